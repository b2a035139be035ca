/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the host backend: what its files share. Nobody outside vfio_host*.c and its tests
 * includes this.
 *
 *   vfio_host.c         context and devices: opened, attached, closed; the table for viommu/
 *   vfio_host_kernel.c  the system calls
 *   vfio_host_find.c    from what the user wrote to a device file, and what is in the way
 *   vfio_host_info.c    what the host's unit and the device can do, and which bit is missing
 *   vfio_host_iommufd.c one function for each ioctl
 *   vfio_host_domain.c  domains: parents, nested ones, shadows; shared and counted
 *   vfio_host_bind.c    what is attached to each PASID, and invalidations
 *   vfio_host_fault.c   page requests, read and delivered
 *   vfio_host_group.c   those that wait for an answer
 *   vfio_host_ranges.c  addresses to invalidate
 *   vfio_host_shadow.c  second-stage tables of the guest, copied into a host address space
 *   vfio_host_space.c   the address space that it is, and what may be mapped
 *   vfio_host_walk.c    the walk through these tables
 *   vfio_host_p2p.c     memory of devices as a target of DMA
 *   vfio_host_type1.c   groups and containers, for kernels without iommufd
 *
 * Locks. A context's `lock` protects its domains and what is attached where; it is taken with the
 * unit's locks held, by threads of vCPUs. Inside of it come the two of the fault queue
 * (vfio_host_fault.h), which the loop's thread takes as well: nothing sleeps with these held but
 * single system calls. None of these waits for a page response, so nobody has to answer meanwhile:
 * the kernel's drain of page requests, at the end of an attachment, waits for its own threads.
 *
 * The loop's thread takes a context's `lock`, too, where it unmaps the BARs of a device that the
 * host wants back (vfio_peer_unmap()). All I/O of the VM then waits for the bind or the flush that
 * is under way: what these do is bounded (vfio_host_shadow.h), what takes long looks at
 * vtd_halted(), and none waits for the loop's thread but for a delivery of page requests.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_H
#define NIDUS_DEVICES_VFIO_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/dma.h"
#include "devices/vfio.h"
#include "devices/vfio_host_kernel.h"
#include "devices/vfio_host_ranges.h"
#include "viommu/vtd.h"

#define VFIO_BUCKETS 256 /* of the two hash tables */

struct vfio_faults;
struct vfio_shadow;
struct vfio_type1;

/* --- Domains --- */

enum vfio_domain_kind {
	VFIO_PARENT, /* all RAM at its guest-physical address; others can be nested in it */
	VFIO_NESTED, /* a first-stage table of the guest, in a parent or a shadow */
	VFIO_SHADOW, /* a second-stage table of the guest */
};

/* What makes two domains the same. */
struct vfio_domain_key {
	enum vfio_domain_kind kind;
	struct vfio_domain *parent; /* NESTED: in what; SHADOW: the device's parent */
	uint64_t root;		    /* NESTED and SHADOW: GPA of the guest's table */
	unsigned int width;	    /* the same: bits of its input addresses */
	uint32_t flags;		    /* NESTED: enum uapi_iommu_vtd_s1_flags */
	bool faultable;		    /* NESTED: page requests are ours */
	bool nests;		    /* SHADOW: something is to be nested in it */
};

struct vfio_domain {
	struct vfio_domain *next; /* in its bucket, or in the list of parents */
	struct vfio_domain_key key;
	uint32_t hwpt; /* the kernel's object */
	unsigned int references;
	uint64_t cap, ecap;	    /* PARENT: of the host units that it is for */
	bool pasid;		    /* PARENT: for devices with PASIDs */
	struct vfio_shadow *shadow; /* SHADOW */
	/* What is to be invalidated at the end of the guest's wait, and for whom: vfio_host.bit. */
	struct vfio_ranges ranges;
	struct vfio_domain *next_pending;
	uint64_t waiting;
};

/* --- Context and devices --- */

struct vfio_host;

/* What shadows take; how much at most: vfio_host_shadow.h. */
struct vfio_use {
	uint64_t bytes; /* mapped: the page tables for them are the kernel's memory */
	unsigned int mappings;
	unsigned int tables; /* of the guest: the most of a look since the last at all of it */
};

struct vfio_context {
	const struct vfio_kernel *kernel;
	const struct ram *ram;
	struct loop *loop;
	int iommufd;		 /* negative: there is none */
	pthread_mutex_t lock;	 /* protects all that follows, and every attachment */
	struct vfio_host *hosts; /* open devices */
	struct vfio_domain *parents;
	struct vfio_domain *bucket[VFIO_BUCKETS]; /* the others, by root */
	struct vfio_domain *pending;		  /* domains that somebody waits for */
	struct vfio_peer *peers;		  /* memory of devices */
	struct vfio_faults *faults;		  /* NULL: no device has page requests */
	uint32_t ioas;				  /* RAM */
	bool mapped;
	unsigned int quota, domains, pasids; /* how many at most of each, and now */
	struct vfio_use shadows;	     /* of all of them together */
	unsigned int vain;		     /* tables looked at for nothing, by this flush */
};

/* What is bound to one PASID of a device. */
struct vfio_attachment {
	struct vfio_attachment *next; /* in its bucket */
	uint32_t pasid;		      /* or VTD_NO_PASID */
	struct vfio_domain *domain;
};

/* A device: what is behind struct vfio_device. */
struct vfio_host {
	struct vfio_host *next;
	struct vfio_device *device;
	struct vfio_context *context;
	const struct vfio_kernel *kernel;
	uint64_t bit;	    /* its own among the VM's devices */
	uint32_t dev_id;    /* iommufd's name for it */
	bool stuck;	    /* it was waited for in vain: not again, until something works */
	bool peers_told;    /* that its memory is no target of DMA */
	bool pasid_api;	    /* the kernel attaches PASIDs, and wants to be told of it */
	char address[16];   /* "0000:06:0d.0"; "" for an inherited file */
	int group;	    /* of the host's IOMMU, or -1: unknown */
	char unit_name[32]; /* of the host's unit: "dmar0"; "" if unknown */
	struct vfio_domain *parent;
	struct vfio_attachment *bucket[VFIO_BUCKETS];
	struct vfio_type1 *type1; /* NULL: iommufd */
	struct vtd_unit *unit;
	struct vtd_requester *requester;
	struct vtd_host_ops ops;	    /* for vtd_set_host() */
	struct vfio_host_counters counters; /* atomic */
};

static inline void vfio_count(uint64_t *counter, uint64_t add)
{
	__atomic_fetch_add(counter, add, __ATOMIC_RELAXED);
}

/* Writes the line that a person sees and returns @rc, a negative errno. */
__attribute__((format(printf, 4, 5))) int vfio_error(int rc, char *error, size_t size,
						     const char *format, ...);

/* What a line about a file that could not be opened for reason @rc ends with: maybe nothing. */
const char *vfio_remedy(int rc);

/* The line for a device that the kernel opens with a VF token only. Returns -EACCES. */
int vfio_needs_token(const char *name, char *error, size_t size);

/* --- vfio_host_find.c --- */

/* Where a device is in the host. */
struct vfio_place {
	char address[16]; /* "0000:06:0d.0" */
	char sysfs[192];  /* its directory */
	char cdev[64];	  /* "/dev/vfio/devices/vfio0"; "" if the kernel has no such thing */
	char unit[32];	  /* of the host: "dmar0"; "" if it has none or does not say */
	int group;	  /* IOMMU group, or -1 */
};

/* Finds @name: [DOMAIN:]BUS:DEVICE.FUNCTION or a path in sysfs. 0 or a negative errno and a line.
 */
int vfio_find(const struct vfio_kernel *kernel, const char *name, struct vfio_place *place,
	      char *error, size_t size);
/* The same without asking that it is bound to a VFIO driver; @driver gets its driver, or "". */
int vfio_find_any(const struct vfio_kernel *kernel, const char *name, struct vfio_place *place,
		  char *driver, size_t driver_size, char *error, size_t size);

/* The IOMMU group of the device whose file in /dev/vfio/devices @fd is; -1 if it cannot be told. */
int vfio_find_group(const struct vfio_kernel *kernel, int fd);
/*
 * 0, or -EBUSY and a line if another device of the VM is in @host's IOMMU group, or may be, and one
 * of the two is behind a unit of the guest; @behind: @host is.
 */
int vfio_check_group(const struct vfio_host *host, bool behind, char *error, size_t size);

/* --- vfio_host_info.c --- */

/* The configuration space of the device: bits (1 << id) of the extended capabilities it has. */
uint64_t vfio_extended_capabilities(struct vfio_host *host);
/*
 * Asks what the host's unit and the device can do and decides on nesting: fills in what struct
 * vfio_device tells. @nested VFIO_NESTED_ON: an error and a line if it cannot be. 0 or negative
 * errno.
 */
int vfio_host_info(struct vfio_host *host, enum vfio_nested nested, char *error, size_t size);
/* 0, or -ERANGE and a line if the guest has memory beyond the addresses of the host's unit. */
int vfio_check_width(const struct vfio_host *host, char *error, size_t size);

/* --- vfio_host_iommufd.c: one ioctl each; 0 or a negative errno --- */

/* Counted, and repeated when a signal came. Returns what the system call does. */
int vfio_ioctl(struct vfio_host *host, int fd, unsigned long request, void *argument);

int vfio_iommufd_ioas(struct vfio_host *host, uint32_t *ioas);
int vfio_iommufd_destroy(struct vfio_host *host, uint32_t object);
/* Maps memory of this process, readable and writable. */
int vfio_iommufd_map(struct vfio_host *host, uint32_t ioas, uint64_t iova, void *from,
		     uint64_t len);
/* Maps what another address space of ours has at @from. */
int vfio_iommufd_copy(struct vfio_host *host, uint32_t ioas, uint64_t iova, uint32_t from_ioas,
		      uint64_t from, uint64_t len, bool read, bool write);
int vfio_iommufd_unmap(struct vfio_host *host, uint32_t ioas, uint64_t iova, uint64_t len);
/* A second-stage domain of @ioas; @flags: enum uapi_iommu_hwpt_flags. */
int vfio_iommufd_paging(struct vfio_host *host, uint32_t ioas, uint32_t flags, uint32_t *hwpt);
/* A first-stage domain with @key's table in @parent. @fault_id: of the queue, if key->faultable. */
int vfio_iommufd_nested(struct vfio_host *host, uint32_t parent, const struct vfio_domain_key *key,
			uint32_t flags, uint32_t fault_id, uint32_t *hwpt);
/* Sends @ranges, which is not empty. */
int vfio_iommufd_invalidate(struct vfio_host *host, uint32_t hwpt,
			    const struct vfio_ranges *ranges);
int vfio_iommufd_fault_queue(struct vfio_host *host, uint32_t *id, int *fd);
/*
 * Attaches @hwpt to requests with @pasid, in the place of what was there; @pasid VTD_NO_PASID:
 * those without. -EBUSY while the device is being reset.
 */
int vfio_iommufd_attach(struct vfio_host *host, uint32_t pasid, uint32_t hwpt);
/* A device that was given back to the host is detached: it went with its file. */
int vfio_iommufd_detach(struct vfio_host *host, uint32_t pasid);

/* --- vfio_host_domain.c; context->lock held --- */

/*
 * The domain that @binding asks for, new or shared, with a reference for the caller. It is to be in
 * the place of @old, or NULL: what goes with that does not count. 0; -ENOSPC: of the quota, of the
 * host's domain-ids, or of what shadows may take; -EOPNOTSUPP: the host cannot; -ECANCELED: the
 * unit is halted; or the kernel's error.
 */
int vfio_domain_get(struct vfio_host *host, const struct vtd_binding *binding,
		    const struct vfio_domain *old, struct vfio_domain **domain);
/* Drops a reference. The last one destroys it: nothing may be attached to it any more. */
void vfio_domain_put(struct vfio_host *host, struct vfio_domain *domain);
/*
 * 0, or -ENOMEM and a line if this process may not lock all RAM. iommufd does it once, now; type1
 * each device for itself, when it is mapped: all devices that are open by now are counted.
 */
int vfio_check_memlock(const struct vfio_host *host, char *error, size_t size);
/* Maps RAM, once, and makes host->parent. */
int vfio_domain_parent(struct vfio_host *host, char *error, size_t size);
/*
 * The devices of @bits do not wait for *@at any more, which leaves the list of pending domains when
 * nobody does. What follows it in the list.
 */
struct vfio_domain **vfio_domain_settle(struct vfio_domain **at, uint64_t bits);
/* Destroys all parents; nothing is attached any more. */
void vfio_domains_close(struct vfio_context *context);

/* --- vfio_host_bind.c: struct vtd_host_ops; they take context->lock --- */

#define VFIO_RESET_MS 1000 /* that bind() waits for a reset of the device to end */

int vfio_host_bind(void *context, uint32_t pasid, const struct vtd_binding *binding);
int vfio_host_unbind(void *context, uint32_t pasid);
int vfio_host_invalidate(void *context, uint32_t pasid, const struct vtd_host_invalidation *list,
			 unsigned int count);
int vfio_host_flush(void *context);
/* Detaches everything. */
void vfio_host_unbind_all(struct vfio_host *host);

/* --- vfio_host_p2p.c; context->lock held --- */

/* The container of @host is the guest's physical address space now; or is about to be none. */
void vfio_peers_enter(struct vfio_host *host);
void vfio_peers_leave(struct vfio_host *host);

/* --- vfio_host_fault.c and vfio_host_group.c --- */

/* Opens the VM's queue, if @host is the first to need it, and takes its page requests from it. */
int vfio_faults_open(struct vfio_host *host);
void vfio_faults_stop(struct vfio_context *context);
void vfio_faults_close(struct vfio_context *context);
uint32_t vfio_faults_id(const struct vfio_context *context);
/*
 * Runs @change(), which takes @pasid of @host away from its domain or gives it another one. The
 * kernel then answers what it has of it; all our memory of it goes at the same time.
 */
int vfio_faults_change(struct vfio_host *host, uint32_t pasid,
		       int (*change)(struct vfio_host *host, uint32_t pasid, uint32_t hwpt),
		       uint32_t hwpt);
/*
 * Runs @replace(), which closes @host's file: the kernel then answers what it has of it. If that
 * succeeds, all memory of its groups goes at the same time, ours and the unit's.
 */
int vfio_faults_give_back(struct vfio_host *host, int (*replace)(void *context), void *context);
/* @host is closed. */
void vfio_faults_forget(struct vfio_host *host);
/* Answers "invalid" to all that is outstanding of @host, which the unit forgets. */
void vfio_faults_answer_all(struct vfio_host *host);
/* respond() of struct vtd_host_ops. */
int vfio_host_respond(void *context, uint32_t pasid, unsigned int group, unsigned int code);

#endif
