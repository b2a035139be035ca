/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of interrupt routes that KVM holds for us: entry n says which message GSI n sends.
 * The first IRQ_PINS entries belong to the IOAPIC, the others to eventfds of devices.
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
	bool valid; /* KVM knows it */
	bool used;  /* somebody owns it */
	uint16_t requester;
	struct msi_message message;
};

struct kvm_irq_routing;

struct irq_routes {
	pthread_mutex_t
		lock; /* protects everything here, and the order of updates of KVM's table */
	struct irq_route route[IRQ_ROUTES];
	struct kvm_irq_routing *buffer; /* room for all of them */
	unsigned int highest;
};

int irq_init(struct machine *machine);
void irq_destroy(struct machine *machine);

/* Sets what GSI @gsi sends, or nothing if @message is NULL. 0 or negative errno. */
int irq_set_route(struct machine *machine, unsigned int gsi, const struct msi_message *message);

#endif
