/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A unit's life, its requesters, its counters; see unit.h.
 */
#include "viommu/unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const vtd_counter_names[VTD_COUNTERS] = {
	[VTD_COUNT_TRANSLATIONS] = "translations",
	[VTD_COUNT_IOTLB_HITS] = "iotlb_hits",
	[VTD_COUNT_WALKS] = "walks",
	[VTD_COUNT_WALKS_FS] = "walks_first_stage",
	[VTD_COUNT_WALKS_SS] = "walks_second_stage",
	[VTD_COUNT_WALKS_NESTED] = "walks_nested",
	[VTD_COUNT_PASS_THROUGH] = "pass_through",
	[VTD_COUNT_ATS_REQUESTS] = "ats_requests",
	[VTD_COUNT_ATS_TRANSLATED] = "ats_translated",
	[VTD_COUNT_FAULTS] = "faults",
	[VTD_COUNT_FAULTS_LOST] = "faults_lost",
	[VTD_COUNT_PAGE_REQUESTS] = "page_requests",
	[VTD_COUNT_PAGE_RESPONSES] = "page_responses",
	[VTD_COUNT_PAGE_AUTO_RESPONSES] = "page_auto_responses",
	[VTD_COUNT_PAGE_REQUEST_NS] = "page_request_ns",
	[VTD_COUNT_INVALIDATE_CONTEXT] = "invalidate_context",
	[VTD_COUNT_INVALIDATE_IOTLB] = "invalidate_iotlb",
	[VTD_COUNT_INVALIDATE_DEVTLB] = "invalidate_devtlb",
	[VTD_COUNT_INVALIDATE_INTERRUPT] = "invalidate_interrupt",
	[VTD_COUNT_INVALIDATE_PASID_IOTLB] = "invalidate_pasid_iotlb",
	[VTD_COUNT_INVALIDATE_PASID_CACHE] = "invalidate_pasid_cache",
	[VTD_COUNT_INVALIDATE_PASID_DEVTLB] = "invalidate_pasid_devtlb",
	[VTD_COUNT_WAITS] = "waits",
	[VTD_COUNT_INVALIDATE_NS] = "invalidate_ns",
	[VTD_COUNT_QUEUE_ERRORS] = "queue_errors",
	[VTD_COUNT_INTERRUPTS] = "interrupts",
	[VTD_COUNT_HOST_BINDS] = "host_binds",
	[VTD_COUNT_HOST_UNBINDS] = "host_unbinds",
	[VTD_COUNT_HOST_INVALIDATES] = "host_invalidates",
	[VTD_COUNT_HOST_ERRORS] = "host_errors",
};

void vtd_config_init(struct vtd_config *config)
{
	*config = (struct vtd_config){
		.name = "vtd0",
		.aw = 48,
		.host_bits = 46,
		.pasid_bits = VTD_PASID_BITS,
		.scalable = true,
		.first_stage = true,
		.second_stage = true,
		.nested = true,
		.first_stage_57 = true,
		.first_stage_1g = true,
		.pass_through = true,
		.ats = true,
		.pri = true,
		.interrupt_remapping = true,
		.x2apic = true,
		.supervisor = true,
		.execute = true,
		.snoop = true,
		.access_dirty = true,
		.extended_accessed = true,
		.abort_dma = true,
		.pasid_quota = 1000,
		.fault_records = 8,
		.domain_bits = 16,
	};
}

/* --- Life --- */

static void *no_memory(void *context, uint64_t gpa, uint64_t len)
{
	(void)context;
	(void)gpa;
	(void)len;
	return NULL;
}

static const struct vtd_memory_ops without_memory = { no_memory };
static const struct vtd_machine_ops without_machine;

struct part {
	int (*init)(struct vtd_unit *unit);
	void (*destroy)(struct vtd_unit *unit);
};

static const struct part parts[] = {
	{ vtd_entries_init, vtd_entries_destroy }, { vtd_iotlb_init, vtd_iotlb_destroy },
	{ vtd_faults_init, vtd_faults_destroy },   { vtd_prq_init, vtd_prq_destroy },
	{ vtd_ir_init, vtd_ir_destroy },	   { vtd_vcmd_init, vtd_vcmd_destroy },
	{ vtd_host_init, vtd_host_destroy },
};

/* Undoes the first @count parts. */
static void parts_destroy(struct vtd_unit *unit, unsigned int count)
{
	while (count-- > 0)
		parts[count].destroy(unit);
	vtd_gate_destroy(&unit->gate);
	pthread_mutex_destroy(&unit->lock);
	free(unit);
}

struct vtd_unit *vtd_create(const struct vtd_config *config, const struct vtd_memory_ops *memory,
			    void *memory_context, const struct vtd_machine_ops *machine,
			    void *machine_context)
{
	/* The gate's counters keep to their own cache lines. */
	struct vtd_unit *unit = aligned_alloc(_Alignof(struct vtd_unit), sizeof(*unit));

	if (!unit)
		return NULL;
	memset(unit, 0, sizeof(*unit));
	unit->config = *config;
	unit->memory = memory ? memory : &without_memory;
	unit->memory_context = memory_context;
	unit->machine = machine ? machine : &without_machine;
	unit->machine_context = machine_context;
	pthread_mutex_init(&unit->lock, NULL);
	vtd_gate_init(&unit->gate);
	if (vtd_caps_derive(unit)) {
		parts_destroy(unit, 0);
		errno = EINVAL;
		return NULL;
	}
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int rc = parts[i].init(unit);

		if (rc) {
			parts_destroy(unit, i);
			errno = -rc;
			return NULL;
		}
	}
	vtd_reset(unit);
	return unit;
}

void vtd_destroy(struct vtd_unit *unit)
{
	parts_destroy(unit, sizeof(parts) / sizeof(parts[0]));
}

void vtd_halt(struct vtd_unit *unit)
{
	__atomic_store_n(&unit->halted, true, __ATOMIC_RELEASE);
}

bool vtd_halted(const struct vtd_unit *unit)
{
	return __atomic_load_n(&unit->halted, __ATOMIC_ACQUIRE);
}

void vtd_reset(struct vtd_unit *unit)
{
	pthread_mutex_lock(&unit->lock);
	__atomic_store_n(&unit->halted, false, __ATOMIC_RELEASE);
	__atomic_store_n(&unit->translation, false, __ATOMIC_RELEASE);
	__atomic_store_n(&unit->root, 0, __ATOMIC_RELEASE);
	vtd_registers_reset(unit);
	vtd_queue_reset(unit);
	vtd_faults_reset(unit);
	vtd_event_reset(unit);
	vtd_prq_reset(unit);
	vtd_ir_reset(unit);
	vtd_vcmd_reset(unit);
	vtd_host_entries_changed(unit);
	vtd_queue_invalidate_all(unit);
	pthread_mutex_unlock(&unit->lock);
}

/* --- Requesters --- */

struct vtd_requester *vtd_attach(struct vtd_unit *unit, uint16_t source, const char *name,
				 const struct vtd_requester_ops *ops, void *context)
{
	struct vtd_requester *requester = &unit->requester[unit->requester_count];

	if (vtd_find(unit, source)) {
		errno = EEXIST;
		return NULL;
	}
	if (unit->requester_count == VTD_REQUESTERS) {
		errno = ENOSPC;
		return NULL;
	}
	*requester = (struct vtd_requester){
		.unit = unit, .source = source, .name = name, .ops = ops, .context = context
	};
	unit->requester_count++;
	if (source < sizeof(unit->by_devfn))
		unit->by_devfn[source] = (uint8_t)unit->requester_count;
	return requester;
}

struct vtd_requester *vtd_find(struct vtd_unit *unit, uint16_t source)
{
	if (source < sizeof(unit->by_devfn))
		return unit->by_devfn[source] ? &unit->requester[unit->by_devfn[source] - 1] : NULL;
	for (unsigned int i = 0; i < unit->requester_count; i++)
		if (unit->requester[i].source == source)
			return &unit->requester[i];
	return NULL;
}

const char *vtd_requester_name(const struct vtd_requester *requester)
{
	return requester->name;
}

uint16_t vtd_requester_source(const struct vtd_requester *requester)
{
	return requester->source;
}

struct vtd_requester *vtd_requester_at(struct vtd_unit *unit, unsigned int index)
{
	return index < unit->requester_count ? &unit->requester[index] : NULL;
}

/* --- Counters --- */

void vtd_count(struct vtd_unit *unit, struct vtd_requester *requester, enum vtd_counter which,
	       uint64_t add)
{
	__atomic_fetch_add(&unit->counters.value[which], add, __ATOMIC_RELAXED);
	if (requester)
		__atomic_fetch_add(&requester->counters.value[which], add, __ATOMIC_RELAXED);
}

uint64_t vtd_requester_counter(const struct vtd_requester *requester, enum vtd_counter which)
{
	return __atomic_load_n(&requester->counters.value[which], __ATOMIC_RELAXED);
}

/* Counted per requester only, where every cycle matters. */
static bool is_hot(enum vtd_counter which)
{
	return which == VTD_COUNT_TRANSLATIONS || which == VTD_COUNT_IOTLB_HITS ||
	       which == VTD_COUNT_PASS_THROUGH;
}

uint64_t vtd_counter(const struct vtd_unit *unit, enum vtd_counter which)
{
	uint64_t sum = 0;

	if (!is_hot(which))
		return __atomic_load_n(&unit->counters.value[which], __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < unit->requester_count; i++)
		sum += vtd_requester_counter(&unit->requester[i], which);
	return sum;
}

uint64_t vtd_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t vtd_cap(const struct vtd_unit *unit)
{
	return unit->cap;
}

uint64_t vtd_ecap(const struct vtd_unit *unit)
{
	return unit->ecap;
}

/* --- Trace --- */

void vtd_trace(struct vtd_unit *unit, struct vtd_requester *requester, vtd_trace_sink *sink,
	       void *context)
{
	/* Off before the context changes under a reader; a line under way is waited for. */
	__atomic_store_n(&requester->trace, NULL, __ATOMIC_RELEASE);
	vtd_gate_wait(&unit->gate);
	requester->trace_context = context;
	__atomic_store_n(&requester->trace, sink, __ATOMIC_RELEASE);
}

void vtd_trace_line(struct vtd_requester *requester, const char *format, ...)
{
	unsigned int token = vtd_gate_enter(&requester->unit->gate);
	vtd_trace_sink *sink = __atomic_load_n(&requester->trace, __ATOMIC_ACQUIRE);
	char line[160];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (sink)
		sink(requester->trace_context, line);
	vtd_gate_leave(&requester->unit->gate, token);
}
