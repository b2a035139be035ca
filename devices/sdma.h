/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma: a DMA engine for shared virtual addressing, with PASID, ATS, PRI and a device-TLB of its
 * own. devices/sdma.md specifies it; devices/sdma_regs.h has its registers.
 *
 * All of its work is done in the loop's thread, in pieces of at most 64 KiB under the device's
 * lock, at most 256 KiB in a turn of the loop, the queues by turns.
 */
#ifndef NIDUS_DEVICES_SDMA_H
#define NIDUS_DEVICES_SDMA_H

#include <stdint.h>

struct loop;
struct pci_host;
struct sdma;

/* Monotonic; of a queue since it was enabled (in the order of its registers), and of all queues. */
enum sdma_counter {
	SDMA_COUNT_DESCRIPTORS,
	SDMA_COUNT_BYTES,
	SDMA_COUNT_ATC_HITS,
	SDMA_COUNT_ATC_MISSES,
	SDMA_COUNT_PAGE_REQUESTS,
	SDMA_COUNT_PAGE_FAILURES,
	SDMA_COUNT_INVALIDATIONS,
	SDMA_COUNT_UNTRANSLATED,
	SDMA_COUNTERS
};

struct sdma_counters {
	uint64_t value[SDMA_COUNTERS];
};

/* "descriptors", "bytes", ... */
extern const char *const sdma_counter_names[SDMA_COUNTERS];

/*
 * Makes the function with @queues queues (1 to SDMA_QUEUES_MAX) and puts it on @host. @name is
 * copied. NULL: errno is set. While the machine is built.
 */
struct sdma *sdma_create(struct pci_host *host, struct loop *loop, const char *name,
			 unsigned int queues);

/*
 * The machine ends: all queues stop, nothing is in flight any more but the watches that the loop
 * drains. In the loop's thread, or after it.
 */
void sdma_quiesce(struct sdma *sdma);

/* After sdma_quiesce() and a drained loop, when no vCPU runs. */
void sdma_destroy(struct sdma *sdma);

const char *sdma_name(const struct sdma *sdma);

/* The totals of all queues since creation; any thread. */
struct sdma_counters sdma_counters_read(const struct sdma *sdma);

#endif
