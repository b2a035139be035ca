/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernels for tests of vmm/boot*.c, made in memory: small, valid, and ready to be broken.
 */
#ifndef NIDUS_TESTS_BOOT_IMAGE_H
#define NIDUS_TESTS_BOOT_IMAGE_H

#include <elf.h>
#include <stdint.h>

#include "vmm/boot.h"
#include "vmm/boot_params.h"

#define BOOT_IMAGE_MAX 16384

struct boot_image {
	uint64_t size; /* bytes used; grows as parts are added */
	union {
		uint8_t bytes[BOOT_IMAGE_MAX];
		Elf64_Ehdr elf64;
		Elf32_Ehdr elf32;
	};
};

#define BOOT_IMAGE_SETUP_SECTS 3
#define BOOT_IMAGE_PAYLOAD     2048 /* bytes, each of them its offset / 16 */

/* A relocatable bzImage that prefers 16 MiB and needs 4 MiB there; see boot_image.c for the rest.
 */
void boot_image_linux(struct boot_image *image);
struct linux_header *boot_image_header(struct boot_image *image);

/* An ELF file with no segments; entry is e_entry. */
void boot_image_elf64(struct boot_image *image, uint64_t entry);
void boot_image_elf32(struct boot_image *image, uint32_t entry);

/* Appends a program header and, for it, @size bytes at the end of the file. Returns its index. */
unsigned int boot_image_segment64(struct boot_image *image, uint64_t virtual, uint64_t physical,
				  const void *data, uint64_t size, uint64_t memory);
unsigned int boot_image_segment32(struct boot_image *image, uint32_t virtual, uint32_t physical,
				  const void *data, uint32_t size, uint32_t memory);
Elf64_Phdr *boot_image_phdr64(struct boot_image *image, unsigned int index);
Elf32_Phdr *boot_image_phdr32(struct boot_image *image, unsigned int index);

/* Appends a segment with a PVH note (@bytes: 4 or 8), after a note of another kind. */
unsigned int boot_image_pvh_note(struct boot_image *image, uint64_t entry, unsigned int bytes);

/* A vmlinux: code at 16 MiB with the PVH entry at its start, 64 KiB of bss, virtual in the top 2
 * GiB. */
void boot_image_pvh(struct boot_image *image);

/* Multiboot: an ELF file at 1 MiB, or a flat file that says itself where it goes. */
void boot_image_multiboot32(struct boot_image *image, uint32_t flags);
void boot_image_multiboot64(struct boot_image *image, uint32_t flags);
struct multiboot_header *boot_image_multiboot_flat(struct boot_image *image);
/* Makes the checksum right again. */
void boot_image_multiboot_seal(struct multiboot_header *header);

/* RAM as a fresh VM has it; @high bytes of it above 4 GiB. */
void boot_image_ram(struct ram *ram, uint64_t low, uint64_t high);
void boot_image_ram_free(struct ram *ram);

/* The image as an open file that boot_file_close() ends. */
struct boot_file boot_image_file(const char *name, const void *data, uint64_t size);

#endif
