/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other CPUs: started as the MADT lists them, and given work. CPU 0 is the first one; the
 * others are numbered in the order in which they arrive.
 */
#ifndef BARE_SMP_H
#define BARE_SMP_H

#include "lib/base.h"

#define SMP_CPUS_MAX 256
#define SMP_WAKE     0xf0 /* the vector that wakes a CPU for work */

/* Turns on this CPU's APIC and sets up time; call first. */
void smp_setup(bool x2apic);

/* Starts all others by INIT and SIPI, and waits. Returns how many CPUs there are now, this one
 * included. */
unsigned int smp_start(void);

unsigned int smp_cpus(void);

/* The APIC id of CPU @cpu. */
uint32_t smp_apic_id(unsigned int cpu);

/* Runs @work(cpu) on every CPU at once, on this one too, with interrupts off; returns when all are
 * done. */
void smp_run(void (*work)(unsigned int cpu));

/* Runs @work(cpu) on CPU @cpu alone, which is not this one, and waits for it. */
void smp_run_on(unsigned int cpu, void (*work)(unsigned int cpu));

/* Lets the other CPUs forget everything: INIT, then SIPI again. Returns as smp_start(). */
unsigned int smp_restart(void);

#endif
