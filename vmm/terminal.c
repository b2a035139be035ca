/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/terminal.h"

#include <asm/termbits.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/base.h"

#define CTRL_A 1

/*
 * The kernel's own structure and requests: what C libraries make of tcsetattr() differs, and the
 * sandbox lists one request.
 *
 * The one piece of state outside of struct machine: signal handlers and atexit() have no argument
 * by which it could reach them. `saved` is constant once `active` is set.
 */
static struct termios saved;
static volatile sig_atomic_t active;

void terminal_restore(void)
{
	if (!active)
		return;
	active = 0;
	ioctl(STDIN_FILENO, TCSETS, &saved);
}

/*
 * Returning from it makes the same fault again, and SA_RESETHAND has put back the default action:
 * the second time it is final. raise() is not for us, the sandbox does not let threads kill.
 */
static void restore_once(int signal_number)
{
	(void)signal_number;
	terminal_restore();
}

static void catch_fatal_signals(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
	struct sigaction action = { .sa_handler = restore_once, .sa_flags = SA_RESETHAND };

	for (unsigned int i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &action, NULL);
}

int terminal_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO))
		return 0;
	if (ioctl(STDIN_FILENO, TCGETS, &saved) < 0)
		return -errno;
	if (atexit(terminal_restore))
		return -ENOMEM;
	catch_fatal_signals();
	raw = saved;
	raw.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IGNCR | IXON | BRKINT | ISTRIP);
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ECHONL | ISIG | IEXTEN);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	active = 1;
	if (ioctl(STDIN_FILENO, TCSETS, &raw) < 0) {
		active = 0;
		return -errno;
	}
	return 0;
}

enum terminal_key terminal_key(struct terminal_escape *escape, uint8_t byte)
{
	if (!escape->armed) {
		escape->armed = byte == CTRL_A;
		return escape->armed ? TERMINAL_EAT : TERMINAL_PASS;
	}
	escape->armed = false;
	switch (byte) {
	case 'x':
	case 'X':
		return TERMINAL_QUIT;
	case CTRL_A:
	case 'a':
		return TERMINAL_PASS;
	case 'h':
	case '?':
		return TERMINAL_HELP;
	default:
		return TERMINAL_EAT;
	}
}
