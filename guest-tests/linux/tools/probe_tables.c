// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: guest memory, and first-stage tables in it as a guest's kernel writes them.
 */
#include "probe.h"

#include <string.h>

#define ADDRESS 0x000ffffffffff000ULL

/* Depends on the address, so that a word in the wrong place is seen too. */
static uint64_t canary_at(size_t offset)
{
	return 0xca4a121e00000000ULL + offset;
}

static void write_canary(uint8_t *memory, size_t size)
{
	uint64_t *word = (uint64_t *)memory;

	for (size_t i = 0; i < size / sizeof(*word); i++)
		word[i] = canary_at(i * sizeof(*word));
}

void write_memory(struct probe *probe)
{
	write_canary(probe->memory + AREA_CANARY, MEMORY_SIZE - AREA_CANARY);
}

bool canary_lives(const struct probe *probe)
{
	const uint64_t *word = (const uint64_t *)(probe->memory + AREA_CANARY);

	for (size_t i = 0; i < (MEMORY_SIZE - AREA_CANARY) / sizeof(*word); i++)
		if (word[i] != canary_at(i * sizeof(*word)))
			return false;
	return true;
}

void *memory_at(const struct probe *probe, uint64_t gpa)
{
	require(gpa >= GPA && gpa - GPA < MEMORY_SIZE, "%#lx is not in guest memory",
		(unsigned long)gpa);
	return probe->memory + (gpa - GPA);
}

uint64_t new_root(struct probe *probe)
{
	uint64_t gpa = GPA + AREA_TABLES + probe->tables_used;

	require(probe->tables_used < AREA_QUEUES - AREA_TABLES, "no room for another table");
	probe->tables_used += PAGE;
	memset(memory_at(probe, gpa), 0, PAGE);
	return gpa;
}

volatile uint64_t *entry_of(struct probe *probe, uint64_t root, uint64_t va, unsigned int level)
{
	uint64_t table = root;

	for (unsigned int at = 4;; at--) {
		volatile uint64_t *entries = memory_at(probe, table);
		volatile uint64_t *entry = &entries[va >> (12 + 9 * (at - 1)) & 511];

		if (at == level)
			return entry;
		if (!(*entry & PTE_P))
			*entry = new_root(probe) | PTE_RW;
		table = *entry & ADDRESS;
	}
}

void map_page(struct probe *probe, uint64_t root, uint64_t va, uint64_t gpa, uint64_t flags)
{
	*entry_of(probe, root, va, flags & PTE_HUGE ? 2 : 1) = gpa | flags;
}
