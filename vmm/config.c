// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The description of a VM as plain data: defaults, release, printing. What may be set is in keys.c,
 * what must hold is in validate.c.
 */
#include "vmm/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "devices/edu.h"
#include "viommu/vtd.h"
#include "vmm/keys.h"

int config_fail(struct config_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	/* cppcheck-suppress ctuuninitvar ; it is written, not read */
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	/* The text quotes what was given: it must stay one line and not drive the terminal. */
	for (char *p = error->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return -EINVAL;
}

void config_disk_init(void *disk)
{
	*(struct disk_config *)disk = (struct disk_config){ .fd = -1, .queues = 1 };
}

void config_net_init(void *net)
{
	*(struct net_config *)net = (struct net_config){ .fd = -1, .queues = 1, .offload = true };
}

void config_initrd_init(void *initrd)
{
	*(struct initrd_config *)initrd = (struct initrd_config){ 0 };
}

void config_vtd_init(void *vtd)
{
	struct vtd_config unit;

	vtd_config_init(&unit);
	*(struct vtd_options *)vtd = (struct vtd_options){ .aw = unit.aw,
							   .pasid_bits = unit.pasid_bits,
							   .domain_bits = unit.domain_bits,
							   .pasid_quota = unit.pasid_quota,
							   .fault_records = unit.fault_records };
}

void config_sdma_init(void *sdma)
{
	*(struct sdma_config *)sdma = (struct sdma_config){ .queues = 8 };
}

void config_edu_init(void *edu)
{
	*(struct edu_config *)edu = (struct edu_config){ .dma_mask = EDU_DMA_BITS };
}

void config_vfio_init(void *vfio)
{
	*(struct vfio_options *)vfio = (struct vfio_options){ .fd = -1, .iommufd = -1 };
}

void config_init(struct vm_config *config)
{
	*config = (struct vm_config){
		.cpus = 1,
		.memory = UINT64_C(512) << 20,
		.serial = { .kind = STREAM_STDIO },
		.rng = true,
		.exit_port_base = CONFIG_EXIT_PORT,
	};
}

void config_free(struct vm_config *config)
{
	for (unsigned int i = 0; i < config->disk_count; i++) {
		free(config->disk[i].path);
		free(config->disk[i].serial);
	}
	for (unsigned int i = 0; i < config->net_count; i++)
		free(config->net[i].tap);
	for (unsigned int i = 0; i < config->initrd_count; i++) {
		free(config->initrd[i].path);
		free(config->initrd[i].args);
	}
	for (unsigned int i = 0; i < config->vtd_count; i++)
		free(config->vtd[i].devices);
	for (unsigned int i = 0; i < config->edu_count; i++)
		free(config->edu[i].rom);
	for (unsigned int i = 0; i < config->vfio_count; i++)
		free(config->vfio[i].device);
	free(config->name);
	free(config->kernel);
	free(config->cmdline);
	free(config->cpu);
	free(config->serial.path);
	free(config->console.path);
	free(config->log);
	config_init(config);
}

/* Writes @text with what would break the line, or drive a terminal, in C's notation. */
static void print_line(const char *text, FILE *out)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, out);
	fputc('\n', out);
}

static void print_object(const struct group *group, const struct vm_config *config,
			 unsigned int index, FILE *out)
{
	char label[32];
	char *text = NULL;
	size_t size;
	FILE *line = open_memstream(&text, &size);
	bool any;

	if (!line)
		return;
	any = group_print(group, config, index, line);
	if (fclose(line) || !any) {
		free(text);
		return;
	}
	if (group->max)
		snprintf(label, sizeof(label), "%s %u", group->option.name, index);
	else
		snprintf(label, sizeof(label), "%s", group->option.name);
	fprintf(out, "%-12s", label);
	print_line(text, out);
	free(text);
}

void config_print(const struct vm_config *config, FILE *out)
{
	for (unsigned int i = 0; i < group_count; i++)
		for (unsigned int j = 0; j < group_objects(&groups[i], config); j++)
			print_object(&groups[i], config, j, out);
}
