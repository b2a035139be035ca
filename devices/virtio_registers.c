/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a virtio device (virtio 1.2, 4.1.4.3) and the rules of its life that they
 * enforce: negotiation, queue set-up, reset. All functions are called with the device's lock held.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/virtio.h"

#define VIRTIO_F_PLATFORM 33 /* VIRTIO_F_ACCESS_PLATFORM */

/* --- Life --- */

void virtio_registers_reset(struct virtio_device *device)
{
	device->resetting = false;
	device->status = 0;
	device->driver_features = 0;
	device->feature_select = 0;
	device->driver_feature_select = 0;
	device->queue_select = 0;
	device->config_vector = PCI_NO_VECTOR;
	device->isr = 0;
	pci_set_intx(&device->pci, false);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		struct virtio_queue *queue = &device->queue[i];

		queue->size = device->queue_size;
		queue->enabled = false;
		queue->desc = 0;
		queue->driver_area = 0;
		queue->device_area = 0;
		__atomic_store_n(&queue->vector, PCI_NO_VECTOR, __ATOMIC_RELAXED);
	}
}

/* A device that does nothing is reset at once, others when the loop has stopped them. */
void virtio_request_reset(struct virtio_device *device)
{
	if (device->resetting)
		return;
	if (!device->status) {
		virtio_registers_reset(device);
		return;
	}
	device->resetting = true;
	virtio_sync(device);
}

static uint64_t offered_features(const struct virtio_device *device)
{
	uint64_t transport = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
			     VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			     VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX);

	if (device->pci.dma.ops)
		transport |= VIRTIO_BIT(VIRTIO_F_PLATFORM);
	return device->offered | transport;
}

/* 3.1.1, step 5: a subset of what is offered, and what the device cannot do without. */
static bool features_acceptable(const struct virtio_device *device)
{
	uint64_t features = device->driver_features;

	if (features & ~offered_features(device) || !(features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return false;
	/* 6.1: behind a remapping unit, addresses that bypass it would be wrong ones. */
	if (device->pci.dma.ops && !(features & VIRTIO_BIT(VIRTIO_F_PLATFORM)))
		return false;
	return !device->ops->features_agree || device->ops->features_agree(device, features);
}

/* --- Writing --- */

static struct virtio_queue *selected(struct virtio_device *device)
{
	return device->queue_select < device->queue_count ? &device->queue[device->queue_select]
							  : NULL;
}

static void write_feature_select(struct virtio_device *device, uint64_t value)
{
	device->feature_select = (uint32_t)value;
}

static void write_driver_feature_select(struct virtio_device *device, uint64_t value)
{
	device->driver_feature_select = (uint32_t)value;
}

static void write_driver_feature(struct virtio_device *device, uint64_t value)
{
	unsigned int shift = device->driver_feature_select * 32;

	if (device->driver_feature_select > 1 || device->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	device->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	device->driver_features |= value << shift;
}

static uint16_t valid_vector(const struct virtio_device *device, uint64_t value)
{
	return value < device->pci.msix.vectors ? (uint16_t)value : PCI_NO_VECTOR;
}

static void write_config_vector(struct virtio_device *device, uint64_t value)
{
	__atomic_store_n(&device->config_vector, valid_vector(device, value), __ATOMIC_RELAXED);
}

static void write_status(struct virtio_device *device, uint64_t value)
{
	uint8_t added = (uint8_t)value & ~device->status;

	if (!(uint8_t)value) {
		virtio_request_reset(device);
		return;
	}
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(device)) {
		log_guest(VIRTIO, "%s: the driver's features %#llx are not acceptable",
			  device->name, (unsigned long long)device->driver_features);
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	}
	device->status |= added & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED);
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && device->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		device->status |= VIRTIO_CONFIG_S_DRIVER_OK;
		virtio_sync(device);
	}
}

static void write_queue_select(struct virtio_device *device, uint64_t value)
{
	device->queue_select = (uint16_t)value;
}

/* The selected queue, if the driver may still change it. */
static struct virtio_queue *changeable(struct virtio_device *device)
{
	struct virtio_queue *queue = selected(device);

	return queue && !queue->enabled ? queue : NULL;
}

static void write_queue_size(struct virtio_device *device, uint64_t value)
{
	struct virtio_queue *queue = changeable(device);

	if (queue && is_power_of_two(value) && value <= device->queue_size)
		queue->size = (uint16_t)value;
}

static void write_queue_vector(struct virtio_device *device, uint64_t value)
{
	struct virtio_queue *queue = selected(device);

	if (queue)
		__atomic_store_n(&queue->vector, valid_vector(device, value), __ATOMIC_RELAXED);
}

static void write_queue_enable(struct virtio_device *device, uint64_t value)
{
	struct virtio_queue *queue = changeable(device);

	/* Queues are looked at when DRIVER_OK is set; none may be added to a running device. */
	if (queue && value == 1 && device->status & VIRTIO_CONFIG_S_FEATURES_OK &&
	    !(device->status & VIRTIO_CONFIG_S_DRIVER_OK))
		queue->enabled = true;
}

static void set_half(uint64_t *address, unsigned int shift, uint64_t value)
{
	*address =
		(*address & ~((uint64_t)UINT32_MAX << shift)) | (uint32_t)value * (1ULL << shift);
}

static void write_desc(struct virtio_device *device, uint64_t value)
{
	if (changeable(device))
		set_half(&selected(device)->desc, 0, value);
}

static void write_desc_high(struct virtio_device *device, uint64_t value)
{
	if (changeable(device))
		set_half(&selected(device)->desc, 32, value);
}

static void write_driver_area(struct virtio_device *device, uint64_t value)
{
	if (changeable(device))
		set_half(&selected(device)->driver_area, 0, value);
}

static void write_driver_area_high(struct virtio_device *device, uint64_t value)
{
	if (changeable(device))
		set_half(&selected(device)->driver_area, 32, value);
}

static void write_device_area(struct virtio_device *device, uint64_t value)
{
	if (changeable(device))
		set_half(&selected(device)->device_area, 0, value);
}

static void write_device_area_high(struct virtio_device *device, uint64_t value)
{
	if (changeable(device))
		set_half(&selected(device)->device_area, 32, value);
}

static const struct {
	uint8_t offset, size;
	void (*write)(struct virtio_device *device, uint64_t value);
} common_registers[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, write_feature_select },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, write_driver_feature_select },
	{ VIRTIO_PCI_COMMON_GF, 4, write_driver_feature },
	{ VIRTIO_PCI_COMMON_MSIX, 2, write_config_vector },
	{ VIRTIO_PCI_COMMON_STATUS, 1, write_status },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, write_queue_select },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, write_queue_size },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, write_queue_vector },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, write_queue_enable },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, write_desc },
	{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, write_desc_high },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, write_driver_area },
	{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4, write_driver_area_high },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, write_device_area },
	{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, write_device_area_high },
};

/* A register is written as a whole (4.1.3.1); anything else writes nowhere. */
static void common_write(struct virtio_device *device, uint64_t offset, uint64_t value,
			 unsigned int size)
{
	/* While a reset is under way the registers are nobody's. */
	if (device->resetting)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(common_registers); i++)
		if (common_registers[i].offset == offset && common_registers[i].size == size)
			common_registers[i].write(device, value);
}

/* --- Reading --- */

/* All registers as they read now. */
static struct virtio_pci_common_cfg common_image(struct virtio_device *device)
{
	const struct virtio_queue *queue = selected(device);
	uint64_t offered = offered_features(device);
	struct virtio_pci_common_cfg image = {
		.device_feature_select = device->feature_select,
		.guest_feature_select = device->driver_feature_select,
		.msix_config = device->config_vector,
		.num_queues = (uint16_t)device->queue_count,
		.device_status = device->status,
		.config_generation = device->generation,
		.queue_select = device->queue_select,
		.queue_msix_vector = PCI_NO_VECTOR,
	};

	if (device->feature_select < 2)
		image.device_feature = (uint32_t)(offered >> 32 * device->feature_select);
	if (device->driver_feature_select < 2)
		image.guest_feature =
			(uint32_t)(device->driver_features >> 32 * device->driver_feature_select);
	if (!queue)
		return image; /* a size of 0: there is no such queue */
	image.queue_size = queue->size;
	image.queue_msix_vector = queue->vector;
	image.queue_enable = queue->enabled;
	image.queue_notify_off = (uint16_t)queue->index;
	image.queue_desc_lo = (uint32_t)queue->desc;
	image.queue_desc_hi = (uint32_t)(queue->desc >> 32);
	image.queue_avail_lo = (uint32_t)queue->driver_area;
	image.queue_avail_hi = (uint32_t)(queue->driver_area >> 32);
	image.queue_used_lo = (uint32_t)queue->device_area;
	image.queue_used_hi = (uint32_t)(queue->device_area >> 32);
	return image;
}

void virtio_copy_out(struct bus_access *access, uint64_t offset, const void *from, uint64_t size)
{
	access->value = 0;
	if (offset < size)
		memcpy(&access->value, (const uint8_t *)from + offset,
		       min_u64(access->size, size - offset));
}

void virtio_common_access(struct virtio_device *device, struct bus_access *access, uint64_t offset)
{
	struct virtio_pci_common_cfg image;

	if (!access->is_write) {
		image = common_image(device);
		virtio_copy_out(access, offset, &image, sizeof(image));
		return;
	}
	if (access->size < 8) {
		common_write(device, offset, access->value, access->size);
		return;
	}
	common_write(device, offset, (uint32_t)access->value, 4);
	common_write(device, offset + 4, access->value >> 32, 4);
}
