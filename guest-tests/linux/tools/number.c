// SPDX-License-Identifier: GPL-2.0-or-later
#include "number.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

unsigned int number(const char *option, const char *text, unsigned int most)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (!errno && !*end && value && value <= most)
		return (unsigned int)value;
	fprintf(stderr, "%s: %s is a number from 1 to %u, not '%s'\n",
		program_invocation_short_name, option, most, text);
	exit(2);
}
