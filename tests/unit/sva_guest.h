/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's kernel sets up so that a device of the fake machine can share address spaces: a
 * VT-d unit in scalable mode, two PASIDs with first-stage tables of their own, and the page request
 * queue. No test framework in here, so that fuzz targets can use it too.
 */
#ifndef NIDUS_TESTS_SVA_GUEST_H
#define NIDUS_TESTS_SVA_GUEST_H

#include "tests/unit/fake_machine.h"
#include "tests/unit/vtd_fixture.h"

#define SVA_PASID    0xfffff /* the last one there is */
#define SVA_OTHER    5
#define SVA_DOMAIN   1
#define SVA_PRQ_SIZE 4096
#define SVA_RW	     (VTD_FS_P | VTD_FS_RW | VTD_FS_US | VTD_FS_A | VTD_FS_D)
#define SVA_RO	     (VTD_FS_P | VTD_FS_US | VTD_FS_A)

struct sva_guest {
	struct machine *machine;
	struct vtd_fixture vtd;	 /* over the machine's memory */
	uint64_t root, other;	 /* first-stage tables of the two PASIDs */
	uint64_t directory, prq; /* GPA of the PASID directory, and of the page request queue */
};

/* Makes the unit: devices that are added to the machine afterwards are behind it. One at a time. */
void sva_guest_init(struct sva_guest *g, struct machine *machine);
/* Tables for requester @devfn, and translation on. */
void sva_guest_start(struct sva_guest *g, unsigned int devfn);
/* After the devices. */
void sva_guest_destroy(struct sva_guest *g);

uint64_t sva_guest_page(struct sva_guest *g);
/* Maps the page at @va to @gpa, or nothing if @flags is 0. Nothing is invalidated. */
void sva_guest_map(struct sva_guest *g, uint64_t root, uint64_t va, uint64_t gpa, uint64_t flags);
/* Drops the page from the IOTLB, and if @device from the device-TLB of @devfn. True if the wait
 * has completed. */
bool sva_guest_drop(struct sva_guest *g, unsigned int devfn, uint32_t pasid, uint64_t va,
		    bool device);
/* Answers a page request group. True as above. */
bool sva_guest_respond(struct sva_guest *g, unsigned int devfn, uint32_t pasid, unsigned int group,
		       unsigned int code);

#endif
