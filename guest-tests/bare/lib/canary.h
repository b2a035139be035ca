/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watched memory: pages filled with what only they hold, and the code of the guest itself.
 */
#ifndef BARE_CANARY_H
#define BARE_CANARY_H

#include "lib/base.h"

#define CANARY_RANGES 4

/* Fills and watches the pages at @first, @first + @step, ... below @end: bytes, of whole pages. */
void canary_watch(uint64_t first, uint64_t end, uint64_t step);

/* How many watched pages have changed. */
unsigned int canaries_changed(void);

/* True if the change of a single bit is noticed. */
bool canaries_notice(void);

#endif
