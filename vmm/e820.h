/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest is told about its physical memory: one list for all boot protocols, which agree on
 * the numbers of types (ACPI 6.5, 15.1).
 */
#ifndef NIDUS_VMM_E820_H
#define NIDUS_VMM_E820_H

#include <stdint.h>

#include "devices/dma.h"

#define E820_MAX 16

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct e820_range {
	uint64_t base;
	uint64_t size; /* bytes */
	enum e820_type type;
};

/*
 * Fills in @map, in ascending order and without overlaps; returns how many ranges there are. What
 * is in none of them is free for devices. RAM must start at 0, as vmm/layout.h says.
 */
unsigned int e820_build(const struct ram *ram, struct e820_range map[static E820_MAX]);

#endif
