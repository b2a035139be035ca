// SPDX-License-Identifier: GPL-2.0
/*
 * A queue's life: it is started in the address space of a process (SVA, with a PASID) or in that of
 * the DMA API (without), and is stopped before anything it works on goes away.
 *
 * All functions here are called with queue->lock held.
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/mm.h>

#include "sdma.h"

/* What is under way may wait for pages that the kernel reads from a slow disk. */
#define SDMA_STOP_POLL_US    20
#define SDMA_STOP_TIMEOUT_US (30 * USEC_PER_SEC)

static u32 queue_state(u32 status)
{
	return status & SDMA_Q_STATE_MASK;
}

static bool is_refused(u32 status)
{
	if (queue_state(status) == SDMA_Q_OFF)
		return true;
	if (queue_state(status) != SDMA_Q_HALTED)
		return false;
	switch (status >> SDMA_Q_REASON_SHIFT) {
	case SDMA_HALT_CONFIG:
	case SDMA_HALT_PASID:
	case SDMA_HALT_MASTER:
		return true;
	default:
		return false;
	}
}

/*
 * No one can ring any more once this returns. Whoever has the doorbell mapped finds that out by a
 * page fault; mappings of other queues' files are zapped too where they share the inode, and come
 * back with their next fault.
 */
static void revoke_doorbell(struct sdma_queue *queue)
{
	down_write(&queue->doorbell_lock);
	queue->rings = false;
	up_write(&queue->doorbell_lock);
	if (queue->mapping)
		unmap_mapping_range(queue->mapping, 0, PAGE_SIZE, 1);
}

/**
 * sdma_queue_start() - let a queue run
 * @queue: one that is stopped
 * @config: where and how
 *
 * Return: 0, -EBUSY if it runs already, -EIO if it would not stop before, or -EINVAL if the device
 * refuses this configuration.
 */
int sdma_queue_start(struct sdma_queue *queue, const struct sdma_queue_config *config)
{
	u32 vector = SDMA_NO_VECTOR;
	u32 status;

	lockdep_assert_held(&queue->lock);
	if (queue->stuck)
		return -EIO;
	if (queue->enabled)
		return -EBUSY;

	if (config->interrupts)
		vector = queue->number % queue->sdma->vectors;
	atomic64_set(&queue->events, 0);
	writel(config->pasid, queue->regs + SDMA_Q_PASID);
	writel(vector, queue->regs + SDMA_Q_VECTOR);
	writeq(config->ring, queue->regs + SDMA_Q_RING);
	writel(config->log2, queue->regs + SDMA_Q_LOG2);
	writeq(config->index, queue->regs + SDMA_Q_INDEX);
	WRITE_ONCE(queue->enabled, true);
	writel(config->control | SDMA_Q_ENABLE, queue->regs + SDMA_Q_CONTROL);

	/* Only the configuration is judged here. The queue may have met another error already. */
	status = readl(queue->regs + SDMA_Q_STATUS);
	if (is_refused(status)) {
		dev_dbg(&queue->sdma->dev, "queue %u refused, status %#x\n", queue->number, status);
		sdma_queue_stop(queue);
		return -EINVAL;
	}

	down_write(&queue->doorbell_lock);
	queue->rings = true;
	up_write(&queue->doorbell_lock);
	return 0;
}

/**
 * sdma_queue_stop() - stop a queue and wait until the device has let go of all it works on
 * @queue: any queue
 *
 * A queue that does not stop is never used again, and its address space stays bound, so that its
 * PASID cannot come to mean another one.
 *
 * Return: 0 or -ETIMEDOUT.
 */
int sdma_queue_stop(struct sdma_queue *queue)
{
	u32 status;
	int ret;

	lockdep_assert_held(&queue->lock);
	if (!queue->enabled)
		return 0;

	revoke_doorbell(queue);
	writel(0, queue->regs + SDMA_Q_CONTROL);
	/* All ones: the device has been pulled out, and does nothing any more. */
	ret = readl_poll_timeout(queue->regs + SDMA_Q_STATUS, status,
				 queue_state(status) == SDMA_Q_OFF || PCI_POSSIBLE_ERROR(status),
				 SDMA_STOP_POLL_US, SDMA_STOP_TIMEOUT_US);
	if (ret) {
		dev_err(&queue->sdma->dev, "queue %u does not stop, status %#x\n", queue->number,
			status);
		queue->stuck = true;
		return ret;
	}
	WRITE_ONCE(queue->enabled, false);
	wake_up_all(&queue->wait);
	return 0;
}

/**
 * sdma_queue_unbind() - stop a queue and give its address space back
 * @queue: any queue
 *
 * The order is the point: a device must be done with a PASID before that is unbound.
 */
void sdma_queue_unbind(struct sdma_queue *queue)
{
	if (sdma_queue_stop(queue) || !queue->bond)
		return;
	iommu_sva_unbind_device(queue->bond);
	queue->bond = NULL;
	queue->mm = NULL;
}

/**
 * sdma_queue_bind() - start a queue in the address space of the calling process
 * @queue: one that is stopped
 * @setup: what the process asks for, and what it is told
 *
 * Return: 0 or one of the errors that sdma_uapi.h names.
 */
int sdma_queue_bind(struct sdma_queue *queue, struct sdma_setup *setup)
{
	struct sdma_queue_config config = {
		.ring = setup->ring,
		.index = setup->index,
		.log2 = setup->log2,
		.control = SDMA_Q_PASID_ON,
		.interrupts = setup->flags & SDMA_SETUP_INTERRUPTS,
	};
	struct iommu_sva *bond;
	int ret;

	lockdep_assert_held(&queue->lock);
	if (setup->flags & ~SDMA_SETUP_INTERRUPTS || setup->log2 > SDMA_RING_LOG2_MAX ||
	    setup->ring % sizeof(struct sdma_descriptor) ||
	    setup->index % sizeof(struct sdma_index))
		return -EINVAL;
	if (config.interrupts && !queue->sdma->vectors)
		return -EOPNOTSUPP;
	if (queue->stuck)
		return -EIO;
	if (queue->enabled)
		return -EBUSY;

	bond = iommu_sva_bind_device(&queue->sdma->pdev->dev, current->mm);
	if (IS_ERR(bond))
		return PTR_ERR(bond);
	queue->bond = bond;
	queue->mm = current->mm;
	config.pasid = iommu_sva_get_pasid(bond);

	ret = sdma_queue_start(queue, &config);
	if (ret) {
		sdma_queue_unbind(queue);
		return ret;
	}
	setup->queue = queue->number;
	setup->pasid = config.pasid;
	return 0;
}

/**
 * sdma_queue_status() - read state and counters
 * @queue: any queue
 * @status: filled
 */
void sdma_queue_status(struct sdma_queue *queue, struct sdma_status *status)
{
	void __iomem *regs = queue->regs;
	u32 value = readl(regs + SDMA_Q_STATUS);

	status->state = queue_state(value);
	status->reason = value >> SDMA_Q_REASON_SHIFT;
	status->error = readq(regs + SDMA_Q_ERROR);
	status->descriptors = readq(regs + SDMA_Q_DESCRIPTORS);
	status->bytes = readq(regs + SDMA_Q_BYTES);
	status->atc_hits = readq(regs + SDMA_Q_ATC_HITS);
	status->atc_misses = readq(regs + SDMA_Q_ATC_MISSES);
	status->page_requests = readq(regs + SDMA_Q_PAGE_REQUESTS);
	status->page_failures = readq(regs + SDMA_Q_PAGE_FAILURES);
	status->invalidations = readq(regs + SDMA_Q_INVALIDATIONS);
	status->untranslated = readq(regs + SDMA_Q_UNTRANSLATED);
}

/**
 * sdma_queue_ring() - tell the device that the tail of a queue's index record has moved
 * @queue: one that runs
 */
void sdma_queue_ring(struct sdma_queue *queue)
{
	writel(0, queue->sdma->doorbells + (size_t)queue->number * SDMA_DOORBELL_SIZE);
}
