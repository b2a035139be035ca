/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables (ACPI 6.5, chapter 5) and that what they name is there.
 */
#include "lib/acpi.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/pci.h"
#include "lib/print.h"
#include "platform/tests.h"

/* Offsets in the FADT, 5.2.9. */
enum {
	FADT_DSDT = 40,
	FADT_FLAGS = 112,
	FADT_RESET = 116, /* generic addresses: space, width, offset, access, 64-bit address */
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_SIZE_5 = 268,
};

#define FADT_RESET_SUPPORTED (1U << 10)
#define FADT_HW_REDUCED	     (1U << 20)
#define SPACE_IO	     1
#define RESET_PORT	     0xcf9
#define SLEEP_CONTROL_PORT   0x600
#define SLEEP_STATUS_PORT    0x601

static bool table_is_good(const struct acpi_header *table)
{
	return table->length >= sizeof(*table) && acpi_sum_is_zero(table, table->length);
}

/* No loader or guest may take this memory for RAM. */
static bool is_reserved(uint64_t at)
{
	for (unsigned int i = 0; i < boot.ranges; i++)
		if (boot.range[i].type == RANGE_RAM && at >= boot.range[i].base &&
		    at < boot.range[i].base + boot.range[i].size)
			return false;
	return true;
}

static unsigned int entries(const struct acpi_header *root, unsigned int width)
{
	return (unsigned int)((root->length - sizeof(*root)) / width);
}

static void test_roots(const struct acpi_rsdp *rsdp)
{
	const struct acpi_header *xsdt = (const void *)rsdp->xsdt;
	const struct acpi_header *rsdt = (const void *)(uintptr_t)rsdp->rsdt;
	unsigned int n = entries(xsdt, 8), same = 0;

	check(!memcmp(xsdt->signature, "XSDT", 4) && table_is_good(xsdt), "XSDT");
	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = load64((const uint8_t *)(xsdt + 1) + 8 * i);
		const struct acpi_header *table = (const void *)at;
		char name[5] = { 0 };

		memcpy(name, table->signature, 4);
		check(table_is_good(table), "%s: checksum", name);
		check(is_reserved(at), "%s: not in RAM that anybody may use", name);
		if (rsdp->rsdt && i < entries(rsdt, 4))
			same += load32((const uint8_t *)(rsdt + 1) + 4 * i) == at;
	}
	if (rsdp->rsdt)
		check(table_is_good(rsdt) && same == n, "RSDT lists the same tables");
}

static bool register_is(const uint8_t *at, uint64_t port)
{
	return at[0] == SPACE_IO && at[1] == 8 && load64(at + 4) == port;
}

static void test_fadt(void)
{
	const struct acpi_header *header = acpi_table("FACP");
	const uint8_t *fadt = (const uint8_t *)header;
	const struct acpi_header *dsdt;
	uint32_t flags;

	if (!check(header && header->length >= FADT_SIZE_5, "there is a FADT"))
		return;
	flags = load32(fadt + FADT_FLAGS);
	dsdt = (const void *)load64(fadt + FADT_X_DSDT);
	if (!dsdt)
		dsdt = (const void *)(uintptr_t)load32(fadt + FADT_DSDT);
	check(dsdt && !memcmp(dsdt->signature, "DSDT", 4) && table_is_good(dsdt), "DSDT");
	check(flags & FADT_HW_REDUCED, "FADT: hardware-reduced");
	check(flags & FADT_RESET_SUPPORTED && register_is(fadt + FADT_RESET, RESET_PORT) &&
		      fadt[FADT_RESET_VALUE] == 6,
	      "FADT: reset register");
	check(register_is(fadt + FADT_SLEEP_CONTROL, SLEEP_CONTROL_PORT), "FADT: sleep control");
	check(register_is(fadt + FADT_SLEEP_STATUS, SLEEP_STATUS_PORT), "FADT: sleep status");
}

static void test_mcfg(void)
{
	const struct acpi_header *mcfg = acpi_table("MCFG");

	if (!check(mcfg && mcfg->length >= 60, "there is an MCFG"))
		return;
	check(pci_ecam(0) && !(pci_ecam(0) & (MIB - 1)), "MCFG: ECAM is aligned");
	check_equal(load32((const uint8_t *)mcfg + 52) & 0xffffff, 0,
		    "MCFG: segment 0, first bus 0");
	check(is_reserved(pci_ecam(0)), "MCFG: ECAM is not in RAM");
}

static void test_madt(void)
{
	static struct acpi_machine machine;

	if (!check(acpi_read_madt(&machine), "there is a MADT"))
		return;
	check(machine.cpus > 0, "MADT: CPUs");
	check_equal(machine.apic_id[0], apic_id(), "MADT: the first one is this one");
	check_equal(machine.lapic_address, 0xfee00000, "MADT: address of the local APICs");
	check_equal(machine.ioapics, 1, "MADT: one IOAPIC");
	check_equal(machine.ioapic_gsi_base, 0, "MADT: its inputs count from 0");
	check(!machine.has_8259, "MADT: no 8259");
}

void test_acpi(void)
{
	const struct acpi_rsdp *rsdp = acpi_rsdp();

	if (!check(rsdp, "RSDP is found in the BIOS area"))
		return;
	check(rsdp->revision >= 2 && acpi_sum_is_zero(rsdp, rsdp->length),
	      "RSDP: revision 2, extended checksum");
	if (!check(rsdp->xsdt, "RSDP: XSDT"))
		return;
	test_roots(rsdp);
	test_fadt();
	test_mcfg();
	test_madt();
}
