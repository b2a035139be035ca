/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests (PCIe 5.0, 10.4): groups that a queue waits for, and what becomes of them.
 *
 * A response may come from any thread at any time, even before vtd_page_request() returns. It only
 * marks the group and wakes the loop, which unparks the queue.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "devices/sdma_device.h"
#include "viommu/spec.h"

static uint32_t queue_pasid(const struct sdma_queue *queue)
{
	return queue->control & SDMA_Q_PASID_ON ? queue->pasid : VTD_NO_PASID;
}

bool sdma_pages_on(struct sdma *sdma)
{
	bool on;

	if (!sdma->pci.dma.unit || !pci_ats_enabled(&sdma->pci, &sdma->caps))
		return false;
	pthread_mutex_lock(&sdma->pages.lock);
	on = sdma->pages.enabled && sdma->pages.allocation;
	pthread_mutex_unlock(&sdma->pages.lock);
	return on;
}

/* --- Groups; pages.lock held --- */

static bool is_outstanding(const struct sdma_group *group)
{
	return group->state == SDMA_GROUP_SENDING || group->state == SDMA_GROUP_WAITING ||
	       group->state == SDMA_GROUP_STALE;
}

/* The group is not outstanding any more. */
static void settle(struct sdma_pages *pages, struct sdma_group *group, enum sdma_group_state state,
		   unsigned int code)
{
	if (is_outstanding(group))
		pages->outstanding -= group->pages;
	group->state = (uint8_t)state;
	group->code = (uint8_t)code;
}

/* All that was asked for is answered with failure, or forgotten. */
static void settle_all(struct sdma_pages *pages)
{
	for (unsigned int i = 0; i < SDMA_GROUPS; i++) {
		struct sdma_group *group = &pages->group[i];

		if (group->state == SDMA_GROUP_WAITING)
			settle(pages, group, SDMA_GROUP_ANSWERED, VTD_RESPONSE_FAILURE);
		if (group->state == SDMA_GROUP_STALE)
			settle(pages, group, SDMA_GROUP_FREE, 0);
	}
}

/* PCIe 5.0, 10.4.2.1: Response Failure disables the interface. */
static void fail_interface(struct sdma_pages *pages)
{
	pages->enabled = false;
	pages->raised |= PCI_PRI_STATUS_RF;
	settle_all(pages);
}

static bool is_failure(unsigned int code)
{
	return code != VTD_RESPONSE_SUCCESS && code != VTD_RESPONSE_INVALID;
}

/* A free group for @queue and @count page requests; NULL if there is none. */
static struct sdma_group *take_group(struct sdma_queue *queue, unsigned int count)
{
	struct sdma_pages *pages = &queue->sdma->pages;

	for (unsigned int i = 0; i < SDMA_GROUPS; i++) {
		struct sdma_group *group = &pages->group[pages->next++ % SDMA_GROUPS];

		if (group->state != SDMA_GROUP_FREE)
			continue;
		*group = (struct sdma_group){ .state = SDMA_GROUP_SENDING,
					      .queue = (uint8_t)queue->index,
					      .pages = (uint8_t)count,
					      .pasid = queue_pasid(queue) };
		pages->outstanding += count;
		return group;
	}
	return NULL;
}

/* --- Asking --- */

/* How many pages the queue would ask for at once. */
static unsigned int pages_wanted(const struct sdma_wait *wait)
{
	const struct sdma_target *target = &wait->target;
	uint64_t last = target->address + (target->len - 1);

	if (wait->single)
		return 1;
	return (unsigned int)min_u64(last / PAGE_SIZE_4K - target->address / PAGE_SIZE_4K + 1,
				     SDMA_GROUP_PAGES);
}

static struct sdma_group *begin(struct sdma_queue *queue)
{
	struct sdma_pages *pages = &queue->sdma->pages;
	struct sdma_group *group = NULL;

	pthread_mutex_lock(&pages->lock);
	if (pages->enabled && pages->outstanding < pages->allocation)
		group = take_group(queue,
				   (unsigned int)min_u64(pages_wanted(&queue->wait),
							 pages->allocation - pages->outstanding));
	pthread_mutex_unlock(&pages->lock);
	return group;
}

static struct vtd_page_request request_of(const struct sdma_queue *queue,
					  const struct sdma_group *group)
{
	return (struct vtd_page_request){
		.requester = queue->sdma->pci.dma.iommu,
		.pasid = group->pasid,
		.group = (unsigned int)(group - queue->sdma->pages.group),
	};
}

/* Sends all requests of the group; the unit's answer to the first that it did not take. */
static int send(struct sdma_queue *queue, const struct sdma_group *group)
{
	const struct sdma_target *target = &queue->wait.target;
	struct vtd_page_request request = request_of(queue, group);
	bool privileged = queue->control & SDMA_Q_PRIVILEGED;
	int rc = 0;

	request.address = align_down(target->address, PAGE_SIZE_4K);
	request.access = target->access | (privileged ? VTD_PRIVILEGED : 0);
	for (unsigned int i = 0; i < group->pages && !rc; i++) {
		request.last = i + 1U == group->pages;
		rc = vtd_page_request(queue->sdma->pci.dma.unit, &request);
		request.address += PAGE_SIZE_4K;
		sdma_count(queue, SDMA_COUNT_PAGE_REQUESTS, 1);
	}
	queue->wait.used = true;
	return rc;
}

/* What @code, for a group of @count pages, means for the queue. */
static void answer(struct sdma_queue *queue, unsigned int code, unsigned int count)
{
	struct sdma_wait *wait = &queue->wait;

	wait->parked = SDMA_RUNS;
	if (code == VTD_RESPONSE_SUCCESS) {
		wait->tries++;
		return;
	}
	sdma_count(queue, SDMA_COUNT_PAGE_FAILURES, 1);
	/* Any page may have been the bad one; the operation gets as far as the good ones let it. */
	if (code == VTD_RESPONSE_INVALID && count > 1)
		wait->single = true;
	else
		wait->verdict = code == VTD_RESPONSE_INVALID ? SDMA_INVALID : SDMA_FAILURE;
}

/* The unit's queue has no room: nothing tells when it has, so try for a while, turn by turn. */
static void busy(struct sdma_wait *wait)
{
	uint64_t now = sdma_now();

	wait->parked = SDMA_BUSY;
	if (!wait->busy_since)
		wait->busy_since = now;
	if (now - wait->busy_since < SDMA_BUSY_NS)
		return;
	wait->parked = SDMA_RUNS;
	wait->verdict = SDMA_FAILURE;
}

/* Of a group that the unit did not take, if it has not said more. */
static unsigned int default_code(int rc)
{
	return rc == -EAGAIN ? VTD_RESPONSE_SUCCESS : VTD_RESPONSE_FAILURE;
}

void sdma_pages_ask(struct sdma_queue *queue)
{
	struct sdma_pages *pages = &queue->sdma->pages;
	struct sdma_wait *wait = &queue->wait;
	struct sdma_group *group = begin(queue);
	unsigned int code, count;
	bool answered;
	int rc;

	wait->parked = SDMA_STARVES;
	if (!group)
		return;
	wait->group = (unsigned int)(group - pages->group);
	wait->parked = SDMA_WAITS;
	wait->since = sdma_now();
	rc = send(queue, group);

	pthread_mutex_lock(&pages->lock);
	answered = group->state == SDMA_GROUP_ANSWERED;
	code = answered ? group->code : default_code(rc);
	count = group->pages;
	if (rc)
		settle(pages, group, SDMA_GROUP_FREE, 0);
	else if (!answered)
		group->state = SDMA_GROUP_WAITING;
	else if (is_failure(code))
		fail_interface(pages);
	pthread_mutex_unlock(&pages->lock);

	if (!rc)
		return; /* the response has woken the loop, or will */
	if (rc == -EAGAIN && code == VTD_RESPONSE_SUCCESS)
		busy(wait);
	else
		answer(queue, code, count);
}

/* --- Answers --- */

void sdma_pages_response(struct sdma *sdma, uint32_t pasid, unsigned int index, unsigned int code)
{
	struct sdma_pages *pages = &sdma->pages;
	struct sdma_group *group = &pages->group[index % SDMA_GROUPS];
	uint8_t state;

	pthread_mutex_lock(&pages->lock);
	state = group->state;
	if (index >= SDMA_GROUPS || !is_outstanding(group) || group->pasid != pasid) {
		if (pages->enabled)
			pages->raised |= PCI_PRI_STATUS_UPRGI;
		pthread_mutex_unlock(&pages->lock);
		return;
	}
	settle(pages, group, state == SDMA_GROUP_STALE ? SDMA_GROUP_FREE : SDMA_GROUP_ANSWERED,
	       code);
	/* Whether a response while the requests are being sent is the guest's, is known later. */
	if (state != SDMA_GROUP_SENDING && is_failure(code))
		fail_interface(pages);
	pthread_mutex_unlock(&pages->lock);
	sdma_wake(sdma);
}

/* The response of the queue's group if it is there. */
static void collect(struct sdma_queue *queue)
{
	struct sdma_pages *pages = &queue->sdma->pages;
	struct sdma_group *group = &pages->group[queue->wait.group];
	unsigned int code, count;
	bool answered;

	pthread_mutex_lock(&pages->lock);
	answered = group->state == SDMA_GROUP_ANSWERED;
	code = group->code;
	count = group->pages;
	if (answered)
		group->state = SDMA_GROUP_FREE;
	pthread_mutex_unlock(&pages->lock);
	if (!answered)
		return;
	queue->job.waited += sdma_now() - queue->wait.since;
	answer(queue, code, count);
}

void sdma_pages_collect(struct sdma *sdma)
{
	for (unsigned int i = 0; i < sdma->queue_count; i++) {
		struct sdma_wait *wait = &sdma->queue[i].wait;

		if (wait->parked == SDMA_STARVES || wait->parked == SDMA_BUSY)
			wait->parked = SDMA_RUNS;
		if (wait->parked == SDMA_WAITS)
			collect(&sdma->queue[i]);
	}
}

/* --- Ends --- */

/*
 * PCIe 5.0, 10.4.1.2.1: after the marker, no request of the PASID is under way. With no group left
 * there is none: then so much is outstanding that software must wait for responses anyhow.
 */
static void send_stop_marker(struct sdma_queue *queue)
{
	struct sdma_pages *pages = &queue->sdma->pages;
	struct vtd_page_request request;
	struct sdma_group *group;

	pthread_mutex_lock(&pages->lock);
	group = take_group(queue, 0);
	pthread_mutex_unlock(&pages->lock);
	if (!group)
		return;
	request = request_of(queue, group);
	request.last = true;
	vtd_page_request(queue->sdma->pci.dma.unit, &request);
	pthread_mutex_lock(&pages->lock);
	group->state = SDMA_GROUP_FREE;
	pthread_mutex_unlock(&pages->lock);
}

void sdma_pages_stop(struct sdma_queue *queue)
{
	struct sdma_pages *pages = &queue->sdma->pages;
	struct sdma_wait *wait = &queue->wait;

	if (wait->parked == SDMA_WAITS) {
		struct sdma_group *group = &pages->group[wait->group];

		pthread_mutex_lock(&pages->lock);
		group->state =
			group->state == SDMA_GROUP_WAITING ? SDMA_GROUP_STALE : SDMA_GROUP_FREE;
		pthread_mutex_unlock(&pages->lock);
	}
	if (wait->used && queue->control & SDMA_Q_PASID_ON && sdma_pages_on(queue->sdma))
		send_stop_marker(queue);
	*wait = (struct sdma_wait){ 0 };
}

void sdma_pages_reset(struct sdma *sdma, bool forget)
{
	struct sdma_pages *pages = &sdma->pages;

	pthread_mutex_lock(&pages->lock);
	for (unsigned int i = 0; i < SDMA_GROUPS; i++) {
		struct sdma_group *group = &pages->group[i];

		if (forget || group->state == SDMA_GROUP_ANSWERED)
			settle(pages, group, SDMA_GROUP_FREE, 0);
		else if (group->state == SDMA_GROUP_WAITING)
			group->state = SDMA_GROUP_STALE;
	}
	if (forget) {
		pages->enabled = false;
		pages->raised = 0;
		pages->allocation = 0;
	}
	pthread_mutex_unlock(&pages->lock);
	if (forget && sdma->pci.dma.unit)
		vtd_forget_page_requests(sdma->pci.dma.unit, sdma->pci.dma.iommu);
}

/* --- The capability --- */

void sdma_pages_reading(struct sdma *sdma)
{
	struct sdma_pages *pages = &sdma->pages;

	pthread_mutex_lock(&pages->lock);
	pci_pri_show(&sdma->pci, &sdma->caps, pages->enabled,
		     !pages->enabled && !pages->outstanding, pages->raised);
	pages->raised = 0;
	pthread_mutex_unlock(&pages->lock);
}

void sdma_pages_written(struct sdma *sdma, bool control)
{
	struct sdma_pages *pages = &sdma->pages;
	bool enable = pci_pri_enabled(&sdma->pci, &sdma->caps);
	bool forget = false;

	pthread_mutex_lock(&pages->lock);
	pages->allocation =
		(uint32_t)min_u64(pci_pri_allocation(&sdma->pci, &sdma->caps), SDMA_CAPACITY);
	if (control) {
		forget = pci_pri_take_reset(&sdma->pci, &sdma->caps) && !enable && !pages->enabled;
		if (enable && !pages->enabled) {
			pages->raised = 0;
			pci_pri_clear(&sdma->pci, &sdma->caps);
		}
		if (forget)
			settle_all(pages);
		pages->enabled = enable;
	}
	pthread_mutex_unlock(&pages->lock);
	if (forget && sdma->pci.dma.unit)
		vtd_forget_page_requests(sdma->pci.dma.unit, sdma->pci.dma.iommu);
	sdma_pages_reading(sdma);
}
