/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sdma, the shared-virtual-addressing DMA engine: what its registers, descriptors and completion
 * records look like. devices/sdma.md explains them; the guest's driver includes this file too, so
 * it needs nothing but fixed-width integers.
 *
 * Everything is little-endian.
 */
#ifndef NIDUS_DEVICES_SDMA_REGS_H
#define NIDUS_DEVICES_SDMA_REGS_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define SDMA_VENDOR 0x1234
#define SDMA_DEVICE 0x5d3a
#define SDMA_CLASS  0x120000 /* processing accelerator */

#define SDMA_QUEUES_MAX	   64
#define SDMA_RING_LOG2_MAX 15 /* descriptors of a ring: 1 << log2 */

/* BAR 0: 64 KiB of registers. BAR 2: doorbells, a page of 4 KiB for each queue. */
#define SDMA_BAR_REGISTERS  0
#define SDMA_BAR_DOORBELLS  2
#define SDMA_REGISTERS_SIZE 0x10000
#define SDMA_DOORBELL_SIZE  0x1000
#define SDMA_MSIX_TABLE	    0x8000 /* of BAR 0 */
#define SDMA_MSIX_PBA	    0xc000

/* Registers of the device. */
enum sdma_register {
	SDMA_ID = 0x00,		  /* 32, read only: SDMA_MAGIC */
	SDMA_VERSION = 0x04,	  /* 32, read only: major << 16 | minor */
	SDMA_QUEUES = 0x08,	  /* 32, read only */
	SDMA_OPERATIONS = 0x0c,	  /* 32, read only: bit n: operation n is there */
	SDMA_LENGTH_MAX = 0x10,	  /* 64, read only: bytes of one descriptor */
	SDMA_CONTROL = 0x18,	  /* 32 */
	SDMA_STATUS = 0x1c,	  /* 32, read only */
	SDMA_ATC_ENTRIES = 0x20,  /* 32: entries the device-TLB may have, a power of two; 0: none */
	SDMA_QUEUE_BASE = 0x1000, /* registers of queue n at 0x1000 + n * 0x100 */
	SDMA_QUEUE_STRIDE = 0x100,
};

#define SDMA_MAGIC	   0x616d6473 /* "sdma" */
#define SDMA_VERSION_1_0   0x00010000
#define SDMA_CONTROL_RESET 0x1 /* one-shot: all queues off, counters zero; reads as 0 */
#define SDMA_STATUS_ATS	   0x1 /* the device uses its device-TLB */
#define SDMA_STATUS_PRI	   0x2 /* the device asks for pages */
#define SDMA_STATUS_PASID  0x4 /* the device may send PASIDs */

/* Registers of a queue, from its base. Changes of the configuration while enabled are ignored. */
enum sdma_queue_register {
	SDMA_Q_CONTROL = 0x00,	   /* 32: SDMA_Q_ENABLE, ... */
	SDMA_Q_STATUS = 0x04,	   /* 32, read only */
	SDMA_Q_PASID = 0x08,	   /* 32: 20 bits */
	SDMA_Q_VECTOR = 0x0c,	   /* 32: MSI-X vector, or SDMA_NO_VECTOR */
	SDMA_Q_RING = 0x10,	   /* 64: address of the ring, 64-byte aligned */
	SDMA_Q_LOG2 = 0x18,	   /* 32: descriptors, log2 */
	SDMA_Q_INDEX = 0x20,	   /* 64: address of struct sdma_index, 8-byte aligned */
	SDMA_Q_ERROR = 0x28,	   /* 64, read only: address that halted the queue */
	SDMA_Q_DESCRIPTORS = 0x40, /* 64, read only: counters since the queue was enabled */
	SDMA_Q_BYTES = 0x48,	   /* read and written */
	SDMA_Q_ATC_HITS = 0x50,
	SDMA_Q_ATC_MISSES = 0x58, /* translation requests sent */
	SDMA_Q_PAGE_REQUESTS = 0x60,
	SDMA_Q_PAGE_FAILURES = 0x68, /* answered with anything but success */
	SDMA_Q_INVALIDATIONS = 0x70, /* that dropped an entry of this queue */
	SDMA_Q_UNTRANSLATED = 0x78,  /* requests sent without the device-TLB */
};

#define SDMA_NO_VECTOR 0xffffffff

#define SDMA_Q_ENABLE	  0x1
#define SDMA_Q_PASID_ON	  0x2 /* requests carry SDMA_Q_PASID */
#define SDMA_Q_PRIVILEGED 0x4 /* and ask for supervisor privilege */

/* Status: a state in the low byte, a reason (enum sdma_halt) above it. */
#define SDMA_Q_STATE_MASK   0xff
#define SDMA_Q_REASON_SHIFT 8
enum sdma_state {
	SDMA_Q_OFF = 0,
	SDMA_Q_IDLE = 1,
	SDMA_Q_ACTIVE = 2,   /* work to do, or under way */
	SDMA_Q_STOPPING = 3, /* disabled, and what was under way is not over yet */
	SDMA_Q_HALTED = 4,   /* by an error; disable it to go on */
};
enum sdma_halt {
	SDMA_HALT_NONE = 0,
	SDMA_HALT_CONFIG = 1,	  /* enabled with an impossible configuration */
	SDMA_HALT_RING = 2,	  /* the ring could not be read */
	SDMA_HALT_INDEX = 3,	  /* the index record could not be read or written */
	SDMA_HALT_TAIL = 4,	  /* tail - head is more than the ring has */
	SDMA_HALT_COMPLETION = 5, /* a completion record could not be written */
	SDMA_HALT_PASID = 6,	  /* the function may not send PASIDs */
	SDMA_HALT_MASTER = 7,	  /* the function is not bus master */
};

/* Shared by software and device, in the queue's address space. Both count without wrapping at the
 * ring's size. A write of any value to the queue's doorbell tells the device to look at tail. */
struct sdma_index {
	uint32_t tail; /* written by software: descriptors handed over */
	uint32_t head; /* written by the device: descriptors consumed */
};

enum sdma_operation {
	SDMA_NOP = 0,
	SDMA_COPY = 1,	  /* length bytes from source to destination; they must not overlap */
	SDMA_FILL = 2,	  /* length bytes at destination with the 8-byte pattern in operand */
	SDMA_COMPARE = 3, /* source with destination; result 1 if they differ, at done bytes */
	SDMA_CRC32C = 4,  /* of source; operand: seed (32 bits); result: the CRC */
	SDMA_GATHER =
		5, /* operand pieces of a list of struct sdma_piece at source, to destination */
	SDMA_SCATTER = 6, /* length bytes at source, to operand pieces of a list at destination */
	SDMA_TOUCH =
		7, /* reads a byte (with WRITE_TOUCH: reads and writes it back) at source and every
		    * operand bytes from there on, below source + length; result: their count */
};

#define SDMA_FLAG_INTERRUPT   0x01 /* raise the queue's vector on completion */
#define SDMA_FLAG_BLOCK	      0x02 /* on a fault ask for the page and wait; else complete with it */
#define SDMA_FLAG_NO_ATC      0x04 /* untranslated requests */
#define SDMA_FLAG_FENCE	      0x08 /* start after all descriptors before it have completed */
#define SDMA_FLAG_WRITE_TOUCH 0x10
#define SDMA_FLAGS	      0x1f

struct sdma_descriptor {
	uint8_t operation;
	uint8_t flags;
	uint16_t reserved0;
	uint32_t reserved1;
	uint64_t completion; /* address of its record, 32-byte aligned; 0: none */
	uint64_t source;
	uint64_t destination;
	uint64_t length;
	uint64_t operand;
	uint64_t reserved2[2];
};

struct sdma_piece {
	uint64_t address;
	uint64_t length;
};
#define SDMA_PIECES_MAX 1024
#define SDMA_BYTES_MAX	0x100000000ULL /* what SDMA_LENGTH_MAX reads */

enum sdma_completion_status {
	SDMA_PENDING = 0, /* as software leaves it before it submits */
	SDMA_DONE = 1,
	SDMA_FAULT = 2,	  /* not mapped, and the descriptor does not block, or PRI is off */
	SDMA_INVALID = 3, /* the page request was answered "invalid" */
	SDMA_FAILURE = 4, /* the page request was answered "failure" */
	SDMA_ERROR = 5,	  /* the unit refused the request (Unsupported Request) */
	SDMA_BAD_OPERATION = 6,
	SDMA_BAD_DESCRIPTOR = 7, /* reserved bits, length, alignment */
	SDMA_ABORTED = 8,	 /* the queue was disabled or reset */
};

struct sdma_completion {
	uint8_t status; /* written last */
	uint8_t access; /* of a fault: 1 read, 2 write, 3 both */
	uint16_t reserved;
	uint32_t result;
	uint64_t done;	  /* bytes before the end or the fault */
	uint64_t address; /* of a fault */
	uint64_t waited;  /* nanoseconds spent on page requests */
};

#endif
