/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOAPIC: edges, levels, remote IRR and EOI, and what KVM is told about it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "vmm/ioapic.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

static struct machine *machine;
static struct msi_message last;
static unsigned int sent;
static struct msi_message route[IRQ_PINS];
static bool routed[IRQ_PINS];

void machine_send_msi(struct machine *m, uint16_t requester, const struct msi_message *msi)
{
	assert_ptr_equal(m, machine);
	assert_int_equal(requester, IOAPIC_REQUESTER);
	last = *msi;
	sent++;
}

int irq_set_route(struct machine *m, unsigned int gsi, const struct msi_message *message)
{
	assert_ptr_equal(m, machine);
	routed[gsi] = message;
	if (message)
		route[gsi] = *message;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	machine = calloc(1, sizeof(*machine));
	bus_init(&machine->mmio);
	sent = 0;
	memset(routed, 0, sizeof(routed));
	return ioapic_init(machine);
}

static int teardown(void **state)
{
	(void)state;
	ioapic_destroy(machine);
	bus_destroy(&machine->mmio);
	free(machine);
	return 0;
}

static void write_register(uint32_t index, uint32_t value)
{
	bus_write(&machine->mmio, LAYOUT_IOAPIC_BASE, &index, 4);
	bus_write(&machine->mmio, LAYOUT_IOAPIC_BASE + 0x10, &value, 4);
}

static uint32_t read_register(uint32_t index)
{
	uint32_t value = 0;

	bus_write(&machine->mmio, LAYOUT_IOAPIC_BASE, &index, 4);
	bus_read(&machine->mmio, LAYOUT_IOAPIC_BASE + 0x10, &value, 4);
	return value;
}

static void program(unsigned int pin, uint64_t entry)
{
	write_register(0x10 + pin * 2 + 1, (uint32_t)(entry >> 32));
	write_register(0x10 + pin * 2, (uint32_t)entry);
}

static void test_reset_values(void **state)
{
	(void)state;
	assert_int_equal(read_register(1), 0x00170020);
	for (unsigned int pin = 0; pin < IRQ_PINS; pin++) {
		assert_int_equal(read_register(0x10 + pin * 2), 0x10000);
		assert_int_equal(read_register(0x11 + pin * 2), 0);
	}
	assert_int_equal(read_register(0x40), 0);
	assert_int_equal(read_register(0xff), 0);
	write_register(0, 0xffffffff);
	assert_int_equal(read_register(0), 0x0f000000);
}

static void test_edge(void **state)
{
	(void)state;
	program(4, UINT64_C(0x0300000000000031));
	ioapic_set(machine, 4, true);
	assert_int_equal(sent, 1);
	assert_int_equal(last.address, 0xfee03000);
	assert_int_equal(last.data, 0x31);
	ioapic_set(machine, 4, true);
	assert_int_equal(sent, 1);
	ioapic_set(machine, 4, false);
	ioapic_set(machine, 4, true);
	assert_int_equal(sent, 2);
	assert_int_equal(read_register(0x18) & 1 << 14, 0);
	/* An edge while masked is lost, as on hardware. */
	program(4, 0x10031);
	ioapic_set(machine, 4, false);
	ioapic_set(machine, 4, true);
	program(4, 0x31);
	assert_int_equal(sent, 2);
	assert_false(routed[4]);
}

static void test_level(void **state)
{
	(void)state;
	program(17, 0x8842); /* level, logical */
	assert_true(routed[17]);
	ioapic_set(machine, 17, true);
	assert_int_equal(sent, 1);
	assert_int_equal(last.data, 0xc042);
	assert_int_equal(last.address, 0xfee00004);
	assert_int_equal(route[17].data, last.data);
	assert_int_equal(read_register(0x10 + 34) & 1 << 14, 1 << 14);
	/* Nothing more until it is ended; then again, because the line is still high. */
	ioapic_set(machine, 17, true);
	assert_int_equal(sent, 1);
	ioapic_eoi(machine, 0x41);
	assert_int_equal(sent, 1);
	ioapic_eoi(machine, 0x42);
	assert_int_equal(sent, 2);
	ioapic_set(machine, 17, false);
	ioapic_eoi(machine, 0x42);
	assert_int_equal(sent, 2);
	assert_int_equal(read_register(0x10 + 34) & 1 << 14, 0);
}

/* A line whose level only its device knows: it is low until that says otherwise. */
static void test_watched(void **state)
{
	int event = eventfd(0, EFD_NONBLOCK);
	uint64_t count = 0;

	(void)state;
	assert_int_equal(machine_watch_eoi(machine, 17, event), 0);
	program(17, 0x8042);
	program(18, 0x8043);
	ioapic_set(machine, 18, true);
	ioapic_eoi(machine, 0x43);
	assert_int_equal(sent, 2);
	assert_int_equal(read(event, &count, sizeof(count)), -1);
	ioapic_set(machine, 17, true);
	assert_int_equal(sent, 3);
	ioapic_eoi(machine, 0x42);
	assert_int_equal(sent, 3);
	assert_int_equal(read(event, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	ioapic_set(machine, 17, true);
	assert_int_equal(sent, 4);
	close(event);
	for (unsigned int i = 1; i < IOAPIC_WATCHES; i++)
		assert_int_equal(machine_watch_eoi(machine, 19, -1), 0);
	assert_int_equal(machine_watch_eoi(machine, 19, -1), -ENOSPC);
}

/* Linux masks an input, ends the interrupt, and unmasks it: no interrupt may be lost. */
static void test_level_masked(void **state)
{
	(void)state;
	program(17, 0x8042);
	ioapic_set(machine, 17, true);
	program(17, 0x18042);
	assert_true(routed[17]);
	ioapic_eoi(machine, 0x42);
	assert_int_equal(sent, 1);
	program(17, 0x8042);
	assert_int_equal(sent, 2);
	/* Remote IRR is read-only, but for a change to edge, which clears it. */
	assert_int_equal(read_register(0x10 + 34) & 1 << 14, 1 << 14);
	program(17, 0x10042);
	assert_int_equal(read_register(0x10 + 34) & 1 << 14, 0);
}

static void test_directed_eoi(void **state)
{
	uint32_t vector = 0x42;

	(void)state;
	program(20, 0x8042);
	ioapic_set(machine, 20, true);
	bus_write(&machine->mmio, LAYOUT_IOAPIC_BASE + 0x40, &vector, 4);
	assert_int_equal(sent, 2);
}

/* Remappable format (VT-d 5.1.5.1): the index and the format travel as the destination does. */
static void test_remappable_format(void **state)
{
	static const struct {
		uint64_t entry, address;
		uint32_t data;
	} rows[] = {
		/* index 3, edge and level, vector 4 */
		{ UINT64_C(0x0007000000000004), 0xfee00070, 0x0004 },
		{ UINT64_C(0x0007000000008004), 0xfee00070, 0xc004 },
		/* the index's highest bits of both parts, and all of them */
		{ UINT64_C(0x8001000000000000), 0xfee80010, 0 },
		{ UINT64_C(0x0001000000000800), 0xfee00014, 0 },
		{ UINT64_C(0xffff000000000800), 0xfeeffff4, 0 },
	};

	(void)state;
	machine->vtd_of[IOAPIC_REQUESTER] = (struct vtd_unit *)machine; /* any but NULL */
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		program(i, rows[i].entry);
		assert_int_equal(read_register(0x10 + i * 2 + 1), rows[i].entry >> 32);
		ioapic_set(machine, i, true);
		assert_int_equal(sent, i + 1);
		assert_int_equal(last.address, rows[i].address);
		assert_int_equal(last.data, rows[i].data);
		if (!(rows[i].entry & 1 << 15))
			continue;
		assert_int_equal(route[i].address, rows[i].address);
		assert_int_equal(route[i].data, rows[i].data);
	}
	/* 47:32 are nobody's. */
	write_register(0x11, UINT32_MAX);
	assert_int_equal(read_register(0x11), 0xffff0000);
}

/* Without a remapping unit there is a destination and nothing else. */
static void test_no_remappable_format(void **state)
{
	(void)state;
	write_register(0x11, UINT32_MAX);
	assert_int_equal(read_register(0x11), 0xff000000);
	program(4, UINT64_C(0x0307000000000031));
	ioapic_set(machine, 4, true);
	assert_int_equal(last.address, 0xfee03000);
}

static void test_odd_accesses(void **state)
{
	(void)state;
	ioapic_set(machine, IRQ_PINS, true);
	ioapic_set(machine, UINT32_MAX, true);
	for (unsigned int size = 1; size <= 8; size++) {
		for (uint64_t offset = 0; offset < 0x1000; offset += size) {
			uint64_t value = UINT64_MAX;

			bus_write(&machine->mmio, LAYOUT_IOAPIC_BASE + offset, &value, size);
			bus_read(&machine->mmio, LAYOUT_IOAPIC_BASE + offset, &value, size);
		}
	}
	assert_int_equal(sent, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reset_values),
		TEST(test_edge),
		TEST(test_level),
		TEST(test_watched),
		TEST(test_level_masked),
		TEST(test_directed_eoi),
		TEST(test_odd_accesses),
		TEST(test_remappable_format),
		TEST(test_no_remappable_format),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
