/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The expansion ROM of a PCI function (PCI 3.0, 6.2.5.2): an image in memory, decoded where the
 * register says while that and the command register enable it.
 */
#ifndef NIDUS_DEVICES_PCI_ROM_H
#define NIDUS_DEVICES_PCI_ROM_H

#include <stdint.h>

#include "devices/base.h"

struct pci_function;

#define PCI_ROM_MAX (16 * MIB) /* what the register can say (6.2.5.2) */

struct pci_rom {
	struct pci_function *fn;
	uint8_t *image;	  /* NULL: there is none */
	uint64_t size;	  /* bytes, a power of two, 4 KiB at least */
	uint64_t address; /* where it is decoded, or PCI_BAR_UNMAPPED */
};

/*
 * Gives @fn a ROM of @size bytes, 1 to PCI_ROM_MAX, rounded up to a power of two: the caller fills
 * rom->image, which is all ones. While the machine is built. 0, -EINVAL or -ENOMEM: then
 * there is none.
 */
int pci_add_rom(struct pci_function *fn, struct pci_rom *rom, uint64_t size);
/* Decodes it as the registers say; after each write to one of them. Host bridge's lock held. */
void pci_rom_update(struct pci_rom *rom);
/* True if a write to [@offset, @offset + @size) may ask for that. */
bool pci_rom_concerned(unsigned int offset, unsigned int size);
/* When no vCPU runs. A ROM that is all zeroes (none) is ignored. */
void pci_rom_destroy(struct pci_rom *rom);

#endif
