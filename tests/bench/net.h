/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What both ends of the network benchmark agree on. The addresses exist in a network namespace of
 * the benchmark's own only. The first byte of a connection says what it is for.
 */
#ifndef NIDUS_BENCH_NET_H
#define NIDUS_BENCH_NET_H

#define NET_HOST  "192.0.2.1"
#define NET_GUEST "192.0.2.2"
#define NET_MASK  "255.255.255.0"
#define NET_PORT  4000
#define NET_CHUNK (64 * 1024)

#define NET_ECHO   'e' /* every byte comes back */
#define NET_SINK   's' /* the host reads */
#define NET_SOURCE 'r' /* the host writes */

#endif
