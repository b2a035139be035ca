// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading the command line; see options.h.
 */
#include "vmm/options.h"

#include <errno.h>
#include <string.h>

#include "devices/base.h"
#include "vmm/keys.h"
#include "vmm/manifest.h"
#include "vmm/nearest.h"

#define TIMEOUT_DEFAULT 30
#define TIMEOUT_MAX	86400

const struct setting common_settings[] = {
	{ { "help", NULL, 'h', ARGUMENT_NONE, NULL, "show this text" },
	  SETTING_FLAG,
	  offsetof(struct invocation, help) },
};
const unsigned int common_setting_count = ARRAY_SIZE(common_settings);

/* One argument: an option with its value, or an operand. Exactly one of the pointers is set. */
struct argument {
	const struct group *group;
	const struct setting *setting;
	const char *operand;
	const char *value;
	char where[64]; /* the option, for messages */
};

struct scan {
	const struct verb *verb;
	int argc;
	char *const *argv;
	int next;
	bool operands_only; /* "--" was seen */
};

bool verb_takes(const struct verb *verb, const struct group *group)
{
	if (verb->describes_vm)
		return true;
	for (const char *const *name = verb->groups; name && *name; name++)
		if (!strcmp(*name, group->option.name))
			return true;
	return false;
}

static bool is_called(const struct option *option, const char *name, size_t len)
{
	const char *names[] = { option->name, option->alias };

	if (len == 1 && option->letter == name[0])
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (len > 1 && names[i] && strlen(names[i]) == len && !memcmp(names[i], name, len))
			return true;
	return false;
}

static const struct setting *find_setting(const struct setting *settings, unsigned int count,
					  const char *name, size_t len)
{
	for (unsigned int i = 0; i < count; i++)
		if (is_called(&settings[i].option, name, len))
			return &settings[i];
	return NULL;
}

/* Fills in group or setting; returns the option that is called so, or NULL. */
static const struct option *find_option(const struct verb *verb, const char *name, size_t len,
					struct argument *argument)
{
	argument->setting = find_setting(common_settings, common_setting_count, name, len);
	if (!argument->setting)
		argument->setting = find_setting(verb->settings, verb->setting_count, name, len);
	if (argument->setting)
		return &argument->setting->option;
	for (unsigned int i = 0; i < group_count; i++)
		if (verb_takes(verb, &groups[i]) && is_called(&groups[i].option, name, len)) {
			argument->group = &groups[i];
			return &groups[i].option;
		}
	return NULL;
}

static void offer(struct nearest *nearest, const struct option *option)
{
	nearest_offer(nearest, option->name);
	if (option->alias)
		nearest_offer(nearest, option->alias);
}

static int fail_unknown(const struct scan *scan, const char *text, struct config_error *error)
{
	const struct verb *verb = scan->verb;
	char name[64];
	struct nearest nearest;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
	nearest_init(&nearest, name + strspn(name, "-"));
	for (unsigned int i = 0; i < common_setting_count; i++)
		offer(&nearest, &common_settings[i].option);
	for (unsigned int i = 0; i < verb->setting_count; i++)
		offer(&nearest, &verb->settings[i].option);
	for (unsigned int i = 0; i < group_count; i++)
		if (verb_takes(verb, &groups[i]))
			offer(&nearest, &groups[i].option);
	if (nearest.best)
		return config_fail(error, "unknown option '%s': did you mean --%s?", name,
				   nearest.best);
	return config_fail(error, "unknown option '%s': `nidus help %s` lists the valid ones", name,
			   verb->name);
}

/* The next argument if it starts with a key of @group; otherwise nothing is said. */
static const char *take_keys(struct scan *scan, const struct group *group)
{
	if (scan->next == scan->argc || !group_starts(group, scan->argv[scan->next]))
		return "";
	return scan->argv[scan->next++];
}

/* Gives an option its value: @attached, what its kind implies, or the next argument. */
static int take_value(struct scan *scan, const struct option *option, const char *attached,
		      struct argument *argument, struct config_error *error)
{
	argument->value = attached;
	if (option->argument == ARGUMENT_NONE && attached)
		return config_fail(error, "%s: takes no value, but '%.200s' was given",
				   argument->where, attached);
	if (option->argument == ARGUMENT_OPTIONAL && !attached)
		argument->value = "on";
	if (option->argument == ARGUMENT_KEYS && !attached)
		argument->value = take_keys(scan, argument->group);
	if (option->argument != ARGUMENT_REQUIRED || attached)
		return 0;
	if (scan->next == scan->argc)
		return config_fail(error, "%s: a value is missing: write %s %s", argument->where,
				   argument->where, option->metavar);
	argument->value = scan->argv[scan->next++];
	return 0;
}

static int scan_long(struct scan *scan, const char *text, struct argument *argument,
		     struct config_error *error)
{
	const char *name = text + 2;
	size_t len = strcspn(name, "=");
	const char *attached = name[len] ? name + len + 1 : NULL;
	const struct option *option = NULL;

	if (len > 1)
		option = find_option(scan->verb, name, len, argument);
	if (!option && len > 4 && !strncmp(name, "no-", 3)) {
		option = find_option(scan->verb, name + 3, len - 3, argument);
		if (option && option->argument == ARGUMENT_OPTIONAL && !attached)
			attached = "off";
		else
			option = NULL;
	}
	if (!option)
		return fail_unknown(scan, text, error);
	snprintf(argument->where, sizeof(argument->where), "--%s", option->name);
	return take_value(scan, option, attached, argument, error);
}

static int scan_letter(struct scan *scan, const char *text, struct argument *argument,
		       struct config_error *error)
{
	const struct option *option = find_option(scan->verb, text + 1, 1, argument);

	if (!option)
		return fail_unknown(scan, text, error);
	snprintf(argument->where, sizeof(argument->where), "--%s", option->name);
	return take_value(scan, option, text[2] ? text + 2 : NULL, argument, error);
}

/* Fetches the next argument. 1, 0 at the end, or -EINVAL. */
static int scan_next(struct scan *scan, struct argument *argument, struct config_error *error)
{
	const char *text;
	int r;

	*argument = (struct argument){ 0 };
	if (scan->next < scan->argc && !scan->operands_only &&
	    !strcmp(scan->argv[scan->next], "--")) {
		scan->operands_only = true;
		scan->next++;
	}
	if (scan->next == scan->argc)
		return 0;
	text = scan->argv[scan->next++];
	if (scan->operands_only || text[0] != '-' || !text[1]) {
		argument->operand = text;
		return 1;
	}
	if (text[1] == '-')
		r = scan_long(scan, text, argument, error);
	else
		r = scan_letter(scan, text, argument, error);
	return r ? r : 1;
}

static int apply_setting(struct invocation *invocation, const struct argument *argument,
			 struct config_error *error)
{
	void *field = (char *)invocation + argument->setting->offset;
	uint64_t seconds;

	switch (argument->setting->kind) {
	case SETTING_FLAG:
		*(bool *)field = true;
		return 0;
	case SETTING_SECONDS:
		if (parse_number(argument->value, 0, TIMEOUT_MAX, &seconds))
			return config_fail(error,
					   "%s: bad value '%.200s': must be a number of seconds "
					   "from 0 to %d",
					   argument->where, argument->value, TIMEOUT_MAX);
		*(unsigned int *)field = (unsigned int)seconds;
		return 0;
	case SETTING_TEXT:
		if (*(const char **)field)
			return config_fail(error,
					   "%s: given twice ('%.200s' and '%.200s'): keep one",
					   argument->where, *(const char **)field, argument->value);
		if (!argument->value || !*argument->value)
			return config_fail(error, "%s: bad value '': must not be empty",
					   argument->where);
		*(const char **)field = argument->value;
		return 0;
	}
	return 0;
}

static int apply_operand(struct invocation *invocation, const char *operand,
			 struct config_error *error)
{
	const struct verb *verb = invocation->verb;

	if (!verb->operand)
		return config_fail(error, "unexpected argument '%.200s': `nidus %s` takes none",
				   operand, verb->name);
	if (verb->second && invocation->operand && !invocation->second) {
		invocation->second = operand;
		return 0;
	}
	if (invocation->operand)
		return config_fail(error,
				   "unexpected argument '%.200s': '%.200s' is the %s already",
				   operand, verb->second ? invocation->second : invocation->operand,
				   verb->second ? verb->second : verb->operand);
	invocation->operand = operand;
	return 0;
}

/* The first pass: everything that says nothing about the VM. */
static int read_settings(struct invocation *invocation, struct scan scan,
			 struct config_error *error)
{
	struct argument argument;
	int r;

	while ((r = scan_next(&scan, &argument, error)) > 0) {
		if (argument.setting && apply_setting(invocation, &argument, error))
			return -EINVAL;
		if (argument.operand && apply_operand(invocation, argument.operand, error))
			return -EINVAL;
		if (invocation->help)
			return 0;
	}
	return r;
}

static int apply_group(struct invocation *invocation, const struct group *group, const char *value,
		       const char *where, uint64_t *seen, struct config_error *error)
{
	uint64_t bit = UINT64_C(1) << (group - groups);

	if (*seen & bit && !group->max)
		return config_fail(error, "%s: given twice: keep one", where);
	*seen |= bit;
	return group_parse(group, &invocation->config, value, where, error);
}

/* The second pass, after the manifest: what describes the VM and overrides it. */
static int read_groups(struct invocation *invocation, struct scan scan, struct config_error *error)
{
	struct argument argument;
	uint64_t seen = 0;
	int r;

	/* The kernel stands where its option would, being the first of the groups. */
	if (invocation->verb->describes_vm && invocation->operand &&
	    apply_group(invocation, &groups[0], invocation->operand, "kernel", &seen, error))
		return -EINVAL;
	while ((r = scan_next(&scan, &argument, error)) > 0)
		if (argument.group && apply_group(invocation, argument.group, argument.value,
						  argument.where, &seen, error))
			return -EINVAL;
	return r;
}

int options_parse(struct invocation *invocation, const struct verb *verb, int argc,
		  char *const *argv, struct config_error *error)
{
	struct scan scan = { .verb = verb, .argc = argc, .argv = argv };

	*invocation = (struct invocation){ .verb = verb, .timeout = TIMEOUT_DEFAULT };
	config_init(&invocation->config);
	if (read_settings(invocation, scan, error))
		return -EINVAL;
	if (invocation->help)
		return 0;
	if (verb->operand_required && !invocation->operand)
		return config_fail(error, "%s: %s is missing: write `nidus %s %s%s%s`", verb->name,
				   verb->operand, verb->name, verb->operand,
				   verb->second ? " " : "", verb->second ? verb->second : "");
	if (verb->second && !invocation->second)
		return config_fail(error, "%s: %s is missing: write `nidus %s %s %s`", verb->name,
				   verb->second, verb->name, verb->operand, verb->second);
	if (!verb->describes_vm && !verb->groups)
		return 0;
	if (invocation->manifest && manifest_read(&invocation->config, invocation->manifest, error))
		return -EINVAL;
	return read_groups(invocation, scan, error);
}

void options_free(struct invocation *invocation)
{
	config_free(&invocation->config);
}
