// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nidus VERB [OPTION]... [OPERAND]
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/exit.h"
#include "vmm/verbs.h"

static int fail(const struct config_error *error)
{
	fprintf(stderr, "nidus: %s\n", error->text);
	return NIDUS_EXIT_USAGE;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
	struct invocation invocation;
	struct config_error error;
	int code = NIDUS_EXIT_POWEROFF;

	if (options_parse(&invocation, verb, argc, argv, &error))
		code = fail(&error);
	else if (invocation.help)
		help_print_verb(verb, stdout);
	else
		code = verb->run(&invocation);
	options_free(&invocation);
	return code;
}

/* What people type at programs that they do not know yet. */
static const char *verb_name(const char *word)
{
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return "help";
	if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		return "version";
	return word;
}

/*
 * What we open must never become a standard stream, or what the guest prints, and our messages,
 * would go to it. open() takes the lowest descriptor that is free.
 */
static bool open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	struct config_error error;
	int code;

	if (!open_standard_streams())
		return NIDUS_EXIT_FAILURE;
	if (argc < 2) {
		help_print(stderr);
		return NIDUS_EXIT_USAGE;
	}
	verb = verb_find(verb_name(argv[1]), &error);
	if (!verb)
		return fail(&error);
	code = run_verb(verb, argc - 2, argv + 2);
	if ((fflush(stdout) || ferror(stdout)) && code == NIDUS_EXIT_POWEROFF) {
		fprintf(stderr, "nidus: cannot write to standard output: %m\n");
		return NIDUS_EXIT_FAILURE;
	}
	return code;
}
