/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to a virtio-blk device (virtio 1.2, 5.2), one at a time or many.
 */
#ifndef BARE_BLK_H
#define BARE_BLK_H

#include "lib/virtio.h"

#define SECTOR 512UL

enum blk_type {
	BLK_IN = 0,
	BLK_OUT = 1,
	BLK_FLUSH = 4,
	BLK_GET_ID = 8,
	BLK_DISCARD = 11,
	BLK_WRITE_ZEROES = 13,
};

enum blk_status { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2, BLK_NO_STATUS = 0xff };

#define BLK_F_RO	   (1UL << 5)
#define BLK_F_FLUSH	   (1UL << 9)
#define BLK_F_MQ	   (1UL << 12)
#define BLK_F_DISCARD	   (1UL << 13)
#define BLK_F_WRITE_ZEROES (1UL << 14)

#define BLK_CONFIG_CAPACITY   0
#define BLK_CONFIG_NUM_QUEUES 34
#define BLK_SERIAL	      20

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t count, flags;
};

#define BLK_RANGE_UNMAP 1

/* One request in memory that the device may see: lives until it is used. */
struct blk_request {
	struct blk_header header;
	uint8_t status;
	int head;
	struct virtq_desc table[8]; /* for indirect chains */
} __attribute__((aligned(16)));

struct blk {
	struct virtio device;
	struct virtq queue[16];
	unsigned int queues; /* set up */
	uint64_t sectors;
	bool indirect; /* put requests into indirect tables */
};

#define BLK_QUEUE_SIZE 64

/* Negotiates @features and sets up to @queues queues; queue i raises MSI-X entry i if @msix. */
bool blk_start(struct blk *blk, uint64_t features, unsigned int queues, bool msix);

/* Puts a request into queue @queue. @count data buffers. False if the queue is full. */
bool blk_submit(struct blk *blk, unsigned int queue, struct blk_request *request,
		enum blk_type type, uint64_t sector, const struct buffer *data, unsigned int count);

/* Submits, kicks and waits; returns the status, BLK_NO_STATUS if none came. */
uint8_t blk_do(struct blk *blk, unsigned int queue, enum blk_type type, uint64_t sector,
	       const void *data, uint32_t len);

/* What blk_do() said the device wrote, status included. */
uint32_t blk_last_len(void);

#endif
