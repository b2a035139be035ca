/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CAP and ECAP (11.4.2, 11.4.3): derived from the configuration, cut by what the hosts of real
 * devices can do, and explained. One table has a row for every field; its order is that of the
 * bits.
 */
#include "viommu/unit.h"

#include <stdio.h>

enum cut {
	KEEP,	  /* the host has no say: it is our software that does it */
	HOST_HAS, /* not more than the host's; single bits and numbers alike */
	NO_HOST	  /* struct vtd_binding cannot ask for it: kernels have no way to set it */
};

struct row {
	bool extended; /* of ECAP */
	const char *name;
	uint64_t mask;
	/* The value: @fixed if @knob, a bool of the configuration, is set (0: always), or computed.
	 */
	uint64_t fixed;
	size_t knob;
	uint64_t (*compute)(const struct vtd_unit *unit);
	uint64_t needs; /* bits of ECAP without which it is 0 */
	enum cut cut;
	const char *reason; /* what it is for, or why it is never offered */
};

#define KNOB(field) offsetof(struct vtd_config, field)

/* --- Values that are more than a switch --- */

static uint64_t has_hosts(const struct vtd_unit *unit)
{
	for (unsigned int i = 0; i < unit->requester_count; i++)
		if (unit->requester[i].host)
			return true;
	return false;
}

static uint64_t caching_mode(const struct vtd_unit *unit)
{
	return unit->config.caching_mode || has_hosts(unit);
}

/* Every width up to the one configured, so that a guest may choose. */
static uint64_t widths(const struct vtd_unit *unit)
{
	uint64_t cap = VTD_CAP_SAGAW39;

	if (unit->config.aw >= 48)
		cap |= VTD_CAP_SAGAW48;
	if (unit->config.aw >= 57)
		cap |= VTD_CAP_SAGAW57;
	return vtd_get(cap, VTD_CAP_SAGAW);
}

static uint64_t guest_width(const struct vtd_unit *unit)
{
	return unit->config.aw - 1;
}

static uint64_t fault_records(const struct vtd_unit *unit)
{
	return unit->config.fault_records - 1;
}

/* VT-d 11.4.2: 4 bits, and 2 more for each */
static uint64_t domains(const struct vtd_unit *unit)
{
	return (unit->config.domain_bits - 4) / 2;
}

static uint64_t pasids(const struct vtd_unit *unit)
{
	return unit->config.pasid_bits > 0;
}

static uint64_t pasid_size(const struct vtd_unit *unit)
{
	return unit->config.pasid_bits ? unit->config.pasid_bits - 1 : 0;
}

/* --- The table --- */

/* 2^18 pages: what the largest page covers, 1 GiB. Larger ranges are invalidated by domain. */
#define LARGEST_MASK 18

static const struct row rows[] = {
	/* clang-format off */
	{ false, "ND", VTD_CAP_ND, 0, 0, domains, 0, KEEP, "half of what domain-bits is above 4" },
	{ false, "AFL", VTD_CAP_AFL, 0, 0, NULL, 0, KEEP, "no advanced fault log; nobody uses it" },
	{ false, "RWBF", VTD_CAP_RWBF, 0, 0, NULL, 0, KEEP, "tables are read coherently" },
	{ false, "PLMR", VTD_CAP_PLMR, 0, 0, NULL, 0, KEEP, "no protected memory; nobody boots by TXT" },
	{ false, "PHMR", VTD_CAP_PHMR, 0, 0, NULL, 0, KEEP, "as PLMR" },
	{ false, "CM", VTD_CAP_CM, 0, 0, caching_mode, 0, KEEP,
	  "set if a real device must be told of new entries, or by caching-mode" },
	{ false, "SAGAW", VTD_CAP_SAGAW, 0, 0, widths, 0, KEEP, "second-stage widths up to aw" },
	{ false, "MGAW", VTD_CAP_MGAW, 0, 0, guest_width, 0, HOST_HAS, "aw, minus 1" },
	{ false, "ZLR", VTD_CAP_ZLR, 1, 0, NULL, 0, KEEP, "zero-length reads of write-only pages" },
	{ false, "FRO", VTD_CAP_FRO, VTD_FRCD / 16, 0, NULL, 0, KEEP, "fault records, in units of 16 bytes" },
	{ false, "SSLPS2M", VTD_CAP_SSLPS2M, 1, 0, NULL, 0, HOST_HAS, "second-stage pages of 2 MiB" },
	{ false, "SSLPS1G", VTD_CAP_SSLPS1G, 1, 0, NULL, 0, HOST_HAS, "second-stage pages of 1 GiB" },
	{ false, "PSI", VTD_CAP_PSI, 1, 0, NULL, 0, KEEP, "page-selective invalidation" },
	{ false, "NFR", VTD_CAP_NFR, 0, 0, fault_records, 0, KEEP, "fault-records, minus 1" },
	{ false, "MAMV", VTD_CAP_MAMV, LARGEST_MASK, 0, NULL, 0, KEEP, "page-selective up to 1 GiB" },
	{ false, "DWD", VTD_CAP_DWD, 1, 0, NULL, 0, KEEP, "a wait waits for writes under way" },
	{ false, "DRD", VTD_CAP_DRD, 1, 0, NULL, 0, KEEP, "a wait waits for reads under way" },
	{ false, "FS1GP", VTD_CAP_FS1GP, 1, KNOB(first_stage_1g), NULL, VTD_ECAP_FSTS, HOST_HAS,
	  "needed by Linux for SVA if the CPU has 1 GiB pages" },
	{ false, "PI", VTD_CAP_PI, 0, 0, NULL, 0, KEEP, "no posted interrupts" },
	{ false, "FS5LP", VTD_CAP_FS5LP, 1, KNOB(first_stage_57), NULL, VTD_ECAP_FSTS, HOST_HAS,
	  "needed by Linux for SVA if the CPU uses five levels" },
	{ false, "ECMDS", VTD_CAP_ECMDS, 0, 0, NULL, 0, KEEP, "no enhanced commands" },
	{ false, "ESIRTPS", VTD_CAP_ESIRTPS, 1, 0, NULL, VTD_ECAP_IR, KEEP, "SIRTP invalidates by itself" },
	{ false, "ESRTPS", VTD_CAP_ESRTPS, 1, 0, NULL, 0, KEEP, "SRTP invalidates by itself" },

	{ true, "C", VTD_ECAP_C, 1, 0, NULL, 0, HOST_HAS, "tables are read coherently" },
	{ true, "QI", VTD_ECAP_QI, 1, 0, NULL, 0, KEEP, "queued invalidation" },
	{ true, "DT", VTD_ECAP_DT, 1, KNOB(ats), NULL, 0, HOST_HAS, "device-TLBs; needed by Linux for SVA" },
	{ true, "IR", VTD_ECAP_IR, 1, KNOB(interrupt_remapping), NULL, 0, KEEP, "interrupt remapping" },
	{ true, "EIM", VTD_ECAP_EIM, 1, KNOB(x2apic), NULL, VTD_ECAP_IR, KEEP, "32-bit destinations: x2APIC" },
	{ true, "PT", VTD_ECAP_PT, 1, KNOB(pass_through), NULL, 0, HOST_HAS, "pass-through" },
	{ true, "SC", VTD_ECAP_SC, 1, KNOB(snoop), NULL, 0, HOST_HAS, "snoop control: all DMA snoops" },
	{ true, "IRO", VTD_ECAP_IRO, VTD_IVA / 16, 0, NULL, 0, KEEP, "IOTLB registers, in units of 16 bytes" },
	{ true, "MHMV", VTD_ECAP_MHMV, 15, 0, NULL, VTD_ECAP_IR, KEEP, "any mask of interrupt indices" },
	{ true, "NEST", VTD_ECAP_NEST, 1, KNOB(nested), NULL, VTD_ECAP_FSTS | VTD_ECAP_SSTS, HOST_HAS,
	  "nested translation" },
	{ true, "PRS", VTD_ECAP_PRS, 1, KNOB(pri), NULL, VTD_ECAP_DT | VTD_ECAP_SMTS, HOST_HAS,
	  "page requests; needed by Linux for SVA without pinning" },
	{ true, "ERS", VTD_ECAP_ERS, 1, KNOB(execute), NULL, VTD_ECAP_PASID, NO_HOST, "execute requests" },
	{ true, "SRS", VTD_ECAP_SRS, 1, KNOB(supervisor), NULL, VTD_ECAP_PASID, HOST_HAS,
	  "supervisor requests" },
	{ true, "NWFS", VTD_ECAP_NWFS, 0, 0, NULL, 0, KEEP, "no use is made of the no-write hint" },
	{ true, "EAFS", VTD_ECAP_EAFS, 1, KNOB(extended_accessed), NULL, VTD_ECAP_FSTS, HOST_HAS,
	  "first-stage extended accessed flag" },
	{ true, "PSS", VTD_ECAP_PSS, 0, 0, pasid_size, VTD_ECAP_PASID, HOST_HAS, "pasid-bits, minus 1" },
	{ true, "PASID", VTD_ECAP_PASID, 0, 0, pasids, VTD_ECAP_SMTS, HOST_HAS, "needed by Linux for SVA" },
	{ true, "DIT", VTD_ECAP_DIT, 0, 0, NULL, 0, KEEP, "device-TLB invalidations need no throttle" },
	{ true, "PDS", VTD_ECAP_PDS, 1, 0, NULL, VTD_ECAP_PRS, KEEP, "a wait can drain page requests" },
	{ true, "SMTS", VTD_ECAP_SMTS, 1, KNOB(scalable), NULL, 0, HOST_HAS, "scalable mode" },
	{ true, "VCS", VTD_ECAP_VCS, 1, KNOB(virtual_commands), NULL, VTD_ECAP_PASID, KEEP,
	  "PASIDs come from us: only Linux before 6.3 asks" },
	{ true, "SSADS", VTD_ECAP_SSADS, 1, KNOB(access_dirty), NULL, VTD_ECAP_SSTS, HOST_HAS,
	  "second-stage accessed and dirty flags" },
	{ true, "SSTS", VTD_ECAP_SSTS, 1, KNOB(second_stage), NULL, VTD_ECAP_SMTS, HOST_HAS,
	  "second stage in scalable mode" },
	{ true, "FSTS", VTD_ECAP_FSTS, 1, KNOB(first_stage), NULL, VTD_ECAP_SMTS, HOST_HAS, "first stage" },
	{ true, "SMPWC", VTD_ECAP_SMPWC, 1, 0, NULL, VTD_ECAP_SMTS, HOST_HAS,
	  "needed by Linux for SVA: page walks are coherent" },
	{ true, "RPS", VTD_ECAP_RPS, 1, 0, NULL, VTD_ECAP_SMTS, KEEP, "RID_PASID may be any" },
	{ true, "PMS", VTD_ECAP_PMS, 0, 0, NULL, 0, KEEP, "no performance monitoring; see nidus stats" },
	{ true, "ADMS", VTD_ECAP_ADMS, 1, KNOB(abort_dma), NULL, 0, KEEP, "abort-DMA mode of RTADDR" },
	{ true, "RPRIVS", VTD_ECAP_RPRIVS, 1, KNOB(supervisor), NULL, VTD_ECAP_SMTS, NO_HOST,
	  "RID_PRIV: privileged requests without PASID" },
	/* clang-format on */
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* --- Derivation --- */

/* True if the configuration contradicts itself, or is out of range. */
static bool is_contradictory(const struct vtd_config *c)
{
	const bool contradictions[] = {
		c->aw != 39 && c->aw != 48 && c->aw != 57,
		c->host_bits < 32 || c->host_bits > 52,
		c->pasid_bits > VTD_PASID_BITS,
		c->domain_bits < 4 || c->domain_bits > 16 || c->domain_bits % 2,
		c->fault_records < 1 || c->fault_records > VTD_FAULT_RECORDS,
		c->first_stage && !c->scalable,
		c->nested && !(c->first_stage && c->second_stage),
		c->scalable && !c->first_stage && !c->second_stage,
		c->pasid_bits && !c->scalable,
		c->pri && !(c->ats && c->scalable),
		c->virtual_commands && !c->pasid_bits,
	};

	for (unsigned int i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++)
		if (contradictions[i])
			return true;
	return false;
}

static bool knob_set(const struct vtd_unit *unit, const struct row *row)
{
	return !row->knob || *(const bool *)((const char *)&unit->config + row->knob);
}

/* The field's value by the configuration alone. */
static uint64_t wanted(const struct vtd_unit *unit, const struct row *row)
{
	if (row->compute)
		return row->compute(unit);
	return knob_set(unit, row) ? row->fixed : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The most that the host of @requester allows of a field. */
static uint64_t allowed(const struct vtd_requester *requester, const struct row *row)
{
	const struct vtd_host_ops *host = requester->host ? requester->host->ops : NULL;
	uint64_t reg, most = UINT64_MAX;

	if (!host || row->cut == KEEP)
		return UINT64_MAX;
	if (row->cut == NO_HOST)
		return 0;
	reg = row->extended ? host->ecap : host->cap;
	if (reg)
		most = vtd_get(reg, row->mask);
	if (row->mask == VTD_ECAP_PSS && row->extended && host->pasid_bits)
		most = least(most, host->pasid_bits - 1);
	return most;
}

/* The requester whose host allows least of a field, if that is less than @value; or NULL. */
static const struct vtd_requester *cutter(const struct vtd_unit *unit, const struct row *row,
					  uint64_t *value)
{
	const struct vtd_requester *by = NULL;

	for (unsigned int i = 0; i < unit->requester_count; i++) {
		uint64_t most = allowed(&unit->requester[i], row);

		if (most >= *value)
			continue;
		*value = most;
		by = &unit->requester[i];
	}
	return by;
}

static void set_field(struct vtd_unit *unit, const struct row *row, uint64_t value)
{
	uint64_t *reg = row->extended ? &unit->ecap : &unit->cap;

	*reg = (*reg & ~row->mask) | vtd_put(value, row->mask);
}

int vtd_caps_derive(struct vtd_unit *unit)
{
	bool changed = true;

	if (is_contradictory(&unit->config))
		return -EINVAL;
	unit->cap = 0;
	unit->ecap = 0;
	for (unsigned int i = 0; i < ROWS; i++) {
		uint64_t value = wanted(unit, &rows[i]);

		cutter(unit, &rows[i], &value);
		set_field(unit, &rows[i], value);
	}
	/* What depends on a bit that is not there goes too; each pass takes something away. */
	while (changed) {
		uint64_t cap = unit->cap, ecap = unit->ecap;

		for (unsigned int i = 0; i < ROWS; i++)
			if ((unit->ecap & rows[i].needs) != rows[i].needs)
				set_field(unit, &rows[i], 0);
		changed = cap != unit->cap || ecap != unit->ecap;
	}
	return 0;
}

/* --- Explanation --- */

/* The name of the first bit that @row needs and does not have. */
static const char *missing(const struct vtd_unit *unit, const struct row *row)
{
	for (unsigned int i = 0; i < ROWS; i++)
		if (rows[i].extended && rows[i].mask & row->needs & ~unit->ecap)
			return rows[i].name;
	return "nothing";
}

static void explain(const struct vtd_unit *unit, const struct row *row, char *to, size_t size)
{
	uint64_t value = wanted(unit, row);
	const struct vtd_requester *by = cutter(unit, row, &value);

	if (!knob_set(unit, row))
		snprintf(to, size, "off by configuration (%s)", row->reason);
	else if ((unit->ecap & row->needs) != row->needs)
		snprintf(to, size, "off: needs %s", missing(unit, row));
	else if (by && row->cut == NO_HOST)
		snprintf(to, size, "cut: %s is passed through, and kernels grant no %s", by->name,
			 row->name);
	else if (by && !value)
		snprintf(to, size, "cut: the host's unit of %s has no %s", by->name, row->name);
	else if (by)
		snprintf(to, size, "cut: the host's unit of %s has no more", by->name);
	else
		snprintf(to, size, "%s", row->reason);
}

unsigned int vtd_explain(const struct vtd_unit *unit, struct vtd_capability *list, unsigned int max)
{
	for (unsigned int i = 0; i < ROWS && i < max; i++) {
		const struct row *row = &rows[i];

		list[i].reg = row->extended ? "ECAP" : "CAP";
		list[i].name = row->name;
		list[i].value = vtd_get(row->extended ? unit->ecap : unit->cap, row->mask);
		explain(unit, row, list[i].reason, sizeof(list[i].reason));
	}
	if (ROWS < max)
		list[ROWS] = (struct vtd_capability){ 0 };
	return ROWS;
}
