// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `nidus caps --vtd`: what a unit offers, bit by bit, and why.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/iommu.h"

#define CAPABILITIES_MAX 128

/* Without /dev/kvm there are no guests; what is shown then is for the largest of CPUs. */
static void describe_cpu(struct cpuid_guest *cpu)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*cpu = (struct cpuid_guest){ .phys_bits = 52, .la57 = true, .pages_1g = true };
	if (kvm < 0)
		return;
	cpuid_describe(kvm, NULL, cpu);
	close(kvm);
}

static void print_json(unsigned int index, const struct vtd_capability *list, unsigned int count,
		       FILE *out)
{
	for (unsigned int i = 0; i < count; i++)
		fprintf(out,
			"%s{\"unit\": \"vtd%u\", \"register\": \"%s\", \"name\": \"%s\", "
			"\"value\": %" PRIu64 ", \"reason\": \"%s\"}",
			index || i ? ",\n " : "", index, list[i].reg, list[i].name, list[i].value,
			list[i].reason);
}

static void print_text(unsigned int index, const struct vtd_unit *unit,
		       const struct vtd_capability *list, unsigned int count, FILE *out)
{
	fprintf(out, "vtd%u: CAP 0x%016" PRIx64 ", ECAP 0x%016" PRIx64 "\n", index, vtd_cap(unit),
		vtd_ecap(unit));
	for (unsigned int i = 0; i < count; i++)
		fprintf(out, "%-5s %-8s %-6" PRIu64 " %s\n", list[i].reg, list[i].name,
			list[i].value, list[i].reason);
}

static int explain_unit(const struct vtd_options *options, const struct cpuid_guest *cpu,
			unsigned int index, bool json, FILE *out, struct config_error *error)
{
	struct vtd_capability list[CAPABILITIES_MAX];
	struct vtd_config config;
	struct vtd_unit *unit;
	unsigned int count;

	if (iommu_resolve(options, cpu, index, &config, error))
		return -EINVAL;
	/* It is only looked at. */
	unit = vtd_create(&config, NULL, NULL, NULL, NULL);
	if (!unit)
		return config_fail(error, "--vtd %u: the unit cannot be made: %s", index,
				   strerror(errno));
	count = vtd_explain(unit, list, CAPABILITIES_MAX);
	if (count > CAPABILITIES_MAX)
		count = CAPABILITIES_MAX;
	if (json)
		print_json(index, list, count, out);
	else
		print_text(index, unit, list, count, out);
	vtd_destroy(unit);
	return 0;
}

int iommu_explain(const struct vm_config *config, bool json, FILE *out, struct config_error *error)
{
	struct cpuid_guest cpu;
	int rc = 0;

	describe_cpu(&cpu);
	fputs(json ? "[" : "", out);
	for (unsigned int i = 0; i < config->vtd_count && !rc; i++)
		rc = explain_unit(&config->vtd[i], &cpu, i, json, out, error);
	fputs(json ? "]\n" : "", out);
	return rc;
}
