// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: what was translated once must not be for ever: invalidation, replacement, and
 * memory that is taken away.
 */
#include "probe.h"

#include <errno.h>
#include <string.h>

#define PASID 0x77

static struct queue start_nested(struct probe *probe, uint32_t pasid, uint64_t root,
				 uint32_t domain)
{
	map_queue(probe, root, 0);
	attach(probe, pasid, domain);
	return start_queue(probe, 0, pasid, QUEUE_VA);
}

static uint64_t word_at(struct probe *probe, size_t offset)
{
	return *(uint64_t *)(probe->memory + offset);
}

/* Points DATA_VA elsewhere, and tells the kernel by @address and @pages. */
static void move_page(struct probe *probe, uint32_t pasid, uint64_t address, uint64_t pages)
{
	uint64_t root = new_root(probe), dropped;
	uint32_t domain = nested_domain(probe, root, NO_FAULT);
	struct queue queue;

	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	queue = start_nested(probe, pasid, root, domain);
	must_end(&queue, fill(DATA_VA, 1, PAGE), SDMA_DONE);
	require(word_at(probe, AREA_DATA) == 1, "not written");
	dropped = queue_counter(&queue, SDMA_Q_INVALIDATIONS);

	map_page(probe, root, DATA_VA, GPA + AREA_DATA2, PTE_RW);
	invalidate(probe, domain, address, pages);
	require(queue_counter(&queue, SDMA_Q_INVALIDATIONS) > dropped,
		"nothing left the device-TLB");
	must_end(&queue, fill(DATA_VA, 2, PAGE), SDMA_DONE);
	require(word_at(probe, AREA_DATA) == 1, "written where the page was before");
	require(word_at(probe, AREA_DATA2) == 2, "not written where the page is now");

	*entry_of(probe, root, DATA_VA, 1) = 0;
	invalidate(probe, domain, address, pages);
	must_end(&queue, fill(DATA_VA, 3, PAGE), SDMA_FAULT);
	require(word_at(probe, AREA_DATA2) == 2, "written after the page was taken away");
}

static void invalidate_page(struct probe *probe)
{
	move_page(probe, PASID, DATA_VA, 1);
}

static void invalidate_range(struct probe *probe)
{
	move_page(probe, PASID, DATA_VA - 100 * PAGE, 200);
}

static void invalidate_all(struct probe *probe)
{
	move_page(probe, PASID, 0, UINT64_MAX);
}

static void invalidate_rid(struct probe *probe)
{
	move_page(probe, NO_PASID, DATA_VA, 1);
}

/* Memory of the guest goes: what both stages together led to must not be reached any more. */
static void parent_unmap(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue;

	map_hole(probe);
	map_page(probe, root, DATA_VA, HOLE_GPA, PTE_RW);
	map_page(probe, root, DATA2_VA, GPA + AREA_DATA2, PTE_RW);
	queue = start_nested(probe, PASID, root, nested_domain(probe, root, NO_FAULT));
	must_end(&queue, fill(DATA_VA, 1, PAGE), SDMA_DONE);
	must_end(&queue, copy(DATA2_VA, DATA_VA, PAGE), SDMA_DONE);
	require(word_at(probe, AREA_DATA2) == 1, "not copied");
	unmap_hole(probe);
	must_end(&queue, fill(DATA_VA, 2, PAGE), SDMA_FAULT);
	require(*(uint64_t *)probe->hole == 1, "written after it was unmapped");
	map_hole(probe);
	must_end(&queue, fill(DATA_VA, 3, PAGE), SDMA_DONE);
	require(*(uint64_t *)probe->hole == 3, "not written after it was mapped again");
}

/* Another table in place of the one in force, while the queue stays enabled. */
static void replace(struct probe *probe)
{
	uint64_t root[2];
	uint32_t domain[2];
	struct queue queue;

	for (unsigned int i = 0; i < 2; i++) {
		root[i] = new_root(probe);
		map_queue(probe, root[i], 0);
		map_page(probe, root[i], DATA_VA, GPA + (i ? AREA_DATA2 : AREA_DATA), PTE_RW);
		domain[i] = nested_domain(probe, root[i], i ? probe->fault_id : NO_FAULT);
	}
	queue = start_nested(probe, PASID, root[0], domain[0]);
	for (unsigned int round = 0; round < 6; round++) {
		uint64_t value = 10 + round;

		must_end(&queue, fill(DATA_VA, value, PAGE), SDMA_DONE);
		require(word_at(probe, round & 1 ? AREA_DATA2 : AREA_DATA) == value,
			"round %u: the old table is in force", round);
		attach(probe, PASID, domain[~round & 1]);
	}
}

static void detach_pasid(struct probe *probe)
{
	uint64_t root = new_root(probe);
	uint32_t domain = nested_domain(probe, root, NO_FAULT);
	struct queue queue;

	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	queue = start_nested(probe, PASID, root, domain);
	must_end(&queue, fill(DATA_VA, 1, PAGE), SDMA_DONE);
	detach(probe, PASID);
	submit(&queue, fill(DATA_VA, 2, PAGE));
	require(complete_or_halt(&queue).status != SDMA_DONE, "it went on");
	require(word_at(probe, AREA_DATA) == 1, "written without a domain");
}

/* An attachment that the kernel refuses must leave a PASID as it was. */
static void refused_attach(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue;

	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	queue = start_nested(probe, PASID, root, nested_domain(probe, root, NO_FAULT));
	must_end(&queue, fill(DATA_VA, 1, PAGE), SDMA_DONE);
	require(try_attach(probe, PASID, 0xffff) == -ENOENT, "a domain that is none was attached");
	must_end(&queue, fill(DATA_VA, 2, PAGE), SDMA_DONE);
	require(word_at(probe, AREA_DATA) == 2, "not written");
}

/*
 * Domains with a fault queue replace each other on the RID, then go. Each must release what it took
 * of the device's page-request queue: the kernel says so (WARN) when the device is removed.
 */
static void replace_rid(struct probe *probe)
{
	uint32_t domain[2];
	struct queue queue;
	uint64_t root[2];

	for (unsigned int i = 0; i < 2; i++) {
		root[i] = new_root(probe);
		map_queue(probe, root[i], 0);
		map_page(probe, root[i], DATA_VA, GPA + (i ? AREA_DATA2 : AREA_DATA), PTE_RW);
		domain[i] = nested_domain(probe, root[i], probe->fault_id);
	}
	for (unsigned int round = 0; round < 4; round++) {
		attach(probe, NO_PASID, domain[round & 1]);
		queue = start_queue(probe, 0, NO_PASID, QUEUE_VA);
		must_end(&queue, fill(DATA_VA, 20 + round, PAGE), SDMA_DONE);
		require(word_at(probe, round & 1 ? AREA_DATA2 : AREA_DATA) == 20 + round,
			"round %u: the old table is in force", round);
		stop_queue(&queue);
	}
	detach(probe, NO_PASID);
}

/*
 * The kernel refuses the second of two domains with a fault queue on the RID. What the first one
 * took of the device's page-request queue must go with it all the same: see replace_rid().
 */
static void refused_rid(struct probe *probe)
{
	uint64_t root = new_root(probe);
	uint32_t wide = wide_domain(probe, root, 57, probe->fault_id);
	struct queue queue;

	if (probe->cap & CAP_FS5LP)
		skip("this unit has five levels");
	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	queue = start_nested(probe, NO_PASID, root, nested_domain(probe, root, probe->fault_id));
	must_end(&queue, fill(DATA_VA, 1, PAGE), SDMA_DONE);
	require(try_attach(probe, NO_PASID, wide) == -EINVAL,
		"a first stage of five levels is not refused");
	stop_queue(&queue);
	detach(probe, NO_PASID);
}

const struct probe_test probe_changes[] = {
	{ "invalidate-page", "a page that moved: invalidated alone", invalidate_page },
	{ "invalidate-range", "the same in a range of 200", invalidate_range },
	{ "invalidate-all", "the same with everything", invalidate_all },
	{ "invalidate-rid", "the same without PASID", invalidate_rid },
	{ "parent-unmap", "guest memory goes, and comes back", parent_unmap },
	{ "replace", "one table replaces another on a PASID in use", replace },
	{ "detach-pasid", "a PASID that was detached reaches nothing", detach_pasid },
	{ "refused-attach", "an attachment that fails leaves the PASID as it was", refused_attach },
	{ "replace-rid", "domains with fault queues replace each other on the RID", replace_rid },
	{ "refused-rid", "one that the kernel refuses in the place of another", refused_rid },
	{ NULL, NULL, NULL },
};
