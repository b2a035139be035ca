/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: sending (virtio 1.2, 5.1.6.2). Each packet is one write to the tap, straight from
 * guest memory; all packets of a turn go to the kernel at once. The kernel checks their headers.
 *
 * System calls once it runs: none of its own. Through the ring: write, writev.
 */
#include <errno.h>

#include "devices/virtio_net_queue.h"

static struct net_tx_packet *take_packet(struct net_tx *tx)
{
	struct net_tx_packet *packet = tx->free;

	if (packet)
		tx->free = packet->next;
	else
		packet = &tx->pool[tx->pool_used++];
	return packet;
}

static void free_packet(struct net_tx *tx, struct net_tx_packet *packet)
{
	packet->next = tx->free;
	tx->free = packet;
}

static void sent(struct loop_op *op, int result)
{
	struct net_tx_packet *packet = container_of(op, struct net_tx_packet, op);
	struct net_tx *tx = packet->tx;
	struct virtio_device *device = &tx->net->device;

	/* As on a wire, a packet that the other end does not take is lost. */
	if (result < 0)
		virtio_count(&device->counters.errors, 1);
	else
		virtio_count(&device->counters.bytes_out,
			     (uint64_t)result - sizeof(struct virtio_net_hdr_mrg_rxbuf));
	virtio_push(tx->queue, packet->chain.head, 0);
	free_packet(tx, packet);
	virtio_put(device);
}

int net_tx_handle(struct net_tx *tx)
{
	struct net_tx_packet *packet = take_packet(tx);
	struct virtio_device *device = &tx->net->device;
	int rc = virtio_pop(tx->queue, &packet->chain, packet->iov, NET_CHAIN_IOV);

	if (rc <= 0) {
		free_packet(tx, packet);
		return rc;
	}
	if (packet->chain.readable_bytes <= sizeof(struct virtio_net_hdr_mrg_rxbuf)) {
		virtio_count(&device->counters.errors, 1);
		virtio_push(tx->queue, packet->chain.head, 0);
		free_packet(tx, packet);
		return 1;
	}
	packet->tx = tx;
	packet->op.done = sent;
	virtio_get(device);
	loop_writev(device->loop, &packet->op, tx->fd, packet->iov, packet->chain.readable, 0);
	return 1;
}
