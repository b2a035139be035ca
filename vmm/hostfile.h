/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small facts from files of the host's /sys, /proc and /dev. @root is put in front of every path:
 * "" on a real host, a made-up tree in tests. Paths are printf formats.
 */
#ifndef NIDUS_VMM_HOSTFILE_H
#define NIDUS_VMM_HOSTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads at most @size - 1 bytes without the last newline, and a NUL. 0 or negative errno. */
__attribute__((format(printf, 4, 5))) int hostfile_text(const char *root, char *text, size_t size,
							const char *path, ...);

/* Reads one number; hexadecimal with or without 0x where @path holds a register. 0 or negative
 * errno. */
__attribute__((format(printf, 3, 4))) int hostfile_number(const char *root, uint64_t *value,
							  const char *path, ...);
__attribute__((format(printf, 3, 4))) int hostfile_hex(const char *root, uint64_t *value,
						       const char *path, ...);

__attribute__((format(printf, 2, 3))) bool hostfile_exists(const char *root, const char *path, ...);

/* Names in a directory, without those that start with a dot; 0 if it cannot be read. */
unsigned int hostfile_count(const char *root, const char *directory);

/* How many huge pages of @kib KiB can be had: free, not reserved, or to be allocated on demand. */
int hostfile_hugepages(const char *root, unsigned int kib, uint64_t *count);

/* MemAvailable of /proc/meminfo, in bytes. 0 or negative errno. */
int hostfile_memory_available(const char *root, uint64_t *bytes);

#endif
