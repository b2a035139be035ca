/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running VM tells and does for `nidus stats` and `nidus stop`.
 */
#ifndef NIDUS_VMM_MONITOR_H
#define NIDUS_VMM_MONITOR_H

struct machine;

/* Opens the control socket if the VM has a name. 0, or negative errno after one line on stderr. */
int monitor_open(struct machine *machine);
void monitor_close(struct machine *machine);

/* A descriptor to poll for input, or -1; and what to do when there is some. Control thread. */
int monitor_event(const struct machine *machine);
void monitor_serve(struct machine *machine);

/* The directory in which the socket is removed at the end; NULL without a socket. */
const char *monitor_directory(const struct machine *machine);

#endif
