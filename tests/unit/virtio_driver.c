/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of a guest's virtio driver, for tests of devices.
 */
#include "tests/unit/virtio_driver.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "devices/base.h"

static uint32_t config_read(struct driver *driver, unsigned int offset, unsigned int size)
{
	return pci_config_read(&driver->machine->host, driver->requester, offset, size);
}

static uint64_t bar_address(struct driver *driver, unsigned int bar)
{
	return config_read(driver, PCI_BASE_ADDRESS_0 + bar * 4, 4) & ~0xfU;
}

static void probe_structure(struct driver *driver, unsigned int at)
{
	unsigned int type = config_read(driver, at + VIRTIO_PCI_CAP_CFG_TYPE, 1);
	unsigned int bar = config_read(driver, at + VIRTIO_PCI_CAP_BAR, 1);
	uint64_t address = bar_address(driver, bar) + config_read(driver, at + 8, 4);
	uint32_t length = config_read(driver, at + 12, 4);

	switch (type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		driver->common = address;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		driver->isr = address;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		driver->config = address;
		driver->config_length = length;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		driver->notify = address;
		driver->notify_length = length;
		driver->notify_multiplier = config_read(driver, at + 16, 4);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		driver->pci_cfg = at;
		break;
	default:
		fail_msg("unknown structure %u", type);
	}
}

void driver_probe(struct driver *driver, struct machine *machine, struct loop *loop,
		  uint16_t requester)
{
	memset(driver, 0, sizeof(*driver));
	driver->machine = machine;
	driver->loop = loop;
	driver->requester = requester;
	assert_int_equal(config_read(driver, PCI_VENDOR_ID, 2), 0x1af4);
	for (unsigned int at = config_read(driver, PCI_CAPABILITY_LIST, 1); at;
	     at = config_read(driver, at + 1, 1))
		if (config_read(driver, at, 1) == PCI_CAP_ID_VNDR)
			probe_structure(driver, at);
	assert_true(driver->common && driver->isr && driver->notify && driver->pci_cfg);
}

static uint64_t common_read(struct driver *driver, unsigned int offset, unsigned int size)
{
	return fake_read(driver->machine, driver->common + offset, size);
}

static void common_write(struct driver *driver, unsigned int offset, unsigned int size,
			 uint64_t value)
{
	fake_write(driver->machine, driver->common + offset, size, value);
}

uint8_t driver_status(struct driver *driver)
{
	return (uint8_t)common_read(driver, VIRTIO_PCI_COMMON_STATUS, 1);
}

void driver_set_status(struct driver *driver, uint8_t status)
{
	common_write(driver, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

uint64_t driver_offered(struct driver *driver)
{
	uint64_t low, high;

	common_write(driver, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	low = common_read(driver, VIRTIO_PCI_COMMON_DF, 4);
	common_write(driver, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	high = common_read(driver, VIRTIO_PCI_COMMON_DF, 4);
	return low | high << 32;
}

static bool is_reset(void *context)
{
	return driver_status(context) == 0;
}

void driver_reset(struct driver *driver)
{
	driver_set_status(driver, 0);
	assert_true(fake_wait(driver->loop, is_reset, driver));
}

bool driver_negotiate(struct driver *driver, uint64_t features)
{
	driver_reset(driver);
	driver_set_status(driver, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	driver_set_status(driver, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned int i = 0; i < 2; i++) {
		common_write(driver, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		common_write(driver, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * i));
	}
	driver_set_status(driver, driver_status(driver) | VIRTIO_CONFIG_S_FEATURES_OK);
	driver->features = features;
	return driver_status(driver) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void write_address(struct driver *driver, unsigned int offset, uint64_t address)
{
	common_write(driver, offset, 4, (uint32_t)address);
	common_write(driver, offset + 4, 4, address >> 32);
}

struct driver_queue *driver_queue_init(struct driver *driver, uint16_t index, uint16_t size)
{
	struct driver_queue *queue = &driver->queue[index];

	*queue = (struct driver_queue){ .driver = driver, .index = index, .size = size };
	queue->desc = fake_alloc(driver->machine, 16U * size, 16);
	queue->avail = fake_alloc(driver->machine, 6U + 2U * size, 2);
	queue->used = fake_alloc(driver->machine, 6U + 8U * size, 4);
	common_write(driver, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	assert_true(common_read(driver, VIRTIO_PCI_COMMON_Q_SIZE, 2) >= size);
	common_write(driver, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	assert_int_equal(common_read(driver, VIRTIO_PCI_COMMON_Q_SIZE, 2), size);
	write_address(driver, VIRTIO_PCI_COMMON_Q_DESCLO, queue->desc);
	write_address(driver, VIRTIO_PCI_COMMON_Q_AVAILLO, queue->avail);
	write_address(driver, VIRTIO_PCI_COMMON_Q_USEDLO, queue->used);
	common_write(driver, VIRTIO_PCI_COMMON_Q_MSIX, 2, index + 1U);
	queue->doorbell = driver->notify + common_read(driver, VIRTIO_PCI_COMMON_Q_NOFF, 2) *
						   driver->notify_multiplier;
	common_write(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common_read(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	return queue;
}

static unsigned int find_msix(struct driver *driver)
{
	unsigned int at = config_read(driver, PCI_CAPABILITY_LIST, 1);

	while (at && config_read(driver, at, 1) != PCI_CAP_ID_MSIX)
		at = config_read(driver, at + 1, 1);
	assert_int_not_equal(at, 0);
	return at;
}

void driver_enable_msix(struct driver *driver, unsigned int vectors)
{
	unsigned int cap = find_msix(driver);
	uint32_t table = config_read(driver, cap + PCI_MSIX_TABLE, 4);
	uint64_t at = bar_address(driver, table & 7) + (table & ~7U);

	for (unsigned int i = 0; i < vectors; i++, at += PCI_MSIX_ENTRY_SIZE) {
		fake_write(driver->machine, at, 4, 0xfee00000);
		fake_write(driver->machine, at + 4, 4, 0);
		fake_write(driver->machine, at + 8, 4, DRIVER_MSI + i);
		fake_write(driver->machine, at + 12, 4, 0);
	}
	pci_config_write(&driver->machine->host, driver->requester, cap + PCI_MSIX_FLAGS, 2,
			 PCI_MSIX_FLAGS_ENABLE);
	common_write(driver, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(common_read(driver, VIRTIO_PCI_COMMON_MSIX, 2), 0);
}

void driver_start(struct driver *driver)
{
	driver_set_status(driver, driver_status(driver) | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_settle(driver->loop);
}

void driver_bring_up(struct driver *driver, unsigned int queues, uint16_t size)
{
	assert_true(driver_negotiate(driver, driver_offered(driver)));
	driver_enable_msix(driver, queues + 1);
	for (uint16_t i = 0; i < queues; i++)
		driver_queue_init(driver, i, size);
	driver_start(driver);
}

void driver_set_desc(struct driver_queue *queue, uint16_t index, uint64_t address, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct vring_desc desc = { address, len, flags, next };

	memcpy((struct vring_desc *)fake_ram(queue->driver->machine, queue->desc) + index, &desc,
	       sizeof(desc));
}

static uint16_t *avail_field(struct driver_queue *queue, unsigned int offset)
{
	return fake_ram(queue->driver->machine, queue->avail + offset);
}

void driver_set_avail(struct driver_queue *queue, uint16_t slot, uint16_t head)
{
	*avail_field(queue, 4U + 2U * (slot % queue->size)) = head;
}

void driver_set_avail_index(struct driver_queue *queue, uint16_t index)
{
	__atomic_store_n(avail_field(queue, 2), index, __ATOMIC_RELEASE);
}

uint16_t driver_avail_index(struct driver_queue *queue)
{
	return *avail_field(queue, 2);
}

static void make_available(struct driver_queue *queue, uint16_t head)
{
	uint16_t index = driver_avail_index(queue);

	driver_set_avail(queue, index, head);
	driver_set_avail_index(queue, (uint16_t)(index + 1));
}

static uint16_t buffer_flags(const struct driver_buffer *buffer, bool more)
{
	return (uint16_t)((buffer->writable ? VRING_DESC_F_WRITE : 0) |
			  (more ? VRING_DESC_F_NEXT : 0));
}

uint16_t driver_add(struct driver_queue *queue, const struct driver_buffer *buffers,
		    unsigned int count)
{
	uint16_t head = queue->next_desc;

	for (unsigned int i = 0; i < count; i++) {
		uint16_t next = (uint16_t)((queue->next_desc + 1) % queue->size);

		driver_set_desc(queue, queue->next_desc, buffers[i].address, buffers[i].len,
				buffer_flags(&buffers[i], i + 1 < count), next);
		queue->next_desc = next;
	}
	make_available(queue, head);
	return head;
}

uint16_t driver_add_indirect(struct driver_queue *queue, const struct driver_buffer *buffers,
			     unsigned int count)
{
	uint64_t table = fake_alloc(queue->driver->machine, count * sizeof(struct vring_desc), 16);
	struct vring_desc *desc = fake_ram(queue->driver->machine, table);
	uint16_t head = queue->next_desc;

	for (unsigned int i = 0; i < count; i++)
		desc[i] = (struct vring_desc){ buffers[i].address, buffers[i].len,
					       buffer_flags(&buffers[i], i + 1 < count),
					       (uint16_t)(i + 1) };
	driver_set_desc(queue, head, table, (uint32_t)(count * sizeof(*desc)),
			VRING_DESC_F_INDIRECT, 0);
	queue->next_desc = (uint16_t)((head + 1) % queue->size);
	make_available(queue, head);
	return head;
}

void driver_kick(struct driver_queue *queue)
{
	fake_write(queue->driver->machine, queue->doorbell, 2, queue->index);
}

bool driver_used(struct driver_queue *queue, uint32_t *head, uint32_t *len)
{
	uint8_t *used = fake_ram(queue->driver->machine, queue->used);
	uint16_t index = __atomic_load_n((uint16_t *)(used + 2), __ATOMIC_ACQUIRE);
	uint8_t *element = used + 4 + 8U * (queue->last_used % queue->size);

	if (index == queue->last_used)
		return false;
	*head = load_le32(element);
	*len = load_le32(element + 4);
	queue->last_used++;
	/* The used event: an interrupt for the next one, too. */
	__atomic_store_n(avail_field(queue, 4U + 2U * queue->size), queue->last_used,
			 __ATOMIC_RELAXED);
	return true;
}

static bool has_used(void *context)
{
	struct driver_queue *queue = context;
	uint8_t *used = fake_ram(queue->driver->machine, queue->used);

	return __atomic_load_n((uint16_t *)(used + 2), __ATOMIC_ACQUIRE) != queue->last_used;
}

uint32_t driver_wait_used(struct driver_queue *queue, uint32_t *head)
{
	uint32_t id, len;

	assert_true(fake_wait(queue->driver->loop, has_used, queue));
	assert_true(driver_used(queue, &id, &len));
	if (head)
		*head = id;
	return len;
}
