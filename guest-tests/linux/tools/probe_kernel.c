// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iommufd-probe: iommufd and VFIO, one function for each call. The declarations of iommufd are
 * those of the kernel that the tests run on, not ours.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio_uapi.h"

static void must_ioctl(int fd, unsigned long call, void *argument, const char *what)
{
	int rc = ioctl(fd, call, argument);

	require(!rc, "%s: %s", what, strerror(errno));
}

/* --- The device --- */

static volatile uint8_t *map_bar(struct probe *probe, unsigned int bar)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = bar };
	void *where;

	must_ioctl(probe->device, VFIO_DEVICE_GET_REGION_INFO, &region, "a BAR");
	require(region.flags & VFIO_REGION_INFO_FLAG_MMAP, "BAR %u cannot be mapped", bar);
	where = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, probe->device,
		     (off_t)region.offset);
	require(where != MAP_FAILED, "mmap of BAR %u: %s", bar, strerror(errno));
	return where;
}

static void enable_bus_master(struct probe *probe)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;
	ssize_t got;
	off_t where;

	must_ioctl(probe->device, VFIO_DEVICE_GET_REGION_INFO, &region, "configuration space");
	where = (off_t)region.offset + PCI_COMMAND;
	got = pread(probe->device, &command, 2, where);
	require(got == 2, "reading the PCI command: %s", strerror(errno));
	command |= PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	got = pwrite(probe->device, &command, 2, where);
	require(got == 2, "writing the PCI command: %s", strerror(errno));
}

static void bind_device(struct probe *probe, const char *cdev)
{
	struct uapi_vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

	probe->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	require(probe->iommufd >= 0, "/dev/iommu: %s", strerror(errno));
	probe->device = open(cdev, O_RDWR | O_CLOEXEC);
	require(probe->device >= 0, "%s: %s", cdev, strerror(errno));
	bind.iommufd = probe->iommufd;
	must_ioctl(probe->device, UAPI_VFIO_DEVICE_BIND_IOMMUFD, &bind, "bind to iommufd");
	probe->device_id = bind.out_devid;
}

static void get_hardware(struct probe *probe)
{
	struct uapi_iommu_hw_info_vtd vtd = { 0 };
	struct uapi_iommu_hw_info info = {
		.size = sizeof(info),
		.dev_id = probe->device_id,
		.data_len = sizeof(vtd),
		.data_uptr = (uintptr_t)&vtd,
	};

	must_ioctl(probe->iommufd, UAPI_IOMMU_GET_HW_INFO, &info, "GET_HW_INFO");
	require(info.out_data_type == UAPI_IOMMU_HW_INFO_TYPE_INTEL_VTD, "the IOMMU is of type %u",
		info.out_data_type);
	probe->cap = vtd.cap_reg;
	probe->ecap = vtd.ecap_reg;
	probe->pasid_bits = info.out_max_pasid_log2;
}

/* --- Guest memory --- */

static void map_memory(struct probe *probe, void *memory, uint64_t size, uint64_t gpa)
{
	struct uapi_iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = UAPI_IOMMU_IOAS_MAP_FIXED_IOVA | UAPI_IOMMU_IOAS_MAP_READABLE |
			 UAPI_IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = probe->ioas,
		.user_va = (uintptr_t)memory,
		.length = size,
		.iova = gpa,
	};

	must_ioctl(probe->iommufd, UAPI_IOMMU_IOAS_MAP, &map, "IOAS_MAP");
}

void map_hole(struct probe *probe)
{
	map_memory(probe, probe->hole, HOLE_SIZE, HOLE_GPA);
}

void unmap_hole(struct probe *probe)
{
	struct uapi_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = probe->ioas,
		.iova = HOLE_GPA,
		.length = HOLE_SIZE,
	};

	must_ioctl(probe->iommufd, UAPI_IOMMU_IOAS_UNMAP, &unmap, "IOAS_UNMAP");
}

static uint8_t *anonymous(size_t size)
{
	void *where = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(where != MAP_FAILED, "mmap: %s", strerror(errno));
	return where;
}

static void make_memory(struct probe *probe)
{
	struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	must_ioctl(probe->iommufd, UAPI_IOMMU_IOAS_ALLOC, &alloc, "IOAS_ALLOC");
	probe->ioas = alloc.out_ioas_id;
	probe->memory = anonymous(MEMORY_SIZE);
	probe->hole = anonymous(HOLE_SIZE);
	map_memory(probe, probe->memory, MEMORY_SIZE, GPA);
}

/* --- Domains --- */

static uint32_t new_domain(struct probe *probe, struct uapi_iommu_hwpt_alloc *alloc)
{
	alloc->size = sizeof(*alloc);
	alloc->dev_id = probe->device_id;
	alloc->flags |= UAPI_IOMMU_HWPT_ALLOC_PASID;
	must_ioctl(probe->iommufd, UAPI_IOMMU_HWPT_ALLOC, alloc,
		   alloc->data_type ? "HWPT_ALLOC of a nested domain"
				    : "HWPT_ALLOC of a nesting parent");
	return alloc->out_hwpt_id;
}

static uint32_t parent_domain(struct probe *probe)
{
	struct uapi_iommu_hwpt_alloc alloc = {
		.flags = UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT,
		.pt_id = probe->ioas,
	};

	return new_domain(probe, &alloc);
}

uint32_t wide_domain(struct probe *probe, uint64_t root, unsigned int width, uint32_t fault_id)
{
	struct uapi_iommu_hwpt_vtd_s1 table = { .pgtbl_addr = root, .addr_width = width };
	struct uapi_iommu_hwpt_alloc alloc = {
		.flags = fault_id == NO_FAULT ? 0 : UAPI_IOMMU_HWPT_FAULT_ID_VALID,
		.pt_id = probe->parent,
		.data_type = UAPI_IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(table),
		.data_uptr = (uintptr_t)&table,
		.fault_id = fault_id,
	};

	return new_domain(probe, &alloc);
}

uint32_t nested_domain(struct probe *probe, uint64_t root, uint32_t fault_id)
{
	return wide_domain(probe, root, 48, fault_id);
}

void destroy(struct probe *probe, uint32_t id)
{
	struct uapi_iommu_destroy command = { .size = sizeof(command), .id = id };

	must_ioctl(probe->iommufd, UAPI_IOMMU_DESTROY, &command, "DESTROY");
}

int try_attach(struct probe *probe, uint32_t pasid, uint32_t domain)
{
	struct uapi_vfio_device_attach_iommufd_pt command = { .argsz = sizeof(command),
							      .pt_id = domain };

	if (pasid != NO_PASID) {
		command.flags = UAPI_VFIO_DEVICE_PT_PASID;
		command.pasid = pasid;
	}
	return ioctl(probe->device, UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &command) ? -errno : 0;
}

void attach(struct probe *probe, uint32_t pasid, uint32_t domain)
{
	int rc = try_attach(probe, pasid, domain);

	require(!rc, "attach to PASID %#x: %s", pasid, strerror(-rc));
}

void detach(struct probe *probe, uint32_t pasid)
{
	struct uapi_vfio_device_detach_iommufd_pt command = { .argsz = sizeof(command) };

	if (pasid != NO_PASID) {
		command.flags = UAPI_VFIO_DEVICE_PT_PASID;
		command.pasid = pasid;
	}
	must_ioctl(probe->device, UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT, &command, "detach");
}

void invalidate(struct probe *probe, uint32_t domain, uint64_t address, uint64_t count)
{
	struct uapi_iommu_hwpt_vtd_s1_invalidate range = { .addr = address, .npages = count };
	struct uapi_iommu_hwpt_invalidate command = {
		.size = sizeof(command),
		.hwpt_id = domain,
		.data_uptr = (uintptr_t)&range,
		.data_type = UAPI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(range),
		.entry_num = 1,
	};

	must_ioctl(probe->iommufd, UAPI_IOMMU_HWPT_INVALIDATE, &command, "HWPT_INVALIDATE");
	require(command.entry_num == 1, "HWPT_INVALIDATE did %u of 1", command.entry_num);
}

/* --- Page requests --- */

void new_fault_queue(struct probe *probe, uint32_t *id, int *fd)
{
	struct uapi_iommu_fault_alloc alloc = { .size = sizeof(alloc) };

	must_ioctl(probe->iommufd, UAPI_IOMMU_FAULT_QUEUE_ALLOC, &alloc, "FAULT_QUEUE_ALLOC");
	*id = alloc.out_fault_id;
	*fd = (int)alloc.out_fault_fd;
}

unsigned int read_faults(int fd, struct uapi_iommu_hwpt_pgfault *fault, unsigned int max,
			 int milliseconds)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	ssize_t got;
	int rc = poll(&ready, 1, milliseconds);

	require(rc >= 0, "poll of the fault queue: %s", strerror(errno));
	if (!rc)
		return 0;
	got = read(fd, fault, max * sizeof(*fault));
	require(got > 0 && got % (ssize_t)sizeof(*fault) == 0, "read of the fault queue: %zd, %s",
		got, strerror(errno));
	return (unsigned int)got / (unsigned int)sizeof(*fault);
}

void answer(int fd, uint32_t cookie, bool success)
{
	struct uapi_iommu_hwpt_page_response response = {
		.cookie = cookie,
		.code = success ? UAPI_IOMMU_PAGE_RESP_SUCCESS : UAPI_IOMMU_PAGE_RESP_INVALID,
	};
	ssize_t put;

	put = write(fd, &response, sizeof(response));
	require(put == sizeof(response), "answer to a page request: %s", strerror(errno));
}

/* --- All of it --- */

void probe_open(struct probe *probe, const char *cdev)
{
	bind_device(probe, cdev);
	get_hardware(probe);
	make_memory(probe);
	probe->parent = parent_domain(probe);
	new_fault_queue(probe, &probe->fault_id, &probe->fault_fd);
	attach(probe, NO_PASID, probe->parent);
	probe->registers = map_bar(probe, SDMA_BAR_REGISTERS);
	probe->doorbells = map_bar(probe, SDMA_BAR_DOORBELLS);
	enable_bus_master(probe);
}
