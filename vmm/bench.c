// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verb `nidus bench`: one mode after the other, then all that was found, in the form asked for.
 */
#include "vmm/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/vfio.h"
#include "vmm/exit.h"
#include "vmm/nearest.h"
#include "vmm/verbs.h"

#define PASSED	  (1u << BENCH_DIRECT | 1u << BENCH_NESTED | 1u << BENCH_SHADOWED)
#define OF_DEVICE (PASSED | 1u << BENCH_NATIVE)
#define OF_GUESTS (PASSED | 1u << BENCH_EMULATED)
#define SDMA_PERF "sdma-perf"

/* A file that is written when all is measured. */
struct output {
	const char *option, *path; /* NULL: not asked for */
	FILE *file;
	bool created;
	struct stat about;
};

struct bench {
	struct invocation *invocation;
	struct bench_options options;
	unsigned int modes; /* bits */
	char native[PATH_MAX];
	struct output save, html;
	struct bench_rows rows;
};

static int parse_mode(const char *name, size_t length, unsigned int *modes,
		      struct config_error *error)
{
	struct nearest nearest;
	char word[32];

	snprintf(word, sizeof(word), "%.*s", (int)length, name);
	nearest_init(&nearest, word);
	for (unsigned int i = 0; i < BENCH_MODES; i++) {
		if (!strcmp(word, bench_mode_names[i])) {
			*modes |= 1u << i;
			return 0;
		}
		nearest_offer(&nearest, bench_mode_names[i]);
	}
	return nearest_fail(&nearest, "--modes: unknown mode", error);
}

int bench_parse_modes(const char *text, unsigned int *modes, struct config_error *error)
{
	*modes = 0;
	for (;; text++) {
		size_t length = strcspn(text, ",");

		if (parse_mode(text, length, modes, error))
			return -EINVAL;
		text += length;
		if (!*text)
			return 0;
	}
}

/* --- What is asked for --- */

static int check_modes(struct bench *bench, struct config_error *error)
{
	const struct invocation *invocation = bench->invocation;
	unsigned int lost;

	bench->modes = 1u << BENCH_EMULATED | (invocation->operand ? OF_DEVICE : 0);
	if (!invocation->modes)
		return 0;
	if (bench_parse_modes(invocation->modes, &bench->modes, error))
		return -EINVAL;
	lost = invocation->operand ? 0 : bench->modes & OF_DEVICE;
	for (unsigned int i = 0; i < BENCH_MODES; i++)
		if (lost & 1u << i)
			return config_fail(error,
					   "--modes: %s needs a device of the host: write `nidus "
					   "bench DEVICE ...`",
					   bench_mode_names[i]);
	return 0;
}

static int check_device(struct bench *bench, struct config_error *error)
{
	const char *device = bench->invocation->operand;
	char address[16], driver[32], text[512];

	if (!device)
		return 0;
	if (!(bench->modes & OF_DEVICE))
		return config_fail(error,
				   "DEVICE: '%.200s' is of no use to the mode emulated: leave "
				   "it out, or add a mode",
				   device);
	if (vfio_driver(device, address, driver, text, sizeof(text)))
		return config_fail(error, "%s", text);
	if (bench->modes & PASSED && strcmp(driver, "vfio-pci"))
		return config_fail(error, "%.200s has %s%s, not vfio-pci: nidus vfio bind %s",
				   device, *driver ? "driver " : "no driver", driver, address);
	memcpy(bench->rows.device, address, sizeof(address));
	return 0;
}

/* What the file has stays until there is something new to write. */
static int open_output(struct output *output, struct config_error *error)
{
	int fd;

	if (!output->path)
		return 0;
	fd = open(output->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	output->created = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(output->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0 && !fstat(fd, &output->about))
		output->file = fdopen(fd, "w");
	if (output->file)
		return 0;
	config_fail(error, "--%s: cannot write '%.600s': %s", output->option, output->path,
		    strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EINVAL;
}

/* As if it had never been opened. */
static void drop_output(struct output *output)
{
	if (output->file)
		fclose(output->file);
	output->file = NULL;
	if (output->created)
		unlink(output->path);
}

/* Devices and pipes may be one for both: /dev/null. */
static bool is_one_file(const struct stat *a, const struct stat *b)
{
	return S_ISREG(a->st_mode) && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int open_outputs(struct bench *bench, struct config_error *error)
{
	bench->save = (struct output){ .option = "save", .path = bench->invocation->save };
	bench->html = (struct output){ .option = "html", .path = bench->invocation->html };
	if (!open_output(&bench->save, error) && !open_output(&bench->html, error)) {
		if (!bench->save.file || !bench->html.file ||
		    !is_one_file(&bench->save.about, &bench->html.about))
			return 0;
		config_fail(error, "--html: '%.600s' is the file of --save: name another",
			    bench->html.path);
	}
	drop_output(&bench->save);
	drop_output(&bench->html);
	return -EINVAL;
}

/* Before anything has started. */
static int check_all(struct bench *bench, struct config_error *error)
{
	struct invocation *invocation = bench->invocation;

	if (invocation->from && (invocation->operand || invocation->modes || invocation->quick ||
				 invocation->native || invocation->config.kernel))
		return config_fail(error, "--from: what was measured before goes with --json, "
					  "--save and --html only");
	if (!invocation->from) {
		if (check_modes(bench, error))
			return -EINVAL;
		if (bench->modes & OF_GUESTS && config_validate(&invocation->config, error))
			return -EINVAL;
		if (check_device(bench, error))
			return -EINVAL;
		if (invocation->native && access(invocation->native, X_OK))
			return config_fail(error, "--native: cannot run '%.600s': %s",
					   invocation->native, strerror(errno));
	}
	return 0;
}

/* --- Measuring --- */

/* Where the shell would find sdma-perf; NULL: nowhere. */
static const char *find_native(struct bench *bench)
{
	const char *path = getenv("PATH");

	if (bench->invocation->native)
		return bench->invocation->native;
	while (path && *path) {
		size_t length = strcspn(path, ":");

		snprintf(bench->native, sizeof(bench->native), "%.*s/" SDMA_PERF, (int)length,
			 path);
		if (length && !access(bench->native, X_OK))
			return bench->native;
		path += length + (path[length] == ':');
	}
	return NULL;
}

void bench_tell(const struct bench_options *options, enum bench_mode mode, const char *what)
{
	fprintf(stderr, "bench: %4d s: %s: %s\n", (int)((bench_now_ms() - options->began) / 1000),
		bench_mode_names[mode], what);
}

/* 0, also if the mode cannot be had, which a row says; or -EINTR. */
static int measure_mode(struct bench *bench, enum bench_mode mode)
{
	struct bench_target target;
	struct config_error error = { "" };
	int rc;

	bench_tell(&bench->options, mode, "starting");
	if (mode == BENCH_NATIVE && !bench->options.native) {
		bench_add_note(&bench->rows, mode, NULL,
			       "there is no " SDMA_PERF " in PATH: give --native PROGRAM");
		return 0;
	}
	rc = bench_open(&target, mode, &bench->options, &error);
	if (rc == -EINTR)
		return rc;
	if (rc) {
		bench_add_note(&bench->rows, mode, NULL, "%s", error.text);
		return 0;
	}
	rc = bench_measure(&target, &bench->rows);
	bench_close(&target);
	return rc == -EINTR ? rc : 0;
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE); /* never read: what a child has closed is an error then */
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGPIPE);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* An exit code. */
static int measure_all(struct bench *bench)
{
	struct signalfd_siginfo signal = { 0 };
	struct utsname host;
	int rc = 0;

	if (!uname(&host))
		snprintf(bench->rows.host, sizeof(bench->rows.host), "%.64s", host.release);
	bench->rows.quick = bench->invocation->quick;
	bench->options = (struct bench_options){ .config = &bench->invocation->config,
						 .device = bench->rows.device,
						 .native = find_native(bench),
						 .quick = bench->invocation->quick,
						 .signals = watch_signals(),
						 .began = bench_now_ms() };
	if (bench->options.signals < 0)
		return NIDUS_EXIT_FAILURE;
	for (unsigned int i = 0; i < BENCH_MODES && !rc; i++)
		if (bench->modes & 1u << i)
			rc = measure_mode(bench, i);
	if (rc && read(bench->options.signals, &signal, sizeof(signal)) == sizeof(signal))
		rc = NIDUS_EXIT_SIGNAL + (int)signal.ssi_signo;
	close(bench->options.signals);
	return rc;
}

/* --- Output --- */

static int read_rows(struct bench *bench, struct config_error *error)
{
	const char *name = bench->invocation->from;
	FILE *in = fopen(name, "re");
	int rc;

	if (!in)
		return config_fail(error, "--from: cannot read '%.600s': %s", name,
				   strerror(errno));
	rc = bench_read_json(&bench->rows, in, name, error);
	fclose(in);
	return rc;
}

static bool write_file(struct output *output,
		       void (*write)(const struct bench_rows *rows, FILE *out),
		       const struct bench_rows *rows)
{
	FILE *file = output->file;
	bool good;

	if (!file)
		return true;
	good = !S_ISREG(output->about.st_mode) || !ftruncate(fileno(file), 0);
	if (good) {
		write(rows, file);
		good = !ferror(file);
	}
	output->file = NULL;
	if (fclose(file) || !good) {
		fprintf(stderr, "nidus: bench: cannot write '%s': %s\n", output->path,
			strerror(errno));
		return false;
	}
	return true;
}

/* An exit code: a mode that was asked for by its name has to be there, and some mode at all. */
static int judge(const struct bench *bench)
{
	unsigned int had = 0;

	for (unsigned int i = 0; i < BENCH_MODES; i++)
		had |= (unsigned int)bench_has(&bench->rows, i) << i;
	if (bench->invocation->modes ? bench->modes & ~had : !had)
		return NIDUS_EXIT_FAILURE;
	return NIDUS_EXIT_POWEROFF;
}

static int run(struct bench *bench)
{
	struct invocation *invocation = bench->invocation;
	struct config_error error = { "" };
	int code = NIDUS_EXIT_POWEROFF;
	bool written;

	if (check_all(bench, &error) || (invocation->from && read_rows(bench, &error)) ||
	    open_outputs(bench, &error)) {
		fprintf(stderr, "nidus: %s\n", error.text);
		return NIDUS_EXIT_USAGE;
	}
	if (!invocation->from)
		code = measure_all(bench);
	/* What there is when it was interrupted is not lost. */
	(invocation->json ? bench_write_json : bench_print_table)(&bench->rows, stdout);
	written = write_file(&bench->save, bench_write_json, &bench->rows);
	written &= write_file(&bench->html, bench_print_html, &bench->rows);
	if (code)
		return code;
	return written ? judge(bench) : NIDUS_EXIT_FAILURE;
}

int verb_bench(struct invocation *invocation)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int code = NIDUS_EXIT_FAILURE;

	if (bench) {
		bench->invocation = invocation;
		code = run(bench);
	}
	free(bench);
	return code;
}
