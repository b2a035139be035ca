// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verbs of the command, and the bodies of the short ones.
 */
#include "vmm/verbs.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio.h"
#include "vmm/bench.h"
#include "vmm/caps.h"
#include "vmm/control.h"
#include "vmm/exit.h"
#include "vmm/iommu.h"
#include "vmm/nearest.h"
#include "vmm/vm.h"

#define SETTING(field) offsetof(struct invocation, field)

static const struct setting run_settings[] = {
	{ { "manifest", "file", 'f', ARGUMENT_REQUIRED, "FILE",
	    "read the VM from this device tree blob; options override it" },
	  SETTING_TEXT,
	  SETTING(manifest) },
};

static const struct setting check_settings[] = {
	{ { "manifest", "file", 'f', ARGUMENT_REQUIRED, "FILE",
	    "read the VM from this device tree blob; options override it" },
	  SETTING_TEXT,
	  SETTING(manifest) },
	{ { "dtb", NULL, 0, ARGUMENT_REQUIRED, "FILE",
	    "write the machine as a manifest instead of printing it; -: standard output" },
	  SETTING_TEXT,
	  SETTING(dtb) },
};

static const struct setting json_settings[] = {
	{ { "json", NULL, 0, ARGUMENT_NONE, NULL, "print JSON" }, SETTING_FLAG, SETTING(json) },
};

static const struct setting stop_settings[] = {
	{ { "timeout", NULL, 0, ARGUMENT_REQUIRED, "SECONDS",
	    "how long to wait until it is gone; default 30" },
	  SETTING_SECONDS,
	  SETTING(timeout) },
};

static const struct setting bench_settings[] = {
	{ { "modes", NULL, 0, ARGUMENT_REQUIRED, "MODE,...",
	    "some of native, direct, nested, shadowed, emulated; default: all that there can be" },
	  SETTING_TEXT,
	  SETTING(modes) },
	{ { "native", NULL, 0, ARGUMENT_REQUIRED, "PROGRAM",
	    "this host's sdma-perf, for native; default: that in PATH" },
	  SETTING_TEXT,
	  SETTING(native) },
	{ { "quick", NULL, 0, ARGUMENT_NONE, NULL, "few samples, few sizes" },
	  SETTING_FLAG,
	  SETTING(quick) },
	{ { "json", NULL, 0, ARGUMENT_NONE, NULL, "print JSON, one object a line" },
	  SETTING_FLAG,
	  SETTING(json) },
	{ { "save", NULL, 0, ARGUMENT_REQUIRED, "FILE", "write the JSON to this file" },
	  SETTING_TEXT,
	  SETTING(save) },
	{ { "html", NULL, 0, ARGUMENT_REQUIRED, "FILE", "write a page of plots to this file" },
	  SETTING_TEXT,
	  SETTING(html) },
	{ { "from", NULL, 0, ARGUMENT_REQUIRED, "FILE",
	    "measure nothing: take what --json or --save has written" },
	  SETTING_TEXT,
	  SETTING(from) },
};

static int verb_run(struct invocation *invocation)
{
	const struct vm_config *config = &invocation->config;
	struct config_error error;
	const char *bad;

	if (config->log)
		log_configure(config->log, &bad); /* was checked when it was given */
	if (config_validate(config, &error)) {
		fprintf(stderr, "nidus: %s\n", error.text);
		return NIDUS_EXIT_USAGE;
	}
	return vm_run(config);
}

static int verb_caps(struct invocation *invocation)
{
	struct config_error error;
	struct caps caps;

	if (invocation->config.vtd_count) {
		if (!iommu_explain(&invocation->config, invocation->json, stdout, &error))
			return NIDUS_EXIT_POWEROFF;
		fprintf(stderr, "nidus: %s\n", error.text);
		return NIDUS_EXIT_USAGE;
	}
	caps_probe(&caps, &caps_this_host);
	caps_print(&caps, invocation->json, stdout);
	return caps_usable(&caps) ? NIDUS_EXIT_POWEROFF : NIDUS_EXIT_FAILURE;
}

static int verb_list(struct invocation *invocation)
{
	return control_list(invocation->json);
}

static int verb_stats(struct invocation *invocation)
{
	return control_stats(invocation->operand, invocation->json);
}

static int verb_trace(struct invocation *invocation)
{
	return control_trace(invocation->operand, invocation->second);
}

static int verb_vfio(struct invocation *invocation)
{
	static const struct {
		const char *name;
		int (*run)(const char *device, char *error, size_t size);
	} actions[] = { { "bind", vfio_bind }, { "unbind", vfio_unbind } };
	char error[512] = "";
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(invocation->operand, actions[i].name))
			continue;
		rc = actions[i].run(invocation->second, error, sizeof(error));
		if (!rc)
			return NIDUS_EXIT_POWEROFF;
		fprintf(stderr, "nidus: %s\n", error);
		return rc == -EINVAL || rc == -ENOENT ? NIDUS_EXIT_USAGE : NIDUS_EXIT_FAILURE;
	}
	fprintf(stderr, "nidus: vfio: '%.60s' is neither bind nor unbind\n", invocation->operand);
	return NIDUS_EXIT_USAGE;
}

static int verb_stop(struct invocation *invocation)
{
	return control_stop(invocation->operand, invocation->timeout);
}

static int verb_reset(struct invocation *invocation)
{
	return control_reset(invocation->operand);
}

static int verb_version(struct invocation *invocation)
{
	(void)invocation;
	printf("nidus %s\n", NIDUS_VERSION);
	return NIDUS_EXIT_POWEROFF;
}

static int verb_help(struct invocation *invocation)
{
	const struct verb *verb;
	struct config_error error = { "" };

	if (!invocation->operand) {
		help_print(stdout);
		return NIDUS_EXIT_POWEROFF;
	}
	verb = verb_find(invocation->operand, &error);
	if (!verb) {
		fprintf(stderr, "nidus: %s\n", error.text);
		return NIDUS_EXIT_USAGE;
	}
	help_print_verb(verb, stdout);
	return NIDUS_EXIT_POWEROFF;
}

static const char bench_text[] =
	"DEVICE is an sdma device bound to vfio-pci; without it, only emulated. Guests need a\n"
	"kernel, and an initramfs made by guest-tests/linux/initramfs/build --sdma. Modes:\n"
	"  native    a process of this host; the device goes to the driver sdma meanwhile\n"
	"  direct    passed through to a guest without a unit\n"
	"  nested    the guest's first-stage tables nested in the host's unit\n"
	"  shadowed  the guest's second-stage tables copied\n"
	"  emulated  --sdma behind --vtd\n"
	"Exit codes: 0 measured, 1 a mode named in --modes was not, or none, 2 bad option or\n"
	"file, 128+N ended by signal N.\n";

static const char *const caps_groups[] = { "vtd", NULL };
static const char *const bench_groups[] = { "kernel", "initrd", "cpus", "memory", NULL };

static const char run_text[] =
	"A value with a comma stands in double quotes: -d 'path=\"a,b.img\",ro'.\n"
	"Scalars on the command line override the manifest; disks, networks and\n"
	"initrds come after the manifest's. Ctrl-A x on the serial console ends the VM.\n"
	"\n"
	"Exit codes:\n"
	"  0      the guest powered itself off\n"
	"  1      Nidus or the host failed\n"
	"  2      bad option, file or value: nothing was started\n"
	"  3      the guest asked for a reset, without --restart\n"
	"  4      the guest crashed (triple fault)\n"
	"  5      ended by `nidus stop` or Ctrl-A x\n"
	"  128+N  ended by signal N\n"
	"  With --exit-port, a guest that writes S to it ends with (S << 1 | 1) & 255.\n";

#define SETTINGS(table) .settings = (table), .setting_count = ARRAY_SIZE(table)

const struct verb verbs[] = {
	{ .name = "run",
	  .summary = "run a guest",
	  .text = run_text,
	  .describes_vm = true,
	  .operand = "KERNEL",
	  SETTINGS(run_settings),
	  .run = verb_run },
	{ .name = "check",
	  .summary = "validate a VM without starting it, and print it",
	  .text = "Exit codes: 0 it can be run, 2 it cannot.\n",
	  .describes_vm = true,
	  .operand = "KERNEL",
	  SETTINGS(check_settings),
	  .run = verb_check },
	{ .name = "caps",
	  .summary = "say what this host can do, and what to change where it cannot",
	  .text = "With --vtd: what such a unit offers a guest, bit by bit, and why.\n"
		  "Exit codes: 0 this host runs Linux guests, 1 it does not.\n",
	  .groups = caps_groups,
	  SETTINGS(json_settings),
	  .run = verb_caps },
	{ .name = "list",
	  .summary = "list running VMs that have a name, with their processes",
	  SETTINGS(json_settings),
	  .run = verb_list },
	{ .name = "stats",
	  .summary = "show the counters of a running VM",
	  .operand = "NAME",
	  .operand_required = true,
	  SETTINGS(json_settings),
	  .run = verb_stats },
	{ .name = "trace",
	  .summary = "show what a device asks of its remapping unit, as it happens",
	  .text = "Devices are called as in `nidus stats`: disk0, net0, console, rng, sdma0, "
		  "edu0,\n"
		  "vfio0, ioapic. Ctrl-C ends it. The VM never waits for it: lines that are not "
		  "read in\n"
		  "time are dropped, and counted.\n",
	  .operand = "NAME",
	  .operand_required = true,
	  .second = "DEVICE",
	  .run = verb_trace },
	{ .name = "vfio",
	  .summary = "give a PCI device to vfio-pci, for guests, or back to the host",
	  .text = "bind: takes the device from its driver and gives it to vfio-pci, so that run\n"
		  "--vfio can have it. unbind: gives it back to the driver that the kernel would\n"
		  "choose. DEVICE is a PCI address, as in 06:0d.0, or a path in /sys. Needs root.\n"
		  "Exit codes: 0 done, 1 it could not be done, 2 bad action.\n",
	  .operand = "bind|unbind",
	  .operand_required = true,
	  .second = "DEVICE",
	  .run = verb_vfio },
	{ .name = "bench",
	  .summary = "measure a device in each way in which a guest can have it",
	  .text = bench_text,
	  .groups = bench_groups,
	  .operand = "DEVICE",
	  SETTINGS(bench_settings),
	  .run = verb_bench },
	{ .name = "reset",
	  .summary = "reset a running VM that was started with --restart",
	  .text = "As the reset button of a computer: the guest is not asked.\n",
	  .operand = "NAME",
	  .operand_required = true,
	  .run = verb_reset },
	{ .name = "stop",
	  .summary = "end a running VM and wait until it is gone",
	  .operand = "NAME",
	  .operand_required = true,
	  SETTINGS(stop_settings),
	  .run = verb_stop },
	{ .name = "version", .summary = "show the version", .run = verb_version },
	{ .name = "help", .summary = "explain a verb", .operand = "VERB", .run = verb_help },
};

const unsigned int verb_count = ARRAY_SIZE(verbs);

const struct verb *verb_find(const char *name, struct config_error *error)
{
	struct nearest nearest;

	nearest_init(&nearest, name);
	for (unsigned int i = 0; i < verb_count; i++) {
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
		nearest_offer(&nearest, verbs[i].name);
	}
	nearest_fail(&nearest, "unknown verb", error);
	return NULL;
}
