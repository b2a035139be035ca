/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM: one memfd, mapped once, seen by the guest below and above the PCI hole.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct backing {
	uint64_t page;
	unsigned int flags;
	const char *name;
};

static const struct backing backings[] = {
	[HUGEPAGES_NONE] = { PAGE_SIZE_4K, 0, "4K" },
	[HUGEPAGES_2M] = { 2 * MIB, MFD_HUGETLB | MFD_HUGE_2MB, "2M" },
	[HUGEPAGES_1G] = { GIB, MFD_HUGETLB | MFD_HUGE_1GB, "1G" },
};

static void fill_slots(struct machine *machine)
{
	struct memory *memory = &machine->memory;
	uint64_t low = min_u64(memory->size, LAYOUT_LOW_RAM_MAX);
	struct ram *ram = &machine->ram;

	ram->count = 1;
	ram->slot[0] = (struct ram_slot){ .gpa = 0, .size = low, .host = memory->base };
	if (memory->size > low) {
		ram->count = 2;
		ram->slot[1] = (struct ram_slot){ .gpa = LAYOUT_HIGH_RAM_BASE,
						  .size = memory->size - low,
						  .host = (uint8_t *)memory->base + low };
	}
}

int memory_acquire(struct machine *machine)
{
	const struct vm_config *config = machine->config;
	const struct backing *backing = &backings[config->hugepages];
	struct memory *memory = &machine->memory;
	int rc;

	memory->size = config->memory;
	memory->mapping = align_up(config->memory, backing->page);
	memory->fd = memfd_create("nidus-ram", MFD_CLOEXEC | backing->flags);
	if (memory->fd < 0 || ftruncate(memory->fd, (off_t)memory->mapping) < 0)
		goto failed;
	memory->base = mmap(NULL, memory->mapping, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_NORESERVE, memory->fd, 0);
	if (memory->base == MAP_FAILED) {
		memory->base = NULL;
		goto failed;
	}
	/* Where the host allows huge pages for shared memory on advice, ask for them. */
	if (config->hugepages == HUGEPAGES_NONE)
		madvise(memory->base, memory->mapping, MADV_HUGEPAGE);
	madvise(memory->base, memory->mapping, MADV_DONTDUMP);
	if (config->prefault && madvise(memory->base, memory->mapping, MADV_POPULATE_WRITE) < 0)
		goto failed;
	fill_slots(machine);
	return 0;
failed:
	rc = -errno;
	log_error(VMM, "--memory: %" PRIu64 " MiB of %s pages cannot be allocated: %s",
		  config->memory / MIB, backing->name, strerror(-rc));
	memory_release(machine);
	return rc;
}

void memory_release(struct machine *machine)
{
	struct memory *memory = &machine->memory;

	if (memory->base)
		munmap(memory->base, memory->mapping);
	if (memory->fd >= 0)
		close(memory->fd);
	memory->base = NULL;
	memory->fd = -1;
}
