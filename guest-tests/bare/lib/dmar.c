/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/dmar.h"

#include "lib/acpi.h"

enum dmar_offset { DMAR_WIDTH = 36, DMAR_FLAGS = 37, DMAR_STRUCTURES = 48 };
enum dmar_type { DMAR_DRHD = 0, DMAR_RMRR = 1, DMAR_ATSR = 2, DMAR_SATC = 5 };
enum drhd_offset { DRHD_FLAGS = 4, DRHD_SEGMENT = 6, DRHD_BASE = 8, DRHD_SCOPES = 16 };
enum scope_offset { SCOPE_TYPE, SCOPE_LENGTH, SCOPE_ID = 4, SCOPE_BUS = 5, SCOPE_PATH = 6 };
enum scope_type { SCOPE_ENDPOINT = 1, SCOPE_IOAPIC = 3 };

static uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

/* Calls @visit for each scope of a DRHD. False if a length leads out of it. */
static bool each_scope(const uint8_t *drhd, uint32_t length,
		       void (*visit)(const uint8_t *scope, void *context), void *context)
{
	uint32_t at = DRHD_SCOPES;

	for (; at + SCOPE_PATH + 2 <= length; at += drhd[at + SCOPE_LENGTH]) {
		uint8_t size = drhd[at + SCOPE_LENGTH];

		if (size < SCOPE_PATH + 2 || at + size > length)
			return false;
		visit(drhd + at, context);
	}
	return at == length;
}

static uint16_t source_of(const uint8_t *scope)
{
	return (uint16_t)(scope[SCOPE_BUS] << 8 | scope[SCOPE_PATH] << 3 | scope[SCOPE_PATH + 1]);
}

static void read_scope(const uint8_t *scope, void *context)
{
	struct dmar_unit *unit = context;

	if (scope[SCOPE_TYPE] == SCOPE_ENDPOINT)
		unit->endpoints++;
	if (scope[SCOPE_TYPE] == SCOPE_IOAPIC && !unit->ioapics++) {
		unit->ioapic_id = scope[SCOPE_ID];
		unit->ioapic_source = source_of(scope);
	}
}

static bool read_drhd(struct dmar *dmar, const uint8_t *at, uint32_t length)
{
	struct dmar_unit *unit = &dmar->unit[dmar->units];

	if (dmar->units == DMAR_UNITS_MAX || length < DRHD_SCOPES)
		return false;
	dmar->units++;
	*unit = (struct dmar_unit){ .base = load64(at + DRHD_BASE),
				    .segment = load16(at + DRHD_SEGMENT),
				    .include_all = at[DRHD_FLAGS] & DMAR_INCLUDE_PCI_ALL };
	return each_scope(at, length, read_scope, unit);
}

static bool read_structure(struct dmar *dmar, const uint8_t *at, uint32_t length)
{
	switch (load16(at)) {
	case DMAR_DRHD:
		return read_drhd(dmar, at, length);
	case DMAR_RMRR:
		dmar->rmrr++;
		break;
	case DMAR_ATSR:
		dmar->atsr++;
		break;
	case DMAR_SATC:
		dmar->satc++;
		break;
	default:
		break;
	}
	return true;
}

/* The structures of @table, as (address, length); NULL behind the last one and for a bad length. */
static const uint8_t *next_structure(const struct acpi_header *table, const uint8_t *at,
				     uint32_t *length)
{
	const uint8_t *end = (const uint8_t *)table + table->length;

	at = at ? at + *length : (const uint8_t *)table + DMAR_STRUCTURES;
	if (at + 4 > end)
		return NULL;
	*length = load16(at + 2);
	return *length >= 4 && at + *length <= end ? at : NULL;
}

bool dmar_read(struct dmar *dmar)
{
	const struct acpi_header *table = acpi_table("DMAR");
	const uint8_t *at = NULL, *last = NULL;
	uint32_t length = 0;
	int type = -1;

	memset(dmar, 0, sizeof(*dmar));
	if (!table)
		return false;
	dmar->host_bits = ((const uint8_t *)table)[DMAR_WIDTH] + 1U;
	dmar->flags = ((const uint8_t *)table)[DMAR_FLAGS];
	dmar->ordered = dmar->well_formed = true;
	while ((at = next_structure(table, at, &length))) {
		dmar->ordered = dmar->ordered && load16(at) >= type;
		type = load16(at);
		dmar->well_formed = read_structure(dmar, at, length) && dmar->well_formed;
		last = at + length;
	}
	if (last != (const uint8_t *)table + table->length)
		dmar->well_formed = false;
	return true;
}

struct search {
	uint16_t source;
	bool found;
};

static void compare_scope(const uint8_t *scope, void *context)
{
	struct search *search = context;

	search->found |= scope[SCOPE_TYPE] == SCOPE_ENDPOINT && source_of(scope) == search->source;
}

const struct dmar_unit *dmar_unit_of(const struct dmar *dmar, unsigned int devfn)
{
	const struct acpi_header *table = acpi_table("DMAR");
	struct search search = { .source = (uint16_t)devfn };
	const struct dmar_unit *rest = NULL;
	const uint8_t *at = NULL;
	uint32_t length = 0;
	unsigned int i = 0;

	while (table && i < dmar->units && (at = next_structure(table, at, &length))) {
		if (load16(at) != DMAR_DRHD)
			continue;
		each_scope(at, length, compare_scope, &search);
		if (search.found)
			return &dmar->unit[i];
		if (dmar->unit[i].include_all)
			rest = &dmar->unit[i];
		i++;
	}
	return rest;
}
