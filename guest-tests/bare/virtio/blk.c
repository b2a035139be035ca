/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk is for: data that comes back, in every mode that a driver may choose.
 */
#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "virtio/tests.h"

/* Where on the disk. tests/bare/virtio.t knows these too. */
#define READ_ONLY_SECTORS 64 /* 0 to 63 are never written */
#define WRITTEN_FIRST	  64 /* 64 to 127 hold written_word() at the end */
#define WRITTEN_COUNT	  64
#define DISCARDED_FIRST	  128
#define ZEROED_FIRST	  192 /* 192 to 319 are zero at the end */
#define ZEROED_COUNT	  64
#define LARGE_FIRST	  1024 /* 1024 to 3071 hold written_word() at the end */
#define LARGE_COUNT	  2048
#define LARGE_SEGMENTS	  4
#define SETTLE_US	  5000

struct mode {
	const char *name;
	uint64_t features;
	bool msix, indirect;
};

static const struct mode modes[] = {
	{ "polling", 0, false, false },
	{ "MSI-X", 0, true, false },
	{ "event index", VIRTIO_F_EVENT_IDX, false, false },
	{ "event index and MSI-X", VIRTIO_F_EVENT_IDX, true, false },
	{ "indirect", VIRTIO_F_INDIRECT, false, true },
	{ "everything", VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT, true, true },
};

static const uint64_t blk_features =
	BLK_F_RO | BLK_F_FLUSH | BLK_F_MQ | BLK_F_DISCARD | BLK_F_WRITE_ZEROES;

static uint64_t zero_word(uint64_t sector)
{
	(void)sector;
	return 0;
}

static bool start(struct blk *blk, const struct mode *mode)
{
	for (unsigned int i = 0; i < blk->device.msix.vectors; i++)
		msix_set(&blk->device.msix, i, apic_id(), (uint8_t)(VECTOR_QUEUE + i % 16));
	blk->indirect = mode->indirect;
	return blk_start(blk, blk_features | mode->features, ARRAY_SIZE(blk->queue), mode->msix);
}

static void test_reading(struct blk *blk, const char *name, uint8_t *data)
{
	uint8_t status = blk_do(blk, 0, BLK_IN, 0, data, READ_ONLY_SECTORS * SECTOR);

	check_equal(status, BLK_OK, "%s: reads", name);
	check_equal(blk_last_len(), READ_ONLY_SECTORS * SECTOR + 1, "%s: says how much", name);
	check(sectors_are(data, 0, READ_ONLY_SECTORS, word_of_sector), "%s: reads what is there",
	      name);
	status = blk_do(blk, 0, BLK_IN, blk->sectors - 1, data, SECTOR);
	check_equal(status, BLK_OK, "%s: reads the last sector", name);
}

/* One sector by each queue in turn. */
static void test_writing(struct blk *blk, const char *name, uint8_t *data)
{
	unsigned int bad = 0;

	for (unsigned int i = 0; i < WRITTEN_COUNT; i++) {
		fill_sectors(data, WRITTEN_FIRST + i, 1, written_word);
		bad += blk_do(blk, i % blk->queues, BLK_OUT, WRITTEN_FIRST + i, data, SECTOR);
	}
	check_equal(bad, 0, "%s: writes through %u queues", name, blk->queues);
	check_equal(blk_do(blk, 0, BLK_FLUSH, 0, NULL, 0), BLK_OK, "%s: flushes", name);
	memset(data, 0, WRITTEN_COUNT * SECTOR);
	check_equal(blk_do(blk, 0, BLK_IN, WRITTEN_FIRST, data, WRITTEN_COUNT * SECTOR), BLK_OK,
		    "%s: reads back", name);
	check(sectors_are(data, WRITTEN_FIRST, WRITTEN_COUNT, written_word),
	      "%s: what was written is there", name);
}

/* Many at once: as many requests as fit, all sectors in one go, in whatever order they end. */
static void test_burst(struct blk *blk, const char *name, uint8_t *data)
{
	static struct blk_request requests[BLK_QUEUE_SIZE];
	struct virtq *vq = &blk->queue[blk->queues - 1];
	unsigned int sent = 0, back = 0, bad = 0;

	memset(data, 0, BLK_QUEUE_SIZE * SECTOR);
	for (; sent < BLK_QUEUE_SIZE; sent++) {
		struct buffer buffer = { data + sent * SECTOR, SECTOR, true };

		if (!blk_submit(blk, blk->queues - 1, &requests[sent], BLK_IN, sent, &buffer, 1))
			break;
	}
	virtq_kick(vq);
	while (back < sent && virtq_wait(vq, NULL) >= 0)
		back++;
	check_equal(back, sent, "%s: %u requests at once come back", name, sent);
	for (unsigned int i = 0; i < sent; i++)
		bad += *(volatile uint8_t *)&requests[i].status != BLK_OK;
	check_equal(bad, 0, "%s: all of them well", name);
	check(sectors_are(data, 0, sent, word_of_sector), "%s: each with its data", name);
}

static void test_interrupts(struct blk *blk, const char *name, uint8_t *data)
{
	unsigned int raised = 0;

	for (unsigned int i = 0; i < blk->queues; i++) {
		uint8_t vector = (uint8_t)(VECTOR_QUEUE + i % 16);

		virtq_interrupts(&blk->queue[i], true);
		/* What was raised before may still be on its way. */
		listen_us(SETTLE_US);
		trap_clear(vector);
		blk_do(blk, i, BLK_IN, i, data, SECTOR);
		raised += wait_trap(vector, 1, INTERRUPT_US);
	}
	check_equal(raised, blk->queues, "%s: each queue raises its vector", name);
	virtq_interrupts(&blk->queue[0], false);
	listen_us(SETTLE_US);
	trap_clear(VECTOR_QUEUE);
	blk_do(blk, 0, BLK_IN, 0, data, SECTOR);
	listen_us(SETTLE_US);
	check_equal(trap_count(VECTOR_QUEUE), 0, "%s: no interrupt that nobody wants", name);
	virtq_interrupts(&blk->queue[0], true);
}

static void test_large(struct blk *blk, uint8_t *data)
{
	static struct blk_request request;
	const uint32_t piece = LARGE_COUNT / LARGE_SEGMENTS * SECTOR;
	struct buffer buffers[LARGE_SEGMENTS];

	fill_sectors(data, LARGE_FIRST, LARGE_COUNT, written_word);
	for (unsigned int i = 0; i < LARGE_SEGMENTS; i++)
		buffers[i] = (struct buffer){ data + i * piece, piece, false };
	check(blk_submit(blk, 0, &request, BLK_OUT, LARGE_FIRST, buffers, LARGE_SEGMENTS),
	      "1 MiB in %u pieces is submitted", LARGE_SEGMENTS);
	virtq_kick(&blk->queue[0]);
	virtq_wait(&blk->queue[0], NULL);
	check_equal(*(volatile uint8_t *)&request.status, BLK_OK, "1 MiB is written");
	memset(data, 0, LARGE_COUNT * SECTOR);
	check_equal(blk_do(blk, 0, BLK_IN, LARGE_FIRST, data, LARGE_COUNT * SECTOR), BLK_OK,
		    "1 MiB is read");
	check(sectors_are(data, LARGE_FIRST, LARGE_COUNT, written_word), "and is what was written");
}

static void test_ranges(struct blk *blk, uint8_t *data)
{
	struct blk_range range = { DISCARDED_FIRST, ZEROED_COUNT, 0 };
	struct blk_range zeroes[2] = { { ZEROED_FIRST, ZEROED_COUNT, 0 },
				       { ZEROED_FIRST + ZEROED_COUNT, ZEROED_COUNT,
					 BLK_RANGE_UNMAP } };

	if (!(blk->device.features & BLK_F_DISCARD)) {
		check_skip("discard and write-zeroes", "the device does not offer them");
		return;
	}
	check_equal(blk_do(blk, 0, BLK_DISCARD, 0, &range, sizeof(range)), BLK_OK, "discard");
	check_equal(blk_do(blk, 0, BLK_WRITE_ZEROES, 0, &zeroes[0], sizeof(zeroes[0])), BLK_OK,
		    "write zeroes");
	check_equal(blk_do(blk, 0, BLK_WRITE_ZEROES, 0, &zeroes[1], sizeof(zeroes[1])), BLK_OK,
		    "write zeroes that may unmap");
	memset(data, 0xff, 2 * ZEROED_COUNT * SECTOR);
	blk_do(blk, 0, BLK_IN, ZEROED_FIRST, data, 2 * ZEROED_COUNT * SECTOR);
	check(sectors_are(data, ZEROED_FIRST, 2 * ZEROED_COUNT, zero_word), "they are zeroes then");
	blk_do(blk, 0, BLK_IN, ZEROED_FIRST + 2 * ZEROED_COUNT, data, SECTOR);
	check(sectors_are(data, ZEROED_FIRST + 2 * ZEROED_COUNT, 1, word_of_sector),
	      "and their neighbour is not");
}

static void test_id(struct blk *blk, unsigned int number)
{
	char id[BLK_SERIAL + 1] = { 0 }, name[] = "id0";
	const char *wanted;

	name[2] = (char)('0' + number % 10);
	wanted = word(name);
	check_equal(blk_do(blk, 0, BLK_GET_ID, 0, id, BLK_SERIAL), BLK_OK, "get-id");
	print("# serial number: %s\n", id);
	if (wanted)
		check(!strncmp(id, wanted, strlen(id)) && *id, "get-id: what was asked for");
}

void test_disk(struct blk *blk, unsigned int number)
{
	uint8_t *data = pages(LARGE_COUNT * SECTOR / PAGE_SIZE);

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		const char *name = modes[i].name;

		if (!check(start(blk, &modes[i]), "disk %u: %s: starts", number, name))
			continue;
		test_reading(blk, name, data);
		if (!(blk->device.features & BLK_F_RO))
			test_writing(blk, name, data);
		test_burst(blk, name, data);
		if (modes[i].msix)
			test_interrupts(blk, name, data);
	}
	test_id(blk, number);
	if (blk->device.features & BLK_F_RO)
		return;
	test_large(blk, data);
	test_ranges(blk, data);
}
