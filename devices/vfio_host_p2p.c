/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of devices as a target of other devices' DMA (peer to peer): what the guest reaches of a
 * BAR without exits is mapped in the address spaces that are the guest's physical one, too.
 *
 * Best effort. iommufd takes it as a dma-buf of the device, which the kernel has with
 * CONFIG_VFIO_PCI_DMABUF (7.x); a type1 container takes our own mapping of it, as long as it is the
 * guest's physical address space, and not a shadow of a table. What is refused is told once for
 * each device and counted, and a transfer there is then a fault of the host's unit.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <string.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_host.h"
#include "devices/vfio_host_type1.h"
#include "devices/vfio_uapi.h"

/* --- Told and counted; context->lock held --- */

static void refused(struct vfio_host *host, const struct vfio_peer *peer, int rc)
{
	vfio_count(&host->counters.peer_refusals, 1);
	if (host->peers_told)
		return;
	host->peers_told = true;
	log_info(VFIO, "%s: BAR %u is no target of other devices' DMA: %s", host->device->name,
		 peer->region,
		 rc == -ENOTTY || rc == -EOPNOTSUPP
			 ? "the host's kernel cannot (CONFIG_VFIO_PCI_DMABUF)"
			 : strerror(-rc));
}

/* --- iommufd --- */

/* A dma-buf of the piece; once, while system calls are still free. */
static int get_dmabuf(struct vfio_host *host, const struct vfio_peer *peer)
{
	struct uapi_vfio_device_feature_dma_buf cmd = {
		.argsz = sizeof(cmd),
		.flags = VFIO_DEVICE_FEATURE_GET | UAPI_VFIO_DEVICE_FEATURE_DMA_BUF,
		.region_index = peer->region,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = 1,
		.range = { .offset = peer->offset, .length = peer->size },
	};

	return host->kernel->ioctl(host->kernel->context, host->device->fd, VFIO_DEVICE_FEATURE,
				   &cmd);
}

static int map_iommufd(struct vfio_host *host, const struct vfio_peer *peer)
{
	struct uapi_iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = UAPI_IOMMU_IOAS_MAP_FIXED_IOVA | UAPI_IOMMU_IOAS_MAP_WRITEABLE |
			 UAPI_IOMMU_IOAS_MAP_READABLE,
		.ioas_id = host->context->ioas,
		.fd = peer->dmabuf,
		.length = peer->size,
		.iova = peer->gpa,
	};

	if (peer->dmabuf < 0)
		return peer->dmabuf;
	if (!host->context->mapped)
		return -ENODEV;
	return vfio_ioctl(host, host->context->iommufd, UAPI_IOMMU_IOAS_MAP_FILE, &cmd);
}

/* --- type1: each device has a container --- */

static int map_type1(struct vfio_host *in, const struct vfio_peer *peer)
{
	struct vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)peer->host,
		.iova = peer->gpa,
		.size = peer->size,
	};

	return vfio_ioctl(in, vfio_type1_container(in), VFIO_IOMMU_MAP_DMA, &cmd);
}

static void unmap_type1(struct vfio_host *in, const struct vfio_peer *peer)
{
	struct vfio_iommu_type1_dma_unmap cmd = { .argsz = sizeof(cmd),
						  .iova = peer->gpa,
						  .size = peer->size };

	vfio_ioctl(in, vfio_type1_container(in), VFIO_IOMMU_UNMAP_DMA, &cmd);
}

static void enter(struct vfio_host *in, struct vfio_peer *peer)
{
	struct vfio_host *of = peer->device->backend_data;
	int rc = map_type1(in, peer);

	if (rc < 0)
		refused(of, peer, rc);
	else
		vfio_count(&of->counters.peer_maps, 1);
}

void vfio_peers_enter(struct vfio_host *in)
{
	for (struct vfio_peer *peer = in->context->peers; peer; peer = peer->next)
		if (peer->gpa != VFIO_PEER_NOWHERE)
			enter(in, peer);
}

void vfio_peers_leave(struct vfio_host *in)
{
	for (struct vfio_peer *peer = in->context->peers; peer; peer = peer->next)
		if (peer->gpa != VFIO_PEER_NOWHERE)
			unmap_type1(in, peer);
}

/* --- From vfio_pci_bars.c --- */

static bool in_identity(const struct vfio_host *host)
{
	return host->type1 && vfio_type1_identity(host);
}

void vfio_peer_open(struct vfio_device *device, struct vfio_peer *peer)
{
	struct vfio_context *context = device->context;

	peer->device = device;
	peer->gpa = VFIO_PEER_NOWHERE;
	peer->dmabuf = -EOPNOTSUPP;
	if (!context)
		return;
	if (device->backend == VFIO_IOMMUFD)
		peer->dmabuf = get_dmabuf(device->backend_data, peer);
	pthread_mutex_lock(&context->lock);
	peer->next = context->peers;
	context->peers = peer;
	pthread_mutex_unlock(&context->lock);
}

void vfio_peer_map(struct vfio_peer *peer, uint64_t gpa)
{
	struct vfio_context *context = peer->device ? peer->device->context : NULL;
	struct vfio_host *of;
	int rc;

	if (!context)
		return;
	of = peer->device->backend_data;
	pthread_mutex_lock(&context->lock);
	peer->gpa = gpa;
	if (peer->device->backend == VFIO_IOMMUFD) {
		rc = map_iommufd(of, peer);
		peer->mapped = rc >= 0;
		if (rc < 0)
			refused(of, peer, rc);
		else
			vfio_count(&of->counters.peer_maps, 1);
	}
	for (struct vfio_host *in = context->hosts; in; in = in->next)
		if (in_identity(in))
			enter(in, peer);
	pthread_mutex_unlock(&context->lock);
}

void vfio_peer_unmap(struct vfio_peer *peer)
{
	struct vfio_context *context = peer->device ? peer->device->context : NULL;

	if (!context || peer->gpa == VFIO_PEER_NOWHERE)
		return;
	pthread_mutex_lock(&context->lock);
	if (peer->mapped)
		vfio_iommufd_unmap(peer->device->backend_data, context->ioas, peer->gpa,
				   peer->size);
	for (struct vfio_host *in = context->hosts; in; in = in->next)
		if (in_identity(in))
			unmap_type1(in, peer);
	peer->mapped = false;
	peer->gpa = VFIO_PEER_NOWHERE;
	pthread_mutex_unlock(&context->lock);
}

void vfio_peer_close(struct vfio_peer *peer)
{
	struct vfio_context *context = peer->device ? peer->device->context : NULL;
	struct vfio_peer **at;

	if (!context)
		return;
	vfio_peer_unmap(peer);
	pthread_mutex_lock(&context->lock);
	for (at = &context->peers; *at && *at != peer; at = &(*at)->next)
		;
	if (*at)
		*at = peer->next;
	pthread_mutex_unlock(&context->lock);
	if (peer->dmabuf >= 0)
		context->kernel->close(context->kernel->context, peer->dmabuf);
	peer->device = NULL;
}
