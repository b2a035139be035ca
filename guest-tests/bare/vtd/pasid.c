/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests with PASID, of sdma: many address spaces at once, of all kinds; what has to fault; the
 * device-TLB and its invalidation.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "vtd/tests.h"

#define QUEUE_IOVA  0x10000000UL
#define SOURCE	    0x20000000UL
#define TARGET	    0x20100000UL
#define PASID_LOW   1
#define PASID_HIGH  0xfffff
#define BYTES	    PAGE_SIZE
#define CONTEXT_ALL (VTD_SM_CONTEXT0_DTE | VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE)

/* One address space of the device: a table, and three pages of it. */
struct space {
	uint32_t pasid;
	uintptr_t first, second;
	void *queue_page;
	uint64_t *source, *target;
	uint64_t *source_leaf, *target_leaf;
};

static struct space new_space(struct world *w, uint32_t pasid, enum vtd_pgtt type)
{
	bool first = type == VTD_PGTT_FS || type == VTD_PGTT_NESTED;
	uint64_t flags = first ? VTD_FS_ALL : VTD_SS_ALL;
	struct space s = { .pasid = pasid, .queue_page = pages(1) };
	uintptr_t root = (uintptr_t)pages(1);

	s.source = pattern_page(pasid + 1000);
	s.target = pages(1);
	vtd_map(root, 4, QUEUE_IOVA, (uintptr_t)s.queue_page, PAGE_SIZE, flags, flags);
	s.source_leaf = vtd_map(root, 4, SOURCE, (uintptr_t)s.source, PAGE_SIZE, flags, flags);
	s.target_leaf = vtd_map(root, 4, TARGET, (uintptr_t)s.target, PAGE_SIZE, flags, flags);
	s.first = first ? root : 0;
	s.second = type == VTD_PGTT_NESTED ? vtd_identity(IDENTITY_SIZE) : first ? 0 : root;
	vtd_pasid_set(vtd_pasid_entry(&w->vtd, w->sdma.devfn, pasid), type, s.first, s.second,
		      (uint16_t)(pasid % 1000 + 1));
	return s;
}

static const struct sdma_descriptor copy_plain = {
	.operation = SDMA_COPY,
	.flags = SDMA_FLAG_NO_ATC,
	.source = SOURCE,
	.destination = TARGET,
	.length = BYTES,
};

static bool copies(struct world *w, struct space *s, unsigned int queue, uint8_t flags)
{
	struct sdma_descriptor copy = copy_plain;
	struct sdma_queue q;
	bool good;

	copy.flags = flags;
	memset(s->target, 0, PAGE_SIZE);
	sdma_queue_start(&q, &w->sdma, queue, s->queue_page, QUEUE_IOVA, s->pasid);
	good = sdma_do(&q, &copy) == SDMA_DONE && !memcmp(s->source, s->target, PAGE_SIZE);
	return sdma_queue_stop(&q) && good;
}

static void start(struct world *w, uint64_t flags)
{
	vtd_new_root(&w->vtd);
	/* What the unit does not have is reserved. */
	if (!(w->vtd.ecap & VTD_ECAP_DT))
		flags &= ~VTD_SM_CONTEXT0_DTE;
	if (!(w->vtd.ecap & VTD_ECAP_PRS))
		flags &= ~VTD_SM_CONTEXT0_PRE;
	vtd_sm_context_set(&w->vtd, w->sdma.devfn, flags);
}

static void test_kinds(struct world *w)
{
	static const struct {
		const char *name;
		enum vtd_pgtt type;
		uint32_t pasid;
	} kinds[] = {
		{ "first stage", VTD_PGTT_FS, PASID_LOW },
		{ "second stage", VTD_PGTT_SS, PASID_HIGH },
		{ "nested", VTD_PGTT_NESTED, 0x12345 },
	};
	struct space space[ARRAY_SIZE(kinds)];

	start(w, CONTEXT_ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (vtd_has_type(&w->vtd, kinds[i].type))
			space[i] = new_space(w, kinds[i].pasid, kinds[i].type);
	translation_on(w, VTD_TTM_SCALABLE);
	sdma_enable(&w->sdma, true, false, false);
	/* All of them in one unit at once, the same addresses in each. */
	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
			if (vtd_has_type(&w->vtd, kinds[i].type))
				check(copies(w, &space[i], i % w->sdma.queues, SDMA_FLAG_NO_ATC),
				      "PASID 0x%x, %s, round %u: sdma copies", kinds[i].pasid,
				      kinds[i].name, round);
	if (w->vtd.ecap & VTD_ECAP_DT) {
		sdma_enable(&w->sdma, true, true, false);
		for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
			if (vtd_has_type(&w->vtd, kinds[i].type))
				check(copies(w, &space[i], i % w->sdma.queues, 0),
				      "PASID 0x%x, %s: sdma copies by its device-TLB",
				      kinds[i].pasid, kinds[i].name);
	}
	sdma_enable(&w->sdma, false, false, false);
	translation_off(w);
}

/* A change of a mapping that the device-TLB holds is seen after its invalidation. */
static void test_device_tlb(struct world *w)
{
	const struct vtd_desc pasid_iotlb = { { VTD_DESC_PASID_IOTLB | VTD_PASID_IOTLB_PASID << 4 |
						(PASID_LOW + 1) << 16 |
						vtd_put(PASID_LOW, VTD_DESC_PASID) } };
	struct vtd_desc device_tlb = { { VTD_DESC_PASID_DEVTLB |
						 vtd_put(w->sdma.devfn, VTD_PDEVTLB_SID) |
						 vtd_put(PASID_LOW, VTD_DESC_PASID),
					 SOURCE } };
	struct sdma_descriptor copy = copy_plain;
	uint64_t *other = pattern_page(77);
	struct sdma_queue q;
	struct space s;
	bool before;

	if (!(w->vtd.ecap & VTD_ECAP_DT)) {
		check_skip("device-TLB", "the unit has no ATS");
		return;
	}
	start(w, CONTEXT_ALL);
	s = new_space(w, PASID_LOW, VTD_PGTT_FS);
	translation_on(w, VTD_TTM_SCALABLE);
	sdma_enable(&w->sdma, true, true, false);
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, s.pasid);
	copy.flags = 0;
	before = sdma_do(&q, &copy) == SDMA_DONE && sdma_do(&q, &copy) == SDMA_DONE;
	check(before && sdma_queue_counter(&q, SDMA_Q_ATC_HITS), "device-TLB: a copy hits it");
	*s.source_leaf = (*s.source_leaf & ~VTD_FS_ADDR) | (uintptr_t)other;
	vtd_queue_add(&w->vtd, &pasid_iotlb);
	vtd_queue_add(&w->vtd, &device_tlb);
	check(vtd_queue_sync(&w->vtd), "device-TLB: its invalidation completes");
	check(sdma_queue_counter(&q, SDMA_Q_INVALIDATIONS), "device-TLB: the device says so");
	check(sdma_do(&q, &copy) == SDMA_DONE && !memcmp(other, s.target, PAGE_SIZE),
	      "device-TLB: after it the new page is read");
	sdma_queue_stop(&q);
	sdma_enable(&w->sdma, false, false, false);
	translation_off(w);
}

/* --- Faults --- */

struct rule {
	const char *name;
	uint64_t context; /* flags */
	uint64_t source;
	uint64_t source_flags;	/* of its leaf entry; 0: as it is */
	uint32_t absent;	/* the queue's PASID has no entry */
	enum vtd_reason reason; /* VTD_OK: none is recorded */
	uint8_t status;
};

static const struct rule rules[] = {
	{ "page not present", CONTEXT_ALL, SOURCE + 4 * MIB, 0, 0, VTD_SFS_P, SDMA_FAULT },
	{ "supervisor page", CONTEXT_ALL, SOURCE, VTD_FS_P | VTD_FS_RW, 0, VTD_SGN_US, SDMA_FAULT },
	{ "the interrupt range is memory", CONTEXT_ALL, VTD_INTERRUPT_BASE, 0, 0, VTD_SFS_P,
	  SDMA_FAULT },
	{ "not canonical", CONTEXT_ALL, 1UL << 47, 0, 0, VTD_SGN_CANONICAL, SDMA_FAULT },
};

static void test_rule(struct world *w, const struct rule *rule)
{
	struct sdma_descriptor copy = copy_plain;
	struct vtd_fault fault = { 0 };
	struct sdma_queue q;
	struct space s;
	uint8_t status;
	bool found;

	start(w, rule->context);
	s = new_space(w, PASID_HIGH, VTD_PGTT_FS);
	if (rule->source_flags)
		*s.source_leaf = (*s.source_leaf & VTD_FS_ADDR) | rule->source_flags;
	translation_on(w, VTD_TTM_SCALABLE);
	sdma_enable(&w->sdma, true, false, false);
	vtd_clear_faults(&w->vtd);
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, s.pasid);
	copy.source = rule->source;
	status = sdma_do(&q, &copy);
	found = vtd_take_fault(&w->vtd, &fault);
	if (!check(found && fault.reason == rule->reason && fault.has_pasid &&
			   fault.pasid == PASID_HIGH && fault.source == w->sdma.devfn &&
			   fault.is_read && fault.address == rule->source,
		   "fault 0x%02x: with PASID, %s", rule->reason, rule->name))
		print("#   got %s reason 0x%02x source 0x%x address 0x%lx PASID 0x%x\n",
		      found ? "a record:" : "no record:", fault.reason, fault.source, fault.address,
		      fault.pasid);
	check(status != SDMA_DONE && status != SDMA_PENDING, "%s: the device says so too (%u)",
	      rule->name, status);
	sdma_queue_stop(&q);
	sdma_enable(&w->sdma, false, false, false);
	translation_off(w);
}

/* Nothing of the queue can be reached: it halts, and the unit says why. */
static void test_queue_fault(struct world *w, uint64_t context, bool present, bool legacy,
			     enum vtd_reason reason, const char *name)
{
	static const struct sdma_descriptor none = { .operation = SDMA_NOP,
						     .flags = SDMA_FLAG_NO_ATC };
	struct vtd_fault fault = { 0 };
	struct sdma_queue q;
	struct space s;

	start(w, context);
	s = new_space(w, PASID_LOW, VTD_PGTT_FS);
	if (!present)
		vtd_pasid_entry(&w->vtd, w->sdma.devfn, PASID_LOW)[0] = 0;
	if (legacy) {
		vtd_new_root(&w->vtd);
		vtd_context_set(&w->vtd, w->sdma.devfn, VTD_TT_UNTRANSLATED, VTD_AW_48,
				(uintptr_t)pages(1));
	}
	translation_on(w, legacy ? VTD_TTM_LEGACY : VTD_TTM_SCALABLE);
	sdma_enable(&w->sdma, true, false, false);
	vtd_clear_faults(&w->vtd);
	sdma_queue_start(&q, &w->sdma, 0, s.queue_page, QUEUE_IOVA, s.pasid);
	sdma_wait(sdma_submit(&q, &none));
	check((sdma_queue_state(&q) & SDMA_Q_STATE_MASK) == SDMA_Q_HALTED, "%s: the queue halts",
	      name);
	check(vtd_take_fault(&w->vtd, &fault) && fault.reason == reason && fault.has_pasid,
	      "fault 0x%02x: with PASID, %s (0x%02x)", reason, name, fault.reason);
	sdma_queue_stop(&q);
	sdma_enable(&w->sdma, false, false, false);
	translation_off(w);
}

void test_pasid(struct world *w)
{
	if (!(w->vtd.ecap & VTD_ECAP_PASID) || !(w->vtd.ecap & VTD_ECAP_FSTS)) {
		check_skip("PASIDs", "the unit has none, or no first stage");
		return;
	}
	check(w->sdma.pasid && w->sdma.ats && w->sdma.pri, "sdma has PASID, ATS and PRI");
	test_kinds(w);
	test_device_tlb(w);
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		test_rule(w, &rules[i]);
	test_queue_fault(w, 0, true, false, VTD_SCT_PASIDE, "PASIDE clear");
	test_queue_fault(w, CONTEXT_ALL, false, false, VTD_SPT_P, "no PASID entry");
	test_queue_fault(w, CONTEXT_ALL, true, true, VTD_RTA_LEGACY_PASID, "legacy mode");
}
