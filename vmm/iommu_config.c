// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VT-d unit is to offer: from the options, the guest's CPU, and what needs what. Also which
 * devices are behind which unit.
 */
#include <errno.h>
#include <string.h>

#include "devices/base.h"
#include "vmm/iommu.h"

/* A feature, its field, and the set of others without which it is nothing. */
struct feature {
	const char *key;
	size_t field; /* of struct vtd_config */
	uint32_t needs;
};

_Static_assert(VTD_FEATURES <= 32, "sets of features are 32-bit masks");

#define FIELD(name) offsetof(struct vtd_config, name)
#define FEATURE(x)  VTD_FEATURE_##x
#define NEEDS(x)    (UINT32_C(1) << VTD_FEATURE_##x)

/* A feature stands behind those that it needs. */
static const struct feature features[VTD_FEATURES] = {
	[FEATURE(SCALABLE)] = { "scalable", FIELD(scalable), 0 },
	[FEATURE(FIRST_STAGE)] = { "first-stage", FIELD(first_stage), NEEDS(SCALABLE) },
	[FEATURE(SECOND_STAGE)] = { "second-stage", FIELD(second_stage), NEEDS(SCALABLE) },
	[FEATURE(NESTED)] = { "nested", FIELD(nested), NEEDS(FIRST_STAGE) | NEEDS(SECOND_STAGE) },
	[FEATURE(FIRST_STAGE_57)] = { "first-stage-57", FIELD(first_stage_57), NEEDS(FIRST_STAGE) },
	[FEATURE(FIRST_STAGE_1G)] = { "first-stage-1g", FIELD(first_stage_1g), NEEDS(FIRST_STAGE) },
	[FEATURE(PASS_THROUGH)] = { "pass-through", FIELD(pass_through), 0 },
	[FEATURE(ATS)] = { "ats", FIELD(ats), 0 },
	[FEATURE(PRI)] = { "pri", FIELD(pri), NEEDS(SCALABLE) | NEEDS(ATS) },
	[FEATURE(INTERRUPT_REMAPPING)] = { "ir", FIELD(interrupt_remapping), 0 },
	[FEATURE(X2APIC)] = { "x2apic", FIELD(x2apic), NEEDS(INTERRUPT_REMAPPING) },
	[FEATURE(SUPERVISOR)] = { "supervisor", FIELD(supervisor), NEEDS(FIRST_STAGE) },
	[FEATURE(EXECUTE)] = { "execute", FIELD(execute), NEEDS(FIRST_STAGE) },
	[FEATURE(CACHING_MODE)] = { "caching-mode", FIELD(caching_mode), 0 },
	[FEATURE(SNOOP)] = { "snoop", FIELD(snoop), 0 },
	[FEATURE(ACCESS_DIRTY)] = { "access-dirty", FIELD(access_dirty), NEEDS(SECOND_STAGE) },
	[FEATURE(EXTENDED_ACCESSED)] = { "extended-accessed", FIELD(extended_accessed),
					 NEEDS(FIRST_STAGE) },
	[FEATURE(ABORT_DMA)] = { "abort-dma", FIELD(abort_dma), 0 },
	[FEATURE(VIRTUAL_COMMANDS)] = { "vcmd", FIELD(virtual_commands), NEEDS(SCALABLE) },
};

static bool *feature_field(struct vtd_config *config, enum vtd_feature which)
{
	return (bool *)((char *)config + features[which].field);
}

/* The first feature that @which needs and that is off, or NULL. */
static const char *missing(struct vtd_config *config, enum vtd_feature which)
{
	for (unsigned int i = 0; i < VTD_FEATURES; i++)
		if (features[which].needs & UINT32_C(1) << i && !*feature_field(config, i))
			return features[i].key;
	return NULL;
}

static int resolve_feature(const struct vtd_options *options, enum vtd_feature which,
			   unsigned int index, struct vtd_config *config,
			   struct config_error *error)
{
	const char *needed = missing(config, which), *key = features[which].key;
	bool *field = feature_field(config, which);

	if (options->feature[which] == TOGGLE_ON && needed)
		return config_fail(error,
				   "--vtd %u: %s=on needs %s, which is off: turn that on, or leave "
				   "%s out",
				   index, key, needed, key);
	if (options->feature[which] != TOGGLE_AUTO)
		*field = options->feature[which] == TOGGLE_ON;
	else if (needed)
		*field = false;
	return 0;
}

unsigned int iommu_host_bits(const struct cpuid_guest *cpu)
{
	return (unsigned int)max_u64(32, min_u64(cpu->phys_bits, 52));
}

int iommu_resolve(const struct vtd_options *options, const struct cpuid_guest *cpu,
		  unsigned int index, struct vtd_config *config, struct config_error *error)
{
	vtd_config_init(config);
	config->aw = options->aw;
	config->host_bits = iommu_host_bits(cpu);
	/* Linux uses no first stage that cannot hold what its CPUs' page tables may. */
	config->first_stage_57 = cpu->la57;
	config->first_stage_1g = cpu->pages_1g;
	config->domain_bits = options->domain_bits;
	config->pasid_quota = options->pasid_quota;
	config->fault_records = options->fault_records;
	config->drop = options->drop;
	for (unsigned int i = 0; i < VTD_FEATURES; i++)
		if (resolve_feature(options, i, index, config, error))
			return -EINVAL;
	config->pasid_bits = config->scalable ? options->pasid_bits : 0;
	if (config->scalable && !config->first_stage && !config->second_stage)
		return config_fail(
			error,
			"--vtd %u: scalable mode needs first-stage or second-stage: turn "
			"one of them on, or scalable off",
			index);
	if (config->domain_bits % 2)
		return config_fail(error,
				   "--vtd %u: domain-bits is %u, and units have an even number of "
				   "them: take %u",
				   index, config->domain_bits, config->domain_bits + 1);
	if (config->virtual_commands && !config->pasid_bits)
		return config_fail(error,
				   "--vtd %u: vcmd=on needs PASIDs, but pasid-bits is 0: take 1 to "
				   "20, or leave vcmd out",
				   index);
	return 0;
}

/* --- What is behind which unit --- */

bool iommu_lists(const struct vtd_options *options, const char *name)
{
	size_t len = strlen(name);
	const char *p = options->devices;

	while (p && *p) {
		size_t n = strcspn(p, ":");

		if (n == len && !memcmp(p, name, len))
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

int iommu_index(const struct vm_config *config, const char *name)
{
	int rest = -1;

	for (unsigned int i = 0; i < config->vtd_count; i++) {
		if (!config->vtd[i].devices)
			rest = (int)i;
		else if (iommu_lists(&config->vtd[i], name))
			return (int)i;
	}
	return rest;
}

/* --- Rules --- */

/* The devices that there are, by the names that peripherals.c gives them. */
static const struct {
	const char *stem;
	size_t count;
} lists[] = {
	{ "disk", offsetof(struct vm_config, disk_count) },
	{ "net", offsetof(struct vm_config, net_count) },
	{ "sdma", offsetof(struct vm_config, sdma_count) },
	{ "edu", offsetof(struct vm_config, edu_count) },
	{ "vfio", offsetof(struct vm_config, vfio_count) },
};

static unsigned int list_count(const struct vm_config *config, size_t list)
{
	return *(const unsigned int *)((const char *)config + lists[list].count);
}

static bool device_exists(const struct vm_config *config, const char *name)
{
	char known[24];

	if (!strcmp(name, "rng"))
		return config->rng;
	if (!strcmp(name, "console"))
		return config->console.kind != STREAM_OFF;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (unsigned int j = 0; j < list_count(config, i); j++) {
			snprintf(known, sizeof(known), "%s%u", lists[i].stem, j);
			if (!strcmp(name, known))
				return true;
		}
	return false;
}

static void device_names(const struct vm_config *config, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	text[0] = '\0';
	if (!out)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (unsigned int j = 0; j < list_count(config, i); j++)
			fprintf(out, "%s%u, ", lists[i].stem, j);
	if (config->console.kind != STREAM_OFF)
		fputs("console, ", out);
	fputs(config->rng ? "rng" : "no others", out);
	fclose(out);
}

static int check_device(const struct vm_config *config, unsigned int index, const char *name,
			struct config_error *error)
{
	char names[400];

	if (!device_exists(config, name)) {
		device_names(config, names, sizeof(names));
		return config_fail(error, "--vtd %u: devices: there is no '%.60s'; there are: %s",
				   index, name, names);
	}
	for (unsigned int i = 0; i < index; i++)
		if (iommu_lists(&config->vtd[i], name))
			return config_fail(error,
					   "--vtd %u: devices: '%s' is behind --vtd %u already; "
					   "keep one",
					   index, name, i);
	return 0;
}

static int check_devices(const struct vm_config *config, unsigned int index,
			 struct config_error *error)
{
	const char *p = config->vtd[index].devices;
	char name[CONFIG_DEVICES_TEXT];

	for (unsigned int i = 0; !p && i < index; i++)
		if (!config->vtd[i].devices)
			return config_fail(error,
					   "--vtd %u: has no devices, and neither has --vtd %u: "
					   "only one can stand for all others; say devices=NAME",
					   index, i);
	while (p && *p) {
		size_t n = strcspn(p, ":");

		memcpy(name, p, n);
		name[n] = '\0';
		if (check_device(config, index, name, error))
			return -EINVAL;
		p += n + (p[n] == ':');
	}
	return 0;
}

int iommu_check(const struct vm_config *config, struct config_error *error)
{
	/* Whatever the CPU is: what contradicts itself does so on each. */
	static const struct cpuid_guest any = { .phys_bits = 46, .la57 = true, .pages_1g = true };
	struct vtd_config resolved;

	for (unsigned int i = 0; i < config->vtd_count; i++)
		if (iommu_resolve(&config->vtd[i], &any, i, &resolved, error) ||
		    check_devices(config, i, error))
			return -EINVAL;
	return 0;
}
