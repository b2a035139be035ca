/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DSDT: what a guest cannot find out by probing. Soft-off, the PCI root with its windows and
 * interrupt lines, COM1, the clock, the power button, and which addresses are taken.
 */
#include "devices/base.h"
#include "vmm/acpi.h"
#include "vmm/aml.h"
#include "vmm/layout.h"

/* _OSC: status bits of the first DWORD and control bits of the third (6.2.11, PCI Firmware 4.5.1).
 */
enum osc_bits {
	OSC_BAD_UUID = 1 << 2,
	OSC_BAD_REVISION = 1 << 3,
	OSC_MASKED = 1 << 4,
	OSC_HOTPLUG = 1 << 0 | 1 << 1, /* PCI Express and SHPC: nothing can be plugged */
};

/* 33db4d5b-1ff7-401c-9657-7441c03dd766 as a ToUUID buffer (19.6.142). */
static const uint8_t osc_pci_uuid[16] = { 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
					  0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66 };

/* Name(\_S5, Package() { SLP_TYP, 0 }), 7.4.2. Hardware-reduced machines read the first only. */
static void write_soft_off(struct aml *aml)
{
	size_t package;

	aml_name(aml, "\\_S5_");
	package = aml_package(aml, 2);
	aml_integer(aml, LAYOUT_SLEEP_TYPE_S5);
	aml_integer(aml, 0);
	aml_end(aml, package);
}

/* --- PCI root --- */

static void create_dword_field(struct aml *aml, uint64_t offset, const char *name)
{
	aml_op(aml, AML_CREATE_DWORD_FIELD);
	aml_op(aml, AML_ARG3);
	aml_integer(aml, offset);
	aml_path(aml, name);
}

/* CDW1 |= @bit */
static void set_status(struct aml *aml, unsigned int bit)
{
	aml_op(aml, AML_OR);
	aml_path(aml, "CDW1");
	aml_integer(aml, bit);
	aml_path(aml, "CDW1");
}

/*
 * The OS gets everything it asks for but hot-plug, and is told when that was in it:
 *   If (Arg1 != 1) { CDW1 |= bad revision }
 *   Local0 = CDW3 & ~hot-plug;  If (Local0 != CDW3) { CDW1 |= masked };  CDW3 = Local0
 */
static void write_osc_pci(struct aml *aml)
{
	size_t unless;

	create_dword_field(aml, 8, "CDW3");
	unless = aml_if(aml);
	aml_op(aml, AML_NOT);
	aml_op(aml, AML_EQUAL);
	aml_op(aml, AML_ARG1);
	aml_integer(aml, 1);
	set_status(aml, OSC_BAD_REVISION);
	aml_end(aml, unless);

	aml_op(aml, AML_AND);
	aml_path(aml, "CDW3");
	aml_integer(aml, (uint32_t)~OSC_HOTPLUG);
	aml_op(aml, AML_LOCAL0);
	unless = aml_if(aml);
	aml_op(aml, AML_NOT);
	aml_op(aml, AML_EQUAL);
	aml_op(aml, AML_LOCAL0);
	aml_path(aml, "CDW3");
	set_status(aml, OSC_MASKED);
	aml_end(aml, unless);
	aml_op(aml, AML_AND);
	aml_op(aml, AML_LOCAL0);
	aml_op(aml, AML_LOCAL0);
	aml_path(aml, "CDW3");
}

/* Serialized: it creates named fields, which two calls at a time would do twice. */
static void write_osc(struct aml *aml)
{
	size_t method = aml_method(aml, "_OSC", 4, true), is_pci, other;

	create_dword_field(aml, 0, "CDW1");
	is_pci = aml_if(aml);
	aml_op(aml, AML_EQUAL);
	aml_op(aml, AML_ARG0);
	aml_buffer(aml, osc_pci_uuid, sizeof(osc_pci_uuid));
	write_osc_pci(aml);
	aml_end(aml, is_pci);
	other = aml_else(aml);
	set_status(aml, OSC_BAD_UUID);
	aml_end(aml, other);
	aml_op(aml, AML_RETURN);
	aml_op(aml, AML_ARG3);
	aml_end(aml, method);
}

/* _PRT (6.2.13): every function has INTA# or none, so one entry a slot is all there is. */
static void write_interrupt_lines(struct aml *aml, const struct pci_windows *pci)
{
	size_t slots;

	aml_name(aml, "_PRT");
	slots = aml_package(aml, PCI_SLOTS);
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		size_t entry = aml_package(aml, 4);

		aml_integer(aml, slot << 16 | 0xffff); /* any function */
		aml_integer(aml, 0);		       /* INTA# */
		aml_integer(aml, 0);		       /* no link device: the next is a GSI */
		aml_integer(aml, pci->gsi_base + slot % pci->gsi_count);
		aml_end(aml, entry);
	}
	aml_end(aml, slots);
}

static void write_windows(struct aml *aml, const struct pci_windows *pci)
{
	size_t resources = aml_resources(aml);

	aml_window(aml, AML_SPACE_BUS, 16, 0, 1);
	aml_io(aml, LAYOUT_PCI_CONFIG, LAYOUT_PCI_CONFIG_SIZE);
	if (pci->io_size)
		aml_window(aml, AML_SPACE_IO, 16, pci->io_base, pci->io_size);
	if (pci->mem32_size)
		aml_window(aml, AML_SPACE_MEMORY, 32, pci->mem32_base, pci->mem32_size);
	if (pci->mem64_size)
		aml_window(aml, AML_SPACE_MEMORY, 64, pci->mem64_base, pci->mem64_size);
	aml_resources_end(aml, resources);
}

static void write_pci_root(struct aml *aml, const struct pci_windows *pci)
{
	size_t root = aml_device(aml, "PCI0");

	aml_name_hardware_id(aml, "_HID", "PNP0A08"); /* PCI Express */
	aml_name_hardware_id(aml, "_CID", "PNP0A03");
	aml_name_integer(aml, "_UID", 0);
	aml_name_integer(aml, "_SEG", 0);
	aml_name_integer(aml, "_BBN", 0);
	write_windows(aml, pci);
	write_interrupt_lines(aml, pci);
	write_osc(aml);
	aml_end(aml, root);
}

/* --- The rest of the board --- */

static void write_serial(struct aml *aml)
{
	size_t device = aml_device(aml, "COM1"), resources;

	aml_name_hardware_id(aml, "_HID", "PNP0501"); /* 16550A */
	aml_name_integer(aml, "_UID", 1);
	resources = aml_resources(aml);
	aml_io(aml, LAYOUT_COM1_BASE, LAYOUT_COM1_SIZE);
	aml_interrupt(aml, LAYOUT_COM1_GSI);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/* No interrupt: our clock has neither alarm nor ticks, and the OS then offers none. */
static void write_clock(struct aml *aml)
{
	size_t device = aml_device(aml, "RTC_"), resources;

	aml_name_hardware_id(aml, "_HID", "PNP0B00");
	resources = aml_resources(aml);
	aml_io(aml, LAYOUT_CMOS_BASE, LAYOUT_CMOS_SIZE);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/* PCI Firmware 4.1.2: ECAM must be reserved by a motherboard device, or Linux does not use it. */
static void write_board(struct aml *aml)
{
	size_t device = aml_device(aml, "MB00"), resources;

	aml_name_hardware_id(aml, "_HID", "PNP0C02");
	aml_name_integer(aml, "_UID", 0);
	resources = aml_resources(aml);
	aml_memory(aml, LAYOUT_ECAM_BASE, LAYOUT_ECAM_RESERVED);
	aml_io(aml, LAYOUT_SLEEP_CONTROL, LAYOUT_SLEEP_STATUS - LAYOUT_SLEEP_CONTROL + 1);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/* 4.8.2.2.1.2 and 5.6.9: a button without fixed hardware, pressed by a generic event device. */
static void write_power_button(struct aml *aml)
{
	size_t device = aml_device(aml, "PWRB"), resources, method;

	aml_name_hardware_id(aml, "_HID", "PNP0C0C");
	aml_end(aml, device);

	device = aml_device(aml, "GED_");
	aml_name_hardware_id(aml, "_HID", "ACPI0013");
	aml_name_integer(aml, "_UID", 0);
	resources = aml_resources(aml);
	aml_interrupt(aml, LAYOUT_POWER_BUTTON_GSI);
	aml_resources_end(aml, resources);
	method = aml_method(aml, "_EVT", 1, true);
	aml_op(aml, AML_NOTIFY);
	aml_path(aml, "\\_SB_.PWRB");
	aml_integer(aml, 0x80); /* pressed */
	aml_end(aml, method);
	aml_end(aml, device);
}

size_t acpi_dsdt(const struct acpi_config *config, uint8_t *table, size_t capacity)
{
	struct aml aml;
	size_t bus, size;

	if (capacity < ACPI_HEADER_SIZE)
		return 0;
	aml_init(&aml, table + ACPI_HEADER_SIZE, capacity - ACPI_HEADER_SIZE);
	write_soft_off(&aml);
	bus = aml_scope(&aml, "\\_SB_");
	write_pci_root(&aml, config->pci);
	write_board(&aml);
	write_clock(&aml);
	if (config->serial)
		write_serial(&aml);
	if (config->power_button)
		write_power_button(&aml);
	aml_end(&aml, bus);
	size = aml_size(&aml);
	if (!size)
		return 0;
	/* Revision 2: integers have 64 bits (19.6.29). */
	acpi_header(table, "DSDT", 2, (uint32_t)(ACPI_HEADER_SIZE + size));
	acpi_checksum(table);
	return ACPI_HEADER_SIZE + size;
}
