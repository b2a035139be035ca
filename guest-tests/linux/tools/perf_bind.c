// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Binding and unbinding an address space, and what it costs a process to take pages away from the
 * device: invalidations.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "perf.h"

static uint64_t timed_stop(struct perf *perf)
{
	uint64_t began = now_ns();
	int ret = sdma_stop(perf->queue);

	if (ret)
		die("unbinding: %s", strerror(-ret));
	return now_ns() - began;
}

static uint64_t timed_start(struct perf *perf)
{
	uint64_t began = now_ns();
	int ret = sdma_start(perf->queue);

	if (ret)
		die("binding: %s", strerror(-ret));
	return now_ns() - began;
}

/* A character at a time: the rest of the input is another program's. */
static void wait_for_line(void)
{
	char c;

	do {
		if (read(STDIN_FILENO, &c, 1) != 1)
			die("standard input has ended");
	} while (c != '\n');
}

/* Each at the word of who looks at counters before and after. */
static void step(struct perf *perf)
{
	puts("unbound");
	for (unsigned int i = 0; i < perf->count; i++) {
		wait_for_line();
		timed_start(perf);
		puts("bound");
		wait_for_line();
		timed_stop(perf);
		puts("unbound");
	}
}

static void measure_binding(struct perf *perf)
{
	static struct samples bind;
	uint64_t end;

	if (perf->step) {
		step(perf);
		return;
	}
	end = start_samples(perf);
	while (wants_more(perf, end)) {
		add_sample(perf, timed_stop(perf));
		bind.ns[bind.count++] = timed_start(perf);
	}
	tell_samples(perf, "unbind_ns", "unbind_best_ns");
	perf->samples = bind;
	tell_samples(perf, "bind_ns", "bind_best_ns");
}

/*
 * Pages lose the right to be written to after processor and, if @bound, device have written to
 * them: no page goes, so the difference between both is what the IOMMU takes.
 */
static void protect_pages(struct perf *perf, char *memory, bool bound)
{
	size_t length = perf->pages * PAGE;
	uint64_t end = start_samples(perf), began;

	while (wants_more(perf, end)) {
		if (mprotect(memory, length, PROT_READ | PROT_WRITE))
			die("mprotect: %s", strerror(errno));
		fault_in(memory, length);
		if (bound)
			must_do(perf, sdma_touch(memory, length, PAGE, true));
		began = now_ns();
		mprotect(memory, length, PROT_READ);
		add_sample(perf, now_ns() - began);
	}
}

static void measure_invalidation(struct perf *perf)
{
	char *memory = map_memory(perf->pages * PAGE);

	protect_pages(perf, memory, true);
	tell_samples(perf, "median_ns", "best_ns");
	timed_stop(perf);
	protect_pages(perf, memory, false);
	tell_samples(perf, "unbound_ns", "unbound_best_ns");
	timed_start(perf);
	munmap(memory, perf->pages * PAGE);
}

const struct part parts_of_binding[] = {
	{ "bind", PART_PROCESS, 0, measure_binding },
	{ "invalidate", PART_PAGES, 0, measure_invalidation },
	{ 0 },
};
