/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: receiving (virtio 1.2, 5.1.6.3, 5.1.6.4).
 *
 * The loop waits for the tap to become readable; then packets are read one after the other straight
 * into guest memory until there is none: a read through the ring would cost the same system call
 * for each, and would own guest buffers while it waits. So nothing is in flight but a poll, and a
 * burst of packets is one update of the used index and one interrupt.
 *
 * System calls once it runs: readv on the tap. Through the ring: poll.
 */
#include <errno.h>
#include <poll.h>

#include "devices/log.h"
#include "devices/virtio_net_queue.h"

#define FRAME_OVERHEAD 18    /* Ethernet header and a VLAN tag */
#define FRAME_DEFAULT  1500  /* bytes, if the MTU is not known */
#define FRAME_GSO      65535 /* what TCP segmentation may hand over */
#define HEADER	       sizeof(struct virtio_net_hdr_mrg_rxbuf)

static void receive(struct net_rx *rx);

/* --- The window --- */

static bool mergeable(const struct net_rx *rx)
{
	return virtio_has(&rx->net->device, VIRTIO_NET_F_MRG_RXBUF);
}

/* Bytes that the largest packet may take. */
static uint64_t largest(const struct net_rx *rx)
{
	const struct virtio_device *device = &rx->net->device;
	uint64_t mtu = max_u64(rx->net->tap.mtu, FRAME_DEFAULT);

	if (virtio_has(device, VIRTIO_NET_F_GUEST_TSO4) ||
	    virtio_has(device, VIRTIO_NET_F_GUEST_TSO6))
		mtu = FRAME_GSO;
	return HEADER + FRAME_OVERHEAD + mtu;
}

static bool window_has_room(const struct net_rx *rx)
{
	if (!mergeable(rx))
		return !rx->chains;
	return rx->bytes < largest(rx) && rx->chains < NET_RX_CHAINS &&
	       rx->pieces + NET_CHAIN_IOV <= NET_RX_IOV;
}

/* Takes chains until the largest packet fits, or there are no more. False if the device stopped. */
static bool fill_window(struct net_rx *rx)
{
	/* Bound: NET_RX_CHAINS. */
	while (window_has_room(rx)) {
		struct virtq_chain chain;
		int rc = virtio_pop(rx->queue, &chain, rx->iov + rx->pieces, NET_CHAIN_IOV);

		if (rc <= 0)
			return !rc;
		if (chain.readable || chain.writable_bytes < HEADER) {
			virtio_fail(rx->queue, "receive buffer that no packet can be put in");
			return false;
		}
		rx->chain[rx->chains++] = (struct net_rx_chain){ .head = chain.head,
								 .pieces = chain.writable,
								 .descriptors = chain.descriptors,
								 .bytes = chain.writable_bytes };
		rx->pieces += chain.writable;
		rx->descriptors += chain.descriptors;
		rx->bytes += chain.writable_bytes;
	}
	return true;
}

/*
 * Whether to read a packet now. With less room than the largest packet takes it is better to wait
 * for the driver; but not if it cannot give more because most of its descriptors are here.
 */
static bool window_suffices(const struct net_rx *rx)
{
	return rx->chains && (!mergeable(rx) || !window_has_room(rx) ||
			      rx->descriptors > rx->queue->vq.setup.size / 2U);
}

static void drop_chains(struct net_rx *rx, unsigned int count)
{
	unsigned int pieces = 0;

	for (unsigned int i = 0; i < count; i++) {
		pieces += rx->chain[i].pieces;
		rx->descriptors -= rx->chain[i].descriptors;
		rx->bytes -= rx->chain[i].bytes;
	}
	rx->chains -= count;
	rx->pieces -= pieces;
	memmove(rx->chain, rx->chain + count, rx->chains * sizeof(rx->chain[0]));
	memmove(rx->iov, rx->iov + pieces, rx->pieces * sizeof(rx->iov[0]));
}

/* --- Packets --- */

/* 5.1.6.4.1: how many buffers the packet took, in the header at the front of the first. */
static void write_num_buffers(struct net_rx *rx, uint16_t count)
{
	const size_t at = offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers);
	const uint8_t bytes[2] = { (uint8_t)count, (uint8_t)(count >> 8) };
	size_t offset = 0;

	/* Bound: the pieces of the first chain, which hold the header. */
	for (unsigned int i = 0; i < rx->chain[0].pieces; i++) {
		for (size_t b = 0; b < sizeof(bytes); b++)
			if (at + b >= offset && at + b < offset + rx->iov[i].iov_len)
				((uint8_t *)rx->iov[i].iov_base)[at + b - offset] = bytes[b];
		offset += rx->iov[i].iov_len;
	}
}

static void deliver(struct net_rx *rx, uint64_t len)
{
	unsigned int count = 0;
	uint64_t room = 0;

	while (room < len)
		room += rx->chain[count++].bytes;
	write_num_buffers(rx, (uint16_t)count);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t part = min_u64(len, rx->chain[i].bytes);

		virtio_push(rx->queue, rx->chain[i].head, (uint32_t)part);
		len -= part;
	}
	drop_chains(rx, count);
}

/* Reads one packet. 1; 0 if there is none; or a negative errno. */
static int receive_one(struct net_rx *rx)
{
	struct virtio_counters *counters = &rx->net->device.counters;
	ssize_t n;

	rx->iov[rx->pieces] = (struct iovec){ &rx->excess, sizeof(rx->excess) };
	do {
		n = readv(rx->fd, rx->iov, (int)rx->pieces + 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* A packet that is cut, or is no packet, is dropped; its buffers are used again. */
	if ((uint64_t)n > rx->bytes || (size_t)n < HEADER) {
		virtio_count(&counters->errors, 1);
		return 1;
	}
	virtio_count(&counters->bytes_in, (uint64_t)n - HEADER);
	deliver(rx, (uint64_t)n);
	return 1;
}

static void poll_done(struct loop_op *op, int result)
{
	struct net_rx *rx = container_of(op, struct net_rx, poll);
	struct virtio_device *device = &rx->net->device;

	rx->polling = false;
	if (result != -ECANCELED || rx->active)
		receive(rx);
	virtio_put(device);
}

static void wait_for_packet(struct net_rx *rx)
{
	rx->polling = true;
	rx->poll.done = poll_done;
	virtio_get(&rx->net->device);
	loop_poll(rx->net->device.loop, &rx->poll, rx->fd, POLLIN);
}

/* True if the driver has to give more buffers first; its kick brings us back. */
static bool starve(struct net_rx *rx)
{
	if (window_suffices(rx) || virtq_enable_kicks(&rx->queue->vq))
		return false;
	rx->starved = true;
	return true;
}

static void receive(struct net_rx *rx)
{
	struct virtio_device *device = &rx->net->device;

	/* Bound: NET_RX_BURST packets; then the others get their turn. */
	for (unsigned int i = 0; i < NET_RX_BURST; i++) {
		int rc;

		if (!device->running || !rx->active || rx->dead || !pci_bus_master(&device->pci))
			return;
		if (!fill_window(rx) || starve(rx))
			return;
		if (!window_suffices(rx))
			continue; /* buffers came while we asked for them */
		rc = receive_one(rx);
		if (!rc) {
			wait_for_packet(rx);
			return;
		}
		if (rc < 0) {
			log_error(NET, "%s: tap '%s' cannot be read: %s; nothing more is received",
				  device->name, rx->net->tap.name, strerror(-rc));
			rx->dead = true;
			return;
		}
	}
	loop_defer(device->loop, &rx->again);
}

static void receive_again(struct loop_deferred *deferred)
{
	struct net_rx *rx = container_of(deferred, struct net_rx, again);

	if (!rx->polling && !rx->starved)
		receive(rx);
}

int net_rx_handle(struct net_rx *rx)
{
	if (rx->starved && rx->active) {
		rx->starved = false;
		virtq_disable_kicks(&rx->queue->vq);
		receive(rx);
	}
	return -EAGAIN; /* chains are taken when packets come */
}

void net_rx_start(struct net_rx *rx)
{
	rx->again.run = receive_again;
	rx->active = true;
	rx->starved = !rx->polling; /* the first look at the queue starts the receiving */
}

void net_rx_pause(struct net_rx *rx)
{
	rx->active = false;
	if (rx->polling)
		loop_cancel(rx->net->device.loop, &rx->poll);
}

void net_rx_stop(struct net_rx *rx)
{
	net_rx_pause(rx);
	rx->starved = false;
	rx->dead = false;
	rx->chains = 0;
	rx->pieces = 0;
	rx->descriptors = 0;
	rx->bytes = 0;
}
