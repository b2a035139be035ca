/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A passed-through device without a kernel: the functions of its file, with configuration space and
 * regions in memory, and the rules that the kernel has for interrupts.
 */
#ifndef NIDUS_TESTS_FAKE_VFIO_H
#define NIDUS_TESTS_FAKE_VFIO_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio_pci.h"

#define FAKE_VFIO_FD	  1000
#define FAKE_VFIO_VECTORS 64
#define FAKE_VFIO_SPARSE  20

struct fake_region {
	uint64_t size;
	uint32_t flags;
	uint8_t *memory;
	unsigned int sparse_count; /* 0: no such capability */
	struct vfio_region_sparse_mmap_area sparse[FAKE_VFIO_SPARSE];
};

struct fake_vfio {
	struct vfio_file file;
	struct vfio_device device;
	struct fake_region region[VFIO_PCI_NUM_REGIONS];
	uint8_t *config; /* of the device */
	struct fake_irq {
		uint32_t count, flags;
		bool enabled;
		unsigned int vectors; /* it was enabled with */
		int eventfd[FAKE_VFIO_VECTORS];
		bool masked; /* automatically, by being signalled */
		unsigned int unmasked;
	} irq[VFIO_PCI_NUM_IRQS];
	unsigned int resets, reads, writes, maps, unmaps;
	unsigned int slept; /* ms */
	uint16_t command_at_reset;
	int replaced_by; /* -1: it was not */
	/* Of the last write to configuration space. */
	unsigned int written_at, written_size;
	/* What shall go wrong. */
	bool no_map, no_config, no_irqs;
	bool slow;		  /* it takes a while until interrupts are off */
	unsigned int fail_resets; /* from now on */
	int reset_error;
	int few_irqs; /* that the host has; 0: enough */
};

/*
 * A device with nothing but ids, a config region of 4 KiB, and reset: capabilities, regions and
 * interrupts are added below, before it is passed to vfio_pci_create_on().
 */
struct fake_vfio *fake_vfio_create(void);
void fake_vfio_destroy(struct fake_vfio *fake);

/* Adds BAR @index: the type bits of its register are @type. */
void fake_vfio_bar(struct fake_vfio *fake, unsigned int index, uint64_t size, uint32_t type,
		   bool mappable);
void fake_vfio_region(struct fake_vfio *fake, unsigned int index, uint64_t size, uint32_t flags);

/* Puts a capability at @at, and links it in front of the others. */
void fake_vfio_cap(struct fake_vfio *fake, unsigned int at, uint8_t id);
/* Extended ones must be put in ascending order, the first at 0x100. */
void fake_vfio_ext_cap(struct fake_vfio *fake, unsigned int at, uint16_t id, unsigned int after);

/* The device signals an interrupt; false: nobody listens. */
bool fake_vfio_signal(struct fake_vfio *fake, unsigned int index, unsigned int vector);

#endif
