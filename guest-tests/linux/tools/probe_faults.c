// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: page requests, from the device through the kernel to a fault queue, and the
 * answers back; and faults that nobody is asked about.
 */
#include "probe.h"

#include <string.h>

#include "vfio_uapi.h"

#define PASID	  0x2345
#define WAIT_MS	  120000
#define GROUP_MAX 8 /* pages that sdma asks for at once */

static const uint8_t zeroes[PAGE];

static struct queue start_nested(struct probe *probe, uint64_t root, uint32_t pasid)
{
	map_queue(probe, root, 0);
	attach(probe, pasid, nested_domain(probe, root, probe->fault_id));
	return start_queue(probe, 0, pasid, QUEUE_VA);
}

/* The next page request, which has to be alone in its group, for this. */
static struct uapi_iommu_hwpt_pgfault next_request(struct probe *probe, uint32_t pasid, uint64_t va,
						   uint32_t perm)
{
	struct uapi_iommu_hwpt_pgfault fault[GROUP_MAX];
	unsigned int count = read_faults(probe->fault_fd, fault, GROUP_MAX, WAIT_MS);
	uint32_t flags = UAPI_IOMMU_PGFAULT_FLAGS_LAST_PAGE;
	/* Linux 7.3 lets a flag of its own through as well. */
	uint32_t known = UAPI_IOMMU_PGFAULT_FLAGS_LAST_PAGE | UAPI_IOMMU_PGFAULT_FLAGS_PASID_VALID;

	if (pasid != NO_PASID)
		flags |= UAPI_IOMMU_PGFAULT_FLAGS_PASID_VALID;
	require(count == 1, "%u page requests instead of 1", count);
	require(fault->dev_id == probe->device_id, "of device %u", fault->dev_id);
	require((fault->flags & known) == flags, "flags %#x instead of %#x", fault->flags, flags);
	require(pasid == NO_PASID || fault->pasid == pasid, "of PASID %#x", fault->pasid);
	require(fault->addr == va, "at %#lx instead of %#lx", (unsigned long)fault->addr,
		(unsigned long)va);
	require(fault->perm == perm, "for access %u instead of %u", fault->perm, perm);
	return fault[0];
}

static void ask_for_page(struct probe *probe, uint32_t pasid)
{
	uint64_t root = new_root(probe);
	struct queue queue = start_nested(probe, root, pasid);
	struct uapi_iommu_hwpt_pgfault fault;
	struct sdma_completion record;

	submit(&queue, blocking(fill(DATA_VA, PATTERN, 64)));
	fault = next_request(probe, pasid, DATA_VA, UAPI_IOMMU_PGFAULT_PERM_WRITE);
	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	answer(probe->fault_fd, fault.cookie, true);
	record = complete(&queue);
	require(record.status == SDMA_DONE, "it ended as %s", status_name(record.status));
	require(record.waited > 0, "it did not wait");
	require(*(uint64_t *)(probe->memory + AREA_DATA) == PATTERN, "not written");
	require(queue_counter(&queue, SDMA_Q_PAGE_REQUESTS) == 1, "%lu pages asked for",
		(unsigned long)queue_counter(&queue, SDMA_Q_PAGE_REQUESTS));
}

static void request_pasid(struct probe *probe)
{
	ask_for_page(probe, PASID);
}

static void request_rid(struct probe *probe)
{
	ask_for_page(probe, NO_PASID);
}

/* Eight pages that are missing are one group with one answer. */
static void request_group(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue = start_nested(probe, root, PASID);
	struct uapi_iommu_hwpt_pgfault fault[2 * GROUP_MAX];
	unsigned int count;

	submit(&queue, blocking(fill(DATA_VA, PATTERN, GROUP_MAX * PAGE)));
	count = read_faults(probe->fault_fd, fault, 2 * GROUP_MAX, WAIT_MS);
	require(count == GROUP_MAX, "%u page requests instead of %u", count, GROUP_MAX);
	for (unsigned int i = 0; i < count; i++) {
		bool last = fault[i].flags & UAPI_IOMMU_PGFAULT_FLAGS_LAST_PAGE;

		require(fault[i].cookie == fault[0].cookie, "two groups instead of one");
		require(fault[i].addr == DATA_VA + i * PAGE, "page %u at %#lx", i,
			(unsigned long)fault[i].addr);
		require(last == (i + 1 == count), "page %u: last in group: %u", i, last);
		map_page(probe, root, fault[i].addr, GPA + AREA_DATA + i * PAGE, PTE_RW);
	}
	answer(probe->fault_fd, fault[0].cookie, true);
	require(complete(&queue).status == SDMA_DONE, "it failed");
	for (unsigned int i = 0; i < GROUP_MAX * PAGE / 8; i++)
		require(((uint64_t *)(probe->memory + AREA_DATA))[i] == PATTERN, "word %u", i);
}

/* The page is there, but may not be written to. */
static void write_protected(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue = start_nested(probe, root, PASID);
	struct sdma_completion record;
	struct uapi_iommu_hwpt_pgfault fault;

	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RO);
	map_page(probe, root, DATA2_VA, GPA + AREA_DATA2, PTE_RW);
	must_end(&queue, copy(DATA2_VA, DATA_VA, PAGE), SDMA_DONE);
	record = must_end(&queue, fill(DATA_VA, PATTERN, PAGE), SDMA_FAULT);
	require(record.access == 2 && record.address == DATA_VA, "access %u at %#lx", record.access,
		(unsigned long)record.address);
	submit(&queue, blocking(fill(DATA_VA, PATTERN, PAGE)));
	fault = next_request(probe, PASID, DATA_VA, UAPI_IOMMU_PGFAULT_PERM_WRITE);
	require(!memcmp(probe->memory + AREA_DATA, zeroes, PAGE), "written to before");
	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	answer(probe->fault_fd, fault.cookie, true);
	require(complete(&queue).status == SDMA_DONE, "it failed");
	require(*(uint64_t *)(probe->memory + AREA_DATA) == PATTERN, "not written");
}

static void refused(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue = start_nested(probe, root, PASID);
	struct uapi_iommu_hwpt_pgfault fault;
	struct sdma_completion record;

	submit(&queue, blocking(fill(DATA_VA, PATTERN, 8)));
	fault = next_request(probe, PASID, DATA_VA, UAPI_IOMMU_PGFAULT_PERM_WRITE);
	answer(probe->fault_fd, fault.cookie, false);
	record = complete(&queue);
	require(record.status == SDMA_INVALID, "it ended as %s", status_name(record.status));
	require(record.address == DATA_VA, "at %#lx", (unsigned long)record.address);
}

/* One PASID waits for a page, the others go on. */
static void others_go_on(struct probe *probe)
{
	uint64_t root = new_root(probe), other_root = new_root(probe);
	struct queue queue = start_nested(probe, root, PASID), other;
	struct uapi_iommu_hwpt_pgfault fault;

	map_queue(probe, other_root, 1);
	map_page(probe, other_root, DATA_VA, GPA + AREA_DATA2, PTE_RW);
	attach(probe, PASID + 1, nested_domain(probe, other_root, NO_FAULT));
	other = start_queue(probe, 1, PASID + 1, QUEUE_VA);
	submit(&queue, blocking(fill(DATA_VA, PATTERN, PAGE)));
	fault = next_request(probe, PASID, DATA_VA, UAPI_IOMMU_PGFAULT_PERM_WRITE);
	for (unsigned int i = 0; i < 10; i++)
		must_end(&other, fill(DATA_VA, i, PAGE), SDMA_DONE);
	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	answer(probe->fault_fd, fault.cookie, true);
	require(complete(&queue).status == SDMA_DONE, "it failed");
}

/* Nobody handles page requests of this domain: the kernel answers. */
static void no_fault_queue(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue;
	struct sdma_completion record;

	map_queue(probe, root, 0);
	attach(probe, PASID, nested_domain(probe, root, NO_FAULT));
	queue = start_queue(probe, 0, PASID, QUEUE_VA);
	record = run(&queue, blocking(fill(DATA_VA, PATTERN, PAGE)));
	require(record.status == SDMA_INVALID || record.status == SDMA_FAILURE, "it ended as %s",
		status_name(record.status));
}

/* The domain goes while a page is asked for: the kernel answers, the device comes to an end. */
static void detached(struct probe *probe)
{
	uint64_t root = new_root(probe);
	struct queue queue = start_nested(probe, root, PASID);

	submit(&queue, blocking(fill(DATA_VA, PATTERN, PAGE)));
	next_request(probe, PASID, DATA_VA, UAPI_IOMMU_PGFAULT_PERM_WRITE);
	detach(probe, PASID);
	require(complete_or_halt(&queue).status != SDMA_DONE, "it was done without a domain");
	stop_queue(&queue);
	/* And attached again it works. */
	map_page(probe, root, DATA_VA, GPA + AREA_DATA, PTE_RW);
	queue = start_nested(probe, root, PASID);
	must_end(&queue, blocking(fill(DATA_VA, PATTERN, PAGE)), SDMA_DONE);
}

/*
 * What a guest may write into its tables: addresses outside its memory, tables outside of it,
 * tables that contain themselves, reserved bits, non-canonical addresses. The device gets a fault,
 * and nobody is asked for a page that cannot be mapped.
 */
static void hostile_tables(struct probe *probe)
{
	static const struct {
		const char *what;
		unsigned int level; /* of the entry of DATA_VA */
		uint64_t entry;
	} cases[] = {
		{ "a page that is not mapped", 1, NOWHERE | PTE_RW },
		{ "the largest address", 1, 0x000ffffffffff000ULL | PTE_RW },
		{ "an interrupt address", 1, 0xfee00000ULL | PTE_RW },
		{ "a table that is not mapped", 2, NOWHERE | PTE_RW },
		{ "a directory that is not mapped", 3, NOWHERE | PTE_RW },
		{ "a huge page that is not aligned", 2, (GPA + 2 * PAGE) | PTE_RW | PTE_HUGE },
		{ "a supervisor page", 1, (GPA + AREA_DATA) | PTE_P | PTE_W },
		{ "nothing", 4, 0 },
	};
	uint64_t root = new_root(probe);
	struct queue queue = start_nested(probe, root, PASID);
	struct sdma_completion record;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t va = DATA_VA + ((uint64_t)i << 39); /* a root entry for each */

		*entry_of(probe, root, va, cases[i].level) = cases[i].entry;
		record = run(&queue, fill(va, PATTERN, PAGE));
		require(record.status == SDMA_FAULT || record.status == SDMA_ERROR, "%s: %s",
			cases[i].what, status_name(record.status));
		require(record.done == 0, "%s: %lu bytes were written", cases[i].what,
			(unsigned long)record.done);
	}
	require(!memcmp(probe->memory + AREA_DATA, zeroes, PAGE), "something was written");
	record = run(&queue, fill(0x8000000000000000ULL, PATTERN, 8));
	require(record.status != SDMA_DONE, "a non-canonical address was written to");
	/* A root that is its own table at every level, and then the page: the walk ends. */
	*entry_of(probe, root, 0, 4) = root | PTE_RW;
	must_end(&queue, checksum(0, PAGE), SDMA_DONE);
}

/* The root of the table is not memory: the kernel takes it, the unit must refuse every request. */
static void hostile_root(struct probe *probe)
{
	static const uint64_t roots[] = { NOWHERE, 0x000ffffffffff000ULL, 0xfee00000ULL };

	for (unsigned int i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		struct queue queue;

		attach(probe, PASID, nested_domain(probe, roots[i], NO_FAULT));
		queue = start_queue(probe, 0, PASID, QUEUE_VA);
		submit(&queue, fill(DATA_VA, PATTERN, PAGE));
		require(complete_or_halt(&queue).status == SDMA_PENDING, "it completed");
		require(!queue_head(&queue), "it wrote its index record");
		stop_queue(&queue);
		detach(probe, PASID);
	}
}

const struct probe_test probe_faults[] = {
	{ "request-pasid", "a page request with PASID, granted", request_pasid },
	{ "request-rid", "a page request without PASID, granted", request_rid },
	{ "request-group", "eight pages are one group and one answer", request_group },
	{ "write-protected", "a write to a read-only page asks for it", write_protected },
	{ "refused", "a page request that is refused ends the operation", refused },
	{ "others-go-on", "while one PASID waits, another goes on", others_go_on },
	{ "no-fault-queue", "without a fault queue the kernel refuses", no_fault_queue },
	{ "detached", "the domain is detached while a page is asked for", detached },
	{ "hostile-tables", "pointers out of guest memory, and other nonsense", hostile_tables },
	{ "hostile-root", "a root out of guest memory", hostile_root },
	{ NULL, NULL, NULL },
};
