/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vtd_world.h.
 */
#include "tests/unit/vtd_world.h"

#include <string.h>

#define TABLE (VTD_SS_R | VTD_SS_W | VTD_SS_X)
#define FIRST (VTD_FS_P | VTD_FS_RW | VTD_FS_US)

static void *hostile_ptr(void *context, uint64_t gpa, uint64_t len)
{
	struct vtd_world *w = context;
	struct vtd_fixture *f = &w->f;

	if (gpa >= FIXTURE_MEMORY || len > FIXTURE_MEMORY - gpa)
		return NULL;
	if (f->hole < FIXTURE_MEMORY && gpa < f->hole + 4096 && gpa + len > f->hole)
		return NULL;
	if (w->hostile && gpa == w->hostile && !w->spare) {
		if (w->refuse)
			return NULL;
		vtd_fixture_store(f, gpa, vtd_fixture_load(f, gpa) ^ VTD_BIT(52));
	} else if (w->hostile && gpa == w->hostile) {
		w->spare--;
	}
	return f->memory + gpa;
}

static const struct vtd_memory_ops hostile_ops = { hostile_ptr };

static uint64_t entry_at(uint64_t table, uint64_t address, unsigned int level)
{
	return table + (address >> (12 + 9 * (level - 1)) & 511) * 8;
}

/* Maps all memory to itself, by pages of 4 KiB. */
static uint64_t build_second(struct vtd_world *w)
{
	uint64_t root = vtd_fixture_page(&w->f), level3 = vtd_fixture_page(&w->f);
	uint64_t level2 = vtd_fixture_page(&w->f);

	vtd_fixture_store(&w->f, w->place[AT_SS_ROOT] = root, level3 | TABLE);
	vtd_fixture_store(&w->f, w->place[AT_SS_LEVEL3] = level3, level2 | TABLE);
	w->place[AT_SS_LEVEL2] = level2;
	for (uint64_t at = 0; at < FIXTURE_MEMORY; at += UINT64_C(1) << 21) {
		uint64_t table = vtd_fixture_page(&w->f);

		vtd_fixture_store(&w->f, entry_at(level2, at, 2), table | TABLE);
		for (uint64_t page = at; page < at + (UINT64_C(1) << 21); page += 4096)
			vtd_fixture_store(&w->f, entry_at(table, page, 1), page | TABLE);
	}
	return root;
}

static uint64_t second_leaf(struct vtd_world *w, uint64_t address)
{
	uint64_t table = vtd_fixture_load(&w->f, entry_at(w->place[AT_SS_LEVEL2], address, 2));

	return entry_at(table & VTD_SS_ADDR, address, 1);
}

/* Maps WORLD_VA to w->page. */
static uint64_t build_first(struct vtd_world *w, unsigned int levels)
{
	static const enum world_place places[] = { AT_NONE,	 AT_FS_LEAF, AT_FS_LEVEL2,
						   AT_FS_LEVEL3, AT_FS_ROOT, AT_FS_ROOT };
	uint64_t root = vtd_fixture_page(&w->f), table = root;

	for (unsigned int level = levels; level > 0; level--) {
		uint64_t at = entry_at(table, WORLD_VA, level);
		uint64_t next = level > 1 ? vtd_fixture_page(&w->f) : w->page;

		if (level != 4 || levels == 4)
			w->place[places[level]] = at;
		vtd_fixture_store(&w->f, at, next | FIRST);
		table = next;
	}
	return root;
}

struct kind {
	uint64_t pgtt, fspm;
	unsigned int first; /* levels, or 0 */
	bool second;
};
static const struct kind kinds[] = {
	[WORLD_LEGACY] = { .second = true },
	[WORLD_FS] = { VTD_PGTT_FS, VTD_FSPM_4LEVEL, 4, false },
	[WORLD_FS5] = { VTD_PGTT_FS, VTD_FSPM_5LEVEL, 5, false },
	[WORLD_SS] = { VTD_PGTT_SS, 0, 0, true },
	[WORLD_NESTED] = { VTD_PGTT_NESTED, VTD_FSPM_4LEVEL, 4, true },
	[WORLD_PT] = { VTD_PGTT_PT, 0, 0, false },
};

static void build_pasid(struct vtd_world *w, uint64_t at, uint64_t fs_root, uint64_t ss_root)
{
	const struct kind *kind = &kinds[w->mode];
	uint64_t word[3] = { VTD_PASID0_P | vtd_put(kind->pgtt, VTD_PASID0_PGTT),
			     WORLD_DID | VTD_PASID1_PWSNP, 0 };

	if (kind->second)
		word[0] |= ss_root | vtd_put(VTD_AW_48, VTD_PASID0_AW);
	if (kind->first)
		word[2] = fs_root | vtd_put(kind->fspm, VTD_PASID2_FSPM);
	for (unsigned int i = 0; i < 3; i++)
		vtd_fixture_store(&w->f, at + 8 * i, word[i]);
}

static void build_legacy(struct vtd_world *w, uint64_t ss_root)
{
	uint64_t tt = w->mode == WORLD_LEGACY_PT ? VTD_TT_PASS_THROUGH : VTD_TT_UNTRANSLATED;
	uint64_t table = vtd_fixture_page(&w->f), root = vtd_fixture_page(&w->f);

	w->place[AT_ROOT] = root;
	w->place[AT_CONTEXT] = table + WORLD_SOURCE * 16;
	vtd_fixture_store(&w->f, root, table | VTD_ROOT_P);
	vtd_fixture_store(&w->f, w->place[AT_CONTEXT],
			  ss_root | VTD_CONTEXT0_P | vtd_put(tt, VTD_CONTEXT0_TT));
	vtd_fixture_store(&w->f, w->place[AT_CONTEXT] + 8,
			  vtd_put(VTD_AW_48, VTD_CONTEXT1_AW) |
				  vtd_put(WORLD_DID, VTD_CONTEXT1_DID));
	w->f.unit->root = root;
}

static void build_scalable(struct vtd_world *w, uint64_t fs_root, uint64_t ss_root)
{
	uint64_t root = vtd_fixture_page(&w->f), table = vtd_fixture_page(&w->f);
	uint64_t directory = vtd_fixture_page(&w->f), pasids = vtd_fixture_page(&w->f);

	w->place[AT_ROOT] = root;
	w->place[AT_CONTEXT] = table + WORLD_SOURCE * 32;
	w->place[AT_DIRECTORY] = directory;
	w->place[AT_RID_PASID] = pasids;
	w->place[AT_PASID] = pasids + WORLD_PASID * 64;
	vtd_fixture_store(&w->f, root, table | VTD_ROOT_P);
	vtd_fixture_store(&w->f, w->place[AT_CONTEXT],
			  directory | VTD_SM_CONTEXT0_P | VTD_SM_CONTEXT0_DTE |
				  VTD_SM_CONTEXT0_PASIDE);
	vtd_fixture_store(&w->f, directory, pasids | VTD_PASIDDIR_P);
	build_pasid(w, w->place[AT_PASID], fs_root, ss_root);
	build_pasid(w, w->place[AT_RID_PASID], fs_root, ss_root);
	w->f.unit->root = root | vtd_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM);
}

int vtd_world_init(struct vtd_world *w, enum world_mode mode)
{
	bool legacy = mode == WORLD_LEGACY || mode == WORLD_LEGACY_PT;
	const struct kind *kind = &kinds[mode];
	uint64_t fs_root = 0, ss_root = 0;
	struct vtd_config config;
	int rc;

	memset(w, 0, sizeof(*w));
	vtd_config_init(&config);
	config.aw = 57;
	rc = vtd_fixture_init(&w->f, &config);
	if (rc)
		return rc;
	w->mode = mode;
	w->requester = vtd_fixture_attach(&w->f, WORLD_SOURCE)->requester;
	w->page = vtd_fixture_page(&w->f);
	w->iova = kind->first ? WORLD_VA : w->page;
	if (kind->second || mode == WORLD_LEGACY)
		ss_root = build_second(w);
	if (kind->first)
		fs_root = build_first(w, kind->first);
	if (kind->second) {
		w->place[AT_SS_LEAF] = second_leaf(w, w->page);
		w->place[AT_SS_FS_ROOT] = second_leaf(w, fs_root);
		w->place[AT_SS_FS_LEAF] = second_leaf(w, w->place[AT_FS_LEAF]);
		w->place[AT_SS_LEVEL2] = entry_at(w->place[AT_SS_LEVEL2], w->page, 2);
	}
	if (legacy)
		build_legacy(w, ss_root);
	else
		build_scalable(w, fs_root, ss_root);
	w->f.unit->memory = &hostile_ops;
	w->f.unit->memory_context = w;
	w->f.unit->translation = true;
	return 0;
}

void vtd_world_destroy(struct vtd_world *w)
{
	vtd_fixture_destroy(&w->f);
}

void vtd_world_change(struct vtd_world *w, enum world_place place, unsigned int word,
		      uint64_t clear, uint64_t set)
{
	uint64_t at = w->place[place] + 8 * word;

	if (place != AT_NONE)
		vtd_fixture_store(&w->f, at, (vtd_fixture_load(&w->f, at) & ~clear) | set);
}

uint64_t vtd_world_word(const struct vtd_world *w, enum world_place place, unsigned int word)
{
	return vtd_fixture_load(&w->f, w->place[place] + 8 * word);
}

void vtd_world_flush(struct vtd_world *w)
{
	vtd_entries_invalidate_all(w->f.unit);
	vtd_iotlb_invalidate_all(w->f.unit);
}

int vtd_world_dma(struct vtd_world *w, uint32_t pasid, uint64_t iova, unsigned int access,
		  enum vtd_request_type type, struct vtd_result *result)
{
	struct vtd_request request = { .requester = w->requester,
				       .pasid = pasid,
				       .iova = iova,
				       .len = 16,
				       .access = access,
				       .type = type };

	memset(result, 0xa5, sizeof(*result));
	return vtd_translate(w->f.unit, &request, result);
}
