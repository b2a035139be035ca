/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM, and the map of what lies above 4 GiB. All addresses are physical: the map is the identity.
 */
#ifndef BARE_MEMORY_H
#define BARE_MEMORY_H

#include "lib/base.h"

/* Below this nothing is ours but the trampoline: loader, tables, VGA. */
#define LOW_MEMORY_END MIB

/* Finds the heap: from the end of the image and the modules to the end of that piece of RAM. */
void memory_setup(void);

/* @count zeroed pages, never given back. Ends the guest if there are none left. Any CPU. */
void *pages(uint64_t count);

/* Makes [@address, @address + @size) accessible; nothing to do below 4 GiB. Returns @address. */
uintptr_t map(uint64_t address, uint64_t size);

/* The heap that is left, and the end of RAM below and above 4 GiB (0: none above). */
uint64_t heap_next(void);
uint64_t heap_end(void);
uint64_t low_ram_end(void);
uint64_t high_ram_end(void);

/* Takes [@start, end of heap) out of the heap: for whoever manages it himself. */
void heap_cut(uint64_t start);

/* Width of physical addresses, in bits. */
unsigned int physical_bits(void);

#endif
