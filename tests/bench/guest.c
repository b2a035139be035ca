/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first and only process of a benchmarked guest. What it does is told by words of the kernel
 * command line, which Linux hands to init as its environment:
 *
 *   bench=boot   say that it is there, and power off (or end=reset: reset)
 *   bench=idle   say that it is there, and wait for ever
 *   bench=blk    measure /dev/vda; see blk.c
 *   bench=net    measure a network card; see net.c
 *   bench=dma    measure what mapping for DMA takes; see vtd_guest.c
 *
 * It talks through COM1, with the driver's few exits, which are the same in every VMM.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int com1 = -1;

void say(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	strcat(line, "\n");
	/* What is still in the driver's buffer when the machine powers off is lost. */
	if (write(com1, line, strlen(line)) > 0)
		tcdrain(com1);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void pause_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static _Noreturn void end(void)
{
	const char *how = getenv("end");

	reboot(how && !strcmp(how, "reset") ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}

int main(void)
{
	const char *what = getenv("bench");

	mknod("/com1", S_IFCHR | 0600, makedev(4, 64));
	com1 = open("/com1", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	say("%c", GUEST_MARK);
	if (!what || !strcmp(what, "boot"))
		end();
	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	if (!strcmp(what, "blk"))
		bench_blk();
	else if (!strcmp(what, "net"))
		bench_net();
	else if (!strcmp(what, "dma"))
		bench_dma();
	else
		for (;;)
			pause();
	end();
}
