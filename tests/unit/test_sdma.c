/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma without a remapping unit: registers, operations, rings, halts, stops, resets, interrupts.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "tests/unit/sdma_driver.h"

#define QUEUES	3
#define DATA	(UINT64_C(1) << 20) /* bytes at bench.data */
#define NOWHERE UINT64_C(0x40000000)

struct bench {
	struct machine *machine;
	struct loop *loop;
	struct sdma *sdma;
	struct sdma_driver driver;
	struct sdma_ring ring;
	uint64_t data;
	uint8_t *bytes; /* there */
};

static int create(void **state, bool bare)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->machine = fake_machine_create();
	b->machine->no_doorbells = b->machine->no_routes = bare;
	b->loop = loop_create(64);
	b->sdma = sdma_create(&b->machine->host, b->loop, "sdma0", QUEUES);
	assert_non_null(b->sdma);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	sdma_driver_probe(&b->driver, b->machine, b->loop, 8);
	sdma_driver_msix(&b->driver, QUEUES);
	sdma_ring_init(&b->ring, &b->driver, 0, 4);
	b->data = fake_alloc(b->machine, DATA, PAGE_SIZE_4K);
	b->bytes = fake_ram(b->machine, b->data);
	for (unsigned int i = 0; i < DATA; i++)
		b->bytes[i] = (uint8_t)(i * 167 >> 3);
	*state = b;
	return 0;
}

static int setup(void **state)
{
	return create(state, false);
}

static int setup_bare(void **state)
{
	return create(state, true);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	sdma_quiesce(b->sdma);
	fake_settle(b->loop);
	assert_int_equal(loop_in_flight(b->loop), 0);
	sdma_destroy(b->sdma);
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
	free(b);
	return 0;
}

static void start(struct bench *b)
{
	sdma_ring_enable(&b->ring, 0);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_IDLE);
}

/* --- Registers --- */

static void test_registers(void **state)
{
	static const struct {
		unsigned int offset, size;
		uint64_t value;
	} rows[] = {
		{ SDMA_ID, 4, SDMA_MAGIC },
		{ SDMA_ID, 8, SDMA_MAGIC | (uint64_t)SDMA_VERSION_1_0 << 32 },
		{ SDMA_ID, 2, 0 },
		{ SDMA_ID + 1, 4, 0 },
		{ SDMA_VERSION, 8, 0 },
		{ SDMA_QUEUES, 4, QUEUES },
		{ SDMA_OPERATIONS, 4, 0xff },
		{ SDMA_LENGTH_MAX, 8, UINT64_C(1) << 32 },
		{ SDMA_LENGTH_MAX + 4, 4, 1 },
		{ SDMA_CONTROL, 4, 0 },
		{ SDMA_STATUS, 4, 0 },
		{ SDMA_ATC_ENTRIES, 4, 1024 },
		{ 0x24, 4, 0 },
		{ SDMA_QUEUE_BASE + SDMA_QUEUE_STRIDE + SDMA_Q_VECTOR, 4, SDMA_NO_VECTOR },
		{ SDMA_QUEUE_BASE + QUEUES * SDMA_QUEUE_STRIDE + SDMA_Q_VECTOR, 4, 0 },
		{ 0x7ff8, 8, 0 },
		{ 0xfff8, 8, 0 },
	};
	static const struct {
		unsigned int reg, size;
		uint64_t readable;
	} writes[] = {
		{ SDMA_Q_PASID, 4, 0xfffff },	{ SDMA_Q_VECTOR, 4, UINT32_MAX },
		{ SDMA_Q_RING, 8, UINT64_MAX }, { SDMA_Q_RING + 4, 4, UINT32_MAX },
		{ SDMA_Q_LOG2, 4, UINT32_MAX }, { SDMA_Q_INDEX, 8, UINT64_MAX },
		{ SDMA_Q_STATUS, 4, 0 },	{ SDMA_Q_ERROR, 8, 0 },
		{ SDMA_Q_BYTES, 8, 0 },		{ 0x80, 8, 0 },
	};
	struct bench *b = *state;
	struct sdma_ring other = { .driver = &b->driver, .queue = 2 };

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(sdma_driver_read(&b->driver, rows[i].offset, rows[i].size),
				 rows[i].value);
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++) {
		sdma_ring_write(&other, writes[i].reg, writes[i].size, UINT64_MAX);
		assert_int_equal(sdma_ring_read(&other, writes[i].reg, writes[i].size),
				 writes[i].readable);
	}
	sdma_driver_write(&b->driver, SDMA_CONTROL, 4, SDMA_CONTROL_RESET);
	assert_int_equal(sdma_ring_read(&other, SDMA_Q_VECTOR, 4), SDMA_NO_VECTOR);
	assert_int_equal(sdma_ring_read(&other, SDMA_Q_RING, 8), 0);
	sdma_driver_write(&b->driver, SDMA_ATC_ENTRIES, 4, 100);
	assert_int_equal(sdma_driver_read(&b->driver, SDMA_ATC_ENTRIES, 4), 64);
}

static unsigned int find_ext(struct bench *b, uint16_t id)
{
	unsigned int at = 0x100;

	while (at) {
		uint32_t header = pci_config_read(&b->machine->host, 8, at, 4);

		if ((header & 0xffff) == id)
			return at;
		at = header >> 20;
	}
	return 0;
}

static uint32_t config(struct bench *b, unsigned int at, unsigned int size)
{
	return pci_config_read(&b->machine->host, 8, at, size);
}

static void test_capabilities(void **state)
{
	struct bench *b = *state;
	struct pci_host *host = &b->machine->host;
	unsigned int pasid = find_ext(b, PCI_EXT_CAP_ID_PASID);
	unsigned int ats = find_ext(b, PCI_EXT_CAP_ID_ATS);
	unsigned int pri = find_ext(b, PCI_EXT_CAP_ID_PRI);
	unsigned int exp = host->function[8]->express;

	assert_true(config(b, exp + PCI_EXP_DEVCAP2, 4) & PCI_EXP_DEVCAP2_EE_PREFIX);
	assert_true(config(b, exp + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	assert_int_equal(config(b, pasid + 4, 2), 0x1406);
	assert_int_equal(config(b, ats + 4, 2), PCI_ATS_CAP_PAGE_ALIGNED);
	assert_int_equal(config(b, pri + PCI_PRI_STATUS, 2),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
	assert_int_equal(config(b, pri + PCI_PRI_MAX_REQ, 4), 512);

	pci_config_write(host, 8, pasid + 6, 2, 0xffff);
	assert_int_equal(config(b, pasid + 6, 2), 7);
	pci_config_write(host, 8, ats + 6, 2, 0xffff);
	assert_int_equal(config(b, ats + 6, 2), 0x801f);
	pci_config_write(host, 8, pri + PCI_PRI_ALLOC_REQ, 4, 32);
	/* Reset together with Enable: only Enable counts, and Reset reads as 0. */
	pci_config_write(host, 8, pri + PCI_PRI_CTRL, 2, 3);
	assert_int_equal(config(b, pri + PCI_PRI_CTRL, 2), 1);
	assert_int_equal(config(b, pri + PCI_PRI_STATUS, 2), PCI_PRI_STATUS_PASID);
	assert_int_equal(sdma_driver_read(&b->driver, SDMA_STATUS, 4), 7);
	pci_config_write(host, 8, pri + PCI_PRI_CTRL, 2, 0);
	assert_int_equal(config(b, pri + PCI_PRI_STATUS, 2),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
	pci_config_write(host, 8, pri + PCI_PRI_CTRL, 2, 1);

	/* Function level reset turns all three off. */
	pci_config_write(host, 8, exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(config(b, pasid + 6, 2), 0);
	assert_int_equal(config(b, ats + 6, 2), 0);
	assert_int_equal(config(b, pri + PCI_PRI_CTRL, 2), 0);
	assert_int_equal(config(b, pri + PCI_PRI_ALLOC_REQ, 4), 0);
	assert_int_equal(config(b, pri + PCI_PRI_STATUS, 2),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
}

/* --- Operations --- */

struct expectation {
	struct sdma_descriptor descriptor; /* addresses are offsets into the data */
	uint8_t status;
	uint32_t result;
	uint64_t done, address; /* the address is an offset, too */
	uint8_t access;
};

#define OP(op, src, dst, len, opnd)           \
	.descriptor = { .operation = (op),    \
			.source = (src),      \
			.destination = (dst), \
			.length = (len),      \
			.operand = (opnd) }

static void test_status(void **state)
{
	const uint64_t end = FAKE_RAM_LOW;
	struct bench *b = *state;
	const uint64_t hole = end - b->data; /* the first byte that is not RAM */
	const struct expectation rows[] = {
		{ OP(SDMA_NOP, 1, 2, 3, 4), SDMA_DONE, 0, 0, 0, 0 },
		{ OP(SDMA_COPY, 0, 0x80000, 1, 0), SDMA_DONE, 0, 1, 0, 0 },
		{ OP(SDMA_COPY, 0, 0x80000, 0x70001, 0), SDMA_DONE, 0, 0x70001, 0, 0 },
		{ OP(SDMA_COPY, 0, 0x80000, 0, 0), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_COPY, 0, 0x80000, UINT64_C(0x100000001), 0), SDMA_BAD_DESCRIPTOR, 0, 0, 0,
		  0 },
		{ OP(SDMA_COPY, -b->data - 4, 0x80000, 8, 0), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_COPY, 0, -b->data - 4, 8, 0), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_COPY, hole - 0x1800, 0x80000, 0x3000, 0), SDMA_FAULT, 0, 0x1800, hole,
		  1 },
		{ OP(SDMA_COPY, 0, hole - 0x800, 0x3000, 0), SDMA_FAULT, 0, 0x800, hole, 2 },
		{ OP(SDMA_COPY, NOWHERE, 0, 8, 0), SDMA_FAULT, 0, 0, NOWHERE, 1 },
		{ OP(SDMA_FILL, NOWHERE, 0x10000, 0x8001, 5), SDMA_DONE, 0, 0x8001, 0, 0 },
		{ OP(SDMA_FILL, 0, NOWHERE + 3, 8, 5), SDMA_FAULT, 0, 0, NOWHERE + 3, 2 },
		{ OP(SDMA_COMPARE, 0, 0, 0x40000, 0), SDMA_DONE, 0, 0x40000, 0, 0 },
		{ OP(SDMA_COMPARE, 0, NOWHERE, 8, 0), SDMA_FAULT, 0, 0, NOWHERE, 1 },
		{ OP(SDMA_CRC32C, 0, 0, 8, UINT64_C(1) << 32), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_TOUCH, 0, 0, 0x4001, 0x1000), SDMA_DONE, 5, 0x4001, 0, 0 },
		{ OP(SDMA_TOUCH, 3, 0, 0x1000, 1), SDMA_DONE, 0x1000, 0x1000, 0, 0 },
		{ OP(SDMA_TOUCH, 0, 0, 0x20000, 3), SDMA_DONE, 0xaaab, 0x20000, 0, 0 },
		{ OP(SDMA_TOUCH, 0, 0, 1, UINT64_MAX), SDMA_DONE, 1, 1, 0, 0 },
		{ OP(SDMA_TOUCH, 0, 0, 1, 0), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_TOUCH, hole - 0x2000, 0, 0x8000, 0x1000), SDMA_FAULT, 2, 0x2000, hole,
		  1 },
		{ OP(SDMA_GATHER, 4, 0, 8, 1), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_GATHER, 0, 0, 8, 0), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_SCATTER, 0, 8, 8, SDMA_PIECES_MAX + 1), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(SDMA_SCATTER, 0, 8, 0, 1), SDMA_BAD_DESCRIPTOR, 0, 0, 0, 0 },
		{ OP(8, 0, 0, 1, 0), SDMA_BAD_OPERATION, 0, 0, 0, 0 },
		{ OP(255, 0, 0, 1, 0), SDMA_BAD_OPERATION, 0, 0, 0, 0 },
	};

	start(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct expectation *row = &rows[i];
		struct sdma_descriptor d = row->descriptor;
		const struct sdma_completion *record;

		d.source += b->data;
		d.destination += b->data;
		record = sdma_ring_do(&b->ring, &d);
		assert_non_null(record);
		if (record->status != row->status || record->result != row->result ||
		    record->done != row->done || record->access != row->access ||
		    record->address != (row->access ? row->address + b->data : 0))
			fail_msg("row %u: status %u, result %u, done %#llx, access %u, "
				 "address %#llx",
				 i, record->status, record->result,
				 (unsigned long long)record->done, record->access,
				 (unsigned long long)record->address);
	}
	/* Whatever happened, the queue goes on, and counts. */
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_IDLE);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_DESCRIPTORS, 8), ARRAY_SIZE(rows));
	assert_int_equal(sdma_counters_read(b->sdma).value[SDMA_COUNT_DESCRIPTORS],
			 ARRAY_SIZE(rows));
}

static void test_reserved(void **state)
{
	struct bench *b = *state;
	const struct sdma_descriptor rows[] = {
		{ .reserved0 = 1 },
		{ .reserved1 = 1 },
		{ .reserved2 = { 1, 0 } },
		{ .reserved2 = { 0, 1 } },
		{ .flags = SDMA_FLAGS + 1 },
		{ .flags = 0x80 },
		{ .flags = SDMA_FLAG_WRITE_TOUCH },
	};

	start(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct sdma_completion *record = sdma_ring_do(&b->ring, &rows[i]);

		assert_non_null(record);
		assert_int_equal(record->status, SDMA_BAD_DESCRIPTOR);
	}
}

static const struct sdma_completion *run(struct bench *b, uint8_t operation, uint64_t source,
					 uint64_t destination, uint64_t length, uint64_t operand)
{
	const struct sdma_descriptor d = { .operation = operation,
					   .source = b->data + source,
					   .destination = b->data + destination,
					   .length = length,
					   .operand = operand };
	const struct sdma_completion *record = sdma_ring_do(&b->ring, &d);

	assert_non_null(record);
	assert_int_equal(record->status, SDMA_DONE);
	return record;
}

static uint32_t naive_crc(const uint8_t *bytes, uint64_t len, uint32_t crc)
{
	crc = ~crc;
	for (uint64_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void test_data(void **state)
{
	struct bench *b = *state;
	uint8_t *to = b->bytes + 0x80000;
	const struct sdma_completion *record;
	uint8_t *model = malloc(0x40000);
	uint32_t crc;

	start(b);
	/* Copy, odd everywhere, longer than a turn; nothing beside it changes. */
	memset(to, 0xee, 0x60000);
	run(b, SDMA_COPY, 0x333, 0x80001, 0x50007, 0);
	assert_memory_equal(to + 1, b->bytes + 0x333, 0x50007);
	assert_int_equal(to[0], 0xee);
	assert_int_equal(to[0x50008], 0xee);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_BYTES, 8), 2 * 0x50007);

	/* Fill: byte i is byte i % 8 of the pattern, wherever runs begin. */
	run(b, SDMA_FILL, 0, 0x80ffb, 0x30003, UINT64_C(0x8877665544332211));
	for (unsigned int i = 0; i < 0x30003; i++)
		assert_int_equal(to[0xffb + i], 0x11 * (1 + i % 8));

	/* Compare finds the first difference. */
	run(b, SDMA_COPY, 0, 0x80000, 0x40000, 0);
	assert_int_equal(run(b, SDMA_COMPARE, 0, 0x80000, 0x40000, 0)->result, 0);
	to[0x2abcd] ^= 1;
	to[0x3abcd] ^= 1;
	record = run(b, SDMA_COMPARE, 0, 0x80000, 0x40000, 0);
	assert_int_equal(record->result, 1);
	assert_int_equal(record->done, 0x2abcd);

	/* CRC: the check value of the world, a model, and in two parts. */
	memcpy(to, "123456789", 9);
	assert_int_equal(run(b, SDMA_CRC32C, 0x80000, 0, 9, 0)->result, 0xe3069283);
	crc = naive_crc(b->bytes + 5, 0x30001, 0);
	assert_int_equal(run(b, SDMA_CRC32C, 5, 0, 0x30001, 0)->result, crc);
	crc = run(b, SDMA_CRC32C, 5, 0, 0x10000, 0)->result;
	assert_int_equal(run(b, SDMA_CRC32C, 0x10005, 0, 0x20001, crc)->result,
			 naive_crc(b->bytes + 5, 0x30001, 0));

	/* Touch changes nothing. */
	memcpy(model, b->bytes, 0x40000);
	{
		const struct sdma_descriptor d = { .operation = SDMA_TOUCH,
						   .flags = SDMA_FLAG_WRITE_TOUCH,
						   .source = b->data,
						   .length = 0x40000,
						   .operand = 7 };

		record = sdma_ring_do(&b->ring, &d);
		assert_non_null(record);
		assert_int_equal(record->result, (0x40000 + 6) / 7);
	}
	assert_memory_equal(model, b->bytes, 0x40000);
	free(model);
}

static void test_lists(void **state)
{
	struct bench *b = *state;
	struct sdma_piece *list = (void *)(b->bytes + 0xff8); /* pieces straddle pages */
	uint8_t *to = b->bytes + 0x80000;
	const struct sdma_completion *record;
	struct sdma_descriptor d = { .operation = SDMA_GATHER,
				     .source = b->data + 0xff8,
				     .destination = b->data + 0x80000,
				     .operand = 4 };

	start(b);
	list[0] = (struct sdma_piece){ b->data + 0x2001, 0x1234 };
	list[1] = (struct sdma_piece){ NOWHERE, 0 };
	list[2] = (struct sdma_piece){ b->data + 0x9000, 0x15000 };
	list[3] = (struct sdma_piece){ b->data + 0x5000, 1 };
	record = sdma_ring_do(&b->ring, &d);
	assert_int_equal(record->status, SDMA_DONE);
	assert_int_equal(record->done, 0x16235);
	assert_memory_equal(to, b->bytes + 0x2001, 0x1234);
	assert_memory_equal(to + 0x1234, b->bytes + 0x9000, 0x15000);
	assert_int_equal(to[0x16234], b->bytes[0x5000]);

	/* A length ends it, and must be reached. */
	d.length = 0x2000;
	record = sdma_ring_do(&b->ring, &d);
	assert_int_equal(record->status, SDMA_DONE);
	assert_int_equal(record->done, 0x2000);
	d.length = 0x16236;
	record = sdma_ring_do(&b->ring, &d);
	assert_int_equal(record->status, SDMA_BAD_DESCRIPTOR);
	assert_int_equal(record->done, 0x16235);

	/* And back. */
	memcpy(to, b->bytes + 0x40000, 0x16235);
	d = (struct sdma_descriptor){ .operation = SDMA_SCATTER,
				      .source = b->data + 0x80000,
				      .destination = b->data + 0xff8,
				      .length = 0x16234,
				      .operand = 4 };
	record = sdma_ring_do(&b->ring, &d);
	assert_int_equal(record->status, SDMA_DONE);
	assert_int_equal(record->done, 0x16234);
	assert_memory_equal(b->bytes + 0x2001, to, 0x1234);
	assert_memory_equal(b->bytes + 0x9000, to + 0x1234, 0x15000);

	/* Bad pieces are found when it gets there. */
	list[2].length = UINT64_C(1) << 33;
	record = sdma_ring_do(&b->ring, &d);
	assert_int_equal(record->status, SDMA_BAD_DESCRIPTOR);
	assert_int_equal(record->done, 0x1234);
	list[2] = (struct sdma_piece){ UINT64_MAX - 2, 4 };
	assert_int_equal(sdma_ring_do(&b->ring, &d)->status, SDMA_BAD_DESCRIPTOR);
	list[0] = (struct sdma_piece){ NOWHERE, 4 };
	record = sdma_ring_do(&b->ring, &d);
	assert_int_equal(record->status, SDMA_FAULT);
	assert_int_equal(record->address, NOWHERE);
	assert_int_equal(record->access, 2);
}

/* --- Rings --- */

static void test_ring(void **state)
{
	struct bench *b = *state;
	struct sdma_index *index = sdma_ring_index(&b->ring);
	const struct sdma_descriptor nop = { .operation = SDMA_NOP, .flags = SDMA_FLAG_INTERRUPT };

	/* It starts where the record says, even around the numbers' end; enabling is a doorbell. */
	index->head = index->tail = UINT32_MAX - 5;
	for (unsigned int i = 0; i < 16; i++)
		sdma_ring_put(&b->ring, &nop);
	sdma_ring_enable(&b->ring, 0);
	fake_settle(b->loop);
	assert_int_equal(index->head, index->tail);
	assert_int_equal(index->head, 10);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_IDLE);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_DESCRIPTORS, 8), 16);
	assert_int_equal(fake_take_msis(b->machine, SDMA_DRIVER_MSI), 16);

	/* A tail without a doorbell is not looked at; with one it is. */
	sdma_ring_put(&b->ring, &nop);
	fake_settle(b->loop);
	assert_int_equal(index->head, 10);
	sdma_ring_bell(&b->ring);
	fake_settle(b->loop);
	assert_int_equal(index->head, 11);

	/* While it is on, its configuration does not change. */
	sdma_ring_write(&b->ring, SDMA_Q_LOG2, 4, 9);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_LOG2, 4), 4);
	sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, SDMA_Q_ENABLE | SDMA_Q_PASID_ON);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_CONTROL, 4), SDMA_Q_ENABLE);
}

static void test_halts(void **state)
{
	static const struct {
		unsigned int reg, size;
		uint64_t value;
		uint32_t control;
		enum sdma_halt reason;
	} rows[] = {
		{ SDMA_Q_RING, 8, 0x1020, 0, SDMA_HALT_CONFIG },
		{ SDMA_Q_RING, 8, UINT64_MAX - 63, 0, SDMA_HALT_CONFIG },
		{ SDMA_Q_INDEX, 8, 0x1004, 0, SDMA_HALT_CONFIG },
		{ SDMA_Q_LOG2, 4, 16, 0, SDMA_HALT_CONFIG },
		{ SDMA_Q_VECTOR, 4, QUEUES, 0, SDMA_HALT_CONFIG },
		{ SDMA_Q_PASID, 4, 0, 8, SDMA_HALT_CONFIG },
		{ SDMA_Q_PASID, 4, 0, SDMA_Q_PRIVILEGED, SDMA_HALT_CONFIG },
		{ SDMA_Q_PASID, 4, 1, SDMA_Q_PASID_ON, SDMA_HALT_PASID },
		{ SDMA_Q_INDEX, 8, NOWHERE, 0, SDMA_HALT_INDEX },
	};
	struct bench *b = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = sdma_ring_read(&b->ring, rows[i].reg, rows[i].size);

		sdma_ring_write(&b->ring, rows[i].reg, rows[i].size, rows[i].value);
		sdma_ring_enable(&b->ring, rows[i].control);
		fake_settle(b->loop);
		assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_HALTED);
		assert_int_equal(sdma_ring_reason(&b->ring), rows[i].reason);
		sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, 0);
		assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_OFF);
		sdma_ring_write(&b->ring, rows[i].reg, rows[i].size, before);
	}
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_ERROR, 8), NOWHERE);
	start(b);
}

static void halted(struct bench *b, enum sdma_halt reason, uint64_t error)
{
	fake_take_msis(b->machine, SDMA_DRIVER_MSI);
	sdma_ring_bell(&b->ring);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_HALTED);
	assert_int_equal(sdma_ring_reason(&b->ring), reason);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_ERROR, 8), error);
	sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, 0);
	*sdma_ring_index(&b->ring) = (struct sdma_index){ 0 };
	pci_config_write(&b->machine->host, 8, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(fake_take_msis(b->machine, SDMA_DRIVER_MSI), 1);
	start(b);
}

static void test_halts_running(void **state)
{
	struct bench *b = *state;
	struct sdma_descriptor d = { .operation = SDMA_NOP };

	start(b);
	sdma_ring_index(&b->ring)->tail = 17;
	halted(b, SDMA_HALT_TAIL, b->ring.index);
	d.completion = NOWHERE;
	sdma_ring_put(&b->ring, &d);
	halted(b, SDMA_HALT_COMPLETION, NOWHERE);
	d.completion = b->data + 16;
	sdma_ring_put(&b->ring, &d);
	halted(b, SDMA_HALT_COMPLETION, b->data + 16);
	d.completion = 0;
	sdma_ring_put(&b->ring, &d);
	pci_config_write(&b->machine->host, 8, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	halted(b, SDMA_HALT_MASTER, 0);

	sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, 0);
	fake_settle(b->loop);
	sdma_ring_write(&b->ring, SDMA_Q_RING, 8, NOWHERE);
	start(b);
	sdma_ring_index(&b->ring)->tail = 1;
	sdma_ring_bell(&b->ring);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_reason(&b->ring), SDMA_HALT_RING);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_ERROR, 8), NOWHERE);
}

/* --- Stops --- */

/* Starts a fill of 1 MiB and lets a part of it happen. */
static struct sdma_completion *long_fill(struct bench *b, uint64_t at)
{
	struct sdma_descriptor d = { .operation = SDMA_FILL,
				     .flags = SDMA_FLAG_INTERRUPT,
				     .destination = b->data,
				     .length = DATA,
				     .completion = b->data + DATA - 32 };
	struct sdma_completion *record = fake_ram(b->machine, d.completion);

	d.completion = fake_alloc(b->machine, 32, 32);
	record = fake_ram(b->machine, d.completion);
	sdma_ring_put(&b->ring, &d);
	sdma_ring_submit(&b->ring, &d);
	for (unsigned int i = 0; i < 1000 && b->bytes[at]; i++)
		assert_int_equal(loop_turn(b->loop, false), 0);
	assert_int_equal(b->bytes[at], 0);
	assert_int_equal(record->status, SDMA_PENDING);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_ACTIVE);
	return record;
}

static void test_disable(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record;

	start(b);
	b->bytes[0] = 1;
	record = long_fill(b, 0);
	sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, 0);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_STOPPING);
	/* Too early: it is not off yet. */
	sdma_ring_enable(&b->ring, 0);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_STOPPING);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_OFF);
	assert_int_equal(record->status, SDMA_ABORTED);
	assert_in_range(record->done, 1, DATA - 1);
	/* `done` is exact, one descriptor is counted, its interrupt came. */
	assert_int_equal(b->bytes[record->done - 1], 0);
	assert_int_equal(b->bytes[record->done + 2], (uint8_t)((record->done + 2) * 167 >> 3));
	assert_int_equal(sdma_ring_index(&b->ring)->head, 1);
	assert_int_equal(fake_take_msis(b->machine, SDMA_DRIVER_MSI), 1);

	/* Enabled again it goes on with the second. */
	record->status = SDMA_PENDING;
	sdma_ring_enable(&b->ring, 0);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_DONE);
}

static void test_reset(void **state)
{
	struct bench *b = *state;
	unsigned int exp = b->machine->host.function[8]->express;
	struct sdma_completion *record;

	start(b);
	b->bytes[0] = 1;
	record = long_fill(b, 0);
	sdma_driver_write(&b->driver, SDMA_CONTROL, 4, SDMA_CONTROL_RESET);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_OFF);
	memset(b->bytes, 1, DATA);
	fake_settle(b->loop);
	for (unsigned int i = 0; i < DATA; i++)
		assert_int_equal(b->bytes[i], 1);
	assert_int_equal(record->status, SDMA_PENDING);
	assert_int_equal(sdma_ring_read(&b->ring, SDMA_Q_RING, 8), 0);

	sdma_ring_init(&b->ring, &b->driver, 1, 2);
	start(b);
	record = long_fill(b, 0);
	pci_config_write(&b->machine->host, 8, exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	memset(b->bytes, 1, DATA);
	fake_settle(b->loop);
	for (unsigned int i = 0; i < DATA; i++)
		assert_int_equal(b->bytes[i], 1);
	assert_int_equal(record->status, SDMA_PENDING);
}

/* A long operation does not keep other queues waiting. */
static void test_turns(void **state)
{
	struct bench *b = *state;
	struct sdma_ring other;
	const struct sdma_descriptor nop = { .operation = SDMA_NOP };
	struct sdma_completion *record, *quick;

	sdma_ring_init(&other, &b->driver, 2, 3);
	sdma_ring_enable(&other, 0);
	start(b);
	b->bytes[0] = 1;
	record = long_fill(b, 0);
	quick = sdma_ring_do(&other, &nop);
	assert_non_null(quick);
	assert_int_equal(quick->status, SDMA_DONE);
	assert_int_equal(record->status, SDMA_PENDING);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_DONE);
}

static void test_create(void **state)
{
	struct bench *b = *state;

	assert_null(sdma_create(&b->machine->host, b->loop, "none", 0));
	assert_int_equal(errno, EINVAL);
	assert_null(sdma_create(&b->machine->host, b->loop, "many", SDMA_QUEUES_MAX + 1));
	assert_int_equal(errno, EINVAL);
	assert_string_equal(sdma_name(b->sdma), "sdma0");
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers),	  TEST(test_capabilities), TEST(test_status),
		TEST(test_reserved),	  TEST(test_data),	   TEST(test_lists),
		TEST(test_ring),	  TEST_BARE(test_ring),	   TEST(test_halts),
		TEST(test_halts_running), TEST(test_disable),	   TEST(test_reset),
		TEST(test_turns),	  TEST(test_create),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
