/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map: RAM slots with the holes of a PC cut out; see e820.h.
 */
#include "vmm/e820.h"

#include "devices/base.h"
#include "vmm/layout.h"

/*
 * ECAM is here because Linux uses it only if the map or a motherboard device reserves it. The VGA
 * hole stays unlisted, as PCs leave it.
 */
static const struct e820_range reserved[] = {
	{ LAYOUT_EBDA_BASE, LAYOUT_VGA_HOLE_BASE - LAYOUT_EBDA_BASE, E820_RESERVED },
	{ LAYOUT_ACPI_BASE, LAYOUT_ACPI_SIZE, E820_RESERVED },
	{ LAYOUT_ECAM_BASE, LAYOUT_ECAM_RESERVED, E820_RESERVED },
	{ LAYOUT_IDENTITY_MAP_BASE, LAYOUT_KVM_PAGES_SIZE, E820_RESERVED },
};

_Static_assert(LAYOUT_ACPI_BASE + LAYOUT_ACPI_SIZE == LAYOUT_KERNEL_MIN, "RAM follows the tables");
_Static_assert(RAM_SLOTS + 1 + ARRAY_SIZE(reserved) <= E820_MAX, "the map has room for everything");

static unsigned int add(struct e820_range *map, unsigned int count, struct e820_range range)
{
	unsigned int at = count;

	if (!range.size)
		return count;
	for (; at && map[at - 1].base > range.base; at--)
		map[at] = map[at - 1];
	map[at] = range;
	return count + 1;
}

unsigned int e820_build(const struct ram *ram, struct e820_range map[static E820_MAX])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(reserved); i++)
		count = add(map, count, reserved[i]);
	for (unsigned int i = 0; i < ram->count; i++) {
		uint64_t base = ram->slot[i].gpa, end = base + ram->slot[i].size;

		if (!base) {
			count = add(map, count,
				    (struct e820_range){ 0, LAYOUT_EBDA_BASE, E820_RAM });
			base = LAYOUT_KERNEL_MIN;
		}
		if (base < end)
			count = add(map, count, (struct e820_range){ base, end - base, E820_RAM });
	}
	return count;
}
