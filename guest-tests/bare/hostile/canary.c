/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watched memory: pages filled with what only they hold, and the code of this guest itself.
 */
#include "hostile/hostile.h"

#include "lib/memory.h"
#include "lib/start.h"

#define PAGE_WORDS (PAGE_SIZE / 8)
#define NEIGHBOURS 64 /* pages directly below the arena: the likeliest to be hit */
#define CANARY_KEY 0x6e69647573000000UL
#define HIGH_OFFSET \
	GIB /* above 4 GiB: small numbers in the wrong half of an address point below that */

static uint64_t low_first, low_last, low_step; /* pages: every low_step bytes */
static uint64_t high_first, high_last;
static uint64_t code_sum;

static uint64_t sum_of_code(void)
{
	const uint64_t *at = (const uint64_t *)MIB;
	uint64_t sum = 0;

	for (; (uintptr_t)at + 8 <= (uintptr_t)text_end; at++)
		sum = (sum << 1 | sum >> 63) ^ *at;
	return sum;
}

/* Calls @visit for each watched page; returns how often it said true. */
static unsigned int for_each(bool (*visit)(uint64_t page))
{
	unsigned int n = 0;

	for (uint64_t at = low_first; at < low_last; at += low_step)
		n += visit(at);
	for (uint64_t at = low_last; at < world.arena; at += PAGE_SIZE)
		n += visit(at);
	for (uint64_t at = high_first; at < high_last; at += PAGE_SIZE)
		n += visit(at);
	return n;
}

static bool fill(uint64_t page)
{
	fill64((void *)page, page ^ CANARY_KEY, PAGE_WORDS);
	return false;
}

static bool is_changed(uint64_t page)
{
	return !all64((const void *)page, page ^ CANARY_KEY, PAGE_WORDS);
}

void canaries_set(uint64_t mib)
{
	uint64_t bytes = mib * MIB;

	low_first = align_up(heap_next(), PAGE_SIZE);
	low_last = world.arena - NEIGHBOURS * PAGE_SIZE;
	low_step = max_u64(align_down((low_last - low_first) / (bytes / PAGE_SIZE), PAGE_SIZE),
			   PAGE_SIZE);
	if (world.high_end > 4 * GIB + HIGH_OFFSET) {
		high_first = map(4 * GIB + HIGH_OFFSET, GIB);
		high_last = min_u64(world.high_end, high_first + bytes);
	}
	for_each(fill);
	code_sum = sum_of_code();
}

unsigned int canaries_changed(void)
{
	return for_each(is_changed) + (sum_of_code() != code_sum);
}

bool canaries_notice(void)
{
	uint64_t *last = (uint64_t *)world.arena - 1;
	unsigned int changed;

	*last ^= 1;
	changed = canaries_changed();
	*last ^= 1;
	return changed == 1 && !canaries_changed();
}
