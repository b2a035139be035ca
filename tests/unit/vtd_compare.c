/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vtd_compare.h.
 */
#include "tests/unit/vtd_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "viommu/walk.h"

static void *ptr(void *context, uint64_t gpa, uint64_t len)
{
	struct vtd_compare *c = context;

	return gpa < ORACLE_MEMORY && len <= ORACLE_MEMORY - gpa ? &c->ours.word[gpa / 8] : NULL;
}

static const struct vtd_memory_ops memory = { ptr };

int vtd_compare_init(struct vtd_compare *c)
{
	struct vtd_config config;

	memset(c, 0, sizeof(*c));
	vtd_config_init(&config);
	config.aw = 57;
	config.host_bits = ORACLE_HOST_BITS;
	c->unit = vtd_create(&config, &memory, c, NULL, NULL);
	return c->unit ? 0 : -errno;
}

void vtd_compare_destroy(struct vtd_compare *c)
{
	vtd_destroy(c->unit);
}

void vtd_compare_make(struct vtd_compare *c, oracle_random *random, void *context)
{
	oracle_make(&c->theirs, random, context);
	memcpy(&c->ours, &c->theirs, sizeof(c->ours));
}

static struct vtd_entry entry_of(const struct oracle *o)
{
	return (struct vtd_entry){
		.fs_root = o->first_root,
		.ss_root = o->second_root,
		.pgtt = o->first ? (o->second ? VTD_PGTT_NESTED : VTD_PGTT_FS) : VTD_PGTT_SS,
		.fs_levels = (uint8_t)o->first_levels,
		.ss_levels = (uint8_t)o->second_levels,
		.legacy = o->legacy,
		.wpe = o->wpe,
		.nxe = o->nxe,
		.smep = o->smep,
		.eafe = o->eafe,
		.ssade = o->ssade,
		.ssee = o->ssee,
		.pwsnp = o->pwsnp,
	};
}

static unsigned int permissions_of(const struct oracle_answer *a)
{
	return (a->read ? VTD_TLB_READ : 0u) | (a->write ? VTD_TLB_WRITE : 0u) |
	       (a->execute ? VTD_TLB_EXECUTE : 0u) | (a->first_write ? VTD_TLB_RW : 0u) |
	       (a->user ? VTD_TLB_USER : 0u) | (a->global ? VTD_TLB_GLOBAL : 0u) |
	       (a->dirty ? VTD_TLB_DIRTY : 0u) | (a->extended ? VTD_TLB_EXTENDED : 0u);
}

bool vtd_compare_walk(struct vtd_compare *c, const struct oracle_request *q,
		      struct oracle_answer *answer, char *why, size_t size)
{
	unsigned int access = (q->read ? VTD_READ : 0u) | (q->write ? VTD_WRITE : 0u) |
			      (q->execute ? VTD_EXECUTE : 0u) |
			      (q->supervisor ? VTD_PRIVILEGED : 0u) |
			      (q->nothing ? VTD_ZERO_LENGTH : 0u);
	struct vtd_entry entry = entry_of(&c->theirs);
	struct vtd_translation translation = { 0 };
	enum vtd_reason reason;
	uint64_t gpa;

	reason = vtd_walk(c->unit, &entry, q->address, access, q->ats, &translation);
	oracle_walk(&c->theirs, q, answer);
	if ((int)reason != answer->reason) {
		snprintf(why, size, "0x%" PRIx64 ": reason 0x%02x, oracle 0x%02x", q->address,
			 reason, answer->reason);
		return false;
	}
	if (memcmp(c->ours.word, c->theirs.word, sizeof(c->ours.word))) {
		snprintf(why, size, "0x%" PRIx64 ": flags differ (reason 0x%02x)", q->address,
			 reason);
		return false;
	}
	gpa = translation.gpa | (q->address & (VTD_BIT(translation.page_shift) - 1));
	if (!reason && (gpa != answer->gpa || translation.page_shift != answer->shift ||
			translation.permissions != permissions_of(answer))) {
		snprintf(why, size,
			 "0x%" PRIx64 ": 0x%" PRIx64 "/%u/%02x, oracle 0x%" PRIx64 "/%d/%02x",
			 q->address, gpa, translation.page_shift, translation.permissions,
			 answer->gpa, answer->shift, permissions_of(answer));
		return false;
	}
	return true;
}
