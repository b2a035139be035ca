/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_host_walk.h. The guest can change its table during the walk: each entry is loaded once.
 */
#include "devices/vfio_host_walk.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/dma.h"
#include "devices/vfio_host_shadow.h"
#include "viommu/spec.h"

struct walk {
	const struct ram *ram;
	uint64_t start, end;
	struct vfio_runs runs; /* so far */
	unsigned int tables;   /* that may still be looked at */
};

int vfio_runs_reserve(struct vfio_runs *runs, unsigned int more)
{
	unsigned int room = runs->room ? runs->room : 16;
	struct vfio_run *run;

	if (more <= runs->room - runs->count)
		return 0;
	while (room - runs->count < more)
		room *= 2;
	run = realloc(runs->run, room * sizeof(*run));
	if (!run)
		return -ENOMEM;
	runs->run = run;
	runs->room = room;
	return 0;
}

struct vfio_run vfio_run_clip(struct vfio_run run, uint64_t start, uint64_t end)
{
	uint64_t first = max_u64(run.iova, start), last = min_u64(run.iova + run.len, end);

	run.gpa += first - run.iova;
	run.iova = first;
	run.len = first < last ? last - first : 0;
	return run;
}

/* Runs in one slot only are merged: others do not follow each other in our memory. */
static bool continues(const struct ram *ram, const struct vfio_run *last,
		      const struct vfio_run *run)
{
	return last->iova + last->len == run->iova && last->gpa + last->len == run->gpa &&
	       last->read == run->read && last->write == run->write &&
	       ram_ptr(ram, last->gpa, last->len + run->len);
}

static int add(struct walk *walk, const struct vfio_run *run)
{
	struct vfio_runs *runs = &walk->runs;
	int rc;

	if (!run->len)
		return 0;
	if (runs->count && continues(walk->ram, &runs->run[runs->count - 1], run)) {
		runs->run[runs->count - 1].len += run->len;
		return 0;
	}
	if (runs->count >= VFIO_SHADOW_MAPPINGS)
		return -ENOSPC;
	rc = vfio_runs_reserve(runs, 1);
	if (rc)
		return rc;
	runs->run[runs->count++] = *run;
	return 0;
}

/* Adds what of @run is to be looked at, is RAM, and is not an interrupt. */
static int add_leaf(struct walk *walk, const struct vfio_run *leaf)
{
	const struct vfio_run run = vfio_run_clip(*leaf, walk->start, walk->end);
	int rc = 0;

	for (unsigned int i = 0; i < walk->ram->count && !rc; i++) {
		const struct ram_slot *slot = &walk->ram->slot[i];
		uint64_t first = max_u64(run.gpa, slot->gpa);
		uint64_t last = min_u64(run.gpa + run.len, slot->gpa + slot->size);
		struct vfio_run part = run, piece;

		if (first >= last)
			continue;
		part.iova += first - run.gpa;
		part.gpa = first;
		part.len = last - first;
		piece = vfio_run_clip(part, 0, VTD_INTERRUPT_BASE);
		rc = add(walk, &piece);
		piece = vfio_run_clip(part, VTD_INTERRUPT_END, UINT64_MAX);
		if (!rc)
			rc = add(walk, &piece);
	}
	return rc;
}

/* Where the walk stands: a table of @level (1: of 4 KiB pages), whose first entry is for @iova. */
struct table {
	uint64_t gpa, iova;
	unsigned int level;
	bool read, write; /* allowed by the levels above */
};

/* At most as deep as there are levels, 5; at most walk->tables of them. */
static int walk_table(struct walk *walk, const struct table *table)
{
	const uint64_t *entries = ram_ptr(walk->ram, table->gpa, PAGE_SIZE_4K);
	unsigned int shift = 12 + 9 * (table->level - 1), first = 0;
	uint64_t size = UINT64_C(1) << shift;
	int rc = 0;

	if (!entries)
		return 0;
	if (!walk->tables)
		return -E2BIG;
	walk->tables--;
	if (walk->start > table->iova)
		first = (unsigned int)min_u64((walk->start - table->iova) >> shift, 512);
	for (unsigned int i = first; i < 512 && !rc; i++) {
		uint64_t iova = table->iova + i * size, value;
		struct table below = { .iova = iova, .level = table->level - 1 };

		if (iova >= walk->end)
			break;
		value = __atomic_load_n(&entries[i], __ATOMIC_RELAXED);
		below.gpa = value & VTD_SS_ADDR;
		below.read = table->read && value & VTD_SS_R;
		below.write = table->write && value & VTD_SS_W;
		if (!below.read && !below.write)
			continue;
		if (table->level == 1 || (value & VTD_SS_PS && table->level <= 3))
			rc = add_leaf(walk, &(struct vfio_run){ iova, align_down(below.gpa, size),
								size, below.read, below.write });
		else if (!(value & VTD_SS_PS))
			rc = walk_table(walk, &below);
	}
	return rc;
}

int vfio_walk_table(const struct ram *ram, uint64_t root, unsigned int width, uint64_t start,
		    uint64_t end, unsigned int *tables, struct vfio_runs *runs)
{
	struct walk walk = { ram, start, end, *runs, *tables };
	const struct table top = { root, 0, (width - 12) / 9, true, true };
	int rc = walk_table(&walk, &top);

	*runs = walk.runs;
	*tables = walk.tables;
	return rc;
}

int vfio_walk_identity(const struct ram *ram, uint64_t start, uint64_t end, struct vfio_runs *runs)
{
	struct walk walk = { ram, start, end, *runs, 0 };
	int rc = 0;

	for (unsigned int i = 0; i < ram->count && !rc; i++) {
		const struct ram_slot *slot = &ram->slot[i];

		rc = add_leaf(&walk,
			      &(struct vfio_run){ slot->gpa, slot->gpa, slot->size, true, true });
	}
	*runs = walk.runs;
	return rc;
}
