/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for DMA under way: what a hardware unit does when it drains (6.5.4).
 *
 * Those who use translated addresses pass the gate, in and out; vtd_gate_wait() returns when all
 * who were inside at its call have left. New ones are not held up. (The scheme of sleepable RCU:
 * two phases, counters spread over cache lines.)
 */
#ifndef NIDUS_VIOMMU_GATE_H
#define NIDUS_VIOMMU_GATE_H

#include <pthread.h>
#include <stdint.h>

#define VTD_GATE_LINES 16

struct vtd_gate {
	pthread_mutex_t lock; /* one waiter at a time */
	unsigned int phase;   /* atomic: 0 or 1 */
	struct {
		uint64_t inside[2]; /* atomic, by phase */
		uint64_t pad[6];
	} line[VTD_GATE_LINES] __attribute__((aligned(64)));
};

void vtd_gate_init(struct vtd_gate *gate);
void vtd_gate_destroy(struct vtd_gate *gate);
/* Goes in; never blocks. Returns a token for vtd_gate_leave(). May nest. Any thread. */
unsigned int vtd_gate_enter(struct vtd_gate *gate);
void vtd_gate_leave(struct vtd_gate *gate, unsigned int token);
/*
 * Waits for all who were inside at the call. Whoever goes in later sees what the caller wrote
 * before the call. Must not be called from inside.
 */
void vtd_gate_wait(struct vtd_gate *gate);

#endif
