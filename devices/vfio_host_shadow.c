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
	unsigned int tables;	 /* of the last look at all of it; counted in the context */
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

/*
 * What the source has in [start, end). All tables of all shadows together are bounded, so that
 * looking at all of them, as one wait can make us do, does not take longer than looking at one.
 */
static int look(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t start, uint64_t end,
		struct vfio_runs *wanted)
{
	struct vfio_context *context = host->context;
	unsigned int may = VFIO_SHADOW_TABLES - (context->tables - shadow->tables), left = may;
	int rc;

	if (shadow->source == NOTHING)
		return 0;
	if (shadow->source == IDENTITY)
		return vfio_walk_identity(context->ram, start, end, wanted);
	rc = vfio_walk_table(context->ram, shadow->root, shadow->width, start, end, &left, wanted);
	if (may - left > shadow->tables || (start == 0 && end == VFIO_WALK_END)) {
		context->tables += may - left - shadow->tables;
		shadow->tables = may - left;
	}
	return rc;
}

/* A range of a shadow while it is made what the source says. */
struct update {
	struct vfio_host *host;
	struct vfio_shadow *shadow;
	struct vfio_runs wanted; /* in the range */
	unsigned int next;	 /* of these, the first that is not done */
	struct vfio_runs now;	 /* what is mapped of it by now; has room for all that can be */
	unsigned int others;	 /* mapped, and not in `now`: outside, or not looked at yet */
	int error;		 /* the first */
};

static void note_error(struct update *update, int rc)
{
	update->error = update->error ? update->error : rc;
}

static void keep(struct update *update, const struct vfio_run *run)
{
	update->now.run[update->now.count++] = *run;
}

static void map_one(struct update *update, const struct vfio_run *run)
{
	int rc = -ENOSPC;

	if (update->others + update->now.count < VFIO_SHADOW_MAPPINGS)
		rc = map(update->host, update->shadow, run);
	if (rc)
		note_error(update, rc);
	else
		keep(update, run);
}

/*
 * Maps what is wanted in [start, end), where nothing is mapped, and what comes before is done. Not
 * after an error: what the guest does not want any more goes all the same.
 */
static void fill(struct update *update, uint64_t start, uint64_t end)
{
	const struct vfio_runs *wanted = &update->wanted;

	for (; update->next < wanted->count; update->next++) {
		const struct vfio_run *run = &wanted->run[update->next];
		struct vfio_run part = vfio_run_clip(*run, start, end);

		if (part.len && !update->error)
			map_one(update, &part);
		if (run->iova + run->len > end)
			return;
	}
}

/*
 * @old: the @count mappings of [start, end). One after the other, and first what is to be in the
 * place of the one that went: if that is a part of it, it is away as shortly as can be.
 */
static void change(struct update *update, uint64_t start, uint64_t end, const struct vfio_run *old,
		   unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		bool kept = stays(&update->wanted, &old[i]);
		int rc = kept ? 0 : unmap(update->host, update->shadow, &old[i]);

		if (rc)
			note_error(update, rc);
		if (kept || rc) {
			fill(update, start, old[i].iova);
			update->others--;
			keep(update, &old[i]);
		} else {
			update->others--;
			fill(update, start, old[i].iova + old[i].len);
		}
		start = old[i].iova + old[i].len;
	}
	fill(update, start, end);
}

/* Puts @now in the place of the @count mappings at @first; there is room. */
static void splice(struct vfio_runs *mapped, unsigned int first, unsigned int count,
		   const struct vfio_runs *now)
{
	memmove(&mapped->run[first + now->count], &mapped->run[first + count],
		(mapped->count - first - count) * sizeof(mapped->run[0]));
	memcpy(&mapped->run[first], now->run, now->count * sizeof(now->run[0]));
	mapped->count = mapped->count - count + now->count;
}

/* [start, end), widened to whole mappings, as the source has it. */
static int sync(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t start, uint64_t end)
{
	struct vfio_runs *mapped = &shadow->mapped;
	struct update update = { .host = host, .shadow = shadow, .others = mapped->count };
	unsigned int first = position(mapped, start), count = 0, most;
	int rc;

	while (first + count < mapped->count && mapped->run[first + count].iova < end)
		count++;
	if (count) {
		const struct vfio_run *final = &mapped->run[first + count - 1];

		start = min_u64(start, mapped->run[first].iova);
		end = max_u64(end, final->iova + final->len);
	}
	rc = look(host, shadow, start, end, &update.wanted);
	/* Each end of a mapping that was there may cut one that is wanted. */
	most = update.wanted.count + 2 * count + 1;
	if (!rc)
		rc = vfio_runs_reserve(&update.now, most);
	if (!rc)
		rc = vfio_runs_reserve(mapped, most);
	if (!rc) {
		change(&update, start, end, &mapped->run[first], count);
		splice(mapped, first, count, &update.now);
		rc = update.error;
	}
	free(update.wanted.run);
	free(update.now.run);
	return rc;
}

int vfio_shadow_update(struct vfio_host *host, struct vfio_shadow *shadow,
		       const struct vfio_ranges *ranges)
{
	int error = 0;

	if (ranges->everything)
		return sync(host, shadow, 0, VFIO_WALK_END);
	for (unsigned int i = 0; i < ranges->count; i++) {
		uint64_t start = ranges->range[i].first << 12;
		uint64_t end = (ranges->range[i].last + 1) << 12;
		int rc;

		if (start >= VFIO_WALK_END)
			continue;
		/* The last page of all ends at 2^64. */
		end = end ? min_u64(end, VFIO_WALK_END) : VFIO_WALK_END;
		rc = sync(host, shadow, start, end);
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
	return sync(host, shadow, 0, VFIO_WALK_END);
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
	host->context->tables -= shadow->tables;
	free(shadow->mapped.run);
	free(shadow);
}

uint32_t vfio_shadow_ioas(const struct vfio_shadow *shadow)
{
	return shadow->ioas;
}
