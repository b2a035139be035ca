/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the root table to one decoded entry (9.1 to 9.6): each table entry is read once, word by
 * word, and its copy is checked: present, reserved bits, values that this unit supports.
 *
 * Bits of features that ECAP does not report are reserved, as the specification has it.
 */
#include "viommu/entries.h"
#include "viommu/unit.h"

#define ROOT_BYTES	  16
#define CONTEXT_BYTES	  16
#define SM_CONTEXT_BYTES  32
#define SM_CONTEXTS	  128 /* of one of the two tables of a bus */
#define PASIDDIR_BYTES	  8
#define PASID_BYTES	  64
#define PASIDDIR_MIN_BITS 7 /* a directory has 2^(PDTS + 7) entries */

/* What one kind of entry can be wrong with. */
struct codes {
	enum vtd_reason access, present, reserved;
};

static const struct codes root_codes[] = {
	[false] = { VTD_SRT_ACCESS, VTD_SRT_P, VTD_SRT_RESERVED },
	[true] = { VTD_LRT_ACCESS, VTD_LRT_P, VTD_LRT_RESERVED },
};
static const struct codes context_codes[] = {
	[false] = { VTD_SCT_ACCESS, VTD_SCT_P, VTD_SCT_RESERVED },
	[true] = { VTD_LCT_ACCESS, VTD_LCT_P, VTD_LCT_RESERVED },
};

/* Reads @count words of an entry. 0 or -EFAULT. */
static int load(const struct vtd_unit *unit, uint64_t gpa, uint64_t *word, unsigned int count)
{
	const uint64_t *at = vtd_ptr(unit, gpa, count * sizeof(*at));

	if (!at)
		return -EFAULT;
	for (unsigned int i = 0; i < count; i++)
		word[i] = __atomic_load_n(&at[i], __ATOMIC_ACQUIRE);
	return 0;
}

/* True if widths of the second stage (enum vtd_aw) include @aw: SAGAW has one bit for each. */
static bool width_supported(const struct vtd_unit *unit, uint64_t aw)
{
	return aw >= VTD_AW_39 && aw <= VTD_AW_57 &&
	       (vtd_get(unit->cap, VTD_CAP_SAGAW) & VTD_BIT(aw));
}

static uint8_t levels_of(uint64_t aw)
{
	return (uint8_t)(aw + 2);
}

/* --- Root entries (9.1, 9.2) --- */

/* Finds the context table of @source. */
static enum vtd_reason read_root(const struct vtd_unit *unit, uint64_t root, uint16_t source,
				 bool legacy, uint64_t *table)
{
	const struct codes *codes = &root_codes[legacy];
	bool upper = !legacy && (source & 0xff) >= SM_CONTEXTS;
	uint64_t gpa = (root & VTD_RTADDR_RTA) + (uint64_t)(source >> 8) * ROOT_BYTES, word[2];

	if (load(unit, gpa, word, 2))
		return codes->access;
	if (!(word[upper] & VTD_ROOT_P))
		return codes->present;
	if (word[upper] & ~(VTD_ROOT_P | (VTD_ROOT_CTP & ~vtd_beyond_host(unit))))
		return codes->reserved;
	/* The upper half belongs to the scalable format alone. */
	if (legacy && word[1])
		return codes->reserved;
	*table = word[upper] & VTD_ROOT_CTP;
	return VTD_OK;
}

/* --- Legacy context entries (9.3) --- */

static bool type_supported(const struct vtd_unit *unit, uint64_t tt)
{
	switch (tt) {
	case VTD_TT_UNTRANSLATED:
		return true;
	case VTD_TT_DEVTLB:
		return vtd_has_ecap(unit, VTD_ECAP_DT);
	case VTD_TT_PASS_THROUGH:
		return vtd_has_ecap(unit, VTD_ECAP_PT);
	default:
		return false;
	}
}

static enum vtd_reason decode_legacy(const struct vtd_unit *unit, const uint64_t word[2],
				     struct vtd_entry *entry)
{
	const uint64_t reserved0 = VTD_BITS(11, 4) | (VTD_CONTEXT0_SSPTPTR & vtd_beyond_host(unit));
	const uint64_t reserved1 =
		VTD_BITS(63, 24) | VTD_BIT(7) | vtd_put(vtd_beyond_domains(unit), VTD_CONTEXT1_DID);
	uint64_t aw = vtd_get(word[1], VTD_CONTEXT1_AW);
	uint64_t tt = vtd_get(word[0], VTD_CONTEXT0_TT);

	if (word[0] & reserved0 || word[1] & reserved1)
		return VTD_LCT_RESERVED;
	if (!width_supported(unit, aw) || !type_supported(unit, tt))
		return VTD_LCT_INVALID;
	entry->did = (uint16_t)vtd_get(word[1], VTD_CONTEXT1_DID);
	entry->pgtt = tt == VTD_TT_PASS_THROUGH ? VTD_PGTT_PT : VTD_PGTT_SS;
	entry->dte = tt == VTD_TT_DEVTLB;
	entry->ss_root = word[0] & VTD_CONTEXT0_SSPTPTR;
	entry->ss_levels = levels_of(aw);
	return VTD_OK;
}

/* --- Scalable-mode context entries (9.4) --- */

/* What is needed to go on from a scalable-mode context entry. */
struct directory {
	uint64_t gpa;
	uint32_t pasids; /* it has room for */
	uint32_t rid_pasid;
	bool paside;
};

static enum vtd_reason decode_context(const struct vtd_unit *unit, const uint64_t word[4],
				      struct vtd_entry *entry, struct directory *directory)
{
	uint64_t reserved0 = VTD_BITS(8, 5) | (VTD_SM_CONTEXT0_PASIDDIR & vtd_beyond_host(unit));
	uint64_t reserved1 = VTD_BITS(63, 21);

	if (!vtd_has_ecap(unit, VTD_ECAP_DT))
		reserved0 |= VTD_SM_CONTEXT0_DTE;
	if (!vtd_has_ecap(unit, VTD_ECAP_PASID))
		reserved0 |= VTD_SM_CONTEXT0_PASIDE;
	if (!vtd_has_ecap(unit, VTD_ECAP_PRS))
		reserved0 |= VTD_SM_CONTEXT0_PRE;
	if (!vtd_has_ecap(unit, VTD_ECAP_RPRIVS))
		reserved1 |= VTD_SM_CONTEXT1_RID_PRIV;
	if (word[0] & reserved0 || word[1] & reserved1 || word[2] || word[3])
		return VTD_SCT_RESERVED;
	entry->dte = word[0] & VTD_SM_CONTEXT0_DTE;
	entry->pre = word[0] & VTD_SM_CONTEXT0_PRE;
	entry->rid_priv = word[1] & VTD_SM_CONTEXT1_RID_PRIV;
	/* Page requests come from device-TLBs. */
	if (entry->pre && !entry->dte)
		return VTD_SCT_INVALID;
	directory->gpa = word[0] & VTD_SM_CONTEXT0_PASIDDIR;
	directory->pasids = VTD_PASIDS_PER_TABLE
			    << (vtd_get(word[0], VTD_SM_CONTEXT0_PDTS) + PASIDDIR_MIN_BITS);
	directory->rid_pasid = (uint32_t)vtd_get(word[1], VTD_SM_CONTEXT1_RID_PASID);
	directory->paside = word[0] & VTD_SM_CONTEXT0_PASIDE;
	return VTD_OK;
}

/* Which entry of the PASID table a request uses. */
static enum vtd_reason choose_pasid(const struct vtd_unit *unit, const struct directory *directory,
				    uint32_t pasid, struct vtd_entry *entry)
{
	uint64_t limit = UINT64_C(2) << vtd_get(unit->ecap, VTD_ECAP_PSS);

	if (pasid == VTD_NO_PASID) {
		entry->pasid = directory->rid_pasid;
		if (entry->pasid && !vtd_has_ecap(unit, VTD_ECAP_RPS))
			return VTD_SCT_RID_PASID;
		return entry->pasid < directory->pasids ? VTD_OK : VTD_SCT_RID_PASID;
	}
	entry->pasid = pasid;
	if (!directory->paside)
		return VTD_SCT_PASIDE;
	return pasid < directory->pasids && pasid < limit ? VTD_OK : VTD_SCT_PASID;
}

/* --- PASID directory and table entries (9.5, 9.6) --- */

static enum vtd_reason read_directory(const struct vtd_unit *unit,
				      const struct directory *directory, struct vtd_entry *entry,
				      uint64_t *table)
{
	uint64_t word;

	if (load(unit, directory->gpa + entry->pasid / VTD_PASIDS_PER_TABLE * PASIDDIR_BYTES, &word,
		 1))
		return VTD_SPD_ACCESS;
	if (word & VTD_PASIDDIR_FPD)
		entry->fpd = true;
	if (!(word & VTD_PASIDDIR_P))
		return VTD_SPD_P;
	if (word & (VTD_BITS(11, 2) | (VTD_PASIDDIR_PTR & vtd_beyond_host(unit))))
		return VTD_SPD_RESERVED;
	*table = word & VTD_PASIDDIR_PTR;
	return VTD_OK;
}

/* PGTT decides which fields count; those of the other stage are ignored. */
struct type {
	uint64_t ecap; /* what supports it */
	bool first, second;
};
static const struct type types[] = {
	[VTD_PGTT_FS] = { VTD_ECAP_FSTS, true, false },
	[VTD_PGTT_SS] = { VTD_ECAP_SSTS, false, true },
	[VTD_PGTT_NESTED] = { VTD_ECAP_NEST, true, true },
	[VTD_PGTT_PT] = { VTD_ECAP_PT, false, false },
};

static bool pasid_reserved(const struct vtd_unit *unit, const struct type *type,
			   const uint64_t word[VTD_PASID_WORDS])
{
	uint64_t reserved0 = VTD_BITS(11, 10);
	uint64_t reserved1 = VTD_BITS(22, 16) | vtd_put(vtd_beyond_domains(unit), VTD_PASID1_DID);
	uint64_t reserved2 = VTD_BITS(11, 8);

	if (!vtd_has_ecap(unit, VTD_ECAP_SMPWC))
		reserved1 |= VTD_PASID1_PWSNP;
	if (!vtd_has_ecap(unit, VTD_ECAP_SC))
		reserved1 |= VTD_PASID1_PGSNP;
	if (type->second) {
		reserved0 |= VTD_PASID0_SSPTPTR & vtd_beyond_host(unit);
		if (!vtd_has_ecap(unit, VTD_ECAP_SSADS))
			reserved0 |= VTD_PASID0_SSADE;
	}
	if (type->first) {
		reserved2 |= VTD_PASID2_FSPTPTR & vtd_beyond_host(unit);
		if (!vtd_has_ecap(unit, VTD_ECAP_SRS))
			reserved2 |= VTD_PASID2_SRE;
		if (!vtd_has_ecap(unit, VTD_ECAP_ERS))
			reserved2 |= VTD_PASID2_ERE;
		if (!vtd_has_ecap(unit, VTD_ECAP_EAFS))
			reserved2 |= VTD_PASID2_EAFE;
	}
	for (unsigned int i = 3; i < VTD_PASID_WORDS; i++)
		if (word[i])
			return true;
	return word[0] & reserved0 || word[1] & reserved1 || word[2] & reserved2;
}

static void decode_first(const uint64_t word[VTD_PASID_WORDS], struct vtd_entry *entry)
{
	entry->fs_root = word[2] & VTD_PASID2_FSPTPTR;
	entry->fs_levels = vtd_get(word[2], VTD_PASID2_FSPM) == VTD_FSPM_5LEVEL ? 5 : 4;
	entry->sre = word[2] & VTD_PASID2_SRE;
	entry->ere = word[2] & VTD_PASID2_ERE;
	entry->wpe = word[2] & VTD_PASID2_WPE;
	entry->nxe = word[2] & VTD_PASID2_NXE;
	entry->smep = word[2] & VTD_PASID2_SMEP;
	entry->eafe = word[2] & VTD_PASID2_EAFE;
}

static void decode_second(const uint64_t word[VTD_PASID_WORDS], struct vtd_entry *entry)
{
	entry->ss_root = word[0] & VTD_PASID0_SSPTPTR;
	entry->ss_levels = levels_of(vtd_get(word[0], VTD_PASID0_AW));
	entry->ssade = word[0] & VTD_PASID0_SSADE;
	entry->ssee = word[0] & VTD_PASID0_SSEE;
}

static bool mode_supported(const struct vtd_unit *unit, uint64_t fspm)
{
	return fspm == VTD_FSPM_4LEVEL ||
	       (fspm == VTD_FSPM_5LEVEL && vtd_has_cap(unit, VTD_CAP_FS5LP));
}

static enum vtd_reason decode_pasid(const struct vtd_unit *unit,
				    const uint64_t word[VTD_PASID_WORDS], struct vtd_entry *entry)
{
	uint64_t pgtt = vtd_get(word[0], VTD_PASID0_PGTT);
	const struct type *type = pgtt <= VTD_PGTT_PT ? &types[pgtt] : &types[0];

	if (pasid_reserved(unit, type, word))
		return VTD_SPT_RESERVED;
	if (!type->ecap || !vtd_has_ecap(unit, type->ecap))
		return VTD_SPT_INVALID;
	if (type->first && !mode_supported(unit, vtd_get(word[2], VTD_PASID2_FSPM)))
		return VTD_SPT_INVALID;
	if (type->second && !width_supported(unit, vtd_get(word[0], VTD_PASID0_AW)))
		return VTD_SPT_INVALID;
	entry->pgtt = (uint8_t)pgtt;
	entry->did = (uint16_t)vtd_get(word[1], VTD_PASID1_DID);
	entry->pwsnp = word[1] & VTD_PASID1_PWSNP;
	entry->pgsnp = word[1] & VTD_PASID1_PGSNP;
	entry->emte = word[1] & VTD_PASID1_EMTE;
	if (type->first)
		decode_first(word, entry);
	if (type->second)
		decode_second(word, entry);
	return VTD_OK;
}

static enum vtd_reason read_pasid(const struct vtd_unit *unit, const struct directory *directory,
				  struct vtd_entry *entry)
{
	uint64_t table = 0, word[VTD_PASID_WORDS];
	enum vtd_reason reason = read_directory(unit, directory, entry, &table);

	if (reason)
		return reason;
	if (load(unit, table + entry->pasid % VTD_PASIDS_PER_TABLE * PASID_BYTES, word,
		 VTD_PASID_WORDS))
		return VTD_SPT_ACCESS;
	if (word[0] & VTD_PASID0_FPD)
		entry->fpd = true;
	if (!(word[0] & VTD_PASID0_P))
		return VTD_SPT_P;
	return decode_pasid(unit, word, entry);
}

/* --- All together --- */

static enum vtd_reason read_context(const struct vtd_unit *unit, uint64_t root, uint16_t source,
				    struct vtd_entry *entry, struct directory *directory)
{
	const struct codes *codes = &context_codes[entry->legacy];
	unsigned int words = entry->legacy ? CONTEXT_BYTES / 8 : SM_CONTEXT_BYTES / 8;
	unsigned int index = entry->legacy ? source & 0xff : (source & 0xff) % SM_CONTEXTS;
	uint64_t table = 0, word[SM_CONTEXT_BYTES / 8];
	enum vtd_reason reason = read_root(unit, root, source, entry->legacy, &table);

	if (reason)
		return reason;
	if (load(unit, table + (uint64_t)index * words * 8, word, words))
		return codes->access;
	/* FPD counts whether or not the entry is present. */
	entry->fpd = word[0] & VTD_CONTEXT0_FPD;
	if (!(word[0] & VTD_CONTEXT0_P))
		return codes->present;
	return entry->legacy ? decode_legacy(unit, word, entry)
			     : decode_context(unit, word, entry, directory);
}

static enum vtd_reason read_tables(const struct vtd_unit *unit, uint16_t source, uint32_t pasid,
				   struct vtd_entry *entry, struct directory *directory)
{
	uint64_t root = __atomic_load_n(&unit->root, __ATOMIC_ACQUIRE);

	*entry = (struct vtd_entry){ 0 };
	switch (vtd_get(root, VTD_RTADDR_TTM)) {
	case VTD_TTM_LEGACY:
		entry->legacy = true;
		if (pasid != VTD_NO_PASID)
			return VTD_RTA_LEGACY_PASID;
		break;
	case VTD_TTM_SCALABLE:
		if (!vtd_has_ecap(unit, VTD_ECAP_SMTS))
			return VTD_RTA_INVALID;
		break;
	default: /* abort, and the reserved mode */
		return VTD_RTA_INVALID;
	}
	return read_context(unit, root, source, entry, directory);
}

enum vtd_reason vtd_entry_read(struct vtd_unit *unit, struct vtd_requester *requester,
			       uint32_t pasid, struct vtd_entry *entry)
{
	struct directory directory = { 0 };
	enum vtd_reason reason = read_tables(unit, requester->source, pasid, entry, &directory);

	if (reason || entry->legacy)
		return reason;
	reason = choose_pasid(unit, &directory, pasid, entry);
	return reason ? reason : read_pasid(unit, &directory, entry);
}

enum vtd_reason vtd_entry_read_context(struct vtd_unit *unit, struct vtd_requester *requester,
				       uint32_t pasid, struct vtd_entry *entry)
{
	struct directory directory = { 0 };
	enum vtd_reason reason = read_tables(unit, requester->source, pasid, entry, &directory);

	if (reason || entry->legacy || pasid == VTD_NO_PASID)
		return reason;
	return choose_pasid(unit, &directory, pasid, entry);
}

uint32_t vtd_pasid_directory(const struct vtd_unit *unit, uint16_t source, uint64_t *gpa)
{
	struct directory directory = { 0 };
	struct vtd_entry entry;

	if (read_tables(unit, source, VTD_NO_PASID, &entry, &directory) || !directory.paside)
		return 0;
	*gpa = directory.gpa;
	return directory.pasids;
}
