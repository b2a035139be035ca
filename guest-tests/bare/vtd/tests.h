/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unit, register by register, for what Linux never does.
 *
 * Words: software=1 if /dev/kvm is software; x2apic=1 runs in that mode. Devices are found, and
 * what needs one that is not there is skipped: one edu, one sdma.
 */
#ifndef BARE_VTD_TESTS_H
#define BARE_VTD_TESTS_H

#include "lib/dmar.h"
#include "lib/edu.h"
#include "lib/sdma.h"
#include "lib/vtd.h"

#define VECTOR_EVENT  0x52
#define VECTOR_DEVICE 0x62
#define VECTOR_PAGE   0x72

/* IOVAs of tests: edu has 28 bits of address. */
#define IOVA	      0x4000000UL
#define IOVA_BEYOND   (1UL << 50)
#define NO_RAM	      0xd0000000UL /* neither RAM nor a register */
#define IDENTITY_SIZE (64 * MIB)

struct world {
	struct dmar dmar;
	struct vtd vtd;
	bool has_edu, has_sdma;
	struct edu edu;
	struct sdma sdma;
};

void test_dmar(struct world *w);
void test_registers(struct world *w);
void test_queue(struct world *w);
void test_queue_errors(struct world *w);
void test_legacy(struct world *w);
void test_legacy_faults(struct world *w);
void test_fault_log(struct world *w);
void test_scalable(struct world *w);
void test_scalable_faults(struct world *w);
void test_pasid(struct world *w);
void test_page_requests(struct world *w);
void test_interrupts(struct world *w);
void test_interrupt_faults(struct world *w);

/* --- Shared (dma.c) --- */

/*
 * A page pattern goes to edu by @from and comes back by @to. True if it arrived at @page, which is
 * cleared first.
 */
bool edu_round_trip(const struct world *w, uint64_t from, const void *source, uint64_t to,
		    void *page);

/* One edu transfer that has to fault: the verdict is about the reason, the source, the address. */
void expect_fault(const struct world *w, bool to_memory, uint64_t iova, uint8_t reason,
		  const char *what);

/* A page filled with a pattern made of @seed. */
void *pattern_page(uint64_t seed);

/* Two pages that lie in the same one of @size bytes. */
uint64_t *two_pages(uint64_t size);

/* Turns translation on in @mode, after a flush; and all of it off. */
bool translation_on(struct world *w, enum vtd_ttm mode);
void translation_off(struct world *w);

#endif
