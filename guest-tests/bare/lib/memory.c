/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/memory.h"

#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"
#include "lib/start.h"

#define PAGE_RW	   3UL
#define PAGE_LARGE (1UL << 7)
#define PAGE_FRAME 0x000ffffffffff000UL

static struct spinlock lock; /* protects what follows, and the page tables */
static uint64_t next, end;

void memory_setup(void)
{
	uint64_t image = (uintptr_t)image_end;

	next = image;
	for (unsigned int i = 0; i < boot.modules; i++)
		next = max_u64(next, align_up(boot.module[i].end, PAGE_SIZE));
	for (unsigned int i = 0; i < boot.ranges; i++) {
		const struct boot_range *range = &boot.range[i];

		if (range->type == RANGE_RAM && range->base <= image &&
		    image <= range->base + range->size)
			end = align_down(range->base + range->size, PAGE_SIZE);
	}
}

void *pages(uint64_t count)
{
	uint64_t at, size = count * PAGE_SIZE;

	spin_lock(&lock);
	at = next;
	next += size;
	spin_unlock(&lock);
	if (at + size > end) {
		print("Bail out! no memory for %lu pages\n", count);
		end_exit(EXIT_FAILED);
	}
	return memset((void *)at, 0, size);
}

uint64_t heap_next(void)
{
	return next;
}

uint64_t heap_end(void)
{
	return end;
}

void heap_cut(uint64_t start)
{
	end = start;
}

static uint64_t ram_end(uint64_t from, uint64_t to)
{
	uint64_t highest = 0;

	for (unsigned int i = 0; i < boot.ranges; i++) {
		const struct boot_range *range = &boot.range[i];

		if (range->type == RANGE_RAM && range->base >= from && range->base < to)
			highest = max_u64(highest, range->base + range->size);
	}
	return highest;
}

uint64_t low_ram_end(void)
{
	return ram_end(0, 4 * GIB);
}

uint64_t high_ram_end(void)
{
	return ram_end(4 * GIB, UINT64_MAX);
}

unsigned int physical_bits(void)
{
	if (cpuid(0x80000000, 0).eax < 0x80000008)
		return 36;
	return cpuid(0x80000008, 0).eax & 0xff;
}

/* The table that entry @index of @table leads to; a fresh one if there is none. */
static uint64_t *descend(uint64_t *table, unsigned int index, uint64_t **spare)
{
	if (!table[index]) {
		table[index] = (uintptr_t)*spare | PAGE_RW;
		*spare = NULL;
	}
	return (uint64_t *)(table[index] & PAGE_FRAME);
}

static void map_gib(uint64_t address)
{
	uint64_t *spare[2] = { pages(1), pages(1) };
	uint64_t *pointers, *directory;

	spin_lock(&lock);
	pointers = descend(page_map_level_4, address >> 39 & 511, &spare[0]);
	directory = descend(pointers, address >> 30 & 511, &spare[1]);
	for (unsigned int i = 0; i < 512; i++)
		directory[i] = (address + i * 2 * MIB) | PAGE_LARGE | PAGE_RW;
	spin_unlock(&lock);
}

static bool is_mapped(uint64_t address)
{
	const uint64_t *pointers;
	uint64_t entry = page_map_level_4[address >> 39 & 511];

	if (!entry)
		return false;
	pointers = (const uint64_t *)(entry & PAGE_FRAME);
	return pointers[address >> 30 & 511];
}

uintptr_t map(uint64_t address, uint64_t size)
{
	uint64_t last = align_down(address + size - 1, GIB);

	for (uint64_t at = align_down(address, GIB); at <= last; at += GIB)
		if (!is_mapped(at))
			map_gib(at);
	return address;
}
