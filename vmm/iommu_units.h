/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The units that a machine has; between the files of vmm/iommu.h. Constant once it is built.
 */
#ifndef NIDUS_VMM_IOMMU_UNITS_H
#define NIDUS_VMM_IOMMU_UNITS_H

#include <stdint.h>

#include "vmm/iommu.h"

struct iommu_unit {
	struct machine *machine;
	char name[IOMMU_NAME];
	uint64_t base; /* GPA of its registers */
	struct vtd_unit *unit;
};

struct iommu {
	unsigned int count;
	struct iommu_unit unit[CONFIG_VTDS]; /* in the order of the options */
};

#endif
