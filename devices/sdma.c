/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma's life, and the turns of its queues.
 *
 * System calls once it runs: write (on eventfds, to raise interrupts), clock_gettime where the vDSO
 * cannot tell the time; the rest through the loop.
 */
#include "devices/sdma.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/sdma_device.h"

#define NS_PER_S UINT64_C(1000000000)

const char *const sdma_counter_names[SDMA_COUNTERS] = {
	[SDMA_COUNT_DESCRIPTORS] = "descriptors",     [SDMA_COUNT_BYTES] = "bytes",
	[SDMA_COUNT_ATC_HITS] = "atc_hits",	      [SDMA_COUNT_ATC_MISSES] = "atc_misses",
	[SDMA_COUNT_PAGE_REQUESTS] = "page_requests", [SDMA_COUNT_PAGE_FAILURES] = "page_failures",
	[SDMA_COUNT_INVALIDATIONS] = "invalidations", [SDMA_COUNT_UNTRANSLATED] = "untranslated",
};

uint64_t sdma_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- Turns --- */

/* The next queue in turn that has something to do, or NULL. Lock held. */
static struct sdma_queue *next_runnable(struct sdma *sdma)
{
	for (unsigned int i = 0; i < sdma->queue_count; i++) {
		unsigned int index = (sdma->next + i) % sdma->queue_count;

		if (!sdma_queue_runnable(&sdma->queue[index]))
			continue;
		sdma->next = index + 1;
		return &sdma->queue[index];
	}
	return NULL;
}

/* One piece of work for one queue; what it cost, 0 if there is nothing to do. */
static uint64_t run_piece(struct sdma *sdma)
{
	struct sdma_queue *queue;
	uint64_t cost = 0;

	sdma_lock(sdma);
	queue = next_runnable(sdma);
	if (queue) {
		sdma->cost = SDMA_STEP_COST;
		sdma_queue_run(queue);
		cost = sdma->cost;
	}
	sdma_unlock(sdma);
	return cost;
}

/* A queue that finds the unit's page request queue full tries again in the next turn. */
static bool more_to_do(struct sdma *sdma)
{
	bool more = false;

	sdma_lock(sdma);
	for (unsigned int i = 0; i < sdma->queue_count; i++)
		more |= sdma_queue_runnable(&sdma->queue[i]) ||
			sdma->queue[i].wait.parked == SDMA_BUSY;
	sdma_unlock(sdma);
	return more;
}

static void collect(struct sdma *sdma)
{
	sdma_lock(sdma);
	sdma_pages_collect(sdma);
	sdma_unlock(sdma);
}

static void turn_run(struct loop_deferred *deferred)
{
	struct sdma *sdma = container_of(deferred, struct sdma, turn);
	uint64_t cost = 0, piece;

	collect(sdma);
	/* Each piece costs something: at most SDMA_TURN / SDMA_STEP_COST of them. */
	do {
		piece = run_piece(sdma);
		cost += piece;
	} while (piece && cost < SDMA_TURN);
	if (more_to_do(sdma))
		loop_defer(sdma->loop, &sdma->turn);
}

static void wake_run(struct loop_call *call)
{
	struct sdma *sdma = container_of(call, struct sdma, wake);

	loop_defer(sdma->loop, &sdma->turn);
}

static void rung(struct loop_watch *watch)
{
	struct sdma_queue *queue = container_of(watch, struct sdma_queue, watch);
	struct sdma *sdma = queue->sdma;

	sdma_lock(sdma);
	sdma_queue_doorbell(queue);
	sdma_unlock(sdma);
	loop_defer(sdma->loop, &sdma->turn);
}

/* --- Life --- */

static void close_queues(struct sdma *sdma)
{
	for (unsigned int i = 0; i < sdma->queue_count; i++)
		if (sdma->queue[i].doorbell >= 0)
			close(sdma->queue[i].doorbell);
	free(sdma->queue);
}

static int open_queues(struct sdma *sdma)
{
	int rc = 0;

	sdma->queue = calloc(sdma->queue_count, sizeof(*sdma->queue));
	if (!sdma->queue)
		return -ENOMEM;
	for (unsigned int i = 0; i < sdma->queue_count; i++) {
		struct sdma_queue *queue = &sdma->queue[i];

		queue->sdma = sdma;
		queue->index = i;
		sdma_queue_reset(queue);
		queue->doorbell = eventfd(0, EFD_CLOEXEC);
		if (queue->doorbell < 0)
			rc = -errno;
	}
	if (rc)
		close_queues(sdma);
	return rc;
}

static void init(struct sdma *sdma, struct loop *loop, const char *name, unsigned int queues)
{
	snprintf(sdma->name, sizeof(sdma->name), "%s", name);
	sdma->loop = loop;
	sdma->queue_count = queues;
	sdma->turn.run = turn_run;
	sdma->wake.run = wake_run;
	sdma_crc_init(&sdma->crc);
	sdma_atc_init(&sdma->atc, SDMA_ATC_MAX);
	pthread_mutex_init(&sdma->entry, NULL);
	pthread_mutex_init(&sdma->lock, NULL);
	pthread_mutex_init(&sdma->pages.lock, NULL);
}

static void fini(struct sdma *sdma)
{
	pthread_mutex_destroy(&sdma->pages.lock);
	pthread_mutex_destroy(&sdma->lock);
	pthread_mutex_destroy(&sdma->entry);
	free(sdma);
}

struct sdma *sdma_create(struct pci_host *host, struct loop *loop, const char *name,
			 unsigned int queues)
{
	struct sdma *sdma;
	int rc;

	if (!queues || queues > SDMA_QUEUES_MAX) {
		errno = EINVAL;
		return NULL;
	}
	sdma = calloc(1, sizeof(*sdma));
	if (!sdma)
		return NULL;
	init(sdma, loop, name, queues);
	rc = open_queues(sdma);
	if (!rc) {
		rc = sdma_pci_init(sdma, host);
		if (rc)
			close_queues(sdma);
	}
	if (rc) {
		fini(sdma);
		errno = -rc;
		return NULL;
	}
	for (unsigned int i = 0; i < queues; i++)
		loop_watch(loop, &sdma->queue[i].watch, sdma->queue[i].doorbell, rung);
	return sdma;
}

void sdma_quiesce(struct sdma *sdma)
{
	sdma_lock(sdma);
	for (unsigned int i = 0; i < sdma->queue_count; i++)
		sdma_queue_reset(&sdma->queue[i]);
	sdma_pages_reset(sdma, true);
	sdma_unlock(sdma);
	for (unsigned int i = 0; i < sdma->queue_count; i++)
		loop_unwatch(&sdma->queue[i].watch);
}

void sdma_destroy(struct sdma *sdma)
{
	if (!sdma)
		return;
	pci_function_destroy(&sdma->pci);
	close_queues(sdma);
	fini(sdma);
}

const char *sdma_name(const struct sdma *sdma)
{
	return sdma->name;
}

struct sdma_counters sdma_counters_read(const struct sdma *sdma)
{
	struct sdma_counters counters;

	for (unsigned int i = 0; i < SDMA_COUNTERS; i++)
		counters.value[i] = __atomic_load_n(&sdma->counters.value[i], __ATOMIC_RELAXED);
	return counters;
}
