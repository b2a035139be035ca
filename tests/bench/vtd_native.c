/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What translation costs, on this machine and without a guest: hits, walks of each mode, and
 * page-selective invalidation by how much is cached.
 *
 * Prints a table; with --json one object a line, {"name", "unit", "value", "best", "runs"}. Each
 * value is the median of RUNS runs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/vtd_world.h"

#define RUNS	     31
#define LOOPS	     20000
#define THREAD_LOOPS 300000 /* longer than a turn on a shared processor */
#define THREADS	     8
#define BASE	     UINT64_C(0x7f0000000000)

struct bench {
	struct vtd_world world;
	bool json;
};

/* Of this thread's own time: machines are shared, and so are their processors. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const struct bench *bench, const char *name, const char *unit, double *runs,
		   unsigned int count)
{
	qsort(runs, count, sizeof(*runs), compare);
	if (bench->json)
		printf("{\"name\": \"%s\", \"unit\": \"%s\", \"value\": %.2f, \"best\": %.2f, "
		       "\"runs\": %u}\n",
		       name, unit, runs[count / 2], runs[0], count);
	else
		printf("%-40s %10.2f %-6s (best %.2f)\n", name, runs[count / 2], unit, runs[0]);
	fflush(stdout);
}

static void build(struct bench *bench, enum world_mode mode)
{
	if (vtd_world_init(&bench->world, mode)) {
		fprintf(stderr, "vtd_native: no memory for a unit\n");
		exit(1);
	}
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "vtd_native: %s\n", what);
	exit(1);
}

static struct vtd_request request_of(const struct bench *bench)
{
	return (struct vtd_request){ .requester = bench->world.requester,
				     .pasid = bench->world.mode == WORLD_LEGACY ? VTD_NO_PASID
										: WORLD_PASID,
				     .iova = bench->world.iova,
				     .len = 64,
				     .access = VTD_READ };
}

/* --- One page --- */

static double time_hits(struct bench *bench, bool gate)
{
	struct vtd_request request = request_of(bench);
	struct vtd_result result;
	double start = now();

	for (unsigned int i = 0; i < LOOPS; i++) {
		unsigned int token = gate ? vtd_dma_enter(bench->world.f.unit) : 0;

		must(!vtd_translate(bench->world.f.unit, &request, &result), "a hit failed");
		if (gate)
			vtd_dma_leave(bench->world.f.unit, token);
	}
	return (now() - start) / LOOPS;
}

static void bench_hit(struct bench *bench, const char *name, enum world_mode mode, bool gate)
{
	double runs[RUNS];

	build(bench, mode);
	time_hits(bench, gate);
	for (unsigned int i = 0; i < RUNS; i++)
		runs[i] = time_hits(bench, gate);
	must(vtd_counter(bench->world.f.unit, VTD_COUNT_WALKS) <= 1, "a hit was a walk");
	report(bench, name, "ns", runs, RUNS);
	vtd_world_destroy(&bench->world);
}

/* A translation after an invalidation of everything, less the invalidation. */
static void bench_miss(struct bench *bench, const char *name, enum world_mode mode)
{
	double runs[RUNS];
	uint64_t walks;

	build(bench, mode);
	for (unsigned int run = 0; run < RUNS; run++) {
		struct vtd_request request = request_of(bench);
		struct vtd_result result;
		double start = now(), flushes;

		for (unsigned int i = 0; i < LOOPS / 10; i++)
			vtd_iotlb_invalidate_all(bench->world.f.unit);
		flushes = now() - start;
		start = now();
		for (unsigned int i = 0; i < LOOPS / 10; i++) {
			vtd_iotlb_invalidate_all(bench->world.f.unit);
			must(!vtd_translate(bench->world.f.unit, &request, &result),
			     "a walk failed");
		}
		runs[run] = (now() - start - flushes) / (LOOPS / 10);
	}
	walks = vtd_counter(bench->world.f.unit, VTD_COUNT_WALKS);
	must(walks == RUNS * (LOOPS / 10), "a walk was a hit");
	report(bench, name, "ns", runs, RUNS);
	vtd_world_destroy(&bench->world);
}

/* --- Many pages --- */

static void fill(struct bench *bench, uint64_t pages)
{
	struct vtd_unit *unit = bench->world.f.unit;

	for (uint64_t i = 0; i < pages; i++) {
		struct vtd_iotlb_key key = { .did = WORLD_DID,
					     .pasid = WORLD_PASID,
					     .iova = BASE + (i << 12) };
		struct vtd_iotlb_fill at = vtd_iotlb_begin(unit, &key);
		struct vtd_translation translation = { i << 12, 12,
						       VTD_TLB_READ | VTD_TLB_USER | VTD_TLB_RW |
							       VTD_TLB_WRITE | VTD_TLB_DIRTY };

		vtd_iotlb_insert(unit, &key, &at, &translation);
	}
}

static void bench_working_set(struct bench *bench, const char *name, uint64_t pages, bool random)
{
	double runs[RUNS];
	uint64_t at = 1;

	build(bench, WORLD_FS);
	fill(bench, pages);
	for (unsigned int run = 0; run < RUNS; run++) {
		struct vtd_request request = request_of(bench);
		struct vtd_result result;
		double start = now();

		for (unsigned int i = 0; i < LOOPS; i++) {
			at = random ? at * 6364136223846793005 + 1442695040888963407 : at + 1;
			request.iova = BASE + ((random ? at >> 40 : at) % pages << 12);
			must(!vtd_translate(bench->world.f.unit, &request, &result),
			     "a cached page is not there");
		}
		runs[run] = (now() - start) / LOOPS;
	}
	must(!vtd_counter(bench->world.f.unit, VTD_COUNT_WALKS), "a hit was a walk");
	report(bench, name, "ns", runs, RUNS);
	vtd_world_destroy(&bench->world);
}

static void bench_invalidate(struct bench *bench, uint64_t pages)
{
	double runs[RUNS];
	char name[64];

	build(bench, WORLD_FS);
	fill(bench, pages);
	for (unsigned int run = 0; run < RUNS; run++) {
		double start = now();

		for (unsigned int i = 0; i < LOOPS / 10; i++)
			vtd_iotlb_invalidate_pasid_pages(bench->world.f.unit, WORLD_DID,
							 WORLD_PASID,
							 BASE + (i * 7919 % pages << 12), 0);
		runs[run] = (now() - start) / (LOOPS / 10);
	}
	snprintf(name, sizeof(name), "invalidate a page, %u cached", (unsigned int)pages);
	report(bench, name, "ns", runs, RUNS);
	vtd_world_destroy(&bench->world);
}

/* --- Threads --- */

struct worker {
	struct bench *bench;
	pthread_barrier_t *barrier;
	pthread_t thread;
	unsigned int index;
	double took;
};

static void *work(void *context)
{
	struct worker *worker = context;
	struct vtd_request request = request_of(worker->bench);
	struct vtd_result result;

	/* Each its own device and pages, as queues have. */
	request.requester = worker->bench->world.f.device[worker->index].requester;
	pthread_barrier_wait(worker->barrier);
	worker->took = now();
	for (unsigned int i = 0; i < THREAD_LOOPS; i++) {
		unsigned int token = vtd_dma_enter(worker->bench->world.f.unit);

		request.iova = BASE + ((worker->index * 64 + i % 64) << 12);
		must(!vtd_translate(worker->bench->world.f.unit, &request, &result),
		     "a cached page is not there");
		vtd_dma_leave(worker->bench->world.f.unit, token);
	}
	worker->took = now() - worker->took;
	return NULL;
}

/* Devices with the same context entry, so that they share PASIDs. */
static void attach_more(struct vtd_world *w)
{
	for (unsigned int i = 1; i < THREADS; i++) {
		vtd_fixture_attach(&w->f, (uint16_t)(WORLD_SOURCE + i));
		for (unsigned int word = 0; word < 4; word++)
			vtd_fixture_store(&w->f, w->place[AT_CONTEXT] + 32 * i + 8 * word,
					  vtd_world_word(w, AT_CONTEXT, word));
	}
}

static void bench_threads(struct bench *bench, unsigned int threads)
{
	struct worker worker[THREADS];
	double runs[RUNS];
	char name[64];

	build(bench, WORLD_FS);
	attach_more(&bench->world);
	fill(bench, THREADS * 64);
	for (unsigned int run = 0; run < RUNS; run++) {
		pthread_barrier_t barrier;
		double took = 0;

		pthread_barrier_init(&barrier, NULL, threads);
		for (unsigned int i = 0; i < threads; i++) {
			worker[i] =
				(struct worker){ .bench = bench, .barrier = &barrier, .index = i };
			must(!pthread_create(&worker[i].thread, NULL, work, &worker[i]),
			     "no thread");
		}
		for (unsigned int i = 0; i < threads; i++) {
			pthread_join(worker[i].thread, NULL);
			took += worker[i].took;
		}
		runs[run] = took / threads / THREAD_LOOPS;
		pthread_barrier_destroy(&barrier);
	}
	snprintf(name, sizeof(name), "hit with the gate, %u threads at once", threads);
	report(bench, name, "ns", runs, RUNS);
	vtd_world_destroy(&bench->world);
}

int main(int argc, char **argv)
{
	static struct bench bench;

	bench.json = argc > 1 && !strcmp(argv[1], "--json");
	bench_hit(&bench, "hit, first stage", WORLD_FS, false);
	bench_hit(&bench, "hit, second stage", WORLD_SS, false);
	bench_hit(&bench, "hit, nested", WORLD_NESTED, false);
	bench_hit(&bench, "hit, first stage, with the gate", WORLD_FS, true);
	bench_hit(&bench, "pass-through", WORLD_PT, false);
	bench_miss(&bench, "walk, second stage of 4 levels, legacy", WORLD_LEGACY);
	bench_miss(&bench, "walk, second stage of 4 levels", WORLD_SS);
	bench_miss(&bench, "walk, first stage of 4 levels", WORLD_FS);
	bench_miss(&bench, "walk, first stage of 5 levels", WORLD_FS5);
	bench_miss(&bench, "walk, nested, 4 on 4 levels", WORLD_NESTED);
	bench_working_set(&bench, "hit, 64 pages in order", 64, false);
	bench_working_set(&bench, "hit, 65536 pages in order", 65536, false);
	bench_working_set(&bench, "hit, 65536 pages at random", 65536, true);
	bench_invalidate(&bench, 10);
	bench_invalidate(&bench, 1000);
	bench_invalidate(&bench, 100000);
	for (unsigned int threads = 1; threads <= THREADS; threads *= 2)
		bench_threads(&bench, threads);
	return 0;
}
