/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real devices: who is one, and which of their bindings to look at when the guest says that
 * entries changed. One binding is host_bind.c; what to invalidate in them is host_collect.c.
 *
 * A binding is found by (requester, PASID), never by domain: Linux gives all its SVA entries one
 * domain-id, and announces a new entry by a domain-id that was not seen with it before. So what the
 * guest says of one domain is about all of them.
 */
#include "viommu/host.h"

#include <stdlib.h>

#include "viommu/unit.h"

/* Binds that may fail in one look through a table; then the rest of it is left. */
#define FAILURES 64

int vtd_host_init(struct vtd_unit *unit)
{
	return -pthread_mutex_init(&unit->host.lock, NULL);
}

static void free_requester(struct vtd_host_requester *host)
{
	free(host->binding);
	free(host->bindings);
	free(host);
}

/* The host is not told: who owns the device closes it, and all bindings go with it. */
void vtd_host_destroy(struct vtd_unit *unit)
{
	for (unsigned int i = 0; i < unit->requester_count; i++)
		if (unit->requester[i].host)
			free_requester(unit->requester[i].host);
	pthread_mutex_destroy(&unit->host.lock);
}

/* --- What changed --- */

struct look {
	struct vtd_unit *unit;
	struct vtd_host_requester *host;
	unsigned int failures;
};

/* For vtd_host_scan(): ends when too much has failed. */
static bool look_at(void *context, uint32_t pasid)
{
	struct look *look = context;

	if (!vtd_host_find(look->host, pasid) && vtd_host_refresh(look->unit, look->host, pasid))
		look->failures++;
	return look->failures < FAILURES && !vtd_halted(look->unit);
}

/*
 * Everything of one requester: first what is bound, which makes room (the last first, for only the
 * one looked at can go), then what the table has beside.
 */
static void refresh_all(struct vtd_unit *unit, struct vtd_host_requester *host)
{
	struct look look = { .unit = unit, .host = host };
	unsigned int bits = host->ops->pasid_bits;

	for (unsigned int i = host->count; i-- > 0 && !vtd_halted(unit);)
		vtd_host_refresh(unit, host, host->binding[i]->pasid);
	if (!vtd_host_find(host, VTD_NO_PASID))
		vtd_host_refresh(unit, host, VTD_NO_PASID);
	if (bits > unit->config.pasid_bits)
		bits = unit->config.pasid_bits;
	if (__atomic_load_n(&unit->translation, __ATOMIC_ACQUIRE))
		vtd_host_scan(unit, host->requester, bits, look_at, &look);
}

/* Of requesters whose source-id is @source but for @mask, or of @all. */
static void entries_changed(struct vtd_unit *unit, bool all, uint16_t source, unsigned int mask)
{
	if (!unit->host.requesters)
		return;
	pthread_mutex_lock(&unit->host.lock);
	for (unsigned int i = 0; i < unit->requester_count; i++) {
		struct vtd_requester *requester = &unit->requester[i];

		if (!requester->host ||
		    !(all || vtd_source_matches(requester->source, source, mask)))
			continue;
		refresh_all(unit, requester->host);
		vtd_host_remove_failed(requester->host);
	}
	pthread_mutex_unlock(&unit->host.lock);
}

void vtd_host_entries_changed(struct vtd_unit *unit)
{
	entries_changed(unit, true, 0, 0);
}

void vtd_host_source_entries_changed(struct vtd_unit *unit, uint16_t source, unsigned int mask)
{
	entries_changed(unit, false, source, mask);
}

void vtd_host_pasid_entry_changed(struct vtd_unit *unit, uint32_t pasid)
{
	if (!unit->host.requesters)
		return;
	pthread_mutex_lock(&unit->host.lock);
	for (unsigned int i = 0; i < unit->requester_count; i++) {
		struct vtd_host_requester *host = unit->requester[i].host;

		if (!host)
			continue;
		vtd_host_refresh_users(unit, host, pasid);
		vtd_host_remove_failed(host);
	}
	pthread_mutex_unlock(&unit->host.lock);
}

/* --- Page requests --- */

void vtd_host_respond(struct vtd_requester *requester, uint32_t pasid, unsigned int group,
		      unsigned int code)
{
	struct vtd_host_requester *host = requester->host;

	if (host->ops->respond && host->ops->respond(host->context, pasid, group, code))
		vtd_count(requester->unit, requester, VTD_COUNT_HOST_ERRORS, 1);
}

/* --- Real devices --- */

static struct vtd_host_requester *new_requester(struct vtd_requester *requester,
						const struct vtd_host_ops *ops, void *context)
{
	struct vtd_host_requester *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->requester = requester;
	host->ops = ops;
	host->context = context;
	host->binding = calloc(VTD_HOST_BINDINGS, sizeof(struct vtd_host_binding *));
	/* So large that its pages cost nothing until they are used. */
	host->bindings = calloc(VTD_HOST_BINDINGS, sizeof(*host->bindings));
	if (!host->binding || !host->bindings) {
		free_requester(host);
		return NULL;
	}
	for (unsigned int i = 0; i < VTD_HOST_BINDINGS; i++)
		host->binding[i] = &host->bindings[i];
	return host;
}

int vtd_set_host(struct vtd_unit *unit, struct vtd_requester *requester,
		 const struct vtd_host_ops *ops, void *context)
{
	struct vtd_host_requester *host;
	int rc;

	if (requester->host)
		return -EEXIST;
	host = new_requester(requester, ops, context);
	if (!host)
		return -ENOMEM;
	requester->host = host;
	rc = vtd_caps_derive(unit);
	pthread_mutex_lock(&unit->host.lock);
	if (!rc)
		rc = vtd_host_refresh(unit, host, VTD_NO_PASID);
	vtd_host_remove_failed(host);
	unit->host.requesters += !rc;
	pthread_mutex_unlock(&unit->host.lock);
	if (!rc)
		return 0;
	requester->host = NULL;
	free_requester(host);
	vtd_caps_derive(unit);
	return rc;
}
