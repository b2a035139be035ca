/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue errors (6.5.2.10, 11.4.9.9): each bad descriptor stops the queue with its code, and the
 * queue goes on once the descriptor is repaired and the error is cleared.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "vtd/tests.h"

struct bad {
	const char *name;
	bool wide, scalable;
	enum vtd_iqei code;
	struct vtd_desc desc;
};

#define TYPE(n) (((n)&15) | (uint64_t)((n) >> 4) << 9)

static const struct bad bads[] = {
	{ "type 0", false, false, VTD_IQEI_TYPE, { { 0 } } },
	{ "type 0, wide", true, true, VTD_IQEI_TYPE, { { 0 } } },
	{ "a type that does not exist", true, true, VTD_IQEI_TYPE, { { TYPE(0x7f) } } },
	{ "context: granularity 0", false, false, VTD_IQEI_RESERVED, { { VTD_DESC_CONTEXT } } },
	{ "IOTLB: granularity 0", false, false, VTD_IQEI_RESERVED, { { VTD_DESC_IOTLB } } },
	{ "IOTLB: reserved bit",
	  false,
	  false,
	  VTD_IQEI_RESERVED,
	  { { VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << 4 | VTD_BIT(40) } } },
	{ "wait: reserved bit in the address",
	  false,
	  false,
	  VTD_IQEI_RESERVED,
	  { { VTD_DESC_WAIT | VTD_WAIT_FN, 1 } } },
	{ "wait: reserved bit",
	  true,
	  true,
	  VTD_IQEI_RESERVED,
	  { { VTD_DESC_WAIT | VTD_BIT(20) } } },
	{ "wide wait: upper words set",
	  true,
	  true,
	  VTD_IQEI_RESERVED,
	  { { VTD_DESC_WAIT | VTD_WAIT_FN, 0, 1, 0 } } },
	{ "PASID cache: granularity 2",
	  true,
	  true,
	  VTD_IQEI_RESERVED,
	  { { VTD_DESC_PASID_CACHE | 2 << 4 } } },
	{ "PASID IOTLB: granularity 0",
	  true,
	  true,
	  VTD_IQEI_RESERVED,
	  { { VTD_DESC_PASID_IOTLB } } },
	{ "PASID cache, in legacy mode",
	  true,
	  false,
	  VTD_IQEI_TYPE,
	  { { VTD_DESC_PASID_CACHE | VTD_PASID_CACHE_GLOBAL << 4 } } },
};

static unsigned int error_code(const struct vtd *vtd)
{
	return (unsigned int)vtd_get(vtd_get64(vtd, VTD_IQERCD), VTD_IQERCD_IQEI);
}

static bool is_stopped(const struct vtd *vtd, uint32_t head, enum vtd_iqei code)
{
	return vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_IQE && vtd_get64(vtd, VTD_IQH) == head &&
	       error_code(vtd) == code;
}

/* The bad one becomes a wait, as Linux does it; clearing the error is what restarts the queue. */
static bool goes_on(struct vtd *vtd, uint32_t head, volatile uint32_t *after)
{
	static const struct vtd_desc repaired = { { VTD_DESC_WAIT | VTD_WAIT_FN } };
	uint64_t until = time_us() + VTD_SOON_US;

	memcpy(vtd->queue + head, &repaired, vtd_desc_size(vtd));
	barrier();
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_IQE);
	while (!*after)
		if (time_us() > until)
			return false;
	return !(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_IQE) && vtd_queue_sync(vtd);
}

static void test_bad(struct vtd *vtd, const struct bad *bad)
{
	volatile uint32_t *status = pages(1);
	struct vtd_desc wait = { { VTD_DESC_WAIT | VTD_WAIT_SW | vtd_put(1, VTD_WAIT_DATA) } };
	uint32_t head;

	vtd_queue_sync(vtd);
	wait.qw[1] = (uintptr_t)&status[0];
	vtd_queue_add(vtd, &wait);
	head = vtd->tail;
	vtd_queue_add(vtd, &bad->desc);
	wait.qw[1] = (uintptr_t)&status[1];
	vtd_queue_add(vtd, &wait);
	vtd_queue_go(vtd);
	if (!check(is_stopped(vtd, head, bad->code), "queue error %u: %s", bad->code, bad->name))
		print("#   got code %u FSTS 0x%x head 0x%lx, bad one at 0x%x\n", error_code(vtd),
		      vtd_get32(vtd, VTD_FSTS), vtd_get64(vtd, VTD_IQH), head);
	check(status[0] && !status[1], "%s: what is before it was done, what is behind it not",
	      bad->name);
	if (!check(goes_on(vtd, head, &status[1]), "%s: repaired, the queue goes on", bad->name))
		print("#   FSTS 0x%x status %u head 0x%lx tail 0x%x\n", vtd_get32(vtd, VTD_FSTS),
		      status[1], vtd_get64(vtd, VTD_IQH), vtd->tail);
}

static void test_tails(struct vtd *vtd)
{
	uint64_t size = PAGE_SIZE << VTD_IQ_PAGES;

	if (vtd->ecap & VTD_ECAP_SMTS) {
		vtd_queue_start(vtd, true);
		vtd_set64(vtd, VTD_IQT, 16);
		check(is_stopped(vtd, 0, VTD_IQEI_ALIGNMENT), "queue error 6: tail not aligned");
		vtd_set64(vtd, VTD_IQT, 0);
		vtd_set32(vtd, VTD_FSTS, VTD_FSTS_IQE);
		check(vtd_queue_sync(vtd), "tail not aligned: put right, the queue goes on");
	}
	vtd_queue_start(vtd, false);
	vtd_set64(vtd, VTD_IQT, size);
	check(is_stopped(vtd, 0, VTD_IQEI_TAIL), "queue error 1: tail beyond the queue");
	vtd_set64(vtd, VTD_IQT, 0);
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_IQE);
	check(vtd_queue_sync(vtd), "tail beyond the queue: put right, it goes on");
}

static void test_fetch(struct vtd *vtd)
{
	vtd_command(vtd, VTD_GCMD_QIE, false);
	vtd_set64(vtd, VTD_IQT, 0);
	vtd_set64(vtd, VTD_IQA, NO_RAM);
	vtd_command(vtd, VTD_GCMD_QIE, true);
	vtd_set64(vtd, VTD_IQT, 16);
	check(is_stopped(vtd, 0, VTD_IQEI_FETCH), "queue error 2: a queue where no memory is");
	vtd_command(vtd, VTD_GCMD_QIE, false);
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_IQE);
	check(vtd_queue_start(vtd, false) && vtd_queue_sync(vtd), "moved to memory, it runs");
}

/* A queue that does not fit the table mode runs nothing at all. */
static void test_mode(struct vtd *vtd, bool wide, enum vtd_ttm mode, enum vtd_iqei code,
		      const char *name)
{
	static const struct vtd_desc none = { { VTD_DESC_WAIT | VTD_WAIT_FN } };

	vtd_new_root(vtd);
	vtd_queue_start(vtd, wide);
	vtd_set64(vtd, VTD_RTADDR, (uintptr_t)vtd->root | vtd_put(mode, VTD_RTADDR_TTM));
	vtd_command(vtd, VTD_GCMD_SRTP, true);
	vtd_queue_add(vtd, &none);
	vtd_queue_go(vtd);
	check(is_stopped(vtd, 0, code), "queue error %u: %s", code, name);
	vtd_set64(vtd, VTD_RTADDR, (uintptr_t)vtd->root);
	vtd_command(vtd, VTD_GCMD_SRTP, true);
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_IQE);
	check(vtd_queue_sync(vtd), "%s: in legacy mode it goes on", name);
}

static void test_event(struct vtd *vtd)
{
	static const struct vtd_desc none = { { 0 } };

	vtd_queue_start(vtd, false);
	trap_clear(VECTOR_EVENT);
	vtd_event_set(vtd, VTD_FECTL, VECTOR_EVENT);
	vtd_event_mask(vtd, VTD_FECTL, false);
	vtd_queue_add(vtd, &none);
	vtd_queue_go(vtd);
	check(wait_trap(VECTOR_EVENT, 1, VTD_SOON_US), "a queue error is a fault event");
	vtd_event_mask(vtd, VTD_FECTL, true);
	vtd_command(vtd, VTD_GCMD_QIE, false);
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_IQE);
}

void test_queue_errors(struct world *w)
{
	struct vtd *vtd = &w->vtd;
	bool has_wide = vtd->ecap & VTD_ECAP_SMTS;

	for (unsigned int i = 0; i < ARRAY_SIZE(bads); i++) {
		const struct bad *bad = &bads[i];

		if (!has_wide && (bad->wide || bad->scalable))
			continue;
		vtd_new_root(vtd);
		vtd_queue_start(vtd, bad->wide);
		vtd_set_root(vtd, bad->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
		test_bad(vtd, bad);
	}
	test_tails(vtd);
	test_fetch(vtd);
	if (has_wide) {
		test_mode(vtd, false, VTD_TTM_SCALABLE, VTD_IQEI_WIDTH,
			  "narrow descriptors in scalable mode");
		test_mode(vtd, true, VTD_TTM_RESERVED, VTD_IQEI_TTM, "a reserved table mode");
	}
	test_event(vtd);
	vtd_quiet(vtd);
}
