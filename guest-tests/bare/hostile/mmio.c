/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Physical addresses that are not RAM: BARs, windows, IOAPIC, holes.
 */
#include "hostile/hostile.h"

#include "lib/memory.h"

#define WINDOW	      0xc0000000UL
#define WINDOW_SIZE   0x20000000UL
#define BELOW_LAPIC   0xfed00000UL
#define IOAPIC_WINDOW 0x10
#define STRING_WORDS  16

static void access(uint64_t at, unsigned int size, bool is_write, uint64_t value)
{
	switch (size) {
	case 1:
		is_write ? write8(at, (uint8_t)value) : (void)read8(at);
		break;
	case 2:
		is_write ? write16(at, (uint16_t)value) : (void)read16(at);
		break;
	case 4:
		is_write ? write32(at, (uint32_t)value) : (void)read32(at);
		break;
	default:
		is_write ? write64(at, value) : (void)read64(at);
		break;
	}
}

/* An address in or near a BAR as it was at first. */
static uint64_t bar_address(struct hammer *h)
{
	const struct target *target = &world.target[below(h, world.targets)];
	uint64_t base = once_in(h, 3) ? target->msix_page : target->common_page;

	return base + below(h, once_in(h, 2) ? 64 : 4 * PAGE_SIZE);
}

static uint64_t any_address(struct hammer *h)
{
	if (world.targets && !once_in(h, 3))
		return bar_address(h);
	switch (below(h, 5)) {
	case 0:
		return WINDOW + below(h, WINDOW_SIZE);
	case 1:
		return BELOW_LAPIC + below(h, 0x200000 - 8);
	case 2:
		/* Just behind low RAM, if that is not the window. */
		return world.low_end + below(h, MIB);
	case 3:
		return world.high_end + below(h, GIB);
	default:
		return world.far + below(h, GIB);
	}
}

/* The local APIC is KVM's; what is written there would reset CPUs. */
static bool is_lapic(uint64_t at, unsigned int size)
{
	return at + size > 0xfee00000 && at < 0xfef00000;
}

static void string_read(uint64_t at)
{
	uint32_t buffer[STRING_WORDS];
	uint64_t n = STRING_WORDS;
	void *to = buffer;

	__asm__ volatile("rep movsl" : "+D"(to), "+S"(at), "+c"(n) : : "memory");
}

static void hammer_ioapic(struct hammer *h)
{
	uint64_t offset = once_in(h, 2) ? below(h, 2) * IOAPIC_WINDOW : below(h, PAGE_SIZE - 8);
	unsigned int size = 1U << below(h, 4);

	if (once_in(h, 3))
		access(world.ioapic + offset, size, false, 0);
	else if (offset <= 3 || offset == 0x40)
		access(world.ioapic + offset, size, true, below(h, 0x50));
	else if (size >= 4 || offset > IOAPIC_WINDOW + 8)
		access(world.ioapic + offset, size, true, safe_message(h));
}

void hammer_mmio(struct hammer *h)
{
	unsigned int size = 1U << below(h, 4);
	uint64_t at;

	if (world.ioapic && once_in(h, 8)) {
		hammer_ioapic(h);
		return;
	}
	at = any_address(h);
	if (once_in(h, 2))
		at = align_down(at, size);
	if (is_lapic(at, 64) ||
	    (world.ioapic && at + 64 > world.ioapic && at < world.ioapic + PAGE_SIZE))
		return;
	if (once_in(h, 16))
		string_read(at);
	else
		access(at, size, !once_in(h, 3), safe_mmio_value(h, at, size));
}
