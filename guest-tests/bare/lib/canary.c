/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/canary.h"

#include "lib/start.h"

#define PAGE_WORDS (PAGE_SIZE / 8)
#define KEY	   0x6e69647573000000UL

struct range {
	uint64_t first, end, step; /* bytes */
};

static struct range watched[CANARY_RANGES];
static unsigned int ranges;
static uint64_t code_sum;

static uint64_t sum_of_code(void)
{
	const uint64_t *at = (const uint64_t *)MIB;
	uint64_t sum = 0;

	for (; (uintptr_t)at + 8 <= (uintptr_t)text_end; at++)
		sum = (sum << 1 | sum >> 63) ^ *at;
	return sum;
}

void canary_watch(uint64_t first, uint64_t end, uint64_t step)
{
	watched[ranges++] = (struct range){ first, end, step };
	for (uint64_t page = first; page < end; page += step)
		fill64((void *)page, page ^ KEY, PAGE_WORDS);
	code_sum = sum_of_code();
}

unsigned int canaries_changed(void)
{
	unsigned int changed = sum_of_code() != code_sum;

	for (const struct range *range = watched; range < &watched[ranges]; range++)
		for (uint64_t page = range->first; page < range->end; page += range->step)
			changed += !all64((const void *)page, page ^ KEY, PAGE_WORDS);
	return changed;
}

bool canaries_notice(void)
{
	uint64_t *word = (uint64_t *)watched[0].first;
	unsigned int changed;

	*word ^= 1;
	changed = canaries_changed();
	*word ^= 1;
	return changed == 1 && !canaries_changed();
}
