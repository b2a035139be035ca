/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vtd/tests.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/smp.h"

static struct world world;

/* Only the unit that the devices are behind is driven. */
static uintptr_t unit_base(const struct world *w)
{
	const struct dmar_unit *unit = NULL;

	if (w->has_edu)
		unit = dmar_unit_of(&w->dmar, w->edu.devfn);
	return unit ? unit->base : VTD_UNIT_BASE;
}

/* With an edu of another host: what a test can tell of one that it does not emulate. */
static unsigned int passed_through(struct world *w)
{
	if (!check(w->has_edu, "there is an edu"))
		return checks_done();
	test_legacy(w);
	test_scalable(w);
	test_interrupts(w);
	test_interrupt_faults(w);
	return checks_done();
}

unsigned int guest_main(void)
{
	struct world *w = &world;

	smp_setup(word_number("x2apic", 0) && apic_has_x2apic());
	test_dmar(w);
	if (!w->dmar.units)
		return checks_done();
	w->has_edu = edu_open(&w->edu, 0);
	w->has_sdma = sdma_open(&w->sdma, 0);
	vtd_open(&w->vtd, unit_base(w));
	if (word_given("passed"))
		return passed_through(w);
	test_registers(w);
	test_queue(w);
	test_queue_errors(w);
	if (w->has_edu) {
		test_legacy(w);
		test_legacy_faults(w);
		test_fault_log(w);
		test_scalable(w);
		test_scalable_faults(w);
		test_interrupts(w);
		test_interrupt_faults(w);
	} else {
		check_skip("DMA and interrupts of a function", "there is no edu");
	}
	if (w->has_sdma) {
		test_pasid(w);
		test_page_requests(w);
	} else {
		check_skip("PASIDs and page requests", "there is no sdma");
	}
	vtd_quiet(&w->vtd);
	return checks_done();
}
