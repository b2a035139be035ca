/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports that end the VM, as far as they can be looked at, and ports that nobody has.
 */
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"
#include "platform/tests.h"

static const uint16_t unclaimed[] = { 0x20,  0x60,  0x80,  0x2f8, 0x3f0,
				      0x500, 0x602, 0xcf7, 0xd00, 0xfffc };

static void test_unclaimed(void)
{
	unsigned int ones = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(unclaimed); i++) {
		outb(unclaimed[i], 0);
		ones += inb(unclaimed[i]) == UINT8_MAX && inw(unclaimed[i]) == UINT16_MAX &&
			inl(unclaimed[i]) == UINT32_MAX;
	}
	check_equal(ones, ARRAY_SIZE(unclaimed), "ports that nobody has read as ones");
	check_equal(inl(0x6f), UINT32_MAX, "an access across two devices reads as ones");
	check_equal(inl(0xcf6), UINT32_MAX, "an access into a device reads as ones");
	outl(0x5fe, 0x34343434);
	outw(0x5ff, 0x3434);
	check(true, "a write across a device writes nowhere");
}

static void test_exit_port(void)
{
	if (word_number("exit-port", 1)) {
		check(inl(0xf4) != UINT32_MAX, "the exit port is there");
		return;
	}
	check_equal(inl(0xf4), UINT32_MAX, "no exit port unless it is asked for");
	outl(0xf4, 0);
	check(true, "writing there does nothing");
}

static void test_rep(void)
{
	uint32_t buffer[16];
	uint32_t n = ARRAY_SIZE(buffer);
	void *to = buffer;

	__asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"(0x500) : "memory");
	n = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(buffer); i++)
		n += buffer[i] == UINT32_MAX;
	check_equal(n, ARRAY_SIZE(buffer), "a string of reads");
}

void test_ports(void)
{
	test_unclaimed();
	test_rep();
	test_exit_port();
	check_equal(inb(0x64), 0, "keyboard controller: idle");
	outb(0x64, 0xff);
	outb(0x64, 0xf0);
	check(true, "keyboard controller: other commands do nothing");
	check_equal(inb(0xcf9), 0xff, "reset register: reads as ones");
	outb(0xcf9, 0x02);
	check(true, "reset register: bit 2 alone resets");
	check_equal(inb(0x601) & 0x80, 0x80, "sleep status: wake");
	outb(0x600, 5 << 2);
	outb(0x600, 0 << 2 | 1 << 5);
	outb(0x600, 3 << 2 | 1 << 5);
	check(true, "sleep control: only S5 with enable powers off");
}
