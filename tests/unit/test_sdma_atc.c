/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma's device-TLB: sizes, tags, permissions, exact invalidation; and random use against a list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/sdma_atc.h"
#include "viommu/vtd.h"

#define R  VTD_READ
#define W  VTD_WRITE
#define RW (VTD_READ | VTD_WRITE)

static int setup(void **state)
{
	struct sdma_atc *atc = malloc(sizeof(*atc));

	sdma_atc_init(atc, SDMA_ATC_MAX);
	*state = atc;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static struct sdma_atc_tag tag(uint32_t pasid)
{
	return (struct sdma_atc_tag){ .pasid = pasid };
}

static bool has(const struct sdma_atc *atc, uint32_t pasid, uint64_t iova, unsigned int access)
{
	uint64_t gpa, len;

	return sdma_atc_lookup(atc, tag(pasid), iova, access, &gpa, &len);
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t page, kept; /* 0: not at all */
	} rows[] = {
		{ 0, 0 },
		{ 0x800, 0 },
		{ 0x1000, 0x1000 },
		{ 0x8000, 0x1000 },
		{ 0x200000, 0x200000 },
		{ 0x20000000, 0x200000 },
		{ 0x40000000, 0x40000000 },
		{ UINT64_C(1) << 57, 0x40000000 },
	};
	const uint64_t iova = 0x7f1234567890, gpa = 0x9234567890;
	struct sdma_atc *atc = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t size = rows[i].kept, base = size ? align_down(iova, size) : iova;
		uint64_t to, len;

		sdma_atc_init(atc, SDMA_ATC_MAX);
		sdma_atc_insert(atc, tag(1), iova, gpa, rows[i].page, RW, 0);
		assert_int_equal(has(atc, 1, iova, RW), size != 0);
		if (!size)
			continue;
		assert_true(sdma_atc_lookup(atc, tag(1), base, R, &to, &len));
		assert_int_equal(to, gpa - (iova - base));
		assert_int_equal(len, size);
		assert_true(sdma_atc_lookup(atc, tag(1), base + size - 1, R, &to, &len));
		assert_int_equal(len, 1);
		assert_false(has(atc, 1, base - 1, R));
		assert_false(has(atc, 1, base + size, R));
	}
}

static void test_tags(void **state)
{
	struct sdma_atc *atc = *state;
	struct sdma_atc_tag privileged = { .pasid = 5, .privileged = true };
	uint64_t gpa, len;

	sdma_atc_insert(atc, tag(5), 0x1000, 0xa000, 0x1000, R, 0);
	assert_true(has(atc, 5, 0x1000, R));
	assert_false(has(atc, 5, 0x1000, W));
	assert_false(has(atc, 6, 0x1000, R));
	assert_false(has(atc, VTD_NO_PASID, 0x1000, R));
	assert_false(sdma_atc_lookup(atc, privileged, 0x1000, R, &gpa, &len));
	/* An upgrade replaces; a privileged twin does not. */
	sdma_atc_insert(atc, privileged, 0x1000, 0xc000, 0x1000, RW, 1);
	sdma_atc_insert(atc, tag(5), 0x1000, 0xb000, 0x1000, RW, 0);
	assert_int_equal(atc->count[0], 2);
	assert_true(sdma_atc_lookup(atc, tag(5), 0x1008, W, &gpa, &len));
	assert_int_equal(gpa, 0xb008);
	/* Permissions for the same memory add up. */
	sdma_atc_insert(atc, tag(7), 0x1000, 0xb000, 0x1000, R, 0);
	sdma_atc_insert(atc, tag(7), 0x1000, 0xb000, 0x1000, W, 0);
	assert_true(has(atc, 7, 0x1000, RW));
	sdma_atc_insert(atc, tag(7), 0x1000, 0xc000, 0x1000, R, 0);
	assert_false(has(atc, 7, 0x1000, W));
	assert_int_equal(sdma_atc_invalidate(atc, 7, 0, 0, false), 1);
	/* An invalidation knows no privilege. */
	assert_int_equal(sdma_atc_invalidate(atc, 5, 0x1000, 0x1000, false), 3);
	assert_int_equal(atc->count[0], 0);
}

static void test_invalidate(void **state)
{
	static const struct {
		uint32_t pasid;
		uint64_t address, size;
		bool global;
		uint64_t queues; /* of the entries of fill() */
	} rows[] = {
		{ 1, 0x1000, 0x1000, false, 0x01 },
		{ 1, 0x1800, 1, false, 0x01 },
		{ 1, 0x2000, 0x1000, false, 0 },
		{ 2, 0x1000, 0x1000, false, 0x02 },
		{ 3, 0x1000, 0x1000, false, 0 },
		{ 3, 0x1000, 0x1000, true, 0x03 },
		{ 1, 0x3ff000, 0x1000, false, 0x04 }, /* the end of a 2 MiB page */
		{ 1, 0x400000, 0x1000, false, 0 },
		{ 1, 0x1ff000, 0x2000, false, 0x04 }, /* over its start */
		{ 1, 0x7ffff000, 0x1000, false, 0x08 },
		{ 1, 0, 0x40000000, false, 0x05 },
		{ 1, 0, 0, false, 0x2d }, /* all of a PASID */
		{ 1, 0x5000, 0, false, 0x2d },
		{ 1, UINT64_MAX - 0xfff, 0x2000, false, 0x20 }, /* to the end */
		{ VTD_NO_PASID, 0, 0, false, 0x10 },
		{ 1, 0, 0, true, 0x3f },
	};
	struct sdma_atc *atc = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		sdma_atc_init(atc, SDMA_ATC_MAX);
		sdma_atc_insert(atc, tag(1), 0x1000, 0, 0x1000, R, 0);
		sdma_atc_insert(atc, tag(2), 0x1000, 0, 0x1000, R, 1);
		sdma_atc_insert(atc, tag(1), 0x200000, 0, 0x200000, R, 2);
		sdma_atc_insert(atc, tag(1), 0x40000000, 0, 0x40000000, R, 3);
		sdma_atc_insert(atc, tag(VTD_NO_PASID), 0x2000, 0, 0x1000, R, 4);
		sdma_atc_insert(atc, tag(1), UINT64_MAX, 0xfff, 0x1000, R, 5);
		assert_int_equal(sdma_atc_invalidate(atc, rows[i].pasid, rows[i].address,
						     rows[i].size, rows[i].global),
				 rows[i].queues);
		assert_int_equal(has(atc, 1, 0x1000, R), !(rows[i].queues & 1));
		assert_int_equal(has(atc, 2, 0x1000, R), !(rows[i].queues & 2));
		assert_int_equal(has(atc, 1, 0x3ff000, R), !(rows[i].queues & 4));
		assert_int_equal(has(atc, 1, 0x50000000, R), !(rows[i].queues & 8));
	}
}

static void test_entries(void **state)
{
	static const uint32_t rows[][2] = { { 0, 0 },	    { 1, 4 },
					    { 4, 4 },	    { 7, 4 },
					    { 8, 8 },	    { 1000, 512 },
					    { 1024, 1024 }, { UINT32_MAX, 1024 } };
	struct sdma_atc *atc = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		sdma_atc_init(atc, rows[i][0]);
		assert_int_equal(atc->entries, rows[i][1]);
		for (uint64_t page = 0; page < 4096; page++)
			sdma_atc_insert(atc, tag(1), page << 12, 0, 0x1000, R, 0);
		/* It fills up, and no further. */
		assert_in_range(atc->count[0], rows[i][1] / 2, rows[i][1]);
		sdma_atc_invalidate(atc, 1, 0, 0, false);
		assert_int_equal(atc->count[0], 0);
	}
}

/* What was inserted and not invalidated, by a list; the cache may have less, never more. */
struct model {
	bool valid;
	uint32_t pasid;
	uint64_t iova, gpa, size;
	unsigned int access;
};

#define MODELS 64
#define PAGES  48

static void test_random(void **state)
{
	static const uint64_t sizes[] = { 0x1000, 0x1000, 0x200000 };
	struct model models[MODELS] = { 0 };
	struct sdma_atc *atc = *state;
	unsigned int hits = 0;

	srandom(1);
	sdma_atc_init(atc, 32);
	for (unsigned int step = 0; step < 50000; step++) {
		struct model *m = &models[random() % MODELS];
		uint32_t pasid = random() % 3;
		uint64_t iova = (uint64_t)(random() % PAGES) << (random() % 2 ? 12 : 21);
		uint64_t gpa, len;

		if (step % 3 == 0 && !m->valid) {
			uint64_t size = sizes[random() % ARRAY_SIZE(sizes)];

			*m = (struct model){ true,
					     pasid,
					     align_down(iova, size),
					     (uint64_t)random() << 30,
					     size,
					     1 + random() % 3 };
			/* One translation of a page at a time. */
			for (unsigned int i = 0; i < MODELS; i++)
				if (&models[i] != m && models[i].valid &&
				    models[i].pasid == m->pasid &&
				    ranges_overlap(models[i].iova, models[i].size, m->iova,
						   m->size))
					m->valid = false;
			if (m->valid)
				sdma_atc_insert(atc, tag(pasid), iova, m->gpa + (iova - m->iova),
						m->size, m->access, 0);
			continue;
		}
		if (step % 3 == 1) {
			uint64_t size = (uint64_t)(1 + random() % 40) << 12;
			bool global = random() % 8 == 0;

			sdma_atc_invalidate(atc, pasid, iova, size, global);
			for (unsigned int i = 0; i < MODELS; i++)
				if ((global || models[i].pasid == pasid) &&
				    ranges_overlap(iova, size, models[i].iova, models[i].size))
					models[i].valid = false;
			continue;
		}
		if (!sdma_atc_lookup(atc, tag(pasid), iova + 5, R, &gpa, &len))
			continue;
		hits++;
		m = NULL;
		for (unsigned int i = 0; i < MODELS; i++)
			if (models[i].valid && models[i].pasid == pasid &&
			    iova - models[i].iova < models[i].size)
				m = &models[i];
		assert_non_null(m);
		assert_true(m->access & R);
		assert_int_equal(gpa, m->gpa + (iova + 5 - m->iova));
		assert_int_equal(len, m->iova + m->size - iova - 5);
	}
	assert_true(hits > 500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes),   TEST(test_tags),   TEST(test_invalidate),
		TEST(test_entries), TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
