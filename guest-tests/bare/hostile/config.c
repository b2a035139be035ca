/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration space of all functions, by ECAM: any register, and those that hurt.
 */
#include "hostile/hostile.h"

#include "lib/memory.h"

#define EXPRESS_DEVCTL 8
#define FLR	       0x8000
#define ELSEWHERE      0xc8000000 /* far behind what was assigned */
#define ELSEWHERE_SIZE 0x01000000 /* for each BAR */
#define BARS_MOVED     2

static void write_config(uintptr_t at, unsigned int size, uint64_t value)
{
	if (size == 1)
		write8(at, (uint8_t)value);
	else if (size == 2)
		write16(at, (uint16_t)value);
	else if (size == 4)
		write32(at, (uint32_t)value);
	else
		write64(at, value);
}

static void any_register(struct hammer *h)
{
	unsigned int devfn = once_in(h, 8) || !world.functions
				     ? (unsigned int)below(h, PCI_FUNCTIONS)
				     : world.function[below(h, world.functions)];
	unsigned int size = 1U << below(h, 4);
	unsigned int offset = (unsigned int)below(h, once_in(h, 4) ? 4096 - 8 : 256);
	uintptr_t at = world.ecam + devfn * PAGE_SIZE + offset;

	if (once_in(h, 2))
		at = align_down(at, size);
	offset = (unsigned int)(at & (PAGE_SIZE - 1));
	if (once_in(h, 3))
		size == 8 ? (void)read64(at) : (void)read32(at);
	else if (is_config_window(offset, size))
		write_config(at, size, UINT64_MAX);
	else if (!is_bar(offset, size))
		write_config(at, size, once_in(h, 4) ? UINT64_MAX : random64(h));
}

/*
 * Where BAR @index has no business, or just elsewhere: each BAR in a part of the window of its own.
 * In another's first place it would take what was meant for that: addresses of queues for messages.
 */
static uint32_t any_place(struct hammer *h, unsigned int index)
{
	static const uint32_t places[] = { 0,	       0x00100000, 0x00200000, 0xe0000000,
					   0xfec00000, 0xfee00000, UINT32_MAX };

	if (once_in(h, 2))
		return places[below(h, ARRAY_SIZE(places))];
	return ELSEWHERE + index * ELSEWHERE_SIZE +
	       (uint32_t)below(h, ELSEWHERE_SIZE / PAGE_SIZE) * (uint32_t)PAGE_SIZE;
}

static void one_target(struct hammer *h)
{
	const struct target *target = &world.target[below(h, world.targets)];
	uintptr_t at = world.ecam + target->device.devfn * PAGE_SIZE;
	unsigned int express, index;

	switch (below(h, 4)) {
	case 0:
		write16(at + PCI_COMMAND, (uint16_t)below(h, 8));
		break;
	case 1:
		index = (unsigned int)below(h, BARS_MOVED);
		write32(at + PCI_BAR0 + 4 * index, any_place(h, index));
		break;
	case 2:
		write16(at + target->device.msix.capability + MSIX_CONTROL,
			(uint16_t)(below(h, 4) << 14));
		break;
	default:
		/* Rarely: it undoes all the rest. */
		express = read8(at + PCI_CAPABILITIES);
		while (express && read8(at + express) != PCI_CAP_EXPRESS)
			express = read8(at + express + 1);
		if (express && once_in(h, 8))
			write16(at + express + EXPRESS_DEVCTL, FLR);
		break;
	}
}

void hammer_config(struct hammer *h)
{
	if (world.targets && once_in(h, 2))
		one_target(h);
	else
		any_register(h);
}

static bool bars_are_right(const struct target *target, uintptr_t at)
{
	for (unsigned int i = 0; i < PCI_BARS; i++)
		if (read32(at + PCI_BAR0 + 4 * i) != target->bar[i])
			return false;
	return true;
}

/* A device that is well is left alone: turning off bus mastering would stop it. */
void revive(const struct target *target)
{
	uintptr_t at = world.ecam + target->device.devfn * PAGE_SIZE;
	uint16_t command = read16(at + PCI_COMMAND);

	if (!bars_are_right(target, at)) {
		write16(at + PCI_COMMAND, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
		for (unsigned int i = 0; i < PCI_BARS; i++)
			write32(at + PCI_BAR0 + 4 * i, target->bar[i]);
	}
	write16(at + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* All are off first: BARs that lie on each other free each other's place. */
void revive_all(void)
{
	for (unsigned int i = 0; i < world.targets; i++)
		write16(world.ecam + world.target[i].device.devfn * PAGE_SIZE + PCI_COMMAND, 0);
	for (unsigned int i = 0; i < world.targets; i++)
		revive(&world.target[i]);
}
