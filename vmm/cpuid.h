/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of CPU features, for the cpu= key, and what other parts must know of the guest's CPU.
 */
#ifndef NIDUS_VMM_CPUID_H
#define NIDUS_VMM_CPUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Checks a specification "host", "host:-svm:-avx2" or "-svm": names as in /proc/cpuinfo. Returns 0,
 * or -EINVAL and points *@bad at the part, of *@bad_len bytes, that was not understood.
 */
int cpuid_check_spec(const char *spec, const char **bad, size_t *bad_len);

/* Writes the names of all features that can be masked, separated by ", "; returns the length. */
size_t cpuid_feature_names(char *buffer, size_t size);

/* What the guest's CPU has that a remapping unit must keep up with. */
struct cpuid_guest {
	unsigned int phys_bits; /* width of guest-physical addresses */
	bool la57;		/* five-level page tables */
	bool pages_1g;
};

/* Asks @kvm, a descriptor of /dev/kvm, for a CPU with the features that @spec leaves. */
void cpuid_describe(int kvm, const char *spec, struct cpuid_guest *guest);

#endif
