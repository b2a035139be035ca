/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the benchmarked guest share.
 */
#ifndef NIDUS_BENCH_GUEST_H
#define NIDUS_BENCH_GUEST_H

#include <stdint.h>

/* The byte that says: /init runs. No firmware and no kernel prints it. */
#define GUEST_MARK '\x02'

/* A line to whoever reads the guest's COM1. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

void pause_ms(unsigned int ms);

/* The number behind NAME= on the kernel command line. */
uint64_t number_of(const char *name, uint64_t otherwise);

void bench_blk(void);
void bench_net(void);
void bench_dma(void);

#endif
