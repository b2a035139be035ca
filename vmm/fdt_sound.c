// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One pass over a device tree blob that believes nothing; see fdt_sound.h. Chapters are those of
 * the Devicetree Specification 0.4.
 */
#include "vmm/fdt_sound.h"

#include <libfdt.h>
#include <string.h>

#include "devices/base.h"

#define DEPTH_MAX 16

struct walk {
	const char *structure; /* 5.4 */
	uint32_t size;	       /* bytes of it */
	uint32_t at;	       /* always at most size, a multiple of 4 */
	const char *strings;   /* 5.5 */
	uint32_t strings_size;
	unsigned int depth;
	bool root_done;
	bool node_had_child; /* properties must come before: libfdt would overlook them */
};

/* 5.4.1: alignment of everything in the structure block. Returns false at its end. */
static bool advance(struct walk *walk, uint64_t bytes)
{
	uint64_t aligned = align_up(bytes, sizeof(fdt32_t));

	if (!range_fits(walk->at, aligned, walk->size))
		return false;
	walk->at += (uint32_t)aligned;
	return true;
}

static const char *begin_node(struct walk *walk)
{
	const char *name = walk->structure + walk->at;
	size_t room = walk->size - walk->at;
	size_t len = strnlen(name, room);

	if (walk->root_done)
		return "it has two root nodes";
	if (len == room || !advance(walk, len + 1))
		return "a node's name does not end";
	if (++walk->depth > DEPTH_MAX)
		return "its nodes nest too deep";
	walk->node_had_child = false;
	return NULL;
}

static const char *end_node(struct walk *walk)
{
	if (!walk->depth)
		return "a node ends that did not begin";
	walk->root_done = !--walk->depth;
	walk->node_had_child = true; /* seen from the parent, which goes on */
	return NULL;
}

static const char *property(struct walk *walk)
{
	const struct {
		fdt32_t len;
		fdt32_t name;
	} *header = (const void *)(walk->structure + walk->at);
	uint32_t name;

	if (!walk->depth || walk->node_had_child)
		return "a property stands where none may be";
	if (!advance(walk, sizeof(*header)) || !advance(walk, fdt32_ld(&header->len)))
		return "a property's value does not fit";
	name = fdt32_ld(&header->name);
	if (name >= walk->strings_size ||
	    !memchr(walk->strings + name, '\0', walk->strings_size - name))
		return "a property's name does not end";
	return NULL;
}

/* Bounded by the size of the block: each turn advances by four bytes at least. */
static const char *walk_structure(struct walk *walk)
{
	const char *wrong = NULL;

	while (!wrong) {
		const fdt32_t *tag = (const void *)(walk->structure + walk->at);

		if (!advance(walk, sizeof(*tag)))
			return "its structure does not end";
		switch (fdt32_ld(tag)) {
		case FDT_BEGIN_NODE:
			wrong = begin_node(walk);
			break;
		case FDT_END_NODE:
			wrong = end_node(walk);
			break;
		case FDT_PROP:
			wrong = property(walk);
			break;
		case FDT_NOP:
			break;
		case FDT_END:
			return walk->root_done ? NULL : "its structure ends within a node";
		default:
			return "its structure has an unknown part";
		}
	}
	return wrong;
}

/* 5.3: pairs of address and size, ended by a pair of zeros. */
static bool reservations_end(const char *blob, uint64_t offset, uint64_t size)
{
	static const struct fdt_reserve_entry last;

	/* Bounded by the blob's size. */
	for (; range_fits(offset, sizeof(last), size); offset += sizeof(last))
		if (!memcmp(blob + offset, &last, sizeof(last)))
			return true;
	return false;
}

const char *fdt_unsound(const void *blob, size_t size)
{
	uint32_t total;
	struct walk walk;

	if (size < sizeof(struct fdt_header))
		return "it is shorter than a header";
	/* What dtc has written since 2007; older versions have no size for the structure. */
	if (fdt_version(blob) != FDT_LAST_SUPPORTED_VERSION ||
	    fdt_last_comp_version(blob) != FDT_LAST_COMPATIBLE_VERSION)
		return "its version is not 17";
	total = fdt_totalsize(blob);
	if (total > size)
		return "it is cut short";
	if (fdt_off_dt_struct(blob) % sizeof(fdt32_t) || fdt_off_mem_rsvmap(blob) % 8 ||
	    !range_fits(fdt_off_dt_struct(blob), fdt_size_dt_struct(blob), total) ||
	    !range_fits(fdt_off_dt_strings(blob), fdt_size_dt_strings(blob), total))
		return "its parts are not where its header says";
	if (!reservations_end(blob, fdt_off_mem_rsvmap(blob), total))
		return "its memory reservations do not end";
	walk = (struct walk){
		.structure = (const char *)blob + fdt_off_dt_struct(blob),
		.size = (uint32_t)align_down(fdt_size_dt_struct(blob), sizeof(fdt32_t)),
		.strings = (const char *)blob + fdt_off_dt_strings(blob),
		.strings_size = fdt_size_dt_strings(blob),
	};
	return walk_structure(&walk);
}
