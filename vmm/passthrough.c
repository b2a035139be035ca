/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/passthrough.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio.h"
#include "vmm/iommu.h"
#include "vmm/report.h"
#include "vmm/vm.h"

#define ERROR_SIZE 512

struct passthrough {
	struct machine *machine;
	struct vfio_context *context;
	unsigned int count;
	struct passed {
		char name[16];
		bool behind; /* a unit of the guest */
		struct vfio_device device;
		struct vfio_pci *pci;
	} passed[CONFIG_VFIOS];
};

/* The way taken is told: as a warning where it is not the one that costs nothing. */
static void tell_path(const struct passed *passed)
{
	if (passed->device.nested || !passed->behind)
		log_notice(VFIO, "%s (%s): %s", passed->name, passed->device.name,
			   passed->device.path);
	else
		log_warn(VFIO, "%s (%s): %s", passed->name, passed->device.name,
			 passed->device.path);
}

/* On failure nothing of it is left, and @error says why. */
static int open_one(struct passthrough *p, unsigned int index, char error[ERROR_SIZE])
{
	const struct vfio_options *config = &p->machine->config->vfio[index];
	struct vfio_device_options options = { .device = config->device,
					       .fd = config->fd,
					       .nested = config->nested };
	struct passed *passed = &p->passed[index];
	char fd[16];
	int rc;

	snprintf(passed->name, sizeof(passed->name), "vfio%u", index);
	snprintf(fd, sizeof(fd), "fd %d", config->fd);
	passed->behind = iommu_index(p->machine->config, passed->name) >= 0;
	if (!passed->behind)
		options.nested = VFIO_NESTED_OFF;
	options.name = config->device ? config->device : fd;
	rc = vfio_device_open(p->context, &options, &passed->device, error, ERROR_SIZE);
	if (rc)
		return rc;
	if (!passed->behind)
		snprintf(passed->device.path, sizeof(passed->device.path),
			 "%s, no unit: the guest's memory is mapped as a whole",
			 passed->device.backend == VFIO_TYPE1 ? "type1" : "iommufd");
	if (p->machine->config->restart && !passed->device.reset) {
		snprintf(error, ERROR_SIZE,
			 "vfio %s: the host cannot reset this device, so its DMA could go on "
			 "after a restart of the guest; leave out --restart",
			 options.name);
		vfio_device_close(&passed->device);
		return -EINVAL;
	}
	passed->pci = vfio_pci_create(&p->machine->pci, p->machine->loop, passed->name,
				      &passed->device, error, ERROR_SIZE);
	rc = passed->pci ? vfio_pci_attach(passed->pci, error, ERROR_SIZE) : -errno;
	if (!rc)
		return 0;
	if (passed->pci)
		vfio_pci_destroy(passed->pci);
	vfio_device_close(&passed->device);
	return rc;
}

/* --- Locked memory --- */

/* As much as we may; whether that is enough is known when the devices are. */
static void raise_memlock(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (!setrlimit(RLIMIT_MEMLOCK, &limit) || getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int open_all(struct passthrough *p, char error[ERROR_SIZE])
{
	const struct vm_config *config = p->machine->config;
	const struct passthrough_shared shared = passthrough_shared(config);
	const struct vfio_context_options options = { .iommufd = shared.iommufd,
						      .pasid_quota = shared.pasid_quota };
	int rc = vfio_context_open(&p->context, &p->machine->ram, p->machine->loop, &options, error,
				   ERROR_SIZE);

	for (unsigned int i = 0; i < config->vfio_count && !rc; i++) {
		rc = open_one(p, i, error);
		if (rc)
			break;
		p->count++;
		tell_path(&p->passed[i]);
	}
	return rc;
}

int passthrough_create(struct machine *machine, struct passthrough **to)
{
	char error[ERROR_SIZE] = "";
	struct passthrough *p;
	int rc;

	*to = NULL;
	if (!machine->config->vfio_count)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->machine = machine;
	/* Guests that bind PASIDs have vCPU threads allocate: from one heap, or each thread would
	 * make its own, for which the sandbox would have to be wider. */
	mallopt(M_ARENA_MAX, 1);
	raise_memlock();
	rc = open_all(p, error);
	if (rc) {
		log_error(VMM, "--%s", error); /* "vfio 06:0d.0: ..." */
		passthrough_destroy(p);
		/* That memory is short is said of what nobody has said anything about. */
		return rc == -ENOMEM ? -EINVAL : rc;
	}
	*to = p;
	return 0;
}

void passthrough_destroy(struct passthrough *p)
{
	if (!p)
		return;
	while (p->count-- > 0) {
		vfio_pci_destroy(p->passed[p->count].pci);
		vfio_device_close(&p->passed[p->count].device);
	}
	vfio_context_close(p->context);
	free(p);
}

void passthrough_quiesce(struct passthrough *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < p->count; i++)
		vfio_pci_quiesce(p->passed[i].pci);
	vfio_context_stop(p->context);
}

static void report_one(const struct passed *passed, struct report *report)
{
	const struct vfio_host_counters host = vfio_host_counters(&passed->device);
	const struct vfio_pci_counters pci = vfio_pci_counters(passed->pci);
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "config_reads", pci.config_reads },
		{ "config_writes", pci.config_writes },
		{ "bar_exits", pci.bar_exits },
		{ "interrupts_routed", pci.interrupts_routed },
		{ "resets", pci.resets },
		{ "ioctls", host.ioctls },
		{ "binds", host.binds },
		{ "unbinds", host.unbinds },
		{ "domains", host.domains },
		{ "invalidate_calls", host.invalidate_calls },
		{ "invalidate_ranges", host.invalidate_ranges },
		{ "page_requests", host.faults },
		{ "page_responses", host.responses },
		{ "page_auto_responses", host.auto_responses },
		{ "errors", host.errors + pci.errors },
		{ "maps", host.maps },
		{ "unmaps", host.unmaps },
		{ "peer_maps", host.peer_maps },
		{ "peer_refusals", host.peer_refusals },
	};

	report_open(report, "%s", passed->name);
	report_text(report, "device", passed->device.name);
	report_text(report, "path", passed->device.path);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		report_number(report, numbers[i].name, numbers[i].value);
	report_close(report);
}

void passthrough_report(const struct passthrough *p, struct report *report)
{
	for (unsigned int i = 0; p && i < p->count; i++)
		report_one(&p->passed[i], report);
}
