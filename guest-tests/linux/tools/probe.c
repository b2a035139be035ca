// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: does this host nest? Exercises nested translation through iommufd with an sdma
 * device, and prints TAP. This is the frame: options, processes, verdicts.
 */
#include "probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIPPED 77
#define SECONDS	     300 /* that a test may take */

static const char usage[] =
	"Usage: iommufd-probe [OPTION]... [CDEV [TEST]...]\n"
	"Runs the tests named, or all, with an sdma device on vfio-pci, and prints TAP.\n"
	"CDEV is /dev/vfio/devices/vfio0 if it is not given.\n"
	"\n"
	"  --list   name the tests\n"
	"  --help   this text\n";

static const struct probe_test *const lists[] = { probe_translation, probe_faults, probe_changes };

static void say(const char *format, va_list arguments)
{
	fputs("# ", stdout);
	vprintf(format, arguments);
	putchar('\n');
	fflush(stdout);
}

void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

void require(bool condition, const char *format, ...)
{
	va_list arguments;

	if (condition)
		return;
	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	_exit(EXIT_FAILURE);
}

void skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	_exit(EXIT_SKIPPED);
}

/* Opens the device, which resets it, and ends this process. */
static void run_test(const struct probe_test *test, const char *cdev)
{
	struct probe probe = { 0 };

	alarm(SECONDS);
	probe_open(&probe, cdev);
	probe.queues = *(volatile uint32_t *)(probe.registers + SDMA_QUEUES);
	require(*(volatile uint32_t *)(probe.registers + SDMA_ID) == SDMA_MAGIC,
		"this is no sdma device");
	write_memory(&probe);
	test->run(&probe);
	require(canary_lives(&probe), "memory that nobody mapped for the device was written to");
	_exit(EXIT_SUCCESS);
}

static int judge(const struct probe_test *test, const char *cdev)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid)
		run_test(test, cdev);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		note("fork: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (WIFSIGNALED(status)) {
		note("ended by signal %d", WTERMSIG(status));
		return EXIT_FAILURE;
	}
	return WEXITSTATUS(status);
}

static bool named(const struct probe_test *test, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], test->name))
			return true;
	return count == 0;
}

static void list_all(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct probe_test *test = lists[i]; test->name; test++)
			printf("%-16s %s\n", test->name, test->what);
}

int main(int argc, char **argv)
{
	const char *cdev = argc > 1 ? argv[1] : "/dev/vfio/devices/vfio0";
	char **names = argc > 2 ? argv + 2 : NULL;
	int count = argc > 2 ? argc - 2 : 0;
	unsigned int rows = 0, failed = 0;

	if (!strcmp(cdev, "--list")) {
		list_all();
		return EXIT_SUCCESS;
	}
	if (*cdev == '-') {
		fputs(usage, strcmp(cdev, "--help") ? stderr : stdout);
		return strcmp(cdev, "--help") ? 2 : EXIT_SUCCESS;
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const struct probe_test *test = lists[i]; test->name; test++) {
			int verdict;

			if (!named(test, names, count))
				continue;
			verdict = judge(test, cdev);
			printf("%s %u - %s: %s%s\n",
			       verdict && verdict != EXIT_SKIPPED ? "not ok" : "ok", ++rows,
			       test->name, test->what, verdict == EXIT_SKIPPED ? " # SKIP" : "");
			failed += verdict && verdict != EXIT_SKIPPED;
		}
	}
	printf("1..%u\n", rows);
	return failed || !rows ? EXIT_FAILURE : EXIT_SUCCESS;
}
