/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts on KVM: routes for eventfds, single messages, doorbells.
 */
#include "vmm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "devices/base.h"
#include "devices/log.h"
#include "viommu/spec.h"
#include "viommu/vtd.h"
#include "vmm/vm.h"

/* --- From request to message --- */

static struct vtd_unit *unit_of(const struct machine *machine, uint16_t requester)
{
	return requester < ARRAY_SIZE(machine->vtd_of) ? machine->vtd_of[requester] : NULL;
}

/* A write to anywhere else is not an interrupt, whatever its data. */
static bool is_interrupt(const struct msi_message *request)
{
	return request->address >= VTD_INTERRUPT_BASE && request->address < VTD_INTERRUPT_END;
}

/* 0, or -EFAULT if @unit blocks the request; @deliver: that is a fault. @unit may be NULL. */
static int remap(struct vtd_unit *unit, uint16_t requester, const struct msi_message *request,
		 struct msi_message *message, bool deliver)
{
	const struct vtd_msi from = { .address = request->address, .data = request->data };
	struct vtd_msi to = from;

	if (unit && vtd_remap_msi(unit, requester, &from, &to, deliver))
		return -EFAULT;
	*message = (struct msi_message){ .address = to.address, .data = to.data };
	return 0;
}

static int signal_message(struct machine *machine, const struct msi_message *message)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)message->address,
		.address_hi = (uint32_t)(message->address >> 32),
		.data = message->data,
	};

	return ioctl(machine->vm, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

/* --- Eventfds of routes --- */

static int set_irqfd(const struct machine *machine, unsigned int gsi, int eventfd, uint32_t flags)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd, .gsi = gsi, .flags = flags };

	return ioctl(machine->vm, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

/* KVM leaves signals in the eventfd from now on; none is under way when it returns. Lock held. */
static void release_eventfd(struct machine *machine, unsigned int gsi)
{
	struct irq_route *route = &machine->routes.route[gsi];
	int rc;

	if (!route->assigned)
		return;
	rc = set_irqfd(machine, gsi, route->eventfd, KVM_IRQFD_FLAG_DEASSIGN);
	if (rc) {
		log_guest(IRQ, "KVM keeps the eventfd of GSI %u: %s", gsi, strerror(-rc));
		return;
	}
	__atomic_store_n(&route->assigned, false, __ATOMIC_RELEASE);
	machine->routes.released = true;
}

/* KVM takes signals again, and sends a message for those that it finds. If it refuses, the route is
 * not live, and whoever listens to the eventfd goes on. Lock held. */
static void assign_eventfd(struct machine *machine, unsigned int gsi)
{
	struct irq_route *route = &machine->routes.route[gsi];
	int rc;

	if (route->assigned || route->eventfd < 0)
		return;
	rc = set_irqfd(machine, gsi, route->eventfd, 0);
	if (rc)
		log_guest(IRQ, "KVM does not take the eventfd of GSI %u: %s", gsi, strerror(-rc));
	__atomic_store_n(&route->assigned, !rc, __ATOMIC_RELEASE);
}

/* --- Routes --- */

static void set_live(struct irq_route *route, bool live)
{
	__atomic_store_n(&route->live, live, __ATOMIC_RELEASE);
}

/*
 * Remaps the route's request. True if KVM is to be told. One that is blocked loses its eventfd
 * before KVM loses the route: what was signalled earlier is sent, and nothing is dropped. One that
 * is not to send at all keeps it: its device signals nothing. Lock held.
 */
static bool refresh(struct machine *machine, unsigned int gsi)
{
	struct irq_route *route = &machine->routes.route[gsi];
	struct irq_route old = *route;

	route->open = route->valid && is_interrupt(&route->request) &&
		      !remap(unit_of(machine, route->requester), route->requester, &route->request,
			     &route->message, false);
	if (!route->open)
		set_live(route, false);
	if (route->valid && !route->open)
		release_eventfd(machine, gsi);
	return route->open != old.open ||
	       (route->open && !same_message(&route->message, &old.message));
}

/* KVM's table has the route as it is. Lock held. */
static void settle(struct machine *machine, unsigned int gsi)
{
	struct irq_route *route = &machine->routes.route[gsi];

	if (route->open)
		assign_eventfd(machine, gsi);
	set_live(route, route->open && (route->assigned || route->eventfd < 0));
}

/* Hands KVM all open routes: it has no call to change a single one. Lock held. */
static int publish(struct machine *machine)
{
	struct irq_routes *routes = &machine->routes;
	struct kvm_irq_routing *table = routes->buffer;

	table->nr = 0;
	table->flags = 0;
	for (unsigned int gsi = 0; gsi <= routes->highest; gsi++) {
		const struct irq_route *route = &routes->route[gsi];

		if (!route->open)
			continue;
		table->entries[table->nr++] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = (uint32_t)route->message.address,
			.u.msi.address_hi = (uint32_t)(route->message.address >> 32),
			.u.msi.data = route->message.data,
		};
	}
	routes->stale = ioctl(machine->vm, KVM_SET_GSI_ROUTING, table) < 0;
	if (routes->stale)
		return -errno;
	for (unsigned int gsi = 0; gsi <= routes->highest; gsi++)
		settle(machine, gsi);
	return 0;
}

/* Whoever listens to eventfds hears of those that are not KVM's any more. Lets the lock go. */
static void unlock_and_tell(struct irq_routes *routes)
{
	bool released = routes->released;

	routes->released = false;
	pthread_mutex_unlock(&routes->lock);
	for (struct machine_route_watch *w = routes->watches; w && released; w = w->next)
		w->released(w);
}

int irq_set_route(struct machine *machine, unsigned int gsi, const struct msi_message *request)
{
	struct irq_routes *routes = &machine->routes;
	struct irq_route *route;
	int rc = 0;

	if (gsi >= IRQ_ROUTES)
		return -EINVAL;
	pthread_mutex_lock(&routes->lock);
	route = &routes->route[gsi];
	route->valid = request;
	if (request)
		route->request = *request;
	if (gsi > routes->highest)
		routes->highest = gsi;
	if (refresh(machine, gsi) || routes->stale)
		rc = publish(machine);
	else
		settle(machine, gsi); /* KVM may have refused the eventfd when it was told */
	if (rc) {
		/* Not live, and not signalled, whatever KVM still has. */
		route->valid = false;
		refresh(machine, gsi);
		release_eventfd(machine, gsi);
		log_guest(IRQ, "route of GSI %u refused by KVM: %s", gsi, strerror(-rc));
	}
	unlock_and_tell(routes);
	return rc;
}

/* KVM keeps the old table: nobody may use routes of @unit until it takes a newer one. Lock held. */
static void suspend_routes(struct machine *machine, const struct vtd_unit *unit)
{
	struct irq_routes *routes = &machine->routes;

	for (unsigned int gsi = 0; gsi <= routes->highest; gsi++) {
		if (unit_of(machine, routes->route[gsi].requester) != unit)
			continue;
		set_live(&routes->route[gsi], false);
		release_eventfd(machine, gsi);
	}
}

/* Looks at all routes of @unit. True if KVM is to be told. Lock held. */
static bool refresh_unit(struct machine *machine, const struct vtd_unit *unit)
{
	struct irq_routes *routes = &machine->routes;
	bool changed = false;

	for (unsigned int gsi = 0; gsi <= routes->highest; gsi++)
		if (unit_of(machine, routes->route[gsi].requester) == unit)
			changed |= refresh(machine, gsi);
	return changed;
}

void irq_remapping_changed(struct machine *machine, struct vtd_unit *unit)
{
	struct irq_routes *routes = &machine->routes;
	int rc = 0;

	pthread_mutex_lock(&routes->lock);
	if (refresh_unit(machine, unit) || routes->stale)
		rc = publish(machine);
	if (rc) {
		suspend_routes(machine, unit);
		log_guest(IRQ, "remapped routes were refused by KVM: %s", strerror(-rc));
	}
	unlock_and_tell(routes);
}

void machine_watch_msi_routes(struct machine *machine, struct machine_route_watch *watch)
{
	watch->next = machine->routes.watches;
	machine->routes.watches = watch;
}

bool machine_msi_route_live(struct machine *machine, int handle)
{
	return __atomic_load_n(&machine->routes.route[handle].live, __ATOMIC_ACQUIRE);
}

bool machine_msi_route_assigned(struct machine *machine, int handle)
{
	return __atomic_load_n(&machine->routes.route[handle].assigned, __ATOMIC_ACQUIRE);
}

/* --- Single messages --- */

void machine_set_irq(struct machine *machine, unsigned int gsi, bool level)
{
	ioapic_set(machine, gsi, level);
}

void irq_send_unmapped(struct machine *machine, uint64_t address, uint32_t data)
{
	const struct msi_message message = { .address = address, .data = data };
	const struct msi_message low = { .address = (uint32_t)address };
	/* Above is what an x2APIC id has beyond 8 bits. */
	int rc = is_interrupt(&low) ? signal_message(machine, &message) : -EFAULT;

	if (rc)
		log_guest(IRQ, "MSI %#llx data %#x of a remapping unit was not delivered: %s",
			  (unsigned long long)address, data, strerror(-rc));
}

/* The unit's gate: when an invalidation is complete, no message by what was invalidated is to come.
 */
static int send_remapped(struct machine *machine, struct vtd_unit *unit, uint16_t requester,
			 const struct msi_message *request)
{
	unsigned int token = vtd_dma_enter(unit);
	struct msi_message message;
	int rc = 0;

	if (!remap(unit, requester, request, &message, true))
		rc = signal_message(machine, &message);
	vtd_dma_leave(unit, token);
	return rc;
}

void machine_send_msi(struct machine *machine, uint16_t requester, const struct msi_message *msi)
{
	struct vtd_unit *unit = unit_of(machine, requester);
	int rc = -EFAULT;

	if (is_interrupt(msi))
		rc = unit ? send_remapped(machine, unit, requester, msi)
			  : signal_message(machine, msi);
	if (rc)
		log_guest(IRQ, "MSI %#llx data %#x of requester %#x was not delivered: %s",
			  (unsigned long long)msi->address, msi->data, requester, strerror(-rc));
}

/* --- What devices ask for --- */

static int take_route(struct irq_routes *routes, uint16_t requester, int eventfd)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&routes->lock);
	for (unsigned int i = IRQ_PINS; i < IRQ_ROUTES; i++) {
		if (routes->route[i].used)
			continue;
		routes->route[i] = (struct irq_route){ .used = true,
						       .requester = requester,
						       .eventfd = eventfd };
		gsi = (int)i;
		break;
	}
	pthread_mutex_unlock(&routes->lock);
	return gsi;
}

int machine_add_msi_route(struct machine *machine, uint16_t requester, int eventfd)
{
	int gsi = take_route(&machine->routes, requester, eventfd);
	int rc;

	if (gsi < 0)
		return gsi;
	rc = set_irqfd(machine, (unsigned int)gsi, eventfd, 0);
	machine->routes.route[gsi].used = !rc;
	machine->routes.route[gsi].assigned = !rc;
	return rc ? rc : gsi;
}

int machine_set_msi_route(struct machine *machine, int handle, const struct msi_message *msi)
{
	if (handle < IRQ_PINS)
		return -EINVAL;
	return irq_set_route(machine, (unsigned int)handle, msi);
}

int machine_set_doorbell(struct machine *machine, uint64_t address, unsigned int size, int eventfd,
			 bool on)
{
	struct kvm_ioeventfd doorbell = {
		.addr = address,
		.len = size,
		.fd = eventfd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(machine->vm, KVM_IOEVENTFD, &doorbell) < 0 ? -errno : 0;
}

int irq_init(struct machine *machine)
{
	struct irq_routes *routes = &machine->routes;

	routes->buffer = calloc(1, sizeof(*routes->buffer) +
					   IRQ_ROUTES * sizeof(routes->buffer->entries[0]));
	if (!routes->buffer)
		return -ENOMEM;
	pthread_mutex_init(&routes->lock, NULL);
	for (unsigned int pin = 0; pin < IRQ_PINS; pin++)
		routes->route[pin] = (struct irq_route){ .used = true,
							 .requester = IOAPIC_REQUESTER,
							 .eventfd = -1 };
	return 0;
}

void irq_destroy(struct machine *machine)
{
	pthread_mutex_destroy(&machine->routes.lock);
	free(machine->routes.buffer);
	machine->routes.buffer = NULL;
}
