/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI functions behind a VT-d unit: DMA of devices/dma.h by way of viommu/.
 */
#ifndef NIDUS_DEVICES_IOMMU_H
#define NIDUS_DEVICES_IOMMU_H

struct pci_function;
struct vtd_unit;

/*
 * Puts @fn behind @unit: its DMA is translated from now on, and fn->dma.iommu is its handle for
 * vtd_translate() and page requests. Done by pci_host_add(). 0, or -ENOSPC.
 */
int iommu_attach(struct pci_function *fn, struct vtd_unit *unit);

#endif
