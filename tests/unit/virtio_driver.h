/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's side of virtio over PCI, as a driver of a modern device does it: finds the structures
 * by their capabilities, negotiates, builds split queues in the fake machine's RAM.
 */
#ifndef NIDUS_TESTS_VIRTIO_DRIVER_H
#define NIDUS_TESTS_VIRTIO_DRIVER_H

#include "tests/unit/fake_machine.h"

#define DRIVER_QUEUES 40
#define DRIVER_MSI    0x4000 /* message data of vector 0; vector i sends DRIVER_MSI + i */

struct driver_queue {
	struct driver *driver;
	uint16_t index, size;
	uint64_t desc, avail, used;
	uint16_t next_desc; /* descriptors are handed out in a circle */
	uint16_t last_used;
	uint64_t doorbell;
};

struct driver {
	struct machine *machine;
	struct loop *loop;
	uint16_t requester;
	uint64_t common, isr, config, notify;
	uint32_t notify_multiplier, notify_length, config_length;
	unsigned int pci_cfg; /* capability offset */
	uint64_t features;
	struct driver_queue queue[DRIVER_QUEUES];
};

struct driver_buffer {
	uint64_t address;
	uint32_t len;
	bool writable;
};

/* Finds everything; the machine's resources must be assigned. Fails the test if something lacks. */
void driver_probe(struct driver *driver, struct machine *machine, struct loop *loop,
		  uint16_t requester);

uint8_t driver_status(struct driver *driver);
void driver_set_status(struct driver *driver, uint8_t status);
uint64_t driver_offered(struct driver *driver);

/* Reset, ACKNOWLEDGE, DRIVER, @features, FEATURES_OK. True if the device took them. */
bool driver_negotiate(struct driver *driver, uint64_t features);

/* Sets up and enables queue @index with @size descriptors, its interrupts on vector index + 1. */
struct driver_queue *driver_queue_init(struct driver *driver, uint16_t index, uint16_t size);

/* MSI-X on, the configuration vector is 0; DRIVER_OK. */
void driver_enable_msix(struct driver *driver, unsigned int vectors);
void driver_start(struct driver *driver);

/* All of the above with the features offered, and @queues queues of @size. */
void driver_bring_up(struct driver *driver, unsigned int queues, uint16_t size);

/* Reset, and wait until the device says that it is done. */
void driver_reset(struct driver *driver);

/* Adds a chain and makes it available; returns its head. Kicks are separate. */
uint16_t driver_add(struct driver_queue *queue, const struct driver_buffer *buffers,
		    unsigned int count);
uint16_t driver_add_indirect(struct driver_queue *queue, const struct driver_buffer *buffers,
			     unsigned int count);
void driver_kick(struct driver_queue *queue);

/* Takes a used element; false if there is none. */
bool driver_used(struct driver_queue *queue, uint32_t *head, uint32_t *len);

/* The same, but turns the loop until one comes. Fails the test if none does. */
uint32_t driver_wait_used(struct driver_queue *queue, uint32_t *head);

/* Raw access to the rings, to break them. */
void driver_set_desc(struct driver_queue *queue, uint16_t index, uint64_t address, uint32_t len,
		     uint16_t flags, uint16_t next);
void driver_set_avail(struct driver_queue *queue, uint16_t slot, uint16_t head);
void driver_set_avail_index(struct driver_queue *queue, uint16_t index);
uint16_t driver_avail_index(struct driver_queue *queue);

#endif
