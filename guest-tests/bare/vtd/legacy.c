/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Legacy mode: edu's DMA through second-stage tables of every width and page size, and by
 * pass-through; each rule that it can break, with its reason.
 */
#include "lib/boot.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "vtd/tests.h"

struct width {
	const char *name;
	enum vtd_aw aw;
	uint64_t cap;
	unsigned int levels;
};

static const struct width widths[] = {
	{ "39 bits", VTD_AW_39, VTD_CAP_SAGAW39, 3 },
	{ "48 bits", VTD_AW_48, VTD_CAP_SAGAW48, 4 },
	{ "57 bits", VTD_AW_57, VTD_CAP_SAGAW57, 5 },
};

/* A width that the unit has: the first one. */
static const struct width *some_width(const struct world *w)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(widths); i++)
		if (w->vtd.cap & widths[i].cap)
			return &widths[i];
	return &widths[0];
}

static bool legacy_with(struct world *w, const struct width *width, uintptr_t root)
{
	vtd_new_root(&w->vtd);
	vtd_context_set(&w->vtd, w->edu.devfn, VTD_TT_UNTRANSLATED, width->aw, root);
	return translation_on(w, VTD_TTM_LEGACY);
}

static void test_width(struct world *w, const struct width *width)
{
	uintptr_t root = (uintptr_t)pages(1);
	uint64_t *source = pattern_page(width->levels), *target = pages(1);

	vtd_map(root, width->levels, IOVA, (uintptr_t)source, PAGE_SIZE, VTD_SS_R, VTD_SS_ALL);
	vtd_map(root, width->levels, IOVA + PAGE_SIZE, (uintptr_t)target, PAGE_SIZE, VTD_SS_ALL,
		VTD_SS_ALL);
	check(legacy_with(w, width, root) &&
		      edu_round_trip(w, IOVA, source, IOVA + PAGE_SIZE, target),
	      "legacy, %s: a page is read and another written", width->name);
	translation_off(w);
}

/* Pages of 2 MiB and 1 GiB: the offset in them is kept. The 1 GiB page is the first one. */
static void test_large(struct world *w, uint64_t size, const char *name)
{
	const struct width *width = some_width(w);
	uintptr_t root = (uintptr_t)pages(1);
	uint64_t *source = two_pages(size), *target = source + PAGE_SIZE / 8;
	uint64_t base = align_down((uintptr_t)source, size), iova = size == GIB ? 0 : IOVA;

	memcpy(source, pattern_page(size), PAGE_SIZE);
	vtd_map(root, width->levels, iova, base, size, VTD_SS_ALL, VTD_SS_ALL);
	check(legacy_with(w, width, root) &&
		      edu_round_trip(w, iova + ((uintptr_t)source - base), source,
				     iova + ((uintptr_t)target - base), target),
	      "legacy: a page of %s", name);
	translation_off(w);
}

static void test_pass_through(struct world *w)
{
	uint64_t *source = pattern_page(99), *target = pages(1);

	if (!(w->vtd.ecap & VTD_ECAP_PT)) {
		check_skip("legacy: pass-through", "the unit has none");
		return;
	}
	vtd_new_root(&w->vtd);
	vtd_context_set(&w->vtd, w->edu.devfn, VTD_TT_PASS_THROUGH, some_width(w)->aw, 0);
	check(translation_on(w, VTD_TTM_LEGACY) &&
		      edu_round_trip(w, (uintptr_t)source, source, (uintptr_t)target, target),
	      "legacy: pass-through");
	translation_off(w);
}

/* A mapping that is changed and invalidated leads to the new page, by each granularity. */
static void test_change(struct world *w)
{
	static const struct {
		const char *name;
		struct vtd_desc desc;
	} ways[] = {
		{ "global", { { VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << 4 } } },
		{ "domain", { { VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | 1 << 16 } } },
		{ "page", { { VTD_DESC_IOTLB | VTD_IOTLB_PAGE << 4 | 1 << 16, IOVA } } },
		{ "8 pages, leaf only",
		  { { VTD_DESC_IOTLB | VTD_IOTLB_PAGE << 4 | 1 << 16,
		      (IOVA & ~UINT64_C(0x7fff)) | VTD_ADDR1_IH | 3 } } },
	};
	const struct width *width = some_width(w);
	uintptr_t root = (uintptr_t)pages(1);
	uint64_t *a = pattern_page(1), *b = pattern_page(2), *target = pages(1);
	uint64_t *entry;

	vtd_map(root, width->levels, IOVA + MIB, (uintptr_t)target, PAGE_SIZE, VTD_SS_ALL,
		VTD_SS_ALL);
	entry = vtd_map(root, width->levels, IOVA, (uintptr_t)a, PAGE_SIZE, VTD_SS_ALL, VTD_SS_ALL);
	legacy_with(w, width, root);
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		uint64_t *other = i & 1 ? a : b;
		bool old = edu_round_trip(w, IOVA, i & 1 ? b : a, IOVA + MIB, target);

		*entry = (uintptr_t)other | VTD_SS_ALL;
		vtd_queue_add(&w->vtd, &ways[i].desc);
		check(old && vtd_queue_sync(&w->vtd) &&
			      edu_round_trip(w, IOVA, other, IOVA + MIB, target),
		      "legacy: a changed page after a %s invalidation", ways[i].name);
	}
	translation_off(w);
}

void test_legacy(struct world *w)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(widths); i++)
		if (w->vtd.cap & widths[i].cap)
			test_width(w, &widths[i]);
	if (w->vtd.cap & VTD_CAP_SSLPS2M)
		test_large(w, 2 * MIB, "2 MiB");
	if (w->vtd.cap & VTD_CAP_SSLPS1G)
		test_large(w, GIB, "1 GiB");
	test_pass_through(w);
	test_change(w);
}

/* --- Faults --- */

/* A unit with one page mapped, read-only, and what makes it go wrong. */
struct broken {
	const struct world *w;
	const struct width *width;
	uint64_t *root_entry, *context, *top, *leaf;
};

static void break_root_present(struct broken *b)
{
	*b->root_entry &= ~VTD_ROOT_P;
}

static void break_root_reserved(struct broken *b)
{
	*b->root_entry |= VTD_BIT(1);
}

static void break_root_access(struct broken *b)
{
	*b->root_entry = NO_RAM | VTD_ROOT_P;
}

static void break_context_present(struct broken *b)
{
	b->context[0] &= ~VTD_CONTEXT0_P;
}

static void break_context_width(struct broken *b)
{
	b->context[1] |= VTD_CONTEXT1_AW; /* 7: no such width */
}

static void break_context_reserved(struct broken *b)
{
	b->context[0] |= VTD_BIT(4);
}

static void break_table_access(struct broken *b)
{
	*b->top = NO_RAM | VTD_SS_ALL;
}

static void break_table_root_access(struct broken *b)
{
	b->context[0] = NO_RAM | VTD_CONTEXT0_P;
}

static void break_table_reserved(struct broken *b)
{
	*b->leaf |= VTD_BIT(51); /* beyond the host's addresses, of 52 bits at most */
}

static void break_nothing(struct broken *b)
{
	(void)b;
}

static void break_leaf(struct broken *b)
{
	*b->leaf = 0;
}

static void break_output(struct broken *b)
{
	*b->leaf = VTD_INTERRUPT_BASE | VTD_SS_ALL;
}

struct rule {
	void (*spoil)(struct broken *b);
	bool to_memory, beyond;
	enum vtd_reason reason;
	const char *name;
};

static const struct rule rules[] = {
	{ break_root_present, true, false, VTD_LRT_P, "legacy: no root entry" },
	{ break_context_present, true, false, VTD_LCT_P, "legacy: no context entry" },
	{ break_context_width, true, false, VTD_LCT_INVALID, "legacy: no such width" },
	{ break_nothing, true, true, VTD_LGN_WIDTH, "legacy: address beyond the width" },
	{ break_nothing, true, false, VTD_LGN_WRITE, "legacy: write to a read-only page" },
	{ break_leaf, true, false, VTD_LGN_WRITE, "legacy: write where nothing is mapped" },
	{ break_leaf, false, false, VTD_LGN_READ, "legacy: read where nothing is mapped" },
	{ break_table_access, false, false, VTD_LSS_ACCESS, "legacy: a table outside of memory" },
	{ break_table_root_access, false, false, VTD_LCT_INVALID,
	  "legacy: the first table outside" },
	{ break_root_access, false, false, VTD_LCT_ACCESS, "legacy: context table outside" },
	{ break_root_reserved, false, false, VTD_LRT_RESERVED, "legacy: root entry, reserved bit" },
	{ break_context_reserved, false, false, VTD_LCT_RESERVED, "legacy: context, reserved bit" },
	{ break_table_reserved, false, false, VTD_LSS_RESERVED, "legacy: table, reserved bit" },
	{ break_output, true, false, VTD_LGN_INTERRUPT, "legacy: output in the interrupt range" },
};

static struct broken one_page(struct world *w, const struct width *width)
{
	uintptr_t root = (uintptr_t)pages(1);
	struct broken b = { .w = w, .width = width };

	b.leaf = vtd_map(root, width->levels, IOVA, (uintptr_t)pages(1), PAGE_SIZE, VTD_SS_R,
			 VTD_SS_ALL);
	vtd_new_root(&w->vtd);
	vtd_context_set(&w->vtd, w->edu.devfn, VTD_TT_UNTRANSLATED, width->aw, root);
	b.root_entry = &w->vtd.root[0];
	b.context = vtd_context(&w->vtd, w->edu.devfn, VTD_TTM_LEGACY);
	b.top = (uint64_t *)root + (IOVA >> (12 + 9 * (width->levels - 1)) & 511);
	return b;
}

static void test_root_access(struct world *w)
{
	uint64_t *root = w->vtd.root;

	w->vtd.root = (uint64_t *)NO_RAM;
	translation_on(w, VTD_TTM_LEGACY);
	expect_fault(w, true, IOVA, VTD_LRT_ACCESS, "legacy: root table outside of memory");
	translation_off(w);
	w->vtd.root = root;
}

static void test_processing_disabled(struct world *w)
{
	struct broken b = one_page(w, some_width(w));
	struct vtd_fault fault;

	b.context[0] |= VTD_CONTEXT0_FPD;
	*b.leaf = 0;
	translation_on(w, VTD_TTM_LEGACY);
	vtd_clear_faults(&w->vtd);
	edu_to_memory(&w->edu, IOVA, 0, 64);
	check(!vtd_take_fault(&w->vtd, &fault), "legacy: FPD, and no fault is recorded");
	translation_off(w);
}

void test_legacy_faults(struct world *w)
{
	const struct width *width = some_width(w);

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];
		struct broken b = one_page(w, width);
		uint64_t iova = rule->beyond ? 1UL << (12 + 9 * width->levels) : IOVA;

		rule->spoil(&b);
		translation_on(w, VTD_TTM_LEGACY);
		expect_fault(w, rule->to_memory, iova, rule->reason, rule->name);
		translation_off(w);
	}
	test_root_access(w);
	test_processing_disabled(w);
}
