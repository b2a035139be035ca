// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether the parts of a configuration agree with each other. Nothing of the host is looked at;
 * that is validate_host.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "devices/base.h"
#include "vmm/config.h"
#include "vmm/cpuid.h"
#include "vmm/iommu.h"
#include "vmm/kernel.h"
#include "vmm/passthrough.h"

static int check_memory(const struct vm_config *config, struct config_error *error)
{
	static const struct {
		uint64_t size;
		const char *name;
	} pages[] = {
		[HUGEPAGES_NONE] = { PAGE_SIZE_4K, "4K" },
		[HUGEPAGES_2M] = { 2 * MIB, "2M" },
		[HUGEPAGES_1G] = { GIB, "1G" },
	};
	uint64_t page = pages[config->hugepages].size;

	if (config->memory % page)
		return config_fail(error,
				   "--memory: %" PRIu64 "K is not a multiple of the %s pages of "
				   "hugepages=%s; take %" PRIu64 "M",
				   config->memory / KIB, pages[config->hugepages].name,
				   pages[config->hugepages].name,
				   align_up(config->memory, page) / MIB);
	return 0;
}

static int check_cpu(const struct vm_config *config, struct config_error *error)
{
	char names[900];
	const char *bad;
	size_t len;

	if (!cpuid_check_spec(config->cpu, &bad, &len))
		return 0;
	cpuid_feature_names(names, sizeof(names));
	return config_fail(error, "--cpus: cpu: '%.*s' is neither host nor -FEATURE; features: %s",
			   (int)min_u64(len, 64), bad, names);
}

static int check_streams(const struct vm_config *config, struct config_error *error)
{
	const struct stream_config *serial = &config->serial;
	const struct stream_config *console = &config->console;

	if (serial->kind == STREAM_STDIO && console->kind == STREAM_STDIO)
		return config_fail(error, "--console: 'stdio' is what --serial uses already; add "
					  "--serial off or write the console to a file");
	if (serial->kind == STREAM_FILE && console->kind == STREAM_FILE &&
	    !strcmp(serial->path, console->path))
		return config_fail(error,
				   "--console: '%.300s' is what --serial writes already; give "
				   "each its own file",
				   console->path);
	return 0;
}

/* One source, and only one: a path (or tap) or a descriptor. */
static int check_source(const char *option, unsigned int index, const char *key, const char *source,
			int fd, struct config_error *error)
{
	if (!source && fd < 0)
		return config_fail(error, "%s %u: has neither %s nor fd; give one of them", option,
				   index, key);
	if (source && fd >= 0)
		return config_fail(error, "%s %u: has both %s '%.200s' and fd %d; keep one", option,
				   index, key, source, fd);
	return 0;
}

/* Each descriptor belongs to one device. */
static int check_fds(const struct vm_config *config, struct config_error *error)
{
	int fds[CONFIG_DISKS + CONFIG_NETS + CONFIG_VFIOS + 1];
	unsigned int count = 0;

	for (unsigned int i = 0; i < config->disk_count; i++)
		fds[count++] = config->disk[i].fd;
	for (unsigned int i = 0; i < config->net_count; i++)
		fds[count++] = config->net[i].fd;
	for (unsigned int i = 0; i < config->vfio_count; i++)
		fds[count++] = config->vfio[i].fd;
	fds[count++] = passthrough_shared(config).iommufd;
	for (unsigned int i = 0; i < count; i++)
		for (unsigned int j = 0; j < i; j++)
			if (fds[i] >= 0 && fds[i] == fds[j])
				return config_fail(error,
						   "fd %d is given to two devices; pass one "
						   "descriptor for each",
						   fds[i]);
	return 0;
}

static int check_nets(const struct vm_config *config, struct config_error *error)
{
	for (unsigned int i = 0; i < config->net_count; i++) {
		const struct net_config *net = &config->net[i];

		if (check_source("--net", i, "tap", net->tap, net->fd, error))
			return -EINVAL;
		if (net->fd >= 0 && net->queues > 1)
			return config_fail(error,
					   "--net %u: queues=%u needs one descriptor a queue; use "
					   "tap=NAME, or fd=%d with queues=1",
					   i, net->queues, net->fd);
		for (unsigned int j = 0; j < i; j++) {
			const struct net_config *other = &config->net[j];

			if (net->tap && other->tap && !strcmp(net->tap, other->tap))
				return config_fail(error,
						   "--net %u: tap '%s' is used by --net %u "
						   "already; give each its own",
						   i, net->tap, j);
			if (net->has_mac && other->has_mac &&
			    !memcmp(net->mac, other->mac, sizeof(net->mac)))
				return config_fail(error,
						   "--net %u: has the mac of --net %u; give each "
						   "its own",
						   i, j);
		}
	}
	return 0;
}

static int check_vfio(const struct vm_config *config, unsigned int index,
		      const struct passthrough_shared *shared, struct config_error *error)
{
	const struct vfio_options *vfio = &config->vfio[index];
	char name[16];

	if (check_source("--vfio", index, "device", vfio->device, vfio->fd, error))
		return -EINVAL;
	if (vfio->iommufd >= 0 && vfio->iommufd != shared->iommufd)
		return config_fail(error,
				   "--vfio %u: iommufd %d is not the %d given before: all devices "
				   "share one, say it once",
				   index, vfio->iommufd, shared->iommufd);
	if (vfio->pasid_quota && vfio->pasid_quota != shared->pasid_quota)
		return config_fail(
			error,
			"--vfio %u: pasid-quota %u is not the %u given before: it is for "
			"all devices together, say it once",
			index, vfio->pasid_quota, shared->pasid_quota);
	snprintf(name, sizeof(name), "vfio%u", index);
	if (vfio->nested == VFIO_NESTED_ON && iommu_index(config, name) < 0)
		return config_fail(
			error,
			"--vfio %u: nested=on, but %s is behind no unit of the guest, so "
			"there is nothing to nest; add --vtd%s",
			index, name, config->vtd_count ? " devices=..." : "");
	for (unsigned int i = 0; i < index; i++)
		if (vfio->device && config->vfio[i].device &&
		    vfio_same_device(vfio->device, config->vfio[i].device))
			return config_fail(error,
					   "--vfio %u: '%.200s' is --vfio %u already; name each "
					   "device once",
					   index, vfio->device, i);
	return 0;
}

static int check_vfios(const struct vm_config *config, struct config_error *error)
{
	const struct passthrough_shared shared = passthrough_shared(config);

	for (unsigned int i = 0; i < config->vfio_count; i++)
		if (check_vfio(config, i, &shared, error))
			return -EINVAL;
	return 0;
}

/* Slot 0 of bus 0 is the host bridge's, and slot 31 belongs to the IOAPIC (IOAPIC_REQUESTER). */
static int check_slots(const struct vm_config *config, struct config_error *error)
{
	const unsigned int slots = 30;
	unsigned int count = config->disk_count + config->net_count + config->sdma_count +
			     config->edu_count + config->vfio_count + config->rng +
			     (config->console.kind != STREAM_OFF);

	if (count > slots)
		return config_fail(error,
				   "%u PCI devices are too many: at most %u are possible; leave "
				   "some of --disk, --net, --sdma, --edu or --vfio out",
				   count, slots);
	return 0;
}

int config_validate_rules(const struct vm_config *config, struct config_error *error)
{
	if (!config->kernel)
		return config_fail(error, "no kernel is given: name one with -k PATH, or "
					  "nidus,kernel in the manifest's /chosen");
	for (unsigned int i = 0; i < config->initrd_count; i++)
		if (!config->initrd[i].path)
			return config_fail(error, "--initrd %u: has no path; give one", i);
	for (unsigned int i = 0; i < config->disk_count; i++)
		if (check_source("--disk", i, "path", config->disk[i].path, config->disk[i].fd,
				 error))
			return -EINVAL;
	if (check_slots(config, error) || iommu_check(config, error))
		return -EINVAL;
	if (check_cpu(config, error) || check_memory(config, error) ||
	    check_streams(config, error) || check_nets(config, error) || check_vfios(config, error))
		return -EINVAL;
	return check_fds(config, error);
}

int config_validate(const struct vm_config *config, struct config_error *error)
{
	if (config_validate_rules(config, error) || config_validate_host(config, "", error))
		return -EINVAL;
	if (kernel_check(config, error->text, sizeof(error->text)))
		return -EINVAL;
	return 0;
}
