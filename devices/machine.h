/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device may ask of the machine that holds it: interrupts, doorbells and the clean end of
 * the VM. Implemented by vmm/ on KVM, and by tests/unit/fake_machine.c in memory.
 *
 * Every function may be called from any thread, unless it says otherwise.
 */
#ifndef NIDUS_DEVICES_MACHINE_H
#define NIDUS_DEVICES_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

/* A message-signalled interrupt as the device would write it. */
struct msi_message {
	uint64_t address;
	uint32_t data;
};

static inline bool same_message(const struct msi_message *a, const struct msi_message *b)
{
	return a->address == b->address && a->data == b->data;
}

/* Drives a wired interrupt (IOAPIC input) to @level. Several sources of one line must be merged by
 * the caller. */
void machine_set_irq(struct machine *machine, unsigned int gsi, bool level);

/* Sends one message for @requester now. A message that cannot be delivered is dropped, as on
 * hardware. */
void machine_send_msi(struct machine *machine, uint16_t requester, const struct msi_message *msi);

/*
 * A route gives an eventfd to an MSI: whoever writes @eventfd raises it, without a system call per
 * register or a turn through the VMM. Returns a handle of 0 or more, or -ENOSPC and other negative
 * errno values. The route starts disabled. Call while the VM is built.
 */
int machine_add_msi_route(struct machine *machine, uint16_t requester, int eventfd);

/*
 * Sets what route @handle sends; NULL disables it: nobody is to write the eventfd until it is
 * enabled again. Takes effect before it returns. 0 or negative errno: as if it were blocked, see
 * below.
 */
int machine_set_msi_route(struct machine *machine, int handle, const struct msi_message *msi);

/*
 * True if a write to the eventfd of @handle is delivered now. False while the route is disabled,
 * and while interrupt remapping blocks its message: then machine_send_msi() is to be used, which
 * tells the guest. May change at any time; takes no lock.
 */
bool machine_msi_route_live(struct machine *machine, int handle);

/*
 * False while nobody takes what is written to the eventfd of @handle: it stays in the counter for
 * whoever reads it. That is so while the route is enabled and not live. A route that is let through
 * again sends one message for what is in the counter by then. May change at any time; takes no
 * lock.
 */
bool machine_msi_route_assigned(struct machine *machine, int handle);

/*
 * For devices that write eventfds without asking: has @released called, with @watch, whenever
 * machine_msi_route_assigned() has become false for some route. In any thread, with locks of a
 * remapping unit or of a device held: what is allowed there is loop_post(). @watch stays for the
 * life of the machine. While the VM is built.
 */
struct machine_route_watch {
	struct machine_route_watch *next;
	void (*released)(struct machine_route_watch *watch);
};
void machine_watch_msi_routes(struct machine *machine, struct machine_route_watch *watch);

/*
 * Makes a guest write of @size bytes (1, 2, 4, 8; 0 for any size) at guest-physical @address ring
 * @eventfd without leaving the kernel, or stops doing so. 0 or negative errno.
 */
int machine_set_doorbell(struct machine *machine, uint64_t address, unsigned int size, int eventfd,
			 bool on);

/*
 * Lets the guest reach [@address, @address + @size) as host memory at @host without leaving the
 * kernel, or stops doing so. All three are multiples of 4 KiB, and what is taken away must have
 * been given. 0 or negative errno (-ENOSPC, -EEXIST: it overlaps memory): nothing has changed then,
 * and accesses go to the bus.
 */
int machine_map_device(struct machine *machine, uint64_t address, uint64_t size, void *host,
		       bool on);

/*
 * From now on, the end of a level-triggered interrupt of input @gsi lowers the input and writes
 * @eventfd: for lines whose true level is not known here. Whoever is told has the line driven anew,
 * with all its sources. 0 or -ENOSPC.
 */
int machine_watch_eoi(struct machine *machine, unsigned int gsi, int eventfd);

/* How a VM ended; also what `nidus run` exits with (see vmm/exit.h). */
enum machine_end {
	MACHINE_RUNNING = 0,
	MACHINE_POWEROFF,  /* the guest powered itself off */
	MACHINE_RESET,	   /* the guest asked for a reset */
	MACHINE_EXIT_PORT, /* the guest wrote its own status to the exit port */
	MACHINE_CRASH,	   /* triple fault */
	MACHINE_ERROR,	   /* the VMM or KVM cannot go on */
	MACHINE_STOPPED,   /* `nidus stop` */
	MACHINE_SIGNAL,	   /* SIGTERM and its like */
};

/* Asks the machine to end; the first reason wins and later ones are ignored. Returns at once. */
void machine_end(struct machine *machine, enum machine_end reason, unsigned int status);

#endif
