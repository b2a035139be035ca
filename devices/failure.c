/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/failure.h"

#include <stdarg.h>
#include <stdio.h>

int failed(const struct failure *failure, int error, const char *format, ...)
{
	int n = snprintf(failure->text, failure->size, "%s %s: ", failure->kind, failure->name);
	va_list args;

	va_start(args, format);
	if (n >= 0 && (size_t)n < failure->size)
		vsnprintf(failure->text + n, failure->size - (size_t)n, format, args);
	va_end(args);
	return error;
}
