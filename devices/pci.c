/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One PCI function: configuration space under masks, BARs, capabilities, INTA#.
 */
#include "devices/pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>

#include "devices/base.h"
#include "devices/log.h"

#define FIRST_CAPABILITY     0x40
#define FIRST_EXT_CAPABILITY 0x100

void pci_function_init(struct pci_function *fn, const char *name, const struct pci_ops *ops,
		       const struct pci_ids *ids, bool interrupt_pin)
{
	memset(fn, 0, sizeof(*fn));
	fn->name = name;
	fn->ops = ops;
	fn->cap_next = FIRST_CAPABILITY;
	fn->ext_next = FIRST_EXT_CAPABILITY;
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		fn->bar[i].address = PCI_BAR_UNMAPPED;
		fn->bar[i].fn = fn;
	}
	store_le16(&fn->config[PCI_VENDOR_ID], ids->vendor);
	store_le16(&fn->config[PCI_DEVICE_ID], ids->device);
	store_le32(&fn->config[PCI_CLASS_REVISION], ids->class_code << 8 | ids->revision);
	store_le16(&fn->config[PCI_SUBSYSTEM_VENDOR_ID], ids->subsystem_vendor);
	store_le16(&fn->config[PCI_SUBSYSTEM_ID], ids->subsystem);
	fn->config[PCI_INTERRUPT_PIN] = interrupt_pin;
	store_le16(&fn->writable[PCI_COMMAND], PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
						       PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
						       PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	fn->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	fn->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_function_destroy(struct pci_function *fn)
{
	pci_msix_destroy(fn);
}

void pci_add_bar(struct pci_function *fn, unsigned int index, enum pci_bar_kind kind, uint64_t size,
		 bool prefetchable)
{
	struct pci_bar *bar = &fn->bar[index];
	unsigned int at = PCI_BASE_ADDRESS_0 + index * 4;
	uint32_t flags = 0;

	assert(is_power_of_two(size) && index < PCI_BARS && bar->kind == PCI_BAR_NONE);
	assert(size >= (kind == PCI_BAR_IO ? 4 : 16));
	assert(kind != PCI_BAR_MEM64 || index + 1 < PCI_BARS);
	bar->kind = kind;
	bar->size = size;
	bar->prefetchable = prefetchable;
	if (kind == PCI_BAR_IO)
		flags = PCI_BASE_ADDRESS_SPACE_IO;
	if (kind == PCI_BAR_MEM64)
		flags = PCI_BASE_ADDRESS_MEM_TYPE_64;
	if (prefetchable)
		flags |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	store_le32(&fn->config[at], flags);
	store_le32(&fn->writable[at], (uint32_t) ~(size - 1));
	if (kind == PCI_BAR_MEM64)
		store_le32(&fn->writable[at + 4], (uint32_t)(~(size - 1) >> 32));
}

unsigned int pci_add_capability(struct pci_function *fn, uint8_t id, unsigned int size)
{
	unsigned int at = fn->cap_next;

	assert(at + size <= FIRST_EXT_CAPABILITY);
	fn->config[at] = id;
	if (fn->last_cap) {
		fn->config[fn->last_cap + 1] = (uint8_t)at;
	} else {
		fn->config[PCI_CAPABILITY_LIST] = (uint8_t)at;
		fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	}
	fn->last_cap = at;
	fn->cap_next = (unsigned int)align_up(at + size, 4);
	return at;
}

/* PCIe 5.0, 7.6.3: id in bits 15:0, version in 19:16, next in 31:20. */
unsigned int pci_add_ext_capability(struct pci_function *fn, uint16_t id, uint8_t version,
				    unsigned int size)
{
	unsigned int at = fn->ext_next;

	assert(at + size <= PCI_CONFIG_SIZE);
	store_le32(&fn->config[at], id | (uint32_t)version << 16);
	if (fn->last_ext)
		store_le16(&fn->config[fn->last_ext + 2],
			   (uint16_t)(at << 4 | (load_le16(&fn->config[fn->last_ext + 2]) & 0xf)));
	fn->last_ext = at;
	fn->ext_next = (unsigned int)align_up(at + size, 4);
	return at;
}

unsigned int pci_add_express(struct pci_function *fn)
{
	unsigned int at = pci_add_capability(fn, PCI_CAP_ID_EXP, 0x3c);
	uint32_t devcap = PCI_EXP_DEVCAP_RBER | (fn->ops->reset ? PCI_EXP_DEVCAP_FLR : 0);

	store_le16(&fn->config[at + PCI_EXP_FLAGS], 2 | PCI_EXP_TYPE_RC_END << 4);
	store_le32(&fn->config[at + PCI_EXP_DEVCAP], devcap);
	store_le16(&fn->config[at + PCI_EXP_DEVCTL],
		   PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN);
	store_le16(&fn->writable[at + PCI_EXP_DEVCTL],
		   PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
			   PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD |
			   PCI_EXP_DEVCTL_EXT_TAG | PCI_EXP_DEVCTL_NOSNOOP_EN |
			   PCI_EXP_DEVCTL_READRQ | (fn->ops->reset ? PCI_EXP_DEVCTL_BCR_FLR : 0));
	fn->express = at;
	return at;
}

bool pci_bus_master(const struct pci_function *fn)
{
	return __atomic_load_n(&fn->config[PCI_COMMAND], __ATOMIC_RELAXED) & PCI_COMMAND_MASTER;
}

/* --- BARs --- */

static void bar_handler(void *context, struct bus_access *access)
{
	struct pci_bar *bar = context;
	unsigned int index = (unsigned int)(bar - bar->fn->bar);

	if (!pci_msix_bar_access(bar->fn, index, access) && bar->fn->ops->bar_access)
		bar->fn->ops->bar_access(bar->fn, index, access);
}

/* Where the registers say that BAR @index is decoded. */
static uint64_t bar_target(const struct pci_function *fn, unsigned int index)
{
	const struct pci_bar *bar = &fn->bar[index];
	unsigned int at = PCI_BASE_ADDRESS_0 + index * 4;
	uint16_t enable = bar->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	uint64_t address = load_le32(&fn->config[at]);

	if (!(load_le16(&fn->config[PCI_COMMAND]) & enable))
		return PCI_BAR_UNMAPPED;
	if (bar->kind == PCI_BAR_MEM64)
		address |= (uint64_t)load_le32(&fn->config[at + 4]) << 32;
	address &= ~(bar->size - 1);
	/* All zeroes is "not programmed"; all ones is a guest that asks for the size. */
	if (!address || address + bar->size < address ||
	    (bar->kind == PCI_BAR_MEM32 && address + (bar->size - 1) >= UINT32_MAX) ||
	    (bar->kind == PCI_BAR_IO && address + (bar->size - 1) > UINT16_MAX))
		return PCI_BAR_UNMAPPED;
	return address;
}

static void move_bar(struct pci_function *fn, unsigned int index, uint64_t target)
{
	struct pci_bar *bar = &fn->bar[index];
	struct bus *bus = bar->kind == PCI_BAR_IO ? fn->host->pio : fn->host->mmio;
	struct bus_region region = {
		.base = target,
		.size = bar->size,
		.handler = bar_handler,
		.context = bar,
		.name = fn->name,
	};

	if (bar->address != PCI_BAR_UNMAPPED) {
		if (fn->ops->bar_moved)
			fn->ops->bar_moved(fn, index, PCI_BAR_UNMAPPED);
		bus_remove(bus, bar->address, bar);
		bar->address = PCI_BAR_UNMAPPED;
	}
	if (target == PCI_BAR_UNMAPPED)
		return;
	if (bus_add(bus, &region)) {
		log_guest(PCI, "%s: BAR %u at %#llx lies on something else: not decoded", fn->name,
			  index, (unsigned long long)target);
		return;
	}
	bar->address = target;
	if (fn->ops->bar_moved)
		fn->ops->bar_moved(fn, index, target);
}

void pci_update_bars(struct pci_function *fn)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint64_t target;

		if (fn->bar[i].kind == PCI_BAR_NONE)
			continue;
		target = bar_target(fn, i);
		if (target != fn->bar[i].address)
			move_bar(fn, i, target);
	}
}

/* --- INTA# --- */

void pci_update_intx(struct pci_function *fn)
{
	struct pci_host *host = fn->host;
	unsigned int *count;
	bool drive;

	if (!fn->gsi)
		return;
	pthread_mutex_lock(&host->intx_lock);
	drive = fn->intx_level &&
		!(__atomic_load_n(&fn->config[PCI_COMMAND + 1], __ATOMIC_RELAXED) &
		  (PCI_COMMAND_INTX_DISABLE >> 8));
	count = &host->intx_count[fn->gsi];
	if (drive != fn->intx_driven) {
		fn->intx_driven = drive;
		*count += drive ? 1 : -1U;
		machine_set_irq(host->machine, fn->gsi, *count > 0);
	}
	pthread_mutex_unlock(&host->intx_lock);
}

void pci_set_intx(struct pci_function *fn, bool level)
{
	pthread_mutex_lock(&fn->host->intx_lock);
	fn->intx_level = level;
	pthread_mutex_unlock(&fn->host->intx_lock);
	pci_update_intx(fn);
}

void pci_intx_ended(struct pci_function *fn)
{
	struct pci_host *host = fn->host;
	unsigned int *count = &host->intx_count[fn->gsi];

	pthread_mutex_lock(&host->intx_lock);
	fn->intx_level = false;
	*count -= fn->intx_driven;
	fn->intx_driven = false;
	machine_set_irq(host->machine, fn->gsi, *count > 0);
	pthread_mutex_unlock(&host->intx_lock);
}

/* --- Configuration space --- */

/* PCIe 5.0, 6.6.2: the registers return to what they were, and so does the device. */
int pci_function_level_reset(struct pci_function *fn)
{
	/* Byte by byte, as in pci_function_write(): others look without the lock. */
	__atomic_store_n(&fn->config[PCI_COMMAND], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fn->config[PCI_COMMAND + 1], 0, __ATOMIC_RELAXED);
	for (unsigned int i = PCI_BASE_ADDRESS_0; i < PCI_BASE_ADDRESS_0 + PCI_BARS * 4; i++)
		fn->config[i] = fn->config[i] & (uint8_t)~fn->writable[i];
	pci_update_bars(fn);
	pci_msix_reset(fn);
	pci_set_intx(fn, false);
	return fn->ops->reset ? fn->ops->reset(fn) : 0;
}

uint32_t pci_function_read(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	if (fn->ops->config_reading)
		fn->ops->config_reading(fn, offset, size);
	memcpy(&value, &fn->config[offset], size);
	value = le32toh(value);
	if (offset <= PCI_STATUS && PCI_STATUS < offset + size) {
		bool level;

		pthread_mutex_lock(&fn->host->intx_lock);
		level = fn->intx_level;
		pthread_mutex_unlock(&fn->host->intx_lock);
		if (level)
			value |= (uint32_t)PCI_STATUS_INTERRUPT << 8 * (PCI_STATUS - offset);
	}
	return value;
}

/* The guest asks for a function level reset, and reads nothing back of how it went. */
static void reset_asked(struct pci_function *fn)
{
	int rc = pci_function_level_reset(fn);

	if (rc)
		log_guest(PCI, "%s: cannot be reset: %s; no bus master until that succeeds",
			  fn->name, strerror(-rc));
}

void pci_function_write(struct pci_function *fn, unsigned int offset, unsigned int size,
			uint32_t value)
{
	unsigned int devctl = fn->express + PCI_EXP_DEVCTL;

	for (unsigned int i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> 8 * i);
		uint8_t mask = fn->writable[offset + i];
		uint8_t next = (uint8_t)((fn->config[offset + i] & ~mask) | (byte & mask));

		next &= (uint8_t) ~(byte & fn->clearable[offset + i]);
		__atomic_store_n(&fn->config[offset + i], next, __ATOMIC_RELAXED);
	}
	if (fn->express && fn->config[devctl + 1] & PCI_EXP_DEVCTL_BCR_FLR >> 8) {
		fn->config[devctl + 1] &= (uint8_t) ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
		reset_asked(fn);
	}
	if (ranges_overlap(offset, size, PCI_COMMAND, 2) ||
	    ranges_overlap(offset, size, PCI_BASE_ADDRESS_0, PCI_BARS * 4)) {
		pci_update_bars(fn);
		pci_update_intx(fn);
		pci_msix_control_written(fn);
	}
	if (fn->msix.cap && ranges_overlap(offset, size, fn->msix.cap + PCI_MSIX_FLAGS, 2))
		pci_msix_control_written(fn);
	if (fn->ops->config_written)
		fn->ops->config_written(fn, offset, size);
}
