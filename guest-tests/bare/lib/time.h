/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time by the TSC, calibrated with the APIC timer.
 */
#ifndef BARE_TIME_H
#define BARE_TIME_H

#include "lib/base.h"

/* Call after apic_setup(), once. Takes some 10 ms. */
void time_setup(void);

uint64_t time_us(void);
void delay_us(uint64_t us);

/* Lets interrupts through for @us. */
void listen_us(uint64_t us);

/* Waits until @condition() or until @us are over; returns its last answer. Interrupts are open
 * meanwhile. */
bool wait_until(bool (*condition)(const void *context), const void *context, uint64_t us);

/* Waits until @vector came @count times. */
bool wait_trap(uint8_t vector, uint64_t count, uint64_t us);

#endif
