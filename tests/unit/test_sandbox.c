/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm/sandbox.c: what is not listed dies, what is listed does not, and nothing is listed twice.
 *
 * With the argument --list it prints the rules, "thread call request rare|used" each, for the lab's
 * test that every one of the latter is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "vmm/sandbox.h"

struct call {
	long number;
	long argument[3];
};

/* The wait status of a process that closes the filter of @thread and makes @call. */
static int status_of(enum sandbox_thread thread, enum seccomp_mode mode, unsigned int machine,
		     const struct call *call)
{
	int status = -1;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		/* _exit() is exit_group(), which only the control thread may call, and vice versa.
		 */
		long end = thread == SANDBOX_CONTROL ? SYS_exit_group : SYS_exit;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sandbox_filter(thread, mode, machine))
			_exit(99);
		syscall(call->number, call->argument[0], call->argument[1], call->argument[2]);
		for (;;)
			syscall(end, 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static int status_after(enum sandbox_thread thread, enum seccomp_mode mode, const struct call *call)
{
	return status_of(thread, mode, 0, call);
}

static const struct call forbidden[] = {
	{ SYS_getppid, { 0 } },
	{ SYS_openat, { AT_FDCWD, (long)"/etc/passwd", O_RDONLY } },
	{ SYS_open, { (long)"/etc/passwd", O_RDONLY } },
	{ SYS_socket, { 1, 1, 0 } },
	{ SYS_execve, { (long)"/bin/true", 0, 0 } },
	{ SYS_fork, { 0 } },
	{ SYS_ptrace, { 0 } },
	{ SYS_setuid, { 0 } },
	{ SYS_mount, { 0 } },
	{ SYS_io_uring_setup, { 0 } },
	{ SYS_ioctl, { -1, KVM_CREATE_VM, 0 } },
	/* Last: see test_host_devices(). */
	{ SYS_ioctl, { -1, KVM_SET_USER_MEMORY_REGION, 0 } },
};

static void test_unlisted_dies(void **state)
{
	(void)state;
	for (int thread = 0; thread < SANDBOX_THREADS; thread++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(forbidden); i++) {
			int status = status_after((enum sandbox_thread)thread, SECCOMP_KILL,
						  &forbidden[i]);

			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
				fail_msg("%s: call %ld was not killed (status %#x)",
					 sandbox_thread_name((enum sandbox_thread)thread),
					 forbidden[i].number, status);
		}
	}
}

/* One thread's calls are not another's. */
static void test_threads_differ(void **state)
{
	const struct call run = { SYS_ioctl, { -1, KVM_RUN, 0 } };
	const struct call random = { SYS_getrandom, { 0, 0, 0 } };
	const struct call accept = { SYS_accept4, { -1, 0, 0 } };

	(void)state;
	assert_true(WIFEXITED(status_after(SANDBOX_VCPU, SECCOMP_KILL, &run)));
	assert_true(WIFSIGNALED(status_after(SANDBOX_IO, SECCOMP_KILL, &run)));
	assert_true(WIFSIGNALED(status_after(SANDBOX_CONTROL, SECCOMP_KILL, &run)));
	assert_true(WIFEXITED(status_after(SANDBOX_IO, SECCOMP_KILL, &random)));
	assert_true(WIFSIGNALED(status_after(SANDBOX_VCPU, SECCOMP_KILL, &random)));
	assert_true(WIFEXITED(status_after(SANDBOX_CONTROL, SECCOMP_KILL, &accept)));
	assert_true(WIFSIGNALED(status_after(SANDBOX_IO, SECCOMP_KILL, &accept)));
}

/* What devices of the host need is not for machines that have none. */
static void test_host_devices(void **state)
{
	const struct call calls[] = {
		{ SYS_ioctl, { -1, KVM_SET_USER_MEMORY_REGION, 0 } },
		{ SYS_ioctl, { -1, VFIO_DEVICE_SET_IRQS, 0 } },
		{ SYS_pread64, { -1, 0, 0 } },
	};
	const struct call end = { SYS_close, { -1, 0, 0 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_true(WIFSIGNALED(status_of(SANDBOX_VCPU, SECCOMP_KILL, 0, &calls[i])));
		assert_true(WIFEXITED(status_of(SANDBOX_VCPU, SECCOMP_KILL,
						SANDBOX_HAS_HOST_DEVICES, &calls[i])));
		assert_true(WIFEXITED(
			status_of(SANDBOX_IO, SECCOMP_KILL, SANDBOX_HAS_HOST_DEVICES, &calls[i])));
		assert_true(WIFSIGNALED(status_of(SANDBOX_CONTROL, SECCOMP_KILL,
						  SANDBOX_HAS_HOST_DEVICES, &calls[i])));
	}
	/* A device that goes back to the host takes files with it, in the loop's thread. */
	assert_true(WIFEXITED(status_of(SANDBOX_IO, SECCOMP_KILL, SANDBOX_HAS_HOST_DEVICES, &end)));
	assert_true(WIFSIGNALED(status_of(SANDBOX_IO, SECCOMP_KILL, 0, &end)));
	assert_true(
		WIFSIGNALED(status_of(SANDBOX_VCPU, SECCOMP_KILL, SANDBOX_HAS_HOST_DEVICES, &end)));
	/* And the rest stays forbidden: all but the last. */
	for (unsigned int i = 0; i + 1 < ARRAY_SIZE(forbidden); i++)
		assert_true(WIFSIGNALED(status_of(SANDBOX_VCPU, SECCOMP_KILL,
						  SANDBOX_HAS_HOST_DEVICES, &forbidden[i])));
}

/* Nor what a restart needs for machines that do not restart. */
static void test_restarts(void **state)
{
	const struct call calls[] = {
		{ SYS_ioctl, { -1, KVM_SET_SREGS, 0 } },
		{ SYS_pread64, { -1, 0, 0 } },
	};
	const struct call host = { SYS_ioctl, { -1, VFIO_DEVICE_SET_IRQS, 0 } };
	const unsigned int both = SANDBOX_RESTARTS | SANDBOX_HAS_HOST_DEVICES;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_true(WIFSIGNALED(status_of(SANDBOX_VCPU, SECCOMP_KILL, 0, &calls[i])));
		assert_true(WIFEXITED(
			status_of(SANDBOX_VCPU, SECCOMP_KILL, SANDBOX_RESTARTS, &calls[i])));
		assert_true(WIFEXITED(status_of(SANDBOX_VCPU, SECCOMP_KILL, both, &calls[i])));
		assert_true(WIFSIGNALED(status_of(SANDBOX_CONTROL, SECCOMP_KILL, both, &calls[i])));
	}
	assert_true(WIFSIGNALED(status_of(SANDBOX_VCPU, SECCOMP_KILL, SANDBOX_RESTARTS, &host)));
	assert_true(WIFEXITED(status_of(SANDBOX_VCPU, SECCOMP_KILL, both, &host)));
}

static void test_modes(void **state)
{
	(void)state;
	assert_true(WIFEXITED(status_after(SANDBOX_VCPU, SECCOMP_LOG, &forbidden[0])));
	assert_true(WIFEXITED(status_after(SANDBOX_VCPU, SECCOMP_OFF, &forbidden[0])));
}

static void test_rules(void **state)
{
	unsigned int count;
	const struct sandbox_rule *rules = sandbox_rules(&count);

	(void)state;
	for (unsigned int i = 0; i < count; i++) {
		assert_true(rules[i].call >= 0);
		assert_true(rules[i].threads && rules[i].threads < 1U << SANDBOX_THREADS);
		assert_non_null(rules[i].reason);
		assert_true(strlen(rules[i].reason) > 5);
		/* No ioctl without its number. */
		if (rules[i].call == SCMP_SYS(ioctl))
			assert_true(rules[i].request != SANDBOX_ANY_ARGUMENT);
		/* Not twice for one machine, unless for two reasons that it may not have. */
		for (unsigned int j = 0; j < i; j++)
			assert_false(rules[i].call == rules[j].call &&
				     rules[i].request == rules[j].request &&
				     rules[i].threads & rules[j].threads &&
				     (rules[i].when == rules[j].when ||
				      sandbox_applies(rules[i].when, 0) ||
				      sandbox_applies(rules[j].when, 0)));
	}
}

/* Paths are gone for the whole process, except for removing the control socket. */
static void test_paths(void **state)
{
	char directory[] = "/tmp/nidus-sandbox-XXXXXX";
	char file[64], other[] = "/tmp/nidus-sandbox-file-XXXXXX";
	int fd, status;
	pid_t child;

	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0) {
		print_message("this kernel has no Landlock\n");
		skip();
	}
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/socket", directory);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	fd = mkstemp(other);
	assert_true(fd >= 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (sandbox_enter(directory))
			_exit(1);
		if (open("/etc/passwd", O_RDONLY) >= 0 || open(file, O_RDONLY) >= 0)
			_exit(2);
		if (!unlink(other))
			_exit(3);
		if (unlink(file))
			_exit(4);
		if (write(fd, "x", 1) != 1)
			_exit(5);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
	unlink(other);
	rmdir(directory);
}

static int list_rules(void)
{
	unsigned int count;
	const struct sandbox_rule *rules = sandbox_rules(&count);

	for (int thread = 0; thread < SANDBOX_THREADS; thread++) {
		for (unsigned int i = 0; i < count; i++) {
			char *name =
				seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, rules[i].call);

			if (rules[i].threads & 1U << thread)
				printf("%s %s %s %s\n",
				       sandbox_thread_name((enum sandbox_thread)thread), name,
				       rules[i].request_name ? rules[i].request_name : "-",
				       rules[i].when == SANDBOX_USED ? "used" : "rare");
			free(name);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unlisted_dies), cmocka_unit_test(test_threads_differ),
		cmocka_unit_test(test_host_devices),  cmocka_unit_test(test_restarts),
		cmocka_unit_test(test_modes),	      cmocka_unit_test(test_rules),
		cmocka_unit_test(test_paths),
	};

	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list_rules();
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
