// SPDX-License-Identifier: GPL-2.0-or-later
/* What must fail, how the process learns of it, and that the queue goes on or can be started anew.
 */

#include "check.h"

#include <string.h>
#include <sys/mman.h>

#define LENGTH (64UL << 10)

static struct sdma_descriptor without(struct sdma_descriptor descriptor, unsigned int flag)
{
	descriptor.flags &= (uint8_t)~flag;
	return descriptor;
}

static struct sdma_descriptor with(struct sdma_descriptor descriptor, unsigned int flag)
{
	descriptor.flags |= (uint8_t)flag;
	return descriptor;
}

/* --- Addresses --- */

static const struct {
	uint64_t address;
	const char *name;
	bool canonical;
} bad_addresses[] = {
	{ 0, "zero", true },
	{ 0x1000, "the second page", true },
	{ 0x00007ffffffff000, "the last page below the hole", true },
	{ 0xffff888000000000, "the kernel's map of all memory", true },
	{ 0xffffffff81000000, "the kernel's text", true },
	{ 0xffffffffff600000, "the page of old system calls", true },
	{ 0xfffffffffffff000, "the last page", true },
	{ 0x0001000000000000, "a non-canonical address", false },
	{ 0x0080000000000000, "a non-canonical address with one bit", false },
	{ 0x8000000000000000, "a non-canonical address, negative", false },
};

/* One way of meeting it; the record names the address, and what was there stays secret. */
static void meet(struct run *run, struct sdma *queue, struct sdma_descriptor descriptor,
		 uint64_t address, const char *name, bool canonical)
{
	struct sdma_completion record;
	int ret = sdma_run(queue, &descriptor, &record);

	require(run, !ret, "%s: the queue has halted", name);
	if (canonical)
		require(run, record.status == SDMA_INVALID, "%s: %s", name,
			sdma_status_name(record.status));
	else
		require(run,
			record.status == SDMA_INVALID || record.status == SDMA_FAULT ||
				record.status == SDMA_ERROR,
			"%s: %s", name, sdma_status_name(record.status));
	require(run, record.address == address, "%s: refused at %#llx", name,
		(unsigned long long)record.address);
	require(run, !record.done && !record.result, "%s: %llu bytes done", name,
		(unsigned long long)record.done);
}

static void check_addresses(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, MAP_POPULATE);

	memset(memory, 0x33, LENGTH);
	for (size_t i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
		uint64_t address = bad_addresses[i].address;
		void *there = (void *)(uintptr_t)address;
		const char *name = bad_addresses[i].name;
		bool canonical = bad_addresses[i].canonical;

		meet(run, queue, sdma_copy(memory, there, 64), address, name, canonical);
		meet(run, queue, sdma_fill(there, 0, 64), address, name, canonical);
		meet(run, queue, sdma_copy(there, memory, 64), address, name, canonical);
		require(run, is_byte(memory, 0x33, LENGTH), "%s: something was read", name);
		must(run, queue, sdma_compare(memory, memory, LENGTH));
	}
	sdma_close(queue);
}

/* Into a hole: all bytes before it are there, none after it is. */
static void check_edge(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *source = map_memory(run, LENGTH, 0), *memory = map_memory(run, LENGTH, 0);
	struct sdma_completion record;
	char *hole = memory + 5 * PAGE;

	write_random(source, LENGTH, 1);
	memset(memory, 0x44, LENGTH);
	require(run, !munmap(hole, PAGE), "munmap failed");
	record = must_end(run, queue, sdma_copy(memory + 100, source, LENGTH - 100), SDMA_INVALID);
	require(run, record.address == (uintptr_t)hole && record.access == 2,
		"refused at %#llx, access %u", (unsigned long long)record.address, record.access);
	require(run, record.done == 5 * PAGE - 100, "%llu bytes done",
		(unsigned long long)record.done);
	require(run, is_random(memory + 100, record.done, 1),
		"the bytes before the hole are wrong");
	require(run, is_byte(memory, 0x44, 100) && is_byte(hole + PAGE, 0x44, LENGTH - 6 * PAGE),
		"bytes behind the hole were written");
	record = must_end(run, queue, sdma_crc32c(memory + 1, LENGTH - 1, 0), SDMA_INVALID);
	require(run, record.address == (uintptr_t)hole && record.access == 1,
		"refused at %#llx, access %u", (unsigned long long)record.address, record.access);
	sdma_close(queue);
}

/* Without leave to wait the process learns of the missing page, brings it in, and goes on. */
static void check_no_wait(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, 0);
	struct sdma_status before = counters(run, queue);
	unsigned int faults = 0;
	uint64_t done = 0;

	while (done < LENGTH) {
		struct sdma_descriptor fill = sdma_fill(memory + done, 0x55, LENGTH - done);
		struct sdma_completion record;

		fill = without(fill, SDMA_FLAG_BLOCK);
		require(run, !sdma_run(queue, &fill, &record), "the queue has halted");
		done += record.done;
		if (record.status == SDMA_DONE)
			break;
		require(run, record.status == SDMA_FAULT, "%s", sdma_status_name(record.status));
		require(run, record.address == (uintptr_t)memory + done,
			"a fault at %#llx after %llu bytes", (unsigned long long)record.address,
			(unsigned long long)done);
		memory[done] = 1;
		require(run, ++faults <= LENGTH / PAGE, "more faults than pages");
	}
	require(run, done == LENGTH && faults == LENGTH / PAGE, "%u faults for %lu pages", faults,
		LENGTH / PAGE);
	require(run, is_pattern(memory, 0x55, LENGTH), "fill: wrong bytes");
	require(run, counters(run, queue).page_requests == before.page_requests,
		"pages were asked for all the same");
	sdma_close(queue);
}

/* Untranslated requests, which the unit translates: they can fault, but not wait. */
static void check_untranslated(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *source = map_memory(run, LENGTH, 0), *memory = map_memory(run, LENGTH, 0);
	struct sdma_status before = counters(run, queue), after;
	struct sdma_completion record;

	write_random(source, LENGTH, 3);
	memset(memory, 0, LENGTH);
	must(run, queue, with(sdma_copy(memory, source, LENGTH), SDMA_FLAG_NO_ATC));
	require(run, is_random(memory, LENGTH, 3), "untranslated copy: wrong bytes");
	after = counters(run, queue);
	require(run, after.untranslated > before.untranslated, "no request was untranslated");
	munmap(memory, LENGTH);
	record = must_end(run, queue, with(sdma_fill(memory, 0, PAGE), SDMA_FLAG_NO_ATC),
			  SDMA_FAULT);
	require(run, record.address == (uintptr_t)memory && record.access == 2,
		"a fault at %#llx, access %u", (unsigned long long)record.address, record.access);
	sdma_close(queue);
}

/* --- Descriptors --- */

static void check_descriptors(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, MAP_POPULATE);
	struct sdma_descriptor bad;
	struct sdma_info info;

	require(run, !sdma_info(queue, &info), "no information of the device");
	bad = sdma_fill(memory, ~0ULL, LENGTH);
	bad.operation = 0xee;
	must_end(run, queue, bad, SDMA_BAD_OPERATION);
	must_end(run, queue, with(sdma_fill(memory, ~0ULL, LENGTH), 0x80), SDMA_BAD_DESCRIPTOR);
	must_end(run, queue, with(sdma_fill(memory, ~0ULL, LENGTH), SDMA_FLAG_WRITE_TOUCH),
		 SDMA_BAD_DESCRIPTOR);
	must_end(run, queue, sdma_fill(memory, ~0ULL, 0), SDMA_BAD_DESCRIPTOR);
	must_end(run, queue, sdma_fill(memory, ~0ULL, info.length_max + 1), SDMA_BAD_DESCRIPTOR);
	must_end(run, queue, sdma_touch(memory, LENGTH, 0, false), SDMA_BAD_DESCRIPTOR);
	must_end(run, queue, sdma_fill((void *)~4095ULL, ~0ULL, 3 * PAGE), SDMA_BAD_DESCRIPTOR);
	bad = sdma_fill(memory, ~0ULL, LENGTH);
	bad.reserved0 = 1;
	must_end(run, queue, bad, SDMA_BAD_DESCRIPTOR);
	bad.reserved0 = 0;
	bad.reserved2[1] = 1;
	must_end(run, queue, bad, SDMA_BAD_DESCRIPTOR);
	require(run, is_byte(memory, 0, LENGTH), "a bad descriptor was carried out");
	must(run, queue, sdma_nop());
	sdma_close(queue);
}

static void check_lists(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *a = map_memory(run, LENGTH, 0), *b = map_memory(run, LENGTH, 0);
	struct sdma_piece *list = (struct sdma_piece *)map_memory(run, 2 * PAGE, 0);
	struct sdma_descriptor gather, scatter;
	uint64_t place = 0;
	unsigned int count = 0;

	/* Pieces of all sizes, from the end to the beginning; together they are all of it. */
	while (place < LENGTH) {
		uint64_t length = 1 + count * 97 % 5000;

		if (length > LENGTH - place)
			length = LENGTH - place;
		place += length;
		list[count++] = (struct sdma_piece){ (uintptr_t)a + LENGTH - place, length };
	}
	write_random(a, LENGTH, 9);
	gather = (struct sdma_descriptor){ .operation = SDMA_GATHER,
					   .flags = SDMA_FLAG_BLOCK,
					   .source = (uintptr_t)list,
					   .destination = (uintptr_t)b,
					   .length = LENGTH,
					   .operand = count };
	must(run, queue, gather);
	place = 0;
	for (unsigned int i = 0; i < count; i++) {
		require(run, !memcmp(b + place, (void *)(uintptr_t)list[i].address, list[i].length),
			"gather: piece %u of %u is wrong", i, count);
		place += list[i].length;
	}
	memset(a, 0, LENGTH);
	scatter = gather;
	scatter.operation = SDMA_SCATTER;
	scatter.source = (uintptr_t)b;
	scatter.destination = (uintptr_t)list;
	must(run, queue, scatter);
	require(run, is_random(a, LENGTH, 9), "scatter: wrong bytes");
	/* A list that is too short, and one with a hole in it. */
	scatter.operand = count - 1;
	must_end(run, queue, scatter, SDMA_BAD_DESCRIPTOR);
	munmap((char *)list + PAGE, PAGE);
	gather.source = (uintptr_t)list + PAGE;
	must_end(run, queue, gather, SDMA_INVALID);
	sdma_close(queue);
}

/* --- Queues that halt --- */

/* Halts it, looks at the reason, and starts it anew. */
static void must_halt(struct run *run, struct sdma *queue, enum sdma_halt reason, uint64_t address)
{
	struct sdma_status status = { 0 };

	for (int i = 0; i < 5000 && status.state != SDMA_Q_HALTED; i++) {
		sleep_us(1000);
		status = counters(run, queue);
	}
	require(run, status.state == SDMA_Q_HALTED && status.reason == reason,
		"state %u, reason: %s, not %s", status.state, sdma_halt_name(status.reason),
		sdma_halt_name(reason));
	require(run, !address || status.error == address, "it halted at %#llx, not %#llx",
		(unsigned long long)status.error, (unsigned long long)address);
	require(run, !sdma_stop(queue) && !sdma_start(queue), "it cannot be started again");
	must(run, queue, sdma_nop());
}

static void check_halts(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	struct sdma_setup *setup = (struct sdma_setup *)(uintptr_t)sdma_setup_of(queue);
	struct sdma_descriptor nop = { .operation = SDMA_NOP, .completion = 0xffff888000000000 };
	struct sdma_setup good = *setup;

	require(run, !sdma_put(queue, &nop), "the ring is full");
	sdma_submit(queue);
	must_halt(run, queue, SDMA_HALT_COMPLETION, nop.completion);

	__atomic_store_n(&((struct sdma_index *)(uintptr_t)setup->index)->tail, 1000,
			 __ATOMIC_RELEASE);
	*sdma_doorbell_of(queue) = 0;
	must_halt(run, queue, SDMA_HALT_TAIL, 0);

	require(run, !sdma_stop(queue), "it cannot be stopped");
	setup->index = 0xffff888000000000;
	require(run, !sdma_start(queue), "it does not start");
	setup->index = good.index;
	must_halt(run, queue, SDMA_HALT_INDEX, 0xffff888000000000);

	require(run, !sdma_stop(queue), "it cannot be stopped");
	setup->ring = 0x1000;
	require(run, !sdma_start(queue), "it does not start");
	require(run, !sdma_put(queue, &nop), "the ring is full");
	sdma_submit(queue);
	setup->ring = good.ring;
	must_halt(run, queue, SDMA_HALT_RING, 0x1000);
	sdma_close(queue);
}

const struct check checks_of_errors[] = {
	{ "addresses", "addresses that are nobody's or the kernel's are refused", check_addresses,
	  0 },
	{ "edge", "a copy into a hole stops exactly there", check_edge, 0 },
	{ "no-wait", "without leave to wait the process brings the pages in", check_no_wait, 0 },
	{ "untranslated", "requests that the unit translates", check_untranslated, 0 },
	{ "descriptors", "bad descriptors are refused one by one", check_descriptors, 0 },
	{ "lists", "gather and scatter, and lists with mistakes", check_lists, 0 },
	{ "halts", "a queue that halts says why, and starts again", check_halts, 0 },
	{ 0 },
};
