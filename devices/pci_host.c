/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCIe host bridge: ECAM, CF8/CFC, and the resources that firmware would have assigned.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "devices/base.h"
#include "devices/iommu.h"
#include "devices/log.h"
#include "devices/pci.h"

#define ECAM_SIZE	    MIB /* bus 0 */
#define PORT_CONFIG_ADDRESS 0xcf8
#define CONFIG_ADDRESS_SIZE 8 /* 0xcf8 to 0xcff */
#define CONFIG_RESET	    1 /* 0xcf9 lies inside of CONFIG_ADDRESS, for single bytes */
#define CONFIG_DATA	    4 /* 0xcfc */
#define CONFIG_ENABLE	    (1U << 31)
#define RESET_CPU	    (1U << 2)

static struct pci_function *find(struct pci_host *host, uint16_t requester)
{
	return requester < PCI_FUNCTIONS ? host->function[requester] : NULL;
}

static bool config_access_valid(unsigned int offset, unsigned int size)
{
	return (size == 1 || size == 2 || size == 4) && !(offset % size) &&
	       range_fits(offset, size, PCI_CONFIG_SIZE);
}

uint32_t pci_config_read(struct pci_host *host, uint16_t requester, unsigned int offset,
			 unsigned int size)
{
	struct pci_function *fn = find(host, requester);
	uint32_t value = UINT32_MAX;

	if (!fn || !config_access_valid(offset, size))
		return value;
	pthread_mutex_lock(&host->lock);
	value = pci_function_read(fn, offset, size);
	pthread_mutex_unlock(&host->lock);
	return value;
}

void pci_config_write(struct pci_host *host, uint16_t requester, unsigned int offset,
		      unsigned int size, uint32_t value)
{
	struct pci_function *fn = find(host, requester);

	if (!fn || !config_access_valid(offset, size))
		return;
	pthread_mutex_lock(&host->lock);
	pci_function_write(fn, offset, size, value);
	pthread_mutex_unlock(&host->lock);
}

/* An access of any size and alignment within one function, taken apart into what PCI defines. */
static void config_access(struct pci_host *host, uint16_t requester, unsigned int offset,
			  struct bus_access *access)
{
	unsigned int step = access->size == 8 && !(offset % 4) ? 4 : access->size;
	uint64_t value = 0;

	for (unsigned int i = 0; i < access->size; i += step) {
		if (access->is_write)
			pci_config_write(host, requester, offset + i, step,
					 (uint32_t)(access->value >> 8 * i));
		else
			value |= (uint64_t)pci_config_read(host, requester, offset + i, step)
				 << 8 * i;
	}
	if (!access->is_write)
		access->value = value;
}

static void ecam_handler(void *context, struct bus_access *access)
{
	config_access(context, (uint16_t)(access->offset >> 12), access->offset & 0xfff, access);
}

static void address_access(struct pci_host *host, struct bus_access *access)
{
	if (access->is_write && access->size == 1 && access->offset == CONFIG_RESET) {
		if (access->value & RESET_CPU)
			machine_end(host->machine, MACHINE_RESET, 0);
		return;
	}
	if (access->size != 4 || access->offset)
		return;
	pthread_mutex_lock(&host->lock);
	if (access->is_write)
		host->address = (uint32_t)access->value & ~0x7f000003U;
	else
		access->value = host->address;
	pthread_mutex_unlock(&host->lock);
}

static void port_handler(void *context, struct bus_access *access)
{
	struct pci_host *host = context;
	uint32_t address;

	if (access->offset < CONFIG_DATA) {
		address_access(host, access);
		return;
	}
	pthread_mutex_lock(&host->lock);
	address = host->address;
	pthread_mutex_unlock(&host->lock);
	if (address & CONFIG_ENABLE)
		config_access(host, (uint16_t)(address >> 8),
			      (address & 0xfc) + (unsigned int)(access->offset - CONFIG_DATA),
			      access);
}

static const struct pci_ops bridge_ops = { 0 };

/* 1b36:0008 is the generic PCIe host bridge that guests know from other machines. */
static const struct pci_ids bridge_ids = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x060000,
};

int pci_host_init(struct pci_host *host, struct machine *machine, const struct ram *ram,
		  struct bus *mmio, struct bus *pio, const struct pci_windows *windows)
{
	struct bus_region ecam = { .base = windows->ecam_base,
				   .size = ECAM_SIZE,
				   .handler = ecam_handler,
				   .context = host,
				   .name = "ecam" };
	struct bus_region ports = { .base = PORT_CONFIG_ADDRESS,
				    .size = CONFIG_ADDRESS_SIZE,
				    .handler = port_handler,
				    .context = host,
				    .name = "pci-config" };
	int rc;

	memset(host, 0, sizeof(*host));
	pthread_mutex_init(&host->lock, NULL);
	pthread_mutex_init(&host->intx_lock, NULL);
	host->machine = machine;
	host->ram = ram;
	host->mmio = mmio;
	host->pio = pio;
	host->windows = *windows;
	pci_function_init(&host->bridge, "host-bridge", &bridge_ops, &bridge_ids, false);
	rc = bus_add(mmio, &ecam);
	if (!rc)
		rc = bus_add(pio, &ports);
	if (!rc)
		rc = pci_host_add(host, &host->bridge, 0);
	return rc;
}

void pci_host_destroy(struct pci_host *host)
{
	pthread_mutex_destroy(&host->intx_lock);
	pthread_mutex_destroy(&host->lock);
}

static int first_free_slot(const struct pci_host *host)
{
	for (int devfn = 0; devfn < PCI_FUNCTIONS; devfn += 8)
		if (!host->function[devfn] && (!host->reserved || devfn != host->reserved))
			return devfn;
	return -ENOSPC;
}

int pci_host_add(struct pci_host *host, struct pci_function *fn, int devfn)
{
	struct vtd_unit *unit;
	int rc;

	if (devfn < 0)
		devfn = first_free_slot(host);
	if (devfn < 0)
		return devfn;
	if (devfn >= PCI_FUNCTIONS || host->function[devfn] ||
	    (host->reserved && devfn == host->reserved))
		return -EBUSY;
	fn->host = host;
	fn->requester = (uint16_t)devfn;
	fn->dma.ram = host->ram;
	fn->dma.requester = fn->requester;
	fn->dma.pasid = DMA_NO_PASID;
	unit = host->unit_of ? host->unit_of(host, fn) : NULL;
	rc = unit ? iommu_attach(fn, unit) : 0;
	if (!rc)
		host->function[devfn] = fn;
	return rc;
}

/* --- What firmware does --- */

struct window {
	uint64_t next, end;
};

static uint64_t take(struct window *window, uint64_t size, uint64_t align)
{
	uint64_t at = align_up(window->next, align);

	if (at < window->next || !range_fits(at, size, window->end))
		return PCI_BAR_UNMAPPED;
	window->next = at + size;
	return at;
}

static int assign_bar(struct pci_function *fn, unsigned int index, struct window *window)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + index * 4;
	const struct pci_bar *bar = &fn->bar[index];
	/* No page has registers of two BARs: drivers may hand pages on. */
	uint64_t align = bar->kind == PCI_BAR_IO ? bar->size : max_u64(bar->size, PAGE_SIZE_4K);
	uint64_t address = take(window, bar->size, align);

	if (address == PCI_BAR_UNMAPPED)
		return -ENOSPC;
	store_le32(&fn->config[at], load_le32(&fn->config[at]) | (uint32_t)address);
	if (fn->bar[index].kind == PCI_BAR_MEM64)
		store_le32(&fn->config[at + 4], (uint32_t)(address >> 32));
	return 0;
}

int pci_host_assign(struct pci_host *host)
{
	const struct pci_windows *w = &host->windows;
	struct window window[] = {
		[PCI_BAR_IO] = { w->io_base, (uint64_t)w->io_base + w->io_size },
		[PCI_BAR_MEM32] = { w->mem32_base, w->mem32_base + w->mem32_size },
		[PCI_BAR_MEM64] = { w->mem64_base, w->mem64_base + w->mem64_size },
	};
	int rc = 0;

	pthread_mutex_lock(&host->lock);
	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		struct pci_function *fn = host->function[devfn];

		if (!fn)
			continue;
		for (unsigned int i = 0; i < PCI_BARS && !rc; i++)
			if (fn->bar[i].kind != PCI_BAR_NONE)
				rc = assign_bar(fn, i, &window[fn->bar[i].kind]);
		if (fn->config[PCI_INTERRUPT_PIN]) {
			fn->gsi = w->gsi_base + (devfn >> 3) % w->gsi_count;
			fn->config[PCI_INTERRUPT_LINE] = (uint8_t)fn->gsi;
		}
		if (rc)
			break;
		pci_function_write(fn, PCI_COMMAND, 2,
				   PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		memcpy(fn->power_on, fn->config, sizeof(fn->power_on));
	}
	pthread_mutex_unlock(&host->lock);
	return rc;
}

/* --- Reset --- */

/*
 * What the guest may have written is put back. The command register comes last, and by the way of a
 * guest's write, for it makes the rest work. The host's lock is held.
 */
static void restore_config(struct pci_function *fn)
{
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++) {
		uint8_t mask = fn->writable[i] | fn->clearable[i];

		if (i == PCI_COMMAND || i == PCI_COMMAND + 1)
			continue;
		__atomic_store_n(&fn->config[i],
				 (uint8_t)((fn->config[i] & ~mask) | (fn->power_on[i] & mask)),
				 __ATOMIC_RELAXED);
	}
	pci_function_write(fn, PCI_COMMAND, 2, load_le16(&fn->power_on[PCI_COMMAND]));
}

/* All of them, whatever fails; 0 or the first error. The host's lock is held. */
static int reset_functions(struct pci_host *host)
{
	int error = 0;

	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		struct pci_function *fn = host->function[devfn];
		int rc = fn ? pci_function_level_reset(fn) : 0;

		if (rc)
			log_error(PCI,
				  "%s: cannot be reset: %s; the machine does not restart, for "
				  "its DMA could go on",
				  fn->name, strerror(-rc));
		error = error ? error : rc;
	}
	return error;
}

int pci_host_reset(struct pci_host *host)
{
	int rc;

	pthread_mutex_lock(&host->lock);
	host->address = 0;
	rc = reset_functions(host);
	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS && !rc; devfn++)
		if (host->function[devfn])
			restore_config(host->function[devfn]);
	pthread_mutex_unlock(&host->lock);
	return rc;
}
