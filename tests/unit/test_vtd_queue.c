/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viommu/queue.c and viommu/invalidate.c: every descriptor, every reason to refuse one, what each
 * invalidates and what it leaves alone, and how the queue goes on after an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
/* As vtd_put(), for tables. */
#define PUT(value, mask) ((uint64_t)(value) * ((mask) & -(mask)))
#define G(value)	 PUT(value, VTD_DESC_G)
#define LEGACY		 PUT(VTD_TTM_LEGACY, VTD_RTADDR_TTM)
#define SCALABLE	 PUT(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)
#define ABORT		 PUT(VTD_TTM_ABORT, VTD_RTADDR_TTM)
#define SOURCE		 0x10

static struct vtd_fixture f;
static struct fixture_device *device;

static void start(const struct vtd_config *config, bool wide, uint64_t mode)
{
	assert_int_equal(vtd_fixture_init(&f, config), 0);
	device = vtd_fixture_attach(&f, SOURCE);
	assert_true(vtd_fixture_set_root(&f, mode));
	assert_true(vtd_fixture_queue(&f, wide));
}

static uint32_t errors(void)
{
	return vtd_fixture_read32(&f, VTD_FSTS) & (VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE);
}

static unsigned int iqei(void)
{
	return (unsigned int)vtd_get(vtd_fixture_read64(&f, VTD_IQERCD), VTD_IQERCD_IQEI);
}

/* --- What is accepted --- */

struct descriptor {
	const char *name;
	bool wide;
	uint64_t mode;
	uint64_t qw[4];
	enum vtd_counter counter;
};

#define CONTEXT(g)	VTD_DESC_CONTEXT | G(g)
#define IOTLB(g)	VTD_DESC_IOTLB | G(g)
#define PASID_IOTLB(g)	VTD_DESC_PASID_IOTLB | G(g)
#define PASID_CACHE(g)	VTD_DESC_PASID_CACHE | G(g)
#define DID(did)	PUT(did, VTD_DESC_DID)
#define PASID(pasid)	PUT(pasid, VTD_DESC_PASID)
#define ALL_IN_CONTEXT	VTD_DESC_DID | VTD_CONTEXT_SID | VTD_CONTEXT_FM
#define SINGLE_DEVTLB	VTD_DESC_DEVTLB | PUT(SOURCE, VTD_DEVTLB_SID) | VTD_DEVTLB_MIP
#define PASID_DEVTLB	VTD_DESC_PASID_DEVTLB | PUT(SOURCE, VTD_PDEVTLB_SID) | VTD_PDEVTLB_MIP
#define RESPONSE	VTD_DESC_PAGE_RESPONSE | PUT(SOURCE, VTD_RESPONSE_RID)
#define INTERRUPT_INDEX VTD_DESC_INTERRUPT | VTD_INTERRUPT_G

static const struct descriptor accepted[] = {
	/* clang-format off */
	{ "context, global", false, LEGACY, { CONTEXT(1) | ALL_IN_CONTEXT }, VTD_COUNT_INVALIDATE_CONTEXT },
	{ "context, domain", true, LEGACY, { CONTEXT(2) | ALL_IN_CONTEXT }, VTD_COUNT_INVALIDATE_CONTEXT },
	{ "context, device", true, SCALABLE, { CONTEXT(3) | ALL_IN_CONTEXT }, VTD_COUNT_INVALIDATE_CONTEXT },
	{ "iotlb, global", false, LEGACY, { IOTLB(1) }, VTD_COUNT_INVALIDATE_IOTLB },
	{ "iotlb, domain", true, SCALABLE, { IOTLB(2) | VTD_DESC_DID }, VTD_COUNT_INVALIDATE_IOTLB },
	{ "iotlb, pages", true, ABORT,
	  { IOTLB(3) | VTD_IOTLB_D_DW | VTD_IOTLB_D_DR, VTD_ADDR1_ADDR | VTD_ADDR1_IH | 18 },
	  VTD_COUNT_INVALIDATE_IOTLB },
	{ "iotlb, domain, with a mask of no meaning", true, SCALABLE, { IOTLB(2), 63 },
	  VTD_COUNT_INVALIDATE_IOTLB },
	{ "device-TLB", false, LEGACY, { SINGLE_DEVTLB, VTD_ADDR1_ADDR | VTD_DEVTLB1_S },
	  VTD_COUNT_INVALIDATE_DEVTLB },
	{ "device-TLB of nobody", false, LEGACY, { VTD_DESC_DEVTLB | VTD_DEVTLB_SID },
	  VTD_COUNT_INVALIDATE_DEVTLB },
	{ "interrupt entries, all", false, LEGACY, { VTD_DESC_INTERRUPT }, VTD_COUNT_INVALIDATE_INTERRUPT },
	{ "interrupt entries, one", true, SCALABLE, { INTERRUPT_INDEX | VTD_INTERRUPT_IIDX },
	  VTD_COUNT_INVALIDATE_INTERRUPT },
	{ "interrupt entries, many", true, SCALABLE, { INTERRUPT_INDEX | PUT(15, VTD_INTERRUPT_IM) },
	  VTD_COUNT_INVALIDATE_INTERRUPT },
	{ "wait", false, LEGACY, { VTD_DESC_WAIT | VTD_WAIT_DATA }, VTD_COUNT_WAITS },
	{ "wait, all flags", true, SCALABLE,
	  { VTD_DESC_WAIT | VTD_WAIT_IF | VTD_WAIT_SW | VTD_WAIT_FN | VTD_WAIT_PD, FIXTURE_STATUS + 4 },
	  VTD_COUNT_WAITS },
	{ "PASID iotlb, PASID", true, SCALABLE, { PASID_IOTLB(2) | VTD_DESC_DID | VTD_DESC_PASID },
	  VTD_COUNT_INVALIDATE_PASID_IOTLB },
	{ "PASID iotlb, pages", true, SCALABLE, { PASID_IOTLB(3), VTD_ADDR1_ADDR | VTD_ADDR1_IH },
	  VTD_COUNT_INVALIDATE_PASID_IOTLB },
	{ "PASID iotlb, largest shift", true, SCALABLE, { PASID_IOTLB(3), VTD_ADDR1_ADDR | 51 },
	  VTD_COUNT_INVALIDATE_PASID_IOTLB },
	{ "PASID iotlb, largest mask", true, ABORT, { PASID_IOTLB(3), VTD_ADDR1_ADDR | VTD_ADDR1_AM },
	  VTD_COUNT_INVALIDATE_PASID_IOTLB },
	{ "PASID cache, domain", true, SCALABLE, { PASID_CACHE(0) }, VTD_COUNT_INVALIDATE_PASID_CACHE },
	{ "PASID cache, PASID", true, SCALABLE, { PASID_CACHE(1) | VTD_DESC_PASID },
	  VTD_COUNT_INVALIDATE_PASID_CACHE },
	{ "PASID cache, global", true, SCALABLE, { PASID_CACHE(3) }, VTD_COUNT_INVALIDATE_PASID_CACHE },
	{ "PASID device-TLB", true, SCALABLE,
	  { PASID_DEVTLB | VTD_DESC_PASID, VTD_ADDR1_ADDR | VTD_PDEVTLB1_S | VTD_PDEVTLB1_G },
	  VTD_COUNT_INVALIDATE_PASID_DEVTLB },
	{ "page response", true, SCALABLE,
	  { RESPONSE | VTD_RESPONSE_PASID_P | PASID(7), VTD_RESPONSE1_PRGI | VTD_RESPONSE1_LPIG, 1, 2 },
	  VTD_COUNTERS },
	{ "page response, invalid", true, SCALABLE, { RESPONSE | PUT(1, VTD_RESPONSE_RC) }, VTD_COUNTERS },
	{ "page response, failure", true, SCALABLE, { RESPONSE | VTD_RESPONSE_RC }, VTD_COUNTERS },
	/* clang-format on */
};

/* Puts a whole descriptor in the queue. */
static void submit(const uint64_t *qw)
{
	uint64_t tail = vtd_fixture_read64(&f, VTD_IQT);
	unsigned int words = f.wide ? 4 : 2;

	for (unsigned int i = 0; i < words; i++)
		vtd_fixture_store(&f, FIXTURE_QUEUE + tail + i * 8, qw[i]);
	vtd_fixture_write32(&f, VTD_IQT, (uint32_t)(tail + words * 8) % 4096);
}

static void test_accepted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS(accepted); i++) {
		const struct descriptor *row = &accepted[i];

		start(NULL, row->wide, row->mode);
		submit(row->qw);
		if (errors() || vtd_fixture_read64(&f, VTD_IQH) != vtd_fixture_read64(&f, VTD_IQT))
			fail_msg("%s: IQEI %u", row->name, iqei());
		if (row->counter != VTD_COUNTERS)
			assert_int_equal(vtd_counter(f.unit, row->counter), 1);
		assert_true(vtd_fixture_wait(&f));
		assert_int_equal(vtd_counter(f.unit, VTD_COUNT_QUEUE_ERRORS), 0);
		vtd_fixture_destroy(&f);
	}
}

/* --- What is refused --- */

/* Which bits of each descriptor are not reserved, and so what every other bit does: one row a type.
 */
static const struct {
	const char *name;
	uint64_t qw[2];	    /* a good one */
	uint64_t fields[2]; /* that may be set; the type is bits 3:0 and 11:9 */
	bool high;	    /* the third and fourth words may be set */
} layouts[] = {
	{ "context",
	  { CONTEXT(1) },
	  { VTD_DESC_G | VTD_DESC_DID | VTD_CONTEXT_SID | VTD_CONTEXT_FM, 0 },
	  false },
	{ "iotlb",
	  { IOTLB(1) },
	  { VTD_DESC_G | VTD_DESC_DID | VTD_IOTLB_D_DW | VTD_IOTLB_D_DR,
	    VTD_ADDR1_ADDR | VTD_ADDR1_IH | VTD_ADDR1_AM },
	  false },
	{ "device-TLB",
	  { SINGLE_DEVTLB },
	  { VTD_DEVTLB_MIP | VTD_DEVTLB_SID, VTD_ADDR1_ADDR | VTD_DEVTLB1_S },
	  false },
	{ "interrupt",
	  { VTD_DESC_INTERRUPT },
	  { VTD_INTERRUPT_G | VTD_INTERRUPT_IM | VTD_INTERRUPT_IIDX, 0 },
	  false },
	{ "wait",
	  { VTD_DESC_WAIT },
	  { VTD_WAIT_IF | VTD_WAIT_SW | VTD_WAIT_FN | VTD_WAIT_PD | VTD_WAIT_DATA, VTD_WAIT1_ADDR },
	  false },
	{ "PASID iotlb",
	  { PASID_IOTLB(2) },
	  { VTD_DESC_G | VTD_DESC_DID | VTD_DESC_PASID,
	    VTD_ADDR1_ADDR | VTD_ADDR1_IH | VTD_ADDR1_AM },
	  false },
	{ "PASID cache",
	  { PASID_CACHE(1) },
	  { VTD_DESC_G | VTD_DESC_DID | VTD_DESC_PASID, 0 },
	  false },
	{ "PASID device-TLB",
	  { PASID_DEVTLB },
	  { VTD_PDEVTLB_MIP | VTD_PDEVTLB_SID | VTD_DESC_PASID,
	    VTD_ADDR1_ADDR | VTD_PDEVTLB1_S | VTD_PDEVTLB1_G },
	  false },
	{ "page response",
	  { RESPONSE },
	  { VTD_RESPONSE_PASID_P | VTD_RESPONSE_RC | VTD_RESPONSE_RID | VTD_DESC_PASID,
	    VTD_RESPONSE1_LPIG | VTD_RESPONSE1_PRGI },
	  true },
};

/* The queue stands at @head with IQE and @code; a wait put there instead lets it go on. */
static void assert_stopped(const char *name, uint64_t head, enum vtd_iqei code)
{
	const uint64_t wait[4] = { VTD_DESC_WAIT | VTD_WAIT_SW | PUT(0x51, VTD_WAIT_DATA),
				   FIXTURE_STATUS };

	if (errors() != VTD_FSTS_IQE || iqei() != code || vtd_fixture_read64(&f, VTD_IQH) != head)
		fail_msg("%s: FSTS %#x, IQEI %u for %u", name, errors(), iqei(), code);
	/* Nothing runs meanwhile. */
	vtd_fixture_store(&f, FIXTURE_STATUS, 0);
	for (unsigned int i = 0; i < (f.wide ? 4 : 2); i++)
		vtd_fixture_store(&f, FIXTURE_QUEUE + head + i * 8, wait[i]);
	vtd_fixture_write32(&f, VTD_IQT, (uint32_t)vtd_fixture_read64(&f, VTD_IQT));
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 0);
	vtd_fixture_write32(&f, VTD_FSTS, VTD_FSTS_IQE);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 0x51);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), vtd_fixture_read64(&f, VTD_IQT));
	assert_int_equal(errors(), 0);
}

static void test_reserved_bits(void **state)
{
	const uint64_t type = VTD_DESC_TYPE_LOW | VTD_DESC_TYPE_HIGH;

	(void)state;
	start(NULL, true, SCALABLE);
	for (unsigned int i = 0; i < ROWS(layouts); i++) {
		for (unsigned int bit = 0; bit < 256; bit++) {
			uint64_t qw[4] = { layouts[i].qw[0], layouts[i].qw[1] };
			uint64_t head = vtd_fixture_read64(&f, VTD_IQH);
			uint64_t mask = bit < 128	  ? layouts[i].fields[bit / 64]
					: layouts[i].high ? UINT64_MAX
							  : 0;

			if (bit < 64)
				mask |= type;
			if (mask >> bit % 64 & 1)
				continue;
			qw[bit / 64] ^= VTD_BIT(bit % 64);
			submit(qw);
			assert_stopped(layouts[i].name, head, VTD_IQEI_RESERVED);
		}
	}
	vtd_fixture_destroy(&f);
}

struct refusal {
	const char *name;
	bool wide;
	uint64_t mode;
	uint64_t qw[4];
	enum vtd_iqei code;
};

static const struct refusal refused[] = {
	{ "zero", true, SCALABLE, { 0 }, VTD_IQEI_TYPE },
	{ "type 10", true, SCALABLE, { 10 }, VTD_IQEI_TYPE },
	{ "type 15", true, SCALABLE, { 15 }, VTD_IQEI_TYPE },
	{ "type 0x11", true, SCALABLE, { 1 | VTD_BIT(9) }, VTD_IQEI_TYPE },
	{ "type 0x75", true, SCALABLE, { 5 | VTD_DESC_TYPE_HIGH }, VTD_IQEI_TYPE },
	{ "context granularity 0", true, SCALABLE, { CONTEXT(0) }, VTD_IQEI_RESERVED },
	{ "iotlb granularity 0", true, SCALABLE, { IOTLB(0) }, VTD_IQEI_RESERVED },
	{ "iotlb mask", true, SCALABLE, { IOTLB(3), 19 }, VTD_IQEI_RESERVED },
	{ "PASID iotlb granularity 0", true, SCALABLE, { PASID_IOTLB(0) }, VTD_IQEI_RESERVED },
	{ "PASID iotlb granularity 1", true, SCALABLE, { PASID_IOTLB(1) }, VTD_IQEI_RESERVED },
	{ "PASID cache granularity 2", true, SCALABLE, { PASID_CACHE(2) }, VTD_IQEI_RESERVED },
	{ "interrupt mask",
	  true,
	  SCALABLE,
	  { INTERRUPT_INDEX | PUT(16, VTD_INTERRUPT_IM) },
	  VTD_IQEI_RESERVED },
	{ "response code 2",
	  true,
	  SCALABLE,
	  { RESPONSE | PUT(2, VTD_RESPONSE_RC) },
	  VTD_IQEI_RESERVED },
	{ "response code 14",
	  true,
	  SCALABLE,
	  { RESPONSE | PUT(14, VTD_RESPONSE_RC) },
	  VTD_IQEI_RESERVED },
	{ "status beyond all memory",
	  true,
	  SCALABLE,
	  { VTD_DESC_WAIT | VTD_WAIT_SW, VTD_BIT(46) },
	  VTD_IQEI_RESERVED },
	{ "PASID cache, 128 bits", false, LEGACY, { PASID_CACHE(3) }, VTD_IQEI_TYPE },
	{ "PASID cache, legacy mode", true, LEGACY, { PASID_CACHE(3) }, VTD_IQEI_TYPE },
	{ "PASID iotlb, legacy mode", true, LEGACY, { PASID_IOTLB(2) }, VTD_IQEI_TYPE },
	{ "PASID device-TLB, 128 bits", false, LEGACY, { PASID_DEVTLB }, VTD_IQEI_TYPE },
	{ "page response, 128 bits", false, LEGACY, { RESPONSE }, VTD_IQEI_TYPE },
};

static void test_refused(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS(refused); i++) {
		start(NULL, refused[i].wide, refused[i].mode);
		assert_true(vtd_fixture_wait(&f));
		submit(refused[i].qw);
		assert_stopped(refused[i].name, f.wide ? 32 : 16, refused[i].code);
		assert_int_equal(vtd_counter(f.unit, VTD_COUNT_QUEUE_ERRORS), 1);
		vtd_fixture_destroy(&f);
	}
}

/* What a unit does not have, it does not know. */
static void test_not_offered(void **state)
{
	static const struct refusal rows[] = {
		{ "device-TLB", false, LEGACY, { SINGLE_DEVTLB }, VTD_IQEI_TYPE },
		{ "interrupt entries", false, LEGACY, { VTD_DESC_INTERRUPT }, VTD_IQEI_TYPE },
		{ "PASID device-TLB", true, SCALABLE, { PASID_DEVTLB }, VTD_IQEI_TYPE },
		{ "page response", true, SCALABLE, { RESPONSE }, VTD_IQEI_TYPE },
		{ "drain", true, SCALABLE, { VTD_DESC_WAIT | VTD_WAIT_PD }, VTD_IQEI_RESERVED },
	};
	struct vtd_config config;

	(void)state;
	vtd_config_init(&config);
	config.ats = config.pri = config.interrupt_remapping = false;
	for (unsigned int i = 0; i < ROWS(rows); i++) {
		start(&config, rows[i].wide, rows[i].mode);
		submit(rows[i].qw);
		assert_stopped(rows[i].name, 0, rows[i].code);
		vtd_fixture_destroy(&f);
	}
}

/* --- The queue as a whole --- */

struct whole {
	const char *name;
	uint64_t iqa, iqt, root;
	uint64_t hole;
	bool scalable; /* the unit has scalable and abort mode */
	enum vtd_iqei code;
};

static const struct whole wholes[] = {
	{ "tail at the end", FIXTURE_QUEUE, 4096, LEGACY, UINT64_MAX, true, VTD_IQEI_TAIL },
	{ "tail beyond two pages", FIXTURE_QUEUE | 1, 8192, LEGACY, UINT64_MAX, true,
	  VTD_IQEI_TAIL },
	{ "tail not aligned", FIXTURE_QUEUE | VTD_IQA_DW, 48, LEGACY, UINT64_MAX, true,
	  VTD_IQEI_ALIGNMENT },
	{ "queue in no memory", FIXTURE_MEMORY, 16, LEGACY, UINT64_MAX, true, VTD_IQEI_FETCH },
	{ "queue in a hole", FIXTURE_QUEUE, 16, LEGACY, FIXTURE_QUEUE, true, VTD_IQEI_FETCH },
	{ "256 bits without scalable mode", FIXTURE_QUEUE | VTD_IQA_DW, 32, LEGACY, UINT64_MAX,
	  false, VTD_IQEI_WIDTH },
	{ "128 bits in scalable mode", FIXTURE_QUEUE, 16, SCALABLE, UINT64_MAX, true,
	  VTD_IQEI_WIDTH },
	{ "128 bits in abort mode", FIXTURE_QUEUE, 16, ABORT, UINT64_MAX, true, VTD_IQEI_WIDTH },
	{ "reserved mode", FIXTURE_QUEUE | VTD_IQA_DW, 32, PUT(VTD_TTM_RESERVED, VTD_RTADDR_TTM),
	  UINT64_MAX, true, VTD_IQEI_TTM },
	{ "scalable mode not supported", FIXTURE_QUEUE, 16, SCALABLE, UINT64_MAX, false,
	  VTD_IQEI_TTM },
	{ "abort mode not supported", FIXTURE_QUEUE, 16, ABORT, UINT64_MAX, false, VTD_IQEI_TTM },
};

static void test_wholes(void **state)
{
	struct vtd_config config;

	(void)state;
	for (unsigned int i = 0; i < ROWS(wholes); i++) {
		const struct whole *row = &wholes[i];

		vtd_config_init(&config);
		if (!row->scalable) {
			config.scalable = config.first_stage = config.nested = config.pri = false;
			config.abort_dma = false;
			config.pasid_bits = 0;
		}
		assert_int_equal(vtd_fixture_init(&f, &config), 0);
		f.hole = row->hole;
		vtd_fixture_write64(&f, VTD_IQA, row->iqa);
		assert_true(vtd_fixture_set_root(&f, row->root));
		assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, true));
		vtd_fixture_write32(&f, VTD_IQT, (uint32_t)row->iqt);
		if (errors() != VTD_FSTS_IQE || iqei() != row->code)
			fail_msg("%s: FSTS %#x, IQEI %u", row->name, errors(), iqei());
		/* The cause is still there: it is found again. */
		vtd_fixture_write32(&f, VTD_FSTS, VTD_FSTS_IQE);
		assert_int_equal(errors(), VTD_FSTS_IQE);
		assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 0);
		/* With nothing to fetch it is not. */
		vtd_fixture_write32(&f, VTD_IQT, 0);
		vtd_fixture_write32(&f, VTD_FSTS, VTD_FSTS_IQE);
		assert_int_equal(errors(), 0);
		vtd_fixture_destroy(&f);
	}
}

/* The ring goes round, in both widths and several sizes. */
static void test_round(void **state)
{
	(void)state;
	for (unsigned int wide = 0; wide < 2; wide++) {
		for (unsigned int order = 0; order < 3; order++) {
			uint64_t step = wide ? 32 : 16, bytes = UINT64_C(4096) << order, tail = 0;
			uint64_t ring, sum = 0;

			assert_int_equal(vtd_fixture_init(&f, NULL), 0);
			ring = vtd_fixture_pages(&f, 1u << order);
			vtd_fixture_write64(&f, VTD_IQA, ring | (wide ? VTD_IQA_DW : 0) | order);
			assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, true));
			for (uint64_t at = 0; at < bytes; at += step)
				vtd_fixture_store(&f, ring + at, VTD_DESC_WAIT);
			for (unsigned int i = 0; i < 12; i++) {
				uint64_t jump = bytes / 3 / step * step;

				tail = (tail + jump) % bytes;
				sum += jump / step;
				vtd_fixture_write32(&f, VTD_IQT, (uint32_t)tail);
				assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), tail);
				assert_int_equal(vtd_counter(f.unit, VTD_COUNT_WAITS), sum);
			}
			assert_int_equal(errors(), 0);
			vtd_fixture_destroy(&f);
		}
	}
}

/* Windows sets the tail before it enables the queue. */
static void test_tail_first(void **state)
{
	(void)state;
	assert_int_equal(vtd_fixture_init(&f, NULL), 0);
	vtd_fixture_write64(&f, VTD_IQA, FIXTURE_QUEUE);
	vtd_fixture_submit(&f, VTD_DESC_IOTLB | G(1), 0);
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_SW | PUT(9, VTD_WAIT_DATA), FIXTURE_STATUS);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 0);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQT), 32);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, true));
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 9);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 32);
	/* Off and on: the head is 0, the tail as it was, so all of it is run again. */
	vtd_fixture_store(&f, FIXTURE_STATUS, 0);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, false));
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 0);
	vtd_fixture_write32(&f, VTD_IQT, 0);
	vtd_fixture_write32(&f, VTD_IQT, 32);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 0);
	assert_true(vtd_fixture_command(&f, VTD_GCMD_QIE, true));
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 9);
	vtd_fixture_destroy(&f);
}

/* --- Device-TLBs --- */

static void test_ranges(void **state)
{
	static const struct {
		uint64_t word; /* without S */
		bool several;
		uint64_t address, size;
	} rows[] = {
		{ 0x5000, false, 0x5000, 0x1000 },
		{ 0x7000, false, 0x7000, 0x1000 },
		{ 0x4000, true, 0x4000, 0x2000 },
		{ 0x5000, true, 0x4000, 0x4000 },
		{ 0x7000, true, 0x0, 0x10000 },
		{ 0x8000, true, 0x8000, 0x2000 },
		{ UINT64_C(0x123456789ff000), true, UINT64_C(0x12345678800000), 0x400000 },
		{ UINT64_C(0xffffffff80000000), true, UINT64_C(0xffffffff80000000), 0x2000 },
		{ UINT64_C(0x3ffffffffffff000), true, 0, UINT64_C(1) << 63 },
		{ UINT64_C(0xbffffffffffff000), true, UINT64_C(1) << 63, UINT64_C(1) << 63 },
		{ UINT64_C(0x7ffffffffffff000), true, 0, 0 },
		{ UINT64_C(0xfffffffffffff000), true, 0, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < ROWS(rows); i++) {
		const struct fixture_invalidation *seen;

		start(NULL, true, SCALABLE);
		seen = device->invalidation;
		vtd_fixture_submit(&f, SINGLE_DEVTLB,
				   rows[i].word | (rows[i].several ? VTD_DEVTLB1_S : 0));
		vtd_fixture_submit(&f, PASID_DEVTLB | PASID(0xabcde),
				   rows[i].word | (rows[i].several ? VTD_PDEVTLB1_S : 0) |
					   (i % 2 ? VTD_PDEVTLB1_G : 0));
		assert_int_equal(device->invalidations, 2);
		for (unsigned int j = 0; j < 2; j++) {
			assert_int_equal(seen[j].address, rows[i].address);
			assert_int_equal(seen[j].size, rows[i].size);
		}
		assert_int_equal(seen[0].pasid, VTD_NO_PASID);
		assert_false(seen[0].global);
		assert_int_equal(seen[1].pasid, 0xabcde);
		assert_int_equal(seen[1].global, i % 2);
		vtd_fixture_destroy(&f);
	}
}

/*
 * A device that does not answer. As drivers expect it: the wait behind is fetched and dropped, the
 * queue holds until ITE is cleared, and then goes on after that wait.
 */
static void test_timeout(void **state)
{
	(void)state;
	start(NULL, true, SCALABLE);
	device->result = -ETIMEDOUT;
	vtd_fixture_submit(&f, VTD_DESC_INTERRUPT, 0);
	/* Invalidation and wait by one write of the tail. */
	vtd_fixture_store(&f, FIXTURE_QUEUE + 32, PASID_DEVTLB);
	vtd_fixture_store(&f, FIXTURE_QUEUE + 64,
			  VTD_DESC_WAIT | VTD_WAIT_SW | VTD_WAIT_IF | PUT(1, VTD_WAIT_DATA));
	vtd_fixture_store(&f, FIXTURE_QUEUE + 72, FIXTURE_STATUS);
	vtd_fixture_store(&f, FIXTURE_QUEUE + 96,
			  VTD_DESC_WAIT | VTD_WAIT_SW | PUT(2, VTD_WAIT_DATA));
	vtd_fixture_store(&f, FIXTURE_QUEUE + 104, FIXTURE_STATUS + 8);
	vtd_fixture_write32(&f, VTD_IQT, 128);
	assert_int_equal(errors(), VTD_FSTS_ITE);
	assert_int_equal(vtd_get(vtd_fixture_read64(&f, VTD_IQERCD), VTD_IQERCD_ITESID), SOURCE);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 96);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 0);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS + 8), 0);
	assert_int_equal(vtd_fixture_read32(&f, VTD_ICS), 0);
	/* Held, and then not. */
	vtd_fixture_write32(&f, VTD_IQT, 128);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 96);
	device->result = 0;
	vtd_fixture_write32(&f, VTD_FSTS, VTD_FSTS_ITE);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 128);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 0);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS + 8), 2);
	/* Tried anew, as Linux does. */
	vtd_fixture_submit(&f, PASID_DEVTLB, 0);
	assert_true(vtd_fixture_wait(&f));
	assert_int_equal(device->invalidations, 2);
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_QUEUE_ERRORS), 1);
	vtd_fixture_destroy(&f);
}

/* Without a wait it is found out all the same. */
static void test_timeout_at_the_end(void **state)
{
	(void)state;
	start(NULL, false, LEGACY);
	device->result = -ETIMEDOUT;
	vtd_fixture_submit(&f, SINGLE_DEVTLB, 0);
	assert_int_equal(errors(), VTD_FSTS_ITE);
	assert_int_equal(vtd_fixture_read64(&f, VTD_IQH), 16);
	vtd_fixture_write32(&f, VTD_FSTS, VTD_FSTS_ITE);
	assert_true(vtd_fixture_wait(&f));
	vtd_fixture_destroy(&f);
}

/* A completion that makes no sense is reported and holds nothing up. */
static void test_completion_error(void **state)
{
	(void)state;
	start(NULL, true, SCALABLE);
	device->result = -EPROTO;
	vtd_fixture_submit(&f, SINGLE_DEVTLB, 0);
	assert_int_equal(errors(), VTD_FSTS_ICE);
	assert_int_equal(vtd_get(vtd_fixture_read64(&f, VTD_IQERCD), VTD_IQERCD_ICESID), SOURCE);
	assert_true(vtd_fixture_wait(&f));
	vtd_fixture_write32(&f, VTD_FSTS, VTD_FSTS_ICE);
	assert_int_equal(errors(), 0);
	vtd_fixture_destroy(&f);
}

/* --- The wait --- */

static void test_wait(void **state)
{
	const uint64_t status = VTD_DESC_WAIT | VTD_WAIT_SW;
	uint64_t page;

	(void)state;
	start(NULL, true, SCALABLE);
	page = vtd_fixture_page(&f);
	/* Any multiple of 4, the end of a page too; nothing beside it is written. */
	vtd_fixture_store(&f, page + 0xff8, UINT64_MAX);
	vtd_fixture_submit(&f, status | PUT(0x1234, VTD_WAIT_DATA), page + 0xffc);
	assert_int_equal(vtd_fixture_load(&f, page + 0xff8), UINT64_C(0x00001234ffffffff));
	/* To no memory: the write is lost, the wait is not. */
	vtd_fixture_submit(&f, status, FIXTURE_MEMORY);
	vtd_fixture_submit(&f, status, VTD_INTERRUPT_BASE);
	assert_int_equal(errors(), 0);
	assert_int_equal(f.msis, 0);
	/* Without SW the address means nothing. */
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_DATA, VTD_BITS(63, 2));
	assert_true(vtd_fixture_wait(&f));
	assert_int_equal(vtd_counter(f.unit, VTD_COUNT_WAITS), 5);
	vtd_fixture_destroy(&f);
}

static void test_wait_interrupt(void **state)
{
	(void)state;
	start(NULL, true, SCALABLE);
	vtd_fixture_write32(&f, VTD_IEDATA, 0x4041);
	vtd_fixture_write32(&f, VTD_IEADDR, 0xfee01000);
	vtd_fixture_write32(&f, VTD_IEUADDR, 0x100);
	vtd_fixture_write32(&f, VTD_IECTL, 0);
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_IF, 0);
	assert_int_equal(vtd_fixture_read32(&f, VTD_ICS), VTD_ICS_IWC);
	assert_int_equal(f.msis, 1);
	assert_int_equal(f.msi[0].address, UINT64_C(0x100fee01000));
	assert_int_equal(f.msi[0].data, 0x4041);
	/* No second one before the first was seen to. */
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_IF, 0);
	assert_int_equal(f.msis, 1);
	vtd_fixture_write32(&f, VTD_ICS, 0);
	assert_int_equal(vtd_fixture_read32(&f, VTD_ICS), VTD_ICS_IWC);
	vtd_fixture_write32(&f, VTD_ICS, VTD_ICS_IWC);
	assert_int_equal(vtd_fixture_read32(&f, VTD_ICS), 0);
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_IF, 0);
	assert_int_equal(f.msis, 2);
	/* Masked, it is pending, until its cause is gone. */
	vtd_fixture_write32(&f, VTD_ICS, VTD_ICS_IWC);
	vtd_fixture_write32(&f, VTD_IECTL, VTD_EVENT_IM);
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_IF, 0);
	assert_int_equal(vtd_fixture_read32(&f, VTD_IECTL), VTD_EVENT_IM | VTD_EVENT_IP);
	vtd_fixture_write32(&f, VTD_ICS, VTD_ICS_IWC);
	assert_int_equal(vtd_fixture_read32(&f, VTD_IECTL), VTD_EVENT_IM);
	assert_int_equal(f.msis, 2);
	vtd_fixture_destroy(&f);
}

/* --- What is invalidated, and what is not --- */

/* The translations that the IOTLB tests look for. */
static const struct vtd_iotlb_key cached[] = {
	{ 5, VTD_NO_PASID, false, 0x10000 }, { 5, VTD_NO_PASID, false, 0x11000 },
	{ 5, VTD_NO_PASID, false, 0x18000 }, { 6, VTD_NO_PASID, false, 0x10000 },
	{ 5, 100, false, 0x10000 },	     { 5, 100, false, 0x13000 },
	{ 5, 101, false, 0x10000 },	     { 6, 100, false, 0x10000 },
};
#define ALL_CACHED (VTD_BITS(ROWS(cached) - 1, 0))

static void fill(void)
{
	for (unsigned int i = 0; i < ROWS(cached); i++) {
		const struct vtd_iotlb_fill begun = vtd_iotlb_begin(f.unit, &cached[i]);
		const struct vtd_translation translation = { .gpa = 0x100000 + i * 4096,
							     .page_shift = 12,
							     .permissions = VTD_TLB_READ };

		vtd_iotlb_insert(f.unit, &cached[i], &begun, &translation);
	}
}

static uint64_t still_cached(void)
{
	struct vtd_translation translation;
	uint64_t seen = 0;

	for (unsigned int i = 0; i < ROWS(cached); i++)
		if (vtd_iotlb_lookup(f.unit, &cached[i], &translation) &&
		    translation.gpa == 0x100000 + i * 4096)
			seen |= VTD_BIT(i);
	return seen;
}

struct iotlb_row {
	const char *name;
	uint64_t qw[2];
	uint64_t gone; /* must be; */
	uint64_t kept; /* must not be. The rest may: hashes and large masks take more with them */
};

static const struct iotlb_row iotlb_rows[] = {
	{ "global", { IOTLB(1) }, ALL_CACHED, 0 },
	{ "domain", { IOTLB(2) | DID(5) }, 0x77, 0x88 },
	{ "page", { IOTLB(3) | DID(5), 0x11000 }, 0x02, 0x8d },
	{ "two pages", { IOTLB(3) | DID(5), 0x11001 }, 0x03, 0x8c },
	{ "16 pages", { IOTLB(3) | DID(5), 0x1f004 }, 0x07, 0x88 },
	{ "PASID", { PASID_IOTLB(2) | DID(5) | PASID(100) }, 0x30, 0xcf },
	{ "PASID, page", { PASID_IOTLB(3) | DID(5) | PASID(100), 0x13000 }, 0x20, 0xdf },
	{ "PASID, four pages", { PASID_IOTLB(3) | DID(5) | PASID(100), 0x11002 }, 0x30, 0xcf },
	{ "PASID, all pages",
	  { PASID_IOTLB(3) | DID(5) | PASID(100), VTD_ADDR1_ADDR | VTD_ADDR1_AM },
	  0x30,
	  0xcf },
	{ "another domain", { IOTLB(2) | DID(7) }, 0, ALL_CACHED },
	{ "another PASID", { PASID_IOTLB(2) | DID(5) | PASID(102) }, 0, ALL_CACHED },
	{ "interrupt entries", { VTD_DESC_INTERRUPT }, 0, ALL_CACHED },
};

static void test_iotlb(void **state)
{
	(void)state;
	for (unsigned int dropped = 0; dropped < 2; dropped++) {
		for (unsigned int i = 0; i < ROWS(iotlb_rows); i++) {
			const struct iotlb_row *row = &iotlb_rows[i];
			struct vtd_config config;
			uint64_t seen;

			vtd_config_init(&config);
			if (dropped)
				config.drop = 1u << VTD_DESC_IOTLB | 1u << VTD_DESC_PASID_IOTLB;
			start(&config, true, SCALABLE);
			fill();
			assert_int_equal(still_cached(), ALL_CACHED);
			vtd_fixture_submit(&f, row->qw[0], row->qw[1]);
			assert_true(vtd_fixture_wait(&f));
			seen = still_cached();
			/* The test knob acknowledges, and forgets. */
			if (dropped)
				assert_int_equal(seen, ALL_CACHED);
			else if (seen & row->gone || ~seen & row->kept)
				fail_msg("%s leaves %#lx", row->name, seen);
			vtd_fixture_destroy(&f);
		}
	}
}

static void test_iotlb_by_register(void **state)
{
	static const struct {
		unsigned int granularity;
		uint64_t iva, gone, kept;
	} rows[] = {
		{ VTD_IOTLB_GLOBAL, 0, ALL_CACHED, 0 },
		{ VTD_IOTLB_DOMAIN, 0, 0x77, 0x88 },
		{ VTD_IOTLB_PAGE, 0x11000, 0x02, 0x8d },
		{ 0, 0x11000, 0, ALL_CACHED },
		{ VTD_IOTLB_PAGE, 0x11000 | 19, 0, ALL_CACHED },
	};

	(void)state;
	for (unsigned int i = 0; i < ROWS(rows); i++) {
		uint64_t seen;

		assert_int_equal(vtd_fixture_init(&f, NULL), 0);
		fill();
		vtd_fixture_write64(&f, VTD_IVA, rows[i].iva);
		vtd_fixture_write64(&f, VTD_IOTLB,
				    VTD_IOTLB_IVT | PUT(rows[i].granularity, VTD_IOTLB_IIRG) |
					    PUT(5, VTD_IOTLB_DID));
		seen = still_cached();
		assert_int_equal(seen & rows[i].gone, 0);
		assert_int_equal(~seen & rows[i].kept, 0);
		vtd_fixture_destroy(&f);
	}
}

/* SRTP and both switches of TE leave nothing behind, and say so to those who hold results. */
static void test_commands_invalidate(void **state)
{
	uint64_t epoch;

	(void)state;
	start(NULL, true, SCALABLE);
	fill();
	epoch = vtd_epoch(f.unit);
	assert_true(vtd_fixture_set_root(&f, SCALABLE));
	assert_int_equal(still_cached(), 0);
	assert_int_not_equal(vtd_epoch(f.unit), epoch);
	for (unsigned int on = 0; on < 2; on++) {
		fill();
		assert_int_equal(still_cached(), ALL_CACHED);
		epoch = vtd_epoch(f.unit);
		assert_true(vtd_fixture_command(&f, VTD_GCMD_TE, !on));
		assert_int_equal(still_cached(), 0);
		assert_int_not_equal(vtd_epoch(f.unit), epoch);
	}
	vtd_fixture_destroy(&f);
}

/* --- The context cache, by legacy tables with a pass-through entry --- */

static uint64_t context_table;

static void set_context(uint16_t source, uint16_t did)
{
	uint64_t at = context_table + (source & 0xff) * UINT64_C(16);

	vtd_fixture_store(&f, at, VTD_CONTEXT0_P | PUT(VTD_TT_PASS_THROUGH, VTD_CONTEXT0_TT));
	vtd_fixture_store(&f, at + 8, PUT(VTD_AW_48, VTD_CONTEXT1_AW) | PUT(did, VTD_CONTEXT1_DID));
}

static uint16_t did_of(struct fixture_device *of)
{
	struct vtd_entry entry;

	assert_int_equal(vtd_entry_get(f.unit, of->requester, VTD_NO_PASID, &entry), VTD_OK);
	return entry.did;
}

static void test_context(void **state)
{
	static const struct {
		const char *name;
		uint64_t qw;
		uint16_t did[2]; /* afterwards; the tables say 9 */
	} rows[] = {
		{ "global", CONTEXT(1), { 9, 9 } },
		{ "domain", CONTEXT(2) | DID(5), { 9, 6 } },
		{ "device", CONTEXT(3) | DID(5) | PUT(SOURCE, VTD_CONTEXT_SID), { 9, 6 } },
		{ "other device", CONTEXT(3) | DID(6) | PUT(0x11, VTD_CONTEXT_SID), { 5, 9 } },
		{ "functions",
		  CONTEXT(3) | DID(5) | PUT(0x15, VTD_CONTEXT_SID) | VTD_CONTEXT_FM,
		  { 9, 9 } },
		{ "neither", CONTEXT(3) | DID(5) | PUT(0x18, VTD_CONTEXT_SID), { 5, 6 } },
	};

	(void)state;
	for (unsigned int i = 0; i < ROWS(rows); i++) {
		struct fixture_device *other;
		uint64_t root;

		start(NULL, true, LEGACY);
		other = vtd_fixture_attach(&f, 0x11);
		root = vtd_fixture_page(&f);
		context_table = vtd_fixture_page(&f);
		vtd_fixture_store(&f, root, context_table | VTD_ROOT_P);
		set_context(SOURCE, 5);
		set_context(0x11, 6);
		assert_true(vtd_fixture_set_root(&f, root));
		assert_true(vtd_fixture_command(&f, VTD_GCMD_TE, true));
		assert_int_equal(did_of(device), 5);
		assert_int_equal(did_of(other), 6);
		set_context(SOURCE, 9);
		set_context(0x11, 9);
		assert_int_equal(did_of(device), 5);
		vtd_fixture_submit(&f, rows[i].qw, 0);
		assert_true(vtd_fixture_wait(&f));
		if (did_of(device) != rows[i].did[0] || did_of(other) != rows[i].did[1])
			fail_msg("%s: %u %u", rows[i].name, did_of(device), did_of(other));
		vtd_fixture_destroy(&f);
	}
}

/* --- Traces and counters --- */

static void collect(void *context, const char *line)
{
	strncat(context, line, 255 - strlen(context));
}

static void test_trace(void **state)
{
	char text[256] = "";

	(void)state;
	start(NULL, true, SCALABLE);
	vtd_trace(f.unit, device->requester, collect, text);
	vtd_fixture_submit(&f, PASID_DEVTLB | PASID(7), 0x5000 | VTD_PDEVTLB1_G);
	assert_string_equal(text,
			    "device-TLB invalidation: pasid 0x7, 0x5000 + 0x1000, every pasid");
	assert_int_equal(
		vtd_requester_counter(device->requester, VTD_COUNT_INVALIDATE_PASID_DEVTLB), 1);
	assert_true(vtd_counter(f.unit, VTD_COUNT_INVALIDATE_NS) > 0);
	vtd_trace(f.unit, device->requester, NULL, NULL);
	vtd_fixture_submit(&f, SINGLE_DEVTLB, 0);
	assert_null(strstr(text, "0x0"));
	vtd_fixture_destroy(&f);
}

/* --- What Linux sends when a process's address space goes (reference: a scalable-mode driver) ---
 */

static void test_teardown_sequence(void **state)
{
	(void)state;
	start(NULL, true, SCALABLE);
	vtd_fixture_submit(&f, PASID_CACHE(1) | DID(1) | PASID(5), 0);
	assert_true(vtd_fixture_wait(&f));
	vtd_fixture_submit(&f, PASID_IOTLB(2) | DID(1) | PASID(5), 0);
	assert_true(vtd_fixture_wait(&f));
	vtd_fixture_submit(&f, PASID_DEVTLB | PASID(5),
			   UINT64_C(0x7ffffffffffff000) | VTD_PDEVTLB1_S);
	assert_true(vtd_fixture_wait(&f));
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_FN | PUT(2, VTD_WAIT_DATA), 0);
	vtd_fixture_submit(&f, PASID_IOTLB(2) | DID(1) | PASID(5), 0);
	vtd_fixture_submit(&f, PASID_DEVTLB | PASID(5),
			   UINT64_C(0x7ffffffffffff000) | VTD_PDEVTLB1_S);
	vtd_fixture_submit(&f, VTD_DESC_WAIT | VTD_WAIT_SW | VTD_WAIT_PD | PUT(2, VTD_WAIT_DATA),
			   FIXTURE_STATUS);
	assert_int_equal(vtd_fixture_load(&f, FIXTURE_STATUS), 2);
	assert_int_equal(errors(), 0);
	assert_int_equal(device->invalidations, 2);
	assert_int_equal(device->invalidation[1].size, 0);
	vtd_fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_reserved_bits),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_offered),
		cmocka_unit_test(test_wholes),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_tail_first),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_timeout_at_the_end),
		cmocka_unit_test(test_completion_error),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_wait_interrupt),
		cmocka_unit_test(test_iotlb),
		cmocka_unit_test(test_iotlb_by_register),
		cmocka_unit_test(test_commands_invalidate),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_teardown_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
