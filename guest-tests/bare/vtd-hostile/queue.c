/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The invalidation queue: descriptors of all types with anything in their fields, and page
 * responses that nobody waits for.
 */
#include "vtd-hostile/hostile.h"

static struct vtd_desc any_wait(struct hammer *h)
{
	/* The status is a word of the arena too: half of one. */
	uint64_t status = any_word(h) & UINT32_MAX & ~VTD_FS_PS;
	struct vtd_desc desc = { { VTD_DESC_WAIT | (random64(h) & 0xf0) | status << 32,
				   any_iova(h, 8) & VTD_WAIT1_ADDR } };

	return desc;
}

/* The group of a request that came, answered or not, or of one that never did. */
static uint64_t any_group(struct hammer *h)
{
	uint64_t slot = world.prq + below(h, PRQ_PAGES * PAGE_SIZE / sizeof(struct vtd_desc)) *
					    sizeof(struct vtd_desc);

	return once_in(h, 4) ? below(h, 512) : vtd_get(*(uint64_t *)(slot + 8), VTD_PAGE1_PRGI);
}

static struct vtd_desc any_response(struct hammer *h)
{
	struct vtd_desc desc = { { VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P |
					   vtd_put(below(h, 16), VTD_RESPONSE_RC) |
					   vtd_put(world.sdma.devfn, VTD_RESPONSE_RID) |
					   vtd_put(below(h, SOME_PASIDS), VTD_DESC_PASID),
				   vtd_put(any_group(h), VTD_RESPONSE1_PRGI) } };

	return desc;
}

static struct vtd_desc any_invalidation(struct hammer *h)
{
	static const uint8_t types[] = { VTD_DESC_CONTEXT,     VTD_DESC_IOTLB,
					 VTD_DESC_DEVTLB,      VTD_DESC_INTERRUPT,
					 VTD_DESC_PASID_IOTLB, VTD_DESC_PASID_CACHE,
					 VTD_DESC_PASID_DEVTLB };
	struct vtd_desc desc = { { types[below(h, ARRAY_SIZE(types))] | (random64(h) & 0x30) } };

	if (once_in(h, 2))
		desc.qw[1] = any_iova(h, 8);
	if (once_in(h, 2))
		desc.qw[0] |= vtd_put(below(h, SOME_PASIDS), VTD_DESC_PASID);
	if (once_in(h, 4))
		desc.qw[0] |= vtd_put(world.sdma.devfn, VTD_DESC_DID);
	if (once_in(h, 8))
		desc.qw[0] |= random64(h) & ~(VTD_DESC_TYPE_LOW | VTD_DESC_TYPE_HIGH);
	return desc;
}

static struct vtd_desc any_descriptor(struct hammer *h)
{
	struct vtd_desc desc = { { 0 } };

	switch (below(h, 8)) {
	case 0:
	case 1:
		return any_wait(h);
	case 2:
	case 3:
		return any_response(h);
	case 4:
		/* No wait: its address would be anything. */
		do
			desc.qw[0] = random64(h);
		while ((desc.qw[0] & 15) == VTD_DESC_WAIT && !world.deadly);
		desc.qw[1] = random64(h);
		return desc;
	default:
		return any_invalidation(h);
	}
}

/* A queue in a state that works, for a while; other CPUs undo it, so nothing is waited for. */
static void restart(struct hammer *h)
{
	struct vtd *vtd = &world.vtd;

	vtd->wide = below(h, 2);
	vtd->tail = 0;
	vtd_set32(vtd, VTD_FSTS, (uint32_t)(VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE));
	vtd_set32(vtd, VTD_GCMD, (uint32_t)(VTD_GCMD_TE | VTD_GCMD_IRE | VTD_GCMD_CFI));
	vtd_set64(vtd, VTD_IQT, 0);
	vtd_set64(vtd, VTD_IQA, world.iq | VTD_IQ_PAGES | (vtd->wide ? VTD_IQA_DW : UINT64_C(0)));
	vtd_set32(vtd, VTD_GCMD,
		  (uint32_t)(VTD_GCMD_TE | VTD_GCMD_IRE | VTD_GCMD_CFI | VTD_GCMD_QIE));
}

void hammer_queue(struct hammer *h)
{
	struct vtd *vtd = &world.vtd;
	unsigned int count = 1 + (unsigned int)below(h, 8);

	if (!spin_try(&world.queue_lock))
		return;
	if (once_in(h, 4))
		restart(h);
	while (count--) {
		struct vtd_desc desc = any_descriptor(h);

		vtd_queue_add(vtd, &desc);
	}
	vtd_queue_go(vtd);
	spin_unlock(&world.queue_lock);
}

void tell_entry(struct hammer *h, uint32_t pasid)
{
	const struct vtd_desc descs[] = {
		{ { VTD_DESC_PASID_CACHE | vtd_put(below(h, 4), VTD_DESC_G) |
		    vtd_put(below(h, 4), VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID) } },
		{ { VTD_DESC_PASID_IOTLB | vtd_put(2 + below(h, 2), VTD_DESC_G) |
			    vtd_put(below(h, 4), VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
		    any_iova(h, 8) & VTD_ADDR1_ADDR } },
		any_wait(h),
	};
	unsigned int count = (unsigned int)below(h, ARRAY_SIZE(descs) + 1);

	if (!spin_try(&world.queue_lock))
		return;
	if (vtd_get32(&world.vtd, VTD_FSTS) & (VTD_FSTS_IQE | VTD_FSTS_ITE))
		restart(h);
	for (unsigned int i = 0; i < count; i++)
		vtd_queue_add(&world.vtd, &descs[i]);
	vtd_queue_go(&world.vtd);
	spin_unlock(&world.queue_lock);
}
