/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/acpi.h"

#define BIOS_AREA     0xe0000
#define BIOS_AREA_END 0x100000
#define RSDP_SIZE_1   20 /* what the first checksum covers */

enum madt { MADT_LAPIC_ADDRESS = 36, MADT_FLAGS = 40, MADT_ENTRIES = 44 };
enum madt_type { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_X2APIC = 9 };

bool acpi_sum_is_zero(const void *at, uint32_t size)
{
	const uint8_t *byte = at;
	uint8_t sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + byte[i]);
	return !sum;
}

const struct acpi_rsdp *acpi_rsdp(void)
{
	for (uintptr_t at = BIOS_AREA; at < BIOS_AREA_END; at += 16)
		if (!memcmp((const void *)at, "RSD PTR ", 8) &&
		    acpi_sum_is_zero((const void *)at, RSDP_SIZE_1))
			return (const struct acpi_rsdp *)at;
	return NULL;
}

const struct acpi_header *acpi_table(const char *signature)
{
	const struct acpi_rsdp *rsdp = acpi_rsdp();
	bool wide = rsdp && rsdp->revision >= 2 && rsdp->xsdt;
	const struct acpi_header *root;
	unsigned int width = wide ? 8 : 4;

	if (!rsdp)
		return NULL;
	root = (const void *)(wide ? rsdp->xsdt : rsdp->rsdt);
	for (uint32_t at = sizeof(*root); at + width <= root->length; at += width) {
		const uint8_t *entry = (const uint8_t *)root + at;
		const struct acpi_header *table =
			(const void *)(wide ? load64(entry) : load32(entry));

		if (!memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

static void add_cpu(struct acpi_machine *machine, uint32_t id, uint32_t flags)
{
	if (flags & 1 && machine->cpus < ACPI_CPUS_MAX)
		machine->apic_id[machine->cpus++] = id;
}

static void read_entry(struct acpi_machine *machine, const uint8_t *entry)
{
	switch (entry[0]) {
	case MADT_LAPIC:
		add_cpu(machine, entry[3], load32(entry + 4));
		break;
	case MADT_X2APIC:
		add_cpu(machine, load32(entry + 4), load32(entry + 8));
		break;
	case MADT_IOAPIC:
		machine->ioapics++;
		machine->ioapic_address = load32(entry + 4);
		machine->ioapic_gsi_base = load32(entry + 8);
		break;
	default:
		break;
	}
}

bool acpi_read_madt(struct acpi_machine *machine)
{
	const struct acpi_header *header = acpi_table("APIC");
	const uint8_t *table = (const uint8_t *)header;

	memset(machine, 0, sizeof(*machine));
	if (!header)
		return false;
	machine->lapic_address = load32(table + MADT_LAPIC_ADDRESS);
	machine->has_8259 = load32(table + MADT_FLAGS) & 1;
	for (uint32_t at = MADT_ENTRIES; at + 2 <= header->length && table[at + 1] >= 2;
	     at += table[at + 1])
		read_entry(machine, table + at);
	return true;
}
