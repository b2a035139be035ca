/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm/loop.c: operations, watches, deferred work, calls from other threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/time_types.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/loop.h"

#define DEPTH 8

struct bench {
	struct loop *loop;
	int pipe[2];
	int file;
	int event;
};

static int setup_bench(void **state)
{
	char path[] = "/tmp/nidus-loop-XXXXXX";
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = loop_create(DEPTH);
	assert_non_null(b->loop);
	assert_int_equal(pipe(b->pipe), 0);
	b->file = mkstemp(path);
	assert_true(b->file >= 0);
	unlink(path);
	b->event = eventfd(0, 0);
	*state = b;
	return 0;
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	assert_int_equal(loop_in_flight(b->loop), 0);
	loop_destroy(b->loop);
	close(b->pipe[0]);
	close(b->pipe[1]);
	close(b->file);
	close(b->event);
	free(b);
	return 0;
}

struct result {
	struct loop_op op;
	unsigned int calls;
	int value;
};

static void done(struct loop_op *op, int result)
{
	struct result *r = container_of(op, struct result, op);

	r->calls++;
	r->value = result;
}

static void wait_for(struct loop *loop, const unsigned int *calls)
{
	for (unsigned int i = 0; i < 100 && !*calls; i++)
		assert_int_equal(loop_turn(loop, true), 0);
	assert_int_not_equal(*calls, 0);
}

static void ring(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* --- Operations --- */

static void reads_and_writes(void **state)
{
	struct bench *b = *state;
	char a[] = "hello ", c[] = "world", in[16] = { 0 };
	struct iovec out[2] = { { a, 6 }, { c, 5 } }, into = { in, sizeof(in) };
	struct result w = { .op.done = done }, f = w, r = w, s = w;

	loop_writev(b->loop, &w.op, b->file, out, 2, 100);
	wait_for(b->loop, &w.calls);
	assert_int_equal(w.value, 11);
	loop_fdatasync(b->loop, &f.op, b->file);
	wait_for(b->loop, &f.calls);
	assert_int_equal(f.value, 0);
	loop_readv(b->loop, &r.op, b->file, &into, 1, 100);
	wait_for(b->loop, &r.calls);
	assert_int_equal(r.value, 11);
	assert_string_equal(in, "hello world");
	loop_fallocate(b->loop, &s.op, b->file, 0, 0, 8192);
	wait_for(b->loop, &s.calls);
	assert_int_equal(s.value, 0);
	assert_int_equal(lseek(b->file, 0, SEEK_END), 8192);
}

static void errors_arrive_as_results(void **state)
{
	struct bench *b = *state;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct result r = { .op.done = done }, w = r;

	loop_readv(b->loop, &r.op, 999, &iov, 1, 0);
	loop_writev(b->loop, &w.op, b->pipe[0], &iov, 1, 0);
	wait_for(b->loop, &r.calls);
	wait_for(b->loop, &w.calls);
	assert_int_equal(r.value, -EBADF);
	assert_int_equal(w.value, -EBADF);
}

/* Far more than the ring has room for, all of them before the first turn. */
static void more_than_the_ring_holds(void **state)
{
	struct bench *b = *state;
	enum { MANY = 1000 };
	static struct result r[MANY];
	static char bytes[MANY];
	static struct iovec iov[MANY];

	for (unsigned int i = 0; i < MANY; i++) {
		bytes[i] = (char)i;
		iov[i] = (struct iovec){ &bytes[i], 1 };
		r[i] = (struct result){ .op.done = done };
		loop_writev(b->loop, &r[i].op, b->file, &iov[i], 1, i);
	}
	assert_int_equal(loop_in_flight(b->loop), MANY);
	for (unsigned int i = 0; i < MANY; i++)
		wait_for(b->loop, &r[i].calls);
	for (unsigned int i = 0; i < MANY; i++) {
		assert_int_equal(r[i].calls, 1);
		assert_int_equal(r[i].value, 1);
	}
	assert_int_equal(lseek(b->file, 0, SEEK_END), MANY);
}

/* Many that wait at once: more than the completion ring holds when they all come. */
static void more_waiting_than_the_ring_holds(void **state)
{
	struct bench *b = *state;
	enum { MANY = 200 };
	static struct result r[MANY];

	for (unsigned int i = 0; i < MANY; i++) {
		r[i] = (struct result){ .op.done = done };
		loop_poll(b->loop, &r[i].op, b->pipe[0], POLLIN);
	}
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(loop_turn(b->loop, false), 0);
	assert_int_equal(loop_in_flight(b->loop), MANY);
	assert_int_equal(write(b->pipe[1], "x", 1), 1);
	for (unsigned int i = 0; i < MANY; i++) {
		wait_for(b->loop, &r[i].calls);
		assert_int_equal(r[i].value, POLLIN);
	}
}

static void registered_files(void **state)
{
	struct bench *b = *state;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct result r = { .op.done = done };

	/* Before the first turn, and twice; then after it; more than there is room for. */
	loop_register_file(b->loop, b->file);
	loop_register_file(b->loop, b->file);
	loop_register_file(b->loop, -1);
	loop_register_file(b->loop, 5000);
	for (unsigned int i = 0; i < 3; i++) {
		r.calls = 0;
		loop_writev(b->loop, &r.op, b->file, &iov, 1, i);
		wait_for(b->loop, &r.calls);
		assert_int_equal(r.value, 1);
		loop_unregister_file(b->loop, b->file);
		if (i == 1)
			loop_register_file(b->loop, b->file);
	}
	for (int fd = 3; fd < 300; fd++)
		loop_register_file(b->loop, fd);
	r.calls = 0;
	loop_writev(b->loop, &r.op, b->file, &iov, 1, 7);
	wait_for(b->loop, &r.calls);
	assert_int_equal(r.value, 1);
}

/* --- Cancelling --- */

static void cancel(void **state)
{
	struct bench *b = *state;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct result r = { .op.done = done }, p = r, idle = r;

	loop_cancel(b->loop, &idle.op);
	/* One that waits in the kernel. */
	loop_readv(b->loop, &r.op, b->pipe[0], &iov, 1, 0);
	assert_int_equal(loop_turn(b->loop, false), 0);
	assert_int_equal(r.calls, 0);
	loop_cancel(b->loop, &r.op);
	loop_cancel(b->loop, &r.op);
	wait_for(b->loop, &r.calls);
	assert_int_equal(r.value, -ECANCELED);
	/* One that never got there. */
	loop_poll(b->loop, &p.op, b->pipe[0], POLLIN);
	loop_cancel(b->loop, &p.op);
	assert_int_equal(loop_turn(b->loop, true), 0);
	assert_int_equal(p.calls, 1);
	assert_int_equal(p.value, -ECANCELED);
	assert_int_equal(idle.calls, 0);
	/* Nothing of it is left: the same operation works again. */
	r.calls = 0;
	loop_readv(b->loop, &r.op, b->pipe[0], &iov, 1, 0);
	assert_int_equal(write(b->pipe[1], "y", 1), 1);
	wait_for(b->loop, &r.calls);
	assert_int_equal(r.value, 1);
	assert_int_equal(byte, 'y');
}

static void timeouts(void **state)
{
	static const struct __kernel_timespec soon = { .tv_nsec = 20 * 1000000 };
	static const struct __kernel_timespec late = { .tv_sec = 3600 };
	struct bench *b = *state;
	struct result r = { .op.done = done }, p = r;
	struct timespec from, to;
	int64_t passed;

	clock_gettime(CLOCK_MONOTONIC, &from);
	loop_timeout(b->loop, &r.op, &soon);
	loop_timeout(b->loop, &p.op, &late);
	wait_for(b->loop, &r.calls);
	clock_gettime(CLOCK_MONOTONIC, &to);
	passed = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
	assert_int_equal(r.value, -ETIME);
	assert_true(passed >= soon.tv_nsec);
	assert_int_equal(p.calls, 0);
	loop_cancel(b->loop, &p.op);
	wait_for(b->loop, &p.calls);
	assert_int_equal(p.value, -ECANCELED);
}

static struct result *victim;
static struct loop *victim_loop;

static void cancel_other(struct loop_op *op, int result)
{
	done(op, result);
	loop_cancel(victim_loop, &victim->op);
}

/* The cancelled operation completes before the cancellation goes out, and its memory goes away. */
static void cancel_what_has_completed(void **state)
{
	struct bench *b = *state;
	struct result first = { .op.done = cancel_other };

	victim = malloc(sizeof(*victim));
	*victim = (struct result){ .op.done = done };
	victim_loop = b->loop;
	loop_poll(b->loop, &first.op, b->pipe[1], POLLOUT);
	loop_poll(b->loop, &victim->op, b->pipe[1], POLLOUT);
	while (!victim->calls)
		assert_int_equal(loop_turn(b->loop, true), 0);
	free(victim);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(loop_turn(b->loop, false), 0);
}

/* --- Watches --- */

static struct {
	unsigned int fired;
	struct loop_watch *stop;
} seen;

static void fired(struct loop_watch *watch)
{
	seen.fired++;
	if (seen.stop == watch)
		loop_unwatch(watch);
}

static void watches(void **state)
{
	struct bench *b = *state;

	/* Blocking or not, it is the same. */
	for (unsigned int i = 0; i < 2; i++) {
		struct loop_watch watch = { 0 };
		int fd = eventfd(0, i ? EFD_NONBLOCK : 0);

		memset(&seen, 0, sizeof(seen));
		loop_watch(b->loop, &watch, fd, fired);
		for (unsigned int n = 1; n <= 5; n++) {
			ring(fd);
			ring(fd); /* two that come together are one */
			while (seen.fired < n)
				assert_int_equal(loop_turn(b->loop, true), 0);
			assert_int_equal(loop_turn(b->loop, false), 0);
			assert_int_equal(seen.fired, n);
			assert_int_equal(watch.count, 2);
		}
		loop_unwatch(&watch);
		loop_unwatch(&watch);
		ring(fd);
		while (loop_in_flight(b->loop))
			assert_int_equal(loop_turn(b->loop, true), 0);
		assert_int_equal(seen.fired, 5);
		close(fd);
	}
}

static void watch_stops_itself(void **state)
{
	struct bench *b = *state;
	struct loop_watch watch = { 0 };

	memset(&seen, 0, sizeof(seen));
	seen.stop = &watch;
	loop_watch(b->loop, &watch, b->event, fired);
	ring(b->event);
	while (loop_in_flight(b->loop))
		assert_int_equal(loop_turn(b->loop, true), 0);
	assert_int_equal(seen.fired, 1);
}

static void watch_of_what_is_none(void **state)
{
	struct bench *b = *state;
	struct loop_watch watch = { 0 };

	memset(&seen, 0, sizeof(seen));
	loop_watch(b->loop, &watch, 999, fired);
	while (loop_in_flight(b->loop))
		assert_int_equal(loop_turn(b->loop, true), 0);
	assert_int_equal(seen.fired, 0);
}

/* --- Deferred work and calls --- */

struct work {
	struct loop *loop;
	struct loop_deferred deferred;
	struct loop_call call;
	unsigned int runs, again;
};

static void run_deferred(struct loop_deferred *deferred)
{
	struct work *work = container_of(deferred, struct work, deferred);

	work->runs++;
	if (work->again) {
		work->again--;
		loop_defer(work->loop, deferred);
	}
}

static void deferred_work(void **state)
{
	struct bench *b = *state;
	struct work work = { .loop = b->loop, .deferred.run = run_deferred, .again = 1 };

	loop_defer(b->loop, &work.deferred);
	loop_defer(b->loop, &work.deferred);
	/* Neither turn has anything to wait for, and neither does wait. */
	assert_int_equal(loop_turn(b->loop, true), 0);
	assert_int_equal(work.runs, 1);
	assert_int_equal(loop_turn(b->loop, true), 0);
	assert_int_equal(work.runs, 2);
	assert_int_equal(loop_turn(b->loop, false), 0);
	assert_int_equal(work.runs, 2);
}

static void run_call(struct loop_call *call)
{
	struct work *work = container_of(call, struct work, call);

	work->runs++;
	if (work->again) {
		work->again--;
		loop_post(work->loop, call);
	} else {
		loop_stop(work->loop);
	}
}

static void *post_later(void *context)
{
	struct work *work = context;

	poll(NULL, 0, 20);
	loop_post(work->loop, &work->call);
	loop_post(work->loop, &work->call);
	return NULL;
}

static void calls_from_other_threads(void **state)
{
	struct bench *b = *state;
	struct work work = { .loop = b->loop, .call.run = run_call, .again = 2 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, post_later, &work), 0);
	assert_int_equal(loop_run(b->loop), 0);
	pthread_join(thread, NULL);
	assert_true(work.runs >= 3);
	while (work.call.queued)
		assert_int_equal(loop_turn(b->loop, false), 0);
	/* The second loop_stop(), if there was one, does not count for a later run. */
	loop_stop(b->loop);
	assert_int_equal(loop_run(b->loop), 0);
}

static void *run_loop(void *loop)
{
	return (void *)(intptr_t)loop_run(loop);
}

/* Made and filled in one thread, run in another: as the machine does it. */
static void runs_in_its_own_thread(void **state)
{
	struct bench *b = *state;
	struct loop_watch watch = { 0 };
	struct result r = { .op.done = done };
	struct work work = { .loop = b->loop, .call.run = run_call };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	pthread_t thread;
	void *rc;

	memset(&seen, 0, sizeof(seen));
	loop_register_file(b->loop, b->file);
	loop_watch(b->loop, &watch, b->event, fired);
	seen.stop = &watch;
	loop_writev(b->loop, &r.op, b->file, &iov, 1, 0);
	assert_int_equal(pthread_create(&thread, NULL, run_loop, b->loop), 0);
	ring(b->event);
	poll(NULL, 0, 50);
	loop_post(b->loop, &work.call);
	pthread_join(thread, &rc);
	assert_ptr_equal(rc, NULL);
	assert_int_equal(r.value, 1);
	assert_int_equal(seen.fired, 1);
}

static struct loop *signalled;

static void on_signal(int signal)
{
	(void)signal;
	loop_stop(signalled);
}

static void stop_in_a_signal_handler(void **state)
{
	struct bench *b = *state;

	signalled = b->loop;
	signal(SIGALRM, on_signal);
	alarm(1);
	assert_int_equal(loop_run(b->loop), 0);
	signal(SIGALRM, SIG_DFL);
	loop_stop(b->loop);
	assert_int_equal(loop_run(b->loop), 0);
}

static void impossible_depths(void **state)
{
	(void)state;
	assert_null(loop_create(0));
	assert_int_equal(errno, EINVAL);
	assert_null(loop_create(5000));
	assert_int_equal(errno, EINVAL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_bench, teardown_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_and_writes),
		TEST(errors_arrive_as_results),
		TEST(more_than_the_ring_holds),
		TEST(more_waiting_than_the_ring_holds),
		TEST(registered_files),
		TEST(cancel),
		TEST(timeouts),
		TEST(cancel_what_has_completed),
		TEST(watches),
		TEST(watch_stops_itself),
		TEST(watch_of_what_is_none),
		TEST(deferred_work),
		TEST(calls_from_other_threads),
		TEST(runs_in_its_own_thread),
		TEST(stop_in_a_signal_handler),
		cmocka_unit_test(impossible_depths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
