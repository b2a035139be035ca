/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_host_type1.h.
 */
#include "devices/vfio_host_type1.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/vfio_host.h"
#include "devices/vfio_host_ranges.h"
#include "devices/vfio_host_shadow.h"

struct vfio_type1 {
	int group, container;
	struct vfio_shadow *shadow;
	bool identity; /* it is the guest's physical address space, memory of devices included */
	struct vfio_ranges ranges; /* of the guest's table, to look at when it waits */
};

/* --- Opening --- */

static int open_file(const struct vfio_host *host, const char *path, char *error, size_t size)
{
	int fd = host->kernel->open(host->kernel->context, path, O_RDWR);

	if (fd >= 0)
		return fd;
	return vfio_error(fd, error, size, "vfio %s: %s: %s%s", host->device->name, path,
			  strerror(-fd),
			  fd == -EBUSY	  ? ": another device of its group is in use"
			  : fd == -ENOENT ? ": is the module vfio_iommu_type1 loaded?"
					  : vfio_remedy(fd));
}

/* A group may be used if no driver of the host has a device of it. */
static int check_group(struct vfio_host *host, int group, int number, char *error, size_t size)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int rc = vfio_ioctl(host, group, VFIO_GROUP_GET_STATUS, &status);

	if (rc < 0)
		return vfio_error(rc, error, size, "vfio %s: group %d: %s", host->device->name,
				  number, strerror(-rc));
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	return vfio_error(-EPERM, error, size,
			  "vfio %s: group %d is not viable: all its devices must be bound to "
			  "vfio-pci, see /sys/kernel/iommu_groups/%d/devices",
			  host->device->name, number, number);
}

static int join(struct vfio_host *host, struct vfio_type1 *type1, char *error, size_t size)
{
	const char *name = host->device->name;
	int rc = vfio_ioctl(host, type1->group, VFIO_GROUP_SET_CONTAINER, &type1->container);

	if (rc < 0)
		return vfio_error(rc, error, size, "vfio %s: its group joins no container: %s",
				  name, strerror(-rc));
	/* The argument is the number itself. */
	rc = vfio_ioctl(host, type1->container, VFIO_SET_IOMMU,
			(void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
	if (rc == -EPERM)
		return vfio_error(rc, error, size,
				  "vfio %s: the host cannot isolate its interrupts (no interrupt "
				  "remapping); vfio_iommu_type1.allow_unsafe_interrupts=1 accepts "
				  "that the guest may forge them",
				  name);
	if (rc < 0)
		return vfio_error(rc, error, size, "vfio %s: no type1 IOMMU: %s", name,
				  strerror(-rc));
	return 0;
}

static int open_device(struct vfio_host *host, struct vfio_type1 *type1,
		       const struct vfio_place *place, char *error, size_t size)
{
	char address[sizeof(place->address)];
	int fd;

	memcpy(address, place->address, sizeof(address));
	fd = vfio_ioctl(host, type1->group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (fd == -EACCES)
		return vfio_needs_token(host->device->name, error, size);
	if (fd < 0)
		return vfio_error(fd, error, size, "vfio %s: %s", host->device->name,
				  strerror(-fd));
	host->device->fd = fd;
	return 0;
}

/* host->type1 is there, and vfio_type1_close() clears what a failure leaves. */
static int open_all(struct vfio_host *host, const struct vfio_place *place, char *error,
		    size_t size)
{
	struct vfio_type1 *type1 = host->type1;
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/dev/vfio/%d", place->group);
	type1->group = open_file(host, path, error, size);
	if (type1->group < 0)
		return type1->group;
	rc = check_group(host, type1->group, place->group, error, size);
	if (rc)
		return rc;
	type1->container = open_file(host, "/dev/vfio/vfio", error, size);
	if (type1->container < 0)
		return type1->container;
	rc = join(host, type1, error, size);
	if (!rc)
		rc = open_device(host, type1, place, error, size);
	if (rc)
		return rc;
	type1->shadow = vfio_shadow_create_type1(host, type1->container, &rc);
	return rc ? vfio_error(rc, error, size, "vfio %s: out of memory", host->device->name) : 0;
}

int vfio_type1_open(struct vfio_host *host, const struct vfio_place *place, char *error,
		    size_t size)
{
	int rc;

	host->type1 = calloc(1, sizeof(*host->type1));
	if (!host->type1)
		return vfio_error(-ENOMEM, error, size, "vfio %s: out of memory",
				  host->device->name);
	host->type1->group = host->type1->container = -1;
	rc = open_all(host, place, error, size);
	if (rc)
		vfio_type1_close(host);
	return rc;
}

/* Without their files, the kernel unmaps all. The device's own is its owner's to close before. */
void vfio_type1_close(struct vfio_host *host)
{
	const struct vfio_kernel *kernel = host->kernel;
	struct vfio_type1 *type1 = host->type1;

	if (type1->shadow)
		vfio_shadow_destroy(host, type1->shadow);
	if (type1->group >= 0)
		kernel->close(kernel->context, type1->group);
	if (type1->container >= 0)
		kernel->close(kernel->context, type1->container);
	free(type1);
	host->type1 = NULL;
}

int vfio_type1_container(const struct vfio_host *host)
{
	return host->type1->container;
}

bool vfio_type1_identity(const struct vfio_host *host)
{
	return host->type1->identity;
}

/* --- Bindings --- */

static void set_identity(struct vfio_host *host, bool identity)
{
	if (host->type1->identity == identity)
		return;
	host->type1->identity = identity;
	if (identity)
		vfio_peers_enter(host);
	else
		vfio_peers_leave(host);
}

int vfio_type1_bind(struct vfio_host *host, uint32_t pasid, const struct vtd_binding *binding)
{
	struct vfio_shadow *shadow = host->type1->shadow;
	int rc = -EOPNOTSUPP;

	if (pasid == VTD_NO_PASID && binding->type != VTD_BIND_PT)
		set_identity(host, false);
	if (pasid == VTD_NO_PASID && binding->type == VTD_BIND_PT)
		rc = vfio_shadow_set_identity(host, shadow);
	else if (pasid == VTD_NO_PASID && binding->type == VTD_BIND_SS)
		rc = vfio_shadow_set_table(host, shadow, binding->ss_root, binding->ss_width);
	/* A part of what was asked for is not to be reached, nor what was there before. */
	if (!rc)
		vfio_count(&host->counters.binds, 1);
	else if (pasid == VTD_NO_PASID)
		vfio_shadow_set_nothing(host, shadow);
	if (!rc && binding->type == VTD_BIND_PT)
		set_identity(host, true);
	return rc;
}

int vfio_type1_unbind(struct vfio_host *host, uint32_t pasid)
{
	int rc;

	if (pasid != VTD_NO_PASID)
		return 0;
	set_identity(host, false);
	rc = vfio_shadow_set_nothing(host, host->type1->shadow);
	if (!rc)
		vfio_count(&host->counters.unbinds, 1);
	return rc;
}

void vfio_type1_invalidate(struct vfio_host *host, const struct vtd_host_invalidation *list,
			   unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		vfio_ranges_add(&host->type1->ranges, list[i].address, list[i].pages, list[i].leaf);
}

int vfio_type1_flush(struct vfio_host *host)
{
	struct vfio_type1 *type1 = host->type1;
	int rc = vfio_shadow_update(host, type1->shadow, &type1->ranges);

	vfio_ranges_clear(&type1->ranges);
	return rc;
}
