/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layouts of Intel VT-d, as far as Nidus emulates them, and nothing else: no state, no code.
 *
 * Section numbers are of the "Intel Virtualization Technology for Directed I/O" specification,
 * revision 4.1. A field is read through its mask with vtd_get() and made with vtd_put(); there are
 * no shift constants.
 */
#ifndef NIDUS_VIOMMU_SPEC_H
#define NIDUS_VIOMMU_SPEC_H

#include <stdint.h>

#define VTD_BITS(high, low) ((UINT64_MAX >> (63 - (high))) & (UINT64_MAX << (low)))
#define VTD_BIT(n)	    (UINT64_C(1) << (n))

/* The field @mask (not 0) of @word, as a number; and a number placed in that field. */
static inline uint64_t vtd_get(uint64_t word, uint64_t mask)
{
	return (word & mask) / (mask & -mask);
}

static inline uint64_t vtd_put(uint64_t value, uint64_t mask)
{
	return value * (mask & -mask) & mask;
}

/* --- Registers (11.4) --- */

enum vtd_reg {
	VTD_VER = 0x000,       /* version, 32 bits */
	VTD_CAP = 0x008,       /* capability, 64 */
	VTD_ECAP = 0x010,      /* extended capability, 64 */
	VTD_GCMD = 0x018,      /* global command, 32, write only */
	VTD_GSTS = 0x01c,      /* global status, 32 */
	VTD_RTADDR = 0x020,    /* root table address, 64 */
	VTD_CCMD = 0x028,      /* context command, 64 */
	VTD_FSTS = 0x034,      /* fault status, 32 */
	VTD_FECTL = 0x038,     /* fault event control, 32 */
	VTD_FEDATA = 0x03c,    /* data, 32 */
	VTD_FEADDR = 0x040,    /* address, 32 */
	VTD_FEUADDR = 0x044,   /* upper address, 32 */
	VTD_PMEN = 0x064,      /* protected memory enable, 32 */
	VTD_PLMBASE = 0x068,   /* protected low memory base, 32 */
	VTD_PLMLIMIT = 0x06c,  /* limit, 32 */
	VTD_PHMBASE = 0x070,   /* protected high memory base, 64 */
	VTD_PHMLIMIT = 0x078,  /* limit, 64 */
	VTD_IQH = 0x080,       /* invalidation queue head, 64 */
	VTD_IQT = 0x088,       /* tail, 64 */
	VTD_IQA = 0x090,       /* address, 64 */
	VTD_ICS = 0x09c,       /* invalidation completion status, 32 */
	VTD_IECTL = 0x0a0,     /* invalidation event control, 32 */
	VTD_IEDATA = 0x0a4,    /* data, 32 */
	VTD_IEADDR = 0x0a8,    /* address, 32 */
	VTD_IEUADDR = 0x0ac,   /* upper address, 32 */
	VTD_IQERCD = 0x0b0,    /* invalidation queue error record, 64 */
	VTD_IRTA = 0x0b8,      /* interrupt remapping table address, 64 */
	VTD_PQH = 0x0c0,       /* page request queue head, 64 */
	VTD_PQT = 0x0c8,       /* tail, 64 */
	VTD_PQA = 0x0d0,       /* address, 64 */
	VTD_PRS = 0x0dc,       /* page request status, 32 */
	VTD_PECTL = 0x0e0,     /* page request event control, 32 */
	VTD_PEDATA = 0x0e4,    /* data, 32 */
	VTD_PEADDR = 0x0e8,    /* address, 32 */
	VTD_PEUADDR = 0x0ec,   /* upper address, 32 */
	VTD_FRCD = 0x220,      /* fault recording, 128 each: where CAP.FRO says; our choice */
	VTD_IVA = 0x320,       /* invalidate address, 64: where ECAP.IRO says; our choice */
	VTD_IOTLB = 0x328,     /* IOTLB invalidate, 64 */
	VTD_VCMD = 0xe00,      /* virtual command, 64 */
	VTD_VCRSP = 0xe10,     /* virtual command response, 64 */
	VTD_VCCAP = 0xe30,     /* virtual command capability, 64 */
	VTD_REGISTERS = 0x1000 /* bytes of one unit's window */
};

/* Version (11.4.1): what our feature set is of. */
#define VTD_VERSION 0x40

/* Capability (11.4.2). */
#define VTD_CAP_ND	VTD_BITS(2, 0)	 /* domain ids: 4 + 2 * ND bits */
#define VTD_CAP_AFL	VTD_BIT(3)	 /* advanced fault logging */
#define VTD_CAP_RWBF	VTD_BIT(4)	 /* write buffer flush required */
#define VTD_CAP_PLMR	VTD_BIT(5)	 /* protected low memory */
#define VTD_CAP_PHMR	VTD_BIT(6)	 /* protected high memory */
#define VTD_CAP_CM	VTD_BIT(7)	 /* caching mode */
#define VTD_CAP_SAGAW	VTD_BITS(12, 8)	 /* second-stage widths */
#define VTD_CAP_SAGAW39 VTD_BIT(9)	 /* three levels */
#define VTD_CAP_SAGAW48 VTD_BIT(10)	 /* four */
#define VTD_CAP_SAGAW57 VTD_BIT(11)	 /* five */
#define VTD_CAP_MGAW	VTD_BITS(21, 16) /* maximum guest address width, minus 1 */
#define VTD_CAP_ZLR	VTD_BIT(22)	 /* zero-length reads to write-only pages */
#define VTD_CAP_FRO	VTD_BITS(33, 24) /* fault recording registers at FRO * 16 */
#define VTD_CAP_SSLPS2M VTD_BIT(34)	 /* second-stage large pages */
#define VTD_CAP_SSLPS1G VTD_BIT(35)
#define VTD_CAP_PSI	VTD_BIT(39)	 /* page-selective invalidation */
#define VTD_CAP_NFR	VTD_BITS(47, 40) /* fault recording registers, minus 1 */
#define VTD_CAP_MAMV	VTD_BITS(53, 48) /* largest address mask */
#define VTD_CAP_DWD	VTD_BIT(54)	 /* write draining */
#define VTD_CAP_DRD	VTD_BIT(55)	 /* read draining */
#define VTD_CAP_FS1GP	VTD_BIT(56)	 /* first-stage 1 GiB pages */
#define VTD_CAP_PI	VTD_BIT(59)	 /* posted interrupts */
#define VTD_CAP_FS5LP	VTD_BIT(60)	 /* first-stage five levels */
#define VTD_CAP_ECMDS	VTD_BIT(61)	 /* enhanced commands */
#define VTD_CAP_ESIRTPS VTD_BIT(62)	 /* SIRTP invalidates all by itself */
#define VTD_CAP_ESRTPS	VTD_BIT(63)	 /* SRTP invalidates all by itself */

/* Extended capability (11.4.3). */
#define VTD_ECAP_C	VTD_BIT(0)	 /* page-walk coherency */
#define VTD_ECAP_QI	VTD_BIT(1)	 /* queued invalidation */
#define VTD_ECAP_DT	VTD_BIT(2)	 /* device-TLB */
#define VTD_ECAP_IR	VTD_BIT(3)	 /* interrupt remapping */
#define VTD_ECAP_EIM	VTD_BIT(4)	 /* extended interrupt mode (x2APIC) */
#define VTD_ECAP_PT	VTD_BIT(6)	 /* pass-through */
#define VTD_ECAP_SC	VTD_BIT(7)	 /* snoop control */
#define VTD_ECAP_IRO	VTD_BITS(17, 8)	 /* IOTLB registers at IRO * 16 */
#define VTD_ECAP_MHMV	VTD_BITS(23, 20) /* largest interrupt index mask */
#define VTD_ECAP_NEST	VTD_BIT(26)	 /* nested translation */
#define VTD_ECAP_PRS	VTD_BIT(29)	 /* page requests */
#define VTD_ECAP_ERS	VTD_BIT(30)	 /* execute requests */
#define VTD_ECAP_SRS	VTD_BIT(31)	 /* supervisor requests */
#define VTD_ECAP_NWFS	VTD_BIT(33)	 /* no-write flag */
#define VTD_ECAP_EAFS	VTD_BIT(34)	 /* extended accessed flag */
#define VTD_ECAP_PSS	VTD_BITS(39, 35) /* PASID bits, minus 1 */
#define VTD_ECAP_PASID	VTD_BIT(40)	 /* PASIDs */
#define VTD_ECAP_DIT	VTD_BIT(41)	 /* device-TLB invalidation throttle */
#define VTD_ECAP_PDS	VTD_BIT(42)	 /* page request drain */
#define VTD_ECAP_SMTS	VTD_BIT(43)	 /* scalable mode */
#define VTD_ECAP_VCS	VTD_BIT(44)	 /* virtual commands */
#define VTD_ECAP_SSADS	VTD_BIT(45)	 /* second-stage accessed and dirty flags */
#define VTD_ECAP_SSTS	VTD_BIT(46)	 /* second stage in scalable mode */
#define VTD_ECAP_FSTS	VTD_BIT(47)	 /* first stage */
#define VTD_ECAP_SMPWC	VTD_BIT(48)	 /* scalable-mode page-walk coherency */
#define VTD_ECAP_RPS	VTD_BIT(49)	 /* RID_PASID other than 0 */
#define VTD_ECAP_PMS	VTD_BIT(51)	 /* performance monitoring */
#define VTD_ECAP_ADMS	VTD_BIT(52)	 /* abort-DMA mode */
#define VTD_ECAP_RPRIVS VTD_BIT(53)	 /* RID_PRIV */

/* Global command and status (11.4.4): the same bits in both. */
#define VTD_GCMD_TE    VTD_BIT(31) /* translation enable */
#define VTD_GCMD_SRTP  VTD_BIT(30) /* set root table pointer; one-shot */
#define VTD_GCMD_SFL   VTD_BIT(29) /* set fault log; one-shot */
#define VTD_GCMD_EAFL  VTD_BIT(28) /* advanced fault log */
#define VTD_GCMD_WBF   VTD_BIT(27) /* write buffer flush; one-shot */
#define VTD_GCMD_QIE   VTD_BIT(26) /* queued invalidation enable */
#define VTD_GCMD_IRE   VTD_BIT(25) /* interrupt remapping enable */
#define VTD_GCMD_SIRTP VTD_BIT(24) /* set interrupt table pointer; one-shot */
#define VTD_GCMD_CFI   VTD_BIT(23) /* compatibility format interrupts let through */

/* Root table address (11.4.5). */
#define VTD_RTADDR_RTA VTD_BITS(63, 12)
#define VTD_RTADDR_TTM VTD_BITS(11, 10)
enum vtd_ttm { VTD_TTM_LEGACY = 0, VTD_TTM_SCALABLE = 1, VTD_TTM_RESERVED = 2, VTD_TTM_ABORT = 3 };

/* Context command (11.4.6.1). */
#define VTD_CCMD_ICC  VTD_BIT(63)
#define VTD_CCMD_CIRG VTD_BITS(62, 61)
#define VTD_CCMD_CAIG VTD_BITS(60, 59)
#define VTD_CCMD_FM   VTD_BITS(33, 32)
#define VTD_CCMD_SID  VTD_BITS(31, 16)
#define VTD_CCMD_DID  VTD_BITS(15, 0)

/* IOTLB invalidate and invalidate address (11.4.6.2, .3). */
#define VTD_IOTLB_IVT  VTD_BIT(63)
#define VTD_IOTLB_IIRG VTD_BITS(61, 60)
#define VTD_IOTLB_IAIG VTD_BITS(58, 57)
#define VTD_IOTLB_DR   VTD_BIT(49)
#define VTD_IOTLB_DW   VTD_BIT(48)
#define VTD_IOTLB_DID  VTD_BITS(47, 32)
#define VTD_IVA_ADDR   VTD_BITS(63, 12)
#define VTD_IVA_IH     VTD_BIT(6)
#define VTD_IVA_AM     VTD_BITS(5, 0)

/* Fault status (11.4.7.1). */
#define VTD_FSTS_PFO VTD_BIT(0)	     /* primary fault overflow; write 1 to clear */
#define VTD_FSTS_PPF VTD_BIT(1)	     /* primary pending fault: the OR of all FRCD.F */
#define VTD_FSTS_IQE VTD_BIT(4)	     /* invalidation queue error; w1c */
#define VTD_FSTS_ICE VTD_BIT(5)	     /* invalidation completion error; w1c */
#define VTD_FSTS_ITE VTD_BIT(6)	     /* invalidation time-out error; w1c */
#define VTD_FSTS_FRI VTD_BITS(15, 8) /* fault record index of the first pending one */

/* Event control, of all three events (11.4.7.2, 11.4.8.7, 11.4.11.5). */
#define VTD_EVENT_IM VTD_BIT(31) /* masked */
#define VTD_EVENT_IP VTD_BIT(30) /* pending; read only */

/* Fault recording (11.4.7.6), two words of 64 bits. */
#define VTD_FRCD0_FI   VTD_BITS(63, 12)
#define VTD_FRCD1_SID  VTD_BITS(15, 0)
#define VTD_FRCD1_T2   VTD_BIT(28)
#define VTD_FRCD1_PRIV VTD_BIT(29)
#define VTD_FRCD1_EXE  VTD_BIT(30)
#define VTD_FRCD1_PP   VTD_BIT(31)
#define VTD_FRCD1_FR   VTD_BITS(39, 32)
#define VTD_FRCD1_PV   VTD_BITS(59, 40)
#define VTD_FRCD1_AT   VTD_BITS(61, 60)
#define VTD_FRCD1_T1   VTD_BIT(62)
#define VTD_FRCD1_F    VTD_BIT(63) /* w1c */
/* Interrupt remapping faults say the index instead: FI bits 63:48 (5.1.4). */
#define VTD_FRCD0_INDEX VTD_BITS(63, 48)

/* Protected memory (11.4.12). */
#define VTD_PMEN_EPM VTD_BIT(31)
#define VTD_PMEN_PRS VTD_BIT(0)

/* Invalidation queue (11.4.9). */
#define VTD_IQ_OFFSET128  VTD_BITS(18, 4) /* head and tail, in bytes, of 128-bit descriptors */
#define VTD_IQ_OFFSET256  VTD_BITS(18, 5)
#define VTD_IQA_IQA	  VTD_BITS(63, 12)
#define VTD_IQA_DW	  VTD_BIT(11)	 /* descriptors of 256 bits */
#define VTD_IQA_QS	  VTD_BITS(2, 0) /* 2^QS pages of 4 KiB */
#define VTD_ICS_IWC	  VTD_BIT(0)	 /* w1c */
#define VTD_IQERCD_IQEI	  VTD_BITS(3, 0)
#define VTD_IQERCD_ITESID VTD_BITS(47, 32)
#define VTD_IQERCD_ICESID VTD_BITS(63, 48)

/* Why the queue stopped: IQERCD.IQEI (11.4.9.9). */
enum vtd_iqei {
	VTD_IQEI_NONE = 0,
	VTD_IQEI_TAIL = 1,	/* the tail lies beyond the queue */
	VTD_IQEI_FETCH = 2,	/* a descriptor could not be read */
	VTD_IQEI_TYPE = 3,	/* no such descriptor */
	VTD_IQEI_RESERVED = 4,	/* reserved field set, or reserved value */
	VTD_IQEI_WIDTH = 5,	/* IQA.DW: 256 bits not supported, or 128 in scalable mode */
	VTD_IQEI_ALIGNMENT = 6, /* the tail is not aligned to the descriptor width */
	VTD_IQEI_TTM = 7,	/* the table mode in RTADDR is reserved or not supported */
};

/* Interrupt remapping table address (11.4.10). */
#define VTD_IRTA_IRTA VTD_BITS(63, 12)
#define VTD_IRTA_EIME VTD_BIT(11)
#define VTD_IRTA_S    VTD_BITS(3, 0) /* 2^(S+1) entries */

/* Page request queue (11.4.11). */
#define VTD_PQ_OFFSET VTD_BITS(18, 5)
#define VTD_PQA_PQA   VTD_BITS(63, 12)
#define VTD_PQA_PQS   VTD_BITS(2, 0) /* 2^PQS pages of 4 KiB */
#define VTD_PRS_PPR   VTD_BIT(0)     /* pending page request; w1c */
#define VTD_PRS_PRO   VTD_BIT(1)     /* page request overflow; w1c */

/* Virtual commands (11.4.13, as revision 3.x had them). */
#define VTD_VCCAP_PAS	 VTD_BIT(0) /* PASID allocation */
#define VTD_VCMD_CMD	 VTD_BITS(7, 0)
#define VTD_VCMD_OPERAND VTD_BITS(63, 8)
#define VTD_VCRSP_IP	 VTD_BIT(0)	/* in progress */
#define VTD_VCRSP_SC	 VTD_BITS(2, 1) /* status code */
#define VTD_VCRSP_RSLT	 VTD_BITS(63, 8)
enum vtd_vcmd { VTD_VCMD_ALLOC_PASID = 1, VTD_VCMD_FREE_PASID = 2 };
enum vtd_vcmd_status { VTD_VCMD_OK = 0, VTD_VCMD_NO_PASID = 1, VTD_VCMD_BAD_PASID = 2 };

/* --- Invalidation descriptors (6.5.2) --- */

struct vtd_desc {
	uint64_t qw[4]; /* the first two alone, where descriptors have 128 bits */
};
_Static_assert(sizeof(struct vtd_desc) == 32, "6.5.2: 256-bit descriptor");

#define VTD_DESC_TYPE_LOW  VTD_BITS(3, 0)
#define VTD_DESC_TYPE_HIGH VTD_BITS(11, 9)
enum vtd_desc_type {
	VTD_DESC_CONTEXT = 1,
	VTD_DESC_IOTLB = 2,
	VTD_DESC_DEVTLB = 3,
	VTD_DESC_INTERRUPT = 4,
	VTD_DESC_WAIT = 5,
	VTD_DESC_PASID_IOTLB = 6,
	VTD_DESC_PASID_CACHE = 7,
	VTD_DESC_PASID_DEVTLB = 8,
	VTD_DESC_PAGE_RESPONSE = 9,
};

#define VTD_DESC_G	       VTD_BITS(5, 4)	/* granularity of CONTEXT, IOTLB, PASID_* */
#define VTD_DESC_DID	       VTD_BITS(31, 16) /* of the same */
#define VTD_DESC_PASID	       VTD_BITS(51, 32) /* of the PASID_* and of PAGE_RESPONSE */
#define VTD_CONTEXT_SID	       VTD_BITS(47, 32)
#define VTD_CONTEXT_FM	       VTD_BITS(49, 48)
#define VTD_IOTLB_D_DW	       VTD_BIT(6)
#define VTD_IOTLB_D_DR	       VTD_BIT(7)
#define VTD_DEVTLB_PFSID_LOW   VTD_BITS(15, 12)
#define VTD_DEVTLB_MIP	       VTD_BITS(20, 16)
#define VTD_DEVTLB_SID	       VTD_BITS(47, 32)
#define VTD_DEVTLB_PFSID_HIGH  VTD_BITS(63, 52)
#define VTD_DEVTLB1_S	       VTD_BIT(0)
#define VTD_INTERRUPT_G	       VTD_BIT(4) /* 1: index-selective */
#define VTD_INTERRUPT_IM       VTD_BITS(31, 27)
#define VTD_INTERRUPT_IIDX     VTD_BITS(47, 32)
#define VTD_WAIT_IF	       VTD_BIT(4) /* interrupt flag */
#define VTD_WAIT_SW	       VTD_BIT(5) /* status write */
#define VTD_WAIT_FN	       VTD_BIT(6) /* fence */
#define VTD_WAIT_PD	       VTD_BIT(7) /* page request drain */
#define VTD_WAIT_DATA	       VTD_BITS(63, 32)
#define VTD_WAIT1_ADDR	       VTD_BITS(63, 2)
#define VTD_PDEVTLB_MIP	       VTD_BITS(8, 4)
#define VTD_PDEVTLB_PFSID_LOW  VTD_BITS(15, 12)
#define VTD_PDEVTLB_SID	       VTD_BITS(31, 16)
#define VTD_PDEVTLB_PFSID_HIGH VTD_BITS(63, 52)
#define VTD_PDEVTLB1_G	       VTD_BIT(0)
#define VTD_PDEVTLB1_S	       VTD_BIT(11)
#define VTD_RESPONSE_PASID_P   VTD_BIT(4)
#define VTD_RESPONSE_RC	       VTD_BITS(15, 12)
#define VTD_RESPONSE_RID       VTD_BITS(31, 16)
#define VTD_RESPONSE1_LPIG     VTD_BIT(2) /* older guests set it; ignored */
#define VTD_RESPONSE1_PRGI     VTD_BITS(11, 3)
/* The second word of IOTLB and PASID_IOTLB, as in VTD_IVA. */
#define VTD_ADDR1_ADDR VTD_BITS(63, 12)
#define VTD_ADDR1_IH   VTD_BIT(6)
#define VTD_ADDR1_AM   VTD_BITS(5, 0)

/* Granularities (6.5.2.1 to .3, and the same in CCMD and IOTLB registers). */
enum vtd_granularity {
	VTD_CONTEXT_GLOBAL = 1,
	VTD_CONTEXT_DOMAIN = 2,
	VTD_CONTEXT_DEVICE = 3,
	VTD_IOTLB_GLOBAL = 1,
	VTD_IOTLB_DOMAIN = 2,
	VTD_IOTLB_PAGE = 3,
	VTD_PASID_IOTLB_PASID = 2,
	VTD_PASID_IOTLB_PAGE = 3,
	VTD_PASID_CACHE_DOMAIN = 0,
	VTD_PASID_CACHE_PASID = 1,
	VTD_PASID_CACHE_GLOBAL = 3,
};

/* What a page group response says (7.7.1). */
enum vtd_response_code {
	VTD_RESPONSE_SUCCESS = 0,
	VTD_RESPONSE_INVALID = 1,
	VTD_RESPONSE_FAILURE = 15
};

/* --- Page request descriptors (7.4.1): four words --- */

#define VTD_PAGE0_TYPE	  VTD_BITS(7, 0) /* 1 */
#define VTD_PAGE0_PASID_P VTD_BIT(8)
#define VTD_PAGE0_PRIV_P  VTD_BIT(9) /* the third and fourth words hold private data */
#define VTD_PAGE0_RID	  VTD_BITS(31, 16)
#define VTD_PAGE0_PASID	  VTD_BITS(51, 32)
#define VTD_PAGE0_EXE	  VTD_BIT(52)
#define VTD_PAGE0_PRIV	  VTD_BIT(53)
#define VTD_PAGE1_R	  VTD_BIT(0)
#define VTD_PAGE1_W	  VTD_BIT(1)
#define VTD_PAGE1_LPIG	  VTD_BIT(2)
#define VTD_PAGE1_PRGI	  VTD_BITS(11, 3)
#define VTD_PAGE1_ADDR	  VTD_BITS(63, 12)
#define VTD_PAGE_TYPE	  1
#define VTD_PAGE_BYTES	  32

/* --- Tables in memory (9) --- */

/* Root entry (9.1): legacy, and the two halves of the scalable one alike. */
#define VTD_ROOT_P   VTD_BIT(0)
#define VTD_ROOT_CTP VTD_BITS(63, 12)

/* Legacy context entry (9.3): two words. */
#define VTD_CONTEXT0_P	     VTD_BIT(0)
#define VTD_CONTEXT0_FPD     VTD_BIT(1)
#define VTD_CONTEXT0_TT	     VTD_BITS(3, 2)
#define VTD_CONTEXT0_SSPTPTR VTD_BITS(63, 12)
#define VTD_CONTEXT1_AW	     VTD_BITS(2, 0)
#define VTD_CONTEXT1_DID     VTD_BITS(23, 8)
enum vtd_tt { VTD_TT_UNTRANSLATED = 0, VTD_TT_DEVTLB = 1, VTD_TT_PASS_THROUGH = 2 };

/* Scalable-mode context entry (9.4): four words. */
#define VTD_SM_CONTEXT0_P	  VTD_BIT(0)
#define VTD_SM_CONTEXT0_FPD	  VTD_BIT(1)
#define VTD_SM_CONTEXT0_DTE	  VTD_BIT(2)
#define VTD_SM_CONTEXT0_PASIDE	  VTD_BIT(3)
#define VTD_SM_CONTEXT0_PRE	  VTD_BIT(4)
#define VTD_SM_CONTEXT0_PDTS	  VTD_BITS(11, 9) /* 2^(PDTS+7) directory entries */
#define VTD_SM_CONTEXT0_PASIDDIR  VTD_BITS(63, 12)
#define VTD_SM_CONTEXT1_RID_PASID VTD_BITS(19, 0)
#define VTD_SM_CONTEXT1_RID_PRIV  VTD_BIT(20)

/* PASID directory entry (9.5). */
#define VTD_PASIDDIR_P	     VTD_BIT(0)
#define VTD_PASIDDIR_FPD     VTD_BIT(1)
#define VTD_PASIDDIR_PTR     VTD_BITS(63, 12)
#define VTD_PASIDS_PER_TABLE 64 /* of one directory entry */

/* PASID table entry (9.6): eight words. */
#define VTD_PASID0_P	   VTD_BIT(0)
#define VTD_PASID0_FPD	   VTD_BIT(1)
#define VTD_PASID0_AW	   VTD_BITS(4, 2)
#define VTD_PASID0_SSEE	   VTD_BIT(5) /* second-stage execute enable */
#define VTD_PASID0_PGTT	   VTD_BITS(8, 6)
#define VTD_PASID0_SSADE   VTD_BIT(9)
#define VTD_PASID0_SSPTPTR VTD_BITS(63, 12)
#define VTD_PASID1_DID	   VTD_BITS(15, 0)
#define VTD_PASID1_PWSNP   VTD_BIT(23)
#define VTD_PASID1_PGSNP   VTD_BIT(24)
#define VTD_PASID1_CD	   VTD_BIT(25)
#define VTD_PASID1_EMTE	   VTD_BIT(26)
#define VTD_PASID1_PAT	   VTD_BITS(63, 32)
#define VTD_PASID2_SRE	   VTD_BIT(0)
#define VTD_PASID2_ERE	   VTD_BIT(1)
#define VTD_PASID2_FSPM	   VTD_BITS(3, 2)
#define VTD_PASID2_WPE	   VTD_BIT(4)
#define VTD_PASID2_NXE	   VTD_BIT(5)
#define VTD_PASID2_SMEP	   VTD_BIT(6)
#define VTD_PASID2_EAFE	   VTD_BIT(7)
#define VTD_PASID2_FSPTPTR VTD_BITS(63, 12)
#define VTD_PASID_WORDS	   8
enum vtd_pgtt { VTD_PGTT_FS = 1, VTD_PGTT_SS = 2, VTD_PGTT_NESTED = 3, VTD_PGTT_PT = 4 };
enum vtd_fspm { VTD_FSPM_4LEVEL = 0, VTD_FSPM_5LEVEL = 1 };
/* Widths of second-stage tables, of context and PASID entries alike. */
enum vtd_aw { VTD_AW_39 = 1, VTD_AW_48 = 2, VTD_AW_57 = 3 };

/* First-stage paging entries (9.7): as the processor's. */
#define VTD_FS_P    VTD_BIT(0)
#define VTD_FS_RW   VTD_BIT(1)
#define VTD_FS_US   VTD_BIT(2)
#define VTD_FS_A    VTD_BIT(5)
#define VTD_FS_D    VTD_BIT(6)
#define VTD_FS_PS   VTD_BIT(7)
#define VTD_FS_G    VTD_BIT(8)
#define VTD_FS_EA   VTD_BIT(10)
#define VTD_FS_ADDR VTD_BITS(51, 12)
#define VTD_FS_XD   VTD_BIT(63)

/* Second-stage paging entries (9.8). */
#define VTD_SS_R    VTD_BIT(0)
#define VTD_SS_W    VTD_BIT(1)
#define VTD_SS_X    VTD_BIT(2)
#define VTD_SS_PS   VTD_BIT(7)
#define VTD_SS_A    VTD_BIT(8)
#define VTD_SS_D    VTD_BIT(9)
#define VTD_SS_SNP  VTD_BIT(11)
#define VTD_SS_ADDR VTD_BITS(51, 12)
#define VTD_SS_TM   VTD_BIT(62)

/* Interrupt remapping table entry (9.10), remapped format: two words. */
#define VTD_IRTE0_P   VTD_BIT(0)
#define VTD_IRTE0_FPD VTD_BIT(1)
#define VTD_IRTE0_DM  VTD_BIT(2)
#define VTD_IRTE0_RH  VTD_BIT(3)
#define VTD_IRTE0_TM  VTD_BIT(4)
#define VTD_IRTE0_DLM VTD_BITS(7, 5)
#define VTD_IRTE0_IM  VTD_BIT(15) /* posted format */
#define VTD_IRTE0_V   VTD_BITS(23, 16)
#define VTD_IRTE0_DST VTD_BITS(63, 32)
#define VTD_IRTE1_SID VTD_BITS(15, 0)
#define VTD_IRTE1_SQ  VTD_BITS(17, 16)
#define VTD_IRTE1_SVT VTD_BITS(19, 18)
enum vtd_svt { VTD_SVT_NONE = 0, VTD_SVT_SID = 1, VTD_SVT_BUS = 2 };

/* --- Address ranges --- */

/* Requests to this range are interrupts (3.14). */
#define VTD_INTERRUPT_BASE UINT64_C(0xfee00000)
#define VTD_INTERRUPT_END  UINT64_C(0xfef00000)

/* --- Fault reasons (7.1.3, 5.1.4) --- */

enum vtd_reason {
	VTD_OK = 0x00,

	/* Legacy mode. */
	VTD_LRT_P = 0x01,	/* root entry not present */
	VTD_LCT_P = 0x02,	/* context entry not present */
	VTD_LCT_INVALID = 0x03, /* context entry: unsupported width or type */
	VTD_LGN_WIDTH = 0x04,	/* address beyond the width of the context entry or MGAW */
	VTD_LGN_WRITE = 0x05,	/* write not permitted */
	VTD_LGN_READ = 0x06,	/* read not permitted */
	VTD_LSS_ACCESS = 0x07,	/* second-stage entry could not be read */
	VTD_LRT_ACCESS = 0x08,	/* root entry could not be read */
	VTD_LCT_ACCESS = 0x09,	/* context entry could not be read */
	VTD_LRT_RESERVED = 0x0a,
	VTD_LCT_RESERVED = 0x0b,
	VTD_LSS_RESERVED = 0x0c,
	VTD_LCT_BLOCKED = 0x0d,	  /* translation or translated request that TT does not allow */
	VTD_LGN_INTERRUPT = 0x0e, /* output address in the interrupt range */

	/* Interrupt remapping. */
	VTD_IR_RESERVED = 0x20,	     /* reserved field of the request */
	VTD_IR_INDEX = 0x21,	     /* index beyond the table */
	VTD_IR_P = 0x22,	     /* entry not present */
	VTD_IR_ACCESS = 0x23,	     /* entry could not be read */
	VTD_IR_IRTE_RESERVED = 0x24, /* reserved field of the entry */
	VTD_IR_COMPATIBILITY = 0x25, /* compatibility format blocked */
	VTD_IR_SID = 0x26,	     /* source-id not that of the entry */

	/* Scalable mode. */
	VTD_RTA_INVALID = 0x30,	     /* RTADDR: reserved mode */
	VTD_RTA_LEGACY_PASID = 0x31, /* request with PASID in legacy mode */
	VTD_RTA_LEGACY_PRQ = 0x32,   /* page request in legacy mode */
	VTD_SRT_ACCESS = 0x38,	     /* root entry */
	VTD_SRT_P = 0x39,
	VTD_SRT_RESERVED = 0x3a,
	VTD_SCT_ACCESS = 0x40, /* context entry */
	VTD_SCT_P = 0x41,
	VTD_SCT_RESERVED = 0x42,
	VTD_SCT_INVALID = 0x43,
	VTD_SCT_DTE = 0x44,	  /* translation or translated request with DTE clear */
	VTD_SCT_PASIDE = 0x45,	  /* request with PASID, PASIDE clear */
	VTD_SCT_PASID = 0x46,	  /* PASID beyond the directory */
	VTD_SCT_PRE = 0x47,	  /* page request, PRE clear */
	VTD_SCT_RID_PASID = 0x48, /* RID_PASID beyond the directory or not supported */
	VTD_SPD_ACCESS = 0x50,	  /* PASID directory entry */
	VTD_SPD_P = 0x51,
	VTD_SPD_RESERVED = 0x52,
	VTD_SPT_ACCESS = 0x58, /* PASID table entry */
	VTD_SPT_P = 0x59,
	VTD_SPT_RESERVED = 0x5a,
	VTD_SPT_INVALID = 0x5b, /* unsupported PGTT, width or paging mode */
	VTD_SPT_ERE = 0x5c,	/* execute request, ERE clear */
	VTD_SPT_SRE = 0x5d,	/* supervisor request, SRE clear */
	VTD_SFS_ACCESS = 0x70,	/* first-stage entry */
	VTD_SFS_P = 0x71,
	VTD_SFS_RESERVED = 0x72,
	VTD_SFS_ROOT_ACCESS = 0x73, /* FSPTPTR could not be reached (its second stage included) */
	VTD_SFS_SS_WIDTH = 0x74, /* nested: first-stage entry's address beyond the second stage */
	VTD_SFS_SS_ROOT_READ = 0x75, /* nested: second stage does not let FSPTPTR's table be read */
	VTD_SFS_SS_READ = 0x76,	     /* nested: nor a first-stage table */
	VTD_SFS_SS_WRITE = 0x77,     /* nested: A/D update of a first-stage entry not writable */
	VTD_SSS_ACCESS = 0x78,	     /* second-stage entry */
	VTD_SSS_P = 0x79,	     /* second stage: neither read nor write permission */
	VTD_SSS_RESERVED = 0x7a,
	VTD_SSS_ROOT_ACCESS = 0x7b, /* SSPTPTR could not be reached */
	VTD_SSS_AD = 0x7c,	    /* A/D update of a second-stage entry failed */
	VTD_SGN_CANONICAL = 0x80,   /* first stage: address not canonical */
	VTD_SGN_US = 0x81,	    /* user request to a supervisor page */
	VTD_SGN_NX = 0x82,	    /* execute request without execute permission */
	VTD_SGN_WIDTH = 0x83,	    /* input address beyond the width of the table or MGAW */
	VTD_SGN_SS_WIDTH = 0x84,    /* nested: first-stage output beyond the second stage */
	VTD_SGN_WRITE = 0x85,
	VTD_SGN_READ = 0x86,
	/* Output in the interrupt range; or input there without a PASID that is no interrupt. Input
	 * with a PASID is translated like any other, not faulted (3.14). */
	VTD_SGN_INTERRUPT = 0x87,
	VTD_SFS_AD_SNOOP = 0x90, /* A/D update of a first-stage entry without snooping */
	VTD_SFS_AD = 0x91,	 /* A/D update of a first-stage entry failed */
};

#endif
