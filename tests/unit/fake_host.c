/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See fake_host.h.
 */
#include "tests/unit/fake_host.h"

#include <stdlib.h>
#include <string.h>

/* --- Rules of the interface --- */

static void expect(struct fake_host *host, bool condition, const char *rule)
{
	if (!condition && !host->broken)
		host->broken = rule;
}

static int fails(struct fake_host_failure *failure)
{
	return failure->after && !--failure->after ? failure->error : 0;
}

static struct fake_host_domain *find(const struct fake_host *host, uint32_t pasid)
{
	for (unsigned int i = 0; i < FAKE_HOST_DOMAINS; i++)
		if (host->domain[i].used && host->domain[i].pasid == pasid)
			return &host->domain[i];
	return NULL;
}

static struct fake_host_domain *find_free(const struct fake_host *host)
{
	for (unsigned int i = 0; i < FAKE_HOST_DOMAINS; i++)
		if (!host->domain[i].used)
			return &host->domain[i];
	return NULL;
}

static void check_binding(struct fake_host *host, uint32_t pasid, const struct vtd_binding *binding)
{
	bool first = binding->type == VTD_BIND_FS || binding->type == VTD_BIND_NESTED;
	bool second = binding->type == VTD_BIND_SS || binding->type == VTD_BIND_NESTED;

	expect(host, pasid == VTD_NO_PASID || !(pasid >> host->ops.pasid_bits),
	       "bind: a PASID that the device has");
	expect(host, binding->type <= VTD_BIND_NESTED, "bind: a known type");
	expect(host, !first || binding->fs_width == 48 || binding->fs_width == 57,
	       "bind: a first-stage width");
	expect(host, first || (!binding->fs_root && !binding->fs_width),
	       "bind: a first stage only where there is one");
	expect(host,
	       !second || binding->ss_width == 39 || binding->ss_width == 48 ||
		       binding->ss_width == 57,
	       "bind: a second-stage width");
	expect(host, second || (!binding->ss_root && !binding->ss_width),
	       "bind: a second stage only where there is one");
}

/* --- The interface --- */

static int bind(void *context, uint32_t pasid, const struct vtd_binding *binding)
{
	struct fake_host *host = context;
	struct fake_host_domain *domain = find(host, pasid);
	int rc = fails(&host->fail_bind);

	check_binding(host, pasid, binding);
	host->binds++;
	host->replaces += !!domain;
	if (rc)
		return rc;
	if (!domain)
		domain = find_free(host);
	if (!domain)
		return -ENOSPC;
	*domain = (struct fake_host_domain){ .used = true, .pasid = pasid, .binding = *binding };
	return 0;
}

static int unbind(void *context, uint32_t pasid)
{
	struct fake_host *host = context;
	struct fake_host_domain *domain = find(host, pasid);
	int rc = fails(&host->fail_unbind);

	host->unbinds++;
	expect(host, domain, "unbind: something is bound");
	if (!rc && domain)
		domain->used = false;
	return rc;
}

static void forget(struct fake_host_domain *domain, const struct vtd_host_invalidation *range)
{
	for (unsigned int i = 0; i < FAKE_HOST_TLB; i++) {
		struct fake_host_tlb *entry = &domain->tlb[i];

		if (entry->page - range->address / 4096 < range->pages ||
		    range->pages == UINT64_MAX)
			entry->used = false;
	}
}

static int invalidate(void *context, uint32_t pasid, const struct vtd_host_invalidation *list,
		      unsigned int count)
{
	struct fake_host *host = context;
	struct fake_host_domain *domain = find(host, pasid);
	int rc = fails(&host->fail_invalidate);
	uint64_t end = 0;

	host->invalidates++;
	host->ranges += count;
	host->last_pasid = pasid;
	expect(host, domain, "invalidate: something is bound");
	expect(host, count, "invalidate: a list that is not empty");
	for (unsigned int i = 0; i < count; i++) {
		uint64_t page = list[i].address / 4096;

		expect(host, list[i].address % 4096 == 0, "invalidate: aligned");
		expect(host, list[i].pages, "invalidate: not empty");
		expect(host, list[i].pages != UINT64_MAX || (count == 1 && !list[i].address),
		       "invalidate: everything alone, from address 0");
		expect(host, !i || page > end, "invalidate: sorted and merged");
		end = page + list[i].pages;
		if (i < FAKE_HOST_RECORDED)
			host->range[i] = list[i];
		if (domain && !rc)
			forget(domain, &list[i]);
	}
	return rc;
}

static int flush(void *context)
{
	struct fake_host *host = context;

	return fails(&host->fail_flush);
}

static int respond(void *context, uint32_t pasid, unsigned int group, unsigned int code)
{
	struct fake_host *host = context;

	if (host->responses < FAKE_HOST_RECORDED)
		host->response[host->responses] = (struct fake_host_response){ pasid, group, code };
	host->responses++;
	return fails(&host->fail_respond);
}

/* --- Life --- */

int fake_host_init(struct fake_host *host, struct vtd_unit *unit, struct vtd_requester *requester,
		   unsigned int pasid_bits)
{
	*host = (struct fake_host){ .unit = unit,
				    .requester = requester,
				    .ops = { .bind = bind,
					     .unbind = unbind,
					     .invalidate = invalidate,
					     .flush = flush,
					     .respond = respond,
					     .pasid_bits = pasid_bits } };
	host->domain = calloc(FAKE_HOST_DOMAINS, sizeof(*host->domain));
	if (!host->domain)
		return -ENOMEM;
	return vtd_set_host(unit, requester, &host->ops, host);
}

void fake_host_destroy(struct fake_host *host)
{
	free(host->domain);
	host->domain = NULL;
}

const struct vtd_binding *fake_host_bound(const struct fake_host *host, uint32_t pasid)
{
	const struct fake_host_domain *domain = find(host, pasid);

	return domain ? &domain->binding : NULL;
}

unsigned int fake_host_count(const struct fake_host *host)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < FAKE_HOST_DOMAINS; i++)
		count += host->domain[i].used;
	return count;
}

/* --- DMA --- */

/* The bits of both kinds of tables that a walk needs. */
#define PRESENT_FS 1
#define READ_SS	   1
#define WRITE	   2
#define LARGE	   0x80
#define ADDRESS	   UINT64_C(0x000ffffffffff000)

struct walk {
	const struct vtd_unit *unit;
	const struct vtd_binding *binding;
	bool writable;
};

/* One level: the entry for @address, whose table is at @table of guest memory. */
static int entry_of(const struct walk *walk, uint64_t table, uint64_t address, unsigned int level,
		    uint64_t *entry)
{
	return vtd_load64(walk->unit, table + (address >> (12 + 9 * level) & 511) * 8, entry);
}

/* Where @address lies by an entry of @level that maps memory. */
static uint64_t leaf_of(uint64_t entry, uint64_t address, unsigned int level)
{
	uint64_t offset = (UINT64_C(4096) << (9 * level)) - 1;

	return (entry & ADDRESS & ~offset) | (address & offset);
}

static int second_stage(struct walk *walk, uint64_t address, uint64_t *gpa, bool *writable)
{
	uint64_t table = walk->binding->ss_root, entry;
	unsigned int level = (walk->binding->ss_width - 12) / 9;

	if (!walk->binding->ss_width) {
		*gpa = address;
		return 0;
	}
	while (level-- > 0) {
		if (entry_of(walk, table, address, level, &entry) || !(entry & READ_SS))
			return -EFAULT;
		*writable &= !!(entry & WRITE);
		if (!level || entry & LARGE) {
			*gpa = leaf_of(entry, address, level);
			return 0;
		}
		table = entry & ADDRESS;
	}
	return -EFAULT;
}

static int both_stages(struct walk *walk, uint64_t address, uint64_t *gpa)
{
	uint64_t table = walk->binding->fs_root, entry;
	unsigned int level = walk->binding->fs_width == 57 ? 5 : 4;
	bool ignored = true;

	if (!walk->binding->fs_width)
		return second_stage(walk, address, gpa, &walk->writable);
	while (level-- > 0) {
		if (second_stage(walk, table, &table, &ignored) ||
		    entry_of(walk, table, address, level, &entry) || !(entry & PRESENT_FS))
			return -EFAULT;
		walk->writable &= !!(entry & WRITE);
		if (!level || entry & LARGE)
			return second_stage(walk, leaf_of(entry, address, level), gpa,
					    &walk->writable);
		table = entry & ADDRESS;
	}
	return -EFAULT;
}

static struct fake_host_tlb *lookup(struct fake_host_domain *domain, uint64_t page)
{
	for (unsigned int i = 0; i < FAKE_HOST_TLB; i++)
		if (domain->tlb[i].used && domain->tlb[i].page == page)
			return &domain->tlb[i];
	return NULL;
}

int fake_host_dma(struct fake_host *host, uint32_t pasid, uint64_t iova, bool write, uint64_t *gpa)
{
	struct fake_host_domain *domain = find(host, pasid);
	struct walk walk = { .unit = host->unit, .writable = true };
	struct fake_host_tlb *entry;
	uint64_t found;

	if (!domain)
		return -EFAULT;
	entry = lookup(domain, iova / 4096);
	if (!entry) {
		walk.binding = &domain->binding;
		if (both_stages(&walk, iova & ~UINT64_C(4095), &found))
			return -EFAULT;
		entry = &domain->tlb[domain->next++ % FAKE_HOST_TLB];
		*entry = (struct fake_host_tlb){ true, walk.writable, iova / 4096, found };
	}
	if (write && !entry->writable)
		return -EFAULT;
	*gpa = entry->gpa | (iova & 4095);
	return 0;
}
