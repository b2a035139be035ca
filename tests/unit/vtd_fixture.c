/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vtd_fixture.h.
 */
#include "tests/unit/vtd_fixture.h"

#include <stdlib.h>
#include <string.h>

/* --- What the unit sees of its world --- */

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	struct vtd_fixture *f = context;

	if (gpa >= FIXTURE_MEMORY || len > FIXTURE_MEMORY - gpa)
		return NULL;
	if (gpa < f->hole + 4096 && gpa + len > f->hole && f->hole < FIXTURE_MEMORY)
		return NULL;
	return f->memory + gpa;
}

static const struct vtd_memory_ops memory_ops = { memory_ptr };

static void record_msi(void *context, uint64_t address, uint32_t data)
{
	struct vtd_fixture *f = context;

	if (f->msis < FIXTURE_RECORDED)
		f->msi[f->msis] = (struct fixture_msi){ address, data };
	f->msis++;
}

static void record_change(void *context, unsigned int first, unsigned int count)
{
	struct vtd_fixture *f = context;

	if (f->changes < FIXTURE_RECORDED)
		f->change[f->changes] = (struct fixture_change){ first, count };
	f->changes++;
}

static const struct vtd_machine_ops machine_ops = { record_msi, record_change };

static int record_invalidation(void *context, uint32_t pasid, uint64_t address, uint64_t size,
			       bool global)
{
	struct fixture_device *device = context;

	if (device->invalidations < FIXTURE_RECORDED)
		device->invalidation[device->invalidations] =
			(struct fixture_invalidation){ pasid, address, size, global };
	device->invalidations++;
	return device->result;
}

static void record_response(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	struct fixture_device *device = context;

	if (device->responses < FIXTURE_RECORDED)
		device->response[device->responses] =
			(struct fixture_response){ pasid, group, code };
	device->responses++;
}

static const struct vtd_requester_ops requester_ops = { record_invalidation, record_response };

void vtd_fixture_keep_line(void *context, const char *line)
{
	strncat(context, line, 255);
	strcat(context, "\n");
}

/* --- Life --- */

int vtd_fixture_init(struct vtd_fixture *f, const struct vtd_config *config)
{
	struct vtd_config usual;

	memset(f, 0, sizeof(*f));
	f->hole = UINT64_MAX;
	f->next_page = FIXTURE_PAGES;
	f->memory = aligned_alloc(4096, FIXTURE_MEMORY);
	if (!f->memory)
		return -ENOMEM;
	memset(f->memory, 0, FIXTURE_MEMORY);
	if (!config) {
		vtd_config_init(&usual);
		config = &usual;
	}
	f->unit = vtd_create(config, &memory_ops, f, &machine_ops, f);
	if (!f->unit) {
		int error = errno;

		free(f->memory);
		f->memory = NULL;
		return -error;
	}
	return 0;
}

void vtd_fixture_destroy(struct vtd_fixture *f)
{
	if (f->unit)
		vtd_destroy(f->unit);
	free(f->memory);
	memset(f, 0, sizeof(*f));
}

struct fixture_device *vtd_fixture_attach(struct vtd_fixture *f, uint16_t source)
{
	struct fixture_device *device = &f->device[f->devices];

	if (f->devices == FIXTURE_DEVICES)
		abort();
	memset(device, 0, sizeof(*device));
	device->requester = vtd_attach(f->unit, source, "device", &requester_ops, device);
	if (!device->requester)
		abort();
	f->devices++;
	return device;
}

/* --- Memory --- */

uint64_t vtd_fixture_pages(struct vtd_fixture *f, unsigned int count)
{
	uint64_t gpa = f->next_page;

	if (count > (FIXTURE_MEMORY - gpa) / 4096)
		abort();
	f->next_page += UINT64_C(4096) * count;
	memset(f->memory + gpa, 0, UINT64_C(4096) * count);
	return gpa;
}

uint64_t vtd_fixture_page(struct vtd_fixture *f)
{
	return vtd_fixture_pages(f, 1);
}

void vtd_fixture_store(struct vtd_fixture *f, uint64_t gpa, uint64_t value)
{
	if (gpa > FIXTURE_MEMORY - sizeof(value))
		abort();
	memcpy(f->memory + gpa, &value, sizeof(value));
}

uint64_t vtd_fixture_load(const struct vtd_fixture *f, uint64_t gpa)
{
	uint64_t value;

	if (gpa > FIXTURE_MEMORY - sizeof(value))
		abort();
	memcpy(&value, f->memory + gpa, sizeof(value));
	return value;
}

/* --- Commands --- */

/* The commands that are states; the others are given once. */
#define STATES ((uint32_t)(VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI))

bool vtd_fixture_command(struct vtd_fixture *f, uint32_t bit, bool on)
{
	uint32_t states = vtd_fixture_read32(f, VTD_GSTS) & STATES;

	vtd_fixture_write32(f, VTD_GCMD, on ? states | bit : states & ~bit);
	return !(vtd_fixture_read32(f, VTD_GSTS) & bit) == !on;
}

bool vtd_fixture_set_root(struct vtd_fixture *f, uint64_t rtaddr)
{
	vtd_fixture_write64(f, VTD_RTADDR, rtaddr);
	return vtd_fixture_command(f, VTD_GCMD_SRTP, true);
}

bool vtd_fixture_set_irta(struct vtd_fixture *f, uint64_t irta)
{
	vtd_fixture_write64(f, VTD_IRTA, irta);
	return vtd_fixture_command(f, VTD_GCMD_SIRTP, true);
}

/* --- Queue --- */

bool vtd_fixture_queue(struct vtd_fixture *f, bool wide)
{
	f->wide = wide;
	if (!vtd_fixture_command(f, VTD_GCMD_QIE, false))
		return false;
	vtd_fixture_write64(f, VTD_IQA, FIXTURE_QUEUE | (wide ? VTD_IQA_DW : 0));
	vtd_fixture_write64(f, VTD_IQT, 0);
	return vtd_fixture_command(f, VTD_GCMD_QIE, true);
}

void vtd_fixture_submit(struct vtd_fixture *f, uint64_t qw0, uint64_t qw1)
{
	uint64_t step = f->wide ? 32 : 16;
	uint64_t tail = vtd_fixture_read64(f, VTD_IQT);

	/* Zeroed as a whole: the third and fourth words are reserved everywhere but in private
	 * data. */
	memset(f->memory + FIXTURE_QUEUE + tail, 0, step);
	vtd_fixture_store(f, FIXTURE_QUEUE + tail, qw0);
	vtd_fixture_store(f, FIXTURE_QUEUE + tail + 8, qw1);
	vtd_fixture_write64(f, VTD_IQT, (tail + step) % 4096);
}

bool vtd_fixture_wait(struct vtd_fixture *f)
{
	uint32_t seal = ++f->seal;

	vtd_fixture_store(f, FIXTURE_STATUS, 0);
	vtd_fixture_submit(f, VTD_DESC_WAIT | VTD_WAIT_SW | vtd_put(seal, VTD_WAIT_DATA),
			   FIXTURE_STATUS);
	return vtd_fixture_load(f, FIXTURE_STATUS) == seal;
}
