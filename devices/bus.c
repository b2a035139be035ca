/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port and MMIO address spaces: a sorted array, searched by halves.
 */
#include "devices/bus.h"

#include <errno.h>

#include "devices/base.h"

void bus_init(struct bus *bus)
{
	pthread_rwlock_init(&bus->lock, NULL);
	bus->count = 0;
}

void bus_destroy(struct bus *bus)
{
	pthread_rwlock_destroy(&bus->lock);
}

/* The index of the first region that ends above @address; count if there is none. Lock held. */
static unsigned int first_above(const struct bus *bus, uint64_t address)
{
	unsigned int low = 0, high = bus->count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		const struct bus_region *region = &bus->region[middle];

		if (region->base + (region->size - 1) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int bus_add(struct bus *bus, const struct bus_region *region)
{
	unsigned int at;
	int rc = 0;

	if (!region->size || region->base + (region->size - 1) < region->base || !region->handler)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	at = first_above(bus, region->base);
	if (at < bus->count && bus->region[at].base <= region->base + (region->size - 1)) {
		rc = -EBUSY;
	} else if (bus->count == BUS_REGIONS) {
		rc = -ENOSPC;
	} else {
		memmove(&bus->region[at + 1], &bus->region[at],
			(bus->count - at) * sizeof(bus->region[0]));
		bus->region[at] = *region;
		bus->count++;
	}
	pthread_rwlock_unlock(&bus->lock);
	return rc;
}

int bus_remove(struct bus *bus, uint64_t base, const void *context)
{
	unsigned int at;
	int rc = -ENOENT;

	pthread_rwlock_wrlock(&bus->lock);
	at = first_above(bus, base);
	if (at < bus->count && bus->region[at].base == base && bus->region[at].context == context) {
		bus->count--;
		memmove(&bus->region[at], &bus->region[at + 1],
			(bus->count - at) * sizeof(bus->region[0]));
		rc = 0;
	}
	pthread_rwlock_unlock(&bus->lock);
	return rc;
}

/* Hands @access, whose offset still is an address, to the region that holds all of it. */
static void dispatch(struct bus *bus, struct bus_access *access)
{
	struct bus_region region = { 0 };
	unsigned int at;

	pthread_rwlock_rdlock(&bus->lock);
	at = first_above(bus, access->offset);
	if (at < bus->count && access->offset >= bus->region[at].base &&
	    range_fits(access->offset - bus->region[at].base, access->size, bus->region[at].size))
		region = bus->region[at];
	pthread_rwlock_unlock(&bus->lock);

	if (!region.handler)
		return;
	access->offset -= region.base;
	region.handler(region.context, access);
}

void bus_read(struct bus *bus, uint64_t address, void *data, unsigned int size)
{
	struct bus_access access = { .offset = address,
				     .size = (uint8_t)size,
				     .value = UINT64_MAX };
	uint64_t value;

	dispatch(bus, &access);
	value = htole64(access.value);
	memcpy(data, &value, min_u64(size, sizeof(value)));
}

void bus_write(struct bus *bus, uint64_t address, const void *data, unsigned int size)
{
	struct bus_access access = { .offset = address, .size = (uint8_t)size, .is_write = true };
	uint64_t value = 0;

	memcpy(&value, data, min_u64(size, sizeof(value)));
	access.value = le64toh(value);
	dispatch(bus, &access);
}
