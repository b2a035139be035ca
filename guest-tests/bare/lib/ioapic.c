/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/ioapic.h"

#include "lib/acpi.h"
#include "lib/cpu.h"

enum window { SELECT = 0x00, WINDOW = 0x10, END = 0x40 };

static uintptr_t base;

bool ioapic_present(void)
{
	static struct acpi_machine machine;

	if (!base && acpi_read_madt(&machine) && machine.ioapics)
		base = machine.ioapic_address;
	return base;
}

uintptr_t ioapic_address(void)
{
	return ioapic_present() ? base : 0;
}

uint32_t ioapic_read(uint8_t reg)
{
	write32(base + SELECT, reg);
	return read32(base + WINDOW);
}

void ioapic_write(uint8_t reg, uint32_t value)
{
	write32(base + SELECT, reg);
	write32(base + WINDOW, value);
}

unsigned int ioapic_inputs(void)
{
	return ioapic_present() ? (ioapic_read(IOAPIC_VERSION) >> 16 & 0xff) + 1 : 0;
}

void ioapic_set(unsigned int pin, uint32_t low, uint32_t apic)
{
	uint8_t reg = (uint8_t)(IOAPIC_TABLE + 2 * pin);

	/* Masked while its halves do not fit together. */
	ioapic_write(reg, IOAPIC_MASKED);
	ioapic_write((uint8_t)(reg + 1), apic << 24);
	ioapic_write(reg, low);
}

uint32_t ioapic_entry(unsigned int pin)
{
	return ioapic_read((uint8_t)(IOAPIC_TABLE + 2 * pin));
}

void ioapic_end(uint8_t vector)
{
	write32(base + END, vector);
}
