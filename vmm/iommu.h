/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VT-d units of a machine: from the options to units on the bus, what is behind which, and the
 * table that tells the guest.
 *
 * iommu_config.c works out what a unit is to offer, iommu.c makes it, iommu_explain.c shows what it
 * offers and iommu_report.c what it did.
 */
#ifndef NIDUS_VMM_IOMMU_H
#define NIDUS_VMM_IOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "viommu/vtd.h"
#include "vmm/config.h"
#include "vmm/cpuid.h"

#define IOMMU_NAME	 8    /* bytes of "vtd15" with the NUL, and some */
#define IOMMU_TABLE_SIZE 4096 /* bytes that a DMAR table of the largest machine takes */

struct machine;
struct report;

/* --- iommu_config.c --- */

/*
 * What @options are for a guest with @cpu. 0, or -EINVAL with @error if a feature is on and what it
 * needs is not; @index is of the unit, for the message.
 */
int iommu_resolve(const struct vtd_options *options, const struct cpuid_guest *cpu,
		  unsigned int index, struct vtd_config *config, struct config_error *error);

/* The width of guest-physical addresses, as a unit may have it: 32 to 52. */
unsigned int iommu_host_bits(const struct cpuid_guest *cpu);

/* Whether @name is among the devices of @options, which has such a list. */
bool iommu_lists(const struct vtd_options *options, const char *name);

/* The unit that the device called @name is behind: its index, or -1. */
int iommu_index(const struct vm_config *config, const char *name);

/* Checks all that is said about units, and that the machine has the devices. 0 or -EINVAL. */
int iommu_check(const struct vm_config *config, struct config_error *error);

/* --- iommu.c --- */

/* Makes the units. 0, or negative errno after one line on stderr. */
int iommu_create(struct machine *machine);
void iommu_destroy(struct machine *machine);

/* The machine ends: no vCPU is to stay in a unit. Any thread. */
void iommu_halt(const struct machine *machine);

/*
 * As power-on, also after iommu_halt(): nothing is translated, and devices of the host are back on
 * guest-physical addresses, without PASIDs. A vCPU's thread.
 */
void iommu_reset(const struct machine *machine);

/*
 * Writes the DMAR table, header and checksum included, for the devices that there are now. Returns
 * its size; 0 if there is no unit; -ENOSPC.
 */
int iommu_table(const struct machine *machine, uint8_t *table, size_t capacity);

/* The requester called @name and its unit; false: there is none. */
bool iommu_find(const struct machine *machine, const char *name, struct vtd_unit **unit,
		struct vtd_requester **requester);

/* --- iommu_explain.c --- */

/* Writes what units like those of @config offer, for a CPU like this host's. 0, or -EINVAL with
 * @error. */
int iommu_explain(const struct vm_config *config, bool json, FILE *out, struct config_error *error);

/* --- iommu_report.c --- */

/* Adds the counters of units, requesters and PASIDs. Any thread. */
void iommu_report(const struct machine *machine, struct report *report);

#endif
