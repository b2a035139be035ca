/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt remapping (5.1): vtd_remap_msi() of vtd.h, its table and its cache.
 */
#ifndef NIDUS_VIOMMU_IR_H
#define NIDUS_VIOMMU_IR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "viommu/spec.h"
#include "viommu/vtd.h"

#define VTD_IR_ENTRIES 65536 /* the largest table */
#define VTD_IR_SLOTS   256   /* of the interrupt entry cache: direct-mapped by the index */

/* A table entry (9.10), as it was read. */
struct vtd_irte {
	uint64_t low, high;
};
_Static_assert(sizeof(struct vtd_irte) == 16, "9.10: 128-bit entry");

/* Only entries that are present and well-formed are cached (6.2.5). */
struct vtd_ir_slot {
	bool valid;
	uint16_t index;
	struct vtd_irte irte;
};

struct vtd_ir {
	pthread_mutex_t lock; /* protects all of it; a leaf */
	bool enabled;	      /* GSTS.IRES */
	bool compatibility;   /* GSTS.CFIS */
	uint64_t table;	      /* IRTA as latched by SIRTP */
	struct vtd_ir_slot cache[VTD_IR_SLOTS];
};

int vtd_ir_init(struct vtd_unit *unit);
void vtd_ir_destroy(struct vtd_unit *unit);
void vtd_ir_reset(struct vtd_unit *unit);

/* unit->lock held. Each tells the machine by interrupts_changed(), if messages may become others.
 */
void vtd_ir_set_table(struct vtd_unit *unit, uint64_t irta);
void vtd_ir_enable(struct vtd_unit *unit, bool on);
void vtd_ir_set_compatibility(struct vtd_unit *unit, bool on);
/* Interrupt entry cache invalidation (6.5.2.7): 2^@order entries at @index, whose lower @order bits
 * are ignored; or all. */
void vtd_ir_invalidate(struct vtd_unit *unit, unsigned int index, unsigned int order);
void vtd_ir_invalidate_all(struct vtd_unit *unit);

/* What becomes of an interrupt request, and why. */
struct vtd_ir_answer {
	enum vtd_reason reason; /* VTD_OK: @msi is to be sent; otherwise the request is blocked */
	bool quiet;		/* FPD of the entry: a qualified fault is not recorded */
	uint16_t index;		/* of the table; 0 for the compatibility format */
	struct vtd_msi msi;
};

/*
 * Whoever sends messages by answers of vtd_remap_msi() asks and sends between vtd_dma_enter() and
 * vtd_dma_leave(): then none by an old answer is under way when an invalidation is complete.
 */

/* vtd_remap_msi() without its consequences: nothing is recorded and nothing counted. Any thread. */
void vtd_ir_remap(struct vtd_unit *unit, uint16_t source, const struct vtd_msi *request,
		  struct vtd_ir_answer *answer);

#endif
