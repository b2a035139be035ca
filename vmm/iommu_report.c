// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What units have done, for `nidus stats`. A unit's group has all its counters; a requester's and a
 * PASID's have those that are not zero.
 */
#include <stdio.h>

#include "devices/base.h"
#include "viommu/spec.h"
#include "vmm/iommu_units.h"
#include "vmm/report.h"
#include "vmm/vm.h"

/* One answer of the control socket must hold them all. */
#define PASIDS_SHOWN 128
#define REASONS	     256

struct pasids {
	struct report *report;
	struct iommu_unit *unit;
	unsigned int count; /* of the machine so far */
};

static void report_unit(const struct iommu_unit *unit, struct report *report)
{
	char name[16];

	report_open(report, "%s", unit->name);
	for (unsigned int i = 0; i < VTD_COUNTERS; i++)
		report_number(report, vtd_counter_names[i], vtd_counter(unit->unit, i));
	for (unsigned int reason = 0; reason < REASONS; reason++) {
		uint64_t count = vtd_fault_counter(unit->unit, reason);

		if (!count)
			continue;
		snprintf(name, sizeof(name), "fault_%02x", reason);
		report_number(report, name, count);
	}
	report_close(report);
}

static void report_requester(const struct iommu_unit *unit, struct vtd_requester *requester,
			     struct report *report)
{
	report_open(report, "%s.%s", unit->name, vtd_requester_name(requester));
	report_number(report, "source", vtd_requester_source(requester));
	for (unsigned int i = 0; i < VTD_COUNTERS; i++) {
		uint64_t count = vtd_requester_counter(requester, i);

		if (count)
			report_number(report, vtd_counter_names[i], count);
	}
	report_close(report);
}

static const char *name_of(struct vtd_unit *unit, uint16_t source)
{
	struct vtd_requester *requester = vtd_find(unit, source);

	return requester ? vtd_requester_name(requester) : "unknown";
}

static void report_pasid(void *context, const struct vtd_pasid_info *info)
{
	struct pasids *pasids = context;
	struct report *report = pasids->report;
	const char *device = name_of(pasids->unit->unit, info->source);

	if (pasids->count++ >= PASIDS_SHOWN)
		return;
	if (info->pasid == VTD_NO_PASID)
		report_open(report, "%s.%s.rid", pasids->unit->name, device);
	else
		report_open(report, "%s.%s.pasid%u", pasids->unit->name, device, info->pasid);
	report_text(report, "type", info->type);
	report_number(report, "domain", info->did);
	report_number(report, "root", info->root);
	report_number(report, "walks", info->walks);
	report_number(report, "page_requests", info->page_requests);
	report_number(report, "faults", info->faults);
	report_close(report);
}

void iommu_report(const struct machine *machine, struct report *report)
{
	struct iommu *iommu = machine->iommu;
	struct pasids pasids = { .report = report };
	struct vtd_requester *requester;

	for (unsigned int i = 0; iommu && i < iommu->count; i++) {
		struct iommu_unit *unit = &iommu->unit[i];

		report_unit(unit, report);
		for (unsigned int j = 0; (requester = vtd_requester_at(unit->unit, j)); j++)
			report_requester(unit, requester, report);
		pasids.unit = unit;
		vtd_each_pasid(unit->unit, report_pasid, &pasids);
	}
	if (pasids.count > PASIDS_SHOWN) {
		report_open(report, "pasids");
		report_number(report, "shown", PASIDS_SHOWN);
		report_number(report, "not_shown", pasids.count - PASIDS_SHOWN);
		report_close(report);
	}
}
