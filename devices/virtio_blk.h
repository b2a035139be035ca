/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk (virtio 1.2, 5.2) on a raw image or a block device. The format of an image is never
 * guessed: what the guest writes is what the file holds.
 *
 * Two steps, so that everything is opened before privileges go: virtio_blk_open() finds and locks
 * the image, virtio_blk_create() makes the device.
 */
#ifndef NIDUS_DEVICES_VIRTIO_BLK_H
#define NIDUS_DEVICES_VIRTIO_BLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/virtio.h"

#define VIRTIO_BLK_SERIAL 20 /* bytes, not terminated */

struct virtio_blk_options {
	const char *path; /* NULL: use fd */
	int fd;		  /* inherited; virtio_blk_close() closes it */
	bool readonly;
	bool direct; /* O_DIRECT */
};

struct virtio_blk_image {
	int fd;	       /* holds the lock */
	int cached_fd; /* direct only: for what is not aligned; -1 otherwise */
	bool readonly;
	uint64_t sectors; /* of 512 bytes */
	uint32_t
		logical_block; /* bytes; with direct, what offsets and lengths must be aligned to */
	uint32_t physical_block; /* bytes */
	uint32_t memory_align;	 /* bytes; of buffers, with direct */
};

/*
 * Opens, locks and measures. 0, or a negative errno and one line for a person in @error. A writer
 * excludes everybody else, readers only writers; the lock (OFD, whole file) is given up when the
 * last descriptor is closed, in whatever way the process ends.
 */
int virtio_blk_open(struct virtio_blk_image *image, const struct virtio_blk_options *options,
		    char *error, size_t error_size);
void virtio_blk_close(struct virtio_blk_image *image);

struct virtio_blk;

/*
 * @queues is 1 to 16. @serial is cut to 20 bytes. The image stays the caller's, to be closed after
 * virtio_blk_destroy(). NULL: errno is set.
 */
struct virtio_blk *virtio_blk_create(struct pci_host *host, struct loop *loop, const char *name,
				     const struct virtio_blk_image *image, unsigned int queues,
				     const char *serial);
/* As virtio_device_destroy(). */
void virtio_blk_destroy(struct virtio_blk *blk);
struct virtio_device *virtio_blk_device(struct virtio_blk *blk);

#endif
