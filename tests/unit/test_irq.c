/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt messages and routes with a remapping unit in between, against a KVM that only records:
 * what it is given, when, and what happens when it refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "devices/base.h"
#include "viommu/invalidate.h"
#include "viommu/unit.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

#define MEMORY	0x10000
#define TABLE	0x1000
#define DEVICE	0x0008 /* behind the unit */
#define ANOTHER 0x0010 /* behind none */

static struct machine *machine;
static struct vtd_unit *unit;
static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static struct machine_route_watch listener;

/* What KVM was given. */
static struct {
	struct kvm_irq_routing_entry route[IRQ_ROUTES];
	unsigned int routes;
	unsigned int tables, irqfds, signals;
	struct kvm_msi last;
	int refuse;	/* errno of the next tables; 0: they are taken */
	bool racing;	/* signals come from several threads, and are only looked at */
	uint32_t floor; /* then: none may come with a lower vector; atomic */
	int handle;	/* was it live while KVM took the table? */
	bool live;
	bool assigned[IRQ_ROUTES]; /* eventfds that it has */
	int refuse_irqfd;	   /* errno of the next ones to assign; 0: they are taken */
	bool missed;		   /* an eventfd was assigned without its route, or outlived it */
	unsigned int told;	   /* how often somebody was to listen */
} kvm;

static bool has_route(unsigned int gsi)
{
	for (unsigned int i = 0; i < kvm.routes; i++)
		if (kvm.route[i].gsi == gsi)
			return true;
	return false;
}

/* What is signalled while KVM has the eventfd and no route is dropped: never, once a route is set.
 */
static int set_irqfd(const struct kvm_irqfd *irqfd)
{
	bool off = irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN;

	kvm.irqfds++;
	assert_int_equal(kvm.assigned[irqfd->gsi], off);
	if (!off && kvm.refuse_irqfd) {
		errno = kvm.refuse_irqfd;
		return -1;
	}
	if (machine->routes.route[irqfd->gsi].valid && !off)
		kvm.missed |= !has_route(irqfd->gsi);
	kvm.assigned[irqfd->gsi] = !off;
	return 0;
}

static void tell(struct machine_route_watch *watch)
{
	(void)watch;
	kvm.told++;
	/* Routes may be set from here on: no lock of theirs is held. */
	assert_int_equal(pthread_mutex_trylock(&machine->routes.lock), 0);
	pthread_mutex_unlock(&machine->routes.lock);
}

/* Instead of the C library's: no other is called in this program. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	const void *argument;

	va_start(args, request);
	argument = va_arg(args, const void *);
	va_end(args);
	assert_int_equal(fd, 77);
	if (request == KVM_SET_GSI_ROUTING) {
		const struct kvm_irq_routing *table = argument;

		kvm.tables++;
		if (kvm.handle)
			kvm.live = machine_msi_route_live(machine, kvm.handle);
		if (kvm.refuse) {
			errno = kvm.refuse;
			return -1;
		}
		kvm.routes = table->nr;
		memcpy(kvm.route, table->entries, table->nr * sizeof(table->entries[0]));
		for (unsigned int gsi = IRQ_PINS; gsi < IRQ_ROUTES && !kvm.racing; gsi++)
			kvm.missed |= kvm.assigned[gsi] && machine->routes.route[gsi].valid &&
				      !has_route(gsi);
	} else if (request == KVM_SIGNAL_MSI && kvm.racing) {
		const struct kvm_msi *msi = argument;

		sched_yield(); /* long enough under way to be overtaken */
		if (msi->data < __atomic_load_n(&kvm.floor, __ATOMIC_ACQUIRE))
			abort();
	} else if (request == KVM_SIGNAL_MSI) {
		kvm.signals++;
		memcpy(&kvm.last, argument, sizeof(kvm.last));
	} else {
		assert_int_equal(request, KVM_IRQFD);
		return set_irqfd(argument);
	}
	return 0;
}

static void *memory_ptr(void *context, uint64_t gpa, uint64_t len)
{
	(void)context;
	return range_fits(gpa, len, MEMORY) ? memory + gpa : NULL;
}

static void send_msi(void *context, uint64_t address, uint32_t data)
{
	irq_send_unmapped(context, address, data);
}

static void interrupts_changed(void *context, unsigned int first, unsigned int count)
{
	(void)first;
	(void)count;
	irq_remapping_changed(context, unit);
}

static int setup(void **state)
{
	static const struct vtd_memory_ops memory_ops = { memory_ptr };
	static const struct vtd_machine_ops machine_ops = { send_msi, interrupts_changed };
	struct vtd_config config;

	(void)state;
	memset(&kvm, 0, sizeof(kvm));
	memset(memory, 0, sizeof(memory));
	machine = calloc(1, sizeof(*machine));
	if (!machine || irq_init(machine))
		return -1;
	machine->vm = 77;
	listener.released = tell;
	machine_watch_msi_routes(machine, &listener);
	vtd_config_init(&config);
	unit = vtd_create(&config, &memory_ops, NULL, &machine_ops, machine);
	if (!unit)
		return -1;
	unit->ecap |= VTD_ECAP_IR | VTD_ECAP_EIM;
	machine->vtd_of[DEVICE] = unit;
	machine->vtd_of[IOAPIC_REQUESTER] = unit;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vtd_destroy(unit);
	irq_destroy(machine);
	free(machine);
	return 0;
}

/* What the guest does: IRE, and an entry with its invalidation. */
static void enable(void)
{
	pthread_mutex_lock(&unit->lock);
	vtd_ir_set_table(unit, TABLE | VTD_IRTA_EIME | 7);
	vtd_ir_enable(unit, true);
	pthread_mutex_unlock(&unit->lock);
}

static void set_entry(unsigned int index, uint64_t low)
{
	memcpy(memory + TABLE + 16 * (size_t)index, &low, sizeof(low));
	pthread_mutex_lock(&unit->lock);
	vtd_ir_invalidate(unit, index, 0);
	pthread_mutex_unlock(&unit->lock);
}

static uint64_t entry(unsigned int vector, uint32_t destination)
{
	return VTD_IRTE0_P | vtd_put(vector, VTD_IRTE0_V) | vtd_put(destination, VTD_IRTE0_DST);
}

static const struct msi_message plain = { 0xfee01000, 0x41 };
static const struct msi_message third = { 0xfee00070, 0 }; /* index 3 */

static int add(uint16_t requester)
{
	int handle = machine_add_msi_route(machine, requester, 5);

	assert_true(handle >= IRQ_PINS);
	return handle;
}

/* What KVM knows of a route, or NULL. */
static const struct kvm_irq_routing_msi *known(int handle)
{
	for (unsigned int i = 0; i < kvm.routes; i++)
		if (kvm.route[i].gsi == (unsigned int)handle)
			return &kvm.route[i].u.msi;
	return NULL;
}

static void check_route(int handle, uint64_t address, uint32_t data)
{
	const struct kvm_irq_routing_msi *msi = known(handle);

	assert_non_null(msi);
	assert_int_equal(msi->address_lo | (uint64_t)msi->address_hi << 32, address);
	assert_int_equal(msi->data, data);
	assert_true(machine_msi_route_live(machine, handle));
	assert_int_equal(kvm.assigned[handle], handle >= IRQ_PINS);
	assert_false(kvm.missed);
}

static void check_blocked(int handle)
{
	assert_null(known(handle));
	assert_false(machine_msi_route_live(machine, handle));
}

/* --- Routes --- */

static void test_without_remapping(void **state)
{
	int handle = add(DEVICE), other = add(ANOTHER);

	(void)state;
	assert_int_equal(machine_set_msi_route(machine, handle, &plain), 0);
	check_route(handle, plain.address, plain.data);
	check_blocked(other);
	assert_int_equal(kvm.tables, 1);
	/* The same again is no news. */
	assert_int_equal(machine_set_msi_route(machine, handle, &plain), 0);
	assert_int_equal(kvm.tables, 1);
	assert_int_equal(machine_set_msi_route(machine, handle, NULL), 0);
	check_blocked(handle);
	assert_int_equal(kvm.tables, 2);
	assert_int_equal(machine_set_msi_route(machine, 3, &plain), -EINVAL);
	assert_int_equal(machine_set_msi_route(machine, IRQ_ROUTES, &plain), -EINVAL);
}

/* Guests may write any address; what is not an interrupt never reaches KVM. */
static void test_not_interrupts(void **state)
{
	static const uint64_t address[] = {
		0,	   0xfedfffff, 0xfef00000, UINT64_C(0x1fee00000), UINT64_C(0x100fee00000),
		UINT64_MAX
	};
	int handle = add(ANOTHER), mapped = add(DEVICE);

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(address); i++) {
		const struct msi_message message = { address[i], 0x41 };

		assert_int_equal(machine_set_msi_route(machine, handle, &message), 0);
		assert_int_equal(machine_set_msi_route(machine, mapped, &message), 0);
		check_blocked(handle);
		check_blocked(mapped);
		machine_send_msi(machine, ANOTHER, &message);
		machine_send_msi(machine, DEVICE, &message);
	}
	assert_int_equal(kvm.signals, 0);
}

static void test_routes_follow_entries(void **state)
{
	int handle = add(DEVICE), other = add(ANOTHER);

	(void)state;
	machine_set_msi_route(machine, handle, &plain);
	machine_set_msi_route(machine, other, &plain);
	/* Enabled, compatibility format is blocked for those behind the unit. */
	enable();
	check_blocked(handle);
	check_route(other, plain.address, plain.data);
	/* The route is set before its entry is. */
	assert_int_equal(machine_set_msi_route(machine, handle, &third), 0);
	check_blocked(handle);
	set_entry(3, entry(0x31, 2));
	check_route(handle, 0xfee02000, 0x31);
	set_entry(3, entry(0x32, 0x1234));
	check_route(handle, UINT64_C(0x1200fee34000), 0x32);
	set_entry(3, 0);
	check_blocked(handle);
	set_entry(3, entry(0x33, 0xffffff));
	check_route(handle, UINT64_C(0xffff00feeff000), 0x33);
	/* Others' entries are no news, nor is an invalidation that changes nothing. */
	kvm.tables = 0;
	set_entry(4, entry(0x55, 1));
	set_entry(3, entry(0x33, 0xffffff));
	assert_int_equal(kvm.tables, 0);
	vtd_reset(unit);
	check_route(handle, third.address, third.data);
	check_route(other, plain.address, plain.data);
}

/* A device that sees a live route writes its eventfd: KVM must know the route by then. */
static void test_live_after_known(void **state)
{
	int handle = add(DEVICE);

	(void)state;
	enable();
	kvm.handle = handle;
	kvm.live = true;
	machine_set_msi_route(machine, handle, &third);
	set_entry(3, entry(0x31, 2));
	assert_false(kvm.live);
	check_route(handle, 0xfee02000, 0x31);
	kvm.live = true;
	set_entry(3, 0);
	assert_false(kvm.live);
	check_blocked(handle);
}

static void test_refused_tables(void **state)
{
	int handle = add(DEVICE), other = add(ANOTHER);

	(void)state;
	enable();
	set_entry(3, entry(0x31, 2));
	machine_set_msi_route(machine, handle, &third);
	machine_set_msi_route(machine, other, &plain);
	kvm.refuse = ENOMEM;
	set_entry(3, entry(0x32, 2));
	/* KVM has the old message: nobody may use it, no device that does not ask either, and
	 * nobody else is concerned. */
	assert_false(machine_msi_route_live(machine, handle));
	assert_false(kvm.assigned[handle]);
	assert_int_equal(kvm.told, 1);
	check_route(other, plain.address, plain.data);
	/* The next one that it takes has everything. */
	kvm.refuse = 0;
	set_entry(9, entry(0x99, 9));
	check_route(handle, 0xfee02000, 0x32);
	/* A route that is refused when it is set is as good as none. */
	kvm.refuse = EINVAL;
	assert_int_equal(machine_set_msi_route(machine, other, &third), -EINVAL);
	assert_false(machine_msi_route_live(machine, other));
	assert_false(kvm.assigned[other]);
	assert_int_equal(kvm.told, 2);
	kvm.refuse = 0;
	assert_int_equal(machine_set_msi_route(machine, handle, &third), 0);
	check_blocked(other);
	check_route(handle, 0xfee02000, 0x32);
	assert_int_equal(machine_set_msi_route(machine, other, &plain), 0);
	check_route(other, plain.address, plain.data);
}

/* --- Eventfds of routes --- */

/* What is blocked is not KVM's to drain; what never is costs nothing. */
static void check_released(int handle, unsigned int irqfds, unsigned int told)
{
	check_blocked(handle);
	assert_false(kvm.assigned[handle]);
	assert_false(machine_msi_route_assigned(machine, handle));
	assert_false(kvm.missed);
	assert_int_equal(kvm.irqfds, irqfds);
	assert_int_equal(kvm.told, told);
}

static void test_eventfds(void **state)
{
	int handle = add(DEVICE), other = add(ANOTHER), unset = add(DEVICE);

	(void)state;
	kvm.irqfds = 0;
	set_entry(3, entry(0x31, 2));
	machine_set_msi_route(machine, other, &plain);
	enable();
	for (unsigned int i = 0; i < 4; i++) {
		machine_set_msi_route(machine, handle, &third);
		set_entry(3, entry(0x31 + i, 2));
		machine_set_msi_route(machine, handle, NULL);
	}
	machine_set_msi_route(machine, handle, &third);
	/* Nothing was blocked so far. */
	assert_int_equal(kvm.irqfds, 0);
	assert_int_equal(kvm.told, 0);
	/* By an invalidation. */
	set_entry(3, 0);
	check_released(handle, 1, 1);
	set_entry(3, 0);
	check_released(handle, 1, 1);
	set_entry(3, entry(0x31, 2));
	check_route(handle, 0xfee02000, 0x31);
	assert_int_equal(kvm.irqfds, 2);
	/* By another request, which changes KVM's table; and by one that does not. */
	machine_set_msi_route(machine, handle, &plain);
	check_released(handle, 3, 2);
	machine_set_msi_route(machine, handle, NULL);
	check_released(handle, 3, 2);
	machine_set_msi_route(machine, handle, &third);
	check_route(handle, 0xfee02000, 0x31);
	machine_set_msi_route(machine, handle, NULL);
	kvm.tables = 0;
	machine_set_msi_route(machine, handle, &plain);
	assert_int_equal(kvm.tables, 0);
	check_released(handle, 5, 3);
	/* Nobody else was concerned. */
	assert_true(kvm.assigned[unset]);
	check_route(other, plain.address, plain.data);
}

/* KVM is out of memory: the route is not live, and is tried again. */
static void test_refused_eventfds(void **state)
{
	int handle = add(DEVICE);

	(void)state;
	enable();
	machine_set_msi_route(machine, handle, &third);
	kvm.irqfds = 0;
	kvm.refuse_irqfd = ENOMEM;
	set_entry(3, entry(0x31, 2));
	assert_non_null(known(handle));
	assert_false(machine_msi_route_live(machine, handle));
	assert_false(machine_msi_route_assigned(machine, handle));
	assert_int_equal(kvm.irqfds, 1);
	machine_set_msi_route(machine, handle, &third);
	assert_int_equal(kvm.irqfds, 2);
	assert_false(machine_msi_route_live(machine, handle));
	kvm.refuse_irqfd = 0;
	kvm.tables = 0;
	machine_set_msi_route(machine, handle, &third);
	assert_int_equal(kvm.tables, 0);
	check_route(handle, 0xfee02000, 0x31);
	kvm.refuse_irqfd = ENOMEM;
	assert_int_equal(machine_add_msi_route(machine, DEVICE, 6), -ENOMEM);
}

/* KVM derives from the pins' routes which ends of interrupts it reports: by remapped vectors. */
static void test_pins(void **state)
{
	const struct msi_message level = { 0xfee00070, 0xc017 };

	(void)state;
	enable();
	set_entry(3, entry(0x42, 1) | VTD_IRTE0_TM);
	assert_int_equal(irq_set_route(machine, 17, &level), 0);
	check_route(17, 0xfee01000, 0xc042);
	set_entry(3, entry(0x43, 1) | VTD_IRTE0_TM);
	check_route(17, 0xfee01000, 0xc043);
}

static void test_no_routes_left(void **state)
{
	(void)state;
	for (unsigned int i = IRQ_PINS; i < IRQ_ROUTES; i++)
		assert_int_equal(add(DEVICE), i);
	assert_int_equal(machine_add_msi_route(machine, DEVICE, 5), -ENOSPC);
	/* All at once, as after a change of the table. */
	for (int i = IRQ_PINS; i < IRQ_ROUTES; i++)
		machine_set_msi_route(machine, i, &third);
	assert_int_equal(kvm.routes, IRQ_ROUTES - IRQ_PINS);
	memcpy(memory + TABLE + 48, &(uint64_t){ entry(0x31, 7) }, 8);
	kvm.tables = 0;
	enable();
	assert_int_equal(kvm.tables, 1);
	for (int i = IRQ_PINS; i < IRQ_ROUTES; i++)
		check_route(i, 0xfee07000, 0x31);
}

/* --- The IOAPIC --- */

#define PIN 17

static void ioapic_write(uint32_t offset, uint32_t value)
{
	bus_write(&machine->mmio, LAYOUT_IOAPIC_BASE + offset, &value, sizeof(value));
}

static bool remote_irr(void)
{
	uint32_t value = 0;

	ioapic_write(0, 0x10 + PIN * 2);
	bus_read(&machine->mmio, LAYOUT_IOAPIC_BASE + 0x10, &value, sizeof(value));
	return value & 1 << 14;
}

/* A level-triggered entry in remappable format, index 3. */
static void start_ioapic(uint8_t vector)
{
	bus_init(&machine->mmio);
	assert_int_equal(ioapic_init(machine), 0);
	enable();
	ioapic_write(0, 0x10 + PIN * 2 + 1);
	ioapic_write(0x10, 0x00070000);
	ioapic_write(0, 0x10 + PIN * 2);
	ioapic_write(0x10, 0x8000 | vector);
}

static void stop_ioapic(void)
{
	ioapic_destroy(machine);
	bus_destroy(&machine->mmio);
}

/* Linux: the input's number for a vector, an edge-triggered entry, the EOI register at the end. */
static void test_ioapic_of_linux(void **state)
{
	(void)state;
	start_ioapic(PIN);
	set_entry(3, entry(0x42, 0x100));
	ioapic_set(machine, PIN, true);
	assert_int_equal(kvm.signals, 1);
	assert_int_equal(kvm.last.address_hi, 0x100);
	assert_int_equal(kvm.last.data, 0x42);
	assert_true(remote_irr());
	ioapic_eoi(machine, 0x42);
	assert_true(remote_irr());
	assert_int_equal(kvm.signals, 1);
	ioapic_set(machine, PIN, false);
	ioapic_write(0x40, PIN);
	assert_false(remote_irr());
	assert_int_equal(kvm.signals, 1);
	stop_ioapic();
}

/* Others: one vector in both places, level-triggered in both; KVM reports its end. */
static void test_ioapic_by_vector(void **state)
{
	(void)state;
	start_ioapic(0x42);
	set_entry(3, entry(0x42, 1) | VTD_IRTE0_TM);
	check_route(PIN, 0xfee01000, 0xc042);
	ioapic_set(machine, PIN, true);
	assert_int_equal(kvm.last.data, 0xc042);
	assert_true(remote_irr());
	ioapic_eoi(machine, 0x42);
	assert_int_equal(kvm.signals, 2); /* the line is still high */
	ioapic_set(machine, PIN, false);
	ioapic_eoi(machine, 0x42);
	assert_false(remote_irr());
	stop_ioapic();
}

/* --- Single messages --- */

static void test_single_messages(void **state)
{
	(void)state;
	enable();
	set_entry(3, entry(0x31, 0x101));
	machine_send_msi(machine, ANOTHER, &plain);
	assert_int_equal(kvm.signals, 1);
	assert_int_equal(kvm.last.address_lo, plain.address);
	machine_send_msi(machine, DEVICE, &third);
	assert_int_equal(kvm.signals, 2);
	assert_int_equal(kvm.last.address_hi, 0x100);
	assert_int_equal(kvm.last.address_lo, 0xfee01000);
	assert_int_equal(kvm.last.data, 0x31);
	assert_int_equal(vtd_counter(unit, VTD_COUNT_INTERRUPTS), 1);
	/* Blocked ones go nowhere. */
	machine_send_msi(machine, DEVICE, &plain);
	set_entry(3, 0);
	machine_send_msi(machine, DEVICE, &third);
	assert_int_equal(kvm.signals, 2);
	/* Sources on other buses are behind no unit. */
	machine_send_msi(machine, 0x100 + DEVICE, &plain);
	assert_int_equal(kvm.signals, 3);
}

/* The unit's own messages, with x2APIC ids, are not remapped; nor do they go just anywhere. */
static void test_own_messages(void **state)
{
	(void)state;
	enable();
	irq_send_unmapped(machine, UINT64_C(0x1200fee34000), 0x51);
	assert_int_equal(kvm.signals, 1);
	assert_int_equal(kvm.last.address_hi, 0x1200);
	assert_int_equal(kvm.last.address_lo, 0xfee34000);
	assert_int_equal(kvm.last.data, 0x51);
	irq_send_unmapped(machine, 0, 0x51);
	irq_send_unmapped(machine, UINT64_C(0x1200fed00000), 0x51);
	assert_int_equal(kvm.signals, 1);
}

/* --- Threads --- */

#define SENDERS 2

static bool stop;

static void *sender(void *context)
{
	(void)context;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		machine_send_msi(machine, DEVICE, &third);
	return NULL;
}

static void *setter(void *context)
{
	int handle = *(int *)context;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		machine_set_msi_route(machine, handle, &third);
		machine_set_msi_route(machine, handle, NULL);
	}
	return NULL;
}

/* An entry changes while others send by it: once its invalidation is complete, no message is that
 * of before; and the routes agree in the end. */
static void test_invalidation_waits(void **state)
{
	pthread_t thread[SENDERS + 1];
	int handle = add(DEVICE), changing = add(DEVICE);
	uint16_t source;

	(void)state;
	enable();
	set_entry(3, entry(0x20, 1));
	machine_set_msi_route(machine, handle, &third);
	kvm.racing = true;
	stop = false;
	for (unsigned int i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sender, NULL), 0);
	assert_int_equal(pthread_create(&thread[SENDERS], NULL, setter, &changing), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		uint32_t vector = 0x20 + i / 16;
		uint64_t low = entry(vector, 1);

		__atomic_store_n((uint64_t *)(void *)(memory + TABLE + 48), low, __ATOMIC_RELEASE);
		pthread_mutex_lock(&unit->lock);
		vtd_ir_invalidate(unit, 3, 0);
		assert_int_equal(vtd_invalidate_finish(unit, &source), 0);
		pthread_mutex_unlock(&unit->lock);
		__atomic_store_n(&kvm.floor, vector, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i <= SENDERS; i++)
		pthread_join(thread[i], NULL);
	check_route(handle, 0xfee01000, 0x20 + 1999 / 16);
	assert_null(known(changing));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_remapping),
		TEST(test_not_interrupts),
		TEST(test_routes_follow_entries),
		TEST(test_live_after_known),
		TEST(test_refused_tables),
		TEST(test_pins),
		TEST(test_eventfds),
		TEST(test_refused_eventfds),
		TEST(test_no_routes_left),
		TEST(test_ioapic_of_linux),
		TEST(test_ioapic_by_vector),
		TEST(test_single_messages),
		TEST(test_own_messages),
		TEST(test_invalidation_waits),
	};

	return cmocka_run_group_tests_name("irq", tests, NULL, NULL);
}
