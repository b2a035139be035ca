// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ways in which `nidus bench` gives a device to who uses it: guests of our own, each a `nidus
 * run` whose init runs sdma-perf with the words of every line of its console; or the host itself,
 * where a shell does the same.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/vfio.h"
#include "vmm/bench.h"
#include "vmm/control.h"
#include "vmm/keys.h"

#define BOOT_SECONDS  600 /* an emulated processor may be very slow */
#define ARGUMENTS_MAX (2 * CONFIG_INITRDS + 32)

/* What init does: a line of words for sdma-perf, its output, and how it ended. */
#define LOOP "echo ready; while read w; do %s $w 2>&1; echo done $?; done"

static const struct way {
	const char *vtd;  /* its --vtd; NULL: none */
	const char *sdma; /* its --sdma */
	const char *vfio; /* its --vfio, with the device for %s */
	const char *without_sva;
} ways[BENCH_MODES] = {
	[BENCH_NATIVE] = { 0 },
	[BENCH_DIRECT] = { .vfio = "--vfio=%s",
			   .without_sva = "without a unit there are no PASIDs" },
	[BENCH_NESTED] = { .vtd = "--vtd=nested=auto", .vfio = "--vfio=%s,nested=on" },
	[BENCH_SHADOWED] = { .vtd = "--vtd=first-stage=off",
			     .vfio = "--vfio=%s,nested=off",
			     .without_sva = "Linux shares address spaces by first-stage tables "
					    "only" },
	[BENCH_EMULATED] = { .vtd = "--vtd=nested=auto", .sdma = "--sdma=queues=4" },
};

const char *bench_without_sva(enum bench_mode mode)
{
	return ways[mode].without_sva;
}

/* --- Guests --- */

/* Arguments of a command, which are freed together. */
struct arguments {
	char *word[ARGUMENTS_MAX + 1];
	unsigned int count;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add_word(struct arguments *arguments,
							   const char *format, ...)
{
	va_list values;

	if (arguments->count == ARGUMENTS_MAX) {
		arguments->failed = true;
		return;
	}
	va_start(values, format);
	if (vasprintf(&arguments->word[arguments->count], format, values) < 0)
		arguments->failed = true;
	else
		arguments->count++;
	va_end(values);
}

static void free_words(struct arguments *arguments)
{
	while (arguments->count)
		free(arguments->word[--arguments->count]);
}

/* The options of @group, as the user could have written them. */
static void add_group(struct arguments *arguments, const struct group *group,
		      const struct vm_config *config)
{
	for (unsigned int i = 0; i < group_objects(group, config); i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		bool there = out && group_print(group, config, i, out);

		if (!out || fclose(out))
			arguments->failed = true;
		else if (there)
			add_word(arguments, "--%s=%s", group->option.name, text);
		free(text);
	}
}

/* What the command line has of the user's own. */
static const char *const passed_on[] = { "kernel", "initrd", "cpus", "memory" };

static void add_guest(struct arguments *arguments, const struct bench_target *target,
		      const struct way *way)
{
	const struct bench_options *options = target->options;

	add_word(arguments, "/proc/self/exe");
	add_word(arguments, "run");
	add_word(arguments, "--name=%s", target->name);
	add_word(arguments, "--no-rng");
	for (unsigned int i = 0; i < group_count; i++)
		for (size_t j = 0; j < ARRAY_SIZE(passed_on); j++)
			if (!strcmp(groups[i].option.name, passed_on[j]))
				add_group(arguments, &groups[i], options->config);
	add_word(arguments,
		 "--cmdline=console=ttyS0 quiet loglevel=0 panic=-1 intel_iommu=on,sm_on "
		 "iommu.passthrough=0 iommu.strict=1 nidus.cmd=\"stty -echo; " LOOP "\"",
		 "sdma-perf");
	if (way->vtd)
		add_word(arguments, "%s", way->vtd);
	if (way->sdma)
		add_word(arguments, "%s", way->sdma);
	if (way->vfio) {
		const char *place = strchr(way->vfio, '%');

		add_word(arguments, "%.*s%s%s", (int)(place - way->vfio), way->vfio,
			 options->device, place + 2);
	}
}

/* --- The host --- */

/* The file of a device that has the driver sdma. */
static bool find_node(const char *address, char node[32])
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	node[0] = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/sdma", address);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "sdma", 4))
			snprintf(node, 32, "/dev/%.20s", entry->d_name);
	if (dir)
		closedir(dir);
	return node[0];
}

/* Gives the device to the host's driver for it; @node gets its file in /dev. */
static int take_native(struct bench_target *target, char node[32], struct config_error *error)
{
	const char *device = target->options->device;
	char address[16], driver[32], text[512];
	int rc = vfio_driver(device, address, driver, text, sizeof(text));

	if (rc)
		return config_fail(error, "%s", text);
	if (access("/sys/bus/pci/drivers/sdma", F_OK))
		return config_fail(error, "this host's kernel has no driver sdma loaded: see "
					  "guest-tests/linux");
	if (strcmp(driver, "sdma")) {
		target->give_back = !strcmp(driver, "vfio-pci");
		rc = vfio_unbind(device, text, sizeof(text));
		if (rc)
			return config_fail(error, "%s", text);
	}
	return find_node(address, node)
		       ? 0
		       : config_fail(error, "%s: the driver sdma does not take it; dmesg says why",
				     device);
}

static int add_native(struct arguments *arguments, struct bench_target *target,
		      struct config_error *error)
{
	char node[32];
	int rc = take_native(target, node, error);

	if (rc)
		return rc;
	add_word(arguments, "/bin/sh");
	add_word(arguments, "-c");
	add_word(arguments, LOOP, "\"$1\" --device \"$2\"");
	add_word(arguments, "sh");
	add_word(arguments, "%s", target->options->native);
	add_word(arguments, "%s", node);
	return 0;
}

/* --- Both --- */

static int fail_start(struct bench_target *target, int rc, struct config_error *error)
{
	char line[BENCH_LINE];

	if (rc == -EINTR)
		return rc;
	if (rc == -ETIMEDOUT)
		config_fail(error,
			    "no answer within %d s: is there an initramfs among its initrds "
			    "that was made by guest-tests/linux/initramfs/build --sdma?",
			    BOOT_SECONDS);
	else if (*session_complaint(&target->session, line))
		config_fail(error, "%s", line + (strncmp(line, "nidus: ", 7) ? 0 : 7));
	else
		config_fail(error, "it ended before it was ready");
	return -EIO;
}

static int wait_ready(struct bench_target *target)
{
	int64_t deadline = bench_deadline(BOOT_SECONDS);
	char line[BENCH_LINE];
	int rc;

	do
		rc = session_hear(&target->session, line, deadline);
	while (!rc && strcmp(line, "ready"));
	return rc;
}

int bench_open(struct bench_target *target, enum bench_mode mode,
	       const struct bench_options *options, struct config_error *error)
{
	struct arguments arguments = { .count = 0 };
	int rc = 0;

	*target = (struct bench_target){ .mode = mode, .options = options };
	target->session =
		(struct bench_session){ .pid = -1, .to = -1, .from = -1, .complaints = -1 };
	if (mode == BENCH_NATIVE) {
		rc = add_native(&arguments, target, error);
	} else {
		snprintf(target->name, sizeof(target->name), "bench-%d-%s", getpid(),
			 bench_mode_names[mode]);
		add_guest(&arguments, target, &ways[mode]);
	}
	if (!rc && arguments.failed)
		rc = config_fail(error, "out of memory");
	if (!rc) {
		rc = session_start(&target->session, arguments.word, options->signals);
		if (rc)
			config_fail(error, "cannot start it: %s", strerror(-rc));
	}
	free_words(&arguments);
	if (!rc) {
		rc = wait_ready(target);
		if (rc)
			rc = fail_start(target, rc, error);
	}
	if (rc)
		bench_close(target);
	return rc;
}

void bench_close(struct bench_target *target)
{
	char error[512];

	session_end(&target->session);
	if (!target->give_back)
		return;
	if (vfio_bind(target->options->device, error, sizeof(error)))
		fprintf(stderr, "nidus: bench: %s\n", error);
	target->give_back = false;
}

/* --- Counters --- */

/* Where counters are: in groups whose names begin so and go on with a number. */
static const struct source {
	const char *group, *name;
	size_t counter; /* in struct bench_counters */
} sources[] = {
	{ "vcpu", "mmio", offsetof(struct bench_counters, exits) },
	{ "vtd", "walks", offsetof(struct bench_counters, walks) },
	{ "vtd", "waits", offsetof(struct bench_counters, waits) },
	{ "vfio", "ioctls", offsetof(struct bench_counters, ioctls) },
	{ "vfio", "invalidate_calls", offsetof(struct bench_counters, invalidates) },
};

/* The number of the counter in a line "GROUP: NAME=NUMBER NAME=NUMBER...", or 0. */
static uint64_t find_counter(const char *line, size_t length, const char *name)
{
	char pattern[32];
	const char *found;

	snprintf(pattern, sizeof(pattern), " %s=", name);
	found = strstr(line, pattern);
	if (!found || found >= line + length)
		return 0;
	return strtoull(found + strlen(pattern), NULL, 10);
}

static bool is_group(const char *line, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(line, name, length) &&
	       line[length + strspn(line + length, "0123456789")] == ':';
}

void bench_parse_stats(const char *text, struct bench_counters *counters)
{
	*counters = (struct bench_counters){ 0 };
	for (size_t length; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
			uint64_t *to = (uint64_t *)((char *)counters + sources[i].counter);

			if (is_group(text, sources[i].group))
				*to += find_counter(text, length, sources[i].name);
		}
	}
	counters->ioctls -=
		counters->invalidates < counters->ioctls ? counters->invalidates : counters->ioctls;
}

int bench_count(struct bench_target *target, struct bench_counters *counters)
{
	struct config_error error;
	char *text;
	int rc;

	if (target->mode == BENCH_NATIVE)
		return -EOPNOTSUPP;
	text = malloc(CONTROL_REPLY_MAX + 1);
	if (!text)
		return -ENOMEM;
	rc = control_ask(target->name, "stats", text, &error);
	if (!rc)
		bench_parse_stats(text, counters);
	free(text);
	return rc;
}
