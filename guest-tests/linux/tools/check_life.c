// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes and queues come and go: exit and kill with DMA under way, fork with a queue open,
 * PASIDs taken and given back, several devices, and the kernel as a user of the same device.
 */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH (256UL << 10)
#define BIG    (2UL << 20)
#define ROUNDS 10

/* --- The end of a process, with DMA under way --- */

struct victim {
	int ready[2];
	bool wait; /* to be killed; else it leaves by itself */
};

/* Also into memory that is not there yet, so that page requests are outstanding at the end. */
static void be_a_victim(struct run *run, void *argument)
{
	struct victim *victim = argument;
	struct sdma *queue = take_queue(run, 0, NULL);
	char *present = map_memory(run, BIG, MAP_POPULATE), *absent = map_memory(run, 16 * BIG, 0);
	struct batch *batch = new_batch(run);

	for (unsigned int i = 0; i < 16; i++) {
		put(run, queue, batch, sdma_fill(present, 0x6666666666666666, BIG));
		put(run, queue, batch, sdma_copy(absent + i * BIG, present, BIG));
	}
	sdma_submit(queue);
	require(run, write(victim->ready[1], "", 1) == 1, "cannot tell the parent");
	if (victim->wait)
		pause();
	_exit(0);
}

static void end_with_dma(struct run *run, bool by_signal)
{
	struct sdma *queue;
	char *canary = map_memory(run, BIG, 0), *copy = map_memory(run, LENGTH, 0);
	struct victim victim = { .wait = by_signal };
	uint64_t random = run->process + 10;
	int status = 0, want = by_signal ? SIGKILL : 0;
	pid_t child;
	char byte;

	require(run, !pipe(victim.ready), "pipe: %s", strerror(errno));
	for (int round = 0; round < ROUNDS; round++) {
		child = start_child(run, be_a_victim, &victim);
		require(run, read(victim.ready[0], &byte, 1) == 1, "no word from the child");
		if (by_signal) {
			sleep_us((unsigned int)(next_random(&random) % 3000));
			kill(child, SIGKILL);
		}
		require(run, waitpid(child, &status, 0) == child && status == want,
			"the child ended with status %#x", (unsigned int)status);
		/* Its pages are free now; some of them come here. */
		memset(canary, 0x5c, BIG);
		write_random(canary, LENGTH, (uint64_t)round);
		queue = take_queue(run, 0, NULL);
		must(run, queue, sdma_copy(copy, canary, LENGTH));
		require(run, is_random(copy, LENGTH, (uint64_t)round), "copy: wrong bytes");
		require(run, is_byte(canary + LENGTH, 0x5c, BIG - LENGTH),
			"the device wrote to memory of a process that has ended");
		require(run, !madvise(canary, BIG, MADV_DONTNEED), "madvise: %s", strerror(errno));
		sdma_close(queue);
	}
}

static void check_exit(struct run *run)
{
	end_with_dma(run, false);
}

static void check_kill(struct run *run)
{
	end_with_dma(run, true);
}

/* --- fork() with a queue open --- */

static void use_both(struct run *run, void *argument)
{
	struct sdma *parents = argument, *own;
	struct sdma_status status;
	char *a, *b;
	int ret;

	require(run, ring_bell(parents) == SIGSEGV, "a child can ring for its parent");
	ret = sdma_status(parents, &status);
	require(run, ret == -EPERM, "a child may ask for its parent's queue: %d", ret);
	ret = sdma_stop(parents);
	require(run, ret == -EPERM, "a child may stop its parent's queue: %d", ret);
	own = take_queue(run, 0, NULL);
	require(run, sdma_setup_of(own)->pasid != sdma_setup_of(parents)->pasid,
		"parent and child have one PASID, %u", sdma_setup_of(own)->pasid);
	a = map_memory(run, LENGTH, 0);
	b = map_memory(run, LENGTH, 0);
	exercise(run, own, a, b, LENGTH);
	sdma_close(own);
	sdma_close(parents);
}

static void check_fork(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *a = map_memory(run, LENGTH, 0), *b = map_memory(run, LENGTH, 0);

	for (int round = 0; round < ROUNDS; round++) {
		pid_t child = start_child(run, use_both, queue);

		exercise(run, queue, a, b, LENGTH);
		must_pass(run, child);
		must(run, queue, sdma_compare(b, b, LENGTH));
	}
	sdma_close(queue);
}

/* --- PASIDs --- */

static void use_once(struct run *run, void *argument)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = map_memory(run, LENGTH, 0);
	uint64_t pattern = (uintptr_t)argument;

	must(run, queue, sdma_fill(memory, pattern, LENGTH));
	require(run, is_pattern(memory, pattern, LENGTH), "fill: wrong bytes");
	require(run, sdma_setup_of(queue)->pasid, "the PASID is 0");
	/* Left to exit() every other time. */
	if (pattern & 1)
		sdma_close(queue);
}

static void check_pasids(struct run *run)
{
	struct sdma *queue;
	char *memory = map_memory(run, LENGTH, 0);

	/* One process after the other: a PASID each. */
	for (uintptr_t i = 0; i < 40; i++)
		must_pass(run, start_child(run, use_once, (void *)i));
	/* One process: bound and unbound, with translations from before that must be gone. */
	queue = take_queue(run, 0, NULL);
	for (uint64_t i = 0; i < 100; i++) {
		must(run, queue, sdma_fill(memory, i, PAGE));
		require(run, is_pattern(memory, i, PAGE), "fill: wrong bytes");
		require(run, !sdma_stop(queue), "cannot stop the queue");
		require(run, !madvise(memory, LENGTH, MADV_DONTNEED), "madvise: %s",
			strerror(errno));
		require(run, !sdma_start(queue), "cannot start the queue again");
		must(run, queue, sdma_crc32c(memory, PAGE, 0));
		require(run, is_byte(memory, 0, PAGE), "fresh memory does not read as zeroes");
	}
	sdma_close(queue);
}

static unsigned int queues_in_use(struct run *run)
{
	char path[128], text[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/class/sdma/%s/queues_in_use",
		 strrchr(run->device[0], '/') + 1);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	require(run, fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "cannot read %s", path);
	close(fd);
	return (unsigned int)strtoul(text, NULL, 10);
}

/* All queues in one process; one more is refused; and none is lost. */
static void check_queues(struct run *run)
{
	struct sdma *queue[SDMA_QUEUES_MAX], *more;
	struct sdma_info info;
	unsigned int count = 0;
	int ret;

	require(run, !queues_in_use(run), "%u queues are in use", queues_in_use(run));
	while (count < SDMA_QUEUES_MAX && !sdma_open(&queue[count], run->device[0], NULL))
		count++;
	require(run, count && !sdma_info(queue[0], &info), "no queue at all");
	require(run, count == info.queues, "%u queues, not %u", count, info.queues);
	ret = sdma_open(&more, run->device[0], NULL);
	require(run, ret == -EBUSY, "one queue more: %d", ret);
	for (unsigned int i = 0; i < count; i++) {
		char *memory = map_memory(run, LENGTH, 0);

		must(run, queue[i], sdma_fill(memory, i, LENGTH));
		require(run, is_pattern(memory, i, LENGTH), "queue %u: wrong bytes", i);
		require(run, sdma_setup_of(queue[i])->pasid == sdma_setup_of(queue[0])->pasid,
			"two PASIDs in one process");
	}
	while (count)
		sdma_close(queue[--count]);
	require(run, !queues_in_use(run), "%u queues are still in use", queues_in_use(run));
}

/* --- Devices, and the kernel --- */

static void check_two_devices(struct run *run)
{
	struct sdma *first, *second;
	char *a, *b, *c;

	if (run->devices < 2)
		skip(run, "there is one device only");
	first = take_queue(run, 0, NULL);
	second = take_queue(run, 1, NULL);
	require(run, sdma_setup_of(first)->pasid == sdma_setup_of(second)->pasid,
		"one process, two PASIDs: %u and %u", sdma_setup_of(first)->pasid,
		sdma_setup_of(second)->pasid);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		a = map_memory(run, LENGTH, 0);
		b = map_memory(run, LENGTH, 0);
		c = map_memory(run, LENGTH, 0);
		write_random(a, LENGTH, round);
		must(run, first, sdma_copy(b, a, LENGTH));
		must(run, second, sdma_copy(c, b, LENGTH));
		require(run, is_random(c, LENGTH, round), "a copy by two devices: wrong bytes");
		/* Both have a translation of b, and both have to lose it. */
		require(run, !munmap(b, LENGTH), "munmap: %s", strerror(errno));
		must_refuse(run, first, sdma_fill(b, 0, LENGTH), 2, b, PAGE);
		must_refuse(run, second, sdma_fill(b, 0, LENGTH), 2, b, PAGE);
		munmap(a, LENGTH);
		munmap(c, LENGTH);
	}
	exercise(run, first, map_memory(run, LENGTH, 0), map_memory(run, LENGTH, 0), LENGTH);
	sdma_close(first);
	exercise(run, second, map_memory(run, LENGTH, 0), map_memory(run, LENGTH, 0), LENGTH);
	sdma_close(second);
}

static void copy_in_kernel(struct run *run, struct sdma *queue, uint32_t bytes, uint32_t copies,
			   uint32_t flags)
{
	struct sdma_kernel_copy copy = { .bytes = bytes,
					 .copies = copies,
					 .flags = flags | SDMA_KERNEL_VERIFY };
	int ret = sdma_kernel_copy(queue, &copy);

	if (ret == -EPERM)
		skip(run, "only root may copy in the kernel");
	require(run, !ret, "the kernel cannot copy: %s", strerror(-ret));
	require(run, copy.status == SDMA_DONE && copy.done == copies,
		"%u bytes in the kernel: %s after %llu of %u copies", bytes,
		sdma_status_name(copy.status), (unsigned long long)copy.done, copies);
	require(run, !copy.wrong, "%llu of the kernel's copies have wrong bytes",
		(unsigned long long)copy.wrong);
}

static void check_kernel(struct run *run)
{
	static const struct sdma_options idle = { .idle = true };
	struct sdma *queue = take_queue(run, 0, &idle);

	for (uint32_t bytes = 64; bytes <= 1u << 20; bytes *= 16) {
		copy_in_kernel(run, queue, bytes, 20, 0);
		copy_in_kernel(run, queue, bytes, 20, SDMA_KERNEL_STREAMING);
	}
	copy_in_kernel(run, queue, SDMA_KERNEL_BYTES_MAX, 2, SDMA_KERNEL_STREAMING);
	copy_in_kernel(run, queue, 4097, 20, SDMA_KERNEL_STREAMING);
	sdma_close(queue);
}

struct kernel_thread {
	struct run *run;
	struct sdma *queue;
	bool over;
};

static void *work_in_kernel(void *argument)
{
	struct kernel_thread *thread = argument;

	for (int i = 0; i < 10; i++)
		copy_in_kernel(thread->run, thread->queue, 65536, 20,
			       i % 2 ? SDMA_KERNEL_STREAMING : 0);
	__atomic_store_n(&thread->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void check_kernel_and_sva(struct run *run)
{
	static const struct sdma_options idle = { .idle = true };
	struct kernel_thread kernel = { .run = run, .queue = take_queue(run, 0, &idle) };
	struct sdma *queue = take_queue(run, 0, NULL);
	unsigned int rounds = 0;
	pthread_t thread;

	require(run, !pthread_create(&thread, NULL, work_in_kernel, &kernel), "no thread");
	while (!__atomic_load_n(&kernel.over, __ATOMIC_ACQUIRE) || !rounds) {
		char *a = map_memory(run, LENGTH, 0), *b = map_memory(run, LENGTH, 0);

		exercise(run, queue, a, b, LENGTH);
		munmap(a, LENGTH);
		munmap(b, LENGTH);
		rounds++;
	}
	pthread_join(thread, NULL);
	note(run, "%u rounds beside the kernel's 200 copies", rounds);
	sdma_close(queue);
	sdma_close(kernel.queue);
}

const struct check checks_of_life[] = {
	{ "exit", "exit with DMA under way", check_exit, 0 },
	{ "kill", "kill -9 with DMA under way", check_kill, 0 },
	{ "fork", "fork with a queue open: it stays the parent's", check_fork, 0 },
	{ "pasids", "PASIDs taken and given back, by many processes and by one", check_pasids, 0 },
	{ "queues", "all queues in one process, and none lost", check_queues, CHECK_ALONE },
	{ "two-devices", "two devices in one process, with one PASID", check_two_devices, 0 },
	{ "kernel", "copies of the kernel, by the DMA API", check_kernel, 0 },
	{ "kernel-and-sva", "the kernel and processes on one device at once", check_kernel_and_sva,
	  0 },
	{ 0 },
};
