/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a second-stage table of the guest maps to RAM: a list of runs, for shadows.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_WALK_H
#define NIDUS_DEVICES_VFIO_HOST_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct ram;

/* Addresses that a table of any width can have end here. */
#define VFIO_WALK_END (UINT64_C(1) << 57)

/* [iova, iova + len) is [gpa, gpa + len), which lies in one slot of RAM. */
struct vfio_run {
	uint64_t iova, gpa, len;
	bool read, write;
};

/* A list that grows. Zeroed: empty; free(run). */
struct vfio_runs {
	unsigned int count, room;
	struct vfio_run *run;
};

/* Room for @more beside those that are there. 0 or -ENOMEM. */
int vfio_runs_reserve(struct vfio_runs *runs, unsigned int more);
/* What of @run is in [start, end); its length may become 0. */
struct vfio_run vfio_run_clip(struct vfio_run run, uint64_t start, uint64_t end);

/*
 * Adds what the table at GPA @root, for addresses of @width bits (39, 48 or 57), maps in [start,
 * end), in ascending order and merged as far as it goes. Left out: what is not RAM, and addresses
 * that are interrupts (3.14). 0; -E2BIG, -ENOSPC or -ENOMEM: it is too large. *@tables: how many
 * tables may be looked at, and how many of these are left.
 */
int vfio_walk_table(const struct ram *ram, uint64_t root, unsigned int width, uint64_t start,
		    uint64_t end, unsigned int *tables, struct vfio_runs *runs);
/* The same for a table that would map all RAM where it is. */
int vfio_walk_identity(const struct ram *ram, uint64_t start, uint64_t end, struct vfio_runs *runs);

#endif
