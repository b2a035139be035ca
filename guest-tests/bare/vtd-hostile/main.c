/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vtd-hostile/hostile.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/dmar.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/smp.h"
#include "lib/time.h"
#include "lib/traps.h"

#define US	     1000000UL
#define WINDOW_EVERY 16	 /* rounds between two chances for an interrupt */
#define ANSWER_EVERY 64	 /* rounds between two looks at the clock */
#define PLANT_EVERY  256 /* of one CPU */

struct world world;

static struct hammer hammers[SMP_CPUS_MAX];

struct blow {
	void (*strike)(struct hammer *h);
	unsigned int weight;
};

static const struct blow blows[] = {
	{ hammer_registers, 20 },  { hammer_queue, 20 }, { hammer_tables, 20 },
	{ hammer_interrupts, 10 }, { hammer_edu, 10 },	 { hammer_sdma, 20 },
};

#define WEIGHTS 100

/* One interrupt per window. */
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
		if (h->rounds % PLANT_EVERY == 0)
			plant_tables(h);
		if (h->rounds % ANSWER_EVERY == 0 && time_us() > world.until)
			break;
	}
}

/* The arena starts behind a boundary of 2 MiB, so that none is inside. */
static void lay_out(void)
{
	world.low_end = low_ram_end();
	world.arena = align_down(heap_end() - 1, 2 * MIB) - 2 * MIB + 64 * KIB;
	heap_cut(world.arena);
	world.rings = world.arena + (ARENA_PAGES + COPY_GUARD) * PAGE_SIZE;
	world.iq = world.rings + RINGS * PAGE_SIZE;
	world.prq = world.iq + IQ_PAGES * PAGE_SIZE;
	world.irt = world.prq + PRQ_PAGES * PAGE_SIZE;
	memset((void *)world.arena, 0, world.irt + PAGE_SIZE - world.arena);
}

static void prepare(void)
{
	struct hammer h = { .state = world.seed * 2 + 1 };

	world.has_edu = edu_open(&world.edu, 0);
	world.has_sdma = sdma_open(&world.sdma, 0);
	vtd_open(&world.vtd, VTD_UNIT_BASE);
	lay_out();
	world.vtd.queue = (uint8_t *)world.iq;
	for (unsigned int i = 0; i < ARENA_PAGES * PAGE_SIZE / 8; i++)
		((uint64_t *)world.arena)[i] = any_word(&h);
	if (world.has_sdma)
		sdma_enable(&world.sdma, true, true, true);
	/* But not for what wakes CPUs: one that sleeps needs its interrupts. */
	for (unsigned int v = VECTOR_FIRST; v < SMP_WAKE; v++)
		trap_set((uint8_t)v, interrupted);
}

/* After it all: unit and devices work by the rules. */
static void check_end(void)
{
	struct vtd *vtd = &world.vtd;
	uint64_t *page = (uint64_t *)world.arena, word = 0x1122334455667788;

	vtd_quiet(vtd);
	check_equal(vtd_get32(vtd, VTD_GSTS) &
			    (VTD_GCMD_TE | VTD_GCMD_IRE | VTD_GCMD_QIE | VTD_GCMD_CFI),
		    0, "everything can be turned off");
	for (unsigned int i = 0; world.has_sdma && i < RINGS && i < world.sdma.queues; i++)
		if (world.queue[i].ring)
			check(sdma_queue_stop(&world.queue[i]), "queue %u of sdma can be stopped",
			      i);
	/* Legacy mode again: narrow descriptors are for that alone. */
	vtd->root = memset((void *)world.arena, 0, PAGE_SIZE);
	vtd_set_root(vtd, VTD_TTM_LEGACY);
	check(vtd_queue_start(vtd, false) && vtd_queue_sync(vtd), "the queue runs");
	vtd_command(vtd, VTD_GCMD_QIE, false);
	if (!world.has_edu)
		return;
	page[0] = word;
	check(edu_from_memory(&world.edu, world.arena, 0, 8) &&
		      edu_to_memory(&world.edu, world.arena + 64, 0, 8) && page[8] == word,
	      "edu does its work");
}

unsigned int guest_main(void)
{
	unsigned int cpus;
	uint64_t rounds = 0;

	world.seed = word_number("seed", 1);
	world.rounds = word_number("rounds", UINT64_MAX);
	world.deadly = word_number("deadly", 0);
	smp_setup(false);
	cpus = smp_start();
	prepare();
	canaries_set();
	print("# seed %lu, %u CPUs\n", world.seed, cpus);
	world.until = time_us() + word_number("seconds", 5) * US;
	smp_run(hammer);
	for (unsigned int i = 0; i < cpus; i++)
		rounds += hammers[i].rounds;
	print("# %lu rounds\n", rounds);
	check(rounds >= cpus, "all CPUs came through");
	check_end();
	check_equal(canaries_changed(), 0, "no memory changed that no device was told to write");
	return checks_done();
}
