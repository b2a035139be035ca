/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the configuration's files to a vCPU that is about to run them.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/acpi.h"
#include "vmm/boot.h"
#include "vmm/iommu.h"
#include "vmm/kernel.h"
#include "vmm/vm.h"

static int build_tables(struct machine *machine, uint64_t *rsdp)
{
	struct acpi_config acpi = {
		.cpus = machine->config->cpus,
		.serial = true,
		.pci = &machine->pci.windows,
	};
	uint8_t dmar[IOMMU_TABLE_SIZE];
	int rc = iommu_table(machine, dmar, sizeof(dmar));

	if (rc > 0)
		acpi.extra[acpi.extra_count++] = (struct acpi_table){ dmar, (uint32_t)rc };
	if (rc >= 0)
		rc = acpi_build(&acpi, &machine->ram, rsdp);
	if (rc)
		log_error(BOOT, "the ACPI tables do not fit: %s", strerror(-rc));
	return rc;
}

/* Opens the kernel and its files; what was opened is in @request either way. */
static int open_files(const struct vm_config *config, struct boot_request *request,
		      struct boot_file *modules, char *error, size_t size)
{
	int rc = boot_file_open(&request->kernel, config->kernel, error, size);

	for (unsigned int i = 0; i < config->initrd_count && !rc; i++) {
		rc = boot_file_open(&modules[i], config->initrd[i].path, error, size);
		modules[i].args = config->initrd[i].args;
		request->module_count = i + 1;
	}
	return rc;
}

static void close_files(struct boot_request *request, struct boot_file *modules)
{
	for (unsigned int i = 0; i < request->module_count; i++)
		boot_file_close(&modules[i]);
	boot_file_close(&request->kernel);
}

static int start_vcpus(struct machine *machine, const struct boot_state *state)
{
	int rc = 0;

	for (unsigned int i = 0; i < machine->config->cpus && !rc; i++)
		rc = vcpu_reset(&machine->vcpu[i], state);
	return rc;
}

int kernel_check(const struct vm_config *config, char *error, size_t size)
{
	struct boot_file modules[CONFIG_INITRDS] = { 0 };
	struct boot_request request = {
		.kernel = { .fd = -1 },
		.module = modules,
		.cmdline = config->cmdline,
	};
	int rc = open_files(config, &request, modules, error, size);

	if (!rc)
		rc = boot_check(&request, config->memory, error, size);
	close_files(&request, modules);
	return rc;
}

/* What a restart reads again. */
struct kernel_files {
	struct boot_file module[CONFIG_INITRDS];
	struct boot_request request;
};

int kernel_start(struct machine *machine)
{
	struct boot_request *request = &machine->kernel_files->request;
	char error[BOOT_ERROR_SIZE] = "";
	struct boot_state state = { 0 };
	int rc = build_tables(machine, &request->rsdp);

	if (rc)
		return rc;
	rc = boot_load(request, &state, error, sizeof(error));
	if (rc) {
		log_error(BOOT, "%s", error);
		return rc;
	}
	return start_vcpus(machine, &state);
}

void kernel_close(struct machine *machine)
{
	struct kernel_files *files = machine->kernel_files;

	if (!files)
		return;
	close_files(&files->request, files->module);
	free(files);
	machine->kernel_files = NULL;
}

int kernel_load(struct machine *machine)
{
	const struct vm_config *config = machine->config;
	struct kernel_files *files = calloc(1, sizeof(*files));
	char error[BOOT_ERROR_SIZE] = "";
	int rc;

	if (!files)
		return -ENOMEM;
	machine->kernel_files = files;
	files->request = (struct boot_request){
		.ram = &machine->ram,
		.kernel = { .fd = -1 },
		.module = files->module,
		.cmdline = config->cmdline,
	};
	rc = open_files(config, &files->request, files->module, error, sizeof(error));
	if (rc)
		log_error(BOOT, "%s", error);
	else
		rc = kernel_start(machine);
	if (rc || !config->restart)
		kernel_close(machine);
	return rc;
}
