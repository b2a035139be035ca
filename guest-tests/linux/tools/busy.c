// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sdma-busy: keeps an sdma device writing, until the device or this process is stopped. For tests
 * of what ends a device under DMA from outside: whoever kills, resets or reboots finds a full ring.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "number.h"
#include "sdma.h"

#define DEPTH	  32U /* descriptors that are under way at any time */
#define SIZE_MOST (64U << 20)

static const char usage[] =
	"Usage: sdma-busy [OPTION]...\n"
	"Has an sdma device fill memory of this process again and again. Prints \"busy\" when it\n"
	"does, and \"stopped: REASON\" when the device does not go on; then ends with status 3.\n"
	"\n"
	"  --device PATH  (default: /dev/sdma0)\n"
	"  --size BYTES   filled by each of the 32 descriptors under way (default: 4194304)\n"
	"  --help         this text\n";

struct options {
	const char *device;
	size_t size;
};

static void parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "size", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 'd':
			options->device = optarg;
			break;
		case 's':
			options->size = number("--size", optarg, SIZE_MOST);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			exit(2);
		}
	}
	if (optind == argc)
		return;
	fputs("sdma-busy: it takes options only (see --help)\n", stderr);
	exit(2);
}

/* Returns when the device has stopped, with the reason as a negative errno. */
static int keep_busy(struct sdma *queue, struct sdma_completion *record, void *memory, size_t size)
{
	for (uint64_t i = 0;; i++) {
		struct sdma_completion *own = &record[i % DEPTH];
		struct sdma_descriptor fill = sdma_fill(memory, i, size);
		int ret;

		if (i == DEPTH) {
			puts("busy");
			fflush(stdout);
		}
		ret = i < DEPTH ? 0 : sdma_wait(queue, own, -1);
		if (ret)
			return ret;
		memset(own, 0, sizeof(*own));
		fill.completion = (uintptr_t)own;
		ret = sdma_put(queue, &fill);
		if (ret)
			return ret;
		sdma_submit(queue);
	}
}

int main(int argc, char **argv)
{
	struct options options = { .device = "/dev/sdma0", .size = 4UL << 20 };
	static struct sdma_completion record[DEPTH];
	struct sdma *queue;
	void *memory;
	int ret;

	parse(argc, argv, &options);
	memory = mmap(NULL, options.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED) {
		perror("sdma-busy: mmap");
		return EXIT_FAILURE;
	}
	/* Present, so that what is under way needs nobody's help. */
	memset(memory, 0xff, options.size);
	ret = sdma_open(&queue, options.device, NULL);
	if (ret) {
		fprintf(stderr, "sdma-busy: %s: %s\n", options.device, strerror(-ret));
		return EXIT_FAILURE;
	}
	ret = keep_busy(queue, record, memory, options.size);
	printf("stopped: %s\n", strerror(-ret));
	return 3;
}
