/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables as the machine left them (ACPI 6.5, 5.2): found, checked, and the MADT read.
 */
#ifndef BARE_ACPI_H
#define BARE_ACPI_H

#include "lib/base.h"

#define ACPI_CPUS_MAX 256

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	/* From revision 2 on: */
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

/* What the MADT says. */
struct acpi_machine {
	unsigned int cpus; /* enabled ones */
	uint32_t apic_id[ACPI_CPUS_MAX];
	unsigned int ioapics;
	uint32_t ioapic_address, ioapic_gsi_base;
	uint32_t lapic_address;
	bool has_8259;
};

/* True if the @size bytes at @at add up to 0. */
bool acpi_sum_is_zero(const void *at, uint32_t size);

/* The RSDP in the BIOS area; NULL if there is none. */
const struct acpi_rsdp *acpi_rsdp(void);

/* The table @signature that the XSDT (or, without, the RSDT) lists; NULL if there is none. */
const struct acpi_header *acpi_table(const char *signature);

/* Reads the MADT. False if there is none. */
bool acpi_read_madt(struct acpi_machine *machine);

static inline uint32_t load32(const void *at)
{
	uint32_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint64_t load64(const void *at)
{
	uint64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

#endif
