/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The running half of a virtio device: its queues, and when they start, fail and stop.
 *
 * System calls once it runs: write (on eventfds, to raise interrupts); the rest through the loop.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/virtio.h"

/* --- Stopping --- */

static void halt(struct virtio_device *device)
{
	if (!device->running)
		return;
	device->running = false;
	for (unsigned int i = 0; i < device->queue_count; i++)
		virtq_stop(&device->queue[i].vq);
	if (device->ops->stop)
		device->ops->stop(device);
}

static void needs_reset(struct virtio_device *device)
{
	halt(device);
	pthread_mutex_lock(&device->lock);
	device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	pthread_mutex_unlock(&device->lock);
	/* 2.1.2: a driver that has set DRIVER_OK is told. Only such a device runs. */
	virtio_config_interrupt(device);
}

void virtio_fail(struct virtio_queue *queue, const char *reason)
{
	struct virtio_device *device = queue->device;

	if (!device->running)
		return;
	log_guest(VIRTIO, "%s: queue %u: %s; the device waits for a reset", device->name,
		  queue->index, reason);
	virtio_count(&device->counters.errors, 1);
	needs_reset(device);
}

/* A reset that waits only for operations in flight is finished by the last of them. */
static void finish_reset(struct virtio_device *device)
{
	if (device->in_flight)
		return;
	pthread_mutex_lock(&device->lock);
	if (device->resetting)
		virtio_registers_reset(device);
	pthread_mutex_unlock(&device->lock);
}

void virtio_get(struct virtio_device *device)
{
	device->in_flight++;
}

void virtio_put(struct virtio_device *device)
{
	if (!--device->in_flight && !device->running)
		finish_reset(device);
}

/* --- Starting --- */

static int start_queue(struct virtio_queue *queue, const struct virtq_setup *setup)
{
	const struct dma *dma = &queue->device->pci.dma;
	unsigned int token = dma_enter(dma);
	int rc = virtq_start(&queue->vq, dma, setup);

	dma_leave(dma, token);
	if (rc)
		log_guest(VIRTIO, "%s: queue %u: %s; the device waits for a reset",
			  queue->device->name, queue->index, queue->vq.reason);
	return rc;
}

/* Copies what the driver has set up, so that the queues cannot change under way. */
static void start(struct virtio_device *device)
{
	struct virtq_setup setup[VIRTIO_QUEUES_MAX];
	bool enabled[VIRTIO_QUEUES_MAX] = { false };
	int rc = 0;

	pthread_mutex_lock(&device->lock);
	device->features = device->driver_features;
	for (unsigned int i = 0; i < device->queue_count; i++) {
		const struct virtio_queue *queue = &device->queue[i];

		enabled[i] = queue->enabled;
		setup[i] = (struct virtq_setup){
			.size = queue->size,
			.desc = queue->desc,
			.driver = queue->driver_area,
			.device = queue->device_area,
			.indirect = virtio_has(device, VIRTIO_RING_F_INDIRECT_DESC),
			.event_index = virtio_has(device, VIRTIO_RING_F_EVENT_IDX),
		};
	}
	pthread_mutex_unlock(&device->lock);

	device->running = true;
	for (unsigned int i = 0; i < device->queue_count && !rc; i++)
		if (enabled[i])
			rc = start_queue(&device->queue[i], &setup[i]);
	if (rc) {
		needs_reset(device);
		return;
	}
	if (device->ops->start)
		device->ops->start(device);
	/* The driver may have filled queues, and rung, before. */
	for (unsigned int i = 0; i < device->queue_count; i++)
		virtio_process(&device->queue[i]);
}

/* Makes what runs agree with what the registers ask for. */
static void sync_run(struct loop_call *call)
{
	struct virtio_device *device = container_of(call, struct virtio_device, sync);
	bool master = pci_bus_master(&device->pci);
	bool resetting, cut_off;
	uint8_t status;

	pthread_mutex_lock(&device->lock);
	resetting = device->resetting;
	status = device->status;
	cut_off = device->cut_off;
	device->cut_off = false;
	pthread_mutex_unlock(&device->lock);

	if (resetting) {
		halt(device);
		finish_reset(device);
		return;
	}
	if (device->running && (!master || cut_off)) {
		/* Requests are under way in memory that is no longer the device's. */
		log_guest(VIRTIO, "%s: bus mastering was turned off; the device waits for a reset",
			  device->name);
		needs_reset(device);
		return;
	}
	if (!device->running && !device->quiesced && master &&
	    (status & VIRTIO_CONFIG_S_DRIVER_OK) && !(status & VIRTIO_CONFIG_S_NEEDS_RESET))
		start(device);
}

void virtio_sync(struct virtio_device *device)
{
	loop_post(device->loop, &device->sync);
}

/* --- Queues --- */

int virtio_pop(struct virtio_queue *queue, struct virtq_chain *chain, struct iovec *iov,
	       unsigned int max)
{
	struct virtio_device *device = queue->device;
	int rc;

	/* Between a write to the command register and its sync_run() nothing more is taken. */
	if (!device->running || !pci_bus_master(&device->pci))
		return 0;
	rc = virtq_pop(&queue->vq, chain, iov, max);
	if (rc > 0)
		virtio_count(&device->counters.requests, 1);
	if (rc < 0)
		virtio_fail(queue, queue->vq.reason);
	return rc;
}

void virtio_unpop(struct virtio_queue *queue, uint16_t count)
{
	virtq_unpop(&queue->vq, count);
	virtio_count(&queue->device->counters.requests, -(uint64_t)count);
}

bool virtio_enable_kicks(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;

	return device->running && pci_bus_master(&device->pci) && virtq_enable_kicks(&queue->vq);
}

void virtio_push(struct virtio_queue *queue, uint16_t head, uint32_t len)
{
	const struct dma *dma = &queue->device->pci.dma;
	unsigned int token;

	if (!queue->device->running || !pci_bus_master(&queue->device->pci))
		return;
	token = dma_enter(dma);
	virtq_push(&queue->vq, head, len);
	dma_leave(dma, token);
	loop_defer(queue->device->loop, &queue->publish);
}

static bool publish(struct virtio_queue *queue)
{
	const struct dma *dma = &queue->device->pci.dma;
	unsigned int token = dma_enter(dma);
	bool wanted = virtq_publish(&queue->vq);

	dma_leave(dma, token);
	return wanted;
}

static void publish_run(struct loop_deferred *deferred)
{
	struct virtio_queue *queue = container_of(deferred, struct virtio_queue, publish);
	struct virtio_device *device = queue->device;

	if (!device->running || !pci_bus_master(&device->pci))
		return;
	if (publish(queue)) {
		virtio_count(&device->counters.interrupts, 1);
		virtio_queue_interrupt(queue);
	}
	if (queue->vq.broken)
		virtio_fail(queue, queue->vq.reason);
}

/* One call of the device's handle(). 1: go on; 0: no more; negative: not now. */
static int process_one(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;
	unsigned int token = dma_enter(&device->pci.dma);
	int rc = device->ops->handle(queue);

	if (!device->running)
		rc = -EIO;
	else if (!rc && virtq_enable_kicks(&queue->vq))
		rc = 1; /* some came meanwhile */
	dma_leave(&device->pci.dma, token);
	return rc;
}

static void disable_kicks(struct virtio_queue *queue)
{
	unsigned int token = dma_enter(&queue->device->pci.dma);

	virtq_disable_kicks(&queue->vq);
	dma_leave(&queue->device->pci.dma, token);
}

void virtio_process(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;
	unsigned int share = queue->vq.setup.size;

	if (!device->running || !queue->vq.running || !pci_bus_master(&device->pci))
		return;
	disable_kicks(queue);
	/* Bound: as many chains as the queue has descriptors; the others get their turn later. */
	while (share--) {
		int rc = process_one(queue);

		if (!rc && queue->vq.broken)
			virtio_fail(queue, queue->vq.reason);
		if (rc <= 0)
			return;
	}
	loop_defer(device->loop, &queue->process);
}

static void process_run(struct loop_deferred *deferred)
{
	virtio_process(container_of(deferred, struct virtio_queue, process));
}

static void kicked(struct loop_watch *watch)
{
	struct virtio_queue *queue = container_of(watch, struct virtio_queue, watch);

	virtio_count(&queue->device->counters.kicks, 1);
	virtio_process(queue);
}

/* --- Life --- */

static void close_queues(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (device->queue[i].kick_fd >= 0)
			close(device->queue[i].kick_fd);
	free(device->queue);
	device->queue = NULL;
}

static int open_queues(struct virtio_device *device)
{
	int rc = 0;

	device->queue = calloc(device->queue_count, sizeof(*device->queue));
	if (!device->queue)
		return -ENOMEM;
	for (unsigned int i = 0; i < device->queue_count; i++) {
		struct virtio_queue *queue = &device->queue[i];

		queue->device = device;
		queue->index = i;
		queue->publish.run = publish_run;
		queue->process.run = process_run;
		queue->kick_fd = eventfd(0, EFD_CLOEXEC);
		if (queue->kick_fd < 0)
			rc = -errno;
	}
	if (rc)
		close_queues(device);
	return rc;
}

int virtio_device_init(struct virtio_device *device, struct pci_host *host, struct loop *loop,
		       const struct virtio_setup *setup)
{
	int rc;

	if (!setup->queues || setup->queues > VIRTIO_QUEUES_MAX ||
	    !is_power_of_two(setup->queue_size) || setup->queue_size > VIRTQ_SIZE_MAX)
		return -EINVAL;
	memset(device, 0, sizeof(*device));
	snprintf(device->name, sizeof(device->name), "%s", setup->name);
	device->ops = setup->ops;
	device->loop = loop;
	device->offered = setup->features;
	device->queue_count = setup->queues;
	device->queue_size = setup->queue_size;
	device->config = setup->config;
	device->config_size = setup->config_size;
	device->sync.run = sync_run;
	device->doorbells = PCI_BAR_UNMAPPED;
	rc = open_queues(device);
	if (rc)
		return rc;
	rc = virtio_pci_init(device, host, setup);
	if (rc) {
		close_queues(device);
		return rc;
	}
	pthread_mutex_init(&device->lock, NULL);
	virtio_registers_reset(device);
	for (unsigned int i = 0; i < device->queue_count; i++)
		loop_watch(loop, &device->queue[i].watch, device->queue[i].kick_fd, kicked);
	return 0;
}

void virtio_reset(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	virtio_request_reset(device);
	pthread_mutex_unlock(&device->lock);
}

bool virtio_resetting(struct virtio_device *device)
{
	bool resetting;

	pthread_mutex_lock(&device->lock);
	resetting = device->resetting;
	pthread_mutex_unlock(&device->lock);
	return resetting;
}

void virtio_quiesce(struct virtio_device *device)
{
	device->quiesced = true;
	halt(device);
	for (unsigned int i = 0; i < device->queue_count; i++)
		loop_unwatch(&device->queue[i].watch);
}

void virtio_device_destroy(struct virtio_device *device)
{
	pci_function_destroy(&device->pci);
	close_queues(device);
	pthread_mutex_destroy(&device->lock);
}

struct virtio_counters virtio_counters_read(const struct virtio_device *device)
{
	const struct virtio_counters *c = &device->counters;

	return (struct virtio_counters){
		.kicks = __atomic_load_n(&c->kicks, __ATOMIC_RELAXED),
		.interrupts = __atomic_load_n(&c->interrupts, __ATOMIC_RELAXED),
		.requests = __atomic_load_n(&c->requests, __ATOMIC_RELAXED),
		.bytes_in = __atomic_load_n(&c->bytes_in, __ATOMIC_RELAXED),
		.bytes_out = __atomic_load_n(&c->bytes_out, __ATOMIC_RELAXED),
		.flushes = __atomic_load_n(&c->flushes, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&c->errors, __ATOMIC_RELAXED),
	};
}
