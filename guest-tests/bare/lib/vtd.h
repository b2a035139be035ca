/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VT-d unit as software drives it: commands, the invalidation queue, faults, and the tables in
 * memory. Everything can be written wrong too: the layouts are those of viommu/spec.h.
 */
#ifndef BARE_VTD_H
#define BARE_VTD_H

#include "lib/base.h"
#include "lib/cpu.h"
#include "viommu/spec.h"

#define VTD_UNIT_BASE 0xfed90000UL /* of the first unit */
#define VTD_SOON_US   2000000
#define VTD_IQ_PAGES  2 /* log2 of the pages of the queue: see vtd_queue_start() */

struct vtd {
	uintptr_t base;
	uint64_t cap, ecap;
	bool wide; /* descriptors of 256 bits */
	uint8_t *queue;
	uint32_t tail; /* bytes */
	volatile uint32_t *status;
	uint32_t ticket; /* of the last wait descriptor */
	uint64_t *root;	 /* see vtd_new_root() */
};

/* @base: of its registers. */
void vtd_open(struct vtd *vtd, uintptr_t base);

static inline uint32_t vtd_get32(const struct vtd *vtd, unsigned int reg)
{
	return read32(vtd->base + reg);
}

static inline uint64_t vtd_get64(const struct vtd *vtd, unsigned int reg)
{
	return read64(vtd->base + reg);
}

static inline void vtd_set32(const struct vtd *vtd, unsigned int reg, uint32_t value)
{
	write32(vtd->base + reg, value);
}

static inline void vtd_set64(const struct vtd *vtd, unsigned int reg, uint64_t value)
{
	write64(vtd->base + reg, value);
}

/* Sets or clears one bit of GCMD and waits for GSTS. False if that does not follow. */
bool vtd_command(const struct vtd *vtd, uint64_t bit, bool on);

/* As after power-on, as far as software can: everything off, faults cleared, events masked. */
void vtd_quiet(struct vtd *vtd);

/* --- The invalidation queue: 4 pages --- */

/* Sets up an empty queue of descriptors of 256 or 128 bits and turns it on. */
bool vtd_queue_start(struct vtd *vtd, bool wide);
unsigned int vtd_desc_size(const struct vtd *vtd);

/* Writes a descriptor at the tail; vtd_queue_go() tells the unit. */
void vtd_queue_add(struct vtd *vtd, const struct vtd_desc *desc);
void vtd_queue_go(const struct vtd *vtd);

/* Adds a wait descriptor with status write, and waits for it. */
bool vtd_queue_sync(struct vtd *vtd);

/* Forgets everything that the unit may have cached. False if the queue does not come through. */
bool vtd_flush(struct vtd *vtd);

/* --- Faults --- */

struct vtd_fault {
	uint64_t address; /* page */
	uint8_t reason;
	uint16_t source;
	uint32_t pasid;
	bool has_pasid, is_read, is_page_request, is_execute, is_privileged;
};

/* The next recorded one, which is cleared. False if there is none. */
bool vtd_take_fault(const struct vtd *vtd, struct vtd_fault *fault);
void vtd_clear_faults(const struct vtd *vtd);

/* --- Events: the unit's own interrupts. @control is VTD_FECTL, VTD_IECTL or VTD_PECTL --- */

/* To @vector of this CPU, and masked or not. */
void vtd_event_set(const struct vtd *vtd, unsigned int control, uint8_t vector);
void vtd_event_mask(const struct vtd *vtd, unsigned int control, bool masked);

/* --- Tables --- */

/* A fresh, empty root table; in force by vtd_set_root(). */
void vtd_new_root(struct vtd *vtd);

/* Writes RTADDR, and SRTP. Everything is flushed if the queue runs. */
bool vtd_set_root(struct vtd *vtd, enum vtd_ttm mode);

/* The context entry of @devfn of bus 0: two words in legacy mode, four in scalable mode. */
uint64_t *vtd_context(struct vtd *vtd, unsigned int devfn, enum vtd_ttm mode);

/* Legacy: a present entry of domain 1 with table @root. */
void vtd_context_set(struct vtd *vtd, unsigned int devfn, enum vtd_tt type, enum vtd_aw width,
		     uintptr_t root);

/* Scalable: a present entry with a PASID directory, if there is none; with @flags. */
void vtd_sm_context_set(struct vtd *vtd, unsigned int devfn, uint64_t flags);

/* The eight words of the PASID entry @pasid. Directory and table are made as needed. */
uint64_t *vtd_pasid_entry(struct vtd *vtd, unsigned int devfn, uint32_t pasid);

/* Presents an entry: words of vtd_pasid_entry(), table roots by type, domain @did. */
void vtd_pasid_set(uint64_t *entry, enum vtd_pgtt type, uintptr_t first, uintptr_t second,
		   uint16_t did);

/* True if the unit has entries of @type, and tables of 48 bits where those need them. */
bool vtd_has_type(const struct vtd *vtd, enum vtd_pgtt type);

/* The level that a page of @size bytes (4 KiB, 2 MiB, 1 GiB) is mapped at. */
unsigned int vtd_level_of(uint64_t size);

/*
 * Maps one page of @size bytes in a table of @levels. @leaf are the flags of the entry and @above
 * those of the tables, other than addresses. Returns the entry.
 */
uint64_t *vtd_map(uintptr_t root, unsigned int levels, uint64_t iova, uint64_t gpa, uint64_t size,
		  uint64_t leaf, uint64_t above);

/* What is usual: read, write, and user for the first stage. */
#define VTD_FS_ALL (VTD_FS_P | VTD_FS_RW | VTD_FS_US)
#define VTD_SS_ALL (VTD_SS_R | VTD_SS_W)

/* A second stage of 48 bits that maps the first @bytes to themselves, in pages of 2 MiB. */
uintptr_t vtd_identity(uint64_t bytes);

#endif
