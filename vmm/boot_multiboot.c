/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images that carry a multiboot header (Multiboot 0.6.96; sections are of that): ELF of either
 * class, or anything whose header says itself where it goes.
 */
#include <errno.h>
#include <inttypes.h>

#include "devices/base.h"
#include "vmm/boot_params.h"
#include "vmm/boot_parts.h"
#include "vmm/e820.h"
#include "vmm/layout.h"

#define LOADER_NAME "Nidus"

/* The boot information area, from LAYOUT_BOOT_INFO_BASE. */
struct multiboot_area {
	struct multiboot_info info;
	struct multiboot_module module[BOOT_MODULES_MAX];
	struct multiboot_mmap map[E820_MAX];
};
_Static_assert(sizeof(struct multiboot_area) <= LAYOUT_BOOT_INFO_SIZE, "it has room");

/* Command lines are packed from LAYOUT_CMDLINE_BASE to the end of the strings behind it. */
#define STRINGS_END (LAYOUT_STRINGS_BASE + LAYOUT_STRINGS_SIZE)
_Static_assert(LAYOUT_CMDLINE_BASE + LAYOUT_CMDLINE_SIZE == LAYOUT_STRINGS_BASE, "one area");

/*
 * 3.1: the header lies in the first 8192 bytes, aligned to 4. Stores it and its offset in the file.
 * 1: found, 0: none, or negative errno.
 */
static int find_header(struct boot *boot, const struct boot_file *file,
		       struct multiboot_header *header, uint64_t *offset)
{
	uint8_t head[MULTIBOOT_SEARCH];
	uint64_t size = min_u64(sizeof(head), file->size);
	int rc = boot_read(boot, file, 0, head, size);

	if (rc)
		return rc;
	for (uint64_t at = 0; range_fits(at, MULTIBOOT_HEADER_BASIC, size); at += 4) {
		uint32_t flags = load_le32(head + at + 4);

		if (load_le32(head + at) != MULTIBOOT_MAGIC ||
		    MULTIBOOT_MAGIC + flags + load_le32(head + at + 8))
			continue;
		/* Without address fields, what follows the header is not part of it. */
		*header = (struct multiboot_header){ .flags = flags };
		*offset = at;
		if (!(flags & MULTIBOOT_ADDRESSES))
			return 1;
		if (!range_fits(at, sizeof(*header), size))
			continue;
		memcpy(header, head + at, sizeof(*header));
		return 1;
	}
	return 0;
}

int boot_multiboot_probe(struct boot *boot, const struct boot_file *file)
{
	const uint32_t supported = MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO;
	struct multiboot_header header;
	uint64_t offset;
	struct elf elf;
	int rc = find_header(boot, file, &header, &offset);

	if (rc <= 0)
		return rc;
	if (header.flags & MULTIBOOT_MUST_MASK & ~supported)
		return boot_fail(boot,
				 "kernel %s: its multiboot header demands features %#x, Nidus has "
				 "%#x (no video mode); clear the others",
				 file->name, header.flags & MULTIBOOT_MUST_MASK, supported);
	if (header.flags & MULTIBOOT_ADDRESSES)
		return 1;
	rc = elf_open(boot, file, &elf);
	if (rc)
		return rc;
	return boot_fail(boot,
			 "kernel %s: has a multiboot header, but is no ELF file for x86 and has no "
			 "address fields (flag 16); link it as ELF",
			 file->name);
}

/* --- The image --- */

/* 3.1.3: the header is at header_addr in memory, which ties the file to addresses. */
static int load_by_addresses(struct boot *boot, const struct multiboot_header *header,
			     uint64_t offset, uint64_t *end)
{
	const struct boot_file *file = &boot->request->kernel;
	uint64_t before = (uint64_t)header->header_addr - header->load_addr;
	uint64_t start = offset - before, size, memory;
	int rc;

	if (header->header_addr < header->load_addr || before > offset ||
	    (header->load_end_addr && header->load_end_addr < header->load_addr))
		goto bad;
	size = header->load_end_addr ? header->load_end_addr - header->load_addr
				     : file->size - start;
	memory = size;
	if (header->bss_end_addr) {
		if (header->bss_end_addr < header->load_addr + size)
			goto bad;
		memory = header->bss_end_addr - header->load_addr;
	}
	if (!range_fits(start, size, file->size) || header->entry_addr < header->load_addr ||
	    header->entry_addr - header->load_addr >= memory)
		goto bad;
	*end = max_u64(header->load_addr + memory, LAYOUT_KERNEL_MIN);
	rc = boot_check_image(boot, header->load_addr, memory);
	/* The bss is zero already: RAM is fresh. */
	return rc ? rc : boot_read_ram(boot, file, start, header->load_addr, size);
bad:
	return boot_fail(boot,
			 "kernel %s: the address fields of its multiboot header contradict each "
			 "other or the file: header %#x, load %#x-%#x, bss to %#x, entry %#x",
			 file->name, header->header_addr, header->load_addr, header->load_end_addr,
			 header->bss_end_addr, header->entry_addr);
}

static int load_elf(struct boot *boot, uint64_t *end)
{
	const struct boot_file *file = &boot->request->kernel;
	struct elf elf;
	int rc = elf_open(boot, file, &elf);

	if (rc <= 0)
		return rc < 0 ? rc : boot_fail(boot, "kernel %s: changed meanwhile", file->name);
	boot->state->rip = elf_entry(&elf);
	if (!elf_contains(&elf, boot->state->rip, 1))
		return boot_fail(boot,
				 "kernel %s: its entry point %#" PRIx64
				 " is in none of its ELF segments; link it again",
				 file->name, boot->state->rip);
	return elf_load(boot, file, &elf, end);
}

/* --- What the kernel is told --- */

/* Appends "@name @args" at *@next; stores its address in *@address. */
static int add_string(struct boot *boot, uint64_t *next, const char *name, const char *args,
		      uint32_t *address)
{
	uint64_t name_len = strlen(name), args_len = args ? strlen(args) : 0;
	uint64_t room = STRINGS_END - *next;
	char *to;

	if (name_len >= room || args_len >= room || name_len + args_len + 2 > room)
		return boot_fail(boot,
				 "%s: command lines of kernel and modules have more than %" PRIu64
				 " bytes together; shorten them",
				 name, STRINGS_END - LAYOUT_CMDLINE_BASE);
	to = boot_area(boot, *next, name_len + args_len + 2);
	memcpy(to, name, name_len);
	if (args_len) {
		to[name_len++] = ' ';
		memcpy(to + name_len, args, args_len);
	}
	to[name_len + args_len] = '\0';
	*address = (uint32_t)*next;
	*next += name_len + args_len + 1;
	return 0;
}

/* 3.1.2, bit 0: modules start on page boundaries. Here they always do, behind the kernel. */
static int load_modules(struct boot *boot, struct multiboot_area *area, uint64_t end,
			uint64_t *strings)
{
	const struct boot_request *request = boot->request;

	for (unsigned int i = 0; i < request->module_count; i++) {
		const struct boot_file *file = &request->module[i];
		struct multiboot_module *module = &area->module[i];
		uint64_t start = align_up(end, PAGE_SIZE_4K);
		int rc;

		if (!range_fits(start, file->size, boot_low_end(boot)))
			return boot_fail(boot,
					 "module %s: %" PRIu64
					 " bytes do not fit behind the %" PRIu64
					 " MiB of kernel and modules before it; the guest "
					 "has %" PRIu64 " MiB below 3 GiB, raise -m",
					 file->name, file->size, align_up(end, MIB) / MIB,
					 boot_low_end(boot) / MIB);
		end = start + file->size;
		module->mod_start = (uint32_t)start;
		module->mod_end = (uint32_t)end;
		rc = boot_read_ram(boot, file, 0, start, file->size);
		if (!rc)
			rc = add_string(boot, strings, file->name, file->args, &module->string);
		if (rc)
			return rc;
	}
	return 0;
}

static unsigned int write_map(struct boot *boot, struct multiboot_area *area)
{
	struct e820_range map[E820_MAX];
	unsigned int count = e820_build(boot->request->ram, map);

	for (unsigned int i = 0; i < count; i++)
		area->map[i] = (struct multiboot_mmap){ sizeof(struct multiboot_mmap) -
								sizeof(area->map[i].size),
							map[i].base, map[i].size, map[i].type };
	return count;
}

static int write_info(struct boot *boot, uint64_t kernel_end)
{
	const struct boot_request *request = boot->request;
	struct multiboot_area *area =
		boot_area(boot, LAYOUT_BOOT_INFO_BASE, sizeof(struct multiboot_area));
	struct multiboot_info *info = &area->info;
	uint64_t strings = LAYOUT_CMDLINE_BASE;
	int rc;

	memset(area, 0, sizeof(*area));
	*info = (struct multiboot_info){
		.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODULES |
			 MULTIBOOT_INFO_MMAP | MULTIBOOT_INFO_LOADER_NAME,
		.mem_lower = LAYOUT_EBDA_BASE / KIB,
		.mem_upper = (uint32_t)((boot_low_end(boot) - LAYOUT_KERNEL_MIN) / KIB),
		.mods_count = request->module_count,
		.mods_addr = LAYOUT_BOOT_INFO_BASE + offsetof(struct multiboot_area, module),
		.mmap_length = write_map(boot, area) * (uint32_t)sizeof(struct multiboot_mmap),
		.mmap_addr = LAYOUT_BOOT_INFO_BASE + offsetof(struct multiboot_area, map),
	};
	rc = add_string(boot, &strings, request->kernel.name, request->cmdline, &info->cmdline);
	if (!rc)
		rc = add_string(boot, &strings, LOADER_NAME, NULL, &info->boot_loader_name);
	return rc ? rc : load_modules(boot, area, kernel_end, &strings);
}

int boot_multiboot_load(struct boot *boot)
{
	const struct boot_file *file = &boot->request->kernel;
	struct multiboot_header header = { 0 };
	uint64_t offset, end = LAYOUT_KERNEL_MIN;
	int rc = find_header(boot, file, &header, &offset);

	if (rc <= 0)
		return rc < 0 ? rc : boot_fail(boot, "kernel %s: changed meanwhile", file->name);
	if (header.flags & MULTIBOOT_ADDRESSES) {
		boot->state->rip = header.entry_addr;
		rc = load_by_addresses(boot, &header, offset, &end);
	} else {
		rc = load_elf(boot, &end);
	}
	if (!rc)
		rc = write_info(boot, end);
	if (rc)
		return rc;
	boot_start_protected32(boot);
	boot->state->rax = MULTIBOOT_LOADER_MAGIC;
	boot->state->rbx = LAYOUT_BOOT_INFO_BASE;
	return 0;
}
