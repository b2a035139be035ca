// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * canary MIB: fills memory of its own with what only it holds, says so, and looks again when a line
 * comes in. Prints "changed N", pages of 4 KiB; ends with 1 if there are any.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MIB	   (UINT64_C(1) << 20)
#define PAGE	   UINT64_C(4096)
#define PAGE_WORDS (PAGE / sizeof(uint64_t))
#define MIB_MAX	   65536
#define KEY	   UINT64_C(0x6e69647573000000)

static uint64_t word_of(uint64_t index)
{
	return (index + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ KEY;
}

static void fill(uint64_t *memory, uint64_t words)
{
	for (uint64_t i = 0; i < words; i++)
		memory[i] = word_of(i);
}

static bool is_changed(const volatile uint64_t *page, uint64_t first)
{
	for (uint64_t i = 0; i < PAGE_WORDS; i++)
		if (page[i] != word_of(first + i))
			return true;
	return false;
}

static unsigned int count_changed(const uint64_t *memory, uint64_t words)
{
	unsigned int changed = 0;

	for (uint64_t i = 0; i < words; i += PAGE_WORDS)
		changed += is_changed(&memory[i], i);
	return changed;
}

/* A watch that sees nothing would be content with everything. */
static bool notices(uint64_t *memory, uint64_t words)
{
	unsigned int changed;

	memory[words / 2] ^= 1;
	changed = count_changed(memory, words);
	memory[words / 2] ^= 1;
	return changed == 1 && !count_changed(memory, words);
}

int main(int argc, char **argv)
{
	unsigned long mib = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	uint64_t words = mib * MIB / sizeof(uint64_t), *memory;
	unsigned int changed;

	if (!mib || mib > MIB_MAX) {
		fprintf(stderr, "usage: canary MIB\n");
		return 2;
	}
	memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mlock(memory, mib * MIB)) {
		perror("canary");
		return 2;
	}
	fill(memory, words);
	if (!notices(memory, words)) {
		fprintf(stderr, "canary: a changed bit is not seen\n");
		return 2;
	}
	printf("watching %lu\n", mib);
	fflush(stdout);
	(void)getchar();
	changed = count_changed(memory, words);
	printf("changed %u\n", changed);
	return changed ? 1 : 0;
}
