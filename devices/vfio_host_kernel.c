/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real kernel behind the table of vfio_host_kernel.h.
 */
#include "devices/vfio_host_kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int kernel_open(void *context, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	(void)context;
	return fd < 0 ? -errno : fd;
}

static void kernel_close(void *context, int fd)
{
	(void)context;
	close(fd);
}

static int kernel_ioctl(void *context, int fd, unsigned long request, void *argument)
{
	int rc = ioctl(fd, request, argument);

	(void)context;
	return rc < 0 ? -errno : rc;
}

static ssize_t kernel_read(void *context, int fd, void *to, size_t size)
{
	ssize_t n = read(fd, to, size);

	(void)context;
	return n < 0 ? -errno : n;
}

static ssize_t kernel_pread(void *context, int fd, void *to, size_t size, uint64_t offset)
{
	ssize_t n = pread(fd, to, size, (off_t)offset);

	(void)context;
	return n < 0 ? -errno : n;
}

static ssize_t kernel_write(void *context, int fd, const void *from, size_t size)
{
	ssize_t n = write(fd, from, size);

	(void)context;
	return n < 0 ? -errno : n;
}

static int kernel_realpath(void *context, const char *path, char *to, size_t size)
{
	char *found = realpath(path, NULL);
	int rc = 0;

	(void)context;
	if (!found)
		return -errno;
	if (strlen(found) < size)
		memcpy(to, found, strlen(found) + 1);
	else
		rc = -ENAMETOOLONG;
	free(found);
	return rc;
}

static int kernel_device_number(void *context, int fd, unsigned int *major_number,
				unsigned int *minor_number)
{
	struct stat stat;

	(void)context;
	if (fstat(fd, &stat))
		return -errno;
	if (!S_ISCHR(stat.st_mode))
		return -ENOTTY;
	*major_number = major(stat.st_rdev);
	*minor_number = minor(stat.st_rdev);
	return 0;
}

static int kernel_find(void *context, const char *path, const char *prefix, char *to, size_t size)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int rc = -ENOENT;

	(void)context;
	if (!dir)
		return -errno;
	while (rc == -ENOENT && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) || entry->d_name[0] == '.')
			continue;
		if (strlen(entry->d_name) >= size)
			continue;
		memcpy(to, entry->d_name, strlen(entry->d_name) + 1);
		rc = 0;
	}
	closedir(dir);
	return rc;
}

/* CAP_IPC_LOCK exempts from the limit. */
static uint64_t kernel_memlock(void *context, bool later)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	struct rlimit limit;

	(void)context;
	if (!later && !syscall(SYS_capget, &header, data) && data[0].effective & 1u << CAP_IPC_LOCK)
		return UINT64_MAX;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static void kernel_sleep(void *context, unsigned int milliseconds)
{
	const struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000L };

	(void)context;
	nanosleep(&time, NULL);
}

const struct vfio_kernel vfio_kernel = {
	.open = kernel_open,
	.close = kernel_close,
	.ioctl = kernel_ioctl,
	.read = kernel_read,
	.pread = kernel_pread,
	.write = kernel_write,
	.realpath = kernel_realpath,
	.device_number = kernel_device_number,
	.find = kernel_find,
	.memlock = kernel_memlock,
	.sleep = kernel_sleep,
};
