/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the serial port or the console is connected to: the user's terminal, with a key for the way
 * out, or a file, or nothing. Loop thread, or while there is none.
 */
#ifndef NIDUS_VMM_STREAM_H
#define NIDUS_VMM_STREAM_H

#include "vmm/config.h"
#include "vmm/terminal.h"

struct chardev;
struct machine;

struct stream {
	struct machine *machine;
	struct chardev *chardev; /* NULL: off */
	int file;		 /* ours to close, or -1 */
	struct terminal_escape escape;
};

/* Opens what @config says. 0, or negative errno after a message; then stream_close() is due, too.
 */
int stream_open(struct stream *stream, struct machine *machine, const struct stream_config *config);

/* No more input; the last output goes out, or is reported as lost after two seconds. */
void stream_finish(struct stream *stream);

void stream_close(struct stream *stream);

#endif
