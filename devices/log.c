// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Diagnostics on stderr; see log.h.
 *
 * The levels are the one piece of mutable state in the program that does not hang off a VM: they
 * are set once, before threads start, and only read afterwards.
 */
#include "devices/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/base.h"

#define LOG_LINE_MAX 1024 /* less than PIPE_BUF: a pipe with room takes all of it */
#define LOG_WAIT_MS  200

static const char *const level_names[LOG_LEVELS] = {
	[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn",	  [LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

static const char *const module_names[LOG_MODULE_COUNT] = {
#define LOG_NAME(id, name) [LOG_##id] = (name),
	LOG_MODULES(LOG_NAME)
#undef LOG_NAME
};

struct log_levels {
	enum log_level of[LOG_MODULE_COUNT];
};

static struct log_levels levels = { { [0 ... LOG_MODULE_COUNT - 1] = LOG_LEVEL_NOTICE } };

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

const char *log_module_name(enum log_module module)
{
	return module_names[module];
}

bool log_enabled(enum log_module module, enum log_level level)
{
	return level <= levels.of[module];
}

/* The index of the @len bytes at @word in @names, or -1. */
static int find_name(const char *const *names, int count, const char *word, size_t len)
{
	for (int i = 0; i < count; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], word, len))
			return i;
	return -1;
}

/* Applies one "level" or "module=level" of @len bytes to @to. */
static int apply(struct log_levels *to, const char *item, size_t len)
{
	const char *equals = memchr(item, '=', len);
	const char *word = equals ? equals + 1 : item;
	int level = find_name(level_names, LOG_LEVELS, word, len - (size_t)(word - item));
	int module;

	if (level < 0)
		return -EINVAL;
	if (!equals) {
		for (int i = 0; i < LOG_MODULE_COUNT; i++)
			to->of[i] = (enum log_level)level;
		return 0;
	}
	module = find_name(module_names, LOG_MODULE_COUNT, item, (size_t)(equals - item));
	if (module < 0)
		return -EINVAL;
	to->of[module] = (enum log_level)level;
	return 0;
}

static int parse(struct log_levels *to, const char *spec, const char **bad)
{
	const char *item = spec;

	for (;;) {
		size_t len = strcspn(item, ",");

		if (apply(to, item, len)) {
			*bad = item;
			return -EINVAL;
		}
		if (!item[len])
			return 0;
		item += len + 1;
	}
}

int log_check(const char *spec, const char **bad)
{
	struct log_levels unused = levels;

	return parse(&unused, spec, bad);
}

int log_configure(const char *spec, const char **bad)
{
	struct log_levels next = levels;
	int r = parse(&next, spec, bad);

	if (!r)
		levels = next;
	return r;
}

/*
 * Text that came from a guest or a file must neither break the line nor drive the terminal that
 * shows it.
 */
static void make_printable(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

/*
 * Whoever reads our messages may have stopped reading. No thread waits for long then, or the VM
 * could not be ended: the line is lost.
 */
static bool stderr_has_room(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&fd, 1, LOG_WAIT_MS) == 1;
}

void log_write(enum log_module module, enum log_level level, const char *format, ...)
{
	static const char cut[] = "...";
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t len;
	va_list args;
	int n;

	if (!log_enabled(module, level))
		return;
	len = (size_t)snprintf(line, sizeof(line), "nidus: [%s] %s: ", level_names[level],
			       module_names[module]);
	va_start(args, format);
	n = vsnprintf(line + len, sizeof(line) - len, format, args);
	va_end(args);
	if (n < 0)
		return;
	len += (size_t)n;
	if (len >= sizeof(line)) {
		len = sizeof(line) - 1;
		memcpy(line + len - (sizeof(cut) - 1), cut, sizeof(cut) - 1);
	}
	make_printable(line, len);
	line[len++] = '\n'; /* takes the place of the terminating NUL */

	/* A diagnostic that cannot be written has nowhere to be reported. */
	if (stderr_has_room() && write(STDERR_FILENO, line, len) < 0)
		errno = saved;
	errno = saved;
}

bool log_guest_allowed(unsigned int *count, enum log_module module)
{
	unsigned int n;

	if (!log_enabled(module, LOG_LEVEL_WARN))
		return false;
	/* The load keeps the counter from ever wrapping, however long the guest keeps trying. */
	if (__atomic_load_n(count, __ATOMIC_RELAXED) > LOG_GUEST_LIMIT)
		return false;
	n = __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
	if (n < LOG_GUEST_LIMIT)
		return true;
	if (n == LOG_GUEST_LIMIT)
		log_write(module, LOG_LEVEL_WARN,
			  "the guest keeps provoking this message: the rest is dropped");
	return false;
}
