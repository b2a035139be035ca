/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A unit with one requester and complete tables for one mode of translation, that tests then break
 * at a named place. Builds on vtd_fixture.h; no test framework.
 */
#ifndef NIDUS_TESTS_VTD_WORLD_H
#define NIDUS_TESTS_VTD_WORLD_H

#include "tests/unit/vtd_fixture.h"

enum world_mode {
	WORLD_LEGACY,
	WORLD_LEGACY_PT,
	WORLD_FS,
	WORLD_FS5,
	WORLD_SS,
	WORLD_NESTED,
	WORLD_PT
};

#define WORLD_SOURCE 0x28		      /* 00:05.0 */
#define WORLD_PASID  5			      /* has the same entry as RID_PASID, which is 0 */
#define WORLD_VA     UINT64_C(0x7f8123456000) /* what the first stage maps, to world.page */
#define WORLD_DID    7

/* Table entries that a test may want to change. */
enum world_place {
	AT_NONE,
	AT_ROOT,
	AT_CONTEXT,
	AT_DIRECTORY,
	AT_PASID,     /* of WORLD_PASID */
	AT_RID_PASID, /* of requests without */
	AT_FS_ROOT,   /* first stage: the entry in the table at FSPTPTR */
	AT_FS_LEVEL3,
	AT_FS_LEVEL2,
	AT_FS_LEAF,
	AT_SS_ROOT, /* second stage: the entry in the table at SSPTPTR */
	AT_SS_LEVEL3,
	AT_SS_LEVEL2,
	AT_SS_LEAF,    /* for world.page */
	AT_SS_FS_ROOT, /* for the first-stage table at FSPTPTR */
	AT_SS_FS_LEAF, /* for the last first-stage table */
	WORLD_PLACES
};

struct vtd_world {
	struct vtd_fixture f;
	struct vtd_requester *requester;
	enum world_mode mode;
	uint64_t page;		      /* GPA of the page that is mapped */
	uint64_t iova;		      /* its address in this mode */
	uint64_t place[WORLD_PLACES]; /* GPA */
	/*
	 * Memory that is hostile to one entry: it is refused, or changed (bit 52, which no table
	 * gives a meaning), each time it is accessed after the first @spare times.
	 */
	uint64_t hostile;
	unsigned int spare;
	bool refuse;
};

/* Builds; translation is on. Returns 0 or -errno. */
int vtd_world_init(struct vtd_world *w, enum world_mode mode);
void vtd_world_destroy(struct vtd_world *w);

/* Changes word @word of the entry at @place. */
void vtd_world_change(struct vtd_world *w, enum world_place place, unsigned int word,
		      uint64_t clear, uint64_t set);
uint64_t vtd_world_word(const struct vtd_world *w, enum world_place place, unsigned int word);

/* Forgets all that is cached, of entries and translations. */
void vtd_world_flush(struct vtd_world *w);

/* A request of 16 bytes. */
int vtd_world_dma(struct vtd_world *w, uint32_t pasid, uint64_t iova, unsigned int access,
		  enum vtd_request_type type, struct vtd_result *result);

#endif
