/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of our rights once the VM is built.
 *
 * sandbox_enter() is for the whole process, before threads exist: no_new_privs, Landlock (no path
 * can be opened any more), no capabilities. Then each thread closes its own filter of system calls
 * with sandbox_filter(): the calls, and the numbers of its ioctls, with a reason for each.
 *
 * The rules are a table, sandbox_rules.c; its filters are made while Nidus is built
 * (gen/filters.c), so that a VM starts without compiling them.
 */
#ifndef NIDUS_VMM_SANDBOX_H
#define NIDUS_VMM_SANDBOX_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"

enum sandbox_thread { SANDBOX_VCPU, SANDBOX_IO, SANDBOX_CONTROL, SANDBOX_THREADS };

/* When a call is made: tests show of all that are used that they are. */
enum sandbox_when {
	SANDBOX_USED,
	SANDBOX_RARE,	      /* no test can bring it about at will */
	SANDBOX_HOST_DEVICES, /* by machines that have devices of the host, and by no others */
	SANDBOX_RESTART,      /* by machines that restart, and by no others */
};

/* What a machine has that needs more; a set of bits. */
enum sandbox_machine { SANDBOX_HAS_HOST_DEVICES = 1, SANDBOX_RESTARTS = 2, SANDBOX_MACHINES = 4 };

#define SANDBOX_ANY_ARGUMENT UINT64_MAX

/* A system call that threads of the kinds in @threads may make, and why. */
struct sandbox_rule {
	int call;	      /* its number */
	unsigned int threads; /* 1 << enum sandbox_thread */
	uint64_t request;     /* the ioctl's number, or SANDBOX_ANY_ARGUMENT */
	const char *request_name;
	enum sandbox_when when;
	const char *reason;
};

/* All rules; *@count is their number. */
const struct sandbox_rule *sandbox_rules(unsigned int *count);
const char *sandbox_thread_name(enum sandbox_thread thread);

/* Whether a call that is made @when is one of machines of this kind. */
bool sandbox_applies(enum sandbox_when when, unsigned int machine);

/* The filters of the rules, by sets of enum sandbox_machine, and for SECCOMP_KILL and SECCOMP_LOG;
 * generated. */
extern const struct sock_fprog sandbox_filters[SANDBOX_MACHINES][SANDBOX_THREADS][SECCOMP_OFF];

/* The set of the machine that @config describes. */
unsigned int sandbox_machine(const struct vm_config *config);

/*
 * Gives up privileges of the process for good. @writable_dir is the one directory in which files
 * may still be removed (the control socket's), or NULL. 0, or negative errno after a line on
 * stderr.
 */
int sandbox_enter(const char *writable_dir);

/*
 * Closes the calling thread's filter; @machine is a set of enum sandbox_machine. 0, or negative
 * errno after a line on stderr.
 */
int sandbox_filter(enum sandbox_thread thread, enum seccomp_mode mode, unsigned int machine);

#endif
