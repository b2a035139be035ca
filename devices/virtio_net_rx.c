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

/*
 * The chains of the window were resolved when they were taken. If the guest has invalidated
 * anything since, they are taken again: what it has unmapped, the device must not write any more.
 * What is in the window is no packet yet, see receive_one().
 */
static void refresh_window(struct net_rx *rx)
{
	uint64_t epoch = dma_epoch(&rx->net->device.pci.dma);

	if (rx->chains && epoch != rx->epoch) {
		virtio_unpop(rx->queue, (uint16_t)rx->chains);
		drop_chains(rx, rx->chains);
	}
	rx->epoch = epoch;
}

/* --- Packets --- */

static void deliver(struct net_rx *rx, uint64_t len)
{
	uint16_t count = 0;
	uint64_t room = 0;

	while (room < len)
		room += rx->chain[count++].bytes;
	/* 5.1.6.4.1: how many buffers the packet took, in the header at the front of the first. */
	iov_write_at(rx->iov, rx->pieces, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers),
		     &count, sizeof(count));
	for (unsigned int i = 0; i < count; i++) {
		uint64_t part = min_u64(len, rx->chain[i].bytes);

		virtio_push(rx->queue, rx->chain[i].head, (uint32_t)part);
		len -= part;
	}
	drop_chains(rx, count);
}

static void drop_packet(struct net_rx *rx)
{
	virtio_count(&rx->net->device.counters.errors, 1);
	rx->pending = 0; /* its buffers are used again */
}

static void count_packet(struct net_rx *rx, uint64_t len)
{
	virtio_count(&rx->net->device.counters.bytes_in, len - HEADER);
}

/* A packet of @len bytes does not fit: it waits as a whole outside of guest memory. */
static void set_aside(struct net_rx *rx, uint64_t len)
{
	memmove(rx->spill + rx->bytes, rx->spill, len - rx->bytes);
	iov_read(rx->iov, rx->pieces, rx->spill, rx->bytes);
	rx->pending = len;
}

/* Reads one packet, and delivers it if it fits. 1; 0 if there is none; or a negative errno. */
static int receive_one(struct net_rx *rx)
{
	ssize_t n;

	rx->iov[rx->pieces] = (struct iovec){ rx->spill, NET_RX_SPILL };
	do {
		n = readv(rx->fd, rx->iov, (int)rx->pieces + 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* What is no packet, or can have one buffer only, which is too small. */
	if ((size_t)n < HEADER || (uint64_t)n > NET_RX_SPILL ||
	    (!mergeable(rx) && (uint64_t)n > rx->bytes)) {
		drop_packet(rx);
	} else if ((uint64_t)n > rx->bytes) {
		set_aside(rx, (uint64_t)n);
	} else {
		count_packet(rx, (uint64_t)n);
		deliver(rx, (uint64_t)n);
	}
	return 1;
}

/* Gives the pending packet to the driver if the window holds it now. */
static bool deliver_pending(struct net_rx *rx)
{
	if (rx->bytes < rx->pending)
		return false;
	iov_write(rx->iov, rx->pieces, rx->spill, rx->pending);
	count_packet(rx, rx->pending);
	deliver(rx, rx->pending);
	rx->pending = 0;
	return true;
}

/*
 * The packet is too large for the window. The driver will give more buffers; but if most of its
 * descriptors are here already, it may have no more to give, and waiting would be for ever.
 */
static bool worth_waiting(const struct net_rx *rx)
{
	return window_has_room(rx) && rx->descriptors <= rx->queue->vq.setup.size / 2U;
}

static void poll_done(struct loop_op *op, int result)
{
	struct net_rx *rx = container_of(op, struct net_rx, poll);
	struct virtio_device *device = &rx->net->device;

	(void)result; /* cancelled, failed or ready: the state and the next read tell */
	rx->polling = false;
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

/* True if the driver has to give buffers first; its kick brings us back. */
static bool starve(struct net_rx *rx)
{
	if (virtq_enable_kicks(&rx->queue->vq))
		return false; /* some came meanwhile */
	rx->starved = true;
	return true;
}

static bool may_receive(const struct net_rx *rx)
{
	const struct virtio_device *device = &rx->net->device;

	return device->running && rx->active && !rx->dead && pci_bus_master(&device->pci);
}

/* A packet read, delivered, or both. False if there is nothing to do now. */
static bool do_step(struct net_rx *rx)
{
	int rc;

	if (!may_receive(rx))
		return false;
	refresh_window(rx);
	if (!fill_window(rx))
		return false;
	if (rx->pending) {
		if (deliver_pending(rx))
			return true;
		if (worth_waiting(rx))
			return !starve(rx);
		drop_packet(rx);
		return true;
	}
	if (!rx->chains)
		return !starve(rx);
	rc = receive_one(rx);
	if (!rc)
		wait_for_packet(rx);
	if (rc < 0) {
		log_guest(NET, "%s: tap '%s' cannot be read: %s; nothing more is received",
			  rx->net->device.name, rx->net->tap.name, strerror(-rc));
		rx->dead = true;
	}
	return rc > 0;
}

/* One step between dma_enter() and dma_leave(): at most one packet is copied. */
static bool step(struct net_rx *rx)
{
	const struct dma *dma = &rx->net->device.pci.dma;
	unsigned int token = dma_enter(dma);
	bool more = do_step(rx);

	dma_leave(dma, token);
	return more;
}

static void receive(struct net_rx *rx)
{
	/* Bound: so many steps; then the others get their turn. */
	for (unsigned int i = 0; i < 2 * NET_RX_BURST; i++)
		if (!step(rx))
			return;
	loop_defer(rx->net->device.loop, &rx->again);
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
		loop_defer(rx->net->device.loop, &rx->again);
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
	rx->pending = 0;
}
