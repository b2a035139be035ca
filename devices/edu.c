/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edu: registers in vCPU threads, work in the loop's thread; the lock is between them.
 */
#include "devices/edu.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/loop.h"
#include "devices/pci.h"
#include "devices/pci_msi.h"
#include "devices/pci_rom.h"

#define BAR_SIZE    MIB
#define CLASS_OTHER 0x00ff00

enum edu_register {
	EDU_ID = 0x00,
	EDU_LIVENESS = 0x04, /* reads as the complement of what was written */
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_INTERRUPT_STATUS = 0x24,
	EDU_INTERRUPT_RAISE = 0x60,
	EDU_INTERRUPT_ACK = 0x64,
	EDU_DMA = 0x80, /* from here on 8-byte accesses are allowed */
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_DESTINATION = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
};

#define ID		 0x010000ed
#define STATUS_COMPUTING 0x01
#define STATUS_INTERRUPT 0x80 /* raise FACTORIAL_DONE after the factorial */
#define FACTORIAL_DONE	 0x001
#define DMA_DONE	 0x100
#define DMA_START	 0x1
#define DMA_TO_MEMORY	 0x2
#define DMA_INTERRUPT	 0x4 /* raise DMA_DONE at the end */
#define DMA_COMMAND_BITS 0x7

#define BUFFER	    UINT64_C(0x40000) /* where transfers see the buffer */
#define BUFFER_SIZE 4096

struct edu_transfer {
	uint64_t source, destination, count;
	uint64_t command;
};

struct edu {
	struct pci_function pci;
	struct pci_msi msi;
	struct pci_rom rom;
	char name[32];
	struct loop *loop;
	struct loop_call work;
	uint64_t dma_mask;
	uint8_t buffer[BUFFER_SIZE]; /* the loop's thread */

	pthread_mutex_t lock; /* protects what follows; outside of those of MSI and INTA# */
	uint32_t liveness, factorial, status, interrupts;
	struct edu_transfer transfer;
	struct edu_counters counters;
	bool quiesced;
};

static struct edu *edu_of(struct pci_function *fn)
{
	return container_of(fn, struct edu, pci);
}

/* --- Interrupts; lock held --- */

static void update_intx(struct edu *edu)
{
	pci_set_intx(&edu->pci, edu->interrupts && !pci_msi_enabled(&edu->msi));
}

static void raise(struct edu *edu, uint32_t bits)
{
	edu->interrupts |= bits;
	if (edu->interrupts) {
		edu->counters.interrupts++;
		pci_msi_raise(&edu->pci, &edu->msi);
	}
	update_intx(edu);
}

static void acknowledge(struct edu *edu, uint32_t bits)
{
	edu->interrupts &= ~bits;
	update_intx(edu);
}

/* --- Work, in the loop's thread --- */

/* In 32 bits. From 34! on it is 0, and stays so: at most 33 turns until then. */
static uint32_t factorial(uint32_t n)
{
	uint32_t product = 1;

	for (; n && product; n--)
		product *= n;
	return product;
}

/* True if [address, address + count) can be reached by DMA. */
static bool reachable(const struct edu *edu, uint64_t address, uint64_t count)
{
	return address <= edu->dma_mask && count - 1 <= edu->dma_mask - address;
}

/* 0; -EINVAL for a transfer that leaves the buffer or the mask; -EFAULT. */
static int transfer(struct edu *edu, const struct edu_transfer *t)
{
	bool to_memory = t->command & DMA_TO_MEMORY;
	uint64_t device = to_memory ? t->source : t->destination;
	uint64_t memory = to_memory ? t->destination : t->source;

	if (device < BUFFER || !range_fits(device - BUFFER, t->count, BUFFER_SIZE) ||
	    (t->count && !reachable(edu, memory, t->count)))
		return -EINVAL;
	if (!pci_bus_master(&edu->pci))
		return -EFAULT;
	if (to_memory)
		return dma_write(&edu->pci.dma, memory, &edu->buffer[device - BUFFER], t->count);
	return dma_read(&edu->pci.dma, memory, &edu->buffer[device - BUFFER], t->count);
}

/* Lock held. */
static void transfer_done(struct edu *edu, int rc)
{
	struct edu_counters *counters = &edu->counters;
	uint64_t command = edu->transfer.command;

	if (rc)
		counters->errors++;
	else if (command & DMA_TO_MEMORY)
		counters->bytes_in += edu->transfer.count;
	else
		counters->bytes_out += edu->transfer.count;
	counters->transfers++;
	edu->transfer.command &= ~(uint64_t)DMA_START;
	if (command & DMA_INTERRUPT)
		raise(edu, DMA_DONE);
}

static void do_transfer(struct edu *edu)
{
	/* While it is on, the registers do not change. */
	int rc = transfer(edu, &edu->transfer);

	if (rc)
		log_guest(PCI, "%s: a transfer failed: %s", edu->name, strerror(-rc));
	pthread_mutex_lock(&edu->lock);
	transfer_done(edu, rc);
	pthread_mutex_unlock(&edu->lock);
}

/* Lock held. */
static void do_factorial(struct edu *edu)
{
	edu->factorial = factorial(edu->factorial);
	edu->status &= ~(uint32_t)STATUS_COMPUTING;
	edu->counters.factorials++;
	if (edu->status & STATUS_INTERRUPT)
		raise(edu, FACTORIAL_DONE);
}

static void work_run(struct loop_call *call)
{
	struct edu *edu = container_of(call, struct edu, work);
	bool start;

	pthread_mutex_lock(&edu->lock);
	if (edu->status & STATUS_COMPUTING && !edu->quiesced)
		do_factorial(edu);
	start = edu->transfer.command & DMA_START && !edu->quiesced;
	pthread_mutex_unlock(&edu->lock);
	if (start)
		do_transfer(edu);
}

/* --- Registers; lock held --- */

static uint64_t register_read(const struct edu *edu, uint64_t offset)
{
	switch (offset) {
	case EDU_ID:
		return ID;
	case EDU_LIVENESS:
		return edu->liveness;
	case EDU_FACTORIAL:
		return edu->factorial;
	case EDU_STATUS:
		return edu->status;
	case EDU_INTERRUPT_STATUS:
		return edu->interrupts;
	case EDU_DMA_SOURCE:
		return edu->transfer.source;
	case EDU_DMA_DESTINATION:
		return edu->transfer.destination;
	case EDU_DMA_COUNT:
		return edu->transfer.count;
	case EDU_DMA_COMMAND:
		return edu->transfer.command;
	default:
		return UINT64_MAX;
	}
}

static void dma_register_write(struct edu *edu, uint64_t offset, uint64_t value)
{
	struct edu_transfer *t = &edu->transfer;

	if (t->command & DMA_START)
		return;
	switch (offset) {
	case EDU_DMA_SOURCE:
		t->source = value;
		break;
	case EDU_DMA_DESTINATION:
		t->destination = value;
		break;
	case EDU_DMA_COUNT:
		t->count = value;
		break;
	case EDU_DMA_COMMAND:
		/* Without the start bit nothing is kept. */
		if (!(value & DMA_START))
			break;
		t->command = value & DMA_COMMAND_BITS;
		loop_post(edu->loop, &edu->work);
		break;
	}
}

static void register_write(struct edu *edu, uint64_t offset, uint64_t value)
{
	switch (offset) {
	case EDU_LIVENESS:
		edu->liveness = ~(uint32_t)value;
		break;
	case EDU_FACTORIAL:
		if (edu->status & STATUS_COMPUTING)
			break;
		edu->factorial = (uint32_t)value;
		edu->status |= STATUS_COMPUTING;
		loop_post(edu->loop, &edu->work);
		break;
	case EDU_STATUS:
		edu->status = (edu->status & ~(uint32_t)STATUS_INTERRUPT) |
			      ((uint32_t)value & STATUS_INTERRUPT);
		break;
	case EDU_INTERRUPT_RAISE:
		raise(edu, (uint32_t)value);
		break;
	case EDU_INTERRUPT_ACK:
		acknowledge(edu, (uint32_t)value);
		break;
	default:
		dma_register_write(edu, offset, value);
		break;
	}
}

/* 4 bytes below EDU_DMA, 4 or 8 from there on; others read as all ones and write nothing. */
static void bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access)
{
	struct edu *edu = edu_of(fn);

	(void)bar;
	if (access->size != 4 && !(access->size == 8 && access->offset >= EDU_DMA))
		return;
	pthread_mutex_lock(&edu->lock);
	if (access->is_write)
		register_write(edu, access->offset, access->value);
	else
		access->value = register_read(edu, access->offset);
	pthread_mutex_unlock(&edu->lock);
}

static void config_written(struct pci_function *fn, unsigned int offset, unsigned int size)
{
	struct edu *edu = edu_of(fn);

	if (pci_rom_concerned(offset, size))
		pci_rom_update(&edu->rom);
	pci_msi_written(fn, &edu->msi);
	pthread_mutex_lock(&edu->lock);
	update_intx(edu);
	pthread_mutex_unlock(&edu->lock);
}

static const struct pci_ops ops = { .config_written = config_written, .bar_access = bar_access };

/* --- Life --- */

struct edu *edu_create(struct pci_host *host, struct loop *loop, const char *name,
		       unsigned int dma_bits)
{
	static const struct pci_ids ids = { .vendor = EDU_VENDOR,
					    .device = EDU_DEVICE,
					    .subsystem_vendor = 0x1af4,
					    .subsystem = 0x1100,
					    .class_code = CLASS_OTHER,
					    .revision = 0x10 };
	struct edu *edu;
	int rc;

	if (dma_bits < 12 || dma_bits > 64) {
		errno = EINVAL;
		return NULL;
	}
	edu = calloc(1, sizeof(*edu));
	if (!edu)
		return NULL;
	snprintf(edu->name, sizeof(edu->name), "%s", name);
	edu->loop = loop;
	edu->work.run = work_run;
	edu->dma_mask = UINT64_MAX >> (64 - dma_bits);
	pthread_mutex_init(&edu->lock, NULL);
	pci_function_init(&edu->pci, edu->name, &ops, &ids, true);
	pci_add_bar(&edu->pci, 0, PCI_BAR_MEM32, BAR_SIZE, false);
	pci_add_msi(&edu->pci, &edu->msi);
	rc = pci_host_add(host, &edu->pci, -1);
	if (rc) {
		edu_destroy(edu);
		errno = -rc;
		return NULL;
	}
	return edu;
}

int edu_set_rom(struct edu *edu, const void *image, uint64_t size)
{
	int rc = pci_add_rom(&edu->pci, &edu->rom, size);

	if (!rc)
		memcpy(edu->rom.image, image, size);
	return rc;
}

bool edu_reset(struct edu *edu)
{
	bool idle;

	pthread_mutex_lock(&edu->lock);
	idle = !(edu->transfer.command & DMA_START) && !(edu->status & STATUS_COMPUTING);
	if (idle) {
		edu->liveness = edu->factorial = edu->status = 0;
		edu->transfer = (struct edu_transfer){ 0 };
		acknowledge(edu, UINT32_MAX);
		memset(edu->buffer, 0, sizeof(edu->buffer));
	}
	pthread_mutex_unlock(&edu->lock);
	store_le32(&edu->pci.config[PCI_ROM_ADDRESS], 0);
	pci_rom_update(&edu->rom);
	return idle;
}

void edu_quiesce(struct edu *edu)
{
	pthread_mutex_lock(&edu->lock);
	edu->quiesced = true;
	pthread_mutex_unlock(&edu->lock);
}

void edu_destroy(struct edu *edu)
{
	if (!edu)
		return;
	pci_function_destroy(&edu->pci);
	pci_msi_destroy(&edu->msi);
	pci_rom_destroy(&edu->rom);
	pthread_mutex_destroy(&edu->lock);
	free(edu);
}

const char *edu_name(const struct edu *edu)
{
	return edu->name;
}

struct edu_counters edu_counters_read(struct edu *edu)
{
	struct edu_counters counters;

	pthread_mutex_lock(&edu->lock);
	counters = edu->counters;
	pthread_mutex_unlock(&edu->lock);
	return counters;
}
