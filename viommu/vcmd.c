/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vcmd.h.
 */
#include "viommu/vcmd.h"
#include "viommu/unit.h"

#include <stdlib.h>

#define WORD_BITS 64
#define PASIDS	  (1u << VTD_PASID_BITS)

int vtd_vcmd_init(struct vtd_unit *unit)
{
	if (!vtd_has_ecap(unit, VTD_ECAP_VCS))
		return 0;
	unit->vcmd.allocated = calloc(PASIDS / WORD_BITS, sizeof(*unit->vcmd.allocated));
	return unit->vcmd.allocated ? 0 : -ENOMEM;
}

void vtd_vcmd_destroy(struct vtd_unit *unit)
{
	free(unit->vcmd.allocated);
	unit->vcmd.allocated = NULL;
}

void vtd_vcmd_reset(struct vtd_unit *unit)
{
	struct vtd_vcmd_state *vcmd = &unit->vcmd;

	vcmd->response = 0;
	vcmd->count = 0;
	vcmd->next = 1;
	for (unsigned int i = 0; vcmd->allocated && i < PASIDS / WORD_BITS; i++)
		vcmd->allocated[i] = 0;
}

static uint64_t *word_of(struct vtd_vcmd_state *vcmd, uint32_t pasid)
{
	return &vcmd->allocated[pasid / WORD_BITS];
}

static uint64_t bit_of(uint32_t pasid)
{
	return UINT64_C(1) << pasid % WORD_BITS;
}

/*
 * PASIDs are given out in turn, so that one that was freed is not soon somebody else's; 0 is never,
 * for it is the RID_PASID of every driver. At most pasid_quota + 2 steps: no more can be taken.
 */
static uint64_t allocate(struct vtd_unit *unit)
{
	struct vtd_vcmd_state *vcmd = &unit->vcmd;
	uint32_t limit = UINT32_C(2) << vtd_get(unit->ecap, VTD_ECAP_PSS);
	uint32_t pasid = vcmd->next;

	if (vcmd->count >= unit->config.pasid_quota || vcmd->count >= limit - 1)
		return vtd_put(VTD_VCMD_NO_PASID, VTD_VCRSP_SC);
	while (pasid >= limit || !pasid || *word_of(vcmd, pasid) & bit_of(pasid))
		pasid = pasid >= limit ? 1 : pasid + 1;
	*word_of(vcmd, pasid) |= bit_of(pasid);
	vcmd->count++;
	vcmd->next = pasid + 1;
	return vtd_put(pasid, VTD_VCRSP_RSLT);
}

static uint64_t release(struct vtd_unit *unit, uint64_t operand)
{
	struct vtd_vcmd_state *vcmd = &unit->vcmd;
	uint32_t pasid = (uint32_t)operand;

	if (operand >= PASIDS || !(*word_of(vcmd, pasid) & bit_of(pasid)))
		return vtd_put(VTD_VCMD_BAD_PASID, VTD_VCRSP_SC);
	*word_of(vcmd, pasid) &= ~bit_of(pasid);
	vcmd->count--;
	return 0;
}

void vtd_vcmd_write(struct vtd_unit *unit, uint64_t value)
{
	if (!unit->vcmd.allocated)
		return;
	switch (vtd_get(value, VTD_VCMD_CMD)) {
	case VTD_VCMD_ALLOC_PASID:
		unit->vcmd.response = allocate(unit);
		break;
	case VTD_VCMD_FREE_PASID:
		unit->vcmd.response = release(unit, vtd_get(value, VTD_VCMD_OPERAND));
		break;
	default: /* no such command: nothing happens */
		break;
	}
}
