/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One vCPU: its state at power-on, and the loop around KVM_RUN.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/boot.h"
#include "vmm/restart.h"
#include "vmm/vm.h"

#define MSR_IA32_MISC_ENABLE	0x1a0
#define MISC_ENABLE_FAST_STRING 1
#define MSR_IA32_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLED_WRITE_BACK (1 << 11 | 6)
#define LAPIC_LVT_LINT0		0x350
#define LAPIC_LVT_LINT1		0x360
#define LAPIC_MODE_EXTINT	(7U << 8)
#define LAPIC_MODE_NMI		(4U << 8)

/* Retries that follow each other by less than the time, in nanoseconds. */
#define DELIVERY_RETRIES 16
#define DELIVERY_WINDOW	 10000000ULL

/* Parts of an access that are completed when a vCPU is reset. */
#define COMPLETIONS 8

int vcpu_signal(void)
{
	return SIGRTMIN;
}

int vcpu_create(struct machine *machine, unsigned int index)
{
	struct vcpu *vcpu = &machine->vcpu[index];
	void *run;
	int rc;

	vcpu->machine = machine;
	vcpu->index = index;
	vcpu->fd = ioctl(machine->vm, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		goto failed;
	run = mmap(NULL, machine->vcpu_mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		goto failed;
	vcpu->run = run;
	return cpuid_apply(machine, vcpu);
failed:
	rc = -errno;
	log_error(KVM, "vCPU %u cannot be created: %s", index, strerror(-rc));
	vcpu_destroy(vcpu);
	return rc;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->machine->vcpu_mmap_size);
	if (vcpu->machine && vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu_forget_state(vcpu);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

/* --- Power-on state --- */

static struct kvm_segment segment_of(const struct boot_segment *from)
{
	return (struct kvm_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->type,
		.present = 1,
		.dpl = 0,
		.db = from->db,
		.s = from->s,
		.l = from->l,
		.g = from->g,
	};
}

static int set_sregs(struct vcpu *vcpu, const struct boot_state *boot)
{
	struct kvm_segment data = segment_of(&boot->data);
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = segment_of(&boot->code);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = segment_of(&boot->task);
	sregs.gdt.base = boot->gdt_base;
	sregs.gdt.limit = boot->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = boot->cr0;
	sregs.cr3 = boot->cr3;
	sregs.cr4 = boot->cr4;
	sregs.efer = boot->efer;
	return ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

static int set_regs(struct vcpu *vcpu, const struct boot_state *boot)
{
	struct kvm_regs regs = {
		.rip = boot->rip,
		.rax = boot->rax,
		.rbx = boot->rbx,
		.rsi = boot->rsi,
		.rsp = boot->rsp,
		.rflags = 2,
	};

	return ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

/* What firmware would have left: fast strings on, memory write-back by default. */
static int set_msrs(struct vcpu *vcpu)
{
	static const struct kvm_msr_entry entries[] = {
		{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_IA32_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK },
	};
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(entries));
	int rc = 0;

	if (!msrs)
		return -ENOMEM;
	msrs->nmsrs = ARRAY_SIZE(entries);
	memcpy(msrs->entries, entries, sizeof(entries));
	if (ioctl(vcpu->fd, KVM_SET_MSRS, msrs) < 0)
		rc = -errno;
	free(msrs);
	return rc;
}

static void lapic_write(struct kvm_lapic_state *lapic, unsigned int offset, uint32_t value)
{
	store_le32(&lapic->regs[offset], value);
}

/* MP specification, 3.6.2: LINT0 takes the legacy interrupt controller's, LINT1 takes NMIs. */
static int set_lapic(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return -errno;
	lapic_write(&lapic, LAPIC_LVT_LINT0, LAPIC_MODE_EXTINT);
	lapic_write(&lapic, LAPIC_LVT_LINT1, LAPIC_MODE_NMI);
	return ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}

int vcpu_reset(struct vcpu *vcpu, const struct boot_state *boot)
{
	int rc = set_msrs(vcpu);

	if (!rc)
		rc = set_lapic(vcpu);
	/* Application processors wait for INIT and SIPI, in KVM. */
	if (!rc && !vcpu->index)
		rc = set_sregs(vcpu, boot);
	if (!rc && !vcpu->index)
		rc = set_regs(vcpu, boot);
	if (rc)
		log_error(KVM, "vCPU %u: its first state was refused by KVM: %s", vcpu->index,
			  strerror(-rc));
	return rc;
}

/* --- Exits --- */

static void exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	struct bus *bus = &vcpu->machine->pio;

	/* count: at most what fits into the page that KVM shares with us. */
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(bus, run->io.port, data, run->io.size);
		else
			bus_read(bus, run->io.port, data, run->io.size);
	}
}

static void exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = &vcpu->machine->mmio;

	if (run->mmio.is_write)
		bus_write(bus, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_read(bus, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static void dump_state(struct vcpu *vcpu)
{
	struct kvm_sregs sregs = { 0 };
	struct kvm_regs regs = { 0 };

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return;
	log_warn(KVM,
		 "vCPU %u: rip %#llx rsp %#llx rflags %#llx cr0 %#llx cr2 %#llx cr3 %#llx "
		 "cr4 %#llx efer %#llx",
		 vcpu->index, regs.rip, regs.rsp, regs.rflags, sregs.cr0, sregs.cr2, sregs.cr3,
		 sregs.cr4, sregs.efer);
}

/*
 * KVM refuses to emulate an access while an event is being delivered to the guest. It looks at the
 * event's type, not at whether it is valid, and some hardware (QEMU's SVM) leaves the type of an
 * earlier one there: then the same instruction succeeds the next time. Bound: DELIVERY_RETRIES in a
 * row, for a guest that really puts its stack or its IDT on a device. Exits alone do not tell a
 * row: a guest whose devices are all reached by ioeventfd may have no other for a long time.
 */
static bool retry_delivery(struct vcpu *vcpu)
{
	struct timespec now;
	uint64_t time;

	if (vcpu->run->internal.suberror != KVM_INTERNAL_ERROR_DELIVERY_EV)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	time = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (time - vcpu->delivery_retried >= DELIVERY_WINDOW)
		vcpu->delivery_retries = 0;
	vcpu->delivery_retried = time;
	return vcpu->delivery_retries++ < DELIVERY_RETRIES;
}

static void exit_internal_error(struct vcpu *vcpu)
{
	if (retry_delivery(vcpu))
		return;
	if (vcpu->machine->virtualised)
		log_error(KVM, "vCPU %u: KVM gave up with internal error %u", vcpu->index,
			  vcpu->run->internal.suberror);
	else
		log_error(KVM,
			  "vCPU %u: KVM gave up with internal error %u: this CPU has neither VMX "
			  "nor SVM, and software KVM cannot run a real kernel; use the lab (make "
			  "run)",
			  vcpu->index, vcpu->run->internal.suberror);
	dump_state(vcpu);
	machine_end(vcpu->machine, MACHINE_ERROR, 0);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vcpu_counters *counters = &vcpu->counters;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		counters->pio++;
		exit_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		counters->mmio++;
		exit_mmio(vcpu);
		break;
	case KVM_EXIT_IOAPIC_EOI:
		counters->eoi++;
		ioapic_eoi(vcpu->machine, run->eoi.vector);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		counters->kicks++;
		break;
	case KVM_EXIT_SHUTDOWN:
		/* Not where: on AMD, KVM has reset the registers before it tells us. */
		log_warn(VMM, "vCPU %u: the guest crashed (triple fault)", vcpu->index);
		machine_end(vcpu->machine, MACHINE_CRASH, 0);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		exit_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		log_error(KVM, "vCPU %u: entry failed, hardware reason %#llx", vcpu->index,
			  (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		dump_state(vcpu);
		machine_end(vcpu->machine, MACHINE_ERROR, 0);
		break;
	default:
		counters->other++;
		log_error(KVM, "vCPU %u: unexpected exit %u", vcpu->index, run->exit_reason);
		machine_end(vcpu->machine, MACHINE_ERROR, 0);
		break;
	}
}

void vcpu_kick(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	/* Whichever comes first, the flag or the signal: the next KVM_RUN returns at once. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(vcpu->thread, vcpu_signal());
}

void vcpu_finish_exit(struct vcpu *vcpu)
{
	/* An access of several parts exits again; it has at most two, but for string instructions.
	 */
	for (unsigned int i = 0; i < COMPLETIONS; i++) {
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0)
			break;
	}
}

/* Until the machine ends, or is reset. */
static void run_guest(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;

	/* Whoever ends the machine, by whatever it just did, does not run one instruction more. */
	while (!__atomic_load_n(&machine->stopping, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&machine->end, __ATOMIC_ACQUIRE)) {
		vcpu->counters.runs++;
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			/* A halted application processor waits in KVM and returns EAGAIN on INIT.
			 */
			if (errno == EINTR || errno == EAGAIN) {
				/* Before the flags are looked at, which are set before a kick. */
				__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
				continue;
			}
			log_error(KVM, "vCPU %u: KVM_RUN: %s", vcpu->index, strerror(errno));
			dump_state(vcpu);
			machine_end(machine, MACHINE_ERROR, 0);
			return;
		}
		handle_exit(vcpu);
	}
}

void vcpu_loop(struct vcpu *vcpu)
{
	do
		run_guest(vcpu);
	while (restart_join(vcpu));
}
