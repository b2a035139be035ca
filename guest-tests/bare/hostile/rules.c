/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules for random numbers that a device might take for an address or a message.
 */
#include "hostile/hostile.h"

#include "lib/memory.h"
#include "lib/traps.h"

#define PAGE_MASK     (PAGE_SIZE - 1)
#define DELIVERY_BITS 0x600 /* without them the mode is fixed or lowest priority */
#define HIGH_BEYOND   0x100 /* in the upper half of an address: no RAM up there */
#define CFG_DATA      16    /* offset in the configuration access capability */

/* --- Addresses --- */

uint64_t arena_address(struct hammer *h)
{
	return align_down(world.data + below(h, world.low_end - world.data), 8);
}

/*
 * The lower half of an address. It may also end up in an MSI-X table, as the data of a message: so
 * it is a good one of those too.
 */
static uint32_t low_half(struct hammer *h, uint64_t at)
{
	uint32_t vector = (uint32_t)align_down(any_vector(h), 8);

	return ((uint32_t)at & ~(DELIVERY_BITS | 0xffU)) | vector;
}

static uint32_t low_beyond(struct hammer *h)
{
	return low_half(h, world.low_end + below(h, 4 * GIB - world.low_end));
}

static uint32_t safe_low(struct hammer *h)
{
	if (once_in(h, 4))
		return low_beyond(h);
	return low_half(h, world.data + below(h, world.low_end - world.data));
}

static uint32_t safe_high(struct hammer *h)
{
	return once_in(h, 4) ? (uint32_t)(random64(h) | HIGH_BEYOND) : 0;
}

uint64_t safe_address(struct hammer *h)
{
	return safe_low(h) | (uint64_t)safe_high(h) << 32;
}

uint64_t beyond_address(struct hammer *h)
{
	return low_beyond(h) | (uint64_t)safe_high(h) << 32;
}

uint32_t safe_length(struct hammer *h)
{
	static const uint32_t some[] = { 0,    1,     8,       16,	   64,	      512,
					 4096, 65536, 0x80000, 0xe0000000, 0xfffffff8 };

	if (once_in(h, 2))
		return some[below(h, ARRAY_SIZE(some))];
	return (uint32_t)below(h, 1024) * 8;
}

/* --- Messages --- */

uint32_t safe_message(struct hammer *h)
{
	return ((uint32_t)random64(h) & ~(DELIVERY_BITS | 0xffU)) | any_vector(h);
}

/* --- BARs --- */

static bool overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

/* Queue addresses, wherever the common structure has been moved: BARs move by pages. */
static uint64_t queue_address_value(struct hammer *h, uint64_t offset, unsigned int size)
{
	bool used = offset >= VIRTIO_QUEUE_DEVICE;

	if (size == 8 && !(offset & 7))
		return used ? beyond_address(h) : safe_address(h);
	if (size == 4 && !(offset & 3) && offset & 4)
		return safe_high(h);
	if (size == 4 && !(offset & 3))
		return used ? low_beyond(h) : safe_low(h);
	/* Parts of it: ones only make an address larger. */
	return UINT64_MAX;
}

uint64_t safe_mmio_value(struct hammer *h, uint64_t at, unsigned int size)
{
	uint64_t page = world.targets ? world.target[0].device.common & PAGE_MASK : 0;
	uint64_t offset = (at - page) & PAGE_MASK;

	if (overlaps(offset, size, VIRTIO_QUEUE_DESC, VIRTIO_COMMON_END - VIRTIO_QUEUE_DESC))
		return queue_address_value(h, offset, size);
	if (size <= 2)
		return once_in(h, 2) ? below(h, 8) : random64(h);
	/* It may be a message, with its data in either half. */
	return safe_message(h) | (uint64_t)safe_message(h) << 32;
}

bool is_bar(unsigned int offset, unsigned int size)
{
	return overlaps(offset, size, PCI_BAR0, PCI_BARS * 4);
}

bool is_config_window(unsigned int offset, unsigned int size)
{
	for (unsigned int i = 0; i < world.targets; i++) {
		unsigned int cap = world.target[i].device.pci_cap;

		if (cap && overlaps(offset, size, cap + CFG_DATA, 4))
			return true;
	}
	return false;
}
