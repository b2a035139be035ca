/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a VM: acquire and build, drop, run, end.
 *
 * Everything that has to be set up is a step in one table. If a step fails, or when the VM has
 * ended, the steps that were taken are undone in reverse order: there is no other teardown.
 */
#include "vmm/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/loop.h"
#include "vmm/exit.h"
#include "vmm/iommu.h"
#include "vmm/kernel.h"
#include "vmm/layout.h"
#include "vmm/monitor.h"
#include "vmm/peripherals.h"
#include "vmm/ports.h"
#include "vmm/restart.h"
#include "vmm/run.h"

#define LOOP_DEPTH 1024

/* --- How it ends --- */

void machine_end(struct machine *machine, enum machine_end reason, unsigned int status)
{
	uint64_t end = (uint64_t)status << 32 | reason;
	uint64_t old = MACHINE_RUNNING;
	uint64_t one = 1;

	/* A reset that restarts is no end: what ends the machine meanwhile takes its place. */
	while (!__atomic_compare_exchange_n(&machine->end, &old, end, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED))
		if (old != MACHINE_RUNNING &&
		    (!restart_is_under_way(machine, old) || reason == MACHINE_RESET))
			return;
	/* The counter cannot be full: it is written once for each end. */
	if (write(machine->end_event, &one, sizeof(one)) < 0)
		log_error(VMM, "the end could not be announced: %s", strerror(errno));
}

static int exit_code(const struct machine *machine)
{
	uint64_t end = __atomic_load_n(&machine->end, __ATOMIC_ACQUIRE);
	unsigned int status = (unsigned int)(end >> 32);

	switch ((enum machine_end)(uint32_t)end) {
	case MACHINE_POWEROFF:
		return NIDUS_EXIT_POWEROFF;
	case MACHINE_RESET:
		return NIDUS_EXIT_RESET;
	case MACHINE_EXIT_PORT:
		return (int)(status & 0xff);
	case MACHINE_CRASH:
		return NIDUS_EXIT_CRASH;
	case MACHINE_STOPPED:
		return NIDUS_EXIT_STOPPED;
	case MACHINE_SIGNAL:
		return NIDUS_EXIT_SIGNAL + (int)status;
	case MACHINE_RUNNING:
	case MACHINE_ERROR:
		break;
	}
	return NIDUS_EXIT_FAILURE;
}

/* --- Steps --- */

/* As many as we may: each queue and each interrupt of a device takes one. Where that is too few,
 * the device that goes without says so. */
static int open_files_raise(struct machine *machine)
{
	struct rlimit limit;

	(void)machine;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return 0;
}

static int event_create(struct machine *machine)
{
	machine->end_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return machine->end_event < 0 ? -errno : 0;
}

static void event_close(struct machine *machine)
{
	close(machine->end_event);
}

static int buses_create(struct machine *machine)
{
	bus_init(&machine->mmio);
	bus_init(&machine->pio);
	return 0;
}

static void buses_destroy(struct machine *machine)
{
	bus_destroy(&machine->pio);
	bus_destroy(&machine->mmio);
}

static int event_loop_create(struct machine *machine)
{
	int rc;

	machine->loop = loop_create(LOOP_DEPTH);
	if (machine->loop)
		return 0;
	rc = -errno;
	log_error(VMM, "io_uring: %s; see /proc/sys/kernel/io_uring_disabled, and ulimit -l",
		  strerror(-rc));
	return rc;
}

static void event_loop_destroy(struct machine *machine)
{
	loop_destroy(machine->loop);
	machine->loop = NULL;
}

static int pci_create(struct machine *machine)
{
	uint64_t high_ram = machine->ram.count > 1 ? machine->ram.slot[1].size : 0;
	struct pci_windows windows = {
		.ecam_base = LAYOUT_ECAM_BASE,
		.mem32_base = LAYOUT_MEM32_BASE,
		.mem32_size = LAYOUT_MEM32_SIZE,
		.mem64_base = layout_mem64_base(high_ram),
		.mem64_size = layout_mem64_size(high_ram, machine->cpu.phys_bits),
		.io_base = LAYOUT_PCI_IO_BASE,
		.io_size = LAYOUT_PCI_IO_SIZE,
		.gsi_base = LAYOUT_INTX_GSI_BASE,
		.gsi_count = LAYOUT_INTX_GSI_COUNT,
	};

	return pci_host_init(&machine->pci, machine, &machine->ram, &machine->mmio, &machine->pio,
			     &windows);
}

static void pci_destroy(struct machine *machine)
{
	pci_host_destroy(&machine->pci);
}

static int resources_assign(struct machine *machine)
{
	int rc = pci_host_assign(&machine->pci);

	if (rc)
		log_error(PCI, "the BARs of all devices do not fit into the PCI windows");
	return rc;
}

static int vcpus_create(struct machine *machine)
{
	for (unsigned int i = 0; i < machine->config->cpus; i++) {
		int rc = vcpu_create(machine, i);

		if (!rc)
			continue;
		while (i-- > 0)
			vcpu_destroy(&machine->vcpu[i]);
		return rc;
	}
	return 0;
}

static void vcpus_destroy(struct machine *machine)
{
	for (unsigned int i = machine->config->cpus; i-- > 0;)
		vcpu_destroy(&machine->vcpu[i]);
}

struct step {
	const char *name;
	int (*take)(struct machine *machine);
	void (*undo)(struct machine *machine);
	enum nidus_exit failure; /* whose fault it is, usually, if the step cannot be taken */
};

static const struct step steps[] = {
	{ "open files", open_files_raise, NULL, NIDUS_EXIT_FAILURE },
	{ "end event", event_create, event_close, NIDUS_EXIT_FAILURE },
	{ "KVM", kvm_acquire, kvm_release, NIDUS_EXIT_FAILURE },
	{ "memory", memory_acquire, memory_release, NIDUS_EXIT_USAGE },
	{ "memory slots", kvm_set_memory, NULL, NIDUS_EXIT_FAILURE },
	{ "buses", buses_create, buses_destroy, NIDUS_EXIT_FAILURE },
	{ "interrupt routes", irq_init, irq_destroy, NIDUS_EXIT_FAILURE },
	{ "IOAPIC", ioapic_init, ioapic_destroy, NIDUS_EXIT_FAILURE },
	{ "event loop", event_loop_create, event_loop_destroy, NIDUS_EXIT_FAILURE },
	{ "PCI host", pci_create, pci_destroy, NIDUS_EXIT_FAILURE },
	{ "remapping units", iommu_create, iommu_destroy, NIDUS_EXIT_FAILURE },
	{ "peripherals", peripherals_create, peripherals_destroy, NIDUS_EXIT_USAGE },
	{ "ports", ports_init, NULL, NIDUS_EXIT_USAGE },
	{ "PCI resources", resources_assign, NULL, NIDUS_EXIT_USAGE },
	{ "vCPUs", vcpus_create, vcpus_destroy, NIDUS_EXIT_FAILURE },
	{ "restarts", restart_init, restart_destroy, NIDUS_EXIT_FAILURE },
	{ "kernel", kernel_load, kernel_close, NIDUS_EXIT_USAGE },
	{ "control socket", monitor_open, monitor_close, NIDUS_EXIT_USAGE },
};

static void undo(struct machine *machine, unsigned int taken)
{
	while (taken-- > 0)
		if (steps[taken].undo)
			steps[taken].undo(machine);
}

/* The host has run out of something, which is nobody's bad option but --memory's. */
static bool is_exhausted(const struct step *step, int rc)
{
	return step->take != memory_acquire && (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE);
}

/*
 * Takes all steps, or none. Each step says itself what is wrong, in one line; that memory is short
 * is said here.
 */
static enum nidus_exit build(struct machine *machine)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		int rc = steps[i].take(machine);

		if (!rc)
			continue;
		log_debug(VMM, "%s: cannot be set up: %s", steps[i].name, strerror(-rc));
		if (rc == -ENOMEM && steps[i].take != memory_acquire)
			log_error(VMM, "%s: the host is out of memory", steps[i].name);
		undo(machine, i);
		return is_exhausted(&steps[i], rc) ? NIDUS_EXIT_FAILURE : steps[i].failure;
	}
	return NIDUS_EXIT_POWEROFF;
}

int vm_run(const struct vm_config *config)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int code;

	if (!machine)
		return NIDUS_EXIT_FAILURE;
	machine->config = config;
	clock_gettime(CLOCK_MONOTONIC, &machine->started);
	code = (int)build(machine);
	if (!code) {
		run(machine);
		code = exit_code(machine);
		undo(machine, ARRAY_SIZE(steps));
	}
	free(machine);
	return code;
}
