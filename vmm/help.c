// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Usage texts, made from the tables of verbs, settings, groups and keys.
 */
#include <string.h>

#include "vmm/keys.h"
#include "vmm/verbs.h"

#define HELP_COLUMN 28

void help_print(FILE *out)
{
	fputs("Nidus launches Linux guests on KVM.\n"
	      "\n"
	      "Usage: nidus VERB [OPTION]... [OPERAND]\n"
	      "\n"
	      "Verbs:\n",
	      out);
	for (unsigned int i = 0; i < verb_count; i++)
		fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n"
	      "`nidus help VERB` shows the options of a verb, nidus(1) everything.\n"
	      "\n"
	      "For a start: nidus run -k bzImage -i initrd -p console=ttyS0 -m 512M\n",
	      out);
}

/* A left part, and its explanation in a column of its own. */
static void print_row(const char *left, const char *help, FILE *out)
{
	if (strlen(left) < HELP_COLUMN)
		fprintf(out, "%-*s %s\n", HELP_COLUMN, left, help);
	else
		fprintf(out, "%s\n%*s %s\n", left, HELP_COLUMN, "", help);
}

static void print_option(const struct option *option, FILE *out)
{
	static const char *const before[] = { "", " ", "[=", " [" };
	static const char *const after[] = { "", "", "]", "]" };
	char left[128], letter[8] = "    ";

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	snprintf(left, sizeof(left), "  %s--%s%s%s%s", letter, option->name,
		 before[option->argument], option->metavar ? option->metavar : "",
		 after[option->argument]);
	print_row(left, option->help, out);
	if (option->alias)
		fprintf(out, "      --%s: the same\n", option->alias);
	if (option->argument == ARGUMENT_OPTIONAL)
		fprintf(out, "      --no-%s: off\n", option->name);
}

static void print_keys(const struct group *group, FILE *out)
{
	char left[128];

	for (unsigned int i = 0; !group->whole && i < group->key_count; i++) {
		snprintf(left, sizeof(left), "        %s=%s", group->keys[i].name,
			 group->keys[i].metavar);
		print_row(left, group->keys[i].help, out);
	}
}

void help_print_verb(const struct verb *verb, FILE *out)
{
	fprintf(out, "Usage: nidus %s [OPTION]...", verb->name);
	if (verb->operand)
		fprintf(out, verb->operand_required ? " %s" : " [%s]", verb->operand);
	if (verb->second)
		fprintf(out, " %s", verb->second);
	fprintf(out, "\n%c%s.\n\nOptions:\n", verb->summary[0] - 'a' + 'A', verb->summary + 1);
	for (unsigned int i = 0; i < group_count; i++) {
		if (!verb_takes(verb, &groups[i]))
			continue;
		print_option(&groups[i].option, out);
		print_keys(&groups[i], out);
	}
	for (unsigned int i = 0; i < verb->setting_count; i++)
		print_option(&verb->settings[i].option, out);
	for (unsigned int i = 0; i < common_setting_count; i++)
		print_option(&common_settings[i].option, out);
	if (verb->text)
		fprintf(out, "\n%s", verb->text);
}
