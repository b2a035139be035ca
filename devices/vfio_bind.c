/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives a device of the host to vfio-pci and back: what `nidus vfio bind|unbind` does, by the files
 * of sysfs (Documentation/ABI/testing/sysfs-bus-pci). It lasts until the next boot.
 *
 * driver_override goes first, for then nobody else takes the device when it is free.
 */
#include "devices/vfio_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/vfio.h"
#include "devices/vfio_host.h"

#define DRIVER "vfio-pci"

static int write_file(const struct vfio_kernel *kernel, const char *path, const char *text,
		      char *error, size_t size)
{
	int fd = kernel->open(kernel->context, path, O_WRONLY);
	ssize_t n = fd;

	if (fd >= 0) {
		n = kernel->write(kernel->context, fd, text, strlen(text));
		kernel->close(kernel->context, fd);
	}
	if (n >= 0)
		return 0;
	return vfio_error((int)n, error, size, "vfio: %s: %s%s", path, strerror(-(int)n),
			  n == -EACCES || n == -EPERM ? ": this needs root" : "");
}

/* Writes @text to file @name of the device. */
static int set(const struct vfio_kernel *kernel, const struct vfio_place *place, const char *name,
	       const char *text, char *error, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", place->sysfs, name);
	return write_file(kernel, path, text, error, size);
}

/* From whatever driver it has to the one that wants it now, which ends up in @driver. */
static int rebind(const struct vfio_kernel *kernel, struct vfio_place *place, char *driver,
		  size_t driver_size, char *error, size_t size)
{
	char address[sizeof(place->address)];
	int rc = 0;

	snprintf(address, sizeof(address), "%s", place->address);
	if (driver[0])
		rc = set(kernel, place, "driver/unbind", address, error, size);
	if (!rc)
		rc = write_file(kernel, "/sys/bus/pci/drivers_probe", address, error, size);
	return rc ? rc : vfio_find_any(kernel, address, place, driver, driver_size, error, size);
}

/* To the driver that it would have by itself, where that is still possible. */
static void give_back(const struct vfio_kernel *kernel, const struct vfio_place *place)
{
	char unread[256];

	/* An empty line is none. */
	set(kernel, place, "driver_override", "\n", unread, sizeof(unread));
	write_file(kernel, "/sys/bus/pci/drivers_probe", place->address, unread, sizeof(unread));
}

/* Linux shows the bus behind a bridge as a directory of it. */
static bool is_bridge(const struct vfio_kernel *kernel, const struct vfio_place *place)
{
	char path[256], bus[32];

	snprintf(path, sizeof(path), "%s/pci_bus", place->sysfs);
	return !kernel->find(kernel->context, path, "", bus, sizeof(bus));
}

int vfio_bind_by(const struct vfio_kernel *kernel, const char *device, char *error, size_t size)
{
	struct vfio_place place;
	char driver[32], path[64];
	int rc = vfio_find_any(kernel, device, &place, driver, sizeof(driver), error, size);

	if (rc)
		return rc;
	if (!strcmp(driver, DRIVER))
		return 0;
	if (place.group < 0)
		return vfio_error(
			-ENODEV, error, size,
			"vfio %s: no IOMMU of the host is in front of it; is one there and "
			"on (intel_iommu=on)?",
			device);
	if (kernel->realpath(kernel->context, "/sys/bus/pci/drivers/" DRIVER, path, sizeof(path)))
		return vfio_error(-ENODEV, error, size,
				  "vfio %s: the host has no driver " DRIVER ": modprobe " DRIVER,
				  device);
	if (is_bridge(kernel, &place))
		return vfio_error(-EINVAL, error, size,
				  "vfio %s: it is a bridge, which " DRIVER " does not take",
				  device);
	rc = set(kernel, &place, "driver_override", DRIVER, error, size);
	if (!rc)
		rc = rebind(kernel, &place, driver, sizeof(driver), error, size);
	if (!rc && !strcmp(driver, DRIVER))
		return 0;
	give_back(kernel, &place);
	if (rc)
		return rc;
	return vfio_error(-EBUSY, error, size,
			  "vfio %s: " DRIVER " does not take it, and it was given back; dmesg says "
			  "why (what has errata that a guest could exploit, as DSA and IAX of "
			  "Sapphire Rapids, it takes when loaded with disable_denylist=1)",
			  device);
}

int vfio_unbind_by(const struct vfio_kernel *kernel, const char *device, char *error, size_t size)
{
	struct vfio_place place;
	char driver[32];
	int rc = vfio_find_any(kernel, device, &place, driver, sizeof(driver), error, size);

	if (rc)
		return rc;
	if (driver[0] && strcmp(driver, DRIVER))
		return vfio_error(-EINVAL, error, size, "vfio %s: it has driver %s, not " DRIVER,
				  device, driver);
	/* An empty line is none. */
	rc = set(kernel, &place, "driver_override", "\n", error, size);
	return rc ? rc : rebind(kernel, &place, driver, sizeof(driver), error, size);
}

/*
 * The file of the device: its own, or its group's where the kernel has none for devices; their
 * directories in sysfs are there all the same.
 */
static void device_file(const struct vfio_place *place, char *path, size_t size)
{
	if (place->cdev[0] && !access(place->cdev, F_OK))
		snprintf(path, size, "%s", place->cdev);
	else
		snprintf(path, size, "/dev/vfio/%d", place->group);
}

int vfio_device_check(const char *device, char *error, size_t size)
{
	struct vfio_place place;
	char path[64];
	int rc = vfio_find(&vfio_kernel, device, &place, error, size);

	if (rc)
		return rc;
	device_file(&place, path, sizeof(path));
	if (!faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS))
		return 0;
	rc = -errno;
	return vfio_error(rc, error, size, "vfio %s: %s: %s%s", device, path, strerror(-rc),
			  vfio_remedy(rc));
}

int vfio_bind(const char *device, char *error, size_t size)
{
	return vfio_bind_by(&vfio_kernel, device, error, size);
}

int vfio_unbind(const char *device, char *error, size_t size)
{
	return vfio_unbind_by(&vfio_kernel, device, error, size);
}

int vfio_driver(const char *device, char address[16], char driver[32], char *error, size_t size)
{
	struct vfio_place place;
	int rc = vfio_find_any(&vfio_kernel, device, &place, driver, 32, error, size);

	if (!rc)
		memcpy(address, place.address, sizeof(place.address));
	return rc;
}
