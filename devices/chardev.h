/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of bytes between one front end (16550, virtio-console) and two host descriptors.
 *
 * Output goes through a bounded buffer that the loop writes out: front ends in vCPU threads never
 * wait. When the buffer is full a write is short, and ops->writable is called when there is room
 * again; nothing is lost on the way. Input is read by the loop and handed to ops->receive; what the
 * front end does not take waits for chardev_resume(). A terminal is read on even while the guest
 * takes nothing, so that the filter always sees an escape; what does not fit is dropped then. Other
 * inputs are only read as fast as the guest takes them.
 */
#ifndef NIDUS_DEVICES_CHARDEV_H
#define NIDUS_DEVICES_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/loop.h"

#define CHARDEV_OUTPUT 65536 /* bytes that may wait for the host */
#define CHARDEV_INPUT  4096  /* bytes that may wait for the guest */

struct chardev;

/* The front end. Both are called in the loop's thread, without any lock of the chardev. */
struct chardev_ops {
	/* Takes up to @len bytes and returns how many; fewer than @len stops the input. May be
	 * NULL. */
	size_t (*receive)(void *context, const uint8_t *bytes, size_t len);
	/* There is room again after a short chardev_write(). May be NULL. */
	void (*writable)(void *context);
};

/* Sees every byte of input before the front end; true: it was for the filter, drop it. */
typedef bool chardev_filter(void *context, uint8_t byte);

/*
 * @in and @out may each be -1: no input, or output that is thrown away. They stay the caller's, and
 * must be open until chardev_destroy(). NULL: out of memory.
 */
struct chardev *chardev_create(struct loop *loop, int in, int out);

/* The loop must have no operation of @chardev in flight: after chardev_stop() and a drain. */
void chardev_destroy(struct chardev *chardev);

/* Before the loop runs, or in its thread. The input starts with the first chardev_attach(). */
void chardev_set_filter(struct chardev *chardev, chardev_filter *filter, void *context);
void chardev_attach(struct chardev *chardev, const struct chardev_ops *ops, void *context);

/* Queues up to @len bytes of output and returns how many were taken. Any thread; never waits. */
size_t chardev_write(struct chardev *chardev, const void *bytes, size_t len);

/* How many bytes chardev_write() would take now. Any thread. */
size_t chardev_room(struct chardev *chardev);

/* The front end can receive again. Any thread; receive is called later, in the loop's thread. */
void chardev_resume(struct chardev *chardev);

/* Ends the input: cancels the read. Loop thread. Output goes on. */
void chardev_stop(struct chardev *chardev);

/*
 * Turns the loop until all output has been written, or for @timeout_ms milliseconds, and cancels
 * what is left. Call in the thread that ran the loop, after loop_run() has returned. 0, or
 * -ETIMEDOUT if bytes were lost.
 */
int chardev_flush(struct chardev *chardev, unsigned int timeout_ms);

#endif
