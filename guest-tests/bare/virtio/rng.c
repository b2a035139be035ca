/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-rng (virtio 1.2, 5.4), by polling, by MSI-X and by INTx.
 */
#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/ioapic.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"
#include "virtio/tests.h"

#define BYTES	     256
#define NO_INTERRUPT 0xfed00000 /* nothing is there */

static struct virtq vq;
static struct virtio *rng;

/* Gets up to BYTES bytes into @to; returns how many. */
static uint32_t get(uint8_t *to)
{
	struct buffer buffer = { to, BYTES, true };
	uint32_t len = 0;

	virtq_add(&vq, &buffer, 1);
	virtq_kick(&vq);
	return virtq_wait(&vq, &len) < 0 ? 0 : len;
}

static bool start(uint64_t features, uint16_t vector)
{
	bool ok = virtio_negotiate(rng, features) && virtq_setup(&vq, rng, 0, 8, vector);

	virtio_go(rng);
	return ok;
}

static void test_polling(uint8_t *bytes)
{
	uint32_t first, second;

	msix_enable(&rng->msix, false);
	check(start(0, VIRTIO_NO_VECTOR), "rng: starts");
	virtq_interrupts(&vq, false);
	first = get(bytes);
	second = get(bytes + BYTES);
	check(first > 0 && first <= BYTES, "rng: gives bytes");
	check(second > 0 && second <= BYTES, "rng: gives more bytes");
	check(memcmp(bytes, bytes + BYTES, min_u64(first, second)), "rng: and others each time");
}

static void test_msix(uint8_t *bytes)
{
	check(start(VIRTIO_F_EVENT_IDX, 0), "rng: starts with event indices");
	msix_set(&rng->msix, 0, apic_id(), VECTOR_QUEUE);
	msix_enable(&rng->msix, true);
	virtq_interrupts(&vq, true);
	trap_clear(VECTOR_QUEUE);
	check(get(bytes) > 0, "rng: gives bytes with MSI-X");
	check(wait_trap(VECTOR_QUEUE, 1, INTERRUPT_US), "rng: raises its vector");
	msix_mask(&rng->msix, 0, true);
	virtq_interrupts(&vq, true);
	trap_clear(VECTOR_QUEUE);
	get(bytes);
	listen_us(10000);
	check_equal(trap_count(VECTOR_QUEUE), 0, "rng: a masked vector is silent");
	check(msix_is_pending(&rng->msix, 0), "rng: and pending");
	msix_mask(&rng->msix, 0, false);
	check(wait_trap(VECTOR_QUEUE, 1, INTERRUPT_US), "rng: and is raised when it is unmasked");
	check(!msix_is_pending(&rng->msix, 0), "rng: and no longer pending");
	/* Of an entry that is let through: where no interrupts are, and back. */
	write32(rng->msix.table, NO_INTERRUPT);
	virtq_interrupts(&vq, true);
	trap_clear(VECTOR_QUEUE);
	get(bytes);
	listen_us(10000);
	check_equal(trap_count(VECTOR_QUEUE), 0, "rng: a message to elsewhere is no interrupt");
	msix_set(&rng->msix, 0, apic_id(), VECTOR_QUEUE);
	virtq_interrupts(&vq, true);
	get(bytes);
	check(wait_trap(VECTOR_QUEUE, 1, INTERRUPT_US), "rng: and to the right place it is again");
	msix_enable(&rng->msix, false);
}

static void acknowledge(struct trap_frame *frame)
{
	(void)frame;
	read8(rng->isr);
	apic_eoi();
}

static void test_intx(uint8_t *bytes)
{
	uint32_t line = pci_read(rng->devfn, PCI_INTERRUPT_LINE, 1);

	if (!ioapic_present() || line >= ioapic_inputs()) {
		check_skip("rng: INTx", "no IOAPIC input for it");
		return;
	}
	if (word_number("software", 0)) {
		check_skip("rng: INTx",
			   "this /dev/kvm is software: it repeats level-triggered interrupts");
		return;
	}
	trap_set(VECTOR_INTX, acknowledge);
	trap_clear(VECTOR_INTX);
	ioapic_set(line, VECTOR_INTX | IOAPIC_LEVEL, apic_id());
	start(0, VIRTIO_NO_VECTOR);
	virtq_interrupts(&vq, true);
	check(get(bytes) > 0, "rng: gives bytes with INTx");
	check(wait_trap(VECTOR_INTX, 1, INTERRUPT_US), "rng: raises INTx");
	listen_us(10000);
	check_equal(trap_count(VECTOR_INTX), 1, "rng: a read of ISR lowers the line");
	check(!(pci_read(rng->devfn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT),
	      "rng: and the status bit");
	pci_write(rng->devfn, PCI_COMMAND, 2,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	get(bytes);
	listen_us(10000);
	check_equal(trap_count(VECTOR_INTX), 1, "rng: INTx can be disabled");
	check(pci_read(rng->devfn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
	      "rng: its status bit shows it nevertheless");
	pci_write(rng->devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	check(wait_trap(VECTOR_INTX, 2, INTERRUPT_US), "rng: and comes when it is enabled");
	ioapic_set(line, IOAPIC_MASKED, 0);
	trap_set(VECTOR_INTX, NULL);
}

void test_rng(struct virtio *device)
{
	uint8_t *bytes = pages(1);

	rng = device;
	test_polling(bytes);
	test_msix(bytes);
	test_intx(bytes);
	check(virtio_reset(rng), "rng: reset at the end");
}
