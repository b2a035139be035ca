// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `nidus caps` asks of the host's IOMMU, VFIO and iommufd: all of it is for pass-through only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/base.h"
#include "viommu/spec.h"
#include "vmm/caps.h"
#include "vmm/hostfile.h"

static const struct {
	uint64_t bit; /* of the extended capability register */
	const char *name;
	const char *use;
} ecap_bits[] = {
	{ VTD_ECAP_SMTS, "scalable", "scalable mode (ECAP.SMTS)" },
	{ VTD_ECAP_NEST, "nesting", "nested translation in hardware (ECAP.NEST)" },
	{ VTD_ECAP_PASID, "pasid", "PASIDs (ECAP.PASID)" },
	{ VTD_ECAP_PRS, "page-requests", "page requests (ECAP.PRS)" },
	{ VTD_ECAP_DT, "device-tlbs", "device-TLBs (ECAP.DT)" },
	{ VTD_ECAP_IR, "ir", "interrupt remapping (ECAP.IR)" },
	{ VTD_ECAP_SC, "snoop", "snoop control (ECAP.SC)" },
};

/* Without which the host's kernel nests nothing, most basic first. */
static const struct {
	uint64_t bit;
	const char *name;
} nesting_bits[] = {
	{ VTD_ECAP_SMTS, "SMTS (bit 43)" },
	{ VTD_ECAP_NEST, "NEST (bit 26)" },
};

/* The unit as a whole: whether tables of guests can be nested in it, or which bit prevents that. */
static void probe_nesting(struct caps *caps, const char *unit, uint64_t cap_register, uint64_t ecap)
{
	struct cap *cap = caps_add(caps, unit, false);

	for (size_t i = 0; i < ARRAY_SIZE(nesting_bits); i++) {
		if (ecap & nesting_bits[i].bit)
			continue;
		cap_no(cap,
		       "use a machine whose VT-d has it; devices are passed with shadow tables",
		       "guests cannot be nested: ECAP has no %s; cap %#" PRIx64 ", ecap %#" PRIx64,
		       nesting_bits[i].name, cap_register, ecap);
		return;
	}
	cap_yes(cap, "guests can be nested; cap %#" PRIx64 ", ecap %#" PRIx64, cap_register, ecap);
}

static void probe_unit(struct caps *caps, const struct caps_host *host, const char *unit)
{
	uint64_t cap_register, ecap;
	char name[64];

	if (hostfile_hex(host->root, &cap_register, "/sys/class/iommu/%s/intel-iommu/cap", unit) ||
	    hostfile_hex(host->root, &ecap, "/sys/class/iommu/%s/intel-iommu/ecap", unit)) {
		snprintf(name, sizeof(name), "%.16s", unit);
		cap_no(caps_add(caps, name, false),
		       "use a machine with VT-d; devices are passed with shadow tables",
		       "guests cannot be nested: it is no VT-d unit, or does not say what it can");
		return;
	}
	probe_nesting(caps, unit, cap_register, ecap);
	for (size_t i = 0; i < ARRAY_SIZE(ecap_bits); i++) {
		struct cap *cap;

		snprintf(name, sizeof(name), "%.16s-%s", unit, ecap_bits[i].name);
		cap = caps_add(caps, name, false);
		if (ecap & ecap_bits[i].bit)
			cap_yes(cap, "%s", ecap_bits[i].use);
		else
			cap_no(cap, "use a machine whose VT-d has it", "no %s", ecap_bits[i].use);
	}
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void probe_units(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "iommu-units", false);
	struct dirent **entries;
	char path[PATH_MAX];
	int count;

	snprintf(path, sizeof(path), "%s/sys/class/iommu", host->root);
	count = scandir(path, &entries, is_visible, by_name);
	if (count <= 0) {
		cap_no(cap,
		       "enable VT-d or AMD-Vi in the firmware and boot with intel_iommu=on (Intel)",
		       "no IOMMU is in use");
		if (!count)
			free(entries);
		return;
	}
	cap_yes(cap, "%d: %s%s", count, entries[0]->d_name, count > 1 ? " and more" : "");
	for (int i = 0; i < count; i++) {
		probe_unit(caps, host, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static void probe_groups(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "iommu-groups", false);
	unsigned int count = hostfile_count(host->root, "/sys/kernel/iommu_groups");

	if (count)
		cap_yes(cap, "%u", count);
	else
		cap_no(cap, "see iommu-units", "no device is behind an IOMMU");
}

static void probe_iommufd(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "iommufd", false);
	int fd = caps_open(host, "/dev/iommu", O_RDWR);

	if (fd >= 0) {
		close(fd);
		cap_yes(cap, "/dev/iommu");
	} else if (fd == -EACCES || fd == -EPERM) {
		cap_no(cap, "give your user access: sudo chown $USER /dev/iommu", "/dev/iommu: %s",
		       strerror(-fd));
	} else {
		cap_no(cap,
		       "boot a kernel with CONFIG_IOMMUFD (Debian's have it off), or sudo modprobe "
		       "iommufd",
		       "/dev/iommu: %s", strerror(-fd));
	}
}

static void probe_vfio(struct caps *caps, const struct caps_host *host)
{
	unsigned int cdevs = hostfile_count(host->root, "/dev/vfio/devices");
	unsigned int groups = hostfile_count(host->root, "/dev/vfio");
	struct cap *cap = caps_add(caps, "vfio-cdevs", false);

	if (cdevs)
		cap_yes(cap, "%u in /dev/vfio/devices", cdevs);
	else
		cap_no(cap,
		       "bind a device to vfio-pci on a kernel with CONFIG_VFIO_DEVICE_CDEV, which "
		       "needs iommufd",
		       "/dev/vfio/devices has none");
	/* "vfio" and "devices" are no groups. */
	groups -= hostfile_exists(host->root, "/dev/vfio/vfio");
	groups -= hostfile_exists(host->root, "/dev/vfio/devices");
	cap = caps_add(caps, "vfio-groups", false);
	if (groups)
		cap_yes(cap, "%u in /dev/vfio", groups);
	else
		cap_no(cap, "bind a device to vfio-pci", "/dev/vfio has none");
}

void caps_probe_iommu(struct caps *caps, const struct caps_host *host)
{
	probe_units(caps, host);
	probe_groups(caps, host);
	probe_iommufd(caps, host);
	probe_vfio(caps, host);
}
