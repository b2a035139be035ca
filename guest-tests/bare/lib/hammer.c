/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/hammer.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"
#include "lib/smp.h"
#include "lib/time.h"
#include "lib/traps.h"

#define US	     1000000UL
#define WINDOW_EVERY 16 /* rounds between two chances for an interrupt */
#define ANSWER_EVERY 64 /* rounds between two looks at the clock */

static struct hammer hammers[SMP_CPUS_MAX];

/* Written by CPU 0 before the others start. */
static const struct hammering *job;
static unsigned int weights; /* of all blows */
static uint64_t seed, rounds_max, until;

/* One interrupt per window: a line that stays high must not keep a CPU for itself. */
static void interrupted(struct trap_frame *frame)
{
	frame->rflags &= ~RFLAGS_IF;
	apic_eoi();
}

void hammer_setup(void)
{
	smp_setup(false);
	smp_start();
	/* But not for what wakes CPUs: one that sleeps needs its interrupts. */
	for (unsigned int v = VECTOR_FIRST; v < SMP_WAKE; v++)
		trap_set((uint8_t)v, interrupted);
}

struct hammer hammer_before(void)
{
	return (struct hammer){ .state = word_number("seed", 1) * 2 + 1 };
}

uint32_t any_vector(struct hammer *h)
{
	return VECTOR_FIRST + (uint32_t)below(h, SMP_WAKE - VECTOR_FIRST);
}

static void strike(struct hammer *h)
{
	const struct blow *blow = job->blows;
	uint64_t at = below(h, weights);

	while (at >= blow->weight)
		at -= blow++->weight;
	blow->strike(h);
}

static void hammer(unsigned int cpu)
{
	struct hammer *h = &hammers[cpu];

	h->cpu = cpu;
	h->state = (seed + cpu + 1) * 0x9e3779b97f4a7c15UL | 1;
	for (h->rounds = 0; h->rounds < rounds_max; h->rounds++) {
		strike(h);
		if (h->rounds % WINDOW_EVERY == 0)
			interrupt_window();
		if (h->rounds % job->upkeep_every == 0)
			job->upkeep(h);
		if (h->rounds % ANSWER_EVERY == 0 && time_us() > until)
			break;
	}
}

void hammer_all(const struct hammering *what)
{
	unsigned int cpus = smp_cpus();
	uint64_t rounds = 0;

	job = what;
	weights = 0;
	for (unsigned int i = 0; i < what->count; i++)
		weights += what->blows[i].weight;
	seed = word_number("seed", 1);
	rounds_max = word_number("rounds", UINT64_MAX);
	print("# seed %lu, %u CPUs\n", seed, cpus);
	until = time_us() + word_number("seconds", 5) * US;
	smp_run(hammer);
	/* The port may be among what was hammered on. */
	serial_setup();
	for (unsigned int i = 0; i < cpus; i++)
		rounds += hammers[i].rounds;
	print("\n# %lu rounds\n", rounds);
	check(rounds >= cpus, "all CPUs came through");
}
