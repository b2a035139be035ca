/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capabilities of a passed-through function. The lists are made anew: what is passed keeps its
 * place below 0x100, and so do emulated ones where they fit; from 0x100 on, the extended ones
 * follow one another, for there nobody looks without the list.
 */
#include <linux/pci_regs.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_pci.h"

#define FIRST	   0x40
#define END	   0x100
#define CAPS_MAX   48  /* (END - FIRST) / 4: a list that is longer runs in circles */
#define EXT_MAX	   480 /* 8 bytes each */
#define EXT_HEADER 4

#define PM_SIZE	     8
#define MSI_SIZE     14 /* of ours */
#define MSIX_SIZE    12
#define EXPRESS_SIZE 0x3c
/* Requests that a device without a sensible number of its own may have outstanding. */
#define PRI_CAPACITY 32

struct found {
	uint16_t id;
	unsigned int at, size; /* in the device */
};

struct caps {
	struct vfio_pci *vfio;
	const uint8_t *host;
	unsigned int count;
	struct found found[CAPS_MAX];
	bool capability[END]; /* bytes of capabilities of the device */
	bool used[END];	      /* bytes of the guest's */
};

/* --- What the device has --- */

static unsigned int msi_size(const uint8_t *cap)
{
	uint16_t flags = load_le16(cap + PCI_MSI_FLAGS);

	return 10 + (flags & PCI_MSI_FLAGS_64BIT ? 4 : 0) +
	       (flags & PCI_MSI_FLAGS_MASKBIT ? 10 : 0);
}

static unsigned int express_size(const uint8_t *cap)
{
	bool first = (load_le16(cap + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_VERS) < 2;

	return first ? PCI_CAP_EXP_ENDPOINT_SIZEOF_V1 : EXPRESS_SIZE;
}

/* Bytes of the capability at @at; 0: nobody knows. */
static unsigned int known_size(const uint8_t *host, unsigned int at)
{
	const struct vfio_rule *rule;
	unsigned int size = 0;

	switch (host[at]) {
	case PCI_CAP_ID_MSI:
		return msi_size(host + at);
	case PCI_CAP_ID_EXP:
		return express_size(host + at);
	case PCI_CAP_ID_VNDR:
		return host[at + PCI_CAP_FLAGS];
	}
	for (rule = vfio_rules; rule < vfio_rules + vfio_rule_count; rule++)
		if (rule->space == VFIO_CAP && rule->id == host[at] && rule->size)
			size = (unsigned int)max_u64(size, rule->offset + rule->size);
	return size;
}

/* Up to the next one at most; if its size is not known, all up to there. */
static void measure(struct caps *caps, struct found *found)
{
	unsigned int next = END, size = known_size(caps->host, found->at);

	for (unsigned int i = 0; i < caps->count; i++)
		if (caps->found[i].at > found->at)
			next = (unsigned int)min_u64(next, caps->found[i].at);
	/* Whatever it says: the header is there. */
	size = size && size < 4 ? 4 : size;
	found->size = size && size < next - found->at ? size : next - found->at;
	memset(&caps->capability[found->at], true, found->size);
}

static void read_list(struct caps *caps)
{
	unsigned int at = caps->host[PCI_CAPABILITY_LIST] & ~3U;

	if (!(caps->host[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return;
	while (at >= FIRST && caps->count < CAPS_MAX) {
		caps->found[caps->count++] = (struct found){ .id = caps->host[at], .at = at };
		at = caps->host[at + PCI_CAP_LIST_NEXT] & ~3U;
	}
	for (unsigned int i = 0; i < caps->count; i++)
		measure(caps, &caps->found[i]);
}

static const struct found *find(const struct caps *caps, uint16_t id)
{
	for (unsigned int i = 0; i < caps->count; i++)
		if (caps->found[i].id == id)
			return &caps->found[i];
	return NULL;
}

/* --- What the guest gets --- */

static bool is_free(const struct caps *caps, unsigned int at, unsigned int size)
{
	for (unsigned int i = at; i < at + size; i++)
		if (i >= END || caps->used[i])
			return false;
	return true;
}

/* True if the guest loses no register there: the device has capabilities in all of it. */
static bool was_capability(const struct caps *caps, unsigned int at, unsigned int size)
{
	for (unsigned int i = at; i < at + size; i++)
		if (i >= END || !caps->capability[i])
			return false;
	return true;
}

/* The first free place, of those where the device has capabilities if @moved_only; END: none. */
static unsigned int find_place(const struct caps *caps, unsigned int size, bool moved_only)
{
	unsigned int at = FIRST;

	while (at < END &&
	       (!is_free(caps, at, size) || (moved_only && !was_capability(caps, at, size))))
		at += 4;
	return at;
}

/*
 * Where @size bytes go; 0: nowhere. To @wanted, if they fit; or where capabilities of the device
 * have made room; or on bytes between them, which drivers may know as registers (VFIO_BETWEEN).
 */
static unsigned int place(struct caps *caps, unsigned int wanted, unsigned int size)
{
	unsigned int at = wanted;

	if (!at || !is_free(caps, at, size))
		at = find_place(caps, size, true);
	if (at >= END)
		at = find_place(caps, size, false);
	if (at >= END) {
		log_warn(VFIO, "%s: its configuration space has no room for a capability",
			 caps->vfio->name);
		return 0;
	}
	memset(&caps->used[at], true, size);
	return at;
}

/* Makes pci_add_capability() put its next one at @at. */
static void put_next_at(struct caps *caps, unsigned int at)
{
	caps->vfio->pci.cap_next = at;
}

static void apply_rules(struct vfio_pci *vfio, enum vfio_space space, const struct found *found,
			unsigned int at)
{
	for (const struct vfio_rule *rule = vfio_rules; rule < vfio_rules + vfio_rule_count;
	     rule++) {
		unsigned int size = rule->size;

		if (rule->space != space || rule->id != found->id || rule->policy != VFIO_PASS ||
		    rule->offset >= found->size)
			continue;
		if (!size || rule->offset + size > found->size)
			size = found->size - rule->offset;
		vfio_config_pass(vfio, rule, at + rule->offset, found->at + rule->offset, size);
	}
}

static void add_passed(struct caps *caps)
{
	for (unsigned int i = 0; i < caps->count; i++) {
		const struct found *found = &caps->found[i];
		const struct vfio_rule *rule = vfio_find_rule(VFIO_CAP, found->id);

		if (!rule || rule->policy != VFIO_PASS || !is_free(caps, found->at, found->size))
			continue;
		memset(&caps->used[found->at], true, found->size);
		put_next_at(caps, found->at);
		pci_add_capability(&caps->vfio->pci, (uint8_t)found->id, found->size);
		apply_rules(caps->vfio, VFIO_CAP, found, found->at);
	}
}

static void add_pm(struct caps *caps)
{
	const struct found *found = find(caps, PCI_CAP_ID_PM);
	unsigned int at = found ? place(caps, found->at, PM_SIZE) : 0;
	struct pci_function *fn = &caps->vfio->pci;

	if (!at)
		return;
	put_next_at(caps, at);
	caps->vfio->pm = pci_add_capability(fn, PCI_CAP_ID_PM, PM_SIZE);
	store_le16(&fn->config[at + PCI_PM_PMC], 3); /* version 1.2; D0 and D3 */
	/* Coming back from the D3 that it never was in resets nothing. */
	store_le16(&fn->config[at + PCI_PM_CTRL], PCI_PM_CTRL_NO_SOFT_RESET);
	store_le16(&fn->writable[at + PCI_PM_CTRL], PCI_PM_CTRL_STATE_MASK);
}

static void add_msi(struct caps *caps)
{
	const struct found *found = find(caps, PCI_CAP_ID_MSI);
	unsigned int at;

	if (!found || !caps->vfio->irq.msi_count)
		return;
	at = place(caps, found->at, MSI_SIZE);
	if (!at)
		return;
	put_next_at(caps, at);
	pci_add_msi(&caps->vfio->pci, &caps->vfio->msi);
}

/* PASIDs need one, even if the device has none. */
static void add_express(struct caps *caps)
{
	const struct found *found = find(caps, PCI_CAP_ID_EXP);
	unsigned int at = 0;

	if (found || caps->vfio->device->pasid_bits)
		at = place(caps, found ? found->at : 0, EXPRESS_SIZE);
	if (!at)
		return;
	put_next_at(caps, at);
	pci_add_express(&caps->vfio->pci);
}

/* Bytes that are nobody's here and there. */
static void pass_between(struct caps *caps)
{
	const struct vfio_rule *rule = vfio_find_rule(VFIO_BETWEEN, 0);

	for (unsigned int i = FIRST; i < END; i++)
		if (rule->policy == VFIO_PASS && !caps->capability[i] && !caps->used[i])
			vfio_config_pass(caps->vfio, rule, i, i, 1);
}

/* --- Extended capabilities --- */

static unsigned int ext_size(const uint8_t *host, const struct found *found, unsigned int limit)
{
	unsigned int size = 0;

	if (found->id == PCI_EXT_CAP_ID_DSN)
		size = PCI_EXT_CAP_DSN_SIZEOF;
	else if (found->at + 8 <= limit) /* both vendor-specific ones have it in the same place */
		size = load_le32(host + found->at + EXT_HEADER) >> 20;
	return size > EXT_HEADER && range_fits(found->at, size, limit) ? size : 0;
}

static void add_ext(struct caps *caps, struct found *found, uint32_t header)
{
	const struct vfio_rule *rule = vfio_find_rule(VFIO_EXT_CAP, found->id);
	struct pci_function *fn = &caps->vfio->pci;
	unsigned int at;

	if (!rule || rule->policy != VFIO_PASS)
		return;
	found->size = ext_size(caps->host, found, (unsigned int)caps->vfio->config.size);
	if (!found->size || !range_fits(fn->ext_next, found->size, PCI_CONFIG_SIZE))
		return;
	at = pci_add_ext_capability(fn, found->id, PCI_EXT_CAP_VER(header), found->size);
	apply_rules(caps->vfio, VFIO_EXT_CAP, found, at);
}

/* Where the one after @at is, or the first if that is 0; 0: there is none. */
static unsigned int next_ext(const struct caps *caps, unsigned int at)
{
	unsigned int next = at ? PCI_EXT_CAP_NEXT(load_le32(caps->host + at)) : END;
	uint32_t header;

	if (next < END || !range_fits(next, PCI_EXT_CAP_PRI_SIZEOF, caps->vfio->config.size))
		return 0;
	header = load_le32(caps->host + next);
	return header && header != UINT32_MAX ? next : 0;
}

/* Bound, here and below: a list that is longer runs in circles. */
static unsigned int find_ext(const struct caps *caps, uint16_t id)
{
	unsigned int at = next_ext(caps, 0);

	for (unsigned int i = 0; at && i < EXT_MAX; i++, at = next_ext(caps, at))
		if (PCI_EXT_CAP_ID(load_le32(caps->host + at)) == id)
			return at;
	return 0;
}

static void add_ext_passed(struct caps *caps)
{
	unsigned int at = next_ext(caps, 0);

	for (unsigned int i = 0; at && i < EXT_MAX; i++, at = next_ext(caps, at)) {
		uint32_t header = load_le32(caps->host + at);
		struct found found = { .id = PCI_EXT_CAP_ID(header), .at = at };

		add_ext(caps, &found, header);
	}
}

static void add_pasid(struct caps *caps)
{
	unsigned int host_pri = find_ext(caps, PCI_EXT_CAP_ID_PRI);
	const struct vfio_device *device = caps->vfio->device;
	uint32_t capacity = host_pri ? load_le32(caps->host + host_pri + PCI_PRI_MAX_REQ) : 0;
	struct pci_pasid_features features = {
		.bits = (unsigned int)min_u64(device->pasid_bits, 20),
		.privileged = device->pasid_priv,
		.ats = device->ats,
		.pri_capacity = !device->pri ? 0
				: capacity   ? capacity
					     : PRI_CAPACITY,
	};

	if (features.bits && caps->vfio->pci.express)
		pci_add_pasid(&caps->vfio->pci, &caps->vfio->pasid, &features);
}

void vfio_caps_add(struct vfio_pci *vfio, const uint8_t *host, unsigned int *msix,
		   unsigned int *msix_at)
{
	struct caps caps = { .vfio = vfio, .host = host };
	const struct found *found;

	read_list(&caps);
	add_passed(&caps);
	add_pm(&caps);
	add_msi(&caps);
	add_express(&caps);
	found = find(&caps, PCI_CAP_ID_MSIX);
	*msix = found ? found->at : 0;
	*msix_at = found ? place(&caps, found->at, MSIX_SIZE) : 0;
	pass_between(&caps);
	/* Ours first: for what is passed there may be no room. */
	add_pasid(&caps);
	add_ext_passed(&caps);
}
