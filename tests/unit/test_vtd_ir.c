/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt remapping: one row per rule of VT-d 5.1 and 9.10, the interrupt entry cache, what the
 * machine is told, and what is recorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

#define SOURCE	0x0123 /* 01:04.3 */
#define ENTRIES 256    /* of the table: S = 7 */
#define SIZE	7

static struct vtd_fixture f;
static uint64_t table;

static void lock(void)
{
	pthread_mutex_lock(&f.unit->lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&f.unit->lock);
}

/* What the unit offers is decided elsewhere; here it has what a test is about. */
static void offer(uint64_t ecap)
{
	f.unit->ecap &= ~(VTD_ECAP_IR | VTD_ECAP_EIM);
	f.unit->ecap |= ecap;
}

/* SIRTP, IRE and CFI. */
static void program(uint64_t irta, bool enable, bool compatibility)
{
	lock();
	vtd_ir_set_table(f.unit, irta);
	vtd_ir_set_compatibility(f.unit, compatibility);
	vtd_ir_enable(f.unit, enable);
	unlock();
	f.changes = 0;
}

static void invalidate(unsigned int index, unsigned int order)
{
	lock();
	vtd_ir_invalidate(f.unit, index, order);
	unlock();
}

static int setup(void **state)
{
	(void)state;
	if (vtd_fixture_init(&f, NULL))
		return -1;
	offer(VTD_ECAP_IR | VTD_ECAP_EIM);
	table = vtd_fixture_page(&f);
	program(table | VTD_IRTA_EIME | SIZE, true, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vtd_fixture_destroy(&f);
	return 0;
}

static void store(unsigned int index, uint64_t low, uint64_t high)
{
	vtd_fixture_store(&f, table + 16 * index, low);
	vtd_fixture_store(&f, table + 16 * index + 8, high);
}

/* The address that a device writes for @handle. */
static uint64_t address_of(unsigned int handle, bool shv)
{
	return 0xfee00010 | (handle & 0x7fff) << 5 | handle >> 15 << 2 | shv << 3;
}

static struct vtd_ir_answer ask(uint16_t source, uint64_t address, uint32_t data)
{
	const struct vtd_msi request = { address, data };
	struct vtd_ir_answer answer;

	vtd_ir_remap(f.unit, source, &request, &answer);
	return answer;
}

/* --- Entries --- */

#define P	   UINT64_C(1)
#define FPD	   UINT64_C(2)
#define DM	   UINT64_C(4)
#define RH	   UINT64_C(8)
#define TM	   UINT64_C(16)
#define DLM(mode)  ((uint64_t)(mode) << 5)
#define V(vector)  ((uint64_t)(vector) << 16)
#define DST(id)	   ((uint64_t)(id) << 32)
#define SQ(value)  ((uint64_t)(value) << 16)
#define SVT(value) ((uint64_t)(value) << 18)

struct entry_row {
	const char *name;
	uint64_t low, high;
	enum vtd_reason reason;
	uint64_t address; /* of the message */
	uint32_t data;
};

static void check_entries(const struct entry_row *rows, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct entry_row *row = &rows[i];
		struct vtd_ir_answer answer;

		store(5, row->low, row->high);
		invalidate(5, 0);
		answer = ask(SOURCE, address_of(5, false), 0xffffffff);
		if (answer.reason != row->reason ||
		    (row->reason == VTD_OK &&
		     (answer.msi.address != row->address || answer.msi.data != row->data)))
			fail_msg("%s: reason %#x, address %#llx data %#x", row->name, answer.reason,
				 (unsigned long long)answer.msi.address, answer.msi.data);
		assert_int_equal(answer.index, 5);
		assert_int_equal(answer.quiet, row->reason != VTD_OK && !!(row->low & FPD));
	}
}

static const struct entry_row extended_rows[] = {
	{ "plain", P | V(0x31) | DST(3), 0, VTD_OK, 0xfee03000, 0x31 },
	{ "logical", P | DM | V(0x31) | DST(3), 0, VTD_OK, 0xfee03004, 0x31 },
	{ "hint", P | RH | V(0x31) | DST(3), 0, VTD_OK, 0xfee03008, 0x31 },
	{ "level", P | TM | V(0x31) | DST(3), 0, VTD_OK, 0xfee03000, 0xc031 },
	{ "lowest priority", P | DLM(1) | V(0xff), 0, VTD_OK, 0xfee00000, 0x1ff },
	{ "SMI", P | DLM(2), 0, VTD_OK, 0xfee00000, 0x200 },
	{ "reserved mode 3", P | DLM(3), 0, VTD_IR_IRTE_RESERVED, 0, 0 },
	{ "NMI", P | DLM(4), 0, VTD_OK, 0xfee00000, 0x400 },
	{ "INIT", P | DLM(5), 0, VTD_OK, 0xfee00000, 0x500 },
	{ "reserved mode 6", P | DLM(6), 0, VTD_IR_IRTE_RESERVED, 0, 0 },
	{ "ExtINT", P | DLM(7), 0, VTD_OK, 0xfee00000, 0x700 },
	{ "id 255", P | DST(255), 0, VTD_OK, 0xfeeff000, 0 },
	{ "id 256", P | DST(256), 0, VTD_OK, UINT64_C(0x100fee00000), 0 },
	{ "id 0x12345", P | DST(0x12345), 0, VTD_OK, UINT64_C(0x12300fee45000), 0 },
	{ "all", P | DM | DST(0xffffffff), 0, VTD_OK, UINT64_C(0xffffff00feeff004), 0 },
	{ "available bits", P | 0xf00 | V(0x31), 0, VTD_OK, 0xfee00000, 0x31 },
	{ "FPD of a good one", P | FPD | V(0x31), 0, VTD_OK, 0xfee00000, 0x31 },
	{ "not present", V(0x31), 0, VTD_IR_P, 0, 0 },
	{ "not present, quiet", FPD | V(0x31), 0, VTD_IR_P, 0, 0 },
	{ "not present, reserved", UINT64_C(1) << 31, 1ULL << 63, VTD_IR_P, 0, 0 },
	{ "posted", P | 1 << 15, 0, VTD_IR_IRTE_RESERVED, 0, 0 },
	{ "posted, quiet", P | FPD | 1 << 15, 0, VTD_IR_IRTE_RESERVED, 0, 0 },
	{ "no source check", P, 0xffff, VTD_OK, 0xfee00000, 0 },
	{ "reserved SVT", P, SVT(3) | SOURCE, VTD_IR_IRTE_RESERVED, 0, 0 },
	{ "reserved before source", P | 1 << 12, SVT(1), VTD_IR_IRTE_RESERVED, 0, 0 },
	{ "wrong source", P, SVT(1), VTD_IR_SID, 0, 0 },
	{ "wrong source, quiet", P | FPD, SVT(1), VTD_IR_SID, 0, 0 },
};

static void test_entries(void **state)
{
	(void)state;
	check_entries(extended_rows, sizeof(extended_rows) / sizeof(extended_rows[0]));
}

/* xAPIC: 8 bits of destination, and the others are reserved. */
static void test_xapic_destinations(void **state)
{
	static const struct entry_row rows[] = {
		{ "id 3", P | DST(0x300) | V(0x31), 0, VTD_OK, 0xfee03000, 0x31 },
		{ "id 255", P | DST(0xff00), 0, VTD_OK, 0xfeeff000, 0 },
		{ "low bits", P | DST(1), 0, VTD_IR_IRTE_RESERVED, 0, 0 },
		{ "low bits, top", P | DST(0x80), 0, VTD_IR_IRTE_RESERVED, 0, 0 },
		{ "id 256", P | DST(0x10000), 0, VTD_IR_IRTE_RESERVED, 0, 0 },
		{ "top", P | DST(0x80000000), 0, VTD_IR_IRTE_RESERVED, 0, 0 },
	};

	(void)state;
	program(table | SIZE, true, false);
	check_entries(rows, sizeof(rows) / sizeof(rows[0]));
	/* EIME is a reserved bit to a unit without EIM. */
	offer(VTD_ECAP_IR);
	program(table | VTD_IRTA_EIME | SIZE, true, false);
	check_entries(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Every reserved bit of an entry by itself, and no other. */
static void test_reserved_bits(void **state)
{
	const uint64_t reserved[2] = { 0xff00f000, UINT64_C(0xfffffffffff00000) };

	(void)state;
	for (unsigned int bit = 0; bit < 128; bit++) {
		uint64_t word[2] = { P, 0 };
		bool wrong = reserved[bit / 64] >> bit % 64 & 1;

		if (bit == 0 || (bit >= 64 + 18 && bit < 64 + 20))
			continue; /* P, and SVT, which has rows of its own */
		word[bit / 64] |= UINT64_C(1) << bit % 64;
		store(9, word[0], word[1]);
		invalidate(9, 0);
		assert_int_equal(ask(SOURCE, address_of(9, false), 0).reason,
				 wrong ? VTD_IR_IRTE_RESERVED : VTD_OK);
	}
}

/* --- Sources --- */

/* Bits of the requester's id that SQ lets differ (9.10). */
static void test_source_ids(void **state)
{
	static const uint16_t ignored[] = { 0, 4, 6, 7 };

	(void)state;
	for (unsigned int sq = 0; sq < 4; sq++) {
		store(1, P, SVT(1) | SQ(sq) | SOURCE);
		invalidate(1, 0);
		for (unsigned int difference = 0; difference < 65536; difference++) {
			bool allowed = !(difference & ~ignored[sq]);

			assert_int_equal(
				ask((uint16_t)(SOURCE ^ difference), address_of(1, false), 0)
					.reason,
				allowed ? VTD_OK : VTD_IR_SID);
		}
	}
}

static void test_source_buses(void **state)
{
	static const struct {
		uint16_t sid, source;
		enum vtd_reason reason;
	} rows[] = {
		{ 0x0000, 0x0000, VTD_OK },	{ 0x0000, 0x00ff, VTD_OK },
		{ 0x0000, 0x0100, VTD_IR_SID }, { 0x0204, 0x01ff, VTD_IR_SID },
		{ 0x0204, 0x0200, VTD_OK },	{ 0x0204, 0x03aa, VTD_OK },
		{ 0x0204, 0x04ff, VTD_OK },	{ 0x0204, 0x0500, VTD_IR_SID },
		{ 0x0402, 0x0300, VTD_IR_SID }, { 0x00ff, 0xffff, VTD_OK },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* SQ means nothing here. */
		store(1, P, SVT(2) | SQ(i & 3) | rows[i].sid);
		invalidate(1, 0);
		assert_int_equal(ask(rows[i].source, address_of(1, false), 0).reason,
				 rows[i].reason);
	}
}

/* --- Requests --- */

struct request_row {
	const char *name;
	unsigned int handle;
	bool shv;
	uint32_t data;
	enum vtd_reason reason;
	uint16_t index;
};

static const struct request_row requests[] = {
	{ "first", 0, false, 0, VTD_OK, 0 },
	{ "last", 255, false, 0, VTD_OK, 255 },
	{ "one more", 256, false, 0, VTD_IR_INDEX, 256 },
	{ "data ignored", 7, false, 0xffffffff, VTD_OK, 7 },
	{ "subhandle", 7, true, 3, VTD_OK, 10 },
	{ "subhandle to the last", 200, true, 55, VTD_OK, 255 },
	{ "subhandle beyond", 200, true, 56, VTD_IR_INDEX, 256 },
	{ "subhandle around", 1, true, 0xffff, VTD_IR_INDEX, 0 },
	{ "reserved data, lowest", 7, true, 0x10000, VTD_IR_RESERVED, 7 },
	{ "reserved data, highest", 7, true, 0x80000003, VTD_IR_RESERVED, 10 },
	{ "reserved before index", 256, true, 0x10000, VTD_IR_RESERVED, 256 },
	{ "bit 15", 0x8000, false, 0, VTD_IR_INDEX, 0x8000 },
};

static void test_requests(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ENTRIES; i++)
		store(i, P | V(i), 0);
	for (unsigned int i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const struct request_row *row = &requests[i];
		struct vtd_ir_answer answer =
			ask(SOURCE, address_of(row->handle, row->shv), row->data);

		if (answer.reason != row->reason || answer.index != row->index)
			fail_msg("%s: reason %#x index %#x", row->name, answer.reason,
				 answer.index);
		if (row->reason == VTD_OK)
			assert_int_equal(answer.msi.data, row->index);
	}
}

/* Every table size: the last entry is in, the next is out. */
static void test_table_sizes(void **state)
{
	uint64_t large = vtd_fixture_pages(&f, 256);

	(void)state;
	table = large;
	for (unsigned int i = 0; i < 65536; i++)
		store(i, P | DST(i), 0);
	for (unsigned int size = 0; size < 16; size++) {
		unsigned int entries = 2U << size;
		struct vtd_ir_answer answer;

		program(large | VTD_IRTA_EIME | 0x7f0 | size, true, false);
		answer = ask(SOURCE, address_of(entries - 1, false), 0);
		assert_int_equal(answer.reason, VTD_OK);
		assert_int_equal(answer.msi.address >> 40, (entries - 1) >> 8);
		assert_int_equal(answer.msi.address >> 12 & 0xff, (entries - 1) & 0xff);
		if (entries < 65536)
			assert_int_equal(ask(SOURCE, address_of(entries, false), 0).reason,
					 VTD_IR_INDEX);
		assert_int_equal(ask(SOURCE, address_of(0xffff, true), 1).reason, VTD_IR_INDEX);
	}
}

static void test_unreadable_tables(void **state)
{
	static const uint64_t nowhere[] = { UINT64_C(1) << 40, UINT64_C(1) << 46,
					    UINT64_C(0xfffffffffffff000), FIXTURE_MEMORY };

	(void)state;
	for (unsigned int i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		program(nowhere[i] | VTD_IRTA_EIME | 15, true, false);
		assert_int_equal(ask(SOURCE, address_of(0, false), 0).reason, VTD_IR_ACCESS);
		/* Up to 1 MiB further on: an address of 64 bits that wraps is no RAM. */
		assert_int_equal(ask(SOURCE, address_of(0xffff, false), 0).reason, VTD_IR_ACCESS);
	}
	/* A table of two pages, of which the second is not there. */
	table = vtd_fixture_pages(&f, 2);
	f.hole = table + 4096;
	program(table | VTD_IRTA_EIME | 8, true, false);
	store(255, P, 0);
	assert_int_equal(ask(SOURCE, address_of(255, false), 0).reason, VTD_OK);
	assert_int_equal(ask(SOURCE, address_of(256, false), 0).reason, VTD_IR_ACCESS);
}

/* Compatibility format: through if remapping is off, or if CFIS is set and EIME is not. */
static void test_compatibility(void **state)
{
	const uint64_t address = 0xfee0300c;

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		bool enable = i & 1, cfi = i & 2, eime = i & 4;
		bool through = !enable || (cfi && !eime);
		struct vtd_ir_answer answer;

		program(table | (eime ? VTD_IRTA_EIME : 0) | SIZE, enable, cfi);
		answer = ask(SOURCE, address, 0x4031);
		assert_int_equal(answer.reason, through ? VTD_OK : VTD_IR_COMPATIBILITY);
		assert_int_equal(answer.index, 0);
		assert_false(answer.quiet);
		if (!through)
			continue;
		assert_int_equal(answer.msi.address, address);
		assert_int_equal(answer.msi.data, 0x4031);
	}
	/* With remapping off, the format means nothing. */
	program(table | SIZE, false, false);
	assert_int_equal(ask(SOURCE, address_of(3, false), 7).reason, VTD_OK);
	assert_int_equal(ask(SOURCE, address_of(3, false), 7).msi.address, address_of(3, false));
}

/* --- The cache --- */

/* The vector that entry @index has by the answer. */
static unsigned int vector_at(unsigned int index)
{
	struct vtd_ir_answer answer = ask(SOURCE, address_of(index, false), 0);

	assert_int_equal(answer.reason, VTD_OK);
	return answer.msi.data;
}

static void test_cached_until_invalidated(void **state)
{
	(void)state;
	store(3, P | V(0x31), 0);
	assert_int_equal(vector_at(3), 0x31);
	store(3, 0, 0);
	assert_int_equal(vector_at(3), 0x31);
	invalidate(2, 0);
	invalidate(4, 0);
	invalidate(3 + VTD_IR_SLOTS, 0);
	assert_int_equal(vector_at(3), 0x31);
	invalidate(3, 0);
	assert_int_equal(ask(SOURCE, address_of(3, false), 0).reason, VTD_IR_P);
	/* Nothing that faults by itself is cached. */
	store(3, P | 1 << 15, 0);
	assert_int_equal(ask(SOURCE, address_of(3, false), 0).reason, VTD_IR_IRTE_RESERVED);
	store(3, P | V(0x32), 0);
	assert_int_equal(vector_at(3), 0x32);
	lock();
	vtd_ir_invalidate_all(f.unit);
	unlock();
	store(3, P | V(0x33), 0);
	assert_int_equal(vector_at(3), 0x33);
	/* A new table, and a reset, begin anew. */
	store(3, P | V(0x34), 0);
	program(table | VTD_IRTA_EIME | SIZE, true, false);
	assert_int_equal(vector_at(3), 0x34);
	vtd_reset(f.unit);
	assert_int_equal(ask(SOURCE, 0xfee00000, 0).reason, VTD_OK);
}

/* The index mask: 2^order entries, of which the given one is any. */
static void test_invalidation_masks(void **state)
{
	(void)state;
	for (unsigned int order = 0; order <= 9; order++) {
		const unsigned int index = 0x5a, mask = (1U << order) - 1;

		for (unsigned int i = 0; i < ENTRIES; i++)
			store(i, P | V(0x40), 0);
		invalidate(0, 31);
		for (unsigned int i = 0; i < ENTRIES; i++)
			vector_at(i);
		for (unsigned int i = 0; i < ENTRIES; i++)
			store(i, P | V(0x50), 0);
		f.changes = 0;
		invalidate(index, order);
		assert_int_equal(f.changes, 1);
		assert_int_equal(f.change[0].first, index & ~mask);
		assert_int_equal(f.change[0].count, mask + 1);
		for (unsigned int i = 0; i < ENTRIES; i++)
			assert_int_equal(vector_at(i),
					 (i & ~mask) == (index & ~mask) ? 0x50 : 0x40);
	}
}

/* Two indices that share a slot do not answer for each other. */
static void test_cache_conflicts(void **state)
{
	(void)state;
	table = vtd_fixture_pages(&f, 3);
	program(table | VTD_IRTA_EIME | 9, true, false);
	store(1, P | V(0x31), 0);
	store(1 + VTD_IR_SLOTS, P | V(0x32), 0);
	assert_int_equal(vector_at(1), 0x31);
	assert_int_equal(vector_at(1 + VTD_IR_SLOTS), 0x32);
	assert_int_equal(vector_at(1), 0x31);
}

/* All of it as a driver does it: SIRTP, IRE, and descriptors for the cache. */
static void test_as_a_driver(void **state)
{
	const uint64_t selective = VTD_DESC_INTERRUPT | VTD_INTERRUPT_G;

	(void)state;
	vtd_reset(f.unit);
	assert_true(vtd_fixture_queue(&f, false));
	assert_true(vtd_fixture_set_irta(&f, table | VTD_IRTA_EIME | SIZE));
	assert_int_equal(ask(SOURCE, 0xfee00000, 0x31).reason, VTD_OK);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_IRE, true));
	assert_int_equal(ask(SOURCE, 0xfee00000, 0x31).reason, VTD_IR_COMPATIBILITY);
	for (unsigned int i = 0; i < 8; i++) {
		store(i, P | V(0x31), 0);
		assert_int_equal(vector_at(i), 0x31);
		store(i, P | V(0x32), 0);
	}
	vtd_fixture_submit(&f, selective | vtd_put(3, VTD_INTERRUPT_IIDX), 0);
	assert_true(vtd_fixture_wait(&f));
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(vector_at(i), i == 3 ? 0x32 : 0x31);
	vtd_fixture_submit(
		&f, selective | vtd_put(4, VTD_INTERRUPT_IIDX) | vtd_put(2, VTD_INTERRUPT_IM), 0);
	assert_true(vtd_fixture_wait(&f));
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(vector_at(i), i >= 3 ? 0x32 : 0x31);
	vtd_fixture_submit(&f, VTD_DESC_INTERRUPT, 0);
	assert_true(vtd_fixture_wait(&f));
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(vector_at(i), 0x32);
}

/* --- What the machine is told, and what is recorded --- */

static void test_machine_is_told(void **state)
{
	(void)state;
	lock();
	vtd_ir_set_table(f.unit, table | SIZE);
	assert_int_equal(f.changes, 1);
	vtd_ir_set_compatibility(f.unit, true);
	assert_int_equal(f.changes, 2);
	vtd_ir_enable(f.unit, false);
	assert_int_equal(f.changes, 3);
	/* While remapping is off, nothing changes. */
	vtd_ir_set_table(f.unit, table | VTD_IRTA_EIME | SIZE);
	vtd_ir_set_compatibility(f.unit, false);
	vtd_ir_invalidate(f.unit, 3, 0);
	assert_int_equal(f.changes, 3);
	vtd_ir_enable(f.unit, true);
	assert_int_equal(f.changes, 4);
	vtd_ir_invalidate_all(f.unit);
	assert_int_equal(f.changes, 5);
	unlock();
	vtd_reset(f.unit);
	assert_int_equal(f.changes, 6);
	for (unsigned int i = 0; i < 6; i++) {
		assert_int_equal(f.change[i].first, 0);
		assert_int_equal(f.change[i].count, 65536);
	}
}

static int remap(uint64_t address, uint32_t data, struct vtd_msi *msi, bool record)
{
	const struct vtd_msi request = { address, data };

	return vtd_remap_msi(f.unit, SOURCE, &request, msi, record);
}

static void test_deliveries_are_counted(void **state)
{
	struct vtd_msi msi = { 0 };

	(void)state;
	store(3, P | V(0x31) | DST(0x1234), 0);
	assert_int_equal(remap(address_of(3, false), 0, &msi, false), 0);
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_INTERRUPTS), 0);
	assert_int_equal(remap(address_of(3, false), 0, &msi, true), 0);
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_INTERRUPTS), 1);
	assert_int_equal(msi.address, UINT64_C(0x1200fee34000));
	assert_int_equal(msi.data, 0x31);
	assert_int_equal(remap(address_of(4, false), 0, &msi, true), -EFAULT);
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_INTERRUPTS), 1);
}

static void test_faults_are_recorded(void **state)
{
	static const struct {
		enum vtd_reason reason;
		unsigned int index;
		uint64_t address, low, high;
		uint32_t data;
	} rows[] = {
		{ VTD_IR_RESERVED, 3, 0xfee00078, 0, 0, 0x10000 },
		{ VTD_IR_INDEX, 0x8003, 0xfee00074, 0, 0, 0 },
		{ VTD_IR_P, 3, 0xfee00070, 0, 0, 0 },
		{ VTD_IR_IRTE_RESERVED, 3, 0xfee00070, P, UINT64_C(1) << 20, 0 },
		{ VTD_IR_SID, 3, 0xfee00070, P, SVT(1), 0 },
		{ VTD_IR_COMPATIBILITY, 0, 0xfee03000, 0, 0, 0 },
		{ VTD_IR_ACCESS, 4, 0xfee00090, 0, 0, 0 },
	};
	struct vtd_msi msi;

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t high;

		store(3, rows[i].low, rows[i].high);
		invalidate(3, 0);
		if (rows[i].reason == VTD_IR_ACCESS)
			f.hole = table;
		assert_int_equal(remap(rows[i].address, rows[i].data, &msi, false), -EFAULT);
		assert_int_equal(vtd_fault_counter(f.unit, rows[i].reason), 0);
		assert_int_equal(remap(rows[i].address, rows[i].data, &msi, true), -EFAULT);
		assert_int_equal(vtd_fault_counter(f.unit, rows[i].reason), 1);
		high = vtd_frcd_read(f.unit, i, true);
		assert_int_equal(vtd_get(high, VTD_FRCD1_F), 1);
		assert_int_equal(vtd_get(high, VTD_FRCD1_FR), rows[i].reason);
		assert_int_equal(vtd_get(high, VTD_FRCD1_SID), SOURCE);
		assert_int_equal(vtd_get(high, VTD_FRCD1_PP), 0);
		assert_int_equal(vtd_frcd_read(f.unit, i, false),
				 vtd_put(rows[i].index, VTD_FRCD0_INDEX));
	}
}

/* FPD silences what the entry is to blame for. */
static void test_quiet_faults(void **state)
{
	static const struct {
		enum vtd_reason reason;
		uint64_t low, high;
	} rows[] = {
		{ VTD_IR_P, FPD, 0 },
		{ VTD_IR_IRTE_RESERVED, P | FPD | 1 << 15, 0 },
		{ VTD_IR_SID, P | FPD, SVT(1) },
	};
	struct vtd_msi msi;

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		store(3, rows[i].low, rows[i].high);
		invalidate(3, 0);
		assert_int_equal(ask(SOURCE, address_of(3, false), 0).reason, rows[i].reason);
		assert_int_equal(remap(address_of(3, false), 0, &msi, true), -EFAULT);
		assert_int_equal(vtd_fault_counter(f.unit, rows[i].reason), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_entries),
		TEST(test_xapic_destinations),
		TEST(test_reserved_bits),
		TEST(test_source_ids),
		TEST(test_source_buses),
		TEST(test_requests),
		TEST(test_table_sizes),
		TEST(test_unreadable_tables),
		TEST(test_compatibility),
		TEST(test_cached_until_invalidated),
		TEST(test_invalidation_masks),
		TEST(test_cache_conflicts),
		TEST(test_as_a_driver),
		TEST(test_machine_is_told),
		TEST(test_deliveries_are_counted),
		TEST(test_faults_are_recorded),
		TEST(test_quiet_faults),
	};

	return cmocka_run_group_tests_name("interrupt remapping", tests, NULL, NULL);
}
