// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's side of the control socket; see control.h.
 *
 * One epoll descriptor stands for the listener, the clients and a timer, so that the owner has one
 * thing to wait for. System calls once it is open: epoll_wait, epoll_ctl, accept4, recvfrom,
 * sendto, timerfd_settime, read, close, clock_gettime (mostly in the vDSO); at the end newfstatat,
 * unlinkat.
 */
#include "vmm/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/control_socket.h"
#include "vmm/trace.h"

/* What an event's data says: a client's index, or one of these. */
enum { EVENT_LISTENER = CONTROL_CLIENTS, EVENT_TIMER, EVENT_TRACE, EVENTS };

#define TRACE_MESSAGE 4096 /* bytes of lines in one message */
#define TRACE_BURST   16   /* messages before others get their turn */

struct client {
	int fd;	      /* -1: free */
	time_t since; /* of the last request, or of its coming */
};

struct control {
	struct control_socket socket;
	int epoll;
	int timer; /* ticks every second while there are clients */
	unsigned int count;
	struct client client[CONTROL_CLIENTS];
	const struct control_ops *ops; /* of the owner, while it serves and while a client traces */
	void *context;
	struct trace *trace;
	struct client *tracer; /* NULL: nobody traces */
	size_t pending;	       /* bytes in message[] that the tracer's socket did not take yet */
	char message[TRACE_MESSAGE];
	char reply[CONTROL_REPLY_MAX];
};

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void set_timer(struct control *control, bool on)
{
	struct itimerspec second = { { on, 0 }, { on, 0 } };

	/* Cannot fail with these arguments; if it did, only the patience would be lost. */
	timerfd_settime(control->timer, 0, &second, NULL);
}

static void drop_client(struct control *control, struct client *client)
{
	if (client->fd < 0)
		return;
	if (control->tracer == client) {
		control->ops->trace(control->context, NULL, NULL);
		control->tracer = NULL;
	}
	close(client->fd); /* leaves the epoll set by itself */
	client->fd = -1;
	if (!--control->count)
		set_timer(control, false);
}

static int watch(struct control *control, int fd, unsigned int tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = tag };

	return epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* A free place, or that of the client that has been silent for longest and does not trace. */
static struct client *find_place(struct control *control)
{
	struct client *oldest = &control->client[control->tracer == &control->client[0]];

	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *client = &control->client[i];

		if (client->fd < 0)
			return client;
		if (client != control->tracer && client->since < oldest->since)
			oldest = client;
	}
	drop_client(control, oldest);
	return oldest;
}

static void accept_client(struct control *control)
{
	int fd = accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			log_debug(CONTROL, "cannot accept a client: %s", strerror(errno));
		return;
	}
	client = find_place(control);
	if (watch(control, fd, (unsigned int)(client - control->client))) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->since = now();
	if (!control->count++)
		set_timer(control, true);
}

static void expire_clients(struct control *control)
{
	time_t limit = now() - CONTROL_PATIENCE;
	uint64_t ticks;

	if (read(control->timer, &ticks, sizeof(ticks)) < 0)
		return;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->client[i].fd >= 0 && control->client[i].since <= limit &&
		    &control->client[i] != control->tracer)
			drop_client(control, &control->client[i]);
}

/* --- Tracing --- */

static void watch_output(struct control *control, const struct client *client, bool on)
{
	struct epoll_event event = { .events = on ? EPOLLIN | EPOLLOUT : EPOLLIN,
				     .data.u32 = (uint32_t)(client - control->client) };

	/* Cannot fail: the descriptor is in the set. */
	epoll_ctl(control->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

/* Sends one message of lines. 1; 0 if there are none; -EAGAIN if there is no room; or an error. */
static int send_lines(struct control *control)
{
	if (!control->pending)
		control->pending = trace_take(control->trace, control->message, TRACE_MESSAGE);
	if (!control->pending)
		return 0;
	if (send(control->tracer->fd, control->message, control->pending,
		 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	control->pending = 0;
	return 1;
}

/* Who reads slowly is asked for again when there is room; meanwhile the ring fills, and drops. */
static void feed_tracer(struct control *control)
{
	int rc = 1;

	for (unsigned int i = 0; control->tracer && i < TRACE_BURST && rc > 0; i++)
		rc = send_lines(control);
	if (!control->tracer)
		return;
	if (rc < 0 && rc != -EAGAIN)
		drop_client(control, control->tracer);
	else
		watch_output(control, control->tracer, rc);
}

static void acknowledge_trace(struct control *control)
{
	trace_acknowledge(control->trace);
	feed_tracer(control);
}

/* Fills control->reply; returns its length. */
static size_t reply_text(struct control *control, const char *text)
{
	return (size_t)snprintf(control->reply, sizeof(control->reply), "%s", text);
}

static size_t reply_stats(struct control *control, const struct control_ops *ops, void *context,
			  bool json)
{
	FILE *out = fmemopen(control->reply, sizeof(control->reply), "w");
	bool failed;
	long end;

	if (!out)
		return reply_text(control, "error out of memory");
	fputs("ok\n", out);
	ops->stats(context, out, json);
	failed = fflush(out) || ferror(out);
	end = ftell(out);
	if (fclose(out) || failed || end < 0)
		return reply_text(control, "error the counters are too many for one answer");
	return (size_t)end;
}

static size_t reply_trace(struct control *control, struct client *client, const char *device)
{
	if (control->tracer)
		return reply_text(control, "error somebody else traces; try again later");
	control->pending = 0;
	trace_reset(control->trace);
	if (control->ops->trace(control->context, device, control->trace))
		return reply_text(control,
				  "error no device of that name is behind a remapping unit; "
				  "see nidus stats for those that are");
	control->tracer = client;
	return reply_text(control, "ok\n");
}

static size_t reply_reset(struct control *control, const struct control_ops *ops, void *context)
{
	if (ops->reset && !ops->reset(context))
		return reply_text(control, "ok\n");
	return reply_text(control, "error a reset would end it; run it with --restart for this, or "
				   "end it: nidus stop");
}

static size_t answer(struct control *control, struct client *client, const char *request)
{
	const struct control_ops *ops = control->ops;
	void *context = control->context;

	if (!strcmp(request, "stats"))
		return reply_stats(control, ops, context, false);
	if (!strcmp(request, "stats json"))
		return reply_stats(control, ops, context, true);
	if (!strcmp(request, "stop")) {
		ops->stop(context);
		return reply_text(control, "ok\n");
	}
	if (!strcmp(request, "reset"))
		return reply_reset(control, ops, context);
	if (!strncmp(request, "trace ", 6) && ops->trace)
		return reply_trace(control, client, request + 6);
	return reply_text(control, "error unknown request; valid ones: stats, stats json, trace "
				   "DEVICE, reset, stop");
}

static void serve_client(struct control *control, struct client *client)
{
	char request[CONTROL_REQUEST_MAX + 1];
	ssize_t n = recv(client->fd, request, CONTROL_REQUEST_MAX, MSG_DONTWAIT | MSG_TRUNC);
	size_t len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || client == control->tracer) {
		drop_client(control, client);
		return;
	}
	client->since = now();
	if (n > CONTROL_REQUEST_MAX) {
		len = reply_text(control, "error the request is too long");
	} else {
		request[n] = '\0';
		if (n && request[n - 1] == '\n')
			request[n - 1] = '\0';
		len = answer(control, client, request);
	}
	/* Who asks but does not read has a full buffer some day, and is not waited for. */
	if (send(client->fd, control->reply, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		drop_client(control, client);
}

void control_serve(struct control *control, const struct control_ops *ops, void *context)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(control->epoll, events, EVENTS, 0);

	control->ops = ops;
	control->context = context;
	for (int i = 0; i < n; i++) {
		unsigned int tag = events[i].data.u32;

		/* A client's place may have been emptied, or filled anew, by an event before. */
		if (tag < CONTROL_CLIENTS && control->client[tag].fd >= 0 &&
		    events[i].events & ~(uint32_t)EPOLLOUT)
			serve_client(control, &control->client[tag]);
		else if (tag < CONTROL_CLIENTS)
			feed_tracer(control);
		else if (tag == EVENT_LISTENER)
			accept_client(control);
		else if (tag == EVENT_TIMER)
			expire_clients(control);
		else if (tag == EVENT_TRACE)
			acknowledge_trace(control);
	}
}

int control_fd(const struct control *control)
{
	return control->epoll;
}

const char *control_directory(const struct control *control)
{
	return control->socket.directory;
}

static int open_events(struct control *control)
{
	int r;

	control->epoll = epoll_create1(EPOLL_CLOEXEC);
	control->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (control->epoll < 0 || control->timer < 0)
		return -errno;
	control->trace = trace_create();
	if (!control->trace)
		return -errno;
	r = watch(control, control->timer, EVENT_TIMER);
	if (!r)
		r = watch(control, trace_event(control->trace), EVENT_TRACE);
	return r ? r : watch(control, control->socket.fd, EVENT_LISTENER);
}

struct control *control_open(const char *name, struct config_error *error)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		config_fail(error, "--name: out of memory");
		return NULL;
	}
	control->epoll = control->timer = -1;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		control->client[i].fd = -1;
	if (!control_socket_open(&control->socket, name, error)) {
		int rc = open_events(control);

		if (!rc)
			return control;
		config_fail(error, "--name: cannot wait for clients: %s", strerror(-rc));
	}
	control_close(control);
	return NULL;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	control_socket_close(&control->socket);
	if (control->tracer)
		drop_client(control, control->tracer);
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->client[i].fd >= 0)
			close(control->client[i].fd);
	trace_destroy(control->trace);
	if (control->epoll >= 0)
		close(control->epoll);
	if (control->timer >= 0)
		close(control->timer);
	free(control);
}
