// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report of `nidus caps`; what it asks is in caps_kvm.c, caps_system.c and caps_iommu.c.
 */
#include "vmm/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static long real_ioctl(int fd, unsigned long request, unsigned long argument)
{
	int r = ioctl(fd, request, argument);

	return r < 0 ? -errno : r;
}

static long real_call(long number, unsigned long a, unsigned long b, unsigned long c,
		      unsigned long d)
{
	long r = syscall(number, a, b, c, d);

	return r < 0 ? -errno : r;
}

const struct caps_host caps_this_host = { .root = "", .ioctl = real_ioctl, .call = real_call };

int caps_open(const struct caps_host *host, const char *path, int flags)
{
	char name[PATH_MAX];
	int fd;

	snprintf(name, sizeof(name), "%s%s", host->root, path);
	fd = open(name, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

struct cap *caps_add(struct caps *caps, const char *name, bool required)
{
	/* A host with very many IOMMU units has the last ones share a line. */
	struct cap *cap = &caps->cap[caps->count < CAPS_MAX ? caps->count++ : CAPS_MAX - 1];

	*cap = (struct cap){ .required = required };
	snprintf(cap->name, sizeof(cap->name), "%s", name);
	return cap;
}

void cap_yes(struct cap *cap, const char *found, ...)
{
	va_list args;

	cap->ok = true;
	va_start(args, found);
	vsnprintf(cap->found, sizeof(cap->found), found, args);
	va_end(args);
}

void cap_no(struct cap *cap, const char *remedy, const char *found, ...)
{
	va_list args;

	cap->ok = false;
	snprintf(cap->remedy, sizeof(cap->remedy), "%s", remedy);
	va_start(args, found);
	vsnprintf(cap->found, sizeof(cap->found), found, args);
	va_end(args);
}

void caps_probe(struct caps *caps, const struct caps_host *host)
{
	caps->count = 0;
	caps_probe_kvm(caps, host);
	caps_probe_system(caps, host);
	caps_probe_iommu(caps, host);
}

bool caps_usable(const struct caps *caps)
{
	for (unsigned int i = 0; i < caps->count; i++)
		if (caps->cap[i].required && !caps->cap[i].ok)
			return false;
	return true;
}

static void print_json_string(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, out);
	fputc('"', out);
}

static void print_json(const struct caps *caps, FILE *out)
{
	fputs("[", out);
	for (unsigned int i = 0; i < caps->count; i++) {
		const struct cap *cap = &caps->cap[i];

		fprintf(out, "%s{\"name\": ", i ? ",\n " : "");
		print_json_string(cap->name, out);
		fprintf(out,
			", \"ok\": %s, \"required\": %s, \"found\": ", cap->ok ? "true" : "false",
			cap->required ? "true" : "false");
		print_json_string(cap->found, out);
		fputs(", \"remedy\": ", out);
		print_json_string(cap->remedy, out);
		fputs("}", out);
	}
	fputs("]\n", out);
}

void caps_print(const struct caps *caps, bool json, FILE *out)
{
	if (json) {
		print_json(caps, out);
		return;
	}
	for (unsigned int i = 0; i < caps->count; i++) {
		const struct cap *cap = &caps->cap[i];

		fprintf(out, "%-4s %-24s %s%s%s\n", cap->ok ? "yes" : "no", cap->name, cap->found,
			cap->ok ? "" : "; ", cap->ok ? "" : cap->remedy);
	}
	fputs(caps_usable(caps) ? "This host runs guests.\n"
				: "This host does not run Linux guests: see the lines above.\n",
	      out);
}
