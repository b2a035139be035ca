// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * JSON in one object a line, flat: what `nidus bench` writes and reads, and what sdma-perf says.
 *
 * The first line says what was measured where. A file is read as if somebody hostile had written
 * it: what this file would not write is refused, with the number of the line.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/base.h"
#include "vmm/bench.h"

#define FORMAT	   1
#define LINE_MAX   1024
#define NAME_MAX   32
#define DIGITS_MAX 12

/* --- Reading one object --- */

static void skip_blanks(const char **cursor)
{
	while (**cursor == ' ')
		++*cursor;
}

static bool take_char(const char **cursor, char c)
{
	skip_blanks(cursor);
	if (**cursor != c)
		return false;
	++*cursor;
	return true;
}

/* Up to the closing quote; of escapes those that a printable character may have. */
static bool take_text(const char **cursor, char *text, size_t size)
{
	size_t used = 0;

	if (!take_char(cursor, '"'))
		return false;
	while (**cursor != '"') {
		if (**cursor == '\\' && !strchr("\\\"/", *++*cursor))
			return false;
		if (**cursor < ' ' || **cursor > '~' || used + 1 == size)
			return false;
		text[used++] = *(*cursor)++;
	}
	text[used] = '\0';
	++*cursor;
	return true;
}

/* One to @most digits, onto *@number. */
static bool take_digits(const char **cursor, unsigned int most, int64_t *number)
{
	unsigned int count = 0;

	for (; **cursor >= '0' && **cursor <= '9'; ++*cursor) {
		if (count++ == most)
			return false;
		*number = *number * 10 + (**cursor - '0');
	}
	return count;
}

static bool take_number(const char **cursor, int64_t *number)
{
	bool negative = take_char(cursor, '-');
	const char *decimals;

	*number = 0;
	if (!take_digits(cursor, DIGITS_MAX, number))
		return false;
	*number *= 1000;
	if (**cursor == '.') {
		int64_t fraction = 0;

		decimals = ++*cursor;
		if (!take_digits(cursor, 3, &fraction))
			return false;
		for (ptrdiff_t i = *cursor - decimals; i < 3; i++)
			fraction *= 10;
		*number += fraction;
	}
	if (negative)
		*number = -*number;
	return true;
}

static bool take_word(const char **cursor, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*cursor, word, length))
		return false;
	*cursor += length;
	return true;
}

static bool take_value(const char **cursor, struct json_value *value)
{
	skip_blanks(cursor);
	if (**cursor == '"') {
		value->kind = JSON_TEXT;
		return take_text(cursor, value->text, sizeof(value->text));
	}
	if (**cursor == 't' || **cursor == 'f') {
		value->kind = JSON_BOOL;
		value->flag = **cursor == 't';
		return take_word(cursor, value->flag ? "true" : "false");
	}
	value->kind = JSON_NUMBER;
	return take_number(cursor, &value->number);
}

int json_object(const char *line,
		int (*take)(void *context, const char *key, const struct json_value *value),
		void *context)
{
	struct json_value value = { 0 };
	char key[NAME_MAX];

	if (!take_char(&line, '{'))
		return -EINVAL;
	do {
		if (!take_text(&line, key, sizeof(key)) || !take_char(&line, ':') ||
		    !take_value(&line, &value) || take(context, key, &value))
			return -EINVAL;
	} while (take_char(&line, ','));
	if (!take_char(&line, '}'))
		return -EINVAL;
	skip_blanks(&line);
	return *line ? -EINVAL : 0;
}

/* --- Writing --- */

static void write_text(const char *key, const char *text, FILE *out)
{
	fprintf(out, ",\"%s\":\"", key);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void write_number(const char *key, int64_t value, FILE *out)
{
	char text[BENCH_TEXT];

	if (value != BENCH_NONE)
		fprintf(out, ",\"%s\":%s", key, bench_number(value, text));
}

static void write_row(const struct bench_row *row, FILE *out)
{
	fprintf(out, "{\"mode\":\"%s\"", bench_mode_names[row->mode]);
	if (row->subject)
		write_text("what", row->subject->name, out);
	if (!row->subject || row->value == BENCH_NONE) {
		write_text("missing", row->note, out);
	} else {
		write_text("unit", bench_unit_names[row->unit], out);
		if (row->subject->at)
			write_number(row->subject->at, (int64_t)row->at * 1000, out);
		write_number("value", row->value, out);
		write_number("best", row->best, out);
		if (row->samples)
			write_number("samples", (int64_t)row->samples * 1000, out);
		write_number("limit", row->limit, out);
		if (row->limit != BENCH_NONE)
			fprintf(out, ",\"met\":%s", bench_met(row) ? "true" : "false");
	}
	fputs("}\n", out);
}

void bench_write_json(const struct bench_rows *rows, FILE *out)
{
	fprintf(out, "{\"format\":%d", FORMAT);
	write_text("nidus", NIDUS_VERSION, out);
	write_text("device", rows->device, out);
	write_text("host", rows->host, out);
	fprintf(out, ",\"quick\":%s}\n", rows->quick ? "true" : "false");
	for (unsigned int i = 0; i < rows->count; i++)
		write_row(&rows->row[i], out);
}

/* --- Reading it back --- */

/* Where a member is stored. */
enum member_kind {
	MEMBER_MODE,
	MEMBER_SUBJECT,
	MEMBER_UNIT,
	MEMBER_AT,
	MEMBER_VALUE,
	MEMBER_BEST,
	MEMBER_SAMPLES,
	MEMBER_LIMIT,
	MEMBER_MET,
	MEMBER_NOTE
};

static const struct member {
	const char *name;
	enum json_kind kind;
	enum member_kind member;
} members[] = {
	{ "mode", JSON_TEXT, MEMBER_MODE },	{ "what", JSON_TEXT, MEMBER_SUBJECT },
	{ "unit", JSON_TEXT, MEMBER_UNIT },	{ "bytes", JSON_NUMBER, MEMBER_AT },
	{ "pages", JSON_NUMBER, MEMBER_AT },	{ "value", JSON_NUMBER, MEMBER_VALUE },
	{ "best", JSON_NUMBER, MEMBER_BEST },	{ "samples", JSON_NUMBER, MEMBER_SAMPLES },
	{ "limit", JSON_NUMBER, MEMBER_LIMIT }, { "met", JSON_BOOL, MEMBER_MET },
	{ "missing", JSON_TEXT, MEMBER_NOTE },
};

struct reader {
	struct bench_row row;
	const char *at; /* how the place was called; NULL: not given */
	bool met;
	unsigned int seen; /* bits of enum member_kind */
};

static int find_name(const char *const *names, unsigned int count, const char *name)
{
	for (unsigned int i = 0; i < count; i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -EINVAL;
}

/* A whole number from 1 to @most. */
static int take_count(const struct json_value *value, unsigned int most, unsigned int *to)
{
	if (value->number < 1000 || value->number % 1000 || value->number / 1000 > most)
		return -EINVAL;
	*to = (unsigned int)(value->number / 1000);
	return 0;
}

static int take_name(struct reader *reader, enum member_kind member, const char *text)
{
	int r;

	if (member == MEMBER_MODE) {
		r = find_name(bench_mode_names, BENCH_MODES, text);
		reader->row.mode = r < 0 ? 0 : (enum bench_mode)r;
		return r;
	}
	if (member == MEMBER_UNIT) {
		r = find_name(bench_unit_names, BENCH_UNITS, text);
		reader->row.unit = r < 0 ? 0 : (enum bench_unit)r;
		return r;
	}
	if (member == MEMBER_NOTE) {
		snprintf(reader->row.note, sizeof(reader->row.note), "%s", text);
		return 0;
	}
	reader->row.subject = bench_subject(text);
	return reader->row.subject ? 0 : -EINVAL;
}

static int take_figure(struct reader *reader, const struct member *member,
		       const struct json_value *value)
{
	switch (member->member) {
	case MEMBER_AT:
		reader->at = member->name;
		return take_count(value, BENCH_AT_MAX, &reader->row.at);
	case MEMBER_SAMPLES:
		return take_count(value, UINT32_MAX, &reader->row.samples);
	case MEMBER_VALUE:
		reader->row.value = value->number;
		return 0;
	case MEMBER_BEST:
		reader->row.best = value->number;
		return 0;
	default:
		reader->row.limit = value->number;
		return 0;
	}
}

static int take_member(void *context, const char *key, const struct json_value *value)
{
	struct reader *reader = context;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct member *member = &members[i];
		unsigned int bit = 1u << member->member;
		int r = 0;

		if (strcmp(key, member->name))
			continue;
		if (value->kind != member->kind || reader->seen & bit)
			return -EINVAL;
		reader->seen |= bit;
		if (member->kind == JSON_TEXT)
			r = take_name(reader, member->member, value->text);
		else if (member->kind == JSON_NUMBER)
			r = take_figure(reader, member, value);
		else
			reader->met = value->flag;
		return r < 0 ? r : 0;
	}
	return -EINVAL;
}

/* Whether the members of a row agree with each other. */
static bool is_sound(const struct reader *reader)
{
	const unsigned int figures = 1u << MEMBER_UNIT | 1u << MEMBER_AT | 1u << MEMBER_VALUE |
				     1u << MEMBER_BEST | 1u << MEMBER_SAMPLES | 1u << MEMBER_LIMIT |
				     1u << MEMBER_MET;
	const struct bench_row *row = &reader->row;

	if (!(reader->seen & 1u << MEMBER_MODE))
		return false;
	if (reader->seen & 1u << MEMBER_NOTE)
		return !(reader->seen & figures);
	if (!row->subject || !(reader->seen & 1u << MEMBER_UNIT) || row->value == BENCH_NONE)
		return false;
	if (!reader->at != !row->subject->at ||
	    (reader->at && strcmp(reader->at, row->subject->at)))
		return false;
	if (!(reader->seen & 1u << MEMBER_LIMIT) != !(reader->seen & 1u << MEMBER_MET))
		return false;
	return row->limit == BENCH_NONE || reader->met == bench_met(row);
}

static bool read_row(struct bench_rows *rows, const char *line)
{
	struct reader reader = {
		.row = { .value = BENCH_NONE, .best = BENCH_NONE, .limit = BENCH_NONE }
	};

	if (rows->count == BENCH_ROWS_MAX || json_object(line, take_member, &reader) ||
	    !is_sound(&reader))
		return false;
	rows->row[rows->count++] = reader.row;
	return true;
}

static int take_head(void *context, const char *key, const struct json_value *value)
{
	struct bench_rows *rows = context;
	bool text = value->kind == JSON_TEXT;

	if (!strcmp(key, "format"))
		return value->kind == JSON_NUMBER && value->number == FORMAT * 1000 ? 0 : -EINVAL;
	if (!strcmp(key, "quick") && value->kind == JSON_BOOL) {
		rows->quick = value->flag;
		return 0;
	}
	if (!strcmp(key, "device") && text)
		memcpy(rows->device, value->text, sizeof(rows->device));
	else if (!strcmp(key, "host") && text)
		memcpy(rows->host, value->text, sizeof(rows->host));
	else
		return !strcmp(key, "nidus") && text ? 0 : -EINVAL;
	return 0;
}

int bench_read_json(struct bench_rows *rows, FILE *in, const char *name, struct config_error *error)
{
	char line[LINE_MAX];
	unsigned int number = 0;
	bool good = true;

	rows->count = 0;
	while (good && fgets(line, sizeof(line), in)) {
		size_t length = strcspn(line, "\n");

		/* A line that is too long, cut off, or that holds a NUL. */
		good = line[length] == '\n' && !line[length + 1];
		line[length] = '\0';
		if (good && !number++)
			good = !strncmp(line, "{\"format\":", 10) &&
			       !json_object(line, take_head, rows);
		else if (good)
			good = read_row(rows, line);
		else
			number++;
	}
	if (ferror(in))
		return config_fail(error, "cannot read '%.600s': %s", name, strerror(errno));
	if (!good)
		return config_fail(error,
				   "'%.600s' is not what `nidus bench --json` has written: line %u",
				   name, number);
	if (!number)
		return config_fail(error, "'%.600s' is empty", name);
	return 0;
}
