/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few ports by which a guest ends itself: the exit port of test kernels, the keyboard
 * controller's reset line, and ACPI's sleep control and status. (0xcf9 is the PCI host's.)
 */
#include "vmm/ports.h"

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

#define I8042_RESET_CPU	 0xfe
#define I8042_NOTHING	 0x00 /* no byte waits, none is being taken */
#define SLEEP_ENABLE	 (1U << 5)
#define SLEEP_TYPE_SHIFT 2
#define WAKE_STATUS	 (1U << 7)

/* The convention of QEMU's isa-debug-exit, which test kernels know: code << 1 | 1. */
static void exit_port(void *context, struct bus_access *access)
{
	if (access->is_write)
		machine_end(context, MACHINE_EXIT_PORT, (uint32_t)access->value << 1 | 1);
	else
		access->value = 0;
}

static void i8042_command(void *context, struct bus_access *access)
{
	if (!access->is_write)
		access->value = I8042_NOTHING;
	else if ((access->value & 0xff) == I8042_RESET_CPU)
		machine_end(context, MACHINE_RESET, 0);
}

/* ACPI 6.5, 4.8.3.7: control and status registers of hardware-reduced machines. */
static void sleep_control(void *context, struct bus_access *access)
{
	unsigned int type = access->value >> SLEEP_TYPE_SHIFT & 7;

	if (!access->is_write)
		access->value = 0;
	else if (access->value & SLEEP_ENABLE && type == LAYOUT_SLEEP_TYPE_S5)
		machine_end(context, MACHINE_POWEROFF, 0);
}

static void sleep_status(void *context, struct bus_access *access)
{
	(void)context;
	if (!access->is_write)
		access->value = WAKE_STATUS;
}

int ports_init(struct machine *machine)
{
	const struct {
		bool wanted;
		uint16_t port, size;
		bus_handler *handler;
		const char *name;
	} ports[] = {
		{ machine->config->exit_port, machine->config->exit_port_base, 4, exit_port,
		  "exit-port" },
		{ true, LAYOUT_I8042_COMMAND, 1, i8042_command, "i8042" },
		{ true, LAYOUT_SLEEP_CONTROL, 1, sleep_control, "sleep-control" },
		{ true, LAYOUT_SLEEP_STATUS, 1, sleep_status, "sleep-status" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
		struct bus_region region = { .base = ports[i].port,
					     .size = ports[i].size,
					     .handler = ports[i].handler,
					     .context = machine,
					     .name = ports[i].name };
		int rc = ports[i].wanted ? bus_add(&machine->pio, &region) : 0;

		if (rc) {
			log_error(VMM, "%s at port %#x: taken by another device", ports[i].name,
				  ports[i].port);
			return rc;
		}
	}
	return 0;
}
