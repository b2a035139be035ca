// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The address space changes while the device uses it. Once the system call that changes it has
 * returned, the device must not reach what was there before: not by a translation it has kept, and
 * not with what was under way.
 */

#include "check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES	64UL
#define LENGTH	(PAGES * PAGE)
#define BIG	(2UL << 20)
#define ROUNDS	12
#define FILLS	8
#define PATTERN 0xdeadbeefdeadbeefULL

static void must_invalidate(struct run *run, struct sdma *queue, struct sdma_status before,
			    const char *by)
{
	require(run, counters(run, queue).invalidations > before.invalidations,
		"%s invalidated no translation of the device", by);
}

/* --- With the device at rest, and its translations warm --- */

static void check_munmap(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	void *copy = map_memory(run, LENGTH, MAP_POPULATE);
	struct sdma_status before;

	for (int round = 0; round < ROUNDS; round++) {
		char *memory = map_memory(run, LENGTH, MAP_POPULATE);

		must(run, queue, sdma_copy(copy, memory, LENGTH));
		before = counters(run, queue);
		require(run, !munmap(memory, LENGTH), "munmap: %s", strerror(errno));
		must_invalidate(run, queue, before, "munmap()");
		must_refuse(run, queue, sdma_copy(copy, memory, LENGTH), 1, memory, PAGE);
		must_refuse(run, queue, sdma_fill(memory + LENGTH - PAGE, 0, 8), 2,
			    memory + LENGTH - PAGE, PAGE);
	}
	sdma_close(queue);
}

/* The same address means another page from one moment to the next. Reads only. */
static void check_stale(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, 0), *copy = map_memory(run, LENGTH, MAP_POPULATE);

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		write_random(memory, LENGTH, round);
		must(run, queue, sdma_copy(copy, memory, LENGTH));
		require(run, is_random(copy, LENGTH, round),
			"the device did not read the new page");
		require(run, !madvise(memory, LENGTH, MADV_DONTNEED), "madvise: %s",
			strerror(errno));
		must(run, queue, sdma_copy(copy, memory, LENGTH));
		require(run, is_byte(copy, 0, LENGTH),
			"the device read a page that the process had given back");
	}
	sdma_close(queue);
}

static void check_mprotect(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, 0), *copy = map_memory(run, LENGTH, MAP_POPULATE);

	for (uint64_t round = 1; round <= ROUNDS; round++) {
		write_random(memory, LENGTH, round);
		must(run, queue, sdma_touch(memory, LENGTH, PAGE, true));

		require(run, !mprotect(memory, LENGTH, PROT_READ), "mprotect: %s", strerror(errno));
		must_refuse(run, queue, sdma_fill(memory, 0, LENGTH), 2, memory, PAGE);
		must_refuse(run, queue, sdma_touch(memory, LENGTH, PAGE, true), 3, memory, PAGE);
		must(run, queue, sdma_copy(copy, memory, LENGTH));
		require(run, is_random(copy, LENGTH, round), "read-only memory: wrong bytes");

		require(run, !mprotect(memory, LENGTH, PROT_NONE), "mprotect: %s", strerror(errno));
		must_refuse(run, queue, sdma_copy(copy, memory, LENGTH), 1, memory, PAGE);

		require(run, !mprotect(memory, LENGTH, PROT_READ | PROT_WRITE), "mprotect: %s",
			strerror(errno));
		require(run, is_random(memory, LENGTH, round), "protected memory has changed");
		must(run, queue, sdma_fill(memory, PATTERN, LENGTH));
		require(run, is_pattern(memory, PATTERN, LENGTH), "fill: wrong bytes");
	}
	sdma_close(queue);
}

static void check_mremap(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *copy = map_memory(run, LENGTH, MAP_POPULATE);
	char *here = map_memory(run, LENGTH, 0), *there;
	struct sdma_status before;

	write_random(here, LENGTH, 5);
	for (int round = 0; round < ROUNDS; round++) {
		must(run, queue, sdma_copy(copy, here, LENGTH));
		there = map_memory(run, LENGTH, 0);
		before = counters(run, queue);
		require(run,
			mremap(here, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there,
			"mremap: %s", strerror(errno));
		must_invalidate(run, queue, before, "mremap()");
		must_refuse(run, queue, sdma_copy(copy, here, LENGTH), 1, here, PAGE);
		memset(copy, 0, LENGTH);
		must(run, queue, sdma_copy(copy, there, LENGTH));
		require(run, is_random(copy, LENGTH, 5), "moved memory: wrong bytes");
		here = there;
	}
	sdma_close(queue);
}

static void check_read_only(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *copy = map_memory(run, LENGTH, MAP_POPULATE);
	static const char text[2 * PAGE] = { 1, 2, 3, [2 * PAGE - 1] = 4 };
	char *fresh = mmap(NULL, LENGTH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(run, fresh != MAP_FAILED, "mmap: %s", strerror(errno));
	/* Constants of the program: a read-only mapping of its file. */
	must(run, queue, sdma_copy(copy, text, sizeof(text)));
	require(run, !memcmp(copy, text, sizeof(text)), "constants: wrong bytes");
	must_refuse(run, queue, sdma_fill((void *)(uintptr_t)text, PATTERN, sizeof(text)), 2, text,
		    sizeof(text));
	require(run, !memcmp(copy, text, sizeof(text)), "the device wrote to read-only memory");
	/* And memory that is not even there yet. */
	must_refuse(run, queue, sdma_fill(fresh, PATTERN, LENGTH), 2, fresh, PAGE);
	must(run, queue, sdma_copy(copy, fresh, LENGTH));
	require(run, is_byte(copy, 0, LENGTH), "fresh memory does not read as zeroes");
	must_refuse(run, queue, sdma_fill(fresh, PATTERN, LENGTH), 2, fresh, PAGE);
	must(run, queue, sdma_nop());
	sdma_close(queue);
}

/* --- With DMA under way --- */

/* Fills the memory again and again, with a pattern of its own each time. */
static void start_fills(struct run *run, struct sdma *queue, struct batch *batch, void *memory)
{
	memset(batch, 0, sizeof(*batch));
	for (unsigned int i = 0; i < FILLS; i++)
		put(run, queue, batch, sdma_fill(memory, 0x0101010101010101ULL * (i + 1), BIG));
	sdma_submit(queue);
}

/* Until the device is in the middle of it, one time earlier and one time later. */
static void wait_a_moment(struct run *run, struct batch *batch, uint64_t *random)
{
	uint64_t choice = next_random(random);
	const struct sdma_completion *some = &batch->record[choice % (FILLS / 2)];

	for (int i = 0; i < 100000; i++)
		if (__atomic_load_n(&some->status, __ATOMIC_ACQUIRE) != SDMA_PENDING)
			break;
	sleep_us((unsigned int)(choice >> 32) % 200);
	(void)run;
}

/* What it owned comes into other hands: those of the memory mapped next, at another address. */
static void check_munmap_dma(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *canary = map_memory(run, BIG, 0);
	struct batch *batch = new_batch(run);
	uint64_t random = run->process + 1;
	unsigned int refused = 0;

	for (int round = 0; round < ROUNDS; round++) {
		char *memory = map_memory(run, BIG, MAP_POPULATE);

		start_fills(run, queue, batch, memory);
		wait_a_moment(run, batch, &random);
		require(run, !munmap(memory, BIG), "munmap: %s", strerror(errno));
		memset(canary, 0x5c, BIG);
		wait_for_batch(run, queue, batch);
		refused += count_refused(run, batch, memory, BIG);
		must_refuse(run, queue, sdma_fill(memory, PATTERN, BIG), 2, memory, PAGE);
		require(run, is_byte(canary, 0x5c, BIG),
			"the device wrote to pages after munmap() had given them away");
		require(run, !madvise(canary, BIG, MADV_DONTNEED), "madvise: %s", strerror(errno));
	}
	note(run, "%u of %u descriptors met munmap()", refused, ROUNDS * FILLS);
	require(run, refused, "the device was never at work when its memory went");
	sdma_close(queue);
}

/* The bytes move to another address and stay as they are from then on. */
static void check_mremap_dma(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *there = map_memory(run, BIG, 0), *before = map_memory(run, BIG, MAP_POPULATE);
	struct batch *batch = new_batch(run);
	uint64_t random = run->process + 2;
	unsigned int refused = 0;

	for (int round = 0; round < ROUNDS; round++) {
		char *memory = map_memory(run, BIG, MAP_POPULATE);

		start_fills(run, queue, batch, memory);
		wait_a_moment(run, batch, &random);
		require(run,
			mremap(memory, BIG, BIG, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there,
			"mremap: %s", strerror(errno));
		memcpy(before, there, BIG);
		wait_for_batch(run, queue, batch);
		refused += count_refused(run, batch, memory, BIG);
		require(run, !memcmp(before, there, BIG),
			"the device wrote to pages after mremap() had moved them");
		must_refuse(run, queue, sdma_fill(memory, PATTERN, BIG), 2, memory, PAGE);
		must(run, queue, sdma_compare(there, before, BIG));
	}
	note(run, "%u of %u descriptors met mremap()", refused, ROUNDS * FILLS);
	require(run, refused, "the device was never at work when its memory moved");
	sdma_close(queue);
}

static void check_mprotect_dma(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, BIG, MAP_POPULATE);
	char *before = map_memory(run, BIG, MAP_POPULATE);
	struct batch *batch = new_batch(run);
	uint64_t random = run->process + 3;
	unsigned int refused = 0;

	for (int round = 0; round < ROUNDS; round++) {
		start_fills(run, queue, batch, memory);
		wait_a_moment(run, batch, &random);
		require(run, !mprotect(memory, BIG, PROT_READ), "mprotect: %s", strerror(errno));
		memcpy(before, memory, BIG);
		wait_for_batch(run, queue, batch);
		refused += count_refused(run, batch, memory, BIG);
		require(run, !memcmp(before, memory, BIG),
			"the device wrote after mprotect() had made the memory read-only");
		require(run, !mprotect(memory, BIG, PROT_READ | PROT_WRITE), "mprotect: %s",
			strerror(errno));
	}
	note(run, "%u of %u descriptors met mprotect()", refused, ROUNDS * FILLS);
	require(run, refused, "the device was never at work when its memory became read-only");
	sdma_close(queue);
}

/* Pages vanish below the device and come back by its faults: all of it ends up written. */
static void check_dontneed_dma(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, BIG, MAP_POPULATE);
	struct batch *batch = new_batch(run);

	for (int round = 0; round < ROUNDS / 4; round++) {
		unsigned int pause = 5000;

		start_fills(run, queue, batch, memory);
		/*
		 * With pauses: a device gives up on a page that vanishes again and again. They
		 * grow, so that one whose faults are slow gets ahead, too.
		 */
		while (!__atomic_load_n(&batch->record[FILLS - 2].status, __ATOMIC_ACQUIRE)) {
			require(run, !madvise(memory, BIG, MADV_DONTNEED), "madvise: %s",
				strerror(errno));
			sleep_us(pause);
			pause += pause / 4;
		}
		wait_for_batch(run, queue, batch);
		require(run, !count_refused(run, batch, memory, BIG), "the device was refused");
		must(run, queue, sdma_fill(memory, PATTERN, BIG));
		require(run, is_pattern(memory, PATTERN, BIG), "wrong bytes");
	}
	sdma_close(queue);
}

/* What a child has got by fork() does not change any more, while the device goes on. */
static void look_twice(struct run *run, void *argument)
{
	char *memory = argument;
	char *before = map_memory(run, BIG, MAP_POPULATE);

	memcpy(before, memory, BIG);
	sleep_us(20000);
	require(run, !memcmp(before, memory, BIG), "the device wrote to the memory of a child");
}

static void check_fork_dma(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, BIG, MAP_POPULATE);
	struct batch *batch = new_batch(run);
	uint64_t random = run->process + 4;
	pid_t child;

	for (int round = 0; round < ROUNDS; round++) {
		start_fills(run, queue, batch, memory);
		wait_a_moment(run, batch, &random);
		child = start_child(run, look_twice, memory);
		wait_for_batch(run, queue, batch);
		require(run, !count_refused(run, batch, memory, BIG), "the device was refused");
		require(run, is_byte(memory, FILLS, BIG), "the last fill: wrong bytes");
		must_pass(run, child);
	}
	sdma_close(queue);
}

const struct check checks_of_change[] = {
	{ "munmap", "unmapped memory is refused, with the address", check_munmap, 0 },
	{ "stale", "memory given back is not read any more", check_stale, 0 },
	{ "mprotect", "memory made read-only, inaccessible, and writable again", check_mprotect,
	  0 },
	{ "mremap", "moved memory is found at its new address only", check_mremap, 0 },
	{ "read-only", "read-only memory: reads work, writes are refused", check_read_only, 0 },
	{ "munmap-dma", "munmap under DMA: nothing is written to the next owner's pages",
	  check_munmap_dma, 0 },
	{ "mremap-dma", "mremap under DMA: nothing is written to what has moved", check_mremap_dma,
	  0 },
	{ "mprotect-dma", "mprotect under DMA: nothing is written any more", check_mprotect_dma,
	  0 },
	{ "dontneed-dma", "pages vanish under DMA and come back", check_dontneed_dma, 0 },
	{ "fork-dma", "fork under DMA: the child's memory stands still", check_fork_dma, 0 },
	{ 0 },
};
