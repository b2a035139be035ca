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
#include "vmm/vm.h"

/* Hands KVM all valid routes: it has no call to change a single one. Lock held. */
static int publish(struct machine *machine)
{
	struct irq_routes *routes = &machine->routes;
	struct kvm_irq_routing *table = routes->buffer;

	table->nr = 0;
	table->flags = 0;
	for (unsigned int gsi = 0; gsi <= routes->highest; gsi++) {
		const struct irq_route *route = &routes->route[gsi];

		if (!route->valid)
			continue;
		table->entries[table->nr++] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = (uint32_t)route->message.address,
			.u.msi.address_hi = (uint32_t)(route->message.address >> 32),
			.u.msi.data = route->message.data,
		};
	}
	return ioctl(machine->vm, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}

static bool same_message(const struct msi_message *a, const struct msi_message *b)
{
	return a->address == b->address && a->data == b->data;
}

int irq_set_route(struct machine *machine, unsigned int gsi, const struct msi_message *message)
{
	struct irq_routes *routes = &machine->routes;
	struct irq_route *route, old;
	int rc = 0;

	if (gsi >= IRQ_ROUTES)
		return -EINVAL;
	pthread_mutex_lock(&routes->lock);
	route = &routes->route[gsi];
	old = *route;
	if (message ? !old.valid || !same_message(&old.message, message) : old.valid) {
		route->valid = message;
		if (message)
			route->message = *message;
		if (gsi > routes->highest)
			routes->highest = gsi;
		rc = publish(machine);
		if (rc) {
			/* KVM refuses messages that no LAPIC could take; the old table stays. */
			*route = old;
			log_guest(IRQ, "route of GSI %u refused by KVM: %s", gsi, strerror(-rc));
		}
	}
	pthread_mutex_unlock(&routes->lock);
	return rc;
}

void machine_set_irq(struct machine *machine, unsigned int gsi, bool level)
{
	ioapic_set(machine, gsi, level);
}

void machine_send_msi(struct machine *machine, uint16_t requester, const struct msi_message *msi)
{
	struct kvm_msi message = {
		.address_lo = (uint32_t)msi->address,
		.address_hi = (uint32_t)(msi->address >> 32),
		.data = msi->data,
	};

	if (ioctl(machine->vm, KVM_SIGNAL_MSI, &message) < 0)
		log_guest(IRQ, "MSI %#llx data %#x of requester %#x was not delivered: %s",
			  (unsigned long long)msi->address, msi->data, requester, strerror(errno));
}

static int take_route(struct irq_routes *routes, uint16_t requester)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&routes->lock);
	for (unsigned int i = IRQ_PINS; i < IRQ_ROUTES; i++) {
		if (routes->route[i].used)
			continue;
		routes->route[i] = (struct irq_route){ .used = true, .requester = requester };
		gsi = (int)i;
		break;
	}
	pthread_mutex_unlock(&routes->lock);
	return gsi;
}

int machine_add_msi_route(struct machine *machine, uint16_t requester, int eventfd)
{
	int gsi = take_route(&machine->routes, requester);
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd, .gsi = (uint32_t)gsi };

	if (gsi < 0)
		return gsi;
	if (ioctl(machine->vm, KVM_IRQFD, &irqfd) < 0) {
		int rc = -errno;

		machine->routes.route[gsi].used = false;
		return rc;
	}
	return gsi;
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
		routes->route[pin].used = true;
	return 0;
}

void irq_destroy(struct machine *machine)
{
	pthread_mutex_destroy(&machine->routes.lock);
	free(machine->routes.buffer);
	machine->routes.buffer = NULL;
}
