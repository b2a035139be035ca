/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual commands (VCMD, revision 3.x of the specification): a guest asks for PASIDs. Only Linux
 * before 6.3 uses them.
 */
#ifndef NIDUS_VIOMMU_VCMD_H
#define NIDUS_VIOMMU_VCMD_H

#include <stdint.h>

struct vtd_unit;

struct vtd_vcmd_state {
	uint64_t response;   /* VCRSP */
	uint64_t *allocated; /* a bitmap of VTD_PASID_BITS; NULL: virtual commands are off */
	unsigned int count;
	uint32_t next;
};

/* All with unit->lock held. */
int vtd_vcmd_init(struct vtd_unit *unit);
void vtd_vcmd_destroy(struct vtd_unit *unit);
void vtd_vcmd_reset(struct vtd_unit *unit);
void vtd_vcmd_write(struct vtd_unit *unit, uint64_t value);

#endif
