// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm/iommu*.c: what units are to offer, what is behind which, where they are, and the DMAR. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/base.h"
#include "viommu/spec.h"
#include "vmm/acpi.h"
#include "vmm/iommu_units.h"
#include "vmm/layout.h"
#include "vmm/report.h"
#include "vmm/vm.h"

static const struct cpuid_guest small_cpu = { .phys_bits = 40 };
static const struct cpuid_guest large_cpu = { .phys_bits = 57, .la57 = true, .pages_1g = true };

void irq_send_unmapped(struct machine *m, uint64_t address, uint32_t data)
{
	(void)m;
	(void)address;
	(void)data;
}

void irq_remapping_changed(struct machine *m, struct vtd_unit *unit)
{
	assert_non_null(m);
	assert_non_null(unit);
}

/* --- What a unit is to offer --- */

static void test_defaults(void **state)
{
	struct vtd_config resolved, expected;
	struct vtd_options options;
	struct config_error error;

	(void)state;
	config_vtd_init(&options);
	assert_int_equal(iommu_resolve(&options, &large_cpu, 0, &resolved, &error), 0);
	vtd_config_init(&expected);
	expected.host_bits = 52;
	assert_memory_equal(&resolved, &expected, sizeof(resolved));
	assert_int_equal(iommu_resolve(&options, &small_cpu, 0, &resolved, &error), 0);
	assert_int_equal(resolved.host_bits, 40);
	assert_false(resolved.first_stage_57);
	assert_false(resolved.first_stage_1g);
	options.feature[VTD_FEATURE_FIRST_STAGE_57] = TOGGLE_ON;
	assert_int_equal(iommu_resolve(&options, &small_cpu, 0, &resolved, &error), 0);
	assert_true(resolved.first_stage_57);
}

static unsigned int resolve_without(enum vtd_feature which, struct vtd_config *resolved)
{
	struct vtd_options options;
	struct config_error error;

	config_vtd_init(&options);
	options.feature[which] = TOGGLE_OFF;
	return !iommu_resolve(&options, &large_cpu, 0, resolved, &error);
}

/* What needs a feature goes with it, and nothing else does. */
static void test_dependencies(void **state)
{
	struct vtd_config c;

	(void)state;
	assert_true(resolve_without(VTD_FEATURE_SCALABLE, &c));
	assert_false(c.scalable || c.first_stage || c.second_stage || c.nested || c.pri ||
		     c.first_stage_57 || c.first_stage_1g || c.supervisor || c.execute ||
		     c.extended_accessed || c.access_dirty || c.pasid_bits);
	assert_true(c.ats && c.interrupt_remapping && c.x2apic && c.pass_through && c.snoop &&
		    c.abort_dma);
	assert_true(resolve_without(VTD_FEATURE_FIRST_STAGE, &c));
	assert_false(c.nested || c.first_stage_57 || c.extended_accessed);
	assert_true(c.second_stage && c.access_dirty && c.pri && c.pasid_bits == 20);
	assert_true(resolve_without(VTD_FEATURE_SECOND_STAGE, &c));
	assert_false(c.nested || c.access_dirty);
	assert_true(c.first_stage && c.first_stage_57);
	assert_true(resolve_without(VTD_FEATURE_ATS, &c));
	assert_false(c.pri);
	assert_true(c.nested);
	assert_true(resolve_without(VTD_FEATURE_INTERRUPT_REMAPPING, &c));
	assert_false(c.x2apic);
	assert_true(c.pri);
}

/* Each feature reaches a field of its own, both ways. */
static void test_every_feature(void **state)
{
	static uint8_t seen[VTD_FEATURES][sizeof(struct vtd_config)];

	(void)state;
	for (unsigned int i = 0; i < VTD_FEATURES; i++) {
		struct vtd_options options;
		struct config_error error;
		struct vtd_config on, off;

		config_vtd_init(&options);
		options.feature[i] = TOGGLE_ON;
		assert_int_equal(iommu_resolve(&options, &large_cpu, 0, &on, &error), 0);
		options.feature[i] = TOGGLE_OFF;
		assert_int_equal(iommu_resolve(&options, &large_cpu, 0, &off, &error), 0);
		assert_memory_not_equal(&on, &off, sizeof(on));
		for (size_t b = 0; b < sizeof(on); b++)
			seen[i][b] = ((uint8_t *)&on)[b] != ((uint8_t *)&off)[b];
		for (unsigned int j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], sizeof(seen[i]));
	}
}

/* What passes here is what a unit can be made of. */
static void test_units_agree(void **state)
{
	unsigned int made = 0, refused = 0;

	(void)state;
	srand(1);
	for (unsigned int round = 0; round < 400; round++) {
		struct vtd_options options;
		struct config_error error;
		struct vtd_config resolved;
		struct vtd_unit *unit;

		config_vtd_init(&options);
		for (unsigned int i = 0; i < VTD_FEATURES; i++)
			options.feature[i] = rand() % 4 ? TOGGLE_AUTO : 1 + (unsigned)rand() % 2;
		options.pasid_bits = rand() % 2 ? 20 : 0;
		if (iommu_resolve(&options, &large_cpu, 0, &resolved, &error)) {
			refused++;
			continue;
		}
		unit = vtd_create(&resolved, NULL, NULL, NULL, NULL);
		assert_non_null(unit);
		vtd_destroy(unit);
		made++;
	}
	assert_true(made > 50 && refused > 50);
}

static void test_placement(void **state)
{
	struct vm_config config;

	(void)state;
	config_init(&config);
	assert_int_equal(iommu_index(&config, "disk0"), -1);
	config.vtd_count = 3;
	for (unsigned int i = 0; i < 3; i++)
		config_vtd_init(&config.vtd[i]);
	config.vtd[0].devices = strdup("disk10:rng");
	config.vtd[2].devices = strdup("disk1");
	assert_int_equal(iommu_index(&config, "rng"), 0);
	assert_int_equal(iommu_index(&config, "disk1"), 2);
	assert_int_equal(iommu_index(&config, "disk10"), 0);
	assert_int_equal(iommu_index(&config, "disk"), 1);
	assert_int_equal(iommu_index(&config, "disk100"), 1);
	config.vtd[1].devices = strdup("net0");
	assert_int_equal(iommu_index(&config, "disk100"), -1);
	config_free(&config);
}

/* --- A machine --- */

static struct machine *machine;
static struct vm_config config;
static uint8_t memory[65536];

static int setup(void **state)
{
	(void)state;
	machine = calloc(1, sizeof(*machine));
	config_init(&config);
	machine->config = &config;
	machine->cpu = large_cpu;
	machine->ram.count = 1;
	machine->ram.slot[0] = (struct ram_slot){ 0, sizeof(memory), memory };
	bus_init(&machine->mmio);
	machine->pci.machine = machine;
	machine->pci.ram = &machine->ram;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	iommu_destroy(machine);
	bus_destroy(&machine->mmio);
	config_free(&config);
	free(machine);
	return 0;
}

static void add_units(unsigned int count)
{
	config.vtd_count = count;
	for (unsigned int i = 0; i < count; i++)
		config_vtd_init(&config.vtd[i]);
}

static void add_function(struct pci_function *fn, const char *name, int devfn)
{
	static const struct pci_ops ops = { 0 };
	static const struct pci_ids ids = { .vendor = 0x1234 };

	pci_function_init(fn, name, &ops, &ids, false);
	assert_int_equal(pci_host_add(&machine->pci, fn, devfn), 0);
}

static void test_no_unit(void **state)
{
	struct pci_function fn;
	uint8_t table[IOMMU_TABLE_SIZE];

	(void)state;
	assert_int_equal(iommu_create(machine), 0);
	assert_null(machine->iommu);
	assert_int_equal(iommu_table(machine, table, sizeof(table)), 0);
	add_function(&fn, "rng", 8);
	assert_null(fn.dma.ops);
	pci_function_destroy(&fn);
}

static void test_units(void **state)
{
	struct vtd_requester *requester;
	struct pci_function a, b;
	struct vtd_unit *unit;

	(void)state;
	add_units(3);
	config.vtd[0].devices = strdup("disk0");
	config.vtd[2].devices = strdup("disk1");
	assert_int_equal(iommu_create(machine), 0);
	assert_int_equal(machine->mmio.count, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(machine->mmio.region[i].base, 0xfed90000 + 0x1000 * i);
	assert_ptr_equal(machine->vtd_of[IOAPIC_REQUESTER], machine->iommu->unit[1].unit);
	add_function(&a, "disk0", 8);
	add_function(&b, "rng", 16);
	assert_ptr_equal(a.dma.unit, machine->iommu->unit[0].unit);
	assert_ptr_equal(b.dma.unit, machine->iommu->unit[1].unit);
	assert_ptr_equal(machine->vtd_of[8], machine->iommu->unit[0].unit);
	assert_ptr_equal(machine->vtd_of[16], machine->iommu->unit[1].unit);
	assert_true(iommu_find(machine, "rng", &unit, &requester));
	assert_ptr_equal(unit, machine->iommu->unit[1].unit);
	assert_ptr_equal(requester, b.dma.iommu);
	assert_false(iommu_find(machine, "disk1", &unit, &requester));
	pci_function_destroy(&a);
	pci_function_destroy(&b);
	iommu_destroy(machine);
	assert_int_equal(machine->mmio.count, 0);
	assert_null(machine->vtd_of[8]);
	assert_null(machine->pci.unit_of);
}

/* There are more devices to have than slots: the last ones must not become the IOAPIC. */
static void test_slot_of_the_ioapic(void **state)
{
	static struct pci_function fn[32];
	unsigned int count = 0;

	(void)state;
	add_units(1);
	config.vtd[0].devices = strdup("disk0");
	assert_int_equal(iommu_create(machine), 0);
	for (; count < 32; count++) {
		static const struct pci_ops ops = { 0 };
		static const struct pci_ids ids = { .vendor = 0x1234 };

		pci_function_init(&fn[count], "rng", &ops, &ids, false);
		if (pci_host_add(&machine->pci, &fn[count], -1))
			break;
		assert_int_not_equal(fn[count].requester, IOAPIC_REQUESTER);
	}
	assert_int_equal(count, 31);
	assert_int_equal(pci_host_add(&machine->pci, &fn[count], IOAPIC_REQUESTER), -EBUSY);
	while (count)
		pci_function_destroy(&fn[--count]);
	iommu_destroy(machine);
}

/* Without a unit for the rest, what is not listed is not remapped, but interrupts are. */
static void test_no_rest(void **state)
{
	struct pci_function fn;

	(void)state;
	add_units(1);
	config.vtd[0].devices = strdup("disk0");
	assert_int_equal(iommu_create(machine), 0);
	assert_ptr_equal(machine->vtd_of[IOAPIC_REQUESTER], machine->iommu->unit[0].unit);
	add_function(&fn, "rng", 8);
	assert_null(fn.dma.unit);
	assert_null(machine->vtd_of[8]);
	pci_function_destroy(&fn);
}

static void test_refused(void **state)
{
	(void)state;
	add_units(2);
	config.vtd[1].feature[VTD_FEATURE_SCALABLE] = TOGGLE_OFF;
	config.vtd[1].feature[VTD_FEATURE_NESTED] = TOGGLE_ON;
	assert_int_equal(iommu_create(machine), -EINVAL);
	assert_null(machine->iommu);
	assert_int_equal(machine->mmio.count, 0);
}

/* Remapping structures by type: DRHD is 0 (8.3), ATSR 2 (8.5), SATC 5 (8.8). */
static unsigned int structures(const uint8_t *table, unsigned int type, const uint8_t **last)
{
	unsigned int count = 0;

	for (size_t at = 48; at < load_le32(table + 4); at += load_le16(table + at + 2)) {
		assert_true(load_le16(table + at + 2));
		if (load_le16(table + at) == type) {
			*last = table + at;
			count++;
		}
	}
	return count;
}

static void test_table(void **state)
{
	static uint8_t table[IOMMU_TABLE_SIZE];
	const uint8_t *last = NULL;
	struct pci_function a, b;
	uint8_t sum = 0;
	int size;

	(void)state;
	add_units(2);
	config.vtd[1].devices = strdup("disk0");
	assert_int_equal(iommu_create(machine), 0);
	add_function(&a, "disk0", 8);
	add_function(&b, "sdma0", 16);
	pci_add_ext_capability(&b, PCI_EXT_CAP_ID_DSN, 1, PCI_EXT_CAP_DSN_SIZEOF);
	pci_add_ext_capability(&b, PCI_EXT_CAP_ID_ATS, 1, PCI_EXT_CAP_ATS_SIZEOF);
	size = iommu_table(machine, table, sizeof(table));
	assert_true(size > 48);
	assert_memory_equal(table, "DMAR", 4);
	assert_int_equal(load_le32(table + 4), size);
	for (int i = 0; i < size; i++)
		sum = (uint8_t)(sum + table[i]);
	assert_int_equal(sum, 0);
	assert_int_equal(table[36], 51); /* host address width, minus 1 */
	assert_int_equal(structures(table, 0, &last), 2);
	assert_int_equal(last[4] & 1, 1); /* INCLUDE_PCI_ALL, last */
	assert_int_equal(load_le64(last + 8), 0xfed90000);
	if (vtd_ecap(machine->iommu->unit[0].unit) & VTD_ECAP_DT)
		assert_int_equal(structures(table, 5, &last), 1);
	/* One endpoint, which is the one with a device-TLB. */
	if (vtd_ecap(machine->iommu->unit[0].unit) & VTD_ECAP_DT) {
		assert_int_equal(load_le16(last + 2), 16);
		assert_int_equal(last[14], 16 >> 3);
	}
	assert_int_equal(iommu_table(machine, table, 64), -ENOSPC);
	pci_function_destroy(&a);
	pci_function_destroy(&b);
}

static bool table_remaps_interrupts(void)
{
	static uint8_t table[IOMMU_TABLE_SIZE];

	assert_true(iommu_table(machine, table, sizeof(table)) > 48);
	return table[37] & 1; /* INTR_REMAP (8.1) */
}

/* Interrupts are remapped by all units, or by none as far as the guest is told. */
static void test_table_of_a_mix(void **state)
{
	(void)state;
	add_units(3);
	config.vtd[0].devices = strdup("disk0");
	config.vtd[1].devices = strdup("disk1");
	assert_int_equal(iommu_create(machine), 0);
	assert_true(table_remaps_interrupts());
	iommu_destroy(machine);
	config.vtd[1].feature[VTD_FEATURE_INTERRUPT_REMAPPING] = TOGGLE_OFF;
	assert_int_equal(iommu_create(machine), 0);
	assert_false(table_remaps_interrupts());
}

/* The largest machine's table fits. */
static void test_large_table(void **state)
{
	static uint8_t table[IOMMU_TABLE_SIZE];
	static struct pci_function fn[30];
	static char name[30][8];

	(void)state;
	add_units(CONFIG_VTDS);
	for (unsigned int i = 1; i < CONFIG_VTDS; i++) {
		config.vtd[i].devices = malloc(32);
		snprintf(config.vtd[i].devices, 32, "d%u:d%u", i, i + 15);
	}
	assert_int_equal(iommu_create(machine), 0);
	for (unsigned int i = 0; i < 30; i++) {
		snprintf(name[i], sizeof(name[i]), "d%u", i);
		add_function(&fn[i], name[i], (int)(8 * (i + 1)));
	}
	assert_true(iommu_table(machine, table, sizeof(table)) > 0);
	for (unsigned int i = 0; i < 30; i++)
		pci_function_destroy(&fn[i]);
}

static void test_report(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct report report;

	(void)state;
	add_units(1);
	assert_int_equal(iommu_create(machine), 0);
	report_begin(&report, out, false);
	iommu_report(machine, &report);
	report_end(&report);
	fclose(out);
	assert_memory_equal(text, "vtd0: translations=0 iotlb_hits=0 walks=0", 41);
	assert_non_null(strstr(text, "\nvtd0.ioapic: source=248\n"));
	free(text);
}

static void test_explain(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct config_error error;

	(void)state;
	add_units(2);
	assert_int_equal(iommu_explain(&config, false, out, &error), 0);
	fclose(out);
	assert_memory_equal(text, "vtd0: CAP 0x", 12);
	assert_non_null(strstr(text, "\nvtd1: CAP 0x"));
	free(text);
	config.vtd[1].feature[VTD_FEATURE_SCALABLE] = TOGGLE_OFF;
	config.vtd[1].feature[VTD_FEATURE_PRI] = TOGGLE_ON;
	out = fopen("/dev/null", "w");
	assert_int_equal(iommu_explain(&config, true, out, &error), -EINVAL);
	assert_non_null(strstr(error.text, "--vtd 1: pri=on needs scalable"));
	fclose(out);
}

#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_every_feature),
		cmocka_unit_test(test_units_agree),
		cmocka_unit_test(test_placement),
		MACHINE_TEST(test_no_unit),
		MACHINE_TEST(test_units),
		MACHINE_TEST(test_no_rest),
		MACHINE_TEST(test_slot_of_the_ioapic),
		MACHINE_TEST(test_refused),
		MACHINE_TEST(test_table),
		MACHINE_TEST(test_table_of_a_mix),
		MACHINE_TEST(test_large_table),
		MACHINE_TEST(test_report),
		MACHINE_TEST(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
