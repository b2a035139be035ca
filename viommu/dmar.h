/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMAR table (8): tells a guest of all units, what is behind which, and of its reserved memory.
 */
#ifndef NIDUS_VIOMMU_DMAR_H
#define NIDUS_VIOMMU_DMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DMAR_SCOPES 64
#define DMAR_UNITS  16
#define DMAR_RMRRS  8

struct dmar_unit {
	uint64_t base;	  /* GPA of its registers */
	bool include_all; /* INCLUDE_PCI_ALL: the unit of everything without one; at most one unit
			   */
	bool ioapic;	  /* the IOAPIC is behind it */
	unsigned int scope_count;
	uint16_t scope[DMAR_SCOPES]; /* source-ids of endpoints; not with include_all */
};

struct dmar_rmrr {
	uint64_t base, end; /* GPA, end inclusive */
	unsigned int scope_count;
	uint16_t scope[DMAR_SCOPES];
};

struct dmar_config {
	unsigned int host_bits;	  /* width of guest-physical addresses */
	bool interrupt_remapping; /* by all units */
	bool ats;		  /* an ATSR for all ports, and a SATC for the endpoints below */
	uint16_t ioapic_source;	  /* source-id of the IOAPIC */
	uint8_t ioapic_id;
	unsigned int unit_count;
	struct dmar_unit unit[DMAR_UNITS];
	unsigned int satc_count;
	uint16_t satc[DMAR_SCOPES]; /* integrated endpoints with a device-TLB */
	unsigned int rmrr_count;
	struct dmar_rmrr rmrr[DMAR_RMRRS];
};

/*
 * Writes the body of the table, everything after the 36 bytes of its ACPI header, to @body. Returns
 * its size in bytes, or 0 if @capacity is too small. The unit with INCLUDE_PCI_ALL comes after the
 * others, wherever it is in @config, as 8.3 asks.
 */
size_t dmar_build(const struct dmar_config *config, uint8_t *body, size_t capacity);

#endif
