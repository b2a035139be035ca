/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which PASIDs a guest has set up for a real device: a look through its PASID table (9.4 to 9.6).
 *
 * Only presence matters here. Whether an entry can be used is for vtd_entry_read() to say.
 */
#include "viommu/host.h"
#include "viommu/unit.h"

#define LEAF_BITS 6 /* PASIDs of one directory entry */

/* The first word of the requester's scalable-mode context entry; 0 if there is none. */
static uint64_t context_word(const struct vtd_unit *unit, uint16_t source)
{
	uint64_t root = __atomic_load_n(&unit->root, __ATOMIC_ACQUIRE), entry, context;
	unsigned int bus = source >> 8, devfn = source & 0xff;

	if (vtd_get(root, VTD_RTADDR_TTM) != VTD_TTM_SCALABLE)
		return 0;
	/* A root entry has two words: for devices 0 to 15 of the bus, and for 16 to 31. */
	if (vtd_load64(unit, (root & VTD_RTADDR_RTA) + bus * 16 + devfn / 128 * 8, &entry) ||
	    !(entry & VTD_ROOT_P))
		return 0;
	if (vtd_load64(unit, (entry & VTD_ROOT_CTP) + devfn % 128 * 32, &context))
		return 0;
	return context & VTD_SM_CONTEXT0_P ? context : 0;
}

struct scan {
	bool (*each)(void *context, uint32_t pasid);
	void *context;
};

/* The PASIDs of one directory entry, @first and up. False: it is enough. */
static bool scan_leaf(const struct vtd_unit *unit, const struct scan *scan, uint64_t table,
		      uint32_t first, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t entry;

		if (vtd_load64(unit, table + i * VTD_PASID_WORDS * sizeof(entry), &entry))
			return true;
		if (entry & VTD_PASID0_P && !scan->each(scan->context, first + i))
			return false;
	}
	return true;
}

void vtd_host_scan(struct vtd_unit *unit, const struct vtd_requester *requester, unsigned int bits,
		   bool (*each)(void *context, uint32_t pasid), void *context)
{
	const struct scan scan = { each, context };
	uint64_t word = context_word(unit, requester->source);
	unsigned int leaf = 1u << (bits < LEAF_BITS ? bits : LEAF_BITS);
	unsigned int entries = 128u << vtd_get(word, VTD_SM_CONTEXT0_PDTS);

	if (!word || !bits)
		return;
	if (entries > (1u << bits) / leaf)
		entries = (1u << bits) / leaf;
	for (unsigned int i = 0; i < entries; i++) {
		uint64_t entry;

		if (vtd_load64(unit, (word & VTD_SM_CONTEXT0_PASIDDIR) + i * sizeof(entry), &entry))
			continue;
		if (entry & VTD_PASIDDIR_P &&
		    !scan_leaf(unit, &scan, entry & VTD_PASIDDIR_PTR, i << LEAF_BITS, leaf))
			return;
	}
}
