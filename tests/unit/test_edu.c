/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edu as its documentation says: registers, factorial, INTA#, MSI, DMA and its limits.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/edu.h"
#include "tests/unit/fake_machine.h"

#define FN     8 /* requester */
#define BUFFER UINT64_C(0x40000)
#define MSI    0x77

struct bench {
	struct machine *machine;
	struct loop *loop;
	struct edu *edu;
	uint64_t bar;
	unsigned int gsi, cap;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->machine = fake_machine_create();
	b->loop = loop_create(16);
	b->edu = edu_create(&b->machine->host, b->loop, "edu0", EDU_DMA_BITS);
	assert_non_null(b->edu);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	b->bar = pci_config_read(&b->machine->host, FN, PCI_BASE_ADDRESS_0, 4) & ~0xfU;
	b->gsi = pci_config_read(&b->machine->host, FN, PCI_INTERRUPT_LINE, 1);
	b->cap = pci_config_read(&b->machine->host, FN, PCI_CAPABILITY_LIST, 1);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	edu_quiesce(b->edu);
	fake_settle(b->loop);
	assert_int_equal(loop_in_flight(b->loop), 0);
	edu_destroy(b->edu);
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
	free(b);
	return 0;
}

static uint64_t get(struct bench *b, unsigned int reg)
{
	return fake_read(b->machine, b->bar + reg, 4);
}

static void put(struct bench *b, unsigned int reg, uint64_t value)
{
	fake_write(b->machine, b->bar + reg, reg < 0x80 ? 4 : 8, value);
}

static void msi_on(struct bench *b)
{
	struct pci_host *host = &b->machine->host;

	pci_config_write(host, FN, b->cap + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	pci_config_write(host, FN, b->cap + PCI_MSI_DATA_64, 2, MSI);
	pci_config_write(host, FN, b->cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
}

static void test_registers(void **state)
{
	struct bench *b = *state;

	assert_int_equal(pci_config_read(&b->machine->host, FN, 0, 4), 0x11e81234);
	assert_int_equal(pci_config_read(&b->machine->host, FN, b->cap, 4), 0x00800005);
	assert_int_equal(get(b, 0), 0x010000ed);
	put(b, 4, 0x12345678);
	assert_int_equal(get(b, 4), ~0x12345678U);
	/* Sizes: 4 bytes below 0x80, 4 or 8 above. */
	assert_int_equal(fake_read(b->machine, b->bar, 8), UINT64_MAX);
	assert_int_equal(fake_read(b->machine, b->bar, 2), UINT16_MAX);
	put(b, 0x80, UINT64_C(0x123456789));
	assert_int_equal(fake_read(b->machine, b->bar + 0x80, 8), UINT64_C(0x123456789));
	assert_int_equal(get(b, 0x30), UINT32_MAX);
	put(b, 0x20, UINT32_MAX);
	assert_int_equal(get(b, 0x20), 0x80);
}

static void test_factorial(void **state)
{
	static const uint32_t rows[][2] = { { 0, 1 },		{ 1, 1 },
					    { 5, 120 },		{ 12, 479001600 },
					    { 13, 1932053504 }, { 33, 0x80000000 },
					    { 34, 0 },		{ UINT32_MAX, 0 } };
	struct bench *b = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		put(b, 8, rows[i][0]);
		assert_int_equal(get(b, 0x20), 1);
		put(b, 8, 7); /* while it computes: ignored */
		fake_settle(b->loop);
		assert_int_equal(get(b, 0x20), 0);
		assert_int_equal(get(b, 8), rows[i][1]);
	}
	assert_int_equal(get(b, 0x24), 0);
	put(b, 0x20, 0x80);
	put(b, 8, 4);
	fake_settle(b->loop);
	assert_int_equal(get(b, 0x24), 1);
	assert_true(b->machine->irq[b->gsi]);
	assert_int_equal(edu_counters_read(b->edu).factorials, ARRAY_SIZE(rows) + 1);
}

static void test_interrupts(void **state)
{
	struct bench *b = *state;

	put(b, 0x60, 0x30);
	assert_true(b->machine->irq[b->gsi]);
	assert_int_equal(get(b, 0x24), 0x30);
	put(b, 0x64, 0x10);
	assert_true(b->machine->irq[b->gsi]);
	put(b, 0x64, 0x20);
	assert_false(b->machine->irq[b->gsi]);

	/* MSI takes over, and gives back. */
	put(b, 0x60, 1);
	msi_on(b);
	assert_false(b->machine->irq[b->gsi]);
	put(b, 0x60, 2);
	assert_int_equal(fake_take_msis(b->machine, MSI), 1);
	assert_false(b->machine->irq[b->gsi]);
	put(b, 0x64, 1);
	assert_int_equal(fake_take_msis(b->machine, MSI), 0);
	pci_config_write(&b->machine->host, FN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put(b, 0x60, 1);
	assert_int_equal(fake_take_msis(b->machine, MSI), 0);
	pci_config_write(&b->machine->host, FN, b->cap + PCI_MSI_FLAGS, 2, 0);
	assert_true(b->machine->irq[b->gsi]);
}

static void dma(struct bench *b, uint64_t source, uint64_t destination, uint64_t count,
		uint64_t command)
{
	put(b, 0x80, source);
	put(b, 0x88, destination);
	put(b, 0x90, count);
	put(b, 0x98, command);
	put(b, 0x80, 99); /* while it runs: ignored */
	assert_int_equal(get(b, 0x98), command);
	fake_settle(b->loop);
	assert_int_equal(get(b, 0x98), command & ~1U);
	assert_int_equal(fake_read(b->machine, b->bar + 0x80, 8), source);
}

static void test_dma(void **state)
{
	struct bench *b = *state;
	uint64_t data = fake_alloc(b->machine, 0x4000, 0x1000);
	uint8_t *bytes = fake_ram(b->machine, data);

	for (unsigned int i = 0; i < 0x1000; i++)
		bytes[i] = (uint8_t)(i * 31);
	msi_on(b);
	dma(b, data, BUFFER, 0x1000, 1);
	assert_int_equal(get(b, 0x24), 0);
	dma(b, BUFFER + 0x10, data + 0x2345, 0xff0, 7);
	assert_memory_equal(bytes + 0x2345, bytes + 0x10, 0xff0);
	assert_int_equal(bytes[0x2345 + 0xff0], 0);
	assert_int_equal(get(b, 0x24), 0x100);
	assert_int_equal(fake_take_msis(b->machine, MSI), 1);
	assert_int_equal(edu_counters_read(b->edu).bytes_in, 0xff0);
	assert_int_equal(edu_counters_read(b->edu).bytes_out, 0x1000);
	put(b, 0x98, 6); /* no start */
	fake_settle(b->loop);
	assert_int_equal(edu_counters_read(b->edu).transfers, 2);
}

static void test_dma_errors(void **state)
{
	struct bench *b = *state;
	uint64_t data = fake_alloc(b->machine, 0x2000, 0x1000);
	const struct {
		uint64_t source, destination, count, command;
		bool fails;
	} rows[] = {
		{ data, BUFFER, 0, 1, false },
		{ data, BUFFER + 0x1000, 0, 1, false },
		{ data, BUFFER + 1, 0x1000, 1, true },
		{ data, BUFFER - 1, 1, 1, true },
		{ data, BUFFER, UINT64_MAX, 1, true },
		{ BUFFER + 0xfff, data, 2, 3, true },
		{ BUFFER, UINT64_C(1) << 28, 1, 3, true },	 /* beyond the mask */
		{ BUFFER, (UINT64_C(1) << 28) - 1, 2, 3, true }, /* over its end */
		{ BUFFER, FAKE_RAM_HIGH, 1, 3, true },
		{ BUFFER, UINT64_C(0x8000000), 1, 3, true }, /* no memory there */
		{ BUFFER, UINT64_MAX, 2, 3, true },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t errors = edu_counters_read(b->edu).errors;

		dma(b, rows[i].source, rows[i].destination, rows[i].count, rows[i].command);
		assert_int_equal(edu_counters_read(b->edu).errors - errors, rows[i].fails);
	}
	/* Not bus master. */
	pci_config_write(&b->machine->host, FN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	dma(b, BUFFER, data, 8, 7);
	assert_int_equal(edu_counters_read(b->edu).errors, ARRAY_SIZE(rows) - 2 + 1);
	assert_int_equal(get(b, 0x24), 0x100);
}

static void test_create(void **state)
{
	struct bench *b = *state;
	struct edu *wide = edu_create(&b->machine->host, b->loop, "edu1", 64);

	assert_non_null(wide);
	assert_string_equal(edu_name(wide), "edu1");
	edu_destroy(wide);
	b->machine->host.function[16] = NULL;
	assert_null(edu_create(&b->machine->host, b->loop, "edu2", 65));
	assert_int_equal(errno, EINVAL);
	assert_null(edu_create(&b->machine->host, b->loop, "edu2", 11));
}

static void test_rom(void **state)
{
	static const uint8_t image[0x1801] = { 0x55, 0xaa, [0x1800] = 7 };
	const uint32_t at = 0xf0f00000, on = at | PCI_ROM_ADDRESS_ENABLE;
	struct bench *b = *state;
	struct pci_host *host = &b->machine->host;

	pci_config_write(host, FN, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(pci_config_read(host, FN, PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(edu_set_rom(b->edu, image, 0), -EINVAL);
	assert_int_equal(edu_set_rom(b->edu, image, sizeof(image)), 0);
	pci_config_write(host, FN, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(pci_config_read(host, FN, PCI_ROM_ADDRESS, 4), 0xffffe001);
	pci_config_write(host, FN, PCI_ROM_ADDRESS, 4, on);
	assert_int_equal(fake_read(b->machine, at, 2), 0xaa55);
	assert_int_equal(fake_read(b->machine, at + 0x1800, 2), 0xff07);
	/* Over the BAR: not decoded there. */
	pci_config_write(host, FN, PCI_ROM_ADDRESS, 4, (uint32_t)b->bar | PCI_ROM_ADDRESS_ENABLE);
	assert_int_equal(get(b, 0), 0x010000ed);
	assert_int_equal(fake_read(b->machine, at, 2), UINT16_MAX);
	pci_config_write(host, FN, PCI_ROM_ADDRESS, 4, on);
	assert_true(edu_reset(b->edu));
	assert_int_equal(fake_read(b->machine, at, 2), UINT16_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers),  TEST(test_factorial), TEST(test_interrupts), TEST(test_dma),
		TEST(test_dma_errors), TEST(test_create),    TEST(test_rom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
