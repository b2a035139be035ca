/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Root, context and PASID entries (9.1 to 9.6): read from guest memory, checked, decoded
 * (decode.c), and kept in the context and PASID caches, which are one cache of decoded results here
 * (entries.c).
 */
#ifndef NIDUS_VIOMMU_ENTRIES_H
#define NIDUS_VIOMMU_ENTRIES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "viommu/spec.h"
#include "viommu/vtd.h"

/*
 * How requests of one (requester, PASID) are translated. Without holes, for it is cached and
 * compared by the word.
 */
struct vtd_entry {
	uint64_t fs_root, ss_root; /* GPA (fs_root: an input of the second stage, if nested) */
	uint32_t pasid;		   /* of the PASID table: RID_PASID for requests without */
	uint16_t did;
	uint8_t pgtt;	   /* enum vtd_pgtt; legacy: SS or PT */
	uint8_t fs_levels; /* 4 or 5; FS and nested */
	uint8_t ss_levels; /* 3, 4 or 5; SS and nested */
	bool legacy : 1;
	bool fpd : 1;	   /* faults are not recorded */
	bool dte : 1;	   /* device-TLB requests are allowed */
	bool pre : 1;	   /* page requests are allowed */
	bool rid_priv : 1; /* requests without PASID are privileged */
	bool sre : 1;	   /* of the PASID entry, as all below */
	bool ere : 1;
	bool wpe : 1;
	bool nxe : 1;
	bool smep : 1;
	bool eafe : 1;
	bool ssade : 1;
	bool ssee : 1;
	bool pwsnp : 1;
	bool pgsnp : 1;
	bool emte : 1;
	uint8_t unused[5];
};
#define VTD_ENTRY_WORDS 4
_Static_assert(sizeof(struct vtd_entry) == 8 * VTD_ENTRY_WORDS, "copied by the word");

#define VTD_ENTRY_SETS	1024
#define VTD_ENTRY_WAYS	2
#define VTD_GENERATIONS 1024 /* counters that domains, and (domain, PASID), are hashed to */

/* The cache: for entries.c alone. */
struct vtd_entries {
	struct vtd_entry_slot *slot; /* [VTD_ENTRY_SETS * VTD_ENTRY_WAYS] */
	struct vtd_entry_use *use;   /* the same; counters, atomic */
	pthread_mutex_t lock;	     /* to change a slot; a leaf */
	/* All atomic. */
	uint64_t changes; /* invalidations of any kind, counted before they take effect */
	uint64_t epoch;	  /* the same, counted when they have: see vtd_epoch() */
	uint64_t generation_all;
	uint64_t *generation_source; /* by requester index */
	uint64_t *generation_domain; /* VTD_GENERATIONS, hashed */
};

int vtd_entries_init(struct vtd_unit *unit);
void vtd_entries_destroy(struct vtd_unit *unit);

/*
 * The entry for requests of @requester with @pasid (or VTD_NO_PASID), from the cache or from
 * memory. VTD_OK, or the reason why there is none; then entry->fpd says whether it is to be
 * recorded, and entry->legacy which mode it was. TTM abort is VTD_RTA_INVALID. Not called while
 * translation is off. Any thread; no lock is taken if it is cached.
 */
enum vtd_reason vtd_entry_get(struct vtd_unit *unit, struct vtd_requester *requester,
			      uint32_t pasid, struct vtd_entry *entry);
/* The same from the cache alone; false if it is not there. */
bool vtd_entry_cached(struct vtd_unit *unit, const struct vtd_requester *requester, uint32_t pasid,
		      struct vtd_entry *entry);
/* The same past the cache: for host.c, which needs to know what memory says now. */
enum vtd_reason vtd_entry_read(struct vtd_unit *unit, struct vtd_requester *requester,
			       uint32_t pasid, struct vtd_entry *entry);
/*
 * The same, root and context entry alone: what is needed to let a translated request through. Of
 * *@entry, only fpd, dte, pre and legacy are valid then.
 */
enum vtd_reason vtd_entry_read_context(struct vtd_unit *unit, struct vtd_requester *requester,
				       uint32_t pasid, struct vtd_entry *entry);
/*
 * The PASID directory that requests of @source use: its GPA, and how many PASIDs it has room for,
 * a power of two. 0: they have none, or may not use it.
 */
uint32_t vtd_pasid_directory(const struct vtd_unit *unit, uint16_t source, uint64_t *gpa);

/*
 * The number of invalidations of entries so far. A result that comes from an entry must not be
 * cached if it changed since before the entry was asked for.
 */
static inline uint64_t vtd_entries_changes(const struct vtd_entries *entries)
{
	return __atomic_load_n(&entries->changes, __ATOMIC_ACQUIRE);
}

/* Counts a walk, page request or fault (VTD_COUNT_*) of a cached entry, for vtd_each_pasid(). */
void vtd_entry_count(struct vtd_unit *unit, const struct vtd_requester *requester, uint32_t pasid,
		     enum vtd_counter which);

/* Context-cache invalidation (6.5.2.1); @source and @mask for devices: FM, 0 to 3. */
void vtd_entries_invalidate_all(struct vtd_unit *unit);
void vtd_entries_invalidate_domain(struct vtd_unit *unit, uint16_t did);
void vtd_entries_invalidate_source(struct vtd_unit *unit, uint16_t source, unsigned int mask);
/* PASID-cache invalidation (6.5.2.2), one PASID of a domain. */
void vtd_entries_invalidate_pasid(struct vtd_unit *unit, uint16_t did, uint32_t pasid);

#endif
