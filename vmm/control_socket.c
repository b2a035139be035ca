// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket in the file system: made with the old one of a dead VM out of the way, and
 * removed as long as it is ours.
 */
#include "vmm/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/control.h"

/* Clears the way for bind(): a socket on which nobody listens belongs to a dead VM. */
static int replace_stale(struct control_socket *at, const char *name, struct config_error *error)
{
	int fd = control_connect(at->directory, name);

	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return config_fail(error,
				   "--name: a VM called '%s' runs already; choose another name, or "
				   "end it: nidus stop %s",
				   name, name);
	if (fd == -ECONNREFUSED)
		unlinkat(at->directory_fd, at->file, 0);
	return 0;
}

/* Binds, and remembers which file that made. Returns 0 or negative errno. */
static int bind_socket(struct control_socket *at)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", at->directory,
			     at->file) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	at->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (at->fd < 0 || bind(at->fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if (fstatat(at->directory_fd, at->file, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	at->device = st.st_dev;
	at->inode = st.st_ino;
	return listen(at->fd, CONTROL_CLIENTS) ? -errno : 0;
}

/* The lock is held from the look at the old socket to the new one's listen(). */
static int make_socket(struct control_socket *at, const char *name, struct config_error *error)
{
	int lock = open(at->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (lock < 0 || flock(lock, LOCK_EX))
		r = -errno;
	else if (replace_stale(at, name, error))
		r = -EEXIST;
	else
		r = bind_socket(at);
	if (lock >= 0)
		close(lock);
	if (r && r != -EEXIST)
		config_fail(error,
			    "--name: cannot make the control socket '%.600s/%s': %s; set "
			    "XDG_RUNTIME_DIR to a short path of yours",
			    at->directory, at->file, strerror(-r));
	return r;
}

int control_socket_open(struct control_socket *at, const char *name, struct config_error *error)
{
	int r;

	*at = (struct control_socket){ .fd = -1, .directory_fd = -1 };
	if (!control_name_valid(name))
		return config_fail(error, "--name: bad value '%.200s'", name);
	snprintf(at->file, sizeof(at->file), "%.*s.sock", CONFIG_NAME_MAX, name);
	r = control_find_directory(at->directory, true, error);
	if (r)
		return r;
	at->directory_fd = open(at->directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return make_socket(at, name, error);
}

void control_socket_close(struct control_socket *at)
{
	struct stat st;

	if (at->inode && !fstatat(at->directory_fd, at->file, &st, AT_SYMLINK_NOFOLLOW) &&
	    st.st_dev == at->device && st.st_ino == at->inode)
		unlinkat(at->directory_fd, at->file, 0);
	if (at->fd >= 0)
		close(at->fd);
	if (at->directory_fd >= 0)
		close(at->directory_fd);
}
