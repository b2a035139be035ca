/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/terminal.h"

#define VCPU	(1U << SANDBOX_VCPU)
#define IO	(1U << SANDBOX_IO)
#define CONTROL (1U << SANDBOX_CONTROL)
#define ALL	(VCPU | IO | CONTROL)

/* clang-format off */
#define CALL(name, threads, reason) \
	{ SCMP_SYS(name), threads, SANDBOX_ANY_ARGUMENT, NULL, false, reason }
#define RARE(name, threads, reason) \
	{ SCMP_SYS(name), threads, SANDBOX_ANY_ARGUMENT, NULL, true, reason }
#define IOCTL(request, threads, reason) \
	{ SCMP_SYS(ioctl), threads, request, #request, false, reason }
#define RING(request, threads, reason) \
	{ SCMP_SYS(io_uring_register), threads, request, #request, false, reason }

static const struct sandbox_rule rules[] = {
	IOCTL(KVM_RUN, VCPU, "run the guest"),
	IOCTL(KVM_SIGNAL_MSI, VCPU | IO, "a wired interrupt: the IOAPIC sends its message"),
	IOCTL(KVM_SET_GSI_ROUTING, VCPU, "the guest programs the IOAPIC or MSI-X"),
	IOCTL(KVM_IOEVENTFD, VCPU, "the guest moves a BAR that holds doorbells"),
	{ SCMP_SYS(ioctl), VCPU, KVM_GET_REGS, "KVM_GET_REGS", true,
	  "report where the guest was when KVM gave up" },
	{ SCMP_SYS(ioctl), VCPU, KVM_GET_SREGS, "KVM_GET_SREGS", true,
	  "report where the guest was when KVM gave up" },
	IOCTL(TUNSETOFFLOAD, IO, "the guest negotiates network offloads"),
	IOCTL(TUNSETQUEUE, IO, "the guest chooses its number of queue pairs"),
	IOCTL(TCSETS, CONTROL, "put the terminal back in order"),
	{ SCMP_SYS(ioctl), VCPU | IO, TCSETS, "TCSETS", true, "the same after a fatal signal" },
	RING(IORING_UNREGISTER_FILES, IO, "the ring lets go of disk images, and so of locks"),
	CALL(io_uring_enter, IO, "all I/O of disks and streams, and waiting for it"),
	CALL(read, CONTROL, "signals"),
	CALL(readv, IO, "packets from a tap"),
	CALL(write, ALL, "eventfds, messages"),
	CALL(getrandom, IO, "virtio-rng"),
	CALL(futex, ALL, "locks, and waiting for threads"),
	CALL(epoll_wait, CONTROL, "which control client has a request"),
	CALL(epoll_ctl, CONTROL, "control clients come and go"),
	CALL(timerfd_settime, CONTROL, "hang up on control clients that are silent"),
	CALL(poll, CONTROL, "wait for signals, control clients and the end"),
	RARE(poll, VCPU | IO, "whether somebody takes a message, or the guest's last output"),
	CALL(accept4, CONTROL, "a control client"),
	CALL(recvfrom, CONTROL, "a control client's request"),
	CALL(sendto, CONTROL, "the answer to a control client"),
	CALL(newfstatat, CONTROL, "is the control socket still ours?"),
	CALL(unlinkat, CONTROL, "remove the control socket"),
	CALL(tgkill, CONTROL, "take vCPUs out of the guest"),
	CALL(getpid, CONTROL, "pthread_kill()"),
	CALL(close, CONTROL, "teardown"),
	CALL(munmap, CONTROL, "teardown"),
	CALL(madvise, VCPU | IO, "the stack of a thread that ends"),
	RARE(munmap, VCPU | IO, "the same, if the C library keeps too many of them already"),
	RARE(mmap, CONTROL, "malloc() of something large"),
	RARE(brk, CONTROL, "malloc()"),
	RARE(clock_gettime, ALL, "where the vDSO cannot tell the time"),
	RARE(time, VCPU, "the same, for the RTC"),
	CALL(rt_sigreturn, VCPU, "return from the signal that stops vCPUs"),
	RARE(rt_sigreturn, IO | CONTROL, "return from a fatal signal, to meet it again"),
	CALL(rt_sigprocmask, ALL, "pthread_kill(), and a thread that ends, block signals"),
	RARE(restart_syscall, ALL, "the kernel goes on with a call after a stop (Ctrl-Z)"),
	CALL(exit, VCPU | IO, "a thread ends"),
	CALL(exit_group, CONTROL, "the process ends"),
};
/* clang-format on */

static const char *const thread_names[SANDBOX_THREADS] = {
	[SANDBOX_VCPU] = "vcpu",
	[SANDBOX_IO] = "io",
	[SANDBOX_CONTROL] = "control",
};

const struct sandbox_rule *sandbox_rules(unsigned int *count)
{
	*count = ARRAY_SIZE(rules);
	return rules;
}

const char *sandbox_thread_name(enum sandbox_thread thread)
{
	return thread_names[thread];
}

/* --- What happens to an unlisted call --- */

/*
 * The filter makes it a SIGSYS, which this handler reports, with the terminal put back in order. It
 * does not return: the handler is gone by SA_RESETHAND, so that one more unlisted call is the end,
 * with the signal as status. Nobody can put another handler in its place: sigaction() is unlisted.
 */
static void report_call(int signal_number, siginfo_t *info, void *context)
{
	static const char text[] =
		"nidus: [error] sandbox: killed by an unlisted system call, number ";
	char line[sizeof(text) + 16];
	size_t len = sizeof(text) - 1;
	unsigned int divisor = 1000, call = (unsigned int)info->si_syscall % 10000;

	(void)signal_number;
	(void)context;
	terminal_restore();
	memcpy(line, text, len);
	for (; divisor; divisor /= 10)
		if (call >= divisor || divisor == 1)
			line[len++] = (char)('0' + call / divisor % 10);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		syscall(SYS_getppid);
	for (;;)
		syscall(SYS_getppid);
}

static int catch_unlisted_calls(void)
{
	struct sigaction action = { .sa_sigaction = report_call,
				    .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER };

	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

/* --- The process --- */

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* The bounding set first: it needs a capability itself, and root only. Failing is fine. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Every right on files that the running kernel's Landlock knows, by its version (landlock(7)). */
static uint64_t landlock_rights(long abi)
{
	uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* version 1 */

	if (abi >= 2)
		rights |= UINT64_C(1) << 13; /* refer */
	if (abi >= 3)
		rights |= UINT64_C(1) << 14; /* truncate */
	return rights;
}

static int allow_removal(int ruleset, const char *directory)
{
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE,
		.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	int rc = 0;

	if (beneath.parent_fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		rc = -errno;
	close(beneath.parent_fd);
	return rc;
}

static int close_paths(const char *writable_dir)
{
	struct landlock_ruleset_attr attr = { 0 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, rc = 0;

	if (abi < 0) {
		log_info(SANDBOX, "this kernel has no Landlock (%s); seccomp alone closes paths",
			 strerror(errno));
		return 0;
	}
	attr.handled_access_fs = landlock_rights(abi);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	if (writable_dir)
		rc = allow_removal(ruleset, writable_dir);
	if (!rc && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		rc = -errno;
	close(ruleset);
	return rc;
}

int sandbox_enter(const char *writable_dir)
{
	int rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;

	if (!rc)
		rc = close_paths(writable_dir);
	if (!rc)
		rc = drop_capabilities();
	if (!rc)
		rc = catch_unlisted_calls();
	if (rc)
		log_error(SANDBOX, "privileges could not be dropped: %s", strerror(-rc));
	return rc;
}

/* --- Threads --- */

static int add_rules(scmp_filter_ctx filter, enum sandbox_thread thread)
{
	/* The number of the request is the second argument of every call that is told apart by it.
	 */
	struct scmp_arg_cmp request = { .arg = 1, .op = SCMP_CMP_EQ };

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct sandbox_rule *rule = &rules[i];
		int rc;

		if (!(rule->threads & 1U << thread))
			continue;
		request.datum_a = rule->request;
		if (rule->request == SANDBOX_ANY_ARGUMENT)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, rule->call, 0);
		else
			rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, 1,
						    &request);
		if (rc)
			return rc;
	}
	return 0;
}

int sandbox_filter(enum sandbox_thread thread, enum seccomp_mode mode)
{
	scmp_filter_ctx filter;
	int rc;

	if (mode == SECCOMP_OFF)
		return 0;
	filter = seccomp_init(mode == SECCOMP_LOG ? SCMP_ACT_LOG : SCMP_ACT_TRAP);
	if (!filter)
		return -ENOMEM;
	rc = add_rules(filter, thread);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc)
		log_error(SANDBOX, "the filter of the %s thread could not be loaded: %s",
			  thread_names[thread], strerror(-rc));
	return rc;
}
