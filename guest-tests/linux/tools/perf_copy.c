// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies from a process's own memory to its own memory: with translations that the device has
 * (warm), that it must ask for (cold), and pages that do not exist yet (faulting); the ring never
 * empty (queued); page requests one by one.
 */
#include <string.h>
#include <sys/mman.h>

#include "perf.h"

/* More pages than the device-TLB may have entries; each cold copy goes to the next ones. */
#define COLD  (8UL << 20)
#define DEPTH 16U

/* From the doorbell to the record. */
static uint64_t timed(struct perf *perf, struct sdma_descriptor descriptor)
{
	uint64_t began = now_ns();

	must_do(perf, descriptor);
	return now_ns() - began;
}

static void measure_warm(struct perf *perf)
{
	struct sdma_descriptor copy;
	uint64_t end;

	need_memory(perf, perf->size);
	copy = sdma_copy(perf->destination, perf->source, perf->size);
	/* Once before, for the translations. */
	must_do(perf, copy);
	end = start_samples(perf);
	while (wants_more(perf, end))
		add_sample(perf, timed(perf, copy));
	tell_samples(perf, "median_ns", "best_ns");
}

static size_t whole_pages(size_t size)
{
	return (size + PAGE - 1) & ~(PAGE - 1);
}

/* Where a copy may go so that the device has not been there for long. */
static size_t cold_space(size_t size)
{
	return 2 * whole_pages(size) > COLD ? 2 * whole_pages(size) : COLD;
}

static void measure_cold(struct perf *perf)
{
	size_t stride = whole_pages(perf->size), space = cold_space(perf->size), place = 0;
	uint64_t end;

	need_memory(perf, space);
	end = start_samples(perf);
	while (wants_more(perf, end)) {
		add_sample(perf, timed(perf, sdma_copy(perf->destination + place,
						       perf->source + place, perf->size)));
		place += stride;
		if (place + stride > space)
			place = 0;
	}
	tell_samples(perf, "median_ns", "best_ns");
}

/* Into memory that the process has never touched. */
static void measure_faulting(struct perf *perf)
{
	size_t stride = whole_pages(perf->size), space = cold_space(perf->size), place = 0;
	char *fresh = map_memory(space);
	uint64_t end;

	need_memory(perf, perf->size);
	end = start_samples(perf);
	while (wants_more(perf, end)) {
		add_sample(perf, timed(perf, sdma_copy(fresh + place, perf->source, perf->size)));
		place += stride;
		if (place + stride > space) {
			madvise(fresh, space, MADV_DONTNEED);
			place = 0;
		}
	}
	munmap(fresh, space);
	tell_samples(perf, "median_ns", "best_ns");
}

/* Copies that are under way at the same time. */
struct pipe {
	struct sdma_completion *record; /* DEPTH of them */
	uint64_t put, done;
};

static void fill_ring(struct perf *perf, struct pipe *pipe)
{
	struct sdma_descriptor copy = sdma_copy(perf->destination, perf->source, perf->size);

	while (pipe->put - pipe->done < DEPTH) {
		struct sdma_completion *record = &pipe->record[pipe->put % DEPTH];

		memset(record, 0, sizeof(*record));
		copy.completion = (uintptr_t)record;
		if (sdma_put(perf->queue, &copy))
			break;
		pipe->put++;
	}
	sdma_submit(perf->queue);
}

static void finish_one(struct perf *perf, struct pipe *pipe)
{
	struct sdma_completion *record = &pipe->record[pipe->done % DEPTH];

	if (sdma_wait(perf->queue, record, -1) || record->status != SDMA_DONE)
		die("a copy of %zu bytes: %s", perf->size, sdma_status_name(record->status));
	pipe->done++;
}

static void measure_queued(struct perf *perf)
{
	struct pipe pipe = { 0 };
	uint64_t began, end;

	need_memory(perf, perf->size);
	pipe.record = (struct sdma_completion *)map_memory(PAGE);
	fault_in((char *)pipe.record, PAGE);
	began = now_ns();
	end = began + perf->budget_ms * 1000000ULL;
	do {
		fill_ring(perf, &pipe);
		finish_one(perf, &pipe);
	} while (pipe.done < (perf->count ? perf->count : DEPTH) ||
		 (!perf->count && now_ns() < end));
	while (pipe.done < pipe.put)
		finish_one(perf, &pipe);
	tell(perf, "samples", pipe.done);
	tell(perf, "kb_s", pipe.done * perf->size * 1000000 / (now_ns() - began));
	munmap(pipe.record, PAGE);
}

/* One page at a time: from the request to the response as the device sees it, and all around it. */
static void measure_page_requests(struct perf *perf)
{
	size_t space = SAMPLES_MAX * PAGE;
	char *fresh = map_memory(space);
	uint64_t end = start_samples(perf), waited = 0;

	while (wants_more(perf, end)) {
		struct sdma_descriptor touch =
			sdma_touch(fresh + perf->samples.count * PAGE, PAGE, PAGE, true);
		uint64_t began = now_ns();

		waited += must_do(perf, touch).waited;
		add_sample(perf, now_ns() - began);
	}
	munmap(fresh, space);
	tell(perf, "mean_ns", waited / perf->samples.count);
	tell_samples(perf, "touch_ns", "touch_best_ns");
}

const struct part parts_of_copies[] = {
	{ "warm", PART_COPY, SIZE_MOST, measure_warm },
	{ "queued", PART_COPY, SIZE_MOST, measure_queued },
	{ "cold", PART_COPY, SIZE_MOST, measure_cold },
	{ "faulting", PART_COPY, SIZE_MOST, measure_faulting },
	{ "request", PART_PROCESS, 0, measure_page_requests },
	{ 0 },
};
