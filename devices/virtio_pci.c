/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modern PCI transport of virtio 1.2 (4.1): capabilities, BARs, doorbells.
 *
 * BAR 0 holds one page for each structure, BAR 1 MSI-X. Each queue has its own doorbell address,
 * which the machine turns into a write to the queue's eventfd without an exit. Vector i may be used
 * for any queue or for the configuration; there is one more than there are queues.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/virtio.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_DEVICE 0x1040 /* + virtio device id (4.1.2) */

enum {
	BAR_VIRTIO,
	BAR_MSIX,
};

/* BAR 0 */
enum {
	COMMON = 0x0000,
	ISR = 0x1000,
	CONFIG = 0x2000,
	DOORBELLS = 0x3000,
	DOORBELL_STRIDE = 4,
	STRUCTURE_SIZE = 0x1000,
	BAR_VIRTIO_SIZE = 0x4000,
};

/* BAR 1 */
enum {
	MSIX_TABLE = 0x000,
	MSIX_PENDING = 0x800,
	BAR_MSIX_SIZE = 0x1000,
};
_Static_assert((VIRTIO_QUEUES_MAX + 1) * PCI_MSIX_ENTRY_SIZE <= MSIX_PENDING, "MSI-X table");
_Static_assert(VIRTIO_QUEUES_MAX *DOORBELL_STRIDE <= STRUCTURE_SIZE, "doorbells");

enum {
	ISR_QUEUE = 1,
	ISR_CONFIG = 2,
};

static struct virtio_device *device_of(struct pci_function *fn)
{
	return container_of(fn, struct virtio_device, pci);
}

/* --- Interrupts --- */

static void interrupt(struct virtio_device *device, const uint16_t *vector, uint8_t isr)
{
	if (pci_msix_enabled(&device->pci)) {
		/* PCI_NO_VECTOR is out of every range: nothing is raised. */
		pci_msix_raise(&device->pci, __atomic_load_n(vector, __ATOMIC_RELAXED));
		return;
	}
	pthread_mutex_lock(&device->lock);
	device->isr |= isr;
	pci_set_intx(&device->pci, true);
	pthread_mutex_unlock(&device->lock);
}

void virtio_queue_interrupt(struct virtio_queue *queue)
{
	interrupt(queue->device, &queue->vector, ISR_QUEUE);
}

void virtio_config_interrupt(struct virtio_device *device)
{
	interrupt(device, &device->config_vector, ISR_CONFIG);
}

/* --- BAR 0 --- */

/* 4.1.4.5: a read acknowledges. */
static void isr_access(struct virtio_device *device, struct bus_access *access, uint64_t offset)
{
	if (access->is_write)
		return;
	access->value = offset ? 0 : device->isr;
	if (offset)
		return;
	device->isr = 0;
	pci_set_intx(&device->pci, false);
}

static void config_access(struct virtio_device *device, struct bus_access *access, uint64_t offset)
{
	/* None of the devices has a field that the driver may write. */
	if (!access->is_write)
		virtio_copy_out(access, offset, device->config, device->config_size);
}

/* Only where the machine could not take the doorbell over. */
static void doorbell_access(struct virtio_device *device, struct bus_access *access,
			    uint64_t offset)
{
	uint64_t one = 1;

	if (!access->is_write) {
		access->value = 0;
		return;
	}
	if (offset % DOORBELL_STRIDE || offset / DOORBELL_STRIDE >= device->queue_count)
		return;
	/* It cannot fail: the loop empties the counter long before it is full. */
	if (write(device->queue[offset / DOORBELL_STRIDE].kick_fd, &one, sizeof(one)) < 0)
		log_guest(VIRTIO, "%s: a doorbell was lost", device->name);
}

static void bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access)
{
	struct virtio_device *device = device_of(fn);
	uint64_t offset = access->offset % STRUCTURE_SIZE;

	if (bar != BAR_VIRTIO)
		return;
	if (align_down(access->offset, STRUCTURE_SIZE) == DOORBELLS) {
		doorbell_access(device, access, offset);
		return;
	}
	pthread_mutex_lock(&device->lock);
	switch (align_down(access->offset, STRUCTURE_SIZE)) {
	case COMMON:
		virtio_common_access(device, access, offset);
		break;
	case ISR:
		isr_access(device, access, offset);
		break;
	case CONFIG:
		config_access(device, access, offset);
		break;
	}
	pthread_mutex_unlock(&device->lock);
}

static void set_doorbells(struct virtio_device *device, bool on)
{
	for (unsigned int i = 0; i < device->queue_count; i++) {
		uint64_t address = device->doorbells + i * DOORBELL_STRIDE;
		int rc = machine_set_doorbell(device->pci.host->machine, address, 0,
					      device->queue[i].kick_fd, on);

		if (rc)
			log_debug(VIRTIO, "%s: doorbell %u exits to the VMM (%s)", device->name, i,
				  strerror(-rc));
	}
}

static void bar_moved(struct pci_function *fn, unsigned int bar, uint64_t address)
{
	struct virtio_device *device = device_of(fn);

	if (bar != BAR_VIRTIO)
		return;
	if (device->doorbells != PCI_BAR_UNMAPPED)
		set_doorbells(device, false);
	device->doorbells = address == PCI_BAR_UNMAPPED ? address : address + DOORBELLS;
	if (device->doorbells != PCI_BAR_UNMAPPED)
		set_doorbells(device, true);
}

/* --- Configuration space --- */

static int function_reset(struct pci_function *fn)
{
	struct virtio_device *device = device_of(fn);

	pthread_mutex_lock(&device->lock);
	virtio_request_reset(device);
	pthread_mutex_unlock(&device->lock);
	return 0;
}

/* 4.1.4.9: BAR 0 through configuration space, for what runs before BARs are mapped. */
static void pci_cfg_access(struct virtio_device *device, bool is_write)
{
	uint8_t *cap = &device->pci.config[device->pci_cfg];
	uint8_t *data = cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	uint32_t offset = load_le32(cap + VIRTIO_PCI_CAP_OFFSET);
	uint32_t len = load_le32(cap + VIRTIO_PCI_CAP_LENGTH);
	struct bus_access access = { .offset = offset,
				     .is_write = is_write,
				     .value = is_write ? load_le32(data) : UINT64_MAX };

	if ((len != 1 && len != 2 && len != 4) || offset % len ||
	    cap[VIRTIO_PCI_CAP_BAR] != BAR_VIRTIO || !range_fits(offset, len, BAR_VIRTIO_SIZE))
		return;
	access.size = (uint8_t)len;
	if (is_write && len < 4)
		access.value &= (1U << 8 * len) - 1;
	bar_access(&device->pci, BAR_VIRTIO, &access);
	if (!is_write)
		store_le32(data, (uint32_t)access.value);
}

static bool in_pci_cfg_data(const struct virtio_device *device, unsigned int offset,
			    unsigned int size)
{
	return ranges_overlap(offset, size,
			      device->pci_cfg + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
			      4);
}

/* Bus mastering may have changed. That it was off for a moment only must not go unnoticed. */
static void command_written(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	if (!pci_bus_master(&device->pci))
		device->cut_off = true;
	pthread_mutex_unlock(&device->lock);
	virtio_sync(device);
}

static void config_written(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct virtio_device *device = device_of(fn);

	if (in_pci_cfg_data(device, offset, size))
		pci_cfg_access(device, true);
	if (ranges_overlap(offset, size, PCI_COMMAND, 2))
		command_written(device);
}

static void config_reading(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct virtio_device *device = device_of(fn);

	if (in_pci_cfg_data(device, offset, size))
		pci_cfg_access(device, false);
}

static const struct pci_ops virtio_pci_ops = {
	.config_written = config_written,
	.config_reading = config_reading,
	.bar_access = bar_access,
	.bar_moved = bar_moved,
	.reset = function_reset,
};

static unsigned int add_structure(struct virtio_device *device, uint8_t type, uint32_t offset,
				  uint32_t length, unsigned int cap_size)
{
	unsigned int at = pci_add_capability(&device->pci, PCI_CAP_ID_VNDR, cap_size);
	uint8_t *cap = &device->pci.config[at];

	cap[VIRTIO_PCI_CAP_LEN] = (uint8_t)cap_size;
	cap[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	cap[VIRTIO_PCI_CAP_BAR] = BAR_VIRTIO;
	store_le32(cap + VIRTIO_PCI_CAP_OFFSET, offset);
	store_le32(cap + VIRTIO_PCI_CAP_LENGTH, length);
	return at;
}

static void add_structures(struct virtio_device *device)
{
	const unsigned int size = sizeof(struct virtio_pci_cap);
	struct pci_function *fn = &device->pci;
	unsigned int at;

	add_structure(device, VIRTIO_PCI_CAP_COMMON_CFG, COMMON,
		      sizeof(struct virtio_pci_common_cfg), size);
	add_structure(device, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1, size);
	if (device->config_size)
		add_structure(device, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, device->config_size, size);
	at = add_structure(device, VIRTIO_PCI_CAP_NOTIFY_CFG, DOORBELLS,
			   device->queue_count * DOORBELL_STRIDE, size + 4);
	store_le32(&fn->config[at + VIRTIO_PCI_NOTIFY_CAP_MULT], DOORBELL_STRIDE);

	at = add_structure(device, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, size + 4);
	device->pci_cfg = at;
	fn->writable[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(&fn->writable[at + VIRTIO_PCI_CAP_OFFSET], 0xff, 12); /* offset, length, data */
}

int virtio_pci_init(struct virtio_device *device, struct pci_host *host,
		    const struct virtio_setup *setup)
{
	const struct pci_ids ids = {
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_DEVICE + setup->id,
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = VIRTIO_DEVICE + setup->id, /* 4.1.2.1: 0x40 or more */
		.class_code = setup->class_code,
		.revision = 1,
	};
	int rc;

	pci_function_init(&device->pci, device->name, &virtio_pci_ops, &ids, true);
	pci_add_bar(&device->pci, BAR_VIRTIO, PCI_BAR_MEM32, BAR_VIRTIO_SIZE, false);
	pci_add_bar(&device->pci, BAR_MSIX, PCI_BAR_MEM32, BAR_MSIX_SIZE, false);
	rc = pci_host_add(host, &device->pci, -1);
	if (rc)
		return rc;
	rc = pci_add_msix(&device->pci, device->queue_count + 1, BAR_MSIX, MSIX_TABLE,
			  MSIX_PENDING);
	if (rc)
		return rc;
	pci_add_express(&device->pci);
	add_structures(device);
	return 0;
}
