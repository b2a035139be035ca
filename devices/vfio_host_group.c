/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of page requests that wait for an answer: see vfio_host_fault.h.
 */
#include "devices/vfio_host_fault.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/vfio_host.h"
#include "viommu/spec.h"

struct group {
	bool used;
	uint32_t pasid, cookie;
};

/* What the queue knows of a device. */
struct vfio_device_groups {
	struct vfio_device_groups *next;
	struct vfio_host *host;
	unsigned int hand; /* the next index to try: an index rests as long as possible */
	struct group group[VFIO_GROUPS];
};

/* --- faults->lock held --- */

static struct vfio_device_groups *find_device(const struct vfio_faults *faults, uint32_t dev_id)
{
	struct vfio_device_groups *device = faults->devices;

	while (device && device->host->dev_id != dev_id)
		device = device->next;
	return device;
}

static struct vfio_device_groups *find_host(const struct vfio_faults *faults,
					    const struct vfio_host *host)
{
	struct vfio_device_groups *device = faults ? faults->devices : NULL;

	while (device && device->host != host)
		device = device->next;
	return device;
}

/* A free index, or VFIO_GROUPS. */
static unsigned int take_index(struct vfio_device_groups *device)
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

unsigned int vfio_group_size(const struct uapi_iommu_hwpt_pgfault *record, unsigned int count)
{
	unsigned int n = 1;

	while (n < count && record[n].cookie == record->cookie)
		n++;
	return n;
}

void vfio_group_note(struct vfio_faults *faults, struct uapi_iommu_hwpt_pgfault *record,
		     unsigned int count)
{
	/* The unit takes a last request that wants nothing for a stop marker: it has no answer. */
	bool wants = record[count - 1].perm & (VTD_READ | VTD_WRITE);
	struct vfio_device_groups *device = find_device(faults, record->dev_id);
	unsigned int index = device && wants ? take_index(device) : VFIO_GROUPS;
	struct group *group, untold = { 0 };

	for (unsigned int i = 0; i < count; i++)
		record[i].grpid = index;
	if (!device) {
		write_answer(faults, record->cookie, VTD_RESPONSE_INVALID);
		return;
	}
	group = index < VFIO_GROUPS ? &device->group[index] : &untold;
	vfio_count(&device->host->counters.faults, count);
	*group = (struct group){ true, vfio_fault_pasid(record), record->cookie };
	if (group != &untold)
		return;
	vfio_count(&device->host->counters.auto_responses, 1);
	finish(faults, device->host, group, wants ? VTD_RESPONSE_SUCCESS : VTD_RESPONSE_INVALID);
}

/* --- From everywhere else --- */

int vfio_host_respond(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	struct vfio_host *host = context;
	struct vfio_faults *faults = host->context->faults;
	struct vfio_device_groups *device;
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

/* Until let_go(), nothing is read, and nothing that was is still to reach the unit. */
static void hold(struct vfio_faults *faults)
{
	pthread_mutex_lock(&faults->delivery);
	pthread_mutex_lock(&faults->lock);
}

static void let_go(struct vfio_faults *faults)
{
	pthread_mutex_unlock(&faults->lock);
	pthread_mutex_unlock(&faults->delivery);
}

/* The kernel has answered it. */
static void forget(struct vfio_device_groups *device, struct group *group)
{
	group->used = false;
	vfio_count(&device->host->counters.responses, 1);
	vfio_count(&device->host->counters.auto_responses, 1);
}

int vfio_faults_change(struct vfio_host *host, uint32_t pasid,
		       int (*change)(struct vfio_host *host, uint32_t pasid, uint32_t hwpt),
		       uint32_t hwpt)
{
	struct vfio_faults *faults = host->context->faults;
	struct vfio_device_groups *device;
	int rc;

	hold(faults);
	rc = change(host, pasid, hwpt);
	device = rc ? NULL : find_host(faults, host);
	for (unsigned int i = 0; device && i < VFIO_GROUPS; i++)
		if (device->group[i].used && device->group[i].pasid == pasid)
			forget(device, &device->group[i]);
	let_go(faults);
	return rc;
}

/* What is read of it from now on is answered at once. */
static void remove_host(struct vfio_faults *faults, const struct vfio_host *host)
{
	struct vfio_device_groups **at = &faults->devices, *device;

	while (*at && (*at)->host != host)
		at = &(*at)->next;
	device = *at;
	if (!device)
		return;
	*at = device->next;
	for (unsigned int i = 0; i < VFIO_GROUPS; i++)
		if (device->group[i].used)
			forget(device, &device->group[i]);
	free(device);
}

int vfio_faults_give_back(struct vfio_host *host, int (*replace)(void *context), void *context)
{
	struct vfio_faults *faults = host->context->faults;
	int rc;

	if (!faults)
		return replace(context);
	hold(faults);
	rc = replace(context);
	if (!rc)
		remove_host(faults, host);
	pthread_mutex_unlock(&faults->lock);
	if (!rc && host->unit)
		vtd_forget_page_requests(host->unit, host->requester);
	pthread_mutex_unlock(&faults->delivery);
	return rc;
}

void vfio_faults_answer_all(struct vfio_host *host)
{
	struct vfio_faults *faults = host->context->faults;
	struct vfio_device_groups *device;

	if (!faults)
		return;
	hold(faults);
	device = find_host(faults, host);
	for (unsigned int i = 0; device && i < VFIO_GROUPS; i++) {
		if (!device->group[i].used)
			continue;
		finish(faults, host, &device->group[i], VTD_RESPONSE_INVALID);
		vfio_count(&host->counters.auto_responses, 1);
	}
	pthread_mutex_unlock(&faults->lock);
	vtd_forget_page_requests(host->unit, host->requester);
	pthread_mutex_unlock(&faults->delivery);
}

int vfio_groups_add(struct vfio_host *host)
{
	struct vfio_faults *faults = host->context->faults;
	struct vfio_device_groups *device = calloc(1, sizeof(*device));

	if (!device)
		return -ENOMEM;
	device->host = host;
	pthread_mutex_lock(&faults->lock);
	device->next = faults->devices;
	faults->devices = device;
	pthread_mutex_unlock(&faults->lock);
	return 0;
}

void vfio_groups_count_error(struct vfio_faults *faults)
{
	for (struct vfio_device_groups *device = faults->devices; device; device = device->next)
		vfio_count(&device->host->counters.errors, 1);
}

struct vfio_host *vfio_groups_host(struct vfio_faults *faults, uint32_t dev_id)
{
	struct vfio_device_groups *device;

	pthread_mutex_lock(&faults->lock);
	device = find_device(faults, dev_id);
	pthread_mutex_unlock(&faults->lock);
	return device ? device->host : NULL;
}

void vfio_faults_forget(struct vfio_host *host)
{
	struct vfio_faults *faults = host->context->faults;

	if (!faults)
		return;
	hold(faults);
	remove_host(faults, host);
	let_go(faults);
}
