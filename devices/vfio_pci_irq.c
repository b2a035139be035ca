/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a passed-through function.
 *
 * MSI-X: the host is given the eventfd of each vector that the guest lets through, and KVM sends
 * the vector's message when the device signals it: no exit, no thread of ours. Interrupt remapping
 * is in the route. A vector that is masked is taken from the host, which masks it in the device:
 * what is pending stays in the device's own pending bits, and comes when it is let through again. A
 * message that no route carries, or that remapping blocks, is sent by hand: vfio_pci_hand.c. The
 * host does not know of that: the vector has one eventfd for life.
 *
 * MSI: the same with one vector, which cannot be masked.
 *
 * INTA#: the host masks the line when it signals it. We raise ours, and when the guest ends the
 * interrupt we lower it and have the host unmask: a line that is still asserted signals again.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/vfio_pci.h"

#define NO_EVENTFD (-1) /* takes a vector from the host */

static const uint32_t irq_index[] = {
	[VFIO_IRQ_INTX] = VFIO_PCI_INTX_IRQ_INDEX,
	[VFIO_IRQ_MSI] = VFIO_PCI_MSI_IRQ_INDEX,
	[VFIO_IRQ_MSIX] = VFIO_PCI_MSIX_IRQ_INDEX,
};

static const char *const irq_names[] = {
	[VFIO_IRQ_INTX] = "INTx",
	[VFIO_IRQ_MSI] = "MSI",
	[VFIO_IRQ_MSIX] = "MSI-X",
};

static struct vfio_pci *vfio_of(struct pci_function *fn)
{
	return container_of(fn, struct vfio_pci, pci);
}

/* --- To the host --- */

/* A positive answer is how many vectors the host could have set up, had it been asked for fewer. */
static int set_irqs(const struct vfio_pci *vfio, void *set)
{
	int rc = vfio->file->ioctl(vfio->file, vfio->device->fd, VFIO_DEVICE_SET_IRQS, set);

	return rc > 0 ? -ENOSPC : rc;
}

/* Has vector @start of @index signal @eventfd, or nothing. 0 or negative errno. */
static int set_eventfd(const struct vfio_pci *vfio, uint32_t index, uint32_t start, int32_t eventfd)
{
	union {
		struct vfio_irq_set set;
		uint8_t bytes[sizeof(struct vfio_irq_set) + sizeof(eventfd)];
	} one = { .set = { .argsz = sizeof(one.bytes),
			   .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			   .index = index,
			   .start = start,
			   .count = 1 } };

	memcpy(&one.bytes[sizeof(one.set)], &eventfd, sizeof(eventfd));
	return set_irqs(vfio, &one);
}

static int set_none(const struct vfio_pci *vfio, uint32_t index, uint32_t action, uint32_t count)
{
	struct vfio_irq_set set = { .argsz = sizeof(set),
				    .flags = VFIO_IRQ_SET_DATA_NONE | action,
				    .index = index,
				    .count = count };

	return set_irqs(vfio, &set);
}

static void say_failed(const struct vfio_pci *vfio, enum vfio_irq_mode mode, int rc)
{
	log_guest(VFIO, "%s: the host refuses its %s interrupt: %s", vfio->name, irq_names[mode],
		  strerror(-rc));
}

/* The device is to signal nothing. irq.lock held. */
static void leave_mode(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;

	if (irq->enabled)
		set_none(vfio, irq_index[irq->mode], VFIO_IRQ_SET_ACTION_TRIGGER, 0);
	if (irq->mode == VFIO_IRQ_INTX)
		pci_set_intx(&vfio->pci, false);
	if (irq->mode == VFIO_IRQ_MSI && irq->msi_route >= 0)
		machine_set_msi_route(vfio->pci.host->machine, irq->msi_route, NULL);
	irq->msi_routed = false;
	irq->enabled = false;
	irq->mode = VFIO_IRQ_NONE;
}

/* --- MSI-X --- */

/* For hosts that cannot add vectors later: all at once, with eventfds for those that are open. */
static int set_all_vectors(struct vfio_pci *vfio)
{
	const struct pci_msix *msix = &vfio->pci.msix;
	struct vfio_irq_set *set = vfio->irq.buffer;
	int32_t *eventfd = (int32_t *)(void *)set->data;

	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(*set) + msix->vectors * sizeof(*eventfd)),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = msix->vectors,
	};
	for (unsigned int i = 0; i < msix->vectors; i++)
		eventfd[i] = msix->entry[i].open ? msix->entry[i].eventfd : NO_EVENTFD;
	return set_irqs(vfio, set);
}

/* The MSI-X lock is held, and irq.lock. */
static int open_vector(struct vfio_pci *vfio, unsigned int vector)
{
	struct vfio_irq *irq = &vfio->irq;
	int rc;

	if (irq->mode != VFIO_IRQ_MSIX)
		leave_mode(vfio);
	irq->mode = VFIO_IRQ_MSIX;
	if (irq->all_vectors && !irq->enabled)
		rc = set_all_vectors(vfio);
	else
		rc = set_eventfd(vfio, VFIO_PCI_MSIX_IRQ_INDEX, vector,
				 vfio->pci.msix.entry[vector].eventfd);
	irq->enabled |= !rc;
	return rc;
}

void vfio_irq_msix_opened(struct pci_function *fn, unsigned int vector, bool open)
{
	struct vfio_pci *vfio = vfio_of(fn);
	struct vfio_irq *irq = &vfio->irq;
	int rc = 0;

	pthread_mutex_lock(&irq->lock);
	/* With the lock: what is opened before the loss is stopped by it. */
	if (vfio_lost(vfio)) {
		pthread_mutex_unlock(&irq->lock);
		return;
	}
	if (open)
		rc = open_vector(vfio, vector);
	else if (irq->mode == VFIO_IRQ_MSIX && irq->enabled)
		rc = set_eventfd(vfio, VFIO_PCI_MSIX_IRQ_INDEX, vector, NO_EVENTFD);
	pthread_mutex_unlock(&irq->lock);
	if (rc)
		say_failed(vfio, VFIO_IRQ_MSIX, rc);
	else if (open)
		vfio_pci_count(&vfio->counters.interrupts_routed);
}

/* --- MSI --- */

/* A route that is refused leaves the message to the loop, and is asked for again. irq.lock held. */
static void update_msi_route(struct vfio_pci *vfio, const struct msi_message *message)
{
	struct vfio_irq *irq = &vfio->irq;

	if (irq->msi_route < 0 || (irq->msi_routed && same_message(message, &irq->msi_message)))
		return;
	irq->msi_message = *message;
	irq->msi_routed = !machine_set_msi_route(vfio->pci.host->machine, irq->msi_route, message);
}

/* The host bridge's lock keeps the message what it is. irq.lock held. */
static int update_msi(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;
	int rc;

	update_msi_route(vfio, &vfio->msi.message);
	if (irq->enabled)
		return 0;
	rc = set_eventfd(vfio, VFIO_PCI_MSI_IRQ_INDEX, 0, irq->msi_eventfd);
	irq->enabled = !rc;
	if (!rc)
		vfio_pci_count(&vfio->counters.interrupts_routed);
	return rc;
}

/* --- INTA# --- */

/* Nothing may be watched before the line is known, which is when the VM is all but built. */
static int enable_intx(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;
	int rc = 0;

	if (irq->enabled)
		return 0;
	if (!irq->intx_watched)
		rc = machine_watch_eoi(vfio->pci.host->machine, vfio->pci.gsi, irq->eoi_watch.fd);
	irq->intx_watched |= !rc;
	if (!rc)
		rc = set_eventfd(vfio, VFIO_PCI_INTX_IRQ_INDEX, 0, irq->intx_watch.fd);
	irq->enabled = !rc;
	return rc;
}

static void intx_signalled(struct loop_watch *watch)
{
	struct vfio_pci *vfio = container_of(watch, struct vfio_pci, irq.intx_watch);
	bool asked;

	/* Or it was signalled before the guest turned to another kind. */
	pthread_mutex_lock(&vfio->irq.lock);
	asked = vfio->irq.mode == VFIO_IRQ_INTX;
	if (asked)
		pci_set_intx(&vfio->pci, true);
	pthread_mutex_unlock(&vfio->irq.lock);
}

static void intx_ended(struct loop_watch *watch)
{
	struct vfio_pci *vfio = container_of(watch, struct vfio_pci, irq.eoi_watch);
	struct vfio_irq *irq = &vfio->irq;

	pci_intx_ended(&vfio->pci);
	pthread_mutex_lock(&irq->lock);
	if (irq->mode == VFIO_IRQ_INTX && irq->enabled)
		set_none(vfio, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, 1);
	pthread_mutex_unlock(&irq->lock);
}

/* --- Which of them --- */

static enum vfio_irq_mode wanted(struct vfio_pci *vfio)
{
	struct pci_function *fn = &vfio->pci;

	if (vfio_lost(vfio))
		return VFIO_IRQ_NONE;
	if (pci_msix_enabled(fn))
		return VFIO_IRQ_MSIX;
	if (vfio->msi.cap && pci_msi_enabled(&vfio->msi))
		return VFIO_IRQ_MSI;
	if (vfio->irq.intx && fn->gsi &&
	    !(load_le16(&fn->config[PCI_COMMAND]) & PCI_COMMAND_INTX_DISABLE))
		return VFIO_IRQ_INTX;
	return VFIO_IRQ_NONE;
}

void vfio_irq_update(struct vfio_pci *vfio)
{
	enum vfio_irq_mode mode = wanted(vfio);
	struct vfio_irq *irq = &vfio->irq;
	bool changed;
	int rc = 0;

	pthread_mutex_lock(&irq->lock);
	changed = irq->mode != mode;
	if (changed)
		leave_mode(vfio);
	irq->mode = mode;
	/* What was refused is not asked for again at every write; MSI-X waits for its vectors. */
	if (mode == VFIO_IRQ_INTX && changed)
		rc = enable_intx(vfio);
	if (mode == VFIO_IRQ_MSI)
		rc = update_msi(vfio);
	pthread_mutex_unlock(&irq->lock);
	if (rc)
		say_failed(vfio, mode, rc);
}

void vfio_irq_stop(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;

	pthread_mutex_lock(&irq->lock);
	leave_mode(vfio);
	pthread_mutex_unlock(&irq->lock);
}

/* --- Notifications about the device itself --- */

static void failed(struct loop_watch *watch)
{
	vfio_pci_failed(container_of(watch, struct vfio_pci, irq.error_watch));
}

static void requested(struct loop_watch *watch)
{
	vfio_pci_requested(container_of(watch, struct vfio_pci, irq.request_watch));
}

/* --- Life --- */

static int query(const struct vfio_pci *vfio, uint32_t index, struct vfio_irq_info *info)
{
	*info = (struct vfio_irq_info){ .argsz = sizeof(*info), .index = index };
	if (index >= vfio->device->num_irqs)
		return 0;
	return vfio->file->ioctl(vfio->file, vfio->device->fd, VFIO_DEVICE_GET_IRQ_INFO, info);
}

int vfio_irq_query(struct vfio_pci *vfio)
{
	struct vfio_irq_info info[VFIO_PCI_NUM_IRQS] = { 0 };
	struct vfio_irq *irq = &vfio->irq;

	for (uint32_t i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		int rc = query(vfio, i, &info[i]);

		/* Old kernels do not know all of them. */
		if (rc && i <= VFIO_PCI_MSIX_IRQ_INDEX)
			return rc;
		if (rc || !(info[i].flags & VFIO_IRQ_INFO_EVENTFD))
			info[i].count = 0;
	}
	irq->intx = info[VFIO_PCI_INTX_IRQ_INDEX].count;
	irq->msi_count = info[VFIO_PCI_MSI_IRQ_INDEX].count;
	irq->msix_count = info[VFIO_PCI_MSIX_IRQ_INDEX].count;
	irq->all_vectors = info[VFIO_PCI_MSIX_IRQ_INDEX].flags & VFIO_IRQ_INFO_NORESIZE;
	irq->error = info[VFIO_PCI_ERR_IRQ_INDEX].count;
	irq->request = info[VFIO_PCI_REQ_IRQ_INDEX].count;
	return 0;
}

/* A new eventfd with a watch on it. 0 or negative errno. */
static int new_watch(struct vfio_pci *vfio, struct loop_watch *watch,
		     void (*fired)(struct loop_watch *watch))
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	loop_watch(vfio->loop, watch, fd, fired);
	return 0;
}

static int notify(struct vfio_pci *vfio, uint32_t index, struct loop_watch *watch,
		  void (*fired)(struct loop_watch *watch))
{
	int rc = new_watch(vfio, watch, fired);

	return rc ? rc : set_eventfd(vfio, index, 0, watch->fd);
}

static int init_msi(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;

	irq->msi_eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (irq->msi_eventfd < 0)
		return -errno;
	irq->msi_route = machine_add_msi_route(vfio->pci.host->machine, vfio->pci.requester,
					       irq->msi_eventfd);
	return 0;
}

int vfio_irq_init(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;
	size_t vectors = vfio->pci.msix.vectors;
	int rc = 0;

	irq->buffer = calloc(1, sizeof(struct vfio_irq_set) + vectors * sizeof(int32_t));
	if (!irq->buffer)
		return -ENOMEM;
	if (irq->intx)
		rc = new_watch(vfio, &irq->intx_watch, intx_signalled);
	if (!rc && irq->intx)
		rc = new_watch(vfio, &irq->eoi_watch, intx_ended);
	if (!rc && irq->error)
		rc = notify(vfio, VFIO_PCI_ERR_IRQ_INDEX, &irq->error_watch, failed);
	if (!rc && irq->request)
		rc = notify(vfio, VFIO_PCI_REQ_IRQ_INDEX, &irq->request_watch, requested);
	if (!rc && vfio->msi.cap)
		rc = init_msi(vfio);
	return rc ? rc : vfio_hand_init(vfio);
}

#define OWN_WATCHES 4

static void own_watches(struct vfio_irq *irq, struct loop_watch *list[OWN_WATCHES])
{
	list[0] = &irq->intx_watch;
	list[1] = &irq->eoi_watch;
	list[2] = &irq->error_watch;
	list[3] = &irq->request_watch;
}

void vfio_irq_unwatch(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;
	struct loop_watch *list[OWN_WATCHES];

	own_watches(irq, list);
	for (unsigned int i = 0; i < ARRAY_SIZE(list); i++)
		loop_unwatch(list[i]);
	vfio_hand_unwatch(vfio);
}

void vfio_irq_destroy(struct vfio_pci *vfio)
{
	struct vfio_irq *irq = &vfio->irq;
	struct loop_watch *list[OWN_WATCHES];

	own_watches(irq, list);
	for (unsigned int i = 0; i < ARRAY_SIZE(list); i++)
		if (list[i]->loop)
			close(list[i]->fd);
	if (irq->msi_eventfd >= 0)
		close(irq->msi_eventfd);
	free(irq->hand);
	free(irq->buffer);
	pthread_mutex_destroy(&irq->lock);
}
