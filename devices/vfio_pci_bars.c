/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BARs of a passed-through function. Whole pages that the host lets us map are memory of the
 * guest, and accesses to them cost no exit; the rest is trapped and goes through the device's file:
 * ports, BARs smaller than a page, the pages with the MSI-X table and pending bits, and whatever
 * the host or KVM will not map.
 *
 * What is mapped is a target of other devices' DMA (peer to peer) as well, where the host takes it
 * (vfio_host_p2p.c).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_pci.h"

#define INFO_MAX (64 * KIB) /* of one region's, capabilities included */

/* --- What the host says --- */

static void add_area(struct vfio_bar *bar, uint64_t offset, uint64_t size)
{
	uint64_t first = align_up(offset, PAGE_SIZE_4K), end;

	if (!range_fits(offset, size, bar->region.size))
		return;
	end = align_down(offset + size, PAGE_SIZE_4K);
	if (first < end && bar->area_count < VFIO_AREAS)
		bar->area[bar->area_count++] =
			(struct vfio_area){ .offset = first, .size = end - first };
}

/* The areas of the sparse mmap capability in @info; false: there is none. */
static bool read_sparse(struct vfio_bar *bar, const struct vfio_region_info *info, uint32_t size)
{
	uint32_t at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;

	/* Bound: a list that goes forward only. */
	while (at && range_fits(at, sizeof(struct vfio_region_info_cap_sparse_mmap), size)) {
		const struct vfio_region_info_cap_sparse_mmap *sparse =
			(const void *)((const char *)info + at);
		uint64_t room = (size - at - sizeof(*sparse)) / sizeof(sparse->areas[0]);

		if (sparse->header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
			for (uint32_t i = 0; i < min_u64(sparse->nr_areas, room); i++)
				add_area(bar, sparse->areas[i].offset, sparse->areas[i].size);
			return true;
		}
		if (sparse->header.next <= at)
			break;
		at = sparse->header.next;
	}
	return false;
}

static int get_info(const struct vfio_pci *vfio, struct vfio_region_info *info)
{
	return vfio->file->ioctl(vfio->file, vfio->device->fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

/* Once more, with room for the capabilities. */
static void query_areas(const struct vfio_pci *vfio, const struct vfio_region_info *small,
			struct vfio_bar *bar)
{
	uint32_t size = (uint32_t)min_u64(small->argsz, INFO_MAX);
	struct vfio_region_info *info = calloc(1, size);
	bool sparse = false;

	if (info) {
		info->argsz = size;
		info->index = small->index;
		sparse = !get_info(vfio, info) && read_sparse(bar, info, size);
	}
	free(info);
	if (!sparse)
		add_area(bar, 0, bar->region.size);
}

int vfio_region_query(const struct vfio_pci *vfio, uint32_t index, struct vfio_region *region,
		      struct vfio_bar *areas)
{
	const uint32_t both = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
			      VFIO_REGION_INFO_FLAG_MMAP;
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	int rc;

	*region = (struct vfio_region){ 0 };
	if (index >= vfio->device->num_regions)
		return 0;
	rc = get_info(vfio, &info);
	if (rc)
		return rc;
	*region = (struct vfio_region){ info.offset, info.size, info.flags };
	if (!areas || (info.flags & both) != both)
		return 0;
	if (info.flags & VFIO_REGION_INFO_FLAG_CAPS && info.argsz > sizeof(info))
		query_areas(vfio, &info, areas);
	else
		add_area(areas, 0, info.size);
	return 0;
}

/* --- At the start --- */

static int add_bar(struct vfio_pci *vfio, unsigned int index, uint32_t reg, char *error,
		   size_t size)
{
	struct vfio_bar *bar = &vfio->bar[index];
	bool port = reg & PCI_BASE_ADDRESS_SPACE_IO;
	bool wide = !port && (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	enum pci_bar_kind kind = port ? PCI_BAR_IO : wide ? PCI_BAR_MEM64 : PCI_BAR_MEM32;
	uint64_t least = port ? 4 : 16, most = port ? 64 * KIB : wide ? UINT64_MAX : 2 * GIB;

	if (!is_power_of_two(bar->region.size) || bar->region.size < least ||
	    bar->region.size > most || (wide && index + 1 == PCI_BARS)) {
		snprintf(error, size, "vfio %s: BAR %u has %#llx bytes, which no BAR can have",
			 vfio->device->name, index, (unsigned long long)bar->region.size);
		return -EINVAL;
	}
	pci_add_bar(&vfio->pci, index, kind, bar->region.size,
		    !port && reg & PCI_BASE_ADDRESS_MEM_PREFETCH);
	if (port)
		bar->area_count = 0;
	return 0;
}

/* The image is copied: the device decodes its ROM only while it is asked to. */
static void add_rom(struct vfio_pci *vfio)
{
	struct vfio_region region;
	uint8_t *image;

	if (vfio_region_query(vfio, VFIO_PCI_ROM_REGION_INDEX, &region, NULL) || !region.size)
		return;
	if (region.size > VFIO_ROM_MAX) {
		log_info(VFIO, "%s: a ROM of %llu KiB is more than guests are shown", vfio->name,
			 (unsigned long long)(region.size / KIB));
		return;
	}
	image = malloc(region.size);
	/* A device may have the register and no image: then there is nothing to read. */
	if (image && vfio_region_read(vfio, &region, 0, image, region.size) &&
	    !pci_add_rom(&vfio->pci, &vfio->rom, region.size))
		memcpy(vfio->rom.image, image, region.size);
	free(image);
}

int vfio_bars_add(struct vfio_pci *vfio, const uint8_t *host, char *error, size_t size)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct vfio_bar *bar = &vfio->bar[i];
		int rc;

		bar->address = PCI_BAR_UNMAPPED;
		rc = vfio_region_query(vfio, VFIO_PCI_BAR0_REGION_INDEX + i, &bar->region, bar);
		if (rc)
			snprintf(error, size, "vfio %s: BAR %u cannot be asked for: %s",
				 vfio->device->name, i, strerror(-rc));
		else if (bar->region.size)
			rc = add_bar(vfio, i, load_le32(host + PCI_BASE_ADDRESS_0 + i * 4), error,
				     size);
		if (rc)
			return rc;
	}
	add_rom(vfio);
	return 0;
}

/* Leaves of @area what is before the hole, and adds what is behind it. */
static void cut(struct vfio_bar *bar, struct vfio_area *area, uint64_t first, uint64_t end)
{
	uint64_t area_end = area->offset + area->size;

	if (!ranges_overlap(area->offset, area->size, first, end - first))
		return;
	if (end < area_end)
		add_area(bar, end, area_end - end);
	area->size = first > area->offset ? first - area->offset : 0;
}

void vfio_bars_trap(struct vfio_pci *vfio, unsigned int index, uint64_t offset, uint64_t size)
{
	uint64_t first = align_down(offset, PAGE_SIZE_4K);
	uint64_t end = align_up(offset + size, PAGE_SIZE_4K);
	struct vfio_bar *bar = &vfio->bar[index];

	for (unsigned int i = bar->area_count; i-- > 0;)
		cut(bar, &bar->area[i], first, end);
}

void vfio_bars_map(struct vfio_pci *vfio)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct vfio_bar *bar = &vfio->bar[i];

		for (unsigned int j = 0; j < bar->area_count; j++) {
			struct vfio_area *area = &bar->area[j];

			if (area->size)
				area->host =
					vfio->file->map(vfio->file, vfio->device->fd, area->size,
							bar->region.offset + area->offset);
			if (area->host) {
				area->peer = (struct vfio_peer){ .region = i,
								 .offset = area->offset,
								 .size = area->size,
								 .host = area->host };
				vfio_peer_open(vfio->device, &area->peer);
			}
			if (area->size && !area->host)
				log_warn(VFIO,
					 "%s: %llu KiB of BAR %u cannot be mapped: accesses exit",
					 vfio->name, (unsigned long long)(area->size / KIB), i);
		}
	}
}

void vfio_bars_unmap(struct vfio_pci *vfio)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct vfio_bar *bar = &vfio->bar[i];

		for (unsigned int j = 0; j < bar->area_count; j++) {
			struct vfio_area *area = &bar->area[j];

			vfio_peer_close(&area->peer);
			if (area->host)
				vfio->file->unmap(vfio->file, area->host, area->size);
			area->host = NULL;
		}
	}
}

/* --- While the VM runs --- */

static void map_area(struct vfio_pci *vfio, unsigned int index, struct vfio_area *area, bool on)
{
	uint64_t at = vfio->bar[index].address + area->offset;
	int rc;

	if (!area->host || area->mapped == on)
		return;
	if (!on)
		vfio_peer_unmap(&area->peer);
	rc = machine_map_device(vfio->pci.host->machine, at, area->size, area->host, on);
	if (rc)
		log_guest(VFIO, "%s: BAR %u at %#llx is not %s the guest (%s): accesses exit",
			  vfio->name, index, (unsigned long long)at,
			  on ? "mapped into" : "taken from", strerror(-rc));
	else
		area->mapped = on;
	if (!rc && on)
		vfio_peer_map(&area->peer, at);
}

void vfio_bar_moved(struct pci_function *fn, unsigned int index, uint64_t address)
{
	struct vfio_pci *vfio = container_of(fn, struct vfio_pci, pci);
	struct vfio_bar *bar = &vfio->bar[index];

	for (unsigned int i = 0; i < bar->area_count; i++)
		map_area(vfio, index, &bar->area[i], false);
	bar->address = address;
	if (address == PCI_BAR_UNMAPPED)
		return;
	for (unsigned int i = 0; i < bar->area_count; i++)
		map_area(vfio, index, &bar->area[i], true);
}

void vfio_bar_access(struct pci_function *fn, unsigned int index, struct bus_access *access)
{
	struct vfio_pci *vfio = container_of(fn, struct vfio_pci, pci);
	const struct vfio_region *region = &vfio->bar[index].region;
	uint8_t bytes[8];

	vfio_pci_count(&vfio->counters.bar_exits);
	if (vfio_lost(vfio))
		return;
	if (access->is_write) {
		store_le64(bytes, access->value);
		vfio_region_write(vfio, region, access->offset, bytes, access->size);
		return;
	}
	memset(bytes, 0xff, sizeof(bytes));
	if (vfio_region_read(vfio, region, access->offset, bytes, access->size))
		access->value = load_le64(bytes);
}
