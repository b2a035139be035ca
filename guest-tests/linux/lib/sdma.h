/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue of an sdma device, for a process that hands its own pointers to it.
 *
 *	struct sdma *queue;
 *	struct sdma_completion result;
 *	struct sdma_descriptor copy = sdma_copy(to, from, length);
 *
 *	if (!sdma_open(&queue, "/dev/sdma0", NULL) && !sdma_run(queue, &copy, &result))
 *		... result.status is SDMA_DONE, or says what went wrong where
 *	sdma_close(queue);
 *
 * Functions return 0 or a negative errno. A queue is used by one thread at a time; different queues
 * are independent. After fork() the queue is the parent's: the child may only sdma_close() it.
 */
#ifndef LIB_SDMA_H
#define LIB_SDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdma_regs.h"
#include "sdma_uapi.h"

struct sdma;

struct sdma_options {
	unsigned int log2;    /* descriptors of the ring; 0: 6 */
	bool interrupts;      /* descriptors with SDMA_FLAG_INTERRUPT wake sdma_wait() */
	unsigned int spin_us; /* sdma_wait() looks at nothing but the record that long; 0: 20 */
	bool idle;	      /* open only: sdma_start() comes later, or never (kernel mode) */
};

/* Opens the device and, unless told otherwise, starts the queue. -EBUSY: no queue is free. */
int sdma_open(struct sdma **queue, const char *device, const struct sdma_options *options);
/* Stops and forgets it; waits until the device has let go. NULL is fine. */
void sdma_close(struct sdma *queue);

/* Binds the address space and starts at an empty ring; sdma_stop() undoes both. */
int sdma_start(struct sdma *queue);
int sdma_stop(struct sdma *queue);

/*
 * Batches: copies a descriptor into the ring (-EAGAIN: it is full), any number of times; then hands
 * them over. The completion record named in a descriptor has to stay until it says so itself.
 */
int sdma_put(struct sdma *queue, const struct sdma_descriptor *descriptor);
void sdma_submit(struct sdma *queue);

/*
 * Waits until the device has written the record. -EIO: the queue has halted, or is off, so that no
 * one ever will (sdma_status() says why); -ETIMEDOUT: after so many milliseconds; -1: no limit.
 */
int sdma_wait(struct sdma *queue, const struct sdma_completion *record, int milliseconds);

/* One descriptor from beginning to end, with a record of its own; 60 s at most. */
int sdma_run(struct sdma *queue, const struct sdma_descriptor *descriptor,
	     struct sdma_completion *result);

int sdma_status(struct sdma *queue, struct sdma_status *status);
int sdma_info(struct sdma *queue, struct sdma_info *info);
/* Kernel mode: the queue must not be started. Needs CAP_SYS_ADMIN. */
int sdma_kernel_copy(struct sdma *queue, struct sdma_kernel_copy *copy);

/* For what the functions above do not do. The setup holds queue number, PASID, ring and index. */
int sdma_descriptor_of(const struct sdma *queue);
const struct sdma_setup *sdma_setup_of(const struct sdma *queue);
volatile uint32_t *sdma_doorbell_of(const struct sdma *queue);

const char *sdma_status_name(unsigned int completion_status);
const char *sdma_halt_name(unsigned int reason);

/* Descriptors, all of which ask for pages that are missing. */
static inline struct sdma_descriptor sdma_nop(void)
{
	return (struct sdma_descriptor){ .operation = SDMA_NOP };
}

static inline struct sdma_descriptor sdma_copy(void *destination, const void *source, size_t length)
{
	return (struct sdma_descriptor){ .operation = SDMA_COPY,
					 .flags = SDMA_FLAG_BLOCK,
					 .source = (uintptr_t)source,
					 .destination = (uintptr_t)destination,
					 .length = length };
}

static inline struct sdma_descriptor sdma_fill(void *destination, uint64_t pattern, size_t length)
{
	return (struct sdma_descriptor){ .operation = SDMA_FILL,
					 .flags = SDMA_FLAG_BLOCK,
					 .destination = (uintptr_t)destination,
					 .length = length,
					 .operand = pattern };
}

static inline struct sdma_descriptor sdma_compare(const void *a, const void *b, size_t length)
{
	return (struct sdma_descriptor){ .operation = SDMA_COMPARE,
					 .flags = SDMA_FLAG_BLOCK,
					 .source = (uintptr_t)a,
					 .destination = (uintptr_t)b,
					 .length = length };
}

static inline struct sdma_descriptor sdma_crc32c(const void *source, size_t length, uint32_t seed)
{
	return (struct sdma_descriptor){ .operation = SDMA_CRC32C,
					 .flags = SDMA_FLAG_BLOCK,
					 .source = (uintptr_t)source,
					 .length = length,
					 .operand = seed };
}

/* Reads a byte of every stride; with write, writes it back too. */
static inline struct sdma_descriptor sdma_touch(void *start, size_t length, size_t stride,
						bool write)
{
	return (struct sdma_descriptor){ .operation = SDMA_TOUCH,
					 .flags = (uint8_t)(SDMA_FLAG_BLOCK |
							    (write ? SDMA_FLAG_WRITE_TOUCH : 0)),
					 .source = (uintptr_t)start,
					 .length = length,
					 .operand = stride };
}

#endif
