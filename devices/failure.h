/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why something of the host's cannot be had, for the user: one line that names it.
 */
#ifndef NIDUS_DEVICES_FAILURE_H
#define NIDUS_DEVICES_FAILURE_H

#include <stddef.h>

struct failure {
	char *text; /* the caller's, of @size bytes */
	size_t size;
	const char *kind; /* "disk" */
	char name[256];	  /* "'a.img'" */
};

/* Fills @failure->text: "KIND NAME: " and what @format makes. Returns @error. */
__attribute__((format(printf, 3, 4))) int failed(const struct failure *failure, int error,
						 const char *format, ...);

#endif
