/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables under way: single words that change while they are walked, and now and then a whole set
 * that leads somewhere, so that there are translations to be changed.
 */
#include "vtd-hostile/hostile.h"

#include "lib/memory.h"

#define WORDS (PAGE_SIZE / 8)

static void set(uint64_t page, unsigned int index, uint64_t word)
{
	__atomic_store_n((uint64_t *)page + index, word, __ATOMIC_RELAXED);
}

void hammer_tables(struct hammer *h)
{
	unsigned int count = 1 + (unsigned int)below(h, 16);
	uint64_t page = arena_page(h);

	while (count--)
		set(page, (unsigned int)below(h, WORDS), any_word(h));
}

/* Any address of the 2 MiB around the arena leads to itself, rings read-only; others anywhere. */
static void plant_leaves(struct hammer *h, uint64_t page)
{
	for (unsigned int i = 0; i < WORDS; i++) {
		uint64_t at = align_down(world.arena, 2 * MIB) + i * PAGE_SIZE;

		if (at >= world.arena && at < world.arena + ARENA_PAGES * PAGE_SIZE)
			set(page, i, at | VTD_FS_ALL | (once_in(h, 16) ? random64(h) & 0x7f : 0));
		else if (at >= world.rings && at < world.rings + RINGS * PAGE_SIZE)
			set(page, i, at | VTD_FS_P | VTD_FS_US);
		else
			set(page, i, arena_page(h) | VTD_FS_ALL);
	}
}

/* Tables of three to five levels, both stages alike; returns the top one. */
static uint64_t plant_levels(struct hammer *h, unsigned int levels)
{
	uint64_t below_it = arena_page(h);

	plant_leaves(h, below_it);
	while (--levels) {
		uint64_t page = arena_page(h);

		for (unsigned int i = 0; i < WORDS; i++)
			set(page, i, below_it | VTD_FS_ALL);
		below_it = page;
	}
	return below_it;
}

static void plant_pasids(struct hammer *h, uint64_t table, uint64_t top)
{
	static const uint8_t types[] = { VTD_PGTT_FS,	  VTD_PGTT_FS, VTD_PGTT_SS,
					 VTD_PGTT_NESTED, VTD_PGTT_PT, 7 };

	for (unsigned int i = 0; i < SOME_PASIDS; i++) {
		unsigned int type = types[below(h, ARRAY_SIZE(types))];

		for (unsigned int word = 3; word < VTD_PASID_WORDS; word++)
			set(table, i * VTD_PASID_WORDS + word, 0);
		set(table, i * 8 + 1, below(h, 4) | (once_in(h, 8) ? 0 : VTD_PASID1_PWSNP));
		set(table, i * 8 + 2, top | (random64(h) & VTD_PASID2_SRE));
		set(table, i * 8,
		    top | vtd_put(VTD_AW_48, VTD_PASID0_AW) | vtd_put(type, VTD_PASID0_PGTT) |
			    VTD_PASID0_P);
	}
}

static void plant_scalable(struct hammer *h, uint64_t contexts, unsigned int devfn, uint64_t top)
{
	uint64_t directory = arena_page(h), table = arena_page(h);

	plant_pasids(h, table, top);
	set(directory, 0, table | VTD_PASIDDIR_P);
	for (unsigned int word = 1; word < 4; word++)
		set(contexts, devfn % 128 * 4 + word, 0);
	set(contexts, devfn % 128 * 4,
	    directory | VTD_SM_CONTEXT0_DTE | VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE |
		    VTD_SM_CONTEXT0_P);
}

static void plant_legacy(uint64_t contexts, unsigned int devfn, uint64_t top)
{
	if (devfn * 2 + 1 >= WORDS)
		return;
	set(contexts, devfn * 2 + 1, vtd_put(VTD_AW_48, VTD_CONTEXT1_AW));
	set(contexts, devfn * 2, top | VTD_CONTEXT0_P);
}

void plant_tables(struct hammer *h)
{
	uint64_t root = arena_page(h), contexts = arena_page(h), top = plant_levels(h, 4);
	bool scalable = !once_in(h, 3);
	const unsigned int devfns[] = { world.edu.devfn, world.sdma.devfn };

	for (unsigned int i = 0; i < ARRAY_SIZE(devfns); i++) {
		if (scalable)
			plant_scalable(h, contexts, devfns[i], top);
		else
			plant_legacy(contexts, devfns[i], top);
	}
	set(root, 0, contexts | VTD_ROOT_P);
	set(root, 1, scalable ? contexts | VTD_ROOT_P : 0);
	__atomic_store_n(
		&world.root,
		root | vtd_put(scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY, VTD_RTADDR_TTM),
		__ATOMIC_RELAXED);
	vtd_set64(&world.vtd, VTD_RTADDR, __atomic_load_n(&world.root, __ATOMIC_RELAXED));
	vtd_set64(&world.vtd, VTD_PQA, world.prq);
	vtd_set32(&world.vtd, VTD_GCMD, (uint32_t)(VTD_GCMD_QIE | VTD_GCMD_SRTP));
	vtd_set32(&world.vtd, VTD_GCMD, (uint32_t)(VTD_GCMD_QIE | VTD_GCMD_TE | VTD_GCMD_CFI));
}
