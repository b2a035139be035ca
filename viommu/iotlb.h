/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOTLB: set-associative, read without locks.
 *
 * Entries are tagged by domain-id and, for first-stage and nested ones, by PASID. Invalidation of a
 * domain, of a PASID or of everything bumps a generation and touches no entry; of pages, clears the
 * sets concerned (or bumps the generation when there are too many pages).
 *
 * To fill it: vtd_iotlb_begin() before the tables are read, vtd_iotlb_insert() after; what was
 * overtaken by an invalidation is not inserted, or is stale from the start.
 */
#ifndef NIDUS_VIOMMU_IOTLB_H
#define NIDUS_VIOMMU_IOTLB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vtd_unit;

struct vtd_iotlb_key {
	uint16_t did;
	uint32_t pasid; /* VTD_NO_PASID for second-stage only */
	bool nested;
	uint64_t iova;
};

struct vtd_translation {
	uint64_t gpa;	     /* of the page */
	uint8_t page_shift;  /* 12 to 30: of the smaller of both stages' pages, or less: see walk.h
			      */
	uint8_t permissions; /* VTD_TLB_*: of both stages together */
};

enum vtd_tlb_permission {
	VTD_TLB_READ = 1,
	VTD_TLB_WRITE = 2, /* the second stage allows it (without one: set) */
	VTD_TLB_EXECUTE = 4,
	VTD_TLB_USER = 8,   /* first stage: U/S set at all levels */
	VTD_TLB_DIRTY = 16, /* D is set wherever it is kept: a write need not walk again */
	VTD_TLB_GLOBAL = 32,
	VTD_TLB_RW = 64, /* first stage: R/W set at all levels (without: supervisor writes need WPE
			    clear) */
	VTD_TLB_EXTENDED = 128, /* EA is set wherever it is kept */
};

/* Where a fill began. */
struct vtd_iotlb_fill {
	uint64_t stamp;
	uint64_t pages; /* count of page-selective invalidations */
};

#define VTD_IOTLB_SETS	14 /* bits */
#define VTD_IOTLB_WAYS	7
#define VTD_IOTLB_LOCKS 64

struct vtd_iotlb {
	struct vtd_iotlb_set *set; /* [1 << VTD_IOTLB_SETS] */
	struct vtd_recent *recent; /* recent.h: [VTD_REQUESTERS * VTD_RECENT_SLOTS] */
	pthread_mutex_t *lock;	   /* [VTD_IOTLB_LOCKS], striped over the sets; to change slots */
	/* All atomic. */
	uint64_t generation_all;
	uint64_t *generation_domain; /* VTD_GENERATIONS, by did */
	uint64_t *generation_nested; /* by did: nested entries, when a second stage changed */
	uint64_t *generation_pasid;  /* hashed by did and pasid */
	uint64_t page_invalidations;
	uint64_t epoch;	     /* any invalidation: vtd_epoch() */
	unsigned int shifts; /* bits of page sizes that were ever inserted */
};

int vtd_iotlb_init(struct vtd_unit *unit);
void vtd_iotlb_destroy(struct vtd_unit *unit);

/* Any thread; takes no lock and does not wait: a set that is being changed is a miss. */
bool vtd_iotlb_lookup(struct vtd_unit *unit, const struct vtd_iotlb_key *key,
		      struct vtd_translation *translation);
/* Any thread. An entry with the same key is replaced. */
struct vtd_iotlb_fill vtd_iotlb_begin(struct vtd_unit *unit, const struct vtd_iotlb_key *key);
void vtd_iotlb_insert(struct vtd_unit *unit, const struct vtd_iotlb_key *key,
		      const struct vtd_iotlb_fill *fill, const struct vtd_translation *translation);

/*
 * Invalidation (6.5.2.3, 6.5.2.4). @order: 2^@order pages of 4 KiB (0 to 64), naturally aligned at
 * @address (lower bits are ignored). Each bumps the epoch. What concerns a second stage concerns
 * the nested entries of its domain too. None waits for DMA under way: that is vtd_gate_wait().
 */
void vtd_iotlb_invalidate_all(struct vtd_unit *unit);
void vtd_iotlb_invalidate_domain(struct vtd_unit *unit, uint16_t did);
void vtd_iotlb_invalidate_pages(struct vtd_unit *unit, uint16_t did, uint64_t address,
				unsigned int order);
void vtd_iotlb_invalidate_pasid(struct vtd_unit *unit, uint16_t did, uint32_t pasid);
void vtd_iotlb_invalidate_pasid_pages(struct vtd_unit *unit, uint16_t did, uint32_t pasid,
				      uint64_t address, unsigned int order);

#endif
