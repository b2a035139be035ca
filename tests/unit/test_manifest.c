// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm/manifest.c and manifest_write.c: device tree to configuration and back. */
#include <errno.h>
#include <libfdt.h>
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
#include "vmm/fdt_sound.h"
#include "vmm/keys.h"
#include "vmm/manifest.h"

#define BLOB_SIZE 65536

static uint64_t blob[BLOB_SIZE / 8];

static int parse(struct vm_config *config, const char *directory, struct config_error *error)
{
	config_init(config);
	error->text[0] = '\0';
	return manifest_parse(config, blob, fdt_totalsize(blob), "vm.dtb", directory, error);
}

/* Starts a tree; the test adds to the root node and calls finish(). */
static void start(void)
{
	assert_int_equal(fdt_create(blob, sizeof(blob)), 0);
	fdt_finish_reservemap(blob);
	fdt_begin_node(blob, "");
	fdt_property_string(blob, "compatible", "nidus,vm");
	fdt_property_u32(blob, "#address-cells", 2);
	fdt_property_u32(blob, "#size-cells", 2);
}

static void finish(void)
{
	fdt_end_node(blob);
	assert_int_equal(fdt_finish(blob), 0);
}

static void expect_error(const char *text)
{
	struct config_error error;
	struct vm_config config;

	assert_int_equal(parse(&config, "", &error), -EINVAL);
	if (!strstr(error.text, text))
		fail_msg("expected '%s', got '%s'", text, error.text);
	assert_null(strchr(error.text, '\n'));
	config_free(&config);
}

static void test_minimal(void **state)
{
	struct config_error error;
	struct vm_config config;

	(void)state;
	start();
	fdt_property_string(blob, "nidus,name", "vm1");
	fdt_property(blob, "nidus,exit-port", NULL, 0);
	fdt_begin_node(blob, "chosen");
	fdt_property_string(blob, "nidus,kernel", "bzImage");
	fdt_property_string(blob, "bootargs", "console=ttyS0");
	fdt_end_node(blob);
	fdt_begin_node(blob, "my-root-disk");
	fdt_property_string(blob, "compatible", "nidus,disk");
	fdt_property_string(blob, "path", "/abs.img");
	fdt_property(blob, "read-only", NULL, 0);
	fdt_end_node(blob);
	finish();
	assert_int_equal(parse(&config, "dir", &error), 0);
	assert_string_equal(config.name, "vm1");
	assert_true(config.exit_port);
	assert_string_equal(config.kernel, "dir/bzImage");
	assert_string_equal(config.cmdline, "console=ttyS0");
	assert_int_equal(config.disk_count, 1);
	assert_string_equal(config.disk[0].path, "/abs.img");
	assert_true(config.disk[0].readonly);
	assert_int_equal(config.memory, 512 * MIB);
	config_free(&config);
}

static void test_memory_cells(void **state)
{
	const fdt32_t two[] = { 0, 0, cpu_to_fdt32(1), cpu_to_fdt32(0x40000000) };
	const fdt32_t one[] = { 0, cpu_to_fdt32(0x10000000) };
	struct config_error error;
	struct vm_config config;

	(void)state;
	start();
	fdt_begin_node(blob, "memory");
	fdt_property(blob, "reg", two, sizeof(two));
	fdt_property_string(blob, "nidus,hugepages", "1G");
	fdt_end_node(blob);
	finish();
	assert_int_equal(parse(&config, "", &error), 0);
	assert_int_equal(config.memory, 5 * GIB);
	assert_int_equal(config.hugepages, HUGEPAGES_1G);
	config_free(&config);

	assert_int_equal(fdt_create(blob, sizeof(blob)), 0);
	fdt_finish_reservemap(blob);
	fdt_begin_node(blob, "");
	fdt_property_string(blob, "compatible", "nidus,vm");
	fdt_property_u32(blob, "#address-cells", 1);
	fdt_property_u32(blob, "#size-cells", 1);
	fdt_begin_node(blob, "memory@0");
	fdt_property(blob, "reg", one, sizeof(one));
	fdt_end_node(blob);
	finish();
	assert_int_equal(parse(&config, "", &error), 0);
	assert_int_equal(config.memory, 256 * MIB);
	config_free(&config);
}

/* One property in one node, and what is wrong with it. */
static void test_bad_properties(void **state)
{
	static const struct {
		const char *node, *compatible, *property, *data;
		int len;
		const char *error;
	} rows[] = {
		{ NULL, NULL, "nidus,nmae", "x", 2,
		  "vm.dtb: /: nidus,nmae: unknown property; valid ones: nidus,rng, "
		  "nidus,restart, nidus,exit-port, nidus,name, nidus,seccomp, nidus,log" },
		{ NULL, NULL, "nidus,name", "x", 1, "must be one string" },
		{ NULL, NULL, "nidus,name", "x\0y", 4, "must be one string" },
		{ NULL, NULL, "nidus,name", "", 0, "must be one string" },
		{ NULL, NULL, "nidus,name", ".x", 3, "bad value '.x': must be 1 to 64 letters" },
		{ NULL, NULL, "nidus,rng", "maybe", 6, "must be on or off" },
		{ NULL, NULL, "nidus,exit-port", "\0\0\1", 3, "empty or one number" },
		{ NULL, NULL, "nidus,exit-port", "\0\1\0\0", 4, "must be on, off or a port" },
		{ NULL, NULL, "nidus,seccomp", "maybe", 6, "must be kill, log or off" },
		{ "chosen", NULL, "stdout-path", "x", 2,
		  "vm.dtb: /chosen: stdout-path: unknown property; valid ones: nidus,kernel, "
		  "bootargs" },
		{ "chosen", NULL, "nidus,kernel", "", 1, "bad value ''" },
		{ "cpus", NULL, "nidus,count", "\0\0\0\0", 4, "must be a number from 1 to 64" },
		{ "cpus", NULL, "nidus,count", "\0\0\0\0\0\0\0\1", 8, "must be one number" },
		{ "cpus", NULL, "nidus,cpu", "", 1, "must be host" },
		{ "memory@0", NULL, "reg", "\0\0\0\0\0\0\0\1\0\0\0\0\x40\0\0\0", 16, "one range" },
		{ "memory@0", NULL, "reg", "\0\0\0\0\x40\0\0\0", 8, "one range from 0" },
		{ "memory@0", NULL, "reg", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, "from 16M" },
		{ "memory@0", NULL, "reg", "\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16,
		  "multiple of 4K" },
		{ "memory@0", NULL, "nidus,prefault", "on", 3, "must be empty" },
		{ "disk-0", "nidus,disk", "readonly", "", 0,
		  "vm.dtb: /disk-0: readonly: unknown property; valid ones: path, fd, read-only, "
		  "direct, queues, serial" },
		{ "disk-0", "nidus,disk", "queues", "\0\0\0\x11", 4, "a number from 1 to 16" },
		{ "disk-0", "nidus,disk", "fd", "\0\0\0\1", 4, "3 or more" },
		{ "disk-0", "nidus,disk", "fd", "\xff\xff\xff\xff", 4, "3 or more" },
		{ "net-0", "nidus,net", "local-mac-address", "12345", 5, "must be six bytes" },
		{ "net-0", "nidus,net", "local-mac-address", "\1\0\0\0\0\0", 6, "unicast" },
		{ "net-0", "nidus,net", "offload", "up", 3, "must be on or off" },
		{ "serial", NULL, "to", "tty", 4, "must be stdio, off or file=PATH" },
		{ "disk@0", NULL, "path", "x", 2,
		  "unknown node 'disk@0'; valid ones: chosen, compatible nidus,initrd" },
		{ "disk@0", "nidus,dsik", "path", "x", 2, "unknown node 'disk@0'" },
		{ "memory@1000", NULL, "path", "x", 2, "unknown node 'memory@1000'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start();
		if (rows[i].node)
			fdt_begin_node(blob, rows[i].node);
		if (rows[i].compatible)
			fdt_property_string(blob, "compatible", rows[i].compatible);
		fdt_property(blob, rows[i].property, rows[i].data, rows[i].len);
		if (rows[i].node)
			fdt_end_node(blob);
		finish();
		expect_error(rows[i].error);
	}
}

static void test_repetitions(void **state)
{
	(void)state;
	start();
	fdt_property_string(blob, "nidus,name", "a");
	fdt_property_string(blob, "nidus,name", "b");
	finish();
	expect_error("vm.dtb: /: nidus,name: given twice");

	start();
	for (int i = 0; i < 2; i++) {
		fdt_begin_node(blob, i ? "memory" : "memory@0");
		fdt_end_node(blob);
	}
	finish();
	expect_error("vm.dtb: /memory: given twice");

	start();
	fdt_begin_node(blob, "serial");
	fdt_property_string(blob, "to", "stdio");
	fdt_property_string(blob, "file", "x");
	fdt_end_node(blob);
	finish();
	expect_error("/serial: file: contradicts");

	start();
	for (int i = 0; i <= CONFIG_NETS; i++) {
		fdt_begin_node(blob, "n");
		fdt_property_string(blob, "compatible", "nidus,net");
		fdt_end_node(blob);
	}
	finish();
	expect_error("too many: at most 8");

	start();
	fdt_begin_node(blob, "chosen");
	fdt_begin_node(blob, "initrd");
	fdt_end_node(blob);
	fdt_end_node(blob);
	finish();
	expect_error("unknown node 'initrd'");
}

static void test_not_a_manifest(void **state)
{
	static const char source[] = "// a VM\n/dts-v1/;\n/ { };";
	struct config_error error;
	struct vm_config config;

	(void)state;
	config_init(&config);
	assert_int_equal(manifest_parse(&config, source, sizeof(source), "a.dts", "", &error),
			 -EINVAL);
	assert_string_equal(error.text, "a.dts: is device tree source; compile it first: "
					"dtc -O dtb -o vm.dtb a.dts");
	assert_int_equal(manifest_parse(&config, "x", 1, "x", "", &error), -EINVAL);
	assert_non_null(strstr(error.text, "is not a device tree blob"));

	start();
	finish();
	for (size_t size = 4; size < fdt_totalsize(blob); size++) {
		assert_int_equal(manifest_parse(&config, blob, size, "x", "", &error), -EINVAL);
		assert_non_null(strstr(error.text, "broken device tree blob"));
	}
	fdt_set_version(blob, 16);
	assert_int_equal(manifest_parse(&config, blob, sizeof(blob), "x", "", &error), -EINVAL);
	assert_non_null(strstr(error.text, "broken device tree blob (its version is not 17)"));
	config_free(&config);

	assert_int_equal(fdt_create(blob, sizeof(blob)), 0);
	fdt_finish_reservemap(blob);
	fdt_begin_node(blob, "");
	fdt_property_string(blob, "compatible", "acme,board");
	finish();
	expect_error("describes no VM: its root needs compatible = \"nidus,vm\"");
}

/* Each way for a blob's structure to be unsound; the tags are those of 5.4.1. */
static void test_unsound(void **state)
{
	static const struct {
		uint32_t words[8];
		unsigned int count;
		const char *wrong;
	} rows[] = {
		{ { 1, 0, 2, 9 }, 4, NULL },
		{ { 4, 1, 0, 4, 2, 4, 9 }, 7, NULL },
		{ { 1, 0, 2 }, 3, "its structure does not end" },
		{ { 1, 0, 9 }, 3, "its structure ends within a node" },
		{ { 9 }, 1, "its structure ends within a node" },
		{ { 1, 0, 2, 2, 9 }, 5, "a node ends that did not begin" },
		{ { 1, 0, 2, 1, 0, 2, 9 }, 7, "it has two root nodes" },
		{ { 1, 0x41414141 }, 2, "a node's name does not end" },
		{ { 1 }, 1, "a node's name does not end" },
		{ { 1, 0, 7 }, 3, "its structure has an unknown part" },
		{ { 1, 0, 3, 0, 0, 2, 9 }, 7, NULL },
		{ { 1, 0, 3, 0, 9, 2, 9 }, 7, "a property's name does not end" },
		{ { 1, 0, 3, 0, 2, 2, 9 }, 7, "a property's name does not end" },
		{ { 1, 0, 3, 13, 0, 2, 9 }, 7, "a property's value does not fit" },
		{ { 1, 0, 3, 0xfffffff4, 0, 2, 9 }, 7, "a property's value does not fit" },
		{ { 1, 0, 3, 0xffffffff, 0, 2, 9 }, 7, "a property's value does not fit" },
		{ { 1, 0, 3, 0 }, 4, "a property's value does not fit" },
		{ { 3, 0, 0, 9 }, 4, "a property stands where none may be" },
		{ { 1, 0, 2, 3, 0, 0, 9 }, 7, "a property stands where none may be" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fdt_header *header = (void *)blob;
		uint32_t *structure = (void *)((char *)blob + 56);
		uint32_t size = rows[i].count * 4;
		const char *wrong;

		memset(blob, 0, 256);
		*header = (struct fdt_header){
			.magic = cpu_to_fdt32(FDT_MAGIC),
			.totalsize = cpu_to_fdt32(56 + size + 3),
			.off_mem_rsvmap = cpu_to_fdt32(40),
			.off_dt_struct = cpu_to_fdt32(56),
			.size_dt_struct = cpu_to_fdt32(size),
			.off_dt_strings = cpu_to_fdt32(56 + size),
			.size_dt_strings = cpu_to_fdt32(3), /* "a", and "b" without its end */
			.version = cpu_to_fdt32(17),
			.last_comp_version = cpu_to_fdt32(16),
		};
		for (unsigned int j = 0; j < rows[i].count; j++)
			structure[j] = cpu_to_fdt32(rows[i].words[j]);
		memcpy((char *)structure + size, "a\0b", 3);
		wrong = fdt_unsound(blob, 256);
		if (!wrong != !rows[i].wrong || (wrong && strcmp(wrong, rows[i].wrong)))
			fail_msg("row %zu: %s", i, wrong ? wrong : "sound");
		header->totalsize = cpu_to_fdt32(257);
		assert_string_equal(fdt_unsound(blob, 256), "it is cut short");
	}
}

static void test_files(void **state)
{
	static const char *const rows[][2] = {
		{ "/nonexistent/vm.dtb", "cannot open '/nonexistent/vm.dtb': No such file" },
		{ "/", "cannot read '/': Is a directory" },
		{ "/dev/null", "'/dev/null' is empty" },
		{ "/dev/zero", "'/dev/zero' is larger than 1 MiB" },
		/* On which fdt_check_full() of libfdt 1.6 crashes, and does not return. */
		{ "tests/fuzz/corpus/manifest/old-version.dtb", "(its version is not 17)" },
		{ "tests/fuzz/corpus/manifest/endless-property.dtb",
		  "(a property's value does not fit)" },
	};
	struct config_error error;
	struct vm_config config;

	(void)state;
	config_init(&config);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(manifest_read(&config, rows[i][0], &error), -EINVAL);
		if (!strstr(error.text, rows[i][1]))
			fail_msg("%s", error.text);
	}
	assert_int_equal(manifest_write(&config, "/nonexistent/vm.dtb", &error), -EINVAL);
	assert_non_null(strstr(error.text, "cannot write '/nonexistent/vm.dtb': No such file"));
	config_free(&config);
}

/* Paths of a manifest are relative to it; those of the command line that made it were not. */
static void test_relative_paths(void **state)
{
	char directory[] = "/tmp/nidus-test-XXXXXX", path[64], cwd[1024], expected[2048];
	struct config_error error;
	struct vm_config config;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/vm.dtb", directory);
	config_init(&config);
	config.kernel = strdup("bzImage");
	assert_int_equal(manifest_write(&config, path, &error), 0);
	assert_int_equal(manifest_write(&config, path, &error), 0); /* replaces itself */
	assert_int_equal(stat(path, &st), 0);
	config_free(&config);
	assert_int_equal(manifest_read(&config, path, &error), 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(expected, sizeof(expected), "%s/bzImage", cwd);
	assert_string_equal(config.kernel, expected);
	config_free(&config);
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

/* Random configurations, from a fixed seed. */

static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % below;
}

static char *draw_text(const char *letters, size_t max)
{
	size_t len = 1 + draw(max);
	char *text = calloc(1, len + 1);

	for (size_t i = 0; i < len; i++)
		text[i] = letters[draw(strlen(letters))];
	return text;
}

#define NAME_LETTERS "abcXYZ019_-"
#define PATH_LETTERS "ab/.,=\" \\-\xc3\xa4"

static void draw_stream(struct stream_config *stream)
{
	stream->kind = (enum stream_kind)draw(3);
	if (stream->kind == STREAM_FILE)
		stream->path = draw_text(PATH_LETTERS, 40);
}

static void draw_disk(struct disk_config *disk)
{
	config_disk_init(disk);
	if (draw(2))
		disk->path = draw_text(PATH_LETTERS, draw(9) ? 40 : 4000);
	else
		disk->fd = (int)(3 + draw(INT32_MAX - 3));
	disk->readonly = draw(2);
	disk->direct = draw(2);
	disk->queues = (unsigned int)(1 + draw(CONFIG_QUEUES_MAX));
	if (draw(2))
		disk->serial = draw_text("AB,\"=1", CONFIG_SERIAL_MAX);
}

static void draw_net(struct net_config *net)
{
	config_net_init(net);
	if (draw(2))
		net->tap = draw_text(NAME_LETTERS, 15);
	else
		net->fd = (int)(3 + draw(1000));
	net->has_mac = draw(2);
	for (int i = 0; net->has_mac && i < 6; i++)
		net->mac[i] = (uint8_t)(i ? draw(256) : 2 + 4 * draw(60));
	net->queues = (unsigned int)(1 + draw(CONFIG_QUEUES_MAX));
	net->offload = draw(2);
}

static void draw_vtd(struct vtd_options *vtd)
{
	static const char *const devices[] = { "disk0", "disk1:net0:rng", "sdma7:edu0" };
	static const unsigned int widths[] = { 39, 48, 57 };

	*vtd = (struct vtd_options){
		.aw = widths[draw(3)],
		.pasid_bits = (unsigned int)draw(21),
		.domain_bits = (unsigned int)(4 + 2 * draw(7)),
		.pasid_quota = (unsigned int)(1 + draw(1 << 20)),
		.fault_records = (unsigned int)(1 + draw(16)),
		.drop = draw(2) ? (unsigned int)draw(512) & 0x1de : 0,
		.devices = draw(2) ? strdup(devices[draw(3)]) : NULL,
	};
	for (unsigned int i = 0; i < VTD_FEATURES; i++)
		vtd->feature[i] = (enum toggle)draw(3);
}

static void draw_config(struct vm_config *config)
{
	static const char *const cpus[] = { "host", "host:-svm", "host:-avx2:-vmx:-sse4_2" };
	static const char *const logs[] = { "debug", "warn,blk=debug", "error" };

	config_init(config);
	config->name = draw(2) ? draw_text(NAME_LETTERS, CONFIG_NAME_MAX) : NULL;
	config->kernel = draw(9) ? draw_text(PATH_LETTERS, 40) : NULL;
	config->cmdline = draw(4)   ? draw_text(PATH_LETTERS, CONFIG_CMDLINE_MAX - 1)
			  : draw(2) ? strdup("")
				    : NULL;
	config->initrd_count = (unsigned int)draw(CONFIG_INITRDS + 1);
	for (unsigned int i = 0; i < config->initrd_count; i++) {
		config->initrd[i].path = draw_text(PATH_LETTERS, 40);
		config->initrd[i].args = draw(2) ? draw_text(PATH_LETTERS, 300) : NULL;
	}
	config->cpus = (unsigned int)(1 + draw(CONFIG_CPUS_MAX));
	config->cpu = draw(2) ? strdup(cpus[draw(ARRAY_SIZE(cpus))]) : NULL;
	config->memory = CONFIG_MEMORY_MIN + (draw(CONFIG_MEMORY_MAX - CONFIG_MEMORY_MIN) &
					      ~(uint64_t)(draw(2) ? 0xfff : 0x3fffffff));
	config->hugepages = (enum hugepages)draw(3);
	config->prefault = draw(2);
	config->overcommit = draw(2);
	config->shared = draw(2);
	draw_stream(&config->serial);
	draw_stream(&config->console);
	config->rng = draw(2);
	config->restart = draw(2);
	config->exit_port = draw(2);
	if (config->exit_port)
		config->exit_port_base = (uint16_t)(1 + draw(0xffff));
	config->disk_count = (unsigned int)draw(CONFIG_DISKS + 1);
	for (unsigned int i = 0; i < config->disk_count; i++)
		draw_disk(&config->disk[i]);
	config->net_count = (unsigned int)draw(CONFIG_NETS + 1);
	for (unsigned int i = 0; i < config->net_count; i++)
		draw_net(&config->net[i]);
	config->vtd_count = (unsigned int)draw(CONFIG_VTDS + 1);
	for (unsigned int i = 0; i < config->vtd_count; i++)
		draw_vtd(&config->vtd[i]);
	config->sdma_count = (unsigned int)draw(CONFIG_SDMAS + 1);
	for (unsigned int i = 0; i < config->sdma_count; i++)
		config->sdma[i].queues = (unsigned int)(1 + draw(64));
	config->vfio_count = (unsigned int)draw(CONFIG_VFIOS + 1);
	for (unsigned int i = 0; i < config->vfio_count; i++)
		config->vfio[i] = (struct vfio_options){
			.device = draw(2) ? strdup("0000:06:0d.0") : NULL,
			.fd = (int)draw(2) ? 3 + (int)draw(100) : -1,
			.iommufd = (int)draw(2) ? 3 + (int)draw(100) : -1,
			.nested = (enum vfio_nested)draw(3),
			.pasid_quota = (unsigned int)draw(1 << 20),
		};
	config->edu_count = (unsigned int)draw(CONFIG_EDUS + 1);
	for (unsigned int i = 0; i < config->edu_count; i++)
		config->edu[i].dma_mask = (unsigned int)(12 + draw(53));
	config->seccomp = (enum seccomp_mode)draw(3);
	config->log = draw(2) ? strdup(logs[draw(ARRAY_SIZE(logs))]) : NULL;
}

static void same_string(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void same_stream(const struct stream_config *a, const struct stream_config *b)
{
	assert_int_equal(a->kind, b->kind);
	same_string(a->path, b->path);
}

static void same_disk(const struct disk_config *a, const struct disk_config *b)
{
	same_string(a->path, b->path);
	assert_int_equal(a->fd, b->fd);
	assert_int_equal(a->readonly, b->readonly);
	assert_int_equal(a->direct, b->direct);
	assert_int_equal(a->queues, b->queues);
	same_string(a->serial, b->serial);
}

static void same_net(const struct net_config *a, const struct net_config *b)
{
	same_string(a->tap, b->tap);
	assert_int_equal(a->fd, b->fd);
	assert_int_equal(a->has_mac, b->has_mac);
	assert_memory_equal(a->mac, b->mac, sizeof(a->mac));
	assert_int_equal(a->queues, b->queues);
	assert_int_equal(a->offload, b->offload);
}

static void same_vtd(const struct vtd_options *a, const struct vtd_options *b)
{
	assert_int_equal(a->aw, b->aw);
	assert_int_equal(a->pasid_bits, b->pasid_bits);
	assert_int_equal(a->domain_bits, b->domain_bits);
	assert_int_equal(a->pasid_quota, b->pasid_quota);
	assert_int_equal(a->fault_records, b->fault_records);
	assert_int_equal(a->drop, b->drop);
	same_string(a->devices, b->devices);
	for (unsigned int i = 0; i < VTD_FEATURES; i++)
		assert_int_equal(a->feature[i], b->feature[i]);
}

/* Field by field, by hand: this must not trust the tables it tests. */
static void same_config(const struct vm_config *a, const struct vm_config *b)
{
	same_string(a->name, b->name);
	same_string(a->kernel, b->kernel);
	same_string(a->cmdline, b->cmdline);
	assert_int_equal(a->initrd_count, b->initrd_count);
	for (unsigned int i = 0; i < a->initrd_count; i++) {
		same_string(a->initrd[i].path, b->initrd[i].path);
		same_string(a->initrd[i].args, b->initrd[i].args);
	}
	assert_int_equal(a->cpus, b->cpus);
	same_string(a->cpu, b->cpu);
	assert_int_equal(a->memory, b->memory);
	assert_int_equal(a->hugepages, b->hugepages);
	assert_int_equal(a->prefault, b->prefault);
	assert_int_equal(a->overcommit, b->overcommit);
	assert_int_equal(a->shared, b->shared);
	same_stream(&a->serial, &b->serial);
	same_stream(&a->console, &b->console);
	assert_int_equal(a->rng, b->rng);
	assert_int_equal(a->restart, b->restart);
	assert_int_equal(a->exit_port, b->exit_port);
	assert_int_equal(a->exit_port_base, b->exit_port_base);
	assert_int_equal(a->disk_count, b->disk_count);
	for (unsigned int i = 0; i < a->disk_count; i++)
		same_disk(&a->disk[i], &b->disk[i]);
	assert_int_equal(a->net_count, b->net_count);
	for (unsigned int i = 0; i < a->net_count; i++)
		same_net(&a->net[i], &b->net[i]);
	assert_int_equal(a->seccomp, b->seccomp);
	same_string(a->log, b->log);
	assert_int_equal(a->vtd_count, b->vtd_count);
	for (unsigned int i = 0; i < a->vtd_count; i++)
		same_vtd(&a->vtd[i], &b->vtd[i]);
	assert_int_equal(a->vfio_count, b->vfio_count);
	for (unsigned int i = 0; i < a->vfio_count; i++) {
		same_string(a->vfio[i].device, b->vfio[i].device);
		assert_int_equal(a->vfio[i].fd, b->vfio[i].fd);
		assert_int_equal(a->vfio[i].iommufd, b->vfio[i].iommufd);
		assert_int_equal(a->vfio[i].nested, b->vfio[i].nested);
		assert_int_equal(a->vfio[i].pasid_quota, b->vfio[i].pasid_quota);
	}
	assert_int_equal(a->sdma_count, b->sdma_count);
	for (unsigned int i = 0; i < a->sdma_count; i++)
		assert_int_equal(a->sdma[i].queues, b->sdma[i].queues);
	assert_int_equal(a->edu_count, b->edu_count);
	for (unsigned int i = 0; i < a->edu_count; i++)
		assert_int_equal(a->edu[i].dma_mask, b->edu[i].dma_mask);
}

static void test_round_trip(void **state)
{
	void *buffer = malloc(MANIFEST_MAX);
	struct config_error error;
	struct vm_config a, b;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		int size;

		draw_config(&a);
		size = manifest_build(&a, buffer, MANIFEST_MAX);
		assert_true(size > 0);
		config_init(&b);
		if (manifest_parse(&b, buffer, (size_t)size, "vm.dtb", "", &error))
			fail_msg("round %d: %s", i, error.text);
		same_config(&a, &b);
		config_free(&a);
		config_free(&b);
	}
	free(buffer);
}

/* What `nidus check` prints for an option is what the option takes. */
static void test_printed_values_are_read_back(void **state)
{
	struct config_error error;
	struct vm_config a, b;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		draw_config(&a);
		config_init(&b);
		for (unsigned int g = 0; g < group_count; g++)
			for (unsigned int j = 0; j < group_objects(&groups[g], &a); j++) {
				char *text = NULL;
				size_t size;
				FILE *out = open_memstream(&text, &size);
				bool any = group_print(&groups[g], &a, j, out);

				fclose(out);
				if (any && group_parse(&groups[g], &b, text, "it", &error))
					fail_msg("'%s': %s", text, error.text);
				free(text);
			}
		same_config(&a, &b);
		config_free(&a);
		config_free(&b);
	}
}

static void test_small_buffer(void **state)
{
	struct vm_config config;

	(void)state;
	draw_config(&config);
	for (size_t size = 0; size < 512; size++)
		assert_true(manifest_build(&config, blob, size) < 0);
	config_free(&config);
}

/* Whatever is broken in a blob, it is refused or understood, under the sanitizers. */
static void test_mutations(void **state)
{
	static uint64_t copy[BLOB_SIZE / 8];
	struct config_error error;
	struct vm_config config;
	int size;

	(void)state;
	do {
		draw_config(&config);
		size = manifest_build(&config, blob, sizeof(blob));
		config_free(&config);
	} while (size < 0);
	for (int i = 0; i < 20000; i++) {
		memcpy(copy, blob, (size_t)size);
		for (uint64_t n = 1 + draw(4); n; n--)
			((uint8_t *)copy)[draw((uint64_t)size)] = (uint8_t)draw(256);
		config_init(&config);
		manifest_parse(&config, copy, (size_t)size, "vm.dtb", "d", &error);
		config_free(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_memory_cells),
		cmocka_unit_test(test_bad_properties),
		cmocka_unit_test(test_repetitions),
		cmocka_unit_test(test_not_a_manifest),
		cmocka_unit_test(test_unsound),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_printed_values_are_read_back),
		cmocka_unit_test(test_small_buffer),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
