/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What we use of the kernel's interfaces that the headers of Debian 12 do not have yet: iommufd
 * (Documentation/userspace-api/iommufd.rst) and the device files of VFIO
 * (Documentation/driver-api/vfio.rst, "VFIO Device cdev").
 *
 * Own declarations, named after theirs with `uapi` before, so that a newer <linux/vfio.h> can be
 * included beside. Numbers and layouts are the kernel's ABI and cannot change.
 */
#ifndef NIDUS_DEVICES_VFIO_UAPI_H
#define NIDUS_DEVICES_VFIO_UAPI_H

#include <stdint.h>
#include <sys/ioctl.h>

/* --- iommufd: type ';', from 0x80 on; each argument starts with its size --- */

enum uapi_iommufd {
	UAPI_IOMMU_DESTROY = _IO(';', 0x80),
	UAPI_IOMMU_IOAS_ALLOC = _IO(';', 0x81),
	UAPI_IOMMU_IOAS_MAP = _IO(';', 0x85),
	UAPI_IOMMU_IOAS_COPY = _IO(';', 0x83),
	UAPI_IOMMU_IOAS_UNMAP = _IO(';', 0x86),
	UAPI_IOMMU_HWPT_ALLOC = _IO(';', 0x89),
	UAPI_IOMMU_GET_HW_INFO = _IO(';', 0x8a),
	UAPI_IOMMU_HWPT_INVALIDATE = _IO(';', 0x8d),
	UAPI_IOMMU_FAULT_QUEUE_ALLOC = _IO(';', 0x8e),
	UAPI_IOMMU_IOAS_MAP_FILE = _IO(';', 0x8f),
};

struct uapi_iommu_destroy {
	uint32_t size, id;
};
_Static_assert(sizeof(struct uapi_iommu_destroy) == 8, "IOMMU_DESTROY");

struct uapi_iommu_ioas_alloc {
	uint32_t size, flags, out_ioas_id;
};
_Static_assert(sizeof(struct uapi_iommu_ioas_alloc) == 12, "IOMMU_IOAS_ALLOC");

enum uapi_iommu_ioas_map_flags {
	UAPI_IOMMU_IOAS_MAP_FIXED_IOVA = 1,
	UAPI_IOMMU_IOAS_MAP_WRITEABLE = 2,
	UAPI_IOMMU_IOAS_MAP_READABLE = 4,
};

struct uapi_iommu_ioas_map {
	uint32_t size, flags, ioas_id, reserved;
	uint64_t user_va, length, iova;
};
_Static_assert(sizeof(struct uapi_iommu_ioas_map) == 40, "IOMMU_IOAS_MAP");

struct uapi_iommu_ioas_map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};
_Static_assert(sizeof(struct uapi_iommu_ioas_map_file) == 40, "IOMMU_IOAS_MAP_FILE");

struct uapi_iommu_ioas_copy {
	uint32_t size, flags, dst_ioas_id, src_ioas_id;
	uint64_t length, dst_iova, src_iova;
};
_Static_assert(sizeof(struct uapi_iommu_ioas_copy) == 40, "IOMMU_IOAS_COPY");

struct uapi_iommu_ioas_unmap {
	uint32_t size, ioas_id;
	uint64_t iova, length;
};
_Static_assert(sizeof(struct uapi_iommu_ioas_unmap) == 24, "IOMMU_IOAS_UNMAP");

enum uapi_iommu_hwpt_flags {
	UAPI_IOMMU_HWPT_ALLOC_NEST_PARENT = 1,
	UAPI_IOMMU_HWPT_FAULT_ID_VALID = 4,
	UAPI_IOMMU_HWPT_ALLOC_PASID = 8,
};

enum uapi_iommu_hwpt_data { UAPI_IOMMU_HWPT_DATA_VTD_S1 = 1 }; /* 0: none */

struct uapi_iommu_hwpt_alloc {
	uint32_t size, flags, dev_id, pt_id, out_hwpt_id, reserved, data_type, data_len;
	uint64_t data_uptr;
	uint32_t fault_id, reserved2;
};
_Static_assert(sizeof(struct uapi_iommu_hwpt_alloc) == 48, "IOMMU_HWPT_ALLOC");

enum uapi_iommu_vtd_s1_flags {
	UAPI_IOMMU_VTD_S1_SRE = 1,
	UAPI_IOMMU_VTD_S1_EAFE = 2,
	UAPI_IOMMU_VTD_S1_WPE = 4,
};

struct uapi_iommu_hwpt_vtd_s1 {
	uint64_t flags, pgtbl_addr;
	uint32_t addr_width, reserved;
};
_Static_assert(sizeof(struct uapi_iommu_hwpt_vtd_s1) == 24, "IOMMU_HWPT_DATA_VTD_S1");

enum uapi_iommu_hw_info_type { UAPI_IOMMU_HW_INFO_TYPE_INTEL_VTD = 1 };

enum uapi_iommu_hw_capabilities {
	UAPI_IOMMU_HW_CAP_PCI_PASID_EXEC = 2,
	UAPI_IOMMU_HW_CAP_PCI_PASID_PRIV = 4,
	UAPI_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 8,
};

struct uapi_iommu_hw_info {
	uint32_t size, flags, dev_id, data_len;
	uint64_t data_uptr;
	uint32_t out_data_type;
	uint8_t out_max_pasid_log2, reserved[3];
	uint64_t out_capabilities;
};
_Static_assert(sizeof(struct uapi_iommu_hw_info) == 40, "IOMMU_GET_HW_INFO");

struct uapi_iommu_hw_info_vtd {
	uint32_t flags, reserved;
	uint64_t cap_reg, ecap_reg;
};
_Static_assert(sizeof(struct uapi_iommu_hw_info_vtd) == 24, "IOMMU_HW_INFO_TYPE_INTEL_VTD");

struct uapi_iommu_hwpt_invalidate {
	uint32_t size, hwpt_id;
	uint64_t data_uptr;
	uint32_t data_type, entry_len, entry_num, reserved;
};
_Static_assert(sizeof(struct uapi_iommu_hwpt_invalidate) == 32, "IOMMU_HWPT_INVALIDATE");

enum uapi_iommu_hwpt_invalidate_type { UAPI_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0 };
enum uapi_iommu_vtd_inv_flags { UAPI_IOMMU_VTD_INV_FLAGS_LEAF = 1 };

struct uapi_iommu_hwpt_vtd_s1_invalidate {
	uint64_t addr, npages;
	uint32_t flags, reserved;
};
_Static_assert(sizeof(struct uapi_iommu_hwpt_vtd_s1_invalidate) == 24, "VT-d stage 1");

struct uapi_iommu_fault_alloc {
	uint32_t size, flags, out_fault_id, out_fault_fd;
};
_Static_assert(sizeof(struct uapi_iommu_fault_alloc) == 16, "IOMMU_FAULT_QUEUE_ALLOC");

/* Read from a fault queue. */
enum uapi_iommu_pgfault_flags {
	UAPI_IOMMU_PGFAULT_FLAGS_PASID_VALID = 1,
	UAPI_IOMMU_PGFAULT_FLAGS_LAST_PAGE = 2,
};

enum uapi_iommu_pgfault_perm {
	UAPI_IOMMU_PGFAULT_PERM_READ = 1,
	UAPI_IOMMU_PGFAULT_PERM_WRITE = 2,
	UAPI_IOMMU_PGFAULT_PERM_EXEC = 4,
	UAPI_IOMMU_PGFAULT_PERM_PRIV = 8,
};

struct uapi_iommu_hwpt_pgfault {
	uint32_t flags, dev_id, pasid, grpid, perm, reserved;
	uint64_t addr;
	uint32_t length, cookie;
};
_Static_assert(sizeof(struct uapi_iommu_hwpt_pgfault) == 40, "struct iommu_hwpt_pgfault");

/* Written to it. */
enum uapi_iommu_page_response { UAPI_IOMMU_PAGE_RESP_SUCCESS, UAPI_IOMMU_PAGE_RESP_INVALID };

struct uapi_iommu_hwpt_page_response {
	uint32_t cookie, code;
};
_Static_assert(sizeof(struct uapi_iommu_hwpt_page_response) == 8, "iommu_hwpt_page_response");

/* --- The device files of VFIO: type ';', from 100 on; each argument starts with its size --- */

enum uapi_vfio_cdev {
	UAPI_VFIO_DEVICE_BIND_IOMMUFD = _IO(';', 100 + 18),
	UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT = _IO(';', 100 + 19),
	UAPI_VFIO_DEVICE_DETACH_IOMMUFD_PT = _IO(';', 100 + 20),
};

struct uapi_vfio_device_bind_iommufd {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
_Static_assert(sizeof(struct uapi_vfio_device_bind_iommufd) == 16, "VFIO_DEVICE_BIND_IOMMUFD");

/* Without the flag, kernels before 6.15 refuse more than their own, shorter structures. */
enum uapi_vfio_pt_flags { UAPI_VFIO_DEVICE_PT_PASID = 1 };

struct uapi_vfio_device_attach_iommufd_pt {
	uint32_t argsz, flags, pt_id, pasid;
};
_Static_assert(sizeof(struct uapi_vfio_device_attach_iommufd_pt) == 16, "ATTACH_IOMMUFD_PT");

struct uapi_vfio_device_detach_iommufd_pt {
	uint32_t argsz, flags, pasid;
};
_Static_assert(sizeof(struct uapi_vfio_device_detach_iommufd_pt) == 12, "DETACH_IOMMUFD_PT");

/* A feature of VFIO_DEVICE_FEATURE: a dma-buf of a piece of a region; the ioctl returns its file.
 */
#define UAPI_VFIO_DEVICE_FEATURE_DMA_BUF 11

struct uapi_vfio_device_feature_dma_buf {
	uint32_t argsz, flags; /* struct vfio_device_feature */
	uint32_t region_index, open_flags, reserved, nr_ranges;
	struct {
		uint64_t offset, length;
	} range;
};
_Static_assert(sizeof(struct uapi_vfio_device_feature_dma_buf) == 40,
	       "VFIO_DEVICE_FEATURE_DMA_BUF");

#endif
