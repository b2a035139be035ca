/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_host_fault.c and vfio_host_group.c: page requests from the host to the guest, and
 * their answers.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/vfio_host_fault.h"
#include "devices/vfio_pci.h"
#include "devices/vfio_uapi.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/fake_vfio.h"
#include "tests/unit/vfio_world.h"

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
	world_turn(w);
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
	world_turn(w);
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
	assert_int_equal(world_counters(w).faults, 4);
	assert_int_equal(world_counters(w).responses, 3);
	assert_int_equal(world_counters(w).auto_responses, 0);
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
	world_turn(w);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	assert_int_equal(world_counters(w).auto_responses, 1);
	/* Nowhere to put it. */
	vtd_fixture_write32(&w->f, VTD_PRS, 3);
	vtd_fixture_write64(&w->f, VTD_PQH, 0);
	vtd_fixture_write64(&w->f, VTD_PQA, FIXTURE_MEMORY);
	group = fake_fault(&w->host, 0, PASID, 0x1000, 1, 3);
	world_turn(w);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(world_counters(w).auto_responses, 2);
	assert_int_equal(world_counters(w).responses, 2);
}

/* A late answer must not hit the group that got the cookie since. */
static void test_detached_groups_are_forgotten(void **state)
{
	struct world *w = *state;
	unsigned int first, second, old, new;

	guest_faults(w);
	first = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	world_turn(w);
	old = guest_request(w, 0, 0x1000, true);
	guest_set_entry(w, PASID, VTD_PGTT_FS, ROOT + PAGE, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(w->host.group[first].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	second = fake_fault(&w->host, 0, PASID, 0x2000, 1, 1);
	world_turn(w);
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
	assert_int_equal(world_counters(w).auto_responses, 1);
}

static void test_reset_answers_all(void **state)
{
	struct world *w = *state;
	unsigned int group[5];

	guest_faults(w);
	for (unsigned int i = 0; i < 5; i++)
		group[i] = fake_fault(&w->host, 0, PASID, 0x1000 * i, 1, 1);
	world_turn(w);
	vfio_device_answer_faults(&w->device[0]);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(w->host.group[group[i]].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	guest_answer(w, guest_request(w, 0, 0, true), VTD_RESPONSE_SUCCESS);
	assert_int_equal(w->host.stray_answers, 0);
	assert_int_equal(world_counters(w).responses, 5);
}

/* --- What comes between the reading of groups and their delivery --- */

/* Guest memory; at its first use another thread acts on the device, and is given time. */
struct passer_by {
	struct world *w;
	const struct vtd_memory_ops *memory;
	void *memory_context;
	void (*act)(struct world *w);
	pthread_t thread;
	bool started, overtook, done; /* done: atomic */
};

static void *pass_by(void *context)
{
	struct passer_by *other = context;

	other->act(other->w);
	__atomic_store_n(&other->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *ptr_and_act(void *context, uint64_t gpa, uint64_t len)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	struct passer_by *other = context;

	if (!other->started) {
		other->started = true;
		assert_int_equal(pthread_create(&other->thread, NULL, pass_by, other), 0);
		for (unsigned int i = 0; i < 100 && !other->overtook; i++) {
			nanosleep(&ms, NULL);
			other->overtook = __atomic_load_n(&other->done, __ATOMIC_ACQUIRE);
		}
	}
	return other->memory->ptr(other->memory_context, gpa, len);
}

static void unbind(struct world *w)
{
	assert_int_equal(world_unbind(w, 0, PASID), 0);
}

static void answer(struct world *w)
{
	vfio_device_answer_faults(&w->device[0]);
}

static int take_back(void *context)
{
	struct world *w = context;

	fake_take_back(&w->host, 0);
	return 0;
}

static void give_back(struct world *w)
{
	assert_int_equal(vfio_device_give_back(&w->device[0], take_back, w), 0);
}

/*
 * A guest that has unbound a PASID drains it at once. What was read before is in its queue by then,
 * and nothing comes after.
 */
static void test_nothing_comes_late(void **state)
{
	static void (*const acts[])(struct world * w) = { unbind, answer, give_back };
	static const struct vtd_memory_ops ops = { .ptr = ptr_and_act };
	struct world *w = *state;
	struct vtd_unit *unit = w->f.unit;

	guest_faults(w);
	for (unsigned int i = 0; i < ARRAY_SIZE(acts); i++) {
		struct passer_by other = { .w = w,
					   .memory = unit->memory,
					   .memory_context = unit->memory_context,
					   .act = acts[i] };
		uint64_t tail = vtd_fixture_read64(&w->f, VTD_PQT);
		unsigned int group[3];

		/* The last act but one left it bound. */
		if (i == 1)
			assert_int_equal(vfio_host_bind(w->behind[0], PASID,
							&(struct vtd_binding){ .type = VTD_BIND_FS,
									       .fs_root = ROOT,
									       .fs_width = 48,
									       .faultable = true }),
					 0);
		for (unsigned int n = 0; n < 3; n++)
			group[n] = fake_fault(&w->host, 0, PASID, 0x1000 * n, 1, 1);
		unit->memory = &ops;
		unit->memory_context = &other;
		world_turn(w);
		unit->memory = other.memory;
		unit->memory_context = other.memory_context;
		assert_true(other.started);
		pthread_join(other.thread, NULL);
		assert_false(other.overtook);
		assert_int_equal(vtd_fixture_read64(&w->f, VTD_PQT), tail + 3 * 32);
		for (unsigned int n = 0; n < 3; n++) {
			assert_false(w->host.group[group[n]].used);
			assert_int_equal(w->host.group[group[n]].answer,
					 UAPI_IOMMU_PAGE_RESP_INVALID);
		}
		assert_int_equal(world_counters(w).responses, 3 * (i + 1));
		/* Unbinding leaves them to the guest, which answers late, to nobody. */
		if (acts[i] == unbind)
			for (unsigned int n = 0; n < 3; n++)
				guest_answer(w, guest_request(w, n, 0x1000 * n, true),
					     VTD_RESPONSE_SUCCESS);
		assert_int_equal(unit->prq.count, 0);
	}
	assert_int_equal(w->host.stray_answers, 0);
}

/* --- Given back to the host --- */

static int refuse(void *context)
{
	(void)context;
	return -EBADF;
}

/* The kernel gives the cookies of a device that went to the next one's groups. */
static void test_given_back(void **state)
{
	struct world *w = *state;
	unsigned int first, other, late, old;

	guest_faults(w);
	first = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	world_turn(w);
	old = guest_request(w, 0, 0x1000, true);
	assert_int_equal(vfio_device_give_back(&w->device[0], refuse, w), -EBADF);
	assert_true(w->host.group[first].used);
	assert_int_equal(w->f.unit->prq.count, 1);
	give_back(w);
	assert_int_equal(w->host.group[first].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(w->f.unit->prq.count, 0);
	assert_int_equal(world_counters(w).responses, 1);
	assert_int_equal(world_counters(w).auto_responses, 1);
	other = fake_fault(&w->host, 1, PASID, 0x2000, 1, 1);
	world_turn(w);
	assert_int_equal(w->host.group[other].cookie, w->host.group[first].cookie);
	guest_answer(w, old, VTD_RESPONSE_SUCCESS);
	assert_true(w->host.group[other].used);
	/* And nobody knows the device any more. */
	late = fake_fault(&w->host, 0, PASID, 0x3000, 1, 1);
	world_turn(w);
	assert_int_equal(w->host.group[late].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(vtd_fixture_read64(&w->f, VTD_PQT), 2 * 32);
	guest_set_entry(w, PASID, 0, 0, 0);
	guest_entry_changed(w, PASID);
	assert_false(w->host.group[other].used);
	assert_int_equal(w->host.stray_answers, 0);
}

static int replace(const struct vfio_file *file, int fd, int by)
{
	const struct fake_vfio *fake = container_of(file, struct fake_vfio, file);
	const struct vfio_host *host = fake->device.backend_data;

	(void)fd;
	(void)by;
	fake_take_back(host->kernel->context, 0);
	return 0;
}

/* The function of the guest does that when the host asks for the device. */
static void test_host_asks_for_it(void **state)
{
	struct world *w = *state;
	struct machine *machine = fake_machine_create();
	struct fake_vfio *fake = fake_vfio_create();
	struct vfio_pci *vfio;
	unsigned int group, before, after;

	guest_faults(w);
	fake->irq[VFIO_PCI_REQ_IRQ_INDEX].count = 1;
	fake->device.backend_data = w->behind[0];
	fake->file.replace = replace;
	vfio = vfio_pci_create_on(&machine->host, w->loop, "vfio0", &fake->device, &fake->file,
				  w->error, sizeof(w->error));
	assert_non_null(vfio);
	vfio->pci.dma.unit = w->f.unit;
	group = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	world_turn(w);
	before = w->f.unit->prq.count;
	assert_true(fake_vfio_signal(fake, VFIO_PCI_REQ_IRQ_INDEX, 0));
	world_turn(w);
	after = w->f.unit->prq.count;
	vfio_pci_quiesce(vfio);
	world_turn(w);
	vfio_pci_destroy(vfio);
	fake_vfio_destroy(fake);
	fake_machine_destroy(machine);
	assert_int_equal(w->host.group[group].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(before, 1);
	assert_int_equal(after, 0);
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
		world_turn(w);
		/* The guest takes them and does not answer. */
		vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	}
	for (unsigned int i = 0; i < FAKE_GROUPS; i++)
		answered += !w->host.group[i].used && w->host.group[i].answer == 0;
	assert_int_equal(world_counters(w).faults, 720);
	assert_int_equal(world_counters(w).auto_responses, 720 - 512);
	/* Slots of answered groups were used again. */
	assert_true(answered > 0);
	guest_set_entry(w, PASID, 0, 0, 0);
	guest_entry_changed(w, PASID);
	assert_int_equal(world_counters(w).responses, 720);
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
	world_turn(w);
	assert_int_equal(world_counters(w).faults, 2000);
	assert_int_equal(w->host.group[large].answer, UAPI_IOMMU_PAGE_RESP_SUCCESS);
	vfio_device_close(&w->device[1]);
	stranger = fake_fault(&w->host, 1, PASID, 0x1000, 1, 1);
	nothing = fake_fault(&w->host, 0, PASID, 0x1000, 8, 1);
	world_turn(w);
	assert_int_equal(w->host.group[stranger].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	assert_int_equal(w->host.group[nothing].answer, UAPI_IOMMU_PAGE_RESP_INVALID);
	/* A read that fails for a moment loses nothing. */
	w->host.fail_call = 1;
	w->host.fail_error = -EINTR;
	vtd_fixture_write64(&w->f, VTD_PQH, vtd_fixture_read64(&w->f, VTD_PQT));
	vtd_fixture_write32(&w->f, VTD_PRS, 3);
	fake_fault(&w->host, 0, PASID, 0x7000, 1, 1);
	world_turn(w);
	assert_int_equal(world_counters(w).faults, 2002);
}

/* Some kernels say nothing of a group that does not fit, and a queue may be empty meanwhile. */
static void test_nothing_to_read(void **state)
{
	struct world *w = *state;
	uint64_t one = 1;
	unsigned int large;

	guest_faults(w);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(write(w->host.queue_fd, &one, sizeof(one)), sizeof(one));
		world_turn(w);
		fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
		world_turn(w);
	}
	assert_int_equal(world_counters(w).faults, 3);
	assert_int_equal(w->context->faults->records, 512);
	w->host.mute = true;
	large = fake_fault(&w->host, 0, PASID, 0x1000, 1, 2000);
	for (unsigned int i = 0; i < 4; i++)
		world_turn(w);
	assert_int_equal(world_counters(w).faults, 2003);
	assert_false(w->host.group[large].used);
	assert_int_equal(w->context->faults->records, 2048);
}

/* It comes to rest where there cannot be more room, and does not give up. */
static void test_never_fits(void **state)
{
	struct world *w = *state;
	unsigned int large, next;

	guest_faults(w);
	w->host.mute = true;
	large = fake_fault(&w->host, 0, PASID, 0x1000, 1, 65537);
	for (unsigned int i = 0; i < 40; i++)
		world_turn(w);
	assert_int_equal(w->context->faults->records, 65536);
	assert_int_equal(w->context->faults->poll.opcode, IORING_OP_TIMEOUT);
	/* Its PASID goes; the next one is served. */
	unbind(w);
	assert_false(w->host.group[large].used);
	next = fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	world_rest(w);
	world_turn(w);
	assert_true(w->host.group[next].read);
	assert_int_equal(world_counters(w).errors, 0);
}

/* As long as it takes, but not all the time. */
static void test_no_memory_for_a_while(void **state)
{
	enum { READS = 20 };
	struct world *w = *state;
	struct timespec from, to;

	guest_faults(w);
	w->host.fail_reads = READS;
	w->host.fail_error = -ENOMEM;
	fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (w->host.fail_reads)
		assert_int_equal(loop_turn(w->loop, true), 0);
	world_rest(w);
	world_turn(w);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(world_counters(w).faults, 1);
	assert_int_equal(world_counters(w).errors, 0);
	/* Each attempt came 10 ms after the last one. */
	assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >=
		    READS * 10 - 1);
}

/* A few times it is tried again, and counted; a queue that cannot be read at all is given up. */
static void test_unreadable_queue(void **state)
{
	struct world *w = *state;

	guest_faults(w);
	w->host.fail_reads = 3;
	w->host.fail_error = -EIO;
	fake_fault(&w->host, 0, PASID, 0x1000, 1, 1);
	for (unsigned int i = 0; i < 3; i++)
		world_turn(w);
	assert_int_equal(world_counters(w).faults, 1);
	assert_int_equal(world_counters(w).errors, 3);
	w->host.fail_reads = UINT32_MAX;
	fake_fault(&w->host, 0, PASID, 0x2000, 1, 1);
	for (unsigned int i = 0; i < 30; i++)
		world_turn(w);
	w->host.fail_reads = 0;
	world_turn(w);
	assert_int_equal(world_counters(w).faults, 1);
	assert_in_range(world_counters(w).errors, 4, 3 + 30);
}

/*
 * A VM that cannot be built, or whose threads cannot be made: devices go with watches and polls in
 * the loop's list, and nobody turns the loop.
 */
static void test_loop_never_turned(void **state)
{
	struct world *w = *state;
	struct machine *machine = fake_machine_create();
	struct fake_vfio *fake = fake_vfio_create();
	struct vfio_pci *vfio;

	for (unsigned int i = VFIO_PCI_INTX_IRQ_INDEX; i < VFIO_PCI_NUM_IRQS; i++)
		fake->irq[i].count = 1;
	assert_int_equal(world_open_context(w, 0), 0);
	assert_int_equal(world_open_device(w, 0, VFIO_NESTED_ON), 0);
	vfio = vfio_pci_create_on(&machine->host, w->loop, "vfio0", &fake->device, &fake->file,
				  w->error, sizeof(w->error));
	assert_non_null(vfio);
	assert_true(w->device[0].pri);
	assert_int_equal(world_attach(w, 0), 0);
	/* INTx twice, error, request; and the queue of page requests. */
	assert_int_equal(loop_in_flight(w->loop), 5);
	vfio_pci_destroy(vfio);
	world_start_again(w);
	fake_vfio_destroy(fake);
	fake_machine_destroy(machine);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_page_requests, world_setup),
		TEST(test_queue_is_off_or_full, world_setup),
		TEST(test_detached_groups_are_forgotten, world_setup),
		TEST(test_reset_answers_all, world_setup),
		TEST(test_nothing_comes_late, world_setup),
		TEST(test_given_back, world_setup),
		TEST(test_host_asks_for_it, world_setup),
		TEST(test_many_page_requests, world_setup),
		TEST(test_odd_groups, world_setup),
		TEST(test_nothing_to_read, world_setup),
		TEST(test_never_fits, world_setup),
		TEST(test_no_memory_for_a_while, world_setup),
		TEST(test_unreadable_queue, world_setup),
		TEST(test_loop_never_turned, world_setup_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
