/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the event loop: what its files share.
 *
 *   loop.c       turns, calls from other threads, creation
 *   loop_ops.c   operations: prepared, and cancelled
 *   loop_files.c registered files
 *   loop_watch.c standing watches, made of operations
 */
#ifndef NIDUS_VMM_LOOP_PARTS_H
#define NIDUS_VMM_LOOP_PARTS_H

#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/loop.h"

#define LOOP_FIXED_FILES 128
#define LOOP_FIXED_FDS	 1024 /* higher descriptors are not registered */
#define LOOP_FIXED_NONE	 (-1)

enum { OP_IDLE, OP_PREPARED, OP_SUBMITTED };

struct op_list {
	struct loop_op *first;
	struct loop_op **end;
};

struct loop {
	struct io_uring ring;
	bool enabled;		 /* by the first turn, which makes its thread the ring's */
	struct op_list ready;	 /* prepared, for the ring */
	struct loop_op *cancels; /* submitted, and to be cancelled */
	unsigned int in_flight;
	bool wake_armed;
	struct loop_op wake;
	uint64_t wake_count;
	int wake_fd;
	bool stop; /* atomic */
	struct loop_deferred *deferred;
	struct loop_deferred **deferred_end;
	pthread_mutex_t lock; /* protects calls, calls_end, and `queued` of each call */
	struct loop_call *calls;
	struct loop_call **calls_end;
	int16_t fixed[LOOP_FIXED_FDS];
	uint64_t fixed_used[LOOP_FIXED_FILES / 64];
};

static inline void op_list_init(struct op_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static inline void op_list_append(struct op_list *list, struct loop_op *op)
{
	op->next = NULL;
	*list->end = op;
	list->end = &op->next;
}

static inline struct loop_op *op_list_take(struct op_list *list)
{
	struct loop_op *op = list->first;

	if (!op)
		return NULL;
	list->first = op->next;
	if (!list->first)
		list->end = &list->first;
	return op;
}

/* Puts @op, whose address, offset, len and flags are set, in the ready list. */
void loop_prepare(struct loop *loop, struct loop_op *op, uint8_t opcode, int fd);

/* Makes room for registered files in a new ring. */
void loop_reserve_files(struct loop *loop);
/* The place of @fd among them, or LOOP_FIXED_NONE. */
int loop_fixed(const struct loop *loop, int fd);

#endif
