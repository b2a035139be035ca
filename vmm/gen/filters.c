// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs while Nidus is built: prints C source with the seccomp filters of vmm/sandbox_rules.c, one
 * for each kind of thread and for each mode that has one. libseccomp makes them.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/sandbox.h"

#define INSTRUCTIONS BPF_MAXINSNS

/* By sets of enum sandbox_machine. */
static const char *const machines[SANDBOX_MACHINES] = { "plain", "host", "restart",
							"host_restart" };

/* What happens to an unlisted call: TRAP is a signal, which sandbox.c reports and dies of. */
static const struct {
	const char *name;
	uint32_t action;
} modes[SECCOMP_OFF] = {
	[SECCOMP_KILL] = { "kill", SCMP_ACT_TRAP },
	[SECCOMP_LOG] = { "log", SCMP_ACT_LOG },
};

static int add_rules(scmp_filter_ctx filter, unsigned int machine, enum sandbox_thread thread)
{
	/* The number of the request is the second argument of every call that is told apart by it.
	 */
	struct scmp_arg_cmp request = { .arg = 1, .op = SCMP_CMP_EQ };
	unsigned int count;
	const struct sandbox_rule *rules = sandbox_rules(&count);

	for (unsigned int i = 0; i < count; i++) {
		const struct sandbox_rule *rule = &rules[i];
		bool any = rule->request == SANDBOX_ANY_ARGUMENT;
		int rc;

		if (!(rule->threads & 1U << thread) || !sandbox_applies(rule->when, machine))
			continue;
		request.datum_a = rule->request;
		rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, !any, &request);
		if (rc)
			return rc;
	}
	return 0;
}

/* Stores the filter in @code; returns how many instructions, or negative errno. */
static int compile(unsigned int machine, enum sandbox_thread thread, enum seccomp_mode mode,
		   struct sock_filter code[INSTRUCTIONS])
{
	scmp_filter_ctx filter = seccomp_init(modes[mode].action);
	int fd = memfd_create("filter", MFD_CLOEXEC);
	int rc = filter && fd >= 0 ? add_rules(filter, machine, thread) : -ENOMEM;
	ssize_t n;

	if (!rc)
		rc = seccomp_export_bpf(filter, fd);
	if (!rc) {
		n = pread(fd, code, INSTRUCTIONS * sizeof(*code), 0);
		rc = n > 0 ? (int)((size_t)n / sizeof(*code)) : -EIO;
	}
	if (fd >= 0)
		close(fd);
	seccomp_release(filter);
	return rc;
}

static void print_filter(unsigned int machine, enum sandbox_thread thread, enum seccomp_mode mode)
{
	static struct sock_filter code[INSTRUCTIONS];
	int count = compile(machine, thread, mode, code);

	if (count < 0) {
		fprintf(stderr, "filters: the filter of %s cannot be made: error %d\n",
			sandbox_thread_name(thread), -count);
		exit(EXIT_FAILURE);
	}
	printf("static const struct sock_filter %s_%s_%s[] = {\n", machines[machine],
	       sandbox_thread_name(thread), modes[mode].name);
	for (int i = 0; i < count; i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", code[i].code, code[i].jt, code[i].jf,
		       code[i].k);
	puts("};");
}

static void print_machine(const char *name)
{
	puts("\t{");
	for (unsigned int i = 0; i < SANDBOX_THREADS; i++) {
		const char *thread = sandbox_thread_name(i);

		printf("\t\t{ FILTER(%s_%s_%s), FILTER(%s_%s_%s) },\n", name, thread,
		       modes[SECCOMP_KILL].name, name, thread, modes[SECCOMP_LOG].name);
	}
	puts("\t},");
}

int main(void)
{
	puts("/* Made by vmm/gen/filters.c of vmm/sandbox_rules.c. */\n"
	     "#include \"vmm/sandbox.h\"");
	for (unsigned int machine = 0; machine < SANDBOX_MACHINES; machine++)
		for (unsigned int i = 0; i < SANDBOX_THREADS; i++)
			for (unsigned int j = 0; j < SECCOMP_OFF; j++)
				print_filter(machine, i, j);
	puts("#define FILTER(code) { sizeof(code) / sizeof(code[0]), (struct sock_filter *)code }\n"
	     "const struct sock_fprog "
	     "sandbox_filters[SANDBOX_MACHINES][SANDBOX_THREADS][SECCOMP_OFF] = {");
	for (unsigned int machine = 0; machine < SANDBOX_MACHINES; machine++)
		print_machine(machines[machine]);
	puts("};");
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
