/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's disk load: O_DIRECT on /dev/vda through io_uring, `depth` requests in flight from one
 * thread, for `ms` milliseconds a workload. Each is framed by two lines, with a pause outside them
 * in which the harness reads the VMM's processor time:
 *
 *   begin NAME
 *   end NAME ops=N bytes=N ns=N errors=N
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define DEVICE	  "/dev/vda"
#define DEPTH_MAX 64
#define PAUSE_MS  150

struct workload {
	const char *name;
	unsigned int size; /* bytes of a request */
	bool random, is_write;
};

struct disk {
	struct io_uring ring;
	int fd;
	uint64_t size; /* bytes */
	unsigned int depth;
	char *buffer; /* depth times the largest request */
};

struct result {
	uint64_t ops, errors, ns;
};

static const struct workload workloads[] = {
	{ "randread-4k", 4096, true, false },
	{ "randwrite-4k", 4096, true, true },
	{ "seqread-1m", 1 << 20, false, false },
	{ "seqwrite-1m", 1 << 20, false, true },
};

/* xorshift64*, the same sequence in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static uint64_t next_offset(const struct disk *disk, const struct workload *workload,
			    uint64_t *state)
{
	uint64_t blocks = disk->size / workload->size;

	return (workload->random ? next_random(state) : (*state)++) % blocks * workload->size;
}

static void start(struct disk *disk, const struct workload *workload, unsigned int slot,
		  uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
	char *buffer = disk->buffer + (size_t)slot * workload->size;

	if (workload->is_write)
		io_uring_prep_write(sqe, disk->fd, buffer, workload->size, offset);
	else
		io_uring_prep_read(sqe, disk->fd, buffer, workload->size, offset);
	io_uring_sqe_set_data64(sqe, slot);
}

static struct result run(struct disk *disk, const struct workload *workload, uint64_t ms)
{
	uint64_t begin = now_ns(), end = begin + ms * 1000000, state = 1;
	struct result result = { 0 };
	unsigned int in_flight = 0;

	for (; in_flight < disk->depth; in_flight++)
		start(disk, workload, in_flight, next_offset(disk, workload, &state));
	while (in_flight) {
		bool more = now_ns() < end;
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0;

		io_uring_submit_and_wait(&disk->ring, 1);
		io_uring_for_each_cqe(&disk->ring, head, cqe)
		{
			seen++;
			result.ops++;
			result.errors += cqe->res != (int)workload->size;
			in_flight--;
			if (!more)
				continue;
			start(disk, workload, (unsigned int)cqe->user_data,
			      next_offset(disk, workload, &state));
			in_flight++;
		}
		io_uring_cq_advance(&disk->ring, seen);
	}
	result.ns = now_ns() - begin;
	return result;
}

/* The disk is probed while init runs: 10 s at most. */
static bool open_disk(struct disk *disk)
{
	for (int i = 0; i < 1000; i++) {
		disk->fd = open(DEVICE, O_RDWR | O_DIRECT | O_CLOEXEC);
		if (disk->fd >= 0)
			break;
		pause_ms(10);
	}
	if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &disk->size)) {
		say("failed %s: %d", DEVICE, errno);
		return false;
	}
	disk->buffer = aligned_alloc(4096, (size_t)disk->depth << 20);
	if (!disk->buffer || io_uring_queue_init(DEPTH_MAX, &disk->ring, 0)) {
		say("failed to set up: %d", errno);
		return false;
	}
	/* Present before the clock runs. */
	for (size_t at = 0; at < (size_t)disk->depth << 20; at += 4096)
		disk->buffer[at] = 1;
	return true;
}

void bench_blk(void)
{
	struct disk disk = { .depth = (unsigned int)number_of("depth", 32) };
	uint64_t ms = number_of("ms", 2000), runs = number_of("runs", 1);

	if (disk.depth > DEPTH_MAX || !open_disk(&disk))
		return;
	for (uint64_t i = 0; i < runs * (sizeof(workloads) / sizeof(workloads[0])); i++) {
		const struct workload *w = &workloads[i % (sizeof(workloads) / sizeof(*w))];
		struct result result;

		pause_ms(PAUSE_MS);
		say("begin %s", w->name);
		pause_ms(PAUSE_MS);
		result = run(&disk, w, ms);
		say("end %s ops=%" PRIu64 " bytes=%" PRIu64 " ns=%" PRIu64 " errors=%" PRIu64,
		    w->name, result.ops, result.ops * w->size, result.ns, result.errors);
	}
}
