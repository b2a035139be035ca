/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The function sdma itself, in the middle of its work: capabilities that come and go, function
 * level reset, MSI-X tables with anything in them, and any other register of configuration space.
 */
#include "vtd-hostile/hostile.h"

#define CONFIG_FIRST   0x40 /* behind the header: what is in there moves registers */
#define CONFIG_SIZE    PAGE_SIZE
#define EXPRESS_DEVCTL 8
#define FLR	       0x8000
#define PROPER_COMMAND (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

struct saved {
	uintptr_t config; /* in ECAM; 0: there is none */
	uint32_t bar[PCI_BARS];
	unsigned int express;
};

static struct saved saved; /* constant from open_function() on */

void open_function(void)
{
	unsigned int devfn = world.sdma.devfn;

	saved.config = pci_ecam(devfn);
	saved.express = pci_capability(devfn, PCI_CAP_EXPRESS, 0);
	for (unsigned int i = 0; i < PCI_BARS; i++)
		saved.bar[i] = pci_read(devfn, PCI_BAR0 + 4 * i, 4);
}

void revive_function(void)
{
	if (!world.has_sdma || !saved.config)
		return;
	spin_lock(&world.sdma_lock);
	for (unsigned int i = 0; i < PCI_BARS; i++)
		if (read32(saved.config + PCI_BAR0 + 4 * i) != saved.bar[i])
			write32(saved.config + PCI_BAR0 + 4 * i, saved.bar[i]);
	if ((read16(saved.config + PCI_COMMAND) & PROPER_COMMAND) != PROPER_COMMAND)
		write16(saved.config + PCI_COMMAND, PROPER_COMMAND);
	spin_unlock(&world.sdma_lock);
}

/* An entry, or half of one. Those that could be a message are harmless ones. */
static void any_msix_entry(struct hammer *h)
{
	const struct msix *msix = &world.sdma.msix;
	uintptr_t at = msix->table + below(h, msix->vectors) * MSIX_ENTRY_SIZE;

	if (once_in(h, 2)) {
		uint64_t address =
			once_in(h, 2) ? any_word(h) : 0xfee00000 | (random64(h) & 0xfffff);

		write32(at, (uint32_t)address);
		write32(at + 4, (uint32_t)(address >> 32));
		write32(at + 8, any_vector(h));
	}
	write32(at + 12, (uint32_t)random64(h));
}

static void any_capability(struct hammer *h)
{
	const uintptr_t capabilities[] = { world.sdma.ats, world.sdma.pri, world.sdma.pasid };
	uintptr_t at = capabilities[below(h, ARRAY_SIZE(capabilities))];

	if (at)
		write32(at + 4 + below(h, 3) * 4, (uint32_t)random64(h));
}

static void any_register(struct hammer *h)
{
	uintptr_t at = saved.config + CONFIG_FIRST + below(h, CONFIG_SIZE - CONFIG_FIRST - 8);

	switch (below(h, 4)) {
	case 0:
		write8(at, (uint8_t)random64(h));
		break;
	case 1:
		write16(align_down(at, 2), (uint16_t)random64(h));
		break;
	case 2:
		write32(align_down(at, 4), (uint32_t)random64(h));
		break;
	default:
		(void)read64(at);
		break;
	}
}

static void reset(struct hammer *h)
{
	if (once_in(h, 2))
		write32(world.sdma.registers + SDMA_CONTROL, SDMA_CONTROL_RESET);
	else if (saved.express && once_in(h, 4))
		write16(saved.config + saved.express + EXPRESS_DEVCTL, FLR);
}

void hammer_function(struct hammer *h)
{
	if (!world.has_sdma || !saved.config || !spin_try(&world.sdma_lock))
		return;
	switch (below(h, 8)) {
	case 0:
	case 1:
		sdma_enable(&world.sdma, !once_in(h, 8), !once_in(h, 4), !once_in(h, 4));
		break;
	case 2:
		any_capability(h);
		break;
	case 3:
		any_register(h);
		break;
	case 4:
		write16(saved.config + PCI_COMMAND, (uint16_t)random64(h) & 7);
		break;
	case 5:
		reset(h);
		break;
	case 6:
		write16(saved.config + world.sdma.msix.capability + MSIX_CONTROL,
			(uint16_t)(below(h, 4) << 14));
		break;
	default:
		any_msix_entry(h);
		break;
	}
	spin_unlock(&world.sdma_lock);
}
