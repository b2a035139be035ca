/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/sdma.h"

#include "lib/cpu.h"
#include "lib/time.h"

#define EXTENDED_FIRST 0x100
#define EXTENDED_MAX   64 /* bound of the list */
#define ATS_CONTROL    6
#define ATS_ENABLE     0x8000
#define PRI_CONTROL    4
#define PRI_STATUS     6
#define PRI_CAPACITY   8
#define PRI_ALLOCATION 12
#define PRI_ENABLE     0x0001
#define PASID_CONTROL  6
#define PASID_ENABLE   0x0001
#define COMPLETION_US  2000000
#define INDEX_OFFSET   0x400
#define RECORDS_OFFSET 0x800

uintptr_t pci_extended(unsigned int devfn, uint16_t id)
{
	uintptr_t space = pci_ecam(devfn);
	unsigned int at = EXTENDED_FIRST;

	for (unsigned int i = 0; space && at && i < EXTENDED_MAX; i++) {
		uint32_t header = read32(space + at);

		if ((header & 0xffff) == id)
			return space + at;
		at = header >> 20;
	}
	return 0;
}

bool sdma_open(struct sdma *sdma, unsigned int devfn)
{
	int found = pci_find(devfn, SDMA_VENDOR, SDMA_DEVICE);

	if (found < 0)
		return false;
	sdma->devfn = (unsigned int)found;
	pci_write(sdma->devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	sdma->registers = pci_bar_map(sdma->devfn, SDMA_BAR_REGISTERS, SDMA_REGISTERS_SIZE);
	sdma->doorbells =
		pci_bar_map(sdma->devfn, SDMA_BAR_DOORBELLS, SDMA_QUEUES_MAX * SDMA_DOORBELL_SIZE);
	sdma->queues = read32(sdma->registers + SDMA_QUEUES);
	msix_open(&sdma->msix, sdma->devfn);
	sdma->ats = pci_extended(sdma->devfn, PCI_EXT_ATS);
	sdma->pri = pci_extended(sdma->devfn, PCI_EXT_PRI);
	sdma->pasid = pci_extended(sdma->devfn, PCI_EXT_PASID);
	sdma_enable(sdma, false, false, false);
	write32(sdma->registers + SDMA_CONTROL, SDMA_CONTROL_RESET);
	return true;
}

void sdma_enable(const struct sdma *sdma, bool pasid, bool ats, bool pri)
{
	/* PASID may not change while ATS is on (PCIe 5.0, 10.5.1.3). */
	if (sdma->pri)
		write16(sdma->pri + PRI_CONTROL, 0);
	if (sdma->ats)
		write16(sdma->ats + ATS_CONTROL, 0);
	if (sdma->pasid)
		write16(sdma->pasid + PASID_CONTROL, pasid ? PASID_ENABLE : 0);
	if (sdma->ats && ats)
		write16(sdma->ats + ATS_CONTROL, ATS_ENABLE);
	if (sdma->pri && pri) {
		write32(sdma->pri + PRI_ALLOCATION, read32(sdma->pri + PRI_CAPACITY));
		write16(sdma->pri + PRI_CONTROL, PRI_ENABLE);
	}
}

static uintptr_t queue_registers(const struct sdma_queue *queue)
{
	return queue->sdma->registers + SDMA_QUEUE_BASE + queue->number * SDMA_QUEUE_STRIDE;
}

void sdma_queue_start(struct sdma_queue *queue, const struct sdma *sdma, unsigned int number,
		      void *memory, uint64_t iova, uint32_t pasid)
{
	uintptr_t at;

	*queue = (struct sdma_queue){
		.sdma = sdma,
		.number = number,
		.ring = memory,
		.index = (void *)((uint8_t *)memory + INDEX_OFFSET),
		.completion = (void *)((uint8_t *)memory + RECORDS_OFFSET),
		.iova = iova,
	};
	memset(memory, 0, PAGE_SIZE);
	at = queue_registers(queue);
	sdma_queue_stop(queue);
	write32(at + SDMA_Q_PASID, pasid == UINT32_MAX ? 0 : pasid);
	write32(at + SDMA_Q_VECTOR, SDMA_NO_VECTOR);
	write64(at + SDMA_Q_RING, iova);
	write32(at + SDMA_Q_LOG2, SDMA_RING_LOG2);
	write64(at + SDMA_Q_INDEX, iova + INDEX_OFFSET);
	write32(at + SDMA_Q_CONTROL, SDMA_Q_ENABLE | (pasid == UINT32_MAX ? 0 : SDMA_Q_PASID_ON));
}

bool sdma_queue_stop(struct sdma_queue *queue)
{
	uint64_t until = time_us() + COMPLETION_US;

	write32(queue_registers(queue) + SDMA_Q_CONTROL, 0);
	while ((sdma_queue_state(queue) & SDMA_Q_STATE_MASK) != SDMA_Q_OFF)
		if (time_us() > until)
			return false;
	return true;
}

const volatile struct sdma_completion *sdma_submit(struct sdma_queue *queue,
						   const struct sdma_descriptor *descriptor)
{
	unsigned int place = queue->tail & ((1U << SDMA_RING_LOG2) - 1);
	struct sdma_descriptor copy = *descriptor;

	copy.completion = queue->iova + RECORDS_OFFSET + place * sizeof(struct sdma_completion);
	memset((void *)&queue->completion[place], 0, sizeof(queue->completion[place]));
	memcpy((void *)&queue->ring[place], &copy, sizeof(copy));
	barrier();
	queue->index->tail = ++queue->tail;
	barrier();
	write32(queue->sdma->doorbells + queue->number * SDMA_DOORBELL_SIZE, 1);
	return &queue->completion[place];
}

uint8_t sdma_wait(const volatile struct sdma_completion *completion)
{
	uint64_t until = time_us() + COMPLETION_US;

	while (completion->status == SDMA_PENDING && time_us() < until)
		cpu_relax();
	barrier();
	return completion->status;
}

uint8_t sdma_do(struct sdma_queue *queue, const struct sdma_descriptor *descriptor)
{
	return sdma_wait(sdma_submit(queue, descriptor));
}

uint32_t sdma_queue_state(const struct sdma_queue *queue)
{
	return read32(queue_registers(queue) + SDMA_Q_STATUS);
}

uint64_t sdma_queue_counter(const struct sdma_queue *queue, enum sdma_queue_register counter)
{
	return read64(queue_registers(queue) + counter);
}
