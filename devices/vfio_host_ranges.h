/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ranges of addresses to invalidate in one domain: sorted, merged, and bounded. When there are more
 * than fit, everything goes.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_RANGES_H
#define NIDUS_DEVICES_VFIO_HOST_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#define VFIO_RANGES 32

struct vfio_range {
	uint64_t first, last; /* numbers of 4 KiB pages */
	bool leaf;	      /* leaf entries only */
};

struct vfio_ranges {
	bool everything;
	unsigned int count;
	struct vfio_range range[VFIO_RANGES]; /* in ascending order, with pages between them */
};

/* @pages of 4 KiB from @address on; UINT64_MAX: everything. */
void vfio_ranges_add(struct vfio_ranges *ranges, uint64_t address, uint64_t pages, bool leaf);

static inline bool vfio_ranges_empty(const struct vfio_ranges *ranges)
{
	return !ranges->everything && !ranges->count;
}

static inline void vfio_ranges_clear(struct vfio_ranges *ranges)
{
	ranges->everything = false;
	ranges->count = 0;
}

#endif
