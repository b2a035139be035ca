/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See fake_iommufd.h.
 */
#include "tests/unit/fake_iommufd.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/vfio_uapi.h"
#include "viommu/spec.h"

#define NO_PASID UINT32_MAX

/* File descriptors that are not. */
#define FD_IOMMUFD   100000
#define FD_DEVICE    100010
#define FD_GROUP     100020
#define FD_CONTAINER 100030
#define FD_DMABUF    100040
#define FD_SYSFS     100100

#define MAJOR 510 /* of device files */

static void expect(struct fake_iommufd *fake, bool condition, const char *rule)
{
	if (!condition && !fake->broken)
		fake->broken = rule;
}

/* Whether this call is the one that is to fail, or one of them. */
static bool fails_now(struct fake_iommufd *fake)
{
	if (fake->fail_call == 1 && fake->fail_rest)
		return true;
	return fake->fail_call && !--fake->fail_call;
}

/* --- Objects --- */

static struct fake_object *object(struct fake_iommufd *fake, uint32_t id, enum fake_kind kind)
{
	if (!id || id > FAKE_OBJECTS || fake->object[id - 1].kind != kind)
		return NULL;
	return &fake->object[id - 1];
}

static struct fake_object *create(struct fake_iommufd *fake, enum fake_kind kind, uint32_t *id)
{
	for (uint32_t i = 0; i < FAKE_OBJECTS; i++) {
		if (fake->object[i].kind)
			continue;
		fake->object[i] = (struct fake_object){ .kind = kind };
		*id = i + 1;
		return &fake->object[i];
	}
	return NULL;
}

static int destroy(struct fake_iommufd *fake, void *argument)
{
	const struct uapi_iommu_destroy *cmd = argument;
	struct fake_object *gone;

	if (!cmd->id || cmd->id > FAKE_OBJECTS || !fake->object[cmd->id - 1].kind) {
		expect(fake, false, "destroy: something is there");
		return -ENOENT;
	}
	gone = &fake->object[cmd->id - 1];
	if (gone->users)
		return -EBUSY;
	if (gone->below)
		fake->object[gone->below - 1].users--;
	if (gone->fault_id)
		fake->object[gone->fault_id - 1].users--;
	free(gone->map);
	*gone = (struct fake_object){ .kind = FAKE_FREE };
	return 0;
}

/* --- Address spaces --- */

static int alloc_ioas(struct fake_iommufd *fake, void *argument)
{
	struct uapi_iommu_ioas_alloc *cmd = argument;

	return create(fake, FAKE_IOAS, &cmd->out_ioas_id) ? 0 : -ENOMEM;
}

static const struct fake_mapping *lookup(const struct fake_object *ioas, uint64_t iova)
{
	for (unsigned int i = 0; i < ioas->maps; i++)
		if (iova - ioas->map[i].iova < ioas->map[i].len)
			return &ioas->map[i];
	return NULL;
}

static int map(struct fake_object *ioas, const struct fake_mapping *mapping)
{
	if (!mapping->len || (mapping->iova | mapping->len | mapping->va) & 4095 || !mapping->va)
		return -EINVAL;
	for (unsigned int i = 0; i < ioas->maps && mapping->iova < ioas->end; i++)
		if (ranges_overlap(mapping->iova, mapping->len, ioas->map[i].iova,
				   ioas->map[i].len))
			return -EEXIST;
	if (ranges_overlap(mapping->iova, mapping->len, 0xfee00000, 0x100000))
		return -EINVAL;
	/* Room for the next power of two. */
	if (!(ioas->maps & (ioas->maps - 1)))
		ioas->map =
			realloc(ioas->map, (ioas->maps ? 2 * ioas->maps : 1) * sizeof(*ioas->map));
	ioas->map[ioas->maps++] = *mapping;
	ioas->end = max_u64(ioas->end, mapping->iova + mapping->len);
	return 0;
}

/* Whole mappings only. */
static int unmap(struct fake_object *ioas, uint64_t iova, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < ioas->maps; i++) {
		const struct fake_mapping *at = &ioas->map[i];

		if (ranges_overlap(iova, len, at->iova, at->len) &&
		    (at->iova < iova || at->iova + at->len > iova + len))
			return -ENOENT;
	}
	for (unsigned int i = ioas->maps; i-- > 0;) {
		if (!ranges_overlap(iova, len, ioas->map[i].iova, ioas->map[i].len))
			continue;
		done += ioas->map[i].len;
		ioas->map[i] = ioas->map[--ioas->maps];
	}
	return done ? 0 : -ENOENT;
}

static int map_ioas(struct fake_iommufd *fake, void *argument)
{
	const struct uapi_iommu_ioas_map *cmd = argument;
	struct fake_object *ioas = object(fake, cmd->ioas_id, FAKE_IOAS);

	expect(fake, cmd->flags == 7, "map: fixed, readable, writable");
	return ioas ? map(ioas, &(struct fake_mapping){ cmd->iova, cmd->length, cmd->user_va, true,
							true })
		    : -ENOENT;
}

static bool nests(const struct fake_iommufd *fake, uint32_t ioas)
{
	for (unsigned int i = 0; i < FAKE_OBJECTS; i++)
		if (fake->object[i].kind == FAKE_PAGING && fake->object[i].below == ioas &&
		    fake->object[i].flags & UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT)
			return true;
	return false;
}

static int copy_ioas(struct fake_iommufd *fake, void *argument)
{
	const struct uapi_iommu_ioas_copy *cmd = argument;
	struct fake_object *to = object(fake, cmd->dst_ioas_id, FAKE_IOAS);
	struct fake_object *from = object(fake, cmd->src_ioas_id, FAKE_IOAS);
	const struct fake_mapping *source = from ? lookup(from, cmd->src_iova) : NULL;
	struct fake_mapping mapping = { cmd->dst_iova, cmd->length, 0,
					cmd->flags & UAPI_IOMMU_IOAS_MAP_READABLE,
					cmd->flags & UAPI_IOMMU_IOAS_MAP_WRITEABLE };

	if (!to || !source || source->iova + source->len - cmd->src_iova < cmd->length)
		return -ENOENT;
	if (!mapping.write && nests(fake, cmd->dst_ioas_id))
		return -EINVAL;
	mapping.va = source->va + (cmd->src_iova - source->iova);
	return map(to, &mapping);
}

static int unmap_ioas(struct fake_iommufd *fake, void *argument)
{
	const struct uapi_iommu_ioas_unmap *cmd = argument;
	struct fake_object *ioas = object(fake, cmd->ioas_id, FAKE_IOAS);

	return ioas ? unmap(ioas, cmd->iova, cmd->length) : -ENOENT;
}

/* --- Domains --- */

static struct fake_vfio_device *device_of(struct fake_iommufd *fake, uint32_t dev_id)
{
	/* Device ids are apart from those of objects. */
	return dev_id - 1000 < FAKE_DEVICES ? &fake->device[dev_id - 1000] : NULL;
}

static bool read_only(const struct fake_object *ioas)
{
	for (unsigned int i = 0; i < ioas->maps; i++)
		if (!ioas->map[i].write)
			return true;
	return false;
}

static int alloc_paging(struct fake_iommufd *fake, struct uapi_iommu_hwpt_alloc *cmd)
{
	const struct fake_vfio_device *device = device_of(fake, cmd->dev_id);
	struct fake_object *ioas = object(fake, cmd->pt_id, FAKE_IOAS), *hwpt;

	if (!ioas || !device)
		return -ENOENT;
	if (cmd->flags & UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT &&
	    (!(device->ecap & VTD_ECAP_NEST) || device->info_type != 1))
		return -EOPNOTSUPP;
	if (cmd->flags & UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT && read_only(ioas))
		return -EINVAL;
	hwpt = create(fake, FAKE_PAGING, &cmd->out_hwpt_id);
	if (!hwpt)
		return -ENOMEM;
	hwpt->below = cmd->pt_id;
	hwpt->flags = cmd->flags;
	ioas->users++;
	return 0;
}

static int alloc_nested(struct fake_iommufd *fake, struct uapi_iommu_hwpt_alloc *cmd)
{
	const struct uapi_iommu_hwpt_vtd_s1 *s1 = (const void *)(uintptr_t)cmd->data_uptr;
	struct fake_object *parent = object(fake, cmd->pt_id, FAKE_PAGING), *hwpt;
	struct fake_object *queue = object(fake, cmd->fault_id, FAKE_QUEUE);

	if (!parent || !(parent->flags & UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT))
		return -EINVAL;
	if (cmd->data_len != sizeof(*s1) || s1->reserved ||
	    (cmd->flags & UAPI_IOMMU_HWPT_FAULT_ID_VALID && !queue))
		return -EINVAL;
	hwpt = create(fake, FAKE_NESTED, &cmd->out_hwpt_id);
	if (!hwpt)
		return -ENOMEM;
	hwpt->below = cmd->pt_id;
	hwpt->flags = cmd->flags;
	hwpt->root = s1->pgtbl_addr;
	hwpt->width = s1->addr_width;
	hwpt->s1_flags = (uint32_t)s1->flags;
	parent->users++;
	if (cmd->flags & UAPI_IOMMU_HWPT_FAULT_ID_VALID) {
		hwpt->fault_id = cmd->fault_id;
		queue->users++;
	}
	return 0;
}

static int alloc_hwpt(struct fake_iommufd *fake, void *argument)
{
	struct uapi_iommu_hwpt_alloc *cmd = argument;

	if (cmd->flags & UAPI_IOMMU_HWPT_ALLOC_PASID && fake->no_pasid_api)
		return -EOPNOTSUPP;
	return cmd->data_type ? alloc_nested(fake, cmd) : alloc_paging(fake, cmd);
}

static int invalidate(struct fake_iommufd *fake, void *argument)
{
	struct uapi_iommu_hwpt_invalidate *cmd = argument;
	const struct uapi_iommu_hwpt_vtd_s1_invalidate *list =
		(const void *)(uintptr_t)cmd->data_uptr;
	struct fake_object *hwpt = object(fake, cmd->hwpt_id, FAKE_NESTED);

	expect(fake, hwpt, "invalidate: a nested domain");
	expect(fake, cmd->entry_num, "invalidate: a list that is not empty");
	if (!hwpt || cmd->entry_len != sizeof(*list))
		return -EINVAL;
	hwpt->invalidations++;
	hwpt->ranges = cmd->entry_num;
	for (unsigned int i = 0; i < cmd->entry_num; i++) {
		expect(fake, list[i].npages, "invalidate: some pages");
		expect(fake, !(list[i].addr & 4095), "invalidate: aligned");
		expect(fake, list[i].npages != UINT64_MAX || !list[i].addr,
		       "invalidate: everything from 0");
		expect(fake, !(list[i].flags & ~1u), "invalidate: known flags");
		hwpt->address = list[i].addr;
		hwpt->pages = list[i].npages;
		hwpt->range_flags = list[i].flags;
	}
	return 0;
}

/* Nothing but the whole of the only dma-buf there is. */
static int map_file(struct fake_iommufd *fake, void *argument)
{
	const struct uapi_iommu_ioas_map_file *cmd = argument;
	struct fake_object *ioas = object(fake, cmd->ioas_id, FAKE_IOAS);

	expect(fake, cmd->fd == FD_DMABUF && !cmd->start, "map a file: a dma-buf, all of it");
	if (!ioas || cmd->flags != 7)
		return -EINVAL;
	return map(ioas, &(struct fake_mapping){ cmd->iova, cmd->length, FAKE_DMABUF, true, true });
}

static int hw_info(struct fake_iommufd *fake, void *argument)
{
	struct uapi_iommu_hw_info *cmd = argument;
	const struct fake_vfio_device *device = device_of(fake, cmd->dev_id);
	struct uapi_iommu_hw_info_vtd *vtd = (void *)(uintptr_t)cmd->data_uptr;

	if (!device || cmd->flags || cmd->data_len != sizeof(*vtd))
		return -EINVAL;
	cmd->out_data_type = device->info_type;
	cmd->out_max_pasid_log2 = (uint8_t)device->pasid_bits;
	cmd->out_capabilities = device->capabilities;
	if (device->info_type == UAPI_IOMMU_HW_INFO_TYPE_INTEL_VTD)
		*vtd = (struct uapi_iommu_hw_info_vtd){ 1, 0, device->cap, device->ecap };
	return 0;
}

/* --- Attaching --- */

static struct fake_attachment **attachment(struct fake_vfio_device *device, uint32_t pasid)
{
	struct fake_attachment **at = &device->attached;

	while (*at && (*at)->pasid != pasid)
		at = &(*at)->next;
	return at;
}

/* What the kernel does when @pasid leaves its domain. */
static void answer_all(struct fake_iommufd *fake, unsigned int device, uint32_t pasid)
{
	for (unsigned int i = 0; i < FAKE_GROUPS; i++) {
		struct fake_group *group = &fake->group[i];

		if (!group->used || group->device != device || group->pasid != pasid)
			continue;
		group->used = false;
		group->answer = UAPI_IOMMU_PAGE_RESP_INVALID;
	}
}

static unsigned int attached_domains(const struct fake_iommufd *fake)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < FAKE_OBJECTS; i++) {
		bool found = false;

		for (unsigned int d = 0; d < FAKE_DEVICES; d++)
			for (struct fake_attachment *at = fake->device[d].attached; at;
			     at = at->next)
				found |= at->hwpt == i + 1;
		count += found;
	}
	return count;
}

/* The table is the group's: what another member has attached to @pasid, or NULL. */
static struct fake_attachment *neighbour(struct fake_iommufd *fake, unsigned int index,
					 uint32_t pasid)
{
	for (unsigned int i = 0; i < FAKE_DEVICES; i++) {
		struct fake_vfio_device *device = &fake->device[i];

		if (i != index && device->group == fake->device[index].group &&
		    *attachment(device, pasid))
			return *attachment(device, pasid);
	}
	return NULL;
}

static int attach(struct fake_iommufd *fake, unsigned int index, void *argument)
{
	const struct uapi_vfio_device_attach_iommufd_pt *cmd = argument;
	struct fake_vfio_device *device = &fake->device[index];
	bool with = cmd->flags & UAPI_VFIO_DEVICE_PT_PASID;
	uint32_t pasid = with ? cmd->pasid : NO_PASID;
	struct fake_attachment **at = attachment(device, pasid);
	struct fake_object *hwpt = object(fake, cmd->pt_id, FAKE_PAGING), *old;
	struct fake_attachment *other = neighbour(fake, index, pasid);

	if (!hwpt)
		hwpt = object(fake, cmd->pt_id, FAKE_NESTED);
	expect(fake, cmd->argsz == (with ? 16 : 12), "attach: the size that the flags need");
	expect(fake, !with || pasid, "attach: not PASID 0, which is none");
	if (!hwpt || (with && pasid >> device->pasid_bits))
		return -EINVAL;
	if (with && !(hwpt->flags & UAPI_IOMMU_HWPT_ALLOC_PASID))
		return -EINVAL;
	/* The first of its device must be what the group has; a later one replaces it for all. */
	if (!*at && other && other->hwpt != cmd->pt_id)
		return -EINVAL;
	old = *at ? &fake->object[(*at)->hwpt - 1] : NULL;
	expect(fake, with || !old || !old->fault_id, "attach: no replacing of a fault domain");
	if (!hwpt->users && fake->hardware_domains &&
	    attached_domains(fake) >= fake->hardware_domains)
		return -ENOSPC;
	if (!*at)
		*at = calloc(1, sizeof(**at));
	if (old) {
		old->users--;
		answer_all(fake, index, pasid);
	}
	if (other) {
		fake->object[other->hwpt - 1].users--;
		other->hwpt = cmd->pt_id;
		hwpt->users++;
	}
	(*at)->pasid = pasid;
	(*at)->hwpt = cmd->pt_id;
	hwpt->users++;
	return 0;
}

static void drop(struct fake_iommufd *fake, unsigned int index, struct fake_attachment **at)
{
	struct fake_attachment *gone = *at;

	fake->object[gone->hwpt - 1].users--;
	answer_all(fake, index, gone->pasid);
	*at = gone->next;
	free(gone);
}

static int detach(struct fake_iommufd *fake, unsigned int index, void *argument)
{
	const struct uapi_vfio_device_detach_iommufd_pt *cmd = argument;
	bool with = cmd->flags & UAPI_VFIO_DEVICE_PT_PASID;
	struct fake_attachment **at =
		attachment(&fake->device[index], with ? cmd->pasid : NO_PASID);

	expect(fake, cmd->argsz == (with ? 12 : 8), "detach: the size that the flags need");
	expect(fake, *at, "detach: something is attached");
	if (*at)
		drop(fake, index, at);
	return 0;
}

int fake_device_file(struct fake_iommufd *fake, unsigned int device)
{
	fake->opens++;
	return FD_DEVICE + (int)device;
}

void fake_take_back(struct fake_iommufd *fake, unsigned int device)
{
	while (fake->device[device].attached)
		drop(fake, device, &fake->device[device].attached);
	fake->device[device].taken_back = true;
}

/* --- The fault queue --- */

static int alloc_queue(struct fake_iommufd *fake, void *argument)
{
	struct uapi_iommu_fault_alloc *cmd = argument;
	uint32_t id;

	if (!create(fake, FAKE_QUEUE, &id))
		return -ENOMEM;
	expect(fake, fake->queue_fd < 0, "fault queue: one for all");
	fake->queue_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fake->opens++;
	cmd->out_fault_id = id;
	cmd->out_fault_fd = (uint32_t)fake->queue_fd;
	return 0;
}

unsigned int fake_fault(struct fake_iommufd *fake, unsigned int device, uint32_t pasid,
			uint64_t address, uint32_t perm, unsigned int count)
{
	uint64_t one = 1;
	unsigned int i = 0;

	while (fake->group[i].used)
		i++;
	fake->group[i] = (struct fake_group){ .used = true,
					      .device = device,
					      .pasid = pasid,
					      .count = count,
					      .perm = perm,
					      .address = address,
					      .answer = UINT32_MAX };
	expect(fake, write(fake->queue_fd, &one, sizeof(one)) == sizeof(one), "fault: readable");
	return i;
}

/* The smallest that no group waits for. */
static uint32_t free_cookie(const struct fake_iommufd *fake)
{
	for (uint32_t cookie = 0;; cookie++) {
		bool taken = false;

		for (unsigned int i = 0; i < FAKE_GROUPS; i++)
			taken |= fake->group[i].used && fake->group[i].read &&
				 fake->group[i].cookie == cookie;
		if (!taken)
			return cookie;
	}
}

static ssize_t read_queue(struct fake_iommufd *fake, struct uapi_iommu_hwpt_pgfault *to,
			  size_t size)
{
	size_t room = size / sizeof(*to), done = 0;
	uint64_t drained;

	expect(fake, size % sizeof(*to) == 0, "read: whole records");
	if (fails_now(fake))
		return fake->fail_error;
	if (fake->fail_reads && fake->fail_reads--)
		return fake->fail_error;
	for (unsigned int i = 0; i < FAKE_GROUPS; i++) {
		struct fake_group *group = &fake->group[i];

		if (!group->used || group->read)
			continue;
		if (group->count > room - done)
			return done ? (ssize_t)(done * sizeof(*to)) : fake->mute ? 0 : -EINVAL;
		group->cookie = free_cookie(fake);
		group->read = true;
		for (unsigned int n = 0; n < group->count; n++)
			to[done++] = (struct uapi_iommu_hwpt_pgfault){
				.flags = (group->pasid != NO_PASID) |
					 (n + 1 == group->count ? 2 : 0),
				.dev_id = 1000 + group->device,
				.pasid = group->pasid == NO_PASID ? 0 : group->pasid,
				.grpid = 7,
				.perm = group->perm,
				.addr = group->address + n * 4096,
				.cookie = group->cookie,
			};
	}
	if (!done && read(fake->queue_fd, &drained, sizeof(drained)) < 0)
		return -errno;
	return (ssize_t)(done * sizeof(*to));
}

static ssize_t write_queue(struct fake_iommufd *fake,
			   const struct uapi_iommu_hwpt_page_response *answer, size_t size)
{
	expect(fake, size == sizeof(*answer) && answer->code <= 1, "answer: one, with a code");
	if (fails_now(fake))
		return fake->fail_error;
	for (unsigned int i = 0; i < FAKE_GROUPS; i++) {
		struct fake_group *group = &fake->group[i];

		if (!group->used || !group->read || group->cookie != answer->cookie)
			continue;
		group->used = false;
		group->answer = answer->code;
		return (ssize_t)size;
	}
	fake->stray_answers++;
	return -EINVAL;
}

/* --- VFIO's other calls --- */

static int bind_device(struct fake_iommufd *fake, unsigned int index, void *argument)
{
	struct uapi_vfio_device_bind_iommufd *cmd = argument;

	if (fake->unsafe_interrupts)
		return -EPERM;
	if (fake->group_busy)
		return -EBUSY;
	if (cmd->iommufd != FD_IOMMUFD)
		return -EBADF;
	fake->device[index].bound = true;
	cmd->out_devid = 1000 + index;
	return 0;
}

static int device_info(const struct fake_iommufd *fake, unsigned int index, void *argument)
{
	struct vfio_device_info *info = argument;

	info->flags = VFIO_DEVICE_FLAGS_PCI |
		      (fake->device[index].no_reset ? 0 : VFIO_DEVICE_FLAGS_RESET);
	info->num_regions = VFIO_PCI_NUM_REGIONS;
	info->num_irqs = VFIO_PCI_NUM_IRQS;
	return 0;
}

static int region_info(void *argument)
{
	struct vfio_region_info *info = argument;

	if (info->index != VFIO_PCI_CONFIG_REGION_INDEX)
		return -EINVAL;
	info->offset = (uint64_t)info->index << 40;
	info->size = 4096;
	return 0;
}

static int feature(struct fake_iommufd *fake, const void *argument)
{
	const struct uapi_vfio_device_feature_dma_buf *cmd = argument;

	if (!fake->dmabuf ||
	    cmd->flags != (VFIO_DEVICE_FEATURE_GET | UAPI_VFIO_DEVICE_FEATURE_DMA_BUF))
		return -ENOTTY;
	expect(fake, cmd->argsz == sizeof(*cmd) && cmd->nr_ranges == 1, "dma-buf: one range");
	fake->opens++;
	return FD_DMABUF;
}

static int device_ioctl(struct fake_iommufd *fake, unsigned int index, unsigned long request,
			void *argument)
{
	if (fake->device[index].taken_back)
		return -ENOTTY;
	if (request == UAPI_VFIO_DEVICE_BIND_IOMMUFD && fake->token)
		return -EACCES;
	if (request == UAPI_VFIO_DEVICE_BIND_IOMMUFD)
		return bind_device(fake, index, argument);
	/* Nothing else works before. */
	expect(fake, fake->device[index].bound, "device: bound before it is used");
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		return device_info(fake, index, argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(argument);
	case VFIO_DEVICE_FEATURE:
		return feature(fake, argument);
	case UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return attach(fake, index, argument);
	case UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return detach(fake, index, argument);
	default:
		return -ENOTTY;
	}
}

static int group_ioctl(struct fake_iommufd *fake, unsigned int index, unsigned long request,
		       void *argument)
{
	struct vfio_group_status *status = argument;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = fake->group_busy ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		return *(int *)argument == FD_CONTAINER ? 0 : -EBADF;
	case VFIO_GROUP_GET_DEVICE_FD:
		if (fake->token)
			return -EACCES;
		if (strcmp(argument, fake->device[index].address))
			return -ENODEV;
		fake->device[index].bound = true;
		fake->device[index].open = true;
		fake->opens++;
		return FD_DEVICE + (int)index;
	default:
		return -ENOTTY;
	}
}

/* One container is enough for the tests. */
static int container_ioctl(struct fake_iommufd *fake, unsigned long request, void *argument)
{
	const struct vfio_iommu_type1_dma_unmap *gone = argument;
	const struct vfio_iommu_type1_dma_map *new = argument;
	struct fake_object *ioas = object(fake, fake->device[0].container, FAKE_IOAS);

	switch (request) {
	case VFIO_SET_IOMMU:
		if (fake->unsafe_interrupts)
			return -EPERM;
		return create(fake, FAKE_IOAS, &fake->device[0].container) ? 0 : -ENOMEM;
	case VFIO_IOMMU_MAP_DMA:
		return map(ioas, &(struct fake_mapping){ new->iova, new->size, new->vaddr,
							 new->flags &VFIO_DMA_MAP_FLAG_READ,
							 new->flags &VFIO_DMA_MAP_FLAG_WRITE });
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap(ioas, gone->iova, gone->size);
	default:
		return -ENOTTY;
	}
}

static int iommufd_ioctl(struct fake_iommufd *fake, unsigned long request, void *argument)
{
	static const struct {
		unsigned long request;
		uint32_t size;
		int (*call)(struct fake_iommufd *fake, void *argument);
	} calls[] = {
		{ UAPI_IOMMU_DESTROY, 8, destroy },
		{ UAPI_IOMMU_IOAS_ALLOC, 12, alloc_ioas },
		{ UAPI_IOMMU_IOAS_MAP, 40, map_ioas },
		{ UAPI_IOMMU_IOAS_COPY, 40, copy_ioas },
		{ UAPI_IOMMU_IOAS_UNMAP, 24, unmap_ioas },
		{ UAPI_IOMMU_IOAS_MAP_FILE, 40, map_file },
		{ UAPI_IOMMU_HWPT_ALLOC, 48, alloc_hwpt },
		{ UAPI_IOMMU_GET_HW_INFO, 40, hw_info },
		{ UAPI_IOMMU_HWPT_INVALIDATE, 32, invalidate },
		{ UAPI_IOMMU_FAULT_QUEUE_ALLOC, 16, alloc_queue },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].request != request)
			continue;
		if (*(uint32_t *)argument != calls[i].size)
			return -EINVAL;
		return calls[i].call(fake, argument);
	}
	return -ENOTTY;
}

/* --- The table --- */

static bool fails(struct fake_iommufd *fake, unsigned long request)
{
	if (fake->call_count < FAKE_CALLS)
		fake->calls[fake->call_count] = request;
	fake->call_count++;
	if (fake->meanwhile_call && !--fake->meanwhile_call)
		fake->meanwhile(fake->meanwhile_context);
	if (fails_now(fake)) {
		fake->failed_destroys += request == UAPI_IOMMU_DESTROY;
		return true;
	}
	if (fake->fail_times && fake->fail_request == request) {
		fake->fail_times--;
		return true;
	}
	return false;
}

static int fake_ioctl(void *context, int fd, unsigned long request, void *argument)
{
	struct fake_iommufd *fake = context;
	int rc = -EBADF;

	if (fails(fake, request))
		return fake->fail_error;
	if (fd == FD_IOMMUFD)
		rc = iommufd_ioctl(fake, request, argument);
	else if (fd >= FD_DEVICE && fd < FD_DEVICE + FAKE_DEVICES)
		rc = device_ioctl(fake, (unsigned int)(fd - FD_DEVICE), request, argument);
	else if (fd >= FD_GROUP && fd < FD_GROUP + FAKE_DEVICES)
		rc = group_ioctl(fake, (unsigned int)(fd - FD_GROUP), request, argument);
	else if (fd == FD_CONTAINER)
		rc = container_ioctl(fake, request, argument);
	if (fake->watched && !fake_translate(fake, fake->watch_device, fake->watch_iova, false))
		fake->gap = true;
	return rc;
}

static int fake_open(void *context, const char *path, int flags)
{
	struct fake_iommufd *fake = context;
	unsigned int index;
	int fd = -ENOENT;

	(void)flags;
	if (!strcmp(path, "/dev/iommu"))
		fd = fake->no_iommufd ? -ENOENT : fake->open_error ? fake->open_error : FD_IOMMUFD;
	else if (!strcmp(path, "/dev/vfio/vfio"))
		fd = FD_CONTAINER;
	else if (sscanf(path, "/dev/vfio/devices/vfio%u", &index) == 1 && index < FAKE_DEVICES)
		fd = FD_DEVICE + (int)index;
	else if (sscanf(path, "/dev/vfio/%u", &index) == 1 && index - 20 < FAKE_DEVICES)
		fd = FD_GROUP + (int)(index - 20);
	else if (!strncmp(path, "/sys/", 5) && fake->writes < FAKE_WRITES) {
		snprintf(fake->written[fake->writes].path, sizeof(fake->written[0].path), "%s",
			 path);
		fd = FD_SYSFS + (int)fake->writes++;
	}
	fake->opens += fd >= 0;
	return fd;
}

static void fake_close(void *context, int fd)
{
	struct fake_iommufd *fake = context;
	unsigned int index = (unsigned int)(fd - FD_DEVICE);

	expect(fake, fake->opens, "close: what is open");
	fake->opens--;
	if (fd == fake->queue_fd) {
		close(fd);
		fake->queue_fd = -1;
	}
	if (fd == FD_IOMMUFD)
		fake->left = fake_objects(fake, FAKE_NESTED);
	while (index < FAKE_DEVICES && fake->device[index].attached)
		drop(fake, index, &fake->device[index].attached);
}

/* What a driver is after the files of sysfs were written. */
static void bind_driver(struct fake_iommufd *fake, const char *path, const char *text)
{
	for (unsigned int i = 0; i < FAKE_DEVICES; i++) {
		struct fake_vfio_device *device = &fake->device[i];
		bool override = false;

		if (strstr(path, "driver/unbind") && !strcmp(text, device->address))
			device->driver = NULL;
		if (strcmp(path, "/sys/bus/pci/drivers_probe") || strcmp(text, device->address))
			continue;
		for (unsigned int n = 0; n < fake->writes; n++)
			if (strstr(fake->written[n].path, device->address) &&
			    strstr(fake->written[n].path, "driver_override"))
				override = !strcmp(fake->written[n].text, "vfio-pci");
		device->driver = override ? "vfio-pci" : "sdma";
		if (override && fake->denylisted)
			device->driver = NULL;
	}
}

static ssize_t fake_write(void *context, int fd, const void *from, size_t size)
{
	struct fake_iommufd *fake = context;
	char *text;

	if (fd == fake->queue_fd)
		return write_queue(fake, from, size);
	if (fd < FD_SYSFS || fd >= FD_SYSFS + FAKE_WRITES)
		return -EBADF;
	if (fake->open_error)
		return fake->open_error;
	text = fake->written[fd - FD_SYSFS].text;
	snprintf(text, sizeof(fake->written[0].text), "%.*s", (int)size, (const char *)from);
	bind_driver(fake, fake->written[fd - FD_SYSFS].path, text);
	return (ssize_t)size;
}

static ssize_t fake_read(void *context, int fd, void *to, size_t size)
{
	struct fake_iommufd *fake = context;

	return fd == fake->queue_fd ? read_queue(fake, to, size) : -EBADF;
}

static ssize_t fake_pread(void *context, int fd, void *to, size_t size, uint64_t offset)
{
	struct fake_iommufd *fake = context;
	unsigned int index = (unsigned int)(fd - FD_DEVICE);

	offset -= (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40;
	if (index >= FAKE_DEVICES || !range_fits(offset, size, sizeof(fake->device[0].config)))
		return -EINVAL;
	memcpy(to, fake->device[index].config + offset, size);
	return (ssize_t)size;
}

static int give(char *to, size_t size, const char *text)
{
	if (!text)
		return -ENOENT;
	snprintf(to, size, "%s", text);
	return 0;
}

/* /sys/bus/pci/devices/ADDRESS is a link to /sys/devices/pci0000:00/ADDRESS. */
static int fake_realpath(void *context, const char *path, char *to, size_t size)
{
	const struct fake_iommufd *fake = context;
	char text[64], by_number[64];

	if (fake->no_sysfs)
		return -ENOENT;
	if (!strcmp(path, "/sys/bus/pci/drivers/vfio-pci"))
		return give(to, size, fake->no_driver ? NULL : path);
	for (unsigned int i = 0; i < FAKE_DEVICES; i++) {
		const struct fake_vfio_device *device = &fake->device[i];
		const char *at = strstr(path, device->address);

		snprintf(text, sizeof(text), "/sys/kernel/iommu_groups/%u", device->group);
		snprintf(by_number, sizeof(by_number), "/sys/dev/char/%u:%u/device/iommu_group",
			 MAJOR, i);
		if (!strcmp(path, by_number))
			return give(to, size, device->no_group ? NULL : text);
		if (!at)
			continue;
		at += strlen(device->address);
		if (!strcmp(at, "/driver"))
			return give(to, size, device->driver);
		if (!strcmp(at, "/iommu"))
			return give(to, size, device->unit);
		if (!strcmp(at, "/iommu_group"))
			return give(to, size, device->no_group ? NULL : text);
		if (*at)
			continue;
		snprintf(text, sizeof(text), "%s/pci0000:00/%s",
			 fake->elsewhere ? "/tmp" : "/sys/devices", device->address);
		return give(to, size, text);
	}
	return -ENOENT;
}

static int fake_device_number(void *context, int fd, unsigned int *major, unsigned int *minor)
{
	unsigned int index = (unsigned int)(fd - FD_DEVICE);

	(void)context;
	if (index >= FAKE_DEVICES)
		return -ENOTTY;
	*major = MAJOR;
	*minor = index;
	return 0;
}

static int fake_find(void *context, const char *path, const char *prefix, char *to, size_t size)
{
	struct fake_iommufd *fake = context;
	char text[16];

	for (unsigned int i = 0; i < FAKE_DEVICES; i++) {
		if (!strstr(path, fake->device[i].address))
			continue;
		if (strstr(path, "/pci_bus"))
			return give(to, size, fake->device[i].bridge ? "0000:07" : NULL);
		expect(fake, !strcmp(prefix, "vfio"), "find: a device file");
		snprintf(text, sizeof(text), "vfio%u", i);
		return give(to, size, fake->device[i].no_cdev ? NULL : text);
	}
	return -ENOENT;
}

static uint64_t fake_memlock(void *context, bool later)
{
	const struct fake_iommufd *fake = context;

	if (fake->ipc_lock && !later)
		return UINT64_MAX;
	return fake->memlock;
}

static void fake_sleep(void *context, unsigned int milliseconds)
{
	struct fake_iommufd *fake = context;

	fake->slept += milliseconds;
}

/* --- Life --- */

/* A chain of three extended capabilities. */
static void fill_config(uint8_t *config)
{
	store_le32(config + 0x100, PCI_EXT_CAP_ID_DSN | 1u << 16 | 0x120u << 20);
	store_le32(config + 0x120, PCI_EXT_CAP_ID_ATS | 1u << 16 | 0x140u << 20);
	store_le32(config + 0x140, PCI_EXT_CAP_ID_PRI | 1u << 16);
}

void fake_iommufd_init(struct fake_iommufd *fake)
{
	static const char *const addresses[] = { "0000:06:0d.0", "0000:06:0e.0" };

	*fake = (struct fake_iommufd){
		.kernel = { .open = fake_open,
			    .close = fake_close,
			    .ioctl = fake_ioctl,
			    .read = fake_read,
			    .pread = fake_pread,
			    .write = fake_write,
			    .realpath = fake_realpath,
			    .find = fake_find,
			    .device_number = fake_device_number,
			    .memlock = fake_memlock,
			    .sleep = fake_sleep },
		.memlock = UINT64_MAX,
		.queue_fd = -1,
	};
	fake->kernel.context = fake;
	for (unsigned int i = 0; i < FAKE_DEVICES; i++) {
		struct fake_vfio_device *device = &fake->device[i];

		device->address = addresses[i];
		device->driver = "/sys/bus/pci/drivers/vfio-pci";
		device->unit = "/sys/devices/virtual/iommu/dmar0";
		device->pasid_bits = 16;
		device->group = 20 + i;
		device->capabilities = UAPI_IOMMU_HW_CAP_PCI_PASID_PRIV;
		device->info_type = UAPI_IOMMU_HW_INFO_TYPE_INTEL_VTD;
		device->cap = UINT64_MAX;
		device->ecap = UINT64_MAX;
		fill_config(device->config);
	}
}

void fake_iommufd_destroy(struct fake_iommufd *fake)
{
	for (unsigned int i = 0; i < FAKE_DEVICES; i++)
		while (fake->device[i].attached)
			drop(fake, i, &fake->device[i].attached);
	for (unsigned int i = 0; i < FAKE_OBJECTS; i++)
		free(fake->object[i].map);
}

/* --- To look at --- */

unsigned int fake_objects(const struct fake_iommufd *fake, enum fake_kind kind)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < FAKE_OBJECTS; i++)
		count += fake->object[i].kind == kind;
	return count;
}

static const struct fake_object *attached(const struct fake_iommufd *fake, unsigned int device,
					  uint32_t pasid)
{
	for (const struct fake_attachment *at = fake->device[device].attached; at; at = at->next)
		if (at->pasid == pasid)
			return &fake->object[at->hwpt - 1];
	return NULL;
}

const struct fake_object *fake_attached(const struct fake_iommufd *fake, unsigned int device,
					uint32_t pasid)
{
	return attached(fake, device, pasid);
}

unsigned int fake_called(const struct fake_iommufd *fake, unsigned int since, unsigned long request)
{
	unsigned int count = 0;

	for (unsigned int i = since; i < fake->call_count && i < FAKE_CALLS; i++)
		count += fake->calls[i] == request;
	return count;
}

uint64_t fake_translate(const struct fake_iommufd *fake, unsigned int device, uint64_t iova,
			bool write)
{
	const struct fake_object *hwpt = attached(fake, device, NO_PASID), *ioas = NULL;
	const struct fake_mapping *mapping;

	if (hwpt && hwpt->kind == FAKE_PAGING)
		ioas = &fake->object[hwpt->below - 1];
	else if (fake->device[device].container)
		ioas = &fake->object[fake->device[device].container - 1];
	mapping = ioas ? lookup(ioas, iova) : NULL;
	if (!mapping || !(write ? mapping->write : mapping->read))
		return 0;
	return mapping->va + (iova - mapping->iova);
}
