/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resource descriptors (ACPI 6.5, 6.4) and the buffers that hold them; see aml.h.
 */
#include "vmm/aml.h"

#include "devices/base.h"

enum resource_tag {
	RESOURCE_IO = 0x47,  /* small, 7 bytes follow */
	RESOURCE_END = 0x79, /* small, a checksum follows: 0 stands for "not computed" */
	RESOURCE_MEMORY32 = 0x86,
	RESOURCE_DWORD = 0x87,
	RESOURCE_WORD = 0x88,
	RESOURCE_INTERRUPT = 0x89,
	RESOURCE_QWORD = 0x8a,
};

enum resource_bits {
	IO_DECODE16 = 1 << 0,
	MEMORY32_WRITABLE = 1 << 0,
	INTERRUPT_CONSUMER = 1 << 0,
	INTERRUPT_EDGE = 1 << 1,
	WINDOW_MIN_FIXED = 1 << 2,
	WINDOW_MAX_FIXED = 1 << 3,
	WINDOW_IO_ENTIRE = 3,	 /* ISA and non-ISA ranges */
	WINDOW_MEM_WRITABLE = 1, /* not cacheable */
};

/* A buffer starts with its size, of fixed width here because it is patched at the end. */
#define SIZE_BYTES 3 /* prefix and word */

size_t aml_resources(struct aml *aml)
{
	size_t mark;

	aml_name(aml, "_CRS");
	aml_op(aml, AML_BUFFER);
	mark = aml->size;
	aml_op(aml, AML_WORD_PREFIX);
	aml_bytes(aml, 0, SIZE_BYTES - 1);
	return mark;
}

void aml_resources_end(struct aml *aml, size_t mark)
{
	aml_bytes(aml, RESOURCE_END, 2);
	if (!aml->overflow)
		store_le16(aml->data + mark + 1, (uint16_t)(aml->size - mark - SIZE_BYTES));
	aml_end(aml, mark);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t size)
{
	aml_bytes(aml, RESOURCE_IO, 1);
	aml_bytes(aml, IO_DECODE16, 1);
	aml_bytes(aml, base, 2); /* lowest */
	aml_bytes(aml, base, 2); /* highest */
	aml_bytes(aml, 1, 1);	 /* alignment */
	aml_bytes(aml, size, 1);
}

void aml_interrupt(struct aml *aml, uint32_t gsi)
{
	aml_bytes(aml, RESOURCE_INTERRUPT, 1);
	aml_bytes(aml, 6, 2);
	aml_bytes(aml, INTERRUPT_CONSUMER | INTERRUPT_EDGE, 1);
	aml_bytes(aml, 1, 1); /* how many */
	aml_bytes(aml, gsi, 4);
}

void aml_memory(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_bytes(aml, RESOURCE_MEMORY32, 1);
	aml_bytes(aml, 9, 2);
	aml_bytes(aml, MEMORY32_WRITABLE, 1);
	aml_bytes(aml, base, 4);
	aml_bytes(aml, size, 4);
}

void aml_window(struct aml *aml, enum aml_space space, unsigned int bits, uint64_t base,
		uint64_t size)
{
	static const uint8_t flags[] = {
		[AML_SPACE_MEMORY] = WINDOW_MEM_WRITABLE,
		[AML_SPACE_IO] = WINDOW_IO_ENTIRE,
		[AML_SPACE_BUS] = 0,
	};
	unsigned int bytes = bits / 8;

	aml_bytes(aml,
		  bits == 16   ? RESOURCE_WORD
		  : bits == 32 ? RESOURCE_DWORD
			       : RESOURCE_QWORD,
		  1);
	aml_bytes(aml, 3 + 5 * bytes, 2);
	aml_bytes(aml, space, 1);
	aml_bytes(aml, WINDOW_MIN_FIXED | WINDOW_MAX_FIXED, 1); /* bit 0 clear: a producer */
	aml_bytes(aml, flags[space], 1);
	aml_bytes(aml, 0, bytes); /* granularity */
	aml_bytes(aml, base, bytes);
	aml_bytes(aml, base + size - 1, bytes);
	aml_bytes(aml, 0, bytes); /* translation */
	aml_bytes(aml, size, bytes);
}
