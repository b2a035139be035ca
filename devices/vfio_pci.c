/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a passed-through function: creation, reset, loss and end.
 *
 * The device can be lost while the VM runs: it reports an error that it does not survive, or the
 * host wants it back. The guest then sees what it sees of a device that was pulled out: all ones.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_pci.h"

/* How long a reset waits for others in the host, and looks again. */
#define RESET_MS 1000
#define RETRY_MS 10

/* --- Accesses to the device's file --- */

bool vfio_region_read(const struct vfio_pci *vfio, const struct vfio_region *region,
		      uint64_t offset, void *to, size_t size)
{
	if (!(region->flags & VFIO_REGION_INFO_FLAG_READ) ||
	    !range_fits(offset, size, region->size))
		return false;
	return vfio->file->pread(vfio->file, vfio->device->fd, to, size, region->offset + offset) ==
	       (ssize_t)size;
}

bool vfio_region_write(const struct vfio_pci *vfio, const struct vfio_region *region,
		       uint64_t offset, const void *from, size_t size)
{
	if (!(region->flags & VFIO_REGION_INFO_FLAG_WRITE) ||
	    !range_fits(offset, size, region->size))
		return false;
	return vfio->file->pwrite(vfio->file, vfio->device->fd, from, size,
				  region->offset + offset) == (ssize_t)size;
}

/* --- Reset --- */

/*
 * The kernel only tries: -EAGAIN says that somebody in the host has the device for a moment, and is
 * waited for up to @patience milliseconds. 0 or a negative errno.
 */
static int reset_device(struct vfio_pci *vfio, unsigned int patience)
{
	int rc;

	for (unsigned int waited = 0;; waited += RETRY_MS) {
		rc = vfio->file->ioctl(vfio->file, vfio->device->fd, VFIO_DEVICE_RESET, NULL);
		if (rc != -EAGAIN || waited >= patience)
			break;
		vfio->file->sleep(vfio->file, RETRY_MS);
	}
	vfio_pci_count(rc ? &vfio->counters.errors : &vfio->counters.resets);
	/* The kernel's word for: no way to reset it has worked. */
	return rc == -ENOTTY ? -EIO : rc;
}

/*
 * Bus mastering is turned off, and if the reset fails, the guest cannot turn it on: what the device
 * was told to do before does not go on in memory that has another use by now.
 */
static int function_reset(struct pci_function *fn)
{
	struct vfio_pci *vfio = container_of(fn, struct vfio_pci, pci);
	int rc;

	if (vfio_lost(vfio))
		return 0;
	vfio_irq_stop(vfio);
	vfio_config_reset(vfio);
	/* The guest's is zero: DMA ends here, should the reset not end it. */
	vfio_config_sync_command(vfio);
	if (fn->dma.unit)
		vfio_device_answer_faults(vfio->device);
	rc = reset_device(vfio, RESET_MS);
	vfio_config_allow_master(vfio, !rc);
	vfio_config_sync_command(vfio);
	vfio_irq_update(vfio);
	return rc;
}

/* --- Loss --- */

static void lose(struct vfio_pci *vfio)
{
	struct pci_function *fn = &vfio->pci;

	/* First, or a vCPU that opens a vector meanwhile has the host set it up again. */
	__atomic_store_n(&vfio->lost, true, __ATOMIC_RELEASE);
	vfio_irq_stop(vfio);
	store_le16(&fn->config[PCI_COMMAND], 0);
	pci_update_bars(fn);
	pci_rom_update(&vfio->rom);
	pci_msix_reset(fn);
	vfio_config_lose(vfio);
}

static void stop_dma(struct vfio_pci *vfio)
{
	static const uint8_t nothing[2];

	vfio_region_write(vfio, &vfio->config, PCI_COMMAND, nothing, sizeof(nothing));
}

void vfio_pci_failed(struct vfio_pci *vfio)
{
	if (vfio_lost(vfio))
		return;
	log_error(VFIO,
		  "%s: %s has failed (an error that it does not recover from): the guest goes on "
		  "without it",
		  vfio->name, vfio->device->name);
	pthread_mutex_lock(&vfio->pci.host->lock);
	lose(vfio);
	stop_dma(vfio);
	pthread_mutex_unlock(&vfio->pci.host->lock);
}

static int replace_file(void *context)
{
	const struct vfio_pci *vfio = context;

	return vfio->file->replace(vfio->file, vfio->device->fd, vfio->nothing);
}

/* The host waits until nothing holds the device's file any more: descriptors and mappings. */
void vfio_pci_requested(struct vfio_pci *vfio)
{
	int rc;

	if (vfio->returned)
		return;
	vfio->returned = true;
	log_warn(VFIO, "%s: the host wants %s back: the guest goes on without it", vfio->name,
		 vfio->device->name);
	pthread_mutex_lock(&vfio->pci.host->lock);
	if (!vfio_lost(vfio))
		lose(vfio);
	vfio_bars_unmap(vfio);
	rc = vfio->pci.dma.unit ? vfio_device_give_back(vfio->device, replace_file, vfio)
				: replace_file(vfio);
	pthread_mutex_unlock(&vfio->pci.host->lock);
	if (rc)
		log_error(VFIO, "%s: %s cannot be given back: %s", vfio->name, vfio->device->name,
			  strerror(-rc));
}

void vfio_pci_quiesce(struct vfio_pci *vfio)
{
	int rc = 0;

	if (!vfio_lost(vfio)) {
		vfio_irq_stop(vfio);
		stop_dma(vfio);
		/* Not waited for: the kernel resets it once more when its file is closed. */
		if (vfio->device->reset)
			rc = reset_device(vfio, 0);
	}
	if (rc)
		log_info(VFIO, "%s: the host has not reset it: %s", vfio->name, strerror(-rc));
	vfio_irq_unwatch(vfio);
}

/* --- Creation --- */

static const struct pci_ops ops = {
	.config_written = vfio_config_written,
	.config_reading = vfio_config_reading,
	.bar_access = vfio_bar_access,
	.bar_moved = vfio_bar_moved,
	.msix_opened = vfio_irq_msix_opened,
	.reset = function_reset,
};

/* Of a device that cannot be reset: its guest is told so. */
static const struct pci_ops ops_without_reset = {
	.config_written = vfio_config_written,
	.config_reading = vfio_config_reading,
	.bar_access = vfio_bar_access,
	.bar_moved = vfio_bar_moved,
	.msix_opened = vfio_irq_msix_opened,
};

/* Reads all of configuration space that there is into @host, of PCI_CONFIG_SIZE bytes. */
static int read_config(struct vfio_pci *vfio, uint8_t *host, char *error, size_t size)
{
	int rc = vfio_region_query(vfio, VFIO_PCI_CONFIG_REGION_INDEX, &vfio->config, NULL);

	vfio->config.size = min_u64(vfio->config.size, PCI_CONFIG_SIZE);
	if (!rc && (vfio->config.size < 256 ||
		    !vfio_region_read(vfio, &vfio->config, 0, host, vfio->config.size)))
		rc = -EIO;
	if (rc) {
		snprintf(error, size, "vfio %s: its configuration space cannot be read: %s",
			 vfio->device->name, strerror(-rc));
		return rc;
	}
	if ((host[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL) {
		snprintf(
			error, size,
			"vfio %s: is a bridge, which no guest can have; pass the devices behind it",
			vfio->device->name);
		return -EINVAL;
	}
	return 0;
}

static void init_function(struct vfio_pci *vfio, const uint8_t *host)
{
	const struct pci_ids ids = {
		.vendor = load_le16(host + PCI_VENDOR_ID),
		.device = load_le16(host + PCI_DEVICE_ID),
		.subsystem_vendor = load_le16(host + PCI_SUBSYSTEM_VENDOR_ID),
		.subsystem = load_le16(host + PCI_SUBSYSTEM_ID),
		.class_code = load_le32(host + PCI_CLASS_REVISION) >> 8,
		.revision = host[PCI_CLASS_REVISION],
	};

	pci_function_init(&vfio->pci, vfio->name, vfio->device->reset ? &ops : &ops_without_reset,
			  &ids, vfio->irq.intx);
}

/* MSI-X as the device has it at @cap, for the guest at @at. */
static int add_msix(struct vfio_pci *vfio, const uint8_t *cap, unsigned int at)
{
	uint32_t table = load_le32(cap + PCI_MSIX_TABLE), pba = load_le32(cap + PCI_MSIX_PBA);
	unsigned int bar = table & PCI_MSIX_TABLE_BIR;
	uint64_t table_offset = table & PCI_MSIX_TABLE_OFFSET;
	uint64_t pba_offset = pba & PCI_MSIX_PBA_OFFSET;
	uint32_t vectors = (load_le16(cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1U;
	uint64_t pba_size = align_up(vectors, 64) / 8;
	int rc;

	vectors = (uint32_t)min_u64(vectors, vfio->irq.msix_count);
	if (bar >= PCI_BARS || (pba & PCI_MSIX_PBA_BIR) != bar || !vectors ||
	    !range_fits(table_offset, (uint64_t)vectors * PCI_MSIX_ENTRY_SIZE,
			vfio->bar[bar].region.size) ||
	    !range_fits(pba_offset, pba_size, vfio->bar[bar].region.size)) {
		log_warn(VFIO, "%s: its MSI-X table is not where it can be served: hidden",
			 vfio->name);
		return 0;
	}
	vfio->pci.cap_next = at;
	rc = pci_add_msix(&vfio->pci, vectors, bar, (uint32_t)table_offset, (uint32_t)pba_offset);
	if (rc)
		return rc;
	vfio->pci.msix.pending_apart = true;
	vfio_bars_trap(vfio, bar, table_offset, (uint64_t)vectors * PCI_MSIX_ENTRY_SIZE);
	vfio_bars_trap(vfio, bar, pba_offset, pba_size);
	return 0;
}

/* All that has to be there before the function is on its bus; *@msix and *@at: see caps. */
static int describe(struct vfio_pci *vfio, uint8_t *host, unsigned int *msix, unsigned int *at,
		    char *error, size_t size)
{
	int rc = read_config(vfio, host, error, size);

	if (rc)
		return rc;
	rc = vfio_irq_query(vfio);
	if (rc) {
		snprintf(error, size, "vfio %s: its interrupts cannot be asked for: %s",
			 vfio->device->name, strerror(-rc));
		return rc;
	}
	init_function(vfio, host);
	rc = vfio_bars_add(vfio, host, error, size);
	if (!rc)
		vfio_caps_add(vfio, host, msix, at);
	return rc;
}

static int build(struct vfio_pci *vfio, struct pci_host *host, char *error, size_t size)
{
	uint8_t *space = calloc(1, PCI_CONFIG_SIZE);
	unsigned int msix = 0, at = 0;
	int rc = -ENOMEM;

	if (!space)
		return rc;
	rc = describe(vfio, space, &msix, &at, error, size);
	if (!rc)
		rc = pci_host_add(host, &vfio->pci, -1);
	if (!rc && at)
		rc = add_msix(vfio, space + msix, at);
	if (!rc)
		rc = vfio_irq_init(vfio);
	if (!rc) {
		vfio_bars_map(vfio);
		vfio_config_sync_command(vfio);
	}
	free(space);
	return rc;
}

/* For what nobody has said anything about. */
static void say_why(const struct vfio_device *device, int rc, char *error, size_t size)
{
	if (rc == -EMFILE)
		snprintf(error, size,
			 "vfio %s: each of its interrupts takes an open file, and this process may "
			 "not have that many; raise the limit (ulimit -n)",
			 device->name);
	else
		snprintf(error, size, "vfio %s: cannot be made a device of the guest: %s",
			 device->name, strerror(-rc));
}

struct vfio_pci *vfio_pci_create_on(struct pci_host *host, struct loop *loop, const char *name,
				    struct vfio_device *device, const struct vfio_file *file,
				    char *error, size_t size)
{
	struct vfio_pci *vfio = calloc(1, sizeof(*vfio));
	int rc;

	if (!vfio) {
		snprintf(error, size, "vfio %s: out of memory", device->name);
		return NULL;
	}
	snprintf(vfio->name, sizeof(vfio->name), "%s", name);
	vfio->loop = loop;
	vfio->device = device;
	vfio->file = file;
	vfio->irq.msi_eventfd = vfio->irq.msi_route = -1;
	pthread_mutex_init(&vfio->irq.lock, NULL);
	vfio->nothing = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error[0] = '\0';
	rc = vfio->nothing < 0 ? -errno : build(vfio, host, error, size);
	if (!rc)
		return vfio;
	if (!error[0])
		say_why(device, rc, error, size);
	vfio_pci_destroy(vfio);
	errno = -rc;
	return NULL;
}

struct vfio_pci *vfio_pci_create(struct pci_host *host, struct loop *loop, const char *name,
				 struct vfio_device *device, char *error, size_t size)
{
	return vfio_pci_create_on(host, loop, name, device, &vfio_kernel_file, error, size);
}

void vfio_pci_destroy(struct vfio_pci *vfio)
{
	vfio_bars_unmap(vfio);
	vfio_irq_destroy(vfio);
	if (vfio->msi.cap)
		pci_msi_destroy(&vfio->msi);
	pci_function_destroy(&vfio->pci);
	pci_rom_destroy(&vfio->rom);
	if (vfio->nothing >= 0)
		close(vfio->nothing);
	free(vfio);
}

int vfio_pci_attach(struct vfio_pci *vfio, char *error, size_t size)
{
	struct dma *dma = &vfio->pci.dma;

	return vfio_device_attach(vfio->device, dma->unit, dma->iommu, error, size);
}

struct vfio_pci_counters vfio_pci_counters(const struct vfio_pci *vfio)
{
	const struct vfio_pci_counters *from = &vfio->counters;

	return (struct vfio_pci_counters){
		.config_reads = __atomic_load_n(&from->config_reads, __ATOMIC_RELAXED),
		.config_writes = __atomic_load_n(&from->config_writes, __ATOMIC_RELAXED),
		.bar_exits = __atomic_load_n(&from->bar_exits, __ATOMIC_RELAXED),
		.interrupts_routed = __atomic_load_n(&from->interrupts_routed, __ATOMIC_RELAXED),
		.resets = __atomic_load_n(&from->resets, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&from->errors, __ATOMIC_RELAXED),
	};
}
