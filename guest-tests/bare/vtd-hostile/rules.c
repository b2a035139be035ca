/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vtd-hostile/hostile.h"

#define LOW_BITS   0xfffUL
#define HIGH_BITS  VTD_BITS(63, 52)
#define FAR	   (1UL << 45) /* no RAM up there */
#define INTERRUPTS 0xfee00000UL
#define IOAPIC	   0xfec00000UL

uint64_t arena_page(struct hammer *h)
{
	return world.arena + below(h, ARENA_PAGES) * PAGE_SIZE;
}

/* What is there, but no memory: registers of the unit and of devices, and interrupts. */
static uint64_t any_registers(struct hammer *h)
{
	const uint64_t places[] = {
		VTD_UNIT_BASE,	      INTERRUPTS,	    IOAPIC,
		world.sdma.registers, world.sdma.doorbells, world.edu.registers
	};

	return align_down(places[below(h, ARRAY_SIZE(places))], PAGE_SIZE);
}

uint64_t foreign_page(struct hammer *h)
{
	switch (below(h, 4)) {
	case 0:
		return align_down(world.low_end + below(h, GIB), PAGE_SIZE);
	case 1:
		return FAR | (random64(h) & VTD_BITS(44, 12));
	case 2:
		return any_registers(h);
	default:
		return 0;
	}
}

static uint64_t any_page(struct hammer *h)
{
	return once_in(h, 4) ? foreign_page(h) : arena_page(h);
}

uint64_t any_word(struct hammer *h)
{
	uint64_t word = any_page(h) | (random64(h) & LOW_BITS);

	if (world.deadly && once_in(h, 4))
		return random64(h);
	/* Mostly present, readable and writable: else nothing happens. */
	if (!once_in(h, 4))
		word |= VTD_FS_ALL;
	if (once_in(h, 8))
		word |= random64(h) & HIGH_BITS;
	/* A large page at 0 would be all of RAM. */
	if (!(word & VTD_FS_ADDR))
		word &= ~VTD_FS_PS;
	return word;
}

uint64_t any_iova(struct hammer *h, uint64_t len)
{
	uint64_t end = world.arena + ARENA_PAGES * PAGE_SIZE;
	uint64_t at;

	if (world.deadly && once_in(h, 4))
		return random64(h);
	at = any_page(h) + below(h, PAGE_SIZE / 8) * 8;
	if (at >= world.arena && at < end && at + len > end)
		at = end - len;
	return at;
}
