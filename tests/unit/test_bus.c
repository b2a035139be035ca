/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/bus.c: who is asked, and what is answered where nobody is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/bus.h"

struct probe {
	unsigned int calls;
	struct bus_access last;
	uint64_t answer;
};

static void probe_handler(void *context, struct bus_access *access)
{
	struct probe *probe = context;

	probe->calls++;
	probe->last = *access;
	if (!access->is_write)
		access->value = probe->answer;
}

static int add(struct bus *bus, uint64_t base, uint64_t size, struct probe *probe)
{
	struct bus_region region = { .base = base,
				     .size = size,
				     .handler = probe_handler,
				     .context = probe,
				     .name = "probe" };

	return bus_add(bus, &region);
}

static uint64_t read_of(struct bus *bus, uint64_t address, unsigned int size)
{
	uint64_t value = 0;

	bus_read(bus, address, &value, size);
	return value;
}

static void test_unclaimed(void **state)
{
	struct bus bus;

	(void)state;
	bus_init(&bus);
	assert_int_equal(read_of(&bus, 0x1000, 4), 0xffffffff);
	assert_int_equal(read_of(&bus, UINT64_MAX, 1), 0xff);
	bus_write(&bus, 0, "abcdefgh", 8);
	bus_destroy(&bus);
}

static void test_dispatch(void **state)
{
	struct probe low = { .answer = 0x11223344 }, high = { .answer = 0xaabbccdd };
	struct bus bus;

	(void)state;
	bus_init(&bus);
	assert_int_equal(add(&bus, 0x2000, 0x10, &high), 0);
	assert_int_equal(add(&bus, 0x1000, 0x1000, &low), 0);
	assert_int_equal(read_of(&bus, 0x1ffc, 4), 0x11223344);
	assert_int_equal(low.last.offset, 0xffc);
	assert_int_equal(low.last.size, 4);
	assert_int_equal(read_of(&bus, 0x2000, 2), 0xccdd);
	bus_write(&bus, 0x200f, "\x7f", 1);
	assert_true(high.last.is_write);
	assert_int_equal(high.last.value, 0x7f);
	assert_int_equal(high.last.offset, 0xf);
	bus_destroy(&bus);
}

/* An access across the end of a region, or into its neighbour, is nobody's. */
static void test_straddling(void **state)
{
	struct probe low = { 0 }, high = { 0 };
	struct bus bus;

	(void)state;
	bus_init(&bus);
	assert_int_equal(add(&bus, 0x1000, 0x1000, &low), 0);
	assert_int_equal(add(&bus, 0x2000, 0x10, &high), 0);
	assert_int_equal(read_of(&bus, 0x1ffe, 4), 0xffffffff);
	assert_int_equal(read_of(&bus, 0x0fff, 2), 0xffff);
	assert_int_equal(read_of(&bus, 0x200c, 8), UINT64_MAX);
	assert_int_equal(low.calls + high.calls, 0);
	bus_destroy(&bus);
}

static void test_conflicts(void **state)
{
	struct probe probe = { 0 };
	struct bus bus;

	(void)state;
	bus_init(&bus);
	assert_int_equal(add(&bus, 0x1000, 0x1000, &probe), 0);
	assert_int_equal(add(&bus, 0x1000, 1, &probe), -EBUSY);
	assert_int_equal(add(&bus, 0x1fff, 1, &probe), -EBUSY);
	assert_int_equal(add(&bus, 0, 0x1001, &probe), -EBUSY);
	assert_int_equal(add(&bus, 0, UINT64_MAX, &probe), -EBUSY);
	assert_int_equal(add(&bus, 0x3000, 0, &probe), -EINVAL);
	assert_int_equal(add(&bus, UINT64_MAX, 2, &probe), -EINVAL);
	assert_int_equal(add(&bus, UINT64_MAX, 1, &probe), 0);
	assert_int_equal(add(&bus, 0, 0x1000, &probe), 0);
	assert_int_equal(bus_remove(&bus, 0x1001, &probe), -ENOENT);
	assert_int_equal(bus_remove(&bus, 0x1000, &bus), -ENOENT);
	assert_int_equal(bus_remove(&bus, 0x1000, &probe), 0);
	assert_int_equal(read_of(&bus, 0x1000, 1), 0xff);
	assert_int_equal(add(&bus, 0x1000, 0x1000, &probe), 0);
	bus_destroy(&bus);
}

static void test_full(void **state)
{
	struct probe probe = { 0 };
	struct bus bus;

	(void)state;
	bus_init(&bus);
	for (unsigned int i = 0; i < BUS_REGIONS; i++)
		assert_int_equal(add(&bus, (BUS_REGIONS - i) * 16, 16, &probe), 0);
	assert_int_equal(add(&bus, 0x100000, 16, &probe), -ENOSPC);
	for (unsigned int i = 0; i < BUS_REGIONS; i++)
		read_of(&bus, (i + 1) * 16, 1);
	assert_int_equal(probe.calls, BUS_REGIONS);
	bus_destroy(&bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unclaimed),  cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_straddling), cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
