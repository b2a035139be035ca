/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues: set up by the rules or nearly so, fed with requests, and changed under the device's
 * hands by every CPU.
 */
#include "hostile/hostile.h"

#include "lib/blk.h"

#define RESET_POLLS 200
#define STORM_MAX   32
#define CHAIN_MAX   6

/* A device whose BAR was moved away never answers: do not wait for it long. */
static void reset_briefly(struct target *target)
{
	write8(target->device.common + VIRTIO_STATUS, 0);
	for (unsigned int i = 0; i < RESET_POLLS && virtio_status(&target->device); i++)
		cpu_relax();
}

static void negotiate(struct hammer *h, struct target *target)
{
	struct virtio *device = &target->device;
	uint64_t features = once_in(h, 8) ? random64(h) : virtio_offered(device);

	if (once_in(h, 2))
		features &= random64(h) | VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM;
	write8(device->common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	write32(device->common + VIRTIO_DRIVER_FEATURE_SELECT, 0);
	write32(device->common + VIRTIO_DRIVER_FEATURE, (uint32_t)features);
	write32(device->common + VIRTIO_DRIVER_FEATURE_SELECT, 1);
	write32(device->common + VIRTIO_DRIVER_FEATURE, (uint32_t)(features >> 32));
	write8(device->common + VIRTIO_STATUS,
	       VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

/* Fresh words, each a safe one, in place of the ring that was there. */
static void set_up_queue(struct hammer *h, struct target *target, unsigned int i)
{
	struct virtq *vq = &target->queue[i];

	vq->device = &target->device;
	vq->index = (uint16_t)i;
	virtq_place(vq, vq->memory, once_in(h, 4) ? (uint16_t)(1U << below(h, 7)) : QUEUE_SIZE_MAX);
	virtq_tell(vq, (uint16_t)below(h, 4));
	if (once_in(h, 16))
		write64(target->device.common + VIRTIO_QUEUE_DESC + 8 * below(h, 2),
			safe_address(h));
	if (once_in(h, 32))
		write64(target->device.common + VIRTIO_QUEUE_DEVICE, beyond_address(h));
	virtq_enable(vq);
}

static unsigned int queues_of(const struct target *target)
{
	return (unsigned int)min_u64(target->device.queues, TARGET_QUEUES);
}

static void set_up(struct hammer *h, struct target *target)
{
	if (once_in(h, 4))
		revive(target);
	reset_briefly(target);
	negotiate(h, target);
	for (unsigned int i = 0; i < queues_of(target); i++)
		set_up_queue(h, target, i);
	virtio_go(&target->device);
}

/* A request that a disk could take; other devices see nothing but buffers. */
static uint64_t header(struct hammer *h)
{
	static const uint32_t types[] = { BLK_IN,      BLK_OUT,		 BLK_FLUSH, BLK_GET_ID,
					  BLK_DISCARD, BLK_WRITE_ZEROES, 99 };
	uint64_t at = arena_address(h);

	/* The type's upper neighbour is reserved, and makes the word an address far away. */
	write64(at, types[below(h, ARRAY_SIZE(types))] | (uint64_t)UINT32_MAX << 32);
	write64(at + 8, once_in(h, 4) ? safe_address(h) : below(h, 64));
	return at;
}

static void put_desc(volatile struct virtq_desc *desc, uint64_t address, uint32_t len,
		     unsigned int flags, unsigned int next)
{
	desc->address = address;
	desc->len = len;
	desc->flags = (uint16_t)flags;
	desc->next = (uint16_t)next;
}

static void put_chain(struct hammer *h, volatile struct virtq_desc *desc, unsigned int at,
		      unsigned int size)
{
	unsigned int count = 1 + (unsigned int)below(h, CHAIN_MAX);
	unsigned int direction = once_in(h, 2) ? DESC_WRITE : 0;

	put_desc(&desc[at], header(h), 16, DESC_NEXT, (at + 1) % size);
	for (unsigned int i = 0; i < count; i++) {
		at = (at + 1) % size;
		put_desc(&desc[at], arena_address(h), (uint32_t)(1 + below(h, 8)) * 512,
			 DESC_NEXT | direction, (at + 1) % size);
	}
	at = (at + 1) % size;
	put_desc(&desc[at], arena_address(h), 1, DESC_WRITE, 0);
}

static void submit(struct hammer *h, struct target *target)
{
	struct virtq *vq = &target->queue[below(h, queues_of(target))];
	unsigned int at;

	if (!vq->size || !vq->device)
		return;
	at = (unsigned int)below(h, vq->size);
	if (once_in(h, 4)) {
		uint64_t table = arena_address(h) & ~15UL;

		table = min_u64(table, world.low_end - PAGE_SIZE);
		put_chain(h, (volatile struct virtq_desc *)table, 0, 64);
		put_desc(&vq->desc[at], table, (uint32_t)(1 + below(h, 16)) * 16, DESC_INDIRECT, 0);
	} else {
		put_chain(h, vq->desc, at, vq->size);
	}
	vq->avail->ring[vq->avail->index % vq->size] = (uint16_t)at;
	barrier();
	vq->avail->index++;
	write16(target->device.notify + vq->index * target->device.notify_multiplier, vq->index);
}

/* Changes something in a ring, whatever the device does with it now. */
static void mutate(struct hammer *h, struct target *target)
{
	struct virtq *vq = &target->queue[below(h, queues_of(target))];
	volatile struct virtq_desc *desc;
	static const uint16_t indices[] = { 0, 1, 63, 64, 1023, 1024, 0xffff };

	if (!vq->size || !vq->device)
		return;
	desc = &vq->desc[below(h, vq->size)];
	switch (below(h, 7)) {
	case 0:
		desc->address = safe_address(h);
		break;
	case 1:
		desc->len = safe_length(h);
		break;
	case 2:
		desc->flags = (uint16_t)(once_in(h, 8) ? random64(h) : below(h, 8));
		break;
	case 3:
		desc->next = indices[below(h, ARRAY_SIZE(indices))];
		break;
	case 4:
		vq->avail->index = (uint16_t)(vq->avail->index + below(h, 80));
		break;
	case 5:
		vq->avail->ring[below(h, vq->size + 1U)] = indices[below(h, ARRAY_SIZE(indices))];
		break;
	default:
		vq->used->index = (uint16_t)random64(h);
		vq->avail->flags = (uint16_t)below(h, 4);
		break;
	}
}

static void storm(struct hammer *h, const struct target *target)
{
	uintptr_t at = target->device.notify +
		       below(h, target->device.queues + 2U) * target->device.notify_multiplier;

	for (uint64_t n = below(h, STORM_MAX); n; n--)
		if (once_in(h, 2))
			write16(at, (uint16_t)n);
		else
			write32(at, (uint32_t)n);
}

/* A device that runs is left to run most of the time: a stopped one shows little. */
static bool wants_set_up(struct hammer *h, const struct target *target)
{
	uint8_t status = virtio_status(&target->device);

	return !(status & VIRTIO_DRIVER_OK) || status & VIRTIO_NEEDS_RESET || once_in(h, 64);
}

void hammer_queues(struct hammer *h)
{
	struct target *target;

	if (!world.targets)
		return;
	target = &world.target[below(h, world.targets)];
	/* One driver at a time: what two of them do at once is what hammer_mmio() does. */
	if (once_in(h, 4) && wants_set_up(h, target) && spin_try(&target->lock)) {
		set_up(h, target);
		spin_unlock(&target->lock);
	}
	switch (below(h, 16)) {
	case 0:
		storm(h, target);
		break;
	case 1:
		if (once_in(h, 16))
			write8(target->device.common + VIRTIO_STATUS, 0);
		break;
	case 2:
	case 3:
		mutate(h, target);
		break;
	default:
		submit(h, target);
		break;
	}
}
