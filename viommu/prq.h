/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page request queue (7.4 to 7.7) and what is outstanding.
 *
 * A page group is outstanding from its last request until the guest's response, a reset of the
 * requester, or of the unit. Bounded: VTD_PRQ_OUTSTANDING groups, then automatic answers.
 */
#ifndef NIDUS_VIOMMU_PRQ_H
#define NIDUS_VIOMMU_PRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vtd_unit;
struct vtd_requester;

#define VTD_PRQ_OUTSTANDING 1024
#define VTD_PRQ_SLOTS	    (2 * VTD_PRQ_OUTSTANDING) /* so that a search ends soon */

struct vtd_prq_group {
	struct vtd_requester *requester; /* NULL: a free slot */
	uint32_t pasid;
	uint16_t group;
	uint64_t since; /* vtd_now() */
};

struct vtd_prq {
	pthread_mutex_t lock;		   /* protects all of it */
	uint64_t head, tail;		   /* PQH, PQT: byte offsets */
	uint64_t address;		   /* PQA */
	uint32_t status;		   /* PRS */
	struct vtd_prq_group *outstanding; /* VTD_PRQ_SLOTS, hashed */
	unsigned int count;		   /* of outstanding groups */
};

int vtd_prq_init(struct vtd_unit *unit);
void vtd_prq_destroy(struct vtd_unit *unit);
void vtd_prq_reset(struct vtd_unit *unit);

/* The guest's accesses; take prq.lock. */
/* @reg is VTD_PQH, VTD_PQT or VTD_PQA; of @value, the bits in @mask are written. */
uint64_t vtd_pq_read(struct vtd_unit *unit, unsigned int reg);
void vtd_pq_write(struct vtd_unit *unit, unsigned int reg, uint64_t value, uint64_t mask);
uint32_t vtd_prs_read(struct vtd_unit *unit);
void vtd_prs_write(struct vtd_unit *unit, uint32_t value);

/*
 * A page group response descriptor, its reserved fields checked. Unknown requesters and groups that
 * are not outstanding are counted and ignored, as a device would ignore them: the unit counts every
 * response, a requester those that it got. unit->lock held.
 */
void vtd_prq_respond(struct vtd_unit *unit, uint16_t source, uint32_t pasid, unsigned int group,
		     unsigned int code);

/*
 * The drain of a wait descriptor with PD set (7.10): every request that was accepted before is
 * visible in the queue. unit->lock held.
 */
void vtd_prq_drain(struct vtd_unit *unit);

/* --- prq_groups.c; prq.lock held --- */

/* The slot of @key, or the free one where it belongs. */
struct vtd_prq_group *vtd_prq_find(struct vtd_prq *prq, const struct vtd_prq_group *key);
/* False if there are too many. A group that is outstanding already stays so, once. */
bool vtd_prq_add(struct vtd_prq *prq, const struct vtd_prq_group *group);
/* Frees @slot; pointers to others are stale then. */
void vtd_prq_remove(struct vtd_prq *prq, struct vtd_prq_group *slot);
void vtd_prq_remove_all(struct vtd_prq *prq, const struct vtd_requester *requester);

#endif
