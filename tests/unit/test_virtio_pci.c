/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio transport: registers, negotiation, interrupts, reset; with a device that answers every
 * chain at once, or when the test lets it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/virtio.h"
#include "tests/unit/virtio_driver.h"

#define QUEUES	 3
#define SIZE	 16
#define FEATURE	 VIRTIO_BIT(3)
#define OTHER	 VIRTIO_BIT(5) /* goes with FEATURE only */
#define PLATFORM VIRTIO_BIT(33)
#define VERSION	 VIRTIO_BIT(VIRTIO_F_VERSION_1)

struct echo {
	struct virtio_device device;
	uint8_t config[6];
	unsigned int started, stopped;
	bool blocked; /* handle answers -EAGAIN */
	bool hold;    /* chains are kept, as by an operation in flight */
	struct virtq_chain held[SIZE];
	unsigned int held_count;
};

struct bench {
	struct machine *machine;
	struct loop *loop;
	struct echo echo;
	struct driver driver;
	uint64_t data;
};

static int handle(struct virtio_queue *queue)
{
	struct echo *echo = container_of(queue->device, struct echo, device);
	struct virtq_chain chain;
	struct iovec iov[4];
	int rc;

	if (echo->blocked)
		return -EAGAIN;
	rc = virtio_pop(queue, &chain, iov, ARRAY_SIZE(iov));
	if (rc <= 0)
		return rc;
	if (echo->hold) {
		virtio_get(&echo->device);
		echo->held[echo->held_count++] = chain;
		return 1;
	}
	virtio_push(queue, chain.head, chain.writable_bytes);
	return 1;
}

static void start(struct virtio_device *device)
{
	container_of(device, struct echo, device)->started++;
}

static void stop(struct virtio_device *device)
{
	container_of(device, struct echo, device)->stopped++;
}

static bool features_agree(const struct virtio_device *device, uint64_t features)
{
	(void)device;
	return !(features & OTHER) || features & FEATURE;
}

static const struct virtio_ops echo_ops = {
	.handle = handle,
	.start = start,
	.stop = stop,
	.features_agree = features_agree,
};

static void create(struct bench *b)
{
	const struct virtio_setup setup = {
		.name = "echo0",
		.ops = &echo_ops,
		.id = 42,
		.class_code = 0x00ff00,
		.features = FEATURE | OTHER,
		.config = b->echo.config,
		.config_size = sizeof(b->echo.config),
		.queues = QUEUES,
		.queue_size = SIZE,
	};

	memcpy(b->echo.config, "config", 6);
	assert_int_equal(virtio_device_init(&b->echo.device, &b->machine->host, b->loop, &setup),
			 0);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	driver_probe(&b->driver, b->machine, b->loop, b->echo.device.pci.requester);
}

static int setup_bare(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->machine = fake_machine_create();
	b->loop = loop_create(16);
	assert_non_null(b->loop);
	b->data = fake_alloc(b->machine, 4096, 4096);
	*state = b;
	return 0;
}

static int setup_bench(void **state)
{
	setup_bare(state);
	create(*state);
	return 0;
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	virtio_quiesce(&b->echo.device);
	while (loop_in_flight(b->loop))
		assert_int_equal(loop_turn(b->loop, true), 0);
	virtio_device_destroy(&b->echo.device);
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
	free(b);
	return 0;
}

static uint64_t common(struct bench *b, unsigned int offset, unsigned int size)
{
	return fake_read(b->machine, b->driver.common + offset, size);
}

static void set_common(struct bench *b, unsigned int offset, unsigned int size, uint64_t value)
{
	fake_write(b->machine, b->driver.common + offset, size, value);
}

static void add(struct bench *b, unsigned int queue)
{
	const struct driver_buffer buffer = { b->data, 64, true };

	driver_add(&b->driver.queue[queue], &buffer, 1);
}

static unsigned int take_used(struct bench *b, unsigned int queue)
{
	unsigned int count = 0;
	uint32_t head, len;

	while (driver_used(&b->driver.queue[queue], &head, &len))
		count++;
	return count;
}

static uint32_t config(struct bench *b, unsigned int offset, unsigned int size)
{
	return pci_config_read(&b->machine->host, b->driver.requester, offset, size);
}

static void set_config(struct bench *b, unsigned int offset, unsigned int size, uint32_t value)
{
	pci_config_write(&b->machine->host, b->driver.requester, offset, size, value);
}

/* --- Identity and registers --- */

static void identity(void **state)
{
	struct bench *b = *state;

	assert_int_equal(config(b, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(config(b, PCI_DEVICE_ID, 2), 0x1040 + 42);
	assert_int_equal(config(b, PCI_REVISION_ID, 1), 1);
	assert_true(config(b, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(b->driver.config_length, 6);
	assert_int_equal(b->driver.notify_length, QUEUES * b->driver.notify_multiplier);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	assert_int_equal(driver_offered(&b->driver),
			 FEATURE | OTHER | VERSION | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
				 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	/* Further words of features are empty. */
	set_common(b, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_DF, 4), 0);
	set_common(b, VIRTIO_PCI_COMMON_DFSELECT, 4, UINT32_MAX);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void device_configuration(void **state)
{
	struct bench *b = *state;
	uint64_t at = b->driver.config;

	assert_int_equal(fake_read(b->machine, at, 4), load_le32("conf"));
	assert_int_equal(fake_read(b->machine, at + 5, 1), 'g');
	assert_int_equal(fake_read(b->machine, at + 4, 8), 'i' | 'g' << 8);
	assert_int_equal(fake_read(b->machine, at + 6, 4), 0);
	assert_int_equal(fake_read(b->machine, at + 0xffc, 4), 0);
	fake_write(b->machine, at, 4, 0);
	assert_memory_equal(b->echo.config, "config", 6);
}

static void queue_registers(void **state)
{
	struct bench *b = *state;

	assert_true(driver_negotiate(&b->driver, VERSION));
	set_common(b, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2), SIZE);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2), PCI_NO_VECTOR);
	/* Sizes that cannot be are not taken. */
	set_common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2, 0);
	set_common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2, 12);
	set_common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2, 2 * SIZE);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2), SIZE);
	set_common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2), 4);
	/* A vector that does not exist reads back as none. */
	set_common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2, QUEUES);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2), QUEUES);
	set_common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2, QUEUES + 1);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2), PCI_NO_VECTOR);
	/* Addresses in halves, and as a whole. */
	set_common(b, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x11111111);
	set_common(b, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x22222222);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x2222222211111111);
	set_common(b, VIRTIO_PCI_COMMON_Q_USEDLO, 8, 0x4444444433333333);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0x44444444);
	/* An enabled queue is as it is. */
	set_common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	set_common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	set_common(b, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	set_common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x11111111);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2), 4);
	/* There is no queue 3. */
	set_common(b, VIRTIO_PCI_COMMON_Q_SELECT, 2, QUEUES);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	set_common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
}

/* Every access of every size at every offset: nothing crashes, nothing but registers is there. */
static void any_access(void **state)
{
	struct bench *b = *state;
	uint64_t bar = b->driver.common;

	for (unsigned int at = 0; at < 0x4000; at += 1) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			fake_read(b->machine, bar + at, size);
			if (at < 0x100 || at % 0x1000 < 0x100)
				fake_write(b->machine, bar + at, size, UINT64_MAX);
		}
	}
	fake_settle(b->loop);
	driver_bring_up(&b->driver, QUEUES, SIZE);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	driver_wait_used(&b->driver.queue[0], NULL);
}

/* --- Negotiation --- */

static void negotiation(void **state)
{
	struct bench *b = *state;
	static const struct {
		uint64_t features;
		bool taken;
	} rows[] = {
		{ 0, false },			     /* no VERSION_1 */
		{ FEATURE, false },		     /* the same */
		{ VERSION, true },		     /* the least */
		{ VERSION | FEATURE, true },	     /* */
		{ VERSION | FEATURE | OTHER, true }, /* */
		{ VERSION | OTHER, false },	     /* the device says no */
		{ VERSION | VIRTIO_BIT(4), false },  /* not offered */
		{ VERSION | VIRTIO_BIT(63), false }, /* not offered */
		{ VERSION | PLATFORM, false },	     /* there is no remapping unit */
		{ VERSION | FEATURE, true },	     /* and a second try is a new one */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(driver_negotiate(&b->driver, rows[i].features), rows[i].taken);
	/* Too late. */
	set_common(b, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set_common(b, VIRTIO_PCI_COMMON_GF, 4, 0);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_GF, 4), FEATURE);
}

static int translate(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
		     uint64_t *gpa, uint64_t *run)
{
	(void)dma;
	(void)access;
	*gpa = iova ^ 0x400000; /* the driver's addresses are not memory's */
	*run = min_u64(len, 4096 - iova % 4096);
	return 0;
}

static uint64_t epoch(const struct dma *dma)
{
	(void)dma;
	return 0;
}

static void platform_addresses(void **state)
{
	struct bench *b = *state;
	static const struct dma_ops ops = { .translate = translate, .epoch = epoch };

	b->echo.device.pci.dma.ops = &ops;
	assert_true(driver_offered(&b->driver) & PLATFORM);
	assert_false(driver_negotiate(&b->driver, VERSION));
	assert_true(driver_negotiate(&b->driver, VERSION | PLATFORM));
	/* Addresses of the model are physical: those of the unit are above it. */
	driver_queue_init(&b->driver, 0, SIZE);
	driver_start(&b->driver);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 0); /* it looked 4 MiB higher, and saw nothing */
	assert_int_equal(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	b->echo.device.pci.dma.ops = NULL;
}

/* How deep in dma_enter() the device is, and how often it looked at its rings. */
static unsigned int inside, looked;

static int translate_inside(const struct dma *dma, uint64_t iova, uint64_t len,
			    enum dma_access access, uint64_t *gpa, uint64_t *run)
{
	(void)dma;
	(void)access;
	assert_true(inside);
	*gpa = iova;
	*run = len;
	return 0;
}

/* Asked before every use of the rings. */
static uint64_t epoch_inside(const struct dma *dma)
{
	(void)dma;
	assert_true(inside);
	return looked++;
}

static unsigned int enter_gate(const struct dma *dma)
{
	(void)dma;
	return ++inside;
}

static void leave_gate(const struct dma *dma, unsigned int token)
{
	(void)dma;
	assert_int_equal(token, inside--);
}

/* No ring is touched but between dma_enter() and dma_leave(), and nothing stays inside. */
static void gate_is_kept(void **state)
{
	static const struct dma_ops ops = { translate_inside, epoch_inside, enter_gate,
					    leave_gate };
	struct bench *b = *state;

	inside = looked = 0;
	b->echo.device.pci.dma.ops = &ops;
	assert_true(driver_negotiate(&b->driver, VERSION | PLATFORM));
	driver_queue_init(&b->driver, 0, SIZE);
	driver_start(&b->driver);
	for (unsigned int i = 0; i < 3 * SIZE; i++) {
		add(b, 0);
		driver_kick(&b->driver.queue[0]);
		fake_settle(b->loop);
		assert_int_equal(take_used(b, 0), 1);
		assert_int_equal(inside, 0);
	}
	assert_true(looked > 3 * SIZE);
	driver_reset(&b->driver);
	assert_int_equal(inside, 0);
	b->echo.device.pci.dma.ops = NULL;
}

static void driver_ok_needs_features_ok(void **state)
{
	struct bench *b = *state;

	driver_set_status(&b->driver, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					      VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(driver_status(&b->driver),
			 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	fake_settle(b->loop);
	assert_int_equal(b->echo.started, 0);
	/* Bits are never taken back but by a reset. */
	driver_set_status(&b->driver, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(driver_status(&b->driver),
			 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
}

/* --- Running --- */

static void chains_come_back(void **state)
{
	struct bench *b = *state;

	driver_bring_up(&b->driver, QUEUES, SIZE);
	assert_int_equal(b->echo.started, 1);
	for (unsigned int i = 0; i < QUEUES; i++) {
		add(b, i);
		add(b, i);
		driver_kick(&b->driver.queue[i]);
		fake_settle(b->loop);
		assert_int_equal(take_used(b, i), 2);
		/* Two chains, one interrupt, on the queue's own vector. */
		assert_int_equal(fake_take_msis(b->machine, DRIVER_MSI + 1 + i), 1);
	}
	assert_int_equal(b->machine->msi_count, 0);
	assert_int_equal(virtio_counters_read(&b->echo.device).requests, 2 * QUEUES);
	assert_int_equal(virtio_counters_read(&b->echo.device).kicks, QUEUES);
	assert_int_equal(virtio_counters_read(&b->echo.device).interrupts, QUEUES);
}

static void chains_before_driver_ok(void **state)
{
	struct bench *b = *state;

	assert_true(driver_negotiate(&b->driver, VERSION));
	driver_queue_init(&b->driver, 0, SIZE);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 0);
	driver_start(&b->driver);
	assert_int_equal(take_used(b, 0), 1);
}

/* More than a queue's worth in one go: the loop takes it in shares, none is forgotten. */
static void without_kicks_in_between(void **state)
{
	struct bench *b = *state;
	unsigned int done = 0;

	driver_bring_up(&b->driver, 1, SIZE);
	for (unsigned int i = 0; i < SIZE; i++)
		add(b, 0);
	driver_kick(&b->driver.queue[0]);
	for (unsigned int i = 0; i < 100; i++) {
		unsigned int n;

		assert_int_equal(loop_turn(b->loop, false), 0);
		n = take_used(b, 0);
		done += n;
		while (n--)
			add(b, 0);
		if (done > 0)
			driver_kick(&b->driver.queue[0]);
	}
	assert_true(done > 4 * SIZE);
}

static void blocked_devices_are_not_kicked(void **state)
{
	struct bench *b = *state;

	driver_bring_up(&b->driver, 1, SIZE);
	b->echo.blocked = true;
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 0);
	b->echo.blocked = false;
	virtio_process(&b->echo.device.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 1);
}

static void doorbells_by_exit(void **state)
{
	struct bench *b = *state;

	b->machine->no_doorbells = true;
	b->machine->no_routes = true;
	create(b);
	assert_int_equal(b->machine->bell_count, 0);
	driver_bring_up(&b->driver, QUEUES, SIZE);
	add(b, 2);
	driver_kick(&b->driver.queue[2]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 2), 1);
	assert_int_equal(fake_take_msis(b->machine, DRIVER_MSI + 3), 1);
	/* Doorbells that are not there ring nothing. */
	fake_write(b->machine, b->driver.notify + QUEUES * 4, 2, 0);
	fake_write(b->machine, b->driver.notify + 1, 2, 0);
	assert_int_equal(fake_read(b->machine, b->driver.notify, 4), 0);
	fake_settle(b->loop);
	assert_int_equal(virtio_counters_read(&b->echo.device).kicks, 1);
}

static void doorbells_move_with_the_bar(void **state)
{
	struct bench *b = *state;
	uint32_t bar = config(b, PCI_BASE_ADDRESS_0, 4);

	assert_int_equal(b->machine->bell_count, QUEUES);
	assert_int_equal(b->machine->bell[0].address, b->driver.notify);
	set_config(b, PCI_BASE_ADDRESS_0, 4, bar + 0x800000);
	assert_int_equal(b->machine->bell_count, QUEUES);
	assert_int_equal(b->machine->bell[0].address, b->driver.notify + 0x800000);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(b->machine->bell_count, 0);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_int_equal(b->machine->bell_count, QUEUES);
}

static void wired_interrupts(void **state)
{
	struct bench *b = *state;
	unsigned int gsi = b->echo.device.pci.gsi;

	assert_true(driver_negotiate(&b->driver, VERSION));
	driver_queue_init(&b->driver, 0, SIZE);
	driver_start(&b->driver);
	assert_int_equal(fake_read(b->machine, b->driver.isr, 1), 0);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_true(b->machine->irq[gsi]);
	assert_int_equal(fake_read(b->machine, b->driver.isr, 1), 1);
	assert_false(b->machine->irq[gsi]);
	assert_int_equal(fake_read(b->machine, b->driver.isr, 1), 0);
	assert_int_equal(take_used(b, 0), 1);
	assert_int_equal(b->machine->msi_count, 0);
	/* A fault is a change of configuration. */
	driver_set_avail_index(&b->driver.queue[0], 1000);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_true(b->machine->irq[gsi]);
	assert_int_equal(fake_read(b->machine, b->driver.isr, 1), 2);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* --- Faults and resets --- */

static void broken_queue_needs_reset(void **state)
{
	struct bench *b = *state;

	driver_bring_up(&b->driver, QUEUES, SIZE);
	driver_set_avail_index(&b->driver.queue[1], SIZE + 1);
	driver_kick(&b->driver.queue[1]);
	fake_settle(b->loop);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(fake_take_msis(b->machine, DRIVER_MSI), 1);
	assert_int_equal(b->echo.stopped, 1);
	/* The others stand still too, until the reset. */
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 0);
	driver_bring_up(&b->driver, QUEUES, SIZE);
	add(b, 1);
	driver_kick(&b->driver.queue[1]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 1), 1);
}

static void rings_outside_of_memory(void **state)
{
	struct bench *b = *state;

	assert_true(driver_negotiate(&b->driver, VERSION));
	set_common(b, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set_common(b, VIRTIO_PCI_COMMON_Q_DESCLO, 8, UINT64_MAX - 15);
	set_common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	driver_start(&b->driver);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(b->echo.started, 0);
	driver_reset(&b->driver);
}

static void reset_waits_for_operations(void **state)
{
	struct bench *b = *state;

	driver_bring_up(&b->driver, 1, SIZE);
	b->echo.hold = true;
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(b->echo.held_count, 1);
	driver_set_status(&b->driver, 0);
	fake_settle(b->loop);
	assert_int_not_equal(driver_status(&b->driver), 0);
	assert_int_equal(b->echo.stopped, 1);
	/* Nothing is taken meanwhile. */
	set_common(b, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	assert_int_not_equal(common(b, VIRTIO_PCI_COMMON_Q_SELECT, 2), 2);
	driver_set_status(&b->driver, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	/* The operation ends: its chain is not given back, and the reset is complete. */
	virtio_push(&b->echo.device.queue[0], b->echo.held[0].head, 0);
	virtio_put(&b->echo.device);
	assert_int_equal(driver_status(&b->driver), 0);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 0);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2), PCI_NO_VECTOR);
	assert_int_equal(common(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	b->echo.hold = false;
	driver_bring_up(&b->driver, 1, SIZE);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 1);
}

static void function_level_reset(void **state)
{
	struct bench *b = *state;
	unsigned int devctl = b->echo.device.pci.express + PCI_EXP_DEVCTL;
	uint32_t bars[2] = { config(b, PCI_BASE_ADDRESS_0, 4), config(b, PCI_BASE_ADDRESS_1, 4) };

	assert_true(config(b, b->echo.device.pci.express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	driver_bring_up(&b->driver, 1, SIZE);
	set_config(b, devctl, 2, PCI_EXP_DEVCTL_BCR_FLR);
	fake_settle(b->loop);
	assert_int_equal(b->machine->bell_count, 0);
	set_config(b, PCI_BASE_ADDRESS_0, 4, bars[0]);
	set_config(b, PCI_BASE_ADDRESS_1, 4, bars[1]);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_int_equal(driver_status(&b->driver), 0);
	assert_int_equal(b->echo.stopped, 1);
	driver_bring_up(&b->driver, 1, SIZE);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 1);
}

static void no_memory_without_bus_mastering(void **state)
{
	struct bench *b = *state;
	uint8_t *used;

	driver_bring_up(&b->driver, 1, SIZE);
	used = fake_ram(b->machine, b->driver.queue[0].used);
	add(b, 0);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	memset(used, 0x5a, 6 + 8 * SIZE);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	for (unsigned int i = 0; i < 6 + 8 * SIZE; i++)
		assert_int_equal(used[i], 0x5a);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* DRIVER_OK without it starts nothing; with it, later, it does. */
	assert_true(driver_negotiate(&b->driver, VERSION));
	driver_queue_init(&b->driver, 0, SIZE);
	add(b, 0);
	driver_start(&b->driver);
	assert_int_equal(b->echo.started, 1);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fake_settle(b->loop);
	assert_int_equal(b->echo.started, 2);
	assert_int_equal(take_used(b, 0), 1);
}

/* Off and on again before the loop looks: what was lost meanwhile must not go unnoticed. */
static void bus_mastering_off_for_a_moment(void **state)
{
	struct bench *b = *state;

	driver_bring_up(&b->driver, 1, SIZE);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fake_settle(b->loop);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Once told, it is forgotten. */
	driver_bring_up(&b->driver, 1, SIZE);
	set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	add(b, 0);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_int_equal(take_used(b, 0), 1);
}

/* --- Access through configuration space (4.1.4.9) --- */

static void through_configuration_space(void **state)
{
	struct bench *b = *state;
	unsigned int cap = b->driver.pci_cfg, data = cap + 16;

	set_config(b, cap + VIRTIO_PCI_CAP_BAR, 1, 0);
	set_config(b, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_NUMQ);
	set_config(b, cap + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	assert_int_equal(config(b, data, 2), QUEUES);
	set_config(b, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	set_config(b, cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	set_config(b, data, 4, 0xffffff00 | VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(driver_status(&b->driver), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	/* What is not allowed does nothing. */
	set_config(b, cap + VIRTIO_PCI_CAP_OFFSET, 4, UINT32_MAX);
	set_config(b, data, 4, 0);
	config(b, data, 4);
	set_config(b, cap + VIRTIO_PCI_CAP_BAR, 1, 5);
	set_config(b, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	set_config(b, data, 1, 0);
	set_config(b, cap + VIRTIO_PCI_CAP_BAR, 1, 0);
	set_config(b, cap + VIRTIO_PCI_CAP_LENGTH, 4, 3);
	set_config(b, data, 1, 0);
	assert_int_equal(driver_status(&b->driver), VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

/* --- Two threads, as in a machine --- */

/* The ring belongs to the thread that runs it: the end happens there, too. */
static void *run_loop(void *bench)
{
	struct bench *b = bench;
	int rc = loop_run(b->loop);

	virtio_quiesce(&b->echo.device);
	while (!rc && loop_in_flight(b->loop))
		rc = loop_turn(b->loop, true);
	return (void *)(intptr_t)rc;
}

static void cpu_and_loop_in_two_threads(void **state)
{
	struct bench *b = *state;
	uint64_t first = b->machine->next;
	unsigned int devctl = b->echo.device.pci.express + PCI_EXP_DEVCTL;
	uint32_t bars[2] = { config(b, PCI_BASE_ADDRESS_0, 4), config(b, PCI_BASE_ADDRESS_1, 4) };
	pthread_t thread;
	void *rc;

	b->driver.loop = NULL;
	assert_int_equal(pthread_create(&thread, NULL, run_loop, b), 0);
	for (unsigned int round = 0; round < 60; round++) {
		b->machine->next = first;
		driver_bring_up(&b->driver, QUEUES, SIZE);
		for (unsigned int i = 0; i < 50; i++) {
			add(b, i % QUEUES);
			driver_kick(&b->driver.queue[i % QUEUES]);
			/* In every other round the reset comes in the middle of it. */
			if (round % 2)
				driver_wait_used(&b->driver.queue[i % QUEUES], NULL);
			set_common(b, VIRTIO_PCI_COMMON_Q_MSIX, 2, i % QUEUES);
			fake_read(b->machine, b->driver.isr, 1);
			if (!(round % 2) && i == SIZE - 1)
				break;
		}
		if (round % 5)
			continue;
		set_config(b, devctl, 2, PCI_EXP_DEVCTL_BCR_FLR);
		set_config(b, PCI_BASE_ADDRESS_0, 4, bars[0]);
		set_config(b, PCI_BASE_ADDRESS_1, 4, bars[1]);
		set_config(b, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
		driver_reset(&b->driver);
	}
	driver_reset(&b->driver);
	loop_stop(b->loop);
	pthread_join(thread, &rc);
	assert_ptr_equal(rc, NULL);
}

/* --- Creation --- */

static void impossible_devices(void **state)
{
	struct bench *b = *state;
	struct virtio_device device;
	struct virtio_setup setup = { .name = "x", .ops = &echo_ops, .queue_size = SIZE };

	assert_int_equal(virtio_device_init(&device, &b->machine->host, b->loop, &setup), -EINVAL);
	setup.queues = VIRTIO_QUEUES_MAX + 1;
	assert_int_equal(virtio_device_init(&device, &b->machine->host, b->loop, &setup), -EINVAL);
	setup.queues = 1;
	setup.queue_size = 3;
	assert_int_equal(virtio_device_init(&device, &b->machine->host, b->loop, &setup), -EINVAL);
	setup.queue_size = SIZE;
	for (unsigned int i = 0; i < PCI_FUNCTIONS; i++)
		if (!b->machine->host.function[i])
			b->machine->host.function[i] = &b->machine->host.bridge;
	assert_int_equal(virtio_device_init(&device, &b->machine->host, b->loop, &setup), -ENOSPC);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_bench, teardown_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(device_configuration),
		TEST(queue_registers),
		TEST(any_access),
		TEST(negotiation),
		TEST(platform_addresses),
		TEST(gate_is_kept),
		TEST(driver_ok_needs_features_ok),
		TEST(chains_come_back),
		TEST(chains_before_driver_ok),
		TEST(without_kicks_in_between),
		TEST(blocked_devices_are_not_kicked),
		cmocka_unit_test_setup_teardown(doorbells_by_exit, setup_bare, teardown_bench),
		TEST(doorbells_move_with_the_bar),
		TEST(wired_interrupts),
		TEST(broken_queue_needs_reset),
		TEST(rings_outside_of_memory),
		TEST(reset_waits_for_operations),
		TEST(function_level_reset),
		TEST(no_memory_without_bus_mastering),
		TEST(bus_mastering_off_for_a_moment),
		TEST(through_configuration_space),
		TEST(cpu_and_loop_in_two_threads),
		TEST(impossible_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
