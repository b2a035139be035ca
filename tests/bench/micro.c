/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths that every exit and every request takes, alone: one line "NAME ns-per-operation" each. On a
 * clock that counts instructions (the lab's --icount) the same lines count instructions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/base.h"
#include "devices/bus.h"
#include "devices/dma.h"
#include "devices/virtqueue.h"

#define RAM_SIZE    (16 * MIB)
#define HIGH_BASE   (4 * GIB)
#define QUEUE_SIZE  256
#define DESC_BASE   0x10000
#define AVAIL_BASE  0x20000
#define USED_BASE   0x30000
#define DATA_BASE   0x100000
#define CHAIN	    3
#define ROUNDS	    20000
#define BUS_DEVICES 64

struct fixture {
	struct ram ram;
	struct dma dma;
	struct bus bus;
	struct virtqueue vq;
	uint64_t sum; /* keeps results alive */
};

struct benchmark {
	const char *name;
	unsigned int operations; /* of one call */
	void (*run)(struct fixture *fixture);
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint8_t *at(struct fixture *fixture, uint64_t gpa)
{
	return ram_ptr(&fixture->ram, gpa, 8);
}

/* --- Memory --- */

static void resolve(struct fixture *fixture, uint64_t iova, uint64_t len)
{
	struct iovec iov[4];

	fixture->sum += (uint64_t)dma_runs(&fixture->dma, iova, len, DMA_WRITE, iov, 4);
	fixture->sum += iov[0].iov_len;
}

static void dma_low(struct fixture *fixture)
{
	resolve(fixture, DATA_BASE, 4096);
}

static void dma_high(struct fixture *fixture)
{
	resolve(fixture, HIGH_BASE + DATA_BASE, 4096);
}

/* --- Buses --- */

static void nothing(void *context, struct bus_access *access)
{
	struct fixture *fixture = context;

	fixture->sum += access->offset;
	access->value = 0;
}

static void bus_hit(struct fixture *fixture)
{
	uint32_t value;

	bus_read(&fixture->bus, HIGH_BASE + 37 * 0x2000 + 0x10, &value, sizeof(value));
}

static void bus_miss(struct fixture *fixture)
{
	uint32_t value;

	bus_read(&fixture->bus, HIGH_BASE + 37 * 0x2000 + 0x1800, &value, sizeof(value));
}

/* --- A virtqueue: header, data, status; 32 requests a batch, as a disk at that depth --- */

#define BATCH 32

static void fill_queue(struct fixture *fixture)
{
	for (uint16_t i = 0; i < QUEUE_SIZE - CHAIN; i += CHAIN) {
		for (uint16_t j = 0; j < CHAIN; j++) {
			uint8_t *desc = at(fixture, DESC_BASE + 16ULL * (i + j));

			store_le64(desc, DATA_BASE + 8192ULL * i + 4096ULL * j);
			store_le32(desc + 8, j == 0 ? 16 : j == 1 ? 4096 : 1);
			store_le16(desc + 12, (uint16_t)((j < CHAIN - 1) | (j ? 2 : 0)));
			store_le16(desc + 14, (uint16_t)(i + j + 1));
		}
	}
}

static void queue_batch(struct fixture *fixture)
{
	uint8_t *avail = at(fixture, AVAIL_BASE);
	struct virtq_chain chain;
	struct iovec iov[8];
	uint16_t heads[BATCH], index = load_le16(avail + 2), count = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		store_le16(avail + 4 + 2 * ((index + i) % QUEUE_SIZE), (uint16_t)(i * CHAIN));
	store_le16(avail + 2, (uint16_t)(index + BATCH));
	while (count < BATCH && virtq_pop(&fixture->vq, &chain, iov, 8) == 1)
		heads[count++] = chain.head;
	for (unsigned int i = 0; i < count; i++)
		virtq_push(&fixture->vq, heads[i], 4097);
	fixture->sum += virtq_publish(&fixture->vq);
	fixture->sum += virtq_enable_kicks(&fixture->vq);
	if (count != BATCH) {
		fprintf(stderr, "micro: the queue broke: %s\n",
			fixture->vq.reason ? fixture->vq.reason : "empty");
		exit(1);
	}
}

/* --- */

static const struct benchmark benchmarks[] = {
	{ "dma_runs, 4 KiB, low RAM", 1, dma_low },
	{ "dma_runs, 4 KiB, high RAM", 1, dma_high },
	{ "bus_read, one of 64 devices", 1, bus_hit },
	{ "bus_read, no device", 1, bus_miss },
	{ "virtqueue, pop and push of a disk request", BATCH, queue_batch },
};

static int set_up(struct fixture *fixture)
{
	const struct virtq_setup setup = { .size = QUEUE_SIZE,
					   .desc = DESC_BASE,
					   .driver = AVAIL_BASE,
					   .device = USED_BASE,
					   .indirect = true,
					   .event_index = true };

	fixture->ram.count = 2;
	for (unsigned int i = 0; i < 2; i++) {
		uint8_t *host = calloc(1, RAM_SIZE);

		if (!host)
			return -1;
		fixture->ram.slot[i] = (struct ram_slot){ i ? HIGH_BASE : 0, RAM_SIZE, host };
	}
	fixture->dma.ram = &fixture->ram;
	bus_init(&fixture->bus);
	for (unsigned int i = 0; i < BUS_DEVICES; i++) {
		struct bus_region region = { .base = HIGH_BASE + i * 0x2000ULL,
					     .size = 0x1000,
					     .handler = nothing,
					     .context = fixture,
					     .name = "bench" };

		if (bus_add(&fixture->bus, &region))
			return -1;
	}
	fill_queue(fixture);
	return virtq_start(&fixture->vq, &fixture->dma, &setup);
}

static double measure(struct fixture *fixture, const struct benchmark *benchmark)
{
	double best = 0;

	/* The fastest of five: everything else is somebody else's time. */
	for (int i = 0; i < 5; i++) {
		unsigned int rounds = ROUNDS / benchmark->operations;
		uint64_t begin = now_ns();
		double ns;

		for (unsigned int j = 0; j < rounds; j++)
			benchmark->run(fixture);
		ns = (double)(now_ns() - begin) / rounds / benchmark->operations;
		if (!best || ns < best)
			best = ns;
	}
	return best;
}

int main(void)
{
	static struct fixture fixture;

	if (set_up(&fixture)) {
		fprintf(stderr, "micro: setting up failed\n");
		return 1;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(benchmarks); i++)
		printf("%.1f %s\n", measure(&fixture, &benchmarks[i]), benchmarks[i].name);
	return fixture.sum == 1;
}
