/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: one io_uring, one thread, all I/O of all devices.
 *
 * Devices submit operations and are called back with the result; a submission costs no system call
 * of its own, everything that one turn of the loop prepares goes to the kernel at once. Unless a
 * function says otherwise, call it from the loop's thread, or before that thread runs. The ring
 * belongs to the thread that makes the first turn: all later turns are made in it.
 */
#ifndef NIDUS_DEVICES_LOOP_H
#define NIDUS_DEVICES_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct __kernel_timespec;
struct loop;
struct loop_op;

/* @result is what the system call would have returned: bytes or 0, or a negative errno. */
typedef void loop_done(struct loop_op *op, int result);

/*
 * One operation in flight: embedded in the caller's structure, which must stay where it is until
 * `done` has been called. The callback may submit the same operation again, and may free it. Zeroed
 * before its first use; only `done` is the caller's to set.
 */
struct loop_op {
	loop_done *done;
	/* The loop's own: what to submit, and where the operation stands. */
	struct loop_op *next;
	uint64_t address, offset;
	uint32_t len, flags;
	int fd;
	uint8_t opcode;
	uint8_t state;
	bool cancelled;
};

/*
 * Creates a loop that hands @depth operations (1 to 4096) to the kernel at once; any number may be
 * in flight. NULL: errno is set.
 */
struct loop *loop_create(unsigned int depth);

/*
 * Frees the loop. The kernel may have no operation: all have been called back. If there never was a
 * turn it has none, and what was submitted is dropped without a call: its memory may have gone
 * before, but after the first of it nothing may be submitted, nor a turn be made.
 */
void loop_destroy(struct loop *loop);

/*
 * Makes the calling thread the loop's, for good. The first turn does it otherwise; a thread that is
 * about to close its system calls does it before. 0 or negative errno.
 */
int loop_adopt(struct loop *loop);

/*
 * Runs turns until loop_stop(), which may come before. Returns 0, or a negative errno if the ring
 * itself fails.
 */
int loop_run(struct loop *loop);

/*
 * One turn: submits what is prepared, waits for at least one completion if @wait, calls back. 0, or
 * a negative errno if the ring itself fails; an interrupted wait is not a failure.
 */
int loop_turn(struct loop *loop, bool wait);

/* Makes loop_run() return after its current turn. Any thread, and a signal handler. */
void loop_stop(struct loop *loop);

/* Operations that were submitted and have not been called back. */
unsigned int loop_in_flight(const struct loop *loop);

/*
 * Operations on @fd will be many: lets the kernel look it up once. The ring then holds the file
 * open until loop_unregister_file() or loop_destroy(). Only makes things faster: failure changes
 * nothing.
 */
void loop_register_file(struct loop *loop, int fd);
void loop_unregister_file(struct loop *loop, int fd);

/*
 * Lets go of all of them, at the end, when nothing is in flight: what a ring still holds when it is
 * closed, the kernel gives back some time later, and with it locks on disk images. Loop thread.
 */
void loop_release_files(struct loop *loop);

/* The usual system calls. @iov must live until the callback. @offset is ignored for streams: pass
 * 0. */
void loop_readv(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov,
		unsigned int count, uint64_t offset);
void loop_writev(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov,
		 unsigned int count, uint64_t offset);
void loop_fdatasync(struct loop *loop, struct loop_op *op, int fd);
void loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset,
		    uint64_t len);
/* Calls back once when any of @events (POLLIN, ...) is there; the result is the events' mask. */
void loop_poll(struct loop *loop, struct loop_op *op, int fd, unsigned int events);

/* Calls back with -ETIME when @time, which must live until then, has passed. */
void loop_timeout(struct loop *loop, struct loop_op *op, const struct __kernel_timespec *time);

/* Asks for @op to end early: its callback comes soon, with -ECANCELED or with its true result. */
void loop_cancel(struct loop *loop, struct loop_op *op);

/*
 * A standing watch on an eventfd: every time it is written, it is drained and @fired called in the
 * loop's thread. Re-arms itself until loop_unwatch().
 */
struct loop_watch {
	struct loop_op op;
	struct loop *loop;
	struct iovec iov;
	uint64_t count; /* what the eventfd held */
	int fd;
	bool active;
	void (*fired)(struct loop_watch *watch);
};

/* A blocking eventfd (no EFD_NONBLOCK) saves a poll each time; the loop never blocks on either. */
void loop_watch(struct loop *loop, struct loop_watch *watch, int eventfd,
		void (*fired)(struct loop_watch *watch));
/* Stops a watch: never fires again. It is out of the loop once loop_in_flight() no longer counts
 * it. */
void loop_unwatch(struct loop_watch *watch);

/*
 * Work for the end of the current turn, after all completions that arrived together were called
 * back: where a device signals one interrupt for many requests. Submitting twice is submitting
 * once. What deferred work itself defers runs in the next turn, which then does not wait.
 */
struct loop_deferred {
	struct loop_deferred *next;
	bool queued;
	void (*run)(struct loop_deferred *deferred);
};

void loop_defer(struct loop *loop, struct loop_deferred *deferred);

/*
 * Work for the loop from another thread: @call->run is called in the loop's thread soon. Any
 * thread. A call that is already pending is not queued twice.
 */
struct loop_call {
	struct loop_call *next;
	bool queued; /* the loop's lock */
	void (*run)(struct loop_call *call);
};

void loop_post(struct loop *loop, struct loop_call *call);

#endif
