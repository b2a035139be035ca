/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of virtio 1.2 over modern PCI: transport and split rings, as bare as tests
 * want them: every field can be reached and written wrong.
 */
#ifndef BARE_VIRTIO_H
#define BARE_VIRTIO_H

#include "lib/base.h"
#include "lib/pci.h"

#define VIRTIO_VENDOR	  0x1af4
#define VIRTIO_FIRST	  0x1040
#define VIRTIO_LAST	  0x107f
#define VIRTIO_QUEUES_MAX 64
#define VIRTIO_NO_VECTOR  0xffff

enum virtio_type {
	VIRTIO_NET = 1,
	VIRTIO_BLK = 2,
	VIRTIO_CONSOLE = 3,
	VIRTIO_RNG = 4,
};

/* Offsets in the common configuration (4.1.4.3). */
enum virtio_common {
	VIRTIO_DEVICE_FEATURE_SELECT = 0x00,
	VIRTIO_DEVICE_FEATURE = 0x04,
	VIRTIO_DRIVER_FEATURE_SELECT = 0x08,
	VIRTIO_DRIVER_FEATURE = 0x0c,
	VIRTIO_CONFIG_VECTOR = 0x10,
	VIRTIO_NUM_QUEUES = 0x12,
	VIRTIO_STATUS = 0x14,
	VIRTIO_GENERATION = 0x15,
	VIRTIO_QUEUE_SELECT = 0x16,
	VIRTIO_QUEUE_SIZE = 0x18,
	VIRTIO_QUEUE_VECTOR = 0x1a,
	VIRTIO_QUEUE_ENABLE = 0x1c,
	VIRTIO_QUEUE_NOTIFY_OFF = 0x1e,
	VIRTIO_QUEUE_DESC = 0x20,
	VIRTIO_QUEUE_DRIVER = 0x28,
	VIRTIO_QUEUE_DEVICE = 0x30,
	VIRTIO_COMMON_END = 0x38,
};

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

#define VIRTIO_F_INDIRECT	 (1UL << 28)
#define VIRTIO_F_EVENT_IDX	 (1UL << 29)
#define VIRTIO_F_VERSION_1	 (1UL << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1UL << 33) /* offered, and required, behind a remapping unit */

enum virtio_cap_type {
	VIRTIO_CAP_COMMON = 1,
	VIRTIO_CAP_NOTIFY,
	VIRTIO_CAP_ISR,
	VIRTIO_CAP_DEVICE,
	VIRTIO_CAP_PCI
};

struct virtio {
	unsigned int devfn;
	enum virtio_type type;
	uintptr_t common, isr, config, notify;
	uint32_t config_length, notify_multiplier;
	unsigned int pci_cap; /* offset of the configuration access capability; 0: none */
	unsigned int queues;
	uint64_t features; /* negotiated */
	struct msix msix;
};

/* Finds the structures. False if one that has to be there is missing. */
bool virtio_open(struct virtio *device, unsigned int devfn);

/* Finds the @n-th device of this type, counted from 0. */
bool virtio_find(struct virtio *device, enum virtio_type type, unsigned int n);

/* Writes 0 to the status and waits until it reads so. False if it never does. */
bool virtio_reset(struct virtio *device);

uint64_t virtio_offered(const struct virtio *device);

/* Resets and negotiates @features, cut to what is offered, VERSION_1 and ACCESS_PLATFORM. */
bool virtio_negotiate(struct virtio *device, uint64_t features);

/* Sets DRIVER_OK. */
void virtio_go(struct virtio *device);
uint8_t virtio_status(const struct virtio *device);

/* Waits for DEVICE_NEEDS_RESET. */
bool virtio_wait_needs_reset(const struct virtio *device);

/* --- Split rings (2.7) --- */

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

struct virtq_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct virtq_avail {
	uint16_t flags, index;
	uint16_t ring[];
};

struct virtq_used_element {
	uint32_t id, len;
};

struct virtq_used {
	uint16_t flags, index;
	struct virtq_used_element ring[];
};

struct virtq {
	struct virtio *device;
	uint16_t index, size;
	volatile struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	uintptr_t doorbell;
	uint16_t free, free_count; /* head of the list of free descriptors, by `next` */
	uint16_t avail_index;	   /* what the device will be shown by virtq_kick() */
	uint16_t kicked;	   /* what it has been shown */
	uint16_t last_used;
	void *memory;
};

/* A piece of a request. */
struct buffer {
	const void *at;
	uint32_t len;
	bool device_writes;
};

/* Makes queue @index with at most @size entries, and enables it. Memory is kept for the next time.
 */
bool virtq_setup(struct virtq *vq, struct virtio *device, uint16_t index, uint16_t size,
		 uint16_t vector);

/* Bytes of memory for a queue of @size, and where its parts lie from the start of that. */
uint64_t virtq_bytes(uint16_t size);
void virtq_place(struct virtq *vq, void *memory, uint16_t size);

/* Tells the device where the queue lies; does not enable it. */
void virtq_tell(const struct virtq *vq, uint16_t vector);
void virtq_enable(const struct virtq *vq);

/* Adds a chain; returns its head, or negative if there are too few descriptors. */
int virtq_add(struct virtq *vq, const struct buffer *buffers, unsigned int count);

/* The same through an indirect @table, which is the caller's and lives until the chain is used. */
int virtq_add_indirect(struct virtq *vq, struct virtq_desc *table, const struct buffer *buffers,
		       unsigned int count);

/* Makes the descriptor @head available, whatever it holds. */
void virtq_offer(struct virtq *vq, uint16_t head);

/* Shows the device what was added, and rings if it wants that. */
void virtq_kick(struct virtq *vq);
void virtq_ring(const struct virtq *vq);

/* The next used chain: its head, or negative. *@len is what the device says to have written. */
int virtq_take(struct virtq *vq, uint32_t *len);

/* Waits for it; negative after a long time. */
int virtq_wait(struct virtq *vq, uint32_t *len);

/* Asks for an interrupt after the next used chain, or (as far as it goes) for none. */
void virtq_interrupts(struct virtq *vq, bool on);

#endif
