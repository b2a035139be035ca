/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/peripherals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/cmos.h"
#include "devices/edu.h"
#include "devices/log.h"
#include "devices/sdma.h"
#include "devices/serial.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"
#include "vmm/layout.h"
#include "vmm/passthrough.h"
#include "vmm/report.h"
#include "vmm/stream.h"
#include "vmm/vm.h"

/* How long a reset waits, at least, for requests that the host has not finished. */
#define RESET_MS 10000

/* What a host call has to say about what the user asked for. */
#define ERROR_SIZE 512

struct disk {
	struct virtio_blk_image image;
	struct virtio_blk *blk;
};

struct net {
	struct virtio_net_tap tap;
	struct virtio_net *net;
};

struct peripherals {
	struct machine *machine;
	struct stream serial_stream, console_stream;
	struct serial serial;
	struct cmos cmos;
	unsigned int disk_count;
	struct disk disk[CONFIG_DISKS];
	unsigned int net_count;
	struct net net[CONFIG_NETS];
	struct virtio_console *console;
	struct virtio_rng *rng;
	unsigned int sdma_count;
	struct sdma *sdma[CONFIG_SDMAS];
	unsigned int edu_count;
	struct edu *edu[CONFIG_EDUS];
	struct passthrough *passthrough; /* NULL: none */
	/* Every virtio device, for what is done to all alike. */
	unsigned int virtio_count;
	struct virtio_device *virtio[CONFIG_DISKS + CONFIG_NETS + 2];
};

/* A device's create() has failed: says so. Returns its error, from errno. */
static int not_made(const char *name)
{
	int rc = -errno;

	log_error(VMM, "%s: cannot be made: %s", name, strerror(-rc));
	return rc;
}

/* --- Disks --- */

static int disk_create(struct peripherals *p, unsigned int index)
{
	const struct disk_config *config = &p->machine->config->disk[index];
	struct virtio_blk_options options = { .path = config->path,
					      .fd = config->fd,
					      .readonly = config->readonly,
					      .direct = config->direct };
	struct disk *disk = &p->disk[index];
	char error[ERROR_SIZE] = "", name[24], serial[24];
	int rc = virtio_blk_open(&disk->image, &options, error, sizeof(error));

	if (rc) {
		log_error(BLK, "--disk: %s", error);
		return rc;
	}
	snprintf(name, sizeof(name), "disk%u", index);
	snprintf(serial, sizeof(serial), "nidus-%u", index);
	disk->blk = virtio_blk_create(&p->machine->pci, p->machine->loop, name, &disk->image,
				      config->queues, config->serial ? config->serial : serial);
	if (!disk->blk) {
		rc = not_made(name);
		virtio_blk_close(&disk->image);
		return rc;
	}
	p->virtio[p->virtio_count++] = virtio_blk_device(disk->blk);
	p->disk_count++;
	return 0;
}

/* --- Networks --- */

/*
 * The address of a card that the user gave none: locally administered, and the same for the same
 * tap and index, so that a guest keeps its configuration (FNV-1a, 64 bits).
 */
static void derive_mac(uint8_t mac[VIRTIO_NET_MAC], const char *name, unsigned int index)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	hash = (hash ^ index) * UINT64_C(0x100000001b3);
	memcpy(mac, "\x52\x54\x00", 3);
	for (unsigned int i = 3; i < VIRTIO_NET_MAC; i++, hash >>= 8)
		mac[i] = (uint8_t)hash;
}

static int net_create(struct peripherals *p, unsigned int index)
{
	const struct net_config *config = &p->machine->config->net[index];
	struct virtio_net_options options = { .tap = config->tap,
					      .fd = config->fd,
					      .pairs = config->queues,
					      .offload = config->offload };
	struct net *net = &p->net[index];
	char error[ERROR_SIZE] = "", name[24];
	uint8_t mac[VIRTIO_NET_MAC];
	int rc = virtio_net_open(&net->tap, &options, error, sizeof(error));

	if (rc) {
		log_error(NET, "--net: %s", error);
		return rc;
	}
	if (config->has_mac)
		memcpy(mac, config->mac, sizeof(mac));
	else
		derive_mac(mac, net->tap.name, index);
	snprintf(name, sizeof(name), "net%u", index);
	net->net = virtio_net_create(&p->machine->pci, p->machine->loop, name, &net->tap, mac);
	if (!net->net) {
		rc = not_made(name);
		virtio_net_close(&net->tap);
		return rc;
	}
	p->virtio[p->virtio_count++] = virtio_net_device(net->net);
	p->net_count++;
	return 0;
}

/* --- Console and entropy --- */

static int console_create(struct peripherals *p)
{
	if (!p->console_stream.chardev)
		return 0;
	p->console = virtio_console_create(&p->machine->pci, p->machine->loop, "console",
					   p->console_stream.chardev);
	if (!p->console)
		return not_made("console");
	p->virtio[p->virtio_count++] = virtio_console_device(p->console);
	return 0;
}

static int rng_create(struct peripherals *p)
{
	if (!p->machine->config->rng)
		return 0;
	p->rng = virtio_rng_create(&p->machine->pci, p->machine->loop, "rng");
	if (!p->rng)
		return not_made("rng");
	p->virtio[p->virtio_count++] = virtio_rng_device(p->rng);
	return 0;
}

/* --- DMA engines, and edu --- */

static int sdma_make(struct peripherals *p, unsigned int index)
{
	unsigned int queues = p->machine->config->sdma[index].queues;
	char name[24];

	snprintf(name, sizeof(name), "sdma%u", index);
	p->sdma[index] = sdma_create(&p->machine->pci, p->machine->loop, name, queues);
	if (!p->sdma[index])
		return not_made(name);
	p->sdma_count++;
	return 0;
}

/* Gives @edu the file at @path as its expansion ROM. */
static int load_rom(struct edu *edu, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc = fd < 0 ? -errno : 0;
	uint8_t *image = NULL;
	struct stat st = { 0 };

	if (!rc && fstat(fd, &st))
		rc = -errno;
	if (!rc) {
		image = malloc((size_t)st.st_size);
		rc = !image ? -ENOMEM
		     : pread(fd, image, (size_t)st.st_size, 0) != st.st_size
			     ? -EIO
			     : edu_set_rom(edu, image, (uint64_t)st.st_size);
	}
	free(image);
	if (fd >= 0)
		close(fd);
	if (rc)
		log_error(VMM, "%s: its ROM '%s': %s", edu_name(edu), path, strerror(-rc));
	return rc;
}

static int edu_make(struct peripherals *p, unsigned int index)
{
	unsigned int dma_mask = p->machine->config->edu[index].dma_mask;
	const char *rom = p->machine->config->edu[index].rom;
	char name[24];

	snprintf(name, sizeof(name), "edu%u", index);
	p->edu[index] = edu_create(&p->machine->pci, p->machine->loop, name, dma_mask);
	if (!p->edu[index])
		return not_made(name);
	p->edu_count++;
	return rom ? load_rom(p->edu[index], rom) : 0;
}

/* --- All of them --- */

static int create_platform(struct peripherals *p)
{
	struct machine *machine = p->machine;
	uint64_t high = machine->ram.count > 1 ? machine->ram.slot[1].size : 0;
	int rc = cmos_init(&p->cmos, &machine->pio, machine->ram.slot[0].size, high);

	if (rc)
		return rc;
	return serial_init(&p->serial, machine, &machine->pio, LAYOUT_COM1_BASE, LAYOUT_COM1_GSI,
			   p->serial_stream.chardev);
}

int peripherals_create(struct machine *machine)
{
	const struct vm_config *config = machine->config;
	struct peripherals *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->machine = machine;
	machine->peripherals = p;
	p->serial_stream.file = p->console_stream.file = -1;
	rc = stream_open(&p->serial_stream, machine, &config->serial);
	if (!rc)
		rc = stream_open(&p->console_stream, machine, &config->console);
	if (!rc)
		rc = create_platform(p);
	for (unsigned int i = 0; i < config->disk_count && !rc; i++)
		rc = disk_create(p, i);
	if (!rc)
		rc = passthrough_create(machine, &p->passthrough);
	for (unsigned int i = 0; i < config->net_count && !rc; i++)
		rc = net_create(p, i);
	if (!rc)
		rc = console_create(p);
	if (!rc)
		rc = rng_create(p);
	for (unsigned int i = 0; i < config->sdma_count && !rc; i++)
		rc = sdma_make(p, i);
	for (unsigned int i = 0; i < config->edu_count && !rc; i++)
		rc = edu_make(p, i);
	if (rc)
		peripherals_destroy(machine);
	return rc;
}

void peripherals_destroy(struct machine *machine)
{
	struct peripherals *p = machine->peripherals;

	while (p->edu_count-- > 0)
		edu_destroy(p->edu[p->edu_count]);
	while (p->sdma_count-- > 0)
		sdma_destroy(p->sdma[p->sdma_count]);
	if (p->rng)
		virtio_rng_destroy(p->rng);
	if (p->console)
		virtio_console_destroy(p->console);
	while (p->net_count-- > 0) {
		virtio_net_destroy(p->net[p->net_count].net);
		virtio_net_close(&p->net[p->net_count].tap);
	}
	passthrough_destroy(p->passthrough);
	while (p->disk_count-- > 0) {
		virtio_blk_destroy(p->disk[p->disk_count].blk);
		virtio_blk_close(&p->disk[p->disk_count].image);
	}
	stream_close(&p->console_stream);
	stream_close(&p->serial_stream);
	serial_destroy(&p->serial);
	cmos_destroy(&p->cmos);
	free(p);
	machine->peripherals = NULL;
}

void peripherals_quiesce(struct machine *machine)
{
	struct peripherals *p = machine->peripherals;

	for (unsigned int i = 0; i < p->virtio_count; i++)
		virtio_quiesce(p->virtio[i]);
	for (unsigned int i = 0; i < p->sdma_count; i++)
		sdma_quiesce(p->sdma[i]);
	for (unsigned int i = 0; i < p->edu_count; i++)
		edu_quiesce(p->edu[i]);
	passthrough_quiesce(p->passthrough);
	stream_finish(&p->serial_stream);
	stream_finish(&p->console_stream);
}

static bool all_reset(struct peripherals *p)
{
	for (unsigned int i = 0; i < p->virtio_count; i++)
		if (virtio_resetting(p->virtio[i]))
			return false;
	for (unsigned int i = 0; i < p->edu_count; i++)
		if (!edu_reset(p->edu[i]))
			return false;
	return true;
}

/* The RTC and its memory have a battery. */
int peripherals_reset(struct machine *machine)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	struct peripherals *p = machine->peripherals;

	for (unsigned int i = 0; i < p->virtio_count; i++)
		virtio_reset(p->virtio[i]);
	for (unsigned int i = 0; !all_reset(p); i++) {
		if (i == RESET_MS)
			return -ETIMEDOUT;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	serial_reset(&p->serial);
	return 0;
}

static void report_virtio(const struct virtio_device *device, struct report *report)
{
	struct virtio_counters counters = virtio_counters_read(device);

	report_open(report, "%s", device->name);
	report_number(report, "requests", counters.requests);
	report_number(report, "bytes_in", counters.bytes_in);
	report_number(report, "bytes_out", counters.bytes_out);
	report_number(report, "flushes", counters.flushes);
	report_number(report, "errors", counters.errors);
	report_number(report, "kicks", counters.kicks);
	report_number(report, "interrupts", counters.interrupts);
	report_close(report);
}

static void report_sdma(const struct sdma *sdma, struct report *report)
{
	struct sdma_counters counters = sdma_counters_read(sdma);

	report_open(report, "%s", sdma_name(sdma));
	for (unsigned int i = 0; i < SDMA_COUNTERS; i++)
		report_number(report, sdma_counter_names[i], counters.value[i]);
	report_close(report);
}

static void report_edu(struct edu *edu, struct report *report)
{
	struct edu_counters counters = edu_counters_read(edu);

	report_open(report, "%s", edu_name(edu));
	report_number(report, "factorials", counters.factorials);
	report_number(report, "transfers", counters.transfers);
	report_number(report, "bytes_in", counters.bytes_in);
	report_number(report, "bytes_out", counters.bytes_out);
	report_number(report, "errors", counters.errors);
	report_number(report, "interrupts", counters.interrupts);
	report_close(report);
}

void peripherals_report(const struct machine *machine, struct report *report)
{
	const struct peripherals *p = machine->peripherals;

	report_open(report, "serial");
	report_number(report, "out", p->serial.counters.out);
	report_number(report, "in", p->serial.counters.in);
	report_number(report, "dropped", p->serial.counters.dropped);
	report_close(report);
	for (unsigned int i = 0; i < p->virtio_count; i++)
		report_virtio(p->virtio[i], report);
	for (unsigned int i = 0; i < p->sdma_count; i++)
		report_sdma(p->sdma[i], report);
	for (unsigned int i = 0; i < p->edu_count; i++)
		report_edu(p->edu[i], report);
	passthrough_report(p->passthrough, report);
}
