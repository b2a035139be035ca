// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a manifest; see manifest.h. Every property becomes the text that its option would take,
 * so that ranges are checked and errors are worded in one place, group.c.
 */
#include "vmm/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/fdt_sound.h"
#include "vmm/keys.h"
#include "vmm/nearest.h"

struct reader {
	const void *fdt;
	struct vm_config *config;
	const char *path;      /* of the manifest, for messages */
	const char *directory; /* for relative paths */
	uint64_t nodes_seen;   /* a bit for the first group of each node read */
	struct config_error *error;
};

/* A property's bytes: big-endian cells, or text. */
struct property {
	const char *name;
	const void *data;
	int len; /* bytes, not negative */
};

/* Turns a property into @text as an option takes it; false if it has not the form it must have. */
typedef bool wire_read(const struct reader *reader, const struct property *property,
		       char text[VALUE_TEXT_MAX]);

static bool read_string(const struct reader *reader, const struct property *property,
			char text[VALUE_TEXT_MAX])
{
	size_t len = (size_t)property->len;

	(void)reader;
	if (!len || len > VALUE_TEXT_MAX || strnlen(property->data, len) != len - 1)
		return false;
	memcpy(text, property->data, len);
	return true;
}

static bool read_path(const struct reader *reader, const struct property *property,
		      char text[VALUE_TEXT_MAX])
{
	char path[VALUE_TEXT_MAX];
	int n;

	if (!read_string(reader, property, path))
		return false;
	if (path[0] == '/' || !path[0] || !reader->directory[0])
		n = snprintf(text, VALUE_TEXT_MAX, "%s", path);
	else
		n = snprintf(text, VALUE_TEXT_MAX, "%s/%s", reader->directory, path);
	return n < VALUE_TEXT_MAX;
}

static bool read_cell(const struct reader *reader, const struct property *property,
		      char text[VALUE_TEXT_MAX])
{
	(void)reader;
	if (property->len != sizeof(fdt32_t))
		return false;
	snprintf(text, VALUE_TEXT_MAX, "%" PRIu32, fdt32_ld(property->data));
	return true;
}

static bool read_flag(const struct reader *reader, const struct property *property,
		      char text[VALUE_TEXT_MAX])
{
	(void)reader;
	strcpy(text, "on");
	return !property->len;
}

static bool read_switch(const struct reader *reader, const struct property *property,
			char text[VALUE_TEXT_MAX])
{
	return read_flag(reader, property, text) || read_string(reader, property, text);
}

static bool read_port(const struct reader *reader, const struct property *property,
		      char text[VALUE_TEXT_MAX])
{
	return read_flag(reader, property, text) || read_cell(reader, property, text);
}

static bool read_bytes(const struct reader *reader, const struct property *property,
		       char text[VALUE_TEXT_MAX])
{
	const uint8_t *b = property->data;

	(void)reader;
	if (property->len != 6)
		return false;
	snprintf(text, VALUE_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5]);
	return true;
}

/* One range of memory from 0, with as many cells as the root node says: one or two each. */
static bool read_reg(const struct reader *reader, const struct property *property,
		     char text[VALUE_TEXT_MAX])
{
	int address_cells = fdt_address_cells(reader->fdt, 0);
	int size_cells = fdt_size_cells(reader->fdt, 0);
	const fdt32_t *cell = property->data;
	uint64_t size = 0;

	if (address_cells < 1 || address_cells > 2 || size_cells < 1 || size_cells > 2 ||
	    property->len != (address_cells + size_cells) * (int)sizeof(*cell))
		return false;
	for (int i = 0; i < address_cells; i++)
		if (fdt32_ld(cell++))
			return false;
	for (int i = 0; i < size_cells; i++)
		size = size << 32 | fdt32_ld(cell++);
	snprintf(text, VALUE_TEXT_MAX, "%" PRIu64 "B", size);
	return true;
}

static const struct {
	wire_read *read;
	const char *form;
} wires[] = {
	[WIRE_STRING] = { read_string, "one string, as in \"text\"" },
	[WIRE_PATH] = { read_path, "one string of at most 4095 bytes, as in \"path\"" },
	[WIRE_CELL] = { read_cell, "one number, as in <1>" },
	[WIRE_FLAG] = { read_flag, "empty: it is on by being there" },
	[WIRE_SWITCH] = { read_switch, "\"on\" or \"off\"" },
	[WIRE_PORT] = { read_port, "empty or one number, as in <0xf4>" },
	[WIRE_BYTES] = { read_bytes, "six bytes, as in [52 54 00 12 34 56]" },
	[WIRE_REG] = { read_reg, "one range from 0, as in <0 0 0 0x20000000> with two address and "
				 "two size cells" },
};

/* What device trees have for their own sake. */
static bool is_structural(const char *property)
{
	static const char *const names[] = { "compatible", "device_type", "phandle",
					     "#address-cells", "#size-cells" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(property, names[i]))
			return true;
	return false;
}

static int fail_property(const struct reader *reader, const char *place, const char *where)
{
	char names[512] = "";

	for (unsigned int i = 0; i < group_count; i++)
		for (unsigned int j = 0; j < groups[i].key_count; j++)
			if (!strcmp(groups[i].node, place))
				list_add(names, sizeof(names), "%s", groups[i].keys[j].property);
	return config_fail(reader->error, "%s: unknown property; valid ones: %s", where, names);
}

/* Which group of those at @place has the property; NULL: none. */
static const struct group *find_group(const char *place, const char *property,
				      const struct key **key)
{
	for (unsigned int i = 0; i < group_count; i++)
		if (!strcmp(groups[i].node, place)) {
			*key = group_property(&groups[i], property);
			if (*key)
				return &groups[i];
		}
	return NULL;
}

/* @list: the object that a list's node fills; NULL: the groups' own. */
static int read_property(struct reader *reader, const char *place, void *list, const char *where,
			 const struct property *property, uint64_t seen[GROUPS_MAX])
{
	const struct group *group;
	const struct key *key;
	char text[VALUE_TEXT_MAX];

	if (is_structural(property->name))
		return 0;
	group = find_group(place, property->name, &key);
	if (!group)
		return fail_property(reader, place, where);
	if (!wires[key->type->wire].read(reader, property, text))
		return config_fail(reader->error, "%s: bad value: must be %s", where,
				   wires[key->type->wire].form);
	if (group_note(group, key, &seen[group - groups], where, reader->error))
		return -EINVAL;
	return key_assign(key, list ? list : group_object(group, reader->config, 0), text, where,
			  reader->error);
}

static int read_properties(struct reader *reader, int node, const char *place, void *list)
{
	const char *node_name = fdt_get_name(reader->fdt, node, NULL);
	uint64_t seen[GROUPS_MAX] = { 0 };
	char where[512];
	int offset;

	fdt_for_each_property_offset(offset, reader->fdt, node)
	{
		struct property property;

		property.data =
			fdt_getprop_by_offset(reader->fdt, offset, &property.name, &property.len);
		if (!property.data)
			return config_fail(reader->error, "%s: broken: %s", reader->path,
					   fdt_strerror(property.len));
		snprintf(where, sizeof(where), "%.200s: /%.60s: %.60s", reader->path,
			 node_name ? node_name : "", property.name);
		if (read_property(reader, place, list, where, &property, seen))
			return -EINVAL;
	}
	return 0;
}

/* Whether a node called @name is the single node @place: its unit address may be left out. */
static bool is_node(const char *name, const char *place)
{
	size_t stem = strcspn(place + 1, "@");

	if (!name[0])
		return false;
	return !strcmp(name, place + 1) || (strlen(name) == stem && !memcmp(name, place + 1, stem));
}

/* The first group that @node belongs to, or NULL. */
static const struct group *find_place(const struct reader *reader, int node)
{
	const char *name = fdt_get_name(reader->fdt, node, NULL);

	for (unsigned int i = 0; name && i < group_count; i++)
		if (groups[i].max
			    ? !fdt_node_check_compatible(reader->fdt, node, groups[i].compatible)
			    : is_node(name, groups[i].node))
			return &groups[i];
	return NULL;
}

static int fail_node(const struct reader *reader, int node)
{
	const char *name = fdt_get_name(reader->fdt, node, NULL);
	char names[512] = "";

	for (unsigned int i = 0; i < group_count; i++) {
		const char *text = groups[i].max ? groups[i].compatible : groups[i].node + 1;

		/* Groups of one node stand together. */
		if (*text && (!i || strcmp(groups[i].node, groups[i - 1].node)))
			list_add(names, sizeof(names), "%s%s", groups[i].max ? "compatible " : "",
				 text);
	}
	return config_fail(reader->error, "%s: unknown node '%.60s'; valid ones: %s", reader->path,
			   name ? name : "?", names);
}

static int read_node(struct reader *reader, int node)
{
	const struct group *group = find_place(reader, node);
	void *list = NULL;
	char where[512];
	uint64_t bit;

	if (!group)
		return fail_node(reader, node);
	snprintf(where, sizeof(where), "%.200s: /%.60s", reader->path,
		 fdt_get_name(reader->fdt, node, NULL));
	bit = UINT64_C(1) << (group - groups);
	if (group->max) {
		list = group_new_object(group, reader->config, where, reader->error);
		if (!list)
			return -EINVAL;
	} else if (reader->nodes_seen & bit) {
		return config_fail(reader->error, "%s: given twice: keep one", where);
	}
	reader->nodes_seen |= bit;
	if (fdt_first_subnode(reader->fdt, node) >= 0)
		return fail_node(reader, fdt_first_subnode(reader->fdt, node));
	return read_properties(reader, node, group->node, list);
}

static int read_tree(struct reader *reader)
{
	int node;

	if (fdt_node_check_compatible(reader->fdt, 0, "nidus,vm"))
		return config_fail(reader->error,
				   "%s: describes no VM: its root needs compatible = \"nidus,vm\"",
				   reader->path);
	if (read_properties(reader, 0, "/", NULL))
		return -EINVAL;
	fdt_for_each_subnode(node, reader->fdt, 0) if (read_node(reader, node)) return -EINVAL;
	return 0;
}

/* Whether this is text rather than a blob: what someone forgot to compile. */
static bool looks_like_source(const void *blob, size_t size)
{
	static const char tag[] = "/dts-v1/";
	const char *text = blob;

	for (size_t i = 0; i < size && i < 4096; i++)
		if (size - i >= sizeof(tag) - 1 && !memcmp(text + i, tag, sizeof(tag) - 1))
			return true;
	return false;
}

int manifest_parse(struct vm_config *config, const void *blob, size_t size, const char *path,
		   const char *directory, struct config_error *error)
{
	struct reader reader = {
		.fdt = blob,
		.config = config,
		.path = path,
		.directory = directory,
		.error = error,
	};
	const char *wrong;
	int r;

	if (size < sizeof(fdt32_t) || fdt32_ld(blob) != FDT_MAGIC) {
		if (looks_like_source(blob, size))
			return config_fail(error,
					   "%s: is device tree source; compile it first: "
					   "dtc -O dtb -o vm.dtb %s",
					   path, path);
		return config_fail(error,
				   "%s: is not a device tree blob; make one with dtc from .dts "
				   "source, or with `nidus check --dtb`",
				   path);
	}
	wrong = fdt_unsound(blob, size);
	r = wrong ? 0 : fdt_check_full(blob, size);
	if (wrong || r)
		return config_fail(error, "%s: is a broken device tree blob (%s); compile it again",
				   path, wrong ? wrong : fdt_strerror(r));
	return read_tree(&reader);
}

/* Reads all of @fd, at most @size bytes; returns how many, or negative errno. */
static ssize_t read_all(int fd, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)buffer + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Reads the file into @buffer of MANIFEST_MAX + 1 bytes. */
static ssize_t read_file(const char *path, void *buffer, struct config_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return config_fail(error, "--manifest: cannot open '%s': %s; give a .dtb file",
				   path, strerror(errno));
	n = read_all(fd, buffer, MANIFEST_MAX + 1);
	close(fd);
	if (n < 0)
		return config_fail(error, "--manifest: cannot read '%s': %s; give a .dtb file",
				   path, strerror((int)-n));
	if (!n)
		return config_fail(error, "--manifest: '%s' is empty; give a .dtb file", path);
	if (n > MANIFEST_MAX)
		return config_fail(error, "--manifest: '%s' is larger than 1 MiB; give a .dtb file",
				   path);
	return n;
}

int manifest_read(struct vm_config *config, const char *path, struct config_error *error)
{
	const char *slash = strrchr(path, '/');
	void *buffer = calloc(1, MANIFEST_MAX + 1);
	char *directory = strndup(path, slash ? (size_t)(slash - path) : 0);
	ssize_t n;
	int r;

	if (!buffer || !directory) {
		r = config_fail(error, "--manifest: out of memory");
	} else {
		n = read_file(path, buffer, error);
		r = n < 0 ? -EINVAL
			  : manifest_parse(config, buffer, (size_t)n, path,
					   slash == path ? "/." : directory, error);
	}
	free(buffer);
	free(directory);
	return r;
}
