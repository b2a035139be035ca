// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The units of a machine: on the bus, with guest memory and interrupts behind them, and with the
 * devices that the configuration puts behind each. See iommu.h.
 *
 * Unit i has its registers at LAYOUT_VTD_BASE + i * LAYOUT_VTD_SIZE, an area that holds nothing
 * else. What no unit lists is behind the one without a list, if there is one; so is the IOAPIC,
 * which is behind the last unit otherwise: a guest remaps no interrupts unless all can be.
 */
#include "vmm/iommu.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "viommu/dmar.h"
#include "viommu/spec.h"
#include "vmm/acpi.h"
#include "vmm/iommu_units.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

_Static_assert(CONFIG_VTDS <= LAYOUT_VTD_UNITS && CONFIG_VTDS <= DMAR_UNITS, "room for all units");
_Static_assert(LAYOUT_VTD_SIZE == VTD_REGISTERS, "a unit's window is what it decodes");

/* --- What a unit has around it --- */

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	const struct machine *machine = context;

	return ram_ptr(&machine->ram, gpa, len);
}

static const struct vtd_memory_ops memory_ops = { .ptr = memory_ptr };

static void send_msi(void *context, uint64_t address, uint32_t data)
{
	const struct iommu_unit *unit = context;

	irq_send_unmapped(unit->machine, address, data);
}

/* Which entries changed does not matter: all routes of the unit are looked at. */
static void interrupts_changed(void *context, unsigned int first, unsigned int count)
{
	const struct iommu_unit *unit = context;

	(void)first;
	(void)count;
	/* A unit that is being made has no routes yet. */
	if (unit->unit)
		irq_remapping_changed(unit->machine, unit->unit);
}

static const struct vtd_machine_ops machine_ops = { send_msi, interrupts_changed };

static void registers_access(void *context, struct bus_access *access)
{
	if (access->is_write)
		vtd_mmio_write(context, access->offset, access->size, access->value);
	else
		access->value = vtd_mmio_read(context, access->offset, access->size);
}

/* --- What is behind which unit --- */

/* The unit of a function that is about to be added. */
static struct vtd_unit *unit_of(struct pci_host *host, const struct pci_function *fn)
{
	struct machine *machine = host->machine;
	int index = iommu_index(machine->config, fn->name);

	if (index < 0)
		return NULL;
	machine->vtd_of[fn->requester] = machine->iommu->unit[index].unit;
	return machine->iommu->unit[index].unit;
}

static unsigned int ioapic_unit(const struct vm_config *config)
{
	for (unsigned int i = 0; i < config->vtd_count; i++)
		if (!config->vtd[i].devices)
			return i;
	return config->vtd_count - 1;
}

static int attach_ioapic(struct machine *machine)
{
	struct vtd_unit *unit = machine->iommu->unit[ioapic_unit(machine->config)].unit;

	if (!vtd_attach(unit, IOAPIC_REQUESTER, "ioapic", NULL, NULL))
		return -errno;
	machine->vtd_of[IOAPIC_REQUESTER] = unit;
	return 0;
}

/* --- Life --- */

static int create_unit(struct machine *machine, unsigned int index)
{
	struct iommu_unit *unit = &machine->iommu->unit[index];
	struct bus_region region = { .base = LAYOUT_VTD_BASE + index * LAYOUT_VTD_SIZE,
				     .size = LAYOUT_VTD_SIZE,
				     .handler = registers_access,
				     .name = unit->name };
	struct config_error error;
	struct vtd_config config;

	if (iommu_resolve(&machine->config->vtd[index], &machine->cpu, index, &config, &error)) {
		log_error(VMM, "%s", error.text);
		return -EINVAL;
	}
	snprintf(unit->name, sizeof(unit->name), "vtd%u", index);
	config.name = unit->name;
	unit->machine = machine;
	unit->base = region.base;
	unit->unit = vtd_create(&config, &memory_ops, machine, &machine_ops, unit);
	if (!unit->unit) {
		int rc = -errno;

		log_error(VMM, "%s: cannot be made: %s", unit->name, strerror(errno));
		return rc;
	}
	machine->iommu->count++;
	region.context = unit->unit;
	return bus_add(&machine->mmio, &region);
}

int iommu_create(struct machine *machine)
{
	unsigned int count = machine->config->vtd_count;
	int rc = 0;

	if (!count)
		return 0;
	machine->iommu = calloc(1, sizeof(*machine->iommu));
	if (!machine->iommu)
		return -ENOMEM;
	for (unsigned int i = 0; i < count && !rc; i++)
		rc = create_unit(machine, i);
	if (!rc)
		rc = attach_ioapic(machine);
	if (rc) {
		iommu_destroy(machine);
		return rc;
	}
	machine->pci.unit_of = unit_of;
	/* A function there would send its interrupts in the IOAPIC's name. */
	machine->pci.reserved = IOAPIC_REQUESTER;
	return 0;
}

void iommu_halt(const struct machine *machine)
{
	for (unsigned int i = 0; machine->iommu && i < machine->iommu->count; i++)
		vtd_halt(machine->iommu->unit[i].unit);
}

void iommu_reset(const struct machine *machine)
{
	for (unsigned int i = 0; machine->iommu && i < machine->iommu->count; i++)
		vtd_reset(machine->iommu->unit[i].unit);
}

/* The buses go with the machine: nobody can access the registers any more. */
void iommu_destroy(struct machine *machine)
{
	struct iommu *iommu = machine->iommu;

	if (!iommu)
		return;
	machine->pci.unit_of = NULL;
	machine->pci.reserved = 0;
	memset(machine->vtd_of, 0, sizeof(machine->vtd_of));
	while (iommu->count-- > 0) {
		struct iommu_unit *unit = &iommu->unit[iommu->count];

		bus_remove(&machine->mmio, unit->base, unit->unit);
		vtd_destroy(unit->unit);
	}
	free(iommu);
	machine->iommu = NULL;
}

bool iommu_find(const struct machine *machine, const char *name, struct vtd_unit **unit,
		struct vtd_requester **requester)
{
	const struct iommu *iommu = machine->iommu;

	for (unsigned int i = 0; iommu && i < iommu->count; i++)
		for (unsigned int j = 0; (*requester = vtd_requester_at(iommu->unit[i].unit, j));
		     j++)
			if (!strcmp(vtd_requester_name(*requester), name)) {
				*unit = iommu->unit[i].unit;
				return true;
			}
	return false;
}

/* --- The DMAR table --- */

static void describe_unit(const struct machine *machine, unsigned int index, struct dmar_unit *unit)
{
	struct vtd_unit *vtd = machine->iommu->unit[index].unit;
	struct vtd_requester *requester;

	*unit = (struct dmar_unit){
		.base = machine->iommu->unit[index].base,
		.include_all = !machine->config->vtd[index].devices,
		.ioapic = index == ioapic_unit(machine->config),
	};
	/* A unit that includes all others names none of them. Bound: VTD_REQUESTERS. */
	for (unsigned int i = 0; !unit->include_all && (requester = vtd_requester_at(vtd, i)); i++)
		if (vtd_requester_source(requester) != IOAPIC_REQUESTER)
			unit->scope[unit->scope_count++] = vtd_requester_source(requester);
}

static bool has_ats(const struct pci_function *fn)
{
	unsigned int at = PCI_CFG_SPACE_SIZE;

	/* Bound: each takes 8 bytes at least. */
	for (unsigned int i = 0; at && i < PCI_CONFIG_SIZE / 8; i++) {
		uint32_t header = load_le32(&fn->config[at]);

		if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_ATS)
			return true;
		at = PCI_EXT_CAP_NEXT(header);
	}
	return false;
}

/* Functions with a device-TLB that their unit lets them use, emulated or passed through. */
static void list_satc(const struct machine *machine, struct dmar_config *dmar)
{
	for (unsigned int i = 0; i < PCI_FUNCTIONS && dmar->satc_count < DMAR_SCOPES; i++) {
		const struct pci_function *fn = machine->pci.function[i];
		const struct vtd_unit *unit = fn ? fn->dma.unit : NULL;

		if (unit && has_ats(fn) && vtd_ecap(unit) & VTD_ECAP_DT)
			dmar->satc[dmar->satc_count++] = fn->requester;
	}
}

/* Interrupts are remapped by the platform as a whole (8.1): Linux, too, asks it of every unit. */
static void list_units(const struct machine *machine, struct dmar_config *dmar)
{
	dmar->interrupt_remapping = true;
	for (unsigned int i = 0; i < machine->iommu->count; i++) {
		uint64_t ecap = vtd_ecap(machine->iommu->unit[i].unit);

		describe_unit(machine, i, &dmar->unit[dmar->unit_count++]);
		dmar->interrupt_remapping &= (ecap & VTD_ECAP_IR) != 0;
		dmar->ats |= (ecap & VTD_ECAP_DT) != 0;
	}
}

int iommu_table(const struct machine *machine, uint8_t *table, size_t capacity)
{
	struct dmar_config dmar = { .host_bits = iommu_host_bits(&machine->cpu),
				    .ioapic_source = IOAPIC_REQUESTER };
	size_t size;

	if (!machine->iommu)
		return 0;
	list_units(machine, &dmar);
	list_satc(machine, &dmar);
	size = dmar_build(&dmar, table + ACPI_HEADER_SIZE, capacity - ACPI_HEADER_SIZE);
	if (!size)
		return -ENOSPC;
	size += ACPI_HEADER_SIZE;
	acpi_header(table, "DMAR", 1, (uint32_t)size);
	acpi_checksum(table);
	return (int)size;
}
