/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first state of vCPU 0: segments, their GDT, control registers and, for 64-bit entries, page
 * tables that map the first 4 GiB one to one.
 */
#include "devices/base.h"
#include "vmm/boot_parts.h"
#include "vmm/layout.h"

/* Intel SDM, volume 3, 3.4.5 and 3.5. */
enum segment_type {
	SEGMENT_DATA = 0x3,	/* read, write, accessed */
	SEGMENT_CODE = 0xb,	/* execute, read, accessed */
	SEGMENT_TSS_BUSY = 0xb, /* of 32 or 64 bits, when s is 0 */
};

enum control_bits {
	CR0_PE = 1 << 0,
	CR0_ET = 1 << 4,
	CR0_NE = 1 << 5,
	CR4_PAE = 1 << 5,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
};
#define CR0_PG (UINT64_C(1) << 31)

enum page_bits {
	PAGE_PRESENT = 1 << 0,
	PAGE_WRITE = 1 << 1,
	PAGE_LARGE = 1 << 7,
};

/* Selectors: Linux demands __BOOT_CS and __BOOT_DS (boot.rst, "64-bit boot protocol"). */
enum selector {
	SELECTOR_CODE = 0x10,
	SELECTOR_DATA = 0x18,
	SELECTOR_TASK = 0x20, /* 16 bytes in long mode */
	GDT_SIZE = 0x30,
};

#define TSS_LIMIT    0x67
#define PAGE_ENTRIES UINT64_C(512)
#define LARGE_PAGE   (2 * MIB)
#define MAPPED_GIB   UINT64_C(4)

_Static_assert((2 + MAPPED_GIB) * 4096 == LAYOUT_PAGE_TABLES_SIZE, "PML4, PDPT, directories");

static const struct boot_segment data_segment = { .limit = UINT32_MAX,
						  .selector = SELECTOR_DATA,
						  .type = SEGMENT_DATA,
						  .s = 1,
						  .db = 1,
						  .g = 1 };

/* Base 0 is fine: nothing reads the TSS before the kernel loads its own, but it must be there. */
static const struct boot_segment task_segment = { .limit = TSS_LIMIT,
						  .selector = SELECTOR_TASK,
						  .type = SEGMENT_TSS_BUSY };

static uint64_t descriptor(const struct boot_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
	uint64_t base = segment->base;

	return (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)segment->type << 40 |
	       (uint64_t)segment->s << 44 | UINT64_C(1) << 47 /* present */ |
	       (limit >> 16 & 0xf) << 48 | (uint64_t)segment->l << 53 |
	       (uint64_t)segment->db << 54 | (uint64_t)segment->g << 55 | (base >> 24 & 0xff) << 56;
}

static void set_segments(struct boot *boot, bool long64)
{
	uint8_t *gdt = boot_area(boot, LAYOUT_GDT_BASE, GDT_SIZE);
	struct boot_state *state = boot->state;

	state->code = data_segment;
	state->code.selector = SELECTOR_CODE;
	state->code.type = SEGMENT_CODE;
	state->code.l = long64;
	state->code.db = !long64;
	state->data = data_segment;
	state->task = task_segment;
	state->gdt_base = LAYOUT_GDT_BASE;
	state->gdt_limit = GDT_SIZE - 1;

	memset(gdt, 0, GDT_SIZE);
	store_le64(gdt + SELECTOR_CODE, descriptor(&state->code));
	store_le64(gdt + SELECTOR_DATA, descriptor(&state->data));
	store_le64(gdt + SELECTOR_TASK, descriptor(&state->task));
}

/* 2 MiB pages: those of 1 GiB are not on every CPU, and smaller ones would only cost time. */
static void write_page_tables(struct boot *boot)
{
	uint8_t *pml4 = boot_area(boot, LAYOUT_PAGE_TABLES, LAYOUT_PAGE_TABLES_SIZE);
	uint8_t *pdpt = pml4 + PAGE_SIZE_4K;
	uint8_t *directory = pdpt + PAGE_SIZE_4K;
	uint64_t flags = PAGE_PRESENT | PAGE_WRITE;
	uint64_t next = LAYOUT_PAGE_TABLES + PAGE_SIZE_4K;

	memset(pml4, 0, 2 * PAGE_SIZE_4K);
	store_le64(pml4, next | flags);
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		store_le64(pdpt + i * 8, (next + (i + 1) * PAGE_SIZE_4K) | flags);
	for (uint64_t i = 0; i < MAPPED_GIB * PAGE_ENTRIES; i++)
		store_le64(directory + i * 8, i * LARGE_PAGE | flags | PAGE_LARGE);
}

void boot_start_long64(struct boot *boot)
{
	struct boot_state *state = boot->state;

	set_segments(boot, true);
	write_page_tables(boot);
	state->mode = BOOT_LONG64;
	state->rsp = LAYOUT_BOOT_STACK;
	state->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	state->cr3 = LAYOUT_PAGE_TABLES;
	state->cr4 = CR4_PAE;
	state->efer = EFER_LME | EFER_LMA;
}

void boot_start_protected32(struct boot *boot)
{
	set_segments(boot, false);
	boot->state->mode = BOOT_PROTECTED32;
	boot->state->rsp = LAYOUT_BOOT_STACK;
	boot->state->cr0 = CR0_PE | CR0_ET;
}
