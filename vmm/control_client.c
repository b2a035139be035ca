// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The clients' side of the control socket: the verbs stats, trace, reset, stop and list.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/control.h"
#include "vmm/exit.h"

#define REPLY_TIMEOUT 5000 /* ms: a VM answers at once or is stuck */

static const char suffix[] = ".sock";

/* The name of the VM whose socket @file is, or an empty string. */
static const char *vm_name(const char *file, char name[CONFIG_NAME_MAX + 1])
{
	size_t len = strlen(file);

	name[0] = '\0';
	if (len >= sizeof(suffix) && len - (sizeof(suffix) - 1) <= CONFIG_NAME_MAX &&
	    !strcmp(file + len - (sizeof(suffix) - 1), suffix))
		snprintf(name, CONFIG_NAME_MAX + 1, "%.*s", (int)(len - (sizeof(suffix) - 1)),
			 file);
	return name;
}

static pid_t peer_pid(int fd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
		return 0;
	return credentials.pid;
}

typedef void list_visitor(const char *name, pid_t pid, void *context);

/* Visits every VM that listens. */
static int visit_running(list_visitor *visit, void *context, struct config_error *error)
{
	char directory[PATH_MAX], name[CONFIG_NAME_MAX + 1];
	int r = control_find_directory(directory, false, error);
	struct dirent *entry;
	DIR *dir;

	if (r)
		return r == -ENOENT ? 0 : r;
	dir = opendir(directory);
	if (!dir)
		return config_fail(error, "cannot read '%.600s': %s", directory, strerror(errno));
	while ((entry = readdir(dir))) {
		int fd;

		if (!control_name_valid(vm_name(entry->d_name, name)))
			continue;
		fd = control_connect(directory, name);
		if (fd < 0)
			continue;
		visit(name, peer_pid(fd), context);
		close(fd);
	}
	closedir(dir);
	return 0;
}

static int report(const struct config_error *error)
{
	fprintf(stderr, "nidus: %s\n", error->text);
	return NIDUS_EXIT_FAILURE;
}

/* Whether @name can be one at all; if not, says so. */
static bool check_name(const char *name)
{
	struct config_error error = { "" };

	if (control_name_valid(name))
		return true;
	config_fail(&error,
		    "bad name '%.200s': must be 1 to %d letters, digits, '.', '_' or '-', not "
		    "starting with '.'",
		    name, CONFIG_NAME_MAX);
	report(&error);
	return false;
}

struct names {
	char text[512];
	size_t used;
};

static void collect_name(const char *name, pid_t pid, void *context)
{
	struct names *names = context;

	(void)pid;
	if (names->used < sizeof(names->text))
		names->used += (size_t)snprintf(names->text + names->used,
						sizeof(names->text) - names->used, "%s%s",
						names->used ? ", " : "", name);
}

static int fail_connect(const char *name, int r, struct config_error *error)
{
	struct config_error ignored;
	struct names names = { .used = 0 };

	if (r != -ENOENT && r != -ECONNREFUSED)
		return config_fail(error, "cannot reach the VM '%s': %s", name, strerror(-r));
	visit_running(collect_name, &names, &ignored);
	return config_fail(error, "no VM called '%s' runs; running: %s", name,
			   names.used ? names.text : "none");
}

static int open_vm(const char *name, struct config_error *error)
{
	char directory[PATH_MAX];
	int r = control_find_directory(directory, false, error);

	if (r && r != -ENOENT)
		return r;
	if (!r)
		r = control_connect(directory, name);
	return r < 0 ? fail_connect(name, r, error) : r;
}

/* --- One conversation with a VM --- */

struct call {
	const char *name; /* of the VM */
	int fd;
	char *body; /* of its answer: CONTROL_REPLY_MAX bytes, and a 0 */
	struct config_error error;
};

/* Reaches the VM and lets @talk() do the rest. 0, or negative with call->error. */
static int converse(struct call *call, int (*talk)(struct call *call, const void *what),
		    const void *what)
{
	int r;

	call->fd = open_vm(call->name, &call->error);
	if (call->fd < 0)
		return call->fd;
	r = talk(call, what);
	close(call->fd);
	return r;
}

/* The same as a verb: says what went wrong. Returns an exit code. */
static int call_vm(const char *name, int (*talk)(struct call *call, const void *what),
		   const void *what)
{
	struct call call = { .name = name };
	int r;

	if (!check_name(name))
		return NIDUS_EXIT_USAGE;
	call.body = malloc(CONTROL_REPLY_MAX + 1);
	if (!call.body)
		return NIDUS_EXIT_FAILURE;
	r = converse(&call, talk, what);
	free(call.body);
	return r ? report(&call.error) : NIDUS_EXIT_POWEROFF;
}

/* Sends @request and stores the answer's body. 0 or -EINVAL with call->error. */
static int ask(struct call *call, const void *request)
{
	struct pollfd wait = { .fd = call->fd, .events = POLLIN };
	struct config_error *error = &call->error;
	char *body = call->body;
	ssize_t n;
	int r;

	if (send(call->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return config_fail(error, "the VM '%s' hung up: %s", call->name, strerror(errno));
	do
		r = poll(&wait, 1, REPLY_TIMEOUT);
	while (r < 0 && errno == EINTR);
	if (!r)
		return config_fail(error, "the VM '%s' does not answer; see what it does with ps",
				   call->name);
	n = recv(call->fd, body, CONTROL_REPLY_MAX, 0);
	if (n <= 0)
		return config_fail(error, "the VM '%s' hung up", call->name);
	body[n] = '\0';
	if (strncmp(body, "ok\n", 3))
		return config_fail(error, "the VM '%s' refused: %s", call->name, body);
	memmove(body, body + 3, (size_t)n - 3 + 1);
	return 0;
}

int control_ask(const char *name, const char *request, char body[CONTROL_REPLY_MAX + 1],
		struct config_error *error)
{
	struct call call = { .name = name, .body = body };
	int r = converse(&call, ask, request);

	*error = call.error;
	return r;
}

/* --- stats --- */

static int print_answer(struct call *call, const void *request)
{
	int r = ask(call, request);

	if (!r)
		fputs(call->body, stdout);
	return r;
}

int control_stats(const char *name, bool json)
{
	return call_vm(name, print_answer, json ? "stats json" : "stats");
}

/* --- trace --- */

/* Prints what comes until the VM hangs up. 0 or -EINVAL with call->error. */
static int print_lines(struct call *call, const void *request)
{
	struct pollfd wait = { .fd = call->fd, .events = POLLIN };
	int r = ask(call, request);
	ssize_t n;

	if (r)
		return r;
	for (;;) {
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return config_fail(&call->error, "cannot wait: %s", strerror(errno));
		n = recv(call->fd, call->body, CONTROL_REPLY_MAX, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return 0;
		if (fwrite(call->body, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout))
			return config_fail(&call->error, "cannot write: %s", strerror(errno));
	}
}

int control_trace(const char *name, const char *device)
{
	char request[CONTROL_REQUEST_MAX + 1];

	snprintf(request, sizeof(request), "trace %s", device);
	return call_vm(name, print_lines, request);
}

/* --- stop --- */

static long elapsed_ms(const struct timespec *since)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec - since->tv_sec) * 1000 + (ts.tv_nsec - since->tv_nsec) / 1000000;
}

/* Waits until the process behind @pidfd is gone. */
static bool wait_gone(int pidfd, unsigned int timeout)
{
	struct timespec start;
	long limit = (long)timeout * 1000, passed = 0;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		struct pollfd wait = { .fd = pidfd, .events = POLLIN };

		r = poll(&wait, 1, (int)(limit - passed));
		passed = elapsed_ms(&start);
	} while (r < 0 && errno == EINTR && passed < limit);
	return r > 0;
}

/*
 * The process is identified before it answers, so what is waited for is the VM and no later process
 * with its number.
 */
static int stop_and_wait(struct call *call, const void *seconds)
{
	unsigned int timeout = *(const unsigned int *)seconds;
	int pidfd = (int)syscall(SYS_pidfd_open, peer_pid(call->fd), 0);
	int reason = errno;
	int r = ask(call, "stop");

	if (!r && pidfd < 0)
		r = config_fail(&call->error,
				"the VM '%s' was told to stop, but cannot be watched from here: %s",
				call->name, strerror(reason));
	else if (!r && !wait_gone(pidfd, timeout))
		r = config_fail(&call->error,
				"the VM '%s' still runs after %u s; wait longer with --timeout, or "
				"end process %d",
				call->name, timeout, (int)peer_pid(call->fd));
	if (pidfd >= 0)
		close(pidfd);
	return r;
}

int control_stop(const char *name, unsigned int timeout)
{
	return call_vm(name, stop_and_wait, &timeout);
}

/* --- reset --- */

int control_reset(const char *name)
{
	return call_vm(name, ask, "reset");
}

/* --- list --- */

struct listing {
	bool json;
	unsigned int count;
};

static void print_running(const char *name, pid_t pid, void *context)
{
	struct listing *listing = context;

	/* A valid name needs no escapes. */
	if (listing->json)
		printf("%s{\"name\": \"%s\", \"pid\": %d}", listing->count ? ",\n " : "", name,
		       (int)pid);
	else
		printf("%-24s %d\n", name, (int)pid);
	listing->count++;
}

int control_list(bool json)
{
	struct listing listing = { .json = json };
	struct config_error error;

	if (json)
		fputs("[", stdout);
	if (visit_running(print_running, &listing, &error))
		return report(&error);
	if (json)
		fputs("]\n", stdout);
	return NIDUS_EXIT_POWEROFF;
}
