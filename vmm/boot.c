/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which protocol a kernel is loaded by, and what all protocols share; see boot.h.
 */
#include "vmm/boot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/boot_parts.h"
#include "vmm/layout.h"

/* In order of preference: an image may be good for more than one. */
static const struct {
	enum boot_protocol protocol;
	const char *name;
	int (*probe)(struct boot *boot, const struct boot_file *file);
	int (*load)(struct boot *boot);
} protocols[] = {
	{ BOOT_LINUX, "the 64-bit Linux boot protocol", boot_linux_probe, boot_linux_load },
	{ BOOT_PVH, "PVH", boot_pvh_probe, boot_pvh_load },
	{ BOOT_MULTIBOOT, "multiboot 1", boot_multiboot_probe, boot_multiboot_load },
};

int boot_fail(struct boot *boot, const char *format, ...)
{
	va_list args;

	if (!boot->error_size)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(boot->error, boot->error_size, format, args);
	va_end(args);
	/* Names of files may contain anything, a message is one line. */
	for (char *at = boot->error; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	return -EINVAL;
}

/* --- Files --- */

static int open_regular(const char *path, uint64_t *size)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its other end. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
		*size = (uint64_t)status.st_size;
		return fd;
	}
	close(fd);
	return -ENXIO;
}

int boot_file_open(struct boot_file *file, const char *path, char *error, size_t n)
{
	struct boot boot = { .error = error, .error_size = n };

	*file = (struct boot_file){ .name = path, .fd = -1 };
	file->fd = open_regular(path, &file->size);
	if (file->fd >= 0)
		return 0;
	if (file->fd == -ENXIO)
		return boot_fail(&boot, "%s: not a regular file; give the path of one", path);
	boot_fail(&boot, "%s: cannot be read: %s", path, strerror(-file->fd));
	return file->fd;
}

void boot_file_close(struct boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int boot_read(struct boot *boot, const struct boot_file *file, uint64_t offset, void *to,
	      uint64_t len)
{
	uint8_t *at = to;

	/* Bounded: every turn reads something or ends. */
	while (len) {
		ssize_t got = pread(file->fd, at, min_u64(len, GIB), (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			int rc = got < 0 ? -errno : -EIO;

			boot_fail(boot, "%s: reading at offset %" PRIu64 ": %s", file->name, offset,
				  got < 0 ? strerror(errno) : "the file has become shorter");
			return rc;
		}
		at += got;
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

/* --- Guest RAM --- */

int boot_read_ram(struct boot *boot, const struct boot_file *file, uint64_t offset, uint64_t gpa,
		  uint64_t len)
{
	void *to = ram_ptr(boot->request->ram, gpa, len);

	if (!len)
		return 0;
	if (boot->dry)
		return 0;
	if (!to)
		return boot_fail(boot, "%s: %" PRIu64 " bytes at %#" PRIx64 " are not in RAM",
				 file->name, len, gpa);
	return boot_read(boot, file, offset, to, len);
}

void *boot_area(struct boot *boot, uint64_t gpa, uint64_t len)
{
	/* boot_load() has checked that the first slot holds the first megabyte. */
	return ram_ptr(boot->request->ram, gpa, len);
}

uint64_t boot_low_end(const struct boot *boot)
{
	return min_u64(boot->request->ram->slot[0].size, LAYOUT_LOW_RAM_MAX);
}

int boot_fail_memory(struct boot *boot, uint64_t end)
{
	const char *name = boot->request->kernel.name;
	uint64_t low = boot_low_end(boot);

	if (end > LAYOUT_LOW_RAM_MAX)
		return boot_fail(boot,
				 "kernel %s: needs memory up to %#" PRIx64
				 ", the guest's ends at 3 GiB; link it lower",
				 name, end);
	return boot_fail(boot,
			 "kernel %s: needs %" PRIu64 " MiB of memory, the guest has %" PRIu64
			 " MiB; use -m %" PRIu64 "M or more",
			 name, align_up(end, MIB) / MIB, low / MIB, align_up(end, MIB) / MIB);
}

int boot_check_image(struct boot *boot, uint64_t gpa, uint64_t len)
{
	const struct {
		uint64_t base, end;
		const char *name;
	} taken[] = {
		{ 0, LAYOUT_BOOT_END, "boot information" },
		{ LAYOUT_EBDA_BASE, LAYOUT_KERNEL_MIN, "the holes and tables of a PC" },
	};

	if (!range_fits(gpa, len, LAYOUT_LOW_RAM_MAX))
		return boot_fail_memory(boot, len > UINT64_MAX - gpa ? UINT64_MAX : gpa + len);
	if (!range_fits(gpa, len, boot_low_end(boot)))
		return boot_fail_memory(boot, gpa + len);
	for (unsigned int i = 0; i < ARRAY_SIZE(taken); i++)
		if (ranges_overlap(gpa, len, taken[i].base, taken[i].end - taken[i].base))
			return boot_fail(boot,
					 "kernel %s: its bytes %#" PRIx64 "-%#" PRIx64
					 " overlap %s at %#" PRIx64 "-%#" PRIx64
					 "; link it at 1 MiB or higher",
					 boot->request->kernel.name, gpa, gpa + len - 1,
					 taken[i].name, taken[i].base, taken[i].end - 1);
	return 0;
}

int boot_cmdline(struct boot *boot, uint64_t max)
{
	const char *text = boot->request->cmdline ? boot->request->cmdline : "";
	uint64_t len = strlen(text);

	max = min_u64(max, LAYOUT_CMDLINE_SIZE - 1);
	if (len > max)
		return boot_fail(boot,
				 "-p: the command line has %" PRIu64 " bytes, kernel %s takes at "
				 "most %" PRIu64 "; shorten it",
				 len, boot->request->kernel.name, max);
	memcpy(boot_area(boot, LAYOUT_CMDLINE_BASE, len + 1), text, len + 1);
	return 0;
}

/* --- Initrd --- */

/* Linux unpacks concatenated archives if each starts at a multiple of four (initramfs format). */
#define INITRD_ALIGN 4

/* Bytes of all modules together; more than 3 GiB if they cannot fit anyway. Cannot overflow. */
static uint64_t initrd_size(const struct boot_request *request)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < request->module_count; i++)
		total = align_up(total, INITRD_ALIGN) +
			min_u64(request->module[i].size, LAYOUT_LOW_RAM_MAX);
	return total;
}

static int fail_initrd(struct boot *boot, uint64_t size, uint64_t floor, uint64_t ceiling)
{
	uint64_t need = align_up(align_up(floor, PAGE_SIZE_4K) + size, MIB);

	if (need > min_u64(ceiling, LAYOUT_LOW_RAM_MAX))
		return boot_fail(boot,
				 "initrd %s: %" PRIu64 " bytes are too many: this kernel takes at "
				 "most %" PRIu64 "; use a smaller one",
				 boot->request->module[0].name, size,
				 ceiling > floor ? align_down(ceiling - floor, PAGE_SIZE_4K) : 0);
	return boot_fail(boot,
			 "initrd %s: %" PRIu64 " bytes do not fit beside the kernel, which needs "
			 "%" PRIu64 " MiB of the guest's %" PRIu64 " MiB; use -m %" PRIu64
			 "M or more",
			 boot->request->module[0].name, size, align_up(floor, MIB) / MIB,
			 boot_low_end(boot) / MIB, need / MIB);
}

int boot_initrd(struct boot *boot, uint64_t floor, uint64_t ceiling, uint64_t *address,
		uint64_t *size)
{
	const struct boot_request *request = boot->request;
	uint64_t top = min_u64(ceiling, boot_low_end(boot)), at;

	*address = 0;
	*size = initrd_size(request);
	if (!*size)
		return 0;
	if (*size > top || align_down(top - *size, PAGE_SIZE_4K) < floor)
		return fail_initrd(boot, *size, floor, ceiling);
	at = *address = align_down(top - *size, PAGE_SIZE_4K);
	for (unsigned int i = 0; i < request->module_count; i++) {
		const struct boot_file *file = &request->module[i];
		int rc;

		if (file->args)
			return boot_fail(boot,
					 "initrd %s: \"%s\" cannot be handed to kernel %s: only "
					 "multiboot modules have arguments; leave them out",
					 file->name, file->args, request->kernel.name);
		at = align_up(at, INITRD_ALIGN);
		rc = boot_read_ram(boot, file, 0, at, file->size);
		if (rc)
			return rc;
		at += file->size;
	}
	return 0;
}

/* --- Dispatch --- */

/* The index in protocols[], or negative errno. */
static int find_protocol(struct boot *boot, const struct boot_file *file)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(protocols); i++) {
		int rc = protocols[i].probe(boot, file);

		if (rc)
			return rc < 0 ? rc : (int)i;
	}
	return boot_fail(boot,
			 "kernel %s: neither a bzImage, a vmlinux with a PVH note, nor a multiboot "
			 "image; give a Linux kernel such as /boot/vmlinuz-*",
			 file->name);
}

int boot_identify(const char *path, char *error, size_t n)
{
	struct boot boot = { .error = error, .error_size = n };
	struct boot_file file;
	int rc = boot_file_open(&file, path, error, n);

	if (rc)
		return rc;
	rc = find_protocol(&boot, &file);
	boot_file_close(&file);
	return rc < 0 ? rc : (int)protocols[rc].protocol;
}

static int load(struct boot *boot)
{
	const struct boot_request *request = boot->request;
	int which, rc;

	if (!range_fits(LAYOUT_KERNEL_MIN, 1, boot_low_end(boot)))
		return boot_fail(boot, "-m: the guest needs more than 1 MiB of memory");
	if (request->module_count > BOOT_MODULES_MAX)
		return boot_fail(boot, "-i: %u files are more than %u; concatenate some",
				 request->module_count, BOOT_MODULES_MAX);
	which = find_protocol(boot, &request->kernel);
	if (which < 0)
		return which;
	*boot->state = (struct boot_state){ .protocol = protocols[which].protocol };
	rc = protocols[which].load(boot);
	if (!rc && !boot->dry)
		log_debug(BOOT, "%s: loaded by %s, starts at %#" PRIx64, request->kernel.name,
			  protocols[which].name, boot->state->rip);
	return rc;
}

int boot_load(const struct boot_request *request, struct boot_state *state, char *error, size_t n)
{
	struct boot boot = { request, state, error, n, false };

	return load(&boot);
}

/* Loaders write to the boot area, so there is one; all the rest of RAM is pretended. */
int boot_check(const struct boot_request *request, uint64_t memory, char *error, size_t n)
{
	struct boot_request copy = *request;
	struct boot_state state;
	struct boot boot = { NULL, &state, error, n, true };
	struct ram ram = { .count = 1,
			   .slot[0].size = min_u64(memory, LAYOUT_LOW_RAM_MAX),
			   .slot[0].host = calloc(1, LAYOUT_BOOT_END) };
	int rc = -ENOMEM;

	copy.ram = &ram;
	boot.request = &copy;
	if (ram.slot[0].host)
		rc = load(&boot);
	else
		boot_fail(&boot, "kernel %s: no memory to check it", request->kernel.name);
	free(ram.slot[0].host);
	return rc;
}
