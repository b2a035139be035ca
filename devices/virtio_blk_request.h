/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of virtio-blk: one request, from its chain to its status. All of it belongs to
 * the loop's thread.
 */
#ifndef NIDUS_DEVICES_VIRTIO_BLK_REQUEST_H
#define NIDUS_DEVICES_VIRTIO_BLK_REQUEST_H

#include <linux/virtio_blk.h>

#include "devices/base.h"
#include "devices/virtio_blk.h"

#define BLK_SECTOR	    512
#define BLK_SEGMENTS	    126
#define BLK_REQUEST_IOV	    160 /* segments, header, status; and some that memory splits */
#define BLK_RANGES	    16
#define BLK_DISCARD_SECTORS (UINT32_C(2) << 20)	 /* 1 GiB */
#define BLK_ZEROES_SECTORS  (UINT32_C(64) << 10) /* 32 MiB: it may have to be written */
#define BLK_ZERO_IOV	    64

typedef struct virtio_blk_discard_write_zeroes blk_range;

struct blk_request {
	struct loop_op op;
	struct virtio_blk *blk;
	struct virtio_queue *queue;
	struct blk_request *next; /* in the free list */
	struct virtq_chain chain;
	uint32_t type;
	uint8_t *status;
	uint32_t written; /* bytes of guest memory, without the status */
	unsigned int tries;
	uint64_t offset, left; /* bytes of the image still to go */
	struct iovec *data;
	unsigned int data_count;
	blk_range range[BLK_RANGES];
	unsigned int ranges, range_next;
	int mode; /* of the fallocate(2) that is under way; another request may change the next */
	struct iovec iov[BLK_REQUEST_IOV];
};

struct virtio_blk {
	struct virtio_device device;
	struct virtio_blk_image image;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_SERIAL];
	/* As many as chains can be out; never touched ones cost no memory. The loop's thread. */
	struct blk_request *pool;
	unsigned int pool_used;
	struct blk_request *free;
	bool no_punch, no_zero_range; /* what the image has refused */
	struct iovec zeroes[BLK_ZERO_IOV];
};

/* Writes the status and gives the chain back; the request is free then. Returns 1, for ops->handle.
 */
int blk_finish(struct blk_request *request, uint8_t status);

/* The same for an operation of the host that failed with @error: an I/O error, and a line of log.
 */
void blk_finish_error(struct blk_request *request, int error);

/*
 * The request's first operation: the device cannot be reset before virtio_put(), which comes last,
 * after the request was finished.
 */
static inline void blk_begin(struct blk_request *request, loop_done *done)
{
	request->op.done = done;
	virtio_get(&request->blk->device);
}

/* What was written is in the kernel: makes it durable if the driver counts on it, and ends. */
void blk_finish_write(struct blk_request *request);

/* True if an operation that failed with @result shall be submitted again. */
bool blk_again(struct blk_request *request, int result);

/* True if sectors [sector, sector + count) exist. */
static inline bool blk_on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t count)
{
	return range_fits(sector, count, blk->image.sectors);
}

/* Start what a request asks for, with its data in request->data. Return 1, for ops->handle. */
int blk_start_flush(struct blk_request *request);
int blk_start_transfer(struct blk_request *request, uint64_t sector, uint64_t bytes);
int blk_start_ranges(struct blk_request *request, uint64_t bytes);

/* Where blk_start_ranges() takes zeroes from. */
void blk_zero_init(struct virtio_blk *blk);

#endif
