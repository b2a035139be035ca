/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/terminal.h"

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

/*
 * A thread that allocates for the first time gets an arena of its own, by mmap(). Nidus does not
 * allocate under a filter, but the C library may, to word an error: so the arena is made before.
 */
static void make_arena(void)
{
	void *volatile block = malloc(1);

	free(block);
}

unsigned int sandbox_machine(const struct vm_config *config)
{
	return (config->vfio_count ? SANDBOX_HAS_HOST_DEVICES : 0U) |
	       (config->restart ? SANDBOX_RESTARTS : 0U);
}

int sandbox_filter(enum sandbox_thread thread, enum seccomp_mode mode, unsigned int machine)
{
	int rc = 0;

	if (mode == SECCOMP_OFF)
		return 0;
	make_arena();
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
		    &sandbox_filters[machine][thread][mode]) < 0)
		rc = -errno;
	if (rc)
		log_error(SANDBOX, "the filter of the %s thread could not be loaded: %s",
			  sandbox_thread_name(thread), strerror(-rc));
	return rc;
}
