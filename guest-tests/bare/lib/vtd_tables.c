/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of lib/vtd.h.
 */
#include "lib/memory.h"
#include "lib/vtd.h"

#define TABLE_BITS	9
#define PASID_TABLE	64 /* entries of one table */
#define PASID_DIRECTORY 14 /* log2 of the entries of a directory for 20 bits of PASID */
#define PDTS_ALL	(PASID_DIRECTORY - 7)

void vtd_new_root(struct vtd *vtd)
{
	vtd->root = pages(1);
}

bool vtd_set_root(struct vtd *vtd, enum vtd_ttm mode)
{
	vtd_set64(vtd, VTD_RTADDR, (uintptr_t)vtd->root | vtd_put(mode, VTD_RTADDR_TTM));
	/* One-shot: the status bit of an earlier one says nothing, the flush behind it does. */
	if (!vtd_command(vtd, VTD_GCMD_SRTP, true))
		return false;
	return !(vtd_get32(vtd, VTD_GSTS) & VTD_GCMD_QIE) || vtd_flush(vtd);
}

static uint64_t *table_of(uint64_t *entry, uint64_t flags, unsigned int count)
{
	if (!(*entry & VTD_FS_ADDR))
		*entry = (uintptr_t)pages(count) | flags;
	return (uint64_t *)(*entry & VTD_FS_ADDR);
}

uint64_t *vtd_context(struct vtd *vtd, unsigned int devfn, enum vtd_ttm mode)
{
	if (mode == VTD_TTM_LEGACY)
		return table_of(&vtd->root[0], VTD_ROOT_P, 1) + 2 * devfn;
	/* Scalable: the upper half of the root entry has devices 16 to 31. */
	return table_of(&vtd->root[devfn >= 128], VTD_ROOT_P, 1) + 4 * (devfn & 127);
}

void vtd_context_set(struct vtd *vtd, unsigned int devfn, enum vtd_tt type, enum vtd_aw width,
		     uintptr_t root)
{
	uint64_t *entry = vtd_context(vtd, devfn, VTD_TTM_LEGACY);

	entry[1] = vtd_put(width, VTD_CONTEXT1_AW) | vtd_put(1, VTD_CONTEXT1_DID);
	entry[0] = root | vtd_put(type, VTD_CONTEXT0_TT) | VTD_CONTEXT0_P;
}

void vtd_sm_context_set(struct vtd *vtd, unsigned int devfn, uint64_t flags)
{
	uint64_t *entry = vtd_context(vtd, devfn, VTD_TTM_SCALABLE);
	uint64_t directory = entry[0] & VTD_SM_CONTEXT0_PASIDDIR;

	if (!directory)
		directory = (uintptr_t)pages((8UL << PASID_DIRECTORY) / PAGE_SIZE);
	entry[1] = entry[2] = entry[3] = 0;
	entry[0] = directory | vtd_put(PDTS_ALL, VTD_SM_CONTEXT0_PDTS) | flags | VTD_SM_CONTEXT0_P;
}

uint64_t *vtd_pasid_entry(struct vtd *vtd, unsigned int devfn, uint32_t pasid)
{
	uint64_t *context = vtd_context(vtd, devfn, VTD_TTM_SCALABLE);
	uint64_t *directory = (uint64_t *)(context[0] & VTD_SM_CONTEXT0_PASIDDIR);
	uint64_t *table = table_of(&directory[pasid / PASID_TABLE], VTD_PASIDDIR_P, 1);

	return table + pasid % PASID_TABLE * VTD_PASID_WORDS;
}

void vtd_pasid_set(uint64_t *entry, enum vtd_pgtt type, uintptr_t first, uintptr_t second,
		   uint16_t did)
{
	memset(entry, 0, VTD_PASID_WORDS * sizeof(*entry));
	if (first)
		entry[2] = first | vtd_put(VTD_FSPM_4LEVEL, VTD_PASID2_FSPM);
	/* Without PWSNP accessed and dirty flags of the first stage cannot be set. */
	entry[1] = vtd_put(did, VTD_PASID1_DID) | VTD_PASID1_PWSNP;
	entry[0] = second | vtd_put(VTD_AW_48, VTD_PASID0_AW) | vtd_put(type, VTD_PASID0_PGTT) |
		   VTD_PASID0_P;
}

bool vtd_has_type(const struct vtd *vtd, enum vtd_pgtt type)
{
	static const uint64_t needs[] = {
		[VTD_PGTT_FS] = VTD_ECAP_FSTS,
		[VTD_PGTT_SS] = VTD_ECAP_SSTS,
		[VTD_PGTT_NESTED] = VTD_ECAP_NEST,
		[VTD_PGTT_PT] = VTD_ECAP_PT,
	};
	bool second = type == VTD_PGTT_SS || type == VTD_PGTT_NESTED;

	return vtd->ecap & VTD_ECAP_SMTS && vtd->ecap & needs[type] &&
	       (!second || vtd->cap & VTD_CAP_SAGAW48);
}

unsigned int vtd_level_of(uint64_t size)
{
	return size == PAGE_SIZE ? 1 : size == 2 * MIB ? 2 : 3;
}

uint64_t *vtd_map(uintptr_t root, unsigned int levels, uint64_t iova, uint64_t gpa, uint64_t size,
		  uint64_t leaf, uint64_t above)
{
	unsigned int last = vtd_level_of(size);
	uint64_t *table = (uint64_t *)root, *entry;

	for (unsigned int level = levels;; level--) {
		entry = &table[iova >> (12 + TABLE_BITS * (level - 1)) & 511];
		if (level == last)
			break;
		table = table_of(entry, above, 1);
	}
	/* PS is one bit, in both stages. */
	*entry = gpa | leaf | (last > 1 ? VTD_SS_PS : 0);
	return entry;
}

uintptr_t vtd_identity(uint64_t bytes)
{
	uintptr_t root = (uintptr_t)pages(1);

	for (uint64_t at = 0; at < bytes; at += 2 * MIB)
		vtd_map(root, 4, at, at, 2 * MIB, VTD_SS_ALL, VTD_SS_ALL);
	return root;
}
