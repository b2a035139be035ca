/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests (7.4 to 7.7): sdma asks for pages, and this guest's own code serves them, refuses
 * them, or has its queue off or full.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "vtd/tests.h"

#define QUEUE_IOVA 0x10000000UL
#define SOURCE	   0x30000000UL
#define TARGET	   0x30100000UL
#define PASID	   0x4321
#define DID	   9
#define PRQ_BYTES  PAGE_SIZE
#define PAGES	   4

struct server {
	struct world *w;
	uint8_t *queue;
	uintptr_t first; /* the table to map into */
	void *queue_page;
	unsigned int requests, groups, wrong;
	enum vtd_response_code answer;
	uint64_t pattern;
};

static void respond(struct server *s, const uint64_t *request)
{
	struct vtd_desc response = {
		{ VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P |
			  vtd_put(s->answer, VTD_RESPONSE_RC) |
			  vtd_put(vtd_get(request[0], VTD_PAGE0_RID), VTD_RESPONSE_RID) |
			  vtd_put(vtd_get(request[0], VTD_PAGE0_PASID), VTD_DESC_PASID),
		  vtd_put(vtd_get(request[1], VTD_PAGE1_PRGI), VTD_RESPONSE1_PRGI) }
	};

	s->groups++;
	vtd_queue_add(&s->w->vtd, &response);
	vtd_queue_go(&s->w->vtd);
}

static void serve(struct server *s, const uint64_t *request)
{
	uint64_t address = request[1] & VTD_PAGE1_ADDR;

	s->requests++;
	if (vtd_get(request[0], VTD_PAGE0_TYPE) != VTD_PAGE_TYPE ||
	    vtd_get(request[0], VTD_PAGE0_RID) != s->w->sdma.devfn ||
	    !(request[0] & VTD_PAGE0_PASID_P) || vtd_get(request[0], VTD_PAGE0_PASID) != PASID)
		s->wrong++;
	if (s->answer == VTD_RESPONSE_SUCCESS)
		vtd_map(s->first, 4, address, (uintptr_t)pattern_page(address), PAGE_SIZE,
			VTD_FS_ALL, VTD_FS_ALL);
	if (request[1] & VTD_PAGE1_LPIG)
		respond(s, request);
}

/* Serves what is queued. Bound: a queue full. */
static void serve_all(struct server *s)
{
	struct vtd *vtd = &s->w->vtd;

	for (unsigned int i = 0; i < PRQ_BYTES / VTD_PAGE_BYTES; i++) {
		uint64_t head = vtd_get64(vtd, VTD_PQH);
		uint64_t request[4];

		if (head == vtd_get64(vtd, VTD_PQT))
			return;
		memcpy(request, s->queue + head, sizeof(request));
		vtd_set64(vtd, VTD_PQH, (head + VTD_PAGE_BYTES) % PRQ_BYTES);
		serve(s, request);
	}
}

static uint8_t do_and_serve(struct server *s, struct sdma_queue *q,
			    const struct sdma_descriptor *descriptor)
{
	const volatile struct sdma_completion *completion = sdma_submit(q, descriptor);
	uint64_t until = time_us() + VTD_SOON_US;

	while (completion->status == SDMA_PENDING && time_us() < until)
		serve_all(s);
	return completion->status;
}

static struct server open_server(struct world *w, bool queue_on)
{
	struct server s = { .w = w, .queue = pages(1), .first = (uintptr_t)pages(1) };

	s.queue_page = pages(1);
	vtd_new_root(&w->vtd);
	vtd_sm_context_set(&w->vtd, w->sdma.devfn,
			   VTD_SM_CONTEXT0_DTE | VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE);
	vtd_map(s.first, 4, QUEUE_IOVA, (uintptr_t)s.queue_page, PAGE_SIZE, VTD_FS_ALL, VTD_FS_ALL);
	vtd_pasid_set(vtd_pasid_entry(&w->vtd, w->sdma.devfn, PASID), VTD_PGTT_FS, s.first, 0, DID);
	translation_on(w, VTD_TTM_SCALABLE);
	vtd_set64(&w->vtd, VTD_PQH, 0);
	vtd_set64(&w->vtd, VTD_PQT, 0);
	vtd_set64(&w->vtd, VTD_PQA, queue_on ? (uintptr_t)s.queue : NO_RAM);
	vtd_set32(&w->vtd, VTD_PRS, VTD_PRS_PPR | VTD_PRS_PRO);
	sdma_enable(&w->sdma, true, true, true);
	return s;
}

static void close_server(struct server *s, struct sdma_queue *q)
{
	sdma_queue_stop(q);
	sdma_enable(&s->w->sdma, false, false, false);
	translation_off(s->w);
	vtd_set32(&s->w->vtd, VTD_PRS, VTD_PRS_PPR | VTD_PRS_PRO);
}

static const struct sdma_descriptor copy = {
	.operation = SDMA_COPY,
	.flags = SDMA_FLAG_BLOCK,
	.source = SOURCE,
	.destination = TARGET,
	.length = PAGES * PAGE_SIZE,
};

static bool copied(const struct server *s)
{
	/* What the pages hold is told by their addresses; the copies are of the first ones. */
	for (unsigned int i = 0; i < PAGES; i++) {
		uint64_t *table = (uint64_t *)s->first, *at[2];

		for (unsigned int j = 0; j < 2; j++) {
			uint64_t iova = (j ? TARGET : SOURCE) + i * PAGE_SIZE;

			at[j] = table;
			for (int shift = 39; shift >= 12; shift -= 9)
				at[j] = (uint64_t *)(at[j][iova >> shift & 511] & VTD_FS_ADDR);
		}
		if (memcmp(at[0], at[1], PAGE_SIZE))
			return false;
	}
	return true;
}

static void test_served(struct world *w)
{
	struct server s = open_server(w, true);
	struct sdma_queue q;
	uint8_t status;

	trap_clear(VECTOR_PAGE);
	vtd_event_set(&w->vtd, VTD_PECTL, VECTOR_PAGE);
	vtd_event_mask(&w->vtd, VTD_PECTL, false);
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, PASID);
	status = do_and_serve(&s, &q, &copy);
	check_equal(status, SDMA_DONE, "page requests: a copy between pages that were not there");
	check(s.requests >= 2 * PAGES && s.groups && !s.wrong,
	      "page requests: %u came in %u groups, as they should be", s.requests, s.groups);
	check(status == SDMA_DONE && copied(&s), "page requests: the data is right");
	check(vtd_get32(&w->vtd, VTD_PRS) & VTD_PRS_PPR, "PRS: a request was pending");
	check(wait_trap(VECTOR_PAGE, 1, VTD_SOON_US), "the page request event came");
	check_equal(sdma_queue_counter(&q, SDMA_Q_PAGE_REQUESTS), s.requests,
		    "page requests: device and guest count the same");
	vtd_event_mask(&w->vtd, VTD_PECTL, true);
	close_server(&s, &q);
}

static void test_refused(struct world *w, enum vtd_response_code code, uint8_t wanted)
{
	struct server s = open_server(w, true);
	struct sdma_queue q;

	s.answer = code;
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, PASID);
	check_equal(do_and_serve(&s, &q, &copy), wanted, "page response %u reaches the device",
		    code);
	close_server(&s, &q);
}

/* A queue that is nowhere or full: the unit answers by itself, and nothing hangs. */
static void test_no_queue(struct world *w)
{
	struct server s = open_server(w, false);
	struct sdma_queue q;
	uint8_t status;

	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, PASID);
	status = sdma_do(&q, &copy);
	check(status == SDMA_FAILURE || status == SDMA_INVALID || status == SDMA_FAULT,
	      "page requests: a queue outside of memory, and the unit answers itself (%u)", status);
	close_server(&s, &q);
}

static void test_overflow(struct world *w)
{
	struct server s = open_server(w, true);
	struct sdma_queue q;
	uint8_t status;

	/* One entry is left: head is right behind what would be the second tail. */
	vtd_set64(&w->vtd, VTD_PQH, 2 * VTD_PAGE_BYTES);
	vtd_set64(&w->vtd, VTD_PQT, VTD_PAGE_BYTES);
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, PASID);
	status = sdma_do(&q, &copy);
	check(vtd_get32(&w->vtd, VTD_PRS) & VTD_PRS_PRO, "page requests: a full queue is PRO");
	check(status != SDMA_PENDING,
	      "page requests: a full queue, and the unit answers itself (%u)", status);
	vtd_set64(&w->vtd, VTD_PQH, vtd_get64(&w->vtd, VTD_PQT));
	vtd_set32(&w->vtd, VTD_PRS, VTD_PRS_PPR | VTD_PRS_PRO);
	sdma_queue_stop(&q);
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, PASID);
	check_equal(do_and_serve(&s, &q, &copy), SDMA_DONE,
		    "page requests: emptied and cleared, they are served again");
	close_server(&s, &q);
}

/* A response that nobody waits for changes nothing. */
static void test_stray_response(struct world *w)
{
	struct server s = open_server(w, true);
	const uint64_t stray[2] = { VTD_PAGE_TYPE | VTD_PAGE0_PASID_P |
					    vtd_put(w->sdma.devfn, VTD_PAGE0_RID) |
					    vtd_put(PASID, VTD_PAGE0_PASID),
				    vtd_put(77, VTD_PAGE1_PRGI) };
	struct sdma_queue q;

	respond(&s, stray);
	check(vtd_queue_sync(&w->vtd) && !(vtd_get32(&w->vtd, VTD_FSTS) & VTD_FSTS_IQE),
	      "a stray page response is no queue error");
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, PASID);
	check_equal(do_and_serve(&s, &q, &copy), SDMA_DONE, "and the next request is served");
	close_server(&s, &q);
}

void test_page_requests(struct world *w)
{
	if (!(w->vtd.ecap & VTD_ECAP_PRS) || !(w->vtd.ecap & VTD_ECAP_FSTS) || !w->sdma.pri) {
		check_skip("page requests", "the unit or the device has none, or no first stage");
		return;
	}
	test_served(w);
	test_refused(w, VTD_RESPONSE_INVALID, SDMA_INVALID);
	test_refused(w, VTD_RESPONSE_FAILURE, SDMA_FAILURE);
	test_no_queue(w);
	test_overflow(w);
	test_stray_response(w);
}
