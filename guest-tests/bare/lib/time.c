/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/time.h"

#include "lib/apic.h"
#include "lib/cpu.h"
#include "lib/traps.h"

#define CALIBRATION_US 10000UL
#define LISTEN_WINDOWS 1000
#define APIC_PER_US    (APIC_TIMER_HZ / 1000000)

static uint64_t tsc_per_us = 1000;

void time_setup(void)
{
	uint64_t before, counted;

	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	before = rdtsc();
	do
		counted = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
	while (counted < CALIBRATION_US * APIC_PER_US);
	tsc_per_us = max_u64((rdtsc() - before) * APIC_PER_US / counted, 1);
	apic_write(APIC_TIMER_INITIAL, 0);
}

uint64_t time_us(void)
{
	return rdtsc() / tsc_per_us;
}

void delay_us(uint64_t us)
{
	uint64_t until = rdtsc() + us * tsc_per_us;

	while (rdtsc() < until)
		cpu_relax();
}

void listen_us(uint64_t us)
{
	uint64_t until = rdtsc() + us * tsc_per_us;

	/* The time may pass while this CPU does not run at all: a number of windows too. */
	for (unsigned int i = 0; i < LISTEN_WINDOWS || rdtsc() < until; i++) {
		interrupt_window();
		cpu_relax();
	}
}

bool wait_until(bool (*condition)(const void *context), const void *context, uint64_t us)
{
	uint64_t until = rdtsc() + us * tsc_per_us;

	while (!condition(context)) {
		if (rdtsc() >= until)
			return condition(context);
		interrupt_window();
		cpu_relax();
	}
	return true;
}

struct trap_goal {
	uint8_t vector;
	uint64_t count;
};

static bool trap_reached(const void *context)
{
	const struct trap_goal *goal = context;

	return trap_count(goal->vector) >= goal->count;
}

bool wait_trap(uint8_t vector, uint64_t count, uint64_t us)
{
	struct trap_goal goal = { vector, count };

	return wait_until(trap_reached, &goal, us);
}
