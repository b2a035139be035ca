/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host backend on a real kernel: run where an sdma device is bound to vfio-pci, such as H1 of
 * the nested lab. There is no guest: this program writes the tables, registers and descriptors that
 * a guest would (tests/unit/vtd_fixture.h), and has the device do the DMA. Prints TAP.
 *
 *   vfio_host BDF
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices/dma.h"
#include "devices/loop.h"
#include "devices/sdma_regs.h"
#include "devices/vfio.h"
#include "tests/unit/vtd_fixture.h"

#define SOURCE	0x0018
#define PASID	0x2345
#define PAGE	UINT64_C(4096)
#define VA	UINT64_C(0x123456000000)
#define RING_VA UINT64_C(0x7fff00000000)
#define PATTERN UINT64_C(0x0123456789abcdef)
#define FS_RW	(VTD_FS_P | VTD_FS_RW | VTD_FS_US)
#define SS_RW	(VTD_SS_R | VTD_SS_W)
#define PATIENT 60000 /* ms; emulated machines are slow */

struct live {
	struct vtd_fixture f;
	struct ram ram;
	struct loop *loop;
	struct vfio_context *context;
	struct vfio_device device;
	volatile uint8_t *registers, *doorbells;
	uint64_t table, directory;
	unsigned int rows, answered; /* page requests of the queue that were looked at */
	char error[256];
};

/* One row. A failure is the end: what follows builds on it. */
__attribute__((format(printf, 3, 4))) static void row(struct live *l, bool good, const char *format,
						      ...)
{
	va_list args;

	/* What is to be said of a failure goes before it. */
	if (!good)
		printf("# %s\n", l->error);
	printf("%s %u - ", good ? "ok" : "not ok", ++l->rows);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	if (!good)
		exit(1);
}

/* --- The device --- */

static volatile uint8_t *map_bar(struct live *l, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	void *at = MAP_FAILED;

	if (!ioctl(l->device.fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		at = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, l->device.fd,
			  (off_t)info.offset);
	if (at == MAP_FAILED)
		row(l, false, "BAR %u is mapped: %s", index, strerror(errno));
	return at;
}

static void enable_master(struct live *l)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;

	if (ioctl(l->device.fd, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    pwrite(l->device.fd, &command, 2, (off_t)info.offset + PCI_COMMAND) != 2)
		row(l, false, "the device is bus master: %s", strerror(errno));
}

static void set32(struct live *l, enum sdma_queue_register which, uint32_t value)
{
	*(volatile uint32_t *)(l->registers + SDMA_QUEUE_BASE + which) = value;
}

static void set64(struct live *l, enum sdma_queue_register which, uint64_t value)
{
	*(volatile uint64_t *)(l->registers + SDMA_QUEUE_BASE + which) = value;
}

static unsigned int queue_state(struct live *l)
{
	return *(volatile uint32_t *)(l->registers + SDMA_QUEUE_BASE + SDMA_Q_STATUS) &
	       SDMA_Q_STATE_MASK;
}

static void nap(struct live *l)
{
	const struct timespec time = { .tv_nsec = 1000000 };

	loop_turn(l->loop, false);
	nanosleep(&time, NULL);
}

/* A page of guest memory with the ring, the index record, and one completion record. */
#define INDEX	   0x800
#define COMPLETION 0x840

static uint8_t *at_gpa(struct live *l, uint64_t gpa)
{
	return l->f.memory + gpa;
}

/* Starts one descriptor on queue 0, whose page is @gpa, and @address for the device. */
static void start(struct live *l, uint64_t gpa, uint64_t address, uint32_t pasid,
		  struct sdma_descriptor descriptor)
{
	struct sdma_index *index = (void *)at_gpa(l, gpa + INDEX);

	set32(l, SDMA_Q_CONTROL, 0);
	for (unsigned int i = 0; queue_state(l) != SDMA_Q_OFF && i < PATIENT; i++)
		nap(l);
	memset(at_gpa(l, gpa), 0, PAGE);
	descriptor.completion = address + COMPLETION;
	memcpy(at_gpa(l, gpa), &descriptor, sizeof(descriptor));
	index->tail = 1;
	set32(l, SDMA_Q_PASID, pasid == VTD_NO_PASID ? 0 : pasid);
	set32(l, SDMA_Q_VECTOR, SDMA_NO_VECTOR);
	set64(l, SDMA_Q_RING, address);
	set32(l, SDMA_Q_LOG2, 4);
	set64(l, SDMA_Q_INDEX, address + INDEX);
	set32(l, SDMA_Q_CONTROL, SDMA_Q_ENABLE | (pasid == VTD_NO_PASID ? 0 : SDMA_Q_PASID_ON));
	*(volatile uint32_t *)l->doorbells = 1;
}

/* How it ended: enum sdma_completion_status; SDMA_PENDING: the queue halted, or never. */
static unsigned int end(struct live *l, uint64_t gpa)
{
	const struct sdma_completion *record = (void *)at_gpa(l, gpa + COMPLETION);

	for (unsigned int i = 0; i < PATIENT; i++) {
		bool halted = queue_state(l) == SDMA_Q_HALTED;
		unsigned int status = __atomic_load_n(&record->status, __ATOMIC_ACQUIRE);

		if (status != SDMA_PENDING || halted)
			return status;
		nap(l);
	}
	return SDMA_PENDING;
}

static struct sdma_descriptor fill(uint64_t address, uint64_t len, unsigned int flags)
{
	return (struct sdma_descriptor){ .operation = SDMA_FILL,
					 .flags = (uint8_t)flags,
					 .destination = address,
					 .length = len,
					 .operand = PATTERN };
}

static bool filled(struct live *l, uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, at_gpa(l, gpa), sizeof(value));
	memset(at_gpa(l, gpa), 0, PAGE);
	return value == PATTERN;
}

/* --- The guest --- */

static void map(struct live *l, uint64_t table, uint64_t address, uint64_t gpa, uint64_t bits,
		uint64_t above)
{
	for (unsigned int level = 3; level > 0; level--) {
		uint64_t at = table + (address >> (12 + 9 * level) & 511) * 8;

		if (!vtd_fixture_load(&l->f, at))
			vtd_fixture_store(&l->f, at, vtd_fixture_page(&l->f) | above);
		table = vtd_fixture_load(&l->f, at) & VTD_SS_ADDR;
	}
	vtd_fixture_store(&l->f, table + (address >> 12 & 511) * 8, bits ? gpa | bits : 0);
}

static void set_entry(struct live *l, uint32_t pasid, enum vtd_pgtt pgtt, uint64_t fs_root,
		      uint64_t ss_root)
{
	uint64_t at = l->directory + (pasid >> 6) * 8, table = vtd_fixture_load(&l->f, at);

	if (!table) {
		table = vtd_fixture_page(&l->f) | VTD_PASIDDIR_P;
		vtd_fixture_store(&l->f, at, table);
	}
	at = (table & VTD_PASIDDIR_PTR) + (pasid & 63) * 64;
	vtd_fixture_store(&l->f, at + 8, 1);
	vtd_fixture_store(&l->f, at + 16, fs_root);
	vtd_fixture_store(&l->f, at,
			  ss_root | (pgtt ? VTD_PASID0_P : 0) | vtd_put(pgtt, VTD_PASID0_PGTT) |
				  vtd_put(VTD_AW_48, VTD_PASID0_AW));
}

static void invalidate(struct live *l, uint32_t pasid, uint64_t address, unsigned int order)
{
	vtd_fixture_submit(&l->f,
			   VTD_DESC_PASID_IOTLB | vtd_put(VTD_PASID_IOTLB_PAGE, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   address | vtd_put(order, VTD_ADDR1_AM));
	if (!vtd_fixture_wait(&l->f))
		row(l, false, "an invalidation completes");
}

static void invalidate_domain(struct live *l)
{
	vtd_fixture_submit(&l->f,
			   VTD_DESC_IOTLB | vtd_put(VTD_IOTLB_DOMAIN, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID),
			   0);
	if (!vtd_fixture_wait(&l->f))
		row(l, false, "an invalidation completes");
}

static void entry_changed(struct live *l, uint32_t pasid)
{
	vtd_fixture_submit(&l->f,
			   VTD_DESC_PASID_CACHE | vtd_put(VTD_PASID_CACHE_PASID, VTD_DESC_G) |
				   vtd_put(1, VTD_DESC_DID) | vtd_put(pasid, VTD_DESC_PASID),
			   0);
	if (!vtd_fixture_wait(&l->f))
		row(l, false, "an invalidation completes");
}

static void guest_start(struct live *l)
{
	uint64_t root = vtd_fixture_page(&l->f);

	l->table = vtd_fixture_page(&l->f);
	/* 512 entries: enough for PASIDs of 15 bits. */
	l->directory = vtd_fixture_pages(&l->f, 2);
	vtd_fixture_store(&l->f, root, l->table | VTD_ROOT_P);
	vtd_fixture_store(&l->f, l->table + SOURCE * 32,
			  l->directory | VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE |
				  VTD_SM_CONTEXT0_PASIDE | VTD_SM_CONTEXT0_PRE |
				  vtd_put(3, VTD_SM_CONTEXT0_PDTS));
	if (!vtd_fixture_queue(&l->f, true) ||
	    !vtd_fixture_set_root(&l->f, root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)) ||
	    !vtd_fixture_command(&l->f, VTD_GCMD_TE, true))
		row(l, false, "the unit starts");
	vtd_fixture_write64(&l->f, VTD_PQA, vtd_fixture_page(&l->f));
	l->answered = 0;
}

/* Waits for the guest's next page request. Its address; *@group: what to answer. */
static uint64_t next_request(struct live *l, unsigned int *group)
{
	uint64_t at = vtd_fixture_read64(&l->f, VTD_PQA) + l->answered * 32, high;

	for (unsigned int i = 0;
	     i < PATIENT && vtd_fixture_read64(&l->f, VTD_PQT) == l->answered * 32; i++)
		nap(l);
	if (vtd_fixture_read64(&l->f, VTD_PQT) == l->answered * 32)
		row(l, false, "a page request comes");
	l->answered++;
	vtd_fixture_write64(&l->f, VTD_PQH, l->answered * 32);
	high = vtd_fixture_load(&l->f, at + 8);
	*group = (unsigned int)vtd_get(high, VTD_PAGE1_PRGI);
	return high & VTD_PAGE1_ADDR;
}

static void respond(struct live *l, unsigned int group, unsigned int code)
{
	vtd_fixture_submit(
		&l->f,
		VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P | vtd_put(code, VTD_RESPONSE_RC) |
			vtd_put(SOURCE, VTD_RESPONSE_RID) | vtd_put(PASID, VTD_DESC_PASID),
		vtd_put(group, VTD_RESPONSE1_PRGI));
}

/* --- Tests --- */

static void open_all(struct live *l, const char *name)
{
	const struct vfio_context_options options = { .iommufd = -1 };
	const struct vfio_device_options device = {
		.name = name, .device = name, .fd = -1, .nested = VFIO_NESTED_ON
	};
	int rc;

	memset(&l->f, 0, sizeof(l->f));
	rc = vtd_fixture_init(&l->f, NULL);
	l->loop = rc ? NULL : loop_create(16);
	if (!l->loop)
		row(l, false, "there is a loop");
	vtd_fixture_attach(&l->f, SOURCE);
	l->ram = (struct ram){ 1, { { 0, FIXTURE_MEMORY, l->f.memory } } };
	rc = vfio_context_open(&l->context, &l->ram, l->loop, &options, l->error, sizeof(l->error));
	row(l, !rc, "/dev/iommu opens");
	rc = vfio_device_open(l->context, &device, &l->device, l->error, sizeof(l->error));
	row(l, !rc, "%s opens: %s", name, l->device.path);
	rc = vfio_device_attach(&l->device, l->f.unit, l->f.device[0].requester, l->error,
				sizeof(l->error));
	row(l, !rc, "it is attached");
	enable_master(l);
	l->registers = map_bar(l, SDMA_BAR_REGISTERS);
	l->doorbells = map_bar(l, SDMA_BAR_DOORBELLS);
	row(l, *(volatile uint32_t *)(l->registers + SDMA_ID) == SDMA_MAGIC, "it is an sdma");
}

static void close_all(struct live *l)
{
	/* What is mapped keeps the device's file open, and the device bound. */
	munmap((void *)l->registers, SDMA_REGISTERS_SIZE);
	munmap((void *)l->doorbells, SDMA_DOORBELL_SIZE);
	vtd_fixture_destroy(&l->f);
	vfio_device_close(&l->device);
	vfio_context_stop(l->context);
	while (loop_in_flight(l->loop))
		loop_turn(l->loop, true);
	vfio_context_close(l->context);
	loop_destroy(l->loop);
}

static void test_identity(struct live *l)
{
	uint64_t page = vtd_fixture_page(&l->f), data = vtd_fixture_page(&l->f);

	start(l, page, page, VTD_NO_PASID, fill(data, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data),
	    "translation off: addresses are the "
	    "guest's");
	guest_start(l);
	start(l, page, page, VTD_NO_PASID, fill(data, 64, 0));
	row(l, end(l, page) == SDMA_PENDING && !filled(l, data),
	    "on, without an entry: nothing is reached");
	set_entry(l, 0, VTD_PGTT_PT, 0, 0);
	entry_changed(l, 0);
	start(l, page, page, VTD_NO_PASID, fill(data, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data), "a pass-through entry");
}

static void test_first_stage(struct live *l)
{
	uint64_t root = vtd_fixture_page(&l->f), page = vtd_fixture_page(&l->f);
	uint64_t data = vtd_fixture_page(&l->f), other = vtd_fixture_page(&l->f);
	struct vfio_host_counters before = vfio_host_counters(&l->device), after;

	map(l, root, RING_VA, page, FS_RW, FS_RW);
	map(l, root, VA, data, FS_RW, FS_RW);
	set_entry(l, PASID, VTD_PGTT_FS, root, 0);
	entry_changed(l, PASID);
	after = vfio_host_counters(&l->device);
	row(l, after.ioctls - before.ioctls == 2, "binding a PASID: %llu ioctls",
	    (unsigned long long)(after.ioctls - before.ioctls));
	start(l, page, RING_VA, PASID, fill(VA, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data), "the guest's first stage is nested");
	map(l, root, VA, other, FS_RW, FS_RW);
	before = vfio_host_counters(&l->device);
	invalidate(l, PASID, VA, 0);
	after = vfio_host_counters(&l->device);
	row(l, after.ioctls - before.ioctls == 1, "an invalidation: %llu ioctl",
	    (unsigned long long)(after.ioctls - before.ioctls));
	start(l, page, RING_VA, PASID, fill(VA, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, other) && !filled(l, data),
	    "and what was mapped before is not reached");
	before = vfio_host_counters(&l->device);
	for (uint32_t pasid = 1; pasid <= 200; pasid++) {
		set_entry(l, pasid, VTD_PGTT_FS, root, 0);
		entry_changed(l, pasid);
	}
	after = vfio_host_counters(&l->device);
	row(l, after.domains == before.domains && after.binds - before.binds == 200,
	    "200 more PASIDs with the same table share its domain");
	start(l, page, RING_VA, 150, fill(VA, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, other), "and work");
	for (uint32_t pasid = 1; pasid <= 200; pasid++) {
		set_entry(l, pasid, 0, 0, 0);
		entry_changed(l, pasid);
	}
	after = vfio_host_counters(&l->device);
	row(l, after.unbinds - before.unbinds == 200, "and are taken away again");
	start(l, page, RING_VA, 150, fill(VA, 64, 0));
	row(l, end(l, page) == SDMA_PENDING && !filled(l, other), "and reach nothing then");
}

static void test_page_requests(struct live *l)
{
	uint64_t root = vtd_fixture_page(&l->f), page = vtd_fixture_page(&l->f);
	uint64_t data = vtd_fixture_page(&l->f), address;
	struct vfio_host_counters counters;
	unsigned int group;

	map(l, root, RING_VA, page, FS_RW, FS_RW);
	set_entry(l, PASID, VTD_PGTT_FS, root, 0);
	entry_changed(l, PASID);
	start(l, page, RING_VA, PASID, fill(VA, 64, SDMA_FLAG_BLOCK));
	address = next_request(l, &group);
	row(l, address == VA, "a missing page is asked for at 0x%llx", (unsigned long long)address);
	map(l, root, VA, data, FS_RW, FS_RW);
	respond(l, group, VTD_RESPONSE_SUCCESS);
	row(l, end(l, page) == SDMA_DONE && filled(l, data), "and used when the guest gives it");
	start(l, page, RING_VA, PASID, fill(VA + 8 * PAGE, 64, SDMA_FLAG_BLOCK));
	next_request(l, &group);
	respond(l, group, VTD_RESPONSE_INVALID);
	row(l, end(l, page) == SDMA_INVALID, "a guest's no gets to the device");
	start(l, page, RING_VA, PASID, fill(VA + 8 * PAGE, 64, SDMA_FLAG_BLOCK));
	next_request(l, &group);
	vfio_device_answer_faults(&l->device);
	row(l, end(l, page) == SDMA_INVALID, "a reset answers what is outstanding");
	start(l, page, RING_VA, PASID, fill(VA + 8 * PAGE, 64, SDMA_FLAG_BLOCK));
	next_request(l, &group);
	set_entry(l, PASID, 0, 0, 0);
	entry_changed(l, PASID);
	row(l, end(l, page) != SDMA_DONE, "so does unbinding");
	respond(l, group, VTD_RESPONSE_SUCCESS);
	counters = vfio_host_counters(&l->device);
	row(l, counters.faults == 4 && counters.responses == 4 && counters.auto_responses == 2,
	    "counted: %llu requests, %llu responses, %llu of them not by the guest",
	    (unsigned long long)counters.faults, (unsigned long long)counters.responses,
	    (unsigned long long)counters.auto_responses);
}

static void test_without_pasid(struct live *l)
{
	uint64_t root = vtd_fixture_page(&l->f), page = vtd_fixture_page(&l->f);
	uint64_t other = vtd_fixture_page(&l->f), data = vtd_fixture_page(&l->f);

	map(l, root, RING_VA, page, FS_RW, FS_RW);
	map(l, root, VA, data, FS_RW, FS_RW);
	map(l, other, RING_VA, page, FS_RW, FS_RW);
	map(l, other, VA + PAGE, data, FS_RW, FS_RW);
	/* To and fro: a reference that is lost on the way is complained about at the end. */
	for (unsigned int i = 0; i < 4; i++) {
		set_entry(l, 0, VTD_PGTT_FS, i % 2 ? other : root, 0);
		entry_changed(l, 0);
	}
	start(l, page, RING_VA, VTD_NO_PASID, fill(VA + PAGE, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data), "first stage without PASID, replaced");
	set_entry(l, 0, VTD_PGTT_PT, 0, 0);
	entry_changed(l, 0);
	start(l, page, page, VTD_NO_PASID, fill(data, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data), "and pass-through again");
}

static void test_second_stage(struct live *l)
{
	uint64_t root = vtd_fixture_page(&l->f), page = vtd_fixture_page(&l->f);
	uint64_t data = vtd_fixture_pages(&l->f, 8);
	uint64_t first = vtd_fixture_page(&l->f);

	map(l, root, RING_VA, page, SS_RW, SS_RW);
	for (unsigned int i = 0; i < 8; i++)
		map(l, root, VA + i * PAGE, data + i * PAGE, SS_RW, SS_RW);
	set_entry(l, 0, VTD_PGTT_SS, 0, root);
	entry_changed(l, 0);
	start(l, page, RING_VA, VTD_NO_PASID, fill(VA + 3 * PAGE, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data + 3 * PAGE),
	    "the guest's second stage is shadowed");
	map(l, root, VA + 3 * PAGE, 0, 0, SS_RW);
	invalidate_domain(l);
	start(l, page, RING_VA, VTD_NO_PASID, fill(VA + 3 * PAGE, 64, 0));
	row(l, end(l, page) != SDMA_DONE && !filled(l, data + 3 * PAGE),
	    "a page that was taken away is not reached");
	start(l, page, RING_VA, VTD_NO_PASID, fill(VA + 4 * PAGE, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data + 4 * PAGE),
	    "the next one is, in an address space made anew");
	map(l, root, VA + 3 * PAGE, data, SS_RW, SS_RW);
	invalidate_domain(l);
	start(l, page, RING_VA, VTD_NO_PASID, fill(VA + 3 * PAGE, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data), "and so is another one in its place");

	/* Both stages are the guest's: its first stage is in its second stage's addresses. */
	for (uint64_t gpa = 0; gpa < FIXTURE_MEMORY; gpa += PAGE)
		map(l, root, gpa, gpa, SS_RW, SS_RW);
	map(l, first, RING_VA, page, FS_RW, FS_RW);
	map(l, first, VA, data + PAGE, FS_RW, FS_RW);
	invalidate_domain(l);
	set_entry(l, PASID, VTD_PGTT_NESTED, first, root);
	entry_changed(l, PASID);
	start(l, page, RING_VA, PASID, fill(VA, 64, 0));
	row(l, end(l, page) == SDMA_DONE && filled(l, data + PAGE),
	    "a first stage in the guest's second stage");
	set_entry(l, PASID, 0, 0, 0);
	entry_changed(l, PASID);
	set_entry(l, 0, VTD_PGTT_PT, 0, 0);
	entry_changed(l, 0);
}

int main(int argc, char **argv)
{
	static struct live l;

	if (argc != 2) {
		fprintf(stderr, "usage: vfio_host BUS:DEVICE.FUNCTION\n");
		return 2;
	}
	for (unsigned int life = 0; life < 2; life++) {
		open_all(&l, argv[1]);
		test_identity(&l);
		test_first_stage(&l);
		test_page_requests(&l);
		test_without_pasid(&l);
		test_second_stage(&l);
		row(&l, !vfio_host_counters(&l.device).errors, "no call failed");
		close_all(&l);
	}
	printf("1..%u\n", l.rows);
	return 0;
}
