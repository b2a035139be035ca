// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any words as the command line of `nidus run`, one a line: refused with one line, or understood so
 * that what is printed for each option means the same when it is given again.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/keys.h"
#include "vmm/options.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_run(struct invocation *invocation)
{
	(void)invocation;
	return 0;
}

/* Without -f: files are fuzz_manifest's. */
static const struct verb verb = {
	.name = "run",
	.describes_vm = true,
	.operand = "KERNEL",
	.run = no_run,
};

static char *print(const struct group *group, const struct vm_config *config, unsigned int index,
		   bool *any)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert(out);
	*any = group_print(group, config, index, out);
	fclose(out);
	return text;
}

static void check_printed(const struct group *group, const struct vm_config *config,
			  unsigned int index)
{
	struct config_error error;
	struct vm_config again;
	char *before, *after;
	bool any;

	config_init(&again);
	before = print(group, config, index, &any);
	if (any) {
		assert(!group_parse(group, &again, before, "again", &error));
		after = print(group, &again, 0, &any);
		assert(any && !strcmp(before, after));
		free(after);
	}
	free(before);
	config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct invocation invocation;
	struct config_error error;
	char *text = malloc(size + 1);
	char *argv[WORDS_MAX];
	int argc = 0;

	memcpy(text, data, size);
	text[size] = '\0';
	for (char *p = text; p && argc < WORDS_MAX; argc++) {
		argv[argc] = p;
		p = strchr(p, '\n');
		if (p)
			*p++ = '\0';
	}
	if (options_parse(&invocation, &verb, argc, argv, &error)) {
		assert(error.text[0] && !strchr(error.text, '\n'));
	} else {
		for (unsigned int g = 0; g < group_count; g++)
			for (unsigned int i = 0; i < group_objects(&groups[g], &invocation.config);
			     i++)
				check_printed(&groups[g], &invocation.config, i);
		config_validate_rules(&invocation.config, &error);
	}
	options_free(&invocation);
	free(text);
	return 0;
}
