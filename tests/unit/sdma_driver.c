/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/sdma_driver.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/base.h"

static uint64_t bar_address(struct sdma_driver *driver, unsigned int bar)
{
	return pci_config_read(&driver->machine->host, driver->requester,
			       PCI_BASE_ADDRESS_0 + bar * 4, 4) &
	       ~0xfU;
}

void sdma_driver_probe(struct sdma_driver *driver, struct machine *machine, struct loop *loop,
		       uint16_t requester)
{
	*driver = (struct sdma_driver){ machine, loop, requester, 0, 0 };
	driver->registers = bar_address(driver, SDMA_BAR_REGISTERS);
	driver->doorbells = bar_address(driver, SDMA_BAR_DOORBELLS);
}

uint64_t sdma_driver_read(struct sdma_driver *driver, unsigned int offset, unsigned int size)
{
	return fake_read(driver->machine, driver->registers + offset, size);
}

void sdma_driver_write(struct sdma_driver *driver, unsigned int offset, unsigned int size,
		       uint64_t value)
{
	fake_write(driver->machine, driver->registers + offset, size, value);
}

static unsigned int find_capability(struct sdma_driver *driver, uint8_t id)
{
	struct pci_host *host = &driver->machine->host;
	unsigned int at = pci_config_read(host, driver->requester, PCI_CAPABILITY_LIST, 1);

	while (at && pci_config_read(host, driver->requester, at, 1) != id)
		at = pci_config_read(host, driver->requester, at + 1, 1);
	return at;
}

void sdma_driver_msix(struct sdma_driver *driver, unsigned int vectors)
{
	unsigned int cap = find_capability(driver, PCI_CAP_ID_MSIX);

	for (unsigned int i = 0; i < vectors; i++) {
		unsigned int entry = SDMA_MSIX_TABLE + i * PCI_MSIX_ENTRY_SIZE;

		sdma_driver_write(driver, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 8, 0xfee00000);
		sdma_driver_write(driver, entry + PCI_MSIX_ENTRY_DATA, 4, SDMA_DRIVER_MSI + i);
		sdma_driver_write(driver, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	}
	pci_config_write(&driver->machine->host, driver->requester, cap + PCI_MSIX_FLAGS, 2,
			 PCI_MSIX_FLAGS_ENABLE);
}

static unsigned int register_of(const struct sdma_ring *ring, unsigned int reg)
{
	return SDMA_QUEUE_BASE + ring->queue * SDMA_QUEUE_STRIDE + reg;
}

uint64_t sdma_ring_read(struct sdma_ring *ring, unsigned int reg, unsigned int size)
{
	return sdma_driver_read(ring->driver, register_of(ring, reg), size);
}

void sdma_ring_write(struct sdma_ring *ring, unsigned int reg, unsigned int size, uint64_t value)
{
	sdma_driver_write(ring->driver, register_of(ring, reg), size, value);
}

void sdma_ring_init(struct sdma_ring *ring, struct sdma_driver *driver, unsigned int queue,
		    unsigned int log2)
{
	ring->driver = driver;
	ring->queue = queue;
	ring->log2 = log2;
	ring->ring =
		fake_alloc(driver->machine, sizeof(struct sdma_descriptor) << log2, PAGE_SIZE_4K);
	ring->index = fake_alloc(driver->machine, PAGE_SIZE_4K, PAGE_SIZE_4K);
	sdma_ring_write(ring, SDMA_Q_RING, 8, ring->ring);
	sdma_ring_write(ring, SDMA_Q_LOG2, 4, log2);
	sdma_ring_write(ring, SDMA_Q_INDEX, 8, ring->index);
	sdma_ring_write(ring, SDMA_Q_VECTOR, 4, queue);
}

void sdma_ring_enable(struct sdma_ring *ring, uint32_t control)
{
	sdma_ring_write(ring, SDMA_Q_CONTROL, 4, control | SDMA_Q_ENABLE);
}

unsigned int sdma_ring_state(struct sdma_ring *ring)
{
	return (unsigned int)sdma_ring_read(ring, SDMA_Q_STATUS, 4) & SDMA_Q_STATE_MASK;
}

unsigned int sdma_ring_reason(struct sdma_ring *ring)
{
	return (unsigned int)sdma_ring_read(ring, SDMA_Q_STATUS, 4) >> SDMA_Q_REASON_SHIFT;
}

struct sdma_index *sdma_ring_index(struct sdma_ring *ring)
{
	return fake_ram(ring->driver->machine, ring->index);
}

void sdma_ring_put(struct sdma_ring *ring, const struct sdma_descriptor *descriptor)
{
	struct sdma_descriptor *slots = fake_ram(ring->driver->machine, ring->ring);
	struct sdma_index *index = sdma_ring_index(ring);

	slots[index->tail & ((1U << ring->log2) - 1)] = *descriptor;
	__atomic_store_n(&index->tail, index->tail + 1, __ATOMIC_RELEASE);
}

void sdma_ring_bell(struct sdma_ring *ring)
{
	fake_write(ring->driver->machine,
		   ring->driver->doorbells + ring->queue * SDMA_DOORBELL_SIZE, 4, 1);
}

void sdma_ring_submit(struct sdma_ring *ring, const struct sdma_descriptor *descriptor)
{
	sdma_ring_put(ring, descriptor);
	sdma_ring_bell(ring);
}

static bool has_completed(void *context)
{
	const struct sdma_completion *record = context;

	return __atomic_load_n(&record->status, __ATOMIC_ACQUIRE) != SDMA_PENDING;
}

uint8_t sdma_driver_wait(struct sdma_driver *driver, struct sdma_completion *record)
{
	fake_wait(driver->loop, has_completed, record);
	return __atomic_load_n(&record->status, __ATOMIC_ACQUIRE);
}

struct sdma_completion *sdma_ring_do(struct sdma_ring *ring,
				     const struct sdma_descriptor *descriptor)
{
	struct sdma_descriptor copy = *descriptor;
	struct sdma_completion *record;

	copy.completion = fake_alloc(ring->driver->machine, sizeof(*record), sizeof(*record));
	record = fake_ram(ring->driver->machine, copy.completion);
	sdma_ring_submit(ring, &copy);
	return sdma_driver_wait(ring->driver, record) == SDMA_PENDING ? NULL : record;
}
