/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupts of the unit itself: fault, invalidation completion, page request (5.1.6, 7.3).
 *
 * Each has four registers: control (mask and pending), data, address, upper address. An event that
 * comes while masked stays pending and is sent when the mask is cleared. Protected by faults.lock.
 */
#ifndef NIDUS_VIOMMU_EVENT_H
#define NIDUS_VIOMMU_EVENT_H

#include <stdint.h>

struct vtd_unit;

enum vtd_event_kind { VTD_EVENT_FAULT, VTD_EVENT_QUEUE, VTD_EVENT_PAGE_REQUEST, VTD_EVENTS };

struct vtd_event {
	uint32_t control; /* VTD_EVENT_IM, VTD_EVENT_IP; IM set at reset */
	uint32_t data;
	uint32_t address;
	uint32_t upper;
};

void vtd_event_reset(struct vtd_unit *unit);
/* Sends the interrupt, or leaves it pending. Takes faults.lock. Any thread. */
void vtd_event_raise(struct vtd_unit *unit, enum vtd_event_kind kind);
/* The same with faults.lock held. */
void vtd_event_raise_locked(struct vtd_unit *unit, enum vtd_event_kind kind);
/*
 * The guest's accesses: @word 0 control, 1 data, 2 address, 3 upper address. Take faults.lock.
 * Pending is cleared by the sending, and when software has cleared every cause
 * (vtd_event_settled()).
 */
uint32_t vtd_event_read(struct vtd_unit *unit, enum vtd_event_kind kind, unsigned int word);
void vtd_event_write(struct vtd_unit *unit, enum vtd_event_kind kind, unsigned int word,
		     uint32_t value);
/* faults.lock held: no cause is left, so nothing is pending any more. */
void vtd_event_settled_locked(struct vtd_unit *unit, enum vtd_event_kind kind);

#endif
