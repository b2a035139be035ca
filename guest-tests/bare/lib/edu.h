/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The educational device (1234:11e8): DMA between memory and a buffer of its own, and MSI.
 */
#ifndef BARE_EDU_H
#define BARE_EDU_H

#include "lib/base.h"

#define EDU_BUFFER	0x40000 /* address of its buffer, in DMA commands only */
#define EDU_BUFFER_SIZE 4096

struct edu {
	unsigned int devfn;
	uintptr_t registers;
	unsigned int msi; /* offset of the capability; 0: none */
};

enum edu_register {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04,
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_IRQ_STATUS = 0x24,
	EDU_IRQ_RAISE = 0x60,
	EDU_IRQ_ACK = 0x64,
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_DESTINATION = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
};

#define EDU_DMA_START	  0x1
#define EDU_DMA_TO_MEMORY 0x2
#define EDU_DMA_IRQ	  0x4

/* The first one at or after @devfn, made bus master. False if there is none. */
bool edu_open(struct edu *edu, unsigned int devfn);

/* One transfer of @len bytes at @offset of the buffer, and its end. False if it never ends. */
bool edu_from_memory(const struct edu *edu, uint64_t iova, uint64_t offset, uint64_t len);
bool edu_to_memory(const struct edu *edu, uint64_t iova, uint64_t offset, uint64_t len);

/* Its message, as it stands; and on. Raise sends it, ack ends it. */
void edu_msi(const struct edu *edu, uint64_t address, uint32_t data);
void edu_msi_off(const struct edu *edu);
void edu_raise(const struct edu *edu, uint32_t bits);
void edu_acknowledge(const struct edu *edu);

#endif
