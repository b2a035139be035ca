/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X tables (PCI 3.0, 6.8.2): what can be written, in which sizes.
 */
#include "lib/apic.h"
#include "lib/cpu.h"
#include "lib/pci.h"
#include "lib/print.h"
#include "platform/tests.h"

#define DATA 8
#define CTRL 12

static void test_table(const struct msix *msix)
{
	uintptr_t last = msix->table + (msix->vectors - 1) * MSIX_ENTRY_SIZE;

	check_equal(read32(msix->table + CTRL), MSIX_ENTRY_MASK, "MSI-X: masked at first");
	write32(msix->table, 0xfee01234);
	write32(msix->table + 4, 0x89abcdef);
	check_equal(read64(msix->table), 0x89abcdeffee01234, "MSI-X: address in two halves");
	write64(msix->table, 0x11223344fee05678);
	check_equal(read32(msix->table + 4), 0x11223344, "MSI-X: address in one piece");
	write32(msix->table + DATA, 0xdeadbeef);
	check_equal(read32(msix->table + DATA), 0xdeadbeef, "MSI-X: data");
	write64(msix->table + DATA, 0x00000001cafef00d);
	check_equal(read64(msix->table + DATA), 0x00000001cafef00d, "MSI-X: data and mask");
	write32(msix->table + CTRL, 0xfffffffe);
	check_equal(read32(msix->table + CTRL), 0, "MSI-X: only the mask bit is there");
	write32(msix->table + CTRL, MSIX_ENTRY_MASK);
	write32(last + DATA, 0x4711);
	check_equal(read32(last + DATA), 0x4711, "MSI-X: the last of %u entries", msix->vectors);
	write8(msix->table + DATA, 0);
	write16(msix->table + DATA + 1, 0);
	write32(msix->table + DATA + 2, 0);
	check(true, "MSI-X: accesses of other sizes do no harm");
	check_equal(read32(msix->pending), 0, "MSI-X: nothing is pending");
	write32(msix->pending, UINT32_MAX);
	check_equal(read32(msix->pending), 0, "MSI-X: pending bits are read-only");
	write32(msix->table, 0);
	write32(msix->table + 4, 0);
	write32(msix->table + DATA, 0);
	write32(last + DATA, 0);
}

static void test_control(const struct msix *msix)
{
	unsigned int at = msix->capability + MSIX_CONTROL;
	uint32_t size = pci_read(msix->devfn, at, 2) & MSIX_SIZE_MASK;

	pci_write(msix->devfn, at, 2, 0xffff);
	check_equal(pci_read(msix->devfn, at, 2), MSIX_ENABLE | MSIX_MASK_ALL | size,
		    "MSI-X: control has two bits to write");
	pci_write(msix->devfn, at, 2, 0);
	check_equal(pci_read(msix->devfn, at, 2), size, "MSI-X: and both can be cleared");
}

void test_msix(void)
{
	struct msix msix;

	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (!pci_present(devfn) || !msix_open(&msix, devfn))
			continue;
		test_table(&msix);
		test_control(&msix);
		return;
	}
	check_skip("MSI-X", "no function has it");
}
