#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# A hostile guest for a bounded time, with several seeds and machines. HOSTILE_SECONDS makes it
# longer, HOSTILE_SEED starts elsewhere: a failure names both.
use strict;
use warnings;

use Bare;
use Tap;

my $seconds = $ENV{HOSTILE_SECONDS} // 6;
my $seed = $ENV{HOSTILE_SEED} // 1;
# Software virtualisation takes seconds to fill as much memory as hardware does in no time.
my $canary = is_software() ? 2 : 64;

my @rows = (
	[ 1, '16', 'one disk', ['rw'] ],
	[ 2, '32', 'disks and many queues', ['rw,queues=4', 'rw,queues=16', 'ro'] ],
	[ 4, '64', 'no disk', [] ],
	[ 16, '64', 'many CPUs', ['rw,queues=4', 'ro,queues=2'] ],
	[ 2, '5G', 'RAM above 4 GiB', ['rw'] ],
);

for my $row (@rows) {
	my ($cpus, $memory, $name, $disks) = @$row;
	my @options = ('-c', $cpus, '-m', $memory, '--console', 'file=' . scratch("console$seed"));
	my $words = "seed=$seed seconds=$seconds canary=$canary";

	for my $disk (@$disks) {
		my $path = make_disk("disk$seed-" . scalar(@options), 4096);
		push @options, '-d', $path . ($disk =~ s/^rw//r =~ s/^ro/,ro/r);
	}
	if ($memory eq '5G' && free_memory() < (5 << 30)) {
		skip($name, 'this host has too little memory');
	} else {
		guest_ok("$cpus CPUs, $memory, $name, $words", $seconds + 60, 'hostile', $words, @options);
	}
	$seed++;
}

# With what may end the VM allowed too: it ends in one of the documented ways.
my $vm = run_guest($seconds + 60, 'hostile', "seed=$seed seconds=$seconds canary=$canary deadly=1",
	'-c', '2', '-m', '16', '--exit-port');
my $is_exit_port = $vm->{status} & 1;
ok($is_exit_port || $vm->{status} == 0 || $vm->{status} == 3 || $vm->{status} == 4,
	"deadly, seed=$seed: a documented end, $vm->{status}");
is(join(' ', children_left($vm)), '', 'deadly: no process is left');

done_testing();
