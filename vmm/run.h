/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a VM that is built to one that has ended: threads, signals, and what is left of our rights.
 */
#ifndef NIDUS_VMM_RUN_H
#define NIDUS_VMM_RUN_H

struct machine;

/*
 * Drops privileges, starts the threads, and returns when the VM has ended (machine->end says how)
 * and all of them are gone. Becomes the control thread meanwhile.
 */
void run(struct machine *machine);

#endif
