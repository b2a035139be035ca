// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sdma-check: workloads on shared virtual addressing, each verified bit for bit and by the device's
 * own counters. Prints TAP. This is the frame: options, processes, verdicts.
 */

#include "check.h"
#include "number.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIPPED  77
#define PROCESSES_MAX 256
#define REASON_SIZE   256

static const struct check *const lists[] = {
	checks_of_memory, checks_of_paging, checks_of_change,
	checks_of_life,	  checks_of_errors, checks_of_device,
};

struct options {
	struct run run;
	unsigned int seconds; /* that a test may take */
	char **names;
	int count;
};

static const char usage[] =
	"Usage: sdma-check [OPTION]... [TEST]...\n"
	"Runs the tests named, or all, and prints TAP.\n"
	"\n"
	"  --list            name the tests\n"
	"  --procs N         run each test in N processes at once (default: 1)\n"
	"  --device PATH     a device; repeatable (default: /dev/sdma0 and, if it is there, "
	"sdma1)\n"
	"  --tmpfs DIR       a directory on a tmpfs (default: /tmp)\n"
	"  --disk DIR        a directory on a disk (default: none)\n"
	"  --timeout SECONDS that one test may take (default: 300)\n"
	"  --help            this text\n";

/* One write() a line: many processes share the output. */
static void print_line(struct run *run, const char *format, va_list arguments)
{
	char line[512];
	int length = snprintf(line, sizeof(line), "# %s/%u: ", run->name, run->process);

	length += vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, arguments);
	if ((size_t)length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)length) < 0)
		_exit(EXIT_FAILURE);
}

void note(struct run *run, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(run, format, arguments);
	va_end(arguments);
}

void require(struct run *run, bool condition, const char *format, ...)
{
	va_list arguments;

	if (condition)
		return;
	va_start(arguments, format);
	print_line(run, format, arguments);
	va_end(arguments);
	_exit(EXIT_FAILURE);
}

void skip(struct run *run, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(run->reason, REASON_SIZE, format, arguments);
	va_end(arguments);
	_exit(EXIT_SKIPPED);
}

pid_t start_child(struct run *run, void (*child)(struct run *run, void *argument), void *argument)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	require(run, pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	child(run, argument);
	_exit(EXIT_SUCCESS);
}

void must_pass(struct run *run, pid_t child)
{
	int status;

	require(run, waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
	require(run, status == 0, "a child ended with status %#x", (unsigned int)status);
}

void sleep_us(unsigned int microseconds)
{
	usleep(microseconds);
}

/* Waits for those that run a test; true if none failed. */
static bool judge(struct run *run, const pid_t *pids, bool *skipped)
{
	bool passed = true;

	*skipped = false;
	for (run->process = 0; run->process < run->processes; run->process++) {
		int status = 0;

		while (waitpid(pids[run->process], &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) {
			*skipped = true;
		} else if (WIFSIGNALED(status)) {
			note(run,
			     WTERMSIG(status) == SIGALRM ? "took too long" : "ended by signal %d",
			     WTERMSIG(status));
			passed = false;
		} else if (status) {
			passed = false;
		}
	}
	return passed;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool run_check(struct options *options, const struct check *check, unsigned int row)
{
	double began = seconds_now();
	struct run run = options->run;
	pid_t pids[PROCESSES_MAX];
	bool passed, skipped;

	run.name = check->name;
	run.reason[0] = 0;
	if (check->flags & CHECK_ALONE)
		run.processes = 1;
	for (run.process = 0; run.process < run.processes; run.process++) {
		pids[run.process] = fork();
		if (pids[run.process] < 0) {
			perror("fork");
			exit(EXIT_FAILURE);
		}
		if (!pids[run.process]) {
			alarm(options->seconds);
			check->test(&run);
			_exit(EXIT_SUCCESS);
		}
	}
	passed = judge(&run, pids, &skipped);
	/* For scripts; to readers of TAP it is noise, which they ignore. */
	printf("took %s %.1f s\n", check->name, seconds_now() - began);
	printf("%sok %u - %s: %s", passed ? "" : "not ", row, check->name, check->what);
	if (run.processes > 1)
		printf(" (%u processes)", run.processes);
	if (passed && skipped)
		printf(" # SKIP %s", run.reason);
	putchar('\n');
	fflush(stdout);
	return passed;
}

static bool is_wanted(const struct options *options, const char *name)
{
	if (!options->count)
		return true;
	for (int i = 0; i < options->count; i++)
		if (!strcmp(options->names[i], name))
			return true;
	return false;
}

static bool exists(const char *name)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct check *check = lists[i]; check->name; check++)
			if (!strcmp(check->name, name))
				return true;
	return false;
}

static void list_checks(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct check *check = lists[i]; check->name; check++)
			printf("%-16s %s\n", check->name, check->what);
}

static bool run_all(struct options *options)
{
	unsigned int rows = 0, failed = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct check *check = lists[i]; check->name; check++)
			if (is_wanted(options, check->name))
				failed += !run_check(options, check, ++rows);
	printf("1..%u\n", rows);
	return rows && !failed;
}

static void add_device(struct run *run, const char *path)
{
	if (run->devices == DEVICES_MAX) {
		fprintf(stderr, "sdma-check: at most %d devices\n", DEVICES_MAX);
		exit(2);
	}
	run->device[run->devices++] = path;
}

static void parse(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "procs", required_argument, NULL, 'p' },
		{ "device", required_argument, NULL, 'd' },
		{ "tmpfs", required_argument, NULL, 't' },
		{ "disk", required_argument, NULL, 'D' },
		{ "timeout", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 'l':
			list_checks();
			exit(EXIT_SUCCESS);
		case 'p':
			options->run.processes = number("--procs", optarg, PROCESSES_MAX);
			break;
		case 'd':
			add_device(&options->run, optarg);
			break;
		case 't':
			options->run.tmpfs = optarg;
			break;
		case 'D':
			options->run.disk = optarg;
			break;
		case 's':
			options->seconds = number("--timeout", optarg, 86400);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			exit(2);
		}
	}
	options->names = argv + optind;
	options->count = argc - optind;
	for (int i = 0; i < options->count; i++) {
		if (!exists(options->names[i])) {
			fprintf(stderr, "sdma-check: no test '%s' (see --list)\n",
				options->names[i]);
			exit(2);
		}
	}
	if (!options->run.devices) {
		add_device(&options->run, "/dev/sdma0");
		if (!access("/dev/sdma1", F_OK))
			add_device(&options->run, "/dev/sdma1");
	}
}

int main(int argc, char **argv)
{
	struct options options = { .run = { .processes = 1, .tmpfs = "/tmp" }, .seconds = 300 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&options, argc, argv);
	options.run.reason =
		mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (options.run.reason == MAP_FAILED) {
		perror("mmap");
		return EXIT_FAILURE;
	}
	return run_all(&options) ? EXIT_SUCCESS : EXIT_FAILURE;
}
