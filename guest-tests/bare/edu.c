/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The educational device, emulated or passed through: DMA, INTA# as a level, MSI. Nobody remaps
 * anything. The count of interrupts under load comes from the command line: rounds=N.
 */
#include "lib/edu.h"

#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/ioapic.h"
#include "lib/memory.h"
#include "lib/pci.h"
#include "lib/print.h"
#include "lib/smp.h"
#include "lib/time.h"
#include "lib/traps.h"

#define VECTOR	    0x50
#define MSI_ADDRESS 0xfee00000UL
#define MSI_ID_AT   12
#define SOON_US	    60000000 /* the host may be busy, and the clock wrong for that */
#define SETTLE_US   50000
#define PATTERN	    0x9e3779b97f4a7c15UL
#define ONE	    0x1
#define DMA_DONE    0x100

static struct edu edu;
static unsigned int pin, rounds;
static unsigned int let_pass; /* interrupts that the handler does not acknowledge */

/* How often the interrupt has come, when it had time to come more than @expected times. */
static uint64_t count_after(uint64_t expected)
{
	wait_trap(VECTOR, expected, SOON_US);
	listen_us(SETTLE_US);
	return trap_count(VECTOR);
}

static void handler(struct trap_frame *frame)
{
	(void)frame;
	if (let_pass)
		let_pass--;
	else
		edu_acknowledge(&edu);
	apic_eoi();
}

static void set_command(uint16_t bits)
{
	pci_write(edu.devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | bits);
}

static bool status_bit(void)
{
	return pci_read(edu.devfn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

/* --- DMA --- */

static void test_dma(void)
{
	uint64_t *from = pages(1), *to = pages(1);
	bool there, back;

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*from); i++)
		from[i] = i * PATTERN;
	there = edu_from_memory(&edu, (uintptr_t)from, 0, PAGE_SIZE);
	back = edu_to_memory(&edu, (uintptr_t)to, 0, PAGE_SIZE);
	check(there && back, "DMA: both transfers end");
	check(!memcmp(from, to, PAGE_SIZE), "DMA: what comes back is what went out");
	set_command(0);
	fill64(to, 0, PAGE_SIZE / 8);
	edu_to_memory(&edu, (uintptr_t)to, 0, PAGE_SIZE);
	check(all64(to, 0, PAGE_SIZE / 8), "DMA: none without bus mastering");
	set_command(PCI_COMMAND_MASTER);
}

/* --- INTA# --- */

static void open_pin(bool open)
{
	ioapic_set(pin, VECTOR | IOAPIC_LEVEL | (open ? 0 : IOAPIC_MASKED), apic_id());
}

static void test_line(void)
{
	trap_clear(VECTOR);
	open_pin(true);
	edu_raise(&edu, ONE);
	check_equal(count_after(1), 1, "INTA#: raised and acknowledged: one interrupt");
	check(!status_bit(), "INTA#: and no status bit");
	let_pass = 3;
	edu_raise(&edu, ONE);
	check_equal(count_after(5), 5, "INTA#: a level that stays comes again until it goes");
	open_pin(false);
	edu_raise(&edu, ONE);
	check_equal(count_after(5), 5, "INTA#: none while the input is masked");
	check(status_bit(), "INTA#: the status bit tells");
	open_pin(true);
	check_equal(count_after(6), 6, "INTA#: it comes with the mask gone");
}

static void test_line_disabled(void)
{
	trap_clear(VECTOR);
	set_command(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	edu_raise(&edu, ONE);
	check_equal(count_after(0), 0, "INTA#: none while the command register disables it");
	set_command(PCI_COMMAND_MASTER);
	check_equal(count_after(1), 1, "INTA#: it comes when that allows it again");
}

/* Raises @rounds times, each when the one before has come. */
static uint64_t hammer(void)
{
	trap_clear(VECTOR);
	for (unsigned int i = 1; i <= rounds; i++) {
		edu_raise(&edu, ONE);
		if (!wait_trap(VECTOR, i, SOON_US))
			break;
	}
	return count_after(rounds);
}

/* --- MSI --- */

static void test_message(void)
{
	uint64_t address = MSI_ADDRESS | (uint64_t)apic_id() << MSI_ID_AT;
	uint32_t *to = pages(1);

	trap_clear(VECTOR);
	edu_msi(&edu, address, VECTOR);
	edu_raise(&edu, ONE);
	check_equal(count_after(1), 1, "MSI: raised: one message");
	check_equal(hammer(), rounds, "MSI: one for each, %u times", rounds);
	write64(edu.registers + EDU_DMA_SOURCE, EDU_BUFFER);
	write64(edu.registers + EDU_DMA_DESTINATION, (uintptr_t)to);
	write64(edu.registers + EDU_DMA_COUNT, PAGE_SIZE);
	trap_set(VECTOR, NULL);
	trap_clear(VECTOR);
	write64(edu.registers + EDU_DMA_COMMAND, EDU_DMA_START | EDU_DMA_TO_MEMORY | EDU_DMA_IRQ);
	check_equal(count_after(1), 1, "MSI: at the end of a transfer");
	check_equal(read32(edu.registers + EDU_IRQ_STATUS), DMA_DONE, "MSI: the device says why");
	edu_acknowledge(&edu);
	set_command(0);
	edu_raise(&edu, ONE);
	check_equal(count_after(1), 1, "MSI: none without bus mastering, and no INTA# either");
	edu_acknowledge(&edu);
	set_command(PCI_COMMAND_MASTER);
	edu_msi_off(&edu);
	trap_set(VECTOR, handler);
}

unsigned int guest_main(void)
{
	smp_setup(false);
	if (!check(edu_open(&edu, 0), "the device is there"))
		return checks_done();
	rounds = (unsigned int)word_number("rounds", 200);
	pin = pci_read(edu.devfn, PCI_INTERRUPT_LINE, 1);
	write32(edu.registers + EDU_LIVENESS, 0x12345678);
	check_equal(read32(edu.registers + EDU_LIVENESS), ~0x12345678U, "its registers answer");
	check(pin < ioapic_inputs(), "INTA# has an input");
	test_dma();
	trap_set(VECTOR, handler);
	test_line();
	test_line_disabled();
	check_equal(hammer(), rounds, "INTA#: one for each, %u times", rounds);
	test_message();
	trap_clear(VECTOR);
	edu_raise(&edu, ONE);
	check_equal(count_after(1), 1, "INTA#: again, when MSI is off");
	return checks_done();
}
