/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMAR table (8): its structures, in the order of their types (8.2).
 */
#include "viommu/dmar.h"

#include <string.h>

#define PAGES_4K_SHIFT	     0 /* of DRHD: 2^n pages of registers */
#define FLAG_INTR_REMAP	     1 /* 8.1. X2APIC_OPT_OUT (2) is never set: x2APIC is what we want */
#define FLAG_PCI_INCLUDE_ALL 1 /* 8.3 */
#define FLAG_ALL_PORTS	     1 /* 8.5 */

enum dmar_type { DMAR_DRHD = 0, DMAR_RMRR = 1, DMAR_ATSR = 2, DMAR_SATC = 5 };
enum dmar_scope_type { DMAR_SCOPE_ENDPOINT = 1, DMAR_SCOPE_IOAPIC = 3 };

struct dmar_fixed {    /* 8.1, after the ACPI header */
	uint8_t width; /* of host addresses in bits, minus 1 */
	uint8_t flags;
	uint8_t reserved[10];
};
_Static_assert(sizeof(struct dmar_fixed) == 12, "8.1");

struct dmar_drhd { /* 8.3 */
	uint16_t type, length;
	uint8_t flags, size;
	uint16_t segment;
	uint64_t base;
};
_Static_assert(sizeof(struct dmar_drhd) == 16, "8.3");

struct dmar_scope { /* 8.3.1, with a path of one step: what is on the bus itself */
	uint8_t type, length, flags, reserved, enumeration_id, bus, device, function;
};
_Static_assert(sizeof(struct dmar_scope) == 8, "8.3.1");

struct dmar_reserved { /* RMRR, 8.4 */
	uint16_t type, length, reserved, segment;
	uint64_t base, limit;
};
_Static_assert(sizeof(struct dmar_reserved) == 24, "8.4");

struct dmar_ats { /* ATSR, 8.5, and SATC, 8.8 */
	uint16_t type, length;
	uint8_t flags, reserved;
	uint16_t segment;
};
_Static_assert(sizeof(struct dmar_ats) == 8, "8.5, 8.8");

/* The body being written. */
struct writer {
	uint8_t *at;
	size_t left;
	bool full;
};

static void put(struct writer *writer, const void *data, size_t size)
{
	if (size > writer->left)
		writer->full = true;
	if (writer->full)
		return;
	memcpy(writer->at, data, size);
	writer->at += size;
	writer->left -= size;
}

static void put_scope(struct writer *writer, enum dmar_scope_type type, uint8_t id, uint16_t source)
{
	const struct dmar_scope scope = {
		.type = (uint8_t)type,
		.length = sizeof(scope),
		.enumeration_id = id,
		.bus = (uint8_t)(source >> 8),
		.device = source >> 3 & 0x1f,
		.function = source & 7,
	};

	put(writer, &scope, sizeof(scope));
}

static void put_endpoints(struct writer *writer, const uint16_t *source, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		put_scope(writer, DMAR_SCOPE_ENDPOINT, 0, source[i]);
}

/* Bytes of a structure of @fixed bytes that is followed by @scopes scopes. */
static uint16_t length_of(size_t fixed, unsigned int scopes)
{
	return (uint16_t)(fixed + scopes * sizeof(struct dmar_scope));
}

/* 8.3: with INCLUDE_PCI_ALL, endpoints are not listed, but the IOAPIC is. */
static void put_drhd(struct writer *writer, const struct dmar_config *config,
		     const struct dmar_unit *unit)
{
	unsigned int endpoints = unit->include_all ? 0 : unit->scope_count;
	const struct dmar_drhd drhd = {
		.type = DMAR_DRHD,
		.length = length_of(sizeof(drhd), endpoints + unit->ioapic),
		.flags = unit->include_all ? FLAG_PCI_INCLUDE_ALL : 0,
		.size = PAGES_4K_SHIFT,
		.base = unit->base,
	};

	put(writer, &drhd, sizeof(drhd));
	put_endpoints(writer, unit->scope, endpoints);
	if (unit->ioapic)
		put_scope(writer, DMAR_SCOPE_IOAPIC, config->ioapic_id, config->ioapic_source);
}

static void put_drhds(struct writer *writer, const struct dmar_config *config, bool include_all)
{
	for (unsigned int i = 0; i < config->unit_count; i++)
		if (config->unit[i].include_all == include_all)
			put_drhd(writer, config, &config->unit[i]);
}

static void put_rmrr(struct writer *writer, const struct dmar_rmrr *rmrr)
{
	const struct dmar_reserved reserved = {
		.type = DMAR_RMRR,
		.length = length_of(sizeof(reserved), rmrr->scope_count),
		.base = rmrr->base,
		.limit = rmrr->end,
	};

	put(writer, &reserved, sizeof(reserved));
	put_endpoints(writer, rmrr->scope, rmrr->scope_count);
}

/* Which devices may have a device-TLB: all below root ports, and the integrated ones listed. */
static void put_ats(struct writer *writer, const struct dmar_config *config)
{
	const struct dmar_ats ports = { .type = DMAR_ATSR,
					.length = sizeof(ports),
					.flags = FLAG_ALL_PORTS };
	/* ATC_REQUIRED stays clear: our devices work without. */
	const struct dmar_ats integrated = {
		.type = DMAR_SATC, .length = length_of(sizeof(integrated), config->satc_count)
	};

	put(writer, &ports, sizeof(ports));
	if (!config->satc_count)
		return;
	put(writer, &integrated, sizeof(integrated));
	put_endpoints(writer, config->satc, config->satc_count);
}

size_t dmar_build(const struct dmar_config *config, uint8_t *body, size_t capacity)
{
	struct writer writer = { .at = body, .left = capacity };
	const struct dmar_fixed fixed = {
		.width = (uint8_t)(config->host_bits - 1),
		.flags = config->interrupt_remapping ? FLAG_INTR_REMAP : 0,
	};

	put(&writer, &fixed, sizeof(fixed));
	put_drhds(&writer, config, false);
	put_drhds(&writer, config, true);
	for (unsigned int i = 0; i < config->rmrr_count; i++)
		put_rmrr(&writer, &config->rmrr[i]);
	if (config->ats)
		put_ats(&writer, config);
	return writer.full ? 0 : capacity - writer.left;
}
