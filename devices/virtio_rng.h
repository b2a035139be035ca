/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-rng (virtio 1.2, 5.4): random bytes of the host's kernel.
 */
#ifndef NIDUS_DEVICES_VIRTIO_RNG_H
#define NIDUS_DEVICES_VIRTIO_RNG_H

#include "devices/virtio.h"

struct virtio_rng;

/* NULL: errno is set. */
struct virtio_rng *virtio_rng_create(struct pci_host *host, struct loop *loop, const char *name);
/* As virtio_device_destroy(). */
void virtio_rng_destroy(struct virtio_rng *rng);
struct virtio_device *virtio_rng_device(struct virtio_rng *rng);

#endif
