# SPDX-License-Identifier: GPL-2.0-or-later
# What the tests of bare guests share: running nidus with a guest, and judging its verdicts.
#
# Environment: NIDUS, the program (default build/nidus); BARE, where the guests are (default
# build/guest-tests/bare); BARE_SLOW, a factor for time limits (default 1; sanitizers want more). A
# program called nidus-san* runs without its filter: sanitizers make system calls of their own.
package Bare;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Select;
use POSIX qw(:sys_wait_h setsid);
use Tap;

our @EXPORT = qw(run_guest guest_ok exit_is scratch make_disk is_software free_memory start_guest
    finish_guest wait_for_output children_left);

my $repo = abs_path(dirname(__FILE__) . '/../../..');
my $nidus = abs_path($ENV{NIDUS} // "$repo/build/nidus") // '';
my $guests = abs_path($ENV{BARE} // "$repo/build/guest-tests/bare") // '';
my $slow = $ENV{BARE_SLOW} // 1;
my @filter = $nidus =~ m{/nidus-san[^/]*$} ? ('--seccomp', 'off') : ();
# Behind its sandbox nidus cannot be looked at by the process that would search for leaks.
$ENV{ASAN_OPTIONS} //= 'detect_leaks=0';
my $scratch = tempdir('nidus-bare.XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub check_host {
	bail_out("there is no nidus at '" . ($ENV{NIDUS} // "$repo/build/nidus") . "'") if !-x $nidus;
	bail_out('there are no guests in build/guest-tests/bare: make bare') if !-e "$guests/hello.elf";
	skip_all('there is no /dev/kvm that we may open') if !open(my $kvm, '+<', '/dev/kvm');
}
check_host();

# A path for a file of this test; gone when it ends.
sub scratch {
	return "$scratch/$_[0]";
}

# True if /dev/kvm is software (no VMX, no SVM): it runs bare guests, with limits.
sub is_software {
	open(my $info, '<', '/proc/cpuinfo') or return 0;
	return !grep { /^flags\b.*\b(vmx|svm)\b/ } <$info>;
}

# Bytes of memory that this host has to spare.
sub free_memory {
	open(my $info, '<', '/proc/meminfo') or return 0;
	my ($kib) = map { /^MemAvailable:\s+(\d+)/ ? $1 : () } <$info>;
	return ($kib // 0) * 1024;
}

# A disk image whose sectors hold their own number, as 64-bit words.
sub make_disk {
	my ($name, $sectors) = @_;
	my $path = scratch($name);
	open(my $file, '>:raw', $path) or die "$path: $!";
	print $file pack('Q<', $_) x 64 for 0 .. $sectors - 1;
	close($file) or die "$path: $!";
	return $path;
}

# Starts a guest: its process, and what it prints in $vm->{output} and $vm->{errors}.
sub start_guest {
	my ($guest, $words, @options) = @_;
	my @command = ($nidus, 'run', '-k', "$guests/$guest.elf", '-p', $words, '--serial', 'stdio', @filter,
	    @options);
	pipe(my $out, my $out_end) or die "pipe: $!";
	my $errors = scratch("stderr.$$." . ++our $runs);
	my $pid = fork() // die "fork: $!";
	if (!$pid) {
		# A session of its own: whatever is left of it can be told from others.
		setsid();
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>&', $out_end);
		open(STDERR, '>', $errors);
		{ exec(@command) };
		POSIX::_exit(127);
	}
	close($out_end);
	return { pid => $pid, out => $out, output => '', errors_path => $errors, command => "@command" };
}

# Reads what the guest prints, until @$until matches, it ends, or @seconds are over. True if it matched.
sub wait_for_output {
	my ($vm, $until, $seconds) = @_;
	my $end = time() + $seconds * $slow;
	my $select = IO::Select->new($vm->{out});
	while (1) {
		return 1 if defined $until && $vm->{output} =~ $until;
		my $left = $end - time();
		return 0 if $left <= 0;
		next if !$select->can_read($left);
		my $n = sysread($vm->{out}, $vm->{output}, 65536, length($vm->{output}));
		if (!$n) {
			$vm->{ended} = 1;
			return defined $until && scalar($vm->{output} =~ $until);
		}
	}
}

# Waits for its end, @seconds at most; then it is killed. Returns what the shell would call its
# status: 128 + signal for signals; 124 if it had to be killed.
sub finish_guest {
	my ($vm, $seconds) = @_;
	my $end = time() + $seconds * $slow;
	wait_for_output($vm, undef, $seconds);
	my $reaped;
	while (!($reaped = waitpid($vm->{pid}, WNOHANG)) && time() < $end + 2) {
		select(undef, undef, undef, 0.01);
	}
	my $status = $reaped == $vm->{pid} ? $? : undef;
	if (!defined $status) {
		kill('KILL', $vm->{pid});
		waitpid($vm->{pid}, 0);
	}
	wait_for_output($vm, undef, 1) if !$vm->{ended};
	close($vm->{out});
	$vm->{output} =~ s/\r//g;
	if (open(my $errors, '<', $vm->{errors_path})) {
		local $/;
		$vm->{errors} = <$errors> // '';
	}
	return $vm->{status} = 124 if !defined $status;
	return $vm->{status} = $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# Processes that are left of a VM's session.
sub children_left {
	my ($vm) = @_;
	my @left;
	for my $stat (glob('/proc/[0-9]*/stat')) {
		open(my $file, '<', $stat) or next;
		my $line = <$file> // next;
		my ($pid, $session) = $line =~ /^(\d+) \(.*\) \S \d+ \d+ (\d+)/s or next;
		push @left, $pid if $session == $vm->{pid};
	}
	return @left;
}

# Start and finish.
sub run_guest {
	my ($seconds, $guest, $words, @options) = @_;
	my $vm = start_guest($guest, $words, @options);
	finish_guest($vm, $seconds);
	return $vm;
}

# One verdict: the VM ended with this status.
sub exit_is {
	my ($vm, $status, $name) = @_;
	return 1 if is($vm->{status}, $status, $name);
	diag("command: $vm->{command}");
	diag("printed at last: " . join("\n", grep { defined } (split /\n/, $vm->{output})[-8 .. -1]));
	diag("stderr: " . substr($vm->{errors}, -2000));
	return 0;
}

# Runs a guest that prints TAP, and shows its verdicts as a subtest.
sub guest_ok {
	my ($name, $seconds, $guest, $words, @options) = @_;
	my $vm;
	subtest $name => sub {
		$vm = run_guest($seconds, $guest, $words, '--exit-port', @options);
		my ($plan, $seen) = (undef, 0);
		for my $line (split /\n/, $vm->{output}) {
			# Hostile guests leave what they wrote to the port at the start of a line.
			$line =~ s/^~+//;
			$plan = $1 if $line =~ /^1\.\.(\d+)$/;
			diag($line) if $line =~ /^Bail out!/ || $line =~ /^#   got/;
			next if $line !~ /^(not )?ok \d+ - (.*)$/;
			$seen++;
			my ($bad, $what) = ($1, $2);
			if ($what =~ /^(.*) # SKIP (.*)$/) {
				skip($1, $2);
			} else {
				ok(!$bad, $what);
			}
		}
		is($seen, $plan // 'no plan', 'all its verdicts are there');
		exit_is($vm, 1, 'and it ends well');
		unlike($vm->{errors}, qr/runtime error:|ERROR: \w+Sanitizer/, 'no sanitizer complains');
		is(join(' ', children_left($vm)), '', 'no process is left');
	};
	return $vm;
}

1;
