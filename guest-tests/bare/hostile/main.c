/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostile/hostile.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/ioapic.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/smp.h"
#include "lib/time.h"
#include "lib/traps.h"

#define US	     1000000UL
#define WINDOW_EVERY 16	 /* rounds between two chances for an interrupt */
#define ANSWER_EVERY 256 /* rounds between two looks at the clock */
#define REVIVE_EVERY 64

struct world world;

static struct hammer hammers[SMP_CPUS_MAX];

struct blow {
	void (*strike)(struct hammer *h);
	unsigned int weight;
};

static const struct blow blows[] = {
	{ hammer_ports, 20 },  { hammer_mmio, 20 }, { hammer_config, 10 },
	{ hammer_queues, 40 }, { hammer_msix, 10 },
};

#define WEIGHTS 100

/* One interrupt per window: a line that stays high must not keep a CPU for itself. */
static void interrupted(struct trap_frame *frame)
{
	frame->rflags &= ~RFLAGS_IF;
	apic_eoi();
}

static void strike(struct hammer *h)
{
	unsigned int at = (unsigned int)below(h, WEIGHTS);

	for (unsigned int i = 0; i < ARRAY_SIZE(blows); i++) {
		if (at < blows[i].weight) {
			blows[i].strike(h);
			return;
		}
		at -= blows[i].weight;
	}
}

static void hammer(unsigned int cpu)
{
	struct hammer *h = &hammers[cpu];

	h->cpu = cpu;
	h->state = (world.seed + cpu + 1) * 0x9e3779b97f4a7c15UL | 1;
	for (h->rounds = 0; h->rounds < world.rounds; h->rounds++) {
		strike(h);
		if (h->rounds % WINDOW_EVERY == 0)
			interrupt_window();
		if (world.targets && h->rounds % REVIVE_EVERY == 0)
			revive(&world.target[below(h, world.targets)]);
		if (h->rounds % ANSWER_EVERY == 0 && time_us() > world.until)
			break;
	}
}

/* --- Before --- */

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
	world.seed = word_number("seed", 1);
	world.rounds = word_number("rounds", UINT64_MAX);
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
	/* But not for what wakes CPUs: one that sleeps needs its interrupts. */
	for (unsigned int v = VECTOR_FIRST; v < SMP_WAKE; v++)
		trap_set((uint8_t)v, interrupted);
	memset((void *)world.arena, 0, world.low_end - world.arena);
}

unsigned int guest_main(void)
{
	unsigned int cpus;
	uint64_t rounds = 0;

	smp_setup(false);
	cpus = smp_start();
	prepare();
	canaries_set(word_number("canary", 2));
	check(canaries_notice(), "a change of watched memory is noticed");
	print("# seed %lu, %u CPUs, %u virtio devices\n", world.seed, cpus, world.targets);
	world.until = time_us() + word_number("seconds", 5) * US;
	smp_run(hammer);
	serial_setup();
	for (unsigned int i = 0; i < cpus; i++)
		rounds += hammers[i].rounds;
	print("\n# %lu rounds\n", rounds);
	check(rounds >= cpus, "all CPUs came through");
	check_devices();
	check_equal(canaries_changed(), 0, "no memory changed that no device was told to write");
	return checks_done();
}
