// SPDX-License-Identifier: GPL-2.0-or-later
/* The process's side of a queue: ring, index record and doorbell. */

#include "sdma.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DOORBELL_SIZE 4096
/* How often a waiter looks at the record before it looks at the clock. */
#define LOOKS 16
/* How often a waiter asks whether the queue still runs: a system call and several MMIO reads. */
#define CHECK_US 100000

struct sdma {
	int fd;
	unsigned int spin_us;
	pid_t owner; /* after fork() all but the file is the parent's */
	struct sdma_setup setup;
	uint32_t tail; /* descriptors put so far; the record has those handed over */
	size_t mapped; /* bytes at ring: descriptors, then index record and completion record */
	struct sdma_descriptor *ring;
	struct sdma_index *index;
	struct sdma_completion *record; /* of sdma_run() */
	volatile uint32_t *doorbell;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Touched here, so that a queue does not begin by waiting for its own ring. */
static int make_ring(struct sdma *queue, unsigned int log2)
{
	size_t descriptors = sizeof(struct sdma_descriptor) << log2;
	char *memory;

	queue->mapped = descriptors + DOORBELL_SIZE;
	memory = mmap(NULL, queue->mapped, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	/* A child has no use for it, and a copy-on-write of the ring would cost each submission. */
	madvise(memory, queue->mapped, MADV_DONTFORK);
	queue->ring = (struct sdma_descriptor *)memory;
	queue->index = (struct sdma_index *)(memory + descriptors);
	queue->record = (struct sdma_completion *)(memory + descriptors + 64);
	queue->setup.ring = (uintptr_t)queue->ring;
	queue->setup.index = (uintptr_t)queue->index;
	queue->setup.log2 = log2;
	return 0;
}

int sdma_open(struct sdma **out, const char *device, const struct sdma_options *options)
{
	static const struct sdma_options usual = { 0 };
	struct sdma *queue = calloc(1, sizeof(*queue));
	void *doorbell;
	int ret;

	*out = NULL;
	if (!queue)
		return -ENOMEM;
	if (!options)
		options = &usual;
	queue->owner = getpid();
	queue->fd = open(device, O_RDWR | O_CLOEXEC);
	if (queue->fd < 0) {
		ret = -errno;
		free(queue);
		return ret;
	}
	queue->spin_us = options->spin_us ? options->spin_us : 20;
	queue->setup.flags = options->interrupts ? SDMA_SETUP_INTERRUPTS : 0;
	ret = make_ring(queue, options->log2 ? options->log2 : 6);
	if (ret)
		goto fail;
	doorbell = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, 0);
	if (doorbell == MAP_FAILED) {
		ret = -errno;
		goto fail;
	}
	queue->doorbell = doorbell;
	ret = options->idle ? 0 : sdma_start(queue);
	if (ret)
		goto fail;
	*out = queue;
	return 0;

fail:
	sdma_close(queue);
	return ret;
}

void sdma_close(struct sdma *queue)
{
	if (!queue)
		return;
	if (queue->owner == getpid()) {
		/* A child may hold the file, and the ring must not go before the queue is off. */
		ioctl(queue->fd, SDMA_IOC_STOP);
		if (queue->doorbell)
			munmap((void *)(uintptr_t)queue->doorbell, DOORBELL_SIZE);
		if (queue->ring)
			munmap(queue->ring, queue->mapped);
	}
	close(queue->fd);
	free(queue);
}

int sdma_start(struct sdma *queue)
{
	*queue->index = (struct sdma_index){ 0 };
	queue->tail = 0;
	return ioctl(queue->fd, SDMA_IOC_SETUP, &queue->setup) ? -errno : 0;
}

int sdma_stop(struct sdma *queue)
{
	return ioctl(queue->fd, SDMA_IOC_STOP) ? -errno : 0;
}

int sdma_put(struct sdma *queue, const struct sdma_descriptor *descriptor)
{
	uint32_t size = 1u << queue->setup.log2;
	uint32_t head = __atomic_load_n(&queue->index->head, __ATOMIC_ACQUIRE);

	if (queue->tail - head >= size)
		return -EAGAIN;
	queue->ring[queue->tail++ % size] = *descriptor;
	return 0;
}

void sdma_submit(struct sdma *queue)
{
	__atomic_store_n(&queue->index->tail, queue->tail, __ATOMIC_RELEASE);
	*queue->doorbell = 0;
}

static bool is_over(const struct sdma_completion *record)
{
	return __atomic_load_n(&record->status, __ATOMIC_ACQUIRE) != SDMA_PENDING;
}

/* -EIO if nobody will ever write the record. */
static int check_queue(struct sdma *queue, const struct sdma_completion *record)
{
	struct sdma_status status;
	int ret = sdma_status(queue, &status);

	/* Being reset: it will be off soon, and say so. */
	if (ret == -EAGAIN)
		return 0;
	if (!ret && (status.state == SDMA_Q_ACTIVE || status.state == SDMA_Q_IDLE))
		return 0;
	return is_over(record) ? 0 : -EIO;
}

/* Sleeps until the vector was raised, or a while. */
static void sleep_some(struct sdma *queue, unsigned int round)
{
	struct pollfd event = { .fd = queue->fd, .events = POLLIN };
	struct timespec moment = { .tv_nsec = 50000 };
	uint64_t count;

	if (!(queue->setup.flags & SDMA_SETUP_INTERRUPTS)) {
		/* Longer and longer, up to about a millisecond. */
		moment.tv_nsec <<= round < 4 ? round : 4;
		nanosleep(&moment, NULL);
	} else if (poll(&event, 1, CHECK_US / 1000) == 1 && event.revents & POLLIN) {
		if (read(queue->fd, &count, sizeof(count)) < 0)
			return;
	}
}

/* True if the record was written within the time that is worth a whole CPU. */
static bool spin(struct sdma *queue, const struct sdma_completion *record)
{
	uint64_t end = 0;

	for (;;) {
		for (unsigned int i = 0; i < LOOKS; i++) {
			if (is_over(record))
				return true;
			__builtin_ia32_pause();
		}
		if (!end)
			end = now_us() + queue->spin_us;
		else if (now_us() >= end)
			return false;
	}
}

int sdma_wait(struct sdma *queue, const struct sdma_completion *record, int milliseconds)
{
	uint64_t now, end, check;
	int ret;

	if (spin(queue, record))
		return 0;
	now = now_us();
	end = now + (unsigned int)milliseconds * 1000ULL;
	check = now + CHECK_US;
	for (unsigned int round = 0; !is_over(record); round++) {
		sleep_some(queue, round);
		now = now_us();
		if (now >= check) {
			ret = check_queue(queue, record);
			if (ret)
				return ret;
			check = now + CHECK_US;
		}
		if (milliseconds >= 0 && now >= end && !is_over(record))
			return -ETIMEDOUT;
	}
	return 0;
}

int sdma_run(struct sdma *queue, const struct sdma_descriptor *descriptor,
	     struct sdma_completion *result)
{
	struct sdma_descriptor one = *descriptor;
	int ret;

	memset(queue->record, 0, sizeof(*queue->record));
	one.completion = (uintptr_t)queue->record;
	if (queue->setup.flags & SDMA_SETUP_INTERRUPTS)
		one.flags |= SDMA_FLAG_INTERRUPT;
	ret = sdma_put(queue, &one);
	if (ret)
		return ret;
	sdma_submit(queue);
	ret = sdma_wait(queue, queue->record, 60000);
	*result = *queue->record;
	return ret;
}

int sdma_status(struct sdma *queue, struct sdma_status *status)
{
	return ioctl(queue->fd, SDMA_IOC_STATUS, status) ? -errno : 0;
}

int sdma_info(struct sdma *queue, struct sdma_info *info)
{
	return ioctl(queue->fd, SDMA_IOC_INFO, info) ? -errno : 0;
}

int sdma_kernel_copy(struct sdma *queue, struct sdma_kernel_copy *copy)
{
	return ioctl(queue->fd, SDMA_IOC_KERNEL_COPY, copy) ? -errno : 0;
}

int sdma_descriptor_of(const struct sdma *queue)
{
	return queue->fd;
}

const struct sdma_setup *sdma_setup_of(const struct sdma *queue)
{
	return &queue->setup;
}

volatile uint32_t *sdma_doorbell_of(const struct sdma *queue)
{
	return queue->doorbell;
}

const char *sdma_status_name(unsigned int completion_status)
{
	static const char *const names[] = {
		[SDMA_PENDING] = "pending",
		[SDMA_DONE] = "done",
		[SDMA_FAULT] = "fault",
		[SDMA_INVALID] = "invalid",
		[SDMA_FAILURE] = "failure",
		[SDMA_ERROR] = "error",
		[SDMA_BAD_OPERATION] = "bad operation",
		[SDMA_BAD_DESCRIPTOR] = "bad descriptor",
		[SDMA_ABORTED] = "aborted",
	};

	return completion_status < sizeof(names) / sizeof(names[0]) ? names[completion_status]
								    : "unknown";
}

const char *sdma_halt_name(unsigned int reason)
{
	static const char *const names[] = {
		[SDMA_HALT_NONE] = "none",   [SDMA_HALT_CONFIG] = "configuration",
		[SDMA_HALT_RING] = "ring",   [SDMA_HALT_INDEX] = "index record",
		[SDMA_HALT_TAIL] = "tail",   [SDMA_HALT_COMPLETION] = "completion record",
		[SDMA_HALT_PASID] = "PASID", [SDMA_HALT_MASTER] = "bus master",
	};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "unknown";
}
