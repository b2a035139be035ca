/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMAR tells the truth about the machine.
 */
#include "lib/acpi.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "vtd/tests.h"

static void test_ioapic_scope(const struct dmar *dmar)
{
	struct acpi_machine madt;
	unsigned int ioapics = 0;

	acpi_read_madt(&madt);
	for (unsigned int i = 0; i < dmar->units; i++)
		ioapics += dmar->unit[i].ioapics;
	check_equal(ioapics, madt.ioapics, "DMAR: each IOAPIC is behind one unit");
}

static void test_units(const struct dmar *dmar)
{
	unsigned int all = 0, there = 0;

	for (unsigned int i = 0; i < dmar->units; i++) {
		all += dmar->unit[i].include_all;
		there += read32(dmar->unit[i].base + VTD_VER) != UINT32_MAX;
	}
	check_equal(dmar->unit[0].base, VTD_UNIT_BASE, "DMAR: the first unit is at 0xfed90000");
	check_equal(all, 1, "DMAR: one unit has all functions that are named nowhere");
	check(dmar->unit[dmar->units - 1].include_all, "DMAR: and it is the last one (8.3)");
	check_equal(there, dmar->units, "DMAR: at each address there is a unit");
}

void test_dmar(struct world *w)
{
	const struct acpi_header *table = acpi_table("DMAR");
	struct dmar *dmar = &w->dmar;

	if (!check(dmar_read(dmar) && dmar->units, "there is a DMAR with a unit"))
		return;
	check(acpi_sum_is_zero(table, table->length), "DMAR: its sum is 0");
	check(dmar->well_formed, "DMAR: all lengths fit");
	check(dmar->ordered, "DMAR: structures come in the order of their types (8.1)");
	check(dmar->host_bits >= 32 && dmar->host_bits <= 52 &&
		      (high_ram_end() | low_ram_end()) >> (dmar->host_bits - 1) <= 1,
	      "DMAR: the host address width has room for all RAM");
	test_units(dmar);
	test_ioapic_scope(dmar);
}
