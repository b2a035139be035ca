/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/blk.h"

#include "lib/cpu.h"

static uint32_t last_len;

bool blk_start(struct blk *blk, uint64_t features, unsigned int queues, bool msix)
{
	struct virtio *device = &blk->device;

	if (!virtio_negotiate(device, features))
		return false;
	blk->sectors = read64(device->config + BLK_CONFIG_CAPACITY);
	blk->queues =
		(unsigned int)min_u64(min_u64(queues, device->queues), ARRAY_SIZE(blk->queue));
	msix_enable(&device->msix, msix);
	for (uint16_t i = 0; i < blk->queues; i++)
		if (!virtq_setup(&blk->queue[i], device, i, BLK_QUEUE_SIZE,
				 msix ? i : VIRTIO_NO_VECTOR))
			return false;
	virtio_go(device);
	for (unsigned int i = 0; i < blk->queues; i++)
		virtq_interrupts(&blk->queue[i], msix);
	return true;
}

static unsigned int chain_of(struct buffer *chain, struct blk_request *request,
			     const struct buffer *data, unsigned int count)
{
	unsigned int n = 0;

	chain[n++] = (struct buffer){ &request->header, sizeof(request->header), false };
	for (unsigned int i = 0; i < count; i++)
		chain[n++] = data[i];
	chain[n++] = (struct buffer){ &request->status, 1, true };
	return n;
}

bool blk_submit(struct blk *blk, unsigned int queue, struct blk_request *request,
		enum blk_type type, uint64_t sector, const struct buffer *data, unsigned int count)
{
	struct buffer chain[ARRAY_SIZE(request->table)];
	struct virtq *vq = &blk->queue[queue];
	unsigned int n;

	if (count + 2 > ARRAY_SIZE(chain))
		return false;
	request->header = (struct blk_header){ .type = type, .sector = sector };
	request->status = BLK_NO_STATUS;
	n = chain_of(chain, request, data, count);
	request->head = blk->indirect ? virtq_add_indirect(vq, request->table, chain, n)
				      : virtq_add(vq, chain, n);
	return request->head >= 0;
}

uint8_t blk_do(struct blk *blk, unsigned int queue, enum blk_type type, uint64_t sector,
	       const void *data, uint32_t len)
{
	static struct blk_request request;
	struct buffer buffer = { data, len, type == BLK_IN || type == BLK_GET_ID };

	last_len = 0;
	if (!blk_submit(blk, queue, &request, type, sector, &buffer, len ? 1 : 0))
		return BLK_NO_STATUS;
	virtq_kick(&blk->queue[queue]);
	if (virtq_wait(&blk->queue[queue], &last_len) != request.head)
		return BLK_NO_STATUS;
	return *(volatile uint8_t *)&request.status;
}

uint32_t blk_last_len(void)
{
	return last_len;
}
