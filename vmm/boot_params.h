/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What boot protocols lay down in files and in memory, byte by byte. All fields are little-endian,
 * as is every host that Nidus runs on.
 */
#ifndef NIDUS_VMM_BOOT_PARAMS_H
#define NIDUS_VMM_BOOT_PARAMS_H

#include <stddef.h>
#include <stdint.h>

/* --- Linux: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" --- */

#define LINUX_HEADER_OFFSET  0x1f1
#define LINUX_HEADER_END_MAX 0x290 /* in the zero page something else follows */
#define LINUX_BOOT_FLAG	     0xaa55
#define LINUX_MAGIC	     0x53726448 /* "HdrS" */
#define LINUX_VERSION_MIN    0x020c	/* 2.12: xloadflags */
#define LINUX_SECTOR	     512
#define LINUX_SETUP_SECTS    4 /* what 0 stands for */
#define LINUX_PARAGRAPH	     16
#define LINUX_ENTRY_64	     0x200 /* from the start of the loaded kernel */
#define LINUX_LOADER_OTHER   0xff

enum linux_loadflags {
	LINUX_LOADED_HIGH = 1 << 0,
};

enum linux_xloadflags {
	LINUX_XLF_KERNEL_64 = 1 << 0, /* has the 64-bit entry point */
};

struct linux_header {
	uint8_t setup_sects; /* 0x1f1 */
	uint16_t root_flags;
	uint32_t syssize; /* protected-mode code, in paragraphs */
	uint16_t ram_size;
	uint16_t vid_mode;
	uint16_t root_dev;
	uint16_t boot_flag;
	uint8_t jump;	    /* 0x200 */
	uint8_t header_len; /* the header ends at 0x202 + this */
	uint32_t magic;
	uint16_t version; /* 0x206 */
	uint32_t realmode_swtch;
	uint16_t start_sys_seg;
	uint16_t kernel_version;
	uint8_t type_of_loader; /* 0x210 */
	uint8_t loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start;
	uint32_t ramdisk_image;
	uint32_t ramdisk_size;
	uint32_t bootsect_kludge; /* 0x220 */
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver;
	uint8_t ext_loader_type;
	uint32_t cmd_line_ptr;
	uint32_t initrd_addr_max;  /* highest address of the initrd's last byte */
	uint32_t kernel_alignment; /* 0x230 */
	uint8_t relocatable_kernel;
	uint8_t min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size; /* bytes, without the NUL */
	uint32_t hardware_subarch;
	uint64_t hardware_subarch_data; /* 0x240 */
	uint32_t payload_offset;
	uint32_t payload_length;
	uint64_t setup_data; /* 0x250 */
	uint64_t pref_address;
	uint32_t init_size; /* 0x260: memory that it needs from its start on */
	uint32_t handover_offset;
	uint32_t kernel_info_offset;
} __attribute__((packed));

_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_header, boot_flag) == 0x1fe, "boot.rst");
_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_header, magic) == 0x202, "boot.rst");
_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_header, cmd_line_ptr) == 0x228, "");
_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_header, xloadflags) == 0x236, "");
_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_header, init_size) == 0x260, "");
_Static_assert(LINUX_HEADER_OFFSET + sizeof(struct linux_header) == 0x26c, "boot.rst, 2.15");

struct linux_e820 {
	uint64_t base;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));

#define LINUX_E820_MAX 128

/* Documentation/arch/x86/zero-page.rst; what Nidus leaves zero is not named. */
struct linux_boot_params {
	uint8_t screen_info[0x70];
	uint64_t acpi_rsdp_addr; /* 0x070 */
	uint8_t unused_078[0xc0 - 0x78];
	uint32_t ext_ramdisk_image; /* 0x0c0: bits 63:32 */
	uint32_t ext_ramdisk_size;
	uint32_t ext_cmd_line_ptr;
	uint8_t unused_0cc[0x1e8 - 0xcc];
	uint8_t e820_entries; /* 0x1e8 */
	uint8_t unused_1e9[LINUX_HEADER_OFFSET - 0x1e9];
	struct linux_header header; /* 0x1f1 */
	uint8_t unused_26c[0x2d0 - 0x26c];
	struct linux_e820 e820[LINUX_E820_MAX]; /* 0x2d0 */
	uint8_t unused_cd0[0x1000 - 0xcd0];
} __attribute__((packed));

_Static_assert(offsetof(struct linux_boot_params, header) == LINUX_HEADER_OFFSET, "zero-page.rst");
_Static_assert(offsetof(struct linux_boot_params, e820) == 0x2d0, "zero-page.rst");
_Static_assert(sizeof(struct linux_boot_params) == 0x1000, "the zero page is a page");

/* --- PVH: xen/include/public/arch-x86/hvm/start_info.h and docs/misc/pvh.pandoc --- */

#define PVH_NOTE_NAME	"Xen"
#define PVH_NOTE_ENTRY	18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_START_MAGIC 0x336ec578

struct pvh_start_info {
	uint32_t magic;
	uint32_t version; /* 1: memmap_* are there */
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};
_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h, version 1");

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h: hvm_modlist_entry");

struct pvh_memmap {
	uint64_t base;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};
_Static_assert(sizeof(struct pvh_memmap) == 24, "start_info.h: hvm_memmap_table_entry");

/* --- Multiboot 0.6.96 --- */

#define MULTIBOOT_SEARCH       8192 /* 3.1: all of the header lies in these first bytes */
#define MULTIBOOT_MAGIC	       0x1badb002
#define MULTIBOOT_LOADER_MAGIC 0x2badb002
#define MULTIBOOT_MUST_MASK    0x0000ffff /* 3.1.2: a loader that lacks one of these must refuse */

enum multiboot_header_flags {
	MULTIBOOT_PAGE_ALIGN = 1 << 0,
	MULTIBOOT_MEMORY_INFO = 1 << 1,
	MULTIBOOT_VIDEO_MODE = 1 << 2,
	MULTIBOOT_ADDRESSES = 1 << 16, /* the address fields replace ELF */
};

struct multiboot_header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	uint32_t header_addr; /* from here on: with MULTIBOOT_ADDRESSES */
	uint32_t load_addr;
	uint32_t load_end_addr; /* 0: load all of the file */
	uint32_t bss_end_addr;	/* 0: no bss */
	uint32_t entry_addr;
};
_Static_assert(sizeof(struct multiboot_header) == 32, "3.1.1, without the video fields");

#define MULTIBOOT_HEADER_BASIC offsetof(struct multiboot_header, header_addr)

enum multiboot_info_flags {
	MULTIBOOT_INFO_MEMORY = 1 << 0,
	MULTIBOOT_INFO_CMDLINE = 1 << 2,
	MULTIBOOT_INFO_MODULES = 1 << 3,
	MULTIBOOT_INFO_MMAP = 1 << 6,
	MULTIBOOT_INFO_LOADER_NAME = 1 << 9,
};

struct multiboot_info { /* 3.3 */
	uint32_t flags;
	uint32_t mem_lower; /* KiB from 0 */
	uint32_t mem_upper; /* KiB from 1 MiB to the first hole */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length; /* bytes */
	uint32_t mmap_addr;
	uint32_t drives[2];
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
};
_Static_assert(offsetof(struct multiboot_info, mmap_length) == 44, "3.3");
_Static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64, "3.3");
_Static_assert(sizeof(struct multiboot_info) == 88, "3.3");

struct multiboot_module {
	uint32_t mod_start;
	uint32_t mod_end; /* exclusive */
	uint32_t string;
	uint32_t reserved;
};
_Static_assert(sizeof(struct multiboot_module) == 16, "3.3");

struct multiboot_mmap {
	uint32_t size; /* of what follows */
	uint64_t base;
	uint64_t length;
	uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct multiboot_mmap) == 24, "3.3");

#endif
