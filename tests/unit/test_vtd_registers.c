/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viommu/registers.c: every offset and size of access, what each register keeps, and the commands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define HOST	    VTD_BITS(45, 0) /* the default's guest-physical addresses */

static struct vtd_fixture f;

static int set_up(void **state)
{
	(void)state;
	return vtd_fixture_init(&f, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	vtd_fixture_destroy(&f);
	return 0;
}

/* --- What is where --- */

struct expectation {
	uint16_t offset;
	uint8_t bytes;
	uint64_t reset;
	uint64_t kept;	   /* what reads back of all ones */
	uint64_t writable; /* bits that a test may set: 0 where a write is a command or clears */
};

static const struct expectation expected[] = {
	{ VTD_VER, 4, VTD_VERSION, VTD_VERSION, UINT64_MAX },
	{ VTD_GCMD, 4, 0, 0, 0 },
	{ VTD_GSTS, 4, 0, 0, UINT64_MAX },
	{ VTD_RTADDR, 8, 0, (VTD_RTADDR_RTA | VTD_RTADDR_TTM) & HOST, UINT64_MAX },
	{ VTD_CCMD, 8, 0, VTD_CCMD_FM | VTD_CCMD_SID | VTD_CCMD_DID | VTD_CCMD_CIRG,
	  ~VTD_CCMD_ICC },
	{ VTD_FSTS, 4, 0, 0, UINT64_MAX },
	{ VTD_FECTL, 4, VTD_EVENT_IM, VTD_EVENT_IM, UINT64_MAX },
	{ VTD_IECTL, 4, VTD_EVENT_IM, VTD_EVENT_IM, UINT64_MAX },
	{ VTD_PECTL, 4, VTD_EVENT_IM, VTD_EVENT_IM, UINT64_MAX },
	{ VTD_IQH, 8, 0, 0, UINT64_MAX },
	{ VTD_IQT, 8, 0, VTD_IQ_OFFSET128, UINT64_MAX },
	{ VTD_IQA, 8, 0, (VTD_IQA_IQA | VTD_IQA_DW | VTD_IQA_QS) & HOST, UINT64_MAX },
	{ VTD_ICS, 4, 0, 0, UINT64_MAX },
	{ VTD_IQERCD, 8, 0, 0, UINT64_MAX },
	{ VTD_IRTA, 8, 0, (VTD_IRTA_IRTA | VTD_IRTA_EIME | VTD_IRTA_S) & HOST, UINT64_MAX },
	{ VTD_IVA, 8, 0, 0, UINT64_MAX },
	{ VTD_IOTLB, 8, 0, VTD_IOTLB_IIRG | VTD_IOTLB_DR | VTD_IOTLB_DW | VTD_IOTLB_DID,
	  ~VTD_IOTLB_IVT },
};

static void test_kept(void **state)
{
	(void)state;
	assert_int_equal(vtd_fixture_read64(&f, VTD_CAP), vtd_cap(f.unit));
	assert_int_equal(vtd_fixture_read64(&f, VTD_ECAP), vtd_ecap(f.unit));
	for (unsigned int i = 0; i < ROWS(expected); i++) {
		const struct expectation *row = &expected[i];
		uint64_t read;

		vtd_reset(f.unit);
		read = vtd_mmio_read(f.unit, row->offset, row->bytes);
		if (read != row->reset)
			fail_msg("%#x resets to %#lx", row->offset, read);
		vtd_mmio_write(f.unit, row->offset, row->bytes, row->writable);
		read = vtd_mmio_read(f.unit, row->offset, row->bytes);
		if (read != row->kept)
			fail_msg("%#x keeps %#lx", row->offset, read);
		vtd_reset(f.unit);
		read = vtd_mmio_read(f.unit, row->offset, row->bytes);
		if (read != row->reset)
			fail_msg("%#x is reset to %#lx", row->offset, read);
	}
}

/* 64-bit registers by halves: each half is its own, and both together are the whole. */
static void test_halves(void **state)
{
	const uint64_t value = UINT64_C(0x0000123456789c85);

	(void)state;
	for (unsigned int i = 0; i < ROWS(expected); i++) {
		const struct expectation *row = &expected[i];
		uint64_t written = value & row->writable, whole;

		if (row->bytes != 8)
			continue;
		vtd_reset(f.unit);
		vtd_mmio_write(f.unit, row->offset, 8, written);
		whole = vtd_mmio_read(f.unit, row->offset, 8);
		assert_int_equal(whole, (row->reset & ~row->kept) | (written & row->kept));
		assert_int_equal(vtd_mmio_read(f.unit, row->offset, 4), (uint32_t)whole);
		assert_int_equal(vtd_mmio_read(f.unit, row->offset + 4, 4), whole >> 32);

		vtd_mmio_write(f.unit, row->offset, 4, UINT64_MAX); /* more than it is wide */
		assert_int_equal(vtd_mmio_read(f.unit, row->offset + 4, 4), whole >> 32);
		vtd_reset(f.unit);
		vtd_mmio_write(f.unit, row->offset + 4, 4, written >> 32);
		assert_int_equal(vtd_mmio_read(f.unit, row->offset, 4), 0);
		vtd_mmio_write(f.unit, row->offset, 4, (uint32_t)written);
		assert_int_equal(vtd_mmio_read(f.unit, row->offset, 8), whole);
	}
}

/* Neighbours of 32 bits, in one access of 64. */
static void test_pairs(void **state)
{
	(void)state;
	vtd_fixture_write64(&f, VTD_IEADDR, UINT64_C(0x00000100fee01004));
	assert_int_equal(vtd_fixture_read32(&f, VTD_IEADDR), 0xfee01004);
	assert_int_equal(vtd_fixture_read32(&f, VTD_IEUADDR), 0x100);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IEADDR), UINT64_C(0x00000100fee01004));
	/* A register and a hole, in both orders. */
	assert_int_equal(vtd_fixture_read64(&f, VTD_VER), VTD_VERSION);
	vtd_fixture_write64(&f, VTD_PECTL - 8, UINT64_MAX);
	/* GCMD and GSTS: the command is seen in the status that the same access cannot write. */
	vtd_fixture_write64(&f, VTD_GCMD, VTD_GCMD_TE | UINT64_MAX << 32);
	assert_int_equal(vtd_fixture_read64(&f, VTD_GCMD), (uint64_t)VTD_GCMD_TE << 32);
}

/* The whole window, as reads of 32 bits. */
static void snapshot(uint32_t *words)
{
	for (unsigned int i = 0; i < VTD_REGISTERS / 4; i++)
		words[i] = vtd_fixture_read32(&f, i * 4);
}

static void test_nonsense(void **state)
{
	static uint32_t before[VTD_REGISTERS / 4], after[VTD_REGISTERS / 4];
	static const unsigned int sizes[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 4096, UINT32_MAX };

	(void)state;
	vtd_fixture_write64(&f, VTD_RTADDR, 0x123000);
	snapshot(before);
	for (uint64_t offset = 0; offset < VTD_REGISTERS + 64; offset++) {
		for (unsigned int i = 0; i < ROWS(sizes); i++) {
			bool sized = sizes[i] == 4 || sizes[i] == 8;

			if (sized && offset % sizes[i] == 0 && offset < VTD_REGISTERS)
				continue;
			assert_int_equal(vtd_mmio_read(f.unit, offset, sizes[i]), 0);
			vtd_mmio_write(f.unit, offset, sizes[i], UINT64_MAX);
		}
	}
	vtd_mmio_write(f.unit, UINT64_MAX - 7, 8, UINT64_MAX);
	assert_int_equal(vtd_mmio_read(f.unit, UINT64_MAX - 3, 4), 0);
	snapshot(after);
	assert_memory_equal(before, after, sizeof(before));
}

static bool is_known(uint64_t offset)
{
	static const uint16_t bounds[][2] = {
		{ VTD_VER, 4 },	   { VTD_CAP, 0x30 - 8 }, { VTD_FSTS, 0x14 }, { VTD_IQH, 0x18 },
		{ VTD_ICS, 0x24 }, { VTD_PQH, 0x18 },	  { VTD_PRS, 0x14 },  { VTD_FRCD, 0x80 },
		{ VTD_IVA, 0x10 }, { VTD_VCMD, 8 },	  { VTD_VCRSP, 8 },   { VTD_VCCAP, 8 },
	};

	for (unsigned int i = 0; i < ROWS(bounds); i++)
		if (offset >= bounds[i][0] && offset < bounds[i][0] + bounds[i][1])
			return true;
	return false;
}

/* Where no register is, PMEN and the protected memory registers among them. */
static void test_holes(void **state)
{
	(void)state;
	for (uint64_t offset = 0; offset < VTD_REGISTERS; offset += 4) {
		if (is_known(offset))
			continue;
		vtd_fixture_write32(&f, offset, UINT32_MAX);
		assert_int_equal(vtd_fixture_read32(&f, offset), 0);
	}
	assert_false(is_known(VTD_PMEN));
}

/* --- Registers that CAP and ECAP announce, or not --- */

static void assert_absent(uint64_t from, uint64_t to)
{
	for (uint64_t offset = from; offset < to; offset += 4) {
		vtd_fixture_write32(&f, offset, UINT32_MAX);
		if (vtd_fixture_read32(&f, offset))
			fail_msg("%#lx is there", offset);
	}
}

static void test_absent(void **state)
{
	struct vtd_config config;

	(void)state;
	assert_absent(VTD_VCMD, VTD_VCCAP + 8);
	vtd_fixture_destroy(&f);
	vtd_config_init(&config);
	config.pri = config.interrupt_remapping = false;
	config.virtual_commands = true;
	config.fault_records = 2;
	assert_int_equal(vtd_fixture_init(&f, &config), 0);
	assert_absent(VTD_PQH, VTD_PEUADDR + 4);
	assert_absent(VTD_IRTA, VTD_IRTA + 8);
	assert_absent(VTD_FRCD + 2 * 16, VTD_IVA);
	assert_int_equal(vtd_fixture_read64(&f, VTD_VCCAP), VTD_VCCAP_PAS);
	/* Commands of what is not there do nothing. */
	vtd_fixture_write32(&f, VTD_GCMD, UINT32_MAX);
	assert_int_equal(vtd_fixture_read32(&f, VTD_GSTS),
			 VTD_GCMD_TE | VTD_GCMD_SRTP | VTD_GCMD_QIE);
}

/* --- Commands --- */

/* Every set of command bits after every state: what is in GSTS follows from one rule. */
static void test_commands(void **state)
{
	static const uint32_t bits[] = { VTD_GCMD_TE,  VTD_GCMD_SRTP,  VTD_GCMD_QIE,
					 VTD_GCMD_IRE, VTD_GCMD_SIRTP, VTD_GCMD_CFI };
	const uint32_t once = VTD_GCMD_SRTP | VTD_GCMD_SIRTP;
	uint32_t status = 0;

	(void)state;
	for (unsigned int n = 0; n < 4096; n++) {
		uint32_t value = 0x007fffff; /* reserved bits, and AFL's and RWBF's commands */

		value |= VTD_GCMD_WBF | VTD_GCMD_SFL | VTD_GCMD_EAFL;
		for (unsigned int i = 0; i < ROWS(bits); i++)
			if ((n ^ n >> 6) >> i & 1)
				value |= bits[i];
		if (n % 512 == 511) {
			vtd_reset(f.unit);
			status = 0;
		}
		vtd_fixture_write32(&f, VTD_GCMD, value);
		status =
			(status & once) |
			(value & (once | VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI));
		assert_int_equal(vtd_fixture_read32(&f, VTD_GSTS), status);
		assert_int_equal(vtd_fixture_read32(&f, VTD_GCMD), 0);
		assert_int_equal(f.unit->translation, !!(status & VTD_GCMD_TE));
	}
}

/* The root is in force from SRTP on, with its mode, a reserved one too. */
static void test_root(void **state)
{
	(void)state;
	vtd_fixture_write64(&f, VTD_RTADDR, 0x5000 | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM));
	assert_int_equal(f.unit->root, 0);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_SRTP, true));
	assert_int_equal(f.unit->root, 0x5400);
	vtd_fixture_write64(&f, VTD_RTADDR, 0x6000);
	assert_int_equal(f.unit->root, 0x5400);
	assert_true(vtd_fixture_set_root(&f, 0x7000 | vtd_put(VTD_TTM_RESERVED, VTD_RTADDR_TTM)));
	assert_int_equal(f.unit->root, 0x7800);
	/* Together with TE: the new root is what is translated by. */
	vtd_fixture_write64(&f, VTD_RTADDR, 0x8000);
	vtd_fixture_write32(&f, VTD_GCMD, VTD_GCMD_TE | VTD_GCMD_SRTP);
	assert_int_equal(f.unit->root, 0x8000);
	assert_true(f.unit->translation);
	vtd_fixture_write32(&f, VTD_GCMD, 0);
	assert_int_equal(vtd_fixture_read32(&f, VTD_GSTS), VTD_GCMD_SRTP);
	assert_false(f.unit->translation);
}

static void test_iqa_locked(void **state)
{
	(void)state;
	assert_true(vtd_fixture_queue(&f, true));
	vtd_fixture_write64(&f, VTD_IQA, 0x9000);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQA), FIXTURE_QUEUE | VTD_IQA_DW);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, false));
	vtd_fixture_write64(&f, VTD_IQA, 0x9000);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQA), 0x9000);
}

/* --- Register-based invalidation --- */

static uint64_t ccmd(unsigned int granularity)
{
	vtd_fixture_write64(&f, VTD_CCMD, VTD_CCMD_ICC | vtd_put(granularity, VTD_CCMD_CIRG));
	return vtd_fixture_read64(&f, VTD_CCMD);
}

static uint64_t iotlb(unsigned int granularity, uint64_t iva)
{
	vtd_fixture_write64(&f, VTD_IVA, iva);
	vtd_fixture_write64(&f, VTD_IOTLB, VTD_IOTLB_IVT | vtd_put(granularity, VTD_IOTLB_IIRG));
	return vtd_fixture_read64(&f, VTD_IOTLB);
}

static void assert_obeyed(bool by_registers)
{
	for (unsigned int granularity = 0; granularity < 4; granularity++) {
		uint64_t done = by_registers ? granularity : 0;

		assert_int_equal(ccmd(granularity), vtd_put(granularity, VTD_CCMD_CIRG) |
							    vtd_put(done, VTD_CCMD_CAIG));
		assert_int_equal(iotlb(granularity, 0x3000), vtd_put(granularity, VTD_IOTLB_IIRG) |
								     vtd_put(done, VTD_IOTLB_IAIG));
	}
}

static void test_by_register(void **state)
{
	(void)state;
	assert_obeyed(true);
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_INVALIDATE_CONTEXT), 4);
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_INVALIDATE_IOTLB), 4);
	/* The start bit is in the upper half, which alone is enough. */
	vtd_fixture_write32(&f, VTD_CCMD, 0x100007);
	vtd_fixture_write32(&f, VTD_CCMD + 4,
			    (VTD_CCMD_ICC | vtd_put(VTD_CONTEXT_DEVICE, VTD_CCMD_CIRG)) >> 32);
	assert_int_equal(vtd_fixture_read64(&f, VTD_CCMD),
			 0x100007 | vtd_put(3, VTD_CCMD_CIRG) | vtd_put(3, VTD_CCMD_CAIG));
	/* A mask up to MAMV. */
	assert_int_equal(vtd_get(iotlb(VTD_IOTLB_PAGE, 18), VTD_IOTLB_IAIG), VTD_IOTLB_PAGE);
	assert_int_equal(vtd_get(iotlb(VTD_IOTLB_PAGE, 19), VTD_IOTLB_IAIG), 0);
	assert_int_equal(vtd_get(iotlb(VTD_IOTLB_DOMAIN, 19), VTD_IOTLB_IAIG), VTD_IOTLB_DOMAIN);
	/* Not beside the queue, and in legacy mode only. */
	assert_true(vtd_fixture_queue(&f, true));
	assert_obeyed(false);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, false));
	assert_obeyed(true);
	assert_true(vtd_fixture_set_root(&f, vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)));
	assert_obeyed(false);
}

/* --- Virtual commands --- */

static uint64_t command(uint64_t value)
{
	vtd_fixture_write64(&f, VTD_VCMD, value);
	return vtd_fixture_read64(&f, VTD_VCRSP);
}

static uint64_t allocate_pasid(void)
{
	return command(VTD_VCMD_ALLOC_PASID);
}

static uint64_t free_pasid(uint64_t pasid)
{
	return command(VTD_VCMD_FREE_PASID | vtd_put(pasid, VTD_VCMD_OPERAND));
}

static void test_virtual_commands(void **state)
{
	const uint64_t none = vtd_put(VTD_VCMD_NO_PASID, VTD_VCRSP_SC);
	const uint64_t bad = vtd_put(VTD_VCMD_BAD_PASID, VTD_VCRSP_SC);
	struct vtd_config config;

	(void)state;
	vtd_fixture_destroy(&f);
	vtd_config_init(&config);
	config.virtual_commands = true;
	config.pasid_bits = 3;
	config.pasid_quota = 3;
	assert_int_equal(vtd_fixture_init(&f, &config), 0);
	assert_int_equal(free_pasid(1), bad);
	for (uint64_t pasid = 1; pasid <= 3; pasid++)
		assert_int_equal(allocate_pasid(), vtd_put(pasid, VTD_VCRSP_RSLT));
	assert_int_equal(allocate_pasid(), none);
	assert_int_equal(free_pasid(2), 0);
	assert_int_equal(free_pasid(2), bad);
	assert_int_equal(free_pasid(UINT64_C(1) << 20 | 1), bad);
	assert_int_equal(free_pasid(VTD_VCMD_OPERAND >> 8), bad);
	/* What was freed comes last; 0 never. */
	for (uint64_t pasid = 4; pasid < 8; pasid++) {
		assert_int_equal(allocate_pasid(), vtd_put(pasid, VTD_VCRSP_RSLT));
		assert_int_equal(free_pasid(pasid), 0);
	}
	assert_int_equal(allocate_pasid(), vtd_put(2, VTD_VCRSP_RSLT));
	/* An unknown command changes nothing; neither does the upper half alone. */
	assert_int_equal(command(0x77), vtd_put(2, VTD_VCRSP_RSLT));
	vtd_fixture_write32(&f, VTD_VCMD + 4, UINT32_MAX);
	assert_int_equal(vtd_fixture_read64(&f, VTD_VCRSP), vtd_put(2, VTD_VCRSP_RSLT));
	assert_int_equal(vtd_fixture_read64(&f, VTD_VCMD), 0);
	vtd_reset(f.unit);
	assert_int_equal(vtd_fixture_read64(&f, VTD_VCRSP), 0);
	assert_int_equal(allocate_pasid(), vtd_put(1, VTD_VCRSP_RSLT));
}

/* A quota beyond what PASIDs there are: all but 0 are given out, and no more. */
static void test_all_pasids(void **state)
{
	struct vtd_config config;

	(void)state;
	vtd_fixture_destroy(&f);
	vtd_config_init(&config);
	config.virtual_commands = true;
	config.pasid_bits = 5;
	assert_int_equal(vtd_fixture_init(&f, &config), 0);
	for (uint64_t pasid = 1; pasid < 32; pasid++)
		assert_int_equal(allocate_pasid(), vtd_put(pasid, VTD_VCRSP_RSLT));
	assert_int_equal(vtd_get(allocate_pasid(), VTD_VCRSP_SC), VTD_VCMD_NO_PASID);
	assert_int_equal(free_pasid(17), 0);
	assert_int_equal(allocate_pasid(), vtd_put(17, VTD_VCRSP_RSLT));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		TEST(test_halves),
		TEST(test_pairs),
		TEST(test_nonsense),
		TEST(test_holes),
		TEST(test_absent),
		TEST(test_commands),
		TEST(test_root),
		TEST(test_iqa_locked),
		TEST(test_by_register),
		TEST(test_virtual_commands),
		TEST(test_all_pasids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
