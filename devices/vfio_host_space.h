/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The address space of a shadow: one of iommufd, or a type1 container. What is mapped in it is
 * charged, to it and to the VM; how much may be is said in vfio_host_shadow.h. context->lock held
 * throughout.
 */
#ifndef NIDUS_DEVICES_VFIO_HOST_SPACE_H
#define NIDUS_DEVICES_VFIO_HOST_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vfio_host.h"

struct vfio_run;

struct vfio_space {
	int container; /* type1; -1: iommufd */
	uint32_t ioas;
	struct vfio_use
		used; /* counted in the context as well; its tables are the shadow's to set */
};

/* The VM ends, or starts anew: what is under way for @host need not be finished. */
bool vfio_host_halted(const struct vfio_host *host);

/* Maps RAM. 0; -ENOSPC: it would be too much; -ECANCELED: halted; or the kernel's error. */
int vfio_space_map(struct vfio_host *host, struct vfio_space *space, const struct vfio_run *run);
/* @run was mapped as a whole. 0; -ECANCELED; or the kernel's error: then it is still there. */
int vfio_space_unmap(struct vfio_host *host, struct vfio_space *space, const struct vfio_run *run);
/* What is mapped goes with iommufd's object, or when the container's owner closes it. */
void vfio_space_destroy(struct vfio_host *host, const struct vfio_space *space);

#endif
