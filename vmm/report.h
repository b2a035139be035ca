/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters for people or for programs: groups of named values, as lines or as one JSON object.
 */
#ifndef NIDUS_VMM_REPORT_H
#define NIDUS_VMM_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct report {
	FILE *out;
	bool json;
	bool first_group;
	bool first_value;
};

void report_begin(struct report *report, FILE *out, bool json);
void report_end(struct report *report);

/* A group; its name is unique in the report. Groups do not nest. */
__attribute__((format(printf, 2, 3))) void report_open(struct report *report, const char *format,
						       ...);
void report_close(struct report *report);

void report_number(struct report *report, const char *name, uint64_t value);
void report_text(struct report *report, const char *name, const char *value);

#endif
