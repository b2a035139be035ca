/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/dma.c: no address gets past the checks, with and without a remapping unit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/dma.h"

static uint8_t low[0x3000], high[0x1000];

static const struct ram ram = {
	.count = 2,
	.slot = { { .gpa = 0, .size = sizeof(low), .host = low },
		  { .gpa = UINT64_C(0x100000000), .size = sizeof(high), .host = high } },
};

/* A unit that swaps pages 0 and 1, maps page 2 outside of RAM, and refuses writes to page 1. */
static int swap_translate(const struct dma *dma, uint64_t iova, uint64_t len,
			  enum dma_access access, uint64_t *gpa, uint64_t *run)
{
	uint64_t page = iova >> 12, offset = iova & 0xfff;

	(void)dma;
	if (page > 2 || (page == 1 && access & DMA_WRITE))
		return -EFAULT;
	*gpa = (page == 2 ? UINT64_C(0x200000000) : (page ^ 1) << 12) + offset;
	*run = min_u64(len, 0x1000 - offset);
	return 0;
}

static uint64_t swap_epoch(const struct dma *dma)
{
	(void)dma;
	return 7;
}

static const struct dma_ops swap_ops = { .translate = swap_translate, .epoch = swap_epoch };

static void test_ram_ptr(void **state)
{
	(void)state;
	assert_ptr_equal(ram_ptr(&ram, 0, 1), low);
	assert_ptr_equal(ram_ptr(&ram, 0, sizeof(low)), low);
	assert_null(ram_ptr(&ram, 0, sizeof(low) + 1));
	assert_null(ram_ptr(&ram, sizeof(low), 0));
	assert_null(ram_ptr(&ram, 1, UINT64_MAX));
	assert_null(ram_ptr(&ram, UINT64_MAX, 2));
	assert_ptr_equal(ram_ptr(&ram, UINT64_C(0x100000fff), 1), high + 0xfff);
	assert_null(ram_ptr(&ram, UINT64_C(0x100000fff), 2));
}

static void test_identity(void **state)
{
	struct dma dma = { .ram = &ram };
	struct iovec iov[2];
	uint8_t out[4] = { 0 };

	(void)state;
	assert_int_equal(dma_runs(&dma, 0x10, 0, DMA_READ, iov, 2), 0);
	assert_int_equal(dma_runs(&dma, 0x10, 0x2000, DMA_READ, iov, 2), 1);
	assert_ptr_equal(iov[0].iov_base, low + 0x10);
	assert_int_equal(iov[0].iov_len, 0x2000);
	assert_int_equal(dma_runs(&dma, 0x10, sizeof(low), DMA_READ, iov, 2), -EFAULT);
	assert_int_equal(dma_runs(&dma, UINT64_MAX, 2, DMA_READ, iov, 2), -EFAULT);
	assert_int_equal(dma_write(&dma, 0x2ffe, "abcd", 4), -EFAULT);
	assert_int_equal(dma_write(&dma, 0x2ffc, "abcd", 4), 0);
	assert_int_equal(dma_read(&dma, 0x2ffc, out, 4), 0);
	assert_memory_equal(out, "abcd", 4);
	assert_int_equal(dma_read(&dma, UINT64_MAX - 1, out, 4), -EFAULT);
	assert_int_equal(dma_epoch(&dma), 0);
}

static void test_translated(void **state)
{
	struct dma dma = { .ram = &ram, .ops = &swap_ops };
	struct iovec iov[2];

	(void)state;
	/* Pages 0 and 1 are swapped: two runs that do not merge. */
	assert_int_equal(dma_runs(&dma, 0xff0, 0x20, DMA_READ, iov, 2), 2);
	assert_ptr_equal(iov[0].iov_base, low + 0x1ff0);
	assert_int_equal(iov[0].iov_len, 0x10);
	assert_ptr_equal(iov[1].iov_base, low);
	assert_int_equal(dma_runs(&dma, 0xff0, 0x20, DMA_READ, iov, 1), -E2BIG);
	assert_int_equal(dma_runs(&dma, 0xff0, 0x10, DMA_READ_WRITE, iov, 1), 1);
	/* What the unit refuses, and what it maps to nowhere. */
	assert_int_equal(dma_runs(&dma, 0x1000, 1, DMA_WRITE, iov, 2), -EFAULT);
	assert_int_equal(dma_runs(&dma, 0x2000, 1, DMA_READ, iov, 2), -EFAULT);
	assert_int_equal(dma_runs(&dma, 0x3000, 1, DMA_READ, iov, 2), -EFAULT);
	assert_int_equal(dma_epoch(&dma), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ram_ptr),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_translated),
	};

	return cmocka_run_group_tests_name("dma", tests, NULL, NULL);
}
