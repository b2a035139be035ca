/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma-perf: what its parts have in common. A part measures one thing and tells its results, which
 * perf.c prints.
 */
#ifndef TOOLS_PERF_H
#define TOOLS_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdma.h"

#define PAGE	    4096UL
#define SIZE_MIN    64UL
#define SIZE_MOST   (16UL << 20)
#define PAGES_MOST  512U
#define SAMPLES_MAX 4096U
#define SAMPLES_MIN 5U
#define RESULTS_MAX 8U

/* Nanoseconds of single operations. */
struct samples {
	uint64_t ns[SAMPLES_MAX];
	unsigned int count;
};

struct result {
	const char *key; /* "..._ns" is nanoseconds, "kb_s" thousands of bytes a second */
	uint64_t value;
};

struct perf {
	struct sdma *queue;
	const char *device;
	const struct part *only; /* NULL: all */
	bool json;
	bool interrupts;
	bool step;		/* bind and unbind as standard input says */
	unsigned int budget_ms; /* for each measurement */
	unsigned int count;	/* of operations of the only measurement; 0: by the budget */
	size_t size;		/* of copies */
	unsigned int pages;	/* of invalidations and mappings */
	char *source, *destination;
	size_t mapped; /* bytes of each */
	struct samples samples;
	struct result result[RESULTS_MAX];
	unsigned int results;
};

/* What it depends on, beside the device. */
enum part_kind { PART_COPY, PART_PAGES, PART_PROCESS, PART_KERNEL_COPY, PART_KERNEL_PAGES };

struct part {
	const char *name;
	enum part_kind kind;
	size_t most; /* bytes of a copy; 0: it has no size */
	void (*measure)(struct perf *perf);
};

/* The parts, by subject; each list ends with an empty entry. */
extern const struct part parts_of_copies[];
extern const struct part parts_of_binding[];
extern const struct part parts_of_kernel[];

/* Ends the program with the message. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void);

/* Anonymous memory of small pages; not touched yet. */
char *map_memory(size_t length);
void fault_in(char *memory, size_t length);
/* Source and destination, of at least so many bytes, touched. */
void need_memory(struct perf *perf, size_t length);

/* --- Samples --- */

/* Empties the samples, and returns the time at which those of this measurement end. */
uint64_t start_samples(struct perf *perf);
bool wants_more(const struct perf *perf, uint64_t end);
void add_sample(struct perf *perf, uint64_t ns);

/*
 * Their middle and their best: on a machine that does other things too, the middle tells as much of
 * them as of the device.
 */
void tell_samples(struct perf *perf, const char *middle, const char *best);
void tell(struct perf *perf, const char *key, uint64_t value);

/* Runs a descriptor that has to succeed; returns its record. */
struct sdma_completion must_do(struct perf *perf, struct sdma_descriptor descriptor);

#endif
