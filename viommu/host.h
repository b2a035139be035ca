/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real devices: what their guest's PASID entries ask for is bound in the host (a shadow).
 *
 * Whenever the guest invalidates its context or PASID cache, the entries concerned are read anew
 * and each (requester, PASID) is bound, replaced or unbound to match. IOTLB invalidations are
 * collected per (requester, PASID) and sent when the guest waits for them.
 *
 * The entry of RID_PASID is bound for requests without PASID only.
 *
 * While translation is off, requests without PASID are pass-through, and bound as that; those with
 * one are not bound.
 */
#ifndef NIDUS_VIOMMU_HOST_H
#define NIDUS_VIOMMU_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "viommu/vtd.h"

#define VTD_HOST_BINDINGS 4096 /* of one requester; more fail as if the host had no room */
#define VTD_HOST_RANGES	  16   /* of one binding and one wait; more become "everything" */

/* What is bound for one (requester, PASID), and what is to be invalidated in it. */
struct vtd_host_binding {
	uint32_t pasid;	      /* or VTD_NO_PASID */
	uint32_t table_pasid; /* of the entry: RID_PASID for VTD_NO_PASID */
	bool stale;	      /* it should be unbound, but the host failed to */
	bool failed;	      /* nothing is bound, and this attempt to was the last */
	struct vtd_binding what;
	bool everything, second_stage; /* is to be invalidated */
	unsigned int count;
	struct vtd_host_invalidation range[VTD_HOST_RANGES];
};

struct vtd_host_requester {
	struct vtd_requester *requester;
	const struct vtd_host_ops *ops; /* constant; ops of vtd_set_host() */
	void *context;
	bool failed; /* of what the flush under way has sent, something did */
	unsigned int count;
	/*
	 * VTD_HOST_BINDINGS: those in use, in ascending order of pasid, then the free ones. All are
	 * made with the requester, for guests are served by threads that may not allocate.
	 */
	struct vtd_host_binding **binding;
	struct vtd_host_binding *bindings;
};

struct vtd_host {
	pthread_mutex_t lock;	 /* protects bindings of all requesters */
	unsigned int requesters; /* that have a backend; 0: everything here is a no-op */
	bool pending;		 /* something was collected and not yet done */
};

int vtd_host_init(struct vtd_unit *unit);
void vtd_host_destroy(struct vtd_unit *unit);

/*
 * Bindings become what the tables say now: of all requesters; of those whose source-id matches; of
 * one PASID of all. After the caches were told. The first also after a reset and when translation
 * was switched: while it is off, what has a PASID is unbound, and requests without are
 * pass-through. unit->lock held.
 */
void vtd_host_entries_changed(struct vtd_unit *unit);
void vtd_host_source_entries_changed(struct vtd_unit *unit, uint16_t source, unsigned int mask);
void vtd_host_pasid_entry_changed(struct vtd_unit *unit, uint32_t pasid);
/*
 * Collects. @pasid VTD_NO_PASID: every PASID of the domain. @pages UINT64_MAX: all. unit->lock
 * held, as for the next.
 */
void vtd_host_collect(struct vtd_unit *unit, bool all_domains, uint16_t did, uint32_t pasid,
		      uint64_t address, uint64_t pages, bool leaf);
/*
 * The same for a device-TLB: of requests of @requester with @pasid, VTD_NO_PASID being those
 * without, or with any PASID if @all.
 */
void vtd_host_collect_devtlb(struct vtd_unit *unit, const struct vtd_requester *requester,
			     uint32_t pasid, bool all, uint64_t address, uint64_t pages);
/*
 * Sends what was collected: one call per (requester, PASID), then flush() of each. 0, or the first
 * error; *@source then says of which requester (the guest gets an ITE for it). What failed stays,
 * and is sent again by the next call.
 */
int vtd_host_flush(struct vtd_unit *unit, uint16_t *source);

/* Passes the answer to a page request on. No lock; any thread. */
void vtd_host_respond(struct vtd_requester *requester, uint32_t pasid, unsigned int group,
		      unsigned int code);

/* --- host_bind.c; host.lock held --- */

struct vtd_host_binding *vtd_host_find(const struct vtd_host_requester *host, uint32_t pasid);
/*
 * Makes the binding of (@host, @pasid) what the guest's tables say now. 0, or the error of bind();
 * the guest has been told then, and a record of the failure may stay in the list until
 * vtd_host_remove_failed(), so that one look at the tables tries once.
 */
int vtd_host_refresh(struct vtd_unit *unit, struct vtd_host_requester *host, uint32_t pasid);
/* The same, and for requests without PASID if they use the entry of @pasid or did so. */
void vtd_host_refresh_users(struct vtd_unit *unit, struct vtd_host_requester *host, uint32_t pasid);
void vtd_host_remove_failed(struct vtd_host_requester *host);

/* --- host_scan.c --- */

/*
 * Calls @each for every PASID of @requester whose entry in the guest's PASID table is present, in
 * ascending order, until it returns false. PASIDs of @bits bits at most: 2^@bits entries are looked
 * at. None in legacy mode, nor if the tables cannot be read.
 */
void vtd_host_scan(struct vtd_unit *unit, const struct vtd_requester *requester, unsigned int bits,
		   bool (*each)(void *context, uint32_t pasid), void *context);

/* --- host_collect.c; host.lock held --- */

/* Adds a range to what is to be invalidated; never fails, for everything is the last resort. */
void vtd_host_binding_add(struct vtd_host_binding *binding, uint64_t address, uint64_t pages,
			  bool leaf);
/* Sorts and merges. */
void vtd_host_binding_merge(struct vtd_host_binding *binding);

#endif
