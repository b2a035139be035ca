/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/pci.h"

#include "lib/acpi.h"
#include "lib/cpu.h"
#include "lib/memory.h"

#define MCFG_FIRST_BASE	 44
#define FUNCTION_BYTES	 4096
#define BAR_IO		 1U
#define BAR_TYPE	 6U
#define BAR_TYPE_64	 4U
#define MSI_ADDRESS	 0xfee00000U
#define CAPABILITIES_MAX 48

static void select(unsigned int devfn, unsigned int offset)
{
	outl(PCI_CONFIG_ADDRESS, PCI_CONFIG_ENABLE | devfn << 8 | (offset & 0xfc));
}

uint32_t pci_read(unsigned int devfn, unsigned int offset, unsigned int size)
{
	uint16_t port = (uint16_t)(PCI_CONFIG_DATA + offset % 4);

	select(devfn, offset);
	if (size == 4)
		return inl(port);
	return size == 2 ? inw(port) : inb(port);
}

void pci_write(unsigned int devfn, unsigned int offset, unsigned int size, uint32_t value)
{
	uint16_t port = (uint16_t)(PCI_CONFIG_DATA + offset % 4);

	select(devfn, offset);
	if (size == 4)
		outl(port, value);
	else if (size == 2)
		outw(port, (uint16_t)value);
	else
		outb(port, (uint8_t)value);
}

uintptr_t pci_ecam(unsigned int devfn)
{
	const struct acpi_header *mcfg = acpi_table("MCFG");

	if (!mcfg || mcfg->length < MCFG_FIRST_BASE + 8)
		return 0;
	return load64((const uint8_t *)mcfg + MCFG_FIRST_BASE) + devfn * FUNCTION_BYTES;
}

bool pci_present(unsigned int devfn)
{
	return pci_read(devfn, PCI_VENDOR, 2) != 0xffff;
}

int pci_find(unsigned int devfn, uint16_t vendor, uint16_t device)
{
	for (; devfn < PCI_FUNCTIONS; devfn++)
		if (pci_read(devfn, PCI_VENDOR, 4) == ((uint32_t)device << 16 | vendor))
			return (int)devfn;
	return -1;
}

unsigned int pci_capability(unsigned int devfn, uint8_t id, unsigned int after)
{
	unsigned int at = after ? after + 1 : PCI_CAPABILITIES;

	if (!(pci_read(devfn, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
		return 0;
	at = pci_read(devfn, at, 1);
	for (unsigned int n = 0; at && n < CAPABILITIES_MAX; n++) {
		if (pci_read(devfn, at, 1) == id)
			return at;
		at = pci_read(devfn, at + 1, 1);
	}
	return 0;
}

/* --- BARs --- */

/* All ones, and back: what stays zero is the size. */
static uint32_t probe(unsigned int devfn, unsigned int at)
{
	uint32_t old = pci_read(devfn, at, 4), mask;

	pci_write(devfn, at, 4, UINT32_MAX);
	mask = pci_read(devfn, at, 4);
	pci_write(devfn, at, 4, old);
	return mask;
}

struct pci_bar pci_bar(unsigned int devfn, unsigned int index)
{
	uint32_t command = pci_read(devfn, PCI_COMMAND, 2);
	unsigned int at = PCI_BAR0 + index * 4;
	uint32_t low = pci_read(devfn, at, 4);
	struct pci_bar bar = { .io = low & BAR_IO };
	uint32_t flags = bar.io ? 3 : 15;
	uint64_t mask;

	bar.wide = !bar.io && (low & BAR_TYPE) == BAR_TYPE_64;
	bar.address = low & ~flags;
	pci_write(devfn, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	mask = probe(devfn, at) & ~flags;
	if (bar.wide) {
		bar.address |= (uint64_t)pci_read(devfn, at + 4, 4) << 32;
		mask |= (uint64_t)probe(devfn, at + 4) << 32;
	} else if (mask) {
		mask |= bar.io ? 0xffffffffffff0000UL : 0xffffffff00000000UL;
	}
	pci_write(devfn, PCI_COMMAND, 2, command);
	bar.present = mask;
	bar.size = mask ? ~mask + 1 : 0;
	return bar;
}

void pci_bar_move(unsigned int devfn, unsigned int index, uint64_t address)
{
	unsigned int at = PCI_BAR0 + index * 4;
	bool wide = (pci_read(devfn, at, 4) & (BAR_IO | BAR_TYPE)) == BAR_TYPE_64;

	pci_write(devfn, at, 4, (uint32_t)address);
	if (wide)
		pci_write(devfn, at + 4, 4, (uint32_t)(address >> 32));
}

uintptr_t pci_bar_map(unsigned int devfn, unsigned int index, uint64_t size)
{
	uint32_t low = pci_read(devfn, PCI_BAR0 + index * 4, 4);
	uint64_t address = low & ~15U;

	if ((low & BAR_TYPE) == BAR_TYPE_64)
		address |= (uint64_t)pci_read(devfn, PCI_BAR0 + index * 4 + 4, 4) << 32;
	return map(address, size);
}

/* --- MSI-X --- */

static uintptr_t msix_part(unsigned int devfn, unsigned int at, uint64_t size)
{
	uint32_t value = pci_read(devfn, at, 4);
	uint32_t offset = value & ~7U;

	return pci_bar_map(devfn, value & 7, offset + size) + offset;
}

bool msix_open(struct msix *msix, unsigned int devfn)
{
	msix->devfn = devfn;
	msix->capability = pci_capability(devfn, PCI_CAP_MSIX, 0);
	if (!msix->capability)
		return false;
	msix->vectors = (pci_read(devfn, msix->capability + MSIX_CONTROL, 2) & MSIX_SIZE_MASK) + 1;
	msix->table =
		msix_part(devfn, msix->capability + MSIX_TABLE, msix->vectors * MSIX_ENTRY_SIZE);
	msix->pending =
		msix_part(devfn, msix->capability + MSIX_PBA, align_up(msix->vectors, 64) / 8);
	return true;
}

void msix_enable(const struct msix *msix, bool on)
{
	pci_write(msix->devfn, msix->capability + MSIX_CONTROL, 2, on ? MSIX_ENABLE : 0);
}

void msix_mask(const struct msix *msix, unsigned int entry, bool masked)
{
	write32(msix->table + entry * MSIX_ENTRY_SIZE + 12, masked ? MSIX_ENTRY_MASK : 0);
}

void msix_set(const struct msix *msix, unsigned int entry, uint32_t apic, uint8_t vector)
{
	uintptr_t at = msix->table + entry * MSIX_ENTRY_SIZE;

	msix_mask(msix, entry, true);
	write32(at, MSI_ADDRESS | apic << 12);
	write32(at + 4, 0);
	write32(at + 8, vector);
	msix_mask(msix, entry, false);
}

bool msix_is_pending(const struct msix *msix, unsigned int entry)
{
	return read32(msix->pending + entry / 32 * 4) & 1U << entry % 32;
}
