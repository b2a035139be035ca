/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which PASIDs a guest has set up for a real device: a look through its PASID table (9.4 to 9.6).
 *
 * Only presence matters here. Whether an entry can be used is for vtd_entry_read() to say.
 */
#include "viommu/host.h"
#include "viommu/unit.h"

struct scan {
	bool (*each)(void *context, uint32_t pasid);
	void *context;
};

/* The PASIDs of one directory entry, @first and up. False: it is enough. */
static bool scan_leaf(const struct vtd_unit *unit, const struct scan *scan, uint64_t table,
		      uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
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
	uint64_t directory = 0, entry;
	uint32_t pasids = vtd_pasid_directory(unit, requester->source, &directory);

	if (!bits)
		return;
	if (pasids > 1u << bits)
		pasids = 1u << bits;
	for (uint32_t first = 0; first < pasids; first += VTD_PASIDS_PER_TABLE) {
		uint32_t count = pasids - first;

		if (count > VTD_PASIDS_PER_TABLE)
			count = VTD_PASIDS_PER_TABLE;
		if (!vtd_load64(unit, directory + first / VTD_PASIDS_PER_TABLE * sizeof(entry),
				&entry) &&
		    entry & VTD_PASIDDIR_P &&
		    !scan_leaf(unit, &scan, entry & VTD_PASIDDIR_PTR, first, count))
			return;
	}
}
