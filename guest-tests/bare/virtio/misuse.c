/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drivers that break the rules of the rings (virtio 1.2, 2.7): the device must ask for a reset
 * (2.1.1), tell so by the configuration interrupt, and work after it.
 */
#include "lib/apic.h"
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "virtio/tests.h"

#define NOWHERE	   0xfeb00000UL /* neither RAM nor a device */
#define FAR_AWAY   0x800000000000UL
#define TABLE_SIZE 64

static struct blk_header header = { .type = BLK_IN };
static uint8_t *data;
static struct virtq_desc *table;

static void set(struct virtq *vq, unsigned int i, const volatile void *at, uint32_t len,
		unsigned int flags, unsigned int next)
{
	vq->desc[i].address = (uintptr_t)at;
	vq->desc[i].len = len;
	vq->desc[i].flags = (uint16_t)flags;
	vq->desc[i].next = (uint16_t)next;
}

/* A good read request at descriptors 0 to 2, to be spoilt. */
static void good(struct virtq *vq)
{
	set(vq, 0, &header, sizeof(header), DESC_NEXT, 1);
	set(vq, 1, data, SECTOR, DESC_NEXT | DESC_WRITE, 2);
	set(vq, 2, data + SECTOR, 1, DESC_WRITE, 0);
}

static void head_out_of_range(struct virtq *vq)
{
	virtq_offer(vq, vq->size);
}

static void head_far_out_of_range(struct virtq *vq)
{
	virtq_offer(vq, 0xffff);
}

static void next_out_of_range(struct virtq *vq)
{
	vq->desc[1].next = vq->size;
	virtq_offer(vq, 0);
}

static void loop_of_one(struct virtq *vq)
{
	set(vq, 0, &header, sizeof(header), DESC_NEXT, 0);
	virtq_offer(vq, 0);
}

static void loop_of_three(struct virtq *vq)
{
	vq->desc[2].flags = DESC_WRITE | DESC_NEXT;
	vq->desc[2].next = 1;
	virtq_offer(vq, 0);
}

static void index_jump(struct virtq *vq)
{
	virtq_offer(vq, 0);
	vq->avail_index = (uint16_t)(vq->avail_index + vq->size + 1);
}

static void buffer_outside_ram(struct virtq *vq)
{
	vq->desc[1].address = NOWHERE;
	virtq_offer(vq, 0);
}

static void header_outside_ram(struct virtq *vq)
{
	vq->desc[0].address = FAR_AWAY;
	virtq_offer(vq, 0);
}

static void buffer_across_the_end(struct virtq *vq)
{
	vq->desc[1].address = low_ram_end() - SECTOR / 2;
	virtq_offer(vq, 0);
}

static void buffer_that_wraps(struct virtq *vq)
{
	vq->desc[1].address = UINT64_MAX - 15;
	virtq_offer(vq, 0);
}

static void huge_buffer(struct virtq *vq)
{
	vq->desc[1].len = UINT32_MAX;
	virtq_offer(vq, 0);
}

static void empty_buffer(struct virtq *vq)
{
	vq->desc[1].len = 0;
	virtq_offer(vq, 0);
}

static void readable_after_writable(struct virtq *vq)
{
	set(vq, 0, data, SECTOR, DESC_NEXT | DESC_WRITE, 1);
	set(vq, 1, &header, sizeof(header), 0, 0);
	virtq_offer(vq, 0);
}

static void no_status(struct virtq *vq)
{
	set(vq, 0, &header, sizeof(header), 0, 0);
	virtq_offer(vq, 0);
}

static void short_header(struct virtq *vq)
{
	vq->desc[0].len = sizeof(header) - 1;
	virtq_offer(vq, 0);
}

static void indirect_without_feature(struct virtq *vq)
{
	set(vq, 0, table, sizeof(*table), DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_odd_length(struct virtq *vq)
{
	set(vq, 0, table, sizeof(*table) + 1, DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_empty(struct virtq *vq)
{
	set(vq, 0, table, 0, DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_huge(struct virtq *vq)
{
	set(vq, 0, table, 0xfffffff0, DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_and_next(struct virtq *vq)
{
	table[0] = (struct virtq_desc){ (uintptr_t)&header, sizeof(header), 0, 0 };
	set(vq, 0, table, sizeof(*table), DESC_INDIRECT | DESC_NEXT, 1);
	virtq_offer(vq, 0);
}

static void indirect_in_indirect(struct virtq *vq)
{
	table[0] = (struct virtq_desc){ (uintptr_t)&table[2], sizeof(*table), DESC_INDIRECT, 0 };
	table[2] = (struct virtq_desc){ (uintptr_t)&header, sizeof(header), 0, 0 };
	set(vq, 0, table, 2 * sizeof(*table), DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_loop(struct virtq *vq)
{
	table[0] = (struct virtq_desc){ (uintptr_t)&header, sizeof(header), DESC_NEXT, 1 };
	table[1] = (struct virtq_desc){ (uintptr_t)&header, sizeof(header), DESC_NEXT, 0 };
	set(vq, 0, table, 2 * sizeof(*table), DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_next_out_of_range(struct virtq *vq)
{
	table[0] = (struct virtq_desc){ (uintptr_t)&header, sizeof(header), DESC_NEXT, 60 };
	set(vq, 0, table, 2 * sizeof(*table), DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static void indirect_outside_ram(struct virtq *vq)
{
	set(vq, 0, (void *)NOWHERE, sizeof(*table), DESC_INDIRECT, 0);
	virtq_offer(vq, 0);
}

static const struct misuse {
	const char *name;
	void (*spoil)(struct virtq *vq);
	uint64_t features;
} misuses[] = {
	{ "head out of range", head_out_of_range, 0 },
	{ "head 0xffff", head_far_out_of_range, 0 },
	{ "next out of range", next_out_of_range, 0 },
	{ "a descriptor that follows itself", loop_of_one, 0 },
	{ "a loop", loop_of_three, 0 },
	{ "an available index too far ahead", index_jump, 0 },
	{ "a buffer outside of RAM", buffer_outside_ram, 0 },
	{ "a header outside of RAM", header_outside_ram, 0 },
	{ "a buffer across the end of RAM", buffer_across_the_end, 0 },
	{ "a buffer that wraps around", buffer_that_wraps, 0 },
	{ "a buffer of 4 GiB", huge_buffer, 0 },
	{ "an empty buffer", empty_buffer, 0 },
	{ "a readable descriptor after a writable one", readable_after_writable, 0 },
	{ "a request without status", no_status, 0 },
	{ "a request with half a header", short_header, 0 },
	{ "indirect without the feature", indirect_without_feature, 0 },
	{ "an indirect table of odd length", indirect_odd_length, VIRTIO_F_INDIRECT },
	{ "an empty indirect table", indirect_empty, VIRTIO_F_INDIRECT },
	{ "an indirect table of 4 GiB", indirect_huge, VIRTIO_F_INDIRECT },
	{ "an indirect descriptor with a next one", indirect_and_next, VIRTIO_F_INDIRECT },
	{ "an indirect table in another", indirect_in_indirect, VIRTIO_F_INDIRECT },
	{ "a loop in an indirect table", indirect_loop, VIRTIO_F_INDIRECT },
	{ "next out of an indirect table", indirect_next_out_of_range, VIRTIO_F_INDIRECT },
	{ "an indirect table outside of RAM", indirect_outside_ram, VIRTIO_F_INDIRECT },
};

static bool works(struct blk *blk)
{
	memset(data, 0, SECTOR);
	return blk_start(blk, BLK_F_FLUSH, 1, false) &&
	       blk_do(blk, 0, BLK_IN, 3, data, SECTOR) == BLK_OK &&
	       sectors_are(data, 3, 1, word_of_sector);
}

static void test_one(struct blk *blk, const struct misuse *misuse)
{
	struct virtq *vq = &blk->queue[0];

	if (!check(blk_start(blk, misuse->features, 1, true), "%s: starts", misuse->name))
		return;
	write16(blk->device.common + VIRTIO_CONFIG_VECTOR, 0);
	msix_set(&blk->device.msix, 0, apic_id(), VECTOR_CONFIG);
	trap_clear(VECTOR_CONFIG);
	good(vq);
	misuse->spoil(vq);
	barrier();
	vq->avail->index = vq->avail_index;
	virtq_ring(vq);
	check(virtio_wait_needs_reset(&blk->device), "%s: needs a reset", misuse->name);
	check(wait_trap(VECTOR_CONFIG, 1, INTERRUPT_US), "%s: the driver is told", misuse->name);
	check(works(blk), "%s: works after a reset", misuse->name);
}

/* --- Rings that are not where rings can be --- */

struct place {
	const char *name;
	uint64_t desc, driver, device; /* added to where they should be; or, if large, instead */
};

static const struct place places[] = {
	{ "descriptors outside of RAM", NOWHERE, 0, 0 },
	{ "available ring outside of RAM", 0, NOWHERE, 0 },
	{ "used ring outside of RAM", 0, 0, NOWHERE },
	{ "descriptors far away", FAR_AWAY, 0, 0 },
	{ "a used ring that wraps around", 0, 0, UINT64_MAX - 3 },
	{ "misaligned descriptors", 8, 0, 0 },
	{ "a misaligned available ring", 0, 1, 0 },
	{ "a misaligned used ring", 0, 0, 2 },
};

static void put(uintptr_t reg, const volatile void *at, uint64_t change)
{
	uint64_t address = change < PAGE_SIZE ? (uintptr_t)at + change : change;

	write32(reg, (uint32_t)address);
	write32(reg + 4, (uint32_t)(address >> 32));
}

static void test_place(struct blk *blk, const struct place *place)
{
	struct virtio *device = &blk->device;
	struct virtq *vq = &blk->queue[0];

	virtio_negotiate(device, 0);
	virtq_place(vq, vq->memory, BLK_QUEUE_SIZE);
	virtq_tell(vq, VIRTIO_NO_VECTOR);
	put(device->common + VIRTIO_QUEUE_DESC, vq->desc, place->desc);
	put(device->common + VIRTIO_QUEUE_DRIVER, vq->avail, place->driver);
	put(device->common + VIRTIO_QUEUE_DEVICE, vq->used, place->device);
	virtq_enable(vq);
	virtio_go(device);
	virtq_ring(vq);
	check(virtio_wait_needs_reset(device), "%s: needs a reset", place->name);
	check(works(blk), "%s: works after a reset", place->name);
}

static void test_bus_master(struct blk *blk)
{
	unsigned int devfn = blk->device.devfn;

	works(blk);
	pci_write(devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	memset(data, 0, SECTOR);
	good(&blk->queue[0]);
	virtq_offer(&blk->queue[0], 0);
	virtq_kick(&blk->queue[0]);
	delay_us(50000);
	check(sectors_are(data, 0, 1, word_of_sector),
	      "without bus mastering no memory is written");
	pci_write(devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	check(works(blk), "with bus mastering, after a reset, the disk works");
}

void test_misuse(struct blk *blk)
{
	data = pages(1);
	table = pages(1);
	header.sector = 0;
	blk->indirect = false;
	for (unsigned int i = 0; i < ARRAY_SIZE(misuses); i++)
		test_one(blk, &misuses[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++)
		test_place(blk, &places[i]);
	/* One whose contents would be seen, were it read. */
	header.sector = 5;
	test_bus_master(blk);
}
