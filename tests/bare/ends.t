#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# How a VM ends, and what the shell sees of it; what is left behind: nothing.
use strict;
use warnings;

use Bare;
use Tap;

my @ends = (
	# words, options, status
	[ 'end=exit:0', ['--exit-port'], 1 ],
	[ 'end=exit:5', ['--exit-port'], 11 ],
	[ 'end=exit:127', ['--exit-port'], 255 ],
	[ 'end=poweroff', [], 0 ],
	[ 'end=reset', [], 3 ],
	[ 'end=reset-keyboard', [], 3 ],
	[ 'end=crash', [], 4 ],
	[ 'end=exit:5', [], 0 ],    # no exit port: the guest powers itself off
);

for my $cpus (1, 2, 16) {
	for my $end (@ends) {
		my ($words, $options, $status) = @$end;
		my $vm = run_guest(20, 'hello', $words, '-m', '16', '-c', $cpus, @$options);
		my $name = "$cpus CPUs, $words" . (@$options ? '' : ' without exit port');
		exit_is($vm, $status, "$name: $status");
		like($vm->{output}, qr/^end: /m, "$name: all output is there");
		is(join(' ', children_left($vm)), '', "$name: no process is left");
	}
}

my @signals = ([ TERM => 143 ], [ INT => 130 ], [ HUP => 129 ], [ QUIT => 131 ]);
for my $guest_end ('halt', 'spin') {
	for my $signal (@signals) {
		my ($name, $status) = @$signal;
		my $vm = start_guest('hello', "end=$guest_end", '-m', '16', '-c', '2');
		ok(wait_for_output($vm, qr/^end: $guest_end/m, 20), "SIG$name, $guest_end: runs");
		kill($name, $vm->{pid});
		finish_guest($vm, 20);
		exit_is($vm, $status, "SIG$name, $guest_end: $status");
		is(join(' ', children_left($vm)), '', "SIG$name, $guest_end: no process is left");
	}
}

# The control socket goes with the VM, however that ends.
sub sockets {
	my ($name) = @_;
	my @places = grep { defined } ($ENV{XDG_RUNTIME_DIR}, '/run', '/tmp', "/run/user/$<");
	return map { glob("$_/nidus*/$name*") } @places;
}
for my $end ([ 'end=poweroff', undef, 0 ], [ 'end=crash', undef, 4 ], [ 'end=halt', 'TERM', 143 ]) {
	my ($words, $signal, $status) = @$end;
	my $name = "bare-ends-$$";
	my $vm = start_guest('hello', $words, '-m', '16', '--name', $name);
	if ($signal) {
		wait_for_output($vm, qr/^end: /m, 20);
		ok(scalar(sockets($name)), "named VM, $words: has a socket");
		kill($signal, $vm->{pid});
	}
	finish_guest($vm, 20);
	exit_is($vm, $status, "named VM, $words: $status");
	is(join(' ', sockets($name)), '', "named VM, $words: no socket is left");
}

my $tick = run_guest(20, 'tick', '', '-m', '16', '--exit-port');
exit_is($tick, 1, 'tick');

done_testing();
