/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `fake` host backend: a real device and its host's IOMMU, in memory.
 *
 * It keeps what is bound, checks how it is called, and does DMA by walking the guest's tables
 * itself. What it has walked it remembers until it is told to forget, as hardware may: an
 * invalidation that does not arrive is a wrong translation. No test framework in here.
 */
#ifndef NIDUS_TESTS_FAKE_HOST_H
#define NIDUS_TESTS_FAKE_HOST_H

#include "viommu/unit.h"

#define FAKE_HOST_DOMAINS  4200
#define FAKE_HOST_TLB	   32
#define FAKE_HOST_RECORDED 32 /* ranges and responses kept; more are only counted */

struct fake_host_tlb {
	bool used, writable;
	uint64_t page, gpa;
};

/* What is bound to one PASID. */
struct fake_host_domain {
	bool used;
	uint32_t pasid;
	struct vtd_binding binding;
	struct fake_host_tlb tlb[FAKE_HOST_TLB];
	unsigned int next;
};

struct fake_host_response {
	uint32_t pasid;
	unsigned int group, code;
};

/* The @after-th call from now on fails with @error (1: the next one; 0: none does). */
struct fake_host_failure {
	unsigned int after;
	int error;
};

struct fake_host {
	struct vtd_unit *unit;
	struct vtd_requester *requester;
	struct vtd_host_ops ops;
	struct fake_host_domain *domain; /* FAKE_HOST_DOMAINS */
	struct fake_host_failure fail_bind, fail_unbind, fail_invalidate, fail_flush, fail_respond;
	unsigned int binds, replaces, unbinds, invalidates, ranges, responses; /* calls */
	uint32_t last_pasid;					/* of the last invalidate() */
	struct vtd_host_invalidation range[FAKE_HOST_RECORDED]; /* of the last invalidate() */
	struct fake_host_response response[FAKE_HOST_RECORDED];
	const char *broken; /* the first rule that a call broke, or NULL */
};

/* Makes @requester a real device with PASIDs of @pasid_bits. 0, or an error of vtd_set_host(). */
int fake_host_init(struct fake_host *host, struct vtd_unit *unit, struct vtd_requester *requester,
		   unsigned int pasid_bits);
/* After the unit was destroyed. */
void fake_host_destroy(struct fake_host *host);

/* What is bound to @pasid, or NULL. */
const struct vtd_binding *fake_host_bound(const struct fake_host *host, uint32_t pasid);
unsigned int fake_host_count(const struct fake_host *host);

/* A DMA of the device. 0 and the guest-physical address, or -EFAULT. */
int fake_host_dma(struct fake_host *host, uint32_t pasid, uint64_t iova, bool write, uint64_t *gpa);

#endif
