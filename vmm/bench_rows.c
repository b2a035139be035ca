// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The results of `nidus bench`: rows, their subjects, and the limits that they should keep.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "vmm/bench.h"

const char *const bench_mode_names[BENCH_MODES] = {
	[BENCH_NATIVE] = "native",     [BENCH_DIRECT] = "direct",     [BENCH_NESTED] = "nested",
	[BENCH_SHADOWED] = "shadowed", [BENCH_EMULATED] = "emulated",
};

const char *const bench_unit_names[BENCH_UNITS] = {
	[BENCH_US] = "us",	   [BENCH_MB_S] = "MB/s",
	[BENCH_EXITS] = "exits",   [BENCH_WALKS] = "walks",
	[BENCH_IOCTLS] = "ioctls", [BENCH_INVALIDATES] = "invalidation ioctls",
	[BENCH_WAITS] = "waits",   [BENCH_IOCTLS_PER_WAIT] = "ioctls/wait",
};

/* In the order in which they are printed. */
const struct bench_subject bench_subjects[] = {
	{ "copy-warm", "copy, translations known", "bytes" },
	{ "copy-queued", "copies, ring never empty", "bytes" },
	{ "copy-cold", "copy, translations asked for", "bytes" },
	{ "copy-faulting", "copy into pages that do not exist yet", "bytes" },
	{ "page-request", "page request, sent to answered", NULL },
	{ "first-touch", "first touch of a page", NULL },
	{ "bind", "PASID: bind and start", NULL },
	{ "unbind", "PASID: stop and unbind", NULL },
	{ "invalidate", "pages made read-only, in use by the device", "pages" },
	{ "invalidate-unbound", "pages made read-only, no device", "pages" },
	{ "kernel-copy", "copy of the kernel, with interrupt", "bytes" },
	{ "kernel-copy-mapped", "copy of the kernel, mapped each time", "pages" },
	{ "map", "kernel: map", "pages" },
	{ "unmap", "kernel: unmap", "pages" },
};
const unsigned int bench_subject_count = ARRAY_SIZE(bench_subjects);

/* What was promised of nested translation. */
static const struct {
	const char *subject;
	enum bench_unit unit;
	int64_t limit;
} limits[] = {
	{ "copy-warm", BENCH_EXITS, 0 },
	{ "copy-cold", BENCH_EXITS, 0 },
	{ "kernel-copy", BENCH_EXITS, 0 },
	{ "copy-warm", BENCH_WALKS, 0 },
	{ "copy-cold", BENCH_WALKS, 0 },
	{ "kernel-copy", BENCH_WALKS, 0 },
	{ "bind", BENCH_IOCTLS, 2000 },
	{ "unbind", BENCH_IOCTLS, 2000 },
	{ "invalidate", BENCH_IOCTLS_PER_WAIT, 1000 },
};

const struct bench_subject *bench_subject(const char *name)
{
	for (unsigned int i = 0; i < bench_subject_count; i++)
		if (!strcmp(name, bench_subjects[i].name))
			return &bench_subjects[i];
	return NULL;
}

static int64_t limit_of(enum bench_mode mode, const struct bench_subject *subject,
			enum bench_unit unit)
{
	for (size_t i = 0; mode == BENCH_NESTED && i < ARRAY_SIZE(limits); i++)
		if (limits[i].unit == unit && !strcmp(limits[i].subject, subject->name))
			return limits[i].limit;
	return BENCH_NONE;
}

static struct bench_row *new_row(struct bench_rows *rows, enum bench_mode mode,
				 const struct bench_subject *subject)
{
	struct bench_row *row = &rows->row[rows->count];

	if (rows->count == BENCH_ROWS_MAX)
		return NULL;
	rows->count++;
	*row = (struct bench_row){ .mode = mode,
				   .subject = subject,
				   .value = BENCH_NONE,
				   .best = BENCH_NONE,
				   .limit = BENCH_NONE };
	return row;
}

struct bench_row *bench_add(struct bench_rows *rows, enum bench_mode mode, const char *subject,
			    enum bench_unit unit, unsigned int at, int64_t value)
{
	const struct bench_subject *about = bench_subject(subject);
	struct bench_row *row = about ? new_row(rows, mode, about) : NULL;

	if (!row)
		return NULL;
	row->unit = unit;
	row->at = at;
	row->value = value;
	row->limit = limit_of(mode, about, unit);
	return row;
}

void bench_add_note(struct bench_rows *rows, enum bench_mode mode, const char *subject,
		    const char *format, ...)
{
	struct bench_row *row = new_row(rows, mode, subject ? bench_subject(subject) : NULL);
	va_list arguments;

	if (!row)
		return;
	va_start(arguments, format);
	vsnprintf(row->note, sizeof(row->note), format, arguments);
	va_end(arguments);
	/* What programs print may be anything. */
	for (char *c = row->note; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

const struct bench_row *bench_find(const struct bench_rows *rows, enum bench_mode mode,
				   const struct bench_subject *subject, enum bench_unit unit,
				   unsigned int at)
{
	for (unsigned int i = 0; i < rows->count; i++) {
		const struct bench_row *row = &rows->row[i];

		if (row->mode == mode && row->subject == subject && row->unit == unit &&
		    row->at == at && row->value != BENCH_NONE)
			return row;
	}
	return NULL;
}

bool bench_has(const struct bench_rows *rows, enum bench_mode mode)
{
	for (unsigned int i = 0; i < rows->count; i++)
		if (rows->row[i].mode == mode && rows->row[i].value != BENCH_NONE)
			return true;
	return false;
}

bool bench_met(const struct bench_row *row)
{
	return row->value <= row->limit;
}

int64_t bench_each(uint64_t before, uint64_t between, uint64_t after, unsigned int n)
{
	int64_t once = (int64_t)(between - before), twice = (int64_t)(after - between);

	return (twice - once) * 1000 / (int64_t)n;
}

const char *bench_number(int64_t value, char text[BENCH_TEXT])
{
	int used = snprintf(text, BENCH_TEXT, "%s%" PRId64 ".%03d", value < 0 ? "-" : "",
			    imaxabs(value / 1000), (int)imaxabs(value % 1000));

	while (text[used - 1] == '0')
		text[--used] = '\0';
	if (text[used - 1] == '.')
		text[--used] = '\0';
	return text;
}

const char *bench_at(const struct bench_subject *subject, unsigned int at, char text[BENCH_TEXT])
{
	if (!subject->at)
		text[0] = '\0';
	else if (!strcmp(subject->at, "pages"))
		snprintf(text, BENCH_TEXT, "%u page%s", at, at == 1 ? "" : "s");
	else if (at >= 1 << 20 && !(at % (1 << 20)))
		snprintf(text, BENCH_TEXT, "%u MiB", at >> 20);
	else if (at >= 1 << 10 && !(at % (1 << 10)))
		snprintf(text, BENCH_TEXT, "%u KiB", at >> 10);
	else
		snprintf(text, BENCH_TEXT, "%u B", at);
	return text;
}

/* Whether a row's place is behind @line, and before what was found until now. */
static bool is_nearer(const struct bench_row *row, const struct bench_line *line,
		      const struct bench_line *next)
{
	const struct bench_line here = { row->subject, row->unit, row->at };
	const struct bench_line *order[] = { line, &here, next };

	for (unsigned int i = 0; i < 2; i++) {
		const struct bench_line *a = order[i], *b = order[i + 1];

		if (!a->subject || !b->subject)
			continue;
		/* Times first, then what is counted. */
		if ((a->unit >= BENCH_EXITS) != (b->unit >= BENCH_EXITS)) {
			if (a->unit > b->unit)
				return false;
		} else if (a->subject != b->subject) {
			if (a->subject > b->subject)
				return false;
		} else if (a->at != b->at) {
			if (a->at > b->at)
				return false;
		} else if (a->unit >= b->unit) {
			return false;
		}
	}
	return true;
}

bool bench_next_line(const struct bench_rows *rows, struct bench_line *line)
{
	struct bench_line next = { 0 };

	for (unsigned int i = 0; i < rows->count; i++) {
		const struct bench_row *row = &rows->row[i];

		if (row->subject && row->value != BENCH_NONE && is_nearer(row, line, &next))
			next = (struct bench_line){ row->subject, row->unit, row->at };
	}
	*line = next;
	return next.subject;
}

const struct bench_row *bench_cells(const struct bench_rows *rows, const struct bench_line *line,
				    const struct bench_row *cell[BENCH_MODES])
{
	const struct bench_row *limited = NULL;

	for (unsigned int mode = 0; mode < BENCH_MODES; mode++) {
		cell[mode] = bench_find(rows, mode, line->subject, line->unit, line->at);
		if (cell[mode] && cell[mode]->limit != BENCH_NONE)
			limited = cell[mode];
	}
	return limited;
}

const char *bench_value(const struct bench_row *cell, char text[BENCH_TEXT])
{
	return cell ? bench_number(cell->value, text) : "-";
}
