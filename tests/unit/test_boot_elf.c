/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm/boot_elf.c, boot_pvh.c, boot_multiboot.c: what PVH and multiboot kernels find in memory, and
 * that no header can make the loader write where it must not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/base.h"
#include "tests/unit/boot_image.h"
#include "vmm/e820.h"
#include "vmm/layout.h"

#define RAM_SIZE (32 * MIB)

static struct boot_image image;
static char error[BOOT_ERROR_SIZE], checked[BOOT_ERROR_SIZE];
static struct ram ram;
static struct boot_state boot;

static int setup(void **state)
{
	(void)state;
	boot_image_ram(&ram, RAM_SIZE, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	boot_image_ram_free(&ram);
	return 0;
}

static int load(const char *cmdline, const struct boot_file *module, unsigned int modules)
{
	struct boot_request request = { .ram = &ram,
					.kernel = boot_image_file("kernel.elf", image.bytes,
								  image.size),
					.cmdline = cmdline,
					.module = module,
					.module_count = modules,
					.rsdp = 0xe0000 };
	int rc;

	error[0] = checked[0] = '\0';
	rc = boot_check(&request, RAM_SIZE, checked, sizeof(checked));
	assert_int_equal(rc, boot_load(&request, &boot, error, sizeof(error)));
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

static void check_cpu(void)
{
	const uint8_t *gdt = ram_ptr(&ram, boot.gdt_base, boot.gdt_limit + 1);

	assert_int_equal(boot.mode, BOOT_PROTECTED32);
	assert_int_equal(boot.cr0, 0x11);
	assert_int_equal(boot.cr4, 0);
	assert_int_equal(boot.efer, 0);
	assert_int_equal(boot.task.limit, 0x67);
	assert_int_equal(load_le64(gdt + boot.code.selector), UINT64_C(0x00cf9b000000ffff));
	assert_int_equal(load_le64(gdt + boot.data.selector), UINT64_C(0x00cf93000000ffff));
}

/* --- PVH --- */

static void test_pvh(void **state)
{
	static const char first[] = "one", second[] = "two";
	struct boot_file modules[] = { boot_image_file("a", first, 3),
				       boot_image_file("b", second, 3) };
	const struct pvh_start_info *info;
	const struct pvh_memmap *map;
	const struct pvh_module *initrd;
	uint64_t usable = 0;

	(void)state;
	boot_image_pvh(&image);
	assert_int_equal(load("root=/dev/vda", modules, 2), 0);
	assert_int_equal(boot.protocol, BOOT_PVH);
	assert_int_equal(boot.rip, 16 * MIB);
	check_cpu();
	assert_string_equal(ram_ptr(&ram, 16 * MIB, 16), "PVH entry point");

	info = ram_ptr(&ram, boot.rbx, sizeof(*info));
	assert_int_equal(info->magic, PVH_START_MAGIC);
	assert_int_equal(info->version, 1);
	assert_int_equal(info->rsdp_paddr, 0xe0000);
	assert_string_equal(ram_ptr(&ram, info->cmdline_paddr, 14), "root=/dev/vda");
	assert_int_equal(info->nr_modules, 1);
	initrd = ram_ptr(&ram, info->modlist_paddr, sizeof(*initrd));
	assert_int_equal(initrd->size, 7);
	assert_int_equal(initrd->paddr, RAM_SIZE - 4096);
	assert_memory_equal(ram_ptr(&ram, initrd->paddr, 7), "one\0two", 7);
	map = ram_ptr(&ram, info->memmap_paddr, info->memmap_entries * sizeof(*map));
	for (unsigned int i = 0; i < info->memmap_entries; i++)
		usable += map[i].type == E820_RAM ? map[i].size : 0;
	assert_int_equal(usable, RAM_SIZE - (LAYOUT_KERNEL_MIN - LAYOUT_EBDA_BASE));
	for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++)
		boot_file_close(&modules[i]);
}

static void test_pvh_short_note(void **state)
{
	(void)state;
	boot_image_pvh(&image);
	image.elf64.e_phnum = 1;
	boot_image_pvh_note(&image, 16 * MIB + 4, 4);
	assert_int_equal(load(NULL, NULL, 0), 0);
	assert_int_equal(boot.rip, 16 * MIB + 4);
}

static Elf64_Phdr *code(void)
{
	return boot_image_phdr64(&image, 0);
}

static void break_outside(void)
{
	code()->p_paddr = RAM_SIZE;
}

static void break_wrap(void)
{
	code()->p_paddr = UINT64_MAX - 8;
	code()->p_memsz = 16;
}

static void break_memory_huge(void)
{
	code()->p_memsz = UINT64_MAX;
}

static void break_boot_area(void)
{
	code()->p_paddr = LAYOUT_BOOT_END - 1;
}

static void break_tables(void)
{
	code()->p_paddr = LAYOUT_ACPI_BASE;
}

static void break_file_size(void)
{
	code()->p_filesz = image.size;
	code()->p_memsz = image.size;
}

static void break_offset(void)
{
	code()->p_offset = UINT64_MAX;
}

static void break_more_file(void)
{
	code()->p_memsz = code()->p_filesz - 1;
}

static void break_overlap(void)
{
	boot_image_segment64(&image, 0, 16 * MIB + 60 * KIB, "data", 4, 4096);
}

static void break_entry(void)
{
	image.elf64.e_phnum = 1;
	boot_image_pvh_note(&image, 17 * MIB, 8);
}

static void break_no_headers(void)
{
	image.elf64.e_phnum = 0;
}

static void break_many_headers(void)
{
	image.elf64.e_phnum = UINT16_MAX;
}

static void break_header_size(void)
{
	image.elf64.e_phentsize = 32;
}

static void break_header_offset(void)
{
	image.elf64.e_phoff = UINT64_MAX - 7;
}

static void break_machine(void)
{
	image.elf64.e_machine = EM_AARCH64;
}

static void break_note_name(void)
{
	memset(image.bytes + boot_image_phdr64(&image, 1)->p_offset, 0xff, 4);
}

static void break_note_value(void)
{
	memset(image.bytes + boot_image_phdr64(&image, 1)->p_offset + 4, 0xff, 4);
}

static void test_pvh_refused(void **state)
{
	static const struct {
		void (*fault)(void);
		const char *says;
	} rows[] = {
		{ break_outside, "use -m 33M or more" },
		{ break_wrap, "the guest's ends at 3 GiB" },
		{ break_memory_huge, "the guest's ends at 3 GiB" },
		{ break_boot_area, "overlap boot information" },
		{ break_tables, "overlap the holes" },
		{ break_file_size, "ELF segment 0" },
		{ break_offset, "ELF segment 0" },
		{ break_more_file, "ELF segment 0" },
		{ break_overlap, "segments 0 and 2 overlap" },
		{ break_entry, "PVH entry point 0x1100000" },
		{ break_no_headers, "0 ELF program headers" },
		{ break_many_headers, "65535 ELF program headers" },
		{ break_header_size, "of 32 bytes" },
		{ break_header_offset, "are not there" },
		{ break_machine, "neither a bzImage" },
		{ break_note_name, "neither a bzImage" },
		{ break_note_value, "neither a bzImage" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		boot_image_pvh(&image);
		/* The entry moves along, so that only the placement is wrong. */
		rows[i].fault();
		if (code()->p_paddr != 16 * MIB) {
			image.elf64.e_phnum = 1;
			boot_image_pvh_note(&image, code()->p_paddr, 8);
		}
		expect_error(load(NULL, NULL, 0), rows[i].says);
	}
}

/* --- Multiboot --- */

static const struct multiboot_info *check_info(void)
{
	const struct multiboot_info *info = ram_ptr(&ram, boot.rbx, sizeof(*info));
	const uint8_t *map = ram_ptr(&ram, info->mmap_addr, info->mmap_length);
	uint64_t usable = 0;

	assert_int_equal(boot.protocol, BOOT_MULTIBOOT);
	assert_int_equal(boot.rax, MULTIBOOT_LOADER_MAGIC);
	check_cpu();
	assert_int_equal(info->flags, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(info->mem_lower, 639);
	assert_int_equal(info->mem_upper, (RAM_SIZE - MIB) / KIB);
	assert_string_equal(ram_ptr(&ram, info->boot_loader_name, 6), "Nidus");
	/* As a kernel walks it: by the size of each entry, which does not count itself. */
	for (uint32_t at = 0; at < info->mmap_length; at += load_le32(map + at) + 4)
		usable += load_le32(map + at + 20) == 1 ? load_le64(map + at + 12) : 0;
	assert_int_equal(usable, RAM_SIZE - (LAYOUT_KERNEL_MIN - LAYOUT_EBDA_BASE));
	return info;
}

static void test_multiboot_elf(void **state)
{
	static void (*const make[])(struct boot_image *, uint32_t) = { boot_image_multiboot32,
								       boot_image_multiboot64 };
	const struct multiboot_info *info;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(make); i++) {
		make[i](&image, MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO);
		assert_int_equal(load("-x 1", NULL, 0), 0);
		assert_int_equal(boot.rip, MIB + 12);
		info = check_info();
		assert_string_equal(ram_ptr(&ram, info->cmdline, 16), "kernel.elf -x 1");
		assert_int_equal(info->mods_count, 0);
	}
}

static void test_multiboot_modules(void **state)
{
	struct boot_file modules[] = { boot_image_file("first", "abc", 3),
				       boot_image_file("none", "", 0),
				       boot_image_file("second", "defg", 4) };
	const struct multiboot_module *module;
	const struct multiboot_info *info;

	(void)state;
	modules[0].args = "with words";
	boot_image_multiboot32(&image, 0);
	assert_int_equal(load(NULL, modules, ARRAY_SIZE(modules)), 0);
	info = check_info();
	assert_string_equal(ram_ptr(&ram, info->cmdline, 11), "kernel.elf");
	assert_int_equal(info->mods_count, 3);
	module = ram_ptr(&ram, info->mods_addr, 3 * sizeof(*module));
	/* The kernel ends at 1 MiB + 8 KiB, bss included. */
	assert_int_equal(module[0].mod_start, MIB + 8 * KIB);
	assert_int_equal(module[0].mod_end, module[0].mod_start + 3);
	assert_int_equal(module[1].mod_start, module[1].mod_end);
	assert_int_equal(module[2].mod_start & 4095, 0);
	assert_memory_equal(ram_ptr(&ram, module[2].mod_start, 4), "defg", 4);
	assert_string_equal(ram_ptr(&ram, module[0].string, 17), "first with words");
	assert_string_equal(ram_ptr(&ram, module[2].string, 7), "second");
	for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++)
		boot_file_close(&modules[i]);
}

static void test_multiboot_module_size(void **state)
{
	struct boot_file module = boot_image_file("big", "", 0);

	(void)state;
	module.size = RAM_SIZE;
	boot_image_multiboot32(&image, 0);
	expect_error(load(NULL, &module, 1), "module big: 33554432 bytes do not fit");
	module.size = UINT64_MAX;
	expect_error(load(NULL, &module, 1), "do not fit");
	boot_file_close(&module);
}

static void test_multiboot_long_strings(void **state)
{
	size_t size = LAYOUT_CMDLINE_SIZE + LAYOUT_STRINGS_SIZE;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	text[size - 1] = '\0';
	boot_image_multiboot32(&image, 0);
	expect_error(load(text, NULL, 0), "shorten them");
	text[size - 100] = '\0';
	assert_int_equal(load(text, NULL, 0), 0);
	free(text);
}

static void test_multiboot_flat(void **state)
{
	const uint8_t *at;

	(void)state;
	boot_image_multiboot_flat(&image);
	assert_int_equal(load(NULL, NULL, 0), 0);
	check_info();
	assert_int_equal(boot.rip, MIB + 200);
	/* The header is at 256 in the file and 128 behind the load address: 512 bytes from 128 on.
	 */
	at = ram_ptr(&ram, MIB, 4096);
	assert_memory_equal(at, image.bytes + 128, 512);
	assert_int_equal(at[512], 0);
}

static void test_multiboot_flat_whole_file(void **state)
{
	struct multiboot_header *header = boot_image_multiboot_flat(&image);
	const uint8_t *at;

	(void)state;
	header->load_end_addr = 0;
	header->bss_end_addr = 0;
	assert_int_equal(load(NULL, NULL, 0), 0);
	at = ram_ptr(&ram, MIB, 4096);
	assert_memory_equal(at, image.bytes + 128, 1024 - 128);
	assert_int_equal(at[1024 - 128], 0);
}

static void test_multiboot_flat_refused(void **state)
{
	static const struct {
		uint32_t header, load, load_end, bss_end, entry;
		const char *says;
	} rows[] = {
		{ 0x100080, 0x100100, 0, 0, 0x100100, "contradict" }, /* header below load */
		{ 0x100200, 0x100000, 0, 0, 0x100000, "contradict" }, /* before the file */
		{ 0x100080, 0x100000, 0xfffff, 0, 0x100000,
		  "contradict" }, /* ends before it starts */
		{ 0x100080, 0x100000, 0x100800, 0, 0x100000, "contradict" }, /* behind the file */
		{ 0x100080, 0x100000, 0x100200, 0x100100, 0x100000, "contradict" },
		{ 0x100080, 0x100000, 0x100200, 0, 0x100200, "contradict" }, /* entry behind it */
		{ 0x100080, 0x100000, 0x100200, 0, 0xfffff, "contradict" },
		{ 0x100080, 0x100000, 0x100200, 0xffffffff, 0x100000, "3 GiB" },
		{ 0x100080, 0x100000, 0x100200, 0x8000000, 0x100000, "use -m 128M" },
		{ 0x7080, 0x7000, 0x7200, 0, 0x7000, "overlap boot information" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct multiboot_header *header = boot_image_multiboot_flat(&image);

		header->header_addr = rows[i].header;
		header->load_addr = rows[i].load;
		header->load_end_addr = rows[i].load_end;
		header->bss_end_addr = rows[i].bss_end;
		header->entry_addr = rows[i].entry;
		expect_error(load(NULL, NULL, 0), rows[i].says);
	}
}

static void test_multiboot_entry(void **state)
{
	(void)state;
	boot_image_multiboot32(&image, 0);
	image.elf32.e_entry = 0x2000000;
	expect_error(load(NULL, NULL, 0), "entry point 0x2000000");
}

/* A kernel below the EBDA is fine, and its modules still go above 1 MiB. */
static void test_multiboot_low(void **state)
{
	struct boot_file module = boot_image_file("module", "abc", 3);
	const struct multiboot_module *info;

	(void)state;
	boot_image_multiboot32(&image, 0);
	boot_image_phdr32(&image, 0)->p_paddr = 0x40000;
	assert_int_equal(load(NULL, &module, 1), 0);
	assert_int_equal(boot.rip, 0x40000 + 12);
	info = ram_ptr(&ram, check_info()->mods_addr, sizeof(*info));
	assert_int_equal(info->mod_start, MIB);
	boot_file_close(&module);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pvh),
		TEST(test_pvh_short_note),
		TEST(test_pvh_refused),
		TEST(test_multiboot_elf),
		TEST(test_multiboot_modules),
		TEST(test_multiboot_module_size),
		TEST(test_multiboot_long_strings),
		TEST(test_multiboot_flat),
		TEST(test_multiboot_flat_whole_file),
		TEST(test_multiboot_flat_refused),
		TEST(test_multiboot_entry),
		TEST(test_multiboot_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
