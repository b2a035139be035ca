/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOAPIC that the MADT names (82093AA). Its registers are reached through a window: one CPU at
 * a time.
 */
#ifndef BARE_IOAPIC_H
#define BARE_IOAPIC_H

#include "lib/base.h"

enum ioapic_register { IOAPIC_ID = 0x00, IOAPIC_VERSION = 0x01, IOAPIC_TABLE = 0x10 };

/* The low half of a redirection entry. */
#define IOAPIC_LOGICAL	  (1U << 11)
#define IOAPIC_PENDING	  (1U << 12)
#define IOAPIC_ACTIVE_LOW (1U << 13)
#define IOAPIC_REMOTE_IRR (1U << 14)
#define IOAPIC_LEVEL	  (1U << 15)
#define IOAPIC_MASKED	  (1U << 16)

bool ioapic_present(void);
uintptr_t ioapic_address(void);
unsigned int ioapic_inputs(void);

uint32_t ioapic_read(uint8_t reg);
void ioapic_write(uint8_t reg, uint32_t value);

/* Programs input @pin: the low half of its entry, and the CPU it goes to. */
void ioapic_set(unsigned int pin, uint32_t low, uint32_t apic);
uint32_t ioapic_entry(unsigned int pin);

/* Ends @vector at the IOAPIC itself. */
void ioapic_end(uint8_t vector);

#endif
