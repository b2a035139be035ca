/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verbs of the command.
 */
#ifndef NIDUS_VMM_VERBS_H
#define NIDUS_VMM_VERBS_H

#include <stdio.h>

#include "vmm/config.h"
#include "vmm/options.h"

extern const struct verb verbs[];
extern const unsigned int verb_count;

/* The verb called @name; NULL with @error, which offers the nearest. */
const struct verb *verb_find(const char *name, struct config_error *error);

/* help.c: all verbs, or the options of one. */
void help_print(FILE *out);
void help_print_verb(const struct verb *verb, FILE *out);

/* check.c */
int verb_check(struct invocation *invocation);

#endif
