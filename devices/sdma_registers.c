/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR 0. Every register is a row of a table; accesses are taken apart into 32-bit words.
 */
#include "devices/sdma_device.h"

/* A register of a queue: where it is, and which of its bits software may change while off. */
struct field {
	uint8_t offset, size;
	uint16_t at; /* in struct sdma_queue */
	uint64_t writable;
};

#define FIELD(reg, member, mask)                                              \
	{                                                                     \
		(reg), sizeof(((struct sdma_queue *)0)->member),              \
			(uint16_t)offsetof(struct sdma_queue, member), (mask) \
	}

static const struct field fields[] = {
	FIELD(SDMA_Q_PASID, pasid, 0xfffff),
	FIELD(SDMA_Q_VECTOR, vector, UINT32_MAX),
	FIELD(SDMA_Q_RING, ring, UINT64_MAX),
	FIELD(SDMA_Q_LOG2, log2, UINT32_MAX),
	FIELD(SDMA_Q_INDEX, record, UINT64_MAX),
	FIELD(SDMA_Q_ERROR, error, 0),
	FIELD(SDMA_Q_DESCRIPTORS, counters.value[SDMA_COUNT_DESCRIPTORS], 0),
	FIELD(SDMA_Q_BYTES, counters.value[SDMA_COUNT_BYTES], 0),
	FIELD(SDMA_Q_ATC_HITS, counters.value[SDMA_COUNT_ATC_HITS], 0),
	FIELD(SDMA_Q_ATC_MISSES, counters.value[SDMA_COUNT_ATC_MISSES], 0),
	FIELD(SDMA_Q_PAGE_REQUESTS, counters.value[SDMA_COUNT_PAGE_REQUESTS], 0),
	FIELD(SDMA_Q_PAGE_FAILURES, counters.value[SDMA_COUNT_PAGE_FAILURES], 0),
	FIELD(SDMA_Q_INVALIDATIONS, counters.value[SDMA_COUNT_INVALIDATIONS], 0),
	FIELD(SDMA_Q_UNTRANSLATED, counters.value[SDMA_COUNT_UNTRANSLATED], 0),
};

/* --- A queue --- */

static const struct field *field_of(unsigned int offset)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++)
		if (offset >= fields[i].offset && offset - fields[i].offset < fields[i].size)
			return &fields[i];
	return NULL;
}

static uint32_t queue_read(const struct sdma_queue *queue, unsigned int offset)
{
	const struct field *field = field_of(offset);
	uint32_t word;

	if (offset == SDMA_Q_CONTROL)
		return queue->control;
	if (offset == SDMA_Q_STATUS)
		return (uint32_t)queue->state | (uint32_t)queue->reason << SDMA_Q_REASON_SHIFT;
	if (!field)
		return 0;
	memcpy(&word, (const char *)queue + field->at + (offset - field->offset), sizeof(word));
	return word;
}

static void control_written(struct sdma_queue *queue, uint32_t value)
{
	if (queue->state != SDMA_Q_OFF) {
		if (value & SDMA_Q_ENABLE)
			return;
		queue->control &= ~(uint32_t)SDMA_Q_ENABLE;
		sdma_queue_disable(queue);
		return;
	}
	queue->control = value;
	if (value & SDMA_Q_ENABLE)
		sdma_queue_enable(queue);
}

static void queue_write(struct sdma_queue *queue, unsigned int offset, uint32_t value)
{
	const struct field *field = field_of(offset);

	if (offset == SDMA_Q_CONTROL) {
		control_written(queue, value);
		return;
	}
	if (!field || !field->writable || queue->state != SDMA_Q_OFF)
		return;
	value &= (uint32_t)(field->writable >> 8 * (offset - field->offset));
	memcpy((char *)queue + field->at + (offset - field->offset), &value, sizeof(value));
}

/* --- The device --- */

static uint32_t status_read(struct sdma *sdma)
{
	bool ats = pci_ats_enabled(&sdma->pci, &sdma->caps);
	bool pri;

	pthread_mutex_lock(&sdma->pages.lock);
	pri = sdma->pages.enabled;
	pthread_mutex_unlock(&sdma->pages.lock);
	return (ats ? SDMA_STATUS_ATS : 0) | (ats && pri ? SDMA_STATUS_PRI : 0) |
	       (pci_pasid_enabled(&sdma->pci, &sdma->caps) ? SDMA_STATUS_PASID : 0);
}

static uint32_t device_read(struct sdma *sdma, unsigned int offset)
{
	switch (offset) {
	case SDMA_ID:
		return SDMA_MAGIC;
	case SDMA_VERSION:
		return SDMA_VERSION_1_0;
	case SDMA_QUEUES:
		return sdma->queue_count;
	case SDMA_OPERATIONS:
		return (1U << (SDMA_TOUCH + 1)) - 1;
	case SDMA_LENGTH_MAX:
		return (uint32_t)SDMA_BYTES_MAX;
	case SDMA_LENGTH_MAX + 4:
		return (uint32_t)(SDMA_BYTES_MAX >> 32);
	case SDMA_STATUS:
		return status_read(sdma);
	case SDMA_ATC_ENTRIES:
		return sdma->atc.entries;
	default:
		return 0;
	}
}

static void device_write(struct sdma *sdma, unsigned int offset, uint32_t value)
{
	if (offset == SDMA_CONTROL && value & SDMA_CONTROL_RESET)
		sdma_reset(sdma, false);
	if (offset == SDMA_ATC_ENTRIES)
		sdma_atc_init(&sdma->atc, value);
}

void sdma_reset(struct sdma *sdma, bool forget)
{
	for (unsigned int i = 0; i < sdma->queue_count; i++)
		sdma_queue_reset(&sdma->queue[i]);
	sdma_atc_init(&sdma->atc, SDMA_ATC_MAX);
	sdma_pages_reset(sdma, forget);
}

/* --- Accesses --- */

/* The queue that @offset belongs to, or NULL; makes the offset the register's. */
static struct sdma_queue *queue_of(struct sdma *sdma, unsigned int *offset)
{
	unsigned int index = (*offset - SDMA_QUEUE_BASE) / SDMA_QUEUE_STRIDE;

	if (*offset < SDMA_QUEUE_BASE || index >= sdma->queue_count)
		return NULL;
	*offset = (*offset - SDMA_QUEUE_BASE) % SDMA_QUEUE_STRIDE;
	return &sdma->queue[index];
}

static uint32_t word_read(struct sdma *sdma, unsigned int offset)
{
	struct sdma_queue *queue = queue_of(sdma, &offset);

	return queue ? queue_read(queue, offset) : device_read(sdma, offset);
}

static void word_write(struct sdma *sdma, unsigned int offset, uint32_t value)
{
	struct sdma_queue *queue = queue_of(sdma, &offset);

	if (queue)
		queue_write(queue, offset, value);
	else
		device_write(sdma, offset, value);
}

void sdma_register_access(struct sdma *sdma, struct bus_access *access)
{
	unsigned int offset = (unsigned int)access->offset;

	if (!access->is_write)
		access->value = 0;
	if ((access->size != 4 && access->size != 8) || offset % access->size)
		return;
	sdma_lock(sdma);
	for (unsigned int i = 0; i < access->size; i += 4) {
		if (access->is_write)
			word_write(sdma, offset + i, (uint32_t)(access->value >> 8 * i));
		else
			access->value |= (uint64_t)word_read(sdma, offset + i) << 8 * i;
	}
	sdma_unlock(sdma);
}
