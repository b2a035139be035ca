/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One (requester, PASID) of a real device: what the guest's tables ask for, and the binding that
 * follows it.
 */
#include "viommu/access.h"
#include "viommu/host.h"
#include "viommu/unit.h"

/* --- The list of bindings, in order of PASID --- */

/* Where @pasid is, or belongs. */
static unsigned int position(const struct vtd_host_requester *host, uint32_t pasid)
{
	unsigned int low = 0, high = host->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (host->binding[middle]->pasid < pasid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct vtd_host_binding *vtd_host_find(const struct vtd_host_requester *host, uint32_t pasid)
{
	unsigned int at = position(host, pasid);

	return at < host->count && host->binding[at]->pasid == pasid ? host->binding[at] : NULL;
}

static struct vtd_host_binding *add_binding(struct vtd_host_requester *host, uint32_t pasid)
{
	unsigned int at = position(host, pasid);
	struct vtd_host_binding *binding;

	if (host->count == VTD_HOST_BINDINGS)
		return NULL;
	binding = host->binding[host->count];
	*binding = (struct vtd_host_binding){ .pasid = pasid };
	for (unsigned int i = host->count++; i > at; i--)
		host->binding[i] = host->binding[i - 1];
	host->binding[at] = binding;
	return binding;
}

static void remove_binding(struct vtd_host_requester *host, struct vtd_host_binding *binding)
{
	unsigned int at = position(host, binding->pasid);

	host->count--;
	for (unsigned int i = at; i < host->count; i++)
		host->binding[i] = host->binding[i + 1];
	host->binding[host->count] = binding;
}

void vtd_host_remove_failed(struct vtd_host_requester *host)
{
	for (unsigned int i = host->count; i-- > 0;)
		if (host->binding[i]->failed)
			remove_binding(host, host->binding[i]);
}

/* --- What the guest's tables ask for --- */

struct want {
	struct vtd_binding what;
	uint32_t table_pasid;
	bool fpd;
};

static void want_entry(const struct vtd_entry *entry, struct want *want)
{
	/* By enum vtd_pgtt. */
	static const enum vtd_bind_type types[] = {
		[VTD_PGTT_FS] = VTD_BIND_FS,
		[VTD_PGTT_SS] = VTD_BIND_SS,
		[VTD_PGTT_NESTED] = VTD_BIND_NESTED,
		[VTD_PGTT_PT] = VTD_BIND_PT,
	};
	struct vtd_binding *what = &want->what;

	*want = (struct want){ .table_pasid = entry->pasid, .fpd = entry->fpd };
	what->type = types[entry->pgtt];
	what->did = entry->did;
	what->faultable = entry->pre;
	if (vtd_is_first_stage(entry)) {
		what->fs_root = entry->fs_root;
		what->fs_width = entry->fs_levels == 5 ? 57 : 48;
		what->sre = entry->sre;
		what->eafe = entry->eafe;
		what->wpe = entry->wpe;
	}
	if (entry->pgtt == VTD_PGTT_SS || entry->pgtt == VTD_PGTT_NESTED) {
		what->ss_root = entry->ss_root;
		what->ss_width = 12 + 9 * entry->ss_levels;
	}
}

/*
 * True if the entry of @pasid is the one of requests without PASID. It is bound for those alone: no
 * device uses it by its number, which in the host may not even exist (Linux: PASID 0 is "none").
 */
static bool is_rid_pasid(struct vtd_unit *unit, const struct vtd_host_requester *host,
			 uint32_t pasid)
{
	struct vtd_entry entry = { .pasid = VTD_NO_PASID };

	vtd_entry_read(unit, host->requester, VTD_NO_PASID, &entry);
	return entry.pasid == pasid;
}

/* False if there is to be no binding. */
static bool wanted(struct vtd_unit *unit, const struct vtd_host_requester *host, uint32_t pasid,
		   struct want *want)
{
	struct vtd_entry entry = { .fpd = false };

	if (!__atomic_load_n(&unit->translation, __ATOMIC_ACQUIRE)) {
		*want = (struct want){ .what = { .type = VTD_BIND_PT },
				       .table_pasid = VTD_NO_PASID };
		return pasid == VTD_NO_PASID;
	}
	if (pasid != VTD_NO_PASID &&
	    (pasid >> host->ops->pasid_bits || is_rid_pasid(unit, host, pasid)))
		return false;
	if (vtd_entry_read(unit, host->requester, pasid, &entry))
		return false;
	want_entry(&entry, want);
	return true;
}

/* Whether the host is to do the same for both. It is not told of domain-ids: see follow(). */
static bool same(const struct vtd_binding *a, const struct vtd_binding *b)
{
	return a->type == b->type && a->fs_root == b->fs_root && a->ss_root == b->ss_root &&
	       a->fs_width == b->fs_width && a->ss_width == b->ss_width && a->sre == b->sre &&
	       a->eafe == b->eafe && a->wpe == b->wpe && a->faultable == b->faultable;
}

static bool has_tables(const struct vtd_binding *what)
{
	return what->type != VTD_BIND_PT;
}

/* --- Binding and unbinding --- */

/*
 * The host did not do what the guest asked for. Every request of (requester, PASID) will fail, as
 * if the entry had a value that this unit does not support: so that is the fault (7.1.3, SPT.4 and
 * LCT.4).
 */
static void report(struct vtd_unit *unit, const struct vtd_host_requester *host, uint32_t pasid)
{
	const struct vtd_fault fault = {
		.requester = host->requester,
		.source = host->requester->source,
		.pasid = pasid,
		.reason = vtd_is_legacy(unit) ? VTD_LCT_INVALID : VTD_SPT_INVALID,
		.type = VTD_FAULT_READ,
	};

	vtd_fault_record(unit, &fault);
}

static void note(struct vtd_unit *unit, struct vtd_host_requester *host, const char *verb,
		 uint32_t pasid, enum vtd_counter counter, int rc)
{
	char text[VTD_PASID_TEXT];

	vtd_count(unit, host->requester, rc ? VTD_COUNT_HOST_ERRORS : counter, 1);
	if (vtd_tracing(host->requester))
		vtd_trace_line(host->requester, "host: %s%s: %d", verb, vtd_pasid_text(pasid, text),
			       rc);
}

/*
 * True if nothing is bound any more; @binding is the caller's to remove then. A binding that the
 * host keeps against our will goes on to be told of invalidations.
 */
static bool unbind(struct vtd_unit *unit, struct vtd_host_requester *host,
		   struct vtd_host_binding *binding)
{
	int rc = host->ops->unbind(host->context, binding->pasid);

	note(unit, host, "unbind", binding->pasid, VTD_COUNT_HOST_UNBINDS, rc);
	binding->stale = rc;
	if (rc)
		report(unit, host, binding->pasid);
	return !rc;
}

/* 0, or the error that the guest has been told of. */
static int bind(struct vtd_unit *unit, struct vtd_host_requester *host, uint32_t pasid,
		struct vtd_host_binding *binding, const struct want *want)
{
	struct vtd_host_binding *to = binding ? binding : add_binding(host, pasid);
	int rc = to ? host->ops->bind(host->context, pasid, &want->what) : -ENOSPC;

	note(unit, host, "bind", pasid, VTD_COUNT_HOST_BINDS, rc);
	if (!rc) {
		to->stale = false;
		to->what = want->what;
		to->table_pasid = want->table_pasid;
		return 0;
	}
	if (!want->fpd)
		report(unit, host, pasid);
	/*
	 * What was bound before is not what the guest asks for now. The record stays until the end
	 * of this look, so that it is tried once.
	 */
	if (to)
		to->failed = to != binding || unbind(unit, host, binding);
	return rc;
}

/*
 * The entry is of another domain from now on, so invalidations that name the old one miss this
 * binding. In hardware they need not reach it, for what was cached under the old domain-id is not
 * found under the new one. The host's caches and copies do not know our domain-ids and would go on:
 * all that they hold has to go.
 */
static void change_domain(struct vtd_unit *unit, struct vtd_host_binding *binding)
{
	binding->second_stage |= binding->what.type == VTD_BIND_NESTED;
	vtd_host_binding_add(binding, 0, UINT64_MAX, false);
	unit->host.pending = true;
}

/* Makes the binding of @pasid what @want says, or none if that is NULL. 0, or bind()'s error. */
static int follow(struct vtd_unit *unit, struct vtd_host_requester *host, uint32_t pasid,
		  const struct want *want)
{
	struct vtd_host_binding *binding = vtd_host_find(host, pasid);

	if (!want) {
		if (binding && unbind(unit, host, binding))
			remove_binding(host, binding);
		return 0;
	}
	if (binding && binding->what.did != want->what.did && has_tables(&binding->what) &&
	    has_tables(&want->what))
		change_domain(unit, binding);
	if (!binding || binding->stale || !same(&binding->what, &want->what))
		return bind(unit, host, pasid, binding, want);
	binding->what.did = want->what.did;
	binding->table_pasid = want->table_pasid;
	return 0;
}

int vtd_host_refresh(struct vtd_unit *unit, struct vtd_host_requester *host, uint32_t pasid)
{
	struct want want;

	return follow(unit, host, pasid, wanted(unit, host, pasid, &want) ? &want : NULL);
}

void vtd_host_refresh_users(struct vtd_unit *unit, struct vtd_host_requester *host, uint32_t pasid)
{
	const struct vtd_host_binding *without = vtd_host_find(host, VTD_NO_PASID);
	struct want want;
	bool any;

	vtd_host_refresh(unit, host, pasid);
	any = wanted(unit, host, VTD_NO_PASID, &want);
	if ((any && want.table_pasid == pasid) || (without && without->table_pasid == pasid))
		follow(unit, host, VTD_NO_PASID, any ? &want : NULL);
}
