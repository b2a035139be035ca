/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every file needs: types, and the few functions of a C library that compilers count on.
 */
#ifndef BARE_BASE_H
#define BARE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define PAGE_SIZE 4096UL
#define KIB	  1024UL
#define MIB	  (1024UL * KIB)
#define GIB	  (1024UL * MIB)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* @align is a power of two. */
static inline uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strncmp(const char *a, const char *b, size_t n);

/* Fills @words 64-bit words with @word; true if all of them are @word. */
void fill64(void *to, uint64_t word, size_t words);
bool all64(const void *at, uint64_t word, size_t words);

/* True if @a and @b are equal. */
bool streq(const char *a, const char *b);

/* The number at @s, decimal or 0x hexadecimal; stops at what is no digit. */
uint64_t parse_number(const char *s);

/* The guest itself: runs on the first CPU, returns the code for the exit port. */
unsigned int guest_main(void);

#endif
