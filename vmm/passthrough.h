/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of the host that a machine has: one DMA context for all of them, each opened, put on
 * the guest's bus and attached (devices/vfio.h).
 */
#ifndef NIDUS_VMM_PASSTHROUGH_H
#define NIDUS_VMM_PASSTHROUGH_H

#include "vmm/config.h"

struct machine;
struct passthrough;
struct report;

/* What is said of one --vfio and meant for all. */
struct passthrough_shared {
	int iommufd;		  /* -1: opened by us */
	unsigned int pasid_quota; /* 0: default */
};

/* The first that is given of each. */
struct passthrough_shared passthrough_shared(const struct vm_config *config);

/*
 * Whether the host has them, bound and accessible; nothing is opened. 0, or -EINVAL with the line
 * that passthrough_create() would give.
 */
int passthrough_check(const struct vm_config *config, struct config_error *error);

/*
 * Makes them all. 0, and NULL in *@passthrough if there are none; or negative errno after one line
 * on stderr.
 */
int passthrough_create(struct machine *machine, struct passthrough **passthrough);
/* NULL is ignored, as below. */
void passthrough_destroy(struct passthrough *passthrough);

/* Stops them: no interrupts, no DMA, no page requests. Loop thread, when the vCPUs have stopped. */
void passthrough_quiesce(struct passthrough *passthrough);

/* Adds what they did, and by which way they are passed. Any thread. */
void passthrough_report(const struct passthrough *passthrough, struct report *report);

#endif
