/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X (PCI 3.0, 6.8.2): the table and the pending bits in a BAR, and how a vector is raised.
 *
 * Each vector has an eventfd and a route in the machine. While the guest lets the vector through,
 * raising it is one write to the eventfd; while it is masked, the pending bit is set instead.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/pci.h"

static bool entry_open(const struct pci_msix *msix, const struct pci_msix_entry *entry)
{
	return msix->enabled && !entry->masked;
}

/*
 * True if the route carries the message. A full counter (EAGAIN) is an interrupt that is pending
 * already. A route that is blocked between the look and the write leaves the signal in the counter:
 * it becomes one interrupt too many when the route is let through again.
 */
static bool send_by_route(struct pci_function *fn, struct pci_msix_entry *entry)
{
	uint64_t one = 1;

	return entry->routed && machine_msi_route_live(fn->host->machine, entry->route) &&
	       (write(entry->eventfd, &one, sizeof(one)) > 0 || errno == EAGAIN);
}

/* Sends now: by the route if it can, by hand if not, so that a message that is blocked becomes the
 * fault that it is on hardware. Lock held. */
static void send(struct pci_function *fn, struct pci_msix_entry *entry)
{
	entry->pending = false;
	if (send_by_route(fn, entry))
		return;
	machine_send_msi(fn->host->machine, fn->requester, &entry->message);
}

/* A device that signals the eventfd itself must do so only while the route is there. Lock held. */
static void tell_device(struct pci_function *fn, struct pci_msix_entry *entry, bool open)
{
	if (entry->open == open)
		return;
	entry->open = open;
	if (fn->ops->msix_opened)
		fn->ops->msix_opened(fn, (unsigned int)(entry - fn->msix.entry), open);
}

/* Makes the route agree with the entry, and sends what waited for that. Lock held. */
static void refresh(struct pci_function *fn, struct pci_msix_entry *entry, bool message_changed)
{
	bool open = entry_open(&fn->msix, entry);

	if (!open)
		tell_device(fn, entry, false);
	if (entry->route >= 0 && (open != entry->routed || (open && message_changed)))
		entry->routed = !machine_set_msi_route(fn->host->machine, entry->route,
						       open ? &entry->message : NULL) &&
				open;
	if (open)
		tell_device(fn, entry, true);
	if (open && entry->pending)
		send(fn, entry);
}

void pci_msix_raise(struct pci_function *fn, unsigned int vector)
{
	struct pci_msix *msix = &fn->msix;

	if (vector >= msix->vectors)
		return;
	pthread_mutex_lock(&msix->lock);
	if (entry_open(msix, &msix->entry[vector]))
		send(fn, &msix->entry[vector]);
	else
		msix->entry[vector].pending = true;
	pthread_mutex_unlock(&msix->lock);
}

bool pci_msix_enabled(const struct pci_function *fn)
{
	return fn->msix.cap &&
	       __atomic_load_n(&fn->config[fn->msix.cap + PCI_MSIX_FLAGS + 1], __ATOMIC_RELAXED) &
		       PCI_MSIX_FLAGS_ENABLE >> 8;
}

/* The control word or the command register was written: MSI-X needs both to be sent. */
void pci_msix_control_written(struct pci_function *fn)
{
	struct pci_msix *msix = &fn->msix;
	uint16_t flags;

	if (!msix->cap)
		return;
	flags = load_le16(&fn->config[msix->cap + PCI_MSIX_FLAGS]);
	pthread_mutex_lock(&msix->lock);
	msix->enabled = flags & PCI_MSIX_FLAGS_ENABLE && !(flags & PCI_MSIX_FLAGS_MASKALL) &&
			pci_bus_master(fn);
	for (unsigned int i = 0; i < msix->vectors; i++)
		refresh(fn, &msix->entry[i], false);
	pthread_mutex_unlock(&msix->lock);
}

/* --- The table --- */

static uint32_t table_read(const struct pci_msix_entry *entry, unsigned int field)
{
	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)entry->message.address;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(entry->message.address >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return entry->message.data;
	default:
		return entry->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	}
}

static void table_write(struct pci_msix_entry *entry, unsigned int field, uint32_t value)
{
	struct msi_message *message = &entry->message;

	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		message->address = (message->address & ~(uint64_t)UINT32_MAX) | (value & ~3U);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		message->address = (uint32_t)message->address | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		message->data = value;
		break;
	default:
		entry->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

static void table_access(struct pci_function *fn, struct bus_access *access)
{
	unsigned int offset = (unsigned int)access->offset - fn->msix.table_offset;
	struct pci_msix_entry *entry = &fn->msix.entry[offset / PCI_MSIX_ENTRY_SIZE];
	uint64_t value = 0;

	for (unsigned int i = 0; i < access->size; i += 4) {
		unsigned int field = (offset + i) % PCI_MSIX_ENTRY_SIZE;

		if (access->is_write)
			table_write(entry, field, (uint32_t)(access->value >> 8 * i));
		else
			value |= (uint64_t)table_read(entry, field) << 8 * i;
	}
	if (access->is_write)
		refresh(fn, entry, true);
	else
		access->value = value;
}

static void pending_access(struct pci_function *fn, struct bus_access *access)
{
	unsigned int first = ((unsigned int)access->offset - fn->msix.pba_offset) * 8;
	uint64_t value = 0;

	if (access->is_write)
		return;
	for (unsigned int bit = 0; bit < access->size * 8U && first + bit < fn->msix.vectors; bit++)
		value |= (uint64_t)fn->msix.entry[first + bit].pending << bit;
	access->value = value;
}

bool pci_msix_bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access)
{
	struct pci_msix *msix = &fn->msix;
	uint64_t table = (uint64_t)msix->vectors * PCI_MSIX_ENTRY_SIZE;
	uint64_t pending = align_up(msix->vectors, 64) / 8;
	bool in_table = ranges_overlap(access->offset, access->size, msix->table_offset, table);
	bool in_pending = !msix->pending_apart &&
			  ranges_overlap(access->offset, access->size, msix->pba_offset, pending);

	if (!msix->cap || bar != msix->bar || (!in_table && !in_pending))
		return false;
	/* 6.8.2: only aligned accesses of 4 or 8 bytes are defined; others do nothing here. */
	if ((access->size != 4 && access->size != 8) || access->offset % access->size)
		return true;
	pthread_mutex_lock(&msix->lock);
	if (in_table)
		table_access(fn, access);
	else
		pending_access(fn, access);
	pthread_mutex_unlock(&msix->lock);
	return true;
}

/* --- Life --- */

void pci_msix_reset(struct pci_function *fn)
{
	struct pci_msix *msix = &fn->msix;

	if (!msix->cap)
		return;
	/* The size in the word is read-only; both controls are in its upper byte. */
	__atomic_store_n(&fn->config[msix->cap + PCI_MSIX_FLAGS + 1],
			 (uint8_t)((msix->vectors - 1) >> 8), __ATOMIC_RELAXED);
	pthread_mutex_lock(&msix->lock);
	msix->enabled = false;
	for (unsigned int i = 0; i < msix->vectors; i++) {
		struct pci_msix_entry *entry = &msix->entry[i];

		entry->message = (struct msi_message){ 0 };
		entry->masked = true;
		entry->pending = false;
		refresh(fn, entry, false);
	}
	pthread_mutex_unlock(&msix->lock);
}

int pci_add_msix(struct pci_function *fn, unsigned int vectors, unsigned int bar,
		 uint32_t table_offset, uint32_t pba_offset)
{
	struct pci_msix *msix = &fn->msix;
	unsigned int cap;

	if (!vectors || vectors > PCI_MSIX_MAX)
		return -EINVAL;
	msix->entry = calloc(vectors, sizeof(*msix->entry));
	if (!msix->entry)
		return -ENOMEM;
	pthread_mutex_init(&msix->lock, NULL);
	msix->vectors = vectors;
	msix->bar = bar;
	msix->table_offset = table_offset;
	msix->pba_offset = pba_offset;
	cap = pci_add_capability(fn, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	store_le16(&fn->config[cap + PCI_MSIX_FLAGS], (uint16_t)(vectors - 1));
	store_le16(&fn->writable[cap + PCI_MSIX_FLAGS],
		   PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	store_le32(&fn->config[cap + PCI_MSIX_TABLE], table_offset | bar);
	store_le32(&fn->config[cap + PCI_MSIX_PBA], pba_offset | bar);
	msix->cap = cap;
	for (unsigned int i = 0; i < vectors; i++) {
		struct pci_msix_entry *entry = &msix->entry[i];

		entry->masked = true;
		entry->route = -1;
		entry->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (entry->eventfd >= 0)
			entry->route = machine_add_msi_route(fn->host->machine, fn->requester,
							     entry->eventfd);
		if (entry->route < 0)
			log_debug(PCI, "%s: vector %u has no route; its messages are sent by hand",
				  fn->name, i);
	}
	return 0;
}

void pci_msix_destroy(struct pci_function *fn)
{
	struct pci_msix *msix = &fn->msix;

	if (!msix->cap)
		return;
	for (unsigned int i = 0; i < msix->vectors; i++)
		if (msix->entry[i].eventfd >= 0)
			close(msix->entry[i].eventfd);
	pthread_mutex_destroy(&msix->lock);
	free(msix->entry);
	msix->entry = NULL;
	msix->cap = 0;
	msix->vectors = 0;
}
