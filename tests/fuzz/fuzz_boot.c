/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a kernel: refused with one line, or loaded so that the first instruction is in RAM,
 * modules are whole, and nothing outside of RAM or in the ACPI tables was touched. A check without
 * loading must have said the same before.
 *
 * The first byte says what comes with the kernel (enum option); the rest is the image.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/base.h"
#include "tests/unit/boot_image.h"
#include "vmm/layout.h"

#define LOW_SIZE   (8 * MIB)
#define HIGH_SIZE  MIB
#define GUARD_SIZE MIB

enum option { WITH_MODULES = 1, WITH_CMDLINE = 2, WITH_HIGH_RAM = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char module_text[] = "a module";

/* Memory between pages that nobody may touch. */
static struct ram_slot guarded(uint64_t gpa, uint64_t size)
{
	uint8_t *all = mmap(NULL, size + 2 * GUARD_SIZE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(all != MAP_FAILED);
	assert(!mprotect(all + GUARD_SIZE, size, PROT_READ | PROT_WRITE));
	return (struct ram_slot){ gpa, size, all + GUARD_SIZE };
}

static void build_ram(struct ram *ram)
{
	ram->slot[0] = guarded(0, LOW_SIZE);
	ram->slot[1] = guarded(LAYOUT_HIGH_RAM_BASE, HIGH_SIZE);
	/* The tables are there already when a kernel is loaded. */
	assert(!mprotect(ram->slot[0].host + LAYOUT_ACPI_BASE, LAYOUT_ACPI_SIZE, PROT_NONE));
}

/* As a new VM has it: all zero. */
static void freshen(const struct ram *ram)
{
	for (unsigned int i = 0; i < 2; i++)
		assert(!madvise(ram->slot[i].host, ram->slot[i].size, MADV_DONTNEED));
}

static void check_module(const struct ram *ram, uint64_t address, uint64_t size)
{
	const char *at = ram_ptr(ram, address, size);

	assert(at && address >= LAYOUT_KERNEL_MIN && size >= sizeof(module_text));
	assert(!memcmp(at, module_text, sizeof(module_text)));
}

static void check_linux(const struct boot_request *request, const struct boot_state *state)
{
	const struct linux_boot_params *params = ram_ptr(request->ram, state->rsi, sizeof(*params));

	assert(state->mode == BOOT_LONG64 && params && params->header.magic == LINUX_MAGIC);
	if (request->module_count)
		check_module(request->ram, params->header.ramdisk_image,
			     params->header.ramdisk_size);
}

static void check_pvh(const struct boot_request *request, const struct boot_state *state)
{
	const struct pvh_start_info *info = ram_ptr(request->ram, state->rbx, sizeof(*info));
	const struct pvh_module *module;

	assert(state->mode == BOOT_PROTECTED32 && info && info->magic == PVH_START_MAGIC);
	if (!request->module_count)
		return;
	module = ram_ptr(request->ram, info->modlist_paddr, sizeof(*module));
	assert(module);
	check_module(request->ram, module->paddr, module->size);
}

static void check_multiboot(const struct boot_request *request, const struct boot_state *state)
{
	const struct multiboot_info *info = ram_ptr(request->ram, state->rbx, sizeof(*info));
	const struct multiboot_module *module;

	assert(state->mode == BOOT_PROTECTED32 && info);
	assert(info->mods_count == request->module_count);
	module = ram_ptr(request->ram, info->mods_addr, info->mods_count * sizeof(*module));
	for (unsigned int i = 0; i < info->mods_count; i++)
		check_module(request->ram, module[i].mod_start,
			     module[i].mod_end - module[i].mod_start);
}

static void check_loaded(const struct boot_request *request, const struct boot_state *state)
{
	static void (*const check[])(const struct boot_request *, const struct boot_state *) = {
		[BOOT_LINUX] = check_linux,
		[BOOT_PVH] = check_pvh,
		[BOOT_MULTIBOOT] = check_multiboot,
	};

	assert(state->rip >= LAYOUT_BOOT_END && state->rip < 4 * GIB);
	assert(ram_ptr(request->ram, state->rip, 1));
	assert(ram_ptr(request->ram, state->gdt_base, state->gdt_limit + 1));
	check[state->protocol](request, state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_file kernel = { .fd = -1 }, modules[2];
	static struct ram ram;
	struct boot_request request = { .ram = &ram, .module = modules, .rsdp = LAYOUT_ACPI_BASE };
	char error[BOOT_ERROR_SIZE] = "", checked[BOOT_ERROR_SIZE], path[64];
	struct boot_state state;
	int kind, rc;

	if (kernel.fd < 0) {
		kernel = boot_image_file("kernel", "", 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++)
			modules[i] = boot_image_file("m", module_text, sizeof(module_text));
		build_ram(&ram);
	}
	if (!size)
		return 0;
	kernel.size = size - 1;
	assert(!ftruncate(kernel.fd, 0));
	assert(pwrite(kernel.fd, data + 1, size - 1, 0) == (ssize_t)(size - 1));
	request.kernel = kernel;
	request.module_count = data[0] & WITH_MODULES ? ARRAY_SIZE(modules) : 0;
	request.cmdline = data[0] & WITH_CMDLINE ? "console=ttyS0" : NULL;
	ram.count = data[0] & WITH_HIGH_RAM ? 2 : 1;
	freshen(&ram);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", kernel.fd);
	kind = boot_identify(path, error, sizeof(error));
	assert(kind >= 0 || error[0]);
	rc = boot_load(&request, &state, error, sizeof(error));
	assert(rc == boot_check(&request, LOW_SIZE, checked, sizeof(checked)));
	assert(!rc || !strcmp(error, checked));
	if (rc)
		assert(rc < 0 && error[0] && !strchr(error, '\n'));
	else
		check_loaded(&request, &state);
	assert(rc || (int)state.protocol == kind);
	return 0;
}
