/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * viommu/caps.c: what is offered by default, what each knob takes away, what contradicts itself,
 * how hosts cut, and that every bit is explained.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_fixture.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct vtd_fixture f;

static void make(const struct vtd_config *config)
{
	assert_int_equal(vtd_fixture_init(&f, config), 0);
}

/* --- Without any knob --- */

static void test_default(void **state)
{
	/* What Linux 7.x looks at before it uses SVA, PRI, and remapping with x2APIC. */
	const uint64_t ecap = VTD_ECAP_C | VTD_ECAP_QI | VTD_ECAP_DT | VTD_ECAP_IR | VTD_ECAP_EIM |
			      VTD_ECAP_PT | VTD_ECAP_SC | VTD_ECAP_MHMV | VTD_ECAP_NEST |
			      VTD_ECAP_PRS | VTD_ECAP_ERS | VTD_ECAP_SRS | VTD_ECAP_EAFS |
			      VTD_ECAP_PASID | VTD_ECAP_PDS | VTD_ECAP_SMTS | VTD_ECAP_SSADS |
			      VTD_ECAP_SSTS | VTD_ECAP_FSTS | VTD_ECAP_SMPWC | VTD_ECAP_RPS |
			      VTD_ECAP_ADMS | VTD_ECAP_RPRIVS |
			      vtd_put(VTD_IVA / 16, VTD_ECAP_IRO) | vtd_put(19, VTD_ECAP_PSS);
	const uint64_t cap = vtd_put(6, VTD_CAP_ND) | VTD_CAP_SAGAW39 | VTD_CAP_SAGAW48 |
			     vtd_put(47, VTD_CAP_MGAW) | VTD_CAP_ZLR |
			     vtd_put(VTD_FRCD / 16, VTD_CAP_FRO) | VTD_CAP_SSLPS2M |
			     VTD_CAP_SSLPS1G | VTD_CAP_PSI | vtd_put(7, VTD_CAP_NFR) |
			     vtd_put(18, VTD_CAP_MAMV) | VTD_CAP_DWD | VTD_CAP_DRD | VTD_CAP_FS1GP |
			     VTD_CAP_FS5LP | VTD_CAP_ESRTPS | VTD_CAP_ESIRTPS;

	(void)state;
	make(NULL);
	assert_int_equal(vtd_ecap(f.unit), ecap);
	assert_int_equal(vtd_cap(f.unit), cap);
	vtd_fixture_destroy(&f);
}

/* --- Knobs --- */

struct knob_row {
	const char *name;
	void (*turn)(struct vtd_config *config);
	uint64_t cap, ecap;	  /* taken away, */
	uint64_t cap_on, ecap_on; /* or added, to the default */
};

static void scalable_off(struct vtd_config *config)
{
	config->scalable = config->first_stage = config->nested = config->pri = false;
	config->pasid_bits = 0;
}

static void first_stage_off(struct vtd_config *config)
{
	config->first_stage = config->nested = false;
}

static void second_stage_off(struct vtd_config *config)
{
	config->second_stage = config->nested = false;
}

static void ats_off(struct vtd_config *config)
{
	config->ats = config->pri = false;
}

static void pri_off(struct vtd_config *config)
{
	config->pri = false;
}

static void nested_off(struct vtd_config *config)
{
	config->nested = false;
}

static void pasid_off(struct vtd_config *config)
{
	config->pasid_bits = 0;
}

static void pasid_8(struct vtd_config *config)
{
	config->pasid_bits = 8;
}

static void domain_4(struct vtd_config *config)
{
	config->domain_bits = 4;
}

static void domain_12(struct vtd_config *config)
{
	config->domain_bits = 12;
}

static void ir_off(struct vtd_config *config)
{
	config->interrupt_remapping = false;
}

static void x2apic_off(struct vtd_config *config)
{
	config->x2apic = false;
}

static void small_knobs_off(struct vtd_config *config)
{
	config->first_stage_1g = config->first_stage_57 = false;
	config->pass_through = config->snoop = config->execute = config->supervisor = false;
	config->access_dirty = config->extended_accessed = config->abort_dma = false;
}

static void caching_mode(struct vtd_config *config)
{
	config->caching_mode = true;
}

static void virtual_commands(struct vtd_config *config)
{
	config->virtual_commands = true;
}

static void width_39(struct vtd_config *config)
{
	config->aw = 39;
}

static void width_57(struct vtd_config *config)
{
	config->aw = 57;
}

#define FIRST_STAGE_ECAP (VTD_ECAP_FSTS | VTD_ECAP_NEST | VTD_ECAP_EAFS)
#define FIRST_STAGE_CAP	 (VTD_CAP_FS1GP | VTD_CAP_FS5LP)
#define PASID_ECAP	 (VTD_ECAP_PASID | VTD_ECAP_PSS | VTD_ECAP_ERS | VTD_ECAP_SRS)

/* As vtd_put(), for tables. */
#define PUT(value, mask) ((uint64_t)(value) * ((mask) & -(mask)))

static const struct knob_row knobs[] = {
	{ "scalable", scalable_off, FIRST_STAGE_CAP,
	  FIRST_STAGE_ECAP | PASID_ECAP | VTD_ECAP_SMTS | VTD_ECAP_SSTS | VTD_ECAP_SSADS |
		  VTD_ECAP_SMPWC | VTD_ECAP_RPS | VTD_ECAP_RPRIVS | VTD_ECAP_PRS | VTD_ECAP_PDS,
	  0, 0 },
	{ "first-stage", first_stage_off, FIRST_STAGE_CAP, FIRST_STAGE_ECAP, 0, 0 },
	{ "second-stage", second_stage_off, 0, VTD_ECAP_SSTS | VTD_ECAP_NEST | VTD_ECAP_SSADS, 0,
	  0 },
	{ "nested", nested_off, 0, VTD_ECAP_NEST, 0, 0 },
	{ "ats", ats_off, 0, VTD_ECAP_DT | VTD_ECAP_PRS | VTD_ECAP_PDS, 0, 0 },
	{ "pri", pri_off, 0, VTD_ECAP_PRS | VTD_ECAP_PDS, 0, 0 },
	{ "pasid-bits=0", pasid_off, 0, PASID_ECAP, 0, 0 },
	{ "pasid-bits=8", pasid_8, 0, VTD_ECAP_PSS, 0, PUT(7, VTD_ECAP_PSS) },
	{ "domain-bits=4", domain_4, VTD_CAP_ND, 0, 0, 0 },
	{ "domain-bits=12", domain_12, VTD_CAP_ND, 0, PUT(4, VTD_CAP_ND), 0 },
	{ "ir", ir_off, VTD_CAP_ESIRTPS, VTD_ECAP_IR | VTD_ECAP_EIM | VTD_ECAP_MHMV, 0, 0 },
	{ "x2apic", x2apic_off, 0, VTD_ECAP_EIM, 0, 0 },
	{ "small ones", small_knobs_off, FIRST_STAGE_CAP,
	  VTD_ECAP_PT | VTD_ECAP_SC | VTD_ECAP_ERS | VTD_ECAP_SRS | VTD_ECAP_RPRIVS |
		  VTD_ECAP_SSADS | VTD_ECAP_EAFS | VTD_ECAP_ADMS,
	  0, 0 },
	{ "caching-mode", caching_mode, 0, 0, VTD_CAP_CM, 0 },
	{ "virtual-commands", virtual_commands, 0, 0, 0, VTD_ECAP_VCS },
	{ "aw=39", width_39, VTD_CAP_SAGAW48 | VTD_CAP_MGAW, 0, PUT(38, VTD_CAP_MGAW), 0 },
	{ "aw=57", width_57, VTD_CAP_MGAW, 0, VTD_CAP_SAGAW57 | PUT(56, VTD_CAP_MGAW), 0 },
};

static void test_knobs(void **state)
{
	struct vtd_config config;
	uint64_t cap, ecap;

	(void)state;
	make(NULL);
	cap = vtd_cap(f.unit);
	ecap = vtd_ecap(f.unit);
	vtd_fixture_destroy(&f);
	for (unsigned int i = 0; i < ROWS(knobs); i++) {
		const struct knob_row *row = &knobs[i];

		vtd_config_init(&config);
		row->turn(&config);
		make(&config);
		if (vtd_cap(f.unit) != ((cap & ~row->cap) | row->cap_on) ||
		    vtd_ecap(f.unit) != ((ecap & ~row->ecap) | row->ecap_on))
			fail_msg("%s: cap %#lx ecap %#lx", row->name, vtd_cap(f.unit),
				 vtd_ecap(f.unit));
		vtd_fixture_destroy(&f);
	}
}

/* --- Contradictions --- */

static void bad_aw(struct vtd_config *config)
{
	config->aw = 40;
}

static void bad_host_bits_low(struct vtd_config *config)
{
	config->host_bits = 31;
}

static void bad_host_bits_high(struct vtd_config *config)
{
	config->host_bits = 53;
}

static void bad_pasid_bits(struct vtd_config *config)
{
	config->pasid_bits = 21;
}

static void bad_domain_bits_odd(struct vtd_config *config)
{
	config->domain_bits = 7;
}

static void bad_domain_bits_high(struct vtd_config *config)
{
	config->domain_bits = 18;
}

static void bad_no_records(struct vtd_config *config)
{
	config->fault_records = 0;
}

static void bad_records(struct vtd_config *config)
{
	config->fault_records = VTD_FAULT_RECORDS + 1;
}

static void bad_first_stage_alone(struct vtd_config *config)
{
	scalable_off(config);
	config->first_stage = true;
}

static void bad_pasid_alone(struct vtd_config *config)
{
	scalable_off(config);
	config->pasid_bits = 20;
}

static void bad_pri_alone(struct vtd_config *config)
{
	scalable_off(config);
	config->pri = true;
}

static void bad_nested_without_first(struct vtd_config *config)
{
	config->first_stage = false;
}

static void bad_nested_without_second(struct vtd_config *config)
{
	config->second_stage = false;
}

static void bad_no_stage(struct vtd_config *config)
{
	config->first_stage = config->second_stage = config->nested = false;
}

static void bad_pri_without_ats(struct vtd_config *config)
{
	config->ats = false;
}

static void bad_commands_without_pasid(struct vtd_config *config)
{
	config->virtual_commands = true;
	config->pasid_bits = 0;
}

static void test_contradictions(void **state)
{
	void (*const bad[])(struct vtd_config *) = {
		bad_aw,
		bad_host_bits_low,
		bad_host_bits_high,
		bad_pasid_bits,
		bad_domain_bits_odd,
		bad_domain_bits_high,
		bad_no_records,
		bad_records,
		bad_first_stage_alone,
		bad_pasid_alone,
		bad_pri_alone,
		bad_nested_without_first,
		bad_nested_without_second,
		bad_no_stage,
		bad_pri_without_ats,
		bad_commands_without_pasid,
	};

	(void)state;
	for (unsigned int i = 0; i < ROWS(bad); i++) {
		struct vtd_config config;

		vtd_config_init(&config);
		bad[i](&config);
		if (vtd_fixture_init(&f, &config) != -EINVAL)
			fail_msg("configuration %u was taken", i);
	}
}

/* --- Hosts --- */

static const struct vtd_capability *find(const struct vtd_capability *list, const char *reg,
					 const char *name)
{
	for (; list->name; list++)
		if (!strcmp(list->reg, reg) && !strcmp(list->name, name))
			return list;
	fail_msg("%s.%s is not explained", reg, name);
	return NULL;
}

static int bind(void *context, uint32_t pasid, const struct vtd_binding *binding)
{
	(void)context;
	(void)pasid;
	(void)binding;
	return 0;
}

static int unbind(void *context, uint32_t pasid)
{
	(void)context;
	(void)pasid;
	return 0;
}

static void attach_host(uint16_t source, const struct vtd_host_ops *ops)
{
	assert_int_equal(vtd_set_host(f.unit, vtd_fixture_attach(&f, source)->requester, ops, NULL),
			 0);
}

static void test_host_cut(void **state)
{
	struct vtd_host_ops weak = { .bind = bind, .unbind = unbind, .pasid_bits = 12 };
	struct vtd_host_ops silent = { .bind = bind, .unbind = unbind };
	struct vtd_capability list[96];
	uint64_t cap, ecap;

	(void)state;
	make(NULL);
	cap = vtd_cap(f.unit);
	ecap = vtd_ecap(f.unit);

	/*
	 * A host that says nothing cuts what no host can be asked for, and nothing else; but it
	 * needs caching mode.
	 */
	attach_host(0x10, &silent);
	ecap &= ~(VTD_ECAP_ERS | VTD_ECAP_RPRIVS);
	assert_int_equal(vtd_cap(f.unit), cap | VTD_CAP_CM);
	assert_int_equal(vtd_ecap(f.unit), ecap);
	vtd_explain(f.unit, list, ROWS(list));
	assert_string_equal(find(list, "ECAP", "ERS")->reason,
			    "cut: device is passed through, and kernels grant no ERS");

	/* No NEST, no SRS, 16-bit PASIDs, of which the device has 12; a narrow second stage. */
	weak.ecap =
		(ecap & ~(VTD_ECAP_NEST | VTD_ECAP_SRS | VTD_ECAP_PSS)) | vtd_put(15, VTD_ECAP_PSS);
	weak.cap = (cap & ~(VTD_CAP_FS5LP | VTD_CAP_MGAW)) | vtd_put(38, VTD_CAP_MGAW);
	attach_host(0x18, &weak);
	assert_int_equal(vtd_ecap(f.unit), (ecap & ~(VTD_ECAP_NEST | VTD_ECAP_SRS | VTD_ECAP_PSS)) |
						   vtd_put(11, VTD_ECAP_PSS));
	assert_int_equal(vtd_cap(f.unit), weak.cap | VTD_CAP_CM);

	assert_true(vtd_explain(f.unit, list, ROWS(list)) < ROWS(list));
	assert_string_equal(find(list, "ECAP", "NEST")->reason,
			    "cut: the host's unit of device has no NEST");
	assert_int_equal(find(list, "ECAP", "PSS")->value, 11);
	assert_string_equal(find(list, "CAP", "MGAW")->reason,
			    "cut: the host's unit of device has no more");

	/* What a lost bit takes with it. */
	weak.ecap = ecap & ~VTD_ECAP_FSTS;
	weak.cap = cap;
	assert_int_equal(vtd_caps_derive(f.unit), 0);
	assert_false(vtd_ecap(f.unit) & (VTD_ECAP_FSTS | VTD_ECAP_NEST | VTD_ECAP_EAFS));
	assert_false(vtd_cap(f.unit) & (VTD_CAP_FS1GP | VTD_CAP_FS5LP));
	assert_true(vtd_ecap(f.unit) & VTD_ECAP_SSTS);
	vtd_explain(f.unit, list, ROWS(list));
	assert_string_equal(find(list, "ECAP", "NEST")->reason, "off: needs FSTS");
	vtd_fixture_destroy(&f);
}

/* --- Explanations --- */

/* Every field is explained once, with its value; a short list is not overrun. */
static void test_explained(void **state)
{
	struct vtd_capability list[96], few[3];
	struct vtd_config config;
	unsigned int count;

	(void)state;
	vtd_config_init(&config);
	config.x2apic = false;
	make(&config);
	count = vtd_explain(f.unit, list, ROWS(list));
	assert_in_range(count, 40, ROWS(list) - 1);
	assert_null(list[count].name);
	for (unsigned int i = 0; i < count; i++) {
		assert_true(strlen(list[i].reason) > 0);
		assert_true(strlen(list[i].reason) < sizeof(list[i].reason) - 1);
		for (unsigned int j = 0; j < i; j++)
			assert_false(!strcmp(list[i].name, list[j].name) &&
				     !strcmp(list[i].reg, list[j].reg));
	}
	assert_int_equal(find(list, "ECAP", "PSS")->value, 19);
	assert_int_equal(find(list, "CAP", "MGAW")->value, 47);
	assert_int_equal(find(list, "CAP", "AFL")->value, 0);
	assert_int_equal(find(list, "ECAP", "SMPWC")->value, 1);
	assert_non_null(strstr(find(list, "ECAP", "SMPWC")->reason, "SVA"));
	assert_int_equal(find(list, "ECAP", "EIM")->value, 0);
	assert_non_null(strstr(find(list, "ECAP", "EIM")->reason, "off by configuration"));

	memset(few, 0xff, sizeof(few));
	assert_int_equal(vtd_explain(f.unit, few, 2), count);
	assert_string_equal(few[1].name, list[1].name);
	assert_int_equal(few[2].value, UINT64_MAX);
	vtd_fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),	       cmocka_unit_test(test_knobs),
		cmocka_unit_test(test_contradictions), cmocka_unit_test(test_host_cut),
		cmocka_unit_test(test_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
