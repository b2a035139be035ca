/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC (SDM 3A, chapter 10).
 */
#include "lib/apic.h"

#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "platform/tests.h"

#define TSC_DEADLINE_MSR    0x6e0
#define APIC_TIMER_DEADLINE (2U << 17)
#define TICKS_1_MS	    (APIC_TIMER_HZ / 1000)
#define CPUID_TSC_DEADLINE  (1U << 24)
#define TPR_ABOVE_OTHER	    0x70
#define SETTLE_US	    20000 /* software virtualisation delivers late */

static void test_timer(void)
{
	trap_clear(VECTOR_TEST);
	apic_write(APIC_LVT_TIMER, VECTOR_TEST);
	apic_write(APIC_TIMER_INITIAL, TICKS_1_MS);
	check(wait_trap(VECTOR_TEST, 1, SOON_US), "APIC timer: one shot");
	listen_us(SETTLE_US);
	check_equal(trap_count(VECTOR_TEST), 1, "APIC timer: only one");
	check_equal(apic_read(APIC_TIMER_CURRENT), 0, "APIC timer: stands at 0");
	apic_write(APIC_LVT_TIMER, VECTOR_TEST | APIC_TIMER_PERIODIC);
	apic_write(APIC_TIMER_INITIAL, TICKS_1_MS);
	check(wait_trap(VECTOR_TEST, 6, SOON_US), "APIC timer: periodic");
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TEST);
	apic_write(APIC_TIMER_INITIAL, 0);
	listen_us(SETTLE_US);
	trap_clear(VECTOR_TEST);
	apic_write(APIC_TIMER_INITIAL, TICKS_1_MS);
	listen_us(SETTLE_US);
	check_equal(trap_count(VECTOR_TEST), 0, "APIC timer: masked");
}

static void test_deadline(void)
{
	if (!(cpuid(1, 0).ecx & CPUID_TSC_DEADLINE)) {
		check_skip("APIC timer: TSC deadline", "this CPU has none");
		return;
	}
	trap_clear(VECTOR_TEST);
	apic_write(APIC_LVT_TIMER, VECTOR_TEST | APIC_TIMER_DEADLINE);
	/* SDM 3A, 10.5.4.1: the mode must be set before the deadline is. */
	barrier();
	wrmsr(TSC_DEADLINE_MSR, rdtsc() + 1000000);
	check(wait_trap(VECTOR_TEST, 1, SOON_US), "APIC timer: TSC deadline");
	check_equal(rdmsr(TSC_DEADLINE_MSR), 0, "APIC timer: the deadline is gone after it");
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
}

static void test_self(void)
{
	trap_clear(VECTOR_TEST);
	apic_command(apic_id(), VECTOR_TEST | APIC_ICR_ASSERT);
	check(wait_trap(VECTOR_TEST, 1, SOON_US), "IPI to our own id");
	apic_command(0, VECTOR_TEST | APIC_ICR_ASSERT | APIC_ICR_TO_SELF);
	check(wait_trap(VECTOR_TEST, 2, SOON_US), "IPI to self");
	apic_command(0, VECTOR_TEST | APIC_ICR_ASSERT | APIC_ICR_TO_SELF);
	check(apic_bit(APIC_IRR, VECTOR_TEST), "IRR shows what is pending");
	check(wait_trap(VECTOR_TEST, 3, SOON_US), "and it comes when interrupts are on");
	check(!apic_bit(APIC_IRR, VECTOR_TEST) && !apic_bit(APIC_ISR, VECTOR_TEST),
	      "IRR and ISR are clear after its end");
}

static void keep(struct trap_frame *frame)
{
	(void)frame; /* no end of interrupt yet */
}

static void test_in_service(void)
{
	bool in_service;

	if (word_number("software", 0)) {
		check_skip("interrupts in service", SOFTWARE_KVM);
		return;
	}
	trap_clear(VECTOR_TEST);
	trap_set(VECTOR_TEST, keep);
	apic_command(0, VECTOR_TEST | APIC_ICR_ASSERT | APIC_ICR_TO_SELF);
	wait_trap(VECTOR_TEST, 1, SOON_US);
	in_service = apic_bit(APIC_ISR, VECTOR_TEST);
	listen_us(SETTLE_US);
	check(in_service, "ISR shows what was not ended");
	check_equal(trap_count(VECTOR_TEST), 1, "it is delivered once");
	apic_eoi();
	check(!apic_bit(APIC_ISR, VECTOR_TEST), "ISR is clear after its end");
	trap_set(VECTOR_TEST, NULL);
}

static void test_priority(void)
{
	trap_clear(VECTOR_OTHER);
	apic_write(APIC_TPR, TPR_ABOVE_OTHER);
	apic_command(0, VECTOR_OTHER | APIC_ICR_ASSERT | APIC_ICR_TO_SELF);
	listen_us(SETTLE_US);
	check_equal(trap_count(VECTOR_OTHER), 0, "TPR holds an interrupt back");
	apic_write(APIC_TPR, 0);
	check(wait_trap(VECTOR_OTHER, 1, SOON_US), "and lets it through");
}

void test_apic(void)
{
	uint32_t version = apic_read(APIC_VERSION);

	check((version & 0xff) >= 0x10 && (version & 0xff) < 0x20, "APIC version");
	check((version >> 16 & 0xff) >= 5, "APIC has all local vectors");
	check_equal(apic_id(), cpuid(1, 0).ebx >> 24, "APIC id is CPUID's");
	test_timer();
	test_deadline();
	test_self();
	test_in_service();
	test_priority();
}
