/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * More PASIDs, each with a table of its own, than the host has room for.
 */
#include "vfio-inject/inject.h"

#include "lib/boot.h"
#include "lib/print.h"

#define SPACES_MAX 64

static struct space spaces[SPACES_MAX];

static uint32_t pasid_of(unsigned int i)
{
	return SOME_PASID + i;
}

/* Binds until the host refuses. How many it took; SPACES_MAX: it never did. */
static unsigned int fill(void)
{
	unsigned int n = 0;

	for (; n < SPACES_MAX; n++) {
		spaces[n] = new_space(false);
		vtd_clear_faults(&world.vtd);
		present(pasid_of(n), &spaces[n]);
		if (!tell(pasid_of(n)) || vtd_get32(&world.vtd, VTD_FSTS) & VTD_FSTS_PPF)
			break;
	}
	return n;
}

static unsigned int count_working(unsigned int n)
{
	unsigned int working = 0;

	for (unsigned int i = 0; i < n; i++)
		working += arrives(pasid_of(i), &spaces[i]);
	return working;
}

void test_fill(void)
{
	unsigned int n = fill();

	print("# room for %u\n", n);
	check(n > 0 && n < SPACES_MAX, "the host has room for some, and not for all");
	if (word_given("room"))
		check_equal(n, word_number("room", 0), "as many as it should have");
	if (!n || n == SPACES_MAX)
		return;
	check(refused(pasid_of(n)), "a fault tells of the one that is too many");
	check(arrives(pasid_of(n), NULL), "which reaches nothing");
	check_equal(count_working(n), n, "all others do their work");
	check(arrives(NO_PASID, &world.a), "so does what has no PASID");
	present(pasid_of(0), NULL);
	tell(pasid_of(0));
	vtd_clear_faults(&world.vtd);
	check(tell(pasid_of(n)) && arrives(pasid_of(n), &spaces[n]),
	      "with one less there is room for it");
	check(arrives(pasid_of(0), NULL), "and that one is gone");
}
