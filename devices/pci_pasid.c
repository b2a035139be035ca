/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci_pasid.h"

#include <assert.h>
#include <linux/pci_regs.h>

#include "devices/base.h"
#include "devices/pci.h"

/* Not in older headers. PASID control is its own 16-bit register, capability at 4. */
enum {
	PASID_CTRL = 0x06,
	PASID_CTRL_ENABLE = 0x01,
	PASID_CTRL_PRIV = 0x04,
	PASID_CAP_WIDTH = 8, /* shift of "Max PASID Width" */
	PASID_SIZE = 8,
	DEVCAP2_MAX_PREFIXES_1 = 0x00400000, /* "Max End-End TLP Prefixes": one */
};

static void add_pasid(struct pci_function *fn, struct pci_pasid *caps,
		      const struct pci_pasid_features *features)
{
	uint8_t *devcap2 = &fn->config[fn->express + PCI_EXP_DEVCAP2];
	uint16_t modes = (uint16_t)((features->execute ? PCI_PASID_CAP_EXEC : 0) |
				    (features->privileged ? PCI_PASID_CAP_PRIV : 0));

	store_le32(devcap2,
		   load_le32(devcap2) | PCI_EXP_DEVCAP2_EE_PREFIX | DEVCAP2_MAX_PREFIXES_1);
	caps->pasid = pci_add_ext_capability(fn, PCI_EXT_CAP_ID_PASID, 1, PASID_SIZE);
	store_le16(&fn->config[caps->pasid + PCI_PASID_CAP],
		   (uint16_t)(modes | features->bits << PASID_CAP_WIDTH));
	/* The control bits of the modes are those of the capability. */
	store_le16(&fn->writable[caps->pasid + PASID_CTRL], PASID_CTRL_ENABLE | modes);
}

static void add_ats(struct pci_function *fn, struct pci_pasid *caps)
{
	/* Invalidate queue depth 0 means 32, the most there is. */
	caps->ats = pci_add_ext_capability(fn, PCI_EXT_CAP_ID_ATS, 1, PCI_EXT_CAP_ATS_SIZEOF);
	store_le16(&fn->config[caps->ats + PCI_ATS_CAP], PCI_ATS_CAP_PAGE_ALIGNED);
	store_le16(&fn->writable[caps->ats + PCI_ATS_CTRL],
		   PCI_ATS_CTRL_ENABLE | PCI_ATS_CTRL_STU(0x1f));
}

static void add_pri(struct pci_function *fn, struct pci_pasid *caps, unsigned int capacity)
{
	caps->pri = pci_add_ext_capability(fn, PCI_EXT_CAP_ID_PRI, 1, PCI_EXT_CAP_PRI_SIZEOF);
	store_le32(&fn->config[caps->pri + PCI_PRI_MAX_REQ], capacity);
	store_le16(&fn->writable[caps->pri + PCI_PRI_CTRL],
		   PCI_PRI_CTRL_ENABLE | PCI_PRI_CTRL_RESET);
	store_le16(&fn->clearable[caps->pri + PCI_PRI_STATUS],
		   PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
	store_le32(&fn->writable[caps->pri + PCI_PRI_ALLOC_REQ], UINT32_MAX);
}

void pci_add_pasid(struct pci_function *fn, struct pci_pasid *caps,
		   const struct pci_pasid_features *features)
{
	assert(fn->express && features->bits >= 1 && features->bits <= 20);
	*caps = (struct pci_pasid){ 0 };
	add_pasid(fn, caps, features);
	if (features->ats)
		add_ats(fn, caps);
	if (features->pri_capacity)
		add_pri(fn, caps, features->pri_capacity);
	pci_pasid_reset(fn, caps);
}

/* Byte by byte, as the guest's writes are: others look without the lock. */
static void put16(struct pci_function *fn, unsigned int at, uint16_t value)
{
	__atomic_store_n(&fn->config[at], (uint8_t)value, __ATOMIC_RELAXED);
	__atomic_store_n(&fn->config[at + 1], (uint8_t)(value >> 8), __ATOMIC_RELAXED);
}

static uint8_t get8(const struct pci_function *fn, unsigned int at)
{
	return __atomic_load_n(&fn->config[at], __ATOMIC_RELAXED);
}

void pci_pasid_reset(struct pci_function *fn, const struct pci_pasid *caps)
{
	put16(fn, caps->pasid + PASID_CTRL, 0);
	if (caps->ats)
		put16(fn, caps->ats + PCI_ATS_CTRL, 0);
	if (!caps->pri)
		return;
	put16(fn, caps->pri + PCI_PRI_CTRL, 0);
	put16(fn, caps->pri + PCI_PRI_STATUS, PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
	put16(fn, caps->pri + PCI_PRI_ALLOC_REQ, 0);
	put16(fn, caps->pri + PCI_PRI_ALLOC_REQ + 2, 0);
}

bool pci_pasid_enabled(const struct pci_function *fn, const struct pci_pasid *caps)
{
	return get8(fn, caps->pasid + PASID_CTRL) & PASID_CTRL_ENABLE;
}

bool pci_pasid_privileged(const struct pci_function *fn, const struct pci_pasid *caps)
{
	return get8(fn, caps->pasid + PASID_CTRL) & PASID_CTRL_PRIV;
}

bool pci_ats_enabled(const struct pci_function *fn, const struct pci_pasid *caps)
{
	return get8(fn, caps->ats + PCI_ATS_CTRL + 1) & PCI_ATS_CTRL_ENABLE >> 8;
}

bool pci_pri_enabled(const struct pci_function *fn, const struct pci_pasid *caps)
{
	return get8(fn, caps->pri + PCI_PRI_CTRL) & PCI_PRI_CTRL_ENABLE;
}

uint32_t pci_pri_allocation(const struct pci_function *fn, const struct pci_pasid *caps)
{
	return load_le32(&fn->config[caps->pri + PCI_PRI_ALLOC_REQ]);
}

bool pci_pri_take_reset(struct pci_function *fn, const struct pci_pasid *caps)
{
	uint8_t control = get8(fn, caps->pri + PCI_PRI_CTRL);

	put16(fn, caps->pri + PCI_PRI_CTRL, control & (uint8_t)~PCI_PRI_CTRL_RESET);
	return control & PCI_PRI_CTRL_RESET;
}

void pci_pri_show(struct pci_function *fn, const struct pci_pasid *caps, bool enabled, bool stopped,
		  uint16_t raise)
{
	uint16_t flags = load_le16(&fn->config[caps->pri + PCI_PRI_STATUS]) &
			 (PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);

	put16(fn, caps->pri + PCI_PRI_CTRL, enabled ? PCI_PRI_CTRL_ENABLE : 0);
	put16(fn, caps->pri + PCI_PRI_STATUS,
	      PCI_PRI_STATUS_PASID | (stopped ? PCI_PRI_STATUS_STOPPED : 0) | flags | raise);
}

void pci_pri_clear(struct pci_function *fn, const struct pci_pasid *caps)
{
	put16(fn, caps->pri + PCI_PRI_STATUS, PCI_PRI_STATUS_PASID);
}
