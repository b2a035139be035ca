/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one way to guest memory: every address is checked against the RAM slots, after translation.
 */
#include "devices/dma.h"

#include <errno.h>

#include "devices/base.h"

static const struct ram_slot *slot_of(const struct ram *ram, uint64_t gpa)
{
	for (unsigned int i = 0; i < ram->count; i++) {
		const struct ram_slot *slot = &ram->slot[i];

		if (gpa >= slot->gpa && gpa - slot->gpa < slot->size)
			return slot;
	}
	return NULL;
}

void *ram_ptr(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	const struct ram_slot *slot = slot_of(ram, gpa);

	if (!slot || !range_fits(gpa - slot->gpa, len, slot->size))
		return NULL;
	return slot->host + (gpa - slot->gpa);
}

uint64_t ram_bytes(const struct ram *ram)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < ram->count; i++)
		bytes += ram->slot[i].size;
	return bytes;
}

uint64_t ram_end(const struct ram *ram)
{
	const struct ram_slot *last = &ram->slot[ram->count - 1];

	return last->gpa + last->size;
}

/* The host memory behind the start of [iova, iova + len): at least one byte, or -EFAULT. */
static int next_run(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
		    struct iovec *run)
{
	const struct ram_slot *slot;
	uint64_t gpa = iova, size = len;

	if (dma->ops) {
		int rc = dma->ops->translate(dma, iova, len, access, &gpa, &size);

		if (rc)
			return rc;
		size = min_u64(size, len);
	}
	slot = slot_of(dma->ram, gpa);
	if (!slot || !size)
		return -EFAULT;
	run->iov_base = slot->host + (gpa - slot->gpa);
	run->iov_len = min_u64(size, slot->size - (gpa - slot->gpa));
	return 0;
}

/* An IOVA range that wraps is no range. */
static bool wraps(uint64_t iova, uint64_t len)
{
	return len && iova + (len - 1) < iova;
}

int dma_runs(const struct dma *dma, uint64_t iova, uint64_t len, enum dma_access access,
	     struct iovec *iov, unsigned int max)
{
	unsigned int count = 0;

	if (wraps(iova, len))
		return -EFAULT;
	/* Each turn consumes at least one byte and fills, or extends, a run: bounded by @max runs.
	 */
	while (len) {
		struct iovec run;
		struct iovec *last = count ? &iov[count - 1] : NULL;
		int rc = next_run(dma, iova, len, access, &run);

		if (rc)
			return rc;
		iova += run.iov_len;
		len -= run.iov_len;
		if (last && (char *)last->iov_base + last->iov_len == run.iov_base) {
			last->iov_len += run.iov_len;
			continue;
		}
		if (count == max)
			return -E2BIG;
		iov[count++] = run;
	}
	return (int)count;
}

static int copy(const struct dma *dma, uint64_t iova, void *buffer, uint64_t len,
		enum dma_access access)
{
	uint8_t *bytes = buffer;

	if (wraps(iova, len))
		return -EFAULT;
	while (len) {
		struct iovec run;
		unsigned int token = dma_enter(dma);
		int rc = next_run(dma, iova, len, access, &run);

		if (!rc && access == DMA_READ)
			memcpy(bytes, run.iov_base, run.iov_len);
		else if (!rc)
			memcpy(run.iov_base, bytes, run.iov_len);
		dma_leave(dma, token);
		if (rc)
			return rc;
		bytes += run.iov_len;
		iova += run.iov_len;
		len -= run.iov_len;
	}
	return 0;
}

int dma_read(const struct dma *dma, uint64_t iova, void *to, uint64_t len)
{
	return copy(dma, iova, to, len, DMA_READ);
}

int dma_write(const struct dma *dma, uint64_t iova, const void *from, uint64_t len)
{
	return copy(dma, iova, (void *)(uintptr_t)from, len, DMA_WRITE);
}

unsigned int dma_enter(const struct dma *dma)
{
	return dma->ops && dma->ops->enter ? dma->ops->enter(dma) : 0;
}

void dma_leave(const struct dma *dma, unsigned int token)
{
	if (dma->ops && dma->ops->leave)
		dma->ops->leave(dma, token);
}

uint64_t dma_epoch(const struct dma *dma)
{
	return dma->ops ? dma->ops->epoch(dma) : 0;
}
