/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a passed-through function that its loop sends by hand, because no route carries them:
 *
 * - vectors that have none, for the machine has run out of them
 * - messages that interrupt remapping blocks: sent by hand they go through the unit, which records
 *   the fault (5.1.4)
 *
 * The device signals one eventfd for a vector, always. While the machine does not take what is
 * signalled, it stays there, and the loop finds it: one turn sends one message for a vector,
 * however often the device has signalled meanwhile. Once the loop listens it goes on to: it sees
 * nothing while the machine takes the signals. What both have seen, when a route comes back, is
 * sent twice, which for an edge is once too often and no more.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/vfio_pci.h"

/* A fault if it is blocked still; sent, if it was let through meanwhile. */
static void by_hand(struct loop_watch *watch)
{
	struct vfio_by_hand *hand = container_of(watch, struct vfio_by_hand, watch);
	struct vfio_pci *vfio = hand->vfio;

	if (hand->vector == vfio->pci.msix.vectors)
		pci_msi_raise(&vfio->pci, &vfio->msi);
	else
		pci_msix_raise(&vfio->pci, hand->vector);
}

static bool is_taken(struct vfio_pci *vfio, int route)
{
	return route >= 0 && machine_msi_route_assigned(vfio->pci.host->machine, route);
}

static void listen_to(struct vfio_by_hand *hand, int eventfd, int route)
{
	if (eventfd >= 0 && !hand->watch.loop && !is_taken(hand->vfio, route))
		loop_watch(hand->vfio->loop, &hand->watch, eventfd, by_hand);
}

/* Listens to all that the machine does not take, from now on. Loop thread. */
static void listen_to_all(struct vfio_pci *vfio)
{
	const struct pci_msix *msix = &vfio->pci.msix;
	struct vfio_irq *irq = &vfio->irq;

	/* Eventfds and routes of entries are constant. */
	for (unsigned int i = 0; i < msix->vectors; i++)
		listen_to(&irq->hand[i], msix->entry[i].eventfd, msix->entry[i].route);
	listen_to(&irq->hand[msix->vectors], irq->msi_eventfd, irq->msi_route);
}

static void released(struct loop_call *call)
{
	struct vfio_pci *vfio = container_of(call, struct vfio_pci, irq.released_call);

	if (!vfio->irq.unwatched)
		listen_to_all(vfio);
}

/* In any thread, under any lock. */
static void routes_released(struct machine_route_watch *watch)
{
	struct vfio_pci *vfio = container_of(watch, struct vfio_pci, irq.route_watch);

	loop_post(vfio->loop, &vfio->irq.released_call);
}

/* --- Life --- */

int vfio_hand_init(struct vfio_pci *vfio)
{
	const struct pci_msix *msix = &vfio->pci.msix;
	struct vfio_irq *irq = &vfio->irq;

	/* An emulated device could do without; here, nobody else would signal the vector. */
	for (unsigned int i = 0; i < msix->vectors; i++)
		if (msix->entry[i].eventfd < 0)
			return -EMFILE;
	irq->hand = calloc(msix->vectors + 1, sizeof(*irq->hand));
	if (!irq->hand)
		return -ENOMEM;
	for (unsigned int i = 0; i <= msix->vectors; i++)
		irq->hand[i] = (struct vfio_by_hand){ .vfio = vfio, .vector = i };
	irq->released_call.run = released;
	irq->route_watch.released = routes_released;
	machine_watch_msi_routes(vfio->pci.host->machine, &irq->route_watch);
	listen_to_all(vfio);
	return 0;
}

void vfio_hand_unwatch(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;

	irq->unwatched = true;
	for (unsigned int i = 0; i <= vfio->pci.msix.vectors; i++)
		loop_unwatch(&irq->hand[i].watch);
}
