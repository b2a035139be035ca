/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A passed-through function: the input is what the device says about itself, capability lists and
 * MSI-X included, and then accesses of the guest. Whatever both do, the device's BARs and identity
 * are not the guest's to write, its decoding stays on, what is mapped into the guest is where a BAR
 * is decoded and never the MSI-X table, and the lists that the guest sees end.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/base.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/fake_vfio.h"

#define BAR_SIZE 0x8000
#define SELF	 0x180 /* bytes about itself: registers 0x34 to 0xff, and 0x100 to 0x1b3 */
#define ACCESS	 11
#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct state {
	struct machine *machine;
	struct fake_vfio *fake;
	struct vfio_pci *vfio;
	uint8_t header[PCI_STD_HEADER_SIZEOF]; /* of the device, at the start */
};

static void describe(struct fake_vfio *fake, const uint8_t *self)
{
	fake_vfio_bar(fake, 0, BAR_SIZE, PCI_BASE_ADDRESS_MEM_TYPE_64, true);
	fake_vfio_bar(fake, 2, 64, PCI_BASE_ADDRESS_SPACE_IO, false);
	fake_vfio_bar(fake, 3, 128, 0, true);
	fake_vfio_region(fake, VFIO_PCI_ROM_REGION_INDEX, 0x1000, VFIO_REGION_INFO_FLAG_READ);
	memcpy(&fake->config[PCI_CAPABILITY_LIST], self, SELF);
	fake->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		fake->irq[i].count = i == VFIO_PCI_MSIX_IRQ_INDEX ? FAKE_VFIO_VECTORS : 1;
	fake->device.pasid_bits = self[1] % 21;
	fake->device.ats = self[2] & 1;
	fake->device.pri = self[2] & 2;
	fake->device.reset = self[2] & 4;
}

static void check_maps(const struct state *s)
{
	const struct machine *m = s->machine;
	const struct pci_msix *msix = &s->vfio->pci.msix;
	uint64_t base = s->vfio->pci.bar[0].address;

	for (unsigned int i = 0; i < m->map_count; i++) {
		uint64_t at = m->map[i].address - base;

		CHECK(base != PCI_BAR_UNMAPPED && m->map[i].address >= base);
		CHECK(range_fits(at, m->map[i].size, BAR_SIZE));
		if (msix->cap)
			CHECK(!ranges_overlap(at, m->map[i].size, msix->table_offset,
					      (uint64_t)msix->vectors * PCI_MSIX_ENTRY_SIZE));
	}
}

static void check_device(const struct state *s)
{
	const uint8_t *config = s->fake->config;

	CHECK(!memcmp(config, s->header, PCI_COMMAND));
	CHECK(!memcmp(config + PCI_STATUS, s->header + PCI_STATUS,
		      PCI_STD_HEADER_SIZEOF - PCI_STATUS));
	CHECK(load_le16(config + PCI_COMMAND) & PCI_COMMAND_MEMORY);
	for (unsigned int i = 0, on = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++) {
		on += s->fake->irq[i].enabled;
		CHECK(on <= 1);
	}
}

static void check_lists(const struct state *s)
{
	uint16_t requester = s->vfio->pci.requester;
	struct pci_host *host = &s->machine->host;
	uint32_t at = pci_config_read(host, requester, PCI_CAPABILITY_LIST, 1);
	unsigned int count = 0;

	for (; at; count++, at = pci_config_read(host, requester, at + 1, 1))
		CHECK(count < 48 && at >= 0x40);
	for (at = 0x100, count = 0; at; count++) {
		CHECK(count < 480 && at >= 0x100);
		at = PCI_EXT_CAP_NEXT(pci_config_read(host, requester, at, 4));
	}
}

static void access_once(struct state *s, const uint8_t *bytes)
{
	uint64_t value = load_le64(&bytes[3]), address;
	unsigned int size = 1 + (bytes[0] >> 4 & 7), offset = load_le16(&bytes[1]);
	struct machine *m = s->machine;
	uint16_t requester = s->vfio->pci.requester;

	switch (bytes[0] & 7) {
	case 0:
	case 1:
		pci_config_write(&m->host, requester, offset & 0xffc, 4, (uint32_t)value);
		return;
	case 2:
		pci_config_write(&m->host, requester, offset & 0xff, 1 << (size & 1),
				 (uint32_t)value);
		return;
	case 3:
		pci_config_read(&m->host, requester, offset & 0xffc, 4);
		return;
	case 4:
		address = s->vfio->pci.bar[2].address + offset % 64;
		bus_write(&m->pio, address, &value, size);
		return;
	case 5:
		fake_vfio_signal(s->fake, offset & 3, offset >> 2 & 31);
		return;
	default:
		address = s->vfio->pci.bar[0].address + offset % BAR_SIZE;
		break;
	}
	if (bytes[0] & 8)
		bus_write(&m->mmio, address, &value, size);
	else
		bus_read(&m->mmio, address, &value, size);
}

static void run(struct state *s, const uint8_t *data, size_t size)
{
	CHECK(!pci_host_assign(&s->machine->host));
	memcpy(s->header, s->fake->config, sizeof(s->header));
	for (unsigned int step = 0; size >= ACCESS && step < 1024; step++) {
		access_once(s, data);
		check_maps(s);
		check_device(s);
		data += ACCESS;
		size -= ACCESS;
	}
	check_lists(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state s = { 0 };
	struct loop *loop;
	char error[256];

	if (size < SELF)
		return 0;
	loop = loop_create(64);
	CHECK(loop);
	s.machine = fake_machine_create();
	s.fake = fake_vfio_create();
	describe(s.fake, data);
	s.vfio = vfio_pci_create_on(&s.machine->host, loop, "vfio0", &s.fake->device, &s.fake->file,
				    error, sizeof(error));
	if (s.vfio) {
		run(&s, data + SELF, size - SELF);
		vfio_pci_quiesce(s.vfio);
		while (loop_in_flight(loop))
			CHECK(!loop_turn(loop, true));
		vfio_pci_destroy(s.vfio);
	}
	fake_vfio_destroy(s.fake);
	fake_machine_destroy(s.machine);
	loop_destroy(loop);
	return 0;
}
