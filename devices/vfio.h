/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pass-through of real PCI functions, in two layers:
 *
 * - vfio_host*.c: what the host's kernel gives us: one DMA context for the VM (iommufd, or type1
 *   containers where the kernel has no iommufd), the device's file descriptor, and the bindings
 * that a guest's PASID entries ask for (struct vtd_host_ops)
 * - vfio_pci*.c: the PCI function that the guest sees: configuration space, BARs, interrupts, reset
 *
 * Everything is opened before the sandbox closes. What the host refuses is said in one line that
 * names the device, the reason and the remedy; nothing falls back to something slower unasked.
 */
#ifndef NIDUS_DEVICES_VFIO_H
#define NIDUS_DEVICES_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct pci_host;
struct ram;
struct vtd_requester;
struct vtd_unit;

/* --- The VM's DMA context: vfio_host.c --- */

enum vfio_backend { VFIO_IOMMUFD, VFIO_TYPE1 };
enum vfio_nested { VFIO_NESTED_AUTO, VFIO_NESTED_ON, VFIO_NESTED_OFF };

struct vfio_context;
struct vfio_kernel;

struct vfio_context_options {
	int iommufd; /* inherited /dev/iommu, closed with the context; -1: opened if it is there */
	/* PASIDs, and host domains, that the VM may use at most of each; 0: VFIO_PASID_QUOTA. */
	unsigned int pasid_quota;
	const struct vfio_kernel *kernel; /* NULL: the real one (vfio_host_kernel.h) */
};

#define VFIO_PASID_QUOTA 1000

/*
 * Opens the context for @ram, which is mapped, read-write, when the first device needs it, and must
 * live as long. 0, or a negative errno with one line in @error.
 */
int vfio_context_open(struct vfio_context **context, const struct ram *ram, struct loop *loop,
		      const struct vfio_context_options *options, char *error, size_t size);
/*
 * Ends the reading of page requests: its last operation leaves @loop soon (loop_in_flight()), which
 * vfio_context_close() is to come after. Loop thread.
 */
void vfio_context_stop(struct vfio_context *context);
/*
 * After all devices were closed. NULL is ignored. When vfio_context_stop() has had its effect, or
 * where the loop has never turned, and never will (loop_destroy()). Any thread.
 */
void vfio_context_close(struct vfio_context *context);

/* --- A device of the host: vfio_host.c --- */

struct vfio_device_options {
	const char *name;   /* as the user wrote it: for messages */
	const char *device; /* BDF with or without domain, or a sysfs path; NULL if fd is given */
	int fd;		    /* inherited VFIO cdev, closed with the device; or -1 */
	enum vfio_nested nested;
};

/* What is known of it after vfio_device_open(). */
struct vfio_device {
	struct vfio_context *context;
	enum vfio_backend backend;
	int fd; /* VFIO device: regions, interrupts, reset */
	char name[64];
	uint32_t num_regions, num_irqs;
	bool reset;		 /* VFIO_DEVICE_RESET works */
	unsigned int pasid_bits; /* that may be given to the guest; 0: no PASID capability */
	bool pasid_priv;
	bool pri;	/* page requests reach us */
	bool ats;	/* it has a device-TLB that the host may use */
	bool nested;	/* first-stage tables of the guest may be nested */
	char path[192]; /* the way taken and why, for people: `nidus stats` and the start-up line */
	uint64_t host_cap, host_ecap; /* of the host's VT-d unit; 0: unknown */
	void *backend_data;	      /* of vfio_host*.c */
};

/*
 * Opens the device and binds it to the context: no access to it works before (vfio.h). 0, or a
 * negative errno with a line in @error. *@device must stay where it is until vfio_device_close().
 */
int vfio_device_open(struct vfio_context *context, const struct vfio_device_options *options,
		     struct vfio_device *device, char *error, size_t size);
/*
 * Detaches it from everything; the kernel answers what page requests are left. Not while its unit
 * may call: after vtd_destroy(), or when no thread of the VM runs any more.
 */
void vfio_device_close(struct vfio_device *device);

/*
 * Before a reset of the device: answers ("invalid") its outstanding page requests and forgets them,
 * in the host and in the unit. Any thread, without the unit's lock.
 */
void vfio_device_answer_faults(struct vfio_device *device);

/*
 * Runs @replace(), which closes device->fd and puts something in its place, and forgets what page
 * requests of the device are outstanding, which the kernel has answered then. What @replace()
 * returns: 0, or a negative errno, and nothing has changed. Any thread, without the unit's lock.
 */
int vfio_device_give_back(struct vfio_device *device, int (*replace)(void *context), void *context);

/*
 * After the function is on its bus: maps RAM and attaches the device. Without a unit (@unit NULL)
 * the guest's physical addresses are what it sees; behind one the requester becomes a real device
 * (vtd_set_host()), and guest entries decide. 0 or a negative errno with a line in @error.
 */
int vfio_device_attach(struct vfio_device *device, struct vtd_unit *unit,
		       struct vtd_requester *requester, char *error, size_t size);

/* --- Its memory, as a target of other devices' DMA: vfio_host_p2p.c --- */

#define VFIO_PEER_NOWHERE UINT64_MAX

/* A piece of a BAR in whole pages: the first four are its owner's to set, the rest is ours. */
struct vfio_peer {
	uint32_t region;       /* VFIO_PCI_BAR0_REGION_INDEX and on */
	uint64_t offset, size; /* bytes in it */
	void *host;	       /* our mapping of it */
	struct vfio_device *device;
	struct vfio_peer *next; /* in the context */
	uint64_t gpa;		/* where the guest has it, or VFIO_PEER_NOWHERE */
	int dmabuf;		/* or why there is none: negative errno */
	bool mapped;		/* in the address space of iommufd */
};

/* Makes @peer, which stays where it is until vfio_peer_close(), known. While the VM is built. */
void vfio_peer_open(struct vfio_device *device, struct vfio_peer *peer);
/*
 * The guest has it at @gpa from now on; or nowhere any more, if it was somewhere. Best effort: what
 * the host refuses is told and counted. Any thread, without the context's lock; not both at once
 * for one peer.
 */
void vfio_peer_map(struct vfio_peer *peer, uint64_t gpa);
void vfio_peer_unmap(struct vfio_peer *peer);
/* Before vfio_device_close(). One that was never opened is ignored. */
void vfio_peer_close(struct vfio_peer *peer);

/* Counters, monotonic, each exact, readable at any time from any thread. */
struct vfio_host_counters {
	uint64_t ioctls;	    /* of all kinds, from vfio_device_open() on */
	uint64_t binds, unbinds;    /* attached or replaced; detached */
	uint64_t domains;	    /* created for this device; it may use others beside */
	uint64_t invalidate_calls;  /* ioctls of first-stage domains: one for each and wait */
	uint64_t invalidate_ranges; /* in them */
	uint64_t faults;	    /* page requests read; several make a group */
	uint64_t responses;	    /* to groups, the next included */
	uint64_t auto_responses;    /* not by the guest */
	uint64_t errors;	    /* ioctls that failed, and page requests that nobody wanted */
	uint64_t maps, unmaps;	    /* of memory: at the start, and for second-stage shadows */
	uint64_t peer_maps;	    /* of its BARs, for other devices' DMA */
	uint64_t peer_refusals;	    /* of the same, by the host */
};
struct vfio_host_counters vfio_host_counters(const struct vfio_device *device);

/* --- The function that the guest sees: vfio_pci.c --- */

struct vfio_pci;

/*
 * Puts @device on the guest's bus as a root-complex integrated endpoint. NULL: errno, and a line in
 * @error. Owns nothing of @device but its interrupts and mappings.
 */
struct vfio_pci *vfio_pci_create(struct pci_host *host, struct loop *loop, const char *name,
				 struct vfio_device *device, char *error, size_t size);
void vfio_pci_destroy(struct vfio_pci *pci);
/* vfio_device_attach() for it, with the unit that it is behind. */
int vfio_pci_attach(struct vfio_pci *pci, char *error, size_t size);
/* End of the VM: interrupts off, the device reset, no DMA any more. Loop thread. */
void vfio_pci_quiesce(struct vfio_pci *pci);

struct vfio_pci_counters {
	uint64_t config_reads, config_writes, bar_exits, interrupts_routed;
	uint64_t resets; /* that the host has done */
	uint64_t errors; /* those that it has not */
};
struct vfio_pci_counters vfio_pci_counters(const struct vfio_pci *pci);

/*
 * Whether @device (as in struct vfio_device_options) is there, bound, and ours to open; nothing is
 * opened. 0, or a negative errno with the line that vfio_device_open() would give. vfio_bind.c.
 */
int vfio_device_check(const char *device, char *error, size_t size);

/* --- Binding to vfio-pci: vfio_bind.c, for `nidus vfio bind|unbind BDF` --- */

/* 0, or a negative errno with a line in @error that says what is in the way. */
int vfio_bind(const char *device, char *error, size_t size);
int vfio_unbind(const char *device, char *error, size_t size);

/* True if both names say by themselves that they are one device: addresses, or paths that end in
 * one. */
bool vfio_same_device(const char *device, const char *other);

/* The full address of @device, and its driver in this host or "". 0 or a negative errno. */
int vfio_driver(const char *device, char address[16], char driver[32], char *error, size_t size);

#endif
