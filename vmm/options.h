/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: `nidus VERB [OPTION]... [OPERAND]`.
 *
 * Options of the VM come from the tables of keys.h; a verb adds its own few. "--name value",
 * "--name=value", "-n value" and "-nvalue" are the same. What the manifest says is overridden by
 * options, wherever they stand; disks, networks and initrds of the options come after its own.
 */
#ifndef NIDUS_VMM_OPTIONS_H
#define NIDUS_VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/config.h"
#include "vmm/option.h"

struct verb;

/* A command line, understood. Strings without owner belong to argv. */
struct invocation {
	const struct verb *verb;
	bool help;
	bool json;
	unsigned int timeout; /* seconds */
	const char *dtb;      /* where to write the manifest; NULL: nowhere */
	const char *manifest; /* already read into config; NULL: none */
	const char *operand;  /* NULL: none */
	const char *second;   /* operand; NULL: none */
	/* Of bench; NULL: not given. */
	const char *modes, *native, *save, *html, *from;
	bool quick;
	struct vm_config config;
};

enum setting_kind { SETTING_FLAG, SETTING_TEXT, SETTING_SECONDS };

/* An option of a verb that says nothing about a VM. */
struct setting {
	struct option option;
	enum setting_kind kind;
	size_t offset; /* in struct invocation */
};

struct verb {
	const char *name;
	const char *summary;
	const char *text;  /* what `nidus help VERB` adds below the options; NULL: nothing */
	bool describes_vm; /* takes the options of keys.h; the operand is the kernel */
	const char *const *groups; /* the options of keys.h that it takes otherwise, NULL behind */
	const char *operand;	   /* its metavar; NULL: takes none */
	bool operand_required;
	const char *second; /* metavar of another operand, required; NULL: takes none */
	const struct setting *settings;
	unsigned int setting_count;
	int (*run)(struct invocation *invocation); /* returns an exit code */
};

/* Whether options of @verb may set @group. */
struct group;
bool verb_takes(const struct verb *verb, const struct group *group);

/* Settings that every verb has. */
extern const struct setting common_settings[];
extern const unsigned int common_setting_count;

/*
 * Reads argv[0] to argv[argc - 1], which is what follows the verb. 0, or -EINVAL with @error,
 * naming the option, the value and the remedy. options_free() is due either way. With --help
 * nothing else is required to make sense.
 */
int options_parse(struct invocation *invocation, const struct verb *verb, int argc,
		  char *const *argv, struct config_error *error);
void options_free(struct invocation *invocation);

#endif
