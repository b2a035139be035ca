/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The invalidation queue (6.5.2). What its descriptors do to the caches is in invalidate.h.
 *
 * The queue runs in the thread that writes its tail, until it is empty or stopped by an error. The
 * tail cannot move meanwhile, for that takes unit->lock too: so one run executes at most the
 * descriptors of one queue, 32768.
 *
 * A device-TLB that does not answer, and a host that fails, are noticed where hardware notices
 * them: at the next wait descriptor, which is then dropped with ITE set (or at the end of the
 * queue). That is what drivers expect: they look for the wait before the head and submit it anew.
 */
#ifndef NIDUS_VIOMMU_QUEUE_H
#define NIDUS_VIOMMU_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "viommu/spec.h"

struct vtd_unit;

struct vtd_queue {
	uint64_t head, tail; /* IQH, IQT: byte offsets */
	uint64_t address;    /* IQA */
	uint32_t completion; /* ICS */
	uint64_t error;	     /* IQERCD */
	bool drain;	     /* something was invalidated since DMA was last waited for */
	bool stopped;	     /* by an error of the run under way */
	bool timed_out;	     /* an invalidation did, and no wait has said so yet */
	uint16_t late;	     /* the source-id that did not answer */
};

/* All with unit->lock held. */
void vtd_queue_reset(struct vtd_unit *unit);
void vtd_queue_enable(struct vtd_unit *unit, bool on); /* QIE: head becomes 0 */
/* Runs what is queued, unless FSTS.IQE or ITE holds it: after a tail write, and when they were
 * cleared. */
void vtd_queue_run(struct vtd_unit *unit);
/* An invalidation has timed out: says so (ITE), and stops the run under way. */
void vtd_queue_timeout(struct vtd_unit *unit);

/* --- descriptor.c; unit->lock held --- */

/*
 * Executes @desc, a copy; its last two words are 0 if the queue is not @wide (descriptors of 256
 * bits). VTD_IQEI_NONE, or why the queue has to stop there.
 */
enum vtd_iqei vtd_desc_execute(struct vtd_unit *unit, const struct vtd_desc *desc, bool wide);

#endif
