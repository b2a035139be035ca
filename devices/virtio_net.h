/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net (virtio 1.2, 5.1) on a tap: offloads and several queues.
 *
 * As with disks there are two steps: virtio_net_open() attaches to a tap that exists, before
 * privileges go; virtio_net_create() makes the device.
 */
#ifndef NIDUS_DEVICES_VIRTIO_NET_H
#define NIDUS_DEVICES_VIRTIO_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/virtio.h"

#define VIRTIO_NET_PAIRS 16
#define VIRTIO_NET_MAC	 6

struct virtio_net_options {
	const char *tap;    /* name of an existing tap; NULL: use fd */
	int fd;		    /* inherited, attached to a tap; virtio_net_close() closes it */
	unsigned int pairs; /* of queues, 1 to VIRTIO_NET_PAIRS; more than 1 need `tap` */
	bool offload;	    /* checksums and segmentation */
};

struct virtio_net_tap {
	char name[IFNAMSIZ];
	unsigned int pairs;
	int fd[VIRTIO_NET_PAIRS];
	bool multi_queue;
	bool offload;
	unsigned int offloads; /* TUN_F_*: what the kernel takes */
	uint16_t mtu;	       /* bytes; 0: not known */
};

/*
 * Attaches to the tap, never makes one. 0, or a negative errno and one line for a person in @error.
 */
int virtio_net_open(struct virtio_net_tap *tap, const struct virtio_net_options *options,
		    char *error, size_t error_size);
void virtio_net_close(struct virtio_net_tap *tap);

struct virtio_net;

/* The tap stays the caller's, to be closed after virtio_net_destroy(). NULL: errno is set. */
struct virtio_net *virtio_net_create(struct pci_host *host, struct loop *loop, const char *name,
				     const struct virtio_net_tap *tap,
				     const uint8_t mac[VIRTIO_NET_MAC]);
/* As virtio_device_destroy(). */
void virtio_net_destroy(struct virtio_net *net);
struct virtio_device *virtio_net_device(struct virtio_net *net);

#endif
