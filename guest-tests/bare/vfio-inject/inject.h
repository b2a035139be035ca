/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest whose host fails on demand: an sdma device is passed on to it, and before a step it
 * prints "inject RULES", waits for a byte on COM1, and from then on the host refuses what the rules
 * say ("CALL ERROR TIMES", separated by commas; see guest-tests/linux/tools/inject.c). Each step
 * says what a guest then sees: a fault, an error of its queue, or nothing; that its device reaches
 * nothing by what was bound before; and that all is well once the host is.
 *
 * Words: fill=1: only binds PASIDs until the host has no room for more; room=N: that are N.
 */
#ifndef BARE_VFIO_INJECT_H
#define BARE_VFIO_INJECT_H

#include "lib/sdma.h"
#include "lib/vtd.h"

#define QUEUE_IOVA  0x10000000UL
#define DATA_IOVA   0x20000000UL
#define NO_PASID    UINT32_MAX
#define SOME_PASID  0x123
#define OTHER_PASID 0x456
#define DID	    1

/* An address space for the device: the queue's page, and a page of data that is this space's. */
struct space {
	uintptr_t root;
	volatile uint64_t *data;
	uint64_t *leaf; /* that maps it */
	bool second;	/* a second-stage table */
};

struct world {
	struct vtd vtd;
	struct sdma sdma;
	void *queue_page;
	struct space a, b;		 /* first stage */
	struct space second_a, second_b; /* second stage */
	struct space other;		 /* of OTHER_PASID, whom nothing concerns */
};

extern struct world world;

/* --- The host --- */

void inject(const char *rules);
void inject_nothing(void);

/* --- Entries --- */

struct space new_space(bool second);
/* The entry of @pasid, or that of requests without, leads to @space, or is absent: NULL. */
void present(uint32_t pasid, const struct space *space);
/* Has the unit look at the entry, and forget what it led to. False if it does not come through. */
bool tell(uint32_t pasid);
/* The same, with what a guest does about an invalidation that failed. True if one did. */
bool tell_failed(uint32_t pasid);
/* True if there is one recorded fault, for @pasid of the device: what the host refused to bind. */
bool refused(uint32_t pasid);

/* --- The device --- */

/* True if a write of the device by @pasid arrives in @space; NULL: that it arrives nowhere. */
bool arrives(uint32_t pasid, const struct space *space);

/* --- Steps --- */

void test_bind(void);
void test_unbind(void);
void test_invalidate(void);
void test_second_stage(void);
void test_page_requests(void);
void test_fill(void);

#endif
