// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm/control*.c: the server against good, slow and hostile clients; the client verbs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "vmm/control.h"
#include "vmm/exit.h"
#include "vmm/trace.h"

/* What a VM would count. */
struct vm {
	unsigned int stats, stops, resets;
	struct trace *trace; /* whose lines go to a client; NULL: none */
	size_t size;	     /* of the answer; 0: a short one */
};

static void vm_stats(void *context, FILE *out, bool json)
{
	struct vm *vm = context;

	vm->stats++;
	if (vm->size)
		for (size_t i = 0; i < vm->size; i++)
			fputc('x', out);
	else
		fputs(json ? "{\"exits\": 1}\n" : "exits 1\n", out);
}

static void vm_stop(void *context)
{
	struct vm *vm = context;

	vm->stops++;
}

static int vm_trace(void *context, const char *device, struct trace *trace)
{
	struct vm *vm = context;

	vm->trace = NULL;
	if (!device)
		return 0;
	if (strcmp(device, "disk0"))
		return -ENOENT;
	vm->trace = trace;
	return 0;
}

static int vm_reset(void *context)
{
	struct vm *vm = context;

	/* The second time it cannot. */
	return vm->resets++ ? -EOPNOTSUPP : 0;
}

static const struct control_ops ops = {
	.stats = vm_stats, .stop = vm_stop, .reset = vm_reset, .trace = vm_trace
};

static char runtime[64];

static int setup(void **state)
{
	(void)state;
	strcpy(runtime, "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(runtime));
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	return 0;
}

static int teardown(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/nidus", runtime);
	rmdir(path);
	/* Fails if anything was left behind. */
	assert_int_equal(rmdir(runtime), 0);
	return 0;
}

static struct control *open_good(const char *name)
{
	struct config_error error;
	struct control *control = control_open(name, &error);

	if (!control)
		fail_msg("%s", error.text);
	return control;
}

static int connect_to(const char *name)
{
	char directory[PATH_MAX];
	struct config_error error;

	assert_int_equal(control_find_directory(directory, false, &error), 0);
	return control_connect(directory, name);
}

static bool is_ready(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, 0) > 0;
}

/* Sends a request and lets the server answer it. Returns the length of the answer, or -1. */
static ssize_t ask(struct control *control, struct vm *vm, int fd, const char *request, char *reply,
		   size_t size)
{
	ssize_t n;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -1;
	while (is_ready(control_fd(control)))
		control_serve(control, &ops, vm);
	n = recv(fd, reply, size - 1, MSG_DONTWAIT);
	if (n >= 0)
		reply[n] = '\0';
	return n;
}

static void test_requests(void **state)
{
	static const char *const rows[][2] = {
		{ "stats", "ok\nexits 1\n" },
		{ "stats\n", "ok\nexits 1\n" },
		{ "stats json", "ok\n{\"exits\": 1}\n" },
		{ "stop", "ok\n" },
		{ "reset", "ok\n" },
		{ "reset", "error a reset would end it; run it with --restart for this, or end it: "
			   "nidus stop" },
		{ "stats xml",
		  "error unknown request; valid ones: stats, stats json, trace DEVICE, "
		  "reset, stop" },
		{ "STOP", "error unknown request; valid ones: stats, stats json, trace DEVICE, "
			  "reset, stop" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
		  "error the request is too long" },
	};
	struct control *control = open_good("vm1");
	struct vm vm = { 0 };
	char reply[256];
	int fd = connect_to("vm1");

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(ask(control, &vm, fd, rows[i][0], reply, sizeof(reply)) >= 0);
		assert_string_equal(reply, rows[i][1]);
	}
	assert_int_equal(vm.stats, 3);
	assert_int_equal(vm.stops, 1);
	assert_int_equal(vm.resets, 2);
	close(fd);
	control_close(control);
	assert_int_equal(connect_to("vm1"), -ENOENT);
}

static void test_nothing_to_do(void **state)
{
	struct control *control = open_good("vm1");
	struct vm vm = { 0 };

	(void)state;
	assert_false(is_ready(control_fd(control)));
	control_serve(control, &ops, &vm);
	control_close(control);
	control_close(NULL);
}

static void test_one_vm_a_name(void **state)
{
	struct control *control = open_good("vm1");
	struct control *other = open_good("vm2");
	struct config_error error;

	(void)state;
	assert_null(control_open("vm1", &error));
	assert_string_equal(error.text, "--name: a VM called 'vm1' runs already; choose another "
					"name, or end it: nidus stop vm1");
	/* The refused one must not have taken the socket away. */
	assert_true(connect_to("vm1") >= 0);
	control_close(control);
	control_close(other);
	control = open_good("vm1");
	control_close(control);
}

static void test_full_backlog_is_alive(void **state)
{
	struct control *control = open_good("vm1");
	struct config_error error;
	int fds[64], r = 0, count = 0;

	(void)state;
	while (count < 64 && (r = connect_to("vm1")) >= 0)
		fds[count++] = r;
	assert_int_equal(r, -EAGAIN);
	assert_null(control_open("vm1", &error));
	assert_non_null(strstr(error.text, "runs already"));
	while (count)
		close(fds[--count]);
	control_close(control);
}

/* A VM that was killed leaves its socket: the next one of this name replaces it. */
static void test_stale_socket(void **state)
{
	struct control *control;
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		open_good("vm1");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(connect_to("vm1"), -ECONNREFUSED);
	control = open_good("vm1");
	assert_true(connect_to("vm1") >= 0);
	control_close(control);
}

static void test_socket_of_another_is_left(void **state)
{
	struct control *first = open_good("vm1"), *second;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/vm1.sock", control_directory(first));
	unlink(path);
	second = open_good("vm1");
	control_close(first);
	assert_int_equal(access(path, F_OK), 0);
	control_close(second);
	assert_int_equal(access(path, F_OK), -1);
}

#define LONG_NAME "0123456789012345678901234567890123456789012345678901234567890123x"

static void test_names(void **state)
{
	static const char *const bad[] = { "",	       ".x", "a/b", "a b",    "a\n",
					   "\xc3\xa4", "..", "*",   LONG_NAME };
	struct config_error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(control_name_valid(bad[i]));
		assert_null(control_open(bad[i], &error));
	}
	assert_true(control_name_valid("a"));
	assert_true(control_name_valid("-A.9_z"));
}

static void test_directory_is_distrusted(void **state)
{
	struct config_error error;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/nidus", runtime);
	assert_int_equal(mkdir(path, 0755), 0);
	chmod(path, 0750);
	assert_null(control_open("vm1", &error));
	assert_non_null(strstr(error.text, "must be a directory of yours with mode 0700"));
	rmdir(path);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_null(control_open("vm1", &error));
	unlink(path);
	assert_int_equal(close(creat(path, 0600)), 0);
	assert_null(control_open("vm1", &error));
	unlink(path);

	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_null(control_open("vm1", &error));
	assert_non_null(strstr(error.text, "cannot make '/nonexistent/nidus'"));
	assert_int_equal(strlen(error.text) < 200, 1);
}

static void test_long_path(void **state)
{
	char path[512], directory[200];
	struct config_error error;

	(void)state;
	memset(directory, 'd', sizeof(directory));
	directory[120] = '\0';
	snprintf(path, sizeof(path), "%s/%s", runtime, directory);
	assert_int_equal(mkdir(path, 0700), 0);
	setenv("XDG_RUNTIME_DIR", path, 1);
	assert_null(control_open("vm1", &error));
	assert_non_null(strstr(error.text, "File name too long; set XDG_RUNTIME_DIR to a short"));
	strcat(path, "/nidus");
	assert_int_equal(rmdir(path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
}

/* More clients than places: the newest are served, and the state stays bounded. */
static void test_too_many_clients(void **state)
{
	struct control *control = open_good("vm1");
	struct vm vm = { 0 };
	char reply[64];
	int fds[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_to("vm1");
		assert_true(fds[i] >= 0);
		control_serve(control, &ops, &vm);
	}
	assert_true(ask(control, &vm, fds[99], "stats", reply, sizeof(reply)) > 0);
	assert_string_equal(reply, "ok\nexits 1\n");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	while (is_ready(control_fd(control)))
		control_serve(control, &ops, &vm);
	control_close(control);
}

/* Asking without reading fills the buffer; the server hangs up instead of waiting. */
static void test_client_that_does_not_read(void **state)
{
	struct control *control = open_good("vm1");
	struct vm vm = { .size = 60000 };
	int fd = connect_to("vm1"), asked = 0;

	(void)state;
	while (asked < 1000 && send(fd, "stats", 5, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
		asked++;
		for (int i = 0; i < 3; i++)
			control_serve(control, &ops, &vm);
	}
	assert_true(asked > 0 && asked < 1000);
	assert_false(is_ready(control_fd(control)));
	close(fd);
	control_close(control);
}

static void test_too_many_counters(void **state)
{
	static char reply[CONTROL_REPLY_MAX + 1];
	struct control *control = open_good("vm1");
	struct vm vm = { .size = CONTROL_REPLY_MAX };
	int fd = connect_to("vm1");

	(void)state;
	assert_true(ask(control, &vm, fd, "stats", reply, sizeof(reply)) > 0);
	assert_string_equal(reply, "error the counters are too many for one answer");
	vm.size = CONTROL_REPLY_MAX - 16;
	assert_int_equal(ask(control, &vm, fd, "stats", reply, sizeof(reply)),
			 CONTROL_REPLY_MAX - 16 + 3);
	close(fd);
	control_close(control);
}

/* Lets the server work until it has nothing to do. */
static void serve(struct control *control, struct vm *vm)
{
	while (is_ready(control_fd(control)))
		control_serve(control, &ops, vm);
}

static void test_silent_client_expires(void **state)
{
	struct control *control = open_good("vm1");
	struct vm vm = { 0 };
	char byte, reply[64];
	int fd = connect_to("vm1"), tracer = connect_to("vm1");

	(void)state;
	ask(control, &vm, tracer, "trace disk0", reply, sizeof(reply));
	for (int i = 0; i < (CONTROL_PATIENCE + 3) * 10; i++) {
		control_serve(control, &ops, &vm);
		if (!recv(fd, &byte, 1, MSG_DONTWAIT))
			break;
		usleep(100000);
	}
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	usleep(1100000);
	serve(control, &vm);
	assert_non_null(vm.trace); /* who traces may be silent */
	close(tracer);
	serve(control, &vm);
	assert_null(vm.trace);
	usleep(1100000);
	assert_false(is_ready(control_fd(control))); /* the timer rests without clients */
	close(fd);
	control_close(control);
}

/* A process that behaves like a VM until it is told to stop, or never ends. */
static pid_t start_vm(const char *name, bool obedient)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct control *control = open_good(name);
		struct vm vm = { 0 };

		alarm(30);
		close(ready[0]);
		close(ready[1]);
		while (!vm.stops || !obedient) {
			struct pollfd wait = { .fd = control_fd(control), .events = POLLIN };

			poll(&wait, 1, -1);
			control_serve(control, &ops, &vm);
		}
		control_close(control);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

/* Runs a client verb with its output in @text. */
static int capture(int (*verb)(const char *name), const char *name, char *text, size_t size)
{
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	size_t n;
	int code;

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	code = verb(name);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	rewind(file);
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
	return code;
}

static int do_stats(const char *name)
{
	return control_stats(name, true);
}

static int do_stop(const char *name)
{
	return control_stop(name, 1);
}

static int do_list(const char *name)
{
	return control_list(name != NULL);
}

static void test_verbs(void **state)
{
	char text[1024], expected[256];
	pid_t pid = start_vm("vm1", true);
	int status;

	(void)state;
	assert_int_equal(capture(do_stats, "vm1", text, sizeof(text)), 0);
	assert_string_equal(text, "{\"exits\": 1}\n");
	assert_int_equal(capture(do_list, "json", text, sizeof(text)), 0);
	snprintf(expected, sizeof(expected), "[{\"name\": \"vm1\", \"pid\": %d}]\n", (int)pid);
	assert_string_equal(text, expected);
	assert_int_equal(capture(do_stats, "vm2", text, sizeof(text)), NIDUS_EXIT_FAILURE);
	assert_string_equal(text, "nidus: no VM called 'vm2' runs; running: vm1\n");
	assert_int_equal(capture(do_stop, "vm1", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(capture(do_stop, "vm1", text, sizeof(text)), NIDUS_EXIT_FAILURE);
	assert_string_equal(text, "nidus: no VM called 'vm1' runs; running: none\n");
	assert_int_equal(capture(do_list, NULL, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(capture(do_stats, "../x", text, sizeof(text)), NIDUS_EXIT_USAGE);
	assert_non_null(strstr(text, "bad name '../x'"));
}

static void test_vm_that_does_not_stop(void **state)
{
	char text[1024], path[256];
	pid_t pid = start_vm("vm1", false);

	(void)state;
	assert_int_equal(capture(do_stop, "vm1", text, sizeof(text)), NIDUS_EXIT_FAILURE);
	assert_non_null(strstr(text, "still runs after 1 s; wait longer with --timeout, or end"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/nidus/vm1.sock", runtime);
	assert_int_equal(unlink(path), 0);
}

static void test_no_descriptor_leaks(void **state)
{
	struct config_error error;
	int before = dup(0), after;

	(void)state;
	close(before);
	for (int i = 0; i < 50; i++) {
		struct control *control = open_good("vm1");
		struct vm vm = { 0 };
		int fd = connect_to("vm1");

		control_serve(control, &ops, &vm);
		assert_null(control_open("vm1", &error));
		close(fd);
		control_close(control);
	}
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_trace(void **state)
{
	struct control *control = open_good("vm1");
	int fd = connect_to("vm1"), other = connect_to("vm1");
	struct vm vm = { 0 };
	char reply[CONTROL_REPLY_MAX];
	ssize_t n;

	(void)state;
	ask(control, &vm, fd, "trace disk1", reply, sizeof(reply));
	assert_string_equal(reply, "error no device of that name is behind a remapping unit; see "
				   "nidus stats for those that are");
	assert_int_equal(ask(control, &vm, fd, "trace disk0", reply, sizeof(reply)), 3);
	assert_non_null(vm.trace);
	ask(control, &vm, other, "trace disk0", reply, sizeof(reply));
	assert_string_equal(reply, "error somebody else traces; try again later");

	trace_line(vm.trace, "one");
	trace_line(vm.trace, "two");
	serve(control, &vm);
	n = recv(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	reply[n] = '\0';
	/* Each behind its time, as in "   0.000123 ". */
	assert_memory_equal(reply + 12, "one\n", 4);
	assert_string_equal(reply + 28, "two\n");
	close(fd);
	serve(control, &vm);
	assert_null(vm.trace);
	assert_int_equal(ask(control, &vm, other, "trace disk0", reply, sizeof(reply)), 3);
	assert_non_null(vm.trace);
	control_close(control);
	assert_null(vm.trace);
	close(other);
}

/* Who does not read holds nobody up; what it misses is counted; what it gets is in order. */
static void test_trace_that_is_not_read(void **state)
{
	struct control *control = open_good("vm1");
	struct vm vm = { 0 };
	int fd = connect_to("vm1"), other = connect_to("vm1");
	unsigned int written = 60000, next = 0, dropped = 0, number;
	char reply[CONTROL_REPLY_MAX], line[32];
	ssize_t n;

	(void)state;
	assert_int_equal(ask(control, &vm, fd, "trace disk0", reply, sizeof(reply)), 3);
	for (unsigned int i = 0; i < written; i++) {
		snprintf(line, sizeof(line), "line %u", i);
		trace_line(vm.trace, line);
		serve(control, &vm);
	}
	assert_true(ask(control, &vm, other, "stats", reply, sizeof(reply)) > 0);
	while ((n = recv(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT)) > 0) {
		reply[n] = '\0';
		assert_int_equal(reply[n - 1], '\n');
		for (char *p = strtok(reply, "\n"); p; p = strtok(NULL, "\n"))
			if (sscanf(p, "%*f line %u", &number) == 1)
				assert_int_equal(number, next++);
			else
				assert_int_equal(sscanf(p, "(%u lines", &dropped), 1);
		serve(control, &vm);
	}
	assert_true(next > 0 && dropped > 0);
	assert_int_equal(next + dropped, written);
	trace_line(vm.trace, "more");
	serve(control, &vm);
	assert_true(recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0);
	close(fd);
	close(other);
	control_close(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests),
		TEST(test_nothing_to_do),
		TEST(test_one_vm_a_name),
		TEST(test_full_backlog_is_alive),
		TEST(test_stale_socket),
		TEST(test_socket_of_another_is_left),
		TEST(test_names),
		TEST(test_directory_is_distrusted),
		TEST(test_long_path),
		TEST(test_too_many_clients),
		TEST(test_client_that_does_not_read),
		TEST(test_too_many_counters),
		TEST(test_silent_client_expires),
		TEST(test_trace),
		TEST(test_trace_that_is_not_read),
		TEST(test_verbs),
		TEST(test_vm_that_does_not_stop),
		TEST(test_no_descriptor_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
