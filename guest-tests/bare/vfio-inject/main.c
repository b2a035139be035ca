/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio-inject/inject.h"

#include "lib/boot.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/smp.h"
#include "lib/time.h"

#define LINE_STATUS (COM1 + 5)
#define LINE_DATA   0x01
#define STEP_US	    1000000
#define CONTEXT_ALL (VTD_SM_CONTEXT0_DTE | VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE)
#define RID_PASID   0

struct world world;

/* --- The host --- */

void inject(const char *rules)
{
	print("inject %s\n", rules);
	while (!(inb(LINE_STATUS) & LINE_DATA))
		cpu_relax();
	(void)inb(COM1);
}

void inject_nothing(void)
{
	inject("none EIO 0");
}

/* --- Entries --- */

struct space new_space(bool second)
{
	uint64_t flags = second ? VTD_SS_ALL : VTD_FS_ALL;
	struct space space = { .root = (uintptr_t)pages(1), .data = pages(1), .second = second };

	vtd_map(space.root, 4, QUEUE_IOVA, (uintptr_t)world.queue_page, PAGE_SIZE, flags, flags);
	space.leaf =
		vtd_map(space.root, 4, DATA_IOVA, (uintptr_t)space.data, PAGE_SIZE, flags, flags);
	return space;
}

static uint32_t table_pasid(uint32_t pasid)
{
	return pasid == NO_PASID ? RID_PASID : pasid;
}

void present(uint32_t pasid, const struct space *space)
{
	uint64_t *entry = vtd_pasid_entry(&world.vtd, world.sdma.devfn, table_pasid(pasid));

	if (!space)
		entry[0] = 0;
	else if (space->second)
		vtd_pasid_set(entry, VTD_PGTT_SS, 0, space->root, DID);
	else
		vtd_pasid_set(entry, VTD_PGTT_FS, space->root, 0, DID);
}

/* What Linux does, when an entry changes. */
static void add_invalidations(uint32_t pasid)
{
	uint64_t number = vtd_put(table_pasid(pasid), VTD_DESC_PASID) | vtd_put(DID, VTD_DESC_DID);
	const struct vtd_desc descs[] = {
		{ { VTD_DESC_PASID_CACHE | VTD_PASID_CACHE_PASID << 4 | number } },
		{ { VTD_DESC_PASID_IOTLB | VTD_PASID_IOTLB_PASID << 4 | number } },
		{ { VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | vtd_put(DID, VTD_DESC_DID) } },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(descs); i++)
		vtd_queue_add(&world.vtd, &descs[i]);
}

bool tell(uint32_t pasid)
{
	add_invalidations(pasid);
	return vtd_queue_sync(&world.vtd);
}

bool tell_failed(uint32_t pasid)
{
	struct vtd *vtd = &world.vtd;
	uint64_t error;
	bool failed;

	add_invalidations(pasid);
	failed = !vtd_queue_sync(vtd) && vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_ITE;
	error = vtd_get64(vtd, VTD_IQERCD);
	vtd_set32(vtd, VTD_FSTS, (uint32_t)VTD_FSTS_ITE);
	return failed && vtd_get(error, VTD_IQERCD_ITESID) == world.sdma.devfn;
}

bool refused(uint32_t pasid)
{
	struct vtd_fault fault;
	bool is = vtd_take_fault(&world.vtd, &fault) && fault.reason == VTD_SPT_INVALID &&
		  fault.source == world.sdma.devfn && fault.has_pasid == (pasid != NO_PASID) &&
		  (pasid == NO_PASID || fault.pasid == pasid);

	return is && !vtd_take_fault(&world.vtd, &fault);
}

/* --- The device --- */

static bool has_halted(const struct sdma_queue *queue)
{
	return (sdma_queue_state(queue) & SDMA_Q_STATE_MASK) == SDMA_Q_HALTED;
}

bool arrives(uint32_t pasid, const struct space *space)
{
	const struct space *spaces[] = { &world.a,	  &world.b,	   &world.other,
					 &world.second_a, &world.second_b, space };
	const struct sdma_descriptor fill = { .operation = SDMA_FILL,
					      .destination = DATA_IOVA,
					      .length = 8,
					      .operand = rdtsc() | 1 };
	const volatile struct sdma_completion *completion;
	uint64_t until = time_us() + STEP_US;
	struct sdma_queue queue;
	bool stopped, wrong = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(spaces); i++)
		if (spaces[i])
			spaces[i]->data[0] = 0;
	sdma_queue_start(&queue, &world.sdma, 0, world.queue_page, QUEUE_IOVA, pasid);
	completion = sdma_submit(&queue, &fill);
	while (completion->status == SDMA_PENDING && !has_halted(&queue) && time_us() < until)
		cpu_relax();
	stopped = sdma_queue_stop(&queue);
	for (unsigned int i = 0; i < ARRAY_SIZE(spaces); i++)
		wrong |= spaces[i] && spaces[i]->data != (space ? space->data : NULL) &&
			 spaces[i]->data[0];
	if (!stopped || wrong)
		print("# status %u, %s\n", completion->status,
		      stopped ? "arrived elsewhere" : "cannot be stopped");
	return stopped && !wrong && (!space || space->data[0] == fill.operand);
}

static bool prepare(void)
{
	struct vtd *vtd = &world.vtd;

	smp_setup(false);
	vtd_open(vtd, VTD_UNIT_BASE);
	if (!check(sdma_open(&world.sdma, 0), "there is an sdma device"))
		return false;
	world.queue_page = pages(1);
	world.a = new_space(false);
	world.b = new_space(false);
	world.other = new_space(false);
	world.second_a = new_space(true);
	world.second_b = new_space(true);
	vtd_new_root(vtd);
	vtd_sm_context_set(vtd, world.sdma.devfn, CONTEXT_ALL);
	present(NO_PASID, &world.a);
	sdma_enable(&world.sdma, true, true, true);
	return check(vtd_queue_start(vtd, true) && vtd_set_root(vtd, VTD_TTM_SCALABLE) &&
			     vtd_command(vtd, VTD_GCMD_TE, true),
		     "translation is on");
}

unsigned int guest_main(void)
{
	if (!prepare())
		return checks_done();
	check(arrives(NO_PASID, &world.a), "without PASID the device reaches its memory");
	if (word_number("fill", 0)) {
		test_fill();
		return checks_done();
	}
	test_bind();
	test_unbind();
	test_invalidate();
	test_second_stage();
	test_page_requests();
	check(arrives(OTHER_PASID, &world.other), "another PASID works as ever");
	inject("last");
	return checks_done();
}
