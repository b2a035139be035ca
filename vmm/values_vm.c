// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The types of values that belong to one kind of thing: CPU features, log levels, MAC addresses,
 * what a serial port is connected to, the exit port, what is behind a VT-d unit.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "devices/base.h"
#include "devices/log.h"
#include "viommu/spec.h"
#include "vmm/keys.h"

/*
 * "host", then any number of ":-feature". This is the form only: whether each word is a feature is
 * a rule of validate.c, which can list them.
 */
static int parse_cpu(const struct key *key, void *object, const char *text)
{
	static const char host[] = "host";
	const char *p = text;

	if (strlen(text) >= CONFIG_CMDLINE_MAX || strncmp(p, host, sizeof(host) - 1))
		return -EINVAL;
	for (p += sizeof(host) - 1; *p;) {
		size_t len;

		if (p[0] != ':' || p[1] != '-')
			return -EINVAL;
		p += 2;
		len = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_.");
		if (!len)
			return -EINVAL;
		p += len;
	}
	return store_string(key, object, text);
}

static int parse_log(const struct key *key, void *object, const char *text)
{
	const char *bad;

	if (strlen(text) >= CONFIG_CMDLINE_MAX || log_check(text, &bad))
		return -EINVAL;
	return store_string(key, object, text);
}

static void expects_log(const struct key *key, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	(void)key;
	if (!out)
		return;
	fputs("a list of LEVEL or MODULE=LEVEL; levels:", out);
	for (unsigned int i = 0; i < LOG_LEVELS; i++)
		fprintf(out, "%s %s", i ? "," : "", log_level_name((enum log_level)i));
	fputs("; modules:", out);
	for (unsigned int i = 0; i < LOG_MODULE_COUNT; i++)
		fprintf(out, "%s %s", i ? "," : "", log_module_name((enum log_module)i));
	fclose(out);
}

/* "on" is the port that test kernels expect; the object is the whole configuration. */
static int parse_exit_port(const struct key *key, void *object, const char *text)
{
	struct vm_config *config = object;
	uint64_t port = CONFIG_EXIT_PORT;
	bool on = true;

	if (parse_switch(text, &on) && parse_number(text, key->min, key->max, &port))
		return -EINVAL;
	config->exit_port = on;
	config->exit_port_base = (uint16_t)port;
	return 0;
}

static bool format_exit_port(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const struct vm_config *config = object;

	(void)key;
	if (config->exit_port)
		snprintf(text, VALUE_TEXT_MAX, "%#x", config->exit_port_base);
	else
		strcpy(text, "off");
	return true;
}

static int parse_mac(const struct key *key, void *object, const char *text)
{
	struct net_config *net = object;
	unsigned char any = 0;
	uint8_t mac[6];

	(void)key;
	for (size_t i = 0; i < sizeof(mac); i++) {
		const char *p = text + 3 * i;
		char digits[3] = { 0 };

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
		    p[2] != (i == 5 ? '\0' : ':'))
			return -EINVAL;
		memcpy(digits, p, 2);
		mac[i] = (uint8_t)strtoul(digits, NULL, 16);
		any |= mac[i];
	}
	if (!any || mac[0] & 1)
		return -EINVAL;
	memcpy(net->mac, mac, sizeof(mac));
	net->has_mac = true;
	return 0;
}

static bool format_mac(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const struct net_config *net = object;
	const uint8_t *mac = net->mac;

	(void)key;
	if (!net->has_mac)
		return false;
	snprintf(text, VALUE_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return true;
}

static int parse_stream(const struct key *key, void *object, const char *text)
{
	struct stream_config *stream = object;
	enum stream_kind kind;

	(void)key;
	if (!strcmp(text, "stdio"))
		kind = STREAM_STDIO;
	else if (!strcmp(text, "off"))
		kind = STREAM_OFF;
	else
		return -EINVAL;
	free(stream->path);
	stream->path = NULL;
	stream->kind = kind;
	return 0;
}

static bool format_stream(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const struct stream_config *stream = object;

	(void)key;
	if (stream->kind == STREAM_FILE)
		return false;
	strcpy(text, stream->kind == STREAM_STDIO ? "stdio" : "off");
	return true;
}

static int parse_stream_file(const struct key *key, void *object, const char *text)
{
	struct stream_config *stream = object;
	int r = parse_path(key, object, text);

	if (!r)
		stream->kind = STREAM_FILE;
	return r;
}

/* --- VT-d --- */

/* Names of what a unit may be told to forget, by enum vtd_desc_type. */
static const char *const descriptor_names[] = {
	[VTD_DESC_CONTEXT] = "context",
	[VTD_DESC_IOTLB] = "iotlb",
	[VTD_DESC_DEVTLB] = "device-tlb",
	[VTD_DESC_INTERRUPT] = "interrupt",
	[VTD_DESC_PASID_IOTLB] = "pasid-iotlb",
	[VTD_DESC_PASID_CACHE] = "pasid-cache",
	[VTD_DESC_PASID_DEVTLB] = "pasid-device-tlb",
};

static unsigned int descriptor_bit(const char *name, size_t len)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(descriptor_names); i++)
		if (descriptor_names[i] && strlen(descriptor_names[i]) == len &&
		    !memcmp(descriptor_names[i], name, len))
			return 1U << i;
	return 0;
}

static int parse_drop(const struct key *key, void *object, const char *text)
{
	struct vtd_options *vtd = object;
	unsigned int drop = 0;

	(void)key;
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ":");
		unsigned int bit = descriptor_bit(p, len);

		if (!bit)
			return -EINVAL;
		drop |= bit;
		p += len;
		if (!*p)
			break;
	}
	vtd->drop = drop;
	return 0;
}

/* The longest text is that of all names, some 80 bytes. */
static bool format_drop(const struct key *key, const void *object, char text[VALUE_TEXT_MAX])
{
	const struct vtd_options *vtd = object;

	(void)key;
	text[0] = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(descriptor_names); i++) {
		if (!descriptor_names[i] || !(vtd->drop & 1U << i))
			continue;
		if (text[0])
			strcat(text, ":");
		strcat(text, descriptor_names[i]);
	}
	return vtd->drop;
}

/* The form only: whether there are such devices is a rule of validate_iommu.c. */
static int parse_devices(const struct key *key, void *object, const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *p = text;

	for (;; p++) {
		size_t len = strspn(p, allowed);

		if (!len)
			return -EINVAL;
		p += len;
		if (*p != ':')
			break;
	}
	if (*p || (size_t)(p - text) >= CONFIG_DEVICES_TEXT)
		return -EINVAL;
	return store_string(key, object, text);
}

const struct value_type value_drop = {
	.wire = WIRE_STRING,
	.parse = parse_drop,
	.format = format_drop,
	.form = "context, iotlb, device-tlb, interrupt, pasid-iotlb, pasid-cache or "
		"pasid-device-tlb, or several with ':' between",
};

const struct value_type value_devices = {
	.wire = WIRE_STRING,
	.parse = parse_devices,
	.format = format_string,
	.form = "names of devices with ':' between, as in disk0:sdma1",
};

const struct value_type value_cpu = {
	.wire = WIRE_STRING,
	.parse = parse_cpu,
	.format = format_string,
	.form = "host, or host with features to mask as in host:-svm:-avx2",
};

const struct value_type value_log = {
	.wire = WIRE_STRING,
	.parse = parse_log,
	.format = format_string,
	.expects = expects_log,
};

const struct value_type value_mac = {
	.wire = WIRE_BYTES,
	.parse = parse_mac,
	.format = format_mac,
	.form = "a unicast address such as 52:54:00:12:34:56",
};

const struct value_type value_stream = {
	.wire = WIRE_STRING,
	.parse = parse_stream,
	.format = format_stream,
	.form = "stdio, off or file=PATH",
};

const struct value_type value_stream_file = {
	.wire = WIRE_PATH,
	.parse = parse_stream_file,
	.format = format_string,
	.form = "a path of at most 4095 bytes",
};

const struct value_type value_exit_port = {
	.wire = WIRE_PORT,
	.bare = true,
	.parse = parse_exit_port,
	.format = format_exit_port,
	.form = "on, off or a port from 1 to 0xffff",
};
