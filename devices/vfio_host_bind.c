/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's PASID entries ask for, attached in the host; and what the guest invalidates.
 *
 * A PASID changes its domain by one call: the kernel puts the new one in the place of the old. (Its
 * drivers for VT-d and AMD-Vi block the device in between; no call does better.) With one
 * exception: the kernel loses count when a domain with page requests is replaced for requests
 * without PASID, so there the old one is detached first.
 *
 * PASID 0 is the kernel's own for requests without, so it cannot be bound to anything else. The
 * unit binds RID_PASID's entry once, without PASID; with another RID_PASID, PASID 0 is refused
 * here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_host.h"
#include "devices/vfio_host_shadow.h"
#include "devices/vfio_host_type1.h"

/* Between two attempts to attach while the device is being reset. */
#define RETRY_MS 10

/* --- What is attached. context->lock held. --- */

static struct vfio_attachment **bucket_of(struct vfio_host *host, uint32_t pasid)
{
	return &host->bucket[pasid % VFIO_BUCKETS];
}

static struct vfio_attachment *find(struct vfio_host *host, uint32_t pasid)
{
	struct vfio_attachment *attachment = *bucket_of(host, pasid);

	while (attachment && attachment->pasid != pasid)
		attachment = attachment->next;
	return attachment;
}

/* A new one, without a domain. 0 or a negative errno. */
static int add(struct vfio_host *host, uint32_t pasid, struct vfio_attachment **to)
{
	struct vfio_context *context = host->context;
	struct vfio_attachment **bucket = bucket_of(host, pasid), *attachment;

	if (pasid != VTD_NO_PASID && context->pasids >= context->quota)
		return -ENOSPC;
	attachment = calloc(1, sizeof(*attachment));
	if (!attachment)
		return -ENOMEM;
	attachment->pasid = pasid;
	attachment->next = *bucket;
	*bucket = attachment;
	context->pasids += pasid != VTD_NO_PASID;
	*to = attachment;
	return 0;
}

static void drop(struct vfio_host *host, struct vfio_attachment *attachment)
{
	struct vfio_attachment **at = bucket_of(host, attachment->pasid);

	while (*at != attachment)
		at = &(*at)->next;
	*at = attachment->next;
	host->context->pasids -= attachment->pasid != VTD_NO_PASID;
	free(attachment);
}

/* --- Attaching and detaching --- */

static int detach_call(struct vfio_host *host, uint32_t pasid, uint32_t hwpt)
{
	(void)hwpt;
	return vfio_iommufd_detach(host, pasid);
}

/* 0, and the domain is gone; or the kernel's error, and it is still there. */
static int detach(struct vfio_host *host, struct vfio_attachment *attachment)
{
	struct vfio_domain *old = attachment->domain;
	int rc = old->key.faultable ? vfio_faults_change(host, attachment->pasid, detach_call, 0)
				    : vfio_iommufd_detach(host, attachment->pasid);

	if (rc)
		return rc;
	attachment->domain = NULL;
	vfio_domain_put(host, old);
	return 0;
}

/*
 * Puts @hwpt in the place of @old, NULL if there is nothing. Waits for a reset of the device to
 * end, without the fault queue's lock; once in vain.
 */
static int attach_hwpt(struct vfio_host *host, uint32_t pasid, const struct vfio_domain *old,
		       uint32_t hwpt)
{
	int rc;

	for (unsigned int waited = 0;; waited += RETRY_MS) {
		rc = old && old->key.faultable
			     ? vfio_faults_change(host, pasid, vfio_iommufd_attach, hwpt)
			     : vfio_iommufd_attach(host, pasid, hwpt);
		if (rc != -EBUSY || host->stuck || waited >= VFIO_RESET_MS)
			break;
		host->kernel->sleep(host->kernel->context, RETRY_MS);
	}
	host->stuck = rc == -EBUSY;
	return rc;
}

/* Takes over the caller's reference of @domain, or drops it on failure. */
static int attach(struct vfio_host *host, struct vfio_attachment *attachment,
		  struct vfio_domain *domain)
{
	struct vfio_domain *old = attachment->domain;
	uint32_t pasid = attachment->pasid;
	int rc = 0;

	if (old && old->key.faultable && pasid == VTD_NO_PASID) {
		rc = detach(host, attachment);
		old = NULL;
	}
	if (!rc)
		rc = attach_hwpt(host, pasid, old, domain->hwpt);
	if (rc) {
		vfio_domain_put(host, domain);
		return rc;
	}
	attachment->domain = domain;
	if (old)
		vfio_domain_put(host, old);
	vfio_count(&host->counters.binds, 1);
	return 0;
}

static int bind_iommufd(struct vfio_host *host, uint32_t pasid, const struct vtd_binding *binding)
{
	struct vfio_attachment *attachment = find(host, pasid);
	struct vfio_domain *domain;
	int rc;

	if (pasid != VTD_NO_PASID && (!pasid || !host->pasid_api))
		return -EOPNOTSUPP;
	rc = attachment ? 0 : add(host, pasid, &attachment);
	if (rc)
		return rc;
	rc = vfio_domain_get(host, binding, attachment->domain, &domain);
	if (!rc && domain == attachment->domain)
		vfio_domain_put(host, domain);
	else if (!rc)
		rc = attach(host, attachment, domain);
	if (rc && !attachment->domain)
		drop(host, attachment);
	return rc;
}

static int unbind_iommufd(struct vfio_host *host, uint32_t pasid)
{
	struct vfio_attachment *attachment = find(host, pasid);
	int rc;

	/* Nothing is left of a binding whose replacement failed half-way. */
	if (!attachment)
		return 0;
	rc = detach(host, attachment);
	if (rc)
		return rc;
	drop(host, attachment);
	vfio_count(&host->counters.unbinds, 1);
	return 0;
}

static const char *reason(int rc)
{
	return rc == -E2BIG ? "the guest's second-stage tables are too many" : strerror(-rc);
}

/* @rc: what the host says to @verb. That the VM ends is no complaint. */
static void complain(const struct vfio_host *host, const char *verb, uint32_t pasid, int rc)
{
	char name[24] = "requests without PASID";

	if (rc == -ECANCELED)
		return;
	if (pasid != VTD_NO_PASID)
		snprintf(name, sizeof(name), "PASID 0x%x", pasid);
	log_guest(VFIO, "%s: the host %s %s: %s", host->device->name, verb, name, reason(rc));
}

int vfio_host_bind(void *context, uint32_t pasid, const struct vtd_binding *binding)
{
	struct vfio_host *host = context;
	int rc;

	pthread_mutex_lock(&host->context->lock);
	rc = host->type1 ? vfio_type1_bind(host, pasid, binding)
			 : bind_iommufd(host, pasid, binding);
	pthread_mutex_unlock(&host->context->lock);
	if (rc)
		complain(host, "refuses", pasid, rc);
	return rc;
}

int vfio_host_unbind(void *context, uint32_t pasid)
{
	struct vfio_host *host = context;
	int rc;

	pthread_mutex_lock(&host->context->lock);
	rc = host->type1 ? vfio_type1_unbind(host, pasid) : unbind_iommufd(host, pasid);
	pthread_mutex_unlock(&host->context->lock);
	if (rc)
		complain(host, "does not unbind", pasid, rc);
	return rc;
}

void vfio_host_unbind_all(struct vfio_host *host)
{
	pthread_mutex_lock(&host->context->lock);
	for (unsigned int i = 0; i < VFIO_BUCKETS; i++) {
		while (host->bucket[i]) {
			struct vfio_attachment *attachment = host->bucket[i];

			/* What the kernel keeps is gone with the device's file. */
			if (detach(host, attachment))
				vfio_domain_put(host, attachment->domain);
			drop(host, attachment);
		}
	}
	pthread_mutex_unlock(&host->context->lock);
}

/* --- Invalidations: collected per domain, sent by vfio_host_flush() --- */

static void collect(struct vfio_host *host, struct vfio_domain *domain,
		    const struct vtd_host_invalidation *list, unsigned int count)
{
	struct vfio_context *context = host->context;

	for (unsigned int i = 0; i < count; i++)
		vfio_ranges_add(&domain->ranges, list[i].address, list[i].pages, list[i].leaf);
	if (!domain->waiting) {
		domain->next_pending = context->pending;
		context->pending = domain;
	}
	domain->waiting |= host->bit;
}

/* Addresses of a first stage say nothing about those of the second, which may have changed, too. */
static bool is_second_stage(const struct vtd_host_invalidation *list, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (list[i].second_stage)
			return true;
	return false;
}

static void invalidate_iommufd(struct vfio_host *host, uint32_t pasid,
			       const struct vtd_host_invalidation *list, unsigned int count)
{
	const struct vtd_host_invalidation everything = { .pages = UINT64_MAX };
	struct vfio_attachment *attachment = find(host, pasid);
	struct vfio_domain *domain = attachment ? attachment->domain : NULL;

	if (!domain || domain->key.kind == VFIO_PARENT)
		return;
	collect(host, domain, list, count);
	if (domain->key.kind == VFIO_NESTED && domain->key.parent->key.kind == VFIO_SHADOW &&
	    is_second_stage(list, count))
		collect(host, domain->key.parent, &everything, 1);
}

int vfio_host_invalidate(void *context, uint32_t pasid, const struct vtd_host_invalidation *list,
			 unsigned int count)
{
	struct vfio_host *host = context;

	pthread_mutex_lock(&host->context->lock);
	if (host->type1)
		vfio_type1_invalidate(host, list, count);
	else
		invalidate_iommufd(host, pasid, list, count);
	pthread_mutex_unlock(&host->context->lock);
	return 0;
}

static int send(struct vfio_host *host, struct vfio_domain *domain)
{
	return domain->shadow ? vfio_shadow_update(host, domain->shadow, &domain->ranges)
			      : vfio_iommufd_invalidate(host, domain->hwpt, &domain->ranges);
}

/*
 * Every domain of @kind that @host's unit waits for. What succeeds is done for other devices too,
 * which may be behind other units; of what fails, each hears by its own wait.
 */
static int send_kind(struct vfio_host *host, enum vfio_domain_kind kind)
{
	struct vfio_domain **at = &host->context->pending;
	int error = 0;

	while (*at) {
		struct vfio_domain *domain = *at;
		int rc;

		if (domain->key.kind != kind || !(domain->waiting & host->bit)) {
			at = &domain->next_pending;
			continue;
		}
		rc = send(host, domain);
		error = error ? error : rc;
		at = vfio_domain_settle(at, rc ? host->bit : UINT64_MAX);
	}
	return error;
}

int vfio_host_flush(void *context)
{
	struct vfio_host *host = context;
	int first, second, rc;

	pthread_mutex_lock(&host->context->lock);
	host->context->vain = 0;
	if (host->type1) {
		second = vfio_type1_flush(host);
		first = 0;
	} else {
		/* What a first stage has cached can depend on the second stage as it was. */
		second = send_kind(host, VFIO_SHADOW);
		first = send_kind(host, VFIO_NESTED);
	}
	pthread_mutex_unlock(&host->context->lock);
	rc = second ? second : first;
	if (rc && rc != -ECANCELED)
		log_guest(VFIO, "%s: the host does not invalidate: %s", host->device->name,
			  reason(rc));
	return rc;
}
