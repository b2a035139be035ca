/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests of real devices: read from the kernel's queue (vfio_host_fault.c), outstanding
 * until they are answered (vfio_host_group.c).
 *
 * There is one queue for the VM; each request in it names its device. The kernel hands out whole
 * groups and knows them by a cookie; the guest knows them by a page request group index, which we
 * give out, VFIO_GROUPS for each device. A group is outstanding from the moment it is read until it
 * is answered: by the guest, by the unit for it, by us, or by the kernel when its PASID is
 * detached, or the device given back to the host.
 *
 * The kernel reuses a cookie as soon as its group is answered, so an answer that comes late would
 * hit another group. That is what `lock` is for: it is held while a group is read and noted, while
 * an answer is looked up and written, and while a PASID is detached and its groups are forgotten.
 * It is not held while the unit is called.
 *
 * A guest that has unbound a PASID drains its page requests then, once, and may use the PASID for
 * something else; so none may come to its queue any more. That is what `delivery` is for: it is
 * held from the reading of groups until all of them are with the unit, and by who detaches a PASID
 * or ends all groups of a device. It comes before `lock`, and before the locks that the unit takes
 * for a page request or to forget them: prq.lock and what is inside of it (viommu/unit.h).
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_FAULT_H
#define NIDUS_DEVICES_VFIO_HOST_FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/loop.h"
#include "devices/vfio_uapi.h"
#include "viommu/vtd.h"

#define VFIO_GROUPS 512 /* indices that PRGI of a page request descriptor can have (7.4.1) */

struct vfio_context;
struct vfio_device_groups;
struct vfio_host;

struct vfio_faults {
	struct vfio_context *context;
	uint32_t id;
	int fd;
	pthread_mutex_t delivery; /* protects what was read, until the unit has it */
	pthread_mutex_t lock;	  /* protects what devices have outstanding; a leaf */
	struct vfio_device_groups *devices;

	/* Of the loop's thread. */
	struct loop_op poll;
	bool polling, stopped;
	bool empty;	       /* it was readable, and there was nothing */
	unsigned int failures; /* of reads, in a row */
	struct uapi_iommu_hwpt_pgfault *record;
	unsigned int records; /* that fit */
};

static inline uint32_t vfio_fault_pasid(const struct uapi_iommu_hwpt_pgfault *record)
{
	return record->flags & UAPI_IOMMU_PGFAULT_FLAGS_PASID_VALID ? record->pasid : VTD_NO_PASID;
}

/* How many of @count records from @record on are of its group: they have its cookie. */
unsigned int vfio_group_size(const struct uapi_iommu_hwpt_pgfault *record, unsigned int count);

/*
 * Notes a group that was just read and puts the index that it gets into the grpid of its records.
 * One that cannot be noted is answered at once, and gets VFIO_GROUPS: with "success" if there are
 * too many, for the device to ask again. faults->lock held.
 */
void vfio_group_note(struct vfio_faults *faults, struct uapi_iommu_hwpt_pgfault *record,
		     unsigned int count);

/* Page requests of @host are noted from now on. 0 or -ENOMEM. */
int vfio_groups_add(struct vfio_host *host);
/* An error of the queue, which concerns all its devices. faults->lock held. */
void vfio_groups_count_error(struct vfio_faults *faults);
/* The device that the kernel calls @dev_id, or NULL. */
struct vfio_host *vfio_groups_host(struct vfio_faults *faults, uint32_t dev_id);

#endif
