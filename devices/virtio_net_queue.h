/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of virtio-net: its queues. All of it belongs to the loop's thread.
 */
#ifndef NIDUS_DEVICES_VIRTIO_NET_QUEUE_H
#define NIDUS_DEVICES_VIRTIO_NET_QUEUE_H

#include <linux/virtio_net.h>

#include "devices/base.h"
#include "devices/virtio_net.h"

#define NET_QUEUE_SIZE 256
#define NET_CHAIN_IOV  64  /* pieces of one chain: a header, 17 fragments, twice if memory splits */
#define NET_RX_CHAINS  128 /* chains that wait for a packet */
#define NET_RX_IOV     256
#define NET_RX_BURST   64	   /* packets in a turn */
#define NET_RX_SPILL   (66 * 1024) /* bytes: more than any packet has */

_Static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == 12, "5.1.6: with VERSION_1");

struct virtio_net;

/*
 * Receiving. Chains are kept in a window, so that a packet can be read into as many of them as it
 * takes; what it leaves is for the next packet.
 */
struct net_rx {
	struct virtio_net *net;
	struct virtio_queue *queue;
	int fd;
	struct loop_op poll;
	struct loop_deferred again;
	bool attached;				  /* the queue of the tap; see net_set_pairs() */
	bool active;				  /* the driver uses this pair */
	bool polling;				  /* until a packet comes */
	bool starved;				  /* until the driver kicks */
	bool dead;				  /* the tap is gone */
	unsigned int chains, pieces, descriptors; /* in the window */
	uint64_t bytes;
	struct net_rx_chain {
		uint16_t head, pieces, descriptors;
		uint32_t bytes;
	} chain[NET_RX_CHAINS];
	struct iovec iov[NET_RX_IOV + 1]; /* one more: the spill */
	uint64_t epoch;			  /* of the addresses in iov: dma_epoch() */
	/*
	 * Where a packet waits that the window is too small for, until the driver gives more
	 * buffers. `pending` is its size; 0: there is none.
	 */
	uint8_t *spill;
	uint64_t pending;
};

struct net_tx_packet {
	struct loop_op op;
	struct net_tx *tx;
	struct net_tx_packet *next; /* in the free list */
	struct virtq_chain chain;
	struct iovec iov[NET_CHAIN_IOV];
};

struct net_tx {
	struct virtio_net *net;
	struct virtio_queue *queue;
	int fd;
	/* As many as chains can be out; never touched ones cost no memory. */
	struct net_tx_packet *pool;
	unsigned int pool_used;
	struct net_tx_packet *free;
};

struct virtio_net {
	struct virtio_device device;
	struct virtio_net_tap tap;
	struct virtio_net_config config;
	unsigned int pairs; /* active */
	struct net_rx *rx;  /* tap.pairs of each */
	struct net_tx *tx;
};

/* ops->handle of a receive queue: the driver has made buffers available. */
int net_rx_handle(struct net_rx *rx);

void net_rx_start(struct net_rx *rx);
/* Ends receiving, and forgets the window if the device stops. */
void net_rx_pause(struct net_rx *rx);
void net_rx_stop(struct net_rx *rx);

/* ops->handle of a transmit queue. */
int net_tx_handle(struct net_tx *tx);

/* ops->handle of the control queue. */
int net_control_handle(struct virtio_net *net, struct virtio_queue *queue);

/* The first @pairs pairs of queues are used from now on. 0 or a negative errno. */
int net_set_pairs(struct virtio_net *net, unsigned int pairs);

#endif
