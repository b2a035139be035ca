/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers that a seed repeats. */
#ifndef BARE_RANDOM_H
#define BARE_RANDOM_H

#include "lib/base.h"

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". @state is
 * not 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dUL;
}

/* 0 to @n - 1. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return (random_next(state) >> 11) % n;
}

#endif
