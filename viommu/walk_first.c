/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first-stage walk (3.6), and, where a second stage lies beneath it, the nested one (3.8):
 * every address that the first stage uses or gives is then an input of the second.
 */
#include "viommu/unit.h"
#include "viommu/walk.h"

/* For the table at FSPTPTR, for those below it, and for what comes out. */
#define NESTED_CODES                                                                 \
	.root = VTD_SSS_ROOT_ACCESS, .access = VTD_SSS_ACCESS, .present = VTD_SSS_P, \
	.reserved = VTD_SSS_RESERVED, .execute = VTD_SGN_NX, .update = VTD_SSS_AD
static const struct vtd_second_codes root_codes = { NESTED_CODES, .width = VTD_SFS_SS_WIDTH,
						    .read = VTD_SFS_SS_ROOT_READ,
						    .write = VTD_SFS_SS_WRITE };
static const struct vtd_second_codes table_codes = { NESTED_CODES, .width = VTD_SFS_SS_WIDTH,
						     .read = VTD_SFS_SS_READ,
						     .write = VTD_SFS_SS_WRITE };
static const struct vtd_second_codes output_codes = { NESTED_CODES, .width = VTD_SGN_SS_WIDTH,
						      .read = VTD_SGN_READ,
						      .write = VTD_SGN_WRITE };

/* Where the walk is: @value is the entry of @level. */
struct step {
	unsigned int level;
	uint64_t address; /* of the entry, as the first stage has it */
	uint64_t gpa;	  /* the same in memory */
	uint64_t value;
	uint64_t all;		       /* AND of this entry and all above: R/W, U/S, EA */
	uint64_t some;		       /* OR of the same: XD */
	struct vtd_translation second; /* of the output, if nested */
};

static bool is_leaf(const struct step *step)
{
	return step->level == 1 || (step->level <= 3 && step->value & VTD_FS_PS);
}

static bool is_nested(const struct vtd_walk *walk)
{
	return walk->entry->pgtt == VTD_PGTT_NESTED;
}

static uint64_t output_of(const struct vtd_walk *walk, const struct step *step)
{
	uint64_t offset = VTD_BIT(vtd_level_shift(step->level)) - 1;

	return (step->value & VTD_FS_ADDR & ~offset) | (walk->address & offset);
}

static uint64_t reserved_bits(const struct vtd_unit *unit, const struct step *step)
{
	uint64_t bits = VTD_FS_ADDR & vtd_beyond_host(unit);

	if (step->level >= 4 || (step->level == 3 && !vtd_has_cap(unit, VTD_CAP_FS1GP)))
		bits |= VTD_FS_PS;
	/* Of the bits below a large page's address, the lowest is PAT. */
	if (step->level > 1 && is_leaf(step))
		bits |= (VTD_BIT(vtd_level_shift(step->level)) - 1) & VTD_FS_ADDR & ~VTD_BIT(12);
	return bits;
}

static bool canonical(const struct vtd_walk *walk)
{
	unsigned int unused = 64 - (walk->entry->fs_levels * 9 + 12);

	return (uint64_t)((int64_t)(walk->address << unused) >> unused) == walk->address;
}

/* --- Permissions (3.6.1) --- */

static bool may_write(const struct vtd_walk *walk, const struct step *step)
{
	return step->all & VTD_FS_RW || (walk->access & VTD_PRIVILEGED && !walk->entry->wpe);
}

static bool may_execute(const struct vtd_walk *walk, const struct step *step)
{
	/* Newer revisions, and drivers, leave NXE clear with XD set: then XD says nothing. */
	if (walk->entry->nxe && step->some & VTD_FS_XD)
		return false;
	return !(walk->access & VTD_PRIVILEGED && walk->entry->smep && step->all & VTD_FS_US);
}

static enum vtd_reason check(const struct vtd_walk *walk, const struct step *step)
{
	if (!(walk->access & VTD_PRIVILEGED) && !(step->all & VTD_FS_US))
		return VTD_SGN_US;
	if (walk->ats)
		return VTD_OK;
	if (walk->access & VTD_WRITE && !may_write(walk, step))
		return VTD_SGN_WRITE;
	if (walk->access & VTD_EXECUTE && !may_execute(walk, step))
		return VTD_SGN_NX;
	return VTD_OK;
}

/* --- Steps --- */

/* Finds the entry at step->address in memory; @access as the second stage is to see it. */
static enum vtd_reason locate(const struct vtd_walk *walk, struct step *step, unsigned int access)
{
	bool root = step->level == walk->entry->fs_levels;
	struct vtd_walk second = {
		.unit = walk->unit,
		.entry = walk->entry,
		.address = step->address,
		.access = access,
	};
	struct vtd_translation translation;
	enum vtd_reason reason;

	step->gpa = step->address;
	if (!is_nested(walk))
		return VTD_OK;
	reason = vtd_walk_second(&second, root ? &root_codes : &table_codes, &translation);
	if (!reason)
		step->gpa =
			translation.gpa | (step->address & (VTD_BIT(translation.page_shift) - 1));
	return reason;
}

/* Runs what comes out through the second stage. */
static enum vtd_reason translate_output(const struct vtd_walk *walk, struct step *step)
{
	struct vtd_walk second = {
		.unit = walk->unit,
		.entry = walk->entry,
		.address = output_of(walk, step),
		.access = walk->access,
		.ats = walk->ats,
	};

	if (!is_nested(walk))
		return VTD_OK;
	/* What the first stage refuses is not asked of the second. */
	if (!may_write(walk, step))
		second.access &= ~(unsigned int)VTD_WRITE;
	return vtd_walk_second(&second, &output_codes, &step->second);
}

static bool write_granted(const struct vtd_walk *walk, const struct step *step)
{
	return walk->access & VTD_WRITE && may_write(walk, step) &&
	       (!is_nested(walk) || step->second.permissions & VTD_TLB_WRITE);
}

/* Flags that are to be set and are not (3.6.2). */
static uint64_t missing_flags(const struct vtd_walk *walk, const struct step *step)
{
	uint64_t flags = VTD_FS_A;

	if (walk->entry->eafe)
		flags |= VTD_FS_EA;
	if (is_leaf(step) && write_granted(walk, step))
		flags |= VTD_FS_D;
	return flags & ~step->value;
}

/* Sets @flags in the entry. VTD_OK; the reason; or, in *@again, that the entry has changed. */
static enum vtd_reason mark(const struct vtd_walk *walk, struct step *step, uint64_t flags,
			    bool *again)
{
	enum vtd_reason reason;
	int rc;

	*again = false;
	if (!walk->entry->pwsnp)
		return VTD_SFS_AD_SNOOP;
	reason = locate(walk, step, VTD_READ | VTD_WRITE);
	if (reason)
		return reason;
	rc = vtd_update64(walk->unit, step->gpa, step->value, step->value | flags);
	*again = rc == -EAGAIN;
	return rc ? VTD_SFS_AD : VTD_OK;
}

/* Reads, checks and marks the entry at step->address. */
static enum vtd_reason take_step(const struct vtd_walk *walk, struct step *step)
{
	bool root = step->level == walk->entry->fs_levels, again = false;
	const uint64_t all = step->all, some = step->some;
	enum vtd_reason reason = VTD_OK;

	for (unsigned int tries = 0; tries < VTD_UPDATE_TRIES; tries++) {
		uint64_t flags;

		reason = locate(walk, step, VTD_READ);
		if (reason)
			return reason;
		if (vtd_load64(walk->unit, step->gpa, &step->value))
			return root ? VTD_SFS_ROOT_ACCESS : VTD_SFS_ACCESS;
		if (!(step->value & VTD_FS_P))
			return VTD_SFS_P;
		if (step->value & reserved_bits(walk->unit, step))
			return VTD_SFS_RESERVED;
		step->all = all & step->value;
		step->some = some | step->value;
		if (is_leaf(step)) {
			reason = check(walk, step);
			if (!reason)
				reason = translate_output(walk, step);
			if (reason)
				return reason;
		}
		flags = missing_flags(walk, step);
		if (!flags)
			return VTD_OK;
		reason = mark(walk, step, flags, &again);
		step->value |= flags;
		step->all = all & step->value;
		if (!again)
			return reason;
	}
	return reason;
}

/* --- The whole --- */

static void fill(const struct vtd_walk *walk, const struct step *step,
		 struct vtd_translation *translation)
{
	uint8_t permissions = VTD_TLB_READ | VTD_TLB_WRITE;
	uint8_t shift = vtd_level_shift(step->level);
	uint64_t output = output_of(walk, step);

	if (!walk->entry->nxe || !(step->some & VTD_FS_XD))
		permissions |= VTD_TLB_EXECUTE;
	if (step->value & VTD_FS_D)
		permissions |= VTD_TLB_DIRTY;
	if (is_nested(walk)) {
		permissions &= step->second.permissions;
		if (shift > step->second.page_shift)
			shift = step->second.page_shift;
		output = step->second.gpa | (output & (VTD_BIT(step->second.page_shift) - 1));
	}
	if (step->all & VTD_FS_US)
		permissions |= VTD_TLB_USER;
	if (step->all & VTD_FS_RW)
		permissions |= VTD_TLB_RW;
	if (step->all & VTD_FS_EA)
		permissions |= VTD_TLB_EXTENDED;
	if (step->value & VTD_FS_G)
		permissions |= VTD_TLB_GLOBAL;
	*translation = (struct vtd_translation){ .gpa = output & ~(VTD_BIT(shift) - 1),
						 .page_shift = shift,
						 .permissions = permissions };
}

enum vtd_reason vtd_walk_first(const struct vtd_walk *walk, struct vtd_translation *translation)
{
	struct step step = { .all = UINT64_MAX };
	uint64_t table = walk->entry->fs_root;

	if (!canonical(walk))
		return VTD_SGN_CANONICAL;
	for (step.level = walk->entry->fs_levels; step.level > 0; step.level--) {
		enum vtd_reason reason;

		step.address = table + vtd_table_offset(walk->address, step.level);
		reason = take_step(walk, &step);
		if (reason)
			return reason;
		if (is_leaf(&step))
			break;
		table = step.value & VTD_FS_ADDR;
	}
	fill(walk, &step, translation);
	return VTD_OK;
}
