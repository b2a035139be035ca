/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any tables, any requests: viommu's walks against the oracle of tests/unit/vtd_oracle.h.
 *
 * Input: 8 bytes seed the tables; then changes of table words and requests, each of 24 bytes: a
 * kind, and numbers. Invariants: same reason, same result, same flags in memory; nothing else is
 * written, and every walk ends.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vtd_compare.h"

#define OPERATIONS 256
#define OPERATION  24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the seed gives: xorshift64*. */
static uint64_t next_random(void *context)
{
	uint64_t *state = context;

	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t word_at(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

/* Any word of the tables becomes any other. */
static void change(struct vtd_compare *c, const uint8_t *data)
{
	uint64_t index = word_at(data) % (ORACLE_MEMORY / 8);

	c->ours.word[index] = word_at(data + 8);
	c->theirs.word[index] = word_at(data + 8);
}

/* Numbers from the input, for oracle_make_request(). */
struct numbers {
	const uint8_t *data;
	unsigned int used;
};

static uint64_t next_number(void *context)
{
	struct numbers *numbers = context;

	return word_at(numbers->data + 8 * (numbers->used++ % 2));
}

static void walk(struct vtd_compare *c, const uint8_t *data)
{
	struct numbers numbers = { data, 0 };
	struct oracle_request request;
	struct oracle_answer answer;
	char why[160];

	oracle_make_request(&c->theirs, &request, next_number, &numbers);
	if (!vtd_compare_walk(c, &request, &answer, why, sizeof(why)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vtd_compare compare;
	uint64_t seed;

	if (!compare.unit && vtd_compare_init(&compare))
		abort();
	if (size < sizeof(seed))
		return 0;
	seed = word_at(data) | 1;
	vtd_compare_make(&compare, next_random, &seed);
	data += sizeof(seed);
	size -= sizeof(seed);
	for (unsigned int i = 0; i < OPERATIONS && size >= OPERATION; i++) {
		if (data[0] % 4 == 0)
			change(&compare, data + 8);
		else
			walk(&compare, data + 8);
		data += OPERATION;
		size -= OPERATION;
	}
	return 0;
}
