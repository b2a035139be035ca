/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C (Castagnoli; RFC 3720, B.4): eight bytes at a time, by eight tables.
 */
#include "devices/sdma_device.h"

#define POLYNOMIAL 0x82f63b78 /* reflected */

void sdma_crc_init(struct sdma_crc *crc)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint32_t value = i;

		for (unsigned int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
		crc->table[0][i] = value;
	}
	for (unsigned int i = 0; i < 256; i++)
		for (unsigned int slice = 1; slice < SDMA_CRC_SLICES; slice++)
			crc->table[slice][i] = crc->table[slice - 1][i] >> 8 ^
					       crc->table[0][crc->table[slice - 1][i] & 0xff];
}

uint32_t sdma_crc32c(const struct sdma_crc *crc, uint32_t value, const void *bytes, uint64_t len)
{
	const uint8_t *at = bytes;

	value = ~value;
	for (; len >= SDMA_CRC_SLICES; len -= SDMA_CRC_SLICES, at += SDMA_CRC_SLICES) {
		uint64_t word = load_le64(at) ^ value;

		value = 0;
		for (unsigned int i = 0; i < SDMA_CRC_SLICES; i++)
			value ^= crc->table[SDMA_CRC_SLICES - 1 - i][word >> 8 * i & 0xff];
	}
	for (; len; len--, at++)
		value = value >> 8 ^ crc->table[0][(value ^ *at) & 0xff];
	return ~value;
}
