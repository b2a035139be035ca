/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration space of a passed-through function: the table of what its registers are to the
 * guest, and accesses to them. Space is emulated by pci.c; bytes that are passed are fetched before
 * each read and sent after each write.
 */
#include <linux/pci_regs.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_pci.h"

/* Not in older headers. */
#define EXT_CAP_ID_DVSEC 0x23

#define ALL	   UINT32_MAX
#define HEADER	   VFIO_HEADER, 0
#define CAP(id)	   VFIO_CAP, PCI_CAP_ID_##id
#define EXT(id)	   VFIO_EXT_CAP, PCI_EXT_CAP_ID_##id
#define HIDE	   VFIO_HIDE, 0
#define EMULATE	   VFIO_EMULATE, 0
#define PASS(bits) VFIO_PASS, bits

/* clang-format off */
const struct vfio_rule vfio_rules[] = {
	{ HEADER, PCI_VENDOR_ID, 4, EMULATE, "the device's, which VFs do not have in registers" },
	{ HEADER, PCI_COMMAND, 2, EMULATE,
	  "decoding is ours: the device's stays on, or mapped pages would fault; bus master and "
	  "INTx disable are passed on" },
	{ HEADER, PCI_STATUS, 2, EMULATE, "errors are reported to the host" },
	{ HEADER, PCI_CLASS_REVISION, 4, EMULATE, "the device's" },
	{ HEADER, PCI_CACHE_LINE_SIZE, 1, EMULATE, "without meaning in PCI Express" },
	{ HEADER, PCI_LATENCY_TIMER, 1, HIDE, "without meaning in PCI Express" },
	{ HEADER, PCI_HEADER_TYPE, 1, EMULATE, "each function is alone in its slot" },
	{ HEADER, PCI_BIST, 1, HIDE, "a self-test would take the device from its host" },
	{ HEADER, PCI_BASE_ADDRESS_0, 24, EMULATE, "the guest's addresses are not the host's" },
	{ HEADER, PCI_CARDBUS_CIS, 4, HIDE, "nobody has CardBus" },
	{ HEADER, PCI_SUBSYSTEM_VENDOR_ID, 4, EMULATE, "the device's" },
	{ HEADER, PCI_ROM_ADDRESS, 4, EMULATE, "as for BARs; the image is a copy" },
	{ HEADER, PCI_CAPABILITY_LIST, 1, EMULATE, "the list is made anew" },
	{ HEADER, 0x35, 7, HIDE, "reserved" },
	{ HEADER, PCI_INTERRUPT_LINE, 2, EMULATE, "the guest's line; always INTA#" },
	{ HEADER, PCI_MIN_GNT, 2, HIDE, "without meaning in PCI Express" },

	{ CAP(PM), 0, 8, EMULATE,
	  "the device stays in D0: in D3 its pages would fault; no PME, which is the host's" },
	{ CAP(VPD), 2, 2, PASS(0x7fff), "an address to read; writing would outlive the VM" },
	{ CAP(VPD), 4, 4, PASS(0), "what was read" },
	{ CAP(MSI), 0, 0, EMULATE, "the host programs the device, the guest its route: one vector" },
	{ CAP(MSIX), 0, 12, EMULATE, "as for MSI" },
	{ CAP(EXP), 0, 0, EMULATE,
	  "a root-complex integrated endpoint: links and errors are the host's; FLR is a reset" },
	{ CAP(VNDR), 2, 0, PASS(ALL), "its driver knows what it is; DMA is translated anyway" },
	{ CAP(AF), 0, 6, HIDE, "FLR is in the PCI Express capability" },
	{ CAP(PCIX), 0, 8, HIDE, "bus modes are the host's" },
	{ CAP(SATA), 0, 8, HIDE, "a second way to registers of a BAR" },
	{ CAP(DBG), 0, 4, HIDE, "a debug port is the host's" },
	{ CAP(EA), 0, 0, HIDE, "resources are the host's" },
	{ CAP(HT), 0, 0, HIDE, "links are the host's" },
	{ VFIO_BETWEEN, 0, 0, 0, PASS(ALL),
	  "registers that drivers know by their offset; the host's kernel lets them through" },

	{ EXT(DSN), 4, 8, PASS(0), "the serial number" },
	{ EXT(VNDR), 4, 0, PASS(ALL), "its driver knows what it is" },
	{ VFIO_EXT_CAP, EXT_CAP_ID_DVSEC, 4, 0, PASS(ALL), "its driver knows what it is" },
	{ EXT(PASID), 0, 8, EMULATE, "the host has it on; the enable bit is the guest's only" },
	{ EXT(ATS), 0, 8, EMULATE, "the same" },
	{ EXT(PRI), 0, 16, EMULATE, "the same; the device's status is the host's" },
	{ EXT(ERR), 0, 0, HIDE, "errors are handled by the host" },
	{ EXT(ACS), 0, 0, HIDE, "isolation is the host's" },
	{ EXT(SRIOV), 0, 0, HIDE, "the host makes VFs" },
	{ EXT(ARI), 0, 0, HIDE, "each function is alone in its slot" },
	{ EXT(REBAR), 0, 0, HIDE, "resources are the host's" },
	{ EXT(LTR), 0, 0, HIDE, "power and links are the host's" },
	{ EXT(L1SS), 0, 0, HIDE, "power and links are the host's" },
	{ VFIO_EXT_BETWEEN, 0, 0, 0, HIDE, "nobody looks there by offset" },
};
/* clang-format on */

const unsigned int vfio_rule_count = ARRAY_SIZE(vfio_rules);

const struct vfio_rule *vfio_find_rule(enum vfio_space space, uint16_t id)
{
	for (unsigned int i = 0; i < vfio_rule_count; i++)
		if (vfio_rules[i].space == space && vfio_rules[i].id == id)
			return &vfio_rules[i];
	return NULL;
}

void vfio_config_pass(struct vfio_pci *vfio, const struct vfio_rule *rule, unsigned int at,
		      unsigned int host, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++) {
		vfio->passed[at + i] = (uint16_t)(host + i);
		vfio->pci.writable[at + i] = (uint8_t)(rule->writable >> 8 * (i % 4));
	}
}

/* --- Accesses --- */

/*
 * The length of the run of bytes at *@at that are passed, consecutive in the device, and, if
 * @write, not read-only as a whole; *@at moves to its start. 0: there is none before @end.
 */
static unsigned int next_run(const struct vfio_pci *vfio, unsigned int *at, unsigned int end,
			     bool write)
{
	unsigned int first, len = 0;

	while (*at < end && (!vfio->passed[*at] || (write && !vfio->pci.writable[*at])))
		(*at)++;
	first = *at;
	while (first + len < end && vfio->passed[first + len] &&
	       vfio->passed[first + len] == vfio->passed[first] + len &&
	       (!write || vfio->pci.writable[first + len]))
		len++;
	return len;
}

void vfio_config_reading(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct vfio_pci *vfio = container_of(fn, struct vfio_pci, pci);
	unsigned int at = offset, len;

	vfio_pci_count(&vfio->counters.config_reads);
	if (vfio_lost(vfio)) {
		memset(&fn->config[offset], 0xff, size);
		return;
	}
	while ((len = next_run(vfio, &at, offset + size, false))) {
		if (!vfio_region_read(vfio, &vfio->config, vfio->passed[at], &fn->config[at], len))
			memset(&fn->config[at], 0xff, len);
		at += len;
	}
}

static void send(struct vfio_pci *vfio, unsigned int offset, unsigned int size)
{
	unsigned int at = offset, len;

	while ((len = next_run(vfio, &at, offset + size, true))) {
		if (!vfio_region_write(vfio, &vfio->config, vfio->passed[at], &vfio->pci.config[at],
				       len))
			log_guest(VFIO, "%s: register %#x of configuration space cannot be written",
				  vfio->name, vfio->passed[at]);
		at += len;
	}
}

/* What the guest may see of page requests: its own enable bit, and that none are under way. */
static void pri_written(struct vfio_pci *vfio)
{
	bool enabled;

	pci_pri_take_reset(&vfio->pci, &vfio->pasid);
	enabled = pci_pri_enabled(&vfio->pci, &vfio->pasid);
	pci_pri_show(&vfio->pci, &vfio->pasid, enabled, !enabled, 0);
}

void vfio_config_sync_command(struct vfio_pci *vfio)
{
	uint16_t guest = load_le16(&vfio->pci.config[PCI_COMMAND]);
	uint16_t command = guest & (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	uint8_t bytes[2];

	for (unsigned int i = 0; i < PCI_BARS; i++)
		if (vfio->pci.bar[i].kind == PCI_BAR_IO)
			command |= PCI_COMMAND_IO;
		else if (vfio->pci.bar[i].kind != PCI_BAR_NONE)
			command |= PCI_COMMAND_MEMORY;
	store_le16(bytes, command);
	if (!vfio_region_write(vfio, &vfio->config, PCI_COMMAND, bytes, sizeof(bytes)))
		log_guest(VFIO, "%s: its command register cannot be written", vfio->name);
}

void vfio_config_allow_master(struct vfio_pci *vfio, bool allowed)
{
	uint8_t *mask = &vfio->pci.writable[PCI_COMMAND];

	*mask = (uint8_t)(allowed ? *mask | PCI_COMMAND_MASTER : *mask & ~PCI_COMMAND_MASTER);
}

void vfio_config_written(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct vfio_pci *vfio = container_of(fn, struct vfio_pci, pci);

	vfio_pci_count(&vfio->counters.config_writes);
	if (vfio_lost(vfio))
		return;
	send(vfio, offset, size);
	if (vfio->pasid.pri &&
	    ranges_overlap(offset, size, vfio->pasid.pri, PCI_EXT_CAP_PRI_SIZEOF))
		pri_written(vfio);
	if (ranges_overlap(offset, size, PCI_COMMAND, 2))
		vfio_config_sync_command(vfio);
	if (pci_rom_concerned(offset, size))
		pci_rom_update(&vfio->rom);
	if (vfio->msi.cap)
		pci_msi_written(fn, &vfio->msi);
	vfio_irq_update(vfio);
}

void vfio_config_reset(struct vfio_pci *vfio)
{
	struct pci_function *fn = &vfio->pci;

	if (vfio->pm)
		fn->config[vfio->pm + PCI_PM_CTRL] &= (uint8_t)~PCI_PM_CTRL_STATE_MASK;
	if (vfio->msi.cap) {
		fn->config[vfio->msi.cap + PCI_MSI_FLAGS] &= (uint8_t)~PCI_MSI_FLAGS_ENABLE;
		pci_msi_written(fn, &vfio->msi);
	}
	if (vfio->pasid.pasid)
		pci_pasid_reset(fn, &vfio->pasid);
	store_le32(&fn->config[PCI_ROM_ADDRESS], 0);
	pci_rom_update(&vfio->rom);
}

void vfio_config_lose(struct vfio_pci *vfio)
{
	struct pci_function *fn = &vfio->pci;

	memset(fn->writable, 0, sizeof(fn->writable));
	memset(fn->clearable, 0, sizeof(fn->clearable));
	memset(vfio->passed, 0, sizeof(vfio->passed));
	/* Or ones would ask for a function level reset. */
	fn->express = 0;
	for (unsigned int i = 0; i < PCI_BARS; i++)
		fn->bar[i].kind = PCI_BAR_NONE;
}
