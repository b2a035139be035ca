/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF executables (System V ABI, gABI 4.1): program headers of both classes made one, checked, and
 * their segments loaded by physical address. Sections are never looked at.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>

#include "devices/base.h"
#include "vmm/boot_parts.h"
#include "vmm/layout.h"

#define NOTES_MAX (64 * KIB) /* of one segment; a kernel's are below 1 KiB */

/* The fields of either class that tell where the program headers are. */
struct elf_header {
	uint64_t entry;
	uint64_t table;
	uint16_t count;
	uint16_t entry_size;
	bool is64;
};

/* 1 and *@header filled in, 0 if this is no executable for x86, or negative errno. */
static int read_header(struct boot *boot, const struct boot_file *file, struct elf_header *header)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} raw = { .ident = { 0 } };
	uint16_t machine, type;
	int rc = boot_read(boot, file, 0, &raw, min_u64(sizeof(raw), file->size));

	if (rc)
		return rc;
	if (file->size < sizeof(raw.e32) || memcmp(raw.ident, ELFMAG, SELFMAG) ||
	    raw.ident[EI_DATA] != ELFDATA2LSB)
		return 0;
	if (raw.ident[EI_CLASS] == ELFCLASS32) {
		*header = (struct elf_header){ raw.e32.e_entry, raw.e32.e_phoff, raw.e32.e_phnum,
					       raw.e32.e_phentsize, false };
		machine = raw.e32.e_machine;
		type = raw.e32.e_type;
	} else if (raw.ident[EI_CLASS] == ELFCLASS64 && file->size >= sizeof(raw.e64)) {
		*header = (struct elf_header){ raw.e64.e_entry, raw.e64.e_phoff, raw.e64.e_phnum,
					       raw.e64.e_phentsize, true };
		machine = raw.e64.e_machine;
		type = raw.e64.e_type;
	} else {
		return 0;
	}
	return (machine == EM_386 || machine == EM_X86_64) && (type == ET_EXEC || type == ET_DYN);
}

static struct elf_segment from_elf32(const Elf32_Phdr *from)
{
	return (struct elf_segment){ from->p_type,  from->p_offset, from->p_filesz, from->p_vaddr,
				     from->p_paddr, from->p_memsz,  from->p_align };
}

static struct elf_segment from_elf64(const Elf64_Phdr *from)
{
	return (struct elf_segment){ from->p_type,  from->p_offset, from->p_filesz, from->p_vaddr,
				     from->p_paddr, from->p_memsz,  from->p_align };
}

static int check_segment(struct boot *boot, const struct boot_file *file,
			 const struct elf_segment *segment, unsigned int index)
{
	if (range_fits(segment->offset, segment->file_size, file->size) &&
	    (segment->type != PT_LOAD || segment->file_size <= segment->memory_size))
		return 0;
	return boot_fail(boot,
			 "kernel %s: ELF segment %u (%" PRIu64 " bytes at offset %" PRIu64
			 ", %" PRIu64 " in memory) does not fit the file of %" PRIu64
			 " bytes; copy it again",
			 file->name, index, segment->file_size, segment->offset,
			 segment->memory_size, file->size);
}

int elf_open(struct boot *boot, const struct boot_file *file, struct elf *elf)
{
	union {
		Elf32_Phdr e32[ELF_SEGMENTS];
		Elf64_Phdr e64[ELF_SEGMENTS];
	} raw;
	struct elf_header header = { .count = 0 };
	uint64_t entry_size;
	int rc = read_header(boot, file, &header);

	if (rc <= 0)
		return rc;
	entry_size = header.is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (header.entry_size != entry_size || !header.count || header.count > ELF_SEGMENTS ||
	    !range_fits(header.table, header.count * entry_size, file->size))
		return boot_fail(boot,
				 "kernel %s: %u ELF program headers of %u bytes at offset %" PRIu64
				 " are not there or too many (1 to %u can be read)",
				 file->name, header.count, header.entry_size, header.table,
				 ELF_SEGMENTS);
	rc = boot_read(boot, file, header.table, &raw, header.count * entry_size);
	elf->entry = header.entry;
	elf->count = header.count;
	for (unsigned int i = 0; !rc && i < header.count; i++) {
		elf->segment[i] = header.is64 ? from_elf64(&raw.e64[i]) : from_elf32(&raw.e32[i]);
		rc = check_segment(boot, file, &elf->segment[i], i);
	}
	return rc ? rc : 1;
}

/* --- Loading --- */

static bool is_loaded(const struct elf_segment *segment)
{
	return segment->type == PT_LOAD && segment->memory_size;
}

/* Segments before @index are checked already: none of them wraps. */
static int check_overlap(struct boot *boot, const struct boot_file *file, const struct elf *elf,
			 unsigned int index)
{
	const struct elf_segment *segment = &elf->segment[index];

	for (unsigned int i = 0; i < index; i++) {
		const struct elf_segment *other = &elf->segment[i];

		if (is_loaded(other) && ranges_overlap(segment->physical, segment->memory_size,
						       other->physical, other->memory_size))
			return boot_fail(boot,
					 "kernel %s: ELF segments %u and %u overlap at physical "
					 "address %#" PRIx64 "; link it again",
					 file->name, i, index,
					 max_u64(segment->physical, other->physical));
	}
	return 0;
}

/*
 * What a segment has in memory beyond its bytes in the file (bss) must be zero: it is, since RAM is
 * fresh and segments do not overlap. Clearing it would make the host allocate it.
 */
int elf_load(struct boot *boot, const struct boot_file *file, const struct elf *elf, uint64_t *end)
{
	*end = LAYOUT_KERNEL_MIN;
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segment[i];
		int rc;

		if (!is_loaded(segment))
			continue;
		rc = boot_check_image(boot, segment->physical, segment->memory_size);
		if (!rc)
			rc = check_overlap(boot, file, elf, i);
		if (!rc)
			rc = boot_read_ram(boot, file, segment->offset, segment->physical,
					   segment->file_size);
		if (rc)
			return rc;
		*end = max_u64(*end, segment->physical + segment->memory_size);
	}
	return 0;
}

bool elf_contains(const struct elf *elf, uint64_t address, uint64_t len)
{
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		if (is_loaded(segment) && address >= segment->physical &&
		    range_fits(address - segment->physical, len, segment->memory_size))
			return true;
	}
	return false;
}

/* Linkers write a virtual address; images that run without paging have both the same. */
uint64_t elf_entry(const struct elf *elf)
{
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		if (is_loaded(segment) && elf->entry >= segment->virtual &&
		    elf->entry - segment->virtual < segment->memory_size)
			return elf->entry - segment->virtual + segment->physical;
	}
	return elf->entry;
}

/* --- Notes --- */

struct note_wanted {
	const char *name;
	uint32_t type;
};

/* Notes are padded to 4 bytes, or to 8 in segments aligned so (.note.gnu.property). */
static bool find_note(const uint8_t *notes, uint64_t size, uint64_t align,
		      const struct note_wanted *wanted, uint64_t *value)
{
	uint64_t at = 0;

	/* Bounded: each turn moves on by a header at least. */
	while (range_fits(at, sizeof(Elf32_Nhdr), size)) {
		uint64_t name_size = load_le32(notes + at);
		uint64_t value_size = load_le32(notes + at + 4);
		uint64_t name_at = at + sizeof(Elf32_Nhdr);
		uint64_t value_at = align_up(name_at + name_size, align);

		if (!range_fits(value_at, value_size, size))
			return false;
		if (load_le32(notes + at + 8) == wanted->type &&
		    name_size == strlen(wanted->name) + 1 &&
		    !memcmp(notes + name_at, wanted->name, name_size) &&
		    (value_size == 4 || value_size == 8)) {
			*value = value_size == 4 ? load_le32(notes + value_at)
						 : load_le64(notes + value_at);
			return true;
		}
		at = align_up(value_at + value_size, align);
	}
	return false;
}

int elf_note(struct boot *boot, const struct boot_file *file, const struct elf *elf,
	     const char *name, uint32_t type, uint64_t *value)
{
	const struct note_wanted wanted = { name, type };
	uint8_t notes[NOTES_MAX];

	for (unsigned int i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segment[i];
		uint64_t size = min_u64(segment->file_size, sizeof(notes));
		int rc;

		if (segment->type != PT_NOTE)
			continue;
		rc = boot_read(boot, file, segment->offset, notes, size);
		if (rc)
			return rc;
		if (find_note(notes, size, segment->align == 8 ? 8 : 4, &wanted, value))
			return 1;
	}
	return 0;
}
