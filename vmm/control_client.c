// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The clients' side of the control socket: the verbs stats, trace, stop and list.
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

/* Sends @request and stores the answer's body. 0 or -EINVAL with @error. */
static int ask(int fd, const char *name, const char *request, char body[CONTROL_REPLY_MAX + 1],
	       struct config_error *error)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int r;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return config_fail(error, "the VM '%s' hung up: %s", name, strerror(errno));
	do
		r = poll(&wait, 1, REPLY_TIMEOUT);
	while (r < 0 && errno == EINTR);
	if (!r)
		return config_fail(error, "the VM '%s' does not answer; see what it does with ps",
				   name);
	n = recv(fd, body, CONTROL_REPLY_MAX, 0);
	if (n <= 0)
		return config_fail(error, "the VM '%s' hung up", name);
	body[n] = '\0';
	if (strncmp(body, "ok\n", 3))
		return config_fail(error, "the VM '%s' refused: %s", name, body);
	memmove(body, body + 3, (size_t)n - 3 + 1);
	return 0;
}

static int ask_vm(const char *name, const char *request, char *body, struct config_error *error)
{
	int fd = open_vm(name, error);
	int r;

	if (fd < 0)
		return fd;
	r = ask(fd, name, request, body, error);
	close(fd);
	return r;
}

int control_stats(const char *name, bool json)
{
	struct config_error error = { "" };
	char *body;
	int code = NIDUS_EXIT_POWEROFF;

	if (!check_name(name))
		return NIDUS_EXIT_USAGE;
	body = malloc(CONTROL_REPLY_MAX + 1);
	if (!body)
		return NIDUS_EXIT_FAILURE;
	if (ask_vm(name, json ? "stats json" : "stats", body, &error))
		code = report(&error);
	else
		fputs(body, stdout);
	free(body);
	return code;
}

/* Prints what comes until the VM hangs up. 0 or -EINVAL with @error. */
static int print_lines(int fd, char *body, struct config_error *error)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n;

	for (;;) {
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return config_fail(error, "cannot wait: %s", strerror(errno));
		n = recv(fd, body, CONTROL_REPLY_MAX, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return 0;
		if (fwrite(body, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout))
			return config_fail(error, "cannot write: %s", strerror(errno));
	}
}

int control_trace(const char *name, const char *device)
{
	char request[CONTROL_REQUEST_MAX + 1];
	struct config_error error = { "" };
	char *body;
	int fd, r;

	if (!check_name(name))
		return NIDUS_EXIT_USAGE;
	body = malloc(CONTROL_REPLY_MAX + 1);
	if (!body)
		return NIDUS_EXIT_FAILURE;
	snprintf(request, sizeof(request), "trace %s", device);
	fd = open_vm(name, &error);
	r = fd < 0 ? fd : ask(fd, name, request, body, &error);
	if (!r)
		r = print_lines(fd, body, &error);
	if (fd >= 0)
		close(fd);
	free(body);
	return r ? report(&error) : NIDUS_EXIT_POWEROFF;
}

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
static int stop_and_wait(int fd, const char *name, unsigned int timeout, char *body,
			 struct config_error *error)
{
	int pidfd = (int)syscall(SYS_pidfd_open, peer_pid(fd), 0);
	int reason = errno;
	int r = ask(fd, name, "stop", body, error);

	if (!r && pidfd < 0)
		r = config_fail(error,
				"the VM '%s' was told to stop, but cannot be watched from here: %s",
				name, strerror(reason));
	else if (!r && !wait_gone(pidfd, timeout))
		r = config_fail(error,
				"the VM '%s' still runs after %u s; wait longer with --timeout, or "
				"end process %d",
				name, timeout, (int)peer_pid(fd));
	if (pidfd >= 0)
		close(pidfd);
	return r;
}

int control_stop(const char *name, unsigned int timeout)
{
	struct config_error error = { "" };
	char *body;
	int fd, r;

	if (!check_name(name))
		return NIDUS_EXIT_USAGE;
	body = malloc(CONTROL_REPLY_MAX + 1);
	if (!body)
		return NIDUS_EXIT_FAILURE;
	fd = open_vm(name, &error);
	r = fd < 0 ? fd : stop_and_wait(fd, name, timeout, body, &error);
	if (fd >= 0)
		close(fd);
	free(body);
	return r ? report(&error) : NIDUS_EXIT_POWEROFF;
}

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
