/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm/boot.c, boot_linux.c, boot_cpu.c, e820.c: what is recognised, where a bzImage and its initrd
 * end up, and that each thing that cannot work is refused with a line that says what would.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "tests/unit/boot_image.h"
#include "vmm/e820.h"
#include "vmm/layout.h"

static struct boot_image image;
static char error[BOOT_ERROR_SIZE], checked[BOOT_ERROR_SIZE];

/* Loads @image into @ram; the caller looks at RAM afterwards. */
static int load(struct ram *ram, const char *cmdline, const struct boot_file *module,
		unsigned int modules, struct boot_state *state)
{
	struct boot_request request = { .ram = ram,
					.kernel = boot_image_file("kernel.bin", image.bytes,
								  image.size),
					.cmdline = cmdline,
					.module = module,
					.module_count = modules,
					.rsdp = 0xe0000 };
	int rc;

	error[0] = checked[0] = '\0';
	rc = boot_check(&request, ram->slot[0].size, checked, sizeof(checked));
	/* What does not need the files' contents is found without loading them. */
	assert_int_equal(rc, boot_load(&request, state, error, sizeof(error)));
	assert_string_equal(checked, error);
	boot_file_close(&request.kernel);
	return rc;
}

static void expect_error(int rc, const char *part)
{
	assert_int_equal(rc, -EINVAL);
	if (!strstr(error, part))
		fail_msg("\"%s\" does not say \"%s\"", error, part);
	assert_null(strchr(error, '\n'));
}

/* --- Recognition --- */

static void make_text(struct boot_image *at)
{
	at->size = (uint64_t)snprintf((char *)at->bytes, BOOT_IMAGE_MAX, "#!/bin/sh\necho no\n");
}

static void make_empty(struct boot_image *at)
{
	at->size = 0;
}

static void make_old_linux(struct boot_image *at)
{
	boot_image_linux(at);
	boot_image_header(at)->version = 0x20b;
}

static void make_linux32(struct boot_image *at)
{
	boot_image_linux(at);
	boot_image_header(at)->xloadflags = 0;
}

static void make_zimage(struct boot_image *at)
{
	boot_image_linux(at);
	boot_image_header(at)->loadflags = 0;
}

static void make_bare_elf(struct boot_image *at)
{
	boot_image_elf64(at, 0);
	boot_image_segment64(at, 0, MIB, "code", 4, 4);
}

static void make_multiboot32(struct boot_image *at)
{
	boot_image_multiboot32(at, MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO);
}

static void make_multiboot64(struct boot_image *at)
{
	boot_image_multiboot64(at, 0);
}

static void make_multiboot_flat(struct boot_image *at)
{
	boot_image_multiboot_flat(at);
}

static void make_multiboot_video(struct boot_image *at)
{
	boot_image_multiboot32(at, MULTIBOOT_VIDEO_MODE);
}

static void make_multiboot_shapeless(struct boot_image *at)
{
	struct multiboot_header *header = boot_image_multiboot_flat(at);

	header->flags = 0;
	boot_image_multiboot_seal(header);
}

static void test_identify(void **state)
{
	static const struct {
		void (*make)(struct boot_image *image);
		int result;
		const char *says;
	} rows[] = {
		{ boot_image_linux, BOOT_LINUX, "" },
		{ boot_image_pvh, BOOT_PVH, "" },
		{ make_multiboot32, BOOT_MULTIBOOT, "" },
		{ make_multiboot64, BOOT_MULTIBOOT, "" },
		{ make_multiboot_flat, BOOT_MULTIBOOT, "" },
		{ make_text, -EINVAL, "neither a bzImage" },
		{ make_empty, -EINVAL, "neither a bzImage" },
		{ make_bare_elf, -EINVAL, "neither a bzImage" },
		{ make_old_linux, -EINVAL, "protocol is 2.11" },
		{ make_linux32, -EINVAL, "32-bit kernel" },
		{ make_zimage, -EINVAL, "zImage" },
		{ make_multiboot_video, -EINVAL, "demands features 0x4" },
		{ make_multiboot_shapeless, -EINVAL, "no address fields" },
	};
	char path[] = "/tmp/nidus-boot-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		error[0] = '\0';
		rows[i].make(&image);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, image.bytes, image.size, 0), image.size);
		assert_int_equal(boot_identify(path, error, sizeof(error)), rows[i].result);
		assert_non_null(strstr(error, rows[i].says));
		if (rows[i].result < 0)
			assert_non_null(strstr(error, path));
	}
	close(fd);
	unlink(path);
	assert_int_equal(boot_identify(path, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "cannot be read"));
	assert_int_equal(boot_identify("no\nsuch\033file", error, sizeof(error)), -ENOENT);
	assert_memory_equal(error, "no?such?file: ", 14);
	assert_int_equal(boot_identify("/", error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "not a regular file"));
}

/* --- What a loaded bzImage finds --- */

/* Walks the page tables that cr3 points to, as the CPU would; they must have 2 MiB pages. */
static uint64_t walk(const struct ram *ram, uint64_t cr3, uint64_t address)
{
	uint64_t table = cr3;

	for (unsigned int shift = 39; shift >= 21; shift -= 9) {
		const uint8_t *at = ram_ptr(ram, table + (address >> shift & 511) * 8, 8);
		uint64_t entry = load_le64(at);

		assert_int_equal(entry & 3, 3);
		assert_int_equal(entry >> 7 & 1, shift == 21);
		table = entry & UINT64_C(0xffffffffff000);
	}
	return table + (address & (2 * MIB - 1));
}

static void check_cpu(const struct ram *ram, const struct boot_state *state)
{
	const uint8_t *gdt = ram_ptr(ram, state->gdt_base, state->gdt_limit + 1);

	assert_int_equal(state->mode, BOOT_LONG64);
	assert_int_equal(state->cr0 & 0x80000001, 0x80000001);
	assert_int_equal(state->cr4, 1 << 5);
	assert_int_equal(state->efer, 0x500);
	assert_int_equal(state->code.selector, 0x10);
	assert_int_equal(state->data.selector, 0x18);
	/* Flat, 64-bit code; flat, 32-bit data; busy TSS: Intel SDM, volume 3, 3.4.5. */
	assert_int_equal(load_le64(gdt + 0x10), UINT64_C(0x00af9b000000ffff));
	assert_int_equal(load_le64(gdt + 0x18), UINT64_C(0x00cf93000000ffff));
	assert_int_equal(load_le64(gdt + state->task.selector), UINT64_C(0x00008b0000000067));
	for (uint64_t at = 0x1234; at < 4 * GIB; at += 61 * MIB)
		assert_int_equal(walk(ram, state->cr3, at), at);
}

static void check_map(const struct linux_boot_params *params, uint64_t low, uint64_t high)
{
	uint64_t ram = 0, end = 0;

	for (unsigned int i = 0; i < params->e820_entries; i++) {
		const struct linux_e820 *range = &params->e820[i];

		assert_true(range->base >= end && range->size);
		end = range->base + range->size;
		if (range->type == E820_RAM)
			ram += range->size;
	}
	assert_int_equal(ram, low + high - (LAYOUT_KERNEL_MIN - LAYOUT_EBDA_BASE));
}

static void test_linux(void **unused)
{
	const struct linux_boot_params *params;
	struct boot_state state;
	struct ram ram;

	(void)unused;
	boot_image_linux(&image);
	boot_image_ram(&ram, 64 * MIB, 0);
	assert_int_equal(load(&ram, "console=ttyS0 quiet", NULL, 0, &state), 0);
	assert_int_equal(state.protocol, BOOT_LINUX);
	assert_int_equal(state.rip, 16 * MIB + 0x200);
	check_cpu(&ram, &state);
	assert_memory_equal(ram.slot[0].host + 16 * MIB,
			    image.bytes + (BOOT_IMAGE_SETUP_SECTS + 1) * 512, BOOT_IMAGE_PAYLOAD);

	params = ram_ptr(&ram, state.rsi, sizeof(*params));
	assert_int_equal(params->header.magic, LINUX_MAGIC);
	assert_int_equal(params->header.type_of_loader, 0xff);
	assert_int_equal(params->header.init_size, 4 * MIB);
	assert_int_equal(params->header.ramdisk_size, 0);
	assert_int_equal(params->acpi_rsdp_addr, 0xe0000);
	assert_string_equal(ram_ptr(&ram, params->header.cmd_line_ptr, 20), "console=ttyS0 quiet");
	check_map(params, 64 * MIB, 0);
	boot_image_ram_free(&ram);
}

static void test_linux_high_memory(void **unused)
{
	const struct linux_boot_params *params;
	struct boot_state state;
	struct ram ram;

	(void)unused;
	boot_image_linux(&image);
	boot_image_ram(&ram, 3 * GIB, 5 * GIB);
	assert_int_equal(load(&ram, NULL, NULL, 0, &state), 0);
	params = ram_ptr(&ram, state.rsi, sizeof(*params));
	check_map(params, 3 * GIB, 5 * GIB);
	boot_image_ram_free(&ram);
}

/* Only what the header says is part of it may be copied: an older kernel's ends earlier. */
static void test_linux_short_header(void **unused)
{
	const struct linux_boot_params *params;
	struct boot_state state;
	struct ram ram;

	(void)unused;
	boot_image_linux(&image);
	boot_image_header(&image)->header_len = 0x264 - 0x202;
	boot_image_header(&image)->handover_offset = 0xdeadbeef;
	boot_image_ram(&ram, 64 * MIB, 0);
	assert_int_equal(load(&ram, NULL, NULL, 0, &state), 0);
	params = ram_ptr(&ram, state.rsi, sizeof(*params));
	assert_int_equal(params->header.init_size, 4 * MIB);
	assert_int_equal(params->header.handover_offset, 0);
	boot_image_ram_free(&ram);
}

static void test_linux_alignment(void **unused)
{
	static const struct {
		uint64_t pref_address;
		uint32_t alignment;
		uint8_t relocatable;
		uint64_t load;
	} rows[] = {
		{ 16 * MIB, 2 * MIB, 1, 16 * MIB }, { 16 * MIB + 1, 2 * MIB, 1, 18 * MIB },
		{ 0, 2 * MIB, 1, 2 * MIB },	    { 0, 4096, 1, MIB },
		{ 2 * MIB, 16 * MIB, 1, 16 * MIB }, { 3 * MIB, 16 * MIB, 0, 3 * MIB },
	};
	struct boot_state state;
	struct ram ram;

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		boot_image_linux(&image);
		boot_image_header(&image)->pref_address = rows[i].pref_address;
		boot_image_header(&image)->kernel_alignment = rows[i].alignment;
		boot_image_header(&image)->relocatable_kernel = rows[i].relocatable;
		boot_image_ram(&ram, 64 * MIB, 0);
		assert_int_equal(load(&ram, NULL, NULL, 0, &state), 0);
		assert_int_equal(state.rip, rows[i].load + 0x200);
		boot_image_ram_free(&ram);
	}
}

/* --- Initrds --- */

static void test_initrds(void **unused)
{
	static const char first[] = "first", second[] = "second one";
	struct boot_file modules[] = { boot_image_file("a", first, 5),
				       boot_image_file("empty", "", 0),
				       boot_image_file("b", second, 10) };
	const struct linux_boot_params *params;
	struct boot_state state;
	const uint8_t *initrd;
	struct ram ram;

	(void)unused;
	boot_image_linux(&image);
	boot_image_ram(&ram, 64 * MIB, 0);
	assert_int_equal(load(&ram, NULL, modules, ARRAY_SIZE(modules), &state), 0);
	params = ram_ptr(&ram, state.rsi, sizeof(*params));
	assert_int_equal(params->header.ramdisk_size, 18);
	assert_int_equal(params->header.ramdisk_image, 64 * MIB - 4096);
	assert_int_equal(params->ext_ramdisk_image, 0);
	initrd = ram_ptr(&ram, params->header.ramdisk_image, 18);
	assert_memory_equal(initrd, "first\0\0\0second one", 18);
	boot_image_ram_free(&ram);
	for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++)
		boot_file_close(&modules[i]);
}

/* An initrd of @size bytes that exists only as a hole. */
static struct boot_file big_module(uint64_t size)
{
	struct boot_file file = boot_image_file("big.img", "", 0);

	file.size = size;
	assert_int_equal(ftruncate(file.fd, (off_t)size), 0);
	return file;
}

static void test_initrd_limits(void **unused)
{
	static const struct {
		uint64_t ram, size;
		uint32_t addr_max;
		const char *says; /* NULL: it fits */
	} rows[] = {
		{ 64 * MIB, 44 * MIB, 0x7fffffff, NULL }, /* from the kernel's end to the top */
		{ 64 * MIB, 44 * MIB + 1, 0x7fffffff, "use -m 65M" },
		{ 64 * MIB, 200 * MIB, 0x7fffffff, "use -m 220M" },
		{ 64 * MIB, 8 * MIB, 0x1bfffff, NULL },
		{ 64 * MIB, 8 * MIB + 1, 0x1bfffff, "takes at most 8388608" },
		{ 64 * MIB, 4096 * GIB, 0x7fffffff, "are too many" },
		{ 64 * MIB, 1, 0, "are too many" },
	};
	struct boot_state state;

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct boot_file module = big_module(rows[i].size);
		struct ram ram;
		int rc;

		boot_image_linux(&image);
		boot_image_header(&image)->initrd_addr_max = rows[i].addr_max;
		boot_image_ram(&ram, rows[i].ram, 0);
		rc = load(&ram, NULL, &module, 1, &state);
		if (rows[i].says)
			expect_error(rc, rows[i].says);
		else
			assert_int_equal(rc, 0);
		boot_image_ram_free(&ram);
		boot_file_close(&module);
	}
}

static void test_initrd_arguments(void **unused)
{
	struct boot_file module = boot_image_file("initrd.img", "abc", 3);
	struct boot_state state;
	struct ram ram;

	(void)unused;
	module.args = "words";
	boot_image_linux(&image);
	boot_image_ram(&ram, 64 * MIB, 0);
	expect_error(load(&ram, NULL, &module, 1, &state), "leave them out");
	boot_image_ram_free(&ram);
	boot_file_close(&module);
}

/* A file that shrinks after it was opened ends the load, not the program. */
static void test_initrd_shrinks(void **unused)
{
	struct boot_file module = big_module(8192);
	struct boot_request request = { .module = &module, .module_count = 1 };
	struct boot_state state;
	struct ram ram;

	(void)unused;
	assert_int_equal(ftruncate(module.fd, 100), 0);
	boot_image_linux(&image);
	boot_image_ram(&ram, 64 * MIB, 0);
	request.ram = &ram;
	request.kernel = boot_image_file("kernel", image.bytes, image.size);
	assert_int_equal(boot_load(&request, &state, error, sizeof(error)), -EIO);
	boot_file_close(&request.kernel);
	assert_non_null(strstr(error, "has become shorter"));
	boot_image_ram_free(&ram);
	boot_file_close(&module);
}

/* --- Refusals --- */

static void break_size(struct linux_header *header)
{
	header->syssize++;
}

static void break_setup(struct linux_header *header)
{
	header->setup_sects = 255;
}

static void break_alignment(struct linux_header *header)
{
	header->kernel_alignment = 0x300000;
}

static void break_alignment_zero(struct linux_header *header)
{
	header->kernel_alignment = 0;
}

static void break_init_size(struct linux_header *header)
{
	header->init_size = 100 * MIB;
}

static void break_init_size_huge(struct linux_header *header)
{
	header->init_size = UINT32_MAX;
}

static void break_address(struct linux_header *header)
{
	header->pref_address = UINT64_MAX - 4096;
}

static void break_address_low(struct linux_header *header)
{
	header->relocatable_kernel = 0;
	header->pref_address = 0x8000;
}

static void break_cmdline(struct linux_header *header)
{
	header->cmdline_size = 4;
}

static void test_linux_refused(void **unused)
{
	static const struct {
		void (*fault)(struct linux_header *header);
		const char *says;
	} rows[] = {
		{ break_size, "cut short" },
		{ break_setup, "cut short" },
		{ break_alignment, "alignment of 0x300000" },
		{ break_alignment_zero, "alignment of 0" },
		{ break_init_size, "use -m 116M or more" },
		{ break_init_size_huge, "the guest's ends at 3 GiB" },
		{ break_address, "the guest's ends at 3 GiB" },
		{ break_address_low, "overlap boot information" },
		{ break_cmdline, "has 5 bytes, kernel kernel.bin takes at most 4" },
	};
	struct boot_state state;
	struct ram ram;

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		boot_image_linux(&image);
		rows[i].fault(boot_image_header(&image));
		boot_image_ram(&ram, 64 * MIB, 0);
		expect_error(load(&ram, "quiet", NULL, 0, &state), rows[i].says);
		boot_image_ram_free(&ram);
	}
}

static void test_little_memory(void **unused)
{
	struct boot_state state;
	struct ram ram;

	(void)unused;
	boot_image_linux(&image);
	boot_image_ram(&ram, 16 * MIB, 0);
	expect_error(load(&ram, NULL, NULL, 0, &state), "use -m 20M or more");
	boot_image_ram_free(&ram);
	boot_image_ram(&ram, 512 * KIB, 0);
	expect_error(load(&ram, NULL, NULL, 0, &state), "more than 1 MiB");
	boot_image_ram_free(&ram);
}

static void test_windows(void **unused)
{
	(void)unused;
	assert_int_equal(layout_mem64_base(0), 4 * GIB);
	assert_int_equal(layout_mem64_base(1), 5 * GIB);
	assert_int_equal(layout_mem64_size(0, 36), 60 * GIB);
	assert_int_equal(layout_mem64_size(60 * GIB, 36), 0);
	assert_int_equal(layout_mem64_size(0, 52), LAYOUT_MEM64_SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify),	  cmocka_unit_test(test_linux),
		cmocka_unit_test(test_linux_high_memory), cmocka_unit_test(test_linux_short_header),
		cmocka_unit_test(test_linux_alignment),	  cmocka_unit_test(test_initrds),
		cmocka_unit_test(test_initrd_limits),	  cmocka_unit_test(test_initrd_arguments),
		cmocka_unit_test(test_initrd_shrinks),	  cmocka_unit_test(test_linux_refused),
		cmocka_unit_test(test_little_memory),	  cmocka_unit_test(test_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
