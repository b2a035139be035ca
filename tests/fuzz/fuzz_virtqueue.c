/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile driver against devices/virtqueue.c: any rings, changed at any time, with and without a
 * remapping unit.
 *
 * Input: one byte of size (its power of two), one of flags, two for each ring's address (in units
 * of 4 bytes); then operations, one byte and its operands. Invariants: whatever comes out lies in
 * guest memory, adds up, and is bounded; a broken queue stays broken and writes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/virtqueue.h"

#define MEMORY	   65536
#define SECOND	   (UINT64_C(1) << 32)
#define IOV	   32
#define OPERATIONS 512

enum { FLAG_INDIRECT = 1, FLAG_EVENT_INDEX = 2, FLAG_UNIT = 4, FLAG_SECOND_SLOT = 8 };

enum { OP_WRITE, OP_POP, OP_PUSH, OP_PUBLISH, OP_KICKS, OP_EPOCH, OP_OFFER, OP_RESTART, OPS };

struct input {
	const uint8_t *at;
	size_t left;
};

struct fuzz {
	uint8_t *memory;
	struct ram ram;
	struct dma dma;
	struct virtqueue vq;
	struct virtq_setup setup;
	uint16_t head[VIRTQ_SIZE_MAX];
	unsigned int heads;
	uint64_t epoch, hole;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t next8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static uint16_t next16(struct input *in)
{
	uint16_t low = next8(in);

	return (uint16_t)(low | next8(in) << 8);
}

/* Pages in reverse order; one of them, `hole`, is not mapped. */
static int translate(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
		     uint64_t *gpa, uint64_t *run)
{
	const struct fuzz *fuzz = container_of(dma, struct fuzz, dma);
	uint64_t page = iova / 4096;

	(void)access;
	if (page >= MEMORY / 4096 || page == fuzz->hole)
		return -EFAULT;
	*gpa = (MEMORY / 4096 - 1 - page) * 4096 + iova % 4096;
	*run = min_u64(len, 4096 - iova % 4096);
	return 0;
}

static uint64_t epoch(const struct dma *dma)
{
	return container_of(dma, struct fuzz, dma)->epoch;
}

static const struct dma_ops unit = { .translate = translate, .epoch = epoch };

static void check(bool truth)
{
	if (!truth)
		abort();
}

static uint64_t check_iov(const struct fuzz *fuzz, const struct iovec *iov, unsigned int count)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < count; i++) {
		size_t at = (size_t)((uint8_t *)iov[i].iov_base - fuzz->memory);

		check(iov[i].iov_len && range_fits(at, iov[i].iov_len, MEMORY));
		bytes += iov[i].iov_len;
	}
	return bytes;
}

static void pop(struct fuzz *fuzz)
{
	struct virtq_chain chain;
	struct iovec iov[IOV];
	int rc = virtq_pop(&fuzz->vq, &chain, iov, IOV);

	check(rc == 0 || rc == 1 || rc == -EIO);
	check((rc == -EIO) == fuzz->vq.broken);
	check(!fuzz->vq.broken || fuzz->vq.reason);
	if (rc != 1)
		return;
	check(chain.head < fuzz->setup.size && chain.descriptors);
	check(chain.readable + chain.writable >= 1 && chain.readable + chain.writable <= IOV);
	check(check_iov(fuzz, iov, chain.readable) == chain.readable_bytes);
	check(check_iov(fuzz, iov + chain.readable, chain.writable) == chain.writable_bytes);
	check(fuzz->heads < fuzz->setup.size);
	fuzz->head[fuzz->heads++] = chain.head;
	/* A device writes to what it was given. */
	for (unsigned int i = 0; i < chain.writable; i++)
		memset(iov[chain.readable + i].iov_base, 0xdd, min_u64(iov[i].iov_len, 16));
}

static void restart(struct fuzz *fuzz)
{
	int rc;

	virtq_stop(&fuzz->vq);
	fuzz->heads = 0;
	rc = virtq_start(&fuzz->vq, &fuzz->dma, &fuzz->setup);
	check(rc == 0 || rc == -EINVAL || rc == -EFAULT);
	check(!rc == !fuzz->vq.broken);
}

static void write_memory(struct fuzz *fuzz, struct input *in)
{
	uint16_t at = next16(in);
	unsigned int len = next8(in);

	for (unsigned int i = 0; i < len && in->left; i++)
		fuzz->memory[(at + i) % MEMORY] = next8(in);
}

/* A well-behaved step, which chance alone would seldom take: one more entry. */
static void offer(struct fuzz *fuzz, struct input *in)
{
	uint16_t head = next8(in), index;
	uint8_t *avail = ram_ptr(&fuzz->ram, fuzz->setup.driver, 4U + 2U * fuzz->setup.size);

	if (!avail || fuzz->dma.ops || !fuzz->setup.size)
		return;
	index = load_le16(avail + 2);
	store_le16(avail + 4 + 2 * (index % fuzz->setup.size), head);
	store_le16(avail + 2, (uint16_t)(index + 1));
}

static void operate(struct fuzz *fuzz, struct input *in)
{
	bool broken = fuzz->vq.broken;

	switch (next8(in) % OPS) {
	case OP_WRITE:
		write_memory(fuzz, in);
		break;
	case OP_POP:
		pop(fuzz);
		break;
	case OP_PUSH:
		if (fuzz->heads)
			virtq_push(&fuzz->vq, fuzz->head[--fuzz->heads], next8(in));
		break;
	case OP_PUBLISH:
		check(!virtq_publish(&fuzz->vq) || !broken);
		break;
	case OP_KICKS:
		virtq_disable_kicks(&fuzz->vq);
		check(!virtq_enable_kicks(&fuzz->vq) || !broken);
		break;
	case OP_EPOCH:
		fuzz->hole = next8(in);
		fuzz->epoch++;
		break;
	case OP_OFFER:
		offer(fuzz, in);
		break;
	case OP_RESTART:
		restart(fuzz);
		return;
	}
	check(!broken || fuzz->vq.broken);
	check(fuzz->vq.outstanding == fuzz->heads || fuzz->vq.broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	uint8_t flags;

	if (!fuzz)
		return 0;
	fuzz->memory = aligned_alloc(4096, MEMORY);
	memset(fuzz->memory, 0, MEMORY);
	fuzz->setup.size = (uint16_t)(1U << next8(&in) % 12);
	flags = next8(&in);
	fuzz->setup.indirect = flags & FLAG_INDIRECT;
	fuzz->setup.event_index = flags & FLAG_EVENT_INDEX;
	fuzz->setup.desc = next16(&in) * 4U;
	fuzz->setup.driver = next16(&in) * 4U;
	fuzz->setup.device = next16(&in) * 4U;
	fuzz->hole = UINT64_MAX;
	fuzz->dma.ram = &fuzz->ram;
	fuzz->dma.ops = flags & FLAG_UNIT ? &unit : NULL;
	fuzz->ram = (struct ram){ .count = 1, .slot = { { 0, MEMORY, fuzz->memory } } };
	if (flags & FLAG_SECOND_SLOT) {
		fuzz->ram.count = 2;
		fuzz->ram.slot[0].size = MEMORY / 2;
		fuzz->ram.slot[1] =
			(struct ram_slot){ SECOND, MEMORY / 2, fuzz->memory + MEMORY / 2 };
	}
	restart(fuzz);
	for (unsigned int i = 0; i < OPERATIONS && in.left; i++)
		operate(fuzz, &in);
	free(fuzz->memory);
	free(fuzz);
	return 0;
}
