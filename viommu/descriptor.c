/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors of the invalidation queue (6.5.2) are a table: who has them, which bits are
 * reserved, what they do.
 */
#include <inttypes.h>

#include "viommu/queue.h"
#include "viommu/unit.h"

/* --- Devices that do not answer --- */

static void note_timeout(struct vtd_unit *unit, uint16_t source)
{
	if (unit->queue.timed_out)
		return;
	unit->queue.timed_out = true;
	unit->queue.late = source;
}

/* A device's completion was not what it was asked for: reported, and holds nothing up. */
static void completion_error(struct vtd_unit *unit, uint16_t source)
{
	struct vtd_queue *queue = &unit->queue;

	if (!(vtd_fsts_read(unit) & VTD_FSTS_ICE))
		queue->error =
			(queue->error & ~VTD_IQERCD_ICESID) | vtd_put(source, VTD_IQERCD_ICESID);
	vtd_count(unit, NULL, VTD_COUNT_QUEUE_ERRORS, 1);
	vtd_fault_queue_error(unit, VTD_FSTS_ICE);
}

/* --- Descriptors --- */

static uint16_t desc_did(const struct vtd_desc *desc)
{
	return (uint16_t)vtd_get(desc->qw[0], VTD_DESC_DID);
}

static uint32_t desc_pasid(const struct vtd_desc *desc)
{
	return (uint32_t)vtd_get(desc->qw[0], VTD_DESC_PASID);
}

static unsigned int desc_granularity(const struct vtd_desc *desc)
{
	return (unsigned int)vtd_get(desc->qw[0], VTD_DESC_G);
}

/* A handler that refuses: the granularity or an address mask is a reserved value. */
static enum vtd_iqei accepted(bool done)
{
	return done ? VTD_IQEI_NONE : VTD_IQEI_RESERVED;
}

static enum vtd_iqei context(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	return accepted(vtd_invalidate_context(unit, desc_granularity(desc), desc_did(desc),
					       (uint16_t)vtd_get(desc->qw[0], VTD_CONTEXT_SID),
					       (unsigned int)vtd_get(desc->qw[0], VTD_CONTEXT_FM)));
}

static enum vtd_iqei iotlb(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	return accepted(
		vtd_invalidate_iotlb(unit, desc_granularity(desc), desc_did(desc), desc->qw[1]));
}

static enum vtd_iqei pasid_iotlb(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	return accepted(vtd_invalidate_pasid_iotlb(unit, desc_granularity(desc), desc_did(desc),
						   desc_pasid(desc), desc->qw[1]));
}

static enum vtd_iqei pasid_cache(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	return accepted(vtd_invalidate_pasid_cache(unit, desc_granularity(desc), desc_did(desc),
						   desc_pasid(desc)));
}

static enum vtd_iqei interrupt_entries(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	unsigned int order = (unsigned int)vtd_get(desc->qw[0], VTD_INTERRUPT_IM);

	if (!(desc->qw[0] & VTD_INTERRUPT_G)) {
		vtd_ir_invalidate_all(unit);
		return VTD_IQEI_NONE;
	}
	if (order > vtd_get(unit->ecap, VTD_ECAP_MHMV))
		return VTD_IQEI_RESERVED;
	vtd_ir_invalidate(unit, (unsigned int)vtd_get(desc->qw[0], VTD_INTERRUPT_IIDX), order);
	return VTD_IQEI_NONE;
}

/* What a device-TLB is to forget: [address, address + size), or all if size is 0. */
struct range {
	uint64_t address, size;
};

/*
 * The range of a device-TLB invalidation (6.5.2.5): without @several one page; with it, the lowest
 * 0 of the page number tells the size, 0 in its bit 0 being two pages.
 */
static struct range decode_range(uint64_t word, bool several)
{
	uint64_t page = vtd_get(word, VTD_ADDR1_ADDR);
	unsigned int order = several ? 1 + (unsigned int)__builtin_ctzll(~page) : 0;

	if (order >= 52) /* all addresses */
		return (struct range){ 0, 0 };
	return (struct range){ page >> order << order << 12, UINT64_C(4096) << order };
}

/* A source-id that nobody has holds no translations, and so has nothing to do. */
static enum vtd_iqei forget(struct vtd_unit *unit, uint16_t source, uint32_t pasid,
			    struct range range, bool global, enum vtd_counter counter)
{
	struct vtd_requester *requester = vtd_find(unit, source);
	int rc;

	if (!requester)
		return VTD_IQEI_NONE;
	__atomic_fetch_add(&requester->counters.value[counter], 1, __ATOMIC_RELAXED);
	vtd_host_collect_devtlb(unit, requester, pasid, global, range.address,
				range.size ? range.size >> 12 : UINT64_MAX);
	if (!requester->ops || !requester->ops->invalidate)
		return VTD_IQEI_NONE;
	rc = requester->ops->invalidate(requester->context, pasid, range.address, range.size,
					global);
	if (vtd_tracing(requester))
		vtd_trace_line(requester,
			       "device-TLB invalidation: pasid %#" PRIx32 ", %#" PRIx64
			       " + %#" PRIx64 "%s%s",
			       pasid, range.address, range.size, global ? ", every pasid" : "",
			       rc ? ": no answer" : "");
	if (rc == -ETIMEDOUT)
		note_timeout(unit, source);
	else if (rc)
		completion_error(unit, source);
	return VTD_IQEI_NONE;
}

static enum vtd_iqei devtlb(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	return forget(unit, (uint16_t)vtd_get(desc->qw[0], VTD_DEVTLB_SID), VTD_NO_PASID,
		      decode_range(desc->qw[1], desc->qw[1] & VTD_DEVTLB1_S), false,
		      VTD_COUNT_INVALIDATE_DEVTLB);
}

static enum vtd_iqei pasid_devtlb(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	return forget(unit, (uint16_t)vtd_get(desc->qw[0], VTD_PDEVTLB_SID), desc_pasid(desc),
		      decode_range(desc->qw[1], desc->qw[1] & VTD_PDEVTLB1_S),
		      desc->qw[1] & VTD_PDEVTLB1_G, VTD_COUNT_INVALIDATE_PASID_DEVTLB);
}

static enum vtd_iqei page_response(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	unsigned int code = (unsigned int)vtd_get(desc->qw[0], VTD_RESPONSE_RC);
	bool has_pasid = desc->qw[0] & VTD_RESPONSE_PASID_P;

	if (code != VTD_RESPONSE_SUCCESS && code != VTD_RESPONSE_INVALID &&
	    code != VTD_RESPONSE_FAILURE)
		return VTD_IQEI_RESERVED;
	vtd_prq_respond(unit, (uint16_t)vtd_get(desc->qw[0], VTD_RESPONSE_RID),
			has_pasid ? desc_pasid(desc) : VTD_NO_PASID,
			(unsigned int)vtd_get(desc->qw[1], VTD_RESPONSE1_PRGI), code);
	return VTD_IQEI_NONE;
}

/* --- The wait (6.5.2.8) --- */

/* A write to where no memory is goes nowhere, as on a bus. */
static void write_status(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	uint32_t *status = vtd_ptr(unit, desc->qw[1] & VTD_WAIT1_ADDR, sizeof(*status));

	if (status)
		__atomic_store_n(status, (uint32_t)vtd_get(desc->qw[0], VTD_WAIT_DATA),
				 __ATOMIC_RELEASE);
}

/* No second interrupt before software has seen to the first. */
static void complete_with_interrupt(struct vtd_unit *unit)
{
	if (unit->queue.completion & VTD_ICS_IWC)
		return;
	unit->queue.completion |= VTD_ICS_IWC;
	vtd_event_raise(unit, VTD_EVENT_QUEUE);
}

/* FN asks for nothing more: descriptors are executed one after the other. */
static enum vtd_iqei wait(struct vtd_unit *unit, const struct vtd_desc *desc)
{
	uint16_t source = 0;

	if (desc->qw[0] & VTD_WAIT_PD && !vtd_has_ecap(unit, VTD_ECAP_PDS))
		return VTD_IQEI_RESERVED;
	if (desc->qw[0] & VTD_WAIT_SW && desc->qw[1] & vtd_beyond_host(unit))
		return VTD_IQEI_RESERVED;
	if (vtd_invalidate_finish(unit, &source))
		note_timeout(unit, source);
	if (unit->queue.timed_out) {
		vtd_queue_timeout(unit);
		return VTD_IQEI_NONE;
	}
	if (desc->qw[0] & VTD_WAIT_PD)
		vtd_prq_drain(unit);
	if (desc->qw[0] & VTD_WAIT_SW)
		write_status(unit, desc);
	if (desc->qw[0] & VTD_WAIT_IF)
		complete_with_interrupt(unit);
	return VTD_IQEI_NONE;
}

/* --- The table (6.5.2) --- */

#define PFSID_D (VTD_DEVTLB_PFSID_LOW | VTD_DEVTLB_PFSID_HIGH)
#define PFSID_P (VTD_PDEVTLB_PFSID_LOW | VTD_PDEVTLB_PFSID_HIGH)

/*
 * Reserved bits are those of revision 4.1; PFSID is reserved without ECAP.DIT, which we never
 * offer. Bits 11:9 of the first word belong to the type. The third and fourth words are reserved
 * but in a page response, where older revisions had private data.
 */
static const struct kind {
	enum vtd_iqei (*execute)(struct vtd_unit *unit, const struct vtd_desc *desc);
	uint64_t reserved[2];
	bool reserved_high; /* the third and fourth words are reserved */
	bool scalable;	    /* 256 bits only, and not in legacy mode */
	uint64_t ecap;	    /* all of these are needed */
	enum vtd_counter counter;
} kinds[] = {
	[VTD_DESC_CONTEXT] = { context,
			       { VTD_BITS(8, 6) | VTD_BITS(15, 12) | VTD_BITS(63, 50), UINT64_MAX },
			       true,
			       false,
			       0,
			       VTD_COUNT_INVALIDATE_CONTEXT },
	[VTD_DESC_IOTLB] = { iotlb,
			     { VTD_BIT(8) | VTD_BITS(15, 12) | VTD_BITS(63, 32), VTD_BITS(11, 7) },
			     true,
			     false,
			     0,
			     VTD_COUNT_INVALIDATE_IOTLB },
	[VTD_DESC_DEVTLB] = { devtlb,
			      { VTD_BITS(8, 4) | VTD_BITS(31, 21) | VTD_BITS(51, 48) | PFSID_D,
				VTD_BITS(11, 1) },
			      true,
			      false,
			      VTD_ECAP_DT,
			      VTD_COUNT_INVALIDATE_DEVTLB },
	[VTD_DESC_INTERRUPT] = { interrupt_entries,
				 { VTD_BITS(8, 5) | VTD_BITS(26, 12) | VTD_BITS(63, 48),
				   UINT64_MAX },
				 true,
				 false,
				 VTD_ECAP_IR,
				 VTD_COUNT_INVALIDATE_INTERRUPT },
	[VTD_DESC_WAIT] = { wait,
			    { VTD_BIT(8) | VTD_BITS(31, 12), VTD_BITS(1, 0) },
			    true,
			    false,
			    0,
			    VTD_COUNT_WAITS },
	[VTD_DESC_PASID_IOTLB] = { pasid_iotlb,
				   { VTD_BITS(8, 6) | VTD_BITS(15, 12) | VTD_BITS(63, 52),
				     VTD_BITS(11, 7) },
				   true,
				   true,
				   VTD_ECAP_SMTS,
				   VTD_COUNT_INVALIDATE_PASID_IOTLB },
	[VTD_DESC_PASID_CACHE] = { pasid_cache,
				   { VTD_BITS(8, 6) | VTD_BITS(15, 12) | VTD_BITS(63, 52),
				     UINT64_MAX },
				   true,
				   true,
				   VTD_ECAP_SMTS,
				   VTD_COUNT_INVALIDATE_PASID_CACHE },
	[VTD_DESC_PASID_DEVTLB] = { pasid_devtlb,
				    { PFSID_P, VTD_BITS(10, 1) },
				    true,
				    true,
				    VTD_ECAP_SMTS | VTD_ECAP_DT,
				    VTD_COUNT_INVALIDATE_PASID_DEVTLB },
	[VTD_DESC_PAGE_RESPONSE] = { page_response,
				     { VTD_BITS(8, 5) | VTD_BITS(63, 52),
				       VTD_BITS(1, 0) | VTD_BITS(63, 12) },
				     false,
				     true,
				     VTD_ECAP_PRS,
				     VTD_COUNTERS }, /* vtd_prq_respond() counts */
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

enum vtd_iqei vtd_desc_execute(struct vtd_unit *unit, const struct vtd_desc *desc, bool wide)
{
	uint64_t type = vtd_get(desc->qw[0], VTD_DESC_TYPE_LOW) |
			vtd_get(desc->qw[0], VTD_DESC_TYPE_HIGH) << 4;
	const struct kind *kind = type < KINDS ? &kinds[type] : NULL;

	if (!kind || !kind->execute || (unit->ecap & kind->ecap) != kind->ecap)
		return VTD_IQEI_TYPE;
	if (kind->scalable && (!wide || vtd_is_legacy(unit)))
		return VTD_IQEI_TYPE;
	if (desc->qw[0] & kind->reserved[0] || desc->qw[1] & kind->reserved[1] ||
	    (kind->reserved_high && (desc->qw[2] || desc->qw[3])))
		return VTD_IQEI_RESERVED;
	if (kind->counter != VTD_COUNTERS)
		vtd_count(unit, NULL, kind->counter, 1);
	if (type != VTD_DESC_WAIT && unit->config.drop & 1u << type)
		return VTD_IQEI_NONE;
	return kind->execute(unit, desc);
}
