/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's side of sdma, as a driver does it: registers through BAR 0, rings in the fake
 * machine's RAM. No test framework in here, so that fuzz targets can use it too.
 */
#ifndef NIDUS_TESTS_SDMA_DRIVER_H
#define NIDUS_TESTS_SDMA_DRIVER_H

#include "devices/sdma.h"
#include "devices/sdma_regs.h"
#include "tests/unit/fake_machine.h"

#define SDMA_DRIVER_MSI 0x6000 /* message data of vector 0; vector i sends SDMA_DRIVER_MSI + i */

struct sdma_driver {
	struct machine *machine;
	struct loop *loop;
	uint16_t requester;
	uint64_t registers, doorbells; /* BARs */
};

struct sdma_ring {
	struct sdma_driver *driver;
	unsigned int queue;
	uint64_t ring, index; /* addresses that the queue is given, equal to where they are */
	unsigned int log2;
};

/* Reads the BARs of function @requester; the machine's resources must be assigned. */
void sdma_driver_probe(struct sdma_driver *driver, struct machine *machine, struct loop *loop,
		       uint16_t requester);
/* MSI-X on, all vectors unmasked. */
void sdma_driver_msix(struct sdma_driver *driver, unsigned int vectors);

uint64_t sdma_driver_read(struct sdma_driver *driver, unsigned int offset, unsigned int size);
void sdma_driver_write(struct sdma_driver *driver, unsigned int offset, unsigned int size,
		       uint64_t value);

/* Memory for a ring of queue @queue, and its configuration; not enabled. */
void sdma_ring_init(struct sdma_ring *ring, struct sdma_driver *driver, unsigned int queue,
		    unsigned int log2);
uint64_t sdma_ring_read(struct sdma_ring *ring, unsigned int reg, unsigned int size);
void sdma_ring_write(struct sdma_ring *ring, unsigned int reg, unsigned int size, uint64_t value);
void sdma_ring_enable(struct sdma_ring *ring, uint32_t control);
unsigned int sdma_ring_state(struct sdma_ring *ring);
unsigned int sdma_ring_reason(struct sdma_ring *ring);
struct sdma_index *sdma_ring_index(struct sdma_ring *ring);

/* Puts @descriptor in the next slot; the second also rings. */
void sdma_ring_put(struct sdma_ring *ring, const struct sdma_descriptor *descriptor);
void sdma_ring_submit(struct sdma_ring *ring, const struct sdma_descriptor *descriptor);
void sdma_ring_bell(struct sdma_ring *ring);

/* Waits until @record is not SDMA_PENDING any more; its status. */
uint8_t sdma_driver_wait(struct sdma_driver *driver, struct sdma_completion *record);
/* Submits a copy of @descriptor with a record of its own, and waits. NULL: it never came. */
struct sdma_completion *sdma_ring_do(struct sdma_ring *ring,
				     const struct sdma_descriptor *descriptor);

#endif
