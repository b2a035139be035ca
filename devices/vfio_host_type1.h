/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices by group and container (Documentation/driver-api/vfio.rst), for kernels without iommufd:
 * one address space for each device, which holds all RAM or a shadow of the guest's second stage.
 * No first stage, no PASIDs, no page requests.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_TYPE1_H
#define NIDUS_DEVICES_VFIO_HOST_TYPE1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfio_host;
struct vfio_place;
struct vtd_binding;
struct vtd_host_invalidation;

/* Opens the device at @place: host->device->fd. 0, or a negative errno and a line. */
int vfio_type1_open(struct vfio_host *host, const struct vfio_place *place, char *error,
		    size_t size);
void vfio_type1_close(struct vfio_host *host);

/* As those of vfio_host_bind.c; context->lock held. Requests without PASID alone. */
int vfio_type1_bind(struct vfio_host *host, uint32_t pasid, const struct vtd_binding *binding);
int vfio_type1_unbind(struct vfio_host *host, uint32_t pasid);
void vfio_type1_invalidate(struct vfio_host *host, const struct vtd_host_invalidation *list,
			   unsigned int count);
int vfio_type1_flush(struct vfio_host *host);

/* Its container's file, and whether that is the guest's physical address space now. */
int vfio_type1_container(const struct vfio_host *host);
bool vfio_type1_identity(const struct vfio_host *host);

#endif
