/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network load. The guest's side, in its init: configures eth0 and talks TCP to the other end
 * of its tap. Framed like the disk's (blk.c):
 *
 *   rr      one byte there and one back, one at a time: ops are round trips
 *   send    64 KiB writes to the host
 *   receive 64 KiB reads from the host
 */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

#define PAUSE_MS 150

struct load {
	const char *name;
	char kind;
};

static const struct load loads[] = {
	{ "rr", NET_ECHO },
	{ "send", NET_SINK },
	{ "receive", NET_SOURCE },
};

static char buffer[NET_CHUNK];

static bool set_address(int fd, unsigned long request, const char *address)
{
	struct ifreq ifr = { .ifr_name = "eth0" };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;

	in->sin_family = AF_INET;
	return inet_pton(AF_INET, address, &in->sin_addr) == 1 && !ioctl(fd, request, &ifr);
}

static bool configure(void)
{
	struct ifreq ifr = { .ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool up = false;

	/* The card is probed while init runs: 10 s at most. */
	for (int i = 0; i < 1000 && !up; i++) {
		up = set_address(fd, SIOCSIFADDR, NET_GUEST);
		if (!up)
			pause_ms(10);
	}
	up = up && set_address(fd, SIOCSIFNETMASK, NET_MASK) && !ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return up;
}

static int connect_to_host(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(NET_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	inet_pton(AF_INET, NET_HOST, &peer.sin_addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&peer, sizeof(peer))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One operation; bytes moved, or negative. */
static ssize_t step(int fd, char kind)
{
	switch (kind) {
	case NET_ECHO:
		return send(fd, buffer, 1, 0) == 1 ? recv(fd, buffer, 1, 0) : -1;
	case NET_SINK:
		return send(fd, buffer, sizeof(buffer), 0);
	default:
		return recv(fd, buffer, sizeof(buffer), 0);
	}
}

static void run(const struct load *load, uint64_t ms)
{
	uint64_t begin, end, ops = 0, bytes = 0;
	int fd = connect_to_host();
	ssize_t len = -1;

	if (fd < 0 || send(fd, &load->kind, 1, 0) != 1 ||
	    (load->kind == NET_ECHO && step(fd, NET_ECHO) != 1)) {
		say("failed to reach the host: %d", errno);
		return;
	}
	pause_ms(PAUSE_MS);
	say("begin %s", load->name);
	pause_ms(PAUSE_MS);
	begin = now_ns();
	do {
		len = step(fd, load->kind);
		ops++;
		bytes += len > 0 ? (uint64_t)len : 0;
		end = now_ns();
	} while (len > 0 && end < begin + ms * 1000000);
	say("end %s ops=%" PRIu64 " bytes=%" PRIu64 " ns=%" PRIu64 " errors=%d", load->name, ops,
	    bytes, end - begin, len <= 0);
	close(fd);
}

void bench_net(void)
{
	uint64_t ms = number_of("ms", 2000), runs = number_of("runs", 1);

	if (!configure()) {
		say("failed to configure eth0: %d", errno);
		return;
	}
	for (uint64_t i = 0; i < runs * (sizeof(loads) / sizeof(loads[0])); i++)
		run(&loads[i % (sizeof(loads) / sizeof(loads[0]))], ms);
}
