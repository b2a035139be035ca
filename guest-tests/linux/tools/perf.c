// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sdma-perf: what an sdma device takes for copies, page requests, binding and unbinding an address
 * space, invalidations, and the kernel's copies through the DMA API.
 *
 * Latencies are medians and the best, of one descriptor at a time, from the doorbell to the record;
 * "queued" is MB/s with the ring never empty.
 */
#include "perf.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "number.h"

static const char usage[] =
	"Usage: sdma-perf [OPTION]...\n"
	"Measures an sdma device and prints a table.\n"
	"\n"
	"  --device PATH  (default: /dev/sdma0)\n"
	"  --ms N         milliseconds that each measurement may take (default: 200)\n"
	"  --interrupts   sleep until completions; default: look at the record\n"
	"  --only NAME    one measurement: warm, queued, cold, faulting (copies), request, bind,\n"
	"                 invalidate, coherent, streaming (the kernel's copies, without SVA)\n"
	"  --size BYTES   with --only: of a copy, 1 to 16777216, of coherent 8 to 4194304\n"
	"                 (default: 4096)\n"
	"  --pages N      with --only invalidate or streaming: 1 to 512 (default: 1)\n"
	"  --count N      with --only: so many operations, 1 to 4096, however long it takes\n"
	"  --step         with --only bind and --count: binds and unbinds at each line of input\n"
	"  --json         print JSON instead, one object a line\n"
	"  --help         this text\n";

void die(const char *format, ...)
{
	va_list arguments;

	fputs("sdma-perf: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- Memory --- */

char *map_memory(size_t length)
{
	char *memory =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap of %zu bytes: %s", length, strerror(errno));
	/* One translation for each 4 KiB, whatever the kernel would like better. */
	madvise(memory, length, MADV_NOHUGEPAGE);
	return memory;
}

void fault_in(char *memory, size_t length)
{
	for (size_t i = 0; i < length; i += PAGE)
		memory[i] = 1;
}

void need_memory(struct perf *perf, size_t length)
{
	if (length <= perf->mapped)
		return;
	if (perf->mapped) {
		munmap(perf->source, perf->mapped);
		munmap(perf->destination, perf->mapped);
	}
	perf->mapped = length;
	perf->source = map_memory(length);
	perf->destination = map_memory(length);
	fault_in(perf->source, length);
	fault_in(perf->destination, length);
}

/* --- Samples and results --- */

uint64_t start_samples(struct perf *perf)
{
	perf->samples.count = 0;
	return now_ns() + perf->budget_ms * 1000000ULL;
}

bool wants_more(const struct perf *perf, uint64_t end)
{
	unsigned int count = perf->samples.count;

	if (perf->count)
		return count < perf->count;
	return count < SAMPLES_MAX && (count < SAMPLES_MIN || now_ns() < end);
}

void add_sample(struct perf *perf, uint64_t ns)
{
	perf->samples.ns[perf->samples.count++] = ns;
}

void tell(struct perf *perf, const char *key, uint64_t value)
{
	perf->result[perf->results++] = (struct result){ key, value };
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void tell_samples(struct perf *perf, const char *middle, const char *best)
{
	struct samples *samples = &perf->samples;

	qsort(samples->ns, samples->count, sizeof(samples->ns[0]), by_value);
	tell(perf, "samples", samples->count);
	tell(perf, middle, samples->ns[samples->count / 2]);
	tell(perf, best, samples->ns[0]);
}

struct sdma_completion must_do(struct perf *perf, struct sdma_descriptor descriptor)
{
	struct sdma_completion record;
	int ret = sdma_run(perf->queue, &descriptor, &record);

	if (ret || record.status != SDMA_DONE)
		die("operation %u of %llu bytes: %s", descriptor.operation,
		    (unsigned long long)descriptor.length,
		    ret ? strerror(-ret) : sdma_status_name(record.status));
	return record;
}

/* --- Printing --- */

static bool takes_pages(const struct part *part)
{
	return part->kind == PART_PAGES || part->kind == PART_KERNEL_PAGES;
}

static void print_json(const struct perf *perf, const struct part *part)
{
	printf("{\"part\":\"%s\"", part->name);
	if (part->most)
		printf(",\"bytes\":%zu", perf->size);
	if (takes_pages(part))
		printf(",\"pages\":%u", perf->pages);
	for (unsigned int i = 0; i < perf->results; i++)
		printf(",\"%s\":%llu", perf->result[i].key,
		       (unsigned long long)perf->result[i].value);
	puts("}");
}

/* "NAME_ns" and a number of them are "NAME" and so many microseconds. */
static void print_result(const struct result *result)
{
	size_t length = strlen(result->key);

	if (length > 3 && !strcmp(result->key + length - 3, "_ns"))
		printf("  %.*s %.2f us", (int)length - 3, result->key,
		       (double)result->value / 1000);
	else if (!strcmp(result->key, "kb_s"))
		printf("  %.1f MB/s", (double)result->value / 1000);
	else
		printf("  %s %llu", result->key, (unsigned long long)result->value);
}

static void print_line(const struct perf *perf, const struct part *part)
{
	char at[32] = "";

	if (part->most)
		snprintf(at, sizeof(at), "%zu B", perf->size);
	if (takes_pages(part))
		snprintf(at, sizeof(at), "%u page%s", perf->pages, perf->pages == 1 ? "" : "s");
	printf("%-10s %11s", part->name, at);
	for (unsigned int i = 0; i < perf->results; i++)
		print_result(&perf->result[i]);
	putchar('\n');
}

static void measure(struct perf *perf, const struct part *part)
{
	perf->results = 0;
	part->measure(perf);
	if (perf->json)
		print_json(perf, part);
	else if (perf->results)
		print_line(perf, part);
}

/* --- Which --- */

static const struct part *const lists[] = { parts_of_copies, parts_of_binding, parts_of_kernel };

#define LISTS (sizeof(lists) / sizeof(lists[0]))

static bool is_of_kernel(const struct part *part)
{
	return part->kind == PART_KERNEL_COPY || part->kind == PART_KERNEL_PAGES;
}

static const struct part *find_part(const char *name)
{
	for (size_t i = 0; i < LISTS; i++)
		for (const struct part *part = lists[i]; part->name; part++)
			if (!strcmp(name, part->name))
				return part;
	fprintf(stderr, "sdma-perf: --only takes one of the names in --help, not '%s'\n", name);
	exit(2);
}

/* One part at all its sizes. */
static void measure_sizes(struct perf *perf, const struct part *part)
{
	if (part->most) {
		for (perf->size = SIZE_MIN; perf->size <= part->most; perf->size *= 4)
			measure(perf, part);
	} else if (takes_pages(part)) {
		for (perf->pages = 1; perf->pages <= PAGES_MOST; perf->pages *= 8)
			measure(perf, part);
	} else {
		measure(perf, part);
	}
}

static void measure_all(struct perf *perf)
{
	for (size_t i = 0; i < LISTS; i++) {
		if (is_of_kernel(lists[i]) && sdma_stop(perf->queue))
			die("the queue cannot be stopped");
		for (const struct part *part = lists[i]; part->name; part++)
			measure_sizes(perf, part);
	}
}

/* --- The command line --- */

static void check(const struct perf *perf)
{
	if (!perf->only && (perf->count || perf->step)) {
		fputs("sdma-perf: --count and --step go with --only\n", stderr);
		exit(2);
	}
	if (perf->step && (strcmp(perf->only->name, "bind") || !perf->count)) {
		fputs("sdma-perf: --step goes with --only bind and --count\n", stderr);
		exit(2);
	}
	if (perf->only && perf->only->most && perf->size > perf->only->most) {
		fprintf(stderr, "sdma-perf: --size of %s is at most %zu\n", perf->only->name,
			perf->only->most);
		exit(2);
	}
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
		{ "pages", required_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'c' },
		{ "step", no_argument, NULL, 'S' },
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
		case 'p':
			perf->pages = number("--pages", optarg, PAGES_MOST);
			break;
		case 'c':
			perf->count = number("--count", optarg, SAMPLES_MAX);
			break;
		case 'S':
			perf->step = true;
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
	check(perf);
}

int main(int argc, char **argv)
{
	static struct perf perf = {
		.device = "/dev/sdma0", .budget_ms = 200, .size = PAGE, .pages = 1
	};
	struct sdma_options options = { 0 };
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&perf, argc, argv);
	options.interrupts = perf.interrupts;
	options.spin_us = perf.interrupts ? 1 : 1000000;
	options.idle = perf.step || (perf.only && is_of_kernel(perf.only));
	ret = sdma_open(&perf.queue, perf.device, &options);
	if (ret)
		die("%s: %s", perf.device, strerror(-ret));
	if (perf.only)
		measure(&perf, perf.only);
	else
		measure_all(&perf);
	sdma_close(perf.queue);
	return EXIT_SUCCESS;
}
