/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/boot.h"

#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/start.h"
#include "lib/traps.h"

#define LOADER_MAGIC 0x2badb002

#define INFO_MEMORY  (1U << 0)
#define INFO_CMDLINE (1U << 2)
#define INFO_MODULES (1U << 3)
#define INFO_MMAP    (1U << 6)

#define EXIT_PORT	 0xf4
#define SLEEP_CONTROL	 0x600
#define SLEEP_S5	 (5 << 2 | 1 << 5)
#define RESET_PORT	 0xcf9
#define RESET_HARD	 0x06
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET	 0xfe

struct loader_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct loader_module {
	uint32_t start, end, string, reserved;
};

/* `size` does not count itself. */
struct loader_range {
	uint32_t size;
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

struct boot boot;

static void copy_string(char *to, size_t size, uint32_t from)
{
	const char *s = (const char *)(uintptr_t)from;
	size_t n = min_u64(strlen(s), size - 1);

	memcpy(to, s, n);
	to[n] = 0;
}

static void read_ranges(const struct loader_info *info)
{
	uint32_t at = info->mmap_addr, end = info->mmap_addr + info->mmap_length;

	while (at < end && boot.ranges < BOOT_RANGES) {
		const struct loader_range *from = (const void *)(uintptr_t)at;

		boot.range[boot.ranges++] =
			(struct boot_range){ from->base, from->length, from->type };
		at += from->size + 4;
	}
}

static void read_modules(const struct loader_info *info)
{
	const struct loader_module *from = (const void *)(uintptr_t)info->mods_addr;

	for (; boot.modules < info->mods_count && boot.modules < BOOT_MODULES; from++) {
		struct boot_module *module = &boot.module[boot.modules++];

		module->start = from->start;
		module->end = from->end;
		if (from->string)
			copy_string(module->string, sizeof(module->string), from->string);
	}
}

bool boot_read(void)
{
	const struct loader_info *info = (const void *)(uintptr_t)boot_info;

	if (boot_magic != LOADER_MAGIC)
		return false;
	boot.flags = info->flags;
	if (info->flags & INFO_MEMORY) {
		boot.lower_kib = info->mem_lower;
		boot.upper_kib = info->mem_upper;
	}
	if (info->flags & INFO_CMDLINE)
		copy_string(boot.cmdline, sizeof(boot.cmdline), info->cmdline);
	if (info->flags & INFO_MMAP)
		read_ranges(info);
	if (info->flags & INFO_MODULES)
		read_modules(info);
	return true;
}

/* --- Words --- */

/* What follows @name in the first word that begins with it; NULL if there is none. */
static const char *find_word(const char *name)
{
	size_t n = strlen(name);

	for (const char *s = boot.cmdline; *s; s++)
		if ((s == boot.cmdline || s[-1] == ' ') && !strncmp(s, name, n) &&
		    (!s[n] || s[n] == ' ' || s[n] == '='))
			return s + n;
	return NULL;
}

const char *word(const char *name)
{
	const char *s = find_word(name);

	return s && *s == '=' ? s + 1 : NULL;
}

uint64_t word_number(const char *name, uint64_t otherwise)
{
	const char *s = word(name);

	return s ? parse_number(s) : otherwise;
}

bool word_is(const char *name, const char *value)
{
	const char *s = word(name);
	size_t n = strlen(value);

	return s && !strncmp(s, value, n) && (!s[n] || s[n] == ' ');
}

bool word_given(const char *name)
{
	return find_word(name);
}

/* --- Ends --- */

_Noreturn void end_halt(void)
{
	while (true) {
		interrupts_off();
		halt();
	}
}

_Noreturn void end_exit(uint32_t code)
{
	outl(EXIT_PORT, code);
	print("# the exit port did not end the VM\n");
	end_poweroff();
}

_Noreturn void end_poweroff(void)
{
	outb(SLEEP_CONTROL, SLEEP_S5);
	print("# the sleep control port did not end the VM\n");
	end_halt();
}

_Noreturn void end_reset_pci(void)
{
	outb(RESET_PORT, RESET_HARD);
	print("# the reset port did not end the VM\n");
	end_halt();
}

_Noreturn void end_reset_keyboard(void)
{
	outb(KEYBOARD_COMMAND, KEYBOARD_RESET);
	print("# the keyboard controller did not end the VM\n");
	end_halt();
}

_Noreturn void end_crash(void)
{
	traps_drop();
	__asm__ volatile("ud2");
	end_halt();
}

/* --- From start.S --- */

void start(void)
{
	serial_setup();
	traps_setup();
	if (!boot_read()) {
		print("Bail out! not started by a multiboot loader\n");
		end_exit(EXIT_FAILED);
	}
	memory_setup();
	end_exit(guest_main());
}
