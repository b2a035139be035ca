/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that must fail, and nothing else with them (virtio 1.2, 5.2.6).
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "virtio/tests.h"

#define UNKNOWN_TYPE 77

struct refusal {
	const char *name;
	enum blk_type type;
	uint64_t sector; /* counted from the end of the disk if it is FROM_END or more */
	uint32_t len;
	uint8_t want;
};

#define FROM_END (1UL << 62)

static const struct refusal refusals[] = {
	{ "a read behind the end", BLK_IN, FROM_END, SECTOR, BLK_IOERR },
	{ "a read across the end", BLK_IN, FROM_END - 1, 2 * SECTOR, BLK_IOERR },
	{ "a read far away", BLK_IN, (1UL << 55) - 1, SECTOR, BLK_IOERR },
	{ "a read at the last number", BLK_IN, UINT64_MAX, SECTOR, BLK_IOERR },
	{ "a read of half a sector", BLK_IN, 0, SECTOR / 2, BLK_IOERR },
	{ "a write behind the end", BLK_OUT, FROM_END, SECTOR, BLK_IOERR },
	{ "a write across the end", BLK_OUT, FROM_END - 1, 2 * SECTOR, BLK_IOERR },
	{ "a write at the last number", BLK_OUT, UINT64_MAX, SECTOR, BLK_IOERR },
	{ "an unknown request", UNKNOWN_TYPE, 0, SECTOR, BLK_UNSUPP },
};

static uint64_t place(const struct blk *blk, uint64_t sector)
{
	return sector >= FROM_END - 1 && sector <= FROM_END + 1 ? blk->sectors + (sector - FROM_END)
								: sector;
}

static void test_range(struct blk *blk, const char *name, enum blk_type type,
		       const struct blk_range *range, uint8_t want)
{
	check_equal(blk_do(blk, 0, type, 0, range, sizeof(*range)), want, "%s", name);
}

static void test_ranges(struct blk *blk)
{
	struct blk_range behind = { blk->sectors, 1, 0 }, across = { blk->sectors - 1, 2, 0 };
	struct blk_range wrapping = { UINT64_MAX, 2, 0 }, flags = { 128, 1, 0x80 };
	struct blk_range unmap = { 128, 1, BLK_RANGE_UNMAP };

	test_range(blk, "a discard behind the end", BLK_DISCARD, &behind, BLK_IOERR);
	test_range(blk, "a discard across the end", BLK_DISCARD, &across, BLK_IOERR);
	test_range(blk, "a discard that wraps", BLK_DISCARD, &wrapping, BLK_IOERR);
	test_range(blk, "a discard with unknown flags", BLK_DISCARD, &flags, BLK_UNSUPP);
	test_range(blk, "a discard with the unmap flag", BLK_DISCARD, &unmap, BLK_UNSUPP);
	test_range(blk, "zeroes behind the end", BLK_WRITE_ZEROES, &behind, BLK_IOERR);
	test_range(blk, "zeroes across the end", BLK_WRITE_ZEROES, &across, BLK_IOERR);
	test_range(blk, "zeroes with unknown flags", BLK_WRITE_ZEROES, &flags, BLK_UNSUPP);
	check_equal(blk_do(blk, 0, BLK_DISCARD, 0, &behind, sizeof(behind) - 1), BLK_IOERR,
		    "a discard with half a range");
}

static void test_read_only(struct blk *blk, uint8_t *data)
{
	struct blk_range range = { 0, 1, 0 };

	fill_sectors(data, 0, 1, written_word);
	check_equal(blk_do(blk, 0, BLK_OUT, 0, data, SECTOR), BLK_IOERR,
		    "a write to a read-only disk");
	check_equal(blk_do(blk, 0, BLK_WRITE_ZEROES, 0, &range, sizeof(range)), BLK_IOERR,
		    "zeroes for a read-only disk");
	check_equal(blk_do(blk, 0, BLK_DISCARD, 0, &range, sizeof(range)), BLK_IOERR,
		    "a discard of a read-only disk");
}

void test_disk_errors(struct blk *blk, unsigned int number)
{
	uint8_t *data = pages(1);

	for (unsigned int i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];

		check_equal(blk_do(blk, 0, r->type, place(blk, r->sector), data, r->len), r->want,
			    "disk %u: %s", number, r->name);
	}
	if (blk->device.features & BLK_F_RO)
		test_read_only(blk, data);
	else if (blk->device.features & BLK_F_DISCARD)
		test_ranges(blk);
	check_equal(blk_do(blk, 0, BLK_IN, 1, data, SECTOR), BLK_OK,
		    "disk %u: works after all that", number);
	check(sectors_are(data, 1, 1, word_of_sector), "disk %u: and nothing was written", number);
}
