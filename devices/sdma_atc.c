/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/sdma_atc.h"

#include "devices/base.h"

/* Invalidations of so many pages look for each; longer ones look at every entry. */
#define PROBE_PAGES 16

static const uint8_t shift_of[SDMA_ATC_SIZES] = { 12, 21, 30 };

void sdma_atc_init(struct sdma_atc *atc, uint32_t entries)
{
	uint32_t size = 0;

	if (entries)
		for (size = SDMA_ATC_WAYS; size < SDMA_ATC_MAX && size * 2 <= entries; size *= 2)
			;
	memset(atc, 0, sizeof(*atc));
	atc->entries = size;
}

static uint64_t page_bytes(unsigned int size)
{
	return UINT64_C(1) << shift_of[size];
}

/* The set of a page; there must be entries. Fibonacci hashing. */
static unsigned int set_of(const struct sdma_atc *atc, uint32_t pasid, uint64_t iova,
			   unsigned int size)
{
	uint64_t key = (iova >> shift_of[size]) ^ (uint64_t)pasid << 36 ^ (uint64_t)size << 60;
	unsigned int sets = atc->entries / SDMA_ATC_WAYS;

	return (unsigned int)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (sets - 1);
}

static bool is_page(const struct sdma_atc_entry *entry, uint32_t pasid, uint64_t iova,
		    unsigned int size)
{
	return entry->access && entry->tag.pasid == pasid && entry->size == size &&
	       entry->iova == align_down(iova, page_bytes(size));
}

bool sdma_atc_lookup(const struct sdma_atc *atc, struct sdma_atc_tag tag, uint64_t iova,
		     unsigned int access, uint64_t *gpa, uint64_t *len)
{
	for (unsigned int size = 0; size < SDMA_ATC_SIZES; size++) {
		const struct sdma_atc_entry *entry;
		uint64_t offset = iova & (page_bytes(size) - 1);

		if (!atc->count[size])
			continue;
		entry = &atc->entry[set_of(atc, tag.pasid, iova, size) * SDMA_ATC_WAYS];
		for (unsigned int way = 0; way < SDMA_ATC_WAYS; way++, entry++) {
			if (!is_page(entry, tag.pasid, iova, size) ||
			    entry->tag.privileged != tag.privileged ||
			    (entry->access & access) != access)
				continue;
			*gpa = entry->gpa + offset;
			*len = page_bytes(size) - offset;
			return true;
		}
	}
	return false;
}

static void drop(struct sdma_atc *atc, struct sdma_atc_entry *entry)
{
	atc->count[entry->size]--;
	entry->access = 0;
}

/*
 * The entry of the same page, or a free one, or the next to go; it is free then. What the page's
 * entry permits of the same memory is added to *@access: it has not been invalidated.
 */
static struct sdma_atc_entry *choose(struct sdma_atc *atc, struct sdma_atc_tag tag, uint64_t iova,
				     uint64_t gpa, unsigned int size, unsigned int *access)
{
	struct sdma_atc_entry *set =
		&atc->entry[set_of(atc, tag.pasid, iova, size) * SDMA_ATC_WAYS];
	struct sdma_atc_entry *chosen = NULL;

	for (unsigned int way = 0; way < SDMA_ATC_WAYS; way++) {
		if (is_page(&set[way], tag.pasid, iova, size) &&
		    set[way].tag.privileged == tag.privileged) {
			chosen = &set[way];
			if (chosen->gpa == gpa)
				*access |= chosen->access;
			break;
		}
		if (!chosen && !set[way].access)
			chosen = &set[way];
	}
	if (!chosen)
		chosen = &set[atc->victim++ % SDMA_ATC_WAYS];
	if (chosen->access)
		drop(atc, chosen);
	return chosen;
}

void sdma_atc_insert(struct sdma_atc *atc, struct sdma_atc_tag tag, uint64_t iova, uint64_t gpa,
		     uint64_t page, unsigned int access, unsigned int queue)
{
	unsigned int size = SDMA_ATC_SIZES;
	struct sdma_atc_entry *entry;

	while (size && page < page_bytes(size - 1))
		size--;
	if (!size || !atc->entries || !access)
		return;
	size--;
	gpa -= iova & (page_bytes(size) - 1);
	entry = choose(atc, tag, iova, gpa, size, &access);
	*entry = (struct sdma_atc_entry){
		.tag = tag,
		.iova = align_down(iova, page_bytes(size)),
		.gpa = gpa,
		.size = (uint8_t)size,
		.access = (uint8_t)access,
		.queue = (uint8_t)queue,
	};
	atc->count[size]++;
}

/* All entries: at most SDMA_ATC_MAX. */
static uint64_t scan(struct sdma_atc *atc, uint32_t pasid, uint64_t first, uint64_t last,
		     bool global)
{
	uint64_t queues = 0;

	for (unsigned int i = 0; i < atc->entries; i++) {
		struct sdma_atc_entry *entry = &atc->entry[i];

		if (!entry->access || (!global && entry->tag.pasid != pasid) ||
		    entry->iova > last || entry->iova + (page_bytes(entry->size) - 1) < first)
			continue;
		queues |= UINT64_C(1) << entry->queue;
		drop(atc, entry);
	}
	return queues;
}

/* The sets of each page of the range: at most PROBE_PAGES + 1 pages of SDMA_ATC_SIZES sizes. */
static uint64_t probe(struct sdma_atc *atc, uint32_t pasid, uint64_t first, uint64_t last)
{
	uint64_t queues = 0;

	for (unsigned int size = 0; size < SDMA_ATC_SIZES; size++) {
		uint64_t pages = (last >> shift_of[size]) - (first >> shift_of[size]) + 1;
		uint64_t iova = first;

		if (!atc->count[size])
			continue;
		for (; pages; pages--, iova += page_bytes(size)) {
			struct sdma_atc_entry *entry =
				&atc->entry[set_of(atc, pasid, iova, size) * SDMA_ATC_WAYS];

			for (unsigned int way = 0; way < SDMA_ATC_WAYS; way++, entry++) {
				if (!is_page(entry, pasid, iova, size))
					continue;
				queues |= UINT64_C(1) << entry->queue;
				drop(atc, entry);
			}
		}
	}
	return queues;
}

uint64_t sdma_atc_invalidate(struct sdma_atc *atc, uint32_t pasid, uint64_t address, uint64_t size,
			     bool global)
{
	uint64_t first = size ? address : 0;
	uint64_t last = size && address + (size - 1) >= address ? address + (size - 1) : UINT64_MAX;

	if (!atc->entries)
		return 0;
	if (!global && last - first < PROBE_PAGES * PAGE_SIZE_4K)
		return probe(atc, pasid, first, last);
	return scan(atc, pasid, first, last, global);
}
