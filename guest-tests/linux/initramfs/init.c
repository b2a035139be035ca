/*
 * The first process of a guest: mounts the usual file systems, loads the modules the image
 * carries, says that it is there, does what the kernel command line asks, and ends the machine.
 *
 *   nidus.cmd="..."     a shell command
 *   nidus.script=NAME   the script /scripts/NAME of the image
 *   nidus.args="..."    words for that script
 *   nidus.root=DEVICE   do both in the file system on this disk, under a throw-away layer;
 *                       the image stays visible there as /initramfs
 *   nidus.end=HOW       poweroff (the default), reboot, halt, crash, hang, or shell
 *
 * It prints two lines, each alone on a line, for programs to look for:
 *   nidus-guest: init reached kernel=RELEASE cpus=ONLINE mem_kib=TOTAL
 *   nidus-guest: exit STATUS
 * C, not shell: the time to the first line is measured, and a shell is most of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* The kernel's own limit of its command line on x86 is 2048 bytes. */
static char cmdline[4096];

static void complain(const char *what, const char *name)
{
	printf("nidus-guest: %s %s: %s\n", what, name, strerror(errno));
}

static void mount_at(const char *type, const char *dir, const char *options)
{
	mkdir(dir, 0755);
	/* What this kernel does not know, the guest does without. */
	if (mount(type, dir, type, 0, options) && errno != ENODEV && errno != EBUSY)
		complain("cannot mount", dir);
}

static void use_as_stdio(const char *device)
{
	int fd = open(device, O_RDWR);

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
}

/* A shell wants Ctrl-C and job control, which /dev/console refuses and the terminal behind it has.
 */
static void use_terminal(void)
{
	char device[64] = "/dev/console";
	char active[128];
	int fd = open("/sys/class/tty/console/active", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, active, sizeof(active) - 1);

	if (fd >= 0)
		close(fd);
	if (len > 0) {
		const char *last;

		active[len] = 0;
		active[strcspn(active, "\n")] = 0;
		last = strrchr(active, ' ');
		snprintf(device, sizeof(device), "/dev/%.50s", last ? last + 1 : active);
	}
	use_as_stdio(device);
	ioctl(0, TIOCSCTTY, 0);
}

static void mount_all(void)
{
	mount_at("devtmpfs", "/dev", "mode=0755");
	mount_at("proc", "/proc", NULL);
	mount_at("sysfs", "/sys", NULL);
	mount_at("devpts", "/dev/pts", "ptmxmode=666");
	mount_at("tmpfs", "/dev/shm", "mode=1777");
	mount_at("tmpfs", "/tmp", "mode=1777");
	mount_at("tmpfs", "/run", "mode=0755");
	mount_at("debugfs", "/sys/kernel/debug", NULL);
	symlink("/proc/self/fd", "/dev/fd");
	symlink("fd/0", "/dev/stdin");
	symlink("fd/1", "/dev/stdout");
	symlink("fd/2", "/dev/stderr");
}

/* /modules/order names one module a line, each after what it depends on. */
static void load_modules(void)
{
	FILE *order = fopen("/modules/order", "re");
	char name[128];
	char path[160];

	if (!order)
		return;
	while (fgets(name, sizeof(name), order)) {
		int fd;

		name[strcspn(name, "\n")] = 0;
		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		/* ENODEV: a driver for hardware that this machine does not have. */
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST &&
			       errno != ENODEV && errno != EOPNOTSUPP))
			complain("cannot load", path);
		if (fd >= 0)
			close(fd);
	}
	fclose(order);
	/* The console may be one of the devices that have just come. */
	use_as_stdio("/dev/console");
}

static void read_cmdline(void)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, cmdline, sizeof(cmdline) - 1);

	if (fd >= 0)
		close(fd);
	cmdline[len > 0 ? len : 0] = 0;
	cmdline[strcspn(cmdline, "\n")] = 0;
}

/*
 * The value of NAME=VALUE, NAME="VALUE" or "NAME=VALUE", as the kernel itself quotes; the last one
 * wins. Returns false, and an empty value, when there is none. Larger values are cut to size.
 */
static bool option(const char *name, char *value, size_t size)
{
	size_t name_len = strlen(name);
	bool found = false;

	*value = 0;
	for (const char *word = cmdline; *word;) {
		const char *end = word;
		bool quoted = false;

		while (*end && (quoted || *end != ' '))
			if (*end++ == '"')
				quoted = !quoted;
		word += *word == '"';
		if (!strncmp(word, name, name_len) && word[name_len] == '=') {
			size_t out = 0;

			for (const char *c = word + name_len + 1; c < end && out + 1 < size; c++)
				if (*c != '"')
					value[out++] = *c;
			value[out] = 0;
			found = true;
		}
		for (word = end; *word == ' '; word++)
			;
	}
	return found;
}

static void report(void)
{
	struct utsname system = { 0 };
	struct sysinfo info = { 0 };

	uname(&system);
	sysinfo(&info);
	printf("nidus-guest: init reached kernel=%s cpus=%ld mem_kib=%llu\n", system.release,
	       sysconf(_SC_NPROCESSORS_ONLN),
	       (unsigned long long)info.totalram * info.mem_unit / 1024);
}

static bool wait_for(const char *path)
{
	/* Disks are probed while we run: 10 s at most. */
	for (int i = 0; i < 1000; i++) {
		if (!access(path, F_OK))
			return true;
		usleep(10000);
	}
	return false;
}

static bool carry_over(const char *from, const char *to)
{
	mkdir(to, 0755);
	return !mount(from, to, NULL, MS_BIND | MS_REC, NULL);
}

static bool enter_root(const char *device)
{
	static const char *const dirs[] = { "dev", "proc", "sys", "tmp", "run" };
	char from[16];
	char to[32];

	mkdir("/lower", 0755);
	mkdir("/layer", 0755);
	mkdir("/root", 0755);
	if (!wait_for(device) || mount(device, "/lower", "ext4", MS_RDONLY, NULL) ||
	    mount("layer", "/layer", "tmpfs", 0, "mode=0755") || mkdir("/layer/upper", 0755) ||
	    mkdir("/layer/work", 0755) ||
	    mount("root", "/root", "overlay", 0,
		  "lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work")) {
		complain("cannot use the root", device);
		return false;
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(from, sizeof(from), "/%s", dirs[i]);
		snprintf(to, sizeof(to), "/root/%s", dirs[i]);
		carry_over(from, to);
	}
	mkdir("/root/initramfs", 0755);
	mount("/", "/root/initramfs", NULL, MS_BIND, NULL);
	if (chroot("/root") || chdir("/")) {
		complain("cannot enter the root", device);
		return false;
	}
	return true;
}

/* Runs a command and returns its status as a shell would. Orphans that end meanwhile are reaped. */
static int run(char *const argv[], bool terminal)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		setsid();
		if (terminal)
			use_terminal();
		execv(argv[0], argv);
		complain("cannot run", argv[0]);
		_exit(127);
	}
	if (child < 0) {
		complain("cannot fork for", argv[0]);
		return 126;
	}
	while (wait(&status) != child)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int do_work(void)
{
	char root[128];
	char script[128];
	char command[sizeof(cmdline) + 160];
	bool rooted = option("nidus.root", root, sizeof(root));
	char *argv[] = { rooted ? "/bin/bash" : "/bin/sh", "-c", command, NULL };

	if (rooted && !enter_root(root))
		return 125;
	if (option("nidus.script", script, sizeof(script))) {
		char args[sizeof(cmdline)];

		option("nidus.args", args, sizeof(args));
		snprintf(command, sizeof(command), "exec %s/scripts/%s %s",
			 rooted ? "/initramfs" : "", script, args);
		return run(argv, false);
	}
	if (option("nidus.cmd", command, sizeof(command)))
		return run(argv, false);
	return 0;
}

static void end_machine(void)
{
	char how[16];

	option("nidus.end", how, sizeof(how));
	sync();
	if (!strcmp(how, "crash")) {
		int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "c", 1) != 1)
			complain("cannot crash by", "/proc/sysrq-trigger");
		/* Leaving is a crash too: a kernel without its first process panics. */
		_exit(1);
	}
	if (!strcmp(how, "hang"))
		for (;;)
			pause();
	if (!strcmp(how, "shell")) {
		char *shell[] = { "/bin/sh", "-i", NULL };

		run(shell, true);
	}
	if (!strcmp(how, "reboot"))
		reboot(RB_AUTOBOOT);
	else if (!strcmp(how, "halt"))
		reboot((int)RB_HALT_SYSTEM);
	else
		reboot(RB_POWER_OFF);
	complain("cannot", *how ? how : "poweroff");
	for (;;)
		pause();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin", 1);
	setenv("HOME", "/tmp", 1);
	setenv("TERM", "dumb", 0);
	mount_all();
	use_as_stdio("/dev/console");
	load_modules();
	read_cmdline();
	report();
	printf("nidus-guest: exit %d\n", do_work());
	end_machine();
}
