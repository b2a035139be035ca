/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm/acpi.c, acpi_dsdt.c, aml.c: the tables as an OS finds them, from a scan for the RSDP on; and
 * the DSDT as ACPICA's disassembler reads it, where that is installed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "tests/unit/boot_image.h"
#include "vmm/acpi.h"
#include "vmm/acpi_tables.h"
#include "vmm/aml.h"
#include "vmm/layout.h"

static struct ram ram;

static const struct pci_windows windows = {
	.ecam_base = LAYOUT_ECAM_BASE,
	.mem32_base = LAYOUT_MEM32_BASE,
	.mem32_size = LAYOUT_MEM32_SIZE,
	.mem64_base = UINT64_C(0x140000000),
	.mem64_size = UINT64_C(0x8000000000),
	.io_base = LAYOUT_PCI_IO_BASE,
	.io_size = LAYOUT_PCI_IO_SIZE,
	.gsi_base = LAYOUT_INTX_GSI_BASE,
	.gsi_count = LAYOUT_INTX_GSI_COUNT,
};

static int setup(void **state)
{
	(void)state;
	boot_image_ram(&ram, 16 * MIB, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	boot_image_ram_free(&ram);
	return 0;
}

static uint8_t sum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *bytes++);
	return total;
}

/* The table at @gpa, whole, with a good checksum. */
static const void *table_at(uint64_t gpa)
{
	const struct acpi_table_header *header = ram_ptr(&ram, gpa, sizeof(*header));

	assert_non_null(header);
	assert_true(gpa >= LAYOUT_ACPI_BASE && gpa % 16 == 0);
	assert_true(gpa + header->length <= LAYOUT_KERNEL_MIN);
	assert_int_equal(sum(header, header->length), 0);
	return header;
}

static const struct acpi_rsdp *find_rsdp(void)
{
	/* 5.2.5.1: the read-only memory space below 1 MiB, every 16 bytes. */
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16) {
		const struct acpi_rsdp *rsdp = ram_ptr(&ram, at, sizeof(*rsdp));

		if (!memcmp(rsdp->signature, "RSD PTR ", 8) && !sum(rsdp, 20))
			return rsdp;
	}
	return NULL;
}

static const void *find_table(const char *signature)
{
	const struct acpi_rsdp *rsdp = find_rsdp();
	const struct acpi_table_header *rsdt, *xsdt;
	const void *found = NULL;
	unsigned int count;

	assert_non_null(rsdp);
	assert_int_equal(rsdp->revision, 2);
	assert_int_equal(sum(rsdp, rsdp->length), 0);
	xsdt = table_at(rsdp->xsdt_address);
	rsdt = table_at(rsdp->rsdt_address);
	count = (xsdt->length - ACPI_HEADER_SIZE) / 8;
	assert_int_equal((rsdt->length - ACPI_HEADER_SIZE) / 4, count);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t gpa = load_le64((const uint8_t *)(xsdt + 1) + i * 8);

		assert_int_equal(load_le32((const uint8_t *)(rsdt + 1) + i * 4), gpa);
		if (!memcmp(table_at(gpa), signature, 4))
			found = table_at(gpa);
	}
	return found;
}

static void build(struct acpi_config *config)
{
	uint64_t rsdp = 0;

	config->pci = &windows;
	assert_int_equal(acpi_build(config, &ram, &rsdp), 0);
	assert_ptr_equal(ram_ptr(&ram, rsdp, 36), find_rsdp());
}

static void test_fadt(void **state)
{
	struct acpi_config config = { .cpus = 1 };
	const struct acpi_fadt *fadt;
	const struct acpi_table_header *dsdt;

	(void)state;
	build(&config);
	fadt = find_table("FACP");
	assert_non_null(fadt);
	assert_true(fadt->flags & 1 << 20);
	assert_int_equal(fadt->boot_flags & 1 << 1, 0);
	assert_int_equal(fadt->reset_register.address, 0xcf9);
	assert_int_equal(fadt->reset_value, 6);
	assert_int_equal(fadt->sleep_control.address, LAYOUT_SLEEP_CONTROL);
	assert_int_equal(fadt->sleep_status.address, LAYOUT_SLEEP_STATUS);
	assert_int_equal(fadt->x_dsdt, fadt->dsdt);
	dsdt = table_at(fadt->x_dsdt);
	assert_memory_equal(dsdt->signature, "DSDT", 4);
}

static void test_mcfg(void **state)
{
	struct acpi_config config = { .cpus = 1 };
	const struct acpi_mcfg *mcfg;

	(void)state;
	build(&config);
	mcfg = find_table("MCFG");
	assert_non_null(mcfg);
	assert_int_equal(mcfg->base, LAYOUT_ECAM_BASE);
	assert_int_equal(mcfg->last_bus, 0);
}

static void check_madt(unsigned int cpus)
{
	struct acpi_config config = { .cpus = cpus };
	unsigned int local = 0, x2 = 0, io = 0, nmi = 0;
	const struct acpi_madt *madt;
	const uint8_t *at, *end;

	build(&config);
	madt = find_table("APIC");
	assert_non_null(madt);
	end = (const uint8_t *)madt + madt->header.length;
	for (at = (const uint8_t *)(madt + 1); at < end; at += at[1]) {
		assert_true(at[1]);
		if (at[0] == ACPI_MADT_LOCAL_APIC) {
			assert_int_equal(at[3], local++);
			assert_int_equal(load_le32(at + 4), 1);
		} else if (at[0] == ACPI_MADT_LOCAL_X2APIC) {
			assert_int_equal(load_le32(at + 4), 255 + x2++);
			assert_int_equal(load_le32(at + 8), 1);
		} else if (at[0] == ACPI_MADT_IO_APIC) {
			assert_int_equal(load_le32(at + 4), LAYOUT_IOAPIC_BASE);
			io++;
		} else {
			nmi++;
		}
	}
	assert_ptr_equal(at, end);
	assert_int_equal(local + x2, cpus);
	assert_true(local <= 255);
	assert_int_equal(io, 1);
	assert_int_equal(nmi, 1);
}

static void test_madt(void **state)
{
	static const unsigned int rows[] = { 1, 2, 64, 255, 256, 300 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		check_madt(rows[i]);
}

static void test_extra(void **state)
{
	uint8_t dmar[48] = { 0 };
	struct acpi_config config = { .cpus = 1,
				      .extra_count = 1,
				      .extra = { { dmar, sizeof(dmar) } } };
	uint64_t rsdp;

	(void)state;
	acpi_header(dmar, "DMAR", 1, sizeof(dmar));
	dmar[40] = 0x5a;
	acpi_checksum(dmar);
	build(&config);
	assert_memory_equal(find_table("DMAR"), dmar, sizeof(dmar));

	config.extra[0].size = 40;
	assert_int_equal(acpi_build(&config, &ram, &rsdp), -EINVAL);
	config.extra[0].size = 4;
	assert_int_equal(acpi_build(&config, &ram, &rsdp), -EINVAL);
	config.extra_count = ACPI_EXTRA_MAX + 1;
	assert_int_equal(acpi_build(&config, &ram, &rsdp), -EINVAL);
}

static void test_no_room(void **state)
{
	struct acpi_config config = { .cpus = 100000, .pci = &windows };
	uint8_t small[256];
	uint64_t rsdp;

	(void)state;
	assert_int_equal(acpi_build(&config, &ram, &rsdp), -ENOSPC);
	for (size_t size = 0; size < sizeof(small); size++)
		assert_int_equal(acpi_dsdt(&config, small, size), 0);
}

/* --- AML --- */

static void test_aml_integers(void **state)
{
	static const struct {
		uint64_t value;
		uint8_t size, bytes[9];
	} rows[] = {
		{ 0, 1, { 0x00 } },
		{ 1, 1, { 0x01 } },
		{ 2, 2, { 0x0a, 2 } },
		{ 0xff, 2, { 0x0a, 0xff } },
		{ 0x100, 3, { 0x0b, 0, 1 } },
		{ 0x10000, 5, { 0x0c, 0, 0, 1, 0 } },
		{ UINT64_C(0x100000000), 9, { 0x0e, 0, 0, 0, 0, 1, 0, 0, 0 } },
	};
	uint8_t buffer[16];
	struct aml aml;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		aml_init(&aml, buffer, sizeof(buffer));
		aml_integer(&aml, rows[i].value);
		assert_int_equal(aml_size(&aml), rows[i].size);
		assert_memory_equal(buffer, rows[i].bytes, rows[i].size);
	}
}

static void test_aml_names(void **state)
{
	static const struct {
		const char *path, *bytes;
	} rows[] = {
		{ "_CRS", "_CRS" },
		{ "\\_SB_", "\\_SB_" },
		{ "\\_SB_.PCI0", "\\\x2e_SB_PCI0" },
		{ "_SB_.PCI0.COM1", "\x2f\x03_SB_PCI0COM1" },
	};
	uint8_t buffer[32];
	struct aml aml;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		aml_init(&aml, buffer, sizeof(buffer));
		aml_path(&aml, rows[i].path);
		assert_int_equal(aml_size(&aml), strlen(rows[i].bytes));
		assert_memory_equal(buffer, rows[i].bytes, strlen(rows[i].bytes));
	}
	aml_init(&aml, buffer, sizeof(buffer));
	aml_hardware_id(&aml, "PNP0A08"); /* 19.6.36: 0x41d00a08 in big-endian order */
	assert_memory_equal(buffer, "\x0c\x41\xd0\x0a\x08", 5);
	aml_init(&aml, buffer, sizeof(buffer));
	aml_hardware_id(&aml, "ACPI0013");
	assert_memory_equal(buffer,
			    "\x0d"
			    "ACPI0013",
			    10);
}

/* 20.2.4, at the borders of its three sizes: what is encoded counts itself. */
static void test_aml_lengths(void **state)
{
	static const struct {
		unsigned int body, bytes, length;
	} rows[] = {
		{ 5, 1, 6 }, { 62, 1, 63 }, { 63, 2, 65 }, { 4093, 2, 4095 }, { 4094, 3, 4097 }
	};
	uint8_t buffer[5000];
	struct aml aml;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int length;
		size_t mark;

		aml_init(&aml, buffer, sizeof(buffer));
		mark = aml_scope(&aml, "\\_SB_");
		for (unsigned int n = 5; n < rows[i].body; n++)
			aml_op(&aml, AML_ONE);
		aml_end(&aml, mark);
		assert_int_equal(aml_size(&aml), 1 + rows[i].bytes + rows[i].body);
		assert_int_equal(buffer[1] >> 6, rows[i].bytes - 1);
		length = rows[i].bytes == 1 ? buffer[1] : buffer[1] & 0xf;
		for (unsigned int n = 1; n < rows[i].bytes; n++)
			length |= (unsigned int)buffer[1 + n] << (4 + 8 * (n - 1));
		assert_int_equal(length, rows[i].length);
		assert_int_equal(buffer[1 + rows[i].bytes], '\\');
	}
}

/* --- Everything, as ACPICA reads it --- */

static void write_table(const char *directory, const struct acpi_table_header *table)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%.4s.dat", directory, table->signature);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(table, 1, table->length, file), table->length);
	fclose(file);
}

static void test_iasl(void **state)
{
	struct acpi_config config = { .cpus = 64, .serial = true, .power_button = true };
	char directory[] = "/tmp/nidus-acpi-XXXXXX", command[512];
	const struct acpi_fadt *fadt;

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1")) {
		print_message("skipped: iasl is not installed (package acpica-tools)\n");
		skip();
	}
	build(&config);
	fadt = find_table("FACP");
	assert_non_null(mkdtemp(directory));
	write_table(directory, find_table("FACP"));
	write_table(directory, find_table("APIC"));
	write_table(directory, find_table("MCFG"));
	write_table(directory, table_at(fadt->x_dsdt));
	/* Taken apart without complaint, and the DSDT put together again without a remark. */
	snprintf(command, sizeof(command),
		 "cd %s && for t in *.dat; do iasl -d $t >$t.log 2>&1 || exit 1; "
		 "! grep -iE 'error|warning|invalid|bad' $t.log || exit 1; done && "
		 "iasl -p again DSDT.dsl >again.log 2>&1 && "
		 "grep -q '0 Errors, 0 Warnings, 0 Remarks' again.log && "
		 "grep -q 'PNP0A08' DSDT.dsl && rm -r %s",
		 directory, directory);
	if (system(command))
		fail_msg("iasl complains: see %s", directory);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_fadt),      TEST(test_mcfg),	      TEST(test_madt),
		TEST(test_extra),     TEST(test_no_room),     TEST(test_aml_integers),
		TEST(test_aml_names), TEST(test_aml_lengths), TEST(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
