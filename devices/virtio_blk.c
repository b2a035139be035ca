/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk (virtio 1.2, 5.2): requests become operations of the loop on the image, straight from
 * and to guest memory.
 *
 * A request ends in one of three ways: VIRTIO_BLK_S_OK, VIRTIO_BLK_S_IOERR (also for a full disk),
 * or VIRTIO_BLK_S_UNSUPP; without a place for the status the queue is broken. What a flush answers
 * is on the disk: every write before it is complete in the kernel, and fdatasync(2) has returned.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "devices/log.h"
#include "devices/virtio_blk_request.h"

#define QUEUE_SIZE    256
#define CLASS_STORAGE 0x018000

/* --- The pool --- */

static struct blk_request *take_request(struct virtio_blk *blk)
{
	struct blk_request *request = blk->free;

	if (request)
		blk->free = request->next;
	else
		request = &blk->pool[blk->pool_used++];
	return request;
}

static void free_request(struct virtio_blk *blk, struct blk_request *request)
{
	request->next = blk->free;
	blk->free = request;
}

/* --- The end of a request --- */

int blk_finish(struct blk_request *request, uint8_t status)
{
	struct virtio_blk *blk = request->blk;
	uint32_t len = request->written;

	if (blk->device.running)
		*request->status = status;
	if (status != VIRTIO_BLK_S_OK)
		virtio_count(&blk->device.counters.errors, 1);
	/* 2.7.8.2: only what was written from the start of the buffers on may be counted. */
	if (len + 1 == request->chain.writable_bytes)
		len++;
	virtio_push(request->queue, request->chain.head, len);
	free_request(blk, request);
	return 1;
}

void blk_finish_error(struct blk_request *request, int error)
{
	log_guest(BLK, "%s: %s at byte %llu fails: %s; the guest gets an I/O error",
		  request->blk->device.name,
		  request->type == VIRTIO_BLK_T_IN ? "a read" : "a write",
		  (unsigned long long)request->offset, strerror(error));
	blk_finish(request, VIRTIO_BLK_S_IOERR);
}

/* --- The start of a request --- */

static int start_id(struct blk_request *request)
{
	request->written = (uint32_t)iov_write(request->data, request->data_count,
					       request->blk->serial, VIRTIO_BLK_SERIAL);
	return blk_finish(request, VIRTIO_BLK_S_OK);
}

/*
 * Splits the buffers: a header in front of the readable ones, the status at the end of the writable
 * ones, @in and @out bytes of data between. False if header or status do not fit.
 */
static bool take_apart(struct blk_request *request, struct virtio_blk_outhdr *header, uint64_t *out,
		       uint64_t *in)
{
	const struct virtq_chain *chain = &request->chain;
	struct iovec *last = &request->iov[chain->readable + chain->writable - 1];
	unsigned int writable = chain->writable;

	if (chain->readable_bytes < sizeof(*header) || !chain->writable_bytes)
		return false;
	iov_read(request->iov, chain->readable, header, sizeof(*header));
	*out = chain->readable_bytes - sizeof(*header);
	*in = chain->writable_bytes - 1;
	request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (!--last->iov_len)
		writable--;
	request->data = request->iov;
	request->data_count = chain->readable;
	if (header->type == VIRTIO_BLK_T_IN || header->type == VIRTIO_BLK_T_GET_ID) {
		request->data += chain->readable;
		request->data_count = writable;
	} else {
		request->data_count =
			iov_skip(&request->data, request->data_count, sizeof(*header));
	}
	return true;
}

static int start_request(struct blk_request *request)
{
	bool readonly = request->blk->image.readonly;
	struct virtio_blk_outhdr header;
	uint64_t out, in;

	if (!take_apart(request, &header, &out, &in)) {
		virtio_fail(request->queue, "request without header or status");
		free_request(request->blk, request);
		return -EIO;
	}
	request->type = header.type;
	request->written = 0;
	request->tries = 0;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		return blk_start_transfer(request, header.sector, in);
	case VIRTIO_BLK_T_OUT:
		return readonly ? blk_finish(request, VIRTIO_BLK_S_IOERR)
				: blk_start_transfer(request, header.sector, out);
	case VIRTIO_BLK_T_FLUSH:
		return blk_start_flush(request);
	case VIRTIO_BLK_T_GET_ID:
		return start_id(request);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return readonly ? blk_finish(request, VIRTIO_BLK_S_IOERR)
				: blk_start_ranges(request, out);
	default:
		return blk_finish(request, VIRTIO_BLK_S_UNSUPP);
	}
}

static int handle(struct virtio_queue *queue)
{
	struct virtio_blk *blk = container_of(queue->device, struct virtio_blk, device);
	struct blk_request *request = take_request(blk);
	int rc;

	request->blk = blk;
	request->queue = queue;
	rc = virtio_pop(queue, &request->chain, request->iov, BLK_REQUEST_IOV);
	if (rc <= 0) {
		free_request(blk, request);
		return rc;
	}
	return start_request(request);
}

static const struct virtio_ops blk_ops = {
	.handle = handle,
};

/* --- Life --- */

static void fill_config(struct virtio_blk *blk, unsigned int queues)
{
	const struct virtio_blk_image *image = &blk->image;
	unsigned int exponent = 0;

	while (image->logical_block << exponent < image->physical_block)
		exponent++;
	blk->config = (struct virtio_blk_config){
		.capacity = image->sectors,
		.seg_max = BLK_SEGMENTS,
		.blk_size = image->logical_block,
		.physical_block_exp = (uint8_t)exponent,
		.min_io_size = 1,
		.num_queues = (uint16_t)queues,
		.max_discard_sectors = BLK_DISCARD_SECTORS,
		.max_discard_seg = BLK_RANGES,
		.discard_sector_alignment = image->physical_block / BLK_SECTOR,
		.max_write_zeroes_sectors = BLK_ZEROES_SECTORS,
		.max_write_zeroes_seg = BLK_RANGES,
		.write_zeroes_may_unmap = 1,
	};
	blk_zero_init(blk);
}

static uint64_t features(const struct virtio_blk_image *image, unsigned int queues)
{
	uint64_t all = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
		       VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);

	if (queues > 1)
		all |= VIRTIO_BIT(VIRTIO_BLK_F_MQ);
	if (image->readonly)
		return all | VIRTIO_BIT(VIRTIO_BLK_F_RO);
	return all | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

struct virtio_blk *virtio_blk_create(struct pci_host *host, struct loop *loop, const char *name,
				     const struct virtio_blk_image *image, unsigned int queues,
				     const char *serial)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	struct virtio_setup setup = {
		.name = name,
		.ops = &blk_ops,
		.id = VIRTIO_ID_BLOCK,
		.class_code = CLASS_STORAGE,
		.features = features(image, queues),
		/* Up to what the features above describe. */
		.config_size = offsetof(struct virtio_blk_config, write_zeroes_may_unmap) + 4,
		.queues = queues,
		.queue_size = QUEUE_SIZE,
	};
	int rc = -ENOMEM;

	if (!blk)
		goto error;
	blk->image = *image;
	memcpy(blk->serial, serial, strnlen(serial, sizeof(blk->serial)));
	fill_config(blk, queues);
	setup.config = &blk->config;
	/* One more: the one that finds the queue empty. */
	blk->pool = calloc((size_t)queues * QUEUE_SIZE + 1, sizeof(*blk->pool));
	if (!blk->pool)
		goto free_blk;
	rc = virtio_device_init(&blk->device, host, loop, &setup);
	if (rc)
		goto free_pool;
	loop_register_file(loop, image->fd);
	return blk;

free_pool:
	free(blk->pool);
free_blk:
	free(blk);
error:
	errno = -rc;
	return NULL;
}

void virtio_blk_destroy(struct virtio_blk *blk)
{
	if (!blk)
		return;
	loop_unregister_file(blk->device.loop, blk->image.fd);
	virtio_device_destroy(&blk->device);
	free(blk->pool);
	free(blk);
}

struct virtio_device *virtio_blk_device(struct virtio_blk *blk)
{
	return &blk->device;
}
