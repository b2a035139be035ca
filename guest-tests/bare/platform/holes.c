/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Physical addresses that nobody answers.
 */
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/pci.h"
#include "lib/print.h"
#include "platform/tests.h"

static bool reads_ones(uint64_t address)
{
	uintptr_t at = map(address, PAGE_SIZE);

	write32(at, 0);
	return read8(at) == UINT8_MAX && read8(at + 3) == UINT8_MAX && read16(at) == UINT16_MAX &&
	       read32(at) == UINT32_MAX && read64(at) == UINT64_MAX && read32(at + 1) == UINT32_MAX;
}

void test_holes(void)
{
	uint64_t low = low_ram_end(), high = high_ram_end();
	/* What is mapped as the identity must be canonical too. */
	uint64_t limit = 1UL << min_u64(physical_bits(), 47);

	if (low < 0xc0000000)
		check(reads_ones(low), "nothing behind low RAM, at 0x%lx", low);
	check(reads_ones(0xfeb00000), "nothing below the IOAPIC");
	check(reads_ones(0xfed00000), "no HPET");
	check(reads_ones(0xe0000000 + 2 * MIB), "no bus 2 in ECAM");
	check(reads_ones(0xfffff000), "no firmware");
	if (high)
		check(reads_ones(high), "nothing behind high RAM, at 0x%lx", high);
	else
		check(reads_ones(4 * GIB), "nothing at 4 GiB");
	check(reads_ones(limit - PAGE_SIZE), "nothing far away, below 0x%lx", limit);
}
