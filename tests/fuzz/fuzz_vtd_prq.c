/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests, responses and hostile registers against viommu/prq.c, with a model of what 7.4 to
 * 7.7 ask for.
 *
 * Input: operations, one byte and its operands. After each, the model and the unit must agree on
 * the registers, the answers that devices got, the interrupts and the faults; at the end on every
 * byte of guest memory.
 */
#include <stdlib.h>
#include <string.h>

#include "viommu/unit.h"

#define MEMORY	   65536 /* bytes of guest memory that a queue can be in */
#define TABLES	   (UINT64_C(1) << 40)
#define ROOT	   TABLES
#define CONTEXT	   (TABLES + 4096)
#define DIRECTORY  (TABLES + 8192) /* all zero: no PASID has an entry, which must not matter */
#define TABLE_SIZE 12288
#define DEVICES	   3
#define GROUPS	   512
#define PASIDS	   6
#define OPERATIONS 512

enum {
	OP_REQUEST,
	OP_RESPOND,
	OP_HEAD,
	OP_TAIL,
	OP_ADDRESS,
	OP_STATUS,
	OP_CONTROL,
	OP_CONTEXT,
	OP_ENABLE,
	OP_DISABLE,
	OP_FORGET,
	OP_RESET,
	OP_ANY,
	OP_SERVE,
	OPS
};

static const uint32_t pasids[PASIDS] = { VTD_NO_PASID, 0, 5, 8191, 8192, 0xfffff };
static const uint16_t sources[DEVICES] = { 0x0008, 0x0080, 0x0310 };

struct input {
	const uint8_t *at;
	size_t left;
};

/* What a device must have been told. */
struct answers {
	unsigned int count;
	uint32_t pasid;
	unsigned int group, code;
};

struct model {
	uint64_t head, tail, address;
	uint32_t status;
	bool translation, scalable, masked, pending;
	uint8_t outstanding[DEVICES][PASIDS][GROUPS];
	unsigned int msis, faults;
	struct answers answers[DEVICES];
	uint8_t memory[MEMORY];
};

struct device {
	struct vtd_requester *requester;
	struct answers answers;
};

struct world {
	struct vtd_unit *unit;
	uint8_t memory[MEMORY], tables[TABLE_SIZE];
	struct device device[DEVICES];
	unsigned int msis;
	uint64_t faults; /* before this input */
	struct model model;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool truth)
{
	if (!truth)
		abort();
}

static uint8_t next8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static uint32_t next32(struct input *in)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < 4; i++)
		value = value << 8 | next8(in);
	return value;
}

/* --- The unit's world --- */

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	struct world *w = context;

	if (gpa < MEMORY && len <= MEMORY - gpa)
		return w->memory + gpa;
	if (gpa >= TABLES && gpa - TABLES < TABLE_SIZE && len <= TABLE_SIZE - (gpa - TABLES))
		return w->tables + (gpa - TABLES);
	return NULL;
}

static void send_msi(void *context, uint64_t address, uint32_t data)
{
	struct world *w = context;

	(void)address;
	(void)data;
	w->msis++;
}

static void page_response(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	struct device *device = context;

	device->answers = (struct answers){ device->answers.count + 1, pasid, group, code };
}

static const struct vtd_memory_ops memory_ops = { memory_ptr };
static const struct vtd_machine_ops machine_ops = { .send_msi = send_msi };
static const struct vtd_requester_ops requester_ops = { NULL, page_response };

static void create(struct world *w)
{
	struct vtd_config config;

	vtd_config_init(&config);
	w->unit = vtd_create(&config, &memory_ops, w, &machine_ops, w);
	check(w->unit);
	for (unsigned int i = 0; i < DEVICES; i++) {
		w->device[i].requester =
			vtd_attach(w->unit, sources[i], "device", &requester_ops, &w->device[i]);
		check(w->device[i].requester);
	}
}

static uint64_t *table_word(struct world *w, uint64_t gpa)
{
	return memory_ptr(w, gpa, sizeof(uint64_t));
}

static uint64_t *context_entry(struct world *w, unsigned int device)
{
	return table_word(w, CONTEXT + (sources[device] & 0x7f) * 32);
}

/* Root entries of buses 0 and 3, both halves alike: all devices share one context table. */
static void start(struct world *w)
{
	static const uint64_t good = VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE |
				     VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE;

	memset(w->memory, 0, sizeof(w->memory));
	memset(w->tables, 0, sizeof(w->tables));
	memset(&w->model, 0, sizeof(w->model));
	for (unsigned int bus = 0; bus < 4; bus++)
		for (unsigned int half = 0; half < 2; half++)
			*table_word(w, ROOT + bus * 16 + half * 8) = CONTEXT | VTD_ROOT_P;
	for (unsigned int i = 0; i < DEVICES; i++) {
		*context_entry(w, i) = DIRECTORY | good;
		w->device[i].answers = (struct answers){ 0 };
	}
	vtd_reset(w->unit);
	w->model.masked = true;
	w->msis = 0;
	w->faults = vtd_counter(w->unit, VTD_COUNT_FAULTS);
}

/* --- The model --- */

static void model_answer(struct model *m, unsigned int device, uint32_t pasid, unsigned int group,
			 unsigned int code)
{
	m->answers[device] = (struct answers){ m->answers[device].count + 1, pasid, group, code };
}

static void model_status(struct model *m, uint32_t bit)
{
	if (!m->status) {
		m->pending = m->masked;
		m->msis += !m->masked;
	}
	m->status |= bit;
}

/* 0: may ask; 1: may not; 2: may not, and nobody hears of it. */
static unsigned int model_admit(const struct model *m, uint64_t context, uint32_t pasid)
{
	unsigned int refused = context & VTD_SM_CONTEXT0_FPD ? 2 : 1;

	if (!m->scalable)
		return 1;
	if (!(context & VTD_SM_CONTEXT0_P) || !(context & VTD_SM_CONTEXT0_PRE) ||
	    !(context & VTD_SM_CONTEXT0_DTE))
		return refused;
	if (pasid == VTD_NO_PASID)
		return 0;
	return context & VTD_SM_CONTEXT0_PASIDE && pasid < 8192 ? 0 : refused;
}

static void model_write(struct model *m, uint64_t at, const struct vtd_page_request *request,
			uint16_t source)
{
	unsigned int access = request->access;
	uint64_t word[4] = { 1 | (uint64_t)source << 16 };

	if (request->pasid != VTD_NO_PASID)
		word[0] |= UINT64_C(0x100) | (uint64_t)request->pasid << 32 |
			   (access & VTD_EXECUTE ? UINT64_C(1) << 52 : 0) |
			   (access & VTD_PRIVILEGED ? UINT64_C(1) << 53 : 0);
	word[1] = request->address | (uint64_t)request->group << 3 | (request->last ? 4 : 0) |
		  (access & VTD_WRITE ? 2 : 0) | (access & VTD_READ ? 1 : 0);
	if (request->has_private) {
		word[0] |= 0x200;
		word[2] = request->private_data[0];
		word[3] = request->private_data[1];
	}
	memcpy(m->memory + at, word, sizeof(word));
}

/* What vtd_page_request() must return; *@code is of the automatic answer. */
static int model_request(struct model *m, uint64_t context, unsigned int device, unsigned int which,
			 const struct vtd_page_request *request, unsigned int *code)
{
	uint64_t size = UINT64_C(4096) << (m->address & 7);
	uint64_t tail = m->tail % size, next = (tail + 32) % size;
	uint64_t at = (m->address & ~UINT64_C(4095)) + tail;
	unsigned int admitted;

	*code = VTD_RESPONSE_FAILURE;
	if (!m->translation)
		return -EAGAIN;
	admitted = model_admit(m, context, request->pasid);
	m->faults += admitted == 1;
	if (admitted)
		return -EFAULT;
	*code = VTD_RESPONSE_SUCCESS;
	if (m->status & VTD_PRS_PRO)
		return -EAGAIN;
	if (next == m->head % size) {
		model_status(m, VTD_PRS_PRO);
		return -EAGAIN;
	}
	*code = VTD_RESPONSE_FAILURE;
	if (at > MEMORY - 32)
		return -EAGAIN;
	model_write(m, at, request, sources[device]);
	m->tail = next;
	if (request->last && request->access & (VTD_READ | VTD_WRITE))
		m->outstanding[device][which][request->group] = 1;
	model_status(m, VTD_PRS_PPR);
	return 0;
}

/* --- Operations --- */

static void ask(struct world *w, struct input *in)
{
	unsigned int device = next8(in) % DEVICES, which = next8(in) % PASIDS, code;
	uint8_t flags = next8(in);
	struct vtd_page_request request = {
		.requester = w->device[device].requester,
		.pasid = pasids[which],
		.access = flags & 15,
		.last = flags & 16,
		.has_private = flags & 32,
		.group = next32(in) % GROUPS,
		.address = (uint64_t)next32(in) << 32 | (flags & 64 ? 0xfffff000 : 0),
		.private_data = { flags, UINT64_MAX },
	};
	int rc =
		model_request(&w->model, *context_entry(w, device), device, which, &request, &code);

	if (rc && request.last && request.access & (VTD_READ | VTD_WRITE))
		model_answer(&w->model, device, request.pasid, request.group, code);
	check(vtd_page_request(w->unit, &request) == rc);
}

static void respond(struct world *w, uint16_t source, uint32_t pasid, unsigned int group,
		    unsigned int code)
{
	for (unsigned int i = 0; i < DEVICES; i++)
		for (unsigned int j = 0; j < PASIDS; j++) {
			uint8_t *outstanding = &w->model.outstanding[i][j][group];

			if (sources[i] != source || pasids[j] != pasid || !*outstanding)
				continue;
			*outstanding = 0;
			model_answer(&w->model, i, pasid, group, code);
		}
	vtd_prq_respond(w->unit, source, pasid, group, code);
}

static void respond_any(struct world *w, struct input *in)
{
	static const unsigned int codes[] = { 0, 1, 15 };
	uint8_t device = next8(in), which = next8(in);
	uint16_t source = device < 250 ? sources[device % DEVICES] : device;
	uint32_t pasid = which < 250 ? pasids[which % PASIDS] : which;

	respond(w, source, pasid, next32(in) % GROUPS, codes[next8(in) % 3]);
}

/* A guest that does what it should: answers all that is in the queue. */
static void serve(struct world *w)
{
	struct model *m = &w->model;
	uint64_t size = UINT64_C(4096) << (m->address & 7), head = m->head % size;
	uint64_t base = m->address & ~UINT64_C(4095);

	if (base >= MEMORY || size > MEMORY - base)
		return;
	for (; head != m->tail % size; head = (head + 32) % size) {
		uint64_t word[2];

		memcpy(word, w->memory + base + head, sizeof(word));
		respond(w, (uint16_t)vtd_get(word[0], VTD_PAGE0_RID),
			word[0] & VTD_PAGE0_PASID_P ? (uint32_t)vtd_get(word[0], VTD_PAGE0_PASID)
						    : VTD_NO_PASID,
			(unsigned int)vtd_get(word[1], VTD_PAGE1_PRGI), 0);
	}
	m->head = m->tail;
	m->status = 0;
	m->pending = false;
	vtd_mmio_write(w->unit, VTD_PQH, 8, vtd_mmio_read(w->unit, VTD_PQT, 8));
	vtd_mmio_write(w->unit, VTD_PRS, 4, VTD_PRS_PPR | VTD_PRS_PRO);
}

static void write_status(struct world *w, uint32_t value)
{
	w->model.status &= ~value;
	if (!w->model.status)
		w->model.pending = false;
	vtd_mmio_write(w->unit, VTD_PRS, 4, value);
}

static void write_control(struct world *w, uint32_t value)
{
	struct model *m = &w->model;

	m->masked = value & VTD_EVENT_IM;
	if (m->pending && !m->masked) {
		m->pending = false;
		m->msis++;
	}
	vtd_mmio_write(w->unit, VTD_PECTL, 4, value);
}

static void write_context(struct world *w, struct input *in)
{
	unsigned int device = next8(in) % DEVICES;

	*context_entry(w, device) = DIRECTORY | (next8(in) & 0x1f);
	vtd_entries_invalidate_all(w->unit);
}

static void enable(struct world *w, bool scalable)
{
	w->model.scalable = scalable;
	w->model.translation = true;
	vtd_mmio_write(w->unit, VTD_RTADDR, 8, ROOT | vtd_put(scalable, VTD_RTADDR_TTM));
	vtd_mmio_write(w->unit, VTD_GCMD, 4,
		       (vtd_mmio_read(w->unit, VTD_GSTS, 4) & VTD_GCMD_TE) | VTD_GCMD_SRTP);
	vtd_mmio_write(w->unit, VTD_GCMD, 4, VTD_GCMD_TE);
}

static void forget(struct world *w, unsigned int device)
{
	memset(w->model.outstanding[device], 0, sizeof(w->model.outstanding[device]));
	vtd_forget_page_requests(w->unit, w->device[device].requester);
}

static void reset(struct world *w)
{
	struct model *m = &w->model;

	m->head = m->tail = m->address = 0;
	m->status = 0;
	m->translation = m->pending = false;
	m->masked = true;
	memset(m->outstanding, 0, sizeof(m->outstanding));
	vtd_reset(w->unit);
}

/* A queue that begins in memory, at its end, beyond it, or far away. */
static void write_address(struct world *w, struct input *in)
{
	uint64_t value = (uint64_t)(next8(in) % 24) << 12 | (next8(in) & 0xfff);

	if (next8(in) == 0xff)
		value |= UINT64_C(1) << 41;
	w->model.address = value & ~UINT64_C(0xff8);
	vtd_mmio_write(w->unit, VTD_PQA, 8, value);
}

static void write_offset(struct world *w, struct input *in, uint64_t *model, uint64_t reg)
{
	uint64_t value = (uint64_t)next32(in) << 4 | UINT64_C(1) << 50;

	*model = value & 0x7ffe0;
	vtd_mmio_write(w->unit, reg, 8, value);
}

/* Reads anywhere, and writes to registers of page requests that change nothing. */
static void any_access(struct world *w, struct input *in)
{
	static const unsigned int sizes[] = { 0, 1, 2, 3, 4, 5, 8, 16 };
	uint64_t offset = next32(in) % (VTD_REGISTERS + 64);

	vtd_mmio_read(w->unit, offset, sizes[next8(in) % 8]);
	vtd_mmio_write(w->unit, VTD_PQH + 1 + offset % 7, 8, UINT64_MAX);
	vtd_mmio_write(w->unit, VTD_PRS, 2, UINT64_MAX);
}

static void operate(struct world *w, struct input *in)
{
	switch (next8(in) % OPS) {
	case OP_REQUEST:
		ask(w, in);
		break;
	case OP_RESPOND:
		respond_any(w, in);
		break;
	case OP_HEAD:
		write_offset(w, in, &w->model.head, VTD_PQH);
		break;
	case OP_TAIL:
		write_offset(w, in, &w->model.tail, VTD_PQT);
		break;
	case OP_ADDRESS:
		write_address(w, in);
		break;
	case OP_STATUS:
		write_status(w, next32(in));
		break;
	case OP_CONTROL:
		write_control(w, next32(in));
		break;
	case OP_CONTEXT:
		write_context(w, in);
		break;
	case OP_ENABLE:
		enable(w, next8(in) % 8);
		break;
	case OP_DISABLE:
		w->model.translation = false;
		vtd_mmio_write(w->unit, VTD_GCMD, 4, 0);
		break;
	case OP_FORGET:
		forget(w, next8(in) % DEVICES);
		break;
	case OP_RESET:
		reset(w);
		break;
	case OP_ANY:
		any_access(w, in);
		break;
	case OP_SERVE:
		serve(w);
		break;
	}
}

static void compare(struct world *w)
{
	const struct model *m = &w->model;
	uint32_t control = (m->masked ? VTD_EVENT_IM : 0) | (m->pending ? VTD_EVENT_IP : 0);

	check(vtd_mmio_read(w->unit, VTD_PQH, 8) == m->head);
	check(vtd_mmio_read(w->unit, VTD_PQT, 8) == m->tail);
	check(vtd_mmio_read(w->unit, VTD_PQA, 8) == m->address);
	check(vtd_mmio_read(w->unit, VTD_PRS, 4) == m->status);
	check(vtd_mmio_read(w->unit, VTD_PECTL, 4) == control);
	check(w->msis == m->msis);
	check(vtd_counter(w->unit, VTD_COUNT_FAULTS) - w->faults == m->faults);
	for (unsigned int i = 0; i < DEVICES; i++) {
		const struct answers *a = &w->device[i].answers, *b = &m->answers[i];

		check(a->count == b->count && a->pasid == b->pasid && a->group == b->group &&
		      a->code == b->code);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct input in = { data, size };

	if (!w.unit)
		create(&w);
	start(&w);
	enable(&w, true);
	for (unsigned int i = 0; in.left && i < OPERATIONS; i++) {
		operate(&w, &in);
		compare(&w);
	}
	check(!memcmp(w.memory, w.model.memory, MEMORY));
	return 0;
}
