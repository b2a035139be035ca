/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manifest: a VM described by a device tree blob.
 *
 * Standard bindings are used where they exist (/chosen bootargs, /memory reg, local-mac-address);
 * everything else is a property of the tables in keys.h. Unknown nodes and properties are errors,
 * so that a misspelt one is never ignored.
 */
#ifndef NIDUS_VMM_MANIFEST_H
#define NIDUS_VMM_MANIFEST_H

#include <stddef.h>

#include "vmm/config.h"

#define MANIFEST_MAX (1024 * 1024) /* bytes */

/*
 * Adds what the manifest at @path says to @config. Relative paths in it are relative to its own
 * directory. 0, or -EINVAL with @error; @config is then to be freed only.
 */
int manifest_read(struct vm_config *config, const char *path, struct config_error *error);

/*
 * The same from memory: any bytes are safe. @path is used in messages, @directory is put in front
 * of relative paths; "" leaves them alone.
 */
int manifest_parse(struct vm_config *config, const void *blob, size_t size, const char *path,
		   const char *directory, struct config_error *error);

/* Writes @config as a blob into @buffer; returns its size in bytes or a negative libfdt error. */
int manifest_build(const struct vm_config *config, void *buffer, size_t size);

/*
 * Writes @config to the file @path, replaced as a whole. Relative paths become absolute, because
 * the manifest may live elsewhere than where they were meant. 0 or -EINVAL with @error.
 */
int manifest_write(struct vm_config *config, const char *path, struct config_error *error);

#endif
