/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of the unit: any of them, at any time, with any value that the rules allow.
 */
#include "vtd-hostile/hostile.h"

enum kind { ANY, COMMAND, ROOT, IQ, PRQ, IRT, MESSAGE, MESSAGE_ADDRESS, TAIL };

struct reg {
	uint16_t at;
	uint8_t size;
	enum kind kind;
};

static const struct reg registers[] = {
	{ VTD_VER, 4, ANY },
	{ VTD_CAP, 8, ANY },
	{ VTD_ECAP, 8, ANY },
	{ VTD_GCMD, 4, COMMAND },
	{ VTD_GSTS, 4, ANY },
	{ VTD_RTADDR, 8, ROOT },
	{ VTD_CCMD, 8, ANY },
	{ VTD_FSTS, 4, ANY },
	{ VTD_FECTL, 4, ANY },
	{ VTD_FEDATA, 4, MESSAGE },
	{ VTD_FEADDR, 4, MESSAGE_ADDRESS },
	{ VTD_FEUADDR, 4, ANY },
	{ VTD_PMEN, 4, ANY },
	{ VTD_PLMBASE, 4, ANY },
	{ VTD_PLMLIMIT, 4, ANY },
	{ VTD_PHMBASE, 8, ANY },
	{ VTD_PHMLIMIT, 8, ANY },
	{ VTD_IQH, 8, TAIL },
	{ VTD_IQT, 8, TAIL },
	{ VTD_IQA, 8, IQ },
	{ VTD_ICS, 4, ANY },
	{ VTD_IECTL, 4, ANY },
	{ VTD_IEDATA, 4, MESSAGE },
	{ VTD_IEADDR, 4, MESSAGE_ADDRESS },
	{ VTD_IEUADDR, 4, ANY },
	{ VTD_IQERCD, 8, ANY },
	{ VTD_IRTA, 8, IRT },
	{ VTD_PQH, 8, TAIL },
	{ VTD_PQT, 8, TAIL },
	{ VTD_PQA, 8, PRQ },
	{ VTD_PRS, 4, ANY },
	{ VTD_PECTL, 4, ANY },
	{ VTD_PEDATA, 4, MESSAGE },
	{ VTD_PEADDR, 4, MESSAGE_ADDRESS },
	{ VTD_PEUADDR, 4, ANY },
	{ VTD_FRCD, 8, ANY },
	{ VTD_FRCD + 8, 8, ANY },
	{ VTD_IVA, 8, ANY },
	{ VTD_IOTLB, 8, ANY },
	{ VTD_VCMD, 8, ANY },
	{ VTD_VCRSP, 8, ANY },
};

#define QUEUE_MASK (IQ_PAGES * PAGE_SIZE - 1)

static uint64_t value_of(struct hammer *h, enum kind kind)
{
	if (world.deadly && once_in(h, 4))
		return random64(h);
	switch (kind) {
	case COMMAND:
		/* Mostly on, and one bit or another changes. */
		return once_in(h, 8) ? random64(h)
				     : VTD_GCMD_TE | VTD_GCMD_QIE | (random64(h) & VTD_GCMD_CFI) |
					       VTD_BIT(24 + below(h, 8));
	case ROOT:
		if (!once_in(h, 8))
			return __atomic_load_n(&world.root, __ATOMIC_RELAXED);
		return arena_page(h) | (random64(h) & VTD_RTADDR_TTM);
	case IQ:
		/* 2^QS pages: 1, 2 or 4, and the width at random. */
		return world.iq | (random64(h) & VTD_IQA_DW) | below(h, 3);
	case PRQ:
		return world.prq | below(h, 4);
	case IRT:
		return world.irt | (random64(h) & VTD_IRTA_EIME) | below(h, 8);
	case MESSAGE:
		return any_vector(h);
	case MESSAGE_ADDRESS:
		return 0xfee00000 | (random64(h) & 0xff000);
	case TAIL:
		return once_in(h, 4) ? random64(h) : random64(h) & QUEUE_MASK & ~UINT64_C(15);
	case ANY:
		break;
	}
	return random64(h);
}

/* Accesses that no register has: of other sizes, across two, beyond them. */
static void access_wrong(struct hammer *h, const struct reg *reg)
{
	uintptr_t at = world.vtd.base + reg->at;
	uint64_t value = random64(h);

	switch (below(h, 6)) {
	case 0:
		write8(at + below(h, 8), (uint8_t)value);
		break;
	case 1:
		write16(at + below(h, 4) * 2, (uint16_t)value);
		break;
	case 2:
		write32(at + 1 + below(h, 3), (uint32_t)value);
		break;
	case 3:
		write64(at + 1 + below(h, 7) / 4 * 4, value);
		break;
	case 4:
		(void)read64(world.vtd.base + below(h, VTD_REGISTERS - 8));
		break;
	default:
		(void)read16(world.vtd.base + below(h, VTD_REGISTERS - 2));
		break;
	}
}

static void write_right(struct hammer *h, const struct reg *reg)
{
	uintptr_t at = world.vtd.base + reg->at;
	uint64_t value = value_of(h, reg->kind);

	if (reg->size == 4 || once_in(h, 4)) {
		write32(at, (uint32_t)value);
		if (reg->size == 8)
			write32(at + 4, (uint32_t)(value >> 32));
	} else {
		write64(at, value);
	}
}

void hammer_registers(struct hammer *h)
{
	const struct reg *reg = &registers[below(h, ARRAY_SIZE(registers))];

	if (once_in(h, 3))
		(void)read64(world.vtd.base + below(h, VTD_REGISTERS / 8) * 8);
	else if (once_in(h, 8))
		access_wrong(h, reg);
	else
		write_right(h, reg);
}
