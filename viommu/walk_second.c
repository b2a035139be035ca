/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second-stage walk (3.7): from an IOVA, or from an address that the first stage gave or uses
 * itself, to a guest-physical address.
 */
#include "viommu/unit.h"
#include "viommu/walk.h"

/* Where the walk is: @value is the entry of @level at @gpa. */
struct step {
	unsigned int level;
	uint64_t gpa, value;
	uint8_t permissions; /* VTD_TLB_*, of this entry and all above */
};

static bool is_leaf(const struct step *step)
{
	return step->level == 1 || step->value & VTD_SS_PS;
}

static bool large_supported(const struct vtd_unit *unit, unsigned int level)
{
	return (level == 2 && vtd_has_cap(unit, VTD_CAP_SSLPS2M)) ||
	       (level == 3 && vtd_has_cap(unit, VTD_CAP_SSLPS1G));
}

static uint64_t reserved_bits(const struct vtd_unit *unit, const struct step *step)
{
	uint64_t bits = (VTD_SS_ADDR & vtd_beyond_host(unit)) | VTD_SS_TM;

	if (step->level > 1 && !large_supported(unit, step->level))
		bits |= VTD_SS_PS;
	if (!is_leaf(step) || !vtd_has_ecap(unit, VTD_ECAP_SC))
		bits |= VTD_SS_SNP;
	if (is_leaf(step))
		bits |= (VTD_BIT(vtd_level_shift(step->level)) - 1) & VTD_SS_ADDR;
	return bits;
}

static uint8_t permissions_of(const struct vtd_entry *entry, uint64_t value)
{
	/* Without SSEE, and in legacy mode, what may be read may be executed. */
	uint64_t execute = entry->ssee ? VTD_SS_X : VTD_SS_R;

	return (uint8_t)((value & VTD_SS_R ? VTD_TLB_READ : 0) |
			 (value & VTD_SS_W ? VTD_TLB_WRITE : 0) |
			 (value & execute ? VTD_TLB_EXECUTE : 0));
}

static enum vtd_reason check(const struct vtd_walk *walk, const struct vtd_second_codes *codes,
			     uint8_t permissions)
{
	uint8_t read = walk->access & VTD_ZERO_LENGTH ? VTD_TLB_READ | VTD_TLB_WRITE : VTD_TLB_READ;

	/* A translation request is answered with what there is, if that is of any use. */
	if (walk->ats) {
		uint8_t useful = VTD_TLB_READ;

		if (walk->access & VTD_WRITE)
			useful |= VTD_TLB_WRITE;
		return permissions & useful ? VTD_OK : codes->read;
	}
	if (walk->access & VTD_WRITE && !(permissions & VTD_TLB_WRITE))
		return codes->write;
	if (walk->access & VTD_READ && !(permissions & read))
		return codes->read;
	if (walk->access & VTD_EXECUTE && !(permissions & VTD_TLB_EXECUTE))
		return codes->execute;
	return VTD_OK;
}

/* A and D that are to be set and are not. */
static uint64_t missing_flags(const struct vtd_walk *walk, const struct step *step)
{
	uint64_t flags = 0;

	if (!walk->entry->ssade)
		return 0;
	flags = VTD_SS_A;
	if (is_leaf(step) && walk->access & VTD_WRITE && step->permissions & VTD_TLB_WRITE)
		flags |= VTD_SS_D;
	return flags & ~step->value;
}

/* Not readable and not writable. */
static enum vtd_reason not_present(const struct vtd_walk *walk,
				   const struct vtd_second_codes *codes)
{
	if (codes->present)
		return codes->present;
	return walk->access & VTD_WRITE && !walk->ats ? codes->write : codes->read;
}

/* Reads, checks and marks the entry at step->gpa. @above: permissions of the levels above. */
static enum vtd_reason take_step(const struct vtd_walk *walk, const struct vtd_second_codes *codes,
				 struct step *step)
{
	const struct vtd_entry *entry = walk->entry;
	bool root = step->level == entry->ss_levels;
	uint8_t above = step->permissions;

	for (unsigned int tries = 0; tries < VTD_UPDATE_TRIES; tries++) {
		enum vtd_reason reason;
		uint64_t flags;
		int rc;

		if (vtd_load64(walk->unit, step->gpa, &step->value))
			return root ? codes->root : codes->access;
		if (!(step->value & (VTD_SS_R | VTD_SS_W)))
			return not_present(walk, codes);
		if (step->value & reserved_bits(walk->unit, step))
			return codes->reserved;
		step->permissions = above & permissions_of(entry, step->value);
		reason = is_leaf(step) ? check(walk, codes, step->permissions) : VTD_OK;
		if (reason)
			return reason;
		flags = missing_flags(walk, step);
		if (!flags)
			return VTD_OK;
		if (!entry->pwsnp)
			return codes->update;
		rc = vtd_update64(walk->unit, step->gpa, step->value, step->value | flags);
		step->value |= flags;
		if (!rc)
			return VTD_OK;
		if (rc != -EAGAIN)
			return codes->update;
	}
	return codes->update;
}

/* Widths are of the table and of the unit: the smaller counts. */
static bool beyond_width(const struct vtd_walk *walk)
{
	unsigned int bits = walk->entry->ss_levels * 9 + 12;
	unsigned int most = (unsigned int)vtd_get(walk->unit->cap, VTD_CAP_MGAW) + 1;

	return walk->address >> (bits < most ? bits : most);
}

enum vtd_reason vtd_walk_second(const struct vtd_walk *walk, const struct vtd_second_codes *codes,
				struct vtd_translation *translation)
{
	const struct vtd_entry *entry = walk->entry;
	struct step step = { .permissions = VTD_TLB_READ | VTD_TLB_WRITE | VTD_TLB_EXECUTE };
	uint64_t table = entry->ss_root;
	uint8_t shift;

	if (beyond_width(walk))
		return codes->width;
	for (step.level = entry->ss_levels; step.level > 0; step.level--) {
		enum vtd_reason reason;

		step.gpa = table + vtd_table_offset(walk->address, step.level);
		reason = take_step(walk, codes, &step);
		if (reason)
			return reason;
		table = step.value & VTD_SS_ADDR;
		if (is_leaf(&step))
			break;
	}
	shift = vtd_level_shift(step.level);
	*translation = (struct vtd_translation){
		.gpa = table,
		.page_shift = shift,
		.permissions = step.permissions | VTD_TLB_USER | VTD_TLB_RW | VTD_TLB_EXTENDED,
	};
	/* Where no D is kept there is none to set. */
	if (!entry->ssade || step.value & VTD_SS_D)
		translation->permissions |= VTD_TLB_DIRTY;
	return VTD_OK;
}
