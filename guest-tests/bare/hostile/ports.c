/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All ports, in all sizes, single and in strings.
 */
#include "hostile/hostile.h"

#include "lib/print.h"

#define STRING_MAX  64
#define SLEEP_START 0x20
#define RESET_CPU   0xfe

static const uint16_t known[] = { 0x70,	 0x71, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe,
				  0x3ff, 0x64, 0x600, 0x601, 0xcf8, 0xcfc, 0xcfd, 0xcfe, 0xf4 };

static bool touches(uint16_t port, unsigned int size, unsigned int first, unsigned int count)
{
	return port < first + count && first < port + size;
}

/* May @value be written there without ending the VM? */
static bool is_deadly(uint16_t port, unsigned int size, uint32_t value)
{
	if (touches(port, size, 0xf4, 4))
		return true;
	if (touches(port, size, 0x600, 1))
		return value & SLEEP_START || size > 1 || port != 0x600;
	if (touches(port, size, 0x64, 1))
		return (value & 0xff) == RESET_CPU || port != 0x64;
	/* CONFIG_ADDRESS as a whole is not the reset register. */
	return touches(port, size, 0xcf9, 1) && !(port == PCI_CONFIG_ADDRESS && size == 4);
}

/* What would print, or lead where no rule reaches. */
static bool is_forbidden(uint16_t port, unsigned int size, uint32_t value)
{
	if (port == COM1 && size == 1)
		return value != '~';
	return port == PCI_CONFIG_ADDRESS && size == 4 &&
	       (is_config_window(value & 0xfc, 4) || is_bar(value & 0xfc, 4));
}

static uint16_t any_port(struct hammer *h)
{
	return once_in(h, 2) ? (uint16_t)random64(h) : known[below(h, ARRAY_SIZE(known))];
}

static uint32_t any_value(struct hammer *h, uint16_t port)
{
	if (port == PCI_CONFIG_ADDRESS && world.functions)
		return PCI_CONFIG_ENABLE |
		       (uint32_t)world.function[below(h, world.functions)] << 8 |
		       (uint32_t)below(h, 256);
	if (port == COM1 && once_in(h, 64))
		return '~';
	return once_in(h, 4) ? (uint32_t)below(h, 256) : (uint32_t)random64(h);
}

static void write_port(struct hammer *h, uint16_t port, unsigned int size)
{
	uint32_t value = any_value(h, port);

	if (is_forbidden(port, size, value) || (!world.deadly && is_deadly(port, size, value)))
		return;
	if (size == 1)
		outb(port, (uint8_t)value);
	else if (size == 2)
		outw(port, (uint16_t)value);
	else
		outl(port, value);
}

static void read_port(uint16_t port, unsigned int size)
{
	if (size == 1)
		inb(port);
	else if (size == 2)
		inw(port);
	else
		inl(port);
}

static void read_string(struct hammer *h, uint16_t port)
{
	uint8_t buffer[STRING_MAX * 4];
	uint64_t n = below(h, STRING_MAX + 1);
	void *to = buffer;

	if (once_in(h, 2))
		__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(port) : "memory");
	else
		__asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"(port) : "memory");
}

static void write_string(struct hammer *h, uint16_t port)
{
	uint8_t buffer[STRING_MAX * 2] = { 0 };
	uint64_t n = below(h, STRING_MAX + 1);
	const void *from = buffer;

	/* Zeroes do no harm anywhere but where configuration data goes. */
	if (touches(port, 2, PCI_CONFIG_ADDRESS, 8) || touches(port, 2, COM1, 1) ||
	    is_deadly(port, 2, 0))
		return;
	if (once_in(h, 2))
		__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(port) : "memory");
	else
		__asm__ volatile("rep outsw" : "+S"(from), "+c"(n) : "d"(port) : "memory");
}

void hammer_ports(struct hammer *h)
{
	uint16_t port = any_port(h);
	unsigned int size = 1U << below(h, 3);

	if (once_in(h, 16))
		read_string(h, port);
	else if (once_in(h, 16))
		write_string(h, port);
	else if (once_in(h, 3))
		read_port(port, size);
	else
		write_port(h, port, size);
}
