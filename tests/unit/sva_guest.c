/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/sva_guest.h"

#include <stdlib.h>

#include "devices/base.h"

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	return ram_ptr(context, gpa, len);
}

static const struct vtd_memory_ops memory_ops = { memory_ptr };
static struct vtd_unit *the_unit;

static struct vtd_unit *unit_of(struct pci_host *host, const struct pci_function *fn)
{
	(void)host;
	(void)fn;
	return the_unit;
}

static uint64_t *word(struct sva_guest *g, uint64_t gpa)
{
	return fake_ram(g->machine, gpa);
}

uint64_t sva_guest_page(struct sva_guest *g)
{
	return fake_alloc(g->machine, PAGE_SIZE_4K, PAGE_SIZE_4K);
}

/* The leaf entry of @va, with the tables above it. */
static uint64_t *leaf(struct sva_guest *g, uint64_t root, uint64_t va)
{
	uint64_t table = root;

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = word(g, table + (va >> shift & 511) * 8);

		if (!(*entry & VTD_FS_P))
			*entry = sva_guest_page(g) | SVA_RW;
		table = *entry & VTD_FS_ADDR;
	}
	return word(g, table + (va >> 12 & 511) * 8);
}

void sva_guest_map(struct sva_guest *g, uint64_t root, uint64_t va, uint64_t gpa, uint64_t flags)
{
	__atomic_store_n(leaf(g, root, va), flags ? gpa | flags : 0, __ATOMIC_RELEASE);
}

static void pasid_entry(struct sva_guest *g, uint32_t pasid, uint64_t root)
{
	uint64_t *slot = word(g, g->directory + (pasid >> 6) * 8);
	uint64_t *entry;

	if (!*slot)
		*slot = sva_guest_page(g) | VTD_PASIDDIR_P;
	entry = word(g, (*slot & VTD_PASIDDIR_PTR) + (pasid & 63) * 64);
	entry[1] = SVA_DOMAIN;
	entry[2] = root;
	entry[0] = VTD_PASID0_P | vtd_put(VTD_PGTT_FS, VTD_PASID0_PGTT);
}

void sva_guest_init(struct sva_guest *g, struct machine *machine)
{
	struct vtd_config config;

	vtd_config_init(&config);
	g->machine = machine;
	g->vtd = (struct vtd_fixture){ .memory = machine->ram.slot[0].host, .hole = UINT64_MAX };
	g->vtd.unit = vtd_create(&config, &memory_ops, &machine->ram, NULL, NULL);
	if (!g->vtd.unit)
		abort();
	the_unit = g->vtd.unit;
	machine->host.unit_of = unit_of;
	machine->next = FIXTURE_PAGES;
}

void sva_guest_start(struct sva_guest *g, unsigned int devfn)
{
	uint64_t roots = sva_guest_page(g), contexts = sva_guest_page(g), *context;

	g->directory = fake_alloc(g->machine, (1 << 14) * 8, PAGE_SIZE_4K);
	g->root = sva_guest_page(g);
	g->other = sva_guest_page(g);
	g->prq = sva_guest_page(g);
	*word(g, roots) = contexts | VTD_ROOT_P;
	context = word(g, contexts + devfn * 32UL);
	context[0] = VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE | VTD_SM_CONTEXT0_PASIDE |
		     VTD_SM_CONTEXT0_PRE | vtd_put(7, VTD_SM_CONTEXT0_PDTS) | g->directory;
	pasid_entry(g, SVA_PASID, g->root);
	pasid_entry(g, SVA_OTHER, g->other);
	vtd_fixture_write64(&g->vtd, VTD_PQA, g->prq);
	if (!vtd_fixture_set_root(&g->vtd, roots | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM)) ||
	    !vtd_fixture_queue(&g->vtd, true) || !vtd_fixture_command(&g->vtd, VTD_GCMD_TE, true))
		abort();
}

void sva_guest_destroy(struct sva_guest *g)
{
	vtd_destroy(g->vtd.unit);
	the_unit = NULL;
}

bool sva_guest_drop(struct sva_guest *g, unsigned int devfn, uint32_t pasid, uint64_t va,
		    bool device)
{
	uint64_t who = vtd_put(pasid, VTD_DESC_PASID);

	vtd_fixture_submit(&g->vtd,
			   VTD_DESC_PASID_IOTLB | who | vtd_put(SVA_DOMAIN, VTD_DESC_DID) |
				   vtd_put(VTD_PASID_IOTLB_PAGE, VTD_DESC_G),
			   va);
	if (device)
		vtd_fixture_submit(
			&g->vtd, VTD_DESC_PASID_DEVTLB | who | vtd_put(devfn, VTD_PDEVTLB_SID), va);
	return vtd_fixture_wait(&g->vtd);
}

bool sva_guest_respond(struct sva_guest *g, unsigned int devfn, uint32_t pasid, unsigned int group,
		       unsigned int code)
{
	vtd_fixture_submit(&g->vtd,
			   VTD_DESC_PAGE_RESPONSE | VTD_RESPONSE_PASID_P |
				   vtd_put(pasid, VTD_DESC_PASID) | vtd_put(code, VTD_RESPONSE_RC) |
				   vtd_put(devfn, VTD_RESPONSE_RID),
			   vtd_put(group, VTD_RESPONSE1_PRGI));
	return vtd_fixture_wait(&g->vtd);
}
