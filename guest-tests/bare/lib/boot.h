/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the loader told: command line, memory map and modules (multiboot 0.6.96, 3.3), copied away
 * from where it stood before anything else uses that memory; and the ways to end.
 */
#ifndef BARE_BOOT_H
#define BARE_BOOT_H

#include "lib/base.h"

#define BOOT_RANGES   32
#define BOOT_MODULES  64
#define RANGE_RAM     1
#define CMDLINE_SIZE  2048
#define MODULE_STRING 128

struct boot_range {
	uint64_t base, size; /* bytes */
	uint32_t type;
};

struct boot_module {
	uint32_t start, end;
	char string[MODULE_STRING];
};

struct boot {
	uint32_t flags;
	uint32_t lower_kib, upper_kib;
	char cmdline[CMDLINE_SIZE];
	unsigned int ranges;
	struct boot_range range[BOOT_RANGES];
	unsigned int modules;
	struct boot_module module[BOOT_MODULES];
};

extern struct boot boot;

/* Copies everything. False if no multiboot loader started us. */
bool boot_read(void);

/* The value of the word "@name=value" of the command line, up to the next blank; or NULL. */
const char *word(const char *name);

/* The number of that word, or @otherwise. */
uint64_t word_number(const char *name, uint64_t otherwise);

/* True if the command line has "@name=@value". */
bool word_is(const char *name, const char *value);

/* True if @name itself is a word of the command line. */
bool word_given(const char *name);

/* Each ends the VM in its own way, if the machine plays along. */
_Noreturn void end_exit(uint32_t code);
_Noreturn void end_poweroff(void);
_Noreturn void end_reset_pci(void);
_Noreturn void end_reset_keyboard(void);
_Noreturn void end_crash(void);
_Noreturn void end_halt(void);

#endif
