/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page requests of real devices: read from the kernel's queue, handed to the unit, and answered.
 *
 * There is one queue for the VM; each request in it names its device. The kernel hands out whole
 * groups and knows them by a cookie; the guest knows them by a page request group index, which we
 * give out, VFIO_GROUPS for each device. A group is outstanding from the moment it is read until it
 * is answered: by the guest, by the unit for it, by us, or by the kernel when its PASID is
 * detached.
 *
 * The kernel reuses a cookie as soon as its group is answered, so an answer that comes late would
 * hit another group. That is what `lock` is for: it is held while a group is read and noted, while
 * an answer is looked up and written, and while a PASID is detached and its groups are forgotten.
 * It is not held while the unit is called.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/loop.h"
#include "devices/vfio_host.h"
#include "devices/vfio_uapi.h"
#include "viommu/spec.h"

#define VFIO_GROUPS 512 /* indices that PRGI of a page request descriptor can have (7.4.1) */
#define READS	    16	/* in one turn of the loop */

/* One read takes at least a group; hosts give a device some 32 requests. */
#define FIRST_RECORDS 512
#define MOST_RECORDS  65536

struct group {
	bool used;
	uint32_t pasid, cookie;
};

/* What the queue knows of a device. */
struct device_groups {
	struct device_groups *next;
	struct vfio_host *host;
	unsigned int hand; /* the next index to try: an index rests as long as possible */
	struct group group[VFIO_GROUPS];
};

struct vfio_faults {
	struct vfio_context *context;
	uint32_t id;
	int fd;
	pthread_mutex_t lock; /* protects what devices have outstanding; a leaf */
	struct device_groups *devices;

	/* Of the loop's thread. */
	struct loop_op poll;
	bool polling, stopped;
	struct uapi_iommu_hwpt_pgfault *record;
	unsigned int records; /* that fit */
};

uint32_t vfio_faults_id(const struct vfio_context *context)
{
	return context->faults ? context->faults->id : 0;
}

/* --- Groups. faults->lock held. --- */

static struct device_groups *find_device(const struct vfio_faults *faults, uint32_t dev_id)
{
	struct device_groups *device = faults->devices;

	while (device && device->host->dev_id != dev_id)
		device = device->next;
	return device;
}

static struct device_groups *find_host(const struct vfio_faults *faults,
				       const struct vfio_host *host)
{
	struct device_groups *device = faults ? faults->devices : NULL;

	while (device && device->host != host)
		device = device->next;
	return device;
}

static uint32_t pasid_of(const struct uapi_iommu_hwpt_pgfault *record)
{
	return record->flags & UAPI_IOMMU_PGFAULT_FLAGS_PASID_VALID ? record->pasid : VTD_NO_PASID;
}

/* A free index, or VFIO_GROUPS. */
static unsigned int take_index(struct device_groups *device)
{
	for (unsigned int i = 0; i < VFIO_GROUPS; i++) {
		unsigned int index = (device->hand + i) % VFIO_GROUPS;

		if (device->group[index].used)
			continue;
		device->hand = index + 1;
		return index;
	}
	return VFIO_GROUPS;
}

static int write_answer(struct vfio_faults *faults, uint32_t cookie, unsigned int code)
{
	const struct vfio_kernel *kernel = faults->context->kernel;
	const struct uapi_iommu_hwpt_page_response answer = {
		.cookie = cookie,
		/* The kernel has no word for "failure", which ends a device's requests for good. */
		.code = code == VTD_RESPONSE_SUCCESS ? UAPI_IOMMU_PAGE_RESP_SUCCESS
						     : UAPI_IOMMU_PAGE_RESP_INVALID,
	};
	ssize_t n;

	do
		n = kernel->write(kernel->context, faults->fd, &answer, sizeof(answer));
	while (n == -EINTR);
	return n < 0 ? (int)n : 0;
}

/* Ends @group by an answer of ours. */
static int finish(struct vfio_faults *faults, struct vfio_host *host, struct group *group,
		  unsigned int code)
{
	int rc = write_answer(faults, group->cookie, code);

	group->used = false;
	vfio_count(&host->counters.responses, 1);
	if (rc)
		vfio_count(&host->counters.errors, 1);
	return rc;
}

int vfio_host_respond(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	struct vfio_host *host = context;
	struct vfio_faults *faults = host->context->faults;
	struct device_groups *device;
	int rc = 0;

	if (!faults)
		return 0;
	pthread_mutex_lock(&faults->lock);
	device = find_host(faults, host);
	/* One that was forgotten meanwhile has been answered. */
	if (device && group < VFIO_GROUPS && device->group[group].used &&
	    device->group[group].pasid == pasid)
		rc = finish(faults, host, &device->group[group], code);
	pthread_mutex_unlock(&faults->lock);
	return rc;
}

int vfio_faults_change(struct vfio_host *host, uint32_t pasid,
		       int (*change)(struct vfio_host *host, uint32_t pasid, uint32_t hwpt),
		       uint32_t hwpt)
{
	struct vfio_faults *faults = host->context->faults;
	struct device_groups *device;
	int rc;

	pthread_mutex_lock(&faults->lock);
	rc = change(host, pasid, hwpt);
	device = rc ? NULL : find_host(faults, host);
	for (unsigned int i = 0; device && i < VFIO_GROUPS; i++) {
		if (!device->group[i].used || device->group[i].pasid != pasid)
			continue;
		device->group[i].used = false;
		vfio_count(&host->counters.responses, 1);
		vfio_count(&host->counters.auto_responses, 1);
	}
	pthread_mutex_unlock(&faults->lock);
	return rc;
}

void vfio_faults_answer_all(struct vfio_host *host)
{
	struct vfio_faults *faults = host->context->faults;
	struct device_groups *device;

	if (!faults)
		return;
	pthread_mutex_lock(&faults->lock);
	device = find_host(faults, host);
	for (unsigned int i = 0; device && i < VFIO_GROUPS; i++) {
		if (!device->group[i].used)
			continue;
		finish(faults, host, &device->group[i], VTD_RESPONSE_INVALID);
		vfio_count(&host->counters.auto_responses, 1);
	}
	pthread_mutex_unlock(&faults->lock);
}

/* --- Reading and delivering: in the loop's thread --- */

/* The records of one group: those from @first on that have its cookie. */
static unsigned int group_size(const struct vfio_faults *faults, unsigned int first,
			       unsigned int count)
{
	unsigned int n = 1;

	while (first + n < count &&
	       faults->record[first + n].cookie == faults->record[first].cookie)
		n++;
	return n;
}

/*
 * Notes a group that was just read and puts the index that it gets into the grpid of its records.
 * One that cannot be noted is answered at once, and gets VFIO_GROUPS: with "success" if there are
 * too many, for the device to ask again.
 */
static void note(struct vfio_faults *faults, struct uapi_iommu_hwpt_pgfault *record,
		 unsigned int count)
{
	/* The unit takes a last request that wants nothing for a stop marker: it has no answer. */
	bool wants = record[count - 1].perm & (VTD_READ | VTD_WRITE);
	struct device_groups *device = find_device(faults, record->dev_id);
	unsigned int index = device && wants ? take_index(device) : VFIO_GROUPS;
	struct group *group, untold;

	for (unsigned int i = 0; i < count; i++)
		record[i].grpid = index;
	if (!device) {
		write_answer(faults, record->cookie, VTD_RESPONSE_INVALID);
		return;
	}
	group = index < VFIO_GROUPS ? &device->group[index] : &untold;
	vfio_count(&device->host->counters.faults, count);
	*group = (struct group){ true, pasid_of(record), record->cookie };
	if (group != &untold)
		return;
	vfio_count(&device->host->counters.auto_responses, 1);
	finish(faults, device->host, group, wants ? VTD_RESPONSE_SUCCESS : VTD_RESPONSE_INVALID);
}

/* Hands the requests of one group to the unit. */
static void deliver(struct vfio_host *host, const struct uapi_iommu_hwpt_pgfault *record,
		    unsigned int count)
{
	int rc = 0;

	for (unsigned int i = 0; i < count; i++) {
		/* The bits of perm are those of enum vtd_access. */
		const struct vtd_page_request request = {
			.requester = host->requester,
			.pasid = pasid_of(&record[i]),
			.address = record[i].addr & ~UINT64_C(0xfff),
			.access = record[i].perm &
				  (VTD_READ | VTD_WRITE | VTD_EXECUTE | VTD_PRIVILEGED),
			.group = record[i].grpid,
			.last = i == count - 1,
		};

		rc = vtd_page_request(host->unit, &request);
	}
	/* Then the unit has answered the group, through vfio_host_respond(). */
	if (rc)
		vfio_count(&host->counters.auto_responses, 1);
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
		size = group_size(faults, i, count);
		note(faults, &faults->record[i], size);
	}
	pthread_mutex_unlock(&faults->lock);
	return n < 0 ? n : (ssize_t)count;
}

static struct vfio_host *host_of(struct vfio_faults *faults, uint32_t dev_id)
{
	struct device_groups *device;

	pthread_mutex_lock(&faults->lock);
	device = find_device(faults, dev_id);
	pthread_mutex_unlock(&faults->lock);
	return device ? device->host : NULL;
}

/* More room, for a group that does not fit. False if there cannot be more. */
static bool grow(struct vfio_faults *faults)
{
	struct uapi_iommu_hwpt_pgfault *more;

	if (faults->records >= MOST_RECORDS)
		return false;
	more = realloc(faults->record, 2 * faults->records * sizeof(*more));
	if (!more)
		return false;
	faults->record = more;
	faults->records *= 2;
	return true;
}

/* Some of what is there. False if the queue cannot be read any more. */
static bool drain(struct vfio_faults *faults)
{
	for (unsigned int reads = 0; reads < READS; reads++) {
		ssize_t count = take(faults);

		/* The first group does not fit. */
		if (count == -EINVAL) {
			if (!grow(faults))
				return false;
			continue;
		}
		if (count == -EINTR || count == -EAGAIN)
			continue;
		if (count <= 0)
			return !count;
		for (unsigned int i = 0, size; i < count; i += size) {
			const struct uapi_iommu_hwpt_pgfault *record = &faults->record[i];

			size = group_size(faults, i, (unsigned int)count);
			if (record->grpid < VFIO_GROUPS)
				deliver(host_of(faults, record->dev_id), record, size);
		}
	}
	return true;
}

static void watch(struct vfio_faults *faults)
{
	faults->polling = true;
	loop_poll(faults->context->loop, &faults->poll, faults->fd, POLLIN);
}

static void readable(struct loop_op *op, int result)
{
	struct vfio_faults *faults = container_of(op, struct vfio_faults, poll);

	faults->polling = false;
	if (faults->stopped)
		return;
	if (result >= 0 && result & POLLIN && !drain(faults))
		result = -EIO;
	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		log_error(VFIO, "page requests cannot be read any more: devices will wait for "
				"answers until their PASIDs are unbound");
		return;
	}
	watch(faults);
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
	pthread_mutex_init(&faults->lock, NULL);
	faults->poll.done = readable;
	context->faults = faults;
	watch(faults);
	return 0;
}

int vfio_faults_open(struct vfio_host *host)
{
	struct device_groups *device;
	int rc = host->context->faults ? 0 : create(host);

	if (rc)
		return rc;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->host = host;
	pthread_mutex_lock(&host->context->faults->lock);
	device->next = host->context->faults->devices;
	host->context->faults->devices = device;
	pthread_mutex_unlock(&host->context->faults->lock);
	return 0;
}

void vfio_faults_forget(struct vfio_host *host)
{
	struct vfio_faults *faults = host->context->faults;
	struct device_groups **at;

	if (!faults)
		return;
	pthread_mutex_lock(&faults->lock);
	for (at = &faults->devices; *at; at = &(*at)->next) {
		struct device_groups *device = *at;

		if (device->host != host)
			continue;
		*at = device->next;
		free(device);
		break;
	}
	pthread_mutex_unlock(&faults->lock);
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
	context->kernel->close(context->kernel->context, faults->fd);
	pthread_mutex_destroy(&faults->lock);
	free(faults->record);
	free(faults);
	context->faults = NULL;
}
