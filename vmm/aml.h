/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing ACPI Machine Language (ACPI 6.5, chapter 20) and resource templates (6.4).
 *
 * Everything appends to a buffer. What does not fit is dropped and remembered: look at aml_size()
 * once, at the end. Names and arguments come from our own sources, never from a guest.
 */
#ifndef NIDUS_VMM_AML_H
#define NIDUS_VMM_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t size, capacity;
	bool overflow;
};

/* Opcodes of one byte (20.3), for aml_op(). */
enum aml_opcode {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_WORD_PREFIX = 0x0b,
	AML_BUFFER = 0x11,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_ARG1 = 0x69,
	AML_ARG3 = 0x6b,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_NOTIFY = 0x86,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_NOT = 0x92, /* logical */
	AML_EQUAL = 0x93,
	AML_RETURN = 0xa4,
};

void aml_init(struct aml *aml, void *buffer, size_t capacity);

/* Bytes written, or 0 if the buffer was too small. */
size_t aml_size(const struct aml *aml);

void aml_op(struct aml *aml, enum aml_opcode opcode);

/* The low @bytes of @value (1 to 8), little-endian. */
void aml_bytes(struct aml *aml, uint64_t value, unsigned int bytes);

/* A NameString: segments of four characters, "_SB_.PCI0", after '\\' if it starts at the root. */
void aml_path(struct aml *aml, const char *path);

/* Data objects, in their shortest encoding. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_buffer(struct aml *aml, const void *data, uint8_t size);
/* An EISA id such as "PNP0A08" (19.6.36), or any other hardware id as a string. */
void aml_hardware_id(struct aml *aml, const char *id);

/* Name(@name, ...): append one data object after it. */
void aml_name(struct aml *aml, const char *name);
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
void aml_name_hardware_id(struct aml *aml, const char *name, const char *id);

/* Objects that contain others. Each returns a mark for aml_end(); they nest. */
size_t aml_scope(struct aml *aml, const char *path);
size_t aml_device(struct aml *aml, const char *name);
size_t aml_method(struct aml *aml, const char *name, unsigned int args, bool serialized);
size_t aml_package(struct aml *aml, uint8_t elements);
size_t aml_if(struct aml *aml);	  /* append the predicate first */
size_t aml_else(struct aml *aml); /* right after the end of an If */
void aml_end(struct aml *aml, size_t mark);

/* Name(_CRS, ResourceTemplate() {...}): append descriptors, then end it with its own function. */
size_t aml_resources(struct aml *aml);
void aml_resources_end(struct aml *aml, size_t mark);

enum aml_space { AML_SPACE_MEMORY, AML_SPACE_IO, AML_SPACE_BUS };

/* Ports that the device uses, 16 bits decoded (6.4.2.5). */
void aml_io(struct aml *aml, uint16_t base, uint8_t size);
/* One interrupt that the device raises alone, edge triggered and active high (6.4.3.6). */
void aml_interrupt(struct aml *aml, uint32_t gsi);
/* Memory that the device uses, read and write (6.4.3.4). */
void aml_memory(struct aml *aml, uint32_t base, uint32_t size);
/* A range that a bridge hands on to what is behind it (6.4.3.5), in 16, 32 or 64 bits. */
void aml_window(struct aml *aml, enum aml_space space, unsigned int bits, uint64_t base,
		uint64_t size);

#endif
