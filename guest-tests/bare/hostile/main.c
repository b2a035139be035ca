/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostile/hostile.h"

#include "lib/boot.h"
#include "lib/canary.h"
#include "lib/ioapic.h"
#include "lib/memory.h"
#include "lib/print.h"

#define REVIVE_EVERY   64
#define CANARIES_BELOW (64 * PAGE_SIZE) /* the arena: there every page is watched */
/* Above 4 GiB: small numbers in the wrong half of an address point below that. */
#define CANARIES_HIGH (5 * GIB)

struct world world;

static const struct blow blows[] = {
	{ hammer_ports, 20 },  { hammer_mmio, 20 }, { hammer_config, 10 },
	{ hammer_queues, 40 }, { hammer_msix, 10 },
};

static void revive_one(struct hammer *h)
{
	if (world.targets)
		revive(&world.target[below(h, world.targets)]);
}

static const struct hammering hammering = {
	.blows = blows,
	.count = ARRAY_SIZE(blows),
	.upkeep = revive_one,
	.upkeep_every = REVIVE_EVERY,
};

static void add_target(unsigned int devfn)
{
	struct target *target = &world.target[world.targets];
	uint64_t rings = world.arena + world.targets * TARGET_QUEUES * QUEUE_BYTES;

	if (world.targets == TARGETS_MAX || !virtio_open(&target->device, devfn))
		return;
	for (unsigned int i = 0; i < PCI_BARS; i++)
		target->bar[i] = pci_read(devfn, PCI_BAR0 + 4 * i, 4);
	for (unsigned int i = 0; i < TARGET_QUEUES; i++)
		target->queue[i].memory = (void *)(rings + i * QUEUE_BYTES);
	target->common_page = align_down(target->device.common, PAGE_SIZE);
	target->msix_page = align_down(target->device.msix.table, PAGE_SIZE);
	world.targets++;
}

static void find_everything(void)
{
	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (!pci_present(devfn))
			continue;
		world.function[world.functions++] = (uint8_t)devfn;
		if (pci_read(devfn, PCI_VENDOR, 2) == VIRTIO_VENDOR)
			add_target(devfn);
	}
}

static void prepare(void)
{
	world.deadly = word_number("deadly", 0);
	world.arena = align_down(heap_end() - ARENA_SIZE, 64 * KIB);
	heap_cut(world.arena);
	world.data = world.arena + TARGETS_MAX * TARGET_QUEUES * QUEUE_BYTES;
	world.low_end = low_ram_end();
	world.high_end = max_u64(high_ram_end(), 4 * GIB);
	world.far = min_u64(1UL << min_u64(physical_bits(), 46), 1UL << 46) / 2;
	world.ecam = pci_ecam(0);
	world.ioapic = ioapic_address();
	map(world.high_end, 2 * GIB);
	map(world.far, 2 * GIB);
	find_everything();
	memset((void *)world.arena, 0, world.low_end - world.arena);
}

/* @bytes of high RAM, @bytes all over what is left of low RAM, and what lies next to the arena. */
static void watch(uint64_t bytes)
{
	bool high = world.high_end > CANARIES_HIGH && map(CANARIES_HIGH, GIB);
	uint64_t first = align_up(heap_next(), PAGE_SIZE);
	uint64_t neighbours = world.arena - CANARIES_BELOW;
	uint64_t step = align_down((neighbours - first) / (bytes / PAGE_SIZE), PAGE_SIZE);

	canary_watch(first, neighbours, max_u64(step, PAGE_SIZE));
	canary_watch(neighbours, world.arena, PAGE_SIZE);
	if (high)
		canary_watch(CANARIES_HIGH, min_u64(world.high_end, CANARIES_HIGH + bytes),
			     PAGE_SIZE);
}

unsigned int guest_main(void)
{
	hammer_setup();
	prepare();
	watch(word_number("canary", 2) * MIB);
	check(canaries_notice(), "a change of watched memory is noticed");
	print("# %u virtio devices\n", world.targets);
	hammer_all(&hammering);
	check_devices();
	check_equal(canaries_changed(), 0, "no memory changed that no device was told to write");
	return checks_done();
}
