/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of fault reasons, primary fault logging (7.2.1), and the fault status register.
 *
 * Records are a ring: `next` is the one to fill, so the oldest pending record is the first one
 * found from there on.
 */
#include "viommu/fault.h"

#include <stdio.h>
#include <stdlib.h>

#include "viommu/unit.h"

/*
 * All reasons, in ascending order of their codes. A condition is qualified if an entry with an FPD
 * bit was read before it was met: from the context entry on, the failing read of that entry itself
 * excepted. It is recoverable if the page tables, sound as they are, do not allow the access.
 * Reasons of interrupt remapping have a code and no other name in the specification.
 */
const struct vtd_reason_info vtd_reasons[] = {
	/* Legacy mode. */
	{ VTD_LRT_P, "LRT.2", "root entry not present", false, false },
	{ VTD_LCT_P, "LCT.2", "context entry not present", true, false },
	{ VTD_LCT_INVALID, "LCT.4", "context entry with an unsupported type or width", true,
	  false },
	{ VTD_LGN_WIDTH, "LGN.1", "address beyond the width of the second stage", true, true },
	{ VTD_LGN_WRITE, "LGN.2", "write without write permission", true, true },
	{ VTD_LGN_READ, "LGN.3", "read without read permission", true, true },
	{ VTD_LSS_ACCESS, "LSS.1", "second-stage entry cannot be read", true, false },
	{ VTD_LRT_ACCESS, "LRT.1", "root entry cannot be read", false, false },
	{ VTD_LCT_ACCESS, "LCT.1", "context entry cannot be read", false, false },
	{ VTD_LRT_RESERVED, "LRT.3", "reserved field set in the root entry", false, false },
	{ VTD_LCT_RESERVED, "LCT.3", "reserved field set in the context entry", true, false },
	{ VTD_LSS_RESERVED, "LSS.2", "reserved field set in a second-stage entry", true, false },
	{ VTD_LCT_BLOCKED, "LCT.5", "the context entry does not allow a device-TLB", true, false },
	{ VTD_LGN_INTERRUPT, "LGN.4", "translation ends in the interrupt range", true, true },

	/* Interrupt remapping. */
	{ VTD_IR_RESERVED, "20h", "reserved field set in the interrupt request", false, false },
	{ VTD_IR_INDEX, "21h", "interrupt index beyond the table", false, false },
	{ VTD_IR_P, "22h", "interrupt entry not present", true, false },
	{ VTD_IR_ACCESS, "23h", "interrupt entry cannot be read", false, false },
	{ VTD_IR_IRTE_RESERVED, "24h", "reserved field set in the interrupt entry", true, false },
	{ VTD_IR_COMPATIBILITY, "25h", "compatibility format interrupt blocked", false, false },
	{ VTD_IR_SID, "26h", "source-id is not the one of the interrupt entry", true, false },

	/* Scalable mode: what RTADDR says. */
	{ VTD_RTA_INVALID, "RTA.1", "translation table mode is reserved or aborts DMA", false,
	  false },
	{ VTD_RTA_LEGACY_PASID, "RTA.2", "request with PASID in legacy mode", false, false },
	{ VTD_RTA_LEGACY_PRQ, "RTA.3", "page request in legacy mode", false, false },

	/* Root, context, PASID directory and PASID entries. */
	{ VTD_SRT_ACCESS, "SRT.1", "root entry cannot be read", false, false },
	{ VTD_SRT_P, "SRT.2", "root entry not present", false, false },
	{ VTD_SRT_RESERVED, "SRT.3", "reserved field set in the root entry", false, false },
	{ VTD_SCT_ACCESS, "SCT.1", "context entry cannot be read", false, false },
	{ VTD_SCT_P, "SCT.2", "context entry not present", true, false },
	{ VTD_SCT_RESERVED, "SCT.3", "reserved field set in the context entry", true, false },
	{ VTD_SCT_INVALID, "SCT.4", "context entry with an unsupported value", true, false },
	{ VTD_SCT_DTE, "SCT.5", "the context entry does not allow a device-TLB", true, false },
	{ VTD_SCT_PASIDE, "SCT.6", "the context entry does not allow PASIDs", true, false },
	{ VTD_SCT_PASID, "SCT.7", "PASID beyond the PASID directory", true, false },
	{ VTD_SCT_PRE, "SCT.8", "the context entry does not allow page requests", true, false },
	{ VTD_SCT_RID_PASID, "SCT.9", "RID_PASID beyond the directory or unsupported", true,
	  false },
	{ VTD_SPD_ACCESS, "SPD.1", "PASID directory entry cannot be read", true, false },
	{ VTD_SPD_P, "SPD.2", "PASID directory entry not present", true, false },
	{ VTD_SPD_RESERVED, "SPD.3", "reserved field set in the PASID directory entry", true,
	  false },
	{ VTD_SPT_ACCESS, "SPT.1", "PASID entry cannot be read", true, false },
	{ VTD_SPT_P, "SPT.2", "PASID entry not present", true, false },
	{ VTD_SPT_RESERVED, "SPT.3", "reserved field set in the PASID entry", true, false },
	{ VTD_SPT_INVALID, "SPT.4", "PASID entry with an unsupported type, width or mode", true,
	  false },
	{ VTD_SPT_ERE, "SPT.5", "the PASID entry does not allow execute requests", true, true },
	{ VTD_SPT_SRE, "SPT.6", "the PASID entry does not allow supervisor requests", true, true },

	/* The walk of the first stage, its accesses through the second stage included. */
	{ VTD_SFS_ACCESS, "SFS.1", "first-stage entry cannot be read", true, false },
	{ VTD_SFS_P, "SFS.2", "first-stage entry not present", true, true },
	{ VTD_SFS_RESERVED, "SFS.3", "reserved field set in a first-stage entry", true, false },
	{ VTD_SFS_ROOT_ACCESS, "SFS.4", "first-stage root table cannot be read", true, false },
	{ VTD_SFS_SS_WIDTH, "SFS.5", "first-stage table beyond the width of the second stage", true,
	  true },
	{ VTD_SFS_SS_ROOT_READ, "SFS.6", "second stage does not let the first-stage root be read",
	  true, true },
	{ VTD_SFS_SS_READ, "SFS.7", "second stage does not let a first-stage table be read", true,
	  true },
	{ VTD_SFS_SS_WRITE, "SFS.8", "second stage does not let a first-stage entry be written",
	  true, true },

	/* The walk of the second stage. */
	{ VTD_SSS_ACCESS, "SSS.1", "second-stage entry cannot be read", true, false },
	{ VTD_SSS_P, "SSS.2", "second-stage entry without read and write permission", true, true },
	{ VTD_SSS_RESERVED, "SSS.3", "reserved field set in a second-stage entry", true, false },
	{ VTD_SSS_ROOT_ACCESS, "SSS.4", "second-stage root table cannot be read", true, false },
	{ VTD_SSS_AD, "SSS.5", "accessed and dirty flags of the second stage cannot be set", true,
	  false },

	/* What both stages make of the request. */
	{ VTD_SGN_CANONICAL, "SGN.1", "address not canonical", true, true },
	{ VTD_SGN_US, "SGN.2", "user request to a supervisor page", true, true },
	{ VTD_SGN_NX, "SGN.3", "execute request without execute permission", true, true },
	{ VTD_SGN_WIDTH, "SGN.4", "address beyond the width of the tables", true, true },
	{ VTD_SGN_SS_WIDTH, "SGN.5", "first stage ends beyond the width of the second", true,
	  true },
	{ VTD_SGN_WRITE, "SGN.6", "write without write permission", true, true },
	{ VTD_SGN_READ, "SGN.7", "read without read permission", true, true },
	{ VTD_SGN_INTERRUPT, "SGN.8", "address in the interrupt range", true, true },
	{ VTD_SFS_AD_SNOOP, "SFS.9", "first-stage flags would be set without snooping", true,
	  false },
	{ VTD_SFS_AD, "SFS.10", "accessed and dirty flags of the first stage cannot be set", true,
	  false },
};
const unsigned int vtd_reason_count = sizeof(vtd_reasons) / sizeof(vtd_reasons[0]);

static int compare_reason(const void *key, const void *entry)
{
	const unsigned int *reason = key;
	const struct vtd_reason_info *info = entry;

	return *reason < info->reason ? -1 : *reason > info->reason;
}

const struct vtd_reason_info *vtd_reason_info(unsigned int reason)
{
	return bsearch(&reason, vtd_reasons, vtd_reason_count, sizeof(vtd_reasons[0]),
		       compare_reason);
}

uint64_t vtd_fault_counter(const struct vtd_unit *unit, unsigned int reason)
{
	return reason < 256 ? __atomic_load_n(&unit->faults.by_reason[reason], __ATOMIC_RELAXED)
			    : 0;
}

/* --- Life --- */

int vtd_faults_init(struct vtd_unit *unit)
{
	if (!unit->config.fault_records || unit->config.fault_records > VTD_FAULT_RECORDS)
		return -EINVAL;
	return -pthread_mutex_init(&unit->faults.lock, NULL);
}

void vtd_faults_destroy(struct vtd_unit *unit)
{
	pthread_mutex_destroy(&unit->faults.lock);
}

/* Counters live on: they are ours, not the guest's. */
void vtd_faults_reset(struct vtd_unit *unit)
{
	struct vtd_faults *faults = &unit->faults;

	pthread_mutex_lock(&faults->lock);
	for (unsigned int i = 0; i < VTD_FAULT_RECORDS; i++)
		faults->record[i].low = faults->record[i].high = 0;
	faults->next = 0;
	faults->status = 0;
	pthread_mutex_unlock(&faults->lock);
}

/* --- Status. All of this with faults.lock held. --- */

/* The record that has been pending for longest, or -1. */
static int first_pending(const struct vtd_unit *unit)
{
	const struct vtd_faults *faults = &unit->faults;
	unsigned int count = unit->config.fault_records;

	for (unsigned int i = 0; i < count; i++) {
		unsigned int at = (faults->next + i) % count;

		if (faults->record[at].high & VTD_FRCD1_F)
			return (int)at;
	}
	return -1;
}

static uint32_t status(const struct vtd_unit *unit)
{
	int first = first_pending(unit);

	if (first < 0)
		return unit->faults.status;
	return unit->faults.status | (uint32_t)VTD_FSTS_PPF |
	       (uint32_t)vtd_put((unsigned int)first, VTD_FSTS_FRI);
}

static bool any_cause(const struct vtd_unit *unit)
{
	return unit->faults.status || first_pending(unit) >= 0;
}

/* --- Recording --- */

static uint64_t record_high(const struct vtd_fault *fault)
{
	/* By enum vtd_fault_type. */
	static const uint64_t type[] = {
		[VTD_FAULT_WRITE] = 0,
		[VTD_FAULT_READ] = VTD_FRCD1_T1,
		[VTD_FAULT_ATOMIC] = VTD_FRCD1_T1 | VTD_FRCD1_T2,
		[VTD_FAULT_PAGE_REQUEST] = VTD_FRCD1_T2,
	};
	uint64_t high = VTD_FRCD1_F | type[fault->type] | vtd_put(fault->source, VTD_FRCD1_SID) |
			vtd_put(fault->reason, VTD_FRCD1_FR) |
			vtd_put(fault->address_type, VTD_FRCD1_AT);

	if (fault->pasid == VTD_NO_PASID)
		return high;
	return high | VTD_FRCD1_PP | vtd_put(fault->pasid, VTD_FRCD1_PV) |
	       (fault->execute ? VTD_FRCD1_EXE : 0) | (fault->privileged ? VTD_FRCD1_PRIV : 0);
}

/* True if a pending record says the same of the same page. */
static bool collapse(const struct vtd_unit *unit, uint64_t low, uint64_t high)
{
	const uint64_t same =
		VTD_FRCD1_F | VTD_FRCD1_SID | VTD_FRCD1_FR | VTD_FRCD1_PP | VTD_FRCD1_PV;

	for (unsigned int i = 0; i < unit->config.fault_records; i++)
		if (unit->faults.record[i].low == low &&
		    (unit->faults.record[i].high & same) == (high & same))
			return true;
	return false;
}

enum outcome { RECORDED, COLLAPSED, LOST };

/* 7.2.1: nothing is recorded from an overflow on until software has cleared PFO. */
static enum outcome record(struct vtd_unit *unit, uint64_t low, uint64_t high)
{
	struct vtd_faults *faults = &unit->faults;
	bool quiet;

	if (collapse(unit, low, high))
		return COLLAPSED;
	if (faults->status & VTD_FSTS_PFO)
		return LOST;
	if (faults->record[faults->next].high & VTD_FRCD1_F) {
		faults->status |= (uint32_t)VTD_FSTS_PFO;
		return LOST;
	}
	quiet = !any_cause(unit);
	faults->record[faults->next].low = low;
	faults->record[faults->next].high = high;
	faults->next = (faults->next + 1) % unit->config.fault_records;
	if (quiet)
		vtd_event_raise_locked(unit, VTD_EVENT_FAULT);
	return RECORDED;
}

const char *vtd_pasid_text(uint32_t pasid, char text[VTD_PASID_TEXT])
{
	text[0] = 0;
	if (pasid != VTD_NO_PASID)
		snprintf(text, VTD_PASID_TEXT, " pasid 0x%x", pasid);
	return text;
}

static void trace(const struct vtd_fault *fault, enum outcome outcome)
{
	static const char *const types[] = {
		[VTD_FAULT_WRITE] = "write",
		[VTD_FAULT_READ] = "read",
		[VTD_FAULT_ATOMIC] = "atomic",
		[VTD_FAULT_PAGE_REQUEST] = "page request",
	};
	static const char *const outcomes[] = {
		[RECORDED] = "",
		[COLLAPSED] = ", again",
		[LOST] = ", lost",
	};
	const struct vtd_reason_info *info = vtd_reason_info(fault->reason);
	char text[VTD_PASID_TEXT];

	vtd_trace_line(fault->requester, "fault %s: %s at 0x%llx%s: %s%s", info ? info->name : "?",
		       types[fault->type], (unsigned long long)fault->address,
		       vtd_pasid_text(fault->pasid, text), info ? info->text : "",
		       outcomes[outcome]);
}

void vtd_fault_record(struct vtd_unit *unit, const struct vtd_fault *fault)
{
	enum outcome outcome;

	__atomic_fetch_add(&unit->faults.by_reason[fault->reason & 0xff], 1, __ATOMIC_RELAXED);
	vtd_count(unit, fault->requester, VTD_COUNT_FAULTS, 1);

	pthread_mutex_lock(&unit->faults.lock);
	outcome = record(unit, fault->address & VTD_FRCD0_FI, record_high(fault));
	pthread_mutex_unlock(&unit->faults.lock);

	if (outcome == LOST)
		vtd_count(unit, fault->requester, VTD_COUNT_FAULTS_LOST, 1);
	if (vtd_tracing(fault->requester))
		trace(fault, outcome);
}

void vtd_fault_queue_error(struct vtd_unit *unit, uint32_t bit)
{
	bool quiet;

	pthread_mutex_lock(&unit->faults.lock);
	quiet = !any_cause(unit);
	unit->faults.status |= bit & (uint32_t)(VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE);
	/* Software that has not seen an earlier cause yet will see this one with it (11.4.7.2). */
	if (quiet)
		vtd_event_raise_locked(unit, VTD_EVENT_FAULT);
	pthread_mutex_unlock(&unit->faults.lock);
}

/* --- The guest's accesses --- */

uint32_t vtd_fsts_read(struct vtd_unit *unit)
{
	uint32_t value;

	pthread_mutex_lock(&unit->faults.lock);
	value = status(unit);
	pthread_mutex_unlock(&unit->faults.lock);
	return value;
}

void vtd_fsts_write(struct vtd_unit *unit, uint32_t value)
{
	pthread_mutex_lock(&unit->faults.lock);
	unit->faults.status &= ~value;
	if (!any_cause(unit))
		vtd_event_settled_locked(unit, VTD_EVENT_FAULT);
	pthread_mutex_unlock(&unit->faults.lock);
}

uint64_t vtd_frcd_read(struct vtd_unit *unit, unsigned int index, bool high)
{
	uint64_t value;

	if (index >= unit->config.fault_records)
		return 0;
	pthread_mutex_lock(&unit->faults.lock);
	value = high ? unit->faults.record[index].high : unit->faults.record[index].low;
	pthread_mutex_unlock(&unit->faults.lock);
	return value;
}

void vtd_frcd_write(struct vtd_unit *unit, unsigned int index, bool high, uint64_t value)
{
	if (index >= unit->config.fault_records || !high)
		return;
	pthread_mutex_lock(&unit->faults.lock);
	unit->faults.record[index].high &= ~(value & VTD_FRCD1_F);
	if (!any_cause(unit))
		vtd_event_settled_locked(unit, VTD_EVENT_FAULT);
	pthread_mutex_unlock(&unit->faults.lock);
}
