/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded entries (6.2.2, 6.2.3): set-associative, by (requester, PASID).
 *
 * Readers take no lock. A slot is guarded by a sequence number, odd while it is written. Its words
 * are atomic: writers store them with release, readers load them with acquire, so that a reader
 * who saw any word of a newer content sees the newer sequence number too, and tries no further.
 *
 * Each slot carries the sum of the generations that cover it. Generations only grow, and a reader
 * never sees an older value of one than the writer of the slot did; so the sums are equal only if
 * each generation is.
 *
 * Against what was overtaken: an invalidation counts itself in `changes` first and bumps its
 * generation then. A fill reads `changes`, memory, the generations, and `changes` again. If the
 * invalidation was counted before the second look, nothing is cached. If later, the stamp does not
 * have its generation yet. What the guest wrote before it invalidated is seen by fills that begin
 * after `changes` was counted.
 */
#include "viommu/entries.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "viommu/unit.h"

#define SLOTS	 (VTD_ENTRY_SETS * VTD_ENTRY_WAYS)
#define KEY_USED VTD_BIT(63)
#define MIX	 UINT64_C(0x9e3779b97f4a7c15)

/* One cache line; all atomic. */
struct vtd_entry_slot {
	uint64_t sequence;
	uint64_t key; /* 0: empty */
	uint64_t stamp;
	uint64_t word[VTD_ENTRY_WORDS];
	uint64_t unused;
};
_Static_assert(sizeof(struct vtd_entry_slot) == 64, "one cache line");

struct vtd_entry_use {
	uint64_t walks, page_requests, faults;
};

/* --- Generations --- */

static unsigned int domain_index(uint16_t did)
{
	return did % VTD_GENERATIONS;
}

static unsigned int pasid_index(uint16_t did, uint32_t pasid)
{
	return (unsigned int)((((uint64_t)did << 20 | pasid) * MIX) >> 54);
}
_Static_assert(VTD_GENERATIONS == 1024, "pasid_index() makes 10 bits");

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static uint64_t stamp_of(const struct vtd_entries *entries, unsigned int requester,
			 const struct vtd_entry *entry)
{
	return load(&entries->generation_all) + load(&entries->generation_source[requester]) +
	       load(&entries->generation_domain[domain_index(entry->did)]) +
	       load(&entries->generation_domain[pasid_index(entry->did, entry->pasid)]);
}

/* See the top: counted first. */
static void invalidate(struct vtd_entries *entries, uint64_t *generation)
{
	__atomic_fetch_add(&entries->changes, 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(generation, 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&entries->epoch, 1, __ATOMIC_ACQ_REL);
}

/* --- Life --- */

static void *map(size_t bytes)
{
	/* Fresh pages cost nothing until they are used, which few are. */
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int vtd_entries_init(struct vtd_unit *unit)
{
	struct vtd_entries *entries = &unit->entries;

	pthread_mutex_init(&entries->lock, NULL);
	entries->slot = map(SLOTS * sizeof(*entries->slot));
	entries->use = map(SLOTS * sizeof(*entries->use));
	entries->generation_source = calloc(VTD_REQUESTERS, sizeof(uint64_t));
	entries->generation_domain = calloc(VTD_GENERATIONS, sizeof(uint64_t));
	if (entries->slot && entries->use && entries->generation_source &&
	    entries->generation_domain)
		return 0;
	vtd_entries_destroy(unit);
	return -ENOMEM;
}

void vtd_entries_destroy(struct vtd_unit *unit)
{
	struct vtd_entries *entries = &unit->entries;

	if (entries->slot)
		munmap(entries->slot, SLOTS * sizeof(*entries->slot));
	if (entries->use)
		munmap(entries->use, SLOTS * sizeof(*entries->use));
	free(entries->generation_source);
	free(entries->generation_domain);
	pthread_mutex_destroy(&entries->lock);
	*entries = (struct vtd_entries){ 0 };
}

/* --- Slots --- */

static unsigned int index_of(const struct vtd_unit *unit, const struct vtd_requester *requester)
{
	return (unsigned int)(requester - unit->requester);
}

static uint64_t key_of(unsigned int requester, uint32_t pasid)
{
	return KEY_USED | (uint64_t)requester << 32 | pasid;
}

static unsigned int first_slot(uint64_t key)
{
	return (unsigned int)(key * MIX >> 54) * VTD_ENTRY_WAYS;
}
_Static_assert(VTD_ENTRY_SETS == 1024, "first_slot() makes 10 bits");

/* What a slot holds, if it holds @key (0: whatever it holds) and was not being written. */
static bool slot_read(const struct vtd_entry_slot *slot, uint64_t key, uint64_t *found,
		      uint64_t *stamp, struct vtd_entry *entry)
{
	/* By the word, to its place: anything wider would wait for these stores. */
	uint64_t sequence = load(&slot->sequence), *word = (uint64_t *)(void *)entry;

	*found = load(&slot->key);
	if (!*found || (key && *found != key))
		return false;
	for (unsigned int i = 0; i < VTD_ENTRY_WORDS; i++)
		word[i] = load(&slot->word[i]);
	*stamp = load(&slot->stamp);
	if (sequence & 1 || __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) != sequence)
		return false;
	return true;
}

/* entries->lock held. */
static void slot_write(struct vtd_entry_slot *slot, uint64_t key, uint64_t stamp,
		       const struct vtd_entry *entry)
{
	uint64_t sequence = slot->sequence, word[VTD_ENTRY_WORDS];

	memcpy(word, entry, sizeof(word));
	__atomic_store_n(&slot->sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->key, key, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->stamp, stamp, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < VTD_ENTRY_WORDS; i++)
		__atomic_store_n(&slot->word[i], word[i], __ATOMIC_RELEASE);
	__atomic_store_n(&slot->sequence, sequence + 2, __ATOMIC_RELEASE);
}

bool vtd_entry_cached(struct vtd_unit *unit, const struct vtd_requester *requester, uint32_t pasid,
		      struct vtd_entry *entry)
{
	const struct vtd_entries *entries = &unit->entries;
	unsigned int index = index_of(unit, requester);
	uint64_t key = key_of(index, pasid), found, stamp;
	unsigned int first = first_slot(key);

	for (unsigned int i = first; i < first + VTD_ENTRY_WAYS; i++)
		if (slot_read(&entries->slot[i], key, &found, &stamp, entry))
			return stamp == stamp_of(entries, index, entry);
	return false;
}

/* The slot that has @key, or the one to give up for it. entries->lock held. */
static unsigned int choose(const struct vtd_entries *entries, uint64_t key)
{
	unsigned int first = first_slot(key), victim = first;

	for (unsigned int i = first; i < first + VTD_ENTRY_WAYS; i++) {
		if (entries->slot[i].key == key)
			return i;
		/* The least recently written; an empty one was never. */
		if (entries->slot[i].sequence < entries->slot[victim].sequence)
			victim = i;
	}
	return victim;
}

static void insert(struct vtd_unit *unit, unsigned int index, uint64_t key, uint64_t changes,
		   const struct vtd_entry *entry)
{
	struct vtd_entries *entries = &unit->entries;
	uint64_t stamp = stamp_of(entries, index, entry);
	unsigned int i;

	if (vtd_entries_changes(entries) != changes)
		return;
	pthread_mutex_lock(&entries->lock);
	i = choose(entries, key);
	if (entries->slot[i].key != key) {
		__atomic_store_n(&entries->use[i].walks, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&entries->use[i].page_requests, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&entries->use[i].faults, 0, __ATOMIC_RELAXED);
	}
	slot_write(&entries->slot[i], key, stamp, entry);
	pthread_mutex_unlock(&entries->lock);
}

enum vtd_reason vtd_entry_get(struct vtd_unit *unit, struct vtd_requester *requester,
			      uint32_t pasid, struct vtd_entry *entry)
{
	unsigned int index = index_of(unit, requester);
	uint64_t changes = vtd_entries_changes(&unit->entries);
	enum vtd_reason reason;

	if (vtd_entry_cached(unit, requester, pasid, entry))
		return VTD_OK;
	reason = vtd_entry_read(unit, requester, pasid, entry);
	/* What is not there is never cached: the guest need not invalidate to add it (6.1). */
	if (!reason)
		insert(unit, index, key_of(index, pasid), changes, entry);
	return reason;
}

/* --- Invalidation --- */

void vtd_entries_invalidate_all(struct vtd_unit *unit)
{
	invalidate(&unit->entries, &unit->entries.generation_all);
}

void vtd_entries_invalidate_domain(struct vtd_unit *unit, uint16_t did)
{
	invalidate(&unit->entries, &unit->entries.generation_domain[domain_index(did)]);
}

void vtd_entries_invalidate_pasid(struct vtd_unit *unit, uint16_t did, uint32_t pasid)
{
	invalidate(&unit->entries, &unit->entries.generation_domain[pasid_index(did, pasid)]);
}

void vtd_entries_invalidate_source(struct vtd_unit *unit, uint16_t source, unsigned int mask)
{
	for (unsigned int i = 0; i < unit->requester_count; i++)
		if (vtd_source_matches(unit->requester[i].source, source, mask))
			invalidate(&unit->entries, &unit->entries.generation_source[i]);
}

/* --- To look at --- */

void vtd_entry_count(struct vtd_unit *unit, const struct vtd_requester *requester, uint32_t pasid,
		     enum vtd_counter which)
{
	struct vtd_entries *entries = &unit->entries;
	uint64_t key = key_of(index_of(unit, requester), pasid);
	unsigned int first = first_slot(key);

	for (unsigned int i = first; i < first + VTD_ENTRY_WAYS; i++) {
		struct vtd_entry_use *use = &entries->use[i];

		if (load(&entries->slot[i].key) != key)
			continue;
		__atomic_fetch_add(which == VTD_COUNT_WALKS	      ? &use->walks
				   : which == VTD_COUNT_PAGE_REQUESTS ? &use->page_requests
								      : &use->faults,
				   1, __ATOMIC_RELAXED);
	}
}

void vtd_each_pasid(struct vtd_unit *unit,
		    void (*each)(void *context, const struct vtd_pasid_info *info), void *context)
{
	static const char *const names[] = { [VTD_PGTT_FS] = "first-stage",
					     [VTD_PGTT_SS] = "second-stage",
					     [VTD_PGTT_NESTED] = "nested",
					     [VTD_PGTT_PT] = "pass-through" };
	const struct vtd_entries *entries = &unit->entries;

	for (unsigned int i = 0; i < SLOTS; i++) {
		const struct vtd_entry_use *use = &entries->use[i];
		struct vtd_entry entry;
		uint64_t key, stamp;
		unsigned int index;

		if (!slot_read(&entries->slot[i], 0, &key, &stamp, &entry))
			continue;
		index = (unsigned int)((key & ~KEY_USED) >> 32);
		if (stamp != stamp_of(entries, index, &entry))
			continue;
		each(context, &(struct vtd_pasid_info){
				      .source = unit->requester[index].source,
				      .pasid = (uint32_t)key,
				      .did = entry.did,
				      .type = names[entry.pgtt],
				      .root = entry.fs_levels ? entry.fs_root : entry.ss_root,
				      .walks = __atomic_load_n(&use->walks, __ATOMIC_RELAXED),
				      .page_requests = __atomic_load_n(&use->page_requests,
								       __ATOMIC_RELAXED),
				      .faults = __atomic_load_n(&use->faults, __ATOMIC_RELAXED),
			      });
	}
}
