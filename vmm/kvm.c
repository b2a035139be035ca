/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM in the kernel: its memory slots, its LAPICs, and what we need KVM to be able to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

struct requirement {
	unsigned int capability;
	const char *name;
};

static const struct requirement requirements[] = {
	{ KVM_CAP_USER_MEMORY, "USER_MEMORY" },	    { KVM_CAP_EXT_CPUID, "EXT_CPUID" },
	{ KVM_CAP_SPLIT_IRQCHIP, "SPLIT_IRQCHIP" }, { KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING" },
	{ KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI" },	    { KVM_CAP_IRQFD, "IRQFD" },
	{ KVM_CAP_IOEVENTFD, "IOEVENTFD" },	    { KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT" },
	{ KVM_CAP_MP_STATE, "MP_STATE" },
};

/* True if this CPU has VMX or SVM. Without, /dev/kvm is software that cannot run a real kernel. */
static bool host_has_virtualisation(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[8192];
	bool found = false;

	if (!file)
		return true;
	while (!found && fgets(line, sizeof(line), file))
		if (!strncmp(line, "flags", 5))
			found = strstr(line, " vmx") || strstr(line, " svm");
	fclose(file);
	return found;
}

static int open_device(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm >= 0)
		return kvm;
	if (errno == EACCES || errno == EPERM)
		log_error(KVM, "/dev/kvm: %s; add yourself to its group: adduser $USER kvm",
			  strerror(errno));
	else if (errno == ENOENT)
		log_error(KVM,
			  "/dev/kvm: %s; load kvm_intel or kvm_amd, and see that virtualisation "
			  "is on in the firmware ('nidus caps' tells more)",
			  strerror(errno));
	else
		log_error(KVM, "/dev/kvm: %s", strerror(errno));
	return -errno;
}

static int check_capabilities(struct machine *machine)
{
	int version = ioctl(machine->kvm, KVM_GET_API_VERSION, 0);
	int cpus;

	if (version != KVM_API_VERSION) {
		log_error(KVM, "/dev/kvm speaks version %d of its interface, not %d", version,
			  KVM_API_VERSION);
		return -EPROTO;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(requirements); i++) {
		if (ioctl(machine->kvm, KVM_CHECK_EXTENSION, requirements[i].capability) > 0)
			continue;
		log_error(KVM, "this host's KVM lacks KVM_CAP_%s; a kernel of 5.10 or later has it",
			  requirements[i].name);
		return -ENOTSUP;
	}
	cpus = ioctl(machine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (cpus > 0 && machine->config->cpus > (unsigned int)cpus) {
		log_error(KVM, "--cpus: %u are more than the %d vCPUs that this host's KVM allows",
			  machine->config->cpus, cpus);
		return -ERANGE;
	}
	return 0;
}

/*
 * Interrupt messages to x2APIC ids beyond 8 bits, in the form that a remapping unit makes; and id
 * 255 is one CPU to an x2APIC, not all of them. Hosts without do not have CPUs with such ids.
 */
static void enable_x2apic_messages(const struct machine *machine)
{
	struct kvm_enable_cap api = { .cap = KVM_CAP_X2APIC_API,
				      .args = { KVM_X2APIC_API_USE_32BIT_IDS |
						KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK } };

	if (ioctl(machine->vm, KVM_ENABLE_CAP, &api) < 0)
		log_debug(KVM, "no 32-bit APIC ids in messages: %s", strerror(errno));
}

/* The VM itself. Creating one is interrupted by signals at times: try again. */
static int create_vm(struct machine *machine)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IRQ_PINS } };
	uint64_t identity_map = LAYOUT_IDENTITY_MAP_BASE;

	do
		machine->vm = ioctl(machine->kvm, KVM_CREATE_VM, 0);
	while (machine->vm < 0 && errno == EINTR);
	if (machine->vm < 0)
		return -errno;
	/* VMX without unrestricted guests runs real mode with these; others ignore them. */
	if (ioctl(machine->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(machine->vm, KVM_SET_TSS_ADDR, LAYOUT_TSS_BASE) < 0)
		log_debug(KVM, "no TSS address: %s", strerror(errno));
	if (ioctl(machine->vm, KVM_ENABLE_CAP, &split) < 0)
		return -errno;
	enable_x2apic_messages(machine);
	return 0;
}

static void init_slots(struct machine *machine)
{
	int limit = ioctl(machine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);

	pthread_mutex_init(&machine->slots.lock, NULL);
	machine->slots.limit =
		limit <= RAM_SLOTS
			? 0
			: (unsigned int)min_u64((uint64_t)limit - RAM_SLOTS, DEVICE_SLOTS);
}

int kvm_acquire(struct machine *machine)
{
	int rc;

	machine->vm = -1;
	machine->kvm = open_device();
	if (machine->kvm < 0)
		return machine->kvm;
	init_slots(machine);
	rc = check_capabilities(machine);
	if (!rc) {
		rc = create_vm(machine);
		if (rc)
			log_error(KVM, "cannot create a VM with a split irqchip: %s",
				  strerror(-rc));
	}
	if (rc) {
		kvm_release(machine);
		return rc;
	}
	machine->vcpu_mmap_size = (unsigned int)ioctl(machine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	cpuid_describe(machine->kvm, machine->config->cpu, &machine->cpu);
	machine->virtualised = host_has_virtualisation();
	if (!machine->virtualised)
		log_warn(KVM,
			 "this CPU has neither VMX nor SVM: /dev/kvm is software here, which runs "
			 "bare test guests but no real kernel; use the lab (make run)");
	return 0;
}

int kvm_set_memory(struct machine *machine)
{
	for (unsigned int i = 0; i < machine->ram.count; i++) {
		const struct ram_slot *slot = &machine->ram.slot[i];
		struct kvm_userspace_memory_region region = {
			.slot = i,
			.guest_phys_addr = slot->gpa,
			.memory_size = slot->size,
			.userspace_addr = (uintptr_t)slot->host,
		};

		if (ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
			int rc = -errno;

			log_error(KVM, "RAM at %#llx (%llu MiB) was refused by KVM: %s",
				  (unsigned long long)slot->gpa,
				  (unsigned long long)(slot->size / MIB), strerror(-rc));
			return rc;
		}
	}
	return 0;
}

/* --- Memory of devices --- */

static int set_slot(struct machine *machine, unsigned int index, uint64_t gpa, uint64_t size,
		    const void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = RAM_SLOTS + index,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* The slot of this address and size; both 0: a free one. -ENOSPC if there is none. Lock held. */
static int find_slot(const struct device_slots *slots, uint64_t gpa, uint64_t size)
{
	for (unsigned int i = 0; i < slots->limit; i++)
		if (slots->slot[i].size == size && (!size || slots->slot[i].gpa == gpa))
			return (int)i;
	return -ENOSPC;
}

int machine_map_device(struct machine *machine, uint64_t address, uint64_t size, void *host,
		       bool on)
{
	struct device_slots *slots = &machine->slots;
	int slot, rc;

	pthread_mutex_lock(&slots->lock);
	slot = on ? find_slot(slots, 0, 0) : find_slot(slots, address, size);
	rc = slot < 0 ? slot : set_slot(machine, (unsigned int)slot, address, on ? size : 0, host);
	if (!rc)
		slots->slot[slot] =
			on ? (struct device_slot){ address, size } : (struct device_slot){ 0 };
	pthread_mutex_unlock(&slots->lock);
	return rc;
}

void kvm_release(struct machine *machine)
{
	if (machine->vm >= 0)
		close(machine->vm);
	if (machine->kvm >= 0) {
		pthread_mutex_destroy(&machine->slots.lock);
		close(machine->kvm);
	}
	machine->vm = -1;
	machine->kvm = -1;
}
