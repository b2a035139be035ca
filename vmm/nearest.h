/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to say of a word that is not valid: the one that was probably meant, or all that are.
 */
#ifndef NIDUS_VMM_NEAREST_H
#define NIDUS_VMM_NEAREST_H

#include <stddef.h>

struct config_error;

/* Among the words offered one after the other, the one with the fewest typing mistakes. */
struct nearest {
	const char *word;
	const char *best; /* NULL: nothing is near enough */
	unsigned int distance;
	char offered[256]; /* as a list, cut off where it is full */
};

void nearest_init(struct nearest *nearest, const char *word);
void nearest_offer(struct nearest *nearest, const char *candidate);
/* Says that @what ("unknown verb") is the word, and what is valid. Returns -EINVAL. */
int nearest_fail(const struct nearest *nearest, const char *what, struct config_error *error);

/* Adds to the list in @list, "" at first, of at most @size bytes: "one, two". */
__attribute__((format(printf, 3, 4))) void list_add(char *list, size_t size, const char *format,
						    ...);

#endif
