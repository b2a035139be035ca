// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's copies through the DMA API: from and to memory that stays mapped (coherent), and
 * that is mapped and unmapped for each (streaming). They need no shared virtual addressing.
 */
#include <string.h>

#include "perf.h"

#define COPIES_MOST 1000 /* in one call */

static void copy_in_kernel(struct perf *perf, size_t bytes, uint32_t flags)
{
	/* Each call sets the queue up: a count of copies is one call. */
	struct sdma_kernel_copy copy = { .bytes = (uint32_t)bytes,
					 .copies = perf->count ? perf->count : 1,
					 .flags = flags };
	uint64_t end = now_ns() + perf->budget_ms * 1000000ULL;
	uint64_t done = 0, spent = 0, mapping = 0, unmapping = 0;

	do {
		int ret = sdma_kernel_copy(perf->queue, &copy);

		if (ret || copy.status != SDMA_DONE)
			die("a copy in the kernel: %s",
			    ret ? strerror(-ret) : sdma_status_name(copy.status));
		done += copy.done;
		spent += copy.nanoseconds;
		mapping += copy.map_nanoseconds;
		unmapping += copy.unmap_nanoseconds;
		copy.copies = copy.copies < COPIES_MOST ? copy.copies * 2 : copy.copies;
	} while (!perf->count && now_ns() < end);
	tell(perf, "samples", done);
	tell(perf, "mean_ns", spent / done);
	tell(perf, "kb_s", done * bytes * 1000000 / spent);
	if (!(flags & SDMA_KERNEL_STREAMING))
		return;
	/* Source and destination: two of each. */
	tell(perf, "map_ns", mapping / done / 2);
	tell(perf, "unmap_ns", unmapping / done / 2);
}

static void measure_coherent(struct perf *perf)
{
	copy_in_kernel(perf, perf->size, 0);
}

static void measure_streaming(struct perf *perf)
{
	copy_in_kernel(perf, perf->pages * PAGE, SDMA_KERNEL_STREAMING);
}

const struct part parts_of_kernel[] = {
	{ "coherent", PART_KERNEL_COPY, SDMA_KERNEL_BYTES_MAX, measure_coherent },
	{ "streaming", PART_KERNEL_PAGES, 0, measure_streaming },
	{ 0 },
};
