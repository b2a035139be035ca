// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: queues of sdma, driven by its registers (devices/sdma.md). Each has a page: the
 * ring, then the index record, then one completion record.
 */
#include "probe.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define RING_LOG2  4
#define INDEX	   0x800
#define COMPLETION 0x840

/* Of anything the device does by itself. Emulated machines are slow. */
#define PATIENCE_MS 120000

static void sleep_ms(unsigned int milliseconds)
{
	struct timespec time = { .tv_nsec = milliseconds * 1000000L };

	nanosleep(&time, NULL);
}

static volatile void *queue_register(const struct queue *queue, enum sdma_queue_register which)
{
	return queue->probe->registers + SDMA_QUEUE_BASE + queue->number * SDMA_QUEUE_STRIDE +
	       which;
}

static void write32(const struct queue *queue, enum sdma_queue_register which, uint32_t value)
{
	*(volatile uint32_t *)queue_register(queue, which) = value;
}

static void write64(const struct queue *queue, enum sdma_queue_register which, uint64_t value)
{
	*(volatile uint64_t *)queue_register(queue, which) = value;
}

static uint32_t status_of(const struct queue *queue)
{
	return *(volatile uint32_t *)queue_register(queue, SDMA_Q_STATUS);
}

static enum sdma_state state_of(const struct queue *queue)
{
	return status_of(queue) & SDMA_Q_STATE_MASK;
}

uint64_t queue_counter(const struct queue *queue, enum sdma_queue_register which)
{
	return *(volatile uint64_t *)queue_register(queue, which);
}

uint64_t queue_gpa(unsigned int number)
{
	return GPA + AREA_QUEUES + number * PAGE;
}

void map_queue(struct probe *probe, uint64_t root, unsigned int number)
{
	map_page(probe, root, QUEUE_VA + number * PAGE, queue_gpa(number), PTE_RW);
}

struct queue start_queue(struct probe *probe, unsigned int number, uint32_t pasid, uint64_t address)
{
	struct queue queue = { .probe = probe, .number = number, .pasid = pasid };
	uint32_t control = SDMA_Q_ENABLE;

	require(number < probe->queues, "the device has %u queues, and the test needs queue %u",
		probe->queues, number);
	queue.address = address == QUEUE_VA ? QUEUE_VA + number * PAGE : address;
	queue.page = memory_at(probe, queue_gpa(number));
	memset(queue.page, 0, PAGE);
	if (pasid != NO_PASID) {
		write32(&queue, SDMA_Q_PASID, pasid);
		control |= SDMA_Q_PASID_ON;
	}
	write32(&queue, SDMA_Q_VECTOR, SDMA_NO_VECTOR);
	write64(&queue, SDMA_Q_RING, queue.address);
	write32(&queue, SDMA_Q_LOG2, RING_LOG2);
	write64(&queue, SDMA_Q_INDEX, queue.address + INDEX);
	write32(&queue, SDMA_Q_CONTROL, control);
	return queue;
}

void stop_queue(struct queue *queue)
{
	write32(queue, SDMA_Q_CONTROL, 0);
	for (unsigned int i = 0; state_of(queue) != SDMA_Q_OFF; i++) {
		require(i < PATIENCE_MS / 5, "queue %u does not stop: status %#x", queue->number,
			status_of(queue));
		sleep_ms(5);
	}
}

void submit(struct queue *queue, struct sdma_descriptor descriptor)
{
	struct sdma_descriptor *ring = (struct sdma_descriptor *)queue->page;
	struct sdma_index *index = (struct sdma_index *)(queue->page + INDEX);

	memset(queue->page + COMPLETION, 0, sizeof(struct sdma_completion));
	descriptor.completion = queue->address + COMPLETION;
	ring[queue->tail & ((1U << RING_LOG2) - 1)] = descriptor;
	queue->tail++;
	atomic_store_explicit((_Atomic uint32_t *)&index->tail, queue->tail, memory_order_release);
	*(volatile uint32_t *)(queue->probe->doorbells + queue->number * SDMA_DOORBELL_SIZE) = 1;
}

struct sdma_completion complete_or_halt(struct queue *queue)
{
	struct sdma_completion *record = (struct sdma_completion *)(queue->page + COMPLETION);

	for (unsigned int i = 0;; i++) {
		/* In this order: the record is written before the queue halts. */
		bool halted = state_of(queue) == SDMA_Q_HALTED;

		if (atomic_load_explicit((_Atomic uint8_t *)&record->status,
					 memory_order_acquire) != SDMA_PENDING ||
		    halted)
			return *record;
		require(i < PATIENCE_MS / 2, "queue %u does not complete: status %#x",
			queue->number, status_of(queue));
		sleep_ms(2);
	}
}

struct sdma_completion complete(struct queue *queue)
{
	struct sdma_completion record = complete_or_halt(queue);

	require(record.status != SDMA_PENDING, "queue %u halted: reason %u at %#lx", queue->number,
		status_of(queue) >> SDMA_Q_REASON_SHIFT,
		(unsigned long)queue_counter(queue, SDMA_Q_ERROR));
	return record;
}

uint32_t queue_head(const struct queue *queue)
{
	return ((volatile struct sdma_index *)(queue->page + INDEX))->head;
}

struct sdma_completion run(struct queue *queue, struct sdma_descriptor descriptor)
{
	submit(queue, descriptor);
	return complete(queue);
}

struct sdma_completion must_end(struct queue *queue, struct sdma_descriptor descriptor,
				enum sdma_completion_status status)
{
	struct sdma_completion record = run(queue, descriptor);

	require(record.status == status,
		"operation %u ended as %s, not as %s: address %#lx, access %u, done %lu",
		descriptor.operation, status_name(record.status), status_name(status),
		(unsigned long)record.address, record.access, (unsigned long)record.done);
	return record;
}

const char *status_name(unsigned int status)
{
	static const char *const names[] = {
		[SDMA_PENDING] = "pending",	 [SDMA_DONE] = "done",
		[SDMA_FAULT] = "fault",		 [SDMA_INVALID] = "invalid",
		[SDMA_FAILURE] = "failure",	 [SDMA_ERROR] = "error",
		[SDMA_BAD_OPERATION] = "bad op", [SDMA_BAD_DESCRIPTOR] = "bad descriptor",
		[SDMA_ABORTED] = "aborted",
	};

	return status < sizeof(names) / sizeof(names[0]) ? names[status] : "unknown";
}
