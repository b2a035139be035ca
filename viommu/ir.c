/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt remapping (5.1): from a request to its table entry, from there to the message that a
 * LAPIC takes, or to a fault.
 *
 * The interrupt entry cache makes the table private to us between invalidations: an entry is read
 * once, and then not again until the guest says so or another index needs its slot.
 */
#include "viommu/ir.h"

#include "viommu/unit.h"

/* Requests (5.1.2): address and data of the message that a device writes. */
#define REQUEST_FORMAT	      VTD_BIT(4) /* 1: remappable */
#define REQUEST_HANDLE_LOW    VTD_BITS(19, 5)
#define REQUEST_SHV	      VTD_BIT(3) /* the data holds a subhandle */
#define REQUEST_HANDLE_HIGH   VTD_BIT(2)
#define REQUEST_SUBHANDLE     VTD_BITS(15, 0)
#define REQUEST_DATA_RESERVED VTD_BITS(31, 16) /* if SHV is set; the data is ignored otherwise */

/* Messages, as a LAPIC takes them (SDM 3A, 11.11). */
#define MESSAGE_RH	    VTD_BIT(3)
#define MESSAGE_DM	    VTD_BIT(2)
#define MESSAGE_DESTINATION VTD_BITS(19, 12)
/* The other bits of an x2APIC id: in the upper half of the address, as in the unit's own event
 * registers (11.4.7.5) and as KVM takes them. */
#define MESSAGE_DESTINATION_HIGH VTD_BITS(63, 40)
#define MESSAGE_VECTOR		 VTD_BITS(7, 0)
#define MESSAGE_DLM		 VTD_BITS(10, 8)
#define MESSAGE_LEVEL		 (VTD_BIT(15) | VTD_BIT(14)) /* level, asserted */

/* Destinations of entries (9.10): 8 bits of xAPIC id, or all 32. */
#define DST_XAPIC	VTD_BITS(15, 8)
#define DST_X2APIC_LOW	VTD_BITS(7, 0)
#define DST_X2APIC_HIGH VTD_BITS(31, 8)

/* Reserved in every entry. Posted format is one of them: CAP.PI is clear. */
#define IRTE0_RESERVED (VTD_BITS(14, 12) | VTD_IRTE0_IM | VTD_BITS(31, 24))
#define IRTE1_RESERVED VTD_BITS(63, 20)
#define DLM_RESERVED   (1U << 3 | 1U << 6) /* a bit per delivery mode */
#define SVT_RESERVED   3
#define LOAD_ATTEMPTS  4

/* --- The table and its cache; ir.lock held --- */

static bool extended(const struct vtd_unit *unit)
{
	return unit->ir.table & VTD_IRTA_EIME && vtd_has_ecap(unit, VTD_ECAP_EIM);
}

/*
 * Reads an entry. Software may change both words at once (5.1.4 lets it use 128-bit writes), and
 * two loads could see half of that: then the first word has changed meanwhile. Bound: a guest that
 * changes it faster than we read it gets one of the mixtures that it asked for.
 */
static int load_entry(const struct vtd_unit *unit, unsigned int index, struct vtd_irte *irte)
{
	uint64_t at = (unit->ir.table & VTD_IRTA_IRTA) + index * sizeof(*irte);
	uint64_t again;

	if (unit->ir.table & VTD_IRTA_IRTA & vtd_beyond_host(unit))
		return -EFAULT;
	for (unsigned int i = 0; i < LOAD_ATTEMPTS; i++) {
		if (vtd_load64(unit, at, &irte->low) || vtd_load64(unit, at + 8, &irte->high) ||
		    vtd_load64(unit, at, &again))
			return -EFAULT;
		if (again == irte->low)
			break;
	}
	return 0;
}

/* True if a reserved field or a reserved value is in use (9.10). */
static bool entry_reserved(const struct vtd_unit *unit, const struct vtd_irte *irte)
{
	return irte->low & IRTE0_RESERVED || irte->high & IRTE1_RESERVED ||
	       DLM_RESERVED & 1U << vtd_get(irte->low, VTD_IRTE0_DLM) ||
	       vtd_get(irte->high, VTD_IRTE1_SVT) == SVT_RESERVED ||
	       (!extended(unit) && vtd_get(irte->low, VTD_IRTE0_DST) & ~DST_XAPIC);
}

/* The entry @index, from the cache or the table. VTD_OK, or why the request is blocked. */
static enum vtd_reason find_entry(struct vtd_unit *unit, unsigned int index, struct vtd_irte *irte)
{
	struct vtd_ir_slot *slot = &unit->ir.cache[index % VTD_IR_SLOTS];

	*irte = slot->irte;
	if (slot->valid && slot->index == index)
		return VTD_OK;
	if (load_entry(unit, index, irte))
		return VTD_IR_ACCESS;
	if (!(irte->low & VTD_IRTE0_P))
		return VTD_IR_P;
	if (entry_reserved(unit, irte))
		return VTD_IR_IRTE_RESERVED;
	*slot = (struct vtd_ir_slot){ .valid = true, .index = (uint16_t)index, .irte = *irte };
	return VTD_OK;
}

/* --- Requests --- */

/* True if @source may use the entry: SVT, SQ and SID (9.10). */
static bool source_allowed(const struct vtd_irte *irte, uint16_t source)
{
	/* By SQ: which bits of the function number do not matter. */
	static const uint16_t ignored[] = { 0, 4, 6, 7 };
	unsigned int sid = (unsigned int)vtd_get(irte->high, VTD_IRTE1_SID);
	unsigned int bus = source >> 8;

	switch (vtd_get(irte->high, VTD_IRTE1_SVT)) {
	case VTD_SVT_SID:
		return !((sid ^ source) & ~ignored[vtd_get(irte->high, VTD_IRTE1_SQ)] & 0xffff);
	case VTD_SVT_BUS:
		return bus >= sid >> 8 && bus <= (sid & 0xff);
	default:
		return true;
	}
}

static struct vtd_msi message_of(const struct vtd_unit *unit, const struct vtd_irte *irte)
{
	uint64_t dst = vtd_get(irte->low, VTD_IRTE0_DST);
	uint64_t low = extended(unit) ? vtd_get(dst, DST_X2APIC_LOW) : vtd_get(dst, DST_XAPIC);
	uint64_t high = extended(unit) ? vtd_get(dst, DST_X2APIC_HIGH) : 0;
	uint64_t data = vtd_put(vtd_get(irte->low, VTD_IRTE0_V), MESSAGE_VECTOR) |
			vtd_put(vtd_get(irte->low, VTD_IRTE0_DLM), MESSAGE_DLM);

	return (struct vtd_msi){
		.address = VTD_INTERRUPT_BASE | vtd_put(high, MESSAGE_DESTINATION_HIGH) |
			   vtd_put(low, MESSAGE_DESTINATION) |
			   (irte->low & VTD_IRTE0_RH ? MESSAGE_RH : 0) |
			   (irte->low & VTD_IRTE0_DM ? MESSAGE_DM : 0),
		.data = (uint32_t)(data | (irte->low & VTD_IRTE0_TM ? MESSAGE_LEVEL : 0)),
	};
}

/* A request in remappable format (5.1.2.2, 5.1.3). */
static enum vtd_reason remap(struct vtd_unit *unit, uint16_t source, const struct vtd_msi *request,
			     struct vtd_ir_answer *answer)
{
	uint64_t index = vtd_get(request->address, REQUEST_HANDLE_LOW) |
			 vtd_get(request->address, REQUEST_HANDLE_HIGH) << 15;
	bool shv = request->address & REQUEST_SHV;
	enum vtd_reason reason;
	struct vtd_irte irte;

	if (shv)
		index += vtd_get(request->data, REQUEST_SUBHANDLE);
	answer->index = (uint16_t)index;
	if (shv && request->data & REQUEST_DATA_RESERVED)
		return VTD_IR_RESERVED;
	if (index >> (vtd_get(unit->ir.table, VTD_IRTA_S) + 1))
		return VTD_IR_INDEX;
	reason = find_entry(unit, (unsigned int)index, &irte);
	if (reason == VTD_IR_ACCESS)
		return reason;
	if (reason == VTD_OK && !source_allowed(&irte, source))
		reason = VTD_IR_SID;
	if (reason == VTD_OK)
		answer->msi = message_of(unit, &irte);
	else
		answer->quiet = irte.low & VTD_IRTE0_FPD;
	return reason;
}

void vtd_ir_remap(struct vtd_unit *unit, uint16_t source, const struct vtd_msi *request,
		  struct vtd_ir_answer *answer)
{
	struct vtd_ir *ir = &unit->ir;

	*answer = (struct vtd_ir_answer){ .reason = VTD_OK, .msi = *request };
	pthread_mutex_lock(&ir->lock);
	if (ir->enabled && request->address & REQUEST_FORMAT)
		answer->reason = remap(unit, source, request, answer);
	else if (ir->enabled && (!ir->compatibility || extended(unit)))
		answer->reason = VTD_IR_COMPATIBILITY;
	pthread_mutex_unlock(&ir->lock);
}

int vtd_remap_msi(struct vtd_unit *unit, uint16_t source, const struct vtd_msi *request,
		  struct vtd_msi *msi, bool record)
{
	struct vtd_requester *requester = vtd_find(unit, source);
	struct vtd_ir_answer answer;

	vtd_ir_remap(unit, source, request, &answer);
	if (answer.reason == VTD_OK) {
		*msi = answer.msi;
		if (record)
			vtd_count(unit, requester, VTD_COUNT_INTERRUPTS, 1);
		return 0;
	}
	if (record && !answer.quiet) {
		const struct vtd_fault fault = {
			.requester = requester,
			.source = source,
			.pasid = VTD_NO_PASID,
			.address = vtd_put(answer.index, VTD_FRCD0_INDEX),
			.reason = answer.reason,
		};

		vtd_fault_record(unit, &fault);
	}
	return -EFAULT;
}

/* --- Commands and invalidation --- */

static void tell_machine(struct vtd_unit *unit, unsigned int first, unsigned int count)
{
	if (unit->machine->interrupts_changed)
		unit->machine->interrupts_changed(unit->machine_context, first, count);
}

/* ir.lock held. */
static void forget_all(struct vtd_ir *ir)
{
	for (unsigned int i = 0; i < VTD_IR_SLOTS; i++)
		ir->cache[i].valid = false;
}

/*
 * Changes the state and forgets the cache, as if ESIRTPS were set for each of the three commands.
 * Nobody needs to hear of what happens while remapping is and stays off.
 */
static void change_state(struct vtd_unit *unit, bool enabled, bool compatibility, uint64_t table)
{
	struct vtd_ir *ir = &unit->ir;
	bool matters;

	pthread_mutex_lock(&ir->lock);
	matters = ir->enabled || enabled;
	ir->enabled = enabled;
	ir->compatibility = compatibility;
	ir->table = table;
	forget_all(ir);
	pthread_mutex_unlock(&ir->lock);
	if (!matters)
		return;
	vtd_gate_wait(&unit->gate); /* for messages under way: the command is complete on return */
	tell_machine(unit, 0, VTD_IR_ENTRIES);
}

/* Only holders of unit->lock change the state: they may read it without ir.lock. */
void vtd_ir_set_table(struct vtd_unit *unit, uint64_t irta)
{
	change_state(unit, unit->ir.enabled, unit->ir.compatibility, irta);
}

void vtd_ir_enable(struct vtd_unit *unit, bool on)
{
	change_state(unit, on, unit->ir.compatibility, unit->ir.table);
}

void vtd_ir_set_compatibility(struct vtd_unit *unit, bool on)
{
	change_state(unit, unit->ir.enabled, on, unit->ir.table);
}

void vtd_ir_reset(struct vtd_unit *unit)
{
	change_state(unit, false, false, 0);
}

void vtd_ir_invalidate(struct vtd_unit *unit, unsigned int index, unsigned int order)
{
	struct vtd_ir *ir = &unit->ir;
	unsigned int count = 1U << (order < 16 ? order : 16);
	unsigned int first = index % VTD_IR_ENTRIES & ~(count - 1);

	pthread_mutex_lock(&ir->lock);
	/* Bound: VTD_IR_SLOTS, by when every slot has been looked at. */
	for (unsigned int i = 0; i < count && i < VTD_IR_SLOTS; i++) {
		struct vtd_ir_slot *slot = &ir->cache[(first + i) % VTD_IR_SLOTS];

		if (slot->index >= first && slot->index - first < count)
			slot->valid = false;
	}
	pthread_mutex_unlock(&ir->lock);
	if (!ir->enabled)
		return;
	unit->queue.drain = true; /* messages under way are waited for at the next wait */
	tell_machine(unit, first, count);
}

void vtd_ir_invalidate_all(struct vtd_unit *unit)
{
	vtd_ir_invalidate(unit, 0, 16);
}

/* --- Life --- */

int vtd_ir_init(struct vtd_unit *unit)
{
	return -pthread_mutex_init(&unit->ir.lock, NULL);
}

void vtd_ir_destroy(struct vtd_unit *unit)
{
	pthread_mutex_destroy(&unit->ir.lock);
}
