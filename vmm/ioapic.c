/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/ioapic.h"

#include <errno.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/bus.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

enum ioapic_window { IOAPIC_SELECT = 0x00, IOAPIC_WINDOW = 0x10, IOAPIC_EOI = 0x40 };

enum ioapic_register {
	IOAPIC_ID = 0x00,
	IOAPIC_VERSION = 0x01,
	IOAPIC_ARBITRATION = 0x02,
	IOAPIC_TABLE = 0x10, /* two registers per input */
};

#define VERSION 0x20 /* has the EOI register */

/*
 * A redirection entry. To its sender an entry of remappable format (VT-d 5.1.5.1) is like any
 * other: its index and format are where the destination is, and the message carries them along.
 */
#define ENTRY_VECTOR	    UINT64_C(0x00000000000000ff)
#define ENTRY_DELIVERY_MODE UINT64_C(0x0000000000000700)
#define ENTRY_LOGICAL	    UINT64_C(0x0000000000000800)
#define ENTRY_PENDING	    UINT64_C(0x0000000000001000)
#define ENTRY_ACTIVE_LOW    UINT64_C(0x0000000000002000)
#define ENTRY_REMOTE_IRR    UINT64_C(0x0000000000004000)
#define ENTRY_LEVEL	    UINT64_C(0x0000000000008000)
#define ENTRY_MASKED	    UINT64_C(0x0000000000010000)
#define ENTRY_EXTENDED	    UINT64_C(0x00ff000000000000) /* format, and more of the index */
#define ENTRY_DESTINATION   UINT64_C(0xff00000000000000)
#define ENTRY_READ_ONLY	    (ENTRY_PENDING | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE                                                                         \
	(ENTRY_VECTOR | ENTRY_DELIVERY_MODE | ENTRY_LOGICAL | ENTRY_ACTIVE_LOW | ENTRY_LEVEL | \
	 ENTRY_MASKED | ENTRY_DESTINATION)

/*
 * The message of an entry: one that a LAPIC takes (SDM 3A, 11.11) or, in remappable format, one
 * that the remapping unit takes (VT-d 5.1.2.2), whose index is in the same bits of the entry.
 */
static struct msi_message message_of(uint64_t entry)
{
	uint32_t trigger = entry & ENTRY_LEVEL ? 0xc000 : 0; /* level, asserted */

	return (struct msi_message){
		.address = 0xfee00000 | (entry & (ENTRY_DESTINATION | ENTRY_EXTENDED)) >> 44 |
			   (entry & ENTRY_LOGICAL ? 4 : 0),
		.data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY_MODE)) | trigger,
	};
}

/* Sends input @pin's message if the entry lets it through. Lock held. */
static void deliver(struct machine *machine, unsigned int pin)
{
	uint64_t *entry = &machine->ioapic.entry[pin];
	struct msi_message message = message_of(*entry);

	if (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR))
		return;
	if (*entry & ENTRY_LEVEL)
		*entry |= ENTRY_REMOTE_IRR;
	machine_send_msi(machine, IOAPIC_REQUESTER, &message);
}

void ioapic_set(struct machine *machine, unsigned int pin, bool level)
{
	struct ioapic *ioapic = &machine->ioapic;
	uint32_t bit, old;

	if (pin >= IRQ_PINS)
		return;
	bit = 1U << pin;
	pthread_mutex_lock(&ioapic->lock);
	old = ioapic->level;
	ioapic->level = level ? old | bit : old & ~bit;
	/* A level-triggered input is looked at as long as it is high, an edge only when it rises.
	 */
	if (level && (!(old & bit) || ioapic->entry[pin] & ENTRY_LEVEL))
		deliver(machine, pin);
	pthread_mutex_unlock(&ioapic->lock);
}

int machine_watch_eoi(struct machine *machine, unsigned int gsi, int eventfd)
{
	struct ioapic *ioapic = &machine->ioapic;
	int rc = -ENOSPC;

	pthread_mutex_lock(&ioapic->lock);
	if (ioapic->watch_count < IOAPIC_WATCHES) {
		ioapic->watch[ioapic->watch_count++] =
			(struct ioapic_watch){ .pin = gsi, .eventfd = eventfd };
		rc = 0;
	}
	pthread_mutex_unlock(&ioapic->lock);
	return rc;
}

/* The interrupt of @pin has ended: lowers it if its watchers are to say what it is. Lock held. */
static void tell_watchers(struct ioapic *ioapic, unsigned int pin)
{
	uint64_t one = 1;

	for (unsigned int i = 0; i < ioapic->watch_count; i++) {
		if (ioapic->watch[i].pin != pin)
			continue;
		ioapic->level &= ~(1U << pin);
		/* A full counter has told them already. */
		if (write(ioapic->watch[i].eventfd, &one, sizeof(one)) < 0)
			continue;
	}
}

/*
 * Entries are found by the vector that is written in them, as on hardware, which knows no other.
 * Behind a remapping unit, a LAPIC ends the vector of the table's entry: software that relies on
 * that has the same vector in both. Linux has the number of the input here instead, makes the
 * table's entry edge-triggered, so that no LAPIC reports its end, and ends it by that number in the
 * EOI register. Lock held.
 */
static void end_of_interrupt(struct machine *machine, uint8_t vector)
{
	struct ioapic *ioapic = &machine->ioapic;

	for (unsigned int pin = 0; pin < IRQ_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		tell_watchers(ioapic, pin);
		if (ioapic->level & 1U << pin)
			deliver(machine, pin);
	}
}

void ioapic_eoi(struct machine *machine, uint8_t vector)
{
	pthread_mutex_lock(&machine->ioapic.lock);
	end_of_interrupt(machine, vector);
	pthread_mutex_unlock(&machine->ioapic.lock);
}

/*
 * KVM reports the end of a level-triggered interrupt only for entries that it knows as routes, by
 * their messages as they are after remapping. A masked entry stays known: Linux masks an input
 * between an interrupt and its end.
 */
static void update_route(struct machine *machine, unsigned int pin)
{
	uint64_t entry = machine->ioapic.entry[pin];
	struct msi_message message = message_of(entry);
	bool known = entry & ENTRY_LEVEL;

	irq_set_route(machine, pin, known ? &message : NULL);
}

/* The upper half has more than the destination only if somebody can make use of it. */
static uint64_t writable(const struct machine *machine)
{
	return machine->vtd_of[IOAPIC_REQUESTER] ? ENTRY_WRITABLE | ENTRY_EXTENDED : ENTRY_WRITABLE;
}

static void write_entry(struct machine *machine, unsigned int pin, unsigned int half,
			uint32_t value)
{
	struct ioapic *ioapic = &machine->ioapic;
	uint64_t *entry = &ioapic->entry[pin];
	uint64_t mask = half ? writable(machine) >> 32 << 32 : (uint32_t)writable(machine);
	uint64_t next = (*entry & ~mask) | ((uint64_t)value << 32 * half & mask);

	/* An edge-triggered entry has no remote IRR: software clears a stuck one by that. */
	if (!(next & ENTRY_LEVEL))
		next &= ~ENTRY_REMOTE_IRR;
	*entry = next;
	update_route(machine, pin);
	if (next & ENTRY_LEVEL && ioapic->level & 1U << pin)
		deliver(machine, pin);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	unsigned int at = ioapic->select;

	if (at == IOAPIC_ID || at == IOAPIC_ARBITRATION)
		return (uint32_t)ioapic->id << 24;
	if (at == IOAPIC_VERSION)
		return VERSION | (IRQ_PINS - 1) << 16;
	if (at < IOAPIC_TABLE || at >= IOAPIC_TABLE + 2 * IRQ_PINS)
		return 0;
	return (uint32_t)(ioapic->entry[(at - IOAPIC_TABLE) / 2] >> 32 * (at & 1));
}

static void write_register(struct machine *machine, uint32_t value)
{
	struct ioapic *ioapic = &machine->ioapic;
	unsigned int at = ioapic->select;

	if (at == IOAPIC_ID)
		ioapic->id = value >> 24 & 0xf;
	else if (at >= IOAPIC_TABLE && at < IOAPIC_TABLE + 2 * IRQ_PINS)
		write_entry(machine, (at - IOAPIC_TABLE) / 2, at & 1, value);
}

void ioapic_access(void *context, struct bus_access *access)
{
	struct machine *machine = context;
	struct ioapic *ioapic = &machine->ioapic;

	if (access->size > 4)
		return;
	pthread_mutex_lock(&ioapic->lock);
	if (access->offset == IOAPIC_SELECT && access->is_write)
		ioapic->select = (uint8_t)access->value;
	else if (access->offset == IOAPIC_SELECT)
		access->value = ioapic->select;
	else if (access->offset == IOAPIC_WINDOW && access->is_write)
		write_register(machine, (uint32_t)access->value);
	else if (access->offset == IOAPIC_WINDOW)
		access->value = read_register(ioapic);
	else if (access->offset == IOAPIC_EOI && access->is_write)
		end_of_interrupt(machine, (uint8_t)access->value);
	pthread_mutex_unlock(&ioapic->lock);
}

int ioapic_init(struct machine *machine)
{
	struct ioapic *ioapic = &machine->ioapic;
	struct bus_region region = { .base = LAYOUT_IOAPIC_BASE,
				     .size = PAGE_SIZE_4K,
				     .handler = ioapic_access,
				     .context = machine,
				     .name = "ioapic" };

	pthread_mutex_init(&ioapic->lock, NULL);
	for (unsigned int pin = 0; pin < IRQ_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
	return bus_add(&machine->mmio, &region);
}

void ioapic_reset(struct machine *machine)
{
	struct ioapic *ioapic = &machine->ioapic;

	pthread_mutex_lock(&ioapic->lock);
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned int pin = 0; pin < IRQ_PINS; pin++) {
		ioapic->entry[pin] = ENTRY_MASKED;
		update_route(machine, pin);
	}
	pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_destroy(struct machine *machine)
{
	pthread_mutex_destroy(&machine->ioapic.lock);
}
