/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See invalidate.h.
 */
#include "viommu/invalidate.h"
#include "viommu/unit.h"

/* 2^ADDRESS_ORDER pages of 4 KiB are the whole 64-bit address space. */
#define ADDRESS_ORDER 52

/* --- Context and PASID caches --- */

bool vtd_invalidate_context(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
			    uint16_t source, unsigned int function_mask)
{
	switch (granularity) {
	case VTD_CONTEXT_GLOBAL:
		vtd_entries_invalidate_all(unit);
		vtd_host_entries_changed(unit);
		break;
	case VTD_CONTEXT_DOMAIN:
		vtd_entries_invalidate_domain(unit, did);
		vtd_host_entries_changed(unit);
		break;
	case VTD_CONTEXT_DEVICE:
		vtd_entries_invalidate_source(unit, source, function_mask);
		vtd_host_source_entries_changed(unit, source, function_mask);
		break;
	default:
		return false;
	}
	unit->queue.drain = true;
	return true;
}

bool vtd_invalidate_pasid_cache(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
				uint32_t pasid)
{
	switch (granularity) {
	case VTD_PASID_CACHE_DOMAIN:
		vtd_entries_invalidate_domain(unit, did);
		vtd_host_entries_changed(unit);
		break;
	case VTD_PASID_CACHE_PASID:
		vtd_entries_invalidate_pasid(unit, did, pasid);
		vtd_host_pasid_entry_changed(unit, pasid);
		break;
	case VTD_PASID_CACHE_GLOBAL:
		vtd_entries_invalidate_all(unit);
		vtd_host_entries_changed(unit);
		break;
	default:
		return false;
	}
	unit->queue.drain = true;
	return true;
}

/* --- IOTLB --- */

/* The pages that @word names: 2^@order of them, @order below ADDRESS_ORDER. */
static uint64_t page_address(uint64_t word, unsigned int order)
{
	return word & VTD_ADDR1_ADDR & UINT64_MAX << (12 + order);
}

bool vtd_invalidate_iotlb(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
			  uint64_t word)
{
	unsigned int order = (unsigned int)vtd_get(word, VTD_ADDR1_AM);
	uint64_t address;

	switch (granularity) {
	case VTD_IOTLB_GLOBAL:
		vtd_iotlb_invalidate_all(unit);
		vtd_host_collect(unit, true, 0, VTD_NO_PASID, 0, UINT64_MAX, false);
		break;
	case VTD_IOTLB_DOMAIN:
		vtd_iotlb_invalidate_domain(unit, did);
		vtd_host_collect(unit, false, did, VTD_NO_PASID, 0, UINT64_MAX, false);
		break;
	case VTD_IOTLB_PAGE:
		if (order > vtd_get(unit->cap, VTD_CAP_MAMV))
			return false;
		address = page_address(word, order);
		vtd_iotlb_invalidate_pages(unit, did, address, order);
		vtd_host_collect(unit, false, did, VTD_NO_PASID, address, UINT64_C(1) << order,
				 word & VTD_ADDR1_IH);
		break;
	default:
		return false;
	}
	unit->queue.drain = true;
	return true;
}

/* The address mask of this one is not bounded by MAMV; from 52 on it covers all addresses. */
bool vtd_invalidate_pasid_iotlb(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
				uint32_t pasid, uint64_t word)
{
	unsigned int order = (unsigned int)vtd_get(word, VTD_ADDR1_AM);
	uint64_t address;

	if (granularity == VTD_PASID_IOTLB_PASID ||
	    (granularity == VTD_PASID_IOTLB_PAGE && order >= ADDRESS_ORDER)) {
		vtd_iotlb_invalidate_pasid(unit, did, pasid);
		vtd_host_collect(unit, false, did, pasid, 0, UINT64_MAX, false);
	} else if (granularity == VTD_PASID_IOTLB_PAGE) {
		address = page_address(word, order);
		vtd_iotlb_invalidate_pasid_pages(unit, did, pasid, address, order);
		vtd_host_collect(unit, false, did, pasid, address, UINT64_C(1) << order,
				 word & VTD_ADDR1_IH);
	} else {
		return false;
	}
	unit->queue.drain = true;
	return true;
}

/* --- Completion --- */

int vtd_invalidate_finish(struct vtd_unit *unit, uint16_t *source)
{
	int rc = vtd_host_flush(unit, source);

	if (unit->queue.drain)
		vtd_gate_wait(&unit->gate);
	unit->queue.drain = false;
	return rc;
}

void vtd_queue_invalidate_all(struct vtd_unit *unit)
{
	uint16_t source;

	vtd_entries_invalidate_all(unit);
	vtd_invalidate_iotlb(unit, VTD_IOTLB_GLOBAL, 0, 0);
	vtd_invalidate_finish(unit, &source);
}

/* --- By registers --- */

/* Whether a command by register is obeyed at all (11.4.6). */
static bool registers_in_charge(const struct vtd_unit *unit)
{
	return !(unit->reg.gsts & VTD_GCMD_QIE) && vtd_is_legacy(unit);
}

static bool is_dropped(const struct vtd_unit *unit, enum vtd_desc_type type)
{
	return unit->config.drop & 1u << type;
}

static bool context_command(struct vtd_unit *unit, unsigned int granularity, uint64_t ccmd)
{
	uint16_t source = 0;

	if (!registers_in_charge(unit))
		return false;
	vtd_count(unit, NULL, VTD_COUNT_INVALIDATE_CONTEXT, 1);
	if (is_dropped(unit, VTD_DESC_CONTEXT))
		return true;
	return vtd_invalidate_context(unit, granularity, (uint16_t)vtd_get(ccmd, VTD_CCMD_DID),
				      (uint16_t)vtd_get(ccmd, VTD_CCMD_SID),
				      (unsigned int)vtd_get(ccmd, VTD_CCMD_FM)) &&
	       !vtd_invalidate_finish(unit, &source);
}

uint64_t vtd_queue_context_command(struct vtd_unit *unit, uint64_t ccmd)
{
	uint64_t asked = vtd_get(ccmd, VTD_CCMD_CIRG);
	uint64_t done = context_command(unit, (unsigned int)asked, ccmd) ? asked : 0;

	return (ccmd & ~(VTD_CCMD_ICC | VTD_CCMD_CAIG)) | vtd_put(done, VTD_CCMD_CAIG);
}

static bool iotlb_command(struct vtd_unit *unit, unsigned int granularity, uint64_t iva,
			  uint64_t iotlb)
{
	uint16_t source = 0;

	if (!registers_in_charge(unit))
		return false;
	vtd_count(unit, NULL, VTD_COUNT_INVALIDATE_IOTLB, 1);
	if (is_dropped(unit, VTD_DESC_IOTLB))
		return true;
	return vtd_invalidate_iotlb(unit, granularity, (uint16_t)vtd_get(iotlb, VTD_IOTLB_DID),
				    iva) &&
	       !vtd_invalidate_finish(unit, &source);
}

uint64_t vtd_queue_iotlb_command(struct vtd_unit *unit, uint64_t iva, uint64_t iotlb)
{
	uint64_t asked = vtd_get(iotlb, VTD_IOTLB_IIRG);
	uint64_t done = iotlb_command(unit, (unsigned int)asked, iva, iotlb) ? asked : 0;

	return (iotlb & ~(VTD_IOTLB_IVT | VTD_IOTLB_IAIG)) | vtd_put(done, VTD_IOTLB_IAIG);
}
