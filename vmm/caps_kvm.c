// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `nidus caps` asks of KVM and the CPU.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/caps.h"
#include "vmm/hostfile.h"

static const struct {
	unsigned int number;
	const char *name;
	const char *use;
	bool required;
} kvm_needs[] = {
	{ KVM_CAP_USER_MEMORY, "kvm-memory", "guest RAM in our own address space", true },
	{ KVM_CAP_EXT_CPUID, "kvm-cpuid", "the host's CPU for the guest", true },
	{ KVM_CAP_SPLIT_IRQCHIP, "kvm-split-irqchip", "LAPIC in KVM, IOAPIC in Nidus", true },
	{ KVM_CAP_IRQ_ROUTING, "kvm-irq-routing", "MSI routes", true },
	{ KVM_CAP_SIGNAL_MSI, "kvm-signal-msi", "MSIs without a route", true },
	{ KVM_CAP_IRQFD, "kvm-irqfd", "interrupts without a turn through Nidus", true },
	{ KVM_CAP_IOEVENTFD, "kvm-ioeventfd", "doorbells without a turn through Nidus", true },
	{ KVM_CAP_IMMEDIATE_EXIT, "kvm-immediate-exit", "stopping a vCPU without a race", true },
	{ KVM_CAP_MP_STATE, "kvm-mp-state", "starting further vCPUs", true },
	{ KVM_CAP_X2APIC_API, "kvm-x2apic-api", "32-bit APIC ids", false },
	{ KVM_CAP_TSC_DEADLINE_TIMER, "kvm-tsc-deadline", "a cheap timer for the guest", false },
};

/* Whether @word stands in @text as a word of its own. */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
		if ((p == text || isspace((unsigned char)p[-1])) &&
		    (!p[len] || isspace((unsigned char)p[len])))
			return true;
	return false;
}

static const char *cpu_extension(const struct caps_host *host)
{
	static const size_t size = 65536; /* the first CPUs are enough: all are alike */
	char *text = malloc(size);
	const char *name = NULL;

	if (text && !hostfile_text(host->root, text, size, "/proc/cpuinfo"))
		name = has_word(text, "vmx") ? "VMX" : has_word(text, "svm") ? "SVM" : NULL;
	free(text);
	return name;
}

static void probe_extension(struct caps *caps, const struct caps_host *host, bool kvm)
{
	static const char remedy[] =
		"enable VT-x or AMD-V in the firmware, or nested virtualisation "
		"if this is a guest; `make run` uses the lab instead";
	struct cap *cap = caps_add(caps, "vmx-or-svm", true);
	const char *name = cpu_extension(host);

	if (name)
		cap_yes(cap, "the CPU has %s", name);
	else if (kvm)
		cap_no(cap, remedy,
		       "/dev/kvm without VMX or SVM is software virtualisation: it runs tiny bare "
		       "guests and fails on real kernels");
	else
		cap_no(cap, remedy, "/proc/cpuinfo shows neither");
}

static int open_kvm(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "kvm", true);
	int fd = caps_open(host, "/dev/kvm", O_RDWR);
	long version;

	if (fd == -EACCES || fd == -EPERM) {
		cap_no(cap, "join the group: sudo usermod -aG kvm $USER, and log in again",
		       "/dev/kvm: %s", strerror(-fd));
		return fd;
	}
	if (fd < 0) {
		cap_no(cap,
		       "load the module: sudo modprobe kvm_intel or kvm_amd; if that fails, see "
		       "vmx-or-svm",
		       "/dev/kvm: %s", strerror(-fd));
		return fd;
	}
	version = host->ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		cap_yes(cap, "/dev/kvm, API version %ld", version);
	else if (version < 0)
		cap_no(cap, "load kvm_intel or kvm_amd so that /dev/kvm is KVM's",
		       "/dev/kvm does not answer: %s", strerror((int)-version));
	else
		cap_no(cap, "boot a newer kernel", "API version %ld is not %d", version,
		       KVM_API_VERSION);
	return fd;
}

static void probe_needs(struct caps *caps, const struct caps_host *host, int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(kvm_needs); i++) {
		struct cap *cap = caps_add(caps, kvm_needs[i].name, kvm_needs[i].required);

		if (host->ioctl(fd, KVM_CHECK_EXTENSION, kvm_needs[i].number) > 0)
			cap_yes(cap, "%s", kvm_needs[i].use);
		else
			cap_no(cap, "boot a kernel with a newer or complete KVM", "%s",
			       kvm_needs[i].use);
	}
}

static void probe_vcpus(struct caps *caps, const struct caps_host *host, int fd)
{
	struct cap *cap = caps_add(caps, "vcpus", false);
	long max = host->ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (max > 0)
		cap_yes(cap, "up to %ld in a guest, of which Nidus uses 64", max);
	else
		cap_no(cap, "boot a newer kernel", "KVM does not say how many a guest may have");
}

static void probe_nested(struct caps *caps, const struct caps_host *host)
{
	static const char *const modules[] = { "kvm_intel", "kvm_amd" };
	struct cap *cap = caps_add(caps, "nested-virtualisation", false);
	char value[16], remedy[128];

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		if (hostfile_text(host->root, value, sizeof(value),
				  "/sys/module/%s/parameters/nested", modules[i]))
			continue;
		if (value[0] == 'Y' || value[0] == '1') {
			cap_yes(cap, "%s offers it: guests can run KVM", modules[i]);
			return;
		}
		snprintf(remedy, sizeof(remedy), "sudo modprobe -r %s && sudo modprobe %s nested=1",
			 modules[i], modules[i]);
		cap_no(cap, remedy, "%s has nested=%s: guests cannot run KVM", modules[i], value);
		return;
	}
	cap_no(cap, "load kvm_intel or kvm_amd with nested=1",
	       "neither kvm_intel nor kvm_amd is loaded");
}

void caps_probe_kvm(struct caps *caps, const struct caps_host *host)
{
	int fd = open_kvm(caps, host);

	probe_extension(caps, host, fd >= 0);
	if (fd >= 0) {
		probe_needs(caps, host, fd);
		probe_vcpus(caps, host, fd);
		close(fd);
	}
	probe_nested(caps, host);
}
