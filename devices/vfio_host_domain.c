/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains of the host: what a guest's entry is translated by.
 *
 * A first-stage table becomes a nested domain, which every entry of every device behind the same
 * kind of unit shares if it names the same table in the same way: guests have one table for a
 * process and many PASID entries for it, and each domain costs the host one of its domain-ids.
 * context->lock held throughout.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "devices/vfio_host.h"
#include "devices/vfio_host_shadow.h"
#include "devices/vfio_uapi.h"
#include "viommu/spec.h"

/* --- RAM and parents --- */

int vfio_check_memlock(const struct vfio_host *host, char *error, size_t size)
{
	const struct vfio_context *context = host->context;
	uint64_t may = context->kernel->memlock(context->kernel->context, host->type1);
	uint64_t needed = 0;

	for (const struct vfio_host *each = context->hosts; each; each = each->next)
		if (each == host || (host->type1 && each->type1))
			needed += ram_bytes(context->ram);
	if (may >= needed)
		return 0;
	return vfio_error(-ENOMEM, error, size,
			  "vfio %s: the guest's memory must be locked%s: %llu KiB, and %llu KiB "
			  "are allowed; raise it (ulimit -l %llu)%s",
			  host->device->name, host->type1 ? ", once for each type1 device" : "",
			  (unsigned long long)(needed / KIB), (unsigned long long)(may / KIB),
			  (unsigned long long)(needed / KIB),
			  host->type1 ? "" : " or grant CAP_IPC_LOCK");
}

static int map_ram(struct vfio_host *host, char *error, size_t size)
{
	struct vfio_context *context = host->context;
	const struct ram *ram = context->ram;
	const char *name = host->device->name;
	int rc = vfio_check_memlock(host, error, size);

	if (rc)
		return rc;
	rc = vfio_iommufd_ioas(host, &context->ioas);
	if (rc)
		return vfio_error(rc, error, size, "vfio %s: no address space: %s", name,
				  strerror(-rc));
	/* Writable, all of it: a parent that others are nested in must not have read-only pages
	 * (erratum 772415), and the kernel refuses them. */
	for (unsigned int i = 0; i < ram->count && !rc; i++)
		rc = vfio_iommufd_map(host, context->ioas, ram->slot[i].gpa, ram->slot[i].host,
				      ram->slot[i].size);
	if (!rc) {
		context->mapped = true;
		return 0;
	}
	vfio_iommufd_destroy(host, context->ioas);
	return vfio_error(rc, error, size, "vfio %s: %llu MiB of guest memory cannot be mapped: %s",
			  name, (unsigned long long)(ram_bytes(ram) / MIB), strerror(-rc));
}

static struct vfio_domain *find_parent(const struct vfio_host *host)
{
	const struct vfio_device *device = host->device;
	struct vfio_domain *parent = host->context->parents;

	while (parent && (parent->cap != device->host_cap || parent->ecap != device->host_ecap ||
			  parent->key.nests != device->nested || parent->pasid != host->pasid_api))
		parent = parent->next;
	return parent;
}

static uint32_t paging_flags(const struct vfio_host *host, bool nests)
{
	return (nests ? UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT : 0) |
	       (host->pasid_api ? UAPI_IOMMU_HWPT_ALLOC_PASID : 0);
}

static int explain_parent(const struct vfio_host *host, int rc, char *error, size_t size)
{
	return vfio_error(rc, error, size,
			  "vfio %s: the host makes no domain for guest memory up to 0x%llx: %s%s",
			  host->device->name, (unsigned long long)ram_end(host->context->ram),
			  strerror(-rc),
			  rc == -EINVAL || rc == -ERANGE || rc == -EADDRINUSE
				  ? " (more address bits than its unit has, or reserved addresses?)"
				  : "");
}

int vfio_domain_parent(struct vfio_host *host, char *error, size_t size)
{
	struct vfio_context *context = host->context;
	struct vfio_domain *parent;
	int rc;

	if (!context->mapped) {
		rc = map_ram(host, error, size);
		if (rc)
			return rc;
	}
	host->parent = find_parent(host);
	if (host->parent)
		return 0;
	parent = calloc(1, sizeof(*parent));
	if (!parent)
		return vfio_error(-ENOMEM, error, size, "vfio %s: out of memory",
				  host->device->name);
	parent->key =
		(struct vfio_domain_key){ .kind = VFIO_PARENT, .nests = host->device->nested };
	parent->cap = host->device->host_cap;
	parent->ecap = host->device->host_ecap;
	parent->pasid = host->pasid_api;
	rc = vfio_iommufd_paging(host, context->ioas, paging_flags(host, host->device->nested),
				 &parent->hwpt);
	if (rc) {
		free(parent);
		return explain_parent(host, rc, error, size);
	}
	vfio_count(&host->counters.domains, 1);
	parent->next = context->parents;
	context->parents = parent;
	host->parent = parent;
	return 0;
}

/* The kernel's objects go with the file. */
void vfio_domains_close(struct vfio_context *context)
{
	while (context->parents) {
		struct vfio_domain *parent = context->parents;

		context->parents = parent->next;
		free(parent);
	}
}

/* --- Shared domains --- */

static struct vfio_domain **bucket_of(struct vfio_context *context,
				      const struct vfio_domain_key *key)
{
	uint64_t hash = (key->root >> 12) * UINT64_C(0x9e3779b97f4a7c15);

	return &context->bucket[hash >> 56];
}

static bool same_key(const struct vfio_domain_key *a, const struct vfio_domain_key *b)
{
	return a->kind == b->kind && a->parent == b->parent && a->root == b->root &&
	       a->width == b->width && a->flags == b->flags && a->faultable == b->faultable &&
	       a->nests == b->nests;
}

/* Makes the kernel's object for @domain, whose key is set. */
static int create_nested(struct vfio_host *host, struct vfio_domain *domain)
{
	uint32_t flags = host->pasid_api ? UAPI_IOMMU_HWPT_ALLOC_PASID : 0;

	return vfio_iommufd_nested(host, domain->key.parent->hwpt, &domain->key, flags,
				   vfio_faults_id(host->context), &domain->hwpt);
}

/*
 * The domain first, then the mappings: each is a call of its own, the largest of them a slot of
 * RAM. The other way round, one call would write all page tables, and nothing could stop it.
 */
static int create_shadow(struct vfio_host *host, struct vfio_domain *domain)
{
	struct vfio_shadow *shadow;
	int rc;

	shadow = vfio_shadow_create_iommufd(host, &rc);
	if (!shadow)
		return rc;
	rc = vfio_iommufd_paging(host, vfio_shadow_ioas(shadow),
				 paging_flags(host, domain->key.nests), &domain->hwpt);
	if (!rc) {
		rc = vfio_shadow_set_table(host, shadow, domain->key.root, domain->key.width);
		if (rc)
			vfio_iommufd_destroy(host, domain->hwpt);
	}
	if (rc)
		vfio_shadow_destroy(host, shadow);
	else
		domain->shadow = shadow;
	return rc;
}

/* How many domains go when a reference of @domain, or NULL, is dropped. */
static unsigned int goes_with(const struct vfio_domain *domain)
{
	unsigned int count = 0;

	for (; domain && domain->key.kind != VFIO_PARENT && domain->references == 1;
	     domain = domain->key.parent)
		count++;
	return count;
}

/* The domain of @key, new or not, with a reference for the caller, in the place of @old. */
static int get(struct vfio_host *host, const struct vfio_domain_key *key,
	       const struct vfio_domain *old, struct vfio_domain **to)
{
	struct vfio_context *context = host->context;
	struct vfio_domain **bucket = bucket_of(context, key), *domain = *bucket;
	int rc;

	while (domain && !same_key(&domain->key, key))
		domain = domain->next;
	if (domain) {
		domain->references++;
		*to = domain;
		return 0;
	}
	if (context->domains >= context->quota + goes_with(old))
		return -ENOSPC;
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return -ENOMEM;
	domain->key = *key;
	rc = key->kind == VFIO_NESTED ? create_nested(host, domain) : create_shadow(host, domain);
	if (rc) {
		free(domain);
		return rc;
	}
	vfio_count(&host->counters.domains, 1);
	context->domains++;
	domain->references = 1;
	domain->next = *bucket;
	*bucket = domain;
	*to = domain;
	return 0;
}

static void forget_pending(struct vfio_context *context, const struct vfio_domain *domain)
{
	struct vfio_domain **at = &context->pending;

	while (*at && *at != domain)
		at = &(*at)->next_pending;
	if (*at)
		*at = domain->next_pending;
}

struct vfio_domain **vfio_domain_settle(struct vfio_domain **at, uint64_t bits)
{
	struct vfio_domain *domain = *at;

	domain->waiting &= ~bits;
	if (domain->waiting)
		return &domain->next_pending;
	vfio_ranges_clear(&domain->ranges);
	*at = domain->next_pending;
	return at;
}

void vfio_domain_put(struct vfio_host *host, struct vfio_domain *domain)
{
	struct vfio_context *context = host->context;
	struct vfio_domain **at = bucket_of(context, &domain->key);
	struct vfio_domain *parent = domain->key.kind == VFIO_NESTED ? domain->key.parent : NULL;

	if (domain->key.kind == VFIO_PARENT || --domain->references)
		return;
	while (*at != domain)
		at = &(*at)->next;
	*at = domain->next;
	forget_pending(context, domain);
	context->domains--;
	/* Nothing is attached: it cannot fail, and what failed is gone when the file is closed. */
	vfio_iommufd_destroy(host, domain->hwpt);
	if (domain->shadow)
		vfio_shadow_destroy(host, domain->shadow);
	free(domain);
	if (parent)
		vfio_domain_put(host, parent);
}

/* --- From a guest's entry to a domain --- */

static int get_shadow(struct vfio_host *host, const struct vtd_binding *binding, bool nests,
		      const struct vfio_domain *old, struct vfio_domain **domain)
{
	const struct vfio_domain_key key = {
		.kind = VFIO_SHADOW,
		.parent = host->parent,
		.root = binding->ss_root,
		.width = binding->ss_width,
		.nests = nests,
	};

	return get(host, &key, old, domain);
}

/* What this unit of the host cannot do fails here, where it is cheap. */
static bool supported(const struct vfio_host *host, const struct vtd_binding *binding)
{
	uint64_t cap = host->device->host_cap, ecap = host->device->host_ecap;

	return host->device->nested && (binding->fs_width == 48 || cap & VTD_CAP_FS5LP) &&
	       (!binding->sre || ecap & VTD_ECAP_SRS) && (!binding->eafe || ecap & VTD_ECAP_EAFS);
}

/* In @parent, whose reference becomes the domain's, or is dropped if there is none. */
static int get_nested(struct vfio_host *host, const struct vtd_binding *binding,
		      struct vfio_domain *parent, const struct vfio_domain *old,
		      struct vfio_domain **domain)
{
	const struct vfio_domain_key key = {
		.kind = VFIO_NESTED,
		.parent = parent,
		.root = binding->fs_root,
		.width = binding->fs_width,
		.flags = (binding->sre ? UAPI_IOMMU_VTD_S1_SRE : 0) |
			 (binding->eafe ? UAPI_IOMMU_VTD_S1_EAFE : 0) |
			 (binding->wpe ? UAPI_IOMMU_VTD_S1_WPE : 0),
		.faultable = binding->faultable && host->device->pri,
	};
	int rc = supported(host, binding) ? get(host, &key, old, domain) : -EOPNOTSUPP;

	/* One that was there already has its own. */
	if (rc || (*domain)->references > 1)
		vfio_domain_put(host, parent);
	return rc;
}

int vfio_domain_get(struct vfio_host *host, const struct vtd_binding *binding,
		    const struct vfio_domain *old, struct vfio_domain **domain)
{
	struct vfio_domain *shadow;
	int rc;

	switch (binding->type) {
	case VTD_BIND_PT:
		*domain = host->parent;
		return 0;
	case VTD_BIND_FS:
		return get_nested(host, binding, host->parent, old, domain);
	case VTD_BIND_SS:
		return get_shadow(host, binding, false, old, domain);
	case VTD_BIND_NESTED:
		rc = get_shadow(host, binding, true, old, &shadow);
		return rc ? rc : get_nested(host, binding, shadow, old, domain);
	}
	return -EOPNOTSUPP;
}
