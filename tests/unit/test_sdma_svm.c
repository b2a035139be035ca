/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma behind a VT-d unit: PASIDs, translation requests, the device-TLB and its invalidation, page
 * requests and every answer to them. The test plays the guest's kernel.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "tests/unit/sdma_driver.h"
#include "tests/unit/sva_guest.h"

#define QUEUES 3
#define FN     8 /* requester */
#define PASID  SVA_PASID
#define OTHER  SVA_OTHER
#define VA     UINT64_C(0x7f0000000000)
#define RW     SVA_RW
#define RO     SVA_RO

struct bench {
	struct machine *machine;
	struct loop *loop;
	struct sva_guest guest;
	struct sdma *sdma;
	struct sdma_driver driver;
	struct sdma_ring ring;
	uint64_t data; /* 64 pages of memory */
	unsigned int pasid, ats, pri;
};

/* --- The guest --- */

static void map(struct bench *b, uint64_t root, uint64_t va, uint64_t gpa, uint64_t flags)
{
	sva_guest_map(&b->guest, root, va, gpa, flags);
}

static uint64_t page(struct bench *b)
{
	return sva_guest_page(&b->guest);
}

static void invalidate(struct bench *b, uint32_t pasid, uint64_t va, bool device)
{
	assert_true(sva_guest_drop(&b->guest, FN, pasid, va, device));
}

/* --- Set-up --- */

static void config_write(struct bench *b, unsigned int at, uint32_t value)
{
	pci_config_write(&b->machine->host, FN, at, 2, value);
}

static uint32_t config_read(struct bench *b, unsigned int at)
{
	return pci_config_read(&b->machine->host, FN, at, 2);
}

static unsigned int find_ext(struct bench *b, uint16_t id)
{
	unsigned int at = 0x100;

	while (at) {
		uint32_t header = pci_config_read(&b->machine->host, FN, at, 4);

		if ((header & 0xffff) == id)
			break;
		at = header >> 20;
	}
	return at;
}

/* Memory of the driver is mapped where it is; the data at VA. */
static void map_all(struct bench *b, struct sdma_ring *ring, uint64_t root)
{
	map(b, root, ring->ring, ring->ring, RW);
	map(b, root, ring->index, ring->index, RW);
}

static void enable_capabilities(struct bench *b, bool ats, bool pri)
{
	b->pasid = find_ext(b, PCI_EXT_CAP_ID_PASID);
	b->ats = find_ext(b, PCI_EXT_CAP_ID_ATS);
	b->pri = find_ext(b, PCI_EXT_CAP_ID_PRI);
	config_write(b, b->pasid + 6, 1);
	config_write(b, b->ats + PCI_ATS_CTRL, ats ? PCI_ATS_CTRL_ENABLE : 0);
	pci_config_write(&b->machine->host, FN, b->pri + PCI_PRI_ALLOC_REQ, 4, 32);
	config_write(b, b->pri + PCI_PRI_CTRL, pri);
}

static void start_ring(struct bench *b, struct sdma_ring *ring, uint32_t pasid, uint64_t root)
{
	map_all(b, ring, root);
	sdma_ring_write(ring, SDMA_Q_PASID, 4, pasid);
	sdma_ring_enable(ring, SDMA_Q_PASID_ON);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(ring), SDMA_Q_IDLE);
}

static int create(void **state, bool ats, bool pri)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->machine = fake_machine_create();
	b->loop = loop_create(64);
	sva_guest_init(&b->guest, b->machine);
	b->sdma = sdma_create(&b->machine->host, b->loop, "sdma0", QUEUES);
	assert_non_null(b->sdma);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	sva_guest_start(&b->guest, FN);
	sdma_driver_probe(&b->driver, b->machine, b->loop, FN);
	enable_capabilities(b, ats, pri);
	b->data = fake_alloc(b->machine, 64 * PAGE_SIZE_4K, PAGE_SIZE_4K);
	sdma_ring_init(&b->ring, &b->driver, 0, 4);
	start_ring(b, &b->ring, PASID, b->guest.root);
	*state = b;
	return 0;
}

static int setup(void **state)
{
	return create(state, true, true);
}

static int setup_no_pri(void **state)
{
	return create(state, true, false);
}

static int setup_no_ats(void **state)
{
	return create(state, false, false);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	sdma_quiesce(b->sdma);
	fake_settle(b->loop);
	assert_int_equal(loop_in_flight(b->loop), 0);
	sdma_destroy(b->sdma);
	sva_guest_destroy(&b->guest);
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
	free(b);
	return 0;
}

/* --- Work --- */

static uint64_t counter(struct bench *b, unsigned int reg)
{
	return sdma_ring_read(&b->ring, reg, 8);
}

static uint8_t *data(struct bench *b, unsigned int index)
{
	return fake_ram(b->machine, b->data + index * PAGE_SIZE_4K);
}

static uint64_t data_gpa(struct bench *b, unsigned int index)
{
	return b->data + index * PAGE_SIZE_4K;
}

/* A fill of @pages pages from VA on, submitted; its record. */
static struct sdma_completion *fill(struct bench *b, struct sdma_ring *ring, uint64_t root,
				    unsigned int pages, uint8_t flags, uint8_t byte)
{
	struct sdma_descriptor d = { .operation = SDMA_FILL,
				     .flags = flags,
				     .destination = VA,
				     .length = pages * PAGE_SIZE_4K,
				     .operand = byte * UINT64_C(0x0101010101010101),
				     .completion = page(b) };

	map(b, root, d.completion, d.completion, RW);
	sdma_ring_submit(ring, &d);
	return fake_ram(b->machine, d.completion);
}

static struct sdma_completion *fill_now(struct bench *b, unsigned int pages, uint8_t flags,
					uint8_t byte)
{
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, pages, flags, byte);

	assert_int_not_equal(sdma_driver_wait(&b->driver, record), SDMA_PENDING);
	return record;
}

/* --- Page requests --- */

struct asked {
	uint64_t address;
	uint32_t pasid;
	unsigned int group;
	bool read, write, last;
};

static bool has_request(void *context)
{
	struct bench *b = context;

	return vtd_fixture_read64(&b->guest.vtd, VTD_PQH) !=
	       vtd_fixture_read64(&b->guest.vtd, VTD_PQT);
}

/* Takes the next page request out of the queue. */
static struct asked take(struct bench *b)
{
	uint64_t head, *d;
	struct asked asked;

	assert_true(fake_wait(b->loop, has_request, b));
	head = vtd_fixture_read64(&b->guest.vtd, VTD_PQH);
	d = fake_ram(b->machine, b->guest.prq + head);
	assert_int_equal(vtd_get(d[0], VTD_PAGE0_RID), FN);
	assert_true(d[0] & VTD_PAGE0_PASID_P);
	asked = (struct asked){ .address = d[1] & VTD_PAGE1_ADDR,
				.pasid = (uint32_t)vtd_get(d[0], VTD_PAGE0_PASID),
				.group = (unsigned int)vtd_get(d[1], VTD_PAGE1_PRGI),
				.read = d[1] & VTD_PAGE1_R,
				.write = d[1] & VTD_PAGE1_W,
				.last = d[1] & VTD_PAGE1_LPIG };
	vtd_fixture_write64(&b->guest.vtd, VTD_PQH, (head + VTD_PAGE_BYTES) % SVA_PRQ_SIZE);
	return asked;
}

/* Takes a whole group; how many requests it had. The last in *@asked. */
static unsigned int take_group(struct bench *b, struct asked *asked)
{
	for (unsigned int count = 1;; count++) {
		*asked = take(b);
		if (asked->last)
			return count;
	}
}

static void respond(struct bench *b, const struct asked *asked, unsigned int code)
{
	assert_true(sva_guest_respond(&b->guest, FN, asked->pasid, asked->group, code));
}

static bool nothing_asked(struct bench *b)
{
	fake_settle(b->loop);
	return !has_request(b);
}

/* --- Tests --- */

static void test_untranslated(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record;

	map(b, b->guest.root, VA, data_gpa(b, 7), RW);
	assert_int_equal(fill_now(b, 1, SDMA_FLAG_BLOCK, 0x5a)->status, SDMA_DONE);
	assert_int_equal(data(b, 7)[4095], 0x5a);
	assert_int_equal(counter(b, SDMA_Q_ATC_MISSES), 0);
	assert_true(counter(b, SDMA_Q_UNTRANSLATED) > 3);
	/* A fault is exact, and recorded by the unit. */
	record = fill_now(b, 2, SDMA_FLAG_BLOCK, 0x5b);
	assert_int_equal(record->status, SDMA_FAULT);
	assert_int_equal(record->done, 4096);
	assert_int_equal(record->address, VA + 4096);
	assert_int_equal(record->access, 2);
	assert_int_equal(vtd_counter(b->guest.vtd.unit, VTD_COUNT_FAULTS), 1);
}

static void test_atc(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record;
	uint64_t misses, faults;

	map(b, b->guest.root, VA, data_gpa(b, 3), RW);
	map(b, b->guest.root, VA + 4096, data_gpa(b, 9), RO);
	assert_int_equal(fill_now(b, 1, 0, 1)->status, SDMA_DONE);
	assert_int_equal(data(b, 3)[4095], 1);
	assert_int_equal(counter(b, SDMA_Q_UNTRANSLATED), 0);
	misses = counter(b, SDMA_Q_ATC_MISSES);
	/* Again: only the completion record is new. */
	assert_int_equal(fill_now(b, 1, 0, 2)->status, SDMA_DONE);
	assert_int_equal(counter(b, SDMA_Q_ATC_MISSES), misses + 1);
	/* Not writable, not mapped: an answer of the unit, no fault of its own. */
	faults = vtd_counter(b->guest.vtd.unit, VTD_COUNT_FAULTS);
	record = fill_now(b, 3, 0, 3);
	assert_int_equal(record->status, SDMA_FAULT);
	assert_int_equal(record->done, 4096);
	assert_int_equal(record->address, VA + 4096);
	map(b, b->guest.root, VA + 4096, data_gpa(b, 9), RW);
	invalidate(b, PASID, VA + 4096, true);
	record = fill_now(b, 3, 0, 4);
	assert_int_equal(record->address, VA + 8192);
	assert_int_equal(vtd_counter(b->guest.vtd.unit, VTD_COUNT_FAULTS), faults);
	/* Untranslated by request of the descriptor. */
	assert_int_equal(fill_now(b, 1, SDMA_FLAG_NO_ATC, 5)->status, SDMA_DONE);
	assert_int_equal(counter(b, SDMA_Q_UNTRANSLATED), 1);
	/* Without entries each access is preceded by a request, and hits nothing. */
	sdma_driver_write(&b->driver, SDMA_ATC_ENTRIES, 4, 0);
	misses = counter(b, SDMA_Q_ATC_HITS);
	assert_int_equal(fill_now(b, 1, 0, 6)->status, SDMA_DONE);
	assert_int_equal(counter(b, SDMA_Q_ATC_HITS), misses);
	assert_int_equal(data(b, 3)[0], 6);
}

/* The device uses what it has until it is told; and exactly what it is told is dropped. */
static void test_invalidation(void **state)
{
	struct bench *b = *state;
	uint64_t misses;

	map(b, b->guest.root, VA, data_gpa(b, 1), RW);
	fill_now(b, 1, 0, 1);
	map(b, b->guest.root, VA, data_gpa(b, 2), RW);
	invalidate(b, PASID, VA, false);
	fill_now(b, 1, 0, 2);
	assert_int_equal(data(b, 1)[0], 2);
	assert_int_equal(data(b, 2)[0], 0);
	assert_int_equal(counter(b, SDMA_Q_INVALIDATIONS), 0);
	invalidate(b, OTHER, VA, true);
	invalidate(b, PASID, VA + 4096, true);
	fill_now(b, 1, 0, 3);
	assert_int_equal(data(b, 1)[0], 3);
	invalidate(b, PASID, VA, true);
	assert_int_equal(counter(b, SDMA_Q_INVALIDATIONS), 1);
	fill_now(b, 1, 0, 4);
	assert_int_equal(data(b, 1)[0], 3);
	assert_int_equal(data(b, 2)[0], 4);
	/* ATS off and on: empty. */
	config_write(b, b->ats + PCI_ATS_CTRL, 0);
	config_write(b, b->ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
	misses = counter(b, SDMA_Q_ATC_MISSES);
	fill_now(b, 1, 0, 5);
	assert_int_equal(counter(b, SDMA_Q_ATC_MISSES), misses + 4);
}

static void test_page_request(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 0x77);
	struct asked asked = take(b);

	assert_int_equal(asked.address, VA);
	assert_int_equal(asked.pasid, PASID);
	assert_true(asked.last && asked.write && !asked.read);
	assert_true(nothing_asked(b));
	assert_int_equal(record->status, SDMA_PENDING);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_ACTIVE);
	map(b, b->guest.root, VA, data_gpa(b, 0), RW);
	respond(b, &asked, VTD_RESPONSE_SUCCESS);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_DONE);
	assert_int_equal(data(b, 0)[4095], 0x77);
	assert_true(record->waited > 0);
	assert_int_equal(counter(b, SDMA_Q_PAGE_REQUESTS), 1);
	assert_int_equal(counter(b, SDMA_Q_PAGE_FAILURES), 0);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS), PCI_PRI_STATUS_PASID);
}

/* Groups of several pages; one bad page among them does not spoil the good ones. */
static void test_page_groups(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 10, SDMA_FLAG_BLOCK, 9);
	struct asked asked;

	assert_int_equal(take_group(b, &asked), 8);
	assert_int_equal(asked.address, VA + 7 * 4096);
	for (unsigned int i = 0; i < 3; i++)
		map(b, b->guest.root, VA + i * 4096, data_gpa(b, i), RW);
	respond(b, &asked, VTD_RESPONSE_INVALID);
	/* The first three are there now; the fourth is asked for with all that follow. */
	assert_int_equal(take_group(b, &asked), 7);
	assert_int_equal(asked.address, VA + 9 * 4096);
	respond(b, &asked, VTD_RESPONSE_INVALID);
	assert_int_equal(take_group(b, &asked), 1);
	assert_int_equal(asked.address, VA + 3 * 4096);
	respond(b, &asked, VTD_RESPONSE_INVALID);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_INVALID);
	assert_int_equal(record->done, 3 * 4096);
	assert_int_equal(record->address, VA + 3 * 4096);
	assert_int_equal(data(b, 2)[4095], 9);
	assert_int_equal(counter(b, SDMA_Q_PAGE_FAILURES), 3);
}

static void test_broken_promises(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	unsigned int count = 0;

	while (record->status == SDMA_PENDING && count < 100) {
		struct asked asked = take(b);

		respond(b, &asked, VTD_RESPONSE_SUCCESS);
		fake_settle(b->loop);
		count++;
	}
	assert_int_equal(record->status, SDMA_FAULT);
	assert_int_equal(count, 16);
}

/* Response Failure ends page requests for all, until software enables them anew. */
static void test_failure(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	struct asked asked = take(b);
	struct sdma_ring ring;
	struct sdma_completion *second;
	struct asked late;

	sdma_ring_init(&ring, &b->driver, 2, 4);
	start_ring(b, &ring, OTHER, b->guest.other);
	second = fill(b, &ring, b->guest.other, 1, SDMA_FLAG_BLOCK, 9);
	late = take(b);
	assert_int_equal(late.pasid, OTHER);
	respond(b, &asked, VTD_RESPONSE_FAILURE);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_FAILURE);
	assert_int_equal(sdma_driver_wait(&b->driver, second), SDMA_FAILURE);
	assert_int_equal(sdma_driver_read(&b->driver, SDMA_STATUS, 4), 5);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_CTRL), 0);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_RF);
	respond(b, &late, VTD_RESPONSE_SUCCESS);
	assert_int_equal(fill_now(b, 1, SDMA_FLAG_BLOCK, 9)->status, SDMA_FAULT);
	config_write(b, b->pri + PCI_PRI_CTRL, PCI_PRI_CTRL_ENABLE);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS), PCI_PRI_STATUS_PASID);
	fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	asked = take(b);
	respond(b, &asked, VTD_RESPONSE_INVALID);
}

/* A response to nothing is noticed, and does nothing. */
static void test_unexpected(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	struct asked asked = take(b);

	b->machine->host.function[FN]->iommu_ops->page_response(
		b->machine->host.function[FN], asked.pasid, (asked.group + 1) % 512, 0);
	b->machine->host.function[FN]->iommu_ops->page_response(b->machine->host.function[FN],
								OTHER, asked.group, 0);
	b->machine->host.function[FN]->iommu_ops->page_response(b->machine->host.function[FN],
								asked.pasid, asked.group + 512, 0);
	assert_true(nothing_asked(b));
	assert_int_equal(record->status, SDMA_PENDING);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_UPRGI);
	config_write(b, b->pri + PCI_PRI_STATUS, PCI_PRI_STATUS_UPRGI);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS), PCI_PRI_STATUS_PASID);
}

/* A queue that waits for a page is disabled: off at once, the response comes late. */
static void test_disable(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	struct asked asked = take(b), marker;

	sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, SDMA_Q_PASID_ON);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_OFF);
	assert_int_equal(record->status, SDMA_ABORTED);
	assert_int_equal(record->done, 0);
	marker = take(b);
	assert_int_equal(marker.pasid, PASID);
	assert_true(marker.last && !marker.read && !marker.write);
	assert_int_not_equal(marker.group, asked.group);
	/* Enabled for somebody else meanwhile: the old response is not taken for a new one. */
	start_ring(b, &b->ring, OTHER, b->guest.other);
	record = fill(b, &b->ring, b->guest.other, 1, SDMA_FLAG_BLOCK, 9);
	marker = take(b);
	assert_int_not_equal(marker.group, asked.group);
	respond(b, &asked, VTD_RESPONSE_SUCCESS);
	assert_true(nothing_asked(b));
	assert_int_equal(record->status, SDMA_PENDING);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS), PCI_PRI_STATUS_PASID);
	respond(b, &marker, VTD_RESPONSE_INVALID);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_INVALID);
}

static void test_stopped(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	struct asked asked = take(b);

	/* Disabled with a request outstanding: not stopped before it is answered. */
	config_write(b, b->pri + PCI_PRI_CTRL, 0);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS), PCI_PRI_STATUS_PASID);
	respond(b, &asked, VTD_RESPONSE_SUCCESS);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_FAULT);
	/* Reset forgets. */
	config_write(b, b->pri + PCI_PRI_CTRL, 1);
	record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	take(b);
	config_write(b, b->pri + PCI_PRI_CTRL, 0);
	config_write(b, b->pri + PCI_PRI_CTRL, PCI_PRI_CTRL_RESET);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_FAILURE);
}

static void test_flr(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	struct asked asked = take(b);
	unsigned int exp = b->machine->host.function[FN]->express;

	config_write(b, exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(config_read(b, b->pri + PCI_PRI_STATUS),
			 PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
	respond(b, &asked, VTD_RESPONSE_SUCCESS);
	fake_settle(b->loop);
	assert_int_equal(record->status, SDMA_PENDING);
}

/* A full queue: the unit answers by itself, the device tries again, and gives up some day. */
static void test_overflow(void **state)
{
	struct bench *b = *state;
	struct sdma_completion *record;
	uint64_t tail = vtd_fixture_read64(&b->guest.vtd, VTD_PQT);

	vtd_fixture_write64(&b->guest.vtd, VTD_PQH, (tail + VTD_PAGE_BYTES) % SVA_PRQ_SIZE);
	record = fill(b, &b->ring, b->guest.root, 1, SDMA_FLAG_BLOCK, 9);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(b->loop, false), 0);
	assert_true(vtd_fixture_read32(&b->guest.vtd, VTD_PRS) & VTD_PRS_PRO);
	assert_int_equal(record->status, SDMA_PENDING);
	vtd_fixture_write64(&b->guest.vtd, VTD_PQH, tail);
	vtd_fixture_write32(&b->guest.vtd, VTD_PRS, VTD_PRS_PRO);
	{
		struct asked asked = take(b);

		map(b, b->guest.root, VA, data_gpa(b, 0), RW);
		respond(b, &asked, VTD_RESPONSE_SUCCESS);
	}
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_DONE);

	map(b, b->guest.root, VA, 0, 0);
	invalidate(b, PASID, VA, true);
	tail = vtd_fixture_read64(&b->guest.vtd, VTD_PQT);
	vtd_fixture_write64(&b->guest.vtd, VTD_PQH, (tail + VTD_PAGE_BYTES) % SVA_PRQ_SIZE);
	record = fill_now(b, 1, SDMA_FLAG_BLOCK, 9);
	assert_int_equal(record->status, SDMA_FAILURE);
}

/* The ring's own memory may be absent, too. */
static void test_absent_ring(void **state)
{
	struct bench *b = *state;
	struct asked asked;
	struct sdma_ring ring;
	const struct sdma_descriptor nop = { .operation = SDMA_NOP };
	uint64_t order[2];

	sdma_ring_init(&ring, &b->driver, 1, 2);
	sdma_ring_put(&ring, &nop);
	sdma_ring_write(&ring, SDMA_Q_PASID, 4, OTHER);
	sdma_ring_enable(&ring, SDMA_Q_PASID_ON);
	order[0] = ring.index;
	order[1] = ring.ring;
	for (unsigned int i = 0; i < 2; i++) {
		asked = take(b);
		assert_int_equal(asked.address, order[i]);
		map(b, b->guest.other, order[i], order[i], RW);
		respond(b, &asked, VTD_RESPONSE_SUCCESS);
	}
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_index(&ring)->head, 1);
	/* No such page: it halts. */
	map(b, b->guest.other, ring.ring, 0, 0);
	invalidate(b, OTHER, ring.ring, true);
	sdma_ring_submit(&ring, &nop);
	asked = take(b);
	respond(b, &asked, VTD_RESPONSE_INVALID);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&ring), SDMA_Q_HALTED);
	assert_int_equal(sdma_ring_reason(&ring), SDMA_HALT_RING);
}

static void test_pasid(void **state)
{
	struct bench *b = *state;
	struct sdma_ring ring;
	struct sdma_completion *record;

	/* The same address in two spaces. */
	sdma_ring_init(&ring, &b->driver, 1, 2);
	start_ring(b, &ring, OTHER, b->guest.other);
	map(b, b->guest.root, VA, data_gpa(b, 1), RW);
	map(b, b->guest.other, VA, data_gpa(b, 2), RW);
	assert_int_equal(fill_now(b, 1, 0, 1)->status, SDMA_DONE);
	record = fill(b, &ring, b->guest.other, 1, 0, 2);
	assert_int_equal(sdma_driver_wait(&b->driver, record), SDMA_DONE);
	assert_int_equal(data(b, 1)[0], 1);
	assert_int_equal(data(b, 2)[0], 2);

	/* Privileged mode must be enabled, and then the PASID's entry has to allow it. */
	sdma_ring_init(&ring, &b->driver, 2, 2);
	sdma_ring_enable(&ring, SDMA_Q_PASID_ON | SDMA_Q_PRIVILEGED);
	assert_int_equal(sdma_ring_reason(&ring), SDMA_HALT_PASID);

	/* A PASID that there is not: the unit refuses. */
	sdma_ring_write(&ring, SDMA_Q_CONTROL, 4, 0);
	sdma_ring_write(&ring, SDMA_Q_PASID, 4, 77);
	sdma_ring_enable(&ring, SDMA_Q_PASID_ON);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_reason(&ring), SDMA_HALT_INDEX);

	config_write(b, b->pasid + 6, 0);
	sdma_ring_bell(&b->ring);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_HALTED);
	assert_int_equal(sdma_ring_reason(&b->ring), SDMA_HALT_PASID);
}

/* --- Invalidation while DMA is under way --- */

struct race {
	struct bench *b;
	bool over;
	unsigned int waits_lost, bytes_written;
};

/* Keeps the queue full, and lets it get to work. */
static void feed(struct bench *b)
{
	const struct sdma_descriptor d = { .operation = SDMA_FILL,
					   .destination = VA,
					   .length = PAGE_SIZE_4K,
					   .operand = ~UINT64_C(0) };
	struct sdma_index *index = sdma_ring_index(&b->ring);
	uint32_t before = __atomic_load_n(&index->head, __ATOMIC_ACQUIRE);

	while (index->tail - __atomic_load_n(&index->head, __ATOMIC_ACQUIRE) < 16)
		sdma_ring_put(&b->ring, &d);
	sdma_ring_bell(&b->ring);
	while (__atomic_load_n(&index->head, __ATOMIC_ACQUIRE) == before)
		sched_yield();
}

static void *take_pages_away(void *context)
{
	struct race *race = context;
	struct bench *b = race->b;

	for (unsigned int i = 0; i < 500; i++) {
		unsigned int old = i % 2;

		feed(b);
		map(b, b->guest.root, VA, data_gpa(b, !old), RW);
		if (!sva_guest_drop(&b->guest, FN, PASID, VA, true))
			race->waits_lost++;
		memset(data(b, old), 0, PAGE_SIZE_4K);
		feed(b);
		for (unsigned int n = 0; n < 4; n++)
			for (unsigned int at = 0; at < PAGE_SIZE_4K; at++)
				race->bytes_written +=
					__atomic_load_n(&data(b, old)[at], __ATOMIC_RELAXED) != 0;
	}
	__atomic_store_n(&race->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void test_race(void **state)
{
	struct bench *b = *state;
	struct race race = { .b = b };
	pthread_t thread;

	map(b, b->guest.root, VA, data_gpa(b, 0), RW);
	assert_int_equal(pthread_create(&thread, NULL, take_pages_away, &race), 0);
	while (!__atomic_load_n(&race.over, __ATOMIC_ACQUIRE))
		assert_int_equal(loop_turn(b->loop, false), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(race.waits_lost, 0);
	assert_int_equal(race.bytes_written, 0);
	/* It was a race: translations were in use when they were taken away. */
	assert_true(counter(b, SDMA_Q_INVALIDATIONS) > 50);
}

/* --- Everything at once --- */

/* One thing that a guest may do at any time, of a dozen. */
static void disturb(struct bench *b, unsigned int what)
{
	unsigned int exp = b->machine->host.function[FN]->express;
	struct sdma_index *index = sdma_ring_index(&b->ring);
	uint64_t head = vtd_fixture_read64(&b->guest.vtd, VTD_PQH);
	const uint64_t *d;

	switch (what) {
	case 0:
		sdma_ring_write(&b->ring, SDMA_Q_CONTROL, 4, 0);
		break;
	case 1:
		sdma_driver_write(&b->driver, SDMA_CONTROL, 4, SDMA_CONTROL_RESET);
		break;
	case 2:
		config_write(b, exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
		break;
	case 3:
		config_write(b, b->pri + PCI_PRI_CTRL, 0);
		break;
	case 4:
		config_write(b, b->ats + PCI_ATS_CTRL, 0);
		break;
	case 5:
		sva_guest_drop(&b->guest, FN, PASID, VA, true);
		break;
	case 6:
	case 7:
	case 8:
		/* Answers whatever was asked, if anything. */
		if (!has_request(b))
			break;
		d = fake_ram(b->machine, b->guest.prq + head);
		vtd_fixture_write64(&b->guest.vtd, VTD_PQH, (head + VTD_PAGE_BYTES) % SVA_PRQ_SIZE);
		sva_guest_respond(&b->guest, FN, PASID, (unsigned int)vtd_get(d[1], VTD_PAGE1_PRGI),
				  what == 8);
		break;
	case 9:
		pci_config_write(&b->machine->host, FN, PCI_COMMAND, 2,
				 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		pci_config_write(&b->machine->host, FN, PCI_BASE_ADDRESS_0, 4,
				 (uint32_t)b->driver.registers);
		pci_config_write(&b->machine->host, FN, PCI_BASE_ADDRESS_0 + SDMA_BAR_DOORBELLS * 4,
				 4, (uint32_t)b->driver.doorbells);
		enable_capabilities(b, true, true);
		sdma_ring_write(&b->ring, SDMA_Q_PASID, 4, PASID);
		sdma_ring_write(&b->ring, SDMA_Q_RING, 8, b->ring.ring);
		sdma_ring_write(&b->ring, SDMA_Q_INDEX, 8, b->ring.index);
		sdma_ring_write(&b->ring, SDMA_Q_LOG2, 4, b->ring.log2);
		sdma_ring_enable(&b->ring, SDMA_Q_PASID_ON);
		break;
	default:
		__atomic_store_n(&index->tail, __atomic_load_n(&index->head, __ATOMIC_RELAXED) + 8,
				 __ATOMIC_RELEASE);
		sdma_ring_bell(&b->ring);
		break;
	}
}

static bool has_worked(const struct bench *b)
{
	return sdma_counters_read(b->sdma).value[SDMA_COUNT_DESCRIPTORS] > 0;
}

static void *disturb_often(void *context)
{
	struct race *race = context;
	uint32_t seed = 1;

	/* On a busy machine longer: the device is to have worked meanwhile. */
	for (unsigned int i = 0; i < 20000 || (i < 20000000 && !has_worked(race->b)); i++) {
		seed = seed * 1664525 + 1013904223;
		disturb(race->b, (seed >> 16) % 14);
	}
	__atomic_store_n(&race->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A guest in another thread does everything at once; afterwards all is well after a reset. */
static void test_disturbed(void **state)
{
	struct bench *b = *state;
	struct race race = { .b = b };
	struct sdma_descriptor *slots = fake_ram(b->machine, b->ring.ring);
	pthread_t thread;

	map(b, b->guest.root, VA, data_gpa(b, 0), RW);
	for (unsigned int i = 0; i < 16; i++)
		slots[i] = (struct sdma_descriptor){ .operation = SDMA_FILL,
						     .flags = SDMA_FLAG_BLOCK,
						     .destination = VA + i % 2 * PAGE_SIZE_4K,
						     .length = PAGE_SIZE_4K };
	assert_int_equal(pthread_create(&thread, NULL, disturb_often, &race), 0);
	while (!__atomic_load_n(&race.over, __ATOMIC_ACQUIRE))
		assert_int_equal(loop_turn(b->loop, false), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(has_worked(b));
	disturb(b, 2);
	fake_settle(b->loop);
	*sdma_ring_index(&b->ring) = (struct sdma_index){ 0 };
	disturb(b, 9);
	fake_settle(b->loop);
	assert_int_equal(sdma_ring_state(&b->ring), SDMA_Q_IDLE);
	assert_int_equal(fill_now(b, 1, 0, 0x42)->status, SDMA_DONE);
	assert_int_equal(data(b, 0)[0], 0x42);
}

#define TEST(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_untranslated, setup_no_ats),
		TEST(test_atc, setup_no_pri),
		TEST(test_invalidation, setup_no_pri),
		TEST(test_page_request, setup),
		TEST(test_page_groups, setup),
		TEST(test_broken_promises, setup),
		TEST(test_failure, setup),
		TEST(test_unexpected, setup),
		TEST(test_disable, setup),
		TEST(test_stopped, setup),
		TEST(test_flr, setup),
		TEST(test_overflow, setup),
		TEST(test_absent_ring, setup),
		TEST(test_pasid, setup),
		TEST(test_race, setup),
		TEST(test_disturbed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
