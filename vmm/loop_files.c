/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that the ring holds open, so that the kernel need not look them up each time.
 */
#include <string.h>

#include "vmm/loop_parts.h"

int loop_fixed(const struct loop *loop, int fd)
{
	return fd >= 0 && fd < LOOP_FIXED_FDS ? loop->fixed[fd] : LOOP_FIXED_NONE;
}

/* A ring without registered files works as well. */
void loop_reserve_files(struct loop *loop)
{
	io_uring_register_files_sparse(&loop->ring, LOOP_FIXED_FILES);
	for (unsigned int fd = 0; fd < LOOP_FIXED_FDS; fd++)
		loop->fixed[fd] = LOOP_FIXED_NONE;
}

void loop_register_file(struct loop *loop, int fd)
{
	if (fd < 0 || fd >= LOOP_FIXED_FDS || loop->fixed[fd] != LOOP_FIXED_NONE)
		return;
	for (unsigned int i = 0; i < LOOP_FIXED_FILES; i++) {
		uint64_t bit = UINT64_C(1) << i % 64;

		if (loop->fixed_used[i / 64] & bit)
			continue;
		if (io_uring_register_files_update(&loop->ring, i, &fd, 1) != 1)
			return;
		loop->fixed_used[i / 64] |= bit;
		loop->fixed[fd] = (int16_t)i;
		return;
	}
}

void loop_unregister_file(struct loop *loop, int fd)
{
	int index = loop_fixed(loop, fd);
	int none = -1;

	if (index == LOOP_FIXED_NONE)
		return;
	loop->fixed[fd] = LOOP_FIXED_NONE;
	/* If the kernel does not let go of the file, its place stays taken. */
	if (io_uring_register_files_update(&loop->ring, (unsigned int)index, &none, 1) == 1)
		loop->fixed_used[index / 64] &= ~(UINT64_C(1) << index % 64);
}

void loop_release_files(struct loop *loop)
{
	/* What cannot be let go now goes with the ring. */
	io_uring_unregister_files(&loop->ring);
	memset(loop->fixed_used, 0, sizeof(loop->fixed_used));
	for (unsigned int fd = 0; fd < LOOP_FIXED_FDS; fd++)
		loop->fixed[fd] = LOOP_FIXED_NONE;
}
