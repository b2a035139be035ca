/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices/base.h"
#include "devices/log.h"
#include "devices/loop.h"
#include "vmm/exit.h"
#include "vmm/iommu.h"
#include "vmm/monitor.h"
#include "vmm/peripherals.h"
#include "vmm/restart.h"
#include "vmm/sandbox.h"
#include "vmm/terminal.h"
#include "vmm/vm.h"

/* What the host may take for I/O that was in flight at the end before we go without it. */
#define DRAIN_SECONDS 10

/* --- The start: no thread enters the guest before every filter is closed --- */

/*
 * Closes this thread's filter and waits until all threads have. False: the VM does not start,
 * because of one of them, or of @error that this thread has met already.
 */
static bool line_up(struct machine *machine, enum sandbox_thread thread, int error)
{
	struct start_line *line = &machine->start;
	const struct vm_config *config = machine->config;
	int rc = sandbox_filter(thread, config->seccomp, sandbox_machine(config));

	pthread_mutex_lock(&line->lock);
	line->ready++;
	if (rc || error)
		line->failed = true;
	pthread_cond_broadcast(&line->changed);
	while (!line->go)
		pthread_cond_wait(&line->changed, &line->lock);
	rc = line->failed;
	pthread_mutex_unlock(&line->lock);
	return !rc;
}

/* The control thread's part: waits for the other threads, then lets all of them go. */
static bool start_all(struct machine *machine, unsigned int threads)
{
	struct start_line *line = &machine->start;
	const struct vm_config *config = machine->config;
	int rc = sandbox_filter(SANDBOX_CONTROL, config->seccomp, sandbox_machine(config));
	bool failed;

	pthread_mutex_lock(&line->lock);
	while (line->ready < threads)
		pthread_cond_wait(&line->changed, &line->lock);
	if (rc || threads != config->cpus + 1)
		line->failed = true;
	failed = line->failed;
	line->go = true;
	pthread_cond_broadcast(&line->changed);
	pthread_mutex_unlock(&line->lock);
	return !failed;
}

/* --- Threads --- */

static void *vcpu_thread(void *argument)
{
	struct vcpu *vcpu = argument;
	char name[16];
	sigset_t kick;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	prctl(PR_SET_NAME, name);
	sigemptyset(&kick);
	sigaddset(&kick, vcpu_signal());
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	if (line_up(vcpu->machine, SANDBOX_VCPU, 0))
		vcpu_loop(vcpu);
	return NULL;
}

static void serve_io(struct machine *machine)
{
	int rc = loop_run(machine->loop);

	if (rc)
		machine_end(machine, MACHINE_ERROR, 0);
	/* The vCPUs are gone: finish what they have left behind. */
	peripherals_quiesce(machine);
	while (!rc && loop_in_flight(machine->loop))
		rc = loop_turn(machine->loop, true);
	if (rc)
		log_error(VMM, "the event loop failed: %s", strerror(-rc));
	machine->io_failed = rc;
}

static void *io_thread(void *argument)
{
	struct machine *machine = argument;
	int rc;

	prctl(PR_SET_NAME, "io");
	rc = loop_adopt(machine->loop);
	if (rc)
		log_error(VMM, "io_uring refuses this thread: %s", strerror(-rc));
	if (line_up(machine, SANDBOX_IO, rc))
		serve_io(machine);
	/* Even if the VM did not start: the control thread may not do it. */
	loop_release_files(machine->loop);
	return NULL;
}

static int start_thread(pthread_t *thread, void *(*body)(void *), void *argument)
{
	int rc = pthread_create(thread, NULL, body, argument);

	if (rc)
		log_error(VMM, "a thread cannot be created: %s; see ulimit -u", strerror(rc));
	return -rc;
}

/* How many threads were started: all, or the VM does not start. */
static unsigned int start_threads(struct machine *machine)
{
	unsigned int started = 0;

	if (start_thread(&machine->io_thread, io_thread, machine))
		return 0;
	machine->io_started = true;
	started++;
	for (unsigned int i = 0; i < machine->config->cpus; i++) {
		struct vcpu *vcpu = &machine->vcpu[i];

		if (start_thread(&vcpu->thread, vcpu_thread, vcpu))
			break;
		vcpu->started = true;
		started++;
	}
	return started;
}

/* --- Signals --- */

static const int end_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

static void do_nothing(int signal_number)
{
	(void)signal_number;
}

/* Blocks what ends a VM in all threads to come; the control thread reads it from a descriptor. */
static int catch_signals(void)
{
	struct sigaction kick = { .sa_handler = do_nothing };
	sigset_t set, kick_set;

	sigemptyset(&set);
	for (unsigned int i = 0; i < ARRAY_SIZE(end_signals); i++)
		sigaddset(&set, end_signals[i]);
	sigemptyset(&kick_set);
	sigaddset(&kick_set, vcpu_signal());
	pthread_sigmask(SIG_BLOCK, &kick_set, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(vcpu_signal(), &kick, NULL);
	/* Output that cannot be written is an error of write(), not the end of the VM. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void read_signal(struct machine *machine, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) == sizeof(info)) {
		log_info(VMM, "signal %u ends the VM", info.ssi_signo);
		machine_end(machine, MACHINE_SIGNAL, info.ssi_signo);
	}
}

/* --- The control thread --- */

static void wait_for_end(struct machine *machine, int signals)
{
	struct pollfd fds[] = {
		{ .fd = machine->end_event, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = monitor_event(machine), .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR) {
			log_error(VMM, "signals cannot be waited for: %s", strerror(errno));
			machine_end(machine, MACHINE_ERROR, 0);
			return;
		}
		if (fds[0].revents && !restart_order(machine))
			return;
		if (fds[1].revents)
			read_signal(machine, signals);
		if (fds[2].revents)
			monitor_serve(machine);
	}
}

static void stop_vcpus(struct machine *machine)
{
	__atomic_store_n(&machine->stopping, true, __ATOMIC_RELEASE);
	iommu_halt(machine);
	restart_cancel(machine);
	for (unsigned int i = 0; i < machine->config->cpus; i++)
		vcpu_kick(&machine->vcpu[i]);
	for (unsigned int i = 0; i < machine->config->cpus; i++) {
		struct vcpu *vcpu = &machine->vcpu[i];

		if (vcpu->started)
			pthread_join(vcpu->thread, NULL);
		vcpu->started = false;
	}
}

/*
 * Joins the I/O thread, which finishes what is in flight: those requests touch guest memory, our
 * own, and disk images, so none of these may go away before them. A host that does not answer is
 * not waited for longer than DRAIN_SECONDS, and a loop that has failed not at all; the process ends
 * then without undoing anything.
 */
static void stop_io(struct machine *machine)
{
	struct timespec deadline;
	int rc;

	if (!machine->io_started)
		return;
	loop_stop(machine->loop);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += DRAIN_SECONDS;
	rc = pthread_timedjoin_np(machine->io_thread, NULL, &deadline);
	if (rc)
		log_error(VMM, "requests to the host did not end within %d s", DRAIN_SECONDS);
	if (rc || machine->io_failed) {
		terminal_restore();
		_exit(NIDUS_EXIT_FAILURE);
	}
	machine->io_started = false;
}

void run(struct machine *machine)
{
	int signals = catch_signals();
	unsigned int threads = 0;

	pthread_mutex_init(&machine->start.lock, NULL);
	pthread_cond_init(&machine->start.changed, NULL);
	if (signals < 0 || terminal_raw() < 0 || sandbox_enter(monitor_directory(machine)) < 0)
		machine_end(machine, MACHINE_ERROR, 0);
	else
		threads = start_threads(machine);
	if (threads && start_all(machine, threads))
		wait_for_end(machine, signals);
	else
		machine_end(machine, MACHINE_ERROR, 0);
	stop_vcpus(machine);
	stop_io(machine);
	terminal_restore();
	if (signals >= 0)
		close(signals);
	pthread_cond_destroy(&machine->start.changed);
	pthread_mutex_destroy(&machine->start.lock);
}
