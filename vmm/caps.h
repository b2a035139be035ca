/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host can do for a VM and, for each thing it cannot, why and what to change: the verb
 * `nidus caps`.
 */
#ifndef NIDUS_VMM_CAPS_H
#define NIDUS_VMM_CAPS_H

#include <stdbool.h>
#include <stdio.h>

#define CAPS_MAX 256

struct cap {
	char name[32];
	bool ok;
	bool required;	  /* without it no Linux guest runs */
	char found[160];  /* what there is, or why there is not */
	char remedy[224]; /* if !ok */
};

struct caps {
	unsigned int count;
	struct cap cap[CAPS_MAX];
};

/* The host, or a made-up one in tests. Both calls return negative errno values. */
struct caps_host {
	const char *root; /* in front of /dev, /proc and /sys */
	long (*ioctl)(int fd, unsigned long request, unsigned long argument);
	long (*call)(long number, unsigned long a, unsigned long b, unsigned long c,
		     unsigned long d);
};

extern const struct caps_host caps_this_host;

void caps_probe(struct caps *caps, const struct caps_host *host);

/* Whether all that is required is there. */
bool caps_usable(const struct caps *caps);

void caps_print(const struct caps *caps, bool json, FILE *out);

/* For the parts of the probe: caps_kvm.c, caps_system.c and caps_iommu.c. */
struct cap *caps_add(struct caps *caps, const char *name, bool required);
__attribute__((format(printf, 2, 3))) void cap_yes(struct cap *cap, const char *found, ...);
/* @remedy is taken as it is; @found is a format. */
__attribute__((format(printf, 3, 4))) void cap_no(struct cap *cap, const char *remedy,
						  const char *found, ...);

void caps_probe_kvm(struct caps *caps, const struct caps_host *host);
void caps_probe_system(struct caps *caps, const struct caps_host *host);
void caps_probe_iommu(struct caps *caps, const struct caps_host *host);

/* Opens @path below the host's root; a descriptor or negative errno. */
int caps_open(const struct caps_host *host, const char *path, int flags);

#endif
