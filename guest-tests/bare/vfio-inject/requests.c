/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests that the host does not hand out at first, and answers that it does not take.
 */
#include "vfio-inject/inject.h"

#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"

#define ANSWER_US 3000000

static const struct sdma_descriptor blocking = { .operation = SDMA_FILL,
						 .flags = SDMA_FLAG_BLOCK,
						 .destination = DATA_IOVA,
						 .length = 8,
						 .operand = 0x5566 };

/* The next request, if one comes in time. */
static bool next_request(const uint8_t *queue, uint64_t request[4])
{
	struct vtd *vtd = &world.vtd;
	uint64_t until = time_us() + ANSWER_US, head = vtd_get64(vtd, VTD_PQH);

	while (vtd_get64(vtd, VTD_PQT) == head)
		if (time_us() > until)
			return false;
	memcpy(request, queue + head, VTD_PAGE_BYTES);
	vtd_set64(vtd, VTD_PQH, (head + VTD_PAGE_BYTES) % PAGE_SIZE);
	return true;
}

static void respond(const uint64_t *request)
{
	const struct vtd_desc response = {
		{ VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P |
			  vtd_put(VTD_RESPONSE_SUCCESS, VTD_RESPONSE_RC) |
			  vtd_put(vtd_get(request[0], VTD_PAGE0_RID), VTD_RESPONSE_RID) |
			  vtd_put(vtd_get(request[0], VTD_PAGE0_PASID), VTD_DESC_PASID),
		  vtd_put(vtd_get(request[1], VTD_PAGE1_PRGI), VTD_RESPONSE1_PRGI) }
	};

	vtd_queue_add(&world.vtd, &response);
	vtd_queue_sync(&world.vtd);
}

/*
 * A page that is not there is asked for, while the host fails as @rules say, mapped, and answered.
 * Returns true if the device then goes on.
 */
static bool asks(const uint8_t *queue, const char *rules)
{
	const volatile struct sdma_completion *completion;
	uint64_t leaf = *world.a.leaf, request[4];
	struct sdma_queue q;
	bool came, done;

	world.a.data[0] = 0;
	*world.a.leaf = 0;
	present(SOME_PASID, &world.a);
	tell(SOME_PASID);
	inject(rules);
	sdma_queue_start(&q, &world.sdma, 0, world.queue_page, QUEUE_IOVA, SOME_PASID);
	completion = sdma_submit(&q, &blocking);
	came = next_request(queue, request);
	check(came, "%s: the request comes", rules);
	*world.a.leaf = leaf;
	if (came)
		respond(request);
	done = sdma_wait(completion) == SDMA_DONE && world.a.data[0] == blocking.operand;
	inject_nothing();
	check(sdma_queue_stop(&q), "%s: the device can be stopped", rules);
	return done;
}

void test_page_requests(void)
{
	uint8_t *queue = pages(1);

	if (!(world.vtd.ecap & VTD_ECAP_PRS)) {
		check_skip("page requests", "the unit has none");
		return;
	}
	vtd_set64(&world.vtd, VTD_PQT, 0);
	vtd_set64(&world.vtd, VTD_PQH, 0);
	vtd_set64(&world.vtd, VTD_PQA, (uintptr_t)queue);
	vtd_set32(&world.vtd, VTD_PRS, (uint32_t)(VTD_PRS_PPR | VTD_PRS_PRO));
	check(asks(queue, "none EIO 0"), "a page is asked for and comes");
	check(asks(queue, "fault-read EIO 1"), "so it is when the host's queue was not readable");
	asks(queue, "fault-write EIO 1");
	present(SOME_PASID, NULL);
	tell(SOME_PASID);
	check(asks(queue, "none EIO 0"), "after an answer that was lost: bound anew, all is well");
}
