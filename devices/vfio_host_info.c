/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host's unit and the device can do together, and why not more.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "devices/base.h"
#include "devices/vfio_host.h"
#include "devices/vfio_uapi.h"
#include "viommu/spec.h"

/* --- The configuration space --- */

static uint32_t read_config(struct vfio_host *host, uint64_t base, unsigned int offset)
{
	uint8_t bytes[4];

	if (host->kernel->pread(host->kernel->context, host->device->fd, bytes, sizeof(bytes),
				base + offset) != sizeof(bytes))
		return 0;
	return load_le32(bytes);
}

uint64_t vfio_extended_capabilities(struct vfio_host *host)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };
	unsigned int offset = PCI_CFG_SPACE_SIZE;
	uint64_t found = 0;

	if (vfio_ioctl(host, host->device->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 ||
	    info.size < PCI_CFG_SPACE_EXP_SIZE)
		return 0;
	/* As many as have room: each takes two words at least, so a loop ends too. */
	for (unsigned int i = 0; i < (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8; i++) {
		uint32_t header = read_config(host, info.offset, offset);

		if (!header || header == UINT32_MAX)
			break;
		if (PCI_EXT_CAP_ID(header) < 64)
			found |= UINT64_C(1) << PCI_EXT_CAP_ID(header);
		offset = PCI_EXT_CAP_NEXT(header);
		if (offset < PCI_CFG_SPACE_SIZE)
			break;
	}
	return found;
}

static bool has(uint64_t capabilities, unsigned int id)
{
	return capabilities >> id & 1;
}

/* --- Nesting --- */

/* The way taken, in words. */
__attribute__((format(printf, 2, 3))) static void say(struct vfio_device *device,
						      const char *format, ...)
{
	size_t used = strlen(device->path);
	va_list args;

	va_start(args, format);
	vsnprintf(device->path + used, sizeof(device->path) - used, format, args);
	va_end(args);
}

static const char *unit_name(const struct vfio_host *host)
{
	return host->unit_name[0] ? host->unit_name : "the host's unit";
}

/* What nesting needs of the host's unit (11.4.3). */
static const struct {
	uint64_t bit;
	const char *name;
} nesting_bits[] = {
	{ VTD_ECAP_SMTS, "SMTS (ECAP bit 43)" },
	{ VTD_ECAP_NEST, "NEST (ECAP bit 26)" },
};

/* Tries to make a domain that others can be nested in; the kernel may refuse what the unit has. */
static int try_parent(struct vfio_host *host, uint32_t flags)
{
	uint32_t ioas, hwpt;
	int rc = vfio_iommufd_ioas(host, &ioas);

	if (rc)
		return rc;
	rc = vfio_iommufd_paging(host, ioas, flags, &hwpt);
	if (!rc)
		vfio_iommufd_destroy(host, hwpt);
	vfio_iommufd_destroy(host, ioas);
	return rc;
}

/* True if nesting works; @reason says why not. */
static bool can_nest(struct vfio_host *host, uint32_t type, char *reason, size_t size)
{
	uint64_t ecap = host->device->host_ecap;
	int rc;

	if (type != UAPI_IOMMU_HW_INFO_TYPE_INTEL_VTD) {
		snprintf(reason, size, "the host's IOMMU is not a VT-d (type %u)", type);
		return false;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(nesting_bits); i++) {
		if (ecap & nesting_bits[i].bit)
			continue;
		snprintf(reason, size, "%s has no %s", unit_name(host), nesting_bits[i].name);
		return false;
	}
	rc = try_parent(host, UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT);
	if (!rc)
		return true;
	snprintf(reason, size,
		 "the host's kernel makes no nesting parent (%s): is scalable mode on there "
		 "(intel_iommu=on,sm_on)?",
		 strerror(-rc));
	return false;
}

int vfio_check_width(const struct vfio_host *host, char *error, size_t size)
{
	uint64_t cap = host->device->host_cap, end = ram_end(host->context->ram);
	unsigned int bits = (unsigned int)vtd_get(cap, VTD_CAP_MGAW) + 1;

	if (!cap || bits >= 64 || !((end - 1) >> bits))
		return 0;
	return vfio_error(-ERANGE, error, size,
			  "vfio %s: the guest's memory ends at %#llx, beyond the %u address bits "
			  "of %s (MGAW); give it less",
			  host->device->name, (unsigned long long)end, bits, unit_name(host));
}

/* --- PASIDs and page requests --- */

static void find_pasids(struct vfio_host *host, const struct uapi_iommu_hw_info *info)
{
	struct vfio_device *device = host->device;
	uint32_t nest = device->nested ? UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT : 0;
	unsigned int bits = info->out_max_pasid_log2;

	if (!bits) {
		say(device, "; no PASIDs: %s%s",
		    device->host_ecap & VTD_ECAP_PASID ? "the device" : unit_name(host),
		    device->host_ecap & VTD_ECAP_PASID ? " has none" : " has no PASID (bit 40)");
		return;
	}
	if (try_parent(host, nest | UAPI_IOMMU_HWPT_ALLOC_PASID)) {
		say(device, "; no PASIDs: the host's kernel cannot attach them (before 6.15)");
		return;
	}
	host->pasid_api = true;
	device->pasid_bits = bits < VTD_PASID_BITS ? bits : VTD_PASID_BITS;
	/* PCI_PASID_EXEC is of no use: no nested domain lets execute requests through. */
	device->pasid_priv = info->out_capabilities & UAPI_IOMMU_HW_CAP_PCI_PASID_PRIV;
	say(device, "; %u bits of PASID", device->pasid_bits);
}

/* Page requests need nested domains: others are the kernel's to answer. */
static void find_requests(struct vfio_host *host, const struct uapi_iommu_hw_info *info)
{
	struct vfio_device *device = host->device;
	uint64_t capabilities = vfio_extended_capabilities(host);

	device->ats = has(capabilities, PCI_EXT_CAP_ID_ATS) &&
		      !(info->out_capabilities & UAPI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED) &&
		      device->host_ecap & VTD_ECAP_DT;
	device->pri = device->ats && device->nested && has(capabilities, PCI_EXT_CAP_ID_PRI) &&
		      device->host_ecap & VTD_ECAP_PRS;
	if (device->pri)
		say(device, "; page requests");
}

int vfio_host_info(struct vfio_host *host, enum vfio_nested nested, char *error, size_t size)
{
	struct vfio_device *device = host->device;
	struct uapi_iommu_hw_info_vtd vtd = { 0 };
	struct uapi_iommu_hw_info info = {
		.size = sizeof(info),
		.dev_id = host->dev_id,
		.data_len = sizeof(vtd),
		.data_uptr = (uintptr_t)&vtd,
	};
	char reason[128] = "nested=off";
	int rc = vfio_ioctl(host, host->context->iommufd, UAPI_IOMMU_GET_HW_INFO, &info);

	if (rc < 0)
		return vfio_error(rc, error, size,
				  "vfio %s: the host says nothing of its IOMMU: %s", device->name,
				  strerror(-rc));
	if (info.out_data_type == UAPI_IOMMU_HW_INFO_TYPE_INTEL_VTD) {
		device->host_cap = vtd.cap_reg;
		device->host_ecap = vtd.ecap_reg;
	}
	device->nested = nested != VFIO_NESTED_OFF &&
			 can_nest(host, info.out_data_type, reason, sizeof(reason));
	if (!device->nested && nested == VFIO_NESTED_ON)
		return vfio_error(-EOPNOTSUPP, error, size, "vfio %s: cannot be nested: %s",
				  device->name, reason);
	if (device->nested)
		say(device, "iommufd, nested in %s", unit_name(host));
	else
		say(device, "iommufd, shadowed (second stage only): %s", reason);
	find_pasids(host, &info);
	find_requests(host, &info);
	return 0;
}
