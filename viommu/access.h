/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access rights: what a request asks for, and how much of it an entry and the permissions of a
 * translation allow. For translate.c, and in a header for its sake: each hit comes by here.
 */
#ifndef NIDUS_VIOMMU_ACCESS_H
#define NIDUS_VIOMMU_ACCESS_H

#include <stdbool.h>

#include "viommu/entries.h"
#include "viommu/spec.h"
#include "viommu/vtd.h"
#include "viommu/walk.h"

static inline bool vtd_has_pasid(const struct vtd_request *request)
{
	return request->pasid != VTD_NO_PASID;
}

static inline bool vtd_is_first_stage(const struct vtd_entry *entry)
{
	return entry->pgtt == VTD_PGTT_FS || entry->pgtt == VTD_PGTT_NESTED;
}

/* What the request asks, when the entry is known: privilege and execution come with a PASID. */
static inline unsigned int vtd_access_of(const struct vtd_request *request,
					 const struct vtd_entry *entry)
{
	unsigned int access = request->access;

	if (!vtd_has_pasid(request)) {
		access &= VTD_READ | VTD_WRITE;
		if (entry->rid_priv)
			access |= VTD_PRIVILEGED;
	}
	if (!request->len && access & VTD_READ && !(access & VTD_WRITE) &&
	    request->type == VTD_UNTRANSLATED)
		access |= VTD_ZERO_LENGTH;
	return access;
}

/* ERE and SRE gate requests before any table is looked at. */
static inline enum vtd_reason vtd_entry_gate(const struct vtd_entry *entry, unsigned int access)
{
	if (!vtd_is_first_stage(entry))
		return VTD_OK;
	if (access & VTD_EXECUTE && !entry->ere)
		return VTD_SPT_ERE;
	if (access & VTD_PRIVILEGED && !entry->sre)
		return VTD_SPT_SRE;
	return VTD_OK;
}

/*
 * Which of the wanted accesses @permissions allow. Writing needs D set: what has it clear must be
 * walked again.
 */
static inline unsigned int vtd_permitted(const struct vtd_entry *entry, unsigned int access,
					 unsigned int permissions)
{
	bool privileged = access & VTD_PRIVILEGED;
	unsigned int write = VTD_TLB_WRITE | VTD_TLB_DIRTY;
	unsigned int answer = 0;

	if (!privileged || (vtd_is_first_stage(entry) && entry->wpe))
		write |= VTD_TLB_RW;
	if (!privileged && !(permissions & VTD_TLB_USER))
		return 0;
	if (entry->eafe && !(permissions & VTD_TLB_EXTENDED))
		return 0;
	if (permissions & VTD_TLB_READ || (access & VTD_ZERO_LENGTH && permissions & VTD_TLB_WRITE))
		answer |= VTD_READ;
	if ((permissions & write) == write)
		answer |= VTD_WRITE;
	if (permissions & VTD_TLB_EXECUTE &&
	    !(privileged && entry->smep && permissions & VTD_TLB_USER && vtd_is_first_stage(entry)))
		answer |= VTD_EXECUTE;
	return answer & access;
}

static inline bool vtd_is_permitted(const struct vtd_entry *entry, unsigned int access,
				    unsigned int permissions)
{
	unsigned int wanted = access & (VTD_READ | VTD_WRITE | VTD_EXECUTE);

	return vtd_permitted(entry, access, permissions) == wanted &&
	       /* Not even a request for nothing gets past U/S. */
	       (wanted || access & VTD_PRIVILEGED || permissions & VTD_TLB_USER);
}

#endif
