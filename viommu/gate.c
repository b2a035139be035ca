/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for DMA under way; see gate.h.
 *
 * Why it is correct. Going in is an addition to a counter, and the waiter looks at each counter
 * with an addition of 0: two read-modify-write operations on one object, so one comes first. If
 * going in does, the waiter sees it and waits until it is undone. If the waiter does, going in
 * reads what the waiter wrote and synchronises with it: everything the caller of vtd_gate_wait()
 * did before, such as an invalidation, is visible inside. No fence is needed for either.
 *
 * Why two phases. Waiting for a counter that newcomers add to may never end, so newcomers are sent
 * to the other one first. Somebody may have read the old phase just before and add to the old
 * counter late; that one is covered by the argument above, but stays there when the next waiter
 * comes. So each wait empties both counters, one after the other.
 */
#include "viommu/gate.h"

#include <sched.h>
#include <time.h>

#define SPINS	64    /* looks before giving up the processor */
#define YIELDS	1024  /* times to give it up before sleeping */
#define NAP_NS	20000 /* then, between looks */
#define PHASES	2
#define MIX	UINT64_C(0x9e3779b97f4a7c15)
#define MIX_TOP 60 /* leaves 4 bits: VTD_GATE_LINES */
_Static_assert(VTD_GATE_LINES == 16, "line_of_thread() makes 4 bits");

void vtd_gate_init(struct vtd_gate *gate)
{
	*gate = (struct vtd_gate){ 0 };
	pthread_mutex_init(&gate->lock, NULL);
}

void vtd_gate_destroy(struct vtd_gate *gate)
{
	pthread_mutex_destroy(&gate->lock);
}

/* Threads rarely share a line; if they do, it only costs time. */
static unsigned int line_of_thread(void)
{
	return (unsigned int)((uint64_t)pthread_self() * MIX >> MIX_TOP);
}

unsigned int vtd_gate_enter(struct vtd_gate *gate)
{
	unsigned int line = line_of_thread();
	unsigned int phase = __atomic_load_n(&gate->phase, __ATOMIC_RELAXED);

	__atomic_fetch_add(&gate->line[line].inside[phase], 1, __ATOMIC_ACQ_REL);
	return line * PHASES + phase;
}

void vtd_gate_leave(struct vtd_gate *gate, unsigned int token)
{
	/* Release: what was done inside is over for the waiter who sees it. */
	__atomic_fetch_sub(&gate->line[token / PHASES].inside[token % PHASES], 1, __ATOMIC_ACQ_REL);
}

/* Ends because nobody goes in by this counter any more, and what is inside is short. */
static void wait_for(uint64_t *inside)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };

	for (unsigned int looks = 0; __atomic_fetch_add(inside, 0, __ATOMIC_ACQ_REL); looks++) {
		if (looks < SPINS)
			continue;
		if (looks < SPINS + YIELDS)
			sched_yield();
		else
			nanosleep(&nap, NULL);
	}
}

void vtd_gate_wait(struct vtd_gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	for (unsigned int turn = 0; turn < PHASES; turn++) {
		unsigned int old = __atomic_load_n(&gate->phase, __ATOMIC_RELAXED);

		__atomic_store_n(&gate->phase, !old, __ATOMIC_RELEASE);
		for (unsigned int i = 0; i < VTD_GATE_LINES; i++)
			wait_for(&gate->line[i].inside[old]);
	}
	pthread_mutex_unlock(&gate->lock);
}
