/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations of the event loop: what is asked for goes into a list, for the next turn.
 */
#include "devices/base.h"
#include "vmm/loop_parts.h"

void loop_prepare(struct loop *loop, struct loop_op *op, uint8_t opcode, int fd)
{
	op->opcode = opcode;
	op->fd = fd;
	op->state = OP_PREPARED;
	op->cancelled = false;
	op_list_append(&loop->ready, op);
	if (op != &loop->wake)
		loop->in_flight++;
}

static void prepare_vector(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov,
			   unsigned int count, uint64_t offset, bool is_write)
{
	op->offset = offset;
	op->flags = 0;
	if (count == 1) {
		op->address = (uintptr_t)iov->iov_base;
		op->len = (uint32_t)min_u64(iov->iov_len, INT32_MAX);
		loop_prepare(loop, op, is_write ? IORING_OP_WRITE : IORING_OP_READ, fd);
		return;
	}
	op->address = (uintptr_t)iov;
	op->len = count;
	loop_prepare(loop, op, is_write ? IORING_OP_WRITEV : IORING_OP_READV, fd);
}

void loop_readv(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov,
		unsigned int count, uint64_t offset)
{
	prepare_vector(loop, op, fd, iov, count, offset, false);
}

void loop_writev(struct loop *loop, struct loop_op *op, int fd, const struct iovec *iov,
		 unsigned int count, uint64_t offset)
{
	prepare_vector(loop, op, fd, iov, count, offset, true);
}

void loop_fdatasync(struct loop *loop, struct loop_op *op, int fd)
{
	op->address = 0;
	op->offset = 0;
	op->len = 0;
	op->flags = IORING_FSYNC_DATASYNC;
	loop_prepare(loop, op, IORING_OP_FSYNC, fd);
}

void loop_fallocate(struct loop *loop, struct loop_op *op, int fd, int mode, uint64_t offset,
		    uint64_t len)
{
	op->address = len;
	op->offset = offset;
	op->len = (uint32_t)mode;
	op->flags = 0;
	loop_prepare(loop, op, IORING_OP_FALLOCATE, fd);
}

void loop_poll(struct loop *loop, struct loop_op *op, int fd, unsigned int events)
{
	op->address = 0;
	op->offset = 0;
	op->len = 0;
	op->flags = events;
	loop_prepare(loop, op, IORING_OP_POLL_ADD, fd);
}

void loop_timeout(struct loop *loop, struct loop_op *op, const struct __kernel_timespec *time)
{
	op->address = (uintptr_t)time;
	op->offset = 0;
	op->len = 1;
	op->flags = 0;
	loop_prepare(loop, op, IORING_OP_TIMEOUT, -1);
}

void loop_cancel(struct loop *loop, struct loop_op *op)
{
	if (op->state == OP_IDLE || op->cancelled)
		return;
	op->cancelled = true;
	if (op->state != OP_SUBMITTED)
		return; /* still in the ready list: never reaches the ring */
	op->next = loop->cancels;
	loop->cancels = op;
}

unsigned int loop_in_flight(const struct loop *loop)
{
	return loop->in_flight;
}
