/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CMOS memory and real-time clock (MC146818A) at ports 0x70 and 0x71: time of day in UTC, no alarm
 * and no periodic interrupts. The clock shows the host's time; what the guest sets is an offset.
 */
#ifndef NIDUS_DEVICES_CMOS_H
#define NIDUS_DEVICES_CMOS_H

#include <pthread.h>
#include <stdint.h>

struct bus;

struct cmos {
	pthread_mutex_t lock; /* protects everything below */
	uint8_t index;
	uint8_t memory[128];
	int64_t offset; /* seconds from the host's clock to the guest's */
};

/* Registers the ports. @low_ram and @high_ram: bytes below and above 4 GiB, for old loaders. */
int cmos_init(struct cmos *cmos, struct bus *pio, uint64_t low_ram, uint64_t high_ram);
void cmos_destroy(struct cmos *cmos);

#endif
