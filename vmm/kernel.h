/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel and its files, from the configuration to a vCPU that is about to run them.
 */
#ifndef NIDUS_VMM_KERNEL_H
#define NIDUS_VMM_KERNEL_H

#include <stddef.h>

struct machine;
struct vm_config;

/*
 * Whether the kernel, its initrds or modules and its command line can be loaded into the memory
 * that @config asks for; reads headers only. 0, or negative errno and a line in @error.
 */
int kernel_check(const struct vm_config *config, char *error, size_t size);

/*
 * Puts the kernel, its files and the ACPI tables into memory, and sets the vCPUs to their first
 * state. 0, or negative errno after one line on stderr.
 */
int kernel_load(struct machine *machine);

/* The same once more, for a machine that restarts (config->restart): opens nothing. RAM is zero. */
int kernel_start(struct machine *machine);
/* Closes what kernel_start() reads. */
void kernel_close(struct machine *machine);

#endif
