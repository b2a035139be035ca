/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue of page requests: read in the loop's thread and handed to the unit. See
 * vfio_host_fault.h.
 */
#include "devices/vfio_host_fault.h"

#include <errno.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_host.h"

#define READS	      16 /* in one turn of the loop */
#define READ_FAILURES 16 /* in a row; then it is given up */

/* One read takes at least a group; hosts give a device some 32 requests. */
#define FIRST_RECORDS 512
#define MOST_RECORDS  65536

uint32_t vfio_faults_id(const struct vfio_context *context)
{
	return context->faults ? context->faults->id : 0;
}

/* Between two attempts where the queue being readable says nothing. */
static const struct __kernel_timespec retry_after = { .tv_nsec = 10 * 1000000 };

/* --- Reading and delivering: in the loop's thread, delivery held --- */

/* Hands the requests of one group to the unit. */
static void deliver(struct vfio_host *host, const struct uapi_iommu_hwpt_pgfault *record,
		    unsigned int count)
{
	int rc = 0;

	for (unsigned int i = 0; i < count; i++) {
		/* The bits of perm are those of enum vtd_access. */
		const struct vtd_page_request request = {
			.requester = host->requester,
			.pasid = vfio_fault_pasid(&record[i]),
			.address = record[i].addr & ~UINT64_C(0xfff),
			.access = record[i].perm &
				  (VTD_READ | VTD_WRITE | VTD_EXECUTE | VTD_PRIVILEGED),
			.group = record[i].grpid,
			.last = i == count - 1,
		};

		rc = vtd_page_request(host->unit, &request);
	}
	/* The last one is what the unit answers itself, through vfio_host_respond(). */
	if (rc)
		vfio_count(&host->counters.auto_responses, 1);
}

/*
 * Not what has its own answer: too little room, a signal, nothing to read; nor when the kernel,
 * which keeps the requests, has no memory for a while.
 */
static bool is_failure(int error)
{
	return error != -EINVAL && error != -EINTR && error != -EAGAIN && error != -ENOMEM;
}

/* Reads and notes. How many records there are, or a negative errno. */
static ssize_t take(struct vfio_faults *faults)
{
	const struct vfio_kernel *kernel = faults->context->kernel;
	unsigned int count;
	ssize_t n;

	pthread_mutex_lock(&faults->lock);
	n = kernel->read(kernel->context, faults->fd, faults->record,
			 faults->records * sizeof(*faults->record));
	count = n > 0 ? (unsigned int)((size_t)n / sizeof(*faults->record)) : 0;
	for (unsigned int i = 0, size; i < count; i += size) {
		size = vfio_group_size(&faults->record[i], count - i);
		vfio_group_note(faults, &faults->record[i], size);
	}
	faults->failures = n < 0 && is_failure((int)n) ? faults->failures + 1 : 0;
	if (faults->failures)
		vfio_groups_count_error(faults);
	pthread_mutex_unlock(&faults->lock);
	return n < 0 ? n : (ssize_t)count;
}

/* All that were read, but for those that are answered already. */
static void deliver_all(struct vfio_faults *faults, unsigned int count)
{
	for (unsigned int i = 0, size; i < count; i += size) {
		const struct uapi_iommu_hwpt_pgfault *record = &faults->record[i];
		struct vfio_host *host = vfio_groups_host(faults, record->dev_id);

		size = vfio_group_size(record, count - i);
		if (host && record->grpid < VFIO_GROUPS)
			deliver(host, record, size);
	}
}

/* How many records were read, and all is done with them; or a negative errno. */
static ssize_t take_and_deliver(struct vfio_faults *faults)
{
	ssize_t count;

	pthread_mutex_lock(&faults->delivery);
	count = take(faults);
	if (count > 0)
		deliver_all(faults, (unsigned int)count);
	pthread_mutex_unlock(&faults->delivery);
	return count;
}

/* --- The queue: in the loop's thread --- */

/* More room, for a group that does not fit. -EAGAIN: not now; -E2BIG: there cannot be more. */
static int grow(struct vfio_faults *faults)
{
	struct uapi_iommu_hwpt_pgfault *more;

	if (faults->records >= MOST_RECORDS)
		return -E2BIG;
	more = realloc(faults->record, 2 * faults->records * sizeof(*more));
	if (!more)
		return -EAGAIN;
	faults->record = more;
	faults->records *= 2;
	return 0;
}

/*
 * A readable queue has nothing to read. That may be so once: the kernel has answered what there was
 * when a PASID was detached. But some kernels say it of a group that does not fit, again and again.
 */
static int found_nothing(struct vfio_faults *faults)
{
	bool again = faults->empty;

	faults->empty = true;
	return again && grow(faults) ? -EAGAIN : 0;
}

/*
 * Reads some of what is there. 0: the queue is to be watched; -EAGAIN: after a pause; or another
 * negative errno: it cannot be read any more.
 */
static int drain(struct vfio_faults *faults)
{
	bool some = false;
	int rc = 0;

	for (unsigned int reads = 0; reads < READS && !rc; reads++) {
		ssize_t count = take_and_deliver(faults);

		if (count > 0) {
			some = true;
			faults->empty = false;
		} else if (!count) {
			return some ? 0 : found_nothing(faults);
		} else if (count == -EINVAL) {
			/* The first group does not fit. */
			rc = grow(faults);
		} else if (count == -ENOMEM) {
			rc = -EAGAIN;
		} else if (count != -EINTR && count != -EAGAIN) {
			/* The next turn tries again, for the queue stays readable. */
			return faults->failures < READ_FAILURES ? 0 : (int)count;
		}
	}
	return rc;
}

static void watch(struct vfio_faults *faults)
{
	faults->polling = true;
	loop_poll(faults->context->loop, &faults->poll, faults->fd, POLLIN);
}

static void rest(struct vfio_faults *faults)
{
	faults->polling = true;
	loop_timeout(faults->context->loop, &faults->poll, &retry_after);
}

static void readable(struct loop_op *op, int result)
{
	struct vfio_faults *faults = container_of(op, struct vfio_faults, poll);

	faults->polling = false;
	if (faults->stopped)
		return;
	if (result >= 0 && result & POLLIN)
		result = drain(faults);
	if (result >= 0 || result == -EINTR || result == -ETIME)
		watch(faults);
	else if (result == -EAGAIN || result == -ENOMEM)
		rest(faults);
	else
		log_error(VFIO, "page requests cannot be read any more: devices will wait for "
				"answers until their PASIDs are unbound");
}

/* --- Life --- */

static int create(struct vfio_host *host)
{
	struct vfio_context *context = host->context;
	struct vfio_faults *faults = calloc(1, sizeof(*faults));
	int rc = -ENOMEM;

	if (!faults)
		return rc;
	faults->context = context;
	faults->records = FIRST_RECORDS;
	faults->record = calloc(faults->records, sizeof(*faults->record));
	if (faults->record)
		rc = vfio_iommufd_fault_queue(host, &faults->id, &faults->fd);
	if (rc) {
		free(faults->record);
		free(faults);
		return rc;
	}
	pthread_mutex_init(&faults->delivery, NULL);
	pthread_mutex_init(&faults->lock, NULL);
	faults->poll.done = readable;
	context->faults = faults;
	watch(faults);
	return 0;
}

int vfio_faults_open(struct vfio_host *host)
{
	int rc = host->context->faults ? 0 : create(host);

	return rc ? rc : vfio_groups_add(host);
}

void vfio_faults_stop(struct vfio_context *context)
{
	struct vfio_faults *faults = context->faults;

	if (!faults || faults->stopped)
		return;
	faults->stopped = true;
	if (faults->polling)
		loop_cancel(context->loop, &faults->poll);
}

void vfio_faults_close(struct vfio_context *context)
{
	struct vfio_faults *faults = context->faults;

	if (!faults)
		return;
	/* If it is still polled, the VM never ran: the loop drops the operation at its end. */
	context->kernel->close(context->kernel->context, faults->fd);
	pthread_mutex_destroy(&faults->lock);
	pthread_mutex_destroy(&faults->delivery);
	free(faults->record);
	free(faults);
	context->faults = NULL;
}
