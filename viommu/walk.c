/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page walks, whichever the entry asks for, and what is common to them; see walk.h.
 */
#include "viommu/walk.h"

#include "viommu/unit.h"

/* Legacy mode knows no difference between "not present" and "not permitted". */
static const struct vtd_second_codes legacy_codes = {
	.width = VTD_LGN_WIDTH,
	.root = VTD_LCT_INVALID, /* SSPTPTR is wrong, says 7.1.3 */
	.access = VTD_LSS_ACCESS,
	.reserved = VTD_LSS_RESERVED,
	.read = VTD_LGN_READ,
	.write = VTD_LGN_WRITE,
	.execute = VTD_LGN_READ,
	.present = VTD_OK,
};
static const struct vtd_second_codes scalable_codes = {
	.width = VTD_SGN_WIDTH,
	.root = VTD_SSS_ROOT_ACCESS,
	.access = VTD_SSS_ACCESS,
	.reserved = VTD_SSS_RESERVED,
	.read = VTD_SGN_READ,
	.write = VTD_SGN_WRITE,
	.execute = VTD_SGN_NX,
	.update = VTD_SSS_AD,
	.present = VTD_SSS_P,
};

int vtd_update64(const struct vtd_unit *unit, uint64_t gpa, uint64_t old, uint64_t new)
{
	uint64_t *at = vtd_ptr(unit, gpa, sizeof(*at));

	if (!at)
		return -EFAULT;
	return __atomic_compare_exchange_n(at, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
		       ? 0
		       : -EAGAIN;
}

enum vtd_reason vtd_walk(struct vtd_unit *unit, const struct vtd_entry *entry, uint64_t iova,
			 unsigned int access, bool ats, struct vtd_translation *translation)
{
	struct vtd_walk walk = {
		.unit = unit, .entry = entry, .address = iova, .access = access, .ats = ats
	};
	enum vtd_reason reason;
	uint64_t gpa;

	if (entry->pgtt == VTD_PGTT_SS)
		reason = vtd_walk_second(&walk, entry->legacy ? &legacy_codes : &scalable_codes,
					 translation);
	else
		reason = vtd_walk_first(&walk, translation);
	if (reason)
		return reason;
	gpa = translation->gpa | (iova & (VTD_BIT(translation->page_shift) - 1));
	if (vtd_interrupt_range(gpa, 1))
		return entry->legacy ? VTD_LGN_INTERRUPT : VTD_SGN_INTERRUPT;
	/* A page that has the range in it works where it is not. */
	translation->page_shift = vtd_outside_interrupts(gpa, translation->page_shift);
	translation->gpa = gpa & ~(VTD_BIT(translation->page_shift) - 1);
	return VTD_OK;
}
