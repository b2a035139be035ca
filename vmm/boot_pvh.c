/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmlinux by PVH: an ELF note holds the 32-bit entry point, a structure in memory says the rest
 * (xen/include/public/arch-x86/hvm/start_info.h, docs/misc/pvh.pandoc).
 */
#include <errno.h>
#include <inttypes.h>

#include "devices/base.h"
#include "vmm/boot_params.h"
#include "vmm/boot_parts.h"
#include "vmm/e820.h"
#include "vmm/layout.h"

/* The boot information area, from LAYOUT_BOOT_INFO_BASE. */
struct pvh_area {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memmap map[E820_MAX];
};
_Static_assert(sizeof(struct pvh_area) <= LAYOUT_BOOT_INFO_SIZE, "it has room");

static int find_entry(struct boot *boot, const struct boot_file *file, struct elf *elf,
		      uint64_t *entry)
{
	int rc = elf_open(boot, file, elf);

	if (rc <= 0)
		return rc;
	return elf_note(boot, file, elf, PVH_NOTE_NAME, PVH_NOTE_ENTRY, entry);
}

int boot_pvh_probe(struct boot *boot, const struct boot_file *file)
{
	struct elf elf;
	uint64_t entry;

	return find_entry(boot, file, &elf, &entry);
}

static void write_start_info(struct boot *boot, uint64_t initrd, uint64_t initrd_size)
{
	struct pvh_area *area = boot_area(boot, LAYOUT_BOOT_INFO_BASE, sizeof(struct pvh_area));
	struct e820_range map[E820_MAX];
	unsigned int count = e820_build(boot->request->ram, map);

	memset(area, 0, sizeof(*area));
	for (unsigned int i = 0; i < count; i++)
		area->map[i] = (struct pvh_memmap){ map[i].base, map[i].size, map[i].type, 0 };
	area->info = (struct pvh_start_info){
		.magic = PVH_START_MAGIC,
		.version = 1,
		.cmdline_paddr = LAYOUT_CMDLINE_BASE,
		.rsdp_paddr = boot->request->rsdp,
		.memmap_paddr = LAYOUT_BOOT_INFO_BASE + offsetof(struct pvh_area, map),
		.memmap_entries = count,
	};
	if (!initrd_size)
		return;
	area->initrd = (struct pvh_module){ .paddr = initrd, .size = initrd_size };
	area->info.nr_modules = 1;
	area->info.modlist_paddr = LAYOUT_BOOT_INFO_BASE + offsetof(struct pvh_area, initrd);
}

int boot_pvh_load(struct boot *boot)
{
	const struct boot_file *file = &boot->request->kernel;
	uint64_t entry, end, initrd, initrd_size;
	struct elf elf;
	int rc = find_entry(boot, file, &elf, &entry);

	if (rc <= 0)
		return rc < 0 ? rc : boot_fail(boot, "kernel %s: changed meanwhile", file->name);
	if (!elf_contains(&elf, entry, 1))
		return boot_fail(boot,
				 "kernel %s: its PVH entry point %#" PRIx64
				 " is in none of its ELF segments; link it again",
				 file->name, entry);
	rc = elf_load(boot, file, &elf, &end);
	if (!rc)
		rc = boot_cmdline(boot, LAYOUT_CMDLINE_SIZE - 1);
	if (!rc)
		rc = boot_initrd(boot, end, LAYOUT_LOW_RAM_MAX, &initrd, &initrd_size);
	if (rc)
		return rc;
	write_start_info(boot, initrd, initrd_size);
	boot_start_protected32(boot);
	boot->state->rip = entry;
	boot->state->rbx = LAYOUT_BOOT_INFO_BASE;
	return 0;
}
