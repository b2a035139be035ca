#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Application processors, up to 64.
use strict;
use warnings;

use Bare;
use Tap;

for my $cpus (1, 2, 3, 16, 64) {
	guest_ok("$cpus CPUs", 60, 'smp', "cpus=$cpus", '-c', $cpus, '-m', '32');
	guest_ok("$cpus CPUs, x2APIC", 60, 'smp', "cpus=$cpus apic=x2apic", '-c', $cpus, '-m', '32');
}

done_testing();
