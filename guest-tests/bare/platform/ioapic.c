/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOAPIC (82093AA), with the serial port as the source: registers, edge and level, remote IRR.
 */
#include "lib/ioapic.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "platform/tests.h"

#define FREE_INPUT 20	 /* nothing is wired to it but PCI slots that nobody uses */
#define SETTLE_US  20000 /* software virtualisation delivers late */

enum uart { IER = 1, IIR = 2, MCR = 4 };
#define IER_THRI 0x02
#define MCR_OUT2 0x08
#define MCR_ON	 0x03

/* The line of COM1: high while "transmitter empty" is enabled and not yet read from IIR. */
static void line_up(void)
{
	outb(COM1 + MCR, MCR_ON | MCR_OUT2);
	outb(COM1 + IER, IER_THRI);
}

static void line_down(void)
{
	outb(COM1 + IER, 0);
	inb(COM1 + IIR);
	outb(COM1 + MCR, MCR_ON);
}

/* How often the interrupt has come, when it had time to come more than @expected times. */
static uint64_t count_after(uint64_t expected)
{
	wait_trap(VECTOR_TEST, expected, SOON_US);
	listen_us(SETTLE_US);
	return trap_count(VECTOR_TEST);
}

static bool remote_irr(void)
{
	return ioapic_entry(SERIAL_INPUT) & IOAPIC_REMOTE_IRR;
}

static void test_registers(void)
{
	uint8_t reg = IOAPIC_TABLE + 2 * FREE_INPUT;
	unsigned int masked = 0;

	check_equal(ioapic_inputs(), 24, "IOAPIC: 24 inputs");
	check_equal(ioapic_read(IOAPIC_VERSION) & 0xff, 0x20, "IOAPIC: version 0x20");
	for (unsigned int i = 0; i < ioapic_inputs(); i++)
		masked += !!(ioapic_entry(i) & IOAPIC_MASKED);
	check_equal(masked, ioapic_inputs(), "IOAPIC: all inputs masked at power-on");
	ioapic_write(reg + 1, UINT32_MAX);
	check_equal(ioapic_read(reg + 1), 0xff000000, "IOAPIC: only the destination is writable");
	ioapic_write(reg, UINT32_MAX);
	check_equal(ioapic_read(reg) & (IOAPIC_PENDING | IOAPIC_REMOTE_IRR), 0,
		    "IOAPIC: status bits are read-only");
	ioapic_write(reg + 1, 0);
	ioapic_write(reg, IOAPIC_MASKED);
	check_equal(ioapic_read(reg), IOAPIC_MASKED, "IOAPIC: an entry reads as it was written");
	ioapic_write(0xf0, UINT32_MAX);
	check_equal(read8(ioapic_address()), 0xf0, "IOAPIC: the select register can be read");
	check_equal(ioapic_read(IOAPIC_TABLE + 2 * 24), 0, "IOAPIC: no entry beyond the last");
}

static void test_edge(void)
{
	uint64_t first, second, masked, third;

	trap_clear(VECTOR_TEST);
	ioapic_set(SERIAL_INPUT, VECTOR_TEST, apic_id());
	line_up();
	first = count_after(1);
	second = count_after(1);
	line_down();
	ioapic_set(SERIAL_INPUT, VECTOR_TEST | IOAPIC_MASKED, apic_id());
	line_up();
	masked = count_after(1);
	line_down();
	ioapic_set(SERIAL_INPUT, VECTOR_TEST, apic_id());
	line_up();
	third = count_after(2);
	line_down();
	check_equal(first, 1, "IOAPIC: an edge interrupts once");
	check_equal(second, 1, "IOAPIC: and not again while the line is high");
	check_equal(masked, 1, "IOAPIC: a masked edge is lost");
	check_equal(third, 2, "IOAPIC: the next edge interrupts");
}

static void keep(struct trap_frame *frame)
{
	(void)frame; /* no end of interrupt yet */
}

/* A level-triggered interrupt that is not ended is not sent again, and is as soon as it is. */
static void test_level(void)
{
	bool irr_before, irr_during, irr_after;
	uint64_t first, held, again, last;

	trap_clear(VECTOR_TEST);
	trap_set(VECTOR_TEST, keep);
	ioapic_set(SERIAL_INPUT, VECTOR_TEST | IOAPIC_LEVEL, apic_id());
	irr_before = remote_irr();
	line_up();
	first = count_after(1);
	irr_during = remote_irr();
	held = count_after(1);
	apic_eoi();
	again = count_after(2);
	line_down();
	apic_eoi();
	last = count_after(2);
	irr_after = remote_irr();
	trap_set(VECTOR_TEST, NULL);
	check(!irr_before, "IOAPIC: remote IRR is clear at first");
	check_equal(first, 1, "IOAPIC: a level interrupts");
	check(irr_during, "IOAPIC: remote IRR is set until its end");
	check_equal(held, 1, "IOAPIC: it is not sent again before its end");
	check_equal(again, 2, "IOAPIC: it is sent again if the line is still high");
	check_equal(last, 2, "IOAPIC: and not if it is low");
	check(!irr_after, "IOAPIC: remote IRR is clear after the end");
}

static void test_level_masked(void)
{
	uint64_t masked, open;

	trap_clear(VECTOR_TEST);
	ioapic_set(SERIAL_INPUT, VECTOR_TEST | IOAPIC_LEVEL | IOAPIC_MASKED, apic_id());
	line_up();
	masked = count_after(0);
	trap_set(VECTOR_TEST, keep);
	ioapic_write(IOAPIC_TABLE + 2 * SERIAL_INPUT, VECTOR_TEST | IOAPIC_LEVEL);
	open = count_after(1);
	line_down();
	apic_eoi();
	trap_set(VECTOR_TEST, NULL);
	check_equal(masked, 0, "IOAPIC: a masked level is silent");
	check_equal(open, 1, "IOAPIC: and interrupts when it is unmasked");
}

/* The directed end: the register of version 0x20. */
static void test_end_register(void)
{
	bool before, other, after;

	trap_clear(VECTOR_TEST);
	trap_set(VECTOR_TEST, keep);
	ioapic_set(SERIAL_INPUT, VECTOR_TEST | IOAPIC_LEVEL, apic_id());
	line_up();
	count_after(1);
	line_down();
	before = remote_irr();
	ioapic_end(VECTOR_OTHER);
	other = remote_irr();
	ioapic_end(VECTOR_TEST);
	after = remote_irr();
	apic_eoi();
	trap_set(VECTOR_TEST, NULL);
	check(before && other, "IOAPIC: the end of another vector changes nothing");
	check(!after, "IOAPIC: the end register clears remote IRR");
}

void test_ioapic(void)
{
	if (!check(ioapic_present(), "there is an IOAPIC"))
		return;
	test_registers();
	test_edge();
	if (word_number("software", 0)) {
		check_skip("IOAPIC: level-triggered interrupts", SOFTWARE_KVM);
	} else {
		test_level();
		test_level_masked();
		test_end_register();
	}
	ioapic_set(SERIAL_INPUT, IOAPIC_MASKED, 0);
	serial_setup();
}
