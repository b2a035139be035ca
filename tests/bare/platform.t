#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# The machine, register by register, with different amounts of everything.
use strict;
use warnings;

use Bare;
use Tap;

use constant MIB => 1 << 20;

my $software = is_software() ? ' software=1' : '';
my $disk = make_disk('disk', 1024);

guest_ok('small', 60, 'platform', 'ram=' . 16 * MIB . $software, '-m', '16');
guest_ok('without devices', 60, 'platform', 'ram=' . 64 * MIB . $software, '-m', '64', '--no-rng');
guest_ok('many CPUs, disk of many queues', 60, 'platform', 'ram=' . 64 * MIB . $software, '-m', '64',
	'-c', '16', '-d', "$disk,queues=16");
if (free_memory() < 5120 * MIB) {
	skip('RAM above 4 GiB', 'this host has too little memory');
} else {
	guest_ok('RAM above 4 GiB', 60, 'platform', 'ram=' . 5120 * MIB . $software, '-m', '5G');
}

my $vm = run_guest(60, 'platform', "exit-port=0$software", '-m', '16');
exit_is($vm, 0, 'without exit port: the guest powers itself off');
unlike($vm->{output}, qr/^not ok|Bail out/m, 'without exit port: all is well');
like($vm->{output}, qr/^ok \d+ - no exit port unless it is asked for/m, 'there is none then');

done_testing();
