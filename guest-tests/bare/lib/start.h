/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What start.S and C share. Also included by assembly.
 */
#ifndef BARE_START_H
#define BARE_START_H

#define BOOT_STACK_SIZE 32768
#define AP_STACK_SHIFT	14

#ifndef __ASSEMBLER__
#include "lib/base.h"

#define AP_STACK_SIZE (1U << AP_STACK_SHIFT)

extern uint32_t boot_magic, boot_info;
extern uint32_t ap_arrivals;
extern uint64_t ap_stacks;
extern uint64_t page_map_level_4[512];
extern const uint8_t trampoline[], trampoline_end[];
extern const uint8_t text_end[], image_end[];

/* Called by start.S. */
void start(void);
void ap_start(uint32_t arrival);
#endif

#endif
