/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vtd-hostile/hostile.h"

#include "lib/boot.h"
#include "lib/canary.h"
#include "lib/dmar.h"
#include "lib/memory.h"
#include "lib/print.h"

#define PLANT_EVERY    256
#define CANARIES_EVERY (32 * PAGE_SIZE) /* in all of RAM below the arena */
#define CANARIES_BELOW (64 * PAGE_SIZE) /* it: there every page is watched */
#define GUARD	       (COPY_GUARD * PAGE_SIZE)

struct world world;

static const struct blow blows[] = {
	{ hammer_registers, 20 }, { hammer_queue, 20 },	     { hammer_tables, 20 },
	{ hammer_entries, 20 },	  { hammer_interrupts, 10 }, { hammer_edu, 10 },
	{ hammer_sdma, 20 },	  { hammer_function, 5 },
};

/* Tables that lead somewhere, and a device that is on: else soon nothing happens any more. */
static void keep_up(struct hammer *h)
{
	plant_tables(h);
	revive_function();
	if (world.has_sdma)
		sdma_enable(&world.sdma, true, true, true);
}

static const struct hammering hammering = {
	.blows = blows,
	.count = ARRAY_SIZE(blows),
	.upkeep = keep_up,
	.upkeep_every = PLANT_EVERY,
};

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
	struct hammer h = hammer_before();

	world.has_edu = edu_open(&world.edu, 0);
	world.has_sdma = sdma_open(&world.sdma, 0);
	vtd_open(&world.vtd, VTD_UNIT_BASE);
	lay_out();
	world.vtd.queue = (uint8_t *)world.iq;
	for (unsigned int i = 0; i < ARENA_PAGES * PAGE_SIZE / 8; i++)
		((uint64_t *)world.arena)[i] = any_word(&h);
	if (world.has_sdma) {
		sdma_enable(&world.sdma, true, true, true);
		open_function();
	}
}

/* RAM around the arena and what stands behind it. */
static void watch(void)
{
	uint64_t first = align_up(heap_next(), PAGE_SIZE);
	uint64_t neighbours = max_u64(first, world.arena - CANARIES_BELOW);

	canary_watch(first, neighbours, CANARIES_EVERY);
	canary_watch(neighbours, world.arena, PAGE_SIZE);
	canary_watch(world.irt + PAGE_SIZE + GUARD, align_down(world.low_end, PAGE_SIZE),
		     PAGE_SIZE);
}

/* After it all: unit and devices work by the rules. */
static void check_end(void)
{
	struct vtd *vtd = &world.vtd;
	uint64_t *page = (uint64_t *)world.arena, word = 0x1122334455667788;

	vtd_quiet(vtd);
	revive_function();
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
	world.deadly = word_number("deadly", 0);
	hammer_setup();
	prepare();
	watch();
	check(canaries_notice(), "a change of watched memory is noticed");
	hammer_all(&hammering);
	check_end();
	check_equal(canaries_changed(), 0, "no memory changed that no device was told to write");
	return checks_done();
}
