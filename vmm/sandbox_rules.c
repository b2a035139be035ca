/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every system call that a running VM may make, and why; see sandbox.h. vmm/gen/filters.c turns
 * them into filters while Nidus is built.
 */
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "devices/base.h"
#include "devices/vfio_uapi.h"
#include "vmm/sandbox.h"

#define VCPU	(1U << SANDBOX_VCPU)
#define IO	(1U << SANDBOX_IO)
#define CONTROL (1U << SANDBOX_CONTROL)
#define ALL	(VCPU | IO | CONTROL)

/* clang-format off */
#define CALL(name, threads, reason) \
	{ SYS_##name, threads, SANDBOX_ANY_ARGUMENT, NULL, SANDBOX_USED, reason }
#define RARE(name, threads, reason) \
	{ SYS_##name, threads, SANDBOX_ANY_ARGUMENT, NULL, SANDBOX_RARE, reason }
#define IOCTL(request, threads, reason) \
	{ SYS_ioctl, threads, request, #request, SANDBOX_USED, reason }
#define HOST(request, threads, reason) \
	{ SYS_ioctl, threads, request, #request, SANDBOX_HOST_DEVICES, reason }
#define RESTART(request, reason) \
	{ SYS_ioctl, VCPU, request, #request, SANDBOX_RESTART, reason }
#define RESTART_CALL(name, threads, reason) \
	{ SYS_##name, threads, SANDBOX_ANY_ARGUMENT, NULL, SANDBOX_RESTART, reason }
#define HOST_CALL(name, threads, reason) \
	{ SYS_##name, threads, SANDBOX_ANY_ARGUMENT, NULL, SANDBOX_HOST_DEVICES, reason }
#define RING(request, threads, reason) \
	{ SYS_io_uring_register, threads, request, #request, SANDBOX_USED, reason }

static const struct sandbox_rule rules[] = {
	IOCTL(KVM_RUN, VCPU, "run the guest"),
	IOCTL(KVM_SIGNAL_MSI, VCPU | IO, "a wired interrupt: the IOAPIC sends its message"),
	IOCTL(KVM_SET_GSI_ROUTING, VCPU, "the guest programs the IOAPIC or MSI-X"),
	IOCTL(KVM_IRQFD, VCPU, "interrupt remapping blocks a message, or lets it through again"),
	IOCTL(KVM_IOEVENTFD, VCPU, "the guest moves a BAR that holds doorbells"),
	{ SYS_ioctl, VCPU, KVM_GET_REGS, "KVM_GET_REGS", SANDBOX_RARE,
	  "report where the guest was when KVM gave up" },
	{ SYS_ioctl, VCPU, KVM_GET_SREGS, "KVM_GET_SREGS", SANDBOX_RARE,
	  "report where the guest was when KVM gave up" },
	HOST(KVM_SET_USER_MEMORY_REGION, VCPU | IO, "the guest moves a BAR, or a device is lost"),
	HOST(KVM_SET_GSI_ROUTING, IO, "a device is lost, or stops at the end: so do its messages"),
	HOST(KVM_IRQFD, IO, "the same, for routes that KVM has refused before"),
	HOST(VFIO_DEVICE_SET_IRQS, VCPU | IO, "the guest chooses and masks interrupts"),
	HOST(VFIO_DEVICE_RESET, VCPU | IO, "function level reset, and the end of the VM"),
	HOST(UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, VCPU, "the guest's PASID entries and contexts"),
	HOST(UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT, VCPU | CONTROL, "the same; teardown"),
	HOST(UAPI_IOMMU_HWPT_ALLOC, VCPU, "the guest has a new first-stage or second-stage table"),
	HOST(UAPI_IOMMU_HWPT_INVALIDATE, VCPU, "the guest invalidates what it maps"),
	HOST(UAPI_IOMMU_DESTROY, VCPU | CONTROL, "a table that nothing uses any more; teardown"),
	HOST(UAPI_IOMMU_IOAS_ALLOC, VCPU, "the guest has a second-stage table: a shadow of it"),
	HOST(UAPI_IOMMU_IOAS_COPY, VCPU, "what that table maps"),
	HOST(UAPI_IOMMU_IOAS_UNMAP, VCPU | IO | CONTROL,
	     "and what it does not map any more; memory of a device that is lost; teardown"),
	HOST(UAPI_IOMMU_IOAS_MAP_FILE, VCPU, "the guest moves a BAR: a target of DMA"),
	HOST(VFIO_IOMMU_MAP_DMA, VCPU, "the same on hosts without iommufd"),
	HOST(VFIO_IOMMU_UNMAP_DMA, VCPU | IO | CONTROL, "the same on hosts without iommufd"),
	HOST_CALL(pread64, VCPU | IO, "registers of a device that are not mapped"),
	HOST_CALL(pwrite64, VCPU | IO, "registers of a device that are not mapped"),
	HOST_CALL(read, IO, "page requests"),
	HOST_CALL(dup3, IO, "the host wants a device back"),
	HOST_CALL(close, IO, "the same: dma-bufs of its memory"),
	HOST_CALL(brk, VCPU | IO, "malloc() of what a PASID entry needs"),
	HOST_CALL(mmap, VCPU | IO, "malloc() of something large: a table to shadow, page requests"),
	HOST_CALL(mremap, VCPU | IO, "realloc() of the same"),
	RESTART(KVM_SET_NESTED_STATE, "a vCPU leaves its nested guest"),
	RESTART(KVM_SET_SREGS, "a vCPU is as it was at power-on"),
	RESTART(KVM_SET_XCRS, "the same"),
	RESTART(KVM_SET_XSAVE, "the same"),
	RESTART(KVM_SET_REGS, "the same"),
	RESTART(KVM_GET_LAPIC, "the same"),
	RESTART(KVM_SET_LAPIC, "the same"),
	RESTART(KVM_SET_MSRS, "the same"),
	RESTART(KVM_SET_VCPU_EVENTS, "the same"),
	RESTART(KVM_SET_DEBUGREGS, "the same"),
	RESTART(KVM_SET_MP_STATE, "the same"),
	RESTART_CALL(pread64, VCPU, "the kernel is loaded again"),
	RESTART_CALL(brk, VCPU, "malloc() for that"),
	RESTART_CALL(mmap, VCPU, "malloc() for that"),
	IOCTL(TUNSETOFFLOAD, IO, "the guest negotiates network offloads"),
	IOCTL(TUNSETQUEUE, IO, "the guest chooses its number of queue pairs"),
	IOCTL(TCSETS, CONTROL, "put the terminal back in order"),
	{ SYS_ioctl, VCPU | IO, TCSETS, "TCSETS", SANDBOX_RARE, "the same after a fatal signal" },
	RING(IORING_UNREGISTER_FILES, IO, "the ring lets go of disk images, and so of locks"),
	CALL(io_uring_enter, IO, "all I/O of disks and streams, and waiting for it"),
	CALL(read, CONTROL, "signals"),
	CALL(readv, IO, "packets from a tap"),
	CALL(write, ALL, "eventfds, messages"),
	CALL(getrandom, IO, "virtio-rng"),
	CALL(futex, ALL, "locks, and waiting for threads"),
	RARE(sched_yield, ALL, "an invalidation waits for the DMA that is under way"),
	RARE(clock_nanosleep, ALL, "the same, when that takes longer; and a device that is not reset"),
	CALL(epoll_wait, CONTROL, "which control client has a request"),
	CALL(epoll_ctl, CONTROL, "control clients come and go"),
	CALL(timerfd_settime, CONTROL, "hang up on control clients that are silent"),
	CALL(poll, CONTROL, "wait for signals, control clients and the end"),
	RARE(poll, VCPU | IO, "whether somebody takes a message, or the guest's last output"),
	CALL(accept4, CONTROL, "a control client"),
	CALL(recvfrom, CONTROL, "a control client's request"),
	CALL(sendto, CONTROL, "the answer to a control client"),
	CALL(newfstatat, CONTROL, "is the control socket still ours?"),
	CALL(unlinkat, CONTROL, "remove the control socket"),
	CALL(tgkill, CONTROL, "take vCPUs out of the guest"),
	CALL(getpid, CONTROL, "pthread_kill()"),
	CALL(close, CONTROL, "teardown"),
	CALL(munmap, CONTROL, "teardown"),
	CALL(madvise, VCPU | IO, "the stack of a thread that ends"),
	RARE(munmap, VCPU | IO,
	     "the same, if the C library keeps too many of them; and memory of devices given back"),
	RARE(mmap, CONTROL, "malloc() of something large"),
	RARE(brk, CONTROL, "malloc()"),
	RARE(clock_gettime, ALL, "where the vDSO cannot tell the time"),
	RARE(time, VCPU, "the same, for the RTC"),
	CALL(rt_sigreturn, VCPU, "return from the signal that stops vCPUs"),
	RARE(rt_sigreturn, IO | CONTROL, "return from a fatal signal, to meet it again"),
	CALL(rt_sigprocmask, ALL, "pthread_kill(), and a thread that ends, block signals"),
	RARE(restart_syscall, ALL, "the kernel goes on with a call after a stop (Ctrl-Z)"),
	CALL(exit, VCPU | IO, "a thread ends"),
	CALL(exit_group, CONTROL, "the process ends"),
};
/* clang-format on */

static const char *const thread_names[SANDBOX_THREADS] = {
	[SANDBOX_VCPU] = "vcpu",
	[SANDBOX_IO] = "io",
	[SANDBOX_CONTROL] = "control",
};

const struct sandbox_rule *sandbox_rules(unsigned int *count)
{
	*count = ARRAY_SIZE(rules);
	return rules;
}

bool sandbox_applies(enum sandbox_when when, unsigned int machine)
{
	if (when == SANDBOX_HOST_DEVICES)
		return machine & SANDBOX_HAS_HOST_DEVICES;
	return when != SANDBOX_RESTART || machine & SANDBOX_RESTARTS;
}

const char *sandbox_thread_name(enum sandbox_thread thread)
{
	return thread_names[thread];
}
