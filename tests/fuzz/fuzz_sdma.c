/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile driver of sdma, behind a unit: registers, configuration space, rings, page responses
 * and invalidations, 12 bytes of input each; against what must hold after each: what is counted
 * agrees with what is there, memory that is not mapped is not written.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/sdma_device.h"
#include "tests/unit/sdma_driver.h"
#include "tests/unit/sva_guest.h"

#define QUEUES	 3
#define FN	 8
#define VA	 UINT64_C(0x7f0000000000)
#define PAGES	 8
#define COMMANDS 256

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct world {
	struct machine *machine;
	struct loop *loop;
	struct sva_guest guest;
	struct sdma *sdma;
	struct sdma_driver driver;
	struct sdma_ring ring[QUEUES];
	uint64_t data; /* PAGES pages, mapped at VA on and off */
	bool mapped[PAGES];
};

struct command {
	uint8_t what, queue;
	uint16_t a;
	uint64_t value;
};

/* --- What must hold --- */

static void check_atc(const struct sdma_atc *atc)
{
	unsigned int count[SDMA_ATC_SIZES] = { 0 };

	for (unsigned int i = 0; i < SDMA_ATC_MAX; i++) {
		if (!atc->entry[i].access)
			continue;
		CHECK(i < atc->entries && atc->entry[i].queue < QUEUES);
		count[atc->entry[i].size]++;
	}
	CHECK(!memcmp(count, atc->count, sizeof(count)));
}

static void check_pages(const struct sdma *sdma)
{
	const struct sdma_pages *pages = &sdma->pages;
	unsigned int outstanding = 0;

	for (unsigned int i = 0; i < SDMA_GROUPS; i++) {
		const struct sdma_group *group = &pages->group[i];
		const struct sdma_wait *wait = &sdma->queue[group->queue].wait;

		CHECK(group->state != SDMA_GROUP_SENDING);
		if (group->state == SDMA_GROUP_WAITING || group->state == SDMA_GROUP_STALE)
			outstanding += group->pages;
		if (group->state == SDMA_GROUP_WAITING || group->state == SDMA_GROUP_ANSWERED)
			CHECK(wait->parked == SDMA_WAITS && wait->group == i);
	}
	CHECK(outstanding == pages->outstanding && outstanding <= SDMA_CAPACITY);
}

static void check_queue(const struct sdma_queue *queue)
{
	CHECK(queue->state <= SDMA_Q_HALTED && queue->reason <= SDMA_HALT_MASTER);
	CHECK((queue->state == SDMA_Q_HALTED) <= (queue->reason != SDMA_HALT_NONE));
	CHECK(queue->wait.parked != SDMA_ASKS);
	if (queue->state == SDMA_Q_OFF || queue->state == SDMA_Q_IDLE)
		CHECK(queue->wait.parked == SDMA_RUNS);
	if (queue->state == SDMA_Q_ACTIVE || queue->state == SDMA_Q_IDLE)
		CHECK(queue->log2 <= SDMA_RING_LOG2_MAX && queue->control & SDMA_Q_ENABLE);
}

static bool is_zero(const uint8_t *bytes, uint64_t len)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

static void check(struct world *w)
{
	check_atc(&w->sdma->atc);
	check_pages(w->sdma);
	for (unsigned int i = 0; i < QUEUES; i++)
		check_queue(&w->sdma->queue[i]);
	for (unsigned int i = 0; i < PAGES; i++)
		if (!w->mapped[i])
			CHECK(is_zero(fake_ram(w->machine, w->data + i * PAGE_SIZE_4K),
				      PAGE_SIZE_4K));
}

/* --- What the guest does --- */

static uint64_t root_of(struct world *w, unsigned int queue)
{
	return queue == 1 ? w->guest.other : w->guest.root;
}

static uint32_t pasid_of(unsigned int queue)
{
	return queue == 1 ? SVA_OTHER : SVA_PASID;
}

/* The same page in both address spaces, or in neither; then it is empty, and must stay so. */
static void map_page(struct world *w, unsigned int index, uint64_t flags)
{
	uint64_t va = VA + index * PAGE_SIZE_4K, gpa = w->data + index * PAGE_SIZE_4K;

	sva_guest_map(&w->guest, w->guest.root, va, gpa, flags);
	sva_guest_map(&w->guest, w->guest.other, va, gpa, flags);
	w->mapped[index] = flags;
	if (flags)
		return;
	CHECK(sva_guest_drop(&w->guest, FN, SVA_PASID, va, true));
	CHECK(sva_guest_drop(&w->guest, FN, SVA_OTHER, va, true));
	memset(fake_ram(w->machine, gpa), 0, PAGE_SIZE_4K);
}

static void enable(struct world *w, const struct command *c)
{
	struct sdma_ring *ring = &w->ring[c->queue % QUEUES];

	sdma_ring_write(ring, SDMA_Q_PASID, 4, pasid_of(ring->queue));
	sdma_ring_write(ring, SDMA_Q_RING, 8, ring->ring);
	sdma_ring_write(ring, SDMA_Q_INDEX, 8, ring->index);
	sdma_ring_write(ring, SDMA_Q_LOG2, 4, ring->log2);
	sdma_ring_write(ring, SDMA_Q_VECTOR, 4, c->a % (QUEUES + 1));
	sdma_ring_enable(ring, c->value & 1 ? 0 : SDMA_Q_PASID_ON);
}

/* Addresses of descriptors are mostly such as there are. */
static uint64_t address_of(uint64_t seed)
{
	return VA + seed % (PAGES * PAGE_SIZE_4K);
}

static void submit(struct world *w, const struct command *c)
{
	struct sdma_ring *ring = &w->ring[c->queue % QUEUES];
	struct sdma_descriptor d = {
		.operation = (uint8_t)(c->value & 15),
		.flags = (uint8_t)(c->value >> 4 & SDMA_FLAGS),
		.completion = c->value >> 9 & 1 ? address_of(c->value >> 10) & ~31ULL : 0,
		.source = address_of(c->value >> 16),
		.destination = address_of(c->value >> 32),
		.length = c->a & 1 ? c->a : (uint64_t)c->a << (c->value >> 60),
		.operand = c->value >> 48 & 0x7ff,
	};

	if (d.operation == SDMA_GATHER)
		d.source &= ~7ULL;
	if (d.operation == SDMA_SCATTER)
		d.destination &= ~7ULL;
	sdma_ring_submit(ring, &d);
}

static void poke_ring(struct world *w, const struct command *c)
{
	struct sdma_ring *ring = &w->ring[c->queue % QUEUES];
	uint64_t at = c->a & 1 ? ring->index : ring->ring + (c->a % 1024 & ~7U);

	store_le64(fake_ram(w->machine, at), c->value);
}

/* A page that the device reads lists from. */
static void poke_data(struct world *w, const struct command *c)
{
	unsigned int index = c->queue % PAGES;
	uint64_t gpa = w->data + index * PAGE_SIZE_4K + (c->a & 0xff8);

	if (w->mapped[index])
		store_le64(fake_ram(w->machine, gpa),
			   c->value & 1 ? address_of(c->value >> 8) : c->value >> 48);
}

/* The unit takes these alone; another would stop its queue for good. */
static unsigned int code_of(uint64_t seed)
{
	unsigned int code = seed & 15;

	return code > VTD_RESPONSE_INVALID ? VTD_RESPONSE_FAILURE : code;
}

static void respond(struct world *w, const struct command *c)
{
	struct vtd_fixture *f = &w->guest.vtd;
	uint64_t head = vtd_fixture_read64(f, VTD_PQH), *d;

	if (head == vtd_fixture_read64(f, VTD_PQT)) {
		vtd_fixture_write32(f, VTD_PRS, 3);
		return;
	}
	d = fake_ram(w->machine, w->guest.prq + head);
	if (c->a & 1)
		map_page(w, c->a >> 1 & 7, SVA_RW);
	if (d[1] & VTD_PAGE1_LPIG)
		sva_guest_respond(&w->guest, FN, (uint32_t)vtd_get(d[0], VTD_PAGE0_PASID),
				  (unsigned int)vtd_get(d[1], VTD_PAGE1_PRGI), code_of(c->value));
	vtd_fixture_write64(f, VTD_PQH, (head + VTD_PAGE_BYTES) % SVA_PRQ_SIZE);
}

static void call(struct world *w, const struct command *c)
{
	struct pci_function *fn = w->machine->host.function[FN];

	if (c->a & 1)
		fn->iommu_ops->page_response(fn, pasid_of(c->queue), c->a >> 1 & 0x3ff,
					     c->value & 15);
	else
		fn->iommu_ops->invalidate(fn, pasid_of(c->queue), c->value, c->value >> 20,
					  c->a & 2);
}

static void act(struct world *w, const struct command *c)
{
	struct pci_host *host = &w->machine->host;
	unsigned int ext = w->sdma->caps.pasid;

	switch (c->what % 12) {
	case 0:
		sdma_ring_write(&w->ring[c->queue % QUEUES], c->a % 0x80 & ~3U, c->a & 0x80 ? 4 : 8,
				c->value);
		break;
	case 1:
		sdma_driver_write(&w->driver, c->a % 0x30 & ~3U, 4, c->value);
		break;
	case 2:
		pci_config_write(host, FN, ext + (c->a % 0x20 & ~1U), 2, (uint32_t)c->value);
		break;
	case 3:
		pci_config_write(host, FN, c->a % 0xc0 & ~3U, 4, (uint32_t)c->value);
		break;
	case 4:
		enable(w, c);
		break;
	case 5:
	case 6:
		submit(w, c);
		break;
	case 7:
		poke_ring(w, c);
		break;
	case 8:
		poke_data(w, c);
		break;
	case 9:
		map_page(w, c->a % PAGES, (const uint64_t[]){ 0, SVA_RW, SVA_RO }[c->value % 3]);
		break;
	case 10:
		respond(w, c);
		break;
	default:
		call(w, c);
		break;
	}
}

/* --- Life --- */

static void create(struct world *w)
{
	struct pci_host *host;

	w->machine = fake_machine_create();
	host = &w->machine->host;
	w->loop = loop_create(16);
	CHECK(w->loop);
	sva_guest_init(&w->guest, w->machine);
	w->sdma = sdma_create(host, w->loop, "sdma0", QUEUES);
	CHECK(w->sdma && !pci_host_assign(host));
	sva_guest_start(&w->guest, FN);
	sdma_driver_probe(&w->driver, w->machine, w->loop, FN);
	sdma_driver_msix(&w->driver, QUEUES);
	pci_config_write(host, FN, w->sdma->caps.pasid + 6, 2, 1);
	pci_config_write(host, FN, w->sdma->caps.ats + PCI_ATS_CTRL, 2, PCI_ATS_CTRL_ENABLE);
	pci_config_write(host, FN, w->sdma->caps.pri + PCI_PRI_ALLOC_REQ, 4, 12);
	pci_config_write(host, FN, w->sdma->caps.pri + PCI_PRI_CTRL, 2, 1);
	w->data = fake_alloc(w->machine, PAGES * PAGE_SIZE_4K, PAGE_SIZE_4K);
	for (unsigned int i = 0; i < QUEUES; i++) {
		struct sdma_ring *ring = &w->ring[i];

		sdma_ring_init(ring, &w->driver, i, 4);
		sva_guest_map(&w->guest, root_of(w, i), ring->ring, ring->ring, SVA_RW);
		sva_guest_map(&w->guest, root_of(w, i), ring->index, ring->index, SVA_RW);
	}
}

static void turn(struct world *w)
{
	for (unsigned int i = 0; i < 3; i++)
		CHECK(!loop_turn(w->loop, false));
}

static void destroy(struct world *w)
{
	sdma_quiesce(w->sdma);
	while (loop_in_flight(w->loop))
		CHECK(!loop_turn(w->loop, true));
	turn(w);
	sdma_destroy(w->sdma);
	sva_guest_destroy(&w->guest);
	loop_destroy(w->loop);
	fake_machine_destroy(w->machine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { 0 };

	create(&w);
	for (unsigned int i = 0; i < COMMANDS && size >= 12; i++, data += 12, size -= 12) {
		const struct command c = { data[0], data[1], load_le16(&data[2]),
					   load_le64(&data[4]) };

		act(&w, &c);
		turn(&w);
		check(&w);
	}
	destroy(&w);
	return 0;
}
