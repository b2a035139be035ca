/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sdma device (devices/sdma.md): capabilities, queues, descriptors, as bare as tests want them.
 */
#ifndef BARE_SDMA_H
#define BARE_SDMA_H

#include "lib/base.h"
#include "lib/pci.h"

#include "devices/sdma_regs.h"

#define SDMA_RING_LOG2 4 /* descriptors of the rings here */

enum pci_extended_capability { PCI_EXT_ATS = 0x0f, PCI_EXT_PRI = 0x13, PCI_EXT_PASID = 0x1b };

/* Address of the extended capability @id of @devfn in ECAM; 0 if there is none. */
uintptr_t pci_extended(unsigned int devfn, uint16_t id);

struct sdma {
	unsigned int devfn;
	uintptr_t registers, doorbells;
	unsigned int queues;
	struct msix msix;
	uintptr_t ats, pri, pasid; /* capabilities, in ECAM; 0: none */
};

/* A queue: its memory lies at @ring, and the device sees it at @ring - @memory + iova. */
struct sdma_queue {
	const struct sdma *sdma;
	unsigned int number;
	volatile struct sdma_descriptor *ring;
	volatile struct sdma_index *index;
	volatile struct sdma_completion *completion; /* one for each descriptor of the ring */
	uint64_t iova;				     /* of the page that holds all three */
	uint32_t tail;
};

/* The first one at or after @devfn: bus master, reset, PASID, ATS and PRI off. */
bool sdma_open(struct sdma *sdma, unsigned int devfn);

/* In the right order; PRI with all the requests that it can have. */
void sdma_enable(const struct sdma *sdma, bool pasid, bool ats, bool pri);

/* The queue's page is at @memory, and the device sees it at @iova. @pasid: or UINT32_MAX. */
void sdma_queue_start(struct sdma_queue *queue, const struct sdma *sdma, unsigned int number,
		      void *memory, uint64_t iova, uint32_t pasid);
bool sdma_queue_stop(struct sdma_queue *queue);

/* Hands one descriptor over; its completion record is the one of its place. Returns that. */
const volatile struct sdma_completion *sdma_submit(struct sdma_queue *queue,
						   const struct sdma_descriptor *descriptor);

/* Waits until it is not pending; returns its status, or SDMA_PENDING after a long time. */
uint8_t sdma_wait(const volatile struct sdma_completion *completion);

/* Both. */
uint8_t sdma_do(struct sdma_queue *queue, const struct sdma_descriptor *descriptor);

uint32_t sdma_queue_state(const struct sdma_queue *queue);
uint64_t sdma_queue_counter(const struct sdma_queue *queue, enum sdma_queue_register counter);

#endif
