/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net (virtio 1.2, 5.1): features, the control queue, and which pairs of queues are used.
 *
 * System calls once it runs: ioctl on the tap, TUNSETOFFLOAD when a driver starts and stops, and
 * TUNSETQUEUE when it changes the number of pairs of a tap with several.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "devices/log.h"
#include "devices/virtio_net_queue.h"

#define CLASS_ETHERNET 0x020000
#define CONTROL_IOV    16
#define CONTROL_DATA   64 /* bytes of a command that are looked at */

static struct virtio_net *net_of(const struct virtio_device *device)
{
	return container_of(device, struct virtio_net, device);
}

/* --- Pairs --- */

/* A queue of the tap that is not used is detached: the kernel sends its flows to the others. */
static int attach_pair(struct virtio_net *net, unsigned int pair, bool attach)
{
	struct ifreq request = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (net->rx[pair].attached == attach || net->tap.pairs == 1)
		return 0;
	if (ioctl(net->tap.fd[pair], TUNSETQUEUE, &request))
		return -errno;
	net->rx[pair].attached = attach;
	return 0;
}

int net_set_pairs(struct virtio_net *net, unsigned int pairs)
{
	for (unsigned int i = 0; i < net->tap.pairs; i++) {
		bool use = i < pairs;
		int rc = attach_pair(net, i, use);

		if (rc)
			return rc;
		if (use == net->rx[i].active)
			continue;
		if (use) {
			net_rx_start(&net->rx[i]);
			virtio_process(net->rx[i].queue);
		} else {
			net_rx_pause(&net->rx[i]);
		}
	}
	net->pairs = pairs;
	return 0;
}

/* --- The control queue (5.1.6.5) --- */

struct command {
	uint8_t class, command;
	unsigned int len; /* of the data, which may be longer */
	uint8_t data[CONTROL_DATA];
};

static uint8_t set_queue_pairs(struct virtio_net *net, const struct command *command)
{
	uint16_t pairs = command->len < 2 ? 0 : load_le16(command->data);

	if (!virtio_has(&net->device, VIRTIO_NET_F_MQ) || !pairs || pairs > net->tap.pairs)
		return VIRTIO_NET_ERR;
	return net_set_pairs(net, pairs) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
}

/* A tap gives every packet: all that a filter may ask for is there. 5.1.6.5.1: filters are hints.
 */
static uint8_t set_filter(struct virtio_net *net, const struct command *command)
{
	return virtio_has(&net->device, VIRTIO_NET_F_CTRL_RX) && command->len ? VIRTIO_NET_OK
									      : VIRTIO_NET_ERR;
}

static const struct {
	uint8_t class, first, last;
	uint8_t (*run)(struct virtio_net *net, const struct command *command);
} commands[] = {
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_CTRL_RX_ALLMULTI, set_filter },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_MAC_TABLE_SET,
	  set_filter },
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
	  set_queue_pairs },
};

static uint8_t run_command(struct virtio_net *net, const struct command *command)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].class == command->class && command->command >= commands[i].first &&
		    command->command <= commands[i].last)
			return commands[i].run(net, command);
	return VIRTIO_NET_ERR;
}

int net_control_handle(struct virtio_net *net, struct virtio_queue *queue)
{
	struct iovec iov[CONTROL_IOV];
	struct virtq_chain chain;
	struct command command;
	uint8_t bytes[2 + CONTROL_DATA], ack;
	uint64_t len;
	int rc = virtio_pop(queue, &chain, iov, ARRAY_SIZE(iov));

	if (rc <= 0)
		return rc;
	len = iov_read(iov, chain.readable, bytes, sizeof(bytes));
	if (len < 2 || !chain.writable_bytes) {
		virtio_fail(queue, "control command without header or acknowledgement");
		return -EIO;
	}
	command = (struct command){ bytes[0], bytes[1], (unsigned int)len - 2, { 0 } };
	memcpy(command.data, bytes + 2, command.len);
	ack = run_command(net, &command);
	iov_write(iov + chain.readable, chain.writable, &ack, 1);
	virtio_push(queue, chain.head, 1);
	return 1;
}

/* --- The device --- */

/* 5.1.2: the control queue comes after the pairs that the driver knows of. */
static unsigned int control_index(const struct virtio_net *net)
{
	return virtio_has(&net->device, VIRTIO_NET_F_MQ) ? 2 * net->tap.pairs : 2;
}

static int handle(struct virtio_queue *queue)
{
	struct virtio_net *net = net_of(queue->device);

	if (virtio_has(&net->device, VIRTIO_NET_F_CTRL_VQ) && queue->index == control_index(net))
		return net_control_handle(net, queue);
	if (queue->index >= 2 * net->tap.pairs)
		return -EAGAIN; /* without the feature there is no such queue */
	return queue->index % 2 ? net_tx_handle(&net->tx[queue->index / 2])
				: net_rx_handle(&net->rx[queue->index / 2]);
}

static void set_offloads(struct virtio_net *net, uint64_t features)
{
	static const struct {
		unsigned int feature, offload;
	} map[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
		{ VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
	};
	unsigned long offloads = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(map); i++)
		if (features & VIRTIO_BIT(map[i].feature))
			offloads |= map[i].offload;
	if (ioctl(net->tap.fd[0], TUNSETOFFLOAD, offloads))
		log_guest(NET, "%s: tap '%s' does not set offloads %#lx: %s", net->device.name,
			  net->tap.name, offloads, strerror(errno));
}

static void start(struct virtio_device *device)
{
	struct virtio_net *net = net_of(device);
	int rc;

	set_offloads(net, device->features);
	/* 5.1.6.5.5: one pair until the driver asks for more. */
	rc = net_set_pairs(net, 1);
	if (rc)
		log_guest(NET, "%s: tap '%s' does not detach its other queues: %s", device->name,
			  net->tap.name, strerror(-rc));
}

static void stop(struct virtio_device *device)
{
	struct virtio_net *net = net_of(device);

	for (unsigned int i = 0; i < net->tap.pairs; i++) {
		if (i)
			attach_pair(net, i, false);
		net_rx_stop(&net->rx[i]);
	}
	set_offloads(net, 0);
}

/* 5.1.3.1 */
static bool features_agree(const struct virtio_device *device, uint64_t features)
{
	static const struct {
		unsigned int feature, needs;
	} rules[] = {
		{ VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ },
	};
	const uint64_t guest_tso =
		VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6);
	const uint64_t host_tso =
		VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6);

	(void)device;
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		if (features & VIRTIO_BIT(rules[i].feature) &&
		    !(features & VIRTIO_BIT(rules[i].needs)))
			return false;
	if (features & VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) && !(features & guest_tso))
		return false;
	return !(features & VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN)) || features & host_tso;
}

static const struct virtio_ops net_ops = {
	.handle = handle,
	.start = start,
	.stop = stop,
	.features_agree = features_agree,
};

/* --- Life --- */

static uint64_t features(const struct virtio_net_tap *tap)
{
	uint64_t all = VIRTIO_BIT(VIRTIO_NET_F_MAC) | VIRTIO_BIT(VIRTIO_NET_F_STATUS) |
		       VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) |
		       VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX);

	if (tap->mtu)
		all |= VIRTIO_BIT(VIRTIO_NET_F_MTU);
	if (tap->pairs > 1)
		all |= VIRTIO_BIT(VIRTIO_NET_F_MQ);
	/* What the guest sends is for the kernel to cut and sum; it does so for every tap. */
	if (tap->offload)
		all |= VIRTIO_BIT(VIRTIO_NET_F_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) |
		       VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6) | VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN);
	/* What it receives depends on what the tap may hand over. */
	if (tap->offloads & TUN_F_CSUM)
		all |= VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (tap->offloads & TUN_F_TSO4)
		all |= VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4);
	if (tap->offloads & TUN_F_TSO6)
		all |= VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6);
	if (tap->offloads & TUN_F_TSO_ECN)
		all |= VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN);
	return all;
}

static void free_queues(struct virtio_net *net)
{
	for (unsigned int i = 0; net->tx && net->rx && i < net->tap.pairs; i++) {
		free(net->tx[i].pool);
		free(net->rx[i].spill);
	}
	free(net->tx);
	free(net->rx);
}

static int create_queues(struct virtio_net *net)
{
	net->rx = calloc(net->tap.pairs, sizeof(*net->rx));
	net->tx = calloc(net->tap.pairs, sizeof(*net->tx));
	if (!net->rx || !net->tx)
		return -ENOMEM;
	for (unsigned int i = 0; i < net->tap.pairs; i++) {
		net->rx[i].net = net;
		net->rx[i].fd = net->tap.fd[i];
		net->rx[i].attached = true; /* by virtio_net_open() */
		net->tx[i].net = net;
		net->tx[i].fd = net->tap.fd[i];
		/* One more: the one that finds the queue empty. */
		net->tx[i].pool = calloc(NET_QUEUE_SIZE + 1, sizeof(*net->tx[i].pool));
		net->rx[i].spill = malloc(NET_RX_SPILL);
		if (!net->tx[i].pool || !net->rx[i].spill)
			return -ENOMEM;
	}
	return 0;
}

static void join_queues(struct virtio_net *net)
{
	for (unsigned int i = 0; i < net->tap.pairs; i++) {
		net->rx[i].queue = &net->device.queue[2 * i];
		net->tx[i].queue = &net->device.queue[2 * i + 1];
		loop_register_file(net->device.loop, net->tap.fd[i]);
	}
}

struct virtio_net *virtio_net_create(struct pci_host *host, struct loop *loop, const char *name,
				     const struct virtio_net_tap *tap,
				     const uint8_t mac[VIRTIO_NET_MAC])
{
	struct virtio_net *net = calloc(1, sizeof(*net));
	struct virtio_setup setup = {
		.name = name,
		.ops = &net_ops,
		.id = VIRTIO_ID_NET,
		.class_code = CLASS_ETHERNET,
		.features = features(tap),
		/* Up to what the features describe: mac, status, max_virtqueue_pairs, mtu. */
		.config_size = offsetof(struct virtio_net_config, mtu) + 2,
		.queues = 2 * tap->pairs + 1,
		.queue_size = NET_QUEUE_SIZE,
	};
	int rc = -ENOMEM;

	if (!net)
		goto error;
	net->tap = *tap;
	memcpy(net->config.mac, mac, VIRTIO_NET_MAC);
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->config.max_virtqueue_pairs = (uint16_t)tap->pairs;
	net->config.mtu = tap->mtu;
	setup.config = &net->config;
	rc = create_queues(net);
	if (!rc)
		rc = virtio_device_init(&net->device, host, loop, &setup);
	if (!rc) {
		join_queues(net);
		return net;
	}
	free_queues(net);
	free(net);
error:
	errno = -rc;
	return NULL;
}

void virtio_net_destroy(struct virtio_net *net)
{
	if (!net)
		return;
	for (unsigned int i = 0; i < net->tap.pairs; i++)
		loop_unregister_file(net->device.loop, net->tap.fd[i]);
	virtio_device_destroy(&net->device);
	free_queues(net);
	free(net);
}

struct virtio_device *virtio_net_device(struct virtio_net *net)
{
	return &net->device;
}
