/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restarts: a machine with config->restart that is reset, by its guest or by `nidus reset`, starts
 * anew in place. Nothing is opened or closed; memory, descriptors and threads stay.
 *
 * machine_end(MACHINE_RESET) makes every vCPU leave the guest, as any end does, and wakes the
 * control thread. That one kicks who has not heard of it, and orders the restart. When all vCPUs
 * have parked, vCPU 0 resets the machine: devices first, until the last DMA of theirs has ended,
 * then the units in front of them, then memory. So nothing of the first life reaches the second.
 * What ends the machine meanwhile ends it.
 */
#ifndef NIDUS_VMM_RESTART_H
#define NIDUS_VMM_RESTART_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct vcpu;

int restart_init(struct machine *machine);
void restart_destroy(struct machine *machine);

/* Whether @end, the value of machine->end, is a reset that does not end the machine. */
bool restart_is_under_way(const struct machine *machine, uint64_t end);

/*
 * Control thread, when end_event was written: true if the machine is to restart, which is ordered
 * then; false if it ends.
 */
bool restart_order(struct machine *machine);

/* The machine ends: no vCPU waits for others any more. Control thread. */
void restart_cancel(struct machine *machine);

/*
 * A vCPU has left the guest. True when the machine has been reset, and it is to enter the guest
 * again; false if it is to end. The vCPU's thread.
 */
bool restart_join(struct vcpu *vcpu);

#endif
