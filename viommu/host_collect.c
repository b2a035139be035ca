/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be invalidated in the host at the guest's next wait, and the sending of it.
 *
 * What fails stays collected, and the next wait sends it again: no wait completes while the host
 * may still use what the guest has invalidated. The guest need not repeat it, and cannot where it
 * was implied by a command.
 *
 * Ranges are merged: a guest that unmaps page by page costs one call with one range. There are
 * at most VTD_HOST_RANGES for a binding; when merging does not make room, everything goes.
 */
#include <stdlib.h>

#include "viommu/host.h"
#include "viommu/unit.h"

#define ADDRESS_PAGES (UINT64_C(1) << 52) /* in 64 bits of address */

static uint64_t first_page(const struct vtd_host_invalidation *range)
{
	return range->address >> 12;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct vtd_host_invalidation *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

void vtd_host_binding_merge(struct vtd_host_binding *binding)
{
	struct vtd_host_invalidation *to = binding->range;

	if (binding->count < 2)
		return;
	qsort(binding->range, binding->count, sizeof(*binding->range), compare_ranges);
	for (unsigned int i = 1; i < binding->count; i++) {
		const struct vtd_host_invalidation *range = &binding->range[i];
		uint64_t end = first_page(range) + range->pages;

		if (first_page(range) > first_page(to) + to->pages) {
			*++to = *range;
			continue;
		}
		/* They overlap or touch. All levels are more than leaves alone. */
		if (end > first_page(to) + to->pages)
			to->pages = end - first_page(to);
		to->leaf &= range->leaf;
	}
	binding->count = (unsigned int)(to - binding->range) + 1;
}

/* Room for one more, or NULL. */
static struct vtd_host_invalidation *new_range(struct vtd_host_binding *binding)
{
	if (binding->count == VTD_HOST_RANGES)
		vtd_host_binding_merge(binding);
	return binding->count == VTD_HOST_RANGES ? NULL : &binding->range[binding->count++];
}

void vtd_host_binding_add(struct vtd_host_binding *binding, uint64_t address, uint64_t pages,
			  bool leaf)
{
	struct vtd_host_invalidation *range = NULL;

	if (binding->everything)
		return;
	/* No range is empty, and none goes beyond the end. */
	if (pages && pages < ADDRESS_PAGES && pages <= ADDRESS_PAGES - (address >> 12))
		range = new_range(binding);
	if (!range) {
		binding->everything = true;
		binding->count = 0;
		return;
	}
	*range = (struct vtd_host_invalidation){ .address = address & VTD_ADDR1_ADDR,
						 .pages = pages,
						 .leaf = leaf };
}

static bool has_first_stage(const struct vtd_host_binding *binding)
{
	return binding->what.type == VTD_BIND_FS || binding->what.type == VTD_BIND_NESTED;
}

/*
 * What an invalidation means for @binding. One without PASID is about second-stage tables: below a
 * first stage they can be behind any address, so all of it goes. (What names a page of a domain
 * does not reach first-stage mappings by the letter of 6.5.2.3; guests that rely on more lose
 * nothing.) One with a PASID says nothing about the second stage of nested entries.
 */
static void collect(struct vtd_host_binding *binding, uint32_t pasid, uint64_t address,
		    uint64_t pages, bool leaf)
{
	if (pasid == VTD_NO_PASID && has_first_stage(binding)) {
		binding->second_stage |= binding->what.type == VTD_BIND_NESTED;
		vtd_host_binding_add(binding, 0, UINT64_MAX, false);
	} else {
		vtd_host_binding_add(binding, address, pages, leaf);
	}
}

void vtd_host_collect(struct vtd_unit *unit, bool all_domains, uint16_t did, uint32_t pasid,
		      uint64_t address, uint64_t pages, bool leaf)
{
	if (!unit->host.requesters)
		return;
	pthread_mutex_lock(&unit->host.lock);
	for (unsigned int i = 0; i < unit->requester_count; i++) {
		struct vtd_host_requester *host = unit->requester[i].host;

		for (unsigned int j = 0; host && j < host->count; j++) {
			struct vtd_host_binding *binding = host->binding[j];

			if (binding->what.type == VTD_BIND_PT ||
			    (!all_domains && binding->what.did != did) ||
			    (pasid != VTD_NO_PASID && binding->table_pasid != pasid))
				continue;
			collect(binding, pasid, address, pages, leaf);
			unit->host.pending = true;
		}
	}
	pthread_mutex_unlock(&unit->host.lock);
}

/*
 * A device-TLB holds leaves only. In the host it is emptied with the IOTLB, of what a first stage
 * maps: so this adds nothing to what a guest has invalidated there before, as it should. Mappings
 * of a second stage leave it when they leave the host's tables.
 */
void vtd_host_collect_devtlb(struct vtd_unit *unit, const struct vtd_requester *requester,
			     uint32_t pasid, bool all, uint64_t address, uint64_t pages)
{
	struct vtd_host_requester *host = requester->host;

	if (!host)
		return;
	pthread_mutex_lock(&unit->host.lock);
	for (unsigned int i = 0; i < host->count; i++) {
		struct vtd_host_binding *binding = host->binding[i];

		if (!has_first_stage(binding) ||
		    (all ? binding->pasid == VTD_NO_PASID : binding->pasid != pasid))
			continue;
		vtd_host_binding_add(binding, address, pages, true);
		unit->host.pending = true;
	}
	pthread_mutex_unlock(&unit->host.lock);
}

/* One call for all that was collected, and that stays. 0 or the host's error. */
static int send(struct vtd_unit *unit, struct vtd_host_requester *host,
		struct vtd_host_binding *binding)
{
	const struct vtd_host_invalidation everything = { .pages = UINT64_MAX,
							  .second_stage = binding->second_stage };
	struct vtd_requester *requester = host->requester;
	char text[VTD_PASID_TEXT];
	unsigned int count;
	int rc;

	vtd_host_binding_merge(binding);
	count = binding->everything ? 1 : binding->count;
	if (!count)
		return 0;
	rc = host->ops->invalidate(host->context, binding->pasid,
				   binding->everything ? &everything : binding->range, count);
	vtd_count(unit, requester, VTD_COUNT_HOST_INVALIDATES, 1);
	if (rc)
		vtd_count(unit, requester, VTD_COUNT_HOST_ERRORS, 1);
	if (vtd_tracing(requester))
		vtd_trace_line(requester, "host: invalidate%s, %u ranges: %d",
			       vtd_pasid_text(binding->pasid, text), count, rc);
	return rc;
}

/* The bindings of one requester. 0 or the first error. */
static int send_all(struct vtd_unit *unit, struct vtd_host_requester *host)
{
	int error = 0;

	for (unsigned int i = 0; i < host->count; i++) {
		int rc = send(unit, host, host->binding[i]);

		error = error ? error : rc;
	}
	host->failed = error;
	return error;
}

/* All of it was sent, and has been done. */
static void forget(struct vtd_host_requester *host)
{
	for (unsigned int i = 0; i < host->count; i++) {
		struct vtd_host_binding *binding = host->binding[i];

		binding->everything = binding->second_stage = false;
		binding->count = 0;
	}
}

/* What the calls have only noted. 0 or the host's error. */
static int finish(struct vtd_unit *unit, struct vtd_host_requester *host)
{
	int rc = host->ops->flush ? host->ops->flush(host->context) : 0;

	if (!rc) {
		if (!host->failed)
			forget(host);
		return 0;
	}
	vtd_count(unit, host->requester, VTD_COUNT_HOST_ERRORS, 1);
	if (vtd_tracing(host->requester))
		vtd_trace_line(host->requester, "host: flush: %d", rc);
	return rc;
}

/* Calls @step for every requester with a host. 0, or the first error and whose it is. */
static int for_all(struct vtd_unit *unit, uint16_t *source,
		   int (*step)(struct vtd_unit *unit, struct vtd_host_requester *host))
{
	int error = 0;

	for (unsigned int i = 0; i < unit->requester_count; i++) {
		struct vtd_host_requester *host = unit->requester[i].host;
		int rc = host ? step(unit, host) : 0;

		if (!rc || error)
			continue;
		error = rc;
		*source = host->requester->source;
	}
	return error;
}

int vtd_host_flush(struct vtd_unit *unit, uint16_t *source)
{
	uint16_t other;
	int error = 0, rc;

	if (!unit->host.requesters)
		return 0;
	pthread_mutex_lock(&unit->host.lock);
	if (unit->host.pending) {
		error = for_all(unit, source, send_all);
		rc = for_all(unit, error ? &other : source, finish);
		error = error ? error : rc;
		unit->host.pending = error;
	}
	pthread_mutex_unlock(&unit->host.lock);
	return error;
}
