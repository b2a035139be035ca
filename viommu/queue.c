/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See queue.h. What the descriptors are and do is in descriptor.c.
 */
#include "viommu/queue.h"
#include "viommu/unit.h"

/* What holds the queue until software clears it (6.5.2.11). */
#define HOLDS (VTD_FSTS_IQE | VTD_FSTS_ITE)

/* --- Errors --- */

static void queue_error(struct vtd_unit *unit, enum vtd_iqei code)
{
	struct vtd_queue *queue = &unit->queue;

	queue->stopped = true;
	queue->error = (queue->error & ~VTD_IQERCD_IQEI) | vtd_put(code, VTD_IQERCD_IQEI);
	vtd_count(unit, NULL, VTD_COUNT_QUEUE_ERRORS, 1);
	vtd_fault_queue_error(unit, VTD_FSTS_IQE);
}

void vtd_queue_timeout(struct vtd_unit *unit)
{
	struct vtd_queue *queue = &unit->queue;

	queue->stopped = true;
	queue->timed_out = false;
	queue->error =
		(queue->error & ~VTD_IQERCD_ITESID) | vtd_put(queue->late, VTD_IQERCD_ITESID);
	vtd_count(unit, NULL, VTD_COUNT_QUEUE_ERRORS, 1);
	vtd_fault_queue_error(unit, VTD_FSTS_ITE);
}

/* --- The ring --- */

static bool is_wide(const struct vtd_unit *unit)
{
	return unit->queue.address & VTD_IQA_DW;
}

/* Bytes of the ring: 4 KiB to 512 KiB. */
static uint64_t queue_bytes(const struct vtd_unit *unit)
{
	return UINT64_C(4096) << vtd_get(unit->queue.address, VTD_IQA_QS);
}

/* The table mode in force is not reserved, and one that ECAP has. */
static bool is_mode_supported(const struct vtd_unit *unit)
{
	switch (vtd_get(unit->root, VTD_RTADDR_TTM)) {
	case VTD_TTM_LEGACY:
		return true;
	case VTD_TTM_SCALABLE:
		return vtd_has_ecap(unit, VTD_ECAP_SMTS);
	case VTD_TTM_ABORT:
		return vtd_has_ecap(unit, VTD_ECAP_ADMS);
	default:
		return false;
	}
}

/* What is wrong with the queue as a whole (11.4.9.9). */
static enum vtd_iqei check(const struct vtd_unit *unit)
{
	if (is_wide(unit) && !vtd_has_ecap(unit, VTD_ECAP_SMTS | VTD_ECAP_ADMS))
		return VTD_IQEI_WIDTH;
	if (is_wide(unit) && unit->queue.tail % sizeof(struct vtd_desc))
		return VTD_IQEI_ALIGNMENT;
	if (unit->queue.tail >= queue_bytes(unit))
		return VTD_IQEI_TAIL;
	if (!is_mode_supported(unit))
		return VTD_IQEI_TTM;
	if (!is_wide(unit) && !vtd_is_legacy(unit))
		return VTD_IQEI_WIDTH;
	return VTD_IQEI_NONE;
}

/* Executes the descriptor at the head and, if it is not in error, moves the head on. */
static enum vtd_iqei step(struct vtd_unit *unit)
{
	struct vtd_queue *queue = &unit->queue;
	bool wide = is_wide(unit);
	unsigned int words = wide ? 4 : 2;
	const uint64_t *at =
		vtd_ptr(unit, (queue->address & VTD_IQA_IQA) + queue->head, words * sizeof(*at));
	struct vtd_desc desc = { { 0 } };
	enum vtd_iqei error;

	if (!at)
		return VTD_IQEI_FETCH;
	for (unsigned int i = 0; i < words; i++)
		desc.qw[i] = __atomic_load_n(&at[i], __ATOMIC_ACQUIRE);
	error = vtd_desc_execute(unit, &desc, wide);
	if (!error)
		queue->head = (queue->head + words * sizeof(*at)) % queue_bytes(unit);
	return error;
}

void vtd_queue_run(struct vtd_unit *unit)
{
	struct vtd_queue *queue = &unit->queue;
	enum vtd_iqei error;
	uint64_t since;

	if (!(unit->reg.gsts & VTD_GCMD_QIE) || queue->head == queue->tail ||
	    vtd_fsts_read(unit) & HOLDS)
		return;
	since = vtd_now();
	queue->stopped = false;
	error = check(unit);
	/*
	 * At most queue_bytes() / 16 steps: the head only goes forward, the tail stays. With real
	 * devices each may be a look through a whole PASID table, and all together take longer than
	 * anybody waits for a VM to end.
	 */
	while (!error && !queue->stopped && queue->head != queue->tail && !vtd_halted(unit))
		error = step(unit);
	if (error)
		queue_error(unit, error);
	else if (queue->timed_out)
		vtd_queue_timeout(unit);
	vtd_count(unit, NULL, VTD_COUNT_INVALIDATE_NS, vtd_now() - since);
}

void vtd_queue_enable(struct vtd_unit *unit, bool on)
{
	/* Whoever starts anew has waited for nothing of before: nobody is owed its time-outs. */
	unit->queue.head = 0;
	unit->queue.timed_out = false;
	if (on)
		vtd_queue_run(unit);
}

void vtd_queue_reset(struct vtd_unit *unit)
{
	unit->queue = (struct vtd_queue){ 0 };
}
