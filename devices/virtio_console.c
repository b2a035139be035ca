/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console (virtio 1.2, 5.3): one port, no control queues.
 *
 * Output that the chardev cannot take stays in its chain until there is room, input that the guest
 * has no buffer for stays in the chardev: nothing is lost on either way.
 *
 * System calls once it runs: none of its own.
 */
#include "devices/virtio_console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "devices/base.h"

#define QUEUE_SIZE    64
#define CHAIN_IOV     64
#define CLASS_CONSOLE 0x078000

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

struct virtio_console {
	struct virtio_device device;
	struct virtio_console_config config;
	struct chardev *chardev;
	bool hungry; /* input waits for buffers */
	/* The chain that is being written. */
	bool writing;
	uint16_t head;
	struct iovec iov[CHAIN_IOV];
	struct iovec *left;
	unsigned int left_count;
};

static struct virtio_console *console_of(struct virtio_device *device)
{
	return container_of(device, struct virtio_console, device);
}

/* --- Output --- */

static int take_chain(struct virtio_console *console, struct virtio_queue *queue)
{
	struct virtq_chain chain;
	int rc = virtio_pop(queue, &chain, console->iov, CHAIN_IOV);

	if (rc <= 0)
		return rc;
	console->writing = true;
	console->head = chain.head;
	console->left = console->iov;
	console->left_count = chain.readable;
	virtio_count(&console->device.counters.bytes_out, chain.readable_bytes);
	return 1;
}

static int transmit(struct virtio_console *console, struct virtio_queue *queue)
{
	int rc = console->writing ? 1 : take_chain(console, queue);

	if (rc <= 0)
		return rc;
	/* Bound: the pieces of the chain. */
	while (console->left_count) {
		size_t len = console->left->iov_len;
		size_t n = chardev_write(console->chardev, console->left->iov_base, len);

		console->left_count = iov_skip(&console->left, console->left_count, n);
		if (n < len)
			return -EAGAIN; /* writable() goes on */
	}
	console->writing = false;
	virtio_push(queue, console->head, 0);
	return 1;
}

static void writable(void *context)
{
	struct virtio_console *console = context;

	virtio_process(&console->device.queue[QUEUE_TRANSMIT]);
}

/* --- Input --- */

/* Puts bytes into one chain: how many, 0 if there is no chain, or -EIO. */
static int fill_chain(struct virtio_queue *queue, const uint8_t *bytes, size_t len)
{
	struct virtq_chain chain;
	struct iovec iov[CHAIN_IOV];
	uint64_t n;
	int rc = virtio_pop(queue, &chain, iov, CHAIN_IOV);

	if (rc <= 0)
		return rc;
	if (!chain.writable) {
		virtio_fail(queue, "receive buffer that cannot be written");
		return -EIO;
	}
	n = iov_write(iov + chain.readable, chain.writable, bytes, len);
	virtio_count(&queue->device->counters.bytes_in, n);
	virtio_push(queue, chain.head, (uint32_t)n);
	return (int)n;
}

static size_t receive(void *context, const uint8_t *bytes, size_t len)
{
	struct virtio_console *console = context;
	struct virtio_queue *queue = &console->device.queue[QUEUE_RECEIVE];
	size_t done = 0;
	unsigned int token = dma_enter(&console->device.pci.dma);

	/* Bound: @len, which is at most CHARDEV_INPUT; every turn takes a byte or ends. */
	while (done < len) {
		int rc = fill_chain(queue, bytes + done, len - done);

		if (rc < 0)
			break;
		done += (size_t)rc;
		if (!rc && !virtio_enable_kicks(queue))
			break;
	}
	dma_leave(&console->device.pci.dma, token);
	console->hungry = done < len;
	return done;
}

/* --- The device --- */

static int handle(struct virtio_queue *queue)
{
	struct virtio_console *console = console_of(queue->device);

	if (queue->index == QUEUE_TRANSMIT)
		return transmit(console, queue);
	if (console->hungry)
		chardev_resume(console->chardev);
	return -EAGAIN; /* chains are taken when input comes */
}

static void stop(struct virtio_device *device)
{
	console_of(device)->writing = false;
}

static const struct virtio_ops console_ops = {
	.handle = handle,
	.stop = stop,
};

static const struct chardev_ops console_chardev_ops = {
	.receive = receive,
	.writable = writable,
};

struct virtio_console *virtio_console_create(struct pci_host *host, struct loop *loop,
					     const char *name, struct chardev *chardev)
{
	struct virtio_console *console = calloc(1, sizeof(*console));
	struct virtio_setup setup = {
		.name = name,
		.ops = &console_ops,
		.id = VIRTIO_ID_CONSOLE,
		.class_code = CLASS_CONSOLE,
		.config_size = sizeof(console->config),
		.queues = QUEUES,
		.queue_size = QUEUE_SIZE,
	};
	int rc;

	if (!console)
		return NULL;
	console->chardev = chardev;
	console->config.max_nr_ports = 1;
	setup.config = &console->config;
	rc = virtio_device_init(&console->device, host, loop, &setup);
	if (rc) {
		free(console);
		errno = -rc;
		return NULL;
	}
	chardev_attach(chardev, &console_chardev_ops, console);
	return console;
}

void virtio_console_destroy(struct virtio_console *console)
{
	if (!console)
		return;
	chardev_attach(console->chardev, NULL, NULL);
	virtio_device_destroy(&console->device);
	free(console);
}

struct virtio_device *virtio_console_device(struct virtio_console *console)
{
	return &console->device;
}
