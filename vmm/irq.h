/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt messages on their way to KVM, and the table of routes that it holds for us: entry n
 * says which message GSI n sends. The first IRQ_PINS entries belong to the IOAPIC, the others to
 * eventfds of devices.
 *
 * What guests program are requests. A request becomes a message by the remapping unit of its
 * sender, if there is one: when it is sent, and, for a route, when it is set and whenever the unit
 * says that its answers have changed. A route whose request is blocked is not given to KVM, nor is
 * its eventfd: what a device signals stays in the counter, where somebody can find it and have the
 * unit record the fault. (An eventfd that KVM has is drained by KVM alone, since Linux 5.11: other
 * readers may wait for it meanwhile, and see nothing.)
 */
#ifndef NIDUS_VMM_IRQ_H
#define NIDUS_VMM_IRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/machine.h"

#define IRQ_PINS   24
#define IRQ_ROUTES 1024

/* The source-id of the IOAPIC, for interrupt remapping: 00:1f.0, where no function sits. */
#define IOAPIC_REQUESTER 0x00f8

struct irq_route {
	bool used;     /* somebody owns it */
	bool valid;    /* it is to send `request` */
	bool open;     /* and the request is not blocked: `message` is what it becomes */
	bool live;     /* and KVM knows it: not before, and no longer than that; atomic */
	bool assigned; /* KVM takes signals from `eventfd`; atomic */
	int eventfd;   /* -1: none, of a pin */
	uint16_t requester;
	struct msi_message request; /* as the guest has it */
	struct msi_message message; /* remapped */
};

struct kvm_irq_routing;
struct vtd_unit;

struct irq_routes {
	pthread_mutex_t
		lock;  /* protects everything here, and the order of updates of KVM's table */
	bool stale;    /* KVM has refused the last table: it holds an older one */
	bool released; /* an eventfd was taken from KVM: the watches are to be told */
	struct irq_route route[IRQ_ROUTES];
	struct kvm_irq_routing *buffer; /* room for all of them */
	unsigned int highest;
	struct machine_route_watch *watches; /* constant while the VM runs */
};

int irq_init(struct machine *machine);
void irq_destroy(struct machine *machine);

/*
 * Sets the request that GSI @gsi sends, or none if it is NULL. 0 (also if the request is blocked)
 * or negative errno: then the GSI sends nothing. Any thread, under any lock of a device.
 */
int irq_set_route(struct machine *machine, unsigned int gsi, const struct msi_message *request);

/* Sends a message of a remapping unit itself. Any thread, the unit's locks held or not. */
void irq_send_unmapped(struct machine *machine, uint64_t address, uint32_t data);

/*
 * What @unit makes of requests may have changed: brings its routes up to date before it returns. To
 * be called from interrupts_changed(), with the unit's lock held.
 */
void irq_remapping_changed(struct machine *machine, struct vtd_unit *unit);

#endif
