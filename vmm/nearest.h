/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The word that was probably meant.
 */
#ifndef NIDUS_VMM_NEAREST_H
#define NIDUS_VMM_NEAREST_H

#include <stddef.h>

/* Among the words offered one after the other, the one with the fewest typing mistakes. */
struct nearest {
	const char *word;
	const char *best; /* NULL: nothing is near enough */
	unsigned int distance;
};

void nearest_init(struct nearest *nearest, const char *word);
void nearest_offer(struct nearest *nearest, const char *candidate);

#endif
