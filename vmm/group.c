// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading and printing one option's value: "first,key=value,flag". A value that holds a comma
 * stands in double quotes, in which a backslash keeps a quote or a backslash as it is.
 */
#include <errno.h>
#include <string.h>

#include "vmm/keys.h"

const struct key *group_key(const struct group *group, const char *name, size_t len)
{
	for (unsigned int i = 0; i < group->key_count; i++)
		if (strlen(group->keys[i].name) == len && !memcmp(group->keys[i].name, name, len))
			return &group->keys[i];
	return NULL;
}

const struct key *group_property(const struct group *group, const char *property)
{
	for (unsigned int i = 0; i < group->key_count; i++)
		if (!strcmp(group->keys[i].property, property))
			return &group->keys[i];
	return NULL;
}

static unsigned int *list_count(const struct group *group, struct vm_config *config)
{
	return (unsigned int *)((char *)config + group->count_offset);
}

bool group_starts(const struct group *group, const char *value)
{
	size_t len = strcspn(value, ",=/");

	return (value[len] == '=' && value[0] != '-') || group_key(group, value, len);
}

unsigned int group_objects(const struct group *group, const struct vm_config *config)
{
	if (!group->max)
		return 1;
	return *(const unsigned int *)((const char *)config + group->count_offset);
}

void *group_object(const struct group *group, struct vm_config *config, unsigned int index)
{
	return (char *)config + group->offset + index * group->stride;
}

void *group_new_object(const struct group *group, struct vm_config *config, const char *where,
		       struct config_error *error)
{
	unsigned int *count;
	void *object;

	if (!group->max)
		return group_object(group, config, 0);
	count = list_count(group, config);
	if (*count == group->max) {
		config_fail(error, "%s: too many: at most %u are possible", where, group->max);
		return NULL;
	}
	object = group_object(group, config, (*count)++);
	group->init(object);
	return object;
}

int key_assign(const struct key *key, void *object, const char *text, const char *where,
	       struct config_error *error)
{
	char expects[512];
	int r = key->type->parse(key, object, text);

	if (!r)
		return 0;
	if (r == -ENOMEM)
		return config_fail(error, "%s: out of memory", where);
	key_expects(key, expects, sizeof(expects));
	return config_fail(error, "%s: bad value '%.200s': must be %s", where, text, expects);
}

/* One word of a list. */
struct item {
	char *key;   /* NULL: bare */
	char *value; /* NULL: a key, or the first word, stands alone in value's place */
	char text[VALUE_TEXT_MAX + 64];
};

/* Copies a quoted value; *@cursor is behind the opening quote, and left behind the closing one. */
static bool copy_quoted(const char **cursor, char *to, size_t size)
{
	const char *from = *cursor;
	size_t n = 0;

	for (; *from && *from != '"'; from++) {
		if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
			from++;
		if (n + 1 >= size)
			return false;
		to[n++] = *from;
	}
	to[n] = '\0';
	*cursor = from + 1;
	return *from == '"' && (from[1] == ',' || !from[1]);
}

static bool copy_plain(const char **cursor, char *to, size_t size)
{
	size_t len = strcspn(*cursor, ",");

	if (len >= size)
		return false;
	memcpy(to, *cursor, len);
	to[len] = '\0';
	*cursor += len;
	return true;
}

/* Takes the next item off *@cursor, up to a comma or the end. False if it is malformed. */
static bool next_item(const char **cursor, struct item *item)
{
	size_t len = **cursor == '"' ? 0 : strcspn(*cursor, ",=");
	char *to = item->text;
	size_t size = sizeof(item->text);

	item->key = NULL;
	item->value = to;
	if (len && (*cursor)[len] == '=') {
		if (len + 1 >= size)
			return false;
		memcpy(to, *cursor, len);
		to[len] = '\0';
		item->key = to;
		item->value = to + len + 1;
		*cursor += len + 1;
		size -= len + 1;
	}
	if (**cursor != '"')
		return copy_plain(cursor, item->value, size);
	++*cursor;
	return copy_quoted(cursor, item->value, size);
}

static void fail_key(const struct group *group, const char *what, const char *name,
		     const char *value, const char *where, struct config_error *error)
{
	char names[512] = "";
	size_t used = 0;

	for (unsigned int i = 0; i < group->key_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 group->keys[i].name);
	config_fail(error, "%s: %s '%.60s' in '%.200s'; valid keys: %s", where, what, name, value,
		    names);
}

/* The key that @item sets, with item->value moved to the text to set it to; NULL with @error. */
static const struct key *resolve_item(const struct group *group, struct item *item, bool first,
				      const char *value, const char *where,
				      struct config_error *error)
{
	const char *name = item->key ? item->key : item->value;
	const struct key *key;

	if (first && !item->key && group->option.argument != ARGUMENT_KEYS)
		return &group->keys[0];
	key = group_key(group, name, strlen(name));
	if (!key) {
		fail_key(group, *name ? "unknown key" : "empty word", name, value, where, error);
		return NULL;
	}
	if (item->key)
		return key;
	if (!key->type->bare) {
		config_fail(error, "%s: key '%s' needs a value in '%.200s': write %s=%s", where,
			    name, value, name, key->metavar);
		return NULL;
	}
	strcpy(item->text, "on");
	return key;
}

int group_note(const struct group *group, const struct key *key, uint64_t *seen, const char *where,
	       struct config_error *error)
{
	uint64_t bit = UINT64_C(1) << (key - group->keys);

	if (*seen & bit)
		return config_fail(error, "%s: given twice: keep one", where);
	if (*seen && group->one_key)
		return config_fail(error, "%s: contradicts what stands before it: keep one", where);
	*seen |= bit;
	return 0;
}

static int parse_item(const struct group *group, void *object, struct item *item, bool first,
		      const char *value, uint64_t *seen, const char *where,
		      struct config_error *error)
{
	const struct key *key = resolve_item(group, item, first, value, where, error);
	char place[256];

	if (!key)
		return -EINVAL;
	snprintf(place, sizeof(place), "%.200s: %s", where, key->name);
	if (group_note(group, key, seen, place, error))
		return -EINVAL;
	return key_assign(key, object, item->value, place, error);
}

int group_parse(const struct group *group, struct vm_config *config, const char *value,
		const char *where, struct config_error *error)
{
	void *object = group_new_object(group, config, where, error);
	const char *cursor = value;
	uint64_t seen = 0;
	struct item item;

	if (!object)
		return -EINVAL;
	if (group->whole)
		return key_assign(&group->keys[0], object, value, where, error);
	if (group->option.argument == ARGUMENT_KEYS && !*value)
		return 0;
	do {
		if (cursor != value)
			cursor++; /* the comma */
		if (!next_item(&cursor, &item))
			return config_fail(error,
					   "%s: '%.200s' has a word that is too long or a quote "
					   "that does not close",
					   where, value);
		if (parse_item(group, object, &item, !seen, value, &seen, where, error))
			return -EINVAL;
	} while (*cursor);
	return 0;
}

/* Prints @text so that next_item() reads it back. */
static void print_value(const char *text, FILE *out)
{
	if (!strpbrk(text, ",\"") && *text) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

bool group_print(const struct group *group, const struct vm_config *config, unsigned int index,
		 FILE *out)
{
	const void *object = (const char *)config + group->offset + index * group->stride;
	char text[VALUE_TEXT_MAX];
	bool any = false;

	for (unsigned int i = 0; i < group->key_count; i++) {
		const struct key *key = &group->keys[i];

		if (!key->type->format(key, object, text))
			continue;
		if (group->whole)
			fputs(text, out);
		else {
			fprintf(out, "%s%s=", any ? "," : "", key->name);
			print_value(text, out);
		}
		any = true;
	}
	return any;
}
