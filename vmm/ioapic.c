/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/ioapic.h"

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

/* A redirection entry. */
#define ENTRY_VECTOR	    UINT64_C(0x00000000000000ff)
#define ENTRY_DELIVERY_MODE UINT64_C(0x0000000000000700)
#define ENTRY_LOGICAL	    UINT64_C(0x0000000000000800)
#define ENTRY_PENDING	    UINT64_C(0x0000000000001000)
#define ENTRY_ACTIVE_LOW    UINT64_C(0x0000000000002000)
#define ENTRY_REMOTE_IRR    UINT64_C(0x0000000000004000)
#define ENTRY_LEVEL	    UINT64_C(0x0000000000008000)
#define ENTRY_MASKED	    UINT64_C(0x0000000000010000)
#define ENTRY_DESTINATION   UINT64_C(0xff00000000000000)
#define ENTRY_READ_ONLY	    (ENTRY_PENDING | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE                                                                         \
	(ENTRY_VECTOR | ENTRY_DELIVERY_MODE | ENTRY_LOGICAL | ENTRY_ACTIVE_LOW | ENTRY_LEVEL | \
	 ENTRY_MASKED | ENTRY_DESTINATION)

/* SDM 3A, 11.11: the message that a LAPIC would take for this entry. */
static struct msi_message message_of(uint64_t entry)
{
	uint32_t trigger = entry & ENTRY_LEVEL ? 0xc000 : 0; /* level, asserted */

	return (struct msi_message){
		.address = 0xfee00000 | (entry & ENTRY_DESTINATION) >> 44 |
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

/* Lock held. */
static void end_of_interrupt(struct machine *machine, uint8_t vector)
{
	struct ioapic *ioapic = &machine->ioapic;

	for (unsigned int pin = 0; pin < IRQ_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
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
 * KVM reports the end of a level-triggered interrupt only for entries that it knows as routes. A
 * masked entry stays known: Linux masks an input between an interrupt and its end.
 */
static void update_route(struct machine *machine, unsigned int pin)
{
	uint64_t entry = machine->ioapic.entry[pin];
	struct msi_message message = message_of(entry);
	bool known = entry & ENTRY_LEVEL;

	irq_set_route(machine, pin, known ? &message : NULL);
}

static void write_entry(struct machine *machine, unsigned int pin, unsigned int half,
			uint32_t value)
{
	struct ioapic *ioapic = &machine->ioapic;
	uint64_t *entry = &ioapic->entry[pin];
	uint64_t mask = half ? ENTRY_WRITABLE >> 32 << 32 : (uint32_t)ENTRY_WRITABLE;
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

void ioapic_destroy(struct machine *machine)
{
	pthread_mutex_destroy(&machine->ioapic.lock);
}
