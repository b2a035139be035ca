/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small helpers that every part may use: arithmetic that cannot overflow unnoticed, little-endian
 * loads and stores, and container_of. No state, no side effects.
 */
#ifndef NIDUS_DEVICES_BASE_H
#define NIDUS_DEVICES_BASE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)

#define PAGE_SIZE_4K (UINT64_C(4) * KIB)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Rounds down or up to a multiple of @align, which must be a power of two. */
static inline uint64_t align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t align)
{
	return align_down(value + align - 1, align);
}

static inline bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* True if [start, start + len) lies in [0, size). Cannot overflow. */
static inline bool range_fits(uint64_t start, uint64_t len, uint64_t size)
{
	return start <= size && len <= size - start;
}

/* True if [a, a + alen) and [b, b + blen) share an address; neither range may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && a < b + blen && b < a + alen;
}

/* Unaligned little-endian loads and stores, as configuration space and file headers need them. */
static inline uint16_t load_le16(const void *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return le16toh(value);
}

static inline uint32_t load_le32(const void *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return le32toh(value);
}

static inline uint64_t load_le64(const void *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return le64toh(value);
}

static inline void store_le16(void *p, uint16_t value)
{
	value = htole16(value);
	memcpy(p, &value, sizeof(value));
}

static inline void store_le32(void *p, uint32_t value)
{
	value = htole32(value);
	memcpy(p, &value, sizeof(value));
}

static inline void store_le64(void *p, uint64_t value)
{
	value = htole64(value);
	memcpy(p, &value, sizeof(value));
}

#endif
