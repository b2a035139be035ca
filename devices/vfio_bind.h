/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio_bind() and vfio_unbind() of vfio.h with a kernel of one's own, for tests.
 */
#ifndef NIDUS_DEVICES_VFIO_BIND_H
#define NIDUS_DEVICES_VFIO_BIND_H

#include <stddef.h>

struct vfio_kernel;

int vfio_bind_by(const struct vfio_kernel *kernel, const char *device, char *error, size_t size);
int vfio_unbind_by(const struct vfio_kernel *kernel, const char *device, char *error, size_t size);

#endif
