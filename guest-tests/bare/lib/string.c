/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/base.h"

/* By words as far as possible: software virtualisation takes as long for a byte as for a word. */
void *memcpy(void *to, const void *from, size_t n)
{
	size_t words = n / 8, bytes = n % 8;
	void *at = to;

	__asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (t <= f || t >= f + n)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	uint64_t word = (uint8_t)byte * 0x0101010101010101UL;
	size_t words = n / 8, bytes = n % 8;
	void *at = to;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(word) : "memory");
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(word) : "memory");
	return to;
}

void fill64(void *to, uint64_t word, size_t words)
{
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(word) : "memory");
}

bool all64(const void *at, uint64_t word, size_t words)
{
	bool same;

	if (!words)
		return true;
	__asm__ volatile("repe scasq"
			 : "+D"(at), "+c"(words), "=@ccz"(same)
			 : "a"(word)
			 : "memory");
	return same;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++)
		if (*a != *b || !*a)
			return *a == *b ? 0 : *a - *b;
	return 0;
}

bool streq(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && !strncmp(a, b, strlen(a));
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

uint64_t parse_number(const char *s)
{
	int base = s[0] == '0' && s[1] == 'x' ? 16 : 10;
	uint64_t value = 0;

	if (base == 16)
		s += 2;
	for (; digit(*s) < base; s++)
		value = value * (unsigned int)base + (unsigned int)digit(*s);
	return value;
}
