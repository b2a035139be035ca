/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a unit: what its files share. Nobody outside viommu/ and its tests includes this.
 *
 *   unit.c       creation, reset, requesters, counters
 *   caps.c       CAP and ECAP, derived and explained
 *   registers.c  the register file: one table
 *   command.c    the commands of GCMD
 *   queue.c      the invalidation queue; descriptor.c: what its descriptors are and do
 *   invalidate.c what they do to the caches; register-based invalidation
 *   event.c      the three interrupts of the unit itself
 *   fault.c      primary fault logging, and the table of reasons
 *   prq.c        page requests and their responses; prq_groups.c: those that wait for one
 *   ir.c         interrupt remapping
 *   decode.c     root, context and PASID entries, read and checked
 *   entries.c    their cache
 *   walk.c       walks; walk_first.c (nested ones too) and walk_second.c: the stages
 *   iotlb.c      the IOTLB
 *   recent.h     what each requester used last
 *   gate.c       waiting for DMA under way
 *   translate.c  vtd_translate(): entries, IOTLB, walk, fault; access.h: access rights
 *   host.c       bindings of real devices: the host backend
 *   host_bind.c    one of them: what the tables ask for, and how it follows them
 *   host_collect.c what is to be invalidated in the host, and sending it
 *   host_scan.c    which PASIDs the guest's tables have
 *   vcmd.c       virtual commands
 *   dmar.c       the ACPI table that tells the guest of all units (dmar.h)
 *
 * Locks, outermost first:
 *   unit->lock    register file and invalidation queue; held while descriptors are executed
 *   host.lock     bindings
 *   prq.lock      page request queue and outstanding requests
 *   faults.lock   fault registers, FSTS, and the three events; a leaf
 *   ir.lock       interrupt remapping: its state, table and cache; a leaf
 *   gate.lock     one wait at a time for DMA under way; inside of unit->lock alone
 * and the IOTLB's and entry cache's set locks, leaves too, taken to change and never to read.
 * Page requests call page_response() without prq.lock.
 *
 * Staleness. Every cached entry carries the sum of the generation counters that cover it, read
 * before the tables were; bumping any of them makes it a miss. Page-selective invalidation clears
 * the sets concerned instead. A walk that was overtaken by one must not be cached: see iotlb.h.
 */
#ifndef NIDUS_VIOMMU_UNIT_H
#define NIDUS_VIOMMU_UNIT_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "viommu/entries.h"
#include "viommu/event.h"
#include "viommu/fault.h"
#include "viommu/gate.h"
#include "viommu/host.h"
#include "viommu/invalidate.h"
#include "viommu/iotlb.h"
#include "viommu/ir.h"
#include "viommu/prq.h"
#include "viommu/queue.h"
#include "viommu/spec.h"
#include "viommu/vcmd.h"
#include "viommu/vtd.h"

struct vtd_counters {
	uint64_t value[VTD_COUNTERS];
};

struct vtd_requester {
	struct vtd_unit *unit;
	uint16_t source;
	const char *name;
	const struct vtd_requester_ops *ops; /* NULL: none */
	void *context;
	struct vtd_counters counters;
	struct vtd_host_requester *host; /* NULL: an emulated device */
	vtd_trace_sink *trace;		 /* NULL: off; atomic */
	void *trace_context;
};

/* Registers that only software and registers.c care about. unit->lock. */
struct vtd_registers {
	uint32_t gsts;	 /* bits of VTD_GCMD_* */
	uint64_t rtaddr; /* as written; in force from SRTP on */
	uint64_t irta;	 /* the same, SIRTP */
	uint64_t ccmd, iotlb, iva;
};

struct vtd_unit {
	struct vtd_config config;
	uint64_t cap, ecap; /* constant once the VM runs */
	const struct vtd_memory_ops *memory;
	void *memory_context;
	const struct vtd_machine_ops *machine;
	void *machine_context;

	pthread_mutex_t lock; /* protects reg, queue, vcmd, and the order of commands */
	struct vtd_registers reg;
	struct vtd_queue queue;
	struct vtd_vcmd_state vcmd;

	/*
	 * What a translation depends on beside memory, set by registers.c under the lock and read
	 * by any thread: atomic. Root is RTADDR as latched by SRTP, its TTM included.
	 */
	uint64_t root;
	bool translation; /* GSTS.TES */
	bool halted;	  /* vtd_halt() was called; atomic */

	struct vtd_entries entries;
	struct vtd_iotlb iotlb;
	struct vtd_gate gate;
	struct vtd_faults faults;
	struct vtd_event event[VTD_EVENTS]; /* faults.lock */
	struct vtd_prq prq;
	struct vtd_ir ir;
	struct vtd_host host;

	struct vtd_requester requester[VTD_REQUESTERS];
	unsigned int requester_count; /* constant once the VM runs */
	/* requester index + 1 by source-id & 0xff, for bus 0; 0: none. */
	uint8_t by_devfn[256];
	struct vtd_counters counters;
};

/* --- unit.c --- */

/* Adds to a counter of the unit and, unless NULL, of @requester. Exact. */
void vtd_count(struct vtd_unit *unit, struct vtd_requester *requester, enum vtd_counter which,
	       uint64_t add);

/* The same for the hot path: may lose counts when threads race. */
static inline void vtd_count_fast(struct vtd_counters *counters, enum vtd_counter which)
{
	uint64_t value = __atomic_load_n(&counters->value[which], __ATOMIC_RELAXED);

	__atomic_store_n(&counters->value[which], value + 1, __ATOMIC_RELAXED);
}

/* True if @requester is being traced; then vtd_trace_line() says what it did. */
static inline bool vtd_tracing(const struct vtd_requester *requester)
{
	return requester && __atomic_load_n(&requester->trace, __ATOMIC_ACQUIRE);
}
__attribute__((format(printf, 2, 3))) void vtd_trace_line(struct vtd_requester *requester,
							  const char *format, ...);

/* Nanoseconds of a monotonic clock. */
uint64_t vtd_now(void);

/* --- Guest memory: one aligned word at a time, atomically --- */

static inline void *vtd_ptr(const struct vtd_unit *unit, uint64_t gpa, uint64_t len)
{
	return unit->memory->ptr(unit->memory_context, gpa, len);
}

/* 0 or -EFAULT. @gpa is a multiple of 8. */
static inline int vtd_load64(const struct vtd_unit *unit, uint64_t gpa, uint64_t *value)
{
	const uint64_t *at = vtd_ptr(unit, gpa, sizeof(*at));

	if (!at)
		return -EFAULT;
	*value = __atomic_load_n(at, __ATOMIC_ACQUIRE);
	return 0;
}

/* Bits of addresses that no memory of this guest can have (HAW). */
static inline uint64_t vtd_beyond_host(const struct vtd_unit *unit)
{
	return ~((UINT64_C(1) << unit->config.host_bits) - 1);
}

/* Bits of a domain-id that this unit does not have: reserved in entries (9.3, 9.6). */
static inline uint64_t vtd_beyond_domains(const struct vtd_unit *unit)
{
	return UINT16_MAX & ~((UINT64_C(16) << 2 * vtd_get(unit->cap, VTD_CAP_ND)) - 1);
}

/* --- caps.c --- */

/* -EINVAL if the configuration contradicts itself. Sets unit->cap and unit->ecap. */
int vtd_caps_derive(struct vtd_unit *unit);

static inline bool vtd_has_cap(const struct vtd_unit *unit, uint64_t bit)
{
	return unit->cap & bit;
}

static inline bool vtd_has_ecap(const struct vtd_unit *unit, uint64_t bit)
{
	return unit->ecap & bit;
}

/* True if the tables in force are those of legacy mode. */
static inline bool vtd_is_legacy(const struct vtd_unit *unit)
{
	uint64_t root = __atomic_load_n(&unit->root, __ATOMIC_ACQUIRE);

	return vtd_get(root, VTD_RTADDR_TTM) == VTD_TTM_LEGACY;
}

/* --- registers.c --- */

void vtd_registers_reset(struct vtd_unit *unit); /* lock held */

/* --- command.c --- */

/* A write to GCMD: executes its commands and shows them in GSTS, before it returns. Lock held. */
void vtd_command(struct vtd_unit *unit, uint32_t value);

#endif
