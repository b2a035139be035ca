/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: translations, invalidations and changes of tables at once. Also meant to be built with
 * ThreadSanitizer.
 *
 * The invariant is the guest's: once an invalidation and the wait for DMA under way are over, no
 * DMA uses what was there before. Guest memory is accessed as the processor and the unit do, with
 * atomic accesses.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/vtd_world.h"

#define DEVICES	  3 /* threads that do DMA */
#define PASIDS	  4
#define VERSIONS  120 /* times that the guest changes what a PASID maps */
#define MAX_WAITS 100000

static struct vtd_world world;

struct shared {
	/* GPA that each PASID's page must not be below: what older ones were is invalid. */
	uint64_t oldest[PASIDS];
	bool stop;
	unsigned int stale, errors;
	uint64_t translations;
};

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void guest_store(uint64_t gpa, uint64_t value)
{
	__atomic_store_n((uint64_t *)(void *)(world.f.memory + gpa), value, __ATOMIC_RELEASE);
}

/* Translates again and again, and checks inside the gate that what came out is not too old. */
static void *device(void *context)
{
	struct shared *shared = context;
	unsigned int turn = 0;

	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		unsigned int i = turn++ % PASIDS;
		struct vtd_request request = { .requester = world.requester,
					       .pasid = WORLD_PASID + i,
					       .iova = world.iova,
					       .len = 8,
					       .access = turn & 8 ? VTD_WRITE : VTD_READ };
		struct vtd_result result;
		unsigned int token = vtd_dma_enter(world.f.unit);
		uint64_t oldest = load(&shared->oldest[i]);

		/* What was valid when we came in, or anything newer. */
		if (vtd_translate(world.f.unit, &request, &result))
			__atomic_fetch_add(&shared->errors, 1, __ATOMIC_RELAXED);
		else if (result.gpa < oldest)
			__atomic_fetch_add(&shared->stale, 1, __ATOMIC_RELAXED);
		vtd_dma_leave(world.f.unit, token);
		/* Whoever loses the processor should do so here, and not inside. */
		if (turn % 16 == 0)
			sched_yield();
		__atomic_fetch_add(&shared->translations, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* How the guest makes a change known, in turn. */
static void invalidate(unsigned int how, uint32_t pasid)
{
	struct vtd_unit *unit = world.f.unit;

	switch (how % 5) {
	case 0:
		vtd_iotlb_invalidate_all(unit);
		break;
	case 1:
		vtd_iotlb_invalidate_domain(unit, WORLD_DID);
		break;
	case 2:
		vtd_iotlb_invalidate_pasid(unit, WORLD_DID, pasid);
		break;
	default:
		vtd_iotlb_invalidate_pasid_pages(unit, WORLD_DID, pasid, world.iova, how % 4);
		break;
	}
}

/* Gives each PASID tables of its own: a copy of the path, page by page. Returns the leaf's GPA. */
static uint64_t own_tables(unsigned int i)
{
	static const enum world_place places[] = { AT_FS_ROOT, AT_FS_LEVEL3, AT_FS_LEVEL2,
						   AT_FS_LEAF };
	uint64_t entry = world.place[AT_RID_PASID] + 64 * (WORLD_PASID + i), leaf = 0;
	uint64_t above = entry + 16; /* FSPTPTR */

	for (unsigned int w = 0; w < 3; w++)
		vtd_fixture_store(&world.f, entry + 8 * w, vtd_world_word(&world, AT_RID_PASID, w));
	for (unsigned int p = 0; p < 4; p++) {
		uint64_t page = vtd_fixture_page(&world.f);

		vtd_fixture_store(&world.f, above,
				  (vtd_fixture_load(&world.f, above) & ~VTD_FS_ADDR) | page);
		leaf = page + (world.place[places[p]] & 0xfff);
		vtd_fixture_store(&world.f, leaf, vtd_world_word(&world, places[p], 0));
		above = leaf;
	}
	return leaf;
}

static void start(pthread_t *thread, struct shared *shared)
{
	for (unsigned int i = 0; i < DEVICES; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, device, shared), 0);
}

static void stop(pthread_t *thread, struct shared *shared)
{
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < DEVICES; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(shared->stale, 0);
	assert_int_equal(shared->errors, 0);
}

/* Waits until the devices did something since. */
static void let_run(struct shared *shared)
{
	uint64_t before = load(&shared->translations);

	for (unsigned int i = 0; i < MAX_WAITS && load(&shared->translations) < before + 20; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
}

static uint64_t version_page(unsigned int version)
{
	/* Ascending pages, which need not be RAM: nobody looks into them. */
	return UINT64_C(0x100000000) + ((uint64_t)version << 12);
}

static void test_pages(void **state)
{
	static struct shared shared;
	pthread_t thread[DEVICES];
	uint64_t leaf[PASIDS];

	(void)state;
	shared = (struct shared){ 0 };
	assert_int_equal(vtd_world_init(&world, WORLD_FS), 0);
	for (unsigned int i = 0; i < PASIDS; i++)
		leaf[i] = own_tables(i);
	for (unsigned int i = 0; i < PASIDS; i++)
		guest_store(leaf[i], version_page(0) | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
	start(thread, &shared);
	for (unsigned int version = 1; version < VERSIONS; version++) {
		unsigned int i = version % PASIDS;

		guest_store(leaf[i], version_page(version) | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
		invalidate(version, WORLD_PASID + i);
		/* Those who come in from here on have to see it. */
		__atomic_store_n(&shared.oldest[i], version_page(version), __ATOMIC_RELEASE);
		if (version % 8 == 0)
			let_run(&shared);
	}
	stop(thread, &shared);
	assert_true(vtd_counter(world.f.unit, VTD_COUNT_IOTLB_HITS) > 0);
	vtd_world_destroy(&world);
}

/* The same with PASID entries: they change, then entries and the IOTLB are invalidated. */
static void test_entries(void **state)
{
	static struct shared shared;
	pthread_t thread[DEVICES];
	uint64_t leaf[2], root[2];

	(void)state;
	shared = (struct shared){ 0 };
	assert_int_equal(vtd_world_init(&world, WORLD_FS), 0);
	for (unsigned int i = 0; i < PASIDS; i++) {
		leaf[i % 2] = own_tables(i);
		root[i % 2] = vtd_fixture_load(&world.f, world.place[AT_RID_PASID] +
								 64 * (WORLD_PASID + i) + 16);
	}
	for (unsigned int i = 0; i < PASIDS; i++)
		guest_store(world.place[AT_RID_PASID] + 64 * (WORLD_PASID + i) + 16, root[0]);
	guest_store(leaf[0], version_page(0) | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
	start(thread, &shared);
	for (unsigned int version = 1; version < VERSIONS; version++) {
		/* The tables that nobody uses now: no translation of theirs is cached. */
		guest_store(leaf[version % 2],
			    version_page(version) | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
		for (unsigned int i = 0; i < PASIDS; i++) {
			uint32_t pasid = WORLD_PASID + i;

			guest_store(world.place[AT_RID_PASID] + 64 * pasid + 16, root[version % 2]);
			vtd_entries_invalidate_pasid(world.f.unit, WORLD_DID, pasid);
			vtd_iotlb_invalidate_pasid(world.f.unit, WORLD_DID, pasid);
			__atomic_store_n(&shared.oldest[i], version_page(version),
					 __ATOMIC_RELEASE);
		}
		/* As before freeing tables: walks by the old ones come to an end. */
		vtd_gate_wait(&world.f.unit->gate);
		if (version % 8 == 0)
			let_run(&shared);
	}
	stop(thread, &shared);
	vtd_world_destroy(&world);
}

/* D is never lost: who clears it, and invalidates, finds it set again after the next write. */
static void test_dirty(void **state)
{
	static struct shared shared;
	pthread_t thread[DEVICES];
	uint64_t leaf[PASIDS];
	unsigned int seen = 0;

	(void)state;
	shared = (struct shared){ 0 };
	assert_int_equal(vtd_world_init(&world, WORLD_FS), 0);
	for (unsigned int i = 0; i < PASIDS; i++)
		leaf[i] = own_tables(i);
	start(thread, &shared);
	for (unsigned int turn = 0; turn < VERSIONS; turn++) {
		unsigned int i = turn % PASIDS;
		uint64_t *entry = (uint64_t *)(void *)(world.f.memory + leaf[i]);

		__atomic_fetch_and(entry, ~(VTD_FS_A | VTD_FS_D), __ATOMIC_ACQ_REL);
		vtd_iotlb_invalidate_pasid_pages(world.f.unit, WORLD_DID, WORLD_PASID + i,
						 world.iova, 0);
		vtd_gate_wait(&world.f.unit->gate);
		for (unsigned int wait = 0; wait < MAX_WAITS && !(load(entry) & VTD_FS_D); wait++)
			nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
		if (load(entry) & VTD_FS_D)
			seen++;
	}
	stop(thread, &shared);
	assert_int_equal(seen, VERSIONS);
	vtd_world_destroy(&world);
}

/* --- The gate --- */

struct gate_test {
	struct vtd_gate gate;
	uint64_t published; /* what may be used */
	uint64_t freed;	    /* what must not be used any more */
	bool stop;
	unsigned int wrong;
	uint64_t rounds;
};

static void *gate_user(void *context)
{
	struct gate_test *test = context;

	while (!__atomic_load_n(&test->stop, __ATOMIC_RELAXED)) {
		unsigned int outer = vtd_gate_enter(&test->gate);
		unsigned int inner = vtd_gate_enter(&test->gate);
		uint64_t mine = load(&test->published);

		for (unsigned int i = 0; i < 20; i++) {
			/* Stay inside while others run, now and then. */
			if (i == 10 && mine % 16 == 0)
				sched_yield();
			if (load(&test->freed) >= mine)
				__atomic_fetch_add(&test->wrong, 1, __ATOMIC_RELAXED);
		}
		vtd_gate_leave(&test->gate, inner);
		vtd_gate_leave(&test->gate, outer);
		sched_yield();
		__atomic_fetch_add(&test->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_gate(void **state)
{
	static struct gate_test test;
	pthread_t thread[DEVICES];

	(void)state;
	vtd_gate_init(&test.gate);
	test.published = 1;
	for (unsigned int i = 0; i < DEVICES; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, gate_user, &test), 0);
	for (unsigned int i = 0; i < MAX_WAITS && !load(&test.rounds); i++)
		sched_yield();
	for (uint64_t version = 1; version < 1000; version++) {
		__atomic_store_n(&test.published, version + 1, __ATOMIC_RELEASE);
		vtd_gate_wait(&test.gate);
		/* Nobody inside can have the old one now. */
		__atomic_store_n(&test.freed, version, __ATOMIC_RELEASE);
		/* Some have to go in meanwhile, for the test to mean anything. */
		for (uint64_t i = 0, before = load(&test.rounds);
		     i < MAX_WAITS && load(&test.rounds) == before; i++)
			sched_yield();
	}
	__atomic_store_n(&test.stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < DEVICES; i++)
		pthread_join(thread[i], NULL);
	vtd_gate_destroy(&test.gate);
	assert_int_equal(test.wrong, 0);
	assert_true(test.rounds > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_dirty),
		cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
