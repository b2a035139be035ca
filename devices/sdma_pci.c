/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma as a PCI function: capabilities, BARs, doorbells, resets; and what a remapping unit asks of
 * it. All of this runs in vCPU threads.
 */
#include <linux/pci_regs.h>
#include <unistd.h>

#include "devices/log.h"
#include "devices/sdma_device.h"

static struct sdma *sdma_of(struct pci_function *fn)
{
	return container_of(fn, struct sdma, pci);
}

/* --- Doorbells --- */

static void set_doorbells(struct sdma *sdma, bool on)
{
	for (unsigned int i = 0; i < sdma->queue_count; i++) {
		uint64_t address = sdma->doorbells + i * SDMA_DOORBELL_SIZE;
		int rc = machine_set_doorbell(sdma->pci.host->machine, address, 0,
					      sdma->queue[i].doorbell, on);

		if (rc)
			log_debug(SDMA, "%s: doorbell %u exits to the VMM (%s)", sdma->name, i,
				  strerror(-rc));
	}
}

static void bar_moved(struct pci_function *fn, unsigned int bar, uint64_t address)
{
	struct sdma *sdma = sdma_of(fn);

	if (bar != SDMA_BAR_DOORBELLS)
		return;
	if (sdma->doorbells != PCI_BAR_UNMAPPED)
		set_doorbells(sdma, false);
	sdma->doorbells = address;
	if (sdma->doorbells != PCI_BAR_UNMAPPED)
		set_doorbells(sdma, true);
}

/* Only where the machine could not take the doorbell over. */
static void doorbell_access(struct sdma *sdma, struct bus_access *access)
{
	uint64_t queue = access->offset / SDMA_DOORBELL_SIZE, one = 1;

	if (!access->is_write) {
		access->value = 0;
		return;
	}
	if (access->offset % SDMA_DOORBELL_SIZE || queue >= sdma->queue_count)
		return;
	/* It cannot fail: the loop empties the counter long before it is full. */
	if (write(sdma->queue[queue].doorbell, &one, sizeof(one)) < 0)
		log_guest(SDMA, "%s: a doorbell was lost", sdma->name);
}

static void bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access)
{
	if (bar == SDMA_BAR_REGISTERS)
		sdma_register_access(sdma_of(fn), access);
	else
		doorbell_access(sdma_of(fn), access);
}

/* --- Configuration space --- */

static bool in_pri(const struct sdma *sdma, unsigned int offset, unsigned int size)
{
	return ranges_overlap(offset, size, sdma->caps.pri, PCI_EXT_CAP_PRI_SIZEOF);
}

static void config_written(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct sdma *sdma = sdma_of(fn);

	sdma_lock(sdma);
	if (ranges_overlap(offset, size, sdma->caps.ats, PCI_EXT_CAP_ATS_SIZEOF) &&
	    !pci_ats_enabled(fn, &sdma->caps))
		sdma_atc_init(&sdma->atc, sdma->atc.entries);
	if (in_pri(sdma, offset, size))
		sdma_pages_written(sdma,
				   ranges_overlap(offset, size, sdma->caps.pri + PCI_PRI_CTRL, 2));
	sdma_unlock(sdma);
	/* Queues that wait for what may not come any more look again. */
	sdma_wake(sdma);
}

static void config_reading(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct sdma *sdma = sdma_of(fn);

	if (in_pri(sdma, offset, size))
		sdma_pages_reading(sdma);
}

static int function_reset(struct pci_function *fn)
{
	struct sdma *sdma = sdma_of(fn);

	sdma_lock(sdma);
	pci_pasid_reset(fn, &sdma->caps);
	sdma_reset(sdma, true);
	sdma_unlock(sdma);
	return 0;
}

static const struct pci_ops ops = {
	.config_written = config_written,
	.config_reading = config_reading,
	.bar_access = bar_access,
	.bar_moved = bar_moved,
	.reset = function_reset,
};

/* --- What the remapping unit asks --- */

/* The lock is not to be had while DMA is under way: on return none is by what was dropped. */
static int invalidate(void *context, uint32_t pasid, uint64_t address, uint64_t size, bool global)
{
	struct sdma *sdma = sdma_of(context);
	uint64_t queues;

	sdma_lock(sdma);
	queues = sdma_atc_invalidate(&sdma->atc, pasid, address, size, global);
	for (unsigned int i = 0; i < sdma->queue_count; i++)
		if (queues >> i & 1)
			sdma_count(&sdma->queue[i], SDMA_COUNT_INVALIDATIONS, 1);
	sdma_unlock(sdma);
	return 0;
}

static void page_response(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	sdma_pages_response(sdma_of(context), pasid, group, code);
}

static const struct vtd_requester_ops iommu_ops = {
	.invalidate = invalidate,
	.page_response = page_response,
};

/* --- Life --- */

static uint64_t doorbells_size(const struct sdma *sdma)
{
	uint64_t size = SDMA_DOORBELL_SIZE;

	while (size < sdma->queue_count * (uint64_t)SDMA_DOORBELL_SIZE)
		size *= 2;
	return size;
}

int sdma_pci_init(struct sdma *sdma, struct pci_host *host)
{
	static const struct pci_ids ids = {
		.vendor = SDMA_VENDOR,
		.device = SDMA_DEVICE,
		.subsystem_vendor = SDMA_VENDOR,
		.subsystem = SDMA_DEVICE,
		.class_code = SDMA_CLASS,
		.revision = 1,
	};
	static const struct pci_pasid_features features = {
		.bits = VTD_PASID_BITS,
		.execute = true,
		.privileged = true,
		.ats = true,
		.pri_capacity = SDMA_CAPACITY,
	};
	struct pci_function *fn = &sdma->pci;
	int rc;

	sdma->doorbells = PCI_BAR_UNMAPPED;
	pci_function_init(fn, sdma->name, &ops, &ids, false);
	fn->iommu_ops = &iommu_ops;
	pci_add_bar(fn, SDMA_BAR_REGISTERS, PCI_BAR_MEM32, SDMA_REGISTERS_SIZE, false);
	pci_add_bar(fn, SDMA_BAR_DOORBELLS, PCI_BAR_MEM32, doorbells_size(sdma), false);
	pci_add_express(fn);
	pci_add_pasid(fn, &sdma->caps, &features);
	rc = pci_host_add(host, fn, -1);
	if (rc)
		return rc;
	return pci_add_msix(fn, sdma->queue_count, SDMA_BAR_REGISTERS, SDMA_MSIX_TABLE,
			    SDMA_MSIX_PBA);
}
