/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vtd_translate(): what the requester used last, its entry and the IOTLB, a walk, or a fault.
 *
 * The order of a walk matters. The entry is looked up after the count of entry invalidations is
 * read, and the count is read again before the result is cached: so whoever changes an entry and
 * invalidates first entries, then the IOTLB, as 6.5 asks, never finds a translation of the old
 * entry in the IOTLB afterwards.
 */
#include <inttypes.h>

#include "viommu/access.h"
#include "viommu/recent.h"
#include "viommu/unit.h"
#include "viommu/walk.h"

/* Where nothing is translated there are no pages; device-TLBs are given blocks of this size. */
#define IDENTITY_SHIFT 30

/* A request on its way. */
struct job {
	struct vtd_unit *unit;
	const struct vtd_request *request;
	struct vtd_result *result;
	struct vtd_entry entry;
	uint64_t epoch;	     /* from before anything was looked for */
	unsigned int access; /* of enum vtd_access, as the entry has it; VTD_ZERO_LENGTH */
};

/* --- Results --- */

/*
 * A translation of 2^@shift bytes. Requests without PASID never reach the interrupt range as DMA,
 * whatever page it lies in.
 */
static void succeed(struct job *job, uint64_t gpa, uint8_t shift)
{
	const struct vtd_request *request = job->request;
	struct vtd_result *result = job->result;
	uint64_t page, left;

	if (!vtd_has_pasid(request))
		shift = vtd_outside_interrupts(request->iova, shift);
	page = VTD_BIT(shift);
	left = page - (request->iova & (page - 1));
	result->gpa = gpa;
	result->len = request->len < left ? request->len : left;
	result->page = page;
	result->permitted = request->access;
	result->global = false;
	result->untranslated_only = false;
}

static void trace(const struct job *job, const char *how)
{
	const struct vtd_request *request = job->request;
	static const char *const names[] = { [VTD_UNTRANSLATED] = "dma",
					     [VTD_TRANSLATION] = "ats",
					     [VTD_TRANSLATED] = "translated" };

	if (!vtd_tracing(request->requester))
		return;
	vtd_trace_line(
		request->requester,
		"%s %s pasid %" PRId32 " iova 0x%" PRIx64 "+0x%" PRIx64 " %s%s%s -> 0x%" PRIx64
		"+0x%" PRIx64,
		names[request->type], how, (int32_t)request->pasid, request->iova, request->len,
		request->access & VTD_READ ? "r" : "", request->access & VTD_WRITE ? "w" : "",
		request->access & VTD_EXECUTE ? "x" : "", job->result->gpa, job->result->len);
}

/* --- Faults (7.1) --- */

static bool is_recorded(const struct job *job, enum vtd_reason reason)
{
	const struct vtd_reason_info *info = vtd_reason_info(reason);

	return !(job->entry.fpd && info && info->qualified);
}

/* A translation request may fail for a reason that is an answer: nothing is permitted (7.1.4). */
static bool is_answer(const struct job *job, enum vtd_reason reason)
{
	const struct vtd_reason_info *info = vtd_reason_info(reason);

	return job->request->type == VTD_TRANSLATION && info && info->recoverable;
}

/* Ends the request with @reason. Returns what vtd_translate() is to return. */
static int fail(struct job *job, enum vtd_reason reason)
{
	const struct vtd_request *request = job->request;
	bool pasid = vtd_has_pasid(request);

	*job->result = (struct vtd_result){ 0 };
	if (is_answer(job, reason)) {
		job->result->page = VTD_BIT(12);
		trace(job, "nothing");
		return 0;
	}
	if (!is_recorded(job, reason)) {
		if (vtd_tracing(request->requester))
			vtd_trace_line(request->requester,
				       "fault 0x%02x at 0x%" PRIx64 " not recorded (FPD)", reason,
				       request->iova);
		return -EFAULT;
	}
	vtd_entry_count(job->unit, request->requester, request->pasid, VTD_COUNT_FAULTS);
	vtd_fault_record(job->unit, &(struct vtd_fault){
					    .requester = request->requester,
					    .source = request->requester->source,
					    .pasid = request->pasid,
					    .address = request->iova,
					    .reason = reason,
					    .type = request->access & VTD_WRITE ? VTD_FAULT_WRITE
										: VTD_FAULT_READ,
					    .execute = pasid && request->access & VTD_EXECUTE,
					    .privileged = pasid && request->access & VTD_PRIVILEGED,
					    .address_type = (uint8_t)request->type,
				    });
	return -EFAULT;
}
_Static_assert(VTD_UNTRANSLATED == 0 && VTD_TRANSLATION == 1 && VTD_TRANSLATED == 2,
	       "they are the values of AT");

static enum vtd_reason interrupt_reason(const struct job *job)
{
	return job->entry.legacy ? VTD_LGN_INTERRUPT : VTD_SGN_INTERRUPT;
}

/* --- Translation --- */

static struct vtd_iotlb_key key_of(const struct job *job)
{
	return (struct vtd_iotlb_key){
		.did = job->entry.did,
		.pasid = vtd_is_first_stage(&job->entry) ? job->entry.pasid : VTD_NO_PASID,
		.nested = job->entry.pgtt == VTD_PGTT_NESTED,
		.iova = job->request->iova,
	};
}

static void finish(struct job *job, const struct vtd_translation *translation)
{
	uint64_t offset = VTD_BIT(translation->page_shift) - 1;
	struct vtd_result *result = job->result;

	succeed(job, translation->gpa | (job->request->iova & offset), translation->page_shift);
	if (job->request->type != VTD_TRANSLATION) {
		unsigned int all = job->access | VTD_RECENT_RWX;

		if (vtd_is_first_stage(&job->entry) && !job->entry.ere)
			all &= ~(unsigned int)VTD_EXECUTE;
		if (!(job->access & VTD_ZERO_LENGTH))
			vtd_recent_keep(job->unit, job->request, job->epoch, result,
					vtd_permitted(&job->entry, all, translation->permissions) &
						VTD_RECENT_RWX,
					false);
		return;
	}
	result->permitted = vtd_permitted(&job->entry, job->access, translation->permissions);
	if (result->permitted && job->request->access & VTD_PRIVILEGED &&
	    vtd_has_pasid(job->request))
		result->permitted |= VTD_PRIVILEGED;
	result->global = vtd_has_pasid(job->request) && translation->permissions & VTD_TLB_GLOBAL;
}

/* True if the IOTLB has the answer. job->entry is valid. */
static bool hit(struct job *job)
{
	struct vtd_counters *counters = &job->request->requester->counters;
	struct vtd_iotlb_key key = key_of(job);
	struct vtd_translation translation;

	if (!vtd_iotlb_lookup(job->unit, &key, &translation) ||
	    !vtd_is_permitted(&job->entry, job->access, translation.permissions))
		return false;
	vtd_count_fast(counters, VTD_COUNT_IOTLB_HITS);
	finish(job, &translation);
	return true;
}

static void count_walk(struct job *job)
{
	static const enum vtd_counter counters[] = { [VTD_PGTT_FS] = VTD_COUNT_WALKS_FS,
						     [VTD_PGTT_SS] = VTD_COUNT_WALKS_SS,
						     [VTD_PGTT_NESTED] = VTD_COUNT_WALKS_NESTED };
	struct vtd_requester *requester = job->request->requester;

	vtd_count(job->unit, requester, VTD_COUNT_WALKS, 1);
	vtd_count(job->unit, requester, counters[job->entry.pgtt], 1);
	vtd_entry_count(job->unit, requester, job->request->pasid, VTD_COUNT_WALKS);
}

/* Walks by job->entry, which was got when there had been @changes. */
static int walk(struct job *job, uint64_t changes)
{
	struct vtd_iotlb_key key = key_of(job);
	struct vtd_iotlb_fill fill = vtd_iotlb_begin(job->unit, &key);
	struct vtd_translation translation;
	enum vtd_reason reason;

	count_walk(job);
	reason = vtd_walk(job->unit, &job->entry, job->request->iova, job->access,
			  job->request->type == VTD_TRANSLATION, &translation);
	if (reason)
		return fail(job, reason);
	if (vtd_entries_changes(&job->unit->entries) == changes)
		vtd_iotlb_insert(job->unit, &key, &fill, &translation);
	finish(job, &translation);
	trace(job, "walk");
	return 0;
}

/* The address is the guest-physical one. */
static int pass_through(struct job *job)
{
	const struct vtd_request *request = job->request;
	struct vtd_result *result = job->result;

	vtd_count_fast(&request->requester->counters, VTD_COUNT_PASS_THROUGH);
	if (request->iova & vtd_beyond_host(job->unit))
		return fail(job, job->entry.legacy ? VTD_LGN_WIDTH : VTD_SGN_WIDTH);
	/* With a PASID it is a translation like any other, and must not end there (3.14). */
	if (vtd_interrupt_range(request->iova, 1))
		return fail(job, interrupt_reason(job));
	succeed(job, request->iova, vtd_outside_interrupts(request->iova, IDENTITY_SHIFT));
	if (request->type == VTD_TRANSLATION)
		result->permitted = job->access;
	else
		vtd_recent_keep(job->unit, request, job->epoch, result, VTD_RECENT_RWX, true);
	trace(job, "pass-through");
	return 0;
}

/* By job->entry, got when there had been @changes. */
static int translate(struct job *job, uint64_t changes)
{
	enum vtd_reason reason;

	job->access = vtd_access_of(job->request, &job->entry);
	reason = vtd_entry_gate(&job->entry, job->access);
	if (reason)
		return fail(job, reason);
	if (job->entry.pgtt == VTD_PGTT_PT)
		return pass_through(job);
	if (hit(job)) {
		trace(job, "hit");
		return 0;
	}
	return walk(job, changes);
}

/* --- The kinds of requests --- */

/*
 * Without PASID, the interrupt range is not memory (3.14). Interrupts proper do not come here but
 * to vtd_remap_msi(); what does is a read, or a write that is none, and is blocked. A device-TLB is
 * told to send such writes untranslated.
 */
static int interrupt_request(struct job *job)
{
	const struct vtd_request *request = job->request;
	uint64_t left = VTD_INTERRUPT_END - request->iova;

	if (request->type != VTD_TRANSLATION)
		return fail(job, interrupt_reason(job));
	*job->result = (struct vtd_result){
		.gpa = request->iova,
		.len = request->len < left ? request->len : left,
		.page = VTD_BIT(12),
		.permitted = request->access & VTD_WRITE,
		.untranslated_only = true,
	};
	return 0;
}

static enum vtd_reason blocked(const struct vtd_entry *entry)
{
	return entry->legacy ? VTD_LCT_BLOCKED : VTD_SCT_DTE;
}

/* A device-TLB has the address: only whether it may is checked (4.2.3). */
static int translated(struct job *job)
{
	const struct vtd_request *request = job->request;
	enum vtd_reason reason = VTD_OK;

	if (!vtd_entry_cached(job->unit, request->requester, request->pasid, &job->entry))
		reason = vtd_entry_read_context(job->unit, request->requester, request->pasid,
						&job->entry);
	if (!reason && !job->entry.dte)
		reason = blocked(&job->entry);
	if (!reason && vtd_interrupt_range(request->iova, 1))
		reason = interrupt_reason(job);
	if (reason)
		return fail(job, reason);
	vtd_count(job->unit, request->requester, VTD_COUNT_ATS_TRANSLATED, 1);
	succeed(job, request->iova, vtd_outside_interrupts(request->iova, IDENTITY_SHIFT));
	trace(job, "ok");
	return 0;
}

/* Translation is off: DMA goes where it says, and nothing else is supported (no fault either). */
static int untranslated(struct job *job)
{
	const struct vtd_request *request = job->request;

	*job->result = (struct vtd_result){ 0 };
	if (vtd_has_pasid(request) || request->type != VTD_UNTRANSLATED)
		return -EFAULT;
	if (vtd_interrupt_range(request->iova, 1))
		return -EFAULT;
	succeed(job, request->iova, IDENTITY_SHIFT);
	return 0;
}

static int ask(struct job *job)
{
	const struct vtd_request *request = job->request;
	uint64_t changes = vtd_entries_changes(&job->unit->entries);
	enum vtd_reason reason;

	reason = vtd_entry_get(job->unit, request->requester, request->pasid, &job->entry);
	if (!reason && request->type == VTD_TRANSLATION && !job->entry.dte)
		reason = blocked(&job->entry);
	if (reason)
		return fail(job, reason);
	if (!vtd_has_pasid(request) && vtd_interrupt_range(request->iova, 1))
		return interrupt_request(job);
	return translate(job, changes);
}

/* All but what vtd_recent_find() has. Apart, so that that has no part in its stack frame. */
static __attribute__((noinline)) int slow(struct vtd_unit *unit, const struct vtd_request *request,
					  uint64_t epoch, struct vtd_result *result)
{
	struct job job = { .unit = unit, .request = request, .result = result, .epoch = epoch };

	switch (request->type) {
	case VTD_TRANSLATION:
		vtd_count(unit, request->requester, VTD_COUNT_ATS_REQUESTS, 1);
		return ask(&job);
	case VTD_TRANSLATED:
		return translated(&job);
	default:
		return ask(&job);
	}
}

static __attribute__((noinline)) int off(struct vtd_unit *unit, const struct vtd_request *request,
					 struct vtd_result *result)
{
	struct job job = { .unit = unit, .request = request, .result = result };

	return untranslated(&job);
}

int vtd_translate(struct vtd_unit *unit, const struct vtd_request *request,
		  struct vtd_result *result)
{
	uint64_t epoch = vtd_epoch(unit);

	vtd_count_fast(&request->requester->counters, VTD_COUNT_TRANSLATIONS);
	if (!__atomic_load_n(&unit->translation, __ATOMIC_ACQUIRE))
		return off(unit, request, result);
	if (request->type == VTD_UNTRANSLATED && request->len && !vtd_tracing(request->requester) &&
	    vtd_recent_find(unit, request, epoch, result))
		return 0;
	return slow(unit, request, epoch, result);
}

/* After what it counts has taken effect, never before: see recent.h. */
uint64_t vtd_epoch(const struct vtd_unit *unit)
{
	return __atomic_load_n(&unit->iotlb.epoch, __ATOMIC_ACQUIRE) +
	       __atomic_load_n(&unit->entries.epoch, __ATOMIC_ACQUIRE);
}

unsigned int vtd_dma_enter(struct vtd_unit *unit)
{
	return vtd_gate_enter(&unit->gate);
}

void vtd_dma_leave(struct vtd_unit *unit, unsigned int token)
{
	vtd_gate_leave(&unit->gate, token);
}
