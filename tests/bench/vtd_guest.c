/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mapping and unmapping a buffer for DMA takes: Linux's own dma_map_benchmark, on edu.
 *
 *   dma PAGES MAP UNMAP     averages, ns
 */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICES	   "/sys/bus/pci/devices"
#define DRIVER	   "dma_map_benchmark"
#define BENCHMARK  "/sys/kernel/debug/" DRIVER
#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

/* As <linux/map_benchmark.h> has it since 7.0; earlier ones lack the mode, which is 0 here. */
struct map_benchmark {
	uint64_t avg_map_100ns, map_stddev, avg_unmap_100ns, unmap_stddev;
	uint32_t threads, seconds;
	int32_t node;
	uint32_t dma_bits, dma_dir, dma_trans_ns, granule;
	uint8_t map_mode, expansion[75];
};
_Static_assert(sizeof(struct map_benchmark) == 136, "its size is part of the ioctl's number");
#define DMA_MAP_BENCHMARK _IOWR('d', 1, struct map_benchmark)

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

static unsigned int read_number(const char *device, const char *file)
{
	char path[PATH_MAX];
	unsigned int number = 0;
	FILE *in;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, file);
	in = fopen(path, "re");
	if (in && fscanf(in, "%x", &number) != 1)
		number = 0;
	if (in)
		fclose(in);
	return number;
}

/* Gives edu to the benchmark's driver. */
static bool bind_edu(void)
{
	DIR *devices = opendir(DEVICES);
	char path[PATH_MAX];
	struct dirent *entry;

	while (devices && (entry = readdir(devices))) {
		if (read_number(entry->d_name, "vendor") != EDU_VENDOR ||
		    read_number(entry->d_name, "device") != EDU_DEVICE)
			continue;
		snprintf(path, sizeof(path), DEVICES "/%s/driver_override", entry->d_name);
		return write_file(path, DRIVER) &&
		       write_file("/sys/bus/pci/drivers/" DRIVER "/bind", entry->d_name);
	}
	return false;
}

static bool run(int fd, unsigned int pages, unsigned int seconds, bool quietly)
{
	struct map_benchmark map = {
		.threads = 1,
		.seconds = seconds,
		.node = -1,
		.dma_bits = 32,
		.granule = pages,
	};

	if (ioctl(fd, DMA_MAP_BENCHMARK, &map)) {
		say("failed " DRIVER ": %d", errno);
		return false;
	}
	if (quietly)
		return true;
	say("dma %u %" PRIu64 " %" PRIu64, pages, map.avg_map_100ns * 100,
	    map.avg_unmap_100ns * 100);
	return true;
}

void bench_dma(void)
{
	static const unsigned int sizes[] = { 1, 16 };
	uint64_t runs = number_of("runs", 1);
	int fd;

	mkdir("/sys", 0755);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (!bind_edu()) {
		say("failed to bind edu: %d", errno);
		return;
	}
	fd = open(BENCHMARK, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		say("failed %s: %d", BENCHMARK, errno);
		return;
	}
	/* Once for all the memory that it ever touches, which the host has to find first. */
	for (uint64_t i = 0; i < (runs + 1) * 2; i++)
		if (!run(fd, sizes[i % 2], (unsigned int)number_of("seconds", 1), i < 2))
			break;
	close(fd);
}
