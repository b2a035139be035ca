/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three extended capabilities of a function that shares address spaces: PASID, ATS and PRI
 * (PCIe 5.0, 7.8.8, 10.5.1 and 10.5.2). Only the registers; what they switch on is the device's.
 *
 * Readers of enables may be any thread; everything else is for the device's config_written and
 * config_reading, under the host bridge's lock.
 */
#ifndef NIDUS_DEVICES_PCI_PASID_H
#define NIDUS_DEVICES_PCI_PASID_H

#include <stdbool.h>
#include <stdint.h>

struct pci_function;

/* Where the capabilities are in configuration space; 0: not there. */
struct pci_pasid {
	unsigned int pasid, ats, pri;
};

/* What a function has of them. */
struct pci_pasid_features {
	unsigned int bits;	  /* of PASIDs, 1 to 20 */
	bool execute, privileged; /* modes of requests with PASID */
	bool ats;		  /* with page aligned requests and an unlimited invalidate queue */
	unsigned int pri_capacity; /* requests that it may have outstanding; 0: no PRI */
};

/*
 * Appends PASID and, as @features say, ATS and PRI; the responses of PRI have the PASID. Declares
 * end-end TLP prefixes: pci_add_express() must have been called.
 */
void pci_add_pasid(struct pci_function *fn, struct pci_pasid *caps,
		   const struct pci_pasid_features *features);

/* Reset values for all three. */
void pci_pasid_reset(struct pci_function *fn, const struct pci_pasid *caps);

bool pci_pasid_enabled(const struct pci_function *fn, const struct pci_pasid *caps);
bool pci_pasid_privileged(const struct pci_function *fn, const struct pci_pasid *caps);
bool pci_ats_enabled(const struct pci_function *fn, const struct pci_pasid *caps);
/* PRI's Enable as the register has it, and the number of requests that software allows. */
bool pci_pri_enabled(const struct pci_function *fn, const struct pci_pasid *caps);
uint32_t pci_pri_allocation(const struct pci_function *fn, const struct pci_pasid *caps);

/* Takes the Reset bit of PRI: true if it was written as 1. It reads as 0. */
bool pci_pri_take_reset(struct pci_function *fn, const struct pci_pasid *caps);

/*
 * Shows the state of the page request interface: whether it is @enabled and @stopped. @raise is
 * added to the status flags (PCI_PRI_STATUS_RF, PCI_PRI_STATUS_UPRGI), which software clears.
 */
void pci_pri_show(struct pci_function *fn, const struct pci_pasid *caps, bool enabled, bool stopped,
		  uint16_t raise);
/* Clears the status flags, as enabling does. */
void pci_pri_clear(struct pci_function *fn, const struct pci_pasid *caps);

#endif
