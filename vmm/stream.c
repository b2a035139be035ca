/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "devices/chardev.h"
#include "devices/log.h"
#include "vmm/vm.h"

/* How long the last output may take, when whoever reads it has stopped reading. */
#define FLUSH_MS 2000

static const char help[] = "\r\nnidus: Ctrl-A x ends the VM, Ctrl-A Ctrl-A sends a Ctrl-A\r\n";

/* Watches what the user types for the way out. */
static bool typed(void *context, uint8_t byte)
{
	struct stream *stream = context;

	switch (terminal_key(&stream->escape, byte)) {
	case TERMINAL_PASS:
		return false;
	case TERMINAL_QUIT:
		machine_end(stream->machine, MACHINE_STOPPED, 0);
		return true;
	case TERMINAL_HELP:
		if (write(STDERR_FILENO, help, sizeof(help) - 1) < 0)
			log_debug(SERIAL, "help was not shown");
		return true;
	case TERMINAL_EAT:
		break;
	}
	return true;
}

int stream_open(struct stream *stream, struct machine *machine, const struct stream_config *config)
{
	bool stdio = config->kind == STREAM_STDIO;

	*stream = (struct stream){ .machine = machine, .file = -1 };
	if (config->kind == STREAM_OFF)
		return 0;
	if (config->kind == STREAM_FILE) {
		stream->file = open(config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
		if (stream->file < 0) {
			int rc = -errno;

			log_error(SERIAL, "%s: cannot be opened for writing: %s", config->path,
				  strerror(-rc));
			return rc;
		}
	}
	stream->chardev = chardev_create(machine->loop, stdio ? STDIN_FILENO : -1,
					 stdio ? STDOUT_FILENO : stream->file);
	if (!stream->chardev)
		return -ENOMEM;
	if (stdio && isatty(STDIN_FILENO))
		chardev_set_filter(stream->chardev, typed, stream);
	return 0;
}

void stream_close(struct stream *stream)
{
	if (stream->chardev)
		chardev_destroy(stream->chardev);
	if (stream->file >= 0)
		close(stream->file);
	stream->chardev = NULL;
	stream->file = -1;
}

void stream_finish(struct stream *stream)
{
	if (!stream->chardev)
		return;
	chardev_stop(stream->chardev);
	if (chardev_flush(stream->chardev, FLUSH_MS))
		log_warn(SERIAL, "the guest's last output was not taken and is lost");
}
