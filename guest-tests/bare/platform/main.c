/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine, register by register.
 */
#include "platform/tests.h"

#include "lib/boot.h"
#include "lib/print.h"
#include "lib/smp.h"

unsigned int guest_main(void)
{
	unsigned int code;

	smp_setup(false);
	test_memory_map();
	test_acpi();
	test_apic();
	test_ioapic();
	test_serial();
	test_cmos();
	test_ports();
	test_holes();
	test_pci();
	test_bars();
	test_msix();
	code = checks_done();
	if (!word_number("exit-port", 1))
		end_poweroff();
	return code;
}
