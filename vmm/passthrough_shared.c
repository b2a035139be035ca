/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all passed-through devices of a VM share, as the configuration has it. Apart from
 * passthrough.c, because whoever checks a configuration needs no machine.
 */
#include "vmm/config.h"
#include "vmm/passthrough.h"

struct passthrough_shared passthrough_shared(const struct vm_config *config)
{
	struct passthrough_shared shared = { .iommufd = -1 };

	for (unsigned int i = config->vfio_count; i-- > 0;) {
		if (config->vfio[i].iommufd >= 0)
			shared.iommufd = config->vfio[i].iommufd;
		if (config->vfio[i].pasid_quota)
			shared.pasid_quota = config->vfio[i].pasid_quota;
	}
	return shared;
}
