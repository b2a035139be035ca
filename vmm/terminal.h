/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user's terminal while a guest has it: raw, with Ctrl-A as the way out, and put back in order
 * however this process ends.
 */
#ifndef NIDUS_VMM_TERMINAL_H
#define NIDUS_VMM_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes the terminal on standard input raw, if it is one, and restores it at exit() and on fatal
 * signals. 0 or negative errno. Control thread, before others start.
 */
int terminal_raw(void);

/* Puts the terminal back. May be called at any time, more than once, and in a signal handler. */
void terminal_restore(void);

/* What a byte typed at the terminal means. */
enum terminal_key {
	TERMINAL_PASS, /* goes to the guest */
	TERMINAL_EAT,  /* part of an escape sequence */
	TERMINAL_QUIT, /* Ctrl-A x */
	TERMINAL_HELP, /* Ctrl-A h */
};

/* The state of the escape sequence: true after a Ctrl-A. */
struct terminal_escape {
	bool armed;
};

enum terminal_key terminal_key(struct terminal_escape *escape, uint8_t byte);

#endif
