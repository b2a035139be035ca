/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See vtd_oracle.h.
 */
#include "tests/unit/vtd_oracle.h"

#include <string.h>

static bool bit(uint64_t word, int n)
{
	return word >> n & 1;
}

/* The word at @gpa, or NULL. */
static uint64_t *at(struct oracle *o, uint64_t gpa)
{
	return gpa < ORACLE_MEMORY ? &o->word[gpa / 8] : NULL;
}

static uint64_t bits(uint64_t word, int high, int low)
{
	return word >> low & ((UINT64_C(2) << (high - low)) - 1);
}

static uint64_t address_bits(uint64_t word)
{
	return bits(word, 51, 12) << 12;
}

/* --- Second stage --- */

/* What a second-stage walk is for; chooses the reasons. */
enum purpose { LEGACY, PLAIN, ROOT, TABLE, OUTPUT, PURPOSES };

static const int width_reason[PURPOSES] = { 0x04, 0x83, 0x74, 0x74, 0x84 };
static const int read_reason[PURPOSES] = { 0x06, 0x86, 0x75, 0x76, 0x86 };
static const int write_reason[PURPOSES] = { 0x05, 0x85, 0x77, 0x77, 0x85 };

struct second {
	uint64_t gpa;
	int shift, reason;
	bool read, write, execute, dirty;
};

static bool second_entry_is_sound(uint64_t e, int level, bool leaf)
{
	if (bits(e, 51, ORACLE_HOST_BITS) || bit(e, 62))
		return false;
	if (level > 3 && bit(e, 7))
		return false;
	if (!leaf && bit(e, 11))
		return false;
	if (leaf && level == 2 && bits(e, 20, 12))
		return false;
	if (leaf && level == 3 && bits(e, 29, 12))
		return false;
	return true;
}

static int second_refusal(const struct oracle_request *q, enum purpose purpose,
			  const struct second *s)
{
	if (q->ats)
		return s->read || (s->write && q->write) ? 0 : read_reason[purpose];
	if (q->write && !s->write)
		return write_reason[purpose];
	if (q->read && !s->read && !(q->nothing && s->write))
		return read_reason[purpose];
	if (q->execute && !s->execute)
		return purpose == LEGACY ? 0x06 : 0x82;
	return 0;
}

static struct second second_walk(struct oracle *o, const struct oracle_request *q,
				 enum purpose purpose)
{
	struct second s = { .read = true, .write = true, .execute = true };
	uint64_t table = o->second_root;

	if (q->address >> (12 + 9 * o->second_levels)) {
		s.reason = width_reason[purpose];
		return s;
	}
	for (int level = o->second_levels;; level--) {
		int low = 12 + 9 * (level - 1);
		uint64_t *p = at(o, table + 8 * bits(q->address, low + 8, low));
		uint64_t mark = 0;
		bool leaf;

		if (!p) {
			bool root = level == o->second_levels;

			s.reason = purpose == LEGACY ? (root ? 0x03 : 0x07) : (root ? 0x7b : 0x78);
			return s;
		}
		if (!bit(*p, 0) && !bit(*p, 1)) {
			if (purpose != LEGACY)
				s.reason = 0x79;
			else
				s.reason = q->write && !q->ats ? 0x05 : 0x06;
			return s;
		}
		leaf = level == 1 || bit(*p, 7);
		if (!second_entry_is_sound(*p, level, leaf)) {
			s.reason = purpose == LEGACY ? 0x0c : 0x7a;
			return s;
		}
		s.read &= bit(*p, 0);
		s.write &= bit(*p, 1);
		s.execute &= bit(*p, o->ssee ? 2 : 0);
		if (leaf) {
			s.reason = second_refusal(q, purpose, &s);
			if (s.reason)
				return s;
		}
		if (o->ssade)
			mark |= 1 << 8;
		if (o->ssade && leaf && q->write && s.write)
			mark |= 1 << 9;
		if (mark & ~*p && !o->pwsnp) {
			s.reason = 0x7c;
			return s;
		}
		*p |= mark;
		if (leaf) {
			uint64_t offset = bits(q->address, low - 1, 0);

			s.gpa = (address_bits(*p) >> low << low) + offset;
			s.shift = low;
			s.dirty = !o->ssade || bit(*p, 9);
			return s;
		}
		table = address_bits(*p);
	}
}

/* --- First stage --- */

/* Where the first-stage entry at @address is in memory, for reading or for marking. */
static int locate(struct oracle *o, uint64_t address, bool root, bool write, uint64_t *gpa)
{
	struct oracle_request q = { .address = address, .read = true, .write = write };
	struct second s;

	*gpa = address;
	if (!o->second)
		return 0;
	s = second_walk(o, &q, root ? ROOT : TABLE);
	*gpa = s.gpa;
	return s.reason;
}

static bool first_entry_is_sound(uint64_t e, int level)
{
	if (bits(e, 51, ORACLE_HOST_BITS))
		return false;
	if (level > 3 && bit(e, 7))
		return false;
	if (level == 3 && bit(e, 7) && bits(e, 29, 13))
		return false;
	if (level == 2 && bit(e, 7) && bits(e, 20, 13))
		return false;
	return true;
}

static void first_walk(struct oracle *o, const struct oracle_request *q, struct oracle_answer *a)
{
	int top = o->first_levels * 9 + 11; /* the highest bit that is translated */
	bool rw = true, us = true, xd = false, ea = true;
	uint64_t table = o->first_root, upper = q->address >> top;
	struct second s = {
		.read = true, .write = true, .execute = true, .shift = 64, .dirty = true
	};

	if (upper != 0 && upper != UINT64_MAX >> top) {
		a->reason = 0x80;
		return;
	}
	for (int level = o->first_levels;; level--) {
		bool root = level == o->first_levels, leaf, may_write, may_execute;
		int low = 12 + 9 * (level - 1);
		uint64_t address = table + 8 * bits(q->address, low + 8, low), gpa, mark, output;
		uint64_t *p;

		a->reason = locate(o, address, root, false, &gpa);
		if (a->reason)
			return;
		p = at(o, gpa);
		a->reason = !p				       ? (root ? 0x73 : 0x70)
			    : !bit(*p, 0)		       ? 0x71
			    : !first_entry_is_sound(*p, level) ? 0x72
							       : 0;
		if (a->reason)
			return;
		rw &= bit(*p, 1);
		us &= bit(*p, 2);
		xd |= bit(*p, 63);
		leaf = level == 1 || bit(*p, 7);
		may_write = rw || (q->supervisor && !o->wpe);
		may_execute = !(o->nxe && xd) && !(q->supervisor && o->smep && us);
		output = (address_bits(*p) >> low << low) + bits(q->address, low - 1, 0);
		if (leaf) {
			struct oracle_request second = *q;

			if (!q->supervisor && !us)
				a->reason = 0x81;
			else if (!q->ats && q->write && !may_write)
				a->reason = 0x85;
			else if (!q->ats && q->execute && !may_execute)
				a->reason = 0x82;
			if (a->reason)
				return;
			second.address = output;
			second.write &= may_write;
			if (o->second)
				s = second_walk(o, &second, OUTPUT);
			else
				s.gpa = output;
			a->reason = s.reason;
			if (a->reason)
				return;
		}
		mark = 1 << 5;
		if (o->eafe)
			mark |= 1 << 10;
		if (leaf && q->write && may_write && s.write)
			mark |= 1 << 6;
		if (mark & ~*p) {
			if (!o->pwsnp)
				a->reason = 0x90;
			else
				a->reason = locate(o, address, root, true, &gpa);
			if (a->reason)
				return;
			*p |= mark;
		}
		ea &= bit(*p, 10);
		if (!leaf) {
			table = address_bits(*p);
			continue;
		}
		a->gpa = s.gpa;
		a->shift = low < s.shift ? low : s.shift;
		a->read = s.read;
		a->write = s.write;
		a->execute = s.execute && !(o->nxe && xd);
		a->first_write = rw;
		a->user = us;
		a->global = bit(*p, 8);
		a->dirty = bit(*p, 6) && s.dirty;
		a->extended = ea;
		return;
	}
}

/* --- Both --- */

static bool in_interrupt_range(uint64_t address)
{
	return address >> 20 == 0xfee;
}

static bool has_interrupt_range(uint64_t address, int shift)
{
	uint64_t first = address >> shift << shift, last = first + (UINT64_C(1) << shift) - 1;

	return first <= 0xfeefffff && last >= 0xfee00000;
}

void oracle_walk(struct oracle *o, const struct oracle_request *q, struct oracle_answer *a)
{
	memset(a, 0, sizeof(*a));
	if (o->first) {
		first_walk(o, q, a);
	} else {
		struct second s = second_walk(o, q, o->legacy ? LEGACY : PLAIN);

		*a = (struct oracle_answer){ .reason = s.reason,
					     .gpa = s.gpa,
					     .shift = s.shift,
					     .read = s.read,
					     .write = s.write,
					     .execute = s.execute,
					     .dirty = s.dirty,
					     .first_write = true,
					     .user = true,
					     .extended = true };
	}
	if (a->reason)
		return;
	if (in_interrupt_range(a->gpa)) {
		a->reason = o->legacy ? 0x0e : 0x87;
		return;
	}
	while (has_interrupt_range(a->gpa, a->shift))
		a->shift--;
}

/* --- Random tables --- */

static bool rarely(uint64_t random, int one_in)
{
	return random % (uint64_t)one_in == 0;
}

/* An entry whose formats both stages share: bits 0 to 2, PS, address; the rest now and then. */
static uint64_t make_entry(bool second, oracle_random *random, void *context)
{
	uint64_t r = random(context), entry = 7, page;

	/* Leaves of the second stage point to the first stage's half, tables to their own. */
	page = r % (ORACLE_PAGES / 2);
	r >>= 8;
	if (second && r % 2)
		page += ORACLE_PAGES / 2;
	r >>= 1;
	if (rarely(r, 8))
		entry |= 1 << 7;
	r >>= 3;
	if (entry & 1 << 7 && !rarely(r, 8))
		page = r >> 3 & 1 ? 0xfec00 & ~UINT64_C(0x3ffff) : 0;
	r >>= 8;
	entry |= page << 12;
	if (rarely(r, 16))
		entry &= ~(UINT64_C(1) << (r >> 4) % 3);
	r >>= 6;
	if (rarely(r, 4))
		entry |= r >> 2 & 0x760; /* flags: A, D, G, EA, in both formats */
	r = random(context);
	if (rarely(r, 64))
		entry ^= UINT64_C(1) << (r >> 6) % 64;
	r >>= 12;
	if (rarely(r, 64))
		entry = (entry & ~UINT64_C(0xfffff000)) | 0xfee00000;
	if (rarely(r >> 6, 128))
		entry = random(context);
	if (rarely(r >> 13, 8))
		entry |= UINT64_C(1) << 63;
	return entry;
}

void oracle_make(struct oracle *o, oracle_random *random, void *context)
{
	uint64_t r = random(context);

	for (unsigned int i = 0; i < ORACLE_MEMORY / 8; i++)
		o->word[i] = make_entry(i >= ORACLE_MEMORY / 16, random, context);
	o->first = r % 4 != 0;
	o->second = !o->first || r >> 2 & 1;
	o->legacy = !o->first && r >> 3 & 1;
	o->first_levels = 4 + (int)(r >> 4 & 1);
	o->second_levels = 3 + (int)(r >> 5 & 7) % 3;
	o->wpe = r >> 8 & 1;
	o->nxe = r >> 9 & 1;
	o->smep = r >> 10 & 1;
	o->eafe = r >> 11 & 1;
	o->ssade = !o->legacy && r >> 12 & 1;
	o->ssee = !o->legacy && r >> 13 & 1;
	o->pwsnp = !o->legacy && r >> 14 & 7;
	r = random(context);
	o->first_root = r % (ORACLE_PAGES / 2) << 12;
	o->second_root = (ORACLE_PAGES / 2 + (r >> 8) % (ORACLE_PAGES / 2)) << 12;
	if (rarely(r >> 16, 16))
		o->first_root = UINT64_C(1) << (20 + (r >> 24) % 26);
	if (rarely(r >> 32, 16))
		o->second_root = UINT64_C(1) << (20 + (r >> 40) % 26);
}

void oracle_make_request(const struct oracle *o, struct oracle_request *q, oracle_random *random,
			 void *context)
{
	uint64_t r = random(context);
	int levels = o->first ? o->first_levels : o->second_levels;
	int unused = 64 - (12 + 9 * levels);

	q->address = random(context);
	if (!rarely(r, 32)) {
		q->address <<= unused;
		q->address =
			o->first ? (uint64_t)((int64_t)q->address >> unused) : q->address >> unused;
	}
	if (rarely(r >> 5, 16))
		q->address = (q->address & 0xfffff) | 0xfee00000;
	q->ats = r >> 16 & 1;
	q->write = r >> 17 & 1;
	q->read = q->ats || !q->write || r >> 18 & 1;
	q->execute = !o->legacy && q->read && (r >> 19 & 3) == 0;
	q->supervisor = o->first && r >> 21 & 1;
	q->nothing = !q->ats && q->read && !q->write && !q->execute && (r >> 22 & 3) == 0;
}
