/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host kernel in memory, for devices/vfio_host*.c: iommufd, VFIO's files, groups and type1
 * containers, and the few files of sysfs. It keeps the books, refuses what the kernel refuses, and
 * notes the first call that breaks a rule that the kernel does not enforce. Any call can be made to
 * fail. No test framework in here.
 */
#ifndef NIDUS_TESTS_FAKE_IOMMUFD_H
#define NIDUS_TESTS_FAKE_IOMMUFD_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio_host_kernel.h"

#define FAKE_OBJECTS 512
#define FAKE_DEVICES 2
#define FAKE_CALLS   4096
#define FAKE_GROUPS  1024
#define FAKE_WRITES  16

#define FAKE_DMABUF UINT64_C(0xd000000000)

enum fake_kind { FAKE_FREE, FAKE_IOAS, FAKE_PAGING, FAKE_NESTED, FAKE_QUEUE };

struct fake_mapping {
	uint64_t iova, len, va;
	bool read, write;
};

struct fake_object {
	enum fake_kind kind;
	uint32_t below; /* PAGING: its IOAS; NESTED: its parent */
	uint32_t flags, s1_flags, width, fault_id;
	uint64_t root;
	unsigned int users; /* objects on top, and attachments */
	unsigned int maps;
	struct fake_mapping *map; /* of an IOAS; not sorted */
	uint64_t end;		  /* no mapping goes beyond */
	unsigned int invalidations, ranges;
	uint64_t address, pages; /* of the last range */
	uint32_t range_flags;
};

struct fake_attachment {
	struct fake_attachment *next;
	uint32_t pasid; /* or UINT32_MAX */
	uint32_t hwpt;
};

struct fake_vfio_device {
	const char *address, *driver, *unit;
	bool open, bound, no_cdev, no_group, no_reset, taken_back, bridge;
	unsigned int pasid_bits, group; /* of the IOMMU: its members have one table */
	uint64_t capabilities, cap, ecap;
	uint32_t info_type;
	uint8_t config[4096];
	struct fake_attachment *attached;
	uint32_t container; /* type1: an IOAS, or 0 */
};

/* A page request group, from fake_fault() to its answer. */
struct fake_group {
	bool used, read;
	unsigned int device;
	uint32_t pasid, count, cookie, perm, answer; /* answer: UINT32_MAX while there is none */
	uint64_t address;
};

struct fake_iommufd {
	struct vfio_kernel kernel;
	struct fake_vfio_device device[FAKE_DEVICES];
	struct fake_object object[FAKE_OBJECTS]; /* an id is the index plus 1 */
	bool no_iommufd, no_pasid_api, unsafe_interrupts, group_busy, no_driver,
		denylisted; /* vfio-pci takes none */
	bool elsewhere;	    /* names lead out of sysfs */
	bool dmabuf;	    /* memory of devices can be mapped: each piece is at FAKE_DMABUF */
	bool token;	    /* devices are opened with a VF token only */
	bool no_sysfs;	    /* it is not mounted */
	int open_error;	    /* of /dev/iommu */
	uint64_t memlock;
	bool ipc_lock;		       /* the capability, which the sandbox takes */
	unsigned int opens;	       /* files that are open */
	unsigned int left;	       /* nested domains when /dev/iommu was closed */
	unsigned int failed_destroys;  /* for no other reason than to test it */
	unsigned int hardware_domains; /* that may be attached */
	unsigned int slept;	       /* ms */
	void *others;		       /* of a test */

	unsigned long calls[FAKE_CALLS]; /* ioctls */
	unsigned int call_count;
	unsigned int fail_call;	    /* the n-th call from now on (1: the next) fails; 0: none */
	bool fail_rest;		    /* and so do all after it, until fail_call is 0 again */
	unsigned long fail_request; /* calls of this number fail, fail_times times */
	unsigned int fail_times;
	unsigned int fail_reads; /* of the queue, from now on */
	bool mute; /* a read says 0 of a group that does not fit, as some kernels do */
	int fail_error;
	unsigned int meanwhile_call; /* while the n-th call is made (1: the next), ... */
	void (*meanwhile)(void *context);
	void *meanwhile_context;

	int queue_fd;
	struct fake_group group[FAKE_GROUPS];
	unsigned int stray_answers; /* to cookies that nobody waits for */

	/* An address that must be mapped all the time: gap says that it was not. */
	bool watched, gap;
	unsigned int watch_device;
	uint64_t watch_iova;

	/* What was written to sysfs. */
	unsigned int writes;
	struct {
		char path[128], text[32];
	} written[FAKE_WRITES];

	const char *broken; /* the first rule that a call broke, or NULL */
};

/* The file of a device, for who inherits it. */
int fake_device_file(struct fake_iommufd *fake, unsigned int device);

/* Two devices, 0000:06:0d.0 and 0000:06:0e.0, behind a unit that can do everything. */
void fake_iommufd_init(struct fake_iommufd *fake);
void fake_iommufd_destroy(struct fake_iommufd *fake);

/* What the file of a device is, is none of VFIO any more. */
void fake_take_back(struct fake_iommufd *fake, unsigned int device);

/* Objects of a kind that exist. */
unsigned int fake_objects(const struct fake_iommufd *fake, enum fake_kind kind);
/* What is attached, or NULL; @pasid UINT32_MAX: to requests without. */
const struct fake_object *fake_attached(const struct fake_iommufd *fake, unsigned int device,
					uint32_t pasid);
/* How often @request was called since call number @since. */
unsigned int fake_called(const struct fake_iommufd *fake, unsigned int since,
			 unsigned long request);
/* A DMA without PASID through an IOAS: the host address, or 0. */
uint64_t fake_translate(const struct fake_iommufd *fake, unsigned int device, uint64_t iova,
			bool write);
/* A group of @count page requests. Returns its number for fake->group[]. */
unsigned int fake_fault(struct fake_iommufd *fake, unsigned int device, uint32_t pasid,
			uint64_t address, uint32_t perm, unsigned int count);

#endif
