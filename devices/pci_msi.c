/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci_msi.h"

#include <linux/pci_regs.h>

#include "devices/base.h"
#include "devices/pci.h"

#define MSI_SIZE 14 /* with a 64-bit address, without mask bits */

void pci_add_msi(struct pci_function *fn, struct pci_msi *msi)
{
	unsigned int cap = pci_add_capability(fn, PCI_CAP_ID_MSI, MSI_SIZE);

	store_le16(&fn->config[cap + PCI_MSI_FLAGS], PCI_MSI_FLAGS_64BIT);
	store_le16(&fn->writable[cap + PCI_MSI_FLAGS], PCI_MSI_FLAGS_ENABLE);
	store_le32(&fn->writable[cap + PCI_MSI_ADDRESS_LO], ~3U);
	store_le32(&fn->writable[cap + PCI_MSI_ADDRESS_HI], UINT32_MAX);
	store_le16(&fn->writable[cap + PCI_MSI_DATA_64], UINT16_MAX);
	*msi = (struct pci_msi){ .cap = cap };
	pthread_mutex_init(&msi->lock, NULL);
}

void pci_msi_destroy(struct pci_msi *msi)
{
	pthread_mutex_destroy(&msi->lock);
}

void pci_msi_written(struct pci_function *fn, struct pci_msi *msi)
{
	const uint8_t *cap = &fn->config[msi->cap];

	pthread_mutex_lock(&msi->lock);
	msi->enabled = load_le16(cap + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE;
	msi->master = pci_bus_master(fn);
	msi->message.address = load_le32(cap + PCI_MSI_ADDRESS_LO) |
			       (uint64_t)load_le32(cap + PCI_MSI_ADDRESS_HI) << 32;
	msi->message.data = load_le16(cap + PCI_MSI_DATA_64);
	pthread_mutex_unlock(&msi->lock);
}

bool pci_msi_enabled(struct pci_msi *msi)
{
	bool enabled;

	pthread_mutex_lock(&msi->lock);
	enabled = msi->enabled;
	pthread_mutex_unlock(&msi->lock);
	return enabled;
}

void pci_msi_raise(struct pci_function *fn, struct pci_msi *msi)
{
	struct msi_message message;
	bool sent;

	pthread_mutex_lock(&msi->lock);
	sent = msi->enabled && msi->master;
	message = msi->message;
	pthread_mutex_unlock(&msi->lock);
	if (sent)
		machine_send_msi(fn->host->machine, fn->requester, &message);
}
