/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop on io_uring: turns, calls from other threads, life. Operations are prepared in
 * loop_ops.c.
 *
 * Submitting links an operation into a list; a turn moves the list into the submission ring, enters
 * the kernel once, and calls back what has completed. So no submission can fail, none needs the
 * ring to have room, and all of them may happen before the loop's thread exists.
 *
 * System calls once it runs: io_uring_enter; io_uring_register at the first turn; write on the wake
 * eventfd, from any thread.
 */
#include "devices/loop.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/loop_parts.h"

#define DEPTH_MAX    4096
#define USER_NOTHING 0 /* completions that nobody waits for */

/* --- A turn --- */

/* A free submission entry; makes room by submitting. NULL if the kernel takes nothing now. */
static struct io_uring_sqe *next_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (!sqe && io_uring_submit(&loop->ring) > 0)
		sqe = io_uring_get_sqe(&loop->ring);
	return sqe;
}

static void fill_sqe(struct loop *loop, struct io_uring_sqe *sqe, struct loop_op *op)
{
	int fixed = loop_fixed(loop, op->fd);
	bool registered = fixed != LOOP_FIXED_NONE;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op->opcode;
	sqe->flags = registered ? IOSQE_FIXED_FILE : 0;
	sqe->fd = registered ? fixed : op->fd;
	sqe->addr = op->address;
	sqe->off = op->offset;
	sqe->len = op->len;
	sqe->rw_flags = (int)op->flags; /* one union: fsync_flags, poll32_events */
	sqe->user_data = (uintptr_t)op;
}

/* Moves the ready list into the ring. False if something had to stay behind. */
static bool fill_ring(struct loop *loop, struct op_list *cancelled)
{
	struct loop_op *op;

	while ((op = loop->ready.first)) {
		struct io_uring_sqe *sqe;

		if (op->cancelled) {
			op_list_take(&loop->ready);
			op_list_append(cancelled, op);
			continue;
		}
		sqe = next_sqe(loop);
		if (!sqe)
			return false;
		op_list_take(&loop->ready);
		op->state = OP_SUBMITTED;
		fill_sqe(loop, sqe, op);
	}
	while (loop->cancels) {
		struct io_uring_sqe *sqe = next_sqe(loop);

		if (!sqe)
			return false;
		io_uring_prep_cancel(sqe, loop->cancels, 0);
		sqe->user_data = USER_NOTHING;
		loop->cancels = loop->cancels->next;
	}
	return true;
}

static void complete(struct loop *loop, struct loop_op *op, int result)
{
	/* A cancellation that has not gone out must not find whoever uses this memory next. */
	if (op->cancelled) {
		struct loop_op **at = &loop->cancels;

		while (*at && *at != op)
			at = &(*at)->next;
		if (*at)
			*at = op->next;
	}
	op->state = OP_IDLE;
	if (op != &loop->wake)
		loop->in_flight--;
	op->done(op, result);
}

static void call_back(struct loop *loop, struct op_list *cancelled)
{
	struct loop_op *op;

	/* Bound: what has arrived by now; callbacks may add more, which is for the next turn. */
	for (unsigned int n = io_uring_cq_ready(&loop->ring); n; n--) {
		struct io_uring_cqe *cqe;
		int result;

		if (io_uring_peek_cqe(&loop->ring, &cqe))
			break;
		op = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&loop->ring, cqe);
		if (op)
			complete(loop, op, result);
	}
	while ((op = op_list_take(cancelled)))
		complete(loop, op, -ECANCELED);
}

static void run_calls(struct loop *loop)
{
	struct loop_call *call, *next;

	pthread_mutex_lock(&loop->lock);
	call = loop->calls;
	loop->calls = NULL;
	loop->calls_end = &loop->calls;
	/* From here on a call may be posted again: `next` is read before that can happen. */
	for (; call; call = next) {
		next = call->next;
		call->queued = false;
		pthread_mutex_unlock(&loop->lock);
		call->run(call);
		pthread_mutex_lock(&loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
}

static void run_deferred(struct loop *loop)
{
	struct loop_deferred *deferred = loop->deferred, *next;

	loop->deferred = NULL;
	loop->deferred_end = &loop->deferred;
	for (; deferred; deferred = next) {
		next = deferred->next;
		deferred->queued = false;
		deferred->run(deferred);
	}
}

static void woken(struct loop_op *op, int result)
{
	struct loop *loop = container_of(op, struct loop, wake);

	(void)result; /* an eventfd that cannot be read is tried again with the next turn */
	loop->wake_armed = false;
}

static void arm_wake(struct loop *loop)
{
	if (loop->wake_armed)
		return;
	loop->wake_armed = true;
	loop->wake.done = woken;
	loop->wake.address = (uintptr_t)&loop->wake_count;
	loop->wake.len = sizeof(loop->wake_count);
	loop->wake.offset = 0;
	loop->wake.flags = 0;
	loop_prepare(loop, &loop->wake, IORING_OP_READ, loop->wake_fd);
}

/* liburing 2.3 declares io_uring_enable_rings(), but its shared library does not have it. */
static int enable_rings(struct loop *loop)
{
	if (syscall(SYS_io_uring_register, loop->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
		    0) < 0)
		return -errno;
	return 0;
}

int loop_adopt(struct loop *loop)
{
	int rc = loop->enabled ? 0 : enable_rings(loop);

	loop->enabled = !rc;
	return rc;
}

int loop_turn(struct loop *loop, bool wait)
{
	struct op_list cancelled;
	int rc = loop_adopt(loop);

	if (rc)
		return rc;
	op_list_init(&cancelled);
	arm_wake(loop);
	if (!fill_ring(loop, &cancelled) || cancelled.first || loop->deferred)
		wait = false;
	rc = wait ? io_uring_submit_and_wait(&loop->ring, 1)
		  : io_uring_submit_and_get_events(&loop->ring);
	call_back(loop, &cancelled);
	run_calls(loop);
	run_deferred(loop);
	/* A signal, a full completion ring or a lack of memory passes: the next turn goes on. */
	return rc < 0 && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN ? rc : 0;
}

int loop_run(struct loop *loop)
{
	while (!__atomic_exchange_n(&loop->stop, false, __ATOMIC_ACQUIRE)) {
		int rc = loop_turn(loop, true);

		if (rc)
			return rc;
	}
	return 0;
}

/* --- From other threads --- */

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	/* Async-signal-safe. The only error, a full counter, is a wake-up that is pending already.
	 */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_stop(struct loop *loop)
{
	int saved = errno;

	__atomic_store_n(&loop->stop, true, __ATOMIC_RELEASE);
	wake(loop);
	errno = saved;
}

void loop_post(struct loop *loop, struct loop_call *call)
{
	bool first;

	pthread_mutex_lock(&loop->lock);
	first = !loop->calls;
	if (!call->queued) {
		call->queued = true;
		call->next = NULL;
		*loop->calls_end = call;
		loop->calls_end = &call->next;
	}
	pthread_mutex_unlock(&loop->lock);
	if (first)
		wake(loop);
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
	if (deferred->queued)
		return;
	deferred->queued = true;
	deferred->next = NULL;
	*loop->deferred_end = deferred;
	loop->deferred_end = &deferred->next;
}

/* --- Life --- */

/* Kernels before 6.1 know fewer of the flags; they only make things faster. */
static int init_ring(struct io_uring *ring, unsigned int depth)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int rc = -EINVAL;

	for (unsigned int i = 0; i < ARRAY_SIZE(flags) && rc == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
			.cq_entries = depth * 4,
		};

		rc = io_uring_queue_init_params(depth, ring, &params);
	}
	return rc;
}

struct loop *loop_create(unsigned int depth)
{
	struct loop *loop;
	int rc = -EINVAL;

	if (!depth || depth > DEPTH_MAX)
		goto error;
	rc = -ENOMEM;
	loop = calloc(1, sizeof(*loop));
	if (!loop)
		goto error;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC);
	rc = -errno;
	if (loop->wake_fd < 0)
		goto free_loop;
	rc = init_ring(&loop->ring, depth);
	if (rc)
		goto close_wake;
	loop_reserve_files(loop);
	pthread_mutex_init(&loop->lock, NULL);
	op_list_init(&loop->ready);
	loop->deferred_end = &loop->deferred;
	loop->calls_end = &loop->calls;
	return loop;

close_wake:
	close(loop->wake_fd);
free_loop:
	free(loop);
error:
	errno = -rc;
	return NULL;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	io_uring_queue_exit(&loop->ring);
	close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
