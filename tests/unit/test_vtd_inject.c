/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that can be refused is refused, one at a time: each allocation of a unit's creation,
 * and each access to guest memory of every path. What follows is the fault or error that the
 * specification has for it, the unit works as soon as memory is back, and nothing leaks.
 *
 * The linker puts the allocators of this file in front of the library's (see the Makefile).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

/* --- Allocators that fail --- */

static struct {
	bool on;
	unsigned int calls, fail_at; /* the fail_at-th call fails, counted from 1; 0: none */
	int blocks, maps;	     /* that are not given back */
} heap;

static bool heap_fails(void)
{
	if (!heap.on)
		return false;
	if (++heap.calls != heap.fail_at)
		return false;
	errno = ENOMEM;
	return true;
}

static void *counted(void *block)
{
	if (heap.on && block)
		heap.blocks++;
	return block;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __real_free(void *block);
void __wrap_free(void *block);
void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);

void *__wrap_malloc(size_t size)
{
	return heap_fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return heap_fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return heap_fails() ? NULL : counted(__real_aligned_alloc(align, size));
}

void __wrap_free(void *block)
{
	if (heap.on && block)
		heap.blocks--;
	__real_free(block);
}

void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (heap_fails())
		return MAP_FAILED;
	heap.maps += heap.on;
	return __real_mmap64(at, size, prot, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t size)
{
	heap.maps -= heap.on;
	return __real_munmap(at, size);
}

static void heap_watch(unsigned int fail_at)
{
	memset(&heap, 0, sizeof(heap));
	heap.on = true;
	heap.fail_at = fail_at;
}

#define CALLS_MAX 1000 /* bound: more allocations than any unit makes */

static void create_fails(void **state)
{
	struct vtd_config config;
	struct vtd_unit *unit = NULL;
	unsigned int n;

	(void)state;
	vtd_config_init(&config);
	for (n = 1; !unit && n < CALLS_MAX; n++) {
		heap_watch(n);
		errno = 0;
		unit = vtd_create(&config, NULL, NULL, NULL, NULL);
		if (unit)
			break;
		assert_int_equal(errno, ENOMEM);
		assert_int_equal(heap.blocks, 0);
		assert_int_equal(heap.maps, 0);
	}
	/* The last one did not reach its failure: there were n - 1 to fail, and some of each kind.
	 */
	assert_non_null(unit);
	assert_int_equal(heap.calls, n - 1);
	assert_true(n > 4);
	vtd_destroy(unit);
	assert_int_equal(heap.blocks, 0);
	assert_int_equal(heap.maps, 0);
	heap.on = false;
}

static int host_bind(void *context, uint32_t pasid, const struct vtd_binding *binding)
{
	(void)context;
	(void)pasid;
	(void)binding;
	return 0;
}

static int host_unbind(void *context, uint32_t pasid)
{
	(void)context;
	(void)pasid;
	return 0;
}

static int host_invalidate(void *context, uint32_t pasid, const struct vtd_host_invalidation *list,
			   unsigned int count)
{
	(void)context;
	(void)pasid;
	(void)list;
	(void)count;
	return 0;
}

static int host_respond(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	(void)context;
	(void)pasid;
	(void)group;
	(void)code;
	return 0;
}

static const struct vtd_host_ops host_ops = { .bind = host_bind,
					      .unbind = host_unbind,
					      .invalidate = host_invalidate,
					      .respond = host_respond,
					      .pasid_bits = VTD_PASID_BITS };

static void set_host_fails(void **state)
{
	struct vtd_config config;
	int result = -ENOMEM;
	unsigned int n;

	(void)state;
	vtd_config_init(&config);
	for (n = 1; result && n < CALLS_MAX; n++) {
		struct vtd_unit *unit;
		struct vtd_requester *requester;

		heap_watch(0);
		unit = vtd_create(&config, NULL, NULL, NULL, NULL);
		assert_non_null(unit);
		requester = vtd_attach(unit, 8, "device", NULL, NULL);
		assert_non_null(requester);
		heap.calls = 0;
		heap.fail_at = n;
		result = vtd_set_host(unit, requester, &host_ops, NULL);
		assert_true(result <= 0);
		/* It is what it was, an emulated device, and nothing of the unit is lost. */
		assert_true(!result == !!requester->host);
		assert_int_equal(vtd_mmio_read(unit, VTD_VER, 4), VTD_VERSION);
		vtd_destroy(unit);
		assert_int_equal(heap.blocks, 0);
		assert_int_equal(heap.maps, 0);
	}
	assert_int_equal(result, 0);
	assert_true(n > 2);
	heap.on = false;
}

/* --- Guest memory that fails --- */

/* A unit whose view of memory fails at the fail_at-th look, and only then. */
struct world {
	struct vtd_fixture f;
	const struct vtd_memory_ops *memory;
	unsigned int looks, fail_at;
	struct fixture_device *device;
	uint64_t page;	/* GPA that IOVA leads to */
	uint64_t table; /* of interrupts */
};

#define SOURCE 0x0018
#define PASID  0x123
#define DID    5
#define IOVA   UINT64_C(0x12345000)
#define PAGES  UINT64_C(4096)

static void *failing_ptr(void *context, uint64_t gpa, uint64_t len)
{
	struct world *w = context;

	if (++w->looks == w->fail_at)
		return NULL;
	return w->memory->ptr(&w->f, gpa, len);
}

static const struct vtd_memory_ops failing_memory = { failing_ptr };

/* All tables are made by the test, straight in memory: only the unit's looks count. */
static void intercept(struct world *w)
{
	w->memory = w->f.unit->memory;
	w->f.unit->memory = &failing_memory;
	w->f.unit->memory_context = w;
}

static uint64_t fs_page(struct world *w, uint64_t gpa, uint64_t *root)
{
	uint64_t table = *root = vtd_fixture_page(&w->f);

	for (int shift = 39; shift > 12; shift -= 9) {
		uint64_t next = vtd_fixture_page(&w->f);

		vtd_fixture_store(&w->f, table + (IOVA >> shift & 511) * 8,
				  next | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
		table = next;
	}
	table += (IOVA >> 12 & 511) * 8;
	vtd_fixture_store(&w->f, table, gpa | VTD_FS_P | VTD_FS_RW | VTD_FS_US);
	return table;
}

static uint64_t ss_page(struct world *w, uint64_t iova, uint64_t gpa, uint64_t *root)
{
	uint64_t table = *root = vtd_fixture_page(&w->f);

	for (int shift = 39; shift > 12; shift -= 9) {
		uint64_t next = vtd_fixture_page(&w->f);

		vtd_fixture_store(&w->f, table + (iova >> shift & 511) * 8,
				  next | VTD_SS_R | VTD_SS_W);
		table = next;
	}
	table += (iova >> 12 & 511) * 8;
	vtd_fixture_store(&w->f, table, gpa | VTD_SS_R | VTD_SS_W);
	return table;
}

/* A second stage that maps all of the fixture's memory to itself, in pages of 2 MiB. */
static uint64_t identity(struct world *w)
{
	uint64_t root = vtd_fixture_page(&w->f), pointers = vtd_fixture_page(&w->f);
	uint64_t directory = vtd_fixture_page(&w->f);

	vtd_fixture_store(&w->f, root, pointers | VTD_SS_R | VTD_SS_W);
	vtd_fixture_store(&w->f, pointers, directory | VTD_SS_R | VTD_SS_W);
	for (uint64_t at = 0; at < FIXTURE_MEMORY; at += UINT64_C(2) << 20)
		vtd_fixture_store(&w->f, directory + (at >> 21) * 8,
				  at | VTD_SS_PS | VTD_SS_R | VTD_SS_W);
	return root;
}

static void legacy(struct world *w, unsigned int type)
{
	uint64_t root = vtd_fixture_page(&w->f), contexts = vtd_fixture_page(&w->f), table = 0;

	if (type != VTD_TT_PASS_THROUGH)
		ss_page(w, IOVA, w->page, &table);
	vtd_fixture_store(&w->f, root, contexts | VTD_ROOT_P);
	vtd_fixture_store(&w->f, contexts + SOURCE * 16,
			  table | vtd_put(type, VTD_CONTEXT0_TT) | VTD_CONTEXT0_P);
	vtd_fixture_store(&w->f, contexts + SOURCE * 16 + 8,
			  vtd_put(VTD_AW_48, VTD_CONTEXT1_AW) | vtd_put(DID, VTD_CONTEXT1_DID));
	assert_true(vtd_fixture_set_root(&w->f, root));
}

static void scalable(struct world *w, enum vtd_pgtt type, uint32_t pasid)
{
	uint64_t root = vtd_fixture_page(&w->f), contexts = vtd_fixture_page(&w->f);
	uint64_t directory = vtd_fixture_page(&w->f), table = vtd_fixture_page(&w->f);
	uint64_t entry = table + (pasid & 63) * 64, first = 0, second = 0;

	if (type == VTD_PGTT_FS || type == VTD_PGTT_NESTED)
		fs_page(w, w->page, &first);
	if (type == VTD_PGTT_SS)
		ss_page(w, IOVA, w->page, &second);
	if (type == VTD_PGTT_NESTED)
		second = identity(w);
	vtd_fixture_store(&w->f, root, contexts | VTD_ROOT_P);
	vtd_fixture_store(&w->f, contexts + SOURCE * 32,
			  directory | VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE |
				  VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE);
	vtd_fixture_store(&w->f, directory + (pasid >> 6) * 8, table | VTD_PASIDDIR_P);
	vtd_fixture_store(&w->f, entry + 8, DID | VTD_PASID1_PWSNP);
	vtd_fixture_store(&w->f, entry + 16, first);
	vtd_fixture_store(&w->f, entry,
			  second | vtd_put(type, VTD_PASID0_PGTT) |
				  vtd_put(VTD_AW_48, VTD_PASID0_AW) | VTD_PASID0_P);
	assert_true(vtd_fixture_set_root(&w->f, root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)));
}

/*
 * Whatever a guest asks of a real device is served by a vCPU's thread, whose filter has no system
 * call for an allocator that needs more memory.
 */
static void bindings_need_no_allocator(void **state)
{
	static struct world w;
	struct vtd_requester *requester;
	uint64_t contexts, directory, table;

	(void)state;
	memset(&w, 0, sizeof(w));
	assert_int_equal(vtd_fixture_init(&w.f, NULL), 0);
	requester = vtd_fixture_attach(&w.f, SOURCE)->requester;
	assert_int_equal(vtd_set_host(w.f.unit, requester, &host_ops, NULL), 0);
	scalable(&w, VTD_PGTT_PT, 0);
	contexts = vtd_fixture_load(&w.f, w.f.unit->root & VTD_RTADDR_RTA) & VTD_ROOT_CTP;
	directory = vtd_fixture_load(&w.f, contexts + SOURCE * 32) & VTD_SM_CONTEXT0_PASIDDIR;
	table = vtd_fixture_load(&w.f, directory) & VTD_PASIDDIR_PTR;
	for (uint64_t i = 1; i < 64; i++)
		vtd_fixture_store(&w.f, table + i * 64,
				  VTD_PASID0_P | vtd_put(VTD_PGTT_PT, VTD_PASID0_PGTT));
	heap_watch(1);
	assert_true(vtd_fixture_command(&w.f, VTD_GCMD_TE, true));
	assert_int_equal(requester->host->count, 64);
	assert_true(vtd_fixture_command(&w.f, VTD_GCMD_TE, false));
	assert_int_equal(requester->host->count, 1);
	assert_true(vtd_fixture_command(&w.f, VTD_GCMD_TE, true));
	assert_int_equal(requester->host->count, 64);
	heap.on = false;
	assert_int_equal(heap.calls, 0);
	vtd_fixture_destroy(&w.f);
}

struct mode {
	const char *name;
	bool scalable;
	unsigned int type;   /* enum vtd_tt or enum vtd_pgtt */
	uint32_t pasid;	     /* or VTD_NO_PASID */
	uint8_t reasons[16]; /* every one of them is the answer to some look, and no other is */
};

static const struct mode modes[] = {
	{ "legacy",
	  false,
	  VTD_TT_UNTRANSLATED,
	  VTD_NO_PASID,
	  { VTD_LRT_ACCESS, VTD_LCT_ACCESS, VTD_LCT_INVALID, VTD_LSS_ACCESS } },
	{ "legacy pass-through",
	  false,
	  VTD_TT_PASS_THROUGH,
	  VTD_NO_PASID,
	  { VTD_LRT_ACCESS, VTD_LCT_ACCESS } },
	{ "first stage",
	  true,
	  VTD_PGTT_FS,
	  VTD_NO_PASID,
	  { VTD_SRT_ACCESS, VTD_SCT_ACCESS, VTD_SPD_ACCESS, VTD_SPT_ACCESS, VTD_SFS_ROOT_ACCESS,
	    VTD_SFS_ACCESS, VTD_SFS_AD } },
	{ "first stage, PASID",
	  true,
	  VTD_PGTT_FS,
	  PASID,
	  { VTD_SRT_ACCESS, VTD_SCT_ACCESS, VTD_SPD_ACCESS, VTD_SPT_ACCESS, VTD_SFS_ROOT_ACCESS,
	    VTD_SFS_ACCESS, VTD_SFS_AD } },
	{ "second stage, PASID",
	  true,
	  VTD_PGTT_SS,
	  PASID,
	  { VTD_SRT_ACCESS, VTD_SCT_ACCESS, VTD_SPD_ACCESS, VTD_SPT_ACCESS, VTD_SSS_ROOT_ACCESS,
	    VTD_SSS_ACCESS } },
	{ "nested, PASID",
	  true,
	  VTD_PGTT_NESTED,
	  PASID,
	  { VTD_SRT_ACCESS, VTD_SCT_ACCESS, VTD_SPD_ACCESS, VTD_SPT_ACCESS, VTD_SSS_ROOT_ACCESS,
	    VTD_SSS_ACCESS, VTD_SFS_ROOT_ACCESS, VTD_SFS_ACCESS, VTD_SFS_AD } },
	{ "pass-through, PASID",
	  true,
	  VTD_PGTT_PT,
	  PASID,
	  { VTD_SRT_ACCESS, VTD_SCT_ACCESS, VTD_SPD_ACCESS, VTD_SPT_ACCESS } },
};

static void build(struct world *w, const struct mode *mode)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(vtd_fixture_init(&w->f, NULL), 0);
	w->device = vtd_fixture_attach(&w->f, SOURCE);
	w->page = vtd_fixture_page(&w->f);
	if (mode->scalable)
		scalable(w, mode->type, mode->pasid == VTD_NO_PASID ? 0 : mode->pasid);
	else
		legacy(w, mode->type);
	assert_true(vtd_fixture_queue(&w->f, mode->scalable));
	assert_true(vtd_fixture_command(&w->f, VTD_GCMD_TE, true));
	intercept(w);
}

static bool is_pass_through(const struct mode *mode)
{
	return mode->scalable ? mode->type == VTD_PGTT_PT : mode->type == VTD_TT_PASS_THROUGH;
}

static int translate(struct world *w, const struct mode *mode, enum vtd_request_type type)
{
	struct vtd_request request = { .requester = w->device->requester,
				       .pasid = mode->pasid,
				       .iova = is_pass_through(mode) ? w->page : IOVA,
				       .len = PAGES,
				       .access = VTD_READ | VTD_WRITE,
				       .type = type };
	struct vtd_result result = { 0 };
	int error = vtd_translate(w->f.unit, &request, &result);

	if (!error) {
		assert_int_equal(result.gpa, w->page);
		assert_int_equal(result.permitted & (VTD_READ | VTD_WRITE), VTD_READ | VTD_WRITE);
	}
	return error;
}

/* Takes the only fault that is recorded: its reason; 0 if there is none. */
static uint8_t take_fault(struct world *w)
{
	uint32_t status = vtd_fixture_read32(&w->f, VTD_FSTS);
	uint64_t at = VTD_FRCD + vtd_get(status, VTD_FSTS_FRI) * 16, high;

	if (!(status & VTD_FSTS_PPF))
		return 0;
	high = vtd_fixture_read64(&w->f, at + 8);
	assert_int_equal(vtd_get(high, VTD_FRCD1_SID), SOURCE);
	vtd_fixture_write64(&w->f, at + 8, VTD_FRCD1_F);
	assert_int_equal(vtd_fixture_read32(&w->f, VTD_FSTS) & VTD_FSTS_PPF, 0);
	return (uint8_t)vtd_get(high, VTD_FRCD1_FR);
}

static int index_of(const struct mode *mode, uint8_t reason)
{
	for (unsigned int i = 0; i < sizeof(mode->reasons) && mode->reasons[i]; i++)
		if (mode->reasons[i] == reason)
			return (int)i;
	return -1;
}

/* @type: with ATS a fault of the entries is an Unsupported Request just as well. */
static void translate_fails(const struct mode *mode, enum vtd_request_type type)
{
	unsigned int seen = 0, wanted = 0, n;
	int error = -EFAULT;

	while (mode->reasons[wanted])
		wanted++;
	for (n = 1; error && n < CALLS_MAX; n++) {
		struct world w;
		uint8_t reason;
		int index;

		build(&w, mode);
		w.fail_at = n;
		error = translate(&w, mode, type);
		reason = take_fault(&w);
		w.fail_at = 0;
		if (error) {
			assert_int_equal(error, -EFAULT);
			index = index_of(mode, reason);
			if (index < 0)
				print_error("%s: look %u: reason 0x%02x\n", mode->name, n, reason);
			assert_true(index >= 0);
			seen |= 1u << index;
		} else {
			assert_int_equal(reason, 0);
		}
		/* Nothing of the failure was kept. */
		if (translate(&w, mode, type)) {
			print_error("%s: after look %u: reason 0x%02x\n", mode->name, n,
				    take_fault(&w));
			fail();
		}
		assert_int_equal(take_fault(&w), 0);
		vtd_fixture_destroy(&w.f);
	}
	assert_int_equal(error, 0);
	if (seen != (1u << wanted) - 1)
		print_error("%s: reasons seen: 0x%x of %u\n", mode->name, seen, wanted);
	assert_int_equal(seen, (1u << wanted) - 1);
}

static void untranslated_fails(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		translate_fails(&modes[i], VTD_UNTRANSLATED);
}

static void ats_fails(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].scalable)
			translate_fails(&modes[i], VTD_TRANSLATION);
}

/* --- The queue --- */

static const struct mode with_queue = {
	.name = "queue", .scalable = true, .type = VTD_PGTT_FS, .pasid = PASID
};

static void submit_all(struct world *w)
{
	vtd_fixture_submit(&w->f, VTD_DESC_CONTEXT | VTD_CONTEXT_GLOBAL << 4, 0);
	vtd_fixture_submit(&w->f, VTD_DESC_PASID_CACHE | VTD_PASID_CACHE_GLOBAL << 4, 0);
	vtd_fixture_submit(&w->f, VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << 4, 0);
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_DEVTLB | vtd_put(SOURCE, VTD_PDEVTLB_SID) |
				   vtd_put(PASID, VTD_DESC_PASID),
			   0);
}

/* A descriptor that cannot be read stops the queue; cleared, it is read again. */
static void queue_fails(void **state)
{
	bool failed = true;
	unsigned int n, stops = 0;

	(void)state;
	for (n = 1; failed && n < CALLS_MAX; n++) {
		struct world w;
		uint32_t status;

		build(&w, &with_queue);
		w.fail_at = n;
		submit_all(&w);
		status = vtd_fixture_read32(&w.f, VTD_FSTS);
		failed = w.looks >= n;
		w.fail_at = 0;
		if (status & VTD_FSTS_IQE) {
			assert_int_equal(
				vtd_get(vtd_fixture_read64(&w.f, VTD_IQERCD), VTD_IQERCD_IQEI),
				VTD_IQEI_FETCH);
			vtd_fixture_write32(&w.f, VTD_FSTS, (uint32_t)VTD_FSTS_IQE);
			stops++;
		}
		assert_true(vtd_fixture_wait(&w.f));
		assert_int_equal(vtd_fixture_read32(&w.f, VTD_FSTS) & VTD_FSTS_IQE, 0);
		assert_int_equal(w.device->invalidations, 1);
		assert_int_equal(translate(&w, &with_queue, VTD_UNTRANSLATED), 0);
		vtd_fixture_destroy(&w.f);
	}
	assert_false(failed);
	assert_true(stops >= 4);
}

/* A status that cannot be written must not hold up the queue. */
static void status_fails(void **state)
{
	bool failed = true;
	unsigned int n;

	(void)state;
	for (n = 1; failed && n < CALLS_MAX; n++) {
		struct world w;
		bool done;

		build(&w, &with_queue);
		w.fail_at = n;
		done = vtd_fixture_wait(&w.f);
		failed = w.looks >= n;
		assert_int_equal(done, !failed);
		w.fail_at = 0;
		vtd_fixture_write32(&w.f, VTD_FSTS, (uint32_t)VTD_FSTS_IQE);
		assert_true(vtd_fixture_wait(&w.f));
		vtd_fixture_destroy(&w.f);
	}
	assert_false(failed);
	assert_true(n > 2);
}

/* --- Page requests --- */

/*
 * One that cannot be queued is answered, once, before the call returns. The PASID table has no say
 * in that: what a look at it misses is queued all the same.
 */
static void page_request_fails(void **state)
{
	unsigned int n, refused = 0, automatic = 0;
	bool failed = true;

	(void)state;
	for (n = 1; failed && n < CALLS_MAX; n++) {
		struct vtd_page_request request = { .pasid = PASID,
						    .address = IOVA,
						    .access = VTD_READ,
						    .group = 3,
						    .last = true };
		struct world w;
		int result;

		build(&w, &with_queue);
		vtd_fixture_write64(&w.f, VTD_PQA, vtd_fixture_page(&w.f));
		request.requester = w.device->requester;
		w.looks = 0;
		w.fail_at = n;
		result = vtd_page_request(w.f.unit, &request);
		failed = w.looks >= n;
		w.fail_at = 0;
		assert_true(result == 0 || (failed && (result == -EAGAIN || result == -EFAULT)));
		assert_int_equal(w.device->responses, result ? 1 : 0);
		assert_int_equal(!!take_fault(&w), result == -EFAULT);
		if (result) {
			assert_int_equal(w.device->response[0].group, 3);
			assert_int_equal(w.device->response[0].code, VTD_RESPONSE_FAILURE);
		}
		automatic += result == -EAGAIN;
		refused += result == -EFAULT;
		vtd_fixture_write32(&w.f, VTD_PRS, (uint32_t)VTD_PRS_PRO);
		request.group++;
		assert_int_equal(vtd_page_request(w.f.unit, &request), 0);
		vtd_fixture_destroy(&w.f);
	}
	assert_false(failed);
	assert_true(automatic >= 1);
	assert_int_equal(refused, 2); /* root and context entry */
}

/* --- Interrupts --- */

#define INDEX 9

static void interrupt_fails(void **state)
{
	struct vtd_msi request = { .address = 0xfee00018 | INDEX << 5, .data = 0 };
	unsigned int n;
	int result = -EFAULT;

	(void)state;
	for (n = 1; result && n < CALLS_MAX; n++) {
		struct vtd_msi msi = { 0 };
		struct world w;

		build(&w, &with_queue);
		w.table = vtd_fixture_page(&w.f);
		vtd_fixture_store(&w.f, w.table + INDEX * 16,
				  VTD_IRTE0_P | vtd_put(0x55, VTD_IRTE0_V));
		assert_true(vtd_fixture_set_irta(&w.f, w.table | 7));
		assert_true(vtd_fixture_command(&w.f, VTD_GCMD_IRE, true));
		w.looks = 0;
		w.fail_at = n;
		result = vtd_remap_msi(w.f.unit, SOURCE, &request, &msi, true);
		w.fail_at = 0;
		assert_int_equal(take_fault(&w), result ? VTD_IR_ACCESS : 0);
		assert_int_equal(vtd_remap_msi(w.f.unit, SOURCE, &request, &msi, true), 0);
		assert_int_equal(msi.data & 0xff, 0x55);
		vtd_fixture_destroy(&w.f);
	}
	assert_int_equal(result, 0);
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_fails),
		cmocka_unit_test(set_host_fails),
		cmocka_unit_test(bindings_need_no_allocator),
		cmocka_unit_test(untranslated_fails),
		cmocka_unit_test(ats_fails),
		cmocka_unit_test(queue_fails),
		cmocka_unit_test(status_fails),
		cmocka_unit_test(page_request_fails),
		cmocka_unit_test(interrupt_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
