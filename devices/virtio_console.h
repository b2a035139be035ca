/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console (virtio 1.2, 5.3) with one port, whose bytes go to and come from a chardev.
 */
#ifndef NIDUS_DEVICES_VIRTIO_CONSOLE_H
#define NIDUS_DEVICES_VIRTIO_CONSOLE_H

#include "devices/chardev.h"
#include "devices/virtio.h"

struct virtio_console;

/* Becomes the front end of @chardev, which stays the caller's. NULL: errno is set. */
struct virtio_console *virtio_console_create(struct pci_host *host, struct loop *loop,
					     const char *name, struct chardev *chardev);
/* As virtio_device_destroy(). The chardev has no front end afterwards. */
void virtio_console_destroy(struct virtio_console *console);
struct virtio_device *virtio_console_device(struct virtio_console *console);

#endif
