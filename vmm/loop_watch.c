/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standing watches on eventfds: a read that is prepared anew each time it completes, with a poll
 * before it where the descriptor does not block.
 */
#include <errno.h>
#include <poll.h>

#include "devices/base.h"
#include "devices/loop.h"

static void watch_arm(struct loop_watch *watch);

static void watch_polled(struct loop_op *op, int result)
{
	struct loop_watch *watch = container_of(op, struct loop_watch, op);

	(void)result;
	if (watch->active)
		watch_arm(watch);
}

static void watch_done(struct loop_op *op, int result)
{
	struct loop_watch *watch = container_of(op, struct loop_watch, op);

	if (!watch->active)
		return;
	if (result == -EAGAIN) {
		op->done = watch_polled;
		loop_poll(watch->loop, op, watch->fd, POLLIN);
		return;
	}
	/* A descriptor that cannot be read at all would be read for ever. */
	if (result < 0 && result != -EINTR) {
		watch->active = false;
		return;
	}
	watch_arm(watch);
	if (result > 0)
		watch->fired(watch);
}

static void watch_arm(struct loop_watch *watch)
{
	watch->op.done = watch_done;
	loop_readv(watch->loop, &watch->op, watch->fd, &watch->iov, 1, 0);
}

void loop_watch(struct loop *loop, struct loop_watch *watch, int eventfd,
		void (*fired)(struct loop_watch *watch))
{
	*watch = (struct loop_watch){ .loop = loop, .fd = eventfd, .active = true, .fired = fired };
	watch->iov = (struct iovec){ &watch->count, sizeof(watch->count) };
	watch_arm(watch);
}

void loop_unwatch(struct loop_watch *watch)
{
	if (!watch->active)
		return;
	watch->active = false;
	loop_cancel(watch->loop, &watch->op);
}
