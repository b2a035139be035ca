/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_host_space.h.
 */
#include "devices/vfio_host_space.h"

#include <errno.h>
#include <linux/vfio.h>

#include "devices/vfio_host_shadow.h"
#include "devices/vfio_host_walk.h"

/* --- The two kinds --- */

static int map_type1(struct vfio_host *host, int container, const struct vfio_run *run)
{
	struct vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd),
		.flags = (run->read ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (run->write ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)ram_ptr(host->context->ram, run->gpa, run->len),
		.iova = run->iova,
		.size = run->len,
	};

	vfio_count(&host->counters.maps, 1);
	return vfio_ioctl(host, container, VFIO_IOMMU_MAP_DMA, &cmd);
}

static int unmap_type1(struct vfio_host *host, int container, const struct vfio_run *run)
{
	struct vfio_iommu_type1_dma_unmap cmd = { .argsz = sizeof(cmd),
						  .iova = run->iova,
						  .size = run->len };

	vfio_count(&host->counters.unmaps, 1);
	return vfio_ioctl(host, container, VFIO_IOMMU_UNMAP_DMA, &cmd);
}

/* --- Both --- */

bool vfio_host_halted(const struct vfio_host *host)
{
	return host->unit && vtd_halted(host->unit);
}

/* Whether @len bytes more may be mapped. */
static bool has_room(const struct vfio_host *host, const struct vfio_space *space, uint64_t len)
{
	const struct vfio_context *context = host->context;
	const struct vfio_use *own = &space->used, *all = &context->shadows;
	uint64_t one = 2 * ram_bytes(context->ram) + VFIO_SHADOW_FLOOR;
	uint64_t most = VFIO_SHADOW_SPARE * one;

	for (const struct vfio_host *each = context->hosts; each; each = each->next)
		most += one;
	return own->mappings < VFIO_SHADOW_MAPPINGS && all->mappings < VFIO_VM_MAPPINGS &&
	       own->bytes + len <= one && all->bytes + len <= most;
}

int vfio_space_map(struct vfio_host *host, struct vfio_space *space, const struct vfio_run *run)
{
	struct vfio_context *context = host->context;
	int rc;

	if (vfio_host_halted(host))
		return -ECANCELED;
	if (!has_room(host, space, run->len))
		return -ENOSPC;
	/* RAM is pinned once, in the context's own address space: this only copies. */
	rc = space->container < 0 ? vfio_iommufd_copy(host, space->ioas, run->iova, context->ioas,
						      run->gpa, run->len, run->read, run->write)
				  : map_type1(host, space->container, run);
	if (rc < 0)
		return rc;
	space->used.bytes += run->len;
	space->used.mappings++;
	context->shadows.bytes += run->len;
	context->shadows.mappings++;
	return 0;
}

/* @bytes in @mappings are not mapped any more. */
static void release(struct vfio_use *use, uint64_t bytes, unsigned int mappings)
{
	use->bytes -= bytes;
	use->mappings -= mappings;
}

int vfio_space_unmap(struct vfio_host *host, struct vfio_space *space, const struct vfio_run *run)
{
	int rc;

	if (vfio_host_halted(host))
		return -ECANCELED;
	rc = space->container < 0 ? vfio_iommufd_unmap(host, space->ioas, run->iova, run->len)
				  : unmap_type1(host, space->container, run);
	if (rc < 0)
		return rc;
	release(&space->used, run->len, 1);
	release(&host->context->shadows, run->len, 1);
	return 0;
}

void vfio_space_destroy(struct vfio_host *host, const struct vfio_space *space)
{
	if (space->container < 0)
		vfio_iommufd_destroy(host, space->ioas);
	release(&host->context->shadows, space->used.bytes, space->used.mappings);
}
