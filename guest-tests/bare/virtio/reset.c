/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reset while requests are under way: when the status reads 0, the device has let go of all memory.
 */
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "virtio/tests.h"

#define ROUNDS	  10
#define REQUESTS  16
#define BYTES	  (16 * KIB)
#define MARK	  0x5a5a5a5a5a5a5a5aUL
#define SETTLE_US 5000

static struct blk_request requests[REQUESTS];

static void submit_all(struct blk *blk, uint8_t *data)
{
	for (unsigned int i = 0; i < REQUESTS; i++) {
		struct buffer buffer = { data + i * BYTES, BYTES, true };

		blk_submit(blk, 0, &requests[i], BLK_IN, i * BYTES / SECTOR, &buffer, 1);
	}
	virtq_kick(&blk->queue[0]);
}

/* One round: returns true if neither buffers nor rings changed after the reset. */
static bool round_is_good(struct blk *blk, uint8_t *data, bool by_function)
{
	struct virtq *vq = &blk->queue[0];
	uint64_t ring = virtq_bytes(vq->size);
	bool reset;

	if (!blk_start(blk, BLK_F_FLUSH, 1, false))
		return false;
	submit_all(blk, data);
	if (by_function) {
		unsigned int express = pci_capability(blk->device.devfn, PCI_CAP_EXPRESS, 0);

		pci_write(blk->device.devfn, express + 8, 2, 0x8000);
		/* PCIe 5.0, 6.6.2: 100 ms until the function may be used again. */
		delay_us(100000);
		reset = true;
	} else {
		reset = virtio_reset(&blk->device);
	}
	fill64(data, MARK, REQUESTS * BYTES / 8);
	fill64(vq->memory, MARK, ring / 8);
	delay_us(SETTLE_US);
	return reset && all64(data, MARK, REQUESTS * BYTES / 8) &&
	       all64(vq->memory, MARK, ring / 8);
}

static void test_function_level_reset(struct blk *blk, uint8_t *data)
{
	unsigned int devfn = blk->device.devfn;
	unsigned int express = pci_capability(devfn, PCI_CAP_EXPRESS, 0);
	uint32_t bars[PCI_BARS];

	if (!express || !(pci_read(devfn, express + 4, 4) & 1U << 28)) {
		check_skip("function level reset", "the device does not offer it");
		return;
	}
	for (unsigned int i = 0; i < PCI_BARS; i++)
		bars[i] = pci_read(devfn, PCI_BAR0 + 4 * i, 4);
	check(round_is_good(blk, data, true), "nothing is written after a function level reset");
	check_equal(pci_read(devfn, PCI_COMMAND, 2), 0, "it clears the command register");
	for (unsigned int i = 0; i < PCI_BARS; i++)
		pci_write(devfn, PCI_BAR0 + 4 * i, 4, bars[i]);
	pci_write(devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	check_equal(virtio_status(&blk->device), 0, "it resets the device");
}

void test_reset(struct blk *blk)
{
	uint8_t *data = pages(REQUESTS * BYTES / PAGE_SIZE);
	unsigned int good = 0;

	for (unsigned int i = 0; i < ROUNDS; i++)
		good += round_is_good(blk, data, false);
	check_equal(good, ROUNDS, "nothing is written after a reset under load");
	test_function_level_reset(blk, data);
	check(blk_start(blk, BLK_F_FLUSH, 1, false), "the disk starts again");
	check_equal(blk_do(blk, 0, BLK_IN, 7, data, SECTOR), BLK_OK, "and reads");
	check(sectors_are(data, 7, 1, word_of_sector), "what is there");
}
