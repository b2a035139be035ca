/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single instructions: ports, MMIO, model-specific registers, barriers, locks.
 *
 * MMIO accesses are written out, so that each is one plain mov of the size that its name says.
 */
#ifndef BARE_CPU_H
#define BARE_CPU_H

#include "lib/base.h"

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void write8(uintptr_t at, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" : : "q"(value), "r"(at) : "memory");
}

static inline void write16(uintptr_t at, uint16_t value)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static inline void write32(uintptr_t at, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static inline void write64(uintptr_t at, uint64_t value)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static inline uint8_t read8(uintptr_t at)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=q"(value) : "r"(at) : "memory");
	return value;
}

static inline uint16_t read16(uintptr_t at)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline uint32_t read32(uintptr_t at)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline uint64_t read64(uintptr_t at)
{
	uint64_t value;

	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Lets through what is pending now. Two instructions: the first one after sti is still shielded. */
static inline void interrupt_window(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

static inline void halt(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

/* Orders everything before it against everything after it. */
static inline void barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

struct spinlock {
	bool held;
};

static inline void spin_lock(struct spinlock *lock)
{
	while (__atomic_test_and_set(&lock->held, __ATOMIC_ACQUIRE))
		cpu_relax();
}

static inline bool spin_try(struct spinlock *lock)
{
	return !__atomic_test_and_set(&lock->held, __ATOMIC_ACQUIRE);
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_clear(&lock->held, __ATOMIC_RELEASE);
}

#endif
