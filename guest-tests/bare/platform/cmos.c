/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real-time clock and CMOS memory (MC146818A).
 */
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "platform/tests.h"

#define INDEX_PORT 0x70
#define DATA_PORT  0x71

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9, CENTURY = 0x32 };
enum { STATUS_A = 10, STATUS_B = 11, STATUS_D = 13, EXTENDED_LOW = 0x34, EXTENDED_HIGH = 0x35 };

#define B_24H	    0x02
#define B_BINARY    0x04
#define B_SET	    0x80
#define D_VALID	    0x80
#define PM	    0x80
#define TWO_SECONDS 2500000

static uint8_t get(uint8_t index)
{
	outb(INDEX_PORT, index);
	return inb(DATA_PORT);
}

static void put(uint8_t index, uint8_t value)
{
	outb(INDEX_PORT, index);
	outb(DATA_PORT, value);
}

static bool is_bcd(uint8_t value, uint8_t most)
{
	return (value & 0xf) <= 9 && value <= most;
}

static bool has_ticked(const void *context)
{
	const uint8_t *before = context;

	return get(SECONDS) != *before;
}

static void test_clock(void)
{
	uint8_t before = get(SECONDS);

	check(get(STATUS_D) & D_VALID, "RTC: valid");
	check(get(STATUS_B) & B_24H, "RTC: 24 hours");
	check(is_bcd(get(SECONDS), 0x59) && is_bcd(get(MINUTES), 0x59) && is_bcd(get(HOURS), 0x23),
	      "RTC: time of day in BCD");
	check(get(DAY) && is_bcd(get(DAY), 0x31) && get(MONTH) && is_bcd(get(MONTH), 0x12),
	      "RTC: date in BCD");
	check_equal(get(CENTURY), 0x20, "RTC: century");
	check(wait_until(has_ticked, &before, TWO_SECONDS), "RTC: ticks");
}

/* Sets 15:04:05, looks at it in all formats, and sets back what was there. */
static void test_setting(void)
{
	uint8_t b = get(STATUS_B), saved[YEAR + 1];

	put(STATUS_B, b | B_SET);
	for (uint8_t i = 0; i <= YEAR; i++)
		saved[i] = get(i);
	put(SECONDS, 0x05);
	put(MINUTES, 0x04);
	put(HOURS, 0x15);
	delay_us(1100000);
	check_equal(get(SECONDS), 0x05, "RTC: stands while it is set");
	put(STATUS_B, b);
	check_equal(get(HOURS), 0x15, "RTC: the hour is as it was set");
	check(get(MINUTES) == 0x04, "RTC: and the minute");
	put(STATUS_B, b | B_BINARY);
	check_equal(get(HOURS), 15, "RTC: binary");
	put(STATUS_B, (uint8_t)(b & ~B_24H));
	check_equal(get(HOURS), 0x03 | PM, "RTC: 12 hours");
	put(STATUS_B, b | B_SET);
	for (uint8_t i = 0; i <= YEAR; i++)
		put(i, saved[i]);
	put(STATUS_B, b);
	check_equal(get(HOURS), saved[HOURS], "RTC: set back");
}

void test_cmos(void)
{
	uint64_t extended = get(EXTENDED_LOW) | (uint64_t)get(EXTENDED_HIGH) << 8;
	uint64_t low = low_ram_end();

	test_clock();
	test_setting();
	check_equal(extended, low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0,
		    "CMOS: memory above 16 MiB");
	put(0x40, 0xa5);
	check_equal(get(0x40), 0xa5, "CMOS: memory");
	put(0xc0, 0x5a);
	check_equal(get(0x40), 0x5a, "CMOS: bit 7 of the index is not its own");
	check_equal(inb(INDEX_PORT), 0xff, "CMOS: the index cannot be read");
	check_equal(inw(INDEX_PORT), 0xffff, "CMOS: nor both ports at once");
}
