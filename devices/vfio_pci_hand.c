/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a passed-through function that its loop sends by hand, because no route carries them:
 *
 * - vectors that have none, for the machine has run out of them
 * - messages that interrupt remapping blocks. The device is given an eventfd that the loop listens
 *   to, and the message goes through the unit, which records the fault (5.1.4). When the guest lets
 *   it through again, the device gets the route's eventfd back. One turn of the loop sends one
 *   message for a vector, however often the device has signalled meanwhile; and what is blocked
 *   beyond VFIO_SPARES vectors is dropped without a record.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/vfio_pci.h"

static void by_hand(struct loop_watch *watch)
{
	struct vfio_by_hand *hand = container_of(watch, struct vfio_by_hand, watch);
	struct vfio_pci *vfio = hand->vfio;
	unsigned int vector;

	/* One that was given back meanwhile is sent still: it was signalled. */
	pthread_mutex_lock(&vfio->irq.lock);
	vector = hand->vector;
	pthread_mutex_unlock(&vfio->irq.lock);
	if (vector == VFIO_MSI_VECTOR)
		pci_msi_raise(&vfio->pci, &vfio->msi);
	else
		pci_msix_raise(&vfio->pci, vector);
}

/* --- Which eventfd --- */

static int own_eventfd(const struct vfio_pci *vfio, unsigned int vector)
{
	return vector == VFIO_MSI_VECTOR ? vfio->irq.msi_eventfd
					 : vfio->pci.msix.entry[vector].eventfd;
}

static int route_of(const struct vfio_pci *vfio, unsigned int vector)
{
	return vector == VFIO_MSI_VECTOR ? vfio->irq.msi_route : vfio->pci.msix.entry[vector].route;
}

static struct vfio_by_hand *spare_of(struct vfio_irq *irq, unsigned int vector)
{
	for (unsigned int i = 0; i < irq->spare_count; i++)
		if (irq->spare[i].used && irq->spare[i].vector == vector)
			return &irq->spare[i];
	return NULL;
}

/* Takes a spare, the one that has rested longest. */
static struct vfio_by_hand *take_spare(struct vfio_irq *irq, unsigned int vector)
{
	for (unsigned int i = 0; i < irq->spare_count; i++) {
		struct vfio_by_hand *spare = &irq->spare[(irq->spare_next + i) % irq->spare_count];

		if (spare->used)
			continue;
		irq->spare_next = (irq->spare_next + i + 1) % irq->spare_count;
		spare->used = true;
		spare->vector = vector;
		return spare;
	}
	return NULL;
}

int vfio_hand_eventfd(struct vfio_pci *vfio, unsigned int vector)
{
	struct vfio_by_hand *spare = spare_of(&vfio->irq, vector);
	int route = route_of(vfio, vector);

	if (route < 0 || machine_msi_route_live(vfio->pci.host->machine, route)) {
		if (spare)
			spare->used = false;
		return own_eventfd(vfio, vector);
	}
	if (!spare)
		spare = take_spare(&vfio->irq, vector);
	return spare ? spare->watch.fd : own_eventfd(vfio, vector);
}

void vfio_hand_release(struct vfio_pci *vfio, unsigned int vector)
{
	struct vfio_by_hand *spare = spare_of(&vfio->irq, vector);

	if (spare)
		spare->used = false;
}

/* --- Remapping has changed --- */

void vfio_hand_revise(struct vfio_pci *vfio, uint32_t index, unsigned int vector)
{
	const struct vfio_by_hand *spare = spare_of(&vfio->irq, vector);
	int before = spare ? spare->watch.fd : own_eventfd(vfio, vector);
	int now = vfio_hand_eventfd(vfio, vector);

	/* If the host refuses, the device keeps the other one: dropped, or sent by hand. */
	if (now != before)
		vfio_irq_set_eventfd(vfio, index, vector == VFIO_MSI_VECTOR ? 0 : vector, now);
}

static void routes_changed(struct machine_route_watch *watch)
{
	struct vfio_pci *vfio = container_of(watch, struct vfio_pci, irq.route_watch);
	struct pci_msix *msix = &vfio->pci.msix;
	struct vfio_irq *irq = &vfio->irq;

	if (msix->cap)
		pthread_mutex_lock(&msix->lock);
	pthread_mutex_lock(&irq->lock);
	for (unsigned int i = 0; i < msix->vectors; i++)
		if (irq->mode == VFIO_IRQ_MSIX && irq->enabled && msix->entry[i].open)
			vfio_hand_revise(vfio, VFIO_PCI_MSIX_IRQ_INDEX, i);
	if (irq->mode == VFIO_IRQ_MSI && irq->enabled)
		vfio_hand_revise(vfio, VFIO_PCI_MSI_IRQ_INDEX, VFIO_MSI_VECTOR);
	pthread_mutex_unlock(&irq->lock);
	if (msix->cap)
		pthread_mutex_unlock(&msix->lock);
}

/* --- Life --- */

static void listen_to(struct vfio_pci *vfio, struct vfio_by_hand *hand, int eventfd,
		      unsigned int vector)
{
	*hand = (struct vfio_by_hand){ .vfio = vfio, .vector = vector };
	loop_watch(vfio->loop, &hand->watch, eventfd, by_hand);
}

/* How many have no route; and listens to them if there is room for that. */
static unsigned int each_without_route(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;
	unsigned int count = 0;

	for (unsigned int i = 0; i <= vfio->pci.msix.vectors; i++) {
		unsigned int vector = i < vfio->pci.msix.vectors ? i : VFIO_MSI_VECTOR;

		if ((vector == VFIO_MSI_VECTOR && !vfio->msi.cap) || route_of(vfio, vector) >= 0 ||
		    own_eventfd(vfio, vector) < 0)
			continue;
		if (irq->hand)
			listen_to(vfio, &irq->hand[irq->hand_count++], own_eventfd(vfio, vector),
				  vector);
		count++;
	}
	return count;
}

static int add_spares(struct vfio_pci *vfio)
{
	unsigned int most =
		(unsigned int)min_u64(vfio->pci.msix.vectors + !!vfio->msi.cap, VFIO_SPARES);
	struct vfio_irq *irq = &vfio->irq;

	if (!most)
		return 0;
	irq->route_watch.changed = routes_changed;
	machine_watch_msi_routes(vfio->pci.host->machine, &irq->route_watch);
	while (irq->spare_count < most) {
		int fd = eventfd(0, EFD_CLOEXEC);

		if (fd < 0)
			return -errno;
		listen_to(vfio, &irq->spare[irq->spare_count++], fd, VFIO_MSI_VECTOR);
	}
	return 0;
}

int vfio_hand_init(struct vfio_pci *vfio)
{
	unsigned int count = each_without_route(vfio);

	if (count) {
		vfio->irq.hand = calloc(count, sizeof(*vfio->irq.hand));
		if (!vfio->irq.hand)
			return -ENOMEM;
		each_without_route(vfio);
	}
	/* Nothing is blocked where nothing is remapped. */
	return vfio->pci.host->unit_of ? add_spares(vfio) : 0;
}

void vfio_hand_unwatch(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;

	for (unsigned int i = 0; i < irq->hand_count; i++)
		loop_unwatch(&irq->hand[i].watch);
	for (unsigned int i = 0; i < irq->spare_count; i++)
		loop_unwatch(&irq->spare[i].watch);
}

void vfio_hand_destroy(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;

	for (unsigned int i = 0; i < irq->spare_count; i++)
		close(irq->spare[i].watch.fd);
	free(irq->hand);
}
