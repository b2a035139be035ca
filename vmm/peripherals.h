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

/*
 * Resets what pci_host_reset() does not: devices that have no function level reset, and those that
 * are no functions. On return none of them reaches guest memory. 0, or -ETIMEDOUT if the host does
 * not finish what they have asked of it. A vCPU's thread, while no vCPU is in the guest.
 */
int peripherals_reset(struct machine *machine);

/* Adds the devices' counters. Any thread. */
void peripherals_report(const struct machine *machine, struct report *report);

#endif
