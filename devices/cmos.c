/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/cmos.h"

#include <time.h>

#include "devices/base.h"
#include "devices/bus.h"

#define PORT_INDEX 0x70
#define PORTS	   2

enum cmos_register {
	RTC_SECONDS = 0x00,
	RTC_MINUTES = 0x02,
	RTC_HOURS = 0x04,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_STATUS_A = 0x0a,
	RTC_STATUS_B = 0x0b,
	RTC_STATUS_C = 0x0c,
	RTC_STATUS_D = 0x0d,
	CMOS_EXT_MEMORY = 0x34,	 /* 64 KiB units above 16 MiB */
	CMOS_HIGH_MEMORY = 0x5b, /* 64 KiB units above 4 GiB */
	RTC_CENTURY = 0x32,
};

#define STATUS_A_DIVIDER 0x26 /* 32.768 kHz, the rate that everybody expects */
#define STATUS_B_24H	 0x02
#define STATUS_B_BINARY	 0x04
#define STATUS_B_SET	 0x80
#define STATUS_D_VALID	 0x80

static uint8_t encode(const struct cmos *cmos, int value)
{
	if (cmos->memory[RTC_STATUS_B] & STATUS_B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct cmos *cmos, uint8_t value)
{
	if (cmos->memory[RTC_STATUS_B] & STATUS_B_BINARY)
		return value;
	return (value >> 4) * 10 + (value & 0xf);
}

/* Hours in 12-hour mode carry "afternoon" in bit 7. */
static uint8_t encode_hour(const struct cmos *cmos, int hour)
{
	uint8_t afternoon = hour >= 12 ? 0x80 : 0;

	if (cmos->memory[RTC_STATUS_B] & STATUS_B_24H)
		return encode(cmos, hour);
	return encode(cmos, hour % 12 ? hour % 12 : 12) | afternoon;
}

static int decode_hour(const struct cmos *cmos, uint8_t value)
{
	if (cmos->memory[RTC_STATUS_B] & STATUS_B_24H)
		return decode(cmos, value);
	return decode(cmos, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/*
 * Between seconds since 1970 and a date in the Gregorian calendar. The C library would do, but for
 * reading the host's time zone first, which the sandbox does not allow.
 *
 * Years that begin in March put the leap day last; 400 of them, an era, have 146097 days; 719468
 * days lie between 1 March of year 0 and 1 January 1970.
 */
struct date {
	int year, month, day, weekday, hour, minute, second;
};

static struct date date_of(int64_t seconds)
{
	int64_t days = seconds / 86400 - (seconds % 86400 < 0);
	int64_t rest = seconds - days * 86400;
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t doe = shifted - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t month = (5 * doy + 2) / 153;

	return (struct date){
		.year = (int)(yoe + era * 400 + (month >= 10)),
		.month = (int)(month < 10 ? month + 3 : month - 9),
		.day = (int)(doy - (153 * month + 2) / 5 + 1),
		.weekday = (int)(((days + 4) % 7 + 7) % 7),
		.hour = (int)(rest / 3600),
		.minute = (int)(rest / 60 % 60),
		.second = (int)(rest % 60),
	};
}

static int64_t seconds_of(const struct date *date)
{
	int64_t y = date->year - (date->month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (date->month + (date->month > 2 ? -3 : 9)) + 2) / 5 + date->day - 1;
	int64_t days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;

	return ((days * 24 + date->hour) * 60 + date->minute) * 60 + date->second;
}

/* Copies the clock into the registers, unless the guest is setting it. Lock held. */
static void latch_time(struct cmos *cmos)
{
	struct date now = date_of((int64_t)time(NULL) + cmos->offset);
	uint8_t *memory = cmos->memory;

	if (memory[RTC_STATUS_B] & STATUS_B_SET)
		return;
	memory[RTC_SECONDS] = encode(cmos, now.second);
	memory[RTC_MINUTES] = encode(cmos, now.minute);
	memory[RTC_HOURS] = encode_hour(cmos, now.hour);
	memory[RTC_WEEKDAY] = encode(cmos, now.weekday + 1);
	memory[RTC_DAY] = encode(cmos, now.day);
	memory[RTC_MONTH] = encode(cmos, now.month);
	memory[RTC_YEAR] = encode(cmos, now.year % 100);
	memory[RTC_CENTURY] = encode(cmos, now.year / 100 % 100);
}

/* The guest has finished setting the clock: remember how far it is from the host's. Lock held. */
static void commit_time(struct cmos *cmos)
{
	const uint8_t *memory = cmos->memory;
	struct date set = {
		.second = decode(cmos, memory[RTC_SECONDS]),
		.minute = decode(cmos, memory[RTC_MINUTES]),
		.hour = decode_hour(cmos, memory[RTC_HOURS]),
		.day = decode(cmos, memory[RTC_DAY]),
		.month = decode(cmos, memory[RTC_MONTH]),
		.year = decode(cmos, memory[RTC_CENTURY]) * 100 + decode(cmos, memory[RTC_YEAR]),
	};

	cmos->offset = seconds_of(&set) - (int64_t)time(NULL);
}

static void write_register(struct cmos *cmos, uint8_t value)
{
	uint8_t old_b = cmos->memory[RTC_STATUS_B];

	switch (cmos->index) {
	case RTC_STATUS_A:
		cmos->memory[RTC_STATUS_A] = value & 0x7f;
		break;
	case RTC_STATUS_B:
		if (value & STATUS_B_SET)
			latch_time(cmos);
		cmos->memory[RTC_STATUS_B] = value;
		if (old_b & STATUS_B_SET && !(value & STATUS_B_SET))
			commit_time(cmos);
		break;
	case RTC_STATUS_C:
	case RTC_STATUS_D:
		break;
	default:
		cmos->memory[cmos->index] = value;
		break;
	}
}

static void access_port(void *context, struct bus_access *access)
{
	struct cmos *cmos = context;

	if (access->size != 1)
		return;
	pthread_mutex_lock(&cmos->lock);
	if (access->offset == 0) {
		if (access->is_write)
			cmos->index = access->value & 0x7f;
	} else if (access->is_write) {
		write_register(cmos, (uint8_t)access->value);
	} else {
		latch_time(cmos);
		access->value = cmos->memory[cmos->index];
	}
	pthread_mutex_unlock(&cmos->lock);
}

int cmos_init(struct cmos *cmos, struct bus *pio, uint64_t low_ram, uint64_t high_ram)
{
	struct bus_region region = { .base = PORT_INDEX,
				     .size = PORTS,
				     .handler = access_port,
				     .context = cmos,
				     .name = "cmos" };
	uint64_t above_16m = low_ram > 16 * MIB ? (low_ram - 16 * MIB) / (64 * KIB) : 0;
	uint64_t above_4g = high_ram / (64 * KIB);

	memset(cmos, 0, sizeof(*cmos));
	pthread_mutex_init(&cmos->lock, NULL);
	cmos->memory[RTC_STATUS_A] = STATUS_A_DIVIDER;
	cmos->memory[RTC_STATUS_B] = STATUS_B_24H;
	cmos->memory[RTC_STATUS_D] = STATUS_D_VALID;
	store_le16(&cmos->memory[CMOS_EXT_MEMORY], (uint16_t)min_u64(above_16m, UINT16_MAX));
	store_le16(&cmos->memory[CMOS_HIGH_MEMORY], (uint16_t)above_4g);
	cmos->memory[CMOS_HIGH_MEMORY + 2] = (uint8_t)(above_4g >> 16);
	return bus_add(pio, &region);
}

void cmos_destroy(struct cmos *cmos)
{
	pthread_mutex_destroy(&cmos->lock);
}
