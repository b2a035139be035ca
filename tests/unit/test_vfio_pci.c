/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices/vfio_pci*.c: what a guest sees of a real device, and what the device sees of the guest.
 * The test plays the guest's CPU on one side, and the host's kernel (fake_vfio) on the other.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/fake_vfio.h"

#define VECTORS	    4
#define BAR_SIZE    0x10000
#define TABLE	    0x2000
#define PBA	    0x3000
#define CAP_PM	    0x40
#define CAP_VPD	    0x48
#define CAP_MSI	    0x50
#define CAP_MSIX    0x70
#define CAP_EXPRESS 0x80
#define CAP_VENDOR  0xc0
#define VENDOR_SIZE 0x10
#define CAP_AF	    0xd0
#define BETWEEN	    0xe0
#define EXT_AER	    0x100
#define EXT_ACS	    0x148
#define EXT_DSN	    0x150
#define EXT_ATS	    0x160
#define EXT_PRI	    0x170
#define EXT_VSEC    0x180
#define VSEC_SIZE   0x18
#define CAPACITY    200

struct fixture {
	struct machine *machine;
	struct loop *loop;
	struct fake_vfio *fake;
	struct vfio_pci *vfio; /* NULL: not created, or refused */
	char error[256];
};

/* --- The device --- */

static void describe(struct fake_vfio *fake)
{
	uint8_t *config = fake->config;

	fake_vfio_bar(fake, 0, BAR_SIZE,
		      PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, true);
	fake_vfio_bar(fake, 2, 256, 0, true);
	fake_vfio_bar(fake, 3, 32, PCI_BASE_ADDRESS_SPACE_IO, false);
	fake_vfio_cap(fake, CAP_AF, PCI_CAP_ID_AF);
	fake_vfio_cap(fake, CAP_VENDOR, PCI_CAP_ID_VNDR);
	config[CAP_VENDOR + PCI_CAP_FLAGS] = VENDOR_SIZE;
	fake_vfio_cap(fake, CAP_EXPRESS, PCI_CAP_ID_EXP);
	store_le16(&config[CAP_EXPRESS + PCI_EXP_FLAGS], 2); /* an endpoint behind a port */
	store_le32(&config[CAP_EXPRESS + PCI_EXP_LNKCAP], 0x12345678);
	fake_vfio_cap(fake, CAP_MSIX, PCI_CAP_ID_MSIX);
	store_le16(&config[CAP_MSIX + PCI_MSIX_FLAGS], VECTORS - 1);
	store_le32(&config[CAP_MSIX + PCI_MSIX_TABLE], TABLE);
	store_le32(&config[CAP_MSIX + PCI_MSIX_PBA], PBA);
	fake_vfio_cap(fake, CAP_MSI, PCI_CAP_ID_MSI);
	store_le16(&config[CAP_MSI + PCI_MSI_FLAGS], PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
	fake_vfio_cap(fake, CAP_VPD, PCI_CAP_ID_VPD);
	fake_vfio_cap(fake, CAP_PM, PCI_CAP_ID_PM);
	fake_vfio_ext_cap(fake, EXT_AER, PCI_EXT_CAP_ID_ERR, 0);
	fake_vfio_ext_cap(fake, EXT_ACS, PCI_EXT_CAP_ID_ACS, EXT_AER);
	fake_vfio_ext_cap(fake, EXT_DSN, PCI_EXT_CAP_ID_DSN, EXT_ACS);
	store_le64(&config[EXT_DSN + 4], UINT64_C(0x1122334455667788));
	fake_vfio_ext_cap(fake, EXT_ATS, PCI_EXT_CAP_ID_ATS, EXT_DSN);
	store_le16(&config[EXT_ATS + PCI_ATS_CTRL], PCI_ATS_CTRL_ENABLE);
	fake_vfio_ext_cap(fake, EXT_PRI, PCI_EXT_CAP_ID_PRI, EXT_ATS);
	store_le32(&config[EXT_PRI + PCI_PRI_MAX_REQ], CAPACITY);
	fake_vfio_ext_cap(fake, EXT_VSEC, PCI_EXT_CAP_ID_VNDR, EXT_PRI);
	store_le32(&config[EXT_VSEC + 4], VSEC_SIZE << 20 | 0x0001);
	fake->irq[VFIO_PCI_INTX_IRQ_INDEX].count = 1;
	fake->irq[VFIO_PCI_MSI_IRQ_INDEX].count = 1;
	fake->irq[VFIO_PCI_MSIX_IRQ_INDEX].count = VECTORS;
	fake->irq[VFIO_PCI_ERR_IRQ_INDEX].count = 1;
	fake->irq[VFIO_PCI_REQ_IRQ_INDEX].count = 1;
}

static int setup_bare(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->machine = fake_machine_create();
	f->loop = loop_create(64);
	assert_non_null(f->loop);
	f->fake = fake_vfio_create();
	*state = f;
	return 0;
}

static int setup(void **state)
{
	setup_bare(state);
	describe(((struct fixture *)*state)->fake);
	return 0;
}

/* Passes the device; false: it was refused. */
static bool pass(struct fixture *f)
{
	f->vfio = vfio_pci_create_on(&f->machine->host, f->loop, "vfio0", &f->fake->device,
				     &f->fake->file, f->error, sizeof(f->error));
	if (!f->vfio)
		return false;
	assert_int_equal(pci_host_assign(&f->machine->host), 0);
	return true;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->vfio) {
		vfio_pci_quiesce(f->vfio);
		fake_settle(f->loop);
		vfio_pci_destroy(f->vfio);
	}
	/* Areas of one page are what maps and unmaps are counted for: all are given back. */
	assert_int_equal(f->fake->maps, f->fake->unmaps);
	loop_destroy(f->loop);
	fake_vfio_destroy(f->fake);
	fake_machine_destroy(f->machine);
	free(f);
	return 0;
}

/* --- The guest's CPU --- */

static uint32_t get(struct fixture *f, unsigned int offset, unsigned int size)
{
	return pci_config_read(&f->machine->host, f->vfio->pci.requester, offset, size);
}

static void put(struct fixture *f, unsigned int offset, unsigned int size, uint32_t value)
{
	pci_config_write(&f->machine->host, f->vfio->pci.requester, offset, size, value);
}

static unsigned int find_cap(struct fixture *f, unsigned int id)
{
	unsigned int at = get(f, PCI_CAPABILITY_LIST, 1);

	for (unsigned int i = 0; at && i < 48; i++, at = get(f, at + 1, 1))
		if (get(f, at, 1) == id)
			return at;
	return 0;
}

static unsigned int find_ext(struct fixture *f, unsigned int id)
{
	unsigned int at = 0x100;

	for (unsigned int i = 0; at && i < 480; i++, at = PCI_EXT_CAP_NEXT(get(f, at, 4)))
		if (PCI_EXT_CAP_ID(get(f, at, 4)) == id)
			return at;
	return 0;
}

static uint64_t bar_address(struct fixture *f, unsigned int index)
{
	return f->vfio->pci.bar[index].address;
}

/* --- Configuration space --- */

static void test_rules(void **state)
{
	unsigned int covered[PCI_STD_HEADER_SIZEOF] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < vfio_rule_count; i++) {
		const struct vfio_rule *rule = &vfio_rules[i];

		assert_true(rule->reason && strlen(rule->reason) > 5);
		assert_true(rule->policy == VFIO_PASS || !rule->writable);
		for (unsigned int j = 0; rule->space == VFIO_HEADER && j < rule->size; j++)
			covered[rule->offset + j]++;
	}
	/* Each byte of the header is decided about, once. */
	for (unsigned int i = 0; i < PCI_STD_HEADER_SIZEOF; i++)
		assert_int_equal(covered[i], 1);
}

static void test_header(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	assert_int_equal(get(f, PCI_VENDOR_ID, 4), 0x0b258086);
	assert_int_equal(get(f, PCI_CLASS_REVISION, 4), 0x08800002);
	assert_int_equal(get(f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x22221111);
	assert_int_equal(get(f, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(f, PCI_INTERRUPT_PIN, 1), 1);
	/* On bus 0, the first free slot after the bridge. */
	assert_int_equal(f->vfio->pci.requester, 8);
}

static void test_capabilities(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	assert_int_equal(find_cap(f, PCI_CAP_ID_PM), CAP_PM);
	assert_int_equal(find_cap(f, PCI_CAP_ID_VPD), CAP_VPD);
	assert_int_equal(find_cap(f, PCI_CAP_ID_MSI), CAP_MSI);
	assert_int_equal(find_cap(f, PCI_CAP_ID_MSIX), CAP_MSIX);
	assert_int_equal(find_cap(f, PCI_CAP_ID_EXP), CAP_EXPRESS);
	assert_int_equal(find_cap(f, PCI_CAP_ID_VNDR), CAP_VENDOR);
	assert_int_equal(find_cap(f, PCI_CAP_ID_AF), 0);
	assert_int_equal(get(f, CAP_AF, 4), 0);
	assert_int_equal(get(f, CAP_EXPRESS + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE,
			 PCI_EXP_TYPE_RC_END << 4);
	assert_int_equal(get(f, CAP_EXPRESS + PCI_EXP_LNKCAP, 4), 0);
	assert_true(get(f, CAP_EXPRESS + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
}

static void test_ext_capabilities(void **state)
{
	struct fixture *f = *state;
	unsigned int dsn, vsec;

	assert_true(pass(f));
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_ERR), 0);
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_ACS), 0);
	/* Without PASIDs there are no capabilities that go with them, whatever the device has. */
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_PASID), 0);
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_ATS), 0);
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_PRI), 0);
	dsn = find_ext(f, PCI_EXT_CAP_ID_DSN);
	assert_int_equal(dsn, 0x100);
	assert_int_equal(get(f, dsn + 4, 4), 0x55667788);
	assert_int_equal(get(f, dsn + 8, 4), 0x11223344);
	put(f, dsn + 4, 4, 0);
	assert_int_equal(load_le32(&f->fake->config[EXT_DSN + 4]), 0x55667788);
	vsec = find_ext(f, PCI_EXT_CAP_ID_VNDR);
	assert_true(vsec && vsec != EXT_VSEC);
	put(f, vsec + VSEC_SIZE - 4, 4, 0xcafe);
	assert_int_equal(load_le32(&f->fake->config[EXT_VSEC + VSEC_SIZE - 4]), 0xcafe);
	store_le32(&f->fake->config[EXT_VSEC + VSEC_SIZE - 4], 0xbeef);
	assert_int_equal(get(f, vsec + VSEC_SIZE - 4, 4), 0xbeef);
}

static void test_passed(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	put(f, CAP_VENDOR + 4, 2, 0x1234);
	assert_int_equal(load_le16(&f->fake->config[CAP_VENDOR + 4]), 0x1234);
	assert_int_equal(f->fake->written_size, 2);
	/* Id, and next pointer, are ours. */
	put(f, CAP_VENDOR, 4, 0xffffffff);
	assert_int_equal(f->fake->config[CAP_VENDOR], PCI_CAP_ID_VNDR);
	assert_int_equal(get(f, CAP_VENDOR, 1), PCI_CAP_ID_VNDR);
	put(f, BETWEEN, 4, 0x55aa55aa);
	assert_int_equal(load_le32(&f->fake->config[BETWEEN]), 0x55aa55aa);
	store_le32(&f->fake->config[BETWEEN], 7);
	assert_int_equal(get(f, BETWEEN, 4), 7);
	/* Reading vital product data is asking for it; writing it is not possible. */
	put(f, CAP_VPD + PCI_VPD_ADDR, 2, PCI_VPD_ADDR_F | 0x40);
	assert_int_equal(load_le16(&f->fake->config[CAP_VPD + PCI_VPD_ADDR]), 0x40);
	put(f, CAP_VPD + PCI_VPD_DATA, 4, 0xdead);
	assert_int_equal(load_le32(&f->fake->config[CAP_VPD + PCI_VPD_DATA]), 0);
	f->fake->no_config = true;
	f->fake->region[VFIO_PCI_CONFIG_REGION_INDEX].flags = 0;
	assert_int_equal(get(f, BETWEEN, 4), UINT32_MAX);
}

/* No guest takes the device from D0, or its decoding: pages that are mapped would fault. */
static void test_power_and_decoding(void **state)
{
	struct fixture *f = *state;
	uint8_t *command;

	assert_true(pass(f));
	command = &f->fake->config[PCI_COMMAND];
	assert_int_equal(load_le16(command),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(load_le16(command), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	put(f, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(load_le16(command), PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
						     PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	put(f, CAP_PM + PCI_PM_CTRL, 2, 3);
	assert_int_equal(get(f, CAP_PM + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK, 3);
	assert_int_equal(load_le16(&f->fake->config[CAP_PM + PCI_PM_CTRL]), 0);
}

static void test_pasid(void **state)
{
	struct fixture *f = *state;
	unsigned int pasid, ats, pri;

	f->fake->device.pasid_bits = 16;
	f->fake->device.pasid_priv = true;
	f->fake->device.ats = f->fake->device.pri = true;
	assert_true(pass(f));
	pasid = find_ext(f, PCI_EXT_CAP_ID_PASID);
	ats = find_ext(f, PCI_EXT_CAP_ID_ATS);
	pri = find_ext(f, PCI_EXT_CAP_ID_PRI);
	assert_true(pasid && ats && pri);
	assert_int_equal(get(f, pasid + PCI_PASID_CAP, 2), PCI_PASID_CAP_PRIV | 16 << 8);
	assert_true(get(f, CAP_EXPRESS + PCI_EXP_DEVCAP2, 4) & PCI_EXP_DEVCAP2_EE_PREFIX);
	/* Of the modes, it has one. */
	put(f, pasid + PCI_PASID_CTRL, 2, 0xffff);
	assert_int_equal(get(f, pasid + PCI_PASID_CTRL, 2),
			 PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_PRIV);
	/* Off, though the host has it on; on and off is nothing that the device hears of. */
	assert_int_equal(get(f, ats + PCI_ATS_CTRL, 2), 0);
	put(f, ats + PCI_ATS_CTRL, 2, PCI_ATS_CTRL_ENABLE);
	assert_int_equal(get(f, ats + PCI_ATS_CTRL, 2), PCI_ATS_CTRL_ENABLE);
	put(f, ats + PCI_ATS_CTRL, 2, 0);
	assert_int_equal(load_le16(&f->fake->config[EXT_ATS + PCI_ATS_CTRL]), PCI_ATS_CTRL_ENABLE);
	assert_int_equal(get(f, pri + PCI_PRI_MAX_REQ, 4), CAPACITY);
	assert_true(get(f, pri + PCI_PRI_STATUS, 2) & PCI_PRI_STATUS_STOPPED);
	put(f, pri + PCI_PRI_CTRL, 2, PCI_PRI_CTRL_ENABLE);
	assert_false(get(f, pri + PCI_PRI_STATUS, 2) & PCI_PRI_STATUS_STOPPED);
	put(f, pri + PCI_PRI_CTRL, 2, PCI_PRI_CTRL_RESET);
	assert_int_equal(get(f, pri + PCI_PRI_CTRL, 2), 0);
	assert_true(get(f, pri + PCI_PRI_STATUS, 2) & PCI_PRI_STATUS_STOPPED);
	assert_int_equal(load_le16(&f->fake->config[EXT_PRI + PCI_PRI_CTRL]), 0);
}

/* MSI of ours is larger than the device's: it goes where a hidden capability was, and leaves the
 * registers between them alone. */
static void test_moved_capability(void **state)
{
	struct fixture *f = *state;
	uint8_t *config = f->fake->config;

	fake_vfio_cap(f->fake, 0x60, PCI_CAP_ID_MSI);
	fake_vfio_cap(f->fake, 0x6c, PCI_CAP_ID_VNDR);
	config[0x6c + PCI_CAP_FLAGS] = VENDOR_SIZE;
	fake_vfio_cap(f->fake, 0x50, PCI_CAP_ID_EA); /* up to 0x60 */
	f->fake->irq[VFIO_PCI_MSI_IRQ_INDEX].count = 1;
	store_le32(&config[0x40], 0x12345678);
	assert_true(pass(f));
	assert_int_equal(find_cap(f, PCI_CAP_ID_MSI), 0x50);
	assert_int_equal(find_cap(f, PCI_CAP_ID_VNDR), 0x6c);
	assert_int_equal(get(f, 0x40, 4), 0x12345678);
}

/* With nothing else left, it takes such registers. */
static void test_moved_between(void **state)
{
	struct fixture *f = *state;

	fake_vfio_cap(f->fake, 0x60, PCI_CAP_ID_MSI);
	fake_vfio_cap(f->fake, 0x6c, PCI_CAP_ID_VNDR);
	f->fake->config[0x6c + PCI_CAP_FLAGS] = VENDOR_SIZE;
	f->fake->irq[VFIO_PCI_MSI_IRQ_INDEX].count = 1;
	assert_true(pass(f));
	assert_int_equal(find_cap(f, PCI_CAP_ID_MSI), 0x40);
}

/* What the host does not use, the guest is not offered; a device without Express gets one. */
static void test_pasid_alone(void **state)
{
	struct fixture *f = *state;

	f->fake->device.pasid_bits = 20;
	assert_true(pass(f));
	assert_true(find_cap(f, PCI_CAP_ID_EXP));
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_PASID), 0x100);
	assert_int_equal(get(f, 0x100, 4) >> 20, 0);
	put(f, 0x106, 2, 0xffff);
	assert_int_equal(get(f, 0x106, 2), PCI_PASID_CTRL_ENABLE);
}

/* --- BARs --- */

static void test_bars(void **state)
{
	struct fixture *f = *state;
	uint8_t *memory;
	uint64_t at;

	assert_true(pass(f));
	at = bar_address(f, 0);
	memory = f->fake->region[0].memory;
	assert_int_equal(get(f, PCI_BASE_ADDRESS_0, 4) & 0xf,
			 PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	assert_true(at >= f->machine->host.windows.mem64_base);
	/* Before and behind the two pages of MSI-X. */
	assert_int_equal(f->machine->map_count, 2);
	fake_write(f->machine, at + 0x100, 4, 0x11);
	fake_write(f->machine, at + 0x4000, 8, 0x2222);
	fake_write(f->machine, at + BAR_SIZE - 4, 4, 0x33);
	assert_int_equal(vfio_pci_counters(f->vfio).bar_exits, 0);
	assert_int_equal(load_le32(memory + 0x100), 0x11);
	assert_int_equal(load_le64(memory + 0x4000), 0x2222);
	assert_int_equal(load_le32(memory + BAR_SIZE - 4), 0x33);
	/* What shares the table's page is trapped, and reaches the device all the same. */
	fake_write(f->machine, at + TABLE + 0x800, 4, 0x44);
	assert_int_equal(load_le32(memory + TABLE + 0x800), 0x44);
	store_le16(memory + TABLE + 0x802, 0x55);
	assert_int_equal(fake_read(f->machine, at + TABLE + 0x802, 2), 0x55);
	/* Pending bits are the device's. */
	memory[PBA] = 0x0a;
	assert_int_equal(fake_read(f->machine, at + PBA, 8), 0x0a);
	assert_int_equal(vfio_pci_counters(f->vfio).bar_exits, 3);
	/* The table is not. */
	fake_write(f->machine, at + TABLE, 4, 0xfee00000);
	assert_int_equal(load_le32(memory + TABLE), 0);
}

static void test_small_bar_and_ports(void **state)
{
	struct fixture *f = *state;
	uint16_t value = htole16(0xabcd);

	assert_true(pass(f));
	assert_int_equal(bar_address(f, 2) % PAGE_SIZE_4K, 0);
	fake_write(f->machine, bar_address(f, 2) + 0xfc, 4, 0x99);
	assert_int_equal(load_le32(f->fake->region[2].memory + 0xfc), 0x99);
	assert_int_equal(fake_read(f->machine, bar_address(f, 2) + 0x100, 4), UINT32_MAX);
	bus_write(&f->machine->pio, bar_address(f, 3) + 2, &value, 2);
	assert_int_equal(load_le16(f->fake->region[3].memory + 2), 0xabcd);
	put(f, PCI_BASE_ADDRESS_0 + 8, 4, UINT32_MAX);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_0 + 8, 4), 0xffffff00);
}

static void test_bar_moves(void **state)
{
	struct fixture *f = *state;
	uint64_t first, second;

	assert_true(pass(f));
	first = bar_address(f, 0);
	second = first + 0x100000;
	put(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)second);
	assert_int_equal(f->machine->map_count, 2);
	fake_write(f->machine, second + 8, 4, 0x77);
	assert_int_equal(load_le32(f->fake->region[0].memory + 8), 0x77);
	assert_int_equal(fake_read(f->machine, first + 8, 4), UINT32_MAX);
	put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(f->machine->map_count, 0);
	assert_int_equal(fake_read(f->machine, second + 8, 4), UINT32_MAX);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->machine->map_count, 2);
	assert_int_equal(fake_read(f->machine, second + 8, 4), 0x77);
}

/* Only what the host says may be mapped is, in whole pages; what is refused is trapped. */
static void test_sparse(void **state)
{
	struct fixture *f = *state;
	struct fake_region *region = &f->fake->region[0];

	region->sparse_count = 4;
	region->sparse[0] = (struct vfio_region_sparse_mmap_area){ 0x1000, 0x1800 };
	region->sparse[1] = (struct vfio_region_sparse_mmap_area){ 0x8000, 0x2000 };
	region->sparse[2] = (struct vfio_region_sparse_mmap_area){ 0xf000, 0x2000 };
	region->sparse[3] = (struct vfio_region_sparse_mmap_area){ 0xe800, 0x1000 };
	assert_true(pass(f));
	assert_int_equal(f->machine->map_count, 2);
	assert_int_equal(f->machine->map[0].address, bar_address(f, 0) + 0x1000);
	assert_int_equal(f->machine->map[0].size, 0x1000);
	assert_int_equal(f->machine->map[1].address, bar_address(f, 0) + 0x8000);
	assert_int_equal(f->machine->map[1].size, 0x2000);
}

static void test_many_areas(void **state)
{
	struct fixture *f = *state;
	struct fake_region *region = &f->fake->region[0];

	fake_vfio_bar(f->fake, 0, 2 * (uint64_t)BAR_SIZE, 0, true);
	region->sparse_count = FAKE_VFIO_SPARSE;
	for (unsigned int i = 0; i < FAKE_VFIO_SPARSE; i++)
		region->sparse[i] = (struct vfio_region_sparse_mmap_area){ i * 0x1000, 0x1000 };
	assert_true(pass(f));
	assert_int_equal(f->vfio->bar[0].area_count, VFIO_AREAS);
	/* Two of them are MSI-X's. */
	assert_int_equal(f->machine->map_count, VFIO_AREAS - 2);
	fake_write(f->machine, bar_address(f, 0) + 0x13000, 4, 0x66);
	assert_int_equal(load_le32(region->memory + 0x13000), 0x66);
	assert_int_equal(vfio_pci_counters(f->vfio).bar_exits, 1);
}

static void test_unmappable(void **state)
{
	struct fixture *f = *state;

	f->machine->no_maps = true;
	assert_true(pass(f));
	fake_write(f->machine, bar_address(f, 0) + 8, 4, 0x77);
	assert_int_equal(load_le32(f->fake->region[0].memory + 8), 0x77);
	assert_int_equal(vfio_pci_counters(f->vfio).bar_exits, 1);
	f->machine->no_maps = false;
	put(f, PCI_COMMAND, 2, 0);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->machine->map_count, 2);
}

static void test_unmappable_host(void **state)
{
	struct fixture *f = *state;

	f->fake->no_map = true;
	assert_true(pass(f));
	assert_int_equal(f->machine->map_count, 0);
	assert_int_equal(fake_read(f->machine, bar_address(f, 0) + 8, 4), 0);
	assert_int_equal(vfio_pci_counters(f->vfio).bar_exits, 1);
}

static void test_rom(void **state)
{
	struct fixture *f = *state;
	const uint32_t at = 0xf0f00000;

	fake_vfio_region(f->fake, VFIO_PCI_ROM_REGION_INDEX, 0x1800, VFIO_REGION_INFO_FLAG_READ);
	store_le16(f->fake->region[VFIO_PCI_ROM_REGION_INDEX].memory, 0xaa55);
	assert_true(pass(f));
	put(f, PCI_ROM_ADDRESS, 4, 0xfffff800);
	assert_int_equal(get(f, PCI_ROM_ADDRESS, 4), 0xffffe000);
	put(f, PCI_ROM_ADDRESS, 4, at | PCI_ROM_ADDRESS_ENABLE);
	assert_int_equal(fake_read(f->machine, at, 2), 0xaa55);
	assert_int_equal(fake_read(f->machine, at + 0x1800, 2), 0xffff);
	assert_int_equal(fake_read(f->machine, at + 0x1ff8, 8), UINT64_MAX);
	fake_write(f->machine, at, 2, 0);
	assert_int_equal(fake_read(f->machine, at, 2), 0xaa55);
	put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(fake_read(f->machine, at, 2), 0xffff);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(fake_read(f->machine, at, 2), 0xaa55);
	put(f, PCI_ROM_ADDRESS, 4, at);
	assert_int_equal(fake_read(f->machine, at, 2), 0xffff);
}

/* --- Interrupts --- */

static struct fake_irq *irq_of(struct fixture *f, unsigned int index)
{
	return &f->fake->irq[index];
}

/* A machine with units: this function is behind none, for routes are all that matters. */
static void write_entry(struct fixture *f, unsigned int vector, uint32_t data, bool masked)
{
	uint64_t at = bar_address(f, 0) + TABLE + (uint64_t)vector * PCI_MSIX_ENTRY_SIZE;

	fake_write(f->machine, at, 8, 0xfee00000);
	fake_write(f->machine, at + PCI_MSIX_ENTRY_DATA, 4, data);
	fake_write(f->machine, at + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

static void set_msix(struct fixture *f, bool on)
{
	put(f, CAP_MSIX + PCI_MSIX_FLAGS, 2, on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

static void test_msix(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	assert_true(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
	write_entry(f, 1, 0x41, false);
	assert_false(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
	set_msix(f, true);
	assert_false(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
	assert_true(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
	assert_false(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 0));
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	/* No turn of the loop: the eventfd is the route's. */
	assert_int_equal(fake_take_msis(f->machine, 0x41), 1);
	assert_int_equal(f->machine->sent_by_hand, 0);
	/* A masked vector is the host's to hold back. */
	write_entry(f, 1, 0x41, true);
	assert_false(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	write_entry(f, 1, 0x42, false);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	assert_int_equal(fake_take_msis(f->machine, 0x42), 1);
	write_entry(f, 3, 0x43, false);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 3));
	assert_int_equal(fake_take_msis(f->machine, 0x43), 1);
	/* Without bus mastering there are no messages. */
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_false(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	set_msix(f, false);
	assert_false(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
	assert_true(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
}

/* Old hosts want to know all vectors when MSI-X is turned on. */
static void test_msix_all_vectors(void **state)
{
	struct fixture *f = *state;

	irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->flags |= VFIO_IRQ_INFO_NORESIZE;
	assert_true(pass(f));
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	assert_int_equal(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->vectors, VECTORS);
	assert_false(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 3));
	write_entry(f, 3, 0x43, false);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 3));
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 0));
	assert_int_equal(fake_take_msis(f->machine, 0x43), 1);
	assert_int_equal(fake_take_msis(f->machine, 0x40), 1);
}

/* A machine that has run out of routes: the loop sends the messages. */
static void test_msix_by_hand(void **state)
{
	struct fixture *f = *state;

	f->machine->no_routes = true;
	assert_true(pass(f));
	write_entry(f, 2, 0x52, false);
	set_msix(f, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 2));
	fake_settle(f->loop);
	assert_int_equal(fake_take_msis(f->machine, 0x52), 1);
	assert_int_equal(f->machine->sent_by_hand, 1);
}

static void set_msi(struct fixture *f, uint32_t data, bool on)
{
	put(f, CAP_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	put(f, CAP_MSI + PCI_MSI_DATA_64, 2, data);
	put(f, CAP_MSI + PCI_MSI_FLAGS, 2, on ? PCI_MSI_FLAGS_ENABLE : 0);
}

static void test_msi(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	set_msi(f, 0x61, true);
	assert_true(irq_of(f, VFIO_PCI_MSI_IRQ_INDEX)->enabled);
	assert_false(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	assert_int_equal(fake_take_msis(f->machine, 0x61), 1);
	/* The guest moves it to another CPU. */
	set_msi(f, 0x62, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	assert_int_equal(fake_take_msis(f->machine, 0x61), 0);
	assert_int_equal(fake_take_msis(f->machine, 0x62), 1);
	set_msi(f, 0x62, false);
	assert_false(irq_of(f, VFIO_PCI_MSI_IRQ_INDEX)->enabled);
	assert_true(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
}

static void test_msi_by_hand(void **state)
{
	struct fixture *f = *state;

	f->machine->no_routes = true;
	assert_true(pass(f));
	set_msi(f, 0x63, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_int_equal(fake_take_msis(f->machine, 0x63), 1);
}

/* A signal that KVM does not have, for the loop: sent by hand, once. */
static void check_by_hand(struct fixture *f, unsigned int vector)
{
	unsigned int before = f->machine->sent_by_hand;

	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, vector));
	assert_int_equal(fake_take_msis(f->machine, 0x40 + vector), 0);
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, before + 1);
	assert_int_equal(fake_take_msis(f->machine, 0x40 + vector), 1);
}

/* And one that KVM has: the loop sees nothing of it. */
static void check_by_route(struct fixture *f, unsigned int vector)
{
	unsigned int before = f->machine->sent_by_hand;

	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, vector));
	assert_int_equal(fake_take_msis(f->machine, 0x40 + vector), 1);
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, before);
}

/* Remapping blocks what the routes carry: the unit hears of it, and of nothing else. */
static void test_blocked(void **state)
{
	struct fixture *f = *state;
	int eventfd;

	assert_true(pass(f));
	write_entry(f, 1, 0x41, false);
	set_msix(f, true);
	eventfd = irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->eventfd[1];
	check_by_route(f, 1);
	assert_int_equal(f->machine->irqfds, 0);
	fake_block_routes(f->machine, true);
	check_by_hand(f, 1);
	check_by_hand(f, 1);
	/* One that is blocked from the start; and both let through. */
	write_entry(f, 2, 0x42, false);
	check_by_hand(f, 2);
	fake_block_routes(f->machine, false);
	check_by_route(f, 1);
	check_by_route(f, 2);
	/* The loop listens still: once more, each is found. */
	fake_block_routes(f->machine, true);
	check_by_hand(f, 2);
	check_by_hand(f, 1);
	assert_int_equal(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->eventfd[1], eventfd);
}

/* An entry that is open is rewritten to a message that is blocked: no mask, no invalidation. */
static void test_blocked_rewritten(void **state)
{
	uint64_t data = TABLE + PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_DATA;
	struct fixture *f = *state;

	f->machine->blocked_data = 0x77;
	assert_true(pass(f));
	write_entry(f, 1, 0x41, false);
	set_msix(f, true);
	check_by_route(f, 1);
	fake_write(f->machine, bar_address(f, 0) + data, 4, 0x77);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, 1);
	assert_int_equal(fake_take_msis(f->machine, 0x77), 1);
	fake_write(f->machine, bar_address(f, 0) + data, 4, 0x41);
	check_by_route(f, 1);
	/* Off and on, for nothing else. */
	assert_int_equal(f->machine->irqfds, 2);
}

/* The loop listens to what was blocked once, and to nothing else. */
static void test_blocked_one(void **state)
{
	struct fixture *f = *state;
	unsigned int before;

	f->machine->blocked_data = 0x42;
	assert_true(pass(f));
	before = loop_in_flight(f->loop);
	write_entry(f, 1, 0x41, false);
	set_msix(f, true);
	write_entry(f, 2, 0x42, false);
	check_by_hand(f, 2);
	assert_int_equal(loop_in_flight(f->loop), before + 1);
	for (unsigned int i = 0; i < 3; i++) {
		f->machine->blocked_data = 0;
		write_entry(f, 2, 0x42, false);
		check_by_route(f, 2);
		f->machine->blocked_data = 0x42;
		write_entry(f, 2, 0x42, false);
		check_by_hand(f, 2);
		assert_int_equal(loop_in_flight(f->loop), before + 1);
	}
}

/* What was signalled while nobody listened yet is in the counter, for whoever comes first. */
static void test_blocked_early(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	write_entry(f, 1, 0x41, false);
	set_msix(f, true);
	fake_block_routes(f->machine, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	fake_block_routes(f->machine, false);
	assert_int_equal(fake_take_msis(f->machine, 0x41), 1);
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, 0);
	/* However many they were, the loop sends one. */
	fake_block_routes(f->machine, true);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, 1));
	assert_int_equal(fake_take_msis(f->machine, 0x41), 0);
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, 1);
}

/* All vectors of a device, and no turn of the loop between them. */
static void test_blocked_many(void **state)
{
	struct fixture *f = *state;
	unsigned int vectors = 12;

	store_le16(&f->fake->config[CAP_MSIX + PCI_MSIX_FLAGS], (uint16_t)(vectors - 1));
	irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->count = vectors;
	assert_true(pass(f));
	fake_block_routes(f->machine, true);
	set_msix(f, true);
	for (unsigned int i = 0; i < vectors; i++)
		write_entry(f, i, 0x40 + i, false);
	for (unsigned int round = 1; round <= 2; round++) {
		for (unsigned int i = 0; i < vectors; i++)
			assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSIX_IRQ_INDEX, i));
		fake_settle(f->loop);
		assert_int_equal(f->machine->sent_by_hand, round * vectors);
		for (unsigned int i = 0; i < vectors; i++)
			assert_int_equal(fake_take_msis(f->machine, 0x40 + i), 1);
	}
	/* One for each, when they were opened. */
	assert_int_equal(f->machine->irqfds, vectors);
	fake_block_routes(f->machine, false);
	for (unsigned int i = 0; i < vectors; i++)
		check_by_route(f, i);
	assert_int_equal(f->machine->irqfds, 2 * vectors);
}

/* KVM refuses the eventfd, or the route: messages go by hand then, and none is lost. */
static void test_refused_routes(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	write_entry(f, 1, 0x41, false);
	set_msix(f, true);
	f->machine->no_irqfds = true;
	fake_block_routes(f->machine, true);
	check_by_hand(f, 1);
	fake_block_routes(f->machine, false);
	check_by_hand(f, 1);
	f->machine->no_irqfds = false;
	write_entry(f, 1, 0x41, false);
	check_by_route(f, 1);
	f->machine->no_tables = true;
	write_entry(f, 2, 0x42, false);
	check_by_hand(f, 2);
	check_by_route(f, 1);
	f->machine->no_tables = false;
	write_entry(f, 2, 0x42, false);
	check_by_route(f, 2);
}

/* The same for MSI: a route that was refused is asked for again. */
static void test_refused_msi(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	f->machine->no_tables = true;
	set_msi(f, 0x61, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, 1);
	assert_int_equal(fake_take_msis(f->machine, 0x61), 1);
	f->machine->no_tables = false;
	set_msi(f, 0x61, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	assert_int_equal(fake_take_msis(f->machine, 0x61), 1);
	assert_int_equal(f->machine->sent_by_hand, 1);
}

/* A watch of the last moment, after the end: the loop listens to nothing new. */
static void test_blocked_at_the_end(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	write_entry(f, 1, 0x41, false);
	set_msix(f, true);
	fake_block_routes(f->machine, true);
	vfio_pci_quiesce(f->vfio);
	fake_settle(f->loop);
	assert_int_equal(loop_in_flight(f->loop), 0);
}

static void test_blocked_msi(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	fake_block_routes(f->machine, true);
	set_msi(f, 0x61, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, 1);
	assert_int_equal(fake_take_msis(f->machine, 0x61), 1);
	fake_block_routes(f->machine, false);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	assert_int_equal(fake_take_msis(f->machine, 0x61), 1);
	assert_int_equal(f->machine->sent_by_hand, 1);
	fake_block_routes(f->machine, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_int_equal(f->machine->sent_by_hand, 2);
	/* Without bus mastering the function sends nothing; and INTA# stays silent. */
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(irq_of(f, VFIO_PCI_MSI_IRQ_INDEX)->enabled);
	assert_false(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
}

static void test_intx(void **state)
{
	struct fixture *f = *state;
	unsigned int gsi;

	assert_true(pass(f));
	gsi = f->vfio->pci.gsi;
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_INTX_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_true(f->machine->irq[gsi]);
	assert_true(get(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	/* The host holds the line until the guest is done. */
	assert_false(fake_vfio_signal(f->fake, VFIO_PCI_INTX_IRQ_INDEX, 0));
	fake_eoi(f->machine, gsi);
	fake_settle(f->loop);
	assert_false(f->machine->irq[gsi]);
	assert_int_equal(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->unmasked, 1);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_INTX_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_true(f->machine->irq[gsi]);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_false(f->machine->irq[gsi]);
	assert_false(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
}

/* A signal that was under way when the guest turned to MSI-X must not raise a line for ever. */
static void test_late_intx(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_INTX_IRQ_INDEX, 0));
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	fake_settle(f->loop);
	assert_false(f->machine->irq[f->vfio->pci.gsi]);
}

static void test_no_irqs(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	f->fake->no_irqs = true;
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	set_msix(f, false);
	set_msi(f, 0x61, true);
	f->fake->no_irqs = false;
	set_msi(f, 0x61, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_MSI_IRQ_INDEX, 0));
	assert_int_equal(fake_take_msis(f->machine, 0x61), 1);
}

/* A host that has fewer vectors says how many: that is an error, too. */
static void test_few_irqs(void **state)
{
	struct fixture *f = *state;

	f->fake->few_irqs = 1;
	assert_false(pass(f));
	assert_non_null(strstr(f->error, strerror(ENOSPC)));
}

/* With @files more than there are now. */
static bool pass_with_files(struct fixture *f, unsigned int files)
{
	struct rlimit before, limit;
	int first = dup(STDERR_FILENO);
	bool passed;

	close(first);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)first + files;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	passed = pass(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	return passed;
}

/* Of a device that has MSI-X and, unless @alone, all others: one for each vector, and one to put in
 * the place of its own; MSI, two for INTA#, two notifications. */
static void check_few_files(bool alone)
{
	unsigned int files, needed = VECTORS + (alone ? 1 : 6);
	bool passed = false;

	for (files = 0; files < 32 && !passed; files++) {
		struct fixture *f;
		void *state;

		setup(&state);
		f = state;
		for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS && alone; i++)
			if (i != VFIO_PCI_MSIX_IRQ_INDEX)
				irq_of(f, i)->count = 0;
		passed = pass_with_files(f, files);
		if (!passed)
			assert_non_null(strstr(f->error, "ulimit -n"));
		teardown(&state);
	}
	assert_true(passed);
	assert_true(files > needed);
}

/* Wherever open files run out, the user hears what to raise. */
static void test_few_files(void **state)
{
	(void)state;
	check_few_files(false);
	check_few_files(true);
}

/* --- Reset, and loss --- */

static void test_reset(void **state)
{
	struct fixture *f = *state;
	unsigned int pasid;

	f->fake->device.pasid_bits = 8;
	assert_true(pass(f));
	pasid = find_ext(f, PCI_EXT_CAP_ID_PASID);
	put(f, pasid + PCI_PASID_CTRL, 2, PCI_PASID_CTRL_ENABLE);
	assert_int_equal(get(f, pasid + PCI_PASID_CTRL, 2), PCI_PASID_CTRL_ENABLE);
	put(f, CAP_PM + PCI_PM_CTRL, 2, 3);
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	put(f, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fake->resets, 1);
	assert_int_equal(vfio_pci_counters(f->vfio).resets, 1);
	assert_int_equal(f->machine->map_count, 0);
	assert_false(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
	assert_int_equal(get(f, pasid + PCI_PASID_CTRL, 2), 0);
	assert_int_equal(get(f, CAP_PM + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK, 0);
	assert_int_equal(get(f, PCI_COMMAND, 2), 0);
	assert_int_equal(load_le16(&f->fake->config[PCI_COMMAND]),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

/* As when the machine restarts: DMA has been stopped, and the guest finds what it found first. */
static void test_machine_reset(void **state)
{
	struct fixture *f = *state;
	unsigned int pasid, maps;

	f->fake->device.pasid_bits = 8;
	assert_true(pass(f));
	maps = f->machine->map_count;
	pasid = find_ext(f, PCI_EXT_CAP_ID_PASID);
	put(f, pasid + PCI_PASID_CTRL, 2, PCI_PASID_CTRL_ENABLE);
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	assert_int_equal(pci_host_reset(&f->machine->host), 0);
	assert_int_equal(f->fake->resets, 1);
	assert_false(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
	assert_int_equal(get(f, pasid + PCI_PASID_CTRL, 2), 0);
	assert_int_equal(f->machine->map_count, maps);
	assert_int_equal(get(f, PCI_COMMAND, 2),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	/* Ours, for the guest to make use of; the device has forgotten what it was told to do. */
	assert_int_equal(load_le16(&f->fake->config[PCI_COMMAND]),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

#define DECODING (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)

static uint16_t device_command(const struct fixture *f)
{
	return load_le16(&f->fake->config[PCI_COMMAND]);
}

static void fail_resets(struct fixture *f, unsigned int times, int error)
{
	f->fake->fail_resets = times;
	f->fake->reset_error = error;
}

/* Somebody in the host has the device for a moment, or for good. */
static void test_reset_waits(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	fail_resets(f, 3, -EAGAIN);
	put(f, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fake->resets, 1);
	assert_in_range(f->fake->slept, 3, 1000);
	assert_int_equal(vfio_pci_counters(f->vfio).resets, 1);
	assert_int_equal(vfio_pci_counters(f->vfio).errors, 0);
	f->fake->slept = 0;
	fail_resets(f, UINT32_MAX, -EAGAIN);
	put(f, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_in_range(f->fake->slept, 500, 2000);
	assert_int_equal(vfio_pci_counters(f->vfio).resets, 1);
	assert_int_equal(vfio_pci_counters(f->vfio).errors, 1);
	/* The end does not wait. */
	f->fake->slept = 0;
	vfio_pci_quiesce(f->vfio);
	assert_int_equal(f->fake->slept, 0);
	assert_int_equal(device_command(f), 0);
}

/* What the device was told to do must not go on, whatever the guest does next. */
static void test_failed_reset(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	write_entry(f, 0, 0x40, false);
	fail_resets(f, 1, -ENOTTY);
	put(f, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fake->slept, 0);
	assert_int_equal(f->fake->command_at_reset, DECODING);
	assert_int_equal(vfio_pci_counters(f->vfio).errors, 1);
	assert_int_equal(device_command(f), DECODING);
	put(f, PCI_COMMAND, 2, DECODING | PCI_COMMAND_MASTER);
	assert_int_equal(device_command(f), DECODING);
	assert_int_equal(get(f, PCI_COMMAND, 2), DECODING);
	set_msix(f, true);
	assert_int_equal(device_command(f), DECODING);
	/* Until one succeeds. */
	put(f, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fake->resets, 1);
	assert_int_equal(device_command(f), DECODING);
	put(f, PCI_COMMAND, 2, DECODING | PCI_COMMAND_MASTER);
	assert_int_equal(device_command(f), DECODING | PCI_COMMAND_MASTER);
	assert_int_equal(get(f, PCI_COMMAND, 2), DECODING | PCI_COMMAND_MASTER);
}

/* A machine that restarts hears of it, and nothing is turned on again. */
static void test_failed_machine_reset(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	fail_resets(f, 1, -ENOTTY);
	assert_int_equal(pci_host_reset(&f->machine->host), -EIO);
	assert_int_equal(device_command(f), DECODING);
	assert_int_equal(f->machine->map_count, 0);
	assert_int_equal(pci_host_reset(&f->machine->host), 0);
	assert_int_equal(device_command(f), DECODING | PCI_COMMAND_MASTER);
}

static void test_no_reset(void **state)
{
	struct fixture *f = *state;

	f->fake->device.reset = false;
	assert_true(pass(f));
	assert_false(get(f, CAP_EXPRESS + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	put(f, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fake->resets, 0);
	assert_int_equal(f->machine->map_count, 2);
}

static void test_end(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f));
	vfio_pci_quiesce(f->vfio);
	assert_int_equal(f->fake->resets, 1);
	assert_int_equal(load_le16(&f->fake->config[PCI_COMMAND]), 0);
	assert_false(irq_of(f, VFIO_PCI_INTX_IRQ_INDEX)->enabled);
}

/* Everything that a guest may do to a device that is not there any more. */
static void poke_lost(struct fixture *f, uint64_t old)
{
	unsigned int writes = f->fake->writes;

	assert_int_equal(f->machine->map_count, 0);
	assert_int_equal(fake_read(f->machine, old + 8, 4), UINT32_MAX);
	for (unsigned int at = 0; at < PCI_CONFIG_SIZE; at += 4) {
		assert_int_equal(get(f, at, 4), UINT32_MAX);
		put(f, at, 4, 0x12345678);
		put(f, at, 4, UINT32_MAX);
	}
	assert_int_equal(get(f, PCI_COMMAND, 2), 0xffff);
	assert_int_equal(f->machine->map_count, 0);
	assert_int_equal(fake_read(f->machine, old + 8, 4), UINT32_MAX);
	assert_false(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
	assert_int_equal(f->fake->writes, writes);
}

static void test_error(void **state)
{
	struct fixture *f = *state;
	uint64_t at;

	assert_true(pass(f));
	at = bar_address(f, 0);
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_ERR_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_int_equal(load_le16(&f->fake->config[PCI_COMMAND]), 0);
	poke_lost(f, at);
	assert_int_equal(f->fake->replaced_by, -1);
	/* And then the host may want it, too. */
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_REQ_IRQ_INDEX, 0));
	fake_settle(f->loop);
	assert_true(f->fake->replaced_by >= 0);
	poke_lost(f, at);
}

static void test_request(void **state)
{
	struct fixture *f = *state;
	uint64_t at;

	assert_true(pass(f));
	at = bar_address(f, 0);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_REQ_IRQ_INDEX, 0));
	fake_settle(f->loop);
	/* Nothing of it is held any more. */
	assert_true(f->fake->replaced_by >= 0);
	assert_int_equal(f->fake->maps, f->fake->unmaps);
	poke_lost(f, at);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_REQ_IRQ_INDEX, 0));
	fake_settle(f->loop);
}

struct toggler {
	struct fixture *f;
	uint64_t control; /* of vector 0 */
	bool stop;	  /* atomic */
};

static void *toggle(void *argument)
{
	struct toggler *t = argument;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		fake_write(t->f->machine, t->control, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
		fake_write(t->f->machine, t->control, 4, 0);
	}
	return NULL;
}

/* A vCPU that opens a vector while the device is lost: the host must not have it after. */
static void test_error_while_opening(void **state)
{
	struct fixture *f = *state;
	struct toggler t = { .f = f };
	pthread_t thread;

	assert_true(pass(f));
	t.control = bar_address(f, 0) + TABLE + PCI_MSIX_ENTRY_VECTOR_CTRL;
	write_entry(f, 0, 0x40, false);
	set_msix(f, true);
	f->fake->slow = true;
	assert_int_equal(pthread_create(&thread, NULL, toggle, &t), 0);
	assert_true(fake_vfio_signal(f->fake, VFIO_PCI_ERR_IRQ_INDEX, 0));
	fake_settle(f->loop);
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(vfio_lost(f->vfio));
	assert_false(irq_of(f, VFIO_PCI_MSIX_IRQ_INDEX)->enabled);
}

/* --- Refusals --- */

static void test_bridge(void **state)
{
	struct fixture *f = *state;

	f->fake->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	assert_false(pass(f));
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(f->error, "vfio 0000:06:0d.0: is a bridge"));
	assert_non_null(strstr(f->error, "bridge"));
}

static void test_no_config(void **state)
{
	struct fixture *f = *state;

	f->fake->no_config = true;
	assert_false(pass(f));
	assert_int_equal(errno, EIO);
	assert_non_null(strstr(f->error, "configuration space"));
}

static void test_bad_bar(void **state)
{
	struct fixture *f = *state;

	f->fake->region[0].size = 0x3000;
	assert_false(pass(f));
	assert_non_null(strstr(f->error, "BAR 0"));
	f->fake->region[0].size = BAR_SIZE;
}

/* What a device that says nonsense about itself has to do without. */
static void test_bad_capabilities(void **state)
{
	struct fixture *f = *state;
	uint8_t *config = f->fake->config;

	store_le32(&config[CAP_MSIX + PCI_MSIX_TABLE], BAR_SIZE);
	config[CAP_AF + 1] = CAP_PM; /* a circle */
	config[CAP_VENDOR + PCI_CAP_FLAGS] = 0xff;
	store_le32(&config[EXT_VSEC + 4], 0xfff00000);
	store_le32(&config[EXT_VSEC], PCI_EXT_CAP_ID_VNDR | 1U << 16 | (uint32_t)EXT_AER << 20);
	assert_true(pass(f));
	assert_int_equal(find_cap(f, PCI_CAP_ID_MSIX), 0);
	assert_int_equal(find_ext(f, PCI_EXT_CAP_ID_VNDR), 0);
	/* It ends where the next one starts. */
	put(f, CAP_AF, 4, UINT32_MAX);
	assert_int_equal(config[CAP_AF], PCI_CAP_ID_AF);
	assert_int_equal(get(f, CAP_AF, 4), 0);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define BARE_TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup_bare, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		TEST(header),
		TEST(capabilities),
		TEST(ext_capabilities),
		TEST(passed),
		TEST(power_and_decoding),
		TEST(pasid),
		BARE_TEST(pasid_alone),
		BARE_TEST(moved_capability),
		BARE_TEST(moved_between),
		TEST(bars),
		TEST(small_bar_and_ports),
		TEST(bar_moves),
		TEST(sparse),
		TEST(many_areas),
		TEST(unmappable),
		TEST(unmappable_host),
		TEST(rom),
		TEST(msix),
		TEST(msix_all_vectors),
		TEST(msix_by_hand),
		TEST(msi),
		TEST(msi_by_hand),
		TEST(blocked),
		TEST(blocked_rewritten),
		TEST(blocked_one),
		TEST(blocked_early),
		TEST(blocked_many),
		TEST(blocked_at_the_end),
		TEST(refused_routes),
		TEST(refused_msi),
		TEST(blocked_msi),
		TEST(intx),
		TEST(late_intx),
		TEST(no_irqs),
		TEST(few_irqs),
		cmocka_unit_test(test_few_files),
		TEST(reset),
		TEST(machine_reset),
		TEST(reset_waits),
		TEST(failed_reset),
		TEST(failed_machine_reset),
		TEST(no_reset),
		TEST(end),
		TEST(error),
		TEST(request),
		TEST(error_while_opening),
		TEST(bridge),
		TEST(no_config),
		TEST(bad_bar),
		TEST(bad_capabilities),
	};

	return cmocka_run_group_tests_name("vfio_pci", tests, NULL, NULL);
}
