/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host_fault.c and vfio_host_group.c: page requests from the host to the guest, and
 * their answers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/vfio_uapi.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/fake_vfio.h"
#include "tests/unit/vfio_world.h"

/* The page request at @index of the guest's queue: its group, and that it is what was asked. */
static unsigned int guest_request(struct world *w, unsigned int index, uint64_t address, bool last)
{
	uint64_t at = vtd_fixture_read64(&w->f, VTD_PQA) + index * 32;
	uint64_t low = vtd_fixture_load(&w->f, at), high = vtd_fixture_load(&w->f, at + 8);

	assert_int_equal(vtd_get(low, VTD_PAGE0_PASID), PASID);
	assert_true(low & VTD_PAGE0_PASID_P);
	assert_int_equal(high & VTD_PAGE1_ADDR, address);
	assert_int_equal(!!(high & VTD_PAGE1_LPIG), last);
	return (unsigned int)vtd_get(high, VTD_PAGE1_PRGI);
}

static void guest_answer(struct world *w, unsigned int group, unsigned int code)
{
	vtd_fixture_submit(
		&w->f,
		VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P | vtd_put(code, VTD_RESPONSE_RC) |
			vtd_put(SOURCE, VTD_RESPONSE_RID) | vtd_put(PASID, VTD_DESC_PASID),
		vtd_put(group, VTD_RESPONSE1_PRGI));
}

/* Page requests on, and PASID bound. */
static void guest_faults(struct world *w)
{
	guest_start(w);
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT, 0);
	guest_entry_changed(w, PASID);
	world_turn(w);
}

static void test_page_requests(void **state)
{
	struct world *w = *state;
	unsigned int first, second, third, group[3];

	guest_faults(w);
	/* Several groups in one read; one of them has two requests. */
	first = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	second = fake_fault(&w->host, 0, PASID, 0x8000, 2, 2);
	third = fake_fault(&w->host, 0, PASID, 0x5000, 3, 1);
	world_turn(w);
	assert_int_equal(vtd_fixture_read64(&w->f, VTD_PQT), 4 * 32);
	group[0] = guest_request(w, 0, 0x1000, true);
	group[1] = guest_request(w, 1, 0x8000, false);
	assert_int_equal(guest_request(w, 2, 0x9000, true), group[1]);
	group[2] = guest_request(w, 3, 0x5000, true);
	assert_int_not_equal(group[0], group[1]);
	assert_int_not_equal(group[1], group[2]);
	/* Answers in another order, each to its own. */
	guest_answer(w, group[2], VTD_RESPONSE_FAILURE);
	assert_int_equal(w->host.group[third].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	guest_answer(w, group[0], VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.group[first].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(w->host.group[second].answer, UINT32_MAX);
	guest_answer(w, group[1], VTD_RESPONSE_INVALID);
	assert_int_equal(w->host.group[second].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(world_counters(w).faults, 4);
	assert_int_equal(world_counters(w).responses, 3);
	assert_int_equal(world_counters(w).auto_responses, 0);
	/* A second answer goes nowhere. */
	guest_answer(w, group[1], VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
}

static void test_queue_is_off_or_full(void **state)
{
	struct world *w = *state;
	unsigned int group;

	guest_faults(w);
	/* No room: ask again. */
	vtd_fixture_write64(&w->f, VTD_PQH, 32);
	group = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	world_turn(w);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(world_counters(w).auto_responses, 1);
	/* Nowhere to put it. */
	vtd_fixture_write32(&w->f, VTD_PRS, 3);
	vtd_fixture_write64(&w->f, VTD_PQH, 0);
	vtd_fixture_write64(&w->f, VTD_PQA, FIXTURE_MEMORY);
	group = fake_fault(&w->host, 0, PASID, 0x1000, 1, 3);
	world_turn(w);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(world_counters(w).auto_responses, 2);
	assert_int_equal(world_counters(w).responses, 2);
}

/* A late answer must not hit the group that got the cookie since. */
static void test_detached_groups_are_forgotten(void **state)
{
	struct world *w = *state;
	unsigned int first, second, old, new;

	guest_faults(w);
	first = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	world_turn(w);
	old = guest_request(w, 0, 0x1000, true);
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT + PAGE, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(w->host.group[first].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	second = fake_fault(&w->host, 0, PASID, 0x2000, 1, 1);
	world_turn(w);
	new = guest_request(w, 1, 0x2000, true);
	assert_int_equal(w->host.group[second].cookie, 0);
	assert_int_not_equal(new, old);
	guest_answer(w, old, VTD_RESPONSE_SUCCESS);
	if (second != first)
		assert_int_equal(w->host.group[second].answer, UINT32_MAX);
	assert_true(w->host.group[second].used);
	guest_answer(w, new, VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.group[second].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
	assert_int_equal(world_counters(w).auto_responses, 1);
}

static void test_reset_answers_all(void **state)
{
	struct world *w = *state;
	unsigned int group[5];

	guest_faults(w);
	for (unsigned int i = 0; i < 5; i++)
		group[i] = fake_fault(&w->host, 0, PASID, 0x1000 * i, 1, 1);
	world_turn(w);
	vfio_device_answer_faults(&w->device[0]);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(w->host.group[group[i]].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	guest_answer(w, guest_request(w, 0, 0, true), VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
	assert_int_equal(world_counters(w).responses, 5);
}

/* 127 fit in the guest's queue, 512 in a device's indices; all are answered in the end. */
static void test_many_page_requests(void **state)
{
	struct world *w = *state;
	unsigned int answered = 0;

	guest_faults(w);
	for (unsigned int round = 0; round < 6; round++) {
		for (unsigned int i = 0; i < 120; i++)
			fake_fault(&w->host, 0, PASID, 0x1000 * i, 1, 1);
		world_turn(w);
		/* The guest takes them and does not answer. */
		vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	}
	for (unsigned int i = 0; i < FAKE_GROUPS; i++)
		answered += !w->host.group[i].used && w->host.group[i].answer == 0;
	assert_int_equal(world_counters(w).faults, 720);
	assert_int_equal(world_counters(w).auto_responses, 720 - 512);
	/* Slots of answered groups were used again. */
	assert_true(answered > 0);
	guest_set_entry(w, PASID, 0, 0, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(world_counters(w).responses, 720);
	for (unsigned int i = 0; i < FAKE_GROUPS; i++)
		assert_false(w->host.group[i].used);
}

static void test_odd_groups(void **state)
{
	struct world *w = *state;
	unsigned int large, stranger, nothing;

	guest_faults(w);
	/* Larger than any read so far. */
	large = fake_fault(&w->host, 0, PASID, 0x1000, 1, 2000);
	world_turn(w);
	assert_int_equal(world_counters(w).faults, 2000);
	assert_int_equal(w->host.group[large].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	vfio_device_close(&w->device[1]);
	stranger = fake_fault(&w->host, 1, PASID, 0x1000, 1, 1);
	nothing = fake_fault(&w->host, 0, PASID, 0x1000, 8, 1);
	world_turn(w);
	assert_int_equal(w->host.group[stranger].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(w->host.group[nothing].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	/* A read that fails for a moment loses nothing. */
	w->host.fail_call = 1;
	w->host.fail_error = -EINTR;
	vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	vtd_fixture_write32(&w->f, VTD_PRS, 3);
	fake_fault(&w->host, 0, PASID, 0x7000, 1, 1);
	world_turn(w);
	assert_int_equal(world_counters(w).faults, 2002);
}

/* A few times it is tried again, and counted; a queue that cannot be read at all is given up. */
static void test_unreadable_queue(void **state)
{
	struct world *w = *state;

	guest_faults(w);
	w->host.fail_reads = 3;
	w->host.fail_error = -EIO;
	fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	for (unsigned int i = 0; i < 3; i++)
		world_turn(w);
	assert_int_equal(world_counters(w).faults, 1);
	assert_int_equal(world_counters(w).errors, 3);
	w->host.fail_reads = UINT32_MAX;
	fake_fault(&w->host, 0, PASID, 0x2000, 1, 1);
	for (unsigned int i = 0; i < 30; i++)
		world_turn(w);
	w->host.fail_reads = 0;
	world_turn(w);
	assert_int_equal(world_counters(w).faults, 1);
	assert_in_range(world_counters(w).errors, 4, 3 + 30);
}

/*
 * A VM that cannot be built, or whose threads cannot be made: devices go with watches and polls in
 * the loop's list, and nobody turns the loop.
 */
static void test_loop_never_turned(void **state)
{
	struct world *w = *state;
	struct machine *machine = fake_machine_create();
	struct fake_vfio *fake = fake_vfio_create();
	struct vfio_pci *vfio;

	for (unsigned int i = VFIO_PCI_INTX_IRQ_INDEX; i < VFIO_PCI_NUM_IRQS; i++)
		fake->irq[i].count = 1;
	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_ON), 0);
	vfio = vfio_pci_create_on(&machine->host, w->loop, "vfio0", &fake->device, &fake->file,
				  w->error, sizeof(w->error));
	assert_non_null(vfio);
	assert_true(w->device[0].pri);
	assert_int_equal(world_attach(w, 0), 0);
	/* INTx twice, error, request; and the queue of page requests. */
	assert_int_equal(loop_in_flight(w->loop), 5);
	vfio_pci_destroy(vfio);
	world_start_again(w);
	fake_vfio_destroy(fake);
	fake_machine_destroy(machine);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_page_requests, world_setup),
		TEST(test_queue_is_off_or_full, world_setup),
		TEST(test_detached_groups_are_forgotten, world_setup),
		TEST(test_reset_answers_all, world_setup),
		TEST(test_many_page_requests, world_setup),
		TEST(test_odd_groups, world_setup),
		TEST(test_unreadable_queue, world_setup),
		TEST(test_loop_never_turned, world_setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
