/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The invalidation queue (6.5.2): waits in all their forms, wrap-around, both widths.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "vtd/tests.h"

#define STATUS 0x5a5a1234U

static bool queue_is_done(const struct vtd *vtd)
{
	return vtd_get64(vtd, VTD_IQH) == vtd->tail && vtd_get64(vtd, VTD_IQT) == vtd->tail &&
	       !(vtd_get32(vtd, VTD_FSTS) & VTD_FSTS_IQE);
}

static void add_wait(struct vtd *vtd, uint64_t flags, uint32_t data, const void *at)
{
	struct vtd_desc wait = { { VTD_DESC_WAIT | flags | vtd_put(data, VTD_WAIT_DATA),
				   (uintptr_t)at } };

	vtd_queue_add(vtd, &wait);
}

static void test_status(struct vtd *vtd, const char *width)
{
	volatile uint32_t *status = pages(1);

	add_wait(vtd, VTD_WAIT_SW, STATUS, (const void *)&status[1]);
	add_wait(vtd, VTD_WAIT_FN, 0, NULL);
	add_wait(vtd, VTD_WAIT_SW | VTD_WAIT_FN, STATUS + 1, (const void *)&status[3]);
	vtd_queue_go(vtd);
	check(wait_until((bool (*)(const void *))queue_is_done, vtd, VTD_SOON_US) &&
		      status[1] == STATUS && status[3] == STATUS + 1,
	      "%s: a wait writes its status", width);
	check(!status[0] && !status[2] && !status[4], "%s: and nothing beside it", width);
	check(!vtd_get32(vtd, VTD_ICS), "%s: no interrupt flag, no completion status", width);
}

static void test_interrupt(struct vtd *vtd, const char *width)
{
	trap_clear(VECTOR_EVENT);
	vtd_event_set(vtd, VTD_IECTL, VECTOR_EVENT);
	add_wait(vtd, VTD_WAIT_IF, 0, NULL);
	vtd_queue_go(vtd);
	check(vtd_get32(vtd, VTD_ICS) & VTD_ICS_IWC, "%s: a wait with IF completes", width);
	check(vtd_get32(vtd, VTD_IECTL) & VTD_EVENT_IP, "%s: masked, its event is pending", width);
	listen_us(1000);
	check_equal(trap_count(VECTOR_EVENT), 0, "%s: masked, it is silent", width);
	vtd_event_mask(vtd, VTD_IECTL, false);
	check(wait_trap(VECTOR_EVENT, 1, VTD_SOON_US), "%s: unmasked, it interrupts", width);
	check(!(vtd_get32(vtd, VTD_IECTL) & VTD_EVENT_IP), "%s: and is pending no more", width);
	add_wait(vtd, VTD_WAIT_IF, 0, NULL);
	vtd_queue_go(vtd);
	listen_us(1000);
	check_equal(trap_count(VECTOR_EVENT), 1, "%s: no second one while IWC is set", width);
	vtd_set32(vtd, VTD_ICS, VTD_ICS_IWC);
	check(!vtd_get32(vtd, VTD_ICS), "%s: IWC is cleared by writing 1", width);
	add_wait(vtd, VTD_WAIT_IF, 0, NULL);
	vtd_queue_go(vtd);
	check(wait_trap(VECTOR_EVENT, 2, VTD_SOON_US), "%s: then the next one comes", width);
	vtd_event_mask(vtd, VTD_IECTL, true);
	vtd_set32(vtd, VTD_ICS, VTD_ICS_IWC);
}

/* More descriptors than the queue has, one by one. */
static void test_wrap(struct vtd *vtd, const char *width)
{
	unsigned int count = (unsigned int)(PAGE_SIZE << VTD_IQ_PAGES) / vtd_desc_size(vtd) + 10;
	unsigned int done = 0;

	for (unsigned int i = 0; i < count; i++)
		done += vtd_queue_sync(vtd);
	check_equal(done, count, "%s: the queue wraps around", width);
}

/* A tail that is written while the queue is off is taken when it comes on. */
static void test_late(struct vtd *vtd, const char *width)
{
	vtd_command(vtd, VTD_GCMD_QIE, false);
	vtd->tail = 0;
	vtd_set64(vtd, VTD_IQT, 0);
	check_equal(vtd_get64(vtd, VTD_IQH), 0, "%s: off, the head is 0", width);
	check(vtd_command(vtd, VTD_GCMD_QIE, true) && vtd_queue_sync(vtd),
	      "%s: off and on again, it runs", width);
}

void test_queue(struct world *w)
{
	static const char *const names[] = { "128-bit queue", "256-bit queue" };

	for (unsigned int wide = 0; wide < 2; wide++) {
		struct vtd *vtd = &w->vtd;

		if (wide && !(vtd->ecap & VTD_ECAP_SMTS)) {
			check_skip(names[wide], "no scalable mode");
			continue;
		}
		vtd_new_root(vtd);
		if (!check(vtd_queue_start(vtd, wide), "%s: it starts", names[wide]))
			continue;
		vtd_set_root(vtd, wide ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
		test_status(vtd, names[wide]);
		test_interrupt(vtd, names[wide]);
		test_wrap(vtd, names[wide]);
		test_late(vtd, names[wide]);
		check(vtd_flush(vtd), "%s: everything can be flushed", names[wide]);
		vtd_command(vtd, VTD_GCMD_QIE, false);
	}
}
