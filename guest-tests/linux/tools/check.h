/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma-check: what its tests have in common. A test is a function that runs in a process of its
 * own, perhaps beside others of its kind, and returns if all is well; require() ends it otherwise.
 */
#ifndef TOOLS_CHECK_H
#define TOOLS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sdma.h"

#define PAGE	    4096UL
#define HUGE_PAGE   (2UL << 20)
#define DEVICES_MAX 8

/* What a test is told. */
struct run {
	const char *name;
	unsigned int process;	/* which of those that run this test at once */
	unsigned int processes; /* how many there are */
	const char *device[DEVICES_MAX];
	unsigned int devices;
	const char *tmpfs; /* a directory on a tmpfs */
	const char *disk;  /* a directory on a disk, or NULL */
	char *reason;	   /* of a skip: 256 bytes, shared with who started the test */
};

enum check_flag {
	CHECK_ALONE = 0x1, /* concerns the whole device, or its counters: one process at a time */
};

struct check {
	const char *name;
	const char *what;
	void (*test)(struct run *run);
	unsigned int flags;
};

/* The tests, by subject; each list ends with an empty entry. */
extern const struct check checks_of_memory[];
extern const struct check checks_of_paging[];
extern const struct check checks_of_change[];
extern const struct check checks_of_life[];
extern const struct check checks_of_errors[];
extern const struct check checks_of_device[];

/* --- Verdicts --- */

/* Ends this process as failed, with the message, unless the condition holds. */
void require(struct run *run, bool condition, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Ends this process as skipped, for this reason. */
void skip(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* A line for the reader. */
void note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- Queues --- */

/* Opens a queue of the n-th device, and waits for one if all are in use. */
struct sdma *take_queue(struct run *run, unsigned int device, const struct sdma_options *options);
/* Runs a descriptor that has to succeed, or has to end with this status; returns its record. */
struct sdma_completion must(struct run *run, struct sdma *queue, struct sdma_descriptor descriptor);
struct sdma_completion must_end(struct run *run, struct sdma *queue,
				struct sdma_descriptor descriptor,
				enum sdma_completion_status status);
struct sdma_status counters(struct run *run, struct sdma *queue);
/* A page fault that was refused, at an address from start on, in an access of this kind. */
void must_refuse(struct run *run, struct sdma *queue, struct sdma_descriptor descriptor,
		 unsigned int access, const void *start, size_t length);

/* Descriptors with a record each, submitted at once. */
#define BATCH_MAX 32
struct batch {
	struct sdma_completion record[BATCH_MAX];
	unsigned int count;
};
struct batch *new_batch(struct run *run);
void put(struct run *run, struct sdma *queue, struct batch *batch,
	 struct sdma_descriptor descriptor);
void wait_for_batch(struct run *run, struct sdma *queue, struct batch *batch);
/* Each done, or refused in [start, start + length); how many were refused. */
unsigned int count_refused(struct run *run, struct batch *batch, const void *start, size_t length);

/* The number of the signal that ringing the queue's doorbell raises, or 0. */
int ring_bell(const struct sdma *queue);

/* --- Memory --- */

/* Anonymous memory in small pages, not touched yet; extra flags of mmap(). */
void *map_memory(struct run *run, size_t length, int flags);
/* Bytes that depend on the seed alone. */
void write_random(void *memory, size_t length, uint64_t seed);
bool is_random(const void *memory, size_t length, uint64_t seed);
bool is_byte(const void *memory, unsigned char byte, size_t length);
bool is_pattern(const void *memory, uint64_t pattern, size_t length);
uint64_t next_random(uint64_t *state);
uint32_t crc32c(uint32_t seed, const void *memory, size_t length);

/*
 * All operations on two pieces of the same kind of memory, both written to: copy between odd
 * addresses, with what stands before and after untouched; compare, equal and not; CRC, whole and
 * in pieces; fill.
 */
void exercise(struct run *run, struct sdma *queue, void *a, void *b, size_t length);

/* --- Processes --- */

/* Forks; the child runs this and ends as passed. */
pid_t start_child(struct run *run, void (*child)(struct run *run, void *argument), void *argument);
void must_pass(struct run *run, pid_t child);
void sleep_us(unsigned int microseconds);

#endif
