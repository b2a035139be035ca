/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a device tree blob may be given to libfdt at all.
 *
 * fdt_check_full() is meant for that, but in the libfdt 1.6 of Debian 12 it crashes on some broken
 * blobs and never returns from others: tests/fuzz/corpus/manifest keeps one of each.
 */
#ifndef NIDUS_VMM_FDT_SOUND_H
#define NIDUS_VMM_FDT_SOUND_H

#include <stddef.h>

/*
 * Checks the whole of @blob, of @size bytes, aligned to 8. Returns NULL if all its offsets,
 * lengths, names and its nesting are in order, otherwise what is wrong in a few words.
 */
const char *fdt_unsound(const void *blob, size_t size);

#endif
