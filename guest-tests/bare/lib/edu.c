/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/edu.h"

#include "lib/cpu.h"
#include "lib/pci.h"
#include "lib/time.h"

#define EDU_VENDOR   0x1234
#define EDU_DEVICE   0x11e8
#define EDU_BAR_SIZE 0x100000
#define PCI_CAP_MSI  0x05
#define MSI_CONTROL  2
#define MSI_ADDRESS  4
#define MSI_64	     0x80
#define MSI_ENABLE   0x01
#define TRANSFER_US  5000000
#define IRQ_ALL	     0xffffffff

bool edu_open(struct edu *edu, unsigned int devfn)
{
	int found = pci_find(devfn, EDU_VENDOR, EDU_DEVICE);

	if (found < 0)
		return false;
	edu->devfn = (unsigned int)found;
	pci_write(edu->devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	edu->registers = pci_bar_map(edu->devfn, 0, EDU_BAR_SIZE);
	edu->msi = pci_capability(edu->devfn, PCI_CAP_MSI, 0);
	return true;
}

static bool transfer(const struct edu *edu, uint64_t source, uint64_t destination, uint64_t len,
		     uint32_t command)
{
	uint64_t until = time_us() + TRANSFER_US;

	write64(edu->registers + EDU_DMA_SOURCE, source);
	write64(edu->registers + EDU_DMA_DESTINATION, destination);
	write64(edu->registers + EDU_DMA_COUNT, len);
	write64(edu->registers + EDU_DMA_COMMAND, command | EDU_DMA_START);
	while (read64(edu->registers + EDU_DMA_COMMAND) & EDU_DMA_START)
		if (time_us() > until)
			return false;
	return true;
}

bool edu_from_memory(const struct edu *edu, uint64_t iova, uint64_t offset, uint64_t len)
{
	return transfer(edu, iova, EDU_BUFFER + offset, len, 0);
}

bool edu_to_memory(const struct edu *edu, uint64_t iova, uint64_t offset, uint64_t len)
{
	return transfer(edu, EDU_BUFFER + offset, iova, len, EDU_DMA_TO_MEMORY);
}

void edu_msi(const struct edu *edu, uint64_t address, uint32_t data)
{
	uint32_t control = pci_read(edu->devfn, edu->msi + MSI_CONTROL, 2);
	unsigned int wide = control & MSI_64 ? 4 : 0;

	pci_write(edu->devfn, edu->msi + MSI_CONTROL, 2, control & ~MSI_ENABLE);
	pci_write(edu->devfn, edu->msi + MSI_ADDRESS, 4, (uint32_t)address);
	if (wide)
		pci_write(edu->devfn, edu->msi + MSI_ADDRESS + 4, 4, (uint32_t)(address >> 32));
	pci_write(edu->devfn, edu->msi + MSI_ADDRESS + 4 + wide, 2, data);
	pci_write(edu->devfn, edu->msi + MSI_CONTROL, 2, control | MSI_ENABLE);
}

void edu_msi_off(const struct edu *edu)
{
	uint32_t control = pci_read(edu->devfn, edu->msi + MSI_CONTROL, 2);

	pci_write(edu->devfn, edu->msi + MSI_CONTROL, 2, control & ~MSI_ENABLE);
}

void edu_raise(const struct edu *edu, uint32_t bits)
{
	write32(edu->registers + EDU_IRQ_RAISE, bits);
}

void edu_acknowledge(const struct edu *edu)
{
	write32(edu->registers + EDU_IRQ_ACK, IRQ_ALL);
}
