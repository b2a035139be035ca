/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading a kernel: from a file of unknown contents to memory and to the first state of vCPU 0.
 *
 * Three protocols: bzImage by the 64-bit Linux boot protocol, ELF with a PVH note, multiboot 1.
 * Files are read straight into guest RAM; nothing of them is trusted. Call while the VM is built,
 * before any vCPU runs, from one thread.
 */
#ifndef NIDUS_VMM_BOOT_H
#define NIDUS_VMM_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "devices/dma.h"

#define BOOT_ERROR_SIZE	 1024
#define BOOT_MODULES_MAX 64

enum boot_protocol { BOOT_LINUX, BOOT_PVH, BOOT_MULTIBOOT };

/* An open regular file. */
struct boot_file {
	const char *name; /* for messages, and for multiboot's command lines */
	const char *args; /* of a multiboot module; NULL: none */
	int fd;
	uint64_t size; /* bytes */
};

struct boot_request {
	const struct ram *ram; /* freshly allocated: all of it still reads as zero */
	struct boot_file kernel;
	const struct boot_file *module; /* initrds, concatenated in this order; or modules */
	unsigned int module_count;	/* at most BOOT_MODULES_MAX */
	const char *cmdline;		/* NULL: empty */
	uint64_t rsdp;			/* guest-physical, from acpi_build(); 0: none */
};

/* A segment register as KVM and a descriptor take it. */
struct boot_segment {
	uint64_t base;
	uint32_t limit; /* bytes - 1, whatever g says */
	uint16_t selector;
	uint8_t type;
	uint8_t s;  /* code or data, not system */
	uint8_t db; /* 32-bit */
	uint8_t l;  /* 64-bit code */
	uint8_t g;  /* the descriptor counts pages */
};

enum boot_mode { BOOT_LONG64, BOOT_PROTECTED32 };

/*
 * How vCPU 0 starts. Registers that are not here are 0 (rflags: 2, interrupts off); data is for ds,
 * es, fs, gs and ss; there is no IDT.
 */
struct boot_state {
	enum boot_protocol protocol;
	enum boot_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi;
	uint64_t cr0, cr3, cr4, efer;
	uint64_t gdt_base;
	uint16_t gdt_limit; /* bytes - 1 */
	struct boot_segment code, data, task;
};

/*
 * Opens @path for reading, as a regular file. 0, or negative errno and a line in @error (@n bytes).
 * @path must outlive @file. boot_file_close() may be called on what was never opened (fd -1).
 */
int boot_file_open(struct boot_file *file, const char *path, char *error, size_t n);
void boot_file_close(struct boot_file *file);

/*
 * Tells what kind of kernel @path is: an enum boot_protocol, or negative errno and a line in @error
 * that names the file, what is wrong with it, and what would be right. Does not look at its size.
 */
int boot_identify(const char *path, char *error, size_t n);

/*
 * Would boot_load() succeed in a guest with @memory bytes of RAM? The same result and the same
 * line, without a guest: no file is read but for its headers, and request->ram is not used.
 */
int boot_check(const struct boot_request *request, uint64_t memory, char *error, size_t n);

/*
 * Loads everything into guest RAM and fills in @state. 0, or negative errno and a line in @error;
 * RAM may then have been written.
 */
int boot_load(const struct boot_request *request, struct boot_state *state, char *error, size_t n);

#endif
