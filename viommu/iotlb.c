/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOTLB; see iotlb.h.
 *
 * Each set is guarded by a sequence number, odd while it is written, as in entries.c: words are
 * stored with release and loaded with acquire, so a reader who saw any newer word sees the newer
 * number too. A lookup is a few loads of one or two cache lines.
 *
 * Three things keep a stale translation out:
 *
 * Generations. A slot carries the sum of those that cover it, read by vtd_iotlb_begin() before the
 * tables were. Any that was bumped since makes the sums differ, for they only grow.
 *
 * Page-selective invalidations count themselves first and clear sets under their locks then. An
 * insertion looks at the count with the set's lock held. If it changed since vtd_iotlb_begin(),
 * nothing is inserted; if it will change later, the clearing comes after the insertion.
 *
 * Page sizes. Lookups and invalidations look for those that were ever inserted. An insertion makes
 * its size known before it looks at the count, and an invalidation counts itself before it looks at
 * the sizes; all four are sequentially consistent, so one of the two sees the other.
 */
#include "viommu/iotlb.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "viommu/recent.h"
#include "viommu/unit.h"

#define SETS	    (1u << VTD_IOTLB_SETS)
#define PAGE_SHIFT  12
#define SHIFT_BITS  VTD_BITS(5, 0)
#define NESTED	    VTD_BIT(48)
#define MIX	    UINT64_C(0x9e3779b97f4a7c15)
#define CLEAR_SETS  640 /* one invalidation looks at no more sets than these, and bumps instead */
#define RECENT	    (VTD_REQUESTERS * VTD_RECENT_SLOTS)
#define LARGE_ORDER 40 /* pages; more are always too many */

/* All atomic. */
struct vtd_iotlb_slot {
	uint64_t tag;	/* address of the page, its shift in the lower bits; 0: empty */
	uint64_t owner; /* did, pasid << 16, NESTED */
	uint64_t data;	/* gpa of the page, permissions in the lower bits */
	uint64_t stamp;
};
struct vtd_iotlb_set {
	uint64_t sequence;
	uint64_t next; /* slot to replace, counting */
	struct vtd_iotlb_slot slot[VTD_IOTLB_WAYS];
	uint64_t unused[2];
};
_Static_assert(sizeof(struct vtd_iotlb_set) == 256, "whole cache lines");

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* --- Keys --- */

static unsigned int domain_index(uint16_t did)
{
	return did % VTD_GENERATIONS;
}

static unsigned int pasid_index(uint16_t did, uint32_t pasid)
{
	return (unsigned int)(((uint64_t)did << 20 ^ pasid) * MIX >> 54);
}
_Static_assert(VTD_GENERATIONS == 1024, "pasid_index() makes 10 bits");

static uint64_t owner_of(uint16_t did, uint32_t pasid)
{
	return did | (uint64_t)pasid << 16;
}

static uint64_t key_owner(const struct vtd_iotlb_key *key)
{
	return owner_of(key->did, key->pasid) | (key->nested ? NESTED : 0);
}

static uint64_t tag_of(uint64_t iova, unsigned int shift)
{
	return (iova & ~(VTD_BIT(shift) - 1)) | shift;
}

/*
 * Neighbouring pages are in neighbouring sets: as many as there are sets never collide. @owner
 * without NESTED, which invalidations do not know.
 */
static unsigned int set_index(uint64_t owner, uint64_t iova, unsigned int shift)
{
	uint64_t page = iova >> shift;
	uint64_t far = (owner ^ (page >> VTD_IOTLB_SETS << 37) ^ shift) * MIX;

	return (unsigned int)(page + (far >> 40)) & (SETS - 1);
}

static uint64_t stamp_of(const struct vtd_iotlb *iotlb, const struct vtd_iotlb_key *key)
{
	uint64_t stamp = load(&iotlb->generation_all) +
			 load(&iotlb->generation_domain[domain_index(key->did)]);

	if (key->pasid != VTD_NO_PASID)
		stamp += load(&iotlb->generation_pasid[pasid_index(key->did, key->pasid)]);
	if (key->nested)
		stamp += load(&iotlb->generation_nested[domain_index(key->did)]);
	return stamp;
}

/* --- Life --- */

/* Fresh pages, that cost nothing until they are used. */
static void *map(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int vtd_iotlb_init(struct vtd_unit *unit)
{
	struct vtd_iotlb *iotlb = &unit->iotlb;

	iotlb->set = map(SETS * sizeof(*iotlb->set));	      /* 4 MiB */
	iotlb->recent = map(RECENT * sizeof(*iotlb->recent)); /* 1 MiB */
	iotlb->lock = calloc(VTD_IOTLB_LOCKS, sizeof(*iotlb->lock));
	iotlb->generation_domain = calloc(VTD_GENERATIONS, sizeof(uint64_t));
	iotlb->generation_nested = calloc(VTD_GENERATIONS, sizeof(uint64_t));
	iotlb->generation_pasid = calloc(VTD_GENERATIONS, sizeof(uint64_t));
	for (unsigned int i = 0; iotlb->lock && i < VTD_IOTLB_LOCKS; i++)
		pthread_mutex_init(&iotlb->lock[i], NULL);
	if (iotlb->set && iotlb->recent && iotlb->lock && iotlb->generation_domain &&
	    iotlb->generation_nested && iotlb->generation_pasid)
		return 0;
	vtd_iotlb_destroy(unit);
	return -ENOMEM;
}

void vtd_iotlb_destroy(struct vtd_unit *unit)
{
	struct vtd_iotlb *iotlb = &unit->iotlb;

	for (unsigned int i = 0; iotlb->lock && i < VTD_IOTLB_LOCKS; i++)
		pthread_mutex_destroy(&iotlb->lock[i]);
	if (iotlb->set)
		munmap(iotlb->set, SETS * sizeof(*iotlb->set));
	if (iotlb->recent)
		munmap(iotlb->recent, RECENT * sizeof(*iotlb->recent));
	free(iotlb->lock);
	free(iotlb->generation_domain);
	free(iotlb->generation_nested);
	free(iotlb->generation_pasid);
	*iotlb = (struct vtd_iotlb){ 0 };
}

/* --- Lookup --- */

static bool set_lookup(const struct vtd_iotlb_set *set, uint64_t tag, uint64_t owner,
		       uint64_t *data, uint64_t *stamp)
{
	uint64_t sequence = load(&set->sequence);

	for (unsigned int i = 0; i < VTD_IOTLB_WAYS; i++) {
		const struct vtd_iotlb_slot *slot = &set->slot[i];

		if (load(&slot->tag) != tag || load(&slot->owner) != owner)
			continue;
		*data = load(&slot->data);
		*stamp = load(&slot->stamp);
		return !(sequence & 1) &&
		       __atomic_load_n(&set->sequence, __ATOMIC_RELAXED) == sequence;
	}
	return false;
}

bool vtd_iotlb_lookup(struct vtd_unit *unit, const struct vtd_iotlb_key *key,
		      struct vtd_translation *translation)
{
	const struct vtd_iotlb *iotlb = &unit->iotlb;
	unsigned int shifts = __atomic_load_n(&iotlb->shifts, __ATOMIC_RELAXED);
	uint64_t owner = key_owner(key), data, stamp;

	/* At most 19 turns: a shift is 12 to 30. Nearly always one to three. */
	for (; shifts; shifts &= shifts - 1) {
		unsigned int shift = (unsigned int)__builtin_ctz(shifts);
		unsigned int index = set_index(owner & ~NESTED, key->iova, shift);

		if (!set_lookup(&iotlb->set[index], tag_of(key->iova, shift), owner, &data, &stamp))
			continue;
		if (stamp != stamp_of(iotlb, key))
			continue;
		translation->gpa = data & ~(VTD_BIT(PAGE_SHIFT) - 1);
		translation->page_shift = (uint8_t)shift;
		translation->permissions = (uint8_t)data;
		return true;
	}
	return false;
}

/* --- Fill --- */

struct vtd_iotlb_fill vtd_iotlb_begin(struct vtd_unit *unit, const struct vtd_iotlb_key *key)
{
	const struct vtd_iotlb *iotlb = &unit->iotlb;

	return (struct vtd_iotlb_fill){
		.stamp = stamp_of(iotlb, key),
		.pages = __atomic_load_n(&iotlb->page_invalidations, __ATOMIC_SEQ_CST),
	};
}

static pthread_mutex_t *lock_of(const struct vtd_iotlb *iotlb, unsigned int index)
{
	return &iotlb->lock[index % VTD_IOTLB_LOCKS];
}

static void set_begin(struct vtd_iotlb_set *set)
{
	__atomic_store_n(&set->sequence, set->sequence + 1, __ATOMIC_RELAXED);
}

static void set_end(struct vtd_iotlb_set *set)
{
	store(&set->sequence, set->sequence + 1);
}

/* The slot for @tag: the one that has it, an empty one, or the one whose turn it is. */
static struct vtd_iotlb_slot *choose(struct vtd_iotlb_set *set, uint64_t tag, uint64_t owner)
{
	struct vtd_iotlb_slot *empty = NULL;

	for (unsigned int i = 0; i < VTD_IOTLB_WAYS; i++) {
		struct vtd_iotlb_slot *slot = &set->slot[i];

		if (slot->tag == tag && slot->owner == owner)
			return slot;
		if (!slot->tag && !empty)
			empty = slot;
	}
	return empty ? empty : &set->slot[set->next++ % VTD_IOTLB_WAYS];
}

void vtd_iotlb_insert(struct vtd_unit *unit, const struct vtd_iotlb_key *key,
		      const struct vtd_iotlb_fill *fill, const struct vtd_translation *translation)
{
	struct vtd_iotlb *iotlb = &unit->iotlb;
	unsigned int shift = translation->page_shift, bit = 1u << shift;
	uint64_t owner = key_owner(key), tag = tag_of(key->iova, shift);
	unsigned int index = set_index(owner & ~NESTED, key->iova, shift);
	struct vtd_iotlb_set *set = &iotlb->set[index];
	struct vtd_iotlb_slot *slot;

	if (!(__atomic_load_n(&iotlb->shifts, __ATOMIC_SEQ_CST) & bit))
		__atomic_fetch_or(&iotlb->shifts, bit, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(lock_of(iotlb, index));
	if (__atomic_load_n(&iotlb->page_invalidations, __ATOMIC_SEQ_CST) == fill->pages) {
		set_begin(set);
		slot = choose(set, tag, owner);
		store(&slot->tag, tag);
		store(&slot->owner, owner);
		store(&slot->data, translation->gpa | translation->permissions);
		store(&slot->stamp, fill->stamp);
		set_end(set);
	}
	pthread_mutex_unlock(lock_of(iotlb, index));
}

/* --- Invalidation --- */

static void bump(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

void vtd_iotlb_invalidate_all(struct vtd_unit *unit)
{
	bump(&unit->iotlb.generation_all);
	bump(&unit->iotlb.epoch);
}

void vtd_iotlb_invalidate_domain(struct vtd_unit *unit, uint16_t did)
{
	bump(&unit->iotlb.generation_domain[domain_index(did)]);
	bump(&unit->iotlb.epoch);
}

void vtd_iotlb_invalidate_pasid(struct vtd_unit *unit, uint16_t did, uint32_t pasid)
{
	bump(&unit->iotlb.generation_pasid[pasid_index(did, pasid)]);
	bump(&unit->iotlb.epoch);
}

/* Empties the slots of the set that hold the page of @tag for @owner, nested or not. */
static void set_clear(struct vtd_iotlb *iotlb, unsigned int index, uint64_t tag, uint64_t owner)
{
	struct vtd_iotlb_set *set = &iotlb->set[index];

	pthread_mutex_lock(lock_of(iotlb, index));
	for (unsigned int i = 0; i < VTD_IOTLB_WAYS; i++) {
		struct vtd_iotlb_slot *slot = &set->slot[i];

		if (slot->tag != tag || (slot->owner & ~NESTED) != owner)
			continue;
		set_begin(set);
		store(&slot->tag, 0);
		set_end(set);
	}
	pthread_mutex_unlock(lock_of(iotlb, index));
}

/* Pages of 2^@shift bytes that a range of 2^@order pages of 4 KiB touches. */
static uint64_t page_count(unsigned int order, unsigned int shift)
{
	return order + PAGE_SHIFT > shift ? VTD_BIT(order + PAGE_SHIFT - shift) : 1;
}

/* How many sets hold what such a range may have. Page sizes that are not @shifts are not there. */
static uint64_t sets_concerned(unsigned int shifts, unsigned int order)
{
	uint64_t sets = 0;

	for (; shifts; shifts &= shifts - 1)
		sets += page_count(order, (unsigned int)__builtin_ctz(shifts));
	return sets;
}

/* False if there are too many; then nothing was done. */
static bool clear_pages(struct vtd_iotlb *iotlb, uint64_t owner, uint64_t address,
			unsigned int order)
{
	unsigned int shifts;

	bump(&iotlb->page_invalidations);
	shifts = __atomic_load_n(&iotlb->shifts, __ATOMIC_SEQ_CST);
	if (order > LARGE_ORDER || sets_concerned(shifts, order) > CLEAR_SETS)
		return false;
	address &= ~(VTD_BIT(order + PAGE_SHIFT) - 1);
	/* At most CLEAR_SETS turns in all. */
	for (; shifts; shifts &= shifts - 1) {
		unsigned int shift = (unsigned int)__builtin_ctz(shifts);
		uint64_t count = page_count(order, shift), at = address;

		for (uint64_t i = 0; i < count; i++, at += VTD_BIT(shift))
			set_clear(iotlb, set_index(owner, at, shift), tag_of(at, shift), owner);
	}
	return true;
}

void vtd_iotlb_invalidate_pages(struct vtd_unit *unit, uint16_t did, uint64_t address,
				unsigned int order)
{
	struct vtd_iotlb *iotlb = &unit->iotlb;

	if (!clear_pages(iotlb, owner_of(did, VTD_NO_PASID), address, order))
		bump(&iotlb->generation_domain[domain_index(did)]);
	bump(&iotlb->generation_nested[domain_index(did)]);
	bump(&iotlb->epoch);
}

void vtd_iotlb_invalidate_pasid_pages(struct vtd_unit *unit, uint16_t did, uint32_t pasid,
				      uint64_t address, unsigned int order)
{
	struct vtd_iotlb *iotlb = &unit->iotlb;

	if (!clear_pages(iotlb, owner_of(did, pasid), address, order))
		bump(&iotlb->generation_pasid[pasid_index(did, pasid)]);
	bump(&iotlb->epoch);
}
