// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inject RULES PROGRAM [ARGUMENT]...: runs the program and makes system calls of it fail that
 * pass devices through: the calls of iommufd and VFIO by their names below, reads and writes by
 * the file that they are for. All others run at their full speed.
 *
 * The file RULES is read whenever one of these calls is made. Each of its lines is
 *
 *   CALL ERROR TIMES        such as: attach ENOMEM 1
 *
 * and fails the next TIMES calls of that name since the file was last written. What was failed is
 * told on standard error, as "injected CALL ERROR". Ends as the program ends.
 *
 * A filter (seccomp) in the program asks this one about the calls; what the program filters itself
 * stays in force.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfio_uapi.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RULES_MAX     8
#define ERRNO_MAX     134
#define FAULT_FILE    "anon_inode:[iommufd-pgfault]"

struct call {
	const char *name;
	long number;
	uint32_t request; /* of an ioctl */
};

static const struct call calls[] = {
	{ "ioas-alloc", SYS_ioctl, UAPI_IOMMU_IOAS_ALLOC },
	{ "ioas-map", SYS_ioctl, UAPI_IOMMU_IOAS_MAP },
	{ "ioas-copy", SYS_ioctl, UAPI_IOMMU_IOAS_COPY },
	{ "ioas-unmap", SYS_ioctl, UAPI_IOMMU_IOAS_UNMAP },
	{ "destroy", SYS_ioctl, UAPI_IOMMU_DESTROY },
	{ "hwpt-alloc", SYS_ioctl, UAPI_IOMMU_HWPT_ALLOC },
	{ "hwpt-invalidate", SYS_ioctl, UAPI_IOMMU_HWPT_INVALIDATE },
	{ "attach", SYS_ioctl, UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT },
	{ "detach", SYS_ioctl, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT },
	{ "set-irqs", SYS_ioctl, VFIO_DEVICE_SET_IRQS },
	{ "reset", SYS_ioctl, VFIO_DEVICE_RESET },
	{ "fault-read", SYS_read, 0 },
	{ "fault-write", SYS_write, 0 },
};

struct rule {
	char call[32], error[32];
	unsigned int times; /* that are left */
};

struct rules {
	const char *path;
	struct timespec written;
	ino_t inode;
	unsigned int count;
	struct rule rule[RULES_MAX];
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(125);
}

/* --- Rules --- */

/* The number of an error's name, or EIO. */
static int error_number(const char *name)
{
	for (int i = 1; i < ERRNO_MAX; i++) {
		const char *known = strerrorname_np(i);

		if (known && !strcmp(known, name))
			return i;
	}
	return EIO;
}

/* Reads the file anew if it is another one, or was written again. */
static void read_rules(struct rules *rules)
{
	struct stat now;
	FILE *file;

	if (stat(rules->path, &now)) {
		rules->count = 0;
		return;
	}
	if (now.st_ino == rules->inode && now.st_mtim.tv_sec == rules->written.tv_sec &&
	    now.st_mtim.tv_nsec == rules->written.tv_nsec)
		return;
	file = fopen(rules->path, "r");
	if (!file)
		return;
	rules->inode = now.st_ino;
	rules->written = now.st_mtim;
	for (rules->count = 0; rules->count < RULES_MAX; rules->count++) {
		struct rule *rule = &rules->rule[rules->count];

		if (fscanf(file, "%31s %31s %u", rule->call, rule->error, &rule->times) != 3)
			break;
	}
	fclose(file);
}

/* The error that this call is to end with, or 0. */
static int verdict(struct rules *rules, const struct call *call)
{
	read_rules(rules);
	for (unsigned int i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rule[i];

		if (!rule->times || strcmp(rule->call, call->name))
			continue;
		rule->times--;
		fprintf(stderr, "injected %s %s\n", rule->call, rule->error);
		return error_number(rule->error);
	}
	return 0;
}

/* --- In the program: the filter --- */

static int filter(void)
{
	struct sock_filter code[8 + 2 * ARRAY_SIZE(calls)];
	struct sock_fprog program = { .filter = code };
	unsigned int n = 0;

	/* Reads, writes, and the ioctls of the table: everything else goes ahead. */
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 4, 0);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 2, 0);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, args[1]));
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].number != SYS_ioctl)
			continue;
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 calls[i].request, 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("inject: no_new_privs");
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

/* --- Handing the listener over: not by write(), which waits for whoever has it --- */

union handle {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static void send_listener(int socket, int listener)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union handle handle = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
					    .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS } };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &handle,
				  .msg_controllen = sizeof(handle) };

	memcpy(CMSG_DATA(&handle.header), &listener, sizeof(listener));
	if (sendmsg(socket, &message, 0) < 0)
		_exit(125);
}

static int receive_listener(int socket)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union handle handle;
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &handle,
				  .msg_controllen = sizeof(handle) };
	int listener;

	if (recvmsg(socket, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		die("inject: no filter");
	memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(listener));
	return listener;
}

static _Noreturn void run(int socket, char **words)
{
	int listener = filter();

	if (listener < 0)
		_exit(125);
	send_listener(socket, listener);
	close(listener);
	close(socket);
	execvp(words[0], words);
	_exit(127);
}

/* --- Here: answers --- */

static bool is_fault_file(uint32_t pid, uint64_t fd)
{
	char link[64], target[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%u/fd/%llu", pid, (unsigned long long)fd);
	n = readlink(link, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = 0;
	return !strcmp(target, FAULT_FILE);
}

static const struct call *call_of(const struct seccomp_notif *asked)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *call = &calls[i];

		if (call->number == asked->data.nr &&
		    (call->number == SYS_ioctl ? call->request == (uint32_t)asked->data.args[1]
					       : is_fault_file(asked->pid, asked->data.args[0])))
			return call;
	}
	return NULL;
}

/* One call. False if the program is no more. */
static bool answer(int listener, struct rules *rules)
{
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp answer = { 0 };
	const struct call *call;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked))
		return errno == EINTR || errno == ENOENT;
	call = call_of(&asked);
	answer.id = asked.id;
	answer.error = call ? -verdict(rules, call) : 0;
	answer.flags = answer.error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	/* It may be gone meanwhile. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	return true;
}

int main(int argc, char **argv)
{
	struct rules rules = { .path = argc > 1 ? argv[1] : NULL };
	int sockets[2], status = 0;
	struct pollfd poller = { .events = POLLIN };
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: inject RULES PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		die("inject");
	pid = fork();
	if (pid < 0)
		die("inject");
	if (!pid)
		run(sockets[1], argv + 2);
	close(sockets[1]);
	poller.fd = receive_listener(sockets[0]);
	/* Nobody uses the filter any more: POLLHUP. */
	while (poll(&poller, 1, -1) >= 0 || errno == EINTR)
		if (poller.revents & POLLHUP || !answer(poller.fd, &rules))
			break;
	if (waitpid(pid, &status, 0) != pid)
		die("inject");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
