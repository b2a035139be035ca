/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket of a running VM, and its clients `nidus stats`, `trace`, `reset`, `stop` and
 * `list`.
 *
 * It is a SOCK_SEQPACKET socket NAME.sock in $XDG_RUNTIME_DIR/nidus, else /run/nidus for root, else
 * /tmp/nidus-UID; the directory belongs to the user and nobody else may enter it. A request is one
 * message: "stats", "stats json", "trace DEVICE", "reset" or "stop". The answer is one message:
 * "ok\n" and a text, or "error " and a reason. After that of "trace" come messages of lines, until
 * the client hangs up; one client at a time may trace.
 *
 * The server never blocks and holds a bounded state: CONTROL_CLIENTS clients (the oldest goes when
 * one more comes), each for at most CONTROL_PATIENCE seconds between requests (but for who traces),
 * requests of CONTROL_REQUEST_MAX bytes, answers of CONTROL_REPLY_MAX bytes.
 */
#ifndef NIDUS_VMM_CONTROL_H
#define NIDUS_VMM_CONTROL_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "vmm/config.h"

#define CONTROL_CLIENTS	    8
#define CONTROL_PATIENCE    5 /* seconds */
#define CONTROL_REQUEST_MAX 64
#define CONTROL_REPLY_MAX   65536

struct control;
struct trace;

struct control_ops {
	/* Writes the counters to @out, which holds CONTROL_REPLY_MAX bytes less a few. */
	void (*stats)(void *context, FILE *out, bool json);
	/* Asks the VM to end; must return at once. */
	void (*stop)(void *context);
	/* Asks the VM to be reset; must return at once. -EOPNOTSUPP: it does not restart. */
	int (*reset)(void *context);
	/* Has what @device does told to @trace; 0 or -ENOENT. It is ended by @device NULL. */
	int (*trace)(void *context, const char *device, struct trace *trace);
};

/*
 * Makes the socket of the VM @name. NULL with @error if a VM of this name runs or the socket cannot
 * be made; one that a dead VM left behind is replaced. Call it before the sandbox closes.
 */
struct control *control_open(const char *name, struct config_error *error);

/* A descriptor that is readable when control_serve() has something to do. */
int control_fd(const struct control *control);

/* The directory that holds the socket: control_close() must be allowed to unlink in it. */
const char *control_directory(const struct control *control);

/* Does what there is to do, and returns. One thread only. */
void control_serve(struct control *control, const struct control_ops *ops, void *context);

/* Hangs up on clients, unlinks the socket if it is still ours, and frees @control; NULL is fine. */
void control_close(struct control *control);

/* What the two sides share: control_path.c. */

/* Letters, digits, '.', '_' and '-', 1 to 64 of them, no dot first. */
bool control_name_valid(const char *name);

/*
 * Finds the directory of the sockets, and makes it if @create. 0, -ENOENT if there is none, or
 * -EINVAL with @error if it cannot be trusted.
 */
int control_find_directory(char path[PATH_MAX], bool create, struct config_error *error);

/* Connects to the VM @name; a descriptor, or negative errno: nobody listens. */
int control_connect(const char *directory, const char *name);

/*
 * Sends @request to the VM @name and stores the body of its answer. 0, or -EINVAL with @error.
 */
int control_ask(const char *name, const char *request, char body[CONTROL_REPLY_MAX + 1],
		struct config_error *error);

/* Client verbs; each returns an exit code and says on stderr what went wrong. */
int control_stats(const char *name, bool json);
int control_trace(const char *name, const char *device);
int control_stop(const char *name, unsigned int timeout);
int control_reset(const char *name);
int control_list(bool json);

#endif
