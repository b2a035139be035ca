/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/boot.h"
#include "lib/print.h"
#include "lib/smp.h"
#include "virtio/tests.h"

#define DISKS_MAX 16

static struct blk disks[DISKS_MAX];

bool sectors_are(const void *at, uint64_t first, unsigned int count,
		 uint64_t (*content)(uint64_t sector))
{
	for (unsigned int i = 0; i < count; i++)
		if (!all64((const uint8_t *)at + i * SECTOR, content(first + i), SECTOR / 8))
			return false;
	return true;
}

void fill_sectors(void *at, uint64_t first, unsigned int count,
		  uint64_t (*content)(uint64_t sector))
{
	for (unsigned int i = 0; i < count; i++)
		fill64((uint8_t *)at + i * SECTOR, content(first + i), SECTOR / 8);
}

static void test_disks(void)
{
	unsigned int wanted = (unsigned int)word_number("disks", 0);
	unsigned int n = 0;

	while (n < DISKS_MAX && virtio_find(&disks[n].device, VIRTIO_BLK, n))
		n++;
	check_equal(n, wanted, "all disks are there");
	for (unsigned int i = 0; i < n; i++) {
		test_transport(&disks[i].device, "blk");
		test_disk(&disks[i], i);
		test_disk_errors(&disks[i], i);
	}
	if (!n)
		return;
	test_misuse(&disks[0]);
	test_reset(&disks[0]);
	test_disk(&disks[0], 0);
}

unsigned int guest_main(void)
{
	static struct virtio rng;

	smp_setup(false);
	if (word_number("rng", 1)) {
		if (check(virtio_find(&rng, VIRTIO_RNG, 0), "there is an rng")) {
			test_transport(&rng, "rng");
			test_rng(&rng);
		}
	}
	test_disks();
	return checks_done();
}
