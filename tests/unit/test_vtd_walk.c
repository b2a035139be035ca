/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page walks: random tables of every mode and level, against the oracle of vtd_oracle.h.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/vtd_compare.h"
#include "viommu/walk.h"

#define TABLES	 1000
#define REQUESTS 300

/* xorshift64*: the same numbers in every run. */
static uint64_t next_random(void *context)
{
	uint64_t *state = context;

	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* What the random tables have shown; each must have been met. */
struct met {
	unsigned int reason[256];
	unsigned int mode[8]; /* that translated, by pgtt and legacy */
	unsigned int shift[31];
};

static void note(struct met *met, const struct oracle *o, const struct oracle_answer *answer)
{
	met->reason[answer->reason]++;
	if (answer->reason)
		return;
	met->shift[answer->shift]++;
	met->mode[(o->first ? 1 : 0) + (o->second ? 2 : 0) + (o->legacy ? 4 : 0)]++;
}

static void test_random(void **state)
{
	static const int reasons[] = { 0,    0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x0e, 0x70, 0x71,
				       0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x7b,
				       0x7c, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x90 };
	static const int modes[] = { 1, 2, 3, 6 };
	static const int shifts[] = { 12, 21, 25, 30 };
	struct vtd_compare *c = calloc(1, sizeof(*c));
	uint64_t seed = UINT64_C(0x6e69647573);
	struct met met = { 0 };

	(void)state;
	assert_non_null(c);
	assert_int_equal(vtd_compare_init(c), 0);
	for (unsigned int table = 0; table < TABLES; table++) {
		vtd_compare_make(c, next_random, &seed);
		for (unsigned int i = 0; i < REQUESTS; i++) {
			struct oracle_request request;
			struct oracle_answer answer;
			char why[160];

			oracle_make_request(&c->theirs, &request, next_random, &seed);
			if (!vtd_compare_walk(c, &request, &answer, why, sizeof(why)))
				fail_msg("table %u, request %u: %s", table, i, why);
			note(&met, &c->theirs, &answer);
		}
	}
	for (unsigned int i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!met.reason[reasons[i]])
			fail_msg("no walk ended with reason 0x%02x", reasons[i]);
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		assert_true(met.mode[modes[i]] > 100);
	for (unsigned int i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++)
		if (!met.shift[shifts[i]])
			fail_msg("no page of 2^%d bytes", shifts[i]);
	vtd_compare_destroy(c);
	free(c);
}

/* Blocks around the interrupt range. */
static void test_outside_interrupts(void **state)
{
	static const struct {
		uint64_t address;
		uint8_t shift, expected;
	} rows[] = {
		{ 0xfedff000, 30, 21 }, { 0xfef00000, 30, 20 },	 { 0xfef00000, 20, 20 },
		{ 0xff000000, 30, 24 }, { 0xc0000000, 30, 29 },	 { 0xfec00000, 30, 21 },
		{ 0x80000000, 30, 30 }, { 0x100000000, 30, 30 }, { 0xfedff000, 12, 12 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(vtd_outside_interrupts(rows[i].address, rows[i].shift),
				 rows[i].expected);
	assert_true(vtd_interrupt_range(0xfee00000, 1));
	assert_true(vtd_interrupt_range(0xfeefffff, 1));
	assert_true(vtd_interrupt_range(0xfedfffff, 2));
	assert_true(vtd_interrupt_range(0, UINT64_MAX));
	assert_false(vtd_interrupt_range(0xfedfffff, 1));
	assert_false(vtd_interrupt_range(0xfef00000, UINT64_MAX));
	assert_false(vtd_interrupt_range(0xfee00000, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_outside_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
