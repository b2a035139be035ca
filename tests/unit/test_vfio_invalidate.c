/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a guest's descriptor to the host's domains: everything that a guest can invalidate, and
 * which domains are told of which addresses when it waits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/vfio_world.h"

#define NESTED_PASID   (PASID + 1)
#define SHADOWED_PASID (PASID + 2)
#define IDENTITY_PASID (PASID + 3)
#define SECOND_PASID   (PASID + 4) /* with the table of PASID, in another domain of the guest */
#define HIGH	       UINT64_C(0xffff800000000000)

/* The host's domains. The last two are shadows: looked at again, or not. */
enum domain { WITHOUT, FIRST, NESTED, SHADOW, PARENT, DOMAINS };

/* What is invalidated in all of them that are named. */
struct expected {
	unsigned int domains; /* 1 << enum domain */
	uint64_t address, pages;
	bool leaf;
};

#define ALL(domains)                            \
	{                                       \
		(domains), 0, UINT64_MAX, false \
	}
#define LEAF(domains, pages)                   \
	{                                      \
		(domains), IOVA, (pages), true \
	}
#define NONE                   \
	{                      \
		0, 0, 0, false \
	}
#define D(name) (1u << (name))

/* Descriptors (6.5.2). */
#define CONTEXT(g, did, sid) \
	VTD_DESC_CONTEXT | (uint64_t)(g) << 4 | (uint64_t)(did) << 16 | (uint64_t)(sid) << 32, 0
#define PC(g, did, pasid)                                                   \
	VTD_DESC_PASID_CACHE | (uint64_t)(g) << 4 | (uint64_t)(did) << 16 | \
		(uint64_t)(pasid) << 32,                                    \
		0
#define TLB(g, did, word) VTD_DESC_IOTLB | (uint64_t)(g) << 4 | (uint64_t)(did) << 16, word
#define PTLB(g, did, pasid, word)                                           \
	VTD_DESC_PASID_IOTLB | (uint64_t)(g) << 4 | (uint64_t)(did) << 16 | \
		(uint64_t)(pasid) << 32,                                    \
		word
#define DEV(sid, word) VTD_DESC_DEVTLB | (uint64_t)(sid) << 32, word
#define PDEV(sid, pasid, word) \
	VTD_DESC_PASID_DEVTLB | (uint64_t)(sid) << 16 | (uint64_t)(pasid) << 32, word

#define IH	UINT64_C(0x40)
#define SEVERAL UINT64_C(0x800)		       /* S of 6.5.2.6; 6.5.2.5 has it in bit 0 */
#define EVERY	(UINT64_C(0x7ffffffffffff000)) /* all bits but the highest: the whole space */

static const struct row {
	const char *what;
	uint64_t low, high;
	struct expected expected;
} rows[] = {
	/* Entries are what they were: nothing is bound anew, and nothing invalidated. */
	{ "context cache, global", CONTEXT(1, 0, 0), NONE },
	{ "context cache, domain", CONTEXT(2, 1, 0), NONE },
	{ "context cache, device", CONTEXT(3, 1, SOURCE), NONE },
	{ "PASID cache, global", PC(3, 0, 0), NONE },
	{ "PASID cache, domain", PC(0, 1, 0), NONE },
	{ "PASID cache, PASID", PC(1, 1, PASID), NONE },
	/* IOTLB: the second stage may be behind any address of a first stage. */
	{ "IOTLB, global", TLB(1, 0, 0),
	  ALL(D(WITHOUT) | D(FIRST) | D(NESTED) | D(SHADOW) | D(PARENT)) },
	{ "IOTLB, domain 1", TLB(2, 1, 0), ALL(D(WITHOUT) | D(FIRST)) },
	{ "IOTLB, domain 2", TLB(2, 2, 0), ALL(D(NESTED) | D(PARENT)) },
	{ "IOTLB, domain 3", TLB(2, 3, 0), ALL(D(SHADOW)) },
	{ "IOTLB, domain 4", TLB(2, 4, 0), NONE },
	{ "IOTLB, domain 5", TLB(2, 5, 0), ALL(D(FIRST)) },
	{ "IOTLB, domain of nobody", TLB(2, 6, 0), NONE },
	{ "IOTLB, pages of domain 1", TLB(3, 1, IOVA | 3), ALL(D(WITHOUT) | D(FIRST)) },
	{ "IOTLB, pages of domain 2", TLB(3, 2, IOVA | IH), ALL(D(NESTED) | D(PARENT)) },
	{ "IOTLB, pages of domain 3", TLB(3, 3, IOVA), ALL(D(SHADOW)) },
	{ "IOTLB, the largest mask", TLB(3, 3, IOVA | 18), ALL(D(SHADOW)) },
	{ "IOTLB, other pages of domain 3", TLB(3, 3, IOVA + 64 * PAGE), NONE },
	/* PASID-based IOTLB: both have to be right, and RID_PASID means requests without. */
	{ "PASID-based IOTLB", PTLB(2, 1, PASID, 0), ALL(D(FIRST)) },
	{ "... of RID_PASID", PTLB(2, 1, 0, 0), ALL(D(WITHOUT)) },
	{ "... of a nested entry", PTLB(2, 2, NESTED_PASID, 0), ALL(D(NESTED)) },
	{ "... of a second-stage entry", PTLB(2, 3, SHADOWED_PASID, 0), ALL(D(SHADOW)) },
	{ "... of pass-through", PTLB(2, 4, IDENTITY_PASID, 0), NONE },
	{ "... of a shared domain", PTLB(2, 5, SECOND_PASID, 0), ALL(D(FIRST)) },
	{ "... of another domain-id", PTLB(2, 1, SECOND_PASID, 0), NONE },
	{ "... of a page", PTLB(3, 1, PASID, IOVA), { D(FIRST), IOVA, 1, false } },
	{ "... of a leaf", PTLB(3, 1, PASID, IOVA | IH), LEAF(D(FIRST), 1) },
	{ "... of the last page",
	  PTLB(3, 1, PASID, UINT64_C(0xfffffffffffff000)),
	  { D(FIRST), UINT64_C(0xfffffffffffff000), 1, false } },
	{ "... of a high page", PTLB(3, 1, PASID, HIGH), { D(FIRST), HIGH, 1, false } },
	{ "... of a leaf of RID_PASID", PTLB(3, 1, 0, IOVA | IH), LEAF(D(WITHOUT), 1) },
	{ "... of a leaf of a nested entry", PTLB(3, 2, NESTED_PASID, IOVA | IH),
	  LEAF(D(NESTED), 1) },
	{ "... of 512 pages, around",
	  PTLB(3, 1, PASID, (IOVA + 5 * PAGE) | 9),
	  { D(FIRST), IOVA, 512, false } },
	/* The mask is not bounded by CAP.MAMV here. */
	{ "... of 2^30 pages", PTLB(3, 1, PASID, 30), { D(FIRST), 0, UINT64_C(1) << 30, false } },
	{ "... of 2^51 pages", PTLB(3, 1, PASID, 51), ALL(D(FIRST)) },
	{ "... of 2^52 pages", PTLB(3, 1, PASID, 52), ALL(D(FIRST)) },
	{ "... of 2^63 pages", PTLB(3, 1, PASID, 63), ALL(D(FIRST)) },
	/* Device-TLBs: leaves of one device. */
	{ "device-TLB, a page", DEV(SOURCE, IOVA), LEAF(D(WITHOUT), 1) },
	{ "device-TLB, four pages", DEV(OTHER, IOVA | PAGE | 1), LEAF(D(WITHOUT), 4) },
	{ "device-TLB, everything", DEV(SOURCE, EVERY | 1), ALL(D(WITHOUT)) },
	{ "device-TLB, of nobody", DEV(0x30, IOVA), NONE },
	{ "device-TLB, a page of a PASID", PDEV(SOURCE, PASID, IOVA), LEAF(D(FIRST), 1) },
	{ "device-TLB, two pages of a PASID", PDEV(SOURCE, PASID, IOVA | SEVERAL),
	  LEAF(D(FIRST), 2) },
	{ "device-TLB, all of a PASID", PDEV(OTHER, NESTED_PASID, EVERY | SEVERAL),
	  ALL(D(NESTED)) },
	{ "device-TLB, a page of every PASID", PDEV(SOURCE, 0, IOVA | 1),
	  LEAF(D(FIRST) | D(NESTED), 1) },
	{ "device-TLB, RID_PASID is none", PDEV(SOURCE, 0, IOVA), NONE },
	{ "device-TLB, second stage", PDEV(SOURCE, SHADOWED_PASID, IOVA), NONE },
};

struct guest {
	uint64_t root[3];
	uint64_t shadow, parent;
};

/* Both devices have all entries: what is one domain for both is told once. */
static void bind_all(struct world *w, struct guest *guest)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(guest->root); i++)
		guest->root[i] = vtd_fixture_page(&w->f);
	guest->shadow = vtd_fixture_page(&w->f);
	guest->parent = vtd_fixture_page(&w->f);
	guest_set_entry(w, 0, VTD_PGTT_FS, guest->root[0], 0);
	guest_set_entry(w, PASID, VTD_PGTT_FS, guest->root[1], 0);
	guest_set_entry(w, NESTED_PASID, VTD_PGTT_NESTED, guest->root[2], guest->parent);
	guest_set_entry(w, SHADOWED_PASID, VTD_PGTT_SS, 0, guest->shadow);
	guest_set_entry(w, IDENTITY_PASID, VTD_PGTT_PT, 0, 0);
	guest_set_entry(w, SECOND_PASID, VTD_PGTT_FS, guest->root[1], 0);
	for (uint16_t i = 1; i < 5; i++)
		guest_set_domain(w, PASID + i, 1 + i);
	vtd_fixture_submit(&w->f, PC(3, 0, 0));
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 3);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 3);
}

static const struct fake_object *domain_of(const struct world *w, enum domain domain)
{
	static const uint32_t pasids[] = { NO_PASID, PASID, NESTED_PASID };

	return fake_attached(&w->host, 0, pasids[domain]);
}

static uint64_t last_page(const struct expected *expected)
{
	return expected->address + (expected->pages - 1) * PAGE;
}

static void expect_told(const struct world *w, const struct row *row, enum domain domain)
{
	const struct fake_object *hwpt = domain_of(w, domain);

	if (hwpt->invalidations != (row->expected.domains >> domain & 1))
		fail_msg("%s: domain %u was told %u times", row->what, domain, hwpt->invalidations);
	if (!hwpt->invalidations)
		return;
	if (hwpt->ranges != 1 || hwpt->address != row->expected.address ||
	    hwpt->pages != row->expected.pages || hwpt->range_flags != row->expected.leaf)
		fail_msg("%s: domain %u was told of %u ranges, the last 0x%llx, %llu pages, "
			 "flags %u",
			 row->what, domain, hwpt->ranges, (unsigned long long)hwpt->address,
			 (unsigned long long)hwpt->pages, hwpt->range_flags);
	/* The kernel computes the last page: it must not be beyond the last address. */
	if (hwpt->pages != UINT64_MAX)
		assert_true(last_page(&row->expected) >= hwpt->address);
}

static void test_what_reaches_the_host(void **state)
{
	struct world *w = *state;
	struct guest guest;

	guest_start(w);
	bind_all(w, &guest);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		unsigned int since = w->host.call_count, told = 0;

		for (enum domain domain = WITHOUT; domain <= NESTED; domain++)
			((struct fake_object *)domain_of(w, domain))->invalidations = 0;
		/* A page comes: who looks at the table maps it. */
		guest_map(w, guest.shadow, IOVA, 0x200000, RW);
		guest_map(w, guest.parent, IOVA, 0x300000, RW);
		vtd_fixture_submit(&w->f, row->low, row->high);
		assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_HWPT_INVALIDATE), 0);
		assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_IOAS_COPY), 0);
		if (!vtd_fixture_wait(&w->f))
			fail_msg("%s: the queue has stopped", row->what);
		for (enum domain domain = WITHOUT; domain <= NESTED; domain++) {
			expect_told(w, row, domain);
			told += row->expected.domains >> domain & 1;
		}
		assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_HWPT_INVALIDATE), told);
		if (fake_called(&w->host, since, UAPI_IOMMU_IOAS_COPY) !=
		    (row->expected.domains >> SHADOW & 1) + (row->expected.domains >> PARENT & 1))
			fail_msg("%s: not the right shadows", row->what);
		/* It goes, and all forget it. */
		guest_map(w, guest.shadow, IOVA, 0, 0);
		guest_map(w, guest.parent, IOVA, 0, 0);
		vtd_fixture_submit(&w->f, TLB(1, 0, 0));
		assert_true(vtd_fixture_wait(&w->f));
		assert_int_equal(fake_called(&w->host, since, UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT),
				 0);
	}
}

/* Refused as the specification has it, and the host hears of nothing. */
static void test_what_is_refused(void **state)
{
	static const struct row refused[] = {
		{ "a mask above CAP.MAMV", TLB(3, 1, 19), NONE },
		{ "granularity 0 of the IOTLB", TLB(0, 1, 0), NONE },
		{ "granularity 0 of the PASID-based IOTLB", PTLB(0, 1, PASID, 0), NONE },
		{ "granularity 2 of the PASID cache", PC(2, 1, PASID), NONE },
		{ "granularity 0 of the context cache", CONTEXT(0, 1, 0), NONE },
	};
	struct world *w = *state;
	struct guest guest;

	guest_start(w);
	bind_all(w, &guest);
	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		unsigned int since = w->host.call_count;

		vtd_fixture_submit(&w->f, refused[i].low, refused[i].high);
		assert_false(vtd_fixture_wait(&w->f));
		assert_int_equal(vtd_get(vtd_fixture_read64(&w->f, VTD_IQERCD), VTD_IQERCD_IQEI),
				 VTD_IQEI_RESERVED);
		assert_int_equal(w->host.call_count, since);
		vtd_fixture_write32(&w->f, VTD_FSTS, (uint32_t)VTD_FSTS_IQE);
		assert_true(vtd_fixture_queue(&w->f, true));
	}
}

/* What Linux sends for a page: IOTLB and device-TLB before one wait are one range in one call. */
static void test_device_tlb_costs_nothing(void **state)
{
	struct world *w = *state;
	const struct fake_object *hwpt;
	struct guest guest;
	unsigned int since;

	guest_start(w);
	bind_all(w, &guest);
	hwpt = domain_of(w, FIRST);
	since = w->host.call_count;
	vtd_fixture_submit(&w->f, PTLB(3, 1, PASID, IOVA | IH));
	vtd_fixture_submit(&w->f, PDEV(SOURCE, PASID, IOVA));
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.call_count - since, 1);
	assert_int_equal(hwpt->ranges, 1);
	assert_int_equal(hwpt->range_flags, 1);
	vtd_fixture_submit(&w->f, PTLB(3, 1, PASID, IOVA));
	vtd_fixture_submit(&w->f, PDEV(OTHER, PASID, IOVA));
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.call_count - since, 2);
	assert_int_equal(hwpt->ranges, 1);
	assert_int_equal(hwpt->range_flags, 0);
}

/* A guest that never waits, or that invalidates for ever: one call with one range, when it does. */
static void test_too_much(void **state)
{
	struct world *w = *state;
	struct guest guest;
	unsigned int since;

	guest_start(w);
	bind_all(w, &guest);
	since = w->host.call_count;
	for (uint64_t i = 0; i < 20000; i++)
		vtd_fixture_submit(&w->f, PTLB(3, 1, PASID, (i * 0x9e3779b97f4a7c15 << 12) | IH));
	assert_int_equal(w->host.call_count, since);
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(w->host.call_count - since, 1);
	assert_int_equal(domain_of(w, FIRST)->ranges, 1);
	assert_int_equal(domain_of(w, FIRST)->pages, UINT64_MAX);
}

/* The host fails: ITE, the source-id of a device that has the domain, and the wait does not end. */
static void test_failures_reach_the_guest(void **state)
{
	struct world *w = *state;
	unsigned int before;
	struct guest guest;

	guest_start(w);
	bind_all(w, &guest);
	/* Nothing but the second device has it now. */
	guest_set_entry(w, PASID + 5, VTD_PGTT_FS, vtd_fixture_page(&w->f), 0);
	guest_entry_changed(w, PASID + 5);
	assert_int_equal(vfio_host_unbind(w->behind[0], PASID + 5), 0);
	before = fake_attached(&w->host, 1, PASID + 5)->invalidations;
	w->host.fail_request = UAPI_IOMMU_HWPT_INVALIDATE;
	w->host.fail_error = -EIO;
	w->host.fail_times = 1;
	vtd_fixture_submit(&w->f, PTLB(2, 1, PASID + 5, 0));
	assert_false(vtd_fixture_wait(&w->f));
	assert_true(vtd_fixture_read32(&w->f, VTD_FSTS) & VTD_FSTS_ITE);
	assert_int_equal(vtd_get(vtd_fixture_read64(&w->f, VTD_IQERCD), VTD_IQERCD_ITESID), OTHER);
	/* As Linux does: it clears the error, and says everything again. */
	vtd_fixture_write32(&w->f, VTD_FSTS, (uint32_t)VTD_FSTS_ITE);
	assert_true(vtd_fixture_queue(&w->f, true));
	vtd_fixture_submit(&w->f, PTLB(2, 1, PASID + 5, 0));
	assert_true(vtd_fixture_wait(&w->f));
	assert_int_equal(fake_attached(&w->host, 1, PASID + 5)->invalidations, before + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_reaches_the_host),    TEST(test_what_is_refused),
		TEST(test_device_tlb_costs_nothing), TEST(test_too_much),
		TEST(test_failures_reach_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
