/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scalable mode: edu's DMA without PASID, by RID_PASID 0: first stage, second stage, nested and
 * pass-through; accessed and dirty flags.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "vtd/tests.h"

#define DID 3

/* One mode: what its tables are, and whether the unit has it. */
struct mode {
	const char *name;
	enum vtd_pgtt type;
};

static const struct mode modes[] = {
	{ "first stage", VTD_PGTT_FS },
	{ "second stage", VTD_PGTT_SS },
	{ "nested", VTD_PGTT_NESTED },
	{ "pass-through", VTD_PGTT_PT },
};

static bool has(const struct world *w, const struct mode *mode)
{
	if (vtd_has_type(&w->vtd, mode->type))
		return true;
	check_skip(mode->name, "the unit has it not");
	return false;
}

/* The tables of a mode; the entry that maps a page, in what the device sees first. */
struct tables {
	uintptr_t first, second;
};

static struct tables new_tables(enum vtd_pgtt type)
{
	struct tables t = { 0 };

	if (type == VTD_PGTT_FS || type == VTD_PGTT_NESTED)
		t.first = (uintptr_t)pages(1);
	if (type == VTD_PGTT_SS)
		t.second = (uintptr_t)pages(1);
	if (type == VTD_PGTT_NESTED)
		t.second = vtd_identity(IDENTITY_SIZE);
	return t;
}

static uint64_t *map_page(const struct tables *t, uint64_t iova, const void *page, uint64_t size)
{
	uint64_t gpa = align_down((uintptr_t)page, size);

	if (t->first)
		return vtd_map(t->first, 4, iova, gpa, size, VTD_FS_ALL, VTD_FS_ALL);
	if (t->second)
		return vtd_map(t->second, 4, iova, gpa, size, VTD_SS_ALL, VTD_SS_ALL);
	return NULL;
}

static uint64_t *scalable_with(struct world *w, enum vtd_pgtt type, const struct tables *t)
{
	uint64_t *entry;

	vtd_new_root(&w->vtd);
	vtd_sm_context_set(&w->vtd, w->edu.devfn, 0);
	entry = vtd_pasid_entry(&w->vtd, w->edu.devfn, 0);
	vtd_pasid_set(entry, type, t->first, t->second, DID);
	return entry;
}

static void test_mode(struct world *w, const struct mode *mode)
{
	uint64_t *source = pattern_page(mode->type), *target = pages(1);
	struct tables t = new_tables(mode->type);
	bool mapped = mode->type != VTD_PGTT_PT;

	map_page(&t, IOVA, source, PAGE_SIZE);
	map_page(&t, IOVA + MIB, target, PAGE_SIZE);
	scalable_with(w, mode->type, &t);
	check(translation_on(w, VTD_TTM_SCALABLE) &&
		      edu_round_trip(w, mapped ? IOVA : (uintptr_t)source, source,
				     mapped ? IOVA + MIB : (uintptr_t)target, target),
	      "scalable, %s: a page is read and another written", mode->name);
	translation_off(w);
}

static void test_large(struct world *w, const struct mode *mode, uint64_t size)
{
	uint64_t *source = two_pages(size), *target = source + PAGE_SIZE / 8;
	struct tables t = new_tables(mode->type);
	uint64_t base = align_down((uintptr_t)source, size), iova = size == GIB ? 0 : IOVA;

	memcpy(source, pattern_page(size + mode->type), PAGE_SIZE);
	map_page(&t, iova, source, size);
	scalable_with(w, mode->type, &t);
	check(translation_on(w, VTD_TTM_SCALABLE) &&
		      edu_round_trip(w, iova + ((uintptr_t)source - base), source,
				     iova + ((uintptr_t)target - base), target),
	      "scalable, %s: a page of %lu MiB", mode->name, size / MIB);
	translation_off(w);
}

/* Accessed and dirty: set by use, D by writes alone, also when a read has cached the page. */
static void test_accessed_dirty(struct world *w, const struct mode *mode)
{
	bool first = mode->type == VTD_PGTT_FS;
	uint64_t a = first ? VTD_FS_A : VTD_SS_A, d = first ? VTD_FS_D : VTD_SS_D;
	struct tables t = new_tables(mode->type);
	uint64_t *leaf = map_page(&t, IOVA, pages(1), PAGE_SIZE);
	uint64_t *entry = scalable_with(w, mode->type, &t);
	uint64_t after_read, after_write;

	if (!first)
		entry[0] |= VTD_PASID0_SSADE;
	translation_on(w, VTD_TTM_SCALABLE);
	edu_from_memory(&w->edu, IOVA, 0, 64);
	after_read = *(volatile uint64_t *)leaf;
	edu_to_memory(&w->edu, IOVA, 0, 64);
	after_write = *(volatile uint64_t *)leaf;
	check((after_read & (a | d)) == a, "scalable, %s: a read sets A and not D", mode->name);
	check((after_write & (a | d)) == (a | d), "scalable, %s: a write sets D", mode->name);
	translation_off(w);
}

static void test_abort(struct world *w)
{
	struct tables t = { 0 };
	uint64_t *page = pages(1);

	if (!(w->vtd.ecap & VTD_ECAP_ADMS)) {
		check_skip("abort mode", "the unit has it not");
		return;
	}
	scalable_with(w, VTD_PGTT_PT, &t);
	translation_on(w, VTD_TTM_ABORT);
	edu_to_memory(&w->edu, (uintptr_t)page, 0, 64);
	check(all64(page, 0, 8), "abort mode: no DMA goes through");
	translation_off(w);
}

/* Of the domain only: page-selective within the PASID, the PASID, all of a domain's PASIDs. */
static void test_invalidation(struct world *w, const struct mode *mode)
{
	const struct vtd_desc ways[] = {
		{ { VTD_DESC_PASID_IOTLB | VTD_PASID_IOTLB_PASID << 4 | DID << 16 } },
		{ { VTD_DESC_PASID_IOTLB | VTD_PASID_IOTLB_PAGE << 4 | DID << 16, IOVA } },
		{ { VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | DID << 16 } },
		{ { VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << 4 } },
	};
	uint64_t *a = pattern_page(5), *b = pattern_page(6), *target = pages(1);
	struct tables t = new_tables(mode->type);
	uint64_t *leaf = map_page(&t, IOVA, a, PAGE_SIZE);

	map_page(&t, IOVA + MIB, target, PAGE_SIZE);
	scalable_with(w, mode->type, &t);
	translation_on(w, VTD_TTM_SCALABLE);
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		uint64_t *other = i & 1 ? a : b;
		bool old = edu_round_trip(w, IOVA, i & 1 ? b : a, IOVA + MIB, target);

		/* PASID-based invalidation is the first stage's; the second stage's is by domain.
		 */
		if (mode->type == VTD_PGTT_SS && i < 2)
			vtd_queue_add(&w->vtd, &ways[2]);
		*leaf = (*leaf & ~VTD_FS_ADDR) | (uintptr_t)other;
		vtd_queue_add(&w->vtd, &ways[i]);
		if (mode->type == VTD_PGTT_SS && i < 2)
			vtd_queue_add(&w->vtd, &ways[2]);
		check(old && vtd_queue_sync(&w->vtd) &&
			      edu_round_trip(w, IOVA, other, IOVA + MIB, target),
		      "scalable, %s: a changed page after invalidation %u", mode->name, i);
	}
	translation_off(w);
}

void test_scalable(struct world *w)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		const struct mode *mode = &modes[i];

		if (!has(w, mode))
			continue;
		test_mode(w, mode);
		if (mode->type == VTD_PGTT_PT)
			continue;
		test_large(w, mode, 2 * MIB);
		if (w->vtd.cap & (mode->type == VTD_PGTT_SS ? VTD_CAP_SSLPS1G : VTD_CAP_FS1GP))
			test_large(w, mode, GIB);
		test_invalidation(w, mode);
		if (mode->type == VTD_PGTT_FS ||
		    (mode->type == VTD_PGTT_SS && w->vtd.ecap & VTD_ECAP_SSADS))
			test_accessed_dirty(w, mode);
	}
	test_abort(w);
}

/* --- Faults --- */

struct broken {
	struct world *w;
	uint64_t *root_entry, *context, *directory, *entry;
	uint64_t *leaf, *top; /* of the first stage, or of the second one if that is the only one */
};

static void root_present(struct broken *b)
{
	*b->root_entry &= ~VTD_ROOT_P;
}

static void root_reserved(struct broken *b)
{
	*b->root_entry |= VTD_BIT(1);
}

static void context_access(struct broken *b)
{
	*b->root_entry = NO_RAM | VTD_ROOT_P;
}

static void context_present(struct broken *b)
{
	b->context[0] &= ~VTD_SM_CONTEXT0_P;
}

static void context_reserved(struct broken *b)
{
	b->context[0] |= VTD_BIT(8);
}

static void rid_pasid(struct broken *b)
{
	/* A directory of 128 entries and a RID_PASID beyond what it covers. */
	b->context[0] &= ~VTD_SM_CONTEXT0_PDTS;
	b->context[1] |= vtd_put(128 * 64, VTD_SM_CONTEXT1_RID_PASID);
}

static void directory_access(struct broken *b)
{
	b->context[0] = (b->context[0] & ~VTD_SM_CONTEXT0_PASIDDIR) | NO_RAM;
}

static void directory_present(struct broken *b)
{
	*b->directory &= ~VTD_PASIDDIR_P;
}

static void directory_reserved(struct broken *b)
{
	*b->directory |= VTD_BIT(2);
}

static void entry_access(struct broken *b)
{
	*b->directory = NO_RAM | VTD_PASIDDIR_P;
}

static void entry_present(struct broken *b)
{
	b->entry[0] &= ~VTD_PASID0_P;
}

static void entry_reserved(struct broken *b)
{
	b->entry[0] |= VTD_BIT(11);
}

static void entry_type(struct broken *b)
{
	b->entry[0] |= VTD_PASID0_PGTT; /* 7 */
}

static void leaf_absent(struct broken *b)
{
	*b->leaf = 0;
}

static void leaf_read_only(struct broken *b)
{
	*b->leaf &= ~VTD_FS_RW; /* the W of the second stage is the same bit */
}

static void leaf_supervisor(struct broken *b)
{
	*b->leaf &= ~VTD_FS_US;
}

static void leaf_reserved(struct broken *b)
{
	*b->leaf |= VTD_BIT(51);
}

static void table_access(struct broken *b)
{
	*b->top = NO_RAM | VTD_FS_ALL;
}

static void first_root_access(struct broken *b)
{
	b->entry[2] = (b->entry[2] & ~VTD_PASID2_FSPTPTR) | NO_RAM;
}

static void second_root_access(struct broken *b)
{
	b->entry[0] = (b->entry[0] & ~VTD_PASID0_SSPTPTR) | NO_RAM;
}

static void leaf_to_interrupts(struct broken *b)
{
	*b->leaf = (*b->leaf & ~VTD_FS_ADDR) | VTD_INTERRUPT_BASE;
}

static void second_absent(struct broken *b)
{
	*b->leaf = (*b->leaf & ~VTD_FS_ADDR) | IDENTITY_SIZE;
}

static void second_no_root(struct broken *b)
{
	b->entry[2] = (b->entry[2] & ~VTD_PASID2_FSPTPTR) | IDENTITY_SIZE;
}

static void second_no_table(struct broken *b)
{
	*b->top = IDENTITY_SIZE | VTD_FS_ALL;
}

/* The second stage has what lies behind the identity, but only for writing. */
static void write_only(struct broken *b)
{
	vtd_map(b->entry[0] & VTD_PASID0_SSPTPTR, 4, IDENTITY_SIZE, IDENTITY_SIZE, 2 * MIB,
		VTD_SS_W, VTD_SS_ALL);
}

static void write_only_root(struct broken *b)
{
	write_only(b);
	second_no_root(b);
}

static void write_only_table(struct broken *b)
{
	write_only(b);
	second_no_table(b);
}

static void no_snoop(struct broken *b)
{
	b->entry[1] &= ~VTD_PASID1_PWSNP;
}

static void nothing(struct broken *b)
{
	(void)b;
}

struct rule {
	void (*spoil)(struct broken *b);
	enum vtd_pgtt type;
	bool to_memory;
	uint64_t iova;
	enum vtd_reason reason;
	const char *name;
};

#define FS VTD_PGTT_FS
#define SS VTD_PGTT_SS
#define NE VTD_PGTT_NESTED

static const struct rule rules[] = {
	{ root_present, FS, true, IOVA, VTD_SRT_P, "no root entry" },
	{ root_reserved, FS, true, IOVA, VTD_SRT_RESERVED, "root entry, reserved bit" },
	{ context_access, FS, true, IOVA, VTD_SCT_ACCESS, "context table outside of memory" },
	{ context_present, FS, false, IOVA, VTD_SCT_P, "no context entry" },
	{ context_reserved, FS, true, IOVA, VTD_SCT_RESERVED, "context entry, reserved bit" },
	{ rid_pasid, FS, true, IOVA, VTD_SCT_RID_PASID, "RID_PASID beyond the directory" },
	{ directory_access, FS, true, IOVA, VTD_SPD_ACCESS, "directory outside of memory" },
	{ directory_present, FS, true, IOVA, VTD_SPD_P, "no directory entry" },
	{ directory_reserved, FS, true, IOVA, VTD_SPD_RESERVED, "directory, reserved bit" },
	{ entry_access, FS, true, IOVA, VTD_SPT_ACCESS, "PASID table outside of memory" },
	{ entry_present, FS, true, IOVA, VTD_SPT_P, "no PASID entry" },
	{ entry_reserved, FS, true, IOVA, VTD_SPT_RESERVED, "PASID entry, reserved bit" },
	{ entry_type, FS, true, IOVA, VTD_SPT_INVALID, "PASID entry: no such type" },
	{ leaf_absent, FS, true, IOVA, VTD_SFS_P, "first stage: not present" },
	{ leaf_read_only, FS, true, IOVA, VTD_SGN_WRITE, "first stage: not writable" },
	{ leaf_supervisor, FS, false, IOVA, VTD_SGN_US, "first stage: supervisor page" },
	{ leaf_reserved, FS, false, IOVA, VTD_SFS_RESERVED, "first stage: reserved bit" },
	{ table_access, FS, false, IOVA, VTD_SFS_ACCESS, "first stage: table outside" },
	{ first_root_access, FS, false, IOVA, VTD_SFS_ROOT_ACCESS, "first stage: root outside" },
	{ leaf_to_interrupts, FS, true, IOVA, VTD_SGN_INTERRUPT, "first stage: interrupt range" },
	{ nothing, FS, true, 1UL << 47, VTD_SGN_CANONICAL, "first stage: not canonical" },
	{ no_snoop, FS, true, IOVA, VTD_SFS_AD_SNOOP, "first stage: A/D without snooping" },
	{ leaf_absent, SS, true, IOVA, VTD_SSS_P, "second stage: not present" },
	{ leaf_read_only, SS, true, IOVA, VTD_SGN_WRITE, "second stage: not writable" },
	{ leaf_reserved, SS, false, IOVA, VTD_SSS_RESERVED, "second stage: reserved bit" },
	{ table_access, SS, false, IOVA, VTD_SSS_ACCESS, "second stage: table outside" },
	{ second_root_access, SS, false, IOVA, VTD_SSS_ROOT_ACCESS, "second stage: root outside" },
	{ nothing, SS, true, 1UL << 48, VTD_SGN_WIDTH, "second stage: beyond the width" },
	{ leaf_absent, NE, true, IOVA, VTD_SFS_P, "nested: first stage not present" },
	{ second_absent, NE, true, IOVA, VTD_SSS_P, "nested: second stage not present" },
	{ second_no_root, NE, false, IOVA, VTD_SSS_P, "nested: root not in the second stage" },
	{ second_no_table, NE, false, IOVA, VTD_SSS_P, "nested: table not in the second stage" },
	{ write_only_root, NE, false, IOVA, VTD_SFS_SS_ROOT_READ, "nested: root not readable" },
	{ write_only_table, NE, false, IOVA, VTD_SFS_SS_READ, "nested: table not readable" },
};

static struct broken one_page(struct world *w, enum vtd_pgtt type)
{
	struct tables t = new_tables(type);
	struct broken b = { .w = w };

	b.leaf = map_page(&t, IOVA, pages(1), PAGE_SIZE);
	b.top = (uint64_t *)(t.first ? t.first : t.second) + (IOVA >> 39 & 511);
	b.entry = scalable_with(w, type, &t);
	b.root_entry = &w->vtd.root[w->edu.devfn >= 128];
	b.context = vtd_context(&w->vtd, w->edu.devfn, VTD_TTM_SCALABLE);
	b.directory = (uint64_t *)(b.context[0] & VTD_SM_CONTEXT0_PASIDDIR);
	return b;
}

void test_scalable_faults(struct world *w)
{
	if (!(w->vtd.ecap & VTD_ECAP_SMTS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];
		struct broken b;

		if (!vtd_has_type(&w->vtd, rule->type))
			continue;
		b = one_page(w, rule->type);
		rule->spoil(&b);
		translation_on(w, VTD_TTM_SCALABLE);
		expect_fault(w, rule->to_memory, rule->iova, rule->reason, rule->name);
		translation_off(w);
	}
}
