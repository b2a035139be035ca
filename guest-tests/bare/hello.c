/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints what the loader told, and ends in the way that the command line asks for:
 * end=exit:N, poweroff, reset, reset-keyboard, crash, halt, spin. Default: exit code 0.
 */
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"

struct ending {
	const char *name;
	void (*end)(void);
};

static void end_spin(void)
{
	while (true)
		cpu_relax();
}

static const struct ending endings[] = {
	{ "poweroff", end_poweroff },
	{ "reset", end_reset_pci },
	{ "reset-keyboard", end_reset_keyboard },
	{ "crash", end_crash },
	{ "halt", end_halt },
	{ "spin", end_spin },
};

/* So that a test can tell that a module arrived unharmed. */
static uint32_t sum_of(const struct boot_module *module)
{
	uint32_t sum = 0;

	for (uintptr_t at = module->start; at < module->end; at++)
		sum = sum * 31 + *(const uint8_t *)at;
	return sum;
}

unsigned int guest_main(void)
{
	const char *end = word("end");

	print("hello\ncommand line: %s\n", boot.cmdline);
	print("memory: %u KiB below 1 MiB, %u KiB above\n", boot.lower_kib, boot.upper_kib);
	for (unsigned int i = 0; i < boot.ranges; i++)
		print("range: 0x%lx size 0x%lx type %u\n", boot.range[i].base, boot.range[i].size,
		      boot.range[i].type);
	for (unsigned int i = 0; i < boot.modules; i++)
		print("module: %u bytes sum 0x%x string %s\n",
		      boot.module[i].end - boot.module[i].start, sum_of(&boot.module[i]),
		      boot.module[i].string);
	print("end: %s\n", end ? end : "exit:0");
	for (unsigned int i = 0; end && i < ARRAY_SIZE(endings); i++)
		if (word_is("end", endings[i].name))
			endings[i].end();
	return end && !strncmp(end, "exit:", 5) ? (unsigned int)parse_number(end + 5) : 0;
}
