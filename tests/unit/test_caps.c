// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm/caps*.c on made-up hosts, and hostfile.c with them. */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "vmm/caps.h"

static char root[64];

static long good_ioctl(int fd, unsigned long request, unsigned long argument)
{
	(void)fd;
	if (request == KVM_GET_API_VERSION)
		return KVM_API_VERSION;
	return argument == KVM_CAP_MAX_VCPUS ? 710 : 1;
}

static long old_ioctl(int fd, unsigned long request, unsigned long argument)
{
	if (request == KVM_CHECK_EXTENSION && argument == KVM_CAP_SPLIT_IRQCHIP)
		return 0;
	return good_ioctl(fd, request, argument);
}

static long no_ioctl(int fd, unsigned long request, unsigned long argument)
{
	(void)fd;
	(void)request;
	(void)argument;
	return -ENOTTY;
}

static long good_call(long number, unsigned long a, unsigned long b, unsigned long c,
		      unsigned long d)
{
	(void)a;
	(void)b;
	(void)c;
	if (number == SYS_landlock_create_ruleset)
		return 4;
	if (number == SYS_prlimit64) {
		((struct rlimit *)d)->rlim_cur = RLIM_INFINITY;
		return 0;
	}
	return -EFAULT;
}

static long bad_call(long number, unsigned long a, unsigned long b, unsigned long c,
		     unsigned long d)
{
	(void)a;
	(void)b;
	(void)c;
	if (number == SYS_prlimit64) {
		((struct rlimit *)d)->rlim_cur = 64 * 1024;
		return 0;
	}
	return number == SYS_io_uring_setup ? -EPERM : -ENOSYS;
}

static void make_file(const char *path, const char *text)
{
	char name[512];
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", root, path);
	for (char *slash = strchr(name + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(name, 0700);
		*slash = '/';
	}
	file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/nidus-test-XXXXXX");
	return !mkdtemp(root);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void make_good_host(void)
{
	static const char *const files[][2] = {
		{ "/dev/kvm", "" },
		{ "/dev/net/tun", "" },
		{ "/dev/iommu", "" },
		{ "/dev/vfio/vfio", "" },
		{ "/dev/vfio/12", "" },
		{ "/dev/vfio/devices/vfio0", "" },
		{ "/proc/cpuinfo", "flags\t\t: fpu vmx smx\n" },
		{ "/proc/sys/kernel/seccomp/actions_avail",
		  "kill_process kill_thread log allow\n" },
		{ "/sys/module/kvm_intel/parameters/nested", "Y\n" },
		{ "/sys/kernel/iommu_groups/0/type", "DMA\n" },
		/* SMTS, PASID, NEST; no PRS */
		{ "/sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n" },
		{ "/sys/class/iommu/dmar0/intel-iommu/ecap", "90004000000\n" },
		{ "/sys/class/iommu/dmar1/intel-iommu/cap", "d2008c40660462\n" },
		{ "/sys/class/iommu/dmar1/intel-iommu/ecap", "f020df\n" },
		{ "/sys/class/iommu/ivhd0/amd-iommu/cap", "0\n" },
	};
	static const char *const pages[] = { "2048", "1048576" };
	static const char *const names[] = { "free_hugepages", "resv_hugepages",
					     "nr_overcommit_hugepages", "surplus_hugepages" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make_file(files[i][0], files[i][1]);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%skB/%s",
				 pages[i], names[j]);
			make_file(path, j ? "0\n" : "7\n");
		}
}

static const struct cap *find(const struct caps *caps, const char *name)
{
	for (unsigned int i = 0; i < caps->count; i++)
		if (!strcmp(caps->cap[i].name, name))
			return &caps->cap[i];
	fail_msg("no '%s'", name);
	return NULL;
}

static void expect(const struct caps *caps, const char *name, bool ok, const char *found,
		   const char *remedy)
{
	const struct cap *cap = find(caps, name);

	if (cap->ok != ok || !strstr(cap->found, found) || !strstr(cap->remedy, remedy))
		fail_msg("%s: %d, '%s', '%s'", name, cap->ok, cap->found, cap->remedy);
	assert_true(ok || cap->remedy[0]);
}

static void test_good_host(void **state)
{
	const struct caps_host host = { root, good_ioctl, good_call };
	struct caps caps;

	(void)state;
	make_good_host();
	caps_probe(&caps, &host);
	assert_true(caps_usable(&caps));
	expect(&caps, "kvm", true, "API version 12", "");
	expect(&caps, "vmx-or-svm", true, "VMX", "");
	expect(&caps, "kvm-split-irqchip", true, "", "");
	expect(&caps, "vcpus", true, "710", "");
	expect(&caps, "nested-virtualisation", true, "kvm_intel", "");
	expect(&caps, "hugepages-2M", true, "7 can be had", "");
	expect(&caps, "hugepages-1G", true, "7 can be had", "");
	expect(&caps, "io_uring", true, "", "");
	expect(&caps, "tun", true, "", "");
	expect(&caps, "landlock", true, "version 4", "");
	expect(&caps, "seccomp", true, "", "");
	expect(&caps, "memlock", true, "unlimited", "");
	expect(&caps, "iommu-units", true, "3: dmar0 and more", "");
	expect(&caps, "dmar0-scalable", true, "ECAP.SMTS", "");
	expect(&caps, "dmar0-nesting", true, "ECAP.NEST", "");
	expect(&caps, "dmar0-pasid", true, "ECAP.PASID", "");
	expect(&caps, "dmar0", true, "guests can be nested; cap 0xd2008c40660462", "");
	expect(&caps, "dmar0-page-requests", false, "no page requests (ECAP.PRS)", "VT-d");
	expect(&caps, "dmar1", false, "no SMTS (bit 43); cap 0xd2008c40660462, ecap 0xf020df",
	       "shadow");
	expect(&caps, "ivhd0", false, "it is no VT-d unit", "shadow tables");
	expect(&caps, "dmar1-nesting", false, "no nested translation", "VT-d");
	expect(&caps, "iommu-groups", true, "1", "");
	expect(&caps, "iommufd", true, "/dev/iommu", "");
	expect(&caps, "vfio-cdevs", true, "1 in", "");
	expect(&caps, "vfio-groups", true, "1 in", "");
}

static void test_empty_host(void **state)
{
	const struct caps_host host = { root, no_ioctl, bad_call };
	struct caps caps;

	(void)state;
	caps_probe(&caps, &host);
	assert_false(caps_usable(&caps));
	for (unsigned int i = 0; i < caps.count; i++)
		if (caps.cap[i].ok || !caps.cap[i].remedy[0] || !caps.cap[i].found[0])
			fail_msg("%s", caps.cap[i].name);
	expect(&caps, "kvm", false, "No such file", "modprobe kvm_intel or kvm_amd");
	expect(&caps, "io_uring", false, "a sandbox forbids it", "seccomp profile");
	expect(&caps, "memlock", false, "64 KiB", "ulimit -l");
}

/* A /dev/kvm without VMX or SVM is told in one clear line. */
static void test_software_kvm(void **state)
{
	const struct caps_host host = { root, good_ioctl, good_call };
	struct caps caps;

	(void)state;
	make_good_host();
	make_file("/proc/cpuinfo", "flags\t\t: fpu svm_lock notvmx vmxx\n");
	caps_probe(&caps, &host);
	assert_false(caps_usable(&caps));
	expect(&caps, "kvm", true, "", "");
	expect(&caps, "vmx-or-svm", false, "software virtualisation", "lab");
	make_file("/proc/cpuinfo", "flags\t\t: fpu svm\n");
	caps_probe(&caps, &host);
	assert_true(caps_usable(&caps));
	expect(&caps, "vmx-or-svm", true, "SVM", "");
}

static void test_partial_hosts(void **state)
{
	struct caps_host host = { root, old_ioctl, good_call };
	char path[128];
	struct caps caps;

	(void)state;
	make_good_host();
	make_file("/sys/module/kvm_intel/parameters/nested", "0\n");
	caps_probe(&caps, &host);
	assert_false(caps_usable(&caps));
	expect(&caps, "kvm-split-irqchip", false, "LAPIC", "kernel");
	expect(&caps, "nested-virtualisation", false, "nested=0", "modprobe kvm_intel nested=1");

	host.ioctl = no_ioctl;
	host.call = bad_call;
	make_file("/proc/sys/kernel/io_uring_disabled", "2\n");
	snprintf(path, sizeof(path), "%s/dev/net/tun", root);
	chmod(path, 0);
	caps_probe(&caps, &host);
	expect(&caps, "kvm", false, "does not answer: Inappropriate ioctl", "kvm_intel");
	expect(&caps, "io_uring", false, "kernel.io_uring_disabled=2", "sysctl");
	if (geteuid())
		expect(&caps, "tun", false, "Permission denied", "fd=N");
}

static void test_very_many_units(void **state)
{
	const struct caps_host host = { root, good_ioctl, good_call };
	char path[128];
	struct caps caps;

	(void)state;
	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/sys/class/iommu/dmar%d/intel-iommu/cap", i);
		make_file(path, "0\n");
		snprintf(path, sizeof(path), "/sys/class/iommu/dmar%d/intel-iommu/ecap", i);
		make_file(path, i ? "0\n" : "not a number\n");
	}
	caps_probe(&caps, &host);
	assert_int_equal(caps.count, CAPS_MAX);
	assert_string_equal(caps.cap[CAPS_MAX - 1].name, "vfio-groups");
}

static void test_output(void **state)
{
	struct caps caps = { 0 };
	char *text = NULL;
	size_t size;
	FILE *out;

	(void)state;
	cap_yes(caps_add(&caps, "kvm", true), "it %s", "works");
	cap_no(caps_add(&caps, "tun", false), "do \"this\"", "back\\slash");
	out = open_memstream(&text, &size);
	caps_print(&caps, true, out);
	fclose(out);
	assert_string_equal(text,
			    "[{\"name\": \"kvm\", \"ok\": true, \"required\": true, "
			    "\"found\": \"it works\", \"remedy\": \"\"},\n"
			    " {\"name\": \"tun\", \"ok\": false, \"required\": false, "
			    "\"found\": \"back\\\\slash\", \"remedy\": \"do \\\"this\\\"\"}]\n");
	free(text);
	out = open_memstream(&text, &size);
	caps_print(&caps, false, out);
	fclose(out);
	assert_string_equal(text, "yes  kvm                      it works\n"
				  "no   tun                      back\\slash; do \"this\"\n"
				  "This host runs guests.\n");
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good_host),	  TEST(test_empty_host),      TEST(test_software_kvm),
		TEST(test_partial_hosts), TEST(test_very_many_units), TEST(test_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
