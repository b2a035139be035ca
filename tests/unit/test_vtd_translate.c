/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vtd_translate(): one row per rule of 7.1.3, each broken alone in tables that are right otherwise;
 * and the same with FPD, and as a translation request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtd_world.h"

#define RW    (VTD_READ | VTD_WRITE)
#define BOTH  (VTD_SS_R | VTD_SS_W)
#define HIGH  VTD_BIT(50) /* an address bit beyond the host's 46 */
#define FEE   UINT64_C(0xfee00000)
#define PAGES VTD_SS_ADDR
/* The unit has an MGAW of 57 bits, and 20 bits of PASID; without these, 41 and 4. */
#define MGAW41 VTD_BIT(20)
#define PSS4   VTD_BIT(39)

/* A change of one word, or of capabilities. */
struct change {
	enum world_place place;
	unsigned int word;
	uint64_t clear, set;
};

struct row {
	const char *rule;
	enum vtd_reason reason;
	enum world_mode mode;
	struct change change[3];
	enum world_place hole;	  /* the page it is in is not RAM */
	enum world_place hostile; /* see vtd_world.h; the first two accesses are let through */
	bool refuse;
	uint64_t no_ecap, no_cap; /* capabilities the unit does not have */
	uint64_t ttm;		  /* of RTADDR, plus 1; 0: as the mode is */
	uint32_t pasid;		  /* 0: none, or WORLD_PASID in scalable mode; ANY_RID: none */
	uint64_t iova;		  /* 0: the page */
	unsigned int access;	  /* 0: VTD_READ */
	enum vtd_request_type type;
	bool not_ats; /* a translation request has another outcome */
};

#define ANY_RID 0xffffffff

static const struct row rows[] = {
	/* clang-format off */
	/* --- Legacy mode --- */
	{ "root entry not present", VTD_LRT_P, WORLD_LEGACY, .change = { { AT_ROOT, 0, VTD_ROOT_P, 0 } } },
	{ "context entry not present", VTD_LCT_P, WORLD_LEGACY, .change = { { AT_CONTEXT, 0, VTD_CONTEXT0_P, 0 } } },
	{ "no such width", VTD_LCT_INVALID, WORLD_LEGACY, .change = { { AT_CONTEXT, 1, 0, 7 } } },
	{ "width 0", VTD_LCT_INVALID, WORLD_LEGACY, .change = { { AT_CONTEXT, 1, 7, 0 } } },
	{ "width not in SAGAW", VTD_LCT_INVALID, WORLD_LEGACY, .no_cap = VTD_CAP_SAGAW48 },
	{ "reserved type", VTD_LCT_INVALID, WORLD_LEGACY, .change = { { AT_CONTEXT, 0, 0, VTD_CONTEXT0_TT } } },
	{ "device-TLB without ECAP.DT", VTD_LCT_INVALID, WORLD_LEGACY, .change = { { AT_CONTEXT, 0, 0, VTD_BIT(2) } }, .no_ecap = VTD_ECAP_DT },
	{ "pass-through without ECAP.PT", VTD_LCT_INVALID, WORLD_LEGACY_PT, .no_ecap = VTD_ECAP_PT },
	{ "SSPTPTR is not RAM", VTD_LCT_INVALID, WORLD_LEGACY, .hole = AT_SS_ROOT, .not_ats = true },
	{ "beyond 48 bits", VTD_LGN_WIDTH, WORLD_LEGACY, .iova = VTD_BIT(48), .not_ats = true },
	{ "beyond 39 bits", VTD_LGN_WIDTH, WORLD_LEGACY, .change = { { AT_CONTEXT, 1, 7, VTD_AW_39 } }, .iova = VTD_BIT(39), .not_ats = true },
	{ "beyond MGAW", VTD_LGN_WIDTH, WORLD_LEGACY, .no_cap = MGAW41, .iova = VTD_BIT(42), .not_ats = true },
	{ "pass-through beyond HAW", VTD_LGN_WIDTH, WORLD_LEGACY_PT, .iova = VTD_BIT(46), .not_ats = true },
	{ "leaf not writable", VTD_LGN_WRITE, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, VTD_SS_W, 0 } }, .access = VTD_WRITE, .not_ats = true },
	{ "upper level not writable", VTD_LGN_WRITE, WORLD_LEGACY, .change = { { AT_SS_ROOT, 0, VTD_SS_W, 0 } }, .access = VTD_WRITE, .not_ats = true },
	{ "nothing mapped, write", VTD_LGN_WRITE, WORLD_LEGACY, .change = { { AT_SS_LEVEL2, 0, BOTH, 0 } }, .access = VTD_WRITE, .not_ats = true },
	{ "leaf not readable", VTD_LGN_READ, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, VTD_SS_R, 0 } }, .not_ats = true },
	{ "nothing mapped, read", VTD_LGN_READ, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, BOTH, 0 } }, .not_ats = true },
	{ "second-stage table is not RAM", VTD_LSS_ACCESS, WORLD_LEGACY, .hole = AT_SS_LEVEL2, .not_ats = true },
	{ "root table is not RAM", VTD_LRT_ACCESS, WORLD_LEGACY, .hole = AT_ROOT },
	{ "context table is not RAM", VTD_LCT_ACCESS, WORLD_LEGACY, .hole = AT_CONTEXT },
	{ "root entry, bit 1", VTD_LRT_RESERVED, WORLD_LEGACY, .change = { { AT_ROOT, 0, 0, 2 } } },
	{ "root entry, upper half", VTD_LRT_RESERVED, WORLD_LEGACY, .change = { { AT_ROOT, 1, 0, 1 } } },
	{ "root entry, beyond HAW", VTD_LRT_RESERVED, WORLD_LEGACY, .change = { { AT_ROOT, 0, 0, HIGH } } },
	{ "context entry, bit 4", VTD_LCT_RESERVED, WORLD_LEGACY, .change = { { AT_CONTEXT, 0, 0, 16 } } },
	{ "context entry, bit 71", VTD_LCT_RESERVED, WORLD_LEGACY, .change = { { AT_CONTEXT, 1, 0, 128 } } },
	{ "context entry, DID beyond ND", VTD_LCT_RESERVED, WORLD_LEGACY, .change = { { AT_CONTEXT, 1, 0, VTD_BIT(8 + 15) } }, .no_cap = VTD_CAP_ND },
	{ "context entry, bit 88", VTD_LCT_RESERVED, WORLD_LEGACY, .change = { { AT_CONTEXT, 1, 0, VTD_BIT(24) } } },
	{ "context entry, beyond HAW", VTD_LCT_RESERVED, WORLD_LEGACY, .change = { { AT_CONTEXT, 0, 0, HIGH } } },
	{ "second stage, PS in the root", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_ROOT, 0, 0, VTD_SS_PS } }, .not_ats = true },
	{ "second stage, misaligned 2 MiB page", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEVEL2, 0, 0, VTD_SS_PS } }, .not_ats = true },
	{ "second stage, 2 MiB without SSLPS", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEVEL2, 0, PAGES, VTD_SS_PS } }, .no_cap = VTD_CAP_SSLPS2M, .not_ats = true },
	{ "second stage, 1 GiB without SSLPS", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEVEL3, 0, PAGES, VTD_SS_PS } }, .no_cap = VTD_CAP_SSLPS1G, .not_ats = true },
	{ "second stage, leaf beyond HAW", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, 0, HIGH } }, .not_ats = true },
	{ "second stage, table beyond HAW", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEVEL3, 0, 0, HIGH } }, .not_ats = true },
	{ "second stage, bit 11 of a table", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEVEL3, 0, 0, VTD_SS_SNP } }, .not_ats = true },
	{ "second stage, SNP without ECAP.SC", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, 0, VTD_SS_SNP } }, .no_ecap = VTD_ECAP_SC, .not_ats = true },
	{ "second stage, TM", VTD_LSS_RESERVED, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, 0, VTD_SS_TM } }, .not_ats = true },
	{ "translation request", VTD_LCT_BLOCKED, WORLD_LEGACY, .type = VTD_TRANSLATION },
	{ "translated request", VTD_LCT_BLOCKED, WORLD_LEGACY, .type = VTD_TRANSLATED },
	{ "translation request to pass-through", VTD_LCT_BLOCKED, WORLD_LEGACY_PT, .type = VTD_TRANSLATION },
	{ "ends in the interrupt range", VTD_LGN_INTERRUPT, WORLD_LEGACY, .change = { { AT_SS_LEAF, 0, PAGES, FEE } }, .not_ats = true },
	{ "DMA to the interrupt range", VTD_LGN_INTERRUPT, WORLD_LEGACY, .iova = FEE + 0xff000, .access = VTD_WRITE, .not_ats = true },

	/* --- RTADDR --- */
	{ "abort mode", VTD_RTA_INVALID, WORLD_FS, .ttm = 1 + VTD_TTM_ABORT },
	{ "reserved mode", VTD_RTA_INVALID, WORLD_FS, .ttm = 1 + VTD_TTM_RESERVED },
	{ "scalable mode without ECAP.SMTS", VTD_RTA_INVALID, WORLD_FS, .no_ecap = VTD_ECAP_SMTS },
	{ "PASID in legacy mode", VTD_RTA_LEGACY_PASID, WORLD_LEGACY, .pasid = WORLD_PASID },

	/* --- Root and context entries --- */
	{ "root table is not RAM", VTD_SRT_ACCESS, WORLD_FS, .hole = AT_ROOT },
	{ "root entry not present", VTD_SRT_P, WORLD_FS, .change = { { AT_ROOT, 0, VTD_ROOT_P, 0 } } },
	{ "root entry, bit 11", VTD_SRT_RESERVED, WORLD_FS, .change = { { AT_ROOT, 0, 0, VTD_BIT(11) } } },
	{ "root entry, beyond HAW", VTD_SRT_RESERVED, WORLD_FS, .change = { { AT_ROOT, 0, 0, HIGH } } },
	{ "context table is not RAM", VTD_SCT_ACCESS, WORLD_FS, .hole = AT_CONTEXT },
	{ "context entry not present", VTD_SCT_P, WORLD_FS, .change = { { AT_CONTEXT, 0, VTD_SM_CONTEXT0_P, 0 } } },
	{ "context entry, bit 5", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 0, 0, 32 } } },
	{ "context entry, beyond HAW", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 0, 0, HIGH } } },
	{ "context entry, bit 85", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 1, 0, VTD_BIT(21) } } },
	{ "context entry, third word", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 2, 0, 1 } } },
	{ "context entry, fourth word", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 3, 0, VTD_BIT(63) } } },
	{ "DTE without ECAP.DT", VTD_SCT_RESERVED, WORLD_FS, .no_ecap = VTD_ECAP_DT },
	{ "PASIDE without ECAP.PASID", VTD_SCT_RESERVED, WORLD_FS, .no_ecap = VTD_ECAP_PASID },
	{ "PRE without ECAP.PRS", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 0, 0, VTD_SM_CONTEXT0_PRE } }, .no_ecap = VTD_ECAP_PRS },
	{ "RID_PRIV without ECAP.RPRIVS", VTD_SCT_RESERVED, WORLD_FS, .change = { { AT_CONTEXT, 1, 0, VTD_SM_CONTEXT1_RID_PRIV } }, .no_ecap = VTD_ECAP_RPRIVS },
	{ "PRE without DTE", VTD_SCT_INVALID, WORLD_FS, .change = { { AT_CONTEXT, 0, VTD_SM_CONTEXT0_DTE, VTD_SM_CONTEXT0_PRE } } },
	{ "translation request, DTE clear", VTD_SCT_DTE, WORLD_FS, .change = { { AT_CONTEXT, 0, VTD_SM_CONTEXT0_DTE, 0 } }, .type = VTD_TRANSLATION },
	{ "translated request, DTE clear", VTD_SCT_DTE, WORLD_FS, .change = { { AT_CONTEXT, 0, VTD_SM_CONTEXT0_DTE, 0 } }, .type = VTD_TRANSLATED },
	{ "PASID, PASIDE clear", VTD_SCT_PASIDE, WORLD_FS, .change = { { AT_CONTEXT, 0, VTD_SM_CONTEXT0_PASIDE, 0 } } },
	{ "PASID beyond PDTS", VTD_SCT_PASID, WORLD_FS, .pasid = 128 * 64 },
	{ "PASID beyond PSS", VTD_SCT_PASID, WORLD_FS, .change = { { AT_CONTEXT, 0, 0, VTD_SM_CONTEXT0_PDTS } }, .no_ecap = PSS4, .pasid = 16 },
	{ "PASID beyond 20 bits", VTD_SCT_PASID, WORLD_FS, .change = { { AT_CONTEXT, 0, 0, VTD_SM_CONTEXT0_PDTS } }, .pasid = 1 << 20 },
	{ "RID_PASID beyond PDTS", VTD_SCT_RID_PASID, WORLD_FS, .change = { { AT_CONTEXT, 1, 0, 128 * 64 } }, .pasid = ANY_RID },
	{ "RID_PASID without ECAP.RPS", VTD_SCT_RID_PASID, WORLD_FS, .change = { { AT_CONTEXT, 1, 0, WORLD_PASID } }, .no_ecap = VTD_ECAP_RPS, .pasid = ANY_RID },

	/* --- PASID directory and table --- */
	{ "directory is not RAM", VTD_SPD_ACCESS, WORLD_FS, .hole = AT_DIRECTORY },
	{ "directory entry not present", VTD_SPD_P, WORLD_FS, .change = { { AT_DIRECTORY, 0, VTD_PASIDDIR_P, 0 } } },
	{ "directory entry of another table", VTD_SPD_P, WORLD_FS, .pasid = 128 * 64 - 1 },
	{ "directory entry, bit 2", VTD_SPD_RESERVED, WORLD_FS, .change = { { AT_DIRECTORY, 0, 0, 4 } } },
	{ "directory entry, beyond HAW", VTD_SPD_RESERVED, WORLD_FS, .change = { { AT_DIRECTORY, 0, 0, HIGH } } },
	{ "PASID table is not RAM", VTD_SPT_ACCESS, WORLD_FS, .hole = AT_PASID },
	{ "PASID entry not present", VTD_SPT_P, WORLD_FS, .change = { { AT_PASID, 0, VTD_PASID0_P, 0 } } },
	{ "PASID entry of another PASID", VTD_SPT_P, WORLD_FS, .pasid = WORLD_PASID + 1 },
	{ "PASID entry, DID beyond ND", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 1, 0, VTD_BIT(4) } }, .no_cap = VTD_CAP_ND },
	{ "PASID entry, bit 10", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 0, 0, VTD_BIT(10) } } },
	{ "PASID entry, bit 80", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 1, 0, VTD_BIT(16) } } },
	{ "PASID entry, bit 136", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_BIT(8) } } },
	{ "PASID entry, last word", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 7, 0, VTD_BIT(63) } } },
	{ "FSPTPTR beyond HAW", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 2, 0, HIGH } } },
	{ "SSPTPTR beyond HAW", VTD_SPT_RESERVED, WORLD_SS, .change = { { AT_PASID, 0, 0, HIGH } } },
	{ "SRE without ECAP.SRS", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_PASID2_SRE } }, .no_ecap = VTD_ECAP_SRS },
	{ "ERE without ECAP.ERS", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_PASID2_ERE } }, .no_ecap = VTD_ECAP_ERS },
	{ "EAFE without ECAP.EAFS", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_PASID2_EAFE } }, .no_ecap = VTD_ECAP_EAFS },
	{ "SSADE without ECAP.SSADS", VTD_SPT_RESERVED, WORLD_SS, .change = { { AT_PASID, 0, 0, VTD_PASID0_SSADE } }, .no_ecap = VTD_ECAP_SSADS },
	{ "PWSNP without ECAP.SMPWC", VTD_SPT_RESERVED, WORLD_FS, .no_ecap = VTD_ECAP_SMPWC },
	{ "PGSNP without ECAP.SC", VTD_SPT_RESERVED, WORLD_FS, .change = { { AT_PASID, 1, 0, VTD_PASID1_PGSNP } }, .no_ecap = VTD_ECAP_SC },
	{ "PGTT 0", VTD_SPT_INVALID, WORLD_FS, .change = { { AT_PASID, 0, VTD_PASID0_PGTT, 0 } } },
	{ "PGTT 7", VTD_SPT_INVALID, WORLD_FS, .change = { { AT_PASID, 0, 0, VTD_PASID0_PGTT } } },
	{ "first stage without ECAP.FSTS", VTD_SPT_INVALID, WORLD_FS, .no_ecap = VTD_ECAP_FSTS },
	{ "second stage without ECAP.SSTS", VTD_SPT_INVALID, WORLD_SS, .no_ecap = VTD_ECAP_SSTS },
	{ "nested without ECAP.NEST", VTD_SPT_INVALID, WORLD_NESTED, .no_ecap = VTD_ECAP_NEST },
	{ "pass-through without ECAP.PT", VTD_SPT_INVALID, WORLD_PT, .no_ecap = VTD_ECAP_PT },
	{ "reserved paging mode", VTD_SPT_INVALID, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_BIT(3) } } },
	{ "five levels without CAP.FS5LP", VTD_SPT_INVALID, WORLD_FS5, .no_cap = VTD_CAP_FS5LP },
	{ "width of the second stage", VTD_SPT_INVALID, WORLD_SS, .change = { { AT_PASID, 0, 0, VTD_PASID0_AW } } },
	{ "width of a nested second stage", VTD_SPT_INVALID, WORLD_NESTED, .no_cap = VTD_CAP_SAGAW48 },
	{ "execute request, ERE clear", VTD_SPT_ERE, WORLD_FS, .access = VTD_READ | VTD_EXECUTE },
	{ "supervisor request, SRE clear", VTD_SPT_SRE, WORLD_FS, .access = VTD_READ | VTD_PRIVILEGED },
	{ "RID_PRIV, SRE clear", VTD_SPT_SRE, WORLD_FS, .change = { { AT_CONTEXT, 1, 0, VTD_SM_CONTEXT1_RID_PRIV } }, .pasid = ANY_RID },

	/* --- First stage --- */
	{ "first-stage table is not RAM", VTD_SFS_ACCESS, WORLD_FS, .hole = AT_FS_LEAF },
	{ "the same, nested", VTD_SFS_ACCESS, WORLD_NESTED, .hole = AT_FS_LEAF },
	{ "leaf not present", VTD_SFS_P, WORLD_FS, .change = { { AT_FS_LEAF, 0, VTD_FS_P, 0 } } },
	{ "root not present", VTD_SFS_P, WORLD_FS5, .change = { { AT_FS_ROOT, 0, VTD_FS_P, 0 } } },
	{ "first stage, PS in the root", VTD_SFS_RESERVED, WORLD_FS, .change = { { AT_FS_ROOT, 0, 0, VTD_FS_PS } } },
	{ "first stage, misaligned 2 MiB page", VTD_SFS_RESERVED, WORLD_FS, .change = { { AT_FS_LEVEL2, 0, PAGES, VTD_FS_PS | VTD_BIT(13) } } },
	{ "first stage, misaligned 1 GiB page", VTD_SFS_RESERVED, WORLD_FS, .change = { { AT_FS_LEVEL3, 0, PAGES, VTD_FS_PS | VTD_BIT(29) } } },
	{ "first stage, 1 GiB without FS1GP", VTD_SFS_RESERVED, WORLD_FS, .change = { { AT_FS_LEVEL3, 0, PAGES, VTD_FS_PS } }, .no_cap = VTD_CAP_FS1GP },
	{ "first stage, leaf beyond HAW", VTD_SFS_RESERVED, WORLD_FS, .change = { { AT_FS_LEAF, 0, 0, HIGH } } },
	{ "first stage, table beyond HAW", VTD_SFS_RESERVED, WORLD_NESTED, .change = { { AT_FS_LEVEL2, 0, 0, HIGH } } },
	{ "FSPTPTR is not RAM", VTD_SFS_ROOT_ACCESS, WORLD_FS, .hole = AT_FS_ROOT },
	{ "the same, nested", VTD_SFS_ROOT_ACCESS, WORLD_NESTED, .hole = AT_FS_ROOT },
	{ "table beyond the second stage", VTD_SFS_SS_WIDTH, WORLD_NESTED, .no_cap = MGAW41, .change = { { AT_FS_LEVEL3, 0, 0, VTD_BIT(42) } } },
	{ "FSPTPTR not readable in the second stage", VTD_SFS_SS_ROOT_READ, WORLD_NESTED, .change = { { AT_SS_FS_ROOT, 0, VTD_SS_R, 0 } } },
	{ "table not readable in the second stage", VTD_SFS_SS_READ, WORLD_NESTED, .change = { { AT_SS_FS_LEAF, 0, VTD_SS_R, 0 } } },
	{ "flags not writable in the second stage", VTD_SFS_SS_WRITE, WORLD_NESTED, .change = { { AT_SS_FS_LEAF, 0, VTD_SS_W, 0 } } },
	{ "root's flags not writable", VTD_SFS_SS_WRITE, WORLD_NESTED, .change = { { AT_SS_FS_ROOT, 0, VTD_SS_W, 0 } } },
	{ "A to be set, PWSNP clear", VTD_SFS_AD_SNOOP, WORLD_FS, .change = { { AT_PASID, 1, VTD_PASID1_PWSNP, 0 } } },
	{ "flags cannot be written", VTD_SFS_AD, WORLD_FS, .hostile = AT_FS_LEAF, .refuse = true },
	{ "entry never holds still", VTD_SFS_AD, WORLD_FS, .hostile = AT_FS_LEAF },

	/* --- Second stage --- */
	{ "second-stage table is not RAM", VTD_SSS_ACCESS, WORLD_SS, .hole = AT_SS_LEAF },
	{ "nothing mapped", VTD_SSS_P, WORLD_SS, .change = { { AT_SS_LEAF, 0, BOTH, 0 } } },
	{ "no table", VTD_SSS_P, WORLD_SS, .change = { { AT_SS_LEVEL3, 0, BOTH, 0 } } },
	{ "nothing mapped for the output", VTD_SSS_P, WORLD_NESTED, .change = { { AT_SS_LEAF, 0, BOTH, 0 } } },
	{ "nothing mapped for FSPTPTR", VTD_SSS_P, WORLD_NESTED, .change = { { AT_SS_FS_ROOT, 0, BOTH, 0 } } },
	{ "second stage, PS in the root", VTD_SSS_RESERVED, WORLD_SS, .change = { { AT_SS_ROOT, 0, 0, VTD_SS_PS } } },
	{ "second stage, leaf beyond HAW", VTD_SSS_RESERVED, WORLD_NESTED, .change = { { AT_SS_LEAF, 0, 0, HIGH } } },
	{ "SSPTPTR is not RAM", VTD_SSS_ROOT_ACCESS, WORLD_SS, .hole = AT_SS_ROOT },
	{ "the same, nested", VTD_SSS_ROOT_ACCESS, WORLD_NESTED, .hole = AT_SS_ROOT },
	{ "second-stage A to be set, PWSNP clear", VTD_SSS_AD, WORLD_SS, .change = { { AT_PASID, 0, 0, VTD_PASID0_SSADE }, { AT_PASID, 1, VTD_PASID1_PWSNP, 0 } } },
	{ "second-stage flags cannot be written", VTD_SSS_AD, WORLD_SS, .change = { { AT_PASID, 0, 0, VTD_PASID0_SSADE } }, .hostile = AT_SS_LEAF, .refuse = true },
	{ "second-stage entry never holds still", VTD_SSS_AD, WORLD_SS, .change = { { AT_PASID, 0, 0, VTD_PASID0_SSADE } }, .hostile = AT_SS_LEAF },

	/* --- Both --- */
	{ "not canonical, 48 bits", VTD_SGN_CANONICAL, WORLD_FS, .iova = VTD_BIT(47) },
	{ "not canonical, 57 bits", VTD_SGN_CANONICAL, WORLD_FS5, .iova = VTD_BIT(56) },
	{ "not canonical at the top", VTD_SGN_CANONICAL, WORLD_FS, .iova = VTD_BIT(63) | WORLD_VA },
	{ "supervisor page", VTD_SGN_US, WORLD_FS, .change = { { AT_FS_LEAF, 0, VTD_FS_US, 0 } } },
	{ "supervisor table", VTD_SGN_US, WORLD_NESTED, .change = { { AT_FS_ROOT, 0, VTD_FS_US, 0 } } },
	{ "XD set", VTD_SGN_NX, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_PASID2_ERE | VTD_PASID2_NXE }, { AT_FS_LEAF, 0, 0, VTD_FS_XD } }, .access = VTD_READ | VTD_EXECUTE, .not_ats = true },
	{ "SMEP", VTD_SGN_NX, WORLD_FS, .change = { { AT_PASID, 2, 0, VTD_PASID2_ERE | VTD_PASID2_SRE | VTD_PASID2_SMEP } }, .access = VTD_READ | VTD_EXECUTE | VTD_PRIVILEGED, .not_ats = true },
	{ "second stage without X", VTD_SGN_NX, WORLD_SS, .change = { { AT_PASID, 0, 0, VTD_PASID0_SSEE }, { AT_SS_LEAF, 0, VTD_SS_X, 0 } }, .access = VTD_READ | VTD_EXECUTE, .not_ats = true },
	{ "beyond 48 bits", VTD_SGN_WIDTH, WORLD_SS, .iova = VTD_BIT(48) },
	{ "pass-through beyond HAW", VTD_SGN_WIDTH, WORLD_PT, .iova = VTD_BIT(46) },
	{ "output beyond the second stage", VTD_SGN_SS_WIDTH, WORLD_NESTED, .no_cap = MGAW41, .change = { { AT_FS_LEAF, 0, 0, VTD_BIT(42) } } },
	{ "leaf not writable", VTD_SGN_WRITE, WORLD_FS, .change = { { AT_FS_LEAF, 0, VTD_FS_RW, 0 } }, .access = VTD_WRITE, .not_ats = true },
	{ "upper level not writable", VTD_SGN_WRITE, WORLD_FS, .change = { { AT_FS_ROOT, 0, VTD_FS_RW, 0 } }, .access = RW, .not_ats = true },
	{ "supervisor with WPE", VTD_SGN_WRITE, WORLD_FS, .change = { { AT_FS_LEAF, 0, VTD_FS_RW, 0 }, { AT_PASID, 2, 0, VTD_PASID2_SRE | VTD_PASID2_WPE } }, .access = VTD_WRITE | VTD_PRIVILEGED, .not_ats = true },
	{ "second stage not writable", VTD_SGN_WRITE, WORLD_SS, .change = { { AT_SS_LEAF, 0, VTD_SS_W, 0 } }, .access = VTD_WRITE, .not_ats = true },
	{ "nested: second stage not writable", VTD_SGN_WRITE, WORLD_NESTED, .change = { { AT_SS_LEAF, 0, VTD_SS_W, 0 } }, .access = VTD_WRITE, .not_ats = true },
	{ "second stage not readable", VTD_SGN_READ, WORLD_SS, .change = { { AT_SS_LEAF, 0, VTD_SS_R, 0 } } },
	{ "nested: second stage not readable", VTD_SGN_READ, WORLD_NESTED, .change = { { AT_SS_LEAF, 0, VTD_SS_R, 0 } } },
	{ "first stage ends in the interrupt range", VTD_SGN_INTERRUPT, WORLD_FS, .change = { { AT_FS_LEAF, 0, PAGES, FEE } } },
	{ "second stage ends in the interrupt range", VTD_SGN_INTERRUPT, WORLD_SS, .change = { { AT_SS_LEAF, 0, PAGES, FEE + 0xff000 } } },
	{ "nested ends in the interrupt range", VTD_SGN_INTERRUPT, WORLD_NESTED, .change = { { AT_SS_LEAF, 0, PAGES, FEE } } },
	{ "pass-through to the interrupt range, with PASID", VTD_SGN_INTERRUPT, WORLD_PT, .iova = FEE },
	{ "DMA to the interrupt range, without", VTD_SGN_INTERRUPT, WORLD_FS, .pasid = ANY_RID, .iova = FEE, .not_ats = true },
	{ "translated request to the interrupt range", VTD_SGN_INTERRUPT, WORLD_FS, .iova = FEE, .type = VTD_TRANSLATED },
	/* clang-format on */
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint32_t pasid_of(const struct row *row)
{
	bool legacy = row->mode == WORLD_LEGACY || row->mode == WORLD_LEGACY_PT;

	if (row->pasid)
		return row->pasid == ANY_RID ? VTD_NO_PASID : row->pasid;
	return legacy ? VTD_NO_PASID : WORLD_PASID;
}

static void prepare(struct vtd_world *w, const struct row *row)
{
	struct vtd_unit *unit;

	assert_int_equal(vtd_world_init(w, row->mode), 0);
	unit = w->f.unit;
	unit->cap &= ~row->no_cap;
	unit->ecap &= ~row->no_ecap;
	for (unsigned int i = 0; i < 3; i++)
		vtd_world_change(w, row->change[i].place, row->change[i].word, row->change[i].clear,
				 row->change[i].set);
	if (row->hole)
		w->f.hole = w->place[row->hole] & ~UINT64_C(0xfff);
	if (row->hostile) {
		w->hostile = w->place[row->hostile];
		w->spare = 1;
		w->refuse = row->refuse;
	}
	if (row->ttm)
		unit->root = (unit->root & ~VTD_RTADDR_TTM) | vtd_put(row->ttm - 1, VTD_RTADDR_TTM);
}

static int request(struct vtd_world *w, const struct row *row, enum vtd_request_type type,
		   struct vtd_result *result)
{
	return vtd_world_dma(w, pasid_of(row), row->iova ? row->iova : w->iova,
			     row->access ? row->access : VTD_READ, type, result);
}

static void expect_faults(const struct vtd_world *w, const struct row *row, unsigned int count)
{
	uint64_t all = vtd_counter(w->f.unit, VTD_COUNT_FAULTS);
	uint64_t this = vtd_fault_counter(w->f.unit, row->reason);

	if (all == count && this == count)
		return;
	for (unsigned int i = 0; i < 256; i++)
		if (vtd_fault_counter(w->f.unit, i))
			print_error("got reason 0x%02x\n", i);
	fail_msg("\"%s\" (0x%02x): %u faults of it, %u in all, not %u", row->rule, row->reason,
		 (unsigned int)this, (unsigned int)all, count);
}

/* Each rule gives its own reason, and nothing else. */
static void test_rules(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		struct vtd_result result;
		struct vtd_world w;

		prepare(&w, &rows[i]);
		if (request(&w, &rows[i], rows[i].type, &result) != -EFAULT)
			fail_msg("\"%s\" (0x%02x) gives no fault", rows[i].rule, rows[i].reason);
		expect_faults(&w, &rows[i], 1);
		vtd_world_destroy(&w);
	}
}

/* What is not broken works: so each row above tests its own change. */
static void test_sound(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		struct row row = { .mode = rows[i].mode, .access = RW };
		struct vtd_result result;
		struct vtd_world w;

		prepare(&w, &row);
		for (unsigned int turn = 0; turn < 2; turn++) {
			assert_int_equal(request(&w, &row, VTD_UNTRANSLATED, &result), 0);
			assert_int_equal(result.gpa, w.page);
			assert_int_equal(result.len, 16);
		}
		vtd_world_destroy(&w);
	}
}

/* FPD in the entry at @place keeps what is qualified, and read after it, from being recorded. */
static void check_fpd(const struct row *row, enum world_place place, uint64_t fpd)
{
	const struct vtd_reason_info *info = vtd_reason_info(row->reason);
	struct vtd_result result;
	struct vtd_world w;

	assert_non_null(info);
	prepare(&w, row);
	vtd_world_change(&w, place, 0, 0, fpd);
	assert_int_equal(request(&w, row, row->type, &result), -EFAULT);
	expect_faults(&w, row, info->qualified ? 0 : 1);
	vtd_world_destroy(&w);
}

static void test_fpd(void **state)
{
	_Static_assert(VTD_CONTEXT0_FPD == VTD_SM_CONTEXT0_FPD, "one FPD for both");
	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];

		check_fpd(row, AT_CONTEXT, VTD_CONTEXT0_FPD);
		/* Requests with the PASID of the entry that get as far as that. */
		if (row->mode < WORLD_FS || pasid_of(row) != WORLD_PASID ||
		    row->type == VTD_TRANSLATED)
			continue;
		if (row->reason > VTD_SPD_ACCESS)
			check_fpd(row, AT_DIRECTORY, VTD_PASIDDIR_FPD);
		if (row->reason > VTD_SPT_ACCESS)
			check_fpd(row, AT_PASID, VTD_PASID0_FPD);
	}
}

/* A translation request: what is recoverable is an answer without permissions (7.1.4). */
static void test_ats(void **state)
{
	unsigned int answers = 0;

	(void)state;
	for (unsigned int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		const struct vtd_reason_info *info = vtd_reason_info(row->reason);
		struct vtd_result result;
		struct vtd_world w;
		int rc;

		if (row->not_ats || row->type)
			continue;
		prepare(&w, row);
		rc = request(&w, row, VTD_TRANSLATION, &result);
		if (rc != (info->recoverable ? 0 : -EFAULT))
			fail_msg("\"%s\" (0x%02x): translation request gives %d", row->rule,
				 row->reason, rc);
		expect_faults(&w, row, info->recoverable ? 0 : 1);
		if (!rc) {
			assert_int_equal(result.permitted, 0);
			answers++;
		}
		vtd_world_destroy(&w);
	}
	assert_true(answers > 10);
}

/* Every reason that DMA can have is in the table. */
static void test_complete(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < vtd_reason_count; i++) {
		enum vtd_reason reason = vtd_reasons[i].reason;
		bool interrupt = reason >= VTD_IR_RESERVED && reason <= VTD_IR_SID;
		bool found = false;

		/* Those of page requests are prq.c's. */
		if (interrupt || reason == VTD_RTA_LEGACY_PRQ || reason == VTD_SCT_PRE)
			continue;
		for (unsigned int row = 0; row < ROWS; row++)
			found |= rows[row].reason == reason;
		if (!found)
			fail_msg("no row for %s (0x%02x)", vtd_reasons[i].name, reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),	 cmocka_unit_test(test_rules),
		cmocka_unit_test(test_fpd),	 cmocka_unit_test(test_ats),
		cmocka_unit_test(test_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
