/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A UART. Bytes go to, and come from, a chardev; line rates are ignored.
 *
 * Locking: `lock` protects all registers and the receive queue. Registers are accessed by vCPU
 * threads, bytes arrive in the loop's thread.
 */
#ifndef NIDUS_DEVICES_SERIAL_H
#define NIDUS_DEVICES_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/chardev.h"

struct bus;
struct machine;

#define SERIAL_FIFO                                                                  \
	64 /* deeper than a 16550A's 16 bytes: drivers only ask whether there is one \
	    */

struct serial_counters {
	uint64_t out, in, dropped; /* bytes */
};

struct serial {
	pthread_mutex_t lock;
	struct machine *machine;
	struct chardev *chardev; /* NULL: output is discarded, nothing arrives */
	unsigned int gsi;
	uint8_t ier, fcr, lcr, mcr, scratch;
	uint16_t divisor;
	bool thr_empty_pending; /* the interrupt for an empty transmitter was not acknowledged */
	bool holding;		/* the host had no room: `held` waits in the transmitter */
	uint8_t held;
	bool overrun;
	bool irq;
	uint8_t fifo[SERIAL_FIFO];
	unsigned int head, count;
	struct serial_counters counters;
};

/* Claims 8 ports from @port; @gsi is its interrupt input. 0 or negative errno. */
int serial_init(struct serial *serial, struct machine *machine, struct bus *pio, uint16_t port,
		unsigned int gsi, struct chardev *chardev);
void serial_destroy(struct serial *serial);
/* As power-on. Output that the host has not taken yet is not lost. Any thread. */
void serial_reset(struct serial *serial);

#endif
