/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static ACPI tables and the roots that lead to them; see acpi.h. Sections are of ACPI 6.5.
 */
#include "vmm/acpi.h"

#include <errno.h>

#include "devices/base.h"
#include "vmm/acpi_tables.h"
#include "vmm/layout.h"

#define TABLE_ALIGN 16
#define TABLES_MAX  (3 + ACPI_EXTRA_MAX) /* FADT, MADT, MCFG, and others' */

#define OEM_ID	     "NIDUS "
#define OEM_TABLE_ID "NIDUSVMM"
#define CREATOR_ID   "NIDS"

/* The area being filled, and the tables that the roots will name. */
struct writer {
	uint8_t *base;
	uint64_t used;
	unsigned int count;
	uint64_t table[TABLES_MAX];
};

static uint8_t checksum_of(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

void acpi_header(void *table, const char *signature, uint8_t revision, uint32_t size)
{
	struct acpi_table_header *header = table;

	*header = (struct acpi_table_header){
		.length = size, .revision = revision, .oem_revision = 1, .creator_revision = 1
	};
	memcpy(header->signature, signature, sizeof(header->signature));
	memcpy(header->oem_id, OEM_ID, sizeof(header->oem_id));
	memcpy(header->oem_table_id, OEM_TABLE_ID, sizeof(header->oem_table_id));
	memcpy(header->creator_id, CREATOR_ID, sizeof(header->creator_id));
}

void acpi_checksum(void *table)
{
	struct acpi_table_header *header = table;

	header->checksum = 0;
	header->checksum = checksum_of(table, header->length);
}

/* Room for @size zeroed bytes, aligned, or NULL; stores where the guest sees them. */
static void *take(struct writer *writer, uint64_t size, uint64_t *gpa)
{
	uint64_t at = align_up(writer->used, TABLE_ALIGN);

	if (!range_fits(at, size, LAYOUT_ACPI_SIZE))
		return NULL;
	writer->used = at + size;
	*gpa = LAYOUT_ACPI_BASE + at;
	return memset(writer->base + at, 0, size);
}

/* The same for a table that the roots name, with its header. */
static void *take_table(struct writer *writer, const char *signature, uint8_t revision,
			uint32_t size)
{
	void *table = take(writer, size, &writer->table[writer->count]);

	if (!table)
		return NULL;
	writer->count++;
	acpi_header(table, signature, revision, size);
	return table;
}

/* --- FADT (5.2.9) --- */

static struct acpi_address port(uint16_t address)
{
	return (struct acpi_address){ ACPI_SPACE_IO, 8, 0, ACPI_ACCESS_BYTE, address };
}

static int write_fadt(struct writer *writer, uint64_t dsdt)
{
	struct acpi_fadt *fadt = take_table(writer, "FACP", 6, sizeof(*fadt));

	if (!fadt)
		return -ENOSPC;
	fadt->dsdt = (uint32_t)dsdt;
	fadt->x_dsdt = dsdt;
	fadt->minor_revision = 5;
	/* No 8042: port 0x64 takes a reset and nothing else. ASPM: there is no link. */
	fadt->boot_flags = ACPI_BOOT_LEGACY_DEVICES | ACPI_BOOT_NO_VGA | ACPI_BOOT_NO_ASPM;
	fadt->flags = ACPI_FADT_WBINVD | ACPI_FADT_POWER_BUTTON | ACPI_FADT_SLEEP_BUTTON |
		      ACPI_FADT_RESET_REGISTER | ACPI_FADT_HEADLESS | ACPI_FADT_HW_REDUCED;
	fadt->reset_register = port(LAYOUT_RESET);
	fadt->reset_value = LAYOUT_RESET_VALUE;
	fadt->sleep_control = port(LAYOUT_SLEEP_CONTROL);
	fadt->sleep_status = port(LAYOUT_SLEEP_STATUS);
	memcpy(&fadt->hypervisor, "NIDUS\0\0", sizeof(fadt->hypervisor));
	acpi_checksum(fadt);
	return 0;
}

/* --- MADT (5.2.12) --- */

static uint8_t *put(uint8_t *at, const void *structure, size_t size)
{
	memcpy(at, structure, size);
	return at + size;
}

static uint8_t *put_cpu(uint8_t *at, uint32_t id)
{
	struct acpi_local_apic local = { ACPI_MADT_LOCAL_APIC, sizeof(local), (uint8_t)id,
					 (uint8_t)id, ACPI_MADT_ENABLED };
	struct acpi_local_x2apic x2 = { ACPI_MADT_LOCAL_X2APIC, sizeof(x2), 0, id,
					ACPI_MADT_ENABLED,	id };

	return id < ACPI_LOCAL_APIC_IDS ? put(at, &local, sizeof(local)) : put(at, &x2, sizeof(x2));
}

static int write_madt(struct writer *writer, unsigned int cpus)
{
	const struct acpi_io_apic io_apic = {
		ACPI_MADT_IO_APIC, sizeof(io_apic), 0, 0, LAYOUT_IOAPIC_BASE, 0
	};
	const struct acpi_local_apic_nmi nmi = { ACPI_MADT_LOCAL_APIC_NMI, sizeof(nmi),
						 ACPI_MADT_ALL_CPUS, 0, 1 };
	uint64_t locals = min_u64(cpus, ACPI_LOCAL_APIC_IDS), x2apics = cpus - locals;
	uint64_t size = sizeof(struct acpi_madt) + locals * sizeof(struct acpi_local_apic) +
			x2apics * sizeof(struct acpi_local_x2apic) + sizeof(io_apic) + sizeof(nmi);
	struct acpi_madt *madt;
	uint8_t *at;

	if (size > LAYOUT_ACPI_SIZE)
		return -ENOSPC;
	madt = take_table(writer, "APIC", 5, (uint32_t)size);
	if (!madt)
		return -ENOSPC;
	madt->local_apic = LAYOUT_LAPIC_BASE;
	at = (uint8_t *)(madt + 1);
	for (uint32_t id = 0; id < cpus; id++)
		at = put_cpu(at, id);
	at = put(at, &io_apic, sizeof(io_apic));
	put(at, &nmi, sizeof(nmi));
	acpi_checksum(madt);
	return 0;
}

/* --- MCFG, DSDT, and what others bring --- */

static int write_mcfg(struct writer *writer, const struct pci_windows *pci)
{
	struct acpi_mcfg *mcfg = take_table(writer, "MCFG", 1, sizeof(*mcfg));

	if (!mcfg)
		return -ENOSPC;
	mcfg->base = pci->ecam_base; /* bus 0 only: nothing answers on others */
	acpi_checksum(mcfg);
	return 0;
}

static int write_dsdt(struct writer *writer, const struct acpi_config *config, uint64_t *gpa)
{
	uint64_t at = align_up(writer->used, TABLE_ALIGN);
	size_t size = acpi_dsdt(config, writer->base + at, LAYOUT_ACPI_SIZE - at);

	if (!size)
		return -ENOSPC;
	writer->used = at + size;
	*gpa = LAYOUT_ACPI_BASE + at;
	return 0;
}

static int copy_extra(struct writer *writer, const struct acpi_table *extra)
{
	const struct acpi_table_header *header = extra->data;
	void *table;

	if (extra->size < sizeof(*header) || header->length != extra->size)
		return -EINVAL;
	table = take(writer, extra->size, &writer->table[writer->count]);
	if (!table)
		return -ENOSPC;
	writer->count++;
	memcpy(table, extra->data, extra->size);
	return 0;
}

/* --- The roots (5.2.5, 5.2.7, 5.2.8) --- */

/* An RSDT has addresses of 4 bytes, an XSDT of 8; the first is for test kernels that know no other.
 */
static uint64_t write_root(struct writer *writer, const char *signature, unsigned int width)
{
	uint32_t size = ACPI_HEADER_SIZE + writer->count * width;
	uint64_t gpa;
	uint8_t *table = take(writer, size, &gpa);

	if (!table)
		return 0;
	acpi_header(table, signature, 1, size);
	for (unsigned int i = 0; i < writer->count; i++) {
		uint8_t *entry = table + ACPI_HEADER_SIZE + (size_t)i * width;

		store_le32(entry, (uint32_t)writer->table[i]); /* below 1 MiB: the rest is zero */
	}
	acpi_checksum(table);
	return gpa;
}

static int write_roots(struct writer *writer, struct acpi_rsdp *rsdp)
{
	uint64_t rsdt = write_root(writer, "RSDT", 4), xsdt = write_root(writer, "XSDT", 8);

	if (!rsdt || !xsdt)
		return -ENOSPC;
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, OEM_ID, sizeof(rsdp->oem_id));
	rsdp->revision = 2;
	rsdp->rsdt_address = (uint32_t)rsdt;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt_address = xsdt;
	rsdp->checksum = checksum_of(rsdp, ACPI_RSDP_V1_SIZE);
	rsdp->extended_checksum = checksum_of(rsdp, sizeof(*rsdp));
	return 0;
}

int acpi_build(const struct acpi_config *config, const struct ram *ram, uint64_t *rsdp)
{
	struct writer writer = { .base = ram_ptr(ram, LAYOUT_ACPI_BASE, LAYOUT_ACPI_SIZE) };
	struct acpi_rsdp *root;
	uint64_t dsdt;
	int rc;

	if (config->extra_count > ACPI_EXTRA_MAX)
		return -EINVAL;
	if (!writer.base)
		return -ENOSPC;
	root = take(&writer, sizeof(*root), rsdp);
	rc = write_dsdt(&writer, config, &dsdt);
	if (!rc)
		rc = write_fadt(&writer, dsdt);
	if (!rc)
		rc = write_madt(&writer, config->cpus);
	if (!rc)
		rc = write_mcfg(&writer, config->pci);
	for (unsigned int i = 0; !rc && i < config->extra_count; i++)
		rc = copy_extra(&writer, &config->extra[i]);
	return rc ? rc : write_roots(&writer, root);
}
