/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/print.h"

#include "lib/cpu.h"

enum uart { THR = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };

#define LSR_THR_EMPTY 0x20
#define LCR_8N1	      0x03
#define FCR_ENABLE    0x07
#define MCR_DTR_RTS   0x03

/* A transmitter that stays full this long has nobody at its other end. */
#define TRANSMIT_POLLS 100000000

static struct spinlock line; /* protects COM1 and what follows */
static unsigned int verdicts, failures;

void serial_setup(void)
{
	outb(COM1 + LCR, LCR_8N1);
	outb(COM1 + IER, 0);
	outb(COM1 + FCR, FCR_ENABLE);
	outb(COM1 + MCR, MCR_DTR_RTS);
}

static void put(char c)
{
	for (unsigned int i = 0; i < TRANSMIT_POLLS && !(inb(COM1 + LSR) & LSR_THR_EMPTY); i++)
		cpu_relax();
	outb(COM1 + THR, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned int base, unsigned int width, char pad)
{
	char digits[24];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > n; width--)
		put(pad);
	while (n)
		put(digits[--n]);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

/* What follows a %: returns the character after it. */
static const char *put_field(const char *format, va_list *list)
{
	char pad = *format == '0' ? '0' : ' ';
	unsigned int width = 0;
	bool is_long = false;
	int64_t number;

	for (; *format >= '0' && *format <= '9'; format++)
		width = width * 10 + (unsigned int)(*format - '0');
	for (; *format == 'l' || *format == 'z'; format++)
		is_long = true;
	switch (*format) {
	case 'c':
		put((char)va_arg(*list, int));
		break;
	case 's':
		put_string(va_arg(*list, const char *));
		break;
	case 'd':
		number = is_long ? va_arg(*list, long) : va_arg(*list, int);
		if (number < 0)
			put('-');
		put_number((uint64_t)(number < 0 ? -number : number), 10, width, pad);
		break;
	case 'u':
	case 'x':
		number = is_long ? va_arg(*list, long) : (int64_t)va_arg(*list, unsigned int);
		put_number((uint64_t)number, *format == 'x' ? 16 : 10, width, pad);
		break;
	default:
		put(*format);
		break;
	}
	return format + 1;
}

static void put_format(const char *format, va_list *list)
{
	while (*format) {
		if (*format == '%') {
			format = put_field(format + 1, list);
		} else {
			if (*format == '\n')
				put('\r');
			put(*format++);
		}
	}
}

void print_list(const char *format, va_list list)
{
	va_list copy;

	va_copy(copy, list);
	spin_lock(&line);
	put_format(format, &copy);
	spin_unlock(&line);
	va_end(copy);
}

void print(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	print_list(format, list);
	va_end(list);
}

static bool verdict(bool ok, const char *format, va_list *list)
{
	spin_lock(&line);
	if (!ok) {
		failures++;
		put_string("not ");
	}
	put_string("ok ");
	put_number(++verdicts, 10, 0, ' ');
	put_string(" - ");
	put_format(format, list);
	put_string("\r\n");
	spin_unlock(&line);
	return ok;
}

bool check(bool ok, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	verdict(ok, format, &list);
	va_end(list);
	return ok;
}

bool check_equal(uint64_t got, uint64_t want, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	verdict(got == want, format, &list);
	va_end(list);
	if (got != want)
		print("#   got 0x%lx, expected 0x%lx\n", got, want);
	return got == want;
}

void check_skip(const char *name, const char *reason)
{
	check(true, "%s # SKIP %s", name, reason);
}

unsigned int checks_done(void)
{
	print("1..%u\n", verdicts);
	return failures ? EXIT_FAILED : 0;
}
