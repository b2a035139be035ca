/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: reads, writes and flushes.
 *
 * System calls once it runs: none of its own. Through the ring: read, readv, write, writev,
 * fdatasync.
 */
#include <errno.h>

#include "devices/virtio_blk_request.h"

#define TRIES 16 /* of an operation that asks to be tried again */

static struct blk_request *request_of(struct loop_op *op)
{
	return container_of(op, struct blk_request, op);
}

/* True if an operation that failed with @result shall be submitted again. */
bool blk_again(struct blk_request *request, int result)
{
	return (result == -EAGAIN || result == -EINTR) && request->tries++ < TRIES;
}

/* --- Flush --- */

static void flush_done(struct loop_op *op, int result)
{
	struct blk_request *request = request_of(op);
	struct virtio_blk *blk = request->blk;

	if (blk_again(request, result)) {
		loop_fdatasync(blk->device.loop, op, blk->image.fd);
		return;
	}
	virtio_count(&blk->device.counters.flushes, 1);
	if (result < 0)
		blk_finish_error(request, -result);
	else
		blk_finish(request, VIRTIO_BLK_S_OK);
	virtio_put(&blk->device);
}

/* The data is in the kernel; a driver without FLUSH counts on it being on the disk (5.2.6.2). */
void blk_finish_write(struct blk_request *request)
{
	struct virtio_blk *blk = request->blk;

	if (virtio_has(&blk->device, VIRTIO_BLK_F_FLUSH)) {
		blk_finish(request, VIRTIO_BLK_S_OK);
		virtio_put(&blk->device);
		return;
	}
	request->op.done = flush_done;
	loop_fdatasync(blk->device.loop, &request->op, blk->image.fd);
}

int blk_start_flush(struct blk_request *request)
{
	blk_begin(request, flush_done);
	loop_fdatasync(request->blk->device.loop, &request->op, request->blk->image.fd);
	return 1;
}

/* --- Read and write --- */

/* O_DIRECT only takes what is aligned; the rest goes through the page cache, which stays coherent.
 */
static int choose_fd(const struct blk_request *request)
{
	const struct virtio_blk_image *image = &request->blk->image;
	uint64_t offsets = request->offset, addresses = 0;

	if (image->cached_fd < 0)
		return image->fd;
	for (unsigned int i = 0; i < request->data_count; i++) {
		offsets |= request->data[i].iov_len;
		addresses |= (uintptr_t)request->data[i].iov_base;
	}
	return offsets % image->logical_block || addresses % max_u64(image->memory_align, 1)
		       ? image->cached_fd
		       : image->fd;
}

static void submit_transfer(struct blk_request *request)
{
	struct loop *loop = request->blk->device.loop;
	int fd = choose_fd(request);

	if (request->type == VIRTIO_BLK_T_IN)
		loop_readv(loop, &request->op, fd, request->data, request->data_count,
			   request->offset);
	else
		loop_writev(loop, &request->op, fd, request->data, request->data_count,
			    request->offset);
}

static void transfer_done(struct loop_op *op, int result)
{
	struct blk_request *request = request_of(op);
	struct virtio_blk *blk = request->blk;
	bool is_read = request->type == VIRTIO_BLK_T_IN;

	if (blk_again(request, result)) {
		submit_transfer(request);
		return;
	}
	/* Nothing read: the image has become shorter than it was. */
	if (result <= 0) {
		blk_finish_error(request, result ? -result : EIO);
		virtio_put(&blk->device);
		return;
	}
	virtio_count(is_read ? &blk->device.counters.bytes_in : &blk->device.counters.bytes_out,
		     (uint64_t)result);
	if (is_read)
		request->written += (uint32_t)result;
	request->offset += (uint64_t)result;
	request->left -= (uint64_t)result;
	if (request->left) {
		request->data_count =
			iov_skip(&request->data, request->data_count, (uint64_t)result);
		submit_transfer(request);
		return;
	}
	if (!is_read) {
		blk_finish_write(request);
		return;
	}
	blk_finish(request, VIRTIO_BLK_S_OK);
	virtio_put(&blk->device);
}

int blk_start_transfer(struct blk_request *request, uint64_t sector, uint64_t bytes)
{
	if (bytes % BLK_SECTOR || !blk_on_disk(request->blk, sector, bytes / BLK_SECTOR))
		return blk_finish(request, VIRTIO_BLK_S_IOERR);
	if (!bytes)
		return blk_finish(request, VIRTIO_BLK_S_OK);
	request->offset = sector * BLK_SECTOR;
	request->left = bytes;
	blk_begin(request, transfer_done);
	submit_transfer(request);
	return 1;
}
