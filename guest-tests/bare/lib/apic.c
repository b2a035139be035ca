/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/apic.h"

#include "lib/cpu.h"
#include "lib/traps.h"

#define APIC_BASE_MSR	 0x1b
#define APIC_BASE_X2APIC (1UL << 10)
#define APIC_BASE_ENABLE (1UL << 11)
#define APIC_MMIO	 0xfee00000UL
#define X2APIC_MSR	 0x800
#define SVR_ENABLE	 (1U << 8)

/* The 8259's mask registers: a PC may have one whose lines would come through LINT0. */
#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK	0xa1

/* All CPUs use the same mode. */
static bool x2apic_mode;

bool apic_has_x2apic(void)
{
	return cpuid(1, 0).ecx & 1U << 21;
}

uint32_t apic_read(enum apic_register reg)
{
	return x2apic_mode ? (uint32_t)rdmsr(X2APIC_MSR + (reg >> 4)) : read32(APIC_MMIO + reg);
}

void apic_write(enum apic_register reg, uint32_t value)
{
	if (x2apic_mode)
		wrmsr(X2APIC_MSR + (reg >> 4), value);
	else
		write32(APIC_MMIO + reg, value);
}

void apic_setup(bool x2apic)
{
	uint64_t base = rdmsr(APIC_BASE_MSR) | APIC_BASE_ENABLE;

	wrmsr(APIC_BASE_MSR, base);
	if (x2apic)
		wrmsr(APIC_BASE_MSR, base | APIC_BASE_X2APIC);
	x2apic_mode = x2apic;
	outb(PIC_MASTER_MASK, 0xff);
	outb(PIC_SLAVE_MASK, 0xff);
	apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_1);
}

uint32_t apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return x2apic_mode ? id : id >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_command(uint32_t to, uint32_t command)
{
	if (x2apic_mode) {
		/* No serialising instruction stands before: make earlier stores visible first. */
		barrier();
		wrmsr(X2APIC_MSR + (APIC_ICR >> 4), (uint64_t)to << 32 | command);
		return;
	}
	while (apic_read(APIC_ICR) & APIC_ICR_PENDING)
		cpu_relax();
	apic_write(APIC_ICR_HIGH, to << 24);
	apic_write(APIC_ICR, command);
}

bool apic_bit(enum apic_register reg, uint8_t vector)
{
	return apic_read(reg + vector / 32 * 0x10) & 1U << vector % 32;
}
