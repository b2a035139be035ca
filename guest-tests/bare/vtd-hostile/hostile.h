/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does to its VT-d unit whatever a guest must not, at random and on all CPUs at once,
 * while DMA, page requests and interrupts run, for a bounded time. The VM outlives it, and no
 * memory changes that nobody was told to write.
 *
 * Words: those of lib/hammer.h; deadly=1: no rules any more, so that DMA may go anywhere and the
 * guest may end itself.
 *
 * The rules. A random number is a fine table entry, so everything that the unit could take for one
 * is made such that it leads
 *
 *   into the arena, to registers, to beyond all RAM, or to the first megabyte, where small numbers
 *   lead.
 *
 * The arena holds tables and data mixed: whatever a device copies there is made by the same rules.
 * It has no page aligned to 2 MiB, so that no entry makes a large page of it. What must not be
 * written by devices lies outside of it: descriptor rings (entries lead to them read-only), the
 * queues of the unit and the interrupt remapping table, whose entries carry no delivery mode that
 * would stop a CPU. All the rest is watched.
 */
#ifndef BARE_VTD_HOSTILE_H
#define BARE_VTD_HOSTILE_H

#include "lib/edu.h"
#include "lib/hammer.h"
#include "lib/sdma.h"
#include "lib/vtd.h"

#define ARENA_PAGES 96
#define RINGS	    4 /* pages: one for each queue of sdma that is used */
#define IQ_PAGES    4
#define PRQ_PAGES   8
#define SOME_PASIDS 4
#define COPY_GUARD  8 /* pages behind the arena: a transfer that starts in it may end there */

struct world {
	bool deadly;
	uint64_t arena;		      /* its first byte; all in one 2 MiB */
	uint64_t rings, iq, prq, irt; /* behind it, in this order */
	uint64_t low_end;
	/* Of the tables planted last: RTADDR, the PASID table or 0, and what its entries lead to.
	 */
	uint64_t root, pasids, top;
	struct vtd vtd;
	bool has_edu, has_sdma;
	struct edu edu;
	struct sdma sdma;
	struct spinlock queue_lock; /* protects the tail of the invalidation queue */
	struct spinlock edu_lock;   /* who programs edu's MSI */
	struct spinlock sdma_lock;  /* who changes sdma's configuration space */
	struct spinlock ring_lock[RINGS];
	struct sdma_queue queue[RINGS];
};

extern struct world world;

/* --- Numbers by the rules (rules.c) --- */

/* A page of the arena. */
uint64_t arena_page(struct hammer *h);
/* A page that is not our memory to give. */
uint64_t foreign_page(struct hammer *h);
/* What may stand anywhere in the arena. */
uint64_t any_word(struct hammer *h);
/* An address for DMA of @len bytes, a multiple of 8. */
uint64_t any_iova(struct hammer *h, uint64_t len);

/* --- What is done --- */

void hammer_registers(struct hammer *h);
void hammer_queue(struct hammer *h);
void hammer_tables(struct hammer *h);
void hammer_entries(struct hammer *h);
void hammer_interrupts(struct hammer *h);
void hammer_edu(struct hammer *h);
void hammer_sdma(struct hammer *h);
void hammer_function(struct hammer *h);

/* Tables that lead somewhere, for both devices, and a unit that uses them. */
void plant_tables(struct hammer *h);

/* Tells the unit, mostly by its rules, that an entry of @pasid has changed. */
void tell_entry(struct hammer *h, uint32_t pasid);

/* Finds sdma's registers again after what was done to its configuration space. */
void open_function(void);
void revive_function(void);

#endif
