// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm/options.c and group.c: what the command line means, and how mistakes are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "viommu/spec.h"
#include "vmm/config.h"
#include "vmm/keys.h"
#include "vmm/manifest.h"
#include "vmm/options.h"
#include "vmm/verbs.h"

#define WORDS_MAX 24

static const struct verb *verb_called(const char *name)
{
	struct config_error error;
	const struct verb *verb = verb_find(name, &error);

	assert_non_null(verb);
	return verb;
}

/* Words are separated by '|', so that values may hold blanks. */
static int parse(struct invocation *invocation, const char *verb, const char *line,
		 struct config_error *error)
{
	static char buffer[8192];
	char *argv[WORDS_MAX];
	int argc = 0;

	snprintf(buffer, sizeof(buffer), "%s", line);
	for (char *p = buffer; p && *line; argc++) {
		assert_true(argc < WORDS_MAX);
		argv[argc] = p;
		p = strchr(p, '|');
		if (p)
			*p++ = '\0';
	}
	error->text[0] = '\0';
	return options_parse(invocation, verb_called(verb), argc, argv, error);
}

static void expect_good(struct invocation *invocation, const char *line)
{
	struct config_error error;

	if (parse(invocation, "run", line, &error))
		fail_msg("'%s': %s", line, error.text);
}

static void test_defaults(void **state)
{
	struct invocation invocation;
	const struct vm_config *config = &invocation.config;

	(void)state;
	expect_good(&invocation, "");
	assert_null(config->kernel);
	assert_int_equal(config->cpus, 1);
	assert_int_equal(config->memory, 512 * MIB);
	assert_int_equal(config->serial.kind, STREAM_STDIO);
	assert_int_equal(config->console.kind, STREAM_OFF);
	assert_true(config->rng);
	assert_false(config->exit_port);
	assert_int_equal(config->exit_port_base, 0xf4);
	assert_int_equal(config->seccomp, SECCOMP_KILL);
	options_free(&invocation);
}

static void test_everything(void **state)
{
	struct invocation invocation;
	const struct vm_config *config = &invocation.config;

	(void)state;
	expect_good(&invocation,
		    "-k|bzImage|-i|a.cpio|--initrd|b,args=\"x, y\"|-p|console=ttyS0,115200 ro|"
		    "-c4,cpu=host:-svm|-m|2G,hugepages=2M,prefault,overcommit=no|"
		    "-d|disk.img,ro,queues=4|--disk=fd=7,direct,serial=S1|"
		    "-n|tap0,mac=52:54:00:12:34:56,queues=2|--network|fd=8,offload=off|"
		    "--serial|file=s.log|--console=stdio|--no-rng|--exit-port");
	assert_string_equal(config->kernel, "bzImage");
	assert_int_equal(config->initrd_count, 2);
	assert_string_equal(config->initrd[1].path, "b");
	assert_string_equal(config->initrd[1].args, "x, y");
	assert_string_equal(config->cmdline, "console=ttyS0,115200 ro");
	assert_int_equal(config->cpus, 4);
	assert_string_equal(config->cpu, "host:-svm");
	assert_int_equal(config->memory, 2 * GIB);
	assert_int_equal(config->hugepages, HUGEPAGES_2M);
	assert_true(config->prefault);
	assert_false(config->overcommit);
	assert_int_equal(config->disk_count, 2);
	assert_true(config->disk[0].readonly);
	assert_int_equal(config->disk[0].fd, -1);
	assert_int_equal(config->disk[0].queues, 4);
	assert_null(config->disk[1].path);
	assert_int_equal(config->disk[1].fd, 7);
	assert_true(config->disk[1].direct);
	assert_string_equal(config->disk[1].serial, "S1");
	assert_int_equal(config->net_count, 2);
	assert_string_equal(config->net[0].tap, "tap0");
	assert_true(config->net[0].has_mac);
	assert_int_equal(config->net[0].mac[5], 0x56);
	assert_true(config->net[0].offload);
	assert_false(config->net[1].offload);
	assert_int_equal(config->serial.kind, STREAM_FILE);
	assert_string_equal(config->serial.path, "s.log");
	assert_int_equal(config->console.kind, STREAM_STDIO);
	assert_false(config->rng);
	assert_true(config->exit_port);
	options_free(&invocation);
}

static void test_remapping(void **state)
{
	struct invocation invocation;
	const struct vm_config *config = &invocation.config;

	(void)state;
	expect_good(&invocation,
		    "--vtd|--vtd|aw=39,devices=rng:disk0,nested=off,pri,drop=iotlb:pasid-cache|"
		    "--sdma|queues=4|--sdma|--edu|--edu=dma-mask=32|"
		    "--vtd=caching-mode,ir=auto,pasid-bits=0|K");
	assert_string_equal(config->kernel, "K");
	assert_int_equal(config->vtd_count, 3);
	assert_int_equal(config->vtd[0].aw, 48);
	assert_int_equal(config->vtd[0].pasid_bits, 20);
	assert_null(config->vtd[0].devices);
	for (unsigned int i = 0; i < VTD_FEATURES; i++)
		assert_int_equal(config->vtd[0].feature[i], TOGGLE_AUTO);
	assert_int_equal(config->vtd[1].aw, 39);
	assert_string_equal(config->vtd[1].devices, "rng:disk0");
	assert_int_equal(config->vtd[1].feature[VTD_FEATURE_NESTED], TOGGLE_OFF);
	assert_int_equal(config->vtd[1].feature[VTD_FEATURE_PRI], TOGGLE_ON);
	assert_int_equal(config->vtd[1].drop, 1 << VTD_DESC_IOTLB | 1 << VTD_DESC_PASID_CACHE);
	assert_int_equal(config->vtd[2].feature[VTD_FEATURE_CACHING_MODE], TOGGLE_ON);
	assert_int_equal(config->vtd[2].feature[VTD_FEATURE_INTERRUPT_REMAPPING], TOGGLE_AUTO);
	assert_int_equal(config->vtd[2].pasid_bits, 0);
	assert_int_equal(config->sdma_count, 2);
	assert_int_equal(config->sdma[0].queues, 4);
	assert_int_equal(config->sdma[1].queues, 8);
	assert_int_equal(config->edu_count, 2);
	assert_int_equal(config->edu[0].dma_mask, 28);
	assert_int_equal(config->edu[1].dma_mask, 32);
	options_free(&invocation);

	/* What does not look like keys is the kernel's name. */
	expect_good(&invocation, "--vtd|bzImage|--sdma");
	assert_string_equal(config->kernel, "bzImage");
	options_free(&invocation);
	expect_good(&invocation, "--vtd|./ats");
	assert_string_equal(config->kernel, "./ats");
	options_free(&invocation);
	expect_good(&invocation, "--vtd|k/a=b");
	assert_string_equal(config->kernel, "k/a=b");
	options_free(&invocation);
}

static void test_ways_to_write(void **state)
{
	static const char *const same[] = {
		"-k|K|-c|2|-m|64",
		"K|-c2|-m64M",
		"--kernel=K|--cpus=2|--memory=65536K",
		"--kernel|K|--cpus|count=2|--mem|0x40",
		"-c|2|K|-m|64MiB",
		"-c|2|-m|size=64m|--|K",
		"-m|67108864B|-c|0x2|-k|K",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct invocation invocation;

		expect_good(&invocation, same[i]);
		assert_string_equal(invocation.config.kernel, "K");
		assert_int_equal(invocation.config.cpus, 2);
		assert_int_equal(invocation.config.memory, 64 * MIB);
		options_free(&invocation);
	}
}

static void test_switches(void **state)
{
	static const struct {
		const char *line;
		bool rng, exit_port;
		unsigned int port;
	} rows[] = {
		{ "--rng", true, false, 0xf4 },
		{ "--rng=no", false, false, 0xf4 },
		{ "--no-rng|--no-exit-port", false, false, 0xf4 },
		{ "--exit-port=0x501", true, true, 0x501 },
		{ "--exit-port=on", true, true, 0xf4 },
		{ "--exit-port=1", true, true, 0xf4 },
		{ "--exit-port=off", true, false, 0xf4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct invocation invocation;

		expect_good(&invocation, rows[i].line);
		assert_int_equal(invocation.config.rng, rows[i].rng);
		assert_int_equal(invocation.config.exit_port, rows[i].exit_port);
		assert_int_equal(invocation.config.exit_port_base, rows[i].port);
		options_free(&invocation);
	}
}

/* Every mistake names the thing, the value and the remedy, in one line. */
static void test_mistakes(void **state)
{
	static const char *const rows[][2] = {
		{ "-d|disk.img,rw", "--disk: unknown key 'rw' in 'disk.img,rw'; valid keys: path, "
				    "fd, ro, direct, queues, serial" },
		{ "-d|disk.img,rw=1", "unknown key 'rw'" },
		{ "-d|disk=x", "unknown key 'disk'" },
		{ "-d|x,", "empty word '' in 'x,'; valid keys" },
		{ "-d|x,,ro", "empty word" },
		{ "-d|x,=1", "unknown key '=1'" },
		{ "-d|", "--disk: path: bad value ''" },
		{ "-d|x,ro,ro", "--disk: ro: given twice" },
		{ "-d|x,path=y", "--disk: path: given twice" },
		{ "-d|x,queues", "key 'queues' needs a value in 'x,queues': write queues=N" },
		{ "-d|x,queues=", "--disk: queues: bad value ''" },
		{ "-d|x,queues=0", "bad value '0': must be a number from 1 to 16" },
		{ "-d|x,queues=17", "bad value '17': must be a number from 1 to 16" },
		{ "-d|x,queues=-1", "bad value '-1'" },
		{ "-d|x,queues=1x", "bad value '1x'" },
		{ "-d|x,queues= 1", "bad value ' 1'" },
		{ "-d|x,ro=maybe", "--disk: ro: bad value 'maybe': must be on or off" },
		{ "-d|x,serial=123456789012345678901", "1 to 20 printable" },
		{ "-d|x,serial=a b", "1 to 20 printable" },
		{ "-d|fd=2", "bad value '2': must be the number of an inherited descriptor" },
		{ "-d|fd=99999999999999999999", "must be the number of an inherited" },
		{ "-d|\"x", "a quote that does not close" },
		{ "-d|\"x\"y", "a quote that does not close" },
		{ "-n|tap=a/b", "--net: tap: bad value 'a/b'" },
		{ "-n|tap=0123456789abcdef", "1 to 15 letters" },
		{ "-n|tap0,mac=52:54:00:12:34", "must be a unicast address such as" },
		{ "-n|tap0,mac=53:54:00:12:34:56", "must be a unicast address such as" },
		{ "-n|tap0,mac=00:00:00:00:00:00", "must be a unicast address such as" },
		{ "-n|tap0,mac=52:54:00:12:34:56:78", "must be a unicast address such as" },
		{ "-n|tap0,mac=5:54:00:12:34:56", "must be a unicast address such as" },
		{ "-c|0", "--cpus: count: bad value '0': must be a number from 1 to 64" },
		{ "-c|65", "must be a number from 1 to 64" },
		{ "-c|1,cpu=qemu64", "must be host, or host with features" },
		{ "-c|1,cpu=host:+svm", "must be host, or host with features" },
		{ "-c|1,cpu=host:-", "must be host, or host with features" },
		{ "-c|1,cpu=", "--cpus: cpu: bad value '': must be host, or host with" },
		{ "-m|0", "--memory: size: bad value '0': must be a multiple of 4K from 16M" },
		{ "-m|-1", "bad value '-1'" },
		{ "-m|15", "bad value '15'" },
		{ "-m|1.5G", "bad value '1.5G'" },
		{ "-m|4GB", "bad value '4GB'" },
		{ "-m|G", "bad value 'G'" },
		{ "-m|17592186044416T", "bad value" },
		{ "-m|18446744073709551616", "bad value" },
		{ "-m|17T", "bad value '17T'" },
		{ "-m|16777217B", "must be a multiple of 4K" },
		{ "-m|0x", "bad value '0x'" },
		{ "-m|1G,hugepages=4M", "must be off, 2M or 1G" },
		{ "-m|1G|-m|2G", "--memory: given twice" },
		{ "-k|a|-k|b", "--kernel: given twice" },
		{ "a|-k|b", "--kernel: given twice" },
		{ "a|b", "unexpected argument 'b': 'a' is the KERNEL already" },
		{ "-k|", "--kernel: bad value ''" },
		{ "-f|x|--file|y", "--manifest: given twice ('x' and 'y')" },
		{ "--serial|tty",
		  "--serial: to: bad value 'tty': must be stdio, off or file=PATH" },
		{ "--serial|stdio,file=x", "--serial: file: contradicts" },
		{ "--serial|file=", "must be a path" },
		{ "--seccomp|on", "--seccomp: bad value 'on': must be kill, log or off" },
		{ "--log|loud", "--log: bad value 'loud': must be a list of LEVEL" },
		{ "--name|.x", "--name: bad value '.x'" },
		{ "--name|a/b", "letters, digits" },
		{ "--name|", "letters, digits" },
		{ "--exit-port=0", NULL }, /* 0 is off */
		{ "--exit-port=70000", "must be on, off or a port" },
		{ "--no-rng=on", "unknown option '--no-rng'" },
		{ "--no-disk", "unknown option '--no-disk'" },
		{ "--rng=perhaps", "--rng: bad value 'perhaps': must be on or off" },
		{ "--dsik|x", "unknown option '--dsik': did you mean --disk?" },
		{ "--qqqqqqqqqqqqq", "unknown option '--qqqqqqqqqqqqq': `nidus help run` lists" },
		{ "-z", "unknown option '-z'" },
		{ "--k|x", "unknown option '--k'" },
		{ "-k", "--kernel: a value is missing: write --kernel PATH" },
		{ "--help=yes", "--help: takes no value, but 'yes' was given" },
		{ "--dtb|x", "unknown option '--dtb'" },
		{ "-p|\nrm|-d|\033[31m,x", "unknown key 'x' in '?[31m,x'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct invocation invocation;
		struct config_error error;
		int r = parse(&invocation, "run", rows[i][0], &error);

		if (!!r != !!rows[i][1])
			fail_msg("'%s': %s", rows[i][0], r ? error.text : "accepted");
		if (r && !strstr(error.text, rows[i][1]))
			fail_msg("'%s': %s", rows[i][0], error.text);
		assert_null(strchr(error.text, '\n'));
		options_free(&invocation);
	}
}

static void test_limits(void **state)
{
	static char line[8192];
	struct invocation invocation;
	struct config_error error;
	size_t used = 0;

	(void)state;
	for (int i = 0; i < CONFIG_DISKS; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s-d%d", i ? "|" : "",
					 i);
	expect_good(&invocation, line);
	assert_int_equal(invocation.config.disk_count, CONFIG_DISKS);
	options_free(&invocation);
	snprintf(line + used, sizeof(line) - used, "|-dx");
	assert_int_not_equal(parse(&invocation, "run", line, &error), 0);
	assert_string_equal(error.text, "--disk: too many: at most 16 are possible");
	options_free(&invocation);

	memset(line, 'x', sizeof(line));
	memcpy(line, "-p|", 3);
	line[3 + CONFIG_CMDLINE_MAX - 1] = '\0';
	expect_good(&invocation, line);
	options_free(&invocation);
	line[3 + CONFIG_CMDLINE_MAX - 1] = 'x';
	line[3 + CONFIG_CMDLINE_MAX] = '\0';
	assert_int_not_equal(parse(&invocation, "run", line, &error), 0);
	assert_non_null(strstr(error.text, "must be at most 2047 bytes"));
	options_free(&invocation);

	memset(line, 'x', sizeof(line));
	memcpy(line, "-dy,path=", 9);
	line[sizeof(line) - 1] = '\0';
	assert_int_not_equal(parse(&invocation, "run", line, &error), 0);
	options_free(&invocation);
}

static void test_other_verbs(void **state)
{
	static const struct {
		const char *verb, *line, *error;
	} rows[] = {
		{ "stats", "vm1", NULL },
		{ "stats", "vm1|--json", NULL },
		{ "stats", "", "stats: NAME is missing: write `nidus stats NAME`" },
		{ "stats", "a|b", "unexpected argument 'b'" },
		{ "stats", "-k|x|a", "unknown option '-k'" },
		{ "stop", "a|--timeout|5", NULL },
		{ "stop", "a|--timeout=-1",
		  "--timeout: bad value '-1': must be a number of seconds" },
		{ "stop", "a|--timeuot=1", "did you mean --timeout?" },
		{ "version", "x", "unexpected argument 'x': `nidus version` takes none" },
		{ "caps", "--json", NULL },
		{ "list", "--help", NULL },
		{ "check", "-k|x|--dtb|out.dtb", NULL },
		{ "check", "--dtb=", "--dtb: bad value ''" },
		{ "help", "run", NULL },
		{ "trace", "vm1|disk0", NULL },
		{ "trace", "vm1", "trace: DEVICE is missing: write `nidus trace NAME DEVICE`" },
		{ "trace", "", "trace: NAME is missing: write `nidus trace NAME DEVICE`" },
		{ "trace", "a|b|c", "unexpected argument 'c': 'b' is the DEVICE already" },
		{ "caps", "--vtd", NULL },
		{ "caps", "--vtd|aw=39|--json|--vtd=nested=off", NULL },
		{ "caps", "--vtd|aw=40", "--vtd: aw: bad value '40': must be 39, 48 or 57" },
		{ "caps", "--disk=x", "unknown option '--disk'" },
		{ "caps", "x", "unexpected argument 'x': `nidus caps` takes none" },
		{ "list", "--vtd", "unknown option '--vtd'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct invocation invocation;
		struct config_error error;
		int r = parse(&invocation, rows[i].verb, rows[i].line, &error);

		if (!!r != !!rows[i].error || (r && !strstr(error.text, rows[i].error)))
			fail_msg("%s '%s': %s", rows[i].verb, rows[i].line, error.text);
		options_free(&invocation);
	}
}

static void test_verbs(void **state)
{
	static const char *const rows[][2] = {
		{ "rum", "unknown verb 'rum': did you mean run?" },
		{ "chekc", "unknown verb 'chekc': did you mean check?" },
		{ "stast", "unknown verb 'stast': did you mean stats?" },
		{ "xyzzy", "unknown verb 'xyzzy'; valid ones: run, check, caps, list, stats, "
			   "trace, vfio, bench, reset, stop, version, help" },
		{ "", "unknown verb ''; valid ones" },
		{ "--disk", "valid ones" },
	};
	struct config_error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_null(verb_find(rows[i][0], &error));
		if (!strstr(error.text, rows[i][1]))
			fail_msg("'%s': %s", rows[i][0], error.text);
	}
	for (unsigned int i = 0; i < verb_count; i++)
		assert_ptr_equal(verb_find(verbs[i].name, &error), &verbs[i]);
}

/* Options override the manifest's scalars, wherever -f stands, and add to its lists. */
static void test_manifest_is_overridden(void **state)
{
	char path[] = "/tmp/nidus-test-XXXXXX";
	struct invocation invocation;
	struct config_error error;
	char line[256];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	expect_good(&invocation, "-k|/K|-c|4|-m|1G,prefault|-d|/a|--serial|file=/s|--no-rng");
	assert_int_equal(manifest_write(&invocation.config, path, &error), 0);
	options_free(&invocation);

	snprintf(line, sizeof(line), "-m|2G|-d|b|-f|%s|--serial|stdio", path);
	expect_good(&invocation, line);
	assert_string_equal(invocation.config.kernel, "/K");
	assert_int_equal(invocation.config.cpus, 4);
	assert_int_equal(invocation.config.memory, 2 * GIB);
	assert_true(invocation.config.prefault);
	assert_int_equal(invocation.config.disk_count, 2);
	assert_string_equal(invocation.config.disk[0].path, "/a");
	assert_string_equal(invocation.config.disk[1].path, "b");
	assert_int_equal(invocation.config.serial.kind, STREAM_STDIO);
	assert_null(invocation.config.serial.path);
	assert_false(invocation.config.rng);
	options_free(&invocation);

	snprintf(line, sizeof(line), "-f|%s|-m|1G,prefault=off|--rng|other", path);
	expect_good(&invocation, line);
	assert_string_equal(invocation.config.kernel, "other");
	assert_false(invocation.config.prefault);
	assert_true(invocation.config.rng);
	options_free(&invocation);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),  cmocka_unit_test(test_everything),
		cmocka_unit_test(test_remapping), cmocka_unit_test(test_ways_to_write),
		cmocka_unit_test(test_switches),  cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_other_verbs),
		cmocka_unit_test(test_verbs),	  cmocka_unit_test(test_manifest_is_overridden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
