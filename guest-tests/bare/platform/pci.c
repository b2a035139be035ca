/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI configuration space: both ways to it agree, in all sizes.
 */
#include "lib/pci.h"

#include "lib/cpu.h"
#include "lib/print.h"
#include "platform/tests.h"

#define ABSENT	      0xf8 /* 1f.0 */
#define CACHE_LINE    0x0c
#define COMPARE_BYTES 256

static bool same_both_ways(unsigned int devfn)
{
	uintptr_t ecam = pci_ecam(devfn);

	for (unsigned int at = 0; at < COMPARE_BYTES; at += 4) {
		uint32_t value = pci_read(devfn, at, 4);

		if (read32(ecam + at) != value)
			return false;
		for (unsigned int i = 0; i < 4; i++)
			if (pci_read(devfn, at + i, 1) != (value >> 8 * i & 0xff) ||
			    read8(ecam + at + i) != (value >> 8 * i & 0xff))
				return false;
		for (unsigned int i = 0; i < 4; i += 2)
			if (pci_read(devfn, at + i, 2) != (value >> 8 * i & 0xffff) ||
			    read16(ecam + at + i) != (value >> 8 * i & 0xffff))
				return false;
	}
	return true;
}

/* Writes one way, reads the other. */
static bool writes_both_ways(unsigned int devfn)
{
	uintptr_t ecam = pci_ecam(devfn);
	bool ok;

	pci_write(devfn, CACHE_LINE, 1, 0x10);
	ok = read8(ecam + CACHE_LINE) == 0x10;
	write8(ecam + CACHE_LINE, 0x20);
	ok = ok && pci_read(devfn, CACHE_LINE, 1) == 0x20;
	pci_write(devfn, CACHE_LINE, 1, 0);
	pci_write(devfn, PCI_VENDOR, 4, 0);
	return ok && pci_read(devfn, PCI_VENDOR, 4) != 0;
}

static bool capabilities_end(unsigned int devfn)
{
	unsigned int at = pci_read(devfn, PCI_CAPABILITIES, 1), n = 0;

	if (!(pci_read(devfn, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
		return true;
	for (; at >= 0x40 && !(at & 3) && n < 48; n++)
		at = pci_read(devfn, at + 1, 1);
	return !at;
}

static void test_address_register(void)
{
	uintptr_t ecam = pci_ecam(0);

	outl(PCI_CONFIG_ADDRESS, PCI_CONFIG_ENABLE | 0x1234);
	check_equal(inl(PCI_CONFIG_ADDRESS), PCI_CONFIG_ENABLE | 0x1234, "CF8 can be read");
	outb(PCI_CONFIG_ADDRESS, 0xff);
	outw(PCI_CONFIG_ADDRESS, 0xffff);
	check_equal(inl(PCI_CONFIG_ADDRESS), PCI_CONFIG_ENABLE | 0x1234,
		    "CF8 takes 32-bit writes only");
	outl(PCI_CONFIG_ADDRESS, 0);
	check_equal(inl(PCI_CONFIG_DATA), UINT32_MAX, "CFC is silent when not enabled");
	check_equal(pci_read(ABSENT, 0, 4), UINT32_MAX, "an absent function reads as ones");
	outl(PCI_CONFIG_ADDRESS, PCI_CONFIG_ENABLE | 1 << 16);
	check_equal(inl(PCI_CONFIG_DATA), UINT32_MAX, "so does an absent bus");
	check_equal(read32(pci_ecam(ABSENT)), UINT32_MAX,
		    "an absent function reads as ones in ECAM");
	check_equal(read64(ecam), pci_read(0, 0, 4) | (uint64_t)pci_read(0, 4, 4) << 32,
		    "ECAM reads 8 bytes");
	check_equal(read32(ecam + 1), UINT32_MAX, "ECAM does not read across registers");
}

void test_pci(void)
{
	unsigned int functions = 0;

	if (!check(pci_ecam(0), "there is an ECAM"))
		return;
	test_address_register();
	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (!pci_present(devfn))
			continue;
		functions++;
		check(same_both_ways(devfn), "PCI %02x.%u: CF8 and ECAM agree", devfn >> 3,
		      devfn & 7);
		check(writes_both_ways(devfn), "PCI %02x.%u: both ways write", devfn >> 3,
		      devfn & 7);
		check(capabilities_end(devfn), "PCI %02x.%u: capabilities end", devfn >> 3,
		      devfn & 7);
	}
	check(functions > 0, "there are %u PCI functions", functions);
	check_equal(pci_read(0, 0xa, 2), 0x0600, "the first is a host bridge");
}
