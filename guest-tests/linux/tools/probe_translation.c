// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: what the host's unit says of itself, and translation by second stage, by both
 * stages, for PASIDs and without.
 */
#include "probe.h"

#include <errno.h>
#include <string.h>

#define ECAP_NEST  (1ULL << 26)
#define ECAP_PRS   (1ULL << 29)
#define ECAP_PASID (1ULL << 40)

#define PAGES 16

static void hardware(struct probe *probe)
{
	note("CAP %#lx, ECAP %#lx, %u PASID bits, %u queues", (unsigned long)probe->cap,
	     (unsigned long)probe->ecap, probe->pasid_bits, probe->queues);
	require(probe->ecap & ECAP_NEST, "ECAP.NEST is not set");
	require(probe->ecap & ECAP_PRS, "ECAP.PRS is not set");
	require(probe->ecap & ECAP_PASID, "ECAP.PASID is not set");
	require(probe->pasid_bits == 20, "PASIDs of %u bits", probe->pasid_bits);
}

/* Bytes that depend on where they are. */
static void write_bytes(uint8_t *memory, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		memory[i] = (uint8_t)(seed + i * 7 + (i >> 8) * 13);
}

static void must_be(const uint8_t *memory, size_t size, unsigned int seed, const char *what)
{
	for (size_t i = 0; i < size; i++)
		require(memory[i] == (uint8_t)(seed + i * 7 + (i >> 8) * 13),
			"%s: byte %zu is wrong", what, i);
}

/* The RID on the nesting parent: addresses of the device are guest-physical. */
static void second_stage(struct probe *probe)
{
	uint8_t *from = probe->memory + AREA_DATA, *to = probe->memory + AREA_DATA2;
	struct queue queue = start_queue(probe, 0, NO_PASID, queue_gpa(0));

	write_bytes(from, HUGE_PAGE, 1);
	must_end(&queue, copy(GPA + AREA_DATA2, GPA + AREA_DATA, HUGE_PAGE), SDMA_DONE);
	must_be(to, HUGE_PAGE, 1, "2 MiB");
	must_end(&queue, fill(NOWHERE, PATTERN, PAGE), SDMA_FAULT);
	/* And from the other side: not what is mapped, but its own memory. */
	must_end(&queue, fill((uintptr_t)probe->memory, PATTERN, 8), SDMA_FAULT);
	stop_queue(&queue);
}

/*
 * Source pages in reverse order, destination pages in order: nobody but a walk of our table gets
 * this right.
 */
static uint64_t reversed_root(struct probe *probe, enum area from, enum area to)
{
	uint64_t root = new_root(probe);

	for (unsigned int i = 0; i < PAGES; i++) {
		map_page(probe, root, DATA_VA + i * PAGE, GPA + from + (PAGES - 1 - i) * PAGE,
			 PTE_RW);
		map_page(probe, root, DATA2_VA + i * PAGE, GPA + to + i * PAGE, PTE_RW);
	}
	return root;
}

static void must_be_reversed(struct probe *probe, enum area from, enum area to)
{
	for (unsigned int i = 0; i < PAGES; i++)
		require(!memcmp(probe->memory + to + i * PAGE,
				probe->memory + from + (PAGES - 1 - i) * PAGE, PAGE),
			"page %u is not what the table says", i);
}

static void nest(struct probe *probe, uint32_t pasid)
{
	uint64_t root = reversed_root(probe, AREA_DATA, AREA_DATA2);
	uint32_t domain = nested_domain(probe, root, NO_FAULT);
	struct queue queue;

	map_queue(probe, root, 0);
	write_bytes(probe->memory + AREA_DATA, PAGES * PAGE, 2);
	attach(probe, pasid, domain);
	queue = start_queue(probe, 0, pasid, QUEUE_VA);
	must_end(&queue, copy(DATA2_VA, DATA_VA, PAGES * PAGE), SDMA_DONE);
	must_be_reversed(probe, AREA_DATA, AREA_DATA2);
	require(*entry_of(probe, root, DATA_VA, 1) & PTE_A, "no accessed flag where it read");
	require(!(*entry_of(probe, root, DATA_VA, 1) & PTE_D), "a dirty flag where it only read");
	require(*entry_of(probe, root, DATA2_VA, 1) & PTE_D, "no dirty flag where it wrote");
	require(*entry_of(probe, root, DATA_VA, 4) & PTE_A, "no accessed flag in the root");
	require(queue_counter(&queue, SDMA_Q_ATC_MISSES) > 0, "it asked for no translation");
	must_end(&queue, fill(GPA + AREA_DATA2, PATTERN, PAGE), SDMA_FAULT);
	stop_queue(&queue);
	detach(probe, pasid);
	destroy(probe, domain);
}

static void nested_pasid(struct probe *probe)
{
	nest(probe, 5);
	nest(probe, 0xfffff);
}

static void nested_rid(struct probe *probe)
{
	nest(probe, NO_PASID);
}

/* Past the device-TLB: the unit translates each request. */
static void untranslated(struct probe *probe)
{
	uint64_t root = reversed_root(probe, AREA_DATA, AREA_DATA2);
	struct sdma_descriptor descriptor = copy(DATA2_VA, DATA_VA, PAGES * PAGE);
	struct queue queue;

	map_queue(probe, root, 0);
	write_bytes(probe->memory + AREA_DATA, PAGES * PAGE, 3);
	attach(probe, 9, nested_domain(probe, root, NO_FAULT));
	queue = start_queue(probe, 0, 9, QUEUE_VA);
	descriptor.flags |= SDMA_FLAG_NO_ATC;
	must_end(&queue, descriptor, SDMA_DONE);
	must_be_reversed(probe, AREA_DATA, AREA_DATA2);
	require(queue_counter(&queue, SDMA_Q_UNTRANSLATED) > 0, "all requests were translated");
}

static void large_pages(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue;

	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW | PTE_HUGE);
	map_page(probe, root, DATA_VA + HUGE_PAGE, GPA + AREA_DATA2, PTE_RW | PTE_HUGE);
	map_queue(probe, root, 0);
	write_bytes(probe->memory + AREA_DATA, HUGE_PAGE, 4);
	attach(probe, 5, nested_domain(probe, root, NO_FAULT));
	queue = start_queue(probe, 0, 5, QUEUE_VA);
	must_end(&queue, copy(DATA_VA + HUGE_PAGE, DATA_VA, HUGE_PAGE), SDMA_DONE);
	must_be(probe->memory + AREA_DATA2, HUGE_PAGE, 4, "2 MiB");
	require(*entry_of(probe, root, DATA_VA + HUGE_PAGE, 2) & PTE_D, "no dirty flag");
}

/* As many address spaces as queues, the same address meaning another page in each. */
static void many_pasids(struct probe *probe)
{
	struct queue queue[SDMA_QUEUES_MAX];

	for (unsigned int i = 0; i < probe->queues; i++) {
		uint64_t root = new_root(probe);

		map_page(probe, root, DATA_VA, GPA + AREA_DATA + i * PAGE, PTE_RW);
		map_queue(probe, root, i);
		attach(probe, 100 + i * 1000, nested_domain(probe, root, NO_FAULT));
		queue[i] = start_queue(probe, i, 100 + i * 1000, QUEUE_VA);
	}
	for (unsigned int i = 0; i < probe->queues; i++)
		submit(&queue[i], fill(DATA_VA, i * 0x0101010101010101ULL, PAGE));
	for (unsigned int i = 0; i < probe->queues; i++)
		require(complete(&queue[i]).status == SDMA_DONE, "queue %u failed", i);
	for (unsigned int i = 0; i < probe->queues; i++)
		for (unsigned int k = 0; k < PAGE; k++)
			require(probe->memory[AREA_DATA + i * PAGE + k] == i,
				"what PASID %u wrote is not there", 100 + i * 1000);
}

/* One domain for two PASIDs and the RID. */
static void shared_domain(struct probe *probe)
{
	static const uint32_t pasids[] = { 7, 8, NO_PASID };
	uint64_t root = reversed_root(probe, AREA_DATA, AREA_DATA2);
	uint32_t domain = nested_domain(probe, root, NO_FAULT);

	for (unsigned int i = 0; i < 3; i++) {
		struct queue queue;

		map_queue(probe, root, i);
		attach(probe, pasids[i], domain);
		write_bytes(probe->memory + AREA_DATA, PAGES * PAGE, 10 + i);
		queue = start_queue(probe, i, pasids[i], QUEUE_VA);
		must_end(&queue, copy(DATA2_VA, DATA_VA, PAGES * PAGE), SDMA_DONE);
		must_be_reversed(probe, AREA_DATA, AREA_DATA2);
	}
}

static void pasid_loop(struct probe *probe)
{
	for (unsigned int i = 1; i <= 50; i++) {
		uint64_t root;
		struct queue queue;
		uint32_t domain;

		probe->tables_used = 0;
		root = new_root(probe);
		map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
		map_queue(probe, root, 0);
		domain = nested_domain(probe, root, probe->fault_id);
		attach(probe, i * 0x5001, domain);
		queue = start_queue(probe, 0, i * 0x5001, QUEUE_VA);
		must_end(&queue, fill(DATA_VA, i, PAGE), SDMA_DONE);
		require(*(uint64_t *)(probe->memory + AREA_DATA) == i, "round %u: not written", i);
		stop_queue(&queue);
		detach(probe, i * 0x5001);
		destroy(probe, domain);
	}
}

/* The unit cannot do it, so the kernel must not try. */
static void five_levels(struct probe *probe)
{
	if (probe->cap & CAP_FS5LP)
		skip("this unit has five levels");
	require(try_attach(probe, 5, wide_domain(probe, new_root(probe), 57, NO_FAULT)) == -EINVAL,
		"a first stage of five levels is not refused");
}

const struct probe_test probe_translation[] = {
	{ "hardware", "the unit offers nesting, PASIDs and page requests", hardware },
	{ "second-stage", "the parent on the RID: data, and what is not mapped", second_stage },
	{ "nested-pasid", "both stages with PASID: data, accessed and dirty flags", nested_pasid },
	{ "nested-rid", "the same without PASID", nested_rid },
	{ "untranslated", "both stages for untranslated requests", untranslated },
	{ "large-pages", "first-stage pages of 2 MiB over small second-stage pages", large_pages },
	{ "many-pasids", "a PASID for each queue, the same address in all", many_pasids },
	{ "shared-domain", "one domain for two PASIDs and the RID", shared_domain },
	{ "pasid-loop", "50 PASIDs made, used and destroyed", pasid_loop },
	{ "five-levels", "57 bits are refused if the unit has none", five_levels },
	{ NULL, NULL, NULL },
};
