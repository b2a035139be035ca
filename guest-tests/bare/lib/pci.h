/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI configuration space of bus 0, BARs, capabilities and MSI-X (PCI 3.0, PCIe 5.0).
 *
 * A function is named by its devfn: device << 3 | function.
 */
#ifndef BARE_PCI_H
#define BARE_PCI_H

#include "lib/base.h"

#define PCI_FUNCTIONS 256
#define PCI_BARS      6

enum pci_register {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_CLASS = 0x08,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};

#define PCI_COMMAND_IO		 0x0001
#define PCI_COMMAND_MEMORY	 0x0002
#define PCI_COMMAND_MASTER	 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_INTERRUPT	 0x0008
#define PCI_STATUS_CAPABILITIES	 0x0010

enum pci_capability_id { PCI_CAP_VENDOR = 0x09, PCI_CAP_EXPRESS = 0x10, PCI_CAP_MSIX = 0x11 };

#define PCI_CONFIG_ADDRESS 0xcf8
#define PCI_CONFIG_DATA	   0xcfc
#define PCI_CONFIG_ENABLE  (1U << 31)

#define MSIX_CONTROL	2 /* offset in the capability */
#define MSIX_TABLE	4
#define MSIX_PBA	8
#define MSIX_ENABLE	0x8000
#define MSIX_MASK_ALL	0x4000
#define MSIX_SIZE_MASK	0x07ff
#define MSIX_ENTRY_SIZE 16
#define MSIX_ENTRY_MASK 1

/* By CF8 and CFC; @size is 1, 2 or 4, @offset below 256 and a multiple of it. One CPU at a time. */
uint32_t pci_read(unsigned int devfn, unsigned int offset, unsigned int size);
void pci_write(unsigned int devfn, unsigned int offset, unsigned int size, uint32_t value);

/* The address of configuration space in ECAM, from the MCFG; 0 if there is none. */
uintptr_t pci_ecam(unsigned int devfn);

bool pci_present(unsigned int devfn);

/* The first function at or after @devfn with these ids; negative if there is none. */
int pci_find(unsigned int devfn, uint16_t vendor, uint16_t device);

/* The first capability @id after the one at @after (0: from the start); 0 if there is none. */
unsigned int pci_capability(unsigned int devfn, uint8_t id, unsigned int after);

struct pci_bar {
	bool present, io, wide;
	uint64_t address, size;
};

/* Reads BAR @index and asks for its size; decoding is off meanwhile. */
struct pci_bar pci_bar(unsigned int devfn, unsigned int index);
void pci_bar_move(unsigned int devfn, unsigned int index, uint64_t address);

/* Where memory BAR @index is, made accessible up to @size bytes. */
uintptr_t pci_bar_map(unsigned int devfn, unsigned int index, uint64_t size);

struct msix {
	unsigned int devfn, capability, vectors;
	uintptr_t table, pending;
};

/* False if the function has no MSI-X. */
bool msix_open(struct msix *msix, unsigned int devfn);
void msix_enable(const struct msix *msix, bool on);

/* Makes entry @entry send @vector to the CPU @apic, and lets it through. */
void msix_set(const struct msix *msix, unsigned int entry, uint32_t apic, uint8_t vector);
void msix_mask(const struct msix *msix, unsigned int entry, bool masked);
bool msix_is_pending(const struct msix *msix, unsigned int entry);

#endif
