/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exit codes of `nidus`; documented in nidus(1) and the README.
 */
#ifndef NIDUS_VMM_EXIT_H
#define NIDUS_VMM_EXIT_H

enum nidus_exit {
	NIDUS_EXIT_POWEROFF = 0, /* the guest powered itself off; other verbs: success */
	NIDUS_EXIT_FAILURE = 1,	 /* the VMM or the host failed */
	NIDUS_EXIT_USAGE = 2,	 /* bad option, file or value: nothing was started */
	NIDUS_EXIT_RESET = 3,	 /* the guest asked for a reset */
	NIDUS_EXIT_CRASH = 4,	 /* the guest crashed: triple fault */
	NIDUS_EXIT_STOPPED = 5,	 /* ended by `nidus stop` or by Ctrl-A x */
	NIDUS_EXIT_SIGNAL = 128, /* plus the number of the signal, as shells count */
	/* The exit port, when asked for, ends with (status << 1) | 1, cut to 8 bits. */
};

#endif
