// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Distance between words: letters inserted, removed, replaced or swapped with their neighbour.
 */
#include "vmm/nearest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/config.h"

#define WORD_MAX 32

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Both words have at most WORD_MAX letters. */
static unsigned int distance(const char *a, size_t alen, const char *b, size_t blen)
{
	unsigned int cost[WORD_MAX + 1][WORD_MAX + 1];

	for (unsigned int i = 0; i <= alen; i++)
		cost[i][0] = i;
	for (unsigned int j = 0; j <= blen; j++)
		cost[0][j] = j;
	for (size_t i = 1; i <= alen; i++)
		for (size_t j = 1; j <= blen; j++) {
			unsigned int differs = a[i - 1] != b[j - 1];

			cost[i][j] = min3(cost[i - 1][j] + 1, cost[i][j - 1] + 1,
					  cost[i - 1][j - 1] + differs);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    cost[i - 2][j - 2] + 1 < cost[i][j])
				cost[i][j] = cost[i - 2][j - 2] + 1;
		}
	return cost[alen][blen];
}

void nearest_init(struct nearest *nearest, const char *word)
{
	size_t len = strlen(word);

	/* One mistake in three letters is a slip; more of them is another word. */
	*nearest = (struct nearest){ .word = word, .distance = (unsigned int)(len / 3 + 2) };
	if (nearest->distance > 4)
		nearest->distance = 4;
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
	size_t wlen = strlen(nearest->word);
	size_t clen = strlen(candidate);
	unsigned int d;

	list_add(nearest->offered, sizeof(nearest->offered), "%s", candidate);
	if (wlen > WORD_MAX || clen > WORD_MAX)
		return;
	d = distance(nearest->word, wlen, candidate, clen);
	if (d < nearest->distance && d < clen) {
		nearest->distance = d;
		nearest->best = candidate;
	}
}

int nearest_fail(const struct nearest *nearest, const char *what, struct config_error *error)
{
	if (nearest->best)
		return config_fail(error, "%s '%.100s': did you mean %s?", what, nearest->word,
				   nearest->best);
	return config_fail(error, "%s '%.100s'; valid ones: %s", what, nearest->word,
			   nearest->offered);
}

void list_add(char *list, size_t size, const char *format, ...)
{
	size_t used = strlen(list);
	va_list values;

	if (used)
		used += (size_t)snprintf(list + used, size - used, ", ");
	if (used >= size)
		return;
	va_start(values, format);
	vsnprintf(list + used, size - used, format, values);
	va_end(values);
}
