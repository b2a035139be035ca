// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/validate*.c and config.c: what is refused, what is printed; and that tables, man page,
 * completion and usage text say the same.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/base.h"
#include "vmm/config.h"
#include "vmm/keys.h"
#include "vmm/options.h"
#include "vmm/verbs.h"

/* A directory with a few files, and below root/ a made-up host. */
struct place {
	char path[32];
};

static void make_file(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	for (char *slash = strchr(path + strlen(directory) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int setup(void **state)
{
	static const char *const files[][2] = {
		{ "kernel", "bzImage" },
		{ "empty", "" },
		{ "odd.img", "odd" },
		{ "disk.img", "" },
		{ "locked.img", "" },
		{ "initrd", "cpio" },
		{ "root/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:    1048576 kB\n" },
		{ "root/sys/class/net/tap0/tun_flags", "0x1002\n" },
		{ "root/sys/class/net/tapmq/tun_flags", "0x1102\n" },
		{ "root/sys/class/net/tun0/tun_flags", "0x1001\n" },
		{ "root/sys/class/net/eth0/mtu", "1500\n" },
		{ "root/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "40\n" },
		{ "root/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "8\n" },
		{ "root/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages", "0\n" },
		{ "root/sys/kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages", "0\n" },
	};
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->path, "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make_file(place->path, files[i][0], files[i][1]);
	assert_int_equal(chdir(place->path), 0);
	assert_int_equal(truncate("disk.img", 1 << 20), 0);
	assert_int_equal(truncate("locked.img", 1 << 20), 0);
	assert_int_equal(chmod("locked.img", 0444), 0);
	assert_int_equal(link("disk.img", "same.img"), 0);
	assert_int_equal(mkdir("dir", 0700), 0);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	char command[64];

	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -r %s", place->path);
	assert_int_equal(system(command), 0);
	free(place);
	return 0;
}

/* Words are separated by '|'. */
static int validate(const char *line, struct config_error *error)
{
	struct invocation invocation;
	char buffer[512];
	char *argv[24];
	int argc = 0, r;

	snprintf(buffer, sizeof(buffer), "%s", line);
	for (char *word = strtok(buffer, "|"); word; word = strtok(NULL, "|"))
		argv[argc++] = word;
	error->text[0] = '\0';
	if (options_parse(&invocation, verb_find("run", error), argc, argv, error))
		fail_msg("'%s': %s", line, error->text);
	r = config_validate_rules(&invocation.config, error);
	if (!r)
		r = config_validate_host(&invocation.config, "root", error);
	options_free(&invocation);
	return r;
}

/* Expected: part of the message, or NULL if all is well. */
static void test_validate(void **state)
{
	static const char *const rows[][2] = {
		{ "kernel", NULL },
		{ "-m|64", "no kernel is given: name one with -k PATH" },
		{ "nothing", "--kernel: cannot read 'nothing': No such file or directory; check" },
		{ "kernel/x", "--kernel: cannot read 'kernel/x': Not a directory" },
		{ "dir", "--kernel: 'dir' is a directory; give a regular file" },
		{ "empty", "--kernel: 'empty' is empty" },
		{ "/dev/null", "--kernel: '/dev/null' is no regular file" },
		{ "kernel|-i|initrd", NULL },
		{ "kernel|-i|initrd|-i|nothing", "--initrd: cannot read 'nothing'" },
		{ "kernel|-i|args=x", "--initrd 0: has no path" },
		{ "kernel|-d|disk.img", NULL },
		{ "kernel|-d|nothing", "--disk 0: cannot read and write 'nothing': No such file" },
		{ "kernel|-d|dir", "--disk 0: 'dir' is a directory; give a raw image" },
		{ "kernel|-d|empty", "--disk 0: 'empty' is empty; make it larger: truncate" },
		{ "kernel|-d|odd.img", "'odd.img' has 3 bytes, not a multiple of 512" },
		{ "kernel|-d|/dev/zero,ro", "is no regular file" },
		{ "kernel|-d|ro=on", "--disk 0: has neither path nor fd" },
		{ "kernel|-d|disk.img,fd=9", "--disk 0: has both path 'disk.img' and fd 9" },
		{ "kernel|-d|disk.img|-d|disk.img", "is the image of --disk 0, and one of them" },
		{ "kernel|-d|disk.img,ro|-d|./same.img", "--disk 1: './same.img' is the image" },
		{ "kernel|-d|disk.img,ro|-d|same.img,ro", NULL },
		{ "kernel|-d|fd=999", "--disk 0: fd 999 is not open" },
		{ "kernel|-d|fd=9|-n|fd=9", "fd 9 is given to two devices" },
		{ "kernel|-n|tap0", NULL },
		{ "kernel|-n|tapmq,queues=4", NULL },
		{ "kernel|-n|tap9",
		  "there is no tap 'tap9'; make it: ip tuntap add tap9 mode tap" },
		{ "kernel|-n|eth0", "'eth0' is a network device but no tap" },
		{ "kernel|-n|tun0", "'tun0' is a tun, not a tap" },
		{ "kernel|-n|tap0,queues=2", "queues=2 needs a multi-queue tap" },
		{ "kernel|-n|fd=9,queues=2", "queues=2 needs one descriptor a queue" },
		{ "kernel|-n|fd=999", "--net 0: fd 999 is not open" },
		{ "kernel|-n|offload=on", "--net 0: has neither tap nor fd" },
		{ "kernel|-n|tap0|-n|tap0", "tap 'tap0' is used by --net 0 already" },
		{ "kernel|-n|tap0,mac=52:54:00:00:00:01|-n|tapmq,mac=52:54:00:00:00:01",
		  "--net 1: has the mac of --net 0" },
		{ "kernel|--console|stdio", "'stdio' is what --serial uses already" },
		{ "kernel|--console|stdio|--serial|off", NULL },
		{ "kernel|--console|file=x|--serial|file=x", "'x' is what --serial writes" },
		{ "kernel|--serial|file=new", NULL },
		{ "kernel|--serial|file=dir/new", NULL },
		{ "kernel|--serial|file=empty", NULL },
		{ "kernel|--serial|file=dir", "--serial: 'dir' is a directory" },
		{ "kernel|--console|file=no/file", "--console: cannot write 'no/file': No such" },
		{ "kernel|-c|1,cpu=host:-svm", NULL },
		{ "kernel|-c|1,cpu=host:-nosuch",
		  "'-nosuch' is neither host nor -FEATURE; features: " },
		{ "kernel|-m|1G", NULL },
		{ "kernel|-m|1025", "--memory: 1025M are more than the 1024M that this host has" },
		{ "kernel|-m|1T,overcommit", NULL },
		{ "kernel|-m|64,hugepages=2M", NULL },
		{ "kernel|-m|66,hugepages=2M", "needs 33 pages of 2M, 32 are free; raise" },
		{ "kernel|-m|65,hugepages=2M",
		  "66560K is not a multiple of the 2M pages of hugepages=2M; take 66M" },
		{ "kernel|-m|1G,hugepages=1G", "this host has no pages of 1G" },
		{ "kernel|--vtd|--sdma|--edu", NULL },
		{ "kernel|--sdma|queues=64", NULL },
		{ "kernel|--vtd|devices=rng|--vtd|--vtd|devices=sdma0|--sdma", NULL },
		{ "kernel|--vtd|--vtd", "--vtd 1: has no devices, and neither has --vtd 0: only" },
		{ "kernel|--vtd|devices=sdma1|--sdma",
		  "--vtd 0: devices: there is no 'sdma1'; there are: sdma0, rng" },
		{ "kernel|--vtd|devices=rng|--no-rng", "no 'rng'; there are: no others" },
		{ "kernel|--vtd|devices=console|--console|file=x", NULL },
		{ "kernel|--vtd|devices=rng|--vtd|devices=rng",
		  "--vtd 1: devices: 'rng' is behind --vtd 0 already; keep one" },
		{ "kernel|--vtd|first-stage=off,nested=on",
		  "--vtd 0: nested=on needs first-stage, which is off: turn that on, or leave" },
		{ "kernel|--vtd|first-stage=off", NULL },
		{ "kernel|--vtd|scalable=off", NULL },
		{ "kernel|--vtd|scalable=off,pri", "pri=on needs scalable, which is off" },
		{ "kernel|--vtd|ats=off,pri", "pri=on needs ats, which is off" },
		{ "kernel|--vtd|ir=off,x2apic", "x2apic=on needs ir, which is off" },
		{ "kernel|--vtd|first-stage=off,second-stage=off",
		  "scalable mode needs first-stage or second-stage" },
		{ "kernel|--vtd|vcmd,pasid-bits=0", "vcmd=on needs PASIDs, but pasid-bits is 0" },
		{ "kernel|--vtd|domain-bits=4", NULL },
		{ "kernel|--vtd|domain-bits=7", "domain-bits is 7, and units have an even number" },
		{ "kernel|--vtd|scalable=off,pass-through=off", NULL },
		{ "kernel|--vfio|06:0d.0,nested=on|--vtd|devices=vfio0", NULL },
		{ "kernel|--vfio|06:0d.0|--vfio|/sys/bus/pci/devices/0000:06:0e.0,pasid-quota=9",
		  NULL },
		{ "kernel|--vfio|nested=on", "--vfio 0: has neither device nor fd; give one" },
		{ "kernel|--vfio|06:0d.0,fd=7", "--vfio 0: has both device '06:0d.0' and fd 7" },
		{ "kernel|--vfio|06:0d.0|--vfio|06:0d.0", "'06:0d.0' is --vfio 0 already" },
		{ "kernel|--vfio|06:0d.0|--vfio|/sys/bus/pci/devices/0000:06:0d.0",
		  "'/sys/bus/pci/devices/0000:06:0d.0' is --vfio 0 already" },
		{ "kernel|--vfio|06:0d.0,nested=on", "vfio0 is behind no unit of the guest" },
		{ "kernel|--vfio|06:0d.0,nested=on|--vtd|devices=rng",
		  "vfio0 is behind no unit of the guest" },
		{ "kernel|--vfio|fd=7,iommufd=7", "fd 7 is given to two devices" },
		{ "kernel|--vfio|fd=7,iommufd=8|--vfio|fd=9,iommufd=8", NULL },
		{ "kernel|--vfio|fd=7,iommufd=8|--vfio|fd=9,iommufd=6",
		  "--vfio 1: iommufd 6 is not the 8 given before" },
		{ "kernel|--vfio|fd=7,pasid-quota=8|--vfio|fd=9,pasid-quota=6",
		  "--vfio 1: pasid-quota 6 is not the 8 given before" },
		{ "kernel|--vtd|devices=vfio1|--vfio|06:0d.0",
		  "there is no 'vfio1'; there are: vfio0, rng" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_error error;
		const char *expected = rows[i][1];
		int r = validate(rows[i][0], &error);

		if (!!r != !!expected || (r && !strstr(error.text, expected)))
			fail_msg("'%s': %s", rows[i][0], r ? error.text : "accepted");
	}
	assert_int_equal(access("new", F_OK), -1);
}

/* Slots of the bus: 30 for devices. */
static void test_too_many_devices(void **state)
{
	struct invocation invocation;
	struct config_error error;
	struct vm_config *config = &invocation.config;
	static char kernel[] = "kernel";
	char *argv[] = { kernel };

	(void)state;
	assert_int_equal(options_parse(&invocation, verb_find("run", &error), 1, argv, &error), 0);
	config->disk_count = CONFIG_DISKS;
	for (unsigned int i = 0; i < CONFIG_DISKS; i++) {
		config_disk_init(&config->disk[i]);
		config->disk[i].fd = 100 + (int)i;
	}
	config->sdma_count = CONFIG_SDMAS;
	config->edu_count = CONFIG_EDUS;
	assert_int_equal(config_validate_rules(config, &error), 0); /* 16 + 8 + 4, and rng: 29 */
	config->console.kind = STREAM_FILE;
	assert_int_equal(config_validate_rules(config, &error), 0);
	config->net_count = 1;
	config_net_init(&config->net[0]);
	config->net[0].fd = 99;
	assert_int_equal(config_validate_rules(config, &error), -EINVAL);
	assert_non_null(strstr(error.text, "31 PCI devices are too many: at most 30"));
	options_free(&invocation);
}

/* As an ordinary user: root may write everything. */
static void test_permissions(void **state)
{
	struct config_error error;
	bool root = !geteuid();

	(void)state;
	assert_int_equal(chmod(".", 0755), 0);
	assert_false(root && seteuid(65534));
	assert_int_equal(validate("kernel|-d|locked.img", &error), -EINVAL);
	assert_non_null(strstr(error.text, "cannot read and write 'locked.img': Permission denied; "
					   "change its mode or owner"));
	assert_int_equal(validate("kernel|-d|locked.img,ro", &error), 0);
	assert_false(root && seteuid(0));
}

static void test_inherited_disk(void **state)
{
	struct config_error error;
	char line[64];
	int fd = open("disk.img", O_RDONLY);

	(void)state;
	snprintf(line, sizeof(line), "kernel|-d|fd=%d", fd);
	assert_int_equal(validate(line, &error), -EINVAL);
	assert_non_null(strstr(error.text, "is not open for reading and writing"));
	snprintf(line, sizeof(line), "kernel|-d|fd=%d,ro", fd);
	assert_int_equal(validate(line, &error), 0);
	snprintf(line, sizeof(line), "kernel|-d|fd=%d,ro|-d|disk.img", fd);
	assert_int_equal(validate(line, &error), -EINVAL);
	snprintf(line, sizeof(line), "kernel|-n|fd=%d", fd);
	assert_int_equal(validate(line, &error), -EINVAL);
	assert_non_null(strstr(error.text, "is no tap"));
	close(fd);
}

static void test_print(void **state)
{
	static const char *const argv[] = { "-k",	  "k",
					    "-p",	  "a\nb\033",
					    "-d",	  "\"x,y\",ro",
					    "-n",	  "tap0,mac=52:54:00:00:00:01",
					    "--exit-port" };
	struct invocation invocation;
	struct config_error error;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(options_parse(&invocation, verb_find("run", &error), ARRAY_SIZE(argv),
				       (char *const *)argv, &error),
			 0);
	config_print(&invocation.config, out);
	fclose(out);
	assert_string_equal(text, "kernel      k\n"
				  "cmdline     a\\x0ab\\x1b\n"
				  "cpus        count=1\n"
				  "memory      size=512M,hugepages=off,prefault=off,overcommit=off,"
				  "shared=off\n"
				  "disk 0      path=\"x,y\",ro=on,direct=off,queues=1\n"
				  "net 0       tap=tap0,mac=52:54:00:00:00:01,queues=1,offload=on\n"
				  "serial      to=stdio\n"
				  "console     to=off\n"
				  "rng         on\n"
				  "restart     off\n"
				  "exit-port   0xf4\n"
				  "seccomp     kill\n");
	free(text);
	options_free(&invocation);
}

/* Every key has its property, every property its key, and no name means two things. */
static void test_tables(void **state)
{
	(void)state;
	for (unsigned int g = 0; g < group_count; g++) {
		const struct group *group = &groups[g];

		assert_true(group->key_count > 0);
		assert_int_equal(!group->max, !group->compatible);
		assert_int_equal(!group->max, group->node[0] == '/');
		assert_true(!group->whole || group->key_count == 1);
		for (unsigned int k = 0; k < group->key_count; k++) {
			const struct key *key = &group->keys[k];

			assert_ptr_equal(group_key(group, key->name, strlen(key->name)), key);
			assert_ptr_equal(group_property(group, key->property), key);
			assert_true(group->whole || (key->help && key->metavar));
			for (unsigned int other = 0; other < group_count; other++)
				if (other != g && !strcmp(groups[other].node, group->node))
					assert_null(group_property(&groups[other], key->property));
		}
		for (unsigned int other = 0; other < g; other++) {
			const struct option *a = &group->option, *b = &groups[other].option;

			assert_string_not_equal(a->name, b->name);
			assert_true(!a->letter || a->letter != b->letter);
		}
	}
}

/* The text of a file, for roff without escapes and fonts. */
static char *read_text(const char *path, bool roff)
{
	char *text = calloc(1, 65536);
	FILE *file = fopen(path, "r");
	char *to = text;

	if (!file)
		fail_msg("cannot open %s: run the tests in the root of the tree", path);
	assert_true(fread(text, 1, 65535, file) > 0);
	fclose(file);
	for (const char *from = text; roff && (*to = *from); to++, from++)
		if (from[0] == '\\' && from[1] == 'f') {
			from += 2;
			to--;
		} else if (from[0] == '\\' && from[1] == '-') {
			*to = *++from;
		} else if (from[0] == '"') {
			to--;
		}
	return text;
}

/* Whether @word stands in @text as a word of its own. */
static bool mentions(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
		if ((p == text || (!isalnum((unsigned char)p[-1]) && p[-1] != '-')) &&
		    !isalnum((unsigned char)p[len]) && p[len] != '-')
			return true;
	return false;
}

static void expect_mention(const char *where, const char *text, const char *format,
			   const char *word)
{
	char needle[64];

	snprintf(needle, sizeof(needle), format, word);
	if (!mentions(text, needle))
		fail_msg("%s does not mention %s", where, needle);
}

static void expect_option(const char *where, const char *text, const struct option *option)
{
	char letter[] = { '-', option->letter, '\0' };

	expect_mention(where, text, "--%s", option->name);
	if (option->alias)
		expect_mention(where, text, "--%s", option->alias);
	if (option->letter && !strstr(text, letter))
		fail_msg("%s does not mention %s", where, letter);
	if (option->argument == ARGUMENT_OPTIONAL)
		expect_mention(where, text, "--no-%s", option->name);
}

static void expect_keys(const char *where, const char *text, bool properties)
{
	for (unsigned int g = 0; g < group_count; g++) {
		expect_option(where, text, &groups[g].option);
		for (unsigned int k = 0; k < groups[g].key_count; k++) {
			if (!groups[g].whole)
				expect_mention(where, text, "%s", groups[g].keys[k].name);
			if (properties)
				expect_mention(where, text, "%s", groups[g].keys[k].property);
		}
	}
}

static void test_documents(void **state)
{
	char *man = read_text("docs/nidus.1", true);
	char *completion = read_text("docs/completion/nidus.bash", false);

	(void)state;
	expect_keys("docs/nidus.1", man, true);
	expect_keys("docs/completion/nidus.bash", completion, false);
	for (unsigned int v = 0; v < verb_count; v++) {
		expect_mention("docs/nidus.1", man, "nidus %s", verbs[v].name);
		expect_mention("docs/completion/nidus.bash", completion, "%s", verbs[v].name);
		for (unsigned int i = 0; i < verbs[v].setting_count; i++) {
			expect_option("docs/nidus.1", man, &verbs[v].settings[i].option);
			expect_option("docs/completion/nidus.bash", completion,
				      &verbs[v].settings[i].option);
		}
	}
	for (unsigned int g = 0; g < group_count; g++)
		expect_mention("docs/nidus.1", man, "%s",
			       groups[g].max ? groups[g].compatible : groups[g].node);
	free(man);
	free(completion);
}

static void test_help(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < verb_count; v++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		help_print_verb(&verbs[v], out);
		fclose(out);
		if (verbs[v].describes_vm)
			expect_keys(verbs[v].name, text, false);
		for (unsigned int i = 0; i < verbs[v].setting_count; i++)
			expect_option(verbs[v].name, text, &verbs[v].settings[i].option);
		expect_option(verbs[v].name, text, &common_settings[0].option);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_print),
		cmocka_unit_test_setup_teardown(test_validate, setup, teardown),
		cmocka_unit_test(test_too_many_devices),
		cmocka_unit_test_setup_teardown(test_permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inherited_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
