/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host*.c when the kernel fails: each call in turn.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/vfio_world.h"

/* A life of everything; what fails is let go. False if something did. */
static bool live(struct world *w)
{
	uint64_t root = vtd_fixture_page(&w->f);
	struct vtd_binding faultable = world_first_stage(ROOT), nested = world_first_stage(ROOT);
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	unsigned int errors = 0;

	faultable.faultable = true;
	nested.type = VTD_BIND_NESTED;
	nested.ss_root = root;
	nested.ss_width = 48;
	for (unsigned int i = 0; i < 4; i++)
		guest_map(w, root, IOVA + i * PAGE, 0x200000 + i * PAGE, RW);
	errors += !!world_bind(w, 0, NO_PASID, faultable);
	errors += !!world_bind(w, 0, 1, world_first_stage(ROOT));
	errors += !!world_bind(w, 0, 2, world_second_stage(root));
	errors += !!world_bind(w, 0, 3, nested);
	errors += !!world_bind(w, 0, 1, faultable);
	guest_map(w, root, IOVA + 1 * PAGE, 0, 0);
	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		world_invalidate(w, 0, pasid, 0, UINT64_MAX, false);
	errors += !!vfio_host_flush(w->behind[0]);
	errors += !!world_bind(w, 0, NO_PASID, world_first_stage(ROOT + PAGE));
	errors += !!world_bind(w, 0, NO_PASID, identity);
	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		errors += !!world_unbind(w, 0, pasid);
	return !errors;
}

static unsigned int objects(const struct world *w)
{
	unsigned int count = 0;

	for (enum fake_kind kind = FAKE_IOAS; kind <= FAKE_QUEUE; kind++)
		count += fake_objects(&w->host, kind);
	return count;
}

/* What there is when nothing but requests without PASID is bound, to the identity. */
static void expect_nothing_left(const struct world *w, unsigned int before, unsigned int destroys)
{
	assert_int_equal(w->context->pasids, 0);
	assert_int_equal(w->context->domains, 0);
	assert_int_equal(w->context->shadows.tables, 0);
	assert_null(w->context->pending);
	for (unsigned int i = 0; i < FAKE_GROUPS; i++)
		assert_false(w->host.group[i].used);
	assert_int_equal(w->host.stray_answers, 0);
	/* What could not be destroyed goes with the file. */
	if (w->host.failed_destroys == destroys)
		assert_int_equal(objects(w), before);
}

/*
 * Whichever call fails, alone or with all that follow until the host is well again: it can be lived
 * again afterwards, and nothing is left.
 */
static void each_call_fails(struct world *w, bool rest)
{
	static const int codes[] = { -ENOMEM, -ENOSPC, -EINVAL, -EIO };
	unsigned int call, failed = 0;

	w->host.fail_rest = rest;
	for (call = 1; call < 200; call++) {
		unsigned int before = objects(w), destroys = w->host.failed_destroys, left;
		uint64_t page = w->f.next_page;

		w->host.fail_call = call;
		w->host.fail_error = codes[call % ARRAY_SIZE(codes)];
		failed += !live(w);
		left = w->host.fail_call;
		w->host.fail_call = 0;
		/* What could not be unbound is, now. */
		for (uint32_t pasid = 1; pasid <= 3; pasid++)
			assert_int_equal(world_unbind(w, 0, pasid), 0);
		w->f.next_page = page;
		assert_true(live(w));
		w->f.next_page = page;
		expect_nothing_left(w, before, destroys);
		if (left > 1)
			break;
	}
	assert_in_range(call, 30, 199);
	assert_true(failed > 20);
}

static void test_each_call_fails(void **state)
{
	each_call_fails(*state, false);
}

static void test_all_calls_fail(void **state)
{
	each_call_fails(*state, true);
}

/* --- The same as a guest sees it --- */

/* Waits; an error of the queue is cleared, as a driver does. False if there was one. */
static bool waited(struct world *w)
{
	if (vtd_fixture_wait(&w->f))
		return true;
	assert_true(vtd_fixture_read32(&w->f, VTD_FSTS) & VTD_FSTS_ITE);
	vtd_fixture_write32(&w->f, VTD_FSTS, (uint32_t)(VTD_FSTS_ITE | VTD_FSTS_PPF));
	assert_true(vtd_fixture_queue(&w->f, true));
	return false;
}

static unsigned int count_faults(const struct world *w)
{
	return (unsigned int)vtd_fault_counter(w->f.unit, VTD_SPT_INVALID);
}

static void set_entry(struct world *w, uint32_t pasid, enum vtd_pgtt pgtt, uint64_t fs_root,
		      uint64_t ss_root)
{
	guest_set_entry(w, pasid, pgtt, fs_root, ss_root);
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_CACHE | vtd_put(VTD_PASID_CACHE_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   0);
}

/* The page requests in the guest's queue are answered, one by one. */
static void answer_all(struct world *w)
{
	uint64_t queue = vtd_fixture_read64(&w->f, VTD_PQA);
	uint64_t head = vtd_fixture_read64(&w->f, VTD_PQH), tail;

	tail = vtd_fixture_read64(&w->f, VTD_PQT);
	for (; head != tail; head = (head + 32) % 4096) {
		uint64_t low = vtd_fixture_load(&w->f, queue + head);
		uint64_t high = vtd_fixture_load(&w->f, queue + head + 8);

		vtd_fixture_submit(&w->f,
				   VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P |
					   vtd_put(SOURCE, VTD_RESPONSE_RID) |
					   vtd_put(PASID, VTD_DESC_PASID),
				   high & VTD_PAGE1_PRGI);
		assert_int_equal(vtd_get(low, VTD_PAGE0_PASID), PASID);
	}
	vtd_fixture_write64(&w->f, VTD_PQH, tail);
}

/* A group of page requests of the device, if it can have the PASID; else NULL. */
static const struct fake_group *fault(struct world *w, uint64_t address, unsigned int count)
{
	if (!fake_attached(&w->host, 0, PASID))
		return NULL;
	return &w->host.group[fake_fault(&w->host, 0, PASID, address, 1, count)];
}

/*
 * Processes come, fault, change and go. False if the guest was told of an error: by its queue, by a
 * fault, or by a page request that somebody else has answered.
 */
static bool guest_lives(struct world *w, uint64_t second_stage)
{
	unsigned int faults = count_faults(w);
	const struct fake_group *group[2];
	bool well = true;

	set_entry(w, PASID, VTD_PGTT_FS, ROOT, 0);
	set_entry(w, PASID + 1, VTD_PGTT_NESTED, ROOT, second_stage);
	set_entry(w, 0, VTD_PGTT_FS, ROOT + PAGE, 0);
	guest_map(w, second_stage, IOVA, 0x200000, RW);
	vtd_fixture_submit(&w->f, VTD_DESC_IOTLB | vtd_put(VTD_IOTLB_GLOBAL, VTD_DESC_G), 0);
	well &= waited(w);
	group[0] = fault(w, 0x1000, 2);
	world_turn(w);
	answer_all(w);
	well &= waited(w);
	well &= group[0] && group[0]->answer == UAPI_IOMMU_PAGE_RESP_SUCCESS;
	set_entry(w, PASID, VTD_PGTT_FS, ROOT + 2 * PAGE, 0);
	group[1] = fault(w, 0x2000, 1);
	world_turn(w);
	/* Not answered: it goes with its PASID. */
	guest_map(w, second_stage, IOVA, 0, 0);
	vtd_fixture_submit(&w->f, VTD_DESC_IOTLB | vtd_put(VTD_IOTLB_GLOBAL, VTD_DESC_G), 0);
	well &= waited(w);
	for (uint32_t pasid = PASID; pasid <= PASID + 1; pasid++)
		set_entry(w, pasid, 0, 0, 0);
	set_entry(w, 0, VTD_PGTT_PT, 0, 0);
	well &= waited(w);
	vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	well &= group[1] && group[1]->answer == UAPI_IOMMU_PAGE_RESP_INVALID;
	return well && count_faults(w) == faults;
}

/*
 * A call that fails for the guest is one that the guest is told of, and that it can repeat. (Two
 * kinds nobody needs to be told of: destroying what nobody uses, and reading page requests, which
 * are read again, some time later.)
 */
static void guest_with_failures(struct world *w, bool rest)
{
	uint64_t second_stage;
	unsigned int call, told = 0;

	guest_start(w);
	world_turn(w);
	second_stage = vtd_fixture_page(&w->f);
	assert_true(guest_lives(w, second_stage));
	w->host.fail_rest = rest;
	for (call = 1; call < 300; call++) {
		unsigned int before = objects(w), destroys = w->host.failed_destroys, left;

		w->host.fail_call = call;
		w->host.fail_error = -ENOMEM;
		told += !guest_lives(w, second_stage);
		left = w->host.fail_call;
		w->host.fail_call = 0;
		world_rest(w);
		vtd_fixture_submit(
			&w->f, VTD_DESC_PASID_CACHE | vtd_put(VTD_PASID_CACHE_GLOBAL, VTD_DESC_G),
			0);
		assert_true(waited(w));
		world_turn(w);
		if (!guest_lives(w, second_stage))
			fail_msg("call %u failed, and the guest does not get over it", call);
		expect_nothing_left(w, before, destroys);
		if (left > 1)
			break;
	}
	assert_in_range(call, 30, 299);
	assert_true(told > 20);
}

static void test_guest_with_a_failure(void **state)
{
	guest_with_failures(*state, false);
}

static void test_guest_with_failures(void **state)
{
	guest_with_failures(*state, true);
}

/* Opening and attaching, too. */
static void test_each_opening_call_fails(void **state)
{
	struct world *w = *state;
	unsigned int call;

	for (call = 1; call < 100; call++) {
		unsigned int left;
		int rc;

		w->host.fail_call = call;
		w->host.fail_error = -ENOMEM;
		w->error[0] = 0;
		assert_int_equal(world_open_context(w, 0), 0);
		rc = world_open_device(w, 0, VFIO_NESTED_ON);
		if (!rc)
			rc = world_attach(w, 0);
		left = w->host.fail_call;
		w->host.fail_call = 0;
		assert_int_equal(!rc, !w->error[0]);
		world_start_again(w);
		if (left)
			break;
	}
	assert_in_range(call, 12, 99);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_call_fails, world_setup),
		TEST(test_all_calls_fail, world_setup),
		TEST(test_guest_with_a_failure, world_setup),
		TEST(test_guest_with_failures, world_setup),
		TEST(test_each_opening_call_fails, world_setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
