/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations. Each has a step, which does what lies in one run of memory, or in one run on
 * either side, and says how it went on; a descriptor is as many steps as it takes.
 */
#include <errno.h>

#include "devices/sdma_device.h"

#define TOUCH_COST 16 /* of an access that needs no translation of its own, like bytes */

enum uses {
	USES_SOURCE = 1,
	USES_DESTINATION = 2,
	USES_LENGTH = 4,	/* 1 to SDMA_BYTES_MAX */
	USES_LENGTH_OR_ALL = 8, /* or 0 */
	LIST_IN_SOURCE = 16,
	LIST_IN_DESTINATION = 32,
	USES_STRIDE = 64,
	USES_SEED = 128,
};

struct operation {
	unsigned int uses;
	int (*step)(struct sdma_queue *queue);
};

/* --- What steps are made of --- */

static struct sdma_target target_of(const struct sdma_queue *queue, uint64_t address, uint64_t len,
				    unsigned int access)
{
	uint8_t flags = queue->job.descriptor.flags;

	return (struct sdma_target){ .address = address,
				     .len = len,
				     .access = access,
				     .untranslated = flags & SDMA_FLAG_NO_ATC,
				     .block = flags & SDMA_FLAG_BLOCK };
}

/* Bytes that may still be moved under the lock: at least a cache line, so that it goes on. */
static uint64_t room(const struct sdma *sdma)
{
	return sdma->cost + 64 < SDMA_PIECE ? SDMA_PIECE - sdma->cost : 64;
}

/* @len bytes on @sides sides are done. */
static void advance(struct sdma_queue *queue, uint64_t len, unsigned int sides)
{
	queue->job.done += len;
	queue->sdma->cost += len;
	sdma_count(queue, SDMA_COUNT_BYTES, len * sides);
	sdma_progress(queue);
}

/* One run on one side. */
static int map_one(struct sdma_queue *queue, uint64_t address, uint64_t len, unsigned int access,
		   struct sdma_span *span)
{
	struct sdma_target target = target_of(queue, address, len, access);
	int rc = sdma_map(queue, &target, span);

	if (!rc)
		span->len = min_u64(span->len, room(queue->sdma));
	return rc;
}

/* Runs of the same length on both sides. */
static int map_both(struct sdma_queue *queue, uint64_t source, uint64_t destination, uint64_t len,
		    unsigned int destination_access, struct sdma_span *from, struct sdma_span *to)
{
	int rc = map_one(queue, source, len, VTD_READ, from);

	if (!rc)
		rc = map_one(queue, destination, len, destination_access, to);
	if (!rc)
		from->len = to->len = min_u64(from->len, to->len);
	return rc;
}

static int ended(const struct sdma_queue *queue)
{
	return queue->job.done == queue->job.descriptor.length ? SDMA_DONE : 0;
}

/* memmove: what the guest lets overlap must not hurt the host. */
static int move(struct sdma_queue *queue, uint64_t source, uint64_t destination, uint64_t len)
{
	struct sdma_span from, to;
	int rc = map_both(queue, source, destination, len, VTD_WRITE, &from, &to);

	if (rc)
		return rc;
	memmove(to.host, from.host, to.len);
	queue->job.piece_done += to.len;
	advance(queue, to.len, 2);
	return 0;
}

/* --- Steps --- */

static int step_nop(struct sdma_queue *queue)
{
	(void)queue;
	return SDMA_DONE;
}

static int step_copy(struct sdma_queue *queue)
{
	const struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	int rc = move(queue, d->source + job->done, d->destination + job->done,
		      d->length - job->done);

	return rc ? rc : ended(queue);
}

static int step_fill(struct sdma_queue *queue)
{
	const struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	unsigned int phase = job->done % 8 * 8;
	/* The pattern as it stands at the start of this run. */
	uint64_t pattern =
		htole64(phase ? d->operand >> phase | d->operand << (64 - phase) : d->operand);
	struct sdma_span to;
	uint64_t at = 0;
	int rc = map_one(queue, d->destination + job->done, d->length - job->done, VTD_WRITE, &to);

	if (rc)
		return rc;
	for (; at + 8 <= to.len; at += 8)
		memcpy((uint8_t *)to.host + at, &pattern, 8);
	memcpy((uint8_t *)to.host + at, &pattern, to.len - at);
	advance(queue, to.len, 1);
	return ended(queue);
}

/* How many bytes are equal. */
static uint64_t equal_bytes(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint64_t at = 0;

	while (at + 8 <= len && load_le64(a + at) == load_le64(b + at))
		at += 8;
	while (at < len && a[at] == b[at])
		at++;
	return at;
}

static int step_compare(struct sdma_queue *queue)
{
	struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	struct sdma_span from, to;
	uint64_t equal;
	int rc = map_both(queue, d->source + job->done, d->destination + job->done,
			  d->length - job->done, VTD_READ, &from, &to);

	if (rc)
		return rc;
	equal = equal_bytes(from.host, to.host, to.len);
	advance(queue, equal, 2);
	job->result = equal < to.len;
	return job->result ? SDMA_DONE : ended(queue);
}

static int step_crc32c(struct sdma_queue *queue)
{
	struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	struct sdma_span from;
	int rc = map_one(queue, d->source + job->done, d->length - job->done, VTD_READ, &from);

	if (rc)
		return rc;
	job->result = sdma_crc32c(&queue->sdma->crc, job->done ? job->result : (uint32_t)d->operand,
				  from.host, from.len);
	advance(queue, from.len, 1);
	return ended(queue);
}

/*
 * Makes the current piece one with something left. 0: there is; SDMA_DONE: the list has ended; else
 * as sdma_map(). At most SDMA_PIECES_MAX pieces are ever read, one in a call.
 */
static int next_piece(struct sdma_queue *queue, uint64_t list)
{
	struct sdma_job *job = &queue->job;
	struct sdma_target target = target_of(queue, list + job->pieces * sizeof(struct sdma_piece),
					      sizeof(struct sdma_piece), VTD_READ);
	struct sdma_piece piece;
	int rc;

	if (job->pieces == job->descriptor.operand)
		return SDMA_DONE;
	rc = sdma_load(queue, &target, &piece);
	if (rc)
		return rc;
	piece.address = le64toh(piece.address);
	piece.length = le64toh(piece.length);
	if (piece.length > SDMA_BYTES_MAX - job->done ||
	    (piece.length && piece.address + (piece.length - 1) < piece.address))
		return SDMA_BAD_DESCRIPTOR;
	job->piece = piece;
	job->piece_done = 0;
	job->pieces++;
	sdma_progress(queue);
	return 0;
}

/* Bytes that the operation may still move by the current piece. */
static uint64_t piece_left(const struct sdma_job *job)
{
	uint64_t left = job->piece.length - job->piece_done;

	if (!job->descriptor.length)
		return left;
	return min_u64(left, job->descriptor.length - job->done);
}

/* Where the list ends: right only if no length was given, or all of it was moved. */
static int list_ended(const struct sdma_job *job)
{
	bool right = !job->descriptor.length || job->done == job->descriptor.length;

	return right ? SDMA_DONE : SDMA_BAD_DESCRIPTOR;
}

static int step_gather(struct sdma_queue *queue)
{
	struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	uint64_t destination = d->destination + job->done;
	int rc;

	if (job->piece_done == job->piece.length) {
		rc = next_piece(queue, d->source);
		return rc == SDMA_DONE ? list_ended(job) : rc;
	}
	if (destination + (piece_left(job) - 1) < destination)
		return SDMA_BAD_DESCRIPTOR;
	rc = move(queue, job->piece.address + job->piece_done, destination, piece_left(job));
	return rc ? rc : d->length ? ended(queue) : 0;
}

static int step_scatter(struct sdma_queue *queue)
{
	struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	int rc;

	if (job->piece_done == job->piece.length) {
		rc = next_piece(queue, d->destination);
		return rc == SDMA_DONE ? list_ended(job) : rc;
	}
	rc = move(queue, d->source + job->done, job->piece.address + job->piece_done,
		  piece_left(job));
	return rc ? rc : ended(queue);
}

/* Read and written back, atomically: a byte that a CPU changes meanwhile keeps that change. */
static void touch(uint8_t *byte, bool write)
{
	uint8_t value = __atomic_load_n(byte, __ATOMIC_RELAXED);

	if (write)
		__atomic_compare_exchange_n(byte, &value, value, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

static int step_touch(struct sdma_queue *queue)
{
	struct sdma_job *job = &queue->job;
	const struct sdma_descriptor *d = &job->descriptor;
	bool write = d->flags & SDMA_FLAG_WRITE_TOUCH;
	uint64_t at = 0, count = 0;
	struct sdma_span span;
	/* Asking for one byte keeps page requests to what is touched, unless that is every page. */
	uint64_t len = d->operand <= PAGE_SIZE_4K ? d->length - job->done : 1;
	int rc = map_one(queue, d->source + job->done, len, write ? VTD_READ | VTD_WRITE : VTD_READ,
			 &span);

	if (rc)
		return rc;
	/* At most as many as the piece of work allows, and one. */
	while (at < span.len) {
		touch((uint8_t *)span.host + at, write);
		count++;
		queue->sdma->cost += TOUCH_COST;
		if (queue->sdma->cost >= SDMA_PIECE || d->operand >= span.len - at)
			break;
		at += d->operand;
	}
	job->result = (uint32_t)min_u64(job->result + count, UINT32_MAX);
	sdma_count(queue, SDMA_COUNT_BYTES, write ? count * 2 : count);
	sdma_progress(queue);
	/* To the next byte to touch; the end is the end, whatever the stride. */
	job->done += at;
	if (d->operand >= d->length - job->done) {
		job->done = d->length;
		return SDMA_DONE;
	}
	job->done += d->operand;
	return 0;
}

static const struct operation operations[] = {
	[SDMA_NOP] = { 0, step_nop },
	[SDMA_COPY] = { USES_SOURCE | USES_DESTINATION | USES_LENGTH, step_copy },
	[SDMA_FILL] = { USES_DESTINATION | USES_LENGTH, step_fill },
	[SDMA_COMPARE] = { USES_SOURCE | USES_DESTINATION | USES_LENGTH, step_compare },
	[SDMA_CRC32C] = { USES_SOURCE | USES_LENGTH | USES_SEED, step_crc32c },
	[SDMA_GATHER] = { LIST_IN_SOURCE | USES_DESTINATION | USES_LENGTH_OR_ALL, step_gather },
	[SDMA_SCATTER] = { USES_SOURCE | LIST_IN_DESTINATION | USES_LENGTH, step_scatter },
	[SDMA_TOUCH] = { USES_SOURCE | USES_LENGTH | USES_STRIDE, step_touch },
};

/* --- The check at the door --- */

static bool range_wraps(uint64_t address, uint64_t len)
{
	return len && address + (len - 1) < address;
}

static bool list_valid(uint64_t address, uint64_t pieces)
{
	return !(address % 8) && pieces >= 1 && pieces <= SDMA_PIECES_MAX &&
	       !range_wraps(address, pieces * sizeof(struct sdma_piece));
}

static bool operands_valid(const struct sdma_descriptor *d, unsigned int uses)
{
	if (uses & (USES_LENGTH | USES_LENGTH_OR_ALL) && d->length > SDMA_BYTES_MAX)
		return false;
	if (uses & USES_LENGTH && !d->length)
		return false;
	if (uses & USES_SOURCE && range_wraps(d->source, d->length))
		return false;
	if (uses & USES_DESTINATION && range_wraps(d->destination, d->length))
		return false;
	if (uses & LIST_IN_SOURCE && !list_valid(d->source, d->operand))
		return false;
	if (uses & LIST_IN_DESTINATION && !list_valid(d->destination, d->operand))
		return false;
	if (uses & USES_STRIDE && !d->operand)
		return false;
	return !(uses & USES_SEED) || d->operand <= UINT32_MAX;
}

uint8_t sdma_check(const struct sdma_descriptor *d)
{
	if (d->operation >= ARRAY_SIZE(operations))
		return SDMA_BAD_OPERATION;
	if (d->flags & ~SDMA_FLAGS || d->reserved0 || d->reserved1 || d->reserved2[0] ||
	    d->reserved2[1] || (d->flags & SDMA_FLAG_WRITE_TOUCH && d->operation != SDMA_TOUCH) ||
	    !operands_valid(d, operations[d->operation].uses))
		return SDMA_BAD_DESCRIPTOR;
	return 0;
}

int sdma_execute(struct sdma_queue *queue)
{
	return operations[queue->job.descriptor.operation].step(queue);
}
