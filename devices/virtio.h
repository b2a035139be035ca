/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio 1.2 device behind the modern PCI transport: what blk, net, console and rng share.
 *
 * Two sides. The registers (virtio_pci.c) are used by vCPU threads, under the device's lock. The
 * queues and all I/O (virtio_device.c and the devices) live in the loop's thread and need no lock.
 * They meet in one place: a register write that changes the device's life (DRIVER_OK, reset,
 * bus master) posts a call to the loop, which compares what the registers ask for with what runs.
 * So no vCPU ever waits for I/O; a reset is finished when the status reads 0.
 */
#ifndef NIDUS_DEVICES_VIRTIO_H
#define NIDUS_DEVICES_VIRTIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/loop.h"
#include "devices/pci.h"
#include "devices/virtqueue.h"

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

#define VIRTIO_QUEUES_MAX 64
#define VIRTIO_NAME_MAX	  32

/* Counted by the loop's thread, read by anyone (virtio_counters_read()). */
struct virtio_counters {
	uint64_t kicks;	     /* notifications by the driver */
	uint64_t interrupts; /* by the device */
	uint64_t requests;   /* chains taken: requests, packets */
	uint64_t bytes_in;   /* written to guest memory */
	uint64_t bytes_out;  /* read from guest memory */
	uint64_t flushes;
	uint64_t errors; /* requests failed, packets dropped */
};

struct virtio_device;

struct virtio_queue {
	struct virtio_device *device;
	unsigned int index;
	int kick_fd; /* rung by the guest's doorbell */

	/* The loop's thread. */
	struct virtqueue vq;
	struct loop_watch watch;      /* on kick_fd */
	struct loop_deferred publish; /* at the end of a turn: used index, interrupt */
	struct loop_deferred process; /* in the next turn: what exceeded this turn's share */

	/* Registers; device->lock. `vector` is also read without it, atomically. */
	uint16_t size, vector;
	bool enabled;
	uint64_t desc, driver_area, device_area;
};

/* All are called in the loop's thread, and only the first two while the device runs. */
struct virtio_ops {
	/*
	 * Takes one chain from @queue: 1 if it did; 0 if there was none: the driver is then asked
	 * for kicks; -EAGAIN if the device cannot take one now: it calls virtio_process() when it
	 * can; -EIO if the queue broke. Called between dma_enter() and dma_leave(): it must be
	 * short and must not block.
	 */
	int (*handle)(struct virtio_queue *queue);
	/* The driver has set DRIVER_OK; features and queues are there. May be NULL. */
	void (*start)(struct virtio_device *device);
	/*
	 * The device stops: cancel what waits (virtio_get() counts it), forget the chains. Chains
	 * that are in flight may be finished, pushing them does nothing. May be NULL.
	 */
	void (*stop)(struct virtio_device *device);
	/* Whether the features agree with each other. May be NULL. The only one in a vCPU thread.
	 */
	bool (*features_agree)(const struct virtio_device *device, uint64_t features);
};

struct virtio_device {
	struct pci_function pci;
	char name[VIRTIO_NAME_MAX];
	const struct virtio_ops *ops;
	struct loop *loop;
	uint64_t offered; /* device features; the transport adds its own */
	unsigned int queue_count;
	uint16_t queue_size; /* the most a driver may choose */
	struct virtio_queue *queue;
	unsigned int pci_cfg;  /* offset of the PCI configuration access capability */
	uint64_t doorbells;    /* where they are now, or PCI_BAR_UNMAPPED; the host bridge's lock */
	struct loop_call sync; /* see virtio_sync() */

	/*
	 * Protects the registers: what follows, the register part of each queue, and *config. Taken
	 * inside of the host bridge's lock, and outside of those of MSI-X and INTA#.
	 */
	pthread_mutex_t lock;
	uint64_t driver_features;
	uint32_t feature_select, driver_feature_select;
	uint16_t config_vector, queue_select;
	uint8_t status, isr, generation;
	bool resetting; /* a reset was asked for and has not been finished */
	bool cut_off;	/* bus mastering was off since sync_run() last looked */
	void *config;	/* device configuration, little-endian */
	unsigned int config_size;

	/* The loop's thread. */
	uint64_t features; /* negotiated; valid while running */
	bool running;
	bool quiesced;		/* for good: the machine ends */
	unsigned int in_flight; /* operations that may touch guest memory or the device */
	struct virtio_counters counters;
};

struct virtio_setup {
	const char *name;
	const struct virtio_ops *ops;
	uint16_t id; /* VIRTIO_ID_* */
	uint32_t class_code;
	uint64_t features;
	void *config; /* lives as long as the device */
	unsigned int config_size;
	unsigned int queues;
	uint16_t queue_size;
};

/*
 * Makes the PCI function and its queues and puts it on @host. 0 or a negative errno, with nothing
 * left behind but the function's place on the bus. While the machine is built.
 */
int virtio_device_init(struct virtio_device *device, struct pci_host *host, struct loop *loop,
		       const struct virtio_setup *setup);

/* After virtio_quiesce() and a drained loop, when no vCPU runs. */
void virtio_device_destroy(struct virtio_device *device);

/*
 * The machine ends: no new requests, and everything that waits is cancelled. What is in flight ends
 * by itself; loop_in_flight() tells. In the loop's thread, or after it.
 */
void virtio_quiesce(struct virtio_device *device);

/*
 * The reset that a driver asks for by status 0, and whether it is still under way: it waits for
 * operations in flight. Any thread.
 */
void virtio_reset(struct virtio_device *device);
bool virtio_resetting(struct virtio_device *device);

/* A copy of the counters; any thread. */
struct virtio_counters virtio_counters_read(const struct virtio_device *device);

/* --- For the devices; the loop's thread --- */

static inline bool virtio_has(const struct virtio_device *device, unsigned int feature)
{
	return device->features & VIRTIO_BIT(feature);
}

static inline void virtio_count(uint64_t *counter, uint64_t n)
{
	/* One writer: no read-modify-write is needed, only that readers see no half. */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/*
 * Takes the next chain: as virtq_pop(), but a broken queue stops the device and tells the guest.
 * Between dma_enter() and dma_leave(), as handle() is, and so virtio_enable_kicks().
 */
int virtio_pop(struct virtio_queue *queue, struct virtq_chain *chain, struct iovec *iov,
	       unsigned int max);
/* As virtq_unpop(). */
void virtio_unpop(struct virtio_queue *queue, uint16_t count);

/*
 * As virtq_enable_kicks(): true if chains arrived meanwhile. False if virtio_pop() gives none
 * whatever the rings say, because the device has stopped or is no bus master.
 */
bool virtio_enable_kicks(struct virtio_queue *queue);

/* Gives a chain back; the driver sees it, and is interrupted if it wants, at the end of the turn.
 */
void virtio_push(struct virtio_queue *queue, uint16_t head, uint32_t len);

/* Calls ops->handle until there is nothing more, at most once for each descriptor in a turn. */
void virtio_process(struct virtio_queue *queue);

/* The guest broke the rules in a way that no error completion can tell: DEVICE_NEEDS_RESET. */
void virtio_fail(struct virtio_queue *queue, const char *reason);

/* An operation starts or ends that a reset has to wait for. */
void virtio_get(struct virtio_device *device);
void virtio_put(struct virtio_device *device);

/* --- Between the files of the transport --- */

int virtio_pci_init(struct virtio_device *device, struct pci_host *host,
		    const struct virtio_setup *setup);

/* Posts the comparison of registers and queues. Any thread. */
void virtio_sync(struct virtio_device *device);

/* Raise the interrupt of a queue, or that of the device's configuration. No lock held. */
void virtio_queue_interrupt(struct virtio_queue *queue);
void virtio_config_interrupt(struct virtio_device *device);

/* The registers. Lock held. */
void virtio_registers_reset(struct virtio_device *device);
void virtio_request_reset(struct virtio_device *device);
void virtio_common_access(struct virtio_device *device, struct bus_access *access, uint64_t offset);
void virtio_copy_out(struct bus_access *access, uint64_t offset, const void *from, uint64_t size);

#endif
