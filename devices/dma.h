/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory as a device reaches it.
 *
 * A device never sees a guest-physical address: it holds a `struct dma`, its own view of memory,
 * and asks it for runs of host memory behind an I/O virtual address. Without a remapping unit the
 * view is the identity; with one, `ops` translates for the device's requester id. Both ways every
 * address is checked here, and nowhere else.
 *
 * All functions may be called from any thread. Guest memory can change under the caller at any
 * time: load a value once, then check it, then use the copy.
 */
#ifndef NIDUS_DEVICES_DMA_H
#define NIDUS_DEVICES_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A piece of guest RAM that is contiguous in guest-physical and in host-virtual space. */
struct ram_slot {
	uint64_t gpa;
	uint64_t size; /* bytes */
	uint8_t *host;
};

/* All RAM of a guest, in ascending order of gpa; constant once the VM is built. */
#define RAM_SLOTS 4
struct ram {
	unsigned int count;
	struct ram_slot slot[RAM_SLOTS];
};

/* The host address of [gpa, gpa + len), or NULL unless all of it lies in one slot. */
void *ram_ptr(const struct ram *ram, uint64_t gpa, uint64_t len);
/* All of it, in bytes; and the GPA after the last of it. */
uint64_t ram_bytes(const struct ram *ram);
uint64_t ram_end(const struct ram *ram);

enum dma_access {
	DMA_READ = 1,  /* the device reads memory */
	DMA_WRITE = 2, /* the device writes memory */
	DMA_READ_WRITE = 3,
};

struct dma;

/* What a remapping unit does for one requester. */
struct dma_ops {
	/*
	 * Translates the start of [iova, iova + len): stores the guest-physical address in *@gpa
	 * and how many bytes from there on share the translation (1 to len) in *@run. Returns 0,
	 * or -EFAULT after the unit has recorded the fault.
	 */
	int (*translate)(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
			 uint64_t *gpa, uint64_t *run);
	/* A number that changes whenever an earlier translation may have become stale. */
	uint64_t (*epoch)(const struct dma *dma);
	/* Bracket the use of translations: see dma_enter(). May be NULL, both. */
	unsigned int (*enter)(const struct dma *dma);
	void (*leave)(const struct dma *dma, unsigned int token);
};

#define DMA_NO_PASID UINT32_MAX

struct vtd_unit;
struct vtd_requester;

/* One requester's view of memory. */
struct dma {
	const struct ram *ram;
	const struct dma_ops *ops; /* NULL: no remapping unit, IOVA is GPA */
	struct vtd_unit *unit;	   /* for ops: devices/iommu.c */
	struct vtd_requester *iommu;
	uint32_t pasid;	    /* of all its requests, or DMA_NO_PASID */
	uint16_t requester; /* source-id: bus << 8 | device << 3 | function */
};

/*
 * Resolves [iova, iova + len) into at most @max runs of host memory. Neighbouring runs are merged.
 * Returns how many were stored (0 only for len 0), -EFAULT if any byte is not accessible, or -E2BIG
 * if @max is too small.
 */
int dma_runs(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
	     struct iovec *iov, unsigned int max);

/* Copies @len bytes; returns 0 or -EFAULT. On a fault a prefix may have been copied. */
int dma_read(const struct dma *dma, uint64_t iova, void *to, uint64_t len);
int dma_write(const struct dma *dma, uint64_t iova, const void *from, uint64_t len);

/*
 * Brackets accesses to memory that dma_runs() answered: between the two, what was
 * resolved stays in force even if the guest invalidates it, for the guest's wait does not end
 * before dma_leave(). Keep it short (some 64 KiB copied), and do not block. dma_read() and
 * dma_write() do it themselves. May nest. The token of dma_enter() is for dma_leave().
 *
 * What the host's kernel does with such memory on its own is outside of it: data of disk requests
 * and of packets to be sent that are in flight in the io_uring; so is console output that waits for
 * room. They go where they were resolved to when the device took them. A driver that unmaps a
 * buffer of a disk before the device has given it back, or was reset, can find it written later; it
 * is always its own VM's memory.
 */
unsigned int dma_enter(const struct dma *dma);
void dma_leave(const struct dma *dma, unsigned int token);

/* What dma_runs() answered stays true while this number does not change. */
uint64_t dma_epoch(const struct dma *dma);

#endif
