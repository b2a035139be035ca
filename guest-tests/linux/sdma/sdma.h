/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver of the sdma device: a device, its queues, and what the parts ask of each other.
 *
 *   main.c    PCI: probe, remove, reset, interrupts, sysfs
 *   queue.c   starting and stopping a queue, with or without an address space
 *   cdev.c    what processes see: open, ioctl, doorbell, read, poll
 *   kernel.c  copies between buffers of the kernel
 *
 * Locks, outermost first: sdma_device.live, sdma_queue.lock, mmap_lock, sdma_queue.doorbell_lock.
 */
#ifndef SDMA_H
#define SDMA_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/wait.h>

#include "sdma_regs.h"
#include "sdma_uapi.h"

struct sdma_device;

enum sdma_life {
	SDMA_LIVE,
	SDMA_RESETTING, /* from reset_prepare() to reset_done() */
	SDMA_GONE,	/* its driver has been taken from it */
};

/* A queue belongs to one open file; the file's private_data is the queue. */
struct sdma_queue {
	struct sdma_device *sdma;
	void __iomem *regs;
	unsigned int number;

	/* Protects the five below. */
	struct mutex lock;
	struct iommu_sva *bond; /* of the address space it works in; NULL in kernel mode */
	struct mm_struct *mm;	/* that address space; only compared, the bond holds it */
	bool enabled;
	bool stuck;		       /* it would not stop: never used again */
	struct address_space *mapping; /* of the open file: where the doorbell may be mapped */

	/* Protects rings. Page faults take it, with mmap_lock held. */
	struct rw_semaphore doorbell_lock;
	bool rings; /* the doorbell may be mapped */

	atomic64_t events;	/* interrupts that read() has not returned yet */
	wait_queue_head_t wait; /* for events, and for the end of the queue */
};

struct sdma_vector {
	struct sdma_device *sdma;
	unsigned int number;
};

struct sdma_device {
	struct device dev;
	struct cdev cdev;
	struct pci_dev *pdev;
	void __iomem *regs;
	void __iomem *doorbells;

	/* Held for reading while the device is used; protects life, and the lifetime of pdev. */
	struct rw_semaphore live;
	enum sdma_life life;

	unsigned int vectors;
	unsigned int queues;
	DECLARE_BITMAP(in_use, SDMA_QUEUES_MAX);
	struct sdma_vector vector[SDMA_QUEUES_MAX];
	struct sdma_queue queue[SDMA_QUEUES_MAX];
};

/* How a queue is to run; addresses are those of its requests. */
struct sdma_queue_config {
	u64 ring;
	u64 index;
	u32 log2;
	u32 pasid;
	u32 control; /* SDMA_Q_* */
	bool interrupts;
};

extern const struct file_operations sdma_fops;

int sdma_check_life(struct sdma_device *sdma);
void sdma_device_info(struct sdma_device *sdma, struct sdma_info *info);

int sdma_queue_start(struct sdma_queue *queue, const struct sdma_queue_config *config);
int sdma_queue_stop(struct sdma_queue *queue);
int sdma_queue_bind(struct sdma_queue *queue, struct sdma_setup *setup);
void sdma_queue_unbind(struct sdma_queue *queue);
void sdma_queue_status(struct sdma_queue *queue, struct sdma_status *status);
void sdma_queue_ring(struct sdma_queue *queue);

int sdma_kernel_copy(struct sdma_queue *queue, struct sdma_kernel_copy *copy);

#endif
