// SPDX-License-Identifier: GPL-2.0-or-later
/* devices/log.c: levels, lines, and the limit on what a guest can provoke. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/log.h"

/* Stderr goes to a file while a test runs. */
struct capture {
	FILE *file;
	int saved;
};

static void capture_start(struct capture *capture)
{
	capture->file = tmpfile();
	assert_non_null(capture->file);
	capture->saved = dup(STDERR_FILENO);
	dup2(fileno(capture->file), STDERR_FILENO);
	fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
}

static size_t capture_end(struct capture *capture, char *text, size_t size)
{
	size_t n;

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	rewind(capture->file);
	n = fread(text, 1, size - 1, capture->file);
	text[n] = '\0';
	fclose(capture->file);
	return n;
}

static int reset(void **state)
{
	const char *bad;

	(void)state;
	return log_configure("warn", &bad);
}

static void test_default_is_notice(void **state)
{
	(void)state;
	for (int i = 0; i < LOG_MODULE_COUNT; i++) {
		assert_true(log_enabled((enum log_module)i, LOG_LEVEL_ERROR));
		assert_true(log_enabled((enum log_module)i, LOG_LEVEL_NOTICE));
		assert_false(log_enabled((enum log_module)i, LOG_LEVEL_INFO));
	}
}

static void test_configure(void **state)
{
	const char *bad = NULL;

	(void)state;
	assert_int_equal(log_configure("error", &bad), 0);
	assert_false(log_enabled(LOG_VMM, LOG_LEVEL_WARN));
	assert_int_equal(log_configure("info,blk=debug,net=error", &bad), 0);
	assert_true(log_enabled(LOG_VMM, LOG_LEVEL_INFO));
	assert_false(log_enabled(LOG_VMM, LOG_LEVEL_DEBUG));
	assert_true(log_enabled(LOG_BLK, LOG_LEVEL_DEBUG));
	assert_false(log_enabled(LOG_NET, LOG_LEVEL_WARN));
}

static void test_bad_specs_change_nothing(void **state)
{
	static const struct {
		const char *spec;
		const char *bad;
	} rows[] = {
		{ "", "" },
		{ "loud", "loud" },
		{ "debug,", "" },
		{ ",debug", ",debug" },
		{ "debug,blc=info", "blc=info" },
		{ "debug,blk=", "blk=" },
		{ "blk=infox", "blk=infox" },
		{ "=info", "=info" },
		{ "info=blk", "info=blk" },
		{ "DEBUG", "DEBUG" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *bad = NULL;

		assert_int_equal(log_check(rows[i].spec, &bad), -EINVAL);
		assert_string_equal(bad, rows[i].bad);
		assert_int_equal(log_configure(rows[i].spec, &bad), -EINVAL);
		assert_false(log_enabled(LOG_BLK, LOG_LEVEL_INFO));
	}
}

static void test_every_name_is_known(void **state)
{
	char spec[64];
	const char *bad;

	(void)state;
	for (int m = 0; m < LOG_MODULE_COUNT; m++)
		for (int l = 0; l < LOG_LEVELS; l++) {
			snprintf(spec, sizeof(spec), "%s=%s", log_module_name((enum log_module)m),
				 log_level_name((enum log_level)l));
			assert_int_equal(log_configure(spec, &bad), 0);
			assert_true(log_enabled((enum log_module)m, (enum log_level)l));
			assert_int_equal(log_enabled((enum log_module)m, LOG_LEVEL_DEBUG),
					 l == LOG_LEVEL_DEBUG);
		}
}

static void test_line(void **state)
{
	struct capture capture;
	char text[4096];

	(void)state;
	capture_start(&capture);
	errno = EBUSY;
	log_error(KVM, "cannot open '%s': %d", "/dev/kvm", 13);
	log_warn(BLK, "two\nlines \033[31m\x7f");
	log_info(BLK, "not shown");
	log_debug(BLK, "not shown");
	assert_int_equal(errno, EBUSY);
	capture_end(&capture, text, sizeof(text));
	assert_string_equal(text, "nidus: [error] kvm: cannot open '/dev/kvm': 13\n"
				  "nidus: [warn] blk: two?lines ?[31m?\n");
}

/* Whoever reads stderr has stopped: the line is lost, and nobody waits for ever. */
static void test_full_pipe(void **state)
{
	int saved = dup(STDERR_FILENO), ends[2];
	char byte = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], &byte, 1) == 1)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	dup2(ends[1], STDERR_FILENO);
	alarm(10);
	log_error(KVM, "nobody reads this");
	alarm(0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static void test_long_line_is_cut(void **state)
{
	struct capture capture;
	char text[4096], long_text[3000];
	size_t n;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	capture_start(&capture);
	log_error(VMM, "%s", long_text);
	n = capture_end(&capture, text, sizeof(text));
	assert_int_equal(n, 1024);
	assert_string_equal(text + n - 5, "x...\n");
}

static void provoke(void)
{
	log_guest(NET, "bad descriptor");
}

static unsigned int count_lines(const char *text)
{
	unsigned int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void test_guest_limit(void **state)
{
	struct capture capture;
	char text[8192];

	(void)state;
	capture_start(&capture);
	for (int i = 0; i < 1000; i++)
		provoke();
	capture_end(&capture, text, sizeof(text));
	assert_int_equal(count_lines(text), LOG_GUEST_LIMIT + 1);
	assert_non_null(strstr(text, "the rest is dropped\n"));
}

static void *provoker(void *count)
{
	for (int i = 0; i < 1000; i++)
		if (log_guest_allowed(count, LOG_NET))
			log_warn(NET, "%s", "from a thread");
	return NULL;
}

static void test_guest_limit_with_threads(void **state)
{
	pthread_t threads[4];
	struct capture capture;
	unsigned int count = 0;
	char text[8192];

	(void)state;
	capture_start(&capture);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, provoker, &count);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	capture_end(&capture, text, sizeof(text));
	assert_int_equal(count_lines(text), LOG_GUEST_LIMIT + 1);
}

static void test_silenced_guest_is_not_counted(void **state)
{
	unsigned int count = 0;
	const char *bad;

	(void)state;
	log_configure("error", &bad);
	for (int i = 0; i < 100; i++)
		assert_false(log_guest_allowed(&count, LOG_NET));
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_is_notice),
		cmocka_unit_test_setup(test_configure, reset),
		cmocka_unit_test_setup(test_bad_specs_change_nothing, reset),
		cmocka_unit_test_setup(test_every_name_is_known, reset),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test_setup(test_line, reset),
		cmocka_unit_test_setup(test_long_line_is_cut, reset),
		cmocka_unit_test_setup(test_guest_limit, reset),
		cmocka_unit_test_setup(test_guest_limit_with_threads, reset),
		cmocka_unit_test_setup(test_silenced_guest_is_not_counted, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
