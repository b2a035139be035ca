/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one requester does at its remapping unit, on its way from any thread to one reader.
 *
 * Lines wait in a bounded ring. Who writes never waits for who reads: a line that does not fit is
 * dropped and counted, and the reader is told.
 */
#ifndef NIDUS_VMM_TRACE_H
#define NIDUS_VMM_TRACE_H

#include <stddef.h>

#define TRACE_SIZE 65536 /* bytes of lines that may wait */

struct trace;

/* NULL with errno. */
struct trace *trace_create(void);
void trace_destroy(struct trace *trace);

/* Forgets everything, and starts the clock that lines begin with. No trace_line() may run. */
void trace_reset(struct trace *trace);

/* Adds @line, without its newline, and the time; a vtd_trace_sink, @trace is the struct trace. */
void trace_line(void *trace, const char *line);

/* Readable after lines have come to where none were; trace_acknowledge() makes it wait again. */
int trace_event(const struct trace *trace);
void trace_acknowledge(struct trace *trace);

/*
 * Takes whole lines off the ring, as many as @size bytes (512 or more) hold; returns
 * how many bytes, 0 if there are no lines.
 */
size_t trace_take(struct trace *trace, char *text, size_t size);

#endif
