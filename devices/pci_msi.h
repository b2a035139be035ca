/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain MSI (PCI 3.0, 6.8.1): one message, 64-bit address, no mask. For devices that guests know to
 * have it; others use MSI-X of devices/pci.h.
 */
#ifndef NIDUS_DEVICES_PCI_MSI_H
#define NIDUS_DEVICES_PCI_MSI_H

#include <pthread.h>
#include <stdbool.h>

#include "devices/machine.h"

struct pci_function;

struct pci_msi {
	pthread_mutex_t lock; /* protects what follows; a leaf */
	bool enabled;	      /* software has turned it on */
	bool master;	      /* the function may send: bus mastering is on */
	struct msi_message message;
	unsigned int cap; /* offset in configuration space; constant */
};

/* Appends the capability to @fn. */
void pci_add_msi(struct pci_function *fn, struct pci_msi *msi);
void pci_msi_destroy(struct pci_msi *msi);

/* For the function's config_written, always: takes over what software wrote. */
void pci_msi_written(struct pci_function *fn, struct pci_msi *msi);

/* True if software has turned MSI on: INTA# is silent then. Any thread. */
bool pci_msi_enabled(struct pci_msi *msi);

/* Sends the message if MSI is on and the function is bus master. Any thread, under any lock. */
void pci_msi_raise(struct pci_function *fn, struct pci_msi *msi);

#endif
