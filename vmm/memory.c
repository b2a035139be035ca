/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM: one mapping, seen by the guest below and above the PCI hole.
 *
 * It is a memfd if the user asks for huge pages or for shared memory, or if the host gives shared
 * memory transparent huge pages. By default hosts do not; then anonymous memory is used, which gets
 * them everywhere: with 4 KiB pages a guest takes a third longer to boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/hostfile.h"
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

/* The host's policy stands in brackets: "always within_size advise [never] deny force". */
static bool shared_gets_huge_pages(void)
{
	char policy[128];

	return !hostfile_text("", policy, sizeof(policy),
			      "/sys/kernel/mm/transparent_hugepage/shmem_enabled") &&
	       !strstr(policy, "[never]") && !strstr(policy, "[deny]");
}

/*
 * Huge pages are reserved by the mapping: if they are gone when the guest touches them there is no
 * error to report any more, only SIGBUS.
 */
static int map_memfd(struct memory *memory, const struct backing *backing)
{
	int reserve = backing->flags & MFD_HUGETLB ? 0 : MAP_NORESERVE;

	memory->fd = memfd_create("nidus-ram", MFD_CLOEXEC | backing->flags);
	if (memory->fd < 0 || ftruncate(memory->fd, (off_t)memory->mapping) < 0)
		return -errno;
	memory->base = mmap(NULL, memory->mapping, PROT_READ | PROT_WRITE, MAP_SHARED | reserve,
			    memory->fd, 0);
	if (memory->base != MAP_FAILED)
		return 0;
	memory->base = NULL;
	return -errno;
}

/* Aligned to huge pages, or KVM could not map them: what sticks out on both sides is given back. */
static int map_anonymous(struct memory *memory)
{
	uint64_t align = backings[HUGEPAGES_2M].page;
	uint64_t size = memory->mapping + align, head;
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return -errno;
	head = align_up((uintptr_t)map, align) - (uintptr_t)map;
	if (head)
		munmap(map, head);
	if (align - head)
		munmap(map + head + memory->mapping, align - head);
	memory->base = map + head;
	return 0;
}

int memory_acquire(struct machine *machine)
{
	const struct vm_config *config = machine->config;
	const struct backing *backing = &backings[config->hugepages];
	struct memory *memory = &machine->memory;
	int rc;

	memory->fd = -1;
	memory->size = config->memory;
	memory->mapping = align_up(config->memory, backing->page);
	if (config->shared || config->hugepages != HUGEPAGES_NONE || shared_gets_huge_pages())
		rc = map_memfd(memory, backing);
	else
		rc = map_anonymous(memory);
	if (!rc && config->hugepages == HUGEPAGES_NONE)
		madvise(memory->base, memory->mapping, MADV_HUGEPAGE);
	if (!rc)
		madvise(memory->base, memory->mapping, MADV_DONTDUMP);
	if (!rc && config->prefault &&
	    madvise(memory->base, memory->mapping, MADV_POPULATE_WRITE) < 0)
		rc = -errno;
	if (!rc) {
		fill_slots(machine);
		return 0;
	}
	log_error(VMM, "--memory: %" PRIu64 " MiB of %s pages cannot be allocated: %s",
		  config->memory / MIB, backing->name, strerror(-rc));
	memory_release(machine);
	return rc;
}

/* Pages that a device's DMA has pinned, or that were allocated for good, stay where they are. */
void memory_clear(struct machine *machine)
{
	const struct vm_config *config = machine->config;
	struct memory *memory = &machine->memory;
	bool keep = config->vfio_count || config->prefault || config->hugepages != HUGEPAGES_NONE;

	if (keep || madvise(memory->base, memory->mapping,
			    memory->fd >= 0 ? MADV_REMOVE : MADV_DONTNEED) < 0)
		memset(memory->base, 0, memory->mapping);
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
