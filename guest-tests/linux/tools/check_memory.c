// SPDX-License-Identifier: GPL-2.0-or-later
/* Every kind of memory that a process may have, as source and destination of all operations. */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH (256UL << 10)

static void check_malloc(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	/* Below and above malloc's threshold for mmap(), and at whatever address comes. */
	static const size_t sizes[] = { 3 * PAGE + 100, 100001, LENGTH + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *a = malloc(sizes[i] + 1), *b = malloc(sizes[i] + 7);

		require(run, a && b, "out of memory");
		exercise(run, queue, a + 1, b + 7, sizes[i]);
		free(a);
		free(b);
	}
	sdma_close(queue);
}

static void check_stack(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char a[64 << 10], b[64 << 10];

	exercise(run, queue, a, b, sizeof(a));
	sdma_close(queue);
}

static void check_anonymous(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);

	exercise(run, queue, map_memory(run, LENGTH, 0), map_memory(run, LENGTH, 0), LENGTH);
	sdma_close(queue);
}

struct shared {
	char *memory;
	int pipe[2];
};

/* Sees in its own mapping what the device writes by order of its parent. */
static void watch_shared(struct run *run, void *argument)
{
	struct shared *shared = argument;
	char ready;

	require(run, read(shared->pipe[0], &ready, 1) == 1, "no word from the parent");
	require(run, is_random(shared->memory, LENGTH, 77), "the child sees other bytes");
}

static void check_shared(struct run *run)
{
	struct shared shared;
	struct sdma *queue;
	void *source = map_memory(run, LENGTH, 0);
	void *other = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	shared.memory =
		mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	require(run, shared.memory != MAP_FAILED && other != MAP_FAILED && !pipe(shared.pipe),
		"cannot prepare: %s", strerror(errno));
	child = start_child(run, watch_shared, &shared);
	queue = take_queue(run, 0, NULL);
	exercise(run, queue, shared.memory, other, LENGTH);
	write_random(source, LENGTH, 77);
	must(run, queue, sdma_copy(shared.memory, source, LENGTH));
	require(run, write(shared.pipe[1], "", 1) == 1, "cannot tell the child");
	must_pass(run, child);
	sdma_close(queue);
}

/* --- Files --- */

static int make_file(struct run *run, const char *dir, size_t length)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/sdma-check.%d", dir, getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	require(run, fd >= 0, "cannot create %s: %s", path, strerror(errno));
	unlink(path);
	require(run, !ftruncate(fd, (off_t)length), "ftruncate: %s", strerror(errno));
	return fd;
}

static void *map_file(struct run *run, int fd, off_t offset, int flags)
{
	void *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, flags, fd, offset);

	require(run, memory != MAP_FAILED, "mmap of a file: %s", strerror(errno));
	return memory;
}

/* Reads it back from where it is kept, with nothing left in caches that can be dropped. */
static bool file_is_random(struct run *run, int fd, uint64_t seed)
{
	void *bytes = map_memory(run, LENGTH, 0);

	fsync(fd);
	posix_fadvise(fd, 0, LENGTH, POSIX_FADV_DONTNEED);
	require(run, pread(fd, bytes, LENGTH, 0) == (ssize_t)LENGTH, "cannot read the file: %s",
		strerror(errno));
	return is_random(bytes, LENGTH, seed);
}

/*
 * Written through the mapping, synced, and written again: the second time the device must not
 * write through a translation from before the sync, or the file would never hear of it.
 */
static void check_file_in(struct run *run, const char *dir)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	void *source = map_memory(run, LENGTH, 0);
	int fd = make_file(run, dir, 2 * LENGTH);
	char *a = map_file(run, fd, 0, MAP_SHARED), *b = map_file(run, fd, LENGTH, MAP_SHARED);

	exercise(run, queue, a, b, LENGTH);
	for (uint64_t seed = 100; seed < 103; seed++) {
		write_random(source, LENGTH, seed);
		must(run, queue, sdma_copy(a, source, LENGTH));
		require(run, !msync(a, LENGTH, MS_SYNC), "msync: %s", strerror(errno));
	}
	munmap(a, LENGTH);
	require(run, file_is_random(run, fd, 102), "the file does not hold what was written last");
	a = map_file(run, fd, 0, MAP_SHARED);
	/* Read from the file by the device's page requests. */
	must(run, queue, sdma_copy(b, a, LENGTH));
	require(run, is_random(b, LENGTH, 102), "the device read other bytes from the file");
	close(fd);
	sdma_close(queue);
}

static void check_tmpfs(struct run *run)
{
	check_file_in(run, run->tmpfs);
}

static const char *disk_of(struct run *run)
{
	if (!run->disk)
		skip(run, "no directory on a disk was given (--disk)");
	return run->disk;
}

static void check_file(struct run *run)
{
	check_file_in(run, disk_of(run));
}

/* A private mapping of a file: what is written is the process's own. */
static void check_private_file(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	const char *dir = run->disk ? run->disk : run->tmpfs;
	int fd = make_file(run, dir, LENGTH);
	void *bytes = map_memory(run, LENGTH, 0);
	char *mapping;

	write_random(bytes, LENGTH, 200);
	require(run, pwrite(fd, bytes, LENGTH, 0) == (ssize_t)LENGTH, "cannot write the file");
	mapping = map_file(run, fd, 0, MAP_PRIVATE);
	/* First read, so that the device has translations of the file's own pages. */
	must(run, queue, sdma_compare(mapping, bytes, LENGTH));
	exercise(run, queue, mapping, bytes, LENGTH);
	write_random(bytes, LENGTH, 201);
	must(run, queue, sdma_copy(mapping, bytes, LENGTH));
	require(run, is_random(mapping, LENGTH, 201), "the mapping does not have the new bytes");
	require(run, file_is_random(run, fd, 200),
		"the file was changed through a private mapping");
	close(fd);
	sdma_close(queue);
}

/* --- Huge pages --- */

static void check_hugetlb(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	char *memory = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	struct sdma_status before, after;

	if (memory == MAP_FAILED)
		skip(run, "no huge pages are free: %s", strerror(errno));
	before = counters(run, queue);
	exercise(run, queue, memory, memory + HUGE_PAGE, HUGE_PAGE);
	after = counters(run, queue);
	/* Small translations would take 1024 of them for each pass. */
	require(run, after.atc_misses - before.atc_misses < 512,
		"%llu translations for two huge pages",
		(unsigned long long)(after.atc_misses - before.atc_misses));
	sdma_close(queue);
}

/* Whether the kernel maps the page at this address as a part of a huge one. */
static bool is_huge(const void *address)
{
	unsigned long start, end, want = (unsigned long)address;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long kib = 0;
	char line[256];
	bool here = false;

	if (!smaps)
		return false;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = want >= start && want < end;
		else if (here && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			break;
	}
	fclose(smaps);
	return kib;
}

static void check_thp(struct run *run)
{
	struct sdma *queue = take_queue(run, 0, NULL);
	uintptr_t area = (uintptr_t)mmap(NULL, 3 * HUGE_PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *memory = (char *)((area + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));

	require(run, area != (uintptr_t)MAP_FAILED, "mmap: %s", strerror(errno));
	if (madvise(memory, 2 * HUGE_PAGE, MADV_HUGEPAGE))
		skip(run, "no transparent huge pages: %s", strerror(errno));
	/* The device is the first to write: its page request makes the huge page. */
	must(run, queue, sdma_fill(memory, 0x1122334455667788, HUGE_PAGE));
	must(run, queue, sdma_fill(memory + HUGE_PAGE, 0x1122334455667788, HUGE_PAGE));
	if (!is_huge(memory))
		skip(run, "the kernel had no huge page to give");
	require(run, is_pattern(memory, 0x1122334455667788, 2 * HUGE_PAGE), "wrong bytes");
	exercise(run, queue, memory, memory + HUGE_PAGE, HUGE_PAGE);
	/* Split below the device: a small page of it goes away. */
	memset(memory, 0x77, HUGE_PAGE);
	must(run, queue, sdma_crc32c(memory, HUGE_PAGE, 0));
	require(run, !madvise(memory + 5 * PAGE, PAGE, MADV_DONTNEED), "madvise: %s",
		strerror(errno));
	must(run, queue, sdma_copy(memory + HUGE_PAGE, memory, HUGE_PAGE));
	require(run,
		is_byte(memory + HUGE_PAGE, 0x77, 5 * PAGE) &&
			is_byte(memory + HUGE_PAGE + 5 * PAGE, 0, PAGE) &&
			is_byte(memory + HUGE_PAGE + 6 * PAGE, 0x77, HUGE_PAGE - 6 * PAGE),
		"the device read a page that the process had given back");
	sdma_close(queue);
}

const struct check checks_of_memory[] = {
	{ "malloc", "memory of malloc(), small and large, at odd addresses", check_malloc, 0 },
	{ "stack", "variables on the stack", check_stack, 0 },
	{ "anonymous", "anonymous memory", check_anonymous, 0 },
	{ "shared", "anonymous memory shared with a child", check_shared, 0 },
	{ "tmpfs", "a shared mapping of a file on a tmpfs", check_tmpfs, 0 },
	{ "file", "a shared mapping of a file on a disk, synced and written again", check_file, 0 },
	{ "private-file", "a private mapping of a file, which stays as it is", check_private_file,
	  0 },
	{ "hugetlb", "huge pages, with few translations", check_hugetlb, 0 },
	{ "thp", "transparent huge pages, made by the device's faults, and split", check_thp, 0 },
	{ 0 },
};
