/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-rng (virtio 1.2, 5.4): random bytes of the host's kernel, straight into guest memory.
 *
 * System calls once it runs: getrandom.
 */
#include "devices/virtio_rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/base.h"

#define QUEUE_SIZE   16
#define CHAIN_IOV    16
#define REQUEST_MAX  4096 /* bytes for one request; a device may give less than was asked for */
#define CLASS_RANDOM 0x00ff00

struct virtio_rng {
	struct virtio_device device;
};

/*
 * The system call itself: the C library may answer from state of its own in each thread, which it
 * maps at the first call, when the sandbox is closed already.
 */
static ssize_t host_random(void *bytes, size_t len)
{
	return syscall(SYS_getrandom, bytes, len, GRND_NONBLOCK);
}

static int handle(struct virtio_queue *queue)
{
	struct virtq_chain chain;
	struct iovec iov[CHAIN_IOV];
	uint32_t done = 0;
	int rc = virtio_pop(queue, &chain, iov, CHAIN_IOV);

	if (rc <= 0)
		return rc;
	if (chain.readable) {
		virtio_fail(queue, "request for random bytes with a readable buffer");
		return -EIO;
	}
	for (unsigned int i = 0; i < chain.writable && done < REQUEST_MAX; i++) {
		size_t len = min_u64(iov[i].iov_len, REQUEST_MAX - done);
		/* Never waits; a host that cannot give any yet gives none. */
		ssize_t n = host_random(iov[i].iov_base, len);

		done += n > 0 ? (uint32_t)n : 0;
		if (n < (ssize_t)len)
			break;
	}
	virtio_count(&queue->device->counters.bytes_in, done);
	virtio_push(queue, chain.head, done);
	return 1;
}

static const struct virtio_ops rng_ops = {
	.handle = handle,
};

struct virtio_rng *virtio_rng_create(struct pci_host *host, struct loop *loop, const char *name)
{
	const struct virtio_setup setup = {
		.name = name,
		.ops = &rng_ops,
		.id = VIRTIO_ID_RNG,
		.class_code = CLASS_RANDOM,
		.queues = 1,
		.queue_size = QUEUE_SIZE,
	};
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	int rc;

	if (!rng)
		return NULL;
	rc = virtio_device_init(&rng->device, host, loop, &setup);
	if (rc) {
		free(rng);
		errno = -rc;
		return NULL;
	}
	return rng;
}

void virtio_rng_destroy(struct virtio_rng *rng)
{
	if (!rng)
		return;
	virtio_device_destroy(&rng->device);
	free(rng);
}

struct virtio_device *virtio_rng_device(struct virtio_rng *rng)
{
	return &rng->device;
}
