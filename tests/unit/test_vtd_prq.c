/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viommu/prq.c: who may ask, what the guest finds in its queue, and who answers when it cannot.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

#define SOURCE 0x0018
#define OTHER  0x0020
#define PASID  0x12345
#define SLOTS  128 /* requests in a queue of one page */

struct world {
	struct vtd_fixture f;
	struct fixture_device *device, *other;
	uint64_t context, directory, table, queue;
};

static void pq_write(struct vtd_unit *unit, unsigned int reg, uint64_t value)
{
	vtd_pq_write(unit, reg, value, UINT64_MAX);
}

/* Scalable mode: SOURCE and OTHER share a PASID directory with one entry, for PASID. */
static void build_tables(struct world *w)
{
	uint64_t root = vtd_fixture_page(&w->f);
	uint64_t control = VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE | VTD_SM_CONTEXT0_PASIDE |
			   VTD_SM_CONTEXT0_PRE | vtd_put(7, VTD_SM_CONTEXT0_PDTS);

	w->context = vtd_fixture_page(&w->f);
	w->directory = vtd_fixture_pages(&w->f, 32);
	w->table = vtd_fixture_page(&w->f);
	vtd_fixture_store(&w->f, root, w->context | VTD_ROOT_P);
	vtd_fixture_store(&w->f, w->context + SOURCE * 32, w->directory | control);
	vtd_fixture_store(&w->f, w->context + OTHER * 32, w->directory | control);
	vtd_fixture_store(&w->f, w->directory + (PASID >> 6) * 8, w->table | VTD_PASIDDIR_P);
	vtd_fixture_store(&w->f, w->table + (PASID & 63) * 64,
			  VTD_PASID0_P | vtd_put(VTD_PGTT_PT, VTD_PASID0_PGTT) |
				  vtd_put(VTD_AW_48, VTD_PASID0_AW));
	vtd_fixture_store(&w->f, w->table + (PASID & 63) * 64 + 8, 1);
	w->f.unit->root = root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM);
	w->f.unit->translation = true;
}

static int setup(void **state)
{
	static struct world w;

	if (vtd_fixture_init(&w.f, NULL))
		return -1;
	w.f.unit->ecap |= VTD_ECAP_PRS | VTD_ECAP_PASID | VTD_ECAP_SMTS | VTD_ECAP_EIM;
	w.device = vtd_fixture_attach(&w.f, SOURCE);
	w.other = vtd_fixture_attach(&w.f, OTHER);
	build_tables(&w);
	w.queue = vtd_fixture_page(&w.f);
	pq_write(w.f.unit, VTD_PQA, w.queue);
	vtd_event_write(w.f.unit, VTD_EVENT_PAGE_REQUEST, 1, 0x51);
	vtd_event_write(w.f.unit, VTD_EVENT_PAGE_REQUEST, 0, 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	vtd_fixture_destroy(&w->f);
	return 0;
}

static struct vtd_page_request ask(struct world *w, unsigned int group)
{
	return (struct vtd_page_request){ .requester = w->device->requester,
					  .pasid = PASID,
					  .address = UINT64_C(0x7fff12345000),
					  .access = VTD_READ,
					  .group = group,
					  .last = true };
}

static int send_group(struct world *w, unsigned int group)
{
	struct vtd_page_request request = ask(w, group);

	return vtd_page_request(w->f.unit, &request);
}

static void respond(struct world *w, unsigned int group, unsigned int code)
{
	vtd_prq_respond(w->f.unit, SOURCE, PASID, group, code);
}

/* --- What the guest finds --- */

static void test_descriptor(void **state)
{
	static const struct {
		uint32_t pasid;
		unsigned int access;
		bool last, private;
		uint64_t word[2];
	} row[] = {
		{ PASID,
		  VTD_READ,
		  true,
		  false,
		  { UINT64_C(0x0001234500180101), UINT64_C(0x7fff12345ffd) } },
		{ PASID,
		  VTD_WRITE,
		  false,
		  false,
		  { UINT64_C(0x0001234500180101), UINT64_C(0x7fff12345ffa) } },
		{ PASID,
		  VTD_READ | VTD_WRITE,
		  true,
		  true,
		  { UINT64_C(0x0001234500180301), UINT64_C(0x7fff12345fff) } },
		{ PASID,
		  VTD_READ | VTD_EXECUTE,
		  true,
		  false,
		  { UINT64_C(0x0011234500180101), UINT64_C(0x7fff12345ffd) } },
		{ PASID,
		  VTD_READ | VTD_PRIVILEGED,
		  true,
		  false,
		  { UINT64_C(0x0021234500180101), UINT64_C(0x7fff12345ffd) } },
		/* A stop marker. */
		{ PASID,
		  0,
		  true,
		  false,
		  { UINT64_C(0x0001234500180101), UINT64_C(0x7fff12345ffc) } },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct vtd_page_request request = ask(w, 511);

		request.pasid = row[i].pasid;
		request.access = row[i].access;
		request.last = row[i].last;
		request.has_private = row[i].private;
		request.private_data[0] = 0x1111;
		request.private_data[1] = 0x2222;
		assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
		assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), (i + 1) * 32);
		assert_int_equal(vtd_fixture_load(&w->f, w->queue + i * 32), row[i].word[0]);
		assert_int_equal(vtd_fixture_load(&w->f, w->queue + i * 32 + 8), row[i].word[1]);
		assert_int_equal(vtd_fixture_load(&w->f, w->queue + i * 32 + 16),
				 row[i].private ? 0x1111 : 0);
		assert_int_equal(vtd_fixture_load(&w->f, w->queue + i * 32 + 24),
				 row[i].private ? 0x2222 : 0);
	}
	assert_int_equal(w->device->responses, 0);
}

/* RID_PASID is 0, which has no entry: software's matter, not a fault. */
static void test_without_pasid(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 3);

	request.pasid = VTD_NO_PASID;
	request.access = VTD_READ | VTD_EXECUTE | VTD_PRIVILEGED;
	assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
	assert_int_equal(vtd_fixture_load(&w->f, w->queue), UINT64_C(0x00180001));
	vtd_prq_respond(w->f.unit, SOURCE, PASID, 3, 0);
	assert_int_equal(w->device->responses, 0);
	vtd_prq_respond(w->f.unit, SOURCE, VTD_NO_PASID, 3, 0);
	assert_int_equal(w->device->responses, 1);
	assert_int_equal(w->device->response[0].pasid, VTD_NO_PASID);
}

static void test_queue_wraps(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 3 * SLOTS; i++) {
		assert_int_equal(send_group(w, i & 511), 0);
		assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), (i + 1) % SLOTS * 32);
		assert_int_equal(vtd_get(vtd_fixture_load(&w->f, w->queue + i % SLOTS * 32 + 8),
					 VTD_PAGE1_PRGI),
				 i & 511);
		pq_write(w->f.unit, VTD_PQH, vtd_pq_read(w->f.unit, VTD_PQT));
		respond(w, i & 511, 0);
	}
	assert_int_equal(w->device->responses, 3 * SLOTS);
	/* Nothing was written beyond the queue. */
	assert_int_equal(vtd_fixture_load(&w->f, w->queue + 4096), 0);
}

/* --- Responses --- */

static void test_responses(void **state)
{
	static const unsigned int codes[] = { VTD_RESPONSE_SUCCESS, VTD_RESPONSE_INVALID,
					      VTD_RESPONSE_FAILURE };
	struct world *w = *state;

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(send_group(w, 7), 0);
		assert_int_equal(w->device->responses, i);
		respond(w, 7, codes[i]);
		assert_int_equal(w->device->responses, i + 1);
		assert_int_equal(w->device->response[i].code, codes[i]);
		assert_int_equal(w->device->response[i].group, 7);
		assert_int_equal(w->device->response[i].pasid, PASID);
	}
	assert_true(vtd_counter(w->f.unit, VTD_COUNT_PAGE_REQUEST_NS) > 0);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_PAGE_REQUESTS), 3);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_PAGE_RESPONSES), 3);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_PAGE_AUTO_RESPONSES), 0);
}

static void add_page_requests(void *context, const struct vtd_pasid_info *info)
{
	uint64_t *requests = context;

	if (info->source == SOURCE && info->pasid == PASID)
		*requests += info->page_requests;
}

/* By PASID, those count that the guest gets to see. */
static void test_counted_by_pasid(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 1);
	uint64_t requests = 0;

	assert_int_equal(send_group(w, 1), 0);
	request.requester = w->other->requester;
	assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
	w->f.unit->translation = false;
	assert_int_equal(send_group(w, 2), -EAGAIN);
	w->f.unit->translation = true;
	assert_int_equal(send_group(w, 3), 0);
	vtd_each_pasid(w->f.unit, add_page_requests, &requests);
	assert_int_equal(requests, 2);
}

static void test_responses_that_nobody_waits_for(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_group(w, 7), 0);
	vtd_prq_respond(w->f.unit, SOURCE, PASID, 8, 0);
	vtd_prq_respond(w->f.unit, SOURCE, PASID + 1, 7, 0);
	vtd_prq_respond(w->f.unit, SOURCE, VTD_NO_PASID, 7, 0);
	vtd_prq_respond(w->f.unit, OTHER, PASID, 7, 0);
	vtd_prq_respond(w->f.unit, 0x1234, PASID, 7, 0);
	assert_int_equal(w->device->responses + w->other->responses, 0);
	respond(w, 7, 0);
	respond(w, 7, 0);
	assert_int_equal(w->device->responses, 1);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_PAGE_RESPONSES), 7);
	assert_int_equal(vtd_requester_counter(w->device->requester, VTD_COUNT_PAGE_RESPONSES), 1);
}

static void test_groups(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 5);

	request.last = false;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
	/* Not complete: nothing to answer. */
	respond(w, 5, 0);
	assert_int_equal(w->device->responses, 0);
	request.last = true;
	assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
	respond(w, 5, 0);
	assert_int_equal(w->device->responses, 1);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 4 * 32);
}

static void test_stop_marker_has_no_answer(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 0);

	request.access = 0;
	assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
	respond(w, 0, 0);
	w->f.unit->translation = false;
	assert_int_equal(vtd_page_request(w->f.unit, &request), -EAGAIN);
	assert_int_equal(w->device->responses, 0);
}

static void test_forget(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 0);

	request.requester = w->other->requester;
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(send_group(w, i), 0);
		pq_write(w->f.unit, VTD_PQH, vtd_pq_read(w->f.unit, VTD_PQT));
		request.group = i;
		assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
		pq_write(w->f.unit, VTD_PQH, vtd_pq_read(w->f.unit, VTD_PQT));
	}
	vtd_forget_page_requests(w->f.unit, w->device->requester);
	for (unsigned int i = 0; i < 100; i++) {
		respond(w, i, 0);
		vtd_prq_respond(w->f.unit, OTHER, PASID, i, 0);
	}
	assert_int_equal(w->device->responses, 0);
	assert_int_equal(w->other->responses, 100);
	assert_int_equal(w->f.unit->prq.count, 0);
}

/* --- Who may ask --- */

static void test_admission(void **state)
{
	static const struct {
		uint64_t clear, set; /* of the context entry */
		unsigned int ttm;
		uint32_t pasid;
		unsigned int reason;
		bool recorded;
	} row[] = {
		{ 0, 0, VTD_TTM_LEGACY, PASID, VTD_RTA_LEGACY_PRQ, true },
		{ 0, VTD_SM_CONTEXT0_FPD, VTD_TTM_LEGACY, PASID, VTD_RTA_LEGACY_PRQ, true },
		{ VTD_SM_CONTEXT0_P, 0, VTD_TTM_SCALABLE, PASID, VTD_SCT_P, true },
		{ VTD_SM_CONTEXT0_P, VTD_SM_CONTEXT0_FPD, VTD_TTM_SCALABLE, PASID, VTD_SCT_P,
		  false },
		{ VTD_SM_CONTEXT0_PRE, 0, VTD_TTM_SCALABLE, PASID, VTD_SCT_PRE, true },
		{ VTD_SM_CONTEXT0_PRE, 0, VTD_TTM_SCALABLE, VTD_NO_PASID, VTD_SCT_PRE, true },
		{ VTD_SM_CONTEXT0_PRE, VTD_SM_CONTEXT0_FPD, VTD_TTM_SCALABLE, PASID, VTD_SCT_PRE,
		  false },
		{ VTD_SM_CONTEXT0_PASIDE, 0, VTD_TTM_SCALABLE, PASID, VTD_SCT_PASIDE, true },
		{ VTD_SM_CONTEXT0_PDTS, 0, VTD_TTM_SCALABLE, PASID, VTD_SCT_PASID, true },
	};
	struct world *w = *state;
	uint64_t at = w->context + SOURCE * 32, good = vtd_fixture_load(&w->f, at);
	uint64_t root = w->f.unit->root & VTD_RTADDR_RTA;
	unsigned int faults = 0;

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct vtd_page_request request = ask(w, 9);
		uint64_t high;

		request.pasid = row[i].pasid;
		w->f.unit->root = root | vtd_put(row[i].ttm, VTD_RTADDR_TTM);
		vtd_fixture_store(&w->f, at, (good & ~row[i].clear) | row[i].set);
		vtd_entries_invalidate_all(w->f.unit);
		assert_int_equal(vtd_page_request(w->f.unit, &request), -EFAULT);
		assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 0);
		assert_int_equal(w->device->responses, i + 1);
		assert_int_equal(w->device->response[i].code, VTD_RESPONSE_FAILURE);
		faults += row[i].recorded;
		assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_FAULTS), faults);
		if (!row[i].recorded)
			continue;
		high = vtd_frcd_read(w->f.unit, (faults - 1) % 8, true);
		assert_int_equal(vtd_get(high, VTD_FRCD1_FR), row[i].reason);
		assert_int_equal(high & (VTD_FRCD1_T1 | VTD_FRCD1_T2), VTD_FRCD1_T2);
		assert_int_equal(vtd_get(high, VTD_FRCD1_SID), SOURCE);
		vtd_frcd_write(w->f.unit, (faults - 1) % 8, true, VTD_FRCD1_F);
	}
}

/* The guest clears an entry first and drains afterwards: it must see what was asked until then. */
static void test_pasid_table_has_no_say(void **state)
{
	struct world *w = *state;

	vtd_fixture_store(&w->f, w->table + (PASID & 63) * 64, VTD_PASID0_FPD);
	vtd_entries_invalidate_all(w->f.unit);
	assert_int_equal(send_group(w, 1), 0);
	vtd_fixture_store(&w->f, w->directory + (PASID >> 6) * 8, 0);
	vtd_entries_invalidate_all(w->f.unit);
	assert_int_equal(send_group(w, 2), 0);
	vtd_fixture_store(&w->f, w->directory + (PASID >> 6) * 8, FIXTURE_MEMORY | VTD_PASIDDIR_P);
	vtd_entries_invalidate_all(w->f.unit);
	assert_int_equal(send_group(w, 3), 0);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_FAULTS), 0);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 3 * 32);
}

static void test_translation_or_feature_off(void **state)
{
	struct world *w = *state;

	w->f.unit->translation = false;
	assert_int_equal(send_group(w, 1), -EAGAIN);
	w->f.unit->translation = true;
	w->f.unit->ecap &= ~VTD_ECAP_PRS;
	assert_int_equal(send_group(w, 2), -EAGAIN);
	assert_int_equal(w->device->responses, 2);
	assert_int_equal(w->device->response[0].code, VTD_RESPONSE_FAILURE);
	assert_int_equal(w->device->response[1].code, VTD_RESPONSE_FAILURE);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 0);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_PAGE_AUTO_RESPONSES), 2);
}

/* Memory that is seen just before somebody else resets the unit. */
struct reset_between {
	struct vtd_unit *unit;
	const struct vtd_memory_ops *memory;
	void *memory_context;
	unsigned int accesses; /* to go */
};

static void *ptr_and_reset(void *context, uint64_t gpa, uint64_t len)
{
	struct reset_between *between = context;

	if (between->accesses && !--between->accesses)
		vtd_reset(between->unit);
	return between->memory->ptr(between->memory_context, gpa, len);
}

/* A request that was admitted before the reset has no queue any more: nothing is at GPA 0. */
static void test_reset_while_asking(void **state)
{
	static const struct vtd_memory_ops ops = { .ptr = ptr_and_reset };
	struct world *w = *state;
	struct vtd_unit *unit = w->f.unit;
	struct reset_between between = { unit, unit->memory, unit->memory_context, 2 };

	unit->memory = &ops;
	unit->memory_context = &between;
	assert_int_equal(send_group(w, 1), -EAGAIN);
	assert_int_equal(between.accesses, 0);
	unit->memory = between.memory;
	unit->memory_context = between.memory_context;
	/* It was not the tables that refused it. */
	assert_int_equal(vtd_counter(unit, VTD_COUNT_FAULTS), 0);
	assert_int_equal(w->device->responses, 1);
	assert_int_equal(w->device->response[0].code, VTD_RESPONSE_FAILURE);
	for (unsigned int i = 0; i < 32; i += 8)
		assert_int_equal(vtd_fixture_load(&w->f, i), 0);
	assert_int_equal(vtd_pq_read(unit, VTD_PQT), 0);
	assert_int_equal(unit->prq.count, 0);
	assert_false(vtd_event_read(unit, VTD_EVENT_PAGE_REQUEST, 0) & VTD_EVENT_IP);
}

/* --- Overflow --- */

static void fill(struct world *w)
{
	for (unsigned int i = 0; i < SLOTS - 1; i++)
		assert_int_equal(send_group(w, i), 0);
}

static void test_overflow(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 300);

	fill(w);
	assert_int_equal(vtd_prs_read(w->f.unit), VTD_PRS_PPR);
	assert_int_equal(send_group(w, 300), -EAGAIN);
	assert_int_equal(vtd_prs_read(w->f.unit), VTD_PRS_PPR | VTD_PRS_PRO);
	assert_int_equal(w->device->responses, 1);
	assert_int_equal(w->device->response[0].code, VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->device->response[0].group, 300);
	/* Only the last of a group is answered. */
	request.last = false;
	assert_int_equal(vtd_page_request(w->f.unit, &request), -EAGAIN);
	assert_int_equal(w->device->responses, 1);
	/* Room does not help until software has taken note. */
	pq_write(w->f.unit, VTD_PQH, vtd_pq_read(w->f.unit, VTD_PQT));
	assert_int_equal(send_group(w, 301), -EAGAIN);
	vtd_prs_write(w->f.unit, VTD_PRS_PPR);
	assert_int_equal(send_group(w, 301), -EAGAIN);
	vtd_prs_write(w->f.unit, VTD_PRS_PRO);
	assert_int_equal(send_group(w, 301), 0);
	/* What was answered automatically is not outstanding; what was queued is. */
	respond(w, 300, 0);
	assert_int_equal(w->device->responses, 3);
	respond(w, 301, 0);
	respond(w, 0, 0);
	assert_int_equal(w->device->responses, 5);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_PAGE_AUTO_RESPONSES), 3);
}

/* Of a full table of outstanding groups nobody is lost, and who comes after is told at once. */
static void test_outstanding_is_bounded(void **state)
{
	struct world *w = *state;
	struct vtd_page_request request = ask(w, 0);

	for (unsigned int i = 0; i < VTD_PRQ_OUTSTANDING; i++) {
		request.pasid = PASID - i / 512;
		request.group = i % 512;
		assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
		pq_write(w->f.unit, VTD_PQH, vtd_pq_read(w->f.unit, VTD_PQT));
	}
	request.pasid = PASID - 5;
	assert_int_equal(vtd_page_request(w->f.unit, &request), -EAGAIN);
	assert_int_equal(w->device->response[0].code, VTD_RESPONSE_SUCCESS);
	assert_false(vtd_prs_read(w->f.unit) & VTD_PRS_PRO);
	/* A group that is outstanding is not counted twice. */
	request.pasid = PASID;
	assert_int_equal(vtd_page_request(w->f.unit, &request), 0);
	for (unsigned int i = 0; i < VTD_PRQ_OUTSTANDING; i++)
		vtd_prq_respond(w->f.unit, SOURCE, PASID - i / 512, i % 512, 0);
	assert_int_equal(w->device->responses, VTD_PRQ_OUTSTANDING + 1);
	assert_int_equal(w->f.unit->prq.count, 0);
	assert_int_equal(send_group(w, 0), 0);
}

/* --- Events --- */

static void test_event(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_group(w, 1), 0);
	assert_int_equal(w->f.msis, 1);
	assert_int_equal(w->f.msi[0].data, 0x51);
	assert_int_equal(send_group(w, 2), 0);
	assert_int_equal(w->f.msis, 1);
	vtd_prs_write(w->f.unit, VTD_PRS_PPR);
	assert_int_equal(vtd_prs_read(w->f.unit), 0);
	assert_int_equal(send_group(w, 3), 0);
	assert_int_equal(w->f.msis, 2);
}

static void test_event_of_overflow(void **state)
{
	struct world *w = *state;

	fill(w);
	vtd_prs_write(w->f.unit, VTD_PRS_PPR);
	assert_int_equal(w->f.msis, 1);
	assert_int_equal(send_group(w, 300), -EAGAIN);
	assert_int_equal(w->f.msis, 2);
	assert_int_equal(send_group(w, 300), -EAGAIN);
	assert_int_equal(w->f.msis, 2);
}

static void test_event_settles(void **state)
{
	struct world *w = *state;

	vtd_event_write(w->f.unit, VTD_EVENT_PAGE_REQUEST, 0, VTD_EVENT_IM);
	assert_int_equal(send_group(w, 1), 0);
	assert_true(vtd_event_read(w->f.unit, VTD_EVENT_PAGE_REQUEST, 0) & VTD_EVENT_IP);
	vtd_prs_write(w->f.unit, UINT32_MAX);
	assert_false(vtd_event_read(w->f.unit, VTD_EVENT_PAGE_REQUEST, 0) & VTD_EVENT_IP);
	vtd_event_write(w->f.unit, VTD_EVENT_PAGE_REQUEST, 0, 0);
	assert_int_equal(w->f.msis, 0);
}

/* --- Hostile registers --- */

static void test_registers(void **state)
{
	struct world *w = *state;

	pq_write(w->f.unit, VTD_PQH, UINT64_MAX);
	pq_write(w->f.unit, VTD_PQT, UINT64_MAX);
	pq_write(w->f.unit, VTD_PQA, UINT64_MAX);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQH), 0x7ffe0);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 0x7ffe0);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQA), ((UINT64_C(1) << 46) - 4096) | 7);
	vtd_prs_write(w->f.unit, UINT32_MAX);
	assert_int_equal(vtd_prs_read(w->f.unit), 0);
	vtd_reset(w->f.unit);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQH) | vtd_pq_read(w->f.unit, VTD_PQT) |
				 vtd_pq_read(w->f.unit, VTD_PQA),
			 0);
}

static void test_queue_that_is_not_in_memory(void **state)
{
	struct world *w = *state;

	pq_write(w->f.unit, VTD_PQA, FIXTURE_MEMORY);
	assert_int_equal(send_group(w, 1), -EAGAIN);
	assert_int_equal(w->device->response[0].code, VTD_RESPONSE_FAILURE);
	assert_int_equal(vtd_prs_read(w->f.unit), 0);
	/* Its end is not: the requests that fit are written. */
	pq_write(w->f.unit, VTD_PQA, (FIXTURE_MEMORY - 4096) | 1);
	pq_write(w->f.unit, VTD_PQT, 4096 - 32);
	assert_int_equal(send_group(w, 2), 0);
	assert_int_equal(send_group(w, 3), -EAGAIN);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 4096);
	/* Neither of those that failed is outstanding. */
	respond(w, 1, 0);
	respond(w, 3, 0);
	assert_int_equal(w->device->responses, 2);
}

static void test_offsets_beyond_the_queue(void **state)
{
	struct world *w = *state;

	pq_write(w->f.unit, VTD_PQT, 0x7ffe0);
	pq_write(w->f.unit, VTD_PQH, 0x7f000);
	/* The same as offsets 4064 and 0 of this queue of one page: it is full. */
	assert_int_equal(send_group(w, 1), -EAGAIN);
	vtd_prs_write(w->f.unit, VTD_PRS_PRO);
	pq_write(w->f.unit, VTD_PQH, 0x7f020);
	assert_int_equal(send_group(w, 1), 0);
	assert_int_equal(vtd_get(vtd_fixture_load(&w->f, w->queue + 4064), VTD_PAGE0_TYPE), 1);
	assert_int_equal(vtd_pq_read(w->f.unit, VTD_PQT), 0);
}

/* --- Threads --- */

#define THREADS	 4
#define REQUESTS 2000

struct asker {
	struct world *world;
	struct vtd_requester *requester;
	unsigned int group, answers; /* atomic */
	unsigned int queued;
	pthread_t thread;
};

static void count_answer(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	struct asker *asker = context;

	assert_true(pasid == PASID && group == asker->group && code == VTD_RESPONSE_SUCCESS);
	__atomic_fetch_add(&asker->answers, 1, __ATOMIC_RELEASE);
}

static const struct vtd_requester_ops asker_ops = { NULL, count_answer };

/* Asks, and asks again when it has its answer. */
static void *keep_asking(void *argument)
{
	struct asker *asker = argument;
	struct vtd_page_request request = ask(asker->world, asker->group);

	request.requester = asker->requester;
	for (unsigned int i = 0; i < REQUESTS; i++) {
		asker->queued += !vtd_page_request(asker->world->f.unit, &request);
		while (__atomic_load_n(&asker->answers, __ATOMIC_ACQUIRE) == i)
			sched_yield();
	}
	return NULL;
}

/* As Linux does: PPR first, then from head to tail, then PRO once the queue is empty. */
static unsigned int serve(struct world *w)
{
	struct vtd_unit *unit = w->f.unit;
	uint64_t head = vtd_pq_read(unit, VTD_PQH), tail;
	unsigned int served = 0;

	vtd_prs_write(unit, VTD_PRS_PPR);
	tail = vtd_pq_read(unit, VTD_PQT);
	for (; head != tail; head = (head + 32) & 4095, served++) {
		uint64_t low = vtd_fixture_load(&w->f, w->queue + head);
		uint64_t high = vtd_fixture_load(&w->f, w->queue + head + 8);

		assert_int_equal(vtd_get(low, VTD_PAGE0_TYPE), VTD_PAGE_TYPE);
		vtd_prq_respond(unit, (uint16_t)vtd_get(low, VTD_PAGE0_RID),
				(uint32_t)vtd_get(low, VTD_PAGE0_PASID),
				(unsigned int)vtd_get(high, VTD_PAGE1_PRGI), 0);
	}
	pq_write(unit, VTD_PQH, tail);
	if (vtd_prs_read(unit) & VTD_PRS_PRO && vtd_pq_read(unit, VTD_PQT) == tail)
		vtd_prs_write(unit, VTD_PRS_PRO);
	return served;
}

static void test_threads(void **state)
{
	struct world *w = *state;
	struct asker asker[THREADS] = { 0 };
	unsigned int served = 0, queued = 0, answers = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		uint16_t source = (uint16_t)(0x28 + i * 8);

		asker[i].world = w;
		asker[i].group = i;
		asker[i].requester = vtd_attach(w->f.unit, source, "asker", &asker_ops, &asker[i]);
		assert_non_null(asker[i].requester);
		vtd_fixture_store(&w->f, w->context + source * 32,
				  vtd_fixture_load(&w->f, w->context + SOURCE * 32));
	}
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&asker[i].thread, NULL, keep_asking, &asker[i]), 0);
	while (answers < THREADS * REQUESTS) {
		served += serve(w);
		answers = 0;
		for (unsigned int i = 0; i < THREADS; i++)
			answers += __atomic_load_n(&asker[i].answers, __ATOMIC_ACQUIRE);
		sched_yield();
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(asker[i].thread, NULL);
		queued += asker[i].queued;
	}
	assert_int_equal(served, queued);
	assert_int_equal(answers, THREADS * REQUESTS);
	assert_int_equal(w->f.unit->prq.count, 0);
}

/* --- Trace --- */

static void test_trace(void **state)
{
	struct world *w = *state;
	char lines[2048] = "";

	vtd_trace(w->f.unit, w->device->requester, vtd_fixture_keep_line, lines);
	assert_int_equal(send_group(w, 17), 0);
	respond(w, 17, VTD_RESPONSE_INVALID);
	respond(w, 17, VTD_RESPONSE_INVALID);
	w->f.unit->translation = false;
	assert_int_equal(send_group(w, 18), -EAGAIN);
	vtd_trace(w->f.unit, w->device->requester, NULL, NULL);
	assert_non_null(strstr(
		lines, "page request: group 17 (last) pasid 0x12345 at 0x7fff12345000, r-\n"));
	assert_non_null(strstr(lines, "page response: group 17 pasid 0x12345 invalid\n"));
	assert_non_null(
		strstr(lines, "page response: group 17 pasid 0x12345 invalid, not outstanding\n"));
	assert_non_null(strstr(lines, "page request: group 18 pasid 0x12345 refused: failure\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_descriptor),
		TEST(test_without_pasid),
		TEST(test_queue_wraps),
		TEST(test_responses),
		TEST(test_counted_by_pasid),
		TEST(test_responses_that_nobody_waits_for),
		TEST(test_groups),
		TEST(test_stop_marker_has_no_answer),
		TEST(test_forget),
		TEST(test_admission),
		TEST(test_pasid_table_has_no_say),
		TEST(test_translation_or_feature_off),
		TEST(test_reset_while_asking),
		TEST(test_overflow),
		TEST(test_outstanding_is_bounded),
		TEST(test_event),
		TEST(test_event_of_overflow),
		TEST(test_event_settles),
		TEST(test_registers),
		TEST(test_queue_that_is_not_in_memory),
		TEST(test_offsets_beyond_the_queue),
		TEST(test_threads),
		TEST(test_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
