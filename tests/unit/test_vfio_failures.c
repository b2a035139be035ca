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

/* Whichever call fails, it can be lived again afterwards, and all can be closed. */
static void test_each_call_fails(void **state)
{
	static const int codes[] = { -ENOMEM, -ENOSPC, -EINVAL, -EIO };
	struct world *w = *state;
	unsigned int call, failed = 0;

	for (call = 1; call < 200; call++) {
		uint64_t page = w->f.next_page;
		unsigned int left;

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
		assert_int_equal(w->context->pasids, 0);
		assert_int_equal(w->context->domains, 0);
		assert_null(w->context->pending);
		if (left)
			break;
	}
	assert_in_range(call, 30, 199);
	assert_true(failed > 20);
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
		TEST(test_each_opening_call_fails, world_setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
