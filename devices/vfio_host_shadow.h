/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shadow: an address space of the host with the same mappings as a second-stage table of the
 * guest (9.8), as far as these reach RAM. Its owner tells it of the guest's invalidations; CAP.CM
 * makes the guest announce new mappings as well.
 *
 * What is mapped already is not touched as long as the guest's table has it. But the kernel neither
 * changes a mapping nor cuts one: a page that the guest maps elsewhere in one step, and what the
 * guest keeps of a mapping when a part goes, is away from one system call to the next. A new
 * address space in place of the old one would not help: the kernel's drivers for VT-d and AMD-Vi
 * block all of a device's requests when they replace its domain.
 *
 * context->lock held throughout.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_SHADOW_H
#define NIDUS_DEVICES_VFIO_HOST_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

struct vfio_host;
struct vfio_ranges;
struct vfio_shadow;

#define VFIO_SHADOW_MAPPINGS 65535 /* as many as type1 allows; then -ENOSPC */
#define VFIO_SHADOW_TABLES   65536 /* of a VM: 128 GiB of 4 KiB pages; then -E2BIG */

/* An empty one in a new address space of iommufd, or in @container. NULL: @rc is set. */
struct vfio_shadow *vfio_shadow_create_iommufd(struct vfio_host *host, int *rc);
struct vfio_shadow *vfio_shadow_create_type1(struct vfio_host *host, int container, int *rc);
/* Frees it. The mappings go with the address space, which for iommufd is destroyed. */
void vfio_shadow_destroy(struct vfio_host *host, struct vfio_shadow *shadow);
uint32_t vfio_shadow_ioas(const struct vfio_shadow *shadow);

/*
 * What it is a copy of: the table at GPA @root of @width bits; all RAM where it is; nothing. What
 * both have in common stays mapped. 0 or a negative errno, and then it is incomplete.
 */
int vfio_shadow_set_table(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t root,
			  unsigned int width);
int vfio_shadow_set_identity(struct vfio_host *host, struct vfio_shadow *shadow);
int vfio_shadow_set_nothing(struct vfio_host *host, struct vfio_shadow *shadow);

/*
 * Looks at @ranges of the table again. 0 or the first error: then what is gone from the table is
 * unmapped as far as the kernel does it, and something new may be missing.
 */
int vfio_shadow_update(struct vfio_host *host, struct vfio_shadow *shadow,
		       const struct vfio_ranges *ranges);

#endif
