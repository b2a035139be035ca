/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding, locking and measuring what is behind a virtio disk. Runs before privileges are dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/failure.h"
#include "devices/virtio_blk.h"

#define SECTOR 512
/*
 * The kernel closes the files of a VMM that was just killed a moment after the process is gone,
 * when its last I/O is done: an image that is in use gets a second to become free.
 */
#define BUSY_TRIES  50
#define BUSY_PAUSE  20 /* milliseconds */
#define BLOCK_GUESS 4096
#define BLOCK_MAX   (64 * KIB)

static const char *open_remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "check the path";
	case EROFS:
		return "add ro, or copy it to a writable file system";
	case EBUSY:
		return "it is mounted, or the disk of another VM: end that, or add ro";
	case EINVAL:
		return "its file system may not know O_DIRECT: leave out direct";
	default:
		return "change its mode or owner, or run as a user who may";
	}
}

static int open_path(struct virtio_blk_image *image, const struct virtio_blk_options *options,
		     const struct failure *failure)
{
	/* O_NONBLOCK only keeps a FIFO from holding us here; it is cleared again. */
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (options->readonly ? O_RDONLY : O_RDWR) |
		    (options->direct ? O_DIRECT : 0);
	struct stat st;

	/* O_EXCL without O_CREAT: the kernel refuses a device that is mounted or claimed. */
	if (!options->readonly && !stat(options->path, &st) && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	for (unsigned int i = 0; i < BUSY_TRIES && image->fd < 0; i++) {
		if (i)
			poll(NULL, 0, BUSY_PAUSE);
		image->fd = open(options->path, flags);
		if (image->fd < 0 && errno != EBUSY)
			break;
	}
	if (image->fd < 0)
		return failed(failure, -errno, "cannot be opened for %s: %s; %s",
			      options->readonly ? "reading" : "writing", strerror(errno),
			      open_remedy(errno));
	if (!options->direct)
		return 0;
	image->cached_fd = open(options->path, flags & ~(O_DIRECT | O_EXCL));
	if (image->cached_fd < 0)
		return failed(failure, -errno, "cannot be opened a second time: %s; %s",
			      strerror(errno), open_remedy(errno));
	return 0;
}

static int adopt_fd(struct virtio_blk_image *image, const struct virtio_blk_options *options,
		    const struct failure *failure)
{
	int flags = fcntl(options->fd, F_GETFL);
	char path[32];

	if (flags < 0)
		return failed(failure, -errno, "is not open: %s; pass an open file",
			      strerror(errno));
	if ((flags & O_ACCMODE) == O_WRONLY ||
	    (!options->readonly && (flags & O_ACCMODE) != O_RDWR))
		return failed(failure, -EACCES, "is not open for %s; open it so, or add ro",
			      options->readonly ? "reading" : "reading and writing");
	if (flags & O_APPEND)
		return failed(failure, -EINVAL, "is open for appending; open it without O_APPEND");
	image->fd = options->fd;
	if (!options->direct && !(flags & O_DIRECT))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", options->fd);
	image->cached_fd = open(path, (options->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC |
					      O_NOCTTY | O_NONBLOCK);
	if (image->cached_fd < 0)
		return failed(failure, -errno,
			      "cannot be opened a second time: %s; leave out direct",
			      strerror(errno));
	if (fcntl(image->fd, F_SETFL, flags | O_DIRECT))
		return failed(failure, -errno, "does not know O_DIRECT: %s; leave out direct",
			      strerror(errno));
	return 0;
}

/* With O_NONBLOCK, reads that miss the page cache would fail instead of waiting in the ring. */
static int clear_nonblock(int fd)
{
	int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);

	return flags & O_NONBLOCK ? fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) : 0;
}

static int lock_image(struct virtio_blk_image *image, const struct failure *failure)
{
	struct flock lock = {
		.l_type = image->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	int rc = -1;

	for (unsigned int i = 0; i < BUSY_TRIES && rc; i++) {
		if (i)
			poll(NULL, 0, BUSY_PAUSE);
		rc = fcntl(image->fd, F_OFD_SETLK, &lock);
		if (rc && errno != EAGAIN && errno != EACCES)
			return failed(failure, -errno,
				      "cannot be locked: %s; use a file system that has locks",
				      strerror(errno));
	}
	if (!rc)
		return 0;
	return failed(failure, -EBUSY, "%s; %s",
		      image->readonly ? "another process writes it" : "another process uses it",
		      image->readonly ? "stop that one" : "stop that one, or add ro to both");
}

/* What O_DIRECT asks for; Linux 6.1 and newer tell, for others there is a safe guess. */
static void direct_alignment(struct virtio_blk_image *image, const struct stat *st)
{
	struct statx stx = { 0 };
	int sector = 0;

	image->logical_block = BLOCK_GUESS;
	image->memory_align = BLOCK_GUESS;
	if (S_ISBLK(st->st_mode) && !ioctl(image->fd, BLKSSZGET, &sector) && sector >= SECTOR)
		image->logical_block = (uint32_t)sector;
	if (!statx(image->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    stx.stx_mask & STATX_DIOALIGN && stx.stx_dio_offset_align) {
		image->logical_block = (uint32_t)max_u64(stx.stx_dio_offset_align, SECTOR);
		image->memory_align = stx.stx_dio_mem_align;
	}
}

static int measure(struct virtio_blk_image *image, const struct failure *failure)
{
	struct stat st;
	uint64_t bytes;
	int sector;

	if (fstat(image->fd, &st))
		return failed(failure, -errno, "cannot be examined: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return failed(failure, -EINVAL,
			      "is neither a file nor a block device; give a raw image");
	bytes = (uint64_t)st.st_size;
	image->logical_block = SECTOR;
	image->memory_align = 1;
	image->physical_block = (uint32_t)st.st_blksize;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(image->fd, BLKGETSIZE64, &bytes) || ioctl(image->fd, BLKSSZGET, &sector))
			return failed(failure, -errno, "does not tell its size: %s; is it ready?",
				      strerror(errno));
		image->logical_block = (uint32_t)sector;
		if (!ioctl(image->fd, BLKPBSZGET, &sector))
			image->physical_block = (uint32_t)sector;
	}
	if (image->cached_fd >= 0)
		direct_alignment(image, &st);
	if (!bytes || bytes % SECTOR)
		return failed(failure, -EINVAL,
			      "has %llu bytes, which is no positive multiple of 512; round it up: "
			      "truncate -s %%512",
			      (unsigned long long)bytes);
	image->sectors = bytes / SECTOR;
	if (!is_power_of_two(image->logical_block) || image->logical_block > BLOCK_MAX ||
	    bytes % image->logical_block)
		image->logical_block = SECTOR;
	if (!is_power_of_two(image->physical_block) || image->physical_block > BLOCK_MAX ||
	    image->physical_block < image->logical_block)
		image->physical_block = image->logical_block;
	return 0;
}

int virtio_blk_open(struct virtio_blk_image *image, const struct virtio_blk_options *options,
		    char *error, size_t error_size)
{
	struct failure failure = { .text = error, .size = error_size, .kind = "disk" };
	int rc;

	*image = (struct virtio_blk_image){ .fd = -1,
					    .cached_fd = -1,
					    .readonly = options->readonly };
	if (options->path)
		snprintf(failure.name, sizeof(failure.name), "'%s'", options->path);
	else
		snprintf(failure.name, sizeof(failure.name), "fd %d", options->fd);
	rc = options->path ? open_path(image, options, &failure)
			   : adopt_fd(image, options, &failure);
	if (!rc && (clear_nonblock(image->fd) || clear_nonblock(image->cached_fd)))
		rc = failed(&failure, -errno, "cannot be set to blocking: %s", strerror(errno));
	if (!rc)
		rc = measure(image, &failure);
	if (!rc)
		rc = lock_image(image, &failure);
	if (rc)
		virtio_blk_close(image);
	return rc;
}

void virtio_blk_close(struct virtio_blk_image *image)
{
	if (image->cached_fd >= 0)
		close(image->cached_fd);
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
	image->cached_fd = -1;
}
