// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sdma-perf: how long copies take, from a process's own memory to its own memory: with translations
 * that the device has (warm), that it must ask for (cold), and pages that do not exist yet
 * (faulting); page requests one by one; binding and unbinding an address space; the kernel's copies
 * through the DMA API.
 *
 * Latencies are medians and the best, of one descriptor at a time, from the doorbell to the record;
 * "queued" is MB/s with the ring never empty.
 */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sdma.h"

#define PAGE	    4096UL
#define SIZE_MIN    64UL
#define SIZE_MOST   (16UL << 20)
#define SAMPLES_MAX 4096U
#define SAMPLES_MIN 5U
/* More pages than any device-TLB has entries; each cold copy goes to the next ones. */
#define COLD  (32UL << 20)
#define DEPTH 16U

struct part;

struct perf {
	struct sdma *queue;
	const struct part *only; /* NULL: all */
	const char *device;
	bool json;
	bool interrupts;
	unsigned int budget_ms; /* for each measurement */
	unsigned int count;	/* of operations of the only measurement; 0: by the budget */
	size_t size;		/* of its copies */
	char *source, *destination;
	uint64_t sample[SAMPLES_MAX];
	unsigned int samples;
	uint64_t waited;		/* by page requests, of all samples */
	struct sdma_completion *record; /* DEPTH of them */
};

static const char usage[] =
	"Usage: sdma-perf [OPTION]...\n"
	"Measures an sdma device and prints a table.\n"
	"\n"
	"  --device PATH  (default: /dev/sdma0)\n"
	"  --ms N         milliseconds that each measurement may take (default: 200)\n"
	"  --interrupts   sleep until completions; default: look at the record\n"
	"  --only NAME    one measurement: warm, cold, faulting (copies), request, bind,\n"
	"                 coherent, streaming (the kernel's copies, which need no SVA)\n"
	"  --size BYTES   with --only: of a copy, 1 to 16777216 (default: 4096)\n"
	"  --count N      with --only: so many operations, 1 to 4096, however long it takes\n"
	"  --json         print JSON instead\n"
	"  --help         this text\n";

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
	va_list arguments;

	fputs("sdma-perf: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static char *map(size_t length, int flags)
{
	char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap of %zu bytes: %s", length, strerror(errno));
	/* One translation for each 4 KiB, whatever the kernel would like better. */
	madvise(memory, length, MADV_NOHUGEPAGE);
	return memory;
}

static void fault_in(char *memory, size_t length)
{
	for (size_t i = 0; i < length; i += PAGE)
		memory[i] = 1;
}

/* --- Samples --- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* On a machine that does other things too, the median tells as much of them as of the device. */
struct latency {
	uint64_t best, median;
};

static struct latency latency_of(struct perf *perf)
{
	qsort(perf->sample, perf->samples, sizeof(perf->sample[0]), by_value);
	return (struct latency){ perf->sample[0], perf->sample[perf->samples / 2] };
}

/* The time from the doorbell to the record, of a descriptor that has to succeed. */
static void measure_one(struct perf *perf, struct sdma_descriptor descriptor)
{
	struct sdma_completion record;
	uint64_t began = now_ns();
	int ret = sdma_run(perf->queue, &descriptor, &record);

	perf->sample[perf->samples++] = now_ns() - began;
	if (ret || record.status != SDMA_DONE)
		die("operation %u of %llu bytes: %s", descriptor.operation,
		    (unsigned long long)descriptor.length,
		    ret ? strerror(-ret) : sdma_status_name(record.status));
	perf->waited += record.waited;
}

struct clock {
	uint64_t end;
};

static struct clock start_clock(struct perf *perf)
{
	perf->samples = 0;
	perf->waited = 0;
	return (struct clock){ now_ns() + perf->budget_ms * 1000000ULL };
}

static bool wants_more(const struct perf *perf, const struct clock *clock)
{
	if (perf->count)
		return perf->samples < perf->count;
	return perf->samples < SAMPLES_MAX &&
	       (perf->samples < SAMPLES_MIN || now_ns() < clock->end);
}

static struct latency warm_latency(struct perf *perf, size_t size)
{
	struct clock clock;

	/* Once before, for the translations. */
	perf->samples = 0;
	measure_one(perf, sdma_copy(perf->destination, perf->source, size));
	clock = start_clock(perf);
	while (wants_more(perf, &clock))
		measure_one(perf, sdma_copy(perf->destination, perf->source, size));
	return latency_of(perf);
}

/* Always where the device has not been for long. */
static struct latency cold_latency(struct perf *perf, size_t size)
{
	size_t stride = (size + PAGE - 1) & ~(PAGE - 1), place = 0;
	struct clock clock = start_clock(perf);

	while (wants_more(perf, &clock)) {
		measure_one(perf, sdma_copy(perf->destination + place, perf->source + place, size));
		place += stride;
		if (place + stride > COLD)
			place = 0;
	}
	return latency_of(perf);
}

/* Into memory that the process has never touched. */
static struct latency faulting_latency(struct perf *perf, size_t size)
{
	size_t stride = (size + PAGE - 1) & ~(PAGE - 1), place = 0;
	struct clock clock = start_clock(perf);
	char *fresh = map(COLD, 0);

	while (wants_more(perf, &clock)) {
		measure_one(perf, sdma_copy(fresh + place, perf->source, size));
		place += stride;
		if (place + stride > COLD) {
			madvise(fresh, COLD, MADV_DONTNEED);
			place = 0;
		}
	}
	munmap(fresh, COLD);
	return latency_of(perf);
}

/* Bytes per microsecond with the ring never empty. */
static double throughput(struct perf *perf, size_t size)
{
	uint64_t began = now_ns(), end = began + perf->budget_ms * 1000000ULL, done = 0, put = 0;

	for (;;) {
		struct sdma_descriptor copy = sdma_copy(perf->destination, perf->source, size);
		struct sdma_completion *record = &perf->record[done % DEPTH];

		while (put - done < DEPTH) {
			memset(&perf->record[put % DEPTH], 0, sizeof(*record));
			copy.completion = (uintptr_t)&perf->record[put % DEPTH];
			if (sdma_put(perf->queue, &copy))
				break;
			put++;
		}
		sdma_submit(perf->queue);
		if (sdma_wait(perf->queue, record, -1) || record->status != SDMA_DONE)
			die("a copy of %zu bytes: %s", size, sdma_status_name(record->status));
		done++;
		if (done >= DEPTH && now_ns() >= end)
			break;
	}
	while (done < put)
		if (sdma_wait(perf->queue, &perf->record[done++ % DEPTH], -1))
			die("a copy of %zu bytes did not end", size);
	return (double)(done * size) * 1000 / (double)(now_ns() - began);
}

/* --- Rows --- */

static double bytes_per_us(size_t size, uint64_t ns)
{
	return (double)size * 1000 / (double)ns;
}

static void print_row(struct perf *perf, size_t size, bool first)
{
	struct latency warm = warm_latency(perf, size);
	double queued = throughput(perf, size);
	struct latency cold = cold_latency(perf, size);
	struct latency faulting = faulting_latency(perf, size);

	if (perf->json)
		printf("%s\n    { \"bytes\": %zu, \"warm_ns\": %llu, \"warm_best_ns\": %llu, "
		       "\"queued_mb_s\": %.1f, \"cold_ns\": %llu, \"cold_best_ns\": %llu, "
		       "\"faulting_ns\": %llu, \"faulting_best_ns\": %llu }",
		       first ? "" : ",", size, (unsigned long long)warm.median,
		       (unsigned long long)warm.best, queued, (unsigned long long)cold.median,
		       (unsigned long long)cold.best, (unsigned long long)faulting.median,
		       (unsigned long long)faulting.best);
	else
		printf("%9zu %11.2f %11.2f %9.1f %9.1f %11.2f %11.2f %12.2f %12.2f\n", size,
		       (double)warm.median / 1000, (double)warm.best / 1000,
		       bytes_per_us(size, warm.median), queued, (double)cold.median / 1000,
		       (double)cold.best / 1000, (double)faulting.median / 1000,
		       (double)faulting.best / 1000);
}

static void print_copies(struct perf *perf)
{
	if (perf->json)
		printf("  \"copies\": [");
	else
		printf("%9s %11s %11s %9s %9s %11s %11s %12s %12s\n", "bytes", "warm us", "best us",
		       "MB/s", "queued", "cold us", "best us", "faulting us", "best us");
	for (size_t size = SIZE_MIN; size <= SIZE_MOST; size *= 4)
		print_row(perf, size, size == SIZE_MIN);
	if (perf->json)
		printf("\n  ],\n");
}

static void print_value(struct perf *perf, const char *name, const char *key, double value,
			const char *unit, bool last)
{
	if (perf->json)
		printf("  \"%s\": %.3f%s\n", key, value, last ? "" : ",");
	else
		printf("%-44s %12.2f %s\n", name, value, unit);
}

/* One page at a time: from the request to the response as the device sees it, and all around it. */
static void measure_page_requests(struct perf *perf)
{
	struct clock clock = start_clock(perf);
	char *fresh = map(COLD, 0);
	size_t place = 0;
	double device;

	while (wants_more(perf, &clock) && place < COLD) {
		measure_one(perf, sdma_touch(fresh + place, PAGE, PAGE, true));
		place += PAGE;
	}
	munmap(fresh, COLD);
	device = (double)perf->waited / perf->samples / 1000;
	print_value(perf, "page request, sent to answered (mean)", "page_request_us", device, "us",
		    false);
	print_value(perf, "first touch of a page by the device (median)", "first_touch_us",
		    (double)latency_of(perf).median / 1000, "us", false);
}

static void measure_binding(struct perf *perf)
{
	struct clock clock = start_clock(perf);
	uint64_t began = now_ns(), spent;

	while (wants_more(perf, &clock)) {
		int ret = sdma_stop(perf->queue);

		if (!ret)
			ret = sdma_start(perf->queue);
		if (ret)
			die("unbinding and binding: %s", strerror(-ret));
		perf->samples++;
	}
	spent = now_ns() - began;
	print_value(perf, "unbind and bind", "bind_per_s",
		    (double)perf->samples * 1e9 / (double)spent, "/s", false);
}

static void measure_kernel(struct perf *perf, uint32_t flags, const char *name, const char *key,
			   bool last)
{
	/* Each call sets the queue up: a count of copies is one call. */
	struct sdma_kernel_copy copy = { .bytes = PAGE,
					 .copies = perf->count ? perf->count : 1,
					 .flags = flags };
	uint64_t end = now_ns() + perf->budget_ms * 1000000ULL, done = 0, spent = 0;

	do {
		int ret = sdma_kernel_copy(perf->queue, &copy);

		if (ret || copy.status != SDMA_DONE)
			die("a copy in the kernel: %s",
			    ret ? strerror(-ret) : sdma_status_name(copy.status));
		done += copy.done;
		spent += copy.nanoseconds;
		copy.copies = copy.copies < 1000 ? copy.copies * 2 : copy.copies;
	} while (!perf->count && now_ns() < end);
	print_value(perf, name, key, (double)spent / (double)done / 1000, "us", last);
}

static void measure_coherent(struct perf *perf)
{
	measure_kernel(perf, 0, "kernel: 4 KiB, coherent memory", "kernel_coherent_us", false);
}

static void measure_streaming(struct perf *perf)
{
	measure_kernel(perf, SDMA_KERNEL_STREAMING, "kernel: 4 KiB, mapped and unmapped each time",
		       "kernel_streaming_us", true);
}

/* What --only takes: copies of a process, and the rest. */
struct part {
	const char *name;
	struct latency (*copy)(struct perf *perf, size_t size);
	void (*other)(struct perf *perf);
	bool kernel;
};

static const struct part parts[] = {
	{ "warm", warm_latency, NULL, false },
	{ "cold", cold_latency, NULL, false },
	{ "faulting", faulting_latency, NULL, false },
	{ "request", NULL, measure_page_requests, false },
	{ "bind", NULL, measure_binding, false },
	{ "coherent", NULL, measure_coherent, true },
	{ "streaming", NULL, measure_streaming, true },
};

static const struct part *find_part(const char *name)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(name, parts[i].name))
			return &parts[i];
	die("--only is warm, cold, faulting, request, bind, coherent or streaming, not '%s'", name);
}

static void measure_part(struct perf *perf)
{
	if (perf->only->copy)
		print_value(perf, perf->only->name, perf->only->name,
			    (double)perf->only->copy(perf, perf->size).median / 1000, "us", true);
	else
		perf->only->other(perf);
}

static void measure(struct perf *perf)
{
	if (perf->json)
		printf("{\n");
	print_copies(perf);
	if (!perf->json)
		putchar('\n');
	measure_page_requests(perf);
	measure_binding(perf);
	if (sdma_stop(perf->queue))
		die("the queue cannot be stopped");
	measure_coherent(perf);
	measure_streaming(perf);
	if (perf->json)
		printf("}\n");
}

/* A number from 1 to @most. */
static unsigned int number(const char *option, const char *text, unsigned int most)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || !value || value > most)
		die("%s is a number from 1 to %u, not '%s'", option, most, text);
	return (unsigned int)value;
}

static void parse(struct perf *perf, int argc, char **argv)
{
	static const struct option known[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "ms", required_argument, NULL, 'm' },
		{ "interrupts", no_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "only", required_argument, NULL, 'o' },
		{ "size", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 'd':
			perf->device = optarg;
			break;
		case 'm':
			perf->budget_ms = number("--ms", optarg, 60000);
			break;
		case 'i':
			perf->interrupts = true;
			break;
		case 'j':
			perf->json = true;
			break;
		case 'o':
			perf->only = find_part(optarg);
			break;
		case 's':
			perf->size = number("--size", optarg, SIZE_MOST);
			break;
		case 'c':
			perf->count = number("--count", optarg, SAMPLES_MAX);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			exit(2);
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
	if (perf->count && !perf->only)
		die("--count goes with --only");
}

int main(int argc, char **argv)
{
	static struct perf perf = { .device = "/dev/sdma0", .budget_ms = 200, .size = PAGE };
	struct sdma_options options = { 0 };
	size_t used;
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&perf, argc, argv);
	perf.source = map(COLD, 0);
	perf.destination = map(COLD, 0);
	used = perf.only && perf.only->copy != cold_latency ? perf.size : COLD;
	fault_in(perf.source, used);
	fault_in(perf.destination, used);
	perf.record = (struct sdma_completion *)map(PAGE, 0);
	fault_in((char *)perf.record, PAGE);
	options.interrupts = perf.interrupts;
	options.spin_us = perf.interrupts ? 1 : 1000000;
	options.idle = perf.only && perf.only->kernel;
	ret = sdma_open(&perf.queue, perf.device, &options);
	if (ret)
		die("%s: %s", perf.device, strerror(-ret));
	if (perf.only)
		measure_part(&perf);
	else
		measure(&perf);
	sdma_close(perf.queue);
	return EXIT_SUCCESS;
}
