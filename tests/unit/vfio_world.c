/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vfio_world.h.
 */
#include "tests/unit/vfio_world.h"

#include <linux/io_uring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/vfio_host_fault.h"

static const char *const names[] = { "06:0d.0", "0000:06:0e.0" };

int world_open_context(struct world *w, unsigned int quota)
{
	const struct vfio_context_options options = { .iommufd = -1,
						      .pasid_quota = quota,
						      .kernel = &w->host.kernel };

	return vfio_context_open(&w->context, &w->ram, w->loop, &options, w->error,
				 sizeof(w->error));
}

int world_open_device(struct world *w, unsigned int index, enum vfio_nested nested)
{
	const struct vfio_device_options options = {
		.name = names[index], .device = names[index], .fd = -1, .nested = nested
	};
	int rc = vfio_device_open(w->context, &options, &w->device[index], w->error,
				  sizeof(w->error));

	w->behind[index] = w->device[index].backend_data;
	return rc;
}

int world_attach(struct world *w, unsigned int index)
{
	return vfio_device_attach(&w->device[index], w->f.unit, w->f.device[index].requester,
				  w->error, sizeof(w->error));
}

/* Nothing opened yet. */
int world_setup_closed(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	if (vtd_fixture_init(&w.f, NULL))
		return -1;
	vtd_fixture_attach(&w.f, SOURCE);
	vtd_fixture_attach(&w.f, OTHER);
	fake_iommufd_init(&w.host);
	w.ram = (struct ram){ 1, { { 0, FIXTURE_MEMORY, w.f.memory } } };
	w.loop = loop_create(16);
	*state = &w;
	return w.loop ? 0 : -1;
}

int world_setup_quota(void **state, unsigned int quota)
{
	struct world *w;

	if (world_setup_closed(state))
		return -1;
	w = *state;
	for (unsigned int i = 0; i < 2; i++)
		if ((!i && world_open_context(w, quota)) ||
		    world_open_device(w, i, VFIO_NESTED_ON) || world_attach(w, i)) {
			print_error("%s\n", w->error);
			return -1;
		}
	return 0;
}

int world_setup(void **state)
{
	return world_setup_quota(state, 0);
}

int world_setup_small(void **state)
{
	return world_setup_quota(state, 3);
}

/* The host's kernel has no iommufd: one device. */
int world_setup_type1(void **state)
{
	struct world *w;

	if (world_setup_closed(state))
		return -1;
	w = *state;
	w->host.no_iommufd = true;
	return world_open_context(w, 0) || world_open_device(w, 0, VFIO_NESTED_AUTO) ||
	       world_attach(w, 0);
}

/* As a VM ends. */
static void close_all(struct world *w)
{
	vtd_fixture_destroy(&w->f);
	for (unsigned int i = 0; i < 2; i++)
		vfio_device_close(&w->device[i]);
	if (w->context)
		vfio_context_stop(w->context);
	while (loop_in_flight(w->loop))
		loop_turn(w->loop, true);
	vfio_context_close(w->context);
	loop_destroy(w->loop);
}

int world_teardown(void **state)
{
	struct world *w = *state;
	bool leak;

	close_all(w);
	leak = w->host.opens || (w->host.left && !w->host.failed_destroys);
	if (leak)
		print_error("%u files are open, %u nested domains were left\n", w->host.opens,
			    w->host.left);
	if (w->host.broken)
		print_error("the kernel was used wrongly: %s\n", w->host.broken);
	fake_iommufd_destroy(&w->host);
	return leak || w->host.broken ? -1 : 0;
}

/* Closes what a test has opened itself: the unit goes first, and there is a new one then. */
void world_start_again(struct world *w)
{
	vtd_fixture_destroy(&w->f);
	vfio_device_close(&w->device[0]);
	/* As where a VM cannot be built: nothing was stopped, and the loop has not turned. */
	vfio_context_close(w->context);
	w->context = NULL;
	loop_destroy(w->loop);
	w->loop = loop_create(16);
	assert_non_null(w->loop);
	assert_int_equal(w->host.opens, 0);
	assert_null(w->host.broken);
	fake_iommufd_destroy(&w->host);
	fake_iommufd_init(&w->host);
	memset(&w->f, 0, sizeof(w->f));
	assert_int_equal(vtd_fixture_init(&w->f, NULL), 0);
	vtd_fixture_attach(&w->f, SOURCE);
	w->ram.slot[0].host = w->f.memory;
}

/* --- What is bound --- */

struct vtd_binding world_first_stage(uint64_t root)
{
	return (struct vtd_binding){ .type = VTD_BIND_FS, .fs_root = root, .fs_width = 48 };
}

struct vtd_binding world_second_stage(uint64_t root)
{
	return (struct vtd_binding){ .type = VTD_BIND_SS, .ss_root = root, .ss_width = 48 };
}

int world_bind(struct world *w, unsigned int index, uint32_t pasid, struct vtd_binding binding)
{
	return vfio_host_bind(w->behind[index], pasid, &binding);
}

int world_unbind(struct world *w, unsigned int index, uint32_t pasid)
{
	return vfio_host_unbind(w->behind[index], pasid);
}

struct vfio_host_counters world_counters(const struct world *w)
{
	return vfio_host_counters(&w->device[0]);
}

int world_invalidate(struct world *w, unsigned int index, uint32_t pasid, uint64_t address,
		     uint64_t pages, bool leaf)
{
	const struct vtd_host_invalidation list = { .address = address,
						    .pages = pages,
						    .leaf = leaf };

	return vfio_host_invalidate(w->behind[index], pasid, &list, 1);
}

/* --- A guest, by its tables and its queue --- */

void guest_set_entry(struct world *w, uint32_t pasid, enum vtd_pgtt pgtt, uint64_t fs_root,
		     uint64_t ss_root)
{
	uint64_t at = w->directory + (pasid >> 6) * 8, table = vtd_fixture_load(&w->f, at);

	if (!table) {
		table = vtd_fixture_page(&w->f) | VTD_PASIDDIR_P;
		vtd_fixture_store(&w->f, at, table);
	}
	at = (table & VTD_PASIDDIR_PTR) + (pasid & 63) * 64;
	vtd_fixture_store(&w->f, at + 8, 1);
	vtd_fixture_store(&w->f, at + 16, fs_root);
	vtd_fixture_store(&w->f, at,
			  ss_root | (pgtt ? VTD_PASID0_P : 0) | vtd_put(pgtt, VTD_PASID0_PGTT) |
				  vtd_put(VTD_AW_48, VTD_PASID0_AW));
}

void guest_wait(struct world *w, uint32_t pasid)
{
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_IOTLB | vtd_put(VTD_PASID_IOTLB_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   0);
	assert_true(vtd_fixture_wait(&w->f));
}

void guest_entry_changed(struct world *w, uint32_t pasid)
{
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_CACHE | vtd_put(VTD_PASID_CACHE_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   0);
	guest_wait(w, pasid);
}

/* Scalable mode, both devices with one PASID directory, page requests on. */
void guest_start(struct world *w)
{
	static const uint16_t sources[] = { SOURCE, OTHER };

	w->root = vtd_fixture_page(&w->f);
	w->table = vtd_fixture_page(&w->f);
	w->directory = vtd_fixture_page(&w->f);
	vtd_fixture_store(&w->f, w->root, w->table | VTD_ROOT_P);
	for (unsigned int i = 0; i < 2; i++)
		vtd_fixture_store(&w->f, w->table + sources[i] * 32,
				  w->directory | VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE |
					  VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE |
					  vtd_put(1, VTD_SM_CONTEXT0_PDTS));
	assert_true(vtd_fixture_queue(&w->f, true));
	assert_true(
		vtd_fixture_set_root(&w->f, w->root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)));
	assert_true(vtd_fixture_command(&w->f, VTD_GCMD_TE, true));
	vtd_fixture_write64(&w->f, VTD_PQA, vtd_fixture_page(&w->f));
}

void world_turn(struct world *w)
{
	for (unsigned int i = 0; i < 3; i++)
		loop_turn(w->loop, false);
}

void world_rest(struct world *w)
{
	while (w->context->faults->poll.opcode == IORING_OP_TIMEOUT)
		assert_int_equal(loop_turn(w->loop, true), 0);
}

void guest_map(struct world *w, uint64_t table, uint64_t iova, uint64_t gpa, uint64_t bits)
{
	for (unsigned int level = 3; level > 0; level--) {
		uint64_t at = table + (iova >> (12 + 9 * level) & 511) * 8;

		if (!vtd_fixture_load(&w->f, at))
			vtd_fixture_store(&w->f, at, vtd_fixture_page(&w->f) | RW);
		table = vtd_fixture_load(&w->f, at) & VTD_SS_ADDR;
	}
	vtd_fixture_store(&w->f, table + (iova >> 12 & 511) * 8, bits ? gpa | bits : 0);
}

void guest_set_domain(struct world *w, uint32_t pasid, uint16_t did)
{
	uint64_t table = vtd_fixture_load(&w->f, w->directory + (pasid >> 6) * 8);

	vtd_fixture_store(&w->f, (table & VTD_PASIDDIR_PTR) + (pasid & 63) * 64 + 8, did);
}
