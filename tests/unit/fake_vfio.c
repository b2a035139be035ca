/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/fake_vfio.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/base.h"

#define INDEX_SHIFT 40

static struct fake_vfio *fake_of(const struct vfio_file *file)
{
	return (struct fake_vfio *)container_of(file, const struct fake_vfio, file);
}

/* --- ioctls --- */

static int region_info(struct fake_vfio *fake, struct vfio_region_info *info)
{
	const struct fake_region *region;
	struct vfio_region_info_cap_sparse_mmap *sparse = (void *)(info + 1);
	uint32_t room = info->argsz;

	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	region = &fake->region[info->index];
	info->flags = region->flags;
	info->size = region->size;
	info->offset = (uint64_t)info->index << INDEX_SHIFT;
	info->cap_offset = 0;
	if (!region->sparse_count)
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	info->argsz = (uint32_t)(sizeof(*info) + sizeof(*sparse) +
				 region->sparse_count * sizeof(region->sparse[0]));
	if (room < info->argsz)
		return 0;
	info->cap_offset = sizeof(*info);
	sparse->header = (struct vfio_info_cap_header){ VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0 };
	sparse->nr_areas = region->sparse_count;
	memcpy(sparse->areas, region->sparse, region->sparse_count * sizeof(region->sparse[0]));
	return 0;
}

static int irq_info(struct fake_vfio *fake, struct vfio_irq_info *info)
{
	if (info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info->count = fake->irq[info->index].count;
	info->flags = fake->irq[info->index].flags;
	return 0;
}

/* One of INTx, MSI and MSI-X at a time. */
static bool other_enabled(const struct fake_vfio *fake, uint32_t index)
{
	for (uint32_t i = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX && index <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		if (i != index && fake->irq[i].enabled)
			return true;
	return false;
}

static void turn_off(struct fake_irq *irq)
{
	irq->enabled = irq->masked = false;
	for (unsigned int i = 0; i < FAKE_VFIO_VECTORS; i++)
		irq->eventfd[i] = -1;
}

static int trigger(struct fake_vfio *fake, const struct vfio_irq_set *set)
{
	struct fake_irq *irq = &fake->irq[set->index];
	const int32_t *eventfd = (const void *)set->data;

	if (set->flags & VFIO_IRQ_SET_DATA_NONE) {
		if (set->count)
			return -EINVAL;
		turn_off(irq);
		if (fake->slow)
			usleep(20000);
		return 0;
	}
	if (other_enabled(fake, set->index) || set->start + set->count > irq->count ||
	    set->argsz != sizeof(*set) + set->count * sizeof(*eventfd))
		return -EINVAL;
	if (irq->enabled && irq->flags & VFIO_IRQ_INFO_NORESIZE &&
	    set->start + set->count > irq->vectors)
		return -EINVAL;
	if (!irq->enabled)
		irq->vectors = set->start + set->count;
	irq->enabled = true;
	memcpy(&irq->eventfd[set->start], eventfd, set->count * sizeof(*eventfd));
	return 0;
}

static int set_irqs(struct fake_vfio *fake, const struct vfio_irq_set *set)
{
	struct fake_irq *irq;

	if (set->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (fake->no_irqs && set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOSPC;
	if (fake->few_irqs && set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return fake->few_irqs;
	irq = &fake->irq[set->index];
	if (set->flags & VFIO_IRQ_SET_ACTION_TRIGGER)
		return trigger(fake, set);
	if (!(set->flags & VFIO_IRQ_SET_ACTION_UNMASK) || !irq->enabled)
		return -EINVAL;
	irq->masked = false;
	irq->unmasked++;
	return 0;
}

static int reset(struct fake_vfio *fake)
{
	fake->command_at_reset = load_le16(&fake->config[PCI_COMMAND]);
	if (fake->fail_resets) {
		fake->fail_resets--;
		return fake->reset_error;
	}
	fake->resets++;
	return 0;
}

static int fake_ioctl(const struct vfio_file *file, int fd, unsigned long request, void *argument)
{
	struct fake_vfio *fake = fake_of(file);

	if (fd != FAKE_VFIO_FD)
		abort();
	if (fake->replaced_by >= 0)
		return -ENOTTY;
	switch (request) {
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(fake, argument);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(fake, argument);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(fake, argument);
	case VFIO_DEVICE_RESET:
		return reset(fake);
	default:
		return -ENOTTY;
	}
}

/* --- Regions --- */

static uint8_t *bytes_at(struct fake_vfio *fake, size_t size, uint64_t offset, uint32_t flag)
{
	uint64_t index = offset >> INDEX_SHIFT, at = offset - (index << INDEX_SHIFT);
	struct fake_region *region = &fake->region[index];

	if (fake->replaced_by >= 0 || index >= VFIO_PCI_NUM_REGIONS || !(region->flags & flag) ||
	    !range_fits(at, size, region->size))
		return NULL;
	return region->memory + at;
}

static ssize_t fake_pread(const struct vfio_file *file, int fd, void *to, size_t size,
			  uint64_t offset)
{
	struct fake_vfio *fake = fake_of(file);
	const uint8_t *from = bytes_at(fake, size, offset, VFIO_REGION_INFO_FLAG_READ);

	(void)fd;
	if (!from || (fake->no_config && from == fake->config))
		return -EIO;
	fake->reads++;
	memcpy(to, from, size);
	return (ssize_t)size;
}

static ssize_t fake_pwrite(const struct vfio_file *file, int fd, const void *from, size_t size,
			   uint64_t offset)
{
	struct fake_vfio *fake = fake_of(file);
	uint8_t *to = bytes_at(fake, size, offset, VFIO_REGION_INFO_FLAG_WRITE);

	(void)fd;
	if (!to)
		return -EIO;
	fake->writes++;
	if (offset >> INDEX_SHIFT == VFIO_PCI_CONFIG_REGION_INDEX) {
		fake->written_at = (unsigned int)(to - fake->config);
		fake->written_size = (unsigned int)size;
	}
	memcpy(to, from, size);
	return (ssize_t)size;
}

static void *fake_map(const struct vfio_file *file, int fd, uint64_t size, uint64_t offset)
{
	struct fake_vfio *fake = fake_of(file);

	(void)fd;
	if (fake->no_map)
		return NULL;
	fake->maps++;
	return bytes_at(fake, size, offset, VFIO_REGION_INFO_FLAG_MMAP);
}

static void fake_unmap(const struct vfio_file *file, void *host, uint64_t size)
{
	(void)host;
	(void)size;
	fake_of(file)->unmaps++;
}

static void fake_sleep(const struct vfio_file *file, unsigned int milliseconds)
{
	fake_of(file)->slept += milliseconds;
}

static int fake_replace(const struct vfio_file *file, int fd, int by)
{
	(void)fd;
	fake_of(file)->replaced_by = by;
	return 0;
}

/* --- What tests make of it --- */

void fake_vfio_region(struct fake_vfio *fake, unsigned int index, uint64_t size, uint32_t flags)
{
	struct fake_region *region = &fake->region[index];

	if (region->memory)
		munmap(region->memory, region->size);
	region->size = size;
	region->flags = flags;
	region->memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region->memory == MAP_FAILED)
		abort();
}

void fake_vfio_bar(struct fake_vfio *fake, unsigned int index, uint64_t size, uint32_t type,
		   bool mappable)
{
	fake_vfio_region(fake, index, size,
			 VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
				 (mappable ? VFIO_REGION_INFO_FLAG_MMAP : 0));
	store_le32(&fake->config[PCI_BASE_ADDRESS_0 + index * 4], type);
}

void fake_vfio_cap(struct fake_vfio *fake, unsigned int at, uint8_t id)
{
	fake->config[at] = id;
	fake->config[at + 1] = fake->config[PCI_CAPABILITY_LIST];
	fake->config[PCI_CAPABILITY_LIST] = (uint8_t)at;
	fake->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

void fake_vfio_ext_cap(struct fake_vfio *fake, unsigned int at, uint16_t id, unsigned int after)
{
	store_le32(&fake->config[at], id | 1U << 16);
	if (after)
		store_le32(&fake->config[after],
			   (load_le32(&fake->config[after]) & 0xfffff) | (uint32_t)at << 20);
}

bool fake_vfio_signal(struct fake_vfio *fake, unsigned int index, unsigned int vector)
{
	struct fake_irq *irq = &fake->irq[index];
	uint64_t one = 1;

	if (!irq->enabled || irq->eventfd[vector] < 0 || irq->masked)
		return false;
	irq->masked = irq->flags & VFIO_IRQ_INFO_AUTOMASKED;
	if (write(irq->eventfd[vector], &one, sizeof(one)) < 0)
		abort();
	return true;
}

struct fake_vfio *fake_vfio_create(void)
{
	struct fake_vfio *fake = calloc(1, sizeof(*fake));

	if (!fake)
		abort();
	fake->file = (struct vfio_file){ fake_ioctl, fake_pread, fake_pwrite, fake_map,
					 fake_unmap, fake_sleep, fake_replace };
	fake->device = (struct vfio_device){ .fd = FAKE_VFIO_FD,
					     .name = "0000:06:0d.0",
					     .num_regions = VFIO_PCI_NUM_REGIONS,
					     .num_irqs = VFIO_PCI_NUM_IRQS,
					     .reset = true };
	fake->replaced_by = -1;
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		fake->irq[i].flags = VFIO_IRQ_INFO_EVENTFD;
		turn_off(&fake->irq[i]);
	}
	fake->irq[VFIO_PCI_INTX_IRQ_INDEX].flags |=
		VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	fake_vfio_region(fake, VFIO_PCI_CONFIG_REGION_INDEX, PCI_CONFIG_SIZE,
			 VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	fake->config = fake->region[VFIO_PCI_CONFIG_REGION_INDEX].memory;
	store_le16(&fake->config[PCI_VENDOR_ID], 0x8086);
	store_le16(&fake->config[PCI_DEVICE_ID], 0x0b25);
	store_le32(&fake->config[PCI_CLASS_REVISION], 0x08800002);
	store_le16(&fake->config[PCI_SUBSYSTEM_VENDOR_ID], 0x1111);
	store_le16(&fake->config[PCI_SUBSYSTEM_ID], 0x2222);
	return fake;
}

void fake_vfio_destroy(struct fake_vfio *fake)
{
	for (unsigned int i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		if (fake->region[i].memory)
			munmap(fake->region[i].memory, fake->region[i].size);
	free(fake);
}
