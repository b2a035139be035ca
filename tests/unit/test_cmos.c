/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RTC: its calendar against the C library's, all its modes, and setting it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/bus.h"
#include "devices/cmos.h"

static struct bus bus;
static struct cmos cmos;

static int setup(void **state)
{
	(void)state;
	bus_init(&bus);
	return cmos_init(&cmos, &bus, 64 * MIB, GIB);
}

static int teardown(void **state)
{
	(void)state;
	cmos_destroy(&cmos);
	bus_destroy(&bus);
	return 0;
}

static uint8_t get(uint8_t index)
{
	uint8_t value = 0;

	bus_write(&bus, 0x70, &index, 1);
	bus_read(&bus, 0x71, &value, 1);
	return value;
}

static void set(uint8_t index, uint8_t value)
{
	bus_write(&bus, 0x70, &index, 1);
	bus_write(&bus, 0x71, &value, 1);
}

static int bcd(uint8_t value)
{
	return (value >> 4) * 10 + (value & 0xf);
}

static void test_memory_size(void **state)
{
	(void)state;
	assert_int_equal(get(0x34) | get(0x35) << 8, 48 * 16);
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 16384);
}

/* Dates over 200 years, each at an odd moment of its day, as the C library sees them. */
static void test_calendar(void **state)
{
	int64_t now = time(NULL);

	(void)state;
	set(0x0b, 0x06); /* binary, 24 hours */
	for (int64_t t = -2208988800; t < INT64_C(4102444800); t += 86400 * 3 + 12345) {
		time_t guest = (time_t)t;
		struct tm tm;

		cmos.offset = t - now;
		gmtime_r(&guest, &tm);
		/* Seconds may pass meanwhile: compare what does not change with them. */
		if (tm.tm_sec > 50 || tm.tm_min == 59)
			continue;
		assert_int_equal(get(0x02), tm.tm_min);
		assert_int_equal(get(0x04), tm.tm_hour);
		assert_int_equal(get(0x06), tm.tm_wday + 1);
		assert_int_equal(get(0x07), tm.tm_mday);
		assert_int_equal(get(0x08), tm.tm_mon + 1);
		assert_int_equal(get(0x32) * 100 + get(0x09), tm.tm_year + 1900);
		if (time(NULL) - now > 5)
			now = time(NULL);
	}
}

static void test_modes(void **state)
{
	(void)state;
	/* 23:30 on a day: BCD and 24 hours are what it starts with. */
	cmos.offset = 1700004600 - time(NULL);
	assert_int_equal(bcd(get(0x04)), 23);
	assert_int_equal(bcd(get(0x02)), 30);
	set(0x0b, 0x00); /* BCD, 12 hours */
	assert_int_equal(get(0x04), 0x80 | 0x11);
	set(0x0b, 0x04); /* binary, 12 hours */
	assert_int_equal(get(0x04), 0x80 | 11);
	cmos.offset = 1700004600 - 23 * 3600 - time(NULL); /* 0:30 */
	assert_int_equal(get(0x04), 12);
	assert_int_equal(get(0x0d) & 0x80, 0x80);
	assert_int_equal(get(0x0a) & 0x80, 0);
}

static void test_set(void **state)
{
	(void)state;
	set(0x0b, 0x86); /* set, binary, 24 hours */
	set(0x00, 5);
	set(0x02, 4);
	set(0x04, 3);
	set(0x07, 29);
	set(0x08, 2);
	set(0x09, 24);
	set(0x32, 20);
	assert_int_equal(get(0x07), 29);
	set(0x0b, 0x06);
	assert_int_equal(get(0x32), 20);
	assert_int_equal(get(0x09), 24);
	assert_int_equal(get(0x08), 2);
	assert_int_equal(get(0x07), 29);
	assert_int_equal(get(0x04), 3);
	assert_int_equal(get(0x06), 5); /* a Thursday */
}

/* Whatever is written, reading it back crashes nothing. */
static void test_garbage(void **state)
{
	(void)state;
	srand(1);
	for (unsigned int i = 0; i < 100000; i++) {
		set((uint8_t)rand(), (uint8_t)rand());
		get((uint8_t)rand());
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory_size), TEST(test_calendar), TEST(test_modes),
		TEST(test_set),		TEST(test_garbage),
	};

	return cmocka_run_group_tests_name("cmos", tests, NULL, NULL);
}
