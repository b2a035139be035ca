/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encodings of AML; see aml.h. Sections are of ACPI 6.5.
 */
#include "vmm/aml.h"

#include <string.h>

#include "devices/base.h"

enum aml_byte { /* 20.3, those that have functions of their own */
		AML_NAME = 0x08,
		AML_BYTE_PREFIX = 0x0a,
		AML_DWORD_PREFIX = 0x0c,
		AML_STRING_PREFIX = 0x0d,
		AML_QWORD_PREFIX = 0x0e,
		AML_SCOPE = 0x10,
		AML_PACKAGE = 0x12,
		AML_METHOD = 0x14,
		AML_DUAL_NAME = 0x2e,
		AML_MULTI_NAME = 0x2f,
		AML_EXT = 0x5b,
		AML_EXT_DEVICE = 0x82,
		AML_IF = 0xa0,
		AML_ELSE = 0xa1,
};

#define NAME_SEGMENT	   4
#define METHOD_SERIALIZED  (1 << 3)
#define PACKAGE_LENGTH_MAX 3 /* bytes of a PkgLength that we ever write: up to 1 MiB */

void aml_init(struct aml *aml, void *buffer, size_t capacity)
{
	*aml = (struct aml){ .data = buffer, .capacity = capacity };
}

size_t aml_size(const struct aml *aml)
{
	return aml->overflow ? 0 : aml->size;
}

static void put(struct aml *aml, const void *data, size_t size)
{
	if (size > aml->capacity - aml->size) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->data + aml->size, data, size);
	aml->size += size;
}

void aml_bytes(struct aml *aml, uint64_t value, unsigned int bytes)
{
	uint8_t data[8];

	store_le64(data, value);
	put(aml, data, bytes);
}

static void put_byte(struct aml *aml, unsigned int value)
{
	aml_bytes(aml, value, 1);
}

void aml_op(struct aml *aml, enum aml_opcode opcode)
{
	put_byte(aml, opcode);
}

/* --- Names (20.2.2) --- */

static unsigned int count_segments(const char *path)
{
	unsigned int count = 1;

	for (; *path; path++)
		count += *path == '.';
	return count;
}

void aml_path(struct aml *aml, const char *path)
{
	unsigned int segments;

	if (*path == '\\')
		put_byte(aml, (uint8_t)*path++);
	segments = count_segments(path);
	if (segments == 2)
		put_byte(aml, AML_DUAL_NAME);
	if (segments > 2) {
		put_byte(aml, AML_MULTI_NAME);
		put_byte(aml, segments);
	}
	for (; segments; segments--) {
		put(aml, path, NAME_SEGMENT);
		path += NAME_SEGMENT + 1;
	}
}

void aml_name(struct aml *aml, const char *name)
{
	put_byte(aml, AML_NAME);
	aml_path(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
	aml_name(aml, name);
	aml_integer(aml, value);
}

void aml_name_hardware_id(struct aml *aml, const char *name, const char *id)
{
	aml_name(aml, name);
	aml_hardware_id(aml, id);
}

/* --- Data (20.2.3) --- */

void aml_integer(struct aml *aml, uint64_t value)
{
	static const struct {
		uint64_t max;
		uint8_t prefix, size;
	} encodings[] = {
		{ UINT8_MAX, AML_BYTE_PREFIX, 1 },
		{ UINT16_MAX, AML_WORD_PREFIX, 2 },
		{ UINT32_MAX, AML_DWORD_PREFIX, 4 },
		{ UINT64_MAX, AML_QWORD_PREFIX, 8 },
	};
	unsigned int i = 0;

	if (value <= AML_ONE) {
		put_byte(aml, (unsigned int)value);
		return;
	}
	while (value > encodings[i].max)
		i++;
	put_byte(aml, encodings[i].prefix);
	aml_bytes(aml, value, encodings[i].size);
}

/* 19.6.36: three letters of five bits, four hexadecimal digits, in big-endian order. */
static bool eisa_id(const char *id, uint32_t *value)
{
	static const char digits[] = "0123456789ABCDEF";
	uint32_t number = 0;

	if (strlen(id) != 7)
		return false;
	for (unsigned int i = 0; i < 3; i++) {
		if (id[i] < 'A' || id[i] > 'Z')
			return false;
		number = number << 5 | (uint32_t)(id[i] - '@');
	}
	for (unsigned int i = 3; i < 7; i++) {
		const char *digit = strchr(digits, id[i]);

		if (!digit)
			return false;
		number = number << 4 | (uint32_t)(digit - digits);
	}
	*value = htobe32(number);
	return true;
}

void aml_hardware_id(struct aml *aml, const char *id)
{
	uint32_t value;

	if (eisa_id(id, &value)) {
		aml_integer(aml, value);
		return;
	}
	put_byte(aml, AML_STRING_PREFIX);
	put(aml, id, strlen(id) + 1);
}

/* --- Objects with a PkgLength (20.2.4) --- */

/* The mark is where the length will be inserted, once it is known. */
static size_t begin(struct aml *aml, unsigned int opcode)
{
	put_byte(aml, opcode);
	return aml->size;
}

/* The length counts itself: one byte up to 63, else 4 bits and one byte for each 8 more. */
static size_t encode_length(size_t body, uint8_t out[PACKAGE_LENGTH_MAX])
{
	size_t bytes = body + 1 < 1 << 6 ? 1 : body + 2 < 1 << 12 ? 2 : 3;
	size_t length = body + bytes;

	if (bytes == 1) {
		out[0] = (uint8_t)length;
		return 1;
	}
	out[0] = (uint8_t)((bytes - 1) << 6 | (length & 0xf));
	for (size_t i = 1; i < bytes; i++)
		out[i] = (uint8_t)(length >> (4 + 8 * (i - 1)));
	return bytes;
}

void aml_end(struct aml *aml, size_t mark)
{
	uint8_t length[PACKAGE_LENGTH_MAX];
	size_t body = aml->size - mark;
	size_t bytes = encode_length(body, length);

	put(aml, length, bytes); /* makes room, or notes that there is none */
	if (aml->overflow)
		return;
	memmove(aml->data + mark + bytes, aml->data + mark, body);
	memcpy(aml->data + mark, length, bytes);
}

size_t aml_scope(struct aml *aml, const char *path)
{
	size_t mark = begin(aml, AML_SCOPE);

	aml_path(aml, path);
	return mark;
}

size_t aml_device(struct aml *aml, const char *name)
{
	size_t mark;

	put_byte(aml, AML_EXT);
	mark = begin(aml, AML_EXT_DEVICE);
	aml_path(aml, name);
	return mark;
}

size_t aml_method(struct aml *aml, const char *name, unsigned int args, bool serialized)
{
	size_t mark = begin(aml, AML_METHOD);

	aml_path(aml, name);
	put_byte(aml, args | (serialized ? METHOD_SERIALIZED : 0));
	return mark;
}

size_t aml_package(struct aml *aml, uint8_t elements)
{
	size_t mark = begin(aml, AML_PACKAGE);

	put_byte(aml, elements);
	return mark;
}

size_t aml_if(struct aml *aml)
{
	return begin(aml, AML_IF);
}

size_t aml_else(struct aml *aml)
{
	return begin(aml, AML_ELSE);
}

void aml_buffer(struct aml *aml, const void *data, uint8_t size)
{
	size_t mark = begin(aml, AML_BUFFER);

	aml_integer(aml, size);
	put(aml, data, size);
	aml_end(aml, mark);
}
