/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA and interrupts under way: edu and sdma at work, whatever the unit makes of their addresses.
 */
#include "vtd-hostile/hostile.h"

#define COPY_MAX  (4 * PAGE_SIZE)
#define TAILS_MAX 64 /* the index record is a word of the arena: a small one */
#define MSI_REMAP 0x10
#define IRT_WORDS (PAGE_SIZE / 8)

void hammer_edu(struct hammer *h)
{
	uint64_t len = (1 + below(h, EDU_BUFFER_SIZE / 8)) * 8;
	uint64_t memory = any_iova(h, len), buffer = EDU_BUFFER + EDU_BUFFER_SIZE - len;
	uintptr_t at = world.edu.registers;
	bool to_memory = once_in(h, 2);

	if (!world.has_edu || !spin_try(&world.edu_lock))
		return;
	write64(at + EDU_DMA_SOURCE, to_memory ? buffer : memory);
	write64(at + EDU_DMA_DESTINATION, to_memory ? memory : buffer);
	write64(at + EDU_DMA_COUNT, len);
	write64(at + EDU_DMA_COMMAND,
		EDU_DMA_START | (to_memory ? EDU_DMA_TO_MEMORY : 0) | (random64(h) & EDU_DMA_IRQ));
	spin_unlock(&world.edu_lock);
}

/* Entries of the table, by its own rules; and edu's message. */
void hammer_interrupts(struct hammer *h)
{
	uint64_t *entry = (uint64_t *)world.irt + below(h, IRT_WORDS / 2) * 2;

	if (once_in(h, 2)) {
		uint64_t flags = random64(h) & (VTD_IRTE0_FPD | VTD_IRTE0_RH | VTD_IRTE0_DM |
						(once_in(h, 16) ? VTD_IRTE0_IM : 0));

		__atomic_store_n(&entry[1], random64(h) & VTD_BITS(19, 16), __ATOMIC_RELAXED);
		__atomic_store_n(
			&entry[0],
			flags | vtd_put(any_vector(h), VTD_IRTE0_V) | VTD_IRTE0_P |
				vtd_put(below(h, 4) << (once_in(h, 2) ? 8 : 0), VTD_IRTE0_DST),
			__ATOMIC_RELAXED);
		return;
	}
	if (!world.has_edu || !world.edu.msi || !spin_try(&world.edu_lock))
		return;
	if (once_in(h, 8))
		edu_msi(&world.edu,
			0xfee00000 | (once_in(h, 4) ? 0 : MSI_REMAP | below(h, 1 << 12) << 5),
			any_vector(h));
	edu_raise(&world.edu, 1U << below(h, 8));
	edu_acknowledge(&world.edu);
	spin_unlock(&world.edu_lock);
}

/* --- sdma --- */

static void restart(struct hammer *h, struct sdma_queue *queue, unsigned int n)
{
	uint32_t pasid = once_in(h, 4) ? UINT32_MAX
				       : (uint32_t)below(h, once_in(h, 8) ? 1 << 20 : SOME_PASIDS);
	uintptr_t at = world.sdma.registers + SDMA_QUEUE_BASE + n * SDMA_QUEUE_STRIDE;
	uint64_t index = arena_page(h);

	write32(at + SDMA_Q_CONTROL, 0);
	*queue = (struct sdma_queue){ .sdma = &world.sdma,
				      .number = n,
				      .ring = (void *)(world.rings + n * PAGE_SIZE),
				      .index = (void *)index };
	__atomic_store_n((uint64_t *)index, 0, __ATOMIC_RELAXED);
	write32(at + SDMA_Q_PASID, pasid == UINT32_MAX ? 0 : pasid);
	write32(at + SDMA_Q_VECTOR, SDMA_NO_VECTOR);
	write64(at + SDMA_Q_RING, once_in(h, 16) ? foreign_page(h) : (uintptr_t)queue->ring);
	write32(at + SDMA_Q_LOG2, SDMA_RING_LOG2);
	write64(at + SDMA_Q_INDEX, index);
	write32(at + SDMA_Q_CONTROL,
		SDMA_Q_ENABLE | (pasid == UINT32_MAX ? 0 : SDMA_Q_PASID_ON) |
			(world.deadly ? (uint32_t)random64(h) & SDMA_Q_PRIVILEGED : 0));
}

/* Waiting for pages takes nanoseconds, which are no good words: no record then. */
static void fill(struct hammer *h, volatile struct sdma_descriptor *to)
{
	static const uint8_t operations[] = { SDMA_NOP,	   SDMA_COPY,	 SDMA_COPY, SDMA_FILL,
					      SDMA_CRC32C, SDMA_COMPARE, SDMA_TOUCH };
	uint64_t length = (1 + below(h, COPY_MAX / 8)) * 8;
	struct sdma_descriptor d = {
		.operation = operations[below(h, ARRAY_SIZE(operations))],
		.flags = (uint8_t)(random64(h) & SDMA_FLAGS & ~SDMA_FLAG_INTERRUPT),
	};

	if (d.operation == SDMA_COMPARE)
		length = 64;
	if (!(d.flags & SDMA_FLAG_BLOCK))
		d.completion = align_down(any_iova(h, 32), 32);
	d.length = length;
	d.source = any_iova(h, length);
	d.destination = any_iova(h, length);
	d.operand = d.operation == SDMA_TOUCH ? 8 * (1 + below(h, 512)) : any_word(h);
	if (world.deadly && once_in(h, 8)) {
		d.operation = (uint8_t)random64(h);
		d.length = random64(h);
		d.operand = random64(h);
	}
	memcpy((void *)to, &d, sizeof(d));
}

void hammer_sdma(struct hammer *h)
{
	unsigned int n = (unsigned int)below(h, RINGS);
	struct sdma_queue *queue = &world.queue[n];
	unsigned int count = 1 + (unsigned int)below(h, 8);

	if (!world.has_sdma || n >= world.sdma.queues || !spin_try(&world.ring_lock[n]))
		return;
	if (!queue->ring || queue->tail + count > TAILS_MAX || once_in(h, 16))
		restart(h, queue, n);
	for (; count--; queue->tail++)
		fill(h, &queue->ring[queue->tail & ((1U << SDMA_RING_LOG2) - 1)]);
	__atomic_store_n(&queue->index->tail, queue->tail, __ATOMIC_SEQ_CST);
	write32(world.sdma.doorbells + n * SDMA_DOORBELL_SIZE, 1);
	spin_unlock(&world.ring_lock[n]);
}
