/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A second page walker, made to be obvious and nothing else: it knows bits by their numbers, works
 * on a flat piece of memory, and shares no code with viommu/. Random tables have to look the same
 * to both. All features are there: large pages, five levels, snoop control.
 *
 * Also makes such tables.
 */
#ifndef NIDUS_TESTS_VTD_ORACLE_H
#define NIDUS_TESTS_VTD_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

/* Random memory: pages of first-stage and data in the lower half, second-stage in the upper. */
#define ORACLE_PAGES	 64
#define ORACLE_MEMORY	 (ORACLE_PAGES * 4096)
#define ORACLE_HOST_BITS 46

struct oracle {
	uint64_t word[ORACLE_MEMORY / 8];
	/* Which stages there are, and what the PASID entry says of them. */
	bool first, second, legacy;
	uint64_t first_root, second_root;
	int first_levels, second_levels;
	bool wpe, nxe, smep, eafe, ssade, ssee, pwsnp;
};

struct oracle_answer {
	int reason; /* of 7.1.3; 0: the rest is valid */
	uint64_t gpa;
	int shift;		   /* of the page, after the interrupt range is cut out */
	bool read, write, execute; /* write: by the second stage */
	bool first_write, user, global, dirty, extended;
};

/* What a request asks. */
struct oracle_request {
	uint64_t address;
	bool read, write, execute, supervisor, nothing /* zero-length */, ats;
};

void oracle_walk(struct oracle *o, const struct oracle_request *request,
		 struct oracle_answer *answer);

/* --- Random tables --- */

/* A source of random numbers: any function will do, also one that reads fuzzer input. */
typedef uint64_t oracle_random(void *context);

/* New entries everywhere, and new parameters. */
void oracle_make(struct oracle *o, oracle_random *random, void *context);
void oracle_make_request(const struct oracle *o, struct oracle_request *request,
			 oracle_random *random, void *context);

#endif
