/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_host_ranges.h.
 */
#include "devices/vfio_host_ranges.h"

#include <string.h>

/* So many pages, half of 48 bits of address, are not worth naming. */
#define MOST_PAGES (UINT64_C(1) << 35)

static void all(struct vfio_ranges *ranges)
{
	ranges->everything = true;
	ranges->count = 0;
}

/* Takes @count ranges at @at out. */
static void take_out(struct vfio_ranges *ranges, unsigned int at, unsigned int count)
{
	memmove(&ranges->range[at], &ranges->range[at + count],
		(ranges->count - at - count) * sizeof(ranges->range[0]));
	ranges->count -= count;
}

void vfio_ranges_add(struct vfio_ranges *ranges, uint64_t address, uint64_t pages, bool leaf)
{
	struct vfio_range new = { .first = address >> 12, .leaf = leaf };
	unsigned int at = 0, end;

	if (ranges->everything || !pages)
		return;
	if (pages >= MOST_PAGES) {
		all(ranges);
		return;
	}
	new.last = new.first + pages - 1;
	while (at < ranges->count && ranges->range[at].last + 1 < new.first)
		at++;
	/* Those from here to @end overlap or touch the new one, and become part of it. */
	for (end = at; end < ranges->count && ranges->range[end].first <= new.last + 1; end++) {
		const struct vfio_range *old = &ranges->range[end];

		new.first = old->first < new.first ? old->first : new.first;
		new.last = old->last > new.last ? old->last : new.last;
		new.leaf &= old->leaf;
	}
	take_out(ranges, at, end - at);
	if (ranges->count == VFIO_RANGES) {
		all(ranges);
		return;
	}
	memmove(&ranges->range[at + 1], &ranges->range[at],
		(ranges->count - at) * sizeof(ranges->range[0]));
	ranges->range[at] = new;
	ranges->count++;
}
