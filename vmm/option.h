/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One option of the command line: its names and what its usage line says.
 */
#ifndef NIDUS_VMM_OPTION_H
#define NIDUS_VMM_OPTION_H

enum option_argument {
	ARGUMENT_NONE,
	ARGUMENT_REQUIRED,
	ARGUMENT_OPTIONAL, /* a switch, with a --no-NAME; a value must be attached by '=' */
	ARGUMENT_KEYS,	   /* a list of keys, or nothing: the next word if it looks like one */
};

struct option {
	const char *name;  /* the long one, without dashes */
	const char *alias; /* another long name, or NULL */
	char letter;	   /* or 0 */
	enum option_argument argument;
	const char *metavar;
	const char *help;
};

#endif
