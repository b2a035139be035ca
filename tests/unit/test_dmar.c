/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMAR table, read back byte by byte as VT-d 8 has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "viommu/dmar.h"

enum { DRHD = 0, RMRR = 1, ATSR = 2, SATC = 5 };

static uint64_t number(const uint8_t *at, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

/* The structures of one table. */
struct parsed {
	unsigned int count;
	const uint8_t *at[64];
};

static unsigned int type_of(const struct parsed *parsed, unsigned int i)
{
	return (unsigned int)number(parsed->at[i], 2);
}

/* Walks the structures; they must end where the table does, in the order of their types (8.2). */
static struct parsed parse(const uint8_t *body, size_t size)
{
	struct parsed parsed = { 0 };
	size_t at = 12;

	while (at < size) {
		size_t length = number(body + at + 2, 2);

		assert_true(size - at >= 8 && length >= 8 && length <= size - at);
		parsed.at[parsed.count++] = body + at;
		if (parsed.count > 1)
			assert_true(type_of(&parsed, parsed.count - 2) <=
				    type_of(&parsed, parsed.count - 1));
		at += length;
	}
	assert_int_equal(at, size);
	return parsed;
}

/* One scope, @fixed bytes and @i scopes into a structure, must be of @type, @id and @source. */
static void check_scope(const uint8_t *structure, unsigned int fixed, unsigned int i,
			unsigned int type, unsigned int id, unsigned int source)
{
	const uint8_t *scope = structure + fixed + 8 * (size_t)i;
	const uint8_t expected[8] = {
		(uint8_t)type,	  8,	     0, 0, (uint8_t)id, (uint8_t)(source >> 8),
		source >> 3 & 31, source & 7
	};

	assert_true(fixed + 8 * (i + 1) <= number(structure + 2, 2));
	assert_memory_equal(scope, expected, sizeof(expected));
}

static struct dmar_config *usual_config(void)
{
	struct dmar_config *config = calloc(1, sizeof(*config));

	assert_non_null(config);
	config->host_bits = 46;
	config->interrupt_remapping = true;
	config->ats = true;
	config->ioapic_source = 0xf8;
	config->ioapic_id = 5;
	config->unit_count = 2;
	config->unit[0] =
		(struct dmar_unit){ .base = 0xfed90000, .include_all = true, .ioapic = true };
	config->unit[1] = (struct dmar_unit){ .base = UINT64_C(0x1fed91000),
					      .scope_count = 2,
					      .scope = { 0x08, 0x17 } };
	config->satc_count = 3;
	config->satc[0] = 0x10;
	config->satc[1] = 0x18;
	config->satc[2] = 0xff;
	config->rmrr_count = 1;
	config->rmrr[0] = (struct dmar_rmrr){
		.base = 0x7f000000, .end = 0x7f0fffff, .scope_count = 1, .scope = { 0x21 }
	};
	return config;
}

static void test_everything(void **state)
{
	struct dmar_config *config = usual_config();
	uint8_t body[512];
	size_t size = dmar_build(config, body, sizeof(body));
	struct parsed parsed = parse(body, size);

	(void)state;
	assert_int_equal(size, 12 + (16 + 16) + (16 + 8) + (24 + 8) + 8 + (8 + 24));
	assert_int_equal(body[0], 45);
	assert_int_equal(body[1], 1);
	assert_int_equal(number(body + 2, 8) | number(body + 10, 2), 0);
	assert_int_equal(parsed.count, 5);

	/* The unit of the rest comes last, and lists the IOAPIC alone. */
	assert_int_equal(type_of(&parsed, 0), DRHD);
	assert_int_equal(number(parsed.at[0] + 2, 2), 16 + 16);
	assert_int_equal(number(parsed.at[0] + 4, 4), 0);
	assert_int_equal(number(parsed.at[0] + 8, 8), UINT64_C(0x1fed91000));
	check_scope(parsed.at[0], 16, 0, 1, 0, 0x08);
	check_scope(parsed.at[0], 16, 1, 1, 0, 0x17);
	assert_int_equal(type_of(&parsed, 1), DRHD);
	assert_int_equal(number(parsed.at[1] + 2, 2), 16 + 8);
	assert_int_equal(number(parsed.at[1] + 4, 4), 1);
	assert_int_equal(number(parsed.at[1] + 8, 8), 0xfed90000);
	check_scope(parsed.at[1], 16, 0, 3, 5, 0xf8);

	assert_int_equal(type_of(&parsed, 2), RMRR);
	assert_int_equal(number(parsed.at[2] + 2, 2), 24 + 8);
	assert_int_equal(number(parsed.at[2] + 4, 4), 0);
	assert_int_equal(number(parsed.at[2] + 8, 8), 0x7f000000);
	assert_int_equal(number(parsed.at[2] + 16, 8), 0x7f0fffff);
	check_scope(parsed.at[2], 24, 0, 1, 0, 0x21);

	assert_int_equal(type_of(&parsed, 3), ATSR);
	assert_int_equal(number(parsed.at[3] + 2, 2), 8);
	assert_int_equal(number(parsed.at[3] + 4, 4), 1);
	assert_int_equal(type_of(&parsed, 4), SATC);
	assert_int_equal(number(parsed.at[4] + 2, 2), 8 + 24);
	assert_int_equal(number(parsed.at[4] + 4, 4), 0);
	for (unsigned int i = 0; i < 3; i++)
		check_scope(parsed.at[4], 8, i, 1, 0, config->satc[i]);
	free(config);
}

/* What is not configured is not there. */
static void test_least(void **state)
{
	struct dmar_config *config = usual_config();
	uint8_t body[128];
	struct parsed parsed;

	(void)state;
	config->host_bits = 52;
	config->interrupt_remapping = false;
	config->ats = false;
	config->unit_count = 1;
	config->unit[0].ioapic = false;
	config->unit[0].scope_count = 2; /* means nothing with INCLUDE_PCI_ALL */
	config->rmrr_count = 0;
	assert_int_equal(dmar_build(config, body, sizeof(body)), 12 + 16);
	assert_int_equal(body[0], 51);
	assert_int_equal(body[1], 0);
	/* A SATC without devices would be one that lists nothing. */
	config->ats = true;
	config->satc_count = 0;
	parsed = parse(body, dmar_build(config, body, sizeof(body)));
	assert_int_equal(parsed.count, 2);
	assert_int_equal(type_of(&parsed, 1), ATSR);
	free(config);
}

static void test_largest(void **state)
{
	struct dmar_config *config = usual_config();
	static uint8_t body[16384];
	struct parsed parsed;

	(void)state;
	config->unit_count = DMAR_UNITS;
	for (unsigned int i = 1; i < DMAR_UNITS; i++) {
		config->unit[i].base = 0xfed90000 + UINT64_C(0x1000) * i;
		config->unit[i].scope_count = DMAR_SCOPES;
	}
	config->rmrr_count = DMAR_RMRRS;
	for (unsigned int i = 0; i < DMAR_RMRRS; i++)
		config->rmrr[i].scope_count = DMAR_SCOPES;
	config->satc_count = DMAR_SCOPES;
	parsed = parse(body, dmar_build(config, body, sizeof(body)));
	assert_int_equal(parsed.count, DMAR_UNITS + DMAR_RMRRS + 2);
	assert_int_equal(number(parsed.at[DMAR_UNITS - 1] + 4, 1), 1);
	free(config);
}

/* Too little room is 0, and nothing is written beyond it, wherever it ends. */
static void test_capacity(void **state)
{
	struct dmar_config *config = usual_config();
	uint8_t whole[512];
	size_t size = dmar_build(config, whole, sizeof(whole));

	(void)state;
	for (size_t capacity = 0; capacity < size; capacity++) {
		uint8_t *body = malloc(capacity + 1); /* the sanitizer guards the rest */

		assert_non_null(body);
		body[capacity] = 0xa5;
		assert_int_equal(dmar_build(config, body, capacity), 0);
		assert_int_equal(body[capacity], 0xa5);
		free(body);
	}
	assert_int_equal(dmar_build(config, whole, size), size);
	free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_capacity),
	};

	return cmocka_run_group_tests_name("dmar", tests, NULL, NULL);
}
