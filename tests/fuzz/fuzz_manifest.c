// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a manifest: refused with one line, or a configuration that is written and read again
 * as the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const struct vm_config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert(out);
	config_print(config, out);
	fclose(out);
	return text;
}

static void check_round_trip(const struct vm_config *config)
{
	void *blob = malloc(MANIFEST_MAX);
	struct config_error error;
	struct vm_config again;
	char *before, *after;
	int size = manifest_build(config, blob, MANIFEST_MAX);

	assert(size > 0);
	config_init(&again);
	assert(!manifest_parse(&again, blob, (size_t)size, "again", "", &error));
	before = print(config);
	after = print(&again);
	assert(!strcmp(before, after));
	config_validate_rules(config, &error);
	free(before);
	free(after);
	free(blob);
	config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error error;
	struct vm_config config;
	void *blob;

	if (size > MANIFEST_MAX)
		return 0;
	/* A copy of its own: aligned, and its end is guarded. */
	blob = malloc(size ? size : 1);
	if (size)
		memcpy(blob, data, size);
	config_init(&config);
	if (manifest_parse(&config, blob, size, "fuzz", "", &error))
		assert(error.text[0] && !strchr(error.text, '\n'));
	else
		check_round_trip(&config);
	config_free(&config);
	free(blob);
	return 0;
}
