/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_host_shadow.h. The walk through the guest's table is vfio_host_walk.c.
 */
#include "devices/vfio_host_shadow.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "devices/vfio_host.h"
#include "devices/vfio_host_walk.h"

enum source { NOTHING, IDENTITY, TABLE };

struct vfio_shadow {
	int container; /* type1; -1: iommufd */
	uint32_t ioas;
	enum source source;
	uint64_t root;
	unsigned int width;
	struct vfio_runs mapped; /* in ascending order */
};

/* --- The two kinds of address spaces --- */

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

static int map(struct vfio_host *host, const struct vfio_shadow *shadow, const struct vfio_run *run)
{
	/* RAM is pinned once, in the context's own address space: this only copies. */
	int rc = shadow->container < 0
			 ? vfio_iommufd_copy(host, shadow->ioas, run->iova, host->context->ioas,
					     run->gpa, run->len, run->read, run->write)
			 : map_type1(host, shadow->container, run);

	return rc < 0 ? rc : 0;
}

static int unmap(struct vfio_host *host, const struct vfio_shadow *shadow,
		 const struct vfio_run *run)
{
	int rc = shadow->container < 0 ? vfio_iommufd_unmap(host, shadow->ioas, run->iova, run->len)
				       : unmap_type1(host, shadow->container, run);

	return rc < 0 ? rc : 0;
}

/* --- From what is mapped to what is wanted --- */

/* The first of @runs that ends after @address. */
static unsigned int position(const struct vfio_runs *runs, uint64_t address)
{
	unsigned int low = 0, high = runs->count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (runs->run[middle].iova + runs->run[middle].len <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* True if @run is all of, or a part of, one of @wanted. */
static bool stays(const struct vfio_runs *wanted, const struct vfio_run *run)
{
	unsigned int at = position(wanted, run->iova);
	const struct vfio_run *in;

	if (!wanted->run || at == wanted->count)
		return false;
	in = &wanted->run[at];
	return in->iova <= run->iova && run->iova + run->len <= in->iova + in->len &&
	       run->gpa - run->iova == in->gpa - in->iova && run->read == in->read &&
	       run->write == in->write;
}

/* True if some byte of @run is wanted as it is, but not all are. */
static bool is_cut(const struct vfio_runs *wanted, const struct vfio_run *run)
{
	for (unsigned int i = position(wanted, run->iova);
	     i < wanted->count && wanted->run[i].iova < run->iova + run->len; i++) {
		const struct vfio_run *in = &wanted->run[i];

		if (in->gpa - in->iova == run->gpa - run->iova && in->read == run->read &&
		    in->write == run->write)
			return true;
	}
	return false;
}

/* Unmaps those from @first to before @end that do not stay; what was unmapped leaves the list. */
static int unmap_others(struct vfio_host *host, struct vfio_shadow *shadow,
			const struct vfio_runs *wanted, unsigned int first, unsigned int end)
{
	struct vfio_runs *mapped = &shadow->mapped;
	unsigned int to = first, from;
	int rc = 0;

	if (first == end)
		return 0;
	for (from = first; from < end && !rc; from++) {
		if (!stays(wanted, &mapped->run[from]))
			rc = unmap(host, shadow, &mapped->run[from]);
		else
			mapped->run[to++] = mapped->run[from];
	}
	if (rc)
		from--;
	memmove(&mapped->run[to], &mapped->run[from],
		(mapped->count - from) * sizeof(mapped->run[0]));
	mapped->count -= from - to;
	return rc;
}

/* Maps one run and notes it at @at. */
static int map_at(struct vfio_host *host, struct vfio_shadow *shadow, unsigned int at,
		  const struct vfio_run *run)
{
	struct vfio_runs *mapped = &shadow->mapped;
	int rc;

	if (mapped->count >= VFIO_SHADOW_MAPPINGS)
		return -ENOSPC;
	rc = vfio_runs_reserve(mapped);
	if (!rc)
		rc = map(host, shadow, run);
	if (rc)
		return rc;
	memmove(&mapped->run[at + 1], &mapped->run[at],
		(mapped->count - at) * sizeof(mapped->run[0]));
	mapped->run[at] = *run;
	mapped->count++;
	return 0;
}

/* Maps what of @run is not mapped; what is mapped of it is part of it. */
static int map_rest(struct vfio_host *host, struct vfio_shadow *shadow, struct vfio_run run)
{
	uint64_t end = run.iova + run.len;
	unsigned int at = position(&shadow->mapped, run.iova);

	while (run.iova < end) {
		const struct vfio_run *next =
			at < shadow->mapped.count ? &shadow->mapped.run[at] : NULL;
		int rc = 0;

		if (next && next->iova == run.iova) {
			run.len = next->len;
		} else {
			run.len = (next ? min_u64(end, next->iova) : end) - run.iova;
			rc = map_at(host, shadow, at, &run);
		}
		if (rc)
			return rc;
		run.iova += run.len;
		run.gpa += run.len;
		at++;
	}
	return 0;
}

/* What the source has in [start, end). */
static int look(const struct vfio_host *host, const struct vfio_shadow *shadow, uint64_t start,
		uint64_t end, struct vfio_runs *wanted)
{
	const struct ram *ram = host->context->ram;

	if (shadow->source == NOTHING)
		return 0;
	if (shadow->source == IDENTITY)
		return vfio_walk_identity(ram, start, end, wanted);
	return vfio_walk_table(ram, shadow->root, shadow->width, start, end, wanted);
}

/* [start, end), widened to whole mappings, as the source has it. */
static int sync(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t start, uint64_t end,
		bool cut)
{
	struct vfio_runs *mapped = &shadow->mapped, wanted = { 0 };
	unsigned int first = position(mapped, start), last = first;
	int rc;

	while (last < mapped->count && mapped->run[last].iova < end)
		last++;
	if (first < last) {
		const struct vfio_run *final = &mapped->run[last - 1];

		start = min_u64(start, mapped->run[first].iova);
		end = max_u64(end, final->iova + final->len);
	}
	rc = look(host, shadow, start, end, &wanted);
	for (unsigned int i = first; i < last && !rc && !cut; i++)
		if (!stays(&wanted, &mapped->run[i]) && is_cut(&wanted, &mapped->run[i]))
			rc = -EAGAIN;
	if (!rc)
		rc = unmap_others(host, shadow, &wanted, first, last);
	for (unsigned int i = 0; i < wanted.count && !rc; i++)
		rc = map_rest(host, shadow, wanted.run[i]);
	free(wanted.run);
	return rc;
}

int vfio_shadow_update(struct vfio_host *host, struct vfio_shadow *shadow,
		       const struct vfio_ranges *ranges, bool cut)
{
	int error = 0;

	if (ranges->everything)
		return sync(host, shadow, 0, VFIO_WALK_END, cut);
	for (unsigned int i = 0; i < ranges->count; i++) {
		uint64_t start = ranges->range[i].first << 12;
		uint64_t end = (ranges->range[i].last + 1) << 12;
		int rc;

		if (start >= VFIO_WALK_END)
			continue;
		/* The last page of all ends at 2^64. */
		rc = sync(host, shadow, start, end ? min_u64(end, VFIO_WALK_END) : VFIO_WALK_END,
			  cut);
		if (rc == -EAGAIN)
			return rc;
		error = error ? error : rc;
	}
	return error;
}

static int set(struct vfio_host *host, struct vfio_shadow *shadow, enum source source,
	       uint64_t root, unsigned int width)
{
	shadow->source = source;
	shadow->root = root;
	shadow->width = width;
	return sync(host, shadow, 0, VFIO_WALK_END, true);
}

int vfio_shadow_set_table(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t root,
			  unsigned int width)
{
	return set(host, shadow, TABLE, root, width);
}

int vfio_shadow_set_identity(struct vfio_host *host, struct vfio_shadow *shadow)
{
	return set(host, shadow, IDENTITY, 0, 0);
}

int vfio_shadow_set_nothing(struct vfio_host *host, struct vfio_shadow *shadow)
{
	return set(host, shadow, NOTHING, 0, 0);
}

/* --- Life --- */

static struct vfio_shadow *create(int container)
{
	struct vfio_shadow *shadow = calloc(1, sizeof(*shadow));

	if (shadow)
		shadow->container = container;
	return shadow;
}

struct vfio_shadow *vfio_shadow_create_iommufd(struct vfio_host *host, int *rc)
{
	struct vfio_shadow *shadow = create(-1);

	*rc = shadow ? vfio_iommufd_ioas(host, &shadow->ioas) : -ENOMEM;
	if (!*rc)
		return shadow;
	free(shadow);
	return NULL;
}

struct vfio_shadow *vfio_shadow_create_type1(struct vfio_host *host, int container, int *rc)
{
	struct vfio_shadow *shadow = create(container);

	(void)host;
	*rc = shadow ? 0 : -ENOMEM;
	return shadow;
}

void vfio_shadow_destroy(struct vfio_host *host, struct vfio_shadow *shadow)
{
	if (shadow->container < 0)
		vfio_iommufd_destroy(host, shadow->ioas);
	free(shadow->mapped.run);
	free(shadow);
}

uint32_t vfio_shadow_ioas(const struct vfio_shadow *shadow)
{
	return shadow->ioas;
}
