/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host_shadow.c: what a guest's second-stage tables may cost the host, and what is
 * left where they cost too much, or where the VM ends meanwhile.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/vfio_host_shadow.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/vfio_world.h"

/* Not where RAM is, which the identity maps. */
#define HIGH (UINT64_C(1) << 39)

static bool by_type1(const struct world *w)
{
	return w->device[0].backend == VFIO_TYPE1;
}

static unsigned int maps_since(const struct world *w, unsigned int since)
{
	return fake_called(&w->host, since,
			   by_type1(w) ? VFIO_IOMMU_MAP_DMA : UAPI_IOMMU_IOAS_COPY);
}

static int wait_for_all(struct world *w)
{
	world_invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	return vfio_host_flush(w->behind[0]);
}

static bool reaches(const struct world *w, uint64_t iova, uint64_t gpa)
{
	return fake_translate(&w->host, 0, iova, false) == (uintptr_t)w->f.memory + gpa;
}

static bool reaches_nothing(const struct world *w, uint64_t iova)
{
	return !fake_translate(&w->host, 0, iova, false);
}

static void expect_use(const struct world *w, uint64_t bytes, unsigned int mappings,
		       unsigned int tables)
{
	const struct vfio_use *use = &w->context->shadows;

	assert_int_equal(use->bytes, bytes);
	assert_int_equal(use->mappings, mappings);
	assert_int_equal(use->tables, tables);
}

/* A table whose entries from @address on are @count pages of 1 GiB at 0: each is all RAM. */
static uint64_t all_ram(struct world *w, unsigned int count)
{
	uint64_t root = vtd_fixture_page(&w->f), table = vtd_fixture_page(&w->f);

	vtd_fixture_store(&w->f, root + 8, table | RW);
	for (unsigned int i = 0; i < count; i++)
		vtd_fixture_store(&w->f, table + i * 8, VTD_SS_PS | RW);
	return root;
}

/*
 * All entries of @root lead to one table, and so do all of this, and on: too many tables, if those
 * of the last level have nothing in them (@last 0); or else too many mappings.
 */
static void make_endless(struct world *w, uint64_t root, uint64_t last)
{
	uint64_t table = root;

	for (unsigned int level = 4; level > 0; level--) {
		uint64_t value = level > 1 ? vtd_fixture_page(&w->f) | RW : last;

		for (unsigned int i = 0; i < 512; i++)
			vtd_fixture_store(&w->f, table + i * 8, value);
		table = value & VTD_SS_ADDR;
	}
}

static void clear(struct world *w, uint64_t table)
{
	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, table + i * 8, 0);
}

/* --- Bounds --- */

/* RAM, in one table again and again: for iommufd and for type1. */
static void test_bytes_of_one(void **state)
{
	struct world *w = *state;
	const unsigned int most = (2 * FIXTURE_MEMORY + VFIO_SHADOW_FLOOR) / FIXTURE_MEMORY;
	uint64_t hostile = all_ram(w, most + 1), large = all_ram(w, most);
	unsigned int since = w->host.call_count;

	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(hostile)), -ENOSPC);
	assert_int_equal(maps_since(w, since), most);
	assert_true(reaches_nothing(w, HIGH));
	expect_use(w, 0, 0, 0);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(large)), 0);
	assert_true(reaches(w, HIGH + (most - 1) * GIB, 0));
	expect_use(w, most * FIXTURE_MEMORY, most, 2);
	/* More of it is refused, once, and leaves what is there. */
	vtd_fixture_store(&w->f, (vtd_fixture_load(&w->f, large + 8) & VTD_SS_ADDR) + most * 8,
			  VTD_SS_PS | RW);
	assert_int_equal(wait_for_all(w), -ENOSPC);
	assert_int_equal(wait_for_all(w), 0);
	assert_true(reaches(w, HIGH + (most - 1) * GIB, 0));
	assert_true(reaches_nothing(w, HIGH + most * GIB));
	expect_use(w, most * FIXTURE_MEMORY, most, 2);
	assert_int_equal(world_unbind(w, 0, NO_PASID), 0);
	expect_use(w, 0, 0, 0);
}

/* As much as one may have for each device, and VFIO_SHADOW_SPARE more. */
static void test_bytes_of_all(void **state)
{
	struct world *w = *state;
	const unsigned int shadows = 2 + VFIO_SHADOW_SPARE;
	const unsigned int each = (2 * FIXTURE_MEMORY + VFIO_SHADOW_FLOOR) / FIXTURE_MEMORY;
	uint64_t one_more;

	for (uint32_t pasid = 1; pasid <= shadows; pasid++)
		assert_int_equal(
			world_bind(w, pasid % 2, pasid, world_second_stage(all_ram(w, each))), 0);
	one_more = all_ram(w, 1);
	assert_int_equal(world_bind(w, 0, 9, world_second_stage(one_more)), -ENOSPC);
	expect_use(w, shadows * each * FIXTURE_MEMORY, shadows * each, 2 * shadows);
	assert_int_equal(world_unbind(w, 0, 2), 0);
	assert_int_equal(world_bind(w, 0, 9, world_second_stage(one_more)), 0);
	for (uint32_t pasid = 1; pasid <= 9; pasid++)
		assert_int_equal(world_unbind(w, pasid == 9 ? 0 : pasid % 2, pasid), 0);
	expect_use(w, 0, 0, 0);
}

/* A table of pages none of which follows the one before, @leaves times 512. */
static uint64_t many_runs(struct world *w, unsigned int leaves)
{
	uint64_t root = vtd_fixture_page(&w->f), table = vtd_fixture_page(&w->f);
	uint64_t below = vtd_fixture_page(&w->f), leaf = vtd_fixture_page(&w->f);

	vtd_fixture_store(&w->f, root, table | RW);
	vtd_fixture_store(&w->f, table, below | RW);
	for (unsigned int i = 0; i < leaves; i++)
		vtd_fixture_store(&w->f, below + i * 8, leaf | RW);
	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, leaf + i * 8, 0x200000 | RW);
	return root;
}

static void test_mappings(void **state)
{
	struct world *w = *state;
	unsigned int bound = 0;
	uint32_t pasid = 1;

	assert_int_equal(world_bind(w, 0, pasid, world_second_stage(many_runs(w, 128))), -ENOSPC);
	expect_use(w, 0, 0, 0);
	for (;; pasid++, bound += 127 * 512) {
		int rc = world_bind(w, 0, pasid, world_second_stage(many_runs(w, 127)));

		if (rc == -ENOSPC)
			break;
		assert_int_equal(rc, 0);
	}
	assert_in_range(bound, VFIO_VM_MAPPINGS - 127 * 512, VFIO_VM_MAPPINGS);
	expect_use(w, bound * PAGE, bound, (3 + 127) * (pasid - 1));
}

/* --- A table that cannot be walked --- */

/* For iommufd and for type1. */
static void test_nothing_of_it_stays(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	guest_map(w, root, IOVA, 0x200000, RW);
	guest_map(w, root, IOVA + 2 * PAGE, 0x210000, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	expect_use(w, 2 * PAGE, 2, 4);
	make_endless(w, root, 0x200000 | RW);
	assert_int_equal(wait_for_all(w), -ENOSPC);
	assert_true(reaches_nothing(w, IOVA));
	assert_true(reaches_nothing(w, IOVA + 2 * PAGE));
	expect_use(w, 0, 0, 0);
	/* The guest was told: its queue goes on. */
	assert_int_equal(wait_for_all(w), 0);
	assert_true(reaches_nothing(w, IOVA));
	/* It mends its table, and says so of a page. */
	clear(w, root);
	guest_map(w, root, IOVA, 0x220000, RW);
	guest_map(w, root, IOVA + 2 * PAGE, 0x230000, RW);
	world_invalidate(w, 0, NO_PASID, IOVA, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_true(reaches(w, IOVA, 0x220000));
	assert_true(reaches(w, IOVA + 2 * PAGE, 0x230000));
	expect_use(w, 2 * PAGE, 2, 4);
	/* And is told anew. */
	make_endless(w, root, 0x200000 | RW);
	assert_int_equal(wait_for_all(w), -ENOSPC);
	assert_int_equal(wait_for_all(w), 0);
}

/* What is still mapped against the guest's will is an error until it is gone. */
static void test_what_stays_is_told(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	guest_map(w, root, IOVA, 0x200000, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	make_endless(w, root, 0x200000 | RW);
	w->host.fail_request = by_type1(w) ? VFIO_IOMMU_UNMAP_DMA : UAPI_IOMMU_IOAS_UNMAP;
	w->host.fail_times = 3;
	w->host.fail_error = -EIO;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(wait_for_all(w), -ENOSPC);
		assert_true(reaches(w, IOVA, 0x200000));
		expect_use(w, PAGE, 1, 0);
	}
	assert_int_equal(wait_for_all(w), 0);
	assert_true(reaches_nothing(w, IOVA));
	expect_use(w, 0, 0, 0);
}

/* Other tables go on as before. */
static void test_others_go_on(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f), good = vtd_fixture_page(&w->f);

	assert_int_equal(world_bind(w, 0, PASID, world_second_stage(root)), 0);
	guest_map(w, good, IOVA, 0x200000, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(good)), 0);
	make_endless(w, root, 0);
	/* Grows by more tables than it had. */
	for (unsigned int i = 0; i < 4; i++)
		guest_map(w, good, IOVA + (i + 1) * GIB, 0x200000, RW);
	world_invalidate(w, 0, PASID, 0, UINT64_MAX, false);
	assert_int_equal(wait_for_all(w), -E2BIG);
	for (unsigned int i = 0; i < 5; i++)
		assert_true(reaches(w, IOVA + i * GIB, 0x200000));
	expect_use(w, 5 * PAGE, 5, 12);
	guest_map(w, good, IOVA + GIB, 0, 0);
	world_invalidate(w, 0, PASID, 0, UINT64_MAX, false);
	assert_int_equal(wait_for_all(w), 0);
	assert_true(reaches_nothing(w, IOVA + GIB));
}

/* One page that the host never takes does not keep others away. */
static void test_one_page_is_refused(void **state)
{
	const struct vtd_host_invalidation both = { .pages = UINT64_MAX, .second_stage = true };
	struct world *w = *state;
	struct vtd_binding binding = world_first_stage(ROOT);
	const struct fake_object *hwpt;

	binding.type = VTD_BIND_NESTED;
	binding.ss_root = vtd_fixture_page(&w->f);
	binding.ss_width = 48;
	guest_map(w, binding.ss_root, IOVA, 0x200000, RW);
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	hwpt = &w->host.object[fake_attached(&w->host, 0, PASID)->below - 1];
	guest_map(w, binding.ss_root, IOVA + 2 * PAGE, 0x210000, VTD_SS_R);
	guest_map(w, binding.ss_root, IOVA + 4 * PAGE, 0x220000, RW);
	for (int rc = -EINVAL;; rc = 0) {
		vfio_host_invalidate(w->behind[0], PASID, &both, 1);
		assert_int_equal(vfio_host_flush(w->behind[0]), rc);
		assert_int_equal(w->host.object[hwpt->below - 1].maps, rc ? 1 : 2);
		if (!rc)
			break;
	}
}

/* Many such tables: what is looked at in vain, at each wait, is bounded. */
static void test_many_endless(void **state)
{
	struct world *w = *state;
	uint64_t root[4];

	for (uint32_t i = 0; i < ARRAY_SIZE(root); i++) {
		root[i] = vtd_fixture_page(&w->f);
		assert_int_equal(world_bind(w, 0, i + 1, world_second_stage(root[i])), 0);
	}
	make_endless(w, root[0], 0);
	for (uint32_t i = 1; i < ARRAY_SIZE(root); i++)
		for (unsigned int n = 0; n < 512; n++)
			vtd_fixture_store(&w->f, root[i] + n * 8, vtd_fixture_load(&w->f, root[0]));
	for (int rc = -E2BIG;; rc = 0) {
		for (uint32_t i = 0; i < ARRAY_SIZE(root); i++)
			world_invalidate(w, 0, i + 1, 0, UINT64_MAX, false);
		assert_int_equal(vfio_host_flush(w->behind[0]), rc);
		/* The roots of those that come later are charged still. */
		assert_in_range(w->context->vain,
				(rc ? ARRAY_SIZE(root) : 1) * (VFIO_SHADOW_TABLES - 3),
				(rc ? ARRAY_SIZE(root) : 1) * VFIO_SHADOW_TABLES);
		expect_use(w, 0, 0, 0);
		if (!rc)
			break;
	}
}

/* --- The same as a guest sees it --- */

static void set_second_stage(struct world *w, uint64_t root)
{
	guest_set_entry(w, PASID, VTD_PGTT_SS, 0, root);
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_CACHE | vtd_put(VTD_PASID_CACHE_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(PASID, VTD_DESC_PASID),
			   0);
}

static bool second_stage_waited(struct world *w)
{
	vtd_fixture_submit(&w->f, VTD_DESC_IOTLB | vtd_put(VTD_IOTLB_GLOBAL, VTD_DESC_G), 0);
	return vtd_fixture_wait(&w->f);
}

/* An entry that is not bound is a fault; a table that is too large later, one time-out. */
static void test_a_guest_is_told(void **state)
{
	struct world *w = *state;
	uint64_t faults, root;

	guest_start(w);
	set_second_stage(w, all_ram(w, 512));
	assert_true(second_stage_waited(w));
	faults = vtd_fault_counter(w->f.unit, VTD_SPT_INVALID);
	/* Both devices have the entry. */
	assert_int_equal(faults, 2);
	root = vtd_fixture_page(&w->f);
	guest_map(w, root, IOVA, 0x200000, RW);
	set_second_stage(w, root);
	assert_true(second_stage_waited(w));
	expect_use(w, PAGE, 1, 4);
	make_endless(w, root, 0x200000 | RW);
	assert_false(second_stage_waited(w));
	assert_true(vtd_fixture_read32(&w->f, VTD_FSTS) & VTD_FSTS_ITE);
	expect_use(w, 0, 0, 0);
	/* As a driver does. */
	vtd_fixture_write32(&w->f, VTD_FSTS, (uint32_t)(VTD_FSTS_ITE | VTD_FSTS_PPF));
	assert_true(vtd_fixture_queue(&w->f, true));
	assert_true(second_stage_waited(w));
	assert_int_equal(vtd_fault_counter(w->f.unit, VTD_SPT_INVALID), faults);
}

/* --- What is no table any more --- */

static void test_identity_has_no_tables(void **state)
{
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	expect_use(w, FIXTURE_MEMORY, 1, 0);
	guest_map(w, root, IOVA, 0x200000, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	expect_use(w, PAGE, 1, 4);
	assert_int_equal(world_bind(w, 0, NO_PASID, identity), 0);
	expect_use(w, FIXTURE_MEMORY, 1, 0);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	assert_int_equal(world_unbind(w, 0, NO_PASID), 0);
	expect_use(w, 0, 0, 0);
}

/* A look at a part is charged if it met more than the last at all of it. */
static void test_parts_are_charged(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	expect_use(w, 0, 0, 1);
	guest_map(w, root, IOVA, 0x200000, RW);
	world_invalidate(w, 0, NO_PASID, IOVA, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	expect_use(w, PAGE, 1, 4);
	clear(w, root);
	world_invalidate(w, 0, NO_PASID, IOVA, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	expect_use(w, 0, 0, 4);
	assert_int_equal(wait_for_all(w), 0);
	expect_use(w, 0, 0, 1);
}

/* --- The end of the VM --- */

static void halt(void *context)
{
	vtd_halt(context);
}

/* For iommufd and for type1: no call more than the one that is under way. */
static void test_halt(void **state)
{
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);
	unsigned int since = w->host.call_count;

	for (unsigned int i = 0; i < 100; i++)
		guest_map(w, root, IOVA + 2 * i * PAGE, 0x200000, RW);
	w->host.meanwhile = halt;
	w->host.meanwhile_context = w->f.unit;
	w->host.meanwhile_call = 10;
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), -ECANCELED);
	/* iommufd has its objects to destroy. */
	assert_int_equal(w->host.call_count - since, by_type1(w) ? 10 : 12);
	if (!by_type1(w)) {
		assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
		expect_use(w, 0, 0, 0);
	}
	/* It starts anew. */
	vtd_reset(w->f.unit);
	assert_int_equal(world_bind(w, 0, NO_PASID, identity), 0);
	assert_true(reaches(w, 0x5000, 0x5000));
	assert_true(reaches_nothing(w, IOVA));
	/* In a wait. */
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	clear(w, root);
	w->host.meanwhile_call = 10;
	since = w->host.call_count;
	assert_int_equal(wait_for_all(w), -ECANCELED);
	assert_int_equal(w->host.call_count - since, 10);
	assert_true(reaches_nothing(w, IOVA));
	assert_true(reaches(w, IOVA + 2 * 99 * PAGE, 0x200000));
	/* And before one: nothing is looked at. */
	make_endless(w, root, 0);
	assert_int_equal(wait_for_all(w), -ECANCELED);
	assert_int_equal(w->host.call_count - since, 10);
	assert_int_equal(w->context->vain, 0);
	clear(w, root);
	vtd_reset(w->f.unit);
	assert_int_equal(wait_for_all(w), 0);
	assert_true(reaches_nothing(w, IOVA + 2 * 99 * PAGE));
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bytes_of_one, world_setup),
		TEST(test_bytes_of_one, world_setup_type1),
		TEST(test_bytes_of_all, world_setup),
		TEST(test_mappings, world_setup),
		TEST(test_nothing_of_it_stays, world_setup),
		TEST(test_nothing_of_it_stays, world_setup_type1),
		TEST(test_what_stays_is_told, world_setup),
		TEST(test_what_stays_is_told, world_setup_type1),
		TEST(test_others_go_on, world_setup),
		TEST(test_one_page_is_refused, world_setup),
		TEST(test_many_endless, world_setup),
		TEST(test_a_guest_is_told, world_setup),
		TEST(test_identity_has_no_tables, world_setup_type1),
		TEST(test_parts_are_charged, world_setup),
		TEST(test_halt, world_setup),
		TEST(test_halt, world_setup_type1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
