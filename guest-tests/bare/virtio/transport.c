/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modern PCI transport (virtio 1.2, 4.1): structures, registers, negotiation, reset.
 */
#include "lib/cpu.h"
#include "lib/print.h"
#include "virtio/tests.h"

/* Offsets in the configuration access capability (4.1.4.9). */
enum { PCI_CAP_BAR = 4, PCI_CAP_OFFSET = 8, PCI_CAP_LENGTH = 12, PCI_CAP_DATA = 16 };

static uint32_t cfg_read(const struct virtio *device, uint32_t offset, uint32_t length)
{
	pci_write(device->devfn, device->pci_cap + PCI_CAP_OFFSET, 4, offset);
	pci_write(device->devfn, device->pci_cap + PCI_CAP_LENGTH, 4, length);
	return pci_read(device->devfn, device->pci_cap + PCI_CAP_DATA, length);
}

static void cfg_write(const struct virtio *device, uint32_t offset, uint32_t length, uint32_t value)
{
	pci_write(device->devfn, device->pci_cap + PCI_CAP_OFFSET, 4, offset);
	pci_write(device->devfn, device->pci_cap + PCI_CAP_LENGTH, 4, length);
	pci_write(device->devfn, device->pci_cap + PCI_CAP_DATA, length, value);
}

/* The BAR and offset of the common structure, as its capability tells. */
static uint32_t common_offset(const struct virtio *device, uint32_t *bar)
{
	unsigned int cap = 0;

	while ((cap = pci_capability(device->devfn, PCI_CAP_VENDOR, cap)))
		if (pci_read(device->devfn, cap + 3, 1) == VIRTIO_CAP_COMMON)
			break;
	*bar = pci_read(device->devfn, cap + PCI_CAP_BAR, 1);
	return pci_read(device->devfn, cap + PCI_CAP_OFFSET, 4);
}

static void test_cfg_access(const struct virtio *device, const char *name)
{
	uint32_t bar, at = common_offset(device, &bar);

	if (!check(device->pci_cap, "%s: has the configuration access capability", name))
		return;
	pci_write(device->devfn, device->pci_cap + PCI_CAP_BAR, 1, bar);
	check_equal(cfg_read(device, at + VIRTIO_NUM_QUEUES, 2), device->queues,
		    "%s: configuration access reads 2 bytes", name);
	cfg_write(device, at + VIRTIO_DRIVER_FEATURE_SELECT, 4, 1);
	check_equal(read32(device->common + VIRTIO_DRIVER_FEATURE_SELECT), 1,
		    "%s: configuration access writes 4 bytes", name);
	cfg_write(device, at + VIRTIO_STATUS, 1, VIRTIO_ACKNOWLEDGE);
	check_equal(virtio_status(device), VIRTIO_ACKNOWLEDGE,
		    "%s: configuration access writes 1 byte", name);
	cfg_write(device, at + VIRTIO_STATUS, 1, 0);
	cfg_write(device, 0xfffffff0, 4, 0);
	check(true, "%s: configuration access outside of the BAR does no harm", name);
}

static void test_registers(struct virtio *device, const char *name)
{
	uintptr_t common = device->common;
	uint16_t size, beyond = (uint16_t)device->queues;

	check(device->queues > 0 && device->queues <= VIRTIO_QUEUES_MAX, "%s: has queues", name);
	check_equal(read32(common + VIRTIO_NUM_QUEUES - 2) >> 16, device->queues,
		    "%s: two registers can be read at once", name);
	check_equal(read8(common + VIRTIO_NUM_QUEUES), device->queues & 0xff,
		    "%s: half a register can be read", name);
	write16(common + VIRTIO_QUEUE_SELECT, 0);
	size = read16(common + VIRTIO_QUEUE_SIZE);
	check(size && !(size & (size - 1)), "%s: queue 0 has a power of two of entries", name);
	check_equal(read16(common + VIRTIO_QUEUE_VECTOR), VIRTIO_NO_VECTOR,
		    "%s: no vector after reset", name);
	write16(common + VIRTIO_QUEUE_VECTOR, 0);
	check_equal(read16(common + VIRTIO_QUEUE_VECTOR), 0, "%s: vector 0 is taken", name);
	write16(common + VIRTIO_QUEUE_VECTOR, (uint16_t)device->msix.vectors);
	check_equal(read16(common + VIRTIO_QUEUE_VECTOR), VIRTIO_NO_VECTOR,
		    "%s: a vector out of range is refused", name);
	write16(common + VIRTIO_CONFIG_VECTOR, (uint16_t)device->msix.vectors);
	check_equal(read16(common + VIRTIO_CONFIG_VECTOR), VIRTIO_NO_VECTOR,
		    "%s: a configuration vector out of range is refused", name);
	write16(common + VIRTIO_QUEUE_SELECT, beyond);
	check_equal(read16(common + VIRTIO_QUEUE_SIZE), 0, "%s: no queue beyond the last", name);
	write16(common + VIRTIO_QUEUE_ENABLE, 1);
	check_equal(read16(common + VIRTIO_QUEUE_ENABLE), 0,
		    "%s: a queue that is not there cannot be enabled", name);
	write64(common + VIRTIO_QUEUE_SELECT, UINT64_MAX);
	check(true, "%s: a write across registers does no harm", name);
}

static void test_negotiation(struct virtio *device, const char *name)
{
	uint64_t offered = virtio_offered(device), unknown = 1UL << 50;
	uintptr_t common = device->common;

	check(offered & VIRTIO_F_VERSION_1, "%s: offers VERSION_1", name);
	check(!(offered & unknown), "%s: does not offer what nobody knows", name);
	write32(common + VIRTIO_DEVICE_FEATURE_SELECT, 2);
	check_equal(read32(common + VIRTIO_DEVICE_FEATURE), 0, "%s: no features beyond the 64th",
		    name);
	write8(common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE);
	write8(common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	write32(common + VIRTIO_DRIVER_FEATURE_SELECT, 1);
	write32(common + VIRTIO_DRIVER_FEATURE, (uint32_t)((unknown | VIRTIO_F_VERSION_1) >> 32));
	write8(common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	check(!(virtio_status(device) & VIRTIO_FEATURES_OK),
	      "%s: a feature that was not offered is refused", name);
	check(virtio_reset(device), "%s: reset", name);
	write8(common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	write8(common + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	check(!(virtio_status(device) & VIRTIO_FEATURES_OK), "%s: VERSION_1 is required", name);
	check(virtio_negotiate(device, offered), "%s: everything that is offered is accepted",
	      name);
}

static void test_queue_life(struct virtio *device, const char *name)
{
	static struct virtq vq;

	vq.memory = NULL;
	check(virtq_setup(&vq, device, 0, 8, VIRTIO_NO_VECTOR), "%s: queue 0 is enabled", name);
	check_equal(read16(device->common + VIRTIO_QUEUE_SIZE), 8, "%s: with the size we chose",
		    name);
	check_equal(read64(device->common + VIRTIO_QUEUE_DESC), (uintptr_t)vq.desc,
		    "%s: and our address, read with 8 bytes", name);
	check(virtio_reset(device), "%s: reset of a negotiated device", name);
	write16(device->common + VIRTIO_QUEUE_SELECT, 0);
	check_equal(read16(device->common + VIRTIO_QUEUE_ENABLE), 0, "%s: reset disables queues",
		    name);
	check_equal(read64(device->common + VIRTIO_QUEUE_DESC), 0, "%s: reset forgets addresses",
		    name);
	write32(device->common + VIRTIO_DRIVER_FEATURE_SELECT, 0);
	check_equal(read32(device->common + VIRTIO_DRIVER_FEATURE), 0, "%s: reset forgets features",
		    name);
}

void test_transport(struct virtio *device, const char *name)
{
	check(virtio_reset(device), "%s: reset", name);
	check_equal(virtio_status(device), 0, "%s: status is 0", name);
	check_equal(read8(device->isr), 0, "%s: no interrupt is pending", name);
	test_registers(device, name);
	virtio_reset(device);
	test_cfg_access(device, name);
	virtio_reset(device);
	test_negotiation(device, name);
	test_queue_life(device, name);
}
