/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring of trace lines; see trace.h. System calls once it is made: read and write of an eventfd.
 */
#include "vmm/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/base.h"

#define TRACE_LINE 256

struct trace {
	pthread_mutex_t lock; /* protects everything below but event; a leaf */
	int event;
	struct timespec start;
	uint64_t dropped; /* lines, since the reader was last told */
	size_t first, used;
	char ring[TRACE_SIZE];
};

struct trace *trace_create(void)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	trace->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (trace->event < 0) {
		free(trace);
		return NULL;
	}
	pthread_mutex_init(&trace->lock, NULL);
	trace_reset(trace);
	return trace;
}

void trace_destroy(struct trace *trace)
{
	if (!trace)
		return;
	pthread_mutex_destroy(&trace->lock);
	close(trace->event);
	free(trace);
}

void trace_reset(struct trace *trace)
{
	pthread_mutex_lock(&trace->lock);
	trace->first = 0;
	trace->used = 0;
	trace->dropped = 0;
	clock_gettime(CLOCK_MONOTONIC, &trace->start);
	pthread_mutex_unlock(&trace->lock);
}

/* Appends @len bytes, for which there is room. */
static void append(struct trace *trace, const char *text, size_t len)
{
	size_t at = (trace->first + trace->used) % TRACE_SIZE;
	size_t n = min_u64(len, TRACE_SIZE - at);

	memcpy(trace->ring + at, text, n);
	memcpy(trace->ring, text + n, len - n);
	trace->used += len;
}

void trace_line(void *context, const char *line)
{
	struct trace *trace = context;
	char text[TRACE_LINE];
	struct timespec now;
	uint64_t us, one = 1;
	bool first = false;
	size_t len;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&trace->lock);
	us = (uint64_t)(now.tv_sec - trace->start.tv_sec) * 1000000 +
	     (uint64_t)(now.tv_nsec / 1000) - (uint64_t)(trace->start.tv_nsec / 1000);
	len = (size_t)snprintf(text, sizeof(text), "%4" PRIu64 ".%06" PRIu64 " %.200s\n",
			       us / 1000000, us % 1000000, line);
	if (len <= TRACE_SIZE - trace->used) {
		first = !trace->used;
		append(trace, text, len);
	} else {
		trace->dropped++;
	}
	pthread_mutex_unlock(&trace->lock);
	/* The counter cannot be full: it is written once between two looks of the reader. */
	if (first && write(trace->event, &one, sizeof(one)) < 0)
		return;
}

int trace_event(const struct trace *trace)
{
	return trace->event;
}

void trace_acknowledge(struct trace *trace)
{
	uint64_t count;

	if (read(trace->event, &count, sizeof(count)) < 0)
		return;
}

static char byte_at(const struct trace *trace, size_t offset)
{
	return trace->ring[(trace->first + offset) % TRACE_SIZE];
}

/* The bytes of whole lines at the start of the ring that fit into @size. Bound: @size. */
static size_t whole_lines(const struct trace *trace, size_t size)
{
	size_t len = min_u64(trace->used, size);

	while (len && byte_at(trace, len - 1) != '\n')
		len--;
	return len;
}

size_t trace_take(struct trace *trace, char *text, size_t size)
{
	size_t len, n, said = 0;

	pthread_mutex_lock(&trace->lock);
	len = whole_lines(trace, size - TRACE_LINE);
	n = min_u64(len, TRACE_SIZE - trace->first);
	memcpy(text, trace->ring + trace->first, n);
	memcpy(text + n, trace->ring, len - n);
	trace->first = (trace->first + len) % TRACE_SIZE;
	trace->used -= len;
	/* What was dropped came after all that is in the ring. */
	if (!trace->used && trace->dropped) {
		said = (size_t)snprintf(text + len, TRACE_LINE,
					"(%" PRIu64 " lines dropped: they came too fast)\n",
					trace->dropped);
		trace->dropped = 0;
	}
	pthread_mutex_unlock(&trace->lock);
	return len + said;
}
