/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viommu/fault.c and viommu/event.c: the table of reasons, fault records, FSTS, and the unit's own
 * interrupts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

#define RECORDS 4
#define SOURCE	0x0018

static int setup(void **state)
{
	static struct vtd_fixture f;
	struct vtd_config config;

	vtd_config_init(&config);
	config.fault_records = RECORDS;
	if (vtd_fixture_init(&f, &config))
		return -1;
	f.unit->ecap |= VTD_ECAP_EIM;
	vtd_fixture_attach(&f, SOURCE);
	vtd_event_write(f.unit, VTD_EVENT_FAULT, 1, 0x41);
	vtd_event_write(f.unit, VTD_EVENT_FAULT, 2, 0xfee01000);
	vtd_event_write(f.unit, VTD_EVENT_FAULT, 3, 0x00000100);
	vtd_event_write(f.unit, VTD_EVENT_FAULT, 0, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	vtd_fixture_destroy(*state);
	return 0;
}

static struct vtd_fault at(struct vtd_fixture *f, uint64_t address)
{
	return (struct vtd_fault){ .requester = f->device[0].requester,
				   .source = SOURCE,
				   .pasid = VTD_NO_PASID,
				   .address = address,
				   .reason = VTD_SGN_WRITE,
				   .type = VTD_FAULT_WRITE };
}

static void record_at(struct vtd_fixture *f, uint64_t address)
{
	struct vtd_fault fault = at(f, address);

	vtd_fault_record(f->unit, &fault);
}

static bool pending(struct vtd_fixture *f, unsigned int index)
{
	return vtd_frcd_read(f->unit, index, true) & VTD_FRCD1_F;
}

static void clear(struct vtd_fixture *f, unsigned int index)
{
	vtd_frcd_write(f->unit, index, true, VTD_FRCD1_F);
}

/* --- The table --- */

static void test_reasons_are_sorted_and_complete(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < vtd_reason_count; i++) {
		const struct vtd_reason_info *info = &vtd_reasons[i];

		if (i)
			assert_true(vtd_reasons[i - 1].reason < info->reason);
		assert_ptr_equal(vtd_reason_info(info->reason), info);
		assert_true(strlen(info->name) >= 3 && strlen(info->text) >= 8);
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(vtd_reasons[j].name, info->name);
		/* What cannot be told apart from a missing mapping must be maskable. */
		if (info->recoverable)
			assert_true(info->qualified);
	}
}

/* The codes that are assigned; everything else has no entry. */
static void test_reason_codes(void **state)
{
	static const struct {
		unsigned int first, last;
	} assigned[] = {
		{ 0x01, 0x0e }, { 0x20, 0x26 }, { 0x30, 0x32 }, { 0x38, 0x3a }, { 0x40, 0x48 },
		{ 0x50, 0x52 }, { 0x58, 0x5d }, { 0x70, 0x7c }, { 0x80, 0x87 }, { 0x90, 0x91 },
	};
	unsigned int count = 0;

	(void)state;
	for (unsigned int code = 0; code < 0x200; code++) {
		bool known = false;

		for (unsigned int i = 0; i < sizeof(assigned) / sizeof(assigned[0]); i++)
			known |= code >= assigned[i].first && code <= assigned[i].last;
		assert_int_equal(!!vtd_reason_info(code), known);
		count += known;
	}
	assert_int_equal(count, vtd_reason_count);
}

static void test_reason_rules(void **state)
{
	static const struct {
		unsigned int code;
		const char *name;
		bool qualified, recoverable;
	} rule[] = {
		{ 0x08, "LRT.1", false, false }, { 0x01, "LRT.2", false, false },
		{ 0x0a, "LRT.3", false, false }, { 0x09, "LCT.1", false, false },
		{ 0x02, "LCT.2", true, false },	 { 0x03, "LCT.4", true, false },
		{ 0x0d, "LCT.5", true, false },	 { 0x04, "LGN.1", true, true },
		{ 0x05, "LGN.2", true, true },	 { 0x06, "LGN.3", true, true },
		{ 0x0c, "LSS.2", true, false },	 { 0x22, "22h", true, false },
		{ 0x20, "20h", false, false },	 { 0x21, "21h", false, false },
		{ 0x23, "23h", false, false },	 { 0x24, "24h", true, false },
		{ 0x25, "25h", false, false },	 { 0x26, "26h", true, false },
		{ 0x30, "RTA.1", false, false }, { 0x31, "RTA.2", false, false },
		{ 0x32, "RTA.3", false, false }, { 0x39, "SRT.2", false, false },
		{ 0x40, "SCT.1", false, false }, { 0x41, "SCT.2", true, false },
		{ 0x47, "SCT.8", true, false },	 { 0x51, "SPD.2", true, false },
		{ 0x59, "SPT.2", true, false },	 { 0x5b, "SPT.4", true, false },
		{ 0x71, "SFS.2", true, true },	 { 0x72, "SFS.3", true, false },
		{ 0x79, "SSS.2", true, true },	 { 0x7a, "SSS.3", true, false },
		{ 0x80, "SGN.1", true, true },	 { 0x87, "SGN.8", true, true },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
		const struct vtd_reason_info *info = vtd_reason_info(rule[i].code);

		assert_string_equal(info->name, rule[i].name);
		assert_int_equal(info->qualified, rule[i].qualified);
		assert_int_equal(info->recoverable, rule[i].recoverable);
	}
}

/* --- Records --- */

static void test_layout(void **state)
{
	static const struct {
		enum vtd_fault_type type;
		uint32_t pasid;
		bool execute, privileged;
		uint8_t address_type;
		uint64_t high;
	} row[] = {
		/* F, T1, AT, PV, FR, PP, EXE, PRIV, T2, SID as 11.4.7.6 places them. */
		{ VTD_FAULT_WRITE, VTD_NO_PASID, false, false, 0, UINT64_C(0x8000008500000018) },
		{ VTD_FAULT_READ, VTD_NO_PASID, false, false, 0, UINT64_C(0xc000008500000018) },
		{ VTD_FAULT_ATOMIC, VTD_NO_PASID, false, false, 0, UINT64_C(0xc000008510000018) },
		{ VTD_FAULT_PAGE_REQUEST, VTD_NO_PASID, false, false, 0,
		  UINT64_C(0x8000008510000018) },
		{ VTD_FAULT_READ, 0xfffff, false, false, 1, UINT64_C(0xdfffff8580000018) },
		{ VTD_FAULT_READ, 0x12345, true, false, 2, UINT64_C(0xe1234585c0000018) },
		{ VTD_FAULT_WRITE, 0, false, true, 0, UINT64_C(0x80000085a0000018) },
		/* Without a PASID there is no privilege. */
		{ VTD_FAULT_READ, VTD_NO_PASID, true, true, 0, UINT64_C(0xc000008500000018) },
	};
	struct vtd_fixture *f = *state;

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct vtd_fault fault = at(f, UINT64_C(0xfedcba9876543fff));

		fault.type = row[i].type;
		fault.pasid = row[i].pasid;
		fault.execute = row[i].execute;
		fault.privileged = row[i].privileged;
		fault.address_type = row[i].address_type;
		vtd_fault_record(f->unit, &fault);
		assert_int_equal(vtd_frcd_read(f->unit, i % RECORDS, true), row[i].high);
		assert_int_equal(vtd_frcd_read(f->unit, i % RECORDS, false),
				 UINT64_C(0xfedcba9876543000));
		clear(f, i % RECORDS);
	}
}

static void test_interrupt_remapping_index(void **state)
{
	struct vtd_fixture *f = *state;
	struct vtd_fault fault = at(f, UINT64_C(0xabcd) << 48);

	fault.reason = VTD_IR_P;
	fault.requester = NULL;
	fault.source = 0xf0f8;
	vtd_fault_record(f->unit, &fault);
	assert_int_equal(vtd_get(vtd_frcd_read(f->unit, 0, false), VTD_FRCD0_INDEX), 0xabcd);
	assert_int_equal(vtd_get(vtd_frcd_read(f->unit, 0, true), VTD_FRCD1_SID), 0xf0f8);
	assert_int_equal(vtd_fault_counter(f->unit, 0x22), 1);
}

static void test_write_one_to_clear(void **state)
{
	struct vtd_fixture *f = *state;
	uint64_t high;

	record_at(f, 0x1000);
	high = vtd_frcd_read(f->unit, 0, true);
	vtd_frcd_write(f->unit, 0, true, ~VTD_FRCD1_F);
	vtd_frcd_write(f->unit, 0, false, UINT64_MAX);
	assert_int_equal(vtd_frcd_read(f->unit, 0, true), high);
	assert_int_equal(vtd_frcd_read(f->unit, 0, false), 0x1000);
	vtd_frcd_write(f->unit, 0, true, UINT64_MAX);
	assert_int_equal(vtd_frcd_read(f->unit, 0, true), high & ~VTD_FRCD1_F);
	/* Beyond what CAP.NFR says there is nothing. */
	vtd_frcd_write(f->unit, RECORDS, true, UINT64_MAX);
	vtd_frcd_write(f->unit, 1000, true, UINT64_MAX);
	assert_int_equal(vtd_frcd_read(f->unit, RECORDS, true), 0);
	assert_int_equal(vtd_frcd_read(f->unit, 1000, false), 0);
}

static void test_collapse(void **state)
{
	struct vtd_fixture *f = *state;
	struct vtd_fault fault = at(f, 0x1234);

	fault.pasid = 7;
	vtd_fault_record(f->unit, &fault);
	fault.address = 0x1ff8;
	vtd_fault_record(f->unit, &fault);
	assert_false(pending(f, 1));
	/* Another page, PASID or reason is another fault. */
	fault.address = 0x2000;
	vtd_fault_record(f->unit, &fault);
	assert_true(pending(f, 1));
	fault.pasid = 8;
	vtd_fault_record(f->unit, &fault);
	assert_true(pending(f, 2));
	fault.reason = VTD_SGN_READ;
	vtd_fault_record(f->unit, &fault);
	assert_true(pending(f, 3));
	/* Once software has taken a record, the same fault is news again. */
	clear(f, 0);
	fault = at(f, 0x1000);
	fault.pasid = 7;
	vtd_fault_record(f->unit, &fault);
	assert_true(pending(f, 0));
	assert_int_equal(vtd_counter(f->unit, VTD_COUNT_FAULTS), 6);
	assert_int_equal(vtd_counter(f->unit, VTD_COUNT_FAULTS_LOST), 0);
	assert_int_equal(vtd_requester_counter(f->device[0].requester, VTD_COUNT_FAULTS), 6);
	assert_int_equal(vtd_fault_counter(f->unit, VTD_SGN_WRITE), 5);
	assert_int_equal(vtd_fault_counter(f->unit, VTD_SGN_READ), 1);
	assert_int_equal(vtd_fault_counter(f->unit, 1000), 0);
}

static void test_overflow(void **state)
{
	struct vtd_fixture *f = *state;

	for (unsigned int i = 0; i < RECORDS; i++)
		record_at(f, i * 0x1000);
	assert_int_equal(vtd_fsts_read(f->unit), VTD_FSTS_PPF);
	record_at(f, 0x10000);
	assert_int_equal(vtd_fsts_read(f->unit), VTD_FSTS_PPF | VTD_FSTS_PFO);
	/* Nothing is recorded until PFO is cleared, even with room. */
	for (unsigned int i = 0; i < RECORDS; i++)
		clear(f, i);
	record_at(f, 0x20000);
	assert_int_equal(vtd_fsts_read(f->unit), VTD_FSTS_PFO);
	assert_int_equal(vtd_counter(f->unit, VTD_COUNT_FAULTS_LOST), 2);
	vtd_fsts_write(f->unit, VTD_FSTS_PFO);
	record_at(f, 0x30000);
	assert_int_equal(vtd_fsts_read(f->unit), VTD_FSTS_PPF);
	assert_int_equal(vtd_frcd_read(f->unit, 0, false), 0x30000);
}

static void test_index_of_the_first_pending(void **state)
{
	struct vtd_fixture *f = *state;

	record_at(f, 0x1000);
	clear(f, 0);
	record_at(f, 0x2000);
	record_at(f, 0x3000);
	assert_int_equal(vtd_get(vtd_fsts_read(f->unit), VTD_FSTS_FRI), 1);
	clear(f, 1);
	assert_int_equal(vtd_get(vtd_fsts_read(f->unit), VTD_FSTS_FRI), 2);
	/* Around the end of the ring. */
	record_at(f, 0x4000);
	record_at(f, 0x5000);
	record_at(f, 0x6000);
	assert_int_equal(vtd_get(vtd_fsts_read(f->unit), VTD_FSTS_FRI), 2);
	clear(f, 2);
	clear(f, 3);
	assert_int_equal(vtd_get(vtd_fsts_read(f->unit), VTD_FSTS_FRI), 0);
}

/* --- FSTS and its interrupt --- */

static void test_one_interrupt_until_serviced(void **state)
{
	struct vtd_fixture *f = *state;

	record_at(f, 0x1000);
	assert_int_equal(f->msis, 1);
	assert_int_equal(f->msi[0].address, UINT64_C(0x00000100fee01000));
	assert_int_equal(f->msi[0].data, 0x41);
	record_at(f, 0x2000);
	vtd_fault_queue_error(f->unit, VTD_FSTS_IQE);
	assert_int_equal(f->msis, 1);
	assert_int_equal(vtd_fsts_read(f->unit), VTD_FSTS_PPF | VTD_FSTS_IQE);
	clear(f, 0);
	clear(f, 1);
	assert_int_equal(vtd_fsts_read(f->unit), VTD_FSTS_IQE);
	/* IQE is still there: no new cause is an event. */
	record_at(f, 0x3000);
	assert_int_equal(f->msis, 1);
	clear(f, 2);
	vtd_fsts_write(f->unit, VTD_FSTS_IQE);
	assert_int_equal(vtd_fsts_read(f->unit), 0);
	record_at(f, 0x4000);
	assert_int_equal(f->msis, 2);
}

static void test_queue_errors(void **state)
{
	static const uint32_t bits[] = { VTD_FSTS_IQE, VTD_FSTS_ICE, VTD_FSTS_ITE };
	struct vtd_fixture *f = *state;

	for (unsigned int i = 0; i < 3; i++) {
		vtd_fault_queue_error(f->unit, bits[i]);
		assert_int_equal(f->msis, i + 1);
		assert_int_equal(vtd_fsts_read(f->unit), bits[i]);
		/* Only what is written as 1 is cleared. */
		vtd_fsts_write(f->unit, ~bits[i]);
		assert_int_equal(vtd_fsts_read(f->unit), bits[i]);
		vtd_fsts_write(f->unit, bits[i]);
		assert_int_equal(vtd_fsts_read(f->unit), 0);
	}
}

static void test_masked(void **state)
{
	struct vtd_fixture *f = *state;

	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, VTD_EVENT_IM);
	record_at(f, 0x1000);
	assert_int_equal(f->msis, 0);
	assert_int_equal(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0), VTD_EVENT_IM | VTD_EVENT_IP);
	/* IP is not the guest's to change. */
	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, VTD_EVENT_IM);
	assert_int_equal(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0), VTD_EVENT_IM | VTD_EVENT_IP);
	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, 0);
	assert_int_equal(f->msis, 1);
	assert_int_equal(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0), 0);
	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, VTD_EVENT_IP);
	assert_int_equal(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0), 0);
	assert_int_equal(f->msis, 1);
}

static void test_pending_goes_with_its_causes(void **state)
{
	struct vtd_fixture *f = *state;

	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, VTD_EVENT_IM);
	record_at(f, 0x1000);
	vtd_fault_queue_error(f->unit, VTD_FSTS_ITE);
	clear(f, 0);
	assert_true(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0) & VTD_EVENT_IP);
	vtd_fsts_write(f->unit, VTD_FSTS_ITE);
	assert_false(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0) & VTD_EVENT_IP);
	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, 0);
	assert_int_equal(f->msis, 0);
	/* The other order. */
	vtd_event_write(f->unit, VTD_EVENT_FAULT, 0, VTD_EVENT_IM);
	vtd_fault_queue_error(f->unit, VTD_FSTS_ITE);
	record_at(f, 0x1000);
	vtd_fsts_write(f->unit, VTD_FSTS_ITE);
	assert_true(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0) & VTD_EVENT_IP);
	clear(f, 1);
	assert_false(vtd_event_read(f->unit, VTD_EVENT_FAULT, 0) & VTD_EVENT_IP);
}

static void test_events(void **state)
{
	struct vtd_fixture *f = *state;

	vtd_reset(f->unit);
	for (unsigned int kind = 0; kind < VTD_EVENTS; kind++) {
		assert_int_equal(vtd_event_read(f->unit, kind, 0), VTD_EVENT_IM);
		for (unsigned int word = 1; word < 4; word++)
			assert_int_equal(vtd_event_read(f->unit, kind, word), 0);
		vtd_event_write(f->unit, kind, 1, 0x1234);
		vtd_event_write(f->unit, kind, 2, 0xffffffff);
		vtd_event_write(f->unit, kind, 3, 0xffffffff);
		assert_int_equal(vtd_event_read(f->unit, kind, 2), 0xfffffffc);
		assert_int_equal(vtd_event_read(f->unit, kind, 3), 0xffffff00);
		vtd_event_raise(f->unit, kind);
		assert_int_equal(f->msis, kind);
		vtd_event_write(f->unit, kind, 0, 0);
		assert_int_equal(f->msis, kind + 1);
		assert_int_equal(f->msi[kind].address, UINT64_C(0xffffff00fffffffc));
	}
	/* Without extended interrupt mode there is no upper address. */
	vtd_reset(f->unit);
	f->unit->ecap &= ~VTD_ECAP_EIM;
	vtd_event_write(f->unit, VTD_EVENT_QUEUE, 3, 0xffffffff);
	assert_int_equal(vtd_event_read(f->unit, VTD_EVENT_QUEUE, 3), 0);
}

static void test_reset(void **state)
{
	struct vtd_fixture *f = *state;

	for (unsigned int i = 0; i <= RECORDS; i++)
		record_at(f, i * 0x1000);
	vtd_fault_queue_error(f->unit, VTD_FSTS_IQE);
	vtd_reset(f->unit);
	assert_int_equal(vtd_fsts_read(f->unit), 0);
	for (unsigned int i = 0; i < RECORDS; i++)
		assert_int_equal(vtd_frcd_read(f->unit, i, true), 0);
	record_at(f, 0);
	assert_int_equal(vtd_get(vtd_fsts_read(f->unit), VTD_FSTS_FRI), 0);
	assert_true(pending(f, 0));
}

static void test_trace(void **state)
{
	struct vtd_fixture *f = *state;
	struct vtd_fault fault = at(f, 0x5000);
	char lines[1024] = "";

	fault.pasid = 0x42;
	vtd_trace(f->unit, f->device[0].requester, vtd_fixture_keep_line, lines);
	vtd_fault_record(f->unit, &fault);
	vtd_fault_record(f->unit, &fault);
	assert_non_null(strstr(lines, "SGN.6: write at 0x5000 pasid 0x42"));
	assert_non_null(strstr(lines, ", again"));
	vtd_trace(f->unit, f->device[0].requester, NULL, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons_are_sorted_and_complete),
		cmocka_unit_test(test_reason_codes),
		cmocka_unit_test(test_reason_rules),
		TEST(test_layout),
		TEST(test_interrupt_remapping_index),
		TEST(test_write_one_to_clear),
		TEST(test_collapse),
		TEST(test_overflow),
		TEST(test_index_of_the_first_pending),
		TEST(test_one_interrupt_until_serviced),
		TEST(test_queue_errors),
		TEST(test_masked),
		TEST(test_pending_goes_with_its_causes),
		TEST(test_events),
		TEST(test_reset),
		TEST(test_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
