/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt remapping: tables of any contents, invalidations, commands and requests, each step of
 * STEP bytes, against a naive model that knows the specification by bit numbers.
 *
 * The table's memory is one page, so that the cache has room for every entry that can be read: then
 * the model's cache, which never forgets by itself, must agree with the unit's at every step.
 */
#include <stdlib.h>
#include <string.h>

#include "viommu/unit.h"

#define STEP	20 /* bytes of input: what, index, two words of 64 bits, two more bytes */
#define STEPS	512
#define TABLE	UINT64_C(0x10000)
#define ENTRIES 256
#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct model {
	uint64_t irta;
	bool enabled, compatibility;
	bool cached[ENTRIES];
	uint64_t cache[ENTRIES][2];
};

/* What the model says of a request. */
struct verdict {
	unsigned int reason;
	bool fpd;
	uint64_t address;
	uint32_t data;
};

static uint64_t memory[ENTRIES][2] __attribute__((aligned(4096)));
static unsigned int changes;

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	(void)context;
	if (gpa < TABLE || gpa >= TABLE + sizeof(memory) || len > TABLE + sizeof(memory) - gpa)
		return NULL;
	return (uint8_t *)memory + (gpa - TABLE);
}

static void interrupts_changed(void *context, unsigned int first, unsigned int count)
{
	(void)context;
	CHECK(count && first < 65536 && count <= 65536 - first);
	changes++;
}

static struct vtd_unit *make_unit(void)
{
	static const struct vtd_memory_ops memory_ops = { memory_ptr };
	static const struct vtd_machine_ops machine_ops = { .interrupts_changed =
								    interrupts_changed };
	struct vtd_config config;
	struct vtd_unit *unit;

	vtd_config_init(&config);
	unit = vtd_create(&config, &memory_ops, NULL, &machine_ops, NULL);
	CHECK(unit);
	unit->ecap |= VTD_ECAP_IR | VTD_ECAP_EIM;
	return unit;
}

/* --- The model --- */

/* Bits @high to @low of an entry of 128. */
static uint64_t bits(const uint64_t entry[2], unsigned int high, unsigned int low)
{
	uint64_t value = 0;

	for (unsigned int bit = high + 1; bit-- > low;)
		value = value << 1 | (entry[bit / 64] >> bit % 64 & 1);
	return value;
}

static bool malformed(const uint64_t entry[2], bool eime)
{
	uint64_t mode = bits(entry, 7, 5);

	if (bits(entry, 14, 12) || bits(entry, 15, 15) || bits(entry, 31, 24) ||
	    bits(entry, 127, 84))
		return true;
	if (mode == 3 || mode == 6 || bits(entry, 83, 82) == 3)
		return true;
	return !eime && (bits(entry, 39, 32) || bits(entry, 63, 48));
}

static bool wrong_source(const uint64_t entry[2], unsigned int source)
{
	if (bits(entry, 83, 82) == 2)
		return source >> 8 < bits(entry, 79, 72) || source >> 8 > bits(entry, 71, 64);
	if (bits(entry, 83, 82) != 1)
		return false;
	for (unsigned int bit = 0; bit < 16; bit++) {
		uint64_t qualifier = bits(entry, 81, 80);
		bool ignored = (bit == 2 && qualifier >= 1) || (bit == 1 && qualifier >= 2) ||
			       (bit == 0 && qualifier == 3);

		if (!ignored && bits(entry, 64 + bit, 64 + bit) != (source >> bit & 1))
			return true;
	}
	return false;
}

static void write_message(const uint64_t entry[2], bool eime, struct verdict *verdict)
{
	uint64_t id = eime ? bits(entry, 63, 32) : bits(entry, 47, 40);

	verdict->address = 0xfee00000 + ((id & 0xff) << 12) + (id >> 8 << 40) +
			   bits(entry, 3, 3) * 8 + bits(entry, 2, 2) * 4;
	verdict->data = (uint32_t)(bits(entry, 23, 16) + bits(entry, 7, 5) * 256 +
				   bits(entry, 4, 4) * 0xc000);
}

static struct verdict judge(struct model *model, unsigned int source, uint64_t address,
			    uint32_t data)
{
	struct verdict verdict = { .address = address, .data = data };
	unsigned int index = (address >> 5 & 0x7fff) + (address & 4 ? 0x8000 : 0);
	bool eime = model->irta & 1 << 11, shv = address & 8;
	const uint64_t *entry;

	if (!model->enabled)
		return verdict;
	if (!(address & 16)) {
		verdict.reason = eime || !model->compatibility ? 0x25 : 0;
		return verdict;
	}
	if (shv)
		index += data & 0xffff;
	if (shv && data >> 16) {
		verdict.reason = 0x20;
	} else if (index >= 2U << (model->irta & 15)) {
		verdict.reason = 0x21;
	} else if (model->irta >> 12 != TABLE >> 12 || index >= ENTRIES) {
		verdict.reason = 0x23;
	} else {
		entry = model->cached[index] ? model->cache[index] : memory[index];
		verdict.fpd = bits(entry, 1, 1);
		if (!bits(entry, 0, 0)) {
			verdict.reason = 0x22;
		} else if (malformed(entry, eime)) {
			verdict.reason = 0x24;
		} else {
			if (!model->cached[index])
				memcpy(model->cache[index], memory[index], 16);
			model->cached[index] = true;
			verdict.reason = wrong_source(entry, source) ? 0x26 : 0;
			if (!verdict.reason)
				write_message(model->cache[index], eime, &verdict);
		}
	}
	return verdict;
}

/* --- Steps --- */

static void request(struct vtd_unit *unit, struct model *model, unsigned int source,
		    uint64_t address, uint32_t data, bool record)
{
	struct verdict verdict = judge(model, source, address, data);
	const struct vtd_msi from = { address, data };
	uint64_t faults = vtd_fault_counter(unit, verdict.reason);
	uint64_t sent = vtd_counter(unit, VTD_COUNT_INTERRUPTS);
	struct vtd_ir_answer answer;
	struct vtd_msi msi = { 0 };
	int rc;

	vtd_ir_remap(unit, (uint16_t)source, &from, &answer);
	CHECK((unsigned int)answer.reason == verdict.reason);
	CHECK(answer.quiet == (verdict.reason && verdict.fpd));
	rc = vtd_remap_msi(unit, (uint16_t)source, &from, &msi, record);
	CHECK(!rc == !verdict.reason);
	CHECK(vtd_counter(unit, VTD_COUNT_INTERRUPTS) == sent + (!rc && record));
	if (!rc)
		CHECK(msi.address == verdict.address && msi.data == verdict.data);
	else if (!record || answer.quiet)
		CHECK(vtd_fault_counter(unit, verdict.reason) == faults);
}

static void invalidate(struct vtd_unit *unit, struct model *model, unsigned int index,
		       unsigned int order)
{
	unsigned int told = changes;

	for (unsigned int i = 0; i < ENTRIES; i++)
		if (order >= 16 || i >> order == index >> order)
			model->cached[i] = false;
	pthread_mutex_lock(&unit->lock);
	vtd_ir_invalidate(unit, index, order);
	pthread_mutex_unlock(&unit->lock);
	CHECK(changes == told + model->enabled);
}

/* One of four tables is elsewhere and cannot be read: beyond what an index can bridge, unless
 * addresses wrap. */
static void command(struct vtd_unit *unit, struct model *model, unsigned int flags, uint64_t word)
{
	unsigned int told = changes;
	bool was = model->enabled;

	model->enabled = flags & 1;
	model->compatibility = flags & 2;
	model->irta = ((flags & 12) == 12 ? (word | 0x200000) & ~UINT64_C(0xfff) : TABLE) |
		      (word & 0xfff);
	memset(model->cached, 0, sizeof(model->cached));
	pthread_mutex_lock(&unit->lock);
	vtd_ir_set_table(unit, model->irta);
	vtd_ir_set_compatibility(unit, model->compatibility);
	vtd_ir_enable(unit, model->enabled);
	pthread_mutex_unlock(&unit->lock);
	CHECK((changes != told) == (was || model->enabled));
}

static void step(struct vtd_unit *unit, struct model *model, const uint8_t *bytes)
{
	unsigned int index = bytes[1];
	uint64_t word[2];

	memcpy(word, bytes + 2, sizeof(word));
	switch (bytes[0] & 7) {
	case 0:
		memcpy(memory[index], word, sizeof(word));
		break;
	case 1: /* one bit */
		memory[index][word[0] >> 6 & 1] ^= UINT64_C(1) << (word[0] & 63);
		break;
	case 2:
		invalidate(unit, model, index | (unsigned int)bytes[18] << 8, bytes[19] & 31);
		break;
	case 3:
		command(unit, model, bytes[1], word[0]);
		break;
	case 4: /* a good entry, in the low bytes of the table */
		memory[index & 15][0] = (word[0] & UINT64_C(0xffffffff00ff0f1f)) | 1;
		memory[index & 15][1] = word[1] & 0x7ffff;
		break;
	case 5: /* for one of those, with a source that may be in it */
		request(unit, model, (unsigned int)(memory[index & 15][1] & 0xffff) ^ bytes[19] % 8,
			0xfee00010 | (index & 15) << 5, (uint32_t)word[1], bytes[0] & 8);
		break;
	default:
		request(unit, model, bytes[18] | (unsigned int)bytes[19] << 8,
			0xfee00000 | (word[0] & 0xfffff), (uint32_t)word[1], bytes[0] & 8);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vtd_unit *unit;
	struct model model = { 0 };

	if (!unit)
		unit = make_unit();
	vtd_reset(unit);
	memset(memory, 0, sizeof(memory));
	for (unsigned int i = 0; i < STEPS && (size_t)(i + 1) * STEP <= size; i++)
		step(unit, &model, data + (size_t)i * STEP);
	return 0;
}
