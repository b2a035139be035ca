/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine without KVM: RAM, buses and a PCI host bridge in memory, and an implementation of
 * devices/machine.h that records what devices ask for. Tests play the guest's CPU.
 */
#ifndef NIDUS_TESTS_FAKE_MACHINE_H
#define NIDUS_TESTS_FAKE_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/loop.h"
#include "devices/machine.h"
#include "devices/pci.h"

#define FAKE_RAM_LOW  (UINT64_C(8) << 20) /* bytes from address 0 on */
#define FAKE_RAM_HIGH (UINT64_C(1) << 32) /* where the second piece starts */
#define FAKE_RAM_MORE (UINT64_C(1) << 20) /* and its size */
#define FAKE_MSIS     256
#define FAKE_ROUTES   256
#define FAKE_BELLS    256
#define FAKE_MAPS     32
#define FAKE_WATCHES  8

struct machine {
	struct ram ram;
	struct bus mmio, pio;
	struct pci_host host;
	uint64_t next; /* free RAM, for fake_alloc() */

	pthread_mutex_t lock; /* protects what follows */
	unsigned int msi_count, sent_by_hand;
	struct msi_message msi[FAKE_MSIS];
	unsigned int route_count, irqfds; /* how often an eventfd was assigned or released */
	struct fake_route {
		int eventfd;
		bool enabled;
		bool assigned; /* signals are taken from the eventfd */
		struct msi_message message;
	} route[FAKE_ROUTES];
	unsigned int bell_count;
	struct fake_bell {
		uint64_t address;
		int eventfd;
	} bell[FAKE_BELLS];
	unsigned int map_count;
	struct fake_map {
		uint64_t address, size;
		uint8_t *host;
	} map[FAKE_MAPS];
	unsigned int watch_count;
	struct fake_watch {
		unsigned int gsi;
		int eventfd;
	} watch[FAKE_WATCHES];
	bool irq[24];
	enum machine_end end;

	/* What shall go wrong. */
	bool no_routes, no_doorbells, no_maps, routes_blocked;
	bool no_irqfds;	       /* none is assigned again */
	bool no_tables;	       /* routes are refused when they are set */
	uint32_t blocked_data; /* messages with that are blocked when they are set; 0: none */
	struct machine_route_watch *watches;
};

struct machine *fake_machine_create(void);
void fake_machine_destroy(struct machine *machine);

/* Zeroed guest memory; the host address of guest memory. */
uint64_t fake_alloc(struct machine *machine, uint64_t size, uint64_t align);
void *fake_ram(struct machine *machine, uint64_t gpa);

/* What a CPU does: doorbells ring their eventfds, memory of devices is memory, everything else goes
 * to the bus. */
void fake_write(struct machine *machine, uint64_t address, unsigned int size, uint64_t value);
uint64_t fake_read(struct machine *machine, uint64_t address, unsigned int size);

/* Interrupt remapping blocks all routes from now on, or lets them through again. */
void fake_block_routes(struct machine *machine, bool blocked);

/* The guest ends an interrupt of input @gsi. */
void fake_eoi(struct machine *machine, unsigned int gsi);

/* How often the message with @data was sent since the last call for it; routes included. */
unsigned int fake_take_msis(struct machine *machine, uint32_t data);

/* Turns the loop until it should have nothing to do; NULL: another thread turns it. */
void fake_settle(struct loop *loop);

/* Turns the loop until @done says so, or for some seconds; NULL: another thread turns it. */
bool fake_wait(struct loop *loop, bool (*done)(void *context), void *context);

#endif
