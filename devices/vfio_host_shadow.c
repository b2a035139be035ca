/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_host_shadow.h. The walk through the guest's table is vfio_host_walk.c.
 */
#include "devices/vfio_host_shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "devices/vfio_host.h"
#include "devices/vfio_host_space.h"
#include "devices/vfio_host_walk.h"

enum source { NOTHING, IDENTITY, TABLE };

struct vfio_shadow {
	struct vfio_space space;
	enum source source;
	uint64_t root;
	unsigned int width;
	bool incomplete;	 /* something is missing, and its owner was told */
	struct vfio_runs mapped; /* in ascending order */
};

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

static bool is_whole(uint64_t start, uint64_t end)
{
	return start == 0 && end == VFIO_WALK_END;
}

static void charge_tables(struct vfio_host *host, struct vfio_shadow *shadow, unsigned int tables)
{
	host->context->shadows.tables -= shadow->space.used.tables;
	host->context->shadows.tables += tables;
	shadow->space.used.tables = tables;
}

/*
 * What the source has in [start, end). All tables of all shadows together are bounded, so that
 * looking at all of them, as one wait can make us do, does not take longer than looking at one.
 * Looks that fail are not charged, or the others would have to do without: see
 * vfio_shadow_update().
 */
static int look(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t start, uint64_t end,
		struct vfio_runs *wanted)
{
	struct vfio_context *context = host->context;
	unsigned int others = context->shadows.tables - shadow->space.used.tables;
	unsigned int left = VFIO_SHADOW_TABLES - others, used = 0;
	int rc = 0;

	if (shadow->source == IDENTITY)
		rc = vfio_walk_identity(context->ram, start, end, wanted);
	if (shadow->source == TABLE) {
		rc = vfio_walk_table(context->ram, shadow->root, shadow->width, start, end, &left,
				     wanted);
		used = VFIO_SHADOW_TABLES - others - left;
	}
	if (rc) {
		context->vain += used;
		used = 0;
	}
	if (is_whole(start, end) || used > shadow->space.used.tables)
		charge_tables(host, shadow, used);
	return rc;
}

/* A range of a shadow while it is made what the source says. */
struct update {
	struct vfio_host *host;
	struct vfio_shadow *shadow;
	struct vfio_runs wanted; /* in the range */
	unsigned int next;	 /* of these, the first that is not done */
	struct vfio_runs now;	 /* what is mapped of it by now; has room for all that can be */
	bool stale;		 /* something is mapped that is not wanted */
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
	int rc = vfio_space_map(update->host, &update->shadow->space, run);

	if (rc)
		note_error(update, rc);
	else
		keep(update, run);
}

/* False: it is still there. */
static bool unmap_one(struct update *update, const struct vfio_run *run)
{
	int rc = vfio_space_unmap(update->host, &update->shadow->space, run);

	if (!rc)
		return true;
	note_error(update, rc);
	update->stale = true;
	return false;
}

/*
 * Maps what is wanted in [start, end), where nothing is mapped, and what comes before is done. Not
 * after an error that is told: what the guest does not want any more goes all the same, and the
 * rest comes when the guest repeats it. After that, what can be there is there.
 */
static void fill(struct update *update, uint64_t start, uint64_t end)
{
	const struct vfio_runs *wanted = &update->wanted;
	bool told = update->shadow->incomplete;

	for (; update->next < wanted->count; update->next++) {
		const struct vfio_run *run = &wanted->run[update->next];
		struct vfio_run part = vfio_run_clip(*run, start, end);

		if (part.len && (told || !update->error))
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
		bool kept = stays(&update->wanted, &old[i]) || !unmap_one(update, &old[i]);

		fill(update, start, kept ? old[i].iova : old[i].iova + old[i].len);
		if (kept)
			keep(update, &old[i]);
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

/* Unmaps the @count mappings at @first; needs no memory. */
static void empty(struct update *update, unsigned int first, unsigned int count)
{
	struct vfio_runs *mapped = &update->shadow->mapped;
	unsigned int left = first;

	if (!count)
		return;
	for (unsigned int i = first; i < first + count; i++)
		if (!unmap_one(update, &mapped->run[i]))
			mapped->run[left++] = mapped->run[i];
	memmove(&mapped->run[left], &mapped->run[first + count],
		(mapped->count - first - count) * sizeof(mapped->run[0]));
	mapped->count -= first + count - left;
}

/*
 * What the owner is told of an update, of @whole or a part. What is mapped against the guest's will
 * is an error each time, for its wait must not end; what is missing is one once. A guest that is
 * told of it again and again would say the same for ever (Linux does), and never mend its table.
 */
static int verdict(const struct update *update, bool whole)
{
	struct vfio_shadow *shadow = update->shadow;
	bool told = shadow->incomplete;

	if (update->error || whole)
		shadow->incomplete = update->error;
	return told && !update->stale ? 0 : update->error;
}

/* [start, end), widened to whole mappings, as the source has it. */
static int sync(struct vfio_host *host, struct vfio_shadow *shadow, uint64_t start, uint64_t end)
{
	struct vfio_runs *mapped = &shadow->mapped;
	struct update update = { .host = host, .shadow = shadow };
	unsigned int first = position(mapped, start), count = 0, most;
	bool whole = is_whole(start, end);
	int rc;

	if (vfio_host_halted(host))
		return -ECANCELED;
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
	if (rc) {
		/* What the guest has taken away is not known. */
		update.error = rc;
		empty(&update, first, count);
	} else {
		change(&update, start, end, &mapped->run[first], count);
		splice(mapped, first, count, &update.now);
	}
	free(update.wanted.run);
	free(update.now.run);
	return verdict(&update, whole);
}

/*
 * A table that is too large can be so again at each wait, and so can many: once as much as all good
 * ones together was looked at in vain, those that have nothing mapped wait for another time.
 */
static bool is_hopeless(const struct vfio_host *host, const struct vfio_shadow *shadow)
{
	return shadow->incomplete && !shadow->mapped.count &&
	       host->context->vain >= VFIO_SHADOW_TABLES;
}

int vfio_shadow_update(struct vfio_host *host, struct vfio_shadow *shadow,
		       const struct vfio_ranges *ranges)
{
	int error = 0;

	if (vfio_ranges_empty(ranges) || is_hopeless(host, shadow))
		return 0;
	if (ranges->everything || shadow->incomplete)
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
	shadow->incomplete = false;
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
		shadow->space.container = container;
	return shadow;
}

struct vfio_shadow *vfio_shadow_create_iommufd(struct vfio_host *host, int *rc)
{
	struct vfio_shadow *shadow = create(-1);

	*rc = shadow ? vfio_iommufd_ioas(host, &shadow->space.ioas) : -ENOMEM;
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
	charge_tables(host, shadow, 0);
	vfio_space_destroy(host, &shadow->space);
	free(shadow->mapped.run);
	free(shadow);
}

uint32_t vfio_shadow_ioas(const struct vfio_shadow *shadow)
{
	return shadow->space.ioas;
}
