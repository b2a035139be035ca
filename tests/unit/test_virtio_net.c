/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net against a guest driver and real taps, in a network namespace of its own. What needs
 * privileges is skipped without them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/virtio_net.h"
#include "tests/unit/virtio_driver.h"

#define HEADER	 12
#define QUEUE	 256
#define BUFFER	 2048
#define PROTOCOL 0x88b5 /* for experiments */

static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

struct bench {
	struct machine *machine;
	struct loop *loop;
	struct virtio_net_tap tap;
	struct virtio_net *net;
	struct driver driver;
	int wire; /* a packet socket on the tap: what the host sends and sees */
	uint64_t buffers;
};

static bool have_namespace;

/* Without IPv6 the host's own packets stay out of the way. */
static void be_quiet(void)
{
	static const char *const files[] = { "/proc/sys/net/ipv6/conf/all/disable_ipv6",
					     "/proc/sys/net/ipv6/conf/default/disable_ipv6" };

	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = open(files[i], O_WRONLY);

		if (fd >= 0 && write(fd, "1", 1) != 1)
			print_message("%s cannot be set\n", files[i]);
		if (fd >= 0)
			close(fd);
	}
}

static int enter_namespace(void **state)
{
	(void)state;
	have_namespace = !unshare(CLONE_NEWNET | CLONE_NEWNS) &&
			 !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
			 !mount("sysfs", "/sys", "sysfs", 0, NULL);
	if (!have_namespace)
		print_message("taps are not tested: no network namespace (%s)\n", strerror(errno));
	else
		be_quiet();
	return 0;
}

/* Makes a persistent tap, as `ip tuntap add` does, and brings it up. */
static void make_tap(const char *name, int flags)
{
	struct ifreq request = { .ifr_flags = (short)(flags | IFF_NO_PI) };
	int fd = open("/dev/net/tun", O_RDWR), s = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	assert_int_equal(ioctl(s, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &request), 0);
	close(s);
	close(fd);
}

static int open_wire(const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(PROTOCOL),
				       .sll_ifindex = (int)if_nametoindex(name) };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(PROTOCOL));

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void make_machine(struct bench *b)
{
	b->machine = fake_machine_create();
	b->loop = loop_create(64);
	assert_non_null(b->loop);
	b->buffers = fake_alloc(b->machine, QUEUE * BUFFER, 4096);
	b->wire = -1;
}

static int setup_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	make_machine(b);
	*state = b;
	return 0;
}

static void drop_machine(struct bench *b)
{
	if (b->net) {
		virtio_quiesce(virtio_net_device(b->net));
		while (loop_in_flight(b->loop))
			assert_int_equal(loop_turn(b->loop, true), 0);
		virtio_net_destroy(b->net);
		virtio_net_close(&b->tap);
		b->net = NULL;
	}
	if (b->wire >= 0)
		close(b->wire);
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
}

/* Another machine; the tap stays. */
static void start_over(struct bench *b)
{
	drop_machine(b);
	make_machine(b);
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	drop_machine(b);
	free(b);
	return 0;
}

static void open_net(struct bench *b, const char *name, unsigned int pairs, bool offload)
{
	const struct virtio_net_options options = {
		.tap = name, .fd = -1, .pairs = pairs, .offload = offload
	};
	char error[256] = "";

	if (virtio_net_open(&b->tap, &options, error, sizeof(error)))
		fail_msg("%s", error);
	b->net = virtio_net_create(&b->machine->host, b->loop, "net0", &b->tap, mac);
	assert_non_null(b->net);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	driver_probe(&b->driver, b->machine, b->loop, virtio_net_device(b->net)->pci.requester);
	b->wire = open_wire(name);
}

static void bring_up(struct bench *b, uint64_t features, unsigned int queues)
{
	assert_true(driver_negotiate(&b->driver, features));
	driver_enable_msix(&b->driver, queues + 1);
	for (uint16_t i = 0; i < queues; i++)
		driver_queue_init(&b->driver, i, QUEUE);
	driver_start(&b->driver);
}

static void give_buffers(struct bench *b, unsigned int queue, unsigned int first,
			 unsigned int count)
{
	for (unsigned int i = first; i < first + count; i++) {
		const struct driver_buffer buffer = { b->buffers + i * BUFFER, BUFFER, true };

		driver_add(&b->driver.queue[queue], &buffer, 1);
	}
	driver_kick(&b->driver.queue[queue]);
	fake_settle(b->loop);
}

static size_t make_frame(uint8_t *frame, size_t payload, unsigned int seed)
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	frame[12] = PROTOCOL >> 8;
	frame[13] = PROTOCOL & 0xff;
	for (size_t i = 0; i < payload; i++)
		frame[14 + i] = (uint8_t)(seed + i * 7 + i / 251);
	return 14 + payload;
}

/* The host puts a frame on the wire; with @gso, one that the tap may only give as a whole. */
static void host_sends(struct bench *b, const uint8_t *frame, size_t len, uint16_t gso)
{
	struct virtio_net_hdr header = { 0 };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)(uintptr_t)frame, len } };
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(gso ? ETH_P_IP : PROTOCOL),
				       .sll_ifindex = (int)if_nametoindex(b->tap.name) };
	struct msghdr message = { .msg_name = &address,
				  .msg_namelen = sizeof(address),
				  .msg_iov = iov,
				  .msg_iovlen = 2 };

	if (gso)
		header = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						  .hdr_len = 54,
						  .gso_size = gso,
						  .csum_start = 34,
						  .csum_offset = 16 };
	assert_int_equal(sendmsg(b->wire, &message, 0), sizeof(header) + len);
}

/* Waits for a frame that the guest has sent; returns its length without the header. */
static size_t host_receives(struct bench *b, uint8_t *frame, size_t size)
{
	struct virtio_net_hdr header;
	struct iovec iov[2] = { { &header, sizeof(header) }, { frame, size } };

	for (unsigned int i = 0; i < 1000; i++) {
		ssize_t n;

		assert_int_equal(loop_turn(b->loop, false), 0);
		n = readv(b->wire, iov, 2);
		if (n > (ssize_t)sizeof(header))
			return (size_t)n - sizeof(header);
		poll(NULL, 0, 1);
	}
	fail_msg("the guest's frame did not arrive");
	return 0;
}

static uint64_t features(struct bench *b)
{
	return driver_offered(&b->driver);
}

static struct virtio_counters counters(struct bench *b)
{
	return virtio_counters_read(virtio_net_device(b->net));
}

/* --- Packets --- */

static void configuration(void **state)
{
	struct bench *b = *state;
	uint64_t config;

	if (!have_namespace)
		skip();
	make_tap("nt0", IFF_TAP);
	open_net(b, "nt0", 1, true);
	config = b->driver.config;
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(fake_read(b->machine, config + i, 1), mac[i]);
	assert_int_equal(fake_read(b->machine, config + 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(fake_read(b->machine, config + 8, 2), 1);
	assert_int_equal(fake_read(b->machine, config + 10, 2), 1500);
	assert_false(features(b) & VIRTIO_BIT(VIRTIO_NET_F_MQ));
	assert_true(features(b) & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4));
	start_over(b);
	open_net(b, "nt0", 1, false);
	assert_int_equal(features(b) & 0x1fff & ~VIRTIO_BIT(VIRTIO_NET_F_MAC) &
				 ~VIRTIO_BIT(VIRTIO_NET_F_MTU),
			 0);
}

static void guest_sends(void **state)
{
	struct bench *b = *state;
	uint8_t expect[1514], got[2048], *frame;
	struct driver_buffer parts[2];

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b), 3);
	frame = fake_ram(b->machine, b->buffers + HEADER);
	for (unsigned int i = 0; i < 50; i++) {
		size_t len = make_frame(expect, 46 + i * 20, i);

		memset(frame - HEADER, 0, HEADER);
		memcpy(frame, expect, len);
		parts[0] = (struct driver_buffer){ b->buffers, HEADER + 20, false };
		parts[1] = (struct driver_buffer){ b->buffers + HEADER + 20, (uint32_t)len - 20,
						   false };
		driver_add(&b->driver.queue[1], parts, 2);
		driver_kick(&b->driver.queue[1]);
		assert_int_equal(driver_wait_used(&b->driver.queue[1], NULL), 0);
		assert_int_equal(host_receives(b, got, sizeof(got)), len);
		assert_memory_equal(got, expect, len);
	}
	assert_int_equal(counters(b).errors, 0);
}

/* --- Behind a remapping unit --- */

/* What it does: buffers are where they are, or all of them one page further on. */
static struct {
	uint64_t epoch, buffers, moved;
} remapping;

static int translate(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
		     uint64_t *gpa, uint64_t *run)
{
	bool buffer = iova >= remapping.buffers && iova < remapping.buffers + QUEUE * BUFFER;

	(void)dma;
	(void)access;
	*gpa = iova + (buffer ? remapping.moved : 0);
	*run = min_u64(len, PAGE_SIZE_4K - iova % PAGE_SIZE_4K);
	return 0;
}

static uint64_t epoch(const struct dma *dma)
{
	(void)dma;
	return remapping.epoch;
}

/*
 * Buffers that are available are not yet the device's to remember: what they are mapped to is
 * looked up when a packet comes.
 */
static void buffers_move(void **state)
{
	static const struct dma_ops ops = { .translate = translate, .epoch = epoch };
	struct bench *b = *state;
	uint8_t frame[1514], untouched[QUEUE / 2 * BUFFER];
	size_t len;

	if (!have_namespace)
		skip();
	remapping.epoch = remapping.moved = 0;
	remapping.buffers = b->buffers;
	open_net(b, "nt0", 1, true);
	virtio_net_device(b->net)->pci.dma.ops = &ops;
	bring_up(b, features(b), 3);
	give_buffers(b, 0, 0, QUEUE / 4);
	for (unsigned int i = 0; i < 5; i++) {
		uint32_t head = 0;
		uint8_t *at;

		memcpy(untouched, fake_ram(b->machine, b->buffers), sizeof(untouched));
		remapping.moved = i * sizeof(untouched) % (QUEUE * BUFFER);
		remapping.epoch++;
		at = fake_ram(b->machine, b->buffers + remapping.moved + i * BUFFER);
		len = make_frame(frame, 1000, i);
		host_sends(b, frame, len, 0);
		assert_int_equal(driver_wait_used(&b->driver.queue[0], &head), HEADER + len);
		assert_int_equal(head, i);
		assert_memory_equal(at + HEADER, frame, len);
		if (remapping.moved)
			assert_memory_equal(untouched, fake_ram(b->machine, b->buffers),
					    sizeof(untouched));
	}
	assert_int_equal(counters(b).requests, 5 + 33);
}

static void guest_sends_nonsense(void **state)
{
	struct bench *b = *state;
	static const uint32_t lengths[] = { 1, 11, 12, 13, 25 };
	struct virtio_net_hdr *header;

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b), 3);
	header = fake_ram(b->machine, b->buffers);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		const struct driver_buffer buffer = { b->buffers, lengths[i], false };

		driver_add(&b->driver.queue[1], &buffer, 1);
	}
	driver_kick(&b->driver.queue[1]);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++)
		driver_wait_used(&b->driver.queue[1], NULL);
	assert_int_equal(counters(b).errors, ARRAY_SIZE(lengths));
	/* Headers that lie. */
	for (unsigned int type = 0; type < 256; type++) {
		const struct driver_buffer buffer = { b->buffers, HEADER + 100, false };

		memset(header, 0xff, HEADER);
		header->gso_type = (uint8_t)type;
		driver_add(&b->driver.queue[1], &buffer, 1);
		driver_kick(&b->driver.queue[1]);
		driver_wait_used(&b->driver.queue[1], NULL);
	}
	assert_int_equal(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void expect_frame(struct bench *b, const uint8_t *expect, size_t len, unsigned int buffer)
{
	uint32_t head;
	const uint8_t *got = fake_ram(b->machine, b->buffers + buffer * BUFFER);

	assert_int_equal(driver_wait_used(&b->driver.queue[0], &head), HEADER + len);
	assert_int_equal(load_le16(got + 10), 1);
	assert_memory_equal(got + HEADER, expect, len);
}

static void guest_receives(void **state)
{
	struct bench *b = *state;
	uint8_t frame[1514];
	size_t len;

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	/* Without buffers that may be joined, and with. */
	for (unsigned int mergeable = 0; mergeable < 2; mergeable++) {
		uint64_t without = mergeable ? 0 : VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);

		b->machine->next = b->buffers + QUEUE * BUFFER;
		bring_up(b, features(b) & ~without, 3);
		give_buffers(b, 0, 0, 64);
		for (unsigned int i = 0; i < 20; i++) {
			len = make_frame(frame, 46 + i * 70, i);
			host_sends(b, frame, len, 0);
			expect_frame(b, frame, len, i);
		}
		/* A burst: all of it, in order, with fewer interrupts than packets. */
		fake_settle(b->loop);
		fake_take_msis(b->machine, DRIVER_MSI + 1);
		for (unsigned int i = 0; i < 20; i++) {
			len = make_frame(frame, 100, i);
			host_sends(b, frame, len, 0);
		}
		fake_settle(b->loop);
		assert_true(fake_take_msis(b->machine, DRIVER_MSI + 1) < 5);
		for (unsigned int i = 0; i < 20; i++) {
			len = make_frame(frame, 100, i);
			expect_frame(b, frame, len, 20 + i);
		}
		assert_int_equal(counters(b).errors, 0);
	}
}

/* Packets wait in the tap while the guest has no buffers, and come when it has. */
static void receive_without_buffers(void **state)
{
	struct bench *b = *state;
	uint8_t frame[1514];
	size_t len;

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b) & ~VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF), 3);
	for (unsigned int i = 0; i < 10; i++) {
		len = make_frame(frame, 64, i);
		host_sends(b, frame, len, 0);
	}
	fake_settle(b->loop);
	for (unsigned int i = 0; i < 10; i++) {
		give_buffers(b, 0, i, 1);
		len = make_frame(frame, 64, i);
		expect_frame(b, frame, len, i);
	}
	assert_int_equal(counters(b).errors, 0);
}

/* An IPv4 TCP segment of @payload bytes; nobody checks more of it. */
static size_t make_tcp(uint8_t *frame, size_t payload)
{
	size_t len = make_frame(frame, 40 + payload, 1);
	uint8_t *ip = frame + 14, *tcp = ip + 20;

	frame[12] = 0x08;
	frame[13] = 0x00;
	memset(ip, 0, 40);
	ip[0] = 0x45;
	ip[2] = (uint8_t)((40 + payload) >> 8);
	ip[3] = (uint8_t)(40 + payload);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
	tcp[12] = 0x50;
	tcp[13] = 0x10;
	return len;
}

static size_t take_merged(struct bench *b, uint8_t *to)
{
	uint32_t head, part = driver_wait_used(&b->driver.queue[0], &head);
	const uint8_t *from = fake_ram(b->machine, b->buffers + (head % QUEUE) * BUFFER);
	uint16_t count = load_le16(from + 10);
	size_t len = 0;

	for (uint16_t i = 0; i < count; i++) {
		if (i) {
			part = driver_wait_used(&b->driver.queue[0], &head);
			from = fake_ram(b->machine, b->buffers + (head % QUEUE) * BUFFER);
		}
		memcpy(to + len, from, part);
		len += part;
	}
	return len;
}

/* 60 KiB in one packet, over as many buffers as it takes. */
static void large_packets_are_merged(void **state)
{
	struct bench *b = *state;
	uint8_t *frame, *got;
	size_t len;

	if (!have_namespace)
		skip();
	frame = test_malloc(70000);
	got = test_malloc(70000);
	len = make_tcp(frame, 60000);
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b), 3);
	give_buffers(b, 0, 0, 128);
	for (unsigned int i = 0; i < 4; i++) {
		host_sends(b, frame, len, 1448);
		assert_int_equal(take_merged(b, got), HEADER + len);
		assert_int_equal(got[1], VIRTIO_NET_HDR_GSO_TCPV4);
		assert_memory_equal(got + HEADER + 54, frame + 54, len - 54);
		give_buffers(b, 0, 128 + 30 * i, 30);
	}
	assert_int_equal(counters(b).errors, 0);
	test_free(frame);
	test_free(got);
}

/* Too few buffers for a large packet: it waits for more of them, and small ones need not. */
static void large_packet_waits_for_buffers(void **state)
{
	struct bench *b = *state;
	uint8_t *frame, *got, other[200];
	size_t len, small;

	if (!have_namespace)
		skip();
	frame = test_malloc(70000);
	got = test_malloc(70000);
	len = make_tcp(frame, 60000);
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b), 3);
	give_buffers(b, 0, 0, 10);
	small = make_frame(other, 100, 3);
	host_sends(b, other, small, 0);
	expect_frame(b, other, small, 0);
	host_sends(b, frame, len, 1448);
	fake_settle(b->loop);
	assert_int_equal(counters(b).errors, 0);
	give_buffers(b, 0, 10, 15);
	give_buffers(b, 0, 25, 15);
	assert_int_equal(take_merged(b, got), HEADER + len);
	assert_memory_equal(got + HEADER + 54, frame + 54, len - 54);
	host_sends(b, other, small, 0);
	fake_settle(b->loop);
	assert_int_equal(take_merged(b, got), HEADER + small);
	assert_int_equal(counters(b).errors, 0);
	test_free(frame);
	test_free(got);
}

/* A ring that can never hold it: dropped, and the next one arrives. */
static void large_packet_and_small_ring(void **state)
{
	struct bench *b = *state;
	uint8_t *frame, other[200];
	size_t len, small;

	if (!have_namespace)
		skip();
	frame = test_malloc(70000);
	len = make_tcp(frame, 60000);
	open_net(b, "nt0", 1, true);
	assert_true(driver_negotiate(&b->driver, features(b)));
	driver_queue_init(&b->driver, 0, 8);
	driver_start(&b->driver);
	give_buffers(b, 0, 0, 8);
	host_sends(b, frame, len, 1448);
	fake_settle(b->loop);
	assert_int_equal(counters(b).errors, 1);
	small = make_frame(other, 100, 3);
	host_sends(b, other, small, 0);
	expect_frame(b, other, small, 0);
	test_free(frame);
}

/* A buffer that is too small for the packet: dropped, not cut, and the next one arrives. */
static void packets_that_do_not_fit(void **state)
{
	struct bench *b = *state;
	uint8_t frame[1514];
	const struct driver_buffer small = { b->buffers, HEADER + 100, true };
	size_t len;

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b) & ~VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF), 3);
	driver_add(&b->driver.queue[0], &small, 1);
	driver_kick(&b->driver.queue[0]);
	len = make_frame(frame, 500, 1);
	host_sends(b, frame, len, 0);
	fake_settle(b->loop);
	assert_int_equal(counters(b).errors, 1);
	len = make_frame(frame, 86, 2);
	host_sends(b, frame, len, 0);
	expect_frame(b, frame, len, 0);
}

static void receive_buffers_that_cannot_be(void **state)
{
	struct bench *b = *state;
	const struct driver_buffer rows[] = { { b->buffers, 100, false },
					      { b->buffers, HEADER - 1, true } };

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		bring_up(b, features(b), 3);
		driver_add(&b->driver.queue[0], &rows[i], 1);
		driver_kick(&b->driver.queue[0]);
		fake_settle(b->loop);
		assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
}

/* --- Control --- */

static uint8_t control(struct bench *b, unsigned int queue, uint8_t class, uint8_t command,
		       uint16_t value, uint32_t len)
{
	uint8_t *bytes = fake_ram(b->machine, b->buffers);
	const struct driver_buffer buffers[] = { { b->buffers, 2 + len, false },
						 { b->buffers + 100, 1, true } };

	bytes[0] = class;
	bytes[1] = command;
	store_le16(bytes + 2, value);
	bytes[100] = 0xee;
	driver_add(&b->driver.queue[queue], buffers, 2);
	driver_kick(&b->driver.queue[queue]);
	driver_wait_used(&b->driver.queue[queue], NULL);
	return bytes[100];
}

static void several_queues(void **state)
{
	struct bench *b = *state;
	uint8_t frame[1514], got[2048];

	if (!have_namespace)
		skip();
	make_tap("ntm", IFF_TAP | IFF_MULTI_QUEUE);
	open_net(b, "ntm", 4, true);
	assert_int_equal(fake_read(b->machine, b->driver.config + 8, 2), 4);
	bring_up(b, features(b), 9);
	assert_int_equal(control(b, 8, VIRTIO_NET_CTRL_MQ, 0, 0, 2), VIRTIO_NET_ERR);
	assert_int_equal(control(b, 8, VIRTIO_NET_CTRL_MQ, 0, 5, 2), VIRTIO_NET_ERR);
	assert_int_equal(control(b, 8, VIRTIO_NET_CTRL_MQ, 0, 4, 1), VIRTIO_NET_ERR);
	for (unsigned int round = 0; round < 3; round++) {
		static const uint16_t pairs[] = { 4, 2, 3 };
		unsigned int received = 0;

		assert_int_equal(control(b, 8, VIRTIO_NET_CTRL_MQ, 0, pairs[round], 2),
				 VIRTIO_NET_OK);
		for (unsigned int i = 0; i < 4 && !round; i++)
			give_buffers(b, 2 * i, 32 * i, 32);
		/* Every pair in use sends. */
		for (unsigned int i = 0; i < pairs[round]; i++) {
			size_t len = make_frame(frame, 100, i);
			uint64_t at = b->buffers + (200 + i) * BUFFER;
			const struct driver_buffer buffer = { at, HEADER + (uint32_t)len, false };

			memset(fake_ram(b->machine, at), 0, HEADER);
			memcpy(fake_ram(b->machine, at + HEADER), frame, len);
			driver_add(&b->driver.queue[2 * i + 1], &buffer, 1);
			driver_kick(&b->driver.queue[2 * i + 1]);
			driver_wait_used(&b->driver.queue[2 * i + 1], NULL);
			assert_int_equal(host_receives(b, got, sizeof(got)), len);
			assert_memory_equal(got, frame, len);
		}
		/* What the host sends arrives on one of them, not on those that are off. */
		for (unsigned int i = 0; i < 8; i++)
			host_sends(b, frame, make_frame(frame, 100 + i, i), 0);
		fake_settle(b->loop);
		for (unsigned int i = 0; i < 4; i++) {
			uint32_t head, len;

			while (driver_used(&b->driver.queue[2 * i], &head, &len)) {
				assert_true(i < pairs[round]);
				received++;
			}
		}
		assert_int_equal(received, 8);
	}
	assert_int_equal(counters(b).errors, 0);
	/* After a reset there is one pair again, and the driver may not know of several. */
	bring_up(b, features(b) & ~VIRTIO_BIT(VIRTIO_NET_F_MQ), 3);
	assert_int_equal(control(b, 2, VIRTIO_NET_CTRL_MQ, 0, 2, 2), VIRTIO_NET_ERR);
	assert_int_equal(control(b, 2, VIRTIO_NET_CTRL_RX, 0, 1, 1), VIRTIO_NET_OK);
}

static void commands(void **state)
{
	struct bench *b = *state;
	const struct driver_buffer bad = { b->buffers, 1, false };

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	bring_up(b, features(b), 3);
	for (uint8_t command = 0; command < 6; command++)
		assert_int_equal(control(b, 2, VIRTIO_NET_CTRL_RX, command, 1, 1),
				 command < 2 ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
	assert_int_equal(control(b, 2, VIRTIO_NET_CTRL_MAC, 0, 0, 60), VIRTIO_NET_OK);
	assert_int_equal(control(b, 2, VIRTIO_NET_CTRL_MAC, 1, 0, 6), VIRTIO_NET_ERR);
	assert_int_equal(control(b, 2, VIRTIO_NET_CTRL_MQ, 0, 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(control(b, 2, 255, 255, 0, 0), VIRTIO_NET_ERR);
	driver_add(&b->driver.queue[2], &bad, 1);
	driver_kick(&b->driver.queue[2]);
	fake_settle(b->loop);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void features_that_disagree(void **state)
{
	struct bench *b = *state;
	static const unsigned int missing[] = { VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM,
						VIRTIO_NET_F_CTRL_VQ };

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	assert_true(driver_negotiate(&b->driver, features(b)));
	for (unsigned int i = 0; i < ARRAY_SIZE(missing); i++)
		assert_false(driver_negotiate(&b->driver, features(b) & ~VIRTIO_BIT(missing[i])));
}

/* --- The host --- */

static void tap_is_deleted(void **state)
{
	struct bench *b = *state;

	if (!have_namespace)
		skip();
	make_tap("ntd", IFF_TAP);
	open_net(b, "ntd", 1, true);
	bring_up(b, features(b), 3);
	give_buffers(b, 0, 0, 64);
	assert_int_equal(ioctl(b->tap.fd[0], TUNSETPERSIST, 0), 0);
	assert_int_equal(system("ip link del ntd 2>/dev/null || true"), 0);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(b->loop, false), 0);
	driver_reset(&b->driver);
}

static void reset_while_receiving(void **state)
{
	struct bench *b = *state;
	uint8_t frame[1514];

	if (!have_namespace)
		skip();
	open_net(b, "nt0", 1, true);
	for (unsigned int round = 0; round < 10; round++) {
		size_t len = make_frame(frame, 200, round);

		b->machine->next = b->buffers + QUEUE * BUFFER;
		bring_up(b, features(b), 3);
		give_buffers(b, 0, 0, 64);
		host_sends(b, frame, len, 0);
		if (round % 2)
			expect_frame(b, frame, len, 0);
		driver_reset(&b->driver);
		memset(fake_ram(b->machine, b->buffers), 0x5a, BUFFER);
		host_sends(b, frame, len, 0);
		fake_settle(b->loop);
		for (unsigned int i = 0; i < BUFFER; i++)
			assert_int_equal(((uint8_t *)fake_ram(b->machine, b->buffers))[i], 0x5a);
		while (recv(b->wire, frame, sizeof(frame), MSG_DONTWAIT) > 0)
			;
		/* What waited in the tap is not what the next round looks for. */
		start_over(b);
		open_net(b, "nt0", 1, true);
	}
}

static int try_open(const char *tap, unsigned int pairs, char *error, size_t size)
{
	const struct virtio_net_options options = { .tap = tap, .fd = -1, .pairs = pairs };
	struct virtio_net_tap opened;
	int rc = virtio_net_open(&opened, &options, error, size);

	if (!rc)
		virtio_net_close(&opened);
	return rc;
}

static void bad_taps(void **state)
{
	char error[256];

	(void)state;
	if (!have_namespace)
		skip();
	assert_int_equal(try_open("nothere", 1, error, sizeof(error)), -ENODEV);
	assert_string_equal(
		error, "tap 'nothere': does not exist; make it: ip tuntap add nothere mode tap");
	assert_int_equal(if_nametoindex("nothere"), 0);
	assert_int_equal(try_open("lo", 1, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("", 1, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("../lo", 1, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("a-name-that-is-too-long", 1, error, sizeof(error)), -EINVAL);
	make_tap("ntun", IFF_TUN);
	assert_int_equal(try_open("ntun", 1, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("nt0", 2, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("nt0", 0, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("nt0", 17, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("nt0", 1, error, sizeof(error)), 0);
	assert_int_equal(try_open("ntm", 1, error, sizeof(error)), 0);
}

static void taps_in_use(void **state)
{
	const struct virtio_net_options options = { .tap = "nt0", .fd = -1, .pairs = 1 };
	struct virtio_net_tap tap;
	char error[256];

	(void)state;
	if (!have_namespace)
		skip();
	assert_int_equal(virtio_net_open(&tap, &options, error, sizeof(error)), 0);
	assert_int_equal(try_open("nt0", 1, error, sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, "another process"));
	virtio_net_close(&tap);
}

static void inherited_descriptors(void **state)
{
	struct virtio_net_options options = { .pairs = 1 };
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "nt0" };
	struct virtio_net_tap tap;
	char error[256];

	(void)state;
	if (!have_namespace)
		skip();
	options.fd = open("/dev/null", O_RDWR);
	assert_true(virtio_net_open(&tap, &options, error, sizeof(error)) < 0);
	close(options.fd);
	options.fd = open("/dev/net/tun", O_RDWR);
	assert_int_equal(ioctl(options.fd, TUNSETIFF, &request), 0);
	assert_int_equal(virtio_net_open(&tap, &options, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "IFF_VNET_HDR"));
	close(options.fd);
	request.ifr_flags |= IFF_VNET_HDR;
	options.fd = open("/dev/net/tun", O_RDWR);
	assert_int_equal(ioctl(options.fd, TUNSETIFF, &request), 0);
	assert_int_equal(virtio_net_open(&tap, &options, error, sizeof(error)), 0);
	assert_string_equal(tap.name, "nt0");
	virtio_net_close(&tap);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_bench, teardown_bench)

int main(void)
{
	/* The first makes the tap that most of the others use. */
	const struct CMUnitTest tests[] = {
		TEST(configuration),
		TEST(guest_sends),
		TEST(guest_sends_nonsense),
		TEST(guest_receives),
		TEST(receive_without_buffers),
		TEST(buffers_move),
		TEST(large_packets_are_merged),
		TEST(large_packet_waits_for_buffers),
		TEST(large_packet_and_small_ring),
		TEST(packets_that_do_not_fit),
		TEST(receive_buffers_that_cannot_be),
		TEST(several_queues),
		TEST(commands),
		TEST(features_that_disagree),
		TEST(tap_is_deleted),
		TEST(reset_while_receiving),
		TEST(bad_taps),
		TEST(taps_in_use),
		TEST(inherited_descriptors),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
