/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds kernels byte by byte; see boot_image.h.
 */
#include "tests/unit/boot_image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/layout.h"

#define PHDR_OFFSET 64
#define DATA_OFFSET 0x400 /* behind room for the program headers */

#define PVH_BASE    UINT64_C(0x1000000)
#define PVH_VIRTUAL UINT64_C(0xffffffff81000000)
#define MB_BASE	    UINT32_C(0x100000)
#define MB_CODE	    64

static uint64_t append(struct boot_image *image, const void *data, uint64_t size)
{
	uint64_t at = align_up(image->size, 8);

	if (!range_fits(at, size, BOOT_IMAGE_MAX))
		abort();
	memcpy(image->bytes + at, data, size);
	image->size = at + size;
	return at;
}

/* --- bzImage --- */

struct linux_header *boot_image_header(struct boot_image *image)
{
	return (struct linux_header *)(image->bytes + LINUX_HEADER_OFFSET);
}

void boot_image_linux(struct boot_image *image)
{
	uint64_t code = (BOOT_IMAGE_SETUP_SECTS + 1) * LINUX_SECTOR;

	memset(image, 0, sizeof(*image));
	*boot_image_header(image) = (struct linux_header){
		.setup_sects = BOOT_IMAGE_SETUP_SECTS,
		.syssize = BOOT_IMAGE_PAYLOAD / LINUX_PARAGRAPH,
		.boot_flag = LINUX_BOOT_FLAG,
		.jump = 0xeb,
		.header_len = 0x26c - 0x202,
		.magic = LINUX_MAGIC,
		.version = 0x20f,
		.loadflags = LINUX_LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.min_alignment = 21,
		.xloadflags = LINUX_XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = 16 * MIB,
		.init_size = 4 * MIB,
	};
	for (uint64_t i = 0; i < BOOT_IMAGE_PAYLOAD; i++)
		image->bytes[code + i] = (uint8_t)(i / 16);
	image->size = code + BOOT_IMAGE_PAYLOAD;
}

/* --- ELF --- */

void boot_image_elf64(struct boot_image *image, uint64_t entry)
{
	memset(image, 0, sizeof(*image));
	image->size = DATA_OFFSET;
	image->elf64 = (Elf64_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = PHDR_OFFSET,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
}

void boot_image_elf32(struct boot_image *image, uint32_t entry)
{
	memset(image, 0, sizeof(*image));
	image->size = DATA_OFFSET;
	image->elf32 = (Elf32_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = PHDR_OFFSET,
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
	};
}

Elf64_Phdr *boot_image_phdr64(struct boot_image *image, unsigned int index)
{
	return (Elf64_Phdr *)(image->bytes + PHDR_OFFSET) + index;
}

Elf32_Phdr *boot_image_phdr32(struct boot_image *image, unsigned int index)
{
	return (Elf32_Phdr *)(image->bytes + PHDR_OFFSET) + index;
}

unsigned int boot_image_segment64(struct boot_image *image, uint64_t virtual, uint64_t physical,
				  const void *data, uint64_t size, uint64_t memory)
{
	*boot_image_phdr64(image, image->elf64.e_phnum) = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = append(image, data, size),
		.p_vaddr = virtual,
		.p_paddr = physical,
		.p_filesz = size,
		.p_memsz = memory,
		.p_align = 4096,
	};
	return image->elf64.e_phnum++;
}

unsigned int boot_image_segment32(struct boot_image *image, uint32_t virtual, uint32_t physical,
				  const void *data, uint32_t size, uint32_t memory)
{
	*boot_image_phdr32(image, image->elf32.e_phnum) = (Elf32_Phdr){
		.p_type = PT_LOAD,
		.p_offset = (uint32_t)append(image, data, size),
		.p_vaddr = virtual,
		.p_paddr = physical,
		.p_filesz = size,
		.p_memsz = memory,
		.p_align = 4096,
	};
	return image->elf32.e_phnum++;
}

unsigned int boot_image_pvh_note(struct boot_image *image, uint64_t entry, unsigned int bytes)
{
	struct {
		uint32_t other[3];
		char other_name[8];
		char other_value[8]; /* 5 bytes, padded */
		uint32_t pvh[3];
		char pvh_name[4];
		uint64_t value;
	} __attribute__((packed)) notes = {
		.other = { 6, 5, PVH_NOTE_ENTRY },
		.other_name = "Linux",
		.pvh = { 4, bytes, PVH_NOTE_ENTRY },
		.pvh_name = PVH_NOTE_NAME,
		.value = entry,
	};
	unsigned int index =
		boot_image_segment64(image, 0, 0, &notes, sizeof(notes) - sizeof(entry) + bytes, 0);

	boot_image_phdr64(image, index)->p_type = PT_NOTE;
	boot_image_phdr64(image, index)->p_align = 4;
	return index;
}

void boot_image_pvh(struct boot_image *image)
{
	static const char code[] = "PVH entry point";

	boot_image_elf64(image, PVH_BASE);
	boot_image_segment64(image, PVH_VIRTUAL, PVH_BASE, code, sizeof(code), 64 * KIB);
	boot_image_pvh_note(image, PVH_BASE, 8);
}

/* --- Multiboot --- */

void boot_image_multiboot_seal(struct multiboot_header *header)
{
	header->checksum = -(header->magic + header->flags);
}

static void fill_code(uint8_t code[MB_CODE], uint32_t flags)
{
	struct multiboot_header header = { .magic = MULTIBOOT_MAGIC, .flags = flags };

	boot_image_multiboot_seal(&header);
	memset(code, 0xf4, MB_CODE);
	memcpy(code, &header, MULTIBOOT_HEADER_BASIC);
}

void boot_image_multiboot32(struct boot_image *image, uint32_t flags)
{
	uint8_t code[MB_CODE];

	fill_code(code, flags);
	boot_image_elf32(image, MB_BASE + MULTIBOOT_HEADER_BASIC);
	boot_image_segment32(image, MB_BASE, MB_BASE, code, sizeof(code), 8192);
}

/* Linked high, so that the entry point has to be translated. */
void boot_image_multiboot64(struct boot_image *image, uint32_t flags)
{
	uint64_t virtual = UINT64_C(0xffffffff80000000) + MB_BASE;
	uint8_t code[MB_CODE];

	fill_code(code, flags);
	boot_image_elf64(image, virtual + MULTIBOOT_HEADER_BASIC);
	boot_image_segment64(image, virtual, MB_BASE, code, sizeof(code), 8192);
}

struct multiboot_header *boot_image_multiboot_flat(struct boot_image *image)
{
	struct multiboot_header *header = (struct multiboot_header *)(image->bytes + 256);

	memset(image, 0, sizeof(*image));
	memset(image->bytes, 0x90, 1024);
	*header = (struct multiboot_header){
		.magic = MULTIBOOT_MAGIC,
		.flags = MULTIBOOT_ADDRESSES,
		.header_addr = MB_BASE + 128,
		.load_addr = MB_BASE,
		.load_end_addr = MB_BASE + 512,
		.bss_end_addr = MB_BASE + 4096,
		.entry_addr = MB_BASE + 200,
	};
	boot_image_multiboot_seal(header);
	image->size = 1024;
	return header;
}

/* --- The rest of the machine --- */

static struct ram_slot map_slot(uint64_t gpa, uint64_t size)
{
	/* Not reserved: tests may pretend to have gigabytes, and touch little of them. */
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host == MAP_FAILED)
		abort();
	return (struct ram_slot){ .gpa = gpa, .size = size, .host = host };
}

void boot_image_ram(struct ram *ram, uint64_t low, uint64_t high)
{
	*ram = (struct ram){ .count = 1, .slot[0] = map_slot(0, low) };
	if (high)
		ram->slot[ram->count++] = map_slot(LAYOUT_HIGH_RAM_BASE, high);
}

void boot_image_ram_free(struct ram *ram)
{
	for (unsigned int i = 0; i < ram->count; i++)
		munmap(ram->slot[i].host, ram->slot[i].size);
	ram->count = 0;
}

struct boot_file boot_image_file(const char *name, const void *data, uint64_t size)
{
	struct boot_file file = { .name = name, .size = size };

	file.fd = memfd_create("boot-image", MFD_CLOEXEC);
	if (file.fd < 0 || pwrite(file.fd, data, size, 0) != (ssize_t)size)
		abort();
	return file;
}
