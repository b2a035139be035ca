/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What a process asks of /dev/sdmaN. One open file is one queue of the device.
 *
 * SDMA_IOC_SETUP lets the queue work in the address space of the calling process: ring, index
 * record, completion records and all data are plain pointers of that process. mmap() of one page
 * at offset 0 (shared, writable) gives the queue's doorbell. read() waits for interrupts of the
 * queue and returns their number since the last read() as a u64; poll() says whether there are any.
 * The layout of descriptors and records is that of the device: see sdma_regs.h.
 */
#ifndef SDMA_UAPI_H
#define SDMA_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define SDMA_SETUP_INTERRUPTS 0x1 /* SDMA_FLAG_INTERRUPT raises the queue's vector */

struct sdma_setup {
	__u64 ring;  /* address of the ring, aligned to 64 bytes */
	__u64 index; /* address of struct sdma_index, aligned to 8 bytes */
	__u32 log2;  /* descriptors of the ring, log2 */
	__u32 flags; /* SDMA_SETUP_* */
	__u32 queue; /* out: the number of the queue */
	__u32 pasid; /* out: the PASID that its requests carry */
};

struct sdma_info {
	__u32 version;
	__u32 queues;
	__u32 operations; /* bit n: operation n is there */
	__u32 status;	  /* SDMA_STATUS_* */
	__u64 length_max; /* bytes of one descriptor */
	__u32 atc_entries;
	__u32 vectors; /* interrupt vectors the driver got; 0: none */
};

/* The counters are those since the queue was set up; they stay readable once it has stopped. */
struct sdma_status {
	__u32 state;  /* enum sdma_state */
	__u32 reason; /* enum sdma_halt */
	__u64 error;  /* the address that halted the queue */
	__u64 descriptors;
	__u64 bytes;
	__u64 atc_hits;
	__u64 atc_misses;
	__u64 page_requests;
	__u64 page_failures;
	__u64 invalidations;
	__u64 untranslated;
};

#define SDMA_KERNEL_STREAMING 0x1 /* map and unmap for each copy; else coherent memory */
#define SDMA_KERNEL_VERIFY    0x2 /* fill, and compare every copy */

#define SDMA_KERNEL_BYTES_MAX (4U << 20)

/* Copies between buffers of the kernel, which the DMA API has mapped, through this queue. */
struct sdma_kernel_copy {
	__u32 bytes; /* of one copy: 8 to SDMA_KERNEL_BYTES_MAX */
	__u32 copies;
	__u32 flags;	   /* SDMA_KERNEL_* */
	__u32 status;	   /* out: enum sdma_completion_status of the last one */
	__u64 done;	   /* out: copies that completed */
	__u64 wrong;	   /* out: copies whose bytes were not those of the source */
	__u64 nanoseconds; /* out: from first to last, without filling and comparing */
	/* out, of these: mapping and unmapping both buffers; 0 unless streaming */
	__u64 map_nanoseconds;
	__u64 unmap_nanoseconds;
};

/*
 * Errors of SETUP: EBUSY the queue is set up already, EINVAL a value is out of range, EOPNOTSUPP no
 * interrupts, or no shared virtual addressing on this machine; ENOSPC no PASID is left.
 * Of STOP, STATUS and KERNEL_COPY: EPERM the queue belongs to another process. Of all: ENODEV the
 * device is gone, EAGAIN it is being reset.
 */
#define SDMA_IOC_INFO	     _IOR(0xd5, 0, struct sdma_info)
#define SDMA_IOC_SETUP	     _IOWR(0xd5, 1, struct sdma_setup)
#define SDMA_IOC_STOP	     _IO(0xd5, 2)
#define SDMA_IOC_STATUS	     _IOR(0xd5, 3, struct sdma_status)
#define SDMA_IOC_KERNEL_COPY _IOWR(0xd5, 4, struct sdma_kernel_copy)

#endif
