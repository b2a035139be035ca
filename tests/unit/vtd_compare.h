/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One walk done twice: by viommu/ and by the oracle.
 */
#ifndef NIDUS_TESTS_VTD_COMPARE_H
#define NIDUS_TESTS_VTD_COMPARE_H

#include <stddef.h>

#include "tests/unit/vtd_oracle.h"
#include "viommu/unit.h"

struct vtd_compare {
	struct vtd_unit *unit;
	struct oracle ours;   /* memory that the unit sees; the oracle's parameters are unused */
	struct oracle theirs; /* the oracle */
};

/* 0 or -errno. */
int vtd_compare_init(struct vtd_compare *c);
void vtd_compare_destroy(struct vtd_compare *c);
/* New tables for both. */
void vtd_compare_make(struct vtd_compare *c, oracle_random *random, void *context);
/*
 * Walks. Stores what the oracle says in *@answer. Returns true if all is the same: reason, result,
 * and every word of memory that a walk could have marked; else a description is in @why.
 */
bool vtd_compare_walk(struct vtd_compare *c, const struct oracle_request *request,
		      struct oracle_answer *answer, char *why, size_t size);

#endif
