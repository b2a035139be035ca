/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * COM1, a 16550A, in loopback mode: nothing of this reaches the host. Nothing can be printed
 * meanwhile, so results are kept and printed afterwards.
 */
#include "lib/apic.h"
#include "lib/cpu.h"
#include "lib/ioapic.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "platform/tests.h"

enum uart { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_RDI	     0x01
#define IER_THRI     0x02
#define IER_RLSI     0x04
#define IIR_NONE     0x01
#define IIR_THRI     0x02
#define IIR_RDI	     0x04
#define IIR_RLSI     0x06
#define IIR_ID	     0x0f
#define IIR_FIFO     0xc0
#define FCR_ON	     0x01
#define FCR_CLEAR_RX 0x02
#define LCR_8N1	     0x03
#define LCR_DLAB     0x80
#define MCR_OUT2     0x08
#define MCR_LOOP     0x10
#define LSR_DR	     0x01
#define LSR_OE	     0x02
#define LSR_EMPTY    0x60
#define OVERFLOW_MAX 1024

static struct result {
	const char *name;
	uint64_t got, want;
} results[40];
static unsigned int count;

static void note(const char *name, uint64_t got, uint64_t want)
{
	if (count < ARRAY_SIZE(results))
		results[count++] = (struct result){ name, got, want };
}

static uint8_t reg(unsigned int at)
{
	return inb((uint16_t)(COM1 + at));
}

static void set(unsigned int at, uint8_t value)
{
	outb((uint16_t)(COM1 + at), value);
}

static void note_registers(void)
{
	set(SCR, 0x5a);
	note("scratch register", reg(SCR), 0x5a);
	set(LCR, LCR_8N1 | LCR_DLAB);
	set(DATA, 0x34);
	set(IER, 0x12);
	note("divisor, low", reg(DATA), 0x34);
	note("divisor, high", reg(IER), 0x12);
	note("line control", reg(LCR), LCR_8N1 | LCR_DLAB);
	set(DATA, 12);
	set(IER, 0);
	set(LCR, LCR_8N1);
	note("the divisor hides the interrupt enables", reg(IER), 0);
	note("transmitter empty", reg(LSR) & LSR_EMPTY, LSR_EMPTY);
	set(IER, 0xff);
	note("interrupt enables: four of them", reg(IER), 0x0f);
	set(IER, 0);
	note("a 16-bit read is not the port's", inw(COM1 + SCR - 1) == 0x5a00, 0);
}

static void note_loopback(void)
{
	set(MCR, MCR_LOOP);
	note("loopback: no modem lines", reg(MSR) & 0xf0, 0x00);
	set(MCR, MCR_LOOP | 0x0f);
	note("loopback: all modem lines", reg(MSR) & 0xf0, 0xf0);
	set(MCR, MCR_LOOP);
	note("loopback: nothing received", reg(LSR) & LSR_DR, 0);
	set(DATA, 'n');
	set(DATA, 'i');
	note("loopback: received", reg(LSR) & LSR_DR, LSR_DR);
	note("loopback: first byte", reg(DATA), 'n');
	note("loopback: second byte", reg(DATA), 'i');
	note("loopback: empty again", reg(LSR) & LSR_DR, 0);
}

static void note_fifo(void)
{
	unsigned int n = 0;

	note("FIFO: shown", reg(IIR) & IIR_FIFO, IIR_FIFO);
	set(DATA, 'x');
	set(FCR, FCR_ON | FCR_CLEAR_RX);
	note("FIFO: cleared", reg(LSR) & LSR_DR, 0);
	for (; n < OVERFLOW_MAX && !(reg(LSR) & LSR_OE); n++)
		set(DATA, (uint8_t)n);
	note("FIFO: overflows at last, and not too early", n > 16 && n < OVERFLOW_MAX, 1);
	note("FIFO: overrun is cleared by reading it", reg(LSR) & LSR_OE, 0);
	note("FIFO: keeps the first byte", reg(DATA), 0);
	set(FCR, 0);
	note("FIFO: off", reg(IIR) & IIR_FIFO, 0);
	set(FCR, FCR_ON | FCR_CLEAR_RX);
}

static void note_identification(void)
{
	note("no interrupt", reg(IIR) & IIR_ID, IIR_NONE);
	set(IER, IER_THRI);
	note("transmitter empty interrupts", reg(IIR) & IIR_ID, IIR_THRI);
	note("reading that acknowledges", reg(IIR) & IIR_ID, IIR_NONE);
	set(IER, IER_THRI | IER_RDI);
	set(DATA, 'a');
	note("received data comes first", reg(IIR) & IIR_ID, IIR_RDI);
	note("and stays until it is read", reg(IIR) & IIR_ID, IIR_RDI);
	reg(DATA);
	note("then the transmitter", reg(IIR) & IIR_ID, IIR_THRI);
	set(IER, IER_RLSI | IER_RDI);
	for (unsigned int i = 0; i < OVERFLOW_MAX && (reg(IIR) & IIR_ID) != IIR_RLSI; i++)
		set(DATA, 'b');
	note("an overrun comes before received data", reg(IIR) & IIR_ID, IIR_RLSI);
	reg(LSR);
	note("and goes when line status is read", reg(IIR) & IIR_ID, IIR_RDI);
	set(IER, 0);
	set(FCR, FCR_ON | FCR_CLEAR_RX);
}

static void note_interrupts(void)
{
	uint64_t gated;

	set(MCR, MCR_LOOP);
	ioapic_set(SERIAL_INPUT, VECTOR_TEST, apic_id());
	listen_us(20000); /* whatever is still on its way */
	trap_clear(VECTOR_TEST);
	set(IER, IER_RDI);
	set(DATA, 'c');
	listen_us(20000);
	gated = trap_count(VECTOR_TEST);
	note("without OUT2 no interrupt", gated, 0);
	set(MCR, MCR_LOOP | MCR_OUT2);
	note("with OUT2 it comes", wait_trap(VECTOR_TEST, 1, SOON_US), 1);
	reg(DATA);
	set(DATA, 'd');
	note("the next byte interrupts again", wait_trap(VECTOR_TEST, 2, SOON_US), 1);
	reg(DATA);
	set(IER, 0);
	ioapic_set(SERIAL_INPUT, IOAPIC_MASKED, 0);
}

void test_serial(void)
{
	note_registers();
	note_loopback();
	note_fifo();
	note_identification();
	if (ioapic_present())
		note_interrupts();
	serial_setup();
	for (unsigned int i = 0; i < count; i++)
		check_equal(results[i].got, results[i].want, "COM1: %s", results[i].name);
}
