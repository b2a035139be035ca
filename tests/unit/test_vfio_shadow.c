/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host_shadow.c and vfio_host_walk.c: second-stage tables of the guest, by iommufd and
 * by type1.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/vfio_host_shadow.h"
#include "devices/vfio_host_walk.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/vfio_world.h"

static void expect_at(const struct world *w, uint64_t iova, uint64_t gpa)
{
	assert_int_equal(fake_translate(&w->host, 0, iova, false), (uintptr_t)w->f.memory + gpa);
}

static unsigned long unmap_call(const struct world *w)
{
	return w->device[0].backend == VFIO_TYPE1 ? VFIO_IOMMU_UNMAP_DMA : UAPI_IOMMU_IOAS_UNMAP;
}

static unsigned long map_call(const struct world *w)
{
	return w->device[0].backend == VFIO_TYPE1 ? VFIO_IOMMU_MAP_DMA : UAPI_IOMMU_IOAS_COPY;
}

/* For iommufd and for type1. */
static void test_shadow(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);
	unsigned int since;

	for (unsigned int i = 0; i < 16; i++)
		guest_map(w, root, IOVA + i * PAGE, 0x200000 + i * PAGE, RW);
	guest_map(w, root, IOVA + 32 * PAGE, 0x280000, VTD_SS_R);
	guest_map(w, root, IOVA + 33 * PAGE, FIXTURE_MEMORY, RW);
	guest_map(w, root, 0xfee00000, 0x280000, RW);
	since = w->host.call_count;
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	/* One mapping for all that follow each other; what is no RAM is left out. */
	assert_int_equal(fake_called(&w->host, since, map_call(w)), 2);
	expect_at(w, IOVA, 0x200000);
	expect_at(w, IOVA + 15 * PAGE, 0x20f000);
	expect_at(w, IOVA + 32 * PAGE, 0x280000);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 32 * PAGE, true), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 16 * PAGE, false), 0);
	assert_int_equal(fake_translate(&w->host, 0, 0x200000, false), 0);
	/* More beside it: what is there is not touched. */
	w->host.watched = true;
	w->host.watch_iova = IOVA + 15 * PAGE;
	since = w->host.call_count;
	guest_map(w, root, IOVA + 16 * PAGE, 0x210000, RW);
	world_invalidate(w, 0, NO_PASID, IOVA + 16 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(w->host.call_count - since, 1);
	expect_at(w, IOVA + 16 * PAGE, 0x210000);
	/* It goes again, as it came. */
	guest_map(w, root, IOVA + 16 * PAGE, 0, 0);
	world_invalidate(w, 0, NO_PASID, IOVA + 16 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 16 * PAGE, false), 0);
	/* Another page in its place, and another permission. */
	guest_map(w, root, IOVA + 32 * PAGE, 0x300000, RW);
	world_invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	expect_at(w, IOVA + 32 * PAGE, 0x300000);
	assert_false(w->host.gap);
	/* A part of a mapping goes. */
	guest_map(w, root, IOVA + 3 * PAGE, 0, 0);
	world_invalidate(w, 0, NO_PASID, IOVA + 3 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	expect_at(w, IOVA + 2 * PAGE, 0x202000);
	expect_at(w, IOVA + 4 * PAGE, 0x204000);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 3 * PAGE, false), 0);
	w->host.watched = false;
	assert_int_equal(world_unbind(w, 0, NO_PASID), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA, false), 0);
}

/*
 * The kernel cuts no mapping: what the guest keeps of one is away from one call to the next, and
 * nothing else is.
 */
static void test_cut_mappings(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);
	unsigned long expected[6];
	unsigned int since;

	for (unsigned int run = 0; run < 3; run++)
		for (unsigned int i = 0; i < 8; i++)
			guest_map(w, root, IOVA + (32 * run + i) * PAGE,
				  0x200000 + (32 * run + i) * PAGE, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	/* The first and the third are cut, the second one is watched. */
	guest_map(w, root, IOVA + 3 * PAGE, 0, 0);
	guest_map(w, root, IOVA + 67 * PAGE, 0x300000, RW);
	world_invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	w->host.watched = true;
	w->host.watch_iova = IOVA + 32 * PAGE;
	since = w->host.call_count;
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_false(w->host.gap);
	w->host.watched = false;
	/* Each is back, in pieces, before the next goes. */
	expected[0] = expected[3] = unmap_call(w);
	expected[1] = expected[2] = expected[4] = expected[5] = map_call(w);
	assert_int_equal(w->host.call_count - since, 7);
	assert_memory_equal(&w->host.calls[since], expected, sizeof(expected));
	expect_at(w, IOVA + 2 * PAGE, 0x202000);
	expect_at(w, IOVA + 4 * PAGE, 0x204000);
	expect_at(w, IOVA + 66 * PAGE, 0x242000);
	expect_at(w, IOVA + 67 * PAGE, 0x300000);
	expect_at(w, IOVA + 68 * PAGE, 0x244000);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 3 * PAGE, false), 0);
}

/* What cannot be mapped is an error, and what is gone is unmapped all the same. */
static void test_mapping_fails(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	for (unsigned int i = 0; i < 4; i++)
		guest_map(w, root, IOVA + 2 * i * PAGE, 0x200000 + i * PAGE, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	guest_map(w, root, IOVA - 2 * PAGE, 0x300000, RW);
	guest_map(w, root, IOVA, 0, 0);
	guest_map(w, root, IOVA + 6 * PAGE, 0, 0);
	world_invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	w->host.fail_request = map_call(w);
	w->host.fail_times = 1;
	w->host.fail_error = -ENOMEM;
	assert_int_equal(vfio_host_flush(w->behind[0]), -ENOMEM);
	assert_int_equal(fake_translate(&w->host, 0, IOVA, false), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 6 * PAGE, false), 0);
	expect_at(w, IOVA + 2 * PAGE, 0x201000);
	/* The guest, being told, repeats it; what cannot be unmapped is known to be there. */
	guest_map(w, root, IOVA + 2 * PAGE, 0, 0);
	w->host.fail_request = unmap_call(w);
	w->host.fail_times = 1;
	for (int rc = -ENOMEM;; rc = 0) {
		world_invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
		assert_int_equal(vfio_host_flush(w->behind[0]), rc);
		if (!rc)
			break;
	}
	expect_at(w, IOVA - 2 * PAGE, 0x300000);
	expect_at(w, IOVA + 4 * PAGE, 0x202000);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 2 * PAGE, false), 0);
}

/* One shadow for all that have the table, and one change of it. */
static void test_shadows_are_shared(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);
	const struct fake_object *shadow;
	unsigned int since;

	for (unsigned int i = 0; i < 8; i++)
		guest_map(w, root, IOVA + i * PAGE, 0x200000 + i * PAGE, RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), 0);
	assert_int_equal(world_bind(w, 1, NO_PASID, world_second_stage(root)), 0);
	assert_int_equal(world_bind(w, 1, PASID, world_second_stage(root)), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 2);
	shadow = fake_attached(&w->host, 0, NO_PASID);
	assert_ptr_equal(shadow, fake_attached(&w->host, 1, NO_PASID));
	assert_ptr_equal(shadow, fake_attached(&w->host, 1, PASID));
	guest_map(w, root, IOVA + 3 * PAGE, 0, 0);
	since = w->host.call_count;
	world_invalidate(w, 1, PASID, IOVA + 3 * PAGE, 1, true);
	world_invalidate(w, 0, NO_PASID, IOVA + 3 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[1]), 0);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(w->host.call_count - since, 3);
	assert_ptr_equal(fake_attached(&w->host, 0, NO_PASID), shadow);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 3 * PAGE, false), 0);
	/* Gone with the last that has it. */
	assert_int_equal(world_unbind(w, 0, NO_PASID), 0);
	assert_int_equal(world_unbind(w, 1, NO_PASID), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 2);
	assert_int_equal(world_unbind(w, 1, PASID), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
	assert_int_equal(w->context->shadows.tables, 0);
}

static void test_nested_in_a_shadow(void **state)
{
	const struct vtd_host_invalidation both = { .pages = UINT64_MAX, .second_stage = true };
	struct world *w = *state;
	struct vtd_binding binding = world_first_stage(ROOT);
	uint64_t root = vtd_fixture_page(&w->f);
	unsigned int since;

	guest_map(w, root, IOVA, 0x200000, RW);
	binding.type = VTD_BIND_NESTED;
	binding.ss_root = root;
	binding.ss_width = 48;
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 2);
	assert_int_not_equal(fake_attached(&w->host, 0, PASID)->below, 1);
	guest_map(w, root, IOVA + PAGE, 0x300000, RW);
	/* Addresses of the first stage say nothing about the second. */
	since = w->host.call_count;
	world_invalidate(w, 0, PASID, 0, UINT64_MAX, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_IOAS_COPY), 0);
	assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_HWPT_INVALIDATE), 1);
	since = w->host.call_count;
	assert_int_equal(vfio_host_invalidate(w->behind[0], PASID, &both, 1), 0);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_IOAS_COPY), 1);
	assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_HWPT_INVALIDATE), 1);
	/* The second stage first. */
	assert_int_equal(w->host.calls[since], UAPI_IOMMU_IOAS_COPY);
	assert_int_equal(world_unbind(w, 0, PASID), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 1);
	/* What is read-only cannot have others nested in it (erratum 772415). */
	guest_map(w, root, IOVA, 0x200000, VTD_SS_R);
	assert_int_equal(world_bind(w, 0, PASID, binding), -EINVAL);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
}

/* Tables that would never end. */
static void test_hostile_second_stage(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f), odd = vtd_fixture_page(&w->f);

	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, root + i * 8, root | RW);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(root)), -ENOSPC);
	/* Many tables with nothing in them. */
	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, root + i * 8, odd | RW);
	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, odd + i * 8, (i < 500 ? root : FIXTURE_MEMORY) | RW);
	assert_true(world_bind(w, 0, NO_PASID, world_second_stage(root)) < 0);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
	/* Roots and tables that are no memory map nothing. */
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(FIXTURE_MEMORY)), 0);
	assert_int_equal(fake_translate(&w->host, 0, 0, false), 0);
}

static void test_walk(void **state)
{
	static const struct {
		unsigned int level;
		uint64_t value, iova, gpa, len;
	} row[] = {
		/* A large page is cut to what is RAM, and to what is asked for. */
		{ 2, 0x200000 | RW | VTD_SS_PS, 0, 0x200000, 0x200000 },
		{ 3, 0 | RW | VTD_SS_PS, 0, 0, FIXTURE_MEMORY },
		{ 1, 0x5000 | VTD_SS_R, 0, 0x5000, PAGE },
		{ 1, 0x5000 | VTD_SS_W, 0, 0x5000, PAGE },
		{ 1, 0x5000, 0, 0, 0 },
		/* No pages that large. */
		{ 4, 0 | RW | VTD_SS_PS, 0, 0, 0 },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		uint64_t root = vtd_fixture_page(&w->f), table = root;
		unsigned int tables = 10;
		struct vfio_runs runs = { 0 };

		for (unsigned int level = 4; level > row[i].level; level--) {
			vtd_fixture_store(&w->f, table, vtd_fixture_page(&w->f) | RW);
			table = vtd_fixture_load(&w->f, table) & VTD_SS_ADDR;
		}
		vtd_fixture_store(&w->f, table, row[i].value);
		assert_int_equal(
			vfio_walk_table(&w->ram, root, 48, 0, VFIO_WALK_END, &tables, &runs), 0);
		assert_int_equal(tables, 10 - (5 - row[i].level));
		assert_int_equal(runs.count, row[i].len ? 1 : 0);
		if (runs.count) {
			assert_int_equal(runs.run[0].iova, row[i].iova);
			assert_int_equal(runs.run[0].gpa, row[i].gpa);
			assert_int_equal(runs.run[0].len, row[i].len);
			assert_int_equal(runs.run[0].read, !!(row[i].value & VTD_SS_R));
			assert_int_equal(runs.run[0].write, !!(row[i].value & VTD_SS_W));
		}
		free(runs.run);
	}
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shadow, world_setup),
		TEST(test_shadow, world_setup_type1),
		TEST(test_cut_mappings, world_setup),
		TEST(test_cut_mappings, world_setup_type1),
		TEST(test_mapping_fails, world_setup),
		TEST(test_mapping_fails, world_setup_type1),
		TEST(test_shadows_are_shared, world_setup),
		TEST(test_nested_in_a_shadow, world_setup),
		TEST(test_hostile_second_stage, world_setup),
		TEST(test_walk, world_setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
