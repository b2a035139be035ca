/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host*.c on a kernel in memory: what is opened and refused, domains and bindings, and
 * what is sent to the host when the guest waits.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/vfio_bind.h"
#include "devices/vfio_host_fault.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/vfio_world.h"

/* --- Opening --- */

static void test_open(void **state)
{
	struct world *w = *state;
	const struct vfio_device *device = &w->device[0];
	const struct fake_object *parent = fake_attached(&w->host, 0, NO_PASID);

	assert_int_equal(device->backend, VFIO_IOMMUFD);
	assert_true(device->nested && device->pri && device->ats && device->reset);
	assert_int_equal(device->pasid_bits, 16);
	assert_true(device->pasid_priv);
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
	/* The host's unit has these, but its kernel sets nobody's entries so. */
	assert_true(device->host_ecap & VTD_ECAP_ERS && device->host_ecap & VTD_ECAP_RPRIVS);
	assert_int_equal(vtd_ecap(w->f.unit) & (VTD_ECAP_ERS | VTD_ECAP_RPRIVS), 0);
	assert_true(vtd_ecap(w->f.unit) & VTD_ECAP_SRS);
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

static void narrow(struct fake_iommufd *host)
{
	host->device[0].cap = (host->device[0].cap & ~VTD_CAP_MGAW) | vtd_put(20, VTD_CAP_MGAW);
}

static void token(struct fake_iommufd *host)
{
	host->token = true;
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
		{ narrow, "memory ends at 0x400000, beyond the 21 address bits of dmar0 (MGAW)" },
		{ token, "give the PF to its own driver" },
		{ little_memory, "must be locked: 4096 KiB, and 1024 KiB are allowed" },
		{ no_iommufd, "the host's kernel has no iommufd (CONFIG_IOMMUFD)" },
		{ no_cdev, "CONFIG_VFIO_DEVICE_CDEV" },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		int rc;

		row[i].spoil(&w->host);
		assert_int_equal(world_open_context(w, 0), 0);
		rc = world_open_device(w, 0, VFIO_NESTED_ON);
		if (!rc)
			rc = world_attach(w, 0);
		assert_true(rc < 0);
		if (!strstr(w->error, row[i].says))
			fail_msg("\"%s\" does not say \"%s\"", w->error, row[i].says);
		assert_null(strchr(w->error, '\n'));
		world_start_again(w);
	}
	w->host.open_error = -EACCES;
	assert_int_equal(world_open_context(w, 0), -EACCES);
	assert_string_equal(w->error,
			    "vfio: /dev/iommu: Permission denied: this user may not open it "
			    "(chown it, or be root)");
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
		assert_int_equal(world_open_context(w, 0), 0);
		assert_int_equal(world_open_device(w, 0, row[i].nested), 0);
		assert_memory_equal(w->device[0].path, row[i].path, strlen(row[i].path));
		assert_int_equal(w->device[0].pasid_bits, row[i].bits);
		assert_false(w->device[0].pri || w->device[0].nested);
		assert_int_equal(world_attach(w, 0), 0);
		assert_int_equal(vtd_ecap(w->f.unit) & (VTD_ECAP_FSTS | VTD_ECAP_PRS), 0);
		assert_true(vtd_ecap(w->f.unit) & VTD_ECAP_SSTS);
		assert_int_equal(fake_translate(&w->host, 0, 0x5000, true),
				 (uintptr_t)w->f.memory + 0x5000);
		assert_int_equal(world_bind(w, 0, NO_PASID, world_first_stage(ROOT)), -EOPNOTSUPP);
		world_start_again(w);
	}
}

static void test_old_kernel_has_no_pasids(void **state)
{
	struct world *w = *state;

	w->host.no_pasid_api = true;
	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_ON), 0);
	assert_int_equal(w->device[0].pasid_bits, 0);
	assert_non_null(strstr(w->device[0].path, "before 6.15"));
	assert_int_equal(world_attach(w, 0), 0);
	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT)), -EOPNOTSUPP);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_first_stage(ROOT)), 0);
}

/* Without a unit the guest's addresses are the device's. */
static void test_no_unit(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_AUTO), 0);
	assert_int_equal(vfio_device_attach(&w->device[0], NULL, NULL, w->error, sizeof(w->error)),
			 0);
	assert_int_equal(fake_translate(&w->host, 0, 0x7000, true),
			 (uintptr_t)w->f.memory + 0x7000);
}

/* As two devices may be given: by name or by an inherited file. */
static int open_pair(struct world *w, bool by_file)
{
	int rc = world_open_context(w, 0);

	for (unsigned int i = 0; i < 2 && !rc; i++) {
		struct vfio_device_options options = { .name = i ? "fd 8" : "fd 7" };

		options.fd = by_file ? fake_device_file(&w->host, i) : -1;
		rc = by_file ? vfio_device_open(w->context, &options, &w->device[i], w->error,
						sizeof(w->error))
			     : world_open_device(w, i, VFIO_NESTED_AUTO);
	}
	return rc;
}

static int attach_directly(struct world *w, unsigned int index)
{
	return vfio_device_attach(&w->device[index], NULL, NULL, w->error, sizeof(w->error));
}

static void close_pair(struct world *w)
{
	vfio_device_close(&w->device[1]);
	world_start_again(w);
	vtd_fixture_attach(&w->f, OTHER);
}

/* Members of one group have one table: behind a unit, the guest gets one of them. */
static void test_one_of_a_group(void **state)
{
	struct world *w = *state;

	for (unsigned int by_file = 0; by_file < 2; by_file++) {
		w->host.device[1].group = w->host.device[0].group;
		assert_int_equal(open_pair(w, by_file), 0);
		/* The other one has no attachment yet, but will. */
		assert_int_equal(world_attach(w, 0), -EBUSY);
		assert_string_equal(w->error,
				    by_file ? "vfio fd 7: it is in IOMMU group 20 with fd 8, and "
					      "the host has one set of tables for a group: behind "
					      "a unit, give the guest one of them, or leave both "
					      "out of --vtd"
					    : "vfio 06:0d.0: it is in IOMMU group 20 with "
					      "0000:06:0e.0, and the host has one set of tables "
					      "for a group: behind a unit, give the guest one of "
					      "them, or leave both out of --vtd");
		assert_null(w->host.device[0].attached);
		close_pair(w);
		/* One of them behind a unit is one too many, in either order. */
		w->host.device[1].group = w->host.device[0].group;
		assert_int_equal(open_pair(w, by_file), 0);
		assert_int_equal(attach_directly(w, 0), 0);
		assert_int_equal(world_attach(w, 1), -EBUSY);
		close_pair(w);
		/* Without one, all of them have the guest's memory. */
		w->host.device[1].group = w->host.device[0].group;
		assert_int_equal(open_pair(w, by_file), 0);
		assert_int_equal(attach_directly(w, 0), 0);
		assert_int_equal(attach_directly(w, 1), 0);
		assert_ptr_equal(fake_attached(&w->host, 0, NO_PASID),
				 fake_attached(&w->host, 1, NO_PASID));
		close_pair(w);
		/* And two groups are two. */
		assert_int_equal(open_pair(w, by_file), 0);
		assert_int_equal(world_attach(w, 0), 0);
		assert_int_equal(world_attach(w, 1), 0);
		close_pair(w);
	}
}

/* A device that was opened after the other was attached. */
static void test_second_of_a_group(void **state)
{
	struct world *w = *state;

	w->host.device[1].group = w->host.device[0].group;
	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_ON), 0);
	assert_int_equal(world_attach(w, 0), 0);
	assert_int_equal(world_open_device(w, 1, VFIO_NESTED_OFF), 0);
	assert_int_equal(attach_directly(w, 1), -EBUSY);
	assert_int_equal(world_attach(w, 1), -EBUSY);
	assert_non_null(strstr(w->error, "IOMMU group 20 with 06:0d.0"));
}

/* Nobody knows the group of an inherited file: one such device behind a unit is no risk. */
static void test_unknown_group(void **state)
{
	struct world *w = *state;

	w->host.no_sysfs = true;
	assert_int_equal(open_pair(w, true), 0);
	assert_int_equal(world_attach(w, 0), -EBUSY);
	assert_non_null(strstr(w->error, "the IOMMU group of fd 7 cannot be told"));
	vfio_device_close(&w->device[1]);
	assert_int_equal(world_attach(w, 0), 0);
	assert_int_equal(world_open_device(w, 1, VFIO_NESTED_OFF), -ENOENT);
	w->host.no_sysfs = false;
	assert_int_equal(world_open_device(w, 1, VFIO_NESTED_OFF), 0);
	assert_int_equal(attach_directly(w, 1), -EBUSY);
	assert_non_null(strstr(w->error, "the IOMMU group of fd 7 cannot be told"));
}

/* The same by groups. */
static void test_type1_refusals(void **state)
{
	static const struct {
		void (*spoil)(struct fake_iommufd *host);
		const char *says;
	} row[] = {
		{ unsafe, "vfio_iommu_type1.allow_unsafe_interrupts=1" },
		{ busy, "is not viable: all its devices must be bound to vfio-pci" },
		{ token, "give the PF to its own driver" },
		{ little_memory, "once for each type1 device: 4096 KiB, and 1024 KiB are allowed" },
	};
	struct world *w = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		int rc;

		/* It helps nobody who maps while the VM runs. */
		w->host.ipc_lock = true;
		w->host.no_iommufd = true;
		row[i].spoil(&w->host);
		assert_int_equal(world_open_context(w, 0), 0);
		rc = world_open_device(w, 0, VFIO_NESTED_AUTO);
		if (!rc)
			rc = world_attach(w, 0);
		assert_true(rc < 0);
		if (!strstr(w->error, row[i].says))
			fail_msg("\"%s\" does not say \"%s\"", w->error, row[i].says);
		world_start_again(w);
	}
}

/* iommufd locks RAM once, at the start; type1 each device, later. */
static void test_locked_memory(void **state)
{
	struct world *w = *state;

	w->host.memlock = 1024 * KIB;
	w->host.ipc_lock = true;
	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_AUTO), 0);
	assert_int_equal(world_attach(w, 0), 0);
	world_start_again(w);
	w->host.no_iommufd = true;
	w->host.memlock = 6 * MIB;
	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_AUTO), 0);
	assert_int_equal(world_attach(w, 0), 0);
	assert_int_equal(world_open_device(w, 1, VFIO_NESTED_AUTO), 0);
	assert_int_equal(world_attach(w, 1), -ENOMEM);
	assert_non_null(strstr(w->error, "8192 KiB, and 6144 KiB are allowed"));
}

/* --- Domains and bindings --- */

static void test_bind_costs_two_calls(void **state)
{
	struct world *w = *state;
	struct vtd_binding binding = world_first_stage(ROOT);
	unsigned int since = w->host.call_count;
	const struct fake_object *hwpt;

	binding.sre = binding.wpe = binding.faultable = true;
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	assert_int_equal(w->host.call_count - since, 2);
	hwpt = fake_attached(&w->host, 0, PASID);
	assert_int_equal(hwpt->kind, FAKE_NESTED);
	assert_int_equal(hwpt->root, ROOT);
	assert_int_equal(hwpt->width, 48);
	assert_int_equal(hwpt->s1_flags, UAPI_IOMMU_VTD_S1_SRE | UAPI_IOMMU_VTD_S1_WPE);
	assert_true(hwpt->fault_id);
	/* The same again is nothing. */
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	assert_int_equal(w->host.call_count - since, 2);
	since = w->host.call_count;
	assert_int_equal(world_unbind(w, 0, PASID), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_null(fake_attached(&w->host, 0, PASID));
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
	assert_int_equal(world_unbind(w, 0, PASID), 0);
	assert_int_equal(w->host.call_count - since, 2);
	assert_int_equal(world_counters(w).binds, 2); /* requests without PASID, at the start */
	assert_int_equal(world_counters(w).unbinds, 1);
}

static void test_domains_are_shared(void **state)
{
	struct world *w = *state;
	struct vtd_binding other = world_first_stage(ROOT);

	for (uint32_t pasid = 1; pasid <= 20; pasid++)
		assert_int_equal(world_bind(w, pasid % 2, pasid, world_first_stage(ROOT)), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 1);
	other.wpe = true;
	assert_int_equal(world_bind(w, 0, 30, other), 0);
	other.fs_width = 57;
	assert_int_equal(world_bind(w, 0, 31, other), 0);
	assert_int_equal(world_bind(w, 0, 32, world_first_stage(ROOT + PAGE)), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 4);
	for (uint32_t pasid = 1; pasid <= 19; pasid++)
		assert_int_equal(world_unbind(w, pasid % 2, pasid), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 4);
	assert_int_equal(world_unbind(w, 0, 20), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 3);
}

static void test_replace_without_a_gap(void **state)
{
	struct world *w = *state;
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	unsigned int since = w->host.call_count;

	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT + PAGE)), 0);
	assert_int_equal(fake_attached(&w->host, 0, PASID)->root, ROOT + PAGE);
	assert_int_equal(world_bind(w, 0, PASID, identity), 0);
	assert_ptr_equal(fake_attached(&w->host, 0, PASID), fake_attached(&w->host, 0, NO_PASID));
	assert_int_equal(world_bind(w, 0, NO_PASID, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 0, NO_PASID, identity), 0);
	assert_int_equal(fake_called(&w->host, since, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
}

/* The kernel would lose a reference: the fake checks that the old domain is detached first. */
static void test_faultable_without_pasid(void **state)
{
	struct world *w = *state;
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	struct vtd_binding binding = world_first_stage(ROOT);

	binding.faultable = true;
	assert_int_equal(world_bind(w, 0, NO_PASID, binding), 0);
	binding.fs_root += PAGE;
	assert_int_equal(world_bind(w, 0, NO_PASID, binding), 0);
	assert_int_equal(fake_called(&w->host, 0, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 1);
	assert_int_equal(world_bind(w, 0, NO_PASID, identity), 0);
	assert_int_equal(fake_called(&w->host, 0, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 2);
	/* With a PASID there is no such trouble. */
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	binding.fs_root += PAGE;
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	assert_int_equal(fake_called(&w->host, 0, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT), 2);
	/* The new one does not come: nothing is attached, and nothing is left to unbind. */
	assert_int_equal(world_bind(w, 0, NO_PASID, binding), 0);
	binding.fs_root += PAGE;
	w->host.fail_request = UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT;
	w->host.fail_times = 1;
	w->host.fail_error = -ENOSPC;
	assert_int_equal(world_bind(w, 0, NO_PASID, binding), -ENOSPC);
	assert_null(fake_attached(&w->host, 0, NO_PASID));
	assert_int_equal(world_unbind(w, 0, NO_PASID), 0);
	assert_int_equal(world_bind(w, 0, NO_PASID, binding), 0);
}

static void test_unsupported(void **state)
{
	struct world *w = *state;
	struct vtd_binding binding = world_first_stage(ROOT);

	w->device[0].host_cap &= ~VTD_CAP_FS5LP;
	w->device[0].host_ecap &= ~(VTD_ECAP_SRS | VTD_ECAP_EAFS);
	binding.fs_width = 57;
	assert_int_equal(world_bind(w, 0, PASID, binding), -EOPNOTSUPP);
	binding.fs_width = 48;
	binding.sre = true;
	assert_int_equal(world_bind(w, 0, PASID, binding), -EOPNOTSUPP);
	binding.sre = false;
	binding.eafe = true;
	assert_int_equal(world_bind(w, 0, PASID, binding), -EOPNOTSUPP);
	/* It is the kernel's name for requests without PASID. */
	assert_int_equal(world_bind(w, 0, 0, world_first_stage(ROOT)), -EOPNOTSUPP);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
}

static void test_quota(void **state)
{
	struct world *w = *state;

	for (uint32_t pasid = 1; pasid <= 3; pasid++)
		assert_int_equal(world_bind(w, 0, pasid, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 1, 4, world_first_stage(ROOT)), -ENOSPC);
	assert_int_equal(world_unbind(w, 0, 2), 0);
	assert_int_equal(world_bind(w, 1, 4, world_first_stage(ROOT)), 0);
	/* Domains: that of ROOT and two more. A replaced one goes after the new one came. */
	assert_int_equal(world_bind(w, 0, NO_PASID, world_first_stage(ROOT + PAGE)), 0);
	assert_int_equal(world_bind(w, 1, NO_PASID, world_first_stage(ROOT + 2 * PAGE)), 0);
	assert_int_equal(world_bind(w, 0, 1, world_first_stage(ROOT + 3 * PAGE)), -ENOSPC);
	assert_int_equal(fake_attached(&w->host, 0, 1)->root, ROOT);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 3);
	assert_int_equal(world_unbind(w, 1, NO_PASID), 0);
	assert_int_equal(world_bind(w, 0, 1, world_first_stage(ROOT + 3 * PAGE)), 0);
}

/* What goes with what is replaced does not count. */
static void test_quota_and_replacing(void **state)
{
	struct world *w = *state;
	struct vtd_binding nested = world_first_stage(ROOT);

	nested.type = VTD_BIND_NESTED;
	nested.ss_root = vtd_fixture_page(&w->f);
	nested.ss_width = 48;
	assert_int_equal(world_bind(w, 1, 1, world_first_stage(ROOT)), 0);
	/* Two domains, and then two others. */
	assert_int_equal(world_bind(w, 0, 1, nested), 0);
	nested.ss_root = vtd_fixture_page(&w->f);
	assert_int_equal(world_bind(w, 0, 1, nested), 0);
	assert_int_equal(w->context->domains, 3);
	/* The second stage stays. */
	nested.fs_root += PAGE;
	assert_int_equal(world_bind(w, 0, 1, nested), 0);
	assert_int_equal(w->context->domains, 3);
	assert_int_equal(world_bind(w, 1, 1, world_first_stage(ROOT + PAGE)), 0);
	/* Somebody else has what is replaced. */
	assert_int_equal(world_bind(w, 1, 2, world_first_stage(ROOT + PAGE)), 0);
	assert_int_equal(world_bind(w, 1, 2, world_first_stage(ROOT + 2 * PAGE)), -ENOSPC);
	assert_int_equal(w->context->domains, 3);
}

/* The host has no domain-id left. */
static void test_hardware_is_full(void **state)
{
	struct world *w = *state;

	w->host.hardware_domains = 2; /* one is the parent */
	assert_int_equal(world_bind(w, 0, 1, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 0, 2, world_first_stage(ROOT + PAGE)), -ENOSPC);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 1);
	assert_int_equal(world_bind(w, 0, 3, world_first_stage(ROOT)), 0);
}

static void test_attach_waits_for_a_reset(void **state)
{
	struct world *w = *state;

	w->host.fail_request = UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT;
	w->host.fail_error = -EBUSY;
	w->host.fail_times = 5;
	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT)), 0);
	assert_int_equal(w->host.slept, 50);
	w->host.fail_times = 1000;
	assert_int_equal(world_bind(w, 0, PASID + 1, world_first_stage(ROOT)), -EBUSY);
	assert_int_equal(w->host.slept, 50 + VFIO_RESET_MS);
	/* Once in vain: from then on a guest cannot make us wait again and again. */
	assert_int_equal(world_bind(w, 0, PASID + 1, world_first_stage(ROOT)), -EBUSY);
	assert_int_equal(w->host.slept, 50 + VFIO_RESET_MS);
	w->host.fail_times = 0;
	assert_int_equal(world_bind(w, 0, PASID + 1, world_first_stage(ROOT)), 0);
	w->host.fail_times = 2;
	assert_int_equal(world_bind(w, 0, PASID + 2, world_first_stage(ROOT)), 0);
	assert_int_equal(w->host.slept, 70 + VFIO_RESET_MS);
	w->host.fail_times = 3;
	w->host.fail_error = -EINTR;
	assert_int_equal(world_bind(w, 0, PASID + 3, world_first_stage(ROOT)), 0);
}

static void *take_loops_lock(void *context)
{
	struct vfio_faults *faults = context;

	pthread_mutex_lock(&faults->lock);
	pthread_mutex_unlock(&faults->lock);
	return NULL;
}

/* While it is waited for a reset, the loop's thread goes on: others' page requests, disks, nets. */
static void sleep_as_others_work(void *context, unsigned int milliseconds)
{
	struct fake_iommufd *fake = context;
	struct timespec deadline;
	pthread_t loop;

	fake->slept += milliseconds;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	assert_int_equal(pthread_create(&loop, NULL, take_loops_lock, fake->others), 0);
	assert_int_equal(pthread_timedjoin_np(loop, NULL, &deadline), 0);
}

static void test_waiting_holds_up_nobody(void **state)
{
	struct world *w = *state;
	struct vtd_binding binding = world_first_stage(ROOT);

	binding.faultable = true;
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	w->host.others = w->context->faults;
	w->host.kernel.sleep = sleep_as_others_work;
	w->host.fail_request = UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT;
	w->host.fail_error = -EBUSY;
	w->host.fail_times = 2;
	binding.fs_root += PAGE;
	assert_int_equal(world_bind(w, 0, PASID, binding), 0);
	assert_int_equal(w->host.slept, 20);
}

/* The guest's device was given back to the host; its PASIDs went with the file. */
static void test_device_was_given_back(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT)), 0);
	fake_take_back(&w->host, 0);
	assert_int_equal(world_bind(w, 0, PASID + 1, world_first_stage(ROOT + PAGE)), -ENOTTY);
	assert_int_equal(world_unbind(w, 0, PASID), 0);
	assert_int_equal(w->context->pasids, 0);
	assert_int_equal(w->context->domains, 0);
	assert_int_equal(fake_objects(&w->host, FAKE_NESTED), 0);
}

/* --- Invalidations --- */

static void test_one_call_for_each_domain(void **state)
{
	struct world *w = *state;
	unsigned int since;

	assert_int_equal(world_bind(w, 0, 1, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 0, 2, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 1, 7, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 1, 8, world_first_stage(ROOT + PAGE)), 0);
	since = w->host.call_count;
	for (unsigned int i = 0; i < 10; i++) {
		world_invalidate(w, 0, 1, 0x1000 * i, 1, true);
		world_invalidate(w, 0, 2, 0x1000 * i, 1, true);
		world_invalidate(w, 1, 7, 0x1000 * i, 1, true);
	}
	world_invalidate(w, 1, 8, 0x80000, 16, false);
	/* The identity has nothing that could be stale; what is not bound has nothing at all. */
	world_invalidate(w, 0, NO_PASID, 0, UINT64_MAX, false);
	world_invalidate(w, 0, 99, 0, UINT64_MAX, false);
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

	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT)), 0);
	hwpt = fake_attached(&w->host, 0, PASID);
	for (unsigned int i = 0; i < VFIO_RANGES; i++)
		world_invalidate(w, 0, PASID, 0x10000 * (VFIO_RANGES - i), 1, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(hwpt->ranges, VFIO_RANGES);
	for (unsigned int i = 0; i <= VFIO_RANGES; i++)
		world_invalidate(w, 0, PASID, 0x10000 * i, 1, false);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(hwpt->ranges, 1);
	assert_int_equal(hwpt->pages, UINT64_MAX);
	assert_int_equal(hwpt->address, 0);
	/* Nothing so large that its end is beyond the last address. */
	world_invalidate(w, 0, PASID, PAGE, (UINT64_C(1) << 52) - 1, true);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(hwpt->pages, UINT64_MAX);
}

static void test_invalidation_fails(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_bind(w, 0, PASID, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 0, PASID + 1, world_first_stage(ROOT + PAGE)), 0);
	world_invalidate(w, 0, PASID, 0, 1, false);
	world_invalidate(w, 0, PASID + 1, 0, 1, false);
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
	world_invalidate(w, 0, PASID, 0, 1, false);
	assert_int_equal(world_unbind(w, 0, PASID), 0);
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
}

/* Two units of one VM, each with a device: who waits hears of the failure, and nobody else. */
static void test_each_waits_for_its_own(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_bind(w, 0, 1, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 1, 1, world_first_stage(ROOT)), 0);
	assert_int_equal(world_bind(w, 1, 2, world_first_stage(ROOT + PAGE)), 0);
	w->host.fail_request = UAPI_IOMMU_HWPT_INVALIDATE;
	w->host.fail_error = -ETIMEDOUT;
	/* What the other one waits for is not sent yet, and does not fail yet. */
	world_invalidate(w, 1, 2, 0, 1, false);
	w->host.fail_times = 1;
	assert_int_equal(vfio_host_flush(w->behind[0]), 0);
	assert_int_equal(vfio_host_flush(w->behind[1]), -ETIMEDOUT);
	assert_int_equal(vfio_host_flush(w->behind[1]), 0);
	assert_int_equal(fake_attached(&w->host, 1, 2)->invalidations, 0);
	/* A domain that both wait for is tried again, until each has heard of it. */
	for (unsigned int failures = 0; failures <= 2; failures++) {
		unsigned int since = w->host.call_count;

		world_invalidate(w, 0, 1, 0, 1, false);
		world_invalidate(w, 1, 1, 0, 1, false);
		w->host.fail_times = failures;
		assert_int_equal(vfio_host_flush(w->behind[1]), failures > 0 ? -ETIMEDOUT : 0);
		assert_int_equal(vfio_host_flush(w->behind[0]), failures > 1 ? -ETIMEDOUT : 0);
		assert_int_equal(w->host.call_count - since, failures ? 2 : 1);
		assert_null(w->context->pending);
	}
	/* One that is closed waits for nothing. */
	world_invalidate(w, 0, 1, 0, 1, false);
	vfio_device_close(&w->device[0]);
	assert_null(w->context->pending);
}

static void test_too_many_devices(void **state)
{
	struct world *w = *state;
	struct vfio_host others[63];

	assert_int_equal(world_open_context(w, 0), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] =
			(struct vfio_host){ .bit = UINT64_C(2) << i, .next = w->context->hosts };
		w->context->hosts = &others[i];
	}
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_ON), 0);
	assert_int_equal(w->behind[0]->bit, 1);
	assert_int_equal(world_open_device(w, 1, VFIO_NESTED_ON), -ENOSPC);
	assert_string_equal(w->error, "vfio 0000:06:0e.0: 64 devices are passed already, and no "
				      "more can be");
	w->context->hosts = w->behind[0];
	w->behind[0]->next = NULL;
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
	w->host.denylisted = true;
	assert_int_equal(vfio_bind_by(kernel, "06:0d.0", error, size), -EBUSY);
	assert_non_null(strstr(error, "disable_denylist=1"));
	assert_string_equal(w->host.device[0].driver, "sdma");
	w->host.denylisted = false;
	w->host.device[0].bridge = true;
	w->host.writes = 0;
	assert_int_equal(vfio_bind_by(kernel, "06:0d.0", error, size), -EINVAL);
	assert_int_equal(w->host.writes, 0);
	w->host.device[0].bridge = false;
	w->host.elsewhere = true;
	assert_int_equal(vfio_bind_by(kernel, "/tmp/0000:06:0d.0", error, size), -EINVAL);
	assert_non_null(strstr(error, "is no PCI device"));
	w->host.elsewhere = false;
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

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open, world_setup),
		TEST(test_refusals, world_setup_closed),
		TEST(test_shadowed, world_setup_closed),
		TEST(test_old_kernel_has_no_pasids, world_setup_closed),
		TEST(test_no_unit, world_setup_closed),
		TEST(test_one_of_a_group, world_setup_closed),
		TEST(test_second_of_a_group, world_setup_closed),
		TEST(test_unknown_group, world_setup_closed),
		TEST(test_type1_refusals, world_setup_closed),
		TEST(test_locked_memory, world_setup_closed),
		TEST(test_bind_costs_two_calls, world_setup),
		TEST(test_domains_are_shared, world_setup),
		TEST(test_replace_without_a_gap, world_setup),
		TEST(test_faultable_without_pasid, world_setup),
		TEST(test_unsupported, world_setup),
		TEST(test_quota, world_setup_small),
		TEST(test_quota_and_replacing, world_setup_small),
		TEST(test_hardware_is_full, world_setup),
		TEST(test_attach_waits_for_a_reset, world_setup),
		TEST(test_waiting_holds_up_nobody, world_setup),
		TEST(test_device_was_given_back, world_setup),
		TEST(test_one_call_for_each_domain, world_setup),
		TEST(test_many_ranges_are_everything, world_setup),
		TEST(test_invalidation_fails, world_setup),
		TEST(test_each_waits_for_its_own, world_setup),
		TEST(test_too_many_devices, world_setup_closed),
		cmocka_unit_test(test_ranges),
		TEST(test_guest_entries, world_setup),
		TEST(test_guest_is_told_of_refusals, world_setup),
		TEST(test_bind_to_vfio_pci, world_setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
