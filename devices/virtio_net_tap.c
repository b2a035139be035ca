/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching to a tap. Runs before privileges are dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/failure.h"
#include "devices/virtio_net.h"

#define HEADER_SIZE 12 /* 5.1.6: struct virtio_net_hdr with num_buffers */

/* A number from /sys/class/net/NAME/, decimal or with 0x; -1 if it is not there. */
static long sys_number(const char *name, const char *file)
{
	char path[96], text[32];
	long value = -1;
	FILE *in;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
	in = fopen(path, "re");
	if (!in)
		return -1;
	if (fgets(text, sizeof(text), in))
		value = strtol(text, NULL, 0);
	fclose(in);
	return value;
}

static const char *attach_remedy(int error)
{
	switch (error) {
	case EBUSY:
		return "another process uses it: end that, or make another tap";
	case EPERM:
		return "give it to this user when it is made: ip tuntap add ... user NAME";
	case EINVAL:
		return "queues need a tap that was made with multi_queue";
	default:
		return "check /dev/net/tun";
	}
}

static int attach(struct virtio_net_tap *tap, unsigned int index, const struct failure *failure)
{
	unsigned int before = if_nametoindex(tap->name);
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return failed(failure, -errno,
			      "/dev/net/tun cannot be opened: %s; load the module tun, or change "
			      "its mode",
			      strerror(errno));
	tap->fd[index] = fd;
	memcpy(request.ifr_name, tap->name, IFNAMSIZ);
	if (tap->multi_queue)
		request.ifr_flags |= IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &request))
		return failed(failure, -errno, "cannot be attached to: %s; %s", strerror(errno),
			      attach_remedy(errno));
	/* Had it gone after we looked, the kernel would have made a new one, which goes again. */
	if (!before || if_nametoindex(tap->name) != before)
		return failed(failure, -ENODEV, "went away; make it: ip tuntap add %s mode tap",
			      tap->name);
	return 0;
}

static int attach_all(struct virtio_net_tap *tap, const struct virtio_net_options *options,
		      const struct failure *failure)
{
	long flags;
	int rc = 0;

	if (!*options->tap || strlen(options->tap) >= IFNAMSIZ || strchr(options->tap, '/'))
		return failed(failure, -EINVAL,
			      "no name of a network device; it has 1 to %d letters", IFNAMSIZ - 1);
	memcpy(tap->name, options->tap, strlen(options->tap));
	flags = sys_number(tap->name, "tun_flags");
	if (flags < 0 && sys_number(tap->name, "ifindex") >= 0)
		return failed(
			failure, -EINVAL,
			"is a network device but no tap; make one: ip tuntap add NAME mode tap");
	if (flags < 0)
		return failed(failure, -ENODEV,
			      "does not exist; make it: ip tuntap add %s mode tap%s", tap->name,
			      options->pairs > 1 ? " multi_queue" : "");
	if (!(flags & IFF_TAP))
		return failed(failure, -EINVAL,
			      "is a tun, not a tap; make one: ip tuntap add NAME mode tap");
	tap->multi_queue = flags & IFF_MULTI_QUEUE;
	if (options->pairs > 1 && !tap->multi_queue)
		return failed(failure, -EINVAL,
			      "has one queue, not %u; make it with multi_queue, or take queues=1",
			      options->pairs);
	for (unsigned int i = 0; i < options->pairs && !rc; i++)
		rc = attach(tap, i, failure);
	return rc;
}

static int adopt_fd(struct virtio_net_tap *tap, const struct virtio_net_options *options,
		    const struct failure *failure)
{
	const int needed = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq request = { 0 };
	int flags;

	if (options->pairs != 1)
		return failed(failure, -EINVAL,
			      "one descriptor has one queue, not %u; take queues=1",
			      options->pairs);
	if (ioctl(options->fd, TUNGETIFF, &request))
		return failed(failure, -errno,
			      "is no tap: %s; pass an open /dev/net/tun after "
			      "TUNSETIFF",
			      strerror(errno));
	if ((request.ifr_flags & needed) != needed)
		return failed(failure, -EINVAL,
			      "was opened with flags %#x; use IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			      (unsigned int)(uint16_t)request.ifr_flags);
	memcpy(tap->name, request.ifr_name, IFNAMSIZ);
	tap->name[IFNAMSIZ - 1] = '\0';
	tap->fd[0] = options->fd;
	flags = fcntl(options->fd, F_GETFL);
	if (flags < 0 || fcntl(options->fd, F_SETFL, flags | O_NONBLOCK))
		return failed(failure, -errno, "cannot be set up: %s", strerror(errno));
	return 0;
}

static int set_up(struct virtio_net_tap *tap, const struct failure *failure)
{
	static const unsigned int tries[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
	};
	int size = HEADER_SIZE;
	long mtu = sys_number(tap->name, "mtu");

	for (unsigned int i = 0; i < tap->pairs; i++)
		if (ioctl(tap->fd[i], TUNSETVNETHDRSZ, &size))
			return failed(failure, -errno, "does not take headers of %d bytes: %s",
				      size, strerror(errno));
	for (unsigned int i = 0; i < ARRAY_SIZE(tries) && !tap->offloads && tap->offload; i++)
		if (!ioctl(tap->fd[0], TUNSETOFFLOAD, (unsigned long)tries[i]))
			tap->offloads = tries[i];
	/* Nothing until the driver has negotiated it. */
	if (ioctl(tap->fd[0], TUNSETOFFLOAD, 0UL))
		return failed(failure, -errno, "does not turn offloads off: %s", strerror(errno));
	if (mtu >= 68 && mtu <= UINT16_MAX) /* 5.1.4.1 */
		tap->mtu = (uint16_t)mtu;
	return 0;
}

int virtio_net_open(struct virtio_net_tap *tap, const struct virtio_net_options *options,
		    char *error, size_t error_size)
{
	struct failure failure = { .text = error, .size = error_size, .kind = "tap" };
	int rc;

	*tap = (struct virtio_net_tap){ .pairs = options->pairs, .offload = options->offload };
	for (unsigned int i = 0; i < VIRTIO_NET_PAIRS; i++)
		tap->fd[i] = -1;
	if (options->tap)
		snprintf(failure.name, sizeof(failure.name), "'%s'", options->tap);
	else
		snprintf(failure.name, sizeof(failure.name), "fd %d", options->fd);
	if (!options->pairs || options->pairs > VIRTIO_NET_PAIRS)
		return failed(&failure, -EINVAL, "cannot have %u queues; take 1 to %d",
			      options->pairs, VIRTIO_NET_PAIRS);
	rc = options->tap ? attach_all(tap, options, &failure) : adopt_fd(tap, options, &failure);
	if (!rc)
		rc = set_up(tap, &failure);
	if (rc)
		virtio_net_close(tap);
	return rc;
}

void virtio_net_close(struct virtio_net_tap *tap)
{
	for (unsigned int i = 0; i < VIRTIO_NET_PAIRS; i++) {
		if (tap->fd[i] >= 0)
			close(tap->fd[i]);
		tap->fd[i] = -1;
	}
}
