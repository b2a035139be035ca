/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM's DMA context and the devices in it: opening, attaching, closing. See vfio_host.h.
 */
#include "devices/vfio_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_host_type1.h"
#include "devices/vfio_uapi.h"
#include "viommu/spec.h"

#define MOST_DEVICES 64 /* one bit each */

int vfio_error(int rc, char *error, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return rc;
}

const char *vfio_remedy(int rc)
{
	return rc == -EACCES || rc == -EPERM ? ": this user may not open it (chown it, or be root)"
					     : "";
}

int vfio_needs_token(const char *name, char *error, size_t size)
{
	return vfio_error(-EACCES, error, size,
			  "vfio %s: it is a VF whose PF vfio-pci has, or a PF with VFs, and the "
			  "host wants a token, which nobody has; give the PF to its own driver",
			  name);
}

/* --- Context --- */

int vfio_context_open(struct vfio_context **to, const struct ram *ram, struct loop *loop,
		      const struct vfio_context_options *options, char *error, size_t size)
{
	struct vfio_context *context = calloc(1, sizeof(*context));

	*to = NULL;
	if (!context)
		return vfio_error(-ENOMEM, error, size, "vfio: out of memory");
	context->kernel = options->kernel ? options->kernel : &vfio_kernel;
	context->ram = ram;
	context->loop = loop;
	context->quota = options->pasid_quota ? options->pasid_quota : VFIO_PASID_QUOTA;
	context->iommufd = options->iommufd;
	if (context->iommufd < 0)
		context->iommufd =
			context->kernel->open(context->kernel->context, "/dev/iommu", O_RDWR);
	/* Not there: the first device says what that means. */
	if (context->iommufd < 0 && context->iommufd != -ENOENT && context->iommufd != -ENODEV) {
		int rc = context->iommufd;

		free(context);
		return vfio_error(rc, error, size, "vfio: /dev/iommu: %s%s", strerror(-rc),
				  vfio_remedy(rc));
	}
	pthread_mutex_init(&context->lock, NULL);
	*to = context;
	return 0;
}

void vfio_context_stop(struct vfio_context *context)
{
	vfio_faults_stop(context);
}

void vfio_context_close(struct vfio_context *context)
{
	if (!context)
		return;
	vfio_faults_close(context);
	vfio_domains_close(context);
	/* The kernel destroys all that is left. */
	if (context->iommufd >= 0)
		context->kernel->close(context->kernel->context, context->iommufd);
	pthread_mutex_destroy(&context->lock);
	free(context);
}

/* --- Opening a device --- */

static int bind_iommufd(struct vfio_host *host, char *error, size_t size)
{
	const char *name = host->device->name;
	struct uapi_vfio_device_bind_iommufd cmd = { .argsz = sizeof(cmd),
						     .iommufd = host->context->iommufd };
	int rc = vfio_ioctl(host, host->device->fd, UAPI_VFIO_DEVICE_BIND_IOMMUFD, &cmd);

	host->dev_id = cmd.out_devid;
	if (rc >= 0)
		return 0;
	if (rc == -EPERM)
		return vfio_error(rc, error, size,
				  "vfio %s: the host cannot isolate its interrupts (no interrupt "
				  "remapping); iommufd.allow_unsafe_interrupts=1 accepts that the "
				  "guest may forge them",
				  name);
	if (rc == -EBUSY)
		return vfio_error(rc, error, size,
				  "vfio %s: a driver of the host, or another program, has a device "
				  "of its IOMMU group: all must be bound to vfio-pci, see "
				  "/sys/bus/pci/devices/%s/iommu_group/devices",
				  name, host->address[0] ? host->address : "...");
	if (rc == -EACCES)
		return vfio_needs_token(name, error, size);
	return vfio_error(rc, error, size, "vfio %s: not bound to iommufd: %s", name,
			  strerror(-rc));
}

static int open_iommufd(struct vfio_host *host, const struct vfio_device_options *options,
			const struct vfio_place *place, char *error, size_t size)
{
	const struct vfio_kernel *kernel = host->kernel;
	struct vfio_device *device = host->device;
	int rc;

	device->backend = VFIO_IOMMUFD;
	device->fd = options->fd;
	if (device->fd < 0)
		device->fd = kernel->open(kernel->context, place->cdev, O_RDWR);
	if (device->fd < 0)
		return vfio_error(device->fd, error, size, "vfio %s: %s: %s%s", device->name,
				  place->cdev, strerror(-device->fd), vfio_remedy(device->fd));
	rc = bind_iommufd(host, error, size);
	return rc ? rc : vfio_host_info(host, options->nested, error, size);
}

static int open_type1(struct vfio_host *host, const struct vfio_device_options *options,
		      const struct vfio_place *place, char *error, size_t size)
{
	struct vfio_device *device = host->device;
	const char *missing = host->context->iommufd < 0
				      ? "iommufd (CONFIG_IOMMUFD)"
				      : "VFIO device files (CONFIG_VFIO_DEVICE_CDEV)";

	if (options->nested == VFIO_NESTED_ON || !options->device)
		return vfio_error(-EOPNOTSUPP, error, size, "vfio %s: the host's kernel has no %s",
				  device->name, missing);
	device->backend = VFIO_TYPE1;
	snprintf(device->path, sizeof(device->path),
		 "type1, shadowed: the host's kernel has no %s; no first stage, PASIDs or page "
		 "requests, and a system call for each mapping",
		 missing);
	return vfio_type1_open(host, place, error, size);
}

static int get_info(struct vfio_host *host, char *error, size_t size)
{
	struct vfio_device *device = host->device;
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int rc = vfio_ioctl(host, device->fd, VFIO_DEVICE_GET_INFO, &info);

	if (rc < 0)
		return vfio_error(rc, error, size, "vfio %s: %s", device->name, strerror(-rc));
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI))
		return vfio_error(-ENODEV, error, size, "vfio %s: it is no PCI device",
				  device->name);
	device->reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	device->num_regions = info.num_regions;
	device->num_irqs = info.num_irqs;
	return 0;
}

static int open_device(struct vfio_host *host, const struct vfio_device_options *options,
		       char *error, size_t size)
{
	struct vfio_place place = { .group = -1 };
	int rc = 0;

	if (options->fd < 0)
		rc = vfio_find(host->kernel, options->device, &place, error, size);
	else
		place.group = vfio_find_group(host->kernel, options->fd);
	if (rc)
		return rc;
	snprintf(host->address, sizeof(host->address), "%s", place.address);
	snprintf(host->unit_name, sizeof(host->unit_name), "%s", place.unit);
	host->group = place.group;
	if (host->context->iommufd >= 0 && (options->fd >= 0 || place.cdev[0]))
		rc = open_iommufd(host, options, &place, error, size);
	else
		rc = open_type1(host, options, &place, error, size);
	return rc ? rc : get_info(host, error, size);
}

/* Adds it to the VM's devices. False if there are too many. */
static bool link_host(struct vfio_host *host)
{
	struct vfio_context *context = host->context;
	uint64_t taken = 0;

	pthread_mutex_lock(&context->lock);
	for (const struct vfio_host *other = context->hosts; other; other = other->next)
		taken |= other->bit;
	host->bit = ~taken & (taken + 1); /* the lowest that is free, or none */
	host->next = context->hosts;
	context->hosts = host;
	pthread_mutex_unlock(&context->lock);
	return host->bit;
}

int vfio_device_open(struct vfio_context *context, const struct vfio_device_options *options,
		     struct vfio_device *device, char *error, size_t size)
{
	struct vfio_host *host = calloc(1, sizeof(*host));
	int rc;

	*device = (struct vfio_device){ .context = context, .fd = -1, .backend_data = host };
	snprintf(device->name, sizeof(device->name), "%s", options->name);
	if (!host)
		return vfio_error(-ENOMEM, error, size, "vfio %s: out of memory", device->name);
	host->device = device;
	host->context = context;
	host->kernel = context->kernel;
	if (link_host(host))
		rc = open_device(host, options, error, size);
	else
		rc = vfio_error(-ENOSPC, error, size,
				"vfio %s: %u devices are passed already, and no more can be",
				device->name, MOST_DEVICES);
	if (rc)
		vfio_device_close(device);
	return rc;
}

static void unlink_host(struct vfio_host *host)
{
	struct vfio_host **at = &host->context->hosts;

	pthread_mutex_lock(&host->context->lock);
	while (*at != host)
		at = &(*at)->next;
	*at = host->next;
	for (struct vfio_domain **pending = &host->context->pending; *pending;)
		pending = vfio_domain_settle(pending, host->bit);
	pthread_mutex_unlock(&host->context->lock);
}

void vfio_device_close(struct vfio_device *device)
{
	struct vfio_host *host = device->backend_data;

	if (!host)
		return;
	vfio_host_unbind_all(host);
	vfio_faults_forget(host);
	unlink_host(host);
	if (device->fd >= 0)
		host->kernel->close(host->kernel->context, device->fd);
	if (host->type1)
		vfio_type1_close(host);
	free(host);
	device->fd = -1;
	device->backend_data = NULL;
}

/* --- Attaching --- */

/* Nobody keeps the guest's first stage, nor flags in its second one, if it is shadowed. */
#define NOT_SHADOWED (VTD_ECAP_FSTS | VTD_ECAP_NEST | VTD_ECAP_PRS | VTD_ECAP_SRS | VTD_ECAP_EAFS)

static void fill_ops(struct vfio_host *host)
{
	const struct vfio_device *device = host->device;

	host->ops = (struct vtd_host_ops){
		.bind = vfio_host_bind,
		.unbind = vfio_host_unbind,
		.invalidate = vfio_host_invalidate,
		.flush = vfio_host_flush,
		.respond = vfio_host_respond,
		.cap = device->host_cap,
		.ecap = (device->nested ? device->host_ecap : ~NOT_SHADOWED) & ~VTD_ECAP_SSADS,
		.pasid_bits = device->pasid_bits,
	};
}

/* What has to be there before anything is bound. */
static int prepare(struct vfio_host *host, char *error, size_t size)
{
	int rc;

	if (host->type1)
		return vfio_check_memlock(host, error, size);
	rc = vfio_check_width(host, error, size);
	if (rc)
		return rc;
	pthread_mutex_lock(&host->context->lock);
	rc = vfio_domain_parent(host, error, size);
	pthread_mutex_unlock(&host->context->lock);
	return rc;
}

static int attach_to_unit(struct vfio_host *host, struct vtd_unit *unit,
			  struct vtd_requester *requester, char *error, size_t size)
{
	const char *name = host->device->name;
	int rc;

	host->unit = unit;
	host->requester = requester;
	rc = host->device->pri ? vfio_faults_open(host) : 0;
	if (rc)
		return vfio_error(rc, error, size, "vfio %s: no queue for page requests: %s", name,
				  strerror(-rc));
	fill_ops(host);
	rc = vtd_set_host(unit, requester, &host->ops, host);
	return rc ? vfio_error(rc, error, size, "vfio %s: cannot be attached: %s", name,
			       strerror(-rc))
		  : 0;
}

int vfio_device_attach(struct vfio_device *device, struct vtd_unit *unit,
		       struct vtd_requester *requester, char *error, size_t size)
{
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	struct vfio_host *host = device->backend_data;
	int rc = vfio_check_group(host, unit, error, size);

	if (!rc)
		rc = prepare(host, error, size);
	if (rc)
		return rc;
	if (unit)
		return attach_to_unit(host, unit, requester, error, size);
	rc = vfio_host_bind(host, VTD_NO_PASID, &identity);
	return rc ? vfio_error(
			    rc, error, size, "vfio %s: guest memory cannot be attached: %s%s",
			    device->name, strerror(-rc),
			    rc == -EINVAL || rc == -EADDRINUSE
				    ? " (reserved addresses, or more bits than the host's unit has)"
				    : "")
		  : 0;
}

void vfio_device_answer_faults(struct vfio_device *device)
{
	struct vfio_host *host = device->backend_data;

	if (!host->unit || !device->pri)
		return;
	vfio_faults_answer_all(host);
}

int vfio_device_give_back(struct vfio_device *device, int (*replace)(void *context), void *context)
{
	return vfio_faults_give_back(device->backend_data, replace, context);
}

/* --- Counters --- */

struct vfio_host_counters vfio_host_counters(const struct vfio_device *device)
{
	const struct vfio_host *host = device->backend_data;
	const uint64_t *from = (const uint64_t *)&host->counters;
	struct vfio_host_counters counters = { 0 };
	uint64_t *to = (uint64_t *)&counters;

	_Static_assert(sizeof(counters) % sizeof(*to) == 0, "nothing but counters");
	for (size_t i = 0; i < sizeof(counters) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	return counters;
}
