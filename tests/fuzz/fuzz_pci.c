/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest accesses to PCI, each five bytes or more of input, against what must hold afterwards:
 * read-only registers have not changed, a BAR is decoded exactly where its registers say, and no
 * two regions overlap.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/pci.h"
#include "tests/unit/fake_machine.h"

#define DEVICES 2
#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access)
{
	CHECK(bar < PCI_BARS && range_fits(access->offset, access->size, fn->bar[bar].size));
	if (access->is_write)
		pci_msix_raise(fn, (unsigned int)access->value);
	else
		access->value = 0;
	if (access->is_write && access->offset == 8)
		pci_set_intx(fn, access->value & 1);
}

static int reset(struct pci_function *fn)
{
	(void)fn;
	return 0;
}

static const struct pci_ops ops = { .bar_access = bar_access, .reset = reset };
static const struct pci_ids ids = { .vendor = 0x1234, .device = 0x5678, .class_code = 0x028000 };

static void make(struct machine *m, struct pci_function *fn)
{
	pci_function_init(fn, "fuzz", &ops, &ids, true);
	pci_add_bar(fn, 0, PCI_BAR_MEM32, 0x1000, false);
	pci_add_bar(fn, 1, PCI_BAR_IO, 0x40, false);
	pci_add_bar(fn, 2, PCI_BAR_MEM64, 0x4000, true);
	CHECK(!pci_host_add(&m->host, fn, -1));
	pci_add_express(fn);
	CHECK(!pci_add_msix(fn, 4, 2, 0, 0x1000));
}

static void check_function(const struct pci_function *fn)
{
	CHECK(load_le32(fn->config) == 0x56781234);
	CHECK(!(load_le16(&fn->config[PCI_COMMAND]) & ~load_le16(&fn->writable[PCI_COMMAND])));
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *bar = &fn->bar[i];
		uint64_t address = load_le32(&fn->config[PCI_BASE_ADDRESS_0 + i * 4]);

		if (bar->kind == PCI_BAR_NONE || bar->address == PCI_BAR_UNMAPPED)
			continue;
		if (bar->kind == PCI_BAR_MEM64)
			address |= (uint64_t)load_le32(&fn->config[PCI_BASE_ADDRESS_0 + i * 4 + 4])
				   << 32;
		CHECK(bar->address == (address & ~(bar->size - 1)));
	}
}

static void check_bus(const struct bus *bus)
{
	for (unsigned int i = 1; i < bus->count; i++)
		CHECK(bus->region[i - 1].base + (bus->region[i - 1].size - 1) <
		      bus->region[i].base);
}

/* Where an access goes: configuration space by either way, or a BAR where it is decoded now. */
static void access_once(struct machine *m, struct pci_function *fn, const uint8_t *bytes,
			uint64_t value)
{
	unsigned int size = 1 + (bytes[0] >> 4 & 7);
	unsigned int offset = load_le16(&bytes[1]);
	const struct pci_function *target = &fn[bytes[0] >> 7];
	uint64_t address;

	switch (bytes[0] & 7) {
	case 0:
	case 1:
		address = m->host.windows.ecam_base + (target->requester << 12) + (offset & 0xfff);
		break;
	case 2:
		bus_write(&m->pio, 0xcf8 + (offset & 7), &value, size);
		bus_read(&m->pio, 0xcf8 + (offset & 7), &value, size);
		return;
	case 3:
		address = target->bar[0].address + offset % 0x1000;
		break;
	case 4:
		address = target->bar[2].address + offset % 0x4000;
		break;
	default:
		/* Registers that do something, more often than chance would. */
		pci_config_write(&m->host, target->requester, offset % 0x100 & ~3U, 4,
				 (uint32_t)value);
		return;
	}
	if (bytes[0] & 8)
		bus_write(&m->mmio, address, &value, size);
	else
		bus_read(&m->mmio, address, &value, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine *m = fake_machine_create();
	struct pci_function fn[DEVICES];

	for (unsigned int i = 0; i < DEVICES; i++)
		make(m, &fn[i]);
	CHECK(!pci_host_assign(&m->host));
	for (unsigned int step = 0; size >= 11 && step < 4096; step++) {
		access_once(m, fn, data, load_le64(&data[3]));
		for (unsigned int i = 0; i < DEVICES; i++)
			check_function(&fn[i]);
		check_bus(&m->mmio);
		check_bus(&m->pio);
		data += 11;
		size -= 11;
	}
	for (unsigned int i = 0; i < DEVICES; i++)
		pci_function_destroy(&fn[i]);
	fake_machine_destroy(m);
	return 0;
}
