// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading small files of the host; see hostfile.h.
 */
#include "vmm/hostfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int make_path(char path[PATH_MAX], const char *root, const char *format, va_list args)
{
	size_t len = (size_t)snprintf(path, PATH_MAX, "%s", root);
	int n;

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	n = vsnprintf(path + len, PATH_MAX - len, format, args);
	return n < 0 || (size_t)n >= PATH_MAX - len ? -ENAMETOOLONG : 0;
}

static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	r = n < 0 ? -errno : 0;
	close(fd);
	if (r)
		return r;
	if (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return 0;
}

int hostfile_text(const char *root, char *text, size_t size, const char *path, ...)
{
	char name[PATH_MAX];
	va_list args;
	int r;

	va_start(args, path);
	r = make_path(name, root, path, args);
	va_end(args);
	return r ? r : read_text(name, text, size);
}

static int read_number(const char *root, uint64_t *value, int base, const char *path, va_list args)
{
	char name[PATH_MAX], text[64];
	char *end;
	int r = make_path(name, root, path, args);

	if (!r)
		r = read_text(name, text, sizeof(text));
	if (r)
		return r;
	errno = 0;
	*value = strtoull(text, &end, base);
	return errno || end == text || *end ? -EINVAL : 0;
}

int hostfile_number(const char *root, uint64_t *value, const char *path, ...)
{
	va_list args;
	int r;

	va_start(args, path);
	r = read_number(root, value, 0, path, args);
	va_end(args);
	return r;
}

int hostfile_hex(const char *root, uint64_t *value, const char *path, ...)
{
	va_list args;
	int r;

	va_start(args, path);
	r = read_number(root, value, 16, path, args);
	va_end(args);
	return r;
}

bool hostfile_exists(const char *root, const char *path, ...)
{
	char name[PATH_MAX];
	va_list args;
	int r;

	va_start(args, path);
	r = make_path(name, root, path, args);
	va_end(args);
	return !r && !access(name, F_OK);
}

unsigned int hostfile_count(const char *root, const char *directory)
{
	char name[PATH_MAX];
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir;

	if ((size_t)snprintf(name, sizeof(name), "%s%s", root, directory) >= sizeof(name))
		return 0;
	dir = opendir(name);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

int hostfile_hugepages(const char *root, unsigned int kib, uint64_t *count)
{
	static const char *const names[] = { "free_hugepages", "resv_hugepages",
					     "nr_overcommit_hugepages", "surplus_hugepages" };
	uint64_t value[4];

	for (int i = 0; i < 4; i++) {
		int r = hostfile_number(root, &value[i],
					"/sys/kernel/mm/hugepages/hugepages-%ukB/%s", kib,
					names[i]);
		if (r)
			return r;
	}
	*count = value[0] > value[1] ? value[0] - value[1] : 0;
	*count += value[2] > value[3] ? value[2] - value[3] : 0;
	return 0;
}

int hostfile_memory_available(const char *root, uint64_t *bytes)
{
	static const char label[] = "MemAvailable:";
	char text[4096];
	const char *line;
	int r = hostfile_text(root, text, sizeof(text), "/proc/meminfo");

	if (r)
		return r;
	line = strstr(text, label);
	if (!line)
		return -ENOENT;
	*bytes = (uint64_t)strtoull(line + sizeof(label) - 1, NULL, 10) << 10;
	return 0;
}
