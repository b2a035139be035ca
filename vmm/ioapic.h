/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOAPIC (82093AA, version 0x20 with the EOI register): 24 inputs, each turned into a message.
 */
#ifndef NIDUS_VMM_IOAPIC_H
#define NIDUS_VMM_IOAPIC_H

#include <pthread.h>
#include <stdint.h>

#include "vmm/irq.h"

struct bus_access;
struct machine;

#define IOAPIC_WATCHES 32

struct ioapic {
	pthread_mutex_t lock; /* protects everything below; taken before the routing table's */
	uint8_t select;
	uint8_t id;
	uint32_t level; /* a bit per input: its line is high */
	uint64_t entry[IRQ_PINS];
	unsigned int watch_count;
	struct ioapic_watch {
		unsigned int pin;
		int eventfd;
	} watch[IOAPIC_WATCHES];
};

int ioapic_init(struct machine *machine);
void ioapic_destroy(struct machine *machine);
/* As power-on; lines are at the level that their devices drive. */
void ioapic_reset(struct machine *machine);

/* Guest access to the 4 KiB of registers; @context is the machine. */
void ioapic_access(void *context, struct bus_access *access);

/* Input @pin is now at @level. Any thread. */
void ioapic_set(struct machine *machine, unsigned int pin, bool level);

/* A LAPIC has ended the interrupt @vector, which is one of our level-triggered ones. */
void ioapic_eoi(struct machine *machine, uint8_t vector);

#endif
