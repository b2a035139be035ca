/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host refuses to bind, to unbind, or to invalidate.
 */
#include "vfio-inject/inject.h"

#include "lib/print.h"

static const char *name_of(uint32_t pasid)
{
	return pasid == NO_PASID ? "without PASID" : "with PASID";
}

static bool works(uint32_t pasid, const struct space *space)
{
	present(pasid, space);
	return tell(pasid) && arrives(pasid, space);
}

/* From nothing, and from another space, to @to: refused, and then not. */
static void bind_fails(uint32_t pasid, const struct space *from, const struct space *to,
		       const char *rules)
{
	const char *name = name_of(pasid);

	present(pasid, NULL);
	tell(pasid);
	if (from)
		check(works(pasid, from), "%s: there is a binding to be replaced", name);
	vtd_clear_faults(&world.vtd);
	inject(rules);
	present(pasid, to);
	check(tell(pasid), "%s, %s: the queue runs on", name, rules);
	check(refused(pasid), "%s, %s: a fault tells it", name, rules);
	check(arrives(pasid, NULL), "%s, %s: nothing is reached, by no table", name, rules);
	inject_nothing();
	check(tell(pasid) && arrives(pasid, to), "%s: asked again, the host binds", name);
	check(!(vtd_get32(&world.vtd, VTD_FSTS) & VTD_FSTS_PPF), "%s: without a fault", name);
}

void test_bind(void)
{
	static const char *const rules[] = { "hwpt-alloc ENOMEM 1", "hwpt-alloc ENOSPC 1",
					     "attach ENOMEM 1", "attach EBUSY 1000" };
	static const uint32_t pasids[] = { SOME_PASID, NO_PASID };

	check(works(OTHER_PASID, &world.other), "there is another PASID");
	present(NO_PASID, NULL);
	tell(NO_PASID);
	for (unsigned int i = 0; i < ARRAY_SIZE(pasids); i++) {
		bind_fails(pasids[i], NULL, &world.a, "attach EIO 1");
		for (unsigned int j = 0; j < ARRAY_SIZE(rules); j++)
			bind_fails(pasids[i], &world.a, &world.b, rules[j]);
		/* Not even the old one can be taken away: but it is, when the host can. */
		check(works(pasids[i], &world.a), "%s: bound once more", name_of(pasids[i]));
		inject("attach EIO 1,detach EIO 1");
		present(pasids[i], &world.b);
		check(tell(pasids[i]) && refused(pasids[i]),
		      "%s: neither bound nor unbound, and a fault tells it", name_of(pasids[i]));
		inject_nothing();
		check(tell(pasids[i]) && arrives(pasids[i], &world.b),
		      "%s: asked again, the host has the new one", name_of(pasids[i]));
		check(arrives(OTHER_PASID, &world.other), "another PASID is not concerned");
		present(pasids[i], NULL);
		check(tell(pasids[i]) && arrives(pasids[i], NULL), "%s: unbound",
		      name_of(pasids[i]));
	}
}

void test_unbind(void)
{
	static const uint32_t pasids[] = { SOME_PASID, NO_PASID };

	for (unsigned int i = 0; i < ARRAY_SIZE(pasids); i++) {
		const char *name = name_of(pasids[i]);

		check(works(pasids[i], &world.a), "%s: there is a binding to be taken away", name);
		vtd_clear_faults(&world.vtd);
		inject("detach EIO 1");
		present(pasids[i], NULL);
		check(tell(pasids[i]) && refused(pasids[i]),
		      "%s: a fault tells that the host did not unbind", name);
		inject_nothing();
		check(tell(pasids[i]) && arrives(pasids[i], NULL), "%s: asked again, it does",
		      name);
		inject("destroy EBUSY 1");
		check(works(pasids[i], &world.b), "%s: bound anew", name);
		present(pasids[i], NULL);
		check(tell(pasids[i]) && arrives(pasids[i], NULL),
		      "%s: unbound, though the host keeps what nobody uses", name);
		inject_nothing();
		check(works(pasids[i], &world.a), "%s: bound again", name);
	}
}

/* @space's page becomes that of @to, and the host fails to forget the old one. */
static void invalidation_fails(uint32_t pasid, const struct space *space, const struct space *to,
			       const char *rules)
{
	uint64_t old = *space->leaf;

	check(works(pasid, space), "%s: there are translations to forget", name_of(pasid));
	inject(rules);
	*space->leaf = *to->leaf;
	check(tell_failed(pasid), "%s, %s: the guest sees a timeout of its device", name_of(pasid),
	      rules);
	inject_nothing();
	check(tell(pasid) && arrives(pasid, to), "%s: asked again, they are forgotten",
	      name_of(pasid));
	*space->leaf = old;
	check(tell(pasid) && arrives(pasid, space), "%s: and the next time", name_of(pasid));
}

void test_invalidate(void)
{
	static const char *const rules[] = { "hwpt-invalidate EIO 1", "hwpt-invalidate ENOMEM 1",
					     "hwpt-invalidate ETIMEDOUT 1" };

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		invalidation_fails(SOME_PASID, &world.a, &world.b, rules[i]);
		invalidation_fails(NO_PASID, &world.a, &world.b, rules[i]);
	}
}

/* Tables that nidus copies: to bind them is many calls. */
void test_second_stage(void)
{
	static const char *const rules[] = { "ioas-alloc ENOMEM 1", "ioas-copy ENOMEM 1",
					     "hwpt-alloc ENOMEM 1", "attach ENOMEM 1" };

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		bind_fails(SOME_PASID, &world.a, &world.second_a, rules[i]);
	invalidation_fails(SOME_PASID, &world.second_a, &world.second_b, "ioas-copy ENOMEM 1");
	invalidation_fails(SOME_PASID, &world.second_a, &world.second_b, "ioas-unmap ENOMEM 1");
	present(SOME_PASID, NULL);
	tell(SOME_PASID);
}
