/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The register file (11.4): one table. The commands of GCMD are in command.c.
 *
 * Registers have 32 or 64 bits; a 64-bit one may be accessed by halves, and two neighbouring 32-bit
 * ones at once (the lower first). Everything else reads as zero and writes nothing: other sizes,
 * misaligned accesses, and registers that CAP and ECAP do not announce. The protected memory
 * registers are among the latter: we offer neither PLMR nor PHMR, so PMEN is reserved.
 *
 * A write handler is given the value and the mask of the bits that the access covered.
 */
#include "viommu/unit.h"

typedef uint64_t read_handler(struct vtd_unit *unit, unsigned int arg);
typedef void write_handler(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask);

struct row {
	uint16_t offset;
	uint8_t bytes;	      /* 4 or 8 */
	uint8_t count;	      /* of such registers in a row; @arg is then the index */
	uint64_t cap, ecap;   /* present if one of these is offered; both 0: always */
	read_handler *read;   /* NULL: reads as zero */
	write_handler *write; /* NULL: read only */
	unsigned int arg;
};

static uint64_t merge(uint64_t old, uint64_t value, uint64_t mask)
{
	return (old & ~mask) | (value & mask);
}

/* A value that is kept in 64 bits of the unit, @arg bytes from its start. */
static uint64_t read_field(struct vtd_unit *unit, unsigned int arg)
{
	return *(const uint64_t *)((const char *)unit + arg);
}

#define FIELD(member) offsetof(struct vtd_unit, member)

/* --- Identification --- */

static uint64_t read_version(struct vtd_unit *unit, unsigned int arg)
{
	(void)unit;
	(void)arg;
	return VTD_VERSION;
}

/* --- Global command and status --- */

static void write_gcmd(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	(void)mask;
	vtd_command(unit, (uint32_t)value);
}

static uint64_t read_gsts(struct vtd_unit *unit, unsigned int arg)
{
	(void)arg;
	return unit->reg.gsts;
}

/* --- Table addresses --- */

static void write_rtaddr(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	unit->reg.rtaddr = merge(unit->reg.rtaddr, value, mask) &
			   (VTD_RTADDR_RTA | VTD_RTADDR_TTM) & ~vtd_beyond_host(unit);
}

static void write_irta(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	uint64_t eime = vtd_has_ecap(unit, VTD_ECAP_EIM) ? VTD_IRTA_EIME : 0;

	(void)arg;
	unit->reg.irta = merge(unit->reg.irta, value, mask) & (VTD_IRTA_IRTA | eime | VTD_IRTA_S) &
			 ~vtd_beyond_host(unit);
}

/* --- Register-based invalidation --- */

#define CCMD_WRITABLE (VTD_CCMD_ICC | VTD_CCMD_CIRG | VTD_CCMD_FM | VTD_CCMD_SID | VTD_CCMD_DID)
#define IOTLB_WRITABLE \
	(VTD_IOTLB_IVT | VTD_IOTLB_IIRG | VTD_IOTLB_DR | VTD_IOTLB_DW | VTD_IOTLB_DID)
#define IVA_WRITABLE (VTD_IVA_ADDR | VTD_IVA_IH | VTD_IVA_AM)

static void write_ccmd(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	unit->reg.ccmd = merge(unit->reg.ccmd, value, mask & CCMD_WRITABLE);
	if (unit->reg.ccmd & VTD_CCMD_ICC)
		unit->reg.ccmd = vtd_queue_context_command(unit, unit->reg.ccmd);
}

static void write_iotlb(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	unit->reg.iotlb = merge(unit->reg.iotlb, value, mask & IOTLB_WRITABLE);
	if (unit->reg.iotlb & VTD_IOTLB_IVT)
		unit->reg.iotlb = vtd_queue_iotlb_command(unit, unit->reg.iva, unit->reg.iotlb);
}

static void write_iva(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	unit->reg.iva = merge(unit->reg.iva, value, mask & IVA_WRITABLE);
}

/* --- Faults and events --- */

static uint64_t read_fsts(struct vtd_unit *unit, unsigned int arg)
{
	(void)arg;
	return vtd_fsts_read(unit);
}

/* A queue that an error held goes on when software has cleared the error (6.5.2.11). */
static void write_fsts(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	const uint32_t holds = VTD_FSTS_IQE | VTD_FSTS_ITE;
	uint32_t before = vtd_fsts_read(unit) & holds;

	(void)arg;
	vtd_fsts_write(unit, (uint32_t)(value & mask));
	if (before && !(vtd_fsts_read(unit) & holds))
		vtd_queue_run(unit);
}

static uint64_t read_frcd(struct vtd_unit *unit, unsigned int arg)
{
	return arg / 2 < unit->config.fault_records ? vtd_frcd_read(unit, arg / 2, arg % 2) : 0;
}

static void write_frcd(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	if (arg / 2 < unit->config.fault_records)
		vtd_frcd_write(unit, arg / 2, arg % 2, value & mask);
}

/* @arg: the event, and which of its four registers. */
static uint64_t read_event(struct vtd_unit *unit, unsigned int arg)
{
	return vtd_event_read(unit, arg / 4, arg % 4);
}

static void write_event(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)mask;
	vtd_event_write(unit, arg / 4, arg % 4, (uint32_t)value);
}

/* --- Invalidation queue --- */

/* A tail may be set before the queue is enabled, which then runs at once: Windows does that. */
static void write_iqt(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	if (!(mask & VTD_IQ_OFFSET128))
		return;
	unit->queue.tail = value & VTD_IQ_OFFSET128;
	vtd_queue_run(unit);
}

/* Locked while the queue is enabled. */
static void write_iqa(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	if (unit->reg.gsts & VTD_GCMD_QIE)
		return;
	unit->queue.address = merge(unit->queue.address, value, mask) &
			      (VTD_IQA_IQA | VTD_IQA_DW | VTD_IQA_QS) & ~vtd_beyond_host(unit);
}

static uint64_t read_ics(struct vtd_unit *unit, unsigned int arg)
{
	(void)arg;
	return unit->queue.completion;
}

static void write_ics(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	if (!(value & mask & VTD_ICS_IWC))
		return;
	unit->queue.completion = 0;
	pthread_mutex_lock(&unit->faults.lock);
	vtd_event_settled_locked(unit, VTD_EVENT_QUEUE);
	pthread_mutex_unlock(&unit->faults.lock);
}

/* --- Page request queue --- */

static uint64_t read_prs(struct vtd_unit *unit, unsigned int arg)
{
	(void)arg;
	return vtd_prs_read(unit);
}

static void write_prs(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	vtd_prs_write(unit, (uint32_t)(value & mask));
}

/* --- Virtual commands --- */

static uint64_t read_vccap(struct vtd_unit *unit, unsigned int arg)
{
	(void)unit;
	(void)arg;
	return VTD_VCCAP_PAS;
}

/* The command is in the lower half, with the 24 lower bits of the operand: all that is used. */
static void write_vcmd(struct vtd_unit *unit, unsigned int arg, uint64_t value, uint64_t mask)
{
	(void)arg;
	if (mask & VTD_VCMD_CMD)
		vtd_vcmd_write(unit, value & mask);
}

/* --- The table --- */

#define FAULT_EVENT (4 * VTD_EVENT_FAULT)
#define QUEUE_EVENT (4 * VTD_EVENT_QUEUE)
#define PAGE_EVENT  (4 * VTD_EVENT_PAGE_REQUEST)

/* Sorted by offset; tests/unit/test_vtd_registers.c goes through all of the window. */
static const struct row rows[] = {
	/* clang-format off */
	{ VTD_VER, 4, 1, 0, 0, read_version, NULL, 0 },
	{ VTD_CAP, 8, 1, 0, 0, read_field, NULL, FIELD(cap) },
	{ VTD_ECAP, 8, 1, 0, 0, read_field, NULL, FIELD(ecap) },
	{ VTD_GCMD, 4, 1, 0, 0, NULL, write_gcmd, 0 },
	{ VTD_GSTS, 4, 1, 0, 0, read_gsts, NULL, 0 },
	{ VTD_RTADDR, 8, 1, 0, 0, read_field, write_rtaddr, FIELD(reg.rtaddr) },
	{ VTD_CCMD, 8, 1, 0, 0, read_field, write_ccmd, FIELD(reg.ccmd) },
	{ VTD_FSTS, 4, 1, 0, 0, read_fsts, write_fsts, 0 },
	{ VTD_FECTL, 4, 1, 0, 0, read_event, write_event, FAULT_EVENT },
	{ VTD_FEDATA, 4, 1, 0, 0, read_event, write_event, FAULT_EVENT + 1 },
	{ VTD_FEADDR, 4, 1, 0, 0, read_event, write_event, FAULT_EVENT + 2 },
	{ VTD_FEUADDR, 4, 1, 0, 0, read_event, write_event, FAULT_EVENT + 3 },
	{ VTD_IQH, 8, 1, 0, VTD_ECAP_QI, read_field, NULL, FIELD(queue.head) },
	{ VTD_IQT, 8, 1, 0, VTD_ECAP_QI, read_field, write_iqt, FIELD(queue.tail) },
	{ VTD_IQA, 8, 1, 0, VTD_ECAP_QI, read_field, write_iqa, FIELD(queue.address) },
	{ VTD_ICS, 4, 1, 0, VTD_ECAP_QI, read_ics, write_ics, 0 },
	{ VTD_IECTL, 4, 1, 0, VTD_ECAP_QI, read_event, write_event, QUEUE_EVENT },
	{ VTD_IEDATA, 4, 1, 0, VTD_ECAP_QI, read_event, write_event, QUEUE_EVENT + 1 },
	{ VTD_IEADDR, 4, 1, 0, VTD_ECAP_QI, read_event, write_event, QUEUE_EVENT + 2 },
	{ VTD_IEUADDR, 4, 1, 0, VTD_ECAP_QI, read_event, write_event, QUEUE_EVENT + 3 },
	{ VTD_IQERCD, 8, 1, 0, VTD_ECAP_QI, read_field, NULL, FIELD(queue.error) },
	{ VTD_IRTA, 8, 1, 0, VTD_ECAP_IR, read_field, write_irta, FIELD(reg.irta) },
	{ VTD_PQH, 8, 1, 0, VTD_ECAP_PRS, vtd_pq_read, vtd_pq_write, VTD_PQH },
	{ VTD_PQT, 8, 1, 0, VTD_ECAP_PRS, vtd_pq_read, vtd_pq_write, VTD_PQT },
	{ VTD_PQA, 8, 1, 0, VTD_ECAP_PRS, vtd_pq_read, vtd_pq_write, VTD_PQA },
	{ VTD_PRS, 4, 1, 0, VTD_ECAP_PRS, read_prs, write_prs, 0 },
	{ VTD_PECTL, 4, 1, 0, VTD_ECAP_PRS, read_event, write_event, PAGE_EVENT },
	{ VTD_PEDATA, 4, 1, 0, VTD_ECAP_PRS, read_event, write_event, PAGE_EVENT + 1 },
	{ VTD_PEADDR, 4, 1, 0, VTD_ECAP_PRS, read_event, write_event, PAGE_EVENT + 2 },
	{ VTD_PEUADDR, 4, 1, 0, VTD_ECAP_PRS, read_event, write_event, PAGE_EVENT + 3 },
	{ VTD_FRCD, 8, 2 * VTD_FAULT_RECORDS, 0, 0, read_frcd, write_frcd, 0 },
	{ VTD_IVA, 8, 1, 0, 0, NULL, write_iva, 0 },
	{ VTD_IOTLB, 8, 1, 0, 0, read_field, write_iotlb, FIELD(reg.iotlb) },
	{ VTD_VCMD, 8, 1, 0, VTD_ECAP_VCS, NULL, write_vcmd, 0 },
	{ VTD_VCRSP, 8, 1, 0, VTD_ECAP_VCS, read_field, NULL, FIELD(vcmd.response) },
	{ VTD_VCCAP, 8, 1, 0, VTD_ECAP_VCS, read_vccap, NULL, 0 },
	/* clang-format on */
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* One register, or half of one, as an access meets it. */
struct slot {
	const struct row *row;
	unsigned int arg;
	unsigned int shift; /* of the accessed bits in the register: 0 or 32 */
};

/* What is at @offset, a multiple of 4. Without a register there, row is NULL. */
static struct slot find(const struct vtd_unit *unit, uint64_t offset)
{
	unsigned int low = 0, high = ROWS;
	const struct row *row;
	uint64_t inside;

	while (low < high) { /* the last row at or before offset: at most 6 steps */
		unsigned int middle = (low + high) / 2;

		if (rows[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return (struct slot){ NULL, 0, 0 };
	row = &rows[low - 1];
	inside = offset - row->offset;
	if (inside >= (uint64_t)row->bytes * row->count)
		return (struct slot){ NULL, 0, 0 };
	if ((row->cap || row->ecap) && !vtd_has_cap(unit, row->cap) &&
	    !vtd_has_ecap(unit, row->ecap))
		return (struct slot){ NULL, 0, 0 };
	return (struct slot){ row, row->arg + (unsigned int)(inside / row->bytes),
			      inside % row->bytes ? 32 : 0 };
}

static uint64_t slot_read(struct vtd_unit *unit, struct slot slot, unsigned int size)
{
	uint64_t value = slot.row && slot.row->read ? slot.row->read(unit, slot.arg) : 0;

	value >>= slot.shift;
	return size == 8 ? value : (uint32_t)value;
}

static void slot_write(struct vtd_unit *unit, struct slot slot, unsigned int size, uint64_t value)
{
	uint64_t mask = size == 8 ? UINT64_MAX : UINT32_MAX;

	if (slot.row && slot.row->write)
		slot.row->write(unit, slot.arg, (value & mask) << slot.shift, mask << slot.shift);
}

/* An access that may mean something: of 4 or 8 bytes, aligned, in the window. */
static bool sane(uint64_t offset, unsigned int size)
{
	return (size == 4 || size == 8) && offset % size == 0 && offset < VTD_REGISTERS;
}

/* A 64-bit access is of one register, or of two of 32 bits. */
static bool is_single(struct slot slot, unsigned int size)
{
	return size == 4 || (slot.row && slot.row->bytes == 8);
}

uint64_t vtd_mmio_read(struct vtd_unit *unit, uint64_t offset, unsigned int size)
{
	struct slot slot;
	uint64_t value;

	if (!sane(offset, size))
		return 0;
	pthread_mutex_lock(&unit->lock);
	slot = find(unit, offset);
	if (is_single(slot, size))
		value = slot_read(unit, slot, size);
	else
		value = slot_read(unit, slot, 4) | slot_read(unit, find(unit, offset + 4), 4) << 32;
	pthread_mutex_unlock(&unit->lock);
	return value;
}

void vtd_mmio_write(struct vtd_unit *unit, uint64_t offset, unsigned int size, uint64_t value)
{
	struct slot slot;

	if (!sane(offset, size))
		return;
	pthread_mutex_lock(&unit->lock);
	slot = find(unit, offset);
	if (is_single(slot, size)) {
		slot_write(unit, slot, size, value);
	} else {
		slot_write(unit, slot, 4, value);
		slot_write(unit, find(unit, offset + 4), 4, value >> 32);
	}
	pthread_mutex_unlock(&unit->lock);
}

void vtd_registers_reset(struct vtd_unit *unit)
{
	unit->reg = (struct vtd_registers){ 0 };
}
