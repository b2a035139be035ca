/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ioctls of iommufd and of VFIO's device files, one function each.
 */
#include <errno.h>
#include <string.h>

#include "devices/base.h"
#include "devices/vfio_host.h"
#include "devices/vfio_uapi.h"

int vfio_ioctl(struct vfio_host *host, int fd, unsigned long request, void *argument)
{
	const struct vfio_kernel *kernel = host->kernel;
	int rc;

	do {
		vfio_count(&host->counters.ioctls, 1);
		rc = kernel->ioctl(kernel->context, fd, request, argument);
	} while (rc == -EINTR);
	if (rc < 0)
		vfio_count(&host->counters.errors, 1);
	return rc;
}

static int iommufd(struct vfio_host *host, unsigned long request, void *argument)
{
	int rc = vfio_ioctl(host, host->context->iommufd, request, argument);

	return rc < 0 ? rc : 0;
}

int vfio_iommufd_ioas(struct vfio_host *host, uint32_t *ioas)
{
	struct uapi_iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int rc = iommufd(host, UAPI_IOMMU_IOAS_ALLOC, &cmd);

	*ioas = cmd.out_ioas_id;
	return rc;
}

int vfio_iommufd_destroy(struct vfio_host *host, uint32_t object)
{
	struct uapi_iommu_destroy cmd = { .size = sizeof(cmd), .id = object };

	return iommufd(host, UAPI_IOMMU_DESTROY, &cmd);
}

int vfio_iommufd_map(struct vfio_host *host, uint32_t ioas, uint64_t iova, void *from, uint64_t len)
{
	struct uapi_iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = UAPI_IOMMU_IOAS_MAP_FIXED_IOVA | UAPI_IOMMU_IOAS_MAP_WRITEABLE |
			 UAPI_IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)from,
		.length = len,
		.iova = iova,
	};

	vfio_count(&host->counters.maps, 1);
	return iommufd(host, UAPI_IOMMU_IOAS_MAP, &cmd);
}

int vfio_iommufd_copy(struct vfio_host *host, uint32_t ioas, uint64_t iova, uint32_t from_ioas,
		      uint64_t from, uint64_t len, bool read, bool write)
{
	struct uapi_iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = UAPI_IOMMU_IOAS_MAP_FIXED_IOVA |
			 (read ? UAPI_IOMMU_IOAS_MAP_READABLE : 0) |
			 (write ? UAPI_IOMMU_IOAS_MAP_WRITEABLE : 0),
		.dst_ioas_id = ioas,
		.src_ioas_id = from_ioas,
		.length = len,
		.dst_iova = iova,
		.src_iova = from,
	};

	vfio_count(&host->counters.maps, 1);
	return iommufd(host, UAPI_IOMMU_IOAS_COPY, &cmd);
}

int vfio_iommufd_unmap(struct vfio_host *host, uint32_t ioas, uint64_t iova, uint64_t len)
{
	struct uapi_iommu_ioas_unmap cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .iova = iova, .length = len
	};

	vfio_count(&host->counters.unmaps, 1);
	return iommufd(host, UAPI_IOMMU_IOAS_UNMAP, &cmd);
}

static int alloc_hwpt(struct vfio_host *host, struct uapi_iommu_hwpt_alloc *cmd, uint32_t *hwpt)
{
	int rc;

	cmd->size = sizeof(*cmd);
	cmd->dev_id = host->dev_id;
	rc = iommufd(host, UAPI_IOMMU_HWPT_ALLOC, cmd);
	*hwpt = cmd->out_hwpt_id;
	return rc;
}

int vfio_iommufd_paging(struct vfio_host *host, uint32_t ioas, uint32_t flags, uint32_t *hwpt)
{
	struct uapi_iommu_hwpt_alloc cmd = { .flags = flags, .pt_id = ioas };

	return alloc_hwpt(host, &cmd, hwpt);
}

int vfio_iommufd_nested(struct vfio_host *host, uint32_t parent, const struct vfio_domain_key *key,
			uint32_t flags, uint32_t fault_id, uint32_t *hwpt)
{
	struct uapi_iommu_hwpt_vtd_s1 table = {
		.flags = key->flags,
		.pgtbl_addr = key->root,
		.addr_width = key->width,
	};
	struct uapi_iommu_hwpt_alloc cmd = {
		.flags = flags | (key->faultable ? UAPI_IOMMU_HWPT_FAULT_ID_VALID : 0),
		.pt_id = parent,
		.data_type = UAPI_IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(table),
		.data_uptr = (uintptr_t)&table,
		.fault_id = key->faultable ? fault_id : 0,
	};

	return alloc_hwpt(host, &cmd, hwpt);
}

/* Everything is address 0 and all pages; no pages at all must never be said. */
static unsigned int fill(struct uapi_iommu_hwpt_vtd_s1_invalidate *to,
			 const struct vfio_ranges *ranges)
{
	if (ranges->everything) {
		*to = (struct uapi_iommu_hwpt_vtd_s1_invalidate){ .npages = UINT64_MAX };
		return 1;
	}
	for (unsigned int i = 0; i < ranges->count; i++) {
		const struct vfio_range *range = &ranges->range[i];

		to[i] = (struct uapi_iommu_hwpt_vtd_s1_invalidate){
			.addr = range->first << 12,
			.npages = range->last - range->first + 1,
			.flags = range->leaf ? UAPI_IOMMU_VTD_INV_FLAGS_LEAF : 0,
		};
	}
	return ranges->count;
}

int vfio_iommufd_invalidate(struct vfio_host *host, uint32_t hwpt, const struct vfio_ranges *ranges)
{
	struct uapi_iommu_hwpt_vtd_s1_invalidate list[VFIO_RANGES];
	unsigned int count = fill(list, ranges);
	struct uapi_iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = hwpt,
		.data_uptr = (uintptr_t)list,
		.data_type = UAPI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(list[0]),
		.entry_num = count,
	};
	int rc;

	vfio_count(&host->counters.invalidate_calls, 1);
	vfio_count(&host->counters.invalidate_ranges, count);
	rc = iommufd(host, UAPI_IOMMU_HWPT_INVALIDATE, &cmd);
	/* entry_num is how many were done, and success is all of them. */
	if (!rc && cmd.entry_num != count)
		rc = -EIO;
	return rc;
}

int vfio_iommufd_fault_queue(struct vfio_host *host, uint32_t *id, int *fd)
{
	struct uapi_iommu_fault_alloc cmd = { .size = sizeof(cmd) };
	int rc = iommufd(host, UAPI_IOMMU_FAULT_QUEUE_ALLOC, &cmd);

	*id = cmd.out_fault_id;
	*fd = rc ? -1 : (int)cmd.out_fault_fd;
	return rc;
}

int vfio_iommufd_attach(struct vfio_host *host, uint32_t pasid, uint32_t hwpt)
{
	struct uapi_vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.flags = UAPI_VFIO_DEVICE_PT_PASID,
		.pt_id = hwpt,
		.pasid = pasid,
	};
	int rc;

	if (pasid == VTD_NO_PASID) {
		cmd.argsz = offsetof(struct uapi_vfio_device_attach_iommufd_pt, pasid);
		cmd.flags = 0;
		cmd.pasid = 0;
	}
	rc = vfio_ioctl(host, host->device->fd, UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
	return rc < 0 ? rc : 0;
}

int vfio_iommufd_detach(struct vfio_host *host, uint32_t pasid)
{
	struct uapi_vfio_device_detach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.flags = UAPI_VFIO_DEVICE_PT_PASID,
		.pasid = pasid,
	};
	int rc;

	if (pasid == VTD_NO_PASID) {
		cmd.argsz = offsetof(struct uapi_vfio_device_detach_iommufd_pt, pasid);
		cmd.flags = 0;
		cmd.pasid = 0;
	}
	rc = vfio_ioctl(host, host->device->fd, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
	return rc < 0 && rc != -ENOTTY ? rc : 0;
}
