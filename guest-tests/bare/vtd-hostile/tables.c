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

/*
 * Tables of three to five levels, both stages alike; returns the top one. They lead to the leaves
 * from everywhere, or from the arena's own address, and with loops: hosts copy second stages, and
 * those of the first kind are too large for that.
 */
static uint64_t plant_levels(struct hammer *h, unsigned int levels)
{
	uint64_t below_it = arena_page(h);
	bool all = once_in(h, 3);

	plant_leaves(h, below_it);
	for (unsigned int level = 2; level <= levels; level++) {
		uint64_t page = arena_page(h);

		for (unsigned int i = 0; i < WORDS; i++)
			set(page, i,
			    all		      ? below_it | VTD_FS_ALL
			    : once_in(h, 256) ? any_word(h)
					      : 0);
		set(page, world.arena >> (12 + 9 * (level - 1)) & (WORDS - 1),
		    below_it | VTD_FS_ALL);
		below_it = page;
	}
	return below_it;
}

static void plant_pasid(struct hammer *h, uint64_t table, uint32_t pasid, uint64_t top)
{
	static const uint8_t types[] = { VTD_PGTT_FS,	  VTD_PGTT_FS, VTD_PGTT_SS,
					 VTD_PGTT_NESTED, VTD_PGTT_PT, 7 };
	unsigned int type = types[below(h, ARRAY_SIZE(types))], first = pasid * VTD_PASID_WORDS;

	for (unsigned int word = 3; word < VTD_PASID_WORDS; word++)
		set(table, first + word, 0);
	set(table, first + 1, below(h, 4) | (once_in(h, 8) ? 0 : VTD_PASID1_PWSNP));
	set(table, first + 2, top | (random64(h) & VTD_PASID2_SRE));
	set(table, first,
	    top | vtd_put(VTD_AW_48, VTD_PASID0_AW) | vtd_put(type, VTD_PASID0_PGTT) |
		    VTD_PASID0_P);
}

/* One entry changes while the device works with it: to another, to nothing, or to garbage. */
void hammer_entries(struct hammer *h)
{
	uint64_t table = __atomic_load_n(&world.pasids, __ATOMIC_RELAXED);
	uint64_t top = __atomic_load_n(&world.top, __ATOMIC_RELAXED);
	uint32_t pasid = (uint32_t)below(h, SOME_PASIDS);
	unsigned int first = pasid * VTD_PASID_WORDS;

	if (!table)
		return;
	switch (below(h, 8)) {
	case 0:
		set(table, first, 0);
		break;
	case 1:
		set(table, first + (unsigned int)below(h, VTD_PASID_WORDS), any_word(h));
		break;
	case 2:
		plant_pasid(h, table, pasid, arena_page(h));
		break;
	case 3:
		plant_pasid(h, table, pasid, foreign_page(h));
		break;
	default:
		plant_pasid(h, table, pasid, top);
		break;
	}
	tell_entry(h, pasid);
}

static void plant_scalable(struct hammer *h, uint64_t contexts, unsigned int devfn, uint64_t top)
{
	uint64_t directory = arena_page(h), table = arena_page(h);

	for (uint32_t pasid = 0; pasid < SOME_PASIDS; pasid++)
		plant_pasid(h, table, pasid, top);
	__atomic_store_n(&world.pasids, table, __ATOMIC_RELAXED);
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

	__atomic_store_n(&world.top, top, __ATOMIC_RELAXED);
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
