/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a user calls a device to where the host has it (Documentation/ABI/testing/sysfs-bus-pci
 * and sysfs-devices-vfio-dev); and which devices cannot be had together.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/vfio_host.h"

#define DEVICES "/sys/bus/pci/devices/"

/*
 * Takes 1 to @most hexadecimal digits and the character @end off @text. Not by sscanf(), which
 * would be a tenth of the static program.
 */
static bool take(const char **text, unsigned int most, char end, unsigned int *value)
{
	unsigned int n;

	*value = 0;
	for (n = 0; n < most && isxdigit((unsigned char)**text); n++, (*text)++) {
		unsigned int digit = (unsigned char)**text;

		*value = *value * 16 + (digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
	}
	if (!n || **text != end)
		return false;
	*text += end != '\0';
	return true;
}

static bool take_function(const char *text, unsigned int *bus, unsigned int *device,
			  unsigned int *function)
{
	return take(&text, 2, ':', bus) && take(&text, 2, '.', device) &&
	       take(&text, 1, '\0', function);
}

/* "0000:06:0d.0" from that or "06:0d.0"; some domains have five digits. False if it is neither. */
static bool canonical(const char *name, char *address, size_t size)
{
	unsigned int domain, bus, device, function;
	const char *rest = name;

	if (!take(&rest, 5, ':', &domain) || !take_function(rest, &bus, &device, &function)) {
		domain = 0;
		if (!take_function(name, &bus, &device, &function))
			return false;
	}
	if (device > 31 || function > 7)
		return false;
	snprintf(address, size, "%04x:%02x:%02x.%x", domain & 0xfffff, bus & 0xff, device,
		 function & 7);
	return true;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool vfio_same_device(const char *device, const char *other)
{
	char address[2][sizeof(((struct vfio_place *)NULL)->address)];

	return canonical(last_part(device), address[0], sizeof(address[0])) &&
	       canonical(last_part(other), address[1], sizeof(address[1])) &&
	       !strcmp(address[0], address[1]);
}

/* What the link @name of the device points to: the last part of its path. "" if there is none. */
static void link_target(const struct vfio_kernel *kernel, const struct vfio_place *place,
			const char *name, char *to, size_t size)
{
	char path[256], target[256];

	to[0] = 0;
	snprintf(path, sizeof(path), "%s/%s", place->sysfs, name);
	if (!kernel->realpath(kernel->context, path, target, sizeof(target)))
		snprintf(to, size, "%s", last_part(target));
}

static int find_directory(const struct vfio_kernel *kernel, const char *name,
			  struct vfio_place *place, char *error, size_t size)
{
	char path[256];
	int rc;

	if (canonical(name, place->address, sizeof(place->address)))
		snprintf(path, sizeof(path), DEVICES "%s", place->address);
	else if (name[0] == '/' && strlen(name) < sizeof(path))
		snprintf(path, sizeof(path), "%s", name);
	else
		return vfio_error(-EINVAL, error, size,
				  "vfio %s: neither BUS:DEVICE.FUNCTION, such as 06:0d.0, nor a "
				  "path below /sys",
				  name);
	rc = kernel->realpath(kernel->context, path, place->sysfs, sizeof(place->sysfs));
	if (rc)
		return vfio_error(rc, error, size, "vfio %s: no such device: %s: %s", name, path,
				  strerror(-rc));
	/* Nothing else is written to, whatever it is called. */
	if (strncmp(place->sysfs, "/sys/devices/", 13) ||
	    !canonical(last_part(place->sysfs), place->address, sizeof(place->address)))
		return vfio_error(-EINVAL, error, size, "vfio %s: %s is no PCI device", name,
				  place->sysfs);
	return 0;
}

/* The IOMMU group of the device whose directory is @sysfs; -1: none. */
static int find_group(const struct vfio_kernel *kernel, const char *sysfs)
{
	char path[256], target[256];

	snprintf(path, sizeof(path), "%s/iommu_group", sysfs);
	if (kernel->realpath(kernel->context, path, target, sizeof(target)) ||
	    !isdigit((unsigned char)last_part(target)[0]))
		return -1;
	return (int)strtol(last_part(target), NULL, 10);
}

int vfio_find_any(const struct vfio_kernel *kernel, const char *name, struct vfio_place *place,
		  char *driver, size_t driver_size, char *error, size_t size)
{
	char path[256], cdev[32];
	int rc;

	*place = (struct vfio_place){ .group = -1 };
	rc = find_directory(kernel, name, place, error, size);
	if (rc)
		return rc;
	link_target(kernel, place, "driver", driver, driver_size);
	link_target(kernel, place, "iommu", place->unit, sizeof(place->unit));
	place->group = find_group(kernel, place->sysfs);
	snprintf(path, sizeof(path), "%s/vfio-dev", place->sysfs);
	if (!kernel->find(kernel->context, path, "vfio", cdev, sizeof(cdev)))
		snprintf(place->cdev, sizeof(place->cdev), "/dev/vfio/devices/%s", cdev);
	return 0;
}

int vfio_find(const struct vfio_kernel *kernel, const char *name, struct vfio_place *place,
	      char *error, size_t size)
{
	char driver[32];
	int rc = vfio_find_any(kernel, name, place, driver, sizeof(driver), error, size);

	if (rc)
		return rc;
	if (place->group < 0)
		return vfio_error(
			-ENODEV, error, size,
			"vfio %s: no IOMMU of the host is in front of it; is one there and "
			"on (intel_iommu=on)?",
			name);
	/* Besides vfio-pci there are drivers for some devices, all of them named after it. */
	if (strstr(driver, "vfio"))
		return 0;
	return vfio_error(-ENODEV, error, size,
			  "vfio %s: %s%s%s; `nidus vfio bind %s` gives it to vfio-pci", name,
			  driver[0] ? "the host's driver " : "no driver is bound to it", driver,
			  driver[0] ? " is using it" : "", place->address);
}

/* --- Groups --- */

int vfio_find_group(const struct vfio_kernel *kernel, int fd)
{
	unsigned int major, minor;
	char path[64];

	if (kernel->device_number(kernel->context, fd, &major, &minor))
		return -1;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device", major, minor);
	return find_group(kernel, path);
}

/* A device of the VM that is, or may be, in @host's group; NULL: none. context->lock held. */
static const struct vfio_host *find_neighbour(const struct vfio_host *host, bool behind)
{
	const struct vfio_host *other = host->context->hosts;

	for (; other; other = other->next) {
		if (other == host || other->type1 || !(behind || other->unit))
			continue;
		if (other->group == host->group || other->group < 0 || host->group < 0)
			break;
	}
	return other;
}

/*
 * iommufd puts a domain in the place of another for a whole group, whichever member asks: each
 * would use the tables of the one that the guest has bound last, and all calls would succeed. (Of
 * type1, a group's second device is refused when it is opened.)
 */
int vfio_check_group(const struct vfio_host *host, bool behind, char *error, size_t size)
{
	const char *name = host->device->name;
	const struct vfio_host *other;

	pthread_mutex_lock(&host->context->lock);
	other = host->type1 ? NULL : find_neighbour(host, behind);
	pthread_mutex_unlock(&host->context->lock);
	if (!other)
		return 0;
	if (host->group < 0 || other->group < 0)
		return vfio_error(-EBUSY, error, size,
				  "vfio %s: the IOMMU group of %s cannot be told (is /sys there?), "
				  "and behind a unit it must not be that of %s: give the guest one "
				  "of them, or leave out --vtd",
				  name, host->group < 0 ? name : other->device->name,
				  host->group < 0 ? other->device->name : name);
	return vfio_error(-EBUSY, error, size,
			  "vfio %s: it is in IOMMU group %d with %s, and the host has one set of "
			  "tables for a group: behind a unit, give the guest one of them, or leave "
			  "both out of --vtd",
			  name, host->group, other->device->name);
}
