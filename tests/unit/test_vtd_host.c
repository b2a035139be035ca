/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viommu/host*.c: what a guest's tables and invalidations become in the host, with the `fake`
 * backend, driven by registers and the queue as a guest drives them.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/fake_host.h"
#include "tests/unit/vtd_fixture.h"

#define SOURCE	  0x0018
#define OTHER	  0x0020
#define PASID	  0x45
#define RID_PASID 0
#define PAGE	  UINT64_C(4096)
#define IOVA	  UINT64_C(0x7f0012345000)

#define P  VTD_FS_P
#define RW (VTD_FS_P | VTD_FS_RW | VTD_FS_US)

/* A unit with two real devices that share a PASID directory. */
struct world {
	struct vtd_fixture f;
	struct fake_host host, other;
	uint64_t root, context, directory;
	unsigned int faults; /* taken so far */
};

/* --- The guest's tables --- */

static void set_context(struct world *w, uint16_t source, uint64_t directory)
{
	uint64_t at = w->context + source * 32;

	vtd_fixture_store(&w->f, at,
			  directory | VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE |
				  VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE |
				  vtd_put(1, VTD_SM_CONTEXT0_PDTS));
	vtd_fixture_store(&w->f, at + 8, vtd_put(RID_PASID, VTD_SM_CONTEXT1_RID_PASID));
}

/* Where the entry of @pasid is; makes its table if there is none yet. */
static uint64_t pasid_entry(struct world *w, uint32_t pasid)
{
	uint64_t at = w->directory + (pasid >> 6) * 8, table = vtd_fixture_load(&w->f, at);

	if (!table) {
		table = vtd_fixture_page(&w->f) | VTD_PASIDDIR_P;
		vtd_fixture_store(&w->f, at, table);
	}
	return (table & VTD_PASIDDIR_PTR) + (pasid & 63) * 64;
}

static void set_entry(struct world *w, uint32_t pasid, enum vtd_pgtt pgtt, uint16_t did,
		      uint64_t fs_root, uint64_t ss_root)
{
	uint64_t at = pasid_entry(w, pasid);

	vtd_fixture_store(&w->f, at + 8, did);
	vtd_fixture_store(&w->f, at + 16, fs_root);
	vtd_fixture_store(&w->f, at,
			  ss_root | VTD_PASID0_P | vtd_put(pgtt, VTD_PASID0_PGTT) |
				  vtd_put(VTD_AW_48, VTD_PASID0_AW));
}

static void clear_entry(struct world *w, uint32_t pasid)
{
	vtd_fixture_store(&w->f, pasid_entry(w, pasid), VTD_PASID0_FPD);
}

/* Maps one page in tables of four levels, both kinds of which have these two bits alike. */
static void map(struct world *w, uint64_t table, uint64_t iova, uint64_t gpa, uint64_t bits)
{
	for (unsigned int level = 3; level > 0; level--) {
		uint64_t at = table + (iova >> (12 + 9 * level) & 511) * 8;

		if (!vtd_fixture_load(&w->f, at))
			vtd_fixture_store(&w->f, at, vtd_fixture_page(&w->f) | bits);
		table = vtd_fixture_load(&w->f, at) & VTD_FS_ADDR;
	}
	vtd_fixture_store(&w->f, table + (iova >> 12 & 511) * 8, gpa | bits);
}

/* A second stage that is the identity for all of guest memory. */
static uint64_t identity(struct world *w)
{
	uint64_t root = vtd_fixture_page(&w->f);

	for (uint64_t gpa = 0; gpa < FIXTURE_MEMORY; gpa += PAGE)
		map(w, root, gpa, gpa, VTD_SS_R | VTD_SS_W);
	return root;
}

/* --- The guest's commands --- */

/* The first word of what concerns @pasid (0 also where there is no such field) of domain @did. */
static uint64_t desc(enum vtd_desc_type type, unsigned int granularity, uint16_t did,
		     uint32_t pasid)
{
	return type | vtd_put(granularity, VTD_DESC_G) | vtd_put(did, VTD_DESC_DID) |
	       vtd_put(pasid, VTD_DESC_PASID);
}

static void pasid_cache(struct world *w, unsigned int granularity, uint16_t did, uint32_t pasid)
{
	vtd_fixture_submit(&w->f, desc(VTD_DESC_PASID_CACHE, granularity, did, pasid), 0);
}

static void context_cache(struct world *w, unsigned int granularity, uint16_t did, uint16_t source)
{
	uint64_t who = vtd_put(source, VTD_CONTEXT_SID);

	vtd_fixture_submit(&w->f, desc(VTD_DESC_CONTEXT, granularity, did, 0) | who, 0);
}

static void pasid_iotlb(struct world *w, uint16_t did, uint32_t pasid, uint64_t address,
			unsigned int order)
{
	vtd_fixture_submit(&w->f, desc(VTD_DESC_PASID_IOTLB, VTD_PASID_IOTLB_PAGE, did, pasid),
			   address | vtd_put(order, VTD_ADDR1_AM));
}

static void pasid_iotlb_all(struct world *w, uint16_t did, uint32_t pasid)
{
	vtd_fixture_submit(&w->f, desc(VTD_DESC_PASID_IOTLB, VTD_PASID_IOTLB_PASID, did, pasid), 0);
}

static void iotlb(struct world *w, unsigned int granularity, uint16_t did, uint64_t address)
{
	vtd_fixture_submit(&w->f, desc(VTD_DESC_IOTLB, granularity, did, 0), address);
}

/* What Linux sends for a new or changed entry when CAP.CM is set. */
static void entry_changed(struct world *w, uint16_t did, uint32_t pasid)
{
	pasid_cache(w, VTD_PASID_CACHE_PASID, did, pasid);
	pasid_iotlb_all(w, did, pasid);
	assert_true(vtd_fixture_wait(&w->f));
}

/* The next fault: its reason, and that it is of (@source, @pasid). 0: there is none. */
static unsigned int take_fault(struct world *w, uint16_t source, uint32_t pasid)
{
	unsigned int index = w->faults % w->f.unit->config.fault_records;
	uint64_t high = vtd_frcd_read(w->f.unit, index, true);

	if (!(high & VTD_FRCD1_F))
		return 0;
	w->faults++;
	vtd_frcd_write(w->f.unit, index, true, VTD_FRCD1_F);
	assert_int_equal(vtd_get(high, VTD_FRCD1_SID), source);
	assert_int_equal(!!(high & VTD_FRCD1_PP), pasid != VTD_NO_PASID);
	if (pasid != VTD_NO_PASID)
		assert_int_equal(vtd_get(high, VTD_FRCD1_PV), pasid);
	return (unsigned int)vtd_get(high, VTD_FRCD1_FR);
}

static void expect_dma(struct fake_host *host, uint32_t pasid, uint64_t iova, uint64_t gpa)
{
	uint64_t found = 0;

	assert_int_equal(fake_host_dma(host, pasid, iova, false, &found), 0);
	assert_int_equal(found, gpa);
}

static void expect_blocked(struct fake_host *host, uint32_t pasid, uint64_t iova)
{
	uint64_t found = 0;

	assert_int_equal(fake_host_dma(host, pasid, iova, false, &found), -EFAULT);
}

/* --- Life --- */

static int setup_off(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	if (vtd_fixture_init(&w.f, NULL))
		return -1;
	if (fake_host_init(&w.host, w.f.unit, vtd_fixture_attach(&w.f, SOURCE)->requester, 20) ||
	    fake_host_init(&w.other, w.f.unit, vtd_fixture_attach(&w.f, OTHER)->requester, 20))
		return -1;
	w.root = vtd_fixture_page(&w.f);
	w.context = vtd_fixture_page(&w.f);
	w.directory = vtd_fixture_pages(&w.f, 1);
	vtd_fixture_store(&w.f, w.root, w.context | VTD_ROOT_P);
	set_context(&w, SOURCE, w.directory);
	set_context(&w, OTHER, w.directory);
	*state = &w;
	return 0;
}

static void enable(struct world *w)
{
	assert_true(vtd_fixture_queue(&w->f, true));
	assert_true(
		vtd_fixture_set_root(&w->f, w->root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)));
	assert_true(vtd_fixture_command(&w->f, VTD_GCMD_TE, true));
}

static int setup(void **state)
{
	if (setup_off(state))
		return -1;
	enable(*state);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	const char *broken = w->host.broken ? w->host.broken : w->other.broken;

	vtd_fixture_destroy(&w->f);
	fake_host_destroy(&w->host);
	fake_host_destroy(&w->other);
	if (broken)
		print_error("the backend was used wrongly: %s\n", broken);
	return broken ? -1 : 0;
}

/* --- Binding --- */

static void test_translation_off_is_identity(void **state)
{
	struct world *w = *state;

	assert_true(vtd_cap(w->f.unit) & VTD_CAP_CM);
	assert_int_equal(fake_host_count(&w->host), 1);
	expect_dma(&w->host, VTD_NO_PASID, 0x123456, 0x123456);
	enable(w);
	/* The tables have no entries yet. */
	assert_int_equal(fake_host_count(&w->host), 0);
	expect_blocked(&w->host, VTD_NO_PASID, 0x123456);
	assert_true(vtd_fixture_command(&w->f, VTD_GCMD_TE, false));
	expect_dma(&w->host, VTD_NO_PASID, 0x123456, 0x123456);
}

static void test_what_is_bound(void **state)
{
	static const struct {
		enum vtd_pgtt pgtt;
		enum vtd_bind_type type;
		bool first, second;
	} row[] = {
		{ VTD_PGTT_FS, VTD_BIND_FS, true, false },
		{ VTD_PGTT_SS, VTD_BIND_SS, false, true },
		{ VTD_PGTT_NESTED, VTD_BIND_NESTED, true, true },
		{ VTD_PGTT_PT, VTD_BIND_PT, false, false },
	};
	struct world *w = *state;
	uint64_t fs_root = vtd_fixture_page(&w->f), ss_root = identity(w);

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const uint32_t pasids[] = { PASID, VTD_NO_PASID };

		set_entry(w, PASID, row[i].pgtt, 5, fs_root | VTD_PASID2_SRE | VTD_PASID2_WPE,
			  ss_root);
		set_entry(w, RID_PASID, row[i].pgtt, 5, fs_root | VTD_PASID2_SRE | VTD_PASID2_WPE,
			  ss_root);
		entry_changed(w, 5, PASID);
		entry_changed(w, 5, RID_PASID);
		for (unsigned int j = 0; j < 2; j++) {
			const struct vtd_binding *bound = fake_host_bound(&w->host, pasids[j]);

			assert_non_null(bound);
			assert_int_equal(bound->type, row[i].type);
			assert_int_equal(bound->fs_root, row[i].first ? fs_root : 0);
			assert_int_equal(bound->ss_root, row[i].second ? ss_root : 0);
			assert_int_equal(bound->fs_width, row[i].first ? 48 : 0);
			assert_int_equal(bound->ss_width, row[i].second ? 48 : 0);
			assert_int_equal(bound->sre, row[i].first);
			assert_int_equal(bound->wpe, row[i].first);
			assert_int_equal(bound->did, 5);
			assert_true(bound->faultable);
		}
		/* Both devices use the table; nobody uses RID_PASID by its number. */
		assert_int_equal(fake_host_count(&w->host), 2);
		assert_int_equal(fake_host_count(&w->other), 2);
	}
	/* Entries became others in place. */
	assert_int_equal(w->host.unbinds, 1);
	assert_int_equal(take_fault(w, 0, 0), 0);
}

static void test_translations(void **state)
{
	struct world *w = *state;
	uint64_t fs_root = vtd_fixture_page(&w->f), ss_root = vtd_fixture_page(&w->f);
	uint64_t nested_root = vtd_fixture_page(&w->f), identity_root = identity(w);
	uint64_t gpa = 0;

	map(w, fs_root, IOVA, 0x111000, RW);
	map(w, ss_root, IOVA, 0x222000, VTD_SS_R);
	map(w, nested_root, IOVA, 0x333000, P);
	set_entry(w, 0x10, VTD_PGTT_FS, 1, fs_root, 0);
	set_entry(w, 0x20, VTD_PGTT_SS, 2, 0, ss_root);
	set_entry(w, 0x30, VTD_PGTT_NESTED, 3, nested_root, identity_root);
	set_entry(w, 0x40, VTD_PGTT_PT, 4, 0, 0);
	entry_changed(w, 1, 0x10);
	entry_changed(w, 2, 0x20);
	entry_changed(w, 3, 0x30);
	entry_changed(w, 4, 0x40);
	expect_dma(&w->host, 0x10, IOVA + 0x123, 0x111123);
	expect_dma(&w->host, 0x20, IOVA + 0x123, 0x222123);
	expect_dma(&w->host, 0x30, IOVA + 0x123, 0x333123);
	expect_dma(&w->host, 0x40, IOVA + 0x123, IOVA + 0x123);
	assert_int_equal(fake_host_dma(&w->host, 0x10, IOVA, true, &gpa), 0);
	assert_int_equal(fake_host_dma(&w->host, 0x20, IOVA, true, &gpa), -EFAULT);
	assert_int_equal(fake_host_dma(&w->host, 0x30, IOVA, true, &gpa), -EFAULT);
	expect_blocked(&w->host, 0x50, IOVA);
}

/* Linux: one domain-id for all SVA entries, and the invalidation after the entry was made. */
static void test_one_domain_for_all_pasids(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	for (unsigned int i = 0; i < 3; i++) {
		root[i] = vtd_fixture_page(&w->f);
		map(w, root[i], IOVA, 0x100000 + i * PAGE, RW);
		set_entry(w, PASID + i, VTD_PGTT_FS, 1, root[i], 0);
		entry_changed(w, 1, PASID + i);
	}
	for (unsigned int i = 0; i < 3; i++) {
		expect_dma(&w->host, PASID + i, IOVA, 0x100000 + i * PAGE);
		expect_dma(&w->other, PASID + i, IOVA, 0x100000 + i * PAGE);
	}
	/* One goes; the others do not notice. */
	w->host.binds = w->host.unbinds = 0;
	clear_entry(w, PASID + 1);
	entry_changed(w, 1, PASID + 1);
	assert_int_equal(w->host.unbinds, 1);
	assert_int_equal(w->host.binds, 0);
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	expect_blocked(&w->host, PASID + 1, IOVA);
	expect_blocked(&w->other, PASID + 1, IOVA);
}

static void test_domain_id_of_the_entry_changes(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	map(w, root, IOVA, 0x100000, RW);
	set_entry(w, PASID, VTD_PGTT_FS, 1, root, 0);
	entry_changed(w, 1, PASID);
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	/* Announced by the domain-id of old, as hardware's caches are tagged. */
	set_entry(w, PASID, VTD_PGTT_FS, 9, root, 0);
	entry_changed(w, 1, PASID);
	assert_int_equal(w->host.replaces, 0);
	/* From now on it is of domain 9. */
	map(w, root, IOVA, 0x200000, RW);
	w->host.invalidates = 0;
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 0);
	pasid_iotlb(w, 9, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, PASID, IOVA, 0x200000);
}

/*
 * The guest unmaps a page, gives the entry another domain-id, and then invalidates by the old one,
 * as the specification has it: when the wait is done the page is gone.
 */
static void test_domain_id_changes_before_the_invalidation(void **state)
{
	static const enum vtd_pgtt types[] = { VTD_PGTT_FS, VTD_PGTT_SS, VTD_PGTT_NESTED };
	static const uint32_t pasids[] = { PASID, VTD_NO_PASID };
	struct world *w = *state;
	uint64_t second = identity(w);
	uint16_t did = 1;

	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < 2; j++, did += 2) {
			uint32_t entry = pasids[j] == VTD_NO_PASID ? RID_PASID : pasids[j];
			uint64_t root = vtd_fixture_page(&w->f);
			uint64_t ss_root = types[i] == VTD_PGTT_SS ? root : second;

			map(w, root, IOVA, 0x100000, RW);
			set_entry(w, entry, types[i], did, root, ss_root);
			entry_changed(w, did, entry);
			expect_dma(&w->host, pasids[j], IOVA, 0x100000);
			map(w, root, IOVA, 0, 0);
			set_entry(w, entry, types[i], did + 1, root, ss_root);
			w->host.replaces = 0;
			pasid_cache(w, VTD_PASID_CACHE_PASID, did, entry);
			if (types[i] == VTD_PGTT_SS)
				iotlb(w, VTD_IOTLB_DOMAIN, did, 0);
			else
				pasid_iotlb_all(w, did, entry);
			assert_true(vtd_fixture_wait(&w->f));
			expect_blocked(&w->host, pasids[j], IOVA);
			assert_int_equal(w->host.replaces, 0);
			/* Copies of the second stage are out of date, too. */
			assert_int_equal(w->host.range[0].second_stage,
					 types[i] == VTD_PGTT_NESTED);
		}
}

static void test_unchanged_entries_stay(void **state)
{
	struct world *w = *state;

	set_entry(w, PASID, VTD_PGTT_FS, 1, vtd_fixture_page(&w->f), 0);
	set_entry(w, RID_PASID, VTD_PGTT_PT, 2, 0, 0);
	entry_changed(w, 1, PASID);
	entry_changed(w, 2, RID_PASID);
	w->host.binds = w->host.unbinds = 0;
	pasid_cache(w, VTD_PASID_CACHE_GLOBAL, 0, 0);
	pasid_cache(w, VTD_PASID_CACHE_DOMAIN, 1, 0);
	pasid_cache(w, VTD_PASID_CACHE_PASID, 1, PASID);
	context_cache(w, VTD_CONTEXT_GLOBAL, 0, 0);
	context_cache(w, VTD_CONTEXT_DOMAIN, 1, 0);
	context_cache(w, VTD_CONTEXT_DEVICE, 0, SOURCE);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.binds + w->host.unbinds, 0);
	assert_int_equal(fake_host_count(&w->host), 2);
}

/* Each kind of invalidation finds entries that appeared, changed, and went. */
static void test_scopes(void **state)
{
	static const struct {
		bool context;
		unsigned int granularity;
		bool other; /* reaches the other device too */
	} row[] = {
		{ false, VTD_PASID_CACHE_GLOBAL, true }, { false, VTD_PASID_CACHE_DOMAIN, true },
		{ false, VTD_PASID_CACHE_PASID, true },	 { true, VTD_CONTEXT_GLOBAL, true },
		{ true, VTD_CONTEXT_DOMAIN, true },	 { true, VTD_CONTEXT_DEVICE, false },
	};
	struct world *w = *state;
	uint64_t root[2] = { vtd_fixture_page(&w->f), vtd_fixture_page(&w->f) };

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		for (unsigned int step = 0; step < 3; step++) {
			const struct vtd_binding *bound;

			if (step < 2)
				set_entry(w, PASID, VTD_PGTT_FS, 7, root[step], 0);
			else
				clear_entry(w, PASID);
			if (row[i].context)
				context_cache(w, row[i].granularity, 7, SOURCE);
			else
				pasid_cache(w, row[i].granularity, 7, PASID);
			assert_true(vtd_fixture_wait(&w->f));
			bound = fake_host_bound(&w->host, PASID);
			assert_int_equal(bound ? bound->fs_root : 0, step < 2 ? root[step] : 0);
			bound = fake_host_bound(&w->other, PASID);
			assert_int_equal(bound ? bound->fs_root : 0,
					 step < 2 && row[i].other ? root[step] : 0);
		}
	}
}

/* Function bits that the descriptor says to ignore. */
static void test_function_mask(void **state)
{
	struct world *w = *state;

	set_entry(w, PASID, VTD_PGTT_PT, 7, 0, 0);
	context_cache(w, VTD_CONTEXT_DEVICE, 0, SOURCE + 3);
	assert_true(vtd_fixture_wait(&w->f));
	assert_null(fake_host_bound(&w->host, PASID));
	vtd_fixture_submit(&w->f,
			   VTD_DESC_CONTEXT | vtd_put(VTD_CONTEXT_DEVICE, VTD_DESC_G) |
				   vtd_put(SOURCE + 3, VTD_CONTEXT_SID) |
				   vtd_put(3, VTD_CONTEXT_FM),
			   0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_non_null(fake_host_bound(&w->host, PASID));
	assert_null(fake_host_bound(&w->other, PASID));
}

static void test_invalid_entries_are_not_bound(void **state)
{
	struct world *w = *state;
	uint64_t at = pasid_entry(w, PASID);

	set_entry(w, PASID, VTD_PGTT_PT, 7, 0, 0);
	entry_changed(w, 7, PASID);
	assert_non_null(fake_host_bound(&w->host, PASID));
	/* No such translation type. */
	vtd_fixture_store(&w->f, at, VTD_PASID0_P | vtd_put(7, VTD_PASID0_PGTT));
	entry_changed(w, 7, PASID);
	assert_null(fake_host_bound(&w->host, PASID));
	/* The table goes away. */
	set_entry(w, PASID, VTD_PGTT_PT, 7, 0, 0);
	entry_changed(w, 7, PASID);
	assert_non_null(fake_host_bound(&w->host, PASID));
	vtd_fixture_store(&w->f, w->context + SOURCE * 32, 0);
	context_cache(w, VTD_CONTEXT_DEVICE, 0, SOURCE);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(fake_host_count(&w->host), 0);
	assert_non_null(fake_host_bound(&w->other, PASID));
}

static void test_pasids_beyond_the_device(void **state)
{
	struct world *w = *state;

	w->host.ops.pasid_bits = 6;
	set_entry(w, 0x3f, VTD_PGTT_PT, 7, 0, 0);
	set_entry(w, 0x40, VTD_PGTT_PT, 7, 0, 0);
	pasid_cache(w, VTD_PASID_CACHE_GLOBAL, 0, 0);
	entry_changed(w, 7, 0x40);
	assert_non_null(fake_host_bound(&w->host, 0x3f));
	assert_null(fake_host_bound(&w->host, 0x40));
	assert_non_null(fake_host_bound(&w->other, 0x40));
}

static void test_reset(void **state)
{
	struct world *w = *state;

	set_entry(w, PASID, VTD_PGTT_FS, 1, vtd_fixture_page(&w->f), 0);
	entry_changed(w, 1, PASID);
	assert_non_null(fake_host_bound(&w->host, PASID));
	vtd_reset(w->f.unit);
	assert_int_equal(fake_host_count(&w->host), 1);
	assert_int_equal(fake_host_bound(&w->host, VTD_NO_PASID)->type, VTD_BIND_PT);
}

/* --- Failures of the host --- */

static void test_bind_fails(void **state)
{
	static const int errors[] = { -ENOSPC, -EINVAL };
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	for (unsigned int i = 0; i < 2; i++) {
		w->host.fail_bind = (struct fake_host_failure){ 1, errors[i] };
		set_entry(w, PASID, VTD_PGTT_FS, 1, root, 0);
		entry_changed(w, 1, PASID);
		assert_null(fake_host_bound(&w->host, PASID));
		assert_non_null(fake_host_bound(&w->other, PASID));
		assert_int_equal(take_fault(w, SOURCE, PASID), VTD_SPT_INVALID);
		assert_int_equal(take_fault(w, SOURCE, PASID), 0);
		assert_int_equal(vtd_requester_counter(w->host.requester, VTD_COUNT_HOST_ERRORS),
				 i + 1);
		/* It is not bound, and so it is tried again. */
		entry_changed(w, 1, PASID);
		assert_non_null(fake_host_bound(&w->host, PASID));
		assert_int_equal(take_fault(w, SOURCE, PASID), 0);
		clear_entry(w, PASID);
		entry_changed(w, 1, PASID);
	}
}

/* Which of several fails, seen by a look through the whole table: it is tried once. */
static void test_nth_bind_fails(void **state)
{
	struct world *w = *state;

	for (uint32_t nth = 1; nth <= 5; nth++) {
		for (uint32_t i = 0; i < 5; i++)
			set_entry(w, PASID + i, VTD_PGTT_PT, 1, 0, 0);
		w->host.fail_bind = (struct fake_host_failure){ nth, -ENOSPC };
		w->host.binds = 0;
		pasid_cache(w, VTD_PASID_CACHE_GLOBAL, 0, 0);
		assert_true(vtd_fixture_wait(&w->f));
		assert_int_equal(w->host.binds, 5);
		for (uint32_t i = 0; i < 5; i++)
			assert_int_equal(!fake_host_bound(&w->host, PASID + i), i == nth - 1);
		assert_int_equal(take_fault(w, SOURCE, PASID + nth - 1), VTD_SPT_INVALID);
		assert_int_equal(take_fault(w, 0, 0), 0);
		for (uint32_t i = 0; i < 5; i++)
			clear_entry(w, PASID + i);
		pasid_cache(w, VTD_PASID_CACHE_GLOBAL, 0, 0);
		assert_true(vtd_fixture_wait(&w->f));
		assert_int_equal(fake_host_count(&w->host), 0);
	}
}

/* A replacement that fails must not leave the old tables in force. */
static void test_replace_fails(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	map(w, root, IOVA, 0x100000, RW);
	for (unsigned int global = 0; global < 2; global++) {
		set_entry(w, PASID, VTD_PGTT_FS, 1, root, 0);
		entry_changed(w, 1, PASID);
		expect_dma(&w->host, PASID, IOVA, 0x100000);
		w->host.fail_bind = (struct fake_host_failure){ 1, -EBUSY };
		w->host.binds = 0;
		set_entry(w, PASID, VTD_PGTT_FS, 1, vtd_fixture_page(&w->f), 0);
		pasid_cache(w, global ? VTD_PASID_CACHE_GLOBAL : VTD_PASID_CACHE_PASID, 1, PASID);
		assert_true(vtd_fixture_wait(&w->f));
		expect_blocked(&w->host, PASID, IOVA);
		assert_null(fake_host_bound(&w->host, PASID));
		assert_int_equal(w->host.binds, 1);
		assert_int_equal(take_fault(w, SOURCE, PASID), VTD_SPT_INVALID);
	}
}

static void test_bind_of_requests_without_pasid_fails(void **state)
{
	struct world *w = *state;

	w->host.fail_bind = (struct fake_host_failure){ 1, -ENOSPC };
	set_entry(w, RID_PASID, VTD_PGTT_PT, 1, 0, 0);
	entry_changed(w, 1, RID_PASID);
	assert_null(fake_host_bound(&w->host, RID_PASID));
	assert_null(fake_host_bound(&w->host, VTD_NO_PASID));
	assert_int_equal(take_fault(w, SOURCE, VTD_NO_PASID), VTD_SPT_INVALID);
}

/* FPD hides what the entry is to blame for. */
static void test_bind_fails_silently(void **state)
{
	struct world *w = *state;
	uint64_t at = pasid_entry(w, PASID);

	set_entry(w, PASID, VTD_PGTT_PT, 1, 0, 0);
	vtd_fixture_store(&w->f, at, vtd_fixture_load(&w->f, at) | VTD_PASID0_FPD);
	w->host.fail_bind = (struct fake_host_failure){ 1, -ENOSPC };
	entry_changed(w, 1, PASID);
	assert_null(fake_host_bound(&w->host, PASID));
	assert_int_equal(take_fault(w, 0, 0), 0);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_HOST_ERRORS), 1);
}

static void test_unbind_fails(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	map(w, root, IOVA, 0x100000, RW);
	set_entry(w, PASID, VTD_PGTT_FS, 1, root, 0);
	entry_changed(w, 1, PASID);
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	w->host.fail_unbind = (struct fake_host_failure){ 1, -EBUSY };
	clear_entry(w, PASID);
	entry_changed(w, 1, PASID);
	assert_int_equal(take_fault(w, SOURCE, PASID), VTD_SPT_INVALID);
	assert_non_null(fake_host_bound(&w->host, PASID));
	/* As long as the host keeps it, it hears of invalidations. */
	map(w, root, IOVA, 0x200000, RW);
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, PASID, IOVA, 0x200000);
	/* The next look tries again, even though nothing has changed in the tables. */
	pasid_cache(w, VTD_PASID_CACHE_GLOBAL, 0, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_null(fake_host_bound(&w->host, PASID));
	assert_int_equal(take_fault(w, 0, 0), 0);
}

/* What could not be unbound is replaced by what is wanted next, changed or not. */
static void test_bind_over_a_stale_one(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	set_entry(w, PASID, VTD_PGTT_FS, 1, root, 0);
	entry_changed(w, 1, PASID);
	w->host.fail_unbind = (struct fake_host_failure){ 1, -EBUSY };
	clear_entry(w, PASID);
	entry_changed(w, 1, PASID);
	assert_int_equal(take_fault(w, SOURCE, PASID), VTD_SPT_INVALID);
	w->host.binds = 0;
	set_entry(w, PASID, VTD_PGTT_FS, 1, root, 0);
	entry_changed(w, 1, PASID);
	assert_int_equal(w->host.binds, 1);
	assert_int_equal(w->host.replaces, 1);
}

/* A guest may fill its whole table: what there is room for is bound, and the rest ends soon. */
static void test_too_many(void **state)
{
	struct world *w = *state;
	uint64_t table = vtd_fixture_page(&w->f);

	for (uint32_t i = 0; i < 64; i++) {
		vtd_fixture_store(&w->f, table + i * 64,
				  VTD_PASID0_P | vtd_put(VTD_PGTT_PT, VTD_PASID0_PGTT) |
					  vtd_put(VTD_AW_48, VTD_PASID0_AW));
		vtd_fixture_store(&w->f, table + i * 64 + 8, 1);
	}
	for (uint32_t i = 0; i < 256; i++)
		vtd_fixture_store(&w->f, w->directory + i * 8, table | VTD_PASIDDIR_P);
	context_cache(w, VTD_CONTEXT_DEVICE, 0, SOURCE);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(fake_host_count(&w->host), VTD_HOST_BINDINGS);
	/* VTD_NO_PASID has the place of RID_PASID. */
	assert_int_equal(take_fault(w, SOURCE, VTD_HOST_BINDINGS), VTD_SPT_INVALID);
	assert_true(vtd_counter(w->f.unit, VTD_COUNT_HOST_ERRORS) < 100);
	vtd_reset(w->f.unit);
	assert_int_equal(fake_host_count(&w->host), 1);
}

/* --- Invalidation --- */

/* A first-stage and a nested entry in domains 1 and 2, a second-stage one in 3. */
static void three_entries(struct world *w, uint64_t root[3])
{
	for (unsigned int i = 0; i < 3; i++) {
		root[i] = vtd_fixture_page(&w->f);
		map(w, root[i], IOVA, 0x100000, RW);
		map(w, root[i], IOVA + PAGE, 0x101000, RW);
	}
	set_entry(w, PASID, VTD_PGTT_FS, 1, root[0], 0);
	set_entry(w, PASID + 1, VTD_PGTT_NESTED, 2, root[1], identity(w));
	set_entry(w, PASID + 2, VTD_PGTT_SS, 3, 0, root[2]);
	for (unsigned int i = 0; i < 3; i++)
		entry_changed(w, (uint16_t)(1 + i), PASID + i);
	w->host.invalidates = w->host.ranges = 0;
}

static void test_nothing_before_the_wait(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	map(w, root[0], IOVA, 0x200000, RW);
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_int_equal(w->host.invalidates, 0);
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 1);
	expect_dma(&w->host, PASID, IOVA, 0x200000);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 1);
}

static void test_which_bindings(void **state)
{
	enum { FS = 1, NESTED = 2, SS = 4 };
	static const struct {
		bool pasid;
		unsigned int granularity;
		uint16_t did;
		uint32_t which;
		unsigned int dropped; /* of the page that is named */
		unsigned int kept;    /* of the other page: not told to be dropped */
	} row[] = {
		{ true, VTD_PASID_IOTLB_PAGE, 1, PASID, FS, FS | NESTED | SS },
		{ true, VTD_PASID_IOTLB_PASID, 1, PASID, FS, NESTED | SS },
		{ true, VTD_PASID_IOTLB_PAGE, 2, PASID + 1, NESTED, FS | NESTED | SS },
		{ true, VTD_PASID_IOTLB_PASID, 2, PASID, 0, FS | NESTED | SS },
		{ true, VTD_PASID_IOTLB_PASID, 1, PASID + 1, 0, FS | NESTED | SS },
		{ false, VTD_IOTLB_DOMAIN, 1, 0, FS, NESTED | SS },
		{ false, VTD_IOTLB_DOMAIN, 2, 0, NESTED, FS | SS },
		{ false, VTD_IOTLB_DOMAIN, 3, 0, SS, FS | NESTED },
		{ false, VTD_IOTLB_GLOBAL, 0, 0, FS | NESTED | SS, 0 },
		/* A page of the second stage can be anywhere below a first stage. */
		{ false, VTD_IOTLB_PAGE, 2, 0, NESTED, FS | SS },
		{ false, VTD_IOTLB_PAGE, 3, 0, SS, FS | NESTED | SS },
	};
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint64_t page = row[i].granularity == VTD_IOTLB_PAGE ? IOVA : 0;

		for (unsigned int j = 0; j < 3; j++) {
			expect_dma(&w->host, PASID + j, IOVA, 0x100000);
			expect_dma(&w->host, PASID + j, IOVA + PAGE, 0x101000);
			map(w, root[j], IOVA, 0x200000, RW);
			map(w, root[j], IOVA + PAGE, 0x201000, RW);
		}
		if (!row[i].pasid)
			iotlb(w, row[i].granularity, row[i].did, page);
		else if (row[i].granularity == VTD_PASID_IOTLB_PAGE)
			pasid_iotlb(w, row[i].did, row[i].which, page, 0);
		else
			pasid_iotlb_all(w, row[i].did, row[i].which);
		assert_true(vtd_fixture_wait(&w->f));
		for (unsigned int j = 0; j < 3; j++) {
			expect_dma(&w->host, PASID + j, IOVA,
				   row[i].dropped & 1 << j ? 0x200000 : 0x100000);
			expect_dma(&w->host, PASID + j, IOVA + PAGE,
				   row[i].kept & 1 << j ? 0x101000 : 0x201000);
			map(w, root[j], IOVA, 0x100000, RW);
			map(w, root[j], IOVA + PAGE, 0x101000, RW);
		}
		iotlb(w, VTD_IOTLB_GLOBAL, 0, 0);
		assert_true(vtd_fixture_wait(&w->f));
	}
}

static void test_merging(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	/* In any order, twice, next to each other, one in another. */
	pasid_iotlb(w, 1, PASID, IOVA + 3 * PAGE, 0);
	pasid_iotlb(w, 1, PASID, IOVA + 9 * PAGE, 0);
	pasid_iotlb(w, 1, PASID, IOVA + 2 * PAGE, 0);
	pasid_iotlb(w, 1, PASID, IOVA + 9 * PAGE, 0);
	pasid_iotlb(w, 1, PASID, IOVA + 4 * PAGE, 0);
	pasid_iotlb(w, 1, PASID, IOVA & ~(16 * PAGE - 1), 4);
	pasid_iotlb(w, 1, PASID, IOVA & ~(2 * PAGE - 1), 1);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 1);
	assert_int_equal(w->host.ranges, 1);
	assert_int_equal(w->host.last_pasid, PASID);
	assert_int_equal(w->host.range[0].address, IOVA & ~(16 * PAGE - 1));
	assert_int_equal(w->host.range[0].pages, 16);
	/* Far apart: one call, several ranges. */
	pasid_iotlb(w, 1, PASID, IOVA + 64 * PAGE, 0);
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 2);
	assert_int_equal(w->host.ranges, 3);
	assert_int_equal(w->host.range[0].address, IOVA);
	assert_int_equal(w->host.range[1].address, IOVA + 64 * PAGE);
	/* What is in "everything" is not said again. */
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	pasid_iotlb_all(w, 1, PASID);
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.ranges, 4);
	assert_int_equal(w->host.range[0].address, 0);
	assert_int_equal(w->host.range[0].pages, UINT64_MAX);
}

static void test_too_many_ranges(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	for (unsigned int i = 0; i < VTD_HOST_RANGES; i++)
		pasid_iotlb(w, 1, PASID, IOVA + 2 * i * PAGE, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.ranges, VTD_HOST_RANGES);
	for (unsigned int i = 0; i <= VTD_HOST_RANGES; i++)
		pasid_iotlb(w, 1, PASID, IOVA + 2 * i * PAGE, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.ranges, VTD_HOST_RANGES + 1);
	assert_int_equal(w->host.range[0].pages, UINT64_MAX);
	/* Page by page, but together one range: it does not come to that. */
	for (unsigned int i = 0; i < 100; i++)
		pasid_iotlb(w, 1, PASID, IOVA + i * PAGE, 0);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.ranges, VTD_HOST_RANGES + 2);
	assert_int_equal(w->host.range[0].pages, 100);
}

/* Ranges without the help of descriptors, which cannot say all of these. */
static void test_ranges_at_the_ends(void **state)
{
	static const struct {
		uint64_t address, pages;
		bool everything;
	} row[] = {
		{ 0, 1, false },
		{ UINT64_MAX - 4095, 1, false },
		{ UINT64_MAX - 4095, 2, true },
		{ 0, (UINT64_C(1) << 52) - 1, false },
		{ 0, UINT64_C(1) << 52, true },
		{ PAGE, (UINT64_C(1) << 52) - 1, false },
		{ 2 * PAGE, (UINT64_C(1) << 52) - 1, true },
		{ PAGE, UINT64_MAX, true },
		{ PAGE, 0, true },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct vtd_host_binding binding = { 0 };

		vtd_host_binding_add(&binding, row[i].address, row[i].pages, true);
		assert_int_equal(binding.everything, row[i].everything);
		assert_int_equal(binding.count, !row[i].everything);
		vtd_host_binding_add(&binding, 5 * PAGE, 1, false);
		vtd_host_binding_merge(&binding);
		assert_int_equal(binding.everything, row[i].everything);
		if (binding.count == 1 && !row[i].everything)
			assert_false(binding.range[0].leaf);
	}
}

static void test_requests_without_pasid(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	map(w, root, IOVA, 0x100000, RW);
	set_entry(w, RID_PASID, VTD_PGTT_FS, 1, root, 0);
	entry_changed(w, 1, RID_PASID);
	expect_dma(&w->host, VTD_NO_PASID, IOVA, 0x100000);
	map(w, root, IOVA, 0x200000, RW);
	/* Its tag is RID_PASID. */
	pasid_iotlb(w, 1, RID_PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, VTD_NO_PASID, IOVA, 0x200000);
	/* The context entry names another PASID. */
	set_entry(w, PASID, VTD_PGTT_PT, 4, 0, 0);
	vtd_fixture_store(&w->f, w->context + SOURCE * 32 + 8, PASID);
	context_cache(w, VTD_CONTEXT_DEVICE, 1, SOURCE);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, VTD_NO_PASID, IOVA, IOVA);
	expect_dma(&w->other, VTD_NO_PASID, IOVA, 0x200000);
	/* The PASID is not one that requests name any more, and the other one is. */
	assert_null(fake_host_bound(&w->host, PASID));
	expect_dma(&w->host, RID_PASID, IOVA, 0x200000);
	assert_null(fake_host_bound(&w->other, RID_PASID));
}

static void test_legacy(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f), at = w->context + SOURCE * 16;

	/* Legacy context entries have half the size: none of scalable mode may be taken for one. */
	memset(w->f.memory + w->context, 0, PAGE);
	map(w, root, IOVA & 0xffffffff, 0x100000, VTD_SS_R | VTD_SS_W);
	vtd_fixture_store(&w->f, at, root | VTD_CONTEXT0_P);
	vtd_fixture_store(&w->f, at + 8,
			  vtd_put(VTD_AW_48, VTD_CONTEXT1_AW) | vtd_put(3, VTD_CONTEXT1_DID));
	assert_true(vtd_fixture_queue(&w->f, false));
	assert_true(vtd_fixture_set_root(&w->f, w->root));
	w->host.fail_bind = (struct fake_host_failure){ 1, -ENOSPC };
	assert_true(vtd_fixture_command(&w->f, VTD_GCMD_TE, true));
	assert_int_equal(take_fault(w, SOURCE, VTD_NO_PASID), VTD_LCT_INVALID);
	assert_int_equal(fake_host_count(&w->host), 0);
	context_cache(w, VTD_CONTEXT_DEVICE, 3, SOURCE);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(fake_host_count(&w->host), 1);
	assert_int_equal(fake_host_bound(&w->host, VTD_NO_PASID)->type, VTD_BIND_SS);
	assert_int_equal(fake_host_bound(&w->host, VTD_NO_PASID)->ss_root, root);
	expect_dma(&w->host, VTD_NO_PASID, IOVA & 0xffffffff, 0x100000);
	map(w, root, IOVA & 0xffffffff, 0x200000, VTD_SS_R | VTD_SS_W);
	iotlb(w, VTD_IOTLB_PAGE, 3, IOVA & 0xffffffff);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, VTD_NO_PASID, IOVA & 0xffffffff, 0x200000);
	/* Another domain-id, and the old one invalidated. */
	map(w, root, IOVA & 0xffffffff, 0x300000, VTD_SS_R | VTD_SS_W);
	vtd_fixture_store(&w->f, at + 8,
			  vtd_put(VTD_AW_48, VTD_CONTEXT1_AW) | vtd_put(4, VTD_CONTEXT1_DID));
	context_cache(w, VTD_CONTEXT_DEVICE, 3, SOURCE);
	iotlb(w, VTD_IOTLB_DOMAIN, 3, 0);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, VTD_NO_PASID, IOVA & 0xffffffff, 0x300000);
}

static void test_invalidation_fails(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	w->other.fail_invalidate = (struct fake_host_failure){ 1, -EIO };
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_false(vtd_fixture_wait(&w->f));
	assert_true(vtd_fsts_read(w->f.unit) & VTD_FSTS_ITE);
	assert_int_equal(vtd_get(vtd_fixture_read64(&w->f, VTD_IQERCD), VTD_IQERCD_ITESID), OTHER);
	assert_int_equal(vtd_requester_counter(w->other.requester, VTD_COUNT_HOST_ERRORS), 1);
	/* The other device was told all the same. */
	assert_int_equal(w->host.invalidates, 1);
	/* Sent again at the next wait, whatever that is for, and by then to who failed alone. */
	vtd_fixture_write32(&w->f, VTD_FSTS, VTD_FSTS_ITE);
	w->other.invalidates = 0;
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->other.invalidates, 1);
	assert_int_equal(w->other.range[0].address, IOVA);
	assert_int_equal(w->host.invalidates, 1);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->other.invalidates, 1);
}

/* What the calls have noted is lost: it is sent again, too. */
static void test_flush_fails(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	for (unsigned int i = 1; i <= 2; i++) {
		w->host.fail_flush = (struct fake_host_failure){ 1, -EIO };
		assert_false(vtd_fixture_wait(&w->f));
		assert_int_equal(vtd_get(vtd_fixture_read64(&w->f, VTD_IQERCD), VTD_IQERCD_ITESID),
				 SOURCE);
		vtd_fixture_write32(&w->f, VTD_FSTS, VTD_FSTS_ITE);
		assert_int_equal(w->host.invalidates, i);
	}
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 3);
	assert_int_equal(w->host.range[0].address, IOVA);
	assert_int_equal(w->host.range[0].pages, 1);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.invalidates, 3);
}

/* SRTP invalidates by itself: if the host fails to, no wait completes before it has. */
static void test_implied_invalidation_fails(void **state)
{
	struct world *w = *state;
	uint64_t root[3], table = w->root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM);

	three_entries(w, root);
	for (unsigned int queues = 0; queues < 2; queues++) {
		expect_dma(&w->host, PASID, IOVA, 0x100000 << queues);
		map(w, root[0], IOVA, 0x200000 << queues, RW);
		w->host.fail_invalidate = (struct fake_host_failure){ 1, -EIO };
		assert_true(vtd_fixture_set_root(&w->f, table));
		/* A queue that is set up anew forgets nothing. */
		if (queues)
			assert_true(vtd_fixture_queue(&w->f, true));
		w->host.fail_invalidate = (struct fake_host_failure){ 1, -EIO };
		assert_false(vtd_fixture_wait(&w->f));
		expect_dma(&w->host, PASID, IOVA, 0x100000 << queues);
		vtd_fixture_write32(&w->f, VTD_FSTS, VTD_FSTS_ITE);
		assert_true(vtd_fixture_wait(&w->f));
		expect_dma(&w->host, PASID, IOVA, 0x200000 << queues);
	}
	/* What the wait makes good is no error. */
	w->host.fail_invalidate = (struct fake_host_failure){ 1, -EIO };
	assert_true(vtd_fixture_set_root(&w->f, table));
	assert_true(vtd_fixture_wait(&w->f));
}

/* By itself, for the first of several errors. */
static void test_first_error(void **state)
{
	struct world *w = *state;
	uint16_t source = 0;
	uint64_t root[3];

	three_entries(w, root);
	w->host.fail_invalidate = (struct fake_host_failure){ 1, -EIO };
	w->other.fail_invalidate = (struct fake_host_failure){ 1, -ENODEV };
	vtd_host_collect(w->f.unit, true, 0, VTD_NO_PASID, 0, UINT64_MAX, false);
	assert_int_equal(vtd_host_flush(w->f.unit, &source), -EIO);
	assert_int_equal(source, SOURCE);
	/* What failed is sent again, once. */
	w->host.invalidates = w->other.invalidates = 0;
	assert_int_equal(vtd_host_flush(w->f.unit, &source), 0);
	assert_int_equal(vtd_host_flush(w->f.unit, &source), 0);
	assert_int_equal(w->host.invalidates, 3);
	assert_int_equal(w->other.invalidates, 3);
}

/* With the invalidation dropped, as a test knob can, the device sees the old translation. */
static void test_dropped_invalidation_is_seen(void **state)
{
	struct world *w = *state;
	uint64_t root[3];

	three_entries(w, root);
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	map(w, root[0], IOVA, 0x200000, RW);
	w->f.unit->config.drop = 1 << VTD_DESC_PASID_IOTLB;
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, PASID, IOVA, 0x100000);
	w->f.unit->config.drop = 0;
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	expect_dma(&w->host, PASID, IOVA, 0x200000);
}

/* --- Page requests --- */

static int ask(struct world *w, unsigned int group)
{
	const struct vtd_page_request request = { .requester = w->host.requester,
						  .pasid = PASID,
						  .address = IOVA,
						  .access = VTD_READ,
						  .group = group,
						  .last = true };

	return vtd_page_request(w->f.unit, &request);
}

static void answer(struct world *w, unsigned int group, unsigned int code)
{
	vtd_fixture_submit(
		&w->f,
		VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P | vtd_put(code, VTD_RESPONSE_RC) |
			vtd_put(SOURCE, VTD_RESPONSE_RID) | vtd_put(PASID, VTD_DESC_PASID),
		vtd_put(group, VTD_RESPONSE1_PRGI));
}

static void test_page_requests(void **state)
{
	struct world *w = *state;

	set_entry(w, PASID, VTD_PGTT_FS, 1, vtd_fixture_page(&w->f), 0);
	entry_changed(w, 1, PASID);
	vtd_fixture_write64(&w->f, VTD_PQA, vtd_fixture_page(&w->f));
	assert_int_equal(ask(w, 5), 0);
	answer(w, 5, VTD_RESPONSE_INVALID);
	assert_int_equal(w->host.responses, 1);
	assert_int_equal(w->host.response[0].pasid, PASID);
	assert_int_equal(w->host.response[0].group, 5);
	assert_int_equal(w->host.response[0].code, VTD_RESPONSE_INVALID);
	/* Too late: the device was reset meanwhile. */
	assert_int_equal(ask(w, 6), 0);
	vtd_forget_page_requests(w->f.unit, w->host.requester);
	answer(w, 6, VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.responses, 1);
	/* The host does not take the answer: counted, and no more. */
	w->host.fail_respond = (struct fake_host_failure){ 1, -EINVAL };
	assert_int_equal(ask(w, 7), 0);
	answer(w, 7, VTD_RESPONSE_SUCCESS);
	assert_int_equal(vtd_counter(w->f.unit, VTD_COUNT_HOST_ERRORS), 1);
	assert_true(vtd_fixture_wait(&w->f));
	/* Nobody can answer: the unit does. */
	vtd_fixture_write64(&w->f, VTD_PQA, FIXTURE_MEMORY);
	assert_int_equal(ask(w, 8), -EAGAIN);
	assert_int_equal(w->host.response[2].code, VTD_RESPONSE_FAILURE);
}

static void test_trace(void **state)
{
	struct world *w = *state;
	char lines[2048] = "";

	vtd_trace(w->f.unit, w->host.requester, vtd_fixture_keep_line, lines);
	set_entry(w, PASID, VTD_PGTT_FS, 1, vtd_fixture_page(&w->f), 0);
	set_entry(w, RID_PASID, VTD_PGTT_PT, 1, 0, 0);
	pasid_cache(w, VTD_PASID_CACHE_GLOBAL, 0, 0);
	pasid_iotlb(w, 1, PASID, IOVA, 0);
	assert_true(vtd_fixture_wait(&w->f));
	w->host.fail_unbind = (struct fake_host_failure){ 1, -EIO };
	clear_entry(w, PASID);
	entry_changed(w, 1, PASID);
	vtd_trace(w->f.unit, w->host.requester, NULL, NULL);
	assert_non_null(strstr(lines, "host: bind: 0\n"));
	assert_non_null(strstr(lines, "host: bind pasid 0x45: 0\n"));
	assert_non_null(strstr(lines, "host: invalidate pasid 0x45, 1 ranges: 0\n"));
	assert_non_null(strstr(lines, "host: unbind pasid 0x45: -5\n"));
}

/* --- Becoming a real device --- */

static void test_set_host(void **state)
{
	struct vtd_requester *requester;
	struct world *w = *state;
	struct fake_host host;

	requester = vtd_attach(w->f.unit, 0x30, "third", NULL, NULL);
	assert_int_equal(vtd_set_host(w->f.unit, w->host.requester, &w->host.ops, &w->host),
			 -EEXIST);
	assert_int_equal(fake_host_init(&host, w->f.unit, requester, 10), 0);
	/* PSS: bits minus 1, of the device that has the fewest. */
	assert_int_equal(vtd_get(vtd_ecap(w->f.unit), VTD_ECAP_PSS), 9);
	fake_host_destroy(&host);
}

static void test_set_host_fails(void **state)
{
	struct world *w = *state;
	struct vtd_requester *requester = vtd_attach(w->f.unit, 0x30, "third", NULL, NULL);
	struct fake_host host = { .ops = w->host.ops,
				  .fail_bind = { 1, -ENODEV },
				  .domain = w->host.domain };
	uint64_t ecap = vtd_ecap(w->f.unit);

	host.ops.pasid_bits = 10;
	assert_int_equal(vtd_set_host(w->f.unit, requester, &host.ops, &host), -ENODEV);
	assert_null(requester->host);
	assert_int_equal(vtd_ecap(w->f.unit), ecap);
}

/* --- The end of the VM --- */

static void *ring_the_bell(void *context)
{
	struct world *w = context;

	vtd_fixture_write32(&w->f, VTD_IQT, 4096 - 32);
	return NULL;
}

/*
 * A guest whose whole PASID directory leads to one table of entries that are present and useless,
 * and that fills the queue with invalidations of all of them: each is a look at 2^20 entries. The
 * vCPU that is in there must come out when the VM ends.
 */
static void test_halt(void **state)
{
	struct world *w = *state;
	uint64_t directory = vtd_fixture_pages(&w->f, 32), table = vtd_fixture_page(&w->f);
	const struct timespec some_time = { .tv_nsec = 50000000 };
	struct timespec deadline;
	pthread_t vcpu;

	for (unsigned int i = 0; i < 64; i++)
		vtd_fixture_store(&w->f, table + i * 64, VTD_PASID0_P);
	for (unsigned int i = 0; i < 16384; i++)
		vtd_fixture_store(&w->f, directory + i * 8, table | VTD_PASIDDIR_P);
	for (unsigned int i = 0; i < 127; i++)
		vtd_fixture_store(&w->f, FIXTURE_QUEUE + i * 32,
				  VTD_DESC_PASID_CACHE |
					  vtd_put(VTD_PASID_CACHE_GLOBAL, VTD_DESC_G));
	vtd_fixture_store(&w->f, w->context + SOURCE * 32,
			  directory | VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_PASIDE |
				  vtd_put(7, VTD_SM_CONTEXT0_PDTS));
	vtd_fixture_store(&w->f, w->root, w->context | VTD_ROOT_P);
	assert_int_equal(pthread_create(&vcpu, NULL, ring_the_bell, w), 0);
	nanosleep(&some_time, NULL);
	vtd_halt(w->f.unit);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(vcpu, NULL, &deadline), 0);
	assert_int_not_equal(vtd_fixture_read64(&w->f, VTD_IQH), 4096 - 32);
	/* A reset starts it anew. */
	vtd_reset(w->f.unit);
	assert_int_equal(fake_host_count(&w->host), 1);
	vtd_fixture_store(&w->f, w->context + SOURCE * 32, 0);
	set_context(w, SOURCE, w->directory);
	enable(w);
	set_entry(w, PASID, VTD_PGTT_FS, 1, vtd_fixture_page(&w->f), 0);
	entry_changed(w, 1, PASID);
	assert_non_null(fake_host_bound(&w->host, PASID));
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_translation_off_is_identity, setup_off),
		TEST(test_what_is_bound, setup),
		TEST(test_translations, setup),
		TEST(test_one_domain_for_all_pasids, setup),
		TEST(test_domain_id_of_the_entry_changes, setup),
		TEST(test_domain_id_changes_before_the_invalidation, setup),
		TEST(test_unchanged_entries_stay, setup),
		TEST(test_scopes, setup),
		TEST(test_function_mask, setup),
		TEST(test_invalid_entries_are_not_bound, setup),
		TEST(test_pasids_beyond_the_device, setup),
		TEST(test_reset, setup),
		TEST(test_bind_fails, setup),
		TEST(test_nth_bind_fails, setup),
		TEST(test_replace_fails, setup),
		TEST(test_bind_of_requests_without_pasid_fails, setup),
		TEST(test_bind_fails_silently, setup),
		TEST(test_unbind_fails, setup),
		TEST(test_bind_over_a_stale_one, setup),
		TEST(test_too_many, setup),
		TEST(test_nothing_before_the_wait, setup),
		TEST(test_which_bindings, setup),
		TEST(test_merging, setup),
		TEST(test_too_many_ranges, setup),
		cmocka_unit_test(test_ranges_at_the_ends),
		TEST(test_requests_without_pasid, setup),
		TEST(test_legacy, setup_off),
		TEST(test_invalidation_fails, setup),
		TEST(test_flush_fails, setup),
		TEST(test_implied_invalidation_fails, setup),
		TEST(test_first_error, setup),
		TEST(test_dropped_invalidation_is_seen, setup),
		TEST(test_page_requests, setup),
		TEST(test_trace, setup),
		TEST(test_halt, setup),
		TEST(test_set_host, setup_off),
		TEST(test_set_host_fails, setup_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
