/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console, the chardev behind it, and virtio-rng.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/virtio_console.h"
#include "devices/virtio_rng.h"
#include "tests/unit/virtio_driver.h"

#define QUEUE 64

struct bench {
	struct machine *machine;
	struct loop *loop;
	int in[2], out[2]; /* pipes: the host's end is in[1], out[0] */
	struct chardev *chardev;
	struct virtio_console *console;
	struct virtio_rng *rng;
	struct driver driver;
	uint64_t data;
};

static void make_chardev(struct bench *b, int in, int out)
{
	b->chardev = chardev_create(b->loop, in, out);
	assert_non_null(b->chardev);
}

static void make_console(struct bench *b)
{
	b->console = virtio_console_create(&b->machine->host, b->loop, "console0", b->chardev);
	assert_non_null(b->console);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	driver_probe(&b->driver, b->machine, b->loop,
		     virtio_console_device(b->console)->pci.requester);
}

static int setup_bare(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	signal(SIGPIPE, SIG_IGN);
	b->machine = fake_machine_create();
	b->loop = loop_create(32);
	assert_non_null(b->loop);
	b->data = fake_alloc(b->machine, 1 << 20, 4096);
	assert_int_equal(pipe(b->in), 0);
	assert_int_equal(pipe(b->out), 0);
	*state = b;
	return 0;
}

static int setup_console(void **state)
{
	struct bench *b;

	setup_bare(state);
	b = *state;
	make_chardev(b, b->in[0], b->out[1]);
	make_console(b);
	return 0;
}

static void drain(struct bench *b)
{
	while (loop_in_flight(b->loop))
		assert_int_equal(loop_turn(b->loop, true), 0);
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	if (b->console)
		virtio_quiesce(virtio_console_device(b->console));
	if (b->rng)
		virtio_quiesce(virtio_rng_device(b->rng));
	if (b->chardev) {
		chardev_stop(b->chardev);
		chardev_flush(b->chardev, 0);
	}
	drain(b);
	virtio_console_destroy(b->console);
	virtio_rng_destroy(b->rng);
	chardev_destroy(b->chardev);
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
	for (unsigned int i = 0; i < 2; i++) {
		close(b->in[i]);
		close(b->out[i]);
	}
	free(b);
	return 0;
}

static uint8_t *data(struct bench *b)
{
	return fake_ram(b->machine, b->data);
}

static void say(struct bench *b, const char *text)
{
	assert_int_equal(write(b->in[1], text, strlen(text)), strlen(text));
	fake_settle(b->loop);
}

static void give_buffer(struct bench *b, uint64_t address, uint32_t len)
{
	const struct driver_buffer buffer = { address, len, true };

	driver_add(&b->driver.queue[0], &buffer, 1);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
}

/* Reads what has come out, of at most @size bytes. */
static size_t hear(struct bench *b, char *text, size_t size)
{
	size_t len = 0;

	fcntl(b->out[0], F_SETFL, O_NONBLOCK);
	for (unsigned int i = 0; i < 100 && len < size; i++) {
		ssize_t n;

		fake_settle(b->loop);
		n = read(b->out[0], text + len, size - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

/* --- The console --- */

static void output(void **state)
{
	struct bench *b = *state;
	struct driver_buffer parts[] = { { b->data, 6, false }, { b->data + 100, 5, false } };
	char got[64];

	driver_bring_up(&b->driver, 2, QUEUE);
	memcpy(data(b), "hello ", 6);
	memcpy(data(b) + 100, "world", 5);
	driver_add(&b->driver.queue[1], parts, 2);
	driver_kick(&b->driver.queue[1]);
	assert_int_equal(driver_wait_used(&b->driver.queue[1], NULL), 0);
	assert_int_equal(hear(b, got, sizeof(got)), 11);
	assert_memory_equal(got, "hello world", 11);
}

/* More than pipe and buffer hold, while nobody reads: it waits, and not a byte is lost. */
static void output_that_nobody_reads(void **state)
{
	struct bench *b = *state;
	enum { TOTAL = 400000, CHUNK = 20000 };
	char *got = test_malloc(TOTAL);
	unsigned int completed = 0;
	size_t len = 0;
	uint32_t head, used;

	driver_bring_up(&b->driver, 2, QUEUE);
	for (unsigned int i = 0; i < TOTAL; i++)
		data(b)[i] = (uint8_t)(i * 31 + i / 257);
	for (unsigned int i = 0; i < TOTAL / CHUNK; i++) {
		const struct driver_buffer buffer = { b->data + i * CHUNK, CHUNK, false };

		driver_add(&b->driver.queue[1], &buffer, 1);
	}
	driver_kick(&b->driver.queue[1]);
	fake_settle(b->loop);
	while (driver_used(&b->driver.queue[1], &head, &used))
		completed++;
	assert_in_range(completed, 1, TOTAL / CHUNK - 1);
	for (unsigned int i = 0; i < 100 && len < TOTAL; i++)
		len += hear(b, got + len, TOTAL - len);
	assert_int_equal(len, TOTAL);
	assert_memory_equal(got, data(b), TOTAL);
	while (driver_used(&b->driver.queue[1], &head, &used))
		completed++;
	assert_int_equal(completed, TOTAL / CHUNK);
	test_free(got);
}

/* A reset while output waits: the chain is forgotten, the device works. */
static void reset_while_output_waits(void **state)
{
	struct bench *b = *state;
	struct driver_buffer buffer = { b->data, 300000, false };
	char *got = test_malloc(300000);

	driver_bring_up(&b->driver, 2, QUEUE);
	driver_add(&b->driver.queue[1], &buffer, 1);
	driver_kick(&b->driver.queue[1]);
	fake_settle(b->loop);
	driver_bring_up(&b->driver, 2, QUEUE);
	while (hear(b, got, 300000))
		;
	memcpy(data(b), "after", 5);
	buffer.len = 5;
	driver_add(&b->driver.queue[1], &buffer, 1);
	driver_kick(&b->driver.queue[1]);
	driver_wait_used(&b->driver.queue[1], NULL);
	assert_int_equal(hear(b, got, 100), 5);
	assert_memory_equal(got, "after", 5);
	test_free(got);
}

static void input(void **state)
{
	struct bench *b = *state;

	/* Typed before there is a driver, and before there are buffers: it is kept. */
	say(b, "early ");
	driver_bring_up(&b->driver, 2, QUEUE);
	say(b, "bird");
	give_buffer(b, b->data, 4);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 4);
	assert_memory_equal(data(b), "earl", 4);
	give_buffer(b, b->data, 100);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 6);
	assert_memory_equal(data(b), "y bird", 6);
	give_buffer(b, b->data, 100);
	say(b, "next");
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 4);
	assert_memory_equal(data(b), "next", 4);
}

/* Input comes when the device may not take the buffers that are there: the loop goes on. */
static void input_without_bus_mastering(void **state)
{
	struct bench *b = *state;

	driver_bring_up(&b->driver, 2, QUEUE);
	give_buffer(b, b->data, 100);
	assert_int_equal(write(b->in[1], "lost", 4), 4);
	pci_config_write(&b->machine->host, b->driver.requester, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY);
	alarm(10);
	fake_settle(b->loop);
	alarm(0);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	pci_config_write(&b->machine->host, b->driver.requester, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	driver_bring_up(&b->driver, 2, QUEUE);
	give_buffer(b, b->data, 100);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 4);
}

/* A pipe is read only as fast as the guest takes it, and arrives whole. */
static void long_input(void **state)
{
	struct bench *b = *state;
	enum { TOTAL = 60000 };
	uint8_t *text = test_malloc(TOTAL);
	size_t done = 0;
	int waiting;

	driver_bring_up(&b->driver, 2, QUEUE);
	for (unsigned int i = 0; i < TOTAL; i++)
		text[i] = (uint8_t)(i * 17 + i / 255);
	assert_int_equal(write(b->in[1], text, TOTAL), TOTAL);
	fake_settle(b->loop);
	assert_int_equal(ioctl(b->in[0], FIONREAD, &waiting), 0);
	assert_true(waiting >= TOTAL - CHARDEV_INPUT);
	while (done < TOTAL) {
		uint32_t len;

		give_buffer(b, b->data, 3000);
		len = driver_wait_used(&b->driver.queue[0], NULL);
		assert_memory_equal(data(b), text + done, len);
		done += len;
	}
	test_free(text);
}

static void buffers_that_cannot_be(void **state)
{
	struct bench *b = *state;
	const struct driver_buffer buffer = { b->data, 10, false };

	driver_bring_up(&b->driver, 2, QUEUE);
	driver_add(&b->driver.queue[0], &buffer, 1);
	driver_kick(&b->driver.queue[0]);
	say(b, "x");
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* The byte is still there for the next driver. */
	driver_bring_up(&b->driver, 2, QUEUE);
	give_buffer(b, b->data, 10);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 1);
	assert_int_equal(data(b)[0], 'x');
}

static void host_end_is_gone(void **state)
{
	struct bench *b = *state;
	const struct driver_buffer buffer = { b->data, 10, false };

	driver_bring_up(&b->driver, 2, QUEUE);
	close(b->out[0]);
	b->out[0] = -1;
	close(b->in[1]);
	b->in[1] = -1;
	for (unsigned int i = 0; i < 20; i++) {
		driver_add(&b->driver.queue[1], &buffer, 1);
		driver_kick(&b->driver.queue[1]);
		driver_wait_used(&b->driver.queue[1], NULL);
		fake_settle(b->loop);
	}
	assert_int_equal(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

/* --- The chardev alone --- */

struct front {
	struct bench *bench;
	char got[8192];
	size_t len, limit;
	unsigned int writable;
};

static size_t front_receive(void *context, const uint8_t *bytes, size_t len)
{
	struct front *front = context;
	size_t n = min_u64(len, front->limit - front->len);

	memcpy(front->got + front->len, bytes, n);
	front->len += n;
	return n;
}

static void front_writable(void *context)
{
	((struct front *)context)->writable++;
}

static const struct chardev_ops front_ops = { front_receive, front_writable };

static bool swallow(void *context, uint8_t byte)
{
	unsigned int *count = context;

	if (byte != '!')
		return false;
	++*count;
	return true;
}

static void filter(void **state)
{
	struct bench *b = *state;
	struct front front = { .limit = 3 };
	unsigned int swallowed = 0;

	make_chardev(b, b->in[0], b->out[1]);
	chardev_set_filter(b->chardev, swallow, &swallowed);
	chardev_attach(b->chardev, &front_ops, &front);
	say(b, "a!b!!cd!e");
	assert_int_equal(swallowed, 4);
	assert_int_equal(front.len, 3);
	assert_memory_equal(front.got, "abc", 3);
	front.limit = 100;
	chardev_resume(b->chardev);
	fake_settle(b->loop);
	assert_int_equal(front.len, 5);
	assert_memory_equal(front.got, "abcde", 5);
}

/* On a terminal the escape is seen even when the guest takes nothing for ever. */
static void terminal_is_always_read(void **state)
{
	struct bench *b = *state;
	struct front front = { .limit = 0 };
	struct termios raw;
	unsigned int swallowed = 0;
	char junk[1000];
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, NULL))
		skip();
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	make_chardev(b, slave, -1);
	chardev_set_filter(b->chardev, swallow, &swallowed);
	chardev_attach(b->chardev, &front_ops, &front);
	memset(junk, 'j', sizeof(junk));
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(write(master, junk, sizeof(junk)), sizeof(junk));
		fake_settle(b->loop);
	}
	assert_int_equal(write(master, "!", 1), 1);
	fake_settle(b->loop);
	assert_int_equal(swallowed, 1);
	/* Nothing to write to is not an error. */
	assert_int_equal(chardev_write(b->chardev, "x", 1), 1);
	assert_int_equal(chardev_room(b->chardev), CHARDEV_OUTPUT);
	chardev_stop(b->chardev);
	drain(b);
	close(master);
	close(slave);
}

static void back_pressure(void **state)
{
	struct bench *b = *state;
	struct front front = { 0 };
	static char block[CHARDEV_OUTPUT + 1000];
	char got[4096];

	make_chardev(b, -1, b->out[1]);
	chardev_attach(b->chardev, &front_ops, &front);
	assert_int_equal(chardev_write(b->chardev, block, sizeof(block)), CHARDEV_OUTPUT);
	assert_int_equal(chardev_room(b->chardev), 0);
	assert_int_equal(chardev_write(b->chardev, block, 1), 0);
	fake_settle(b->loop);
	assert_int_equal(front.writable, 1);
	while (chardev_write(b->chardev, block, 1000))
		fake_settle(b->loop);
	assert_int_equal(front.writable, 1);
	while (hear(b, got, sizeof(got)))
		;
	assert_int_equal(front.writable, 2);
	assert_int_equal(chardev_room(b->chardev), CHARDEV_OUTPUT);
}

static void *write_lines(void *context)
{
	for (unsigned int i = 0; i < 1000; i++)
		while (!chardev_write(context, "line\n", 5))
			sched_yield();
	return NULL;
}

static void many_writers(void **state)
{
	struct bench *b = *state;
	pthread_t thread[4];
	char got[4096];
	size_t total = 0;

	make_chardev(b, -1, b->out[1]);
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, write_lines, b->chardev), 0);
	fcntl(b->out[0], F_SETFL, O_NONBLOCK);
	for (unsigned int i = 0; i < 5000 && total < 4 * 5000; i++) {
		ssize_t n;

		assert_int_equal(loop_turn(b->loop, false), 0);
		n = read(b->out[0], got, sizeof(got));
		if (n > 0)
			total += (size_t)n;
		else
			poll(NULL, 0, 1);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(total, 4 * 5000);
}

static void flush(void **state)
{
	struct bench *b = *state;
	static char block[CHARDEV_OUTPUT];
	char got[100];

	make_chardev(b, -1, b->out[1]);
	chardev_write(b->chardev, "the end", 7);
	assert_int_equal(chardev_flush(b->chardev, 1000), 0);
	assert_int_equal(read(b->out[0], got, sizeof(got)), 7);
	/* A reader that does not read does not hold us for ever. */
	for (unsigned int i = 0; i < 3; i++) {
		chardev_write(b->chardev, block, sizeof(block));
		fake_settle(b->loop);
	}
	assert_int_equal(chardev_flush(b->chardev, 50), -ETIMEDOUT);
	drain(b);
	/* What is left is given up: nothing starts another write. */
	chardev_resume(b->chardev);
	fake_settle(b->loop);
	assert_int_equal(loop_in_flight(b->loop), 0);
}

/* Descriptors that others have made non-blocking: it waits for them all the same. */
static void non_blocking_descriptors(void **state)
{
	struct bench *b = *state;
	struct front front = { .limit = 100 };
	static char block[CHARDEV_OUTPUT];
	size_t total = 0;
	char got[4096];

	fcntl(b->in[0], F_SETFL, O_NONBLOCK);
	fcntl(b->out[1], F_SETFL, O_NONBLOCK);
	make_chardev(b, b->in[0], b->out[1]);
	chardev_attach(b->chardev, &front_ops, &front);
	fake_settle(b->loop);
	say(b, "hello");
	assert_int_equal(front.len, 5);
	for (unsigned int i = 0; i < 3; i++) {
		total += chardev_write(b->chardev, block, sizeof(block));
		fake_settle(b->loop);
	}
	assert_true(total > 65536);
	for (unsigned int i = 0; i < 1000 && total; i++)
		total -= hear(b, got, sizeof(got));
	assert_int_equal(total, 0);
}

/* --- Random bytes --- */

static void random_bytes(void **state)
{
	struct bench *b = *state;
	static const uint32_t lengths[] = { 1, 64, 4096, 10000 };
	const struct driver_buffer wrong = { b->data, 10, false };

	b->rng = virtio_rng_create(&b->machine->host, b->loop, "rng0");
	assert_non_null(b->rng);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	driver_probe(&b->driver, b->machine, b->loop, virtio_rng_device(b->rng)->pci.requester);
	assert_int_equal(b->driver.config, 0); /* it has none */
	driver_bring_up(&b->driver, 1, 16);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint32_t len;
		unsigned int zeroes = 0;

		memset(data(b), 0, 10001);
		give_buffer(b, b->data, lengths[i]);
		len = driver_wait_used(&b->driver.queue[0], NULL);
		assert_int_equal(len, min_u64(lengths[i], 4096));
		for (uint32_t j = 0; j < len; j++)
			zeroes += !data(b)[j];
		assert_true(zeroes <= 1 + len / 64);
		for (uint32_t j = len; j < 10001; j++)
			assert_int_equal(data(b)[j], 0);
	}
	driver_add(&b->driver.queue[0], &wrong, 1);
	driver_kick(&b->driver.queue[0]);
	fake_settle(b->loop);
	assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

#define CONSOLE(function) cmocka_unit_test_setup_teardown(function, setup_console, teardown_bench)
#define BARE(function)	  cmocka_unit_test_setup_teardown(function, setup_bare, teardown_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONSOLE(output),
		CONSOLE(output_that_nobody_reads),
		CONSOLE(reset_while_output_waits),
		CONSOLE(input),
		CONSOLE(input_without_bus_mastering),
		CONSOLE(long_input),
		CONSOLE(buffers_that_cannot_be),
		CONSOLE(host_end_is_gone),
		BARE(filter),
		BARE(terminal_is_always_read),
		BARE(back_pressure),
		BARE(many_writers),
		BARE(flush),
		BARE(non_blocking_descriptors),
		BARE(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
