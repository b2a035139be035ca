// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of options, keys and properties; see keys.h.
 */
#include "vmm/keys.h"

#include "devices/base.h"
#include "devices/sdma_regs.h"
#include "viommu/vtd.h"

#define FIELD(type, field) offsetof(struct type, field)

static const char *const hugepage_names[] = { "off", "2M", "1G", NULL };
static const char *const seccomp_names[] = { "kill", "log", "off", NULL };

/* By enum vfio_nested. */
static const char *const nested_names[] = { "auto", "on", "off", NULL };

static const char *const width_names[] = { "39", "48", "57", NULL };

static const struct key kernel_keys[] = {
	{ "path", "nidus,kernel", &value_path, .offset = FIELD(vm_config, kernel) },
};

static const struct key initrd_keys[] = {
	{ "path", "path", &value_path, .offset = FIELD(initrd_config, path), .metavar = "PATH",
	  .help = "the file; bare first word" },
	{ "args", "args", &value_string, .offset = FIELD(initrd_config, args),
	  .max = CONFIG_CMDLINE_MAX - 1, .metavar = "TEXT",
	  .help = "the module's command line (multiboot kernels only)" },
};

static const struct key cmdline_keys[] = {
	{ "text", "bootargs", &value_string, .offset = FIELD(vm_config, cmdline),
	  .max = CONFIG_CMDLINE_MAX - 1 },
};

static const struct key cpus_keys[] = {
	{ "count", "nidus,count", &value_uint, .offset = FIELD(vm_config, cpus), .min = 1,
	  .max = CONFIG_CPUS_MAX, .metavar = "N",
	  .help = "how many, 1 to 64, default 1; bare first word" },
	{ "cpu", "nidus,cpu", &value_cpu, .offset = FIELD(vm_config, cpu),
	  .metavar = "host[:-FEATURE]...",
	  .help = "the host's CPU without these features, as in host:-svm" },
};

static const struct key memory_keys[] = {
	{ "size", "reg", &value_size, .offset = FIELD(vm_config, memory), .min = CONFIG_MEMORY_MIN,
	  .max = CONFIG_MEMORY_MAX, .metavar = "SIZE",
	  .help = "in MiB or with K, M, G or T behind it; default 512M; bare first word" },
	{ "hugepages", "nidus,hugepages", &value_choice, .offset = FIELD(vm_config, hugepages),
	  .choices = hugepage_names, .metavar = "2M|1G|off",
	  .help = "back it by huge pages of this size; default off" },
	{ "prefault", "nidus,prefault", &value_flag, .offset = FIELD(vm_config, prefault),
	  .metavar = "on|off", .help = "allocate all of it before the guest starts" },
	{ "overcommit", "nidus,overcommit", &value_flag, .offset = FIELD(vm_config, overcommit),
	  .metavar = "on|off", .help = "allow more than the host has free" },
	{ "shared", "nidus,shared", &value_flag, .offset = FIELD(vm_config, shared),
	  .metavar = "on|off", .help = "a memfd, even where the host gives those no huge pages" },
};

static const struct key disk_keys[] = {
	{ "path", "path", &value_path, .offset = FIELD(disk_config, path), .metavar = "PATH",
	  .help = "raw image or block device; bare first word" },
	{ "fd", "fd", &value_fd, .offset = FIELD(disk_config, fd), .metavar = "N",
	  .help = "inherited file descriptor, instead of path" },
	{ "ro", "read-only", &value_flag, .offset = FIELD(disk_config, readonly),
	  .metavar = "on|off", .help = "the guest may not write" },
	{ "direct", "direct", &value_flag, .offset = FIELD(disk_config, direct),
	  .metavar = "on|off", .help = "bypass the host's page cache (O_DIRECT)" },
	{ "queues", "queues", &value_uint, .offset = FIELD(disk_config, queues), .min = 1,
	  .max = CONFIG_QUEUES_MAX, .metavar = "N", .help = "request queues, 1 to 16, default 1" },
	{ "serial", "serial", &value_serial, .offset = FIELD(disk_config, serial),
	  .max = CONFIG_SERIAL_MAX, .metavar = "TEXT",
	  .help = "serial number, at most 20 characters" },
};

static const struct key net_keys[] = {
	{ "tap", "tap", &value_name, .offset = FIELD(net_config, tap), .max = 15, .metavar = "NAME",
	  .help = "existing tap device; bare first word" },
	{ "fd", "fd", &value_fd, .offset = FIELD(net_config, fd), .metavar = "N",
	  .help = "inherited file descriptor of a tap, instead of tap" },
	{ "mac", "local-mac-address", &value_mac, .metavar = "XX:XX:XX:XX:XX:XX",
	  .help = "the guest's address; default: one that Nidus makes up" },
	{ "queues", "queues", &value_uint, .offset = FIELD(net_config, queues), .min = 1,
	  .max = CONFIG_QUEUES_MAX, .metavar = "N",
	  .help = "pairs of queues, 1 to 16, default 1; more need a multi_queue tap" },
	{ "offload", "offload", &value_switch, .offset = FIELD(net_config, offload),
	  .metavar = "on|off", .help = "checksum and segmentation offloads; default on" },
};

#define TOGGLE(name_, property_, which, help_)                                      \
	{                                                                           \
		name_, property_, &value_toggle,                                    \
			.offset = FIELD(vtd_options, feature[VTD_FEATURE_##which]), \
			.metavar = "on|off|auto", .help = (help_)                   \
	}

static const struct key vtd_keys[] = {
	{ "devices", "devices", &value_devices, .offset = FIELD(vtd_options, devices),
	  .metavar = "NAME[:NAME]...",
	  .help = "what is behind it, as in disk0:sdma1; default: all that is behind no other" },
	{ "aw", "aw", &value_width, .offset = FIELD(vtd_options, aw), .choices = width_names,
	  .metavar = "39|48|57", .help = "width of second-stage addresses in bits; default 48" },
	{ "pasid-bits", "pasid-num-bits", &value_uint, .offset = FIELD(vtd_options, pasid_bits),
	  .max = VTD_PASID_BITS, .metavar = "N", .help = "0 (no PASIDs) to 20, default 20" },
	{ "domain-bits", "domain-bits", &value_uint, .offset = FIELD(vtd_options, domain_bits),
	  .min = 4, .max = 16, .metavar = "N",
	  .help = "bits of domain-ids, an even number from 4 to 16, default 16" },
	TOGGLE("scalable", "scalable", SCALABLE, "scalable mode; what needs it goes with it"),
	TOGGLE("first-stage", "first-stage", FIRST_STAGE, "first-stage translation"),
	TOGGLE("second-stage", "second-stage", SECOND_STAGE,
	       "second-stage translation in scalable mode"),
	TOGGLE("nested", "nested", NESTED, "both stages at once"),
	TOGGLE("first-stage-57", "first-stage-57", FIRST_STAGE_57,
	       "five-level first-stage tables; default: if the guest's CPU has la57"),
	TOGGLE("first-stage-1g", "first-stage-1g", FIRST_STAGE_1G,
	       "1 GiB first-stage pages; default: if the guest's CPU has pdpe1gb"),
	TOGGLE("pass-through", "pass-through", PASS_THROUGH, "entries that do not translate"),
	TOGGLE("ats", "ats", ATS, "device-TLBs"),
	TOGGLE("pri", "pri", PRI, "page requests"),
	TOGGLE("ir", "ir", INTERRUPT_REMAPPING, "interrupt remapping"),
	TOGGLE("x2apic", "x2apic", X2APIC, "interrupts to x2APIC destinations"),
	TOGGLE("supervisor", "supervisor", SUPERVISOR, "requests with supervisor privilege"),
	TOGGLE("execute", "execute", EXECUTE, "execute requests"),
	TOGGLE("caching-mode", "caching-mode", CACHING_MODE,
	       "the guest must invalidate what was not present, too; always on with --vfio"),
	TOGGLE("snoop", "snoop", SNOOP, "snoop control"),
	TOGGLE("access-dirty", "access-dirty", ACCESS_DIRTY,
	       "second-stage accessed and dirty flags"),
	TOGGLE("extended-accessed", "extended-accessed", EXTENDED_ACCESSED,
	       "first-stage extended accessed flag"),
	TOGGLE("abort-dma", "abort-dma", ABORT_DMA, "the mode in which all DMA is refused"),
	TOGGLE("vcmd", "vcmd", VIRTUAL_COMMANDS,
	       "PASIDs by virtual commands, for Linux before 6.3; default off"),
	{ "pasid-quota", "pasid-quota", &value_uint, .offset = FIELD(vtd_options, pasid_quota),
	  .min = 1, .max = 1 << VTD_PASID_BITS, .metavar = "N",
	  .help = "PASIDs that vcmd gives out, default 1000" },
	{ "fault-records", "fault-records", &value_uint,
	  .offset = FIELD(vtd_options, fault_records), .min = 1, .max = 16, .metavar = "N",
	  .help = "fault recording registers, 1 to 16, default 8" },
	{ "drop", "drop", &value_drop, .offset = FIELD(vtd_options, drop),
	  .metavar = "TYPE[:TYPE]...",
	  .help = "for tests: pretend to do invalidations of these types, as in iotlb:device-tlb" },
};

static const struct key sdma_keys[] = {
	{ "queues", "queues", &value_uint, .offset = FIELD(sdma_config, queues), .min = 1,
	  .max = SDMA_QUEUES_MAX, .metavar = "N", .help = "queues, 1 to 64, default 8" },
};

static const struct key edu_keys[] = {
	{ "dma-mask", "dma-mask", &value_uint, .offset = FIELD(edu_config, dma_mask), .min = 12,
	  .max = 64, .metavar = "BITS",
	  .help = "width of its DMA addresses, 12 to 64, default 28" },
	{ "rom", "rom", &value_path, .offset = FIELD(edu_config, rom), .metavar = "PATH",
	  .help = "file with its expansion ROM; default: it has none" },
};

static const struct key vfio_keys[] = {
	{ "device", "device", &value_string, .offset = FIELD(vfio_options, device),
	  .max = CONFIG_PCI_TEXT, .metavar = "DEVICE",
	  .help = "PCI address, as in 06:0d.0, or its path in /sys; bare first word" },
	{ "nested", "nested", &value_choice, .offset = FIELD(vfio_options, nested),
	  .choices = nested_names, .metavar = "auto|on|off",
	  .help = "the guest's first-stage tables in the host's IOMMU: if it can, or not at all, "
		  "or never; default auto" },
	{ "fd", "fd", &value_fd, .offset = FIELD(vfio_options, fd), .metavar = "N",
	  .help = "inherited file descriptor of a VFIO device, instead of device" },
	{ "iommufd", "iommufd", &value_fd, .offset = FIELD(vfio_options, iommufd), .metavar = "N",
	  .help = "inherited file descriptor of /dev/iommu, for all devices" },
	{ "pasid-quota", "pasid-quota", &value_uint, .offset = FIELD(vfio_options, pasid_quota),
	  .max = 1 << VTD_PASID_BITS, .metavar = "N",
	  .help = "PASIDs, and domains, that the guest may have in the host; 0: 1000" },
};

static const struct key stream_keys[] = {
	{ "to", "to", &value_stream, .metavar = "stdio|off",
	  .help = "the terminal or nowhere; bare first word" },
	{ "file", "file", &value_stream_file, .offset = FIELD(stream_config, path),
	  .metavar = "PATH", .help = "append output to this file; there is no input" },
};

static const struct key name_keys[] = {
	{ "name", "nidus,name", &value_name, .offset = FIELD(vm_config, name),
	  .max = CONFIG_NAME_MAX },
};

static const struct key rng_keys[] = {
	{ "rng", "nidus,rng", &value_switch, .offset = FIELD(vm_config, rng) },
};

static const struct key restart_keys[] = {
	{ "restart", "nidus,restart", &value_flag, .offset = FIELD(vm_config, restart) },
};

static const struct key exit_port_keys[] = {
	{ "port", "nidus,exit-port", &value_exit_port, .min = 1, .max = 0xffff },
};

static const struct key seccomp_keys[] = {
	{ "mode", "nidus,seccomp", &value_choice, .offset = FIELD(vm_config, seccomp),
	  .choices = seccomp_names },
};

static const struct key log_keys[] = {
	{ "levels", "nidus,log", &value_log, .offset = FIELD(vm_config, log) },
};

#define KEYS(table) .keys = (table), .key_count = ARRAY_SIZE(table)
#define LIST(type, field, limit)                                                            \
	.offset = FIELD(vm_config, field), .count_offset = FIELD(vm_config, field##_count), \
	.stride = sizeof(struct type), .max = (limit), .init = config_##field##_init

const struct group groups[] = {
	{ .option = { "kernel", NULL, 'k', ARGUMENT_REQUIRED, "PATH",
		      "what to boot: bzImage, vmlinux (PVH) or multiboot ELF" },
	  .node = "/chosen",
	  .whole = true,
	  KEYS(kernel_keys) },
	{ .option = { "initrd", NULL, 'i', ARGUMENT_REQUIRED, "PATH[,args=TEXT]",
		      "initial RAM disk or multiboot module; may be repeated" },
	  .node = "initrd",
	  .compatible = "nidus,initrd",
	  KEYS(initrd_keys),
	  LIST(initrd_config, initrd, CONFIG_INITRDS) },
	{ .option = { "cmdline", "params", 'p', ARGUMENT_REQUIRED, "TEXT", "kernel command line" },
	  .node = "/chosen",
	  .whole = true,
	  KEYS(cmdline_keys) },
	{ .option = { "cpus", NULL, 'c', ARGUMENT_REQUIRED, "N[,KEY=VALUE]", "virtual CPUs" },
	  .node = "/cpus",
	  KEYS(cpus_keys) },
	{ .option = { "memory", "mem", 'm', ARGUMENT_REQUIRED, "SIZE[,KEY=VALUE]...",
		      "guest memory" },
	  .node = "/memory@0",
	  KEYS(memory_keys) },
	{ .option = { "disk", NULL, 'd', ARGUMENT_REQUIRED, "PATH[,KEY=VALUE]...",
		      "virtio disk; may be repeated" },
	  .node = "disk",
	  .compatible = "nidus,disk",
	  KEYS(disk_keys),
	  LIST(disk_config, disk, CONFIG_DISKS) },
	{ .option = { "net", "network", 'n', ARGUMENT_REQUIRED, "tap=NAME|fd=N[,KEY=VALUE]...",
		      "virtio network card; may be repeated" },
	  .node = "net",
	  .compatible = "nidus,net",
	  KEYS(net_keys),
	  LIST(net_config, net, CONFIG_NETS) },
	{ .option = { "vtd", NULL, 0, ARGUMENT_KEYS, "KEY=VALUE,...",
		      "VT-d remapping unit; may be repeated; see nidus caps --vtd" },
	  .node = "vtd",
	  .compatible = "nidus,vtd",
	  KEYS(vtd_keys),
	  LIST(vtd_options, vtd, CONFIG_VTDS) },
	{ .option = { "sdma", NULL, 0, ARGUMENT_KEYS, "KEY=VALUE",
		      "DMA engine for shared virtual addressing; may be repeated" },
	  .node = "sdma",
	  .compatible = "nidus,sdma",
	  KEYS(sdma_keys),
	  LIST(sdma_config, sdma, CONFIG_SDMAS) },
	{ .option = { "edu", NULL, 0, ARGUMENT_KEYS, "KEY=VALUE",
		      "educational PCI device (1234:11e8); may be repeated" },
	  .node = "edu",
	  .compatible = "nidus,edu",
	  KEYS(edu_keys),
	  LIST(edu_config, edu, CONFIG_EDUS) },
	{ .option = { "vfio", NULL, 0, ARGUMENT_REQUIRED, "DEVICE[,KEY=VALUE]...",
		      "PCI device of the host, passed through; may be repeated" },
	  .node = "vfio",
	  .compatible = "nidus,vfio",
	  KEYS(vfio_keys),
	  LIST(vfio_options, vfio, CONFIG_VFIOS) },
	{ .option = { "serial", NULL, 0, ARGUMENT_REQUIRED, "stdio|off|file=PATH",
		      "first serial port (ttyS0); default stdio" },
	  .node = "/serial",
	  .one_key = true,
	  .offset = FIELD(vm_config, serial),
	  KEYS(stream_keys) },
	{ .option = { "console", NULL, 0, ARGUMENT_REQUIRED, "stdio|off|file=PATH",
		      "virtio console (hvc0); default off" },
	  .node = "/console",
	  .one_key = true,
	  .offset = FIELD(vm_config, console),
	  KEYS(stream_keys) },
	{ .option = { "rng", NULL, 0, ARGUMENT_OPTIONAL, "on|off",
		      "virtio entropy source; default on" },
	  .node = "/",
	  .whole = true,
	  KEYS(rng_keys) },
	{ .option = { "restart", NULL, 0, ARGUMENT_OPTIONAL, "on|off",
		      "a reset starts the guest anew, in the same VM; default off: it ends the "
		      "VM" },
	  .node = "/",
	  .whole = true,
	  KEYS(restart_keys) },
	{ .option = { "exit-port", NULL, 0, ARGUMENT_OPTIONAL, "on|off|PORT",
		      "I/O port that ends the VM with the guest's status; default off, on: 0xf4" },
	  .node = "/",
	  .whole = true,
	  KEYS(exit_port_keys) },
	{ .option = { "name", NULL, 0, ARGUMENT_REQUIRED, "NAME",
		      "for list, stats, trace, reset and stop; without one there is no control "
		      "socket" },
	  .node = "/",
	  .whole = true,
	  KEYS(name_keys) },
	{ .option = { "seccomp", NULL, 0, ARGUMENT_REQUIRED, "kill|log|off",
		      "what an unlisted system call does; default kill" },
	  .node = "/",
	  .whole = true,
	  KEYS(seccomp_keys) },
	{ .option = { "log", NULL, 0, ARGUMENT_REQUIRED, "[MODULE=]LEVEL,...",
		      "what to report on stderr: error, warn, notice (default), info or debug" },
	  .node = "/",
	  .whole = true,
	  KEYS(log_keys) },
};

const unsigned int group_count = ARRAY_SIZE(groups);

_Static_assert(ARRAY_SIZE(groups) <= GROUPS_MAX, "sets of groups are 64-bit masks");
