// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verb `nidus check`: everything `nidus run` would find wrong before it starts.
 */
#include "vmm/exit.h"
#include "vmm/manifest.h"
#include "vmm/verbs.h"

int verb_check(struct invocation *invocation)
{
	struct vm_config *config = &invocation->config;
	struct config_error error;

	if (config_validate(config, &error) ||
	    (invocation->dtb && manifest_write(config, invocation->dtb, &error))) {
		fprintf(stderr, "nidus: %s\n", error.text);
		return NIDUS_EXIT_USAGE;
	}
	if (!invocation->dtb)
		config_print(config, stdout);
	return NIDUS_EXIT_POWEROFF;
}
