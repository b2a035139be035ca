/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DMAR: which remapping units there are, and who is behind each (VT-d 4.1, 8).
 */
#ifndef BARE_DMAR_H
#define BARE_DMAR_H

#include "lib/base.h"

#define DMAR_UNITS_MAX 8

struct dmar_unit {
	uint64_t base;
	uint16_t segment;
	bool include_all;
	unsigned int endpoints; /* of its device scope */
	unsigned int ioapics;
	uint8_t ioapic_id;	/* enumeration id of the first */
	uint16_t ioapic_source; /* its source-id */
};

struct dmar {
	unsigned int host_bits;
	uint8_t flags;
	unsigned int units;
	struct dmar_unit unit[DMAR_UNITS_MAX];
	unsigned int atsr, rmrr, satc;
	bool ordered;	  /* structures come in the order of their types */
	bool well_formed; /* no length leads out of the table */
};

#define DMAR_INTR_REMAP	     0x1
#define DMAR_X2APIC_OPT_OUT  0x2
#define DMAR_INCLUDE_PCI_ALL 0x1

/* False if there is no such table. */
bool dmar_read(struct dmar *dmar);

/* The unit that names function @devfn of bus 0, or else the one that has all others; or NULL. */
const struct dmar_unit *dmar_unit_of(const struct dmar *dmar, unsigned int devfn);

#endif
