/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * A queue lives in the loop's thread: no function here takes a lock. The guest can change the rings
 * at any time, so every value is loaded once, checked, and used from the copy. Whatever a driver
 * must not do breaks the queue: it gives out nothing more and takes nothing back until it is
 * started again, and its owner tells the guest (DEVICE_NEEDS_RESET).
 */
#ifndef NIDUS_DEVICES_VIRTQUEUE_H
#define NIDUS_DEVICES_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/dma.h"

#define VIRTQ_SIZE_MAX	1024
#define VIRTQ_CHAIN_MAX 1024 /* descriptors of one chain, those of an indirect table included */
#define VIRTQ_RUNS	8    /* pieces of host memory that one ring may lie in */

/* Memory that a queue reads or writes in place: contiguous for the driver, in runs for us. */
struct virtq_area {
	unsigned int count;
	struct iovec run[VIRTQ_RUNS];
};

/* What the driver has told about a queue. Addresses as the device sees them (IOVA). */
struct virtq_setup {
	uint16_t size; /* a power of two, at most VIRTQ_SIZE_MAX */
	uint64_t desc, driver, device;
	bool indirect;	  /* VIRTIO_F_INDIRECT_DESC was negotiated */
	bool event_index; /* VIRTIO_F_EVENT_IDX was negotiated */
};

struct virtqueue {
	const struct dma *dma;
	struct virtq_setup setup;
	struct virtq_area desc, avail, used;
	uint64_t epoch;	     /* of the addresses in the areas */
	uint16_t last_avail; /* the next entry of the available ring to look at */
	uint16_t used_index; /* the next entry of the used ring to write */
	uint16_t published;  /* what the driver has been shown of used_index */
	uint16_t signalled; /* used_index when the driver was last asked whether it wants to know */
	uint16_t outstanding; /* chains popped and not pushed */
	bool running;
	bool broken;
	const char *reason; /* why it is broken */
};

/* One request: what the device may read, then what it may write, as runs of host memory. */
struct virtq_chain {
	uint16_t head;
	uint16_t descriptors;	     /* of the queue's table; an indirect one counts once */
	uint16_t readable, writable; /* entries of the caller's iov: readable ones first */
	uint32_t readable_bytes, writable_bytes;
};

/*
 * Starts with empty rings. 0; -EINVAL if a number is impossible or an address is misaligned;
 * -EFAULT if the rings are not in memory. On failure the queue is broken.
 */
int virtq_start(struct virtqueue *vq, const struct dma *dma, const struct virtq_setup *setup);

/* Forgets the rings; chains that are still out may not be pushed any more (a push does nothing). */
void virtq_stop(struct virtqueue *vq);

/*
 * Takes the next chain: fills @chain, and at most @max entries of @iov. Returns 1; 0 if there is
 * none; -EIO if the queue is, or now became, broken.
 */
int virtq_pop(struct virtqueue *vq, struct virtq_chain *chain, struct iovec *iov, unsigned int max);

/* Takes back the last @count pops, of chains that were not pushed: the same come again. */
void virtq_unpop(struct virtqueue *vq, uint16_t count);

/* Gives chain @head back with @len bytes written. The driver sees it after virtq_publish(). */
void virtq_push(struct virtqueue *vq, uint16_t head, uint32_t len);

/* Shows the driver what was pushed. True if it wants an interrupt for that. */
bool virtq_publish(struct virtqueue *vq);

/*
 * Asks the driver to kick for new chains, or asks it not to. After asking for kicks look again:
 * true if chains arrived meanwhile, for which no kick will come.
 */
bool virtq_enable_kicks(struct virtqueue *vq);
void virtq_disable_kicks(struct virtqueue *vq);

/* Breaks the queue, for what only the device can judge; @reason is a constant string. */
void virtq_break(struct virtqueue *vq, const char *reason);

/* Bytes of the three areas for a queue of @size (2.7). */
static inline uint32_t virtq_desc_bytes(uint16_t size)
{
	return 16U * size;
}

static inline uint32_t virtq_avail_bytes(uint16_t size, bool event_index)
{
	return 4U + 2U * size + (event_index ? 2 : 0);
}

static inline uint32_t virtq_used_bytes(uint16_t size, bool event_index)
{
	return 4U + 8U * size + (event_index ? 2 : 0);
}

/* --- Buffers of a chain --- */

/* Copies between @bytes and the start of @iov; returns how many bytes both had. */
uint64_t iov_read(const struct iovec *iov, unsigned int count, void *bytes, uint64_t len);
uint64_t iov_write(const struct iovec *iov, unsigned int count, const void *bytes, uint64_t len);

/* As iov_write(), from byte @offset of @iov on. */
uint64_t iov_write_at(const struct iovec *iov, unsigned int count, uint64_t offset,
		      const void *bytes, uint64_t len);

/* Drops the first @len bytes; returns the entries that are left and moves *@iov to the first. */
unsigned int iov_skip(struct iovec **iov, unsigned int count, uint64_t len);

#endif
