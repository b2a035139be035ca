/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the platform guest, one for each piece of the machine.
 *
 * Words: exit-port=0 if the machine has none (the guest powers off then); ram=BYTES, how much RAM
 * the machine has; software=1 if /dev/kvm is software, whose local APIC keeps nothing in service.
 */
#ifndef BARE_PLATFORM_TESTS_H
#define BARE_PLATFORM_TESTS_H

#define VECTOR_TEST  0x51
#define VECTOR_OTHER 0x61
#define SERIAL_INPUT 4 /* of COM1, at the IOAPIC */
#define SOON_US	     2000000

#define SOFTWARE_KVM "this /dev/kvm is software: its local APIC keeps no interrupt in service"

void test_memory_map(void);
void test_acpi(void);
void test_apic(void);
void test_ioapic(void);
void test_serial(void);
void test_cmos(void);
void test_ports(void);
void test_holes(void);
void test_pci(void);
void test_bars(void);
void test_msix(void);

#endif
