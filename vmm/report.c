/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/report.h"

#include <inttypes.h>
#include <stdarg.h>

void report_begin(struct report *report, FILE *out, bool json)
{
	*report = (struct report){ .out = out, .json = json, .first_group = true };
	if (json)
		fputc('{', out);
}

void report_end(struct report *report)
{
	if (report->json)
		fputs("}\n", report->out);
}

void report_open(struct report *report, const char *format, ...)
{
	va_list arguments;

	if (report->json)
		fputs(report->first_group ? "\"" : ",\"", report->out);
	report->first_group = false;
	report->first_value = true;
	va_start(arguments, format);
	vfprintf(report->out, format, arguments);
	va_end(arguments);
	fputs(report->json ? "\":{" : ":", report->out);
}

void report_close(struct report *report)
{
	fputs(report->json ? "}" : "\n", report->out);
}

static void name_value(struct report *report, const char *name)
{
	if (report->json)
		fprintf(report->out, "%s\"%s\":", report->first_value ? "" : ",", name);
	else
		fprintf(report->out, " %s=", name);
	report->first_value = false;
}

void report_number(struct report *report, const char *name, uint64_t value)
{
	name_value(report, name);
	fprintf(report->out, "%" PRIu64, value);
}

/* Values come from names and paths of the user: only what JSON forbids in a string is escaped. */
void report_text(struct report *report, const char *name, const char *value)
{
	name_value(report, name);
	if (!report->json) {
		fputs(value, report->out);
		return;
	}
	fputc('"', report->out);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c < 0x20)
			fprintf(report->out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			fprintf(report->out, "\\%c", c);
		else
			fputc(c, report->out);
	}
	fputc('"', report->out);
}
