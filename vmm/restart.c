/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/restart.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devices/log.h"
#include "devices/pci.h"
#include "vmm/iommu.h"
#include "vmm/kernel.h"
#include "vmm/peripherals.h"
#include "vmm/vm.h"

int restart_init(struct machine *machine)
{
	int rc = 0;

	pthread_mutex_init(&machine->restart.lock, NULL);
	pthread_cond_init(&machine->restart.changed, NULL);
	/* Before anything is set: as KVM has made them. */
	for (unsigned int i = 0; machine->config->restart && i < machine->config->cpus && !rc; i++)
		rc = vcpu_keep_state(&machine->vcpu[i]);
	if (rc)
		restart_destroy(machine);
	return rc;
}

void restart_destroy(struct machine *machine)
{
	pthread_cond_destroy(&machine->restart.changed);
	pthread_mutex_destroy(&machine->restart.lock);
}

bool restart_is_under_way(const struct machine *machine, uint64_t end)
{
	return machine->config->restart && (enum machine_end)(uint32_t)end == MACHINE_RESET;
}

/* --- The control thread --- */

bool restart_order(struct machine *machine)
{
	struct restart *restart = &machine->restart;
	uint64_t count;

	if (!restart_is_under_way(machine, __atomic_load_n(&machine->end, __ATOMIC_ACQUIRE)))
		return false;
	/* An end that comes from here on writes it anew. */
	if (read(machine->end_event, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return false;
	if (!restart_is_under_way(machine, __atomic_load_n(&machine->end, __ATOMIC_ACQUIRE)))
		return false;
	iommu_halt(machine);
	for (unsigned int i = 0; i < machine->config->cpus; i++)
		vcpu_kick(&machine->vcpu[i]);
	pthread_mutex_lock(&restart->lock);
	restart->ordered = true;
	pthread_cond_broadcast(&restart->changed);
	pthread_mutex_unlock(&restart->lock);
	return true;
}

void restart_cancel(struct machine *machine)
{
	struct restart *restart = &machine->restart;

	pthread_mutex_lock(&restart->lock);
	restart->cancelled = true;
	pthread_cond_broadcast(&restart->changed);
	pthread_mutex_unlock(&restart->lock);
}

/* --- The vCPUs --- */

/* The order is that of DMA: from its sources to the memory that it goes to. vCPU 0. */
static int reset_machine(struct machine *machine)
{
	int rc = peripherals_reset(machine);

	if (rc) {
		log_error(VMM, "restart: the host did not finish the requests of the devices");
		return rc;
	}
	rc = pci_host_reset(&machine->pci);
	if (rc)
		return rc;
	iommu_reset(machine);
	ioapic_reset(machine);
	for (unsigned int i = 0; i < machine->config->cpus && !rc; i++)
		rc = vcpu_restore_state(&machine->vcpu[i]);
	if (rc) {
		log_error(KVM, "restart: the state of a vCPU was refused by KVM: %s",
			  strerror(-rc));
		return rc;
	}
	memory_clear(machine);
	return kernel_start(machine);
}

/* Lets all vCPUs go. The lock is held. */
static void announce(struct machine *machine)
{
	struct restart *restart = &machine->restart;
	uint64_t end = MACHINE_RESET;

	restart->ordered = false;
	restart->parked = 0;
	restart->count++;
	/* An end that has come meanwhile stays, and is what the vCPUs find. */
	__atomic_compare_exchange_n(&machine->end, &end, MACHINE_RUNNING, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
	pthread_cond_broadcast(&restart->changed);
}

static void lead(struct machine *machine)
{
	struct restart *restart = &machine->restart;

	while (!restart->cancelled &&
	       !(restart->ordered && restart->parked == machine->config->cpus))
		pthread_cond_wait(&restart->changed, &restart->lock);
	if (restart->cancelled)
		return;
	pthread_mutex_unlock(&restart->lock);
	log_info(VMM, "the machine is reset, and starts anew");
	if (reset_machine(machine))
		machine_end(machine, MACHINE_ERROR, 0);
	pthread_mutex_lock(&restart->lock);
	announce(machine);
}

bool restart_join(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;
	struct restart *restart = &machine->restart;
	uint64_t count;
	bool cancelled;

	if (!restart_is_under_way(machine, __atomic_load_n(&machine->end, __ATOMIC_ACQUIRE)))
		return false;
	vcpu_finish_exit(vcpu);
	pthread_mutex_lock(&restart->lock);
	count = restart->count;
	restart->parked++;
	pthread_cond_broadcast(&restart->changed);
	if (!vcpu->index)
		lead(machine);
	while (restart->count == count && !restart->cancelled)
		pthread_cond_wait(&restart->changed, &restart->lock);
	cancelled = restart->cancelled;
	pthread_mutex_unlock(&restart->lock);
	return !cancelled;
}
