/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/virtqueue.c: what a driver may do, and every way in which it may not.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/virtqueue.h"

#define SIZE   8
#define DESC   0x1000
#define AVAIL  0x2000
#define USED   0x3000
#define TABLE  0x4000
#define DATA   0x10000
#define MEMORY 0x40000
#define IOV    16

struct bench {
	uint8_t *memory;
	struct ram ram;
	struct dma dma;
	struct virtqueue vq;
	struct virtq_chain chain;
	struct iovec iov[IOV];
	uint16_t next; /* available index */
};

static struct vring_desc *desc_at(struct bench *b, uint64_t table, unsigned int index)
{
	return (struct vring_desc *)(b->memory + table) + index;
}

static void set(struct bench *b, uint64_t table, unsigned int index, uint64_t address, uint32_t len,
		uint16_t flags, uint16_t next)
{
	*desc_at(b, table, index) = (struct vring_desc){ address, len, flags, next };
}

static void offer(struct bench *b, uint16_t head)
{
	store_le16(b->memory + AVAIL + 4 + 2 * (b->next % SIZE), head);
	store_le16(b->memory + AVAIL + 2, ++b->next);
}

static int pop(struct bench *b)
{
	return virtq_pop(&b->vq, &b->chain, b->iov, IOV);
}

static uint16_t used_index(const struct bench *b)
{
	return load_le16(b->memory + USED + 2);
}

static void start(struct bench *b, bool event_index)
{
	const struct virtq_setup setup = { .size = SIZE,
					   .desc = DESC,
					   .driver = AVAIL,
					   .device = USED,
					   .indirect = true,
					   .event_index = event_index };

	memset(b->memory, 0, MEMORY);
	b->next = 0;
	assert_int_equal(virtq_start(&b->vq, &b->dma, &setup), 0);
}

static int setup_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->memory = aligned_alloc(4096, MEMORY);
	b->ram = (struct ram){ .count = 1, .slot = { { 0, MEMORY, b->memory } } };
	b->dma = (struct dma){ .ram = &b->ram };
	start(b, false);
	*state = b;
	return 0;
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	free(b->memory);
	free(b);
	return 0;
}

/* --- What works --- */

static void pops_in_order_and_merges(void **state)
{
	struct bench *b = *state;

	assert_int_equal(pop(b), 0);
	set(b, DESC, 3, DATA, 16, VRING_DESC_F_NEXT, 5);
	set(b, DESC, 5, DATA + 16, 16, VRING_DESC_F_NEXT, 1); /* right behind: one run */
	set(b, DESC, 1, DATA + 0x100, 32, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	set(b, DESC, 0, DATA + 0x200, 1, VRING_DESC_F_WRITE, 7);
	set(b, DESC, 2, DATA + 0x300, 7, 0, 0);
	offer(b, 3);
	offer(b, 2);

	assert_int_equal(pop(b), 1);
	assert_int_equal(b->chain.head, 3);
	assert_int_equal(b->chain.readable, 1);
	assert_int_equal(b->chain.writable, 2);
	assert_int_equal(b->chain.readable_bytes, 32);
	assert_int_equal(b->chain.writable_bytes, 33);
	assert_ptr_equal(b->iov[0].iov_base, b->memory + DATA);
	assert_int_equal(b->iov[0].iov_len, 32);
	assert_ptr_equal(b->iov[2].iov_base, b->memory + DATA + 0x200);
	assert_int_equal(pop(b), 1);
	assert_int_equal(b->chain.head, 2);
	assert_int_equal(b->chain.writable, 0);
	assert_int_equal(pop(b), 0);
}

static void readable_and_writable_are_not_merged(void **state)
{
	struct bench *b = *state;

	set(b, DESC, 0, DATA, 16, VRING_DESC_F_NEXT, 1);
	set(b, DESC, 1, DATA + 16, 16, VRING_DESC_F_WRITE, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);
	assert_int_equal(b->chain.readable, 1);
	assert_int_equal(b->chain.writable, 1);
	assert_int_equal(b->iov[0].iov_len, 16);
}

static void indirect_table(void **state)
{
	struct bench *b = *state;

	set(b, DESC, 0, DATA, 4, VRING_DESC_F_NEXT, 1);
	set(b, DESC, 1, TABLE, 3 * 16, VRING_DESC_F_INDIRECT, 0);
	set(b, TABLE, 0, DATA + 0x100, 8, VRING_DESC_F_NEXT, 2);
	set(b, TABLE, 2, DATA + 0x200, 9, VRING_DESC_F_WRITE, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);
	assert_int_equal(b->chain.readable_bytes, 12);
	assert_int_equal(b->chain.writable_bytes, 9);
}

static void indices_wrap(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 0; i < 70000; i++) {
		set(b, DESC, i % SIZE, DATA, 1, VRING_DESC_F_WRITE, 0);
		offer(b, i % SIZE);
		assert_int_equal(pop(b), 1);
		assert_int_equal(b->chain.head, i % SIZE);
		virtq_push(&b->vq, b->chain.head, i);
		assert_true(virtq_publish(&b->vq));
		assert_int_equal(used_index(b), (uint16_t)(i + 1));
		assert_int_equal(load_le32(b->memory + USED + 4 + 8 * (i % SIZE)), i % SIZE);
		assert_int_equal(load_le32(b->memory + USED + 8 + 8 * (i % SIZE)), i);
	}
}

static void used_is_shown_by_publish_only(void **state)
{
	struct bench *b = *state;

	set(b, DESC, 0, DATA, 1, 0, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);
	virtq_push(&b->vq, 0, 5);
	assert_int_equal(used_index(b), 0);
	assert_true(virtq_publish(&b->vq));
	assert_int_equal(used_index(b), 1);
	/* Nothing new: nothing to tell. */
	assert_false(virtq_publish(&b->vq));
}

static void interrupt_flag(void **state)
{
	struct bench *b = *state;

	store_le16(b->memory + AVAIL, VRING_AVAIL_F_NO_INTERRUPT);
	set(b, DESC, 0, DATA, 1, 0, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);
	virtq_push(&b->vq, 0, 0);
	assert_false(virtq_publish(&b->vq));
	assert_int_equal(used_index(b), 1);
}

static void used_event(void **state)
{
	struct bench *b = *state;

	start(b, true);
	for (uint16_t i = 0; i < 6; i++) {
		set(b, DESC, i, DATA, 1, 0, 0);
		offer(b, i);
		assert_int_equal(pop(b), 1);
	}
	store_le16(b->memory + AVAIL + 4 + 2 * SIZE, 2); /* "when the third is there" */
	virtq_push(&b->vq, 0, 0);
	virtq_push(&b->vq, 1, 0);
	assert_false(virtq_publish(&b->vq));
	virtq_push(&b->vq, 2, 0);
	assert_true(virtq_publish(&b->vq));
	virtq_push(&b->vq, 3, 0);
	assert_false(virtq_publish(&b->vq));
	/* A batch that steps over the event counts. */
	store_le16(b->memory + AVAIL + 4 + 2 * SIZE, 4);
	virtq_push(&b->vq, 4, 0);
	virtq_push(&b->vq, 5, 0);
	assert_true(virtq_publish(&b->vq));
}

static void kicks_by_flag(void **state)
{
	struct bench *b = *state;

	virtq_disable_kicks(&b->vq);
	assert_int_equal(load_le16(b->memory + USED), VRING_USED_F_NO_NOTIFY);
	set(b, DESC, 0, DATA, 1, 0, 0);
	offer(b, 0);
	assert_true(virtq_enable_kicks(&b->vq)); /* one came meanwhile */
	assert_int_equal(load_le16(b->memory + USED), 0);
	assert_int_equal(pop(b), 1);
	assert_false(virtq_enable_kicks(&b->vq));
}

static void kicks_by_event(void **state)
{
	struct bench *b = *state;

	start(b, true);
	virtq_disable_kicks(&b->vq);
	assert_int_equal(load_le16(b->memory + USED), 0);
	set(b, DESC, 0, DATA, 1, 0, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);
	assert_int_equal(load_le16(b->memory + USED + 4 + 8 * SIZE), 0);
	assert_false(virtq_enable_kicks(&b->vq));
	assert_int_equal(load_le16(b->memory + USED + 4 + 8 * SIZE), 1);
}

/* --- What a driver must not do --- */

static void expect_broken(struct bench *b, uint16_t head, const char *reason)
{
	offer(b, head);
	assert_int_equal(pop(b), -EIO);
	assert_true(b->vq.broken);
	assert_string_equal(b->vq.reason, reason);
	/* And it stays so. */
	assert_int_equal(pop(b), -EIO);
	assert_false(virtq_enable_kicks(&b->vq));
	virtq_push(&b->vq, 0, 0);
	assert_false(virtq_publish(&b->vq));
	assert_int_equal(used_index(b), 0);
}

static void bad_chains(void **state)
{
	struct bench *b = *state;
	const struct {
		const char *reason;
		uint16_t head;
		struct vring_desc desc[2], table[2];
	} rows[] = {
		{ "descriptor index is outside of the table", SIZE, { { 0 } }, { { 0 } } },
		{ "descriptor index is outside of the table",
		  0,
		  { { DATA, 1, VRING_DESC_F_NEXT, SIZE } },
		  { { 0 } } },
		{ "descriptor chain is a loop",
		  0,
		  { { DATA, 1, VRING_DESC_F_NEXT, 0 } },
		  { { 0 } } },
		{ "descriptor of length zero", 0, { { DATA, 0, 0, 0 } }, { { 0 } } },
		{ "buffer is not in memory", 0, { { MEMORY, 1, 0, 0 } }, { { 0 } } },
		{ "buffer is not in memory", 0, { { MEMORY - 1, 2, 0, 0 } }, { { 0 } } },
		{ "buffer is not in memory", 0, { { UINT64_MAX, 2, 0, 0 } }, { { 0 } } },
		{ "readable descriptor after a writable one",
		  0,
		  { { DATA, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1 }, { DATA, 1, 0, 0 } },
		  { { 0 } } },
		{ "indirect descriptor with a next one",
		  0,
		  { { TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1 } },
		  { { 0 } } },
		{ "indirect table of an impossible length",
		  0,
		  { { TABLE, 0, VRING_DESC_F_INDIRECT, 0 } },
		  { { 0 } } },
		{ "indirect table of an impossible length",
		  0,
		  { { TABLE, 24, VRING_DESC_F_INDIRECT, 0 } },
		  { { 0 } } },
		{ "indirect table of an impossible length",
		  0,
		  { { TABLE, 16 * (VIRTQ_CHAIN_MAX + 1), VRING_DESC_F_INDIRECT, 0 } },
		  { { 0 } } },
		{ "indirect table is misaligned",
		  0,
		  { { TABLE + 4, 16, VRING_DESC_F_INDIRECT, 0 } },
		  { { 0 } } },
		{ "indirect table is not in memory",
		  0,
		  { { MEMORY - 16, 32, VRING_DESC_F_INDIRECT, 0 } },
		  { { 0 } } },
		{ "indirect descriptor in an indirect table",
		  0,
		  { { TABLE, 32, VRING_DESC_F_INDIRECT, 0 } },
		  { { TABLE, 32, VRING_DESC_F_INDIRECT, 0 } } },
		{ "descriptor index is outside of the table",
		  0,
		  { { TABLE, 32, VRING_DESC_F_INDIRECT, 0 } },
		  { { DATA, 1, VRING_DESC_F_NEXT, 2 } } },
		{ "descriptor chain is a loop",
		  0,
		  { { TABLE, 32, VRING_DESC_F_INDIRECT, 0 } },
		  { { DATA, 1, VRING_DESC_F_NEXT, 1 }, { DATA, 1, VRING_DESC_F_NEXT, 0 } } },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		start(b, false);
		memcpy(desc_at(b, DESC, 0), rows[i].desc, sizeof(rows[i].desc));
		memcpy(desc_at(b, TABLE, 0), rows[i].table, sizeof(rows[i].table));
		expect_broken(b, rows[i].head, rows[i].reason);
	}
}

static void indirect_must_be_negotiated(void **state)
{
	struct bench *b = *state;

	b->vq.setup.indirect = false;
	set(b, DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken(b, 0, "indirect descriptor was not negotiated");
}

static void too_many_pieces(void **state)
{
	struct bench *b = *state;
	unsigned int count = IOV + 1;

	set(b, DESC, 0, TABLE, count * 16, VRING_DESC_F_INDIRECT, 0);
	for (unsigned int i = 0; i < count; i++)
		set(b, TABLE, i, DATA + 0x100 * i, 1, i + 1 < count ? VRING_DESC_F_NEXT : 0,
		    (uint16_t)(i + 1));
	expect_broken(b, 0, "chain in too many pieces");
}

static void more_than_4_gib(void **state)
{
	struct bench *b = *state;
	struct ram_slot *slot = &b->ram.slot[1];

	/* A slot of 3 GiB that nobody touches; twice the same buffer. */
	*slot = (struct ram_slot){ 1 * GIB, 3 * GIB, (uint8_t *)(uintptr_t)(64 * GIB) };
	b->ram.count = 2;
	set(b, DESC, 0, 1 * GIB, 3U << 30, VRING_DESC_F_NEXT, 1);
	set(b, DESC, 1, 1 * GIB, 3U << 30, 0, 0);
	expect_broken(b, 0, "chain of more than 4 GiB");
}

static void available_index_jumps(void **state)
{
	struct bench *b = *state;

	store_le16(b->memory + AVAIL + 2, SIZE + 1);
	assert_int_equal(pop(b), -EIO);
	assert_string_equal(b->vq.reason, "available index is ahead by more than the queue size");
	start(b, false);
	store_le16(b->memory + AVAIL + 2, UINT16_MAX); /* backwards */
	assert_int_equal(pop(b), -EIO);
}

static void one_chain_again_and_again(void **state)
{
	struct bench *b = *state;

	set(b, DESC, 0, DATA, 1, 0, 0);
	for (unsigned int i = 0; i < SIZE; i++) {
		offer(b, 0);
		assert_int_equal(pop(b), 1);
	}
	expect_broken(b, 0, "more chains than descriptors");
}

static void bad_setups(void **state)
{
	struct bench *b = *state;
	const struct {
		struct virtq_setup setup;
		int rc;
	} rows[] = {
		{ { .size = 0, .desc = DESC, .driver = AVAIL, .device = USED }, -EINVAL },
		{ { .size = 3, .desc = DESC, .driver = AVAIL, .device = USED }, -EINVAL },
		{ { .size = 2048, .desc = DESC, .driver = AVAIL, .device = USED }, -EINVAL },
		{ { .size = 8, .desc = DESC + 8, .driver = AVAIL, .device = USED }, -EINVAL },
		{ { .size = 8, .desc = DESC, .driver = AVAIL + 1, .device = USED }, -EINVAL },
		{ { .size = 8, .desc = DESC, .driver = AVAIL, .device = USED + 2 }, -EINVAL },
		{ { .size = 8, .desc = MEMORY - 64, .driver = AVAIL, .device = USED }, -EFAULT },
		{ { .size = 8, .desc = DESC, .driver = MEMORY - 4, .device = USED }, -EFAULT },
		{ { .size = 8, .desc = DESC, .driver = AVAIL, .device = MEMORY - 64 }, -EFAULT },
		{ { .size = 8, .desc = -16ULL, .driver = AVAIL, .device = USED }, -EFAULT },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(virtq_start(&b->vq, &b->dma, &rows[i].setup), rows[i].rc);
		assert_int_equal(pop(b), -EIO);
		virtq_push(&b->vq, 0, 0);
		assert_false(virtq_publish(&b->vq));
	}
}

static void stopped_queue_does_nothing(void **state)
{
	struct bench *b = *state;

	set(b, DESC, 0, DATA, 1, 0, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);
	virtq_stop(&b->vq);
	virtq_push(&b->vq, 0, 0);
	assert_false(virtq_publish(&b->vq));
	assert_int_equal(used_index(b), 0);
	offer(b, 0);
	assert_int_equal(pop(b), 0);
	assert_false(virtq_enable_kicks(&b->vq));
}

/* --- Behind a remapping unit --- */

/* Page n of IOVA space is page `page[n]` of memory; ~0 faults. */
static struct {
	uint64_t page[64];
	uint64_t epoch;
} unit;

static int unit_translate(const struct dma *dma, uint64_t iova, uint64_t len,
			  enum dma_access access, uint64_t *gpa, uint64_t *run)
{
	uint64_t page = iova / 4096;

	(void)dma;
	(void)access;
	if (page >= ARRAY_SIZE(unit.page) || unit.page[page] == UINT64_MAX)
		return -EFAULT;
	*gpa = unit.page[page] * 4096 + iova % 4096;
	*run = min_u64(len, 4096 - iova % 4096);
	return 0;
}

static uint64_t unit_epoch(const struct dma *dma)
{
	(void)dma;
	return unit.epoch;
}

static const struct dma_ops unit_ops = { .translate = unit_translate, .epoch = unit_epoch };

/* Rings that are contiguous for the driver only, in the largest queue. */
static void scattered_rings(void **state)
{
	struct bench *b = *state;
	const struct virtq_setup setup = {
		.size = VIRTQ_SIZE_MAX, .desc = 0, .driver = 0x8000, .device = 0x9004
	};
	uint16_t last = VIRTQ_SIZE_MAX - 1;

	for (unsigned int i = 0; i < ARRAY_SIZE(unit.page); i++)
		unit.page[i] = ARRAY_SIZE(unit.page) - 1 - i;
	b->dma.ops = &unit_ops;
	assert_int_equal(virtq_start(&b->vq, &b->dma, &setup), 0);
	assert_int_equal(b->vq.desc.count, 4);
	for (unsigned int i = 0; i <= VIRTQ_SIZE_MAX; i++) {
		const struct vring_desc desc = { 0x10000, 8, VRING_DESC_F_WRITE, 0 };
		uint16_t at = i % VIRTQ_SIZE_MAX, avail = (uint16_t)(i + 1);

		assert_int_equal(dma_write(&b->dma, 16U * at, &desc, sizeof(desc)), 0);
		assert_int_equal(dma_write(&b->dma, 0x8004 + 2U * at, &at, 2), 0);
		assert_int_equal(dma_write(&b->dma, 0x8002, &avail, 2), 0);
		assert_int_equal(pop(b), 1);
		assert_int_equal(b->chain.head, at);
		virtq_push(&b->vq, at, i);
		virtq_publish(&b->vq);
	}
	for (unsigned int i = 1; i <= last; i++) {
		uint32_t element[2];

		assert_int_equal(dma_read(&b->dma, 0x9008 + 8U * i, element, 8), 0);
		assert_int_equal(element[0], i);
		assert_int_equal(element[1], i);
	}
	b->dma.ops = NULL;
}

/* When the driver unmaps, the next look at the rings is at the new mapping, or at none. */
static void mappings_change(void **state)
{
	struct bench *b = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(unit.page); i++)
		unit.page[i] = i;
	b->dma.ops = &unit_ops;
	start(b, false);
	set(b, DESC, 0, DATA, 1, 0, 0);
	offer(b, 0);
	assert_int_equal(pop(b), 1);

	/* The used ring moves. */
	unit.page[USED / 4096] = 0x20;
	unit.epoch++;
	virtq_push(&b->vq, 0, 0);
	assert_true(virtq_publish(&b->vq));
	assert_int_equal(used_index(b), 0);
	assert_int_equal(load_le16(b->memory + 0x20002), 1);

	unit.page[AVAIL / 4096] = UINT64_MAX;
	unit.epoch++;
	assert_int_equal(pop(b), -EIO);
	assert_string_equal(b->vq.reason, "the rings are no longer mapped");
	b->dma.ops = NULL;
}

/* --- Buffers --- */

static void buffers(void **state)
{
	char a[4] = "abcd", c[3] = "efg", out[16] = { 0 };
	struct iovec iov[2] = { { a, 4 }, { c, 3 } }, *at = iov;

	(void)state;
	assert_int_equal(iov_read(iov, 2, out, 6), 6);
	assert_string_equal(out, "abcdef");
	assert_int_equal(iov_read(iov, 2, out, sizeof(out)), 7);
	assert_int_equal(iov_write(iov, 2, "123456", 6), 6);
	assert_memory_equal(c, "56g", 3);
	assert_int_equal(iov_skip(&at, 2, 4), 1);
	assert_ptr_equal(at->iov_base, c);
	assert_int_equal(iov_skip(&at, 1, 1), 1);
	assert_int_equal(at->iov_len, 2);
	assert_int_equal(iov_skip(&at, 1, 5), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_bench, teardown_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pops_in_order_and_merges),
		TEST(readable_and_writable_are_not_merged),
		TEST(indirect_table),
		TEST(indices_wrap),
		TEST(used_is_shown_by_publish_only),
		TEST(interrupt_flag),
		TEST(used_event),
		TEST(kicks_by_flag),
		TEST(kicks_by_event),
		TEST(bad_chains),
		TEST(indirect_must_be_negotiated),
		TEST(too_many_pieces),
		TEST(more_than_4_gib),
		TEST(available_index_jumps),
		TEST(one_chain_again_and_again),
		TEST(bad_setups),
		TEST(stopped_queue_does_nothing),
		TEST(scattered_rings),
		TEST(mappings_change),
		TEST(buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
