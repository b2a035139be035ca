/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does to its machine whatever a guest must not, at random, on all CPUs at once, for a
 * bounded time. It proves two things: the VM outlives it, and no device writes where it was not
 * told to.
 *
 * Words: those of lib/hammer.h; canary=N, MiB of memory that is watched (default 2); deadly=1: also
 * what may end the VM.
 *
 * The second proof needs care, for a random number is a fine address. Everything that a device
 * could take for an address of memory is made here by rules, so that whatever halves of it meet, it
 * names
 *
 *   data in the arena: the last ARENA_SIZE bytes of low RAM, behind which no RAM follows below 4
 * GiB; or memory that is not there; or the first megabyte, where small numbers point to.
 *
 * The rings, whose indices make no such words, lie in the arena too, below the data: nothing but
 * the registers of queues ever points there. All other RAM is watched. The same goes for
 * interrupts: messages carry vectors of interrupts only, and no delivery mode that would reset a
 * CPU.
 */
#ifndef BARE_HOSTILE_H
#define BARE_HOSTILE_H

#include "lib/cpu.h"
#include "lib/hammer.h"
#include "lib/virtio.h"

#define ARENA_SIZE     (2 * MIB)
#define TARGETS_MAX    24
#define TARGET_QUEUES  4 /* of a device that are really set up */
#define QUEUE_SIZE_MAX 64
#define QUEUE_BYTES    (8 * KIB)

/* One virtio device. */
struct target {
	struct virtio device;
	uint32_t bar[PCI_BARS];
	uintptr_t msix_page, common_page; /* where they are at first */
	struct spinlock lock;		  /* of who drives it by the rules */
	struct virtq queue[TARGET_QUEUES];
};

struct world {
	bool deadly;
	uint64_t arena, data; /* first the rings, then data */
	uintptr_t ecam;
	uintptr_t ioapic;
	uint64_t low_end, high_end, far;
	unsigned int functions;
	uint8_t function[PCI_FUNCTIONS];
	unsigned int targets;
	struct target target[TARGETS_MAX];
};

extern struct world world;

/* --- What may be written where --- */

/* A word that may stand anywhere in the arena's data: an address as above, aligned to 8. */
uint64_t safe_address(struct hammer *h);
/* The same, but never in RAM: for used rings, for what a device writes there are indices. */
uint64_t beyond_address(struct hammer *h);
/* An address in the arena's data. */
uint64_t arena_address(struct hammer *h);
/* A length for a buffer that a device writes: keeps words whole. */
uint32_t safe_length(struct hammer *h);
/* A value for [@at, @at + @size) of a BAR, whichever it is. */
uint64_t safe_mmio_value(struct hammer *h, uint64_t at, unsigned int size);
/* The data of an interrupt message, or the low half of a redirection entry. */
uint32_t safe_message(struct hammer *h);
/* True if [offset, offset + size) of configuration space leads to a BAR that we cannot judge. */
bool is_config_window(unsigned int offset, unsigned int size);
/* True if it is a BAR: those are moved by any_place() of config.c only. */
bool is_bar(unsigned int offset, unsigned int size);

/* --- What is done --- */

void hammer_ports(struct hammer *h);
void hammer_mmio(struct hammer *h);
void hammer_config(struct hammer *h);
void hammer_queues(struct hammer *h);
void hammer_msix(struct hammer *h);

/* Puts a device's BARs and command register right. Any CPU. */
void revive(const struct target *target);
void revive_all(void);

/* True if the devices still do their work. Prints verdicts. */
void check_devices(void);

#endif
