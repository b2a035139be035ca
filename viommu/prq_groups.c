/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page groups that wait for a response: a table with open addressing. prq.lock held.
 */
#include "viommu/prq.h"
#include "viommu/unit.h"

static unsigned int home_slot(const struct vtd_prq_group *group)
{
	uint64_t key = (uint64_t)group->pasid << 32 | (uint64_t)group->requester->source << 16 |
		       group->group;

	return (unsigned int)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % VTD_PRQ_SLOTS;
}

static bool same_group(const struct vtd_prq_group *a, const struct vtd_prq_group *b)
{
	return a->requester == b->requester && a->pasid == b->pasid && a->group == b->group;
}

/* At most VTD_PRQ_OUTSTANDING steps: the other half of the slots is free. */
struct vtd_prq_group *vtd_prq_find(struct vtd_prq *prq, const struct vtd_prq_group *key)
{
	unsigned int at = home_slot(key);

	while (prq->outstanding[at].requester && !same_group(&prq->outstanding[at], key))
		at = (at + 1) % VTD_PRQ_SLOTS;
	return &prq->outstanding[at];
}

bool vtd_prq_add(struct vtd_prq *prq, const struct vtd_prq_group *group)
{
	struct vtd_prq_group *slot = vtd_prq_find(prq, group);

	if (slot->requester)
		return true;
	if (prq->count == VTD_PRQ_OUTSTANDING)
		return false;
	*slot = *group;
	prq->count++;
	return true;
}

/* Those that follow move up, so that no search ends too early. */
void vtd_prq_remove(struct vtd_prq *prq, struct vtd_prq_group *slot)
{
	unsigned int hole = (unsigned int)(slot - prq->outstanding), at = hole;

	prq->count--;
	for (;;) {
		unsigned int home;

		at = (at + 1) % VTD_PRQ_SLOTS;
		if (!prq->outstanding[at].requester)
			break;
		home = home_slot(&prq->outstanding[at]);
		if ((at - home) % VTD_PRQ_SLOTS < (at - hole) % VTD_PRQ_SLOTS)
			continue; /* it lies between its home and here, and the hole does not */
		prq->outstanding[hole] = prq->outstanding[at];
		hole = at;
	}
	prq->outstanding[hole].requester = NULL;
}

void vtd_prq_remove_all(struct vtd_prq *prq, const struct vtd_requester *requester)
{
	for (unsigned int i = 0; i < VTD_PRQ_SLOTS;) {
		/* What moves up into a freed slot is looked at as well. */
		if (prq->outstanding[i].requester == requester)
			vtd_prq_remove(prq, &prq->outstanding[i]);
		else
			i++;
	}
}
