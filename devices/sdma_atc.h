/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma's device-TLB (address translation cache, PCIe 5.0, 10.1.1): what translation requests
 * answered, by PASID, privilege and page, until it is invalidated.
 *
 * Set-associative; pages of 4 KiB, 2 MiB and 1 GiB lie in the same sets. No lock of its own: the
 * device's lock is held by every caller, and around every use of what a lookup gave.
 */
#ifndef NIDUS_DEVICES_SDMA_ATC_H
#define NIDUS_DEVICES_SDMA_ATC_H

#include <stdbool.h>
#include <stdint.h>

#define SDMA_ATC_MAX   1024
#define SDMA_ATC_WAYS  4
#define SDMA_ATC_SIZES 3

/* Whose address space, and with which privilege. */
struct sdma_atc_tag {
	uint32_t pasid; /* or VTD_NO_PASID */
	bool privileged;
};

struct sdma_atc_entry {
	struct sdma_atc_tag tag;
	uint64_t iova, gpa; /* of the page's start */
	uint8_t size;	    /* index of the page size */
	uint8_t access;	    /* VTD_READ, VTD_WRITE; 0: the entry is free */
	uint8_t queue;	    /* who brought it in */
};

struct sdma_atc {
	unsigned int entries;		    /* in use: 0, or a power of two from SDMA_ATC_WAYS on */
	unsigned int count[SDMA_ATC_SIZES]; /* entries of each page size */
	unsigned int victim;		    /* the way to be replaced next */
	struct sdma_atc_entry entry[SDMA_ATC_MAX];
};

/* Empties the cache and lets it have at most @entries, rounded as the register says. */
void sdma_atc_init(struct sdma_atc *atc, uint32_t entries);

/*
 * The guest-physical address of @iova in *@gpa, and in *@len how many bytes from there on the entry
 * covers. False if nothing cached permits all of @access.
 */
bool sdma_atc_lookup(const struct sdma_atc *atc, struct sdma_atc_tag tag, uint64_t iova,
		     unsigned int access, uint64_t *gpa, uint64_t *len);

/*
 * Keeps the translation of @iova to @gpa in a naturally aligned piece of @page bytes; more than
 * the sizes above is cut to the part around @iova, less than 4 KiB is not kept. What an entry of
 * the same page and memory permits stays permitted: requests ask only for what they need.
 */
void sdma_atc_insert(struct sdma_atc *atc, struct sdma_atc_tag tag, uint64_t iova, uint64_t gpa,
		     uint64_t page, unsigned int access, unsigned int queue);

/*
 * Drops what shares an address with [address, address + size) (size 0: everything) of @pasid, with
 * any privilege, or of all PASIDs if @global. Returns a mask of the queues that had brought it in.
 */
uint64_t sdma_atc_invalidate(struct sdma_atc *atc, uint32_t pasid, uint64_t address, uint64_t size,
			     bool global);

#endif
