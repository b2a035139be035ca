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

/*
 * How much a guest can make the host do. Its tables can name the same memory again and again, and
 * what they map costs page tables of the kernel: a 512th, where memory has 4 KiB pages. Guests that
 * mean well have all of RAM once in a domain, one such domain for each device, and beside these few
 * pages that are mapped several times.
 *
 * So one shadow maps at most twice the bytes of RAM and VFIO_SHADOW_FLOOR, in VFIO_SHADOW_MAPPINGS
 * pieces; and all of a VM together as many bytes as one may for each device and VFIO_SHADOW_SPARE
 * more, in VFIO_VM_MAPPINGS, of which each can need two tables for itself: 2 GiB at the very worst.
 * Beyond: -ENOSPC. No single call maps more than a slot of RAM. The tables that are walked through
 * are VFIO_SHADOW_TABLES for all of a VM, which is 128 GiB of 4 KiB pages. Beyond: -E2BIG.
 */
#define VFIO_SHADOW_MAPPINGS 65535 /* as many as type1 allows */
#define VFIO_VM_MAPPINGS     (4 * VFIO_SHADOW_MAPPINGS)
#define VFIO_SHADOW_FLOOR    (UINT64_C(1) << 30)
#define VFIO_SHADOW_SPARE    3
#define VFIO_SHADOW_TABLES   65536

/* An empty one in a new address space of iommufd, or in @container. NULL: @rc is set. */
struct vfio_shadow *vfio_shadow_create_iommufd(struct vfio_host *host, int *rc);
struct vfio_shadow *vfio_shadow_create_type1(struct vfio_host *host, int container, int *rc);
/* Frees it. The mappings go with the address space, which for iommufd is destroyed. */
void vfio_shadow_destroy(struct vfio_host *host, struct vfio_shadow *shadow);
uint32_t vfio_shadow_ioas(const struct vfio_shadow *shadow);

/*
 * What it is a copy of: the table at GPA @root of @width bits; all RAM where it is; nothing. What
 * both have in common stays mapped. 0 or a negative errno, and then it is incomplete; -ECANCELED:
 * the unit is halted, and it is what it was, or something in between.
 */
int vfio_shadow_set_table(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t root,
			  unsigned int width);
int vfio_shadow_set_identity(struct vfio_host *host, struct vfio_shadow *shadow);
int vfio_shadow_set_nothing(struct vfio_host *host, struct vfio_shadow *shadow);

/*
 * Looks at @ranges of the table again. 0 or the first error: then what is gone from the table is
 * unmapped as far as the kernel does it, and something new may be missing; nothing of a range is
 * mapped where the table is too large to tell. It is told once that something is missing, for
 * guests repeat what failed: after that, each call looks at the whole table until all of it is
 * there. -ECANCELED: as above.
 */
int vfio_shadow_update(struct vfio_host *host, struct vfio_shadow *shadow,
		       const struct vfio_ranges *ranges);

#endif
