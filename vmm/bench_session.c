// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A child process that is spoken to line by line: `nidus run` with a console, or a shell.
 *
 * It leads a process group, so that Ctrl-C reaches us alone, who know in which order things end; it
 * is ended with all that it has started, and ends too if we are killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/bench.h"

#define END_SECONDS 10 /* from SIGTERM to SIGKILL */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct bench_session *session)
{
	close_fd(&session->to);
	close_fd(&session->from);
	close_fd(&session->complaints);
}

/* In the child: standard streams instead of ours, and signals as they were. */
static _Noreturn void become(char *const *argv, int in, int out, int complaints, pid_t parent)
{
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() == parent && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(complaints, STDERR_FILENO) >= 0) {
		execv(argv[0], argv);
	}
	_exit(127);
}

int session_start(struct bench_session *session, char *const *argv, int signals)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, rc = 0;
	pid_t parent = getpid();

	*session = (struct bench_session){ .pid = -1, .to = -1, .from = -1, .signals = signals };
	session->complaints = memfd_create("nidus-bench", MFD_CLOEXEC);
	if (session->complaints < 0 || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		rc = -errno;
	if (!rc) {
		/* The child does nothing that libc's fork() would have to prepare for. */
		session->pid = (pid_t)syscall(SYS_fork);
		if (!session->pid)
			become(argv, in[0], out[1], session->complaints, parent);
		rc = session->pid < 0 ? -errno : 0;
	}
	close_fd(&in[0]);
	close_fd(&out[1]);
	session->to = in[1];
	session->from = out[0];
	if (rc)
		close_all(session);
	else
		setpgid(session->pid, session->pid); /* whoever of us comes first */
	return rc;
}

int session_say(struct bench_session *session, const char *line)
{
	char text[BENCH_LINE];
	int length = snprintf(text, sizeof(text), "%s\n", line);

	/* SIGPIPE is blocked, as all that the signalfd has. */
	if (length >= BENCH_LINE || write(session->to, text, (size_t)length) != length)
		return -EPIPE;
	return 0;
}

/* Moves a line out of the buffer, if there is one. */
static bool take_line(struct bench_session *session, char line[BENCH_LINE])
{
	char *end = memchr(session->buffer, '\n', session->used);
	size_t length = end ? (size_t)(end - session->buffer) : session->used;
	size_t gone = end ? length + 1 : length;

	if (!end && session->used < sizeof(session->buffer))
		return false;
	if (length == BENCH_LINE)
		gone = --length;
	memcpy(line, session->buffer, length);
	while (length && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	session->used -= gone;
	memmove(session->buffer, session->buffer + gone, session->used);
	return true;
}

int64_t bench_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int64_t bench_deadline(unsigned int seconds)
{
	return bench_now_ms() + seconds * INT64_C(1000);
}

int session_hear(struct bench_session *session, char line[BENCH_LINE], int64_t deadline)
{
	struct pollfd wait[] = { { .fd = session->from, .events = POLLIN },
				 { .fd = session->signals, .events = POLLIN } };
	ssize_t n;

	while (!take_line(session, line)) {
		int64_t left = deadline - bench_now_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(wait, 2, (int)left) < 0)
			continue;
		if (wait[1].revents)
			return -EINTR;
		if (!wait[0].revents)
			continue;
		n = read(session->from, session->buffer + session->used,
			 sizeof(session->buffer) - session->used);
		if (n <= 0)
			return -EPIPE;
		session->used += (size_t)n;
	}
	return 0;
}

const char *session_complaint(const struct bench_session *session, char line[BENCH_LINE])
{
	char tail[BENCH_LINE];
	off_t size = lseek(session->complaints, 0, SEEK_END);
	off_t from = size > BENCH_LINE - 1 ? size - (BENCH_LINE - 1) : 0;
	ssize_t n = pread(session->complaints, tail, sizeof(tail) - 1, from);
	char *begin;

	line[0] = '\0';
	while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == '\r'))
		n--;
	if (n <= 0)
		return line;
	tail[n] = '\0';
	begin = strrchr(tail, '\n');
	return strcpy(line, begin ? begin + 1 : tail);
}

/* Waits until the child has ended, which it may have long ago. */
static bool wait_ended(pid_t pid, int milliseconds)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	bool done = pidfd >= 0 && poll(&ended, 1, milliseconds) == 1;

	close_fd(&pidfd);
	return done;
}

void session_end(struct bench_session *session)
{
	if (session->pid > 0) {
		kill(-session->pid, SIGTERM);
		wait_ended(session->pid, END_SECONDS * 1000);
		kill(-session->pid, SIGKILL);
		while (waitpid(session->pid, NULL, 0) < 0 && errno == EINTR)
			;
		session->pid = -1;
	}
	close_all(session);
}
