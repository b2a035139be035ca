/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI as a guest sees it: configuration space under masks, BARs, MSI-X, INTA#, both ways in.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/pci.h"
#include "tests/unit/fake_machine.h"

#define VECTORS	     3
#define BAR_DEVICE   0
#define BAR_IO	     1
#define BAR_MSIX     2
#define TABLE_OFFSET 0
#define PBA_OFFSET   0x800

struct device {
	struct pci_function fn;
	unsigned int resets, moves;
	int reset_error;
	uint64_t moved_to;
	struct bus_access last;
};

static struct device *device_of(struct pci_function *fn)
{
	return container_of(fn, struct device, fn);
}

static void bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access)
{
	if (!access->is_write)
		access->value = 0x1234000000000000 | (uint64_t)bar << 32 | access->offset;
	device_of(fn)->last = *access;
}

static void bar_moved(struct pci_function *fn, unsigned int bar, uint64_t address)
{
	if (bar != BAR_DEVICE)
		return;
	device_of(fn)->moves++;
	device_of(fn)->moved_to = address;
}

static int reset(struct pci_function *fn)
{
	device_of(fn)->resets++;
	return device_of(fn)->reset_error;
}

static const struct pci_ops ops = { .bar_access = bar_access,
				    .bar_moved = bar_moved,
				    .reset = reset };

static const struct pci_ids ids = {
	.vendor = 0x1234, .device = 0x5678, .class_code = 0x028000, .revision = 9
};

struct fixture {
	struct machine *machine;
	struct device device;
	unsigned int express;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->machine = fake_machine_create();
	pci_function_init(&f->device.fn, "test", &ops, &ids, true);
	pci_add_bar(&f->device.fn, BAR_DEVICE, PCI_BAR_MEM32, 0x1000, false);
	pci_add_bar(&f->device.fn, BAR_IO, PCI_BAR_IO, 0x40, false);
	pci_add_bar(&f->device.fn, BAR_MSIX, PCI_BAR_MEM64, 0x1000, true);
	assert_int_equal(pci_host_add(&f->machine->host, &f->device.fn, 0x18), 0);
	f->express = pci_add_express(&f->device.fn);
	assert_int_equal(pci_add_msix(&f->device.fn, VECTORS, BAR_MSIX, TABLE_OFFSET, PBA_OFFSET),
			 0);
	assert_int_equal(pci_host_assign(&f->machine->host), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_function_destroy(&f->device.fn);
	fake_machine_destroy(f->machine);
	free(f);
	return 0;
}

static uint32_t config(struct fixture *f, unsigned int offset, unsigned int size)
{
	return pci_config_read(&f->machine->host, f->device.fn.requester, offset, size);
}

static void set_config(struct fixture *f, unsigned int offset, unsigned int size, uint32_t value)
{
	pci_config_write(&f->machine->host, f->device.fn.requester, offset, size, value);
}

static void test_ids(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(config(f, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(config(f, PCI_CLASS_REVISION, 4), 0x02800009);
	assert_int_equal(config(f, PCI_INTERRUPT_PIN, 1), 1);
	/* Read-only registers stay what they are. */
	set_config(f, PCI_VENDOR_ID, 4, 0);
	set_config(f, PCI_STATUS, 2, 0xffff);
	assert_int_equal(config(f, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(config(f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

static void test_access_shapes(void **state)
{
	struct fixture *f = *state;
	struct pci_host *host = &f->machine->host;

	assert_int_equal(config(f, 0xffc, 8), 0xffffffff);
	assert_int_equal(config(f, 1, 2), 0xffffffff);
	assert_int_equal(config(f, 2, 4), 0xffffffff);
	assert_int_equal(config(f, 0xffe, 4), 0xffffffff);
	assert_int_equal(config(f, 3, 1), 0x56);
	assert_int_equal(pci_config_read(host, 0x08, 0, 4), 0xffffffff);
	assert_int_equal(pci_config_read(host, 0xffff, 0, 4), 0xffffffff);
	pci_config_write(host, 0xffff, 0, 4, 0);
}

/* ECAM and CF8/CFC are two ways to the same registers. */
static void test_two_ways(void **state)
{
	struct fixture *f = *state;
	struct machine *m = f->machine;
	uint64_t ecam = m->host.windows.ecam_base + (0x18 << 12);
	uint32_t value = 0x80001800 | PCI_INTERRUPT_LINE;

	assert_int_equal((uint32_t)fake_read(m, ecam, 4), 0x56781234);
	assert_int_equal(fake_read(m, ecam, 8), (uint64_t)config(f, 4, 4) << 32 | 0x56781234);
	bus_write(&m->pio, 0xcf8, &value, 4);
	value = 0x77;
	bus_write(&m->pio, 0xcfc, &value, 1);
	assert_int_equal(fake_read(m, ecam + PCI_INTERRUPT_LINE, 1), 0x77);
	value = 0;
	bus_read(&m->pio, 0xcf8, &value, 4);
	assert_int_equal(value, 0x80001800 | PCI_INTERRUPT_LINE);
	/* A byte at 0xcf9 is the reset register, which does nothing without its bit 2. */
	value = 0x02;
	bus_write(&m->pio, 0xcf9, &value, 1);
	assert_int_equal(m->end, MACHINE_RUNNING);
	value = 0x06;
	bus_write(&m->pio, 0xcf9, &value, 1);
	assert_int_equal(m->end, MACHINE_RESET);
}

static void test_bars_assigned(void **state)
{
	struct fixture *f = *state;
	uint64_t address = f->device.fn.bar[BAR_DEVICE].address;
	uint32_t io = config(f, PCI_BASE_ADDRESS_0 + 4, 4), value = 0;

	assert_int_not_equal(address, PCI_BAR_UNMAPPED);
	assert_int_equal(config(f, PCI_BASE_ADDRESS_0, 4), address);
	assert_int_equal(f->device.moved_to, address);
	assert_int_equal(fake_read(f->machine, address + 8, 4), 8);
	assert_int_equal(io & 3, 1);
	bus_read(&f->machine->pio, io & ~3U, &value, 4);
	assert_int_equal(value, 0);
	assert_int_equal(f->device.last.offset, 0);
	assert_int_equal(config(f, PCI_COMMAND, 2) & 7, 7);
}

static void test_bar_sizing(void **state)
{
	struct fixture *f = *state;

	set_config(f, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(config(f, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
	set_config(f, PCI_BASE_ADDRESS_0 + 4, 4, 0xffffffff);
	assert_int_equal(config(f, PCI_BASE_ADDRESS_0 + 4, 4), 0xffffffc1);
	set_config(f, PCI_BASE_ADDRESS_0 + 8, 4, 0xffffffff);
	set_config(f, PCI_BASE_ADDRESS_0 + 12, 4, 0xffffffff);
	assert_int_equal(config(f, PCI_BASE_ADDRESS_0 + 8, 4), 0xfffff00c);
	assert_int_equal(config(f, PCI_BASE_ADDRESS_0 + 12, 4), 0xffffffff);
	/* No BAR there. */
	set_config(f, PCI_BASE_ADDRESS_0 + 16, 4, 0xffffffff);
	assert_int_equal(config(f, PCI_BASE_ADDRESS_0 + 16, 4), 0);
}

static void test_bar_moves(void **state)
{
	struct fixture *f = *state;
	uint64_t old = f->device.fn.bar[BAR_DEVICE].address, next = old + 0x100000;
	unsigned int moves = f->device.moves;

	set_config(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)next);
	assert_int_equal(f->device.moves, moves + 2); /* away, and there */
	assert_int_equal(fake_read(f->machine, old, 4), 0xffffffff);
	assert_int_equal(fake_read(f->machine, next, 4), 0);
	/* Onto ECAM: refused, and decoded nowhere. */
	set_config(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)f->machine->host.windows.ecam_base);
	assert_int_equal(f->device.fn.bar[BAR_DEVICE].address, PCI_BAR_UNMAPPED);
	set_config(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)old);
	assert_int_equal(f->device.fn.bar[BAR_DEVICE].address, old);
	set_config(f, PCI_COMMAND, 2, 0);
	assert_int_equal(f->device.fn.bar[BAR_DEVICE].address, PCI_BAR_UNMAPPED);
	assert_int_equal(f->device.fn.bar[BAR_IO].address, PCI_BAR_UNMAPPED);
}

static uint64_t table(struct fixture *f)
{
	return f->device.fn.bar[BAR_MSIX].address + TABLE_OFFSET;
}

static void program_vector(struct fixture *f, unsigned int vector, uint32_t data, bool masked)
{
	uint64_t entry = table(f) + vector * PCI_MSIX_ENTRY_SIZE;

	fake_write(f->machine, entry, 8, 0xfee00000);
	fake_write(f->machine, entry + 8, 4, data);
	fake_write(f->machine, entry + 12, 4, masked);
}

static void enable_msix(struct fixture *f, uint16_t flags)
{
	set_config(f, f->device.fn.msix.cap + PCI_MSIX_FLAGS, 2, flags);
}

/* How many messages with @data were sent since the last call. */
static unsigned int sent(struct fixture *f, uint32_t data)
{
	return fake_take_msis(f->machine, data);
}

static void test_msix_sends(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(config(f, f->device.fn.msix.cap + PCI_MSIX_FLAGS, 2), VECTORS - 1);
	program_vector(f, 1, 0x41, false);
	assert_false(pci_msix_enabled(&f->device.fn));
	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	assert_true(pci_msix_enabled(&f->device.fn));
	pci_msix_raise(&f->device.fn, 1);
	assert_int_equal(sent(f, 0x41), 1);
	pci_msix_raise(&f->device.fn, VECTORS);
	pci_msix_raise(&f->device.fn, PCI_NO_VECTOR);
	assert_int_equal(sent(f, 0x41), 0);
}

static void test_msix_masks(void **state)
{
	struct fixture *f = *state;
	uint64_t pba = f->device.fn.bar[BAR_MSIX].address + PBA_OFFSET;

	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	program_vector(f, 2, 0x42, true);
	pci_msix_raise(&f->device.fn, 2);
	assert_int_equal(sent(f, 0x42), 0);
	assert_int_equal(fake_read(f->machine, pba, 8), 4);
	fake_write(f->machine, table(f) + 2 * PCI_MSIX_ENTRY_SIZE + 12, 4, 0);
	assert_int_equal(sent(f, 0x42), 1);
	assert_int_equal(fake_read(f->machine, pba, 8), 0);
	/* The function mask, and bus mastering, hold all vectors back. */
	enable_msix(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_raise(&f->device.fn, 2);
	assert_int_equal(sent(f, 0x42), 0);
	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(sent(f, 0x42), 1);
	set_config(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pci_msix_raise(&f->device.fn, 2);
	assert_int_equal(sent(f, 0x42), 0);
	set_config(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(sent(f, 0x42), 1);
}

/* A route that carries nothing (interrupt remapping blocks it) is left alone: by hand, the guest is
 * told. */
static void test_msix_blocked(void **state)
{
	struct fixture *f = *state;

	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	program_vector(f, 1, 0x41, false);
	pci_msix_raise(&f->device.fn, 1);
	assert_int_equal(sent(f, 0x41), 1);
	assert_int_equal(f->machine->sent_by_hand, 0);
	f->machine->routes_blocked = true;
	pci_msix_raise(&f->device.fn, 1);
	assert_int_equal(sent(f, 0x41), 1);
	assert_int_equal(f->machine->sent_by_hand, 1);
	f->machine->routes_blocked = false;
	pci_msix_raise(&f->device.fn, 1);
	assert_int_equal(sent(f, 0x41), 1);
	assert_int_equal(f->machine->sent_by_hand, 1);
}

/* Accesses that the specification leaves open change nothing and crash nothing. */
static void test_msix_odd_accesses(void **state)
{
	struct fixture *f = *state;

	program_vector(f, 0, 0x40, false);
	for (unsigned int size = 1; size <= 8; size++)
		for (unsigned int offset = 0; offset < 0x1000; offset++)
			if (size < 4 || offset % size || size % 4)
				fake_write(f->machine, table(f) + offset, size, UINT64_MAX);
	assert_int_equal(fake_read(f->machine, table(f), 8), 0xfee00000);
	assert_int_equal(fake_read(f->machine, table(f) + 8, 8), 0x40);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;

	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	program_vector(f, 0, 0x40, false);
	set_config(f, f->express + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->device.resets, 1);
	assert_int_equal(config(f, PCI_COMMAND, 2), 0);
	assert_false(pci_msix_enabled(&f->device.fn));
	assert_int_equal(config(f, f->express + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_BCR_FLR, 0);
	assert_int_equal(f->device.fn.bar[BAR_DEVICE].address, PCI_BAR_UNMAPPED);
	pci_msix_raise(&f->device.fn, 0);
	assert_int_equal(sent(f, 0x40), 0);
}

/* All that a guest can write comes back to what it found. */
static void test_host_reset(void **state)
{
	struct fixture *f = *state;
	uint8_t before[PCI_CONFIG_SIZE];
	uint64_t address = f->device.fn.bar[BAR_DEVICE].address;

	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		before[i] = (uint8_t)config(f, i, 1);
	assert_int_equal(pci_host_reset(&f->machine->host), 0);
	assert_int_equal(f->device.resets, 1);
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		assert_int_equal(config(f, i, 1), before[i]);

	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	program_vector(f, 0, 0x40, false);
	pci_set_intx(&f->device.fn, true);
	/* Not the control whose upper bit is a function level reset. */
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		if (i != f->express + PCI_EXP_DEVCTL + 1)
			set_config(f, i, 1, 0x5a);
	assert_int_equal(pci_host_reset(&f->machine->host), 0);
	assert_int_equal(f->device.resets, 2);
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		if (config(f, i, 1) != before[i])
			fail_msg("register %#x is %#x, was %#x", i, config(f, i, 1), before[i]);
	assert_int_equal(f->device.fn.bar[BAR_DEVICE].address, address);
	assert_int_equal(f->device.moved_to, address);
	assert_false(f->machine->irq[f->device.fn.gsi]);
	enable_msix(f, PCI_MSIX_FLAGS_ENABLE);
	pci_msix_raise(&f->device.fn, 0);
	assert_int_equal(sent(f, 0x40), 0);
}

/* A device that is not reset gets nothing back, and nobody else does. */
static void test_host_reset_fails(void **state)
{
	struct fixture *f = *state;

	f->device.reset_error = -ENOTTY;
	assert_int_equal(pci_host_reset(&f->machine->host), -ENOTTY);
	assert_int_equal(config(f, PCI_COMMAND, 2), 0);
	assert_int_equal(f->device.fn.bar[BAR_DEVICE].address, PCI_BAR_UNMAPPED);
	f->device.reset_error = 0;
	assert_int_equal(pci_host_reset(&f->machine->host), 0);
	assert_true(pci_bus_master(&f->device.fn));
}

static void test_intx(void **state)
{
	struct fixture *f = *state;
	unsigned int gsi = f->device.fn.gsi;

	assert_int_equal(config(f, PCI_INTERRUPT_LINE, 1), gsi);
	pci_set_intx(&f->device.fn, true);
	assert_true(f->machine->irq[gsi]);
	assert_true(config(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	set_config(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(f->machine->irq[gsi]);
	assert_true(config(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	set_config(f, PCI_COMMAND, 2, 0);
	assert_true(f->machine->irq[gsi]);
	pci_set_intx(&f->device.fn, false);
	assert_false(f->machine->irq[gsi]);
}

/* A line that two functions share is high while either asserts it. */
static void test_intx_shared(void **state)
{
	struct fixture *f = *state;
	struct device second = { 0 };
	unsigned int gsi = f->device.fn.gsi;

	pci_function_init(&second.fn, "second", &ops, &ids, true);
	assert_int_equal(pci_host_add(&f->machine->host, &second.fn, 0x18), -EBUSY);
	assert_int_equal(pci_host_add(&f->machine->host, &second.fn, 0x19), 0);
	assert_int_equal(pci_host_assign(&f->machine->host), 0);
	assert_int_equal(second.fn.gsi, gsi);
	pci_set_intx(&f->device.fn, true);
	pci_set_intx(&second.fn, true);
	pci_set_intx(&f->device.fn, false);
	assert_true(f->machine->irq[gsi]);
	pci_set_intx(&second.fn, false);
	assert_false(f->machine->irq[gsi]);
	pci_function_destroy(&second.fn);
}

static void test_capability_list(void **state)
{
	struct fixture *f = *state;
	unsigned int at = config(f, PCI_CAPABILITY_LIST, 1), seen = 0;

	for (; at && seen < 48; at = config(f, at + 1, 1), seen++)
		assert_true(at >= 0x40 && at < 0x100);
	assert_int_equal(seen, 2);
	assert_int_equal(config(f, f->express, 1), PCI_CAP_ID_EXP);
	assert_int_equal(config(f, f->express + PCI_EXP_FLAGS, 2) >> 4 & 0xf, PCI_EXP_TYPE_RC_END);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ids),
		TEST(test_access_shapes),
		TEST(test_two_ways),
		TEST(test_bars_assigned),
		TEST(test_bar_sizing),
		TEST(test_bar_moves),
		TEST(test_msix_sends),
		TEST(test_msix_masks),
		TEST(test_msix_blocked),
		TEST(test_msix_odd_accesses),
		TEST(test_reset),
		TEST(test_host_reset),
		TEST(test_host_reset_fails),
		TEST(test_intx),
		TEST(test_intx_shared),
		TEST(test_capability_list),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
