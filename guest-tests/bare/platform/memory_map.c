/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory map, and that RAM is where it says.
 */
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "platform/tests.h"

#define HIDDEN_RAM_MAX (2 * MIB) /* VGA hole, tables, EBDA */

static bool overlap(const struct boot_range *a, const struct boot_range *b)
{
	return a->base < b->base + b->size && b->base < a->base + a->size;
}

static bool any_overlap(void)
{
	for (unsigned int i = 0; i < boot.ranges; i++)
		for (unsigned int k = 0; k < i; k++)
			if (overlap(&boot.range[i], &boot.range[k]))
				return true;
	return false;
}

static uint64_t all_ram(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < boot.ranges; i++)
		if (boot.range[i].type == RANGE_RAM)
			sum += boot.range[i].size;
	return sum;
}

/* The last word of a piece of RAM, which must lie behind everything that we use. */
static bool end_works(const struct boot_range *range)
{
	uintptr_t at = map(range->base + range->size - 8, 8);
	uint64_t old = read64(at);
	bool ok;

	write64(at, ~old);
	ok = read64(at) == ~old;
	write64(at, old);
	return ok && read64(at) == old;
}

void test_memory_map(void)
{
	uint64_t ram = word_number("ram", 0);

	check(boot.ranges > 0, "there is a memory map");
	check(!any_overlap(), "its ranges do not overlap");
	for (unsigned int i = 0; i < boot.ranges; i++)
		if (boot.range[i].type == RANGE_RAM && boot.range[i].base >= MIB)
			check(end_works(&boot.range[i]), "RAM at 0x%lx works at its end",
			      boot.range[i].base);
	check(boot.upper_kib * KIB <= low_ram_end(), "the old memory size agrees with it");
	if (ram)
		check(all_ram() <= ram && all_ram() + HIDDEN_RAM_MAX >= ram,
		      "all RAM is in it: 0x%lx of 0x%lx", all_ram(), ram);
}
