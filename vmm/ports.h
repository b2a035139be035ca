/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports by which a guest ends itself.
 */
#ifndef NIDUS_VMM_PORTS_H
#define NIDUS_VMM_PORTS_H

struct machine;

/* Claims the ports that the configuration asks for. 0, or negative errno after one line on stderr.
 */
int ports_init(struct machine *machine);

#endif
