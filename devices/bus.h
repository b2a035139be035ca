/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces that guests reach by exits: port I/O and MMIO.
 *
 * A bus is a sorted array of regions that do not overlap. Lookups take a read lock, changes (a
 * guest moves a BAR) the write lock; handlers run without it. An access that no region claims, or
 * that crosses the end of one, reads as all ones and writes nowhere, as on hardware: handlers never
 * see a straddling access.
 */
#ifndef NIDUS_DEVICES_BUS_H
#define NIDUS_DEVICES_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct bus_access {
	uint64_t offset; /* from the start of the region */
	uint8_t size;	 /* bytes: 1 to 8 */
	bool is_write;
	uint64_t value; /* written by the guest, or to be filled in; arrives as all ones for a read
			 */
};

typedef void bus_handler(void *context, struct bus_access *access);

struct bus_region {
	uint64_t base;
	uint64_t size; /* bytes, not 0 */
	bus_handler *handler;
	void *context;
	const char *name;
};

#define BUS_REGIONS 256
struct bus {
	pthread_rwlock_t lock; /* protects count and region[] */
	unsigned int count;
	struct bus_region region[BUS_REGIONS];
};

void bus_init(struct bus *bus);
void bus_destroy(struct bus *bus);

/* Adds a copy of @region. 0, -EBUSY if it overlaps another, -ENOSPC if the bus is full, -EINVAL. */
int bus_add(struct bus *bus, const struct bus_region *region);

/* Removes the region that starts at @base and has @context. 0 or -ENOENT. */
int bus_remove(struct bus *bus, uint64_t base, const void *context);

/* Reads into, or writes from, the little-endian buffer @data of @size bytes (1 to 8) at @address.
 */
void bus_read(struct bus *bus, uint64_t address, void *data, unsigned int size);
void bus_write(struct bus *bus, uint64_t address, const void *data, unsigned int size);

#endif
