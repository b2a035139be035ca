/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the virtio guest. Each prints its own verdicts.
 *
 * Words: rng=0 if there is no rng; disks=N, how many disks there are; id0=TEXT, the serial number
 * of the first; software=1 if /dev/kvm is software. A disk's sectors hold their own number, as
 * 64-bit words; what stands in there at the end is checked by whoever started the guest
 * (tests/bare/virtio.t).
 */
#ifndef BARE_VIRTIO_TESTS_H
#define BARE_VIRTIO_TESTS_H

#include "lib/blk.h"

#define VECTOR_QUEUE  0x70 /* + queue */
#define VECTOR_CONFIG 0x90
#define VECTOR_INTX   0x91
#define INTERRUPT_US  5000000

/* What every virtio device must be: registers, negotiation, life. @name for the verdicts. */
void test_transport(struct virtio *device, const char *name);

void test_rng(struct virtio *device);

/* Data of one disk in every mode of the driver. */
void test_disk(struct blk *blk, unsigned int number);
void test_disk_errors(struct blk *blk, unsigned int number);

/* Broken drivers: the device asks for a reset, and works after it. */
void test_misuse(struct blk *blk);
void test_reset(struct blk *blk);

/* Sector @sector as it is at first, and as the tests write it. */
static inline uint64_t word_of_sector(uint64_t sector)
{
	return sector;
}

static inline uint64_t written_word(uint64_t sector)
{
	return sector ^ 0xa5a5a5a5a5a5a5a5UL;
}

/* True if all words of the @count sectors at @at are what @content says of sector @first and on. */
bool sectors_are(const void *at, uint64_t first, unsigned int count,
		 uint64_t (*content)(uint64_t sector));
void fill_sectors(void *at, uint64_t first, unsigned int count,
		  uint64_t (*content)(uint64_t sector));

#endif
