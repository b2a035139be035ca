/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's address spaces: what stands where in physical memory, among the I/O ports and on the
 * interrupt lines. Everything that must agree about an address takes it from here.
 *
 *   0                    boot area (below), then free RAM up to the EBDA
 *   0x000a_0000          VGA hole: RAM behind it, never reported
 *   0x000e_0000          ACPI tables
 *   0x0010_0000          RAM, at most up to
 *   0xc000_0000          PCI window, 32-bit BARs
 *   0xe000_0000          ECAM: 256 MiB reserved, the first of them (bus 0) served
 *   0xfec0_0000          IOAPIC
 *   0xfed9_0000          VT-d units, 4 KiB each
 *   0xfee0_0000          LAPIC and the interrupt address range
 *   0xfffb_c000          pages that KVM needs on VMX without unrestricted guest
 *   0x1_0000_0000        rest of RAM, then the PCI window for 64-bit BARs
 */
#ifndef NIDUS_VMM_LAYOUT_H
#define NIDUS_VMM_LAYOUT_H

#include <stdint.h>

#include "devices/base.h"

/* RAM. */
#define LAYOUT_LOW_RAM_MAX   UINT64_C(0xc0000000) /* also the end of low RAM: it starts at 0 */
#define LAYOUT_HIGH_RAM_BASE UINT64_C(0x100000000)

/* The boot area: written by vmm/boot*.c, free to the guest once it has read it. */
#define LAYOUT_BOOT_BASE	UINT64_C(0x1000)
#define LAYOUT_GDT_BASE		UINT64_C(0x1000)
#define LAYOUT_BOOT_INFO_BASE	UINT64_C(0x2000) /* PVH start_info, or multiboot information */
#define LAYOUT_BOOT_INFO_SIZE	UINT64_C(0x5000)
#define LAYOUT_ZERO_PAGE_BASE	UINT64_C(0x7000)
#define LAYOUT_BOOT_STACK	UINT64_C(0x9000) /* its end: it grows down, one page */
#define LAYOUT_PAGE_TABLES	UINT64_C(0x9000) /* PML4, PDPT and four page directories */
#define LAYOUT_PAGE_TABLES_SIZE UINT64_C(0x6000)
#define LAYOUT_CMDLINE_BASE	UINT64_C(0x10000)
#define LAYOUT_CMDLINE_SIZE	UINT64_C(0x10000)
#define LAYOUT_STRINGS_BASE	UINT64_C(0x20000) /* names of multiboot modules */
#define LAYOUT_STRINGS_SIZE	UINT64_C(0x10000)
#define LAYOUT_BOOT_END		UINT64_C(0x30000)

/* The rest of the first megabyte, as on a PC. */
#define LAYOUT_EBDA_BASE     UINT64_C(0x9fc00) /* end of conventional memory */
#define LAYOUT_VGA_HOLE_BASE UINT64_C(0xa0000)
#define LAYOUT_ACPI_BASE     UINT64_C(0xe0000) /* the RSDP first, where a scan finds it */
#define LAYOUT_ACPI_SIZE     UINT64_C(0x20000)
#define LAYOUT_KERNEL_MIN    UINT64_C(0x100000)

/* Between low RAM and 4 GiB. */
#define LAYOUT_MEM32_BASE	 UINT64_C(0xc0000000)
#define LAYOUT_MEM32_SIZE	 UINT64_C(0x20000000)
#define LAYOUT_ECAM_BASE	 UINT64_C(0xe0000000)
#define LAYOUT_ECAM_SIZE	 UINT64_C(0x100000) /* bus 0 */
#define LAYOUT_ECAM_RESERVED	 UINT64_C(0x10000000)
#define LAYOUT_IOAPIC_BASE	 UINT64_C(0xfec00000)
#define LAYOUT_IOAPIC_SIZE	 UINT64_C(0x1000)
#define LAYOUT_VTD_BASE		 UINT64_C(0xfed90000)
#define LAYOUT_VTD_SIZE		 UINT64_C(0x1000) /* of one unit */
#define LAYOUT_VTD_UNITS	 16
#define LAYOUT_LAPIC_BASE	 UINT64_C(0xfee00000)
#define LAYOUT_LAPIC_SIZE	 UINT64_C(0x1000)
#define LAYOUT_IDENTITY_MAP_BASE UINT64_C(0xfffbc000) /* one page, KVM_SET_IDENTITY_MAP_ADDR */
#define LAYOUT_TSS_BASE		 UINT64_C(0xfffbd000) /* three pages, KVM_SET_TSS_ADDR */
#define LAYOUT_KVM_PAGES_SIZE	 UINT64_C(0x4000)

/* Above RAM. */
#define LAYOUT_MEM64_ALIGN	GIB
#define LAYOUT_MEM64_SIZE_MAX	(UINT64_C(1024) * GIB)
#define LAYOUT_PHYS_BITS_USABLE 47 /* what four-level second-stage tables of any host reach */

/* I/O ports. */
#define LAYOUT_I8042_COMMAND   0x64 /* reset only, there is no keyboard controller */
#define LAYOUT_CMOS_BASE       0x70
#define LAYOUT_CMOS_SIZE       2
#define LAYOUT_COM1_BASE       0x3f8
#define LAYOUT_COM1_SIZE       8
#define LAYOUT_SLEEP_CONTROL   0x600
#define LAYOUT_SLEEP_STATUS    0x601
#define LAYOUT_PCI_CONFIG      0xcf8 /* CONFIG_ADDRESS, CONFIG_DATA at 0xcfc */
#define LAYOUT_PCI_CONFIG_SIZE 8
#define LAYOUT_RESET	       0xcf9 /* byte accesses only, beside CONFIG_ADDRESS */
#define LAYOUT_RESET_VALUE     0x06
#define LAYOUT_PCI_IO_BASE     0x1000
#define LAYOUT_PCI_IO_SIZE     0xe000

/* SLP_TYP of soft-off: what \_S5 tells the guest to write and the sleep port understands. */
#define LAYOUT_SLEEP_TYPE_S5 5

/* Interrupt lines, all of them inputs of the one IOAPIC. */
#define LAYOUT_GSI_COUNT	24
#define LAYOUT_COM1_GSI		4
#define LAYOUT_POWER_BUTTON_GSI 9
#define LAYOUT_INTX_GSI_BASE	16
#define LAYOUT_INTX_GSI_COUNT	8

/* Where the window for 64-bit BARs starts if @high_ram bytes of RAM lie above 4 GiB. */
static inline uint64_t layout_mem64_base(uint64_t high_ram)
{
	return align_up(LAYOUT_HIGH_RAM_BASE + high_ram, LAYOUT_MEM64_ALIGN);
}

/* Its size in bytes for a guest whose physical addresses have @phys_bits; 0 if none is left. */
static inline uint64_t layout_mem64_size(uint64_t high_ram, unsigned int phys_bits)
{
	uint64_t base = layout_mem64_base(high_ram);
	uint64_t end = UINT64_C(1) << min_u64(phys_bits, LAYOUT_PHYS_BITS_USABLE);

	return base < end ? min_u64(end - base, LAYOUT_MEM64_SIZE_MAX) : 0;
}

#endif
