// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where control sockets are, and connecting to one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/control.h"

bool control_name_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t len = strlen(name);

	return len && len <= CONFIG_NAME_MAX && name[0] != '.' && strspn(name, allowed) == len;
}

static void choose_directory(char path[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && runtime[0] == '/')
		snprintf(path, PATH_MAX, "%s/nidus", runtime);
	else if (!geteuid())
		snprintf(path, PATH_MAX, "/run/nidus");
	else
		snprintf(path, PATH_MAX, "/tmp/nidus-%u", geteuid());
}

/* In /tmp anybody can have been first: the directory must be ours, closed, and no symbolic link. */
static int check_directory(const char *path, struct config_error *error)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? -ENOENT
				       : config_fail(error,
						     "cannot use '%.600s' for sockets: %s; set "
						     "XDG_RUNTIME_DIR to a directory of yours",
						     path, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
		return config_fail(error,
				   "cannot trust '%.600s' for sockets: it must be a directory of "
				   "yours with mode 0700; remove it, or set XDG_RUNTIME_DIR",
				   path);
	return 0;
}

int control_find_directory(char path[PATH_MAX], bool create, struct config_error *error)
{
	choose_directory(path);
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return config_fail(error,
				   "cannot make '%.600s' for sockets: %s; set XDG_RUNTIME_DIR to a "
				   "directory of yours",
				   path, strerror(errno));
	return check_directory(path, error);
}

int control_connect(const char *directory, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r;

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s.sock", directory,
			     name) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	/* Without blocking: a VM whose queue is full is alive, and says so with EAGAIN. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}
