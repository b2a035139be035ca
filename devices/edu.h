/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edu (1234:11e8): the educational PCI device of QEMU's docs/specs/edu.rst, for drivers and tests
 * that were written for it. A factorial, interrupts by INTA# or MSI, and DMA to and from a buffer
 * of 4096 bytes; an expansion ROM if it is given one.
 *
 * As there, but: work is done at once, in the loop's thread; a transfer that leaves the buffer or
 * the DMA mask moves nothing, where QEMU ends the VM or wraps the address.
 */
#ifndef NIDUS_DEVICES_EDU_H
#define NIDUS_DEVICES_EDU_H

#include <stdbool.h>
#include <stdint.h>

#define EDU_VENDOR   0x1234
#define EDU_DEVICE   0x11e8
#define EDU_DMA_BITS 28 /* what QEMU's has */

struct edu;
struct loop;
struct pci_host;

struct edu_counters {
	uint64_t factorials;
	uint64_t transfers; /* DMA commands done */
	uint64_t bytes_in;  /* written to guest memory */
	uint64_t bytes_out; /* read from guest memory */
	uint64_t errors;    /* transfers that failed */
	uint64_t interrupts;
};

/*
 * Makes the function and puts it on @host. @name is copied. It reaches addresses of @dma_bits bits
 * (12 to 64, EDU_DMA_BITS usually). NULL: errno is set. While the machine is built.
 */
struct edu *edu_create(struct pci_host *host, struct loop *loop, const char *name,
		       unsigned int dma_bits);

/*
 * Makes @size bytes at @image, which are copied, its expansion ROM. 0, -EINVAL (none, or more than
 * PCI_ROM_MAX) or -ENOMEM. While the machine is built, once.
 */
int edu_set_rom(struct edu *edu, const void *image, uint64_t size);

/* The machine ends: nothing more is done. In the loop's thread, or after it. */
void edu_quiesce(struct edu *edu);

/* As power-on. False if it still works on something: try again. Any thread, when no vCPU runs. */
bool edu_reset(struct edu *edu);

/* After edu_quiesce() and a drained loop, when no vCPU runs. */
void edu_destroy(struct edu *edu);

const char *edu_name(const struct edu *edu);

/* A copy of the counters; any thread. */
struct edu_counters edu_counters_read(struct edu *edu);

#endif
