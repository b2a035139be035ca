/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's ACPI tables (ACPI 6.5), as a hardware-reduced machine: RSDP, RSDT and XSDT, FADT,
 * MADT, MCFG and DSDT, and whatever tables others bring. They are written once, below 1 MiB.
 */
#ifndef NIDUS_VMM_ACPI_H
#define NIDUS_VMM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/dma.h"
#include "devices/pci.h"

#define ACPI_HEADER_SIZE    36
#define ACPI_EXTRA_MAX	    8
#define ACPI_LOCAL_APIC_IDS 255 /* ids from here on need x2APIC structures */

/* A complete table made elsewhere (DMAR), header and checksum included. */
struct acpi_table {
	const void *data;
	uint32_t size; /* bytes, the same as in its header */
};

struct acpi_config {
	unsigned int cpus; /* their APIC ids are 0 to cpus - 1 */
	bool serial;	   /* COM1 is there */
	bool power_button; /* pulses of LAYOUT_POWER_BUTTON_GSI press it */
	const struct pci_windows *pci;
	unsigned int extra_count; /* at most ACPI_EXTRA_MAX */
	struct acpi_table extra[ACPI_EXTRA_MAX];
};

/*
 * Writes all tables to LAYOUT_ACPI_BASE and stores the guest-physical address of the RSDP in
 * *@rsdp. 0; -ENOSPC if they do not fit, -EINVAL if an extra table disagrees with its own header.
 */
int acpi_build(const struct acpi_config *config, const struct ram *ram, uint64_t *rsdp);

/*
 * For tables made elsewhere: fills in the 36 bytes of the header at @table (5.2.6), for a table of
 * @size bytes; and, once its body is written, the checksum.
 */
void acpi_header(void *table, const char *signature, uint8_t revision, uint32_t size);
void acpi_checksum(void *table);

/* Between the files of this module: the DSDT, header included. Its size; 0 if @capacity is short.
 */
size_t acpi_dsdt(const struct acpi_config *config, uint8_t *table, size_t capacity);

#endif
