/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all passed-through devices of a VM share, as the configuration has it. Apart from
 * passthrough.c, because whoever checks a configuration needs no machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "devices/vfio.h"
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

static int check_fd(unsigned int index, const char *key, int fd, struct config_error *error)
{
	if (fd < 0 || fcntl(fd, F_GETFD) >= 0)
		return 0;
	return config_fail(error, "--vfio %u: %s %d is not open: %s; pass it open", index, key, fd,
			   strerror(errno));
}

int passthrough_check(const struct vm_config *config, struct config_error *error)
{
	char reason[400];

	for (unsigned int i = 0; i < config->vfio_count; i++) {
		const struct vfio_options *vfio = &config->vfio[i];

		if (check_fd(i, "fd", vfio->fd, error) ||
		    check_fd(i, "iommufd", vfio->iommufd, error))
			return -EINVAL;
		if (vfio->device && vfio_device_check(vfio->device, reason, sizeof(reason)))
			return config_fail(error, "--%s", reason); /* "vfio 06:0d.0: ..." */
	}
	return 0;
}
