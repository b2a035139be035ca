/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/vtd.h"

#include "lib/apic.h"
#include "lib/memory.h"
#include "lib/time.h"

#define PERSISTENT   (VTD_GCMD_TE | VTD_GCMD_EAFL | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI)
#define FAULT_BYTES  16
#define MSI_BASE     0xfee00000U
#define EVENT_DATA   4 /* from the control register on */
#define EVENT_ADDR   8
#define EVENT_UADDR  12
#define FAULTS_TAKEN 256 /* bound: a record that cannot be cleared must not keep us for ever */

void vtd_open(struct vtd *vtd, uintptr_t base)
{
	*vtd = (struct vtd){ .base = base };
	vtd->cap = vtd_get64(vtd, VTD_CAP);
	vtd->ecap = vtd_get64(vtd, VTD_ECAP);
	vtd->queue = pages(1UL << VTD_IQ_PAGES);
	vtd->status = pages(1);
}

bool vtd_command(const struct vtd *vtd, uint64_t bit, bool on)
{
	uint64_t until = time_us() + VTD_SOON_US;
	uint32_t now = (uint32_t)(vtd_get32(vtd, VTD_GSTS) & PERSISTENT);

	vtd_set32(vtd, VTD_GCMD, (uint32_t)(on ? now | bit : now & ~bit));
	while (!(vtd_get32(vtd, VTD_GSTS) & bit) == on)
		if (time_us() > until)
			return false;
	return true;
}

void vtd_quiet(struct vtd *vtd)
{
	vtd_command(vtd, VTD_GCMD_TE, false);
	vtd_command(vtd, VTD_GCMD_IRE, false);
	vtd_command(vtd, VTD_GCMD_CFI, false);
	vtd_command(vtd, VTD_GCMD_QIE, false);
	vtd_event_mask(vtd, VTD_FECTL, true);
	vtd_event_mask(vtd, VTD_IECTL, true);
	if (vtd->ecap & VTD_ECAP_PRS)
		vtd_event_mask(vtd, VTD_PECTL, true);
	vtd_clear_faults(vtd);
	vtd_set32(vtd, VTD_ICS, VTD_ICS_IWC);
}

/* --- The queue --- */

unsigned int vtd_desc_size(const struct vtd *vtd)
{
	return vtd->wide ? 32 : 16;
}

bool vtd_queue_start(struct vtd *vtd, bool wide)
{
	vtd_command(vtd, VTD_GCMD_QIE, false);
	vtd->wide = wide;
	vtd->tail = 0;
	vtd_set64(vtd, VTD_IQT, 0);
	vtd_set64(vtd, VTD_IQA,
		  (uintptr_t)vtd->queue | VTD_IQ_PAGES | (wide ? VTD_IQA_DW : UINT64_C(0)));
	return vtd_command(vtd, VTD_GCMD_QIE, true);
}

void vtd_queue_add(struct vtd *vtd, const struct vtd_desc *desc)
{
	memcpy(vtd->queue + vtd->tail, desc, vtd_desc_size(vtd));
	vtd->tail += vtd_desc_size(vtd);
	vtd->tail %= (uint32_t)(PAGE_SIZE << VTD_IQ_PAGES);
}

void vtd_queue_go(const struct vtd *vtd)
{
	barrier();
	vtd_set64(vtd, VTD_IQT, vtd->tail);
}

bool vtd_queue_sync(struct vtd *vtd)
{
	uint64_t until = time_us() + VTD_SOON_US;
	struct vtd_desc wait = { { VTD_DESC_WAIT | VTD_WAIT_SW | VTD_WAIT_FN |
					   vtd_put(++vtd->ticket, VTD_WAIT_DATA),
				   (uintptr_t)vtd->status } };

	vtd_queue_add(vtd, &wait);
	vtd_queue_go(vtd);
	while (*vtd->status != vtd->ticket)
		if (time_us() > until)
			return false;
	return true;
}

bool vtd_flush(struct vtd *vtd)
{
	static const struct vtd_desc context = { { VTD_DESC_CONTEXT | VTD_CONTEXT_GLOBAL << 4 } };
	static const struct vtd_desc pasid = { { VTD_DESC_PASID_CACHE | VTD_PASID_CACHE_GLOBAL
										<< 4 } };
	static const struct vtd_desc iotlb = { { VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << 4 |
						 VTD_IOTLB_D_DW | VTD_IOTLB_D_DR } };

	vtd_queue_add(vtd, &context);
	if (vtd->wide && vtd_get(vtd_get64(vtd, VTD_RTADDR), VTD_RTADDR_TTM) == VTD_TTM_SCALABLE)
		vtd_queue_add(vtd, &pasid);
	vtd_queue_add(vtd, &iotlb);
	return vtd_queue_sync(vtd);
}

/* --- Faults --- */

static uintptr_t fault_record(const struct vtd *vtd, unsigned int index)
{
	return vtd->base + vtd_get(vtd->cap, VTD_CAP_FRO) * 16 + index * FAULT_BYTES;
}

bool vtd_take_fault(const struct vtd *vtd, struct vtd_fault *fault)
{
	uint32_t status = vtd_get32(vtd, VTD_FSTS);
	uintptr_t at = fault_record(vtd, (unsigned int)vtd_get(status, VTD_FSTS_FRI));
	uint64_t low, high;

	if (!(status & VTD_FSTS_PPF))
		return false;
	low = read64(at);
	high = read64(at + 8);
	if (!(high & VTD_FRCD1_F))
		return false;
	write32(at + 12, (uint32_t)(VTD_FRCD1_F >> 32));
	*fault = (struct vtd_fault){
		.address = low & VTD_FRCD0_FI,
		.reason = (uint8_t)vtd_get(high, VTD_FRCD1_FR),
		.source = (uint16_t)vtd_get(high, VTD_FRCD1_SID),
		.pasid = (uint32_t)vtd_get(high, VTD_FRCD1_PV),
		.has_pasid = high & VTD_FRCD1_PP,
		.is_read = (high & VTD_FRCD1_T1) && !(high & VTD_FRCD1_T2),
		.is_page_request = !(high & VTD_FRCD1_T1) && (high & VTD_FRCD1_T2),
		.is_execute = high & VTD_FRCD1_EXE,
		.is_privileged = high & VTD_FRCD1_PRIV,
	};
	return true;
}

void vtd_clear_faults(const struct vtd *vtd)
{
	struct vtd_fault fault;

	for (unsigned int i = 0; i < FAULTS_TAKEN && vtd_take_fault(vtd, &fault); i++)
		continue;
	vtd_set32(vtd, VTD_FSTS, VTD_FSTS_PFO | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE);
}

/* --- Events --- */

void vtd_event_set(const struct vtd *vtd, unsigned int control, uint8_t vector)
{
	vtd_set32(vtd, control + EVENT_DATA, vector);
	vtd_set32(vtd, control + EVENT_ADDR, MSI_BASE | apic_id() << 12);
	vtd_set32(vtd, control + EVENT_UADDR, 0);
}

void vtd_event_mask(const struct vtd *vtd, unsigned int control, bool masked)
{
	vtd_set32(vtd, control, masked ? (uint32_t)VTD_EVENT_IM : 0);
}
