/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transport: capabilities, registers, negotiation.
 */
#include "lib/virtio.h"

#include "lib/cpu.h"
#include "lib/time.h"

#define RESET_US	10000000
#define NEEDS_RESET_US	5000000
#define STRUCTURE_BYTES 4096

/* Offsets in a capability (4.1.4). */
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MULTIPLIER = 16 };

static void open_structure(struct virtio *device, unsigned int cap)
{
	uint32_t type = pci_read(device->devfn, cap + CAP_TYPE, 1);
	uint32_t bar = pci_read(device->devfn, cap + CAP_BAR, 1);
	uint32_t offset = pci_read(device->devfn, cap + CAP_OFFSET, 4);
	uint32_t length = pci_read(device->devfn, cap + CAP_LENGTH, 4);
	uintptr_t at;

	if (type == VIRTIO_CAP_PCI)
		device->pci_cap = cap;
	if (type > VIRTIO_CAP_DEVICE || bar >= PCI_BARS)
		return;
	at = pci_bar_map(device->devfn, bar, offset + length) + offset;
	if (type == VIRTIO_CAP_COMMON)
		device->common = at;
	if (type == VIRTIO_CAP_ISR)
		device->isr = at;
	if (type == VIRTIO_CAP_DEVICE) {
		device->config = at;
		device->config_length = length;
	}
	if (type == VIRTIO_CAP_NOTIFY) {
		device->notify = at;
		device->notify_multiplier = pci_read(device->devfn, cap + CAP_MULTIPLIER, 4);
	}
}

bool virtio_open(struct virtio *device, unsigned int devfn)
{
	unsigned int cap = 0;

	memset(device, 0, sizeof(*device));
	device->devfn = devfn;
	device->type = pci_read(devfn, PCI_DEVICE, 2) - VIRTIO_FIRST;
	while ((cap = pci_capability(devfn, PCI_CAP_VENDOR, cap)))
		open_structure(device, cap);
	if (!device->common || !device->isr || !device->notify || !msix_open(&device->msix, devfn))
		return false;
	pci_write(devfn, PCI_COMMAND, 2,
		  pci_read(devfn, PCI_COMMAND, 2) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	device->queues = read16(device->common + VIRTIO_NUM_QUEUES);
	return true;
}

bool virtio_find(struct virtio *device, enum virtio_type type, unsigned int n)
{
	int devfn = pci_find(0, VIRTIO_VENDOR, (uint16_t)(VIRTIO_FIRST + type));

	while (devfn >= 0 && n--)
		devfn = pci_find((unsigned int)devfn + 1, VIRTIO_VENDOR,
				 (uint16_t)(VIRTIO_FIRST + type));
	return devfn >= 0 && virtio_open(device, (unsigned int)devfn);
}

uint8_t virtio_status(const struct virtio *device)
{
	return read8(device->common + VIRTIO_STATUS);
}

static bool is_reset(const void *context)
{
	return !virtio_status(context);
}

static bool needs_reset(const void *context)
{
	return virtio_status(context) & VIRTIO_NEEDS_RESET;
}

bool virtio_reset(struct virtio *device)
{
	write8(device->common + VIRTIO_STATUS, 0);
	return wait_until(is_reset, device, RESET_US);
}

bool virtio_wait_needs_reset(const struct virtio *device)
{
	return wait_until(needs_reset, device, NEEDS_RESET_US);
}

uint64_t virtio_offered(const struct virtio *device)
{
	uint64_t low;

	write32(device->common + VIRTIO_DEVICE_FEATURE_SELECT, 0);
	low = read32(device->common + VIRTIO_DEVICE_FEATURE);
	write32(device->common + VIRTIO_DEVICE_FEATURE_SELECT, 1);
	return low | (uint64_t)read32(device->common + VIRTIO_DEVICE_FEATURE) << 32;
}

static void accept(struct virtio *device, uint64_t features)
{
	write32(device->common + VIRTIO_DRIVER_FEATURE_SELECT, 0);
	write32(device->common + VIRTIO_DRIVER_FEATURE, (uint32_t)features);
	write32(device->common + VIRTIO_DRIVER_FEATURE_SELECT, 1);
	write32(device->common + VIRTIO_DRIVER_FEATURE, (uint32_t)(features >> 32));
	device->features = features;
}

bool virtio_negotiate(struct virtio *device, uint64_t features)
{
	if (!virtio_reset(device))
		return false;
	write8(device->common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE);
	write8(device->common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	accept(device,
	       (features | VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM) & virtio_offered(device));
	write8(device->common + VIRTIO_STATUS,
	       VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return virtio_status(device) & VIRTIO_FEATURES_OK;
}

void virtio_go(struct virtio *device)
{
	write8(device->common + VIRTIO_STATUS,
	       VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}
