/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of bytes between a front end and two host descriptors.
 *
 * The output buffer is a ring that any thread fills and the loop's thread empties. The input buffer
 * belongs to the loop's thread alone. System calls once it runs: none of its own; readv, writev and
 * poll through the ring.
 */
#include "devices/chardev.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"

#define READ_SIZE 1024

struct chardev {
	struct loop *loop;
	int in, out;
	const struct chardev_ops *ops;
	void *context;
	chardev_filter *filter;
	void *filter_context;

	pthread_mutex_t lock; /* protects the output ring, `starved` and `dead` */
	uint8_t output[CHARDEV_OUTPUT];
	size_t output_start, output_len;
	bool starved; /* a write was short: the front end waits for ops->writable */
	bool dead;    /* the host end is gone: output is thrown away */

	struct loop_call wake; /* output was queued, or the front end can receive */
	struct loop_op write_op;
	struct iovec write_iov[2];
	bool writing, given_up; /* output goes on no more, see chardev_flush() */

	struct loop_op read_op;
	struct iovec read_iov;
	uint8_t read_buffer[READ_SIZE];
	bool reading, stopped;
	bool terminal; /* input is read even if nobody takes it */
	uint8_t input[CHARDEV_INPUT];
	size_t input_len;
};

/* --- Output --- */

static void start_write(struct chardev *chardev);

static void output_failed(struct chardev *chardev, int error)
{
	if (!chardev->dead)
		log_warn(SERIAL, "output cannot be written (%s): the rest of it is thrown away",
			 strerror(error));
	pthread_mutex_lock(&chardev->lock);
	chardev->dead = true;
	chardev->output_len = 0;
	pthread_mutex_unlock(&chardev->lock);
}

static void output_written(struct chardev *chardev, size_t n)
{
	pthread_mutex_lock(&chardev->lock);
	chardev->output_start = (chardev->output_start + n) % CHARDEV_OUTPUT;
	chardev->output_len -= n;
	pthread_mutex_unlock(&chardev->lock);
}

static void poll_done(struct loop_op *op, int result)
{
	struct chardev *chardev = container_of(op, struct chardev, write_op);

	chardev->writing = false;
	if (result != -ECANCELED)
		start_write(chardev);
}

static void write_done(struct loop_op *op, int result)
{
	struct chardev *chardev = container_of(op, struct chardev, write_op);
	bool room;

	chardev->writing = false;
	if (result == -EAGAIN) {
		chardev->writing = true;
		op->done = poll_done;
		loop_poll(chardev->loop, op, chardev->out, POLLOUT);
		return;
	}
	if (result == -ECANCELED)
		return;
	if (result > 0)
		output_written(chardev, (size_t)result);
	else if (result != -EINTR)
		output_failed(chardev, result ? -result : EIO);
	start_write(chardev);

	pthread_mutex_lock(&chardev->lock);
	room = chardev->starved;
	chardev->starved = false;
	pthread_mutex_unlock(&chardev->lock);
	if (room && chardev->ops && chardev->ops->writable)
		chardev->ops->writable(chardev->context);
}

/* Writes what is queued, unless that is under way. Writers only append behind it meanwhile. */
static void start_write(struct chardev *chardev)
{
	size_t start, len, first;

	if (chardev->writing || chardev->given_up)
		return;
	pthread_mutex_lock(&chardev->lock);
	start = chardev->output_start;
	len = chardev->output_len;
	pthread_mutex_unlock(&chardev->lock);
	if (!len)
		return;
	first = min_u64(len, CHARDEV_OUTPUT - start);
	chardev->write_iov[0] = (struct iovec){ chardev->output + start, first };
	chardev->write_iov[1] = (struct iovec){ chardev->output, len - first };
	chardev->writing = true;
	chardev->write_op.done = write_done;
	/* Offset -1 is the file's own position, which O_APPEND and other writers move. */
	loop_writev(chardev->loop, &chardev->write_op, chardev->out, chardev->write_iov,
		    len > first ? 2 : 1, UINT64_MAX);
}

size_t chardev_write(struct chardev *chardev, const void *bytes, size_t len)
{
	size_t end, first, taken;

	pthread_mutex_lock(&chardev->lock);
	if (chardev->dead) {
		pthread_mutex_unlock(&chardev->lock);
		return len;
	}
	taken = min_u64(len, CHARDEV_OUTPUT - chardev->output_len);
	end = (chardev->output_start + chardev->output_len) % CHARDEV_OUTPUT;
	first = min_u64(taken, CHARDEV_OUTPUT - end);
	memcpy(chardev->output + end, bytes, first);
	memcpy(chardev->output, (const uint8_t *)bytes + first, taken - first);
	chardev->output_len += taken;
	if (taken < len)
		chardev->starved = true;
	pthread_mutex_unlock(&chardev->lock);
	if (taken)
		loop_post(chardev->loop, &chardev->wake);
	return taken;
}

size_t chardev_room(struct chardev *chardev)
{
	size_t room;

	pthread_mutex_lock(&chardev->lock);
	room = chardev->dead ? CHARDEV_OUTPUT : CHARDEV_OUTPUT - chardev->output_len;
	pthread_mutex_unlock(&chardev->lock);
	return room;
}

/* --- Input --- */

static void start_read(struct chardev *chardev);

static void deliver(struct chardev *chardev)
{
	size_t taken;

	if (!chardev->input_len || !chardev->ops || !chardev->ops->receive)
		return;
	taken = chardev->ops->receive(chardev->context, chardev->input, chardev->input_len);
	chardev->input_len -= taken;
	memmove(chardev->input, chardev->input + taken, chardev->input_len);
}

static void input_poll_done(struct loop_op *op, int result)
{
	struct chardev *chardev = container_of(op, struct chardev, read_op);

	chardev->reading = false;
	if (result > 0)
		start_read(chardev);
}

static void read_done(struct loop_op *op, int result)
{
	struct chardev *chardev = container_of(op, struct chardev, read_op);

	chardev->reading = false;
	if (chardev->stopped)
		return;
	if (result == -EAGAIN) {
		chardev->reading = true;
		op->done = input_poll_done;
		loop_poll(chardev->loop, op, chardev->in, POLLIN);
		return;
	}
	if (result <= 0 && result != -EINTR)
		return; /* the input has ended */
	for (int i = 0; i < result; i++) {
		uint8_t byte = chardev->read_buffer[i];

		if (chardev->filter && chardev->filter(chardev->filter_context, byte))
			continue;
		if (chardev->input_len < CHARDEV_INPUT)
			chardev->input[chardev->input_len++] = byte;
	}
	deliver(chardev);
	start_read(chardev);
}

static void start_read(struct chardev *chardev)
{
	size_t room = CHARDEV_INPUT - chardev->input_len;
	size_t len = chardev->terminal ? READ_SIZE : min_u64(room, READ_SIZE);

	if (chardev->in < 0 || chardev->reading || chardev->stopped || !len)
		return;
	chardev->reading = true;
	chardev->read_op.done = read_done;
	chardev->read_iov = (struct iovec){ chardev->read_buffer, len };
	loop_readv(chardev->loop, &chardev->read_op, chardev->in, &chardev->read_iov, 1,
		   UINT64_MAX);
}

static void woken(struct loop_call *call)
{
	struct chardev *chardev = container_of(call, struct chardev, wake);

	start_write(chardev);
	deliver(chardev);
	if (chardev->ops)
		start_read(chardev);
}

void chardev_resume(struct chardev *chardev)
{
	loop_post(chardev->loop, &chardev->wake);
}

/* --- Life --- */

void chardev_set_filter(struct chardev *chardev, chardev_filter *filter, void *context)
{
	chardev->filter = filter;
	chardev->filter_context = context;
}

void chardev_attach(struct chardev *chardev, const struct chardev_ops *ops, void *context)
{
	chardev->ops = ops;
	chardev->context = context;
	if (ops)
		start_read(chardev);
}

struct chardev *chardev_create(struct loop *loop, int in, int out)
{
	struct chardev *chardev = calloc(1, sizeof(*chardev));

	if (!chardev)
		return NULL;
	pthread_mutex_init(&chardev->lock, NULL);
	chardev->loop = loop;
	chardev->in = in;
	chardev->out = out;
	chardev->dead = out < 0;
	chardev->terminal = in >= 0 && isatty(in);
	chardev->wake.run = woken;
	return chardev;
}

void chardev_destroy(struct chardev *chardev)
{
	if (!chardev)
		return;
	pthread_mutex_destroy(&chardev->lock);
	free(chardev);
}

void chardev_stop(struct chardev *chardev)
{
	chardev->stopped = true;
	if (chardev->reading)
		loop_cancel(chardev->loop, &chardev->read_op);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int chardev_flush(struct chardev *chardev, unsigned int timeout_ms)
{
	uint64_t deadline = now_ms() + timeout_ms;
	size_t room;

	while ((room = chardev_room(chardev)) < CHARDEV_OUTPUT && now_ms() < deadline) {
		start_write(chardev);
		if (loop_turn(chardev->loop, false))
			break;
		if (chardev->writing)
			poll(NULL, 0, 1);
	}
	/* A cancelled write may still end with a part of its bytes, or with EINTR. */
	chardev->given_up = room < CHARDEV_OUTPUT;
	if (chardev->writing)
		loop_cancel(chardev->loop, &chardev->write_op);
	return room == CHARDEV_OUTPUT ? 0 : -ETIMEDOUT;
}
