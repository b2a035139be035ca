// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether the host has what a configuration names: files, taps, descriptors, memory. Nothing is
 * opened for writing and nothing is created, so a VM that runs already is not disturbed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/pci_rom.h"
#include "vmm/config.h"
#include "vmm/hostfile.h"
#include "vmm/passthrough.h"

static const char *access_remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "check the path";
	case EROFS:
		return "add ro, or copy it to a writable file system";
	case EACCES:
	case EPERM:
		return "change its mode or owner, or run as a user who may";
	default:
		return "give another file";
	}
}

/* A file that is read as a whole: regular, not empty, readable. */
static int check_input(const char *option, const char *path, struct config_error *error)
{
	struct stat st;

	if (stat(path, &st) || faccessat(AT_FDCWD, path, R_OK, AT_EACCESS))
		return config_fail(error, "%s: cannot read '%.600s': %s; %s", option, path,
				   strerror(errno), access_remedy(errno));
	if (!S_ISREG(st.st_mode))
		return config_fail(error, "%s: '%.600s' is %s; give a regular file", option, path,
				   S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
	if (!st.st_size)
		return config_fail(error, "%s: '%.600s' is empty; give another file", option, path);
	return 0;
}

static int check_initrds(const struct vm_config *config, struct config_error *error)
{
	uint64_t total = 0;
	struct stat st;

	for (unsigned int i = 0; i < config->initrd_count; i++) {
		const char *path = config->initrd[i].path;

		if (check_input("--initrd", path, error))
			return -EINVAL;
		if (!stat(path, &st))
			total += (uint64_t)st.st_size;
		if (total >= config->memory)
			return config_fail(error,
					   "--initrd: '%.600s' does not fit: %" PRIu64
					   "M are more than the guest's %" PRIu64
					   "M of memory; give more with -m",
					   path, (total + MIB - 1) / MIB, config->memory / MIB);
	}
	return 0;
}

/* The expansion ROMs of edu devices. */
static int check_roms(const struct vm_config *config, struct config_error *error)
{
	for (unsigned int i = 0; i < config->edu_count; i++) {
		const char *path = config->edu[i].rom;
		char option[24];
		struct stat st;

		if (!path)
			continue;
		snprintf(option, sizeof(option), "--edu %u: rom", i);
		if (check_input(option, path, error))
			return -EINVAL;
		if (!stat(path, &st) && (uint64_t)st.st_size > PCI_ROM_MAX)
			return config_fail(error, "%s: '%.600s' has more than the 16M of a ROM",
					   option, path);
	}
	return 0;
}

/* Block devices have their size in 512-byte sectors anyway. */
static int check_disk_file(unsigned int index, const char *name, const struct stat *st,
			   struct config_error *error)
{
	if (S_ISBLK(st->st_mode))
		return 0;
	if (!S_ISREG(st->st_mode))
		return config_fail(
			error, "--disk %u: '%.600s' is %s; give a raw image or a block device",
			index, name, S_ISDIR(st->st_mode) ? "a directory" : "no regular file");
	if (!st->st_size)
		return config_fail(error,
				   "--disk %u: '%.600s' is empty; make it larger: truncate -s 1G",
				   index, name);
	if (st->st_size % 512)
		return config_fail(error,
				   "--disk %u: '%.600s' has %lld bytes, not a multiple of 512; "
				   "round it up: truncate -s %%512",
				   index, name, (long long)st->st_size);
	return 0;
}

static int check_disk(unsigned int index, const struct disk_config *disk, struct stat *st,
		      struct config_error *error)
{
	int mode = disk->readonly ? R_OK : R_OK | W_OK;
	char name[32];
	int flags;

	if (disk->path) {
		if (stat(disk->path, st) || faccessat(AT_FDCWD, disk->path, mode, AT_EACCESS))
			return config_fail(error, "--disk %u: cannot %s '%.600s': %s; %s", index,
					   disk->readonly ? "read" : "read and write", disk->path,
					   strerror(errno), access_remedy(errno));
		return check_disk_file(index, disk->path, st, error);
	}
	snprintf(name, sizeof(name), "fd %d", disk->fd);
	flags = fcntl(disk->fd, F_GETFL);
	if (flags < 0 || fstat(disk->fd, st))
		return config_fail(error,
				   "--disk %u: fd %d is not open: %s; pass it from the shell as in "
				   "%d<>disk.img",
				   index, disk->fd, strerror(errno), disk->fd);
	if ((flags & O_ACCMODE) == O_WRONLY || (!disk->readonly && (flags & O_ACCMODE) != O_RDWR))
		return config_fail(error,
				   "--disk %u: fd %d is not open for reading%s; open it so, or "
				   "add ro",
				   index, disk->fd, disk->readonly ? "" : " and writing");
	return check_disk_file(index, name, st, error);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Two readers may share an image; a writer shares with nobody. */
static int check_disks(const struct vm_config *config, struct config_error *error)
{
	struct stat st[CONFIG_DISKS];

	for (unsigned int i = 0; i < config->disk_count; i++) {
		const struct disk_config *disk = &config->disk[i];

		if (check_disk(i, disk, &st[i], error))
			return -EINVAL;
		for (unsigned int j = 0; j < i; j++)
			if (same_file(&st[i], &st[j]) &&
			    (!disk->readonly || !config->disk[j].readonly))
				return config_fail(error,
						   "--disk %u: '%.600s' is the image of --disk %u, "
						   "and one of them writes; add ro to both",
						   i, disk->path ? disk->path : "fd", j);
	}
	return 0;
}

/* An inherited descriptor must be a tap already. */
static int check_net_fd(unsigned int index, int fd, struct config_error *error)
{
	struct ifreq request = { 0 };

	if (fcntl(fd, F_GETFD) < 0)
		return config_fail(error, "--net %u: fd %d is not open: %s; pass an open tap",
				   index, fd, strerror(errno));
	if (ioctl(fd, TUNGETIFF, &request) || !(request.ifr_flags & IFF_TAP))
		return config_fail(error,
				   "--net %u: fd %d is no tap; pass a /dev/net/tun on which "
				   "TUNSETIFF was done with IFF_TAP",
				   index, fd);
	return 0;
}

static int check_tap(unsigned int index, const struct net_config *net, const char *root,
		     struct config_error *error)
{
	uint64_t flags;
	int r;

	r = hostfile_number(root, &flags, "/sys/class/net/%s/tun_flags", net->tap);
	if (r && hostfile_exists(root, "/sys/class/net/%s", net->tap))
		return config_fail(error,
				   "--net %u: '%s' is a network device but no tap; make one: "
				   "ip tuntap add NAME mode tap user $USER",
				   index, net->tap);
	if (r)
		return config_fail(error,
				   "--net %u: there is no tap '%s'; make it: "
				   "ip tuntap add %s mode tap user $USER%s",
				   index, net->tap, net->tap,
				   net->queues > 1 ? " multi_queue" : "");
	if (!(flags & IFF_TAP))
		return config_fail(error,
				   "--net %u: '%s' is a tun, not a tap; make one: "
				   "ip tuntap add NAME mode tap user $USER",
				   index, net->tap);
	if (net->queues > 1 && !(flags & IFF_MULTI_QUEUE))
		return config_fail(error,
				   "--net %u: queues=%u needs a multi-queue tap; make '%s' with "
				   "ip tuntap add ... multi_queue",
				   index, net->queues, net->tap);
	return 0;
}

static int check_nets(const struct vm_config *config, const char *root, struct config_error *error)
{
	for (unsigned int i = 0; i < config->net_count; i++) {
		const struct net_config *net = &config->net[i];
		int r = net->tap ? check_tap(i, net, root, error) : check_net_fd(i, net->fd, error);

		if (r)
			return r;
	}
	return 0;
}

/* Where output goes: a file that may be written, or a directory in which it may be made. */
static int check_output(const char *option, const struct stream_config *stream,
			struct config_error *error)
{
	const char *path = stream->path;
	const char *slash;
	struct stat st;
	char directory[PATH_MAX];

	if (stream->kind != STREAM_FILE)
		return 0;
	if (!stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return config_fail(error, "%s: '%.600s' is a directory; give a file",
					   option, path);
		if (!faccessat(AT_FDCWD, path, W_OK, AT_EACCESS))
			return 0;
	} else if (errno == ENOENT) {
		slash = strrchr(path, '/');
		snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1,
			 slash ? path : ".");
		if (!faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS))
			return 0;
	}
	return config_fail(error, "%s: cannot write '%.600s': %s; %s", option, path,
			   strerror(errno), access_remedy(errno));
}

static int check_hugepages(const struct vm_config *config, const char *root,
			   struct config_error *error)
{
	bool huge = config->hugepages == HUGEPAGES_1G;
	uint64_t page = huge ? GIB : 2 * MIB;
	unsigned int kib = (unsigned int)(page / KIB);
	uint64_t available, need = config->memory / page;

	if (hostfile_hugepages(root, kib, &available))
		return config_fail(error,
				   "--memory: this host has no pages of %s; boot it with "
				   "hugepagesz=%s, or leave hugepages out",
				   huge ? "1G" : "2M", huge ? "1G" : "2M");
	if (need > available)
		return config_fail(error,
				   "--memory: needs %" PRIu64 " pages of %s, %" PRIu64
				   " are free; raise "
				   "/sys/kernel/mm/hugepages/hugepages-%ukB/nr_hugepages",
				   need, huge ? "1G" : "2M", available, kib);
	return 0;
}

static int check_memory(const struct vm_config *config, const char *root,
			struct config_error *error)
{
	uint64_t available;

	if (config->hugepages != HUGEPAGES_NONE)
		return check_hugepages(config, root, error);
	if (config->overcommit || hostfile_memory_available(root, &available) ||
	    config->memory <= available)
		return 0;
	return config_fail(error,
			   "--memory: %" PRIu64 "M are more than the %" PRIu64
			   "M that this host has free; give less, or add overcommit",
			   config->memory / MIB, available / MIB);
}

/* Those of the host are looked for in the real one only: a made-up tree has none. */
static int check_devices(const struct vm_config *config, const char *root,
			 struct config_error *error)
{
	return root[0] ? 0 : passthrough_check(config, error);
}

int config_validate_host(const struct vm_config *config, const char *root,
			 struct config_error *error)
{
	if (check_input("--kernel", config->kernel, error) || check_initrds(config, error) ||
	    check_roms(config, error) || check_devices(config, root, error) ||
	    check_disks(config, error) || check_nets(config, root, error) ||
	    check_output("--serial", &config->serial, error) ||
	    check_output("--console", &config->console, error))
		return -EINVAL;
	return check_memory(config, root, error);
}
