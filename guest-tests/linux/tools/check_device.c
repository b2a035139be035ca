// SPDX-License-Identifier: GPL-2.0-or-later
/* What concerns a whole device: its interrupts, its reset, and its removal. */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BIG (4UL << 20)

/* --- Interrupts --- */

static uint64_t pending_interrupts(struct run *run, struct sdma *queue, int milliseconds)
{
	struct pollfd event = { .fd = sdma_descriptor_of(queue), .events = POLLIN };
	uint64_t count = 0;

	if (poll(&event, 1, milliseconds) == 1)
		require(run, read(event.fd, &count, sizeof(count)) == sizeof(count),
			"no number of interrupts");
	return count;
}

static void check_interrupts(struct run *run)
{
	static const struct sdma_options with_interrupts = { .interrupts = true };
	struct sdma *queue = take_queue(run, 0, &with_interrupts);
	struct batch *batch = new_batch(run);
	struct sdma_descriptor loud = sdma_nop();
	struct sdma_info info;

	require(run, !sdma_info(queue, &info) && info.vectors, "the device has no vectors");
	loud.flags = SDMA_FLAG_INTERRUPT;
	for (int round = 0; round < 20; round++) {
		batch->count = 0;
		memset(batch->record, 0, sizeof(batch->record));
		put(run, queue, batch, sdma_nop());
		put(run, queue, batch, loud);
		sdma_submit(queue);
		/* Asleep until the interrupt, and then the record is there. */
		require(run, pending_interrupts(run, queue, 30000), "no interrupt came");
		require(run, batch->record[1].status == SDMA_DONE, "the interrupt came too early");
	}
	/* Queues that share a vector hear of each other. */
	if (run->processes == 1 && info.vectors == info.queues) {
		batch->count = 0;
		memset(batch->record, 0, sizeof(batch->record));
		put(run, queue, batch, sdma_nop());
		sdma_submit(queue);
		wait_for_batch(run, queue, batch);
		require(run, !pending_interrupts(run, queue, 50), "an interrupt nobody asked for");
	}
	/* A halt is announced, too. */
	loud.flags = 0;
	loud.completion = 0xffff888000000000;
	require(run, !sdma_put(queue, &loud), "the ring is full");
	sdma_submit(queue);
	require(run, pending_interrupts(run, queue, 30000), "no interrupt for a halt");
	require(run, counters(run, queue).state == SDMA_Q_HALTED, "the queue has not halted");
	sdma_close(queue);
}

/* --- Reset and removal --- */

static void device_path(struct run *run, char *path, size_t size, const char *file)
{
	char link[128], target[PATH_MAX];

	snprintf(link, sizeof(link), "/sys/class/sdma/%s/device", strrchr(run->device[0], '/') + 1);
	require(run, realpath(link, target), "%s: %s", link, strerror(errno));
	snprintf(path, size, "%.200s/%s", target, file);
}

static void write_file(struct run *run, const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text);

	if (fd < 0 && errno == EACCES)
		skip(run, "only root may write %s", path);
	require(run, fd >= 0 && write(fd, text, (size_t)length) == length, "%s: %s", path,
		strerror(errno));
	close(fd);
}

static void start_work(struct run *run, struct sdma *queue, struct batch *batch, char *memory)
{
	memset(batch, 0, sizeof(*batch));
	for (unsigned int i = 0; i < BATCH_MAX; i++)
		put(run, queue, batch, sdma_fill(memory, i, BIG));
	sdma_submit(queue);
}

/* Waits end: records are done, aborted, or never looked at. */
static void end_work(struct run *run, struct sdma *queue, struct batch *batch)
{
	int ret = 0;

	for (unsigned int i = 0; i < batch->count && !ret; i++)
		ret = sdma_wait(queue, &batch->record[i], 60000);
	require(run, !ret || ret == -EIO, "a wait ended with %s", strerror(-ret));
	for (unsigned int i = 0; i < batch->count; i++) {
		unsigned int status = batch->record[i].status;

		require(run,
			status == SDMA_DONE || status == SDMA_ABORTED || status == SDMA_PENDING,
			"descriptor %u: %s", i, sdma_status_name(status));
	}
}

static void check_reset(struct run *run)
{
	struct batch *batch = new_batch(run);
	char *memory = map_memory(run, BIG, MAP_POPULATE);
	struct sdma *queue = take_queue(run, 0, NULL);
	char path[300];

	device_path(run, path, sizeof(path), "reset");
	for (int round = 0; round < 5; round++) {
		start_work(run, queue, batch, memory);
		write_file(run, path, "1");
		end_work(run, queue, batch);
		require(run, counters(run, queue).state == SDMA_Q_OFF, "the queue runs on");
		require(run, ring_bell(queue) == SIGBUS, "the doorbell is still there");
		require(run, !sdma_start(queue), "the queue cannot be started again");
		require(run, !ring_bell(queue), "the doorbell did not come back");
		exercise(run, queue, memory, memory + BIG / 2, BIG / 8);
	}
	sdma_close(queue);
}

static void check_removal(struct run *run)
{
	struct batch *batch = new_batch(run);
	char *memory = map_memory(run, BIG, MAP_POPULATE);
	char path[300], *name;
	struct sdma_status status;
	struct sdma *queue;
	int ret;

	device_path(run, path, sizeof(path), "");
	path[strlen(path) - 1] = 0;
	name = strrchr(path, '/') + 1;
	for (int round = 0; round < 3; round++) {
		queue = take_queue(run, 0, NULL);
		start_work(run, queue, batch, memory);
		write_file(run, "/sys/bus/pci/drivers/sdma/unbind", name);
		end_work(run, queue, batch);
		ret = sdma_status(queue, &status);
		require(run, ret == -ENODEV, "a queue of no device has a status: %d", ret);
		require(run, ring_bell(queue) == SIGBUS, "the doorbell is still there");
		sdma_close(queue);
		write_file(run, "/sys/bus/pci/drivers/sdma/bind", name);
		for (int i = 0; i < 5000 && access(run->device[0], F_OK); i++)
			sleep_us(1000);
		queue = take_queue(run, 0, NULL);
		exercise(run, queue, memory, memory + BIG / 2, BIG / 8);
		sdma_close(queue);
	}
}

const struct check checks_of_device[] = {
	{ "interrupts", "a waiter sleeps until the interrupt", check_interrupts, 0 },
	{ "reset", "function level reset under DMA: waiters end, the queue starts anew",
	  check_reset, CHECK_ALONE },
	{ "removal", "the driver leaves the device under DMA: waiters end, it comes back",
	  check_removal, CHECK_ALONE },
	{ 0 },
};
