/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host_p2p.c on a kernel in memory: BARs as targets of other devices' DMA.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/vfio_host.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/vfio_world.h"

#define BAR_AT	 UINT64_C(0xc0000000)
#define BAR_THEN UINT64_C(0xc0100000)

static struct vfio_peer piece(struct world *w)
{
	struct vfio_peer peer = { .region = 2, .offset = 0x1000, .size = 0x4000 };

	peer.host = w->f.memory + 0x8000; /* any page of ours */
	return peer;
}

/* By both devices, and where it is now alone. */
static void expect_peer(struct world *w, uint64_t at, uint64_t gone)
{
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(fake_translate(&w->host, i, at + 0x1008, true),
				 FAKE_DMABUF + 0x1008);
		assert_int_equal(fake_translate(&w->host, i, gone, false), 0);
	}
}

static void test_peers(void **state)
{
	struct world *w = *state;
	struct vfio_peer peer = piece(w);
	unsigned int opens = w->host.opens;

	w->host.dmabuf = true;
	vfio_peer_open(&w->device[0], &peer);
	assert_int_equal(fake_translate(&w->host, 0, BAR_AT, false), 0);
	vfio_peer_map(&peer, BAR_AT);
	expect_peer(w, BAR_AT, BAR_THEN);
	vfio_peer_unmap(&peer);
	vfio_peer_map(&peer, BAR_THEN);
	expect_peer(w, BAR_THEN, BAR_AT);
	assert_int_equal(world_counters(w).peer_maps, 2);
	assert_int_equal(world_counters(w).peer_refusals, 0);
	vfio_peer_close(&peer);
	assert_int_equal(fake_translate(&w->host, 0, BAR_THEN, false), 0);
	assert_int_equal(w->host.opens, opens);
}

/* Kernels that have no dma-bufs of devices, or take none: counted, and nothing else happens. */
static void test_peers_refused(void **state)
{
	struct world *w = *state;
	struct vfio_peer peer = piece(w), other = piece(w);

	vfio_peer_open(&w->device[0], &peer);
	vfio_peer_map(&peer, BAR_AT);
	w->host.dmabuf = true;
	vfio_peer_open(&w->device[0], &other);
	w->host.fail_request = UAPI_IOMMU_IOAS_MAP_FILE;
	w->host.fail_times = 1;
	w->host.fail_error = -EINVAL;
	vfio_peer_map(&other, BAR_THEN);
	assert_int_equal(fake_translate(&w->host, 0, BAR_AT, false), 0);
	assert_int_equal(fake_translate(&w->host, 0, BAR_THEN, false), 0);
	assert_int_equal(world_counters(w).peer_maps, 0);
	assert_int_equal(world_counters(w).peer_refusals, 2);
	vfio_peer_unmap(&other);
	vfio_peer_map(&other, BAR_THEN);
	assert_int_equal(world_counters(w).peer_maps, 1);
	vfio_peer_close(&peer);
	vfio_peer_close(&other);
}

/* A container has it as long as it is the guest's physical address space. */
static void test_peers_type1(void **state)
{
	const struct vtd_binding identity = { .type = VTD_BIND_PT };
	struct world *w = *state;
	struct vfio_peer peer = piece(w);

	assert_int_equal(world_bind(w, 0, NO_PASID, identity), 0);
	vfio_peer_open(&w->device[0], &peer);
	vfio_peer_map(&peer, BAR_AT);
	assert_int_equal(fake_translate(&w->host, 0, BAR_AT + 8, true), (uintptr_t)peer.host + 8);
	assert_int_equal(world_bind(w, 0, NO_PASID, world_second_stage(ROOT)), 0);
	assert_int_equal(fake_translate(&w->host, 0, BAR_AT, false), 0);
	/* It moves meanwhile. */
	vfio_peer_unmap(&peer);
	vfio_peer_map(&peer, BAR_THEN);
	assert_int_equal(fake_translate(&w->host, 0, BAR_THEN, false), 0);
	assert_int_equal(world_bind(w, 0, NO_PASID, identity), 0);
	assert_int_equal(fake_translate(&w->host, 0, BAR_THEN, true), (uintptr_t)peer.host);
	assert_int_equal(fake_translate(&w->host, 0, BAR_AT, false), 0);
	assert_int_equal(world_unbind(w, 0, NO_PASID), 0);
	assert_int_equal(fake_translate(&w->host, 0, BAR_THEN, false), 0);
	assert_int_equal(world_counters(w).peer_maps, 2);
	vfio_peer_close(&peer);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_peers, world_setup),
		TEST(test_peers_refused, world_setup),
		TEST(test_peers_type1, world_setup_type1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
