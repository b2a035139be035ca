/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC of the CPU that calls, in xAPIC (MMIO) or x2APIC mode (MSRs). SDM 3A, chapter 10.
 */
#ifndef BARE_APIC_H
#define BARE_APIC_H

#include "lib/base.h"

enum apic_register {
	APIC_ID = 0x020,
	APIC_VERSION = 0x030,
	APIC_TPR = 0x080,
	APIC_EOI = 0x0b0,
	APIC_LDR = 0x0d0,
	APIC_DFR = 0x0e0, /* xAPIC only */
	APIC_SVR = 0x0f0,
	APIC_ISR = 0x100,
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310, /* xAPIC only */
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

#define APIC_LVT_MASKED	    (1U << 16)
#define APIC_TIMER_PERIODIC (1U << 17)
#define APIC_TIMER_DIVIDE_1 0xb
#define APIC_TIMER_HZ	    1000000000UL /* what KVM and QEMU count by */
#define APIC_ICR_NMI	    (4U << 8)
#define APIC_ICR_INIT	    (5U << 8)
#define APIC_ICR_STARTUP    (6U << 8)
#define APIC_ICR_ASSERT	    (1U << 14)
#define APIC_ICR_PENDING    (1U << 12) /* xAPIC only */
#define APIC_ICR_TO_SELF    (1U << 18)
#define APIC_ICR_TO_ALL	    (2U << 18)
#define APIC_ICR_TO_OTHERS  (3U << 18)

/* Turns this CPU's APIC on, all local interrupts masked; in x2APIC mode if @x2apic. */
void apic_setup(bool x2apic);
bool apic_has_x2apic(void);

uint32_t apic_read(enum apic_register reg);
void apic_write(enum apic_register reg, uint32_t value);
uint32_t apic_id(void);
void apic_eoi(void);

/* Sends an interrupt command to the CPU @to. */
void apic_command(uint32_t to, uint32_t command);

/* True if bit @vector of the 256-bit register that starts at @reg is set. */
bool apic_bit(enum apic_register reg, uint8_t vector);

#endif
