/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM with two real devices of a host in memory: what the tests of devices/vfio_host*.c have in
 * common.
 */
#ifndef NIDUS_TESTS_VFIO_WORLD_H
#define NIDUS_TESTS_VFIO_WORLD_H

#include "devices/dma.h"
#include "devices/loop.h"
#include "devices/vfio.h"
#include "devices/vfio_host.h"
#include "tests/unit/fake_iommufd.h"
#include "tests/unit/vtd_fixture.h"

#define SOURCE	 0x0018
#define OTHER	 0x0020
#define PASID	 0x45
#define PAGE	 UINT64_C(4096)
#define ROOT	 UINT64_C(0x123000)
#define IOVA	 UINT64_C(0x40000000)
#define NO_PASID VTD_NO_PASID
#define RW	 (VTD_SS_R | VTD_SS_W)

/* The kernel is fake_iommufd.h, the unit a real one. */
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

/* --- The life of it: setups of tests, and parts of them --- */

int world_open_context(struct world *w, unsigned int quota);
int world_open_device(struct world *w, unsigned int index, enum vfio_nested nested);
int world_attach(struct world *w, unsigned int index);
/* Nothing opened yet. */
int world_setup_closed(void **state);
/* Both devices, and the unit's guest has not begun; 0: the usual quota. */
int world_setup_quota(void **state, unsigned int quota);
int world_setup(void **state);
int world_setup_small(void **state); /* quota 3 */
/* The host's kernel has no iommufd: one device. */
int world_setup_type1(void **state);
/* As a VM ends; fails if the host was used wrongly, or something is left. */
int world_teardown(void **state);
/* Closes what a test has opened itself: the unit goes first, and there is a new one then. */
void world_start_again(struct world *w);
/* The loop's thread has time. */
void world_turn(struct world *w);
/* Lets the pause pass that the reading of page requests makes when there is no memory. */
void world_rest(struct world *w);

/* --- The backend, as the unit calls it --- */

struct vtd_binding world_first_stage(uint64_t root);
struct vtd_binding world_second_stage(uint64_t root);
int world_bind(struct world *w, unsigned int index, uint32_t pasid, struct vtd_binding binding);
int world_unbind(struct world *w, unsigned int index, uint32_t pasid);
int world_invalidate(struct world *w, unsigned int index, uint32_t pasid, uint64_t address,
		     uint64_t pages, bool leaf);
struct vfio_host_counters world_counters(const struct world *w);

/* --- A guest, by its tables and its queue --- */

/* Scalable mode, both devices with one PASID directory, page requests on. */
void guest_start(struct world *w);
/* The PASID entry of both; @pgtt 0: not present. Domain 1, unless guest_set_domain() follows. */
void guest_set_entry(struct world *w, uint32_t pasid, enum vtd_pgtt pgtt, uint64_t fs_root,
		     uint64_t ss_root);
void guest_set_domain(struct world *w, uint32_t pasid, uint16_t did);
/* Invalidates the first stage of @pasid, and waits. */
void guest_wait(struct world *w, uint32_t pasid);
/* The same after the entry in the PASID cache. */
void guest_entry_changed(struct world *w, uint32_t pasid);
/* In a table of four levels; @bits 0: unmaps. */
void guest_map(struct world *w, uint64_t table, uint64_t iova, uint64_t gpa, uint64_t bits);

#endif
