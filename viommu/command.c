/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of GCMD (11.4.4), and what GSTS says of them.
 */
#include "viommu/unit.h"

/*
 * Translation on or off: results handed out before are stale, and DMA that uses them is waited for.
 * Real devices get the bindings of the tables, or none.
 */
static void set_translation(struct vtd_unit *unit, bool on)
{
	__atomic_store_n(&unit->translation, on, __ATOMIC_RELEASE);
	if (!on)
		vtd_host_entries_changed(unit);
	vtd_queue_invalidate_all(unit);
	if (on)
		vtd_host_entries_changed(unit);
}

/* SRTP. ESRTPS is always offered: whatever was cached by the old table is gone (6.6). */
static void set_root(struct vtd_unit *unit, bool on)
{
	(void)on;
	__atomic_store_n(&unit->root, unit->reg.rtaddr, __ATOMIC_RELEASE);
	vtd_queue_invalidate_all(unit);
	if (unit->translation)
		vtd_host_entries_changed(unit);
}

/* SIRTP, and ESIRTPS. */
static void set_interrupt_table(struct vtd_unit *unit, bool on)
{
	(void)on;
	vtd_ir_set_table(unit, unit->reg.irta);
	vtd_ir_invalidate_all(unit);
}

/*
 * The commands, in the order in which they are executed if one write holds several (11.4.4 asks for
 * one at a time): tables before what uses them, the queue before what may need it. All are done
 * before the write returns. WBF is reserved without RWBF, SFL and EAFL without AFL.
 */
static const struct command {
	uint32_t bit;
	bool once; /* set by a 1 and never cleared; else a state */
	uint64_t ecap;
	void (*execute)(struct vtd_unit *unit, bool on);
} commands[] = {
	{ VTD_GCMD_SRTP, true, 0, set_root },
	{ VTD_GCMD_SIRTP, true, VTD_ECAP_IR, set_interrupt_table },
	{ VTD_GCMD_QIE, false, VTD_ECAP_QI, vtd_queue_enable },
	{ VTD_GCMD_CFI, false, VTD_ECAP_IR, vtd_ir_set_compatibility },
	{ VTD_GCMD_IRE, false, VTD_ECAP_IR, vtd_ir_enable },
	{ VTD_GCMD_TE, false, 0, set_translation },
};

void vtd_command(struct vtd_unit *unit, uint32_t value)
{
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];
		bool on = value & command->bit;

		if (command->ecap && !vtd_has_ecap(unit, command->ecap))
			continue;
		if (command->once ? !on : on == !!(unit->reg.gsts & command->bit))
			continue;
		/* The status first: the queue runs as soon as it is enabled. */
		unit->reg.gsts =
			on ? unit->reg.gsts | command->bit : unit->reg.gsts & ~command->bit;
		command->execute(unit, on);
	}
}
