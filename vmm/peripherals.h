/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All devices of a VM, made from its configuration.
 */
#ifndef NIDUS_VMM_PERIPHERALS_H
#define NIDUS_VMM_PERIPHERALS_H

struct machine;
struct report;

/* Opens what the devices need and makes them. 0, or negative errno after one line on stderr. */
int peripherals_create(struct machine *machine);
void peripherals_destroy(struct machine *machine);

/*
 * Asks every device to finish: no new requests, no more input; the last output goes out. The loop
 * drains then. Loop thread, after the vCPUs have stopped.
 */
void peripherals_quiesce(struct machine *machine);

/* Adds the devices' counters. Any thread. */
void peripherals_report(const struct machine *machine, struct report *report);

#endif
