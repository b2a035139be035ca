/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X tables: messages to anywhere, with vectors that our table of traps can take; masks at
 * random.
 */
#include "hostile/hostile.h"

#define MSI_ADDRESS 0xfee00000U

static uint32_t any_message_address(struct hammer *h)
{
	if (once_in(h, 4))
		return (uint32_t)random64(h);
	return MSI_ADDRESS | (uint32_t)below(h, 0x100000);
}

void hammer_msix(struct hammer *h)
{
	const struct target *target;
	uintptr_t entry;

	if (!world.targets)
		return;
	target = &world.target[below(h, world.targets)];
	entry = target->device.msix.table +
		below(h, target->device.msix.vectors + 1) * MSIX_ENTRY_SIZE;
	switch (below(h, 5)) {
	case 0:
		write32(entry, any_message_address(h));
		break;
	case 1:
		write32(entry + 4, once_in(h, 2) ? 0 : (uint32_t)random64(h));
		break;
	case 2:
		write32(entry + 8, safe_message(h));
		break;
	case 3:
		write32(entry + 12, (uint32_t)below(h, 2));
		break;
	default:
		read64(entry);
		read32(target->device.msix.pending);
		break;
	}
	if (once_in(h, 4))
		write16(world.ecam + target->device.devfn * PAGE_SIZE +
				target->device.msix.capability + MSIX_CONTROL,
			MSIX_ENABLE);
}
