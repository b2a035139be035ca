/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * Host and guest are both x86-64, so the little-endian rings are read as they are.
 */
#include "devices/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>

#include "devices/base.h"

/* Offsets within the areas. */
enum {
	AVAIL_FLAGS = 0,
	AVAIL_INDEX = 2,
	AVAIL_RING = 4,
	USED_FLAGS = 0,
	USED_INDEX = 2,
	USED_RING = 4,
};

_Static_assert(sizeof(struct vring_desc) == 16, "2.7.5: a descriptor is 16 bytes");
_Static_assert(sizeof(struct vring_used_elem) == 8, "2.7.8: a used element is 8 bytes");

void virtq_break(struct virtqueue *vq, const char *reason)
{
	if (vq->broken)
		return;
	vq->broken = true;
	vq->reason = reason;
}

static int broken(struct virtqueue *vq, const char *reason)
{
	virtq_break(vq, reason);
	return -EIO;
}

/* --- Access to the rings --- */

static int area_map(struct virtq_area *area, const struct dma *dma, uint64_t iova, uint64_t len,
		    enum dma_access access)
{
	int count = dma_runs(dma, iova, len, access, area->run, VIRTQ_RUNS);

	if (count <= 0)
		return -EFAULT;
	area->count = (unsigned int)count;
	return 0;
}

/*
 * The host address of byte @offset, which lies in the area. Runs end at page boundaries, so what is
 * naturally aligned does not straddle two. Bound: VIRTQ_RUNS.
 */
static void *area_at(const struct virtq_area *area, size_t offset)
{
	unsigned int i = 0;

	while (i + 1 < area->count && offset >= area->run[i].iov_len)
		offset -= area->run[i++].iov_len;
	return (uint8_t *)area->run[i].iov_base + offset;
}

static uint16_t area_load16(const struct virtq_area *area, size_t offset)
{
	return __atomic_load_n((const uint16_t *)area_at(area, offset), __ATOMIC_RELAXED);
}

static void area_store16(const struct virtq_area *area, size_t offset, uint16_t value)
{
	__atomic_store_n((uint16_t *)area_at(area, offset), value, __ATOMIC_RELAXED);
}

static void area_store32(const struct virtq_area *area, size_t offset, uint32_t value)
{
	__atomic_store_n((uint32_t *)area_at(area, offset), value, __ATOMIC_RELAXED);
}

/* Two 8-byte loads, for which a descriptor is aligned: an indirect table need not be. */
static struct vring_desc area_load_desc(const struct virtq_area *area, unsigned int index)
{
	size_t offset = (size_t)index * sizeof(struct vring_desc);
	uint64_t word[2];
	struct vring_desc desc;

	word[0] = __atomic_load_n((const uint64_t *)area_at(area, offset), __ATOMIC_RELAXED);
	word[1] = __atomic_load_n((const uint64_t *)area_at(area, offset + 8), __ATOMIC_RELAXED);
	memcpy(&desc, word, sizeof(desc));
	return desc;
}

static int map(struct virtqueue *vq)
{
	const struct virtq_setup *setup = &vq->setup;

	/* Read first: a change during the mapping is then seen by the next check. */
	vq->epoch = dma_epoch(vq->dma);
	if (area_map(&vq->desc, vq->dma, setup->desc, virtq_desc_bytes(setup->size), DMA_READ) ||
	    area_map(&vq->avail, vq->dma, setup->driver,
		     virtq_avail_bytes(setup->size, setup->event_index), DMA_READ) ||
	    area_map(&vq->used, vq->dma, setup->device,
		     virtq_used_bytes(setup->size, setup->event_index), DMA_READ_WRITE))
		return -EFAULT;
	return 0;
}

/* True if the rings may be used. */
static bool ready(struct virtqueue *vq)
{
	if (!vq->running || vq->broken)
		return false;
	if (dma_epoch(vq->dma) != vq->epoch && map(vq)) {
		virtq_break(vq, "the rings are no longer mapped");
		return false;
	}
	return true;
}

int virtq_start(struct virtqueue *vq, const struct dma *dma, const struct virtq_setup *setup)
{
	*vq = (struct virtqueue){ .dma = dma, .setup = *setup, .running = true };
	if (!is_power_of_two(setup->size) || setup->size > VIRTQ_SIZE_MAX || setup->desc % 16 ||
	    setup->driver % 2 || setup->device % 4) {
		virtq_break(vq, "impossible size or misaligned ring");
		return -EINVAL;
	}
	if (map(vq)) {
		virtq_break(vq, "the rings are not in memory");
		return -EFAULT;
	}
	return 0;
}

void virtq_stop(struct virtqueue *vq)
{
	vq->running = false;
	vq->outstanding = 0;
}

/* --- Available --- */

/* How many chains wait. Pairs with the driver's write barrier: the entries are visible. */
static int available(struct virtqueue *vq)
{
	uint16_t index = __atomic_load_n((const uint16_t *)area_at(&vq->avail, AVAIL_INDEX),
					 __ATOMIC_ACQUIRE);
	uint16_t count = (uint16_t)(index - vq->last_avail);

	if (count > vq->setup.size)
		return broken(vq, "available index is ahead by more than the queue size");
	return count;
}

void virtq_disable_kicks(struct virtqueue *vq)
{
	/* With event indices the driver stays silent until it passes the event: nothing to do. */
	if (ready(vq) && !vq->setup.event_index)
		area_store16(&vq->used, USED_FLAGS, VRING_USED_F_NO_NOTIFY);
}

bool virtq_enable_kicks(struct virtqueue *vq)
{
	if (!ready(vq))
		return false;
	if (vq->setup.event_index)
		area_store16(&vq->used, USED_RING + 8U * vq->setup.size, vq->last_avail);
	else
		area_store16(&vq->used, USED_FLAGS, 0);
	/* 2.7.10: the request for kicks must be visible before the index is looked at again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return available(vq) > 0;
}

/* --- A chain --- */

/* One walk through a chain: the table it is in now, and what it has gathered. */
struct walk {
	struct virtqueue *vq;
	struct virtq_chain *chain;
	struct iovec *iov;
	unsigned int used, max;
	struct virtq_area table;
	unsigned int table_size;
	bool indirect;
};

static int enter_indirect(struct walk *walk, const struct vring_desc *desc)
{
	struct virtqueue *vq = walk->vq;

	if (!vq->setup.indirect)
		return broken(vq, "indirect descriptor was not negotiated");
	if (walk->indirect)
		return broken(vq, "indirect descriptor in an indirect table");
	if (desc->flags & VRING_DESC_F_NEXT)
		return broken(vq, "indirect descriptor with a next one");
	if (!desc->len || desc->len % sizeof(struct vring_desc) ||
	    desc->len / sizeof(struct vring_desc) > VIRTQ_CHAIN_MAX)
		return broken(vq, "indirect table of an impossible length");
	if (desc->addr % 8)
		return broken(vq, "indirect table is misaligned");
	if (area_map(&walk->table, vq->dma, desc->addr, desc->len, DMA_READ))
		return broken(vq, "indirect table is not in memory");
	walk->table_size = desc->len / sizeof(struct vring_desc);
	walk->indirect = true;
	return 0;
}

static bool adjacent(const struct iovec *a, const struct iovec *b)
{
	return (uint8_t *)a->iov_base + a->iov_len == b->iov_base;
}

static int add_buffer(struct walk *walk, const struct vring_desc *desc)
{
	struct virtqueue *vq = walk->vq;
	struct virtq_chain *chain = walk->chain;
	bool writable = desc->flags & VRING_DESC_F_WRITE;
	uint32_t *bytes = writable ? &chain->writable_bytes : &chain->readable_bytes;
	uint16_t *entries = writable ? &chain->writable : &chain->readable;
	struct iovec *next = walk->iov + walk->used;
	int count;

	if (!desc->len)
		return broken(vq, "descriptor of length zero");
	if (!writable && chain->writable)
		return broken(vq, "readable descriptor after a writable one");
	if ((uint64_t)chain->readable_bytes + chain->writable_bytes + desc->len > UINT32_MAX)
		return broken(vq, "chain of more than 4 GiB");
	count = dma_runs(vq->dma, desc->addr, desc->len, writable ? DMA_WRITE : DMA_READ, next,
			 walk->max - walk->used);
	if (count == -E2BIG)
		return broken(vq, "chain in too many pieces");
	if (count < 0)
		return broken(vq, "buffer is not in memory");
	*bytes += desc->len;
	if (*entries && adjacent(next - 1, next)) {
		next[-1].iov_len += next->iov_len;
		count--;
		memmove(next, next + 1, (unsigned int)count * sizeof(*next));
	}
	*entries = (uint16_t)(*entries + count);
	walk->used += (unsigned int)count;
	return 0;
}

static int walk_chain(struct walk *walk, uint16_t index)
{
	/* Bound: more steps than the table has descriptors are a loop. Tables are changed once. */
	for (unsigned int left = walk->table_size; left; left--) {
		struct vring_desc desc;
		int rc;

		if (index >= walk->table_size)
			return broken(walk->vq, "descriptor index is outside of the table");
		desc = area_load_desc(&walk->table, index);
		walk->chain->descriptors += !walk->indirect;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			rc = enter_indirect(walk, &desc);
			left = walk->table_size + 1;
			index = 0;
		} else {
			rc = add_buffer(walk, &desc);
			if (!rc && !(desc.flags & VRING_DESC_F_NEXT))
				return 0;
			index = desc.next;
		}
		if (rc)
			return rc;
	}
	return broken(walk->vq, "descriptor chain is a loop");
}

int virtq_pop(struct virtqueue *vq, struct virtq_chain *chain, struct iovec *iov, unsigned int max)
{
	struct walk walk = { .vq = vq, .chain = chain, .iov = iov, .max = max };
	uint16_t head;
	int rc;

	if (!ready(vq))
		return vq->broken ? -EIO : 0;
	rc = available(vq);
	if (rc <= 0)
		return rc;
	/* A chain has a descriptor at least, so a driver that reuses none too early is below this.
	 */
	if (vq->outstanding >= vq->setup.size)
		return broken(vq, "more chains than descriptors");
	head = area_load16(&vq->avail, AVAIL_RING + 2U * (vq->last_avail % vq->setup.size));
	*chain = (struct virtq_chain){ .head = head };
	walk.table = vq->desc;
	walk.table_size = vq->setup.size;
	rc = walk_chain(&walk, head);
	if (rc)
		return rc;
	vq->last_avail++;
	vq->outstanding++;
	return 1;
}

void virtq_unpop(struct virtqueue *vq, uint16_t count)
{
	vq->last_avail = (uint16_t)(vq->last_avail - count);
	vq->outstanding = (uint16_t)(vq->outstanding - count);
}

/* --- Used --- */

void virtq_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	size_t at;

	if (!ready(vq))
		return;
	at = USED_RING + 8U * (vq->used_index % vq->setup.size);
	/* The ring is aligned to 4 bytes only, so an element may straddle two runs; its halves
	 * don't. */
	area_store32(&vq->used, at, head);
	area_store32(&vq->used, at + 4, len);
	vq->used_index++;
	vq->outstanding--;
}

bool virtq_publish(struct virtqueue *vq)
{
	uint16_t before = vq->signalled, event;

	if (vq->used_index == vq->published || !ready(vq))
		return false;
	/* The elements first, then the index that shows them. */
	__atomic_store_n((uint16_t *)area_at(&vq->used, USED_INDEX), vq->used_index,
			 __ATOMIC_RELEASE);
	vq->published = vq->used_index;
	/* 2.7.7.2: the index must be visible before the driver's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vq->signalled = vq->used_index;
	if (!vq->setup.event_index)
		return !(area_load16(&vq->avail, AVAIL_FLAGS) & VRING_AVAIL_F_NO_INTERRUPT);
	event = area_load16(&vq->avail, AVAIL_RING + 2U * vq->setup.size);
	return vring_need_event(event, vq->used_index, before);
}

/* --- Buffers --- */

uint64_t iov_read(const struct iovec *iov, unsigned int count, void *bytes, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		uint64_t n = min_u64(iov[i].iov_len, len - done);

		memcpy((uint8_t *)bytes + done, iov[i].iov_base, n);
		done += n;
	}
	return done;
}

uint64_t iov_write(const struct iovec *iov, unsigned int count, const void *bytes, uint64_t len)
{
	return iov_write_at(iov, count, 0, bytes, len);
}

uint64_t iov_write_at(const struct iovec *iov, unsigned int count, uint64_t offset,
		      const void *bytes, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		uint64_t n;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		n = min_u64(iov[i].iov_len - offset, len - done);
		memcpy((uint8_t *)iov[i].iov_base + offset, (const uint8_t *)bytes + done, n);
		done += n;
		offset = 0;
	}
	return done;
}

unsigned int iov_skip(struct iovec **iov, unsigned int count, uint64_t len)
{
	while (count && len >= (*iov)->iov_len) {
		len -= (*iov)->iov_len;
		(*iov)++;
		count--;
	}
	if (count && len) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + len;
		(*iov)->iov_len -= len;
	}
	return count;
}
