/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/smp.h"

#include "lib/acpi.h"
#include "lib/apic.h"
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/start.h"
#include "lib/time.h"
#include "lib/traps.h"

/* Free of everything that the loader left below 1 MiB. */
#define TRAMPOLINE_ADDRESS 0x40000
#define TRAMPOLINE_PAGE	   (TRAMPOLINE_ADDRESS >> 12)

/* SDM 3A, 8.4.4.1: INIT, 10 ms, SIPI. */
#define INIT_WAIT_US 10000
#define ARRIVAL_US   10000000
#define WAKE_US	     1000000
#define ALL_CPUS     UINT32_MAX

/* Work for the others. Written by CPU 0 before `generation` moves on. */
static void (*work)(unsigned int cpu);
static uint32_t work_for; /* a CPU, or ALL_CPUS */
static uint32_t generation, finished;
static uint32_t arrived; /* CPUs that have finished their setup, but for the first */
static uint32_t ids[SMP_CPUS_MAX];
static bool x2apic_wanted;
static struct acpi_machine machine;

void smp_setup(bool x2apic)
{
	x2apic_wanted = x2apic;
	apic_setup(x2apic);
	ids[0] = apic_id();
	time_setup();
}

unsigned int smp_cpus(void)
{
	return __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) + 1;
}

uint32_t smp_apic_id(unsigned int cpu)
{
	return ids[cpu];
}

/* From start.S: an application processor, the @arrival-th. Never returns. */
void ap_start(uint32_t arrival)
{
	unsigned int cpu = arrival + 1;
	uint32_t seen = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);

	traps_use();
	apic_setup(x2apic_wanted);
	ids[cpu] = apic_id();
	__atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
	while (true) {
		uint32_t now = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
		uint32_t whom = __atomic_load_n(&work_for, __ATOMIC_ACQUIRE);

		if (now == seen) {
			/* A wake-up between the load and hlt stays pending, and ends hlt. */
			__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
			continue;
		}
		seen = now;
		if (whom == ALL_CPUS || whom == cpu) {
			work(cpu);
			__atomic_fetch_add(&finished, 1, __ATOMIC_ACQ_REL);
		}
	}
}

static bool all_arrived(const void *context)
{
	(void)context;
	return smp_cpus() >= machine.cpus;
}

static bool all_finished(const void *context)
{
	const uint32_t *wanted = context;

	return __atomic_load_n(&finished, __ATOMIC_ACQUIRE) >= *wanted;
}

static void wake_others(void)
{
	if (smp_cpus() > 1)
		apic_command(0, SMP_WAKE | APIC_ICR_ASSERT | APIC_ICR_TO_OTHERS);
}

static void give(void (*what)(unsigned int cpu), uint32_t whom)
{
	finished = 0;
	work = what;
	__atomic_store_n(&work_for, whom, __ATOMIC_RELEASE);
	__atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
	wake_others();
}

/* A CPU may have taken its wake-up just before it went to sleep, where sti is not heeded: again. */
static void wait_for(uint32_t cpus)
{
	while (!wait_until(all_finished, &cpus, WAKE_US))
		wake_others();
}

void smp_run(void (*what)(unsigned int cpu))
{
	uint32_t others = smp_cpus() - 1;

	give(what, ALL_CPUS);
	what(0);
	wait_for(others);
}

void smp_run_on(unsigned int cpu, void (*what)(unsigned int cpu))
{
	give(what, cpu);
	wait_for(1);
}

static void send_to_others(uint32_t command)
{
	for (unsigned int i = 0; i < machine.cpus; i++)
		if (machine.apic_id[i] != ids[0])
			apic_command(machine.apic_id[i], command);
}

unsigned int smp_restart(void)
{
	__atomic_store_n(&arrived, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&ap_arrivals, 0, __ATOMIC_RELEASE);
	send_to_others(APIC_ICR_INIT | APIC_ICR_ASSERT);
	delay_us(INIT_WAIT_US);
	send_to_others(APIC_ICR_STARTUP | APIC_ICR_ASSERT | TRAMPOLINE_PAGE);
	wait_until(all_arrived, NULL, ARRIVAL_US);
	return smp_cpus();
}

unsigned int smp_start(void)
{
	if (!acpi_read_madt(&machine) || machine.cpus < 2)
		return 1;
	memcpy((void *)TRAMPOLINE_ADDRESS, trampoline, (size_t)(trampoline_end - trampoline));
	ap_stacks = (uintptr_t)pages((machine.cpus - 1) * (AP_STACK_SIZE / PAGE_SIZE));
	return smp_restart();
}
