/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Diagnostics on stderr, one line each: "nidus: [level] module: text".
 *
 * Levels can be set for all modules or for one of them (--log info,blk=debug). Every function here
 * may be called from any thread; a line is written by a single write(2), so lines never mix. What a
 * guest can provoke without bound is logged through log_guest(), which is limited per call site.
 */
#ifndef NIDUS_DEVICES_LOG_H
#define NIDUS_DEVICES_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE, /* the default: what a user wants to know who asked for nothing */
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVELS
};

#define LOG_MODULES(X)        \
	X(VMM, "vmm")         \
	X(KVM, "kvm")         \
	X(BOOT, "boot")       \
	X(PCI, "pci")         \
	X(IRQ, "irq")         \
	X(VIRTIO, "virtio")   \
	X(BLK, "blk")         \
	X(NET, "net")         \
	X(SERIAL, "serial")   \
	X(SANDBOX, "sandbox") \
	X(CONTROL, "control") \
	X(VTD, "vtd")         \
	X(VFIO, "vfio")       \
	X(SDMA, "sdma")

enum log_module {
#define LOG_ENUM(id, name) LOG_##id,
	LOG_MODULES(LOG_ENUM)
#undef LOG_ENUM
		LOG_MODULE_COUNT
};

/*
 * Sets levels from @spec: a comma separated list of "level" or "module=level". Returns 0, or
 * -EINVAL and points *@bad at the part that was not understood. Call before threads start.
 */
int log_configure(const char *spec, const char **bad);

/* The same without setting anything: whether log_configure() would take @spec. */
int log_check(const char *spec, const char **bad);

const char *log_level_name(enum log_level level);
const char *log_module_name(enum log_module module);
bool log_enabled(enum log_module module, enum log_level level);

__attribute__((format(printf, 3, 4))) void log_write(enum log_module module, enum log_level level,
						     const char *format, ...);

#define log_error(module, ...)	log_write(LOG_##module, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(module, ...)	log_write(LOG_##module, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_notice(module, ...) log_write(LOG_##module, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(module, ...)	log_write(LOG_##module, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(module, ...)                                                 \
	do {                                                                   \
		if (log_enabled(LOG_##module, LOG_LEVEL_DEBUG))                \
			log_write(LOG_##module, LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

/* Each call site may speak this often; the last line says that the rest is dropped. */
#define LOG_GUEST_LIMIT 16

bool log_guest_allowed(unsigned int *count, enum log_module module);

/* A warning about something the guest did: bounded, so that a guest cannot fill the host's log. */
#define log_guest(module, ...)                                         \
	do {                                                           \
		static unsigned int log_guest_count;                   \
		if (log_guest_allowed(&log_guest_count, LOG_##module)) \
			log_warn(module, __VA_ARGS__);                 \
	} while (0)

#endif
