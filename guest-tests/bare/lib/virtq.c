/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split rings, the driver's side.
 */
#include "lib/cpu.h"
#include "lib/memory.h"
#include "lib/time.h"
#include "lib/virtio.h"

#define USED_NO_NOTIFY	   1
#define AVAIL_NO_INTERRUPT 1
#define WAIT_US		   20000000

static volatile uint16_t *used_event(const struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static volatile uint16_t *avail_event(const struct virtq *vq)
{
	return (volatile uint16_t *)&vq->used->ring[vq->size];
}

static bool event_index(const struct virtq *vq)
{
	return vq->device->features & VIRTIO_F_EVENT_IDX;
}

/* --- Set-up --- */

/* Descriptors, available ring, used ring on its own page. */
static uint64_t used_offset(uint16_t size)
{
	return align_up(16UL * size + 6 + 2UL * size, PAGE_SIZE);
}

uint64_t virtq_bytes(uint16_t size)
{
	return align_up(used_offset(size) + 6 + 8UL * size, PAGE_SIZE);
}

void virtq_place(struct virtq *vq, void *memory, uint16_t size)
{
	uint8_t *at = memory;

	vq->size = size;
	vq->memory = memory;
	vq->desc = (void *)at;
	vq->avail = (void *)(at + 16UL * size);
	vq->used = (void *)(at + used_offset(size));
	vq->free = 0;
	vq->free_count = size;
	vq->avail_index = vq->kicked = vq->last_used = 0;
	memset(memory, 0, virtq_bytes(size));
	for (uint16_t i = 0; i < size; i++)
		vq->desc[i].next = (uint16_t)(i + 1);
}

static void tell_address(uintptr_t reg, const volatile void *at)
{
	write32(reg, (uint32_t)(uintptr_t)at);
	write32(reg + 4, (uint32_t)((uintptr_t)at >> 32));
}

void virtq_tell(const struct virtq *vq, uint16_t vector)
{
	uintptr_t common = vq->device->common;

	write16(common + VIRTIO_QUEUE_SELECT, vq->index);
	write16(common + VIRTIO_QUEUE_SIZE, vq->size);
	write16(common + VIRTIO_QUEUE_VECTOR, vector);
	tell_address(common + VIRTIO_QUEUE_DESC, vq->desc);
	tell_address(common + VIRTIO_QUEUE_DRIVER, vq->avail);
	tell_address(common + VIRTIO_QUEUE_DEVICE, vq->used);
}

void virtq_enable(const struct virtq *vq)
{
	write16(vq->device->common + VIRTIO_QUEUE_SELECT, vq->index);
	write16(vq->device->common + VIRTIO_QUEUE_ENABLE, 1);
}

bool virtq_setup(struct virtq *vq, struct virtio *device, uint16_t index, uint16_t size,
		 uint16_t vector)
{
	uintptr_t common = device->common;
	uint16_t most;

	write16(common + VIRTIO_QUEUE_SELECT, index);
	most = read16(common + VIRTIO_QUEUE_SIZE);
	if (!most)
		return false;
	size = (uint16_t)min_u64(size, most);
	if (!vq->memory || vq->size != size)
		vq->memory = pages(virtq_bytes(size) / PAGE_SIZE);
	vq->device = device;
	vq->index = index;
	vq->doorbell = device->notify +
		       read16(common + VIRTIO_QUEUE_NOTIFY_OFF) * device->notify_multiplier;
	virtq_place(vq, vq->memory, size);
	virtq_tell(vq, vector);
	virtq_enable(vq);
	return read16(common + VIRTIO_QUEUE_ENABLE) == 1;
}

/* --- Available --- */

static uint16_t take_free(struct virtq *vq)
{
	uint16_t at = vq->free;

	vq->free = vq->desc[at].next;
	vq->free_count--;
	return at;
}

static void give_free(struct virtq *vq, uint16_t head)
{
	uint16_t at = head;

	while (true) {
		vq->free_count++;
		if (!(vq->desc[at].flags & DESC_NEXT))
			break;
		at = vq->desc[at].next;
	}
	vq->desc[at].next = vq->free;
	vq->free = head;
}

void virtq_offer(struct virtq *vq, uint16_t head)
{
	vq->avail->ring[vq->avail_index % vq->size] = head;
	vq->avail_index++;
}

static uint16_t flags_of(const struct buffer *buffer, bool last)
{
	return (uint16_t)((buffer->device_writes ? DESC_WRITE : 0) | (last ? 0 : DESC_NEXT));
}

int virtq_add(struct virtq *vq, const struct buffer *buffers, unsigned int count)
{
	uint16_t head = vq->free, at;

	if (!count || count > vq->free_count)
		return -1;
	for (unsigned int i = 0; i < count; i++) {
		/* The list of free descriptors is linked already as the chain will be. */
		at = take_free(vq);
		vq->desc[at].address = (uintptr_t)buffers[i].at;
		vq->desc[at].len = buffers[i].len;
		vq->desc[at].flags = flags_of(&buffers[i], i + 1 == count);
	}
	virtq_offer(vq, head);
	return head;
}

int virtq_add_indirect(struct virtq *vq, struct virtq_desc *table, const struct buffer *buffers,
		       unsigned int count)
{
	uint16_t head = vq->free;

	if (!count || !vq->free_count)
		return -1;
	for (unsigned int i = 0; i < count; i++)
		table[i] = (struct virtq_desc){ .address = (uintptr_t)buffers[i].at,
						.len = buffers[i].len,
						.flags = flags_of(&buffers[i], i + 1 == count),
						.next = (uint16_t)(i + 1) };
	take_free(vq);
	vq->desc[head].address = (uintptr_t)table;
	vq->desc[head].len = (uint32_t)(count * sizeof(*table));
	vq->desc[head].flags = DESC_INDIRECT;
	virtq_offer(vq, head);
	return head;
}

void virtq_ring(const struct virtq *vq)
{
	write16(vq->doorbell, vq->index);
}

void virtq_kick(struct virtq *vq)
{
	uint16_t before = vq->kicked, now = vq->avail_index;
	bool wanted;

	/* 2.7.13: the entries first, then the index, then the question whether to ring. */
	barrier();
	vq->avail->index = now;
	vq->kicked = now;
	barrier();
	if (event_index(vq))
		wanted = (uint16_t)(now - *avail_event(vq) - 1) < (uint16_t)(now - before);
	else
		wanted = !(vq->used->flags & USED_NO_NOTIFY);
	if (wanted)
		virtq_ring(vq);
}

/* --- Used --- */

void virtq_interrupts(struct virtq *vq, bool on)
{
	vq->avail->flags = on ? 0 : AVAIL_NO_INTERRUPT;
	if (event_index(vq))
		*used_event(vq) = (uint16_t)(on ? vq->last_used : vq->last_used - 1);
	barrier();
}

int virtq_take(struct virtq *vq, uint32_t *len)
{
	struct virtq_used_element element;

	if (vq->used->index == vq->last_used)
		return -1;
	barrier();
	element.id = vq->used->ring[vq->last_used % vq->size].id;
	element.len = vq->used->ring[vq->last_used % vq->size].len;
	vq->last_used++;
	if (element.id >= vq->size)
		return -1;
	if (len)
		*len = element.len;
	give_free(vq, (uint16_t)element.id);
	return (int)element.id;
}

static bool has_used(const void *context)
{
	const struct virtq *vq = context;

	return vq->used->index != vq->last_used;
}

int virtq_wait(struct virtq *vq, uint32_t *len)
{
	return wait_until(has_used, vq, WAIT_US) ? virtq_take(vq, len) : -1;
}
