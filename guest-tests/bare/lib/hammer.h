/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random hammering on all CPUs at once, for a bounded time: what a hostile guest is made of. Its
 * words: seed=N (default 1); per CPU seconds=N (default 5) and rounds=N (default: no limit).
 */
#ifndef BARE_HAMMER_H
#define BARE_HAMMER_H

#include "lib/base.h"
#include "lib/random.h"

/* One CPU at work. */
struct hammer {
	uint64_t state; /* of the random numbers */
	unsigned int cpu;
	uint64_t rounds; /* so far */
};

struct blow {
	void (*strike)(struct hammer *h);
	unsigned int weight; /* how often, compared to the others; one of them is not 0 */
};

struct hammering {
	const struct blow *blows; /* one of them in each round, at random */
	unsigned int count;
	void (*upkeep)(struct hammer *h); /* what has to be done now and then */
	unsigned int upkeep_every;	  /* rounds of a CPU; not 0 */
};

/* Starts the other CPUs, and readies all of them for any interrupt. Call first. */
void hammer_setup(void);

/* Hammers with interrupts off but for short windows, and returns when all CPUs have come through:
 * a verdict. */
void hammer_all(const struct hammering *what);

/* For random numbers before that. */
struct hammer hammer_before(void);

static inline uint64_t random64(struct hammer *h)
{
	return random_next(&h->state);
}

/* 0 to @n - 1. */
static inline uint64_t below(struct hammer *h, uint64_t n)
{
	return random_below(&h->state, n);
}

/* True once in @n times. */
static inline bool once_in(struct hammer *h, uint64_t n)
{
	return !below(h, n);
}

/* A vector that may come at any time, 0x20 to 0xef; or the data of a message: fixed delivery, edge.
 */
uint32_t any_vector(struct hammer *h);

#endif
