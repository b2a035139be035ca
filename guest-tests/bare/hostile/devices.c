/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After it all: whether the devices still work, driven by the rules.
 */
#include "hostile/hostile.h"

#include "lib/blk.h"
#include "lib/ioapic.h"
#include "lib/memory.h"
#include "lib/print.h"

#define RNG_BYTES 64

static bool rng_works(struct virtio *device)
{
	static struct virtq vq;
	struct buffer buffer = { (void *)world.data, RNG_BYTES, true };
	uint32_t len = 0;

	/* In the arena, as everything. */
	vq.memory = (void *)(world.data + PAGE_SIZE);
	vq.size = 8;
	if (!virtio_negotiate(device, 0) || !virtq_setup(&vq, device, 0, 8, VIRTIO_NO_VECTOR))
		return false;
	virtio_go(device);
	virtq_add(&vq, &buffer, 1);
	virtq_kick(&vq);
	return virtq_wait(&vq, &len) >= 0 && len > 0 && len <= RNG_BYTES;
}

static bool blk_works(struct virtio *device)
{
	static struct blk blk;

	memset(&blk, 0, sizeof(blk));
	blk.device = *device;
	blk.queue[0].memory = (void *)(world.data + PAGE_SIZE);
	blk.queue[0].size = BLK_QUEUE_SIZE;
	return blk_start(&blk, 0, 1, false) &&
	       blk_do(&blk, 0, BLK_IN, 0, (void *)world.data, SECTOR) == BLK_OK;
}

static void check_target(struct target *target)
{
	struct virtio *device = &target->device;
	unsigned int slot = device->devfn >> 3;

	check(pci_read(device->devfn, PCI_VENDOR, 2) == VIRTIO_VENDOR, "device %u is there", slot);
	msix_enable(&device->msix, false);
	if (!check(virtio_reset(device), "device %u can be reset", slot))
		return;
	check_equal(read16(device->common + VIRTIO_NUM_QUEUES), device->queues,
		    "device %u has its queues", slot);
	if (device->type == VIRTIO_RNG)
		check(rng_works(device), "device %u: the rng works", slot);
	if (device->type == VIRTIO_BLK)
		check(blk_works(device), "device %u: the disk works", slot);
	virtio_reset(device);
}

void check_devices(void)
{
	if (world.ioapic) {
		for (unsigned int i = 0; i < 24; i++)
			ioapic_set(i, IOAPIC_MASKED, 0);
		check_equal(ioapic_read(IOAPIC_VERSION), 0x170020, "the IOAPIC is there");
	}
	check(pci_present(0), "the host bridge is there");
	revive_all();
	for (unsigned int i = 0; i < world.targets; i++)
		check_target(&world.target[i]);
}
