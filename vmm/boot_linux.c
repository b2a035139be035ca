/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst).
 *
 * The file is a real-mode part, of which only the header matters, and a protected-mode part that is
 * loaded where the kernel prefers to be. A lower address would save nothing: a 64-bit kernel moves
 * itself up to there.
 */
#include <errno.h>
#include <inttypes.h>

#include "devices/base.h"
#include "vmm/boot_params.h"
#include "vmm/boot_parts.h"
#include "vmm/e820.h"
#include "vmm/layout.h"

/* Read once, checked, then used: the file may change under us. */
struct linux_image {
	struct linux_header header;
	uint64_t offset; /* of the protected-mode part in the file */
	uint64_t size;	 /* its bytes */
	uint64_t load;	 /* guest-physical */
	uint64_t need;	 /* bytes of RAM from there on */
};

static int read_header(struct boot *boot, const struct boot_file *file, struct linux_header *header)
{
	int rc;

	if (!range_fits(LINUX_HEADER_OFFSET, sizeof(*header), file->size))
		return 0;
	rc = boot_read(boot, file, LINUX_HEADER_OFFSET, header, sizeof(*header));
	if (rc)
		return rc;
	return header->boot_flag == LINUX_BOOT_FLAG && header->magic == LINUX_MAGIC;
}

int boot_linux_probe(struct boot *boot, const struct boot_file *file)
{
	struct linux_header header;
	int rc = read_header(boot, file, &header);

	if (rc <= 0)
		return rc;
	if (header.version < LINUX_VERSION_MIN)
		return boot_fail(
			boot,
			"kernel %s: its boot protocol is %u.%02u, at least 2.12 is needed; "
			"use Linux 3.8 or newer",
			file->name, header.version >> 8, header.version & 0xff);
	if (!(header.loadflags & LINUX_LOADED_HIGH))
		return boot_fail(boot, "kernel %s: a zImage; build a bzImage", file->name);
	if (!(header.xloadflags & LINUX_XLF_KERNEL_64))
		return boot_fail(boot,
				 "kernel %s: a 32-bit kernel, without the 64-bit entry point; use "
				 "one for amd64",
				 file->name);
	return 1;
}

static int find_payload(struct boot *boot, struct linux_image *image)
{
	const struct boot_file *file = &boot->request->kernel;
	const struct linux_header *header = &image->header;
	uint64_t sectors = header->setup_sects ? header->setup_sects : LINUX_SETUP_SECTS;
	uint64_t syssize = (uint64_t)header->syssize * LINUX_PARAGRAPH;

	image->offset = (sectors + 1) * LINUX_SECTOR;
	image->size = file->size > image->offset ? file->size - image->offset : 0;
	/* syssize is rounded up to paragraphs; what follows it is a signature, for others. */
	if (image->size <= LINUX_ENTRY_64 || image->size + LINUX_PARAGRAPH <= syssize)
		return boot_fail(boot,
				 "kernel %s: cut short: %" PRIu64 " bytes of code follow its "
				 "header, which promises %" PRIu64 "; copy it again",
				 file->name, image->size, syssize);
	if (syssize > LINUX_ENTRY_64)
		image->size = min_u64(image->size, syssize);
	return 0;
}

static int place(struct boot *boot, struct linux_image *image)
{
	const struct linux_header *header = &image->header;
	uint64_t align = header->kernel_alignment;

	image->load = header->pref_address;
	image->need = max_u64(image->size, header->init_size);
	if (image->load > LAYOUT_LOW_RAM_MAX)
		return boot_fail_memory(boot, image->load);
	if (header->relocatable_kernel) {
		if (!is_power_of_two(align) || align > GIB)
			return boot_fail(boot,
					 "kernel %s: its header demands an alignment of %#" PRIx64
					 ", which is no power of two up to 1 GiB; rebuild it",
					 boot->request->kernel.name, align);
		image->load = align_up(max_u64(image->load, LAYOUT_KERNEL_MIN), align);
	}
	return boot_check_image(boot, image->load, image->need);
}

/* The header is copied up to its own end, everything else in the zero page starts as zero. */
static struct linux_boot_params *write_zero_page(struct boot *boot, const struct linux_header *from,
						 uint64_t load)
{
	struct linux_boot_params *params =
		boot_area(boot, LAYOUT_ZERO_PAGE_BASE, sizeof(struct linux_boot_params));
	uint64_t end = offsetof(struct linux_boot_params, header.magic) + from->header_len;
	uint64_t size = min_u64(end - LINUX_HEADER_OFFSET, sizeof(*from));
	struct e820_range map[E820_MAX];

	memset(params, 0, sizeof(*params));
	memcpy(&params->header, from, size);
	params->e820_entries = (uint8_t)e820_build(boot->request->ram, map);
	for (unsigned int i = 0; i < params->e820_entries; i++)
		params->e820[i] = (struct linux_e820){ map[i].base, map[i].size, map[i].type };
	params->acpi_rsdp_addr = boot->request->rsdp;
	params->header.type_of_loader = LINUX_LOADER_OTHER;
	params->header.code32_start = (uint32_t)load;
	params->header.setup_data = 0;
	params->header.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE_BASE;
	return params;
}

static int load_initrd(struct boot *boot, const struct linux_image *image,
		       struct linux_boot_params *params)
{
	uint64_t ceiling = (uint64_t)image->header.initrd_addr_max + 1;
	uint64_t address, size;
	int rc = boot_initrd(boot, image->load + image->need, ceiling, &address, &size);

	if (rc)
		return rc;
	params->header.ramdisk_image = (uint32_t)address;
	params->ext_ramdisk_image = (uint32_t)(address >> 32);
	params->header.ramdisk_size = (uint32_t)size;
	params->ext_ramdisk_size = (uint32_t)(size >> 32);
	return 0;
}

int boot_linux_load(struct boot *boot)
{
	const struct boot_file *file = &boot->request->kernel;
	struct linux_boot_params *params;
	struct linux_image image;
	int rc = read_header(boot, file, &image.header);

	if (rc <= 0)
		return rc < 0 ? rc : boot_fail(boot, "kernel %s: changed meanwhile", file->name);
	rc = find_payload(boot, &image);
	if (!rc)
		rc = place(boot, &image);
	if (!rc)
		rc = boot_cmdline(boot, image.header.cmdline_size);
	if (!rc)
		rc = boot_read_ram(boot, file, image.offset, image.load, image.size);
	if (rc)
		return rc;
	params = write_zero_page(boot, &image.header, image.load);
	rc = load_initrd(boot, &image, params);
	if (rc)
		return rc;
	boot_start_long64(boot);
	boot->state->rip = image.load + LINUX_ENTRY_64;
	boot->state->rsi = LAYOUT_ZERO_PAGE_BASE;
	return 0;
}
