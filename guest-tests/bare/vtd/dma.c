/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/memory.h"
#include "lib/print.h"
#include "vtd/tests.h"

#define PAGE_WORDS (PAGE_SIZE / 8)

void *pattern_page(uint64_t seed)
{
	uint64_t *page = pages(1);

	for (unsigned int i = 0; i < PAGE_WORDS; i++)
		page[i] = (seed * PAGE_WORDS + i) * 0x9e3779b97f4a7c15UL;
	return page;
}

uint64_t *two_pages(uint64_t size)
{
	uint64_t *two;

	do
		two = pages(2);
	while (align_down((uintptr_t)two, size) != align_down((uintptr_t)two + PAGE_SIZE, size));
	return two;
}

bool edu_round_trip(const struct world *w, uint64_t from, const void *source, uint64_t to,
		    void *page)
{
	memset(page, 0, PAGE_SIZE);
	return edu_from_memory(&w->edu, from, 0, PAGE_SIZE) &&
	       edu_to_memory(&w->edu, to, 0, PAGE_SIZE) && !memcmp(source, page, PAGE_SIZE);
}

static bool is_expected(const struct world *w, const struct vtd_fault *fault, bool to_memory,
			uint64_t iova, uint8_t reason)
{
	return fault->reason == reason && fault->source == w->edu.devfn && !fault->has_pasid &&
	       fault->is_read == !to_memory && !fault->is_page_request &&
	       fault->address == align_down(iova, PAGE_SIZE);
}

void expect_fault(const struct world *w, bool to_memory, uint64_t iova, uint8_t reason,
		  const char *what)
{
	struct vtd_fault fault = { 0 }, more;
	bool ended, found;

	vtd_clear_faults(&w->vtd);
	ended = to_memory ? edu_to_memory(&w->edu, iova, 0, 64)
			  : edu_from_memory(&w->edu, iova, 0, 64);
	found = vtd_take_fault(&w->vtd, &fault);
	if (!check(ended && found && is_expected(w, &fault, to_memory, iova, reason) &&
			   !vtd_take_fault(&w->vtd, &more),
		   "fault 0x%02x: %s", reason, what))
		print("#   got reason 0x%02x source 0x%x address 0x%lx %s%s, %s\n", fault.reason,
		      fault.source, fault.address, fault.is_read ? "read" : "write",
		      fault.has_pasid ? " with PASID" : "",
		      found ? "recorded" : "nothing recorded");
}

bool translation_on(struct world *w, enum vtd_ttm mode)
{
	return vtd_queue_start(&w->vtd, mode != VTD_TTM_LEGACY) && vtd_set_root(&w->vtd, mode) &&
	       vtd_command(&w->vtd, VTD_GCMD_TE, true);
}

void translation_off(struct world *w)
{
	vtd_command(&w->vtd, VTD_GCMD_TE, false);
	vtd_command(&w->vtd, VTD_GCMD_QIE, false);
	vtd_clear_faults(&w->vtd);
}
