/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine, explained in one place.
 *
 * Life. vm_run() takes a validated `struct vm_config` and goes through five steps: acquire (every
 * file descriptor the VM will ever have is opened), build (memory, buses, devices, tables, kernel),
 * drop (no_new_privs, Landlock, capabilities, seccomp), run, end. Teardown is the exact reverse of
 * build: the steps are a table in vm.c, walked backwards from wherever they got to.
 *
 * Threads. One per vCPU, which does nothing but KVM_RUN and the exits of its guest. One I/O thread
 * around the event loop (devices/loop.h), in which every byte of disk, network and console moves.
 * The first thread becomes the control thread: signals, the control socket, the end of the VM.
 *
 * Guest address space, see vmm/layout.h: RAM from 0 to at most 3 GiB and from 4 GiB up, the PCI
 * windows, ECAM, IOAPIC and LAPIC between. RAM is one mapping (vmm/memory.c), known to KVM as one
 * or two slots.
 *
 * Accesses. An exit goes to `pio` or `mmio` (devices/bus.h) and from there to one handler of one
 * device. Doorbells never get that far: they are ioeventfds. What no device claims reads as ones.
 *
 * Interrupts. LAPICs are in KVM, the IOAPIC (vmm/ioapic.c) is ours, and every interrupt is an MSI:
 * wired ones are turned into messages by the IOAPIC's redirection entries. vmm/irq.c has every
 * message remapped by the unit that its sender is behind, and holds the routing table that lets an
 * eventfd raise a message without us.
 *
 * DMA. Devices reach memory by devices/dma.h alone; with a VT-d unit in between if there is one
 * (vmm/iommu.c makes the units of viommu/ and says what is behind which).
 *
 * Locks, outermost first: the PCI host's lock, a virtio device's lock, MSI-X and INTx locks, the
 * IOAPIC's lock, a remapping unit's lock (viommu/unit.h), those of its bindings in the host
 * (devices/vfio_host.h) and of its page requests, the routing table's lock, the unit's interrupt
 * remapping lock. The bus locks are held for lookups only.
 *
 * Restarts. A machine whose configuration says so starts anew when it is reset, in the same process
 * and behind the same filters: vmm/restart.h.
 *
 * A guest can at worst end its own VM, by machine_end(): the first reason is kept, the control
 * thread is woken, and everything stops in order.
 */
#ifndef NIDUS_VMM_VM_H
#define NIDUS_VMM_VM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "devices/bus.h"
#include "devices/dma.h"
#include "devices/machine.h"
#include "devices/pci.h"
#include "vmm/config.h"
#include "vmm/cpuid.h"
#include "vmm/ioapic.h"
#include "vmm/irq.h"

struct kvm_run;
struct loop;
struct control;
struct iommu;
struct peripherals;
struct boot_state;
struct kernel_files;
struct vcpu_state;
struct vtd_unit;

/* Exits by reason, counted per vCPU; read by `nidus stats` while they change. */
struct vcpu_counters {
	uint64_t runs;
	uint64_t pio;
	uint64_t mmio;
	uint64_t eoi;
	uint64_t kicks;
	uint64_t other;
};

struct vcpu {
	struct machine *machine;
	unsigned int index; /* also its APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	unsigned int delivery_retries; /* in a row: see vcpu.c */
	uint64_t delivery_retried;     /* when the last one was, monotonic, nanoseconds */
	struct vcpu_counters counters;
	struct vcpu_state *power_on; /* for restarts; NULL: none */
};

/* vmm/memory.c: the RAM of the guest. */
struct memory {
	int fd; /* memfd, or -1: anonymous memory */
	void *base;
	uint64_t size;	  /* bytes of RAM */
	uint64_t mapping; /* bytes mapped: size, rounded up to the page size of the backing */
};

/*
 * Memory of real devices that the guest reaches without exits, each a slot of KVM's behind those of
 * RAM.
 */
#define DEVICE_SLOTS 256
struct device_slots {
	pthread_mutex_t lock; /* protects all of it; a leaf */
	unsigned int limit;   /* that this KVM has for them, at most DEVICE_SLOTS */
	struct device_slot {
		uint64_t gpa, size; /* size 0: free */
	} slot[DEVICE_SLOTS];
};

/* vmm/restart.h: where vCPUs wait for each other when the machine is reset. */
struct restart {
	pthread_mutex_t lock; /* protects all of it */
	pthread_cond_t changed;
	bool ordered;	     /* by the control thread, which kicks no vCPU any more */
	bool cancelled;	     /* the machine ends instead */
	unsigned int parked; /* vCPUs that have left the guest */
	uint64_t count;	     /* restarts so far */
};

/* Where threads wait until all of them have closed their filters. */
struct start_line {
	pthread_mutex_t lock; /* protects all of it */
	pthread_cond_t changed;
	unsigned int ready;
	bool failed;
	bool go;
};

struct machine {
	const struct vm_config *config;
	int kvm; /* /dev/kvm */
	int vm;
	unsigned int vcpu_mmap_size;
	struct cpuid_guest cpu; /* what the guest's is */
	bool virtualised;	/* the CPU has VMX or SVM: /dev/kvm is not software */
	struct memory memory;
	struct ram ram;
	struct device_slots slots;
	struct bus mmio;
	struct bus pio;
	struct irq_routes routes;
	struct ioapic ioapic;
	struct vtd_unit
		*vtd_of[256]; /* by source-id on bus 0; NULL: no unit. Constant while it runs */
	struct pci_host pci;
	struct vcpu vcpu[CONFIG_CPUS_MAX];
	struct loop *loop;
	pid_t pid;
	struct timespec started;

	struct iommu *iommu; /* NULL: no remapping units */
	struct peripherals *peripherals;
	struct control *control; /* NULL: the VM has no name */
	const char *traced;	 /* requester that a client watches; control thread only */
	pthread_t io_thread;
	bool io_started;
	bool io_failed; /* requests to the host may be left; the I/O thread's until it is joined */
	struct start_line start;
	bool stopping; /* atomic: vCPU threads leave their loop */
	struct restart restart;
	struct kernel_files *kernel_files; /* for restarts; NULL: closed */

	/* How the VM ends: enum machine_end, and its status << 32; set once, announced on
	 * end_event. */
	uint64_t end;
	int end_event;
};

/* Runs the VM that @config describes; returns the exit code of the process (vmm/exit.h). */
int vm_run(const struct vm_config *config);

/* vmm/memory.c. 0, or a negative errno after one line on stderr. */
int memory_acquire(struct machine *machine);
void memory_release(struct machine *machine);
/* Makes all of it zero again. Nobody may reach it meanwhile. */
void memory_clear(struct machine *machine);

/* vmm/kvm.c: /dev/kvm, the VM, its memory slots and its irqchip. */
int kvm_acquire(struct machine *machine);
int kvm_set_memory(struct machine *machine);
void kvm_release(struct machine *machine);

/* vmm/cpuid.c: what CPUID tells vCPU @index, with the features of config->cpu masked. */
struct kvm_cpuid2;
int cpuid_apply(struct machine *machine, struct vcpu *vcpu);

/* vmm/vcpu.c. */
int vcpu_create(struct machine *machine, unsigned int index);
int vcpu_reset(struct vcpu *vcpu, const struct boot_state *boot);
void vcpu_destroy(struct vcpu *vcpu);
/*
 * vmm/vcpu_state.c: keeps the state that the vCPU has now, and puts it back, whatever the vCPU was
 * doing: it must not be in KVM_RUN, and must have no exit to complete. 0 or negative errno.
 */
int vcpu_keep_state(struct vcpu *vcpu);
int vcpu_restore_state(struct vcpu *vcpu);
void vcpu_forget_state(struct vcpu *vcpu);
/* Completes the exit under way, so that nothing of it reaches a state put in its place. */
void vcpu_finish_exit(struct vcpu *vcpu);
/* The body of a vCPU's thread: returns when the machine ends. */
void vcpu_loop(struct vcpu *vcpu);
/* Makes vcpu_loop() return soon. Any thread. */
void vcpu_kick(struct vcpu *vcpu);
/* The signal that takes a vCPU out of KVM_RUN. */
int vcpu_signal(void);

#endif
