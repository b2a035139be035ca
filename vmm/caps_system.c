// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `nidus caps` asks of the rest of the kernel: memory, I/O, networks, the sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/caps.h"
#include "vmm/hostfile.h"

static void probe_hugepages(struct caps *caps, const struct caps_host *host)
{
	static const struct {
		const char *name;
		const char *size;
		unsigned int kib;
		const char *missing;
		const char *none;
	} sizes[] = {
		{ "hugepages-2M", "2M", 2048, "boot with hugepagesz=2M",
		  "echo N | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages" },
		{ "hugepages-1G", "1G", 1048576, "boot with hugepagesz=1G hugepages=N",
		  "boot with hugepagesz=1G hugepages=N, or echo N | sudo tee "
		  "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages" },
	};
	uint64_t count;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct cap *cap = caps_add(caps, sizes[i].name, false);

		if (hostfile_hugepages(host->root, sizes[i].kib, &count))
			cap_no(cap, sizes[i].missing, "this kernel or CPU has no pages of %s",
			       sizes[i].size);
		else if (count)
			cap_yes(cap, "%" PRIu64 " can be had", count);
		else
			cap_no(cap, sizes[i].none, "none are free");
	}
}

/* An impossible request tells: EINVAL or EFAULT if the call is there for us. */
static void probe_io_uring(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "io_uring", true);
	long r = host->call(SYS_io_uring_setup, 0, 0, 0, 0);
	uint64_t disabled;

	if (r == -EINVAL || r == -EFAULT)
		cap_yes(cap, "disk and network I/O");
	else if (r == -ENOSYS)
		cap_no(cap, "boot a kernel with CONFIG_IO_URING", "the kernel does not have it");
	else if (!hostfile_number(host->root, &disabled, "/proc/sys/kernel/io_uring_disabled") &&
		 disabled)
		cap_no(cap, "sudo sysctl kernel.io_uring_disabled=0",
		       "kernel.io_uring_disabled=%" PRIu64, disabled);
	else
		cap_no(cap, "allow io_uring_setup in the container's seccomp profile",
		       "a sandbox forbids it: %s", strerror((int)-r));
}

static void probe_tun(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "tun", false);
	int fd = caps_open(host, "/dev/net/tun", O_RDWR);

	if (fd >= 0) {
		close(fd);
		cap_yes(cap, "/dev/net/tun: networks by tap");
	} else if (fd == -EACCES || fd == -EPERM) {
		cap_no(cap, "sudo chmod 0666 /dev/net/tun, or pass an open tap with fd=N",
		       "/dev/net/tun: %s", strerror(-fd));
	} else {
		cap_no(cap, "sudo modprobe tun", "/dev/net/tun: %s", strerror(-fd));
	}
}

static void probe_sandbox(struct caps *caps, const struct caps_host *host)
{
	static const unsigned long version_flag = 1; /* LANDLOCK_CREATE_RULESET_VERSION */
	struct cap *cap = caps_add(caps, "landlock", false);
	long abi = host->call(SYS_landlock_create_ruleset, 0, 0, version_flag, 0);
	char actions[256];

	if (abi > 0)
		cap_yes(cap, "version %ld", abi);
	else
		cap_no(cap,
		       "boot a kernel with CONFIG_SECURITY_LANDLOCK and landlock in lsm=; without "
		       "it seccomp alone forbids opening files",
		       "%s",
		       abi == -EOPNOTSUPP ? "it is turned off" : "the kernel does not have it");
	cap = caps_add(caps, "seccomp", false);
	if (!hostfile_text(host->root, actions, sizeof(actions),
			   "/proc/sys/kernel/seccomp/actions_avail") &&
	    strstr(actions, "kill_process"))
		cap_yes(cap, "system call filters");
	else
		cap_no(cap, "boot a kernel with CONFIG_SECCOMP_FILTER, or use --seccomp off",
		       "the kernel has no filters");
}

/* VFIO pins all of a guest's memory; without pass-through the limit does not matter. */
static void probe_memlock(struct caps *caps, const struct caps_host *host)
{
	struct cap *cap = caps_add(caps, "memlock", false);
	struct rlimit limit = { 0 };
	long r = host->call(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, (unsigned long)(uintptr_t)&limit);

	if (r < 0)
		cap_no(cap, "see ulimit -l", "the limit cannot be read: %s", strerror((int)-r));
	else if (limit.rlim_cur == RLIM_INFINITY)
		cap_yes(cap, "unlimited");
	else if (limit.rlim_cur >= GIB)
		cap_yes(cap, "%" PRIu64 " MiB: guests with devices passed through may have less",
			(uint64_t)limit.rlim_cur / MIB);
	else
		cap_no(cap,
		       "for pass-through raise it above the guest's memory: ulimit -l, or "
		       "/etc/security/limits.conf",
		       "%" PRIu64 " KiB", (uint64_t)limit.rlim_cur / KIB);
}

void caps_probe_system(struct caps *caps, const struct caps_host *host)
{
	probe_hugepages(caps, host);
	probe_io_uring(caps, host);
	probe_tun(caps, host);
	probe_sandbox(caps, host);
	probe_memlock(caps, host);
}
