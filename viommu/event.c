/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupts of the unit itself (5.1.6, 11.4.7.2 to 11.4.7.5 and their like): see event.h.
 *
 * They are not remapped. The upper address carries bits 31:8 of an x2APIC destination and exists
 * only with extended interrupt mode.
 */
#include "viommu/event.h"

#include "viommu/unit.h"

/* What the guest can change, by word. */
static uint32_t writable(const struct vtd_unit *unit, unsigned int word)
{
	const uint32_t mask[] = {
		(uint32_t)VTD_EVENT_IM,
		UINT32_MAX,
		~UINT32_C(3),
		vtd_has_ecap(unit, VTD_ECAP_EIM) ? ~UINT32_C(0xff) : 0,
	};

	return mask[word];
}

void vtd_event_reset(struct vtd_unit *unit)
{
	pthread_mutex_lock(&unit->faults.lock);
	for (unsigned int i = 0; i < VTD_EVENTS; i++)
		unit->event[i] = (struct vtd_event){ .control = (uint32_t)VTD_EVENT_IM };
	pthread_mutex_unlock(&unit->faults.lock);
}

/* Sends what is pending, unless it is masked. faults.lock held. */
static void deliver(struct vtd_unit *unit, struct vtd_event *event)
{
	if (!(event->control & VTD_EVENT_IP) || event->control & VTD_EVENT_IM)
		return;
	event->control &= ~(uint32_t)VTD_EVENT_IP;
	if (unit->machine->send_msi)
		unit->machine->send_msi(unit->machine_context,
					(uint64_t)event->upper << 32 | event->address, event->data);
}

void vtd_event_raise_locked(struct vtd_unit *unit, enum vtd_event_kind kind)
{
	unit->event[kind].control |= (uint32_t)VTD_EVENT_IP;
	deliver(unit, &unit->event[kind]);
}

void vtd_event_raise(struct vtd_unit *unit, enum vtd_event_kind kind)
{
	pthread_mutex_lock(&unit->faults.lock);
	vtd_event_raise_locked(unit, kind);
	pthread_mutex_unlock(&unit->faults.lock);
}

void vtd_event_settled_locked(struct vtd_unit *unit, enum vtd_event_kind kind)
{
	unit->event[kind].control &= ~(uint32_t)VTD_EVENT_IP;
}

static uint32_t *event_word(struct vtd_event *event, unsigned int word)
{
	uint32_t *const words[] = { &event->control, &event->data, &event->address, &event->upper };

	return words[word];
}

uint32_t vtd_event_read(struct vtd_unit *unit, enum vtd_event_kind kind, unsigned int word)
{
	uint32_t value;

	pthread_mutex_lock(&unit->faults.lock);
	value = *event_word(&unit->event[kind], word);
	pthread_mutex_unlock(&unit->faults.lock);
	return value;
}

void vtd_event_write(struct vtd_unit *unit, enum vtd_event_kind kind, unsigned int word,
		     uint32_t value)
{
	uint32_t *at, mask = writable(unit, word);

	pthread_mutex_lock(&unit->faults.lock);
	at = event_word(&unit->event[kind], word);
	*at = (*at & ~mask) | (value & mask);
	deliver(unit, &unit->event[kind]);
	pthread_mutex_unlock(&unit->faults.lock);
}
