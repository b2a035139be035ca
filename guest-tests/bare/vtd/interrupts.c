/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt remapping (5): the MSI of edu and an input of the IOAPIC through entries; what has to
 * be blocked, with its reason.
 */
#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/ioapic.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "vtd/tests.h"

#define ENTRIES_LOG2 6 /* IRTA.S = 5: 64 entries */
#define ENTRIES	     (1U << ENTRIES_LOG2)
#define INDEX	     17
#define INDEX_IOAPIC 18
#define SETTLE_US    20000
#define PASSED_US    30000000 /* through two hosts, which may be busy */
#define COMPATIBLE   0xfee00000U

#define MSI_FORMAT	 (1U << 4) /* remappable */
#define MSI_SHV		 (1U << 3)
#define MSI_HANDLE15	 (1U << 2)
#define IOAPIC_FORMAT	 (1U << 16) /* in the high half of an entry */
#define IOAPIC_HANDLE_AT 17

#define SERIAL_INPUT 4
enum uart { IER = 1, IIR = 2, MCR = 4 };
#define IER_THRI 0x02
#define MCR_OUT2 0x08
#define MCR_ON	 0x03

static uint64_t *table;

static uint64_t *irte(unsigned int index)
{
	return table + 2 * index;
}

static uint32_t message_address(unsigned int index)
{
	return COMPATIBLE | MSI_FORMAT | MSI_SHV | (index & 0x7fff) << 5 |
	       (index >> 15 ? MSI_HANDLE15 : 0);
}

/* A present entry that leads to @vector of this CPU, for @source alone. */
static void entry_set(const struct world *w, unsigned int index, uint8_t vector, uint16_t source)
{
	uint32_t id = apic_id();
	bool wide = vtd_get64(&w->vtd, VTD_IRTA) & VTD_IRTA_EIME;

	irte(index)[1] = vtd_put(source, VTD_IRTE1_SID) | vtd_put(VTD_SVT_SID, VTD_IRTE1_SVT);
	irte(index)[0] = VTD_IRTE0_P | vtd_put(vector, VTD_IRTE0_V) |
			 vtd_put(wide ? id : id << 8, VTD_IRTE0_DST);
}

static bool flush_entries(struct world *w)
{
	static const struct vtd_desc all = { { VTD_DESC_INTERRUPT } };

	vtd_queue_add(&w->vtd, &all);
	return vtd_queue_sync(&w->vtd);
}

static bool remapping_on(struct world *w)
{
	uint64_t mode = word_number("x2apic", 0) && apic_has_x2apic() ? VTD_IRTA_EIME : 0;

	/* Narrow descriptors are for legacy mode alone. */
	vtd_new_root(&w->vtd);
	table = pages(1);
	return vtd_set_root(&w->vtd, VTD_TTM_LEGACY) && vtd_queue_start(&w->vtd, false) &&
	       (vtd_set64(&w->vtd, VTD_IRTA, (uintptr_t)table | mode | (ENTRIES_LOG2 - 1)),
		vtd_command(&w->vtd, VTD_GCMD_SIRTP, true)) &&
	       flush_entries(w) && vtd_command(&w->vtd, VTD_GCMD_IRE, true);
}

static void remapping_off(struct world *w)
{
	vtd_command(&w->vtd, VTD_GCMD_IRE, false);
	vtd_command(&w->vtd, VTD_GCMD_CFI, false);
	vtd_command(&w->vtd, VTD_GCMD_QIE, false);
	vtd_clear_faults(&w->vtd);
}

/* How often edu's message interrupts as VECTOR_DEVICE. */
static uint64_t raise_once(const struct world *w, uint64_t expected)
{
	trap_clear(VECTOR_DEVICE);
	edu_raise(&w->edu, 1);
	wait_trap(VECTOR_DEVICE, expected, word_given("passed") ? PASSED_US : VTD_SOON_US);
	listen_us(expected ? 0 : SETTLE_US);
	edu_acknowledge(&w->edu);
	return trap_count(VECTOR_DEVICE);
}

static void test_msi(struct world *w)
{
	const struct edu *edu = &w->edu;

	entry_set(w, INDEX, VECTOR_DEVICE, (uint16_t)edu->devfn);
	flush_entries(w);
	edu_msi(edu, message_address(INDEX), 0);
	check_equal(raise_once(w, 1), 1, "an MSI comes by its entry");
	entry_set(w, INDEX, VECTOR_EVENT, (uint16_t)edu->devfn);
	flush_entries(w);
	trap_clear(VECTOR_EVENT);
	trap_clear(VECTOR_DEVICE);
	edu_raise(edu, 1);
	wait_trap(VECTOR_EVENT, 1, VTD_SOON_US);
	edu_acknowledge(edu);
	check(trap_count(VECTOR_EVENT) == 1 && !trap_count(VECTOR_DEVICE),
	      "a changed entry is another vector");
	/* The subhandle, in the data, is added to the handle. */
	entry_set(w, INDEX + 3, VECTOR_DEVICE, (uint16_t)edu->devfn);
	flush_entries(w);
	edu_msi(edu, message_address(INDEX), 3);
	check_equal(raise_once(w, 1), 1, "the subhandle is added to the handle");
	/* Without SHV the data is not looked at. */
	edu_msi(edu, message_address(INDEX + 3) & ~MSI_SHV, 5);
	check_equal(raise_once(w, 1), 1, "without SHV there is no subhandle");
}

static void line_pulse(void)
{
	outb(COM1 + MCR, MCR_ON | MCR_OUT2);
	outb(COM1 + IER, IER_THRI);
	wait_trap(VECTOR_DEVICE, 1, VTD_SOON_US / 4);
	outb(COM1 + IER, 0);
	inb(COM1 + IIR);
	outb(COM1 + MCR, MCR_ON);
}

static void test_ioapic(struct world *w, uint16_t source)
{
	uint8_t reg = IOAPIC_TABLE + 2 * SERIAL_INPUT;

	if (!ioapic_present()) {
		check_skip("the IOAPIC", "there is none");
		return;
	}
	entry_set(w, INDEX_IOAPIC, VECTOR_DEVICE, source);
	flush_entries(w);
	trap_clear(VECTOR_DEVICE);
	ioapic_write(reg, IOAPIC_MASKED);
	ioapic_write(reg + 1, IOAPIC_FORMAT | INDEX_IOAPIC << IOAPIC_HANDLE_AT);
	ioapic_write(reg, VECTOR_DEVICE);
	line_pulse();
	check_equal(trap_count(VECTOR_DEVICE), 1, "an input of the IOAPIC comes by its entry");
	irte(INDEX_IOAPIC)[0] = 0;
	flush_entries(w);
	trap_clear(VECTOR_DEVICE);
	line_pulse();
	check_equal(trap_count(VECTOR_DEVICE), 0, "and without the entry it does not");
	ioapic_write(reg, IOAPIC_MASKED);
	ioapic_write(reg + 1, 0);
	serial_setup();
}

/* The unit's own events and compatibility format. */
static void test_compatibility(struct world *w)
{
	const struct edu *edu = &w->edu;

	edu_msi(edu, COMPATIBLE | apic_id() << 12, VECTOR_DEVICE);
	if (apic_id() == 0 && !word_number("x2apic", 0)) {
		check_equal(raise_once(w, 0), 0, "compatibility format is blocked");
		vtd_command(&w->vtd, VTD_GCMD_CFI, true);
		check_equal(raise_once(w, 1), 1, "and let through with CFI");
		vtd_command(&w->vtd, VTD_GCMD_CFI, false);
		check_equal(raise_once(w, 0), 0, "and blocked again without");
	} else {
		vtd_command(&w->vtd, VTD_GCMD_CFI, true);
		check_equal(raise_once(w, 0), 0,
			    "in x2APIC mode compatibility format is blocked even with CFI (5.1.4)");
		vtd_command(&w->vtd, VTD_GCMD_CFI, false);
	}
}

static const struct dmar_unit *ioapic_unit(const struct world *w)
{
	for (unsigned int i = 0; i < w->dmar.units; i++)
		if (w->dmar.unit[i].ioapics)
			return &w->dmar.unit[i];
	return NULL;
}

void test_interrupts(struct world *w)
{
	const struct dmar_unit *unit = ioapic_unit(w);

	if (!(w->vtd.ecap & VTD_ECAP_IR) || !w->edu.msi) {
		check_skip("interrupt remapping", "the unit has none, or edu has no MSI");
		return;
	}
	edu_msi(&w->edu, COMPATIBLE | apic_id() << 12, VECTOR_DEVICE);
	check_equal(raise_once(w, 1), 1, "without remapping an MSI goes where it says");
	check(remapping_on(w), "interrupt remapping can be turned on");
	test_msi(w);
	test_compatibility(w);
	if (unit && unit->base == w->vtd.base)
		test_ioapic(w, unit->ioapic_source);
	remapping_off(w);
	edu_msi(&w->edu, COMPATIBLE | apic_id() << 12, VECTOR_DEVICE);
	check_equal(raise_once(w, 1), 1, "turned off, an MSI goes where it says again");
	edu_msi_off(&w->edu);
}

/* --- Faults --- */

struct rule {
	const char *name;
	unsigned int index;
	uint64_t clear0, set0, clear1, set1; /* of the entry */
	enum vtd_reason reason;
};

static const struct rule rules[] = {
	{ "index beyond the table", ENTRIES, 0, 0, 0, 0, VTD_IR_INDEX },
	{ "no entry", INDEX, VTD_IRTE0_P, 0, 0, 0, VTD_IR_P },
	{ "reserved bit in the entry", INDEX, 0, VTD_BIT(24), 0, 0, VTD_IR_IRTE_RESERVED },
	{ "another source-id", INDEX, 0, 0, VTD_IRTE1_SID, 0xfff8, VTD_IR_SID },
	{ "a bus range without the bus", INDEX, 0, 0, VTD_IRTE1_SVT | VTD_IRTE1_SID,
	  VTD_SVT_BUS << 18 | 0x0502, VTD_IR_SID },
	{ "posted format", INDEX, 0, VTD_IRTE0_IM, 0, 0, VTD_IR_IRTE_RESERVED },
};

/* The record of a message that was blocked. One of another host's device may be under way. */
static bool record_of(const struct world *w, struct vtd_fault *fault)
{
	uint64_t until = time_us() + (word_given("passed") ? PASSED_US : 0);

	while (!vtd_take_fault(&w->vtd, fault)) {
		if (time_us() >= until)
			return false;
		cpu_relax();
	}
	return true;
}

static void expect(const struct world *w, const char *name, enum vtd_reason reason,
		   unsigned int index)
{
	struct vtd_fault fault = { 0 };
	uint64_t came;
	bool found;

	vtd_clear_faults(&w->vtd);
	came = raise_once(w, 0);
	found = record_of(w, &fault);
	if (!check(!came && found && fault.reason == reason && fault.source == w->edu.devfn &&
			   (reason == VTD_IR_COMPATIBILITY ||
			    vtd_get(fault.address, VTD_FRCD0_INDEX) == index),
		   "fault 0x%02x: %s", reason, name))
		print("#   got %s reason 0x%02x source 0x%x index %lu; %lu interrupts\n",
		      found ? "a record:" : "no record:", fault.reason, fault.source,
		      vtd_get(fault.address, VTD_FRCD0_INDEX), came);
}

void test_interrupt_faults(struct world *w)
{
	uint16_t source = (uint16_t)w->edu.devfn;

	if (!(w->vtd.ecap & VTD_ECAP_IR) || !w->edu.msi)
		return;
	remapping_on(w);
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];

		entry_set(w, INDEX, VECTOR_DEVICE, source);
		irte(INDEX)[1] = (irte(INDEX)[1] & ~rule->clear1) | rule->set1;
		irte(INDEX)[0] = (irte(INDEX)[0] & ~rule->clear0) | rule->set0;
		flush_entries(w);
		edu_msi(&w->edu, message_address(rule->index), 0);
		expect(w, rule->name, rule->reason, rule->index);
	}
	entry_set(w, INDEX, VECTOR_DEVICE, source);
	irte(INDEX)[0] = VTD_IRTE0_FPD;
	flush_entries(w);
	edu_msi(&w->edu, message_address(INDEX), 0);
	vtd_clear_faults(&w->vtd);
	raise_once(w, 0);
	check(!(vtd_get32(&w->vtd, VTD_FSTS) & VTD_FSTS_PPF), "FPD: blocked without a record");
	edu_msi(&w->edu, COMPATIBLE | apic_id() << 12, VECTOR_DEVICE);
	expect(w, "compatibility format", VTD_IR_COMPATIBILITY, 0);
	remapping_off(w);
	edu_msi_off(&w->edu);
}
