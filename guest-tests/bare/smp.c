/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Application processors: all that the MADT lists start, are who they should be, share memory and
 * reach each other by interrupts. apic=x2apic runs everything in that mode; cpus=N is how many to
 * expect.
 */
#include "lib/smp.h"
#include "lib/acpi.h"
#include "lib/apic.h"
#include "lib/boot.h"
#include "lib/cpu.h"
#include "lib/print.h"
#include "lib/time.h"
#include "lib/traps.h"

#define ADDITIONS      4096 /* of all CPUs together: more than that of them may share few real ones */
#define VECTOR_POKE    0x60
#define WAIT_US	       5000000
#define CPUID_TOPOLOGY 0xb

static uint64_t locked_sum;
static uint64_t guarded_sum;
static struct spinlock guard; /* protects guarded_sum */
static bool id_ok[SMP_CPUS_MAX];
static uint32_t poked[SMP_CPUS_MAX];
static bool ran[SMP_CPUS_MAX];
static uint32_t meeting;

static void add_up(unsigned int cpu)
{
	ran[cpu] = true;
	for (unsigned int i = 0; i < ADDITIONS / smp_cpus(); i++) {
		__atomic_fetch_add(&locked_sum, 1, __ATOMIC_ACQ_REL);
		spin_lock(&guard);
		guarded_sum++;
		spin_unlock(&guard);
	}
}

/* The id of the APIC, and what CPUID says of it. */
static void check_ids(unsigned int cpu)
{
	uint32_t id = apic_id();
	bool ok = (cpuid(1, 0).ebx >> 24) == (id & 0xff);

	if (cpuid(0, 0).eax >= CPUID_TOPOLOGY && cpuid(CPUID_TOPOLOGY, 0).ebx)
		ok = ok && cpuid(CPUID_TOPOLOGY, 0).edx == id;
	id_ok[cpu] = ok && id == smp_apic_id(cpu);
}

static void poke(struct trap_frame *frame)
{
	uint32_t id = apic_id();

	(void)frame;
	for (unsigned int cpu = 0; cpu < smp_cpus(); cpu++)
		if (smp_apic_id(cpu) == id)
			__atomic_fetch_add(&poked[cpu], 1, __ATOMIC_ACQ_REL);
	apic_eoi();
}

/* Waits until every CPU is here. Bound: WAIT_US. */
static void meet(void)
{
	uint64_t until = time_us() + WAIT_US;
	uint32_t all = smp_cpus();

	__atomic_fetch_add(&meeting, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&meeting, __ATOMIC_ACQUIRE) < all && time_us() < until)
		cpu_relax();
}

/* Each pokes the next one, and waits for the previous one's. */
static void poke_next(unsigned int cpu)
{
	uint64_t until = time_us() + WAIT_US;

	meet();
	apic_command(smp_apic_id((cpu + 1) % smp_cpus()), VECTOR_POKE | APIC_ICR_ASSERT);
	while (!__atomic_load_n(&poked[cpu], __ATOMIC_ACQUIRE) && time_us() < until)
		interrupt_window();
}

static unsigned int count_poked(uint32_t times)
{
	unsigned int n = 0;

	for (unsigned int cpu = 0; cpu < smp_cpus(); cpu++)
		n += __atomic_load_n(&poked[cpu], __ATOMIC_ACQUIRE) == times;
	return n;
}

static bool others_poked(const void *context)
{
	const uint32_t *times = context;

	return count_poked(*times) + 1 >= smp_cpus();
}

static void check_broadcast(void)
{
	uint32_t once = 1;

	memset(poked, 0, sizeof(poked));
	apic_command(0, VECTOR_POKE | APIC_ICR_ASSERT | APIC_ICR_TO_OTHERS);
	wait_until(others_poked, &once, WAIT_US);
	check_equal(count_poked(1), smp_cpus() - 1, "a broadcast reaches all others once");
	check_equal(poked[0], 0, "a broadcast to others does not reach its sender");
}

static void nmi(struct trap_frame *frame)
{
	uint32_t id = apic_id();

	(void)frame;
	for (unsigned int cpu = 0; cpu < smp_cpus(); cpu++)
		if (smp_apic_id(cpu) == id)
			__atomic_fetch_add(&poked[cpu], 1, __ATOMIC_ACQ_REL);
}

static void check_nmi(void)
{
	uint32_t once = 1;

	memset(poked, 0, sizeof(poked));
	trap_set(VECTOR_NMI, nmi);
	for (unsigned int cpu = 1; cpu < smp_cpus(); cpu++)
		apic_command(smp_apic_id(cpu), APIC_ICR_NMI | APIC_ICR_ASSERT);
	wait_until(others_poked, &once, WAIT_US);
	check_equal(count_poked(1), smp_cpus() - 1, "an NMI reaches each of the others");
}

static bool ids_are_those_of_madt(const struct acpi_machine *madt)
{
	unsigned int found = 0;

	for (unsigned int cpu = 0; cpu < smp_cpus(); cpu++)
		for (unsigned int i = 0; i < madt->cpus; i++)
			found += madt->apic_id[i] == smp_apic_id(cpu);
	return found == madt->cpus;
}

static unsigned int count(const bool *set)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < SMP_CPUS_MAX; i++)
		n += set[i];
	return n;
}

static void check_work(unsigned int cpus, const char *when)
{
	uint64_t sum = (uint64_t)ADDITIONS / cpus * cpus;

	locked_sum = guarded_sum = 0;
	memset(ran, 0, sizeof(ran));
	smp_run(add_up);
	check_equal(count(ran), cpus, "%s: every CPU works", when);
	check_equal(locked_sum, sum, "%s: locked additions are all there", when);
	check_equal(guarded_sum, sum, "%s: a spinlock excludes", when);
}

static void check_all(bool x2apic)
{
	struct acpi_machine madt;
	unsigned int cpus, wanted;

	smp_setup(x2apic);
	check(acpi_read_madt(&madt), "there is a MADT");
	wanted = (unsigned int)word_number("cpus", madt.cpus);
	check_equal(madt.cpus, wanted, "the MADT lists all CPUs");
	cpus = smp_start();
	check_equal(cpus, wanted, "all CPUs start");
	check(ids_are_those_of_madt(&madt), "APIC ids are those of the MADT");
	smp_run(check_ids);
	check_equal(count(id_ok), cpus, "CPUID and APIC agree about every id");
	check_work(cpus, "first start");
	trap_set(VECTOR_POKE, poke);
	smp_run(poke_next);
	check_equal(count_poked(1), cpus, "each CPU reaches the next one by an interrupt");
	if (cpus == 1)
		return;
	check_broadcast();
	check_nmi();
	check_equal(smp_restart(), cpus, "all CPUs start again after INIT");
	check_work(cpus, "second start");
}

unsigned int guest_main(void)
{
	bool x2apic = word_is("apic", "x2apic");

	if (x2apic && !apic_has_x2apic())
		check_skip("x2APIC mode", "this CPU has none");
	else
		check_all(x2apic);
	return checks_done();
}
