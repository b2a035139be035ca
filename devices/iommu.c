/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/iommu.h"

#include <errno.h>

#include "devices/pci.h"
#include "viommu/vtd.h"

_Static_assert(DMA_NO_PASID == VTD_NO_PASID, "one way to say: without PASID");
_Static_assert((int)DMA_READ == VTD_READ && (int)DMA_WRITE == VTD_WRITE, "accesses are passed on");

static int translate(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
		     uint64_t *gpa, uint64_t *run)
{
	struct vtd_request request = { .requester = dma->iommu,
				       .pasid = dma->pasid,
				       .iova = iova,
				       .len = len,
				       .access = access,
				       .type = VTD_UNTRANSLATED };
	struct vtd_result result;
	int rc = vtd_translate(dma->unit, &request, &result);

	if (rc)
		return rc;
	*gpa = result.gpa;
	*run = result.len;
	return 0;
}

static uint64_t epoch(const struct dma *dma)
{
	return vtd_epoch(dma->unit);
}

static unsigned int enter(const struct dma *dma)
{
	return vtd_dma_enter(dma->unit);
}

static void leave(const struct dma *dma, unsigned int token)
{
	vtd_dma_leave(dma->unit, token);
}

static const struct dma_ops ops = { translate, epoch, enter, leave };

int iommu_attach(struct pci_function *fn, struct vtd_unit *unit)
{
	fn->dma.iommu = vtd_attach(unit, fn->requester, fn->name, fn->iommu_ops, fn);
	if (!fn->dma.iommu)
		return -errno;
	fn->dma.unit = unit;
	fn->dma.ops = &ops;
	return 0;
}
