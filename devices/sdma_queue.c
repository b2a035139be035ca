/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue: what it does next, and how it starts, halts and stops.
 *
 * The phases of a descriptor: its slot is read, its operation executed, its completion record
 * written, the head published and the tail looked at. Any of them may have to wait for a page; it
 * is begun anew then.
 */
#include <errno.h>

#include "devices/log.h"
#include "devices/sdma_device.h"

#define CONTROL_BITS	(SDMA_Q_ENABLE | SDMA_Q_PASID_ON | SDMA_Q_PRIVILEGED)
#define PASID_MASK	((1U << VTD_PASID_BITS) - 1)
#define RING_ALIGN	64
#define RECORD_ALIGN	8
#define COMPLETION_SIZE sizeof(struct sdma_completion)

_Static_assert(sizeof(struct sdma_descriptor) == 64, "sdma.md, 5");
_Static_assert(sizeof(struct sdma_completion) == 32, "sdma.md, 6");
_Static_assert(sizeof(struct sdma_index) == 8, "sdma.md, 4");

/* --- Halts --- */

static void raise(struct sdma_queue *queue)
{
	if (queue->vector != SDMA_NO_VECTOR)
		pci_msix_raise(&queue->sdma->pci, queue->vector);
}

static void halt(struct sdma_queue *queue, enum sdma_halt reason, uint64_t address)
{
	log_debug(SDMA, "%s: queue %u halts: reason %u at %#llx", queue->sdma->name, queue->index,
		  reason, (unsigned long long)address);
	queue->state = SDMA_Q_HALTED;
	queue->reason = reason;
	queue->error = address;
	raise(queue);
}

/* --- Starting --- */

static enum sdma_halt permitted(const struct sdma_queue *queue)
{
	const struct sdma *sdma = queue->sdma;

	if (!pci_bus_master(&sdma->pci))
		return SDMA_HALT_MASTER;
	if (queue->control & SDMA_Q_PASID_ON &&
	    (!sdma->pci.dma.unit || !pci_pasid_enabled(&sdma->pci, &sdma->caps)))
		return SDMA_HALT_PASID;
	if (queue->control & SDMA_Q_PRIVILEGED && !pci_pasid_privileged(&sdma->pci, &sdma->caps))
		return SDMA_HALT_PASID;
	return SDMA_HALT_NONE;
}

static bool config_valid(const struct sdma_queue *queue)
{
	uint64_t bytes;

	if (queue->control & ~(uint32_t)CONTROL_BITS || queue->log2 > SDMA_RING_LOG2_MAX ||
	    (queue->vector != SDMA_NO_VECTOR && queue->vector >= queue->sdma->queue_count) ||
	    queue->pasid > PASID_MASK)
		return false;
	if (queue->control & SDMA_Q_PRIVILEGED && !(queue->control & SDMA_Q_PASID_ON))
		return false;
	bytes = sizeof(struct sdma_descriptor) << queue->log2;
	return !(queue->ring % RING_ALIGN) && queue->ring + (bytes - 1) >= queue->ring &&
	       !(queue->record % RECORD_ALIGN);
}

void sdma_queue_enable(struct sdma_queue *queue)
{
	enum sdma_halt reason = config_valid(queue) ? permitted(queue) : SDMA_HALT_CONFIG;

	queue->counters = (struct sdma_counters){ 0 };
	queue->reason = SDMA_HALT_NONE;
	queue->error = 0;
	queue->phase = SDMA_PHASE_INDEX;
	queue->started = false;
	queue->interrupt = false;
	queue->head = queue->tail = 0;
	queue->job = (struct sdma_job){ 0 };
	queue->wait = (struct sdma_wait){ 0 };
	queue->state = SDMA_Q_ACTIVE;
	if (reason != SDMA_HALT_NONE) {
		/* A vector that is not one raises nothing. */
		halt(queue, reason, 0);
		return;
	}
	sdma_wake(queue->sdma);
}

void sdma_queue_doorbell(struct sdma_queue *queue)
{
	if (queue->state == SDMA_Q_IDLE)
		queue->state = SDMA_Q_ACTIVE;
}

/* --- The phases. 0: go on; -EAGAIN: parked; else a completion status, or the queue is halted ---
 */

static void raise_if_due(struct sdma_queue *queue)
{
	if (queue->interrupt)
		raise(queue);
	queue->interrupt = false;
}

/* Publishes the head, or learns it at first, and looks at the tail. */
static int phase_index(struct sdma_queue *queue)
{
	struct sdma_target target = sdma_own_target(queue, queue->record, sizeof(struct sdma_index),
						    VTD_READ | VTD_WRITE);
	struct sdma_index *index;
	struct sdma_span span;
	int rc = sdma_map(queue, &target, &span);

	if (rc == -EAGAIN)
		return rc;
	/* Aligned to its size: it never straddles two runs. */
	if (rc || span.len < sizeof(*index)) {
		halt(queue, SDMA_HALT_INDEX, queue->record);
		return SDMA_ERROR;
	}
	index = span.host;
	if (queue->started)
		__atomic_store_n(&index->head, htole32(queue->head), __ATOMIC_RELEASE);
	else
		queue->head = le32toh(__atomic_load_n(&index->head, __ATOMIC_RELAXED));
	queue->started = true;
	queue->tail = le32toh(__atomic_load_n(&index->tail, __ATOMIC_ACQUIRE));
	sdma_progress(queue);
	raise_if_due(queue);
	if (queue->tail - queue->head > 1U << queue->log2)
		halt(queue, SDMA_HALT_TAIL, queue->record);
	else if (queue->tail != queue->head)
		queue->phase = SDMA_PHASE_FETCH;
	else if (queue->state == SDMA_Q_ACTIVE)
		queue->state = SDMA_Q_IDLE;
	return 0;
}

static void decode(struct sdma_descriptor *d)
{
	d->completion = le64toh(d->completion);
	d->source = le64toh(d->source);
	d->destination = le64toh(d->destination);
	d->length = le64toh(d->length);
	d->operand = le64toh(d->operand);
}

static void finish_operation(struct sdma_queue *queue, int status)
{
	queue->job.status = (uint8_t)status;
	queue->phase = SDMA_PHASE_COMPLETE;
}

static int phase_fetch(struct sdma_queue *queue)
{
	uint32_t slot = queue->head & ((1U << queue->log2) - 1);
	uint64_t address = queue->ring + slot * sizeof(struct sdma_descriptor);
	struct sdma_target target =
		sdma_own_target(queue, address, sizeof(struct sdma_descriptor), VTD_READ);
	struct sdma_descriptor descriptor;
	uint8_t status;
	int rc = sdma_load(queue, &target, &descriptor);

	if (rc == -EAGAIN)
		return rc;
	if (rc) {
		halt(queue, SDMA_HALT_RING, address);
		return SDMA_ERROR;
	}
	sdma_progress(queue);
	decode(&descriptor);
	queue->job = (struct sdma_job){ .descriptor = descriptor };
	queue->phase = SDMA_PHASE_EXECUTE;
	status = sdma_check(&descriptor);
	if (status)
		finish_operation(queue, status);
	return 0;
}

static int phase_execute(struct sdma_queue *queue)
{
	int rc = sdma_execute(queue);

	if (rc > 0)
		finish_operation(queue, rc);
	return rc == -EAGAIN ? rc : 0;
}

/* Everything but the status first. */
static void write_completion(const struct sdma_job *job, struct sdma_completion *to)
{
	bool fault = job->status == SDMA_FAULT || job->status == SDMA_INVALID ||
		     job->status == SDMA_FAILURE || job->status == SDMA_ERROR;

	to->access = fault ? job->access : 0;
	to->reserved = 0;
	to->result = htole32(job->result);
	to->done = htole64(job->done);
	to->address = htole64(fault ? job->fault : 0);
	to->waited = htole64(job->waited);
	__atomic_store_n(&to->status, job->status, __ATOMIC_RELEASE);
}

static int phase_complete(struct sdma_queue *queue)
{
	uint64_t address = queue->job.descriptor.completion;
	uint64_t fault = queue->job.fault;
	uint8_t access = queue->job.access;
	struct sdma_target target =
		sdma_own_target(queue, address, COMPLETION_SIZE, VTD_READ | VTD_WRITE);
	struct sdma_span span;
	int rc = 0;

	if (address % COMPLETION_SIZE)
		rc = SDMA_BAD_DESCRIPTOR;
	else if (address)
		rc = sdma_map(queue, &target, &span);
	/* What the operation met must not be overwritten by what its record meets. */
	queue->job.fault = fault;
	queue->job.access = access;
	if (rc == -EAGAIN)
		return rc;
	if (rc || (address && span.len < COMPLETION_SIZE)) {
		halt(queue, SDMA_HALT_COMPLETION, address);
		return SDMA_ERROR;
	}
	if (address)
		write_completion(&queue->job, span.host);
	sdma_count(queue, SDMA_COUNT_DESCRIPTORS, 1);
	sdma_progress(queue);
	queue->interrupt = queue->job.descriptor.flags & SDMA_FLAG_INTERRUPT;
	queue->head++;
	queue->phase = SDMA_PHASE_INDEX;
	return 0;
}

static int (*const phases[])(struct sdma_queue *queue) = {
	[SDMA_PHASE_INDEX] = phase_index,
	[SDMA_PHASE_FETCH] = phase_fetch,
	[SDMA_PHASE_EXECUTE] = phase_execute,
	[SDMA_PHASE_COMPLETE] = phase_complete,
};

/* --- Running --- */

bool sdma_queue_runnable(const struct sdma_queue *queue)
{
	return queue->state == SDMA_Q_STOPPING ||
	       (queue->state == SDMA_Q_ACTIVE && queue->wait.parked == SDMA_RUNS);
}

/* The last words of a queue that was disabled; nothing that would have to wait. */
static void last_words(struct sdma_queue *queue)
{
	if (queue->phase == SDMA_PHASE_EXECUTE)
		finish_operation(queue, SDMA_ABORTED);
	if (queue->phase == SDMA_PHASE_COMPLETE && phase_complete(queue))
		return;
	if (queue->phase == SDMA_PHASE_INDEX && queue->started)
		phase_index(queue);
}

static void stop(struct sdma_queue *queue)
{
	struct sdma *sdma = queue->sdma;

	/* Before the last words: what has been tried in vain must not count for them. */
	sdma_pages_stop(queue);
	if (permitted(queue) == SDMA_HALT_NONE) {
		unsigned int token = dma_enter(&sdma->pci.dma);

		last_words(queue);
		dma_leave(&sdma->pci.dma, token);
	}
	queue->wait = (struct sdma_wait){ 0 };
	queue->reason = SDMA_HALT_NONE;
	queue->state = SDMA_Q_OFF;
}

static void work(struct sdma_queue *queue)
{
	struct sdma *sdma = queue->sdma;
	unsigned int token = dma_enter(&sdma->pci.dma);

	/* Each phase costs at least a translation: at most SDMA_PIECE / SDMA_STEP_COST turns. */
	while (sdma->cost < SDMA_PIECE && sdma_queue_runnable(queue)) {
		sdma->cost += SDMA_STEP_COST;
		if (phases[queue->phase](queue))
			break;
	}
	dma_leave(&sdma->pci.dma, token);
	if (queue->wait.parked == SDMA_ASKS)
		sdma_pages_ask(queue);
}

void sdma_queue_run(struct sdma_queue *queue)
{
	enum sdma_halt reason = permitted(queue);

	if (queue->state == SDMA_Q_STOPPING)
		stop(queue);
	else if (reason != SDMA_HALT_NONE)
		halt(queue, reason, 0);
	else
		work(queue);
}

/* --- Stopping --- */

void sdma_queue_disable(struct sdma_queue *queue)
{
	switch (queue->state) {
	case SDMA_Q_OFF:
	case SDMA_Q_STOPPING:
		break;
	case SDMA_Q_HALTED:
		queue->state = SDMA_Q_OFF;
		break;
	case SDMA_Q_IDLE:
	case SDMA_Q_ACTIVE:
		queue->state = SDMA_Q_STOPPING;
		sdma_wake(queue->sdma);
		break;
	}
}

void sdma_queue_reset(struct sdma_queue *queue)
{
	queue->control = queue->pasid = queue->log2 = 0;
	queue->vector = SDMA_NO_VECTOR;
	queue->ring = queue->record = queue->error = 0;
	queue->state = SDMA_Q_OFF;
	queue->reason = SDMA_HALT_NONE;
	queue->counters = (struct sdma_counters){ 0 };
	queue->wait = (struct sdma_wait){ 0 };
}
