/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/control.h"
#include "vmm/iommu.h"
#include "vmm/peripherals.h"
#include "vmm/report.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

static double uptime(const struct machine *machine)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - machine->started.tv_sec) +
	       (double)(now.tv_nsec - machine->started.tv_nsec) / 1e9;
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void report_vcpu(struct report *report, const struct vcpu *vcpu)
{
	const struct vcpu_counters *c = &vcpu->counters;

	report_open(report, "vcpu%u", vcpu->index);
	report_number(report, "runs", get(&c->runs));
	report_number(report, "pio", get(&c->pio));
	report_number(report, "mmio", get(&c->mmio));
	report_number(report, "eoi", get(&c->eoi));
	report_number(report, "kicks", get(&c->kicks));
	report_number(report, "other", get(&c->other));
	report_close(report);
}

static void stats(void *context, FILE *out, bool json)
{
	const struct machine *machine = context;
	struct report report;

	report_begin(&report, out, json);
	report_open(&report, "vm");
	report_text(&report, "name", machine->config->name);
	report_number(&report, "pid", (uint64_t)machine->pid);
	report_number(&report, "uptime_ms", (uint64_t)(uptime(machine) * 1000));
	report_number(&report, "cpus", machine->config->cpus);
	report_number(&report, "memory", machine->memory.size);
	report_number(&report, "restarts", get(&machine->restart.count));
	report_close(&report);
	for (unsigned int i = 0; i < machine->config->cpus; i++)
		report_vcpu(&report, &machine->vcpu[i]);
	peripherals_report(machine, &report);
	iommu_report(machine, &report);
	report_end(&report);
}

static void stop(void *context)
{
	machine_end(context, MACHINE_STOPPED, 0);
}

static int reset(void *context)
{
	struct machine *machine = context;

	if (!machine->config->restart)
		return -EOPNOTSUPP;
	machine_end(machine, MACHINE_RESET, 0);
	return 0;
}

/* At most one requester is traced at a time. */
static int trace(void *context, const char *device, struct trace *lines)
{
	struct machine *machine = context;
	struct vtd_requester *requester;
	struct vtd_unit *unit;

	if (machine->traced && iommu_find(machine, machine->traced, &unit, &requester))
		vtd_trace(unit, requester, NULL, NULL);
	machine->traced = NULL;
	if (!device)
		return 0;
	if (!iommu_find(machine, device, &unit, &requester))
		return -ENOENT;
	machine->traced = vtd_requester_name(requester);
	vtd_trace(unit, requester, trace_line, lines);
	return 0;
}

static const struct control_ops control_ops = {
	.stats = stats, .stop = stop, .reset = reset, .trace = trace
};

int monitor_open(struct machine *machine)
{
	struct config_error error;

	machine->pid = getpid();
	if (!machine->config->name)
		return 0;
	machine->control = control_open(machine->config->name, &error);
	if (machine->control)
		return 0;
	log_error(CONTROL, "%s", error.text);
	return -EADDRINUSE;
}

void monitor_close(struct machine *machine)
{
	control_close(machine->control);
	machine->control = NULL;
}

int monitor_event(const struct machine *machine)
{
	return machine->control ? control_fd(machine->control) : -1;
}

void monitor_serve(struct machine *machine)
{
	control_serve(machine->control, &control_ops, machine);
}

const char *monitor_directory(const struct machine *machine)
{
	return machine->control ? control_directory(machine->control) : NULL;
}
