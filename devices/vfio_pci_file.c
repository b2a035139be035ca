/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's file as the kernel has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/vfio_host_kernel.h"
#include "devices/vfio_pci.h"

static int file_ioctl(const struct vfio_file *file, int fd, unsigned long request, void *argument)
{
	int rc = ioctl(fd, request, argument);

	(void)file;
	return rc < 0 ? -errno : rc;
}

static ssize_t file_pread(const struct vfio_file *file, int fd, void *to, size_t size,
			  uint64_t offset)
{
	ssize_t n = pread(fd, to, size, (off_t)offset);

	(void)file;
	return n < 0 ? -errno : n;
}

static ssize_t file_pwrite(const struct vfio_file *file, int fd, const void *from, size_t size,
			   uint64_t offset)
{
	ssize_t n = pwrite(fd, from, size, (off_t)offset);

	(void)file;
	return n < 0 ? -errno : n;
}

static void *file_map(const struct vfio_file *file, int fd, uint64_t size, uint64_t offset)
{
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	(void)file;
	return host == MAP_FAILED ? NULL : host;
}

static void file_unmap(const struct vfio_file *file, void *host, uint64_t size)
{
	(void)file;
	munmap(host, size);
}

static void file_sleep(const struct vfio_file *file, unsigned int milliseconds)
{
	(void)file;
	vfio_kernel.sleep(vfio_kernel.context, milliseconds);
}

static int file_replace(const struct vfio_file *file, int fd, int by)
{
	(void)file;
	return dup3(by, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

const struct vfio_file vfio_kernel_file = {
	.ioctl = file_ioctl,
	.pread = file_pread,
	.pwrite = file_pwrite,
	.map = file_map,
	.unmap = file_unmap,
	.sleep = file_sleep,
	.replace = file_replace,
};
