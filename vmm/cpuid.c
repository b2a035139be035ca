/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's CPU: what KVM offers of the host's, with one socket of as many cores as there are
 * vCPUs, less the features that the user masks.
 */
#include "vmm/cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/vm.h"

#define ENTRIES 256

enum cpuid_register { EAX, EBX, ECX, EDX };

struct feature {
	const char *name; /* as in /proc/cpuinfo */
	uint32_t function, index;
	enum cpuid_register reg;
	unsigned int bit;
};

static const struct feature features[] = {
	{ "sse3", 1, 0, ECX, 0 },
	{ "pni", 1, 0, ECX, 0 },
	{ "pclmulqdq", 1, 0, ECX, 1 },
	{ "vmx", 1, 0, ECX, 5 },
	{ "ssse3", 1, 0, ECX, 9 },
	{ "fma", 1, 0, ECX, 12 },
	{ "cx16", 1, 0, ECX, 13 },
	{ "pcid", 1, 0, ECX, 17 },
	{ "sse4_1", 1, 0, ECX, 19 },
	{ "sse4_2", 1, 0, ECX, 20 },
	{ "x2apic", 1, 0, ECX, 21 },
	{ "movbe", 1, 0, ECX, 22 },
	{ "popcnt", 1, 0, ECX, 23 },
	{ "tsc_deadline_timer", 1, 0, ECX, 24 },
	{ "aes", 1, 0, ECX, 25 },
	{ "xsave", 1, 0, ECX, 26 },
	{ "avx", 1, 0, ECX, 28 },
	{ "f16c", 1, 0, ECX, 29 },
	{ "rdrand", 1, 0, ECX, 30 },
	{ "hypervisor", 1, 0, ECX, 31 },
	{ "mtrr", 1, 0, EDX, 12 },
	{ "pge", 1, 0, EDX, 13 },
	{ "pat", 1, 0, EDX, 16 },
	{ "clflush", 1, 0, EDX, 19 },
	{ "fsgsbase", 7, 0, EBX, 0 },
	{ "bmi1", 7, 0, EBX, 3 },
	{ "hle", 7, 0, EBX, 4 },
	{ "avx2", 7, 0, EBX, 5 },
	{ "smep", 7, 0, EBX, 7 },
	{ "bmi2", 7, 0, EBX, 8 },
	{ "erms", 7, 0, EBX, 9 },
	{ "invpcid", 7, 0, EBX, 10 },
	{ "rtm", 7, 0, EBX, 11 },
	{ "avx512f", 7, 0, EBX, 16 },
	{ "rdseed", 7, 0, EBX, 18 },
	{ "adx", 7, 0, EBX, 19 },
	{ "smap", 7, 0, EBX, 20 },
	{ "clflushopt", 7, 0, EBX, 23 },
	{ "clwb", 7, 0, EBX, 24 },
	{ "sha_ni", 7, 0, EBX, 29 },
	{ "umip", 7, 0, ECX, 2 },
	{ "pku", 7, 0, ECX, 3 },
	{ "waitpkg", 7, 0, ECX, 5 },
	{ "vaes", 7, 0, ECX, 9 },
	{ "la57", 7, 0, ECX, 16 },
	{ "rdpid", 7, 0, ECX, 22 },
	{ "movdiri", 7, 0, ECX, 27 },
	{ "movdir64b", 7, 0, ECX, 28 },
	{ "enqcmd", 7, 0, ECX, 29 },
	{ "fsrm", 7, 0, EDX, 4 },
	{ "amx_bf16", 7, 0, EDX, 22 },
	{ "amx_tile", 7, 0, EDX, 24 },
	{ "amx_int8", 7, 0, EDX, 25 },
	{ "xsaveopt", 0xd, 1, EAX, 0 },
	{ "xsavec", 0xd, 1, EAX, 1 },
	{ "xsaves", 0xd, 1, EAX, 3 },
	{ "lahf_lm", 0x80000001, 0, ECX, 0 },
	{ "svm", 0x80000001, 0, ECX, 2 },
	{ "abm", 0x80000001, 0, ECX, 5 },
	{ "sse4a", 0x80000001, 0, ECX, 6 },
	{ "topoext", 0x80000001, 0, ECX, 22 },
	{ "nx", 0x80000001, 0, EDX, 20 },
	{ "pdpe1gb", 0x80000001, 0, EDX, 26 },
	{ "rdtscp", 0x80000001, 0, EDX, 27 },
	{ "constant_tsc", 0x80000007, 0, EDX, 8 },
	{ "nonstop_tsc", 0x80000007, 0, EDX, 8 },
	{ "kvmclock", 0x40000001, 0, EAX, 3 },
};

static uint32_t *reg_of(struct kvm_cpuid_entry2 *entry, enum cpuid_register reg)
{
	uint32_t *const regs[] = { &entry->eax, &entry->ebx, &entry->ecx, &entry->edx };

	return regs[reg];
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (unsigned int i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *entry = find(cpuid, function, index);

	if (!entry) {
		if (cpuid->nent == ENTRIES)
			return NULL;
		entry = &cpuid->entries[cpuid->nent++];
		*entry = (struct kvm_cpuid_entry2){ .function = function, .index = index };
	}
	return entry;
}

/* --- Masking --- */

static const struct feature *feature_of(const char *name, size_t len)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++)
		if (strlen(features[i].name) == len && !strncmp(features[i].name, name, len))
			return &features[i];
	return NULL;
}

int cpuid_check_spec(const char *spec, const char **bad, size_t *bad_len)
{
	while (spec && *spec) {
		size_t len = strcspn(spec, ":");
		bool masks = *spec == '-' && feature_of(spec + 1, len - 1);

		if (!masks && (len != 4 || strncmp(spec, "host", 4))) {
			*bad = spec;
			*bad_len = len;
			return -EINVAL;
		}
		spec += len + (spec[len] == ':');
	}
	return 0;
}

size_t cpuid_feature_names(char *buffer, size_t size)
{
	size_t used = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(features) && used < size; i++)
		used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? ", " : "",
					 features[i].name);
	return used;
}

static void mask_features(struct kvm_cpuid2 *cpuid, const char *spec)
{
	while (spec && *spec) {
		size_t len = strcspn(spec, ":");
		const struct feature *f = *spec == '-' ? feature_of(spec + 1, len - 1) : NULL;
		struct kvm_cpuid_entry2 *entry = f ? find(cpuid, f->function, f->index) : NULL;

		if (entry)
			*reg_of(entry, f->reg) &= ~(1U << f->bit);
		spec += len + (spec[len] == ':');
	}
}

/* --- Topology: one package, one thread per core --- */

static unsigned int id_bits(unsigned int cpus)
{
	unsigned int bits = 0;

	while (1U << bits < cpus)
		bits++;
	return bits;
}

/* SDM 2A, CPUID leaf 0BH: SMT level, core level, end. */
static void extended_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf, unsigned int apic_id,
			      unsigned int cpus)
{
	const struct {
		uint32_t eax, ebx, ecx;
	} level[] = {
		{ 0, 1, 1 << 8 },
		{ id_bits(cpus), cpus, 1 | 2 << 8 },
		{ 0, 0, 2 },
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(level); i++) {
		struct kvm_cpuid_entry2 *entry = add(cpuid, leaf, i);

		if (!entry)
			return;
		entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		entry->eax = level[i].eax;
		entry->ebx = level[i].ebx;
		entry->ecx = level[i].ecx;
		entry->edx = apic_id;
	}
}

/* Leaf 4 (Intel) and 0x8000001d (AMD): which cores share a cache. Level 3 is everybody's. */
static void cache_sharing(struct kvm_cpuid_entry2 *entry, unsigned int cpus)
{
	unsigned int level = entry->eax >> 5 & 7;
	uint32_t sharing = level == 3 ? (1U << id_bits(cpus)) - 1 : 0;

	if (!(entry->eax & 0x1f))
		return;
	entry->eax &= ~(0xfffU << 14);
	entry->eax |= sharing << 14;
	if (entry->function == 4) {
		entry->eax &= ~(0x3fU << 26);
		entry->eax |= ((1U << id_bits(cpus)) - 1) << 26;
	}
}

static void set_topology(struct kvm_cpuid2 *cpuid, unsigned int apic_id, unsigned int cpus)
{
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		switch (entry->function) {
		case 1:
			entry->ebx &= 0xffff;
			entry->ebx |= apic_id << 24 | (1U << id_bits(cpus)) << 16;
			entry->edx = cpus > 1 ? entry->edx | 1U << 28 : entry->edx & ~(1U << 28);
			break;
		case 4:
		case 0x8000001d:
			cache_sharing(entry, cpus);
			break;
		case 0x80000001: /* CmpLegacy, of AMD's */
			entry->ecx = cpus > 1 ? entry->ecx | 2 : entry->ecx & ~2U;
			break;
		case 0x80000008:
			entry->ecx = id_bits(cpus) << 12 | (cpus - 1);
			break;
		case 0x8000001e:
			entry->eax = apic_id;
			entry->ebx = apic_id & 0xff;
			entry->ecx = 0;
			break;
		default:
			break;
		}
	}
}

/* --- For KVM --- */

static struct kvm_cpuid2 *supported(int kvm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		return NULL;
	cpuid->nent = ENTRIES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
		free(cpuid);
		return NULL;
	}
	return cpuid;
}

static bool has(struct kvm_cpuid2 *cpuid, const char *name)
{
	const struct feature *f = feature_of(name, strlen(name));
	struct kvm_cpuid_entry2 *entry = find(cpuid, f->function, f->index);

	return entry && *reg_of(entry, f->reg) >> f->bit & 1;
}

void cpuid_describe(int kvm, const char *spec, struct cpuid_guest *guest)
{
	struct kvm_cpuid2 *cpuid = supported(kvm);
	struct kvm_cpuid_entry2 *entry;

	*guest = (struct cpuid_guest){ .phys_bits = 36 };
	if (!cpuid)
		return;
	entry = find(cpuid, 0x80000008, 0);
	if (entry && entry->eax & 0xff)
		guest->phys_bits = entry->eax & 0xff;
	mask_features(cpuid, spec);
	guest->la57 = has(cpuid, "la57");
	guest->pages_1g = has(cpuid, "pdpe1gb");
	free(cpuid);
}

int cpuid_apply(struct machine *machine, struct vcpu *vcpu)
{
	unsigned int cpus = machine->config->cpus;
	struct kvm_cpuid2 *cpuid = supported(machine->kvm);
	struct kvm_cpuid_entry2 *leaf0, *leaf1;
	int rc = 0;

	if (!cpuid)
		return -errno;
	leaf0 = find(cpuid, 0, 0);
	leaf1 = find(cpuid, 1, 0);
	/*
	 * Two bits that KVM offers without saying so in its list: before Linux 6.14 that it is a
	 * hypervisor, without which a guest never looks for its clock; and the deadline timer.
	 */
	if (leaf1) {
		leaf1->ecx |= 1U << 31;
		if (ioctl(machine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
			leaf1->ecx |= 1U << 24;
	}
	if (leaf0 && leaf0->eax >= 0xb)
		extended_topology(cpuid, 0xb, vcpu->index, cpus);
	if (leaf0 && leaf0->eax >= 0x1f)
		extended_topology(cpuid, 0x1f, vcpu->index, cpus);
	set_topology(cpuid, vcpu->index, cpus);
	mask_features(cpuid, machine->config->cpu);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0) {
		rc = -errno;
		log_error(KVM, "vCPU %u: CPUID was refused by KVM: %s", vcpu->index,
			  strerror(errno));
	}
	free(cpuid);
	return rc;
}
