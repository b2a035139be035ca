/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci_rom.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/log.h"
#include "devices/pci.h"

int pci_add_rom(struct pci_function *fn, struct pci_rom *rom, uint64_t size)
{
	uint64_t whole = PAGE_SIZE_4K;

	*rom = (struct pci_rom){ .fn = fn, .address = PCI_BAR_UNMAPPED };
	if (!size || size > PCI_ROM_MAX)
		return -EINVAL;
	while (whole < size)
		whole *= 2;
	rom->image = malloc(whole);
	if (!rom->image)
		return -ENOMEM;
	memset(rom->image, 0xff, whole);
	rom->size = whole;
	store_le32(&fn->writable[PCI_ROM_ADDRESS],
		   (uint32_t) ~(whole - 1) | PCI_ROM_ADDRESS_ENABLE);
	return 0;
}

static void rom_access(void *context, struct bus_access *access)
{
	const struct pci_rom *rom = context;
	uint8_t bytes[8] = { 0 };

	if (access->is_write)
		return;
	memcpy(bytes, rom->image + access->offset, min_u64(access->size, sizeof(bytes)));
	access->value = load_le64(bytes);
}

static uint64_t target_of(const struct pci_rom *rom)
{
	const uint8_t *config = rom->fn->config;
	uint32_t reg = load_le32(&config[PCI_ROM_ADDRESS]);
	uint64_t address = reg & ~(rom->size - 1);

	/* As for BARs: all zeroes and all ones are no addresses. */
	if (!(reg & PCI_ROM_ADDRESS_ENABLE) || !address ||
	    address + (rom->size - 1) >= UINT32_MAX || !(config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return PCI_BAR_UNMAPPED;
	return address;
}

bool pci_rom_concerned(unsigned int offset, unsigned int size)
{
	return ranges_overlap(offset, size, PCI_COMMAND, 2) ||
	       ranges_overlap(offset, size, PCI_ROM_ADDRESS, 4);
}

void pci_rom_update(struct pci_rom *rom)
{
	uint64_t target = rom->image ? target_of(rom) : rom->address;
	struct bus_region region = {
		.base = target, .size = rom->size, .handler = rom_access, .context = rom
	};
	struct bus *bus;

	if (target == rom->address)
		return;
	bus = rom->fn->host->mmio;
	region.name = rom->fn->name;
	if (rom->address != PCI_BAR_UNMAPPED)
		bus_remove(bus, rom->address, rom);
	rom->address = PCI_BAR_UNMAPPED;
	if (target == PCI_BAR_UNMAPPED)
		return;
	if (bus_add(bus, &region))
		log_guest(PCI, "%s: its ROM at %#llx lies on something else: not decoded",
			  rom->fn->name, (unsigned long long)target);
	else
		rom->address = target;
}

void pci_rom_destroy(struct pci_rom *rom)
{
	free(rom->image);
	rom->image = NULL;
}
