/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watched memory: pages of what only they hold, around the arena and all over RAM; and the code.
 */
#include "lib/memory.h"
#include "lib/start.h"
#include "vtd-hostile/hostile.h"

#define PAGE_WORDS (PAGE_SIZE / 8)
#define KEY	   0x6e69647573000000UL
#define STEP	   (32 * PAGE_SIZE)
#define NEIGHBOURS (64 * PAGE_SIZE)
#define GUARD	   (COPY_GUARD * PAGE_SIZE)

static uint64_t first, last, code_sum;

static uint64_t sum_of_code(void)
{
	uint64_t sum = 0;

	for (const uint64_t *at = (const uint64_t *)MIB; (uintptr_t)at + 8 <= (uintptr_t)text_end;
	     at++)
		sum = (sum << 1 | sum >> 63) ^ *at;
	return sum;
}

static unsigned int for_each(bool (*visit)(uint64_t page))
{
	uint64_t neighbours = max_u64(first, world.arena - NEIGHBOURS);
	unsigned int n = 0;

	for (uint64_t at = first; at < neighbours; at += STEP)
		n += visit(at);
	for (uint64_t at = neighbours; at < world.arena; at += PAGE_SIZE)
		n += visit(at);
	for (uint64_t at = world.irt + PAGE_SIZE + GUARD; at < last; at += PAGE_SIZE)
		n += visit(at);
	return n;
}

static bool fill(uint64_t page)
{
	fill64((void *)page, page ^ KEY, PAGE_WORDS);
	return false;
}

static bool is_changed(uint64_t page)
{
	return !all64((const void *)page, page ^ KEY, PAGE_WORDS);
}

void canaries_set(void)
{
	first = align_up(heap_next(), PAGE_SIZE);
	last = align_down(world.low_end, PAGE_SIZE);
	for_each(fill);
	code_sum = sum_of_code();
}

unsigned int canaries_changed(void)
{
	return for_each(is_changed) + (sum_of_code() != code_sum);
}
