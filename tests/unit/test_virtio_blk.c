/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk against a guest driver and real files.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "devices/virtio_blk.h"
#include "tests/unit/virtio_driver.h"

#define SECTORS 2048
#define SECTOR	512
#define QUEUE	64

struct bench {
	struct machine *machine;
	struct loop *loop;
	struct virtio_blk_image image;
	struct virtio_blk *blk;
	struct driver driver;
	char path[64];
	int file; /* our own view of the image */
	uint64_t header, status, data;
};

static void make_image(struct bench *b, off_t size)
{
	strcpy(b->path, "/tmp/nidus-blk-XXXXXX");
	b->file = mkstemp(b->path);
	assert_true(b->file >= 0);
	assert_int_equal(ftruncate(b->file, size), 0);
}

static void open_disk(struct bench *b, const struct virtio_blk_options *options,
		      unsigned int queues)
{
	char error[512] = "";

	if (virtio_blk_open(&b->image, options, error, sizeof(error)))
		fail_msg("%s", error);
	b->blk = virtio_blk_create(&b->machine->host, b->loop, "disk0", &b->image, queues,
				   "serial-1");
	assert_non_null(b->blk);
	assert_int_equal(pci_host_assign(&b->machine->host), 0);
	driver_probe(&b->driver, b->machine, b->loop, virtio_blk_device(b->blk)->pci.requester);
}

static int setup_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->machine = fake_machine_create();
	b->loop = loop_create(64);
	assert_non_null(b->loop);
	b->header = fake_alloc(b->machine, 16, 16);
	b->status = fake_alloc(b->machine, 1, 1);
	b->data = fake_alloc(b->machine, 1 << 20, 4096);
	b->file = -1;
	*state = b;
	return 0;
}

static int teardown_bench(void **state)
{
	struct bench *b = *state;

	if (b->blk) {
		virtio_quiesce(virtio_blk_device(b->blk));
		while (loop_in_flight(b->loop))
			assert_int_equal(loop_turn(b->loop, true), 0);
		virtio_blk_destroy(b->blk);
		virtio_blk_close(&b->image);
	}
	loop_destroy(b->loop);
	fake_machine_destroy(b->machine);
	if (b->file >= 0) {
		close(b->file);
		unlink(b->path);
	}
	free(b);
	return 0;
}

static void simple_disk(struct bench *b)
{
	make_image(b, SECTORS * SECTOR);
	open_disk(b, &(struct virtio_blk_options){ .path = b->path, .fd = -1 }, 1);
	driver_bring_up(&b->driver, 1, QUEUE);
}

static uint8_t *data(struct bench *b)
{
	return fake_ram(b->machine, b->data);
}

/* One request, waited for; returns its status. */
static uint8_t request(struct bench *b, uint32_t type, uint64_t sector, uint32_t len, bool to_guest)
{
	struct virtio_blk_outhdr *header = fake_ram(b->machine, b->header);
	struct driver_buffer buffers[3] = { { b->header, 16, false },
					    { b->data, len, to_guest },
					    { b->status, 1, true } };
	uint8_t *status = fake_ram(b->machine, b->status);
	uint32_t head, expected;

	*header = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	*status = 0xee;
	if (!len)
		buffers[1] = buffers[2];
	expected = driver_add(&b->driver.queue[0], buffers, len ? 3 : 2);
	driver_kick(&b->driver.queue[0]);
	driver_wait_used(&b->driver.queue[0], &head);
	assert_int_equal(head, expected);
	return *status;
}

static uint8_t write_request(struct bench *b, uint64_t sector, uint32_t len)
{
	return request(b, VIRTIO_BLK_T_OUT, sector, len, false);
}

static uint8_t read_request(struct bench *b, uint64_t sector, uint32_t len)
{
	return request(b, VIRTIO_BLK_T_IN, sector, len, true);
}

static void fill(uint8_t *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seed = seed * 1103515245 + 12345, seed >> 16);
}

/* --- What a disk does --- */

static void writes_and_reads(void **state)
{
	struct bench *b = *state;
	uint8_t expect[8192], got[8192];

	simple_disk(b);
	fill(expect, sizeof(expect), 1);
	memcpy(data(b), expect, sizeof(expect));
	assert_int_equal(write_request(b, 100, sizeof(expect)), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(b->file, got, sizeof(got), 100 * SECTOR), sizeof(got));
	assert_memory_equal(got, expect, sizeof(got));
	memset(data(b), 0, sizeof(expect));
	assert_int_equal(read_request(b, 100, sizeof(expect)), VIRTIO_BLK_S_OK);
	assert_memory_equal(data(b), expect, sizeof(expect));
	assert_true(fake_take_msis(b->machine, DRIVER_MSI + 1) >= 2);
	assert_int_equal(request(b, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_counters_read(virtio_blk_device(b->blk)).flushes, 1);
}

static void used_length_counts_what_was_written(void **state)
{
	struct bench *b = *state;
	struct driver_buffer buffers[3] = { { b->header, 16, false },
					    { b->data, 1024, true },
					    { b->status, 1, true } };

	simple_disk(b);
	memset(fake_ram(b->machine, b->header), 0, 16);
	driver_add(&b->driver.queue[0], buffers, 3);
	driver_kick(&b->driver.queue[0]);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 1025);
	/* A failed read has written nothing that counts from the start on. */
	((struct virtio_blk_outhdr *)fake_ram(b->machine, b->header))->sector = SECTORS;
	driver_add(&b->driver.queue[0], buffers, 3);
	driver_kick(&b->driver.queue[0]);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 0);
}

static void many_at_once(void **state)
{
	struct bench *b = *state;
	uint64_t headers, statuses;
	struct driver_queue *queue;
	uint8_t *expect;

	simple_disk(b);
	queue = &b->driver.queue[0];
	headers = fake_alloc(b->machine, 16 * QUEUE, 16);
	statuses = fake_alloc(b->machine, QUEUE, 1);
	fill(data(b), 20 * 4096, 7);
	for (unsigned int i = 0; i < 20; i++) {
		struct virtio_blk_outhdr *header = fake_ram(b->machine, headers + 16 * i);
		struct driver_buffer buffers[3] = { { headers + 16 * i, 16, false },
						    { b->data + 4096 * i, 4096, false },
						    { statuses + i, 1, true } };

		*header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT, .sector = 8 * i };
		*(uint8_t *)fake_ram(b->machine, statuses + i) = 0xee;
		driver_add(queue, buffers, 3);
	}
	driver_kick(queue);
	for (unsigned int i = 0; i < 20; i++)
		driver_wait_used(queue, NULL);
	expect = malloc(20 * 4096);
	assert_int_equal(pread(b->file, expect, 20 * 4096, 0), 20 * 4096);
	assert_memory_equal(data(b), expect, 20 * 4096);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(*(uint8_t *)fake_ram(b->machine, statuses + i), 0);
	free(expect);
}

/* Header, data and status may be cut anywhere (virtio 1.2, 2.7.4). */
static void odd_layouts(void **state)
{
	struct bench *b = *state;
	struct driver_buffer write[] = { { b->header, 7, false },	{ b->header + 7, 8, false },
					 { b->header + 15, 1, false },	{ b->data, 100, false },
					 { b->data + 100, 412, false }, { b->status, 1, true } };
	uint64_t together = b->data + 8192; /* header and data; data and status */
	struct driver_buffer joined[] = { { together, 16 + 512, false }, { b->status, 1, true } };
	struct driver_buffer read[] = { { b->header, 16, false }, { b->data + 4096, 513, true } };
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_OUT, .sector = 3 };
	uint8_t got[512];

	simple_disk(b);
	fill(data(b), 512, 3);
	memcpy(fake_ram(b->machine, b->header), &header, 16);
	driver_add(&b->driver.queue[0], write, ARRAY_SIZE(write));
	driver_kick(&b->driver.queue[0]);
	driver_wait_used(&b->driver.queue[0], NULL);
	assert_int_equal(pread(b->file, got, 512, 3 * 512), 512);
	assert_memory_equal(got, data(b), 512);

	header.sector = 4;
	memcpy(fake_ram(b->machine, together), &header, 16);
	fill(fake_ram(b->machine, together + 16), 512, 9);
	driver_add_indirect(&b->driver.queue[0], joined, 2);
	driver_kick(&b->driver.queue[0]);
	driver_wait_used(&b->driver.queue[0], NULL);
	assert_int_equal(pread(b->file, got, 512, 4 * 512), 512);
	assert_memory_equal(got, fake_ram(b->machine, together + 16), 512);

	header.type = VIRTIO_BLK_T_IN;
	memcpy(fake_ram(b->machine, b->header), &header, 16);
	data(b)[4096 + 512] = 0xee;
	driver_add(&b->driver.queue[0], read, 2);
	driver_kick(&b->driver.queue[0]);
	assert_int_equal(driver_wait_used(&b->driver.queue[0], NULL), 513);
	assert_memory_equal(got, data(b) + 4096, 512);
	assert_int_equal(data(b)[4096 + 512], VIRTIO_BLK_S_OK);
}

static void ranges_are_checked(void **state)
{
	struct bench *b = *state;
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} rows[] = {
		{ SECTORS - 1, 512, VIRTIO_BLK_S_OK },
		{ SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ SECTORS, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / 512, 1024, VIRTIO_BLK_S_IOERR },
		{ UINT64_C(1) << 55, 512, VIRTIO_BLK_S_IOERR },
		{ 0, 511, VIRTIO_BLK_S_IOERR },
		{ 0, 513, VIRTIO_BLK_S_IOERR },
		{ 0, 0, VIRTIO_BLK_S_OK },
	};
	struct stat st;

	simple_disk(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(read_request(b, rows[i].sector, rows[i].len), rows[i].status);
		assert_int_equal(write_request(b, rows[i].sector, rows[i].len), rows[i].status);
	}
	assert_int_equal(fstat(b->file, &st), 0);
	assert_int_equal(st.st_size, SECTORS * SECTOR);
	assert_int_equal(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void identity(void **state)
{
	struct bench *b = *state;

	simple_disk(b);
	memset(data(b), 0xee, 32);
	assert_int_equal(request(b, VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
	assert_memory_equal(data(b), "serial-1\0\0\0\0\0\0\0\0\0\0\0\0\xee", 21);
	memset(data(b), 0xee, 32);
	assert_int_equal(request(b, VIRTIO_BLK_T_GET_ID, 0, 4, true), VIRTIO_BLK_S_OK);
	assert_memory_equal(data(b), "seri\xee", 5);
}

static void unknown_types(void **state)
{
	static const uint32_t types[] = { 2, 3, 5, 7, 9, 10, 12, 14, 15, 16, 0x80000000, ~0U };
	struct bench *b = *state;

	simple_disk(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(request(b, types[i], 0, 512, i % 2), VIRTIO_BLK_S_UNSUPP);
}

static uint8_t ranges(struct bench *b, uint32_t type,
		      const struct virtio_blk_discard_write_zeroes *range, unsigned int count)
{
	memcpy(data(b), range, count * sizeof(*range));
	return request(b, type, 0, count * (uint32_t)sizeof(*range), false);
}

static bool all(int file, off_t at, size_t len, uint8_t value)
{
	uint8_t byte;

	for (size_t i = 0; i < len; i++)
		if (pread(file, &byte, 1, at + (off_t)i) != 1 || byte != value)
			return false;
	return true;
}

static void fill_image(struct bench *b)
{
	uint8_t *bytes = malloc(SECTORS * SECTOR);

	memset(bytes, 0xaa, SECTORS * SECTOR);
	assert_int_equal(pwrite(b->file, bytes, SECTORS * SECTOR, 0), SECTORS * SECTOR);
	free(bytes);
}

static void check_zeroed(struct bench *b)
{
	const struct virtio_blk_discard_write_zeroes two[] = { { 8, 16, 0 }, { 41, 3, 1 } };

	fill_image(b);
	assert_int_equal(ranges(b, VIRTIO_BLK_T_WRITE_ZEROES, two, 2), VIRTIO_BLK_S_OK);
	assert_true(all(b->file, 0, 8 * SECTOR, 0xaa));
	assert_true(all(b->file, 8 * SECTOR, 16 * SECTOR, 0));
	assert_true(all(b->file, 24 * SECTOR, 17 * SECTOR, 0xaa));
	assert_true(all(b->file, 41 * SECTOR, 3 * SECTOR, 0));
	assert_true(all(b->file, 44 * SECTOR, 8 * SECTOR, 0xaa));
}

static void zeroes(void **state)
{
	struct bench *b = *state;

	simple_disk(b);
	check_zeroed(b);
}

/* tmpfs cannot zero a range without a hole, so zeroes are written. */
static void zeroes_written(void **state)
{
	struct bench *b = *state;
	const struct virtio_blk_discard_write_zeroes most = { 1, SECTORS - 3, 0 };

	strcpy(b->path, "/dev/shm/nidus-blk-XXXXXX");
	b->file = mkstemp(b->path);
	if (b->file < 0)
		skip();
	assert_int_equal(ftruncate(b->file, SECTORS * SECTOR), 0);
	open_disk(b, &(struct virtio_blk_options){ .path = b->path, .fd = -1 }, 1);
	driver_bring_up(&b->driver, 1, QUEUE);
	check_zeroed(b);
	fill_image(b);
	assert_int_equal(ranges(b, VIRTIO_BLK_T_WRITE_ZEROES, &most, 1), VIRTIO_BLK_S_OK);
	assert_true(all(b->file, 0, SECTOR, 0xaa));
	assert_true(all(b->file, SECTOR, (SECTORS - 3) * SECTOR, 0));
	assert_true(all(b->file, (SECTORS - 2) * SECTOR, 2 * SECTOR, 0xaa));
}

static void discard(void **state)
{
	struct bench *b = *state;
	const struct virtio_blk_discard_write_zeroes range = { 0, SECTORS / 2, 0 };
	struct stat before, after;

	simple_disk(b);
	fill_image(b);
	fsync(b->file);
	fstat(b->file, &before);
	assert_int_equal(ranges(b, VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_OK);
	fstat(b->file, &after);
	assert_int_equal(after.st_size, before.st_size);
	assert_true(after.st_blocks < before.st_blocks);
}

static void bad_ranges(void **state)
{
	struct bench *b = *state;
	static const struct {
		uint32_t type;
		struct virtio_blk_discard_write_zeroes range;
		uint8_t status;
	} rows[] = {
		{ VIRTIO_BLK_T_DISCARD, { 0, 8, 1 }, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_DISCARD, { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { SECTORS, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { UINT64_MAX, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, { 0, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, { 1, SECTORS, 0 }, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, { 1, 0, 0 }, VIRTIO_BLK_S_OK },
	};

	simple_disk(b);
	fill_image(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(ranges(b, rows[i].type, &rows[i].range, 1), rows[i].status);
	/* Half a range, none, and too many. */
	assert_int_equal(request(b, VIRTIO_BLK_T_DISCARD, 0, 8, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(b, VIRTIO_BLK_T_DISCARD, 0, 0, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(b, VIRTIO_BLK_T_DISCARD, 0, 17 * 16, false), VIRTIO_BLK_S_IOERR);
	assert_true(all(b->file, 0, 64 * SECTOR, 0xaa));
}

static void read_only(void **state)
{
	struct bench *b = *state;
	const struct virtio_blk_discard_write_zeroes range = { 0, 8, 0 };

	make_image(b, SECTORS * SECTOR);
	fill_image(b);
	open_disk(b, &(struct virtio_blk_options){ .path = b->path, .fd = -1, .readonly = true },
		  1);
	assert_true(driver_offered(&b->driver) & VIRTIO_BIT(VIRTIO_BLK_F_RO));
	assert_false(driver_offered(&b->driver) & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD));
	driver_bring_up(&b->driver, 1, QUEUE);
	assert_int_equal(read_request(b, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data(b)[511], 0xaa);
	memset(data(b), 0, 512);
	assert_int_equal(write_request(b, 0, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(b, VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ranges(b, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(b, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	assert_true(all(b->file, 0, 512, 0xaa));
}

static void configuration(void **state)
{
	struct bench *b = *state;
	uint64_t config;

	make_image(b, SECTORS * SECTOR);
	open_disk(b, &(struct virtio_blk_options){ .path = b->path, .fd = -1 }, 4);
	config = b->driver.config;
	assert_int_equal(b->driver.config_length, 60);
	assert_int_equal(fake_read(b->machine, config, 8), SECTORS);
	assert_int_equal(fake_read(b->machine, config, 4), SECTORS);
	assert_int_equal(fake_read(b->machine, config + 12, 4), 126);
	assert_int_equal(fake_read(b->machine, config + 20, 4), 512);
	assert_int_equal(fake_read(b->machine, config + 34, 2), 4);
	/* Read-only, and nothing behind it. */
	fake_write(b->machine, config, 8, 0);
	assert_int_equal(fake_read(b->machine, config, 8), SECTORS);
	assert_int_equal(fake_read(b->machine, config + 60, 4), 0);
	assert_true(driver_offered(&b->driver) & VIRTIO_BIT(VIRTIO_BLK_F_MQ));
	driver_bring_up(&b->driver, 4, 16);
	for (unsigned int i = 0; i < 4; i++) {
		struct driver_buffer buffers[] = { { b->header, 16, false },
						   { b->data, 512, true },
						   { b->status, 1, true } };

		memset(fake_ram(b->machine, b->header), 0, 16);
		driver_add(&b->driver.queue[i], buffers, 3);
		driver_kick(&b->driver.queue[i]);
		assert_int_equal(driver_wait_used(&b->driver.queue[i], NULL), 513);
		assert_int_equal(fake_take_msis(b->machine, DRIVER_MSI + 1 + i), 1);
	}
}

/* --- What a driver must not do --- */

static void without_header_or_status(void **state)
{
	struct bench *b = *state;
	const struct driver_buffer rows[][2] = {
		{ { b->header, 16, false }, { b->data, 512, false } },
		{ { b->header, 15, false }, { b->status, 1, true } },
		{ { b->data, 512, true }, { b->status, 1, true } },
	};

	simple_disk(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		driver_add(&b->driver.queue[0], rows[i], 2);
		driver_kick(&b->driver.queue[0]);
		fake_settle(b->loop);
		assert_true(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(fake_take_msis(b->machine, DRIVER_MSI), 1);
		/* A reset heals it. */
		driver_bring_up(&b->driver, 1, QUEUE);
		assert_int_equal(read_request(b, 0, 512), VIRTIO_BLK_S_OK);
	}
}

/* --- What a host may do --- */

static void image_becomes_shorter(void **state)
{
	struct bench *b = *state;

	simple_disk(b);
	assert_int_equal(ftruncate(b->file, SECTORS * SECTOR / 2 + 100), 0);
	assert_int_equal(read_request(b, SECTORS / 2 + 8, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_request(b, SECTORS / 2 - 4, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_request(b, 0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(write_request(b, SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(read_request(b, SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
}

/* A limit on the file's size stands for a disk that is full: the write fails, later ones need not.
 */
static void write_fails(void **state)
{
	struct bench *b = *state;
	struct rlimit old, limit;

	signal(SIGXFSZ, SIG_IGN);
	simple_disk(b);
	assert_int_equal(ftruncate(b->file, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ 64 * 1024, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(write_request(b, 0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(write_request(b, 256, 4096), VIRTIO_BLK_S_IOERR);
	/* Half of it fits: that is continued, and fails. */
	assert_int_equal(write_request(b, 124, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(write_request(b, 256, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(driver_status(&b->driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	assert_int_equal(virtio_counters_read(virtio_blk_device(b->blk)).errors, 2);
}

static void disk_is_full(void **state)
{
	struct bench *b = *state;
	char directory[] = "/tmp/nidus-full-XXXXXX";

	assert_non_null(mkdtemp(directory));
	if (mount("none", directory, "tmpfs", 0, "size=256k")) {
		rmdir(directory);
		skip();
	}
	snprintf(b->path, sizeof(b->path), "%s/image", directory);
	b->file = open(b->path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(b->file, SECTORS * SECTOR), 0);
	open_disk(b, &(struct virtio_blk_options){ .path = b->path, .fd = -1 }, 1);
	driver_bring_up(&b->driver, 1, QUEUE);
	assert_int_equal(write_request(b, 0, 128 << 10), VIRTIO_BLK_S_OK);
	assert_int_equal(write_request(b, 512, 512 << 10), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_request(b, 0, 128 << 10), VIRTIO_BLK_S_OK);
	umount2(directory, MNT_DETACH);
	rmdir(directory);
}

static void flush_is_implied_without_the_feature(void **state)
{
	struct bench *b = *state;
	uint64_t features;

	make_image(b, SECTORS * SECTOR);
	open_disk(b, &(struct virtio_blk_options){ .path = b->path, .fd = -1 }, 1);
	features = driver_offered(&b->driver) & ~VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
	assert_true(driver_negotiate(&b->driver, features));
	driver_queue_init(&b->driver, 0, QUEUE);
	driver_start(&b->driver);
	assert_int_equal(write_request(b, 0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_counters_read(virtio_blk_device(b->blk)).flushes, 1);
	assert_int_equal(read_request(b, 0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_counters_read(virtio_blk_device(b->blk)).flushes, 1);
}

/* Requests that the reset meets are waited for, and their memory is left alone afterwards. */
static void reset_under_load(void **state)
{
	struct bench *b = *state;
	struct driver_buffer buffers[3] = { { b->header, 16, false },
					    { b->data, 1 << 19, false },
					    { b->status, 1, true } };
	const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_OUT };

	simple_disk(b);
	memcpy(fake_ram(b->machine, b->header), &header, sizeof(header));
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 8; i++)
			driver_add(&b->driver.queue[0], buffers, 3);
		driver_kick(&b->driver.queue[0]);
		for (unsigned int i = 0; i < round % 4; i++)
			assert_int_equal(loop_turn(b->loop, false), 0);
		driver_reset(&b->driver);
		assert_int_equal(virtio_blk_device(b->blk)->in_flight, 0);
		memset(fake_ram(b->machine, b->driver.queue[0].used), 0x5a, 4);
		fake_settle(b->loop);
		assert_memory_equal(fake_ram(b->machine, b->driver.queue[0].used),
				    "\x5a\x5a\x5a\x5a", 4);
		b->machine->next = b->data + (1 << 20);
		driver_bring_up(&b->driver, 1, QUEUE);
	}
	assert_int_equal(write_request(b, 0, 512), VIRTIO_BLK_S_OK);
}

/* --- O_DIRECT --- */

static void direct(void **state)
{
	struct bench *b = *state;
	char error[256];
	uint8_t got[4096];
	struct virtio_blk_options options = { .fd = -1, .direct = true };
	struct driver_buffer odd[3] = { { b->header, 16, false },
					{ b->data + 1, 512, false },
					{ b->status, 1, true } };
	const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_OUT, .sector = 9 };

	make_image(b, SECTORS * SECTOR);
	options.path = b->path;
	if (virtio_blk_open(&b->image, &options, error, sizeof(error)))
		skip();
	virtio_blk_close(&b->image);
	open_disk(b, &options, 1);
	driver_bring_up(&b->driver, 1, QUEUE);
	fill(data(b), 8192, 5);
	assert_int_equal(write_request(b, 8, 4096), VIRTIO_BLK_S_OK);
	/* Neither the address nor the offset suits O_DIRECT. */
	memcpy(fake_ram(b->machine, b->header), &header, sizeof(header));
	driver_add(&b->driver.queue[0], odd, 3);
	driver_kick(&b->driver.queue[0]);
	driver_wait_used(&b->driver.queue[0], NULL);
	assert_int_equal(*(uint8_t *)fake_ram(b->machine, b->status), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(b->file, got, 4096, 8 * 512), 4096);
	assert_memory_equal(got, data(b), 512);
	assert_memory_equal(got + 512, data(b) + 1, 512);
	assert_memory_equal(got + 1024, data(b) + 1024, 4096 - 1024);
	memset(data(b), 0, 4096);
	assert_int_equal(read_request(b, 8, 4096), VIRTIO_BLK_S_OK);
	assert_memory_equal(data(b), got, 4096);
	assert_int_equal(request(b, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
}

/* --- Opening --- */

static int try_open(const char *path, bool readonly, char *error, size_t size)
{
	struct virtio_blk_image image;
	const struct virtio_blk_options options = { .path = path, .fd = -1, .readonly = readonly };
	int rc = virtio_blk_open(&image, &options, error, size);

	if (!rc)
		virtio_blk_close(&image);
	return rc;
}

static void locks(void **state)
{
	struct bench *b = *state;
	struct virtio_blk_image image;
	struct virtio_blk_options options = { .fd = -1 };
	char error[256];

	make_image(b, SECTORS * SECTOR);
	options.path = b->path;
	assert_int_equal(virtio_blk_open(&image, &options, error, sizeof(error)), 0);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, b->path));
	assert_non_null(strstr(error, "ro"));
	assert_int_equal(try_open(b->path, true, error, sizeof(error)), -EBUSY);
	virtio_blk_close(&image);

	options.readonly = true;
	assert_int_equal(virtio_blk_open(&image, &options, error, sizeof(error)), 0);
	assert_int_equal(try_open(b->path, true, error, sizeof(error)), 0);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), -EBUSY);
	virtio_blk_close(&image);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), 0);
}

static void bad_images(void **state)
{
	struct bench *b = *state;
	char error[256];

	assert_int_equal(try_open("/nonexistent/image", false, error, sizeof(error)), -ENOENT);
	assert_string_equal(error, "disk '/nonexistent/image': cannot be opened for writing: No "
				   "such file or directory; check the path");
	assert_int_equal(try_open("/tmp", true, error, sizeof(error)), -EINVAL);
	assert_int_equal(try_open("/dev/null", true, error, sizeof(error)), -EINVAL);
	make_image(b, 0);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), -EINVAL);
	assert_int_equal(ftruncate(b->file, 1000), 0);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "1000"));
	assert_int_equal(ftruncate(b->file, 1024), 0);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), 0);
	/* A long message is cut, not overrun. */
	assert_int_equal(try_open("/nonexistent/image", false, error, 8), -ENOENT);
	assert_string_equal(error, "disk '/");
}

static void inherited_descriptors(void **state)
{
	struct bench *b = *state;
	struct virtio_blk_image image;
	struct virtio_blk_options options = { 0 };
	char error[256];

	make_image(b, 4096);
	options.fd = open(b->path, O_RDONLY);
	assert_int_equal(virtio_blk_open(&image, &options, error, sizeof(error)), -EACCES);
	options.readonly = true;
	assert_int_equal(virtio_blk_open(&image, &options, error, sizeof(error)), 0);
	assert_int_equal(image.sectors, 8);
	virtio_blk_close(&image);
	options.fd = 987;
	assert_int_equal(virtio_blk_open(&image, &options, error, sizeof(error)), -EBADF);
	options.readonly = false;
	options.fd = open(b->path, O_RDWR | O_APPEND);
	assert_int_equal(virtio_blk_open(&image, &options, error, sizeof(error)), -EINVAL);
	close(options.fd);
}

/* What a killed writer leaves behind does not keep the next one out. */
static void lock_dies_with_its_owner(void **state)
{
	struct bench *b = *state;
	char error[256];
	int pipes[2], status;
	char byte;
	pid_t child;

	make_image(b, SECTORS * SECTOR);
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		struct virtio_blk_options options = { .path = b->path, .fd = -1 };
		struct loop *loop = loop_create(8);

		if (virtio_blk_open(&b->image, &options, error, sizeof(error)))
			_exit(1);
		loop_register_file(loop, b->image.fd);
		loop_turn(loop, false);
		if (write(pipes[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(try_open(b->path, true, error, sizeof(error)), -EBUSY);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_int_equal(try_open(b->path, false, error, sizeof(error)), 0);
	close(pipes[0]);
	close(pipes[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_bench, teardown_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_and_reads),
		TEST(used_length_counts_what_was_written),
		TEST(many_at_once),
		TEST(odd_layouts),
		TEST(ranges_are_checked),
		TEST(identity),
		TEST(unknown_types),
		TEST(zeroes),
		TEST(zeroes_written),
		TEST(discard),
		TEST(bad_ranges),
		TEST(read_only),
		TEST(configuration),
		TEST(without_header_or_status),
		TEST(image_becomes_shorter),
		TEST(write_fails),
		TEST(disk_is_full),
		TEST(flush_is_implied_without_the_feature),
		TEST(reset_under_load),
		TEST(direct),
		TEST(locks),
		TEST(bad_images),
		TEST(inherited_descriptors),
		TEST(lock_dies_with_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
