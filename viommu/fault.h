/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Primary fault logging (7.2.1) and the fault status register.
 */
#ifndef NIDUS_VIOMMU_FAULT_H
#define NIDUS_VIOMMU_FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "viommu/spec.h"

struct vtd_unit;
struct vtd_requester;

#define VTD_FAULT_RECORDS 16

enum vtd_fault_type { VTD_FAULT_WRITE, VTD_FAULT_READ, VTD_FAULT_ATOMIC, VTD_FAULT_PAGE_REQUEST };

struct vtd_fault {
	struct vtd_requester *requester; /* for counters and traces; NULL: unknown */
	uint16_t source;
	uint32_t pasid;	  /* or VTD_NO_PASID */
	uint64_t address; /* or, for interrupt remapping, the index << 48 */
	enum vtd_reason reason;
	enum vtd_fault_type type;
	bool execute, privileged;
	uint8_t address_type; /* AT: 0 untranslated, 1 translation request, 2 translated */
};

/* What is known of a reason. One table, in fault.c, is the list of all rules. */
struct vtd_reason_info {
	enum vtd_reason reason;
	const char *name; /* the specification's: "SPT.2" */
	const char *text;
	bool qualified;	  /* not recorded if FPD is set in an entry on the way (7.1.3) */
	bool recoverable; /* an ATS translation request gets an answer without permissions instead
			   * of an error (7.1.4) */
};
extern const struct vtd_reason_info vtd_reasons[];
extern const unsigned int vtd_reason_count;
const struct vtd_reason_info *vtd_reason_info(unsigned int reason); /* NULL: no such reason */

/* " pasid 0x45", or nothing for VTD_NO_PASID: for lines of a trace. Returns @text. */
#define VTD_PASID_TEXT 24
const char *vtd_pasid_text(uint32_t pasid, char text[VTD_PASID_TEXT]);

struct vtd_faults {
	pthread_mutex_t lock; /* protects all of it, and unit->event[]; a leaf */
	struct {
		uint64_t low, high;
	} record[VTD_FAULT_RECORDS];
	unsigned int next;	 /* where the next fault goes */
	uint32_t status;	 /* FSTS without PPF and FRI, which are derived */
	uint64_t by_reason[256]; /* counters, atomic */
};

int vtd_faults_init(struct vtd_unit *unit);
void vtd_faults_destroy(struct vtd_unit *unit);
void vtd_faults_reset(struct vtd_unit *unit);

/*
 * Records a fault. The caller has looked at FPD. A fault of a source that has a pending record with
 * the same page and reason is collapsed into it; without a free record the fault is lost and PFO
 * set. Any thread, any lock but faults.lock.
 */
void vtd_fault_record(struct vtd_unit *unit, const struct vtd_fault *fault);

/* Sets IQE, ICE or ITE (VTD_FSTS_*) and raises the fault event. */
void vtd_fault_queue_error(struct vtd_unit *unit, uint32_t bit);

/* The guest's accesses. */
uint32_t vtd_fsts_read(struct vtd_unit *unit);
void vtd_fsts_write(struct vtd_unit *unit, uint32_t value);
uint64_t vtd_frcd_read(struct vtd_unit *unit, unsigned int index, bool high);
void vtd_frcd_write(struct vtd_unit *unit, unsigned int index, bool high, uint64_t value);

#endif
