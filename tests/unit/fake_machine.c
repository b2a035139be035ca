/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine without KVM, for tests of devices.
 */
#include "tests/unit/fake_machine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/base.h"

void machine_set_irq(struct machine *machine, unsigned int gsi, bool level)
{
	pthread_mutex_lock(&machine->lock);
	machine->irq[gsi] = level;
	pthread_mutex_unlock(&machine->lock);
}

static void record(struct machine *machine, const struct msi_message *msi)
{
	if (machine->msi_count < FAKE_MSIS)
		machine->msi[machine->msi_count++] = *msi;
}

void machine_send_msi(struct machine *machine, uint16_t requester, const struct msi_message *msi)
{
	(void)requester;
	pthread_mutex_lock(&machine->lock);
	machine->sent_by_hand++;
	record(machine, msi);
	pthread_mutex_unlock(&machine->lock);
}

int machine_add_msi_route(struct machine *machine, uint16_t requester, int eventfd)
{
	(void)requester;
	if (machine->no_routes || machine->route_count == FAKE_ROUTES)
		return -ENOSPC;
	machine->route[machine->route_count].eventfd = eventfd;
	machine->route[machine->route_count].assigned = true;
	return (int)machine->route_count++;
}

/* --- Routes: what KVM and vmm/irq.c are together --- */

static bool is_open(const struct machine *machine, const struct fake_route *route)
{
	return route->enabled && !machine->routes_blocked &&
	       (!machine->blocked_data || route->message.data != machine->blocked_data);
}

/* KVM drains the eventfds that it has, and drops what is for nobody. Lock held. */
static void collect(struct machine *machine)
{
	for (unsigned int i = 0; i < machine->route_count; i++) {
		struct fake_route *route = &machine->route[i];
		uint64_t count;

		if (!route->assigned || read(route->eventfd, &count, sizeof(count)) < 0)
			continue;
		while (route->enabled && count--)
			record(machine, &route->message);
	}
}

/* An eventfd goes to KVM or is taken from it. True if it was taken. Lock held. */
static bool assign(struct machine *machine, struct fake_route *route)
{
	bool before = route->assigned;

	if (is_open(machine, route))
		route->assigned = !machine->no_irqfds || before;
	else if (route->enabled)
		route->assigned = false;
	machine->irqfds += route->assigned != before;
	return before && !route->assigned;
}

static void tell(struct machine *machine)
{
	for (struct machine_route_watch *watch = machine->watches; watch; watch = watch->next)
		watch->released(watch);
}

int machine_set_msi_route(struct machine *machine, int handle, const struct msi_message *msi)
{
	struct fake_route *route = &machine->route[handle];
	bool released;

	pthread_mutex_lock(&machine->lock);
	collect(machine);
	route->enabled = msi && !machine->no_tables;
	if (msi)
		route->message = *msi;
	released = assign(machine, route);
	if (machine->no_tables) {
		released |= route->assigned;
		route->assigned = false;
	}
	pthread_mutex_unlock(&machine->lock);
	if (released)
		tell(machine);
	return machine->no_tables ? -ENOMEM : 0;
}

void machine_watch_msi_routes(struct machine *machine, struct machine_route_watch *watch)
{
	watch->next = machine->watches;
	machine->watches = watch;
}

void fake_block_routes(struct machine *machine, bool blocked)
{
	bool released = false;

	pthread_mutex_lock(&machine->lock);
	collect(machine);
	machine->routes_blocked = blocked;
	for (unsigned int i = 0; i < machine->route_count; i++)
		released |= assign(machine, &machine->route[i]);
	pthread_mutex_unlock(&machine->lock);
	if (released)
		tell(machine);
}

bool machine_msi_route_live(struct machine *machine, int handle)
{
	const struct fake_route *route = &machine->route[handle];
	bool live;

	pthread_mutex_lock(&machine->lock);
	live = is_open(machine, route) && route->assigned;
	pthread_mutex_unlock(&machine->lock);
	return live;
}

bool machine_msi_route_assigned(struct machine *machine, int handle)
{
	bool assigned;

	pthread_mutex_lock(&machine->lock);
	assigned = machine->route[handle].assigned;
	pthread_mutex_unlock(&machine->lock);
	return assigned;
}

int machine_set_doorbell(struct machine *machine, uint64_t address, unsigned int size, int eventfd,
			 bool on)
{
	(void)size;
	if (machine->no_doorbells || (on && machine->bell_count == FAKE_BELLS))
		return -ENOSPC;
	if (on) {
		machine->bell[machine->bell_count++] = (struct fake_bell){ address, eventfd };
		return 0;
	}
	for (unsigned int i = 0; i < machine->bell_count; i++) {
		if (machine->bell[i].address != address || machine->bell[i].eventfd != eventfd)
			continue;
		machine->bell[i] = machine->bell[--machine->bell_count];
		return 0;
	}
	return -ENOENT;
}

static struct fake_map *find_map(struct machine *machine, uint64_t address, uint64_t size)
{
	for (unsigned int i = 0; i < machine->map_count; i++)
		if (ranges_overlap(machine->map[i].address, machine->map[i].size, address, size))
			return &machine->map[i];
	return NULL;
}

int machine_map_device(struct machine *machine, uint64_t address, uint64_t size, void *host,
		       bool on)
{
	struct fake_map *map;
	int rc = 0;

	if (address % PAGE_SIZE_4K || size % PAGE_SIZE_4K || (uintptr_t)host % PAGE_SIZE_4K)
		abort();
	pthread_mutex_lock(&machine->lock);
	map = find_map(machine, address, size);
	if (on && map)
		rc = -EEXIST;
	else if (on && (machine->no_maps || machine->map_count == FAKE_MAPS))
		rc = -ENOSPC;
	else if (on)
		machine->map[machine->map_count++] = (struct fake_map){ address, size, host };
	else if (map && map->address == address && map->size == size)
		*map = machine->map[--machine->map_count];
	else
		abort();
	pthread_mutex_unlock(&machine->lock);
	return rc;
}

int machine_watch_eoi(struct machine *machine, unsigned int gsi, int eventfd)
{
	if (machine->watch_count == FAKE_WATCHES)
		return -ENOSPC;
	machine->watch[machine->watch_count++] = (struct fake_watch){ gsi, eventfd };
	return 0;
}

void fake_eoi(struct machine *machine, unsigned int gsi)
{
	uint64_t one = 1;

	for (unsigned int i = 0; i < machine->watch_count; i++) {
		if (machine->watch[i].gsi != gsi)
			continue;
		machine_set_irq(machine, gsi, false);
		if (write(machine->watch[i].eventfd, &one, sizeof(one)) < 0)
			abort();
	}
}

void machine_end(struct machine *machine, enum machine_end reason, unsigned int status)
{
	(void)status;
	machine->end = reason;
}

static uint8_t *map_ram(uint64_t size)
{
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (host == MAP_FAILED)
		abort();
	return host;
}

struct machine *fake_machine_create(void)
{
	static const struct pci_windows windows = {
		.ecam_base = 0xe0000000,
		.mem32_base = 0xf0000000,
		.mem32_size = 0x1000000,
		.mem64_base = 0x8000000000,
		.mem64_size = 0x1000000000,
		.io_base = 0xc000,
		.io_size = 0x1000,
		.gsi_base = 16,
		.gsi_count = 8,
	};
	struct machine *machine = calloc(1, sizeof(*machine));

	if (!machine)
		abort();
	pthread_mutex_init(&machine->lock, NULL);
	bus_init(&machine->mmio);
	bus_init(&machine->pio);
	machine->ram = (struct ram){
		.count = 2,
		.slot = { { 0, FAKE_RAM_LOW, map_ram(FAKE_RAM_LOW) },
			  { FAKE_RAM_HIGH, FAKE_RAM_MORE, map_ram(FAKE_RAM_MORE) } },
	};
	machine->next = 0x1000;
	if (pci_host_init(&machine->host, machine, &machine->ram, &machine->mmio, &machine->pio,
			  &windows))
		abort();
	return machine;
}

void fake_machine_destroy(struct machine *machine)
{
	pci_host_destroy(&machine->host);
	bus_destroy(&machine->mmio);
	bus_destroy(&machine->pio);
	for (unsigned int i = 0; i < machine->ram.count; i++)
		munmap(machine->ram.slot[i].host, machine->ram.slot[i].size);
	pthread_mutex_destroy(&machine->lock);
	free(machine);
}

void *fake_ram(struct machine *machine, uint64_t gpa)
{
	void *host = ram_ptr(&machine->ram, gpa, 1);

	if (!host)
		abort();
	return host;
}

uint64_t fake_alloc(struct machine *machine, uint64_t size, uint64_t align)
{
	uint64_t at = align_up(machine->next, align);

	if (!range_fits(at, size, FAKE_RAM_LOW))
		abort();
	machine->next = at + size;
	memset(fake_ram(machine, at), 0, size);
	return at;
}

/* Where a device's memory is mapped at @address, or NULL. */
static uint8_t *device_memory(struct machine *machine, uint64_t address, unsigned int size)
{
	uint8_t *host = NULL;
	struct fake_map *map;

	pthread_mutex_lock(&machine->lock);
	map = find_map(machine, address, size);
	if (map)
		host = map->host + (address - map->address);
	pthread_mutex_unlock(&machine->lock);
	return host;
}

void fake_write(struct machine *machine, uint64_t address, unsigned int size, uint64_t value)
{
	uint8_t *memory = device_memory(machine, address, size);
	uint64_t one = 1;

	for (unsigned int i = 0; i < machine->bell_count; i++) {
		if (machine->bell[i].address != address)
			continue;
		if (write(machine->bell[i].eventfd, &one, sizeof(one)) < 0)
			abort();
		return;
	}
	value = htole64(value);
	if (memory)
		memcpy(memory, &value, size);
	else
		bus_write(&machine->mmio, address, &value, size);
}

uint64_t fake_read(struct machine *machine, uint64_t address, unsigned int size)
{
	const uint8_t *memory = device_memory(machine, address, size);
	uint64_t value = 0;

	if (memory)
		memcpy(&value, memory, size);
	else
		bus_read(&machine->mmio, address, &value, size);
	return le64toh(value);
}

unsigned int fake_take_msis(struct machine *machine, uint32_t data)
{
	unsigned int taken = 0, kept = 0;

	pthread_mutex_lock(&machine->lock);
	collect(machine);
	for (unsigned int i = 0; i < machine->msi_count; i++) {
		if (machine->msi[i].data == data)
			taken++;
		else
			machine->msi[kept++] = machine->msi[i];
	}
	machine->msi_count = kept;
	pthread_mutex_unlock(&machine->lock);
	return taken;
}

static void turn(struct loop *loop)
{
	if (loop && loop_turn(loop, false))
		abort();
}

void fake_settle(struct loop *loop)
{
	for (unsigned int i = 0; i < 30; i++) {
		turn(loop);
		if (i > 10)
			poll(NULL, 0, 1);
	}
}

bool fake_wait(struct loop *loop, bool (*done)(void *context), void *context)
{
	for (unsigned int i = 0; i < 5000 && !done(context); i++) {
		turn(loop);
		if (i > 10)
			poll(NULL, 0, 1);
	}
	return done(context);
}
