/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be said about a VM, said once.
 *
 * A group is one option (--disk) and one node of the manifest; a key is one word of the option's
 * value (queues=4) and one property of that node. The command line, the manifest reader and writer,
 * config_print(), the usage text and the tests of the man page and the completion all walk these
 * tables, so nothing can be settable in one place and unknown in another.
 */
#ifndef NIDUS_VMM_KEYS_H
#define NIDUS_VMM_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/config.h"
#include "vmm/option.h"

/* The longest value in its textual form, with the NUL: a path. */
#define VALUE_TEXT_MAX 4096

/* How a value is held by a manifest property; its textual form is the same everywhere. */
enum value_wire {
	WIRE_STRING,
	WIRE_PATH,   /* a string; relative to the manifest's directory */
	WIRE_CELL,   /* one 32-bit number */
	WIRE_FLAG,   /* present: on */
	WIRE_SWITCH, /* "on" or "off", for what is on by default; empty: on */
	WIRE_PORT,   /* one 32-bit number; empty: on */
	WIRE_BYTES,  /* six bytes, a MAC address */
	WIRE_REG,    /* <address size> of memory; the address is 0 */
};

struct key;

struct value_type {
	enum value_wire wire;
	bool bare; /* may stand without a value, which means "on" */
	/* Stores @text in @object. 0, -EINVAL or -ENOMEM; on errors @object is unchanged. */
	int (*parse)(const struct key *key, void *object, const char *text);
	/* Writes the value as parse() takes it; returns false if @object has none. */
	bool (*format)(const struct key *key, const void *object, char text[VALUE_TEXT_MAX]);
	/* Completes "must be ...": a fixed text, or one made from the key. */
	const char *form;
	void (*expects)(const struct key *key, char *text, size_t size);
};

struct key {
	const char *name;
	const char *property; /* of the group's node */
	const struct value_type *type;
	size_t offset;		    /* of the field in the group's object */
	uint64_t min, max;	    /* of a number; max: of a string's length */
	const char *const *choices; /* of an enum, in its order, ended by NULL */
	const char *metavar;
	const char *help;
};

struct group {
	struct option option;
	const char *node; /* path in the manifest; of a list: the stem of its nodes' names */
	const struct key *keys;
	unsigned int key_count;
	bool whole;	  /* the option's value is that of the only key: commas mean nothing */
	bool one_key;	  /* keys are alternatives */
	size_t offset;	  /* of the object, or of a list's first, in struct vm_config */
	unsigned int max; /* of a list: how many objects; otherwise 0 */
	size_t count_offset, stride;
	const char *compatible; /* what marks a list's nodes in the manifest */
	void (*init)(void *object);
};

#define GROUPS_MAX 64
extern const struct group groups[];
extern const unsigned int group_count;

extern const struct value_type value_string, value_path, value_name, value_serial, value_cpu,
	value_log, value_uint, value_toggle, value_width, value_drop, value_devices, value_fd,
	value_size, value_flag, value_switch, value_choice, value_mac, value_stream,
	value_stream_file, value_exit_port;

/* What several types share: a string of its own, stored and printed; a path. */
int store_string(const struct key *key, void *object, const char *text);
bool format_string(const struct key *key, const void *object, char text[VALUE_TEXT_MAX]);
int parse_path(const struct key *key, void *object, const char *text);

/* Reads "on" and its like into *@value. 0 or -EINVAL. */
int parse_switch(const char *text, bool *value);

/*
 * Reads digits, decimal or with 0x hexadecimal, and points *@end behind them. 0 or -EINVAL; the
 * other one wants nothing behind them and a value from @min to @max.
 */
int parse_digits(const char *text, uint64_t *value, const char **end);
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* The key called by the @len bytes at @name, or NULL. */
const struct key *group_key(const struct group *group, const char *name, size_t len);
const struct key *group_property(const struct group *group, const char *property);

/* Whether @value looks like a list of keys of @group: it starts with one, or with "word=". */
bool group_starts(const struct group *group, const char *value);

/* How many objects of @group there are: of a list its length, otherwise 1. */
unsigned int group_objects(const struct group *group, const struct vm_config *config);
void *group_object(const struct group *group, struct vm_config *config, unsigned int index);

/*
 * The object that a new option or node of @group fills: the only one, or of a list a new one with
 * its defaults. NULL and @error if the list is full; @where names the place in messages.
 */
void *group_new_object(const struct group *group, struct vm_config *config, const char *where,
		       struct config_error *error);

/* Notes in *@seen that @key was given. -EINVAL with @error if it, or its alternative, was before.
 */
int group_note(const struct group *group, const struct key *key, uint64_t *seen, const char *where,
	       struct config_error *error);

/* Sets one key of @object. 0 or -EINVAL with @error. */
int key_assign(const struct key *key, void *object, const char *text, const char *where,
	       struct config_error *error);

/* Applies one option's value: a list of keys, or the value itself. 0 or -EINVAL with @error. */
int group_parse(const struct group *group, struct vm_config *config, const char *value,
		const char *where, struct config_error *error);

/* Prints object @index as group_parse() takes it; returns false if nothing is set. */
bool group_print(const struct group *group, const struct vm_config *config, unsigned int index,
		 FILE *out);

/* Says what a value must be, without "must be". */
void key_expects(const struct key *key, char *text, size_t size);

#endif
