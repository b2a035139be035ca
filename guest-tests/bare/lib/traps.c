/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/traps.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"

#define CODE64		0x08
#define GATE_INTERRUPT	0x8e00 /* present, interrupts off */
#define ENTRY_STRIDE	16
#define IS_EXCEPTION(v) ((v) < VECTOR_FIRST)

struct gate {
	uint16_t offset_low, selector;
	uint16_t flags;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM 3A, 6.14.1");

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const uint8_t trap_entries[];

static struct gate table[256];
static trap_handler *handlers[256];
static uint64_t counts[256];

void traps_use(void)
{
	struct table_pointer pointer = { sizeof(table) - 1, (uintptr_t)table };

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void traps_drop(void)
{
	struct table_pointer pointer = { 0, 0 };

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void traps_setup(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		uintptr_t entry = (uintptr_t)trap_entries + i * ENTRY_STRIDE;

		table[i] = (struct gate){ .offset_low = (uint16_t)entry,
					  .selector = CODE64,
					  .flags = GATE_INTERRUPT,
					  .offset_middle = (uint16_t)(entry >> 16),
					  .offset_high = (uint32_t)(entry >> 32) };
	}
	traps_use();
}

void trap_set(uint8_t vector, trap_handler *handler)
{
	__atomic_store_n(&handlers[vector], handler, __ATOMIC_RELEASE);
}

uint64_t trap_count(uint8_t vector)
{
	return __atomic_load_n(&counts[vector], __ATOMIC_ACQUIRE);
}

void trap_clear(uint8_t vector)
{
	__atomic_store_n(&counts[vector], 0, __ATOMIC_RELEASE);
}

static _Noreturn void unexpected(const struct trap_frame *frame)
{
	uint64_t cr2;

	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	serial_setup();
	print("\nBail out! exception %lu error 0x%lx rip 0x%lx rsp 0x%lx cr2 0x%lx\n",
	      frame->vector, frame->error, frame->rip, frame->rsp, cr2);
	end_exit(EXIT_EXCEPTION);
}

void trap(struct trap_frame *frame)
{
	trap_handler *handler = __atomic_load_n(&handlers[frame->vector], __ATOMIC_ACQUIRE);

	__atomic_fetch_add(&counts[frame->vector], 1, __ATOMIC_ACQ_REL);
	if (handler)
		handler(frame);
	else if (IS_EXCEPTION(frame->vector))
		unexpected(frame);
	else if (frame->vector != VECTOR_SPURIOUS)
		apic_eoi();
}
