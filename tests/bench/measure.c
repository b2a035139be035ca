/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure COMMAND...: runs a VMM and prints one line of JSON: when the guest's /init spoke (the
 * first byte GUEST_MARK of its output) and when it ended, in nanoseconds from just before exec;
 * its exit status; processor time and page faults. Small, so that starting it costs little and the
 * same for everyone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

extern char **environ;

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t micro_seconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

/* Passes the guest's output on to stderr; returns when it was first marked, or 0. */
static uint64_t watch(int output)
{
	uint64_t marked = 0;
	char bytes[4096];
	ssize_t len;

	while ((len = read(output, bytes, sizeof(bytes))) > 0) {
		uint64_t now = now_ns();

		if (!marked && memchr(bytes, GUEST_MARK, (size_t)len))
			marked = now;
		if (write(STDERR_FILENO, bytes, (size_t)len) < 0)
			continue;
	}
	return marked;
}

static int spawn(char **command, int output, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	rc = posix_spawnp(pid, command[0], &actions, NULL, command, environ);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int main(int argc, char **argv)
{
	uint64_t begin, marked, ended;
	struct rusage usage;
	int output[2], status, rc;
	pid_t pid;

	if (argc < 2 || pipe2(output, O_CLOEXEC)) {
		fprintf(stderr, "usage: measure COMMAND...\n");
		return 2;
	}
	begin = now_ns();
	rc = spawn(argv + 1, output[1], &pid);
	if (rc) {
		fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(rc));
		return 1;
	}
	close(output[1]);
	marked = watch(output[0]);
	if (wait4(pid, &status, 0, &usage) != pid)
		return 1;
	ended = now_ns();
	printf("{\"mark_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"status\": %d, "
	       "\"user_us\": %" PRIu64 ", \"system_us\": %" PRIu64 ", \"faults\": %ld, "
	       "\"peak_kib\": %ld}\n",
	       marked ? marked - begin : 0, ended - begin,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	       micro_seconds(usage.ru_utime), micro_seconds(usage.ru_stime), usage.ru_minflt,
	       usage.ru_maxrss);
	return 0;
}
