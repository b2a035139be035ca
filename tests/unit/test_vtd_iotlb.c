/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOTLB and the entry cache: what each invalidation takes and leaves, capacity, and fills that
 * an invalidation overtook.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/vtd_world.h"

static int setup(void **state)
{
	static struct vtd_world world;

	*state = &world;
	return vtd_world_init(&world, WORLD_FS);
}

static int teardown(void **state)
{
	vtd_world_destroy(*state);
	return 0;
}

static struct vtd_unit *unit_of(void **state)
{
	return ((struct vtd_world *)*state)->f.unit;
}

/* --- What is in it --- */

/* Translations of a test: of two domains, second stage and PASIDs, several page sizes. */
static const struct item {
	struct vtd_iotlb_key key;
	uint8_t shift;
} items[] = {
	{ { 1, VTD_NO_PASID, false, 0x1000 }, 12 },
	{ { 1, VTD_NO_PASID, false, 0x2000 }, 12 },
	{ { 1, VTD_NO_PASID, false, 0x40000000 }, 30 },
	{ { 1, 5, false, 0x1000 }, 12 },
	{ { 1, 5, false, 0x200000 }, 21 },
	{ { 1, 6, false, 0x1000 }, 12 },
	{ { 1, 7, true, 0x1000 }, 12 },
	{ { 2, VTD_NO_PASID, false, 0x1000 }, 12 },
	{ { 2, 5, false, 0x1000 }, 12 },
	{ { 2, 7, true, 0x1000 }, 12 },
};
#define ITEMS (sizeof(items) / sizeof(items[0]))
#define ALL   ((1u << ITEMS) - 1)

static void put(struct vtd_unit *unit, const struct vtd_iotlb_key *key, uint64_t gpa, uint8_t shift)
{
	struct vtd_translation translation = { gpa, shift, VTD_TLB_READ };
	struct vtd_iotlb_fill fill = vtd_iotlb_begin(unit, key);

	vtd_iotlb_insert(unit, key, &fill, &translation);
}

static void put_all(struct vtd_unit *unit)
{
	for (unsigned int i = 0; i < ITEMS; i++)
		put(unit, &items[i].key, UINT64_C(0x80000000) + ((uint64_t)i << 32),
		    items[i].shift);
}

/* Bits of the items that are there, with the right content. */
static unsigned int present(struct vtd_unit *unit)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < ITEMS; i++) {
		struct vtd_iotlb_key key = items[i].key;
		struct vtd_translation t;

		key.iova += (VTD_BIT(items[i].shift) - 1) & 0x1ffe8f;
		if (!vtd_iotlb_lookup(unit, &key, &t))
			continue;
		assert_int_equal(t.gpa, UINT64_C(0x80000000) + ((uint64_t)i << 32));
		assert_int_equal(t.page_shift, items[i].shift);
		assert_int_equal(t.permissions, VTD_TLB_READ);
		bits |= 1u << i;
	}
	return bits;
}

enum how { ALL_OF_IT, DOMAIN, PAGES, PASID, PASID_PAGES };

static void invalidate(struct vtd_unit *unit, enum how how, uint32_t pasid, uint64_t address,
		       unsigned int order)
{
	if (how == ALL_OF_IT)
		vtd_iotlb_invalidate_all(unit);
	else if (how == DOMAIN)
		vtd_iotlb_invalidate_domain(unit, 1);
	else if (how == PAGES)
		vtd_iotlb_invalidate_pages(unit, 1, address, order);
	else if (how == PASID)
		vtd_iotlb_invalidate_pasid(unit, 1, pasid);
	else
		vtd_iotlb_invalidate_pasid_pages(unit, 1, pasid, address, order);
}

static void test_invalidation(void **state)
{
	static const struct {
		enum how how;
		uint32_t pasid;
		uint64_t address;
		unsigned int order;
		unsigned int gone;
	} rows[] = {
		{ ALL_OF_IT, 0, 0, 0, ALL },
		{ DOMAIN, 0, 0, 0, 0x7f },
		/* Nested entries of the domain go with each of its second-stage pages. */
		{ PAGES, 0, 0x1000, 0, 0x41 },
		{ PAGES, 0, 0x1fff, 0, 0x41 },
		{ PAGES, 0, 0x3000, 0, 0x40 },
		{ PAGES, 0, 0, 2, 0x43 },
		{ PAGES, 0, 0x3000, 2, 0x43 }, /* aligned down */
		{ PAGES, 0, 0x7ffff000, 0, 0x44 },
		{ PAGES, 0, 0x40000000, 9, 0x44 },
		{ PAGES, 0, 0, 19, 0x7f }, /* too many to look at: the domain */
		{ PAGES, 0, 0, 52, 0x7f },
		{ PAGES, 0, UINT64_MAX, 64, 0x7f },
		{ PASID, 5, 0, 0, 0x18 },
		{ PASID, 7, 0, 0, 0x40 },
		{ PASID_PAGES, 5, 0x1000, 0, 0x08 },
		{ PASID_PAGES, 5, 0x3ff000, 0, 0x10 },
		{ PASID_PAGES, 5, 0x200000, 9, 0x10 },
		{ PASID_PAGES, 5, 0, 63, 0x18 },
		{ PASID_PAGES, 7, 0x1000, 0, 0x40 },
		{ PASID_PAGES, 8, 0x1000, 0, 0 },
	};
	struct vtd_unit *unit = unit_of(state);

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t epoch;

		put_all(unit);
		assert_int_equal(present(unit), ALL);
		epoch = vtd_epoch(unit);
		invalidate(unit, rows[i].how, rows[i].pasid, rows[i].address, rows[i].order);
		assert_true(vtd_epoch(unit) != epoch);
		if (present(unit) != (ALL & ~rows[i].gone))
			fail_msg("row %u leaves 0x%x", i, present(unit));
	}
}

/* Whatever is invalidated between begin and insert keeps what it concerns out. */
static void test_overtaken(void **state)
{
	static const enum how hows[] = { ALL_OF_IT, DOMAIN, PAGES, PASID, PASID_PAGES };
	struct vtd_unit *unit = unit_of(state);

	for (unsigned int h = 0; h < sizeof(hows) / sizeof(hows[0]); h++) {
		struct vtd_iotlb_key key = { .did = 1,
					     .pasid = hows[h] == PAGES ? VTD_NO_PASID : 5,
					     .iova = 0x77000 };
		struct vtd_translation translation = { 0x1000, 12, VTD_TLB_READ };
		struct vtd_iotlb_fill fill = vtd_iotlb_begin(unit, &key);

		invalidate(unit, hows[h], 5, 0x77000, 0);
		vtd_iotlb_insert(unit, &key, &fill, &translation);
		assert_false(vtd_iotlb_lookup(unit, &key, &translation));
	}
}

/* 64 Ki neighbouring pages fit, all of them. */
static void test_capacity(void **state)
{
	struct vtd_unit *unit = unit_of(state);
	struct vtd_iotlb_key key = { .did = 3, .pasid = 9 };
	struct vtd_translation t;

	for (uint64_t page = 0; page < 65536; page++) {
		key.iova = UINT64_C(0x7f0000000000) + (page << 12);
		put(unit, &key, page << 12, 12);
	}
	for (uint64_t page = 0; page < 65536; page++) {
		key.iova = UINT64_C(0x7f0000000000) + (page << 12);
		assert_true(vtd_iotlb_lookup(unit, &key, &t));
		assert_int_equal(t.gpa, page << 12);
	}
	/* Insertion of the same key again replaces. */
	put(unit, &key, 0x5000, 12);
	assert_true(vtd_iotlb_lookup(unit, &key, &t));
	assert_int_equal(t.gpa, 0x5000);
	vtd_iotlb_invalidate_pasid_pages(unit, 3, 9, key.iova, 0);
	assert_false(vtd_iotlb_lookup(unit, &key, &t));
}

/* Far more than fit: nothing but misses may come of it. */
static void test_eviction(void **state)
{
	struct vtd_unit *unit = unit_of(state);
	unsigned int hits = 0;

	for (unsigned int turn = 0; turn < 2; turn++)
		for (uint64_t i = 0; i < 300000; i++) {
			struct vtd_iotlb_key key = { .did = (uint16_t)(i % 5),
						     .pasid = (uint32_t)(i % 11),
						     .iova = i * 0x9e3779b1 << 12 };
			struct vtd_translation t;

			if (!turn) {
				put(unit, &key, i << 12, 12);
			} else if (vtd_iotlb_lookup(unit, &key, &t)) {
				assert_int_equal(t.gpa, i << 12);
				hits++;
			}
		}
	assert_in_range(hits, 50000, 114688);
}

/* --- Through vtd_translate() --- */

static uint64_t walks(const struct vtd_world *w)
{
	return vtd_counter(w->f.unit, VTD_COUNT_WALKS);
}

/* True if a request is answered without a walk. */
static bool cached(struct vtd_world *w, uint32_t pasid, unsigned int access)
{
	uint64_t before = walks(w);
	struct vtd_result result;

	assert_int_equal(vtd_world_dma(w, pasid, w->iova, access, VTD_UNTRANSLATED, &result), 0);
	return walks(w) == before;
}

/* A write by a translation that a read has brought in sets D. */
static void test_dirty(void **state)
{
	struct vtd_world *w = *state;

	assert_false(cached(w, WORLD_PASID, VTD_READ));
	assert_true(cached(w, WORLD_PASID, VTD_READ));
	assert_int_equal(vtd_world_word(w, AT_FS_LEAF, 0) & (VTD_FS_A | VTD_FS_D), VTD_FS_A);
	assert_false(cached(w, WORLD_PASID, VTD_WRITE));
	assert_int_equal(vtd_world_word(w, AT_FS_LEAF, 0) & (VTD_FS_A | VTD_FS_D),
			 VTD_FS_A | VTD_FS_D);
	assert_true(cached(w, WORLD_PASID, VTD_WRITE));
	assert_true(cached(w, WORLD_PASID, VTD_READ));
}

/* Guests change tables without invalidating when that only adds permissions. */
static void test_upgrade(void **state)
{
	struct vtd_world *w = *state;

	vtd_world_change(w, AT_FS_LEAF, 0, VTD_FS_RW, 0);
	assert_false(cached(w, WORLD_PASID, VTD_READ));
	vtd_world_change(w, AT_FS_LEAF, 0, 0, VTD_FS_RW);
	assert_false(cached(w, WORLD_PASID, VTD_WRITE));
}

/* Requests without PASID, by RID_PASID 0, and those with PASID 0 have the same translations. */
static void test_rid_pasid(void **state)
{
	struct vtd_world *w = *state;

	assert_false(cached(w, VTD_NO_PASID, VTD_READ));
	assert_true(cached(w, 0, VTD_READ));
	assert_false(cached(w, WORLD_PASID, VTD_READ));
	vtd_iotlb_invalidate_pasid(w->f.unit, WORLD_DID, 0);
	assert_false(cached(w, VTD_NO_PASID, VTD_READ));
	assert_true(cached(w, WORLD_PASID, VTD_READ));
}

/* The PASID entry is used from the cache until it is invalidated; which does that? */
static void test_entries(void **state)
{
	struct vtd_world *w = *state;
	struct vtd_unit *unit = w->f.unit;
	struct vtd_entry entry;

	for (unsigned int how = 0; how < 8; how++) {
		uint64_t epoch = vtd_epoch(unit);
		bool expected = how < 4;

		assert_int_equal(vtd_entry_get(unit, w->requester, WORLD_PASID, &entry), VTD_OK);
		assert_true(vtd_entry_cached(unit, w->requester, WORLD_PASID, &entry));
		assert_int_equal(entry.did, WORLD_DID);
		if (how == 0)
			vtd_entries_invalidate_all(unit);
		else if (how == 1)
			vtd_entries_invalidate_domain(unit, WORLD_DID);
		else if (how == 2)
			vtd_entries_invalidate_source(unit, WORLD_SOURCE ^ 1, 3);
		else if (how == 3)
			vtd_entries_invalidate_pasid(unit, WORLD_DID, WORLD_PASID);
		else if (how == 4)
			vtd_entries_invalidate_domain(unit, WORLD_DID + 1);
		else if (how == 5)
			vtd_entries_invalidate_source(unit, WORLD_SOURCE ^ 1, 0);
		else if (how == 6)
			vtd_entries_invalidate_source(unit, WORLD_SOURCE ^ 4, 0);
		else
			vtd_entries_invalidate_pasid(unit, WORLD_DID, WORLD_PASID + 1);
		assert_int_equal(!vtd_entry_cached(unit, w->requester, WORLD_PASID, &entry),
				 expected);
		/* Those of others do not concern the epoch's users, but may count. */
		assert_true(!expected || vtd_epoch(unit) != epoch);
	}
	/* FM 1 and 2 mask the upper bits of the function number. */
	vtd_entries_invalidate_source(unit, WORLD_SOURCE ^ 6, 1);
	assert_true(vtd_entry_cached(unit, w->requester, WORLD_PASID, &entry));
	vtd_entries_invalidate_source(unit, WORLD_SOURCE ^ 4, 1);
	assert_false(vtd_entry_cached(unit, w->requester, WORLD_PASID, &entry));
	vtd_entry_get(unit, w->requester, WORLD_PASID, &entry);
	vtd_entries_invalidate_source(unit, WORLD_SOURCE ^ 6, 2);
	assert_false(vtd_entry_cached(unit, w->requester, WORLD_PASID, &entry));
}

/* More PASIDs than the entry cache has room for. */
static void test_many_pasids(void **state)
{
	struct vtd_world *w = *state;
	uint64_t directory = w->place[AT_DIRECTORY];
	uint64_t table = vtd_fixture_load(&w->f, directory);
	struct vtd_result result;

	/* The same table for all 128 directory entries: 8192 PASIDs. */
	for (unsigned int i = 1; i < 128; i++)
		vtd_fixture_store(&w->f, directory + 8 * i, table);
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(vtd_world_dma(w, i * 64 + WORLD_PASID, w->iova, VTD_READ,
					       VTD_UNTRANSLATED, &result),
				 0);
	assert_int_equal(walks(w), 128);
}

static void count_info(void *context, const struct vtd_pasid_info *info)
{
	struct vtd_pasid_info *found = context;

	assert_int_equal(info->source, WORLD_SOURCE);
	if (info->pasid == WORLD_PASID)
		*found = *info;
}

static void test_each_pasid(void **state)
{
	struct vtd_world *w = *state;
	struct vtd_pasid_info found = { 0 };
	struct vtd_result result;

	assert_false(cached(w, WORLD_PASID, VTD_READ));
	assert_false(cached(w, WORLD_PASID, VTD_WRITE));
	vtd_world_dma(w, WORLD_PASID, 0x1000, VTD_READ, VTD_UNTRANSLATED, &result);
	vtd_entry_count(w->f.unit, w->requester, WORLD_PASID, VTD_COUNT_PAGE_REQUESTS);
	vtd_each_pasid(w->f.unit, count_info, &found);
	assert_int_equal(found.pasid, WORLD_PASID);
	assert_int_equal(found.did, WORLD_DID);
	assert_string_equal(found.type, "first-stage");
	assert_int_equal(found.root, vtd_world_word(w, AT_PASID, 2) & VTD_PASID2_FSPTPTR);
	assert_int_equal(found.walks, 3);
	assert_int_equal(found.faults, 1);
	assert_int_equal(found.page_requests, 1);
	vtd_entries_invalidate_all(w->f.unit);
	found = (struct vtd_pasid_info){ 0 };
	vtd_each_pasid(w->f.unit, count_info, &found);
	assert_int_equal(found.pasid, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_invalidation), TEST(test_overtaken), TEST(test_capacity),
		TEST(test_eviction),	 TEST(test_dirty),     TEST(test_upgrade),
		TEST(test_rid_pasid),	 TEST(test_entries),   TEST(test_many_pasids),
		TEST(test_each_pasid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
