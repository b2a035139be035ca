/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests: admitted by the context entry, written to the guest's queue, and answered by the
 * guest, or by the unit itself where the guest cannot (7.4, 7.5).
 *
 * An answer that the unit gives itself is "success" while the queue overflows: the device asks for
 * the translation again, finds it missing and sends a new request, which finds room once the guest
 * has caught up. It is "failure" where trying again cannot help. Only the last request of a group
 * gets an answer, and a stop marker never.
 */
#include "viommu/prq.h"

#include <stdlib.h>
#include <string.h>

#include "viommu/unit.h"

int vtd_prq_init(struct vtd_unit *unit)
{
	unit->prq.outstanding = calloc(VTD_PRQ_SLOTS, sizeof(*unit->prq.outstanding));
	if (!unit->prq.outstanding)
		return -ENOMEM;
	pthread_mutex_init(&unit->prq.lock, NULL);
	return 0;
}

void vtd_prq_destroy(struct vtd_unit *unit)
{
	pthread_mutex_destroy(&unit->prq.lock);
	free(unit->prq.outstanding);
}

/* No cause for an event is left. prq.lock held. */
static void settle(struct vtd_unit *unit)
{
	pthread_mutex_lock(&unit->faults.lock);
	vtd_event_settled_locked(unit, VTD_EVENT_PAGE_REQUEST);
	pthread_mutex_unlock(&unit->faults.lock);
}

void vtd_prq_reset(struct vtd_unit *unit)
{
	struct vtd_prq *prq = &unit->prq;

	pthread_mutex_lock(&prq->lock);
	prq->head = prq->tail = prq->address = 0;
	prq->status = 0;
	prq->count = 0;
	memset(prq->outstanding, 0, VTD_PRQ_SLOTS * sizeof(*prq->outstanding));
	/* Of a request that came in since the events were reset. */
	settle(unit);
	pthread_mutex_unlock(&prq->lock);
}

/* --- Answers: without prq.lock, for the device may do anything but write registers --- */

static void answer(struct vtd_requester *requester, uint32_t pasid, unsigned int group,
		   unsigned int code)
{
	if (requester->host)
		vtd_host_respond(requester, pasid, group, code);
	else if (requester->ops && requester->ops->page_response)
		requester->ops->page_response(requester->context, pasid, group, code);
}

static const char *code_name(unsigned int code)
{
	return code == VTD_RESPONSE_SUCCESS   ? "success"
	       : code == VTD_RESPONSE_INVALID ? "invalid"
					      : "failure";
}

void vtd_prq_respond(struct vtd_unit *unit, uint16_t source, uint32_t pasid, unsigned int group,
		     unsigned int code)
{
	struct vtd_prq_group key = { vtd_find(unit, source), pasid, (uint16_t)group, 0 };
	struct vtd_prq_group *slot;
	char text[VTD_PASID_TEXT];
	uint64_t since = 0;
	bool found = false;

	if (key.requester) {
		pthread_mutex_lock(&unit->prq.lock);
		slot = vtd_prq_find(&unit->prq, &key);
		found = slot->requester;
		since = slot->since;
		if (found)
			vtd_prq_remove(&unit->prq, slot);
		pthread_mutex_unlock(&unit->prq.lock);
	}
	vtd_count(unit, found ? key.requester : NULL, VTD_COUNT_PAGE_RESPONSES, 1);
	if (vtd_tracing(key.requester))
		vtd_trace_line(key.requester, "page response: group %u%s %s%s", group,
			       vtd_pasid_text(pasid, text), code_name(code),
			       found ? "" : ", not outstanding");
	if (!found)
		return;
	vtd_count(unit, key.requester, VTD_COUNT_PAGE_REQUEST_NS, vtd_now() - since);
	answer(key.requester, pasid, group, code);
}

/* What the unit says itself. Returns @error. */
static int refuse(struct vtd_unit *unit, const struct vtd_page_request *request, unsigned int code,
		  int error)
{
	bool marker = !(request->access & (VTD_READ | VTD_WRITE));
	char text[VTD_PASID_TEXT];

	if (vtd_tracing(request->requester))
		vtd_trace_line(request->requester, "page request: group %u%s refused: %s",
			       request->group, vtd_pasid_text(request->pasid, text),
			       code_name(code));
	if (!request->last || marker)
		return error;
	vtd_count(unit, request->requester, VTD_COUNT_PAGE_AUTO_RESPONSES, 1);
	answer(request->requester, request->pasid, request->group, code);
	return error;
}

/* --- Requests --- */

/* The table entries that no page request is judged by: software answers for its own PASIDs. */
static bool beyond_context(enum vtd_reason reason)
{
	return reason >= VTD_SPD_ACCESS;
}

/*
 * Whether the tables let the requester ask at all: VTD_OK or the reason why not. The PASID table
 * has no say. A guest that has just cleared a PASID entry must see what its device had asked until
 * then, to answer and to drain it (7.10).
 */
static enum vtd_reason admit(struct vtd_unit *unit, const struct vtd_page_request *request,
			     bool *silent)
{
	struct vtd_entry entry = { .fpd = false };
	enum vtd_reason reason;

	*silent = false;
	if (vtd_is_legacy(unit))
		return VTD_RTA_LEGACY_PRQ;
	reason = vtd_entry_get(unit, request->requester, request->pasid, &entry);
	*silent = entry.fpd;
	if (reason && !beyond_context(reason))
		return reason;
	return entry.pre ? VTD_OK : VTD_SCT_PRE;
}

static void record_fault(struct vtd_unit *unit, const struct vtd_page_request *request,
			 enum vtd_reason reason, bool silent)
{
	const struct vtd_fault fault = {
		.requester = request->requester,
		.source = request->requester->source,
		.pasid = request->pasid,
		.address = request->address,
		.reason = reason,
		.type = VTD_FAULT_PAGE_REQUEST,
		.execute = request->access & VTD_EXECUTE,
		.privileged = request->access & VTD_PRIVILEGED,
	};

	if (!silent || !vtd_reason_info(reason)->qualified)
		vtd_fault_record(unit, &fault);
}

static void build_descriptor(const struct vtd_page_request *request, uint64_t word[4])
{
	unsigned int access = request->access;

	word[0] = VTD_PAGE_TYPE | vtd_put(request->requester->source, VTD_PAGE0_RID);
	if (request->pasid != VTD_NO_PASID)
		word[0] |= VTD_PAGE0_PASID_P | vtd_put(request->pasid, VTD_PAGE0_PASID) |
			   (access & VTD_EXECUTE ? VTD_PAGE0_EXE : 0) |
			   (access & VTD_PRIVILEGED ? VTD_PAGE0_PRIV : 0);
	word[1] = (request->address & VTD_PAGE1_ADDR) | vtd_put(request->group, VTD_PAGE1_PRGI) |
		  (access & VTD_READ ? VTD_PAGE1_R : 0) | (access & VTD_WRITE ? VTD_PAGE1_W : 0) |
		  (request->last ? VTD_PAGE1_LPIG : 0);
	word[2] = word[3] = 0;
	if (!request->has_private)
		return;
	word[0] |= VTD_PAGE0_PRIV_P;
	word[2] = request->private_data[0];
	word[3] = request->private_data[1];
}

/* Sets @bit of PRS; a cause that software has not seen yet makes no second event (11.4.11.4). */
static void set_status(struct vtd_unit *unit, uint32_t bit)
{
	bool quiet = !unit->prq.status;

	unit->prq.status |= bit;
	if (quiet)
		vtd_event_raise(unit, VTD_EVENT_PAGE_REQUEST);
}

/*
 * Writes @request to the queue. 0; -EAGAIN: overflow; -EFAULT: the queue is not in memory. Offsets
 * beyond the queue, which only software can have set, are taken modulo its size. prq.lock held.
 */
static int enqueue(struct vtd_unit *unit, const struct vtd_page_request *request)
{
	struct vtd_prq *prq = &unit->prq;
	uint64_t size = UINT64_C(4096) << vtd_get(prq->address, VTD_PQA_PQS);
	uint64_t tail = prq->tail & (size - 1), next = (tail + VTD_PAGE_BYTES) & (size - 1);
	uint64_t word[4], *to;

	if (prq->status & VTD_PRS_PRO)
		return -EAGAIN;
	if (next == (prq->head & (size - 1))) {
		set_status(unit, (uint32_t)VTD_PRS_PRO);
		return -EAGAIN;
	}
	to = vtd_ptr(unit, (prq->address & VTD_PQA_PQA) + tail, VTD_PAGE_BYTES);
	if (!to)
		return -EFAULT;
	build_descriptor(request, word);
	for (unsigned int i = 0; i < 4; i++)
		__atomic_store_n(&to[i], word[i], __ATOMIC_RELAXED);
	/* Reading PQT takes the lock: whoever sees the new tail sees the descriptor. */
	prq->tail = next;
	set_status(unit, (uint32_t)VTD_PRS_PPR);
	return 0;
}

static bool is_on(struct vtd_unit *unit)
{
	return vtd_has_ecap(unit, VTD_ECAP_PRS) &&
	       __atomic_load_n(&unit->translation, __ATOMIC_ACQUIRE);
}

/*
 * The last request of a group must be remembered before the guest can answer it. prq.lock held: a
 * reset of the unit, which turns translation off before it takes that, may have come since the
 * request was admitted, and the queue that there is now is nobody's.
 */
static int accept(struct vtd_unit *unit, const struct vtd_page_request *request)
{
	const struct vtd_prq_group group = { request->requester, request->pasid,
					     (uint16_t)request->group, vtd_now() };
	bool answered = request->last && request->access & (VTD_READ | VTD_WRITE);
	bool known;
	int rc;

	if (!is_on(unit))
		return -EFAULT;
	if (!answered)
		return enqueue(unit, request);
	known = vtd_prq_find(&unit->prq, &group)->requester;
	if (!vtd_prq_add(&unit->prq, &group))
		return -EAGAIN;
	rc = enqueue(unit, request);
	if (rc && !known)
		vtd_prq_remove(&unit->prq, vtd_prq_find(&unit->prq, &group));
	return rc;
}

static void trace_queued(const struct vtd_page_request *request)
{
	char text[VTD_PASID_TEXT];

	vtd_trace_line(request->requester, "page request: group %u%s%s at 0x%llx, %s%s",
		       request->group, request->last ? " (last)" : "",
		       vtd_pasid_text(request->pasid, text), (unsigned long long)request->address,
		       request->access & VTD_READ ? "r" : "-",
		       request->access & VTD_WRITE ? "w" : "-");
}

int vtd_page_request(struct vtd_unit *unit, const struct vtd_page_request *request)
{
	enum vtd_reason reason;
	bool silent;
	int rc;

	vtd_count(unit, request->requester, VTD_COUNT_PAGE_REQUESTS, 1);
	if (!is_on(unit))
		return refuse(unit, request, VTD_RESPONSE_FAILURE, -EAGAIN);
	reason = admit(unit, request, &silent);
	if (reason) {
		record_fault(unit, request, reason, silent);
		return refuse(unit, request, VTD_RESPONSE_FAILURE, -EFAULT);
	}

	pthread_mutex_lock(&unit->prq.lock);
	rc = accept(unit, request);
	pthread_mutex_unlock(&unit->prq.lock);

	if (rc)
		return refuse(unit, request,
			      rc == -EAGAIN ? VTD_RESPONSE_SUCCESS : VTD_RESPONSE_FAILURE, -EAGAIN);
	vtd_entry_count(unit, request->requester, request->pasid, VTD_COUNT_PAGE_REQUESTS);
	if (vtd_tracing(request->requester))
		trace_queued(request);
	return 0;
}

void vtd_forget_page_requests(struct vtd_unit *unit, struct vtd_requester *requester)
{
	pthread_mutex_lock(&unit->prq.lock);
	vtd_prq_remove_all(&unit->prq, requester);
	pthread_mutex_unlock(&unit->prq.lock);
}

/* Requests are written in the thread that makes them: who holds the lock has seen them all. */
void vtd_prq_drain(struct vtd_unit *unit)
{
	pthread_mutex_lock(&unit->prq.lock);
	pthread_mutex_unlock(&unit->prq.lock);
}

/* --- The guest's accesses --- */

static uint64_t *pq_register(struct vtd_unit *unit, unsigned int reg)
{
	return reg == VTD_PQH	? &unit->prq.head
	       : reg == VTD_PQT ? &unit->prq.tail
				: &unit->prq.address;
}

uint64_t vtd_pq_read(struct vtd_unit *unit, unsigned int reg)
{
	uint64_t value;

	pthread_mutex_lock(&unit->prq.lock);
	value = *pq_register(unit, reg);
	pthread_mutex_unlock(&unit->prq.lock);
	return value;
}

void vtd_pq_write(struct vtd_unit *unit, unsigned int reg, uint64_t value, uint64_t mask)
{
	uint64_t address = (VTD_PQA_PQA & ~vtd_beyond_host(unit)) | VTD_PQA_PQS;
	uint64_t *at = pq_register(unit, reg);

	mask &= reg == VTD_PQA ? address : VTD_PQ_OFFSET;
	pthread_mutex_lock(&unit->prq.lock);
	*at = (*at & ~mask) | (value & mask);
	pthread_mutex_unlock(&unit->prq.lock);
}

uint32_t vtd_prs_read(struct vtd_unit *unit)
{
	uint32_t value;

	pthread_mutex_lock(&unit->prq.lock);
	value = unit->prq.status;
	pthread_mutex_unlock(&unit->prq.lock);
	return value;
}

void vtd_prs_write(struct vtd_unit *unit, uint32_t value)
{
	pthread_mutex_lock(&unit->prq.lock);
	unit->prq.status &= ~value;
	if (!unit->prq.status)
		settle(unit);
	pthread_mutex_unlock(&unit->prq.lock);
}
