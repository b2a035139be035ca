// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rows of `nidus bench` as one page: plots (SVG), the counted costs with their targets, and all
 * values. Nothing is loaded from elsewhere; colours are those of the reader's choice, light or
 * dark.
 *
 * Both axes are logarithmic. A position is a number of 1/1024 of a doubling.
 */
#include <string.h>

#include "devices/base.h"
#include "vmm/bench.h"

#define LOG_BITS 10
#define WIDTH	 560
#define HEIGHT	 300
#define LEFT	 64
#define RIGHT	 12
#define TOP	 12
#define BOTTOM	 36
#define GAP	 28 /* between groups of bars */

/* log2 of a positive number, times 1 << LOG_BITS. */
static int log2_of(uint64_t value)
{
	int whole = 63 - __builtin_clzll(value), result = whole;
	/* From 1 to 2, as 2^31 to 2^32: each squaring gives one more bit. */
	uint64_t x = whole > 31 ? value >> (whole - 31) : value << (31 - whole);

	for (int i = 0; i < LOG_BITS; i++) {
		x = x * x >> 31;
		result = result << 1 | (int)(x >> 32);
		if (x >> 32)
			x >>= 1;
	}
	return result;
}

struct chart {
	const char *title;
	enum bench_unit unit;
	const char *subject[3]; /* lines: the first one solid, others dashed */
};

static const struct chart charts[] = {
	{ "Copy of a process, translations known", BENCH_US, { "copy-warm" } },
	{ "Copies of a process, ring never empty", BENCH_MB_S, { "copy-queued" } },
	{ "Copy of a process, translations asked for", BENCH_US, { "copy-cold" } },
	{ "Copy of a process into new pages", BENCH_US, { "copy-faulting" } },
	{ "Copy of the kernel, with interrupt", BENCH_US, { "kernel-copy" } },
	{ "Copies of the kernel, one at a time", BENCH_MB_S, { "kernel-copy" } },
	{ "Invalidation: pages made read-only (dashed: no device)",
	  BENCH_US,
	  { "invalidate", "invalidate-unbound" } },
	{ "The kernel's unmap (dashed: map)", BENCH_US, { "unmap", "map" } },
};

static const char *const bars[] = { "bind", "unbind", "page-request", "first-touch" };

/* What the values span: x and y in the units of log2_of(). */
struct span {
	int left, right, low, high;
};

static bool is_of(const struct bench_row *row, const struct chart *chart, unsigned int line)
{
	return row->value > 0 && row->unit == chart->unit && row->subject && chart->subject[line] &&
	       !strcmp(row->subject->name, chart->subject[line]);
}

static void widen(struct span *span, int x, int y)
{
	if (span->left > x)
		span->left = x;
	if (span->right < x)
		span->right = x;
	if (span->low > y)
		span->low = y;
	if (span->high < y)
		span->high = y;
}

/* False if there is nothing to plot. */
static bool find_span(const struct bench_rows *rows, const struct chart *chart, struct span *span)
{
	*span = (struct span){ INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN };
	for (unsigned int i = 0; i < rows->count; i++)
		for (unsigned int line = 0; line < ARRAY_SIZE(chart->subject); line++)
			if (is_of(&rows->row[i], chart, line) && rows->row[i].at)
				widen(span, log2_of(rows->row[i].at),
				      log2_of((uint64_t)rows->row[i].value));
	if (span->left > span->right)
		return false;
	/* Never of no size. */
	span->right += span->right == span->left;
	span->low -= 1 << (LOG_BITS - 2);
	span->high += 1 << (LOG_BITS - 2);
	return true;
}

static int place_x(const struct span *span, int x)
{
	return LEFT + (int)((int64_t)(x - span->left) * (WIDTH - LEFT - RIGHT) /
			    (span->right - span->left));
}

static int place_y(const struct span *span, int y)
{
	return HEIGHT - BOTTOM -
	       (int)((int64_t)(y - span->low) * (HEIGHT - TOP - BOTTOM) / (span->high - span->low));
}

/* A line across for each power of ten, and its value. */
static void print_heights(const struct span *span, FILE *out)
{
	char text[BENCH_TEXT];

	for (int64_t value = 1; value <= INT64_C(1000000000000000); value *= 10) {
		int y = log2_of((uint64_t)value);

		if (y < span->low || y > span->high)
			continue;
		y = place_y(span, y);
		fprintf(out,
			"<path class=\"grid\" d=\"M%d %dH%d\"/><text x=\"%d\" y=\"%d\" "
			"text-anchor=\"end\">%s</text>\n",
			LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, bench_number(value, text));
	}
}

/* The places that have values, at most every other one where they are close. */
static void print_places(const struct bench_rows *rows, const struct chart *chart,
			 const struct span *span, FILE *out)
{
	const struct bench_subject *subject = bench_subject(chart->subject[0]);
	struct bench_line line = { 0 };
	char text[BENCH_TEXT];
	int last = -WIDTH;

	while (bench_next_line(rows, &line)) {
		int x = line.subject == subject && line.unit == chart->unit && line.at
				? place_x(span, log2_of(line.at))
				: -WIDTH;

		if (x < last + 64)
			continue;
		last = x;
		fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x,
			HEIGHT - BOTTOM + 20, bench_at(subject, line.at, text));
	}
}

static void print_points(const struct bench_rows *rows, const struct chart *chart,
			 unsigned int which, unsigned int mode, const struct span *span, FILE *out)
{
	char text[BENCH_TEXT], at[BENCH_TEXT];

	for (unsigned int i = 0; i < rows->count; i++) {
		const struct bench_row *row = &rows->row[i];

		if (row->mode != mode || !is_of(row, chart, which) || !row->at)
			continue;
		fprintf(out,
			"<circle class=\"m%u\" cx=\"%d\" cy=\"%d\" r=\"3\"><title>%s, %s: %s "
			"%s</title></circle>\n",
			mode, place_x(span, log2_of(row->at)),
			place_y(span, log2_of((uint64_t)row->value)), bench_mode_names[mode],
			bench_at(row->subject, row->at, at), bench_number(row->value, text),
			bench_unit_names[row->unit]);
	}
}

/* One mode's line; rows of one subject are in the order of their sizes. */
static void print_curve(const struct bench_rows *rows, const struct chart *chart,
			unsigned int which, unsigned int mode, const struct span *span, FILE *out)
{
	char command = 'M';

	for (unsigned int i = 0; i < rows->count; i++) {
		const struct bench_row *row = &rows->row[i];

		if (row->mode != mode || !is_of(row, chart, which) || !row->at)
			continue;
		if (command == 'M')
			fprintf(out, "<path class=\"m%u%s\" d=\"", mode, which ? " other" : "");
		fprintf(out, "%c%d %d", command, place_x(span, log2_of(row->at)),
			place_y(span, log2_of((uint64_t)row->value)));
		command = 'L';
	}
	if (command == 'L')
		fputs("\"/>\n", out);
}

static void open_plot(const char *title, const char *unit, int height, FILE *out)
{
	fprintf(out,
		"<figure><figcaption>%s, %s</figcaption>\n"
		"<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n",
		title, unit, WIDTH, height, title);
}

static void print_chart(const struct bench_rows *rows, const struct chart *chart, FILE *out)
{
	struct span span;

	if (!find_span(rows, chart, &span))
		return;
	open_plot(chart->title, bench_unit_names[chart->unit], HEIGHT, out);
	print_heights(&span, out);
	print_places(rows, chart, &span, out);
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		for (unsigned int which = 0; which < ARRAY_SIZE(chart->subject); which++) {
			print_curve(rows, chart, which, mode, &span, out);
			print_points(rows, chart, which, mode, &span, out);
		}
	fputs("</svg></figure>\n", out);
}

/* One operation: a bar for each mode, linear from 0. */
static void print_bars(const struct bench_rows *rows, const struct bench_subject *subject,
		       FILE *out)
{
	int64_t most = 0;
	char text[BENCH_TEXT];
	int y = TOP;

	for (unsigned int mode = 0; mode < BENCH_MODES; mode++) {
		const struct bench_row *row = bench_find(rows, mode, subject, BENCH_US, 0);

		if (row && row->value > most)
			most = row->value;
	}
	if (!most)
		return;
	open_plot(subject->title, bench_unit_names[BENCH_US], BENCH_MODES * GAP + 2 * TOP, out);
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++, y += GAP) {
		const struct bench_row *row = bench_find(rows, mode, subject, BENCH_US, 0);
		int length =
			row ? (int)((double)row->value / (double)most * (WIDTH - 2 * LEFT - RIGHT))
			    : 0;

		fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", LEFT - 6,
			y + 15, bench_mode_names[mode]);
		if (length > 0)
			fprintf(out,
				"<rect class=\"m%u\" x=\"%d\" y=\"%d\" width=\"%d\" "
				"height=\"20\"/>",
				mode, LEFT, y, length);
		fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", LEFT + length + 6, y + 15,
			bench_value(row, text));
	}
	fputs("</svg></figure>\n", out);
}

/* --- Tables --- */

static void print_text(const char *text, FILE *out)
{
	for (; *text; text++)
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(out, "&#%d;", *text);
		else
			fputc(*text, out);
}

static void print_cells(const struct bench_rows *rows, const struct bench_line *line, FILE *out)
{
	const struct bench_row *cell[BENCH_MODES];
	const struct bench_row *limited = bench_cells(rows, line, cell);
	char text[BENCH_TEXT];

	fprintf(out, "<tr><td>%s</td><td>%s</td><td>%s</td>", line->subject->title,
		bench_at(line->subject, line->at, text), bench_unit_names[line->unit]);
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		fprintf(out, "<td>%s</td>", bench_value(cell[mode], text));
	if (limited)
		fprintf(out, "<td>%s</td><td class=\"%s\">%s</td>",
			bench_number(limited->limit, text), bench_met(limited) ? "met" : "missed",
			bench_met(limited) ? "MET" : "MISSED");
	else if (line->unit >= BENCH_EXITS)
		fputs("<td></td><td></td>", out);
	fputs("</tr>\n", out);
}

static void print_table(const struct bench_rows *rows, const char *title, bool counted, FILE *out)
{
	struct bench_line line = { 0 };

	fprintf(out, "<h2>%s</h2><table><tr><th></th><th>of</th><th>unit</th>", title);
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		fprintf(out, "<th class=\"m%u\">%s</th>", mode, bench_mode_names[mode]);
	fputs(counted ? "<th>nested: at most</th><th></th></tr>\n" : "</tr>\n", out);
	while (bench_next_line(rows, &line))
		if ((line.unit >= BENCH_EXITS) == counted)
			print_cells(rows, &line, out);
	fputs("</table>\n", out);
}

static void print_notes(const struct bench_rows *rows, FILE *out)
{
	fputs("<ul>\n", out);
	for (unsigned int i = 0; i < rows->count; i++) {
		const struct bench_row *row = &rows->row[i];

		if (row->value != BENCH_NONE)
			continue;
		fprintf(out, "<li>%s: %s%s", bench_mode_names[row->mode],
			row->subject ? row->subject->title : "", row->subject ? ": " : "");
		print_text(row->note, out);
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
}

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
	"<meta name=\"viewport\" content=\"width=device-width\"/>"
	"<title>nidus bench</title>\n<style>\n"
	":root{color-scheme:light "
	"dark;--m0:#555;--m1:#06c;--m2:#080;--m3:#a50;--m4:#a0a;--g:#ddd}\n"
	"@media(prefers-color-scheme:dark){:root{--m0:#bbb;--m1:#6af;--m2:#5c5;--m3:#fa5;--m4:#e7e;"
	"--g:#444}}\n"
	"body{font:15px/1.4 system-ui,sans-serif;max-width:72rem;margin:1rem auto;padding:0 1rem}\n"
	"figure{display:inline-block;width:34rem;max-width:100%;margin:.5rem}\n"
	"svg{width:100%}svg text{font-size:12px;fill:currentColor}path{fill:none;stroke-width:2}\n"
	".grid{stroke:var(--g);stroke-width:1}.other{stroke-dasharray:5 4}\n"
	"table{border-collapse:collapse}td,th{padding:.1rem .6rem;text-align:right}\n"
	"td:first-child{text-align:left}tr:nth-child(even){background:#8881}\n"
	".met{color:var(--m2)}.missed{color:#e33;font-weight:bold}\n";

void bench_print_html(const struct bench_rows *rows, FILE *out)
{
	fputs(head, out);
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		fprintf(out,
			"path.m%u{stroke:var(--m%u)}rect.m%u,circle.m%u{fill:var(--m%u)}"
			".m%u{color:var(--m%u)}\n",
			mode, mode, mode, mode, mode, mode, mode);
	fputs("</style></head><body>\n<h1>nidus bench</h1>\n<p>", out);
	print_text(*rows->device ? rows->device : "No device of the host", out);
	fputs(", Linux ", out);
	print_text(rows->host, out);
	fputs(rows->quick ? ", few samples.</p>\n<p>" : ".</p>\n<p>", out);
	for (unsigned int mode = 0; mode < BENCH_MODES; mode++)
		fprintf(out, "<b class=\"m%u\">&#9632; %s</b> ", mode, bench_mode_names[mode]);
	fputs("</p>\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(charts); i++)
		print_chart(rows, &charts[i], out);
	for (size_t i = 0; i < ARRAY_SIZE(bars); i++)
		print_bars(rows, bench_subject(bars[i]), out);
	print_table(rows, "Counted, each", true, out);
	print_table(rows, "Measured (median)", false, out);
	print_notes(rows, out);
	fputs("</body></html>\n", out);
}
