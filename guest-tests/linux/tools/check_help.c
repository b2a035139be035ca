// SPDX-License-Identifier: GPL-2.0-or-later
/* What the tests of sdma-check build on: queues, batches, memory, and the full set of operations.
 */

#include "check.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct sdma *take_queue(struct run *run, unsigned int device, const struct sdma_options *options)
{
	struct sdma *queue = NULL;
	int ret = -EBUSY;

	/* Others may have all queues for a while; the test's own time limit ends this. */
	while (ret == -EBUSY || ret == -EAGAIN) {
		ret = sdma_open(&queue, run->device[device], options);
		if (ret == -EBUSY || ret == -EAGAIN)
			sleep_us(2000);
	}
	require(run, !ret, "cannot open a queue of %s: %s", run->device[device], strerror(-ret));
	return queue;
}

static void explain_halt(struct run *run, struct sdma *queue, int error)
{
	struct sdma_status status;

	if (!sdma_status(queue, &status))
		note(run, "the queue is in state %u, reason: %s, at %#llx", status.state,
		     sdma_halt_name(status.reason), (unsigned long long)status.error);
	require(run, false, "a descriptor did not complete: %s", strerror(-error));
}

struct sdma_completion must_end(struct run *run, struct sdma *queue,
				struct sdma_descriptor descriptor,
				enum sdma_completion_status status)
{
	struct sdma_completion record;
	int ret = sdma_run(queue, &descriptor, &record);

	if (ret)
		explain_halt(run, queue, ret);
	require(run, record.status == status,
		"operation %u, %#llx -> %#llx, %llu bytes: %s at %#llx after %llu bytes, not %s",
		descriptor.operation, (unsigned long long)descriptor.source,
		(unsigned long long)descriptor.destination, (unsigned long long)descriptor.length,
		sdma_status_name(record.status), (unsigned long long)record.address,
		(unsigned long long)record.done, sdma_status_name(status));
	return record;
}

struct sdma_completion must(struct run *run, struct sdma *queue, struct sdma_descriptor descriptor)
{
	return must_end(run, queue, descriptor, SDMA_DONE);
}

static bool lies_in(uint64_t address, const void *start, size_t length)
{
	return address - (uintptr_t)start < length;
}

void must_refuse(struct run *run, struct sdma *queue, struct sdma_descriptor descriptor,
		 unsigned int access, const void *start, size_t length)
{
	struct sdma_completion record = must_end(run, queue, descriptor, SDMA_INVALID);

	require(run, lies_in(record.address, start, length), "refused at %#llx, not at %p",
		(unsigned long long)record.address, start);
	require(run, record.access == access, "refused access %u, not %u", record.access, access);
}

struct sdma_status counters(struct run *run, struct sdma *queue)
{
	struct sdma_status status;
	int ret = sdma_status(queue, &status);

	require(run, !ret, "the queue's status cannot be read: %s", strerror(-ret));
	return status;
}

static sigjmp_buf after_signal;

static void on_signal(int number)
{
	siglongjmp(after_signal, number);
}

int ring_bell(const struct sdma *queue)
{
	int number;

	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	number = sigsetjmp(after_signal, 1);
	if (!number)
		*sdma_doorbell_of(queue) = 0;
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return number;
}

struct batch *new_batch(struct run *run)
{
	return map_memory(run, (sizeof(struct batch) + PAGE - 1) & ~(PAGE - 1), MAP_POPULATE);
}

void put(struct run *run, struct sdma *queue, struct batch *batch,
	 struct sdma_descriptor descriptor)
{
	require(run, batch->count < BATCH_MAX, "the batch is full");
	descriptor.completion = (uintptr_t)&batch->record[batch->count++];
	require(run, !sdma_put(queue, &descriptor), "the ring is full");
}

void wait_for_batch(struct run *run, struct sdma *queue, struct batch *batch)
{
	for (unsigned int i = 0; i < batch->count; i++) {
		int ret = sdma_wait(queue, &batch->record[i], -1);

		if (ret)
			explain_halt(run, queue, ret);
	}
}

unsigned int count_refused(struct run *run, struct batch *batch, const void *start, size_t length)
{
	unsigned int refused = 0;

	for (unsigned int i = 0; i < batch->count; i++) {
		const struct sdma_completion *record = &batch->record[i];

		if (record->status == SDMA_DONE)
			continue;
		require(run, record->status == SDMA_INVALID,
			"descriptor %u of a batch: %s at %#llx", i,
			sdma_status_name(record->status), (unsigned long long)record->address);
		require(run, lies_in(record->address, start, length),
			"descriptor %u of a batch was refused at %#llx, not in %p", i,
			(unsigned long long)record->address, start);
		refused++;
	}
	return refused;
}

void *map_memory(struct run *run, size_t length, int flags)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | (flags & ~MAP_POPULATE), -1, 0);

	require(run, memory != MAP_FAILED, "mmap of %zu bytes: %s", length, strerror(errno));
	madvise(memory, length, MADV_NOHUGEPAGE);
	/* Not by mmap(), which might take huge pages. */
	if (flags & MAP_POPULATE)
		memset(memory, 0, length);
	return memory;
}

/* xorshift64* */
uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static uint64_t first_state(uint64_t seed)
{
	return seed * 0x9e3779b97f4a7c15ULL + 0x6a09e667f3bcc909ULL;
}

void write_random(void *memory, size_t length, uint64_t seed)
{
	uint64_t state = first_state(seed), value;
	unsigned char *bytes = memory;

	for (size_t i = 0; i < length; i += sizeof(value)) {
		value = next_random(&state);
		memcpy(bytes + i, &value, length - i < sizeof(value) ? length - i : sizeof(value));
	}
}

bool is_random(const void *memory, size_t length, uint64_t seed)
{
	uint64_t state = first_state(seed), value;
	const unsigned char *bytes = memory;

	for (size_t i = 0; i < length; i += sizeof(value)) {
		value = next_random(&state);
		if (memcmp(bytes + i, &value,
			   length - i < sizeof(value) ? length - i : sizeof(value)))
			return false;
	}
	return true;
}

bool is_byte(const void *memory, unsigned char byte, size_t length)
{
	const unsigned char *bytes = memory;

	return !length || (bytes[0] == byte && !memcmp(bytes, bytes + 1, length - 1));
}

bool is_pattern(const void *memory, uint64_t pattern, size_t length)
{
	const unsigned char *bytes = memory;

	for (size_t i = 0; i < length; i++)
		if (bytes[i] != (unsigned char)(pattern >> i % 8 * 8))
			return false;
	return true;
}

/* Bit by bit: it must be right, and share nothing with the device's. */
uint32_t crc32c(uint32_t seed, const void *memory, size_t length)
{
	const unsigned char *bytes = memory;
	uint32_t crc = ~seed;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

#define ODD   13
#define GUARD 0xa5
/* The test's own CRC takes its time. */
#define CRC_MAX (128UL << 10)

static void exercise_copy(struct run *run, struct sdma *queue, unsigned char *a, unsigned char *b,
			  size_t length)
{
	uint64_t seed = run->process + 1;

	write_random(a, length, seed);
	memset(b, GUARD, length);
	/* From and to addresses that are odd, and not by the same distance. */
	must(run, queue, sdma_copy(b + 2 * ODD, a + ODD, length - 3 * ODD));
	require(run, is_random(a, length, seed), "copy changed its source");
	require(run, !memcmp(b + 2 * ODD, a + ODD, length - 3 * ODD), "copy: wrong bytes");
	require(run, is_byte(b, GUARD, 2 * ODD) && is_byte(b + length - ODD, GUARD, ODD),
		"copy wrote outside of its destination");
	must(run, queue, sdma_copy(b, a, length));
	require(run, is_random(b, length, seed), "copy of all: wrong bytes");
}

static void exercise_compare(struct run *run, struct sdma *queue, unsigned char *a,
			     unsigned char *b, size_t length)
{
	size_t place = length - PAGE / 2 - 1;
	struct sdma_completion record = must(run, queue, sdma_compare(a, b, length));

	require(run, !record.result && record.done == length, "compare: equal bytes differ");
	b[place] ^= 0x10;
	record = must(run, queue, sdma_compare(a, b, length));
	require(run, record.result == 1 && record.done == place,
		"compare: result %u at %llu, but byte %zu differs", record.result,
		(unsigned long long)record.done, place);
	b[place] ^= 0x10;
}

static void exercise_crc(struct run *run, struct sdma *queue, unsigned char *a, size_t length)
{
	uint32_t want = crc32c(0, a + ODD, length - ODD), first, whole;

	whole = must(run, queue, sdma_crc32c(a + ODD, length - ODD, 0)).result;
	require(run, whole == want, "CRC: %#x, not %#x", whole, want);
	first = must(run, queue, sdma_crc32c(a + ODD, length / 2, 0)).result;
	whole = must(run, queue,
		     sdma_crc32c(a + ODD + length / 2, length - ODD - length / 2, first))
			.result;
	require(run, whole == want, "CRC in two pieces: %#x, not %#x", whole, want);
}

static void exercise_fill(struct run *run, struct sdma *queue, unsigned char *b, size_t length)
{
	uint64_t pattern = 0x0123456789abcdefULL * (run->process + 1);

	memset(b, GUARD, length);
	must(run, queue, sdma_fill(b + ODD, pattern, length - 2 * ODD));
	require(run, is_pattern(b + ODD, pattern, length - 2 * ODD), "fill: wrong bytes");
	require(run, is_byte(b, GUARD, ODD) && is_byte(b + length - ODD, GUARD, ODD),
		"fill wrote outside of its destination");
}

void exercise(struct run *run, struct sdma *queue, void *a, void *b, size_t length)
{
	exercise_copy(run, queue, a, b, length);
	exercise_compare(run, queue, a, b, length);
	exercise_crc(run, queue, a, length < CRC_MAX ? length : CRC_MAX);
	exercise_fill(run, queue, b, length);
}
