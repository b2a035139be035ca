/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of boot*.c: what every protocol needs, and what each of them offers.
 *
 * Functions return 0 or a negative errno; then the line for the user is already written.
 */
#ifndef NIDUS_VMM_BOOT_PARTS_H
#define NIDUS_VMM_BOOT_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot.h"

/* One load in progress. Probing has no request and no state. */
struct boot {
	const struct boot_request *request;
	struct boot_state *state;
	char *error;
	size_t error_size;
	bool dry; /* checking only: RAM ends at LAYOUT_BOOT_END, whatever it says */
};

/* Writes the line; returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int boot_fail(struct boot *boot, const char *format, ...);

/* Bytes of a file, to a buffer or to guest RAM. The caller has checked them against its size. */
int boot_read(struct boot *boot, const struct boot_file *file, uint64_t offset, void *to,
	      uint64_t len);
int boot_read_ram(struct boot *boot, const struct boot_file *file, uint64_t offset, uint64_t gpa,
		  uint64_t len);

/* Guest RAM of the boot area, which every machine has. */
void *boot_area(struct boot *boot, uint64_t gpa, uint64_t len);

/* Where RAM below 3 GiB ends. */
uint64_t boot_low_end(const struct boot *boot);

/*
 * Checks that a kernel may occupy [gpa, gpa + len): RAM, and neither the boot area nor the holes
 * and tables of the first megabyte.
 */
int boot_check_image(struct boot *boot, uint64_t gpa, uint64_t len);

/* The kernel needs RAM up to @end, which is not there: says so. */
int boot_fail_memory(struct boot *boot, uint64_t end);

/* Writes the command line to LAYOUT_CMDLINE_BASE, if it has at most @max bytes. */
int boot_cmdline(struct boot *boot, uint64_t max);

/*
 * Loads all modules as one initrd, as high as possible in [floor, ceiling). Stores its address and
 * size in bytes, 0 and 0 if there is none.
 */
int boot_initrd(struct boot *boot, uint64_t floor, uint64_t ceiling, uint64_t *address,
		uint64_t *size);

/* Set the state of vCPU 0, but for general registers, and write the GDT that goes with it. */
void boot_start_long64(struct boot *boot);
void boot_start_protected32(struct boot *boot);

/* Probing: 1 if the file is for this protocol, 0 if not, -EINVAL if it is but cannot be used. */
int boot_linux_probe(struct boot *boot, const struct boot_file *file);
int boot_pvh_probe(struct boot *boot, const struct boot_file *file);
int boot_multiboot_probe(struct boot *boot, const struct boot_file *file);

/* Loading what was probed with 1. */
int boot_linux_load(struct boot *boot);
int boot_pvh_load(struct boot *boot);
int boot_multiboot_load(struct boot *boot);

#define ELF_SEGMENTS 64

struct elf_segment {
	uint32_t type;
	uint64_t offset, file_size; /* within the file: checked */
	uint64_t virtual, physical;
	uint64_t memory_size; /* at least file_size */
	uint64_t align;
};

/* An ELF executable for x86, of either class. */
struct elf {
	uint64_t entry; /* as in the header: mostly virtual */
	unsigned int count;
	struct elf_segment segment[ELF_SEGMENTS];
};

/* 1: it is one, and @elf describes it; 0: it is none; -EINVAL: its headers make no sense. */
int elf_open(struct boot *boot, const struct boot_file *file, struct elf *elf);

/* Loads all segments at their physical addresses; stores where free memory starts: at 1 MiB or
 * more. */
int elf_load(struct boot *boot, const struct boot_file *file, const struct elf *elf, uint64_t *end);

/* Finds a note with a value of 4 or 8 bytes. 1: found, 0: not there, or -EIO. */
int elf_note(struct boot *boot, const struct boot_file *file, const struct elf *elf,
	     const char *name, uint32_t type, uint64_t *value);

/* True if [address, address + len) lies in one loaded segment, by physical address. */
bool elf_contains(const struct elf *elf, uint64_t address, uint64_t len);

/* The physical address of elf->entry. */
uint64_t elf_entry(const struct elf *elf);

#endif
