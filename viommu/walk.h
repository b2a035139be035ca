/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page walks: first stage (3.6, walk_first.c), second stage (3.7, walk_second.c), and both (3.8).
 *
 * A walk has as many steps as the tables have levels, whatever they contain; a nested one at most
 * 5 * 6 + 5. A step is repeated when the guest changes the entry between its check and the update
 * of its flags, VTD_UPDATE_TRIES times at most.
 */
#ifndef NIDUS_VIOMMU_WALK_H
#define NIDUS_VIOMMU_WALK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "viommu/entries.h"
#include "viommu/iotlb.h"
#include "viommu/spec.h"
#include "viommu/vtd.h"

#define VTD_UPDATE_TRIES 16

/* With VTD_READ, beside enum vtd_access: no bytes are read, so write permission will do (ZLR). */
#define VTD_ZERO_LENGTH 16

/*
 * Translates @iova by the tables of @entry (FS, SS or nested) for an access (enum vtd_access bits),
 * sets A and D as the access needs and the entry asks, and fills in *@translation, which may permit
 * more than was asked. VTD_OK or the reason. @ats: a translation request (missing permissions are
 * no error as long as some access is possible; D is set only if write permission is granted and
 * wanted). Any thread; no locks.
 */
enum vtd_reason vtd_walk(struct vtd_unit *unit, const struct vtd_entry *entry, uint64_t iova,
			 unsigned int access, bool ats, struct vtd_translation *translation);

/* True if a byte of [address, address + len) is in the interrupt address range (3.14). */
static inline bool vtd_interrupt_range(uint64_t address, uint64_t len)
{
	return address < VTD_INTERRUPT_END && len > 0 &&
	       (address >= VTD_INTERRUPT_BASE || len > VTD_INTERRUPT_BASE - address);
}

/*
 * The largest naturally aligned block around @address, of at most 2^@shift bytes, without a byte of
 * the interrupt range; @address is not in it. The range being aligned itself, 2^20 bytes are
 * enough.
 */
static inline uint8_t vtd_outside_interrupts(uint64_t address, uint8_t shift)
{
	while (vtd_interrupt_range(address & ~(VTD_BIT(shift) - 1), VTD_BIT(shift)))
		shift--;
	return shift;
}

/* --- For the files of the walks alone --- */

/* What one walk asks. */
struct vtd_walk {
	struct vtd_unit *unit;
	const struct vtd_entry *entry;
	uint64_t address;    /* input of the stage */
	unsigned int access; /* enum vtd_access, VTD_ZERO_LENGTH */
	bool ats;
};

/* The reasons that a second-stage walk gives: they depend on what it is for. */
struct vtd_second_codes {
	enum vtd_reason width, root, access, reserved, read, write, execute, update;
	enum vtd_reason present; /* VTD_OK: as if a permission was missing */
};

enum vtd_reason vtd_walk_first(const struct vtd_walk *walk, struct vtd_translation *translation);
enum vtd_reason vtd_walk_second(const struct vtd_walk *walk, const struct vtd_second_codes *codes,
				struct vtd_translation *translation);

/*
 * Sets flags: @new for @old in the table entry at @gpa, at once. -EAGAIN if it is not @old any
 * more, -EFAULT if it cannot be reached.
 */
int vtd_update64(const struct vtd_unit *unit, uint64_t gpa, uint64_t old, uint64_t new);

/* The index of @address in a table of @level (1: the one of 4 KiB pages), in bytes. */
static inline uint64_t vtd_table_offset(uint64_t address, unsigned int level)
{
	return (address >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
}

static inline uint8_t vtd_level_shift(unsigned int level)
{
	return (uint8_t)(12 + 9 * (level - 1));
}

#endif
