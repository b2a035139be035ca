// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The general types of values: strings, numbers, switches and choices; text to field and back. One
 * parser each, whether the text came from the command line or from a manifest.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "devices/base.h"
#include "vmm/keys.h"

static void *field_of(const struct key *key, void *object)
{
	return (char *)object + key->offset;
}

static const void *const_field_of(const struct key *key, const void *object)
{
	return (const char *)object + key->offset;
}

/* Strings. */

int store_string(const struct key *key, void *object, const char *text)
{
	char **field = field_of(key, object);
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

bool format_string(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const char *const *field = const_field_of(key, object);

	if (!*field)
		return false;
	snprintf(text, VALUE_TEXT_MAX, "%s", *field);
	return true;
}

static int parse_string(const struct key *key, void *object, const char *text)
{
	return strlen(text) <= key->max ? store_string(key, object, text) : -EINVAL;
}

int parse_path(const struct key *key, void *object, const char *text)
{
	size_t len = strlen(text);

	return len && len < PATH_MAX ? store_string(key, object, text) : -EINVAL;
}

static bool is_name(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
			return false;
	return len && len <= max && text[0] != '.';
}

static int parse_name(const struct key *key, void *object, const char *text)
{
	return is_name(text, key->max) ? store_string(key, object, text) : -EINVAL;
}

static int parse_serial(const struct key *key, void *object, const char *text)
{
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p))
			return -EINVAL;
	return *text && strlen(text) <= key->max ? store_string(key, object, text) : -EINVAL;
}

/* Numbers. */

/* A leading zero is not octal: nobody who writes 010 virtual CPUs means eight. */
int parse_digits(const char *text, uint64_t *value, const char **end)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	unsigned long long number;
	char *stop;

	if (hex ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return -EINVAL;
	errno = 0;
	number = strtoull(digits, &stop, hex ? 16 : 10);
	if (errno)
		return -EINVAL;
	*value = number;
	*end = stop;
	return 0;
}

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *end;

	if (parse_digits(text, value, &end) || *end || *value < min || *value > max)
		return -EINVAL;
	return 0;
}

static int parse_uint(const struct key *key, void *object, const char *text)
{
	unsigned int *field = field_of(key, object);
	uint64_t value;

	if (parse_number(text, key->min, key->max, &value))
		return -EINVAL;
	*field = (unsigned int)value;
	return 0;
}

static bool format_uint(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const unsigned int *field = const_field_of(key, object);

	snprintf(text, VALUE_TEXT_MAX, "%u", *field);
	return true;
}

/* 0 to 2 are stdin, stdout and stderr, which have their own uses. */
static int parse_fd(const struct key *key, void *object, const char *text)
{
	int *field = field_of(key, object);
	uint64_t value;

	if (parse_number(text, 3, INT_MAX, &value))
		return -EINVAL;
	*field = (int)value;
	return 0;
}

static bool format_fd(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const int *field = const_field_of(key, object);

	if (*field < 0)
		return false;
	snprintf(text, VALUE_TEXT_MAX, "%d", *field);
	return true;
}

static const struct {
	char suffix;
	unsigned int shift;
} size_units[] = { { 'T', 40 }, { 'G', 30 }, { 'M', 20 }, { 'K', 10 } };

/* The unit that @text names, which is all of it: "", "G", "g" or "GiB", or "B" for bytes. */
static int read_unit(const char *text, unsigned int *shift)
{
	if (!*text || !strcmp(text, "B")) {
		*shift = *text ? 0 : 20;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(size_units); i++)
		if (toupper((unsigned char)*text) == size_units[i].suffix &&
		    (!text[1] || !strcmp(text + 1, "iB"))) {
			*shift = size_units[i].shift;
			return 0;
		}
	return -EINVAL;
}

static int parse_size(const struct key *key, void *object, const char *text)
{
	uint64_t *field = field_of(key, object);
	unsigned int shift;
	const char *end;
	uint64_t value;

	if (parse_digits(text, &value, &end) || read_unit(end, &shift) ||
	    value > UINT64_MAX >> shift)
		return -EINVAL;
	value <<= shift;
	if (value < key->min || value > key->max || value % PAGE_SIZE_4K)
		return -EINVAL;
	*field = value;
	return 0;
}

static bool format_size(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const uint64_t *field = const_field_of(key, object);

	for (size_t i = 0; i < ARRAY_SIZE(size_units); i++)
		if (!(*field & ((UINT64_C(1) << size_units[i].shift) - 1))) {
			snprintf(text, VALUE_TEXT_MAX, "%" PRIu64 "%c",
				 *field >> size_units[i].shift, size_units[i].suffix);
			return true;
		}
	snprintf(text, VALUE_TEXT_MAX, "%" PRIu64 "B", *field);
	return true;
}

/* Switches and choices. */

int parse_switch(const char *text, bool *value)
{
	static const char *const words[][2] = {
		{ "off", "on" }, { "false", "true" }, { "no", "yes" }, { "0", "1" }
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		for (int on = 0; on < 2; on++)
			if (!strcmp(text, words[i][on])) {
				*value = on;
				return 0;
			}
	return -EINVAL;
}

static int parse_bool(const struct key *key, void *object, const char *text)
{
	return parse_switch(text, field_of(key, object));
}

static bool format_bool(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const bool *field = const_field_of(key, object);

	strcpy(text, *field ? "on" : "off");
	return true;
}

static int parse_choice(const struct key *key, void *object, const char *text)
{
	unsigned int *field = field_of(key, object);

	for (unsigned int i = 0; key->choices[i]; i++)
		if (!strcmp(text, key->choices[i])) {
			*field = i;
			return 0;
		}
	return -EINVAL;
}

static bool format_choice(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const unsigned int *field = const_field_of(key, object);

	strcpy(text, key->choices[*field]);
	return true;
}

static const char *const toggle_names[] = { "auto", "on", "off" };

static int parse_toggle(const struct key *key, void *object, const char *text)
{
	enum toggle *field = field_of(key, object);
	bool on;

	if (!strcmp(text, toggle_names[TOGGLE_AUTO])) {
		*field = TOGGLE_AUTO;
		return 0;
	}
	if (parse_switch(text, &on))
		return -EINVAL;
	*field = on ? TOGGLE_ON : TOGGLE_OFF;
	return 0;
}

static bool format_toggle(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const enum toggle *field = const_field_of(key, object);

	strcpy(text, toggle_names[*field]);
	return *field != TOGGLE_AUTO;
}

/* A choice among numbers, held as the number. */
static int parse_width(const struct key *key, void *object, const char *text)
{
	unsigned int *field = field_of(key, object);

	for (unsigned int i = 0; key->choices[i]; i++)
		if (!strcmp(text, key->choices[i])) {
			*field = (unsigned int)strtoul(text, NULL, 10);
			return 0;
		}
	return -EINVAL;
}

/* What a value must be, where that depends on the key. */

static void expects_length(const struct key *key, char *text, size_t size)
{
	snprintf(text, size, "at most %" PRIu64 " bytes", key->max);
}

static void expects_name(const struct key *key, char *text, size_t size)
{
	snprintf(text, size,
		 "1 to %" PRIu64 " letters, digits, '.', '_' or '-', not starting with '.'",
		 key->max);
}

static void expects_number(const struct key *key, char *text, size_t size)
{
	snprintf(text, size, "a number from %" PRIu64 " to %" PRIu64, key->min, key->max);
}

static void expects_size(const struct key *key, char *text, size_t size)
{
	snprintf(text, size,
		 "a multiple of 4K from %" PRIu64 "M to %" PRIu64
		 "T, as a number of MiB or with K, M, G or T behind it",
		 key->min >> 20, key->max >> 40);
}

static void expects_choice(const struct key *key, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	if (!out)
		return;
	for (unsigned int i = 0; key->choices[i]; i++)
		fprintf(out, "%s%s",
			!i		      ? ""
			: key->choices[i + 1] ? ", "
					      : " or ",
			key->choices[i]);
	fclose(out);
}

void key_expects(const struct key *key, char *text, size_t size)
{
	text[0] = '\0';
	if (key->type->expects)
		key->type->expects(key, text, size);
	else
		snprintf(text, size, "%s", key->type->form);
}

const struct value_type value_string = {
	.wire = WIRE_STRING,
	.parse = parse_string,
	.format = format_string,
	.expects = expects_length,
};

const struct value_type value_path = {
	.wire = WIRE_PATH,
	.parse = parse_path,
	.format = format_string,
	.form = "a path of at most 4095 bytes",
};

const struct value_type value_name = {
	.wire = WIRE_STRING,
	.parse = parse_name,
	.format = format_string,
	.expects = expects_name,
};

const struct value_type value_serial = {
	.wire = WIRE_STRING,
	.parse = parse_serial,
	.format = format_string,
	.form = "1 to 20 printable ASCII characters without blanks",
};

const struct value_type value_uint = {
	.wire = WIRE_CELL,
	.parse = parse_uint,
	.format = format_uint,
	.expects = expects_number,
};

const struct value_type value_fd = {
	.wire = WIRE_CELL,
	.parse = parse_fd,
	.format = format_fd,
	.form = "the number of an inherited descriptor, 3 or more",
};

const struct value_type value_size = {
	.wire = WIRE_REG,
	.parse = parse_size,
	.format = format_size,
	.expects = expects_size,
};

const struct value_type value_flag = {
	.wire = WIRE_FLAG,
	.bare = true,
	.parse = parse_bool,
	.format = format_bool,
	.form = "on or off",
};

const struct value_type value_switch = {
	.wire = WIRE_SWITCH,
	.bare = true,
	.parse = parse_bool,
	.format = format_bool,
	.form = "on or off",
};

const struct value_type value_choice = {
	.wire = WIRE_STRING,
	.parse = parse_choice,
	.format = format_choice,
	.expects = expects_choice,
};

const struct value_type value_toggle = {
	.wire = WIRE_SWITCH,
	.bare = true,
	.parse = parse_toggle,
	.format = format_toggle,
	.form = "on, off or auto",
};

const struct value_type value_width = {
	.wire = WIRE_CELL,
	.parse = parse_width,
	.format = format_uint,
	.expects = expects_choice,
};
