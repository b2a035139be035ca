/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each requester used last: finished answers of vtd_translate(), in front of entry cache and
 * IOTLB.
 *
 * An answer is good as long as vtd_epoch() is what it was before the answer was looked for: any
 * invalidation at all drops all of them, at no cost, and the IOTLB, which is precise, answers next.
 * Slots are read as in entries.c. Writers do not wait for each other: who comes second gives up.
 */
#ifndef NIDUS_VIOMMU_RECENT_H
#define NIDUS_VIOMMU_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "viommu/unit.h"

#define VTD_RECENT_SLOTS 256 /* for each requester */

/* One cache line; all atomic. */
struct vtd_recent {
	uint64_t sequence;
	uint64_t epoch;
	uint64_t tag;	/* 4 KiB page of the IOVA, VTD_RECENT_USED, VTD_RECENT_PRIVILEGED */
	uint64_t owner; /* PASID, source-id; above, accesses that are not allowed;
			   VTD_RECENT_IDENTITY */
	uint64_t gpa;	/* of the 4 KiB page */
	uint64_t page;	/* bytes of the whole one */
	uint64_t unused[2];
};
_Static_assert(sizeof(struct vtd_recent) == 64, "one cache line");

#define VTD_RECENT_USED	      VTD_BIT(0)
#define VTD_RECENT_PRIVILEGED VTD_PRIVILEGED
#define VTD_RECENT_OWNER      VTD_BITS(47, 0)
#define VTD_RECENT_DENIED     VTD_BITS(50, 48) /* read, write, execute */
#define VTD_RECENT_IDENTITY   VTD_BIT(63)      /* pass-through */
#define VTD_RECENT_RWX	      (VTD_READ | VTD_WRITE | VTD_EXECUTE)

/* Requesters whose source-ids are alike share slots; that costs time only. */
static inline struct vtd_recent *vtd_recent_slot(const struct vtd_unit *unit,
						 const struct vtd_request *request)
{
	uint64_t page = (request->iova >> 12) + request->pasid * UINT64_C(37);
	uint64_t source = request->requester->source % VTD_REQUESTERS;

	return &unit->iotlb.recent[source * VTD_RECENT_SLOTS + page % VTD_RECENT_SLOTS];
}

static inline uint64_t vtd_recent_owner(const struct vtd_request *request)
{
	return request->pasid | (uint64_t)request->requester->source << 32;
}

static inline uint64_t vtd_recent_tag(const struct vtd_request *request)
{
	return (request->iova & ~UINT64_C(0xfff)) | VTD_RECENT_USED |
	       (request->access & VTD_RECENT_PRIVILEGED);
}

static inline uint64_t vtd_recent_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Answers an untranslated request, if it can. */
static inline bool vtd_recent_find(const struct vtd_unit *unit, const struct vtd_request *request,
				   uint64_t epoch, struct vtd_result *result)
{
	const struct vtd_recent *slot = vtd_recent_slot(unit, request);
	uint64_t sequence = vtd_recent_load(&slot->sequence), iova = request->iova;
	uint64_t owner, gpa, page, left;

	if (vtd_recent_load(&slot->epoch) != epoch ||
	    vtd_recent_load(&slot->tag) != vtd_recent_tag(request))
		return false;
	owner = vtd_recent_load(&slot->owner);
	if ((owner & VTD_RECENT_OWNER) != vtd_recent_owner(request) ||
	    owner & vtd_put(request->access, VTD_RECENT_DENIED))
		return false;
	gpa = vtd_recent_load(&slot->gpa);
	page = vtd_recent_load(&slot->page);
	if (sequence & 1 || __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) != sequence)
		return false;
	left = page - (iova & (page - 1));
	result->gpa = gpa | (iova & 0xfff);
	result->len = request->len < left ? request->len : left;
	result->page = page;
	result->permitted = request->access;
	result->global = false;
	result->untranslated_only = false;
	vtd_count_fast(&request->requester->counters,
		       owner & VTD_RECENT_IDENTITY ? VTD_COUNT_PASS_THROUGH : VTD_COUNT_IOTLB_HITS);
	return true;
}

/*
 * Keeps @result of @request. @allowed of enum vtd_access: what any request like it may do. @epoch:
 * from before the result was looked for.
 */
static inline void vtd_recent_keep(const struct vtd_unit *unit, const struct vtd_request *request,
				   uint64_t epoch, const struct vtd_result *result,
				   unsigned int allowed, bool identity)
{
	struct vtd_recent *slot = vtd_recent_slot(unit, request);
	uint64_t sequence = __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED);

	if (sequence & 1 || !__atomic_compare_exchange_n(&slot->sequence, &sequence, sequence + 1,
							 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&slot->epoch, epoch, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->tag, vtd_recent_tag(request), __ATOMIC_RELEASE);
	__atomic_store_n(&slot->owner,
			 vtd_recent_owner(request) |
				 vtd_put(~(uint64_t)allowed, VTD_RECENT_DENIED) |
				 (identity ? VTD_RECENT_IDENTITY : 0),
			 __ATOMIC_RELEASE);
	__atomic_store_n(&slot->gpa, result->gpa & ~UINT64_C(0xfff), __ATOMIC_RELEASE);
	__atomic_store_n(&slot->page, result->page, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->sequence, sequence + 2, __ATOMIC_RELEASE);
}

#endif
