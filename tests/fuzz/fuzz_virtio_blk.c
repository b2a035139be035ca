/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile driver against a whole virtio disk: registers, configuration space, rings, requests and
 * resets in any order, with the real event loop on a small file in memory.
 *
 * Input: operations, one byte and its operands. Invariants: nothing outside of guest memory is
 * touched (the sanitizers watch), the file keeps its size, every reset is finished, nothing leaks.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/virtio_blk.h"
#include "tests/unit/fake_machine.h"

#define SECTORS	   64
#define OPERATIONS 256
#define TURNS	   1000
#define STATUS	   20 /* offset of device_status */

enum { OP_MEMORY, OP_BAR, OP_CONFIG, OP_KICK, OP_TURN, OP_OFFER, OP_BRING_UP, OP_RESET, OPS };

struct input {
	const uint8_t *at;
	size_t left;
};

struct fuzz {
	struct machine *machine;
	struct loop *loop;
	struct virtio_blk_image image;
	struct virtio_blk *blk;
	uint16_t requester;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool truth)
{
	if (!truth)
		abort();
}

static uint64_t next(struct input *in, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes && in->left; i++, in->left--)
		value |= (uint64_t)*in->at++ << 8 * i;
	return value;
}

static uint64_t bar(const struct fuzz *fuzz)
{
	return virtio_blk_device(fuzz->blk)->pci.bar[0].address;
}

static void set(struct fuzz *fuzz, unsigned int offset, unsigned int size, uint64_t value)
{
	if (bar(fuzz) != PCI_BAR_UNMAPPED)
		fake_write(fuzz->machine, bar(fuzz) + offset, size, value);
}

/* What a driver does, so that the fuzzer need not find it: queue 0 at fixed places, DRIVER_OK. */
static void bring_up(struct fuzz *fuzz)
{
	pci_config_write(&fuzz->machine->host, fuzz->requester, 4, 2, 6);
	set(fuzz, STATUS, 1, 3);
	set(fuzz, 8, 4, 0);
	set(fuzz, 12, 4, 0x30007646);
	set(fuzz, 8, 4, 1);
	set(fuzz, 12, 4, 1);
	set(fuzz, STATUS, 1, 11);
	set(fuzz, 22, 2, 0);
	set(fuzz, 24, 2, 16);
	set(fuzz, 32, 8, 0x1000);
	set(fuzz, 40, 8, 0x2000);
	set(fuzz, 48, 8, 0x3000);
	set(fuzz, 28, 2, 1);
	set(fuzz, STATUS, 1, 15);
}

/* A request in good order but for what the input says; chains of three at 0x1000. */
static void offer(struct fuzz *fuzz, struct input *in)
{
	uint8_t *memory = fake_ram(fuzz->machine, 0), slot = (uint8_t)next(in, 1) % 4;
	uint8_t *desc = memory + 0x1000 + slot * 48, *header = memory + 0x4000 + slot * 16;
	uint16_t index = load_le16(memory + 0x2002);

	store_le32(header, (uint32_t)next(in, 1));
	store_le64(header + 8, next(in, 1));
	store_le64(desc, 0x4000 + slot * 16U);
	store_le64(desc + 8, 16 | 1ULL << 32 | (slot * 3ULL + 1) << 48);
	store_le64(desc + 16, 0x8000);
	store_le64(desc + 24,
		   next(in, 2) | (1 | (next(in, 1) & 6)) << 32 | (slot * 3ULL + 2) << 48);
	store_le64(desc + 32, 0x5000 + slot);
	store_le64(desc + 40, 1 | 2ULL << 32);
	store_le16(memory + 0x2004 + 2 * (index % 16), slot * 3);
	store_le16(memory + 0x2002, (uint16_t)(index + 1));
	set(fuzz, 0x3000, 2, 0);
}

static void turn(struct fuzz *fuzz, unsigned int count)
{
	while (count--)
		check(!loop_turn(fuzz->loop, false));
}

static void reset(struct fuzz *fuzz)
{
	struct virtio_device *device = virtio_blk_device(fuzz->blk);

	set(fuzz, STATUS, 1, 0);
	for (unsigned int i = 0; i < TURNS && (device->resetting || device->in_flight); i++)
		check(!loop_turn(fuzz->loop, device->in_flight));
	check(!device->resetting && !device->in_flight);
	check(bar(fuzz) == PCI_BAR_UNMAPPED || !device->status);
}

static void operate(struct fuzz *fuzz, struct input *in)
{
	unsigned int op = (unsigned int)next(in, 1) % OPS, size = 1U << next(in, 1) % 4;
	uint64_t at = next(in, 2);

	switch (op) {
	case OP_MEMORY:
		store_le64(fake_ram(fuzz->machine, at), next(in, size));
		break;
	case OP_BAR:
		set(fuzz, (unsigned int)at & 0x3fff, size, next(in, size));
		if (bar(fuzz) != PCI_BAR_UNMAPPED)
			fake_read(fuzz->machine, bar(fuzz) + (at & 0x3fff), size);
		break;
	case OP_CONFIG:
		pci_config_write(&fuzz->machine->host, fuzz->requester, at & 0xff, size & 7,
				 (uint32_t)next(in, size & 7));
		pci_config_read(&fuzz->machine->host, fuzz->requester, at & 0xff, size & 7);
		break;
	case OP_KICK:
		set(fuzz, 0x3000 + 4 * (at & 3), 2, 0);
		break;
	case OP_TURN:
		turn(fuzz, size);
		break;
	case OP_OFFER:
		offer(fuzz, in);
		break;
	case OP_BRING_UP:
		bring_up(fuzz);
		break;
	case OP_RESET:
		reset(fuzz);
		break;
	}
}

static void open_image(struct fuzz *fuzz)
{
	char error[256];
	struct virtio_blk_options options = { .fd = memfd_create("image", MFD_CLOEXEC) };

	check(options.fd >= 0 && !ftruncate(options.fd, SECTORS * 512));
	check(!virtio_blk_open(&fuzz->image, &options, error, sizeof(error)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct fuzz fuzz = { 0 };
	const char *bad;
	struct stat st;

	log_configure("error", &bad);
	fuzz.machine = fake_machine_create();
	fuzz.loop = loop_create(32);
	check(fuzz.loop);
	open_image(&fuzz);
	fuzz.blk = virtio_blk_create(&fuzz.machine->host, fuzz.loop, "disk", &fuzz.image, 2, "");
	check(fuzz.blk && !pci_host_assign(&fuzz.machine->host));
	fuzz.requester = virtio_blk_device(fuzz.blk)->pci.requester;

	for (unsigned int i = 0; i < OPERATIONS && in.left; i++)
		operate(&fuzz, &in);
	check(!fstat(fuzz.image.fd, &st) && st.st_size == SECTORS * 512);

	virtio_quiesce(virtio_blk_device(fuzz.blk));
	for (unsigned int i = 0; i < TURNS && loop_in_flight(fuzz.loop); i++)
		check(!loop_turn(fuzz.loop, true));
	check(!loop_in_flight(fuzz.loop));
	virtio_blk_destroy(fuzz.blk);
	virtio_blk_close(&fuzz.image);
	loop_destroy(fuzz.loop);
	fake_machine_destroy(fuzz.machine);
	return 0;
}
