// SPDX-License-Identifier: GPL-2.0-or-later
/* `nidus bench`, without guests: rows, JSON from hostile hands, plots, and processes spoken to. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "vmm/bench.h"

#define HEAD                                                                                      \
	"{\"format\":1,\"nidus\":\"0.1\",\"device\":\"0000:06:0d.0\",\"host\":\"7.3\",\"quick\":" \
	"true}\n"

static struct bench_rows rows, other;

static int clear(void **state)
{
	(void)state;
	rows.count = 0;
	rows.quick = true;
	snprintf(rows.device, sizeof(rows.device), "0000:06:0d.0");
	snprintf(rows.host, sizeof(rows.host), "7.3");
	return 0;
}

/* --- Arithmetic --- */

static void test_each(void **state)
{
	(void)state;
	/* 7 once, and 3 for each of 10 and of 20. */
	assert_int_equal(bench_each(100, 137, 204, 10), 3000);
	assert_int_equal(bench_each(100, 107, 114, 10), 0);
	/* One more than in twice as many: the noise of a machine is shown as what it is. */
	assert_int_equal(bench_each(0, 11, 31, 10), 900);
	assert_int_equal(bench_each(0, 1, 1, 10), -100);
	assert_int_equal(bench_each(UINT64_MAX - 4, 5, 25, 10), 1000);
}

static void test_numbers(void **state)
{
	char text[BENCH_TEXT];

	(void)state;
	assert_string_equal(bench_number(0, text), "0");
	assert_string_equal(bench_number(1000, text), "1");
	assert_string_equal(bench_number(100000, text), "100");
	assert_string_equal(bench_number(12345, text), "12.345");
	assert_string_equal(bench_number(-100, text), "-0.1");
	assert_string_equal(bench_number(-12050, text), "-12.05");
	assert_string_equal(bench_at(bench_subject("copy-warm"), 64, text), "64 B");
	assert_string_equal(bench_at(bench_subject("copy-warm"), 4096, text), "4 KiB");
	assert_string_equal(bench_at(bench_subject("copy-warm"), 1025, text), "1025 B");
	assert_string_equal(bench_at(bench_subject("copy-warm"), 16 << 20, text), "16 MiB");
	assert_string_equal(bench_at(bench_subject("invalidate"), 1, text), "1 page");
	assert_string_equal(bench_at(bench_subject("invalidate"), 512, text), "512 pages");
	assert_string_equal(bench_at(bench_subject("bind"), 0, text), "");
}

static void test_stats(void **state)
{
	struct bench_counters counters;

	(void)state;
	bench_parse_stats("vm: name=x pid=3 walks=99\n"
			  "vcpu0: runs=5 pio=7 mmio=10 eoi=0\n"
			  "vcpu11: runs=5 pio=7 mmio=32\n"
			  "vtd0: translations=4 walks=6 waits=8 waits_ns=1000\n"
			  "vtd0.sdma0: source=8 walks=6 waits=77\n"
			  "vtd1: walks=1 waits=1\n"
			  "vfio0: device=0000:06:0d.0 path=iommufd, nested ioctls=21 "
			  "invalidate_calls=2 invalidate_ranges=9\n",
			  &counters);
	assert_int_equal(counters.exits, 42);
	assert_int_equal(counters.walks, 7);
	assert_int_equal(counters.waits, 9);
	assert_int_equal(counters.ioctls, 19);
	assert_int_equal(counters.invalidates, 2);
	bench_parse_stats("vcpu0:\nvcpu1: runs=1", &counters);
	assert_int_equal(counters.exits, 0);
	/* What a line does not have is not looked for in the next one. */
	bench_parse_stats("vcpu0: runs=1\nvm: mmio=7\n", &counters);
	assert_int_equal(counters.exits, 0);
}

static void test_modes(void **state)
{
	struct config_error error;
	unsigned int modes;

	(void)state;
	assert_int_equal(bench_parse_modes("nested,native,nested", &modes, &error), 0);
	assert_int_equal(modes, 1 << BENCH_NESTED | 1 << BENCH_NATIVE);
	assert_int_equal(bench_parse_modes("nestde", &modes, &error), -EINVAL);
	assert_non_null(strstr(error.text, "did you mean nested?"));
	assert_int_equal(bench_parse_modes("", &modes, &error), -EINVAL);
	assert_int_equal(bench_parse_modes("native,", &modes, &error), -EINVAL);
	assert_int_equal(
		bench_parse_modes("everything-that-there-is-and-more-than-that", &modes, &error),
		-EINVAL);
	assert_non_null(strstr(error.text, "native, direct, nested, shadowed, emulated"));
}

static void test_limits(void **state)
{
	const struct bench_row *row;

	(void)state;
	row = bench_add(&rows, BENCH_NESTED, "bind", BENCH_IOCTLS, 0, 2000);
	assert_true(row->limit == 2000 && bench_met(row));
	row = bench_add(&rows, BENCH_NESTED, "bind", BENCH_IOCTLS, 0, 2001);
	assert_false(bench_met(row));
	row = bench_add(&rows, BENCH_NESTED, "copy-cold", BENCH_EXITS, 4096, 100);
	assert_true(row->limit == 0 && !bench_met(row));
	/* Nothing was promised of these. */
	assert_true(bench_add(&rows, BENCH_SHADOWED, "kernel-copy", BENCH_EXITS, 0, 0)->limit ==
		    BENCH_NONE);
	assert_true(bench_add(&rows, BENCH_NESTED, "bind", BENCH_WAITS, 0, 9000)->limit ==
		    BENCH_NONE);
}

static void test_full(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < BENCH_ROWS_MAX; i++)
		assert_non_null(bench_add(&rows, BENCH_NATIVE, "bind", BENCH_US, 0, 1));
	assert_null(bench_add(&rows, BENCH_NATIVE, "bind", BENCH_US, 0, 1));
	bench_add_note(&rows, BENCH_NATIVE, NULL, "no room");
	assert_int_equal(rows.count, BENCH_ROWS_MAX);
}

/* --- JSON --- */

struct seen {
	unsigned int count;
	struct json_value last;
	char key[64];
};

static int see(void *context, const char *key, const struct json_value *value)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = *value;
	snprintf(seen->key, sizeof(seen->key), "%s", key);
	return strcmp(key, "stop") ? 0 : -EINVAL;
}

static void test_objects(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"{}",
		"[]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1",
		"{\"a\":1,}",
		"{\"a\":1}x",
		"{\"a\":1}{\"b\":2}",
		"{\"a\":{}}",
		"{\"a\":[1]}",
		"{\"a\":null}",
		"{\"a\":nul",
		"{\"a\":tru}",
		"{\"a\":1e3}",
		"{\"a\":.5}",
		"{\"a\":1.}",
		"{\"a\":1.2345}",
		"{\"a\":1234567890123}",
		"{\"a\":+1}",
		"{\"a\":--1}",
		"{\"a\":\"x}",
		"{\"a\":\"\\u0041\"}",
		"{\"a\":\"\\",
		"{\"a\":\"\t\"}",
		"{\"a\":\"\x7f\"}",
		"{\"a\":\"\xc3\xa4\"}",
		"{a:1}",
		"{\"stop\":1}",
		"{\"a-key-that-is-longer-than-any-that-we-know-of\":1}",
	};
	char text[400];
	struct seen seen = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (json_object(bad[i], see, &seen) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + sizeof(text) - 3, "\"}", 3);
	assert_int_equal(json_object(text, see, &seen), -EINVAL);

	seen.count = 0;
	assert_int_equal(
		json_object("{ \"a\" : 1 , \"b\":true,\"c\":\"x\\\"\\\\y\" } ", see, &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_string_equal(seen.last.text, "x\"\\y");
	assert_int_equal(json_object("{\"n\":-12.05}", see, &seen), 0);
	assert_int_equal(seen.last.number, -12050);
	assert_int_equal(json_object("{\"n\":999999999999.999}", see, &seen), 0);
	assert_true(seen.last.number == INT64_C(999999999999999));
}

/* What is written of @from is in *@text, which the caller frees. */
static char *written(const struct bench_rows *from,
		     void (*write)(const struct bench_rows *rows, FILE *out))
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	write(from, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static int read_bytes(const char *text, size_t size, struct config_error *error)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, size, "r");
	int rc;

	assert_non_null(in);
	rc = bench_read_json(&other, in, "rows", error);
	fclose(in);
	return rc;
}

static void fill_rows(void)
{
	struct bench_row *row;

	row = bench_add(&rows, BENCH_NATIVE, "copy-warm", BENCH_US, 64, 12345);
	row->samples = 7;
	row->best = 11000;
	bench_add(&rows, BENCH_NESTED, "copy-warm", BENCH_US, 64, 13000)->samples = 5;
	bench_add(&rows, BENCH_NESTED, "copy-warm", BENCH_US, 4096, 15000)->samples = 5;
	bench_add(&rows, BENCH_NESTED, "copy-warm", BENCH_EXITS, 4096, 0);
	bench_add(&rows, BENCH_NESTED, "bind", BENCH_IOCTLS, 0, 3000);
	bench_add(&rows, BENCH_NESTED, "bind", BENCH_US, 0, 40000);
	bench_add(&rows, BENCH_EMULATED, "invalidate", BENCH_WAITS, 512, -100);
	bench_add_note(&rows, BENCH_DIRECT, NULL, "no \"PASIDs\" \\ <b>&\tthere");
	bench_add_note(&rows, BENCH_SHADOWED, "bind", "%s", "it failed");
}

static void test_round_trip(void **state)
{
	struct config_error error;
	char *text, *again;

	(void)state;
	fill_rows();
	text = written(&rows, bench_write_json);
	assert_non_null(strstr(text, "\"missing\":\"no \\\"PASIDs\\\" \\\\ <b>&?there\""));
	assert_non_null(strstr(text, "\"unit\":\"ioctls\",\"value\":3,\"limit\":2,\"met\":false}"));
	assert_non_null(strstr(text, "\"pages\":512,\"value\":-0.1"));
	assert_int_equal(read_bytes(text, strlen(text), &error), 0);
	assert_int_equal(other.count, rows.count);
	again = written(&other, bench_write_json);
	assert_string_equal(text, again);
	free(again);
	free(text);
}

/* A file that was cut off anywhere but between lines is refused; bytes that have changed too, or
 * they make another file that could be one. */
static void test_damaged(void **state)
{
	struct config_error error;
	size_t size;
	char *text;

	(void)state;
	fill_rows();
	text = written(&rows, bench_write_json);
	size = strlen(text);
	for (size_t i = 1; i <= size; i++)
		assert_int_equal(read_bytes(text, i, &error), text[i - 1] == '\n' ? 0 : -EINVAL);
	srand(1);
	for (unsigned int i = 0; i < 20000; i++) {
		size_t at = (size_t)rand() % size;
		char was = text[at];

		text[at] = (char)rand();
		if (!read_bytes(text, size, &error)) {
			free(written(&other, bench_print_table));
			free(written(&other, bench_print_html));
		}
		text[at] = was;
	}
	free(text);
}

static void test_refused(void **state)
{
	static const struct {
		unsigned int line;
		const char *text;
	} files[] = {
		{ 1, "\n" },
		{ 1, "hello\n" },
		{ 1, "{\"mode\":\"nested\",\"missing\":\"x\"}\n" },
		{ 1, "{\"format\":2}\n" },
		{ 1, "{\"format\":\"1\"}\n" },
		{ 1, "{\"format\":1,\"quick\":1}\n" },
		{ 1, "{\"format\":1,\"other\":1}\n" },
		{ 2, HEAD "\n" },
		{ 2, HEAD "{\"mode\":\"nested\"}\n" },
		{ 2, HEAD "{\"mode\":\"best\",\"missing\":\"x\"}\n" },
		{ 2, HEAD "{\"missing\":\"x\"}\n" },
		{ 2, HEAD "{\"mode\":1,\"missing\":\"x\"}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"mode\":\"nested\",\"missing\":\"x\"}\n" },
		{ 2,
		  HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"missing\":\"x\",\"value\":1}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"value\":1}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"tea\",\"unit\":\"us\",\"value\":1}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"unit\":\"ms\",\"value\":1}\n" },
		{ 2,
		  HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"unit\":\"us\",\"value\":true}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"unit\":\"us\",\"value\":1,"
			  "\"bytes\":1}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"map\",\"unit\":\"us\",\"value\":1}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"map\",\"unit\":\"us\",\"value\":1,"
			  "\"bytes\":1}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"map\",\"unit\":\"us\",\"value\":1,"
			  "\"pages\":0}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"map\",\"unit\":\"us\",\"value\":1,"
			  "\"pages\":1.5}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"map\",\"unit\":\"us\",\"value\":1,"
			  "\"pages\":99999999999}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"unit\":\"us\",\"value\":1,"
			  "\"limit\":2}\n" },
		{ 2, HEAD "{\"mode\":\"nested\",\"what\":\"bind\",\"unit\":\"us\",\"value\":1,"
			  "\"met\":true}\n" },
		{ 2, HEAD
		  "{\"mode\":\"nested\",\"what\":\"bind\",\"unit\":\"us\",\"value\":3,\"limit\":2,"
		  "\"met\":true}\n" },
		{ 3, HEAD "{\"mode\":\"nested\",\"missing\":\"x\"}\n{\"mode\":\"nested\"" },
	};
	struct config_error error;
	char line[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!read_bytes(files[i].text, strlen(files[i].text), &error))
			fail_msg("taken: %s", files[i].text);
		snprintf(line, sizeof(line), "has written: line %u", files[i].line);
		if (!strstr(error.text, line))
			fail_msg("'%s' of: %s", error.text, files[i].text);
	}
	/* A NUL, a line without end, and more rows than there may be. */
	assert_int_equal(read_bytes(HEAD "\0\n", sizeof(HEAD) + 1, &error), -EINVAL);
}

static void test_huge(void **state)
{
	static const char line[] = "{\"mode\":\"nested\",\"missing\":\"x\"}\n";
	struct config_error error;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fputs(HEAD, out);
	for (unsigned int i = 0; i < BENCH_ROWS_MAX; i++)
		fputs(line, out);
	fflush(out);
	assert_int_equal(read_bytes(text, size, &error), 0);
	fputs(line, out);
	fclose(out);
	assert_int_equal(read_bytes(text, size, &error), -EINVAL);
	free(text);
	text = malloc(1 << 20);
	memset(text, ' ', 1 << 20);
	assert_int_equal(read_bytes(text, 1 << 20, &error), -EINVAL);
	free(text);
}

/* --- For people --- */

static void test_order(void **state)
{
	struct bench_line line = { 0 };

	(void)state;
	fill_rows();
	assert_true(bench_next_line(&rows, &line));
	assert_true(line.subject == bench_subject("copy-warm") && line.at == 64);
	assert_true(bench_next_line(&rows, &line));
	assert_true(line.subject == bench_subject("copy-warm") && line.at == 4096);
	assert_true(bench_next_line(&rows, &line));
	assert_true(line.subject == bench_subject("bind") && line.unit == BENCH_US);
	/* Then what is counted. */
	assert_true(bench_next_line(&rows, &line));
	assert_true(line.subject == bench_subject("copy-warm") && line.unit == BENCH_EXITS);
	assert_true(bench_next_line(&rows, &line));
	assert_true(line.subject == bench_subject("bind") && line.unit == BENCH_IOCTLS);
	assert_true(bench_next_line(&rows, &line));
	assert_true(line.subject == bench_subject("invalidate"));
	assert_false(bench_next_line(&rows, &line));
}

static void test_cells(void **state)
{
	struct bench_line line = { bench_subject("bind"), BENCH_IOCTLS, 0 };
	const struct bench_row *cell[BENCH_MODES];
	char text[BENCH_TEXT];

	(void)state;
	bench_add(&rows, BENCH_NESTED, "bind", BENCH_IOCTLS, 0, 1500);
	bench_add(&rows, BENCH_SHADOWED, "bind", BENCH_IOCTLS, 0, 3000);
	assert_ptr_equal(bench_cells(&rows, &line, cell), &rows.row[0]);
	assert_ptr_equal(cell[BENCH_NESTED], &rows.row[0]);
	assert_ptr_equal(cell[BENCH_SHADOWED], &rows.row[1]);
	assert_null(cell[BENCH_NATIVE]);
	assert_string_equal(bench_value(cell[BENCH_NESTED], text), "1.5");
	assert_string_equal(bench_value(cell[BENCH_NATIVE], text), "-");
	line.unit = BENCH_WAITS;
	assert_null(bench_cells(&rows, &line, cell));
	assert_null(cell[BENCH_NESTED]);
}

static void test_table(void **state)
{
	char *text;

	(void)state;
	fill_rows();
	text = written(&rows, bench_print_table);
	assert_non_null(strstr(text, "64 B      12.345          13           -\n"));
	assert_non_null(strstr(text, "  nested 2: MISSED\n"));
	assert_non_null(strstr(text, "  nested 0: met\n"));
	assert_non_null(strstr(text, "direct: no \"PASIDs\""));
	/* A mode without any value has no column. */
	assert_null(strstr(text, "shadowed  "));
	free(text);
}

static void test_page(void **state)
{
	char *text;

	(void)state;
	fill_rows();
	text = written(&rows, bench_print_html);
	assert_non_null(strstr(text, "&#60;b&#62;&#38;?there"));
	assert_null(strstr(text, "<b>&"));
	assert_non_null(strstr(text, "<td class=\"missed\">MISSED</td>"));
	assert_non_null(strstr(text, "<td class=\"met\">MET</td>"));
	/* The lowest x is the left edge, the highest the right one. */
	assert_non_null(strstr(text, "<path class=\"m2\" d=\"M64 "));
	assert_non_null(strstr(text, "L548 "));
	free(text);
	/* Nothing at all makes a page without plots. */
	rows.count = 0;
	text = written(&rows, bench_print_html);
	assert_null(strstr(text, "<svg"));
	assert_non_null(strstr(text, "</html>"));
	free(text);
}

/* --- Processes --- */

static int no_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGPIPE);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void start_shell(struct bench_session *session, const char *script, int signals)
{
	char shell[] = "/bin/sh", option[] = "-c", *words = strdup(script);
	char *argv[] = { shell, option, words, NULL };

	assert_int_equal(session_start(session, argv, signals), 0);
	free(words);
}

static void test_session(void **state)
{
	struct signalfd_siginfo info;
	struct bench_session session;
	char line[BENCH_LINE];
	int signals = no_signals();

	(void)state;
	start_shell(&session,
		    "read a; printf 'got %s\\r\\n' $a; head -c 3000 /dev/zero | tr '\\0' x; echo; "
		    "echo one >&2; echo two >&2; echo end; read b",
		    signals);
	assert_int_equal(session_hear(&session, line, bench_deadline(0)), -ETIMEDOUT);
	assert_int_equal(session_say(&session, "it"), 0);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	assert_string_equal(line, "got it");
	/* In pieces. */
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	assert_int_equal(strlen(line), BENCH_LINE - 1);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	assert_int_equal(strlen(line), BENCH_LINE - 1);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	assert_int_equal(strlen(line), 3000 - 2 * (BENCH_LINE - 1));
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	assert_string_equal(line, "end");
	raise(SIGUSR1);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), -EINTR);
	assert_int_equal(read(signals, &info, sizeof(info)), sizeof(info));
	assert_string_equal(session_complaint(&session, line), "two");
	session_end(&session);
	assert_int_equal(session.pid, -1);
	close(signals);
}

static void test_session_ends(void **state)
{
	struct bench_session session;
	char line[BENCH_LINE];
	int signals = no_signals();
	char nowhere[] = "/nonexistent";
	char *nothing[] = { nowhere, NULL };

	(void)state;
	start_shell(&session, "exec </dev/null; echo bye; exec >/dev/null; sleep 600", signals);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), -EPIPE);
	assert_int_equal(session_say(&session, "nobody hears"), -EPIPE);
	assert_string_equal(session_complaint(&session, line), "");
	session_end(&session);
	assert_int_equal(session_start(&session, nothing, signals), 0);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), -EPIPE);
	session_end(&session);
	session_end(&session);
	close(signals);
}

/* One deadline for all lines: who prints now and then is not listened to for ever. */
static void test_session_talks(void **state)
{
	struct bench_session session;
	char line[BENCH_LINE];
	int signals = no_signals(), rc = 0;
	int64_t began, deadline;

	(void)state;
	start_shell(&session, "while echo still; do sleep 0.05; done", signals);
	assert_int_equal(session_hear(&session, line, bench_deadline(60)), 0);
	began = bench_now_ms();
	deadline = began + 500;
	for (unsigned int i = 0; i < 1000 && !rc; i++)
		rc = session_hear(&session, line, deadline);
	assert_int_equal(rc, -ETIMEDOUT);
	assert_in_range(bench_now_ms() - began, 500, 60000);
	session_end(&session);
	/* Nor who never stops. */
	start_shell(&session, "while echo still; do :; done", signals);
	deadline = bench_deadline(1);
	do
		rc = session_hear(&session, line, deadline);
	while (!rc && bench_now_ms() < deadline + 60000);
	assert_int_equal(rc, -ETIMEDOUT);
	session_end(&session);
	close(signals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_modes),
		cmocka_unit_test_setup(test_limits, clear),
		cmocka_unit_test_setup(test_full, clear),
		cmocka_unit_test(test_objects),
		cmocka_unit_test_setup(test_round_trip, clear),
		cmocka_unit_test_setup(test_damaged, clear),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_huge),
		cmocka_unit_test_setup(test_order, clear),
		cmocka_unit_test_setup(test_cells, clear),
		cmocka_unit_test_setup(test_table, clear),
		cmocka_unit_test_setup(test_page, clear),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_session_ends),
		cmocka_unit_test(test_session_talks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
