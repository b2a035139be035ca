// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel mode: a queue without a PASID, in the address space that the DMA API manages for the
 * device. It copies between buffers of the kernel, and tells whether the bytes arrived.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "sdma.h"

#define KERNEL_RING_LOG2 4
#define KERNEL_TIMEOUT	 (60 * HZ)

/* What queue and driver share, in coherent memory. */
struct kernel_ring {
	struct sdma_descriptor descriptor[1 << KERNEL_RING_LOG2];
	struct sdma_completion completion;
	struct sdma_index index;
};

struct kernel_buffer {
	void *memory;
	dma_addr_t address;
	enum dma_data_direction direction;
};

struct kernel_run {
	struct sdma_queue *queue;
	struct device *dev;
	struct sdma_kernel_copy *copy;
	struct kernel_ring *ring;
	dma_addr_t ring_address;
	struct kernel_buffer source;
	struct kernel_buffer destination;
};

static bool is_streaming(struct kernel_run *run)
{
	return run->copy->flags & SDMA_KERNEL_STREAMING;
}

static int allocate_buffer(struct kernel_run *run, struct kernel_buffer *buffer)
{
	if (is_streaming(run))
		buffer->memory = alloc_pages_exact(run->copy->bytes, GFP_KERNEL | __GFP_ZERO);
	else
		buffer->memory = dma_alloc_coherent(run->dev, run->copy->bytes, &buffer->address,
						    GFP_KERNEL);
	return buffer->memory ? 0 : -ENOMEM;
}

static void free_buffer(struct kernel_run *run, struct kernel_buffer *buffer)
{
	if (!buffer->memory)
		return;
	if (is_streaming(run))
		free_pages_exact(buffer->memory, run->copy->bytes);
	else
		dma_free_coherent(run->dev, run->copy->bytes, buffer->memory, buffer->address);
}

static int map_buffer(struct kernel_run *run, struct kernel_buffer *buffer)
{
	if (!is_streaming(run))
		return 0;
	buffer->address =
		dma_map_single(run->dev, buffer->memory, run->copy->bytes, buffer->direction);
	return dma_mapping_error(run->dev, buffer->address);
}

static void unmap_buffer(struct kernel_run *run, struct kernel_buffer *buffer)
{
	if (is_streaming(run))
		dma_unmap_single(run->dev, buffer->address, run->copy->bytes, buffer->direction);
}

static bool is_over(struct kernel_run *run)
{
	return READ_ONCE(run->ring->completion.status) != SDMA_PENDING;
}

static bool is_halted(struct kernel_run *run)
{
	u32 status = readl(run->queue->regs + SDMA_Q_STATUS);

	return (status & SDMA_Q_STATE_MASK) == SDMA_Q_HALTED;
}

/*
 * Without interrupts it looks once a millisecond. -EIO: the copy did not end, and has been stopped;
 * -ETIMEDOUT: not even that, so the device may go on writing.
 */
static int wait_for_completion_record(struct kernel_run *run)
{
	unsigned long end = jiffies + KERNEL_TIMEOUT;

	while (!is_over(run)) {
		if (time_after(jiffies, end) || is_halted(run))
			return sdma_queue_stop(run->queue) ?: -EIO;
		if (run->queue->sdma->vectors)
			wait_event_timeout(run->queue->wait, is_over(run), HZ / 10);
		else
			usleep_range(500, 1000);
	}
	/* Whoever has seen the status sees what was written before it. */
	dma_rmb();
	return 0;
}

/* One copy, from mapped buffer to mapped buffer. */
static int submit_and_wait(struct kernel_run *run)
{
	struct kernel_ring *ring = run->ring;
	u32 tail = ring->index.tail;
	struct sdma_descriptor *descriptor;

	memset(&ring->completion, 0, sizeof(ring->completion));
	descriptor = &ring->descriptor[tail % ARRAY_SIZE(ring->descriptor)];
	*descriptor = (struct sdma_descriptor){
		.operation = SDMA_COPY,
		.flags = SDMA_FLAG_INTERRUPT,
		.completion = run->ring_address + offsetof(struct kernel_ring, completion),
		.source = run->source.address,
		.destination = run->destination.address,
		.length = run->copy->bytes,
	};
	/* The device may look at the tail at any time: the descriptor comes first. */
	dma_wmb();
	WRITE_ONCE(ring->index.tail, tail + 1);
	sdma_queue_ring(run->queue);
	return wait_for_completion_record(run);
}

static int map_buffers(struct kernel_run *run)
{
	ktime_t began = ktime_get();
	int ret = map_buffer(run, &run->source);

	if (ret)
		return ret;
	ret = map_buffer(run, &run->destination);
	if (ret)
		unmap_buffer(run, &run->source);
	else if (is_streaming(run))
		run->copy->map_nanoseconds += ktime_to_ns(ktime_sub(ktime_get(), began));
	return ret;
}

static void unmap_buffers(struct kernel_run *run)
{
	ktime_t began = ktime_get();

	unmap_buffer(run, &run->destination);
	unmap_buffer(run, &run->source);
	if (is_streaming(run))
		run->copy->unmap_nanoseconds += ktime_to_ns(ktime_sub(ktime_get(), began));
}

static int map_and_copy(struct kernel_run *run)
{
	int ret = map_buffers(run);

	if (ret)
		return ret;
	ret = submit_and_wait(run);
	/* What the device may still write to stays mapped, and is not freed either. */
	if (ret != -ETIMEDOUT)
		unmap_buffers(run);
	return ret;
}

static void fill(struct kernel_run *run, u64 seed)
{
	struct rnd_state state;

	prandom_seed_state(&state, seed);
	prandom_bytes_state(&state, run->source.memory, run->copy->bytes);
	memset(run->destination.memory, 0, run->copy->bytes);
}

static int copy_all(struct kernel_run *run)
{
	struct sdma_kernel_copy *copy = run->copy;
	bool verify = copy->flags & SDMA_KERNEL_VERIFY;
	ktime_t began;
	int ret;

	for (u32 i = 0; i < copy->copies; i++) {
		if (verify)
			fill(run, ktime_get_ns() + i);
		began = ktime_get();
		ret = map_and_copy(run);
		if (ret)
			return ret;
		copy->nanoseconds += ktime_to_ns(ktime_sub(ktime_get(), began));
		copy->status = run->ring->completion.status;
		if (copy->status != SDMA_DONE)
			return 0;
		copy->done++;
		if (verify && memcmp(run->source.memory, run->destination.memory, copy->bytes))
			copy->wrong++;
		/* Removal and reset do not wait for millions of copies. */
		if (fatal_signal_pending(current) || rwsem_is_contended(&run->queue->sdma->live))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int start_and_copy(struct kernel_run *run)
{
	struct sdma_queue_config config = {
		.ring = run->ring_address + offsetof(struct kernel_ring, descriptor),
		.index = run->ring_address + offsetof(struct kernel_ring, index),
		.log2 = KERNEL_RING_LOG2,
		.interrupts = run->queue->sdma->vectors,
	};
	int ret = sdma_queue_start(run->queue, &config);

	if (ret)
		return ret;
	ret = copy_all(run);
	return sdma_queue_stop(run->queue) ?: ret;
}

/**
 * sdma_kernel_copy() - copy in kernel mode
 * @queue: one that is stopped; its lock is held
 * @copy: what to do, and what became of it
 *
 * Return: 0 if the copies were tried, whatever the device said of them; or an error.
 */
int sdma_kernel_copy(struct sdma_queue *queue, struct sdma_kernel_copy *copy)
{
	struct kernel_run run = {
		.queue = queue,
		.dev = &queue->sdma->pdev->dev,
		.copy = copy,
		.source.direction = DMA_TO_DEVICE,
		.destination.direction = DMA_FROM_DEVICE,
	};
	int ret = -ENOMEM;

	lockdep_assert_held(&queue->lock);
	if (copy->bytes < 8 || copy->bytes > SDMA_KERNEL_BYTES_MAX ||
	    copy->flags & ~(SDMA_KERNEL_STREAMING | SDMA_KERNEL_VERIFY))
		return -EINVAL;
	if (queue->enabled)
		return -EBUSY;
	copy->status = SDMA_PENDING;
	copy->done = 0;
	copy->wrong = 0;
	copy->nanoseconds = 0;
	copy->map_nanoseconds = 0;
	copy->unmap_nanoseconds = 0;

	run.ring = dma_alloc_coherent(run.dev, sizeof(*run.ring), &run.ring_address, GFP_KERNEL);
	if (run.ring)
		ret = allocate_buffer(&run, &run.source);
	if (!ret)
		ret = allocate_buffer(&run, &run.destination);
	if (!ret)
		ret = start_and_copy(&run);
	/* A device that does not answer may still write there. */
	if (ret == -ETIMEDOUT)
		return ret;
	free_buffer(&run, &run.destination);
	free_buffer(&run, &run.source);
	if (run.ring)
		dma_free_coherent(run.dev, sizeof(*run.ring), run.ring, run.ring_address);
	return ret;
}
