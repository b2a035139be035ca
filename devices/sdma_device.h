/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of sdma: what its files share.
 *
 *   sdma.c            life, and the turns of the queues
 *   sdma_pci.c        the PCI function: configuration space, doorbells, what the unit asks of it
 *   sdma_registers.c  BAR 0
 *   sdma_queue.c      a queue: index record, descriptors, completions, halts, stops
 *   sdma_ops.c        the operations, piece by piece
 *   sdma_memory.c     from an address of the queue to host memory
 *   sdma_page.c       page requests and their responses
 *   sdma_atc.c        the device-TLB
 *   sdma_crc.c        CRC-32C
 *
 * Locks, outermost first; those of the host bridge and of the remapping unit are outside of all:
 *
 *   entry   only to take the lock in turn: who waits for `lock` holds it, so that the loop's thread
 *           cannot take `lock` twice while a vCPU waits, which thus waits for one piece of work
 *   lock    registers, queues, device-TLB; held around each piece of DMA
 *   pages.lock  page request groups; a leaf
 *
 * With `lock` held the unit is asked for translations and sent page requests. It answers some of
 * these at once, by page_response(), and others from a vCPU thread under its own lock: therefore
 * page_response() takes nothing but pages.lock, and leaves the rest to the loop. An invalidation,
 * also under the unit's lock, takes `lock`; nothing that is done with `lock` held waits for the
 * unit's lock.
 */
#ifndef NIDUS_DEVICES_SDMA_DEVICE_H
#define NIDUS_DEVICES_SDMA_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/base.h"
#include "devices/loop.h"
#include "devices/pci.h"
#include "devices/pci_pasid.h"
#include "devices/sdma.h"
#include "devices/sdma_atc.h"
#include "devices/sdma_regs.h"
#include "viommu/vtd.h"

#define SDMA_PIECE	 (64 * KIB)  /* of work under the lock: bytes, and what else costs time */
#define SDMA_TURN	 (256 * KIB) /* in a turn of the loop */
#define SDMA_STEP_COST	 512	     /* of a translation, counted like bytes */
#define SDMA_RETRIES	 16	     /* of a page that was promised, without progress */
#define SDMA_GROUP_PAGES 8	     /* of one page request group */
#define SDMA_GROUPS	 512	     /* group indices: 9 bits */
#define SDMA_CAPACITY	 512	     /* page requests outstanding */
#define SDMA_BUSY_NS	 100000000   /* how long a full page request queue is tried */

/* --- Page requests --- */

enum sdma_group_state {
	SDMA_GROUP_FREE,
	SDMA_GROUP_SENDING,  /* its requests are being sent now, by the loop's thread */
	SDMA_GROUP_WAITING,  /* for the response */
	SDMA_GROUP_ANSWERED, /* the queue has not looked yet */
	SDMA_GROUP_STALE,    /* nobody wants the response any more */
};

struct sdma_group {
	uint8_t state; /* enum sdma_group_state */
	uint8_t queue, pages, code;
	uint32_t pasid;
};

struct sdma_pages {
	pthread_mutex_t lock;	  /* protects what follows */
	bool enabled;		  /* PRI's Enable; a Response Failure clears it */
	uint16_t raised;	  /* PCI_PRI_STATUS_* that configuration space does not show yet */
	unsigned int next;	  /* where to look for a free group */
	uint32_t allocation;	  /* page requests that software allows */
	unsigned int outstanding; /* page requests of groups that are waiting or stale */
	struct sdma_group group[SDMA_GROUPS];
};

/* --- Queues --- */

/* What an access needs; also what a page request asks for. */
struct sdma_target {
	uint64_t address;
	uint64_t len;	     /* bytes the operation needs from there on, at least 1 */
	unsigned int access; /* VTD_READ, VTD_WRITE */
	bool untranslated;   /* not by the device-TLB */
	bool block;	     /* ask for the page if it is absent */
};

/* Why a queue that is active does not run. */
enum sdma_parked {
	SDMA_RUNS,
	SDMA_ASKS,    /* wants to send page requests: at the end of the piece */
	SDMA_WAITS,   /* for a response */
	SDMA_STARVES, /* for a free group, or allocation */
	SDMA_BUSY,    /* the unit took no request: try again in the next turn */
};

/* A queue's page request; the loop's thread under the lock. */
struct sdma_wait {
	enum sdma_parked parked;
	struct sdma_target target;
	unsigned int group; /* while SDMA_WAITS */
	unsigned int tries; /* successes without progress */
	bool single;	    /* ask for the first page alone */
	uint8_t verdict;    /* the final answer for the page of target: a completion status; or 0 */
	uint64_t since;	    /* when the requests were sent: nanoseconds */
	uint64_t busy_since; /* when the unit took none for the first time; 0: it does */
	bool used;	     /* page requests were sent since the queue was enabled */
};

/* What a queue does next. */
enum sdma_phase {
	SDMA_PHASE_INDEX,    /* publish the head, look at the tail */
	SDMA_PHASE_FETCH,    /* read a descriptor */
	SDMA_PHASE_EXECUTE,  /* the next part of its operation */
	SDMA_PHASE_COMPLETE, /* write its completion record */
};

/* How far an operation is. */
struct sdma_job {
	struct sdma_descriptor descriptor; /* a copy, host-endian, checked */
	uint64_t done;
	uint64_t waited; /* nanoseconds */
	uint64_t fault;	 /* address */
	uint32_t result;
	uint8_t access; /* of the fault */
	uint8_t status; /* from SDMA_PHASE_COMPLETE on */
	/* The list of a gather or a scatter: pieces begun, the current one, what is done of it. */
	uint64_t pieces;
	struct sdma_piece piece;
	uint64_t piece_done;
};

struct sdma_queue {
	struct sdma *sdma;
	unsigned int index;
	int doorbell; /* eventfd */
	struct loop_watch watch;

	/* All that follows: sdma->lock. Registers: */
	uint32_t control, pasid, vector, log2;
	uint64_t ring, record, error;
	enum sdma_state state;
	enum sdma_halt reason;
	struct sdma_counters counters;
	/* What runs; changed by the loop's thread, and by a reset. */
	enum sdma_phase phase;
	bool started; /* head is known */
	uint32_t head, tail;
	bool interrupt; /* to be raised once the head is published */
	struct sdma_job job;
	struct sdma_wait wait;
};

#define SDMA_CRC_SLICES 8 /* bytes at a time */
struct sdma_crc {
	uint32_t table[SDMA_CRC_SLICES][256];
};

struct sdma {
	struct pci_function pci;
	struct pci_pasid caps;
	char name[32];
	struct loop *loop;
	unsigned int queue_count;
	struct sdma_queue *queue;
	uint64_t doorbells; /* where they are now, or PCI_BAR_UNMAPPED; the host bridge's lock */
	struct loop_deferred turn;
	struct loop_call wake; /* see sdma_wake() */
	struct sdma_crc crc;   /* constant */

	pthread_mutex_t entry; /* see above */
	pthread_mutex_t lock;  /* protects what follows, and the queues */
	unsigned int next;     /* queue: the first to be looked at */
	uint64_t cost;	       /* of the piece of work under way */
	struct sdma_atc atc;
	struct sdma_counters counters; /* written under the lock, read by anyone */

	struct sdma_pages pages;
};

static inline void sdma_lock(struct sdma *sdma)
{
	pthread_mutex_lock(&sdma->entry);
	pthread_mutex_lock(&sdma->lock);
	pthread_mutex_unlock(&sdma->entry);
}

static inline void sdma_unlock(struct sdma *sdma)
{
	pthread_mutex_unlock(&sdma->lock);
}

/* Lock held. */
static inline void sdma_count(struct sdma_queue *queue, enum sdma_counter which, uint64_t n)
{
	uint64_t *total = &queue->sdma->counters.value[which];

	queue->counters.value[which] += n;
	__atomic_store_n(total, *total + n, __ATOMIC_RELAXED);
}

/* Nanoseconds of a monotonic clock. */
uint64_t sdma_now(void);

/* Makes the loop look at all queues again. Any thread, any lock. */
static inline void sdma_wake(struct sdma *sdma)
{
	loop_post(sdma->loop, &sdma->wake);
}

/* --- sdma_pci.c --- */

int sdma_pci_init(struct sdma *sdma, struct pci_host *host);

/* --- sdma_registers.c --- */

void sdma_register_access(struct sdma *sdma, struct bus_access *access);

/* All queues off, the device-TLB empty, page requests stale, or @forget them. Lock held. */
void sdma_reset(struct sdma *sdma, bool forget);

/* --- sdma_queue.c: lock held --- */

/* Checks the configuration and starts, or halts. */
void sdma_queue_enable(struct sdma_queue *queue);
/* Stops: at once if nothing runs, else in the loop's thread by sdma_queue_run(). */
void sdma_queue_disable(struct sdma_queue *queue);
/* As after power-on, at once. */
void sdma_queue_reset(struct sdma_queue *queue);
/* True if sdma_queue_run() has something to do. */
bool sdma_queue_runnable(const struct sdma_queue *queue);
/* Works until sdma->cost reaches SDMA_PIECE or there is nothing to do. The loop's thread. */
void sdma_queue_run(struct sdma_queue *queue);
void sdma_queue_doorbell(struct sdma_queue *queue);

/* --- sdma_ops.c --- */

/* 0, or why the descriptor is refused: an enum sdma_completion_status. */
uint8_t sdma_check(const struct sdma_descriptor *descriptor);
/*
 * The next part of the operation. 0: there is more to do; -EAGAIN: a page is asked for; else the
 * completion status. Loop's thread, between dma_enter() and dma_leave(), lock held.
 */
int sdma_execute(struct sdma_queue *queue);

/* --- sdma_memory.c: loop's thread, between dma_enter() and dma_leave(), lock held --- */

struct sdma_span {
	void *host;
	uint64_t len; /* at least 1 */
};

/*
 * The host memory behind the start of @target. 0; -EAGAIN if a page is asked for (the queue is
 * parked); else a completion status, with the job's fault and access set.
 */
int sdma_map(struct sdma_queue *queue, const struct sdma_target *target, struct sdma_span *span);
/* Copies @target->len bytes, which may straddle pages, to @to. As sdma_map(). */
int sdma_load(struct sdma_queue *queue, const struct sdma_target *target, void *to);
/* What the target of ring, index and completion records has in common. */
struct sdma_target sdma_own_target(const struct sdma_queue *queue, uint64_t address, uint64_t len,
				   unsigned int access);
/* The operation got further: what was tried to that end does not count any more. */
void sdma_progress(struct sdma_queue *queue);

/* --- sdma_page.c --- */

/* True if pages may be asked for. Lock held. */
bool sdma_pages_on(struct sdma *sdma);
/* Sends the page requests of a queue that is SDMA_ASKS. Loop's thread, lock held. */
void sdma_pages_ask(struct sdma_queue *queue);
/* Unparks queues whose turn has come. Loop's thread, lock held. */
void sdma_pages_collect(struct sdma *sdma);
/* The queue stops: its group becomes stale, and a stop marker is sent. As sdma_pages_ask(). */
void sdma_pages_stop(struct sdma_queue *queue);
/* All groups become stale, or are forgotten, by the unit too. Lock held. */
void sdma_pages_reset(struct sdma *sdma, bool forget);
/* A page group response. Any thread, also within vtd_page_request(). Takes pages.lock only. */
void sdma_pages_response(struct sdma *sdma, uint32_t pasid, unsigned int group, unsigned int code);
/* PRI was written (@control: its control register too), or is about to be read. The host bridge's
 * lock and the device's lock held. */
void sdma_pages_written(struct sdma *sdma, bool control);
void sdma_pages_reading(struct sdma *sdma);

/* --- sdma_crc.c --- */

void sdma_crc_init(struct sdma_crc *crc);
/* CRC-32C of @len bytes, after @value (0 at the start). Any thread. */
uint32_t sdma_crc32c(const struct sdma_crc *crc, uint32_t value, const void *bytes, uint64_t len);

#endif
