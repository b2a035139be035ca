/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an address of a queue to host memory, as an endpoint does it: by its device-TLB and ATS, or
 * by untranslated requests.
 */
#include <errno.h>

#include "devices/sdma_device.h"

static int fail(struct sdma_queue *queue, const struct sdma_target *target, int status)
{
	queue->job.fault = target->address;
	queue->job.access = (uint8_t)target->access;
	return status;
}

static uint32_t queue_pasid(const struct sdma_queue *queue)
{
	return queue->control & SDMA_Q_PASID_ON ? queue->pasid : VTD_NO_PASID;
}

static struct vtd_request request_of(const struct sdma_queue *queue,
				     const struct sdma_target *target, enum vtd_request_type type)
{
	bool privileged = queue->control & SDMA_Q_PRIVILEGED;

	return (struct vtd_request){
		.requester = queue->sdma->pci.dma.iommu,
		.pasid = queue_pasid(queue),
		.iova = target->address,
		.len = target->len,
		.access = target->access | (privileged ? VTD_PRIVILEGED : 0),
		.type = type,
	};
}

/* Guest-physical [gpa, gpa + len) as far as it is RAM: whole, or else up to the page's end. */
static bool to_host(struct sdma_queue *queue, uint64_t gpa, uint64_t len, struct sdma_span *span)
{
	const struct ram *ram = queue->sdma->pci.dma.ram;

	if (!len)
		return false;
	span->len = len;
	span->host = ram_ptr(ram, gpa, len);
	if (!span->host) {
		span->len = min_u64(len, PAGE_SIZE_4K - gpa % PAGE_SIZE_4K);
		span->host = ram_ptr(ram, gpa, span->len);
	}
	return span->host;
}

static int untranslated(struct sdma_queue *queue, const struct sdma_target *target,
			struct sdma_span *span)
{
	struct vtd_unit *unit = queue->sdma->pci.dma.unit;
	struct vtd_request request = request_of(queue, target, VTD_UNTRANSLATED);
	struct vtd_result result = { .gpa = target->address, .len = target->len };

	sdma_count(queue, SDMA_COUNT_UNTRANSLATED, 1);
	if (unit && vtd_translate(unit, &request, &result))
		return fail(queue, target, SDMA_FAULT);
	if (!to_host(queue, result.gpa, min_u64(result.len, target->len), span))
		return fail(queue, target, SDMA_FAULT);
	return 0;
}

/*
 * A request with an address of the device-TLB. It carries no PASID (the capability does not offer
 * translated requests with one): the unit only looks whether the function may send such requests.
 */
static int translated(struct sdma_queue *queue, const struct sdma_target *target, uint64_t gpa,
		      uint64_t len, struct sdma_span *span)
{
	struct vtd_request request = request_of(queue, target, VTD_TRANSLATED);
	struct vtd_result result;

	request.pasid = VTD_NO_PASID;
	request.access = target->access;
	request.iova = gpa;
	request.len = min_u64(len, target->len);
	if (vtd_translate(queue->sdma->pci.dma.unit, &request, &result) ||
	    !to_host(queue, result.gpa, min_u64(result.len, request.len), span))
		return fail(queue, target, SDMA_ERROR);
	return 0;
}

/* The translation does not permit the access: a page request, unless that has been tried. */
static int absent(struct sdma_queue *queue, const struct sdma_target *target)
{
	struct sdma_wait *wait = &queue->wait;
	uint8_t verdict = wait->verdict;

	wait->verdict = 0;
	if (!target->block || !sdma_pages_on(queue->sdma))
		return fail(queue, target, verdict ? verdict : SDMA_FAULT);
	if (verdict && wait->target.address / PAGE_SIZE_4K == target->address / PAGE_SIZE_4K)
		return fail(queue, target, verdict);
	if (wait->tries >= SDMA_RETRIES)
		return fail(queue, target, SDMA_FAULT);
	wait->target = *target;
	wait->parked = SDMA_ASKS;
	return -EAGAIN;
}

static int by_atc(struct sdma_queue *queue, const struct sdma_target *target,
		  struct sdma_span *span)
{
	struct sdma *sdma = queue->sdma;
	struct sdma_atc_tag tag = { .pasid = queue_pasid(queue),
				    .privileged = queue->control & SDMA_Q_PRIVILEGED };
	struct vtd_request request = request_of(queue, target, VTD_TRANSLATION);
	struct vtd_result result;
	unsigned int permitted;
	uint64_t gpa, len;

	if (sdma_atc_lookup(&sdma->atc, tag, target->address, target->access, &gpa, &len)) {
		sdma_count(queue, SDMA_COUNT_ATC_HITS, 1);
		return translated(queue, target, gpa, len, span);
	}
	sdma_count(queue, SDMA_COUNT_ATC_MISSES, 1);
	if (vtd_translate(sdma->pci.dma.unit, &request, &result))
		return fail(queue, target, SDMA_ERROR);
	permitted = result.permitted & (VTD_READ | VTD_WRITE);
	if ((permitted & target->access) != target->access)
		return absent(queue, target);
	if (result.untranslated_only)
		return untranslated(queue, target, span);
	sdma_atc_insert(&sdma->atc, tag, target->address, result.gpa, result.page, permitted,
			queue->index);
	return translated(queue, target, result.gpa, result.len, span);
}

int sdma_map(struct sdma_queue *queue, const struct sdma_target *target, struct sdma_span *span)
{
	struct sdma *sdma = queue->sdma;

	sdma->cost += SDMA_STEP_COST;
	if (target->untranslated || !sdma->pci.dma.unit ||
	    !pci_ats_enabled(&sdma->pci, &sdma->caps))
		return untranslated(queue, target, span);
	return by_atc(queue, target, span);
}

int sdma_load(struct sdma_queue *queue, const struct sdma_target *target, void *to)
{
	struct sdma_target rest = *target;
	uint8_t *bytes = to;
	struct sdma_span span = { 0 };

	/* Each turn consumes at least a byte of a few: what is loaded is a record. */
	while (rest.len) {
		int rc = sdma_map(queue, &rest, &span);

		if (rc)
			return rc;
		if (!span.len)
			return SDMA_ERROR;
		memcpy(bytes, span.host, span.len);
		bytes += span.len;
		rest.address += span.len;
		rest.len -= span.len;
	}
	return 0;
}

struct sdma_target sdma_own_target(const struct sdma_queue *queue, uint64_t address, uint64_t len,
				   unsigned int access)
{
	return (struct sdma_target){ .address = address,
				     .len = len,
				     .access = access,
				     .block = queue->state != SDMA_Q_STOPPING };
}

void sdma_progress(struct sdma_queue *queue)
{
	queue->wait.tries = 0;
	queue->wait.single = false;
	queue->wait.verdict = 0;
	queue->wait.busy_since = 0;
}
