/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and interrupts. An exception that nobody expects is printed and ends the guest with
 * EXIT_EXCEPTION. An interrupt without a handler is counted and ended (EOI).
 */
#ifndef BARE_TRAPS_H
#define BARE_TRAPS_H

#include "lib/base.h"

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

#define RFLAGS_IF	(1UL << 9)
#define VECTOR_NMI	2
#define VECTOR_FIRST	32 /* of those free for interrupts */
#define VECTOR_SPURIOUS 255

typedef void trap_handler(struct trap_frame *frame);

/* The table for all CPUs, and its use by this one. */
void traps_setup(void);
void traps_use(void);

/* Takes the table away from this CPU: the next trap is a triple fault. */
void traps_drop(void);

/* Sets the handler of @vector; NULL: none. An interrupt's handler must end it with apic_eoi(). */
void trap_set(uint8_t vector, trap_handler *handler);

/* How often @vector came, on all CPUs. */
uint64_t trap_count(uint8_t vector);
void trap_clear(uint8_t vector);

/* Called by traps.S. */
void trap(struct trap_frame *frame);

#endif
