// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing a manifest; see manifest.h. The inverse of manifest.c: a configuration that was written
 * and read again is the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/keys.h"
#include "vmm/manifest.h"

/* Writes the property @name with the value that @text is the textual form of. */
typedef int wire_write(void *fdt, const char *name, const struct key *key, const void *object,
		       const char *text);

static int write_string(void *fdt, const char *name, const struct key *key, const void *object,
			const char *text)
{
	(void)key;
	(void)object;
	return fdt_property_string(fdt, name, text);
}

static int write_cell(void *fdt, const char *name, const struct key *key, const void *object,
		      const char *text)
{
	(void)key;
	(void)object;
	return fdt_property_u32(fdt, name, (uint32_t)strtoul(text, NULL, 0));
}

/* Off is said by leaving the property out. */
static int write_flag(void *fdt, const char *name, const struct key *key, const void *object,
		      const char *text)
{
	(void)key;
	(void)object;
	return strcmp(text, "on") ? 0 : fdt_property(fdt, name, NULL, 0);
}

static int write_port(void *fdt, const char *name, const struct key *key, const void *object,
		      const char *text)
{
	return strcmp(text, "off") ? write_cell(fdt, name, key, object, text) : 0;
}

static int write_bytes(void *fdt, const char *name, const struct key *key, const void *object,
		       const char *text)
{
	const struct net_config *net = object;

	(void)key;
	(void)text;
	return fdt_property(fdt, name, net->mac, sizeof(net->mac));
}

static int write_reg(void *fdt, const char *name, const struct key *key, const void *object,
		     const char *text)
{
	const uint64_t *size = (const void *)((const char *)object + key->offset);
	fdt64_t reg[2] = { 0, cpu_to_fdt64(*size) };
	int r = fdt_property_string(fdt, "device_type", "memory");

	(void)text;
	return r ? r : fdt_property(fdt, name, reg, sizeof(reg));
}

static wire_write *const wires[] = {
	[WIRE_STRING] = write_string, [WIRE_PATH] = write_string,   [WIRE_CELL] = write_cell,
	[WIRE_FLAG] = write_flag,     [WIRE_SWITCH] = write_string, [WIRE_PORT] = write_port,
	[WIRE_BYTES] = write_bytes,   [WIRE_REG] = write_reg,
};

static int write_object(void *fdt, const struct group *group, const void *object)
{
	char text[VALUE_TEXT_MAX];
	int r = 0;

	for (unsigned int i = 0; !r && i < group->key_count; i++) {
		const struct key *key = &group->keys[i];

		if (key->type->format(key, object, text))
			r = wires[key->type->wire](fdt, key->property, key, object, text);
	}
	return r;
}

/* The properties of a node that is not a list's: it may hold several groups. */
static int write_place(void *fdt, const struct vm_config *config, const char *place)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < group_count; i++)
		if (!strcmp(groups[i].node, place))
			r = write_object(fdt, &groups[i], (const char *)config + groups[i].offset);
	return r;
}

static int write_list(void *fdt, const struct vm_config *config, const struct group *group)
{
	const char *first = (const char *)config + group->offset;
	char name[32];
	int r = 0;

	for (unsigned int i = 0; !r && i < group_objects(group, config); i++) {
		snprintf(name, sizeof(name), "%s-%u", group->node, i);
		r = fdt_begin_node(fdt, name);
		if (!r)
			r = fdt_property_string(fdt, "compatible", group->compatible);
		if (!r)
			r = write_object(fdt, group, first + i * group->stride);
		if (!r)
			r = fdt_end_node(fdt);
	}
	return r;
}

static bool is_first_of_place(const struct group *group)
{
	for (const struct group *g = groups; g < group; g++)
		if (!strcmp(g->node, group->node))
			return false;
	return true;
}

static int write_node(void *fdt, const struct vm_config *config, const struct group *group)
{
	int r;

	if (group->max)
		return write_list(fdt, config, group);
	if (!strcmp(group->node, "/") || !is_first_of_place(group))
		return 0;
	r = fdt_begin_node(fdt, group->node + 1);
	if (!r)
		r = write_place(fdt, config, group->node);
	return r ? r : fdt_end_node(fdt);
}

static int write_root(void *fdt, const struct vm_config *config)
{
	int r = fdt_begin_node(fdt, "");

	if (!r)
		r = fdt_property_string(fdt, "compatible", "nidus,vm");
	if (!r)
		r = fdt_property_u32(fdt, "#address-cells", 2);
	if (!r)
		r = fdt_property_u32(fdt, "#size-cells", 2);
	if (!r)
		r = write_place(fdt, config, "/");
	for (unsigned int i = 0; !r && i < group_count; i++)
		r = write_node(fdt, config, &groups[i]);
	return r ? r : fdt_end_node(fdt);
}

int manifest_build(const struct vm_config *config, void *buffer, size_t size)
{
	int r = fdt_create(buffer, (int)size);

	if (!r)
		r = fdt_finish_reservemap(buffer);
	if (!r)
		r = write_root(buffer, config);
	if (!r)
		r = fdt_finish(buffer);
	return r ? r : (int)fdt_totalsize(buffer);
}

/* Makes the path at @field absolute; a NULL or absolute one stays. */
static int make_absolute(char **field, const char *directory)
{
	char *path;

	if (!*field || **field == '/')
		return 0;
	if (asprintf(&path, "%s/%s", directory, *field) < 0)
		return -ENOMEM;
	free(*field);
	*field = path;
	return 0;
}

static int make_paths_absolute(struct vm_config *config)
{
	char directory[PATH_MAX];

	if (!getcwd(directory, sizeof(directory)))
		return -errno;
	for (unsigned int i = 0; i < group_count; i++)
		for (unsigned int j = 0; j < group_objects(&groups[i], config); j++)
			for (unsigned int k = 0; k < groups[i].key_count; k++) {
				const struct key *key = &groups[i].keys[k];
				char *object = group_object(&groups[i], config, j);

				if (key->type->wire == WIRE_PATH &&
				    make_absolute((char **)(void *)(object + key->offset),
						  directory))
					return -ENOMEM;
			}
	return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Writes straight to what is no regular file: a pipe, /dev/stdout. */
static int write_special(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, data, size);
	if (close(fd) && !r)
		r = -errno;
	return r;
}

/* Readers of @path see the old file or the new one, never a part. */
static int replace_file(const char *path, const void *data, size_t size)
{
	char *temporary;
	int fd, r;

	if (asprintf(&temporary, "%s.%d.tmp", path, getpid()) < 0)
		return -ENOMEM;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		r = -errno;
		free(temporary);
		return r;
	}
	r = write_all(fd, data, size);
	if (close(fd) && !r)
		r = -errno;
	if (!r && rename(temporary, path))
		r = -errno;
	if (r)
		unlink(temporary);
	free(temporary);
	return r;
}

static int write_file(const char *path, const void *data, size_t size)
{
	struct stat st;

	if (!strcmp(path, "-"))
		return write_all(STDOUT_FILENO, data, size);
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return write_special(path, data, size);
	return replace_file(path, data, size);
}

int manifest_write(struct vm_config *config, const char *path, struct config_error *error)
{
	void *buffer = malloc(MANIFEST_MAX);
	int n, r;

	if (!buffer)
		return config_fail(error, "--dtb: out of memory");
	r = make_paths_absolute(config);
	n = r ? 0 : manifest_build(config, buffer, MANIFEST_MAX);
	if (n < 0) {
		free(buffer);
		return config_fail(error, "--dtb: cannot build the manifest: %s", fdt_strerror(n));
	}
	if (!r)
		r = write_file(path, buffer, (size_t)n);
	free(buffer);
	if (r)
		return config_fail(error, "--dtb: cannot write '%s': %s; give another file", path,
				   strerror(-r));
	return 0;
}
