// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is not there yet, not there any more, or shared until written: what page requests
 * are for. And where none is needed: translations that the device keeps.
 */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES  64UL
#define LENGTH (PAGES * PAGE)

static void must_ask(struct run *run, struct sdma_status before, struct sdma_status after,
		     uint64_t least)
{
	uint64_t asked = after.page_requests - before.page_requests;

	require(run, asked >= least, "%llu page requests, less than %llu",
		(unsigned long long)asked, (unsigned long long)least);
	require(run, after.page_failures == before.page_failures, "a page request has failed");
}

static void check_untouched(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *source = map_memory(run, LENGTH, 0), *destination = map_memory(run, LENGTH, 0);
	struct sdma_status before = counters(run, queue);
	struct sdma_completion record;

	record = must(run, queue, sdma_copy(destination, source, LENGTH));
	must_ask(run, before, counters(run, queue), 2 * PAGES);
	require(run, record.waited, "it took no time to get the pages");
	require(run, is_byte(destination, 0, LENGTH), "fresh memory does not read as zeroes");

	/* Read so far: the zero page. Now written by the device, with the process looking on. */
	before = counters(run, queue);
	must(run, queue, sdma_fill(source, 0x5a5a5a5a5a5a5a5a, LENGTH));
	must_ask(run, before, counters(run, queue), PAGES);
	require(run, is_byte(source, 0x5a, LENGTH), "fill of the zero page: wrong bytes");

	source = map_memory(run, LENGTH, 0);
	before = counters(run, queue);
	record = must(run, queue, sdma_touch(source, LENGTH, PAGE, true));
	must_ask(run, before, counters(run, queue), PAGES);
	require(run, record.result == PAGES, "%u bytes touched, not %lu", record.result, PAGES);
	exercise(run, queue, source, destination, LENGTH);
	sdma_close(queue);
}

/* --- Swap --- */

#define PAGEMAP_SWAPPED (1ULL << 62)

static unsigned long count_swapped(struct run *run, const void *memory)
{
	uint64_t entry[PAGES];
	unsigned long swapped = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t offset = (off_t)((uintptr_t)memory / PAGE * sizeof(entry[0]));

	require(run, fd >= 0 && pread(fd, entry, sizeof(entry), offset) == sizeof(entry),
		"cannot read pagemap: %s", strerror(errno));
	close(fd);
	for (size_t i = 0; i < PAGES; i++)
		swapped += entry[i] & PAGEMAP_SWAPPED ? 1 : 0;
	return swapped;
}

static bool have_swap(void)
{
	char text[512];
	int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return false;
	text[length] = 0;
	/* A line below the heading. */
	return strchr(text, '\n') && strchr(text, '\n')[1];
}

/* Returns how many pages went; some may stay, because the kernel was looking at them. */
static unsigned long swap_out(struct run *run, void *memory)
{
	unsigned long swapped = 0;

	for (int i = 0; i < 20 && swapped < PAGES / 2; i++) {
		require(run, !madvise(memory, LENGTH, MADV_PAGEOUT), "madvise: %s",
			strerror(errno));
		swapped = count_swapped(run, memory);
		if (swapped < PAGES / 2)
			sleep_us(20000);
	}
	require(run, swapped >= PAGES / 2, "only %lu of %lu pages went to swap", swapped, PAGES);
	return swapped;
}

/* Read back by the device, and written to by the device, which had translations of all of it. */
static void check_swapped(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, 0), *copy = map_memory(run, LENGTH, MAP_POPULATE);
	struct sdma_status before;
	unsigned long swapped;

	if (!have_swap())
		skip(run, "the system has no swap");
	for (uint64_t round = 0; round < 3; round++) {
		write_random(memory, LENGTH, round);
		must(run, queue, sdma_touch(memory, LENGTH, PAGE, true));
		swapped = swap_out(run, memory);
		before = counters(run, queue);
		must(run, queue, sdma_copy(copy, memory, LENGTH));
		must_ask(run, before, counters(run, queue), swapped / 16);
		require(run, is_random(copy, LENGTH, round), "swapped memory came back different");

		/* Partly overwritten: the rest of a page has to come from swap. */
		swapped = swap_out(run, memory);
		before = counters(run, queue);
		for (size_t page = 0; page < PAGES; page++)
			must(run, queue, sdma_fill(memory + page * PAGE + 100, 0, 8));
		must_ask(run, before, counters(run, queue), swapped / 16);
		for (size_t page = 0; page < PAGES; page++)
			memset(copy + page * PAGE + 100, 0, 8);
		require(run, !memcmp(memory, copy, LENGTH),
			"a write to swapped memory: wrong bytes");
	}
	sdma_close(queue);
}

/* --- Copy on write --- */

struct cow {
	char *memory;
	int go[2], ready[2];
};

/* Its half of the memory stays as it was at fork(), whatever the device does to the other half. */
static void keep_copy(struct run *run, void *argument)
{
	struct cow *cow = argument;
	char byte;

	require(run, read(cow->go[0], &byte, 1) == 1, "no word from the parent");
	require(run, is_random(cow->memory, LENGTH, 1), "the device wrote to the child's memory");
	memset(cow->memory, 0xcc, LENGTH);
	require(run, write(cow->ready[1], "", 1) == 1, "cannot tell the parent");
}

static void check_cow(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	struct cow cow = { .memory = map_memory(run, LENGTH, 0) };
	void *source = map_memory(run, LENGTH, 0);
	struct sdma_status before;
	pid_t child;
	char byte;

	require(run, !pipe(cow.go) && !pipe(cow.ready), "pipe: %s", strerror(errno));
	write_random(cow.memory, LENGTH, 1);
	write_random(source, LENGTH, 2);
	/* The device may write there: fork() has to take that from it. */
	must(run, queue, sdma_touch(cow.memory, LENGTH, PAGE, true));
	before = counters(run, queue);
	child = start_child(run, keep_copy, &cow);
	must(run, queue, sdma_copy(cow.memory, source, LENGTH));
	must_ask(run, before, counters(run, queue), PAGES);
	require(run, counters(run, queue).invalidations > before.invalidations,
		"fork() invalidated nothing");
	require(run, is_random(cow.memory, LENGTH, 2), "copy on write: wrong bytes");
	require(run, write(cow.go[1], "", 1) == 1 && read(cow.ready[0], &byte, 1) == 1,
		"no word from the child");
	must_pass(run, child);
	must(run, queue, sdma_compare(cow.memory, source, LENGTH));
	require(run, is_random(cow.memory, LENGTH, 2), "the child wrote to its parent's memory");
	sdma_close(queue);
}

/* --- The device's own translations --- */

/* One pass over all pages; what it has added to the counters. */
static struct sdma_status pass(struct run *run, struct sdma *queue, void *memory)
{
	struct sdma_status before = counters(run, queue), after;

	must(run, queue, sdma_crc32c(memory, LENGTH, 0));
	after = counters(run, queue);
	require(run, after.page_requests == before.page_requests, "pages were asked for");
	require(run, after.untranslated == before.untranslated, "untranslated requests");
	after.atc_hits -= before.atc_hits;
	after.atc_misses -= before.atc_misses;
	return after;
}

/*
 * The kernel may drop translations at any time, when it frees page tables of its own for example;
 * so there are a few attempts to see two passes that nothing has come between.
 */
static void check_atc(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	void *memory = map_memory(run, LENGTH, MAP_POPULATE);
	struct sdma_status first, second;
	struct sdma_info info;

	require(run, !sdma_info(queue, &info), "no information of the device");
	require(run, info.status & SDMA_STATUS_ATS && info.atc_entries >= 4 * PAGES,
		"the device's TLB has %u entries", info.atc_entries);
	first = pass(run, queue, memory);
	require(run, first.atc_misses >= PAGES, "%llu misses in a first pass over %lu pages",
		(unsigned long long)first.atc_misses, PAGES);
	for (int attempt = 0; attempt < 20; attempt++) {
		second = pass(run, queue, memory);
		if (!second.atc_misses && second.atc_hits >= PAGES)
			break;
	}
	require(run, !second.atc_misses && second.atc_hits >= PAGES,
		"%llu misses and %llu hits in a later pass", (unsigned long long)second.atc_misses,
		(unsigned long long)second.atc_hits);
	sdma_close(queue);
}

const struct check checks_of_paging[] = {
	{ "untouched", "memory never touched, read and written: by page requests", check_untouched,
	  0 },
	{ "swapped", "memory in swap, read and written: by page requests", check_swapped, 0 },
	{ "cow", "copy on write after fork: both sides keep their own", check_cow, 0 },
	{ "atc", "a second pass is translated by the device itself", check_atc, 0 },
	{ 0 },
};
