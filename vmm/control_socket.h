/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a VM listens; between control.c and control_socket.c.
 */
#ifndef NIDUS_VMM_CONTROL_SOCKET_H
#define NIDUS_VMM_CONTROL_SOCKET_H

#include <limits.h>
#include <sys/types.h>

#include "vmm/config.h"

struct control_socket {
	int fd;		  /* listens */
	int directory_fd; /* O_PATH: the place of the socket, even if it is renamed */
	dev_t device;	  /* of the socket in the file system: */
	ino_t inode;	  /* is what is there still ours? */
	char directory[PATH_MAX];
	char file[CONFIG_NAME_MAX + sizeof(".sock")];
};

/* Makes the socket of the VM @name. 0; or negative errno with @error, and then it is to be closed,
 * too. */
int control_socket_open(struct control_socket *at, const char *name, struct config_error *error);

/* Closes it, and unlinks it if it is still ours. */
void control_socket_close(struct control_socket *at);

#endif
