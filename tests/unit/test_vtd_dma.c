/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vtd_translate() where it succeeds: every mode, page sizes, flags, privileges, the interrupt
 * range, translation and translated requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_world.h"

#define RW  VTD_READ | VTD_WRITE
#define FEE UINT64_C(0xfee00000)

static struct vtd_world world;

static void build(enum world_mode mode)
{
	assert_int_equal(vtd_world_init(&world, mode), 0);
}

static int end(void **state)
{
	(void)state;
	vtd_world_destroy(&world);
	return 0;
}

static int translate(uint32_t pasid, uint64_t iova, uint64_t len, unsigned int access,
		     enum vtd_request_type type, struct vtd_result *result)
{
	struct vtd_request request = { .requester = world.requester,
				       .pasid = pasid,
				       .iova = iova,
				       .len = len,
				       .access = access,
				       .type = type };

	memset(result, 0xa5, sizeof(*result));
	return vtd_translate(world.f.unit, &request, result);
}

static uint64_t faults(void)
{
	return vtd_counter(world.f.unit, VTD_COUNT_FAULTS);
}

/* --- Modes --- */

static void test_modes(void **state)
{
	static const struct {
		enum world_mode mode;
		enum vtd_counter counter;
		uint64_t page;
	} rows[] = {
		{ WORLD_LEGACY, VTD_COUNT_WALKS_SS, 4096 },
		{ WORLD_LEGACY_PT, VTD_COUNT_PASS_THROUGH, 1 << 30 },
		{ WORLD_FS, VTD_COUNT_WALKS_FS, 4096 },
		{ WORLD_FS5, VTD_COUNT_WALKS_FS, 4096 },
		{ WORLD_SS, VTD_COUNT_WALKS_SS, 4096 },
		{ WORLD_NESTED, VTD_COUNT_WALKS_NESTED, 4096 },
		{ WORLD_PT, VTD_COUNT_PASS_THROUGH, 1 << 30 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool legacy = rows[i].mode <= WORLD_LEGACY_PT;
		struct vtd_result result;

		build(rows[i].mode);
		for (unsigned int pasid = 0; pasid < (legacy ? 1 : 2); pasid++) {
			assert_int_equal(translate(pasid ? WORLD_PASID : VTD_NO_PASID,
						   world.iova + 0x123, 100, RW, VTD_UNTRANSLATED,
						   &result),
					 0);
			assert_int_equal(result.gpa, world.page + 0x123);
			assert_int_equal(result.len, 100);
			assert_int_equal(result.page, rows[i].page);
		}
		/* Second-stage translations are the domain's, whatever the PASID. */
		assert_int_equal(vtd_counter(world.f.unit, rows[i].counter),
				 legacy || rows[i].mode == WORLD_SS ? 1 : 2);
		assert_int_equal(vtd_counter(world.f.unit, VTD_COUNT_TRANSLATIONS), legacy ? 1 : 2);
		end(state);
	}
}

/* One unit, four PASIDs, four ways. */
static void test_modes_together(void **state)
{
	uint64_t word[8];
	struct vtd_result result;

	(void)state;
	build(WORLD_NESTED);
	for (unsigned int pgtt = VTD_PGTT_FS; pgtt <= VTD_PGTT_PT; pgtt++) {
		uint64_t at = world.place[AT_PASID] + 64 * pgtt;

		for (unsigned int i = 0; i < 8; i++)
			word[i] = vtd_world_word(&world, AT_PASID, i);
		word[0] = (word[0] & ~VTD_PASID0_PGTT) | vtd_put(pgtt, VTD_PASID0_PGTT);
		word[1] += pgtt; /* the domain */
		for (unsigned int i = 0; i < 8; i++)
			vtd_fixture_store(&world.f, at + 8 * i, word[i]);
	}
	for (unsigned int turn = 0; turn < 2; turn++)
		for (unsigned int pgtt = VTD_PGTT_FS; pgtt <= VTD_PGTT_PT; pgtt++) {
			bool first = pgtt == VTD_PGTT_FS || pgtt == VTD_PGTT_NESTED;

			assert_int_equal(translate(WORLD_PASID + pgtt,
						   first ? world.iova : world.page, 8, RW,
						   VTD_UNTRANSLATED, &result),
					 0);
			assert_int_equal(result.gpa, world.page);
		}
	assert_int_equal(vtd_counter(world.f.unit, VTD_COUNT_WALKS), 3);
	assert_int_equal(vtd_counter(world.f.unit, VTD_COUNT_IOTLB_HITS), 3);
}

static void test_off(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_FS);
	world.f.unit->translation = false;
	assert_int_equal(translate(VTD_NO_PASID, 0x123456, 100, RW, VTD_UNTRANSLATED, &result), 0);
	assert_int_equal(result.gpa, 0x123456);
	assert_int_equal(result.len, 100);
	assert_int_equal(translate(VTD_NO_PASID, FEE - 16, 100, RW, VTD_UNTRANSLATED, &result), 0);
	assert_int_equal(result.len, 16);
	/* Not supported then: no fault either. */
	assert_int_equal(translate(WORLD_PASID, 0, 1, RW, VTD_UNTRANSLATED, &result), -EFAULT);
	assert_int_equal(translate(VTD_NO_PASID, 0, 1, RW, VTD_TRANSLATION, &result), -EFAULT);
	assert_int_equal(translate(VTD_NO_PASID, 0, 1, RW, VTD_TRANSLATED, &result), -EFAULT);
	assert_int_equal(translate(VTD_NO_PASID, FEE, 4, RW, VTD_UNTRANSLATED, &result), -EFAULT);
	assert_int_equal(faults(), 0);
}

/* --- Page sizes and runs --- */

static void test_large_pages(void **state)
{
	static const struct {
		enum world_mode mode;
		enum world_place place;
		uint64_t bits, page;
	} rows[] = {
		{ WORLD_FS, AT_FS_LEVEL2, VTD_FS_PS, 1 << 21 },
		{ WORLD_FS, AT_FS_LEVEL2, VTD_FS_PS | VTD_BIT(12), 1 << 21 }, /* PAT */
		{ WORLD_FS, AT_FS_LEVEL3, VTD_FS_PS, 1 << 30 },
		{ WORLD_SS, AT_SS_LEVEL2, VTD_SS_PS, 1 << 21 },
		{ WORLD_SS, AT_SS_LEVEL2, VTD_SS_PS | VTD_SS_SNP, 1 << 21 },
		{ WORLD_SS, AT_SS_LEVEL3, VTD_SS_PS, 1 << 30 },
		{ WORLD_LEGACY, AT_SS_LEVEL2, VTD_SS_PS, 1 << 21 },
		/* The smaller of both. */
		{ WORLD_NESTED, AT_FS_LEVEL2, VTD_FS_PS, 4096 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t pasid = rows[i].mode == WORLD_LEGACY ? VTD_NO_PASID : WORLD_PASID;
		struct vtd_result result;

		build(rows[i].mode);
		vtd_world_change(&world, rows[i].place, 0, VTD_SS_ADDR, rows[i].bits);
		for (unsigned int turn = 0; turn < 2; turn++) {
			assert_int_equal(translate(pasid, world.iova + 0x23, UINT64_MAX, VTD_READ,
						   VTD_UNTRANSLATED, &result),
					 0);
			assert_int_equal(result.page, rows[i].page);
			assert_int_equal(
				result.gpa,
				(world.iova + 0x23) &
					((1 << (rows[i].page == 4096 ? 21 : 30)) - 1) &
					(rows[i].page == 4096 ? ~UINT64_C(0) : rows[i].page - 1));
			assert_int_equal(result.len,
					 rows[i].page - ((world.iova + 0x23) & (rows[i].page - 1)));
		}
		end(state);
	}
}

/* The interrupt range is a range: the page around it works elsewhere. */
static void test_interrupt_range(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_SS);
	/* 3 GiB to 4 GiB, to themselves. */
	vtd_fixture_store(&world.f, world.place[AT_SS_LEVEL3] + 8 * 3,
			  UINT64_C(0xc0000000) | VTD_SS_PS | VTD_SS_R | VTD_SS_W);
	assert_int_equal(
		translate(WORLD_PASID, 0xc0000000, UINT64_MAX, VTD_READ, VTD_UNTRANSLATED, &result),
		0);
	assert_int_equal(result.gpa, 0xc0000000);
	assert_int_equal(result.len, UINT64_C(0x20000000));
	assert_int_equal(
		translate(WORLD_PASID, FEE - 0x1000, 0x200000, VTD_READ, VTD_UNTRANSLATED, &result),
		0);
	assert_int_equal(result.len, 0x1000);
	assert_int_equal(translate(WORLD_PASID, FEE + 0x100000, 0x200000, VTD_READ,
				   VTD_UNTRANSLATED, &result),
			 0);
	assert_int_equal(result.gpa, FEE + 0x100000);
	assert_int_equal(result.len, 0x100000);
	assert_int_equal(faults(), 0);
	assert_int_equal(translate(WORLD_PASID, FEE, 4, VTD_READ, VTD_UNTRANSLATED, &result),
			 -EFAULT);
	assert_int_equal(vtd_fault_counter(world.f.unit, VTD_SGN_INTERRUPT), 1);
}

/* With a PASID, the input may be in the range; without, it may not, wherever it would end. */
static void test_interrupt_input(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_SS);
	/* 3 GiB to 4 GiB, to 0. */
	vtd_fixture_store(&world.f, world.place[AT_SS_LEVEL3] + 8 * 3,
			  VTD_SS_PS | VTD_SS_R | VTD_SS_W);
	assert_int_equal(translate(WORLD_PASID, FEE + 8, 4, VTD_WRITE, VTD_UNTRANSLATED, &result),
			 0);
	assert_int_equal(result.gpa, 0x3ee00008);
	/* The translation is cached; that makes no difference. */
	assert_int_equal(translate(VTD_NO_PASID, FEE + 8, 4, VTD_WRITE, VTD_UNTRANSLATED, &result),
			 -EFAULT);
	assert_int_equal(
		translate(VTD_NO_PASID, FEE - 16, 64, VTD_WRITE, VTD_UNTRANSLATED, &result), 0);
	assert_int_equal(result.len, 16);
	assert_int_equal(result.page, 0x200000);
	/* A device-TLB is told to ask each time. */
	assert_int_equal(translate(VTD_NO_PASID, FEE, 4096, RW, VTD_TRANSLATION, &result), 0);
	assert_true(result.untranslated_only);
	assert_int_equal(result.permitted, VTD_WRITE);
	assert_int_equal(faults(), 1);
}

static void test_zero_length(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_SS);
	vtd_world_change(&world, AT_SS_LEAF, 0, VTD_SS_R, 0);
	for (unsigned int turn = 0; turn < 2; turn++) {
		assert_int_equal(
			translate(WORLD_PASID, world.iova, 0, VTD_READ, VTD_UNTRANSLATED, &result),
			0);
		assert_int_equal(result.len, 0);
		assert_int_equal(result.gpa, world.page);
	}
	assert_int_equal(translate(WORLD_PASID, world.iova, 1, VTD_READ, VTD_UNTRANSLATED, &result),
			 -EFAULT);
	vtd_world_change(&world, AT_SS_LEAF, 0, VTD_SS_W, 0);
	vtd_world_flush(&world);
	assert_int_equal(translate(WORLD_PASID, world.iova, 0, VTD_READ, VTD_UNTRANSLATED, &result),
			 -EFAULT);
}

/* --- Flags --- */

static void test_second_stage_flags(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_NESTED);
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, RW, VTD_UNTRANSLATED, &result), 0);
	/* Off: none. */
	assert_int_equal(vtd_world_word(&world, AT_SS_LEAF, 0) & (VTD_SS_A | VTD_SS_D), 0);
	vtd_world_change(&world, AT_PASID, 0, 0, VTD_PASID0_SSADE);
	vtd_world_change(&world, AT_FS_LEAF, 0, VTD_FS_A | VTD_FS_D, 0);
	vtd_world_flush(&world);
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, VTD_READ, VTD_UNTRANSLATED, &result),
			 0);
	assert_int_equal(vtd_world_word(&world, AT_SS_LEAF, 0) & (VTD_SS_A | VTD_SS_D), VTD_SS_A);
	assert_true(vtd_world_word(&world, AT_SS_ROOT, 0) & VTD_SS_A);
	/* The first stage's own flags were written, so the pages of its tables are dirty. */
	assert_true(vtd_world_word(&world, AT_SS_FS_LEAF, 0) & VTD_SS_D);
	/* From the IOTLB, a write walks once more. */
	assert_int_equal(
		translate(WORLD_PASID, world.iova, 8, VTD_WRITE, VTD_UNTRANSLATED, &result), 0);
	assert_true(vtd_world_word(&world, AT_SS_LEAF, 0) & VTD_SS_D);
	assert_true(vtd_world_word(&world, AT_FS_LEAF, 0) & VTD_FS_D);
}

static void test_extended_accessed(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_FS);
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, VTD_READ, VTD_UNTRANSLATED, &result),
			 0);
	assert_false(vtd_world_word(&world, AT_FS_LEAF, 0) & VTD_FS_EA);
	/* Another entry with the same domain and PASID may have it on: what is cached is no use. */
	vtd_world_change(&world, AT_PASID, 2, 0, VTD_PASID2_EAFE);
	vtd_entries_invalidate_all(world.f.unit);
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, VTD_READ, VTD_UNTRANSLATED, &result),
			 0);
	assert_true(vtd_world_word(&world, AT_FS_LEAF, 0) & VTD_FS_EA);
	assert_true(vtd_world_word(&world, AT_FS_ROOT, 0) & VTD_FS_EA);
}

/* The guest changes the entry while its flags are being set: the new one counts. */
static void test_changing_entry(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_FS);
	world.hostile = world.place[AT_FS_LEAF];
	world.spare = 0; /* changes at each access: at 15 of 16 tries */
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, VTD_READ, VTD_UNTRANSLATED, &result),
			 -EFAULT);
	assert_int_equal(vtd_fault_counter(world.f.unit, VTD_SFS_AD), 1);
	assert_false(vtd_world_word(&world, AT_FS_LEAF, 0) & VTD_FS_A);
	world.hostile = 0;
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, VTD_READ, VTD_UNTRANSLATED, &result),
			 0);
}

/* --- Privileges --- */

static void test_privileges(void **state)
{
	static const struct {
		uint64_t pasid2, leaf_clear, leaf_set;
		unsigned int access;
		bool works;
	} rows[] = {
		/* Supervisor pages are for the supervisor. */
		{ VTD_PASID2_SRE, VTD_FS_US, 0, VTD_READ | VTD_PRIVILEGED, true },
		{ VTD_PASID2_SRE, VTD_FS_US, 0, VTD_READ, false },
		/* Who writes to what is read-only unless WPE says otherwise. */
		{ VTD_PASID2_SRE, VTD_FS_RW, 0, VTD_WRITE | VTD_PRIVILEGED, true },
		{ VTD_PASID2_SRE, VTD_FS_RW, 0, VTD_WRITE, false },
		{ VTD_PASID2_SRE | VTD_PASID2_WPE, VTD_FS_RW, 0, VTD_WRITE | VTD_PRIVILEGED,
		  false },
		/* Execution. */
		{ VTD_PASID2_ERE, 0, 0, VTD_READ | VTD_EXECUTE, true },
		{ VTD_PASID2_ERE | VTD_PASID2_NXE, 0, 0, VTD_READ | VTD_EXECUTE, true },
		{ VTD_PASID2_ERE | VTD_PASID2_NXE, 0, VTD_FS_XD, VTD_READ | VTD_EXECUTE, false },
		/* XD without NXE is ignored: processes' tables have it, and drivers leave NXE. */
		{ VTD_PASID2_ERE, 0, VTD_FS_XD, VTD_READ | VTD_EXECUTE, true },
		{ 0, 0, VTD_FS_XD, VTD_READ | VTD_WRITE, true },
		/* SMEP concerns the supervisor on user pages. */
		{ VTD_PASID2_ERE | VTD_PASID2_SRE | VTD_PASID2_SMEP, 0, 0,
		  VTD_READ | VTD_EXECUTE | VTD_PRIVILEGED, false },
		{ VTD_PASID2_ERE | VTD_PASID2_SRE | VTD_PASID2_SMEP, VTD_FS_US, 0,
		  VTD_READ | VTD_EXECUTE | VTD_PRIVILEGED, true },
		{ VTD_PASID2_ERE | VTD_PASID2_SRE | VTD_PASID2_SMEP, 0, 0, VTD_READ | VTD_EXECUTE,
		  true },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vtd_result result;

		build(WORLD_FS);
		vtd_world_change(&world, AT_PASID, 2, 0, rows[i].pasid2);
		vtd_world_change(&world, AT_FS_LEAF, 0, rows[i].leaf_clear, rows[i].leaf_set);
		for (unsigned int turn = 0; turn < 3; turn++) {
			int rc;

			/* Once with the translation in the IOTLB by another request. */
			if (turn == 1)
				translate(WORLD_PASID, world.iova, 8,
					  VTD_READ |
						  (rows[i].pasid2 & VTD_PASID2_SRE ? VTD_PRIVILEGED
										   : 0),
					  VTD_UNTRANSLATED, &result);
			rc = translate(WORLD_PASID, world.iova, 8, rows[i].access, VTD_UNTRANSLATED,
				       &result);
			if (rc != (rows[i].works ? 0 : -EFAULT))
				fail_msg("row %u, turn %u: %d", i, turn, rc);
		}
		end(state);
	}
	build(WORLD_FS);
}

static void test_rid_priv(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_FS);
	world.f.unit->ecap |= VTD_ECAP_RPRIVS;
	vtd_world_change(&world, AT_CONTEXT, 1, 0, VTD_SM_CONTEXT1_RID_PRIV);
	vtd_world_change(&world, AT_RID_PASID, 2, 0, VTD_PASID2_SRE);
	vtd_world_change(&world, AT_FS_LEAF, 0, VTD_FS_US, 0);
	assert_int_equal(translate(VTD_NO_PASID, world.iova, 8, RW, VTD_UNTRANSLATED, &result), 0);
	assert_int_equal(translate(0, world.iova, 8, RW, VTD_UNTRANSLATED, &result), -EFAULT);
	assert_int_equal(vtd_fault_counter(world.f.unit, VTD_SGN_US), 1);
}

/* --- Device-TLBs --- */

static void test_translation_requests(void **state)
{
	static const struct {
		uint64_t pasid2, leaf_clear, leaf_set;
		unsigned int access, permitted;
		bool dirty;
	} rows[] = {
		{ 0, 0, 0, RW, RW, true },
		{ 0, 0, 0, VTD_READ, VTD_READ, false },
		{ 0, VTD_FS_RW, 0, RW, VTD_READ, false },
		{ 0, VTD_FS_US, 0, RW, 0, false },
		{ 0, VTD_FS_P, 0, RW, 0, false },
		{ VTD_PASID2_SRE, VTD_FS_US, 0, RW | VTD_PRIVILEGED, RW | VTD_PRIVILEGED, true },
		{ VTD_PASID2_ERE | VTD_PASID2_NXE, 0, VTD_FS_XD, VTD_READ | VTD_EXECUTE, VTD_READ,
		  false },
		{ VTD_PASID2_ERE | VTD_PASID2_NXE, 0, 0, VTD_READ | VTD_EXECUTE,
		  VTD_READ | VTD_EXECUTE, false },
		{ 0, 0, 0, VTD_READ | VTD_EXECUTE, 0, false },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vtd_result result;

		build(WORLD_FS);
		vtd_world_change(&world, AT_PASID, 2, 0, rows[i].pasid2);
		vtd_world_change(&world, AT_FS_LEAF, 0, rows[i].leaf_clear,
				 rows[i].leaf_set | VTD_FS_G);
		for (unsigned int turn = 0; turn < 2; turn++) {
			assert_int_equal(translate(WORLD_PASID, world.iova, 4096, rows[i].access,
						   VTD_TRANSLATION, &result),
					 0);
			assert_int_equal(result.permitted, rows[i].permitted);
			assert_int_equal(!!(vtd_world_word(&world, AT_FS_LEAF, 0) & VTD_FS_D),
					 rows[i].dirty);
			if (!result.permitted)
				continue;
			assert_int_equal(result.gpa, world.page);
			assert_int_equal(result.page, 4096);
			assert_true(result.global);
		}
		assert_int_equal(faults(), 0);
		assert_int_equal(vtd_counter(world.f.unit, VTD_COUNT_ATS_REQUESTS), 2);
		end(state);
	}
	build(WORLD_FS);
}

/* Nested: what one stage refuses is not marked in the other. */
static void test_nested_translation_request(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_NESTED);
	vtd_world_change(&world, AT_PASID, 0, 0, VTD_PASID0_SSADE);
	vtd_world_change(&world, AT_SS_LEAF, 0, VTD_SS_W, 0);
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, RW, VTD_TRANSLATION, &result), 0);
	assert_int_equal(result.permitted, VTD_READ);
	assert_false(vtd_world_word(&world, AT_FS_LEAF, 0) & VTD_FS_D);
	vtd_world_change(&world, AT_SS_LEAF, 0, 0, VTD_SS_W);
	vtd_world_change(&world, AT_FS_LEAF, 0, VTD_FS_RW, 0);
	vtd_world_flush(&world);
	assert_int_equal(translate(WORLD_PASID, world.iova, 8, RW, VTD_TRANSLATION, &result), 0);
	assert_int_equal(result.permitted, VTD_READ);
	assert_false(vtd_world_word(&world, AT_SS_LEAF, 0) & VTD_SS_D);
}

static void test_translated(void **state)
{
	struct vtd_result result;

	(void)state;
	build(WORLD_FS);
	assert_int_equal(translate(WORLD_PASID, 0x123456, 64, RW, VTD_TRANSLATED, &result), 0);
	assert_int_equal(result.gpa, 0x123456);
	assert_int_equal(result.len, 64);
	/* The PASID entry is gone, the device-TLB not yet told: no fault of the device's. */
	vtd_world_change(&world, AT_PASID, 0, VTD_PASID0_P, 0);
	vtd_world_flush(&world);
	assert_int_equal(translate(WORLD_PASID, 0x123456, 64, RW, VTD_TRANSLATED, &result), 0);
	assert_int_equal(vtd_counter(world.f.unit, VTD_COUNT_ATS_TRANSLATED), 2);
	assert_int_equal(faults(), 0);
	end(state);

	build(WORLD_LEGACY);
	vtd_world_change(&world, AT_CONTEXT, 0, 0, vtd_put(VTD_TT_DEVTLB, VTD_CONTEXT0_TT));
	assert_int_equal(translate(VTD_NO_PASID, 0x123456, 64, RW, VTD_TRANSLATED, &result), 0);
	assert_int_equal(translate(VTD_NO_PASID, world.iova, 64, RW, VTD_TRANSLATION, &result), 0);
	assert_int_equal(result.permitted, RW);
	assert_int_equal(result.gpa, world.page);
}

/* --- Trace --- */

static void keep_line(void *context, const char *line)
{
	char *kept = context;

	strncpy(kept, line, 159);
}

static void test_trace(void **state)
{
	char line[160] = "";
	struct vtd_result result;

	(void)state;
	build(WORLD_FS);
	vtd_trace(world.f.unit, world.requester, keep_line, line);
	translate(WORLD_PASID, world.iova, 8, RW, VTD_UNTRANSLATED, &result);
	assert_non_null(strstr(line, "walk pasid 5"));
	translate(WORLD_PASID, world.iova, 8, RW, VTD_UNTRANSLATED, &result);
	assert_non_null(strstr(line, "hit pasid 5"));
	translate(WORLD_PASID, 0, 8, RW, VTD_UNTRANSLATED, &result);
	assert_non_null(strstr(line, "SFS.2"));
	vtd_trace(world.f.unit, world.requester, NULL, NULL);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		TEST(test_modes_together),
		TEST(test_off),
		cmocka_unit_test(test_large_pages),
		TEST(test_interrupt_range),
		TEST(test_interrupt_input),
		TEST(test_zero_length),
		TEST(test_second_stage_flags),
		TEST(test_extended_accessed),
		TEST(test_changing_entry),
		TEST(test_privileges),
		TEST(test_rid_priv),
		TEST(test_translation_requests),
		TEST(test_nested_translation_request),
		TEST(test_translated),
		TEST(test_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
