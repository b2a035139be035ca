/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel as the host backend sees it: a table of the few system calls it makes, so that tests
 * can be the kernel.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_KERNEL_H
#define NIDUS_DEVICES_VFIO_HOST_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Every function returns a negative errno where the system call fails. Any thread. */
struct vfio_kernel {
	/* Flags of open(2); O_CLOEXEC is added. */
	int (*open)(void *context, const char *path, int flags);
	void (*close)(void *context, int fd);
	int (*ioctl)(void *context, int fd, unsigned long request, void *argument);
	ssize_t (*read)(void *context, int fd, void *to, size_t size);
	ssize_t (*pread)(void *context, int fd, void *to, size_t size, uint64_t offset);
	ssize_t (*write)(void *context, int fd, const void *from, size_t size);
	/* The canonical path of @path, without links. 0; -ENAMETOOLONG if @size is too small. */
	int (*realpath)(void *context, const char *path, char *to, size_t size);
	/* The number of @fd, a character device. 0; -ENOTTY if it is none. */
	int (*device_number)(void *context, int fd, unsigned int *major, unsigned int *minor);
	/* The first name in directory @path that starts with @prefix. 0; -ENOENT if none does. */
	int (*find)(void *context, const char *path, const char *prefix, char *to, size_t size);
	/*
	 * Bytes that this process may lock; UINT64_MAX if there is no limit. @later: while the VM
	 * runs, without the capability that lifts the limit, which the sandbox takes.
	 */
	uint64_t (*memlock)(void *context, bool later);
	void (*sleep)(void *context, unsigned int milliseconds);
	void *context;
};

/* The real one. */
extern const struct vfio_kernel vfio_kernel;

#endif
