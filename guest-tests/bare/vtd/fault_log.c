/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Primary fault logging (7.3): event, overflow, and what comes after it.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "vtd/tests.h"

/* Nothing is present for anybody: every request faults, each of another page. */
static void fault_at(const struct world *w, unsigned int n)
{
	edu_to_memory(&w->edu, IOVA + n * PAGE_SIZE, 0, 8);
}

static void test_event(const struct world *w)
{
	const struct vtd *vtd = &w->vtd;
	struct vtd_fault fault;

	trap_clear(VECTOR_EVENT);
	vtd_event_set(vtd, VTD_FECTL, VECTOR_EVENT);
	fault_at(w, 0);
	check(vtd_get32(vtd, VTD_FECTL) & VTD_EVENT_IP, "fault event: masked, it is pending");
	vtd_event_mask(vtd, VTD_FECTL, false);
	check(wait_trap(VECTOR_EVENT, 1, VTD_SOON_US), "fault event: unmasked, it comes");
	fault_at(w, 1);
	listen_us(1000);
	check_equal(trap_count(VECTOR_EVENT), 1, "fault event: none while a fault is pending");
	vtd_clear_faults(vtd);
	check(!(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_PPF), "PPF goes with the last record");
	fault_at(w, 2);
	check(wait_trap(VECTOR_EVENT, 2, VTD_SOON_US), "fault event: the next one comes");
	vtd_event_mask(vtd, VTD_FECTL, true);
	check(vtd_take_fault(vtd, &fault) && fault.address == IOVA + 2 * PAGE_SIZE,
	      "and its record is there");
}

static void test_overflow(const struct world *w)
{
	const struct vtd *vtd = &w->vtd;
	unsigned int records = (unsigned int)vtd_get(vtd->cap, VTD_CAP_NFR) + 1, right = 0;
	struct vtd_fault fault;

	vtd_clear_faults(vtd);
	for (unsigned int i = 0; i < records; i++)
		fault_at(w, i);
	check(!(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_PFO), "%u faults fit into the records",
	      records);
	fault_at(w, records);
	check(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_PFO, "one more overflows (PFO)");
	for (unsigned int i = 0; i < records && vtd_take_fault(vtd, &fault); i++)
		right += fault.address == IOVA + i * PAGE_SIZE;
	check_equal(right, records, "the records are those before it, in order");
	fault_at(w, 1);
	check(!vtd_take_fault(vtd, &fault), "nothing is recorded until PFO is cleared");
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_PFO);
	fault_at(w, 7);
	check(vtd_take_fault(vtd, &fault) && fault.address == IOVA + 7 * PAGE_SIZE,
	      "and then it is");
}

void test_fault_log(struct world *w)
{
	vtd_new_root(&w->vtd);
	translation_on(w, VTD_TTM_LEGACY);
	vtd_clear_faults(&w->vtd);
	test_event(w);
	test_overflow(w);
	translation_off(w);
}
