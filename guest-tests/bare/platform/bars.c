/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BARs: sizes, alignment, moving, and decoding off. What a BAR answers is taken from a virtio
 * device: its number of queues.
 */
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/pci.h"
#include "lib/print.h"
#include "lib/virtio.h"
#include "platform/tests.h"

#define ELSEWHERE 0xd8000000UL /* in the PCI window, far behind what was assigned */

static void test_sizes(unsigned int devfn)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct pci_bar bar = pci_bar(devfn, i);

		if (!bar.present)
			continue;
		check(!(bar.size & (bar.size - 1)), "PCI %02x.%u BAR %u: size 0x%lx", devfn >> 3,
		      devfn & 7, i, bar.size);
		check(bar.address && !(bar.address & (bar.size - 1)),
		      "PCI %02x.%u BAR %u: placed and aligned, 0x%lx", devfn >> 3, devfn & 7, i,
		      bar.address);
		i += bar.wide;
	}
}

/* The BAR that holds the common structure. */
static unsigned int common_bar(const struct virtio *device)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct pci_bar bar = pci_bar(device->devfn, i);

		if (bar.present && device->common >= bar.address &&
		    device->common < bar.address + bar.size)
			return i;
	}
	return 0;
}

static void test_moving(const struct virtio *device)
{
	unsigned int devfn = device->devfn, index = common_bar(device);
	struct pci_bar bar = pci_bar(devfn, index);
	uint64_t offset = device->common - bar.address + VIRTIO_NUM_QUEUES;
	uint64_t here = bar.address + offset, there = ELSEWHERE + offset;

	check_equal(read16(there), UINT16_MAX, "BAR: nothing elsewhere at first");
	pci_bar_move(devfn, index, ELSEWHERE);
	check_equal(read16(there), device->queues, "BAR: answers where it was moved");
	check_equal(read16(here), UINT16_MAX, "BAR: and no longer where it was");
	pci_write(devfn, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	check_equal(read16(there), UINT16_MAX, "BAR: nowhere while decoding is off");
	pci_bar_move(devfn, index, bar.address);
	pci_write(devfn, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	check_equal(read16(here), device->queues, "BAR: and back");
	/* On top of RAM, of ECAM, of the IOAPIC and of nothing: no harm is done. */
	pci_bar_move(devfn, index, 0);
	pci_bar_move(devfn, index, MIB);
	pci_bar_move(devfn, index, 0xfec00000);
	pci_bar_move(devfn, index, pci_ecam(0));
	check(pci_present(0), "BAR: ECAM is not covered by one");
	pci_bar_move(devfn, index, 0xfffff000);
	pci_bar_move(devfn, index, bar.address);
	check_equal(read16(here), device->queues, "BAR: and back again");
}

void test_bars(void)
{
	static struct virtio device;
	int found = -1;

	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (!pci_present(devfn))
			continue;
		test_sizes(devfn);
		if (found < 0 && pci_read(devfn, PCI_VENDOR, 2) == VIRTIO_VENDOR)
			found = (int)devfn;
	}
	if (found < 0 || !virtio_open(&device, (unsigned int)found))
		check_skip("BAR: moving", "no virtio device");
	else
		test_moving(&device);
}
