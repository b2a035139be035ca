/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers and the invalidation queue: any accesses, any guest memory, against a naive model that
 * knows the specification by numbers. The model has a register file of its own, a copy of memory,
 * and executes the queue's descriptors; after every step registers, memory, errors and what devices
 * were told must be the same.
 *
 * Input: one byte that chooses the unit, then steps of a byte and its operands.
 */
#include <stdlib.h>
#include <string.h>

#include "viommu/unit.h"

#define MEMORY	 65536
#define STEPS	 256
#define SOURCE	 0x10
#define HOST	 UINT64_C(0x3fffffffffff) /* 46 bits */
#define TIMEOUT	 1
#define NONSENSE 2
#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

enum {
	STEP_WRITE,
	STEP_READ,
	STEP_STORE,
	STEP_DESCRIPTORS,
	STEP_SETUP,
	STEP_DEVICE,
	STEP_CLEAR,
	STEPS_KINDS
};

struct input {
	const uint8_t *at;
	size_t left;
};

struct call {
	uint32_t pasid;
	uint64_t address, size;
	bool global;
};

struct calls {
	unsigned int count;
	struct call last;
};

struct model {
	uint32_t gsts, fsts, ics;
	uint64_t rtaddr, root, irta, iqa, head, tail, iqercd, ccmd, iotlb, iva;
	bool late;
	uint64_t waits;
	struct calls calls;
	uint8_t memory[MEMORY];
};

/* One of the two units, and what is around it. */
struct bench {
	struct vtd_unit *unit;
	bool full; /* has all features; the other has no ATS, PRI, IR and scalable mode */
	uint64_t waits;
};

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static struct model model;
static struct calls calls;
static unsigned int device_result;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- The world around the unit --- */

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	(void)context;
	return gpa < MEMORY && len <= MEMORY - gpa ? memory + gpa : NULL;
}

static void interrupts_changed(void *context, unsigned int first, unsigned int count)
{
	(void)context;
	CHECK(count && first < 65536 && count <= 65536 - first);
}

static int invalidate(void *context, uint32_t pasid, uint64_t address, uint64_t size, bool global)
{
	(void)context;
	calls.count++;
	calls.last = (struct call){ pasid, address, size, global };
	return device_result == TIMEOUT ? -ETIMEDOUT : device_result == NONSENSE ? -EPROTO : 0;
}

static const struct vtd_memory_ops memory_ops = { memory_ptr };
static const struct vtd_machine_ops machine_ops = { .interrupts_changed = interrupts_changed };
static const struct vtd_requester_ops requester_ops = { invalidate, NULL };

static struct bench make(bool full)
{
	struct vtd_config config;
	struct bench bench = { .full = full };

	vtd_config_init(&config);
	if (!full) {
		config.scalable = config.first_stage = config.nested = config.pri = false;
		config.ats = config.interrupt_remapping = config.abort_dma = false;
		config.pasid_bits = 0;
	}
	bench.unit = vtd_create(&config, &memory_ops, NULL, &machine_ops, NULL);
	CHECK(bench.unit);
	CHECK(vtd_attach(bench.unit, SOURCE, "device", &requester_ops, NULL));
	return bench;
}

/* --- Input --- */

static uint64_t next(struct input *in, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes && in->left; i++) {
		value |= (uint64_t)*in->at++ << 8 * i;
		in->left--;
	}
	return value;
}

/* --- The model's queue --- */

static uint64_t load(uint64_t at)
{
	uint64_t value;

	memcpy(&value, model.memory + at, sizeof(value));
	return value;
}

static void queue_error(unsigned int code)
{
	model.fsts |= 1 << 4;
	model.iqercd = (model.iqercd & ~UINT64_C(15)) | code;
}

/* Size by size, until one has its 0. */
static void devtlb(uint32_t pasid, uint64_t word, bool several, bool global)
{
	uint64_t address = word & ~UINT64_C(0xfff), size = 4096;

	model.calls.count++;
	while (several) {
		size *= 2;
		if (!size || !(address & size / 2))
			break;
		address &= ~(size / 2);
	}
	address = size ? address / size * size : 0;
	model.calls.last = (struct call){ pasid, address, size, global };
	if (device_result == TIMEOUT && !model.late)
		model.late = true;
	if (device_result != NONSENSE)
		return;
	if (!(model.fsts & 1 << 5))
		model.iqercd = (model.iqercd & ~(UINT64_C(0xffff) << 48)) | (uint64_t)SOURCE << 48;
	model.fsts |= 1 << 5;
}

/* Bits that may be set, by type: first and second word. */
static const uint64_t fields[10][2] = {
	{ 0, 0 },
	{ 0x0003ffffffff0e3f, 0 },
	{ 0x00000000ffff0eff, 0xfffffffffffff07f },
	{ 0x0000ffff001f0e0f, 0xfffffffffffff001 },
	{ 0x0000fffff8000e1f, 0 },
	{ 0xffffffff00000eff, 0xfffffffffffffffc },
	{ 0x000fffffffff0e3f, 0xfffffffffffff07f },
	{ 0x000fffffffff0e3f, 0 },
	{ 0x000fffffffff0fff, 0xfffffffffffff801 },
	{ 0x000ffffffffffe1f, 0x0000000000000ffc },
};

static bool late_error(void)
{
	if (!model.late)
		return false;
	model.late = false;
	model.fsts |= 1 << 6;
	model.iqercd = (model.iqercd & ~(UINT64_C(0xffff) << 32)) | (uint64_t)SOURCE << 32;
	return true;
}

static void wait(uint64_t a, uint64_t b)
{
	uint32_t status = (uint32_t)(a >> 32);

	if (late_error())
		return;
	if (a >> 5 & 1 && b <= MEMORY - 4)
		memcpy(model.memory + b, &status, 4);
	if (a >> 4 & 1)
		model.ics = 1;
}

/* The code of what is wrong with a descriptor, or 0 after it was executed. */
static unsigned int execute(const struct bench *bench, const uint64_t *qw, bool wide)
{
	uint64_t a = qw[0], b = qw[1];
	unsigned int type = (a & 15) | (a >> 9 & 7) << 4, g = a >> 4 & 3,
		     mode = model.root >> 10 & 3;

	if (type < 1 || type > 9 || (!bench->full && type != 1 && type != 2 && type != 5))
		return 3;
	if (type >= 6 && (!wide || mode == 0))
		return 3;
	if (a & ~fields[type][0] || b & ~fields[type][1] || (type != 9 && (qw[2] || qw[3])))
		return 4;
	if ((type == 1 && g == 0) || (type == 2 && (g == 0 || (g == 3 && (b & 63) > 18))) ||
	    (type == 6 && g < 2) || (type == 7 && g == 2))
		return 4;
	if (type == 4 && a >> 4 & 1 && (a >> 27 & 31) > 15)
		return 4;
	if (type == 9 && (a >> 12 & 15) != 0 && (a >> 12 & 15) != 1 && (a >> 12 & 15) != 15)
		return 4;
	if (type == 5) {
		model.waits++;
		if ((a >> 7 & 1 && !bench->full) || (a >> 5 & 1 && b & ~HOST))
			return 4;
		wait(a, b);
	}
	if (type == 3 && (a >> 32 & 0xffff) == SOURCE)
		devtlb(VTD_NO_PASID, b, b & 1, false);
	if (type == 8 && (a >> 16 & 0xffff) == SOURCE)
		devtlb(a >> 32 & 0xfffff, b, b >> 11 & 1, b & 1);
	return 0;
}

static bool held(void)
{
	return model.fsts & (1 << 4 | 1 << 6);
}

static void run(const struct bench *bench)
{
	bool wide = model.iqa >> 11 & 1;
	uint64_t bytes = UINT64_C(4096) << (model.iqa & 7), step = wide ? 32 : 16;
	unsigned int mode = model.root >> 10 & 3, code = 0;

	if (!(model.gsts >> 26 & 1) || held() || model.head == model.tail)
		return;
	if (wide && !bench->full)
		code = 5;
	else if (wide && model.tail % 32)
		code = 6;
	else if (model.tail >= bytes)
		code = 1;
	else if (mode == 2 || (mode && !bench->full))
		code = 7;
	else if (!wide && mode)
		code = 5;
	while (!code && model.head != model.tail && !held()) {
		uint64_t at = (model.iqa & ~UINT64_C(0xfff)) + model.head, qw[4] = { 0 };

		if (at > MEMORY - step) {
			code = 2;
			break;
		}
		for (unsigned int i = 0; i < step / 8; i++)
			qw[i] = load(at + i * 8);
		code = execute(bench, qw, wide);
		if (!code)
			model.head = (model.head + step) % bytes;
	}
	if (code)
		queue_error(code);
	else
		late_error();
}

/* --- The model's registers, by words of 32 bits --- */

static void write_half(uint64_t *reg, bool high, uint32_t value, uint64_t writable)
{
	uint64_t mask = writable & (high ? ~UINT64_C(0xffffffff) : 0xffffffff);

	*reg = (*reg & ~mask) | ((uint64_t)value << (high ? 32 : 0) & mask);
}

static void write_gcmd(const struct bench *bench, uint32_t value)
{
	static const unsigned int order[] = { 30, 24, 26, 23, 25, 31 };

	for (unsigned int i = 0; i < 6; i++) {
		unsigned int bit = order[i];
		bool on = value >> bit & 1, was = model.gsts >> bit & 1;

		if (!bench->full && (bit == 23 || bit == 24 || bit == 25))
			continue;
		if (bit == 30 || bit == 24) {
			model.gsts |= on ? 1u << bit : 0;
			if (bit == 30 && on)
				model.root = model.rtaddr;
			continue;
		}
		model.gsts = (model.gsts & ~(1u << bit)) | (uint32_t)on << bit;
		if (bit == 26 && on != was) {
			model.head = 0;
			model.late = false;
			run(bench);
		}
	}
}

static bool by_registers(void)
{
	return !(model.gsts >> 26 & 1) && !(model.root >> 10 & 3);
}

static void write_ccmd(bool high, uint32_t value)
{
	uint64_t g;

	write_half(&model.ccmd, high, value, UINT64_C(0xe0000003ffffffff));
	if (!(model.ccmd >> 63))
		return;
	g = model.ccmd >> 61 & 3;
	model.ccmd &= UINT64_C(0x60000003ffffffff);
	model.ccmd |= by_registers() ? g << 59 : 0;
}

static void write_iotlb(bool high, uint32_t value)
{
	uint64_t g;

	write_half(&model.iotlb, high, value, UINT64_C(0xb003ffff00000000));
	if (!(model.iotlb >> 63))
		return;
	g = model.iotlb >> 60 & 3;
	model.iotlb &= UINT64_C(0x3003ffff00000000);
	model.iotlb |= by_registers() && !(g == 3 && (model.iva & 63) > 18) ? g << 57 : 0;
}

static void write_word(const struct bench *bench, uint64_t offset, uint32_t value)
{
	bool high = offset & 4, was_held = held();

	switch (offset) {
	case 0x18:
		write_gcmd(bench, value);
		break;
	case 0x20:
	case 0x24:
		write_half(&model.rtaddr, high, value, HOST & ~UINT64_C(0x3ff));
		break;
	case 0x28:
	case 0x2c:
		write_ccmd(high, value);
		break;
	case 0x34:
		model.fsts &= ~value;
		if (was_held && !held())
			run(bench);
		break;
	case 0x88:
		model.tail = value & 0x7fff0;
		run(bench);
		break;
	case 0x90:
	case 0x94:
		if (!(model.gsts >> 26 & 1))
			write_half(&model.iqa, high, value, HOST & ~UINT64_C(0x7f8));
		break;
	case 0x9c:
		model.ics &= ~value;
		break;
	case 0xb8:
	case 0xbc:
		if (bench->full)
			write_half(&model.irta, high, value, HOST & ~UINT64_C(0x7f0));
		break;
	case 0x320:
	case 0x324:
		write_half(&model.iva, high, value, UINT64_C(0xfffffffffffff07f));
		break;
	case 0x328:
	case 0x32c:
		write_iotlb(high, value);
		break;
	default:
		break;
	}
}

/* A 64-bit write of a command register starts the command once, with both halves. */
static void write_quad(const struct bench *bench, uint64_t offset, uint64_t value)
{
	if (offset == 0x28)
		write_half(&model.ccmd, false, (uint32_t)value, UINT64_C(0x3ffffffff));
	else
		write_word(bench, offset, (uint32_t)value);
	write_word(bench, offset + 4, (uint32_t)(value >> 32));
}

/* --- Comparison --- */

static void compare_registers(struct vtd_unit *unit)
{
	const struct {
		unsigned int offset, bytes;
		uint64_t value;
	} rows[] = {
		{ 0x00, 4, 0x40 },	 { 0x08, 8, unit->cap },    { 0x10, 8, unit->ecap },
		{ 0x18, 4, 0 },		 { 0x1c, 4, model.gsts },   { 0x20, 8, model.rtaddr },
		{ 0x28, 8, model.ccmd }, { 0x34, 4, model.fsts },   { 0x64, 4, 0 },
		{ 0x80, 8, model.head }, { 0x88, 8, model.tail },   { 0x90, 8, model.iqa },
		{ 0x9c, 4, model.ics },	 { 0xb0, 8, model.iqercd }, { 0xb8, 8, model.irta },
		{ 0x320, 8, 0 },	 { 0x328, 8, model.iotlb },
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = vtd_mmio_read(unit, rows[i].offset, rows[i].bytes);

		CHECK(value == rows[i].value);
		CHECK(vtd_mmio_read(unit, rows[i].offset, 4) == (uint32_t)value);
		if (rows[i].bytes == 8)
			CHECK(vtd_mmio_read(unit, rows[i].offset + 4, 4) == value >> 32);
	}
	CHECK(unit->root == model.root);
	CHECK(unit->translation == (model.gsts >> 31 & 1));
}

static void compare(const struct bench *bench)
{
	compare_registers(bench->unit);
	CHECK(calls.count == model.calls.count);
	CHECK(!calls.count || (calls.last.pasid == model.calls.last.pasid &&
			       calls.last.address == model.calls.last.address &&
			       calls.last.size == model.calls.last.size &&
			       calls.last.global == model.calls.last.global));
	CHECK(vtd_counter(bench->unit, VTD_COUNT_WAITS) - bench->waits == model.waits);
	CHECK(!memcmp(memory, model.memory, MEMORY));
}

/* --- Steps --- */

static void guest_write(const struct bench *bench, uint64_t offset, unsigned int size,
			uint64_t value)
{
	vtd_mmio_write(bench->unit, offset, size, value);
	if ((size != 4 && size != 8) || offset % size || offset >= VTD_REGISTERS)
		return;
	if (size == 4)
		write_word(bench, offset, (uint32_t)value);
	else
		write_quad(bench, offset, value);
}

static void guest_store(uint64_t at, uint64_t value)
{
	memcpy(memory + at, &value, sizeof(value));
	memcpy(model.memory + at, &value, sizeof(value));
}

/* A descriptor of a known type, its reserved bits mostly as they must be. */
static void random_descriptor(struct input *in, unsigned int how, uint64_t *a, uint64_t *b)
{
	unsigned int type = 1 + how % 9;

	*a = next(in, 8);
	*b = next(in, 8);
	if (how >= 250)
		return;
	if (how & 32) /* a large range: ones up to some bit */
		*b |= (UINT64_C(2) << (11 + (*b >> 12) % 53)) - 4096;
	*a = (*a & fields[type][0] & ~UINT64_C(0xe0f)) | type;
	*b &= fields[type][1];
	if (type == 5)
		*b %= UINT64_C(2) * MEMORY;
	if (type == 3)
		*a = (*a & ~(UINT64_C(0xffff) << 32)) | (uint64_t)SOURCE << 32;
	if (type == 8)
		*a = (*a & ~(UINT64_C(0xffff) << 16)) | (uint64_t)SOURCE << 16;
}

/* Up to four of them behind the tail, which is then written once. */
static void step_descriptors(const struct bench *bench, struct input *in)
{
	uint64_t step = model.iqa >> 11 & 1 ? 32 : 16, bytes = UINT64_C(4096) << (model.iqa & 7);
	uint64_t tail = model.tail, a, b;
	unsigned int how;

	for (unsigned int i = 0; i < 4; i++) {
		uint64_t at = (model.iqa & ~UINT64_C(0xfff)) + tail;

		how = (unsigned int)next(in, 1);
		random_descriptor(in, how, &a, &b);
		if (at <= MEMORY - step) {
			guest_store(at, a);
			guest_store(at + 8, b);
			guest_store(at + step - 16, step == 32 ? 0 : a);
			guest_store(at + step - 8, step == 32 ? 0 : b);
		}
		tail = (tail + step) % bytes;
		if (how & 16)
			break;
	}
	guest_write(bench, VTD_IQT, 4, tail);
}

static void step_setup(const struct bench *bench, struct input *in)
{
	uint64_t flags = next(in, 1), page = next(in, 1) % 20;

	guest_write(bench, VTD_GCMD, 4, 0);
	guest_write(bench, VTD_FSTS, 4, UINT32_MAX);
	guest_write(bench, VTD_RTADDR, 8, (flags >> 1 & 3) << 10);
	guest_write(bench, VTD_IQA, 8, page << 12 | (flags & 1) << 11 | (flags >> 3 & 3));
	guest_write(bench, VTD_IQT, 4, 0);
	guest_write(bench, VTD_GCMD, 4, 1u << 30 | 1u << 26);
}

static void step(const struct bench *bench, struct input *in)
{
	static const uint8_t sizes[] = { 4, 8, 4, 8, 4, 8, 1, 2, 3, 5, 16, 0 };
	uint64_t offset, value;
	unsigned int size;

	switch (next(in, 1) % STEPS_KINDS) {
	case STEP_WRITE:
		size = sizes[next(in, 1) % sizeof(sizes)];
		offset = next(in, 2) % (VTD_REGISTERS + 16);
		value = next(in, 8);
		guest_write(bench, offset, size, value);
		break;
	case STEP_READ:
		size = sizes[next(in, 1) % sizeof(sizes)];
		offset = next(in, 8);
		value = vtd_mmio_read(bench->unit, offset, size);
		CHECK(!value || (offset < VTD_REGISTERS && (size == 4 || size == 8)));
		break;
	case STEP_STORE:
		offset = next(in, 2) & ~UINT64_C(7);
		guest_store(offset, next(in, 8));
		break;
	case STEP_DESCRIPTORS:
		step_descriptors(bench, in);
		break;
	case STEP_SETUP:
		step_setup(bench, in);
		break;
	case STEP_DEVICE:
		device_result = (unsigned int)next(in, 1) % 3;
		break;
	default:
		guest_write(bench, VTD_FSTS, 4, (uint32_t)next(in, 1));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench benches[2];
	struct input in = { data, size };
	struct bench *bench = &benches[next(&in, 1) % 2];

	if (!bench->unit)
		*bench = make(bench == &benches[0]);
	vtd_reset(bench->unit);
	memset(memory, 0, sizeof(memory));
	memset(&model, 0, sizeof(model));
	memset(&calls, 0, sizeof(calls));
	device_result = 0;
	bench->waits = vtd_counter(bench->unit, VTD_COUNT_WAITS);
	compare(bench);
	for (unsigned int i = 0; in.left && i < STEPS; i++) {
		step(bench, &in);
		compare(bench);
	}
	return 0;
}
