/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The register file (11.4): reset values, what can be written, in which sizes; GCMD and GSTS.
 */
#include "lib/memory.h"
#include "lib/print.h"
#include "vtd/tests.h"

struct reset_value {
	const char *name;
	unsigned int reg, size;
	uint64_t value;
};

static const struct reset_value reset_values[] = {
	{ "GSTS", VTD_GSTS, 4, 0 },	  { "RTADDR", VTD_RTADDR, 8, 0 },
	{ "FSTS", VTD_FSTS, 4, 0 },	  { "FECTL", VTD_FECTL, 4, VTD_EVENT_IM },
	{ "FEDATA", VTD_FEDATA, 4, 0 },	  { "FEADDR", VTD_FEADDR, 4, 0 },
	{ "FEUADDR", VTD_FEUADDR, 4, 0 }, { "IQH", VTD_IQH, 8, 0 },
	{ "IQT", VTD_IQT, 8, 0 },	  { "IQA", VTD_IQA, 8, 0 },
	{ "ICS", VTD_ICS, 4, 0 },	  { "IECTL", VTD_IECTL, 4, VTD_EVENT_IM },
	{ "IQERCD", VTD_IQERCD, 8, 0 },	  { "IRTA", VTD_IRTA, 8, 0 },
	{ "PQH", VTD_PQH, 8, 0 },	  { "PQT", VTD_PQT, 8, 0 },
	{ "PQA", VTD_PQA, 8, 0 },	  { "PRS", VTD_PRS, 4, 0 },
};

static uint64_t get(const struct vtd *vtd, unsigned int reg, unsigned int size)
{
	return size == 8 ? vtd_get64(vtd, reg) : vtd_get32(vtd, reg);
}

static void test_reset_values(const struct vtd *vtd)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(reset_values); i++) {
		const struct reset_value *r = &reset_values[i];

		check_equal(get(vtd, r->reg, r->size), r->value, "%s at power-on", r->name);
	}
	if (vtd->ecap & VTD_ECAP_PRS)
		check_equal(vtd_get32(vtd, VTD_PECTL), VTD_EVENT_IM, "PECTL at power-on");
}

static void test_fault_records(const struct vtd *vtd)
{
	unsigned int at = (unsigned int)vtd_get(vtd->cap, VTD_CAP_FRO) * 16;
	unsigned int count = (unsigned int)vtd_get(vtd->cap, VTD_CAP_NFR) + 1, empty = 0;

	check(at + count * 16 <= VTD_REGISTERS, "CAP: the fault records lie inside the window");
	for (unsigned int i = 0; i < count; i++)
		empty += !vtd_get64(vtd, at + i * 16) && !vtd_get64(vtd, at + i * 16 + 8);
	check_equal(empty, count, "all fault records are empty at power-on");
}

/* What is advertised fits together. */
static void test_capabilities(const struct vtd *vtd)
{
	uint64_t cap = vtd->cap, ecap = vtd->ecap;

	check(vtd_get32(vtd, VTD_VER) >> 4, "VER: a major version");
	check(ecap & VTD_ECAP_QI, "ECAP: queued invalidation");
	check(!(ecap & VTD_ECAP_PRS) || ecap & VTD_ECAP_DT, "ECAP: PRS comes with DT");
	check(!(ecap & (VTD_ECAP_FSTS | VTD_ECAP_SSTS | VTD_ECAP_NEST | VTD_ECAP_PASID)) ||
		      ecap & VTD_ECAP_SMTS,
	      "ECAP: what is of scalable mode comes with it");
	check(!(ecap & VTD_ECAP_NEST) ||
		      (ecap & (VTD_ECAP_FSTS | VTD_ECAP_SSTS)) == (VTD_ECAP_FSTS | VTD_ECAP_SSTS),
	      "ECAP: NEST comes with both stages");
	check(!(ecap & VTD_ECAP_EIM) || ecap & VTD_ECAP_IR, "ECAP: EIM comes with IR");
	check(cap & VTD_CAP_SAGAW, "CAP: a width of second-stage tables");
	check(!(cap & VTD_CAP_AFL), "CAP: no advanced fault log");
}

static void test_writes(const struct vtd *vtd)
{
	uint64_t cap = vtd->cap;

	vtd_set64(vtd, VTD_CAP, ~cap);
	vtd_set32(vtd, VTD_VER, UINT32_MAX);
	vtd_set32(vtd, VTD_GSTS, UINT32_MAX);
	check(vtd_get64(vtd, VTD_CAP) == cap && !vtd_get32(vtd, VTD_GSTS),
	      "read-only registers keep their values");
	vtd_set32(vtd, VTD_FEDATA, 0x1234);
	vtd_set32(vtd, VTD_FEADDR, 0xfee01000);
	vtd_set32(vtd, VTD_FEUADDR, 0x100);
	check_equal(vtd_get32(vtd, VTD_FEDATA), 0x1234, "FEDATA keeps what is written");
	check_equal(vtd_get32(vtd, VTD_FEADDR), 0xfee01000, "FEADDR too");
	if (vtd->ecap & VTD_ECAP_EIM)
		check_equal(vtd_get32(vtd, VTD_FEUADDR), 0x100, "and FEUADDR, for x2APIC");
	vtd_set32(vtd, VTD_FECTL, 0);
	check_equal(vtd_get32(vtd, VTD_FECTL), 0, "FECTL can be unmasked");
	vtd_set32(vtd, VTD_FECTL, UINT32_MAX);
	check_equal(vtd_get32(vtd, VTD_FECTL), VTD_EVENT_IM, "FECTL: only the mask can be written");
}

static void test_sizes(const struct vtd *vtd)
{
	vtd_set32(vtd, VTD_RTADDR, 0x12345000);
	vtd_set32(vtd, VTD_RTADDR + 4, 0x1);
	check_equal(vtd_get64(vtd, VTD_RTADDR), 0x112345000, "RTADDR in two halves");
	vtd_set64(vtd, VTD_RTADDR, 0x54321000);
	check_equal(vtd_get32(vtd, VTD_RTADDR), 0x54321000, "RTADDR in one piece");
	write8(vtd->base + VTD_RTADDR + 1, 0xff);
	write16(vtd->base + VTD_RTADDR + 2, 0xffff);
	write32(vtd->base + VTD_RTADDR + 2, UINT32_MAX);
	write64(vtd->base + VTD_RTADDR + 1, UINT64_MAX);
	check_equal(vtd_get64(vtd, VTD_RTADDR), 0x54321000,
		    "accesses of other sizes and misaligned ones write nothing");
	check_equal(read8(vtd->base + VTD_CAP) | read16(vtd->base + VTD_CAP) |
			    read32(vtd->base + VTD_CAP + 2) | read64(vtd->base + VTD_CAP + 1),
		    0, "and read as 0");
	write64(vtd->base + VTD_REGISTERS - 8, UINT64_MAX);
	write64(vtd->base + 0x400, UINT64_MAX);
	check_equal(read64(vtd->base + VTD_REGISTERS - 8) | read64(vtd->base + 0x400), 0,
		    "where no register is, nothing is kept");
	vtd_set64(vtd, VTD_RTADDR, 0);
}

static void test_commands(struct world *w)
{
	struct vtd *vtd = &w->vtd;

	vtd_new_root(vtd);
	check(vtd_queue_start(vtd, false), "GCMD: QIE, and GSTS follows");
	check(vtd_set_root(vtd, VTD_TTM_LEGACY), "GCMD: SRTP");
	check(vtd_command(vtd, VTD_GCMD_TE, true), "GCMD: TE on");
	check_equal(vtd_get32(vtd, VTD_GSTS), VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_SRTP,
		    "GSTS: what was set, and no more");
	check(vtd_command(vtd, VTD_GCMD_TE, false), "GCMD: TE off");
	check(vtd_command(vtd, VTD_GCMD_QIE, false), "GCMD: QIE off");
	if (vtd->ecap & VTD_ECAP_IR) {
		vtd_set64(vtd, VTD_IRTA, (uintptr_t)pages(1) | 7);
		check(vtd_command(vtd, VTD_GCMD_SIRTP, true), "GCMD: SIRTP");
		check(vtd_command(vtd, VTD_GCMD_CFI, true), "GCMD: CFI on");
		check(vtd_command(vtd, VTD_GCMD_CFI, false), "GCMD: CFI off");
	} else {
		vtd_set32(vtd, VTD_GCMD, (uint32_t)(VTD_GCMD_IRE | VTD_GCMD_SIRTP));
		check_equal(vtd_get32(vtd, VTD_GSTS) & (VTD_GCMD_IRE | VTD_GCMD_SIRTP), 0,
			    "GCMD: no IRE without IR");
	}
	vtd_set32(vtd, VTD_GCMD, (uint32_t)(VTD_GCMD_SFL | VTD_GCMD_EAFL | VTD_GCMD_WBF));
	check_equal(vtd_get32(vtd, VTD_GSTS) & (VTD_GCMD_SFL | VTD_GCMD_EAFL | VTD_GCMD_WBF), 0,
		    "GCMD: what is not supported is ignored");
}

/* Register-based invalidation (11.4.6) completes. */
static void test_register_invalidation(const struct vtd *vtd)
{
	unsigned int iotlb = (unsigned int)vtd_get(vtd->ecap, VTD_ECAP_IRO) * 16 + 8;
	uint64_t command;

	vtd_set64(vtd, VTD_CCMD, VTD_CCMD_ICC | vtd_put(VTD_CONTEXT_GLOBAL, VTD_CCMD_CIRG));
	command = vtd_get64(vtd, VTD_CCMD);
	check(!(command & VTD_CCMD_ICC) && vtd_get(command, VTD_CCMD_CAIG) == VTD_CONTEXT_GLOBAL,
	      "CCMD: a global invalidation is done, and was global");
	vtd_set64(vtd, iotlb,
		  VTD_IOTLB_IVT | vtd_put(VTD_IOTLB_GLOBAL, VTD_IOTLB_IIRG) | VTD_IOTLB_DR |
			  VTD_IOTLB_DW);
	command = vtd_get64(vtd, iotlb);
	check(!(command & VTD_IOTLB_IVT) && vtd_get(command, VTD_IOTLB_IAIG) == VTD_IOTLB_GLOBAL,
	      "IOTLB register: a global invalidation is done, and was global");
}

void test_registers(struct world *w)
{
	const struct vtd *vtd = &w->vtd;

	test_reset_values(vtd);
	test_fault_records(vtd);
	test_capabilities(vtd);
	test_writes(vtd);
	test_sizes(vtd);
	test_commands(w);
	test_register_invalidation(vtd);
}
