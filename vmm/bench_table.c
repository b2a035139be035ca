// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rows of `nidus bench` as a table: a line for each thing measured, a column for each mode.
 */
#include <string.h>

#include "vmm/bench.h"

#define TITLE  54
#define AT     10
#define COLUMN 12

static void print_head(const struct bench_rows *rows, const char *title, bool limits, FILE *out)
{
	fprintf(out, "%-*s%*s", TITLE, title, AT, "");
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		if (bench_has(rows, mode))
			fprintf(out, "%*s", COLUMN, bench_mode_names[mode]);
	fputs(limits ? "  at most\n" : "\n", out);
}

static void print_limit(const struct bench_row *row, FILE *out)
{
	char text[BENCH_TEXT];

	if (row)
		fprintf(out, "  %s %s: %s", bench_mode_names[row->mode],
			bench_number(row->limit, text), bench_met(row) ? "met" : "MISSED");
}

static void print_line(const struct bench_rows *rows, const struct bench_line *line, FILE *out)
{
	const struct bench_row *cell[BENCH_MODES];
	const struct bench_row *limited = bench_cells(rows, line, cell);
	char title[128], text[BENCH_TEXT];

	snprintf(title, sizeof(title), "%s, %s", line->subject->title,
		 bench_unit_names[line->unit]);
	fprintf(out, "%-*s%*s", TITLE, title, AT, bench_at(line->subject, line->at, text));
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		if (bench_has(rows, mode))
			fprintf(out, "%*s", COLUMN, bench_value(cell[mode], text));
	print_limit(limited, out);
	fputc('\n', out);
}

void bench_print_table(const struct bench_rows *rows, FILE *out)
{
	struct bench_line line = { 0 };
	bool counted = false;

	fprintf(out, "nidus bench%s%s, Linux %s%s\n\n", *rows->device ? ": " : "", rows->device,
		rows->host, rows->quick ? ", few samples" : "");
	print_head(rows, "measured (median)", false, out);
	while (bench_next_line(rows, &line)) {
		if (!counted && line.unit >= BENCH_EXITS) {
			fputc('\n', out);
			print_head(rows, "counted, each", true, out);
			counted = true;
		}
		print_line(rows, &line, out);
	}
	fputc('\n', out);
	for (unsigned int i = 0; i < rows->count; i++) {
		const struct bench_row *row = &rows->row[i];

		if (row->value == BENCH_NONE)
			fprintf(out, "%s: %s%s%s\n", bench_mode_names[row->mode],
				row->subject ? row->subject->title : "", row->subject ? ": " : "",
				row->note);
	}
}
