/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host*.c on a kernel in memory: what is opened and refused, domains and bindings,
 * shadows, page requests, and the failure of each call in turn.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/loop.h"
#include "devices/vfio.h"
#include "devices/vfio_bind.h"
#include "devices/vfio_host.h"
#include "devices/vfio_host_shadow.h"
#include "devices/vfio_host_walk.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/fake_iommufd.h"
#include "tests/unit/vtd_fixture.h"

#define SOURCE	 0x0018
#define OTHER	 0x0020
#define PASID	 0x45
#define PAGE	 UINT64_C(4096)
#define ROOT	 UINT64_C(0x123000)
#define NO_PASID VTD_NO_PASID
#define RW	 (VTD_SS_R | VTD_SS_W)

/* A unit with two real devices of the fake host. */
struct world {
	struct vtd_fixture f;
	struct fake_iommufd host;
	struct ram ram;
	struct loop *loop;
	struct vfio_context *context;
	struct vfio_device device[2];
	struct vfio_host *behind[2];
	uint64_t root, table, directory; /* of the guest */
	char error[256];
};

static const char *const names[] = { "06:0d.0", "0000:06:0e.0" };

static int open_context(struct world *w, unsigned int quota)
{
	const struct vfio_context_options options = { .iommufd = -1,
						      .pasid_quota = quota,
						      .kernel = &w->host.kernel };

	return vfio_context_open(&w->context, &w->ram, w->loop, &options, w->error,
				 sizeof(w->error));
}

static int open_device(struct world *w, unsigned int index, enum vfio_nested nested)
{
	const struct vfio_device_options options = {
		.name = names[index], .device = names[index], .fd = -1, .nested = nested
	};
	int rc = vfio_device_open(w->context, &options, &w->device[index], w->error,
				  sizeof(w->error));

	w->behind[index] = w->device[index].backend_data;
	return rc;
}

static int attach(struct world *w, unsigned int index)
{
	return vfio_device_attach(&w->device[index], w->f.unit, w->f.device[index].requester,
				  w->error, sizeof(w->error));
}

/* Nothing opened yet. */
static int setup_closed(void **state)
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

static int setup_quota(void **state, unsigned int quota)
{
	struct world *w;

	if (setup_closed(state))
		return -1;
	w = *state;
	for (unsigned int i = 0; i < 2; i++)
		if ((!i && open_context(w, quota)) || open_device(w, i, VFIO_NESTED_ON) ||
		    attach(w, i)) {
			print_error("%s\n", w->error);
			return -1;
		}
	return 0;
}

static int setup(void **state)
{
	return setup_quota(state, 0);
}

static int setup_small(void **state)
{
	return setup_quota(state, 3);
}

/* The host's kernel has no iommufd: one device. */
static int setup_type1(void **state)
{
	struct world *w;

	if (setup_closed(state))
		return -1;
	w = *state;
	w->host.no_iommufd = true;
	return open_context(w, 0) || open_device(w, 0, VFIO_NESTED_AUTO) || attach(w, 0);
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

static int teardown(void **state)
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
static void start_again(struct world *w)
{
	vtd_fixture_destroy(&w->f);
	vfio_device_close(&w->device[0]);
	/* As where a VM cannot be built: nothing was stopped, and the loop has not turned. */
	vfio_context_close(w->context);
	w->context = NULL;
	assert_int_equal(loop_in_flight(w->loop), 0);
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

static struct vtd_binding first_stage(uint64_t root)
{
	return (struct vtd_binding){ .type = VTD_BIND_FS, .fs_root = root, .fs_width = 48 };
}

static struct vtd_binding second_stage(uint64_t root)
{
	return (struct vtd_binding){ .type = VTD_BIND_SS, .ss_root = root, .ss_width = 48 };
}

static int bind(struct world *w, unsigned int index, uint32_t pasid, struct vtd_binding binding)
{
	return vfio_host_bind(w->behind[index], pasid, &binding);
}

static int unbind(struct world *w, unsigned int index, uint32_t pasid)
{
	return vfio_host_unbind(w->behind[index], pasid);
}

static struct vfio_host_counters counters(const struct world *w)
{
	return vfio_host_counters(&w->device[0]);
}

/* --- Opening --- */

static void test_open(void **state)
{
	struct world *w = *state;
	const struct vfio_device *device = &w->device[0];
	const struct fake_object *parent = fake_attached(&w->host, 0, NO_PASID);

	assert_int_equal(device->backend, VFIO_IOMMUFD);
	assert_true(device->nested && device->pri && device->ats && device->reset);
	assert_int_equal(device->pasid_bits, 16);
	assert_true(device->pasid_priv && !device->pasid_exec);
	assert_string_equal(device->path,
			    "iommufd, nested in dmar0; 16 bits of PASID; page requests");
	/* RAM once, one parent for both devices, attached to requests without PASID. */
	assert_int_equal(fake_called(&w->host, 0, UAPI_IOMMU_IOAS_MAP), 1);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 1);
	assert_int_equal(parent->flags,
			 UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT | UAPI_IOMMU_HWPT_ALLOC_PASID);
	assert_ptr_equal(fake_attached(&w->host, 1, NO_PASID), parent);
	assert_int_equal(fake_translate(&w->host, 0, 0x5000, true),
			 (uintptr_t)w->f.memory + 0x5000);
	/* 20 bits that the unit had became 16. */
	assert_int_equal(vtd_get(vtd_ecap(w->f.unit), VTD_ECAP_PSS), 15);
}

static void no_driver(struct fake_iommufd *host)
{
	host->device[0].driver = NULL;
}

static void other_driver(struct fake_iommufd *host)
{
	host->device[0].driver = "/sys/bus/pci/drivers/sdma";
}

static void no_group(struct fake_iommufd *host)
{
	host->device[0].no_group = true;
}

static void unsafe(struct fake_iommufd *host)
{
	host->unsafe_interrupts = true;
}

static void busy(struct fake_iommufd *host)
{
	host->group_busy = true;
}

static void no_nest(struct fake_iommufd *host)
{
	host->device[0].ecap &= ~VTD_ECAP_NEST;
}

static void no_scalable(struct fake_iommufd *host)
{
	host->device[0].ecap &= ~VTD_ECAP_SMTS;
}

static void not_vtd(struct fake_iommufd *host)
{
	host->device[0].info_type = 3;
}

static void little_memory(struct fake_iommufd *host)
{
	host->memlock = 1024 * KIB;
}

static void no_iommufd(struct fake_iommufd *host)
{
	host->no_iommufd = true;
}

static void no_cdev(struct fake_iommufd *host)
{
	host->device[0].no_cdev = true;
}

static void kernel_refuses(struct fake_iommufd *host)
{
	host->fail_request = UAPI_IOMMU_HWPT_ALLOC;
	host->fail_times = 1;
	host->fail_error = -EOPNOTSUPP;
}

/* What is in the way, and that one line says so. */
static void test_refusals(void **state)
{
	static const struct {
		void (*spoil)(struct fake_iommufd *host);
		const char *says;
	} row[] = {
		{ no_driver, "no driver is bound to it; `nidus vfio bind 0000:06:0d.0`" },
		{ other_driver, "the host's driver sdma is using it" },
		{ no_group, "no IOMMU of the host is in front of it" },
		{ unsafe, "iommufd.allow_unsafe_interrupts=1" },
		{ busy, "has a device of its IOMMU group" },
		{ no_nest, "dmar0 has no NEST (ECAP bit 26)" },
		{ no_scalable, "dmar0 has no SMTS (ECAP bit 43)" },
		{ not_vtd, "not a VT-d (type 3)" },
		{ kernel_refuses, "intel_iommu=on,sm_on" },
		{ little_memory, "must be locked: 4096 KiB, and 1024 KiB are allowed" },
		{ no_iommufd, "the host's kernel has no iommufd (CONFIG_IOMMUFD)" },
		{ no_cdev, "CONFIG_VFIO_DEVICE_CDEV" },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		int rc;

		row[i].spoil(&w->host);
		assert_int_equal(open_context(w, 0), 0);
		rc = open_device(w, 0, VFIO_NESTED_ON);
		if (!rc)
			rc = attach(w, 0);
		assert_true(rc < 0);
		if (!strstr(w->error, row[i].says))
			fail_msg("\"%s\" does not say \"%s\"", w->error, row[i].says);
		assert_null(strchr(w->error, '\n'));
		start_again(w);
	}
	w->host.open_error = -EACCES;
	assert_int_equal(open_context(w, 0), -EACCES);
	assert_string_equal(w->error, "vfio: /dev/iommu: Permission denied");
}

/* What cannot be nested is shadowed, and that is said; the guest sees no first stage then. */
static void test_shadowed(void **state)
{
	static const struct {
		void (*spoil)(struct fake_iommufd *host);
		enum vfio_nested nested;
		const char *path;
		unsigned int bits;
	} row[] = {
		{ no_nest, VFIO_NESTED_AUTO,
		  "iommufd, shadowed (second stage only): dmar0 has no NEST (ECAP bit 26); 16 bits "
		  "of PASID",
		  16 },
		{ unsafe, VFIO_NESTED_OFF,
		  "iommufd, shadowed (second stage only): nested=off; 16 bits of PASID", 16 },
		{ no_iommufd, VFIO_NESTED_AUTO, "type1, shadowed: the host's kernel has no iommufd",
		  0 },
		{ no_cdev, VFIO_NESTED_AUTO, "type1, shadowed: the host's kernel has no VFIO", 0 },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		row[i].spoil(&w->host);
		w->host.unsafe_interrupts = false;
		assert_int_equal(open_context(w, 0), 0);
		assert_int_equal(open_device(w, 0, row[i].nested), 0);
		assert_memory_equal(w->device[0].path, row[i].path, strlen(row[i].path));
		assert_int_equal(w->device[0].pasid_bits, row[i].bits);
		assert_false(w->device[0].pri || w->device[0].nested);
		assert_int_equal(attach(w, 0), 0);
		assert_int_equal(vtd_ecap(w->f.unit) & (VTD_ECAP_FSTS | VTD_ECAP_PRS), 0);
		assert_true(vtd_ecap(w->f.unit) & VTD_ECAP_SSTS);
		assert_int_equal(fake_translate(&w->host, 0, 0x5000, true),
				 (uintptr_t)w->f.memory + 0x5000);
		assert_int_equal(bind(w, 0, NO_PASID, first_stage(ROOT)), -EOPNOTSUPP);
		start_again(w);
	}
}

static void test_old_kernel_has_no_pasids(void **state)
{
	struct world *w = *state;

	w->host.no_pasid_api = true;
	assert_int_equal(open_context(w, 0), 0);
	assert_int_equal(open_device(w, 0, VFIO_NESTED_ON), 0);
	assert_int_equal(w->device[0].pasid_bits, 0);
	assert_non_null(strstr(w->device[0].path, "before 6.15"));
	assert_int_equal(attach(w, 0), 0);
	assert_int_equal(bind(w, 0, PASID, first_stage(ROOT)), -EOPNOTSUPP);
	assert_int_equal(bind(w, 0, NO_PASID, first_stage(ROOT)), 0);
}

/* Without a unit the guest's addresses are the device's. */
static void test_no_unit(void **state)
{
	struct world *w = *state;

	assert_int_equal(open_context(w, 0), 0);
	assert_int_equal(open_device(w, 0, VFIO_NESTED_AUTO), 0);
	assert_int_equal(vfio_device_attach(&w->device[0], NULL, NULL, w->error, sizeof(w->error)),
			 0);
	assert_int_equal(fake_translate(&w->host, 0, 0x7000, true),
			 (uintptr_t)w->f.memory + 0x7000);
}

/* --- Domains and bindings --- */

static void test_bind_costs_two_calls(void **state)
{
	struct world *w = *state;
	struct vtd_binding binding = first_stage(ROOT);
	unsigned int since = w->host.call_count;
	const struct fake_object *hwpt;

	binding.sre = binding.wpe = binding.faultable = true;
	assert_int_equal(bind(w, 0, PASID, binding), 0);
	assert_int_equal(w->host.call_count - since, 2);
	hwpt = fake_attached(&w->host, 0, PASID);
	assert_int_equal(hwpt->kind, FAKE_NESTED);
	assert_int_equal(hwpt->root, ROOT);
	assert_int_equal(hwpt->width, 48);
	assert_int_equal(hwpt->s1_flags, UAPI_IOMMU_VTD_S1_SRE | UAPI_IOMMU_VTD_S1_WPE);
	assert_true(hwpt->fault_id);
	/* The same again is nothing. */
	assert_int_equal(bind(w, 0, PASID, binding), 0);
	assert_int_equal(w->host.call_count - since, 2);
	since = w->host.call_count;
	assert_int_equal(unbind(w, 0, PASID), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_null(fake_attached(&w->host, 0, PASID));
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
	assert_int_equal(unbind(w, 0, PASID), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_int_equal(counters(w).binds, 2); /* requests without PASID, at the start */
	assert_int_equal(counters(w).unbinds, 1);
}

static void test_domains_are_shared(void **state)
{
	struct world *w = *state;
	struct vtd_binding other = first_stage(ROOT);

	for (uint32_t pasid = 1; pasid <= 20; pasid++)
		assert_int_equal(bind(w, pasid % 2, pasid, first_stage(ROOT)), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 1);
	other.wpe = true;
	assert_int_equal(bind(w, 0, 30, other), 0);
	other.fs_width = 57;
	assert_int_equal(bind(w, 0, 31, other), 0);
	assert_int_equal(bind(w, 0, 32, first_stage(ROOT + PAGE)), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 4);
	for (uint32_t pasid = 1; pasid <= 19; pasid++)
		assert_int_equal(unbind(w, pasid % 2, pasid), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 4);
	assert_int_equal(unbind(w, 0, 20), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 3);
}

static void test_replace_without_a_gap(void **state)
{
	struct world *w = *state;
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	unsigned int since = w->host.call_count;

	assert_int_equal(bind(w, 0, PASID, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 0, PASID, first_stage(ROOT + PAGE)), 0);
	assert_int_equal(fake_attached(&w->host, 0, PASID)->root, ROOT + PAGE);
	assert_int_equal(bind(w, 0, PASID, identity), 0);
	assert_ptr_equal(fake_attached(&w->host, 0, PASID), fake_attached(&w->host, 0, NO_PASID));
	assert_int_equal(bind(w, 0, NO_PASID, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 0, NO_PASID, identity), 0);
	assert_int_equal(fake_called(&w->host, since, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
}

/* The kernel would lose a reference: the fake checks that the old domain is detached first. */
static void test_faultable_without_pasid(void **state)
{
	struct world *w = *state;
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	struct vtd_binding binding = first_stage(ROOT);

	binding.faultable = true;
	assert_int_equal(bind(w, 0, NO_PASID, binding), 0);
	binding.fs_root += PAGE;
	assert_int_equal(bind(w, 0, NO_PASID, binding), 0);
	assert_int_equal(fake_called(&w->host, 0, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 1);
	assert_int_equal(bind(w, 0, NO_PASID, identity), 0);
	assert_int_equal(fake_called(&w->host, 0, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 2);
	/* With a PASID there is no such trouble. */
	assert_int_equal(bind(w, 0, PASID, binding), 0);
	binding.fs_root += PAGE;
	assert_int_equal(bind(w, 0, PASID, binding), 0);
	assert_int_equal(fake_called(&w->host, 0, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 2);
	/* The new one does not come: nothing is attached, and nothing is left to unbind. */
	assert_int_equal(bind(w, 0, NO_PASID, binding), 0);
	binding.fs_root += PAGE;
	w->host.fail_request = UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT;
	w->host.fail_times = 1;
	w->host.fail_error = -ENOSPC;
	assert_int_equal(bind(w, 0, NO_PASID, binding), -ENOSPC);
	assert_null(fake_attached(&w->host, 0, NO_PASID));
	assert_int_equal(unbind(w, 0, NO_PASID), 0);
	assert_int_equal(bind(w, 0, NO_PASID, binding), 0);
}

static void test_unsupported(void **state)
{
	struct world *w = *state;
	struct vtd_binding binding = first_stage(ROOT);

	w->device[0].host_cap &= ~VTD_CAP_FS5LP;
	w->device[0].host_ecap &= ~(VTD_ECAP_SRS | VTD_ECAP_EAFS);
	binding.fs_width = 57;
	assert_int_equal(bind(w, 0, PASID, binding), -EOPNOTSUPP);
	binding.fs_width = 48;
	binding.sre = true;
	assert_int_equal(bind(w, 0, PASID, binding), -EOPNOTSUPP);
	binding.sre = false;
	binding.eafe = true;
	assert_int_equal(bind(w, 0, PASID, binding), -EOPNOTSUPP);
	/* It is the kernel's name for requests without PASID. */
	assert_int_equal(bind(w, 0, 0, first_stage(ROOT)), -EOPNOTSUPP);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
}

static void test_quota(void **state)
{
	struct world *w = *state;

	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		assert_int_equal(bind(w, 0, pasid, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 1, 4, first_stage(ROOT)), -ENOSPC);
	assert_int_equal(unbind(w, 0, 2), 0);
	assert_int_equal(bind(w, 1, 4, first_stage(ROOT)), 0);
	/* Domains: that of ROOT and two more. A replaced one goes after the new one came. */
	assert_int_equal(bind(w, 0, NO_PASID, first_stage(ROOT + PAGE)), 0);
	assert_int_equal(bind(w, 1, NO_PASID, first_stage(ROOT + 2 * PAGE)), 0);
	assert_int_equal(bind(w, 0, 1, first_stage(ROOT + 3 * PAGE)), -ENOSPC);
	assert_int_equal(fake_attached(&w->host, 0, 1)->root, ROOT);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 3);
	assert_int_equal(unbind(w, 1, NO_PASID), 0);
	assert_int_equal(bind(w, 0, 1, first_stage(ROOT + 3 * PAGE)), 0);
}

/* The host has no domain-id left. */
static void test_hardware_is_full(void **state)
{
	struct world *w = *state;

	w->host.hardware_domains = 2; /* one is the parent */
	assert_int_equal(bind(w, 0, 1, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 0, 2, first_stage(ROOT + PAGE)), -ENOSPC);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 1);
	assert_int_equal(bind(w, 0, 3, first_stage(ROOT)), 0);
}

static void test_attach_waits_for_a_reset(void **state)
{
	struct world *w = *state;

	w->host.fail_request = UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT;
	w->host.fail_error = -EBUSY;
	w->host.fail_times = 5;
	assert_int_equal(bind(w, 0, PASID, first_stage(ROOT)), 0);
	assert_int_equal(w->host.slept, 50);
	w->host.fail_times = 1000;
	assert_int_equal(bind(w, 0, PASID + 1, first_stage(ROOT)), -EBUSY);
	assert_int_equal(w->host.slept, 50 + VFIO_RESET_MS);
	w->host.fail_times = 3;
	w->host.fail_error = -EINTR;
	assert_int_equal(bind(w, 0, PASID + 1, first_stage(ROOT)), 0);
}

/* --- Invalidations --- */

static int invalidate(struct world *w, unsigned int index, uint32_t pasid, uint64_t address,
		      uint64_t pages, bool leaf)
{
	const struct vtd_host_invalidation list = { address, pages, leaf };

	return vfio_host_invalidate(w->behind[index], pasid, &list, 1);
}

static void test_one_call_for_each_domain(void **state)
{
	struct world *w = *state;
	unsigned int since;

	assert_int_equal(bind(w, 0, 1, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 0, 2, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 1, 7, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 1, 8, first_stage(ROOT + PAGE)), 0);
	since = w->host.call_count;
	for (unsigned int i = 0; i < 10; i++) {
		invalidate(w, 0, 1, 0x1000 * i, 1, true);
		invalidate(w, 0, 2, 0x1000 * i, 1, true);
		invalidate(w, 1, 7, 0x1000 * i, 1, true);
	}
	invalidate(w, 1, 8, 0x80000, 16, false);
	/* The identity has nothing that could be stale; what is not bound has nothing at all. */
	invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	invalidate(w, 0, 99, 0, UINT64_MAX, false);
	assert_int_equal(w->host.call_count, since);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(vfio_host_flush(w->behind[1]), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_int_equal(fake_attached(&w->host, 0, 1)->ranges, 1);
	assert_int_equal(fake_attached(&w->host, 0, 1)->pages, 10);
	assert_int_equal(fake_attached(&w->host, 0, 1)->range_flags, 1);
	assert_int_equal(fake_attached(&w->host, 1, 8)->address, 0x80000);
	assert_int_equal(fake_attached(&w->host, 1, 8)->range_flags, 0);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(w->host.call_count - since, 2);
}

static void test_many_ranges_are_everything(void **state)
{
	struct world *w = *state;
	const struct fake_object *hwpt;

	assert_int_equal(bind(w, 0, PASID, first_stage(ROOT)), 0);
	hwpt = fake_attached(&w->host, 0, PASID);
	for (unsigned int i = 0; i < VFIO_RANGES; i++)
		invalidate(w, 0, PASID, 0x10000 * (VFIO_RANGES - i), 1, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(hwpt->ranges, VFIO_RANGES);
	for (unsigned int i = 0; i <= VFIO_RANGES; i++)
		invalidate(w, 0, PASID, 0x10000 * i, 1, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(hwpt->ranges, 1);
	assert_int_equal(hwpt->pages, UINT64_MAX);
	assert_int_equal(hwpt->address, 0);
	/* Nothing so large that its end is beyond the last address. */
	invalidate(w, 0, PASID, PAGE, (UINT64_C(1) << 52) - 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(hwpt->pages, UINT64_MAX);
}

static void test_invalidation_fails(void **state)
{
	struct world *w = *state;

	assert_int_equal(bind(w, 0, PASID, first_stage(ROOT)), 0);
	assert_int_equal(bind(w, 0, PASID + 1, first_stage(ROOT + PAGE)), 0);
	invalidate(w, 0, PASID, 0, 1, false);
	invalidate(w, 0, PASID + 1, 0, 1, false);
	w->host.fail_request = UAPI_IOMMU_HWPT_INVALIDATE;
	w->host.fail_times = 1;
	w->host.fail_error = -ETIMEDOUT;
	assert_int_equal(vfio_host_flush(w->behind[0]), -ETIMEDOUT);
	/* The other one was sent all the same; neither is sent again. */
	assert_int_equal(fake_attached(&w->host, 0, PASID)->invalidations +
				 fake_attached(&w->host, 0, PASID + 1)->invalidations,
			 1);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	/* What is pending goes with its domain. */
	invalidate(w, 0, PASID, 0, 1, false);
	assert_int_equal(unbind(w, 0, PASID), 0);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
}

static void test_ranges(void **state)
{
	struct vfio_ranges ranges = { 0 };

	(void)state;
	vfio_ranges_add(&ranges, 0x5000, 2, true);
	vfio_ranges_add(&ranges, 0x1000, 1, true);
	vfio_ranges_add(&ranges, 0x9000, 1, true);
	assert_int_equal(ranges.count, 3);
	vfio_ranges_add(&ranges, 0x2000, 3, false);
	assert_int_equal(ranges.count, 2);
	assert_int_equal(ranges.range[0].first, 1);
	assert_int_equal(ranges.range[0].last, 6);
	assert_false(ranges.range[0].leaf);
	assert_true(ranges.range[1].leaf);
	vfio_ranges_add(&ranges, 0, 0, false);
	assert_int_equal(ranges.count, 2);
	vfio_ranges_add(&ranges, 0, 100, true);
	assert_int_equal(ranges.count, 1);
	assert_int_equal(ranges.range[0].last, 99);
	vfio_ranges_add(&ranges, 0, UINT64_MAX, true);
	assert_true(ranges.everything && !vfio_ranges_empty(&ranges));
	vfio_ranges_clear(&ranges);
	assert_true(vfio_ranges_empty(&ranges));
}

/* --- A guest, by its tables and its queue --- */

static void guest_set_entry(struct world *w, uint32_t pasid, enum vtd_pgtt pgtt, uint64_t fs_root,
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

static void guest_wait(struct world *w, uint32_t pasid)
{
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_IOTLB | vtd_put(VTD_PASID_IOTLB_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   0);
	assert_true(vtd_fixture_wait(&w->f));
}

static void guest_entry_changed(struct world *w, uint32_t pasid)
{
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_CACHE | vtd_put(VTD_PASID_CACHE_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   0);
	guest_wait(w, pasid);
}

/* Scalable mode, both devices with one PASID directory, page requests on. */
static void guest_start(struct world *w)
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

static void test_guest_entries(void **state)
{
	struct world *w = *state;
	unsigned int since;

	guest_start(w);
	assert_null(fake_attached(&w->host, 0, NO_PASID));
	/* RID_PASID is 0: one entry, one domain, and PASID 0 is not bound beside. */
	guest_set_entry(w, 0, VTD_PGTT_FS, ROOT, 0);
	guest_entry_changed(w, 0);
	assert_int_equal(fake_attached(&w->host, 0, NO_PASID)->root, ROOT);
	assert_ptr_equal(fake_attached(&w->host, 1, NO_PASID),
			 fake_attached(&w->host, 0, NO_PASID));
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT + PAGE, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(fake_attached(&w->host, 0, PASID)->root, ROOT + PAGE);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 2);
	/* One wait: one call, though two devices have the PASID. */
	since = w->host.call_count;
	guest_wait(w, PASID);
	assert_int_equal(w->host.call_count - since, 1);
	assert_int_equal(w->host.calls[since], UAPI_IOMMU_HWPT_INVALIDATE);
	assert_int_equal(vtd_fixture_read32(&w->f, VTD_FSTS) & VTD_FSTS_ITE, 0);
	/* One that fails is an error of the queue. */
	w->host.fail_request = UAPI_IOMMU_HWPT_INVALIDATE;
	w->host.fail_times = 1;
	w->host.fail_error = -EIO;
	vtd_fixture_submit(&w->f,
			   VTD_DESC_PASID_IOTLB | vtd_put(VTD_PASID_IOTLB_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(PASID, VTD_DESC_PASID),
			   0);
	assert_false(vtd_fixture_wait(&w->f));
	assert_true(vtd_fixture_read32(&w->f, VTD_FSTS) & VTD_FSTS_ITE);
}

static void test_guest_is_told_of_refusals(void **state)
{
	struct world *w = *state;

	guest_start(w);
	w->host.fail_request = UAPI_IOMMU_HWPT_ALLOC;
	w->host.fail_times = 2;
	w->host.fail_error = -ENOMEM;
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT, 0);
	guest_entry_changed(w, PASID);
	assert_null(fake_attached(&w->host, 0, PASID));
	assert_int_equal(vtd_fault_counter(w->f.unit, VTD_SPT_INVALID), 2);
	/* The guest removes it: nothing was there, and nothing fails. */
	guest_set_entry(w, PASID, 0, 0, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(vtd_fault_counter(w->f.unit, VTD_SPT_INVALID), 2);
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT, 0);
	guest_entry_changed(w, PASID);
	assert_non_null(fake_attached(&w->host, 0, PASID));
	assert_non_null(fake_attached(&w->host, 1, PASID));
}

/* --- Page requests --- */

static void turn(struct world *w)
{
	for (unsigned int i = 0; i < 3; i++)
		loop_turn(w->loop, false);
}

/* The page request at @index of the guest's queue: its group, and that it is what was asked. */
static unsigned int guest_request(struct world *w, unsigned int index, uint64_t address, bool last)
{
	uint64_t at = vtd_fixture_read64(&w->f, VTD_PQA) + index * 32;
	uint64_t low = vtd_fixture_load(&w->f, at), high = vtd_fixture_load(&w->f, at + 8);

	assert_int_equal(vtd_get(low, VTD_PAGE0_PASID), PASID);
	assert_true(low & VTD_PAGE0_PASID_P);
	assert_int_equal(high & VTD_PAGE1_ADDR, address);
	assert_int_equal(!!(high & VTD_PAGE1_LPIG), last);
	return (unsigned int)vtd_get(high, VTD_PAGE1_PRGI);
}

static void guest_answer(struct world *w, unsigned int group, unsigned int code)
{
	vtd_fixture_submit(
		&w->f,
		VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P | vtd_put(code, VTD_RESPONSE_RC) |
			vtd_put(SOURCE, VTD_RESPONSE_RID) | vtd_put(PASID, VTD_DESC_PASID),
		vtd_put(group, VTD_RESPONSE1_PRGI));
}

/* Page requests on, and PASID bound. */
static void guest_faults(struct world *w)
{
	guest_start(w);
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT, 0);
	guest_entry_changed(w, PASID);
	turn(w);
}

static void test_page_requests(void **state)
{
	struct world *w = *state;
	unsigned int first, second, third, group[3];

	guest_faults(w);
	/* Several groups in one read; one of them has two requests. */
	first = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	second = fake_fault(&w->host, 0, PASID, 0x8000, 2, 2);
	third = fake_fault(&w->host, 0, PASID, 0x5000, 3, 1);
	turn(w);
	assert_int_equal(vtd_fixture_read64(&w->f, VTD_PQT), 4 * 32);
	group[0] = guest_request(w, 0, 0x1000, true);
	group[1] = guest_request(w, 1, 0x8000, false);
	assert_int_equal(guest_request(w, 2, 0x9000, true), group[1]);
	group[2] = guest_request(w, 3, 0x5000, true);
	assert_int_not_equal(group[0], group[1]);
	assert_int_not_equal(group[1], group[2]);
	/* Answers in another order, each to its own. */
	guest_answer(w, group[2], VTD_RESPONSE_FAILURE);
	assert_int_equal(w->host.group[third].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	guest_answer(w, group[0], VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.group[first].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(w->host.group[second].answer, UINT32_MAX);
	guest_answer(w, group[1], VTD_RESPONSE_INVALID);
	assert_int_equal(w->host.group[second].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(counters(w).faults, 4);
	assert_int_equal(counters(w).responses, 3);
	assert_int_equal(counters(w).auto_responses, 0);
	/* A second answer goes nowhere. */
	guest_answer(w, group[1], VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
}

static void test_queue_is_off_or_full(void **state)
{
	struct world *w = *state;
	unsigned int group;

	guest_faults(w);
	/* No room: ask again. */
	vtd_fixture_write64(&w->f, VTD_PQH, 32);
	group = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	turn(w);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(counters(w).auto_responses, 1);
	/* Nowhere to put it. */
	vtd_fixture_write32(&w->f, VTD_PRS, 3);
	vtd_fixture_write64(&w->f, VTD_PQH, 0);
	vtd_fixture_write64(&w->f, VTD_PQA, FIXTURE_MEMORY);
	group = fake_fault(&w->host, 0, PASID, 0x1000, 1, 3);
	turn(w);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(counters(w).auto_responses, 2);
	assert_int_equal(counters(w).responses, 2);
}

/* A late answer must not hit the group that got the cookie since. */
static void test_detached_groups_are_forgotten(void **state)
{
	struct world *w = *state;
	unsigned int first, second, old, new;

	guest_faults(w);
	first = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	turn(w);
	old = guest_request(w, 0, 0x1000, true);
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT + PAGE, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(w->host.group[first].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	second = fake_fault(&w->host, 0, PASID, 0x2000, 1, 1);
	turn(w);
	new = guest_request(w, 1, 0x2000, true);
	assert_int_equal(w->host.group[second].cookie, 0);
	assert_int_not_equal(new, old);
	guest_answer(w, old, VTD_RESPONSE_SUCCESS);
	if (second != first)
		assert_int_equal(w->host.group[second].answer, UINT32_MAX);
	assert_true(w->host.group[second].used);
	guest_answer(w, new, VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.group[second].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
	assert_int_equal(counters(w).auto_responses, 1);
}

static void test_reset_answers_all(void **state)
{
	struct world *w = *state;
	unsigned int group[5];

	guest_faults(w);
	for (unsigned int i = 0; i < 5; i++)
		group[i] = fake_fault(&w->host, 0, PASID, 0x1000 * i, 1, 1);
	turn(w);
	vfio_device_answer_faults(&w->device[0]);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(w->host.group[group[i]].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	guest_answer(w, guest_request(w, 0, 0, true), VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
	assert_int_equal(counters(w).responses, 5);
}

/* 127 fit in the guest's queue, 512 in a device's indices; all are answered in the end. */
static void test_many_page_requests(void **state)
{
	struct world *w = *state;
	unsigned int answered = 0;

	guest_faults(w);
	for (unsigned int round = 0; round < 6; round++) {
		for (unsigned int i = 0; i < 120; i++)
			fake_fault(&w->host, 0, PASID, 0x1000 * i, 1, 1);
		turn(w);
		/* The guest takes them and does not answer. */
		vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	}
	for (unsigned int i = 0; i < FAKE_GROUPS; i++)
		answered += !w->host.group[i].used && w->host.group[i].answer == 0;
	assert_int_equal(counters(w).faults, 720);
	assert_int_equal(counters(w).auto_responses, 720 - 512);
	/* Slots of answered groups were used again. */
	assert_true(answered > 0);
	guest_set_entry(w, PASID, 0, 0, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(counters(w).responses, 720);
	for (unsigned int i = 0; i < FAKE_GROUPS; i++)
		assert_false(w->host.group[i].used);
}

static void test_odd_groups(void **state)
{
	struct world *w = *state;
	unsigned int large, stranger, nothing;

	guest_faults(w);
	/* Larger than any read so far. */
	large = fake_fault(&w->host, 0, PASID, 0x1000, 1, 2000);
	turn(w);
	assert_int_equal(counters(w).faults, 2000);
	assert_int_equal(w->host.group[large].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	vfio_device_close(&w->device[1]);
	stranger = fake_fault(&w->host, 1, PASID, 0x1000, 1, 1);
	nothing = fake_fault(&w->host, 0, PASID, 0x1000, 8, 1);
	turn(w);
	assert_int_equal(w->host.group[stranger].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(w->host.group[nothing].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	/* A read that fails for a moment loses nothing. */
	w->host.fail_call = 1;
	w->host.fail_error = -EINTR;
	vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	vtd_fixture_write32(&w->f, VTD_PRS, 3);
	fake_fault(&w->host, 0, PASID, 0x7000, 1, 1);
	turn(w);
	assert_int_equal(counters(w).faults, 2002);
}

/* --- Shadows --- */

static void guest_map(struct world *w, uint64_t table, uint64_t iova, uint64_t gpa, uint64_t bits)
{
	for (unsigned int level = 3; level > 0; level--) {
		uint64_t at = table + (iova >> (12 + 9 * level) & 511) * 8;

		if (!vtd_fixture_load(&w->f, at))
			vtd_fixture_store(&w->f, at, vtd_fixture_page(&w->f) | RW);
		table = vtd_fixture_load(&w->f, at) & VTD_SS_ADDR;
	}
	vtd_fixture_store(&w->f, table + (iova >> 12 & 511) * 8, bits ? gpa | bits : 0);
}

static void expect_at(const struct world *w, uint64_t iova, uint64_t gpa)
{
	assert_int_equal(fake_translate(&w->host, 0, iova, false), (uintptr_t)w->f.memory + gpa);
}

#define IOVA UINT64_C(0x40000000)

static unsigned long unmap_call(const struct world *w)
{
	return w->device[0].backend == VFIO_TYPE1 ? VFIO_IOMMU_UNMAP_DMA : UAPI_IOMMU_IOAS_UNMAP;
}

static unsigned long map_call(const struct world *w)
{
	return w->device[0].backend == VFIO_TYPE1 ? VFIO_IOMMU_MAP_DMA : UAPI_IOMMU_IOAS_COPY;
}

/* For iommufd and for type1. */
static void test_shadow(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);
	unsigned int since;

	for (unsigned int i = 0; i < 16; i++)
		guest_map(w, root, IOVA + i * PAGE, 0x200000 + i * PAGE, RW);
	guest_map(w, root, IOVA + 32 * PAGE, 0x280000, VTD_SS_R);
	guest_map(w, root, IOVA + 33 * PAGE, FIXTURE_MEMORY, RW);
	guest_map(w, root, 0xfee00000, 0x280000, RW);
	since = w->host.call_count;
	assert_int_equal(bind(w, 0, NO_PASID, second_stage(root)), 0);
	/* One mapping for all that follow each other; what is no RAM is left out. */
	assert_int_equal(fake_called(&w->host, since, map_call(w)), 2);
	expect_at(w, IOVA, 0x200000);
	expect_at(w, IOVA + 15 * PAGE, 0x20f000);
	expect_at(w, IOVA + 32 * PAGE, 0x280000);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 32 * PAGE, true), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 16 * PAGE, false), 0);
	assert_int_equal(fake_translate(&w->host, 0, 0x200000, false), 0);
	/* More beside it: what is there is not touched. */
	w->host.watched = true;
	w->host.watch_iova = IOVA + 15 * PAGE;
	since = w->host.call_count;
	guest_map(w, root, IOVA + 16 * PAGE, 0x210000, RW);
	invalidate(w, 0, NO_PASID, IOVA + 16 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(w->host.call_count - since, 1);
	expect_at(w, IOVA + 16 * PAGE, 0x210000);
	/* It goes again, as it came. */
	guest_map(w, root, IOVA + 16 * PAGE, 0, 0);
	invalidate(w, 0, NO_PASID, IOVA + 16 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 16 * PAGE, false), 0);
	/* Another page in its place, and another permission. */
	guest_map(w, root, IOVA + 32 * PAGE, 0x300000, RW);
	invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	expect_at(w, IOVA + 32 * PAGE, 0x300000);
	assert_false(w->host.gap);
	/* A part of a mapping goes. */
	guest_map(w, root, IOVA + 3 * PAGE, 0, 0);
	invalidate(w, 0, NO_PASID, IOVA + 3 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	expect_at(w, IOVA + 2 * PAGE, 0x202000);
	expect_at(w, IOVA + 4 * PAGE, 0x204000);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 3 * PAGE, false), 0);
	assert_int_equal(fake_called(&w->host, since, unmap_call(w)) > 2,
			 w->device[0].backend == VFIO_TYPE1);
	/* type1 cannot do it in one step. */
	assert_int_equal(w->host.gap, w->device[0].backend == VFIO_TYPE1);
	w->host.watched = false;
	assert_int_equal(unbind(w, 0, NO_PASID), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA, false), 0);
}

/* A new address space for it, wherever it is attached. */
static void test_rebuilt_shadow_moves_all(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f);

	for (unsigned int i = 0; i < 8; i++)
		guest_map(w, root, IOVA + i * PAGE, 0x200000 + i * PAGE, RW);
	assert_int_equal(bind(w, 0, NO_PASID, second_stage(root)), 0);
	assert_int_equal(bind(w, 1, NO_PASID, second_stage(root)), 0);
	assert_int_equal(bind(w, 1, PASID, second_stage(root)), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 2);
	guest_map(w, root, IOVA + 3 * PAGE, 0, 0);
	invalidate(w, 1, PASID, IOVA + 3 * PAGE, 1, true);
	assert_int_equal(vfio_host_flush(w->behind[1]), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 3 * PAGE, false), 0);
	assert_ptr_equal(fake_attached(&w->host, 0, NO_PASID), fake_attached(&w->host, 1, PASID));
	assert_ptr_equal(fake_attached(&w->host, 0, NO_PASID),
			 fake_attached(&w->host, 1, NO_PASID));
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 2);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 2);
	/* It cannot move: then it is cut where it is. */
	guest_map(w, root, IOVA + 6 * PAGE, 0, 0);
	invalidate(w, 1, PASID, IOVA + 6 * PAGE, 1, true);
	w->host.fail_request = UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT;
	w->host.fail_times = 1;
	w->host.fail_error = -ENOMEM;
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(fake_translate(&w->host, 0, IOVA + 6 * PAGE, false), 0);
	expect_at(w, IOVA + 5 * PAGE, 0x205000);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 2);
	/* Gone with the last that has it. */
	assert_int_equal(unbind(w, 0, NO_PASID), 0);
	assert_int_equal(unbind(w, 1, NO_PASID), 0);
	assert_int_equal(unbind(w, 1, PASID), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
}

static void test_nested_in_a_shadow(void **state)
{
	struct world *w = *state;
	struct vtd_binding binding = first_stage(ROOT);
	uint64_t root = vtd_fixture_page(&w->f);
	unsigned int since;

	guest_map(w, root, IOVA, 0x200000, RW);
	binding.type = VTD_BIND_NESTED;
	binding.ss_root = root;
	binding.ss_width = 48;
	assert_int_equal(bind(w, 0, PASID, binding), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 2);
	assert_int_not_equal(fake_attached(&w->host, 0, PASID)->below, 1);
	guest_map(w, root, IOVA + PAGE, 0x300000, RW);
	since = w->host.call_count;
	invalidate(w, 0, PASID, 0, UINT64_MAX, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_IOAS_COPY), 1);
	assert_int_equal(fake_called(&w->host, since, UAPI_IOMMU_HWPT_INVALIDATE), 1);
	/* The second stage first. */
	assert_int_equal(w->host.calls[since], UAPI_IOMMU_IOAS_COPY);
	assert_int_equal(unbind(w, 0, PASID), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_PAGING), 1);
	/* What is read-only cannot have others nested in it (erratum 772415). */
	guest_map(w, root, IOVA, 0x200000, VTD_SS_R);
	assert_int_equal(bind(w, 0, PASID, binding), -EINVAL);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
}

/* Tables that would never end. */
static void test_hostile_second_stage(void **state)
{
	struct world *w = *state;
	uint64_t root = vtd_fixture_page(&w->f), odd = vtd_fixture_page(&w->f);

	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, root + i * 8, root | RW);
	assert_int_equal(bind(w, 0, NO_PASID, second_stage(root)), -ENOSPC);
	/* Many tables with nothing in them. */
	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, root + i * 8, odd | RW);
	for (unsigned int i = 0; i < 512; i++)
		vtd_fixture_store(&w->f, odd + i * 8, (i < 500 ? root : FIXTURE_MEMORY) | RW);
	assert_true(bind(w, 0, NO_PASID, second_stage(root)) < 0);
	assert_int_equal(fake_objects(&w->host, FAKE_IOAS), 1);
	/* Roots and tables that are no memory map nothing. */
	assert_int_equal(bind(w, 0, NO_PASID, second_stage(FIXTURE_MEMORY)), 0);
	assert_int_equal(fake_translate(&w->host, 0, 0, false), 0);
}

static void test_walk(void **state)
{
	static const struct {
		unsigned int level;
		uint64_t value, iova, gpa, len;
	} row[] = {
		/* A large page is cut to what is RAM, and to what is asked for. */
		{ 2, 0x200000 | RW | VTD_SS_PS, 0, 0x200000, 0x200000 },
		{ 3, 0 | RW | VTD_SS_PS, 0, 0, FIXTURE_MEMORY },
		{ 1, 0x5000 | VTD_SS_R, 0, 0x5000, PAGE },
		{ 1, 0x5000 | VTD_SS_W, 0, 0x5000, PAGE },
		{ 1, 0x5000, 0, 0, 0 },
		/* No pages that large. */
		{ 4, 0 | RW | VTD_SS_PS, 0, 0, 0 },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		uint64_t root = vtd_fixture_page(&w->f), table = root;
		struct vfio_runs runs = { 0 };

		for (unsigned int level = 4; level > row[i].level; level--) {
			vtd_fixture_store(&w->f, table, vtd_fixture_page(&w->f) | RW);
			table = vtd_fixture_load(&w->f, table) & VTD_SS_ADDR;
		}
		vtd_fixture_store(&w->f, table, row[i].value);
		assert_int_equal(vfio_walk_table(&w->ram, root, 48, 0, VFIO_WALK_END, &runs), 0);
		assert_int_equal(runs.count, row[i].len ? 1 : 0);
		if (runs.count) {
			assert_int_equal(runs.run[0].iova, row[i].iova);
			assert_int_equal(runs.run[0].gpa, row[i].gpa);
			assert_int_equal(runs.run[0].len, row[i].len);
			assert_int_equal(runs.run[0].read, !!(row[i].value & VTD_SS_R));
			assert_int_equal(runs.run[0].write, !!(row[i].value & VTD_SS_W));
		}
		free(runs.run);
	}
}

/* --- Failures --- */

/* A life of everything; what fails is let go. False if something did. */
static bool live(struct world *w)
{
	uint64_t root = vtd_fixture_page(&w->f);
	struct vtd_binding faultable = first_stage(ROOT), nested = first_stage(ROOT);
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	unsigned int errors = 0;

	faultable.faultable = true;
	nested.type = VTD_BIND_NESTED;
	nested.ss_root = root;
	nested.ss_width = 48;
	for (unsigned int i = 0; i < 4; i++)
		guest_map(w, root, IOVA + i * PAGE, 0x200000 + i * PAGE, RW);
	errors += !!bind(w, 0, NO_PASID, faultable);
	errors += !!bind(w, 0, 1, first_stage(ROOT));
	errors += !!bind(w, 0, 2, second_stage(root));
	errors += !!bind(w, 0, 3, nested);
	errors += !!bind(w, 0, 1, faultable);
	guest_map(w, root, IOVA + 1 * PAGE, 0, 0);
	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		invalidate(w, 0, pasid, 0, UINT64_MAX, false);
	errors += !!vfio_host_flush(w->behind[0]);
	errors += !!bind(w, 0, NO_PASID, first_stage(ROOT + PAGE));
	errors += !!bind(w, 0, NO_PASID, identity);
	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		errors += !!unbind(w, 0, pasid);
	return !errors;
}

/* Whichever call fails, it can be lived again afterwards, and all can be closed. */
static void test_each_call_fails(void **state)
{
	static const int codes[] = { -ENOMEM, -ENOSPC, -EINVAL, -EIO };
	struct world *w = *state;
	unsigned int call, failed = 0;

	for (call = 1; call < 200; call++) {
		uint64_t page = w->f.next_page;
		unsigned int left;

		w->host.fail_call = call;
		w->host.fail_error = codes[call % ARRAY_SIZE(codes)];
		failed += !live(w);
		left = w->host.fail_call;
		w->host.fail_call = 0;
		/* What could not be unbound is, now. */
		for (uint32_t pasid = 1; pasid <= 3; pasid++)
			assert_int_equal(unbind(w, 0, pasid), 0);
		w->f.next_page = page;
		assert_true(live(w));
		w->f.next_page = page;
		assert_int_equal(w->context->pasids, 0);
		assert_int_equal(w->context->domains, 0);
		assert_null(w->context->pending);
		if (left)
			break;
	}
	assert_in_range(call, 30, 199);
	assert_true(failed > 20);
}

/* Opening and attaching, too. */
static void test_each_opening_call_fails(void **state)
{
	struct world *w = *state;
	unsigned int call;

	for (call = 1; call < 100; call++) {
		unsigned int left;
		int rc;

		w->host.fail_call = call;
		w->host.fail_error = -ENOMEM;
		w->error[0] = 0;
		assert_int_equal(open_context(w, 0), 0);
		rc = open_device(w, 0, VFIO_NESTED_ON);
		if (!rc)
			rc = attach(w, 0);
		left = w->host.fail_call;
		w->host.fail_call = 0;
		assert_int_equal(!rc, !w->error[0]);
		start_again(w);
		if (left)
			break;
	}
	assert_in_range(call, 12, 99);
}

/* --- nidus vfio bind --- */

static void test_bind_to_vfio_pci(void **state)
{
	struct world *w = *state;
	const struct vfio_kernel *kernel = &w->host.kernel;
	char *error = w->error;
	const size_t size = sizeof(w->error);

	w->host.device[0].driver = "sdma";
	assert_int_equal(vfio_bind_by(kernel, "6:d.0", error, size), 0);
	assert_string_equal(w->host.device[0].driver, "vfio-pci");
	assert_int_equal(w->host.writes, 3);
	assert_non_null(strstr(w->host.written[0].path, "0000:06:0d.0/driver_override"));
	assert_non_null(strstr(w->host.written[1].path, "0000:06:0d.0/driver/unbind"));
	/* Again: nothing to do. */
	assert_int_equal(vfio_bind_by(kernel, "/sys/bus/pci/devices/0000:06:0d.0", error, size), 0);
	assert_int_equal(w->host.writes, 3);
	assert_int_equal(vfio_unbind_by(kernel, "06:0d.0", error, size), 0);
	assert_string_equal(w->host.device[0].driver, "sdma");
	assert_int_equal(vfio_unbind_by(kernel, "06:0d.0", error, size), -EINVAL);
	assert_non_null(strstr(error, "it has driver sdma, not vfio-pci"));
	assert_int_equal(vfio_bind_by(kernel, "07:00.0", error, size), -ENOENT);
	assert_int_equal(vfio_bind_by(kernel, "nonsense", error, size), -EINVAL);
	assert_int_equal(vfio_bind_by(kernel, "06:20.0", error, size), -EINVAL);
	assert_int_equal(vfio_bind_by(kernel, "06:0d.8", error, size), -EINVAL);
	w->host.open_error = -EACCES;
	assert_int_equal(vfio_bind_by(kernel, "06:0d.0", error, size), -EACCES);
	assert_non_null(strstr(error, "this needs root"));
	w->host.no_driver = true;
	assert_int_equal(vfio_bind_by(kernel, "06:0d.0", error, size), -ENODEV);
	assert_non_null(strstr(error, "modprobe vfio-pci"));
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open, setup),
		TEST(test_refusals, setup_closed),
		TEST(test_shadowed, setup_closed),
		TEST(test_old_kernel_has_no_pasids, setup_closed),
		TEST(test_no_unit, setup_closed),
		TEST(test_bind_costs_two_calls, setup),
		TEST(test_domains_are_shared, setup),
		TEST(test_replace_without_a_gap, setup),
		TEST(test_faultable_without_pasid, setup),
		TEST(test_unsupported, setup),
		TEST(test_quota, setup_small),
		TEST(test_hardware_is_full, setup),
		TEST(test_attach_waits_for_a_reset, setup),
		TEST(test_one_call_for_each_domain, setup),
		TEST(test_many_ranges_are_everything, setup),
		TEST(test_invalidation_fails, setup),
		cmocka_unit_test(test_ranges),
		TEST(test_guest_entries, setup),
		TEST(test_guest_is_told_of_refusals, setup),
		TEST(test_page_requests, setup),
		TEST(test_queue_is_off_or_full, setup),
		TEST(test_detached_groups_are_forgotten, setup),
		TEST(test_reset_answers_all, setup),
		TEST(test_many_page_requests, setup),
		TEST(test_odd_groups, setup),
		TEST(test_shadow, setup),
		TEST(test_shadow, setup_type1),
		TEST(test_rebuilt_shadow_moves_all, setup),
		TEST(test_nested_in_a_shadow, setup),
		TEST(test_hostile_second_stage, setup),
		TEST(test_walk, setup_closed),
		TEST(test_each_call_fails, setup),
		TEST(test_each_opening_call_fails, setup_closed),
		TEST(test_bind_to_vfio_pci, setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
