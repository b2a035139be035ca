/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text on COM1, and the verdicts of a test in TAP form. Any CPU; a line is never torn.
 */
#ifndef BARE_PRINT_H
#define BARE_PRINT_H

#include "lib/base.h"

#define COM1 0x3f8

/* Brings COM1 into a state to print with, whatever state it was in. */
void serial_setup(void);

/* Formats: %c %s %d %u %x, with l for 64 bits, a width and a leading 0. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);
void print_list(const char *format, va_list list);

/* One verdict. Returns @ok. */
__attribute__((format(printf, 2, 3))) bool check(bool ok, const char *format, ...);

/* One verdict: true if @got is @want; otherwise both are printed. */
__attribute__((format(printf, 3, 4))) bool check_equal(uint64_t got, uint64_t want,
						       const char *format, ...);

/* A test that does not apply here, and why. */
void check_skip(const char *name, const char *reason);

/* Prints the plan. Returns the code for the exit port: 0, or EXIT_FAILED. */
unsigned int checks_done(void);

/* Codes for the exit port other than 0. */
enum { EXIT_FAILED = 16, EXIT_EXCEPTION = 17 };

#endif
