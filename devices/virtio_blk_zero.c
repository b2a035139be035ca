/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: discard and write zeroes (virtio 1.2, 5.2.6.2).
 *
 * A request has up to BLK_RANGES ranges, done one after the other. The image is asked to punch a
 * hole or to zero the range; what it refuses is written.
 *
 * System calls once it runs: none of its own. Through the ring: fallocate, write, writev.
 */
#include <errno.h>
#include <linux/falloc.h>

#include "devices/virtio_blk_request.h"

_Alignas(4096) static const uint8_t zero_page[4096];

static struct blk_request *request_of(struct loop_op *op)
{
	return container_of(op, struct blk_request, op);
}

/* --- Discard and write zeroes (5.2.6.2) --- */

static void next_range(struct blk_request *request);

/* The mode to try next for this range, or 0: it has to be written. */
static int range_mode(const struct blk_request *request)
{
	const struct virtio_blk *blk = request->blk;
	const blk_range *range = &request->range[request->range_next];
	bool unmap = request->type == VIRTIO_BLK_T_DISCARD ||
		     range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (unmap && !blk->no_punch)
		return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	if (request->type == VIRTIO_BLK_T_WRITE_ZEROES && !blk->no_zero_range)
		return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	return 0;
}

static void zeroes_done(struct loop_op *op, int result)
{
	struct blk_request *request = request_of(op);
	struct virtio_blk *blk = request->blk;

	if (result <= 0 && !blk_again(request, result)) {
		blk_finish_error(request, result ? -result : EIO);
		virtio_put(&blk->device);
		return;
	}
	if (result > 0) {
		request->offset += (uint64_t)result;
		request->left -= (uint64_t)result;
	}
	next_range(request);
}

/* Bound: BLK_ZEROES_SECTORS a range, in pieces of the zero page. */
static void write_zeroes(struct blk_request *request)
{
	struct virtio_blk *blk = request->blk;
	uint64_t len = min_u64(request->left, sizeof(zero_page) * BLK_ZERO_IOV);
	unsigned int count = (unsigned int)(len / sizeof(zero_page));
	int fd = blk->image.cached_fd < 0 ? blk->image.fd : blk->image.cached_fd;

	request->op.done = zeroes_done;
	if (count) {
		loop_writev(blk->device.loop, &request->op, fd, blk->zeroes, count,
			    request->offset);
		return;
	}
	request->iov[0] = (struct iovec){ blk->zeroes[0].iov_base, len };
	loop_writev(blk->device.loop, &request->op, fd, request->iov, 1, request->offset);
}

/* This image does not do it in this way: EINVAL if only this range is not aligned for it. */
static bool refused(int result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL;
}

static void fallocate_done(struct loop_op *op, int result)
{
	struct blk_request *request = request_of(op);
	struct virtio_blk *blk = request->blk;
	bool zero = request->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (refused(result)) {
		if (result == -EINVAL && zero) {
			write_zeroes(request);
			return;
		}
		if (request->mode & FALLOC_FL_PUNCH_HOLE)
			blk->no_punch |= result != -EINVAL;
		else
			blk->no_zero_range |= result != -EINVAL;
		/* A discard is a hint: what cannot be done is done. */
		if (!zero)
			request->left = 0;
	} else if (result < 0 && !blk_again(request, result)) {
		blk_finish_error(request, -result);
		virtio_put(&blk->device);
		return;
	} else if (!result) {
		request->left = 0;
	}
	next_range(request);
}

/* Goes on with the current range, or with the one after it if it is done. */
static void next_range(struct blk_request *request)
{
	struct virtio_blk *blk = request->blk;
	int mode;

	while (!request->left && ++request->range_next < request->ranges) {
		request->offset = request->range[request->range_next].sector * BLK_SECTOR;
		request->left =
			(uint64_t)request->range[request->range_next].num_sectors * BLK_SECTOR;
	}
	if (!request->left) {
		blk_finish_write(request);
		return;
	}
	/* Once zeroes are being written, the rest of the range is written too. */
	mode = request->op.done == zeroes_done ? 0 : range_mode(request);
	if (!mode && request->type == VIRTIO_BLK_T_DISCARD) {
		blk_finish_write(request);
		return;
	}
	if (!mode) {
		write_zeroes(request);
		return;
	}
	request->mode = mode;
	request->op.done = fallocate_done;
	loop_fallocate(blk->device.loop, &request->op, blk->image.fd, mode, request->offset,
		       request->left);
}

static uint8_t check_range(const struct blk_request *request, const blk_range *range)
{
	bool zero = request->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t flags = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (range->flags & ~flags)
		return VIRTIO_BLK_S_UNSUPP;
	if (range->num_sectors > (zero ? BLK_ZEROES_SECTORS : BLK_DISCARD_SECTORS) ||
	    !blk_on_disk(request->blk, range->sector, range->num_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

int blk_start_ranges(struct blk_request *request, uint64_t bytes)
{
	if (!bytes || bytes % sizeof(blk_range) || bytes > sizeof(request->range))
		return blk_finish(request, VIRTIO_BLK_S_IOERR);
	iov_read(request->data, request->data_count, request->range, bytes);
	request->ranges = (unsigned int)(bytes / sizeof(blk_range));
	for (unsigned int i = 0; i < request->ranges; i++) {
		uint8_t status = check_range(request, &request->range[i]);

		if (status != VIRTIO_BLK_S_OK)
			return blk_finish(request, status);
	}
	request->range_next = 0;
	request->offset = request->range[0].sector * BLK_SECTOR;
	request->left = (uint64_t)request->range[0].num_sectors * BLK_SECTOR;
	blk_begin(request, fallocate_done);
	next_range(request);
	return 1;
}

void blk_zero_init(struct virtio_blk *blk)
{
	for (unsigned int i = 0; i < BLK_ZERO_IOV; i++)
		blk->zeroes[i] = (struct iovec){ (void *)(uintptr_t)zero_page, sizeof(zero_page) };
}
